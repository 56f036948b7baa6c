"""The Encrypted payload: published messages, refusals, lengths, IVs."""

from __future__ import annotations

import random as seeded
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikescope.crypto.cipher import CbcDecryptor, CbcEncryptor
from ikescope.crypto.envelope import AeadOpener, CbcOpener, CbcSealer, Envelope, EnvelopeContentError, EnvelopeError
from ikescope.crypto.keys import IkeKeys, ike_keys
from ikescope.crypto.mac import Hmac
from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, ike_suite

from .published import load, names, octets
from .transforms import CBC_256_SHA512_GROUP_19, CHACHA_SHA256_GROUP_31, IKE, T

_AEAD = load("aead")["vectors"]
_CBC = load("aes_cbc")["vectors"]
_INTEGRITY = load("integrity")
_SPIS = (b"\xc0" * 8, b"\xd0" * 8)


def _ends(transforms: tuple[T, ...]) -> tuple[Envelope, Envelope]:
    suite = ike_suite(transforms)
    keys = ike_keys(suite, b"i" * 32, b"r" * 32, b"s" * 32, *_SPIS)
    return Envelope(suite, keys, True), Envelope(suite, keys, False)


def _seal(envelope: Envelope, inner: bytes, message_id: int = 7, seed: int = 1) -> bytes:
    return envelope.seal(*_SPIS, 37, 8, message_id, 41 if inner else 0, inner, seeded.Random(seed).randbytes)


@pytest.mark.parametrize("vector", _AEAD, ids=names(_AEAD))
def test_aead_vectors(vector: dict[str, Any]) -> None:
    """A published ciphertext opens to its plaintext, one with a changed ICV opens to nothing."""
    key, nonce, aad, cipher = (octets(vector[name]) for name in ("key", "nonce", "aad", "cipher"))
    row = ENCRYPTIONS[vector["id"], len(key) * 8 if vector["id"] == 20 else 0]
    opener = AeadOpener(row, key + nonce[:4])
    message = aad + nonce[4:] + cipher
    if vector["valid"]:
        assert opener.open(message, len(aad)) == octets(vector["plain"])
    else:
        with pytest.raises(EnvelopeError):
            opener.open(message, len(aad))


@pytest.mark.parametrize("vector", _CBC, ids=names(_CBC))
def test_aes_cbc_vectors_in_any_order_on_one_context(vector: dict[str, Any]) -> None:
    """A kept context gives the published octets whatever it did before.

    The block that becomes the IV is computed backwards: what CBC adds to it is the last ciphertext block before.
    """
    key, iv, plain, cipher = (octets(vector[name]) for name in ("key", "iv", "plain", "cipher"))
    encryptor, decryptor = CbcEncryptor(key), CbcDecryptor(key)
    before = encryptor.encrypt(b"\x55" * 16, b"\xaa" * 48)
    assert decryptor.decrypt(before) == b"\xaa" * 48
    single = CbcDecryptor(key).decrypt(bytes(16) + iv)
    first = bytes(one ^ other for one, other in zip(single, before[-16:], strict=True))
    assert encryptor.encrypt(first, plain) == iv + cipher
    assert decryptor.decrypt(iv + cipher) == plain


@pytest.mark.parametrize("vector", _INTEGRITY["rfc"], ids=names(_INTEGRITY["rfc"]))
def test_integrity_vectors_of_the_rfcs(vector: dict[str, Any]) -> None:
    """A kept HMAC gives the published ICV, the second time too."""
    row = INTEGRITIES[vector["integrity"]]
    keyed = Hmac(row.hash, octets(vector["key"]))
    for _ in range(2):
        assert keyed.digest(octets(vector["data"]))[: row.icv_octets] == octets(vector["icv"])


@pytest.mark.parametrize("vector", _INTEGRITY["wycheproof"], ids=names(_INTEGRITY["wycheproof"]))
def test_integrity_vectors_of_wycheproof(vector: dict[str, Any]) -> None:
    """A truncated tag verifies if and only if it is the right one."""
    row = INTEGRITIES[vector["integrity"]]
    code = Hmac(row.hash, octets(vector["key"])).digest(octets(vector["data"]))
    assert (code[: row.icv_octets] == octets(vector["icv"])) is vector["valid"]


