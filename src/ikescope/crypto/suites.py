"""The algorithms that ikescope speaks, one row each, and the suites that a chosen proposal names.

An algorithm is supported if and only if it has a row here. Octet counts are those of the wire and of KEYMAT;
`key_bits` is the value of the Key Length attribute (RFC 7296 section 3.3.5), 0 where the transform carries none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from ikescope.errors import LocalError
from ikescope.wire.registry.transform import EncryptionId, EsnId, IntegrityId, KeyExchangeId, PrfId, TransformType


class TransformLike(Protocol):
    """What a transform of a proposal has to offer; `wire.Transform` does."""

    @property
    def type(self) -> int:
        """IANA transform type."""

    @property
    def id(self) -> int:
        """IANA transform ID within its type."""

    @property
    def key_length(self) -> int | None:
        """Key Length attribute in bits, None without one."""


class SuiteError(LocalError):
    """A suite was asked for that these tables do not hold."""


class Encryption(msgspec.Struct, frozen=True):
    """An encryption algorithm.

    `key_octets` is without the salt that follows it in KEYMAT (`salt_octets`); `iv_octets` is the explicit IV on the
    wire; `icv_octets` is 0 unless `aead`; `block` is what the plaintext is padded to (1: nothing).
    """

    id: EncryptionId
    key_bits: int
    name: str
    key_octets: int
    salt_octets: int
    iv_octets: int
    icv_octets: int
    block: int
    aead: bool

    @property
    def keymat_octets(self) -> int:
        """What the algorithm takes from KEYMAT: key and salt."""
        return self.key_octets + self.salt_octets

    @property
    def esp_alignment(self) -> int:
        """What an ESP payload with its trailer is padded to, in octets (RFC 4303 section 2.4)."""
        return max(4, self.block)


class Integrity(msgspec.Struct, frozen=True):
    """An HMAC integrity algorithm; `hash` is the name of the hash in hashlib."""

    id: IntegrityId
    name: str
    key_octets: int
    icv_octets: int
    hash: str


class Prf(msgspec.Struct, frozen=True):
    """An HMAC pseudorandom function; `key_octets` is its preferred key size, that of its output (RFC 7296 2.13)."""

    id: PrfId
    name: str
    output_octets: int
    key_octets: int
    hash: str


def _cbc(bits: int) -> Encryption:
    return Encryption(EncryptionId.ENCR_AES_CBC, bits, f"AES-CBC-{bits}", bits // 8, 0, 16, 0, 16, False)


def _gcm(bits: int) -> Encryption:
    return Encryption(EncryptionId.ENCR_AES_GCM_16, bits, f"AES-GCM-{bits}", bits // 8, 4, 8, 16, 1, True)


_ENCRYPTION_ROWS = (
    *map(_cbc, (128, 192, 256)),  # RFC 3602
    *map(_gcm, (128, 192, 256)),  # RFC 4106, RFC 5282; ICV of 16 octets
    Encryption(EncryptionId.ENCR_CHACHA20_POLY1305, 0, "CHACHA20-POLY1305", 32, 4, 8, 16, 1, True),  # RFC 7634
    Encryption(EncryptionId.ENCR_NULL, 0, "NULL", 0, 0, 0, 0, 1, False),  # RFC 2410; ESP only
)
ENCRYPTIONS: dict[tuple[int, int], Encryption] = {(row.id, row.key_bits): row for row in _ENCRYPTION_ROWS}
"""By transform ID and Key Length attribute (0: none)."""

INTEGRITIES: dict[int, Integrity] = {
    row.id: row
    for row in (
        Integrity(IntegrityId.AUTH_HMAC_MD5_96, "MD596", 16, 12, "md5"),  # RFC 2403; configured on generation 15 alone
        Integrity(IntegrityId.AUTH_HMAC_SHA1_96, "SHA96", 20, 12, "sha1"),  # RFC 2404
        Integrity(IntegrityId.AUTH_HMAC_SHA2_256_128, "SHA256", 32, 16, "sha256"),  # RFC 4868
        Integrity(IntegrityId.AUTH_HMAC_SHA2_384_192, "SHA384", 48, 24, "sha384"),
        Integrity(IntegrityId.AUTH_HMAC_SHA2_512_256, "SHA512", 64, 32, "sha512"),
    )
}
"""By transform ID; IOS's names."""

PRFS: dict[int, Prf] = {
    row.id: row
    for row in (
        Prf(PrfId.PRF_HMAC_MD5, "MD5", 16, 16, "md5"),  # RFC 2104; configured on generation 15 alone
        Prf(PrfId.PRF_HMAC_SHA1, "SHA1", 20, 20, "sha1"),  # RFC 2104
        Prf(PrfId.PRF_HMAC_SHA2_256, "SHA256", 32, 32, "sha256"),  # RFC 4868
        Prf(PrfId.PRF_HMAC_SHA2_384, "SHA384", 48, 48, "sha384"),
        Prf(PrfId.PRF_HMAC_SHA2_512, "SHA512", 64, 64, "sha512"),
    )
}
"""By transform ID; IOS's names."""

