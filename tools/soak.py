"""Lives of two routers in memory, one a seed: `make soak`, or tools/soak.py --count 1000 --first 5000.

A seed gives configurations, faults of the network, acts of operators and hours of virtual time; `ikescope.sim.ledger`
says what must hold. Each seed that breaks a rule is printed with the command that replays it. Every hundredth seed runs
real key exchanges, all others quick ones. Exit status: 0 all held, 1 some did not.

    tools/soak.py --findings --count 10000  false alarms are faults too
    tools/soak.py --matrix                  the fault matrix: how often each id was due, said, said falsely
    tools/soak.py --seed 4711 --ladder      what happened in one life: acts, events, and the ladder of the last minutes
"""

import argparse
import multiprocessing
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ikescope.config.model import RouterConfig
from ikescope.explain.findings import findings
from ikescope.ios.configuration import load
from ikescope.sim.chaos import Chaos
from ikescope.sim.ledger import Broken
from ikescope.sim.quick import quick_key_exchange
from ikescope.timeline import Timeline
from ikescope.views.events_text import lines
from ikescope.views.ladder import ladder

REAL = 100
"""Every so many seeds a life has real key exchanges."""
PROGRESS = 10.0
WINDOW = 400.0
"""Seconds before the end that a ladder shows."""


VIEWPOINTS = (("R1",), ("R2",), ("R1", "R2"))
LOSSES = frozenset({"no-response", "response-lost", "port-4500-blocked", "large-messages-lost", "peer-dead"})
"""What a network that loses all seven sendings of a message looks like, rightly."""


def read(text: str, name: str) -> RouterConfig:
    """A configuration of the simulation, which has lab timers."""
    return load(text, name=name, lab_timers=True)


def key_exchange(seed: int) -> AbstractContextManager[None]:
    """Which key exchange a seed runs with."""
    return nullcontext() if seed % REAL == 0 else quick_key_exchange()


def live(seed: int, judged: bool = False) -> tuple[Chaos, str]:
    """One life, and what broke in it (empty: nothing); `judged`: an alarm that nothing in it gave is a fault too."""
    with key_exchange(seed):
        chaos = Chaos(seed, read)
        try:
            chaos.run()
            if judged and (found := alarms(chaos, seed)):
                return chaos, found
        except Broken as error:
            return chaos, str(error)
        except Exception:  # noqa: BLE001 - whatever it is, its seed is named
            return chaos, traceback.format_exc()
    return chaos, ""


def alarms(chaos: Chaos, seed: int) -> str:
    """What the findings of one viewpoint, another with each seed, say is wrong though nobody did it; empty: nothing.

    The network of a life may lose a message as often as it is sent: to say that much is no false alarm. Where nothing
    was lost and no router crashed, it is one. What comes once the tunnels are taken down is not looked at.
    """
    who = VIEWPOINTS[seed % len(VIEWPOINTS)]
    told = (one for one in chaos.ledger.records if one.stamp.router in who and one.stamp.mono <= chaos.shut)
    justified = LOSSES if chaos.harm else frozenset[str]()
    worse = [one for one in findings(Timeline().extend(told), who[0]) if one.severity != "note"]
    found = [one for one in worse if one.id not in justified]
    return "; ".join(f"false alarm of {' and '.join(who)}: {one.severity} {one.id}: {one.cause}" for one in found)


def judged_outcome(seed: int) -> tuple[int, str, float]:
    """What a worker hands back where findings are looked at too."""
    chaos, fault = live(seed, judged=True)
    return seed, fault, chaos.world.now - 1000.0


def outcome(seed: int) -> tuple[int, str, float]:
    """What a worker hands back: seed, fault, virtual seconds."""
    chaos, fault = live(seed)
    return seed, fault, chaos.world.now - 1000.0


def replay(seed: int) -> str:
    """The one command that shows a seed's life."""
    return f"python tools/soak.py --seed {seed} --ladder"


def outcomes(first: int, count: int, jobs: int, judged: bool = False) -> Iterator[tuple[int, str, float]]:
    """The outcome of every seed, as they come."""
    seeds = range(first, first + count)
    work = judged_outcome if judged else outcome
    if jobs < 2:
        yield from map(work, seeds)
        return
    with multiprocessing.Pool(jobs) as pool:
        yield from pool.imap_unordered(work, seeds, chunksize=4)


def soak(first: int, count: int, jobs: int, minutes: float, limit: int, judged: bool = False) -> int:
    """Run seeds until they are done, the minutes are over, or `limit` of them broke."""
    begun = told = time.monotonic()
    done, virtual, broken = 0, 0.0, 0
    for seed, fault, seconds in outcomes(first, count, jobs, judged):
        done, virtual = done + 1, virtual + seconds
        if fault:
            broken += 1
            print(f"seed {seed}: {fault.strip()}\n  replay: {replay(seed)}", flush=True)
        now = time.monotonic()
        over = (now - begun) / 60 >= minutes or broken >= limit
        if now - told >= PROGRESS or over:
            told = now
            rate = done / (now - begun)
            print(f"{done} of {count} seeds, {broken} broken, {rate:.1f}/s, {virtual / 3600:.0f} h lived", flush=True)
        if over:
            break
    spent = time.monotonic() - begun
    print(f"{done} seeds from {first}, {broken} broken, {virtual / 3600:.0f} virtual hours in {spent:.0f} s")
    return 1 if broken else 0


def show(seed: int, with_ladder: bool) -> int:
    """Print one life: the acts, and with a ladder the events and messages of its last minutes."""
    chaos, fault = live(seed)
    print("\n".join(chaos.told()))
    if with_ladder:
        records = [one for one in chaos.ledger.records if one.stamp.mono >= chaos.world.now - WINDOW]
        print("\n".join(["", *lines(records), "", *ladder(records, width=110)]))
    print(f"\nseed {seed}: {fault or 'every rule held'}")
    return 1 if fault else 0


def matrix() -> int:
    """The whole fault matrix, a line for each id; 0 where nothing was said falsely and records missed nothing."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.faults import FAULTS, HEALTHY
    from tests.support.matrix import every, score

    with quick_key_exchange():
        found = score(every({**FAULTS, **HEALTHY}))
    wrong = 0
    for id, one in sorted(found.items()):
        false = sum(one.false.values())
        wrong += false + one.due["records"] - one.said["records"]
        told = ", ".join(f"{source} {one.said[source]} of {one.due[source]}" for source in ("records", "debug"))
        print(f"{id:24} {told}, {false} false")
    return 1 if wrong else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, run the fault matrix, or show one seed."""
    parser = argparse.ArgumentParser(description="Lives of two routers in memory, one a seed.")
    parser.add_argument("--seed", type=int, help="show this one")
    parser.add_argument("--ladder", action="store_true", help="with --seed: its events and its ladder too")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--count", type=int, default=100_000, help="how many seeds (100000)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--minutes", type=float, default=360.0, help="stop after so many minutes (360)")
    parser.add_argument("--limit", type=int, default=10, help="stop after so many broken seeds (10)")
    parser.add_argument("--findings", action="store_true", help="false alarms of the findings are faults too")
    parser.add_argument("--matrix", action="store_true", help="the fault matrix instead: precision and recall by id")
    args = parser.parse_args(argv)
    if args.matrix:
        return matrix()
    if args.seed is not None:
        return show(args.seed, args.ladder)
    return soak(args.first, args.count, args.jobs, args.minutes, args.limit, args.findings)


if __name__ == "__main__":
    sys.exit(main())
