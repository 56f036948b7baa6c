"""Whole routers in memory: one clock, one mail room, LAN hosts that answer a ping. A run is named by its seed.

The world is how sessions are tested, rehearsed, and shown where the host lends no namespaces: the nodes and the data
path are the daemon's own.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from ikescope.config.model import Address, RouterConfig
from ikescope.engine.commands import Destination, Installed, InstallSa, Intent, KeysReady, Refused, Send
from ikescope.engine.parameters import Parameters
from ikescope.esp.packet import Echo, PacketError, make_echo, read_echo, read_header
from ikescope.esp.paths import carried, tunnel_path
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import Record
from ikescope.node.driver import Driver
from ikescope.node.router import Node
from ikescope.node.status import Counters, NodeStatus
from ikescope.sim.plane import MemoryPlane

EPOCH = 1_700_000_000.0
LATENCY = 0.0008
SEQUENCES = 1 << 16
"""Echo sequence numbers begin anew after these."""


class SeededRandom:
    """Octets that follow from a seed: SHA-256 in counter mode."""

    def __init__(self, seed: str) -> None:
        self._seed, self._count, self._pool = seed.encode(), 0, b""

    def __call__(self, octets: int) -> bytes:
        """The next octets."""
        while len(self._pool) < octets:
            self._pool += hashlib.sha256(self._seed + self._count.to_bytes(8, "big")).digest()
            self._count += 1
        taken, self._pool = self._pool[:octets], self._pool[octets:]
        return taken


@dataclass(frozen=True, slots=True)
class Mail:
    """A datagram between routers: IKE or ESP (`kind`), from the sender's path; `number` counts all of a world."""

    number: int
    kind: str
    octets: bytes
    path: Destination
    at: float


Impairment = Callable[[Mail], Iterable[float] | None]
"""What happens to a datagram: the delays with which it arrives (none: lost, two: twice), None for no opinion."""


Alteration = Callable[[Mail], bytes | None]
"""Other octets for a datagram, None to leave it as it is."""


Translation = Callable[[str, Destination], Destination | None]
"""The path of a datagram (kind, path) beyond a NAT box: the same where it is not concerned, None where it is lost."""


class WorldDriver(Driver):
    """A driver whose plane may take `slow` seconds to report an SA, as a kernel or a worker does."""

    slow = 0.0
    world: World

    def _installed(self, report: Installed | Refused, now: float) -> None:
        if self.slow:
            self.world.at(now + self.slow, lambda: self._late(report))
        else:
            super()._installed(report, now)

    def _late(self, report: Installed | Refused) -> None:
        self.node.report(report, self.world.now)
        self.drain(self.world.now)


@dataclass(slots=True)
class Station:
    """A router of the world with its records."""

    name: str
    node: Node
    plane: MemoryPlane
    driver: WorldDriver
    config: RouterConfig
    records: list[Record] = field(default_factory=list)
    keys: list[KeysReady | InstallSa] = field(default_factory=list)
    ticking: bool = False

    def counters(self, spi: int, direction: str) -> Counters:
        """The plane's counters of an ESP SA."""
        found = self.plane.counters(spi, "in" if direction == "in" else "out")
        return Counters() if found is None else Counters(found.packets, found.octets, found.dropped)


@dataclass(slots=True)
class Ping:
    """One echo request and when, if ever, its reply came."""

    sequence: int
    sent: float
    received: float | None = None


def _paths(config: RouterConfig) -> list[TunnelPath]:
    return [
        tunnel_path(config, tunnel, tunnel.source_address)
        for tunnel in carried(config)
        if tunnel.source_address is not None
    ]


