"""What the messages of one IKE SA tell, as the events that the router would have left whose side is looked from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from ikescope.capture import children, facts, nat
from ikescope.capture.keyed import KeyedSa
from ikescope.capture.telling import Telling
from ikescope.engine.states import IkeState
from ikescope.events import IdentityFact, ProposalFact
from ikescope.events.base import UNKNOWN
from ikescope.events.life import (
    AckProcessed,
    CloseReason,
    DeleteReceived,
    DeleteSent,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    LivenessAnswered,
    LivenessReceived,
    LivenessSent,
    RekeyReceived,
    RekeyStarted,
    SaInserted,
    SessionUp,
    StateChanged,
)
from ikescope.events.message import (
    CookieAnswered,
    FragmentationAgreed,
    InvalidKeAnswered,
    MessageProcessing,
    MessageSealing,
    RequestRefused,
    ResponseRefused,
)
from ikescope.events.negotiation import (
    ConfigReceived,
    ConfigSent,
    ExchangeCompleted,
    ExchangeFailed,
    IdentitySent,
    InitialContactReceived,
    KeyExchangeComputed,
    KeysDerived,
    PeerIdentified,
    ProposalChosen,
    ProposalSent,
)
from ikescope.wire import AuthPayload, CpPayload, DeletePayload, KePayload, NotifyPayload, Payload, find
from ikescope.wire.describe import payload_names
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType, ProtocolId

REFUSED = "what the answer carries; why is not on the wire"
_LENGTHS = (("SK_d", "sk_d"), ("SK_ai", "sk_ai"), ("SK_ar", "sk_ar"), ("SK_ei", "sk_ei"), ("SK_er", "sk_er"))


class Letter(NamedTuple):
    """One message, told for the first time: whether the side that is looked from sent it, and what it holds.

    `payloads` are those in the clear, or those inside its Encrypted payload; `sealed` whether it has one, `ends` source
    and destination as (address, port), `wall` when it passed.
    """

    sent: bool
    exchange: int
    response: bool
    message_id: int
    payloads: tuple[Payload, ...]
    sealed: bool
    ends: tuple[tuple[str, int], tuple[str, int]]
    wall: float

    def find(self, *kinds: NotifyType) -> NotifyPayload | None:
        """Its first Notify of one of these types."""
        return facts.answers(self.payloads, *kinds)

    @property
    def ours(self) -> bool:
        """Whether the side that is looked from began the exchange."""
        return self.sent != self.response


@dataclass(slots=True)
class Story:
    """One IKE SA as one side sees it; `initiator`: this side began it. SPIs in hexadecimal."""

    keyed: KeyedSa
    initiator: bool
    begun: float
    phase: str = ""
    local_id: IdentityFact | None = None
    remote_id: IdentityFact | None = None
    created: bool = False
    closed: bool = False
    successor: Story | None = None
    asked: dict[tuple[bool, int], Letter] = field(default_factory=dict)
    children: dict[str, children.Child] = field(default_factory=dict)
    offered: tuple[ProposalFact, ...] = ()
    answered: float | None = None
    refused: bool = False

    @property
    def spi_i(self) -> str:
        """The initiator's SPI."""
        return self.keyed.spi_i.hex()

    @property
    def spi_r(self) -> str:
        """The responder's SPI; zeros until it is known."""
        return self.keyed.spi_r.hex()

    def request_of(self, letter: Letter) -> Letter | None:
        """The request that a response answers."""
        return self.asked.get((letter.ours, letter.message_id))

    def before(self, letter: Letter) -> Iterator[Telling]:
        """What happened before a message went out, or nothing for one that came."""
        if not letter.response:
            self.asked[letter.ours, letter.message_id] = letter
        if letter.sent:
            yield from self._told(_BEFORE, letter)
            if letter.sealed:
                names = payload_names(letter.payloads)
                sealing = MessageSealing(exchange=letter.exchange, response=letter.response, payloads=names)
                yield Telling(sealing, self, letter.message_id)

    def after(self, letter: Letter) -> Iterator[Telling]:
        """What came of a message."""
        if not letter.sent and (letter.sealed or letter.response):
            yield Telling(MessageProcessing(exchange=letter.exchange, response=letter.response), self)
        yield from self._told(_AFTER, letter)

    def _told(self, table: Table, letter: Letter) -> Iterator[Telling]:
        tell = table.get((letter.exchange, letter.response))
        if tell is not None:
            yield from tell(self, letter)

    def changed(self, after: IkeState, trigger: str) -> Iterator[Telling]:
        """The step to another state."""
        before, self.phase = self.phase, str(after)
        if before != self.phase:
            yield Telling(StateChanged(before=before or UNKNOWN, after=self.phase, trigger=trigger), self)

    def close(self, cause: CloseReason | Any, reason: str, wall: float) -> Iterator[Telling]:
        """The end, once."""
        if self.closed:
            return
        self.closed = True
        yield from self.changed(IkeState.CLOSED, reason)
        yield Telling(IkeSaClosed(reason=reason, seconds=wall - self.begun, cause=cause), self)


