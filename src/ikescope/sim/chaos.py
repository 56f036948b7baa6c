"""A life of two routers out of a seed: a network that loses and delays, operators who do anything, hours of it.

Trouble and quiet take turns. In quiet the network heals, and traffic has to be carried again within a bound; at the end
everything is cleared and nothing may be left. `Ledger` says what holds all the time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from ipaddress import ip_address

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.engine.commands import Clear, ClearChild, Intent, Probe, Rekey
from ikescope.engine.parameters import Parameters
from ikescope.sim.ledger import Broken, Ledger, core_of
from ikescope.sim.nat import Nat
from ikescope.sim.scenery import (
    NAMES,
    Dice,
    behind_nat,
    inside,
    outside,
    scene,
    text,
    with_extras,
    with_reauthentication,
)
from ikescope.sim.world import Mail, Ping, World

Load = Callable[[str, str], RouterConfig]
"""Reads a configuration: its text and its name."""

RETRANSMISSION = 254.0
"""Seconds until a request without an answer is given up: seven sends, the wait doubled from two seconds."""
BOUND = RETRANSMISSION + 60.0 + 60.0 + 30.0
"""That, a liveness interval or an unanswered liveness check, the longest hold after a failure, and slack."""
PATIENCE = 8.0


class Weather(msgspec.Struct, frozen=True):
    """What becomes of a datagram: percent lost, sent twice, late by up to `late` seconds."""

    lost: int
    twice: int
    delayed: int
    late: float


WEATHERS = (
    Weather(0, 0, 0, 0.0),
    Weather(5, 5, 20, 0.05),
    Weather(20, 10, 30, 1.0),
    Weather(10, 20, 30, 12.0),
    Weather(50, 10, 20, 4.0),
)
GAPS = (*(0.0, 0.001, 0.012, 0.03, 0.5, 4.0, 25.0, 90.0) * 12, 600.0, 3600.0)
PHASES = (1, 1, 1, 1, 1, 1, 1, 1, 1, 4)


class Chaos:
    """The life that belongs to `seed`; `run` raises Broken where a rule does not hold.

    `load` reads a configuration with lab timers; `acts` in each phase of trouble. `harm`: which of loss, silence and
    crash it met; `shut`: when its tunnels were taken down.
    """

    def __init__(self, seed: int | str, load: Load, *, acts: int = 24) -> None:
        self.seed, self.acts = str(seed), acts
        self.dice = Dice(f"chaos {seed}")
        self.phases = self.dice.pick(PHASES)
        self.scene = with_extras(behind_nat(scene(self.dice), Dice(f"nat {seed}")), Dice(f"extras {seed}"))
        self.scene = with_reauthentication(self.scene, Dice(f"anew {seed}"))
        self.world = World(seed, latency=self.dice.pick((0.002, 0.01, 0.06)))
        self.world.keep_mail = False
        # The mail room loses datagrams on both sides of a NAT; the box itself stands before it.
        self.nats = [
            Nat(
                self.world,
                ip_address(inside(self.scene, name)),
                ip_address(outside(name)),
                static=(500, 4500) if name == "R2" else (),
            )
            for name in self.scene.behind
        ]
        self.ledger = Ledger(self.world, translated=bool(self.nats))
        self.configs = {name: load(text(self.scene, name), f"{name}.cfg") for name in NAMES}
        self.weather = WEATHERS[0]
        self.silence = 0.0
        self.harm: set[str] = set()
        self.shut = 0.0
        self.story: list[str] = []
        self.world.impairments.append(self._fate)
        self.slow = self.dice.pick((0.0, 0.0, 0.0, 0.02, 0.3))

    def _fate(self, mail: Mail) -> Iterable[float] | None:
        weather, dice = self.weather, self.dice
        if mail.at < self.silence:
            return ()
        if weather.lost == 0 or dice.chance(weather.lost):
            return None if weather.lost == 0 else ()
        copies = 2 if dice.chance(weather.twice) else 1
        latency = self.world.latency
        return [latency + (dice.between(0, weather.late) if dice.chance(weather.delayed) else 0) for _ in range(copies)]

    def run(self) -> None:
        """The whole life."""
        for name in NAMES:
            self._start(name)
        self._pass(1.0)
        for _ in range(self.phases):
            self._trouble()
            self._quiet()
        self._end()

    def _start(self, name: str) -> None:
        station = self.world.add(self.configs[name], parameters=Parameters(record_octets=False))
        station.driver.slow = self.slow

    def _pass(self, seconds: float) -> None:
        """Time passes, in steps that are each looked at."""
        while seconds > 0:
            step = min(seconds, 5.0)
            self.world.run(step)
            self.ledger.step()
            seconds -= step

    def _trouble(self) -> None:
        self.weather = self.dice.pick(WEATHERS)
        self.harm |= {"loss"} if self.weather.lost else set()
        self._tell(f"weather: {self.weather}")
        for _ in range(self.acts):
            self._act(self.dice.pick(NAMES))
            self._pass(self.dice.pick(GAPS))
            self.ledger.step()

    def _tell(self, what: str) -> None:
        self.story.append(f"{self.world.now:9.3f} {what}")

    def told(self) -> list[str]:
        """The configurations and the acts, a line each."""
        return [*text(self.scene, NAMES[0]).splitlines(), "", *text(self.scene, NAMES[1]).splitlines(), "", *self.story]

    def _act(self, name: str) -> None:
        """An operator or a host behind a router does something; or a router crashes; or the network is gone."""
        dice, world = self.dice, self.world
        what = dice.below(100)
        if what < 3:
            self.harm.add("crash")
            self._tell(f"{name} crashes and comes back")
            world.remove(name)
            self._pass(dice.pick((0.1, 2.0, 40.0)))
            self._start(name)
        elif what < 6:
            self.silence = world.now + dice.pick((1.0, 10.0, 70.0, 300.0))
            self.harm.add("silence")
            self._tell(f"no datagram passes until {self.silence:.3f}")
            # An end that is behind a NAT itself follows nobody (RFC 7296 section 2.23): two such ends would meet again
            # only after both have given up.
            forgetful = self.nats if len(self.nats) == 1 else []
            for nat in forgetful[: dice.below(2)]:
                self._tell("a NAT forgets its mappings")
                nat.rebind()
        elif what < 45:
            for third in self.scene.thirds[: 1 + dice.below(3)]:
                self._ping(name, third)
        else:
            self._operate(name)

    def _operate(self, name: str) -> None:
        dice = self.dice
        intents = self._intents(name)
        intent = dice.pick(intents)
        self._tell(f"{name}: {intent}")
        self.world.ask(name, intent)
        if dice.chance(35):
            other = NAMES[1 - NAMES.index(name)]
            self._pass(dice.pick((0.0, 0.001, 0.005, 0.015)))
            intent = dice.pick(self._intents(other))
            self._tell(f"{other}: {intent}")
            self.world.ask(other, intent)

    def _intents(self, name: str) -> list[Intent]:
        core = core_of(self.world.stations[name])
        spis = [child.inbound for sa in core.sas.values() for child in sa.children.values()] or [0]
        spi = self.dice.pick(spis)
        child: list[Intent] = [Rekey(spi=spi), Rekey(spi=spi), Rekey(spi=spi), ClearChild(spi=spi)]
        return [*child, Rekey(), Rekey(), Rekey(), Probe(), ClearChild(), Clear(), Clear(fast=True)]

    def _ping(self, name: str, third: int) -> Ping:
        us, them = ("1", "2") if name == "R1" else ("2", "1")
        return self.world.ping(name, f"10.{us}.{third}.9", f"10.{them}.{third}.9")

    def _quiet(self) -> None:
        """The network heals: within the bound traffic is carried both ways; after it, in some lives, none is lost."""
        self.weather, self.silence = WEATHERS[0], 0.0
        self._tell("the network heals")
        end = self.world.now + BOUND
        patient, carried = self.dice.chance(25), False
        while self.world.now < end and (patient or not carried):
            offered = self._all_ping()
            self._pass(10.0)
            carried = all(ping.received is not None for _, ping in offered)
        if not carried:
            raise Broken(f"{BOUND:.0f} s after the network healed: {_lost(offered)}")
        if patient:
            self._faultless()

    def _faultless(self) -> None:
        self._tell("from now on every packet must arrive")
        offered = []
        for _ in range(20):
            offered += self._all_ping()
            self._pass(5.0)
            if self.dice.chance(30):
                self._cross()
        self._pass(PATIENCE)
        if lost := _lost(offered):
            raise Broken(f"long after the network healed: {lost}")

    def _cross(self) -> None:
        """Both ends rekey at about the same time, which costs no packet."""
        spi = {name: [0] for name in NAMES}
        for name in NAMES:
            core = core_of(self.world.stations[name])
            spi[name] = [child.inbound for sa in core.sas.values() for child in sa.children.values()] or [0]
        for name in NAMES:
            intent = Rekey(spi=self.dice.pick(spi[name])) if self.dice.chance(60) else Rekey()
            self._tell(f"{name}: {intent}")
            self.world.ask(name, intent)
            self._pass(self.dice.between(0.0, 2 * self.world.latency))

    def _all_ping(self) -> list[tuple[str, Ping]]:
        return [(f"{name} {third}", self._ping(name, third)) for third in self.scene.thirds for name in NAMES]

    def _end(self) -> None:
        """Everything is taken down; nothing is left."""
        self.shut = self.world.now
        for name, config in self.configs.items():
            tunnels = {key: _shut(tunnel) for key, tunnel in config.tunnels.items()}
            down = msgspec.structs.replace(config, tunnels=tunnels)
            self.world.stations[name].node.configure(down, self.world.now)
        self._tell("all tunnels shut, all cleared")
        for name in NAMES:
            self.world.ask(name, Clear())
        self._pass(RETRANSMISSION + 70.0)
        self.ledger.rest()
        if Dice(f"searched {self.seed}").pick((True, False, False, False)):  # a sixth of a life's time
            self.ledger.silent(self.configs[NAMES[0]])


def _lost(offered: list[tuple[str, Ping]]) -> str:
    lost = [(what, ping) for what, ping in offered if ping.received is None]
    return f"{len(lost)} of {len(offered)} pings lost, first {lost[0][0]} {lost[0][1]}" if lost else ""


_shut = functools.partial(msgspec.structs.replace, shutdown=True)
