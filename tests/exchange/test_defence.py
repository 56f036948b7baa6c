"""What senders who have proven nothing can cause: cookies, limits, small answers, little memory (RFC 7296 2.6)."""

from __future__ import annotations

import hmac
from ipaddress import IPv4Address

import pytest
from msgspec import structs
from tests.support.world import ADDRESSES, Pair, Side, feed, headline, impair, pair

from ikescope.engine import cookies, limits, opening, stateless
from ikescope.engine.commands import Destination
from ikescope.events.life import LivenessSent, StateChanged
from ikescope.events.message import DropTrigger, MessageDropped, MessageSent, UnverifiedCounted
from ikescope.events.negotiation import ExchangeFailed
from ikescope.ios.configuration import load
from ikescope.sim.world import Mail
from ikescope.wire.header import HEADER_OCTETS
from ikescope.wire.message import Message
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType

INIT = ExchangeType.IKE_SA_INIT
PEERS = 30
"""So many peers the responder of the floods has, from 198.51.100.1 on."""


def many_peers(*lines: str) -> Pair:
    """R1 and R2; R2 has tunnels to many other peers as well."""
    one = pair()
    text = [
        "hostname R2",
        "crypto ikev2 keyring K",
        " peer ALL",
        "  address 0.0.0.0 0.0.0.0",
        "  pre-shared-key a-key-of-these-tests",
        "crypto ikev2 profile default",
        " match identity remote any",
        " authentication remote pre-share",
        " authentication local pre-share",
        " keyring local K",
        *lines,
        "interface GigabitEthernet1",
        " ip address 192.0.2.2 255.255.255.0",
    ]
    for number in range(PEERS):
        destination = "192.0.2.1" if not number else f"198.51.100.{number}"
        text += [
            f"interface Tunnel{number}",
            f" ip address 10.0.{number}.2 255.255.255.252",
            " tunnel source GigabitEthernet1",
            f" tunnel destination {destination}",
            " tunnel protection ipsec profile default",
        ]
    one.world.remove("R2")
    one.world.add(load("\n".join(text), name="R2.cfg"))
    return one


def request() -> bytes:
    """An IKE_SA_INIT request of R1's."""
    one = pair(Side(ike="cbc"))
    one.ping("R1")
    (first,) = one.sent("R1", INIT)
    assert isinstance(first.octets, bytes)
    return first.octets


REQUEST = request()


def forged(number: int) -> bytes:
    """The request with a SPI of its own."""
    return (number + 1).to_bytes(8, "big") + REQUEST[8:]


def peer(number: int) -> IPv4Address:
    """The address of one of the many peers."""
    return IPv4Address("198.51.100.1") + number % (PEERS - 1)


def flood(one: Pair, count: int, *, first: int = 0) -> list[Mail]:
    """Forged requests from all the peers at once; what R2 answered."""
    before = len(one.world.mail)
    for number in range(first, first + count):
        feed(one, "R2", forged(number), source=peer(number))
    return one.world.mail[before:]


def answer(one: Pair, octets: bytes, *, source: IPv4Address | None = None) -> list[bytes]:
    """What R2 answers to a datagram."""
    before = len(one.world.mail)
    feed(one, "R2", octets, source=source)
    return [mail.octets for mail in one.world.mail[before:]]


def kinds(mails: list[Mail]) -> list[tuple[str, ...]]:
    """Notify names of IKE_SA_INIT messages, in their order."""
    return [
        tuple(one.notify_type.name for one in Message.parse(mail.octets).payloads if isinstance(one, NotifyPayload))[:1]
        for mail in mails
    ]


def inits(one: Pair) -> list[tuple[str, str]]:
    """The IKE_SA_INIT messages so far: who sent them, and the first payload."""
    shown = []
    for mail in one.world.mail:
        who, exchange, _, _ = headline(mail)
        if exchange == INIT:
            shown.append((who, Message.parse(mail.octets).payloads[0]))
    return [(who, one.notify_type.name if isinstance(one, NotifyPayload) else "SA") for who, one in shown]


GROUPS = Side(groups=(19, 14)), Side(groups=(14,))


