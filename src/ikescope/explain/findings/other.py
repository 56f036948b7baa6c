"""Findings for what no other rule knows: an exchange that was refused, a data plane that refused, a log's own words."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.events import Record
from ikescope.events.life import ChildSaClosed, CloseReason, SessionDown
from ikescope.events.message import RequestRefused, ResponseRefused, RetransmissionsExhausted
from ikescope.events.negotiation import ExchangeFailed, NatChecked
from ikescope.events.router import PlaneFailed
from ikescope.explain import words
from ikescope.explain.findings.case import Case, View, message_shown, shown
from ikescope.explain.findings.draft import Draft, ios, side_of, side_opposite, text
from ikescope.explain.findings.model import Remedy
from ikescope.timeline import Exchange, Message
from ikescope.wire.registry import ExchangeType, NotifyType

#: Refusals that the protocol lives with: what was asked is asked again, or is no longer wanted (RFC 7296 section 2.25).
ORDINARY = frozenset(
    {
        NotifyType.TEMPORARY_FAILURE,
        NotifyType.CHILD_SA_NOT_FOUND,
        NotifyType.INVALID_KE_PAYLOAD,
        NotifyType.NO_ADDITIONAL_SAS,
    }
)
#: What other rules speak of, with more to say.
KNOWN = ORDINARY | {
    NotifyType.NO_PROPOSAL_CHOSEN,
    NotifyType.AUTHENTICATION_FAILED,
    NotifyType.TS_UNACCEPTABLE,
    NotifyType.SINGLE_PAIR_REQUIRED,
}


def refused(case: Case) -> Iterator[Draft]:
    """An error notify that no other rule has a cause for."""
    for view, record, event in case.all(RequestRefused, ResponseRefused):
        if not isinstance(event.notify, int) or NotifyType.of(event.notify) in KNOWN:
            continue
        by_us = isinstance(event, RequestRefused)
        yield _refusal(case, view, record, event, by_us)
        return
    for view in case.views:
        for exchange, answer in view.notified():
            name = _other_error(answer)
            if name:
                yield _told(case, view, exchange, answer, name)
                return


def _refusal(case: Case, view: View, record: Record, event: RequestRefused | ResponseRefused, by_us: bool) -> Draft:
    who, whom = (case.name(view), case.other(view)) if by_us else (case.other(view), case.name(view))
    why = f": {event.why}" if isinstance(event, RequestRefused) and isinstance(event.why, str) else ""
    label = NotifyType.of(event.notify).label
    return Draft(
        cause=f"{who} refused {words.exchange(event.exchange)} of {whom}{why} ({words.notify(event.notify)})",
        change=f"what {label} speaks of; the log of {who} says why",
        side=side_opposite(case, view) if by_us else side_of(case, view),
        severity="note" if view.created else "error",
        confidence="likely",
        because=(),
        evidence=(shown(record, f"{label}"),),
        remedy=(text("unknown", f"look at what {label} speaks of in the log of {who}"),),
    )


def _other_error(answer: Message) -> str:
    for names in (answer.payloads, answer.inner):
        for name in names if isinstance(names, tuple) else ():
            kind = NotifyType.__members__.get(name.removeprefix("NOTIFY(").removesuffix(")"))
            if kind is not None and kind.is_error and kind not in KNOWN:
                return kind.label
    return ""


def _told(case: Case, view: View, exchange: Exchange, answer: Message, name: str) -> Draft:
    other = case.other(view)
    return Draft(
        cause=f"{other} refused {words.exchange(exchange.exchange)} of {case.name(view)} ({name})",
        change=f"what {name} speaks of; the log of {other} says why",
        side="unknown",
        severity="note" if view.created else "error",
        confidence="likely",
        evidence=(message_shown(answer, name),),
        remedy=(text("unknown", f"look at what {name} speaks of in the log of {other}"),),
    )


def plane(case: Case) -> Iterator[Draft]:
    """The data plane or the host refused what was asked of it."""
    for view, record, event in case.all(PlaneFailed, ChildSaClosed):
        if isinstance(event, PlaneFailed):
            what, why = event.what, event.why
        elif event.cause == CloseReason.PLANE:
            what, why = "install the ESP SAs", event.reason
        else:
            continue
        what = what if isinstance(what, str) else "do what the data plane was asked for"
        because = f": {why}" if isinstance(why, str) else ""
        yield Draft(
            cause=f"{case.name(view)} could not {what}{because}",
            change=f"what the host of {case.name(view)} allows",
            side=side_of(case, view),
            evidence=(shown(record, f"{what}{because}"),),
            remedy=(text(side_of(case, view), f"allow it on the host: {what}", router=case.name(view)),),
        )
        return


def unnamed(case: Case) -> Iterator[Draft]:
    """An exchange that failed with no more told than that."""
    for view, record, event in case.all(ExchangeFailed):
        if view.created:
            # An end whose IKE SA stood says it of one exchange, and goes on; the other end may take it to stand.
            continue
        why = f": {event.why}" if isinstance(event.why, str) else ""
        name = words.exchange(event.exchange) if isinstance(event.exchange, int) else "an exchange"
        yield Draft(
            cause=f"{name} with {case.other(view)} failed at {case.name(view)}{why}",
            change="what the lines before it name",
            side="unknown",
            confidence="possible",
            because=("The source says that it failed and not why.",),
            evidence=(shown(record, f"{name} failed{why}"),),
            remedy=(text("unknown", "a debug of the same attempt at the other end tells more"),),
        )
        return


def gave_up(case: Case) -> Iterator[tuple[str, Draft]]:
    """A router that gave up a request which the source does not hold: of a debug of errors alone that line is all.

    With each the id: `peer-dead` where the IKE SA stood before, `port-4500-blocked` where IKE had moved there.
    """
    for view, record, event in case.all(RetransmissionsExhausted):
        if view.exchanges:
            continue
        other = case.other(view)
        name = words.exchange(event.exchange) if isinstance(event.exchange, int) else "requests"
        stood = view.created or (isinstance(event.exchange, int) and event.exchange > ExchangeType.IKE_AUTH)
        ends = f"{case.router} and {case.peer}"
        checked = view.last(NatChecked)
        if checked is not None and checked[1].floated is True and event.exchange == ExchangeType.IKE_AUTH and not stood:
            yield "port-4500-blocked", _floated(case, view, record, checked[0])
            return
        yield (
            "peer-dead" if stood else "no-response",
            Draft(
                cause=f"{other} fell silent" if stood else f"no answer from {other} to {name}",
                side="peer" if stood else "path",
                confidence="likely",
                because=("A lost request and a lost answer look the same from here.",),
                evidence=(shown(record, f"{case.name(view)} gives up: {name}, no answer"),),
                remedy=(
                    text("path", f"address of and route to {other} first"),
                    text("path", f"let UDP 500 and 4500 pass between {ends} in both directions (filters, routes, NAT)"),
                ),
                change=f"address and route to {other} first, then filters on UDP 500 and 4500",
                instead=() if stood else ("response-lost",),
            ),
        )
        return


def _floated(case: Case, view: View, record: Record, checked: Record) -> Draft:
    """IKE_AUTH that nobody answers after IKE moved to port 4500."""
    filters = f"let UDP 4500 pass between {case.router} and {case.peer} in both directions (filters, routes, NAT)"
    return Draft(
        cause=f"no answer from {case.other(view)} to IKE_AUTH on UDP 4500, though IKE_SA_INIT was answered on UDP 500",
        side="path",
        confidence="likely",
        because=("IKE moved to port 4500 after IKE_SA_INIT; nothing passes there (RFC 7296 section 2.23).",),
        evidence=(
            shown(checked, "IKE moves to port 4500"),
            shown(record, f"{case.name(view)} gives up: IKE_AUTH, no answer"),
        ),
        remedy=(text("path", filters),),
        change=f"the filter between {case.name(view)} and {case.other(view)}: UDP 4500 must pass in both directions",
    )


def lost(case: Case) -> Iterator[Draft]:
    """A syslog's word alone that the peer fell silent: `SA DOWN. Reason: peer lost`."""
    for view, record, event in case.all(SessionDown):
        if event.cause is not CloseReason.SILENCE or view.exchanges:
            continue
        other = case.other(view)
        yield Draft(
            cause=f"{other} fell silent",
            side="peer",
            confidence="likely",
            because=("The log says that the peer was lost, and nothing of what was asked of it.",),
            evidence=(shown(record, f"{case.name(view)} ends the session: {event.reason}"),),
            remedy=(text("path", f"whether {other} runs, and the way to it"),),
            change=f"{other} first: whether it runs, and the way to it",
        )
        return


HTTP_URL = "http_lookup_supported"


def http_url(case: Case) -> Iterator[Draft]:
    """A certificate that is offered as a URL to an end that does not fetch it."""
    for view, record, event in case.all(ExchangeFailed, RequestRefused):
        if isinstance(event.why, str) and HTTP_URL in event.why.lower().replace(" ", "_"):
            yield Draft(
                cause=f"{case.other(view)} names its certificate by a URL, and {case.name(view)} did not ask for that",
                change=f"`no crypto ikev2 http-url cert` at {case.other(view)}, which then sends the certificate",
                side=side_opposite(case, view),
                because=(
                    "A URL may only be sent to an end that said HTTP_CERT_LOOKUP_SUPPORTED (RFC 7296 section 3.6).",
                    f"{case.name(view)} did not say so, fetches nothing, and so has no certificate to check AUTH with.",
                ),
                evidence=(shown(record, event.why),),
                remedy=(_no_url(case, view),),
            )
            return


def _no_url(case: Case, view: View) -> Remedy:
    return ios(case, view, ("no crypto ikev2 http-url cert",), other=True)
