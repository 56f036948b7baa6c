"""The IOS catalogue: every event has its word or a reason for none; every row renders and reads back."""

import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikescope.events import (
    REGISTRY,
    UNSET,
    AttributeFact,
    Event,
    IdentityFact,
    ProposalFact,
    Record,
    Stamp,
    TransformFact,
    life,
)
from ikescope.events import message as m
from ikescope.events import negotiation as n
from ikescope.ios.catalogue import Generation, Is, Row
from ikescope.ios.catalogue_table import ROWS, find
from ikescope.ios.debug import Renderer, stamp_text
from ikescope.ios.debug_read import Unknown, read

IKE_OFFER = (TransformFact(1, 12, 256), TransformFact(2, 7), TransformFact(3, 14), TransformFact(4, 19))
ESP_OFFER = (TransformFact(1, 12, 128), TransformFact(3, 2), TransformFact(5, 0))
TEXTS = {
    "local": "192.0.2.1:500",
    "remote": "192.0.2.2:500",
    "spi_a": "a1a2a3a4",
    "spi_b": "b1b2b3b4",
    "old_inbound": "01020304",
    "new_inbound": "05060708",
    "new_spi_i": "c1c2c3c4c5c6c7c8",
    "new_spi_r": "d1d2d3d4d5d6d7d8",
}
NUMBERS = {"method": 2, "group": 19, "exchange": 35, "notify": 24, "kind": 1}


def value(name: str, declared: Any, protocol: int) -> Any:
    """A value for one fact of an event, by its declared type."""
    options = [one for one in typing.get_args(declared) if one is not msgspec.UnsetType] or [declared]
    kind = typing.get_origin(declared) if typing.get_origin(declared) is tuple else options[0]
    if typing.get_origin(declared) is typing.Literal:
        return typing.get_args(declared)[0]
    if kind is str:
        return TEXTS.get(name, f"some-{name}")
    if kind is tuple or typing.get_origin(kind) is tuple:
        return _several(name, protocol)
    if kind is IdentityFact:
        return IdentityFact(1, "192.0.2.9" if name == "remote" else "192.0.2.8")
    if kind is m.DropTrigger:
        return m.DropTrigger.ICV
    if kind is ProposalFact:
        return ProposalFact(1, protocol, "", IKE_OFFER)
    return {int: NUMBERS.get(name, 3), float: 30.0, bool: True, bytes: b"", dict: {}}.get(
        typing.get_origin(kind) or kind, UNSET
    )


def _several(name: str, protocol: int) -> tuple[Any, ...]:
    if name in ("proposals", "received", "expected", "offered"):
        offer = IKE_OFFER if protocol == 1 else ESP_OFFER
        return ProposalFact(1, protocol, "", offer), ProposalFact(2, protocol, "", offer)
    return {
        "attributes": (AttributeFact(7, "app-version", 12, "ikescope 0.1\nsecond line"), AttributeFact(8, "banner", 0)),
        "spis": ("a1a2a3a4", "b1b2b3b4"),
        "payloads": ("SA", "KE", "N", "NOTIFY(COOKIE)"),
        "inner": ("IDi", "AUTH"),
    }.get(name, ())


#: What makes an event one for a row that takes what the rows before it leave.
OTHERWISE: tuple[dict[str, Any], ...] = (
    {},
    {"exchange": 37},
    {"exchange": 37, "notify": 7},
    {"response": False},
    {"local_behind": UNSET},
)


def generation(row: Row) -> Generation:
    """A generation of IOS that prints this row."""
    return row.generations[-1] if row.generations else "17"


def printed(row: Row, record: Record, **rest: Any) -> list[str]:
    """The lines of a record as the row's generation prints them."""
    return Renderer(generation=generation(row), **rest).lines(record)


def sample(row: Row) -> Record:
    """A record that a row speaks of."""
    made = [_sample(row, other) for other in OTHERWISE if {*other} <= {*row.event.__struct_fields__} - {*row.when}]
    return next((one for one in made if find(one.event, one.stamp, generation(row)) is row), made[0])


