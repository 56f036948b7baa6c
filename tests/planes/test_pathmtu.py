"""The MTU of a tunnel's device: to the octet that of its SA, and of what the host knows of the way."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.esp import build
from tests.planes.test_userland import _start
from tests.support.netns import HOST_B, WAN_A, WAN_B, Namespace, Topology, ip, topology
from tests.support.process import wait_until

from ikescope.config.model import Address, DfBit
from ikescope.engine.commands import Destination, RemoveSa, UpdatePath
from ikescope.errors import LocalError
from ikescope.esp.departure import Departure
from ikescope.esp.mtu import tunnel_mtu
from ikescope.esp.sa import OutboundSa
from ikescope.esp.selector import SelectorPair
from ikescope.events.router import PlaneFailed, TunnelMtuChanged
from ikescope.ios.configuration import load
from ikescope.planes.carrier import Carrier
from ikescope.planes.links import DeviceChange
from ikescope.planes.pathmtu import LEAST, PathMtus, route_mtu

PATH = build.tunnel("ipsec ipv4")
MTU_DISCOVER = (socket.IPPROTO_IP, 10)


def wanted(path_mtu: int, *, udp: bool = False) -> int:
    """The device's MTU for AES-GCM-128 in tunnel mode."""
    return tunnel_mtu(path_mtu, build.GCM, udp=udp, gre=False, transport=False)


class World:
    """A host whose routes say what the test says."""

    def __init__(self) -> None:
        self.route: int | None = 1500
        self.set: list[int] = []
        self.refuses = False
        self.mtus = PathMtus({"Tunnel0": PATH}, {"Tunnel0": 1400}, set_mtu=self._set, ask=self._ask)

    def _set(self, name: str, octets: int) -> None:
        assert name == "Tunnel0"
        if self.refuses:
            raise LocalError("no")
        self.set.append(octets)

    def _ask(self, local: Address, remote: Address) -> int | None:
        assert (local, remote) == (build.A, build.B)
        return self.route

    def after(self, route: int | None) -> list[int]:
        """What is set at the next look, the route having this MTU."""
        self.route, self.set = route, []
        self.mtus.tick()
        return self.set


def test_the_device_follows_the_sa_and_the_way() -> None:
    """Exact for the SA that carries; smaller when the host learns of less, larger again when it forgets it."""
    world = World()
    assert world.after(1500) == []
    world.mtus.heard(build.install(PATH, 0x1001, "out", transport=False))
    assert world.set == []
    world.mtus.heard(build.switch(PATH, 0x1001))
    assert world.set == [wanted(1500)] == [1446]
    assert list(world.mtus.take()) == [
        TunnelMtuChanged(tunnel="Tunnel0", before=1400, after=1446, path=1500, link=1500)
    ]
    assert world.after(1500) == []
    assert world.after(1300) == [wanted(1300)]
    assert world.after(None) == []
    assert world.after(1500) == [1446]
    assert world.after(9000) == [], "never above the MTU of the device that the packets leave by"
    assert world.after(100) == [wanted(LEAST)]
    world.after(1500)
    world.mtus.heard(UpdatePath(0x1001, "Tunnel0", Destination(build.A, 4500, build.B, 4500), True))
    assert world.set[-1] == wanted(1500, udp=True)
    world.mtus.heard(RemoveSa(0x1001, "out", build.B, "Tunnel0"))
    assert world.after(1300) == [], "without an SA there is nothing to fit"


def test_a_configured_mtu_stays_while_the_way_is_told() -> None:
    """With `ip mtu` the device keeps its size; that the way is narrower is told once, for the show."""
    world = World()
    device = DeviceChange("Tunnel0", 1400, (), ipv6=False, loopback=False, follows=False)
    world.mtus.carry(PATH, device)
    world.mtus.heard(build.install(PATH, 0x1001, "out", transport=False))
    world.mtus.heard(build.switch(PATH, 0x1001))
    assert world.after(1500) == world.after(1300) == world.after(1300) == []
    assert list(world.mtus.take()) == [
        TunnelMtuChanged(tunnel="Tunnel0", before=1400, after=1400, path=1300, link=1500)
    ]


