"""A tunnel with strongSwan lives on: rekeys from each side under traffic, lowered lifetimes, deletes from each side."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.ikescope import Ikescope, Site
from tests.support.legs import assert_none_lost, pinging
from tests.support.netns import HOST_A, HOST_B, Topology
from tests.support.peering import OURS, SELECTORS, SUITES, Peer, Run, Start, Wire, ike_spis, settled
from tests.support.process import wait_until
from tests.support.strongswan import Strongswan

from ikescope.events.life import (
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    IkeSaClosed,
    IkeSaRekeyed,
    LifetimeChanged,
    LivenessAnswered,
    LivenessReceived,
    RekeyReceived,
    RekeyStarted,
)


def carried(ours: Ikescope) -> int:
    """How many packets the standing Child SA has brought in."""
    return max(int(sa["received"]["packets"]) for sa in ours.status()["children"] if sa["state"] == "installed")


def rekey(ours: Ikescope, peer: Strongswan, what: str, by: str) -> None:
    """Rekey `what` ("child", "ike") by "ours" or "theirs" and wait until only the new one stands at both ends."""
    look = ours.children if what == "child" else ours.ike
    old = look()
    if by == "ours":
        ours.command(f"test crypto ikev2 rekey {what}")
    else:
        peer.rekey(**({"child": "net"} if what == "child" else {"ike": "peer"}))
    wait_until(f"{what} rekeyed by {by}", lambda: look() != old and settled(ours, peer))
    passed = carried(ours)
    wait_until("packets pass", lambda: carried(ours) >= passed + 3)


@pytest.mark.parametrize("initiator", ["ikescope", "strongswan"])
@pytest.mark.parametrize(("ike", "esp"), SUITES)
def test_rekeys_lose_no_packet(
    net: Topology,
    charon: Start,
    router: Run,
    site: Peer,
    wire: Wire,
    tmp_path: Path,
    ike: str,
    esp: str,
    initiator: str,
) -> None:
    """Child and IKE rekeys from each side, either way round, change every SPI and lose no packet of a running ping."""
    peer = charon(net.gw_b)
    peer.load(site("b", ike=ike, esp=esp))
    with wire():
        ours = router(Site(ike=ike, esp=esp, selectors=SELECTORS))
        if initiator == "strongswan":
            peer.initiate()
        with pinging(net, HOST_B, directory=tmp_path) as ways:
            wait_until("the tunnel stands", lambda: settled(ours, peer))
            for what, by in [("child", "ours"), ("ike", "theirs"), ("child", "theirs"), ("ike", "ours")]:
                rekey(ours, peer, what, by)
            rekey(ours, peer, "child", "ours")
        assert_none_lost(ways, ours)
        assert ways.received >= 15
        assert net.host_b.ping(HOST_A).lost == 0
        started = [(event.kind, event.trigger) for event in ours.events(RekeyStarted)]
        assert started == [("child", "operator"), ("ike", "operator"), ("child", "operator")]
        assert [event.kind for event in ours.events(RekeyReceived)] == ["ike", "child"]
        assert len(ours.events(ChildSaRekeyed)) == 3
        assert [event.children for event in ours.events(IkeSaRekeyed)] == [1, 1]
        group = {"x25519": 31, "modp2048": 14}.get(esp.rpartition("-")[2])
        assert [made.group for made in ours.events(ChildSaCreated)] == [None, group, group, group]


def test_a_lowered_lifetime_rekeys_what_runs(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, tmp_path: Path
) -> None:
    """Lifetimes lowered at the console act on the running SAs: both are rekeyed in time and no packet is lost."""
    peer = charon(net.gw_b)
    peer.load(site("b"))
    with wire():
        ours = router(OURS)
        with pinging(net, HOST_B, directory=tmp_path) as ways:
            wait_until("the tunnel stands", lambda: settled(ours, peer))
            ours.command("configure terminal", "crypto ikev2 profile default", "lifetime 10", "end")
            ours.wait_event(IkeSaRekeyed)
            ours.command("configure terminal", "crypto ikev2 profile default", "lifetime 600", "exit")
            ours.command(
                "configure terminal", "crypto ipsec profile default", "set security-association lifetime seconds 10"
            )
            ours.wait_event(ChildSaRekeyed)
            ours.command(
                "configure terminal", "crypto ipsec profile default", "set security-association lifetime seconds 600"
            )
            wait_until("one of each stands", lambda: settled(ours, peer))
        assert_none_lost(ways, ours)
        assert {(event.kind, event.after) for event in ours.events(LifetimeChanged)} >= {("ike", 10), ("child", 10)}
        assert {(event.kind, event.trigger) for event in ours.events(RekeyStarted)} == {
            ("ike", "lifetime"),
            ("child", "lifetime"),
        }


@pytest.mark.parametrize("what", ["child", "ike"])
@pytest.mark.parametrize("by", ["ours", "theirs"])
def test_a_delete_reaches_the_other_end(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, what: str, by: str
) -> None:
    """A Child SA or an IKE SA deleted on one side is gone on both, and the next packet brings a new one."""
    peer = charon(net.gw_b)
    peer.load(site("b"))
    with wire():
        ours = router(OURS)
        assert net.host_a.ping(HOST_B, count=1).lost == 0
        old_ike, old_child = ours.ike(), ours.children()
        if by == "ours":
            ours.command("clear crypto sa" if what == "child" else "clear crypto ikev2 sa")
        else:
            peer.terminate(child="net" if what == "child" else "", ike="peer" if what == "ike" else "")
        closed = ours.wait_event(ChildSaClosed)
        assert [(closed.inbound, closed.outbound)] == old_child
        wait_until("no Child SA at strongSwan", lambda: not peer.children())
        reason = closed.reason
        if what == "ike":
            reason = ours.wait_event(IkeSaClosed).reason
            wait_until("no IKE SA at strongSwan", lambda: not peer.sas())
        else:
            assert ours.ike() == ike_spis(peer) == old_ike
        assert reason == ("the peer deleted it" if by == "theirs" else "cleared by the operator")
        assert net.host_a.ping(HOST_B).lost == 0
        assert settled(ours, peer)
        assert (ours.ike() == old_ike) == (what == "child")


def test_liveness_from_each_side(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """An empty INFORMATIONAL request is answered by the one as by the other."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), options={"dpd_delay": "1s"}))
    with wire():
        ours = router(OURS)
        assert net.host_a.ping(HOST_B, count=1).lost == 0
        ours.command("test crypto ikev2 liveness")
        ours.wait_event(LivenessAnswered)
        ours.wait_event(LivenessReceived)
        assert ours.ike() == ike_spis(peer)
