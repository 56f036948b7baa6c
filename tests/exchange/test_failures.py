"""Sessions that cannot come up: both ends say why, nothing half-done remains, traffic tries again after a while."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from msgspec import structs
from tests.support.world import ADDRESSES, Pair, Side, configuration, feed, headline, impair, pair, sealed

from ikescope.engine.commands import Destination, InstallSa, Refused, Rekey
from ikescope.errors import LocalError
from ikescope.events.life import ChildRefused, DeleteSent, IkeSaClosed, IkeSaCreated, RetryScheduled
from ikescope.events.message import (
    CookieAnswered,
    InvalidKeAnswered,
    MessageDropped,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
    Retransmitting,
)
from ikescope.events.negotiation import AuthRefused, ProfileNotFound, ProposalRefused, SelectorsRefused
from ikescope.events.router import PacketsHeld
from ikescope.wire.ke import KePayload
from ikescope.wire.message import Message
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import ExchangeType, NotifyType
from ikescope.wire.sa import SaPayload

INIT, AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH
CREATE, INFO = ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL
BOTH = ("R1", "R2")


def refusals(one: Pair, name: str) -> list[int]:
    """The error notifies that a router answered with."""
    return [event.notify for event in one.events(name, RequestRefused)]


def received_refusals(one: Pair, name: str) -> list[int]:
    """The error notifies that a router was answered with."""
    return [event.notify for event in one.events(name, ResponseRefused)]


def attempt(first: Side, second: Side, *, seconds: float = 5) -> Pair:
    """One ping from behind R1 starts what cannot succeed."""
    one = pair(first, second)
    one.ping("R1")
    one.world.run(seconds)
    return one


AUTHENTICATION = {
    "another key": (Side(), Side(key="not-the-key-of-r1"), AuthRefused),
    "no key for this peer": (Side(), Side(keyring_address="203.0.113.9"), AuthRefused),
    "an identity that no profile of the responder admits": (
        Side(identity="fqdn r1.example"),
        Side(match="fqdn other.example"),
        ProfileNotFound,
    ),
}


@pytest.mark.parametrize(("first", "second", "kind"), AUTHENTICATION.values(), ids=AUTHENTICATION)
def test_a_responder_refuses_who_does_not_authenticate(
    first: Side, second: Side, kind: type[AuthRefused] | type[ProfileNotFound]
) -> None:
    """I: IKE_AUTH; R: N(AUTHENTICATION_FAILED) encrypted: both ends close at once, nobody deletes (2.21.2)."""
    ##= rfc7296#section-1.2 type=test
    ##% MUST verify that all signatures and Message Authentication Codes (MACs) are computed correctly.
    ##= rfc7296#section-2.21.2 type=test
    ##% SHOULD result in an AUTHENTICATION_FAILED notification.
    one = attempt(first, second)
    assert refusals(one, "R2") == [NotifyType.AUTHENTICATION_FAILED]
    assert received_refusals(one, "R1") == [NotifyType.AUTHENTICATION_FAILED]
    assert len(one.events("R2", kind)) == 1
    assert [event.reason for event in one.events("R1", IkeSaClosed)] == [
        "the peer answered AUTHENTICATION_FAILED (24) to IKE_AUTH"
    ]
    assert len(one.events("R2", IkeSaClosed)) == 1
    assert one.events("R1", DeleteSent) == one.events("R2", DeleteSent) == []
    one.quiet()


INITIATOR_REFUSES = {
    "another identity than the profile admits": (Side(match="fqdn r2.example"), Side(identity="fqdn bad.example")),
    "an address that the profile does not admit": (Side(match="address 203.0.113.1 255.255.255.255"), Side()),
}


@pytest.mark.parametrize(("first", "second"), INITIATOR_REFUSES.values(), ids=INITIATOR_REFUSES)
def test_an_initiator_that_refuses_the_responder_tells_it(first: Side, second: Side) -> None:
    """I: IKE_AUTH; R: IDr AUTH ...; I: INFORMATIONAL N(AUTHENTICATION_FAILED): the responder closes too (2.21.2)."""
    one = attempt(first, second)
    assert len(one.events("R1", ProfileNotFound)) == 1
    assert received_refusals(one, "R2") == [NotifyType.AUTHENTICATION_FAILED]
    assert "did not authenticate ourselves" in one.events("R2", IkeSaClosed)[0].reason
    assert [event.exchange for event in one.sent("R1", response=False)] == [INIT, AUTH, INFO]
    one.quiet()


def test_an_initiator_that_refuses_the_responders_key_tells_it() -> None:
    """I: IKE_AUTH; R: AUTH with a key that I no longer holds; I: INFORMATIONAL N(AUTHENTICATION_FAILED)."""
    one = pair()
    one.ping("R1")
    one.world.run(0.025)
    one.core("R1").config = configuration("R1", Side(key="something-else"))
    one.world.run(5)
    assert len(one.events("R1", AuthRefused)) == 1
    assert received_refusals(one, "R2") == [NotifyType.AUTHENTICATION_FAILED]
    one.quiet()


def test_no_common_ike_proposal_is_hinted_and_given_up() -> None:
    """I: IKE_SA_INIT; R: N(NO_PROPOSAL_CHOSEN) in the clear, three times: believed only then (2.21.1)."""
    one = attempt(Side(), Side(ike="modp"), seconds=60)
    assert refusals(one, "R2") == [NotifyType.NO_PROPOSAL_CHOSEN] * 3
    assert len(one.sent("R1", INIT)) == 3
    assert one.events("R2", ProposalRefused)[0].axis
    (closed,) = one.events("R1", IkeSaClosed)
    assert closed.reason == "the peer answered NO_PROPOSAL_CHOSEN (14), unauthenticated"
    assert one.events("R2", IkeSaClosed) == []
    one.quiet()


def test_a_forged_refusal_does_not_end_the_attempt() -> None:
    """I: IKE_SA_INIT; forger: N(NO_PROPOSAL_CHOSEN); R: the true response, a little later: the SA comes up (2.21.1)."""
    one = pair()
    impair(one.world, lambda mail: headline(mail) == ("R2", INIT, True, 0), [0.5])
    one.ping("R1")
    one.world.run(0.05)
    (request,) = one.sent("R1", INIT)
    assert isinstance(request.octets, bytes)
    forged = Message(
        request.octets[:8], bytes(8), INIT, 0, (NotifyPayload(NotifyType.NO_PROPOSAL_CHOSEN),), False, True
    )
    feed(one, "R1", forged.encode())
    one.world.run(5)
    one.agree()
    assert one.lost() == []


def test_no_common_esp_proposal_leaves_no_ike_sa() -> None:
    """I: IKE_AUTH; R: IDr AUTH N(NO_PROPOSAL_CHOSEN); I: D(ESP), then D(IKE), as IOS does."""
    one = attempt(Side(), Side(esp="gcm"))
    for name in BOTH:
        assert len(one.events(name, IkeSaCreated)) == 1
    assert [event.kind for event in one.events("R1", DeleteSent)] == ["child", "ike"]
    assert refusals(one, "R2") == [NotifyType.NO_PROPOSAL_CHOSEN]
    assert [event.by for event in one.events("R1", ChildRefused)] == ["peer"]
    assert [event.by for event in one.events("R2", ChildRefused)] == ["local"]
    one.quiet()


def test_selectors_that_do_not_meet_are_refused() -> None:
    """I: IKE_AUTH; R: IDr AUTH N(TS_UNACCEPTABLE); I: D(ESP), D(IKE); R says what it has instead (2.9)."""
    other = Side(mode="acl", selectors=("10.{us}.7.0 0.0.0.255 10.{them}.7.0 0.0.0.255",))
    one = attempt(Side(mode="acl"), other)
    assert refusals(one, "R2") == [NotifyType.TS_UNACCEPTABLE]
    (refused,) = one.events("R2", SelectorsRefused)
    assert refused.expected_local[0].start == "10.2.7.0"
    one.quiet()


def test_a_second_tunnel_that_the_peer_lacks_leaves_the_first_alone() -> None:
    """I: CREATE_CHILD_SA; R: N(TS_UNACCEPTABLE): the IKE SA and its first Child SA stand."""
    ##= rfc7296#section-1.3.1 type=test
    ##% A failed attempt to create a Child SA SHOULD NOT tear down the IKE SA
    one = pair(Side(second=True), Side()).up()
    one.ping("R1", third=1)
    one.world.run(1)
    one.agree()
    assert refusals(one, "R2") == [NotifyType.TS_UNACCEPTABLE]
    assert sum(event.dropped for event in one.events("R1", PacketsHeld)) == 1


PFS = {"the responder has PFS alone": (None, 19), "two groups": (19, 20)}


@pytest.mark.parametrize(("ours", "theirs"), PFS.values(), ids=PFS)
def test_a_rekey_without_the_wanted_pfs_is_refused(ours: int | None, theirs: int | None) -> None:
    """I: CREATE_CHILD_SA {REKEY_SA}; R: N(NO_PROPOSAL_CHOSEN): the old Child SA goes on carrying traffic."""
    one = pair(Side(pfs=ours), Side(pfs=theirs)).up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(1)
    one.agree()
    assert refusals(one, "R2") == [NotifyType.NO_PROPOSAL_CHOSEN]
    one.up()
    assert one.lost() == []


def test_a_responder_without_pfs_takes_the_peers_group() -> None:
    """I: CREATE_CHILD_SA {REKEY_SA, KE}; R, which asks for no PFS itself, goes along."""
    one = pair(Side(pfs=19), Side()).up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(8)
    one.agree()
    assert one.one_child("R2").suite.group == 19


def test_a_wrong_group_is_corrected_in_ike_sa_init() -> None:
    """I: IKE_SA_INIT KE(19); R: N(INVALID_KE_PAYLOAD, 14); I: IKE_SA_INIT KE(14), all else unchanged (1.2)."""
    one = pair(Side(groups=(19, 14)), Side(groups=(14,))).up()
    one.agree()
    (answered,) = one.events("R1", InvalidKeAnswered)
    assert (answered.offered, answered.wanted) == (19, 14)
    first, second = (parsed(event.octets) for event in one.sent("R1", INIT))
    assert (first.spi_i, second.message_id) == (second.spi_i, 0)
    assert [one for one in first.payloads if not isinstance(one, KePayload)] == [
        one for one in second.payloads if not isinstance(one, KePayload)
    ]
    assert one.one_ike("R1").suite is not None
    assert one.lost() == []


def parsed(octets: object) -> Message:
    """The message of an event's octets."""
    assert isinstance(octets, bytes)
    return Message.parse(octets)


