"""The stage in memory: the same two routers in a world with a clock of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path

from ikescope.capture import frames, pcapng
from ikescope.config.model import RouterConfig
from ikescope.daemon.keyfile import KeyFiles
from ikescope.demo.breaks import Break
from ikescope.demo.stage import ROUTERS, Echoed, Frame, Said
from ikescope.engine.commands import Intent
from ikescope.events import Event, Record
from ikescope.ios.archive import MemoryArchive
from ikescope.ios.configuration import load
from ikescope.ios.exec import Session
from ikescope.ios.exec_ping import Echo, PingOrder
from ikescope.node.status import NodeStatus
from ikescope.sim.impair import impair, parse
from ikescope.sim.world import EPOCH, Mail, Ping, Station, World

INTERVAL = 0.2
_SECOND = 1_000_000_000


class Desk:
    """What a console needs of a router of the world."""

    def __init__(self, world: World, station: Station) -> None:
        self._world, self._station = world, station
        self.archive = MemoryArchive()

    @property
    def config(self) -> RouterConfig:
        """The configuration that it runs."""
        return self._station.node.config

    def status(self) -> NodeStatus:
        """The data behind the shows."""
        return self._world.status(self._station.name)

    def request(self, intent: Intent) -> None:
        """Ask the engine for something."""
        self._station.node.request(intent, self._world.now)
        self._world.settle(self._station)

    def configure(self, config: RouterConfig, lines: tuple[str, ...]) -> None:
        """Run another configuration from now on."""
        self._world.configure(self._station.name, config, lines)

    def reload(self, text: str, name: str) -> list[str]:
        """Go on with another configuration of this router."""
        self.configure(load(text, name=name, lab_timers=True), (f"reload of {name}",))
        return []

    def enable_guarded(self) -> bool:
        """No enable secret is asked for."""
        return False

    def verify_enable(self, password: str, answer: Callable[[bool], None]) -> None:
        """None is right."""
        answer(False)

    def ping(self, order: PingOrder, each: Callable[[Echo], None], ended: Callable[[str], None]) -> Callable[[], None]:
        """A router of the world sends nothing of its own: hosts behind it do."""
        ended("% ping from the host behind this router")
        return lambda: None

    def records(self) -> Iterable[Record]:
        """Its records."""
        return self._station.records

    def note(self, event: Event) -> None:
        """Put an event into its stream."""
        self._station.node.emit(event, self._world.now)
        self._world.settle(self._station)


class MemoryStage:
    """Two nodes in a World. `keys`: the directory for key tables; `fault`: what is wrong on the way between them."""

    def __init__(self, first_lines: tuple[str, ...], *, keys: Path | None = None, fault: Break | None = None) -> None:
        self.first_lines = first_lines
        self.world = World(os.urandom(16).hex())
        self.records = self.world.records
        self._keys = keys
        self._consoles: dict[str, Session] = {}
        self._pings: list[Ping] | None = None
        for line in fault.impair if fault is not None else ():
            impair(self.world, parse(line))
        if fault is not None and fault.weather is not None:
            fault.weather(self.world)

    def start(self, configurations: Mapping[str, str]) -> None:
        """Start both routers, one after the other."""
        for name in ROUTERS:
            config = load(configurations[name], name=f"{name}.cfg", lab_timers=True)
            # Another start is another draw: a router that is started again chooses other SPIs.
            self.world.seed = os.urandom(16).hex()
            station = self.world.add(config, name=name)
            self._consoles[name] = Session(Desk(self.world, station), lab_timers=True)

    def heal(self) -> None:
        """Nothing is wrong on the way any more; for routers that are started from now on."""
        self.world.impairments.clear()
        self.world.alterations.clear()
        self.world.on_station.clear()

    def end_routers(self) -> None:
        """Both take leave; what they know goes to the key tables."""
        for name in ROUTERS:
            station = self.world.stations.get(name)
            if station is not None:
                station.node.stop(self.world.now, "the operator stopped it")
                self.world.settle(station)
        self.world.run(1.0)
        self._write_keys()
        for name in tuple(self.world.stations):
            self.world.remove(name)

    def _write_keys(self) -> None:
        station = self.world.stations.get("R1")
        if self._keys is None or station is None:
            return
        tables = KeyFiles(self._keys)
        for item in station.keys:
            tables.add(item)
        tables.close()

    def ping(self, source: str, destination: str, count: int, patience: float) -> list[Echoed]:
        """Echo requests one after the other, `INTERVAL` apart."""
        found = []
        for _ in range(count):
            ping = self.world.ping("R1", source, destination)
            self.world.until(lambda ping=ping: ping.received is not None, patience)  # type: ignore[misc]
            found.append(_echoed(ping))
            self.world.run(INTERVAL)
        return found

    def ping_on(self, source: str, destination: str) -> None:
        """Ping every `INTERVAL` seconds of the world."""
        pings: list[Ping] = []
        self._pings = pings

        def beat() -> None:
            if self._pings is pings:
                pings.append(self.world.ping("R1", source, destination))
                self.world.at(self.world.now + INTERVAL, beat)

        beat()

    def ping_off(self) -> list[Echoed]:
        """No more of them; a second is left for the last reply."""
        pings, self._pings = self._pings or [], None
        self.world.run(1.0)
        return [_echoed(ping) for ping in pings]

    def type(self, router: str, line: str) -> Said:
        """Type a line; what it sets going goes on when time passes."""
        session = self._consoles[router]
        prompt = session.prompt
        reply = session.execute(line)
        return Said(prompt, line, reply.output, reply.refused)

    def until(self, done: Callable[[], bool], limit: float) -> bool:
        """Let time pass until something holds."""
        return self.world.until(done, limit)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        self.world.run(seconds)

    def frames(self) -> Sequence[Frame]:
        """The mail so far as IP packets."""
        return [_frame(mail) for mail in self.world.mail]

    def close(self) -> None:
        """Nothing was taken from the host; the keys of what still runs are written."""
        self._write_keys()
        self.world.stations.clear()


def _echoed(ping: Ping) -> Echoed:
    return Echoed(ping.sequence, None if ping.received is None else (ping.received - ping.sent) * 1000)


def _frame(mail: Mail) -> Frame:
    path = mail.path
    here, there = str(path.local), str(path.remote)
    if mail.kind == "ike":
        packet = frames.ike_packet(here, path.local_port, there, path.remote_port, mail.octets)
    elif mail.kind == "esp-udp":
        packet = frames.udp_packet(here, path.local_port, there, path.remote_port, mail.octets)
    else:
        packet = frames.ip_packet(ip_address(here), ip_address(there), frames.ESP, mail.octets)
    return Frame(int((EPOCH + mail.at) * _SECOND), pcapng.LINK_RAW, packet)
