"""Two sites in network namespaces: host_a -- gw_a == gw_b -- host_b, joined by veth, deleted at the end."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.machine import ROOT
from tests.support.ping import PingResult
from tests.support.process import Process

WAN_A, WAN_B, WAN = "10.99.0.1", "10.99.0.2", "10.99.0.0/24"
WAN6_A, WAN6_B = "2001:db8:99::1", "2001:db8:99::2"
LAN_A, HOST_A, NET_A = "10.1.0.1", "10.1.0.2", "10.1.0.0/24"
LAN_B, HOST_B, NET_B = "10.2.0.1", "10.2.0.2", "10.2.0.0/24"

PATIENCE = 10.0
"""Seconds that a ping waits for the last replies; where all have come it waits for none."""

_numbers = itertools.count(1)


def ip(*arguments: str, batch: str = "") -> str:
    """Run iproute2's `ip`; its output. CalledProcessError, with its message in stderr, when it refuses."""
    done = subprocess.run(
        ["ip", *arguments], input=batch, capture_output=True, text=True, check=False, timeout=20, cwd=ROOT
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
    return done.stdout


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace, by the name that `ip netns` knows."""

    name: str

    def argv(self, *command: str) -> list[str]:
        """The command line that runs `command` in here; the process id is that of `command` itself."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(
        self, *command: str, check: bool = True, timeout: float = 30.0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` in here to its end, with no standard input; CalledProcessError where `check` says so."""
        return subprocess.run(
            self.argv(*command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            cwd=ROOT,
        )

    def start(self, *command: str, directory: Path, name: str, env: Mapping[str, str] | None = None) -> Process:
        """Start `command` in here; its output goes to `directory`/`name`.out and .err."""
        return Process(self.argv(*command), directory, name, env=env, cwd=ROOT)

    def ip(self, *arguments: str, batch: str = "") -> str:
        """Run `ip` on this namespace's links, addresses and routes."""
        return ip("-n", self.name, *arguments, batch=batch)

    def ping(
        self, address: str, *, count: int = 3, interval: float = 0.1, size: int = 56, wait: float = PATIENCE
    ) -> PingResult:
        """Ping `address` from here, to its end: what was sent and what came back within `wait` seconds of the last."""
        argv = _ping_argv(address, count, interval, size, wait)
        return PingResult.from_json(self.run(*argv, timeout=count * interval + wait + 10).stdout)

    @contextmanager
    def pinging(
        self, address: str, *, directory: Path, interval: float = 0.05, wait: float = PATIENCE
    ) -> Iterator["RunningPing"]:
        """Ping `address` from here for as long as the block lasts; the result is there afterwards.

        At the end it waits at most `wait` seconds for replies that are missing.
        """
        process = self.start(
            *_ping_argv(address, 0, interval, 56, wait), directory=directory, name=f"ping-{self.name}-{next(_numbers)}"
        )
        running = RunningPing(process, wait)
        try:
            process.wait_for("^started$")
            yield running
        finally:
            running.finish()

    @property
    def file(self) -> Path:
        """What stands for it in the file system."""
        return Path("/run/netns") / self.name

    def pids(self) -> list[int]:
        """The processes that live in here."""
        own = self.file.stat()
        found = []
        for path in Path("/proc").glob("[0-9]*/ns/net"):
            with suppress(OSError):
                if os.path.samestat(path.stat(), own):
                    found.append(int(path.parts[2]))
        return found


class RunningPing:
    """A ping that runs beside a test; `result` once its block has ended."""

    def __init__(self, process: Process, wait: float) -> None:
        self._process, self._wait = process, wait
        self.result: PingResult | None = None

    def finish(self) -> None:
        """Stop sending, wait for the last replies, read the result."""
        self._process.stop(timeout=self._wait + 30.0)
        self.result = PingResult.from_json(self._process.stdout.partition("\n")[2])

    @property
    def lost(self) -> int:
        """Requests without a reply, after the block has ended."""
        assert self.result is not None, "the ping still runs"
        return self.result.lost

    @property
    def received(self) -> int:
        """Replies, after the block has ended."""
        assert self.result is not None, "the ping still runs"
        return self.result.received


def _ping_argv(address: str, count: int, interval: float, size: int, wait: float) -> list[str]:
    options = {"--count": count, "--interval": interval, "--size": size, "--wait": wait}
    words = [str(word) for pair in options.items() for word in pair]
    return [sys.executable, "-m", "tests.support.ping", address, *words]


@dataclass(frozen=True, slots=True)
class Topology:
    """The four namespaces. Gateways have `wan` (10.99.0.1, .2) and `lan` (10.1.0.1, 10.2.0.1) and forward; hosts have
    `eth0` (10.1.0.2, 10.2.0.2) and a default route through their gateway. The gateways hold no route to each other's
    LAN: only a tunnel makes one.
    """

    host_a: Namespace
    gw_a: Namespace
    gw_b: Namespace
    host_b: Namespace

    @property
    def namespaces(self) -> tuple[Namespace, ...]:
        """All four, from host_a to host_b."""
        return (self.host_a, self.gw_a, self.gw_b, self.host_b)


@contextmanager
def topology(label: str = "ik") -> Iterator[Topology]:
    """Make the two sites under names that no other run has; delete them, and what still runs inside, at the end."""
    prefix = f"{label}{os.getpid()}n{next(_numbers)}"
    net = Topology(*(Namespace(f"{prefix}-{role}") for role in ("ha", "ga", "gb", "hb")))
    try:
        _wire_up(net)
        yield net
    finally:
        _remove([namespace for namespace in net.namespaces if namespace.file.exists()])


def _wire_up(net: Topology) -> None:
    """Make the four, join them, address them, let the gateways forward: few processes, for they cost most of it."""
    cables = (
        (net.gw_a, "wan", net.gw_b, "wan"),
        (net.host_a, "eth0", net.gw_a, "lan"),
        (net.host_b, "eth0", net.gw_b, "lan"),
    )
    lines = [f"netns add {namespace.name}" for namespace in net.namespaces]
    for near, near_link, far, far_link in cables:
        lines.append(f"link add {near_link} netns {near.name} type veth peer name {far_link} netns {far.name}")
    ip("-batch", "-", batch="\n".join(lines) + "\n")
    addresses = {
        net.host_a: {"eth0": f"{HOST_A}/24"},
        net.gw_a: {"wan": f"{WAN_A}/24", "lan": f"{LAN_A}/24"},
        net.gw_b: {"wan": f"{WAN_B}/24", "lan": f"{LAN_B}/24"},
        net.host_b: {"eth0": f"{HOST_B}/24"},
    }
    gates = {net.host_a: LAN_A, net.host_b: LAN_B}
    for namespace, links in addresses.items():
        lines = ["link set lo up"]
        for link, address in links.items():
            lines += [f"addr add {address} dev {link}", f"link set {link} up"]
        if namespace in gates:
            lines.append(f"route add default via {gates[namespace]}")
        namespace.ip("-batch", "-", batch="\n".join(lines) + "\n")
    for gateway in (net.gw_a, net.gw_b):
        gateway.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")


def over_ipv6(net: Topology) -> None:
    """Give the gateways IPv6 addresses on their `wan` too (WAN6_A, WAN6_B)."""
    for gateway, address in ((net.gw_a, WAN6_A), (net.gw_b, WAN6_B)):
        gateway.ip("addr", "add", f"{address}/64", "dev", "wan", "nodad")


def _remove(namespaces: Sequence[Namespace]) -> None:
    """Delete namespaces of ours; a process still in one would keep it alive, so that ends first."""
    for namespace in namespaces:
        for pid in namespace.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
    ip("-batch", "-", batch="".join(f"netns del {namespace.name}\n" for namespace in namespaces))
