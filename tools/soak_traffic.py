"""Two routers with traffic and a rekey every minute, for long: memory stays flat and no packet is lost.

    tools/soak_traffic.py --virtual 24      hours of virtual time, both routers in this process
    tools/soak_traffic.py --real 60         minutes of real time, two `ikescope run` in namespaces (root, `make peers`)

A line an hour, or a minute: memory, rekeys, pings lost. Exit status 1 where memory grew by more than a tenth after the
first quarter, or a ping was lost.
"""

import argparse
import gc
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path

from ikescope.bench.contenders import ROUTER, SUITES
from ikescope.bench.lan import FAR, NETWORK, SERVER, WAN, Daemon, Lan, lan
from ikescope.bench.traffic import Traffic, family, memory_mib
from ikescope.config.model import RouterConfig
from ikescope.events import Record, Recorder
from ikescope.events.life import ChildSaRekeyed, IkeSaRekeyed
from ikescope.ios.configuration import load
from ikescope.sim.world import Ping, World

HOUR = 3600.0
PING_EVERY = 2.0
BAD_EVERY = 10
"""Every so many pings a bad ESP packet arrives too."""
GROWTH = 0.1
LIFETIME = 66
"""Seconds of a Child SA: it is rekeyed before a minute is over, and an IKE SA every tenth time."""
_LOST = re.compile(r"(\d+) packets transmitted, (\d+) received")


def text(which: str, *, lifetime: int = LIFETIME) -> str:
    """A router's configuration: that of the bench, with short lifetimes."""
    far = FAR[which]
    whole = ROUTER.format(
        name=f"soak-{which}",
        number="ab".index(which) + 1,
        local=WAN[which],
        peer=WAN[far],
        far=NETWORK[far].partition("/")[0],
        transform_set=SUITES["aes-gcm-128"].transform_set,
        encapsulation=" nat force-encap\n",
    )
    whole = whole.replace(" keyring local KR\n", f" keyring local KR\n lifetime {10 * lifetime}\n")
    return whole.replace(
        " set ikev2-profile BENCH\n",
        f" set ikev2-profile BENCH\n set pfs group31\n set security-association lifetime seconds {lifetime}\n",
    )


def read(which: str) -> RouterConfig:
    """The same, read."""
    address = f"interface GigabitEthernet1\n ip address {WAN[which]} 255.255.255.0\n"
    return load(text(which) + address, name=which, lab_timers=True)


