"""Which proposals are offered, chosen and refused, and what a refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.samples import (
    CBC_128,
    CBC_256,
    CHACHA,
    DEFAULT,
    DEFAULT_SET,
    GCM_128,
    GCM_256,
    GCM_SET,
    SHA256_SET,
    proposal,
)

from ikescope.config import model
from ikescope.crypto.suites import esp_suite, ike_suite
from ikescope.policy.proposals import (
    Choice,
    ChosenMismatch,
    Refusal,
    check_chosen,
    choose_esp,
    choose_ike,
    facts,
    offer_esp,
    offer_ike,
    transform_text,
)
from ikescope.wire import Attribute, Proposal, Transform, transform
from ikescope.wire.registry import ProtocolId, TransformAttribute, TransformType

SPI = bytes.fromhex("0a0b0c0d")
Short = tuple[int, int] | tuple[int, int, int]


def ike(*transforms: Short, number: int = 1, spi: bytes = b"") -> Proposal:
    """An IKE proposal of (type, ID[, key length])."""
    return Proposal(number, ProtocolId.IKE, spi, tuple(transform(*each) for each in transforms))


def esp(*transforms: Short, number: int = 1, spi: bytes = SPI) -> Proposal:
    """An ESP proposal of (type, ID[, key length])."""
    return Proposal(number, ProtocolId.ESP, spi, tuple(transform(*each) for each in transforms))


def shape(one: Proposal) -> list[Short]:
    """A proposal's transforms as (type, ID[, key length])."""
    return [
        (int(each.type), int(each.id)) if each.key_length is None else (int(each.type), int(each.id), each.key_length)
        for each in one.transforms
    ]


def chosen(result: Choice | Refusal) -> Choice:
    """The choice, where there must be one."""
    assert isinstance(result, Choice), result
    return result


def refused(result: Choice | Refusal) -> Refusal:
    """The refusal, where there must be one."""
    assert isinstance(result, Refusal), result
    return result


def test_the_smart_default_offers_nine_transforms_in_ios_order() -> None:
    """ENCR, PRF, INTEG, KE, each list as configured, in one proposal numbered 1 without SPI."""
    ##= rfc7296#section-3.3 type=test
    ##% If there is more than one, they MUST be ordered from most preferred to least preferred.
    ##= rfc7296#section-3.3 type=test
    ##% The first Proposal in the initiator's SA payload MUST have a Proposal Num of one (1).
    ##= rfc7296#section-3.3.1 type=test
    ##% SPI Size (1 octet) - For an initial IKE SA negotiation, this field MUST be zero; the SPI is obtained from
    ##% the outer header.
    (offer,) = offer_ike([DEFAULT])
    assert (offer.number, offer.protocol, offer.spi) == (1, 1, b"")
    assert shape(offer) == [(1, 12, 256), (2, 7), (2, 6), (3, 14), (3, 13), (4, 19), (4, 14), (4, 21), (4, 5)]


def test_the_group_of_the_ke_payload_comes_first_and_none_is_left_out() -> None:
    """After INVALID_KE_PAYLOAD the wanted group leads; the whole set is offered again."""
    (offer,) = offer_ike([DEFAULT], first_group=21)
    assert [int(each.id) for each in offer.of(TransformType.KE)] == [21, 19, 14, 5]


