"""The netlink messages of XFRM (linux/netlink.h, linux/xfrm.h): numbers, header, attributes, and the parts that states
and policies share. Octets in and out, no socket. Fields are in the machine's order, addresses, ports and SPIs in the
network's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address

from ikescope.config.model import Address

ESP = 50
INFINITE = (1 << 64) - 1
"""A limit that is none."""
AF_UNSPEC, AF_INET, AF_INET6 = 0, 2, 10

NLM_REQUEST, NLM_ACK, NLM_EXCL, NLM_CREATE, NLM_DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_SELECTOR_ENDS = struct.Struct(">16s16sHHHH")
_SELECTOR_REST = struct.Struct("=HBBB3xiI")
SELECTOR_OCTETS = 56
_LIMITS = struct.Struct("=8Q")
LIMITS_OCTETS = _LIMITS.size
_CURRENT = struct.Struct("=4Q")
CURRENT_OCTETS = _CURRENT.size


class Message(IntEnum):
    """Message types."""

    NEWSA = 0x10
    DELSA = 0x11
    GETSA = 0x12
    NEWPOLICY = 0x13
    DELPOLICY = 0x14
    GETPOLICY = 0x15
    ALLOCSPI = 0x16
    ACQUIRE = 0x17
    EXPIRE = 0x18
    UPDPOLICY = 0x19
    UPDSA = 0x1A
    FLUSHSA = 0x1C
    MAPPING = 0x26


class Attribute(IntEnum):
    """Attribute types."""

    ALG_AUTH = 1
    ALG_CRYPT = 2
    ENCAP = 4
    TMPL = 5
    SA = 6
    POLICY = 7
    LTIME_VAL = 9
    REPLAY_VAL = 10
    SRCADDR = 13
    LASTUSED = 15
    ALG_AEAD = 18
    ALG_AUTH_TRUNC = 20
    MARK = 21
    REPLAY_ESN_VAL = 23
    SA_EXTRA_FLAGS = 24
    IF_ID = 31


class Group(IntEnum):
    """Multicast groups."""

    ACQUIRE = 1
    EXPIRE = 2
    SA = 3
    MAPPING = 8


class Mode(IntEnum):
    """What ESP wraps."""

    TRANSPORT = 0
    TUNNEL = 1


class XfrmError(ValueError):
    """A message of the kernel has another shape than ours; the text says what and how long."""


@dataclass(frozen=True, slots=True)
class Selector:
    """Which packets: (network, prefix length) of each end, IP protocol (0 any), (port, mask) of each end (mask 0 any).

    `family` 0 with both networks None: every packet of either IP version.
    """

    source: Address | None = None
    destination: Address | None = None
    source_prefix: int = 0
    destination_prefix: int = 0
    protocol: int = 0
    source_port: tuple[int, int] = (0, 0)
    destination_port: tuple[int, int] = (0, 0)
    family: int = AF_UNSPEC

    def encode(self) -> bytes:
        """`struct xfrm_selector`, 56 octets."""
        ends = _SELECTOR_ENDS.pack(
            pack_address(self.destination), pack_address(self.source), *self.destination_port, *self.source_port
        )
        return ends + _SELECTOR_REST.pack(self.family, self.destination_prefix, self.source_prefix, self.protocol, 0, 0)

    @classmethod
    def decode(cls, octets: bytes) -> Selector:
        """Out of 56 octets."""
        need(octets, SELECTOR_OCTETS, "selector")
        destination, source, dport, dmask, sport, smask = _SELECTOR_ENDS.unpack_from(octets)
        family, dprefix, sprefix, protocol, _, _ = _SELECTOR_REST.unpack_from(octets, _SELECTOR_ENDS.size)
        return cls(
            unpack_address(source, family),
            unpack_address(destination, family),
            sprefix,
            dprefix,
            protocol,
            (sport, smask),
            (dport, dmask),
            family,
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """Soft and hard limits of a state: octets, packets, seconds since it was added, seconds since its first use.

    Seconds: 0 is none; octets and packets: INFINITE is none.
    """

    soft_octets: int = INFINITE
    hard_octets: int = INFINITE
    soft_packets: int = INFINITE
    hard_packets: int = INFINITE
    soft_added: int = 0
    hard_added: int = 0
    soft_used: int = 0
    hard_used: int = 0

    def encode(self) -> bytes:
        """`struct xfrm_lifetime_cfg`, 64 octets."""
        return _LIMITS.pack(
            self.soft_octets,
            self.hard_octets,
            self.soft_packets,
            self.hard_packets,
            self.soft_added,
            self.hard_added,
            self.soft_used,
            self.hard_used,
        )

    @classmethod
    def decode(cls, octets: bytes) -> Limits:
        """Out of 64 octets."""
        need(octets, LIMITS_OCTETS, "limits")
        return cls(*_LIMITS.unpack_from(octets))


@dataclass(frozen=True, slots=True)
class Current:
    """What a state or policy has done so far: octets, packets, when it was added, when first used (since 1970)."""

    octets: int = 0
    packets: int = 0
    added: int = 0
    used: int = 0

    def encode(self) -> bytes:
        """`struct xfrm_lifetime_cur`, 32 octets."""
        return _CURRENT.pack(self.octets, self.packets, self.added, self.used)

    @classmethod
    def decode(cls, octets: bytes) -> Current:
        """Out of 32 octets."""
        need(octets, CURRENT_OCTETS, "current lifetime")
        return cls(*_CURRENT.unpack_from(octets))


EVERYTHING, UNLIMITED = Selector(), Limits()


def need(octets: bytes, wanted: int, what: str) -> None:
    """XfrmError where there are fewer octets than wanted."""
    if len(octets) < wanted:
        raise XfrmError(f"{what}: had {len(octets)}, wanted {wanted}")


def family_of(address: Address) -> int:
    """AF_INET or AF_INET6."""
    return AF_INET if address.version == 4 else AF_INET6


def pack_address(address: Address | None) -> bytes:
    """`xfrm_address_t`: 16 octets, an IPv4 address in the first four."""
    return bytes(16) if address is None else address.packed.ljust(16, b"\0")


def unpack_address(octets: bytes, family: int) -> Address | None:
    """Out of 16 octets; None for no family."""
    need(octets, 16, "address")
    if family == AF_INET:
        return IPv4Address(octets[:4])
    return IPv6Address(octets[:16]) if family == AF_INET6 else None


def attribute(kind: Attribute, value: bytes) -> bytes:
    """One attribute, padded to four octets."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(octets: bytes) -> dict[int, bytes]:
    """The values by type; XfrmError for a length that cannot be."""
    found, at = {}, 0
    while at + _ATTRIBUTE.size <= len(octets):
        length, kind = _ATTRIBUTE.unpack_from(octets, at)
        if not _ATTRIBUTE.size <= length <= len(octets) - at:
            raise XfrmError(f"attribute {kind}: had {length}, wanted {_ATTRIBUTE.size} to {len(octets) - at}")
        found[kind] = octets[at + _ATTRIBUTE.size : at + length]
        at += -(-length // 4) * 4
    return found


def message(kind: Message, body: bytes, *, flags: int, sequence: int) -> bytes:
    """A whole request."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_REQUEST, sequence, 0) + body


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the kernel: its type, the sequence number of the request, what follows the header."""

    kind: int
    sequence: int
    body: bytes

    @property
    def error(self) -> int:
        """The error number of a NLMSG_ERROR, 0 for an acknowledgement."""
        need(self.body, 4, "error")
        return -int.from_bytes(self.body[:4], "little" if _LITTLE else "big", signed=True)


_LITTLE = struct.pack("=H", 1) == b"\1\0"


def messages(octets: bytes) -> Iterator[Received]:
    """The messages of one datagram; XfrmError for a length that cannot be."""
    at = 0
    while at + _HEADER.size <= len(octets):
        length, kind, _, sequence, _ = _HEADER.unpack_from(octets, at)
        if not _HEADER.size <= length <= len(octets) - at:
            raise XfrmError(f"message {kind}: had {length}, wanted {_HEADER.size} to {len(octets) - at}")
        yield Received(kind, sequence, octets[at + _HEADER.size : at + length])
        at += -(-length // 4) * 4
