"""Every state of an IKE SA meets every kind of message, intent and report (RFC 7296 sections 2.1 to 2.4, 2.21)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

import pytest
from tests.support.world import ADDRESSES, Pair, Side, feed, headline, impair, pair

from ikescope.crypto.envelope import Envelope
from ikescope.engine.commands import (
    Acquire,
    Clear,
    ClearChild,
    Connect,
    Destination,
    Expired,
    Installed,
    Intent,
    PeerMoved,
    Probe,
    Refused,
    Rekey,
    Report,
    Traffic,
)
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import CHILD_TRANSITIONS, IKE_TRANSITIONS, ChildState, IkeState
from ikescope.events import SelectorFact
from ikescope.events.message import MessageSent
from ikescope.wire.delete import DeletePayload
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE
from ikescope.wire.message import Message, encode_chain
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from ikescope.wire.unknown import UnknownPayload

EXCHANGES = (34, 35, 36, 37, 43)
"""Those of RFC 7296, and one that nobody asked for (IKE_INTERMEDIATE)."""
INIT, AUTH, INFO = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.INFORMATIONAL
SIDE = Side(ike="gcm", esp="gcm")
OTHER = {"R1": "R2", "R2": "R1"}
NOTIFIES = (
    NotifyType.TEMPORARY_FAILURE,
    NotifyType.CHILD_SA_NOT_FOUND,
    NotifyType.NO_PROPOSAL_CHOSEN,
    NotifyType.INVALID_KE_PAYLOAD,
    NotifyType.AUTHENTICATION_FAILED,
    NotifyType.INVALID_SYNTAX,
    NotifyType.INITIAL_CONTACT,
    NotifyType.COOKIE,
)


WAITING = (IkeState.INIT_SENT, IkeState.AUTH_SENT, IkeState.REKEYING, IkeState.DELETING)
"""States in which a request of ours is in flight."""


@dataclass
class Scene:
    """A router whose IKE SA stands in a state, and the keys with which its peer speaks to it, where there are any."""

    one: Pair
    name: str
    sa: IkeSa
    envelope: Envelope | None

    def intact(self, state: IkeState) -> bool:
        """Whether the IKE SA still is where the scene put it, with the request in flight that it had."""
        return self.sa.state is state and (state not in WAITING or bool(self.sa.out.in_flight))


def _deaf(one: Pair) -> None:
    """From now on nothing arrives anywhere."""
    impair(one.world, lambda _: True, [], times=None)


def _seen(one: Pair, name: str, state: IkeState) -> Scene:
    (sa,) = (sa for sa in one.ike(name) if sa.state is state)
    other = one.core(OTHER[name]).sas.get(sa.remote_spi)
    return Scene(one, name, sa, None if other is None else other.envelope)


def scene(state: IkeState) -> Scene:
    """Two routers that have talked until the IKE SA of one of them stands in a state."""
    one = pair(SIDE)
    if state is IkeState.INIT_SENT:
        _deaf(one)
        one.ping("R1")
        return _seen(one, "R1", state)
    if state in (IkeState.INIT_DONE, IkeState.AUTH_SENT):
        impair(one.world, lambda mail: headline(mail)[1] == AUTH, [], times=None)
        one.ping("R1")
        one.world.run(0.1)
        return _seen(one, "R1" if state is IkeState.AUTH_SENT else "R2", state)
    one.up()
    if state is IkeState.REKEYED:
        impair(one.world, lambda mail: headline(mail)[1] == INFO, [], times=None)
        one.ask("R1", Rekey())
        one.world.run(0.1)
        return _seen(one, "R2", state)
    _deaf(one)
    found = _seen(one, "R1", IkeState.ESTABLISHED)
    steps: dict[IkeState, Intent] = {
        IkeState.REKEYING: Rekey(),
        IkeState.DELETING: Clear(),
        IkeState.CLOSED: Clear(fast=True),
    }
    if state in steps:
        one.ask("R1", steps[state])
    return found


@cache
def learned() -> tuple[dict[tuple[int, bool], list[tuple[int, bytes]]], dict[bool, bytes]]:
    """What a whole life says: opened chains by exchange and direction, and the two messages of IKE_SA_INIT."""
    one = pair(SIDE).up()
    for intent in (Rekey(), Rekey(spi=one.one_child("R1").inbound), Probe(), ClearChild(), Clear()):
        one.ask("R1", intent)
        one.world.run(10)
    chains: dict[tuple[int, bool], list[tuple[int, bytes]]] = {}
    first: dict[bool, bytes] = {}
    for event in (*one.events("R1", MessageSent), *one.events("R2", MessageSent)):
        if isinstance(event.opened, bytes) and isinstance(event.opened_first, int):
            known = chains.setdefault((int(event.exchange), event.response), [])
            if len(event.opened) not in [len(octets) for _, octets in known]:
                known.append((event.opened_first, event.opened))
        elif isinstance(event.octets, bytes):
            first.setdefault(event.response, event.octets)
    return chains, first


def payloads(scene: Scene) -> Iterator[list[Payload]]:
    """Short contents: nothing, each Delete, each error notify, a payload that is critical and unknown."""
    child = next(iter(scene.sa.children.values()), None)
    spi = (0x12345678 if child is None else child.outbound).to_bytes(4, "big")
    yield []
    yield [DeletePayload(ProtocolId.IKE)]
    yield [DeletePayload(ProtocolId.ESP, (spi,))]
    yield [DeletePayload(ProtocolId.ESP, (b"\xff" * 4,))]
    yield [NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, spi)]
    for kind in NOTIFIES:
        yield [NotifyPayload(kind, b"\x00\x0e")]
    yield [UnknownPayload(PayloadType.of(200), b"?", critical=True)]


def contents(scene: Scene, exchange: int, response: bool) -> list[tuple[int, bytes]]:
    """Chains to put into an envelope: those above, and what a true peer says in this exchange."""
    return [*map(encode_chain, payloads(scene)), *learned()[0].get((exchange, response), [])]


def _flags(scene: Scene, response: bool) -> int:
    return (0 if scene.sa.initiator else FLAG_INITIATOR) | (FLAG_RESPONSE if response else 0)


def _number(scene: Scene, response: bool) -> int:
    """The message ID that the receiver expects: of its request in flight, or of the peer's next request."""
    return next(iter(scene.sa.out.in_flight), 0) if response else scene.sa.into.lowest


