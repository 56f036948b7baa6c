"""Cisco's smart defaults, generation by generation."""

import pytest

from ikescope.config.check import check
from ikescope.config.model import TransformChoice
from ikescope.config.smart_defaults import PROPOSALS, Generation, empty, generation_of, of_generation
from ikescope.crypto.suites import ENCRYPTIONS, GROUPS, INTEGRITIES, PRFS


def test_the_current_generation_offers_nine_transforms() -> None:
    """AES-CBC-256; SHA512, SHA384 twice; groups 19, 14, 21, 5, in that order."""
    default = empty().proposals["default"]
    assert default.encryption == (TransformChoice(12, 256),)
    assert (default.prf, default.integrity, default.groups) == ((7, 6), (14, 13), (19, 14, 21, 5))
    assert sum(map(len, (default.encryption, default.prf, default.integrity, default.groups))) == 9


def test_default_policy_transform_set_and_ipsec_profile() -> None:
    """The policy matches any VRF; the transform-set is esp-aes 128 esp-sha-hmac, transport; lifetimes are IOS's."""
    config = empty()
    assert (config.policies["default"].match_fvrf, config.policies["default"].proposals) == ("any", ("default",))
    suite = config.transform_sets["default"]
    assert (suite.encryption, suite.integrity, suite.transport) == (TransformChoice(12, 128), 2, True)
    profile = config.ipsec_profiles["default"]
    assert (profile.lifetime_seconds, profile.lifetime_kilobytes, profile.ikev2_profile) == (3600, 4608000, None)


def test_the_old_generation_offers_fifteen_transforms_and_the_new_one_eight() -> None:
    """15: three key lengths, five of PRF and integrity, MD5 among them, groups 5 and 2; 26: nine without group 5."""
    old, new = PROPOSALS["15"], PROPOSALS["26"]
    assert sum(map(len, (old.encryption, old.prf, old.integrity, old.groups))) == 15
    assert (old.prf, old.integrity, old.groups) == ((7, 6, 5, 2, 1), (14, 13, 12, 2, 1), (5, 2))
    assert sum(map(len, (new.encryption, new.prf, new.integrity, new.groups))) == 8


@pytest.mark.parametrize("generation", PROPOSALS)
def test_every_default_is_something_that_we_can_do(generation: Generation) -> None:
    """No default proposal names an algorithm without a row in the tables of crypto."""
    proposal = PROPOSALS[generation]
    assert {(choice.id, choice.key_length) for choice in proposal.encryption} <= set(ENCRYPTIONS)
    assert set(proposal.prf) <= set(PRFS)
    assert set(proposal.integrity) <= set(INTEGRITIES)
    assert set(proposal.groups) <= GROUPS


@pytest.mark.parametrize(
    ("version", "generation"),
    [("15.1", "15"), ("15.9(3)M2", "15"), ("16.9", "17"), ("17.12", "17"), ("26.02", "26"), ("", "17"), ("12.4", "17")],
)
def test_generation_of_a_version(version: str, generation: str) -> None:
    """15.x is generation 15, 26.x is 26, everything else 17."""
    assert generation_of(version) == generation


@pytest.mark.parametrize(("generation", "said"), [("15", ""), ("26", "ML-KEM-768"), ("17", "")])
def test_what_is_left_out_is_named(generation: Generation, said: str) -> None:
    """Where IOS's default offers more than ours, a note says what."""
    notes = [finding.text for finding in check(of_generation(empty(), generation)) if finding.severity == "note"]
    assert len(notes) == bool(said)
    assert all(said in text for text in notes)
