"""The one fold: records in, IKE SAs, Child SAs and exchanges out; the same live and from a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from ikescope.events import UNSET, Event, Record, UnsetType
from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    DeleteReceived,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    SessionUp,
)
from ikescope.events.message import (
    MessageReceived,
    MessageSent,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
)
from ikescope.events.negotiation import (
    AuthRefused,
    ExchangeFailed,
    IdentitySent,
    NatChecked,
    PeerIdentified,
    ProfileNotFound,
    ProposalChosen,
    ProposalRefused,
    ProposalSent,
    SelectorsRefused,
)
from ikescope.events.router import PlaneFailed, TrafficMatched
from ikescope.timeline.exchanges import ExchangeLog
from ikescope.timeline.model import ChildSa, Exchange, Family, IkeSa, Message, SaKey
from ikescope.wire.registry import NotifyType, ProtocolId

ZERO_SPI = "0" * 16

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


class Timeline:
    """Everything that a stream of records tells, by router.

    `add` takes one record at a time and never raises on what a record lacks; what it holds is read at any moment.
    """

    def __init__(self) -> None:
        self.ike: dict[SaKey, IkeSa] = {}
        self.children: dict[tuple[str, str], ChildSa] = {}
        self.routers: list[str] = []
        self.traffic: dict[str, Record] = {}
        self.loose_failures: dict[str, tuple[Record, ...]] = {}
        self.first: Record | None = None
        self.last: Record | None = None
        self._exchanges = ExchangeLog()
        self._families: list[list[SaKey]] = []
        self._by_number: dict[tuple[str, int], SaKey] = {}

    def add(self, record: Record) -> None:
        """Fold one record in."""
        if self.first is None:
            self.first = record
        self.last = record
        stamp, event = record.stamp, record.event
        if stamp.router not in self.routers:
            self.routers.append(stamp.router)
        if isinstance(event, TrafficMatched):
            self.traffic.setdefault(stamp.router, record)
        sa = self._sa(record)
        if isinstance(event, FAILURES):
            self._fail(sa, record)
        if sa is None:
            return
        self._exchanges.add(sa.key, record)
        fold = FOLDS.get(type(event))
        if fold is not None:
            fold(self, self.ike[sa.key], record, event)

    def extend(self, records: Iterable[Record]) -> Timeline:
        """Fold many records in; the timeline itself."""
        for record in records:
            self.add(record)
        return self

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange, in the order in which they began."""
        return tuple(self._exchanges)

    @property
    def messages(self) -> Sequence[Message]:
        """Every datagram that a router sent or took, retransmissions too, in the order of the records; it grows."""
        return self._exchanges.messages

    @property
    def families(self) -> tuple[Family, ...]:
        """IKE SAs that replaced each other, oldest first within each."""
        return tuple(
            Family(number=number, router=keys[0][0], members=tuple(spi for _, spi in keys))
            for number, keys in enumerate(self._families, start=1)
            if keys
        )

    def of(self, router: str) -> Iterator[IkeSa]:
        """The IKE SAs that one router sees, in the order of their birth."""
        return (sa for sa in self.ike.values() if sa.router == router)

    def children_of(self, sa: IkeSa) -> tuple[ChildSa, ...]:
        """The Child SAs of an IKE SA."""
        return tuple(self.children[sa.router, spi] for spi in sa.children if (sa.router, spi) in self.children)

    def update(self, key: SaKey, **changes: Any) -> None:
        """Replace fields of an IKE SA."""
        self.ike[key] = replace(self.ike[key], **changes)

    def born(self, key: SaKey, after: IkeSa | None, mono: float) -> IkeSa:
        """The IKE SA of this key, made where it is new; `after` is the one it stands in for."""
        if key in self.ike:
            return self.ike[key]
        if after is None:
            self._families.append([key])
            number = len(self._families)
        else:
            number = after.family
            self._families[number - 1].append(key)
        sa = self.ike[key] = IkeSa(router=key[0], spi_i=key[1], family=number, begun=mono)
        return sa

    def adopt(self, key: SaKey, into: IkeSa) -> IkeSa:
        """Move an IKE SA that was met before it was known whose successor it is into that one's family."""
        sa = self.ike[key]
        if sa.family != into.family:
            self._families[sa.family - 1].remove(key)
            self._families[into.family - 1].append(key)
            self.update(key, family=into.family)
        return self.ike[key]

    def _sa(self, record: Record) -> IkeSa | None:
        stamp = record.stamp
        if stamp.spi_i is UNSET or not isinstance(stamp.spi_i, str):
            key = self._by_number.get((stamp.router, stamp.sa)) if isinstance(stamp.sa, int) else None
            return self.ike[key] if key else None
        key = (stamp.router, stamp.spi_i.lower())
        sa = self.born(key, None, stamp.mono)
        if isinstance(stamp.sa, int):
            self._by_number[stamp.router, stamp.sa] = key
        told = {
            "spi_r": stamp.spi_r.lower() if isinstance(stamp.spi_r, str) and stamp.spi_r != ZERO_SPI else UNSET,
            "number": stamp.sa,
            "session": stamp.session,
            "local": stamp.local,
            "peer": stamp.peer,
            "initiator": stamp.initiator,
        }
        changes = {name: value for name, value in told.items() if value is not UNSET and getattr(sa, name) != value}
        if changes:
            self.update(key, **changes)
        return self.ike[key]

    def _fail(self, sa: IkeSa | None, record: Record) -> None:
        if sa is not None:
            self.update(sa.key, failures=(*sa.failures, self._named(sa, record)))
        else:
            router = record.stamp.router
            self.loose_failures[router] = (*self.loose_failures.get(router, ()), record)

    def _named(self, sa: IkeSa, record: Record) -> Record:
        """A refusal whose source did not tell the notify, with the one that the message refused by carries."""
        event = record.event
        if not isinstance(event, ResponseRefused | ChildRefused) or isinstance(event.notify, int):
            return record
        for message in reversed(self._exchanges.messages):
            if not message.sent and message.router == sa.router and message.spi_i == sa.spi_i:
                for name in (*_names(message.payloads), *_names(message.inner)):
                    found = _NOTIFY.fullmatch(name)
                    kind = NotifyType.__members__.get(found[1]) if found else None
                    if kind is not None and kind.is_error:
                        return Record(record.stamp, replace(event, notify=int(kind)))
                break
        return record