def test_what_the_host_refuses_is_told_once() -> None:
    """A device that keeps its MTU is an event, not one a second."""
    world = World()
    world.refuses = True
    world.mtus.heard(build.install(PATH, 0x1001, "out", transport=False))
    world.mtus.heard(build.switch(PATH, 0x1001))
    world.after(1500)
    assert list(world.mtus.take()) == [PlaneFailed(what="MTU 1446 for Tunnel0", why="no")]
    assert list(world.mtus.take()) == []


def test_the_host_says_the_mtu_of_a_way() -> None:
    """The kernel's own figure for loopback; None where no way leads, or the address is not here."""
    here = ip_address("127.0.0.1")
    assert route_mtu(here, here) == 65535 or (route_mtu(here, here) or 0) >= 1500
    assert route_mtu(ip_address("192.0.2.77"), here) is None


@pytest.mark.parametrize(
    ("policy", "mode", "expected"),
    [
        ("copy", "ipsec ipv4", [False, True]),
        ("set", "ipsec ipv4", [True, True]),
        ("clear", "ipsec ipv4", [False, False]),
        ("copy", "gre ip", [False, False]),
        ("set", "gre ip", [True, True]),
    ],
)
def test_df_is_copied_set_or_cleared(policy: DfBit, mode: str, expected: list[bool]) -> None:
    """`crypto ipsec df-bit`, copy by default; around GRE there is no DF to copy."""
    path = replace(build.tunnel("gre ip" if mode == "gre ip" else "ipsec ipv4"), df=policy)
    near = build.forwarder(path)
    near.execute(build.install(path, 0x1001, "out", transport=False), 0.0)
    near.execute(build.switch(path, 0x1001), 0.0)
    list(near.outputs())
    plain = build.ping()
    found = []
    for packet in (plain, plain[:6] + b"\x40\x00" + plain[8:]):
        near.from_tunnel("Tunnel0", packet, 1.0)
        found += [one.df for one in build.wire(near)]
    assert found == expected
    sa = OutboundSa(build.install(path, 0x1002, "out"), SelectorPair.of(path.selectors[0]), 0)
    assert Departure(sa, path).df(b"\x60" + bytes(7)) is (policy == "set")


def test_the_configuration_says_the_policy() -> None:
    """`crypto ipsec df-bit clear|set|copy` and its `no` form."""
    assert load("hostname a\n", name="a").df_bit == "copy"
    assert load("hostname a\ncrypto ipsec df-bit clear\n", name="a").df_bit == "clear"
    assert load("hostname a\ncrypto ipsec df-bit set\nno crypto ipsec df-bit set\n", name="a").df_bit == "copy"


def test_a_socket_s_df_changes_with_what_it_sends() -> None:
    """With DF the host follows the path's MTU and fragments what is larger; without, any router on the way may."""
    path = replace(PATH, source=ip_address("127.0.0.1"), destination=ip_address("127.0.0.1"))
    carrier = Carrier([path], random=bytes)
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    port = one.getsockname()[1]
    carrier.add_udp(path.source, port, one)
    command = build.install(path, 0x1001, "out", transport=False, udp=True)
    there = Destination(path.source, port, path.destination, port)
    carrier.execute(command, 0.0)
    carrier.execute(UpdatePath(0x1001, "Tunnel0", there, True), 0.0)
    carrier.execute(build.switch(path, 0x1001), 0.0)
    plain, seen = build.ping(), []
    for packet in (plain, plain[:6] + b"\x40\x00" + plain[8:], plain):
        carrier.packet_from_tunnel("Tunnel0", packet, 1.0)
        seen.append(one.getsockopt(*MTU_DISCOVER))
    carrier.close()
    assert seen[1:] == [1, 0]


@pytest.fixture(name="net")
def fixture() -> Iterator[Topology]:
    """Two sites whose gateways reach each other."""
    with topology("pm") as made:
        yield made


def device_mtu(namespace: Namespace) -> int:
    """The MTU of Tunnel0."""
    return int(namespace.ip("-o", "link", "show", "dev", "Tunnel0").split(" mtu ")[1].split()[0])


