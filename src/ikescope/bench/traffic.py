"""What is sent through a tunnel and how it is counted: iperf3, ping, and the kernel's own counters at both ends."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec

from ikescope.bench.charon import inside
from ikescope.bench.lan import SERVER, Daemon, Lan
from ikescope.errors import LocalError

Way = Literal["forward", "reverse", "both"]
WAYS: dict[Way, tuple[str, ...]] = {"forward": (), "reverse": ("-R",), "both": ("--bidir",)}
PORT = "5201"
PING_INTERVAL = 0.01
PING_WAIT = 2.0
_RESULTS: dict[Way, tuple[str, ...]] = {
    "forward": ("sum_received",),
    "reverse": ("sum_received",),
    "both": ("sum_received", "sum_received_bidir_reverse"),
}
_TIME = re.compile(r"time=([0-9.]+) ms")


class Flow(msgspec.Struct, frozen=True):
    """One run: Mbit/s and packets/s that arrived, packets/s that left, CPU of both routers per packet that arrived.

    A TCP packet is a segment of the connection's maximum size. `cores`: how many both routers kept busy. `carried_pps`:
    what the tunnel delivered, also where iperf3 was too slow to take it from its socket.
    """

    mbit_s: float
    pps: float
    sent_pps: float
    cpu_us: float
    cores: float
    carried_pps: float = 0.0


class Pings(msgspec.Struct, frozen=True):
    """Round trips in milliseconds, and how many of those sent did not come back."""

    p50: float
    p99: float
    sent: int
    lost: int


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of processes so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pids: list[int]) -> float:
    """Resident memory of processes, what they share counted once among them (proportional set size)."""
    kib = 0
    for pid in pids:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib += next(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
    return kib / 1024


def prefer(pids: list[int]) -> None:
    """Processes go before whatever else runs; those that began a session of their own too."""
    for pid in pids:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, -15)
            Path(f"/proc/{pid}/autogroup").write_text("-15", encoding="ascii")


class Traffic:
    """Measures what two daemons carry between client and server."""

    def __init__(self, lan: Lan, daemons: tuple[Daemon, ...], peers: Path, seconds: float) -> None:
        self._lan, self._daemons, self._seconds = lan, daemons, seconds
        self._root = (peers / "root").resolve()

    def pids(self) -> list[int]:
        """Both routers' processes, with those that they started."""
        return [pid for daemon in self._daemons for pid in family(daemon.process.pid)]

    def memory(self) -> float:
        """MiB of one router, the mean of both."""
        return round(memory_mib(self.pids()) / len(self._daemons), 1)

    def _iperf3(self, *arguments: str) -> list[str]:
        return inside(self._root, "/usr/bin/iperf3", "-p", PORT, *arguments)

    def tcp(self, way: Way, seconds: float | None = None) -> Flow:
        """One TCP stream; `both`: one each way at once, the sum of them."""
        report, cpu, taken = self._run(seconds or self._seconds, *WAYS[way])
        ends = [report["end"][name] for name in _RESULTS[way]]
        octets = sum(one["bytes"] for one in ends)
        segments = max(1.0, octets / float(report["start"]["tcp_mss_default"]))
        rate = sum(one["bits_per_second"] for one in ends) / 1e6
        return Flow(round(rate, 1), round(segments / taken), 0.0, round(cpu / segments * 1e6, 2), round(cpu / taken, 2))

    def udp(self, octets: int, way: Way) -> Flow:
        """UDP datagrams of that many octets, as many as can be sent; those count that the other end's kernel took."""
        ends = (self._lan.client, self._lan.server)
        before = [place.datagrams() for place in ends]
        _, cpu, taken = self._run(self._seconds, "-u", "-b", "0", "-l", str(octets), *WAYS[way])
        after = [place.datagrams() for place in ends]
        (client_out, client_in, client_full), (server_out, server_in, server_full) = (
            (new[0] - old[0], new[1] - old[1], new[2] - old[2]) for old, new in zip(before, after, strict=True)
        )
        full = {"forward": server_full, "reverse": client_full, "both": client_full + server_full}[way]
        sent = {"forward": client_out, "reverse": server_out, "both": client_out + server_out}[way]
        came = {"forward": server_in, "reverse": client_in, "both": client_in + server_in}[way]
        span = self._seconds
        each = round(cpu / max(came, 1) * 1e6, 2)
        return Flow(
            round(came * octets * 8 / span / 1e6, 1),
            round(came / span),
            round(sent / span),
            each,
            round(cpu / taken, 2),
            round((came + full) / span),
        )

    def _run(self, seconds: float, *arguments: str) -> tuple[dict[str, Any], float, float]:
        """iperf3's report, seconds of CPU of both routers, and how long it took."""
        server = self._lan.server.first(*self._iperf3("-s", "-1"))
        waiting = subprocess.Popen(
            server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        try:
            assert waiting.stdout is not None
            self._listening()
            pids = self.pids()
            cpu, began = cpu_seconds(pids), time.monotonic()
            client = self._iperf3("-c", SERVER, "-t", str(seconds), "-J", *arguments)
            done = subprocess.run(
                self._lan.client.first(*client),
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds + 60,
                start_new_session=True,
            )
            taken = time.monotonic() - began
            for daemon in self._daemons:
                daemon.alive()
            cpu = cpu_seconds(pids) - cpu
        except subprocess.TimeoutExpired:
            raise LocalError(f"bench: iperf3 did not end within {seconds + 60:.0f} s") from None
        finally:
            waiting.terminate()
            waiting.communicate()
        report = json.loads(done.stdout or "{}")
        if "error" in report or "end" not in report:
            raise LocalError(f"bench: iperf3: {report.get('error', done.stderr.strip()[-200:])}")
        return report, cpu, taken

    def _listening(self) -> None:
        """Wait until the server listens on its port."""
        wanted = f":{int(PORT):04X} "
        table = [Path(f"/proc/{self._lan.server.pid}/net/{name}") for name in ("tcp", "tcp6")]
        until = time.monotonic() + 10
        while not any(wanted in row and " 0A " in row for one in table for row in one.read_text().splitlines()):
            if time.monotonic() > until:
                raise LocalError("bench: the iperf3 server does not listen")
            time.sleep(0.01)  # between two looks, not in what is measured

    def ping(self, seconds: float) -> Pings:
        """Round trips of a ping every ten milliseconds."""
        process = self.pinging(seconds)
        return self.pinged(process)

    def ping_command(self) -> list[str]:
        """`ping` of the peers, ready for its options and an address."""
        return inside(self._root, "/usr/bin/ping")

    def pinging(self, seconds: float) -> subprocess.Popen[str]:
        """Such a ping, begun."""
        count = max(10, round(seconds / PING_INTERVAL))
        options = ("-n", "-i", str(PING_INTERVAL), "-c", str(count), "-W", str(PING_WAIT))
        command = self._lan.client.first(*self.ping_command(), *options, SERVER)
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )

    @staticmethod
    def pinged(process: subprocess.Popen[str]) -> Pings:
        """What such a ping found."""
        text = process.communicate(timeout=120)[0]
        times = sorted(float(one) for one in _TIME.findall(text))
        sent = re.search(r"(\d+) packets transmitted", text)
        if not times or sent is None:
            raise LocalError("bench: no ping came back")
        count = int(sent[1])
        cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
        return Pings(round(statistics.median(times), 3), round(cuts[98], 3), count, count - len(times))

    def tcp_and_ping(self) -> tuple[Flow, Pings]:
        """One TCP stream, and a ping beside it."""
        process = self.pinging(self._seconds)
        flow = self.tcp("forward")
        return flow, self.pinged(process)
