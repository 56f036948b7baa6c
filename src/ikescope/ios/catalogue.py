"""The IOS catalogue: one event, under a condition on its facts, stands for an ordered group of lines.

The same rows render (`debug.py`) and read (`debug_read.py`): a line is a template whose fields are named, and what a
field holds is declared once in `catalogue_fields.py`. The rows are in `catalogue_messages.py`,
`catalogue_negotiation.py` and `catalogue_life.py`, the whole table in `catalogue_table.py`; `docs/ios-debug.md` is made
from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Literal

from ikescope.events import UNSET, Event, Stamp
from ikescope.ios.words import Source

Prefix = Literal["sa", "engine", "bare", "error", "error-bare", "none"]

#: How a line begins; `engine` is an answer of the crypto engine, which names only the SA.
PREFIXES: dict[Prefix, str] = {
    "sa": "IKEv2:(SESSION ID = {session},SA ID = {sa}):",
    "engine": "IKEv2:(SA ID = {sa}):",
    "bare": "IKEv2:",
    "error": "IKEv2-ERROR:(SESSION ID = {session},SA ID = {sa}):",
    "error-bare": "IKEv2-ERROR:",
    "none": "",
}
#: What a line begins with where its event belongs to no SA yet.
WITHOUT_SA: dict[Prefix, Prefix] = {"sa": "bare", "engine": "bare", "error": "error-bare"}


class Is(Enum):
    """A condition on a fact that is not a value: it is there, or it is not."""

    SET = "set"
    MISSING = "not set"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a group.

    `each` names the attribute whose items repeat this line (neighbours with the same `each` repeat as a block); `more`
    a field that goes on in the lines after it, which have no prefix; `note` a source that differs from the row's.
    """

    prefix: Prefix
    text: str
    each: str = ""
    more: str = ""
    note: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields."""
        return _fields(self.text)


@cache
def _fields(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\{(\w+)\}", text))


Facts = dict[str, Any]
Render = Callable[[Any, Stamp], str | None]
Read = Callable[[str, Facts, Facts], None]


@dataclass(frozen=True, slots=True)
class Field:
    """What stands in a template: its form as a regular expression, and its two ways.

    `render(event, stamp)` gives the text, None where the fact is not there; `read(text, facts, stamp)` puts it back.
    """

    pattern: str
    render: Render
    read: Read


@dataclass(frozen=True, slots=True)
class Items:
    """The items of an `each`: fields of one item, and an item from the texts of its fields."""

    patterns: Mapping[str, str]
    render: Callable[[Any], Mapping[str, str]]
    read: Callable[[Mapping[str, str]], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One event's group of lines.

    `when` and `stamp` are conditions, by attribute: a value, or `Is`. `principal` is the index of the line by which the
    reader knows the event; the others are its companions. A row without lines says that IOS prints nothing then.
    """

    event: type[Event]
    lines: tuple[Line, ...]
    source: Source
    where: str
    when: Mapping[str, Any] = field(default_factory=dict)
    stamp: Mapping[str, Any] = field(default_factory=dict)
    principal: int = 0
    items: Mapping[str, Items] = field(default_factory=dict)
    fields: Mapping[str, Field] = field(default_factory=dict)

    def holds(self, event: Event, stamp: Stamp) -> bool:
        """Whether this row speaks of such an event."""
        return (
            type(event) is self.event
            and all(_is(getattr(event, name), wanted) for name, wanted in self.when.items())
            and all(_is(getattr(stamp, name), wanted) for name, wanted in self.stamp.items())
        )

    @property
    def name(self) -> str:
        """The event and its condition in words."""
        conditions = [f"{name} {_word(value)}" for name, value in {**self.when, **self.stamp}.items()]
        return self.event.__name__ + (f" ({', '.join(conditions)})" if conditions else "")


def _is(found: object, wanted: object) -> bool:
    if isinstance(wanted, Is):
        return (found is not UNSET and found is not None) is (wanted is Is.SET)
    if isinstance(wanted, frozenset):
        return found in wanted
    return type(found) is type(wanted) and found == wanted if isinstance(wanted, bool) else found == wanted


def _word(value: object) -> str:
    if isinstance(value, Is):
        return value.value
    if isinstance(value, frozenset):
        return "one of " + ", ".join(str(one) for one in sorted(value))
    return f"= {value}"


def line(prefix: Prefix, text: str, **rest: str) -> Line:
    """One line; a short name for the tables."""
    return Line(prefix, text, **rest)


def sa(*texts: str) -> tuple[Line, ...]:
    """Lines that begin with session and SA."""
    return tuple(Line("sa", text) for text in texts)


def error(*texts: str) -> tuple[Line, ...]:
    """Error lines of one SA."""
    return tuple(Line("error", text) for text in texts)
