"""The data path of a router without any I/O: packets and commands in, packets, reports and events out.

A packet that routing put on a tunnel leaves protected, waits for its SA, or is dropped and counted: nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ikescope.config.model import Address
from ikescope.engine import commands
from ikescope.engine.commands import Command, Destination
from ikescope.esp import gre
from ikescope.esp.departure import LEAD_LIMIT, NEXT_HEADERS, Departure
from ikescope.esp.drops import Drops, compared
from ikescope.esp.ecn import NOT_ECT, EcnError, class_of, ecn_of, inward
from ikescope.esp.icmp import must_fit
from ikescope.esp.packet import (
    GRE,
    NO_NEXT_HEADER,
    Header,
    PacketError,
    number_to_address,
    read_header,
)
from ikescope.esp.sa import EspError, InboundSa, Opened, OutboundSa, wrong_keys
from ikescope.esp.selector import SelectorPair, selector_of
from ikescope.esp.standing import Output, Standing, ToTunnel, ToWire
from ikescope.esp.tunnel import ACQUIRE_AGAIN, ACQUIRE_SPACING, HELD_LIMIT, TunnelPath, TunnelState
from ikescope.events.router import EspInstalled, EspRemoved, EspSwitched, PacketsHeld, PacketsReleased, PlaneFailed
from ikescope.policy.selectors import Selectors

__all__ = ["Forwarder", "Output", "ToTunnel", "ToWire"]

REPORT_SPACING = 1.0
EARLY, EARLY_OCTETS, EARLY_SECONDS = 64, 2048, 0.5
"""Packets of no SA that are kept, how long one may be, and for how long: their SA may be on its way to us."""
_NO_FACTS: Mapping[str, object] = {}


def _ends(header: Header) -> tuple[str, str]:
    """Source and destination as text."""
    version = header.version
    return str(number_to_address(version, header.source)), str(number_to_address(version, header.destination))


class Forwarder(Standing):
    """Every ESP SA of a router and the tunnels that they carry. `random` gives octets: `random(2)`."""

    def __init__(self, tunnels: Sequence[TunnelPath], random: Callable[[int], bytes]) -> None:
        super().__init__(tunnels)
        self._identification = int.from_bytes(random(2), "big")
        self._drops = Drops()
        self._early: deque[tuple[float, int, bytes, Address, Address, bool, int, int]] = deque(maxlen=EARLY)

    @property
    def drops(self) -> dict[str, int]:
        """How many packets were discarded, by reason."""
        return dict(self._drops.by_reason)

    # --- commands

    def execute(self, command: Command, now: float) -> None:
        """Carry a command out; those that are not about ESP are somebody else's and do nothing here."""
        match command:
            case commands.InstallSa():
                self._install(command)
                if command.direction == "in" and self._early:
                    self._take_early(command.spi, now)
            case commands.SwitchOutbound():
                self._switch(command, now)
            case commands.RemoveSa():
                self._remove(command, now)
            case commands.ReleaseHeld():
                self._release(command)
            case commands.UpdatePath():
                self._update_path(command)

    def _install(self, command: commands.InstallSa) -> None:
        why = self._refusal(command)
        if why:
            self._outputs.append(commands.Refused(spi=command.spi, direction=command.direction, why=why))
            return
        state = self._tunnels[command.tunnel]
        selectors = SelectorPair.of(Selectors(command.local, command.remote))
        index = state.entry_of(selectors)
        if command.direction == "in":
            self._inbound[command.spi] = InboundSa(command, selectors, index)
        else:
            sa = self._outbound[command.tunnel, command.spi] = OutboundSa(command, selectors, index)
            sa.largest = state.largest(command, sa.suite, transport=sa.transport)
        self._outputs.append(EspInstalled(spi=f"{command.spi:08x}", direction=command.direction, tunnel=command.tunnel))

    def _take_early(self, spi: int, now: float) -> None:
        """Packets of an SA that came before it: a responder sends as soon as its response has left."""
        waiting = [one for one in self._early if one[1] == spi]
        if not waiting:
            return
        self._early = deque((one for one in self._early if one[1] != spi), EARLY)
        for came, _, esp, local, remote, udp, port, ecn in waiting:
            if now - came <= EARLY_SECONDS:
                self.from_wire(esp, local, remote, now, udp=udp, remote_port=port, ecn=ecn)

    def _refusal(self, command: commands.InstallSa) -> str:
        if command.tunnel not in self._tunnels:
            return f"no tunnel {command.tunnel} here"
        known = self._inbound if command.direction == "in" else self._outbound
        key = command.spi if command.direction == "in" else (command.tunnel, command.spi)
        if key in known:
            return f"SPI {command.spi:08x} is installed already"
        ##= rfc4303#section-2.1
        ##% The SPI value of zero (0) is reserved for local, implementation-
        ##% specific use and MUST NOT be sent on the wire.
        if not 255 < command.spi < 1 << 32:
            return f"SPI: had {command.spi}, wanted 256 to 4294967295"
        return wrong_keys(command)

    def _switch(self, command: commands.SwitchOutbound, now: float) -> None:
        sa = self._outbound.get((command.tunnel, command.spi))
        if sa is None:
            what = f"switch {command.tunnel} to outbound SPI {command.spi:08x}"
            self._outputs.append(PlaneFailed(what=what, why="that SA is not installed"))
            return
        state = self._tunnels[command.tunnel]
        state.carriers = [sa, *(other for other in state.carriers if other is not sa)]
        self._outputs.append(EspSwitched(spi=f"{sa.spi:08x}", tunnel=sa.tunnel))
        state.forget_asking(sa.index)
        waiting, state.held = state.held, []
        sent = 0
        for index, packet in waiting:
            header = state.outer if state.path.gre else read_header(packet)
            carrier = state.carrier(index, header)
            if carrier is None:
                state.held.append((index, packet))
                continue
            sent += self._send(state, carrier, packet, now)
        if waiting and len(state.held) < len(waiting):
            self._outputs.append(PacketsReleased(tunnel=command.tunnel, sent=sent))
        if not state.held:
            state.overflow = 0

    def _remove(self, command: commands.RemoveSa, now: float) -> None:
        sa: InboundSa | OutboundSa | None
        if command.direction == "in":
            sa = self._inbound.pop(command.spi, None)
        else:
            sa = self._outbound.pop((command.tunnel, command.spi), None)
        if sa is None:
            return
        state = self._tunnels[sa.tunnel]
        state.carriers = [other for other in state.carriers if other is not sa]
        self._tell_traffic(sa, now)
        self._outputs.append(
            EspRemoved(spi=f"{sa.spi:08x}", direction=sa.direction, packets=sa.packets, octets=sa.octets)
        )

    def _release(self, command: commands.ReleaseHeld) -> None:
        state = self._tunnels.get(command.tunnel)
        if state is None:
            return
        lost = len(state.held) + state.overflow
        state.held.clear()
        state.overflow = 0
        state.ask_from = {
            index: min(until, until - ACQUIRE_AGAIN + ACQUIRE_SPACING) for index, until in state.ask_from.items()
        }
        if lost:
            self._outputs.append(PacketsHeld(tunnel=command.tunnel, held=0, dropped=lost, why=command.reason))

    def _update_path(self, command: commands.UpdatePath) -> None:
        ours = [sa for sa in self._all() if sa.tunnel == command.tunnel]
        reqids = {sa.reqid for sa in ours if sa.spi == command.spi}
        for sa in ours:
            if sa.reqid in reqids:
                sa.path, sa.udp = command.path, command.udp
                if isinstance(sa, OutboundSa):
                    sa.largest = self._tunnels[sa.tunnel].largest(command, sa.suite, transport=sa.transport)
                else:
                    sa.moved_to = None

    # --- from the tunnel to the wire

    def from_tunnel(self, tunnel: str, packet: bytes, now: float) -> None:
        """Take an inner IP packet that routing put on the tunnel."""
        state = self._tunnels[tunnel]
        try:
            header = read_header(packet)
        except PacketError:
            self._drop("no IP packet from the tunnel device", now)
            return
        if header.version == 6 and not state.path.ipv6:
            self._drop("IPv6 is off on this tunnel", now, ends=_ends(header))
            return
        packet = packet[: header.total]
        index, carrier = state.way(header)
        if carrier is not None:
            self._send(state, carrier, packet, now)
        elif index is None:
            self._drop("no selector of the tunnel covers the packet", now, ends=_ends(header))
        else:
            self._hold(state, index, header, packet, now)

    def _hold(self, state: TunnelState, index: int, header: Header, packet: bytes, now: float) -> None:
        """Keep the packet until an SA carries it, and ask for that SA once while it is pending."""
        name = state.path.name
        if len(state.held) < HELD_LIMIT:
            state.held.append((index, packet))
            if len(state.held) == 1:
                self._outputs.append(PacketsHeld(tunnel=name, held=1, dropped=0))
        else:
            state.overflow += 1
            self._drops.by_reason["held queue full"] = self._drops.by_reason.get("held queue full", 0) + 1
            if state.overflow == 1:
                self._outputs.append(PacketsHeld(tunnel=name, held=HELD_LIMIT, dropped=1))
        self._acquire(state, index, header, now)

    def _acquire(self, state: TunnelState, index: int, header: Header, now: float) -> None:
        """Ask for an SA for a packet, unless that was done a while ago and is still pending."""
        if now < state.ask_from.get(index, now):
            return
        state.ask_from[index] = now + ACQUIRE_AGAIN
        shown = state.outer if state.path.gre else header
        source, destination = _ends(header)
        self._outputs.append(
            commands.Acquire(
                tunnel=state.path.name,
                index=index,
                packet=(
                    selector_of(shown.version, shown.source, shown.protocol, shown.source_port),
                    selector_of(shown.version, shown.destination, shown.protocol, shown.destination_port),
                ),
                inner_source=source,
                inner_destination=destination,
                inner_protocol=header.protocol,
            )
        )

    def _send(self, state: TunnelState, sa: OutboundSa, packet: bytes, now: float) -> bool:
        """Seal one packet; whether it left."""
        if sa.exhausted:
            sa.dropped += 1
            self._drop("the SA reached its limit by traffic", now, sa=sa)
            return False
        leaving, version, ecn = Departure(sa, state.path), packet[0] >> 4, class_of(packet)
        if sa.transport and not state.path.gre:
            sa.dropped += 1
            self._drop("transport mode carries only what has the tunnel's own addresses", now, sa=sa)
            return False
        if len(packet) > sa.largest and must_fit(packet):
            self._too_large(state, sa, packet, now)
            return False
        identification, df = self.identify(1) if leaving.numbered else 0, leaving.df(packet)
        packet = leaving.prefix(version, len(packet), ecn, identification) + packet
        next_header = leaving.next_header(version)
        self._outputs.append(ToWire(sa.seal(packet, next_header, now), sa.path, sa.udp, ecn, df))
        self._after(sa, now)
        return True

    def _too_large(self, state: TunnelState, sa: OutboundSa, packet: bytes, now: float) -> None:
        """Drop a packet that nobody may fragment; who sent it is told how large it may be (RFC 4301 section 8.2)."""
        sa.dropped += 1
        self._drop("too large for the tunnel, and it may not be fragmented", now, sa=sa)
        self._outputs += [ToTunnel(state.path.name, told) for told in state.answers(packet, sa.largest, now)]

    # --- from the wire to the tunnel

    def from_wire(
        self,
        esp: bytes,
        local: Address,
        remote: Address,
        now: float,
        *,
        udp: bool = False,
        remote_port: int = 0,
        ecn: int = NOT_ECT,
    ) -> None:
        """Take an ESP packet, from its SPI on, as it came from `remote` (in UDP from that port, or by itself).

        Whether it came in UDP is not compared with the SA. `ecn`: the two bits of the IP header before it.
        """
        ##= rfc7296#section-2.23
        ##% Implementations MUST process received UDP-encapsulated ESP packets
        ##% even when no NAT was detected.
        if len(esp) < 8:
            self._drop("too short for ESP", now, ends=(str(remote), str(local)))
            return
        spi = int.from_bytes(esp[:4], "big")
        sa = self._inbound.get(spi)
        if sa is None:
            self._drop("no SA has this SPI", now, spi=spi, ends=(str(remote), str(local)))
            if len(esp) <= EARLY_OCTETS:
                self._early.append((now, spi, bytes(esp), local, remote, udp, remote_port, ecn))
            return
        if sa.exhausted:
            sa.dropped += 1
            self._drop("the SA reached its limit by traffic", now, sa=sa, ends=(str(remote), str(local)))
            return
        port = remote_port if udp else None
        self._arrive(sa, lambda: sa.open(esp), local, remote, port, now, ecn)

    def _arrive(
        self,
        sa: InboundSa,
        unseal: Callable[[], Opened],
        local: Address,
        remote: Address,
        port: int | None,
        now: float,
        ecn: int,
    ) -> None:
        try:
            opened = unseal()
            packet = self._inner(self._tunnels[sa.tunnel], sa, opened, ecn)
        except (EspError, PacketError, gre.GreError, EcnError) as error:
            sa.dropped += 1
            self._drop(str(error), now, sa=sa, ends=(str(remote), str(local)), facts=error.facts)
            return
        sa.count(len(opened.payload), now)
        if opened.newest:
            self._watch_path(sa, remote, port)
        if packet:
            self._outputs.append(ToTunnel(sa.tunnel, packet))
        self._after(sa, now)

    @staticmethod
    def _inner(state: TunnelState, sa: InboundSa, opened: Opened, ecn: int) -> bytes:
        """The packet for the tunnel device, checked against the SA's selectors; empty for a dummy packet."""
        payload, is_gre = opened.payload, state.path.gre
        if opened.next_header == NO_NEXT_HEADER:
            return b""
        if sa.transport:
            if opened.next_header != GRE or not is_gre or not sa.selectors.carries(GRE):
                raise EspError("inner packet does not match the SA's selectors")
            packet = gre.decapsulate(payload)
        else:
            header = read_header(payload)
            ##= rfc4301#section-5.2
            ##% If an IPsec system receives an inbound packet on an SA and the
            ##% packet's header fields are not consistent with the selectors for
            ##% the SA, it MUST discard the packet.
            if NEXT_HEADERS[header.version] != opened.next_header or not sa.selectors.inbound(header):
                raise EspError("inner packet does not match the SA's selectors", found=header, wanted=sa.selectors)
            packet = payload[: header.total]
            if is_gre:
                if header.protocol != GRE or header.fragment:
                    raise EspError("inner packet is no whole GRE packet")
                packet, ecn = gre.decapsulate(packet[header.octets :]), ecn_of(inward(packet, ecn))
        if is_gre:
            packet = packet[: read_header(packet).total]
        if packet[0] >> 4 == 6 and not state.path.ipv6:
            raise EspError("IPv6 is off on this tunnel")
        return inward(packet, ecn)

    def _watch_path(self, sa: InboundSa, remote: Address, remote_port: int | None) -> None:
        """Report once that a verified, newest packet came by another path than the SA's."""
        port = sa.path.remote_port if remote_port is None else remote_port
        if (remote, port) == (sa.path.remote, sa.path.remote_port):
            return
        path = Destination(sa.path.local, sa.path.local_port, remote, port)
        if path != sa.moved_to:
            sa.moved_to = path
            self._outputs.append(commands.PeerMoved(spi=sa.spi, path=path))

    # --- runs: many packets at once, by the planes that know how

    def departure(self, tunnel: str, header: Header, packets: int, octets: int) -> Departure | None:
        """How packets with this header, each of at most so many octets, leave; None where they are to go one by one
        through `from_tunnel`: without an SA, without room under its limits for all of them, not to be carried.
        """
        state = self._tunnels[tunnel]
        _, sa = state.way(header)
        if sa is None or octets > sa.largest or not sa.room(packets, packets * (octets + LEAD_LIMIT)):
            return None
        allowed = (header.version == 4 or state.path.ipv6) and (state.path.gre or not sa.transport)
        return Departure(sa, state.path) if allowed else None

    def identify(self, packets: int) -> int:
        """The identification of the first of so many IP headers before GRE; the others follow it."""
        first = self._identification + 1
        self._identification += packets
        return first

    def departed(self, sa: OutboundSa, now: float) -> None:
        """A run of an SA was sealed and sent."""
        self._after(sa, now)

    def arrival(self, spi: int, packets: int, octets: int) -> tuple[InboundSa, TunnelPath] | None:
        """The SA that opens a run, and its tunnel; None where packets are to go one by one through `from_wire`."""
        sa = self._inbound.get(spi)
        if sa is None or not sa.room(packets, octets):
            return None
        return sa, self._tunnels[sa.tunnel].path

    def opened(
        self,
        sa: InboundSa,
        plaintext: bytes,
        local: Address,
        remote: Address,
        port: int | None,
        now: float,
        ecn: int,
    ) -> None:
        """Take one packet of a run: it was verified, its number accepted; nothing else of it was looked at."""
        self._arrive(sa, lambda: sa.unpad(plaintext, True), local, remote, port, now, ecn)

    def arrived(self, sa: InboundSa, remote: Address, port: int | None, now: float) -> None:
        """A run was delivered; its SA has counted it. `port`: of the UDP header around it, if there was one."""
        self._watch_path(sa, remote, port)
        self._after(sa, now)

    # --- what is told

    def drop(self, reason: str, now: float) -> None:
        """Count a packet that was lost behind this data path (a device or socket refused it)."""
        self._drop(reason, now)

    def tick(self, now: float) -> None:
        """Tell what has gathered and ask again for packets that still wait; to be called about every second."""
        for sa in self._all():
            self._tell_traffic(sa, now)
        for state in self._tunnels.values():
            for index, packet in dict(reversed(state.held)).items():
                self._acquire(state, index, read_header(packet), now)
        self._outputs.extend(self._drops.due(now))

    def _after(self, sa: InboundSa | OutboundSa, now: float) -> None:
        """A packet passed: its limits, and a Traffic report if the last is a second old."""
        if sa.exhausted:
            self._outputs.append(commands.Expired(spi=sa.spi, direction=sa.direction, hard=True))
        elif sa.soft_due:
            self._outputs.append(commands.Expired(spi=sa.spi, direction=sa.direction, hard=False))
        if sa.reported_at is None or now - sa.reported_at >= REPORT_SPACING:
            self._tell_traffic(sa, now)

    def _drop(
        self,
        reason: str,
        now: float,
        *,
        sa: InboundSa | OutboundSa | None = None,
        spi: int = 0,
        ends: tuple[str, str] | None = None,
        facts: Mapping[str, object] = _NO_FACTS,
    ) -> None:
        if sa is not None:
            spi = sa.spi
            ends = ends or (str(sa.path.local), str(sa.path.remote))
        source, destination = ends or ("", "")
        event = self._drops.add(reason, spi, sa is not None, source, destination, now)
        if event is not None:
            self._outputs.append(compared(event, facts) if facts else event)
