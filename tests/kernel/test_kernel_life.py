"""What happens to a router with ESP in the kernel: lifetimes in octets, a NAT that forgets, an end without notice."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.guest import GuestNat, KernelStrongswan, faults, patiently, remains, spis
from tests.support.ikescope import PSK, Ikescope, Site, mirrored
from tests.support.natbox import INNER, NatBox, natted
from tests.support.netns import HOST_A, HOST_B, WAN_A, WAN_B, Topology
from tests.support.peering import IKE, settled
from tests.support.strongswan import Child, Connection

from ikescope.events.life import ChildSaRekeyed, IkeSaClosed
from ikescope.events.router import EspRemoved, EspSwitched

Run = Callable[..., Ikescope]
Charon = Callable[..., KernelStrongswan]

GRE = Site(ike=IKE, mode="gre", esp="aes128gcm16", transport=True)


def agreed(a: Ikescope, b: Ikescope) -> bool:
    """Whether both ends hold the same one IKE SA and one Child SA."""
    ours, theirs = a.children(), b.children()
    return len(ours) == 1 and [pair[::-1] for pair in ours] == theirs and a.ike() == b.ike() != []


def test_an_octet_lifetime_rekeys_in_time(net: Topology, router: Run, tmp_path: Path) -> None:
    """An SA that has carried nine tenths of its kilobytes is rekeyed, and not one packet is lost for it."""
    a = router(replace(GRE, ipsec=("set security-association lifetime kilobytes 2560",)))
    b = router(mirrored(GRE))
    net.host_a.ping(HOST_B)
    patiently("both ends agree", lambda: agreed(a, b))
    old = a.children()
    with net.host_a.pinging(HOST_B, directory=tmp_path, interval=0.05) as ping:
        flood = net.host_a.ping(HOST_B, count=2000, interval=0.0005, size=1300)
        patiently("rekeyed", lambda: a.children() != old and agreed(a, b))
    assert (ping.lost, flood.lost) == (0, 0)
    assert a.events(ChildSaRekeyed)
    gone = a.wait_event(EspRemoved, lambda event: event.direction == "out")
    assert 0.9 * 2560 * 1024 <= gone.octets < 2560 * 1024
    assert a.events(EspSwitched)
    assert faults(net.gw_a) == faults(net.gw_b) == {}


@pytest.fixture
def box(net: Topology) -> Iterator[NatBox]:
    """A NAT before the gateway of site a."""
    with natted(net, GuestNat) as made:
        yield made


def test_through_a_nat_that_forgets(net: Topology, box: NatBox, router: Run, tmp_path: Path) -> None:
    """GRE in transport mode in UDP through a NAT; rekeys lose no packet, and a new mapping is followed."""
    b = router(replace(mirrored(GRE), profile=("match identity remote fqdn a.example",)))
    a = router(replace(GRE, profile=("identity local fqdn a.example", "nat keepalive 5")), address=INNER)
    net.host_a.ping(HOST_B)
    patiently("both ends agree", lambda: agreed(a, b))
    with net.host_a.pinging(HOST_B, directory=tmp_path, interval=0.05) as ping:
        for end in (a, b):
            old = end.children()
            end.command("test crypto ikev2 rekey child")
            patiently("rekeyed", lambda: end.children() != old and agreed(a, b))  # noqa: B023
    assert (ping.lost, ping.received > 0) == (0, True)
    assert 20_000 <= b.status()["ike"][0]["remote_port"] < 21_000
    box.rebind()
    patiently("traffic follows", lambda: net.host_a.ping(HOST_B, count=2, wait=2.0).lost == 0)
    assert net.host_b.ping(HOST_A).lost == 0
    assert 30_000 <= b.status()["ike"][0]["remote_port"] < 31_000


def test_strongswan_outside_a_nat(net: Topology, box: NatBox, charon: Charon, router: Run) -> None:
    """Behind a NAT, against the kernel's ESP under strongSwan: both see it, and packets pass both ways in UDP."""
    for words in (
        f"tunnel add gre1 mode gre local {WAN_B} remote {WAN_A} ttl 64",
        "addr add 172.31.0.2/30 dev gre1",
        "link set gre1 up",
        "route add 10.1.0.0/24 dev gre1",
    ):
        net.gw_b.ip(*words.split())
    child = Child(local_ts=(f"{WAN_B}[gre]",), remote_ts=("dynamic[gre]",), mode="transport")
    peer = charon(net.gw_b)
    peer.load(Connection(WAN_B, WAN_A, PSK, (child,), proposals=(IKE,)))
    ours = router(replace(GRE, profile=("identity local address 10.99.0.1",)), address=INNER)
    net.host_a.ping(HOST_B)
    patiently("both ends agree", lambda: settled(ours, peer))
    assert net.host_a.ping(HOST_B).lost == 0
    assert net.host_b.ping(HOST_A, size=1200).lost == 0
    assert all(child["encap"] == "yes" for child in peer.children())


def test_a_killed_router_comes_back(net: Topology, router: Run) -> None:
    """After kill -9 and a start the tunnel comes up anew, with one pair of SAs in the kernel; the old ones are gone."""
    a, b = router(GRE), router(mirrored(GRE))
    net.host_a.ping(HOST_B)
    patiently("both ends agree", lambda: agreed(a, b))
    old = a.children()
    a.kill()
    assert len(remains(net.gw_a)) > 3
    a = router(GRE)
    net.host_a.ping(HOST_B)
    patiently("both ends agree", lambda: agreed(a, b) and a.children() != old)
    assert net.host_a.ping(HOST_B).lost == 0
    assert net.host_b.ping(HOST_A).lost == 0
    b.wait_event(IkeSaClosed)
    patiently("one pair", lambda: sorted(spis(net.gw_a)) == sorted(a.children()[0]))