# --- IKE_SA_INIT


def _init_request_before(story: Story, letter: Letter) -> Iterator[Telling]:
    key = find(letter.payloads, KePayload)
    if key is not None:
        sizes = {"group": int(key.group), "octets": len(key.data), "exchange": letter.exchange}
        yield Telling(KeyExchangeComputed(part="public", **sizes), story)
    offer = facts.proposals(letter.payloads)
    if offer:
        yield Telling(ProposalSent(protocol=1, response=False, initial=True, proposals=offer), story)


def _init_request_after(story: Story, letter: Letter) -> Iterator[Telling]:
    story.offered = facts.proposals(letter.payloads)
    if not story.phase:
        story.phase = str(IkeState.INIT_SENT if letter.sent else IkeState.INIT_DONE)
        yield Telling(SaInserted(), story)


def _init_response(story: Story, letter: Letter) -> Iterator[Telling]:
    request = story.request_of(letter)
    chosen = facts.proposals(letter.payloads)
    if chosen and request is not None:
        yield Telling(
            ProposalChosen(
                protocol=1, by="local" if letter.sent else "peer", offered=story.offered or UNKNOWN, chosen=chosen[0]
            ),
            story,
        )
        yield from nat.checked(story, request, letter)
        yield from _fragmentation(story, request, letter)
        yield Telling(ExchangeCompleted(exchange=letter.exchange), story)
        if not letter.sent:
            yield from story.changed(IkeState.AUTH_SENT, "IKE_SA_INIT answered")
        return
    yield from refused_init(story, letter, request)


def refused_init(story: Story, letter: Letter, request: Letter | None) -> Iterator[Telling]:
    """What an answer to IKE_SA_INIT without a chosen proposal asks for, or refuses."""
    key = find(request.payloads, KePayload) if request is not None else None
    for notify in letter.payloads:
        if not isinstance(notify, NotifyPayload):
            continue
        kind, data = notify.notify_type, notify.data
        if kind == NotifyType.COOKIE and not letter.sent:
            yield Telling(CookieAnswered(octets=len(data)), story, 0)
        elif kind == NotifyType.INVALID_KE_PAYLOAD and len(data) == 2 and not letter.sent:
            offered = int(key.group) if key is not None else UNKNOWN
            wanted = int.from_bytes(data, "big")
            yield Telling(InvalidKeAnswered(exchange=letter.exchange, offered=offered, wanted=wanted), story, 0)
        elif kind.is_error:
            yield _refusal(story, letter, int(kind), data)


def _refusal(story: Story, letter: Letter, notify: int, data: bytes = b"") -> Telling:
    if letter.sent:
        refused = RequestRefused(exchange=letter.exchange, notify=notify, why=REFUSED)
        return Telling(refused, story, letter.message_id)
    told = data.hex() if data else UNKNOWN
    return Telling(ResponseRefused(exchange=letter.exchange, notify=notify, data=told), story, letter.message_id)


