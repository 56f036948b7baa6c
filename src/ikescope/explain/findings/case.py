"""A case: one attempt of two ends, an IKE SA with those that replaced it, as each router tells of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar

from ikescope.events import Event, Record
from ikescope.events.life import ChildSaCreated, IkeSaCreated
from ikescope.events.negotiation import ProfileNotFound
from ikescope.events.router import RouterStarted
from ikescope.explain import words
from ikescope.explain.findings.model import Evidence
from ikescope.timeline import ChildSa, Exchange, IkeSa, Message, Timeline
from ikescope.wire.registry import NotifyType

E = TypeVar("E", bound=Event)
KEPT = 8
"""How many attempts before it a case knows of."""
#: What strongSwan sends as its vendor ID where it is told to: MD5 of its name.
STRONGSWAN = bytes.fromhex("882fe56d6fd20dbc2251613b2ebe5beb")


class View:
    """One router's telling of a case: its IKE SAs, oldest first, and the records that findings rest on."""

    def __init__(
        self,
        timeline: Timeline,
        router: str,
        sas: tuple[IkeSa, ...],
        records: tuple[Record, ...],
        shared: dict[str, tuple[Record, ...]] | None = None,
    ) -> None:
        self.timeline, self.router, self.sas, self.records = timeline, router, sas, records
        self._shared = {} if shared is None else shared

    @property
    def loose(self) -> tuple[Record, ...]:
        """What its router tells outside of any IKE SA; views that share it look it up once."""
        found = self._shared.get(self.router)
        if found is None:
            several = self.timeline.loose_marks(self.router).values()
            found = self._shared[self.router] = tuple(one for records in several for one in records)
        return found

    @cached_property
    def is_asa(self) -> bool:
        """Whether its router is an ASA or an FTD, by the words of its text."""
        told = self.records or self.loose
        return bool(told) and told[0].stamp.software == "asa"

    @property
    def latest(self) -> IkeSa | None:
        """The IKE SA that stands, or stood last."""
        return self.sas[-1] if self.sas else None

    @property
    def first(self) -> IkeSa | None:
        """The IKE SA of the first negotiation."""
        return self.sas[0] if self.sas else None

    @cached_property
    def local(self) -> str:
        """Its own address; empty where it is not told."""
        return self._end("local")

    @cached_property
    def peer(self) -> str:
        """The other end's address; empty where it is not told."""
        return self._end("peer")

    def _end(self, name: str) -> str:
        told = (getattr(one, name) for one in (*self.sas, *(record.stamp for record in self.records)))
        return next((words.host(one) for one in told if isinstance(one, str)), "")

    @property
    def initiator(self) -> bool | None:
        """Whether it began; None where that is not told."""
        sa = self.first
        return sa.initiator if sa is not None and isinstance(sa.initiator, bool) else None

    @property
    def created(self) -> bool:
        """Whether an IKE SA was authenticated."""
        return any(sa.created is not None for sa in self.sas)

    @cached_property
    def inferred(self) -> bool:
        """Whether it came up only by what closed messages and ESP let conclude: a capture without keys."""
        up = [record for record, _ in self.all(IkeSaCreated, ChildSaCreated)]
        return bool(up) and all(isinstance(record.stamp.inferred, str) for record in up)

    @cached_property
    def standing(self) -> bool:
        """Whether its latest IKE SA stands at the end of what is told, and its router did not begin anew since."""
        sa = self.latest
        if sa is None or sa.state != "READY":
            return False
        return not any(isinstance(one.event, RouterStarted) and one.stamp.mono > sa.begun for one in self.loose)

    @cached_property
    def exchanges(self) -> tuple[Exchange, ...]:
        """All exchanges, in their order."""
        return tuple(one for sa in self.sas for one in self.timeline.exchanges_of(sa))

    @cached_property
    def children(self) -> tuple[ChildSa, ...]:
        """All Child SAs, each once."""
        found = {child.key: child for sa in self.sas for child in self.timeline.children_of(sa)}
        return tuple(found.values())

    def all(self, *kinds: type[Event]) -> list[tuple[Record, Any]]:
        """The records of some kinds, with their events."""
        if len(kinds) == 1:
            return self._by_kind.get(kinds[0], [])
        return [(record, record.event) for record in self.records if type(record.event) in kinds]

    @cached_property
    def _by_kind(self) -> dict[type[Event], list[tuple[Record, Any]]]:
        found: dict[type[Event], list[tuple[Record, Any]]] = {}
        for record in self.records:
            found.setdefault(type(record.event), []).append((record, record.event))
        return found

    def one(self, kind: type[E]) -> tuple[Record, E] | None:
        """The first record of a kind."""
        return next(iter(self.all(kind)), None)

    def last(self, kind: type[E]) -> tuple[Record, E] | None:
        """The last record of a kind."""
        return next(iter(reversed(self.all(kind))), None)

    def around(self, kind: type[E]) -> E | None:
        """The last event of a kind, of this case or else of this router outside of any."""
        found = self.last(kind)
        if found is not None:
            return found[1]
        return next((one.event for one in reversed(self.loose) if isinstance(one.event, kind)), None)

    def notified(self, *notifies: NotifyType, exchange: int | None = None) -> Iterator[tuple[Exchange, Message]]:
        """Responses to requests of this router that carry an error notify, by the names of their payloads."""
        wanted = {f"NOTIFY({one.name})" for one in notifies}
        for one in self.exchanges:
            answer = one.response
            if not one.ours or answer is None or exchange not in (None, one.exchange):
                continue
            told = (*_names(answer.payloads), *_names(answer.inner))
            if wanted & set(told) or (not wanted and any(_is_error(name) for name in told)):
                yield one, answer

    @cached_property
    def peer_is_strongswan(self) -> bool:
        """Whether the other end sent strongSwan's vendor ID, here or in another of the latest attempts with it.

        An IKE_SA_INIT that is refused has none.
        """
        if _from_strongswan(self.exchanges):
            return True
        own = {sa.spi_i for sa in self.sas}
        others = [
            sa
            for (router, spi), sa in self.timeline.ike.items()
            if router == self.router
            and spi not in own
            and isinstance(sa.peer, str)
            and words.host(sa.peer) == self.peer
        ]
        return bool(self.peer) and any(_from_strongswan(self.timeline.exchanges_of(sa)) for sa in others[-KEPT:])


