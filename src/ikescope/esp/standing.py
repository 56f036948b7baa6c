"""Which tunnels a data path has now, and the ESP SAs that carry them: any of them may come, change and go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ikescope.engine import commands
from ikescope.engine.commands import Destination, Report
from ikescope.esp.ecn import NOT_ECT
from ikescope.esp.packet import read_header
from ikescope.esp.sa import Counters, Direction, InboundSa, OutboundSa
from ikescope.esp.tunnel import TunnelPath, TunnelState
from ikescope.events import Event
from ikescope.events.router import EspRemoved, PacketsHeld


class ToWire(msgspec.Struct, frozen=True):
    """An ESP packet to send, from its SPI on; with `udp` inside UDP on the path's ports (RFC 3948).

    `ecn`: the DSCP and ECN bits of the IP header before it (RFC 4301 section 5.1.2, RFC 6040); `df`: its DF bit.
    """

    octets: bytes
    path: Destination
    udp: bool
    ecn: int = NOT_ECT
    df: bool = False


class ToTunnel(msgspec.Struct, frozen=True):
    """An inner IP packet that arrived through the tunnel of that name."""

    name: str
    packet: bytes


Output = ToWire | ToTunnel | Report | Event


class Standing:
    """What a Forwarder holds, and what is to be done about it."""

    def __init__(self, tunnels: Sequence[TunnelPath]) -> None:
        self._tunnels = {path.name: TunnelState(path) for path in tunnels}
        self._inbound: dict[int, InboundSa] = {}
        self._outbound: dict[tuple[str, int], OutboundSa] = {}
        self._outputs: list[Output] = []

    def outputs(self) -> Iterator[Output]:
        """What is to be done, oldest first; taken out as it is read."""
        while self._outputs:
            batch, self._outputs = self._outputs, []
            yield from batch

    def held(self, tunnel: str) -> int:
        """How many packets of a tunnel wait for an SA."""
        state = self._tunnels.get(tunnel)
        return 0 if state is None else len(state.held)

    def counters(self, spi: int, direction: Direction) -> Counters | None:
        """The counters of an SA, None if there is none of that SPI."""
        sa = self._find(spi, direction)
        return None if sa is None else sa.counters

    def all_counters(self) -> Iterator[tuple[int, Direction, Counters]]:
        """SPI, direction and counters of every SA."""
        return ((sa.spi, sa.direction, sa.counters) for sa in self._all())

    def _find(self, spi: int, direction: Direction) -> InboundSa | OutboundSa | None:
        if direction == "in":
            return self._inbound.get(spi)
        return next((sa for (_, number), sa in self._outbound.items() if number == spi), None)

    def _all(self) -> list[InboundSa | OutboundSa]:
        return [*self._inbound.values(), *self._outbound.values()]

    # --- which tunnels there are

    def carry(self, path: TunnelPath, now: float) -> None:
        """Carry a tunnel from now on, or go on with it as it is now.

        One that leads elsewhere, or carries its packets otherwise, begins without SAs. With other selectors it keeps
        those that are still within one; the others send nothing more, and receive until they are removed.
        """
        before = self._tunnels.get(path.name)
        if before is not None and before.path.leads_elsewhere(path):
            self.abandon(path.name, now)
            before = None
        self._tunnels[path.name] = state = TunnelState(path)
        if before is None:
            return
        state.answered = before.answered
        was_within = {sa.spi for sa in before.carriers if sa.index is not None}
        for sa in self._all():
            if sa.tunnel == path.name:
                sa.index = state.entry_of(sa.selectors)
                if isinstance(sa, OutboundSa):
                    sa.largest = state.largest(sa, sa.suite, transport=sa.transport)
        state.carriers = [sa for sa in before.carriers if sa.index is not None or sa.spi not in was_within]
        self._hold_again(before, state)

    def _hold_again(self, before: TunnelState, state: TunnelState) -> None:
        """What waited goes on waiting, under the selectors that there are now."""
        state.overflow = before.overflow
        for _, packet in before.held:
            index = state.match(state.outer if state.path.gre else read_header(packet))
            if index is not None:
                state.held.append((index, packet))
        lost = len(before.held) - len(state.held)
        if lost:
            why = "no selector of the tunnel covers them any more"
            self._outputs.append(PacketsHeld(tunnel=state.path.name, held=len(state.held), dropped=lost, why=why))

    def abandon(self, tunnel: str, now: float) -> None:
        """Carry a tunnel no longer: its SAs are gone, and what waits for one."""
        state = self._tunnels.pop(tunnel, None)
        if state is None:
            return
        for sa in self._all():
            if sa.tunnel != tunnel:
                continue
            if isinstance(sa, InboundSa):
                del self._inbound[sa.spi]
            else:
                del self._outbound[tunnel, sa.spi]
            self._tell_traffic(sa, now)
            facts = {"packets": sa.packets, "octets": sa.octets}
            self._outputs.append(EspRemoved(spi=f"{sa.spi:08x}", direction=sa.direction, **facts))
        lost = len(state.held) + state.overflow
        if lost:
            self._outputs.append(PacketsHeld(tunnel=tunnel, held=0, dropped=lost, why="the tunnel is there no more"))

    def _tell_traffic(self, sa: InboundSa | OutboundSa, now: float) -> None:
        if sa.packets == sa.reported:
            return
        sa.reported, sa.reported_at = sa.packets, now
        self._outputs.append(
            commands.Traffic(spi=sa.spi, direction=sa.direction, packets=sa.packets, octets=sa.octets, last=sa.last)
        )
