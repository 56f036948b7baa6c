"""ikescope against OpenIKED 7.2, over a kernel that only pretends: the control plane in both roles.

From IKE_SA_INIT to rekeys and deletes, and what the one refuses the other. No packet comes back through such a tunnel.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from tests.support.fakekernel import table_keys
from tests.support.ikescope import PSK, Ikescope, Site
from tests.support.netns import HOST_B, NET_A, NET_B, WAN_A, WAN_B, Topology
from tests.support.openiked import OpenIked, Policy
from tests.support.peering import SELECTORS, Run, Wire
from tests.support.process import wait_until

from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaRekeyed,
    DeleteSent,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    LivenessAnswered,
    RekeyReceived,
)
from ikescope.events.message import (
    MessageDropped,
    MessageReceived,
    MessageSent,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
    Retransmitting,
)
from ikescope.events.negotiation import AuthRefused, ProposalRefused
from ikescope.wire.registry import ExchangeType, NotifyType

THEIRS = Policy(WAN_B, WAN_A, PSK, NET_B, NET_A)
OURS = Site(ike="aes256-sha256-x25519", esp="aes128-sha1", selectors=SELECTORS)

LONG = f"{'a' * 1000}.example"
"""An identity that makes our IKE_AUTH large."""
MANY = tuple(f"10.{100 + number}.0.0/16" for number in range(70))
"""Networks that make OpenIKED's IKE_AUTH large: 70 more traffic selectors."""

Start = Callable[..., OpenIked]


@pytest.fixture
def iked(net: Topology) -> Iterator[Start]:
    """Starts an OpenIKED in the gateway of site b (`iked(Policy(...))`); stopped after the test."""
    with ExitStack() as stack:

        def start(policy: Policy = THEIRS) -> OpenIked:
            return stack.enter_context(OpenIked(net.gw_b, policy))

        yield start


def start_it(net: Topology) -> None:
    """Send one packet that asks for the tunnel; nothing answers it."""
    assert net.host_a.ping(HOST_B, count=1, wait=0.1).lost == 1


def settled(ours: Ikescope, peer: OpenIked) -> bool:
    """Whether one IKE SA with one Child SA stands, the same at both ends."""
    ike, child = ours.ike(), ours.children()
    return len(ike) == len(child) == 1 and ike == peer.ike() and child == peer.children()


def bring_up(
    net: Topology, iked: Start, router: Run, initiator: str, policy: Policy = THEIRS, site: Site = OURS
) -> tuple[OpenIked, Ikescope]:
    """Start both, let one of them make the tunnel, wait until it stands at both."""
    if initiator == "ikescope":
        peer, ours = iked(policy), router(site)
        start_it(net)
    else:
        ours = router(site)
        peer = iked(replace(policy, active=True))
    wait_until("the tunnel stands", lambda: settled(ours, peer))
    return peer, ours


def rekey(ours: Ikescope, peer: OpenIked, what: str) -> None:
    """Rekey "child" or "ike" from our side and wait until only the new one stands at both ends."""
    look = ours.children if what == "child" else ours.ike
    old = look()
    ours.command(f"test crypto ikev2 rekey {what}")
    wait_until(f"{what} rekeyed", lambda: look() != old and settled(ours, peer))


def test_it_stands_and_is_rekeyed_by_us(net: Topology, iked: Start, router: Run, wire: Wire) -> None:
    """As initiator we make the tunnel, rekey Child and IKE SA, and rekey the Child SA once more in the new IKE SA."""
    with wire():
        peer, ours = bring_up(net, iked, router, "ikescope")
        for what in ("child", "ike", "child"):
            rekey(ours, peer, what)
        ours.command("test crypto ikev2 liveness")
        ours.wait_event(LivenessAnswered)
        assert [event.initiator for event in ours.events(ChildSaRekeyed)] == [True, True]
        assert [event.children for event in ours.events(IkeSaRekeyed)] == [1]
        assert len(peer.esp_keys()) == 6
        assert peer.esp_keys() == table_keys(ours.keys)


@pytest.mark.parametrize(
    ("initiator", "policy", "kind"),
    [
        ("openiked", replace(THEIRS, lifetime=4), "child"),
        ("ikescope", replace(THEIRS, ike_lifetime=5), "ike"),
    ],
)
def test_it_is_rekeyed_by_the_peer(
    net: Topology, iked: Start, router: Run, wire: Wire, initiator: str, policy: Policy, kind: str
) -> None:
    """In either role, what OpenIKED rekeys at the end of its lifetime stands anew at both ends, with the same keys."""
    with wire():
        peer, ours = bring_up(net, iked, router, initiator, policy)
        old = (ours.children(), ours.ike())
        event = ours.wait_event(RekeyReceived)
        assert event.kind == kind
        wait_until("the new one stands", lambda: settled(ours, peer) and (ours.children(), ours.ike()) != old)
        assert not any(event.initiator for event in ours.events(ChildSaRekeyed))
        assert not any(event.initiator for event in ours.events(IkeSaRekeyed))
        assert peer.esp_keys() == table_keys(ours.keys)


