"""Sessions as they should go: every suite, mode and role; rekeys, deletes, liveness, lifetimes, with pings running."""

import pytest
from tests.support.world import ESP_SUITES, IKE_SUITES, Pair, Side, configuration, headline, pair

from ikescope.engine.commands import Clear, ClearChild, Intent, Probe, Rekey
from ikescope.events.life import (
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    IkeSaClosed,
    IkeSaRekeyed,
    LifetimeChanged,
    LivenessAnswered,
    LivenessReceived,
    SessionDown,
    SessionUp,
)
from ikescope.events.negotiation import NatChecked
from ikescope.wire.registry import ExchangeType

SIDES = {
    "gre, aes256-cbc sha512 ecp256": Side(),
    "gre, aes256-cbc sha512 ecp256, PFS": Side(pfs=19),
    "ipsec, aes128-gcm sha256 x25519": Side(ike="gcm", esp="gcm", mode="ipsec"),
    "ipsec, aes128-gcm sha256 x25519, PFS of another group": Side(ike="gcm", esp="gcm", mode="ipsec", pfs=20),
    "acl, aes256-cbc sha256 modp2048": Side(ike="modp", esp="sha256", mode="acl"),
    "acl, chacha20-poly1305 sha384 ecp384, PFS": Side(ike="chacha", esp="chacha", mode="acl", pfs=14),
    "gre, behind a forced NAT": Side(force_encap=True),
    "ipsec, behind a forced NAT, PFS": Side(ike="gcm", esp="gcm", mode="ipsec", force_encap=True, pfs=31),
}
TWO_LINES = Side(
    mode="acl",
    selectors=("10.{us}.0.0 0.0.0.255 10.{them}.0.0 0.0.0.255", "10.{us}.5.0 0.0.0.255 10.{them}.5.0 0.0.0.255"),
)
BOTH = ("R1", "R2")


def rekey_child(one: Pair, name: str) -> Intent:
    """Rekey the one Child SA."""
    return Rekey(spi=one.one_child(name).inbound)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
def test_a_session_lives_from_first_packet_to_delete(side: Side, name: str) -> None:
    """I: IKE_SA_INIT, IKE_AUTH; CREATE_CHILD_SA for both SAs from both ends; D. Pings go both ways all along, and
    nothing is left (RFC 7296 sections 1.2 to 1.4).
    """
    ##= rfc7296#section-4 type=test
    ##% Every implementation MUST be capable of doing four-message IKE_SA_INIT and IKE_AUTH exchanges establishing
    ##% two SAs (one for IKE, one for ESP or AH).
    one = pair(side).up(name)
    one.world.run(6)
    one.agree()
    for who in BOTH:
        for intent in (Rekey(), rekey_child(one, who)):
            before = one.one_child(who).inbound if isinstance(intent, Rekey) and intent.spi else None
            one.ask(who, intent)
            one.keep_pinging(every=0.004, seconds=0.2)
            one.world.run(8)
            one.agree()
            assert before is None or one.one_child(who).inbound != before
    assert one.lost() == []
    assert one.one_child("R1").suite.group == side.pfs
    assert one.one_child("R1").transport == (side.mode == "gre")
    assert one.one_child("R1").udp == side.force_encap
    one.ask(name, Clear())
    one.world.run(1)
    one.quiet(timers=2)


@pytest.mark.parametrize("ike", IKE_SUITES)
@pytest.mark.parametrize("esp", ESP_SUITES)
def test_any_ike_suite_goes_with_any_esp_suite(ike: str, esp: str) -> None:
    """I: IKE_SA_INIT, IKE_AUTH. Both ends derive the same ESP keys whatever the two suites are."""
    ##= rfc7296#section-3.3.4 type=test
    ##% All implementations of IKEv2 MUST include a management facility that enables a user or system
    ##% administrator to specify the suites that are acceptable for use with IKE.
    one = pair(Side(ike=ike, esp=esp)).up()
    one.agree()
    assert one.lost() == []


@pytest.mark.parametrize("name", BOTH)
def test_each_line_of_an_access_list_gets_its_child_sa(name: str) -> None:
    """I: IKE_AUTH; I or R: CREATE_CHILD_SA. The second line's packet waits for a Child SA of its own."""
    one = pair(TWO_LINES).up("R1")
    one.ping(name, third=5)
    one.world.run(1)
    one.agree(children=2)
    assert one.lost() == []
    assert {child.index for child in one.children("R1")} == {0, 1}


@pytest.mark.parametrize("name", BOTH)
def test_a_second_tunnel_uses_the_ike_sa_that_stands(name: str) -> None:
    """I: IKE_AUTH for the first tunnel; I or R: CREATE_CHILD_SA for the second one."""
    one = pair(Side(second=True, pfs=19)).up("R1")
    one.ping(name, third=1)
    one.world.run(1)
    one.agree(children=2)
    assert one.lost() == []
    assert len(one.sent("R1", ExchangeType.IKE_SA_INIT)) == 1