def test_a_group_that_was_not_offered_is_not_taken() -> None:
    """I: IKE_SA_INIT KE(19); forger: N(INVALID_KE_PAYLOAD, 2): no downgrade, the SA comes up with group 19."""
    one = pair()
    impair(one.world, lambda mail: headline(mail) == ("R2", INIT, True, 0), [0.5])
    one.ping("R1")
    one.world.run(0.05)
    request = parsed(one.sent("R1", INIT)[0].octets)
    for data in (b"\x00\x02", b"\x00\x13", b"", b"\x00\x00\x00\x13"):
        wrong = (NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, data),)
        feed(one, "R1", Message(request.spi_i, bytes(8), INIT, 0, wrong, False, True).encode())
    one.world.run(5)
    one.agree()
    suite = one.one_ike("R1").suite
    assert suite is not None
    assert suite.group == 19


@pytest.mark.parametrize("name", BOTH)
def test_a_wrong_group_is_corrected_in_a_rekey(name: str) -> None:
    """I: CREATE_CHILD_SA KE(19); R: N(INVALID_KE_PAYLOAD, 14); I: CREATE_CHILD_SA KE(14) (RFC 7296 section 1.3.2)."""
    one = pair(Side(groups=(19, 14))).up()
    other = "R2" if name == "R1" else "R1"
    sa = one.one_ike(other)
    sa.proposals = tuple(structs.replace(proposal, groups=(14,)) for proposal in sa.proposals)
    one.ask(name, Rekey())
    one.world.run(8)
    one.agree()
    (answered,) = one.events(name, InvalidKeAnswered)
    assert (answered.exchange, answered.offered, answered.wanted) == (CREATE, 19, 14)
    suite = one.one_ike(name).suite
    assert suite is not None
    assert suite.group == 14
    one.up()


