"""The network loses, repeats and delays: the session ends as if it had not (RFC 7296 sections 2.1 to 2.3)."""

from collections import Counter

import pytest
from tests.support.world import Pair, Side, feed, headline, impair, pair, seal, sealed

from ikescope.engine.commands import Clear, ClearChild, Probe, Rekey
from ikescope.events.life import ChildSaCreated, IkeSaCreated, IkeSaRekeyed, LivenessReceived, SessionUp
from ikescope.events.message import MessageDropped, MessageSent
from ikescope.sim.world import SeededRandom
from ikescope.wire.delete import DeletePayload
from ikescope.wire.registry import ExchangeType, ProtocolId

BOTH = ("R1", "R2")
STEPS = ("start", "rekey ike", "rekey child", "new child", "liveness", "delete child", "delete ike")
FAULTS: dict[str, list[float]] = {
    "lost": [],
    "doubled": [0.01, 0.012],
    "tripled, much later": [0.01, 1.0, 40.0],
    "late by half a second": [0.5],
    "later than its repetition": [2.7],
    "later than two repetitions": [6.9],
}
SIDE = Side(second=True, pfs=19)


def act(one: Pair, step: str, who: str) -> None:
    """One step of a session's life, begun by `who`."""
    match step:
        case "start":
            one.ping(who)
        case "rekey ike":
            one.ask(who, Rekey())
        case "rekey child":
            one.ask(who, Rekey(spi=one.one_child(who).inbound))
        case "new child":
            one.ping(who, third=1)
        case "liveness":
            one.ask(who, Probe())
        case "delete child":
            one.ask(who, ClearChild())
        case _:
            one.ask(who, Clear())


AFTERWARDS = {"new child": 2, "delete child": 0}
"""How many Child SAs stand after a step; 1 after all others."""


def run(step: str, who: str, number: int, delays: list[float] | None) -> tuple[Pair, int]:
    """A session until after `step`, whose IKE datagram `number` (from 0) meets with `delays`; how many there were."""
    one = pair(SIDE)
    if step != "start":
        one.up("R1")
        one.world.run(5)
    before = sum(mail.kind == "ike" for mail in one.world.mail)
    if delays is not None:
        count = iter(range(10_000))
        impair(one.world, lambda mail: next(count) == number, delays)
    act(one, step, who)
    one.world.run(60)
    return one, sum(mail.kind == "ike" for mail in one.world.mail) - before


DATAGRAMS = {"start": 4, "rekey ike": 4, "rekey child": 4, "new child": 2}
"""How many IKE datagrams a step takes; 2 for all others."""
CASES = {
    f"{step}, by {who}, datagram {number} {fault}": (step, who, number, delays)
    for step in STEPS
    for who in BOTH
    for number in range(DATAGRAMS.get(step, 2))
    for fault, delays in FAULTS.items()
}


@pytest.mark.parametrize("step", STEPS)
def test_the_steps_take_as_many_datagrams_as_the_cases_assume(step: str) -> None:
    """I: request; R: response; and so on: where nothing is lost, nothing is repeated."""
    assert run(step, "R1", 0, None)[1] == DATAGRAMS.get(step, 2)


@pytest.mark.parametrize(("step", "who", "number", "delays"), CASES.values(), ids=CASES)
def test_one_datagram_meets_with_a_fault(step: str, who: str, number: int, delays: list[float]) -> None:
    """I: request; R: response; one datagram of the step is lost, repeated or late: the step ends the same, once."""
    ##= rfc7296#section-2.1 type=test
    ##% The initiator MUST remember each request until it receives the corresponding response.
    ##= rfc7296#section-2.3 type=test
    ##% An IKE endpoint MUST keep a copy of (or be able to regenerate exactly) each request it has sent until it
    ##% receives the corresponding response.
    one, _ = run(step, who, number, delays)
    if step == "delete ike":
        one.quiet()
    else:
        one.agree(children=AFTERWARDS.get(step, 1))
    assert one.lost() == []
    repeated_responses_are_equal(one)
    for name in BOTH:
        assert len(one.events(name, IkeSaCreated)) == len(one.events(name, SessionUp)) == 1
        assert len(one.events(name, IkeSaRekeyed)) == (step == "rekey ike")
        assert len(one.events(name, ChildSaCreated)) == 1 + (step in ("rekey child", "new child"))


def repeated_responses_are_equal(one: Pair) -> None:
    """A response that goes out again has the very octets of the first time (2.1)."""
    for name in BOTH:
        octets: dict[tuple[object, ...], set[bytes]] = {}
        for record in one.station(name).records:
            event = record.event
            if isinstance(event, MessageSent) and isinstance(event.octets, bytes) and event.response:
                key = (record.stamp.spi_i, record.stamp.spi_r, event.exchange, record.stamp.message_id)
                octets.setdefault(key, set()).add(event.octets)
        assert all(len(versions) == 1 for versions in octets.values())


