"""The cryptography of ESP packets (RFC 4303, RFC 4106, RFC 7634), one kept context per SA.

A sealer or opener belongs to one SA, that is one direction. Padding, next header and the replay window are the
caller's. AEAD: the IV is the 64-bit sequence number, which no two packets of an SA share. AES-CBC: the IV is the
sequence number chained and encrypted under the SA's key (see `cipher.CbcEncryptor`): nobody can foresee it who does
not have the key, and it costs no randomness for each packet. Linux does the same (its echainiv).

A run is many packets of one size in one buffer: `seal_run` and `open_run` do the same work without an object for each.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag

from ikescope.crypto.cipher import BLOCK, CbcDecryptor, CbcEncryptor
from ikescope.crypto.envelope import AEADS
from ikescope.crypto.lanes import Lanes
from ikescope.crypto.mac import Hmac
from ikescope.crypto.suites import EspSuite
from ikescope.errors import PeerError


class Desk(Protocol):
    """Seals and opens runs of packets that an AEAD protects (`planes.esp_runs`); handed in, for it needs numpy."""

    def seal(
        self,
        encrypt: _Into,
        salt: bytes,
        esn: bool,
        spi: int,
        first: int,
        plain: Lanes,
        start: int,
        size: int,
        row: int,
        count: int,
        out: Lanes,
        at: int,
    ) -> None:
        """Seal `count` plaintexts of `size` octets into the lanes of `out` from `at` on."""

    def open(
        self,
        decrypt: _Into,
        salt: bytes,
        esn_high: int | None,
        packets: Lanes,
        size: int,
        row: int,
        count: int,
        plain: Lanes,
    ) -> None:
        """Open `count` packets of `size` octets into the lanes of `plain`; raises what `decrypt` raises."""


_desks: list[Desk] = []


def work_on(desk: Desk) -> None:
    """Runs are sealed and opened there from now on, one after another, in this process."""
    _desks[:] = [desk]


_HEADER = struct.Struct(">II")
_HIGH = struct.Struct(">I")
_AAD_ESN = struct.Struct(">III")
_CBC_FIRST = struct.Struct(">QII")
_LOW = 0xFFFFFFFF


Octets = bytes | bytearray | memoryview
_Into = Callable[[Octets, Octets, Octets, memoryview], object]


class EspCipherError(PeerError):
    """An ESP packet is too short, misaligned or its ICV does not verify; it is dropped (RFC 4303 section 3.4.4)."""

    notify = None
    section = "RFC 4303 section 3.4.4"


class Seal(Protocol):
    """Seals one packet."""

    def __call__(self, spi: int, seq: int, esn_high: int, plaintext: bytes) -> bytes:
        """The whole packet: SPI, sequence number, IV, ciphertext, ICV.

        `plaintext` ends with padding, pad length and next header and is a multiple of the suite's `esp_alignment`;
        `seq` and `esn_high` are the halves of the sequence number (`esn_high` 0 without ESN), never used twice.
        """


class Open(Protocol):
    """Opens one packet."""

    def __call__(self, packet: bytes, esn_high: int = 0) -> bytes:
        """The plaintext with its trailer; EspCipherError where it does not verify. `esn_high` is inferred."""


class SealRun(Protocol):
    """Seals a run of packets."""

    def __call__(
        self, spi: int, first: int, plain: Lanes, start: int, size: int, row: int, count: int, out: Lanes, at: int
    ) -> None:
        """Seal `count` plaintexts of `size` octets, which stand `start` in the lanes of `plain` from `row` on, into the
        lanes of `out` from `at` on, whose stride is `size` and `overhead`.

        `first` is the whole sequence number of the first, the others follow it. `out` is 16 octets longer than all.
        """


class OpenRun(Protocol):
    """Opens a run of packets."""

    def __call__(self, packets: Lanes, size: int, row: int, count: int, esn_high: int, plain: Lanes) -> bool:
        """Verify and open `count` packets of `size` octets in the lanes of `packets` from `row` on, into the same lanes
        of `plain`; whether all of them verify.

        A plaintext takes `EspOpener.row(size)` octets there, of which the first `EspOpener.lead` mean nothing; `plain`
        is 16 octets longer than all of them. After False nothing in it may be used.
        """


class EspSealer:
    """Seals the packets of one outbound SA; `key` with the salt of an AEAD, `integ_key` empty with one."""

    __slots__ = ("overhead", "seal", "seal_run")
    seal: Seal
    seal_run: SealRun

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes = b"") -> None:
        sealer = _SEALERS[_kind(suite)](suite, key, integ_key)
        self.seal, self.seal_run = sealer.seal, sealer.seal_run
        self.overhead = _overhead(suite)


class EspOpener:
    """Opens the packets of one inbound SA; `key` with the salt of an AEAD, `integ_key` empty with one."""

    __slots__ = ("_around", "lead", "open", "open_run")
    open: Open
    open_run: OpenRun

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes = b"") -> None:
        opener = _OPENERS[_kind(suite)](suite, key, integ_key)
        self.open, self.open_run = opener.open, opener.open_run
        self.lead = BLOCK if _kind(suite) == "cbc" else 0
        self._around = _overhead(suite) - self.lead

    def row(self, size: int) -> int:
        """Octets that the plaintext of a packet of `size` octets takes in a run."""
        return size - self._around


class _Sealer(Protocol):
    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None: ...
    def seal(self, spi: int, seq: int, esn_high: int, plaintext: bytes) -> bytes: ...
    def seal_run(
        self, spi: int, first: int, plain: Lanes, start: int, size: int, row: int, count: int, out: Lanes, at: int
    ) -> None: ...


class _Opener(Protocol):
    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None: ...
    def open(self, packet: bytes, esn_high: int = 0) -> bytes: ...
    def open_run(self, packets: Lanes, size: int, row: int, count: int, esn_high: int, plain: Lanes) -> bool: ...


class _AeadSealer:
    __slots__ = ("_aead", "_esn", "_salt")

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None:
        octets = suite.encryption.key_octets
        self._aead = AEADS[suite.encryption.id](key[:octets])
        self._salt = key[octets:]
        self._esn = suite.esn

    def seal(self, spi: int, seq: int, esn_high: int, plaintext: bytes) -> bytes:
        header = _HEADER.pack(spi, seq)
        iv = _HEADER.pack(esn_high, seq)
        aad = _AAD_ESN.pack(spi, esn_high, seq) if self._esn else header
        return header + iv + self._aead.encrypt(self._salt + iv, plaintext, aad)

    def seal_run(
        self, spi: int, first: int, plain: Lanes, start: int, size: int, row: int, count: int, out: Lanes, at: int
    ) -> None:
        encrypt = _encrypt_into(self._aead)
        _desks[0].seal(encrypt, self._salt, self._esn, spi, first, plain, start, size, row, count, out, at)


class _AeadOpener:
    __slots__ = ("_aead", "_esn", "_least", "_salt")

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None:
        octets = suite.encryption.key_octets
        self._aead = AEADS[suite.encryption.id](key[:octets])
        self._salt = key[octets:]
        self._esn = suite.esn
        self._least = _least(suite)

    def open(self, packet: bytes, esn_high: int = 0) -> bytes:
        if len(packet) < self._least:
            raise _too_short(packet, self._least)
        aad = packet[:8]
        if self._esn:
            aad = aad[:4] + _HIGH.pack(esn_high) + aad[4:]
        try:
            return self._aead.decrypt(self._salt + packet[8:16], packet[16:], aad)
        except InvalidTag:
            raise _icv_error(packet) from None

    def open_run(self, packets: Lanes, size: int, row: int, count: int, esn_high: int, plain: Lanes) -> bool:
        if size < self._least:
            return False
        decrypt, high = _decrypt_into(self._aead), esn_high if self._esn else None
        try:
            _desks[0].open(decrypt, self._salt, high, packets, size, row, count, plain)
        except InvalidTag:
            return False
        return True


class _CbcSealer:
    __slots__ = ("_cbc", "_esn", "_hmac", "_icv_octets")

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None:
        assert suite.integrity is not None
        self._cbc = CbcEncryptor(key)
        self._hmac = Hmac(suite.integrity.hash, integ_key)
        self._icv_octets = suite.integrity.icv_octets
        self._esn = suite.esn

    def seal(self, spi: int, seq: int, esn_high: int, plaintext: bytes) -> bytes:
        packet = _HEADER.pack(spi, seq) + self._cbc.encrypt(_CBC_FIRST.pack(spi, esn_high, seq), plaintext)
        covered = packet + _HIGH.pack(esn_high) if self._esn else packet
        return packet + self._hmac.digest(covered)[: self._icv_octets]

    def seal_run(
        self, spi: int, first: int, plain: Lanes, start: int, size: int, row: int, count: int, out: Lanes, at: int
    ) -> None:
        digest, encrypt, icv = self._hmac.digest, self._cbc.encrypt_into, self._icv_octets
        body = 8 + BLOCK + size
        plains, packets = plain.cut(start, size, row, count), out.cut(0, body + icv + BLOCK, at, count)
        for sequence, padded, packet in zip(range(first, first + count), plains, packets, strict=True):
            high, low = sequence >> 32, sequence & _LOW
            _HEADER.pack_into(packet, 0, spi, low)
            encrypt(_CBC_FIRST.pack(spi, high, low), padded, packet[8:])
            covered = bytes(packet[:body]) + _HIGH.pack(high) if self._esn else packet[:body]
            packet[body : body + icv] = digest(covered)[:icv]


class _HmacOpener:
    """What AES-CBC and NULL share: the ICV is verified before anything is decrypted."""

    __slots__ = ("_esn", "_hmac", "_icv_octets", "_least")

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None:
        assert suite.integrity is not None
        self._hmac = Hmac(suite.integrity.hash, integ_key)
        self._icv_octets = suite.integrity.icv_octets
        self._esn = suite.esn
        self._least = _least(suite)

    def _verified(self, packet: bytes, esn_high: int) -> bytes:
        """IV and ciphertext."""
        if len(packet) < self._least:
            raise _too_short(packet, self._least)
        covered = packet[: -self._icv_octets]
        body = covered[8:]
        if self._esn:
            covered += _HIGH.pack(esn_high)
        if not hmac.compare_digest(self._hmac.digest(covered)[: self._icv_octets], packet[-self._icv_octets :]):
            raise _icv_error(packet)
        return body

    def _run_verified(self, packets: Lanes, size: int, row: int, count: int, esn_high: int) -> bool:
        digest, icv = self._hmac.digest, self._icv_octets
        if size < self._least:
            return False
        bodies, icvs = packets.cut(0, size - icv, row, count), packets.cut(size - icv, icv, row, count)
        for body, sent in zip(bodies, icvs, strict=True):
            covered = bytes(body) + _HIGH.pack(esn_high) if self._esn else body
            if not hmac.compare_digest(digest(covered)[:icv], sent):
                return False
        return True


class _CbcOpener(_HmacOpener):
    __slots__ = ("_cbc",)

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None:
        super().__init__(suite, key, integ_key)
        self._cbc = CbcDecryptor(key)

    def open(self, packet: bytes, esn_high: int = 0) -> bytes:
        body = self._verified(packet, esn_high)
        if len(body) % BLOCK:
            raise EspCipherError(
                f"ESP ciphertext: had {len(body) - BLOCK}, wanted a multiple of {BLOCK}",
                had=len(body) - BLOCK,
                wanted=BLOCK,
            )
        return self._cbc.decrypt(body)

    def open_run(self, packets: Lanes, size: int, row: int, count: int, esn_high: int, plain: Lanes) -> bool:
        octets = size - self._icv_octets - 8
        if octets % BLOCK or not self._run_verified(packets, size, row, count, esn_high):
            return False
        bodies, plains = packets.cut(8, octets, row, count), plain.cut(0, octets + BLOCK, row, count)
        for body, into in zip(bodies, plains, strict=True):
            self._cbc.decrypt_into(body, into)
        return True


class _NullSealer:
    __slots__ = ("_esn", "_hmac", "_icv_octets")

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None:
        assert suite.integrity is not None
        self._hmac = Hmac(suite.integrity.hash, integ_key)
        self._icv_octets = suite.integrity.icv_octets
        self._esn = suite.esn

    def seal(self, spi: int, seq: int, esn_high: int, plaintext: bytes) -> bytes:
        packet = _HEADER.pack(spi, seq) + plaintext
        covered = packet + _HIGH.pack(esn_high) if self._esn else packet
        return packet + self._hmac.digest(covered)[: self._icv_octets]

    def seal_run(
        self, spi: int, first: int, plain: Lanes, start: int, size: int, row: int, count: int, out: Lanes, at: int
    ) -> None:
        octets = size + 8 + self._icv_octets
        plains, packets = plain.cut(start, size, row, count), out.cut(0, octets, at, count)
        for sequence, plaintext, packet in zip(range(first, first + count), plains, packets, strict=True):
            packet[:] = self.seal(spi, sequence & _LOW, sequence >> 32, bytes(plaintext))


class _NullOpener(_HmacOpener):
    __slots__ = ()

    def open(self, packet: bytes, esn_high: int = 0) -> bytes:
        return self._verified(packet, esn_high)

    def open_run(self, packets: Lanes, size: int, row: int, count: int, esn_high: int, plain: Lanes) -> bool:
        if not self._run_verified(packets, size, row, count, esn_high):
            return False
        octets = size - 8 - self._icv_octets
        for body, into in zip(packets.cut(8, octets, row, count), plain.cut(0, octets, row, count), strict=True):
            into[:] = body
        return True


_SEALERS: dict[str, type[_Sealer]] = {"aead": _AeadSealer, "cbc": _CbcSealer, "null": _NullSealer}
_OPENERS: dict[str, type[_Opener]] = {"aead": _AeadOpener, "cbc": _CbcOpener, "null": _NullOpener}


def _encrypt_into(aead: Any) -> _Into:
    """`encrypt_into` of an AEAD; made of `encrypt` where the library is too old for it."""
    into: _Into | None = getattr(aead, "encrypt_into", None)
    return into if into is not None else _made_into(aead.encrypt)


def _decrypt_into(aead: Any) -> _Into:
    into: _Into | None = getattr(aead, "decrypt_into", None)
    return into if into is not None else _made_into(aead.decrypt)


def _made_into(work: Callable[[Octets, Octets, Octets], bytes]) -> _Into:
    def into(nonce: Octets, data: Octets, aad: Octets, to: memoryview) -> None:
        to[:] = work(nonce, data, aad)

    return into


def _kind(suite: EspSuite) -> str:
    if suite.encryption.aead:
        return "aead"
    return "cbc" if suite.encryption.iv_octets else "null"


def _overhead(suite: EspSuite) -> int:
    """What a packet has around its padded plaintext: header, IV, ICV."""
    encryption = suite.encryption
    icv = encryption.icv_octets if suite.integrity is None else suite.integrity.icv_octets
    return _HEADER.size + encryption.iv_octets + icv


def _least(suite: EspSuite) -> int:
    """The shortest packet: one unit of alignment, and what is around it."""
    return _overhead(suite) + suite.encryption.esp_alignment


def _too_short(packet: bytes, least: int) -> EspCipherError:
    return EspCipherError(f"ESP packet: had {len(packet)}, wanted at least {least}", had=len(packet), wanted=least)


def _icv_error(packet: bytes) -> EspCipherError:
    spi, seq = _HEADER.unpack_from(packet)
    return EspCipherError(f"ICV of ESP packet {seq} to SPI 0x{spi:08x} does not verify", spi=spi, seq=seq)