def _sample(row: Row, other: dict[str, Any]) -> Record:
    facts: dict[str, Any] = {}
    protocol = row.when.get("protocol", 1)
    hints = typing.get_type_hints(row.event)
    for one in msgspec.structs.fields(row.event):
        if row.event is m.MessageSent and one.name == "inner":
            continue
        facts[one.name] = value(one.name, hints[one.name], protocol)
    facts |= other
    for name, wanted in row.when.items():
        if wanted is Is.MISSING:
            facts[name] = UNSET
        elif not isinstance(wanted, Is):
            facts[name] = min(wanted) if isinstance(wanted, frozenset) else wanted
    if "repeat" in facts:
        facts["repeat"] = 0
    inside: dict[str, Any] = {"local": "192.0.2.1:500", "peer": "192.0.2.2:500", "session": 7, "sa": 2}
    inside |= {"spi_i": "a1a2a3a4a5a6a7a8", "spi_r": "b1b2b3b4b5b6b7b8", "message_id": 1, "initiator": UNSET}
    return Record(Stamp(seq=1, mono=0.0, wall=0.0, router="R1", **(inside | dict(row.stamp))), row.event(**facts))


SPEAKING = [row for row in ROWS if row.lines]


def known(found: Any, wanted: Any) -> bool:
    """Whether what was read is what was told, or unknown; a tuple or fact is compared part by part."""
    if found is UNSET:
        return True
    if isinstance(wanted, msgspec.Struct):
        return all(known(getattr(found, name), getattr(wanted, name)) for name in wanted.__struct_fields__)
    if isinstance(wanted, tuple):
        return len(found) == len(wanted) and all(known(a, b) for a, b in zip(found, wanted, strict=True))
    return bool(found == wanted)


def test_every_event_has_a_row() -> None:
    """An event is in the table, with lines or with the reason for none."""
    assert {event.__name__ for event in REGISTRY.values()} - {row.event.__name__ for row in ROWS} == set()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_speaks_of_its_own_sample(row: Row) -> None:
    """No row is hidden behind one before it, and each says where its words come from."""
    record = sample(row)
    assert find(record.event, record.stamp, generation(row)) is row
    assert row.source == "unsourced" or row.where
    assert 0 <= row.principal < max(len(row.lines), 1)


#: Lines that stand for something else too: without the lines before them the reader takes the likelier.
LIKE_ANOTHER = {
    "SelectorsChosen (by = local, exchange = 35, initiator = False)",
    "SelectorsChosen (by = peer, exchange = 35, initiator = True)",
}


@pytest.mark.parametrize("row", [row for row in SPEAKING if row.name not in LIKE_ANOTHER], ids=lambda row: row.name)
def test_what_a_row_prints_is_read_back(row: Row) -> None:
    """Reading a row's lines gives one event of its kind, whose facts are those told or UNSET."""
    record = sample(row)
    lines = printed(row, record)
    assert len(lines) >= len(row.lines)
    (found,) = read(lines)
    assert isinstance(found, Record)
    assert type(found.event) is row.event
    for name in found.event.__struct_fields__:
        assert known(getattr(found.event, name), getattr(record.event, name)), name
    for name, wanted in row.when.items():
        if not isinstance(wanted, Is | frozenset):
            assert getattr(found.event, name) == wanted, name
    assert found.stamp.sa in (UNSET, 2)


#: Rows that hold for a fact which the text tells of without its value.
VALUE_NOT_TOLD = [row for row in SPEAKING if Is.SET in row.when.values()]


@pytest.mark.parametrize("row", [row for row in SPEAKING if row not in VALUE_NOT_TOLD], ids=lambda row: row.name)
def test_what_was_read_prints_the_same_lines(row: Row) -> None:
    """Rendering what was read from a row's lines gives the same lines, for nothing printed was lost."""
    lines = printed(row, sample(row))
    (found,) = read(lines)
    assert isinstance(found, Record)
    assert printed(row, found) == lines


