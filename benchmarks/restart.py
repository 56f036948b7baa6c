"""What a reload, a restart and a kill of a router cost the traffic through it, in lost packets.

    sudo .venv/bin/python -m benchmarks.restart [--rounds 3] [--interval 0.01] [--as json]

Two routers in namespaces of their own, a ping between the hosts behind them; one is reloaded, stopped and started
again, killed and started again, each while the ping runs. `lost` counts the echoes without a reply, `seconds` is
`lost` times the interval: how long nothing passed, Python's start included.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.daemon.routers import PYTHON, R1, R2, ikescope, start
from tests.support.netns import HOST_B, Topology, topology
from tests.support.process import Process

Change = Callable[[Topology, Path, Process], Process]


def reload(net: Topology, directory: Path, router: Process) -> Process:
    """Another lifetime by `ikescope reload`."""
    file = directory / "R1.cfg"
    file.write_text(R1.replace(" keyring local KR\n", " keyring local KR\n lifetime 7200\n", 1))
    done = net.gw_a.run(*ikescope("reload", str(file), "--control", str(directory)), env=PYTHON, check=False)
    if done.returncode:
        sys.exit(f"the reload failed: {done.stderr.strip()}")
    return router


def restart(net: Topology, directory: Path, router: Process) -> Process:
    """SIGTERM, with leave taken of the peer, then the same router again."""
    router.stop()
    return start(net.gw_a, R1, directory, "R1")


def kill(net: Topology, directory: Path, router: Process) -> Process:
    """SIGKILL, then the same router again: the peer finds out by INITIAL_CONTACT."""
    router.stop(signal.SIGKILL)
    return start(net.gw_a, R1, directory, "R1")


CHANGES: dict[str, Change] = {"reload": reload, "restart": restart, "kill -9, start": kill}


def measure(change: Change, interval: float) -> tuple[int, int]:
    """Echoes sent and lost while the change happened and two seconds before and after it."""
    with topology("br") as net, tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        with start(net.gw_b, R2, directory, "R2"):
            router = start(net.gw_a, R1, directory, "R1")
            net.host_a.ping(HOST_B, count=1)
            with net.host_a.pinging(HOST_B, directory=directory, interval=interval, wait=1.0) as running:
                time.sleep(2.0)  # traffic before the change,
                router = change(net, directory, router)
                time.sleep(2.0)  # and after it: a loss that comes late is counted too
            router.stop()
            return running.received + running.lost, running.lost


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--interval", type=float, default=0.01, help="seconds between two echoes (0.01)")
    parser.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    args = parser.parse_args()
    for name, change in CHANGES.items():
        found = [measure(change, args.interval) for _ in range(args.rounds)]
        lost = statistics.median(each for _, each in found)
        row = {"schema": 1, "type": "restart", "change": name, "lost": lost, "seconds": round(lost * args.interval, 3)}
        row |= {"worst": max(each for _, each in found), "sent": sum(sent for sent, _ in found)}
        if args.as_ == "json":
            print(json.dumps(row))
        else:
            print(f"{name:<16} lost {lost:>5g} (worst {row['worst']}) of {row['sent']} in all: {row['seconds']:g} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
