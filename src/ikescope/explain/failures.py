"""The walk's part 8: how a failure looks on either side, and why one side knows more than the other."""

from __future__ import annotations

from collections.abc import Callable

from ikescope.events import Event, ProposalFact
from ikescope.events.life import ChildRefused
from ikescope.events.message import RequestRefused, ResponseRefused, RetransmissionsExhausted
from ikescope.events.negotiation import (
    AuthNearMiss,
    AuthRefused,
    NatChecked,
    ProfileNotFound,
    ProposalRefused,
    SelectorsRefused,
)
from ikescope.explain import words
from ikescope.explain.near_keys import slip
from ikescope.explain.scene import Scene, Sentence, Teller, Telling, Unsaid, known, tell, when
from ikescope.wire.registry import AuthMethod, ExchangeType, NotifyType, ProtocolId, TransformType

PART = 8


def auth_refused(scene: Scene, event: AuthRefused) -> list[Telling]:
    """The side that checked: it knows that the keys differ."""

    def seen() -> str:
        return (
            f"{scene.name} opened the message, so the key exchange agrees; but the AUTH of "
            f"{words.identity(event.identity)} is not what {scene.name}'s own key gives."
        )

    def method() -> str:
        wanted = known(event.wanted)
        when(wanted != event.method)
        return f"Its method is {words.method(event.method)}, the profile wants {words.method(wanted)}."

    def cause() -> str:
        when(event.method == AuthMethod.SHARED_KEY_MIC and not _other_method(event))
        return (
            "The two pre-shared keys differ, or IKE_SA_INIT was changed on the way: nothing else enters AUTH "
            "(RFC 7296 section 2.15)."
        )

    def answer() -> str:
        when(not scene.initiator)
        return f"{scene.name} answers AUTHENTICATION_FAILED and forgets the SA."

    return tell(
        PART,
        f"As {scene.name} sees it: AUTH does not verify",
        seen,
        method,
        cause,
        answer,
    )


def _other_method(event: AuthRefused) -> bool:
    return isinstance(event.wanted, int) and event.wanted != event.method


def near_miss(scene: Scene, event: AuthNearMiss) -> list[Telling]:
    """The side that checked, once the answer is gone: by which slip the keys differ."""

    def seen() -> str:
        text = slip(event, scene.router, scene.peer)
        when(bool(text))
        return f"{text[0].upper()}{text[1:]}."

    return tell(PART, f"As {scene.name} sees it: a key near to its own fits", seen, _KEPT)


_KEPT = "Tried after the answer was sent; the peer hears nothing of it."


def refusal_received(scene: Scene, event: ResponseRefused) -> list[Telling]:
    """The side that asked: it has the notify and nothing more."""
    name = words.notify(event.notify)
    meaning = MEANINGS.get(NotifyType.of(event.notify))

    def got() -> str:
        return f"{scene.name} gets {name} as the answer of {scene.peer} to {words.exchange(event.exchange)}."

    more = (meaning,) if meaning else ()
    return tell(PART, f"As {scene.name} sees it: {NotifyType.of(event.notify).label}", got, *more, _where(scene))


def _where(scene: Scene) -> Callable[[], str]:
    return lambda: f"What was compared stands in the log of {scene.peer}, not here: the notify carries no reason."


MEANINGS = {
    NotifyType.AUTHENTICATION_FAILED: (
        "That is all it is told, and on purpose: not which key, not which identity (RFC 7296 section 2.21.2). "
        "Compare the pre-shared keys of both ends."
    ),
    NotifyType.NO_PROPOSAL_CHOSEN: (
        "For some kind of transform, nothing of our offer is on its list: one axis without an overlap is enough "
        "(RFC 7296 section 2.7)."
    ),
    NotifyType.TS_UNACCEPTABLE: (
        "None of our selectors meets one of its own; the IKE SA itself stands (RFC 7296 section 2.9)."
    ),
    NotifyType.INVALID_SYNTAX: "It found our message malformed, or protected otherwise than it expects.",
}


def proposal_refused(scene: Scene, event: ProposalRefused) -> list[Telling]:
    """What was offered, what was wanted, and the axis that parts them."""
    protocol = ProtocolId.of(event.protocol).label

    def axis() -> str:
        kind = words.KINDS.get(TransformType.of(known(event.axis)), TransformType.of(known(event.axis)).label)
        return f"They part at {kind}: offered {known(event.found)}, wanted {known(event.wanted)}."

    return tell(
        PART,
        f"As {scene.name} sees it: no proposal chosen",
        lambda: f"{scene.peer} offers for {protocol}: {_kinds(event.received)}.",
        lambda: f"{scene.name} would take: {_kinds(event.expected)}.",
        axis,
        "A suite needs one common transform of every kind; NO_PROPOSAL_CHOSEN is the answer (RFC 7296 section 2.7).",
    )


def _kinds(proposals: tuple[ProposalFact, ...]) -> str:
    told = "; ".join(f"{kind} {', '.join(names)}" for kind, names, _ in words.by_kind(proposals))
    if not told:
        raise Unsaid
    return told


