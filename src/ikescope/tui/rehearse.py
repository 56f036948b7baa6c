"""`ikescope rehearse`: would these routers come up, and stay up? In memory, in virtual time, with faults on request."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.daemon.load import Rejected
from ikescope.errors import LocalError
from ikescope.events.life import ChildSaCreated
from ikescope.explain import words
from ikescope.explain.findings import Finding, Remedy, encode, fill, findings
from ikescope.explain.summary import verdict
from ikescope.ios.debug import Renderer, transcript
from ikescope.sim.impair import Impairment, catalogue, parse
from ikescope.sim.rehearsal import Agreed, Outcome, Rehearsal
from ikescope.timeline import Timeline
from ikescope.timeline.model import Bounds
from ikescope.tui.rehearse_files import Loaded, load
from ikescope.views.ladder import ladder
from ikescope.wire.registry import EncryptionId, IntegrityId, KeyExchangeId

SCHEMA = "ikescope.rehearsal/1"
_DAYS = 366.0
_BOUNDS = Bounds(closed_sas=2048, closed_children=256, exchanges=2048)


def main(args: argparse.Namespace) -> int:
    """Rehearse, print what came of it; 0 up and stayed up, 1 not."""
    if args.impair == ["?"]:
        print("\n".join(catalogue()))
        return 0
    if len(args.files) < 2:
        raise LocalError("rehearse: had 1 configuration, wanted at least 2: both ends of a tunnel")
    if not 0 <= args.days <= _DAYS:
        raise LocalError(f"rehearse --days: had {args.days:g}, wanted 0 to {_DAYS:g}")
    impairments = [parse(line) for line in args.impair or ()]
    try:
        loaded = load(args.files, generation=args.ios_defaults, lab_timers=args.lab_timers)
    except Rejected as error:
        print("\n".join(error.lines))
        return error.exit_status
    told = _Told(loaded, impairments, args)
    for line in told.json() if args.as_ == "json" else told.text():
        print(line)
    return 0 if told.good else 1


def _no_stranger(impairments: list[Impairment], configs: tuple[RouterConfig, ...]) -> None:
    names = [config.hostname for config in configs]
    for one in impairments:
        if one.sender not in ("", *names):
            raise LocalError(f"--impair {one.line!r}: no router {one.sender} here; routers: {', '.join(names)}")


class _Told:
    """A rehearsal that is over, and how it is told."""

    def __init__(self, loaded: Loaded, impairments: list[Impairment], args: argparse.Namespace) -> None:
        self.loaded, self.impairments, self.days = loaded, impairments, float(args.days)
        self.seed, self.with_debug = str(args.seed), bool(args.with_debug)
        self.timeline = Timeline(_BOUNDS)
        self.run = Rehearsal(
            loaded.configs, impairments=impairments, seed=args.seed, on_record=lambda record: self.timeline.add(record)
        )
        _no_stranger(impairments, loaded.configs)
        self.run.run(self.days)
        self.found = self._findings(None)

    def _findings(self, router: str | None) -> list[Finding]:
        """The findings, their remedies with the names of each router's own file."""
        configs = {config.hostname: config for config in self.loaded.configs}
        return [
            msgspec.structs.replace(one, remedy=tuple(_fitted(each, configs.get(each.router)) for each in one.remedy))
            for one in findings(self.timeline, router)
        ]

    def _verdict(self, router: str) -> list[str]:
        return verdict(self.timeline, router, self._findings(router))

    @property
    def good(self) -> bool:
        """Whether every pair came up and stayed up, and nothing is wrong."""
        wrong = any(one.severity == "error" for one in self.found)
        return self.run.up and not self.run.breaks and not wrong

    def text(self) -> Iterator[str]:
        """For people."""
        yield from self.loaded.notes
        yield from self.loaded.assumptions
        yield from self.run.mismatched
        if not self.run.paths:
            yield "Not up: no tunnel of one file has its other end in another."
        for one in self.run.outcomes:
            yield self._outcome(one)
        for left in self.run.alone:
            yield f"{left.router} {left.tunnel}: from {left.source} to {left.destination}: no partner: {left.why}."
        if self.run.paths:
            yield from self._life()
        for impairment in self.impairments:
            yield f"impairment `{impairment.line}`: struck {words.plural(impairment.hits, 'time')}"
        if self.with_debug:
            yield from self._debugs()

    def _outcome(self, one: Outcome) -> str:
        after = "not up" if one.up_after is None else f"up after {one.up_after:.3f} s"
        agreed = self.run.agreed(one.path)
        suites = "" if agreed is None else f"; IKE {agreed.ike}; ESP {_esp(agreed.child)}"
        return f"{one.path.text} ({one.path.source} to {one.path.destination}): {after}{suites}"

    def _life(self) -> Iterator[str]:
        for router in dict.fromkeys(path.left for path in self.run.paths):
            yield ""
            yield from self._verdict(router)
        run = self.run
        sent, answered = sum(o.sent for o in run.outcomes), sum(o.answered for o in run.outcomes)
        if sent:
            name = "1 day" if self.days == 1 else f"{self.days:g} days"
            rekeys = run.rekeys
            told = f"{words.plural(rekeys['ike'], 'IKE SA rekey')}, {words.plural(rekeys['child'], 'Child SA rekey')}"
            yield ""
            yield f"In {name}: {told}; {answered} of {sent} pings answered."
        for number, one in enumerate(run.breaks):
            end = "to the end" if one.until is None else f"for {clock(one.until - one.since)}"
            first = "breaks first: " if number == 0 else ""
            yield f"{first}{one.path.text}: no traffic from {clock(one.since)} on, {end}."
        if not run.up or run.breaks:
            yield ""
            yield from ladder(run.failing(), width=100)

    def _debugs(self) -> Iterator[str]:
        for config in self.loaded.configs:
            yield ""
            yield f"{config.hostname}#debug crypto ikev2"
            yield from self._debug(config.hostname)

    def _debug(self, router: str) -> list[str]:
        return list(transcript(Renderer(), [one for one in self.run.records if one.stamp.router == router]))

    def json(self) -> Iterator[str]:
        """One object a line; the last one says whether all is well."""
        run = self.run
        for one in run.outcomes:
            yield self._tunnel(one)
        for left in run.alone:
            yield _line("tunnel", {**msgspec.to_builtins(left), "up": None, "partner": None})
        for line in run.mismatched:
            yield _line("mismatch", {"line": line})
        for impairment in self.impairments:
            yield _line("impairment", {"line": impairment.line, "hits": impairment.hits})
        yield from (encode(finding) for finding in self.found)
        if self.with_debug:
            for config in self.loaded.configs:
                yield _line("debug", {"router": config.hostname, "lines": self._debug(config.hostname)})
        first = run.breaks[0] if run.breaks else None
        yield _line(
            "rehearsal",
            {
                "up": run.up,
                "stays_up": run.up and not run.breaks,
                "good": self.good,
                "days": self.days,
                "seed": self.seed,
                "rekeys": run.rekeys,
                "breaks_first": None if first is None else {"tunnel": first.path.text, "since": first.since},
                "assumptions": self.loaded.assumptions,
                "notes": self.loaded.notes,
                "text": [line for router in _lefts(run) for line in self._verdict(router)],
            },
        )

    def _tunnel(self, one: Outcome) -> str:
        path = one.path
        broken = [b for b in self.run.breaks if b.path == path]
        facts = {
            "router": path.left,
            "tunnel": path.left_tunnel,
            "partner": {"router": path.right, "tunnel": path.right_tunnel},
            "source": path.source,
            "destination": path.destination,
            "up": one.up_after is not None,
            "up_after": one.up_after,
            "sent": one.sent,
            "answered": one.answered,
            "breaks": [{"since": b.since, "until": b.until} for b in broken],
        }
        return _line("tunnel", facts | _agreed(self.run.agreed(path)))