def test_an_initiator_that_does_not_answer_the_delete(net: Topology, iked: Start, router: Run, wire: Wire) -> None:
    """OpenIKED as initiator forgets to answer the Delete of an IKE SA that we rekeyed: the new one is not harmed."""
    with wire():
        peer, ours = bring_up(net, iked, router, "openiked")
        rekey(ours, peer, "child")
        rekey(ours, peer, "ike")
        old = ours.events(IkeSaRekeyed)[0].old_spi_i
        assert ours.events(DeleteSent)[-1].kind == "ike"
        ours.wait_event(Retransmitting)
        rekey(ours, peer, "child")
        assert settled(ours, peer)
        assert [sa["state"] for sa in ours.status()["ike"] if old in (sa["spi_local"], sa["spi_remote"])] != ["READY"]


def test_a_delete_reaches_the_other_end(net: Topology, iked: Start, router: Run, wire: Wire) -> None:
    """What we delete, Child SA or IKE SA, is gone at both ends and comes anew; what OpenIKED deletes is gone here."""
    with wire():
        peer, ours = bring_up(net, iked, router, "ikescope")
        old = ours.ike()
        ours.command("clear crypto sa")
        wait_until("no Child SA at OpenIKED", lambda: not peer.children())
        start_it(net)
        wait_until("a new Child SA", lambda: settled(ours, peer))
        assert ours.ike() == old
        ours.command("clear crypto ikev2 sa")
        wait_until("no IKE SA at OpenIKED", lambda: not peer.ike())
        start_it(net)
        wait_until("a new IKE SA", lambda: settled(ours, peer))
        peer.delete()
        ours.wait_event(IkeSaClosed, lambda closed: closed.reason == "the peer deleted it")
        wait_until("nothing stands", lambda: not ours.status()["ike"] and not ours.status()["children"])
        reasons = [closed.reason for closed in ours.events(ChildSaClosed)]
        assert reasons == ["cleared by the operator", "its IKE SA ended", "its IKE SA ended"]


@pytest.mark.parametrize("initiator", ["ikescope", "openiked"])
def test_a_wrong_key(net: Topology, iked: Start, router: Run, wire: Wire, initiator: str) -> None:
    """Where the keys differ no SA comes to be: each end refuses what the other proves."""
    policy = replace(THEIRS, psk="another-key", active=initiator == "openiked")
    with wire():
        ours = router(OURS)
        peer = iked(policy)
        if initiator == "ikescope":
            start_it(net)
            refused = ours.wait_event(ResponseRefused)
            assert (refused.exchange, refused.notify) == (ExchangeType.IKE_AUTH, NotifyType.AUTHENTICATION_FAILED)
        else:
            auth = ours.wait_event(AuthRefused)
            assert auth.identity.value == WAN_B
            assert ours.wait_event(RequestRefused).notify == NotifyType.AUTHENTICATION_FAILED
            assert "the pre-shared keys differ" in ours.verdict()
        assert not ours.events(IkeSaCreated)
        assert not peer.ike()


@pytest.mark.parametrize("initiator", ["ikescope", "openiked"])
def test_no_common_ike_proposal(net: Topology, iked: Start, router: Run, wire: Wire, initiator: str) -> None:
    """Without a common IKE proposal no SA comes to be, either way round; as responder we name the nearest miss."""
    ike = THEIRS.ike.replace("enc aes-256", "enc aes-128")
    with wire():
        ours = router(OURS)
        peer = iked(replace(THEIRS, ike=ike, active=initiator == "openiked"))
        if initiator == "ikescope":
            start_it(net)
            ours.wait_event(MessageReceived, lambda event: "NOTIFY(NO_PROPOSAL_CHOSEN)" in event.payloads)
            ours.wait_event(Retransmitting)
        else:
            refused = ours.wait_event(ProposalRefused)
            assert refused.protocol == 1
            assert ours.wait_event(RequestRefused).notify == NotifyType.NO_PROPOSAL_CHOSEN
        assert not ours.events(IkeSaCreated)
        assert not peer.ike()


