"""The ladder of one capture alone: what it shows follows from each record by itself, so no timeline is needed.

A capture has one clock and tells of each datagram once: no router tells of itself, nothing is set against anything.
The lines are those of `ikescope.views.ladder`; an arrow that was drawn before is drawn by looking it up.
"""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.capture.lane import Key, Way
from ikescope.capture.story import Story
from ikescope.events import UNSET, Record
from ikescope.events.life import IkeSaRekeyed
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.negotiation import ExchangeFailed
from ikescope.explain import words
from ikescope.timeline.exchanges import message_of
from ikescope.timeline.fold import ZERO_SPI
from ikescope.timeline.join import Rung
from ikescope.views import ladder
from ikescope.views.marks import MARKS, Mark, mark_of
from ikescope.wire.registry import ExchangeType

_INIT = int(ExchangeType.IKE_SA_INIT)
_DRAWN = 8192
"""How many arrows are remembered."""


def is_alone(records: list[Record]) -> bool:
    """Whether these are the records of one capture."""
    point = records[0].stamp.point if records else UNSET
    if point is UNSET:
        return False
    return all(one.stamp.point == point and isinstance(one.stamp.peer, str) and one.stamp.peer for one in records)


class _Block:
    """The lines of one pair of routers; a pair of SPIs stands for the head of its messages."""

    def __init__(self, left: str, right: str) -> None:
        self.left, self.right = left, right
        self.lines: list[str | tuple[str]] = []
        self.spi: str | None = None
        self.story: Story | None = None