def test_a_group_that_was_not_proposed_is_not_taken_in_a_rekey() -> None:
    """I: CREATE_CHILD_SA KE(19); R: N(INVALID_KE_PAYLOAD, 14), which was not proposed: refused, the Child SA stays."""
    one = pair(Side(pfs=19)).up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    (message_id,) = one.one_ike("R1").out.in_flight
    wrong = NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, b"\x00\x0e")
    feed(one, "R1", sealed(one, "R2", [wrong], exchange=CREATE, response=True, message_id=message_id))
    assert one.events("R1", InvalidKeAnswered) == []
    assert [event.notify for event in one.events("R1", ChildRefused)] == [NotifyType.INVALID_KE_PAYLOAD]
    one.world.run(1)
    one.sound()
    one.up()


def test_a_cookie_is_given_back() -> None:
    """I: IKE_SA_INIT; R: N(COOKIE); I: IKE_SA_INIT N(COOKIE) first, all else unchanged (RFC 7296 section 2.6)."""
    ##= rfc7296#section-2.6 type=test
    ##% include the COOKIE notification containing the received data as the first payload, and all other payloads
    ##% unchanged.
    one = pair(Side(force_encap=True))
    lost = impair(one.world, lambda mail: headline(mail)[:2] == ("R1", INIT), [])
    one.ping("R1")
    request = parsed(lost[0].octets)
    cookie = Message(request.spi_i, bytes(8), INIT, 0, (NotifyPayload(NotifyType.COOKIE, b"c" * 16),), False, True)
    feed(one, "R1", cookie.encode())
    one.world.run(5)
    one.agree()
    assert [event.octets for event in one.events("R1", CookieAnswered)] == [16]
    again = parsed(one.sent("R1", INIT)[1].octets)
    head = again.payloads[0]
    assert isinstance(head, NotifyPayload)
    assert (head.notify_type, head.data) == (NotifyType.COOKIE, b"c" * 16)
    assert again.payloads[1:] == request.payloads
    assert one.lost() == []


