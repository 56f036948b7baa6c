"""What a teller of the walk is given, and how a sentence that lacks its fact falls silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import msgspec

from ikescope.events import UNSET, Event, Record, UnsetType
from ikescope.explain import words
from ikescope.explain.payloads import Said, Span
from ikescope.timeline import IkeSa, Timeline

T = TypeVar("T")
E = TypeVar("E", bound=Event)


class Step(msgspec.Struct, frozen=True):
    """One stop of the walk: its part of the tour, a title, the record it follows and two to four lines.

    `links` holds for each line the octets that it speaks of, where a line speaks of one payload; else it is empty.
    """

    part: int
    title: str
    after: int
    lines: tuple[str, ...]
    links: tuple[tuple[Span, ...], ...] = ()


class Unsaid(Exception):
    """A sentence needs a fact that this session does not hold."""


def known(value: T | UnsetType | None) -> T:
    """The fact itself; raises Unsaid where the source does not hold it."""
    if value is None or isinstance(value, UnsetType):
        raise Unsaid
    return value


def when(condition: bool) -> None:
    """Raise Unsaid unless the condition holds."""
    if not condition:
        raise Unsaid


def maybe(event: Event, name: str, otherwise: T) -> T:
    """A fact of an event, or `otherwise` where its source did not hold it."""
    try:
        value: T = getattr(event, name)
    except Unsaid:
        return otherwise
    return otherwise if isinstance(value, UnsetType) else value


#: A sentence: plain text, or a function that makes it of facts and may raise Unsaid.
Sentence = str | Said | Callable[[], str]


class Telling(NamedTuple):
    """What a teller has to say about one event."""

    part: int
    title: str
    sentences: tuple[Sentence, ...]

    def said(self) -> tuple[Said, ...]:
        """The sentences whose facts are known."""
        found = []
        for sentence in self.sentences:
            try:
                found.append(sentence if isinstance(sentence, Said) else Said(_text(sentence)))
            except Unsaid:
                continue
        return tuple(found)

    def lines(self) -> tuple[str, ...]:
        """The same as text alone."""
        return tuple(one.text for one in self.said())


def _text(sentence: str | Callable[[], str]) -> str:
    text = sentence if isinstance(sentence, str) else sentence()
    return text[0].upper() + text[1:] if text.startswith(THIS) else text


def tell(part: int, title: str, *sentences: Sentence) -> list[Telling]:
    """One telling, as the list that a teller returns."""
    return [Telling(part, title, sentences)]


#: What a router without a name is called.
THIS = "this router"


class Scene(msgspec.Struct, frozen=True):
    """The session so far as one router sees it, when a record comes: timeline, the latest event of each kind."""

    timeline: Timeline
    record: Record
    last: dict[type[Event], Event]

    @property
    def router(self) -> str:
        """Whose eyes these are."""
        return self.record.stamp.router

    @property
    def name(self) -> str:
        """What to call that router; not every source names it."""
        return self.router or THIS

    @property
    def sa(self) -> IkeSa:
        """The IKE SA that the record belongs to; Unsaid without one."""
        spi_i = self.record.stamp.spi_i
        if isinstance(spi_i, str):
            return known(self.timeline.ike.get((self.router, spi_i.lower())))
        number = self.record.stamp.sa
        return known(next((sa for sa in reversed(list(self.timeline.of(self.router))) if sa.number == number), None))

    @property
    def peer(self) -> str:
        """The peer's address."""
        stamp = self.record.stamp
        return words.host(stamp.peer if isinstance(stamp.peer, str) else known(self.sa.peer))

    @property
    def initiator(self) -> bool:
        """Whether this router began the IKE SA."""
        return known(self.sa.initiator)

    def latest(self, kind: type[E]) -> E:
        """The latest event of a kind at this router; Unsaid where there was none."""
        event = self.last.get(kind)
        return cast(E, Facts(event)) if isinstance(event, kind) else known(None)

    def sent_before(self) -> bool:
        """Whether this router sent or received any IKE message already."""
        return any(exchange.sa[0] == self.router for exchange in self.timeline.exchanges)

    def ready(self) -> IkeSa | None:
        """An IKE SA of this router that stands, the youngest."""
        return next((sa for sa in reversed(list(self.timeline.of(self.router))) if sa.state == "READY"), None)


class Facts:
    """An event whose every fact that the source did not hold raises Unsaid when a sentence asks for it.

    Facts that an event declares as optional (UNSET by default) come as they are: the sentence looks for itself.
    """

    __slots__ = ("_event",)

    def __init__(self, event: Event) -> None:
        self._event = event

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._event, name)
        if value is UNSET and name in type(self._event).required:
            raise Unsaid
        return value

    @property  # type: ignore[misc]  # isinstance() sees the event's own class
    def __class__(self) -> type:
        return type(self._event)


Teller = Callable[[Scene, Any], list[Telling]]
