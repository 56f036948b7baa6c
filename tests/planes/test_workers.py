"""Workers as processes: sockets of the loopback are the wire, pairs of datagram sockets the tunnel devices."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.support.process import wait_until

from ikescope.crypto.suites import ENCRYPTIONS, EspSuite
from ikescope.engine import commands
from ikescope.engine.commands import Destination, EspKeys, InstallSa, SwitchOutbound
from ikescope.errors import LocalError
from ikescope.esp.forwarder import Forwarder, ToTunnel, ToWire
from ikescope.esp.packet import ip_packet
from ikescope.esp.plane import Told
from ikescope.esp.sa import Counters, Direction
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import SelectorFact
from ikescope.events.router import EspInstalled, EspRemoved, PlaneFailed
from ikescope.planes import crew, frames, privileges
from ikescope.planes.steering import in_group, lock, steer_port
from ikescope.planes.workers import Workers
from ikescope.policy.selectors import Selectors

HERE = ip_address("127.0.0.1")
NEAR, FAR = (SelectorFact(start=f"10.{n}.0.0", end=f"10.{n}.255.255") for n in (1, 2))
SUITE = EspSuite(ENCRYPTIONS[20, 128], None, False, None)
SECRET = b"SeCrEt-SeCrEt-SeCrEt"


def path(number: int) -> TunnelPath:
    """One of the tunnels: everything behind it is the same."""
    selectors = Selectors((NEAR,), (FAR,))
    return TunnelPath(name=f"Tunnel{number}", mode="ipsec ipv4", source=HERE, destination=HERE, selectors=(selectors,))


def inner(data: bytes, *, back: bool = False) -> bytes:
    """A packet for the tunnel, or one that comes back."""
    ends = ip_address("10.1.0.1"), ip_address("10.2.0.1")
    return ip_packet(*(ends[::-1] if back else ends), 99, data)


@dataclass(slots=True)
class Bench:
    """A router with two workers and two tunnels, and a far end in this process."""

    workers: Workers
    port: list[socket.socket]
    devices: dict[str, socket.socket]
    far: socket.socket
    strays: list[tuple[bytes, Destination]]
    told: list[Told] = field(default_factory=list)
    spi: int = 0x1000

    def settle(self) -> list[Told]:
        """Hear what the workers say for as long as they say something; all that was told so far."""
        (fd,) = self.workers.filenos()
        while select.select([fd], [], [], 0.02)[0]:
            self.workers.read_ready(fd, time.monotonic())
        self.told += self.workers.take()
        return self.told

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Let the router run until something is so."""
        wait_until(what, lambda: (self.settle(), condition())[1])

    def install(self, spi: int, direction: Direction, tunnel: str, reqid: int) -> None:
        """Install an SA, as the engine would ask for it."""
        near, far = self.port[0].getsockname()[1], self.far.getsockname()[1]
        way = Destination(HERE, near, HERE, far)
        self.workers.execute(sa(spi, direction, tunnel, reqid, way), time.monotonic())

    def child(self, tunnel: str, inbound: int, reqid: int) -> int:
        """Install a Child SA and use it; its outbound SPI."""
        self.spi += 1
        self.install(inbound, "in", tunnel, reqid)
        self.install(self.spi, "out", tunnel, reqid)
        wanted = {commands.Installed(inbound, "in"), commands.Installed(self.spi, "out")}
        self.until("both are installed", lambda: wanted <= {*filter(is_installed, self.told)})
        self.workers.execute(SwitchOutbound(self.spi, HERE, tunnel), time.monotonic())
        return self.spi

    def arrives(self) -> bytes:
        """The next ESP packet at the far end."""
        assert select.select([self.far], [], [], 10)[0], "nothing arrived"
        return self.far.recv(2000)

    def sealed(self, inbound: int, data: bytes) -> bytes:
        """An ESP packet that the far end would send to an SPI."""
        forwarder = Forwarder([path(0)], os.urandom)
        way = Destination(HERE, 4500, HERE, 4500)
        turned = sa(inbound, "out", "Tunnel0", 1, way, FAR, NEAR)
        forwarder.execute(turned, 0.0)
        forwarder.execute(SwitchOutbound(inbound, HERE, "Tunnel0"), 0.0)
        list(forwarder.outputs())
        forwarder.from_tunnel("Tunnel0", inner(data, back=True), 0.0)
        (found,) = [each for each in forwarder.outputs() if isinstance(each, ToWire)]
        return found.octets

    def delivered(self, tunnel: str) -> bytes:
        """The next packet that comes out of a tunnel device."""
        self.until("a packet is delivered", lambda: select.select([self.devices[tunnel]], [], [], 0)[0])
        return self.devices[tunnel].recv(2000)