ROUNDS = {"cookie, then group": ("cookie", "group"), "group, then cookie": ("group", "cookie")}


@pytest.mark.parametrize("rounds", ROUNDS.values(), ids=ROUNDS)
def test_cookie_and_group_rounds_combine(rounds: tuple[str, str]) -> None:
    """I: IKE_SA_INIT; R: N(COOKIE) and N(INVALID_KE_PAYLOAD) in either order: the last request holds both answers."""
    one = pair(Side(groups=(19, 14)))
    lost = impair(one.world, lambda mail: headline(mail)[:2] == ("R1", INIT), [], times=2)
    one.ping("R1")
    notifies = {
        "cookie": NotifyPayload(NotifyType.COOKIE, b"12345678"),
        "group": NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, b"\x00\x0e"),
    }
    for kind in rounds:
        spi = lost[0].octets[:8]
        feed(one, "R1", Message(spi, bytes(8), INIT, 0, (notifies[kind],), False, True).encode())
    one.world.run(5)
    one.agree()
    last = parsed(one.sent("R1", INIT)[2].octets)
    assert last.payloads[0] == notifies["cookie"]
    assert isinstance(last.payloads[1], SaPayload)
    assert isinstance(last.payloads[2], KePayload)
    assert last.payloads[2].group == 14


def test_cookies_without_end_are_not_followed() -> None:
    """I: IKE_SA_INIT; R: N(COOKIE) to every request: a few rounds, then the usual waiting, then the end."""
    one = pair()
    impair(one.world, lambda mail: headline(mail)[:2] == ("R1", INIT), [], times=None)
    one.ping("R1")
    for number in range(20):
        (sa,) = one.ike("R1")
        payload = NotifyPayload(NotifyType.COOKIE, bytes((number,)) * 8)
        feed(one, "R1", Message(sa.spi_i, bytes(8), INIT, 0, (payload,), False, True).encode())
    one.world.run(300)
    assert len(one.events("R1", CookieAnswered)) == 6
    assert len(one.events("R1", IkeSaClosed)) == 1
    one.quiet()


def test_an_unreachable_peer_is_asked_seven_times() -> None:
    """I: IKE_SA_INIT x 7 after 2, 4, 8, 16, 32 and 64 seconds; closed 128 s later; held packets are dropped."""
    one = pair()
    one.world.remove("R2")
    one.ping("R1")
    one.world.run(300)
    times = [mail.at - one.world.mail[0].at for mail in one.world.mail]
    assert times == pytest.approx([0, 2, 6, 14, 30, 62, 126])
    assert len({mail.octets for mail in one.world.mail}) == 1
    assert [event.attempt for event in one.events("R1", Retransmitting)] == [1, 2, 3, 4, 5, 6]
    (exhausted,) = one.events("R1", RetransmissionsExhausted)
    assert exhausted.sends == 7
    assert exhausted.seconds == pytest.approx(254)
    assert [event.reason for event in one.events("R1", IkeSaClosed)] == ["the peer does not answer"]
    assert sum(event.dropped for event in one.events("R1", PacketsHeld)) == 1
    assert one.core("R1").sas == {}


def test_after_a_failure_traffic_waits_twice_as_long_each_time() -> None:
    """I: IKE_SA_INIT ... again and again: the tunnel is held for 2, 4, 8 ... 60 seconds before a packet starts anew."""
    one = attempt(Side(), Side(key="not-the-key-of-r1"), seconds=0)
    for _ in range(600):
        one.ping("R1")
        one.world.run(0.5)
    began = [mail.at for mail in one.world.mail if headline(mail) == ("R1", INIT, False, 0)]
    waits = [later - earlier for earlier, later in pairwise(began)]
    for wait, wanted in zip(waits, (2, 4, 8, 16, 32, 60, 60), strict=False):
        assert wanted <= wait <= wanted + 2.5
    assert len(began) <= 9
    one.sound()


