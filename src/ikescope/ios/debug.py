"""Events as `debug crypto ikev2` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from ikescope.events import UNSET, Event, Record, Stamp
from ikescope.ios.catalogue import PREFIXES, WITHOUT_SA, Line, Prefix, Row
from ikescope.ios.catalogue_table import field_of, find

Level = Literal["default", "error"]
_ERROR: frozenset[Prefix] = frozenset({"error", "error-bare"})


class Renderer:
    """Turns records into debug lines.

    `level` is what was switched on: `default` (`debug crypto ikev2`) or `error` (`debug crypto ikev2 error`). With
    `stamps` each message begins with IOS's time stamp, `*Nov 23 14:05:01.123: `, in UTC; the lines that continue a
    message have none.
    """

    def __init__(self, level: Level = "default", stamps: bool = False) -> None:
        self.level, self.stamps = level, stamps

    def lines(self, record: Record) -> list[str]:
        """The lines of one record, in order, without line ends; empty where IOS prints nothing at this level."""
        row = find(record.event, record.stamp)
        if row is None or not row.lines:
            return []
        head = stamp_text(record.stamp.wall) if self.stamps else ""
        out: list[str] = []
        for line, text in _texts(row, record.event, record.stamp):
            if self.level == "error" and line.prefix not in _ERROR:
                continue
            first, *rest = (_prefix(line.prefix, record.stamp) + text).split("\n")
            out.append(first if line.prefix == "none" else head + first)
            out.extend(rest)
        return out


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


def _prefix(kind: Prefix, stamp: Stamp) -> str:
    if not stamp.sa or (not stamp.session and kind != "engine"):
        kind = WITHOUT_SA.get(kind, kind)
    return PREFIXES[kind].format(session=stamp.session, sa=stamp.sa)


def _texts(row: Row, event: Event, stamp: Stamp) -> Iterator[tuple[Line, str]]:
    """Each line that has all its facts, an `each` block once an item."""
    position = 0
    while position < len(row.lines):
        line = row.lines[position]
        if not line.each:
            text = _fill(row, line, event, stamp)
            if text is not None:
                yield line, text
            position += 1
            continue
        block = [line]
        while position + len(block) < len(row.lines) and row.lines[position + len(block)].each == line.each:
            block.append(row.lines[position + len(block)])
        items: Any = getattr(event, line.each)
        for item in items if items is not UNSET else ():
            values = row.items[line.each].render(item)
            yield from ((one, _format(one.text, values)) for one in block)
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
