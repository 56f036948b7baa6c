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

Prefix = Literal[
    "sa", "engine", "bare", "error", "error-bare", "internal", "internal-bare", "pak", "pak-bare", "ipsec", "none"
]
Generation = Literal["15", "17", "26"]

_SA = "(SESSION ID = {session},SA ID = {sa}):"
#: How a line begins; `engine` is an answer of the crypto engine, which names only the SA.
PREFIXES: dict[Prefix, str] = {
    "sa": f"IKEv2:{_SA}",
    "engine": "IKEv2:(SA ID = {sa}):",
    "bare": "IKEv2:",
    "error": f"IKEv2-ERROR:{_SA}",
    "error-bare": "IKEv2-ERROR:",
    "internal": f"IKEv2-INTERNAL:{_SA}",
    "internal-bare": "IKEv2-INTERNAL:",
    "pak": f"IKEv2-PAK:{_SA}",
    "pak-bare": "IKEv2-PAK:",
    "ipsec": "",
    "none": "",
}
#: What a line begins with where its event belongs to no SA yet.
WITHOUT_SA: dict[Prefix, Prefix] = {
    "sa": "bare",
    "engine": "bare",
    "error": "error-bare",
    "internal": "internal-bare",
    "pak": "pak-bare",
}
#: IOS 15 begins every line alike: neither the session nor the debug level stands there.
PREFIXES_15: dict[Prefix, str] = {
    kind: "" if not text else "IKEv2:(SA ID = {sa}):" if "SA ID" in text else "IKEv2:"
    for kind, text in PREFIXES.items()
}


def prefix_of(kind: Prefix, stamp: Stamp, generation: Generation = "17") -> str:
    """What stands before a line's text; session and SA only where the event belongs to one."""
    if not stamp.sa or (not stamp.session and kind != "engine"):
        kind = WITHOUT_SA.get(kind, kind)
    table = PREFIXES_15 if generation == "15" else PREFIXES
    return table[kind].format(session=stamp.session, sa=stamp.sa)


class Is(Enum):
    """A condition on a fact that is not a value: it is there, it is not, it names payloads that are not an error's."""

    SET = "set"
    MISSING = "not set"
    ANSWER = "more than a notify"


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
    `generations` names those of IOS that print so, where not all do.
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
    generations: tuple[Generation, ...] = ()

    def holds(self, event: Event, stamp: Stamp) -> bool:
        """Whether this row speaks of such an event."""
        return type(event) is self.event and conditions_hold(event, self.when) and conditions_hold(stamp, self.stamp)

    @property
    def name(self) -> str:
        """The event and its condition in words."""
        conditions = [f"{name} {_word(value)}" for name, value in {**self.when, **self.stamp}.items()]
        conditions += [f"IOS {' and '.join(self.generations)}"] if self.generations else []
        return self.event.__name__ + (f" ({', '.join(conditions)})" if conditions else "")


def conditions_hold(facts: object, wanted: Mapping[str, Any]) -> bool:
    """Whether an event or a stamp is as a row's conditions want it."""
    return all(_is(getattr(facts, name), value) for name, value in wanted.items())


def _is(found: object, wanted: object) -> bool:
    if wanted is Is.ANSWER:
        return isinstance(found, tuple) and len(found) > 0 and not str(found[0]).startswith("NOTIFY")
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
