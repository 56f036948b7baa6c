"""XFRM states in a kernel that carries ESP: what iproute2 shows of ours; limits, replays and moves as they are told."""

import os
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from tests.planes.fakexfrm import A, B, fact, install, path
from tests.planes.gateway import configuration
from tests.planes.test_xfrm import inside, suite
from tests.support.netns import HOST_B, Namespace, Topology, ip
from tests.support.process import wait_until

from ikescope.config.model import TunnelMode
from ikescope.engine.commands import (
    Acquire,
    Command,
    Destination,
    EspKeys,
    Expired,
    InstallSa,
    PeerMoved,
    RemoveSa,
    SwitchOutbound,
    Traffic,
    UpdatePath,
)
from ikescope.esp.plane import Told
from ikescope.events.router import EspDropped, EspRemoved, PacketsHeld
from ikescope.planes.kernel import KernelPlane
from ikescope.planes.kernel_spd import numbered
from ikescope.planes.kernel_table import Table
from ikescope.planes.xfrm_socket import Xfrm

GRE = path("gre ip")
KEY = bytes(range(20))


@pytest.fixture(scope="module")
def empty() -> Iterator[Namespace]:
    """A network namespace without anything."""
    name = f"st{os.getpid()}"
    ip("netns", "add", name)
    yield Namespace(name)
    ip("netns", "del", name)


@pytest.fixture
def xfrm(empty: Namespace) -> Iterator[Xfrm]:
    """Requests about the empty namespace."""
    with inside(empty):
        made = Xfrm()
    yield made
    made.close()


def table(xfrm: Xfrm) -> Table:
    """A router's table with one GRE tunnel, its policies up."""
    named, first = numbered((GRE,), 0)
    made = Table(xfrm, named, 0, first)
    made.guard()
    return made


def shown(namespace: Namespace, spi: int, destination: str) -> str:
    """A state as iproute2 shows it, with single blanks."""
    words = ("xfrm", "state", "get", "dst", destination, "proto", "esp", "spi", f"0x{spi:x}")
    return re.sub(r"\s+", " ", namespace.run("ip", "-s", "-d", *words).stdout).strip()


GCM = "aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 (160 bits) 128"
CASES = [
    pytest.param(
        install(0x1001, "in", tunnel=GRE, suite=suite(20, 128, None), keys=EspKeys(KEY, b"")),
        (
            "src 10.99.0.2 dst 10.99.0.1",
            "mode transport",
            GCM,
            "replay_window 64, bitmap-length 2",
            "reqid 1795162113(0x6b000001)",
        ),
        ("flag esn", "encap"),
        id="gcm-in",
    ),
    pytest.param(
        install(
            *(0x1001, "in"),
            tunnel=GRE,
            suite=suite(20, 128, None, esn=True),
            keys=EspKeys(KEY, b""),
            replay_window=1024,
            udp=True,
            path=Destination(A, 4500, B, 40001),
            lifetime_kilobytes=10,
            lifetime_seconds=3600,
        ),
        (
            GCM,
            "flag esn",
            "replay_window 1024, bitmap-length 32",
            "encap type espinudp sport 40001 dport 4500 addr 0.0.0.0",
            "limit: soft 9216(bytes), hard 10240(bytes)",
            "expire add: soft 0(sec), hard 3720(sec)",
        ),
        (),
        id="gcm-esn-udp-in",
    ),
    pytest.param(
        install(
            *(0x2001, "out"),
            tunnel=GRE,
            transport=False,
            suite=suite(12, 256, 12),
            keys=EspKeys(bytes(32), bytes(32)),
            udp=True,
            path=Destination(A, 4500, B, 40001),
        ),
        (
            "src 10.99.0.1 dst 10.99.0.2",
            "mode tunnel",
            "auth-trunc hmac(sha256) 0x" + "00" * 32 + " (256 bits) 128",
            "enc cbc(aes) 0x" + "00" * 32 + " (256 bits)",
            "encap type espinudp sport 4500 dport 40001",
            "hard 4294967295(packets)",
            "sel src 10.99.0.1/32 dst 10.99.0.2/32 proto gre",
        ),
        ("flag esn",),
        id="cbc-udp-tunnel-out",
    ),
    pytest.param(
        install(0x2001, "out", tunnel=GRE, suite=suite(12, 128, 2, esn=True), keys=EspKeys(bytes(16), bytes(20))),
        ("auth-trunc hmac(sha1) 0x" + "00" * 20 + " (160 bits) 96", "flag esn", "hard (INF)(packets)"),
        (),
        id="cbc-sha1-esn-out",
    ),
    pytest.param(
        install(0x2001, "out", tunnel=GRE, suite=suite(28, 0, None), keys=EspKeys(bytes(36), b"")),
        ("aead rfc7539esp(chacha20,poly1305) 0x" + "00" * 36 + " (288 bits) 128",),
        (),
        id="chacha-out",
    ),
    pytest.param(
        install(0x1001, "in", tunnel=GRE, suite=suite(11, 0, 14), keys=EspKeys(b"", bytes(64)), replay_window=0),
        ("enc ecb(cipher_null)", "auth-trunc hmac(sha512) 0x" + "00" * 64 + " (512 bits) 256", "replay-window 0"),
        (),
        id="null-sha512-in",
    ),
]


