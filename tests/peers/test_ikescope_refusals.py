"""What ikescope and strongSwan refuse each other: both ends as RFC 7296 says, and our records and debug say why."""

from dataclasses import replace

import pytest
from tests.support.ikescope import Ikescope, Site
from tests.support.netns import HOST_B, NET_A, NET_B, Topology
from tests.support.peering import ESP, OURS, Peer, Run, Start, Wire
from tests.support.process import wait_until
from tests.support.strongswan import Child, Strongswan
from tests.support.tshark import Packet
from tests.support.vici import ViciError

from ikescope.events.life import ChildRefused, DeleteSent, IkeSaClosed, IkeSaCreated
from ikescope.events.message import RequestRefused, ResponseRefused
from ikescope.events.negotiation import AuthRefused, ExchangeFailed, ProposalRefused, SelectorsRefused
from ikescope.wire.registry import ExchangeType, NotifyType

NO_PROPOSAL_CHOSEN = "14"


def start_it(net: Topology) -> None:
    """Send one packet that asks for the tunnel; nothing answers it."""
    assert net.host_a.ping(HOST_B, count=1, wait=0.2).lost == 1


def refuse_it(peer: Strongswan) -> None:
    """Let strongSwan ask for the tunnel; it does not come up."""
    with pytest.raises(ViciError):
        peer.initiate()


def nothing_stands(ours: Ikescope, peer: Strongswan) -> None:
    """Neither end holds an SA."""
    wait_until("no SA at strongSwan", lambda: not peer.sas())
    wait_until("no SA at ikescope", lambda: not ours.status()["ike"] and not ours.status()["children"])


def notifies(packets: list[Packet], exchange: ExchangeType) -> list[str]:
    """The types of the error notifies in an exchange's responses, in order."""
    return [
        kind
        for packet in packets
        if packet.value("isakmp.exchangetype") == str(int(exchange)) and packet.value("isakmp.flag_r") == "1"
        for kind in packet.values("isakmp.notify.msgtype")
        if int(kind) < 16384
    ]


