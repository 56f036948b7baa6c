"""Findings on the way between the ends: nothing comes back, port 4500, large messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ikescope.events import UNSET, Record
from ikescope.events.life import CloseReason, IkeSaClosed
from ikescope.events.message import (
    DropTrigger,
    FragmentsForgotten,
    FragmentSizeLowered,
    MessageDropped,
    RetransmissionsExhausted,
)
from ikescope.events.negotiation import AuthArrived, ExchangeFailed, NatChecked
from ikescope.explain import words
from ikescope.explain.findings.case import Case, View, message_shown, shown
from ikescope.explain.findings.draft import Draft, far, ios, side_of, side_opposite, text
from ikescope.explain.findings.model import Confidence, Evidence, Remedy, Side
from ikescope.timeline import Exchange
from ikescope.wire.registry import ExchangeType

INIT, AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH
LARGE = 1280
"""Octets of an IKE message that every IPv6 path, and almost every other, carries in one datagram."""
GIVEN_UP, REPEATED = 3, 4
"""Retransmissions after which a request that is still open counts as unanswered; as a responder sees them."""


TURNED_AWAY = (
    *(DropTrigger.NOT_CONFIGURED, DropTrigger.HALF_OPEN_LIMIT, DropTrigger.SA_LIMIT, DropTrigger.MALFORMED),
    *(DropTrigger.MAJOR_VERSION, DropTrigger.ZERO_SPI, DropTrigger.NOT_FIRST, DropTrigger.NOT_IKE),
)
"""Why a first message of a peer is dropped without an answer."""


class Silence(NamedTuple):
    """An exchange without its end: the id of what it is, and what to say."""

    id: str
    draft: Draft


class Unanswered(NamedTuple):
    """A request of a view that nobody answered; `given_up`: the record that says so, if one does."""

    view: View
    exchange: Exchange
    given_up: Record | None


def no_response(case: Case) -> Iterator[Draft]:
    """Requests that nobody answers."""
    return _only(case, "no-response")


def response_lost(case: Case) -> Iterator[Draft]:
    """Answers that do not arrive."""
    return _only(case, "response-lost")


def port_4500(case: Case) -> Iterator[Draft]:
    """IKE_SA_INIT passes on port 500, what follows on port 4500 does not."""
    return _only(case, "port-4500-blocked")


def large(case: Case) -> Iterator[Draft]:
    """Small messages pass, large ones do not."""
    return _only(case, "large-messages-lost")


def dead(case: Case) -> Iterator[Draft]:
    """A peer that was there and fell silent."""
    return _only(case, "peer-dead")


def _only(case: Case, id: str) -> Iterator[Draft]:
    found = silence(case)
    if found is not None and found.id == id:
        yield found.draft


def silence(case: Case) -> Silence | None:
    """Why an attempt stopped without an answer, None where it did not."""
    torn = next((part for view in case.views if (part := _torn(case, view)) is not None), None)
    if torn is not None:
        return torn
    asked = next((one for view in case.views if (one := _unanswered(view)) is not None), None)
    if asked is not None:
        return _asked(case, asked)
    mute = next((silent for view in case.views if (silent := _mute(case, view)) is not None), None)
    return mute or next((waited for view in case.views if (waited := _waited(case, view)) is not None), None)


def _torn(case: Case, view: View) -> Silence | None:
    """IKE_AUTH of which a capture holds the first IP fragment alone, time and again."""
    found = [one for one in view.all(FragmentsForgotten) if one[1].exchange == AUTH and one[0].stamp.point is not UNSET]
    answered = any(one.exchange == AUTH and one.response is not None for one in view.exchanges)
    if not found or view.created or answered:
        return None
    record, event = found[-1]
    what = "answer" if event.response else "request"
    draft = Draft(
        cause=f"large messages are lost: of the IKE_AUTH {what} the first IP fragment alone comes this far",
        side="path",
        confidence="likely",
        because=(
            f"Where the capture was taken {event.why}." if isinstance(event.why, str) else "",
            "IP fragments are dropped by many filters and NATs; IKE has fragments of its own (RFC 7383).",
        ),
        evidence=(shown(record, f"{words.plural(len(found), 'packet')} without the rest"),),
        remedy=_fragmentation(case, view),
        change="fragmentation of IKE messages at both ends, or the filter that drops IP fragments",
    )
    return Silence("large-messages-lost", draft)


def _unanswered(view: View) -> Unanswered | None:
    given_up = view.last(RetransmissionsExhausted)
    ours = [one for one in view.exchanges if one.ours]
    open_ = [one for one in ours if one.response is None and (one.request is not None or one.result)]
    if not open_:
        return None
    last = open_[-1]
    if given_up is not None:
        return Unanswered(view, last, given_up[0])
    if last is not ours[-1] or (view.latest is not None and view.latest.closed is not None and view.created):
        return None
    failed = view.last(ExchangeFailed)
    if failed is not None and last.retransmissions:
        return Unanswered(view, last, failed[0])
    return Unanswered(view, last, None) if last.retransmissions >= GIVEN_UP else None


def _asked(case: Case, asked: Unanswered) -> Silence:
    view, exchange, _ = asked
    there = far(case, view)
    answered = _theirs(there, exchange) if there is not None else None
    if answered is not None and answered.response is not None:
        return _lost(case, asked, answered)
    if view.created:
        return _dead(case, asked, known=there is not None)
    request = exchange.request
    checked = view.last(NatChecked)
    floated = words.port(request.remote) == "4500" if request is not None and request.remote else False
    floated = floated or (checked is not None and checked[1].floated is True)
    met = answered is not None
    size = _size(exchange)
    lowered = view.last(FragmentSizeLowered)
    if exchange.exchange == AUTH and not met and (size > LARGE or (lowered is not None and not floated)):
        return _large(case, asked, size, floated)
    if exchange.exchange == AUTH and floated and not met:
        return _port(case, asked)
    return _nothing(case, asked, met)


def _size(exchange: Exchange) -> int:
    """The largest datagram of a request, 0 where no size is told."""
    request = exchange.request
    if request is None:
        return 0
    return max(request.fragments) if request.fragments else request.size if isinstance(request.size, int) else 0


def _theirs(there: View, exchange: Exchange) -> Exchange | None:
    """The same exchange as the other end tells it, where its request arrived there."""
    same = (
        one
        for one in there.exchanges
        if not one.ours and one.exchange == exchange.exchange and one.message_id == exchange.message_id
    )
    return next(same, None)


def _sent(case: Case, asked: Unanswered) -> str:
    name = words.exchange(asked.exchange.exchange)
    request = asked.exchange.request
    to = request.remote if request is not None and request.remote else case.other(asked.view)
    given_up = asked.given_up.event if asked.given_up is not None else None
    if isinstance(given_up, RetransmissionsExhausted) and isinstance(given_up.sends, int):
        seconds = f" in {given_up.seconds:.0f} s" if isinstance(given_up.seconds, int | float) else ""
        return f"{name} sent {given_up.sends} times{seconds} to {to}"
    return f"{name} sent {words.plural(max(1, asked.exchange.messages), 'time')} to {to}"


def _proof(case: Case, asked: Unanswered, *more: Evidence) -> tuple[Evidence, ...]:
    first = asked.exchange.request
    found = [message_shown(first, f"{words.exchange(first.exchange)} goes out")] if first is not None else []
    if asked.given_up is not None:
        found.append(shown(asked.given_up, f"{case.name(asked.view)} gives up: {_sent(case, asked)}, no answer"))
    return (*found, *more)


def _sure(asked: Unanswered, witness: bool) -> Confidence:
    return "certain" if witness else "likely" if asked.given_up is not None else "possible"


def _filters(case: Case, ports: str) -> Remedy:
    ends = f"{case.router} and {case.peer}"
    return text("path", f"let {ports} pass between {ends} in both directions (filters, routes, NAT)")


def _nothing(case: Case, asked: Unanswered, met: bool) -> Silence:
    view = asked.view
    other = case.other(view)
    witness = _witness(case, view)
    sent = _sent(case, asked)
    side: Side = "path"
    because: tuple[str, ...]
    if met:
        side = side_opposite(case, view)
        because = (f"{other} took the request and answered nothing: its log says why.",)
    elif witness:
        because = (f"{witness} tells of no message that arrived: it is lost on the way there.",)
    else:
        because = ("A lost request and a lost answer look the same from here; a capture at the other end tells which.",)
    drops = [shown(one, f"{witness} dropped it: {event.trigger}") for one, event in _drops(case, witness)[:1]]
    if drops:
        side, because = (
            side_opposite(case, view),
            (f"{witness} dropped what came: {drops[0].text.rpartition(': ')[2]}.",),
        )
    if asked.exchange.exchange == AUTH:
        port = ", on the same port" if asked.exchange.request is not None and asked.exchange.request.remote else ""
        before = f"IKE_SA_INIT was answered, IKE_AUTH was not{port}: {other} stopped, or refuses in silence."
        because = (before, *because)
    reach = f"address of and route to {other} first"
    draft = Draft(
        cause=f"no answer from {view.peer or other} ({sent})",
        side=side,
        confidence=_sure(asked, bool(witness) or met),
        because=because,
        evidence=_proof(case, asked, *drops),
        remedy=(text("path", reach), _filters(case, "UDP 500 and 4500")),
        change=f"address and route to {view.peer or other} first, then filters: UDP 500 and 4500 must pass in both "
        "directions",
        instead=() if witness or met else ("response-lost",),
    )
    return Silence("no-response", draft)


def _witness(case: Case, view: View) -> str:
    """The other end's name where it keeps records too, whatever it saw of this."""
    if case.both:
        return case.other(view)
    others = [name for name in case.timeline.routers if name and name != view.router]
    return others[0] if len(others) == 1 else ""


