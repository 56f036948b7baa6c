"""Records as JSON lines: what a recording holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ikescope.events import UNSET, Record, encode


def lines(records: Iterable[Record]) -> Iterator[str]:
    """One JSON object a record, each with `schema` and `type`, without line feeds."""
    return (line(record) for record in records)


def line(record: Record) -> str:
    """One record. A fact that its source did not hold is left out."""
    return encode(record).decode()


def plain(value: Any) -> Any:
    """A value with every struct as a dictionary; UNSET left out."""
    if isinstance(value, msgspec.Struct):
        kind = type(value)
        facts = {name: getattr(value, name) for name in kind.__struct_fields__}
        tag = kind.__struct_config__.tag
        head = {kind.__struct_config__.tag_field: tag} if tag is not None else {}
        return head | {name: plain(one) for name, one in facts.items() if one is not UNSET}
    if isinstance(value, tuple | list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if one is not UNSET}
    return value
