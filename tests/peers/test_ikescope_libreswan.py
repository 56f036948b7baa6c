"""ikescope against Libreswan 4.10 and 5, over a kernel that only pretends: the control plane in both roles.

From IKE_SA_INIT to rekeys and deletes, and what the one refuses the other. No packet comes back through such a tunnel.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from tests.support.chroot import NewLibreswan
from tests.support.fakekernel import table_keys
from tests.support.ikescope import PSK, Ikescope, Site
from tests.support.libreswan import ESP, IKE, Connection, Libreswan
from tests.support.netns import HOST_B, NET_A, NET_B, WAN_A, WAN_B, Topology
from tests.support.peering import SELECTORS, Run, Wire
from tests.support.process import wait_until

from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    LivenessAnswered,
    LivenessReceived,
    LivenessSent,
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
from ikescope.events.negotiation import AuthRefused, InitialContactReceived, ProposalRefused
from ikescope.wire.registry import ExchangeType, NotifyType

THEIRS = Connection(WAN_B, WAN_A, PSK, NET_B, NET_A)
OURS = Site(ike="aes256-sha512-ecp256", esp="aes128gcm16-ecp256", selectors=SELECTORS)
"""Libreswan rekeys the first Child SA with the group of the IKE SA and refuses to do without: ours says the same."""

GRE = replace(
    THEIRS,
    local_net="",
    remote_net="",
    esp="aes128-sha1",
    options=("type=transport", "leftprotoport=gre", "rightprotoport=gre", "pfs=no"),
)
"""What our smart defaults want: GRE in transport mode, no PFS."""

SUITES = [
    pytest.param(OURS, THEIRS, "ikescope", id="cbc-ecp256-ikescope"),
    pytest.param(
        replace(OURS, ike="aes128gcm16-prfsha256-x25519", esp="aes128-sha1-x25519"),
        replace(THEIRS, ike="aes_gcm128-sha2_256;dh31", esp="aes128-sha1"),
        "ikescope",
        id="gcm-x25519-ikescope",
    ),
    pytest.param(
        replace(OURS, ike="aes256-sha256-modp2048", esp="aes256-sha256-modp2048"),
        replace(THEIRS, ike="aes256-sha2_256;dh14", esp="aes256-sha2_256"),
        "libreswan",
        id="cbc-modp2048-libreswan",
    ),
    pytest.param(Site(mode="gre"), GRE, "ikescope", id="gre-transport-ikescope"),
    pytest.param(Site(mode="gre"), GRE, "libreswan", id="gre-transport-libreswan"),
]

LONG = 1300
"""Octets of an identity that makes IKE_AUTH large."""

Start = Callable[..., Libreswan]


PLUTOS = [
    pytest.param(Libreswan, id="libreswan-4"),
    pytest.param(NewLibreswan, id="libreswan-5", marks=pytest.mark.new_peers),
]


@pytest.fixture(params=PLUTOS)
def pluto(request: pytest.FixtureRequest, net: Topology) -> Iterator[Start]:
    """Starts a Libreswan in the gateway of site b (`pluto(Connection(...))`); stopped after the test."""
    with ExitStack() as stack:

        def start(connection: Connection = THEIRS) -> Libreswan:
            running: Libreswan = stack.enter_context(request.param(net.gw_b, connection))
            return running

        yield start


def start_it(net: Topology) -> None:
    """Send one packet that asks for the tunnel; nothing answers it."""
    assert net.host_a.ping(HOST_B, count=1, wait=0.1).lost == 1


def settled(ours: Ikescope, peer: Libreswan) -> bool:
    """Whether one IKE SA with one Child SA stands, the same at both ends."""
    child = ours.children()
    return (
        len(ours.ike()) == len(peer.states(IKE)) == len(peer.states(ESP)) == len(child) == 1
        and child == peer.children()
    )


def bring_up(net: Topology, ours: Ikescope, peer: Libreswan, initiator: str) -> None:
    """Let one of them make the tunnel and wait until it stands at both."""
    if initiator == "ikescope":
        start_it(net)
    else:
        peer.initiate()
    wait_until("the tunnel stands", lambda: settled(ours, peer))


def rekey(ours: Ikescope, peer: Libreswan, what: str, by: str) -> None:
    """Rekey "child" or "ike" by "ours" or "theirs" and wait until only the new one stands at both ends."""
    look = ours.children if what == "child" else ours.ike
    old = look()
    if by == "ours":
        ours.command(f"test crypto ikev2 rekey {what}")
    else:
        peer.rekey(what)
    wait_until(f"{what} rekeyed by {by}", lambda: look() != old and settled(ours, peer))


def nothing_stands(ours: Ikescope, peer: Libreswan) -> None:
    """Neither end holds an SA that is established."""
    wait_until("no SA at Libreswan", lambda: not peer.states(IKE) and not peer.states(ESP))
    wait_until("no SA at ikescope", lambda: not ours.status()["ike"] and not ours.status()["children"])


@pytest.mark.parametrize(("site", "connection", "initiator"), SUITES)
def test_it_stands_and_is_rekeyed(
    net: Topology, pluto: Start, router: Run, wire: Wire, site: Site, connection: Connection, initiator: str
) -> None:
    """In either role: Child and IKE rekeys from each side leave one of each; both ends derive the same ESP keys."""
    with wire():
        peer, ours = pluto(connection), router(site)
        bring_up(net, ours, peer, initiator)
        for what, by in [("child", "ours"), ("ike", "theirs"), ("child", "theirs"), ("ike", "ours")]:
            rekey(ours, peer, what, by)
        assert [event.kind for event in ours.events(RekeyReceived)] == ["ike", "child"]
        assert [event.initiator for event in ours.events(ChildSaRekeyed)] == [True, False]
        assert [event.initiator for event in ours.events(IkeSaRekeyed)] == [False, True]
        assert {made.transport for made in ours.events(ChildSaCreated)} == {site.mode == "gre"}
        assert len(peer.esp_keys()) == 6
        assert peer.esp_keys() == table_keys(ours.keys)


@pytest.mark.parametrize("what", ["child", "ike"])
@pytest.mark.parametrize("by", ["ours", "theirs"])
def test_a_delete_reaches_the_other_end(
    net: Topology, pluto: Start, router: Run, wire: Wire, what: str, by: str
) -> None:
    """A Child SA or an IKE SA deleted on one side is gone on both; the next packet brings a new one."""
    with wire():
        peer, ours = pluto(), router(OURS)
        bring_up(net, ours, peer, "ikescope")
        old = ours.ike()
        if by == "ours":
            ours.command("clear crypto sa" if what == "child" else "clear crypto ikev2 sa")
        else:
            peer.delete(peer.states(ESP if what == "child" else IKE)[0])
        closed = ours.wait_event(ChildSaClosed) if what == "child" else ours.wait_event(IkeSaClosed)
        assert closed.reason == ("the peer deleted it" if by == "theirs" else "cleared by the operator")
        wait_until("it is gone at Libreswan", lambda: not peer.states(ESP))
        if what == "ike":
            nothing_stands(ours, peer)
        bring_up(net, ours, peer, "ikescope")
        assert (ours.ike() == old) == (what == "child")


def test_a_child_sa_cannot_be_rekeyed_without_the_group_that_the_peer_wants(
    net: Topology, pluto: Start, router: Run, wire: Wire
) -> None:
    """Where Libreswan wants PFS and we do not, our rekey is refused and the old SA stays; its own rekey is accepted."""
    with wire():
        peer, ours = pluto(), router(replace(OURS, esp="aes128gcm16"))
        bring_up(net, ours, peer, "ikescope")
        old = ours.children()
        ours.command("test crypto ikev2 rekey child")
        refused = ours.wait_event(ChildRefused)
        assert (refused.by, refused.notify) == ("peer", NotifyType.NO_PROPOSAL_CHOSEN)
        assert ours.children() == old
        peer.rekey("child")
        wait_until("rekeyed by Libreswan", lambda: ours.children() != old and settled(ours, peer))
        assert [made.group for made in ours.events(ChildSaCreated)] == [None, 19]


@pytest.mark.parametrize("initiator", ["ikescope", "libreswan"])
def test_a_wrong_key(net: Topology, pluto: Start, router: Run, wire: Wire, initiator: str) -> None:
    """Where the keys differ the responder answers AUTHENTICATION_FAILED, either way round, and no SA comes to be."""
    with wire():
        peer, ours = pluto(replace(THEIRS, psk="another-key")), router(OURS)
        if initiator == "ikescope":
            start_it(net)
            refused = ours.wait_event(ResponseRefused)
            assert (refused.exchange, refused.notify) == (ExchangeType.IKE_AUTH, NotifyType.AUTHENTICATION_FAILED)
            peer.wait_for_log("authentication failed|AUTHENTICATION_FAILED")
        else:
            peer.initiate()
            peer.wait_for_log("AUTHENTICATION_FAILED")
            assert ours.wait_event(AuthRefused).identity.value == WAN_B
            assert ours.wait_event(RequestRefused).notify == NotifyType.AUTHENTICATION_FAILED
            assert "the pre-shared keys differ" in ours.verdict()
        assert not ours.events(IkeSaCreated)
        assert not peer.states(ESP)


@pytest.mark.parametrize("initiator", ["ikescope", "libreswan"])
def test_no_common_ike_proposal(net: Topology, pluto: Start, router: Run, wire: Wire, initiator: str) -> None:
    """Without a common IKE proposal the answer is NO_PROPOSAL_CHOSEN, either way round; ours names the nearest miss."""
    with wire():
        peer, ours = pluto(replace(THEIRS, ike="aes256-sha2_256;dh19")), router(OURS)
        if initiator == "ikescope":
            start_it(net)
            ours.wait_event(MessageReceived, lambda event: "NOTIFY(NO_PROPOSAL_CHOSEN)" in event.payloads)
            ours.wait_event(Retransmitting)
        else:
            peer.initiate()
            peer.wait_for_log("NO_PROPOSAL_CHOSEN")
            refused = ours.events(ProposalRefused)[0]
            assert (refused.protocol, refused.found, refused.wanted) == (1, "SHA256", "SHA512")
        assert not ours.events(IkeSaCreated)
        assert not peer.states(IKE)


@pytest.mark.parametrize("initiator", ["ikescope", "libreswan"])
def test_no_common_esp_proposal(net: Topology, pluto: Start, router: Run, wire: Wire, initiator: str) -> None:
    """Without a common ESP proposal IKE_AUTH carries NO_PROPOSAL_CHOSEN for the Child SA, either way round."""
    with wire():
        peer, ours = pluto(replace(THEIRS, esp="aes256-sha2_256")), router(OURS)
        if initiator == "ikescope":
            start_it(net)
        else:
            peer.initiate()
        refused = ours.wait_event(ChildRefused)
        assert refused.by == ("peer" if initiator == "ikescope" else "local")
        assert (refused.notify, refused.exchange) == (NotifyType.NO_PROPOSAL_CHOSEN, ExchangeType.IKE_AUTH)
        if initiator == "ikescope":
            nothing_stands(ours, peer)
        assert not ours.children()
        assert not peer.states(ESP)


@pytest.mark.parametrize("initiator", ["ikescope", "libreswan"])
def test_large_messages_go_in_fragments(net: Topology, pluto: Start, router: Run, wire: Wire, initiator: str) -> None:
    """IKE_AUTH of more than 1,280 octets, request and response, passes in fragments either way round (RFC 7383)."""
    ids = {end: end * LONG for end in "ab"}
    named = (f"identity local key-id {ids['a']}", f"match identity remote key-id {ids['b']}")
    with wire() as packets:
        # Its updown script is called with both identities in one line, which would be too long.
        quiet = ("leftupdown=%disabled",)
        peer = pluto(replace(THEIRS, local_id=f"@[{ids['b']}]", remote_id=f"@[{ids['a']}]", options=quiet))
        ours = router(replace(OURS, profile=named, more=("crypto ikev2 fragmentation mtu 576",)))
        bring_up(net, ours, peer, initiator)
        sent = next(event for event in ours.events(MessageSent) if event.exchange == ExchangeType.IKE_AUTH)
        taken = next(event for event in ours.events(MessageReceived) if event.exchange == ExchangeType.IKE_AUTH)
        assert min(sent.size, taken.size) > 1280
        assert min(len(sent.fragments), len(taken.fragments)) > 1
        assert ours.events(MessageDropped) == []
    pieces = [packet for packet in packets if packet.values("isakmp.frag.number")]
    assert len(pieces) == len(sent.fragments) + len(taken.fragments)


def is_passed_over(net: Topology, ours: Ikescope, peer: Libreswan, notify: str, initiator: str) -> None:
    """The tunnel stands and is rekeyed though the peer announces what we do not have; as initiator it does so first."""
    bring_up(net, ours, peer, initiator)
    for what, by in [("child", "theirs"), ("ike", "ours")]:
        rekey(ours, peer, what, by)
    received = ours.events(MessageReceived)
    heard = {name for each in received for name in (*each.payloads, *(each.inner or ()))}
    assert initiator == "ikescope" or f"NOTIFY({notify})" in heard
    assert ours.events(MessageDropped) == []


@pytest.mark.parametrize("initiator", ["ikescope", "libreswan"])
@pytest.mark.parametrize(
    ("option", "notify"),
    [
        ("intermediate=yes", "INTERMEDIATE_EXCHANGE_SUPPORTED"),
        ("mobike=yes", "MOBIKE_SUPPORTED"),
        ("ppk=yes", "USE_PPK"),
    ],
)
def test_what_the_peer_can_do_beyond_us_does_no_harm(
    net: Topology, pluto: Start, router: Run, wire: Wire, option: str, notify: str, initiator: str
) -> None:
    """IKE_INTERMEDIATE, MOBIKE and post-quantum pre-shared keys that Libreswan announces are passed over."""
    with wire():
        is_passed_over(net, router(OURS), pluto(replace(THEIRS, options=(option,))), notify, initiator)


@pytest.mark.parametrize("initiator", ["ikescope", "libreswan"])
@pytest.mark.parametrize("pluto", PLUTOS[1:], indirect=True)
def test_ip_tfs_does_no_harm(net: Topology, pluto: Start, router: Run, wire: Wire, initiator: str) -> None:
    """Libreswan 5 asks for IP-TFS (USE_AGGFRAG, RFC 9347); unanswered, it makes the Child SA without."""
    with wire():
        is_passed_over(net, router(OURS), pluto(replace(THEIRS, options=("iptfs=yes",))), "USE_AGGFRAG", initiator)


def test_a_killed_libreswan_is_noticed(net: Topology, pluto: Start, router: Run, wire: Wire) -> None:
    """Each end asks whether the other lives; a killed one does not answer, and the SA ends by retransmission."""
    checked = replace(THEIRS, options=("dpddelay=1s", "dpdtimeout=60s", "dpdaction=clear"))
    with wire():
        peer, ours = pluto(checked), router(replace(OURS, profile=("dpd 10 2 periodic",)))
        bring_up(net, ours, peer, "ikescope")
        ours.command("test crypto ikev2 liveness")
        ours.wait_event(LivenessAnswered)
        ours.wait_event(LivenessReceived)
        peer.kill()
        ours.command("test crypto ikev2 liveness")
        ours.wait_event(LivenessSent)
        assert ours.wait_event(RetransmissionsExhausted, timeout=30.0).seconds < 20
        assert ours.wait_event(IkeSaClosed).reason == "the peer does not answer"
        second = pluto()
        bring_up(net, ours, second, "ikescope")


def test_a_killed_libreswan_comes_back(net: Topology, pluto: Start, router: Run, wire: Wire) -> None:
    """INITIAL_CONTACT in a restarted Libreswan's IKE_AUTH ends the IKE SA that we still hold."""
    connection = replace(THEIRS, options=("initial-contact=yes",))
    with wire():
        first, ours = pluto(connection), router(OURS)
        bring_up(net, ours, first, "ikescope")
        first.kill()
        second = pluto(connection)
        bring_up(net, ours, second, "libreswan")
        assert ours.wait_event(InitialContactReceived).closed == 1
        assert len(ours.events(IkeSaClosed)) == 1


def test_a_killed_ikescope_comes_back(net: Topology, pluto: Start, router: Run, wire: Wire) -> None:
    """INITIAL_CONTACT in a restarted ikescope's IKE_AUTH ends what Libreswan still holds, its empty IKE SA excepted."""
    with wire():
        peer, first = pluto(), router(OURS)
        bring_up(net, first, peer, "ikescope")
        first.kill()
        second = router(OURS)
        start_it(net)
        wait_until("one Child SA at both", lambda: len(second.children()) == 1 and second.children() == peer.children())
        peer.wait_for_log(r"processing decrypted IKE_AUTH request.*SK\{.*N\(INITIAL_CONTACT\)")
        assert len(peer.states(ESP)) == 1
