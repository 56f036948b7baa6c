"""The story of an IKE SA as far as a ladder shows it: the same steps, without what draws no line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ikescope.capture import children, facts, nat, story
from ikescope.capture.story import Letter, Story
from ikescope.capture.telling import Telling
from ikescope.engine.states import IkeState
from ikescope.events.base import UNKNOWN
from ikescope.events.life import ChildSaCreated
from ikescope.wire import AuthPayload, SaPayload, find
from ikescope.wire.registry import ExchangeType, ProtocolId, TransformType
from ikescope.wire.sa import Proposal

_created: Callable[..., ChildSaCreated] = ChildSaCreated
"""With what is drawn of it alone."""


class BriefStory(Story):
    """As `Story`; of what happens before a message nothing is a line of its own."""

    __slots__ = ()

    def before(self, letter: Letter) -> Iterator[Telling]:
        """Nothing to tell."""
        if not letter.response:
            self.asked[letter.ours, letter.message_id] = letter
        return iter(())

    def after(self, letter: Letter) -> Iterator[Telling]:
        """What came of a message."""
        tell = _AFTER.get((letter.exchange, letter.response))
        return tell(self, letter) if tell is not None else iter(())


def _init_request(told: Story, letter: Letter) -> Iterator[Telling]:
    if not told.phase:
        told.phase = str(IkeState.INIT_SENT if letter.sent else IkeState.INIT_DONE)
    return iter(())


def _init_response(told: Story, letter: Letter) -> Iterator[Telling]:
    request = told.request_of(letter)
    if _proposals(letter) and request is not None:
        return nat.checked(told, request, letter)
    return story.refused_init(told, letter, request)


def _auth_response(told: Story, letter: Letter) -> Iterator[Telling]:
    if find(letter.payloads, AuthPayload) is None:
        return story.auth_response(told, letter)
    return _authenticated(told, letter)


def _authenticated(told: Story, letter: Letter) -> Iterator[Telling]:
    request = told.request_of(letter)
    yield from _child(told, letter, request, story.established(told))


def _create_response(told: Story, letter: Letter) -> Iterator[Telling]:
    request = told.request_of(letter)
    if request is None or not request.payloads:
        return
    errors = facts.errors(letter.payloads)
    if errors:
        yield from story.create_refused(told, letter, request, errors[0])
    elif story.is_ike_rekey(request):
        yield from story.replaced(told, letter)
    else:
        yield from _child(told, letter, request)


def _child(told: Story, letter: Letter, request: Letter | None, between: Iterable[Telling] = ()) -> Iterator[Telling]:
    """The Child SA that an answer makes, or refuses, and what happens `between` the answer and it."""
    proposals = _proposals(letter)
    if not proposals:
        yield from children.answer(told, letter, request)
    yield from between
    if not proposals or proposals[0].protocol != ProtocolId.ESP or not proposals[0].spi:
        return
    chosen, asked = proposals[0], _proposals(request) if request is not None else ()
    theirs = next((one.spi.hex() for one in asked if one.number == chosen.number), "")
    inbound, outbound = (theirs, chosen.spi.hex()) if letter.ours else (chosen.spi.hex(), theirs)
    cipher = next((one for one in reversed(chosen.transforms) if one.type == TransformType.ENCR), None)
    old = children.replaced(told, request) if request is not None else None
    yield Telling(
        _created(
            inbound=inbound or UNKNOWN,
            outbound=outbound or UNKNOWN,
            encryption=int(cipher.id) if cipher is not None else UNKNOWN,
            key_length=cipher.key_length if cipher is not None else UNKNOWN,
            rekeys=old.inbound if old is not None else UNKNOWN,
        ),
        told,
    )
    yield from children.stands(told, letter, inbound, outbound, old)


def _proposals(letter: Letter) -> tuple[Proposal, ...]:
    payload = find(letter.payloads, SaPayload)
    return payload.proposals if payload is not None else ()


_AFTER: story.Table = {
    (ExchangeType.IKE_SA_INIT, False): _init_request,
    (ExchangeType.IKE_SA_INIT, True): _init_response,
    (ExchangeType.IKE_AUTH, True): _auth_response,
    (ExchangeType.CREATE_CHILD_SA, True): _create_response,
    (ExchangeType.INFORMATIONAL, True): story.informational_response,
}
