"""What an event is: a frozen record of facts, declared once, with its level and its source.

A fact that a source does not hold is `UNSET`: a debug text has no octets, a capture without keys no identities.
UNSET is not None and is never guessed.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, dataclass_transform

import msgspec
from msgspec import UNSET, UnsetType

Level = Literal["info", "detail", "notice", "error", "bug"]

REGISTRY: dict[str, type[Event]] = {}
UNKNOWN: Any = UNSET
"""The default of a fact that every event of ours holds and a debug text may lack."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class EventMeta(msgspec.StructMeta):
    """Makes a declaration such as `class MessageDropped(Event, tag="message.dropped")` one frozen struct."""

    def __new__(  # noqa: D102
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        tag: str = "",
        level: Level = "info",
        rfc: str = "",
    ) -> EventMeta:
        # A source may lack any fact, so each may be UNSET when read; who emits an event gives all that have no default.
        fields = [name for name, kind in namespace.get("__annotations__", {}).items() if "ClassVar" not in str(kind)]
        required = frozenset(name for name in fields if name not in namespace)
        namespace.update(dict.fromkeys(required, UNSET))
        cls = super().__new__(
            mcls,
            name,
            bases,
            namespace,
            frozen=True,
            kw_only=True,
            omit_defaults=True,
            # Facts are plain values: no cycle goes through an event, and the collector need not look at thousands.
            gc=False,
            tag=tag or None,
            tag_field="event",
        )
        if tag:
            cls.tag, cls.level, cls.rfc = tag, level, rfc  # type: ignore[attr-defined]
            REGISTRY[tag] = cls  # type: ignore[assignment]
        # Events that share a base share what it requires.
        cls.required = required.union(*(getattr(base, "required", ()) for base in bases))  # type: ignore[attr-defined]
        return cls

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **_: Any) -> None:
        super().__init__(name, bases, namespace)


class Event(msgspec.Struct, metaclass=EventMeta):
    """Base of every event; `tag` is its stable name, `level` its weight, `rfc` the section it follows.

    `required` names the facts that every event of ours holds; the others have a default of their own.
    """

    tag: ClassVar[str]
    level: ClassVar[Level]
    rfc: ClassVar[str]
    required: ClassVar[frozenset[str]]


class TransformFact(msgspec.Struct, frozen=True, gc=False):
    """One transform of a proposal: IANA type and number, key length in bits or None (RFC 7296 section 3.3.2)."""

    type: int
    id: int
    key_length: int | None = None


class ProposalFact(msgspec.Struct, frozen=True, gc=False):
    """One proposal: its number, protocol (IKE 1, ESP 3), SPI as hex (empty in an initial negotiation), transforms."""

    number: int
    protocol: int
    spi: str = UNKNOWN
    transforms: tuple[TransformFact, ...] = UNKNOWN


class AttributeFact(msgspec.Struct, frozen=True, gc=False):
    """One configuration attribute: IANA number, name, length of its value in octets, the value where it is text."""

    type: int = UNKNOWN
    name: str = UNKNOWN
    length: int = UNKNOWN
    value: str = ""


class DumpedFact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A payload, or a field of one, as a text spells it out: name, value in words, `length` in octets where it is said.

    `section` of the RFC, `children` within it, its `octets` where the text holds them. `omitted`: the message has it,
    and the text leaves out what it is. Where it stands in the datagram no text says.
    """

    name: str
    value: str = ""
    length: int | UnsetType = UNSET
    section: str = ""
    children: tuple[DumpedFact, ...] = ()
    octets: bytes | UnsetType = UNSET
    omitted: bool = False


class SelectorFact(msgspec.Struct, frozen=True, gc=False):
    """One traffic selector: first and last address as text, IP protocol (0 any), first and last port."""

    start: str
    end: str
    protocol: int = 0
    start_port: int = 0
    end_port: int = 65535


class IdentityFact(msgspec.Struct, frozen=True, gc=False):
    """One identity: IANA ID type (RFC 7296 section 3.5) and the value as text."""

    type: int
    value: str


class LineTried(msgspec.Struct, frozen=True, gc=False):
    """One configuration line that was looked at: its number (0: no file), its words, whether it fits, and why."""

    line: int
    text: str
    fits: bool
    why: str


class Tried(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One candidate that was looked at in a decision, and why it was not taken (`taken` for the one that was).

    `line` is where it stands in the configuration (0: in none), `lines` what of it was compared, in that order.
    """

    name: str
    taken: bool
    why: str
    line: int = 0
    lines: tuple[LineTried, ...] = ()


__all__ = [
    "REGISTRY",
    "UNKNOWN",
    "UNSET",
    "AttributeFact",
    "Event",
    "EventMeta",
    "IdentityFact",
    "Level",
    "LineTried",
    "ProposalFact",
    "SelectorFact",
    "TransformFact",
    "Tried",
    "UnsetType",
]