@pytest.mark.parametrize(("command", "there", "absent"), CASES)
def test_a_state_is_what_iproute2_shows(
    empty: Namespace, xfrm: Xfrm, command: InstallSa, there: tuple[str, ...], absent: tuple[str, ...]
) -> None:
    """Algorithms, keys, ICV, window, ESN, UDP, limits, mode, reqid and selector: as the engine asked for them."""
    made = table(xfrm)
    made.install(command)
    end = "10.99.0.1" if command.direction == "in" else "10.99.0.2"
    words = shown(empty, command.spi, end)
    for each in there:
        assert each in words
    for each in absent:
        assert each not in words
    made.clear()
    assert empty.ip("xfrm", "state") == empty.ip("xfrm", "policy") == ""


T = TypeVar("T")
SPIS = {"a": (0x2001, 0x1001), "b": (0x1001, 0x2001)}
"""Outbound, inbound."""
_UDP_ENCAP, _ESP_IN_UDP = 100, 2


class End:
    """A kernel plane of ours in a gateway, without IKE: what it told so far is in `told`."""

    def __init__(self, namespace: Namespace, which: str, mode: TunnelMode = "gre ip") -> None:
        self.namespace, self.which = namespace, which
        self.told: list[Told] = []
        self.sockets: list[socket.socket] = []
        with inside(namespace):
            self.plane = KernelPlane(configuration(which, mode))
            self.plane.open()

    def port(self, number: int) -> None:
        """Open a UDP port whose ESP is the kernel's."""
        with inside(self.namespace):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((str(self.plane.sources["Tunnel0"]), number))
        udp.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESP_IN_UDP)
        self.sockets.append(udp)

    def do(self, command: Command) -> None:
        """Let the plane carry out a command; some make devices, so in here."""
        with inside(self.namespace):
            self.plane.execute(command, time.monotonic())

    def up(self, number: int = 0, **changed: object) -> None:
        """Both ESP SAs of a Child SA with keys that both ends know; `number` raises its SPIs."""
        tunnel = self.plane.paths["Tunnel0"]
        ends = Destination(tunnel.source, 500, tunnel.destination, 500)
        for spi, way in zip(SPIS[self.which], ("out", "in"), strict=True):
            keys = EspKeys(spi.to_bytes(4, "big") * 5, b"")
            self.do(
                install(spi + number, way, tunnel=tunnel, **{"path": ends, "keys": keys, "reqid": number, **changed})
            )
        if not number:
            self.switch()

    def switch(self, number: int = 0) -> None:
        """Let traffic leave by that Child SA."""
        self.do(SwitchOutbound(SPIS[self.which][0] + number, B, "Tunnel0"))

    def remove(self, direction: Literal["in", "out"], number: int = 0) -> None:
        """Take one of its ESP SAs out."""
        spi = SPIS[self.which][direction == "in"] + number
        self.do(RemoveSa(spi, direction, B, "Tunnel0"))

    def look(self, kind: type[T]) -> list[T]:
        """Let the plane hear the kernel and look at its counters; what it has told of that kind."""
        with inside(self.namespace):
            for fd in self.plane.filenos():
                while select.select([fd], [], [], 0)[0]:
                    self.plane.read_ready(fd, time.monotonic())
            self.plane.tick(time.monotonic())
        self.told += self.plane.take()
        return [each for each in self.told if isinstance(each, kind)]

    def close(self) -> None:
        """Take it down; nothing is left."""
        for udp in self.sockets:
            udp.close()
        with inside(self.namespace):
            self.plane.close()
        assert self.namespace.ip("xfrm", "state") == self.namespace.ip("xfrm", "policy") == ""


@pytest.fixture
def ends(net: Topology, request: pytest.FixtureRequest) -> Iterator[tuple[End, End]]:
    """Planes at both gateways, of GRE tunnels where the test does not say a mode; closed after the test."""
    mode: TunnelMode = getattr(request, "param", "gre ip")
    with ExitStack() as stack:
        made = []
        for namespace, which in ((net.gw_a, "a"), (net.gw_b, "b")):
            made.append(End(namespace, which, mode))
            stack.callback(made[-1].close)
        yield made[0], made[1]


