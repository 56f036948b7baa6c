"""What must hold of two routers whatever happens: kept as a ledger of their SAs, checked at every step and at rest."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator

from ikescope.config.model import RouterConfig
from ikescope.crypto.keys import IkeKeys
from ikescope.engine.commands import Command, InstallSa, KeysReady, RemoveSa
from ikescope.engine.context import Core
from ikescope.events import Record, encode
from ikescope.events.life import TaskFailed
from ikescope.events.router import PlaneFailed
from ikescope.sim.world import Station, World

LINGER = 5.5
"""Seconds that an inbound ESP SA may outlive its Child SA, for packets still on their way."""
_TOKENS = re.compile(rb"[A-Za-z0-9+/=]{12,}")


class Broken(AssertionError):
    """A rule does not hold."""


def core_of(station: Station) -> Core:
    """A router's engine."""
    return station.node._endpoint.core


class Ledger:
    """Watches a world of two routers from their first moment; Broken as soon as a rule does not hold.

    `translated`: a NAT stands between them, so selectors of transport mode are not a mirror (RFC 7296 section 2.23.1).
    """

    def __init__(self, world: World, *, translated: bool = False) -> None:
        self.world, self.translated = world, translated
        self.records: list[Record] = []
        self._standing: dict[str, set[tuple[int, str]]] = {}
        self._promised: dict[tuple[str, int], InstallSa] = {}
        self._ike: dict[tuple[bytes, bytes], IkeKeys] = {}
        self._orphans: dict[tuple[str, int, str], float] = {}
        self._secrets: list[bytes] = []
        self.installs = 0
        world.on_station.append(self._watch)
        world.on_record = self._record

    def _watch(self, station: Station) -> None:
        self._standing[station.name] = set()
        station.plane.audit = lambda command: self._command(station, command)

    def _record(self, station: Station, record: Record) -> None:
        event = record.event
        self.records.append(record)
        if isinstance(event, TaskFailed):
            raise Broken(f"a task failed on {station.name}: {event.task}\n{event.traceback}")
        if isinstance(event, PlaneFailed):
            raise Broken(f"the data plane of {station.name} was asked for what it cannot do: {event.what}: {event.why}")

    def _command(self, station: Station, command: Command) -> None:
        standing = self._standing[station.name]
        if isinstance(command, InstallSa):
            key = (command.spi, command.direction)
            if key in standing:
                raise Broken(f"{station.name} installs SPI {command.spi:08x} {command.direction} twice")
            standing.add(key)
            self.installs += 1
            self._compare(station, command)
        elif isinstance(command, RemoveSa):
            standing.discard((command.spi, command.direction))

    def _compare(self, station: Station, sa: InstallSa) -> None:
        """An ESP SA is the same at both ends: keys, algorithms, mode, and selectors as in a mirror."""
        other = next((name for name in self._standing if name != station.name), "")
        owner = station.name if sa.direction == "in" else other
        twin = self._promised.setdefault((owner, sa.spi), sa)
        self._secrets += [sa.keys.encryption, sa.keys.integrity]
        if twin is sa:
            return
        if (twin.keys, twin.suite, twin.transport) != (sa.keys, sa.suite, sa.transport):
            raise Broken(f"the two ends do not agree on the keys or the mode of SPI {sa.spi:08x}")
        if self.translated and sa.transport:
            return
        if {*twin.local} != {*sa.remote} or {*twin.remote} != {*sa.local}:
            raise Broken(f"the two ends do not agree on the selectors of SPI {sa.spi:08x}")

    def _take_ike_keys(self) -> None:
        for station in self.world.stations.values():
            for item in station.keys:
                if not isinstance(item, KeysReady):
                    continue
                known = self._ike.setdefault((item.spi_i, item.spi_r), item.keys)
                self._secrets += _key_octets(item.keys)
                if _key_octets(known) != _key_octets(item.keys):
                    raise Broken(f"the two ends do not agree on the keys of IKE SA {item.spi_i.hex()}")
            station.keys.clear()

    def step(self) -> None:
        """What holds at any moment."""
        self._take_ike_keys()
        for station in self.world.stations.values():
            core = core_of(station)
            children = [child for sa in core.sas.values() for child in sa.children.values()]
            owned = {(child.inbound, "in") for child in children} | {(child.outbound, "out") for child in children}
            loose = self._standing[station.name] - owned
            for spi, direction in loose:
                key = (station.name, spi, direction)
                since = self._orphans.setdefault(key, self.world.now)
                if direction == "out" or self.world.now - since > LINGER:
                    raise Broken(f"{station.name}: ESP SA {spi:08x} {direction} belongs to no Child SA")
            if len(core.sas) > 12:
                raise Broken(f"{station.name} holds {len(core.sas)} IKE SAs")

    def rest(self) -> None:
        """What holds once all is cleared and the last response has been repeated for the last time."""
        self.step()
        for station in self.world.stations.values():
            for what, left in _left(station):
                if left:
                    raise Broken(f"{station.name} has {what} left behind: {left}")
            if self._standing[station.name]:
                raise Broken(f"{station.name} has ESP SAs left behind: {self._standing[station.name]}")

    def silent(self, config: RouterConfig) -> None:
        """No secret is in any event: raw, hex, or base64."""
        self._take_ike_keys()
        keys = [key.encode() for keyring in config.keyrings.values() for key in _shared(keyring)]
        text = b"\n".join({*_TOKENS.findall(b"\n".join(map(encode, self.records)))})
        for secret in {*keys, *self._secrets}:
            for form in _forms(secret):
                if form in text:
                    raise Broken(f"a secret of {len(secret)} octets is in an event")


def _shared(keyring: object) -> list[str]:
    return re.findall(r"a-key-of-[a-z-]+", repr(keyring))


def _key_octets(keys: IkeKeys) -> list[bytes]:
    return [getattr(keys, name) for name in type(keys).__slots__]


def _forms(secret: bytes) -> Iterator[bytes]:
    if len(secret) < 12:
        return
    yield secret.hex().encode()
    for lead in range(3):
        coded = b64encode(bytes(lead) + secret)[(lead * 8 + 5) // 6 :]
        yield coded.rstrip(b"=")[:-1]


def _left(station: Station) -> list[tuple[str, object]]:
    core = core_of(station)
    forwarder = station.plane._forwarder
    timers = core.timers.armed() - len(core.buried)
    return [
        ("IKE SAs", list(core.sas.values())),
        ("half-open IKE SAs", core.half_open),
        ("waits for the plane", core.waiting),
        ("inbound SPIs", getattr(core.spis, "_used", None)),
        ("accepted IKE_SA_INIT", core.accepted),
        ("SA ids", _ids_in_use(core)),
        ("ESP SAs in the plane", [sa.spi for sa in forwarder._all()]),
        ("held packets", [name for name, state in forwarder._tunnels.items() if state.held]),
        ("timers", max(0, timers)),
    ]


def _ids_in_use(core: Core) -> bool:
    """Whether the lowest SA id is not free."""
    lowest = core.new_id()
    core.free_id(lowest)
    return lowest != 1
