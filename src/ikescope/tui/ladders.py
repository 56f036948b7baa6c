"""`ikescope read CAPTURE --as ladder`: its conversations drawn by two processes, each with half of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ikescope.capture import convert, source
from ikescope.capture.octets import Octets
from ikescope.capture.reader import is_capture, packets
from ikescope.errors import LocalError
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.explain.findings import findings
from ikescope.timeline import Timeline
from ikescope.tui import ahead, halves
from ikescope.views.ladder_capture import CaptureLadder

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading

_WIDTH = 80
_MESSAGES = (MessageSent, MessageReceived)
_ODD = "not each conversation can be drawn by itself"
_VERDICTS = {b"right": False, b"wrong": True}


def lines(path: Path, name: str, reading: Reading, *, judge: bool = True) -> tuple[list[str], bool] | None:
    """The ladder of a large capture, and (`judge`) whether an error finding stands in one of its conversations.

    None where it has to be drawn by one process: a small one, one that is damaged, what is no capture.
    """
    if not path.is_file() or path.stat().st_size < halves.LARGE or not ahead.can_fork():
        return None
    with path.open("rb") as stream:
        if not is_capture(Octets(stream).head(4)):
            return None
    start = _start(path, name)
    if start is None:
        return None

    def work(mine: Callable[[str, str], bool], note: Callable[[str], None]) -> Iterator[halves.Told]:
        own = replace(reading, name=name, point=name, note=lambda what: note(f"{name}: {what}"))
        yield from _drawn(path, own, mine, start, judge)

    wrong = False
    found: list[str] = []
    notes: list[str] = []
    try:
        for block in halves.together(work, notes.append):
            if block in _VERDICTS:
                wrong = wrong or _VERDICTS[block]
                continue
            found += [*([""] if found else []), *block.decode().split("\n")]
    except LocalError as error:
        if str(error) != _ODD:
            raise
        return None
    for note in notes:
        reading.note(note)
    return found, wrong


def _start(path: Path, name: str) -> float | None:
    """When the first message was seen; None where there is none. It stands there with or without keys."""
    from ikescope.capture.conversation import Reading

    with path.open("rb") as stream:
        try:
            for record in source.records(stream, name, Reading()):
                if isinstance(record.event, _MESSAGES) and record.stamp.wall:
                    return record.stamp.wall
        except LocalError:
            return None
    return None


def _drawn(
    path: Path, reading: Reading, mine: Callable[[str, str], bool], start: float, judge: bool
) -> Iterator[halves.Told]:
    """The blocks of the conversations that are ours; before them whether a finding stands."""
    damage: list[str] = []
    drawn, timeline = CaptureLadder(_WIDTH, start), Timeline()
    with path.open("rb") as stream:
        octets = Octets(stream, damage.append)
        for record in convert.told(packets(octets, damage.append), reading, mine):
            stamp = record.stamp
            if not isinstance(stamp.peer, str) or not stamp.peer or not isinstance(stamp.line, int):
                raise LocalError(_ODD)
            drawn.add(stamp.line, record)
            if judge:
                timeline.add(record)
    if damage:
        # How it ended is told once, behind all that stands before it.
        raise LocalError(_ODD)
    if judge:
        wrong = any(one.severity == "error" for one in findings(timeline))
        yield 0, b"wrong" if wrong else b"right"
    for number, block in sorted(drawn.blocks(), key=_first):
        yield number, "\n".join(block).encode()


def _first(block: tuple[int, list[str]]) -> int:
    return block[0]
