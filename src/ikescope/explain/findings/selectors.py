"""Finding on traffic selectors that do not meet."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.events import Record, SelectorFact
from ikescope.events.life import ChildRefused
from ikescope.events.message import ResponseRefused
from ikescope.events.negotiation import SelectorsExceeded, SelectorsRefused, SelectorsSent
from ikescope.explain import words
from ikescope.explain.findings import lines
from ikescope.explain.findings.case import Case, View, message_shown, shown
from ikescope.explain.findings.draft import TUNNEL, Draft, ios, side_of, side_opposite, swanctl
from ikescope.explain.findings.draft import text as in_words
from ikescope.explain.findings.model import Evidence, Remedy
from ikescope.wire.registry import NotifyType

REFUSED = (NotifyType.TS_UNACCEPTABLE, NotifyType.SINGLE_PAIR_REQUIRED)
_MIRROR = "tunnel mode, access list or tunnel addresses, so that they mirror each other at {} and {}"
_RULE = "Selectors may be narrowed to what both ends have, but here nothing is left (RFC 7296 section 2.9)."


def mismatch(case: Case) -> Iterator[Draft]:
    """TS_UNACCEPTABLE, or an ASA that finds no crypto map entry and says NO_PROPOSAL_CHOSEN."""
    found = case.all(SelectorsRefused)
    if found:
        yield _known(case, *found[-1])
        return
    exceeded = case.all(SelectorsExceeded)
    if exceeded:
        view, record, _ = exceeded[0]
        yield Draft(
            change="the access list of the other end must mirror the one here",
            cause=f"{case.other(view)} answers with traffic selectors that {case.name(view)} did not propose",
            side=side_opposite(case, view),
            because=("A responder may narrow what was proposed, not widen it (RFC 7296 section 2.9).",),
            evidence=(shown(record, "the answer holds more than was proposed"),),
            remedy=(in_words(side_opposite(case, view), "its access list must mirror the one here"),),
        )
        return
    told = _told(case)
    if told is not None:
        yield _blind(case, *told)


def _told(case: Case) -> tuple[View, Evidence] | None:
    for view, record, event in case.all(ResponseRefused, ChildRefused):
        by_peer = not isinstance(event, ChildRefused) or event.by == "peer"
        if by_peer and event.notify in REFUSED:
            return view, shown(record, f"{words.notify(event.notify)} is the answer to {case.name(view)}")
    for view in case.views:
        for _, answer in view.notified(*REFUSED):
            return view, message_shown(answer, f"TS_UNACCEPTABLE (38) is the answer to {case.name(view)}")
    return None


def _tuple(value: object) -> tuple[SelectorFact, ...]:
    return value if isinstance(value, tuple) else ()


def _known(case: Case, view: View, record: Record, event: SelectorsRefused) -> Draft:
    me, other = case.name(view), case.other(view)
    theirs = _tuple(event.proposed_local), _tuple(event.proposed_remote)
    ours = _tuple(event.expected_local), _tuple(event.expected_remote)
    evidence = [shown(record, f"{me} has nothing for the traffic selectors that {other} proposes")]
    evidence += [
        shown(one, f"{other} is refused: {words.notify(said.notify)}")
        for there, one, said in case.all(ResponseRefused, ChildRefused)
        if there is not view and isinstance(said.notify, int)
    ][:1]
    if not all(theirs):
        return Draft(
            change=_MIRROR.format(me, other),
            cause=f"no crypto map entry or tunnel of {me} fits the traffic selectors that {other} proposes",
            side=side_of(case, view),
            because=(_RULE, "An ASA answers NO_PROPOSAL_CHOSEN to this, as if the algorithms were at fault."),
            evidence=tuple(evidence),
            remedy=(in_words(side_of(case, view), "the access lists of both ends must mirror each other", router=me),),
        )
    part = f"the {event.axis} side has no common {event.part}" if isinstance(event.axis, str) else ""
    because = [f"{part[0].upper()}{part[1:]}."] if part and isinstance(event.part, str) else []
    cause = f"the traffic selectors do not meet: {other} proposes {words.pair(theirs[1], theirs[0])}"
    if all(ours):
        cause += f", {me} has {words.pair(ours[1], ours[0])}"
    return Draft(
        cause=cause,
        change=_MIRROR.format(me, other),
        side=side_of(case, view),
        because=(*because, _RULE),
        evidence=tuple(evidence),
        remedy=tuple(_remedies(case, view, event, theirs, ours)),
    )


Pair = tuple[tuple[SelectorFact, ...], tuple[SelectorFact, ...]]


def _remedies(case: Case, view: View, event: SelectorsRefused, theirs: Pair, ours: Pair) -> Iterator[Remedy]:
    tunnel = event.tunnel if isinstance(event.tunnel, str) else TUNNEL
    yield ios(case, view, _policy(tunnel, *theirs))
    if not all(ours):
        return
    if view.peer_is_strongswan:
        settings = (f"local_ts = {_networks(ours[1])}", f"remote_ts = {_networks(ours[0])}")
        inside = [f"      {one}" for one in settings]
        opening = ("connections {", "  <name> {", "    children {", "      <child> {")
        yield swanctl(case, view, (*opening, *(f"  {one}" for one in inside), "      }", "    }", "  }", "}"))
    else:
        yield ios(case, view, _policy(TUNNEL, ours[1], ours[0]), other=True)


def _policy(tunnel: str, local: tuple[SelectorFact, ...], remote: tuple[SelectorFact, ...]) -> tuple[str, ...]:
    """The tunnel interface, and the access list where it is not all traffic or GRE; or the entry of a crypto map."""
    if all(one.protocol == 47 for one in (*local, *remote)):
        return (f"interface {tunnel}", " tunnel mode gre ip")
    if all((one.start, one.protocol) == ("0.0.0.0", 0) for one in (*local, *remote)):
        return (f"interface {tunnel}", " tunnel mode ipsec ipv4", " no tunnel protection ipsec policy ipv4")
    name = "MIRROR"
    if tunnel.startswith("crypto map "):
        mapped = (f"{tunnel} ipsec-isakmp", f" match address {name}")
        return (*lines.acl_lines(name, local, remote), *mapped)
    return (
        *lines.acl_lines(name, local, remote),
        f"interface {tunnel}",
        " tunnel mode ipsec ipv4",
        f" tunnel protection ipsec policy ipv4 {name}",
    )


def _networks(selectors: tuple[SelectorFact, ...]) -> str:
    return ",".join(words.selector(one).split(" ")[0].replace("any", "0.0.0.0/0") for one in selectors)


def _blind(case: Case, view: View, evidence: Evidence) -> Draft:
    me, other = case.name(view), case.other(view)
    sent = view.last(SelectorsSent)
    pair = (_tuple(sent[1].local), _tuple(sent[1].remote)) if sent is not None else ((), ())
    told = f": {me} proposes {words.pair(*pair)}" if all(pair) else ""
    mirror = ios(case, view, _policy(TUNNEL, pair[1], pair[0]), other=True) if all(pair) else None
    look = in_words(side_opposite(case, view), "its access list must mirror the one here", router=other)
    return Draft(
        change=_MIRROR.format(me, other),
        cause=f"{other} has nothing for the traffic selectors of {me}{told}",
        side=side_opposite(case, view),
        confidence="likely",
        because=(_RULE, f"What {other} has is not known here: the notify carries no selectors."),
        evidence=(evidence,),
        remedy=(mirror, look) if mirror is not None else (look,),
    )