def test_aead_and_other_encryption_are_offered_apart() -> None:
    """Two proposals, the AEAD one without INTEG, numbered in sequence.

    ##= rfc7296#section-2.7
    ##= type=test
    ##% If an initiator proposes both normal ciphers with integrity
    ##% protection as well as combined-mode ciphers, then two proposals are
    ##% needed.
    """
    ##= rfc7296#section-3.3 type=test
    ##% Each structure MUST have a proposal number one (1) greater than the previous structure.
    ##= rfc7296#section-3.3 type=test
    ##% Combined-mode ciphers include both integrity and encryption in a single encryption algorithm, and MUST
    ##% either offer no integrity algorithm or a single integrity algorithm of "NONE", with no integrity algorithm
    ##% being the RECOMMENDED method.
    ##= rfc7296#section-3.3.1 type=test
    ##% Proposal Num (1 octet) - When a proposal is made, the first proposal in an SA payload MUST be 1, and
    ##% subsequent proposals MUST be one more than the previous proposal (indicating an OR of the two proposals).
    offers = offer_ike([proposal(encryption=(GCM_256, CBC_256, CHACHA))], spi=b"8 octets")
    assert [one.number for one in offers] == [1, 2]
    assert {one.spi for one in offers} == {b"8 octets"}
    assert shape(offers[0]) == [(1, 20, 256), (1, 28), (2, 7), (4, 19)]
    assert shape(offers[1]) == [(1, 12, 256), (2, 7), (3, 14), (4, 19)]


def test_what_we_cannot_do_is_not_offered() -> None:
    """KPDK-MD5, Tiger and 3DES are left out; a proposal of which nothing is left is not sent; numbers have no gap."""
    ##= rfc7296#section-3.14 type=test
    ##% Peers MUST NOT negotiate transforms for which no such specification exists.
    only_3des = proposal("old", encryption=(model.TransformChoice(3),))
    offers = offer_ike([only_3des, proposal(prf=(3, 7), integrity=(4, 14))])
    assert [(one.number, shape(one)) for one in offers] == [(1, [(1, 12, 256), (2, 7), (3, 14), (4, 19)])]


def test_each_transform_set_is_one_esp_proposal() -> None:
    """ENCR, INTEG unless AEAD, KE with PFS, ESN or none."""
    ##= rfc7296#section-1.2 type=test
    ##% Implementations SHOULD omit the whole transform substructure instead of sending value NONE.
    plain = offer_esp([DEFAULT_SET, GCM_SET, SHA256_SET], SPI)
    assert [shape(one) for one in plain] == [
        [(1, 12, 128), (3, 2), (5, 0)],
        [(1, 20, 256), (5, 0)],
        [(1, 12, 256), (3, 12), (5, 1)],
    ]
    assert [(one.number, one.protocol, one.spi) for one in plain] == [(1, 3, SPI), (2, 3, SPI), (3, 3, SPI)]
    assert shape(offer_esp([DEFAULT_SET], SPI, 19)[0]) == [(1, 12, 128), (3, 2), (4, 19), (5, 0)]


def test_facts_are_what_events_carry() -> None:
    """Number, protocol, SPI in hexadecimal and plain transform numbers."""
    (fact,) = facts(offer_esp([DEFAULT_SET], SPI))
    assert (fact.number, fact.protocol, fact.spi) == (1, 3, "0a0b0c0d")
    assert [(one.type, one.id, one.key_length) for one in fact.transforms] == [(1, 12, 128), (3, 2, None), (5, 0, None)]


NINE = ike((1, 12, 256), (2, 7), (2, 6), (3, 14), (3, 13), (4, 19), (4, 14), (4, 21), (4, 5))

