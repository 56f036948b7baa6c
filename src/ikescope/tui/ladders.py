"""`ikescope read CAPTURE --as ladder`: its conversations drawn by two processes, each with half of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ikescope.capture import convert
from ikescope.capture.lanes import Lanes
from ikescope.capture.octets import Octets
from ikescope.capture.reader import is_capture, packets
from ikescope.errors import LocalError
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.tui import ahead, halves
from ikescope.views.ladder_capture import CaptureLadder

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading

_WIDTH = 80
_MESSAGES = (MessageSent, MessageReceived)
_VERDICTS = (b"right", b"wrong")


def lines(path: Path, name: str, reading: Reading, *, processes: int = 0) -> tuple[bytes, bool] | None:
    """The ladder of a large capture as it is written, and whether an error finding stands in one of its conversations.

    By two processes where there are two processors, or by so many (1 or 2). None where it is left to who reads packet
    by packet: a small one, one that is damaged or compressed, what is no capture.
    """
    if not path.is_file() or path.stat().st_size < halves.LARGE:
        return None
    with path.open("rb") as stream:
        if not is_capture(stream.read(4)):
            return None
    start = _start(path)
    if start is None:
        return None
    # Read once: what looks at it are processes that share the memory. A part of octets is had faster than one of a map.
    octets = path.read_bytes()

    def work(share: halves.Share, note: Callable[[str], None]) -> Iterator[halves.Told]:
        own = replace(reading, name=name, point=name, note=lambda what: note(f"{name}: {what}"))
        yield from _drawn(path, octets, own, share, start)

    wrong = False
    found: list[bytes] = []
    notes: list[str] = []
    several = processes > 1 or (not processes and ahead.can_fork())
    told = halves.together(work, notes.append) if several else halves.alone(work, notes.append)
    try:
        for block in told:
            if block in _VERDICTS:
                wrong = wrong or block == _VERDICTS[True]
                continue
            found.append(block)
    except LocalError:
        # Whatever it is, who reads it as a whole tells it better.
        return None
    for note in notes:
        reading.note(note)
    return b"\n\n".join(found) + b"\n", wrong


def _start(path: Path) -> float | None:
    """When the first message was seen; None where there is none. It stands there with or without keys."""
    from ikescope.capture.conversation import Reading

    with path.open("rb") as stream:
        try:
            for record in convert.told(packets(Octets(stream)), Reading()):
                if isinstance(record.event, _MESSAGES) and record.stamp.wall:
                    return record.stamp.wall
        except LocalError:
            return None
    return None


def _drawn(path: Path, octets: bytes, reading: Reading, share: halves.Share, start: float) -> Iterator[halves.Told]:
    """Whether an error finding stands in a conversation that is ours, then their blocks."""
    drawn = CaptureLadder(_WIDTH, start)
    lanes = Lanes(reading, drawn, share)
    lanes.draw(octets)
    doubts = lanes.in_doubt()
    yield 0, _VERDICTS[bool(doubts) and _wrong(path, reading, doubts)]
    for number, block in sorted(drawn.blocks(), key=_first):
        yield number, "\n".join(block).encode()


def _wrong(path: Path, reading: Reading, pairs: set[frozenset[str]]) -> bool:
    """Whether an error finding stands in the conversations of these pairs, by all that they tell."""
    # Most need none of it, and to import it takes longer than to draw a thousand messages.
    from ikescope.explain.findings import findings
    from ikescope.timeline import Timeline

    timeline, quiet = Timeline(), replace(reading, note=lambda _: None)
    with path.open("rb") as stream:
        told = convert.told(packets(stream), quiet, lambda here, there: frozenset((here, there)) in pairs)
        return any(one.severity == "error" for one in findings(timeline.extend(told)))


def _first(block: tuple[int, list[str]]) -> int:
    return block[0]