def _from_strongswan(exchanges: Iterable[Exchange]) -> bool:
    return any(
        isinstance(message.octets, bytes) and STRONGSWAN in message.octets
        for exchange in exchanges
        for message in (exchange.request, exchange.response)
        if message is not None and not message.sent
    )


def _names(payloads: object) -> tuple[str, ...]:
    return payloads if isinstance(payloads, tuple) else ()


def _is_error(name: str) -> bool:
    kind = NotifyType.__members__.get(name.removeprefix("NOTIFY(").removesuffix(")"))
    return kind is not None and kind.is_error


class Case:
    """One attempt of two ends: `here` is the viewpoint that it is judged from, `there` the other end's if it tells.

    `end` is the time of the last record; `earlier` are attempts of the same two before it, the latest of them.
    """

    def __init__(self, timeline: Timeline, here: View, there: View | None = None, end: float = 0.0) -> None:
        self.timeline, self.here, self.there, self.end = timeline, here, there, end
        self.earlier: tuple[Case, ...] = ()

    @property
    def views(self) -> tuple[View, ...]:
        """Both views, or the one that there is."""
        return (self.here,) if self.there is None else (self.here, self.there)

    @property
    def both(self) -> bool:
        """Whether both ends tell."""
        return self.there is not None

    @property
    def peer(self) -> str:
        """What to call the other end: its name where it tells, its address, or `the peer`."""
        if self.there is not None and self.there.router:
            return self.there.router
        return self.here.peer or "the peer"

    @property
    def router(self) -> str:
        """What to call this end."""
        return self.here.router or self.here.local or "this router"

    def name(self, view: View) -> str:
        """What to call the end of a view."""
        return self.router if view is self.here else self.peer

    def other(self, view: View) -> str:
        """What to call the other end of a view."""
        return self.peer if view is self.here else self.router

    def all(self, *kinds: type[Event]) -> list[tuple[View, Record, Any]]:
        """The records of some kinds, of both views."""
        return [(view, record, event) for view in self.views for record, event in view.all(*kinds)]

    @cached_property
    def key(self) -> tuple[str, str]:
        """Both ends, whichever is first: what attempts of the same two have in common."""
        ends = sorted((self.here.local or self.here.router, self.here.peer))
        return ends[0], ends[1]

    @property
    def spi_i(self) -> str:
        """The initiator's SPI of its latest IKE SA."""
        return self.here.latest.spi_i if self.here.latest is not None else ""

    @cached_property
    def begun(self) -> float:
        """When it began, in the seconds of the records."""
        told = [sa.begun for view in self.views for sa in view.sas]
        return min(told) if told else 0.0

    @property
    def up(self) -> bool:
        """Whether it had an IKE SA with a Child SA at this end."""
        return self.here.created and bool(self.here.children)

    @property
    def standing(self) -> bool:
        """Whether an IKE SA of this end stands at the end of what is told."""
        return self.here.standing


def cases(timeline: Timeline, router: str | None = None) -> list[Case]:
    """Every attempt once, in the order in which they began, judged from `router` or from the first that tells of it."""
    views: dict[str, list[View]] = {}
    end = timeline.last.stamp.mono if timeline.last is not None else 0.0
    taken: dict[str, str] = {}
    shared: dict[str, tuple[Record, ...]] = {}
    for family in timeline.families:
        name = next((taken[spi] for spi in family.members if spi in taken), family.members[0])
        taken.update(dict.fromkeys((spi for spi in family.members), name))
        views.setdefault(name, []).append(_view(timeline, family.router, family.members, shared))
    found = [_case(timeline, several, router, end) for several in views.values()]
    found += _loose(timeline, router, end, [case for case in found if case is not None])
    told = [case for case in found if case is not None]
    before: dict[tuple[str, str], list[Case]] = {}
    for case in told:
        same = before.setdefault(case.key, [])
        case.earlier = tuple(same[-KEPT:])
        same.append(case)
    return told