@pytest.mark.parametrize("seed", range(8))
def test_a_network_that_loses_a_third_carries_a_session(seed: int) -> None:
    """Every exchange of a session through a network that loses, doubles and delays by chance: both ends agree."""
    one = pair(Side(pfs=19), seed=seed)
    draw = SeededRandom(f"network {seed}")
    fates: list[list[float] | None] = [[]] * 5 + [[0.01, 0.3]] * 2 + [[0.2], [3.0]] + [None] * 7
    one.world.impairments.append(lambda mail: fates[draw(1)[0] % 16] if mail.kind == "ike" else None)
    one.up("R1", limit=300)
    for step in (Rekey(), Probe(), Rekey()):
        for name in BOTH:
            one.ask(name, step)
            one.world.run(60)
            for child in one.children(name):
                one.ask(name, Rekey(spi=child.inbound))
            one.world.run(120)
    one.world.impairments.clear()
    one.world.run(300)
    one.agree()
    repeated_responses_are_equal(one)
    one.up("R1")
    one.up("R2")


def test_a_repeated_request_is_answered_with_the_same_octets() -> None:
    """I: INFORMATIONAL {} twice; R: one response, twice, processed once (RFC 7296 section 2.1)."""
    ##= rfc7296#section-2.1 type=test
    ##% In that event, the responder MUST ignore the retransmitted request except insofar as it causes a
    ##% retransmission of the response.
    ##= rfc7296#section-2.3 type=test
    ##% An IKE endpoint MUST keep a copy of (or be able to regenerate exactly) the number of previous responses
    ##% equal to its declared window size in case its response was lost and the initiator requests its
    ##% retransmission by retransmitting the request.
    one = pair().up()
    request = sealed(one, "R1", [])
    for _ in range(3):
        feed(one, "R2", request)
    assert len(one.events("R2", LivenessReceived)) == 1
    octets = [event.octets for event in one.sent("R2", ExchangeType.INFORMATIONAL, response=True)]
    assert len(octets) == 3
    assert len(set(octets)) == 1


def test_a_repeated_message_id_with_other_content_is_dropped() -> None:
    """I: INFORMATIONAL {} with ID n; forger with the keys: D(IKE) with ID n: dropped, no answer, nothing deleted."""
    one = pair().up()
    sa = one.one_ike("R1")
    feed(one, "R2", sealed(one, "R1", [], message_id=sa.out.next_id))
    feed(one, "R2", sealed(one, "R1", [DeletePayload(ProtocolId.IKE)], message_id=sa.out.next_id))
    assert [event.trigger.name for event in one.events("R2", MessageDropped)] == ["DIFFERENT_REPEAT"]
    assert len(one.sent("R2", ExchangeType.INFORMATIONAL)) == 1
    one.agree()


def test_requests_within_the_window_are_answered_in_any_order() -> None:
    """I: INFORMATIONAL n+4, n+1, n+3, n, n+2; R answers each with its ID; n+5 only after the window has moved (2.3)."""
    ##= rfc7296#section-2.3 type=test
    ##% This Notify message MUST NOT be sent in a response; the invalid request MUST NOT be acknowledged.
    one = pair().up()
    first = one.one_ike("R1").out.next_id
    for offset in (4, 1, 3):
        feed(one, "R2", sealed(one, "R1", [], message_id=first + offset))
    assert len(one.events("R2", LivenessReceived)) == 3
    feed(one, "R2", sealed(one, "R1", [], message_id=first + 5))
    assert [event.trigger.name for event in one.events("R2", MessageDropped)] == ["BEYOND_WINDOW"]
    for offset in (0, 2, 5):
        feed(one, "R2", sealed(one, "R1", [], message_id=first + offset))
    answered = Counter(
        record.stamp.message_id
        for record in one.station("R2").records
        if isinstance(record.event, MessageSent) and record.event.exchange == ExchangeType.INFORMATIONAL
    )
    assert answered == Counter(range(first, first + 6))


def test_an_old_request_is_not_processed_again() -> None:
    """I: INFORMATIONAL n ... n+12; n again: its response is no longer kept, so nothing happens (2.3)."""
    ##= rfc7296#section-2.1 type=test
    ##% If the responder receives a retransmitted request for which it has already forgotten the response, it MUST
    ##% ignore the request (and not, for example, attempt constructing a new response).
    one = pair().up()
    first = one.one_ike("R1").out.next_id
    requests = [sealed(one, "R1", [], message_id=first + offset) for offset in range(13)]
    for request in (*requests, requests[0]):
        feed(one, "R2", request)
    assert [event.trigger.name for event in one.events("R2", MessageDropped)] == ["OLD_REQUEST"]
    assert len(one.one_ike("R2").into.kept) <= 10