@pytest.mark.parametrize("row", [row for row in SPEAKING if row.name not in LIKE_ANOTHER], ids=lambda row: row.name)
def test_a_principal_line_alone_gives_the_event(row: Row) -> None:
    """Where only the principal line of a group is left of a debug, the event is still read."""
    record = sample(row)
    lines = printed(row, record)
    if row.lines[row.principal].each:
        lines = lines[:1]
    else:
        lines = [lines[row.principal]] if len(lines) == len(row.lines) else lines
    (found,) = read(lines)
    assert isinstance(found, Record)
    assert type(found.event) is row.event


def test_the_error_level_prints_error_lines_alone() -> None:
    """`debug crypto ikev2 error` leaves only lines that begin with IKEv2-ERROR, and what continues them."""
    for row in SPEAKING:
        lines = printed(row, sample(row), level="error")
        wanted = [one for one in row.lines if one.prefix.startswith("error")]
        assert bool(lines) is bool(wanted), row.name
        assert all(line.startswith(("IKEv2-ERROR:", "Proposal", "ESP: Proposal")) for line in lines)


def test_time_stamps_are_ios_s() -> None:
    """A message's first line has the stamp, a line that continues it has none, and reading gives the time back."""
    record = sample(next(row for row in ROWS if row.event is n.ProposalSent))
    at = Record(msgspec.structs.replace(record.stamp, wall=1795442701.123), record.event)
    lines = Renderer(stamps=True).lines(at)
    assert lines[0].startswith("*Nov 23 14:05:01.123: IKEv2:(SESSION ID = 7,SA ID = 2):IKE Proposal: 1")
    assert lines[1] == "Num. transforms: 4"
    (found,) = read(lines, year=2026)
    assert isinstance(found, Record)
    assert found.stamp.wall == pytest.approx(1795442701.123)
    assert stamp_text(0.0) == "*Jan  1 00:00:00.000: "


def test_lines_of_no_row_are_kept_with_their_number() -> None:
    """Prompts and syslog come out as foreign, what nobody knows as unknown, in place; they do not part a group."""
    text = [
        "R1#debug crypto ikev2",
        "IKEv2:Searching Policy with fvrf 0, local address 192.0.2.1",
        "IKEv2:Found Policy 'default'",
        "%LINEPROTO-5-UPDOWN: Line protocol on Interface GigabitEthernet1, changed state to up",
        "IKEv2:(SESSION ID = 1,SA ID = 1):SM Trace-> SA: I_SPI=0 R_SPI=0 (I) MsgID = 0 CurState: IDLE",
    ]
    found = list(read(text))
    assert [one.number for one in found if isinstance(one, Unknown)] == [1, 4, 5]
    assert [type(one).__name__ for one in found] == ["Foreign", "Record", "Foreign", "Unknown"]


def test_companions_without_their_principal_line_are_absorbed() -> None:
    """A debug that begins in the middle of a group gives neither an event of it nor unknown lines."""
    text = [
        "IKEv2:(SESSION ID = 1,SA ID = 1):Request queued for computation of DH key",
        "IKEv2:(SESSION ID = 1,SA ID = 1):",
    ]
    assert list(read(text[:1])) == []


def test_an_empty_line_is_an_error_s_only_where_it_says_so() -> None:
    """A prefix that a terminal parted from its text tells nothing; an empty error line tells of a refused Child SA."""
    text = ["IKEv2:(SESSION ID = 14607,SA ID = 68):", "IKEv2-ERROR:(SESSION ID = 31,SA ID = 1):"]
    found = [one for one in read(text) if isinstance(one, Record)]
    assert [(type(one.event), one.stamp.sa) for one in found] == [(life.ChildRefused, 1)]


