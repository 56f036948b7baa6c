"""The walk: sentences made of this session's own values, and of nothing else."""

from __future__ import annotations

import re

import msgspec
import pytest
from tests.support_records import Made

from ikescope.events import UNSET, Record, SelectorFact, TransformFact
from ikescope.events.life import ChildSaCreated, IkeSaCreated
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.negotiation import AuthRefused, KeyExchangeComputed, NatChecked, ProposalSent
from ikescope.explain.scene import Step
from ikescope.explain.walk import PARTS, Walk, walk

SESSIONS = ("whole", "wrong_key", "no_proposal", "unmatched_selectors", "silence")


def said(steps: list[Step]) -> str:
    """All lines of a walk as one text."""
    return "\n".join(line for step in steps for line in step.lines)


def changed(records: list[Record], kind: type, **facts: object) -> list[Record]:
    """The records with facts of one event kind replaced."""
    return [
        Record(one.stamp, msgspec.structs.replace(one.event, **facts)) if isinstance(one.event, kind) else one
        for one in records
    ]


def test_the_parts_come_in_order() -> None:
    """A session without a fault is told in the order of the tour, parts 1 to 7."""
    parts = [step.part for step in walk(Made().whole().records)]
    assert parts == sorted(parts)
    assert set(parts) == set(range(1, 8)) and set(PARTS) == set(range(1, 9))


@pytest.mark.parametrize("session", SESSIONS)
def test_a_note_has_two_to_four_lines(session: str) -> None:
    """Each note of each session is two to four lines, none longer than two of a terminal of 100 columns."""
    for step in walk(getattr(Made(), session)().records):
        assert 2 <= len(step.lines) <= 4, step
        assert all(len(line) < 200 for line in step.lines), step


def test_the_nine_transforms_are_counted_by_kind() -> None:
    """Number and names of the transforms come out of the event."""
    text = said(walk(Made().up().records))
    assert (
        "9 transforms: 1 encryption (AES-CBC-256), 2 PRF (SHA512, SHA384), 2 integrity (SHA512, SHA384), "
        "4 key exchange (19, 14, 21, 5)."
    ) in text


def test_an_added_transform_is_counted() -> None:
    """One more transform in the event is one more in the sentence."""
    records = Made().up().records
    fact = Made().offer
    more = msgspec.structs.replace(fact, transforms=(*fact.transforms, TransformFact(4, 31)))
    text = said(walk(changed(records, ProposalSent, proposals=(more,))))
    assert "10 transforms: " in text and "5 key exchange (19, 14, 21, 5, 31)" in text


def test_group_selector_and_lifetime_change_the_sentences() -> None:
    """Another group, selector and lifetime in the events are in the sentences, and the old ones are not."""
    pair = (SelectorFact("10.3.0.0", "10.3.0.255"),), (SelectorFact("10.4.0.0", "10.4.0.255"),)
    before = said(walk(Made().up().records))
    after = said(walk(Made(group=20, groups=(20, 31), selectors=pair, lifetime=7200, esp_lifetime=900).up().records))
    for old, new in (
        ("group 19 (256-bit elliptic curve)", "group 20 (384-bit elliptic curve)"),
        ("4 key exchange (19, 14, 21, 5)", "2 key exchange (20, 31)"),
        ("192.0.2.1 -> 192.0.2.2, GRE", "10.3.0.0/24 -> 10.4.0.0/24"),
        ("86400 s (24 h)", "7200 s (2 h)"),
        ("3600 s (1 h)", "900 s (15 min)"),
    ):
        assert old in before and new not in before
        assert new in after and old not in after


def test_every_number_of_the_walk_is_in_an_event() -> None:
    """Addresses, SPIs and sizes that the walk names occur in the records."""
    records = Made().whole().records
    raw = b"".join(msgspec.json.encode([one.stamp, one.event]) for one in records).decode().lower()
    text = said(walk(records))
    for spi in set(re.findall(r"0x([0-9A-F]{8,16})", text)):
        assert spi.lower() in raw
    for address in set(re.findall(r"\d+\.\d+\.\d+\.\d+", text)):
        assert address.rsplit(".", 1)[0] in raw
    for size in set(re.findall(r"(\d+) octets[,:]", text)):
        assert re.search(rf":{size}\b", raw), size


@pytest.mark.parametrize(
    ("kind", "fact", "gone"),
    [
        (KeyExchangeComputed, "octets", ", 64 octets: a guess"),
        (MessageSent, "inner", "On the wire there is one payload"),
    ],
)
def test_an_unset_fact_silences_its_sentence(kind: type, fact: str, gone: str) -> None:
    """Where a source does not hold a fact, the sentence that needs it is not said and the others are."""
    records = Made().up().records
    assert gone in said(walk(records))
    for messages in (MessageSent, MessageReceived):
        records = changed(records, messages, octets=UNSET)
    text = said(walk(changed(records, kind, **{fact: UNSET})))
    assert gone not in text and "UNSET" not in text
    assert "AUTH verifies with the pre-shared key" in text