def _sealed(scene: Scene, exchange: int, response: bool, number: int, chain: tuple[int, bytes]) -> bytes:
    assert scene.envelope is not None
    head = scene.sa.spi_i, scene.sa.spi_r, exchange, _flags(scene, response), number
    return scene.envelope.seal(*head, *chain, scene.one.core(scene.name).random)


Step = Iterator[tuple[Scene, bytes]]


def _protected(scene: Scene, exchange: int, response: bool) -> Iterator[bytes]:
    """With the peer's keys and the message ID that is awaited."""
    if scene.envelope is not None:
        for chain in contents(scene, exchange, response):
            yield _sealed(scene, exchange, response, _number(scene, response), chain)


def _unprotected(scene: Scene, exchange: int, response: bool) -> Iterator[bytes]:
    """In the clear, with the right SPIs; in IKE_SA_INIT also what a true peer says."""
    kind, initiator = ExchangeType.of(exchange), not scene.sa.initiator
    for chain in payloads(scene):
        number = _number(scene, response)
        yield Message(scene.sa.spi_i, scene.sa.spi_r, kind, number, tuple(chain), initiator, response).encode()
    if exchange == INIT:
        true = learned()[1][response]
        yield scene.sa.spi_i + true[8:]
        yield scene.sa.spi_i + scene.sa.spi_r + true[16:]


def _garbage(scene: Scene, exchange: int, response: bool) -> Iterator[bytes]:
    """An Encrypted payload that nobody's key opens, cut at several places, and octets that are no message."""
    body = bytes(range(64))
    for length in (0, 7, 8, 24, 64):
        for kind in (46, 53):
            head = scene.sa.spi_i + scene.sa.spi_r + bytes((kind, 0x20, exchange, _flags(scene, response)))
            total = 28 + 4 + length
            chain = bytes((0, 0)) + (4 + length).to_bytes(2, "big") + body[:length]
            yield head + _number(scene, response).to_bytes(4, "big") + total.to_bytes(4, "big") + chain
    yield scene.sa.spi_i + scene.sa.spi_r + body


def _old(scene: Scene, exchange: int, response: bool) -> Iterator[bytes]:
    """With the peer's keys and message IDs of the past: with other content, and below the window."""
    if scene.envelope is not None:
        for chain in contents(scene, exchange, response):
            for back in (1, 9):
                number = (_number(scene, response) - back) % 2**32
                yield _sealed(scene, exchange, response, number, chain)


def _beyond(scene: Scene, exchange: int, response: bool) -> Iterator[bytes]:
    """With the peer's keys and message IDs of the future: beyond the window, and the last one there is."""
    if scene.envelope is not None:
        for chain in contents(scene, exchange, response):
            for number in (_number(scene, response) + scene.sa.into.size, 2**32 - 1):
                yield _sealed(scene, exchange, response, number, chain)


