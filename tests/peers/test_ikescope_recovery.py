"""One end dies without a word and comes back: the tunnel does too."""

from dataclasses import replace

from tests.support.netns import HOST_A, HOST_B, WAN_A, Topology
from tests.support.peering import OURS, Peer, Run, Start, Wire, ike_spis, settled
from tests.support.process import wait_until

from ikescope.events.life import IkeSaClosed, IkeSaCreated, LivenessSent
from ikescope.events.message import MessageSent, RetransmissionsExhausted
from ikescope.events.negotiation import InitialContactReceived


def test_a_killed_ikescope_comes_back(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """After kill -9 the next packet makes a new IKE SA, whose INITIAL_CONTACT ends the old one at strongSwan."""
    peer = charon(net.gw_b)
    peer.load(site("b"))
    with wire():
        first = router(OURS)
        assert net.host_a.ping(HOST_B).lost == 0
        old = ike_spis(peer)
        first.kill()
        assert net.host_b.ping(HOST_A, count=1, wait=0.2).lost == 1
        second = router(OURS)
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_b.ping(HOST_A).lost == 0
        wait_until("one IKE SA at each end", lambda: settled(second, peer))
        assert ike_spis(peer) != old
        names = [name for sent in second.events(MessageSent) for name in sent.inner or ()]
        assert "NOTIFY(INITIAL_CONTACT)" in names


def test_a_killed_ikescope_is_called_again(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A restarted ikescope does not answer for SAs it lost: strongSwan's liveness check fails and it comes anew."""
    peer = charon(net.gw_b, settings="  retransmit_timeout = 0.3\n  retransmit_base = 1\n  retransmit_tries = 5\n")
    connection = replace(site("b"), options={"dpd_delay": "1s"})
    child = replace(connection.children[0], options={"dpd_action": "restart"})
    peer.load(replace(connection, children=(child,)))
    with wire():
        first = router(OURS)
        peer.initiate()
        old = ike_spis(peer)
        first.kill()
        second = router(OURS)
        wait_until("the tunnel stands again", lambda: settled(second, peer))
        assert ike_spis(peer) != old
        assert net.host_b.ping(HOST_A).lost == 0
        assert [made.initiator for made in second.events(IkeSaCreated)] == [False]


def test_a_killed_strongswan_comes_back(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A new IKE SA with INITIAL_CONTACT of a restarted strongSwan ends the one that we still hold."""
    with wire():
        first = charon(net.gw_b)
        first.load(site("b"))
        ours = router(OURS)
        assert net.host_a.ping(HOST_B).lost == 0
        first.kill()
        second = charon(net.gw_b)
        # strongSwan says INITIAL_CONTACT only where a connection is to be unique and its peer has a name.
        second.load(replace(site("b"), remote_id=WAN_A, options={"unique": "replace"}))
        second.initiate()
        assert ours.wait_event(InitialContactReceived).closed == 1
        assert ours.wait_event(IkeSaClosed).reason
        wait_until("one IKE SA at each end", lambda: settled(ours, second))
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_b.ping(HOST_A).lost == 0


def test_a_silent_strongswan_is_noticed(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """`dpd 10 2 on-demand`: traffic without an answer asks for life every 2 s, then the SA ends and a new one comes."""
    with wire():
        first = charon(net.gw_b)
        first.load(site("b"))
        ours = router(replace(OURS, profile=("dpd 10 2 on-demand",)))
        assert net.host_a.ping(HOST_B).lost == 0
        first.kill()
        assert net.host_a.ping(HOST_B, count=1, wait=0.2).lost == 1
        second = charon(net.gw_b)
        second.load(site("b"))
        ours.wait_event(LivenessSent)
        assert ours.wait_event(RetransmissionsExhausted, timeout=30.0).seconds < 20
        assert ours.wait_event(IkeSaClosed).reason == "the peer does not answer"
        assert net.host_a.ping(HOST_B).lost == 0
        assert settled(ours, second)
