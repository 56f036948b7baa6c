"""Two ikescopes over real UDP and plain ESP, read by tshark: Cisco's defaults, encapsulation, several selectors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.gate import drop
from tests.support.ikescope import Ikescope, Site, keys_of, mirrored
from tests.support.legs import A, B, assert_none_lost, pinging
from tests.support.netns import HOST_A, HOST_B, LAN_A, LAN_B, NET_A, NET_B, Topology
from tests.support.peering import IKE, Run, Wire
from tests.support.process import wait_until
from tests.support.tshark import Packet, decode, unopened

from ikescope.events.life import ChildSaCreated, IkeSaClosed, IkeSaRekeyed
from ikescope.wire.registry import ExchangeType

GRE = Site(mode="gre")
IPSEC = Site(ike=IKE, esp="aes256-sha256-modp2048", selectors=((NET_A, NET_B),))


def agreed(a: Ikescope, b: Ikescope) -> bool:
    """Whether both ends hold the same SAs, at least one Child SA."""
    ours, theirs = a.children(), b.children()
    return bool(ours) and sorted(pair[::-1] for pair in ours) == sorted(theirs) and a.ike() == b.ike() != []


def rekey(end: Ikescope, what: str, both_agree: Callable[[], bool]) -> None:
    """Rekey the "child" or the "ike" SA from one end and wait for the new one."""
    look = end.children if what == "child" else end.ike
    old = look()
    end.command(f"test crypto ikev2 rekey {what}")
    wait_until(f"{what} rekeyed by {end.name}", lambda: look() != old and both_agree())


def carriers(packets: list[Packet]) -> set[tuple[str, ...]]:
    """How the pings travelled: the protocols around them, each way once."""
    return {packet.protocols[3:] for packet in packets if "esp" in packet.protocols}


PLAIN = ("ip", "esp", "ip", "icmp")
MODES = [
    pytest.param(GRE, ("ip", "esp", "gre", "ip", "icmp"), id="gre-transport"),
    pytest.param(IPSEC, PLAIN, id="ipsec"),
    pytest.param(
        replace(GRE, profile=("nat force-encap",)),
        ("ip", "udp", "udpencap", "esp", "gre", "ip", "icmp"),
        id="gre-force-encap",
    ),
    pytest.param(
        replace(IPSEC, profile=("nat force-encap",)), ("ip", "udp", "udpencap", "esp", "ip", "icmp"), id="ipsec-encap"
    ),
]


@pytest.mark.parametrize(("site", "layers"), MODES)
def test_traffic_and_rekeys(
    net: Topology, router: Run, wire: Wire, tmp_path: Path, site: Site, layers: tuple[str, ...]
) -> None:
    """The first packet brings a tunnel up, rekeys lose none of a running ping, and a delete ends it at both ends."""
    with wire() as packets:
        a, b = router(site), router(mirrored(site))
        with pinging(net, HOST_B, directory=tmp_path) as ways:
            wait_until("both ends agree", lambda: agreed(a, b))
            for end, what in ((a, "child"), (b, "ike"), (b, "child"), (a, "ike")):
                rekey(end, what, lambda: agreed(a, b))
        assert_none_lost(ways, a, b, ours=(A, B))
        assert ways.received
        assert net.host_b.ping(HOST_A, size=1200).lost == 0
        assert len(b.events(IkeSaRekeyed)) == 2
        a.command("clear crypto ikev2 sa")
        b.wait_event(IkeSaClosed, lambda closed: closed.reason == "the peer deleted it")
        wait_until("nothing stands", lambda: not a.status()["ike"] and not b.status()["ike"])
    assert carriers(packets) == {layers}
    assert unopened(decode(tmp_path / "wire.pcap", tables=keys_of(tmp_path, "b"))) == []


def test_each_selector_gets_its_child_sa(net: Topology, router: Run, wire: Wire) -> None:
    """Each line of the access list has a Child SA of its own, the second by CREATE_CHILD_SA, both in one IKE SA."""
    far = "10.3.0.2"
    net.host_b.ip("addr", "add", f"{far}/32", "dev", "eth0")
    net.gw_b.ip("route", "add", "10.3.0.0/24", "via", HOST_B)
    site = replace(IPSEC, selectors=((NET_A, NET_B), (NET_A, "10.3.0.0/24")))
    with wire():
        a = router(replace(site, more=("ip route 10.3.0.0 255.255.255.0 Tunnel0",)))
        b = router(mirrored(site))
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_a.ping(far).lost == 0
        assert net.host_b.ping(HOST_A).lost == 0
        assert len(a.children()) == 2
        assert agreed(a, b)
        assert len(a.ike()) == 1
        assert [made.exchange for made in b.events(ChildSaCreated)] == [
            ExchangeType.IKE_AUTH,
            ExchangeType.CREATE_CHILD_SA,
        ]


def test_a_killed_end_comes_back(net: Topology, router: Run, wire: Wire) -> None:
    """After kill -9 the restarted end's first packet makes a new IKE SA, and INITIAL_CONTACT ends the old one."""
    with wire():
        a, b = router(GRE), router(mirrored(GRE))
        assert net.host_a.ping(HOST_B).lost == 0
        old = b.ike()
        a.kill()
        a = router(GRE)
        assert net.host_a.ping(HOST_B).lost == 0
        wait_until("both ends agree", lambda: agreed(a, b))
        assert len(b.ike()) == 1
        assert b.ike() != old
        assert net.host_b.ping(HOST_A).lost == 0
        assert b.events(IkeSaClosed)
        assert net.gw_a.ping(LAN_B, count=1).lost == 0
        assert net.gw_b.ping(LAN_A, count=1).lost == 0


HOLES = (
    ("gw_a", "forward", "icmp type echo-request", A, "request at lan-a"),
    ("gw_b", "input", "ip protocol esp", B, "request at wire"),
    ("gw_b", "forward", "icmp type echo-reply", B, "reply at lan-b"),
    ("gw_a", "input", "ip protocol esp", A, "reply at wire"),
)
"""Where a packet can be lost: gateway, hook, what of it; who is to be blamed, and where it was last seen."""


def test_a_lost_echo_has_an_owner(net: Topology, router: Run, wire: Wire, tmp_path: Path) -> None:
    """An echo that is lost on purpose, at each place in turn, is told as lost just there."""
    with wire():
        a, b = router(IPSEC), router(mirrored(IPSEC))
        assert net.host_a.ping(HOST_B).lost == 0
        with pinging(net, HOST_B, directory=tmp_path, wait=0.5) as ways:
            for gateway, hook, what, *_ in HOLES:
                namespace = getattr(net, gateway)
                drop(namespace, what, hook=hook)
                assert net.host_a.ping(HOST_B, count=1, wait=0.2).lost == 1
                drop(namespace, hook=hook)
                assert net.host_a.ping(HOST_B, count=1).lost == 0
        found = {(loss.by, loss.seen) for loss in ways.losses([a.keys, b.keys])}
        assert found == {(by, seen) for *_, by, seen in HOLES}
