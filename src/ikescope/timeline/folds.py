"""What each kind of event does to a timeline, as two tables: of an IKE SA, and of a router."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ikescope.events import UNSET, Event, Record, UnsetType
from ikescope.events.life import (
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    ChildStateChanged,
    ChildTraffic,
    CloseReason,
    ConnectDecided,
    DeleteReceived,
    DeleteSent,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    LifetimeChanged,
    SessionUp,
    StateChanged,
)
from ikescope.events.negotiation import IdentitySent, NatChecked, PeerIdentified, ProposalChosen, ProposalSent
from ikescope.events.router import EspDropped, EspRemoved, InterfaceDown, InterfaceUp, RouterStarted
from ikescope.timeline.model import ChildSa, IkeSa
from ikescope.wire.registry import ProtocolId

if TYPE_CHECKING:
    from ikescope.timeline.fold import Timeline

Fold = Callable[["Timeline", IkeSa, Record, Any], None]
RouterFold = Callable[["Timeline", Record, Any], None]

_CHILD_FACTS = (
    *("outbound", "tunnel", "transport", "encryption", "key_length", "integrity", "group", "udp", "local"),
    *("remote", "lifetime", "kilobytes", "exchange"),
)
_COUNTERS = ("packets_in", "octets_in", "packets_out", "octets_out")


def _after(mono: float, seconds: float | UnsetType) -> float | UnsetType:
    return mono + seconds if isinstance(seconds, int | float) else UNSET


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


def _phase(timeline: Timeline, sa: IkeSa, record: Record, event: StateChanged) -> None:
    if isinstance(event.after, str):
        timeline.update(sa.key, phase=event.after)


def _created(timeline: Timeline, sa: IkeSa, record: Record, event: IkeSaCreated) -> None:
    initiator = event.initiator if isinstance(event.initiator, bool) else sa.initiator
    mono = record.stamp.mono
    timeline.update(
        sa.key,
        state="READY",
        lifetime=event.lifetime,
        initiator=initiator,
        created=mono,
        # An initiator that asks for long may meet several half-open SAs under its one SPI: the ends of others are past.
        closed=None,
        reason="",
        cause="",
        rekey_at=_after(mono, event.rekey_in),
        expires_at=_after(mono, event.lifetime),
    )


def _rekeyed(timeline: Timeline, sa: IkeSa, record: Record, event: IkeSaRekeyed) -> None:
    ##= rfc7296#section-2.8
    ##% An IKE SA so created inherits all of the original IKE SA's Child SAs
    if not isinstance(event.new_spi_i, str):
        return
    old, mono = sa, record.stamp.mono
    if isinstance(event.old_spi_i, str):
        old = timeline.born((sa.router, event.old_spi_i.lower()), None, mono)
    new = timeline.born((sa.router, event.new_spi_i.lower()), old, mono)
    new = timeline.adopt(new.key, old)
    moved = tuple(child.inbound for child in timeline.children_of(old) if child.up)
    numbers = {} if new.number is not UNSET else {"number": record.stamp.sa if new.key == sa.key else UNSET}
    timeline.update(
        new.key,
        spi_r=event.new_spi_r.lower() if isinstance(event.new_spi_r, str) else new.spi_r,
        state="READY",
        phase=new.phase or "established",
        lifetime=event.lifetime,
        initiator=event.initiator if isinstance(event.initiator, bool) else UNSET,
        created=mono,
        rekey_at=_after(mono, event.rekey_in),
        expires_at=_after(mono, event.lifetime),
        rekeyed_from=old.spi_i,
        local=old.local,
        peer=old.peer,
        session=old.session if new.session is UNSET else new.session,
        local_id=old.local_id,
        remote_id=old.remote_id,
        behind_nat=old.behind_nat,
        children=tuple(dict.fromkeys((*new.children, *moved))),
        **numbers,
    )
    timeline.update(old.key, superseded_by=new.spi_i)
    for inbound in moved:
        timeline.update_child((sa.router, inbound), sa=new.key)


def _lifetime(timeline: Timeline, sa: IkeSa, record: Record, event: LifetimeChanged) -> None:
    rekey_at = _after(record.stamp.mono, event.rekey_in)
    if event.kind == "ike":
        expires_at = _after(sa.created if sa.created is not None else sa.begun, event.after)
        timeline.update(sa.key, lifetime=event.after, rekey_at=rekey_at, expires_at=expires_at)
    elif isinstance(event.spi, str):
        child = timeline.children.get((sa.router, event.spi))
        if child is not None:
            expires_at = _after(child.created, event.after)
            timeline.update_child(child.key, lifetime=event.after, rekey_at=rekey_at, expires_at=expires_at)


def _child(timeline: Timeline, sa: IkeSa, record: Record, event: ChildSaCreated) -> None:
    replaces = event.rekeys if isinstance(event.rekeys, str) else None
    inbound = event.inbound if isinstance(event.inbound, str) else timeline.untold_spi()
    mono = record.stamp.mono
    timeline.put_child(
        ChildSa(
            sa=sa.key,
            inbound=inbound,
            created=mono,
            replaces=replaces,
            rekey_at=_after(mono, event.rekey_in),
            expires_at=_after(mono, event.lifetime),
            **{name: getattr(event, name) for name in _CHILD_FACTS},
        )
    )
    if inbound not in sa.children:
        timeline.update(sa.key, children=(*sa.children, inbound))
    if replaces is not None:
        _replaced(timeline, sa.router, replaces, inbound)
    if isinstance(event.tunnel, str):
        before = timeline.tunnels.get((sa.router, event.tunnel))
        timeline.update_tunnel(sa.router, event.tunnel, children=(0 if before is None else before.children) + 1)


def _replaced(timeline: Timeline, router: str, old: str, new: str) -> None:
    timeline.update_child((router, old), replaced_by=new)
    timeline.update_child((router, new), replaces=old)


def _child_state(timeline: Timeline, sa: IkeSa, record: Record, event: ChildStateChanged) -> None:
    timeline.update_child((sa.router, event.inbound), state=event.after)


def _child_rekeyed(timeline: Timeline, sa: IkeSa, record: Record, event: ChildSaRekeyed) -> None:
    if not isinstance(event.old_inbound, str) or not isinstance(event.new_inbound, str):
        return
    # A debug text makes Child SAs without their SPIs and names them here: the new one came last.
    for spi, place in ((event.new_inbound, -1), (event.old_inbound, 0)):
        holder = timeline.ike[sa.key]
        untold = [one for one in timeline.children_of(holder) if one.up and not one.told]
        if untold and (sa.router, spi) not in timeline.children:
            timeline.name_child(untold[place], spi)
    _replaced(timeline, sa.router, event.old_inbound, event.new_inbound)


def _child_traffic(timeline: Timeline, sa: IkeSa, record: Record, event: ChildTraffic) -> None:
    counters = {name: getattr(event, name) for name in _COUNTERS}
    inbound = event.inbound
    if not isinstance(inbound, str) and isinstance(event.outbound, str):
        child = timeline.child_by_spi(sa.router, event.outbound, "out")
        inbound = "" if child is None else child.inbound
    timeline.update_child((sa.router, inbound), counted_at=record.stamp.mono, **counters)


def _child_closed(timeline: Timeline, sa: IkeSa, record: Record, event: ChildSaClosed) -> None:
    child = timeline.children.get((sa.router, event.inbound))
    if child is None:
        return
    counters: dict[str, Any] = {name: getattr(event, name) for name in _COUNTERS if getattr(event, name) is not UNSET}
    if counters:
        counters["counted_at"] = record.stamp.mono
    if child.up:
        _over(timeline, child, record, _reason(event), event.cause, **counters)
    else:
        # The Delete that ended it was told already.
        cause = str(event.cause) if isinstance(event.cause, str) else child.cause
        timeline.update_child(child.key, cause=cause, **counters)
    timeline.child_ended(timeline.ike[child.sa])


def _reason(event: ChildSaClosed | IkeSaClosed) -> str:
    return event.reason if isinstance(event.reason, str) else "no reason told"


def _over(timeline: Timeline, child: ChildSa, record: Record, reason: str, cause: object, **changes: Any) -> None:
    told = str(cause) if isinstance(cause, str) else ""
    timeline.update_child(child.key, closed=record.stamp.mono, reason=reason, cause=told, **changes)
    if isinstance(child.tunnel, str):
        before = timeline.tunnels.get((child.sa[0], child.tunnel))
        left = max(0, (1 if before is None else before.children) - 1)
        last = {} if left else {"last_cause": told, "last_reason": reason}
        timeline.update_tunnel(child.sa[0], child.tunnel, children=left, **last)


def _delete_received(timeline: Timeline, sa: IkeSa, record: Record, event: DeleteReceived) -> None:
    if event.kind == "ike" or not isinstance(event.spis, tuple):
        return
    for spi in event.spis:
        child = timeline.child_by_spi(sa.router, spi, "out")
        if child is not None and child.up and child.sa == sa.key:
            _over(timeline, child, record, "deleted by the peer", "")
        elif child is None:
            _end_replaced(timeline, sa, record)


def _delete_sent(timeline: Timeline, sa: IkeSa, record: Record, event: DeleteSent) -> None:
    if event.kind == "child" and isinstance(event.spis, tuple):
        _end_replaced(timeline, sa, record, event.spis)


def _end_replaced(timeline: Timeline, sa: IkeSa, record: Record, spis: tuple[str, ...] | None = None) -> None:
    """A Delete ends the oldest replaced Child SA of which a debug text tells one SPI, or that of these SPIs."""
    for child in timeline.children_of(timeline.ike[sa.key]):
        partly = child.up and child.replaced_by is not None and not isinstance(child.outbound, str)
        if partly and (spis is None or child.inbound in spis):
            _over(timeline, child, record, "rekeyed", str(CloseReason.REKEYED))
            return


def _closed(timeline: Timeline, sa: IkeSa, record: Record, event: IkeSaClosed) -> None:
    reason = _reason(event)
    cause = str(event.cause) if isinstance(event.cause, str) else ""
    timeline.update(sa.key, state="DELETED", closed=record.stamp.mono, reason=reason, cause=cause)
    for child in timeline.children_of(sa):
        if child.up and child.sa == sa.key:
            _over(timeline, child, record, f"with its IKE SA: {reason}", cause)
    timeline.ended(sa)


FOLDS: dict[type[Event], Fold] = {
    ProposalSent: _offered,
    ProposalChosen: _chosen,
    NatChecked: _nat,
    IdentitySent: _local_id,
    PeerIdentified: _remote_id,
    SessionUp: _session,
    StateChanged: _phase,
    IkeSaCreated: _created,
    IkeSaRekeyed: _rekeyed,
    LifetimeChanged: _lifetime,
    ChildSaCreated: _child,
    ChildStateChanged: _child_state,
    ChildSaRekeyed: _child_rekeyed,
    ChildTraffic: _child_traffic,
    ChildSaClosed: _child_closed,
    DeleteReceived: _delete_received,
    DeleteSent: _delete_sent,
    IkeSaClosed: _closed,
}


def _started(timeline: Timeline, record: Record, event: RouterStarted) -> None:
    for name in event.tunnels if isinstance(event.tunnels, tuple) else ():
        timeline.update_tunnel(record.stamp.router, name, up=False, since=record.stamp.mono, children=0)


def _up(timeline: Timeline, record: Record, event: InterfaceUp) -> None:
    timeline.update_tunnel(record.stamp.router, event.interface, up=True, since=record.stamp.mono)


def _down(timeline: Timeline, record: Record, event: InterfaceDown) -> None:
    timeline.update_tunnel(record.stamp.router, event.interface, up=False, since=record.stamp.mono)


def _wish(timeline: Timeline, record: Record, event: ConnectDecided) -> None:
    if isinstance(event.tunnel, str):
        timeline.update_tunnel(record.stamp.router, event.tunnel, wish=event.decision)


def _esp_removed(timeline: Timeline, record: Record, event: EspRemoved) -> None:
    child = timeline.child_by_spi(record.stamp.router, event.spi, event.direction)
    if child is not None:
        side = "in" if event.direction == "in" else "out"
        counters = {f"packets_{side}": event.packets, f"octets_{side}": event.octets}
        timeline.update_child(child.key, counted_at=record.stamp.mono, **counters)


def _esp_dropped(timeline: Timeline, record: Record, event: EspDropped) -> None:
    router, spi = record.stamp.router, event.spi
    child = timeline.child_by_spi(router, spi, "in") or timeline.child_by_spi(router, spi, "out")
    if child is not None and isinstance(event.count, int):
        timeline.update_child(child.key, dropped=child.dropped + event.count)


ROUTER_FOLDS: dict[type[Event], RouterFold] = {
    RouterStarted: _started,
    InterfaceUp: _up,
    InterfaceDown: _down,
    ConnectDecided: _wish,
    EspRemoved: _esp_removed,
    EspDropped: _esp_dropped,
}
