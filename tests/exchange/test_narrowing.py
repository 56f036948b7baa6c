"""The responder takes less than was asked for: what it says of the rest, and what the initiator does (RFC 7296 2.9)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.support.world import BOTH, Pair, Side, pair

from ikescope.engine import negotiate
from ikescope.engine.commands import Connect, Rekey
from ikescope.engine.tasks import create_child, ike_auth
from ikescope.errors import PeerError
from ikescope.events import SelectorFact
from ikescope.events.life import ChildRefused, Reauthenticated
from ikescope.events.negotiation import SelectorsChosen, SelectorsSent
from ikescope.events.router import PacketsHeld
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType
from ikescope.wire.ts import TsPayload

AUTH, CREATE = ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
WIDE = Side(mode="acl", selectors=("10.{us}.0.0 0.0.255.255 10.{them}.0.0 0.0.255.255",))
TWO = Side(
    mode="acl",
    selectors=("10.{us}.0.0 0.0.0.255 10.{them}.0.0 0.0.0.255", "10.{us}.5.0 0.0.0.255 10.{them}.5.0 0.0.0.255"),
)
ONE = Side(mode="acl")
MORE = "NOTIFY(ADDITIONAL_TS_POSSIBLE)"


def said(one: Pair, name: str) -> list[object]:
    """What a router's events told of ADDITIONAL_TS_POSSIBLE, one for each Child SA."""
    return [event.additional for event in one.events(name, SelectorsChosen)]


@pytest.mark.parametrize(("second", "more"), [(TWO, True), (ONE, False)], ids=["two", "one"])
def test_a_responder_that_narrows_says_whether_more_is_possible(second: Side, more: bool) -> None:
    """I: TSi, TSr of all; R: those of one of its own pairs, N(ADDITIONAL_TS_POSSIBLE) if another takes a part too."""
    ##= rfc7296#section-2.9 type=test
    ##% In this case, the responder arbitrarily chooses one of them, and MAY include an ADDITIONAL_TS_POSSIBLE
    ##% notification in the response.
    one = pair(WIDE, second).up()
    one.agree()
    (answer,) = one.sent("R2", AUTH, response=True)
    assert isinstance(answer.inner, tuple)
    assert (MORE in answer.inner) is more
    assert said(one, "R1") == said(one, "R2") == [more]


@pytest.mark.parametrize("name", BOTH)
def test_a_rekey_proposes_what_was_agreed(name: str) -> None:
    """A narrowed Child SA is rekeyed, by either end, with the selectors that it has: nothing is narrowed then."""
    ##= rfc7296#section-2.9.2 type=test
    ##% When the initiator attempts to rekey the Child SA, the proposed Traffic Selectors SHOULD be either the same
    ##% as, or a superset of, the Traffic Selectors used in the old Child SA.
    one = pair(WIDE, TWO).up()
    before = one.one_child(name)
    one.ask(name, Rekey(spi=before.inbound))
    one.world.run(8)
    one.agree()
    sent = one.events(name, SelectorsSent)[-1]
    assert (sent.local, sent.remote) == (before.local, before.remote)
    after = one.one_child(name)
    assert (after.local, after.remote) == (before.local, before.remote)
    assert said(one, name)[-1] is False
    one.up("R1")
    one.up("R2")


class SinglePairRequired(PeerError):
    """The policy of a peer that takes one pair of addresses at a time."""

    notify = NotifyType.SINGLE_PAIR_REQUIRED
    section = "RFC 7296 section 2.9"


PACKET = SelectorFact("10.1.0.9", "10.1.0.9"), SelectorFact("10.2.0.9", "10.2.0.9")


def only_pair(one: Pair) -> None:
    """The last request was for the packet alone, and that is what both ends hold."""
    sent = one.events("R1", SelectorsSent)[-1]
    for ours, packet in ((sent.local, PACKET[0]), (sent.remote, PACKET[1])):
        assert [(fact.start, fact.end) for fact in ours] == [(packet.start, packet.end)]
    one.agree()
    assert one.one_child("R2").remote == one.one_child("R1").local == sent.local


