"""Would these configurations come up, and stay up? Whole routers in memory, a ping through each pair of tunnels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import msgspec

from ikescope.config.model import RouterConfig, Tunnel
from ikescope.esp.paths import carried
from ikescope.events import Event, Record
from ikescope.events.life import ChildRefused, ChildSaRekeyed, IkeSaRekeyed
from ikescope.events.message import RetransmissionsExhausted
from ikescope.events.negotiation import AuthRefused, ExchangeFailed, ProfileNotFound, ProposalRefused, SelectorsRefused
from ikescope.policy.selectors import Selectors, tunnel_selectors
from ikescope.sim.impair import Impairment, impair
from ikescope.sim.world import Ping, Station, World

DAY = 86400.0
BRING_UP = 300.0
"""Seconds that a pair may take: longer than a request is repeated without an answer."""
EVERY = 30.0
"""Seconds between two pings of a pair in the days that follow."""
PATIENCE = 10.0
HINDSIGHT = 300.0
"""Seconds after traffic broke in which its cause shows: a request is given up only after so long."""
KEPT = 4000
"""Records kept from the beginning, and as many before the moment."""

FAILURES: tuple[type[Event], ...] = (
    AuthRefused,
    ProfileNotFound,
    ProposalRefused,
    SelectorsRefused,
    ChildRefused,
    RetransmissionsExhausted,
    ExchangeFailed,
)
"""What a reader wants to see the messages of."""


class Path(msgspec.Struct, frozen=True):
    """Two tunnels that are each other's end, and one pair of addresses that crosses them."""

    left: str
    left_tunnel: str
    right: str
    right_tunnel: str
    source: str
    destination: str

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.left} {self.left_tunnel} <-> {self.right} {self.right_tunnel}"


class Break(msgspec.Struct, frozen=True):
    """Traffic that had passed did not: since when (seconds of the world's life) and until when, None for the end."""

    path: Path
    since: float
    until: float | None


class Outcome(msgspec.Struct, frozen=True):
    """What became of one path: seconds until its first answer (None: never), pings sent and answered in its life."""

    path: Path
    up_after: float | None
    sent: int
    answered: int


def paths(configs: Sequence[RouterConfig]) -> list[Path]:
    """Every pair of tunnels that name each other's address, one path for each of their selectors."""
    found: list[Path] = []
    for number, left in enumerate(configs):
        for right in configs[number + 1 :]:
            for one in carried(left):
                for other in carried(right):
                    if one.source_address is None or other.source_address is None:
                        continue
                    if (one.source_address, one.destination) == (other.destination, other.source_address):
                        found += _paths(left, one, right, other)
    return found


def mismatched(configs: Sequence[RouterConfig]) -> list[str]:
    """Tunnels that name each other's address and are of two kinds, a line each.

    IKE would narrow what the one takes to what the other has, and agree; and neither would understand the packets.
    """
    met = {(router, tunnel) for one in paths(configs) for router, tunnel in _tunnels(one)}
    lines = []
    for number, left in enumerate(configs):
        for right in configs[number + 1 :]:
            for one in carried(left):
                for other in carried(right):
                    apart = one.mode != other.mode and None not in (one.source_address, other.source_address)
                    ends = (one.source_address, one.destination) == (other.destination, other.source_address)
                    if apart and ends and not met & {(left.hostname, one.name), (right.hostname, other.name)}:
                        lines.append(
                            f"{left.hostname} {one.name} has `tunnel mode {one.mode}`, {right.hostname} {other.name}"
                            f" `tunnel mode {other.mode}`: they may agree, and carry nothing; write the same in both."
                        )
    return lines


def _tunnels(path: Path) -> tuple[tuple[str, str], tuple[str, str]]:
    return (path.left, path.left_tunnel), (path.right, path.right_tunnel)


def _paths(left: RouterConfig, one: Tunnel, right: RouterConfig, other: Tunnel) -> Iterator[Path]:
    if one.mode != other.mode or (one.policy_acl is None) != (other.policy_acl is None):
        return
    if one.mode.startswith("gre"):
        ends = [(_own(one, "10.0.0.1"), _own(other, "10.0.0.2"))]
    else:
        pairs, others = tunnel_selectors(left, one), tunnel_selectors(right, other)
        # Of several tunnels between the same addresses, those whose lists mirror each other belong together.
        if one.policy_acl and not {(p.local, p.remote) for p in pairs} & {(p.remote, p.local) for p in others}:
            return
        ends = [_crossing(pair, one, other) for pair in pairs]
    for source, destination in ends:
        yield Path(left.hostname, one.name, right.hostname, other.name, source, destination)


def _own(tunnel: Tunnel, otherwise: str) -> str:
    return next((str(address.ip) for address in tunnel.addresses if address.version == 4), otherwise)


