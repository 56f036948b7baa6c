"""The ladder of one capture: the lines that the timeline's ladder has."""

import random
from collections.abc import Iterator
from itertools import islice

import pytest
from msgspec.structs import replace
from tests.support_records import Made

from ikescope.bench.read import capture
from ikescope.capture import from_records, pcapng, reader, source
from ikescope.capture.conversation import Reading
from ikescope.capture.keyfiles import KeyRing
from ikescope.capture.lanes import Lanes
from ikescope.capture.spans import OddError
from ikescope.events import Record
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.tui import halves
from ikescope.views import ladder_capture
from ikescope.views.ladder import ladder
from ikescope.views.read import is_wrong

SESSIONS = ("up", "whole", "wrong_key", "no_proposal", "unmatched_selectors", "silence")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, KeyRing]:
    """A capture of sessions between several pairs, and its keys."""
    path, keys, _ = capture(tmp_path_factory.mktemp("ladder"), 500)
    return path.read_bytes(), KeyRing().add((keys / "ikev2_decryption_table").read_text(), "table")


def _by_timeline(records: list[Record], width: int, patch: pytest.MonkeyPatch) -> Iterator[str]:
    with patch.context() as inside:
        inside.setattr(ladder_capture, "is_alone", lambda records: False)
        return iter(list(ladder(records, width=width)))


@pytest.mark.parametrize("keys", [True, False])
def test_many_conversations(many: tuple[bytes, KeyRing], monkeypatch: pytest.MonkeyPatch, *, keys: bool) -> None:
    """With keys and without, each conversation has its block."""
    records = source.read(many[0], "a.pcapng", Reading(ring=many[1] if keys else KeyRing()))
    assert ladder_capture.is_alone(records)
    for width in (80, 60):
        assert list(ladder(records, width=width)) == list(_by_timeline(records, width, monkeypatch))


@pytest.mark.parametrize("name", SESSIONS)
def test_each_session(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However a session goes."""
    records = source.read(from_records(getattr(Made(), name)().records), "a.pcapng", Reading())
    assert ladder_capture.is_alone(records)
    assert list(ladder(records)) == list(_by_timeline(records, 80, monkeypatch))


def _drawn(octets: bytes, reading: Reading, start: float) -> tuple[list[str], bool]:
    """The ladder drawn without records of what draws no line, and whether anything is in doubt."""
    paper = ladder_capture.CaptureLadder(80, start)
    lanes = Lanes(replace(reading, name="a.pcapng", point="a.pcapng"), paper, halves.Share(0, 1))
    lanes.draw(octets)
    found: list[str] = []
    for _, block in sorted(paper.blocks(), key=lambda one: one[0]):
        found += [*([""] if found else []), *block]
    return found, bool(lanes.in_doubt())


def _same(octets: bytes, ring: KeyRing) -> None:
    records = source.read(octets, "a.pcapng", Reading(ring=ring))
    start = next(one.stamp.wall for one in records if isinstance(one.event, MessageSent | MessageReceived))
    drawn, doubt = _drawn(octets, Reading(ring=ring), start)
    assert drawn == list(ladder(records))
    # What is in no doubt is not looked at for findings.
    assert doubt or not is_wrong(records)


@pytest.mark.parametrize("ethernet", [False, True])
@pytest.mark.parametrize("name", SESSIONS)
def test_the_short_way_draws_each_session(name: str, *, ethernet: bool) -> None:
    """Rows drawn straight from opened messages are those of all records, and no finding is missed."""
    _same(from_records(getattr(Made(), name)().records, ethernet=ethernet), KeyRing())


@pytest.mark.parametrize("seed", range(4))
def test_the_short_way_draws_damage(many: tuple[bytes, KeyRing], seed: int) -> None:
    """Messages lost, repeated, cut, changed on the way: the rows are those of all records, with keys and without."""
    chance = random.Random(seed)
    found: list[tuple[int, bytes]] = []
    for packet in islice(reader.packets(many[0]), 600):
        octets, fate = bytearray(packet.data), chance.random()
        if fate < 0.03:
            continue
        if fate < 0.06:
            found.append((packet.nanoseconds + chance.randrange(10**9), packet.data))
        elif fate < 0.08:
            octets[chance.randrange(20, len(octets))] ^= 1 << chance.randrange(8)
        elif fate < 0.09:
            del octets[chance.randrange(1, len(octets)) :]
        found.append((packet.nanoseconds, bytes(octets)))
    blocks = (pcapng.packet(0, at, packet) for at, packet in sorted(found))
    whole = b"".join((pcapng.section(), pcapng.interface("wire"), *blocks))
    _same(whole, many[1] if seed % 4 else KeyRing())


def test_a_healthy_capture_is_in_no_doubt(many: tuple[bytes, KeyRing]) -> None:
    """Rekeys, liveness, traffic: nothing of it has to be looked at again."""
    octets, ring = many
    assert not _drawn(octets, Reading(ring=ring), 1.0)[1]


@pytest.mark.parametrize("cut", [-5, 30, 10])
def test_a_damaged_file_is_refused(many: tuple[bytes, KeyRing], cut: int) -> None:
    """Who reads packet by packet tells how far it goes."""
    with pytest.raises(OddError):
        _drawn(many[0][:cut], Reading(), 1.0)


def test_other_sources_are_not_alone() -> None:
    """What a router told of itself, and two captures, are set against each other."""
    made = Made().up().records
    captures = [source.read(from_records(made), name, Reading()) for name in ("a", "b")]
    assert not ladder_capture.is_alone(made)
    assert not ladder_capture.is_alone([*captures[0], *captures[1]])
    assert not ladder_capture.is_alone([])
