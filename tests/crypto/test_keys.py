"""PRF, prf+, SKEYSEED, KEYMAT and AUTH against published vectors."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from ikescope.crypto.auth import psk_auth, signed_octets, verify
from ikescope.crypto.keys import IkeKeys, child_keys, ike_keys, rekeyed_ike_keys, rekeyed_skeyseed, skeyseed
from ikescope.crypto.prf import prf, prf_plus
from ikescope.crypto.suites import PRFS, esp_suite, ike_suite

from .published import load, names, octets
from .transforms import CBC_256_SHA512_GROUP_19, ESP, GCM_128_SHA256_GROUP_31, T

_PRF = load("prf")
_KDF = load("ikev2_kdf")
_FIELDS = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")


@pytest.mark.parametrize("vector", _PRF["prf"], ids=names(_PRF["prf"]))
def test_prf(vector: dict[str, Any]) -> None:
    """prf(key, seed) has the published value."""
    assert prf(PRFS[vector["prf"]], octets(vector["key"]), octets(vector["seed"])) == octets(vector["out"])


@pytest.mark.parametrize("vector", _PRF["prf_plus"], ids=names(_PRF["prf_plus"]))
def test_prf_plus(vector: dict[str, Any]) -> None:
    """prf+(key, seed) has the published value, and each shorter one is its beginning."""
    algorithm, key, seed, out = PRFS[vector["prf"]], *(octets(vector[name]) for name in ("key", "seed", "out"))
    assert prf_plus(algorithm, key, seed, len(out)) == out
    for length in (0, 1, algorithm.output_octets, algorithm.output_octets + 1):
        assert prf_plus(algorithm, key, seed, length) == out[:length]


def _kdf(*fields: str) -> list[bytes]:
    return [octets(_KDF[field]) for field in fields]


def test_keys_of_an_ike_sa_and_its_successor() -> None:
    """SKEYSEED, its expansion and the SKEYSEED of a rekey have the published values (PRF HMAC-SHA1)."""
    ##= rfc7296#section-2.13 type=test
    ##% The preferred key size MUST be used as the length of SK_d, SK_pi, and SK_pr (see Section 2.14).
    ##= rfc7296#section-2.14 type=test
    ##% The lengths of SK_d, SK_pi, and SK_pr MUST be the preferred key length of the PRF agreed upon.
    suite = ike_suite((T(1, 12, 128), T(2, 2), T(3, 2), T(4, 14)))
    nonce_i, nonce_r, shared, new, spi_i, spi_r = _kdf("nonce_i", "nonce_r", "shared", "shared_new", "spi_i", "spi_r")
    material = octets(_KDF["keys"])
    assert skeyseed(PRFS[2], nonce_i, nonce_r, shared) == octets(_KDF["skeyseed"])
    assert prf_plus(PRFS[2], octets(_KDF["skeyseed"]), nonce_i + nonce_r + spi_i + spi_r, 132) == material
    keys = ike_keys(suite, nonce_i, nonce_r, shared, spi_i, spi_r)
    parts = [getattr(keys, field) for field in _FIELDS]
    assert [len(part) for part in parts] == [20, 20, 20, 16, 16, 20, 20]
    assert b"".join(parts) == material
    assert rekeyed_skeyseed(PRFS[2], keys.sk_d, new, nonce_i, nonce_r) == octets(_KDF["skeyseed_of_rekey"])


def test_keymat_of_a_child_sa_with_and_without_key_exchange() -> None:
    """KEYMAT is the published one, cut initiator first and encryption before integrity."""
    ##= rfc7296#section-2.17 type=test
    ##% In any case, keying material for each Child SA MUST be taken from the expanded KEYMAT using the following
    ##% rules:
    ##= rfc7296#section-2.17 type=test
    ##% For ESP and AH, [IPSECARCH] defines the order, namely: the encryption key (if any) MUST be taken from the
    ##% first bits and the integrity key (if any) MUST be taken from the remaining bits.
    nonce_i, nonce_r, new, material = _kdf("nonce_i", "nonce_r", "shared_new", "keys")
    sk_d = material[:20]
    suite = esp_suite((T(1, 12, 256), T(3, 12), T(5, 0)))
    for shared, field in ((b"", "child"), (new, "child_with_key_exchange")):
        keys = child_keys(PRFS[2], sk_d, nonce_i, nonce_r, suite, shared)
        parts = (keys.encr_i, keys.integ_i, keys.encr_r, keys.integ_r)
        assert [len(part) for part in parts] == [32, 32, 32, 32]
        assert b"".join(parts) == octets(_KDF[field])[:128]


def test_a_child_key_of_an_aead_includes_the_salt() -> None:
    """AES-GCM-128 takes 20 octets of KEYMAT for each direction and no integrity key."""
    keys = child_keys(PRFS[5], b"d" * 32, b"i" * 32, b"r" * 32, esp_suite(ESP[2]))
    assert [len(part) for part in (keys.encr_i, keys.integ_i, keys.encr_r, keys.integ_r)] == [20, 0, 20, 0]
    assert keys.encr_i + keys.encr_r == prf_plus(PRFS[5], b"d" * 32, b"i" * 32 + b"r" * 32, 40)


def test_a_rekey_uses_the_old_prf_for_skeyseed_and_the_new_one_for_the_keys() -> None:
    """A rekey may change the PRF.

    ##= rfc7296#section-2.18
    ##= type=test
    ##% Because
    ##% the rekeying exchange belongs to the old IKE SA, it is the old IKE
    ##% SA's PRF that is used to generate SKEYSEED.
    """
    suite = ike_suite(GCM_128_SHA256_GROUP_31)
    keys = rekeyed_ike_keys(PRFS[7], b"d" * 64, suite, b"s" * 32, b"i" * 32, b"r" * 32, b"I" * 8, b"R" * 8)
    seed = hmac.digest(b"d" * 64, b"s" * 32 + b"i" * 32 + b"r" * 32, "sha512")
    first = hmac.digest(seed, b"i" * 32 + b"r" * 32 + b"I" * 8 + b"R" * 8 + b"\x01", "sha256")
    assert keys.sk_d == first


def test_keys_never_print() -> None:
    """The repr of keys shows lengths and no octet of a key."""
    keys = ike_keys(ike_suite(CBC_256_SHA512_GROUP_19), b"i" * 32, b"r" * 32, b"s" * 32, b"I" * 8, b"R" * 8)
    assert repr(keys) == (
        "IkeKeys(sk_d=64 octets, sk_ai=64 octets, sk_ar=64 octets, sk_ei=32 octets, sk_er=32 octets, "
        "sk_pi=64 octets, sk_pr=64 octets)"
    )
    assert keys == IkeKeys(*(getattr(keys, field) for field in _FIELDS))
    child = child_keys(PRFS[5], b"d" * 32, b"i" * 32, b"r" * 32, esp_suite(ESP[2]))
    assert repr(child) == "ChildKeys(encr_i=20 octets, integ_i=0 octets, encr_r=20 octets, integ_r=0 octets)"
    assert f"{keys}" == str(keys) == repr(keys)


def test_auth_of_a_pre_shared_key() -> None:
    """AUTH is prf(prf(psk, pad), message | nonce | prf(SK_p, ID body)), computed here by hand.

    ##= rfc7296#section-2.15
    ##= type=test
    ##% where the string "Key Pad for IKEv2" is 17 ASCII characters without
    ##% null termination.
    """
    for algorithm in PRFS.values():

        def by_hand(key: bytes, data: bytes, name: str = algorithm.hash) -> bytes:
            # RFC 2104, not the module under test.
            block = hashlib.new(name).block_size
            key = (hashlib.new(name, key).digest() if len(key) > block else key).ljust(block, b"\0")
            inner = hashlib.new(name, bytes(octet ^ 0x36 for octet in key) + data).digest()
            return hashlib.new(name, bytes(octet ^ 0x5C for octet in key) + inner).digest()

        signed = signed_octets(algorithm, b"message", b"nonce", b"sk_p", b"\x01\0\0\0\x0a\0\0\x01")
        assert signed == b"message" + b"nonce" + by_hand(b"sk_p", b"\x01\0\0\0\x0a\0\0\x01")
        pad = bytes.fromhex("4b65792050616420666f7220494b457632")
        assert len(pad) == 17
        for psk in (b"cisco123", b"", b"k" * 200):
            value = psk_auth(algorithm, psk, signed)
            assert value == by_hand(by_hand(psk, pad), signed)
            assert verify(value, bytes(value))
            assert not verify(value, value[:-1])
            assert not verify(value, value[:-1] + bytes((value[-1] ^ 1,)))
