"""ASA and FTD debug text read into events: the lines that ASA shares with IOS by IOS's catalogue, its own by tables.

`debug crypto ikev2 protocol` and `platform`, bare or in syslog (`%ASA-7-711001`, `%FTD-5-711001`), and the syslog
messages of IKEv2. The text goes through once, line by line; what is held of it is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ikescope.events import UNSET, Event, Record, Stamp
from ikescope.events.life import ChildSaCreated, IkeSaClosed, SessionDown
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.router import EspInstalled
from ikescope.ios import asa_packets
from ikescope.ios.asa_state import Sa, changed
from ikescope.ios.asa_text import FLUSH, Text
from ikescope.ios.debug_read import Unknown
from ikescope.ios.debug_read import read as read_ios
from ikescope.ios.text_lines import Calendar

MARK = re.compile(r"IKEv2-(?:PROTO|PLAT)-\d{1,3}:|%(?:ASA|FTD|PIX)-\d-\d{6}")
"""What only ASA and FTD write."""
#: Lines of a text in which the mark is looked for, and characters of each.
_FIRST, _WIDTH = 5000, 4096
_INHERITED = ("local", "peer", "spi_i", "spi_r", "message_id", "initiator", "session", "sa")

_Draft = tuple[Event, dict[str, Any], int, float | None, Sa | None]
#: Records that a Child SA waits for its SPI, and what ends the wait.
_PATIENCE = 64
_ENDS_WAIT: dict[type[Event], tuple[type[Event], ...]] = {
    ChildSaCreated: (EspInstalled, ChildSaCreated, IkeSaClosed, MessageSent, MessageReceived),
    IkeSaClosed: (Event,),
}


def _completed(event: Event, after: Event) -> Event:
    """What was held back, with what the line after it adds."""
    if isinstance(event, ChildSaCreated) and isinstance(after, EspInstalled) and after.direction == "out":
        return changed(event, outbound=after.spi)
    if isinstance(event, IkeSaClosed) and isinstance(after, SessionDown):
        return changed(event, reason=after.reason, cause=after.cause)
    return event


def read(lines: Iterable[str], *, router: str = "", year: int = 1970) -> Iterator[Record | Unknown]:
    """Records and unknown lines in the order of the text; `year` is that of time stamps that name none.

    A record's wall time is that of its first line, 0 where the text has no time stamps; monotonic time counts from the
    first stamp. `Unknown.number` and `Stamp.line` are of the physical line, from 1.
    """
    return _Reader(router, year).run(lines)


def is_asa(lines: Iterable[str]) -> bool:
    """Whether a text is an ASA's or an FTD's: one of its first lines says so."""
    return any(MARK.search(line[:_WIDTH]) for line in islice(lines, _FIRST))


class _Reader:
    """Joins what IOS's reader makes of the shared lines with what ASA's own lines tell, in the order of the text."""

    def __init__(self, router: str, year: int) -> None:
        self._router = router
        self._seq = 0
        self._first: float | None = None
        self._calendar = Calendar()
        self._text = Text(year)

    def run(self, lines: Iterable[str]) -> Iterator[Record | Unknown]:
        """Records in their order. A Child SA waits for its outbound SPI, the end of an IKE SA for its reason: both
        are told a little later.
        """
        held: _Draft | None = None
        waited = 0
        for found in self._all(lines):
            if isinstance(found, Unknown):
                yield found
                continue
            waited += 1
            if held is not None and (waited > _PATIENCE or isinstance(found[0], _ENDS_WAIT[type(held[0])])):
                if isinstance(found[0], SessionDown):
                    yield self._record(*found)
                yield self._record(_completed(held[0], found[0]), *held[1:])
                held = None
                if isinstance(found[0], SessionDown):
                    continue
            if held is None and type(found[0]) in _ENDS_WAIT:
                held, waited = found, 0
            else:
                yield self._record(*found)
        if held is not None:
            yield self._record(*held)

    def _all(self, lines: Iterable[str]) -> Iterator[_Draft | Unknown]:
        for found in read_ios(self._text.lines(lines), whole=True):
            if isinstance(found, Unknown):
                yield from self._drain(found.number)
                if not found.text.endswith(FLUSH):
                    yield Unknown(
                        self._text.where(found.number)[0],
                        found.text.partition("):")[2] or found.text.removeprefix("IKEv2:"),
                    )
                continue
            line = found.stamp.line
            at = line if isinstance(line, int) else self._text.fed
            yield from self._drain(at)
            yield from self._shared(found, at)
        yield from self._drain(self._text.fed + 1)

    def _drain(self, before: int) -> Iterator[_Draft | Unknown]:
        """What was told beside the shared lines up to one of them."""
        while self._text.own and self._text.own[0][0] < before:
            _, event, number, wall, sa = self._text.own.popleft()
            if isinstance(event, Unknown):
                yield event
            else:
                yield event, {}, number, wall, sa

    def _shared(self, found: Record, at: int) -> Iterator[_Draft]:
        """A record of the shared lines, with what the ASA's own lines add."""
        number, wall, sa = self._text.where(at)
        event: Event | None = found.event
        if asa_packets.is_packet(found.event):
            event, sa = self._enriched(found.event, at, sa)
        elif sa is not None:
            event = asa_packets.enrich(found.event, sa)
        if event is None:
            return
        stamp = {name: getattr(found.stamp, name) for name in _INHERITED if getattr(found.stamp, name) is not UNSET}
        yield event, stamp, number, wall, sa

    def _enriched(self, event: Event, at: int, sa: Sa | None) -> tuple[Event, Sa | None]:
        while self._text.packets and self._text.packets[0][0] < at:
            self._text.packets.popleft()
        if not self._text.packets:
            return event, sa
        _, packet, whose = self._text.packets.popleft()
        return asa_packets.whole(event, packet), whose

    def _record(self, event: Event, stamp: dict[str, Any], number: int, wall: float | None, sa: Sa | None) -> Record:
        self._seq += 1
        wall = None if wall is None else self._calendar.of(wall)
        if self._first is None:
            self._first = wall
        mono = (wall or self._first or 0.0) - (self._first or 0.0)
        facts = dict(sa.facts) if sa is not None else {}
        facts.pop("message_id", None)
        return Record(
            Stamp(
                seq=self._seq,
                mono=mono,
                wall=wall or 0.0,
                router=self._router,
                line=number,
                software="asa",
                **{**facts, **stamp},
            ),
            event,
        )


__all__ = ["MARK", "is_asa", "read"]