def test_a_cookie_comes_before_the_group() -> None:
    """I: SA KE Ni; R: COOKIE; I: COOKIE SA KE Ni; R: INVALID_KE_PAYLOAD; I: COOKIE SA KE' Ni; R: SA KE Nr (2.6.1)."""
    ##= rfc7296#section-2.6.1 type=test
    ##% Implementations SHOULD support this shorter exchange, but MUST NOT
    ##% fail if other implementations do not support this shorter exchange.
    one = pair(*GROUPS)
    core = one.core("R2")
    core.config = structs.replace(core.config, cookie_challenge=0)
    one.up()
    assert inits(one) == [
        ("R1", "SA"),
        ("R2", "COOKIE"),
        ("R1", "COOKIE"),
        ("R2", "INVALID_KE_PAYLOAD"),
        ("R1", "COOKIE"),
        ("R2", "SA"),
    ]
    one.agree()


def test_a_cookie_comes_after_the_group() -> None:
    """I: SA KE Ni; R: INVALID_KE_PAYLOAD; I: SA KE' Ni; R: COOKIE; I: COOKIE SA KE' Ni; R: SA KE Nr (2.6.1)."""
    one = pair(*GROUPS)
    core = one.core("R2")

    def ask_from_now_on(mail: Mail) -> bool:
        if headline(mail)[:2] == ("R2", INIT):
            core.config = structs.replace(core.config, cookie_challenge=0)
        return False

    impair(one.world, ask_from_now_on, [])
    one.up()
    assert [what for _, what in inits(one)] == ["SA", "INVALID_KE_PAYLOAD", "SA", "COOKIE", "COOKIE", "SA"]
    one.agree()


def test_an_initiator_that_forgets_its_cookie_gets_another() -> None:
    """I: SA KE' Ni without the cookie after INVALID_KE_PAYLOAD; R: COOKIE once more, and no failure (2.6.1)."""
    one = many_peers("crypto ikev2 cookie-challenge 0")
    for _ in range(3):
        (reply,) = answer(one, REQUEST)
        (notify,) = Message.parse(reply).payloads
        assert isinstance(notify, NotifyPayload)
        assert notify.notify_type == NotifyType.COOKIE
    assert not one.core("R2").sas


def test_cookies_begin_at_twenty_half_open_ike_sas() -> None:
    """Forger: requests of many peers: 20 are taken, from then on each is answered with a cookie and forgotten."""
    one = many_peers()
    answers = kinds(flood(one, 50))
    assert answers[20:] == [("COOKIE",)] * 30
    assert len(one.core("R2").half_open) == cookies.DEFAULT_LIMIT == 20


def test_one_address_has_to_return_cookies_sooner() -> None:
    """Forger: requests of one peer: at 10 half-open it is asked for a cookie, while other peers are not."""
    one = many_peers()
    for number in range(limits.UNPROVEN_PER_PEER + 5):
        answer(one, forged(number), source=peer(0))
    assert len(one.core("R2").half_open) == limits.UNPROVEN_PER_PEER
    (reply,) = answer(one, forged(99), source=peer(1))
    assert Message.parse(reply).payloads[0].kind == PayloadType.SA


def test_a_flood_makes_no_event_and_no_object_for_each_datagram() -> None:
    """Forger: thousands of requests: a bounded number of events, counters for the rest, nothing kept."""
    one = many_peers()
    station = one.station("R2")
    flood(one, 3000)
    one.world.run(2)
    assert len(station.records) < 2500
    before = len(station.records)
    core, count = one.core("R2"), 2000
    flood(one, count, first=3000)
    assert len(station.records) - before < count // 4
    counted = sum(event.cookies for event in one.events("R2", UnverifiedCounted))
    one.world.run(2)
    assert sum(event.cookies for event in one.events("R2", UnverifiedCounted)) >= counted + count - 100
    assert len(core.half_open) == len(core.sas) == len(core.accepted) == len(core._ids) == 20
    one.world.run(100)
    assert not core.half_open
    assert not core.sas
    assert not core.accepted
    assert not core._ids
    assert core.timers.armed() == 0