class World:
    """Routers by name. Time passes only in `run` and `until`."""

    def __init__(self, seed: int | str = 1, *, latency: float = LATENCY) -> None:
        self.seed, self.latency, self.now = str(seed), latency, 1000.0
        self.stations: dict[str, Station] = {}
        self.records: list[Record] = []
        self.mail: list[Mail] = []
        self.impairments: list[Impairment] = []
        self.pings: dict[int, Ping] = {}
        self.keep_mail = True
        self.symmetric = False
        self.alterations: list[Alteration] = []
        self.translations: list[Translation] = []
        self.on_station: list[Callable[[Station], None]] = []
        self.on_record: Callable[[Station, Record], None] | None = None
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = self._posted = self._pinged = 0
        self._births: dict[str, int] = {}
        self._by_address: dict[Address, Station] = {}

    def add(self, config: RouterConfig, *, name: str = "", parameters: Parameters | None = None) -> Station:
        """A router, started now."""
        name = name or config.hostname
        births = self._births[name] = self._births.get(name, 0) + 1
        # A router that was removed and comes back does not draw the same numbers again.
        random = SeededRandom(f"{self.seed}/{name}" if births == 1 else f"{self.seed}/{name}/{births}")
        tunnels = _paths(config)
        plane = MemoryPlane(
            tunnels,
            random,
            send_udp=lambda octets, path: self._post("esp-udp", octets, path),
            send_esp=lambda octets, path: self._post("esp", octets, path),
            deliver=lambda tunnel, packet: self._deliver(station, tunnel, packet),
        )
        wall = EPOCH + self.now
        node = Node(config, random=random, now=self.now, wall=wall, plane="memory", parameters=parameters)
        driver = WorldDriver(node, plane, self._send, lambda record: self._sink(station, record), self._keep(name))
        driver.world = self
        station = Station(name, node, plane, driver, config)
        self.stations[name] = station
        for path in tunnels:
            self._by_address[path.source] = station
        for seen in self.on_station:
            seen(station)
        node.start(self.now)
        self.settle(station)
        return station

    def configure(self, name: str, config: RouterConfig, lines: tuple[str, ...] = ()) -> None:
        """A router's operator gives it another configuration, its tunnels too; what it had to give up is gone."""
        station = self.stations[name]
        had, paths = [path.name for path in _paths(station.node.config)], _paths(config)
        for path in paths:
            station.plane.carry(path, self.now)
            self._by_address[path.source] = station
        station.config = config
        station.node.configure(config, self.now, lines)
        self.settle(station)
        for tunnel in had:
            if tunnel not in {path.name for path in paths}:
                station.plane.abandon(tunnel, self.now)
        self.settle(station)

    def remove(self, name: str) -> None:
        """A router crashes: it says nothing and forgets everything."""
        station = self.stations.pop(name)
        self._by_address = {address: one for address, one in self._by_address.items() if one is not station}

    def _keep(self, name: str) -> Callable[[KeysReady | InstallSa], None]:
        return lambda item: self.stations[name].keys.append(item)

    def _sink(self, station: Station, record: Record) -> None:
        if self.on_record is not None:
            self.on_record(station, record)
            return
        station.records.append(record)
        self.records.append(record)

    def _send(self, command: Send) -> None:
        self._post("ike", command.octets, command.path)

    def _post(self, kind: str, octets: bytes, path: Destination) -> None:
        for translation in reversed(self.translations):
            translated = translation(kind, path)
            if translated is None:
                return
            path = translated
        self._posted += 1
        mail = Mail(self._posted, kind, octets, path, self.now)
        if self.keep_mail:
            self.mail.append(mail)
        for alteration in self.alterations:
            altered = alteration(mail)
            if altered is not None:
                mail = replace(mail, octets=altered)
        delays: Iterable[float] = (self.latency,)
        for impairment in self.impairments:
            opinion = impairment(mail)
            if opinion is not None:
                delays = opinion
        for delay in delays:
            self.at(self.now + delay, lambda: self.arrive(mail))

    def sender(self, mail: Mail) -> str:
        """The name of the router that sent a datagram, empty for none of this world."""
        station = self._by_address.get(mail.path.local)
        return "" if station is None else station.name

    def arrive(self, mail: Mail) -> None:
        """A datagram reaches the router that it was sent to, if that is there."""
        station = self._by_address.get(mail.path.remote)
        if station is None or station.name not in self.stations:
            return
        path = mail.path
        if mail.kind == "ike":
            turned = Destination(path.remote, path.remote_port, path.local, path.local_port)
            station.node.receive(mail.octets, turned, self.now)
        elif mail.kind == "esp-udp":
            station.plane.esp_from_udp(mail.octets, path.remote, path.local, path.local_port, self.now)
        else:
            station.plane.esp_from_ip(mail.octets, path.remote, path.local, self.now)
        self.settle(station)
        if mail.kind != "ike":
            self._tick_later(station)

    def _tick_later(self, station: Station) -> None:
        """The plane ticks every second while packets pass or wait, as the daemon has it do always."""
        if station.ticking:
            return
        station.ticking = True

        def tick() -> None:
            station.ticking = False
            if self.stations.get(station.name) is not station:
                return
            station.plane.tick(self.now)
            self.settle(station)
            if station.plane.waiting():
                self._tick_later(station)

        self.at(self.now + 1.0, tick)

    def _deliver(self, station: Station, tunnel: str, packet: bytes) -> None:
        """An inner packet came out of a tunnel: a host of the LAN behind the router gets it."""
        try:
            echo = read_echo(packet)
        except PacketError:
            return
        if echo is None:
            return
        if echo.reply:
            ping = self.pings.get(echo.sequence)
            if ping is not None and ping.received is None:
                ping.received = self.now
            return
        answer = Echo(echo.destination, echo.source, True, echo.identifier, echo.sequence, echo.data)
        back = tunnel if self.symmetric else ""
        self.at(self.now, lambda: self.inject(station.name, make_echo(answer), tunnel=back))

    def inject(self, name: str, packet: bytes, *, tunnel: str | None = "") -> None:
        """A host behind a router sends a packet; routes decide on the tunnel unless it is named, none loses it."""
        station = self.stations.get(name)
        if station is None:
            return
        if not tunnel:
            header = read_header(packet)
            octets = int(header.destination).to_bytes(4 if header.version == 4 else 16, "big")
            tunnel = route(station.node.config, ip_address(octets))
        if tunnel is not None:
            station.plane.packet_from_tunnel(tunnel, packet, self.now)
            self.settle(station)
            self._tick_later(station)

    def ping(self, name: str, source: str, destination: str, *, tunnel: str = "") -> Ping:
        """Send one echo request from a host behind a router, through `tunnel` or wherever its routes say."""
        self._pinged += 1
        sequence = self._pinged % SEQUENCES
        ping = self.pings[sequence] = Ping(sequence, self.now)
        echo = Echo(ip_address(source), ip_address(destination), False, 7, sequence, bytes(range(56)))
        self.inject(name, make_echo(echo), tunnel=tunnel)
        return ping

    def ask(self, name: str, intent: Intent) -> None:
        """An operator asks something of a router."""
        station = self.stations[name]
        station.node.request(intent, self.now)
        self.settle(station)

    def settle(self, station: Station) -> None:
        """Carry out what a router wants done."""
        station.driver.drain(self.now)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something later."""
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, action))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.until(lambda: False, seconds)

    def until(self, done: Callable[[], bool], limit: float = 300.0) -> bool:
        """Let time pass until something holds; whether it did within `limit` seconds."""
        end = self.now + limit
        while not done():
            when = self._next()
            if when is None or when > end:
                self.now = end
                return done()
            self.now = max(self.now, when)
            self._step()
        return True

    def _next(self) -> float | None:
        deadlines = [station.node.deadline() for station in self.stations.values()]
        candidates = [when for when in deadlines if when is not None]
        if self._queue:
            candidates.append(self._queue[0][0])
        return min(candidates, default=None)

    def _step(self) -> None:
        if self._queue and self._queue[0][0] <= self.now:
            heapq.heappop(self._queue)[2]()
            return
        for station in tuple(self.stations.values()):
            deadline = station.node.deadline()
            if deadline is not None and deadline <= self.now:
                station.node.wake(self.now)
                station.plane.tick(self.now)
                self.settle(station)

    def status(self, name: str) -> NodeStatus:
        """What a router's shows know."""
        station = self.stations[name]
        return station.node.status(self.now, station.counters)


def route(config: RouterConfig, destination: Address) -> str | None:
    """The tunnel that a packet to `destination` leaves by: the longest matching route."""
    best: tuple[int, str] | None = None
    for one in config.routes:
        fits = one.prefix.version == destination.version and destination in one.prefix
        if fits and one.interface in config.tunnels and one.interface is not None:
            length = one.prefix.prefixlen
            if best is None or length > best[0]:
                best = (length, one.interface)
    return None if best is None else best[1]
