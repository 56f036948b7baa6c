"""Selectors against packet headers (RFC 4301 section 4.4.1), on numbers: no object is made for a packet."""

from __future__ import annotations

from dataclasses import dataclass

from ikescope.esp.packet import Header, number_to_address
from ikescope.events import SelectorFact
from ikescope.policy.ranges import ANY_PORTS, OPAQUE, Range, covers, of_fact
from ikescope.policy.selectors import Selectors


def _holds(side: tuple[Range, ...], version: int, address: int, protocol: int, port: int | None) -> bool:
    for one in side:
        if one.version != version or not one.first <= address <= one.last or one.protocol not in (0, protocol):
            continue
        if one.ports in (ANY_PORTS, OPAQUE) if port is None else one.ports[0] <= port <= one.ports[1]:
            return True
    return False


@dataclass(frozen=True, slots=True)
class SelectorPair:
    """Local and remote selectors of a Child SA: a packet matches if each end of it lies in one of that side's."""

    local: tuple[Range, ...]
    remote: tuple[Range, ...]

    @classmethod
    def of(cls, selectors: Selectors) -> SelectorPair:
        """Compile both sides; ValueError for text that is no address."""
        return cls(tuple(map(of_fact, selectors.local)), tuple(map(of_fact, selectors.remote)))

    def outbound(self, header: Header) -> bool:
        """Whether a packet that leaves matches: its source is local."""
        version, protocol = header.version, header.protocol
        return _holds(self.local, version, header.source, protocol, header.source_port) and _holds(
            self.remote, version, header.destination, protocol, header.destination_port
        )

    def inbound(self, header: Header) -> bool:
        """Whether a packet that arrives matches: its destination is local."""
        version, protocol = header.version, header.protocol
        return _holds(self.local, version, header.destination, protocol, header.destination_port) and _holds(
            self.remote, version, header.source, protocol, header.source_port
        )

    def carries(self, protocol: int) -> bool:
        """Whether both sides admit an IP protocol, whatever the addresses (those of a transport SA change at a NAT)."""
        return all(any(one.protocol in (0, protocol) for one in side) for side in (self.local, self.remote))

    def within(self, other: SelectorPair) -> bool:
        """Whether every selector of this pair lies in one of the other's on the same side."""
        sides = ((self.local, other.local), (self.remote, other.remote))
        return all(any(covers(its, mine) for its in theirs) for ours, theirs in sides for mine in ours)


def selector_of(version: int, address: int, protocol: int, port: int | None) -> SelectorFact:
    """One end of a packet as a selector, as it goes first into TSi or TSr (RFC 7296 section 2.9)."""
    text = str(number_to_address(version, address))
    first, last = ANY_PORTS if port is None else (port, port)
    return SelectorFact(start=text, end=text, protocol=protocol, start_port=first, end_port=last)
