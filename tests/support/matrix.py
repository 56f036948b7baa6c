"""The fault matrix: a fault is staged, judged from every viewpoint, mended by its own remedy, counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from itertools import groupby
from typing import Literal

from tests.support.faults import Fault, Scene
from tests.support.world import ADDRESSES, BOTH, Pair, Side, text

from ikescope.config.model import RouterConfig
from ikescope.config.smart_defaults import Generation
from ikescope.events import Record
from ikescope.explain.findings import Finding, Remedy, fill, findings
from ikescope.ios.configuration import load
from ikescope.ios.debug import Renderer, transcript
from ikescope.ios.debug_read import read
from ikescope.sim.impair import impair, parse
from ikescope.sim.nat import Nat
from ikescope.sim.world import World
from ikescope.timeline import Timeline, merged

Source = Literal["records", "debug"]
SOURCES: tuple[Source, ...] = ("records", "debug")
GENERATIONS: dict[Generation, str] = {"15": "15.4", "17": "17.9", "26": "26.1"}
"""Generation -> the `version` line that chooses it."""
VIEWPOINTS: tuple[tuple[str, ...], ...] = (("R1",), ("R2",), BOTH)
DEEDS = frozenset({"peer-deleted"})
"""What tells a deed and not its cause: certain, and on the side that did it."""
SHARED = Side().key
PRIVATE = IPv4Address("172.16.0.1")


def lines(name: str, side: Side, generation: Generation, nat: bool) -> list[str]:
    """The configuration of R1 or R2; behind a NAT R1 has a private address."""
    found = text(name, replace(side, version=GENERATIONS[generation]))
    mine = f" ip address {ADDRESSES['R1']} "
    private = nat and name == "R1"
    return [one.replace(mine, f" ip address {PRIVATE} ") if private else one for one in found]


@dataclass(frozen=True)
class Staged:
    """A fault as it was staged: which end was faulty, and all that both told."""

    fault: Fault
    faulty: str
    generation: Generation
    configs: dict[str, list[str]]
    records: tuple[Record, ...]

    def seen(self, who: Iterable[str], source: Source = "records") -> list[Record]:
        """What these routers tell, by their records or by the debug that they print at the default level."""
        lists = [[one for one in self.records if one.stamp.router == name] for name in who]
        if source == "debug":
            renderer = Renderer(generation=self.generation, stamps=True)
            lists = [
                [one for one in read(transcript(renderer, told), router=name, year=2023) if isinstance(one, Record)]
                for name, told in zip(who, lists, strict=True)
            ]
        return lists[0] if len(lists) == 1 else merged(lists)

    def found(self, who: tuple[str, ...], source: Source = "records") -> list[Finding]:
        """The findings from a viewpoint, judged from its first router."""
        return findings(Timeline().extend(self.seen(who, source)), who[0])


def world_of(fault: Fault, seed: str) -> World:
    """A world with the fault's weather."""
    world = World(seed, latency=0.01)
    world.keep_mail = False
    for line in fault.impairments:
        impair(world, parse(line))
    if fault.weather is not None:
        fault.weather(world)
    return world


def run(fault: Fault, configs: dict[str, list[str]], act: Callable[[Pair], None]) -> Pair:
    """Both routers live in the fault's network."""
    world = world_of(fault, "matrix")
    pair = Scene(world, nat=Nat(world, PRIVATE, ADDRESSES["R1"]) if fault.nat else None)
    for name in BOTH:
        world.add(loaded(name, configs[name]))
    act(pair)
    return pair


def loaded(name: str, configuration: Iterable[str]) -> RouterConfig:
    """A configuration as its router reads it."""
    return load("\n".join(configuration), name=f"{name}.cfg", lab_timers=True)


def stage(fault: Fault, faulty: str = "R2", generation: Generation = "17") -> Staged:
    """Let the fault happen."""
    configs = {name: lines(name, fault.bad if name == faulty else fault.good, generation, fault.nat) for name in BOTH}
    pair = run(fault, configs, fault.act)
    return Staged(fault, faulty, generation, configs, tuple(pair.world.records))


def judge(staged: Staged, who: tuple[str, ...], source: Source = "records") -> list[str]:
    """What is wrong with the findings from a viewpoint; empty where all is right."""
    fault, found = staged.fault, staged.found(who, source)
    worse = [one for one in found if one.severity != "note" or one.id == fault.id]
    knows = fault.known(staged.faulty, who)
    allowed = frozenset({fault.id} if fault.id else {""}) | (
        frozenset() if knows and source == "records" else fault.blind
    )
    wrong = [f"{one.severity} {one.id}: {one.cause}" for one in worse if one.id not in allowed]
    if not worse and "" not in allowed:
        wrong.append(f"{fault.id} is not found")
    if len(worse) > 1:
        wrong.append(f"{len(worse)} findings: {', '.join(one.id for one in worse)}")
    for one in worse:
        wrong += _sided(staged, one, who, knows and source == "records")
    return wrong


