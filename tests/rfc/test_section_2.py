"""RFC 7296 sections 2 to 2.7: retransmission, windows, versions, SPIs and cookies, negotiation."""

from __future__ import annotations

import pytest
from msgspec import structs
from tests.rfc.exchanges import (
    AUTH,
    CREATE,
    INFO,
    INIT,
    all_sent,
    asked,
    drops,
    first,
    header,
    lively,
    message,
    other,
    payloads,
)
from tests.support.world import BOTH, Pair, Side, feed, headline, impair, pair, sealed

from ikescope.engine.commands import Clear, Probe, Rekey
from ikescope.engine.parameters import Parameters
from ikescope.events.life import LivenessReceived
from ikescope.events.message import CookieAnswered
from ikescope.wire.header import FLAG_RESPONSE
from ikescope.wire.message import Message
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType
from ikescope.wire.unknown import UnknownPayload
from ikescope.wire.vendor import VendorIdPayload


def forgery(one: Pair, *chain: Payload) -> bytes:
    """An IKE_SA_INIT response to R1 with any payloads and no responder SPI."""
    return Message(one.sent("R1", INIT)[0].octets[:8], bytes(8), INIT, 0, chain, False, True).encode()  # type: ignore[index]


@pytest.mark.parametrize("octets", [1280, 3000])
def test_long_messages_are_taken(octets: int) -> None:
    """A request of 1,280 and one of 3,000 octets is sealed, opened, processed and answered."""
    ##= rfc7296#section-2 type=test
    ##% All IKEv2 implementations MUST be able to send, receive, and process IKE messages that are up to 1280 octets
    ##% long, and they SHOULD be able to send, receive, and process messages that are up to 3000 octets long.
    one = pair(Side(ike="gcm")).up()
    filling = octets - len(sealed(one, "R1", [VendorIdPayload(b"")]))
    request = sealed(one, "R1", [VendorIdPayload(bytes(filling))])
    assert len(request) == octets
    feed(one, "R2", request)
    assert len(one.sent("R2", INFO, response=True)) == 1
    one.agree()


def test_a_response_is_repeated_for_a_repeated_request_and_never_otherwise() -> None:
    """R answers once and is silent for five minutes; the same request again brings the same octets again."""
    ##= rfc7296#section-2.1 type=test
    ##% The responder MUST never retransmit a response unless it receives a retransmission of the request.
    ##= rfc7296#section-2.1 type=test
    ##% In that event, the responder MUST ignore the retransmitted request except insofar as it causes a retransmission
    ##% of the response.
    one = pair().up()
    request = sealed(one, "R1", [])
    feed(one, "R2", request)
    one.world.run(300)
    (answer,) = one.sent("R2", INFO)
    feed(one, "R2", request)
    assert [event.octets for event in one.sent("R2", INFO)] == [answer.octets] * 2
    assert len(one.events("R2", LivenessReceived)) == 1


def test_a_request_is_repeated_as_it_was_ever_more_slowly() -> None:
    """I: the same octets, so the same message ID, after 2, 4, 8 ... seconds, until the answer comes; then no more."""
    ##= rfc7296#section-2.1 type=test
    ##% the initiator MUST retransmit a request until it either receives a corresponding response or deems the IKE SA
    ##% to have failed.
    ##= rfc7296#section-2.1 type=test
    ##% A retransmission from the initiator MUST be bitwise identical to the original request.
    ##= rfc7296#section-2.2 type=test
    ##% Retransmission of a message MUST use the same Message ID as the original message.
    ##= rfc7296#section-2.4 type=test
    ##% retransmission times MUST increase exponentially to avoid flooding the network
    one = pair().up()
    lost = impair(one.world, lambda mail: headline(mail)[:2] == ("R1", INFO), [], times=4)
    one.ask("R1", Probe())
    one.world.run(300)
    sent = [mail for mail in one.world.mail if mail.kind == "ike" and headline(mail)[:2] == ("R1", INFO)]
    assert len(lost) == 4
    assert [mail.at - sent[0].at for mail in sent] == pytest.approx([0, 2, 6, 14, 30])
    assert len({mail.octets for mail in sent}) == 1
    one.agree()
    one = pair().up()
    one.world.remove("R2")
    one.ask("R1", Probe())
    one.world.run(300)
    assert len(one.sent("R1", INFO)) == 7
    assert one.ike("R1") == []


