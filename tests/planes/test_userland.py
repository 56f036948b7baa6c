"""The userland plane on real devices, each test in network namespaces of its own."""

import hashlib
import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.netns import HOST_A, HOST_B, Namespace, Topology, over_ipv6, topology
from tests.support.process import Process

from ikescope.planes.userland import probe

pytestmark = [pytest.mark.netns, pytest.mark.tun]


@pytest.fixture(scope="module")
def net() -> Iterator[Topology]:
    """Two sites whose gateways reach each other."""
    with topology("pl") as made:
        over_ipv6(made)
        yield made


def _start(namespace: Namespace, end: str, mode: str, directory: Path, *options: str) -> Process:
    argv = (sys.executable, "-m", "tests.planes.gateway", end, mode, *options)
    process = namespace.start(*argv, directory=directory, name=f"gateway-{end}", env={"PYTHONPATH": "src:."})
    process.wait_for("^ready$")
    return process


def _state(namespace: Namespace) -> tuple[list[str], str, list[str], str]:
    """Device names, IPv4 routes and addresses, our own IPv6 routes (the kernel's come and go by themselves)."""
    links = [line.split()[0] for line in namespace.ip("-br", "link").splitlines()]
    addresses = [line.split()[2] for line in namespace.ip("-4", "-br", "address").splitlines()]
    routes = namespace.ip("-4", "route", "show", "table", "all")
    return links, routes, addresses, namespace.ip("-6", "route", "show", "table", "all", "proto", "250")


@pytest.mark.parametrize(
    ("mode", "options"), [("gre ip", ()), ("gre ip", ("--udp",)), ("ipsec ipv4", ()), ("gre ipv6", ())]
)
def test_ping_crosses_and_nothing_stays(net: Topology, tmp_path: Path, mode: str, options: tuple[str, ...]) -> None:
    """Hosts behind two routers reach each other through ESP; routes, blackholes and devices are there, then gone."""
    before = _state(net.gw_a), _state(net.gw_b)
    near = _start(net.gw_a, "a", mode, tmp_path, *options)
    far = _start(net.gw_b, "b", mode, tmp_path, *options)
    routes = net.gw_a.ip("route")
    assert "10.2.0.0/24 dev Tunnel0 proto 250 scope link metric 1" in routes
    for prefix in ("10.2.0.0/24", "172.16.0.0/30"):
        assert f"blackhole {prefix} proto 250 metric 4278198272" in routes
    assert "inet6" not in net.gw_a.ip("address", "show", "dev", "Tunnel0")
    assert "MULTICAST" not in net.gw_a.ip("link", "show", "dev", "Tunnel0")
    assert "2.2.2.2/32" in net.gw_b.ip("address", "show", "dev", "Loopback0")
    assert net.host_a.ping(HOST_B, count=5, interval=0.02).lost == 0
    assert net.host_b.ping(HOST_A, count=3, interval=0.02, size=1300).lost == 0
    assert net.host_a.ping(HOST_B, count=2, interval=0.02, size=3000).lost == 0
    for process in (near, far):
        process.stop()
        assert "closed" in process.stdout
    assert (_state(net.gw_a), _state(net.gw_b)) == before


_RECEIVE = """
import hashlib, socket
with socket.create_server(("{address}", 5001)) as server:
    print("listening", flush=True)
    with server.accept()[0] as one:
        digest, octets = hashlib.sha256(), 0
        while part := one.recv(1 << 16):
            digest.update(part)
            octets += len(part)
print(octets, digest.hexdigest(), flush=True)
"""
_SEND = """
import random, socket
with socket.create_connection(("{address}", 5001), 20) as one:
    one.sendall(random.Random(7).randbytes({octets}))
"""
_OCTETS = 3_000_000


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("gre ip", ("--udp", "--runs")),
        ("ipsec ipv4", ()),
        ("gre ip", ("--udp",)),
        ("ipsec ipv6 v4-overlay", ("--udp", "--runs")),
    ],
)
def test_streams_cross_whole(net: Topology, tmp_path: Path, mode: str, options: tuple[str, ...]) -> None:
    """What TCP sends each way, in super-segments that are cut and joined, arrives octet by octet."""
    routers = [_start(net.gw_a, "a", mode, tmp_path, *options), _start(net.gw_b, "b", mode, tmp_path, *options)]
    wanted = f"{_OCTETS} {hashlib.sha256(random.Random(7).randbytes(_OCTETS)).hexdigest()}"
    for sender, receiver, address in ((net.host_a, net.host_b, HOST_B), (net.host_b, net.host_a, HOST_A)):
        program = _RECEIVE.format(address=address)
        receiving = receiver.start(sys.executable, "-c", program, directory=tmp_path, name=f"receive-{address}")
        receiving.wait_for("^listening$")
        sender.run(sys.executable, "-c", _SEND.format(address=address, octets=_OCTETS))
        receiving.wait_for(wanted)
        receiving.stop()
    for router in routers:
        router.stop()
        assert "closed" in router.stdout


