"""The SAs of a timeline as the page shows them: families of IKE SAs, generation by generation, and their Child SAs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ikescope.events import IdentityFact, ProposalFact, SelectorFact, UnsetType
from ikescope.explain import words
from ikescope.timeline import ChildSa, Family, IkeSa, Timeline

#: Generations and Child SAs of one family that the page lists, the youngest.
GENERATIONS, CHILDREN = 16, 32


def families(timeline: Timeline) -> list[dict[str, Any]]:
    """Every family; `earlier` counts the generations that are left out."""
    return [_family(timeline, family) for family in timeline.families]


def _family(timeline: Timeline, family: Family) -> dict[str, Any]:
    members = [timeline.ike[family.router, spi] for spi in family.members]
    children: dict[str, ChildSa] = {}
    for sa in members:
        children |= {child.inbound: child for child in timeline.children_of(sa)}
    youngest = members[-1]
    return {
        "number": family.number,
        "router": family.router,
        "peer": words.host(youngest.peer) if isinstance(youngest.peer, str) else "",
        "earlier": max(len(members) - GENERATIONS, 0),
        "generations": [_generation(sa) for sa in members[-GENERATIONS:]],
        "children": [_child(child) for child in list(children.values())[-CHILDREN:]],
    }


def _generation(sa: IkeSa) -> dict[str, Any]:
    return {
        "spi_i": sa.spi_i,
        "spi_r": _known(sa.spi_r),
        "number": _known(sa.number),
        "state": sa.state,
        "initiator": _known(sa.initiator),
        "suite": words.suite(sa.chosen) if isinstance(sa.chosen, ProposalFact) else None,
        "local_id": words.identity(sa.local_id) if isinstance(sa.local_id, IdentityFact) else None,
        "remote_id": words.identity(sa.remote_id) if isinstance(sa.remote_id, IdentityFact) else None,
        "nat": sa.behind_nat,
        "lifetime": _known(sa.lifetime),
        "expires": _known(sa.expires_at),
        "begun": sa.begun,
        "created": sa.created,
        "closed": sa.closed,
        "reason": sa.reason,
        "rekeyed_from": sa.rekeyed_from,
        "superseded_by": sa.superseded_by,
    }


def _child(child: ChildSa) -> dict[str, Any]:
    return {
        "inbound": child.inbound,
        "outbound": _known(child.outbound),
        "tunnel": _known(child.tunnel),
        "sa": child.sa[1],
        "mode": {True: "transport", False: "tunnel"}.get(_known(child.transport)),
        "suite": _suite(child),
        "selectors": _selectors(child.local, child.remote),
        "lifetime": _known(child.lifetime),
        "expires": _known(child.expires_at),
        "traffic": _traffic(child),
        "created": child.created,
        "closed": child.closed,
        "reason": child.reason,
        "replaces": child.replaces,
        "replaced_by": child.replaced_by,
    }


def _traffic(child: ChildSa) -> list[int] | None:
    """Packets and octets in, packets and octets out, packets dropped; None where the source never told."""
    counts = (child.packets_in, child.octets_in, child.packets_out, child.octets_out)
    told = [count for count in counts if isinstance(count, int)]
    return [*told, child.dropped] if len(told) == len(counts) else None


def _suite(child: ChildSa) -> str | None:
    if not isinstance(child.encryption, int):
        return None
    length = child.key_length if isinstance(child.key_length, int) else None
    integrity = words.integrity(child.integrity) if isinstance(child.integrity, int) and child.integrity else ""
    return words.encryption(child.encryption, length) + (f", {integrity}" if integrity else "")


def _selectors(local: tuple[SelectorFact, ...] | UnsetType, remote: tuple[SelectorFact, ...] | UnsetType) -> str | None:
    if isinstance(local, UnsetType) or isinstance(remote, UnsetType):
        return None
    return words.pair(local, remote)


def _known(value: Any) -> Any:
    """The fact, or None where the source does not hold it."""
    return None if isinstance(value, UnsetType) else value


def counted(timeline: Timeline) -> list[str]:
    """Many tunnels in one line: how many IKE SAs stand, negotiate, ended in failure."""
    latest = [timeline.ike[family.router, family.members[-1]] for family in timeline.families]
    states = Counter(_standing(sa) for sa in latest)
    told = ", ".join(f"{states[name]} {name}" for name in ("up", "negotiating", "failed", "ended") if states[name])
    children = sum(child.up for child in timeline.children.values())
    return [f"{words.plural(len(latest), 'IKE SA')}: {told}.", f"{words.plural(children, 'Child SA')} up."]


def _standing(sa: IkeSa) -> str:
    if sa.state == "READY":
        return "up"
    if sa.failures:
        return "failed"
    return "negotiating" if sa.closed is None else "ended"