def test_forms_of_the_prefix_are_all_accepted() -> None:
    """A sequence number, a time zone, a leading blank, an SA without session, a double colon after an error."""
    text = [
        "2328304: Jun  8 19:14:38.051 GMT: IKEv2:(SESSION ID = 14607,SA ID = 68):Deleting SA",
        " *May  2 16:05:33.248: IKEv2:(SA ID = 1):Insert SA ",
        "IKEv2-ERROR:(SESSION ID = 71,SA ID = 1):: Auth exchange failed",
        "Nov 30 2024 11:16:54.881 UTC: IKEv2:(SESSION ID = 3,SA ID = 2):Processing INITIAL_CONTACT",
    ]
    found = [one for one in read(text) if isinstance(one, Record)]
    kinds = [life.IkeSaClosed, life.SaInserted, n.ExchangeFailed, n.InitialContactReceived]
    assert [type(one.event) for one in found] == kinds
    assert [one.stamp.sa for one in found] == [68, 1, 1, 2]
    assert found[3].stamp.wall == pytest.approx(1732965414.881)


def test_a_repeated_packet_is_counted() -> None:
    """What is sent after `Retransmitting packet` is the same message again, for the first and the second time."""
    packet = sample(next(row for row in ROWS if row.event is m.MessageSent))
    again = Record(packet.stamp, m.Retransmitting(exchange=34, attempt=1, limit=6, wait=1.0))
    told = [packet, again, packet, again, packet]
    lines = [line for record in told for line in Renderer().lines(record)]
    found = [
        one.event.repeat for one in read(lines) if isinstance(one, Record) and isinstance(one.event, m.MessageSent)
    ]
    assert found == [0, 1, 2]


def test_two_sas_between_each_other_s_lines() -> None:
    """Groups of two SAs that take turns are told apart by their session and SA."""
    one, other = "IKEv2:(SESSION ID = 1,SA ID = 1):", "IKEv2:(SESSION ID = 2,SA ID = 2):"
    text = [f"{one}Verify peer's policy", f"{other}Verify peer's policy", f"{one}Peer's policy verified"]
    text.append(f"{other}Peer's policy verified")
    found = [record for record in read(text) if isinstance(record, Record)]
    assert [(type(record.event), record.stamp.sa) for record in found] == [(n.PolicyVerified, 1), (n.PolicyVerified, 2)]


def test_an_sa_without_a_number_yet_has_a_bare_prefix() -> None:
    """The first packet of a responder belongs to no SA: its session and SA are 0, and IOS prints neither."""
    packet = sample(next(row for row in ROWS if row.event is m.MessageReceived))
    lines = Renderer().lines(Record(msgspec.structs.replace(packet.stamp, session=0, sa=0), packet.event))
    assert lines[1].startswith("IKEv2:Received Packet [From")


def test_no_event_without_an_ike_sa_claims_one() -> None:
    """Where a stamp has no session, the prefix is bare: nothing is guessed."""
    event: Event = n.PolicyVerified()
    lines = Renderer().lines(Record(Stamp(seq=1, mono=0.0, wall=0.0, router="R1"), event))
    assert lines == ["IKEv2:Verify peer's policy", "IKEv2:Peer's policy verified"]


def test_the_document_is_the_one_made_from_the_catalogue() -> None:
    """docs/ios-debug.md says what the table says; `tools/ios_debug_doc.py` writes it."""
    from tools.ios_debug_doc import document

    assert (Path(__file__).parents[2] / "docs" / "ios-debug.md").read_text(encoding="utf-8") == document()


@given(st.lists(st.one_of(st.text(), st.sampled_from([line.text for row in SPEAKING for line in row.lines]))))
def test_no_text_breaks_the_reader(lines: list[str]) -> None:
    """Whatever the lines are, reading ends, raises nothing and gives records and unknown lines."""
    prefixed = [text for line in lines for text in (line, f"IKEv2:(SESSION ID = 1,SA ID = 1):{line}")]
    assert all(isinstance(one, Record | Unknown) for one in read(prefixed))