def refusing(one: Pair, name: str, direction: str) -> Callable[[], None]:
    """Let a router's plane refuse to install ESP SAs of a direction; returns what ends that."""
    plane = one.station(name).plane
    take = plane.execute

    def execute(command: object, now: float) -> None:
        if isinstance(command, InstallSa) and command.direction == direction:
            raise LocalError("no memory")
        take(command, now)  # type: ignore[arg-type]

    plane.execute = execute  # type: ignore[method-assign]

    def stop() -> None:
        plane.execute = take  # type: ignore[method-assign]

    return stop


@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_responder_whose_plane_refuses_answers_so(direction: str) -> None:
    """I: IKE_AUTH; R: IDr AUTH N(NO_PROPOSAL_CHOSEN), for its plane took no SA; nothing stays installed."""
    one = pair()
    stop = refusing(one, "R2", direction)
    one.ping("R1")
    one.world.run(5)
    assert refusals(one, "R2") == [NotifyType.NO_PROPOSAL_CHOSEN]
    one.quiet()
    stop()
    one.up()
    one.agree()


@pytest.mark.parametrize("direction", ["in", "out"])
def test_an_initiator_whose_plane_refuses_takes_the_child_sa_back(direction: str) -> None:
    """I: IKE_AUTH; R: its SA stands; I: D(ESP): the IKE SA stands without a Child SA, and traffic gets a new one."""
    one = pair()
    stop = refusing(one, "R1", direction)
    one.ping("R1")
    one.world.run(0.5)
    one.agree(children=0)
    assert [event.kind for event in one.events("R1", DeleteSent)] == ["child"]
    stop()
    one.world.run(10)
    one.up()
    one.agree()


@pytest.mark.parametrize("direction", ["in", "out"])
@pytest.mark.parametrize("name", BOTH)
def test_a_rekey_that_a_plane_refuses_leaves_the_old_child_sa(name: str, direction: str) -> None:
    """I: CREATE_CHILD_SA {REKEY_SA}; a plane refuses at either end: the session goes on, nothing half-installed."""
    one = pair().up()
    stop = refusing(one, name, direction)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(0.5)
    stop()
    one.world.run(10)
    one.up()
    one.agree()


def test_a_late_refusal_of_the_plane_takes_the_child_sa_away() -> None:
    """Refused, long after the response: D(ESP), as for any Child SA that can no longer carry packets."""
    one = pair().up()
    station, child = one.station("R1"), one.one_child("R1")
    station.node.report(Refused(child.inbound, "in", "gone"), one.world.now)
    one.world.settle(station)
    one.world.run(8)
    one.agree(children=0)


def test_temporary_failure_without_end_closes_the_ike_sa() -> None:
    """I: CREATE_CHILD_SA; R: N(TEMPORARY_FAILURE), for minutes: the ends are out of step, the IKE SA goes (2.25)."""
    ##= rfc7296#section-2.25 type=test
    ##% it SHOULD conclude that the state information is out of sync and close the IKE SA.
    one = pair().up()
    stuck = one.one_ike("R2")
    one.core("R2").timers.arm(one.world.now + 9999, lambda: None)
    stuck.state = type(stuck.state).REKEYING
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(400)
    assert len(one.events("R1", RetryScheduled)) == 30
    assert one.ike("R1") == []
    assert "refused 31 times" in one.events("R1", IkeSaClosed)[0].reason


def test_a_stranger_gets_no_answer() -> None:
    """Somebody else: IKE_SA_INIT; R: nothing at all, where no tunnel of its ends."""
    one = pair()
    one.ping("R1")
    request = one.sent("R1", INIT)[0].octets
    assert isinstance(request, bytes)
    stranger = type(ADDRESSES["R1"])("203.0.113.77")
    path = Destination(ADDRESSES["R2"], 500, stranger, 500)
    before = len(one.world.mail)
    one.station("R2").node.receive(request, path, one.world.now)
    one.world.settle(one.station("R2"))
    assert len(one.world.mail) == before
    assert one.ike("R2") == []
    assert [event.trigger.name for event in one.events("R2", MessageDropped)] == ["NOT_CONFIGURED"]


def test_an_initiator_that_never_authenticates_is_forgotten() -> None:
    """I: IKE_SA_INIT; R: its response; no IKE_AUTH for 30 s: the responder closes with a reason and keeps nothing."""
    one = pair()
    impair(one.world, lambda mail: headline(mail)[:2] == ("R1", AUTH), [], times=None)
    one.ping("R1")
    one.world.run(40)
    assert one.ike("R2") == []
    assert not one.core("R2").half_open
    assert one.events("R2", IkeSaClosed)[0].reason == "the IKE_AUTH request did not come in time"
