"""ikescope against strongSwan: suites, traffic both ways, narrowing, and what strongSwan says that we need not know."""

import sys
from dataclasses import replace

import pytest
from tests.support.ikescope import Site
from tests.support.netns import HOST_A, HOST_B, NET_A, NET_B, WAN_B, Topology
from tests.support.peering import FAR, HALVES, OURS, SELECTORS, SUITES, Peer, Run, Start, Wire, split
from tests.support.process import wait_until
from tests.support.strongswan import Child

from ikescope.events import UNSET
from ikescope.events.life import ChildSaCreated
from ikescope.events.message import CookieAnswered, InvalidKeAnswered, MessageReceived, MessageSent, Retransmitting
from ikescope.events.negotiation import NatChecked, ProposalChosen
from ikescope.events.router import PacketsHeld
from ikescope.wire.registry import ExchangeType


@pytest.mark.parametrize("initiator", ["ikescope", "strongswan"])
@pytest.mark.parametrize(("ike", "esp"), SUITES)
def test_traffic_passes_both_ways(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, ike: str, esp: str, initiator: str
) -> None:
    """In either role and with each suite the tunnel comes up on port 4500 and loses no packet, first to last."""
    peer = charon(net.gw_b)
    peer.load(site("b", ike=ike, esp=esp))
    with wire() as packets:
        ours = router(Site(ike=ike, esp=esp, selectors=SELECTORS))
        if initiator == "strongswan":
            peer.initiate()
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_b.ping(HOST_A, size=1200).lost == 0
        (child,) = peer.children()
        assert ours.children() == [(child["spi-out"], child["spi-in"])]
        (chosen,) = [each for each in ours.events(ProposalChosen) if each.protocol == 1]
        assert chosen.by == ("peer" if initiator == "ikescope" else "local")
        (nat,) = ours.events(NatChecked)
        assert nat.remote_behind
        assert [sa["remote_port"] for sa in ours.status()["ike"]] == [4500]
    assert {packet.value("udp.dstport") for packet in packets} == {"500", "4500"}
    assert sum("esp" in packet.protocols for packet in packets) == 12
    assert [packet.value("isakmp.exchangetype") for packet in packets if "isakmp" in packet.protocols] == [
        *("34", "34", "35", "35"),
    ]


def test_what_narrowing_leaves_out_is_dropped(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire
) -> None:
    """A packet for the tunnel that the narrowed Child SA does not cover is dropped and counted; the others pass."""
    peer = charon(net.gw_b)
    peer.load(site("b"))
    with wire():
        ours = router(replace(OURS, selectors=(), more=("ip route 10.9.0.0 255.255.255.0 Tunnel0",)))
        wait_until("a Child SA at strongSwan", peer.children)
        assert net.host_a.ping("10.9.0.9", count=2, wait=0.2).lost == 2
        assert ours.wait_event(PacketsHeld, lambda event: event.dropped > 0).tunnel == "Tunnel0"
        wait_until("no packet waits", lambda: [tunnel["held"] for tunnel in ours.status()["tunnels"]] == [0])
        assert net.host_a.ping(HOST_B).lost == 0
        assert len(ours.children()) == 1


@pytest.mark.parametrize("initiator", ["ikescope", "strongswan"])
def test_a_wide_proposal_is_narrowed(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, initiator: str
) -> None:
    """Who proposes everything (0.0.0.0/0) gets what the other admits, and the traffic within it passes."""
    wide = Child(local_ts=("0.0.0.0/0",), remote_ts=("0.0.0.0/0",))
    ours = Site() if initiator == "ikescope" else Site(selectors=SELECTORS)
    connection = site("b") if initiator == "ikescope" else replace(site("b"), children=(wide,))
    ours = replace(ours, ike="aes256-sha512-ecp256", esp="aes128gcm16")
    peer = charon(net.gw_b)
    peer.load(connection)
    with wire():
        running = router(ours)
        if initiator == "strongswan":
            peer.initiate()
        made = running.wait_event(ChildSaCreated)
        assert [(one.start, one.end) for one in made.local] == [("10.1.0.0", "10.1.0.255")]
        assert [(one.start, one.end) for one in made.remote] == [("10.2.0.0", "10.2.0.255")]
        wait_until("a Child SA at strongSwan", peer.children)
        assert [(child["local-ts"], child["remote-ts"]) for child in peer.children()] == [([NET_B], [NET_A])]
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_b.ping(HOST_A).lost == 0


