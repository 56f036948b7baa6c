"""How much a tunnel carries: iperf3 and ping through two routers in namespaces, beside a peer in the same run.

Ours and the peer stand in four namespaces each, of one shape, both up all the time; they are measured in turns
(A B A B ...), so that whatever else the machine does hits both. Figures of several rounds are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from ikescope.bench.contenders import PROGRAMS, SUITES, EspSuite, Plan, running
from ikescope.bench.lan import lan
from ikescope.bench.traffic import Flow, Pings, Traffic, Way, prefer
from ikescope.errors import LocalError

ROUNDS = 3
SECONDS = 3.0
OCTETS = 1372
"""Of a datagram that with UDP and IP headers fills 1400 octets, the MTU of kernel-libipsec's device."""
SMALL = (64, 512)
WARM = 1.0

Row = dict[str, object]


@dataclass(slots=True)
class Found:
    """What one contender showed: flows and pings by name, one for each time they were taken."""

    flows: dict[str, list[Flow]] = field(default_factory=dict)
    pings: dict[str, Pings] = field(default_factory=dict)
    memory: float = 0.0

    def add(self, name: str, flow: Flow) -> None:
        """One more run of that name."""
        self.flows.setdefault(name, []).append(flow)

    def median(self, name: str, of: str) -> float:
        """The median of a figure over all runs of that name."""
        return round(float(statistics.median(getattr(flow, of) for flow in self.flows[name])), 2)

    def row(self) -> Row:
        """The figures by the names that the JSON has."""
        found: Row = {"tcp_mbit_s": self.median("tcp", "mbit_s"), "udp_pps": self.median("udp", "pps")}
        found["tcp_cpu_us"] = self.median("tcp", "cpu_us")
        found["udp_cpu_us"] = self.median("udp", "cpu_us")
        found["tcp_cores"] = self.median("tcp", "cores")
        found["udp_cores"] = self.median("udp", "cores")
        found["udp_carried_pps"] = self.median("udp", "carried_pps")
        found["udp_sent_pps"] = self.median("udp", "sent_pps")
        for name in self.flows:
            if name.startswith("tcp_"):
                found[f"{name}_mbit_s"] = self.median(name, "mbit_s")
            elif name.startswith("udp_"):
                found[f"{name}_pps"] = self.median(name, "pps")
                found[f"{name}_carried_pps"] = self.median(name, "carried_pps")
        for name, pings in self.pings.items():
            found |= {f"{name}_p50_ms": pings.p50, f"{name}_p99_ms": pings.p99, f"{name}_lost": pings.lost}
        found["memory_mib"] = self.memory
        found["tcp_runs"] = [flow.mbit_s for flow in self.flows["tcp"]]
        found["udp_runs"] = [flow.pps for flow in self.flows["udp"]]
        return found


RATIOS = (
    ("tcp_ratio", "tcp_mbit_s"),
    ("udp_ratio", "udp_pps"),
    ("udp_64_ratio", "udp_64_pps"),
    ("udp_512_ratio", "udp_512_pps"),
    ("tcp_reverse_ratio", "tcp_reverse_mbit_s"),
    ("tcp_both_ratio", "tcp_both_mbit_s"),
)
"""Ours over the peer's, by the figure they are of."""

Step = tuple[str, Callable[[Traffic, Found], None]]


def _idle(traffic: Traffic, found: Found) -> None:
    found.pings["ping_idle"] = traffic.ping(min(2.0, WARM * 2))


def _tcp(traffic: Traffic, found: Found) -> None:
    found.add("tcp", traffic.tcp("forward"))


def _udp(traffic: Traffic, found: Found) -> None:
    found.add("udp", traffic.udp(OCTETS, "forward"))


def _loaded(traffic: Traffic, found: Found) -> None:
    flow, found.pings["ping_loaded"] = traffic.tcp_and_ping()
    found.add("tcp_with_ping", flow)


def _remember(traffic: Traffic, found: Found) -> None:
    found.memory = traffic.memory()


def _tcp_way(way: Way) -> Callable[[Traffic, Found], None]:
    return lambda traffic, found: found.add(f"tcp_{way}", traffic.tcp(way))


def _udp_way(way: Way) -> Callable[[Traffic, Found], None]:
    return lambda traffic, found: found.add(f"udp_{way}", traffic.udp(OCTETS, way))


def _udp_size(octets: int) -> Callable[[Traffic, Found], None]:
    return lambda traffic, found: found.add(f"udp_{octets}", traffic.udp(octets, "forward"))


def steps(rounds: int, brief: bool) -> list[Step]:
    """What is measured, in order; `brief`: only the medians of TCP and UDP, and the pings."""
    found: list[Step] = [("idle", _idle)]
    found += [
        (f"{name} {number + 1}", step) for number in range(rounds) for name, step in (("TCP", _tcp), ("UDP", _udp))
    ]
    found += [("ping under TCP", _loaded), ("memory", _remember)]
    if not brief:
        ways: tuple[Way, ...] = ("reverse", "both")
        found += [(f"TCP {way}", _tcp_way(way)) for way in ways]
        found += [(f"UDP {way}", _udp_way(way)) for way in ways]
        found += [(f"UDP {octets}", _udp_size(octets)) for octets in SMALL]
    return found


