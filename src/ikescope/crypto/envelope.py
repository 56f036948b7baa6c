"""The Encrypted payload: seals inner payloads into a whole datagram and opens one (RFC 7296 3.14, RFC 5282, RFC 7383).

An `Envelope` belongs to one IKE SA and one of its ends. It keeps one cipher context and one HMAC per direction.
"""

from __future__ import annotations

import hmac
import struct
from abc import ABC, abstractmethod

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from ikescope.crypto.cipher import BLOCK, CbcDecryptor, CbcEncryptor
from ikescope.crypto.keys import IkeKeys
from ikescope.crypto.mac import Hmac
from ikescope.crypto.rand import Random
from ikescope.crypto.suites import Encryption, IkeSuite, Integrity
from ikescope.errors import PeerError
from ikescope.wire.registry import EncryptionId, PayloadType

_VERSION = 0x20
_HEADER = struct.Struct(">8s8sBBBBII")  # RFC 7296 section 3.1
_SK_HEADER = struct.Struct(">BBH")  # RFC 7296 section 3.2
_SKF_HEADER = struct.Struct(">BBHHH")  # RFC 7383 section 2.5

AEADS: dict[EncryptionId, type[AESGCM] | type[ChaCha20Poly1305]] = {
    EncryptionId.ENCR_AES_GCM_16: AESGCM,
    EncryptionId.ENCR_CHACHA20_POLY1305: ChaCha20Poly1305,
}
"""By encryption transform ID."""


class EnvelopeError(PeerError):
    """Lengths or ICV of the Encrypted payload are wrong: anyone may have sent it, so nobody is answered."""

    notify: int | None = None
    section = "RFC 7296 section 3.14"


class EnvelopeContentError(EnvelopeError):
    """The ICV is right, what it protects is not a padded plaintext: the peer itself sent it (INVALID_SYNTAX)."""

    notify = 7
    section = "RFC 7296 section 2.21"


class Sealer(ABC):
    """The sending direction: what follows the header of the Encrypted payload."""

    __slots__ = ()

    @abstractmethod
    def octets(self, inner: int) -> int:
        """How many octets `seal` makes of so many inner ones."""

    @abstractmethod
    def seal(self, head: bytes, inner: bytes, random: Random) -> bytes:
        """IV | ciphertext | ICV; `head` is the datagram up to there, which the ICV covers."""


class Opener(ABC):
    """The receiving direction."""

    __slots__ = ()
    fixed: int
    """IV and ICV together: fewer octets than these and one more cannot be a sealed part."""

    @abstractmethod
    def open(self, datagram: bytes, start: int) -> bytes:
        """Plaintext with padding and pad length; `start` is where the IV begins. EnvelopeError for a wrong ICV."""


class AeadSealer(Sealer):
    """AES-GCM and ChaCha20-Poly1305: the nonce is salt | IV, the IV counts the messages sent, there is no padding."""

    __slots__ = ("_aead", "_iv", "_overhead", "_salt")

    def __init__(self, encryption: Encryption, key: bytes, first_iv: int) -> None:
        self._aead = AEADS[encryption.id](key[: encryption.key_octets])
        self._salt = key[encryption.key_octets :]
        self._iv = first_iv
        self._overhead = encryption.iv_octets + 1 + encryption.icv_octets

    def octets(self, inner: int) -> int:
        """IV, inner octets, pad length, ICV."""
        return inner + self._overhead

    def seal(self, head: bytes, inner: bytes, random: Random) -> bytes:
        """With the next IV; `random` is not asked."""
        # An IV used twice under one key gives an AEAD away: so a counter, not a random number (RFC 5282 section 3.1).
        iv = self._iv.to_bytes(8, "big")
        self._iv += 1
        return iv + self._aead.encrypt(self._salt + iv, inner + b"\x00", head)


