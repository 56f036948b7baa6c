"""ikescope against strongSwan: IKE messages in fragments (RFC 7383), IKE_AUTH without a Child SA (RFC 6023)."""

from dataclasses import replace

import pytest
from tests.support.ikescope import Site
from tests.support.netns import HOST_A, HOST_B, NET_A, NET_B, Topology
from tests.support.peering import ESP, IKE, SELECTORS, SUITES, Peer, Run, Start, Wire, settled
from tests.support.process import wait_until

from ikescope.events.message import (
    FragmentationAgreed,
    FragmentReceived,
    FragmentSent,
    MessageDropped,
    MessageReceived,
    MessageSent,
)
from ikescope.events.negotiation import ChildlessAuth
from ikescope.wire.registry import ExchangeType

AUTH, CREATE = ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
LONG_A, LONG_B = "a" * 1000, "b" * 500
"""Identities that make IKE_AUTH large, both ways; strongSwan takes 512 octets of its own."""
SIZE = 600
SETTINGS = f"  fragment_size = {SIZE + 28}\n"
MANY = tuple(f"10.{100 + number}.0.0/16" for number in range(40))
"""Networks that only strongSwan would send through the tunnel: 40 more traffic selectors in its request."""


def ours(ike: str, esp: str = ESP) -> Site:
    """Site a with fragments of 600 octets and a long identity."""
    return Site(
        ike=ike,
        esp=esp,
        selectors=SELECTORS,
        profile=(f"identity local key-id {LONG_A}", f"match identity remote key-id {LONG_B}"),
        more=(f"crypto ikev2 fragmentation mtu {SIZE + 28}",),
    )


@pytest.mark.parametrize("initiator", ["ikescope", "strongswan"])
@pytest.mark.parametrize(("ike", "esp", "how"), [(IKE, ESP, "yes"), (*SUITES[1], "force")])
def test_large_messages_go_in_fragments(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, ike: str, esp: str, initiator: str, how: str
) -> None:
    """IKE_AUTH of more than 1,280 octets, and its large answer, pass in datagrams of 600; tshark joins them."""
    peer = charon(net.gw_b, settings=SETTINGS)
    options = {"fragmentation": how}
    net_b = replace(site("b", ike=ike, esp=esp).children[0], local_ts=(NET_B, *MANY), remote_ts=(NET_A,))
    connection = replace(site("b", ike=ike, esp=esp), options=options, local_id=f"keyid:{LONG_B}")
    peer.load(replace(connection, children=(net_b,)) if initiator == "strongswan" else connection)
    with wire() as packets:
        running = router(ours(ike, esp))
        if initiator == "strongswan":
            peer.initiate()
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_b.ping(HOST_A).lost == 0
        wait_until("both ends agree", lambda: settled(running, peer))
        sent = next(event for event in running.events(MessageSent) if event.exchange == AUTH)
        taken = next(event for event in running.events(MessageReceived) if event.exchange == AUTH)
        assert sent.size > 1280
        assert taken.size > SIZE
        assert len(sent.fragments) > 1
        assert len(taken.fragments) > 1
        running.command("clear crypto ikev2 sa")
        wait_until("strongSwan has no IKE SA", lambda: not peer.sas())
        assert running.events(FragmentationAgreed)
        assert running.events(FragmentSent)
        assert running.events(FragmentReceived)
        assert running.events(MessageDropped) == []
    sizes = [int(packet.value("isakmp.length")) for packet in packets if packet.values("isakmp.frag.number")]
    assert len(sizes) == len(sent.fragments) + len(taken.fragments)
    assert max(sizes) <= SIZE
    joined = [packet.value("isakmp.fragment.count") for packet in packets if packet.values("isakmp.fragment.count")]
    assert sorted(joined) == sorted(str(len(event.fragments)) for event in (sent, taken))


@pytest.mark.parametrize("initiator", ["ikescope", "strongswan"])
def test_the_first_child_sa_comes_by_itself(
    net: Topology, charon: Start, router: Run, site: Peer, wire: Wire, initiator: str
) -> None:
    """`ikescope childless force` and strongSwan's `childless = force`: IKE_AUTH alone, then CREATE_CHILD_SA with KE."""
    esp = "aes128gcm16-x25519"
    peer = charon(net.gw_b)
    peer.load(replace(site("b", ike=IKE, esp=esp), options={"childless": "force"}))
    with wire() as packets:
        running = router(Site(ike=IKE, esp=esp, selectors=SELECTORS, profile=("ikescope childless force",)))
        if initiator == "strongswan":
            peer.initiate()
        assert net.host_a.ping(HOST_B).lost == 0
        wait_until("both ends agree", lambda: settled(running, peer))
        (chosen,) = running.events(ChildlessAuth)
        assert chosen.by == ("local" if initiator == "ikescope" else "peer")
        told: list[MessageSent | MessageReceived] = [*running.events(MessageSent), *running.events(MessageReceived)]
        request = next(event for event in told if event.exchange == CREATE and not event.response)
        assert "KE" in str(request.inner).replace("'", " ").split()
    exchanges = [packet.value("isakmp.exchangetype") for packet in packets if "isakmp" in packet.protocols]
    assert exchanges == ["34", "34", "35", "35", "36", "36"]


def test_force_meets_a_peer_that_never_does(net: Topology, charon: Start, router: Run, site: Peer) -> None:
    """StrongSwan with `childless = never` announces nothing: with `force` no IKE_AUTH is sent."""
    peer = charon(net.gw_b)
    peer.load(replace(site("b"), options={"childless": "never"}))
    running = router(Site(ike=IKE, esp=ESP, selectors=SELECTORS, profile=("ikescope childless force",)))
    assert net.host_a.ping(HOST_B, count=2, wait=0.2).lost == 2
    wait_until("the attempt is over", lambda: not running.ike() and bool(running.events(MessageSent)))
    assert not [event for event in running.events(MessageSent) if event.exchange == AUTH]