def test_single_pair_required_in_ike_auth_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """I: IKE_AUTH; R: N(SINGLE_PAIR_REQUIRED); the IKE SA stays, I: CREATE_CHILD_SA for the packet's own pair alone."""
    ##= rfc7296#section-2.9 type=test
    ##% The requestor is expected to respond by requesting an SA for only the specific traffic it is trying to
    ##% forward.
    ##= rfc7296#section-1.2 type=test
    ##% The list of Notify message types in the IKE_AUTH exchange that do not prevent an IKE SA from being set up
    ##% include at least the following: NO_PROPOSAL_CHOSEN, TS_UNACCEPTABLE, SINGLE_PAIR_REQUIRED,
    ##% INTERNAL_ADDRESS_FAILURE, and FAILED_CP_REQUIRED.
    monkeypatch.setattr(ike_auth, "_child", lambda *_: (None, SinglePairRequired("one pair of addresses at a time")))
    one = pair(ONE).up()
    assert [event.notify for event in one.events("R1", ChildRefused)] == [NotifyType.SINGLE_PAIR_REQUIRED]
    assert len(one.sent("R1", CREATE, response=False)) == 1
    only_pair(one)


def test_single_pair_required_in_create_child_sa_is_obeyed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """I: CREATE_CHILD_SA; R: N(SINGLE_PAIR_REQUIRED); I: CREATE_CHILD_SA for the packet's pair; once more: given up."""
    plain, refusals = negotiate.answer, [1]

    def answer(*args: object, **more: object) -> object:
        if refusals[0]:
            refusals[0] -= 1
            raise SinglePairRequired("one pair of addresses at a time")
        return plain(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(create_child, "answer_child", answer)
    one = pair(ONE).up()
    refusals[0] = 1
    for child in list(one.children("R1")):
        one.core("R1").on_child_due(child, True)
    one.world.settle(one.station("R1"))
    one.world.run(5)
    one.agree(children=0)
    one.ask("R1", Connect(tunnel="Tunnel0", packet=PACKET))
    one.world.run(5)
    only_pair(one)
    assert len(one.sent("R1", CREATE, response=False)) == 2
    # A peer that says so of one pair too, or where there is no packet, is not asked again.
    for intent in (Connect(tunnel="Tunnel0", packet=PACKET), Connect(tunnel="Tunnel0", trigger="operator")):
        one.core("R1").on_child_due(one.one_child("R1"), True)
        one.world.settle(one.station("R1"))
        one.world.run(200)
        refusals[0], sends = 9, len(one.sent("R1", CREATE, response=False))
        one.ask("R1", intent)
        one.world.run(5)
        assert len(one.sent("R1", CREATE, response=False)) - sends == (2 if intent.packet else 1)
        one.agree(children=0)
        refusals[0] = 0
        one.world.run(200)
        one.up()


@pytest.mark.parametrize("by", BOTH)
def test_what_was_narrowed_away_gets_a_child_sa_of_its_own(by: str) -> None:
    """I: TSi, TSr of all; R: those of one pair, N(ADDITIONAL_TS_POSSIBLE); a packet for another: I: CREATE_CHILD_SA."""
    one = (pair(WIDE, TWO) if by == "R1" else pair(TWO, WIDE)).up(by)
    one.agree()
    one.up(by, third=5)
    one.agree(children=2)
    one.up(BOTH[1 - BOTH.index(by)], third=5).up(by)
    one.agree(children=2)
    assert len(one.sent(by, CREATE, response=False)) == 1
    assert {child.local[0].start[-3:] for child in one.children(by)} == {"0.0", "5.0"}
    for child in one.children(by):
        one.ask(by, Rekey(spi=child.inbound))
    one.world.run(8)
    one.agree(children=2)
    one.up(by, third=5).up(by)
    assert one.lost() == []


def test_what_the_peer_has_no_more_of_is_not_asked_for() -> None:
    """I: TSi, TSr of all; R: its only pair, no ADDITIONAL_TS_POSSIBLE: a packet for another network starts nothing."""
    one = pair(WIDE, ONE).up()
    one.ping("R1", third=5)
    one.world.run(25)
    assert one.sent("R1", CREATE) == []
    one.agree()
    assert sum(event.dropped for event in one.events("R1", PacketsHeld)) == 1


def test_a_peer_that_promises_more_and_has_none_is_asked_once() -> None:
    """R: N(ADDITIONAL_TS_POSSIBLE), but the same pair again: one surplus Child SA, and no third request."""
    one = pair(WIDE, ONE)

    def promise(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        more = response and any(isinstance(payload, TsPayload) for payload in chain)
        return [*chain, NotifyPayload(NotifyType.ADDITIONAL_TS_POSSIBLE)] if more else chain

    def forget_packet(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        kept = [_rest(payload) for payload in chain]
        return kept if exchange is CREATE and not response else chain

    one.core("R2").mutate, one.core("R1").mutate = promise, forget_packet
    one.up()
    for _ in range(6):
        one.ping("R1", third=5)
        one.world.run(12)
    assert len(one.sent("R1", CREATE, response=False)) == 1
    one.agree(children=2)


def _rest(payload: Payload) -> Payload:
    """A TS payload without the packet's own selector, which is first of two."""
    if isinstance(payload, TsPayload) and len(payload.selectors) > 1:
        return TsPayload(payload.kind, payload.selectors[1:])
    return payload


def test_reauthentication_makes_every_narrowed_child_sa_anew() -> None:
    """I: IKE_AUTH and CREATE_CHILD_SA, each with the narrowed selectors first: as many Child SAs as before."""
    one = pair(replace(WIDE, reauthentication=20), TWO).up().up(third=5)
    one.agree(children=2)
    assert one.world.until(lambda: bool(one.events("R1", Reauthenticated)), 30)
    one.world.run(2)
    one.agree(children=2)
    one.up().up(third=5)
    assert len(one.sent("R1", CREATE, response=False)) == 2


def hosts(one: Pair, name: str) -> set[tuple[str, str]]:
    """The pairs of addresses that a router's Child SAs are for."""
    return {(child.local[0].start, child.remote[0].start) for child in one.children(name)}


@pytest.mark.parametrize("asks", [False, True], ids=["the responder", "both"])
def test_a_child_sa_for_each_pair_of_hosts(asks: bool) -> None:
    """I: TSi, TSr with a packet's pair first; R: that pair; another pair of hosts: I: CREATE_CHILD_SA."""
    one = pair(replace(ONE, per_host=asks), replace(ONE, per_host=True)).up()
    one.agree()
    assert hosts(one, "R1") == {("10.1.0.9", "10.2.0.9")}
    ping = one.world.ping("R1", "10.1.0.10", "10.2.0.9")
    assert one.world.until(lambda: ping.received is not None, 20), one.story()
    assert hosts(one, "R1") == {("10.1.0.9", "10.2.0.9"), ("10.1.0.10", "10.2.0.9")}
    one.agree(children=2)


def test_a_request_for_ranges_is_told_that_one_pair_is_wanted() -> None:
    """I: TSi, TSr without a packet's own; R: N(SINGLE_PAIR_REQUIRED), and no Child SA."""
    one = pair(ONE, replace(ONE, per_host=True))
    one.ask("R1", Connect(tunnel="Tunnel0", trigger="operator"))
    one.world.run(2)
    assert [event.notify for event in one.events("R1", ChildRefused)] == [NotifyType.SINGLE_PAIR_REQUIRED]
    assert not one.children("R2")