def test_an_honest_peer_comes_up_in_the_flood() -> None:
    """Forger floods, also with R1's address; I: SA KE Ni; R: COOKIE; I: COOKIE SA KE Ni; R: SA KE Nr; IKE_AUTH."""
    one = pair()
    for number in range(500):
        feed(one, "R2", forged(number))
    one.up()
    assert one.events("R2", UnverifiedCounted)
    one.world.run(100)
    one.agree()


def test_strangers_and_unknown_spis_are_counted_only_in_a_flood() -> None:
    """Stranger: requests and encrypted messages by the thousand: no answer, and few events."""
    one = many_peers()
    for number in range(2000):
        feed(one, "R2", forged(number), source=IPv4Address("203.0.113.1") + number)
        feed(one, "R2", unknown(number), source=IPv4Address("203.0.113.1") + number)
        feed(one, "R2", b"\xff", source=peer(0), port=4500)
    one.world.run(2)
    assert not [mail for mail in one.world.mail if mail.path.local == ADDRESSES["R2"]]
    assert len(one.events("R2", MessageDropped)) <= stateless.BURST + 2 * stateless.PER_SECOND
    assert sum(event.silent for event in one.events("R2", UnverifiedCounted)) > 5000


def unknown(number: int, *, response: bool = False, version: int = 0x20, size: int = 80) -> bytes:
    """An encrypted message for an IKE SA that nobody has."""
    flags = 0x08 | (0x20 if response else 0)
    spis = (number + 1).to_bytes(8, "big") + bytes(7) + b"\x09"
    head = spis + bytes((PayloadType.SK, version, ExchangeType.INFORMATIONAL, flags)) + (7).to_bytes(4, "big")
    return head + size.to_bytes(4, "big") + bytes((0, 0)) + (size - 28).to_bytes(2, "big") + bytes(size - 32)


UNPROTECTED: dict[str, tuple[bytes, NotifyType]] = {
    "unknown SPI": (unknown(1), NotifyType.INVALID_IKE_SPI),
    "version 3": (unknown(1, version=0x30), NotifyType.INVALID_MAJOR_VERSION),
}


@pytest.mark.parametrize("case", UNPROTECTED)
def test_errors_outside_an_ike_sa_are_answered_as_the_rfc_says(case: str) -> None:
    """I: a request that cannot be processed; R: one notify, in the clear, SPIs and message ID copied (1.5, 2.21.4)."""
    ##= rfc7296#section-2.21.4 type=test
    ##% If a response is sent, the response MUST be sent to the IP
    ##% address and port from where it came with the same IKE SPIs and the
    ##% Message ID copied.
    octets, notify = UNPROTECTED[case]
    one = pair()
    (reply,) = answer(one, octets)
    message = Message.parse(reply)
    (payload,) = message.payloads
    assert isinstance(payload, NotifyPayload)
    assert (payload.notify_type, payload.data, payload.spi) == (notify, b"", b"")
    assert reply[:16] + reply[18:19] + reply[20:24] == octets[:16] + octets[18:19] + octets[20:24]
    assert (message.response, message.initiator, reply[17]) == (True, False, 0x20)
    assert len(reply) <= len(octets)


@pytest.mark.parametrize("case", UNPROTECTED)
def test_no_error_goes_to_strangers_responses_or_small_requests(case: str) -> None:
    """Forger: a response, a request of 28 octets, a stranger's request: silence (RFC 7296 section 2.21.4)."""
    ##= rfc7296#section-2.21.4 type=test
    ##% If the message is marked as a response, the node can audit the
    ##% suspicious event but MUST NOT respond.
    octets, _ = UNPROTECTED[case]
    one = pair()
    assert answer(one, octets[:19] + bytes((octets[19] | 0x20,)) + octets[20:]) == []
    short = octets[:24] + HEADER_OCTETS.to_bytes(4, "big")
    assert answer(one, short) == []
    assert answer(one, octets, source=IPv4Address("203.0.113.9")) == []


