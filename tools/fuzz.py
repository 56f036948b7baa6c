"""Random and mutated datagrams at whatever reads what a peer sends: `make fuzz`, or `python -m tools.fuzz --count 100`.

A decoder may refuse with PeerError and nothing else, and what it accepts it must write back octet for octet. A router
may refuse, answer or close the IKE SA that a datagram belongs to; no defect of its own may show, no other peer's SA may
suffer, and what it keeps is bounded. Fragments are put together or refused, and never more is held than is allowed.
Of ESP that was changed, repeated or sealed with harm in mind nothing is delivered, and the next honest packet passes.
The first datagram that breaks this is printed as hex, with the seed that leads to it, and the exit status is 1.

No datagram may take longer than a millisecond of processor time, key-exchange arithmetic apart. One that does is an
outlier; it becomes a finding when it does so each time that its round is played again. Memory may not grow.
"""

import argparse
import gc
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tools.fuzz_esp import Esp, EspRuns
from tools.fuzz_fragments import Fragments
from tools.fuzz_inputs import Source, datagram
from tools.fuzz_router import Router

from ikescope.crypto import key_exchange
from ikescope.errors import PeerError
from ikescope.wire.message import Message

Target = Callable[[bytes], float]
"""Takes a datagram; the seconds of processor time that reading it took."""

MAX_COUNT = 10_000_000
ROUND = 20_000
"""How many datagrams a target gets before it is made anew."""
LIMIT = 0.001
"""Seconds of processor time that a message may take, key-exchange arithmetic apart."""
REPLAYS = 3
HANG = 20.0
"""Seconds after which a datagram is not waited for any longer."""
GROWTH = 32 << 20
"""Octets that the process may grow by, within a round once it is warm, and from the second round to the last."""
PAGE = 4096


@dataclass(slots=True)
class Apart:
    """Processor time that does not count: key-exchange arithmetic, and the collection of garbage."""

    seconds: float = 0.0
    _since: float = 0.0

    def collecting(self, phase: str, _: object) -> None:
        """A callback of the garbage collector's."""
        if phase == "start":
            self._since = time.process_time()
        else:
            self.seconds += time.process_time() - self._since


APART = Apart()


def timed(call: Callable[[], object]) -> float:
    """Seconds of processor time that a call takes, what stands apart excluded."""
    began, apart = time.process_time(), APART.seconds
    call()
    return time.process_time() - began - (APART.seconds - apart)


def stand_apart() -> None:
    """From now on key-exchange arithmetic and garbage collection are measured apart."""
    gc.callbacks.append(APART.collecting)
    made, agreed = key_exchange.from_private, key_exchange.KeyExchange.shared_secret

    def from_private(group: int, private: bytes) -> key_exchange.KeyExchange:
        began = time.process_time()
        try:
            return made(group, private)
        finally:
            APART.seconds += time.process_time() - began

    def shared_secret(side: key_exchange.KeyExchange, peer_public: bytes) -> bytes:
        began = time.process_time()
        try:
            return agreed(side, peer_public)
        finally:
            APART.seconds += time.process_time() - began

    key_exchange.from_private = from_private
    key_exchange.KeyExchange.shared_secret = shared_secret  # type: ignore[method-assign, assignment]


def decode(data: bytes) -> None:
    """The decoder accepts or refuses with PeerError; what it accepts it writes back as it was."""
    try:
        parsed = Message.parse(data)
    except PeerError:
        return
    again = parsed.encode()
    if again != data:
        raise AssertionError(f"written back differently: {again.hex()}")


def decoder(data: bytes) -> float:
    """The decoder as a target."""
    return timed(lambda: decode(data))


TARGETS: dict[str, Callable[[], Target]] = {
    "decoder": lambda: decoder,
    "fragments": lambda: Fragments(timed),
    "engine": lambda: Router(timed),
    "esp": lambda: Esp(timed),
    "esp-runs": lambda: EspRuns(timed),
}
"""Name -> what makes the target of a round."""


@dataclass(slots=True)
class Report:
    """How a run went. `finding` is empty when all went well, else what the first failure was."""

    finding: str = ""
    count: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    outliers: int = 0
    confirmed: float = 0.0
    grown: int = 0
    memory: list[int] = field(default_factory=list)

    def line(self) -> str:
        """The figures."""
        return (
            f"{1000 * self.seconds / max(1, self.count):.3f} ms a datagram; {self.outliers} above 1 ms once, "
            f"the longest {1000 * self.longest:.1f} ms; played again at most {1000 * self.confirmed:.2f} ms; "
            f"{self.grown >> 10} KiB grown"
        )