def case_of(timeline: Timeline, sa: IkeSa) -> Case:
    """The case of one IKE SA, judged from its router, in as many steps as it has members."""
    views = []
    for router in dict.fromkeys((sa.router, *timeline.routers)):
        member = timeline.ike.get((router, sa.spi_i))
        family = None if member is None else timeline.family(member.family)
        if family is not None:
            views.append(_view(timeline, router, family.members))
    end = timeline.last.stamp.mono if timeline.last is not None else 0.0
    there = next((view for view in views[1:] if _opposite(views[0], view)), None)
    return Case(timeline, views[0], there, end)


def _view(
    timeline: Timeline, router: str, members: tuple[str, ...], shared: dict[str, tuple[Record, ...]] | None = None
) -> View:
    sas = tuple(timeline.ike[router, spi] for spi in members)
    return View(timeline, router, sas, tuple(record for sa in sas for record in timeline.marks_of(sa)), shared)


def _case(timeline: Timeline, views: list[View], router: str | None, end: float) -> Case | None:
    here = next((view for view in views if view.router == router), views[0])
    if router is not None and here.router != router:
        return None
    there = next((view for view in views if _opposite(here, view)), None)
    return Case(timeline, here, there, end)


def _opposite(here: View, view: View) -> bool:
    if here.initiator is not None and view.initiator is not None:
        return here.initiator != view.initiator
    return view.router != here.router


def _loose(timeline: Timeline, router: str | None, end: float, known: Iterable[Case]) -> list[Case | None]:
    """What routers tell outside of any IKE SA: added to the one case that it can belong to, or a case of its own."""
    found: list[Case | None] = []
    views: dict[str, list[View]] = {}
    for case in known:
        for view in case.views:
            views.setdefault(view.router, []).append(view)
    for name in timeline.routers:
        of_router = views.get(name, [])
        numbered = {sa.number: view for view in reversed(of_router) for sa in view.sas}
        for number, records in timeline.loose_marks(name).items():
            own = None if number is None else numbered.get(number)
            if own is not None:
                own.records = tuple(sorted((*own.records, *records), key=lambda one: one.stamp.seq))
                continue
            if of_router:
                _within(records, of_router)
                records = _unmade(records, of_router)
            if router in (None, name):
                apart = [records] if number is not None else _by_peer(records)
                found += [Case(timeline, View(timeline, name, (), some), None, end) for some in apart if some]
    return found


def _by_peer(records: tuple[Record, ...]) -> list[tuple[Record, ...]]:
    """What is told of several peers without an IKE SA, each by itself; what names none goes with a single one."""
    several: dict[str, list[Record]] = {}
    for one in records:
        peer = one.stamp.peer
        several.setdefault(words.host(peer) if isinstance(peer, str) else "", []).append(one)
    if len(several) == 2 and "" in several:
        return [records]
    return [tuple(some) for some in several.values()]


def _unmade(records: tuple[Record, ...], views: list[View]) -> tuple[Record, ...]:
    """What is told of peers that no attempt is of: refused before there was an IKE SA."""
    known = {view.peer for view in views}
    told = ((one, one.stamp.peer) for one in records)
    return tuple(one for one, peer in told if isinstance(peer, str) and words.host(peer) not in known)


def _within(records: Iterable[Record], views: list[View]) -> None:
    """What IOS prints without the number of an SA, added to the one attempt under way just then or before."""
    for record in records:
        if not isinstance(record.event, ProfileNotFound) or isinstance(record.stamp.peer, str):
            continue
        seq = record.stamp.seq
        begun = [view for view in views if view.records and view.records[0].stamp.seq < seq]
        own = [view for view in begun if seq < view.records[-1].stamp.seq]
        last = max(begun, key=lambda view: view.records[-1].stamp.seq, default=None)
        if not own and last is not None and not last.created:
            own = [last]
        if len(own) > 1:
            # Of several under way, one that came to nothing; of these the one that spoke just before.
            own = [max([one for one in own if not one.created] or own, key=lambda view: _before(view, seq))]
        if len(own) == 1:
            own[0].records = tuple(sorted((*own[0].records, record), key=lambda one: one.stamp.seq))


def _before(view: View, seq: int) -> int:
    """The latest record of a view before another."""
    return max(record.stamp.seq for record in view.records if record.stamp.seq < seq)


def shown(record: Record, text: str) -> Evidence:
    """A record as evidence."""
    stamp = record.stamp
    return Evidence(seq=stamp.seq, router=stamp.router, text=text, source=stamp.source, line=stamp.line)


def message_shown(message: Message, text: str) -> Evidence:
    """A message as evidence."""
    return Evidence(seq=message.seq, router=message.router, text=text, source=message.file, line=message.line)


def told(value: Any) -> bool:
    """Whether a source holds a fact."""
    return isinstance(value, int | str | float | tuple) and value != ""