def _crossing(pair: Selectors, one: Tunnel, other: Tunnel) -> tuple[str, str]:
    """Addresses inside a pair of selectors: the second of each range, or the tunnels' own where all are allowed."""
    local, remote = pair.local[0], pair.remote[0]
    if local.start == "0.0.0.0" and remote.start == "0.0.0.0":
        return _own(one, "10.0.0.1"), _own(other, "10.0.0.2")
    return _inside(local.start, local.end), _inside(remote.start, remote.end)


def _inside(start: str, end: str) -> str:
    first = ip_address(start)
    return str(first if start == end or start == "0.0.0.0" else first + 1)


class Rehearsal:
    """A world of these routers; `run` lets it live. `records` is what can be told of it afterwards."""

    def __init__(
        self, configs: Sequence[RouterConfig], *, impairments: Sequence[Impairment] = (), seed: int | str = 1
    ) -> None:
        self.configs = configs
        self.paths = paths(configs)
        self.mismatched = mismatched(configs)
        self.world = World(seed)
        self.world.keep_mail = False
        self.world.symmetric = True
        self.world.on_record = self._record
        self.start = self.world.now
        self.outcomes: list[Outcome] = []
        self.breaks: list[Break] = []
        self.rekeys = {"ike": 0, "child": 0}
        self._first: list[Record] = []
        self._last: deque[Record] = deque(maxlen=KEPT)
        self._told: list[Record] | None = None
        for one in impairments:
            impair(self.world, one)

    def _record(self, station: Station, record: Record) -> None:
        (self._first if len(self._first) < KEPT else self._last).append(record)
        if isinstance(record.event, IkeSaRekeyed) and record.event.initiator:
            self.rekeys["ike"] += 1
        elif isinstance(record.event, ChildSaRekeyed) and record.event.initiator:
            self.rekeys["child"] += 1

    @property
    def records(self) -> list[Record]:
        """The first records and those before the moment; once something broke, around that."""
        return self._told if self._told is not None else [*self._first, *self._last]

    @property
    def up(self) -> bool:
        """Whether every pair came up."""
        return bool(self.outcomes) and not self.mismatched and all(one.up_after is not None for one in self.outcomes)

    def run(self, days: float) -> None:
        """Bring the tunnels up, then let days pass with a ping through each."""
        for config in self.configs:
            self.world.add(config)
        asked = {path: self._ping(path) for path in self.paths}
        first = dict.fromkeys(self.paths, self.world.now)
        end = self.world.now + BRING_UP
        while self.world.now < end and any(ping.received is None for ping in asked.values()):
            self.world.run(1.0)
            for path, ping in asked.items():
                if ping.received is None and self.world.now - ping.sent >= 3.0:
                    asked[path] = self._ping(path)
        up = {path: None if ping.received is None else ping.received - first[path] for path, ping in asked.items()}
        self.outcomes = [Outcome(path, up[path], 0, 0) for path in self.paths]
        if self.up:
            self._live(days * DAY)

    def _ping(self, path: Path) -> Ping:
        return self.world.ping(path.left, path.source, path.destination, tunnel=path.left_tunnel)

    def _live(self, seconds: float) -> None:
        sent = dict.fromkeys(self.paths, 0)
        answered = dict(sent)
        down: dict[Path, float] = {}
        broke = 0.0
        end = self.world.now + seconds
        while self.world.now < end:
            asked = {path: self._ping(path) for path in self.paths}
            self.world.run(min(PATIENCE, end - self.world.now))
            for path, ping in asked.items():
                sent[path] += 1
                if ping.received is not None:
                    answered[path] += 1
                    if path in down:
                        self.breaks.append(Break(path, down.pop(path), ping.received - self.start))
                elif path not in down:
                    down[path] = ping.sent - self.start
                    broke = broke or self.world.now
            if self._told is None and broke and self.world.now - broke >= HINDSIGHT:
                self._told = self.records
            self.world.run(max(0.0, min(EVERY - PATIENCE, end - self.world.now)))
        self.breaks += [Break(path, since, None) for path, since in down.items()]
        self.breaks.sort(key=lambda one: one.since)
        self.outcomes = [
            msgspec.structs.replace(one, sent=sent[one.path], answered=answered[one.path]) for one in self.outcomes
        ]

    def failing(self) -> list[Record]:
        """The records of the exchange that failed first (all of them where no failure was told)."""
        records = self.records
        fault = next((one for one in records if isinstance(one.event, FAILURES)), None)
        if fault is None or not isinstance(fault.stamp.spi_i, str):
            return records
        same = [one for one in records if one.stamp.spi_i == fault.stamp.spi_i]
        number = fault.stamp.message_id
        exchange = [one for one in same if one.stamp.message_id == number]
        return exchange if isinstance(number, int) and len(exchange) > 1 else same