def test_before_authentication_the_window_is_one() -> None:
    """I: IKE_SA_INIT; a request with ID 2 before IKE_AUTH is dropped: the window is 1 until SET_WINDOW_SIZE (2.3)."""
    one = pair()
    one.ping("R1")
    one.world.run(0.025)
    sa = one.one_ike("R1")
    feed(one, "R2", sealed(one, "R1", [], exchange=ExchangeType.IKE_AUTH, message_id=2))
    assert [event.trigger.name for event in one.events("R2", MessageDropped)] == ["BEYOND_WINDOW"]
    assert sa.out.size == 1
    one.world.run(5)
    one.agree()
    assert one.one_ike("R1").out.size == one.one_ike("R2").into.size == 5


def test_a_response_to_no_request_is_dropped() -> None:
    """R: INFORMATIONAL response that nobody asked for, and one again that was taken: dropped, nothing changes."""
    one = pair().up()
    one.ask("R1", Probe())
    one.world.run(1)
    (answer,) = one.sent("R2", ExchangeType.INFORMATIONAL, response=True)
    assert isinstance(answer.octets, bytes)
    feed(one, "R1", answer.octets)
    feed(one, "R1", sealed(one, "R2", [], response=True, message_id=77))
    assert [event.trigger.name for event in one.events("R1", MessageDropped)] == ["UNEXPECTED_RESPONSE"] * 2
    one.agree()


def test_a_response_of_another_exchange_is_not_taken() -> None:
    """I: INFORMATIONAL n; R: a CREATE_CHILD_SA response with ID n is dropped, the true one is taken."""
    one = pair().up()
    one.ask("R1", Probe())
    (message_id,) = one.one_ike("R1").out.in_flight
    wrong = sealed(one, "R2", [], exchange=ExchangeType.CREATE_CHILD_SA, response=True, message_id=message_id)
    feed(one, "R1", wrong)
    assert list(one.one_ike("R1").out.in_flight) == [message_id]
    one.world.run(1)
    one.agree()


@pytest.mark.parametrize("exchange", [ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL])
@pytest.mark.parametrize("first", [33, 41, 42, 46, 53, 130])
def test_a_request_that_makes_no_sense_ends_the_ike_sa(exchange: ExchangeType, first: int) -> None:
    """I, with the keys: a chain cut short; R: N(INVALID_SYNTAX), and the IKE SA ends (RFC 7296 section 2.21.3)."""
    ##= rfc7296#section-2.21.3 type=test
    ##% After the IKE SA is authenticated, all requests having errors MUST result in a response notifying the
    ##% other end of the error.
    one = pair().up()
    sa = one.one_ike("R1")
    feed(one, "R2", seal(one, "R1", sa, first, b"\x00\x80\x00", exchange=exchange))
    assert one.ike("R2") == []
    (answer,) = one.sent("R2", exchange, response=True)
    assert answer.inner == ("NOTIFY(INVALID_SYNTAX)",)
    one.sound()


@pytest.mark.parametrize("step", ["rekey ike", "rekey child", "liveness", "delete child", "delete ike"])
def test_a_response_that_makes_no_sense_cleans_up(step: str) -> None:
    """I: a request; R, with the keys: a chain cut short: what the request began is undone, both ends end up free."""
    one = pair().up()
    act(one, step, "R1")
    sa = one.one_ike("R1")
    (pending,) = sa.out.in_flight.values()
    number, exchange = pending.message_id, pending.exchange
    feed(
        one,
        "R1",
        seal(one, "R2", one.one_ike("R2"), 33, b"\x00\x00\x00", exchange=exchange, response=True, message_id=number),
    )
    one.world.run(200)
    assert one.ike("R1") == []
    assert not one.core("R1").waiting
    one.sound()


def test_a_late_ike_sa_init_request_makes_no_second_ike_sa() -> None:
    """I: IKE_SA_INIT; ...; the same IKE_SA_INIT again when the SA stands: dropped, no half-open SA (2.1)."""
    one = pair().up()
    (request,) = one.sent("R1", ExchangeType.IKE_SA_INIT)
    assert isinstance(request.octets, bytes)
    feed(one, "R2", request.octets)
    assert [event.trigger.name for event in one.events("R2", MessageDropped)] == ["OLD_REQUEST"]
    one.agree()


def test_only_the_first_of_two_answers_to_ike_sa_init_counts() -> None:
    """I: IKE_SA_INIT, twice by loss of time; R answers twice with the same octets: one SA, the second is dropped."""
    one = pair()
    impair(one.world, lambda mail: headline(mail)[:2] == ("R2", ExchangeType.IKE_SA_INIT), [2.5])
    one.up("R1")
    assert [event.trigger.name for event in one.events("R1", MessageDropped)] == ["UNEXPECTED_RESPONSE"]
    one.agree()
