"""The registries: unknown numbers survive, compare and print."""

from __future__ import annotations

import copy
import inspect
import pickle

import msgspec
import pytest

from ikescope.wire import registry
from ikescope.wire.registry import EncryptionId, NotifyType, OpenEnum, PayloadType, TransformType

ENUMS = [cls for _, cls in inspect.getmembers(registry, inspect.isclass) if issubclass(cls, OpenEnum) and len(cls)]


def test_a_number_prints_as_name_and_number() -> None:
    """A member prints as NAME (number), its label as NAME alone, in f-strings too."""
    assert str(NotifyType.COOKIE) == f"{NotifyType.COOKIE}" == "COOKIE (16390)"
    assert NotifyType.COOKIE.label == "COOKIE"
    assert f"{NotifyType.COOKIE:>16}|{NotifyType.COOKIE:d}|{NotifyType.COOKIE:#x}" == "  COOKIE (16390)|16390|0x4006"


def test_an_unknown_number_survives() -> None:
    """An unknown number is a member that prints, hashes and compares by value and is not kept in the registry."""
    unknown = NotifyType(40960)
    assert str(unknown) == "NOTIFY_40960 (40960)"
    assert unknown.label == "NOTIFY_40960"
    assert unknown == NotifyType.of(40960) == 40960
    assert {unknown: 1}[NotifyType(40960)] == {unknown: 1}[40960] == 1  # type: ignore[index]
    assert not unknown.assigned
    assert NotifyType.COOKIE.assigned
    assert 40960 not in {member.value for member in NotifyType}


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_every_registry_is_open(enum: type[OpenEnum]) -> None:
    """Every registry takes any number, gives its members back by number, and survives copy, pickle and msgspec."""
    for member in enum:
        assert enum.of(member.value) is enum(member.value) is member
        assert member.label in enum.__members__
    unknown = enum(60000)
    assert unknown.label.endswith("_60000")
    assert unknown == copy.deepcopy(unknown) == pickle.loads(pickle.dumps(unknown))
    assert msgspec.json.decode(msgspec.json.encode(unknown), type=enum) == unknown


def test_a_negative_value_is_no_number() -> None:
    """What cannot stand on the wire is refused."""
    with pytest.raises(ValueError, match="-1"):
        NotifyType(-1)


def test_errors_lie_below_16384() -> None:
    """Notify types below 16384 report errors, the others status."""
    ##= rfc7296#section-3.10.1 type=test
    ##% Types in the range 0 - 16383 are intended for reporting errors.
    assert NotifyType.NO_PROPOSAL_CHOSEN.is_error
    assert NotifyType(8192).is_error
    assert not NotifyType.INITIAL_CONTACT.is_error


NUMBERS: list[tuple[int, int]] = [
    (registry.ExchangeType.IKE_INTERMEDIATE, 43),
    (registry.ExchangeType.IKE_FOLLOWUP_KE, 44),
    (PayloadType.SK, 46),
    (PayloadType.SKF, 53),
    (TransformType.DH, TransformType.KE),
    (TransformType.ADDKE1, 6),
    (TransformType.ADDKE7, 12),
    (EncryptionId.ENCR_CHACHA20_POLY1305, 28),
    (registry.KeyExchangeId.ML_KEM_1024, 37),
    (NotifyType.IKEV2_FRAGMENTATION_SUPPORTED, 16430),
    (NotifyType.ADDITIONAL_KEY_EXCHANGE, 16441),
]


@pytest.mark.parametrize(("member", "number"), NUMBERS, ids=str)
def test_numbers_of_the_registry(member: int, number: int) -> None:
    """A sample of the numbers as IANA lists them, those of RFC 7383, 9242 and 9370 among them."""
    assert member == number


def test_ios_names_of_payloads() -> None:
    """The short names are those of IOS's Payload contents lines."""
    names = [PayloadType(number).short for number in range(33, 49)]
    assert " ".join(names) == "SA KE IDi IDr CERT CERTREQ AUTH N NOTIFY DELETE VID TSi TSr ENCR CFG EAP"
    assert PayloadType.SKF.short == "SKF"
    assert PayloadType(200).short == "PAYLOAD_200"