def _drops(case: Case, witness: str) -> list[tuple[Record, MessageDropped]]:
    found = []
    for records in case.timeline.loose_marks(witness).values() if witness else ():
        for one in records:
            if isinstance(one.event, MessageDropped) and one.event.trigger in TURNED_AWAY:
                found.append((one, one.event))
    return found


def _lost(case: Case, asked: Unanswered, answered: Exchange) -> Silence:
    view = asked.view
    other = case.other(view)
    name = words.exchange(asked.exchange.exchange)
    assert answered.response is not None
    proof = message_shown(answered.response, f"{other} answers {name}")
    draft = Draft(
        cause=f"{other} answers {name}, and its answers do not reach {case.name(view)}",
        side="path",
        because=(f"{other} tells of the request and of its answer, {case.name(view)} only of the request.",),
        evidence=_proof(case, asked, proof),
        remedy=(_filters(case, "UDP 500 and 4500"),),
        change=f"the way from {other} to {case.name(view)}: filters and routes",
    )
    return Silence("response-lost", draft)


def _port(case: Case, asked: Unanswered) -> Silence:
    view = asked.view
    checked = view.last(NatChecked)
    why = _why_floated(checked[1]) if checked is not None else ""
    proof = [shown(checked[0], f"IKE moves to port 4500{why}")] if checked is not None else []
    draft = Draft(
        cause=f"no answer on UDP 4500 ({_sent(case, asked)}), though IKE_SA_INIT was answered on UDP 500",
        side="path",
        confidence="certain" if _witness(case, view) else "likely",
        because=(f"IKE moved to port 4500{why} after IKE_SA_INIT; nothing passes there (RFC 7296 section 2.23).",),
        evidence=(*proof, *_proof(case, asked)),
        remedy=(_filters(case, "UDP 4500"),),
        change=f"the filter between {case.name(view)} and {case.other(view)}: UDP 4500 must pass in both directions",
    )
    return Silence("port-4500-blocked", draft)


