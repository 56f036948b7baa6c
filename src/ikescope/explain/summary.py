"""How a session ended: the verdict, its answer first, and the closing table of exchanges."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from ikescope.events import Event, ProposalFact, Record, Stamp
from ikescope.events.life import ChildRefused
from ikescope.events.message import RequestRefused, ResponseRefused, RetransmissionsExhausted
from ikescope.events.negotiation import (
    AuthRefused,
    ExchangeFailed,
    ProfileNotFound,
    ProposalRefused,
    SelectorsRefused,
)
from ikescope.events.router import PlaneFailed
from ikescope.explain import words
from ikescope.explain.scene import Facts, Telling, Unsaid, known
from ikescope.timeline import ChildSa, Exchange, IkeSa, Timeline
from ikescope.wire.registry import AuthMethod, ExchangeType, NotifyType, ProtocolId, TransformType

#: What happened, and what to change.
Cause = tuple[str, str]


def verdict(timeline: Timeline, router: str | None = None) -> list[str]:
    """The answer in the first line, then what it rests on and what to change; one block for each peer.

    `router` names the side to judge from; without it the first one that has an IKE SA.
    """
    side = router or next((sa.router for sa in timeline.ike.values()), None)
    if side is None:
        return _nothing(timeline)
    families = [family for family in timeline.families if family.router == side]
    latest: dict[str, list[IkeSa]] = {}
    for family in families:
        members = [timeline.ike[side, spi] for spi in family.members]
        latest.setdefault(words.host(_text(members[-1].peer, "a peer")), []).append(members[-1])
    lines: list[str] = []
    for peer, sas in latest.items():
        best = _best(timeline, sas)
        sealed = [sa for sa in sas if _sealed(timeline, sa)]
        if best.created is None and best.closed is None and not best.failures and sealed:
            lines += _unopened(timeline, peer, sealed[0])
        else:
            lines += _judge(timeline, peer, best)
            lines += _earlier(timeline, [sa for sa in sas if sa is not best], lines[0])
    return lines


def _earlier(timeline: Timeline, sas: list[IkeSa], answer: str) -> list[str]:
    """What other attempts with the same peer ended in, each cause once."""
    causes = [cause(timeline, record, sa)[0] for sa in sas for record in _failures(timeline, sa)[:1]]
    return [f"Another attempt: {cause}." for cause in dict.fromkeys(causes) if cause not in answer]


def _sealed(timeline: Timeline, sa: IkeSa) -> bool:
    """Whether an IKE_AUTH response of this IKE SA came that nobody opened."""
    return any(
        one.sa == sa.key
        and one.exchange == ExchangeType.IKE_AUTH
        and one.response is not None
        and not isinstance(one.response.inner, tuple)
        for one in timeline.exchanges
    )


def _unopened(timeline: Timeline, peer: str, sa: IkeSa) -> list[str]:
    """A capture without keys: what follows IKE_AUTH tells, what is inside does not."""
    after = [one for one in timeline.exchanges if one.sa == sa.key and one.exchange == ExchangeType.CREATE_CHILD_SA]
    if after:
        answer = f"Was up, it seems: IKE_AUTH with {peer} was answered and {len(after)} CREATE_CHILD_SA followed."
    else:
        answer = f"Cannot tell: IKE_AUTH with {peer} was answered, but the answer is encrypted."
    return [answer, "Without the keys nothing inside the Encrypted payloads is known.", *_standing(timeline, sa, [])]


def _nothing(timeline: Timeline) -> list[str]:
    for records in timeline.loose_failures.values():
        for record in records:
            what, change = cause(timeline, record, None)
            return [f"Not up: {what}.", f"Change: {change}."]
    if timeline.last is None:
        return ["Nothing to judge: there is not one record."]
    if timeline.traffic:
        return ["Not up: traffic wants a tunnel, but no IKE message was sent or received."]
    return ["Nothing to judge: no IKE message was sent or received."]


def _best(timeline: Timeline, sas: list[IkeSa]) -> IkeSa:
    standing = [sa for sa in sas if sa.state == "READY"]
    with_child = [sa for sa in standing if any(child.up for child in timeline.children_of(sa))]
    return (with_child or standing or sas)[-1]


def _judge(timeline: Timeline, peer: str, sa: IkeSa) -> list[str]:
    children = [child for child in timeline.children_of(sa) if child.up]
    name = f"IKE SA {sa.number}" if isinstance(sa.number, int) else "the IKE SA"
    if sa.state == "READY" and children:
        named = dict.fromkeys(child.tunnel for child in children if isinstance(child.tunnel, str))
        tunnels, verb = words.listed(named) or "The tunnel", "are" if len(named) > 1 else "is"
        return [
            f"{tunnels} {verb} up: {name} with {peer} READY, {_child_count(children)}.",
            *_standing(timeline, sa, children),
            *_beside(timeline, sa),
        ]
    failures = _failures(timeline, sa)
    if sa.closed is not None and timeline.children_of(sa):
        silent = [record for record in failures if isinstance(record.event, RetransmissionsExhausted)]
        why = cause(timeline, silent[0], sa)[0] if silent else sa.reason
        return [f"Down: {name} with {peer} was up and ended: {why}.", *_history(timeline, sa), *_spent(timeline, sa)]
    if failures:
        what, change = cause(timeline, failures[0], sa)
        half = f" {name[0].upper()}{name[1:]} is READY all the same." if sa.state == "READY" else ""
        return [f"Not up: {what}.{half}", f"Change: {change}.", *_spent(timeline, sa)]
    if sa.closed is not None:
        was = "Down" if sa.created is not None else "Not up"
        return [f"{was}: {name} with {peer} ended: {sa.reason}.", *_history(timeline, sa), *_spent(timeline, sa)]
    if sa.state == "READY":
        return [f"Half up: {name} with {peer} is READY, but it has no Child SA, so no traffic passes."]
    return [f"Not up yet: with {peer}, {_last_step(timeline, sa)}.", *_spent(timeline, sa)]


def _beside(timeline: Timeline, sa: IkeSa) -> list[str]:
    """Child SAs that were refused while the IKE SA stands."""
    kinds = ProposalRefused | SelectorsRefused | ChildRefused
    causes = [cause(timeline, one, sa) for one in _failures(timeline, sa) if isinstance(one.event, kinds)]
    told = [line for what, change in causes[:1] for line in (f"Refused beside it: {what}.", f"Change: {change}.")]
    return list(dict.fromkeys(told))


def _child_count(children: list[ChildSa]) -> str:
    return f"{len(children)} Child SA" + ("s" if len(children) > 1 else "")


def _standing(timeline: Timeline, sa: IkeSa, children: list[ChildSa]) -> list[str]:
    lines = []
    if isinstance(sa.chosen, ProposalFact):
        lines.append(f"IKE: {words.suite(sa.chosen)}.")
    lines += Telling(5, "ESP", tuple(partial(_esp, child) for child in children)).lines()
    return [*lines, *_history(timeline, sa), *_spent(timeline, sa)]


def _esp(child: ChildSa) -> str:
    mode = "transport" if known(child.transport) else "tunnel"
    number = known(child.integrity) if child.integrity is not None else None
    integrity = f" with {words.integrity(number)}" if number else ""
    length = known(child.key_length) if child.key_length is not None else None
    return (
        f"ESP: in {words.spi(child.inbound)}, out {words.spi(known(child.outbound))}: "
        f"{words.pair(known(child.local), known(child.remote))}; "
        f"{words.encryption(known(child.encryption), length)}{integrity}, {mode} mode."
    )


def _history(timeline: Timeline, sa: IkeSa) -> list[str]:
    family = next(one for one in timeline.families if one.number == sa.family)
    children = [child for child in timeline.children.values() if child.sa[0] == sa.router]
    rekeyed = sum(child.replaces is not None for child in children)
    times = len(family.members) - 1
    if not times and not rekeyed:
        return []
    return [f"Rekeyed so far: IKE SA {_times(times)}, Child SAs {_times(rekeyed)}."]


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _spent(timeline: Timeline, sa: IkeSa) -> list[str]:
    exchanges = [one for one in timeline.exchanges if timeline.ike[one.sa].family == sa.family]
    again = sum(one.retransmissions for one in exchanges)
    if not exchanges:
        return []
    messages, octets = sum(one.messages for one in exchanges), sum(one.octets for one in exchanges)
    lost = f", {words.plural(again, 'retransmission')}" if again else ""
    size = f", {octets} octets" if octets else ""
    return [f"{words.plural(len(exchanges), 'exchange')}, {words.plural(messages, 'message')}{size}{lost}."]


def _last_step(timeline: Timeline, sa: IkeSa) -> str:
    last = next((one for one in reversed(timeline.exchanges) if one.sa == sa.key), None)
    if last is None:
        return "nothing was sent yet"
    if last.response is None:
        return f"{words.exchange(last.exchange)} has no response"
    return f"{words.exchange(last.exchange)} was answered, and nothing followed"


def _failures(timeline: Timeline, sa: IkeSa) -> list[Record]:
    """Why, the best explanation first: of every router that saw this IKE SA."""
    records = [record for other in timeline.ike.values() if other.spi_i == sa.spi_i for record in other.failures]
    if not {type(record.event) for record in records} & {ResponseRefused, ChildRefused}:
        records += _notified(timeline, sa)
    return sorted(records, key=lambda record: list(CAUSES).index(type(record.event)))


def _notified(timeline: Timeline, sa: IkeSa) -> list[Record]:
    """Refusals that only the payloads of a response tell (a capture, a debug text): error notifies by name."""
    found = []
    for one in timeline.exchanges:
        answer = one.response if one.sa == sa.key and one.ours else None
        several = (answer.payloads, answer.inner) if answer is not None else ()
        for name in (name for names in several if isinstance(names, tuple) for name in names):
            kind = NotifyType.__members__.get(name.removeprefix("NOTIFY(").removesuffix(")"))
            if answer is not None and kind is not None and kind.is_error:
                stamp = Stamp(
                    seq=answer.seq, mono=answer.mono, wall=answer.wall, router=sa.router, local=sa.local, peer=sa.peer
                )
                found.append(Record(stamp, ResponseRefused(exchange=one.exchange, notify=int(kind))))
    return found


def cause(timeline: Timeline, record: Record, sa: IkeSa | None) -> Cause:
    """What a failure was and what to change; `record` is of a kind in CAUSES, `sa` its IKE SA where it has one."""
    stamp = record.stamp
    peer = words.host(stamp.peer) if isinstance(stamp.peer, str) else "the peer"
    here = words.host(stamp.local) if isinstance(stamp.local, str) else stamp.router
    place = _Place(timeline, sa, stamp.router, here, peer)
    try:
        return CAUSES[type(record.event)](place, Facts(record.event))
    except Unsaid:
        told = UNTOLD.get(type(record.event), "an exchange between {0} and {1} failed")
        return told.format(place.router, peer), "what the lines before it name"


#: The answer where a source does not hold the facts: {0} this router, {1} the peer.
UNTOLD: dict[type[Event], str] = {
    AuthRefused: "{0} could not verify the AUTH of {1}",
    ProfileNotFound: "no IKEv2 profile of {0} matches the identity of {1}",
    ProposalRefused: "{0} found nothing acceptable in the offer of {1}",
    SelectorsRefused: "the traffic selectors of {0} and {1} do not meet",
    ChildRefused: "the Child SA between {0} and {1} was refused",
    ResponseRefused: "{1} refused a request of {0}",
    RequestRefused: "{0} refused a request of {1}",
}


class _Place:
    """Where a failure was told: by which router, at which address, about which peer."""

    def __init__(self, timeline: Timeline, sa: IkeSa | None, router: str, here: str, peer: str) -> None:
        self.timeline, self.sa, self.router, self.here, self.peer = timeline, sa, router, here, peer


def _auth(place: _Place, event: AuthRefused) -> Cause:
    if isinstance(event.wanted, int) and event.wanted != event.method:
        what = (
            f"{place.router} wants {words.method(event.wanted)} from {place.peer}, which authenticates by "
            f"{words.method(event.method)}"
        )
        return (
            what,
            f"`authentication remote` in the profile of {place.router}, or `authentication local` at {place.peer}",
        )
    if event.method != AuthMethod.SHARED_KEY_MIC:
        what = f"{place.router} cannot verify the {words.method(event.method)} of {words.identity(event.identity)}"
        return what, f"the key or certificate of {place.peer}, or what {place.router} trusts"
    what = (
        f"the pre-shared keys differ (AUTHENTICATION_FAILED from {place.here}: {place.router} cannot verify the AUTH "
        f"of {event.identity.value})"
    )
    return (
        what,
        f"the pre-shared key of {place.peer} in the keyring of {place.router}, or the other end's: both "
        "must be the same",
    )


def _profile(place: _Place, event: ProfileNotFound) -> Cause:
    tried = "; ".join(f"{one.name}: {one.why}" for one in event.tried)
    what = f"no IKEv2 profile of {place.router} matches the peer's identity {words.identity(event.identity)}"
    return what + (
        f" ({tried})" if tried else ""
    ), f"`match identity remote` at {place.router}, or `identity local` at {place.peer}"


def _proposal(place: _Place, event: ProposalRefused) -> Cause:
    protocol = "IKE" if event.protocol == ProtocolId.IKE else "ESP"
    if not (isinstance(event.axis, int) and isinstance(event.found, str) and isinstance(event.wanted, str)):
        return (
            f"no common {protocol} proposal (NO_PROPOSAL_CHOSEN from {place.here})",
            f"the proposals of {place.peer} and {place.router}: one transform of each kind must be in both",
        )
    kind = words.KINDS.get(TransformType.of(event.axis), TransformType.of(event.axis).label)
    what = (
        f"no common {protocol} proposal: for {kind}, {place.peer} offers {event.found} and {place.router} wants "
        f"{event.wanted} (NO_PROPOSAL_CHOSEN from {place.here})"
    )
    return (
        what,
        f"{kind} in the {protocol} proposal of {place.router} or {place.peer}, so that both hold one of the same",
    )


def _selectors(place: _Place, event: SelectorsRefused) -> Cause:
    what = (
        f"the traffic selectors do not meet: {place.peer} proposes "
        f"{words.pair(event.proposed_remote, event.proposed_local)}, {place.router} has "
        f"{words.pair(event.expected_remote, event.expected_local)} (TS_UNACCEPTABLE from {place.here})"
    )
    return (
        what,
        f"tunnel mode, access list or tunnel addresses, so that they mirror each other at {place.router} "
        f"and {place.peer}",
    )


CHANGES = {
    NotifyType.AUTHENTICATION_FAILED: (
        "did not accept our identity or AUTH",
        "the pre-shared keys first (both ends must hold the same), then the identities in its profile",
    ),
    NotifyType.NO_PROPOSAL_CHOSEN: (
        "found nothing acceptable in our offer",
        "the proposal or transform set of one end, so that both hold one transform of each kind",
    ),
    NotifyType.TS_UNACCEPTABLE: (
        "has nothing for our traffic selectors",
        "tunnel mode, access list or tunnel addresses, so that both ends mirror each other",
    ),
}


def _refused_by_peer(place: _Place, event: ResponseRefused | ChildRefused) -> Cause:
    if not isinstance(event.notify, int):
        return (
            f"{place.peer} refused {words.exchange(event.exchange)}",
            "what its log says: the notify was not told here",
        )
    notify = NotifyType.of(event.notify)
    does, change = CHANGES.get(notify, ("refused", f"what {notify.label} speaks of; the peer's log says why"))
    who = (
        f"{place.router} refused the Child SA of {place.peer}"
        if getattr(event, "by", "peer") == "local"
        else f"{place.peer} {does}"
    )
    at = f"{words.notify(event.notify)} to {words.exchange(event.exchange)}"
    return f"{who} ({at})", change


def _refused_here(place: _Place, event: RequestRefused) -> Cause:
    what = (
        f"{place.router} refused {words.exchange(event.exchange)} of {place.peer}: {event.why} "
        f"({words.notify(event.notify)})"
    )
    return what, CHANGES.get(
        NotifyType.of(event.notify), ("", f"what {place.peer} sends, or what {place.router} allows")
    )[1]


_WAY = "address and route to {} first, then filters: UDP 500 and 4500 must pass in both directions"


def _silent(place: _Place, event: RetransmissionsExhausted) -> Cause:
    sa = place.sa
    to = _text(sa.peer, place.peer) if sa is not None else place.peer
    sent = _sending(place, event, to)
    if sa is not None and words.port(to) == "4500" and _answered(place.timeline, sa):
        what = f"no answer on UDP 4500 ({sent}), though IKE_SA_INIT was answered on UDP 500"
        return what, f"the filter between {place.here} and {place.peer}: UDP 4500 must pass in both directions"
    if sa is not None and sa.created is not None:
        return (
            f"{place.peer} fell silent ({sent})",
            f"nothing here before the way to {place.peer} and its state are looked at",
        )
    return (
        f"no answer from {place.peer} ({sent})",
        _WAY.format(place.peer),
    )


def _sending(place: _Place, event: RetransmissionsExhausted, to: str) -> str:
    try:
        return f"{words.exchange(event.exchange)} sent {event.sends} times in {event.seconds:.0f} s to {to}"
    except Unsaid:
        last = _last_exchange(place)
        return f"{words.exchange(known(last).exchange)} sent {words.plural(known(last).messages, 'time')} to {to}"


def _last_exchange(place: _Place) -> Exchange | None:
    return next((one for one in reversed(place.timeline.exchanges) if place.sa and one.sa == place.sa.key), None)


def _answered(timeline: Timeline, sa: IkeSa) -> bool:
    init = ExchangeType.IKE_SA_INIT
    return any(one.sa == sa.key and one.exchange == init and one.response for one in timeline.exchanges)


def _failed(place: _Place, event: ExchangeFailed) -> Cause:
    last = _last_exchange(place)
    if last is not None and last.response is None:
        sent = f"{words.exchange(last.exchange)} sent {words.plural(last.messages, 'time')}"
        return f"no answer from {place.peer} ({sent})", _WAY.format(place.peer)
    what = f"{words.exchange(event.exchange)} with {place.peer} failed at {place.router}: {event.why}"
    return what, "what the lines before it name"


def _plane(place: _Place, event: PlaneFailed) -> Cause:
    return f"{place.router} could not {event.what}: {event.why}", f"what the host of {place.router} allows"


#: Every failure, best explanation first: who compared knows more than who was answered.
CAUSES: dict[type[Event], Callable[[_Place, Any], Cause]] = {
    AuthRefused: _auth,
    ProfileNotFound: _profile,
    ProposalRefused: _proposal,
    SelectorsRefused: _selectors,
    ChildRefused: _refused_by_peer,
    ResponseRefused: _refused_by_peer,
    RequestRefused: _refused_here,
    RetransmissionsExhausted: _silent,
    PlaneFailed: _plane,
    ExchangeFailed: _failed,
}


def _text(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise


HEADINGS = ("exchange", "for", "asked by", "messages", "octets", "ms", "result")


def rows(timeline: Timeline, router: str | None = None) -> list[tuple[str, ...]]:
    """The closing table, a row an exchange as one router sees it: see HEADINGS."""
    side = router or next((sa.router for sa in timeline.ike.values()), None)
    return [_row(timeline, one) for one in timeline.exchanges if one.sa[0] == side]


def _row(timeline: Timeline, one: Exchange) -> tuple[str, ...]:
    peer = words.host(_text(timeline.ike[one.sa].peer, "the peer"))
    milliseconds = "-" if one.milliseconds is None else f"{one.milliseconds:.1f}"
    messages = f"{one.messages} ({one.retransmissions} again)" if one.retransmissions else str(one.messages)
    asked = one.sa[0] if one.ours else peer
    return (
        words.exchange(one.exchange),
        one.purpose,
        asked,
        messages,
        str(one.octets or "-"),
        milliseconds,
        one.result or "open",
    )


def table(timeline: Timeline, router: str | None = None) -> list[str]:
    """The closing table as text, with a last row of sums."""
    exchanges = rows(timeline, router)
    side = router or next((sa.router for sa in timeline.ike.values()), None)
    mine = [one for one in timeline.exchanges if one.sa[0] == side]
    total = ("total", "", "", str(sum(one.messages for one in mine)), str(sum(one.octets for one in mine)), "", "")
    return aligned([HEADINGS, *exchanges, total], right=(3, 4, 5))


def aligned(cells: Iterable[tuple[str, ...]], right: tuple[int, ...] = ()) -> list[str]:
    """Rows as text in columns two spaces apart."""
    lines = list(cells)
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    return [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
