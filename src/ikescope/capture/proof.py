"""AUTH of both ends checked with pre-shared keys, once the keys of the IKE SA are known (RFC 7296 section 2.15).

That a key at hand does not fit says nothing of the two ends while they agree: what they made of an AUTH value is waited
for, and only one that its receiver refused is told as refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ikescope.capture import facts
from ikescope.capture.keyed import KeyedSa
from ikescope.config.model import Secret
from ikescope.crypto.auth import signed_octets
from ikescope.events import UNSET, Event, IdentityFact
from ikescope.events.negotiation import AuthNearMiss, AuthRefused, AuthVerified
from ikescope.policy.near_keys import near_keys, near_miss
from ikescope.wire import AuthPayload, DeletePayload, IdPayload, Payload, find
from ikescope.wire.registry import AuthMethod, ExchangeType, NotifyType, PayloadType, ProtocolId

if TYPE_CHECKING:
    from ikescope.capture.story import Letter, Story

#: Identity that a key is for (empty: any) and the key.
Psk = tuple[str, bytes]
_FAILED = NotifyType.AUTHENTICATION_FAILED


class Unfit(NamedTuple):
    """An AUTH value that none of the keys at hand gives: who claims to have made it, and a near key that does."""

    refused: AuthRefused
    near: AuthNearMiss | None
    by_responder: bool
    message_id: int

    @property
    def who(self) -> str:
        """Whose AUTH it is."""
        return f"AUTH of the {'responder' if self.by_responder else 'initiator'}, {self.refused.identity.value},"


class Proven(NamedTuple):
    """What is told of an AUTH value: events of the end that verifies it, or a line for who reads."""

    events: tuple[Event, ...] = ()
    note: str = ""
    by_responder: bool = False
    message_id: int = 0


class Prover:
    """Judges AUTH values of one conversation with the pre-shared keys at hand."""

    def __init__(self, psks: Sequence[Psk]) -> None:
        self._psks = psks
        self._waiting: dict[tuple[bytes, bool], Unfit] = {}

    def hear(self, story: Story, letter: Letter) -> Iterator[Proven]:
        """What a message that was opened, told for the first time, says of an AUTH value in it or before it."""
        if not self._psks:
            return
        yield from self._settled(story, letter)
        if letter.exchange != ExchangeType.IKE_AUTH:
            return
        why = unproven(story.keyed, letter.response)
        if why and not letter.response:
            yield Proven(note=f"AUTH cannot be verified: {why}")
        found = proved(story.keyed, letter.payloads, letter.response, self._psks)
        if isinstance(found, AuthVerified):
            yield Proven((found,), "", letter.response, letter.message_id)
        elif isinstance(found, str) and found:
            yield Proven(note=found)
        elif isinstance(found, Unfit):
            self._waiting[story.keyed.spi_i, letter.response] = found._replace(message_id=letter.message_id)

    def carried(self, story: Story) -> Iterator[Proven]:
        """ESP goes both ways: both ends agree, whatever the keys at hand give."""
        for response in (False, True):
            unfit = self._waiting.pop((story.keyed.spi_i, response), None)
            if unfit is not None:
                yield _other_key(unfit, "the tunnel came up")

    def end(self) -> Iterator[Proven]:
        """What is left when the capture is over: nobody knows what its receiver made of it."""
        for unfit in self._waiting.values():
            yield Proven(note=f"{unfit.who} does not verify with --psk; what the other end made of it is not there")
        self._waiting.clear()

    def _settled(self, story: Story, letter: Letter) -> Iterator[Proven]:
        """What the receiver of an AUTH value made of it: it goes on, or it refuses."""
        answered_by_responder = letter.exchange == ExchangeType.IKE_AUTH and letter.response
        if answered_by_responder:
            unfit = self._waiting.pop((story.keyed.spi_i, False), None)
            if unfit is not None and find(letter.payloads, AuthPayload) is not None:
                yield _other_key(unfit, "the responder took it")
            elif unfit is not None and letter.find(_FAILED) is not None:
                yield _refused(unfit)
            return
        if letter.response or letter.exchange == ExchangeType.IKE_AUTH:
            return
        unfit = self._waiting.pop((story.keyed.spi_i, True), None)
        if unfit is None:
            return
        over = letter.find(_FAILED) is not None or any(
            isinstance(one, DeletePayload) and one.protocol == ProtocolId.IKE for one in letter.payloads
        )
        by_initiator = letter.sent == story.initiator
        yield _refused(unfit) if over and by_initiator else _other_key(unfit, "the IKE SA goes on")


def _refused(unfit: Unfit) -> Proven:
    events: tuple[Event, ...] = (unfit.refused, *(() if unfit.near is None else (unfit.near,)))
    note = f"{unfit.who} does not verify with --psk, and was refused"
    return Proven(events, note, unfit.by_responder, unfit.message_id)


def _other_key(unfit: Unfit, why: str) -> Proven:
    near = "" if unfit.near is None else f"; a key near to it does ({unfit.near.kind.replace('_', ' ')})"
    return Proven(note=f"{unfit.who} does not verify with --psk, and {why}: this is not the key{near}")


def proved(
    sa: KeyedSa, payloads: Sequence[Payload], response: bool, psks: Sequence[Psk]
) -> AuthVerified | Unfit | str | None:
    """Whether the AUTH of an IKE_AUTH message verifies with one of the keys; None where that cannot be told.

    `payloads` are those inside; a key that names the sender's identity or nobody is tried. A line in words for an AUTH
    that no pre-shared key makes.
    """
    auth = find(payloads, AuthPayload)
    kind = PayloadType.IDR if response else PayloadType.IDI
    sender = find(payloads, IdPayload, kind)
    who = facts.identity(payloads, kind)
    message, nonce = (sa.response, sa.nonce_i) if response else (sa.request, sa.nonce_r)
    sk_p = b"" if sa.keys is None else sa.keys.sk_pr if response else sa.keys.sk_pi
    if auth is None or sender is None or who is None or sa.suite is None or not (message and nonce and sk_p):
        return None
    if auth.method != AuthMethod.SHARED_KEY_MIC:
        return f"{who.value} authenticates by {auth.method}: --psk is not asked"
    tried = [key for name, key in psks if name in ("", who.value)]
    if not tried:
        return f"no key of --psk is for {who.value}"
    prf = sa.suite.prf
    for key in tried:
        if facts.psk_verifies(prf, key, auth.data, message, nonce, sk_p, sender.body):
            return AuthVerified(method=int(auth.method), identity=who, key_length=len(key))
    octets = signed_octets(prf, message, nonce, sk_p, sender.body)
    fits = (near_miss(prf, octets, auth.data, near_keys(Secret(key))) for key in tried)
    near = next((one for one in fits if one is not None), None)
    slip = None if near is None else AuthNearMiss(kind=near.kind, by=UNSET if near.by is None else near.by)
    return Unfit(_event(int(auth.method), who, tried), slip, response, 0)


def unproven(sa: KeyedSa, response: bool) -> str:
    """Why nothing can be told of an AUTH value, in a few words; empty where all that it takes is known."""
    name = "SK_pr" if response else "SK_pi"
    if sa.keys is not None and not (sa.keys.sk_pr if response else sa.keys.sk_pi):
        return f"{name} is not among the keys (tables of Wireshark lack it)"
    if not (sa.request and sa.response):
        return "IKE_SA_INIT, which AUTH covers, is not in the capture"
    return ""


def _event(method: int, who: IdentityFact, tried: Sequence[bytes]) -> AuthRefused:
    """None of the keys: the length is told where there is one only."""
    if len(tried) == 1:
        return AuthRefused(method=method, identity=who, key_length=len(tried[0]))
    return AuthRefused(method=method, identity=who)