def test_errors_outside_an_ike_sa_are_few() -> None:
    """Forger: a hundred requests with unknown SPIs in one second: ten are answered (RFC 7296 section 2.21.4)."""
    ##= rfc7296#section-2.21.4 type=test
    ##% A node needs to limit the rate at which it will send messages in
    ##% response to unprotected messages.
    one = pair()
    replies = [reply for number in range(100) for reply in answer(one, unknown(number))]
    assert len(replies) == stateless.HINTS_PER_SECOND
    one.world.run(1.5)
    assert len(answer(one, unknown(200))) == 1


def test_a_lower_version_gets_no_answer() -> None:
    """An IKEv1 message: dropped, no answer (RFC 7296 section 2.5 speaks of higher versions only)."""
    assert answer(pair(), unknown(1, version=0x10)) == []


def test_an_unprotected_error_makes_us_ask_once() -> None:
    """Forger: N(INVALID_IKE_SPI) in the clear, again and again: one liveness check in 30 s, no more (2.21.4)."""
    ##= rfc7296#section-2.21.4 type=test
    ##% An implementation
    ##% SHOULD limit the frequency of such tests to avoid being tricked into
    ##% participating in a DoS attack.
    one = pair().up()
    sa = one.one_ike("R1")
    states = len(one.events("R1", StateChanged))
    for kind in (NotifyType.INVALID_IKE_SPI, NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX) * 10:
        hint = Message(sa.spi_i, sa.spi_r, ExchangeType.INFORMATIONAL, 3, (NotifyPayload(kind),), False, True)
        feed(one, "R1", hint.encode())
        one.world.run(1)
    assert len(one.events("R1", LivenessSent)) == 1
    assert len(one.events("R1", StateChanged)) == states
    one.world.run(20)
    feed(one, "R1", hint.encode())
    assert len(one.events("R1", LivenessSent)) == 2
    one.world.run(2)
    one.agree()


def unauthenticated() -> dict[str, bytes]:
    """Requests that nobody vouches for, the smallest of their kind that are answered."""
    message = Message.parse(REQUEST)
    kept = {kind: next(one for one in message.payloads if one.kind == kind) for kind in (33, 34, 40)}

    def of(*payloads: Payload, **changes: object) -> bytes:
        return structs.replace(message, payloads=payloads, **changes).encode()

    wrong = pair(Side(ike="modp"), Side(ike="cbc"))
    wrong.ping("R1")
    (other,) = wrong.sent("R1", INIT)
    assert isinstance(other.octets, bytes)
    return {
        "smallest request": of(kept[33], kept[34], kept[40]),
        "whole request": REQUEST,
        "no proposal fits": other.octets,
        "no nonce": of(kept[33], kept[34]),
        "nothing at all": of(),
        "unknown SPI": unknown(1),
        "smallest unknown SPI": unknown(1, size=36),
        "version 3": unknown(1, version=0x30),
        "version 3, 36 octets": unknown(1, version=0x30, size=36),
    }


STATELESS = {
    NotifyType.COOKIE,
    NotifyType.INVALID_KE_PAYLOAD,
    NotifyType.INVALID_MAJOR_VERSION,
    NotifyType.INVALID_IKE_SPI,
}


@pytest.mark.parametrize("case", unauthenticated())
@pytest.mark.parametrize("threshold", ["0", "1000"])
def test_no_answer_to_an_unverified_address_amplifies(case: str, threshold: str) -> None:
    """The stateless answers are never larger than what they answer, no other is above three times it."""
    octets = unauthenticated()[case]
    one = many_peers(f"crypto ikev2 cookie-challenge {threshold}")
    for reply in answer(one, octets):
        message = Message.parse(reply)
        assert len(reply) <= 3 * len(octets)
        first = message.payloads[0]
        if isinstance(first, NotifyPayload) and first.notify_type in STATELESS:
            assert len(reply) <= len(octets)