GROUPS = frozenset({2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 31, 32})
"""Key exchange methods that `key_exchange.generate` knows."""


class IkeSuite(msgspec.Struct, frozen=True):
    """What protects an IKE SA; `integrity` is None exactly where `encryption` is an AEAD."""

    encryption: Encryption
    integrity: Integrity | None
    prf: Prf
    group: int

    @property
    def text(self) -> str:
        """For people, in IOS's order: encryption, PRF, integrity (unless AEAD), group."""
        names = [self.encryption.name, self.prf.name]
        if self.integrity is not None:
            names.append(self.integrity.name)
        return " / ".join([*names, f"group {self.group}"])


class EspSuite(msgspec.Struct, frozen=True):
    """What protects a Child SA; `group` is the one of its key exchange, None without PFS."""

    encryption: Encryption
    integrity: Integrity | None
    esn: bool
    group: int | None

    @property
    def text(self) -> str:
        """For people: encryption, integrity (unless AEAD), ESN and group where there are."""
        names = [self.encryption.name]
        if self.integrity is not None:
            names.append(self.integrity.name)
        if self.esn:
            names.append("ESN")
        if self.group is not None:
            names.append(f"group {self.group}")
        return " / ".join(names)


def encryption(id: int, key_length: int | None) -> Encryption | None:
    """The row of an encryption transform, None if there is none (an AES transform without Key Length has none)."""
    return ENCRYPTIONS.get((int(id), key_length or 0))


def supported(transform: TransformLike) -> bool:
    """Whether the transform has a row here; integrity and key exchange NONE and both ESN values count too."""
    number = int(transform.id)
    if transform.type == TransformType.ENCR:
        return encryption(number, transform.key_length) is not None
    if transform.key_length is not None:
        return False
    return number in _WITHOUT_KEY_LENGTH.get(int(transform.type), frozenset())


_WITHOUT_KEY_LENGTH: dict[int, frozenset[int]] = {
    TransformType.PRF: frozenset(PRFS),
    TransformType.INTEG: frozenset({*INTEGRITIES, IntegrityId.NONE}),
    TransformType.KE: frozenset({*GROUPS, KeyExchangeId.NONE}),
    TransformType.ESN: frozenset({EsnId.NO_ESN, EsnId.ESN}),
}


class _Chosen(msgspec.Struct):
    encryption: Encryption
    integrity: Integrity | None
    prf: Prf | None
    group: int | None
    esn: bool


def _choose(transforms: Iterable[TransformLike]) -> _Chosen:
    by_type: dict[int, TransformLike] = {}
    for transform in transforms:
        if not supported(transform):
            raise SuiteError(f"transform type {int(transform.type)} ID {int(transform.id)} is not supported")
        if int(transform.type) in by_type:
            raise SuiteError(f"transform type {int(transform.type)} was chosen twice")
        by_type[int(transform.type)] = transform
    if TransformType.ENCR not in by_type:
        raise SuiteError("a suite needs an encryption transform")
    chosen = encryption(by_type[TransformType.ENCR].id, by_type[TransformType.ENCR].key_length)
    assert chosen is not None
    numbers = {kind: int(transform.id) for kind, transform in by_type.items()}
    integrity = INTEGRITIES.get(numbers.get(TransformType.INTEG, IntegrityId.NONE))
    ##= rfc7296#section-3.3
    ##% Combined-mode ciphers include
    ##% both integrity and encryption in a single encryption algorithm, and
    ##% MUST either offer no integrity algorithm or a single integrity
    ##% algorithm of "NONE"
    if chosen.aead == (integrity is not None):
        raise SuiteError(f"{chosen.name} {'excludes' if chosen.aead else 'needs'} an integrity algorithm")
    group = numbers.get(TransformType.KE, KeyExchangeId.NONE) or None
    return _Chosen(
        chosen,
        integrity,
        PRFS.get(numbers.get(TransformType.PRF, PrfId.PRF_NONE)),
        group,
        numbers.get(TransformType.ESN, EsnId.NO_ESN) == EsnId.ESN,
    )


def ike_suite(transforms: Iterable[TransformLike]) -> IkeSuite:
    """The suite that a chosen IKE proposal names; SuiteError for what has no row, is doubled or is missing."""
    chosen = _choose(transforms)
    if chosen.prf is None or chosen.group is None or chosen.encryption.id == EncryptionId.ENCR_NULL:
        raise SuiteError("an IKE suite needs encryption, a PRF and a key exchange")
    return IkeSuite(chosen.encryption, chosen.integrity, chosen.prf, chosen.group)


def esp_suite(transforms: Iterable[TransformLike]) -> EspSuite:
    """The suite that a chosen ESP proposal names; SuiteError for what has no row, is doubled or is missing."""
    chosen = _choose(transforms)
    return EspSuite(chosen.encryption, chosen.integrity, chosen.esn, chosen.group)
