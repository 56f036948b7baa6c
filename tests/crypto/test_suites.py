"""The algorithm tables and the suites made from them."""

from __future__ import annotations

import hashlib

import pytest

from ikescope.crypto.suites import (
    ENCRYPTIONS,
    GROUPS,
    INTEGRITIES,
    PRFS,
    SuiteError,
    esp_suite,
    ike_suite,
    supported,
)
from ikescope.wire.registry.transform import (
    EncryptionId,
    IntegrityId,
    KeyExchangeId,
    PrfId,
    TransformAttribute,
    TransformType,
)
from ikescope.wire.sa import Attribute, Transform

from .transforms import CBC_256_SHA512_GROUP_19, CHACHA_SHA256_GROUP_31, ESP, GCM_128_SHA256_GROUP_31, T


@pytest.mark.parametrize(
    ("transforms", "text"),
    [
        (CBC_256_SHA512_GROUP_19, "AES-CBC-256 / SHA512 / SHA512 / group 19"),
        (GCM_128_SHA256_GROUP_31, "AES-GCM-128 / SHA256 / group 31"),
        (CHACHA_SHA256_GROUP_31, "CHACHA20-POLY1305 / SHA256 / group 31"),
        ((T(1, 12, 128), T(2, 2), T(3, 2), T(4, 14)), "AES-CBC-128 / SHA1 / SHA96 / group 14"),
        ((T(1, 20, 256), T(2, 7), T(3, 0), T(4, 20)), "AES-GCM-256 / SHA512 / group 20"),
    ],
)
def test_an_ike_suite_reads_in_the_order_of_ios(transforms: tuple[T, ...], text: str) -> None:
    """A suite prints encryption, PRF, integrity unless it is an AEAD, group."""
    assert ike_suite(transforms).text == text


def test_transforms_of_a_decoded_proposal_make_a_suite() -> None:
    """The transforms of wire are what the constructors take."""
    key_length = Attribute(TransformAttribute.KEY_LENGTH, (256).to_bytes(2, "big"), short=True)
    chosen = (
        Transform(TransformType.ENCR, EncryptionId.ENCR_AES_CBC, (key_length,)),
        Transform(TransformType.PRF, PrfId.PRF_HMAC_SHA2_512),
        Transform(TransformType.INTEG, IntegrityId.AUTH_HMAC_SHA2_512_256),
        Transform(TransformType.KE, KeyExchangeId.ECP_256),
    )
    assert all(map(supported, chosen))
    assert ike_suite(chosen) == ike_suite(CBC_256_SHA512_GROUP_19)


def test_an_esp_suite_knows_esn_and_its_group() -> None:
    """ESN and the group of PFS are part of an ESP suite, and absent ones are not printed."""
    assert esp_suite(ESP[0]).text == "AES-CBC-128 / SHA96"
    suite = esp_suite((*ESP[1], T(4, 14)))
    assert (suite.esn, suite.group) == (True, 14)
    assert suite.text == "AES-CBC-256 / SHA512 / ESN / group 14"
    assert esp_suite((*ESP[2], T(4, 0))).group is None


@pytest.mark.parametrize(
    "transforms",
    [
        (T(1, 20, 128), T(3, 12), T(5, 0)),  # AEAD with integrity
        (T(1, 12, 128), T(5, 0)),  # CBC without
        (T(1, 12), T(3, 12)),  # no key length
        (T(3, 12),),  # no encryption
        (T(1, 20, 128), T(1, 20, 256)),  # two
        (T(1, 3), T(3, 12)),  # 3DES has no row
    ],
)
def test_a_proposal_without_a_sound_suite_is_refused(transforms: tuple[T, ...]) -> None:
    """AEAD excludes an integrity algorithm, everything else needs one, and each kind is there once."""
    with pytest.raises(SuiteError):
        esp_suite(transforms)


@pytest.mark.parametrize("missing", [2, 3, 4])
def test_an_ike_suite_needs_all_its_kinds(missing: int) -> None:
    """An IKE proposal without PRF, integrity (for AES-CBC) or key exchange makes no suite."""
    with pytest.raises(SuiteError):
        ike_suite(transform for transform in CBC_256_SHA512_GROUP_19 if transform.type != missing)


def test_null_encryption_protects_no_ike_sa() -> None:
    """ENCR_NULL is for ESP only."""
    ##= rfc7296#section-5 type=test
    ##% Though the security of negotiated Child SAs does not depend on the strength of the encryption and
    ##% integrity protection negotiated in the IKE SA, implementations MUST NOT negotiate NONE as the IKE
    ##% integrity protection algorithm or ENCR_NULL as the IKE encryption algorithm.
    with pytest.raises(SuiteError):
        ike_suite((T(1, 11), T(2, 5), T(3, 12), T(4, 19)))


def test_supported_is_what_the_tables_hold() -> None:
    """A transform is supported if and only if it has a row, with the key length the row has."""
    of_type = {
        TransformType.PRF: {*PRFS},
        TransformType.INTEG: {*INTEGRITIES, IntegrityId.NONE},
        TransformType.KE: {*GROUPS, KeyExchangeId.NONE},
        TransformType.ESN: {0, 1},
    }
    for kind in range(20):
        for number in range(70):
            for key_length in (None, 64, 128, 192, 256, 512):
                if kind == TransformType.ENCR:
                    wanted = (number, key_length or 0) in ENCRYPTIONS
                else:
                    wanted = key_length is None and number in of_type.get(TransformType(kind), set())
                assert supported(T(kind, number, key_length)) is wanted, (kind, number, key_length)


def test_each_row_agrees_with_its_names() -> None:
    """Keys of HMACs are as long as their hash, ICVs no longer, key lengths are those of the attribute."""
    for prf in PRFS.values():
        assert prf.output_octets == prf.key_octets == hashlib.new(prf.hash).digest_size
        assert isinstance(prf.id, PrfId)
    for integrity in INTEGRITIES.values():
        assert integrity.key_octets == hashlib.new(integrity.hash).digest_size
        assert integrity.icv_octets in (12, integrity.key_octets // 2)
    for (number, bits), row in ENCRYPTIONS.items():
        assert row.id == number == EncryptionId(number)
        assert not bits or row.key_octets * 8 == bits == row.key_bits
        assert row.aead == bool(row.icv_octets) == bool(row.salt_octets)
        assert row.esp_alignment == (16 if row.id == EncryptionId.ENCR_AES_CBC else 4)