def is_installed(told: Told) -> bool:
    """Whether it is that report."""
    return isinstance(told, commands.Installed)


def sa(
    spi: int,
    direction: Direction,
    tunnel: str,
    reqid: int,
    way: Destination,
    local: SelectorFact = NEAR,
    remote: SelectorFact = FAR,
) -> InstallSa:
    """An SA with the one key of these tests."""
    return InstallSa(
        spi=spi,
        direction=direction,
        suite=SUITE,
        keys=EspKeys(SECRET, b""),
        path=way,
        udp=True,
        transport=False,
        tunnel=tunnel,
        local=(local,),
        remote=(remote,),
        reqid=reqid,
        replay_window=64,
        lifetime_kilobytes=None,
    )


def opened(octets: bytes, spi: int) -> bytes:
    """What is in an ESP packet, as the far end opens it."""
    forwarder = Forwarder([path(0)], os.urandom)
    forwarder.execute(sa(spi, "in", "Tunnel0", 1, Destination(HERE, 1, HERE, 1), FAR, NEAR), 0.0)
    forwarder.from_wire(octets, HERE, HERE, 0.0)
    (found,) = [each for each in forwarder.outputs() if isinstance(each, ToTunnel)]
    return found.packet


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Two workers on a steered port, two tunnels, one owned by each."""
    with ExitStack() as stack:
        port: list[socket.socket] = []
        for _ in range(3):
            one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            in_group(one)
            one.bind((str(HERE), port[0].getsockname()[1] if port else 0))
            one.setblocking(False)
            if port:
                lock(one)
            else:
                steer_port(one, 2)
            port.append(one)
        far = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        far.bind((str(HERE), 0))
        strays: list[tuple[bytes, Destination]] = []
        workers = Workers(
            [path(0), path(1)],
            2,
            stray=lambda octets, way, ecn: strays.append((octets, way)),
            account=privileges.Account("nobody", privileges.NOBODY, privileges.NOBODY),
        )
        stack.callback(workers.close)
        workers.start()
        devices = {}
        for number in range(2):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            theirs.setblocking(False)
            workers.add_tunnel(f"Tunnel{number}", theirs.detach())
            devices[f"Tunnel{number}"] = stack.enter_context(ours)
        workers.add_udp(HERE, port[0].getsockname()[1], port[1:])
        workers.wait()
        yield Bench(workers, port, devices, far, strays)


def processes() -> dict[int, int]:
    """The workers of this process: pid by number."""
    found = {}
    for pid in Path("/proc").glob("[0-9]*"):
        try:
            name, words = (pid / "comm").read_text().strip(), (pid / "cmdline").read_bytes()
            parent = int((pid / "stat").read_text().rpartition(")")[2].split()[1])
            grandparent = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"ikescope.planes.worker" in words and name.startswith("ikescope-") and grandparent == os.getpid():
            found[int(name.rpartition("-")[2])] = int(pid.name)
    return found


@pytest.mark.parametrize("tunnel", ["Tunnel0", "Tunnel1"])
@pytest.mark.parametrize("inbound", [0x2000, 0x2001], ids=["even", "odd"])
def test_packets_pass_wherever_their_sa_lives(bench: Bench, tunnel: str, inbound: int) -> None:
    """Out by the worker that reads the tunnel, in by the one that the SPI steers to; the counters say so at once."""
    inbound += 0x10 * int(tunnel[-1])
    outbound = bench.child(tunnel, inbound, inbound)
    bench.devices[tunnel].send(inner(b"to the far end"))
    assert opened(bench.arrives(), outbound) == inner(b"to the far end")
    bench.far.sendto(bench.sealed(inbound, b"back"), bench.port[0].getsockname())
    assert bench.delivered(tunnel) == inner(b"back", back=True)
    assert bench.workers.counters(outbound, "out") == Counters(1, 34, 0)
    assert bench.workers.counters(inbound, "in") == Counters(1, 24, 0)


def test_what_came_to_another_is_handed_on(bench: Bench) -> None:
    """ESP that the router got comes to its worker, and what came to a worker and is no ESP comes to the router."""
    inbound = 0x3001
    bench.child("Tunnel0", inbound, inbound)
    bench.workers.esp_from_udp(bench.sealed(inbound, b"by the router"), HERE, HERE, 4500, time.monotonic())
    assert bench.delivered("Tunnel0") == inner(b"by the router", back=True)
    ike = b"\0\0\0\0an IKE message that came in the wrong queue"
    steer_port(bench.port[0], 1)  # all ESP to the first worker
    try:
        bench.far.sendto(bench.sealed(0x3003, b"of no SA"), bench.port[0].getsockname())
        bench.install(0x3005, "in", "Tunnel1", 0x3005)
        bench.until("it is installed", lambda: commands.Installed(0x3005, "in") in bench.told)
        bench.far.sendto(bench.sealed(0x3005, b"by the other worker"), bench.port[0].getsockname())
        assert bench.delivered("Tunnel1") == inner(b"by the other worker", back=True)
    finally:
        steer_port(bench.port[0], 2)
    assert bench.strays == []
    bench.workers.heard(1, frames.Packet(ike, frames.Path("127.0.0.1", 4500, "127.0.0.1", 500), True, 0))
    bench.workers.read_ready(bench.workers.filenos()[0], time.monotonic())
    assert [octets for octets, _ in bench.strays] == [ike]


def test_an_sa_that_cannot_be_is_refused(bench: Bench) -> None:
    """What the Forwarder refuses and what the router knows to be wrong is one report, and nothing of it stays."""
    bench.install(0x4000, "in", "Tunnel9", 1)
    bench.child("Tunnel0", 0x4002, 2)
    bench.install(0x4002, "in", "Tunnel0", 2)
    bench.install(17, "out", "Tunnel0", 3)
    bench.until("all were refused", lambda: len([1 for each in bench.told if isinstance(each, commands.Refused)]) >= 3)
    whys = {each.spi: each.why for each in bench.told if isinstance(each, commands.Refused)}
    assert whys == {
        0x4000: "no tunnel Tunnel9 here",
        0x4002: "SPI 00004002 is installed already",
        17: "SPI: had 17, wanted 256 to 4294967295",
    }
    assert bench.workers.counters(17, "out") is None
    bench.told.clear()


def test_what_became_of_an_sa_is_told_although_it_was_removed(bench: Bench) -> None:
    """The engine waits for the report of each SA that it asked for, also where it has taken it back meanwhile."""
    bench.told.clear()
    bench.install(0x4800, "in", "Tunnel0", 0x4800)
    bench.workers.execute(commands.RemoveSa(0x4800, "in", HERE, "Tunnel0"), time.monotonic())
    assert bench.workers.counters(0x4800, "in") is None
    bench.until("it is told", lambda: commands.Installed(0x4800, "in") in bench.told)
    bench.until("it is gone", lambda: any(isinstance(each, EspRemoved) for each in bench.told))
    assert bench.told.count(commands.Installed(0x4800, "in")) == 1


def test_a_worker_holds_no_right_and_shows_no_key(bench: Bench) -> None:
    """It is nobody, holds and gains no capability, leaves no core, and has no key in what others may read."""
    bench.child("Tunnel1", 0x5000, 0x5000)
    found = processes()
    assert len(found) == 2
    for pid in found.values():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["NoNewPrivs"] == "1"
        assert {status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
        assert status["Uid"].split()[0] == str(privileges.NOBODY) or os.geteuid()
        assert status["Seccomp"] == "2"
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert SECRET not in shown
        assert Path(f"/proc/{pid}/oom_score_adj").stat().st_uid == 0, "its memory is not to be dumped"


def test_what_a_worker_says_of_others_is_not_believed(bench: Bench) -> None:
    """A worker reports about its own SAs and tunnels: another's are not expired by it."""
    bench.child("Tunnel0", 0x6000, 0x6000)
    bench.settle()
    bench.told.clear()
    lies: list[Told] = [
        commands.Expired(0x6000, "in", True),
        commands.Refused(0x6000, "in", "so"),
        commands.PeerMoved(0x6000, Destination(HERE, 1, HERE, 2)),
        commands.Acquire(
            tunnel="Tunnel0", index=0, packet=(NEAR, FAR), inner_source="", inner_destination="", inner_protocol=0
        ),
    ]
    for lie in lies:
        bench.workers.heard(1, frames.pack_told(lie))
    assert bench.workers.take() == []
    bench.workers.heard(0, frames.pack_told(lies[0]))
    assert bench.workers.take() == [lies[0]]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_a_worker_that_ends_is_started_again_without_its_sas(
    bench: Bench, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its SAs are given up, each Child SA once, for a key's sequence numbers are used once; then all goes on anew."""
    reqid = 0x7000 + how
    kept = bench.child("Tunnel1", reqid * 2 + 1, reqid + 1)
    lost = bench.child("Tunnel0", reqid * 2, reqid)
    bench.settle()
    bench.told.clear()
    os.kill(processes()[0], how)
    if how is signal.SIGSTOP:
        monkeypatch.setattr(crew, "HUNG_SECONDS", 0.3)
        bench.workers.counters(lost, "out")  # does not wait for it
        bench.workers.execute(commands.ReleaseHeld("Tunnel0", "it reads nothing"), time.monotonic())

    def failed() -> list[PlaneFailed]:
        bench.workers.tick(time.monotonic())
        return [each for each in bench.told if isinstance(each, PlaneFailed)]

    bench.until("its end is told", failed)
    assert failed()[0].what == "worker 0 of the data plane"
    assert failed()[0].why.startswith("it ended: killed by SIGKILL, started again")
    refused = {each.spi for each in bench.told if isinstance(each, commands.Refused)}
    assert len(refused & {reqid * 2, lost}) == 1
    assert not refused & {reqid * 2 + 1, kept}
    assert {f"{lost:08x}", f"{reqid * 2:08x}"} <= {each.spi for each in bench.told if isinstance(each, EspRemoved)}
    assert bench.workers.counters(lost, "out") is None
    monkeypatch.undo()

    def two() -> bool:
        bench.workers.tick(time.monotonic())
        return len(processes()) == 2

    bench.until("there are two again", two)
    again = bench.child("Tunnel0", reqid * 2 + 0x100, reqid + 2)
    bench.devices["Tunnel0"].send(inner(b"anew"))
    assert opened(bench.arrives(), again) == inner(b"anew")
    bench.devices["Tunnel1"].send(inner(b"as before"))
    assert opened(bench.arrives(), kept) == inner(b"as before")
    assert any(isinstance(each, EspInstalled) and each.spi == f"{again:08x}" for each in bench.settle())


def test_a_worker_that_cannot_begin_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The router does not start without its workers, and leaves no process behind."""
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    here = privileges.Account("nobody", privileges.NOBODY, privileges.NOBODY)
    workers = Workers([path(0)], 1, stray=lambda octets, way, ecn: None, account=here)
    before = processes()
    try:
        with pytest.raises(LocalError, match=r"workers cannot be started: |worker of the data plane does not start: "):
            workers.start()
            workers.wait()
    finally:
        workers.close()
    assert processes() == before


def test_all_end_with_the_router(bench: Bench) -> None:
    """Closed, no process is left; the devices are gone with them."""
    assert processes()
    bench.workers.close()
    assert processes() == {}
    with pytest.raises(OSError, match=r"Connection|Broken|connected"):
        bench.devices["Tunnel0"].send(b"nobody is there")
