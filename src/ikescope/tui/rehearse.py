"""`ikescope rehearse`: would these routers come up, and stay up? In memory, in virtual time, with faults on request."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.daemon.load import Rejected, findings, has_errors, read_configuration
from ikescope.errors import LocalError
from ikescope.events import Event
from ikescope.explain import words
from ikescope.explain.summary import verdict
from ikescope.sim.impair import Impairment, catalogue, parse
from ikescope.sim.rehearsal import Break, Outcome, Rehearsal
from ikescope.timeline import Timeline
from ikescope.views.ladder import ladder

SCHEMA = "ikescope.rehearsal/1"
_DAYS = 366.0


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
        configs = _configs(args)
    except Rejected as error:
        print("\n".join(error.lines))
        return error.exit_status
    rehearsal = Rehearsal(configs, impairments=impairments, seed=args.seed)
    _no_stranger(impairments, configs)
    rehearsal.run(args.days)
    told = _json(rehearsal, impairments) if args.as_ == "json" else _text(rehearsal, impairments, args.days)
    for line in told:
        print(line)
    return 0 if rehearsal.up and not rehearsal.breaks else 1


def _configs(args: argparse.Namespace) -> list[RouterConfig]:
    """The routers, each with a hostname of its own; Rejected for one that cannot work."""
    configs: list[RouterConfig] = []
    for name in args.files:
        config = read_configuration(name, generation=args.ios_defaults, lab_timers=args.lab_timers)
        if has_errors(config):
            raise Rejected(tuple(line for line in findings(config) if ": error: " in line))
        taken = {one.hostname for one in configs}
        if config.hostname in taken:
            config = msgspec.structs.replace(config, hostname=f"{config.hostname}-{len(configs) + 1}")
        configs.append(config)
    return configs


def _no_stranger(impairments: list[Impairment], configs: list[RouterConfig]) -> None:
    names = [config.hostname for config in configs]
    for one in impairments:
        if one.sender not in ("", *names):
            raise LocalError(f"--impair {one.line!r}: no router {one.sender} here; routers: {', '.join(names)}")


def _text(rehearsal: Rehearsal, impairments: list[Impairment], days: float) -> Iterator[str]:
    yield from rehearsal.mismatched
    if not rehearsal.paths:
        yield "Not up: no tunnel of one file has its other end in another."
        for config in rehearsal.configs:
            for tunnel in config.tunnels.values():
                yield f"{config.hostname} {tunnel.name}: from {tunnel.source_address} to {tunnel.destination}"
        return
    for one in rehearsal.outcomes:
        after = "not up" if one.up_after is None else f"up after {one.up_after:.3f} s"
        yield f"{one.path.text} ({one.path.source} to {one.path.destination}): {after}"
    yield ""
    timeline = Timeline().extend(rehearsal.records)
    yield from verdict(timeline, rehearsal.paths[0].left)
    if rehearsal.up:
        yield ""
        yield from _life(rehearsal, days)
    if not rehearsal.up or rehearsal.breaks:
        yield ""
        yield from ladder(rehearsal.failing(), width=100)
    for impairment in impairments:
        yield f"impairment `{impairment.line}`: struck {words.plural(impairment.hits, 'time')}"


def _life(rehearsal: Rehearsal, days: float) -> Iterator[str]:
    sent, answered = sum(o.sent for o in rehearsal.outcomes), sum(o.answered for o in rehearsal.outcomes)
    name = "1 day" if days == 1 else f"{days:g} days"
    rekeys = rehearsal.rekeys
    told = f"{words.plural(rekeys['ike'], 'IKE SA rekey')}, {words.plural(rekeys['child'], 'Child SA rekey')}"
    yield f"In {name}: {told}; {answered} of {sent} pings answered."
    for one in rehearsal.breaks:
        end = "to the end" if one.until is None else f"for {clock(one.until - one.since)}"
        yield f"{one.path.text}: no traffic from {clock(one.since)} on, {end}."


def clock(seconds: float) -> str:
    """Seconds for people: 90061.5 is `1 d 01:01:01.5`."""
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{f'{int(days)} d ' if days else ''}{int(hours):02}:{int(minutes):02}:{rest:04.1f}"


def _json(rehearsal: Rehearsal, impairments: list[Impairment]) -> Iterator[str]:
    timeline = Timeline().extend(rehearsal.records)
    for one in rehearsal.outcomes:
        yield _line("path", one)
    for broken in rehearsal.breaks:
        yield _line("break", broken)
    for line in rehearsal.mismatched:
        yield _line("mismatch", {"line": line})
    for impairment in impairments:
        yield _line("impairment", {"line": impairment.line, "hits": impairment.hits})
    lines = verdict(timeline, rehearsal.paths[0].left) if rehearsal.paths else ["Not up: no pair of tunnels."]
    up = rehearsal.up
    yield _line(
        "verdict", {"up": up, "stays_up": up and not rehearsal.breaks, "rekeys": rehearsal.rekeys, "text": lines}
    )


def _line(kind: str, what: Outcome | Break | Event | dict[str, Any]) -> str:
    facts = what if isinstance(what, dict) else msgspec.to_builtins(what)
    return msgspec.json.encode({"schema": SCHEMA, "type": kind, **facts}).decode()
