"""The guided tour's sentences: records in, notes out, made of this session's own values only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ikescope.events import Event, Record
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.router import TrafficMatched
from ikescope.explain import changes, failures, messages, opening, trust, upkeep
from ikescope.explain.scene import Facts, Scene, Step, Teller, Telling, Unsaid
from ikescope.timeline import Timeline
from ikescope.wire.registry import ExchangeType

#: The headings of the tour, by part.
PARTS: dict[int, str] = {
    1: "A packet that must be protected",
    2: "IKE_SA_INIT: the request",
    3: "IKE_SA_INIT: the response",
    4: "IKE_AUTH: who is who, and what may pass",
    5: "The IPsec SA: ESP both ways",
    6: "CREATE_CHILD_SA: rekeys and a new Child SA",
    7: "INFORMATIONAL: liveness and delete",
    8: "When it fails",
}

#: Every teller by the event that it tells of, in the order of the tour.
TELLERS: dict[type[Event], tuple[Teller, ...]] = {}
for _table in (opening.TELLERS, messages.TELLERS, trust.TELLERS, upkeep.TELLERS, changes.TELLERS, failures.TELLERS):
    for _kind, _teller in _table.items():
        TELLERS[_kind] = (*TELLERS.get(_kind, ()), _teller)
for _kind, _more in changes.FURTHER.items():
    TELLERS[_kind] = (*TELLERS.get(_kind, ()), *_more)

#: What a datagram's note is, by exchange and direction.
MESSAGES: dict[tuple[int, bool], Teller] = {
    (ExchangeType.IKE_SA_INIT, False): opening.init_request,
    (ExchangeType.IKE_SA_INIT, True): opening.init_response,
    (ExchangeType.IKE_AUTH, False): trust.sealed,
    (ExchangeType.IKE_AUTH, True): trust.sealed,
    (ExchangeType.CREATE_CHILD_SA, False): upkeep.create_request,
}


class Walk:
    """Follows a session from one router's side and says, record by record, what there is to see.

    `router` names the side; without it the first router that tells of an SA. Of the other routers only refusals are
    told, for they hold the reason that the wire hides. A note that repeats an earlier one word for word is left out.
    Without `payloads` what each payload says is left out, for a reader who has the octets beside it.
    """

    def __init__(self, router: str | None = None, *, payloads: bool = True) -> None:
        self.timeline = Timeline()
        self.router = router
        self._payloads = payloads
        self._last: dict[str, dict[type[Event], Event]] = {}
        self._told: set[tuple[str, tuple[str, ...]]] = set()
        self._titles: set[str] = set()

    def add(self, record: Record) -> list[Step]:
        """Take the next record; the notes to show after it, mostly none."""
        self.timeline.add(record)
        router, event = record.stamp.router, record.event
        last = self._last.setdefault(router, {})
        last[type(event)] = event
        if self.router is None and (isinstance(event, TrafficMatched) or isinstance(record.stamp.spi_i, str)):
            self.router = router
        tellers = TELLERS if router == self.router else _FAILURES
        scene = Scene(self.timeline, record, last)
        found = list(tellers.get(type(event), ()))
        if router == self.router and isinstance(event, MessageSent | MessageReceived):
            teller = MESSAGES.get((event.exchange, event.response))
            found += [teller] if teller else []
            found += [messages.payloads] if self._payloads else []
        return [
            step for teller in found for telling in _ask(teller, scene, event) for step in self._step(telling, record)
        ]

    def _step(self, telling: Telling, record: Record) -> list[Step]:
        said = telling.said()
        lines = tuple(one.text for one in said)
        if not lines or (telling.title, lines) in self._told:
            return []
        if telling.title in ONCE and telling.title in self._titles:
            return []
        self._told.add((telling.title, lines))
        self._titles.add(telling.title)
        links = tuple(one.spans for one in said) if any(one.spans for one in said) else ()
        return [Step(telling.part, telling.title, record.stamp.seq, lines, links)]


#: Told once a walk, for the second time teaches nothing new.
ONCE = frozenset(
    {
        "No answer yet",
        "Policy and key",
        "Empty INFORMATIONAL: is the peer alive?",
        "Empty INFORMATIONAL: the peer asks whether we live",
        "The peer is alive",
    }
)


#: The tellers for a router whose side is not the walk's.
_FAILURES: dict[type[Event], tuple[Teller, ...]] = {kind: (teller,) for kind, teller in failures.TELLERS.items()}


def _ask(teller: Teller, scene: Scene, event: Any) -> list[Telling]:
    try:
        return teller(scene, Facts(event))
    except Unsaid:
        return []


def walk(records: Iterable[Record], router: str | None = None) -> list[Step]:
    """All notes of a session."""
    guide = Walk(router)
    return [step for record in records for step in guide.add(record)]
