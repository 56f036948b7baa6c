"""XFRM states: one ESP SA each as the kernel is told of it, and as it tells of it (linux/xfrm.h)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

from ikescope.config.model import Address
from ikescope.crypto.suites import EspSuite
from ikescope.errors import LocalError
from ikescope.planes.xfrm_wire import (
    CURRENT_OCTETS,
    ESP,
    EVERYTHING,
    LIMITS_OCTETS,
    SELECTOR_OCTETS,
    UNLIMITED,
    Attribute,
    Current,
    Limits,
    Mode,
    Selector,
    XfrmError,
    attribute,
    attributes,
    family_of,
    need,
    pack_address,
    unpack_address,
)
from ikescope.wire.registry.transform import EncryptionId, IntegrityId

FLAG_NO_DF, FLAG_AF_UNSPEC, FLAG_ESN = 4, 32, 128
UDP_ENCAP_ESPINUDP = 2
LARGEST_WINDOW = 4096
"""Packets of an anti-replay window (XFRMA_REPLAY_ESN_MAX)."""

AEADS = {
    EncryptionId.ENCR_AES_GCM_16: "rfc4106(gcm(aes))",
    EncryptionId.ENCR_CHACHA20_POLY1305: "rfc7539esp(chacha20,poly1305)",
}
CIPHERS = {EncryptionId.ENCR_AES_CBC: "cbc(aes)", EncryptionId.ENCR_NULL: "ecb(cipher_null)"}
MACS = {
    IntegrityId.AUTH_HMAC_SHA1_96: "hmac(sha1)",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "hmac(sha256)",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "hmac(sha384)",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "hmac(sha512)",
}
"""What the kernel's crypto calls them."""

_ID_REST = struct.Struct(">IB3x")
_STATE_REST = struct.Struct("=IIIIIHBBB7x")
_BEFORE = SELECTOR_OCTETS + 24 + 16 + LIMITS_OCTETS + CURRENT_OCTETS
STATE_OCTETS = _BEFORE + _STATE_REST.size
_SA_ID = struct.Struct(">16sI")
_SA_ID_REST = struct.Struct("=HBx")
_ENCAP = struct.Struct("=H")
_PORTS = struct.Struct(">HH")
_REPLAY = struct.Struct("=6I")
_OLD_REPLAY = struct.Struct("=3I")
_U32 = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A cipher or a MAC: the kernel's name, key, ICV in bits (0 where it has none); the key is never in the repr."""

    name: str
    key: bytes = field(repr=False)
    icv_bits: int = 0


