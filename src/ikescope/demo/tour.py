"""`ikescope demo`: chooses the stage, plays the tour or one failure on it, writes the files, cleans up."""

from __future__ import annotations

import argparse
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from ikescope.daemon import paths
from ikescope.demo import checks, namespaces, output
from ikescope.demo.breaks import BREAKS, listing, named
from ikescope.demo.failure import Failure
from ikescope.demo.memory import MemoryStage
from ikescope.demo.plan import plan, texts
from ikescope.demo.screen import Screen, tally
from ikescope.demo.session import Missed, Session
from ikescope.demo.stage import ROUTERS, Stage, Unavailable
from ikescope.errors import LocalError
from ikescope.explain import summary
from ikescope.timeline import Timeline
from ikescope.views.ladder import ladder
from ikescope.views.walkthrough import Document

if TYPE_CHECKING:
    from ikescope.demo.network import NetworkStage

DEVICE = "R1 wan"
INTERRUPTED = 130
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name))
MEMORY = "the two routers run in memory."
SAME = "The routers, their messages and the ESP packets are the same; the time is their own, and no packet is real."
SLOW = namespaces.Obstacle("Giving up takes four minutes on a wire", "each wait for an answer is twice the one before")
FAILING = namespaces.Obstacle(
    "What fails here is the way between the routers", "no filter of this host is touched for it"
)


def main(options: argparse.Namespace) -> int:
    """Play the tour (`output`, `write_keys`, `keep`, `break_`); 0 when all that it claims held, 1 when not all did."""
    if options.break_ == "?":
        print("\n".join(listing()))
        return 0
    try:
        with _signals():
            return run(Screen(), Path(options.output), texts(), options)
    except KeyboardInterrupt:
        print("ikescope: interrupted; both routers were ended, nothing of them is left", file=sys.stderr)
        return INTERRUPTED


def run(screen: Screen, directory: Path, pair: Mapping[str, str], options: argparse.Namespace) -> int:
    """The tour over a pair of configurations."""
    broken = named(options.break_) if options.break_ else None
    if options.break_ and broken is None:
        raise LocalError(f"demo --break: had {options.break_}, wanted ? for the list, or {', '.join(BREAKS)}")
    keys = output.prepare(directory, keys=options.write_keys)
    changed = BREAKS[broken].change(pair) if broken else pair
    stage = choose(changed, broken, keep=options.keep, keys=keys.resolve() if keys else None)
    try:
        session = Session(stage, screen, pair)
        missed = _play(session, broken, changed)
        if missed:
            session.checked.append(checks.Check(False, missed))
        stage.end_routers()
        held = _close_up(session, directory, broken)
        if options.keep:
            _keep(stage, session, changed)
    finally:
        _undisturbed(stage)
    return 0 if held else 1


def _undisturbed(stage: Stage) -> None:
    """Clean up; whoever presses Ctrl-C once more does not stop that."""
    before = [signal.signal(number, signal.SIG_IGN) for number in ENDING]
    try:
        stage.close()
    finally:
        for number, handler in zip(ENDING, before, strict=True):
            signal.signal(number, handler)


def choose(pair: Mapping[str, str], broken: str | None, *, keep: bool, keys: Path | None) -> Stage:
    """Real packets where this host and user can, memory where not."""
    fault = BREAKS[broken] if broken else None
    found = (SLOW if fault.slow else FAILING) if fault is not None and fault.in_memory else namespaces.obstacle()
    if found is None:
        # Linux only, and so is what it imports.
        from ikescope.demo.network import NetworkStage

        stage = NetworkStage(plan(pair), keys=keys, control=_control() if keep else None)
        opened = False
        try:
            stage.open()
            opened = True
            return stage
        except Unavailable as error:
            found = namespaces.Obstacle("No network of its own", str(error))
        finally:
            if not opened:
                stage.close()
    lines = (f"{found.what}: {MEMORY}", f"({found.why}.) {SAME}")
    return MemoryStage(lines, keys=keys, fault=fault)


