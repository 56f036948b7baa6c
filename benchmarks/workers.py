"""The userland plane with its packets carried in the router's process, in one worker and in two, in one run.

    .venv/bin/python -m benchmarks.workers [--workers 0,1,2] [--seconds 3] [--rounds 3] [--rate 20000] [--prefer]

Four namespaces for each, as `ikescope bench esp` has them (root, after make peers: iperf3 and ping are the peers'). For
each: TCP and UDP as fast as they go, a ping alone, under the TCP stream, and while IKE_SA_INIT requests arrive at A
as fast as `--rate` says, each with a SPI of its own; and how long A's liveness requests take to be answered, at rest,
beside the TCP stream and beside those requests.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ikescope.bench.contenders import SUITES, Plan, running
from ikescope.bench.flood import request_template
from ikescope.bench.handshakes import SUITES as KEY_EXCHANGES
from ikescope.bench.lan import WAN, Lan, lan
from ikescope.bench.traffic import Flow, Pings, Traffic
from ikescope.daemon.client import Client

OCTETS = 1372
PROBES = 20
PROBE_SECONDS = 0.1
_TICK = 0.002


@dataclass(slots=True)
class Subject:
    """One number of workers, up and running."""

    lan: Lan
    traffic: Traffic
    control: Path
    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **figures: float) -> None:
        """One more value of each."""
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)

    def pinged(self, name: str, pings: Pings) -> None:
        """What a ping found."""
        self.add(**{f"{name}_p50_ms": pings.p50, f"{name}_p99_ms": pings.p99, f"{name}_lost": pings.lost})

    def probed(self, name: str, found: list[float]) -> None:
        """How long liveness requests took."""
        self.add(**{f"{name}_p50_ms": statistics.median(found), f"{name}_worst_ms": max(found)})

    def flowed(self, name: str, flow: Flow, figure: float) -> None:
        """What a flow came to."""
        self.add(**{name: figure, f"{name}_cores": flow.cores})


def forge(request: bytes, rate: int, seconds: float) -> None:
    """Send requests, each with a SPI of its own, to router A."""
    packet = bytearray(request)
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((WAN["a"], 500))
        start = time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            due = min(int(passed * rate) - sent, 500)
            for _ in range(due):
                packet[:8] = os.urandom(8)
                with contextlib.suppress(OSError):
                    udp.send(packet)
            sent += due
            time.sleep(_TICK)  # what keeps the rate


@contextmanager
def forging(subject: Subject, rate: int, seconds: float) -> Iterator[None]:
    """Requests arrive at router A for as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.workers", "--forge", str(rate), str(seconds)]
    process = subprocess.Popen(subject.lan.routers["b"].argv(*command))
    time.sleep(1.0)  # its interpreter starts: what is measured must fall into its load
    try:
        yield
    finally:
        process.kill()
        process.wait()


def probe(subject: Subject) -> list[float]:
    """Milliseconds from a liveness request of router A to its answer, of each of some; the last may lack."""
    sent: list[float] = []
    answered: list[float] = []

    def heard(said: dict[str, Any]) -> None:
        place = {"liveness.sent": sent, "liveness.answered": answered}.get(said.get("event", {}).get("event"))
        if place is not None:
            place.append(said["stamp"]["mono"])

    with Client(subject.control, heard) as follower, Client(subject.control) as console:
        follower.ask({"subscribe": "events"})
        for _ in range(PROBES):
            console.command("test crypto ikev2 liveness")
            time.sleep(PROBE_SECONDS)  # probes are spread over the load
        time.sleep(0.5)  # for the answer to the last one
    return [(there - here) * 1000 for here, there in zip(sent, answered, strict=False)]


def prefer(subject: Subject) -> None:
    """Give both routers, and us, priority over what else runs on this machine."""
    for pid in {os.getpid(), *subject.traffic.pids()}:
        os.setpriority(os.PRIO_PROCESS, pid, -15)
        with contextlib.suppress(OSError):
            # Where the kernel schedules sessions, a process's own priority counts only within its session.
            Path(f"/proc/{pid}/autogroup").write_text("-15", encoding="ascii")


def measure(subject: Subject, args: argparse.Namespace) -> None:
    """One round."""
    traffic = subject.traffic
    subject.pinged("ping_idle", traffic.ping(1.0))
    flow = traffic.tcp("forward")
    subject.flowed("tcp_mbit_s", flow, flow.mbit_s)
    both = traffic.tcp("both")
    subject.flowed("tcp_both_mbit_s", both, both.mbit_s)
    udp = traffic.udp(OCTETS, "forward")
    subject.flowed("udp_pps", udp, udp.pps)
    _, pings = traffic.tcp_and_ping()
    subject.pinged("ping_under_tcp", pings)
    subject.probed("liveness_idle", probe(subject))
    thread = threading.Thread(target=lambda: traffic.tcp("forward", PROBES * PROBE_SECONDS + 2))
    thread.start()
    time.sleep(0.5)  # past the slow start of TCP
    subject.probed("liveness_under_tcp", probe(subject))
    thread.join()
    with forging(subject, args.rate, 60.0):
        subject.pinged("ping_under_ike", traffic.ping(args.seconds))
        flow = traffic.tcp("forward")
        subject.flowed("tcp_under_ike_mbit_s", flow, flow.mbit_s)
        subject.probed("liveness_under_ike", probe(subject))
    subject.add(memory_mib=traffic.memory())


def main() -> int:
    """A row for each number of workers."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--workers", default="0,1,2")
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rate", type=int, default=20_000)
    options.add_argument("--peers", type=Path, default=Path(".peers"))
    options.add_argument("--encapsulation", choices=("udp", "none"), default="udp")
    options.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    options.add_argument("--prefer", action="store_true", help="before whatever else runs on this machine")
    options.add_argument("--forge", nargs=2, metavar=("RATE", "SECONDS"), help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.forge:
        forge(request_template(KEY_EXCHANGES["x25519-aes128gcm"]), int(args.forge[0]), float(args.forge[1]))
        return 0
    with ExitStack() as stack:
        subjects = {}
        for workers in args.workers.split(","):
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            place.chmod(0o755)
            net = stack.enter_context(lan())
            plan = Plan(
                SUITES["aes-gcm-128"],
                args.encapsulation == "udp",
                args.peers,
                place,
                ("--workers", workers, "--lab-timers"),
            )
            ping = Traffic(net, (), args.peers, args.seconds).ping_command()
            daemons = stack.enter_context(running("ikescope", plan, net, ping))
            traffic = Traffic(net, daemons, args.peers, args.seconds)
            subjects[workers] = Subject(net, traffic, place / "a.sock")
            if args.prefer:
                prefer(subjects[workers])
        for number in range(args.rounds):
            for workers, subject in subjects.items():
                print(f"round {number + 1}: {workers} workers", file=sys.stderr, flush=True)
                measure(subject, args)
        show(subjects, args.as_ == "json")
    return 0


def show(subjects: dict[str, Subject], as_json: bool) -> None:
    """Medians over the rounds."""
    rows = {
        workers: {name: round(statistics.median(values), 2) for name, values in subject.figures.items()}
        for workers, subject in subjects.items()
    }
    if as_json:
        for workers, row in rows.items():
            print(json.dumps({"schema": "ikescope.benchmark/1", "type": "workers", "workers": int(workers), **row}))
        return
    print(f"{'workers':32}" + "".join(f"{workers:>12}" for workers in rows))
    for name in next(iter(rows.values())):
        print(f"{name:32}" + "".join(f"{row[name]:12.2f}" for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