def selectors_refused(scene: Scene, event: SelectorsRefused) -> list[Telling]:
    """What was proposed and what is configured, from the responder's view."""

    def axis() -> str:
        return f"The {known(event.axis)} side has nothing in common."

    return tell(
        PART,
        f"As {scene.name} sees it: selectors that meet nothing",
        lambda: f"Proposed: {words.pair(event.proposed_local, event.proposed_remote)}, as {scene.name} sees it.",
        lambda: f"Configured here: {words.pair(event.expected_local, event.expected_remote)}.",
        axis,
        "Selectors may be narrowed to what both have, but here nothing is left: TS_UNACCEPTABLE "
        "(RFC 7296 section 2.9).",
    )


def child_refused(scene: Scene, event: ChildRefused) -> list[Telling]:
    """No Child SA; the IKE SA stands."""
    name = words.notify(event.notify)
    if event.by == "local":
        return []
    if event.notify == NotifyType.TS_MAX_QUEUE:
        return tell(
            PART,
            f"As {scene.name} sees it: enough of them",
            lambda: f"{scene.peer} answers {name}: it has as many Child SAs for these selectors as it wants.",
            "Those that stand carry the traffic, and no more are asked for (RFC 9611).",
        )

    def refused() -> str:
        return f"{scene.peer} answers {name}: no Child SA, so nothing can be sent through ESP."

    meaning = MEANINGS.get(NotifyType.of(event.notify), "")
    sentences: tuple[Sentence, ...] = (
        refused,
        *((meaning,) if meaning else ()),
        "Authentication went well all the same (RFC 7296 section 1.2): keys and identities are not what is wrong.",
        _where(scene),
    )
    return tell(PART, f"As {scene.name} sees it: {NotifyType.of(event.notify).label}", *sentences)


def request_refused(scene: Scene, event: RequestRefused) -> list[Telling]:
    """A refusal of ours that no other event explains."""
    if any(isinstance(record.event, EXPLAINED) for record in scene.sa.failures):
        return []
    section = f" ({event.section})" if event.section else ""
    return tell(
        PART,
        f"As {scene.name} sees it: {NotifyType.of(event.notify).label}",
        lambda: (
            f"{scene.name} answers {words.exchange(event.exchange)} of {scene.peer} with {words.notify(event.notify)}."
        ),
        f"Why: {event.why}{section}.",
    )


EXPLAINED = (AuthRefused, ProposalRefused, SelectorsRefused, ProfileNotFound)


def exhausted(scene: Scene, event: RetransmissionsExhausted) -> list[Telling]:
    """Nobody answers: from the start, or only from port 4500 on."""
    name = words.exchange(event.exchange)

    def sent() -> str:
        return f"{name} went out {event.sends} times in {event.seconds:.0f} s to {_to(scene)}, and no answer came."

    def floated() -> str:
        when(_answered_before(scene) and words.port(_to(scene)) == "4500")
        return (
            f"IKE_SA_INIT was answered on port 500; then IKE moved to 4500{_why_floated(scene)}: something on the way "
            "passes UDP 500 and drops UDP 4500."
        )

    def from_the_start() -> str:
        when(not _answered_before(scene))
        return (
            f"Not one answer to the first message: the address is wrong, {scene.peer} is down or does not know us, "
            "or a filter drops UDP 500 on the way there or back."
        )

    return tell(
        PART,
        "Nobody answers",
        sent,
        floated,
        from_the_start,
        "A lost request and a lost answer look the same from here; a capture at the other end tells which.",
    )


def _to(scene: Scene) -> str:
    return known(scene.sa.peer)


def _why_floated(scene: Scene) -> str:
    event = scene.last.get(NatChecked)
    if not isinstance(event, NatChecked):
        return ""
    if event.local_behind or event.remote_behind:
        return ", for a NAT was found"
    return ", as nat force-encap demands" if event.forced else ""


def _answered_before(scene: Scene) -> bool:
    return any(
        exchange.sa == scene.sa.key and exchange.exchange == ExchangeType.IKE_SA_INIT and exchange.response is not None
        for exchange in scene.timeline.exchanges
    )


def no_profile(scene: Scene, event: ProfileNotFound) -> list[Telling]:
    """No profile speaks to this identity."""

    def tried() -> str:
        told = "; ".join(f"{one.name}: {one.why}" for one in event.tried)
        when(bool(told))
        return f"Tried: {told}."

    return tell(
        PART,
        f"As {scene.name} sees it: no profile for this peer",
        f"The peer says it is {words.identity(event.identity)}, and no IKEv2 profile of {scene.name} matches that.",
        tried,
    )


TELLERS: dict[type[Event], Teller] = {
    AuthRefused: auth_refused,
    AuthNearMiss: near_miss,
    ResponseRefused: refusal_received,
    ProposalRefused: proposal_refused,
    SelectorsRefused: selectors_refused,
    ChildRefused: child_refused,
    RequestRefused: request_refused,
    RetransmissionsExhausted: exhausted,
    ProfileNotFound: no_profile,
}