def resident() -> int:
    """Octets of memory that this process holds now; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def _hang(_: int, __: FrameType | None) -> None:
    raise TimeoutError(f"no end after {HANG:.0f} s")


def play(target: Target, source: Source, count: int, report: Report, first: int = 0) -> list[float]:
    """Give `count` datagrams to a target; the seconds of each, fewer than `count` when one is a finding."""
    taken: list[float] = []
    for number in range(first, first + count):
        data = datagram(source)
        signal.setitimer(signal.ITIMER_REAL, HANG)
        try:
            taken.append(target(data))
        except Exception as error:  # noqa: BLE001 - any exception at all is the finding
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            report.finding = f"datagram {number}, {where}: {type(error).__name__}: {error}\n{data.hex()}"
            break
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    return taken


def fuzz(make: Callable[[], Target], count: int, seed: int, *, size: int = ROUND, limit: float = LIMIT) -> Report:
    """Give `count` datagrams to targets, a new one each round; the round number is part of the seed."""
    report = Report()
    before = signal.signal(signal.SIGALRM, _hang)
    try:
        for number in range(-(-count // size)):
            _round(make, f"{seed}/{number}", min(size, count - number * size), report, limit)
            if report.finding:
                report.finding = f"round {number} of seed {seed}, {report.finding}"
                break
    finally:
        signal.signal(signal.SIGALRM, before)
    return report


def _round(make: Callable[[], Target], seed: str, count: int, report: Report, limit: float) -> None:
    source, target = random.Random(seed), make()
    warm = count // 10
    taken = play(target, source, warm, report)
    held = resident()
    if not report.finding:
        taken += play(target, source, count - warm, report, warm)
    within = resident() - held
    del target
    gc.collect()
    report.memory.append(resident())
    report.count += len(taken)
    report.seconds += sum(taken)
    report.longest = max([report.longest, *taken])
    report.grown = max(report.grown, within, report.memory[-1] - report.memory[min(1, len(report.memory) - 1)])
    if not report.finding and report.grown > GROWTH:
        report.finding = f"grown by {report.grown >> 20} MiB, wanted at most {GROWTH >> 20}"
    slow = {index: seconds for index, seconds in enumerate(taken) if seconds > limit}
    report.outliers += len(slow)
    if slow and not report.finding:
        _again(make, seed, slow, report, limit)


def _again(make: Callable[[], Target], seed: str, slow: dict[int, float], report: Report, limit: float) -> None:
    """Play a round again up to its last outlier: a datagram that is slow each time is a finding."""
    rest = dict(slow)
    for _ in range(REPLAYS):
        taken = play(make(), random.Random(seed), max(rest) + 1, report)
        if report.finding:
            report.finding = f"played again, {report.finding}"
            return
        rest = {index: min(seconds, taken[index]) for index, seconds in rest.items()}
        report.confirmed = max([report.confirmed, *(one for one in rest.values() if one <= limit)])
        rest = {index: seconds for index, seconds in rest.items() if seconds > limit}
        if not rest:
            return
    index = max(rest, key=lambda one: rest[one])
    report.confirmed = rest[index]
    source = random.Random(seed)
    data = [datagram(source) for _ in range(index + 1)][-1]
    many = f" (and {len(rest) - 1} others)" if len(rest) > 1 else ""
    report.finding = f"datagram {index}{many}: {1000 * rest[index]:.2f} ms in each of {REPLAYS + 1} plays\n{data.hex()}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz as the command line says; 0 when nothing was found, 1 when something was."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help=f"datagrams a target, at most {MAX_COUNT}")
    parser.add_argument("--seed", type=int, default=None, help="repeat the run of this seed")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="default: all")
    options = parser.parse_args(arguments)
    count = min(options.count, MAX_COUNT)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    stand_apart()
    for name in options.target or TARGETS:
        began = time.monotonic()
        report = fuzz(TARGETS[name], count, seed)
        if report.finding:
            print(f"{name}: {report.finding}")
            return 1
        print(f"{name}: {count} datagrams of seed {seed}, nothing found, {time.monotonic() - began:.0f} s")
        print(f"  {report.line()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