def test_an_sa_ends_at_its_octets(net: Topology, ends: tuple[End, End]) -> None:
    """A soft report at nine tenths, a hard one at the limit: then nothing passes until it is replaced; then it asks."""
    a, b = ends
    a.up(lifetime_kilobytes=10)
    b.up()
    assert net.host_a.ping(HOST_B, count=3, interval=0.01).lost == 0
    assert a.look(Expired) == []
    (passed, *_) = [each for each in a.look(Traffic) if each.direction == "out"]
    assert (passed.packets, passed.octets) == (3, 3 * (20 + 8 + 56 + 4))
    net.host_a.ping(HOST_B, count=12, interval=0.01, size=1000, wait=0.2)
    wait_until("told", lambda: Expired(0x2001, "out", hard=True) in a.look(Expired))
    assert [each.hard for each in a.look(Expired) if each.direction == "out"] == [False, True]
    assert net.host_a.ping(HOST_B, count=2, interval=0.01, wait=0.2).lost == 2
    assert a.look(Acquire) == []
    a.remove("out")
    a.remove("in")
    assert net.host_a.ping(HOST_B, count=2, interval=0.01, wait=0.2).lost == 2
    (asked,) = a.look(Acquire)
    assert (asked.tunnel, asked.index, asked.inner_protocol) == ("Tunnel0", 0, 47)
    assert sum(each.dropped for each in a.look(PacketsHeld)) >= 2


def test_what_does_not_verify_is_told(net: Topology, ends: tuple[End, End]) -> None:
    """A packet again, one whose ICV is wrong, one of an unknown SPI: each with its reason, the SA's with its SPI."""
    a, b = ends
    a.up()
    b.up()
    with inside(net.gw_a):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.settimeout(10.0)
    wire.bind(("wan", 3))
    assert net.host_a.ping(HOST_B, count=1).lost == 0
    frames = iter(lambda: wire.recv(2048), b"")
    sent = next(frame for frame in frames if frame[23] == 50 and frame[34:38] == bytes.fromhex("00002001"))
    wire.send(sent)
    wire.send(sent[:41] + b"\x09" + sent[42:-1] + bytes((sent[-1] ^ 1,)))
    wire.send(sent[:34] + bytes.fromhex("00000999") + sent[38:])
    wait_until("told", lambda: len(b.look(EspDropped)) >= 3)
    assert {(each.reason, each.spi, each.count) for each in b.look(EspDropped)} == {
        ("sequence number replayed or outside the window", "00002001", 1),
        ("integrity check failed", "00002001", 1),
        ("no SA has this SPI", "", 1),
    }
    counters = b.plane.counters(0x2001, "in")
    assert counters is not None
    assert (counters.packets, counters.dropped) == (1, 2)
    wire.send(sent[:34] + bytes.fromhex("00000999") + sent[38:])
    assert net.host_a.ping(HOST_B, count=1).lost == 0
    wait_until("told", lambda: len(b.look(EspDropped)) >= 4)
    last = b.look(EspDropped)[-1]
    assert (last.reason, last.spi, last.source, last.count) == ("no SA has this SPI", "00000999", str(A), 1)
    wire.close()


def test_a_peer_whose_port_changes_is_followed(net: Topology, ends: tuple[End, End]) -> None:
    """ESP in UDP from another port is reported with it, once; followed, traffic passes both ways by the new port."""
    a, b = ends
    a.port(4500)
    a.port(4600)
    b.port(4500)
    a.up(udp=True, path=Destination(A, 4500, B, 4500))
    b.up(udp=True, path=Destination(B, 4500, A, 4500))
    assert net.host_a.ping(HOST_B, count=2, interval=0.01).lost == 0
    assert b.look(PeerMoved) == []
    a.do(UpdatePath(0x2001, "Tunnel0", Destination(A, 4600, B, 4500), True))
    assert net.host_a.ping(HOST_B, count=3, interval=0.01).lost == 0
    there = Destination(B, 4500, A, 4600)
    wait_until("told", lambda: b.look(PeerMoved))
    assert b.look(PeerMoved) == [PeerMoved(0x2001, there)]
    b.do(UpdatePath(0x1001, "Tunnel0", there, True))
    assert net.host_a.ping(HOST_B, count=3, interval=0.01).lost == 0
    assert len(b.look(PeerMoved)) == 1
    assert "sport 4500 dport 4600" in shown(net.gw_b, 0x1001, str(A))
    assert a.look(EspDropped) == b.look(EspDropped) == []


