"""client - router A - router B - server: four network namespaces joined by veth, gone when this process is.

10.1.0.2 --- 10.1.0.1  A  10.99.0.1 --- 10.99.0.2  B  10.2.0.1 --- 10.2.0.2
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ikescope.errors import LocalError

CLIENT, SERVER = "10.1.0.2", "10.2.0.2"
WAN = {"a": "10.99.0.1", "b": "10.99.0.2"}
LAN = {"a": "10.1.0.1", "b": "10.2.0.1"}
NETWORK = {"a": "10.1.0.0/24", "b": "10.2.0.0/24"}
FAR = {"a": "b", "b": "a"}

BEFORE = 'echo -15 2>/dev/null >/proc/self/autogroup; renice -n -15 -p $$ >/dev/null 2>&1; exec "$@"'


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace, held by the process `holder`, which ends when our end of its standard input closes."""

    holder: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The process that stands in it."""
        return self.holder.pid

    def argv(self, *command: str) -> list[str]:
        """The command line that becomes `command` in here."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]

    def first(self, *command: str) -> list[str]:
        """The same for what is measured, to be started in a session of its own: it goes before whatever else runs."""
        return ["sh", "-c", BEFORE, "sh", *self.argv(*command)]

    def run(self, *command: str, feed: str = "") -> str:
        """Run a command in here to its end; its output, LocalError with its last line where it fails."""
        done = subprocess.run(self.argv(*command), input=feed, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            raise LocalError(f"bench: {' '.join(command[:3])}: {said[-1]}")
        return done.stdout

    def start(self, command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Daemon:
        """Start a daemon in here, in a session of its own, as a service is."""
        with log.open("wb") as out:
            process = subprocess.Popen(
                self.first(*command),
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Daemon(process, log)

    def datagrams(self) -> tuple[int, int, int]:
        """UDP datagrams that this namespace's own sockets sent and received so far, and those that came and found no
        room in one, as the kernel counts them.
        """
        rows = [row.split() for row in Path(f"/proc/{self.pid}/net/snmp").read_text().splitlines()]
        names, values = (row for row in rows if row[0] == "Udp:")
        found = dict(zip(names[1:], map(int, values[1:]), strict=True))
        return found["OutDatagrams"], found["InDatagrams"], found["RcvbufErrors"]


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process that was started, and where its output goes."""

    process: subprocess.Popen[bytes]
    log: Path

    def alive(self) -> None:
        """LocalError with the last line of its output where it has ended."""
        status = self.process.poll()
        if status is not None:
            said = self.log.read_text(errors="replace").strip().splitlines() or ["no word"]
            raise LocalError(f"bench: {self.log.stem} ended with status {status}: {said[-1]}")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(frozen=True, slots=True)
class Lan:
    """The four places."""

    client: Place
    routers: Mapping[str, Place]
    server: Place

    def reached(self, daemons: tuple[Daemon, ...], ping: list[str], patience: float = 30.0) -> None:
        """Wait until the client reaches the server; LocalError where it does not or a daemon ends before."""
        until = time.monotonic() + patience
        command = self.client.argv(*ping, "-c", "1", "-W", "1", SERVER)
        while subprocess.run(command, capture_output=True, check=False).returncode:
            for one in daemons:
                one.alive()
            if time.monotonic() > until:
                names = " and ".join(one.log.stem for one in daemons)
                raise LocalError(f"bench: nothing passes through {names} within {patience:.0f} s")
            time.sleep(0.1)  # between two pings, not in what is measured


def _hold(stack: ExitStack) -> Place:
    holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    stack.callback(_let_go, holder)
    ours = os.stat("/proc/self/ns/net").st_ino
    while os.stat(f"/proc/{holder.pid}/ns/net").st_ino == ours:
        if holder.poll() is not None:
            raise LocalError("bench esp: no network namespace could be made")
        time.sleep(0.005)  # between two looks at whether it stands
    return Place(holder)


def _let_go(holder: subprocess.Popen[bytes]) -> None:
    assert holder.stdin is not None
    holder.stdin.close()
    holder.wait(timeout=10)


def _join(one: Place, name: str, other: Place, there: str) -> None:
    one.run("ip", "link", "add", name, "type", "veth", "peer", "name", there, "netns", str(other.pid))


@contextmanager
def lan() -> Iterator[Lan]:
    """The four places, joined, addressed and forwarding; no way leads from LAN to LAN yet."""
    missing = [tool for tool in ("ip", "nsenter", "unshare") if shutil.which(tool) is None]
    if missing:
        raise LocalError(f"bench esp needs {' and '.join(missing)} (iproute2, util-linux)")
    with ExitStack() as stack:
        client, a, b, server = (_hold(stack) for _ in range(4))
        _join(a, "wan", b, "wan")
        _join(client, "eth0", a, "lan")
        _join(server, "eth0", b, "lan")
        for name, place in (("a", a), ("b", b)):
            place.run(
                "ip",
                "-batch",
                "-",
                feed=f"link set lo up\naddr add {WAN[name]}/24 dev wan\naddr add {LAN[name]}/24 dev lan\n"
                "link set wan up\nlink set lan up\n",
            )
            place.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for place, address, router in ((client, CLIENT, LAN["a"]), (server, SERVER, LAN["b"])):
            lines = (
                f"link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {router}\n"
            )
            place.run("ip", "-batch", "-", feed=lines)
        yield Lan(client, {"a": a, "b": b}, server)
