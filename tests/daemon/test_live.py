"""A running router is given tunnels, and loses them, line by line; nothing else of it notices."""

from pathlib import Path

import pytest
from tests.daemon.routers import KEY, R2, start
from tests.support.netns import HOST_B, NET_B, WAN_B, Namespace, topology
from tests.support.process import wait_until

from ikescope.daemon.client import Client

pytestmark = [pytest.mark.netns, pytest.mark.tun]

SECOND = "10.99.0.11"
"""An address that R1's WAN gets later."""
FAR = R2.replace("address 10.99.0.1\n", "address 10.99.0.0 255.255.255.0\n").replace(
    "10.99.0.1 255.255.255.255", "10.99.0.0 255.255.255.0"
) + (
    "interface Tunnel1\n ip address 172.16.1.2 255.255.255.252\n tunnel source 10.99.0.2\n"
    f" tunnel destination {SECOND}\n tunnel mode MODE\n tunnel protection ipsec profile default\n"
)
CRYPTO = f"""crypto ikev2 keyring KR
peer OTHER
address {WAN_B}
pre-shared-key {KEY}
crypto ikev2 profile default
match identity remote address {WAN_B} 255.255.255.255
authentication local pre-share
authentication remote pre-share
keyring local KR
crypto ipsec profile default
set ikev2-profile default
"""
HALF = f"""ip route 10.2.0.0 255.255.255.0 Tunnel0
interface Tunnel0
ip address 172.16.0.1 255.255.255.252
tunnel source 10.99.0.1
tunnel destination {WAN_B}
"""


class Operator:
    """Somebody at R1's prompt, in configuration mode."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.type("configure terminal")

    def type(self, *lines: str) -> str:
        """Lines, one after another; what the last one said."""
        said = ""
        for line in lines:
            answer = self.client.command(line)
            said = "\n".join(answer["output"]).strip()
        return said

    def show(self, command: str) -> str:
        """What a show prints."""
        return self.type(f"do show {command}")


def links(namespace: Namespace) -> set[str]:
    """The devices of a namespace that are a router's."""
    names = {line.split()[0].partition("@")[0] for line in namespace.ip("-br", "link").splitlines()}
    return {name for name in names if name.startswith(("Tunnel", "Loopback"))}


def routes(namespace: Namespace) -> list[str]:
    """The routes that a router made."""
    return [line.strip() for line in namespace.ip("route", "show", "proto", "250").splitlines()]


def test_tunnels_come_change_and_go_under_a_running_router(tmp_path: Path) -> None:
    """From empty, as an unprivileged user: the line that completes a tunnel brings it up, and not one before; what is
    added, refused, changed and removed beside it costs it no packet; a removed one is gone at both ends.
    """
    live(tmp_path, "ipsec ipv4", far=("--workers", "0"), near=("--workers", "2"))


def passes(namespace: Namespace, address: str) -> bool:
    """Whether a tunnel carries packets; the kernel keeps none of those that ask for the SA."""
    wait_until("it is up", lambda: namespace.ping(address, count=1, wait=2.0).lost == 0, 60.0)
    return namespace.ping(address, count=2, interval=0.05).lost == 0


def live(tmp_path: Path, mode: str, *, far: tuple[str, ...], near: tuple[str, ...]) -> None:
    """All of it; `mode` is the second tunnel's, `far` and `near` are the routers' options."""
    with (
        topology("li") as net,
        start(net.gw_b, FAR.replace("MODE", mode), tmp_path, "R2", *far, patience=90.0),
        start(net.gw_a, "hostname R1\n", tmp_path, "R1", *near, patience=90.0) as router,
        Client(tmp_path / "R1.sock") as client,
    ):
        one = Operator(client)
        one.type(*CRYPTO.splitlines(), *HALF.splitlines())
        assert links(net.gw_a) == set() and "10.99.0.1" not in net.gw_a.run("cat", "/proc/net/udp").stdout
        assert one.type("tunnel protection ipsec profile default") == ""
        assert passes(net.host_a, HOST_B)
        assert links(net.gw_a) == {"Tunnel0"} and f"{NET_B} dev Tunnel0 scope link metric 1" in routes(net.gw_a)
        with net.host_a.pinging(HOST_B, directory=tmp_path, interval=0.02) as running:
            _beside(one, net.gw_a, net.gw_b, mode)
        passed = running.result
        assert passed is not None and passed.sent > 10 and passed.lost == 0
        assert one.type("interface Tunnel0", "ip mtu 1300") == "" and "mtu 1300" in net.gw_a.ip(
            "link", "show", "Tunnel0"
        )
        one.type("ip address 172.16.0.9 255.255.255.252", "shutdown")
        assert links(net.gw_a) == set()
        one.type("no shutdown")
        assert "172.16.0.9/30" in net.gw_a.ip("address", "show", "Tunnel0")
        assert passes(net.host_a, HOST_B)
        one.type("exit", "no interface Tunnel0")
        assert links(net.gw_a) == set() and routes(net.gw_a) == []
        with Client(tmp_path / "R2.sock") as other:
            wait_until(
                "the peer has heard", lambda: "READY" not in str(other.command("show crypto ikev2 sa")["output"])
            )
        one.type("interface Loopback7", "ip address 7.7.7.7 255.255.255.255")
        router.stop()
        assert links(net.gw_a) == set() and routes(net.gw_a) == []


def _beside(one: Operator, near: Namespace, far: Namespace, mode: str) -> None:
    """Another tunnel, from an address of its own, and what is refused."""
    half = ["interface Tunnel1", f"tunnel source {SECOND}", f"tunnel destination {WAN_B}", f"tunnel mode {mode}"]
    one.type(*half, "ip address 172.16.1.1 255.255.255.252")
    said = one.type("tunnel protection ipsec profile default")
    assert said.startswith("% ") and f"{SECOND}, which no device of this host holds" in said and "\n" not in said
    assert links(near) == {"Tunnel0"} and "ipsec profile" not in one.show("running-config | section Tunnel1")
    near.ip("address", "add", f"{SECOND}/24", "dev", "wan")
    assert one.type("tunnel protection ipsec profile default") == ""
    if mode == "ipsec ipv4":
        wait_until("it came up by itself", lambda: "READY" in one.show(f"crypto ikev2 sa | include {SECOND}"))
    assert passes(near, "172.16.1.2")
    before = routes(near)
    said = one.type(f"ip route {WAN_B} 255.255.255.255 Tunnel1")
    assert said.startswith("% ip route 10.99.0.2/32") and "own destination" in said and routes(near) == before
    one.type("interface Loopback1", "ip address 9.9.9.9 255.255.255.255", "no ip address", "ip address 8.8.8.8/32")
    assert "8.8.8.8/32" in near.ip("address", "show", "Loopback1") and "9.9.9.9" not in near.ip("address")
    one.type("no interface Loopback1", "ip route 10.5.0.0 255.255.0.0 Tunnel1", "ip route 10.6.0.0 255.255.0.0 Tunnel1")
    one.type("no ip route 10.5.0.0 255.255.0.0 Tunnel1")
    assert [line for line in routes(near) if "Tunnel1" in line] == ["10.6.0.0/16 dev Tunnel1 scope link metric 1"]
    one.type("no ip route 10.6.0.0 255.255.0.0 Tunnel1", "no interface Tunnel1")
    assert links(near) == {"Tunnel0"} and not [line for line in routes(near) if "10.6" in line or "172.16.1" in line]
    wait_until("the address is given up", lambda: "0B00630A:01F4" not in near.run("cat", "/proc/net/udp").stdout)
    assert links(far) == {"Tunnel0", "Tunnel1"}