def _why_floated(event: NatChecked) -> str:
    if event.local_behind is True or event.remote_behind is True:
        return ", for a NAT was found"
    return ", as nat force-encap demands" if event.forced is True else ""


def _large(case: Case, asked: Unanswered, size: int, floated: bool) -> Silence:
    view = asked.view
    lowered = view.last(FragmentSizeLowered)
    proof = [shown(lowered[0], "smaller datagrams are tried")] if lowered is not None else []
    octets = f" of {size} octets" if size > LARGE else ""
    draft = Draft(
        cause=f"large messages are lost: IKE_AUTH{octets} is not answered, the smaller IKE_SA_INIT was",
        side="path",
        confidence="likely",
        because=("IP fragments are dropped by many filters and NATs; IKE has fragments of its own (RFC 7383).",),
        evidence=(*proof, *_proof(case, asked)),
        remedy=_fragmentation(case, view),
        change="fragmentation of IKE messages at both ends, or the filter that drops IP fragments",
        instead=("port-4500-blocked",) if floated else (),
    )
    return Silence("large-messages-lost", draft)


def _fragmentation(case: Case, view: View) -> tuple[Remedy, ...]:
    line = ("crypto ikev2 fragmentation mtu 1200",)
    return ios(case, view, line, both=True), ios(case, view, line, other=True, both=True)


def _dead(case: Case, asked: Unanswered, *, known: bool) -> Silence:
    view = asked.view
    other = case.other(view)
    draft = Draft(
        cause=f"{other} fell silent ({_sent(case, asked)})",
        side="peer",
        confidence="likely" if asked.given_up is not None else "possible",
        because=(
            "The IKE SA stood and had been answered before: this is the end by silence of RFC 7296 section 2.4, "
            "no Delete and no operator's clear.",
            *((f"{other} tells of no such request: it did not arrive there.",) if known else ()),
        ),
        evidence=_proof(case, asked),
        remedy=(text("peer", f"see whether {other} is up, and whether the way there still leads to it"),),
        change=f"nothing here before the way to {other} and its state are looked at",
    )
    return Silence("peer-dead", draft)


