"""What `ikescope watch` shows, without a terminal: rows of a ladder filtered, searched, stepped through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from ikescope.events import UNSET, ProposalFact, Record, UnsetType
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.timeline.folds import FOLDS
from ikescope.views.ladder import Ladder, Row, draw, headed
from ikescope.views.moment import Moment, State
from ikescope.wire.tree import Node

FilterBy = Literal["peer", "sa", "exchange"]
FILTERS: tuple[FilterBy, ...] = ("peer", "sa", "exchange")


class Line(NamedTuple):
    """One line on the screen: its text and the place of its row among those shown."""

    text: str
    row: int


class WatchModel:
    """The rows shown, the cursor among them, and what the keys change.

    Above `limit` records the older half is forgotten, but for what made the SAs that still stand.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.records: list[Record] = []
        self.filters: dict[FilterBy, str] = {}
        self.cursor = 0
        self.follow = True
        self.forgotten = 0
        self.rows: tuple[Row, ...] = ()
        self.ladder = Ladder()
        self._moment = Moment()
        self._limit = limit
        self._drawn: dict[tuple[object, ...], tuple[str, ...]] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Take records in; the rows are those of `refresh`."""
        fresh = list(records)
        self.records += fresh
        if self._limit is not None and len(self.records) > self._limit:
            self._forget(self._limit)
        else:
            self.ladder.extend(fresh)
            self._moment.grow(fresh)

    def _forget(self, limit: int) -> None:
        half = len(self.records) - limit // 2
        standing = {key for key, sa in self.ladder.timeline.ike.items() if sa.closed is None}
        kept = [record for record in self.records[:half] if _of_life(record, standing)][-limit // 4 :]
        self.forgotten += half - len(kept)
        self.records = [*kept, *self.records[half:]]
        self.ladder, self._moment = Ladder().extend(self.records), Moment(self.records)
        self._drawn.clear()

    def refresh(self) -> None:
        """Bring the rows up to date; the cursor stays on its row, or at the end while it follows."""
        before = self.selected
        rows = [row for row in self.ladder.rows if self._passes(row)]
        self.rows = tuple(headed(rows, self.ladder))
        if self.follow or before is None:
            self.cursor = max(len(self.rows) - 1, 0)
            return
        names = (before.router, before.seq, before.kind)
        places = (place for place, row in enumerate(self.rows) if (row.router, row.seq, row.kind) == names)
        later = (place for place, row in enumerate(self.rows) if row.index >= before.index)
        self.cursor = next(places, next(later, max(len(self.rows) - 1, 0)))

    @property
    def selected(self) -> Row | None:
        """The row at the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def move(self, by: int) -> None:
        """Move the cursor; going back ends following."""
        self.cursor = min(max(self.cursor + by, 0), max(len(self.rows) - 1, 0))
        if by < 0:
            self.follow = False

    def step(self, by: int) -> None:
        """Go to the next thing that happened, or the one before."""
        self.follow = False
        self.move(by)
        while self.rows and self.rows[self.cursor].kind == "sa" and 0 < self.cursor < len(self.rows) - 1:
            self.move(by)

    @property
    def pair(self) -> tuple[str, str]:
        """The columns at the cursor: of its row, or of the next one that names both."""
        near = (*self.rows[self.cursor :], *reversed(self.rows[: self.cursor]))
        both = ((row.left, row.right) for row in near if row.right)
        return next(both, (near[0].left, "") if near else ("", ""))

    def filter_by(self, what: FilterBy) -> None:
        """Show only what has the peer, IKE SA family or exchange of the row at the cursor; once more: all again."""
        if what in self.filters:
            del self.filters[what]
        elif (row := self.selected) is not None and (value := _value(row, what)):
            self.filters[what] = value
        self.refresh()

    def clear(self) -> None:
        """No filter."""
        self.filters.clear()
        self.refresh()

    def _passes(self, row: Row) -> bool:
        filters = self.filters
        if "peer" in filters and filters["peer"] not in (" - ".join((row.left, row.right)), row.left * (not row.right)):
            return False
        if "exchange" in filters and row.exchange != filters["exchange"]:
            return False
        return "sa" not in filters or row.spi_i in self._family(filters["sa"])

    def _family(self, spi_i: str) -> set[str]:
        """The IKE SAs that replaced each other, this one among them."""
        found = {spi_i}
        for family in self.ladder.timeline.families:
            if spi_i in family.members:
                found.update(family.members)
        return found

    def search(self, text: str, step: int = 1) -> bool:
        """Put the cursor on the next row (`step` -1: the one before) that holds `text`; around the end."""
        wanted = text.casefold()
        for distance in range(1, len(self.rows) + 1):
            place = (self.cursor + distance * step) % len(self.rows)
            row = self.rows[place]
            if row.kind != "sa" and wanted in f"{row.left} {row.right} {row.spi_i} {row.text}".casefold():
                self.cursor, self.follow = place, False
                return True
        return False

    def states(self) -> tuple[State, ...]:
        """All SAs at the moment of the row at the cursor."""
        row = self.selected
        return self._moment.after(row.index) if row is not None else ()

    def chosen(self, row: Row) -> ProposalFact | UnsetType:
        """What was chosen for the IKE SA of a row, as far as any router tells."""
        sas = (sa for sa in self.ladder.timeline.ike.values() if sa.spi_i == row.spi_i)
        return next((sa.chosen for sa in sas if isinstance(sa.chosen, ProposalFact)), UNSET)

    def facts(self, row: Row) -> tuple[Node, ...]:
        """What the record of a row holds, for a row that is no message."""
        event = self.records[row.index].event
        named = ((name, getattr(event, name)) for name in type(event).__struct_fields__)
        told = ((name, value) for name, value in named if value is not UNSET)
        return tuple(Node(name, _said(value), 0, 0) for name, value in told)

    def lines(self, width: int) -> list[Line]:
        """Every line of the rows shown."""
        several = len({(row.left, row.right) for row in self.rows if row.right}) > 1
        return [Line(text, place) for place, row in enumerate(self.rows) for text in self._lines(row, width, several)]

    def _lines(self, row: Row, width: int, several: bool) -> tuple[str, ...]:
        lost = row.rung is not None and row.rung.lost
        key = (row.index, row.kind, row.seconds, row.left, row.right, row.at, row.text, lost, width, several)
        found = self._drawn.get(key)
        if found is None:
            shown = msgspec.structs.replace(row, text=f"{row.left}   {row.text}   {row.right}")
            wide = several and row.kind == "sa" and len(shown.text) <= width - 13
            found = self._drawn[key] = tuple(draw(shown if wide else row, width))
        return found


def _of_life(record: Record, standing: set[tuple[str, str]]) -> bool:
    event, stamp = record.event, record.stamp
    if isinstance(event, MessageSent | MessageReceived) or type(event) not in FOLDS:
        return False
    return isinstance(stamp.spi_i, str) and (stamp.router, stamp.spi_i.lower()) in standing


def _value(row: Row, what: FilterBy) -> str:
    pair = " - ".join((row.left, row.right)) if row.right else row.left
    return {"peer": pair, "sa": row.spi_i, "exchange": row.exchange}[what]


def _said(value: object) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} octets"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value, order="deterministic").decode()