IKE_CHOICES = {
    "the initiator's order decides, not ours": (
        [ike((1, 12, 256), (2, 6), (2, 7), (3, 13), (3, 14), (4, 5), (4, 19))],
        [DEFAULT],
        [(1, 12, 256), (2, 6), (3, 13), (4, 5)],
    ),
    "identical lists give the first of each": ([NINE], [DEFAULT], [(1, 12, 256), (2, 7), (3, 14), (4, 19)]),
    "an unknown ID is passed over": (
        [ike((1, 60000, 256), (1, 12, 256), (2, 99), (2, 7), (3, 14), (4, 999), (4, 19))],
        [DEFAULT],
        [(1, 12, 256), (2, 7), (3, 14), (4, 19)],
    ),
    "a key length is compared exactly": (
        [ike((1, 12), (1, 12, 192), (1, 12, 256), (2, 7), (3, 14), (4, 19))],
        [DEFAULT],
        [(1, 12, 256), (2, 7), (3, 14), (4, 19)],
    ),
    "all types come from one proposal of ours": (
        [ike((1, 12, 128), (1, 12, 256), (2, 5), (2, 7), (3, 12), (3, 14), (4, 14), (4, 19))],
        [proposal("a", (CBC_128,), (7,), (14,), (20,)), proposal("b")],
        [(1, 12, 256), (2, 7), (3, 14), (4, 19)],
    ),
    "the second proposal where the first is unacceptable": (
        [ike((1, 3), (2, 2), (3, 2), (4, 2)), ike((1, 12, 256), (2, 7), (3, 14), (4, 19), number=2)],
        [DEFAULT],
        [(1, 12, 256), (2, 7), (3, 14), (4, 19)],
    ),
    "an AEAD needs no integrity": (
        [ike((1, 20, 128), (2, 5), (4, 31))],
        [proposal(encryption=(GCM_128,), prf=(5,), integrity=(), groups=(31,))],
        [(1, 20, 128), (2, 5), (4, 31)],
    ),
    "NONE offered beside an AEAD is answered": (
        [ike((1, 20, 128), (2, 5), (3, 0), (4, 31))],
        [proposal(encryption=(GCM_128,), prf=(5,), integrity=(), groups=(31,))],
        [(1, 20, 128), (2, 5), (3, 0), (4, 31)],
    ),
    "the answer keeps the initiator's order of types": (
        [ike((4, 19), (3, 14), (2, 7), (1, 12, 256))],
        [DEFAULT],
        [(4, 19), (3, 14), (2, 7), (1, 12, 256)],
    ),
}


@pytest.mark.parametrize(("received", "ours", "wanted"), IKE_CHOICES.values(), ids=IKE_CHOICES)
def test_an_ike_choice(received: list[Proposal], ours: list[model.Proposal], wanted: list[Short]) -> None:
    """The first received proposal that one of ours admits, the initiator's first transform of each type there."""
    ##= rfc7296#section-2.7 type=test
    ##% The responder MUST choose a single suite, which may be any subset of the SA proposal following the rules
    ##% below.
    ##= rfc7296#section-2.7 type=test
    ##% The accepted cryptographic suite MUST contain exactly one transform of each type included in the proposal.
    ##= rfc7296#section-3.3.6 type=test
    ##% Responders MUST select a single complete set of parameters from the offers (or reject all offers if none
    ##% are acceptable).
    ##= rfc7296#section-3.3.6 type=test
    ##% If there are multiple proposals, the responder MUST choose a single proposal.
    ##= rfc7296#section-3.3.6 type=test
    ##% If the selected proposal has multiple transforms with the same type, the responder MUST choose a single
    ##% one.
    choice = chosen(choose_ike(received, ours))
    assert shape(choice.proposal) == wanted
    assert [look.taken for look in choice.tried].count(True) == 1
    assert choice.why.endswith(".")
    assert choice.ours in choice.why
    ike_suite(choice.proposal.transforms)
    assert check_chosen(received, choice.answer()) == choice.proposal


GCM_ONLY = proposal(encryption=(GCM_256,), integrity=())