@pytest.mark.parametrize("fact", ["spi_r", "initiator", "message_id", "peer", "sa"])
def test_a_stamp_without_a_fact_breaks_nothing(fact: str) -> None:
    """A walk over records whose stamps lack a fact ends, and names no UNSET."""
    records = [Record(msgspec.structs.replace(one.stamp, **{fact: UNSET}), one.event) for one in Made().whole().records]
    assert "UNSET" not in said(walk(records))


def test_a_nat_is_told_as_found() -> None:
    """What is said of NAT follows the event."""
    records = changed(Made().up().records, NatChecked, local_behind=True, floated=True)
    text = said(walk(records))
    assert "we stand behind a NAT" in text and "no NAT in between" not in text and "UDP port 4500" in text


def test_a_later_choice_is_told_with_its_place() -> None:
    """A group that was not the first of the offer is named with its place there."""
    text = said(walk(Made(group=14).up().records))
    assert "key exchange 14 stands at place 2 of 4" in text


def test_esp_and_ike_spis_are_told_apart() -> None:
    """Part 5 names both ESP SPIs, who chose which, and the pair of IKE SPIs beside them."""
    step = next(one for one in walk(Made().up().records) if one.part == 5)
    text = "\n".join(step.lines)
    assert "0xC1C1C1C1, which we chose" in text and "0xD1D1D1D1, which it chose" in text
    assert "0xA1A2A3A4A5A6A7A8 / 0xB1B2B3B4B5B6B7B8 (8 octets each)" in text


def test_rekeys_say_old_and_new_spis_and_who_deletes() -> None:
    """Part 6 leads from the old SPIs to the new ones, and the one that began the rekey deletes."""
    text = said([one for one in walk(Made().whole().records) if one.part == 6])
    assert "0xA1A2A3A4A5A6A7A8 / 0xB1B2B3B4B5B6B7B8 become 0xE1E2E3E4E5E6E7E8 / 0xF1F2F3F4F5F6F7F8" in text
    assert "In 0xC1C1C1C1 becomes 0xC2C2C2C2, out 0xD1D1D1D1 becomes 0xD2D2D2D2" in text
    assert "We began the rekey, so we delete the old IKE SA." in text
    theirs = said(walk(Made().whole().records, "R2"))
    assert "The peer began the rekey, so the peer deletes the old IKE SA." in theirs


def test_a_wrong_key_is_told_from_either_side() -> None:
    """The responder saw AUTH not verify; the initiator has the notify and no more."""
    titles = [one.title for one in walk(Made().wrong_key().records) if one.part == 8]
    assert titles == [
        "As R2 sees it: AUTH does not verify",
        "The answer, opened",
        "As R1 sees it: AUTHENTICATION_FAILED",
    ]


def test_silence_on_4500_is_not_silence_from_the_start() -> None:
    """Where IKE_SA_INIT was answered the walk blames port 4500, else the way to the peer."""
    floated, silent = (said(walk(Made().silence(floated=one).records)) for one in (True, False))
    assert "drops UDP 4500" in floated and "drops UDP 4500" not in silent
    assert "Not one answer to the first message" in silent and "Not one answer" not in floated


def test_the_responder_has_a_walk_of_its_own() -> None:
    """From the responder's side the SPIs, keys and proofs change places."""
    text = said(walk(Made().up().records, "R2"))
    assert "Initiator SPI 0xA1A2A3A4A5A6A7A8 is the choice of 192.0.2.1" in text
    assert "our own identity and AUTH go out with the answer" in text


def test_notes_follow_their_record() -> None:
    """Added record by record, each note comes with the record it speaks of."""
    guide = Walk("R1")
    for record in Made().up().records:
        for step in guide.add(record):
            assert step.after == record.stamp.seq
            if step.part == 5:
                assert isinstance(record.event, ChildSaCreated)
            if step.title == "The IKE SA stands":
                assert isinstance(record.event, IkeSaCreated)


def test_a_router_without_a_name_is_this_router() -> None:
    """Where the source does not name the router, a failure is told of this router, and no method is guessed."""
    records = [
        Record(msgspec.structs.replace(one.stamp, router=""), one.event)
        for one in changed(Made().wrong_key().records, AuthRefused, method=UNSET)
        if one.stamp.router == "R2"
    ]
    failure = next(one for one in walk(records) if one.part == 8)
    assert failure.title == "As this router sees it: AUTH does not verify"
    assert any(line.startswith("This router ") for line in failure.lines)
    assert not any("pre-shared keys differ" in line for line in failure.lines)
