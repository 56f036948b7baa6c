"""Either end authenticates anew, a new IKE SA before the old one ends: both stand for a while, no packet is lost."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.legs import assert_none_lost, pinging
from tests.support.netns import HOST_A, HOST_B, Topology
from tests.support.peering import OURS, Peer, Run, Start, Wire, settled
from tests.support.process import wait_until

from ikescope.events.life import (
    ChildSaCreated,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    Reauthenticated,
    ReauthenticationFailed,
)
from ikescope.events.negotiation import InitialContactReceived
from ikescope.wire.registry import ExchangeType

EAGER = "  make_before_break = yes\n  delete_rekeyed_delay = 1\n"


def test_reauthentication_loses_no_packet(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, tmp_path: Path
) -> None:
    """Make before break: a new IKE SA with its own IKE_AUTH and Child SA takes over, and no ping is lost."""
    peer = charon(net.gw_b, settings=EAGER)
    timed = {"reauth_time": "4s", "rand_time": "0", "over_time": "10s"}
    peer.load(replace(site("b"), rekey_time="0", options=timed))
    with wire():
        ours = router(OURS)
        peer.initiate()
        with pinging(net, HOST_B, directory=tmp_path) as ways:
            wait_until("authenticated again", lambda: len(ours.events(IkeSaCreated)) == 2)
            wait_until("one of each stands", lambda: settled(ours, peer))
        assert_none_lost(ways, ours)
        assert net.host_b.ping(HOST_A).lost == 0
        assert {made.exchange for made in ours.events(ChildSaCreated)} == {ExchangeType.IKE_AUTH}
        assert {closed.reason for closed in ours.events(IkeSaClosed)} == {
            "reauthenticated; the peer deleted the old IKE SA"
        }
        assert not ours.events(IkeSaRekeyed)
        assert not ours.events(InitialContactReceived)


@pytest.mark.parametrize("unique", ["no", "replace"])
def test_our_reauthentication_loses_no_packet(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, tmp_path: Path, unique: str
) -> None:
    """We begin anew, strongSwan answers: it keeps both IKE SAs until we delete the old one, whatever `unique` says."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), rekey_time="0", options={"unique": unique, "reauth_time": "0"}))
    with wire():
        ours = router(replace(OURS, profile=("ikescope reauthentication 12",)))
        net.host_a.ping(HOST_B, count=3)
        with pinging(net, HOST_B, directory=tmp_path) as ways:
            wait_until("authenticated again", lambda: bool(ours.events(Reauthenticated)), 40)
            wait_until("one of each stands", lambda: settled(ours, peer))
        assert_none_lost(ways, ours)
        assert net.host_b.ping(HOST_A).lost == 0
        assert not ours.events(ReauthenticationFailed)
        assert not ours.events(IkeSaRekeyed)
        assert {closed.reason for closed in ours.events(IkeSaClosed)} == {"reauthenticated"}
        assert {made.exchange for made in ours.events(ChildSaCreated)} == {ExchangeType.IKE_AUTH}