def _names(payloads: tuple[str, ...] | UnsetType) -> tuple[str, ...]:
    return payloads if isinstance(payloads, tuple) else ()


#: `NOTIFY(NO_PROPOSAL_CHOSEN)` in a list of payload names.
_NOTIFY = re.compile(r"NOTIFY\((\w+)\)")


Fold = Callable[[Timeline, IkeSa, Record, Any], None]


def _message(timeline: Timeline, sa: IkeSa, record: Record, event: MessageSent | MessageReceived) -> None:
    changes = {"local": event.local, "peer": event.remote}
    timeline.update(sa.key, **changes)


def _offered(timeline: Timeline, sa: IkeSa, record: Record, event: ProposalSent) -> None:
    if event.protocol == ProtocolId.IKE and not event.response and event.initial:
        timeline.update(sa.key, offered=event.proposals)


def _chosen(timeline: Timeline, sa: IkeSa, record: Record, event: ProposalChosen) -> None:
    if event.protocol == ProtocolId.IKE and sa.chosen is UNSET:
        timeline.update(sa.key, offered=event.offered, chosen=event.chosen)


def _nat(timeline: Timeline, sa: IkeSa, record: Record, event: NatChecked) -> None:
    sides = {(True, True): "both", (True, False): "local", (False, True): "remote", (False, False): ""}
    timeline.update(sa.key, behind_nat=sides.get((event.local_behind, event.remote_behind), ""))


def _local_id(timeline: Timeline, sa: IkeSa, record: Record, event: IdentitySent) -> None:
    timeline.update(sa.key, local_id=event.identity)


def _remote_id(timeline: Timeline, sa: IkeSa, record: Record, event: PeerIdentified) -> None:
    timeline.update(sa.key, remote_id=event.identity)


def _session(timeline: Timeline, sa: IkeSa, record: Record, event: SessionUp) -> None:
    timeline.update(sa.key, local_id=event.local, remote_id=event.remote)


def _created(timeline: Timeline, sa: IkeSa, record: Record, event: IkeSaCreated) -> None:
    initiator = event.initiator if isinstance(event.initiator, bool) else sa.initiator
    timeline.update(sa.key, state="READY", lifetime=event.lifetime, initiator=initiator, created=record.stamp.mono)