def test_the_message_of_rfc_7634() -> None:
    """The INFORMATIONAL message of RFC 7634 appendix B is made, octet by octet, and opened."""
    vector = load("rfc7634")["ike"]
    suite, key = ike_suite(CHACHA_SHA256_GROUP_31), octets(vector["key_and_salt"])
    keys = IkeKeys(b"", b"", b"", key, key, b"", b"")
    wire, inner = octets(vector["wire"]), bytes.fromhex("0000000c000040010000000a")
    envelope = Envelope(suite, keys, False, first_iv=int(vector["iv"], 16))
    sealed = envelope.seal(octets(vector["spi_i"]), octets(vector["spi_r"]), 37, wire[19], 9, 41, inner, bytes)
    assert sealed == wire
    assert envelope.open(wire, 28) == inner


@pytest.mark.parametrize("transforms", IKE, ids=["cbc", "gcm", "chacha"])
def test_both_directions_and_their_lengths(transforms: tuple[T, ...]) -> None:
    """What one end seals the other opens, in the length foretold; nobody opens his own."""
    initiator, responder = _ends(transforms)
    for count in (0, 1, 14, 15, 16, 17, 200):
        inner = bytes(range(count))
        for one, other in ((initiator, responder), (responder, initiator)):
            sealed = _seal(one, inner)
            assert len(sealed) == one.sealed_octets(count) == int.from_bytes(sealed[24:28], "big")
            assert (sealed[16], sealed[17], sealed[28]) == (46, 0x20, 41 if inner else 0)
            assert int.from_bytes(sealed[30:32], "big") == len(sealed) - 28
            assert other.open(sealed, 28) == inner
            with pytest.raises(EnvelopeError):
                one.open(sealed, 28)


@pytest.mark.parametrize("transforms", IKE, ids=["cbc", "gcm", "chacha"])
def test_fragments(transforms: tuple[T, ...]) -> None:
    """An Encrypted Fragment payload opens as one, and its number and total are protected (RFC 7383 section 2.5)."""
    initiator, responder = _ends(transforms)
    for number in (1, 2):
        sealed = initiator.seal_fragment(*_SPIS, 35, 8, 1, 35 * (number == 1), b"part", bytes, number=number, total=2)
        assert len(sealed) == initiator.sealed_octets(4, fragment=True)
        assert (sealed[16], sealed[28], sealed[32:36]) == (53, 35 * (number == 1), bytes((0, number, 0, 2)))
        assert responder.open(sealed, 28, fragment=True) == b"part"
        with pytest.raises(EnvelopeError):
            responder.open(sealed[:33] + b"\x09" + sealed[34:], 28, fragment=True)


@pytest.mark.parametrize("transforms", IKE, ids=["cbc", "gcm", "chacha"])
def test_every_changed_bit_is_noticed(transforms: tuple[T, ...]) -> None:
    """A datagram with one octet changed, cut or lengthened does not open and is not answered; the context survives."""
    ##= rfc7296#section-3.14 type=test
    ##% The checksum MUST be computed over the encrypted message.
    initiator, responder = _ends(transforms)
    sealed = _seal(initiator, b"inner payloads")
    changed = [sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :] for at in range(len(sealed))]
    for datagram in (*changed, *(sealed[:length] for length in range(len(sealed))), sealed + b"\0"):
        with pytest.raises(EnvelopeError) as refused:
            responder.open(datagram, 28)
        assert refused.value.notify is None
    assert responder.open(sealed, 28) == b"inner payloads"


def test_an_unencrypted_payload_before_it_is_protected_too() -> None:
    """The ICV covers everything from the IKE header on, so a payload between header and Encrypted payload as well."""
    for transforms in IKE:
        suite = ike_suite(transforms)
        keys = ike_keys(suite, b"i" * 32, b"r" * 32, b"s" * 32, *_SPIS)
        envelope = Envelope(suite, keys, True)
        sealed = _seal(envelope, b"inner")
        with pytest.raises(EnvelopeError, match="ICV"):
            longer = sealed[:24] + (len(sealed) + 4).to_bytes(4, "big") + bytes((46, 0, 0, 4)) + sealed[28:]
            Envelope(suite, keys, False).open(longer, 32)


def test_lengths_say_had_and_wanted() -> None:
    """A length in the header that is not the datagram's is refused with both numbers."""
    initiator, responder = _ends(CBC_256_SHA512_GROUP_19)
    sealed = _seal(initiator, b"")
    with pytest.raises(EnvelopeError, match="had 97, wanted 96") as refused:
        responder.open(sealed[:27] + b"\x61" + sealed[28:], 28)
    assert refused.value.facts == {"check": "length", "had": 97, "wanted": 96}


