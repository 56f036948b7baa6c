"""Child SAs alike in all but what carries them: one for each resource, such as a core (RFC 9611).

`ikescope per-resource-sas N` in an IPsec profile. Both ends say SA_RESOURCE_INFO with the first Child SA, which any
resource may use; then whoever began it asks for the others, one after another, until there are N, or the peer has
enough of them (TS_MAX_QUEUE). Each end numbers its resources itself: the data of the notify is for people alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ikescope.crypto.suites import EspSuite
from ikescope.engine.context import SpiSource
from ikescope.engine.errors import TsMaxQueue
from ikescope.engine.payloads import notify_of
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import ChildState
from ikescope.policy.peers import Connection
from ikescope.policy.selectors import Selectors
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import NotifyType

TRIGGER = "resource"
_DRAWS = 8
"""SPIs drawn for each resource, on the average, before any will do."""
_STANDING = (ChildState.CREATED, ChildState.INSTALLED, ChildState.REKEYING)


@dataclass(frozen=True, slots=True)
class Further:
    """A Child SA to be made like one that stands, for the resource of that number."""

    resource: int
    selectors: Selectors
    transport: bool
    suite: EspSuite

    def fits(self, suite: EspSuite, selectors: Selectors, *, transport: bool) -> bool:
        """Whether what was agreed is what stands already; the group of its own key exchange may differ."""
        ours, theirs = ((one.encryption, one.integrity, one.esn) for one in (self.suite, suite))
        return (ours, self.selectors, self.transport) == (theirs, selectors, transport)


def taken(sa: IkeSa, tunnel: str, index: int, selectors: Selectors) -> set[int]:
    """The numbers of the resources that have a Child SA for these selectors."""
    return {
        child.resource
        for child in sa.children.values()
        if child.resource is not None
        and child.state in _STANDING
        and (child.tunnel, child.index, child.local, child.remote) == (tunnel, index, selectors.local, selectors.remote)
    }


def lowest_free(numbers: Iterable[int]) -> int:
    """The first number that is not among these."""
    known = set(numbers)
    return next(number for number in range(len(known) + 1) if number not in known)


def information(resource: int) -> NotifyPayload:
    """N(SA_RESOURCE_INFO): the resource's number in 4 octets; nothing for the first, which is for all (RFC 9611)."""
    return NotifyPayload(NotifyType.SA_RESOURCE_INFO, resource.to_bytes(4, "big") if resource else b"")


def announced(payloads: Sequence[Payload]) -> bool:
    """Whether a message speaks of resources."""
    return notify_of(payloads, NotifyType.SA_RESOURCE_INFO) is not None


def inbound_spi(spis: SpiSource, resource: int | None, count: int | None) -> int:
    """The SPI to be reached at: modulo `count` it is the resource's number, for a plane may steer packets by it."""
    if resource is None or count is None:
        return spis.allocate()
    others: list[int] = []
    try:
        while (spi := spis.allocate()) % count != resource % count and len(others) < _DRAWS * count:
            others.append(spi)
    finally:
        for other in others:
            spis.release(other)
    return spi


def answered(
    sa: IkeSa, connection: Connection, index: int, pair: Selectors, payloads: Sequence[Payload], old: ChildSa | None
) -> int | None:
    """Which resource the Child SA that a peer asks for is for, None where it is not for one; `old` is what it rekeys.

    Raises TsMaxQueue where there are as many as the profile wants. NO_ADDITIONAL_SAS would say that other selectors
    are out of the question too, and is not allowed there (RFC 9611).
    """
    if not announced(payloads):
        return None
    if old is not None:
        return old.resource
    wanted, numbers = connection.ipsec.per_resource_sas, taken(sa, connection.tunnel.name, index, pair)
    if wanted is None and not numbers:
        return None
    if len(numbers) >= (wanted or 1):
        raise TsMaxQueue(f"Child SAs for one pair of selectors: had {len(numbers)}, wanted {wanted or 1} at most")
    return lowest_free(numbers)


def next_after(sa: IkeSa, child: ChildSa, wanted: int | None) -> Further | None:
    """What to ask for now that a Child SA stands, of so many `wanted`: None if enough, or the peer's to ask."""
    if child.resource is None or not child.initiator or child.replaces is not None:
        return None
    pair = Selectors(child.local, child.remote)
    number = lowest_free(taken(sa, child.tunnel, child.index, pair))
    return Further(number, pair, child.transport, child.suite) if number < (wanted or 1) else None
