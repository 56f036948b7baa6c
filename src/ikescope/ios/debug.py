"""Events as `debug crypto ikev2` and `debug crypto ipsec` print them, at every level and for each generation of IOS."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from ikescope.events import UNSET, Event, Record, Stamp
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.ios.catalogue import Generation, Line, Prefix, Row, prefix_of
from ikescope.ios.catalogue_ipsec import find_ipsec
from ikescope.ios.catalogue_table import field_of, find
from ikescope.ios.debug_condition import Condition
from ikescope.ios.debug_internal import internal_lines, weave_of
from ikescope.ios.debug_packet import dump, packet_head

Level = Literal["default", "error", "internal", "packet", "hexdump", "ipsec"]
LEVELS: tuple[Level, ...] = ("default", "error", "internal", "packet", "hexdump", "ipsec")
"""What can be switched on: `hexdump` is `debug crypto ikev2 packet hexdump`, `ipsec` is `debug crypto ipsec`."""
_ERROR: frozenset[Prefix] = frozenset({"error", "error-bare"})
_DEFAULT: frozenset[Level] = frozenset({"default", "internal", "packet", "hexdump"})
_PACKETS: frozenset[Level] = frozenset({"packet", "hexdump"})
SPOKEN = frozenset({"~Processing IKE_SA_INIT message"})
"""Remarks that are default lines too: where no prefix tells the two apart, they are left out."""
_Texts = Iterator[tuple[Line, str]]


class Renderer:
    """Turns records into debug lines.

    `level` is what was switched on, one or several of `LEVELS`: `default` (`debug crypto ikev2`), `error`, `internal`
    and `packet`, which print what `default` does and more, `hexdump`, `ipsec`. `generation` is that of the router's
    IOS: 15, 17 or 26. With `stamps` each message begins with IOS's time stamp, `*Nov 23 14:05:01.123: `, in UTC; the
    lines that continue a message have none. Under a `condition` only records that it admits are spoken of.
    """

    def __init__(
        self,
        level: Level | Iterable[Level] = "default",
        generation: Generation | int = "17",
        *,
        stamps: bool = False,
        condition: Condition | None = None,
    ) -> None:
        self.levels: frozenset[Level] = frozenset((level,) if isinstance(level, str) else level)
        self.generation: Generation = str(generation)  # type: ignore[assignment]
        self.stamps, self.condition = stamps, condition
        self._internal = "internal" in self.levels
        self._packets = bool(self.levels & _PACKETS)

    def lines(self, record: Record) -> list[str]:
        """The lines of one record, in order, without line ends; empty where IOS prints nothing at these levels."""
        out: list[str] = []
        if self.condition is not None and not self.condition.admits(record):
            return out
        head = stamp_text(record.stamp.wall) if self.stamps else ""
        for line, text in self._all(record):
            first, *rest = (prefix_of(line.prefix, record.stamp, self.generation) + text).split("\n")
            out.append(first if line.prefix == "none" else head + first)
            out.extend(rest)
        return out

    def _all(self, record: Record) -> _Texts:
        event, stamp = record.event, record.stamp
        if self.levels & _DEFAULT:
            yield from self._woven(event, stamp)
        elif "error" in self.levels:
            yield from ((line, text) for line, text in self._own(event, stamp) if line.prefix in _ERROR)
        if "ipsec" in self.levels:
            row = find_ipsec(event, stamp)
            yield from () if row is None else ((line, text) for _, line, text in _texts(row, event, stamp))

    def _own(self, event: Event, stamp: Stamp) -> _Texts:
        return ((line, text) for _, line, text in self._numbered(event, stamp))

    def _numbered(self, event: Event, stamp: Stamp) -> Iterator[tuple[int, Line, str]]:
        row = find(event, stamp, self.generation)
        return iter(()) if row is None else _texts(row, event, stamp)

    def _woven(self, event: Event, stamp: Stamp) -> _Texts:
        weave = weave_of(event, stamp) if self._internal else None
        if weave is None:
            yield from self._packet(event, stamp, self._own(event, stamp))
            return
        lines, at = list(self._numbered(event, stamp)), 0
        for step in weave.steps:
            if isinstance(step, int):
                some = [(line, text) for index, line, text in lines if at <= index < at + step]
                yield from self._packet(event, stamp, iter(some))
                at += step
            elif self.generation != "15" or step not in SPOKEN:
                yield from internal_lines(weave, step, event, stamp)
        yield from self._packet(event, stamp, ((line, text) for index, line, text in lines if index >= at))

    def _packet(self, event: Event, stamp: Stamp, texts: _Texts) -> _Texts:
        """The same lines; a packet's with its header, and its payloads in full, where packets are asked for."""
        if not self._packets or not isinstance(event, MessageSent | MessageReceived):
            yield from texts
            return
        for line, text in texts:
            if line.text == " {payloads}":
                yield from ((Line("none", ""), one) for one in dump(event, text, "hexdump" in self.levels))
                continue
            yield line, text
            if line.text.startswith("IKEv2 {exchange}") and (head := packet_head(event, stamp)) is not None:
                yield Line("pak", ""), head


def transcript(renderer: Renderer, records: Iterable[Record]) -> list[str]:
    """The lines of many records; where a packet follows, the line before it ends in IOS's blank."""
    out: list[str] = []
    for record in records:
        lines = renderer.lines(record)
        if lines and not lines[0] and out:
            out[-1] += " "
        out.extend(lines)
    return out


def stamp_text(wall: float) -> str:
    """IOS's time stamp of a wall time in seconds since 1970: `*Nov 23 14:05:01.123: `, a short day padded to two."""
    at = datetime.fromtimestamp(wall, UTC)
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[at.month - 1]
    return f"*{month} {at.day:2d} {at:%H:%M:%S}.{at.microsecond // 1000:03d}: "


def _texts(row: Row, event: Event, stamp: Stamp) -> Iterator[tuple[int, Line, str]]:
    """Each line that has all its facts, with its place in the row; an `each` block once an item."""
    position = 0
    while position < len(row.lines):
        line = row.lines[position]
        if not line.each:
            text = _fill(row, line, event, stamp)
            if text is not None:
                yield position, line, text
            position += 1
            continue
        block = [line]
        while position + len(block) < len(row.lines) and row.lines[position + len(block)].each == line.each:
            block.append(row.lines[position + len(block)])
        items: Any = getattr(event, line.each)
        for item in items if items is not UNSET else ():
            values = row.items[line.each].render(item)
            yield from ((position, one, _format(one.text, values)) for one in block)
        position += len(block)


def _fill(row: Row, line: Line, event: Event, stamp: Stamp) -> str | None:
    values: dict[str, str] = {}
    for name in line.fields:
        text = field_of(row, name).render(event, stamp)
        if text is None:
            return None
        values[name] = text
    return _format(line.text, values)


def _format(template: str, values: Mapping[str, str]) -> str:
    return template.format_map(values) if values else template
