"""One whole router: configuration, endpoint, tunnels. It asks for everything by command and never touches the host."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from ikescope import __version__
from ikescope.config.model import Address, RouterConfig, Tunnel
from ikescope.engine.commands import Acquire, Clear, ClearStatistics, Command, Connect, Destination, Intent, Report
from ikescope.engine.context import Random, SpiSource
from ikescope.engine.endpoint import Endpoint
from ikescope.engine.fragments import message_octets
from ikescope.engine.parameters import Parameters
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import IOS_STATUS, ChildState
from ikescope.errors import LocalError
from ikescope.esp.paths import lacks
from ikescope.events import UNSET, Event
from ikescope.events.life import CloseReason
from ikescope.events.router import (
    ConfigurationChanged,
    EspDropped,
    InterfaceDown,
    InterfaceUp,
    InterfaceWaiting,
    RouterStarted,
    RouterStopped,
    TrafficMatched,
    TunnelMtuChanged,
)
from ikescope.node.esp_drops import EspDrops
from ikescope.node.statistics import Statistics
from ikescope.node.status import ChildSaStatus, Counters, IkeSaStatus, NodeStatus, TunnelStatus
from ikescope.policy.peers import connection
from ikescope.policy.selectors import tunnel_selectors

CounterSource = Callable[[int, str], Counters]
BRING_UP_AGAIN = 10.0


def no_counters(spi: int, direction: str) -> Counters:
    """Where no data plane counts."""
    return Counters()


class Node:
    """A router. All times are monotonic seconds handed in; `wall` is the wall clock at `now`, `clock` stamps events.

    A tunnel in `ipsec` mode without an access-list is brought up when its interface comes up, and again when it goes
    down; all others wait for traffic.
    """

    def __init__(
        self,
        config: RouterConfig,
        *,
        random: Random,
        now: float,
        wall: float,
        spis: SpiSource | None = None,
        plane: str = "none",
        parameters: Parameters | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.config = config
        self.plane = plane
        self._born = now
        self._wall_offset = wall - now
        self._up: set[str] = set()
        self._bring_up: float | None = None
        self._drops = EspDrops()
        self.statistics = Statistics(now)
        self._cleared: dict[tuple[int, str], tuple[int, int]] = {}
        self._mtus: dict[str, TunnelMtuChanged] = {}
        self._endpoint = Endpoint(config, random=random, now=now, wall=wall, spis=spis, parameters=parameters)
        self._endpoint.core.clock = clock

    def start(self, now: float) -> None:
        """The router begins."""
        tunnels = tuple(tunnel.name for tunnel in self._tunnels())
        self.emit(RouterStarted(version=__version__, tunnels=tunnels, plane=self.plane), now)
        for tunnel in self._tunnels():
            why = self._waits(tunnel)
            if why:
                self.emit(InterfaceWaiting(interface=tunnel.name, why=why), now)
        self._raise_tunnels(now)

    def stop(self, now: float, reason: str) -> None:
        """The router ends: every peer is told."""
        self._bring_up = None
        self._endpoint.request(Clear(cause=CloseReason.STOPPED, reason=f"router stopped: {reason}"), now)
        self.emit(RouterStopped(reason=reason), now)

    def emit(self, event: Event, now: float) -> None:
        """Put an event into the stream."""
        if isinstance(event, EspDropped):
            self._drops.add(event)
        elif isinstance(event, TunnelMtuChanged):
            self._mtus[event.tunnel] = event
        self._endpoint.emit(event, now)

    def receive(self, datagram: bytes, path: Destination, now: float) -> None:
        """Take an IKE datagram without its non-ESP marker; never lets an exception out."""
        self._endpoint.receive(datagram, path, now)
        self._watch_tunnels(now)

    def answer(self, octets: bytes, remote: str, port: int, now: float) -> bytes | None:
        """What a sender that has proven nothing is answered under pressure; see `Endpoint.answer`."""
        return self._endpoint.answer(octets, remote, port, now)

    def report(self, report: Report, now: float) -> None:
        """Hear from the data plane."""
        if isinstance(report, Acquire):
            self._acquire(report, now)
        else:
            self._endpoint.report(report, now)
        self._watch_tunnels(now)

    def request(self, intent: Intent, now: float) -> None:
        """Do what an operator asks."""
        if isinstance(intent, ClearStatistics):
            if intent.ikev2:
                self.statistics.clear(now)
            self._cleared = intent.traffic or self._cleared
            return
        self._endpoint.request(intent, now)
        self._watch_tunnels(now)

    def configure(self, config: RouterConfig, now: float, lines: tuple[str, ...] = ()) -> None:
        """Go on with a changed configuration. `lines` are those typed, secrets replaced."""
        waited = {tunnel.name: self._waits(tunnel) for tunnel in self._tunnels()}
        self.config = config
        self.emit(ConfigurationChanged(lines=lines), now)
        self._endpoint.configure(config, now)
        for tunnel in self._tunnels():
            why = self._waits(tunnel)
            if why and waited.get(tunnel.name) != why:
                self.emit(InterfaceWaiting(interface=tunnel.name, why=why), now)
        self._raise_tunnels(now)
        self._watch_tunnels(now)

    def wake(self, now: float) -> None:
        """A deadline has passed."""
        self._endpoint.wake(now)
        if self._bring_up is not None and now >= self._bring_up:
            self._raise_tunnels(now)
        self._watch_tunnels(now)

    def deadline(self) -> float | None:
        """When `wake` is to be called next, None if nothing is due."""
        deadlines = [when for when in (self._endpoint.deadline(), self._bring_up) if when is not None]
        return min(deadlines, default=None)

    @property
    def queue(self) -> deque[Command]:
        """What is to be done, in order: whoever does it takes it from the left."""
        return self._endpoint.core.commands

    def _tunnels(self) -> list[Tunnel]:
        return [tunnel for tunnel in self.config.tunnels.values() if not tunnel.shutdown]

    def _acquire(self, report: Acquire, now: float) -> None:
        if self._endpoint.narrowed_away(report.tunnel, report.index, report.packet):
            self._endpoint.release(report.tunnel, "the Child SA was narrowed and does not cover the packet")
            return
        if self._endpoint.pending(report.tunnel, report.index, report.packet):
            # It says so, and asks for nothing.
            self._endpoint.request(Connect(tunnel=report.tunnel, index=report.index), now)
            return
        try:
            pair = connection(self.config, report.tunnel).selectors[report.index]
        except LocalError:
            pair = None
        if pair is not None:
            self.emit(
                TrafficMatched(
                    tunnel=report.tunnel,
                    packet_source=report.inner_source,
                    packet_destination=report.inner_destination,
                    packet_protocol=report.inner_protocol,
                    local=pair.local,
                    remote=pair.remote,
                    inner=self.config.tunnels[report.tunnel].mode.startswith("gre"),
                ),
                now,
            )
        self._endpoint.request(Connect(tunnel=report.tunnel, index=report.index, packet=report.packet), now)

    def _waits(self, tunnel: Tunnel) -> str:
        """Why a tunnel does not negotiate by itself; empty if it does."""
        why = lacks(self.config, tunnel)
        if why:
            return f"{why}: not complete"
        if not tunnel.mode.startswith("ipsec"):
            return f"tunnel mode {tunnel.mode}: waits for traffic"
        if tunnel.policy_acl is not None:
            return f"access-list {tunnel.policy_acl}: waits for traffic"
        profile = self.config.ipsec_profiles.get(tunnel.ipsec_profile or "")
        if profile is None:
            return "it has no IPsec profile"
        if profile.idle_time is not None:
            return f"crypto ipsec profile {profile.name} has an idle-time: waits for traffic"
        return f"crypto ipsec profile {profile.name} is responder-only" if profile.responder_only else ""

    def _raise_tunnels(self, now: float) -> None:
        self._bring_up = None
        for tunnel in self._tunnels():
            if tunnel.name not in self._up and not self._waits(tunnel):
                self._endpoint.request(Connect(tunnel=tunnel.name, trigger="interface up"), now)
                self._bring_up = now + BRING_UP_AGAIN

    def _watch_tunnels(self, now: float) -> None:
        """Line protocol follows the Child SAs."""
        live = {
            child.tunnel
            for sa in self._endpoint.core.sas.values()
            for child in sa.children.values()
            if child.state in (ChildState.INSTALLED, ChildState.REKEYING, ChildState.REKEYED)
        }
        if live == self._up:
            return
        for name in sorted(live - self._up):
            self.emit(InterfaceUp(interface=name), now)
        for name in sorted(self._up - live):
            self.emit(InterfaceDown(interface=name, reason="no Child SA is left"), now)
            if self._bring_up is None:
                self._bring_up = now + BRING_UP_AGAIN
        self._up = live

    def local_addresses(self) -> set[Address]:
        """Those that IKE SAs, also such as are being deleted, speak from."""
        return {sa.path.local for sa in self._endpoint.core.sas.values()}

    def status(self, now: float, counters: CounterSource = no_counters) -> NodeStatus:
        """What the show commands know."""
        sas = [sa for sa in self._endpoint.core.sas.values() if sa.id]
        return NodeStatus(
            hostname=self.config.hostname,
            uptime=now - self._born,
            wall=now + self._wall_offset,
            plane=self.plane,
            ike=tuple(ike_status(sa, now) for sa in sas),
            children=tuple(
                self._child_status(sa, child, now, counters) for sa in sas for child in sa.children.values()
            ),
            tunnels=tuple(self._tunnel_status(tunnel) for tunnel in self.config.tunnels.values()),
            counts=self.statistics.taken(now),
        )

    def _child_status(self, sa: IkeSa, child: ChildSa, now: float, counters: CounterSource) -> ChildSaStatus:
        made = child_status(sa, child, now, counters, self._drops)
        received, sent = self._cleared.get((child.inbound, "in")), self._cleared.get((child.outbound, "out"))
        if received is None and sent is None:
            return made
        return msgspec.structs.replace(made, cleared_in=received or (0, 0), cleared_out=sent or (0, 0))

    def _tunnel_status(self, tunnel: Tunnel) -> TunnelStatus:
        ipsec = self.config.ipsec_profiles.get(tunnel.ipsec_profile or "")
        try:
            pairs = tuple((pair.local, pair.remote) for pair in tunnel_selectors(self.config, tunnel))
        except LocalError:
            pairs = ()
        known = self._mtus.get(tunnel.name)
        path = 1500 if known is None else known.path
        return TunnelStatus(
            name=tunnel.name,
            up=tunnel.name in self._up,
            admin_down=tunnel.shutdown,
            addresses=tunnel.addresses,
            source=tunnel.source_address,
            destination=tunnel.destination,
            mode=tunnel.mode,
            ipsec_profile=tunnel.ipsec_profile,
            profile=None if ipsec is None else ipsec.ikev2_profile,
            mtu=tunnel.mtu or (1400 if known is None else known.after),
            path_mtu=path,
            link_mtu=path if known is None or known.link is UNSET else known.link,
            selectors=pairs,
        )


def ike_status(sa: IkeSa, now: float) -> IkeSaStatus:
    """One IKE SA as shows see it."""
    suite, done = sa.suite, sa.established is not None
    soft = sa.timers.get("soft")
    state, description = IOS_STATUS[sa.state]
    return IkeSaStatus(
        id=sa.id,
        session=sa.session,
        state=state,
        description=description,
        local=sa.path.local,
        local_port=sa.path.local_port,
        remote=sa.path.remote,
        remote_port=sa.path.remote_port,
        initiator=sa.initiator,
        encryption=None if suite is None else suite.encryption.id,
        key_length=None if suite is None else suite.encryption.key_bits or None,
        prf=None if suite is None else suite.prf.id,
        integrity=None if suite is None or suite.integrity is None else suite.integrity.id,
        group=None if suite is None else suite.group,
        auth_local=2 if done else None,
        auth_remote=2 if done else None,
        lifetime=sa.lifetime,
        active=0.0 if sa.established is None else now - sa.established,
        rekey_in=None if soft is None or soft.callback is None else max(0.0, soft.when - now),
        spi_local=sa.local_spi.hex(),
        spi_remote=sa.remote_spi.hex(),
        local_id=sa.local_id,
        remote_id=sa.remote_id,
        profile=None if sa.profile is None else sa.profile.name,
        local_request_id=sa.out.next_id,
        remote_request_id=sa.into.lowest,
        local_window=sa.into.size,
        remote_window=sa.out.size,
        dpd=sa.dpd,
        nat_local=sa.nat_local,
        nat_remote=sa.nat_remote,
        encapsulated=sa.encapsulated,
        last_heard=now - sa.last_heard,
        children=tuple(sa.children),
        fragment_octets=None if sa.fragment_mtu is None else message_octets(sa.fragment_mtu, sa.path),
    )


def child_status(sa: IkeSa, child: ChildSa, now: float, counters: CounterSource, drops: EspDrops) -> ChildSaStatus:
    """One Child SA as shows see it."""
    suite = child.suite
    return ChildSaStatus(
        id=child.id,
        ike=sa.id,
        tunnel=child.tunnel,
        index=child.index,
        state=child.state.value,
        inbound=child.inbound,
        outbound=child.outbound,
        encryption=suite.encryption.id,
        key_length=suite.encryption.key_bits or None,
        integrity=None if suite.integrity is None else suite.integrity.id,
        esn=suite.esn,
        group=suite.group,
        transport=child.transport,
        udp=child.udp,
        local_address=sa.path.local,
        local_port=sa.path.local_port,
        remote_address=sa.path.remote,
        remote_port=sa.path.remote_port,
        local=child.local,
        remote=child.remote,
        lifetime=child.lifetime,
        active=now - child.created,
        remaining=max(0.0, child.created + child.lifetime - now),
        kilobytes=child.kilobytes,
        replay_window=child.replay_window,
        received=counters(child.inbound, "in"),
        sent=counters(child.outbound, "out"),
        drops=drops.of((child.inbound, child.outbound), str(sa.path.remote)),
    )
