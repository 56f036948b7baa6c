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
    entry = _other_entry(event)
    if entry is not None:
        return _not_theirs(case, view, evidence, *entry)
    if not all(theirs):
        return Draft(
            change=_MIRROR.format(me, other),
            cause=f"no crypto map entry or tunnel of {me} fits the traffic selectors that {other} proposes",
            side=side_of(case, view),
            because=(_RULE, "An ASA answers NO_PROPOSAL_CHOSEN to this, as if the algorithms were at fault."),
            evidence=tuple(evidence),
            remedy=(in_words(side_of(case, view), "the access lists of both ends must mirror each other", router=me),),
        )
    down = [one.name for one in event.tried if one.why == SHUT] if isinstance(event.tried, tuple) else []
    if down and len(down) == len(event.tried):
        return _shut(case, view, record, down[0])
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


SHUT = "is shut down"
OTHER_PEER, NO_LIST = "its peer is another", "it has no access-list"
"""Why an ASA passes over an entry of a crypto map."""


def _other_entry(event: SelectorsRefused) -> tuple[str, str] | None:
    """The only entry of a crypto map, where not its selectors are the reason: its name and why."""
    tried = event.tried if isinstance(event.tried, tuple) else ()
    if len(tried) != 1 or tried[0].why not in (OTHER_PEER, NO_LIST):
        return None
    return tried[0].name, tried[0].why


def _not_theirs(case: Case, view: View, evidence: list[Evidence], entry: str, why: str) -> Draft:
    """No entry of a crypto map is the peer's, or the peer's has no access-list: nothing is compared at all."""
    me, peer = case.name(view), view.peer or case.other(view)
    missing = why == NO_LIST
    setting = "match address <the access-list>" if missing else f"set peer {peer}"
    return Draft(
        cause=f"{entry} of {me} has no access-list, so it speaks for no traffic selectors of {peer}"
        if missing
        else f"no crypto map entry of {me} is for {peer}: the peer of {entry} is another",
        change=f"`{setting}` in {entry} of {me}",
        side=side_of(case, view),
        because=(f"{entry[0].upper()}{entry[1:]}: {why}.", "An ASA answers NO_PROPOSAL_CHOSEN to this."),
        evidence=tuple(evidence),
        remedy=(ios(case, view, (f"{entry} ipsec-isakmp", f" {setting}")),),
    )


def _shut(case: Case, view: View, record: Record, tunnel: str) -> Draft:
    me, other = case.name(view), case.other(view)
    return Draft(
        cause=f"{tunnel} of {me} is shut down, so {me} has nothing for the traffic selectors of {other}",
        change=f"`no shutdown` on {tunnel} of {me}",
        side=side_of(case, view),
        severity="note" if view.children else "error",
        because=("An operator shut it down; nothing is wrong with the selectors.",),
        evidence=(shown(record, f"{tunnel} {SHUT}"),),
        remedy=(ios(case, view, (f"interface {tunnel}", " no shutdown")),),
    )


def _taken_before(view: View) -> bool:
    """Whether a Child SA stood with just the selectors that are refused now."""
    sent = view.last(SelectorsSent)
    if sent is None or any(child.created > sent[0].stamp.mono for child in view.children):
        return False
    wanted = _tuple(sent[1].local)[-1:], _tuple(sent[1].remote)[-1:]
    return any((_tuple(one.local)[-1:], _tuple(one.remote)[-1:]) == wanted for one in view.children)


Pair = tuple[tuple[SelectorFact, ...], tuple[SelectorFact, ...]]


def _remedies(case: Case, view: View, event: SelectorsRefused, theirs: Pair, ours: Pair) -> Iterator[Remedy]:
    tunnel = event.tunnel if isinstance(event.tunnel, str) else TUNNEL
    yield ios(case, view, _policy(tunnel, *theirs))
    if not all(ours):
        return
    yield _mirror(case, view, ours)


def _mirror(case: Case, view: View, ours: Pair) -> Remedy:
    """What the other end would have to have for these local and remote selectors of a view."""
    if not view.peer_is_strongswan:
        return ios(case, view, _policy(TUNNEL, ours[1], ours[0]), other=True)
    settings = (f"local_ts = {_networks(ours[1])}", f"remote_ts = {_networks(ours[0])}")
    opening = ("connections {", "  <name> {", "    children {", "      <child> {")
    return swanctl(case, view, (*opening, *(f"        {one}" for one in settings), "      }", "    }", "  }", "}"))


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
    places = (words.selector(one).split(" ")[0].replace("any", "0.0.0.0/0") for one in lines.broad(selectors))
    return ",".join(places)


def _blind(case: Case, view: View, evidence: Evidence) -> Draft:
    me, other = case.name(view), case.other(view)
    sent = view.last(SelectorsSent)
    pair = (_tuple(sent[1].local), _tuple(sent[1].remote)) if sent is not None else ((), ())
    told = f": {me} proposes {words.pair(*pair)}" if all(pair) else ""
    mirror = _mirror(case, view, pair) if all(pair) else None
    look = in_words(side_opposite(case, view), "its access list must mirror the one here", router=other)
    return Draft(
        change=_MIRROR.format(me, other),
        cause=f"{other} has nothing for the traffic selectors of {me}{told}",
        side=side_opposite(case, view),
        severity="note" if _taken_before(view) else None,
        confidence="likely",
        because=(_RULE, f"What {other} has is not known here: the notify carries no selectors."),
        evidence=(evidence,),
        remedy=(mirror, look) if mirror is not None else (look,),
    )
