"""What the tests of RFC 7296's sentences share: whole sessions, and the payloads of every message in them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tests.support.world import BOTH, Pair, Side, feed, pair, sealed

from ikescope.engine.commands import Clear, ClearChild, Probe, Rekey
from ikescope.events.message import MessageDropped, MessageSent
from ikescope.wire.header import Header
from ikescope.wire.message import Message, parse_chain
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, PayloadType

P = TypeVar("P", bound=Payload)

INIT, AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH
CREATE, INFO = ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL


def payloads(event: MessageSent) -> tuple[Payload, ...]:
    """The payloads of a message that was sent, those inside its Encrypted payload where it has one."""
    if isinstance(event.opened, bytes):
        assert isinstance(event.opened_first, int)
        return parse_chain(PayloadType.of(event.opened_first), event.opened, inside=True)
    return message(event).payloads


def message(event: MessageSent) -> Message:
    """The message of an event, its Encrypted payload closed."""
    assert isinstance(event.octets, bytes)
    return Message.parse(event.octets)


def header(event: MessageSent) -> Header:
    """The IKE header of a message that was sent."""
    assert isinstance(event.octets, bytes)
    return Header.parse(event.octets)


def all_sent(one: Pair) -> Iterator[tuple[str, MessageSent]]:
    """Every message of a session with its sender's name."""
    for name in BOTH:
        yield from ((name, event) for event in one.sent(name))


def first(chain: Sequence[Payload], form: type[P]) -> P:
    """The first payload of a class; there must be one."""
    return next(payload for payload in chain if isinstance(payload, form))


def every(one: Pair, form: type[P]) -> list[P]:
    """All payloads of a class that a session's routers sent."""
    return [payload for _, event in all_sent(one) for payload in payloads(event) if isinstance(payload, form)]


def other(name: str) -> str:
    """The other router."""
    return "R2" if name == "R1" else "R1"


def drops(one: Pair, name: str) -> list[str]:
    """Why a router dropped what it dropped."""
    return [event.trigger.name for event in one.events(name, MessageDropped)]


@functools.cache
def lively(ike: str = "cbc", esp: str = "cbc") -> Pair:
    """A session with every exchange from both ends: two tunnels, rekeys, liveness, deletes. Only to be read."""
    one = pair(Side(ike=ike, esp=esp, second=True, pfs=19)).up()
    one.up(third=1)
    for name in BOTH:
        one.ask(name, Rekey(spi=one.children(name)[0].inbound))
        one.world.run(8)
        one.ask(name, Rekey())
        one.world.run(8)
        one.ask(name, Probe())
        one.world.run(1)
    one.agree(children=2)
    one.ask("R2", ClearChild(spi=one.children("R2")[0].inbound))
    one.world.run(8)
    one.ask("R1", Clear())
    one.world.run(1)
    one.quiet(timers=4)
    return one


def asked(one: Pair, chain: Sequence[Payload], *, exchange: ExchangeType = INFO, by: str = "R1") -> MessageSent:
    """One router asks the other; the answer to it, at once."""
    answers = len(one.sent(other(by), exchange, response=True))
    feed(one, other(by), sealed(one, by, chain, exchange=exchange))
    found = one.sent(other(by), exchange, response=True)
    assert len(found) == answers + 1, one.story()
    return found[-1]