def test_set_window_size_is_four_octets_and_kept() -> None:
    """N(SET_WINDOW_SIZE) holds 5 in four octets, and five requests at once are answered, each again if repeated."""
    ##= rfc7296#section-2.3 type=test
    ##% The data associated with a SET_WINDOW_SIZE notification MUST be 4 octets long and contain the big endian
    ##% representation of the number of messages the sender promises to keep.
    one = pair().up()
    for name in BOTH:
        (said,) = (
            each.data
            for each in payloads(one.sent(name, AUTH)[0])
            if isinstance(each, NotifyPayload) and each.notify_type == NotifyType.SET_WINDOW_SIZE
        )
        assert said == b"\x00\x00\x00\x05"
    number = one.one_ike("R1").out.next_id
    requests = [sealed(one, "R1", [], message_id=number + each) for each in range(5)]
    for request in (*requests, *requests):
        feed(one, "R2", request)
    answers = [event.octets for event in one.sent("R2", INFO)]
    assert answers[:5] == answers[5:]
    assert len(set(answers)) == 5


@pytest.mark.parametrize("window", [1, 2, 5])
def test_no_more_requests_are_in_flight_than_the_peer_takes(window: int) -> None:
    """R's window is 1, 2 or 5: of ten things asked of I at once never more than that are in flight; all are done."""
    ##= rfc7296#section-2.3 type=test
    ##% An IKE endpoint MUST wait for a response to each of its messages before sending a subsequent message unless it
    ##% has received a SET_WINDOW_SIZE Notify message from its peer
    ##= rfc7296#section-2.3 type=test
    ##% An IKE endpoint MUST NOT exceed the peer's stated window size for transmitted IKE requests.
    ##= rfc7296#section-2.3 type=test
    ##% if the responder stated its window size is N, then when the initiator needs to make a request X, it MUST wait
    ##% until it has received responses to all requests up through request X-N.
    one = pair(parameters=Parameters(window=window)).up()
    for _ in range(10):
        one.ask("R1", Probe())
    done: set[int] = set()
    highest = []
    for _ in range(400):
        sa = one.one_ike("R1")
        highest.append(len(sa.out.in_flight))
        done |= set(range(sa.out.next_id)) - set(sa.out.in_flight)
        assert all(number < min(set(range(sa.out.next_id + 1)) - done) + window for number in sa.out.in_flight)
        one.world.run(0.005)
    assert 1 <= max(highest) <= window
    assert len(one.events("R2", LivenessReceived)) == 10


def test_initial_contact_is_said_in_ike_auth_alone() -> None:
    """N(INITIAL_CONTACT) is in the first IKE_AUTH request of the first IKE SA, in no other message of a session."""
    ##= rfc7296#section-2.4 type=test
    ##% The INITIAL_CONTACT notification, if sent, MUST be in the first IKE_AUTH request or response, not as a separate
    ##% exchange afterwards
    said = [
        (name, header(event).exchange, event.response)
        for name, event in all_sent(lively())
        for payload in payloads(event)
        if isinstance(payload, NotifyPayload) and payload.notify_type == NotifyType.INITIAL_CONTACT
    ]
    assert said == [("R1", AUTH, False)]


def test_unprotected_messages_cause_few_actions() -> None:
    """Forger: a hundred N(COOKIE), N(INVALID_KE_PAYLOAD), N(NO_PROPOSAL_CHOSEN): six answers at most, then silence."""
    ##= rfc7296#section-2.4 type=test
    ##% Implementations MUST limit the rate at which they take actions based on unprotected messages.
    one = pair(Side(groups=(19, 14)))
    one.world.impairments.append(lambda mail: [])
    one.ping("R1")
    for number in range(100):
        kinds = (
            (NotifyType.COOKIE, bytes((number, 1))),
            (NotifyType.INVALID_KE_PAYLOAD, b"\x00\x0e" if number % 2 else b"\x00\x13"),
            (NotifyType.NO_PROPOSAL_CHOSEN, b""),
        )
        kind, data = kinds[number % 3]
        feed(one, "R1", forgery(one, NotifyPayload(kind, data)))
    assert len(one.sent("R1", INIT)) <= 7
    assert len(one.ike("R1")) == 1


