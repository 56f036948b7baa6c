"""What IKE_AUTH and CREATE_CHILD_SA tell of Child SAs, from one side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ikescope.capture import facts
from ikescope.capture.telling import Telling
from ikescope.events import SelectorFact
from ikescope.events.base import UNKNOWN
from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    ChildStarted,
    CloseReason,
    RekeyReceived,
    RekeyStarted,
)
from ikescope.events.message import RequestRefused
from ikescope.events.negotiation import (
    KeyExchangeComputed,
    ProposalChosen,
    ProposalSent,
    SelectorsChosen,
    SelectorsSent,
)
from ikescope.wire import DeletePayload, KePayload, find
from ikescope.wire.registry import NotifyType, PayloadType, ProtocolId, TransformType

if TYPE_CHECKING:
    from ikescope.capture.story import Letter, Story

NAT_PORT = 4500


class Child(msgspec.Struct):
    """A Child SA: SPIs in hexadecimal, `inbound` that of the side that is looked from."""

    inbound: str
    outbound: str
    created: float
    replaced: bool = False


def public(story: Story, letter: Letter) -> Iterator[Telling]:
    """The public value that a message carries."""
    key = find(letter.payloads, KePayload)
    if key is not None:
        yield Telling(KeyExchangeComputed(part="public", group=int(key.group), octets=len(key.data)), story)


def _selectors(letter: Letter) -> tuple[tuple[SelectorFact, ...], tuple[SelectorFact, ...]]:
    """Local and remote ones, as the side sees them that is looked from."""
    pair = [facts.selectors(letter.payloads, kind) for kind in (PayloadType.TSI, PayloadType.TSR)]
    return (pair[0], pair[1]) if letter.ours else (pair[1], pair[0])


def _transport(letter: Letter) -> bool:
    return letter.find(NotifyType.USE_TRANSPORT_MODE) is not None


def offer(story: Story, letter: Letter) -> Iterator[Telling]:
    """Our request for a Child SA."""
    proposals = facts.proposals(letter.payloads)
    if not proposals:
        return
    yield from public(story, letter)
    yield Telling(
        ProposalSent(protocol=proposals[0].protocol, response=False, initial=False, proposals=proposals), story
    )
    local, remote = _selectors(letter)
    yield Telling(SelectorsSent(local=local, remote=remote, transport=_transport(letter)), story)


def _rekeyed_spi(letter: Letter) -> str:
    """The SPI in REKEY_SA: the one that who asks expects in its inbound packets."""
    notify = letter.find(NotifyType.REKEY_SA)
    return "" if notify is None else notify.spi.hex()


def _old(story: Story, letter: Letter) -> Child | None:
    """The Child SA that a request wants to replace."""
    spi = _rekeyed_spi(letter)
    if letter.ours:
        return story.children.get(spi)
    return next((child for child in story.children.values() if child.outbound == spi), None)


def replaced(story: Story, request: Letter) -> Child | None:
    """The Child SA that a request names in REKEY_SA; None where it names none that is known."""
    return _old(story, request) if _rekeyed_spi(request) else None


def started(story: Story, letter: Letter) -> Iterator[Telling]:
    """Our request for one more, or for another in the place of one that is there."""
    spi = _rekeyed_spi(letter)
    if not spi:
        yield Telling(ChildStarted(tunnel=UNKNOWN, trigger=UNKNOWN), story)
        return
    old = _old(story, letter)
    outbound = old.outbound if old is not None else UNKNOWN
    yield Telling(RekeyStarted(kind="child", spi_a=spi, spi_b=outbound, trigger=UNKNOWN), story)


def received(story: Story, letter: Letter) -> Iterator[Telling]:
    """The peer's request for one."""
    spi, old = _rekeyed_spi(letter), _old(story, letter)
    if not spi:
        yield Telling(RekeyReceived(kind="new"), story, letter.message_id)
        return
    inbound = old.inbound if old is not None else UNKNOWN
    yield Telling(RekeyReceived(kind="child", spi_a=inbound, spi_b=spi), story, letter.message_id)


def refused(story: Story, letter: Letter, notify: int) -> Telling:
    """The answer that there will be none."""
    if letter.sent:
        why = "what the answer carries; why is not on the wire"
        return Telling(RequestRefused(exchange=letter.exchange, notify=notify, why=why), story, letter.message_id)
    return Telling(ChildRefused(by="peer", notify=notify, exchange=letter.exchange), story, letter.message_id)