def _fragmentation(story: Story, request: Letter, response: Letter) -> Iterator[Telling]:
    if all(one.find(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None for one in (request, response)):
        yield Telling(FragmentationAgreed(size=UNKNOWN), story)


def unlocked(story: Story, *, rekey: bool = False) -> Iterator[Telling]:
    """The keys of an IKE SA are known: their lengths."""
    keys, suite = story.keyed.keys, story.keyed.suite
    if keys is None or suite is None or not keys.sk_d:
        return
    lengths = {name: len(getattr(keys, one)) for name, one in (*_LENGTHS, ("SK_pi", "sk_pi"), ("SK_pr", "sk_pr"))}
    yield Telling(KeysDerived(rekey=rekey, prf=int(suite.prf.id), lengths=lengths), story)


# --- IKE_AUTH


def _auth_before(story: Story, letter: Letter) -> Iterator[Telling]:
    """What this side says of itself, in its request or its answer."""
    for payload in letter.payloads:
        if isinstance(payload, CpPayload):
            yield Telling(ConfigSent(kind=int(payload.cp_type), attributes=facts.attributes(payload)), story)
    kind = PayloadType.IDR if letter.response else PayloadType.IDI
    mine = facts.identity(letter.payloads, kind)
    if mine is not None:
        story.local_id = mine
        yield Telling(IdentitySent(kind="IDr" if letter.response else "IDi", identity=mine), story)
    if not letter.response:
        yield from children.offer(story, letter)


def _auth_request_after(story: Story, letter: Letter) -> Iterator[Telling]:
    if letter.sent:
        return
    yield from _peer(story, letter, PayloadType.IDI)
    if letter.find(NotifyType.INITIAL_CONTACT) is not None:
        yield Telling(InitialContactReceived(closed=UNKNOWN), story)


def _peer(story: Story, letter: Letter, kind: PayloadType) -> Iterator[Telling]:
    theirs = facts.identity(letter.payloads, kind)
    if theirs is not None:
        story.remote_id = theirs
        yield Telling(PeerIdentified(kind="IDr" if kind == PayloadType.IDR else "IDi", identity=theirs), story)
    for payload in letter.payloads:
        if isinstance(payload, CpPayload):
            yield Telling(ConfigReceived(kind=int(payload.cp_type), attributes=facts.attributes(payload)), story)


def auth_response(story: Story, letter: Letter) -> Iterator[Telling]:
    """What an answer to IKE_AUTH tells."""
    errors = facts.errors(letter.payloads)
    if not letter.sent:
        yield from _peer(story, letter, PayloadType.IDR)
    if find(letter.payloads, AuthPayload) is None:
        if errors:
            name = f"{errors[0].notify_type}"
            yield _refusal(story, letter, int(errors[0].notify_type))
            who = "this side" if letter.sent else "the peer"
            yield Telling(ExchangeFailed(exchange=letter.exchange, why=f"{who} answered {name}"), story)
            cause = CloseReason.NOT_AUTHENTICATED if letter.sent else CloseReason.PEER_REFUSED
            yield from story.close(cause, f"{who} answered {name} to IKE_AUTH", letter.wall)
        return
    request = story.request_of(letter)
    yield from children.answer(story, letter, request)
    yield from established(story)
    yield from children.made(story, letter, request)


def established(story: Story) -> Iterator[Telling]:
    """The IKE SA is authenticated."""
    if story.created:
        return
    story.created = True
    yield from story.changed(IkeState.ESTABLISHED, "authenticated")
    suite = story.keyed.suite
    told = suite.text if suite is not None else UNKNOWN
    yield Telling(IkeSaCreated(lifetime=UNKNOWN, suite=told, initiator=story.initiator), story)
    if story.local_id is not None and story.remote_id is not None:
        yield Telling(SessionUp(local=story.local_id, remote=story.remote_id, index=UNKNOWN), story)


# --- CREATE_CHILD_SA


def _create_before(story: Story, letter: Letter) -> Iterator[Telling]:
    if letter.response:
        offer = facts.proposals(letter.payloads)
        if offer:
            sent = ProposalSent(protocol=offer[0].protocol, response=True, initial=False, proposals=offer)
            yield Telling(sent, story)
        return
    if is_ike_rekey(letter):
        yield from story.changed(IkeState.REKEYING, "its rekey goes out")
        yield Telling(RekeyStarted(kind="ike", spi_a=story.spi_i, spi_b=story.spi_r, trigger=UNKNOWN), story)
        yield from children.public(story, letter)
        offer = facts.proposals(letter.payloads)
        yield Telling(ProposalSent(protocol=1, response=False, initial=False, proposals=offer or UNKNOWN), story)
    else:
        yield from children.started(story, letter)
        yield from children.offer(story, letter)


def _create_request_after(story: Story, letter: Letter) -> Iterator[Telling]:
    if letter.sent:
        return
    if is_ike_rekey(letter):
        received = RekeyReceived(kind="ike", spi_a=story.spi_i, spi_b=story.spi_r)
        yield Telling(received, story, letter.message_id)
    else:
        yield from children.received(story, letter)


def is_ike_rekey(letter: Letter) -> bool:
    """Whether a CREATE_CHILD_SA request asks for an IKE SA: it has no traffic selectors."""
    return all(one.kind != PayloadType.TSI for one in letter.payloads)


def _create_response(story: Story, letter: Letter) -> Iterator[Telling]:
    request = story.request_of(letter)
    if request is None or not request.payloads:
        return
    errors = facts.errors(letter.payloads)
    if errors:
        yield from create_refused(story, letter, request, errors[0])
    elif is_ike_rekey(request):
        yield from _ike_rekeyed(story, letter, request)
    else:
        yield from children.answer(story, letter, request)
        yield from children.made(story, letter, request)
        yield Telling(ExchangeCompleted(exchange=letter.exchange), story)


def create_refused(story: Story, letter: Letter, request: Letter, error: NotifyPayload) -> Iterator[Telling]:
    """CREATE_CHILD_SA answered with an error notify."""
    key, kind = find(request.payloads, KePayload), error.notify_type
    if kind == NotifyType.INVALID_KE_PAYLOAD and not letter.sent and len(error.data) == 2:
        offered, wanted = int(key.group) if key is not None else UNKNOWN, int.from_bytes(error.data, "big")
        refused = InvalidKeAnswered(exchange=letter.exchange, offered=offered, wanted=wanted)
        yield Telling(refused, story, letter.message_id)
    elif is_ike_rekey(request) or letter.sent:
        yield _refusal(story, letter, int(kind), error.data)
    else:
        yield children.refused(story, letter, int(kind))
    if story.phase == IkeState.REKEYING and letter.ours:
        yield from story.changed(IkeState.ESTABLISHED, "its rekey was refused")


def _ike_rekeyed(story: Story, letter: Letter, request: Letter) -> Iterator[Telling]:
    """The new IKE SA is told by who made the stories, for it needs its keys first."""
    successor = story.successor
    if successor is None:
        return
    offered, chosen = facts.proposals(request.payloads), facts.proposals(letter.payloads)
    by: Literal["local", "peer"] = "local" if letter.sent else "peer"
    if offered and chosen:
        yield Telling(ProposalChosen(protocol=int(ProtocolId.IKE), by=by, offered=offered, chosen=chosen[0]), story)
    yield from unlocked(successor, rekey=True)
    yield Telling(ExchangeCompleted(exchange=letter.exchange), story)
    yield from replaced(story, letter)


def replaced(story: Story, letter: Letter) -> Iterator[Telling]:
    """The step to the IKE SA that a rekey made, which takes its Child SAs over."""
    successor = story.successor
    if successor is None:
        return
    yield from story.changed(IkeState.REKEYED, "replaced")
    successor.children, story.children = story.children, {}
    successor.local_id, successor.remote_id = story.local_id, story.remote_id
    successor.created, successor.phase = True, str(IkeState.ESTABLISHED)
    yield Telling(
        IkeSaRekeyed(
            old_spi_i=story.spi_i,
            old_spi_r=story.spi_r,
            new_spi_i=successor.spi_i,
            new_spi_r=successor.spi_r,
            initiator=letter.ours,
            children=len(successor.children),
            lifetime=UNKNOWN,
        ),
        successor,
    )


# --- INFORMATIONAL


def _deletes(letter: Letter) -> Sequence[DeletePayload]:
    return [one for one in letter.payloads if isinstance(one, DeletePayload)]


def _informational_before(story: Story, letter: Letter) -> Iterator[Telling]:
    if not letter.payloads:
        yield Telling(LivenessSent(silent=UNKNOWN), story)
    for one in _deletes(letter):
        if one.protocol == ProtocolId.IKE:
            yield from story.changed(IkeState.DELETING, "its Delete goes out")
        spis = tuple(spi.hex() for spi in one.spis)
        yield Telling(DeleteSent(kind="ike" if one.protocol == ProtocolId.IKE else "child", spis=spis), story)


def _informational_after(story: Story, letter: Letter) -> Iterator[Telling]:
    if letter.sent:
        return
    if not letter.payloads:
        yield Telling(LivenessReceived(), story)
    for one in _deletes(letter):
        spis = tuple(spi.hex() for spi in one.spis)
        known = {child.outbound for child in story.children.values()}
        unknown = tuple(spi for spi in spis if spi not in known) if story.children else ()
        kind: Literal["ike", "child"] = "ike" if one.protocol == ProtocolId.IKE else "child"
        yield Telling(DeleteReceived(kind=kind, spis=spis, unknown=unknown), story)


def informational_response(story: Story, letter: Letter) -> Iterator[Telling]:
    """What is over once an INFORMATIONAL request is answered."""
    request = story.request_of(letter)
    if not letter.sent:
        yield Telling(AckProcessed(), story)
    if request is None or not request.sealed:
        return
    if letter.ours and not request.payloads:
        yield Telling(LivenessAnswered(milliseconds=(letter.wall - request.wall) * 1000), story)
    for one in _deletes(request):
        if one.protocol == ProtocolId.IKE:
            yield from story.close(*_ike_end(story, letter), letter.wall)
        else:
            yield from children.closed(story, one, letter)


def _ike_end(story: Story, letter: Letter) -> tuple[CloseReason | Any, str]:
    if story.successor is not None:
        return CloseReason.REKEYED, "rekeyed" if letter.ours else "rekeyed; the peer deleted the old IKE SA"
    if letter.ours:
        return UNKNOWN, "this side deleted it; why is not on the wire"
    return CloseReason.PEER_DELETED, "the peer deleted it"


_Tell = Callable[[Story, Letter], Iterator[Telling]]
Table = dict[tuple[int, bool], _Tell]

_BEFORE: Table = {
    (ExchangeType.IKE_SA_INIT, False): _init_request_before,
    (ExchangeType.IKE_AUTH, False): _auth_before,
    (ExchangeType.IKE_AUTH, True): _auth_before,
    (ExchangeType.CREATE_CHILD_SA, False): _create_before,
    (ExchangeType.CREATE_CHILD_SA, True): _create_before,
    (ExchangeType.INFORMATIONAL, False): _informational_before,
}
_AFTER: Table = {
    (ExchangeType.IKE_SA_INIT, False): _init_request_after,
    (ExchangeType.IKE_SA_INIT, True): _init_response,
    (ExchangeType.IKE_AUTH, False): _auth_request_after,
    (ExchangeType.IKE_AUTH, True): auth_response,
    (ExchangeType.CREATE_CHILD_SA, False): _create_request_after,
    (ExchangeType.CREATE_CHILD_SA, True): _create_response,
    (ExchangeType.INFORMATIONAL, False): _informational_after,
    (ExchangeType.INFORMATIONAL, True): informational_response,
}