def _sided(staged: Staged, one: Finding, who: tuple[str, ...], knows: bool) -> Iterable[str]:
    fault = staged.fault
    right = fault.sides(staged.faulty, who[0])
    sure = knows or (one.side != "unknown" and one.confidence == "certain" and one.id not in DEEDS)
    if one.side not in right and sure:
        yield f"{one.id}: side {one.side} ({one.confidence}), right is {' or '.join(sorted(right))}"
    if not one.evidence:
        yield f"{one.id} has no evidence"
    if knows and one.severity != "note" and one.confidence == "certain":
        sides = {remedy.side for remedy in one.remedy}
        wanted = right | {"local", "peer"} if fault.side in ("unknown", "path") else right
        if not sides & wanted:
            yield f"{one.id}: no remedy for {' or '.join(sorted(wanted))}, but for {', '.join(sorted(sides)) or 'none'}"


def alternatives(one: Finding) -> list[list[Remedy]]:
    """The ways to mend it that are lines for IOS: all remedies that are needed together, or one alone."""
    ios = [remedy for remedy in one.remedy if remedy.syntax == "ios"]
    return [list(group) for both, group in _grouped(ios) if group]


def _grouped(remedies: list[Remedy]) -> Iterable[tuple[bool, list[Remedy]]]:
    for both, group in groupby(remedies, key=lambda remedy: remedy.both):
        several = list(group)
        yield from [(both, several)] if both else [(both, [remedy]) for remedy in several]


def remedied(staged: Staged, judge: str, remedies: Iterable[Remedy]) -> dict[str, list[str]]:
    """Both configurations with the lines of these remedies typed on the sides that they name."""
    configs = {name: list(found) for name, found in staged.configs.items()}
    for remedy in remedies:
        name = judge if remedy.side == "local" else next(one for one in BOTH if one != judge)
        full = fill(remedy, loaded(name, configs[name]))
        configs[name] += [line.replace("<the key that both ends share>", SHARED) for line in full.lines]
    return configs


def unhealed(staged: Staged, judge: str, one: Finding) -> list[str]:
    """What does not come up with a remedy of this finding; empty where each of them mends it."""
    wrong = []
    ways = alternatives(one)
    if not ways:
        wrong.append(f"{one.id} has no lines for IOS")
    for remedies in ways:
        configs = remedied(staged, judge, remedies)
        pair = run(staged.fault, configs, staged.fault.healed)
        if all(ping.received is None for ping in pair.watched[-2:]):
            typed = "; ".join(f"{remedy.side}: {' / '.join(remedy.lines)}" for remedy in remedies)
            after = findings(Timeline().extend(pair.world.records), judge)
            wrong.append(f"{one.id} is not mended by {typed}: {[(f.id, f.cause) for f in after]}")
    return wrong


@dataclass
class Score:
    """How often a finding was due and said, due and not said, said and not due: by records and by debug text."""

    due: Counter[Source] = field(default_factory=Counter)
    said: Counter[Source] = field(default_factory=Counter)
    false: Counter[Source] = field(default_factory=Counter)


def every(faults: Mapping[str, Fault], generations: Iterable[Generation] = GENERATIONS) -> Iterator[Staged]:
    """Each fault, its faulty end first the initiator and then the responder, under each generation."""
    for fault in faults.values():
        for faulty in fault.at:
            for generation in generations:
                yield stage(fault, faulty, generation)


def score(faults: Iterable[Staged]) -> dict[str, Score]:
    """Precision and recall by id, over all viewpoints and sources.

    A finding is due where the viewpoint's full records hold the facts, from its debug text too. What looks the
    same where they do not hold them, and says so, is not counted against it.
    """
    found: dict[str, Score] = defaultdict(Score)
    for staged in faults:
        fault = staged.fault
        for who in VIEWPOINTS:
            for source in SOURCES:
                said = {one.id for one in staged.found(who, source) if one.severity != "note" or one.id == fault.id}
                knows = fault.known(staged.faulty, who)
                if fault.id and knows:
                    found[fault.id].due[source] += 1
                for id in said:
                    found[id].said[source] += id == fault.id and knows
                    found[id].false[source] += id != fault.id and id not in fault.blind
    return found