_SETTINGS = (
    ("pre-shared-key", "`secret` of the peer's section in `secrets`"),
    ("encryption ", "`proposals` of the connection"),
    ("crypto ipsec transform-set", "`esp_proposals` of the child"),
    ("set pfs", "the key exchange in `esp_proposals` of the child"),
    ("permit ", "`local_ts` and `remote_ts` of the child"),
    ("match identity", "`id` in `remote` of the connection"),
    ("identity local", "`id` in `local` of the connection"),
    ("authentication ", "`auth` in `local` and `remote`"),
    ("tunnel mode", "`local_ts`, `remote_ts` and `mode` of the child"),
)
"""First words of an IOS line, and the setting of a swanctl.conf that stands for it."""


def _fitted(remedy: Remedy, config: RouterConfig | None) -> Remedy:
    """A remedy in the language and with the names of the file that it is for."""
    if config is None or config.version != "strongSwan":
        return remedy if config is None else fill(remedy, config)
    if remedy.syntax == "ios":
        told = "; ".join(line.strip() for line in remedy.lines)
        where = [setting for word, setting in _SETTINGS if any(line.strip().startswith(word) for line in remedy.lines)]
        line = f"in {config.source}, {' and '.join(where) or 'what stands for it'}: as IOS writes `{told}`"
        return msgspec.structs.replace(remedy, syntax="text", lines=(line,))
    name = next(iter(config.profiles), "<name>")
    return msgspec.structs.replace(remedy, lines=tuple(line.replace("<name>", name) for line in remedy.lines))


def _lefts(run: Rehearsal) -> list[str]:
    return list(dict.fromkeys(path.left for path in run.paths))


def _agreed(agreed: Agreed | None) -> dict[str, Any]:
    if agreed is None:
        return {"ike": None, "esp": None}
    child = agreed.child
    return {
        "ike": agreed.ike,
        "esp": _esp(child),
        "local": words.selectors(child.local),
        "remote": words.selectors(child.remote),
        "lifetime": child.lifetime,
    }


def _esp(child: ChildSaCreated) -> str:
    """`ENCR_AES_CBC-128, AUTH_HMAC_SHA1_96, transport`."""
    length = f"-{child.key_length}" if child.key_length else ""
    parts = [EncryptionId.of(child.encryption).label + length]
    parts += [IntegrityId.of(child.integrity).label] if child.integrity else []
    parts += [KeyExchangeId.of(child.group).label] if child.group else []
    parts += ["ESN"] if child.esn else []
    return ", ".join([*parts, "transport" if child.transport else "tunnel"])


def clock(seconds: float) -> str:
    """Seconds for people: 90061.5 is `1 d 01:01:01.5`."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{f'{int(days)} d ' if days else ''}{int(hours):02}:{int(minutes):02}:{rest:04.1f}"


def _line(kind: str, facts: dict[str, Any]) -> str:
    return msgspec.json.encode({"schema": SCHEMA, "type": kind, **facts}).decode()