def measure(suite: EspSuite, args: argparse.Namespace, directory: Path) -> Row:
    """One suite, ours and the peer's where one is asked for."""
    names = ["ikescope", *([args.against] if args.against else [])]
    peers = Path(args.peers)
    with ExitStack() as stack:
        found: dict[str, Found] = {}
        traffic: dict[str, Traffic] = {}
        for name in names:
            place = directory / f"{suite.name}-{name}"
            place.mkdir()
            net = stack.enter_context(lan())
            ping = Traffic(net, (), peers, args.seconds).ping_command()
            plan = Plan(suite, args.encapsulation == "udp", peers, place)
            daemons = stack.enter_context(running(name, plan, net, ping))
            traffic[name] = Traffic(net, daemons, peers, args.seconds)
            prefer(traffic[name].pids())
            found[name] = Found()
            traffic[name].tcp("forward", WARM)
        for number, (what, step) in enumerate(every := steps(args.rounds, args.brief), 1):
            for name in names:
                _tell(f"{suite.name}: {name}: {what} ({number} of {len(every)})")
                step(traffic[name], found[name])
        _tell("")
    row: Row = {"suite": suite.name, "encapsulation": args.encapsulation, **found["ikescope"].row()}
    if args.against:
        theirs = found[args.against].row()
        row["against"] = args.against
        row |= {f"peer_{key}": value for key, value in theirs.items()}
        row |= ratios(row, theirs)
    return row


def ratios(row: Row, theirs: Row) -> Row:
    """Ours over the peer's, for each figure that both have."""
    found: Row = {}
    for name, of in RATIOS:
        if of in theirs and of in row:
            found[name] = round(float(str(row[of])) / max(float(str(theirs[of])), 0.001), 2)
    return found


def _tell(text: str) -> None:
    """How far it is, for who watches."""
    if sys.stderr.isatty():
        print(f"\r{text:70}", end="\r" if not text else "", file=sys.stderr, flush=True)


def run(args: argparse.Namespace) -> int:
    """Measure and print; 0, or LocalError where it cannot be measured here."""
    args.seconds = SECONDS if args.seconds is None else args.seconds
    args.rounds = ROUNDS if args.rounds is None else args.rounds
    if args.seconds < 1 or args.rounds < 1:
        raise LocalError(f"--seconds {args.seconds}, --rounds {args.rounds}: wanted at least 1")
    _refuse_missing(args)
    wanted = list(SUITES.values()) if args.suite == "all" else [SUITES[args.suite]]
    with tempfile.TemporaryDirectory(prefix="ikescope-bench-") as name:
        for suite in wanted:
            began = time.monotonic()
            row = measure(suite, args, Path(name))
            head: Row = {"schema": "ikescope.bench/1", "type": "esp", "seconds": args.seconds, "rounds": args.rounds}
            row["took_s"] = round(time.monotonic() - began)
            row["load_1m"] = round(os.getloadavg()[0], 1)
            if args.as_ == "json":
                print(json.dumps(head | row), flush=True)
            else:
                print("\n".join(lines(row)), flush=True)
    return 0


def _refuse_missing(args: argparse.Namespace) -> None:
    """LocalError, in one line, for what this machine lacks."""
    if os.geteuid() != 0:
        raise LocalError("bench esp needs root: it makes network namespaces, devices and routes in them")
    root = Path(args.peers) / "root"
    for program in ("usr/bin/iperf3", "usr/bin/ping", *PROGRAMS.get(args.against, ())):
        if not (root / program).exists():
            raise LocalError(f"no {program.rpartition('/')[2]} in {args.peers}: `make peers` unpacks it there")


TEXT = (
    ("TCP, one stream, Mbit/s", "tcp_mbit_s", "tcp_ratio"),
    ("  the other way", "tcp_reverse_mbit_s", "tcp_reverse_ratio"),
    ("  both ways at once", "tcp_both_mbit_s", "tcp_both_ratio"),
    ("UDP of 1372 octets, packets/s", "udp_pps", "udp_ratio"),
    ("  delivered, if not all taken in time", "udp_carried_pps", ""),
    ("  the other way", "udp_reverse_pps", ""),
    ("  both ways at once", "udp_both_pps", ""),
    ("UDP of 512 octets, packets/s", "udp_512_pps", "udp_512_ratio"),
    ("UDP of 64 octets, packets/s", "udp_64_pps", "udp_64_ratio"),
    ("  delivered, if not all taken in time", "udp_64_carried_pps", ""),
    ("CPU per TCP segment, both ends, us", "tcp_cpu_us", ""),
    ("CPU per UDP packet, both ends, us", "udp_cpu_us", ""),
    ("ping idle, ms: median", "ping_idle_p50_ms", ""),
    ("  99 of 100 within", "ping_idle_p99_ms", ""),
    ("ping under TCP, ms: median", "ping_loaded_p50_ms", ""),
    ("  99 of 100 within", "ping_loaded_p99_ms", ""),
    ("  lost", "ping_loaded_lost", ""),
    ("memory of a router, MiB", "memory_mib", ""),
)


def lines(row: Row) -> list[str]:
    """The figures for people."""
    against = str(row.get("against", ""))
    found = [
        f"{row['suite']}, ESP in {row['encapsulation']}",
        f"{'':38}{'ikescope':>12}{against:>14}{'ratio' * bool(against):>8}",
    ]
    for title, key, ratio in TEXT:
        if key in row:
            theirs = f"{row.get('peer_' + key, ''):>14}{row.get(ratio, ''):>8}" if against else ""
            found.append(f"{title:38}{row[key]:>12}{theirs}".rstrip())
    return found
