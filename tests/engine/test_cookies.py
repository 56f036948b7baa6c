"""A responder's cookies: when they are asked for, what they are bound to, how long they hold."""

from ipaddress import IPv4Address

import pytest
from msgspec import structs
from tests.support.world import Side, configuration

from ikescope.engine import cookies
from ikescope.engine.commands import Connect, Destination, Send
from ikescope.engine.context import Core
from ikescope.engine.endpoint import Endpoint
from ikescope.engine.parameters import Parameters
from ikescope.wire.message import Message
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import NotifyType

SPI, NONCE = b"\x11" * 8, b"\x22" * 32
PEER = "192.0.2.1"
PATH = Destination(IPv4Address("192.0.2.2"), 500, IPv4Address("192.0.2.1"), 500)


class Counter:
    """Octets that never repeat, for `random`."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, size: int) -> bytes:
        """`size` octets."""
        self.count += 1
        return self.count.to_bytes(4, "big").rjust(size, b"\x5a")[-size:]


def core(limit: int | None = 0) -> Core:
    """What a responder's engine shares, with `crypto ikev2 cookie-challenge`."""
    config = structs.replace(configuration("R2", Side()), cookie_challenge=limit)
    return Core(config, random=Counter(), now=0.0, wall=0.0, parameters=Parameters())


@pytest.mark.parametrize(("limit", "asked"), [(None, False), (0, True), (1, False)])
def test_cookies_are_asked_for_from_the_watermark_on(limit: int | None, asked: bool) -> None:
    """Cookies begin at as many half-open IKE SAs as the command says, at 20 without it."""
    assert cookies.wanted(core(limit)) is asked


def test_a_cookie_holds_for_its_own_request_alone() -> None:
    """A cookie is bound to nonce, address and SPI of the request that it answered; nothing else verifies."""
    one = core()
    data = cookies.cookie(one, SPI, NONCE, PEER)
    ##= rfc7296#section-2.6
    ##= type=test
    ##% The data associated with this notification MUST
    ##% be between 1 and 64 octets in length (inclusive)
    assert 1 <= len(data) <= 64
    assert cookies.verifies(one, data, SPI, NONCE, PEER)
    assert not cookies.verifies(one, data, SPI, NONCE, "192.0.2.9")
    assert not cookies.verifies(one, data, b"\x12" * 8, NONCE, PEER)
    assert not cookies.verifies(one, data, SPI, b"\x23" * 32, PEER)
    assert not cookies.verifies(one, data[:-1], SPI, NONCE, PEER)
    assert not cookies.verifies(core(), b"", SPI, NONCE, PEER)


def test_a_cookie_outlives_one_change_of_the_secret() -> None:
    """The secret changes each minute; a cookie of the one before still counts, an older one does not."""
    one = core()
    data = cookies.cookie(one, SPI, NONCE, PEER)
    one.now = cookies.SECRET_SECONDS
    assert cookies.verifies(one, data, SPI, NONCE, PEER)
    assert cookies.cookie(one, SPI, NONCE, PEER) != data
    one.now = 2 * cookies.SECRET_SECONDS
    assert not cookies.verifies(one, data, SPI, NONCE, PEER)


def test_the_secret_prints_nothing() -> None:
    """The secret is in no repr."""
    one = core()
    cookies.cookie(one, SPI, NONCE, PEER)
    assert repr(one.cookie_secret) == "<cookie secret 1>"


def exchange(responder: Endpoint, octets: bytes, path: Destination = PATH) -> Message:
    """What the responder answers to an IKE_SA_INIT request."""
    responder.receive(octets, path, 0.0)
    (answer,) = [command for command in responder.commands() if isinstance(command, Send)]
    return Message.parse(answer.octets)


def test_nothing_is_kept_before_the_cookie_comes_back() -> None:
    """I: IKE_SA_INIT; R: N(COOKIE), no state; I: IKE_SA_INIT N(COOKIE); R: IKE_SA_INIT (RFC 7296 section 2.6)."""
    initiator = Endpoint(configuration("R1", Side()), random=Counter(), now=0.0, wall=0.0)
    config = structs.replace(configuration("R2", Side()), cookie_challenge=0)
    responder = Endpoint(config, random=Counter(), now=0.0, wall=0.0)
    request = first_request(initiator)
    asked = exchange(responder, request)
    (notify,) = asked.payloads
    assert isinstance(notify, NotifyPayload)
    assert (notify.notify_type, asked.spi_r) == (NotifyType.COOKIE, bytes(8))
    assert not responder.core.sas
    assert not responder.core.half_open
    wrong = with_cookie(request, bytes(33))
    assert [payload.kind for payload in exchange(responder, wrong).payloads] == [notify.kind]
    answered = exchange(responder, with_cookie(request, notify.data))
    assert any(answered.spi_r)
    assert len(responder.core.half_open) == 1


def with_cookie(request: bytes, data: bytes) -> bytes:
    """The request once more, with a cookie first."""
    message = Message.parse(request)
    payloads = (NotifyPayload(NotifyType.COOKIE, data), *message.payloads)
    return structs.replace(message, payloads=payloads).encode()


def first_request(initiator: Endpoint) -> bytes:
    """An IKE_SA_INIT request towards R2."""
    initiator.request(Connect(tunnel="Tunnel0"), 0.0)
    (sent,) = [command for command in initiator.commands() if isinstance(command, Send)]
    return sent.octets
