"""Would these configurations come up, and stay up? Whole routers in memory, a ping through each pair of tunnels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.engine.payloads import VENDOR_ID
from ikescope.events import Event, Record
from ikescope.events.life import ChildRefused, ChildSaCreated, ChildSaRekeyed, IkeSaCreated, IkeSaRekeyed
from ikescope.events.message import RetransmissionsExhausted
from ikescope.events.negotiation import AuthRefused, ExchangeFailed, ProfileNotFound, ProposalRefused, SelectorsRefused
from ikescope.sim.impair import Impairment, impair
from ikescope.sim.ledger import core_of
from ikescope.sim.rehearsal_pairs import Alone, Path, alone, mismatched, paths
from ikescope.sim.world import Ping, Station, World
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType
from ikescope.wire.vendor import VendorIdPayload

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


class Agreed(msgspec.Struct, frozen=True):
    """What a path's first SAs are: the IKE SA's suite, and its Child SA as the left router made it."""

    ike: str
    child: ChildSaCreated


STRONGSWAN = bytes.fromhex("882fe56d6fd20dbc2251613b2ebe5beb")
"""The vendor ID of strongSwan. Only a router of a swanctl.conf says it, and only in memory."""


def _named_as_written(station: Station) -> None:
    """A router out of a swanctl.conf says that it is strongSwan: findings then speak to its owner in that language."""
    if station.config.version != "strongSwan":
        return
    core = core_of(station)
    before = core.mutate

    def mutate(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        told = chain if before is None else before(exchange, response, chain)
        ours = [isinstance(one, VendorIdPayload) and one.data == VENDOR_ID for one in told]
        return [VendorIdPayload(STRONGSWAN) if our else one for one, our in zip(told, ours, strict=True)]

    core.mutate = mutate


class Rehearsal:
    """A world of these routers; `run` lets it live. `records` is what can be told of it afterwards.

    `on_record` hears every record, also those that are not kept.
    """

    def __init__(
        self,
        configs: Sequence[RouterConfig],
        *,
        impairments: Sequence[Impairment] = (),
        seed: int | str = 1,
        on_record: Callable[[Record], object] | None = None,
    ) -> None:
        self.configs = configs
        self.paths = paths(configs)
        self.mismatched = mismatched(configs)
        self.alone: list[Alone] = alone(configs)
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
        self._on_record = on_record
        self._suites: dict[tuple[str, str], str] = {}
        self._made: dict[tuple[str, str], tuple[str, ChildSaCreated]] = {}
        for one in impairments:
            impair(self.world, one)
        self.world.on_station.append(_named_as_written)

    def _record(self, station: Station, record: Record) -> None:
        (self._first if len(self._first) < KEPT else self._last).append(record)
        event = record.event
        if isinstance(event, IkeSaRekeyed) and event.initiator:
            self.rekeys["ike"] += 1
        elif isinstance(event, ChildSaRekeyed) and event.initiator:
            self.rekeys["child"] += 1
        elif isinstance(event, IkeSaCreated):
            self._suites.setdefault((station.name, str(record.stamp.spi_i)), event.suite)
        elif isinstance(event, ChildSaCreated):
            self._made.setdefault((station.name, event.tunnel), (str(record.stamp.spi_i), event))
        if self._on_record is not None:
            self._on_record(record)

    def agreed(self, path: Path) -> Agreed | None:
        """What the two ends of a path agreed first; None where they have not."""
        made = self._made.get((path.left, path.left_tunnel))
        if made is None:
            return None
        return Agreed(self._suites.get((path.left, made[0]), ""), made[1])

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
        alive = [path for path in self.paths if up[path] is not None]
        if alive:
            self._live(days * DAY, alive)

    def _ping(self, path: Path) -> Ping:
        return self.world.ping(path.left, path.source, path.destination, tunnel=path.left_tunnel)

    def _live(self, seconds: float, alive: Sequence[Path]) -> None:
        sent = dict.fromkeys(self.paths, 0)
        answered = dict(sent)
        down: dict[Path, float] = {}
        broke = 0.0
        end = self.world.now + seconds
        while self.world.now < end:
            asked = {path: self._ping(path) for path in alive}
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
