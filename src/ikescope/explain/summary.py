"""How a session ended: the verdict, its answer first, and the closing table of exchanges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from ikescope.events import UNSET, Event, ProposalFact, Record
from ikescope.events.life import IkeSaCreated
from ikescope.explain import words
from ikescope.explain.findings import Finding, findings, findings_of, tell
from ikescope.explain.scene import Unsaid, known
from ikescope.timeline import ChildSa, Exchange, IkeSa, Timeline
from ikescope.timeline.exchanges import REKEY_CHILD, REKEY_IKE
from ikescope.timeline.fold import FAILURES
from ikescope.wire.registry import ExchangeType


def verdict(timeline: Timeline, router: str | None = None, found: Sequence[Finding] | None = None) -> list[str]:
    """The answer in the first line, then what to change, what it rests on and the exact lines; one block a peer.

    `router` names the side to judge from; without it the first one that has an IKE SA. `found`: the findings, where
    the caller has them already.
    """
    side = router or next((sa.router for sa in timeline.ike.values()), None)
    every = list(findings(timeline, side) if found is None else found)
    if side is None:
        return _nothing(timeline, every)
    latest: dict[str, list[IkeSa]] = {}
    for family in timeline.families:
        if family.router == side:
            member = timeline.ike[side, family.members[-1]]
            latest.setdefault(words.host(_text(member.peer, "a peer")), []).append(member)
    lines: list[str] = []
    for peer, sas in latest.items():
        best = _best(timeline, sas)
        sealed = [sa for sa in sas if _sealed(timeline, sa)]
        here = [one for one in every if one.peer == peer or not one.peer or len(latest) == 1]
        if best.created is None and best.closed is None and not _bad(here) and sealed:
            lines += _unopened(timeline, peer, sealed[0])
        else:
            lines += _judge(timeline, peer, best, here)
    return lines


def _bad(found: Sequence[Finding]) -> list[Finding]:
    return [one for one in found if one.severity != "note"]


def _sealed(timeline: Timeline, sa: IkeSa) -> bool:
    """Whether an IKE_AUTH response of this IKE SA came that nobody opened."""
    return any(
        one.exchange == ExchangeType.IKE_AUTH and one.response is not None and not isinstance(one.response.inner, tuple)
        for one in timeline.exchanges_of(sa)
    )


def _unopened(timeline: Timeline, peer: str, sa: IkeSa) -> list[str]:
    """A capture without keys: what follows IKE_AUTH tells, what is inside does not."""
    after = [one for one in timeline.exchanges_of(sa) if one.exchange == ExchangeType.CREATE_CHILD_SA]
    if after:
        answer = f"Was up, it seems: IKE_AUTH with {peer} was answered and {len(after)} CREATE_CHILD_SA followed."
    else:
        answer = f"Cannot tell: IKE_AUTH with {peer} was answered, but the answer is encrypted."
    return [answer, "Without the keys nothing inside the Encrypted payloads is known.", *_standing(timeline, sa, [])]


def _nothing(timeline: Timeline, found: Sequence[Finding]) -> list[str]:
    if found:
        first, *rest = found
        answer = f"Not up: {first.cause}." if first.severity != "note" else f"Nothing wrong is seen: {first.cause}."
        return [answer, *_details(first), *_others(rest)]
    if timeline.last is None:
        return ["Nothing to judge: there is not one record."]
    if timeline.traffic:
        return ["Not up: traffic wants a tunnel, but no IKE message was sent or received."]
    return ["Nothing to judge: no IKE message was sent or received."]


def _details(one: Finding) -> list[str]:
    """What to change in a sentence, then why, where it is seen, and the lines."""
    change = [f"Change: {one.change}."] if one.change else []
    about = f"{one.id}: {one.severity}, {one.confidence}; to change: {_SIDES[one.side]}"
    times = f"; met {one.count} times" if one.count > 1 else ""
    return [*change, f"  {about}{times}.", *tell(one)[1:]]


_SIDES = {"local": "this side", "peer": "the peer", "path": "the path between", "unknown": "either side"}


def _others(found: Sequence[Finding]) -> list[str]:
    """What else was found: errors and warnings with all that belongs to them, notes in a line."""
    lines: list[str] = []
    for one in found:
        if one.severity == "note":
            lines.append(f"Note: {one.cause} ({one.id}).")
        else:
            lines += [f"Also: {one.cause}.", *_details(one)]
    return lines


def _best(timeline: Timeline, sas: list[IkeSa]) -> IkeSa:
    standing = [sa for sa in sas if sa.state == "READY"]
    with_child = [sa for sa in standing if any(child.up for child in timeline.children_of(sa))]
    return (with_child or standing or sas)[-1]


def _judge(timeline: Timeline, peer: str, sa: IkeSa, found: Sequence[Finding]) -> list[str]:
    children = [child for child in timeline.children_of(sa) if child.up]
    name = f"IKE SA {sa.number}" if isinstance(sa.number, int) else "the IKE SA"
    bad = _bad(found)
    if sa.state == "READY" and children and (why := _concluded(timeline, sa)):
        return _seems_up(timeline, peer, sa, children, why, found)
    if sa.state == "READY" and children:
        named = dict.fromkeys(child.tunnel for child in children if isinstance(child.tunnel, str))
        tunnels, verb = words.listed(named) or "The tunnel", "are" if len(named) > 1 else "is"
        but = f" But {bad[0].cause}." if bad else ""
        return [
            f"{tunnels} {verb} up: {name} with {peer} READY, {_child_count(children)}.{but}",
            *(_details(bad[0]) if bad else []),
            *_standing(timeline, sa, children),
            *_others([one for one in found if one not in bad[:1]]),
        ]
    if sa.closed is not None and timeline.children_of(sa):
        why = bad[0].cause if bad else sa.reason
        lines = [f"Down: {name} with {peer} was up and ended: {why}.", *(_details(bad[0]) if bad else [])]
        return [
            *lines,
            *_history(timeline, sa),
            *_spent(timeline, sa),
            *_others([o for o in found if o not in bad[:1]]),
        ]
    if bad:
        half = f" {name[0].upper()}{name[1:]} is READY all the same." if sa.state == "READY" else ""
        rest = [one for one in found if one is not bad[0]]
        return [f"Not up: {bad[0].cause}.{half}", *_details(bad[0]), *_spent(timeline, sa), *_others(rest)]
    return [*_undecided(timeline, peer, sa, name), *_others(found)]


def _concluded(timeline: Timeline, sa: IkeSa) -> str:
    """What it was concluded from that an IKE SA stands; empty where a message or its router says so."""
    family = timeline.family(sa.family)
    members = [timeline.ike[sa.router, spi] for spi in (family.members if family is not None else ())]
    made = [one for member in members for one in timeline.marks_of(member) if isinstance(one.event, IkeSaCreated)]
    told = [one.stamp.inferred for one in made if isinstance(one.stamp.inferred, str)]
    return told[0] if told and len(told) == len(made) else ""


def _seems_up(
    timeline: Timeline, peer: str, sa: IkeSa, children: list[ChildSa], why: str, found: Sequence[Finding]
) -> list[str]:
    """A capture without keys: nothing says that it is up, and what passes looks like it."""
    bad = _bad(found)
    but = f" But {bad[0].cause}." if bad else ""
    return [
        f"Up, it seems: the IKE SA with {peer} and {_child_count(children)}, inferred.{but}",
        f"Inferred: {why}; without the keys nothing inside the Encrypted payloads is known.",
        *(_details(bad[0]) if bad else []),
        *_standing(timeline, sa, children),
        *_others([one for one in found if one not in bad[:1]]),
    ]


def _undecided(timeline: Timeline, peer: str, sa: IkeSa, name: str) -> list[str]:
    if sa.closed is not None:
        was = "Down" if sa.created is not None else "Not up"
        return [f"{was}: {name} with {peer} ended: {sa.reason}.", *_history(timeline, sa), *_spent(timeline, sa)]
    if _one_direction(timeline, sa):
        requests = f"requests with {peer} went on, and not one response to them is there"
        return [f"Cannot tell: {requests}: the capture holds one direction only.", *_spent(timeline, sa)]
    if sa.state == "READY":
        return [f"Half up: {name} with {peer} is READY, but it has no Child SA, so no traffic passes."]
    return [f"Not up yet: with {peer}, {_last_step(timeline, sa)}.", *_spent(timeline, sa)]


def _one_direction(timeline: Timeline, sa: IkeSa) -> bool:
    """Whether a capture holds requests alone, each after one that was answered (RFC 7296 section 2.3)."""
    seen = timeline.exchanges_of(sa)
    asked: dict[bool, set[object]] = {}
    for one in seen:
        if one.request is not None and one.request.point is not UNSET:
            asked.setdefault(one.ours, set()).add((one.exchange, one.message_id))
    whole = any(one.request is not None and one.response is not None for one in seen)
    return not whole and any(len(ids) > 1 for ids in asked.values())


def _child_count(children: list[ChildSa]) -> str:
    return f"{len(children)} Child SA" + ("s" if len(children) > 1 else "")


def _standing(timeline: Timeline, sa: IkeSa, children: list[ChildSa]) -> list[str]:
    lines = []
    if isinstance(sa.chosen, ProposalFact):
        lines.append(f"IKE: {words.suite(sa.chosen)}.")
    for child in children:
        # A source that does not hold a fact of it says nothing of it.
        with suppress(Unsaid):
            lines.append(_esp(child))
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
    family = timeline.family(sa.family)
    members = () if family is None else family.members
    children = [child for child in timeline.children.values() if child.sa[0] == sa.router and child.sa[1] in members]
    rekeyed = sum(child.replaces is not None for child in children)
    times = len(members) - 1
    if times < 1 and not rekeyed:
        return []
    return [f"Rekeyed so far: IKE SA {_times(times)}, Child SAs {_times(rekeyed)}.", *_began(timeline, sa, children)]


def _began(timeline: Timeline, sa: IkeSa, children: Sequence[ChildSa]) -> list[str]:
    """Who began the rekeys, and after how long they are due."""
    every = _of_family(timeline, sa)
    ours = [one.ours for one in every if one.purpose in (REKEY_IKE, REKEY_CHILD) and one.result == "done"]
    if not ours:
        return []
    told = [("IKE SA", sa.lifetime), *(("Child SA", child.lifetime) for child in children[-1:])]
    lives = ", ".join(f"{name} {words.duration(value)}" for name, value in told if isinstance(value, int))
    lifetimes = f"; lifetimes here: {lives}" if lives else ""
    return [f"Rekeys begun here: {sum(ours)}, by the peer: {len(ours) - sum(ours)}{lifetimes}."]


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


def _of_family(timeline: Timeline, sa: IkeSa) -> list[Exchange]:
    """The exchanges of an IKE SA and of those that it replaced or was replaced by."""
    family = timeline.family(sa.family)
    members = () if family is None else family.members
    return [one for spi in members for one in timeline.exchanges_of(timeline.ike[sa.router, spi])]


def _spent(timeline: Timeline, sa: IkeSa) -> list[str]:
    exchanges = _of_family(timeline, sa)
    again = sum(one.retransmissions for one in exchanges)
    if not exchanges:
        return []
    messages, octets = sum(one.messages for one in exchanges), sum(one.octets for one in exchanges)
    lost = f", {words.plural(again, 'retransmission')}" if again else ""
    size = f", {octets} octets" if octets else ""
    return [f"{words.plural(len(exchanges), 'exchange')}, {words.plural(messages, 'message')}{size}{lost}."]


def _last_step(timeline: Timeline, sa: IkeSa) -> str:
    last = next(reversed(timeline.exchanges_of(sa)), None)
    if last is None:
        return "nothing was sent yet"
    if last.response is None:
        return f"{words.exchange(last.exchange)} has no response"
    return f"{words.exchange(last.exchange)} was answered, and nothing followed"


def _text(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise


CAUSES: frozenset[type[Event]] = frozenset(FAILURES)
"""The events that a row of a ladder can be asked the cause of."""


def cause(timeline: Timeline, record: Record, sa: IkeSa | None) -> tuple[str, str]:
    """What a failure was and what to change, each a sentence; `record` is of a kind in CAUSES, `sa` its IKE SA."""
    found = [] if sa is None else _bad(findings_of(timeline, sa))
    if found:
        return found[0].cause, found[0].change or _LOG
    event, peer = record.event, _text(record.stamp.peer, "the peer")
    why = getattr(event, "why", "")
    told = f": {why}" if isinstance(why, str) and why else ""
    return f"what {words.host(peer)} and {record.stamp.router} tried failed ({event.tag}){told}", _LOG


_LOG = "what the lines before it name"
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