def test_each_selector_gets_its_child_sa(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """Traffic for a second line of the access list makes a second Child SA within the IKE SA, by CREATE_CHILD_SA."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), children=split(net)))
    with wire():
        ours = router(Site(ike="aes256-sha512-ecp256", esp="aes128gcm16", selectors=HALVES))
        assert net.host_a.ping(HOST_B).lost == 0
        assert len(ours.children()) == 1
        assert net.host_a.ping(FAR).lost == 0
        assert len(ours.children()) == len(peer.children()) == 2
        assert len(ours.ike()) == 1
        assert [made.exchange for made in ours.events(ChildSaCreated)] == [
            ExchangeType.IKE_AUTH,
            ExchangeType.CREATE_CHILD_SA,
        ]


def test_a_guessed_group_is_corrected(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """The smart default's first group is 19: a peer with group 14 alone says so, and the second request has it."""
    peer = charon(net.gw_b)
    peer.load(site("b", ike="aes256-sha512-modp2048"))
    with wire():
        ours = router(Site(esp="aes128gcm16", selectors=SELECTORS))
        assert net.host_a.ping(HOST_B).lost == 0
        (answered,) = ours.events(InvalidKeAnswered)
        assert (answered.offered, answered.wanted) == (19, 14)
        (chosen,) = [each for each in ours.events(ProposalChosen) if each.protocol == 1]
        assert (4, 14, None) in [(one.type, one.id, one.key_length) for one in chosen.chosen.transforms]


def test_a_peer_is_told_the_group(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A strongSwan that guesses the wrong group is answered INVALID_KE_PAYLOAD, without state, and comes again."""
    both = replace(site("b"), proposals=("aes256-sha512-ecp256-modp2048",))
    peer = charon(net.gw_b)
    peer.load(both)
    with wire() as packets:
        router(Site(ike="aes256-sha512-modp2048", esp="aes128gcm16", selectors=SELECTORS))
        peer.initiate()
        peer.wait_for_log("peer didn't accept (DH group|key exchange method) ECP_256, it requested MODP_2048")
        assert net.host_b.ping(HOST_A).lost == 0
    assert len([packet for packet in packets if packet.value("isakmp.exchangetype") == "34"]) == 4


def test_a_peer_returns_our_cookie(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """With `crypto ikev2 cookie-challenge 0` strongSwan has to return a cookie before we keep state, and does."""
    peer = charon(net.gw_b)
    peer.load(site("b"))
    with wire():
        router(replace(OURS, more=("crypto ikev2 cookie-challenge 0",)))
        peer.initiate()
        peer.wait_for_log(r"parsed IKE_SA_INIT response 0 \[ N\(COOKIE\) \]")
        assert net.host_b.ping(HOST_A).lost == 0


def test_we_return_a_peers_cookie(net: Topology, charon: Start, router: Run, site: Peer, wire: Wire) -> None:
    """A strongSwan with half-open IKE SAs asks for its cookie back; the repeated request has it first, and succeeds."""
    peer = charon(net.gw_b, settings="  cookie_threshold = 1\n")
    peer.load(site("b"))
    with wire():
        ours = router(OURS)
        assert net.host_a.ping(HOST_B, count=1).lost == 0
        request = next(sent.octets for sent in ours.events(MessageSent) if isinstance(sent.octets, bytes))
        ours.command("clear crypto ikev2 sa")
        wait_until("no IKE SA at strongSwan", lambda: not peer.sas())
        another = bytes(8 * [0xA5]) + request[8:]
        net.gw_a.run(sys.executable, "-c", SEND_UDP, WAN_B, another.hex())
        wait_until("a half-open IKE SA at strongSwan", peer.sas)
        assert net.host_a.ping(HOST_B).lost == 0
        assert ours.wait_event(CookieAnswered).octets > 0
        last = [sent.payloads for sent in ours.events(MessageSent) if sent.exchange == ExchangeType.IKE_SA_INIT][-1]
        assert last[:2] == ("NOTIFY(COOKIE)", "SA")


def test_notifies_that_are_not_for_us_do_no_harm(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire
) -> None:
    """MOBIKE, redirect, fragmentation, hash and EAP-only notifies of a strongSwan that has all on change nothing."""
    net.gw_b.ip("addr", "add", "10.99.0.3/24", "dev", "wan")
    full = replace(site("b"), options={"mobike": "yes", "fragmentation": "force", "send_cert": "always"})
    peer = charon(net.gw_b)
    peer.load(full)
    with wire():
        ours = router(OURS)
        peer.initiate()
        assert net.host_b.ping(HOST_A).lost == 0
        heard = {
            name
            for event in ours.events(MessageReceived)
            for name in (*event.payloads, *(event.inner if event.inner is not UNSET else ()))
        }
        ours.command("clear crypto ikev2 sa")
        wait_until("no IKE SA at strongSwan", lambda: not peer.sas())
    assert {
        "NOTIFY(MOBIKE_SUPPORTED)",
        "NOTIFY(ADDITIONAL_IP4_ADDRESS)",
        "NOTIFY(REDIRECT_SUPPORTED)",
        "NOTIFY(IKEV2_FRAGMENTATION_SUPPORTED)",
        "NOTIFY(SIGNATURE_HASH_ALGORITHMS)",
        "NOTIFY(EAP_ONLY_AUTHENTICATION)",
    } <= heard


SEND_UDP = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
    udp.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 500))
    udp.recv(4096)
"""
"""Sends a datagram to port 500 of an address and waits for an answer."""

EAGER = "  retransmit_timeout = 0.2\n  retransmit_base = 1\n  retransmit_tries = 60\n"


def test_a_peers_repeated_requests_are_answered_once(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire
) -> None:
    """However often strongSwan repeats a request, its answer is the same octets and makes one SA."""
    peer = charon(net.gw_b, settings=EAGER)
    peer.load(site("b"))
    with wire():
        ours = router(OURS)
        ours.process.pause()
        peer.request("initiate", {"child": "net", "timeout": -1})
        peer.wait_for_log("retransmit 3 of request with message ID 0")
        ours.process.resume()
        wait_until("a Child SA at strongSwan", peer.children)
        ours.process.pause()
        peer.rekey(child="net")
        peer.wait_for_log("retransmit 3 of request with message ID 2")
        ours.process.resume()
        peer.wait_for_log(r"outbound CHILD_SA net\{2\} established")
        wait_until("one Child SA at each end", lambda: (len(ours.children()), len(peer.children())) == (1, 1))
        assert net.host_a.ping(HOST_B).lost == 0
        answers: dict[int, set[bytes]] = {}
        for record in ours.records():
            event = record.event
            if isinstance(event, MessageSent) and event.response and event.octets is not UNSET:
                answers.setdefault(int(record.stamp.message_id or 0), set()).add(event.octets)
        assert {number: len(each) for number, each in answers.items()} == {0: 1, 1: 1, 2: 1, 3: 1}
        # While the data plane installs the SAs of a rekey, its repeated requests wait for the one answer.
        assert sum(event.repeat > 0 for event in ours.events(MessageSent)) >= 3
        assert len(ours.ike()) == len(peer.sas()) == 1


def test_our_repeated_requests_are_the_same_octets(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire
) -> None:
    """While the peer is silent we repeat the first request unchanged; when it comes back one SA is made."""
    peer = charon(net.gw_b)
    peer.load(site("b"))
    with wire():
        ours = router(OURS)
        peer.process.pause()
        assert net.host_a.ping(HOST_B, count=1, wait=0.1).lost == 1
        ours.wait_event(Retransmitting)
        peer.process.resume()
        wait_until("a Child SA at strongSwan", peer.children)
        assert net.host_a.ping(HOST_B).lost == 0
        first = {event.octets for event in ours.events(MessageSent) if event.exchange == ExchangeType.IKE_SA_INIT}
        assert len(first) == 1
        assert len(ours.ike()) == len(peer.sas()) == 1
