"""Records as text: a line an event, with every fact it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ikescope.events import UNSET, Record
from ikescope.views.jsonl import plain


def lines(records: Iterable[Record]) -> Iterator[str]:
    """Seconds since the first record, router, IKE SA, event name, facts; octets as their number."""
    start: float | None = None
    for record in records:
        start = record.stamp.mono if start is None else start
        yield line(record, start)


def line(record: Record, start: float = 0.0) -> str:
    """One record as text; `start` is the monotonic time that counts as 0."""
    stamp, event = record.stamp, record.event
    sa = f"{stamp.spi_i[:8]}" if isinstance(stamp.spi_i, str) else "-"
    number = f" id={stamp.message_id}" if isinstance(stamp.message_id, int) else ""
    facts = " ".join(
        f"{name}={_value(value)}"
        for name in type(event).__struct_fields__
        if (value := getattr(event, name)) is not UNSET
    )
    return f"{stamp.mono - start:10.3f} {stamp.router} {sa:8} {type(event).tag}{number} {facts}".rstrip()


def _value(value: Any) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)} octets>"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, str) and value and " " not in value and "\n" not in value:
        return value
    return msgspec.json.encode(plain(value)).decode()
