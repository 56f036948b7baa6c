"""The tour itself, once for every stage: what is pinged and typed in each part, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping

from ikescope.config.model import RouterConfig
from ikescope.demo import checks
from ikescope.demo.breaks import BREAKS, wrong_key
from ikescope.demo.narrator import FAILURE, Narrator, Told
from ikescope.demo.plan import Plan, Way, plan
from ikescope.demo.screen import Screen, tally
from ikescope.demo.stage import Echoed, Stage
from ikescope.errors import LocalError
from ikescope.events import Event, Record
from ikescope.events.life import (
    ChildSaClosed,
    ChildSaRekeyed,
    IkeSaClosed,
    IkeSaRekeyed,
    LivenessAnswered,
    SessionUp,
)
from ikescope.events.router import PacketsReleased
from ikescope.explain.summary import verdict

LOWERED = 10
"""Seconds: the lowest lifetime of --lab-timers, so that a rekey is due within seconds."""
_QUIET, _PATIENCE, _REKEY = 0.3, 5.0, 20.0
PARTS = range(1, 9)


class Missed(LocalError):
    """Something that the tour claims did not happen."""

    exit_status = 1


class Session:
    """One tour over a stage, from the first line to the failure; `checked` collects what it claims."""

    def __init__(self, stage: Stage, screen: Screen, pair: Mapping[str, str]) -> None:
        self.stage, self.screen, self.pair = stage, screen, pair
        self.plan: Plan = plan(pair)
        self.narrator = Narrator(screen)
        self.checked: list[checks.Check] = []
        self.answer: tuple[str, ...] = ()
        self._pinged: list[Echoed] = []
        self._told = 0

    def _tell(self) -> None:
        records = self.stage.records
        new, self._told = records[self._told :], len(records)
        self.narrator.tell(new)

    def _wait(self, kind: type[Event], since: int, limit: float, what: str) -> None:
        """Tell what happens until R1 tells of such an event; Missed where it does not."""

        def come() -> bool:
            self._tell()
            return any(isinstance(record.event, kind) for record in self._of("R1", since))

        if not self.stage.until(come, limit):
            raise Missed(f"{what} did not happen within {limit:g} s")
        self.stage.rest(_QUIET)
        self._tell()

    def _of(self, router: str, since: int = 0) -> list[Record]:
        return [record for record in self.stage.records[since:] if record.stamp.router == router]

    def _type(self, *lines: str) -> None:
        for line in lines:
            said = self.stage.type("R1", line)
            self.screen.typed(said)
            if said.refused:
                raise Missed(f"R1 refused the command: {line}")

    def _ping(self, way: Way, count: int) -> list[Echoed]:
        self.screen.shell("H1", f"ping -c {count}{ping_from(way, self.plan)} {way.destination}")
        echoed = self.stage.ping(way.source, way.destination, count, _PATIENCE)
        self._pinged += echoed
        self.stage.rest(_QUIET)
        return echoed

    def run(self) -> None:
        """All parts."""
        self.opening()
        for part in (self.negotiation, self.traffic, self.rekeys, self.goodbye):
            part()
        self.failure()
        self.checked.append(checks.in_order([one.part for one in self.screen.sections], PARTS))
        self.checked.append(checks.spis_on_the_wire(self.screen.printed, self.stage.frames()))
        self.checked.append(checks.nothing_in_clear(self.stage.frames()))

    def configs(self) -> list[RouterConfig]:
        """Every configuration that was run."""
        broken = plan(wrong_key(self.pair))
        return [*self.plan.configs.values(), *broken.configs.values()]

    def first(self) -> None:
        """Where this plays."""
        first, *rest = self.stage.first_lines
        self.screen.say(first, "command")
        for line in rest:
            self.screen.show(self.screen.hang(line, ""))

    def opening(self) -> None:
        """Where this plays, who is who, how to read it."""
        show = self.screen
        self.first()
        show.show(["", *picture(self.plan), ""])
        show.say(
            "Lines are what R1, the initiator, prints under `debug crypto ikev2`, word for word. "
            "Lines that begin with ! are the guide: what to look at, and why. R1# is R1's console, H1$ a LAN host."
        )

    def negotiation(self) -> None:
        """Parts 1 to 5, as far as the IPsec SA: one ping sets it all going."""
        self.stage.start(self.pair)
        self.stage.rest(_QUIET)
        self.checked.append(checks.quiet_before(self.stage.frames()))
        self.screen.heading(1)
        way = self.plan.ways[0]
        echoed = self._ping(way, 1)
        self._tell()
        if self.screen.part != 5:
            raise Missed("the tunnel did not come up")
        self.screen.shell("H1", f"ping -c 1 {way.destination}   (the one that began it)")
        self.screen.replies(way.destination, echoed)

    def traffic(self) -> None:
        """Part 5: ping replies through ESP, the shows."""
        released = sum(one.event.sent for one in self._of("R1") if isinstance(one.event, PacketsReleased))
        way = self.plan.ways[0]
        if released and self._pinged[0].milliseconds is not None:
            self.narrator.note_own(
                "The first reply",
                f"R1 held the first echo request until the SA was there ({released} packet held, then sent), so its "
                "reply took that long. It was not lost.",
            )
        self.screen.replies(way.destination, self._ping(way, 4))
        self._type("show crypto ikev2 sa")
        self.narrator.note_own(
            "In `show crypto ikev2 sa`",
            "One IKE SA, READY: the control channel. No LAN packet ever passes it; `detailed` shows its two SPIs.",
        )
        self._type(f"show crypto ipsec sa interface {way.tunnel}")
        self.narrator.note_own(
            "In `show crypto ipsec sa`",
            "`local ident` and `remote ident` are the selectors; `inbound esp sas` and `outbound esp sas` hold one "
            "ESP SA each, with the SPIs of the note above.",
            "#pkts encaps counts what went out protected, #pkts decaps what came in and was accepted: if one of the "
            "two stands still while a ping runs, you know the direction that fails.",
        )

    def rekeys(self) -> None:
        """Part 6: a rekey of each kind and one more Child SA, under a running ping."""
        first, *others = self.plan.ways
        self.screen.heading(6)
        self.screen.shell("H1", f"ping -i 0.2 {first.destination}   (runs on through this part)")
        self.stage.ping_on(first.source, first.destination)
        config = self.plan.configs["R1"]
        ipsec = config.ipsec_profiles[config.tunnels[first.tunnel].ipsec_profile or ""]
        profile = config.profiles[ipsec.ikev2_profile or "default"]
        lifetime = "set security-association lifetime seconds {}"
        in_profile = (f"crypto ikev2 profile {profile.name}", "lifetime {}", profile.lifetime)
        in_ipsec = (f"crypto ipsec profile {ipsec.name}", lifetime, ipsec.lifetime_seconds)
        since = self._configure((*in_profile[:2], LOWERED))
        self.narrator.note_own(
            f"Why {LOWERED} s",
            "So that a rekey is due within seconds.",
            f"IOS takes 120 s at least, and so does `ikescope run`; these two run with --lab-timers, "
            f"which admits {LOWERED} s.",
        )
        self._rekeyed(IkeSaRekeyed, IkeSaClosed, since, "IKE SA")
        since = self._configure(in_profile, (*in_ipsec[:2], LOWERED))
        self._rekeyed(ChildSaRekeyed, ChildSaClosed, since, "Child SA")
        self._configure(in_ipsec)
        self.stage.rest(_QUIET)
        self._tell()
        for way in others:
            echoed = self._ping(way, 2)
            self._tell()
            self.screen.gap()
            self.screen.replies(way.destination, echoed)
        running = self.stage.ping_off()
        self.screen.shell("H1", f"ping -i 0.2 {first.destination}   (ended now)")
        self.screen.ended([tally(running)])
        self.checked.append(checks.none_lost("the ping through both rekeys and the new Child SA", running))
        self.narrator.note_own(
            "The ping that ran on",
            f"{tally(running)}. The IKE SA's rekey does not touch ESP; the Child SA's gave it new SPIs and keys.",
            "The new pair stood before the old one went, and what was under way under the old keys was still accepted.",
        )

    def _configure(self, *changes: tuple[str, str, int]) -> int:
        """Type lifetimes, each in its mode; how many records there were before."""
        since = len(self.stage.records)
        self._type("configure terminal")
        for mode, line, lifetime in changes:
            self._type(mode, line.format(lifetime))
        self._type("end")
        return since

    def _rekeyed(self, rekeyed: type[Event], closed: type[Event], since: int, what: str) -> None:
        self._wait(rekeyed, since, _REKEY, f"the rekey of the {what}")
        self._wait(closed, since, _PATIENCE, f"the end of the old {what}")

    def goodbye(self) -> None:
        """Part 7: liveness, then the end."""
        self.screen.heading(7)
        since = len(self.stage.records)
        self._type("test crypto ikev2 liveness")
        self._wait(LivenessAnswered, since, _PATIENCE, "the answer to the liveness check")
        self._type("clear crypto ikev2 sa")
        self._wait(IkeSaClosed, since, _PATIENCE, "the end of the IKE SA")

    def failure(self) -> None:
        """Part 8: the same pair, one wrong key."""
        self.checked.append(checks.none_lost("the other pings of parts 1 to 6", self._pinged))
        self.stage.end_routers()
        self.screen.heading(FAILURE, f"When it fails: {BREAKS['psk'].title}")
        self.screen.say(
            "Both routers are started again. R2 now holds another pre-shared key for R1; all else is as before."
        )
        since = len(self.stage.records)
        self.stage.start(wrong_key(self.pair))
        self.stage.rest(_QUIET)
        way = self.plan.ways[0]
        echoed, told = self.fail(since, way)
        self.screen.shell("H1", f"ping -c 1 {way.destination}")
        self.screen.replies(way.destination, echoed)
        self.sides(told, whole=False)
        if any(isinstance(record.event, SessionUp) for record in self._of("R1", since)):
            raise Missed("a wrong key was taken")
        self.screen.answer(verdict(told.walk.timeline, "R1")[:2])

    def fail(self, since: int, way: Way) -> tuple[list[Echoed], Told]:
        """Ping what cannot work, until R1 has told of an error; Missed where all is well."""

        def failed() -> bool:
            return any(record.event.level == "error" for record in self._of("R1", since))

        echoed = self.stage.ping(way.source, way.destination, 1, 1.0)
        if not self.stage.until(failed, 300.0):
            raise Missed("nothing failed")
        self.stage.rest(_QUIET)
        self._told = len(self.stage.records)
        return echoed, Told(self.stage.records[since:])

    def sides(self, told: Told, *, whole: bool, silent: tuple[str, ...] = ()) -> None:
        """Both routers' debug; the responder's is cut where it is but the mirror image of what was shown."""
        for router, role in (("R1", "the initiator"), ("R2", "the responder")):
            self.screen.say(f"{router}, {role}:", "heading")
            self.screen.gap()
            told.tell(self.narrator, router, whole=whole and router == "R1")
        if silent:
            self.narrator.note_own("As R2 sees it: silence", *silent)


def ping_from(way: Way, routes: Plan) -> str:
    """The option that a ping through another than the first tunnel needs."""
    return "" if way is routes.ways[0] else f" -I {way.source}"


def picture(routes: Plan) -> list[str]:
    """Who is who."""
    tunnel = next(iter(routes.configs["R1"].tunnels.values()))
    here, there = str(tunnel.source_address), str(tunnel.destination)
    lines = []
    middle = f"R1 {here} ======== {there} R2"
    for number, way in enumerate(routes.ways):
        gap = middle if number == 0 else " " * len(middle)
        joint = "--" if number == 0 else "  "
        lines.append(f"  H1 {way.source} {joint} {gap} {joint} H2 {way.destination}")
    return lines