IKE_REFUSALS = {
    "encryption": ([NINE], [proposal(encryption=(CBC_128,))], 1, 1, "AES-CBC-256", "AES-CBC-128"),
    "PRF": ([NINE], [proposal(prf=(5,))], 1, 2, "SHA512, SHA384", "SHA256"),
    "integrity": ([NINE], [proposal(integrity=(12,))], 1, 3, "SHA512, SHA384", "SHA256"),
    "group": ([NINE], [proposal(groups=(20,))], 1, 4, "group 19, group 14, group 21, group 5", "group 20"),
    "no group at all": ([ike((1, 12, 256), (2, 7), (3, 14))], [proposal()], 1, 4, "none", "group 19"),
    "key length left out": ([ike((1, 12), (2, 7), (3, 14), (4, 19))], [DEFAULT], 1, 1, "AES-CBC", "AES-CBC-256"),
    "no integrity without AEAD": ([ike((1, 12, 256), (2, 7), (4, 19))], [DEFAULT], 1, 3, "none", "SHA512, SHA384"),
    "NONE for integrity without AEAD": (
        [ike((1, 12, 256), (2, 7), (3, 0), (4, 19))], [DEFAULT], 1, 3, "no integrity", "SHA512, SHA384"
    ),
    "integrity beside an AEAD": (
        [ike((1, 20, 256), (2, 7), (3, 14), (4, 19))], [GCM_ONLY], 1, 3, "SHA512", "no integrity"
    ),
    "the nearest of two": (
        [ike((1, 3), (2, 2), (3, 2), (4, 2)), ike((1, 12, 256), (2, 7), (3, 14), (4, 2), number=2)],
        [proposal()], 2, 4, "group 2", "group 19",
    ),
    "an additional key exchange": (
        [ike((1, 12, 256), (2, 7), (3, 14), (4, 19), (6, 36))], [DEFAULT], 1, 6, "ML-KEM-768", "no such type for IKE"
    ),
    "a transform type nobody knows": (
        [ike((1, 12, 256), (2, 7), (3, 14), (4, 19), (77, 1))], [DEFAULT], 1, 77, "TRANSFORM-1", "no such type for IKE"
    ),
    "another protocol": ([esp((1, 12, 256), (3, 14), (5, 0))], [DEFAULT], 1, None, "ESP (3)", "IKE (1)"),
    "nothing offered": ([], [DEFAULT], None, None, "none", "at least one proposal"),
    "nothing configured": ([NINE], [], None, None, "none", "at least one proposal"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("received", "ours", "nearest", "axis", "found", "wanted"), IKE_REFUSALS.values(), ids=IKE_REFUSALS
)
def test_an_ike_refusal_says_the_nearest_miss(
    received: list[Proposal],
    ours: list[model.Proposal],
    nearest: int | None,
    axis: int | None,
    found: str,
    wanted: str,
) -> None:
    """A refusal names the received proposal that came closest, the transform type that parts it, and both values."""
    ##= rfc7296#section-5 type=test
    ##% MUST NOT negotiate NONE as the IKE integrity protection algorithm
    ##= rfc7296#section-3.3.5 type=test
    ##% proposals not containing it MUST be rejected
    ##= rfc7296#section-3.3.6 type=test
    ##% If the responder receives a proposal that contains a Transform Type it does not understand, or a proposal
    ##% that is missing a mandatory Transform Type, it MUST consider this proposal unacceptable; however, other
    ##% proposals in the same SA payload are processed as usual.
    ##= rfc7296#section-2.7 type=test
    ##% The responder MUST accept a single proposal or reject them all and return an error.
    ##= rfc7296#section-3.3.4 type=test
    ##% The implementation MUST reject SA proposals that are not authorized by these IKE suite controls.
    refusal = refused(choose_ike(received, ours))
    assert (refusal.nearest, refusal.axis, refusal.found, refusal.wanted) == (nearest, axis, found, wanted)
    assert not any(look.taken for look in refusal.tried)
    if nearest is not None:
        assert f"had {found}, wanted {wanted}" in refusal.why


def test_a_transform_with_an_unknown_attribute_is_not_chosen() -> None:
    """That transform is unacceptable; the others of its type are processed as usual.

    ##= rfc7296#section-3.3.6
    ##= type=test
    ##% if the responder receives a transform that it does not
    ##% understand, or one that contains a Transform Attribute it does not
    ##% understand, it MUST consider this transform unacceptable
    """
    strange = Transform(TransformType.KE, transform(4, 19).id, (Attribute(TransformAttribute.of(99), b"\0\1"),))
    offer = ike((1, 12, 256), (2, 7), (3, 14))
    both = Proposal(1, ProtocolId.IKE, b"", (*offer.transforms, strange, transform(4, 14)))
    assert shape(chosen(choose_ike([both], [DEFAULT])).proposal)[-1] == (4, 14)
    only = Proposal(1, ProtocolId.IKE, b"", (*offer.transforms, strange))
    assert refused(choose_ike([only], [DEFAULT])).axis == TransformType.KE


def test_an_spi_of_the_wrong_length_makes_a_proposal_unacceptable() -> None:
    """8 octets in an IKE rekey, 4 for ESP (RFC 7296 section 3.3.1)."""
    assert refused(choose_ike([NINE], [DEFAULT], spi_octets=8)).found == "an SPI of 0"
    assert refused(choose_esp([esp((1, 12, 128), (3, 2), (5, 0), spi=b"")], [DEFAULT_SET])).wanted == "4 octets"
    eight = ike((1, 12, 256), (2, 7), (3, 14), (4, 19), spi=b"8 octets")
    choice = chosen(choose_ike([eight], [DEFAULT], spi_octets=8))
    assert choice.proposal.spi == b"8 octets"
    assert choice.answer(b"our SPI.").spi == b"our SPI."


CBC_SHA1 = ((1, 12, 128), (3, 2))
ESP_CHOICES: dict[str, tuple[list[Proposal], int | None, bool, list[Short]]] = {
    "the default set": ([esp(*CBC_SHA1, (5, 0))], None, False, [*CBC_SHA1, (5, 0)]),
    "no ESN transform means no ESN": ([esp(*CBC_SHA1)], None, False, [*CBC_SHA1]),
    "ours of both ESN values": ([esp(*CBC_SHA1, (5, 1), (5, 0))], None, False, [*CBC_SHA1, (5, 0)]),
    "a group in IKE_AUTH is passed over": ([esp(*CBC_SHA1, (4, 19), (5, 0))], None, False, [*CBC_SHA1, (5, 0)]),
    "PFS is not asked for in IKE_AUTH": ([esp(*CBC_SHA1, (5, 0))], 19, False, [*CBC_SHA1, (5, 0)]),
    "NONE in IKE_AUTH is answered": ([esp(*CBC_SHA1, (4, 0), (5, 0))], None, False, [*CBC_SHA1, (4, 0), (5, 0)]),
    "our group": ([esp(*CBC_SHA1, (4, 14), (4, 19), (5, 0))], 19, True, [*CBC_SHA1, (4, 19), (5, 0)]),
    "the peer's group without PFS of ours": (
        [esp(*CBC_SHA1, (4, 2), (4, 22), (4, 14), (5, 0))], None, True, [*CBC_SHA1, (4, 14), (5, 0)],
    ),
    "no group without PFS of ours": ([esp(*CBC_SHA1, (5, 0))], None, True, [*CBC_SHA1, (5, 0)]),
    "NONE before a group": ([esp(*CBC_SHA1, (4, 0), (4, 14), (5, 0))], None, True, [*CBC_SHA1, (4, 0), (5, 0)]),
}  # fmt: skip


@pytest.mark.parametrize(("received", "pfs", "with_ke", "wanted"), ESP_CHOICES.values(), ids=ESP_CHOICES)
def test_an_esp_choice(received: list[Proposal], pfs: int | None, with_ke: bool, wanted: list[Short]) -> None:
    """Encryption and integrity of one transform-set; key exchange and ESN by the rule of the exchange."""
    ##= rfc7296#section-3.3.3 type=test
    ##% A compliant implementation MUST understand all mandatory and optional types for each protocol it supports
    ##% (though it need not accept proposals with unacceptable suites).
    ##= rfc7296#section-2.7 type=test
    ##% For example: if an ESP proposal includes transforms ENCR_3DES, ENCR_AES w/keysize 128, ENCR_AES w/keysize
    ##% 256, AUTH_HMAC_MD5, and AUTH_HMAC_SHA, the accepted suite MUST contain one of the ENCR_ transforms and one
    ##% of the AUTH_ transforms.
    choice = chosen(choose_esp(received, [GCM_SET, DEFAULT_SET], pfs, with_ke))
    assert shape(choice.proposal) == wanted
    assert choice.ours == "default"
    esp_suite(choice.proposal.transforms)


ESP_REFUSALS = {
    "PFS configured, none offered": ([esp(*CBC_SHA1, (5, 0))], 19, True, 4, "none", "group 19"),
    "PFS of another group": ([esp(*CBC_SHA1, (4, 14), (5, 0))], 19, True, 4, "group 14", "group 19"),
    "only ESN": ([esp(*CBC_SHA1, (5, 1))], None, False, 5, "ESN", "no ESN"),
    "encryption": ([esp((1, 12, 256), (3, 2), (5, 0))], None, False, 1, "AES-CBC-256", "AES-CBC-128"),
    "integrity": ([esp((1, 12, 128), (3, 12), (5, 0))], None, False, 3, "SHA256", "SHA96"),
    "AH": ([Proposal(1, ProtocolId.AH, SPI, ())], None, False, None, "AH (2)", "ESP (3)"),
}


@pytest.mark.parametrize(
    ("received", "pfs", "with_ke", "axis", "found", "wanted"), ESP_REFUSALS.values(), ids=ESP_REFUSALS
)
def test_an_esp_refusal_says_the_nearest_miss(
    received: list[Proposal], pfs: int | None, with_ke: bool, axis: int | None, found: str, wanted: str
) -> None:
    """What parts the peer's proposal from the transform-set, with both values."""
    refusal = refused(choose_esp(received, [DEFAULT_SET], pfs, with_ke))
    assert (refusal.axis, refusal.found, refusal.wanted) == (axis, found, wanted)


def test_a_weak_group_needs_to_be_configured() -> None:
    """Group 2 of a peer is not taken where we configured no PFS; configured, it is."""
    offer = [esp(*CBC_SHA1, (4, 2), (5, 0))]
    assert refused(choose_esp(offer, [DEFAULT_SET], None, True)).axis == TransformType.KE
    assert chosen(choose_esp(offer, [DEFAULT_SET], 2, True))


OFFER = [
    ike((1, 12, 256), (1, 12, 128), (2, 7), (3, 14), (3, 13), (4, 19), (4, 14)),
    ike((1, 20, 256), (2, 7), (4, 19), number=2),
]
MISMATCHES = {
    "no proposal": ([], "proposals had 0, wanted 1"),
    "two proposals": (OFFER, "proposals had 2, wanted 1"),
    "another number": (
        [ike((1, 12, 256), (2, 7), (3, 14), (4, 19), number=3)], "proposal number had 3, wanted 1, 2"
    ),
    "another protocol": ([esp((1, 12, 256), (3, 14), (5, 0), spi=b"")], "protocol had ESP (3), wanted IKE (1)"),
    "an SPI": ([ike((1, 12, 256), (2, 7), (3, 14), (4, 19), spi=SPI)], "SPI octets had 4, wanted 0"),
    "not offered": (
        [ike((1, 12, 256), (2, 7), (3, 14), (4, 20))], "key exchange had group 20, wanted one of group 19, group 14"
    ),
    "not offered there": (
        [ike((1, 12, 256), (2, 7), (4, 19), number=2)], "encryption had AES-CBC-256, wanted one of AES-GCM-256"
    ),
    "another key length": ([ike((1, 12, 192), (2, 7), (3, 14), (4, 19))], "encryption had AES-CBC-192"),
    "a type missing": ([ike((1, 12, 256), (2, 7), (4, 19))], "integrity had none"),
    "a type twice": ([ike((1, 12, 256), (2, 7), (3, 14), (4, 19), (4, 14))], "key exchange had group 19, group 14"),
    "a type too many": ([ike((1, 12, 256), (2, 7), (3, 14), (4, 19), (5, 0))], "ESN had no ESN, wanted one of none"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "message"), MISMATCHES.values(), ids=MISMATCHES)
def test_a_choice_that_was_not_offered_ends_the_exchange(answer: list[Proposal], message: str) -> None:
    """Anything but one transform of each type of one offered proposal is INVALID_SYNTAX.

    ##= rfc7296#section-3.3.6
    ##= type=test
    ##% The initiator of an exchange MUST check that the
    ##% accepted offer is consistent with one of its proposals, and if not
    ##% MUST terminate the exchange.
    """
    with pytest.raises(ChosenMismatch) as caught:
        check_chosen(OFFER, answer)
    assert message in str(caught.value)
    assert caught.value.notify == 7


def test_a_choice_out_of_the_offer_passes() -> None:
    """One transform of each type offered; INTEG NONE added to an AEAD changes nothing."""
    assert check_chosen(OFFER, ike((1, 12, 128), (2, 7), (3, 13), (4, 14))).number == 1
    assert check_chosen(OFFER, [ike((1, 20, 256), (2, 7), (3, 0), (4, 19), number=2)]).number == 2


def test_transforms_are_named_as_ios_names_them() -> None:
    """IOS's word where it has one, the registry's otherwise, the number where nobody has."""
    named = {
        "AES-CBC-256": (1, 12, 256),
        "AES-GCM-128": (1, 20, 128),
        "CHACHA20-POLY1305": (1, 28, None),
        "3DES": (1, 3, None),
        "AES-CTR-128": (1, 13, 128),
        "SHA384": (2, 6, None),
        "MD5": (2, 1, None),
        "SHA96": (3, 2, None),
        "SHA512": (3, 14, None),
        "group 19": (4, 19, None),
        "group 999": (4, 999, None),
        "no ESN": (5, 0, None),
        "ESN": (5, 1, None),
        "ML-KEM-768": (6, 36, None),
        "TRANSFORM-1": (77, 1, None),
    }
    assert [transform_text(*each) for each in named.values()] == list(named)


NUMBERS = st.sampled_from([1, 2, 5, 7, 12, 13, 14, 19, 20, 31, 999])
ENCRYPTIONS = st.sampled_from([CBC_128, CBC_256, GCM_128, GCM_256, CHACHA, model.TransformChoice(3)])


@st.composite
def proposals(draw: st.DrawFn) -> list[model.Proposal]:
    """One to three configured proposals of any algorithms."""
    some = st.lists(NUMBERS, min_size=1, max_size=4, unique=True).map(tuple)
    encryption = st.lists(ENCRYPTIONS, min_size=1, max_size=4, unique=True).map(tuple)
    each = st.builds(proposal, st.sampled_from("abc"), encryption, some, some, some)
    return draw(st.lists(each, min_size=1, max_size=3))


@given(ours=proposals(), theirs=proposals())
def test_what_is_chosen_was_offered_and_is_a_suite(ours: list[model.Proposal], theirs: list[model.Proposal]) -> None:
    """Whatever two sides configure: a choice passes the initiator's check and names a suite; a refusal has a reason."""
    ##= rfc7296#section-3.3.4 type=test
    ##% Upon receipt of a payload with a set of Transform IDs, the implementation MUST compare the transmitted
    ##% Transform IDs against those locally configured via the management controls, to verify that the proposed
    ##% suite is acceptable based on local policy.
    offer = offer_ike(theirs)
    result = choose_ike(offer, ours)
    if isinstance(result, Refusal):
        assert result.why
        return
    check_chosen(offer, result.answer())
    ike_suite(result.proposal.transforms)


@given(ours=proposals())
def test_two_routers_of_one_configuration_agree_on_the_first_of_each_list(ours: list[model.Proposal]) -> None:
    """An offer made from a configuration is acceptable to that configuration, by its first proposal."""
    offer = offer_ike(ours)
    if not offer:
        return
    choice = chosen(choose_ike(offer, ours))
    assert choice.proposal.number == 1
    firsts = [offer[0].of(kind)[0] for kind in dict.fromkeys(one.type for one in offer[0].transforms)]
    assert list(choice.proposal.transforms) == firsts
