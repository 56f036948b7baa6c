"""Honest handshakes through a flood of IKE_SA_INIT requests with forged addresses (RFC 7296 section 2.6).

The flood comes from a process of its own on the other core, each request with a SPI of its own, as if from peers that
the responder serves: the dearest kind, for each has to be answered with a cookie. The honest initiator is a router of
ours; nothing of it is spared.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import msgspec

from ikescope.bench.charon import charon
from ikescope.bench.handshakes import (
    INITIATOR,
    INSIDE,
    RESPONDER,
    SUITES,
    Initiator,
    Suite,
    configuration,
    cpu_seconds,
    inside,
    ours,
)
from ikescope.errors import LocalError

FORGED = IPv4Address("198.51.100.0")
FORGED_COUNT = 64
"""So many addresses from this one on are peers that the responder serves, and where the flood says it comes from."""
PATIENCE = 2.0
_TICK = 0.002
_IP, _UDP = 20, 8


class Figures(msgspec.Struct):
    """What one responder did under the flood; memory in KiB, times in milliseconds."""

    sent_per_second: int
    dropped_by_socket: int
    handshakes: int
    within_patience: int
    median_ms: float
    worst_ms: float
    responder_cpu_share: float
    rss_before_kib: int
    rss_peak_kib: int
    rss_after_kib: int


def forged_tunnels() -> str:
    """Configuration of the responder's tunnels to the addresses that the flood forges."""
    block = f"crypto ikev2 keyring KR\n peer FORGED\n  address {FORGED} 255.255.255.192\n  pre-shared-key bench-key\n"
    return block + "".join(
        f"interface Tunnel{100 + number}\n tunnel source {RESPONDER}\n tunnel destination {FORGED + number}\n"
        " tunnel mode ipsec ipv4\n tunnel protection ipsec policy ipv4 BENCH\n"
        " tunnel protection ipsec profile default\n"
        for number in range(FORGED_COUNT)
    )


def request_template(suite: Suite) -> bytes:
    """An IKE_SA_INIT request of this suite, as our own initiator writes it."""
    from ikescope.engine.commands import Connect, Send
    from ikescope.engine.endpoint import Endpoint
    from ikescope.ios.configuration import load

    config = load(configuration(suite, "bench-forger", INITIATOR, RESPONDER), name="bench")
    endpoint = Endpoint(config, random=os.urandom, now=0.0, wall=0.0)
    endpoint.request(Connect(tunnel="Tunnel0"), 0.0)
    return next(command.octets for command in endpoint.commands() if isinstance(command, Send))


def flood(request: bytes, rate: int, seconds: float) -> int:
    """Send forged requests at a rate for some time; how many left. Needs CAP_NET_RAW."""
    size = _IP + _UDP + len(request)
    head = bytearray(_IP + _UDP)
    head[0], head[8], head[9] = 0x45, 64, socket.IPPROTO_UDP
    head[2:4] = size.to_bytes(2, "big")
    head[16:20] = IPv4Address(RESPONDER).packed
    head[22:24], head[24:26] = (500).to_bytes(2, "big"), (_UDP + len(request)).to_bytes(2, "big")
    packet, first = head + request, int(FORGED)
    sent, place = 0, (RESPONDER, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        send, start = raw.sendto, time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds:
            due = int(passed * rate) - sent
            for number in range(sent, sent + min(due, 1000)):
                packet[12:16] = (first + number % FORGED_COUNT).to_bytes(4, "big")
                packet[20:22] = (1024 + number % 60000).to_bytes(2, "big")
                packet[28:36] = (number * 0x9E3779B97F4A7C15 % 2**64 | 1).to_bytes(8, "big")
                send(packet, place)
            sent += min(due, 1000)
            if due < 1000:
                time.sleep(_TICK)
    return sent


class Honest(Initiator):
    """Our router as honest initiator: each handshake has its time taken."""

    async def run(self, count: int, spacing: float) -> list[float]:
        """Seconds for each handshake, `PATIENCE` or more for one that took too long."""
        ready = asyncio.Event()
        serving = asyncio.create_task(self.service.serve(ready.set))
        times = []
        try:
            await ready.wait()
            for _ in range(count):
                started = time.perf_counter()
                try:
                    await asyncio.wait_for(self.up(), PATIENCE)
                except (TimeoutError, LocalError):
                    times.append(PATIENCE)
                else:
                    times.append(time.perf_counter() - started)
                self.forget()
                await asyncio.sleep(max(0.0, started + spacing - time.perf_counter()))
        finally:
            self.service.stop()
            await serving
        return times

    def measure_times(self, count: int, spacing: float) -> list[float]:
        """`count` handshakes, one each `spacing` seconds."""
        with self.service:
            return asyncio.run(self.run(count, spacing))


def rss_kib(pid: int) -> int:
    """The resident memory of a process."""
    return _field(f"/proc/{pid}/status", "VmRSS:")


def _field(path: str, name: str) -> int:
    for line in Path(path).read_text(encoding="ascii").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0


def socket_drops(pid: int) -> int:
    """How many datagrams the process's namespace lost because a socket was full."""
    rows = [line.split() for line in Path(f"/proc/{pid}/net/udp").read_text(encoding="ascii").splitlines()[1:]]
    return sum(int(row[-1]) for row in rows)


@contextmanager
def _flooding(suite: Suite, rate: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ikescope.bench.flood", suite.name, str(rate), str(seconds)]
    process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _place(pid: int, core: int) -> None:
    """Give a process a core, before whatever else runs on this machine."""
    os.setpriority(os.PRIO_PROCESS, pid, -15)
    with contextlib.suppress(OSError):
        # Where the kernel schedules sessions, a process's own priority counts only within its session.
        Path(f"/proc/{pid}/autogroup").write_text("-15", encoding="ascii")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[core % len(cores)]})