CRITICAL = UnknownPayload(PayloadType.of(200), b"unknown", critical=True)


@pytest.mark.parametrize("exchange", [INFO, CREATE])
def test_an_unknown_critical_payload_is_refused_by_its_name(exchange: ExchangeType) -> None:
    """R: N(UNSUPPORTED_CRITICAL_PAYLOAD, 200) and nothing else; without the critical bit the payload is skipped."""
    ##= rfc7296#section-2.5 type=test
    ##% If the critical flag is set and the payload type is unrecognized, the message MUST be rejected and the response
    ##% to the IKE request containing that payload MUST include a Notify payload UNSUPPORTED_CRITICAL_PAYLOAD
    ##= rfc7296#section-4 type=test
    ##% If the critical bit is set in an unsupported payload header, all implementations MUST reject the messages
    ##= rfc7296#section-2.21.2 type=test
    ##% MUST be rejected in their entirety, and MUST only lead to an UNSUPPORTED_CRITICAL_PAYLOAD or INVALID_SYNTAX
    ##% Notification sent as a response.
    one = pair().up()
    (refusal,) = payloads(asked(one, [CRITICAL], exchange=exchange))
    assert isinstance(refusal, NotifyPayload)
    assert (refusal.notify_type, refusal.data) == (NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, b"\xc8")
    one = pair().up()
    assert payloads(asked(one, [structs.replace(CRITICAL, critical=False)])) == ()
    one.agree()


def test_an_unknown_critical_payload_in_ike_sa_init_makes_no_ike_sa() -> None:
    """I: IKE_SA_INIT with a critical payload nobody knows; R: N(UNSUPPORTED_CRITICAL_PAYLOAD), and keeps nothing."""
    ##= rfc7296#section-2.5 type=test
    ##% If the critical flag is set and the payload type is unrecognized, the message MUST be rejected
    one = pair()
    one.world.impairments.append(lambda mail: [])
    one.ping("R1")
    request = message(one.sent("R1", INIT)[0])
    feed(one, "R2", structs.replace(request, payloads=(*request.payloads, CRITICAL)).encode())
    (refusal,) = message(one.sent("R2", INIT)[0]).payloads
    assert isinstance(refusal, NotifyPayload)
    assert (refusal.notify_type, refusal.data) == (NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, b"\xc8")
    assert one.ike("R2") == []


def test_the_spis_of_a_session_are_all_different() -> None:
    """Four IKE SAs between two routers, eight SPIs, none zero and no two alike."""
    ##= rfc7296#section-2.6 type=test
    ##% Each endpoint chooses one of the two SPIs and MUST choose them so as to be unique identifiers of an IKE SA.
    heads = [header(event) for _, event in all_sent(lively()) if event.exchange != INIT]
    pairs = {(head.spi_i, head.spi_r) for head in heads}
    assert len(pairs) == 3
    assert len({spi for both in pairs for spi in both}) == 6


def cookied(limit: int = 0) -> Pair:
    """R2 asks for a cookie from so many half-open IKE SAs on."""
    one = pair()
    one.core("R2").config = structs.replace(one.core("R2").config, cookie_challenge=limit)
    return one


def test_above_the_watermark_a_cookie_is_asked_for() -> None:
    """R, at its limit of half-open IKE SAs: N(COOKIE) of 1 to 64 octets; I gives it back and is served."""
    ##= rfc7296#section-2.6 type=test
    ##% When a responder detects a large number of half-open IKE SAs, it SHOULD reply to IKE_SA_INIT requests with a
    ##% response containing the COOKIE notification.
    ##= rfc7296#section-2.6 type=test
    ##% The data associated with this notification MUST be between 1 and 64 octets in length (inclusive)
    ##= rfc7296#section-3.1 type=test
    ##% This value MUST be zero in the first message of an IKE initial exchange (including repeats of that message
    ##% including a cookie).
    one = cookied().up()
    one.agree()
    mails = [mail for mail in one.world.mail if headline(mail)[:2] == ("R2", INIT)]
    (notify,) = Message.parse(mails[0].octets).payloads
    assert isinstance(notify, NotifyPayload)
    assert notify.notify_type == NotifyType.COOKIE
    assert 1 <= len(notify.data) <= 64
    requests = one.sent("R1", INIT)
    assert [header(event).spi_r for event in requests] == [bytes(8)] * 2
    assert first(message(requests[1]).payloads, NotifyPayload).data == notify.data
    assert len(one.events("R1", CookieAnswered)) == 1