def test_a_tunnel_wanted_during_the_handshake_waits_for_it() -> None:
    """I: IKE_SA_INIT, IKE_AUTH (Tunnel0); I: CREATE_CHILD_SA (Tunnel1), asked for before IKE_SA_INIT was answered."""
    one = pair(Side(second=True))
    one.ping("R1")
    one.ping("R1", third=1)
    one.world.run(2)
    one.agree(children=2)
    assert one.lost() == []


@pytest.mark.parametrize("name", BOTH)
def test_deleting_a_child_sa_leaves_the_ike_sa(name: str) -> None:
    """D(ESP) and D(ESP) back: both halves go, the IKE SA stands, traffic gets another Child SA (1.4.1)."""
    ##= rfc7296#section-1.4.1 type=test
    ##% When an SA is closed, both members of the pair MUST be closed (that is, deleted).
    ##= rfc7296#section-1.4.1 type=test
    ##% The recipient MUST close the designated SAs.
    ##= rfc7296#section-2.4 type=test
    ##% If an IKE endpoint chooses to delete Child SAs, it MUST send Delete payloads to the other end notifying it
    ##% of the deletion.
    one = pair().up()
    one.ask(name, ClearChild())
    one.world.run(8)
    one.agree(children=0)
    assert [event.reason for event in one.events(name, ChildSaClosed)] == ["cleared by the operator"]
    one.ping("R2")
    one.world.run(1)
    one.agree()
    assert one.lost() == []


@pytest.mark.parametrize("name", BOTH)
def test_deleting_the_ike_sa_takes_everything(name: str) -> None:
    """D(IKE) and an empty response: both ends close, each with its reason, and say once that the session is down."""
    ##= rfc7296#section-2.4 type=test
    ##% In this case, an IKE endpoint SHOULD send a Delete payload indicating that it has closed the IKE SA unless
    ##% the other endpoint is no longer responding.
    one = pair(Side(second=True)).up()
    one.up(third=1)
    one.ask(name, Clear())
    one.world.run(1)
    one.quiet()
    reasons = {who: [event.reason for event in one.events(who, IkeSaClosed)] for who in BOTH}
    other = "R2" if name == "R1" else "R1"
    assert reasons == {name: ["cleared by the operator"], other: ["the peer deleted it"]}
    for who in BOTH:
        assert len(one.events(who, SessionUp)) == len(one.events(who, SessionDown)) == 1


@pytest.mark.parametrize("name", BOTH)
def test_a_liveness_check_is_an_empty_request(name: str) -> None:
    """INFORMATIONAL {} and INFORMATIONAL {} back (RFC 7296 section 2.4)."""
    ##= rfc7296#section-1.4 type=test
    ##% The recipient of an INFORMATIONAL exchange request MUST send some response; otherwise, the sender will
    ##% assume the message was lost in the network and will retransmit it.
    ##= rfc7296#section-4 type=test
    ##% Every implementation MUST be capable of responding to an INFORMATIONAL exchange, but a minimal
    ##% implementation MAY respond to any request in the INFORMATIONAL exchange with an empty response (note that
    ##% within the context of an IKE SA, an "empty" message consists of an IKE header followed by an Encrypted
    ##% payload with no payloads contained in it).
    one = pair().up()
    one.ask(name, Probe())
    one.world.run(1)
    one.agree()
    other = "R2" if name == "R1" else "R1"
    assert len(one.events(name, LivenessAnswered)) == 1
    assert len(one.events(other, LivenessReceived)) == 1
    assert [event.inner for event in one.sent(name, ExchangeType.INFORMATIONAL)] == [()]


def test_periodic_dpd_asks_a_silent_peer_only() -> None:
    """INFORMATIONAL {} every interval of silence; a peer whose packets arrive is not asked (RFC 7296 section 2.4)."""
    one = pair(Side(dpd="10 2 periodic"), Side()).up()
    one.world.run(35)
    assert len(one.events("R1", LivenessAnswered)) == 3
    one.keep_pinging(every=1, seconds=35)
    assert len(one.events("R1", LivenessAnswered)) <= 4
    one.agree()


def test_on_demand_dpd_asks_only_when_our_packets_get_no_answer() -> None:
    """INFORMATIONAL {} follows packets of ours that nothing came back for; an idle tunnel is left alone."""
    one = pair(Side(dpd="10 2 on-demand"), Side()).up()
    one.world.run(60)
    assert one.events("R1", LivenessAnswered) == []
    one.world.remove("R2")
    one.ping("R1")
    one.world.run(400)
    assert [event.reason for event in one.events("R1", IkeSaClosed)] == ["the peer does not answer"]


