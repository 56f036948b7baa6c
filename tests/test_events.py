"""Records as JSON lines: what a source held comes back, what it did not hold stays unknown."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ikescope.errors import LocalError
from ikescope.events import REGISTRY, Record, Recorder, Stamp, UnsetType, decode, encode
from ikescope.events.life import CloseReason
from ikescope.events.message import DatagramEvent, DropTrigger, MessageDropped, MessageReceived, MessageSent
from ikescope.events.negotiation import ConfigSent, ProposalSent
from ikescope.events.router import EspSeen

STAMP = Stamp(seq=1, mono=1.0, wall=2.0, router="R1")


def test_a_record_comes_back_equal() -> None:
    """A record encoded and decoded is the same record, octets included."""
    record = Record(STAMP, MessageDropped(trigger=DropTrigger.ICV, octets=b"\0\xff", size=2))
    assert decode(encode(record)) == record


@pytest.mark.parametrize("tag", sorted(REGISTRY))
def test_every_event_may_lack_every_fact(tag: str) -> None:
    """An event read from a text that holds nothing but its kind is encoded and comes back without a guess."""
    event = REGISTRY[tag]()
    back = decode(encode(Record(STAMP, event))).event
    assert back == event
    assert all(getattr(back, field) == getattr(event, field) for field in back.__struct_fields__)


def test_an_unknown_fact_is_neither_none_nor_zero() -> None:
    """What a source does not hold is UNSET after a round trip too."""
    back = decode(encode(Record(STAMP, REGISTRY["message.sent"](exchange=34)))).event
    assert isinstance(back, MessageSent)
    assert isinstance(back.size, UnsetType)
    assert back.exchange == 34


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("", "not a line"),
        ("{}", "not a line"),
        (
            '{"schema":"x","type":"record","stamp":{"seq":1,"mono":1,"wall":1,"router":"R"},"event":{"event":"no.such"}}',
            "unknown event",
        ),
    ],
)
def test_what_is_no_record_is_told_in_one_line(line: str, found: str) -> None:
    """A line that is no record of ours is a LocalError that says what was found."""
    with pytest.raises(LocalError, match=found):
        decode(line)


def test_the_flight_recorder_is_bounded() -> None:
    """Old records make room, by number and by the octets they hold."""
    recorder = Recorder(records=10, octets=4096)
    for number in range(100):
        recorder.add(Record(STAMP, MessageDropped(trigger=DropTrigger.ICV, octets=bytes(number * 10))))
    assert 0 < len(recorder) <= 10
    assert sum(len(record.event.octets) for record in recorder) <= 4096  # type: ignore[misc, attr-defined]


def test_no_fact_of_an_attribute_or_proposal_is_needed() -> None:
    """Facts within lists may be unknown as well: they are left out, not null."""
    config = ConfigSent(kind=1, attributes=())
    assert decode(encode(Record(STAMP, config))).event == config
    assert ProposalSent.tag == "proposal.sent"


ROOT = Path(__file__).parents[1]
LIVE = ("engine", "node", "esp", "planes", "daemon", "ios")
"""Where a running router tells what happens."""


def parsed(directory: Path) -> Iterator[ast.AST]:
    """Every node of every module under a directory."""
    for path in directory.rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


@cache
def emitted() -> tuple[frozenset[str], frozenset[str]]:
    """The names that the running router calls, and the members of enumerations that it names."""
    calls, members = set(), set()
    for package in LIVE:
        for node in parsed(ROOT / "src" / "ikescope" / package):
            if isinstance(node, ast.Call):
                called = node.func
                calls.add(called.id if isinstance(called, ast.Name) else getattr(called, "attr", ""))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                members.add(f"{node.value.id}.{node.attr}")
    return frozenset(calls), frozenset(members)


@cache
def spoken() -> frozenset[str]:
    """Every name, attribute and text that tests speak of."""
    found = set()
    for node in parsed(ROOT / "tests"):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return frozenset(found)


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.tag)
def test_every_event_is_emitted(kind: type) -> None:
    """No event is declared that a running router never tells, but for what only a capture shows."""
    assert kind.__name__ in emitted()[0] or (kind is EspSeen and "EspSeen" in spoken())


@pytest.mark.parametrize("kind", [CloseReason, DropTrigger])
def test_every_reason_is_emitted_and_tested(kind: type[CloseReason] | type[DropTrigger]) -> None:
    """Each reason of a closed list is given somewhere, and some test makes it happen."""
    names = [one.name for one in kind]
    assert [name for name in names if f"{kind.__name__}.{name}" not in emitted()[1]] == []
    assert [one.name for one in kind if not {one.name, one.value} & spoken()] == []


def test_sent_and_received_declare_the_same_facts() -> None:
    """A message tells the same facts at both ends; they are declared once."""
    assert MessageSent.__struct_fields__ == MessageReceived.__struct_fields__ == DatagramEvent.__struct_fields__
    assert MessageSent.required == MessageReceived.required == DatagramEvent.required
    assert MessageSent.required >= {"exchange", "response", "local", "remote", "payloads", "size"}
