"""ikescope against strongSwan 6: what it says that strongSwan 5 does not. ML-KEM and additional key exchanges."""

from dataclasses import replace

import pytest
from tests.support.chroot import NewStrongswan
from tests.support.ikescope import Ikescope, Site
from tests.support.netns import HOST_A, HOST_B, Topology
from tests.support.peering import OURS, SELECTORS, Peer, Run, Start, Wire, settled
from tests.support.process import wait_until
from tests.support.strongswan import Strongswan

from ikescope.events.life import ChildSaCreated, IkeSaCreated, IkeSaRekeyed, RekeyReceived
from ikescope.events.message import MessageDropped, MessageReceived
from ikescope.events.negotiation import ProposalChosen, ProposalRefused

pytestmark = pytest.mark.parametrize(
    "charon", [pytest.param(NewStrongswan, id="strongswan-6", marks=pytest.mark.new_peers)], indirect=True
)
either = pytest.mark.parametrize("initiator", ["ikescope", "strongswan"])

PLAIN, HYBRID = "aes256-sha512-ecp256", "aes256-sha512-ecp256-ke1_mlkem768"
ESP_PLAIN, ESP_HYBRID = "aes128gcm16-ecp256", "aes128gcm16-ecp256-ke1_mlkem768"
WITH_GROUP = replace(OURS, esp=ESP_PLAIN)


def bring_up(net: Topology, ours: Ikescope, peer: Strongswan, initiator: str) -> None:
    """Let one of them make the tunnel and see packets pass."""
    if initiator == "strongswan":
        peer.initiate()
    assert net.host_a.ping(HOST_B).lost == 0
    wait_until("both ends agree", lambda: settled(ours, peer))


def rekey(ours: Ikescope, peer: Strongswan, what: str, by: str) -> None:
    """Rekey "child" or "ike" by "ours" or "theirs" and wait until only the new one stands at both ends."""
    look = ours.children if what == "child" else ours.ike
    old = look()
    if by == "ours":
        ours.command(f"test crypto ikev2 rekey {what}")
    else:
        peer.rekey(**({"child": "net"} if what == "child" else {"ike": "peer"}))
    wait_until(f"{what} rekeyed by {by}", lambda: look() != old and settled(ours, peer))


@either
def test_a_peer_that_would_do_more_key_exchanges_does_without(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, initiator: str
) -> None:
    """Of a proposal with an ADDKE transform and one without (RFC 9370) the second is chosen, in each rekey too."""
    both = site("b")
    child = replace(both.children[0], esp_proposals=(ESP_HYBRID, ESP_PLAIN))
    peer = charon(net.gw_b)
    peer.load(replace(both, proposals=(HYBRID, PLAIN), children=(child,)))
    with wire() as packets:
        ours = router(WITH_GROUP)
        bring_up(net, ours, peer, initiator)
        for what, by in [("child", "theirs"), ("ike", "theirs"), ("child", "ours"), ("ike", "ours")]:
            rekey(ours, peer, what, by)
        assert net.host_b.ping(HOST_A).lost == 0
        assert [event.kind for event in ours.events(RekeyReceived)] == ["child", "ike"]
        assert [event.initiator for event in ours.events(IkeSaRekeyed)] == [False, True]
        assert [made.group for made in ours.events(ChildSaCreated)] == [None, 19, 19]
        heard = {name for event in ours.events(MessageReceived) for name in event.payloads}
        assert ("NOTIFY(INTERMEDIATE_EXCHANGE_SUPPORTED)" in heard) == (initiator == "strongswan")
    assert "43" not in {packet.value("isakmp.exchangetype") for packet in packets}


def test_a_peer_that_wants_more_key_exchanges_is_refused(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire
) -> None:
    """A proposal with a transform type that we do not implement is unacceptable (RFC 7296 section 3.3.6): we say so."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), proposals=(HYBRID,)))
    with wire():
        ours = router(OURS)
        peer.request("initiate", {"child": "net", "timeout": -1})
        peer.wait_for_log("received NO_PROPOSAL_CHOSEN notify error")
        refused = ours.wait_event(ProposalRefused)
        assert "ML-KEM-768" in str(refused.found)
        assert not ours.events(IkeSaCreated)


def test_a_peer_that_wants_more_key_exchanges_refuses(net: Topology, charon: Start, router: Run, site: Peer) -> None:
    """Asked without an additional key exchange it answers NO_PROPOSAL_CHOSEN: unauthenticated, so we only note it."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), proposals=(HYBRID,)))
    ours = router(OURS)
    assert net.host_a.ping(HOST_B, count=1, wait=0.1).lost == 1
    noted = ours.wait_event(MessageDropped)
    assert "NO_PROPOSAL_CHOSEN" in str(noted.found)
    assert not ours.events(IkeSaCreated)


@either
def test_ml_kem_first_is_answered_with_our_group(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, initiator: str
) -> None:
    """A strongSwan that begins with an ML-KEM-768 key of 1,184 octets is told the group that both have."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), proposals=("aes256-sha512-mlkem768-ecp256",)))
    with wire():
        ours = router(Site(ike=PLAIN, esp="aes128gcm16", selectors=SELECTORS))
        bring_up(net, ours, peer, initiator)
        if initiator == "strongswan":
            peer.wait_for_log("peer didn't accept key exchange method ML_KEM_768, it requested ECP_256")
        chosen = [event for event in ours.events(ProposalChosen) if event.protocol == 1]
        assert [
            (4, 19, None) in [(one.type, one.id, one.key_length) for one in each.chosen.transforms] for each in chosen
        ]
        assert net.host_b.ping(HOST_A).lost == 0
