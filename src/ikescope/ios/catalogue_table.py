"""The whole IOS catalogue, and the row that speaks of an event."""

from __future__ import annotations

from functools import cache

from ikescope.events import Event, Stamp
from ikescope.ios.catalogue import Field, Generation, Row
from ikescope.ios.catalogue_fields import FIELDS
from ikescope.ios.catalogue_life import LIFE
from ikescope.ios.catalogue_messages import MESSAGES
from ikescope.ios.catalogue_negotiation import NEGOTIATION

ROWS: tuple[Row, ...] = (*MESSAGES, *NEGOTIATION, *LIFE)
"""Every row; of those of one event the first that holds speaks."""


@cache
def _by_event() -> dict[type[Event], tuple[Row, ...]]:
    table: dict[type[Event], list[Row]] = {}
    for row in ROWS:
        table.setdefault(row.event, []).append(row)
    return {event: tuple(some) for event, some in table.items()}


def find(event: Event, stamp: Stamp, generation: Generation = "17") -> Row | None:
    """The row that speaks of an event; None where the catalogue has no word for it."""
    rows = _by_event().get(type(event), ())
    spoken = (row for row in rows if not row.generations or generation in row.generations)
    return next((row for row in spoken if row.holds(event, stamp)), None)


def field_of(row: Row, name: str) -> Field:
    """What a field of one row's templates holds."""
    own = row.fields.get(name)
    return own if own is not None else FIELDS[name]