class AeadOpener(Opener):
    """AES-GCM and ChaCha20-Poly1305; the `key` of both classes ends with the salt."""

    __slots__ = ("_aead", "_salt", "fixed")

    def __init__(self, encryption: Encryption, key: bytes) -> None:
        self._aead = AEADS[encryption.id](key[: encryption.key_octets])
        self._salt = key[encryption.key_octets :]
        self.fixed = encryption.iv_octets + encryption.icv_octets

    def open(self, datagram: bytes, start: int) -> bytes:
        """Decrypts and verifies in one step."""
        body = start + 8
        try:
            # Everything before the IV is associated data, unencrypted payloads too (RFC 5282 section 5.1).
            return self._aead.decrypt(self._salt + datagram[start:body], datagram[body:], datagram[:start])
        except InvalidTag:
            raise _icv_error(datagram[-16:]) from None


class CbcSealer(Sealer):
    """AES-CBC, then HMAC over the whole message; padding is as short as it can be."""

    __slots__ = ("_cbc", "_hmac", "_icv_octets")

    def __init__(self, integrity: Integrity, encr_key: bytes, integ_key: bytes) -> None:
        self._cbc = CbcEncryptor(encr_key)
        self._hmac = Hmac(integrity.hash, integ_key)
        self._icv_octets = integrity.icv_octets

    def octets(self, inner: int) -> int:
        """IV, whole blocks, ICV."""
        return BLOCK + (inner // BLOCK + 1) * BLOCK + self._icv_octets

    def seal(self, head: bytes, inner: bytes, random: Random) -> bytes:
        """With an IV made of 16 octets of `random`."""
        ##= rfc7296#section-3.14
        ##% Senders MUST select a new unpredictable IV for every message;
        ##% recipients MUST accept any value.
        # The IV is what this random block encrypts to.
        first = random(BLOCK)
        pad = BLOCK - 1 - len(inner) % BLOCK
        sealed = self._cbc.encrypt(first, inner + bytes(pad) + bytes((pad,)))
        return sealed + self._hmac.digest(head + sealed)[: self._icv_octets]


class CbcOpener(Opener):
    """AES-CBC and HMAC; the ICV is verified first."""

    __slots__ = ("_cbc", "_hmac", "_icv_octets", "fixed")

    def __init__(self, integrity: Integrity, encr_key: bytes, integ_key: bytes) -> None:
        self._cbc = CbcDecryptor(encr_key)
        self._hmac = Hmac(integrity.hash, integ_key)
        self._icv_octets = integrity.icv_octets
        self.fixed = BLOCK + integrity.icv_octets

    def open(self, datagram: bytes, start: int) -> bytes:
        """Verifies, then decrypts; EnvelopeContentError where the ciphertext is not whole blocks."""
        end = len(datagram) - self._icv_octets
        if not hmac.compare_digest(self._hmac.digest(datagram[:end])[: self._icv_octets], datagram[end:]):
            raise _icv_error(datagram[end:])
        if (end - start) % BLOCK:
            raise EnvelopeContentError(
                f"ciphertext of the Encrypted payload: had {end - start - BLOCK}, wanted a multiple of {BLOCK}",
                had=end - start - BLOCK,
                wanted=BLOCK,
            )
        return self._cbc.decrypt(datagram[start:end])


def _icv_error(icv: bytes) -> EnvelopeError:
    return EnvelopeError(f"ICV of {len(icv)} octets does not verify", check="icv", icv_octets=len(icv))


class Envelope:
    """Seals what one end of an IKE SA sends and opens what it receives.

    `initiator`: this end is the original initiator of the SA. `first_iv` is where the counter of AEAD IVs begins.
    """

    __slots__ = ("_opener", "_sealer", "suite")

    def __init__(self, suite: IkeSuite, keys: IkeKeys, initiator: bool, *, first_iv: int = 1) -> None:
        own = (keys.sk_ei, keys.sk_ai) if initiator else (keys.sk_er, keys.sk_ar)
        self._sealer: Sealer
        if suite.integrity is None:
            self._sealer = AeadSealer(suite.encryption, own[0], first_iv)
        else:
            self._sealer = CbcSealer(suite.integrity, *own)
        self._read(suite, keys, initiator)

    @classmethod
    def reader(cls, suite: IkeSuite, keys: IkeKeys, initiator: bool) -> Envelope:
        """One that only opens."""
        self = cls.__new__(cls)
        self._read(suite, keys, initiator)
        return self

    def _read(self, suite: IkeSuite, keys: IkeKeys, initiator: bool) -> None:
        self.suite = suite
        peer = (keys.sk_er, keys.sk_ar) if initiator else (keys.sk_ei, keys.sk_ai)
        self._opener: Opener
        if suite.integrity is None:
            self._opener = AeadOpener(suite.encryption, peer[0])
        else:
            self._opener = CbcOpener(suite.integrity, *peer)

    def __repr__(self) -> str:
        return f"Envelope({self.suite.text})"

    def sealed_octets(self, inner: int, *, fragment: bool = False) -> int:
        """How long the datagram is that `seal` (or `seal_fragment`) makes of so many inner octets."""
        head = _HEADER.size + (_SKF_HEADER.size if fragment else _SK_HEADER.size)
        return head + self._sealer.octets(inner)

    def seal(
        self,
        spi_i: bytes,
        spi_r: bytes,
        exchange: int,
        flags: int,
        message_id: int,
        first_payload: int,
        inner: bytes,
        random: Random,
    ) -> bytes:
        """A whole datagram: IKE header and one Encrypted payload with `inner`, whose first payload is `first_payload`.

        SPIs of 8 octets; `flags` is the octet of the header; `inner` may be empty (then `first_payload` is 0).
        """
        total = self.sealed_octets(len(inner))
        head = _HEADER.pack(spi_i, spi_r, PayloadType.SK, _VERSION, exchange, flags, message_id, total)
        head += _SK_HEADER.pack(first_payload, 0, total - _HEADER.size)
        return head + self._sealer.seal(head, inner, random)

    def seal_fragment(
        self,
        spi_i: bytes,
        spi_r: bytes,
        exchange: int,
        flags: int,
        message_id: int,
        first_payload: int,
        inner: bytes,
        random: Random,
        *,
        number: int,
        total: int,
    ) -> bytes:
        """One fragment of a message (RFC 7383): a part of the inner octets, `number` from 1 to `total`.

        `first_payload` is that of the message in the first fragment and 0 in the others.
        """
        octets = self.sealed_octets(len(inner), fragment=True)
        head = _HEADER.pack(spi_i, spi_r, PayloadType.SKF, _VERSION, exchange, flags, message_id, octets)
        head += _SKF_HEADER.pack(first_payload, 0, octets - _HEADER.size, number, total)
        return head + self._sealer.seal(head, inner, random)

    def open(self, datagram: bytes, sk_offset: int, *, fragment: bool = False) -> bytes:
        """The inner octets of a datagram whose Encrypted payload has its generic header at `sk_offset`.

        `fragment`: it is an Encrypted Fragment payload. The datagram is the IKE message alone, without non-ESP marker.
        EnvelopeError where lengths or ICV are wrong, EnvelopeContentError where the padding is.
        """
        start = sk_offset + (_SKF_HEADER.size if fragment else _SK_HEADER.size)
        if len(datagram) < start + self._opener.fixed + 1:
            raise _length_error("sealed part", len(datagram) - start, self._opener.fixed + 1)
        declared = int.from_bytes(datagram[24:28], "big")
        if declared != len(datagram):
            raise _length_error("IKE header's length", declared, len(datagram))
        declared = int.from_bytes(datagram[sk_offset + 2 : sk_offset + 4], "big")
        if declared != len(datagram) - sk_offset:
            raise _length_error("Encrypted payload's length", declared, len(datagram) - sk_offset)
        return self.open_body(datagram, start)

    def open_body(self, datagram: bytes, start: int) -> bytes:
        """As `open`, the IV being at `start`, where the lengths in both headers are known to be right."""
        if len(datagram) < start + self._opener.fixed + 1:
            raise _length_error("sealed part", len(datagram) - start, self._opener.fixed + 1)
        padded = self._opener.open(datagram, start)
        inner = len(padded) - 1 - padded[-1]
        if inner < 0:
            raise EnvelopeContentError(
                f"pad length: had {padded[-1]}, wanted at most {len(padded) - 1}",
                had=padded[-1],
                wanted=len(padded) - 1,
            )
        return padded[:inner]


def _length_error(what: str, had: int, wanted: int) -> EnvelopeError:
    return EnvelopeError(f"{what}: had {had}, wanted {wanted}", check="length", had=had, wanted=wanted)
