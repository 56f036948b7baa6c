"""Which policies the kernel has to hold for a router's tunnels and the ESP SAs that carry them; changes nothing.

What is ours bears numbers of a block of our own: reqids and interface numbers `BLOCK | slot << 16 | n`, one slot a
running router. A tunnel's policies stand as long as it is configured. Where no SA carries a packet, its policy asks for
one and the kernel lets nothing through meanwhile. An SA that is switched to gets policies of its own before those, by
a reqid that no other outbound SA has: so the change is one message, and nothing falls between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ikescope.config.model import Address
from ikescope.engine.commands import Destination, InstallSa
from ikescope.esp.packet import GRE
from ikescope.esp.selector import SelectorPair
from ikescope.esp.tunnel import TunnelPath, TunnelState
from ikescope.planes.xfrm_policy import Direction, Policy, PolicyKey, Template, outer, selectors
from ikescope.planes.xfrm_wire import AF_INET, Mode, Selector, family_of
from ikescope.policy.ranges import Range
from ikescope.policy.selectors import Selectors

BLOCK = 0x6B000000
SLOTS = 256
_SLOT_BITS = 16
NUMBERS = 1 << _SLOT_BITS
"""In a slot. The first reserves SPIs, those after it are the entries' of all tunnels, the others the outbound SAs'."""
PRIORITY_STEP = 2048
"""Between the entries of a tunnel. Within one the narrower selector comes first, what asks for an SA last."""
MOST_POLICIES = 1024
"""Of one Child SA or of one entry of a tunnel: ranges that make more are refused."""


def ours(number: int) -> int | None:
    """The slot that a reqid or an interface number belongs to, None for somebody else's."""
    return number >> _SLOT_BITS & 0xFF if number & 0xFF000000 == BLOCK else None


def first_of(slot: int) -> int:
    """The slot's first number."""
    return BLOCK | slot << _SLOT_BITS


def numbered(paths: Iterable[TunnelPath], slot: int) -> tuple[dict[str, KernelTunnel], int]:
    """The tunnels by name, each with numbers of its own, and the first number that is left for outbound SAs."""
    found, number = {}, first_of(slot) + 1
    for path in paths:
        found[path.name] = tunnel = KernelTunnel(path, number)
        number += max(1, len(tunnel.entries))
    return found, number


@dataclass(frozen=True, slots=True)
class Sa:
    """An installed ESP SA as policies need it; `index` is the entry of its tunnel, None where it is within none.

    `selectors` are the kernel's, of the SA's packets.
    """

    command: InstallSa
    path: Destination
    udp: bool
    reqid: int
    index: int | None
    selectors: tuple[Selector, ...]

    @property
    def mode(self) -> Mode:
        """What its ESP wraps."""
        return Mode.TRANSPORT if self.command.transport else Mode.TUNNEL

    @property
    def remote(self) -> Address:
        """Where the state's packets go."""
        return self.path.remote if self.command.direction == "out" else self.path.local


