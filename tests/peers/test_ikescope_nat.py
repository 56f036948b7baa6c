"""A real NAT between the ends: nftables masquerade in a namespace, GRE in transport mode, rekeys, a NAT rebooted."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.ikescope import Ikescope, Site
from tests.support.legs import A, B, assert_none_lost, pinging
from tests.support.natbox import INNER, NatBox, natted
from tests.support.netns import HOST_A, HOST_B, NET_A, NET_B, WAN_A, Topology
from tests.support.peering import ESP, IKE, Peer, Run, Start, settled
from tests.support.process import wait_until

from ikescope.events.life import ChildSaCreated, KeepaliveStarted
from ikescope.events.negotiation import NatChecked

NAMED = "identity local fqdn a.example"
BEHIND = Site(mode="gre", profile=(NAMED, "nat keepalive 5"))
OUTSIDE = Site(which="b", mode="gre", profile=("match identity remote fqdn a.example",))
TUNNEL = Site(ike=IKE, esp=ESP, selectors=((NET_A, NET_B),), profile=("identity local address 10.99.0.1",))


@pytest.fixture
def box(net: Topology) -> Iterator[NatBox]:
    """A NAT before the gateway of site a."""
    with natted(net) as made:
        yield made


@pytest.fixture
def behind(net: Topology, box: NatBox, tmp_path: Path) -> Iterator[list[Ikescope]]:
    """Routers behind the NAT, stopped after the test."""
    started: list[Ikescope] = []
    yield started
    for one in started:
        one.stop()


def start_behind(net: Topology, started: list[Ikescope], site: Site, directory: Path) -> Ikescope:
    """Start the router of site a with its address behind the NAT."""
    text = site.text.replace(f" ip address {WAN_A} ", f" ip address {INNER} ")
    started.append(Ikescope(net.gw_a, text, directory, "a"))
    return started[-1]


def agreed(a: Ikescope, b: Ikescope) -> bool:
    """Whether both ends hold the same one IKE SA and one Child SA."""
    ours, theirs = a.children(), b.children()
    return len(ours) == 1 and [pair[::-1] for pair in ours] == theirs and a.ike() == b.ike() != []


def test_gre_transport_through_a_nat(
    net: Topology, box: NatBox, behind: list[Ikescope], router: Run, tmp_path: Path
) -> None:
    """Cisco's defaults through a NAT: GRE in ESP transport mode in UDP; rekeys from both ends lose no ping; after the
    NAT has forgotten its mappings the outer end follows the new ones.
    """
    b = router(OUTSIDE)
    a = start_behind(net, behind, BEHIND, tmp_path)
    with pinging(net, HOST_B, directory=tmp_path, interval=0.05) as ways:
        wait_until("both ends agree", lambda: agreed(a, b))
        for end, what in ((a, "child"), (b, "child"), (b, "ike"), (a, "ike"), (b, "child")):
            look = end.children if what == "child" else end.ike
            old = look()
            end.command(f"test crypto ikev2 rekey {what}")
            wait_until(f"{what} rekeyed by {end.name}", lambda: look() != old and agreed(a, b))  # noqa: B023
    assert_none_lost(ways, a, b, ours=(A, B))
    assert ways.received
    (at_a, *_), (at_b, *_) = a.events(NatChecked), b.events(NatChecked)
    assert (at_a.local_behind, at_a.remote_behind, at_a.floated) == (True, False, True)
    assert (at_b.local_behind, at_b.remote_behind) == (False, True)
    assert [event.seconds for event in a.events(KeepaliveStarted)][:1] == [5]
    assert all(child.transport and child.udp for end in (a, b) for child in end.events(ChildSaCreated))
    before = b.status()["ike"][0]["remote_port"]
    assert 20_000 <= before < 21_000
    box.rebind()
    wait_until("traffic follows", lambda: net.host_a.ping(HOST_B, count=2, wait=2.0).lost == 0, timeout=60.0)
    assert net.host_b.ping(HOST_A).lost == 0
    assert 30_000 <= b.status()["ike"][0]["remote_port"] < 31_000
    box.rebind()
    a.command("test crypto ikev2 rekey ike")
    wait_until("both ends agree", lambda: agreed(a, b) and 40_000 <= b.status()["ike"][0]["remote_port"] < 41_000)
    assert net.host_b.ping(HOST_A).lost == 0


def test_strongswan_outside_a_nat(
    net: Topology, box: NatBox, behind: list[Ikescope], charon: Start, site: Peer, tmp_path: Path
) -> None:
    """StrongSwan outside: both see the NAT, traffic and rekeys from both ends pass it, also after it has rebooted."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b")))
    ours = start_behind(net, behind, TUNNEL, tmp_path)
    assert net.host_a.ping(HOST_B, count=5, wait=5.0).received > 0
    wait_until("both ends agree", lambda: settled(ours, peer))
    with pinging(net, HOST_B, directory=tmp_path, interval=0.05) as ways:
        for by, what in (("ours", "child"), ("theirs", "child"), ("theirs", "ike"), ("ours", "ike")):
            look = ours.children if what == "child" else ours.ike
            old = look()
            if by == "ours":
                ours.command(f"test crypto ikev2 rekey {what}")
            else:
                peer.rekey(**({"child": "net"} if what == "child" else {"ike": "peer"}))
            wait_until(f"{what} rekeyed by {by}", lambda: look() != old and settled(ours, peer))  # noqa: B023
    assert_none_lost(ways, ours)
    assert ways.received
    (checked, *_) = ours.events(NatChecked)
    assert (checked.local_behind, checked.floated) == (True, True)
    box.rebind()
    # strongSwan's userland ESP does not look where ESP comes from: it follows IKE.
    old = ours.ike()
    ours.command("test crypto ikev2 rekey ike")
    wait_until("both ends agree", lambda: ours.ike() != old and settled(ours, peer))

    def follows() -> bool:
        # A datagram of ours that the old mapping still carried moves strongSwan back until it hears IKE again.
        ours.command("test crypto ikev2 liveness")
        both = ((net.host_a, HOST_B), (net.host_b, HOST_A))
        return all(host.ping(address, count=2, wait=2.0).lost == 0 for host, address in both)

    wait_until("traffic follows both ways", follows, timeout=60.0)