class CaptureLadder:
    """Draws the records of one capture, one after the other, `start` being the time of its first datagram."""

    wanted = frozenset(MARKS)

    def __init__(self, width: int, start: float) -> None:
        self._width, self._start = width, start
        self._time = len(ladder.clock(0.0, 0.0))
        self._blocks: dict[frozenset[str], tuple[int, _Block]] = {}
        self._by_ends: dict[tuple[str, str], _Block] = {}
        self._hosts: dict[str, str] = {}
        self._arrows: dict[tuple[object, ...], tuple[str, str, list[str]]] = {}
        self._answers: dict[tuple[str, str], tuple[bool, str]] = {}
        self._told: tuple[bool, str, object] | None = None
        self._latest_settles = True

    def add(self, number: int, record: Record) -> bool:
        """Draw what a record shows, the `number`th of the capture; whether it is a failure."""
        kind = type(record.event)
        if kind is MessageSent or kind is MessageReceived:
            self._message(number, record)
            return False
        mark = mark_of(record)
        if mark is not None and not self._told_already(record):
            self._mark(number, record, mark)
        return mark is not None and mark.severity == "error"

    def blocks(self) -> Iterator[tuple[int, list[str]]]:
        """Each pair of routers: the number of its first record, its lines."""
        answers = {spi_i: spi_r for (_, spi_i), (_, spi_r) in sorted(self._answers.items(), key=_initiators_last)}
        for number, block in self._blocks.values():
            lines = list(ladder.columns(block.left, block.right, {}, self._width))
            for line in block.lines:
                lines.append(line if isinstance(line, str) else self._head(line[0], answers))
            yield number, lines

    def _head(self, spi_i: str, answers: dict[str, str]) -> str:
        told = f"IKE SA {spi_i.upper()} / {answers.get(spi_i, ZERO_SPI).upper()}" if spi_i else ladder.NO_SPIS
        return ladder.headline(told, self._width)

    def _block(self, number: int, left: str, right: str) -> _Block:
        block = self._by_ends.get((left, right))
        if block is None:
            pair = frozenset((left, right))
            if pair not in self._blocks:
                self._blocks[pair] = number, _Block(left, right)
            block = self._by_ends[left, right] = self._blocks[pair][1]
        return block

    def _host(self, address: str) -> str:
        host = self._hosts.get(address)
        if host is None:
            if len(self._hosts) > _DRAWN:
                self._hosts.clear()
            host = self._hosts[address] = words.host(address)
        return host

    def _message(self, number: int, record: Record) -> None:
        stamp, event = record.stamp, record.event
        assert isinstance(event, MessageSent | MessageReceived)
        here, there = self._host(event.local), self._host(event.remote)
        source, destination = (here, there) if isinstance(event, MessageSent) else (there, here)
        block = self._block(number, source, destination)
        spi_i = stamp.spi_i if isinstance(stamp.spi_i, str) else ""
        if block.spi != spi_i:
            block.spi, block.story = spi_i, None
            block.lines.append((spi_i,))
        if isinstance(stamp.spi_r, str) and stamp.spi_r != ZERO_SPI:
            self._answers[stamp.router, spi_i] = stamp.initiator is True, stamp.spi_r
        key = (event.exchange, event.response, event.payloads, event.inner, event.size, event.repeat, event.fragments)
        message_id = str(stamp.message_id) if isinstance(stamp.message_id, int) else ""
        rightwards = source == block.left
        if not self._again(block, key, message_id, rightwards, stamp.wall):
            message = message_of(record, event)
            rung = Rung(message=message, first=message, source=source, destination=destination, seen=())
            drawn = list(ladder.arrow(rung, "", rightwards, self._width))
            if message_id:
                self._keep(key, message_id, rightwards, drawn)
            block.lines.append(self._clock(stamp.wall) + drawn[0])
            block.lines += drawn[1:]
        self._latest_settles = isinstance(event, MessageSent) and event.response

    def message(self, number: int, wall: float, way: Way, story: Story, key: Key, message_id: int) -> bool:
        """As `ikescope.capture.lane.Paper` has it."""
        place = way.place
        if place is None:
            source = self._host(way.texts[0])
            block = self._block(number, source, self._host(way.texts[1]))
            place = way.place = block, source == block.left, way.texts[0] == way.sides[0]
        block, rightwards, sent = place
        if block.story is not story or key[0] == _INIT:
            self._turns(block, story, self._host(way.sides[0]))
        told = str(message_id)
        found = self._arrows.get((key, len(told), rightwards))
        if found is None:
            return False
        before, after, more = found
        time = f"{wall - self._start:{self._time}.3f}" if wall else self._clock(wall)
        block.lines.append(f"{time}{before}{told}{after}")
        if more:
            block.lines += more
        self._latest_settles = sent and key[1]
        return True

    def _turns(self, block: _Block, story: Story, router: str) -> None:
        """The messages that follow are of this IKE SA."""
        spi_i, spi_r = story.spi_i, story.spi_r
        if block.spi != spi_i:
            block.spi = spi_i
            block.lines.append((spi_i,))
        if spi_r != ZERO_SPI:
            self._answers[router, spi_i] = story.initiator, spi_r
            block.story = story

    def _again(self, block: _Block, key: tuple[object, ...], message_id: str, rightwards: bool, wall: float) -> bool:
        """Draw an arrow as one before it, with this message ID; False where there was none."""
        found = self._arrows.get((key, len(message_id), rightwards))
        if found is None:
            return False
        before, after, more = found
        block.lines.append(f"{self._clock(wall)}{before}{message_id}{after}")
        if more:
            block.lines += more
        return True

    def _keep(self, key: tuple[object, ...], message_id: str, rightwards: bool, drawn: list[str]) -> None:
        if len(self._arrows) >= _DRAWN:
            self._arrows.clear()
        # The name of the exchange is the first word, the message ID the second.
        before, found, after = drawn[0].partition(f" {message_id} ")
        if found:
            self._arrows[key, len(message_id), rightwards] = f"{before} ", f" {after}", drawn[1:]

    def _clock(self, wall: float) -> str:
        return ladder.clock(wall, wall - self._start)

    def _mark(self, number: int, record: Record, mark: Mark) -> None:
        stamp, event = record.stamp, record.event
        spi_i = stamp.spi_i if isinstance(stamp.spi_i, str) else ""
        here = self._host(stamp.local) if isinstance(stamp.local, str) else stamp.router
        there = self._host(stamp.peer) if isinstance(stamp.peer, str) else ""
        block = self._block(number, here, there)
        text = mark.text(event) + ("" if stamp.inferred is UNSET else " (inferred)")
        left = here == block.left
        block.lines += ladder.remark(mark.severity, text, self._clock(stamp.wall), left, self._width)
        if isinstance(event, IkeSaRekeyed) and isinstance(stamp.spi_r, str) and stamp.spi_r != ZERO_SPI:
            self._answers[stamp.router, spi_i] = stamp.initiator is True, stamp.spi_r
        self._told = mark.kind == "failure", stamp.router, stamp.spi_i
        # What is told right before a failure is known until another datagram than its answer comes.
        self._latest_settles = True

    def _told_already(self, record: Record) -> bool:
        if not isinstance(record.event, ExchangeFailed) or self._told is None:
            return False
        stamp = record.stamp
        return self._told == (True, stamp.router, stamp.spi_i) and self._latest_settles


def _initiators_last(one: tuple[tuple[str, str], tuple[bool, str]]) -> bool:
    return one[1][0]


def lines(records: list[Record], width: int) -> Iterator[str]:
    """The lines of the ladder of one capture."""
    start = next((one.stamp.wall for one in records if type(one.event) in _MESSAGES and one.stamp.wall), 0.0)
    if not start:
        start = next((one.stamp.wall for one in records if mark_of(one) is not None), 0.0)
    drawn = CaptureLadder(width, start)
    for number, record in enumerate(records):
        drawn.add(number, record)
    for place, (_, block) in enumerate(sorted(drawn.blocks(), key=_first)):
        if place:
            yield ""
        yield from block


_MESSAGES = (MessageSent, MessageReceived)


def _first(block: tuple[int, list[str]]) -> int:
    return block[0]