class KernelTunnel:
    """A tunnel, its entries, and the SAs in their order: outbound ones newest first, those switched to alone."""

    def __init__(self, path: TunnelPath, first: int) -> None:
        """`first`: the number of its first entry, and of its XFRM interface."""
        self.path = path
        self._state = TunnelState(path)
        self.entries: tuple[SelectorPair, ...] = self._state.entries
        self.numbers: tuple[int, ...] = tuple(range(first, first + max(1, len(self.entries))))
        self.interface = 0 if path.gre else first
        self.inbound: list[Sa] = []
        self.carriers: list[Sa] = []
        self.remote = path.destination

    def entry_of(self, command: InstallSa) -> int | None:
        """The index of the entry that an SA's selectors belong to."""
        return self._state.entry_of(SelectorPair.of(Selectors(command.local, command.remote)))

    def reqid(self, index: int | None) -> int:
        """That of an entry's inbound SAs, and of what waits for an SA."""
        return self.numbers[index or 0]

    def index_of(self, reqid: int) -> int | None:
        """The entry whose packets wait under that number, None for none."""
        return self.numbers.index(reqid) if reqid in self.numbers and self.entries else None

    def follow(self, path: TunnelPath, fresh: Sequence[int]) -> None:
        """Go on with other selectors: an entry that was there keeps its number, another takes one of `fresh`."""
        known, more = dict(zip(self.entries, self.numbers, strict=False)), iter(fresh)
        self.path, self._state = path, TunnelState(path)
        self.entries = self._state.entries
        numbers: list[int] = []
        for entry in self.entries:
            kept = known.get(entry)
            numbers.append(next(more) if kept is None or kept in numbers else kept)
        self.numbers = tuple(numbers) or self.numbers[:1]

    def wanted(self) -> dict[PolicyKey, Policy]:
        """The policies that the tunnel needs now."""
        return self._gre() if self.path.gre else self._ipsec()

    # --- GRE: the policies speak of the packets between the two ends

    def _gre(self) -> dict[PolicyKey, Policy]:
        out = PolicyKey(Direction.OUT, outer(self.path.source, self.remote, GRE))
        into = PolicyKey(Direction.IN, outer(self.remote, self.path.source, GRE))
        sa = next(iter(self.carriers), None)
        leaving = self._waiting(0, Mode.TRANSPORT) if sa is None else _template(sa)
        mode = self.inbound[0].mode if self.inbound else Mode.TRANSPORT
        return {
            out: Policy(PRIORITY_STEP, leaving),
            into: Policy(PRIORITY_STEP, self._arriving(0, mode)),
        }

    # --- IPsec: the policies speak of the packets inside, and of the tunnel's XFRM interface

    def _ipsec(self) -> dict[PolicyKey, Policy]:
        found: dict[PolicyKey, Policy] = {}
        for sa in self.carriers:
            template = _template(sa)
            for selector in sa.selectors:
                policy = Policy(self._priority(sa.index, _breadth(selector)), template)
                found.setdefault(PolicyKey(Direction.OUT, selector, self.interface), policy)
        for index, entry in enumerate(self.entries):
            policy = Policy(self._priority(index, PRIORITY_STEP - 1), self._waiting(index, Mode.TUNNEL))
            for selector in _leaving((entry.local, entry.remote)):
                found.setdefault(PolicyKey(Direction.OUT, selector, self.interface), policy)
        for sa in self.inbound:
            template = Template(sa.reqid, sa.mode, None, None, family=family_of(self.path.source))
            for selector in sa.selectors:
                policy = Policy(self._priority(sa.index, _breadth(selector)), template)
                for direction in (Direction.IN, Direction.FORWARD):
                    found.setdefault(PolicyKey(direction, selector, self.interface), policy)
        return found

    @staticmethod
    def _priority(index: int | None, rank: int) -> int:
        return ((index or 0) + 1) * PRIORITY_STEP + rank

    def _waiting(self, index: int, mode: Mode) -> Template:
        """The template that no state has: a packet that meets it starts a negotiation, and does not leave."""
        ends = (self.path.source, self.remote)
        return Template(self.reqid(index), mode, *ends, family=family_of(self.path.source))

    def _arriving(self, index: int | None, mode: Mode) -> Template:
        """The template of what must have come by one of an entry's inbound SAs, from wherever the peer is now."""
        return Template(self.reqid(index), mode, None, None, family=family_of(self.path.source))


def _breadth(selector: Selector) -> int:
    """How much a selector leaves open, less than PRIORITY_STEP - 1: addresses count most, then protocol, then ports."""
    bits = 32 if selector.family == AF_INET else 128
    open_bits = 2 * bits - selector.source_prefix - selector.destination_prefix
    ports = sum(mask == 0 for _, mask in (selector.source_port, selector.destination_port))
    return open_bits * 6 + (3 if selector.protocol == 0 else 0) + ports


def _template(sa: Sa) -> Template:
    return Template(sa.reqid, sa.mode, sa.path.local, sa.path.remote, family=family_of(sa.path.local))


def _leaving(sides: tuple[Sequence[Range], Sequence[Range]]) -> Iterator[Selector]:
    local, remote = sides
    return (one for near in local for far in remote for one in selectors(near, far))


def _arriving(sides: tuple[Sequence[Range], Sequence[Range]]) -> Iterator[Selector]:
    local, remote = sides
    return (one for near in local for far in remote for one in selectors(far, near))


def selectors_of(command: InstallSa) -> tuple[Selector, ...]:
    """The kernel's selectors of an SA's packets; no more than one beyond MOST_POLICIES of them."""
    pair = SelectorPair.of(Selectors(command.local, command.remote))
    sides = (pair.local, pair.remote)
    return tuple(islice(_arriving(sides) if command.direction == "in" else _leaving(sides), MOST_POLICIES + 1))


def sole(command: InstallSa) -> Selector | None:
    """The one selector that says all of an SA's; None where it takes more.

    A state holds at most one; the kernel then refuses what does not match it (RFC 4301 section 5.2).
    """
    found = () if command.transport else selectors_of(command)
    return found[0] if len(found) == 1 else None
