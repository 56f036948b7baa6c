"""Findings in the life of SAs that stood: rekeys that cross, peers that delete, SAs that one end alone holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ikescope.events import ProposalFact, Record
from ikescope.events.life import (
    ChildSaClosed,
    CloseReason,
    ConnectDecided,
    DeleteReceived,
    IkeSaClosed,
    RekeyReceived,
    RekeyStarted,
)
from ikescope.events.message import DropTrigger, MessageDropped
from ikescope.events.negotiation import ProfileNotFound, ProposalChosen
from ikescope.explain import words
from ikescope.explain.findings import lines
from ikescope.explain.findings.case import Case, View, shown
from ikescope.explain.findings.draft import IPSEC_PROFILE, PROPOSAL, Draft, ios, side_of, text
from ikescope.explain.findings.model import Evidence
from ikescope.timeline import ChildSa
from ikescope.wire.registry import ProtocolId, TransformType

SETTLED = 120.0
"""Seconds after which the two SAs of a crossing are no longer on their way to becoming one."""
HALF_OPEN = 300.0
PENDING = 3
YOUNG, AT_ONCE = 30.0, 3.0
"""Seconds in which the end of an IKE SA looks like a refusal: without a Child SA, and with one."""


def collision(case: Case) -> Iterator[Draft]:
    """Both ends began to replace the same Child SA at once, and two replacements stayed, or none."""
    for view in case.views:
        crossed = _crossing(view)
        if crossed is None:
            continue
        mine, theirs = crossed
        kept = _twins(view)
        gone = _lost_all(view, mine, max(mine.stamp.mono, theirs.stamp.mono))
        if not kept and gone is None:
            continue
        evidence = (shown(mine, f"{case.name(view)} begins a rekey"), shown(theirs, f"{case.other(view)} begins one"))
        what = f"{words.plural(len(kept), 'Child SA')} for the same traffic" if kept else "no Child SA at all"
        more = () if gone is None else (shown(gone, "the last Child SA ends"),)
        yield Draft(
            cause=f"two rekeys crossed and left {what}",
            side="unknown",
            confidence="likely",
            severity="warning" if kept else "error",
            because=(
                "Both ends began at once: the lowest of the four nonces decides which SA is redundant, and who made it "
                "deletes it (RFC 7296 section 2.8.1).",
            ),
            evidence=(*evidence, *more),
            remedy=(
                ios(case, view, _lifetime(view)),
                text("unknown", "lifetimes that differ by some minutes keep rekeys from crossing"),
            ),
            change="the lifetime of one end, so that the two do not rekey at the same moment",
        )
        return


def _crossing(view: View) -> tuple[Record, Record] | None:
    for record, started in view.all(RekeyStarted):
        for other, received in view.all(RekeyReceived):
            near = abs(record.stamp.mono - other.stamp.mono) < YOUNG
            if near and started.kind == received.kind == "child" and _same(started, received):
                return record, other
    return None


def _same(started: RekeyStarted, received: RekeyReceived) -> bool:
    told = {one for one in (received.spi_a, received.spi_b) if isinstance(one, str)}
    return not told or bool(told & {started.spi_a, started.spi_b})


def _twins(view: View) -> list[ChildSa]:
    """Child SAs that replaced the same one and both stand, long after."""
    by_old: dict[str, list[ChildSa]] = defaultdict(list)
    end = view.timeline.last.stamp.mono if view.timeline.last is not None else 0.0
    for child in view.children:
        if child.up and child.replaces is not None and end - child.created > SETTLED:
            by_old[child.replaces].append(child)
    return next((several for several in by_old.values() if len(several) > 1), [])


def _lost_all(view: View, mine: Record, crossed: float) -> Record | None:
    """The end of the last Child SA, soon after a crossing, where the IKE SA stands and nobody wanted it to end.

    What both replaced may stand a while for packets on their way: nothing is sent through it.
    """
    started = mine.event
    assert isinstance(started, RekeyStarted)
    old = {one for one in (started.spi_a, started.spi_b) if isinstance(one, str)}
    if not view.standing or any(child.up and child.inbound not in old for child in view.children):
        return None
    ends = [one for one in view.all(ChildSaClosed) if one[1].inbound not in old or one[0].stamp.mono - crossed < YOUNG]
    ended = ends[-1] if ends else None
    wanted = (CloseReason.CLEARED, CloseReason.SHUT_DOWN, CloseReason.STOPPED, CloseReason.LIFETIME)
    if ended is None or ended[1].cause in wanted or ended[0].stamp.mono - crossed > YOUNG:
        return None
    # Ends that settle a crossing wrongly delete one each; a peer that deletes what had settled has reasons of its own.
    own = any(
        event.cause == CloseReason.REDUNDANT for record, event in view.all(ChildSaClosed) if record.stamp.mono > crossed
    )
    return None if ended[1].cause == CloseReason.PEER_DELETED and not own else ended[0]


def _lifetime(view: View) -> tuple[str, ...]:
    told = next((child.lifetime for child in view.children if isinstance(child.lifetime, int)), 3600)
    return (
        f"crypto ipsec profile {IPSEC_PROFILE}",
        f" set security-association lifetime seconds {max(120, told * 9 // 10)}",
    )


def deleted(case: Case) -> Iterator[Draft]:
    """The peer ended the IKE SA: on purpose, mostly."""
    view = case.here
    sa = view.latest
    if sa is None or not view.created or sa.closed is None or sa.superseded_by is not None:
        return
    found = [one for one in view.all(DeleteReceived) if one[1].kind == "ike"]
    closed = view.last(IkeSaClosed)
    if not found and (closed is None or closed[1].cause != CloseReason.PEER_DELETED):
        return
    if (
        closed is not None
        and closed[1].cause not in (CloseReason.PEER_DELETED, None)
        and isinstance(closed[1].cause, str)
    ):
        return
    record = found[-1][0] if found else closed[0] if closed is not None else view.records[-1]
    reason = _their_reason(case)
    alike = case.earlier[-2:] if view.children else case.earlier[-1:]
    enough = len(alike) == 2 if view.children else True
    short = reason is None and enough and all(_short(one) for one in (*alike, case))
    other = case.other(view)
    why = f": {reason}" if reason is not None else ""
    yield Draft(
        cause=f"{other} deleted the IKE SA{why}" + (" right after it was made" if short else ""),
        side="peer",
        severity="warning" if short else "note",
        because=(
            "A Delete is an end on purpose: an operator's clear, a lifetime, or a configuration that changed.",
            *((f"{other} gives no reason on the wire; its log has it.",) if reason is None else ()),
        ),
        evidence=(shown(record, f"{other} deletes the IKE SA"),),
        remedy=(text("peer", f"nothing here; the log of {other} says why it deleted the SA", router=other),),
        change=f"nothing here: the log of {other} says why",
    )


def _short(case: Case) -> bool:
    """Whether the peer deleted an IKE SA right after it was made."""
    sa = case.here.latest
    if sa is None or sa.created is None or sa.closed is None or sa.rekeyed_from is not None:
        return False
    return sa.cause in (CloseReason.PEER_DELETED, "") and sa.closed - sa.created < (
        AT_ONCE if case.here.children else YOUNG
    )


def _their_reason(case: Case) -> str | None:
    ended = None if case.there is None else case.there.last(IkeSaClosed)
    return ended[1].reason if ended is not None and isinstance(ended[1].reason, str) else None


def half_open(case: Case) -> Iterator[Draft]:
    """An IKE SA that one end alone holds, or that is negotiated for ever."""
    yield from _stuck(case)
    yield from _alone(case)


def _stuck(case: Case) -> Iterator[Draft]:
    """`SA is already in negotiation, hence not negotiating again`, for ever."""
    view = case.here
    asked = [one for one in view.all(ConnectDecided) if one[1].decision in ("pending", "wait")]
    sa = view.latest
    if sa is None or sa.state != "IN-NEG" or len(asked) < PENDING:
        return
    first, last = asked[0][0], asked[-1][0]
    waited = max(last.stamp.mono, case.end) - first.stamp.mono
    if waited < HALF_OPEN or any(one.response is None and one.ours for one in view.exchanges[-1:]):
        return
    yield Draft(
        cause=f"a negotiation with {case.other(view)} never ends and bars new ones ({words.plural(len(asked), 'try')})",
        side="local",
        confidence="likely",
        because=("A negotiation that lost its end is kept, and each new wish is turned away because of it.",),
        evidence=(shown(first, "already in negotiation"), shown(last, "still in negotiation")),
        remedy=(ios(case, view, (f"clear crypto ikev2 sa remote {view.peer or '<peer>'}",)),),
        change=f"clear the IKE SA with {case.other(view)}; a newer release may have the defect mended",
    )


def _alone(case: Case) -> Iterator[Draft]:
    """One end holds a READY IKE SA that the other ended long ago, or never took."""
    if case.there is None:
        return
    for view, other in ((case.here, case.there), (case.there, case.here)):
        mine, theirs = view.latest, other.latest
        if mine is None or theirs is None or not view.standing or theirs.closed is None:
            continue
        if theirs.superseded_by is not None or mine.spi_i != theirs.spi_i or case.end - theirs.closed < HALF_OPEN:
            continue
        ended = other.last(IkeSaClosed)
        yield Draft(
            cause=f"{case.name(view)} holds an IKE SA that {case.name(other)} no longer has ({theirs.reason})",
            side=side_of(case, view),
            because=("The Delete did not arrive; only liveness checks find that out (RFC 7296 section 2.4).",),
            evidence=() if ended is None else (shown(ended[0], f"{case.name(other)} ends it: {theirs.reason}"),),
            remedy=(ios(case, view, ("crypto ikev2 dpd 10 2 periodic",)),),
            change=f"dpd at {case.name(view)}, so that it notices",
        )
        return


def limit(case: Case) -> Iterator[Draft]:
    """The limit of half-open IKE SAs turns peers away."""
    for view, record, event in case.all(MessageDropped):
        if event.trigger == DropTrigger.HALF_OPEN_LIMIT:
            yield Draft(
                cause=f"{case.name(view)} turns peers away: as many IKE SAs are half open as are allowed",
                side=side_of(case, view),
                because=("Peers that begin and never authenticate fill the table (RFC 7296 section 2.6).",),
                evidence=(shown(record, str(event.trigger)),),
                remedy=(ios(case, view, ("crypto ikev2 cookie-challenge 10",)),),
                change="a cookie challenge, so that only who is there takes a place",
            )
            return


def noise(case: Case) -> Iterator[Draft]:
    """`% IKEv2 profile not found` on a router whose IKE SA comes up all the same."""
    for view, record, _ in case.all(ProfileNotFound):
        if view.created and view.latest is not None and view.latest.state == "READY":
            yield Draft(
                cause=f"{case.name(view)} says that no profile was found, and its IKE SA is up: it speaks of the "
                "configuration exchange",
                side="unknown",
                confidence="likely",
                because=("IOS-XE logs this on a healthy router too.",),
                evidence=(shown(record, "profile not found"),),
                remedy=(text("unknown", "nothing needs to change"),),
            )
            return


def strength(case: Case) -> Iterator[Draft]:
    """The IKE SA is encrypted with a shorter key than the ESP that it protects."""
    view = case.here
    sa = view.latest
    chosen = sa.chosen if sa is not None else None
    # An ASA tells the lengths of the keys in a line of its own, after the choice.
    again = view.all(ProposalChosen)[1:]
    chosen = next((one.chosen for _, one in reversed(again) if one.protocol == ProtocolId.IKE), chosen)
    if not isinstance(chosen, ProposalFact) or not isinstance(chosen.transforms, tuple):
        return
    mine = max((one.key_length or 0 for one in chosen.transforms if one.type == TransformType.ENCR), default=0)
    longer = [one for one in view.children if isinstance(one.key_length, int) and one.key_length > mine > 0]
    if not longer:
        return
    yield Draft(
        cause=f"IKE is encrypted with {mine} bits and ESP with {longer[0].key_length}: the keys of ESP are as safe as "
        "those of IKE",
        side="unknown",
        because=("IOS says so in its log, and refuses it under `crypto ipsec ike sa-strength-enforcement`.",),
        evidence=_made(view),
        remedy=(
            ios(
                case,
                view,
                _stronger(chosen, int(longer[0].key_length or 0)),
                both=True,
            ),
        ),
    )


def _stronger(chosen: ProposalFact, bits: int) -> tuple[str, ...]:
    wanted = lines.longer(chosen, bits)
    return lines.ios_widened(PROPOSAL, wanted, wanted, (lines.ENCR,))


def _made(view: View) -> tuple[Evidence, ...]:
    made = next((record for record in view.records if record.event.tag in ("child.created", "ike.created")), None)
    return () if made is None else (shown(made, "what was agreed"),)