def test_a_wrong_cookie_counts_as_none() -> None:
    """I: IKE_SA_INIT N(COOKIE) that R never gave; R: a new N(COOKIE), as without one; below the limit: the SA."""
    ##= rfc7296#section-2.6 type=test
    ##% that party MUST ignore the cookie and process the message as if no cookie had been included; usually this means
    ##% sending a response containing a new cookie.
    for limit in (0, 20):
        one = cookied(limit)
        one.world.impairments.append(lambda mail: [])
        one.ping("R1")
        request = message(one.sent("R1", INIT)[0])
        wrong = NotifyPayload(NotifyType.COOKIE, b"not what you gave me")
        feed(one, "R2", structs.replace(request, payloads=(wrong, *request.payloads)).encode())
        (answer,) = [mail for mail in one.world.mail if headline(mail)[:2] == ("R2", INIT)]
        head = Message.parse(answer.octets).payloads[0]
        assert (getattr(head, "notify_type", 0) == NotifyType.COOKIE) == (limit == 0)
        assert len(one.ike("R2")) == (0 if limit == 0 else 1)


def test_a_response_is_never_answered() -> None:
    """Whatever is wrong with a response, its receiver sends nothing because of it."""
    ##= rfc7296#section-3.1 type=test
    ##% An IKE endpoint MUST NOT generate a response to a message that is marked as being a response
    one = pair().up()
    before, mails = len(one.sent("R2")), len(one.world.mail)
    for exchange in (INFO, CREATE, AUTH):
        feed(one, "R2", sealed(one, "R1", [CRITICAL], exchange=exchange, response=True, message_id=1))
        feed(one, "R2", Message(b"\x01" * 8, b"\x02" * 8, exchange, 1, (CRITICAL,), True, True).encode())
    feed(one, "R2", Message(b"\x01" * 8, bytes(8), INIT, 0, (CRITICAL,), False, True).encode())
    lost = sealed(one, "R1", [], response=True, message_id=1)
    feed(one, "R2", lost[:8] + b"\x02" * 8 + lost[16:])
    assert len(one.sent("R2")) == before
    assert len(one.world.mail) == mails
    assert len(drops(one, "R2")) == 8
    one.agree()


@pytest.mark.parametrize("name", BOTH)
def test_closing_an_ike_sa_is_said(name: str) -> None:
    """D(IKE) under the IKE SA that ends, and the peer answers with an empty response."""
    ##= rfc7296#section-2.4 type=test
    ##% an IKE endpoint SHOULD send a Delete payload indicating that it has closed the IKE SA
    one = pair().up()
    one.ask(name, Clear())
    one.world.run(1)
    assert [event.inner for event in one.sent(name, INFO)] == [("DELETE",)]
    assert [event.inner for event in one.sent(other(name), INFO)] == [()]
    one.quiet(timers=2)


def test_an_answer_has_the_message_id_and_flags_of_its_request() -> None:
    """Each response of a session has the message ID, exchange and SPIs of one request, and comes once."""
    ##= rfc7296#section-3.1 type=test
    ##% This bit MUST be cleared in all request messages and MUST be set in all responses.
    asks: list[tuple[bytes, int, int, str]] = []
    answers: list[tuple[bytes, int, int, str]] = []
    for name, event in all_sent(lively()):
        head = header(event)
        key = (head.spi_i, head.message_id, head.exchange, name if not event.response else other(name))
        (answers if head.flags & FLAG_RESPONSE else asks).append(key)
    assert sorted(asks) == sorted(answers)
    assert len(set(asks)) == len(asks)


def test_a_rekey_crosses_a_request_of_the_peer() -> None:
    """R1: CREATE_CHILD_SA | R2: INFORMATIONAL {}: both are answered, neither waits for the other."""
    ##= rfc7296#section-2.3 type=test
    ##% An IKE endpoint MUST be prepared to accept and process a request while it has a request outstanding
    one = pair().up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.ask("R2", Probe())
    one.world.run(8)
    one.agree()
    assert len(one.sent("R1", INFO, response=True)) >= 1
