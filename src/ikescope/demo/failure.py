"""One failure of `demo --break`: both routers' side of it, the finding that it ends in, the pair with its remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from ikescope.demo import checks
from ikescope.demo.breaks import Break
from ikescope.demo.memory import MemoryStage
from ikescope.demo.narrator import FAILURE, Told
from ikescope.demo.plan import Way
from ikescope.demo.session import Missed, Session, ping_from
from ikescope.demo.stage import ROUTERS, Echoed
from ikescope.events import Record
from ikescope.events.life import ChildSaCreated
from ikescope.explain.findings import Finding, Remedy, fill, findings, tell
from ikescope.explain.findings.lines import KEY
from ikescope.explain.summary import verdict
from ikescope.ios.configuration import load
from ikescope.timeline import Timeline

_QUIET = 0.3


class Failure:
    """Plays one row of the table of failures over a session's stage."""

    def __init__(self, session: Session, fault: Break) -> None:
        self.session, self.fault = session, fault
        self.stage, self.screen = session.stage, session.screen
        ways = session.plan.ways
        self._judged: list[Record] | None = None
        self.way: Way = ways[min(fault.way, len(ways) - 1)]

    def play(self, changed: Mapping[str, str]) -> None:
        """The failure with its verdict, what both routers said, the finding, the pair with its remedy."""
        session, screen, fault = self.session, self.screen, self.fault
        session.first()
        self.stage.start(changed)
        self.stage.rest(_QUIET)
        echoed, told = session.fail(0, self.way) if fault.act is None else self._live(fault)
        session.answer = tuple(verdict(told.walk.timeline, "R1")[:2])
        screen.heading(FAILURE, f"When it fails: {fault.title}")
        screen.say(fault.what)
        screen.answer(session.answer)
        screen.shell("H1", f"ping -c 1{ping_from(self.way, session.plan)} {self.way.destination}")
        screen.replies(self.way.destination, echoed)
        session.sides(told, whole=True, silent=fault.silent)
        if fault.act is None:
            claim = "the ping through the broken tunnel was not answered"
            session.checked.append(checks.Check(echoed[0].milliseconds is None, claim))
        found = self._finding(changed)
        if any("SPI : " in line for line in screen.printed):
            session.checked.append(checks.spis_on_the_wire(screen.printed, self.stage.frames(), esp_too=False))
        if found is not None:
            self._mend(found, changed)
        session.checked.append(checks.nothing_in_clear(self.stage.frames()))

    def _live(self, fault: Break) -> tuple[list[Echoed], Told]:
        """Bring the tunnel up, then do what breaks it; Missed where it does not come up."""
        assert fault.act is not None
        self.stage.ping(self.way.source, self.way.destination, 1, 2.0)

        def up() -> bool:
            made = (one for one in self.stage.records if isinstance(one.event, ChildSaCreated))
            return {one.stamp.router for one in made} == set(ROUTERS)

        if not self.stage.until(up, 20.0):
            raise Missed("the tunnel did not come up")
        self.stage.rest(_QUIET)
        since = 0.0 if fault.from_start else max(one.stamp.wall for one in self.stage.records) + 1e-6
        fault.act(self.stage, self.way)
        self._judged = list(self.stage.records) if fault.before_ping else None
        echoed = self.stage.ping(self.way.source, self.way.destination, 1, 1.0)
        return echoed, Told(self.stage.records, since)

    def _seen(self, routers: Iterable[str]) -> list[Finding]:
        wanted = set(routers)
        records = self.stage.records if self._judged is None else self._judged
        mine: list[Record] = [one for one in records if one.stamp.router in wanted]
        told = sorted(mine, key=lambda one: one.stamp.wall)
        return findings(Timeline().extend(told), next(iter(routers)))

    def _finding(self, changed: Mapping[str, str]) -> Finding | None:
        """Print the finding of both logs, and what each of them alone would show; None where it is not this one."""
        screen, wanted = self.screen, self.fault.id
        found = next((one for one in self._seen(ROUTERS) if one.id == wanted), None)
        self.session.checked.append(checks.Check(found is not None, f"both logs together show {wanted}"))
        if found is None:
            return None
        found = replace(found, remedy=tuple(_filled(one, changed) for one in found.remedy))
        screen.say("What `ikescope read` finds in both logs:", "heading")
        screen.gap()
        for line in tell(found):
            indent = " " * (len(line) - len(line.lstrip()))
            screen.show(
                [indent + one for one in screen.hang(line.strip(), "  ")] if len(line) > screen.width else [line]
            )
        screen.gap()
        for router in ROUTERS:
            alone = [f"{one.id} ({one.confidence})" for one in self._seen((router,)) if _weighs(one, found)]
            screen.show(screen.hang(f"{router}'s log alone: {', '.join(alone) or 'nothing that is wrong'}.", "  "))
        return found

    def _mend(self, found: Finding, changed: Mapping[str, str]) -> None:
        """The same pair with the remedy's lines, or with the way open: one ping, which must be answered."""
        if found.severity == "note" or not self.fault.mends:
            return
        lines = None if self.fault.by_hand else next(iter(_ways(found)), None)
        stage, screen = self.stage, self.screen
        if lines is None and not isinstance(stage, MemoryStage):
            return
        stage.end_routers()
        if lines is None and isinstance(stage, MemoryStage):
            stage.heal()
        mended = remedied(changed, lines or ())
        stage.start(mended)
        stage.rest(_QUIET)
        what = "with that remedy" if lines else "with nothing wrong between them"
        screen.say(f"The same pair {what}:", "heading")
        screen.shell("H1", f"ping -c 1{ping_from(self.way, self.session.plan)} {self.way.destination}")
        echoed = stage.ping(self.way.source, self.way.destination, 1, 5.0)
        screen.replies(self.way.destination, echoed)
        self.session.checked.append(checks.Check(echoed[0].milliseconds is not None, f"the same pair comes up {what}"))


def _weighs(one: Finding, found: Finding) -> bool:
    return one.severity != "note" or found.severity == "note"


def _ways(found: Finding) -> list[tuple[Remedy, ...]]:
    """What mends it in lines of IOS: those that are needed together, or one alone."""
    ios = [one for one in found.remedy if one.syntax == "ios" and not one.lines[0].startswith("clear ")]
    both = tuple(one for one in ios if one.both)
    return [*([both] if both else []), *((one,) for one in ios if not one.both)]


def _router(one: Remedy) -> str:
    return "R1" if one.side == "local" else "R2"


def _filled(one: Remedy, pair: Mapping[str, str]) -> Remedy:
    """A remedy with the names of the configuration that it is for."""
    name = _router(one)
    return fill(one, load(pair[name], name=f"{name}.cfg", lab_timers=True))


def remedied(pair: Mapping[str, str], remedies: Iterable[Remedy]) -> dict[str, str]:
    """Both configurations with these lines at the end of those that they are for, as R1 judges; the key is R1's."""
    mended = dict(pair)
    config = load(pair["R1"], name="R1.cfg", lab_timers=True)
    key = next(peer.local_key for ring in config.keyrings.values() for peer in ring.peers)
    for one in remedies:
        name = _router(one)
        shared = key.octets.decode() if key is not None else KEY
        lines = [line.replace(KEY, shared) for line in _filled(one, mended).lines]
        head, end, tail = mended[name].rpartition("\nend")
        mended[name] = "\n".join([head, *lines]) + end + tail if end else "\n".join([mended[name], *lines])
    return mended