def _cbc_datagram(padded: bytes) -> tuple[CbcOpener, bytes]:
    row = INTEGRITIES[12]
    head = bytes(32)
    sealed = CbcEncryptor(b"k" * 32).encrypt(b"r" * 16, padded)
    return CbcOpener(row, b"k" * 32, b"a" * 32), head + sealed + Hmac(row.hash, b"a" * 32).digest(head + sealed)[:16]


def test_padding_is_not_judged_but_its_length_is() -> None:
    """Any padding is accepted, as long as it may be; a pad length beyond the plaintext is the peer's syntax error.

    ##= rfc7296#section-3.14
    ##= type=test
    ##% the recipient MUST accept any length that results
    ##% in proper alignment.
    """
    suite = ike_suite(CBC_256_SHA512_GROUP_19)
    keys = ike_keys(suite, b"i" * 32, b"r" * 32, b"s" * 32, *_SPIS)
    responder = Envelope(suite, keys, False)

    def datagram(padded: bytes) -> bytes:
        total = 32 + 16 + len(padded) + 32
        head = b"".join((*_SPIS, bytes((46, 0x20, 37, 8)), bytes(4), total.to_bytes(4, "big")))
        head += bytes((41, 0)) + (total - 28).to_bytes(2, "big")
        sealed = CbcEncryptor(keys.sk_ei).encrypt(b"r" * 16, padded)
        return head + sealed + Hmac("sha512", keys.sk_ai).digest(head + sealed)[:32]

    assert responder.open(datagram(b"inner" + b"\xee" * 250 + b"\xfa"), 28) == b"inner"
    assert responder.open(datagram(b"\x01" * 15 + b"\x0f"), 28) == b""
    with pytest.raises(EnvelopeContentError, match="had 16, wanted at most 15") as refused:
        responder.open(datagram(b"\x01" * 15 + b"\x10"), 28)
    assert refused.value.notify == 7


def test_a_ciphertext_of_broken_blocks_is_a_syntax_error() -> None:
    """Authenticated octets that are no whole blocks are refused before they reach the context."""
    opener, whole = _cbc_datagram(b"p" * 32)
    assert opener.open(whole, 32) == b"p" * 32
    cut = whole[:-17]
    with pytest.raises(EnvelopeContentError, match="had 31, wanted a multiple of 16"):
        opener.open(cut + Hmac("sha256", b"a" * 32).digest(cut)[:16], 32)
    assert opener.open(whole, 32) == b"p" * 32


def test_ivs_never_repeat() -> None:
    """An AEAD counts its IVs; AES-CBC makes one from fresh randomness, never from the block before.

    ##= rfc7296#section-3.14
    ##= type=test
    ##% Senders MUST select a new
    ##% unpredictable IV for every message
    """
    for transforms in IKE[1:]:
        envelope = _ends(transforms)[0]
        ivs = [int.from_bytes(_seal(envelope, b"")[32:40], "big") for _ in range(5)]
        assert ivs == [1, 2, 3, 4, 5]
    sealer = CbcSealer(INTEGRITIES[12], b"k" * 32, b"a" * 32)
    random = seeded.Random(1)
    sealed = [sealer.seal(b"", b"same", random.randbytes) for _ in range(50)]
    assert len({part[:16] for part in sealed}) == 50
    assert not {part[:16] for part in sealed} & {part[16:32] for part in sealed}
    assert len({sealer.seal(b"", b"same", bytes)[:16] for _ in range(50)}) == 50


def test_an_envelope_repeats_with_its_randomness() -> None:
    """Two envelopes with equal keys and randomness make equal datagrams, so virtual worlds repeat."""
    for transforms in IKE:
        assert _seal(_ends(transforms)[0], b"inner") == _seal(_ends(transforms)[0], b"inner")


def test_an_envelope_prints_its_suite_only() -> None:
    """The repr of an envelope holds no key."""
    assert repr(_ends(IKE[1])[0]) == "Envelope(AES-GCM-128 / SHA256 / group 31)"


@given(st.binary(max_size=200), st.integers(0, 250), st.booleans())
def test_arbitrary_octets_are_refused_and_nothing_else(datagram: bytes, offset: int, fragment: bool) -> None:
    """Whatever the peer sends, opening it ends in an EnvelopeError."""
    for transforms in IKE:
        with pytest.raises(EnvelopeError):
            _ends(transforms)[1].open(datagram, offset, fragment=fragment)
