"""A tunnel interface as the data path sees it, and the packets that wait for its SA."""

from __future__ import annotations

from dataclasses import dataclass, field

from ikescope.config.model import Address, DfBit, TunnelMode
from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import InstallSa, UpdatePath
from ikescope.esp.icmp import too_big
from ikescope.esp.mtu import tunnel_mtu
from ikescope.esp.packet import GRE, Header
from ikescope.esp.sa import OutboundSa
from ikescope.esp.selector import SelectorPair
from ikescope.policy.selectors import Selectors

HELD_LIMIT = 64
ACQUIRE_AGAIN = 10.0  # seconds without an answer
ICMP_SPACING = 0.02  # seconds at least between two ICMP errors of a tunnel (RFC 1812 section 4.3.2.8)
ACQUIRE_SPACING = 1.0  # seconds at least between two requests, also after a failed negotiation

FLOWS = 1024  # of a tunnel, whose ways are kept

_Flow = tuple[int, int, int, int, int | None, int | None]
_Way = tuple[int | None, OutboundSa | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TunnelPath:
    """What of a tunnel decides the way of its packets.

    `selectors` are (local, remote) pairs by index; those of a GRE tunnel speak of the outer pair, protocol 47. `ttl` is
    that of the IP header before GRE in ESP tunnel mode. Without `ipv6`, IPv6 is dropped both ways and starts no IKE.
    `path_mtu` is that of the way to the peer, `addresses` are the interface's own: packets too large are answered
    from there.
    """

    name: str
    mode: TunnelMode
    source: Address
    destination: Address
    selectors: tuple[Selectors, ...]
    mtu: int = 1400
    ttl: int = 255
    ipv6: bool = False
    path_mtu: int = 1500
    addresses: tuple[Address, ...] = ()
    df: DfBit = "copy"

    gre: bool = field(init=False, repr=False, compare=False)
    """Whether packets travel in GRE."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "gre", self.mode.startswith("gre"))

    def leads_elsewhere(self, other: TunnelPath) -> bool:
        """Whether no SA of this tunnel carries the other's packets: other ends, or another mode."""
        ends = self.source, self.destination, self.mode
        return ends != (other.source, other.destination, other.mode)


class TunnelState:
    """The tunnel's SPD entries, the SAs that carry it (newest first) and the packets held (index, packet, octets)."""

    def __init__(self, path: TunnelPath) -> None:
        self.path = path
        self.entries = tuple(SelectorPair.of(each) for each in path.selectors)
        self.outer = Header(
            path.source.version, int(path.source), int(path.destination), GRE, None, None, 20, 20, fragment=False
        )
        self.carriers: list[OutboundSa] = []
        self._ways: tuple[list[OutboundSa], dict[_Flow, _Way]] = (self.carriers, {})
        self._spread: tuple[list[OutboundSa], dict[int, list[OutboundSa]]] = ([], {})
        self.held: list[tuple[int, bytes]] = []
        self.overflow = 0
        self.answered = -ICMP_SPACING
        self.ask_from: dict[int, float] = {}  # by index: not to ask for an SA before this time

    def answers(self, packet: bytes, mtu: int, now: float) -> list[bytes]:
        """The ICMP error for a packet that is too large for an SA; none where none is due, or one just went out."""
        if now - self.answered < ICMP_SPACING:
            return []
        told = too_big(packet, mtu, (*self.path.addresses, self.path.source))
        if not told:
            return []
        self.answered = now
        return [told]

    def largest(self, command: InstallSa | UpdatePath | OutboundSa, suite: EspSuite, *, transport: bool) -> int:
        """The largest inner packet that an SA carries in one packet of the path's MTU, in octets."""
        path, ipv6 = self.path, command.path.remote.version == 6
        return tunnel_mtu(path.path_mtu, suite, udp=command.udp, gre=path.gre, transport=transport, ipv6=ipv6)

    def entry_of(self, selectors: SelectorPair) -> int | None:
        """The index of the entry that negotiated selectors belong to: the first that covers them."""
        return next((number for number, entry in enumerate(self.entries) if selectors.within(entry)), None)

    def way(self, header: Header) -> _Way:
        """`match` and `carrier` of a packet; those of a flow are kept as long as the SAs are the same."""
        carriers, ways = self._ways
        if carriers is not self.carriers:
            self._ways = self.carriers, (ways := {})
        ports = header.source_port, header.destination_port
        flow = header.version, header.source, header.destination, header.protocol, *ports
        found = ways.get(flow)
        if found is None:
            index = self.match(header)
            if len(ways) >= FLOWS:
                ways.clear()
            found = ways[flow] = index, self.carrier(index, header)
        return found

    def match(self, header: Header) -> int | None:
        """The first entry that a packet matches (RFC 4301 section 4.4.1: the SPD is ordered)."""
        if self.path.gre:
            return 0 if self.entries else None
        return next((number for number, entry in enumerate(self.entries) if entry.outbound(header)), None)

    def carrier(self, index: int | None, header: Header) -> OutboundSa | None:
        """The newest switched SA for a packet of that entry; an SA that belongs to no entry carries what it matches.

        Where there are others like it for other resources, each carries its share of the flows (RFC 9611).
        """
        for sa in self.carriers:
            if self.path.gre:
                if sa.selectors.carries(GRE):
                    return sa if sa.resource is None else self._of_flow(sa, header)
            elif sa.index in (None, index) and sa.selectors.outbound(header):
                return sa if sa.resource is None else self._of_flow(sa, header)
        return None

    def _of_flow(self, sa: OutboundSa, header: Header) -> OutboundSa:
        """The SA of a packet's flow among those like `sa`."""
        carriers, alike = self._spread
        if carriers is not self.carriers:
            self._spread = self.carriers, (alike := {})
        group = alike.get(sa.spi)
        if group is None:
            newest: dict[int, OutboundSa] = {}
            for other in self.carriers:
                if other.resource is not None and other.selectors == sa.selectors:
                    newest.setdefault(other.resource, other)
            group = alike[sa.spi] = [newest[number] for number in sorted(newest)]
        if len(group) == 1:
            return sa
        ports = header.source_port or 0, header.destination_port or 0
        return group[hash((header.source, header.destination, header.protocol, *ports)) % len(group)]

    def forget_asking(self, index: int | None) -> None:
        """An SA of that entry is there (None: of all): should it go, the next packet asks at once."""
        self.ask_from = {} if index is None else {at: when for at, when in self.ask_from.items() if at != index}