def test_a_wrong_key_refused_by_the_peer(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """As initiator with a wrong key we are answered AUTHENTICATION_FAILED; nothing stands and the debug says so."""
    peer = charon(net.gw_b)
    peer.load(site("b", psk="another-key"))
    with wire():
        ours = router(OURS)
        start_it(net)
        refused = ours.wait_event(ResponseRefused)
        assert (refused.exchange, refused.notify) == (ExchangeType.IKE_AUTH, NotifyType.AUTHENTICATION_FAILED)
        nothing_stands(ours, peer)
        assert not ours.events(IkeSaCreated)
        assert "NOTIFY(AUTHENTICATION_FAILED)" in ours.debug()
        assert "Failed to authenticate the IKE SA" in ours.debug()


def test_a_wrong_key_refused_by_us(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A strongSwan with a wrong key is answered AUTHENTICATION_FAILED; the records name the differing keys."""
    peer = charon(net.gw_b)
    peer.load(site("b", psk="another-key"))
    with wire():
        ours = router(OURS)
        refuse_it(peer)
        peer.wait_for_log("received AUTHENTICATION_FAILED notify error")
        nothing_stands(ours, peer)
        (refused,) = ours.events(AuthRefused)
        assert (refused.identity.value, refused.key_length) == ("10.99.0.2", len("a-shared-key"))
        (answered,) = ours.events(RequestRefused)
        assert answered.notify == NotifyType.AUTHENTICATION_FAILED
        assert answered.why == "the peer's AUTH value does not verify: the pre-shared keys differ"
        assert "Verification of peer's authentication data FAILED" in ours.debug()
        assert "the pre-shared keys differ" in ours.verdict()


def test_a_responder_with_a_wrong_key_is_told(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire
) -> None:
    """A responder that believes in the SA but proves the wrong key is told by INFORMATIONAL and drops it."""
    peer = charon(net.gw_b)
    peer.load(site("b"))
    keys = ("pre-shared-key local a-shared-key", "pre-shared-key remote another-key")
    with wire():
        ours = router(replace(OURS, keys=keys))
        start_it(net)
        ours.wait_event(AuthRefused)
        peer.wait_for_log(r"parsed INFORMATIONAL request 2 \[ N\(AUTH_FAILED\) \]")
        nothing_stands(ours, peer)
        assert not ours.events(IkeSaCreated)


def test_no_common_ike_proposal_for_the_peer(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """NO_PROPOSAL_CHOSEN to our IKE_SA_INIT is unauthenticated: we try some seconds more, then the SA ends by it."""
    peer = charon(net.gw_b)
    peer.load(site("b", ike="aes256-sha256-ecp256"))
    with wire() as packets:
        ours = router(OURS)
        start_it(net)
        closed = ours.wait_event(IkeSaClosed, timeout=30.0)
        assert "NO_PROPOSAL_CHOSEN" in closed.reason
        nothing_stands(ours, peer)
        assert "Received no proposal chosen notify" in ours.debug()
    assert set(notifies(packets, ExchangeType.IKE_SA_INIT)) == {NO_PROPOSAL_CHOSEN}
    assert len(notifies(packets, ExchangeType.IKE_SA_INIT)) > 1


def test_no_common_ike_proposal_for_us(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A strongSwan with no proposal of ours is answered NO_PROPOSAL_CHOSEN; the nearest miss is named."""
    peer = charon(net.gw_b)
    peer.load(site("b", ike="aes256-sha256-ecp256"))
    with wire() as packets:
        ours = router(OURS)
        refuse_it(peer)
        peer.wait_for_log("received NO_PROPOSAL_CHOSEN notify error")
        (refused,) = ours.events(ProposalRefused)
        assert (refused.protocol, refused.nearest, refused.found, refused.wanted) == (1, 1, "SHA256", "SHA512")
        (answered,) = ours.events(RequestRefused)
        assert answered.why == "The nearest is proposal 1 with P: PRF had SHA256, wanted SHA512."
        debug = ours.debug()
        assert "Proposal 1:  AES-CBC-256 SHA256 SHA256 DH_GROUP_256_ECP/Group 19" in debug
        assert "Proposal 1:  AES-CBC-256 SHA512 SHA512 DH_GROUP_256_ECP/Group 19" in debug
        assert "for PRF, 10.99.0.2 offers SHA256 and R-a wants SHA512" in ours.verdict()
        nothing_stands(ours, peer)
    assert notifies(packets, ExchangeType.IKE_SA_INIT) == [NO_PROPOSAL_CHOSEN]


@pytest.mark.parametrize(
    ("child", "notify"),
    [
        (
            Child(local_ts=(NET_B,), remote_ts=(NET_A,), esp_proposals=("aes256-sha256",)),
            NotifyType.NO_PROPOSAL_CHOSEN,
        ),
        (Child(local_ts=("10.9.0.0/24",), remote_ts=(NET_A,)), NotifyType.TS_UNACCEPTABLE),
    ],
    ids=["esp", "selectors"],
)
def test_no_child_sa_from_the_peer(
    net: Topology,
    charon: Start,
    router: Run,
    site: Peer,
    wire: Wire,
    child: Child,
    notify: NotifyType,
) -> None:
    """Where strongSwan makes the IKE SA without our first Child SA, we delete the Child SA and the IKE SA, as IOS."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), children=(child,)))
    with wire() as packets:
        ours = router(OURS)
        start_it(net)
        refused = ours.wait_event(ChildRefused)
        assert (refused.by, refused.notify) == ("peer", notify)
        closed = ours.wait_event(IkeSaClosed)
        assert closed.reason == f"the peer refused the first Child SA: {notify}"
        assert [event.kind for event in ours.events(DeleteSent)] == ["child", "ike"]
        nothing_stands(ours, peer)
        assert f"NOTIFY({notify.name})" in ours.debug()
    assert notifies(packets, ExchangeType.IKE_AUTH) == [str(int(notify))]
    informational = [packet for packet in packets if packet.value("isakmp.exchangetype") == "37"]
    assert len(informational) == 4


def test_no_esp_proposal_for_us(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A strongSwan with another ESP suite gets its IKE SA and NO_PROPOSAL_CHOSEN for the child; the miss is named."""
    peer = charon(net.gw_b)
    peer.load(site("b", esp="aes256-sha256"))
    with wire() as packets:
        ours = router(OURS)
        refuse_it(peer)
        peer.wait_for_log("received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built")
        (refused,) = ours.events(ProposalRefused)
        assert (refused.protocol, refused.found, refused.wanted) == (3, "AES-CBC-256", "AES-GCM-128")
        (answered,) = ours.events(RequestRefused)
        assert answered.why == "The nearest is proposal 1 with TS: encryption had AES-CBC-256, wanted AES-GCM-128."
        assert "ESP: Proposal 1:  AES-GCM-128 Don't use ESN" in ours.debug()
        assert "for encryption, 10.99.0.2 offers AES-CBC-256 and R-a wants AES-GCM-128" in ours.verdict()
        assert not ours.children()
        assert ours.ike() == [(sa["initiator-spi"], sa["responder-spi"]) for sa in peer.established()]
        # The IKE SA is good: a child that both know comes up in it.
        peer.load(site("b", esp=ESP))
        peer.initiate()
        assert net.host_a.ping(HOST_B).lost == 0
        assert len(ours.ike()) == 1
    assert notifies(packets, ExchangeType.IKE_AUTH)[0] == NO_PROPOSAL_CHOSEN


def test_no_selectors_for_us(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A strongSwan with selectors that no tunnel of ours has is answered TS_UNACCEPTABLE; the nearest is named."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), children=(Child(local_ts=("10.9.0.0/24",), remote_ts=(NET_A,)),)))
    with wire():
        ours = router(OURS)
        refuse_it(peer)
        peer.wait_for_log("received TS_UNACCEPTABLE notify, no CHILD_SA built")
        (refused,) = ours.events(SelectorsRefused)
        assert (refused.tunnel, refused.axis) == ("Tunnel0", "remote")
        (answered,) = ours.events(RequestRefused)
        assert answered.why.endswith("remote: addresses had 10.9.0.0/24, wanted 10.2.0.0/24.")
        assert "There was no IPSEC policy found for received TS" in ours.debug()
        assert "10.99.0.2 proposes 10.9.0.0/24 -> 10.1.0.0/24" in ours.verdict()
        assert not ours.children()
        assert len(ours.ike()) == len(peer.established()) == 1


def test_transport_mode_is_refused_by_kernel_libipsec(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire
) -> None:
    """GRE in transport mode, the default: a peer without it refuses the Child SA and we send two Deletes, as IOS."""
    gre = Child(mode="transport", local_ts=("10.99.0.2/32[gre]",), remote_ts=("10.99.0.1/32[gre]",))
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), children=(replace(gre, esp_proposals=("aes128-sha1",)),)))
    with wire():
        ours = router(Site(mode="gre"))
        start_it(net)
        refused = ours.wait_event(ChildRefused)
        assert (refused.by, refused.notify) == ("peer", NotifyType.NO_PROPOSAL_CHOSEN)
        ours.wait_event(IkeSaClosed)
        assert [event.kind for event in ours.events(DeleteSent)] == ["child", "ike"]
        assert not ours.events(ExchangeFailed)
        nothing_stands(ours, peer)
        assert "NOTIFY(USE_TRANSPORT_MODE)" in ours.debug()
