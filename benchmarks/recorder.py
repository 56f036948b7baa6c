"""What the flight recorder costs: instructions per handshake with it, against the same with `emit` doing nothing.

    .venv/bin/python -m benchmarks.recorder [--suite SUITE] [--handshakes 40] [--pairs 20] [--cpu] [--as json]

Two routers in memory, in one process, negotiate IKE_SA_INIT and IKE_AUTH with a Child SA and delete it, with real
cryptography and the data path. callgrind counts while the handshakes run, not what comes before
and after. Where there is no valgrind, or with `--cpu`, it is CPU time in interleaved pairs of processes, the median of
the pairs' ratios.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITES = {
    "x25519-aes128gcm": ("aes-gcm-128", "prf sha256", 31, "esp-gcm"),
    "ecp256-aes256-sha512": ("aes-cbc-256", "integrity sha512", 19, "esp-aes 256 esp-sha512-hmac"),
    "modp2048-aes256-sha256": ("aes-cbc-256", "integrity sha256", 14, "esp-aes 256 esp-sha256-hmac"),
}
"""Rows as `ikescope bench handshakes` has them; the second is what IOS's smart defaults come to."""

TEXT = """\
hostname {name}
crypto ikev2 proposal P
 encryption {encryption}
 {integrity}
 group {group}
crypto ikev2 policy PO
 proposal P
crypto ikev2 keyring K
 peer THEM
  address 192.0.2.{them}
  pre-shared-key a-key-of-this-benchmark
crypto ikev2 profile PR
 match identity remote any
 authentication remote pre-share
 authentication local pre-share
 keyring local K
crypto ipsec transform-set TS {esp}
 mode transport
crypto ipsec profile IP
 set transform-set TS
 set ikev2-profile PR
interface Tunnel0
 ip address 10.0.0.{us} 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel destination 192.0.2.{them}
 tunnel protection ipsec profile IP
interface GigabitEthernet1
 ip address 192.0.2.{us} 255.255.255.0
"""
LIMIT = 5.0
"""Percent that the recorder may cost."""
WAYS = ("on", "off")


def worker(way: str, suite: str, handshakes: int, wait: bool = False) -> None:
    """So many handshakes; prints the CPU seconds that they took, or asks before and after them."""
    from ikescope.engine.commands import Clear, Connect
    from ikescope.engine.context import Core
    from ikescope.events import Recorder
    from ikescope.ios.configuration import load
    from ikescope.sim.world import World

    if way == "off":
        Core.emit = lambda self, event, sa=None, message_id=None: None  # type: ignore[method-assign]  # measured against
    world = World("recorder")
    world.keep_mail = False
    recorders = {name: Recorder() for name in ("R1", "R2")}
    for name, us, them in (("R1", 1, 2), ("R2", 2, 1)):
        words = dict(zip(("encryption", "integrity", "group", "esp"), SUITES[suite], strict=True))
        station = world.add(load(TEXT.format(name=name, us=us, them=them, **words), name=name))
        station.driver._sink = recorders[name].add

    def one() -> None:
        world.ask("R1", Connect(tunnel="Tunnel0"))
        world.run(0.05)
        assert len(world.status("R1").children) == 1
        world.ask("R1", Clear())
        world.run(0.05)

    for _ in range(3):
        one()
    gc.collect()
    if wait:
        _ask("ready")
    before = time.process_time()
    for _ in range(handshakes):
        one()
    took = time.process_time() - before
    if wait:
        _ask("done")
    else:
        print(took)


def _ask(word: str) -> None:
    """Say how far it is and wait until the other process has done its part."""
    print(word, flush=True)
    sys.stdin.readline()


def _command(way: str, suite: str, handshakes: int) -> list[str]:
    words = ("--worker", way, "--suite", suite, "--handshakes", str(handshakes))
    return [sys.executable, "-m", "benchmarks.recorder", *words]


def instructions(way: str, suite: str, handshakes: int) -> float:
    """The instructions of a worker's handshake, as callgrind counts them while the handshakes run and no longer."""
    with tempfile.TemporaryDirectory() as directory:
        out = f"--callgrind-out-file={Path(directory) / 'callgrind'}"
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", out]
        process = subprocess.Popen(
            [*tool, *_command(way, suite, handshakes), "--wait"],
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None
        for switch in ("on", "off"):
            process.stdout.readline()
            subprocess.run(["callgrind_control", "-i", switch, str(process.pid)], capture_output=True, check=True)
            process.stdin.write("\n")
            process.stdin.flush()
        said = process.communicate()[1]
        found = re.search(r"Collected : (\d+)", said)
        if process.returncode or found is None:
            raise SystemExit(f"valgrind: exit status {process.returncode}: {said[-500:]}")
        return int(found[1]) / handshakes


def seconds(way: str, suite: str, handshakes: int) -> float:
    """CPU seconds of a worker's handshakes."""
    done = subprocess.run(_command(way, suite, handshakes), capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> int:
    """Print the figure; 1 where it is above the limit."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--handshakes", type=int, default=40)
    options.add_argument("--suite", choices=tuple(SUITES), default="x25519-aes128gcm")
    options.add_argument("--pairs", type=int, default=20)
    options.add_argument("--cpu", action="store_true", help="CPU time although there is a valgrind")
    options.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    options.add_argument("--worker", choices=WAYS, help=argparse.SUPPRESS)
    options.add_argument("--wait", action="store_true", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.worker:
        worker(args.worker, args.suite, args.handshakes, args.wait)
        return 0
    if args.cpu or shutil.which("valgrind") is None:
        pairs = [{way: seconds(way, args.suite, 10 * args.handshakes) for way in WAYS} for _ in range(args.pairs)]
        each = {way: statistics.median(pair[way] for pair in pairs) / (10 * args.handshakes) * 1000 for way in WAYS}
        more, unit = statistics.median(pair["on"] / pair["off"] for pair in pairs), "ms of CPU"
    else:
        each = {way: instructions(way, args.suite, args.handshakes) for way in WAYS}
        more, unit = each["on"] / each["off"], "instructions"
    percent = (more - 1) * 100
    if args.as_ == "json":
        head = {"schema": "ikescope.benchmark/1", "type": "recorder", "suite": args.suite, "unit": unit}
        print(json.dumps(head | {"on": each["on"], "off": each["off"], "percent": round(percent, 2)}))
    else:
        print(f"recorder on {each['on']:,.3f}, emit a no-op {each['off']:,.3f} {unit} per handshake: {percent:+.2f} %")
    return int(percent > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