@dataclass(frozen=True, slots=True)
class Replay:
    """Sequence numbers of a state: last one sent, highest one received (64 bits), which of the latest were received.

    `window` in packets; `seen` in words of 32, as the kernel keeps them (a ring, whose place `highest` tells).
    """

    window: int = 0
    sent: int = 0
    highest: int = 0
    seen: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """`struct xfrm_replay_state_esn`."""
        words = self.seen or (0,) * max(1, -(-self.window // 32))
        halves = (self.sent & _LOW, self.highest & _LOW, self.sent >> 32, self.highest >> 32)
        return _REPLAY.pack(len(words), *halves, self.window) + struct.pack(f"={len(words)}I", *words)

    @classmethod
    def decode(cls, octets: bytes) -> Replay:
        """Out of the octets of `struct xfrm_replay_state_esn`."""
        need(octets, _REPLAY.size, "replay state")
        count, sent, highest, sent_high, highest_high, window = _REPLAY.unpack_from(octets)
        need(octets, _REPLAY.size + 4 * count, "replay bitmap")
        seen = struct.unpack_from(f"={count}I", octets, _REPLAY.size)
        return cls(window, sent_high << 32 | sent, highest_high << 32 | highest, seen)


_LOW = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class State:
    """One ESP SA. `udp`: (source port, destination port) of the UDP around it, as its packets have them.

    `replay` None: nothing is checked, numbers have 32 bits. `interface`: the XFRM interface's number, 0 none.
    `clear_df`: the header that tunnel mode makes has no DF; else it has the inner packet's.
    """

    source: Address
    destination: Address
    spi: int
    mode: Mode
    reqid: int
    cipher: Algorithm
    mac: Algorithm | None = None
    aead: bool = False
    esn: bool = False
    replay: Replay | None = None
    udp: tuple[int, int] | None = None
    selector: Selector = EVERYTHING
    limits: Limits = UNLIMITED
    interface: int = 0
    clear_df: bool = False

    def encode(self) -> bytes:
        """The body of NEWSA and UPDSA."""
        parts = [_head(self)]
        if self.aead:
            parts.append(attribute(Attribute.ALG_AEAD, _algorithm(self.cipher, self.cipher.icv_bits)))
        else:
            parts.append(attribute(Attribute.ALG_CRYPT, _algorithm(self.cipher)))
        if self.mac is not None:
            parts.append(attribute(Attribute.ALG_AUTH_TRUNC, _algorithm(self.mac, self.mac.icv_bits)))
        if self.replay is not None:
            parts.append(attribute(Attribute.REPLAY_ESN_VAL, self.replay.encode()))
        if self.udp is not None:
            encap = _ENCAP.pack(UDP_ENCAP_ESPINUDP) + _PORTS.pack(*self.udp) + bytes(18)
            parts.append(attribute(Attribute.ENCAP, encap))
        if self.interface:
            parts.append(attribute(Attribute.IF_ID, _U32.pack(self.interface)))
        return b"".join(parts)


def _head(state: State) -> bytes:
    """`struct xfrm_usersa_info`, 224 octets."""
    tunnel = state.mode is Mode.TUNNEL
    flags = (FLAG_ESN if state.esn else 0) | (FLAG_AF_UNSPEC if tunnel and not state.selector.family else 0)
    flags |= FLAG_NO_DF if state.clear_df else 0
    rest = _STATE_REST.pack(0, 0, 0, 0, state.reqid, family_of(state.destination), state.mode, 0, flags)
    return b"".join(
        (
            state.selector.encode(),
            sa_id(state.destination, state.spi),
            pack_address(state.source),
            state.limits.encode(),
            Current().encode(),
            rest,
        )
    )


def sa_id(destination: Address | None, spi: int) -> bytes:
    """`struct xfrm_id`, 24 octets, of ESP."""
    return pack_address(destination) + _ID_REST.pack(spi, ESP)


def _algorithm(algorithm: Algorithm, icv_bits: int | None = None) -> bytes:
    """`struct xfrm_algo`, or with an ICV length `xfrm_algo_aead` and `xfrm_algo_auth`."""
    bits = [len(algorithm.key) * 8] + ([] if icv_bits is None else [icv_bits])
    return algorithm.name.encode().ljust(64, b"\0") + b"".join(map(_U32.pack, bits)) + algorithm.key


def algorithms(suite: EspSuite, encryption: bytes, integrity: bytes) -> tuple[Algorithm, Algorithm | None, bool]:
    """Cipher, MAC and whether the cipher is an AEAD; LocalError for what the kernel has no name for."""
    row = suite.encryption
    name = (AEADS if row.aead else CIPHERS).get(row.id)
    mac = None if suite.integrity is None else MACS.get(suite.integrity.id)
    if name is None or (suite.integrity is not None and mac is None):
        raise LocalError(f"the kernel data plane has no {suite.text}")
    cipher = Algorithm(name, encryption, row.icv_octets * 8)
    if suite.integrity is None or mac is None:
        return cipher, None, row.aead
    return cipher, Algorithm(mac, integrity, suite.integrity.icv_octets * 8), row.aead


@dataclass(frozen=True, slots=True)
class StateSeen:
    """A state as the kernel shows it, with what it has counted: packets outside the window, replayed, forged.

    `raw`: the attributes as they came, keys among them, for adding it again; never in the repr.
    """

    source: Address
    destination: Address
    spi: int
    protocol: int
    mode: int
    reqid: int
    selector: Selector
    limits: Limits
    current: Current
    outside_window: int
    replayed: int
    forged: int
    sequence: int
    flags: int
    interface: int
    replay: Replay | None
    udp: tuple[int, int] | None
    head: bytes = field(repr=False)
    raw: dict[int, bytes] = field(repr=False)

    @property
    def dropped(self) -> int:
        """Packets that reached it and did not pass."""
        return self.outside_window + self.replayed + self.forged


def decode_state(body: bytes) -> StateSeen:
    """The body of a NEWSA as the kernel sends it; XfrmError for another shape."""
    need(body, STATE_OCTETS, "state")
    at = SELECTOR_OCTETS
    spi, protocol = _ID_REST.unpack_from(body, at + 16)
    after = at + 24 + 16 + LIMITS_OCTETS
    outside, replayed, forged, sequence, reqid, family, mode, _, flags = _STATE_REST.unpack_from(body, _BEFORE)
    source, destination = unpack_address(body[at + 24 : at + 40], family), unpack_address(body[at : at + 16], family)
    if source is None or destination is None:
        raise XfrmError(f"state: address family had {family}, wanted 2 or 10")
    found = attributes(body[STATE_OCTETS:])
    encap = found.get(Attribute.ENCAP, b"")
    return StateSeen(
        source=source,
        destination=destination,
        spi=spi,
        protocol=protocol,
        mode=mode,
        reqid=reqid,
        selector=Selector.decode(body),
        limits=Limits.decode(body[at + 40 :]),
        current=Current.decode(body[after:]),
        outside_window=outside,
        replayed=replayed,
        forged=forged,
        sequence=sequence,
        flags=flags,
        interface=u32(found, Attribute.IF_ID),
        replay=_replay(found),
        udp=None if len(encap) < 6 else _PORTS.unpack_from(encap, 2),
        head=body[:STATE_OCTETS],
        raw=found,
    )


def _replay(found: dict[int, bytes]) -> Replay | None:
    new, old = found.get(Attribute.REPLAY_ESN_VAL), found.get(Attribute.REPLAY_VAL)
    if new is not None:
        return Replay.decode(new)
    if old is None:
        return None
    need(old, _OLD_REPLAY.size, "replay state")
    sent, highest, seen = _OLD_REPLAY.unpack_from(old)
    return Replay(32, sent, highest, (seen,))


def u32(found: dict[int, bytes], kind: Attribute) -> int:
    """An attribute of four octets, 0 where it is absent."""
    value = found.get(kind)
    return int(_U32.unpack_from(value)[0]) if value is not None and len(value) >= 4 else 0


_KEPT = (
    *(Attribute.ALG_AEAD, Attribute.ALG_CRYPT, Attribute.ALG_AUTH_TRUNC, Attribute.REPLAY_ESN_VAL),
    *(Attribute.REPLAY_VAL, Attribute.SA_EXTRA_FLAGS, Attribute.IF_ID),
)


def moved(
    seen: StateSeen,
    source: Address,
    destination: Address,
    udp: tuple[int, int] | None,
    limits: Limits | None = None,
    *,
    skipped: int = 0,
) -> bytes:
    """The body of a NEWSA or UPDSA that has the state's keys, numbers and counters under another path or limits.

    `skipped`: so many sequence numbers are left out.
    """
    head = bytearray(seen.head)
    at = SELECTOR_OCTETS
    head[at : at + 16] = pack_address(destination)
    head[at + 24 : at + 40] = pack_address(source)
    if limits is not None:
        head[at + 40 : at + 40 + LIMITS_OCTETS] = limits.encode()
    parts = [bytes(head), attribute(Attribute.LTIME_VAL, seen.current.encode())]
    parts += [attribute(kind, _further(kind, seen.raw[kind], skipped)) for kind in _KEPT if kind in seen.raw]
    if udp is not None:
        encap = _ENCAP.pack(UDP_ENCAP_ESPINUDP) + _PORTS.pack(*udp) + bytes(18)
        parts.append(attribute(Attribute.ENCAP, encap))
    return b"".join(parts)


def _further(kind: Attribute, value: bytes, skipped: int) -> bytes:
    """An attribute with the sequence number of the last packet sent raised by `skipped`."""
    if kind is Attribute.REPLAY_ESN_VAL:
        replay = Replay.decode(value)
        return replace(replay, sent=replay.sent + skipped).encode()
    if kind is Attribute.REPLAY_VAL:
        sent, *others = _OLD_REPLAY.unpack_from(value)
        return _OLD_REPLAY.pack(min(sent + skipped, _LOW), *others)
    return value


def which(destination: Address, spi: int) -> bytes:
    """The body of GETSA and DELSA: `struct xfrm_usersa_id`, 24 octets."""
    return _SA_ID.pack(pack_address(destination), spi) + _SA_ID_REST.pack(family_of(destination), ESP)


def allocation(
    source: Address | None,
    destination: Address,
    reqid: int,
    first: int,
    last: int,
    *,
    mode: Mode = Mode.TUNNEL,
    sequence: int = 0,
    interface: int = 0,
) -> bytes:
    """The body of ALLOCSPI: a SPI from `first` to `last` for ESP to `destination`.

    `sequence` names a state that waits for its SA (out of an acquire), which gets the SPI.
    """
    rest = _STATE_REST.pack(0, 0, 0, sequence, reqid, family_of(destination), mode, 0, 0)
    info = b"".join(
        (
            bytes(SELECTOR_OCTETS),
            sa_id(destination, 0),
            pack_address(source),
            Limits().encode(),
            Current().encode(),
            rest,
        )
    )
    asked = info + struct.pack("=II", first, last)
    return asked + (attribute(Attribute.IF_ID, _U32.pack(interface)) if interface else b"")
