"""The cryptography of ESP packets (RFC 4303, RFC 4106, RFC 7634), one kept context per SA.

A sealer or opener belongs to one SA, that is one direction. Padding, next header and the replay window are the
caller's. AEAD: the IV is the 64-bit sequence number, which no two packets of an SA share. AES-CBC: the IV is the
sequence number chained and encrypted under the SA's key (see `cipher.CbcEncryptor`): nobody can foresee it who does
not have the key, and it costs no randomness for each packet. Linux does the same (its echainiv).
"""

from __future__ import annotations

import hmac
import struct
from typing import Protocol

from cryptography.exceptions import InvalidTag

from ikescope.crypto.cipher import BLOCK, CbcDecryptor, CbcEncryptor
from ikescope.crypto.envelope import AEADS
from ikescope.crypto.mac import Hmac
from ikescope.crypto.suites import EspSuite
from ikescope.errors import PeerError

_HEADER = struct.Struct(">II")
_HIGH = struct.Struct(">I")
_AAD_ESN = struct.Struct(">III")
_CBC_FIRST = struct.Struct(">QII")


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


class EspSealer:
    """Seals the packets of one outbound SA; `key` with the salt of an AEAD, `integ_key` empty with one."""

    __slots__ = ("seal",)
    seal: Seal

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes = b"") -> None:
        self.seal = _SEALERS[_kind(suite)](suite, key, integ_key).seal


class EspOpener:
    """Opens the packets of one inbound SA; `key` with the salt of an AEAD, `integ_key` empty with one."""

    __slots__ = ("open",)
    open: Open

    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes = b"") -> None:
        self.open = _OPENERS[_kind(suite)](suite, key, integ_key).open


class _Sealer(Protocol):
    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None: ...
    def seal(self, spi: int, seq: int, esn_high: int, plaintext: bytes) -> bytes: ...


class _Opener(Protocol):
    def __init__(self, suite: EspSuite, key: bytes, integ_key: bytes) -> None: ...
    def open(self, packet: bytes, esn_high: int = 0) -> bytes: ...


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


class _NullOpener(_HmacOpener):
    __slots__ = ()

    def open(self, packet: bytes, esn_high: int = 0) -> bytes:
        return self._verified(packet, esn_high)


_SEALERS: dict[str, type[_Sealer]] = {"aead": _AeadSealer, "cbc": _CbcSealer, "null": _NullSealer}
_OPENERS: dict[str, type[_Opener]] = {"aead": _AeadOpener, "cbc": _CbcOpener, "null": _NullOpener}


def _kind(suite: EspSuite) -> str:
    if suite.encryption.aead:
        return "aead"
    return "cbc" if suite.encryption.iv_octets else "null"


def _least(suite: EspSuite) -> int:
    """The shortest packet: header, IV, one unit of alignment, ICV."""
    encryption = suite.encryption
    icv = encryption.icv_octets if suite.integrity is None else suite.integrity.icv_octets
    return _HEADER.size + encryption.iv_octets + encryption.esp_alignment + icv


def _too_short(packet: bytes, least: int) -> EspCipherError:
    return EspCipherError(f"ESP packet: had {len(packet)}, wanted at least {least}", had=len(packet), wanted=least)


def _icv_error(packet: bytes) -> EspCipherError:
    spi, seq = _HEADER.unpack_from(packet)
    return EspCipherError(f"ICV of ESP packet {seq} to SPI 0x{spi:08x} does not verify", spi=spi, seq=seq)
