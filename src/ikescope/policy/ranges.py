"""One traffic selector as numbers: a box of addresses, protocol and ports that can be cut with another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, summarize_address_range
from typing import Literal

import msgspec

from ikescope.config.model import Address, Network
from ikescope.events.base import SelectorFact

GRE = 47
ANY_PORTS = (0, 65535)
OPAQUE = (65535, 0)
"""RFC 7296 section 3.13.1: the port cannot be seen; ANY includes it, no range of real ports does."""

PROTOCOL_NAMES: dict[int, str] = {
    1: "ICMP",
    2: "IGMP",
    4: "IPIP",
    6: "TCP",
    17: "UDP",
    41: "IPv6",
    46: "RSVP",
    47: "GRE",
    50: "ESP",
    51: "AH",
    58: "ICMPv6",
    88: "EIGRP",
    89: "OSPF",
    103: "PIM",
    112: "VRRP",
    132: "SCTP",
}


class Range(msgspec.Struct, frozen=True):
    """Addresses `first` to `last` of one IP version as numbers, IP protocol (0 any), ports; all ends included."""

    version: int
    first: int
    last: int
    protocol: int
    ports: tuple[int, int]

    @property
    def size(self) -> int:
        """How much it covers, in (address, protocol, port) triples."""
        ports = 1 if self.ports == OPAQUE else self.ports[1] - self.ports[0] + 1
        return (self.last - self.first + 1) * (1 if self.protocol else 256) * ports

    def holds(self, address: Address, protocol: int, port: int | None) -> bool:
        """Whether a packet's address, protocol and port (None: not to be seen) lie within."""
        if self.version != address.version or not self.first <= int(address) <= self.last:
            return False
        if self.protocol not in (0, protocol):
            return False
        if port is None:
            return self.ports in (ANY_PORTS, OPAQUE)
        return self.ports[0] <= port <= self.ports[1]


@lru_cache(maxsize=1024)  # the same few selectors come with every negotiation
def of_fact(fact: SelectorFact) -> Range:
    """A selector as numbers; ValueError where its addresses are none."""
    first, last = ip_address(fact.start), ip_address(fact.end)
    return Range(first.version, int(first), int(last), fact.protocol, (fact.start_port, fact.end_port))


def of_network(network: Network, protocol: int, ports: tuple[int, int]) -> Range:
    """A whole network as numbers."""
    first, last = int(network.network_address), int(network.broadcast_address)
    return Range(network.version, first, last, protocol, ports)


@lru_cache(maxsize=1024)
def to_fact(one: Range) -> SelectorFact:
    """The selector of a range."""
    family = IPv4Address if one.version == 4 else IPv6Address
    return SelectorFact(str(family(one.first)), str(family(one.last)), one.protocol, *one.ports)


def _common_ports(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int] | None:
    if one in (ANY_PORTS, other):
        return other
    if other == ANY_PORTS:
        return one
    if OPAQUE in (one, other):
        return None
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def overlap(one: Range, other: Range) -> Range | None:
    """What two selectors have in common, None for nothing."""
    if one.version != other.version or (one.protocol and other.protocol and one.protocol != other.protocol):
        return None
    first, last = max(one.first, other.first), min(one.last, other.last)
    ports = _common_ports(one.ports, other.ports)
    if first > last or ports is None:
        return None
    return Range(one.version, first, last, one.protocol or other.protocol, ports)


def covers(outer: Range, inner: Range) -> bool:
    """Whether all of `inner` lies in `outer`."""
    return overlap(outer, inner) == inner


def maximal(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Those that no other of them covers, each once, in their order."""
    distinct = list(dict.fromkeys(ranges))
    return tuple(one for one in distinct if not any(covers(other, one) for other in distinct if other is not one))


def closeness(proposed: Sequence[Range], own: Sequence[Range]) -> int:
    """How far the closest two of two lists agree: 0 in nothing, 1 family, 2 addresses, 3 protocol, 4 they overlap."""
    return max((_agreement(theirs, mine) for theirs in proposed for mine in own), default=0)


Part = Literal["address family", "addresses", "protocol", "ports"]
"""What two selectors without anything in common part in, the widest first."""


def parting(proposed: Sequence[Range], own: Sequence[Range]) -> tuple[Part, Range, Range] | None:
    """What the closest two of two disjoint lists part in, and the two; None where a list is empty."""
    pairs = ((theirs, mine) for theirs in proposed for mine in own)
    closest = max(pairs, key=lambda pair: _agreement(*pair), default=None)
    return None if closest is None else (_PARTS[_agreement(*closest)], *closest)


def parting_text(proposed: Sequence[Range], own: Sequence[Range]) -> str:
    """`parting` in words."""
    found = parting(proposed, own)
    if found is None:
        return f"had {_list(proposed)}, wanted {_list(own)}"
    part, theirs, mine = found
    return f"{part} had {text(to_fact(theirs))}, wanted {text(to_fact(mine))}"


_PARTS: tuple[Part, ...] = ("address family", "addresses", "protocol", "ports")


def _agreement(one: Range, other: Range) -> int:
    if one.version != other.version:
        return 0
    if max(one.first, other.first) > min(one.last, other.last):
        return 1
    if one.protocol and other.protocol and one.protocol != other.protocol:
        return 2
    return 3 if _common_ports(one.ports, other.ports) is None else 4


def _list(ranges: Iterable[Range]) -> str:
    return ", ".join(text(to_fact(one)) for one in ranges) or "none"


def text(fact: SelectorFact) -> str:
    """A selector for people: `10.1.0.0/24`, `host 192.0.2.1 protocol 47 (GRE)`, `10.0.0.5-10.0.0.9 port 500`."""
    first, last = ip_address(fact.start), ip_address(fact.end)
    words = [_addresses(first, last)]
    if fact.protocol:
        name = PROTOCOL_NAMES.get(fact.protocol)
        words.append(f"protocol {fact.protocol}" + (f" ({name})" if name else ""))
    ports = (fact.start_port, fact.end_port)
    if ports == OPAQUE:
        words.append("ports OPAQUE")
    elif ports != ANY_PORTS:
        words.append(f"port {ports[0]}" if ports[0] == ports[1] else f"ports {ports[0]}-{ports[1]}")
    return " ".join(words)


def _addresses(first: Address, last: Address) -> str:
    if first == last:
        return f"host {first}"
    networks: list[Network] = []
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address) and first < last:
        networks += summarize_address_range(first, last)
    if isinstance(first, IPv6Address) and isinstance(last, IPv6Address) and first < last:
        networks += summarize_address_range(first, last)
    return str(networks[0]) if len(networks) == 1 else f"{first}-{last}"
