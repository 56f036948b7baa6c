"""Counts over all that a router told, also of what is forgotten: never more keys than the closed lists have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ikescope.events import Event
from ikescope.events.life import ChildSaClosed, ChildSaCreated, ChildSaRekeyed, IkeSaClosed, IkeSaCreated, IkeSaRekeyed
from ikescope.events.message import MessageDropped, MessageReceived, MessageSent, UnverifiedCounted
from ikescope.events.router import EspDropped, PacketsHeld

OTHER = "other"
REASONS = 32
"""How many reasons of discarded ESP packets are told apart; later ones count together."""


@dataclass(slots=True)
class Totals:
    """What one router has done so far. `closed` counts ends of IKE SAs, `closed_children` of Child SAs, by cause;
    `drops` discarded IKE datagrams by trigger, `esp_drops` ESP packets by reason; `unverified` datagrams without state.
    """

    handshakes: int = 0
    ike_rekeys: int = 0
    child_sas: int = 0
    child_rekeys: int = 0
    sent: int = 0
    received: int = 0
    retransmissions: int = 0
    failures: int = 0
    unverified: int = 0
    held_lost: int = 0
    closed: dict[str, int] = field(default_factory=dict)
    closed_children: dict[str, int] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)
    esp_drops: dict[str, int] = field(default_factory=dict)

    def add(self, event: Event, failed: bool) -> None:
        """Count an event."""
        self.failures += failed
        count = _COUNTS.get(type(event))
        if count is not None:
            count(self, event)


def _more(counts: dict[str, int], key: object, by: int = 1) -> None:
    name = str(key) if isinstance(key, str) else OTHER
    if name not in counts and len(counts) >= REASONS:
        name = OTHER
    counts[name] = counts.get(name, 0) + by


def _created(totals: Totals, event: IkeSaCreated) -> None:
    totals.handshakes += 1


def _rekeyed(totals: Totals, event: IkeSaRekeyed) -> None:
    totals.ike_rekeys += 1


def _child(totals: Totals, event: ChildSaCreated) -> None:
    totals.child_sas += 1


def _child_rekeyed(totals: Totals, event: ChildSaRekeyed) -> None:
    totals.child_rekeys += 1


def _sent(totals: Totals, event: MessageSent) -> None:
    totals.sent += 1
    totals.retransmissions += bool(event.repeat)


def _received(totals: Totals, event: MessageReceived) -> None:
    totals.received += 1


def _unverified(totals: Totals, event: UnverifiedCounted) -> None:
    totals.unverified += sum(one for one in (event.cookies, event.silent) if isinstance(one, int))


def _held(totals: Totals, event: PacketsHeld) -> None:
    # An overflowing queue tells its first loss at once, and that one again with all the others at the end.
    totals.held_lost += event.dropped if event.held == 0 and isinstance(event.dropped, int) else 0


_COUNTS: dict[type[Event], Callable[[Totals, Any], None]] = {
    IkeSaCreated: _created,
    IkeSaRekeyed: _rekeyed,
    ChildSaCreated: _child,
    ChildSaRekeyed: _child_rekeyed,
    MessageSent: _sent,
    MessageReceived: _received,
    UnverifiedCounted: _unverified,
    PacketsHeld: _held,
    IkeSaClosed: lambda totals, event: _more(totals.closed, event.cause),
    ChildSaClosed: lambda totals, event: _more(totals.closed_children, event.cause),
    MessageDropped: lambda totals, event: _more(totals.drops, event.trigger),
    EspDropped: lambda totals, event: _more(
        totals.esp_drops, event.reason, event.count if isinstance(event.count, int) else 1
    ),
}