def resident() -> float:
    """MiB that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Virtual:
    """Both routers in memory, each with the flight recorder that a router has."""

    def __init__(self) -> None:
        self.world = World("soak", latency=0.01)
        self.world.keep_mail = False
        self.rekeys, self.lost, self.pings = 0, 0, 0
        self.recorders = [Recorder(), Recorder()]
        for which, recorder in zip("ab", self.recorders, strict=True):
            station = self.world.add(read(which))
            station.driver._sink = lambda record, recorder=recorder: self._hear(record, recorder)  # type: ignore[misc]
        self.world.run(5.0)

    def _hear(self, record: Record, recorder: Recorder) -> None:
        recorder.add(record)
        self.rekeys += isinstance(record.event, ChildSaRekeyed | IkeSaRekeyed)

    def hour(self) -> None:
        """An hour of pings both ways; now and then bad ESP."""
        waiting: list[Ping] = []
        for number in range(round(HOUR / PING_EVERY)):
            waiting.append(self.world.ping("soak-a", "10.1.0.9", "10.2.0.9"))
            waiting.append(self.world.ping("soak-b", "10.2.0.9", "10.1.0.9"))
            if number % BAD_EVERY == 0:
                self._bad(number)
            self.world.run(PING_EVERY)
        self.world.run(1.0)
        self.pings += len(waiting)
        self.lost += sum(ping.received is None for ping in waiting)
        # The test world keeps for who asks what no router does.
        self.world.pings.clear()
        for station in self.world.stations.values():
            station.keys.clear()

    def _bad(self, number: int) -> None:
        for name, here, there in (("soak-a", "a", "b"), ("soak-b", "b", "a")):
            station = self.world.stations[name]
            spis = [*station.plane._forwarder._inbound, number % 256 + 256]
            for spi in spis:
                octets = spi.to_bytes(4, "big") + os.urandom(60)
                ends = IPv4Address(WAN[here]), IPv4Address(WAN[there])
                station.plane.esp_from_udp(octets, *ends, 4500, self.world.now)
            self.world.settle(station)


def virtual(hours: int) -> int:
    """So many hours of virtual time."""
    life, memory = Virtual(), []
    for hour in range(1, hours + 1):
        life.hour()
        gc.collect()
        memory.append(resident())
        sas = sum(len(station.node._endpoint.core.sas) for station in life.world.stations.values())
        print(
            f"hour {hour}: {memory[-1]:.1f} MiB, {life.rekeys} rekeys told, {sas} IKE SAs, "
            f"{life.lost} of {life.pings} pings lost",
            flush=True,
        )
    return verdict(memory, life.lost)


def verdict(memory: Sequence[float], lost: int) -> int:
    """0 where memory was flat after the first quarter and nothing was lost."""
    settled = memory[len(memory) // 4]
    grown = memory[-1] / settled - 1
    print(f"memory {100 * grown:+.1f} % after the first quarter, {lost} pings lost")
    return int(grown > GROWTH or lost > 0)


def started(stack: ExitStack, net: Lan, directory: Path) -> tuple[Daemon, ...]:
    """Two real routers."""
    found = []
    for which in "ab":
        path = directory / f"{which}.cfg"
        path.write_text(text(which))
        command = [sys.executable, "-m", "ikescope", "run", str(path), "--data-plane", "userland", "--lab-timers"]
        command += ["--control", str(directory / f"{which}.sock")]
        daemon = net.routers[which].start(command, directory / f"ikescope-{which}.log")
        stack.callback(daemon.stop)
        found.append(daemon)
    return tuple(found)


def minutes(traffic: Traffic, net: Lan, count: int) -> Iterator[tuple[int, int]]:
    """Each minute: pings sent, and lost; beside them a TCP stream for a few seconds."""
    for _ in range(count):
        command = net.client.argv(*traffic.ping_command(), "-n", "-q", "-i", "0.05", "-w", "57", "-W", "2", SERVER)
        ping = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        traffic.tcp("both", 5.0)
        said = _LOST.search(ping.communicate(timeout=90)[0])
        yield (int(said[1]), int(said[1]) - int(said[2])) if said else (0, 0)


def real(count: int, peers: Path) -> int:
    """So many minutes of real time."""
    memory, lost, began = [], 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ikescope-soak-") as name, ExitStack() as stack:
        net = stack.enter_context(lan())
        daemons = started(stack, net, Path(name))
        traffic = Traffic(net, daemons, peers, 5.0)
        net.reached(daemons, traffic.ping_command())
        for number, (sent, missing) in zip(itertools.count(1), minutes(traffic, net, count), strict=False):
            each = [memory_mib(family(daemon.process.pid)) for daemon in daemons]
            lost += missing
            memory.append(sum(each))
            at = (time.monotonic() - began) / 60
            print(
                f"minute {number} ({at:.1f}): {each[0]:.1f} and {each[1]:.1f} MiB, {missing} of {sent} pings lost",
                flush=True,
            )
    return verdict(memory, lost)


def main(argv: Sequence[str] | None = None) -> int:
    """Soak as the command line says."""
    parser = argparse.ArgumentParser(description="Two routers with traffic and a rekey every minute, for long.")
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--virtual", type=int, metavar="HOURS", help="in memory")
    way.add_argument("--real", type=int, metavar="MINUTES", help="two processes in namespaces")
    parser.add_argument("--peers", type=Path, default=Path(".peers"), help="where `make peers` unpacked them (.peers)")
    args = parser.parse_args(argv)
    return virtual(args.virtual) if args.virtual else real(args.real, args.peers)


if __name__ == "__main__":
    sys.exit(main())
