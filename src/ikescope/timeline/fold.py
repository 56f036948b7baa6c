"""The one fold: records in, IKE SAs, Child SAs and exchanges out; the same live and from a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from ikescope.events import UNSET, Event, Record, UnsetType
from ikescope.events.life import ChildRefused
from ikescope.events.message import RequestRefused, ResponseRefused, RetransmissionsExhausted
from ikescope.events.negotiation import (
    AuthRefused,
    ExchangeFailed,
    ProfileNotFound,
    ProposalRefused,
    SelectorsRefused,
)
from ikescope.events.router import PlaneFailed, TrafficMatched
from ikescope.timeline.changes import Journal
from ikescope.timeline.clocks import Clocks
from ikescope.timeline.exchanges import ExchangeLog
from ikescope.timeline.folds import FOLDS, ROUTER_FOLDS
from ikescope.timeline.marks import EACH_BOUNDED, MARKS, Marks
from ikescope.timeline.model import (
    Bounds,
    Changes,
    ChildKey,
    ChildSa,
    Exchange,
    Family,
    IkeSa,
    Message,
    Offset,
    SaKey,
    Tunnel,
)
from ikescope.timeline.totals import Totals
from ikescope.wire.registry import NotifyType

ZERO_SPI = "0" * 16
FAILURES_KEPT = 32
"""How many failures an IKE SA, or a router outside of any, keeps: the first half of them and the latest."""
_NUMBERS = 1 << 14
"""Numbers of IKE SAs after which those of forgotten ones are let go of, where there are bounds."""

FAILURES: tuple[type[Event], ...] = (
    AuthRefused,
    ProfileNotFound,
    ProposalRefused,
    SelectorsRefused,
    ChildRefused,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
    ExchangeFailed,
    PlaneFailed,
)
_FAILURES = frozenset(FAILURES)


class Timeline:
    """Everything that a stream of records tells, by router.

    `add` takes one record at a time, in constant time on average, and never raises on what a record lacks; what it
    holds is read at any moment, and `changed` says what is new since. Without `bounds` it keeps all; with them it
    forgets what is over, the oldest first, and may run for weeks.
    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.ike: dict[SaKey, IkeSa] = {}
        self.children: dict[ChildKey, ChildSa] = {}
        self.tunnels: dict[tuple[str, str], Tunnel] = {}
        self.totals: dict[str, Totals] = {}
        self.traffic: dict[str, Record] = {}
        self.loose_failures: dict[str, tuple[Record, ...]] = {}
        self.first: Record | None = None
        self.last: Record | None = None
        self._bounds = bounds
        self._journal = Journal()
        self._clocks = Clocks()
        self._marks = Marks() if bounds is None else Marks(EACH_BOUNDED, bounds.loose)
        self._exchanges = ExchangeLog(self._journal, None if bounds is None else bounds.exchanges)
        self._families: dict[int, dict[SaKey, None]] = {}
        self._by_number: dict[tuple[str, int], SaKey] = {}
        self._by_outbound: dict[ChildKey, str] = {}
        self._closed: dict[SaKey, None] = {}
        self._most = None if bounds is None else bounds.ike_sas
        self._spoke: dict[SaKey, None] = {}
        self._latest: SaKey | None = None
        self._untold = 0
        self._family_count = 0

    def add(self, record: Record) -> None:
        """Fold one record in."""
        self._journal.generation += 1
        if self.first is None:
            self.first = record
        self.last = record
        stamp, event = record.stamp, record.event
        kind = type(event)
        totals = self.totals.get(stamp.router)
        if totals is None:
            totals = self.totals[stamp.router] = Totals()
        failed = kind in _FAILURES
        totals.add(event, failed)
        if kind is TrafficMatched:
            self.traffic.setdefault(stamp.router, record)
        apart = ROUTER_FOLDS.get(kind)
        if apart is not None:
            apart(self, record, event)
        sa = self._sa(record)
        if failed:
            self._fail(sa, record)
        if kind in MARKS:
            self._mark(sa, record)
        if sa is None:
            return
        message = self._exchanges.add(sa.key, record)
        if message is not None:
            self._moved(sa, message)
        fold = FOLDS.get(kind)
        if fold is not None:
            fold(self, self.ike[sa.key], record, event)

    def extend(self, records: Iterable[Record]) -> Timeline:
        """Fold many records in; the timeline itself."""
        for record in records:
            self.add(record)
        return self

    @property
    def generation(self) -> int:
        """How many records were folded in: what to hand to `changed` the next time."""
        return self._journal.generation

    def changed(self, since: int) -> Changes:
        """What was made, changed or forgotten after a generation, in as many steps as there are changes."""
        return self._journal.since(since)

    @property
    def begun(self) -> int:
        """How many families of IKE SAs there were, those that are forgotten too."""
        return self._family_count

    @property
    def routers(self) -> list[str]:
        """The routers that told anything, in the order of their first record."""
        return list(self.totals)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange, in the order in which they began."""
        return tuple(self._exchanges)

    def exchange(self, number: int) -> Exchange | None:
        """An exchange by its number."""
        return self._exchanges.get(number)

    def exchanges_of(self, sa: IkeSa) -> tuple[Exchange, ...]:
        """The exchanges of one IKE SA, in the order in which they began."""
        return self._exchanges.of(sa.key)

    @property
    def messages(self) -> Sequence[Message]:
        """Every datagram that a router sent or took, retransmissions too, in the order of the records; it grows."""
        return self._exchanges.messages

    @property
    def messages_told(self) -> int:
        """How many messages there were, those that are forgotten too."""
        return self._exchanges.told

    @property
    def offsets(self) -> tuple[Offset, ...]:
        """How far the clocks of the routers are apart, as far as their messages say."""
        return tuple(self._clocks)

    def offset(self, router: str, other: str) -> Offset | None:
        """How far the wall clock of `other` is ahead of that of `router`; None where no messages went both ways."""
        return self._clocks.between(router, other)

    @property
    def families(self) -> tuple[Family, ...]:
        """IKE SAs that replaced each other, oldest first within each."""
        return tuple(family for number in self._families if (family := self.family(number)) is not None)

    def family(self, number: int) -> Family | None:
        """A family by its number; None where there is none, or none any more."""
        keys = tuple(self._families.get(number, ()))
        return Family(number=number, router=keys[0][0], members=tuple(spi for _, spi in keys)) if keys else None

    def of(self, router: str) -> Iterator[IkeSa]:
        """The IKE SAs that one router sees, in the order of their birth."""
        return (sa for sa in self.ike.values() if sa.router == router)

    def children_of(self, sa: IkeSa) -> tuple[ChildSa, ...]:
        """The Child SAs of an IKE SA."""
        return tuple(self.children[sa.router, spi] for spi in sa.children if (sa.router, spi) in self.children)

    def child_by_spi(self, router: str, spi: str, direction: str) -> ChildSa | None:
        """The Child SA of an ESP SPI: `in` is the one that we chose, `out` the peer's."""
        inbound = spi if direction == "in" else self._by_outbound.get((router, spi))
        return None if inbound is None else self.children.get((router, inbound))

    def marks_of(self, sa: IkeSa) -> tuple[Record, ...]:
        """The records of one IKE SA that findings rest on, in their order; the first and the latest of each kind."""
        return self._marks.of(sa.key)

    def loose_marks(self, router: str) -> dict[int | None, tuple[Record, ...]]:
        """Such records of a router outside of any IKE SA, by the number that IOS prints, None where there is none."""
        keys = (key for key in self._marks.loose() if key[0] == router)
        return {int(key[1][1:]) if key[1] else None: self._marks.of(key) for key in keys}

    # --- what the folds do

    def update(self, key: SaKey, **changes: Any) -> None:
        """Replace fields of an IKE SA."""
        self.ike[key] = replace(self.ike[key], **changes)
        self._journal.note("ike", key)

    def put_child(self, child: ChildSa) -> None:
        """Note a Child SA, new or changed."""
        self.children[child.key] = child
        if isinstance(child.outbound, str):
            self._by_outbound[child.sa[0], child.outbound] = child.inbound
        self._journal.note("children", child.key)

    def update_child(self, key: ChildKey, **changes: Any) -> None:
        """Replace fields of a Child SA, where there is one of this key."""
        child = self.children.get(key)
        if child is not None:
            self.put_child(replace(child, **changes))

    def name_child(self, child: ChildSa, spi: str) -> None:
        """The inbound SPI of a Child SA that was met before the source told it."""
        del self.children[child.key]
        self._journal.forget("children", child.key)
        self.put_child(replace(child, inbound=spi))
        holder = self.ike[child.sa]
        self.update(child.sa, children=tuple(spi if one == child.inbound else one for one in holder.children))

    def update_tunnel(self, router: str, name: str, **changes: Any) -> None:
        """Replace fields of a tunnel, made where it is new."""
        key = (router, name)
        self.tunnels[key] = replace(self.tunnels.get(key) or Tunnel(router=router, name=name), **changes)
        self._journal.note("tunnels", key)

    def untold_spi(self) -> str:
        """What stands for an inbound SPI that the source does not tell."""
        self._untold += 1
        return f"?{self._untold}"

    def born(self, key: SaKey, after: IkeSa | None, mono: float) -> IkeSa:
        """The IKE SA of this key, made where it is new; `after` is the one it stands in for."""
        if key in self.ike:
            return self.ike[key]
        if after is None:
            self._family_count += 1
            number = self._family_count
        else:
            number = after.family
        self._families.setdefault(number, {})[key] = None
        self._journal.note("families", number)
        self._journal.note("ike", key)
        sa = self.ike[key] = IkeSa(router=key[0], spi_i=key[1], family=number, begun=mono)
        return sa

    def adopt(self, key: SaKey, into: IkeSa) -> IkeSa:
        """Move an IKE SA that was met before it was known whose successor it is into that one's family."""
        sa = self.ike[key]
        if sa.family != into.family:
            self._leave(sa)
            self._families[into.family][key] = None
            self._journal.note("families", into.family)
            self.update(key, family=into.family)
        return self.ike[key]

    def _leave(self, sa: IkeSa) -> None:
        members = self._families[sa.family]
        del members[sa.key]
        if members:
            self._journal.note("families", sa.family)
        else:
            del self._families[sa.family]
            self._journal.forget("families", sa.family)

    def _sa(self, record: Record) -> IkeSa | None:
        stamp = record.stamp
        if not isinstance(stamp.spi_i, str):
            number = self._by_number.get((stamp.router, stamp.sa)) if isinstance(stamp.sa, int) else None
            return None if number is None else self.ike.get(number)
        key = (stamp.router, stamp.spi_i.lower())
        sa = self.ike.get(key) or self.born(key, None, stamp.mono)
        if key != self._latest:
            self._latest = key
            if self._most is not None:
                self._hear(key, self._most)
        if isinstance(stamp.sa, int):
            place = stamp.router, stamp.sa
            before = self._by_number.get(place)
            if before != key:
                self._by_number[place] = key
                if self._bounds is not None:
                    self._numbered(before)
        changes: dict[str, Any] = {}
        if stamp.spi_r != sa.spi_r and isinstance(stamp.spi_r, str) and stamp.spi_r != ZERO_SPI:
            spi_r = stamp.spi_r.lower()
            if spi_r != sa.spi_r:
                changes["spi_r"] = spi_r
        for name, value, known in (
            ("number", stamp.sa, sa.number),
            ("session", stamp.session, sa.session),
            ("local", stamp.local, sa.local),
            ("peer", stamp.peer, sa.peer),
            ("initiator", stamp.initiator, sa.initiator),
        ):
            if value != known and value is not UNSET:
                changes[name] = value
        if changes:
            self.update(key, **changes)
        return self.ike[key]

    def _moved(self, sa: IkeSa, message: Message) -> None:
        sa = self.ike[sa.key]
        changes: dict[str, Any] = {}
        if (sa.local, sa.peer) != (message.local, message.remote):
            changes |= {"local": message.local, "peer": message.remote}
        if message.repeat:
            changes["retransmissions"] = sa.retransmissions + 1
        if changes:
            self.update(sa.key, **changes)
        if isinstance(sa.initiator, bool):
            self._clocks.add(message, (message.sent != message.response) == sa.initiator)

    def _fail(self, sa: IkeSa | None, record: Record) -> None:
        if sa is not None:
            self.update(sa.key, failures=_one_more(self.ike[sa.key].failures, self._named(sa, record)))
        else:
            router = record.stamp.router
            self.loose_failures[router] = _one_more(self.loose_failures.get(router, ()), record)

    def _mark(self, sa: IkeSa | None, record: Record) -> None:
        stamp = record.stamp
        if sa is not None:
            self._marks.add(sa.key, self._named(sa, record))
        else:
            self._marks.add((stamp.router, f"#{stamp.sa}" if isinstance(stamp.sa, int) else ""), record)

    def _named(self, sa: IkeSa, record: Record) -> Record:
        """A refusal whose source did not tell the notify, with the one that the message refused by carries."""
        event = record.event
        if not isinstance(event, ResponseRefused | ChildRefused) or isinstance(event.notify, int):
            return record
        message = self._exchanges.taken(sa.key)
        for name in () if message is None else (*_names(message.payloads), *_names(message.inner)):
            found = _NOTIFY.fullmatch(name)
            kind = NotifyType.__members__.get(found[1]) if found else None
            if kind is not None and kind.is_error:
                return Record(record.stamp, replace(event, notify=int(kind)))
        return record

    # --- what is forgotten

    def ended(self, sa: IkeSa) -> None:
        """An IKE SA is over: the oldest of those that are over make room."""
        if self._bounds is not None:
            self._over(sa.key)

    def _numbered(self, before: SaKey | None) -> None:
        """A number is another IKE SA's now."""
        if before is not None:
            self._over(before)
        if len(self._by_number) > _NUMBERS:
            self._by_number = {one: held for one, held in self._by_number.items() if held in self.ike}

    def _over(self, key: SaKey) -> None:
        assert self._bounds is not None
        self._closed.setdefault(key)
        while len(self._closed) > self._bounds.closed_sas:
            first = next(iter(self._closed))
            del self._closed[first]
            gone = self.ike.get(first)
            if gone is None or gone.key == self._latest:
                continue
            if gone.closed is not None or self._is_replaced(gone):
                self._forget(gone)

    def _is_replaced(self, sa: IkeSa) -> bool:
        """Whether another IKE SA has the number of this one."""
        return isinstance(sa.number, int) and self._by_number.get((sa.router, sa.number)) != sa.key

    def _hear(self, key: SaKey, most: int) -> None:
        """An IKE SA speaks: where there are too many, the one that is silent longest goes."""
        self._spoke.pop(key, None)
        self._spoke[key] = None
        while len(self._spoke) > most:
            gone = next(iter(self._spoke))
            del self._spoke[gone]
            if gone in self.ike:
                self._forget(self.ike[gone])

    def child_ended(self, sa: IkeSa) -> None:
        """A Child SA is over: the oldest of those of its IKE SA that are over make room."""
        bounds = self._bounds
        if bounds is None or len(sa.children) <= bounds.closed_children:
            return
        over = [child for child in self.children_of(sa) if not child.up and child.sa == sa.key]
        gone = {child.inbound for child in over[: max(0, len(over) - bounds.closed_children)]}
        moved = {spi for spi in sa.children if (sa.router, spi) not in self.children}
        for child in over:
            if child.inbound in gone:
                self._forget_child(child)
        if gone or moved:
            self.update(sa.key, children=tuple(spi for spi in sa.children if spi not in gone | moved))

    def _forget(self, sa: IkeSa) -> None:
        for child in self.children_of(sa):
            if child.sa == sa.key:
                self._forget_child(child)
        self._exchanges.forget(sa.key)
        self._marks.forget(sa.key)
        self._leave(sa)
        self._spoke.pop(sa.key, None)
        self._closed.pop(sa.key, None)
        del self.ike[sa.key]
        if isinstance(sa.number, int) and self._by_number.get((sa.router, sa.number)) == sa.key:
            del self._by_number[sa.router, sa.number]
        self._journal.forget("ike", sa.key)

    def _forget_child(self, child: ChildSa) -> None:
        del self.children[child.key]
        if isinstance(child.outbound, str) and self._by_outbound.get((child.sa[0], child.outbound)) == child.inbound:
            del self._by_outbound[child.sa[0], child.outbound]
        self._journal.forget("children", child.key)


def _one_more(failures: tuple[Record, ...], record: Record) -> tuple[Record, ...]:
    if len(failures) < FAILURES_KEPT:
        return (*failures, record)
    half = FAILURES_KEPT // 2
    return (*failures[:half], *failures[half + 1 :], record)


def _names(payloads: tuple[str, ...] | UnsetType) -> tuple[str, ...]:
    return payloads if isinstance(payloads, tuple) else ()


#: `NOTIFY(NO_PROPOSAL_CHOSEN)` in a list of payload names.
_NOTIFY = re.compile(r"NOTIFY\((\w+)\)")
