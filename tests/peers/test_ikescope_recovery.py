"""One end dies without a word and comes back: the tunnel does too."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tests.support.gate import ALL, NOTHING, gated
from tests.support.netns import HOST_A, HOST_B, WAN_A, Topology
from tests.support.peering import OURS, Peer, Run, Start, Wire, child_spis, ike_spis, settled
from tests.support.process import wait_until

from ikescope.engine.duplicates import SETTLE_SECONDS
from ikescope.events import UNSET
from ikescope.events.life import DuplicateChecked, DuplicateSettled, IkeSaClosed, IkeSaCreated, LivenessSent
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


def test_both_ends_begin_at_once(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """Two IKE SAs come to be: ours goes where it has the lowest nonce; both ends agree and traffic passes."""
    peer = charon(net.gw_b, settings="  retransmit_timeout = 0.5\n  retransmit_base = 1\n  retransmit_tries = 100\n")
    peer.load(site("b"))
    with wire(), gated(net) as gate, ThreadPoolExecutor(1) as pool:
        ours = router(OURS)
        gate.arrives(at_a=NOTHING, at_b=NOTHING)
        theirs = pool.submit(peer.initiate, timeout=60.0)
        assert net.host_a.ping(HOST_B, count=1, wait=0.1).lost == 1
        ours.wait_event(MessageSent)
        peer.wait_for_log("generating IKE_SA_INIT request")
        gate.arrives(at_a=ALL, at_b=ALL)
        theirs.result(60.0)
        assert ours.wait_event(DuplicateChecked, lambda event: event.found > 0).found == 1
        # Where theirs has the lowest nonce nothing is said and both stay: closing it would be for strongSwan.
        later = time.monotonic() + 2 * SETTLE_SECONDS
        wait_until("settled", lambda: ours.events(DuplicateSettled) or time.monotonic() > later)
        settlements = [event.closed for event in ours.events(DuplicateSettled)]
        left = 1 if settlements and settlements[0] is not UNSET else 2
        wait_until(
            "both ends agree",
            lambda: (
                len(ours.ike()) == left
                and sorted(ours.ike()) == sorted(ike_spis(peer))
                and sorted(ours.children()) == sorted(child_spis(peer))
            ),
        )
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_b.ping(HOST_A).lost == 0