def test_a_request_repeated_for_ever_is_answered_ten_times() -> None:
    """Forger: one request again and again: ten repeated responses, and the IKE SA is gone after a minute at most."""
    one = pair()
    replies = [reply for _ in range(30) for reply in answer(one, REQUEST)]
    assert len(replies) == 1 + opening.MOST_REPEATS
    assert len(set(replies)) == 1
    one = pair()
    for _ in range(30):
        feed(one, "R2", REQUEST)
        assert len(one.core("R2").sas) <= 1
        one.world.run(7)
        if not one.core("R2").half_open:
            break
    assert one.world.now < 1000 + 70


def test_the_peers_cookie_gives_it_no_end_of_half_open_ike_sas() -> None:
    """Attacker: returns its cookies from a true address: 20 half-open IKE SAs of it are kept, then none is begun."""
    one = many_peers("crypto ikev2 cookie-challenge 0")
    for number in range(limits.PROVEN_PER_PEER + 5):
        (reply,) = answer(one, forged(number), source=peer(0))
        (cookie,) = Message.parse(reply).payloads
        message = Message.parse(forged(number))
        again = structs.replace(message, payloads=(cookie, *message.payloads))
        answer(one, again.encode(), source=peer(0))
    assert len(one.core("R2").half_open) == limits.PROVEN_PER_PEER
    triggers = [event.trigger for event in one.events("R2", MessageDropped)]
    assert triggers == [DropTrigger.HALF_OPEN_LIMIT] * 5


def test_ios_limits_incoming_negotiations() -> None:
    """`crypto ikev2 limit max-in-negotation-sa 3 incoming`: the fourth half-open IKE SA does not begin."""
    one = many_peers("crypto ikev2 limit max-in-negotation-sa 3 incoming")
    flood(one, 10)
    assert len(one.core("R2").half_open) == 3
    assert {event.trigger for event in one.events("R2", MessageDropped)} == {DropTrigger.HALF_OPEN_LIMIT}


def test_ios_limits_all_ike_sas() -> None:
    """`crypto ikev2 limit max-sa 2`: with two IKE SAs no third one begins, by the peer or by us."""
    one = many_peers("crypto ikev2 limit max-sa 2")
    flood(one, 5)
    assert len(one.core("R2").sas) == 2
    assert {event.trigger for event in one.events("R2", MessageDropped)} == {DropTrigger.SA_LIMIT}


def test_ios_limits_outgoing_negotiations() -> None:
    """`max-in-negotation-sa outgoing` is reached: we begin no more, say so, and its packets do not wait."""
    one = pair()
    core = one.core("R1")
    core.config = structs.replace(core.config, max_negotiating_out=0)
    one.ping("R1")
    assert not core.sas
    (failed,) = one.events("R1", ExchangeFailed)
    assert "max-in-negotation-sa outgoing" in failed.why
    assert not one.station("R1").plane.waiting()


def test_cookies_and_auth_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cookie, AUTH and ICV of IKE and ESP all pass through hmac.compare_digest."""
    sizes: list[int] = []
    true = hmac.compare_digest

    def compare(had: bytes, wanted: bytes) -> bool:
        sizes.append(len(wanted))
        return true(had, wanted)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    one = pair()
    core = one.core("R2")
    core.config = structs.replace(core.config, cookie_challenge=0)
    one.up()
    assert {1 + 32, 64, 32} <= set(sizes)


def test_a_repeat_from_another_port_is_answered_there() -> None:
    """I: IKE_SA_INIT, then the same from another port, for a NAT rebooted: R: the same response, to that port."""
    one = pair()
    (first,) = answer(one, REQUEST)
    station = one.station("R2")
    path = Destination(ADDRESSES["R2"], 500, ADDRESSES["R1"], 7777)
    station.node.receive(REQUEST, path, one.world.now)
    one.world.settle(station)
    again = one.world.mail[-1]
    assert (again.octets, again.path.remote_port) == (first, 7777)
    assert len(one.core("R2").sas) == 1


def test_events_of_a_flood_say_what_was_sent() -> None:
    """Below a flood each cookie is told: what came, what was answered; the stamp names the peer."""
    one = many_peers("crypto ikev2 cookie-challenge 0")
    answer(one, REQUEST)
    (sent,) = one.events("R2", MessageSent)
    assert sent.payloads == ("NOTIFY(COOKIE)",)