ECHO = """
import errno, socket
one = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
one.setsockopt(socket.IPPROTO_IP, 10, 2)
one.settimeout(2)
one.connect(("{address}", 0))
echo = b"\\x08\\0" + b"\\xf7\\xff\\0\\0\\0\\0" + bytes({octets})
try:
    one.send(echo)
    print("passed" if len(one.recv(65535)) == 28 + {octets} else "")
except TimeoutError:
    print("")
except OSError as error:
    print(f"told {{one.getsockopt(socket.IPPROTO_IP, 14)}}" if error.errno == errno.EMSGSIZE else error)
"""


def whole(host: Namespace, octets: int) -> str:
    """What becomes of an echo request with so many octets and DF: `passed`, `told` the MTU, or nothing."""
    done = host.run(sys.executable, "-c", ECHO.format(address=HOST_B, octets=octets))
    return done.stdout.strip()


@pytest.mark.netns
@pytest.mark.tun
def test_a_way_that_narrows_narrows_the_tunnel(net: Topology, tmp_path: Path) -> None:
    """The route to the peer gets a smaller MTU: the device follows, senders inside are told, smaller packets pass."""
    near = _start(net.gw_a, "a", "ipsec ipv4", tmp_path)
    far = _start(net.gw_b, "b", "ipsec ipv4", tmp_path)
    wait_until("the MTU for a path of 1500", lambda: device_mtu(net.gw_a) == wanted(1500))
    net.gw_a.ip("route", "add", f"{WAN_B}/32", "dev", "wan", "src", WAN_A, "mtu", "1300")
    wait_until("the MTU for a path of 1300", lambda: device_mtu(net.gw_a) == wanted(1300))
    largest = wanted(1300)
    assert whole(net.host_a, largest - 28) == "passed"
    assert whole(net.host_a, largest - 27) in ("", f"told {largest}")  # the first is lost, and the host told
    assert whole(net.host_a, largest - 27) == f"told {largest}"
    net.gw_a.ip("route", "del", f"{WAN_B}/32")
    wait_until("the MTU for a path of 1500", lambda: device_mtu(net.gw_a) == wanted(1500))
    for process in (near, far):
        process.stop()


@contextmanager
def between(net: Topology, mtu: int) -> Iterator[Namespace]:
    """A router in the wire between the gateways, whose way to B is narrower."""
    middle = Namespace(net.gw_a.name + "m")
    ip("netns", "add", middle.name)
    try:
        net.gw_a.ip("link", "del", "wan")
        for gateway, end, address in ((net.gw_a, "m0", WAN_A), (net.gw_b, "m1", WAN_B)):
            ip("link", "add", end, "netns", middle.name, "type", "veth", "peer", "name", "wan", "netns", gateway.name)
            gateway.ip("addr", "add", f"{address}/24", "dev", "wan")
            gateway.ip("link", "set", "wan", "up")
            middle.ip("link", "set", end, "up")
            middle.ip("route", "add", f"{address}/32", "dev", end)
        middle.ip("addr", "add", "10.99.0.254/32", "dev", "m0")
        middle.ip("link", "set", "m1", "mtu", str(mtu))
        switches = "net/ipv4/ip_forward net/ipv4/conf/m0/proxy_arp net/ipv4/conf/m1/proxy_arp"
        middle.run("sh", "-c", f"for each in {switches}; do echo 1 > /proc/sys/$each; done")
        yield middle
    finally:
        ip("netns", "del", middle.name)


@pytest.mark.netns
@pytest.mark.tun
def test_a_router_on_the_way_says_that_it_is_narrow(net: Topology, tmp_path: Path) -> None:
    """ICMP for ESP with DF: the host learns, the tunnel's device follows, and who sends inside hears it from there."""
    with between(net, 1300):
        near = _start(net.gw_a, "a", "ipsec ipv4", tmp_path)
        far = _start(net.gw_b, "b", "ipsec ipv4", tmp_path)
        wait_until("the MTU for a path of 1500", lambda: device_mtu(net.gw_a) == wanted(1500))
        assert whole(net.host_a, wanted(1500) - 28) == "", "lost, and told to the gateway"
        wait_until("the MTU for a path of 1300", lambda: device_mtu(net.gw_a) == wanted(1300))
        assert whole(net.host_a, wanted(1300) - 28) == "passed"
        assert whole(net.host_a, wanted(1300) - 27) in ("", f"told {wanted(1300)}")
        assert whole(net.host_a, wanted(1300) - 27) == f"told {wanted(1300)}"
        for process in (near, far):
            process.stop()