KINDS = {
    "protected": _protected,
    "unprotected": _unprotected,
    "garbage": _garbage,
    "old": _old,
    "beyond": _beyond,
}
HARMLESS = ("garbage", "old", "beyond")
"""Kinds that change nothing in any state; one in the clear does only where IKE_SA_INIT is awaited."""


def child_states(scene: Scene) -> dict[int, ChildState]:
    """The states of its Child SAs by inbound SPI."""
    return {spi: child.state for spi, child in scene.sa.children.items()}


def check(scene: Scene, before: IkeState, children: dict[int, ChildState]) -> None:
    """No defect showed, every step is one of the tables."""
    scene.one.sound()
    reachable = {before}
    while more := set().union(*(IKE_TRANSITIONS[one] for one in reachable)) - reachable:
        reachable |= more
    assert scene.sa.state in reachable
    for spi, state in child_states(scene).items():
        was = children.get(spi, ChildState.CREATED)
        after = CHILD_TRANSITIONS[was] | set().union(*(CHILD_TRANSITIONS[one] for one in CHILD_TRANSITIONS[was]))
        assert state is was or state in after


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", list(IkeState), ids=lambda state: state.name)
def test_every_message_in_every_state(state: IkeState, kind: str) -> None:
    """Peer or forger: each exchange, request and response, whatever it holds: no defect, a step of the table or none,
    and nothing that was not authenticated, or not awaited, ends anything (RFC 7296 section 2.21).
    """
    now = scene(state)
    given = 0
    for exchange, response in itertools.product(EXCHANGES, (False, True)):
        count = len(list(KINDS[kind](now, exchange, response)))
        for index in range(count):
            if not now.intact(state):
                now = scene(state)
            octets = next(itertools.islice(KINDS[kind](now, exchange, response), index, None))
            before, children = now.sa.state, child_states(now)
            feed(now.one, now.name, octets)
            check(now, before, children)
            if kind in HARMLESS or (kind == "unprotected" and exchange != INIT):
                assert (now.sa.state, child_states(now)) == (before, children), octets.hex()
            given += 1
    assert given >= 100 or (now.envelope is None and given >= (0 if kind in ("protected", "old", "beyond") else 100))


WAYS: tuple[Literal["in", "out"], ...] = ("in", "out")


def intents(spi: int) -> list[Intent]:
    """Every intent, about all and about one that is there or not."""
    return [
        Connect(tunnel="Tunnel0"),
        Connect(tunnel="Tunnel9"),
        *(Rekey(sa=sa) for sa in (None, 1, 99)),
        *(Rekey(spi=one) for one in (spi, 1)),
        Clear(),
        Clear(fast=True),
        Clear(remote=ADDRESSES["R2"]),
        *(ClearChild(spi=one) for one in (None, spi, 1)),
        *(Probe(sa=sa) for sa in (None, 1, 99)),
    ]


def reports(spi: int) -> list[Report]:
    """Every report, of an ESP SA that is there and of one that is not."""
    path = Destination(ADDRESSES["R1"], 4500, ADDRESSES["R2"], 1024)
    packet = SelectorFact("10.1.0.9", "10.1.0.9"), SelectorFact("10.2.0.9", "10.2.0.9")
    made: list[Report] = [
        Acquire(
            tunnel="Tunnel0",
            index=0,
            packet=packet,
            inner_source="10.1.0.9",
            inner_destination="10.2.0.9",
            inner_protocol=1,
        )
    ]
    for one in (spi, 1):
        made.append(PeerMoved(one, path))
        for way in WAYS:
            made += [Installed(one, way), Refused(one, way, "no room"), Traffic(one, way, 1, 84, 1000.0)]
            made += [Expired(one, way, hard) for hard in (False, True)]
    return made


def _spi(now: Scene) -> int:
    return next((spi for sa in now.one.ike(now.name) for spi in sa.children), 0)


@pytest.mark.parametrize("state", list(IkeState), ids=lambda state: state.name)
def test_every_intent_and_report_in_every_state(state: IkeState) -> None:
    """Operator and data plane: whatever is asked or told in whatever state, no defect shows, then or as time passes."""
    for index in itertools.count():
        now = scene(state)
        asked, told = intents(_spi(now)), reports(_spi(now))
        if index >= len(asked) + len(told):
            break
        before, children = now.sa.state, child_states(now)
        if index < len(asked):
            now.one.ask(now.name, asked[index])
        else:
            station = now.one.station(now.name)
            station.node.report(told[index - len(asked)], now.one.world.now)
            now.one.world.settle(station)
        check(now, before, children)
        now.one.world.run(400)
        now.one.sound()