def measure(suite: Suite, directory: Path, pid: int, args: argparse.Namespace) -> Figures:
    """Flood the responder of that process and bring honest tunnels up meanwhile."""
    _place(pid, 0)
    honest = Honest(suite, directory)
    before, peak = rss_kib(pid), [0]
    with _flooding(suite, args.rate, args.seconds) as flooding:
        _place(flooding.pid, 1)
        os.setpriority(os.PRIO_PROCESS, 0, -15)
        time.sleep(min(1.0, args.seconds / 4))
        cpu, wall = cpu_seconds(pid), time.perf_counter()
        spacing = max(0.0, args.seconds * 0.9 - 1.0) / args.count
        times = sorted(honest.measure_times(args.count, spacing))
        peak[0] = rss_kib(pid)
        share = (cpu_seconds(pid) - cpu) / (time.perf_counter() - wall)
        sent = int(flooding.communicate()[0] or 0)
    time.sleep(args.rest)
    return Figures(
        sent_per_second=int(sent / args.seconds),
        dropped_by_socket=socket_drops(pid),
        handshakes=len(times),
        within_patience=sum(one < PATIENCE for one in times),
        median_ms=round(times[len(times) // 2] * 1000, 1),
        worst_ms=round(times[-1] * 1000, 1),
        responder_cpu_share=round(share, 2),
        rss_before_kib=before,
        rss_peak_kib=max(peak[0], rss_kib(pid)),
        rss_after_kib=rss_kib(pid),
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print; 0 if at least 95 of 100 handshakes came in time and memory grew by less than 50 MB, else 1."""
    if os.geteuid() != 0:
        raise LocalError("bench flood forges addresses: run it as root")
    if os.environ.get(INSIDE) != "1":
        return inside()
    with contextlib.suppress(OSError):
        os.setsid()  # the priority that is asked for below is a session's
    suite, args.count = SUITES[args.suite], args.count or 100
    with tempfile.TemporaryDirectory(prefix="ikescope-bench-") as name:
        directory = Path(name)
        with ours(suite, directory, more=forged_tunnels()) as pid:
            figures = measure(suite, directory, pid, args)
        result: dict[str, object] = msgspec.to_builtins(figures)
        if args.against is not None:
            words = (suite.charon_ike, suite.charon_esp, RESPONDER, INITIATOR)
            with charon(Path(args.peers), directory, *words, remotes="%any") as pid:
                theirs = measure(suite, directory, pid, args)
            result["against"], result["peer"] = args.against, msgspec.to_builtins(theirs)
    _print({"schema": "ikescope.bench/1", "type": "flood", "suite": suite.name, **result}, args)
    grown = figures.rss_peak_kib - figures.rss_before_kib
    return 0 if figures.within_patience >= 0.95 * figures.handshakes and grown < 50 * 1024 else 1


def _print(result: dict[str, object], args: argparse.Namespace) -> None:
    if args.as_ == "json":
        print(json.dumps(result))
        return
    for title, row in (("ikescope", result), (args.against, result.get("peer"))):
        if isinstance(row, dict):
            print(
                f"{title}: {row['within_patience']} of {row['handshakes']} handshakes within {PATIENCE:.0f} s"
                f" (median {row['median_ms']} ms, worst {row['worst_ms']} ms) at {row['sent_per_second']} forged"
                f" requests a second; memory {row['rss_before_kib']} KiB, peak {row['rss_peak_kib']}, after"
                f" {row['rss_after_kib']}"
            )


if __name__ == "__main__":
    print(flood(request_template(SUITES[sys.argv[1]]), int(sys.argv[2]), float(sys.argv[3])))