def _rekeyed(timeline: Timeline, sa: IkeSa, record: Record, event: IkeSaRekeyed) -> None:
    ##= rfc7296#section-2.8
    ##% An IKE SA so created inherits all of the original IKE SA's Child SAs
    old = sa
    if isinstance(event.old_spi_i, str):
        old = timeline.born((sa.router, event.old_spi_i.lower()), None, record.stamp.mono)
    new = timeline.born((sa.router, event.new_spi_i.lower()), old, record.stamp.mono)
    new = timeline.adopt(new.key, old)
    moved = tuple(child.inbound for child in timeline.children_of(old) if child.up)
    numbers = {} if new.number is not UNSET else {"number": record.stamp.sa if new.key == sa.key else UNSET}
    timeline.update(
        new.key,
        spi_r=event.new_spi_r.lower(),
        state="READY",
        lifetime=event.lifetime,
        initiator=event.initiator if isinstance(event.initiator, bool) else UNSET,
        created=record.stamp.mono,
        rekeyed_from=old.spi_i,
        local=old.local,
        peer=old.peer,
        session=old.session if new.session is UNSET else new.session,
        local_id=old.local_id,
        remote_id=old.remote_id,
        behind_nat=old.behind_nat,
        children=(*new.children, *moved),
        **numbers,
    )
    timeline.update(old.key, superseded_by=new.spi_i)
    for inbound in moved:
        timeline.children[sa.router, inbound] = replace(timeline.children[sa.router, inbound], sa=new.key)


def _child(timeline: Timeline, sa: IkeSa, record: Record, event: ChildSaCreated) -> None:
    names = (
        "outbound tunnel transport encryption key_length integrity group udp local remote lifetime kilobytes exchange"
    )
    replaces = event.rekeys if isinstance(event.rekeys, str) else None
    inbound = event.inbound if isinstance(event.inbound, str) else f"?{len(timeline.children) + 1}"
    timeline.children[sa.router, inbound] = ChildSa(
        sa=sa.key,
        inbound=inbound,
        created=record.stamp.mono,
        replaces=replaces,
        **{name: getattr(event, name) for name in names.split()},
    )
    if inbound not in sa.children:
        timeline.update(sa.key, children=(*sa.children, inbound))
    if replaces is not None:
        _replaced(timeline, sa.router, replaces, inbound)


def _replaced(timeline: Timeline, router: str, old: str, new: str) -> None:
    for spi, changes in ((old, {"replaced_by": new}), (new, {"replaces": old})):
        child = timeline.children.get((router, spi))
        if child is not None:
            timeline.children[router, spi] = replace(child, **changes)


def _child_rekeyed(timeline: Timeline, sa: IkeSa, record: Record, event: ChildSaRekeyed) -> None:
    _replaced(timeline, sa.router, event.old_inbound, event.new_inbound)


def _child_closed(timeline: Timeline, sa: IkeSa, record: Record, event: ChildSaClosed) -> None:
    child = timeline.children.get((sa.router, event.inbound))
    if child is not None and child.up:
        timeline.children[sa.router, event.inbound] = replace(child, closed=record.stamp.mono, reason=event.reason)


def _delete_received(timeline: Timeline, sa: IkeSa, record: Record, event: DeleteReceived) -> None:
    if event.kind == "ike":
        return
    for child in timeline.children_of(sa):
        if child.outbound in event.spis and child.up:
            closed = replace(child, closed=record.stamp.mono, reason="deleted by the peer")
            timeline.children[sa.router, child.inbound] = closed


def _closed(timeline: Timeline, sa: IkeSa, record: Record, event: IkeSaClosed) -> None:
    reason = event.reason if isinstance(event.reason, str) else "no reason told"
    timeline.update(sa.key, state="DELETED", closed=record.stamp.mono, reason=reason)
    for child in timeline.children_of(sa):
        if child.up and child.sa == sa.key:
            ended = replace(child, closed=record.stamp.mono, reason=f"with its IKE SA: {reason}")
            timeline.children[sa.router, child.inbound] = ended


FOLDS: dict[type[Event], Fold] = {
    MessageSent: _message,
    MessageReceived: _message,
    ProposalSent: _offered,
    ProposalChosen: _chosen,
    NatChecked: _nat,
    IdentitySent: _local_id,
    PeerIdentified: _remote_id,
    SessionUp: _session,
    IkeSaCreated: _created,
    IkeSaRekeyed: _rekeyed,
    ChildSaCreated: _child,
    ChildSaRekeyed: _child_rekeyed,
    ChildSaClosed: _child_closed,
    DeleteReceived: _delete_received,
    IkeSaClosed: _closed,
}