def test_killed_router_leaks_nothing_and_leaves_nothing_after_restart(net: Topology, tmp_path: Path) -> None:
    """After kill -9 the LAN route is a blackhole although the host has a default route; the next run cleans up."""
    net.gw_a.ip("route", "add", "default", "via", "10.99.0.2")
    before = _state(net.gw_a)
    killed = _start(net.gw_a, "a", "gre ip", tmp_path)
    (pid,) = net.gw_a.pids()
    os.kill(pid, signal.SIGKILL)
    killed.stop()
    links = net.gw_a.ip("-br", "link")
    assert "Tunnel0" not in links
    assert "Loopback0" not in links
    way = net.gw_a.run("ip", "route", "get", "10.2.0.2", check=False)
    assert way.returncode != 0
    assert "via 10.99.0.2" not in way.stdout
    again = _start(net.gw_a, "a", "gre ip", tmp_path)
    again.stop()
    assert _state(net.gw_a) == before
    net.gw_a.ip("route", "del", "default")


def _once(namespace: Namespace, *options: str) -> tuple[int, str, str]:
    """Run router a to its end: exit status and both outputs."""
    argv = (sys.executable, "-m", "tests.planes.gateway", "a", "gre ip", *options)
    done = namespace.run(*argv, check=False, env={"PYTHONPATH": "src:."})
    return done.returncode, done.stdout, done.stderr


def test_plan_changes_nothing(net: Topology) -> None:
    """The plan names the tunnel, its route and the blackhole behind it, and the host is as it was."""
    before = _state(net.gw_a)
    status, lines, _ = _once(net.gw_a, "--plan")
    assert status == 0
    assert "ip route add 10.2.0.0/24 dev Tunnel0 metric 1 proto 250\n" in lines
    assert _state(net.gw_a) == before


def test_second_router_of_the_same_tunnel_is_refused(net: Topology, tmp_path: Path) -> None:
    """A device name in use is one clear line, and the running router keeps its routes."""
    first = _start(net.gw_a, "a", "gre ip", tmp_path)
    routes = net.gw_a.ip("route")
    refusal = "% Tunnel0: a device of this name exists already (does another router run here?)\n"
    assert _once(net.gw_a, "--plan") == (1, "", refusal)
    assert net.gw_a.ip("route") == routes
    first.stop()


def test_what_fails_halfway_is_taken_back(net: Topology) -> None:
    """A route of somebody else's in the way is one clear line, it stays, and nothing of ours does."""
    net.gw_a.ip("route", "add", "10.2.0.0/24", "via", "10.99.0.2", "metric", "1")
    before = _state(net.gw_a)
    refusal = "% cannot add the route to 10.2.0.0/24 by Tunnel0: there is one already\n"
    assert _once(net.gw_a) == (1, "", refusal)
    assert _state(net.gw_a) == before
    net.gw_a.ip("route", "del", "10.2.0.0/24", "metric", "1")


def test_ipv6_where_it_is_configured(net: Topology, tmp_path: Path) -> None:
    """A Tunnel with an IPv6 address has IPv6 on, its routes have blackholes behind them, and all of it goes."""
    before = _state(net.gw_a)
    router = _start(net.gw_a, "a", "gre ip", tmp_path, "--ipv6")
    routes = net.gw_a.ip("-6", "route", "show", "proto", "250")
    assert "2001:db8:2::/48 dev Tunnel0 metric 1" in routes
    assert "blackhole 2001:db8:2::/48 dev lo metric 4278198272" in routes
    assert "2001:db8:ff::1/64" in net.gw_a.ip("-6", "address", "show", "dev", "Tunnel0")
    router.stop()
    assert _state(net.gw_a) == before


def test_probe_says_why_not(net: Topology) -> None:
    """The probe is None where a TUN device can be made, leaves none behind, and is a line for a user who may not."""
    assert probe() is None
    code = "import os; os.setuid(65534); from ikescope.planes.userland import probe; print(probe())"
    script = f"import ikescope.planes.userland; {code}"
    said = net.gw_a.run(sys.executable, "-c", script, env={"PYTHONPATH": "src:."}).stdout
    assert said.strip() in (
        "/dev/net/tun is not open to this user (run as root)",
        "making a TUN device needs CAP_NET_ADMIN (run as root, or in namespaces of your own)",
    )