MODES = [pytest.param("gre ip", id="gre"), pytest.param("ipsec ipv4", id="ipsec", marks=pytest.mark.xfrm_interface)]


@pytest.mark.parametrize("ends", MODES, indirect=True)
def test_what_replaces_an_sa_loses_nothing(net: Topology, ends: tuple[End, End], tmp_path: Path) -> None:
    """New SAs beside the old, one end moved after the other, the old ones gone: no packet is lost, counters agree."""
    a, b = ends
    for end in ends:
        end.up()
    with net.host_a.pinging(HOST_B, directory=tmp_path, interval=0.01) as ping:
        for number in range(1, 6):
            for end in ends:
                end.up(number)
            for end in (a, b):
                time.sleep(0.05)
                end.switch(number)
            time.sleep(0.05)
            for end in ends:
                end.remove("out", number - 1)
            time.sleep(0.05)
            for end in ends:
                end.remove("in", number - 1)
    assert (ping.lost, ping.received > 50) == (0, True)
    for end in ends:
        assert end.look(EspDropped) == []
        removed = [each for each in end.look(EspRemoved) if each.packets]
        assert sum(each.packets for each in removed) > 2 * 50
    sent = {each.spi: each.packets for each in a.look(EspRemoved) if each.direction == "out"}
    came = {each.spi: each.packets for each in b.look(EspRemoved) if each.direction == "in"}
    assert sent == came


@pytest.mark.xfrm_interface
@pytest.mark.parametrize("ends", ["ipsec ipv4"], indirect=True)
def test_a_peer_at_another_address(net: Topology, ends: tuple[End, End]) -> None:
    """SAs that move to another address of the peer keep keys, numbers and counters; traffic passes both ways."""
    a, b = ends
    for end in ends:
        end.up(lifetime_kilobytes=100)
    assert net.host_a.ping(HOST_B, count=3, interval=0.01).lost == 0
    there = ip_address("10.99.0.9")
    net.gw_a.ip("addr", "add", f"{there}/24", "dev", "wan")
    a.do(UpdatePath(0x2001, "Tunnel0", Destination(there, 500, B, 500), False))
    b.do(UpdatePath(0x1001, "Tunnel0", Destination(B, 500, there, 500), False))
    assert net.host_a.ping(HOST_B, count=3, interval=0.01).lost == 0
    for end, spi in ((a, 0x2001), (b, 0x1001)):
        (*_, last) = [each for each in end.look(Traffic) if each.spi == spi]
        assert last.packets == 6
        assert end.look(EspDropped) == []
    assert "oseq 0x403" in shown(net.gw_b, 0x1001, str(there)) or "oseq 0x406" in shown(net.gw_b, 0x1001, str(there))


@pytest.mark.xfrm_interface
@pytest.mark.parametrize("ends", ["ipsec ipv4"], indirect=True)
def test_only_what_the_selectors_hold_passes(net: Topology, ends: tuple[End, End]) -> None:
    """An SA for one host carries that host's packets; another's ask for an SA and do not leave."""
    a, b = ends
    near, far = fact("10.1.0.2"), fact("10.2.0.2")
    a.up(local=(near,), remote=(far,))
    b.up(local=(far,), remote=(near,))
    assert net.host_a.ping(HOST_B, count=2, interval=0.01).lost == 0
    assert net.gw_a.ping(HOST_B, count=1, wait=0.2).lost == 1
    (asked,) = a.look(Acquire)
    assert asked.inner_destination == HOST_B
    assert asked.inner_source != "10.1.0.2"


def test_nobody_elses_is_touched(net: Topology) -> None:
    """States and policies of another program stand as they were through our whole life."""
    ends = ("src", "10.99.0.1", "dst", "10.99.0.77")
    net.gw_a.ip(
        *("xfrm", "state", "add", *ends, "proto", "esp", "spi", "0x77", "reqid", "77", "mode", "tunnel"),
        *("aead", "rfc4106(gcm(aes))", "0x" + "11" * 20, "128"),
    )
    net.gw_a.ip(
        *("xfrm", "policy", "add", *ends, "dir", "out", "tmpl", *ends, "proto", "esp", "reqid", "77", "mode", "tunnel")
    )
    before = net.gw_a.ip("xfrm", "state"), net.gw_a.ip("xfrm", "policy")
    with inside(net.gw_a):
        plane = KernelPlane(configuration("a"))
        plane.open()
        assert plane.spis is not None
        spi = plane.spis.allocate()
        plane.tick(time.monotonic())
        plane.spis.release(0x77)
        plane.close()
    assert spi > 255
    assert (net.gw_a.ip("xfrm", "state"), net.gw_a.ip("xfrm", "policy")) == before