def _waited(case: Case, view: View) -> Silence | None:
    """A responder that answered and saw nothing more."""
    if view.initiator is not False and any(one.ours for one in view.exchanges):
        return None
    repeated = next((one for one in view.exchanges if not one.ours and one.retransmissions >= REPEATED), None)
    if view.created:
        silent = view.latest is None or view.latest.closed is None
        if repeated is None or repeated is not view.exchanges[-1] or not silent:
            return None
        return _unheard(case, view, repeated, None)
    over = _over(view)
    if over is None or view.one(AuthArrived) is not None or any(one.exchange == AUTH for one in view.exchanges):
        return None
    other = case.other(view)
    forgotten = view.last(FragmentsForgotten)
    checked = view.last(NatChecked)
    again = _again(view)
    evidence: tuple[Evidence, ...] = (shown(over, f"{case.name(view)} waited for IKE_AUTH in vain"),)
    if again is not None:
        return _unheard(case, view, again, over)
    id, cause, why = "no-response", f"{other} began and did not go on: no IKE_AUTH came", ""
    instead: tuple[str, ...] = ("port-4500-blocked", "large-messages-lost", "response-lost")
    remedy: tuple[Remedy, ...] = (_filters(case, "UDP 500 and 4500"),)
    if forgotten is not None:
        id, cause = "large-messages-lost", f"fragments of {other}'s IKE_AUTH are lost on the way"
        evidence, instead = (shown(forgotten[0], "a message never became whole"), *evidence), ()
        remedy = _fragmentation(case, view)
    elif checked is not None and checked[1].floated is True:
        id, cause = "port-4500-blocked", f"no IKE_AUTH of {other} came on UDP 4500 after IKE_SA_INIT on UDP 500"
        why, instead = _why_floated(checked[1]), ("large-messages-lost",)
        evidence = (shown(checked[0], f"IKE moves to port 4500{why}"), *evidence)
        remedy = (_filters(case, "UDP 4500"),)
    return Silence(
        id,
        Draft(
            cause=cause,
            side="path",
            confidence="possible" if id == "no-response" else "likely",
            because=(f"{case.name(view)} answered IKE_SA_INIT once, so the answer seems to have arrived.",),
            evidence=evidence,
            remedy=remedy,
            change=f"the way between {other} and {case.name(view)}: UDP 500 and 4500, and large datagrams, must pass",
            instead=instead,
        ),
    )


def _mute(case: Case, view: View) -> Silence | None:
    """The peer asks time and again, and a capture sees no answer of this end."""
    repeated = view.exchanges[-1] if view.exchanges else None
    if repeated is None or repeated.ours or repeated.response is not None or repeated.retransmissions < REPEATED:
        return None
    if repeated.request is None or repeated.request.point is UNSET:
        return None
    me, other = case.name(view), case.other(view)
    name = words.exchange(repeated.exchange)
    draft = Draft(
        cause=f"{me} does not answer {name} of {other}, which sends it {repeated.retransmissions + 1} times",
        side=side_of(case, view),
        confidence="likely",
        because=(
            "What arrives is dropped in silence where it does not verify, or is of no peer.",
            "A capture does not see an answer that goes another way.",
        ),
        evidence=(message_shown(repeated.request, f"{name} of {other}, the first time"),),
        remedy=(text(side_of(case, view), f"see whether {me} is up, and what it says of the request", router=me),),
        change=f"the state of {me} first: it takes what {other} asks and does not answer",
        instead=("response-lost",),
    )
    return Silence("peer-dead" if view.created else "no-response", draft)


def _again(view: View) -> Exchange | None:
    """An IKE_SA_INIT request that the peer sent once more after it was answered: it did not get the answer."""
    rounds = [one for one in view.exchanges if not one.ours and one.exchange == INIT and one.result == "done"]
    repeated = next((one for one in view.exchanges if not one.ours and one.retransmissions), None)
    return repeated or (rounds[0] if len(rounds) > 1 else None)


def _over(view: View) -> Record | None:
    for record, event in view.all(IkeSaClosed, ExchangeFailed):
        if isinstance(event, IkeSaClosed):
            if event.cause == CloseReason.NEVER_CAME:
                return record
        elif isinstance(event.why, str) and ("in time" in event.why or "timer expired" in event.why):
            return record
    return None


def _unheard(case: Case, view: View, repeated: Exchange, over: Record | None) -> Silence:
    other = case.other(view)
    name = words.exchange(repeated.exchange)
    proof = [] if repeated.request is None else [message_shown(repeated.request, f"{name} of {other}, the first time")]
    proof += [] if over is None else [shown(over, f"{case.name(view)} waited in vain for what follows")]
    again = repeated.retransmissions or sum(one.exchange == repeated.exchange for one in view.exchanges) - 1
    times = words.plural(again, "time")
    draft = Draft(
        cause=f"the answers of {case.name(view)} do not reach {other}, which repeats {name}",
        side="path",
        confidence="likely",
        because=(f"{other} sent the same {name} request {times} again, and each was answered.",),
        evidence=tuple(proof),
        remedy=(_filters(case, "UDP 500 and 4500"),),
        change=f"the way from {case.name(view)} to {other}: filters and routes, UDP 500 and 4500",
    )
    return Silence("response-lost", draft)