def test_forced_encapsulation_moves_to_port_4500() -> None:
    """I: IKE_SA_INIT 500 to 500; then all of IKE and ESP in UDP 4500 to 4500 (RFC 7296 section 2.23)."""
    one = pair(Side(force_encap=True), Side()).up()
    ports = [mail.path.remote_port for mail in one.world.mail if mail.kind == "ike"]
    assert ports[:4] == [500, 500, 4500, 4500]
    assert {mail.kind for mail in one.world.mail} == {"ike", "esp-udp"}
    assert one.events("R1", NatChecked)[0].forced
    assert one.events("R2", NatChecked)[0].remote_behind
    one.agree()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("what", ["ike", "child"])
def test_a_lowered_lifetime_acts_on_the_running_sa(what: str, name: str) -> None:
    """configure; CREATE_CHILD_SA: an SA older than its new lifetime is replaced at once, not dropped."""
    one = pair(Side(second=False)).up()
    one.world.run(100)
    lowered = {"ike": Side(ike_lifetime=60), "child": Side(child_lifetime=60)}[what]
    one.station(name).node.configure(configuration(name, lowered), one.world.now)
    one.keep_pinging(every=0.01, seconds=0.2)
    one.world.run(8)
    assert [event.kind for event in one.events(name, LifetimeChanged)] == [what]
    kind = IkeSaRekeyed if what == "ike" else ChildSaRekeyed
    assert len(one.events(name, kind)) == 1
    one.agree()
    assert one.lost() == []


def test_lifetimes_carry_a_session_through_hours() -> None:
    """CREATE_CHILD_SA and D again and again by the clocks of both: no ping lost, nothing piles up, both ends agree."""
    one = pair(
        Side(ike_lifetime=180, child_lifetime=120, dpd="30 5 periodic"), Side(ike_lifetime=150, child_lifetime=100)
    )
    one.world.keep_mail = False
    one.up()
    one.keep_pinging(every=7.3, seconds=2 * 3600)
    one.world.run(12)
    assert one.lost() == []
    one.agree()
    for name in BOTH:
        assert len(one.events(name, IkeSaRekeyed)) > 40
        assert len(one.events(name, ChildSaRekeyed)) > 60
        assert one.core(name).timers.armed() <= 6
        assert len(one.core(name).timers._heap) < 500
        assert len(one.events(name, SessionUp)) == 1
    one.ask("R1", Clear())
    one.world.run(1)
    one.quiet()


def test_both_ends_with_the_same_short_lifetimes_stay_up() -> None:
    """CREATE_CHILD_SA of Child and IKE SA due at the same time, in both directions: only one of each survives."""
    one = pair(Side(ike_lifetime=24, child_lifetime=12), seed="short")
    one.up()
    one.keep_pinging(every=1.7, seconds=1200)
    one.world.run(1.5)
    assert one.lost() == []
    one.sound()
    for name in BOTH:
        assert len(one.ike(name)) <= 2
        assert len(one.children(name)) <= 2


def test_a_peer_that_vanished_is_noticed_and_comes_back() -> None:
    """INFORMATIONAL {} seven times, close; later IKE_SA_INIT anew with INITIAL_CONTACT at the reborn peer."""
    one = pair(Side(dpd="10 2 periodic")).up()
    one.world.remove("R2")
    one.world.run(400)
    assert one.ike("R1") == []
    one.world.add(configuration("R2", Side()))
    one.up("R2")
    one.agree()


def test_initial_contact_clears_what_a_crash_left() -> None:
    """R2 crashes and begins anew; R1's old IKE SA goes with its Child SA as soon as R2 has authenticated (2.4)."""
    ##= rfc7296#section-2.4 type=test
    ##% An endpoint MUST conclude that the other endpoint has failed only when repeated attempts to contact it
    ##% have gone unanswered for a timeout period or when a cryptographically protected INITIAL_CONTACT
    ##% notification is received on a different IKE SA to the same authenticated identity.
    one = pair().up()
    one.world.remove("R2")
    one.world.add(configuration("R2", Side()), name="R2")
    one.up("R2")
    one.agree()
    assert one.events("R1", IkeSaClosed)[0].reason == "the peer began anew (INITIAL_CONTACT)"


def test_the_first_child_sa_is_announced_before_traffic_moves() -> None:
    """R: IKE_AUTH response only after both of its ESP SAs are installed."""
    one = pair().up()
    tags = one.tags("R2")
    assert tags.index("esp.installed") < tags.index("child.created")
    assert len(one.events("R1", ChildSaCreated)) == len(one.events("R2", ChildSaCreated)) == 1
    assert [headline(mail)[1] for mail in one.world.mail if mail.kind == "ike"] == [34, 34, 35, 35]
