"""Writes docs/events.md from the declarations in src/ikescope/events: `python -m tools.events_doc`."""

from __future__ import annotations

import inspect
import typing
from enum import Enum
from pathlib import Path

import msgspec

from ikescope.events import REGISTRY, Event, UnsetType, life, message, negotiation, router
from ikescope.events.base import (
    AttributeFact,
    DumpedFact,
    IdentityFact,
    LineTried,
    ProposalFact,
    SelectorFact,
    TransformFact,
    Tried,
)

TARGET = Path(__file__).resolve().parents[1] / "docs" / "events.md"
MODULES = (message, negotiation, life, router)
FACTS = (TransformFact, ProposalFact, AttributeFact, SelectorFact, IdentityFact, DumpedFact, Tried, LineTried)

HEAD = """# Every event there is

Made by `python -m tools.events_doc` from `src/ikescope/events/`; a test compares.

One stream of these is all that happens in a router; the debug text, the ladder, the walk, the recording and the
verdict are renderings of it. In a recording (`--as json`) each is one line, `event` holding its tag. A fact in
*italics* may be missing from an event of ours; any fact may be missing from one that was read from a text or a capture,
and then the key is absent.
"""


def document() -> str:
    """The whole document."""
    parts = [HEAD]
    for module in MODULES:
        parts.append(f"## {module.__name__.rpartition('.')[2]}: {_line(inspect.getdoc(module))}\n")
        parts += [_event(one) for one in REGISTRY.values() if one.__module__ == module.__name__]
    parts.append("## What facts are made of\n")
    parts += [_fact(one) for one in FACTS]
    parts.append("## Words\n")
    parts += [_words(one) for one in _enums()]
    return "\n".join(parts)


def _line(text: str | None) -> str:
    """A docstring on one line."""
    return " ".join((text or "").split())


def _event(event: type[Event]) -> str:
    source = f", {event.rfc}" if event.rfc else ""
    head = f"### `{event.tag}`\n\n{event.level}{source}. {_line(inspect.getdoc(event))}"
    return f"{head}\n\n{_fields(event, event.required)}"


def _fact(fact: type[msgspec.Struct]) -> str:
    return f"### {fact.__name__}\n\n{_line(inspect.getdoc(fact))}\n\n{_fields(fact, frozenset(fact.__struct_fields__))}"


def _fields(struct: type[msgspec.Struct], required: frozenset[str]) -> str:
    hints = typing.get_type_hints(struct)
    rows = []
    for field in struct.__struct_fields__:
        name = f"`{field}`" if field in required else f"*`{field}`*"
        rows.append(f"| {name} | {_type(hints[field])} |\n")
    return "| fact | type |\n|---|---|\n" + "".join(rows) if rows else "No facts.\n"


def _type(hint: object) -> str:
    """A type as a reader of JSON needs it; UNSET is said by the italics."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " or ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if arguments and origin not in (dict, list):
        return " or ".join(_type(one) for one in arguments if one is not UnsetType)
    if hint is type(None):
        return "null"
    if hint is bytes:
        return "octets (base64)"
    return getattr(hint, "__name__", str(hint))


def _enums() -> list[type[Enum]]:
    """The enumerations that events' facts are declared with."""
    found: dict[str, type[Enum]] = {}
    for event in REGISTRY.values():
        for hint in typing.get_type_hints(event).values():
            if isinstance(hint, type) and issubclass(hint, Enum) and hint.__module__.startswith("ikescope.events"):
                found[hint.__name__] = hint
    return [found[name] for name in sorted(found)]


def _words(kind: type[Enum]) -> str:
    words = ", ".join(f"`{one.value}`" for one in kind)
    return f"### {kind.__name__}\n\n{_line(inspect.getdoc(kind))}\n\n{words}\n"


def main() -> None:
    """Write the document."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