@pytest.mark.parametrize("initiator", ["ikescope", "openiked"])
def test_no_common_esp_proposal(net: Topology, iked: Start, router: Run, wire: Wire, initiator: str) -> None:
    """Without a common ESP proposal there is no Child SA; as responder we keep the IKE SA, OpenIKED keeps none."""
    with wire():
        ours = router(replace(OURS, esp="aes256-sha256"))
        peer = iked(replace(THEIRS, active=initiator == "openiked"))
        if initiator == "ikescope":
            start_it(net)
            # It sends the notify alone, without AUTH: nothing is authenticated, so there is no IKE SA either.
            refused = ours.wait_event(ResponseRefused)
            assert not ours.events(IkeSaCreated)
            assert (refused.exchange, refused.notify) == (ExchangeType.IKE_AUTH, NotifyType.NO_PROPOSAL_CHOSEN)
        else:
            assert ours.wait_event(ChildRefused).notify == NotifyType.NO_PROPOSAL_CHOSEN
            assert ours.events(IkeSaCreated)
        assert not ours.children()
        assert not peer.children()


@pytest.mark.parametrize("initiator", ["ikescope", "openiked"])
def test_large_messages_go_in_fragments(net: Topology, iked: Start, router: Run, wire: Wire, initiator: str) -> None:
    """With `set fragmentation` IKE_AUTH of more than 1,280 octets passes in fragments, of either end (RFC 7383)."""
    policy, site = replace(THEIRS, settings=(*THEIRS.settings, "set fragmentation")), OURS
    if initiator == "openiked":
        policy = replace(policy, more_nets=MANY)
    else:
        policy = replace(policy, remote_id=LONG)
        site = replace(OURS, profile=(f"identity local fqdn {LONG}",))
    site = replace(site, more=("crypto ikev2 fragmentation mtu 628",))
    with wire() as packets:
        _, ours = bring_up(net, iked, router, initiator, policy, site)
        kind = MessageSent if initiator == "ikescope" else MessageReceived
        request = next(event for event in ours.events(kind) if event.exchange == ExchangeType.IKE_AUTH)
        assert request.size > 1280
        assert len(request.fragments) > 1
        assert ours.events(MessageDropped) == []
    assert len([packet for packet in packets if packet.values("isakmp.frag.number")]) == len(request.fragments)


def test_a_killed_openiked_is_noticed(net: Topology, iked: Start, router: Run, wire: Wire) -> None:
    """`dpd 10 2 periodic`: OpenIKED answers while it lives; killed, the SA ends; the next packet makes another."""
    with wire():
        first, ours = bring_up(net, iked, router, "ikescope", site=replace(OURS, profile=("dpd 10 2 periodic",)))
        ours.command("test crypto ikev2 liveness")
        ours.wait_event(LivenessAnswered)
        first.kill()
        ours.command("test crypto ikev2 liveness")
        assert ours.wait_event(RetransmissionsExhausted, timeout=40.0).seconds < 20
        assert ours.wait_event(IkeSaClosed).reason == "the peer does not answer"
        second = iked()
        start_it(net)
        wait_until("the tunnel stands again", lambda: settled(ours, second), 40.0)


def test_a_killed_openiked_comes_back(net: Topology, iked: Start, router: Run, wire: Wire) -> None:
    """OpenIKED says no INITIAL_CONTACT: its new IKE SA stands beside the one that it lost, until both are cleared."""
    with wire():
        first, ours = bring_up(net, iked, router, "openiked")
        old, lost = ours.ike(), ours.children()
        first.kill()
        second = iked(replace(THEIRS, active=True))
        wait_until("a new IKE SA", lambda: second.ike() and set(second.ike()) < set(ours.ike()))
        assert set(ours.ike()) == {*old, *second.ike()}
        assert set(ours.children()) == {*lost, *second.children()}
        ours.command("clear crypto ikev2 sa")
        wait_until("no IKE SA at OpenIKED", lambda: not second.ike())


def test_a_killed_ikescope_comes_back(net: Topology, iked: Start, router: Run, wire: Wire) -> None:
    """Of a restarted ikescope OpenIKED keeps the new IKE SA alone, where it is told to keep one of each peer."""
    policy = replace(THEIRS, settings=("set nomobike", "set enforcesingleikesa"))
    with wire():
        peer, first = bring_up(net, iked, router, "ikescope", policy)
        old = first.ike()
        first.kill()
        second = router(OURS)
        start_it(net)
        wait_until("only the new one stands", lambda: settled(second, peer))
        assert second.ike() != old