def _control() -> Path:
    """The directory where `ikescope console R1` looks; LocalError where such a router runs already."""
    directory = paths.default_directory()
    taken = [name for name in ROUTERS if name in paths.running(directory)]
    if taken:
        raise LocalError(f"--keep: {' and '.join(taken)} run already in {directory}; end them first")
    paths.make_directory(directory)
    return directory


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the tour as Ctrl-C does: everything is taken down first."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = [signal.signal(number, end) for number in ENDING]
    try:
        yield
    finally:
        for number, handler in zip(ENDING, before, strict=True):
            signal.signal(number, handler)


def _play(session: Session, broken: str | None, changed: Mapping[str, str]) -> str:
    """Why it did not go as claimed; empty when it did."""
    try:
        if broken:
            Failure(session, BREAKS[broken]).play(changed)
        else:
            session.run()
    except Missed as error:
        return str(error)
    return ""


def _close_up(session: Session, directory: Path, broken: str | None) -> bool:
    """Files, what was checked, the table; whether all that was claimed held."""
    screen, stage = session.screen, session.stage
    told = sorted(stage.records, key=lambda one: one.stamp.wall)
    timeline = Timeline().extend(told)
    frames = stage.frames()
    document = Document(
        "A FlexVPN tunnel, step by step" if not broken else f"A FlexVPN tunnel that fails: {BREAKS[broken].title}",
        session.answer or checks.summed_up(session.checked),
        screen.finish(),
        tuple(ladder(told)),
        tuple(summary.rows(timeline, "R1")),
        tuple(told),
    )
    files = output.contents(document, stage.records, frames, DEVICE)
    keys = checks.secrets(session.configs())
    session.checked.append(checks.no_secret(keys, screen.printed, files.values()))
    output.write(directory, files)
    screen.rule("Checked in this run")
    for check in session.checked:
        screen.show(screen.hang(check.line, "     "), "" if check.held else "bad")
    screen.rule("What it took")
    screen.show(table(timeline))
    screen.rule(f"Files in {directory}")
    screen.show(output.listing(directory))
    return all(check.held for check in session.checked)


def table(timeline: Timeline) -> list[str]:
    """The closing table as R1 sees it, within 80 columns: exchange, purpose or refusal, messages, octets, ms."""
    cells = [("exchange", "for", "messages", "octets", "ms")]
    for exchange, purpose, asked, messages, octets, milliseconds, result in summary.rows(timeline, "R1"):
        told = purpose if result == "done" else f"refused: {result}" if milliseconds != "-" else result
        cells.append(
            (exchange, told if asked == "R1" else f"{told} (asked by {asked})", messages, octets, milliseconds)
        )
    mine = [one for one in timeline.exchanges if one.sa[0] == "R1"]
    cells.append(("total", "", str(sum(one.messages for one in mine)), str(sum(one.octets for one in mine)), ""))
    return summary.aligned(cells, right=(2, 3, 4))


def _keep(stage: Stage, session: Session, pair: Mapping[str, str]) -> None:
    """Leave both routers up until Ctrl-C."""
    screen = session.screen
    if isinstance(stage, MemoryStage):
        screen.say("--keep: routers in memory end with this command; `ikescope run` keeps one, with a TUN device.")
        return
    from ikescope.demo.network import NetworkStage

    assert isinstance(stage, NetworkStage)
    stage.start(pair)
    way = session.plan.ways[0]
    screen.rule("Both routers are up again" + ("" if pair is not session.pair else ", with the right key"))
    screen.say("From another terminal: `ikescope console R1`, `ikescope console R2`.")
    for name, pid in stage.pids.items():
        way_in = "-n" if stage.root else "-U -n --preserve-credentials"
        screen.show([f"  {name} is process {pid}; in its network: nsenter -t {pid} {way_in} ip route"])
    screen.say("Here: Enter pings from H1 to H2, Ctrl-C ends both.")
    try:
        _wait_for_enter(stage, session, way.source, way.destination)
    except KeyboardInterrupt:
        screen.say("Both routers end; nothing is left.")


def _wait_for_enter(stage: NetworkStage, session: Session, source: str, destination: str) -> None:
    watched = [sys.stdin] if sys.stdin is not None and sys.stdin.isatty() else []
    while True:
        ready, _, _ = select.select(watched, [], [], 0.2)
        stage.rest(0.0)
        if ready:
            if not sys.stdin.readline():
                raise KeyboardInterrupt
            session.screen.show([f"H1$ ping -c 1 {destination}: {tally(stage.ping(source, destination, 1, 2.0))}"])