def answer(story: Story, letter: Letter, request: Letter | None) -> Iterator[Telling]:
    """What an answer with a Child SA says of the choice, or that there is none."""
    chosen = facts.proposals(letter.payloads)
    errors = facts.errors(letter.payloads)
    if not chosen:
        if errors:
            yield refused(story, letter, int(errors[0].notify_type))
        return
    by: Literal["local", "peer"] = "local" if letter.sent else "peer"
    offered = facts.proposals(request.payloads) if request is not None else ()
    yield Telling(
        ProposalChosen(protocol=chosen[0].protocol, by=by, offered=offered or UNKNOWN, chosen=chosen[0]), story
    )
    local, remote = _selectors(letter)
    asked = _selectors(request) if request is not None and request.payloads else (UNKNOWN, UNKNOWN)
    yield Telling(
        SelectorsChosen(
            proposed_local=asked[0],
            proposed_remote=asked[1],
            local=local,
            remote=remote,
            by=by,
            additional=letter.find(NotifyType.ADDITIONAL_TS_POSSIBLE) is not None,
            exchange=letter.exchange,
        ),
        story,
        letter.message_id,
    )


def made(story: Story, letter: Letter, request: Letter | None) -> Iterator[Telling]:
    """The Child SA that an answer makes."""
    chosen = next(iter(facts.proposals(letter.payloads)), None)
    if chosen is None or chosen.protocol != ProtocolId.ESP or not chosen.spi:
        return
    offered = facts.proposals(request.payloads) if request is not None else ()
    theirs = next((one.spi for one in offered if one.number == chosen.number), "")
    inbound, outbound = (theirs, chosen.spi) if letter.ours else (chosen.spi, theirs)
    by_kind = {one.type: one for one in chosen.transforms}
    cipher, mac = by_kind.get(TransformType.ENCR), by_kind.get(TransformType.INTEG)
    key = find(letter.payloads, KePayload)
    esn = by_kind.get(TransformType.ESN)
    old = replaced(story, request) if request is not None else None
    local, remote = _selectors(letter)
    yield Telling(
        ChildSaCreated(
            inbound=inbound or UNKNOWN,
            outbound=outbound or UNKNOWN,
            tunnel=UNKNOWN,
            transport=_transport(letter),
            encryption=cipher.id if cipher is not None else UNKNOWN,
            key_length=cipher.key_length if cipher is not None else UNKNOWN,
            integrity=mac.id if mac is not None and mac.id else None,
            esn=esn is not None and bool(esn.id),
            group=int(key.group) if key is not None else None,
            local=local,
            remote=remote,
            lifetime=UNKNOWN,
            kilobytes=UNKNOWN,
            udp=NAT_PORT in (letter.ends[0][1], letter.ends[1][1]),
            exchange=letter.exchange,
            initiator=letter.ours,
            rekeys=old.inbound if old is not None else UNKNOWN,
        ),
        story,
    )
    yield from stands(story, letter, inbound, outbound, old)


def stands(story: Story, letter: Letter, inbound: str, outbound: str, old: Child | None) -> Iterator[Telling]:
    """A Child SA is there from this answer on, in the place of an `old` one or of none."""
    if inbound:
        story.children[inbound] = Child(inbound, outbound, letter.wall)
    if old is not None:
        old.replaced = True
        spis = {"old_inbound": old.inbound, "old_outbound": old.outbound}
        rekeyed = ChildSaRekeyed(**spis, new_inbound=inbound, new_outbound=outbound, initiator=letter.ours)
        yield Telling(rekeyed, story)


def closed(story: Story, delete: DeletePayload, answered: Letter) -> Iterator[Telling]:
    """Child SAs whose Delete is answered; `answered` is the response."""
    spis = {spi.hex() for spi in delete.spis}
    for child in list(story.children.values()):
        if (child.inbound if answered.ours else child.outbound) not in spis:
            continue
        del story.children[child.inbound]
        cause, reason = _end(child, answered)
        yield Telling(
            ChildSaClosed(
                inbound=child.inbound,
                outbound=child.outbound,
                tunnel=UNKNOWN,
                reason=reason,
                cause=cause,
                seconds=answered.wall - child.created,
            ),
            story,
        )


def _end(child: Child, answered: Letter) -> tuple[CloseReason | Any, str]:
    if child.replaced:
        return CloseReason.REKEYED, "rekeyed"
    if not answered.ours:
        return CloseReason.PEER_DELETED, "the peer deleted it"
    return UNKNOWN, "this side deleted it; why is not on the wire"
