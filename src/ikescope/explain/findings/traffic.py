"""Findings on what an SA carries: nothing, one way only, no large packets, packets that come twice."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.events import Record
from ikescope.events.life import ChildTraffic
from ikescope.events.router import EspDropped
from ikescope.explain import words
from ikescope.explain.findings.case import Case, View, shown
from ikescope.explain.findings.draft import TUNNEL, Draft, far, ios, side_opposite, text
from ikescope.explain.findings.model import Confidence, Evidence, Side
from ikescope.timeline import ChildSa

REPLAYED = "sequence number replayed or outside the window"
UNKNOWN_SPI = "no SA has this SPI"
MANY = 5
"""Packets from which on a loss is no accident."""
REPLAYS = 16
"""Packets dropped as replayed that no network made, which sends some twice and some late."""
WAIT, RECENT = 20.0, 120.0
LARGE = 1000
"""Octets of what ESP protects from which on a packet counts as large."""


def _spi_drops(view: View, reason: str) -> list[tuple[Record, EspDropped]]:
    """Drops of one reason that belong to a view: by the SPI of a Child SA of its own, or by the addresses."""
    inbound = {child.inbound for child in view.children}
    found = []
    for record in (*view.records, *view.loose):
        event = record.event
        if isinstance(event, EspDropped) and event.reason == reason:
            # IOS's line of a replay may name neither SPI nor peer.
            unnamed = not isinstance(event.spi, str) and reason == REPLAYED and view.standing
            ours = event.spi in inbound or unnamed
            theirs = isinstance(event.source, str) and event.source == view.peer
            # Nor does a debug of the default level hold SPIs of Child SAs.
            logged = isinstance(record.stamp.line, int) and view.standing
            if ours or (theirs and (reason == UNKNOWN_SPI or logged)):
                found.append((record, event))
    return found


def replay(case: Case) -> Iterator[Draft]:
    """ESP packets below the replay window, many: the sender counts anew under the old keys, or a path is very late."""
    for view in case.views:
        drops = _spi_drops(view, REPLAYED)
        count = sum(event.count for _, event in drops if isinstance(event.count, int))
        received = sum(child.packets_in for child in view.children if isinstance(child.packets_in, int))
        if (count < REPLAYS and not _rated(drops)) or count * 4 < received:
            continue
        record, event = drops[-1]
        compared = (
            f": had {event.found}, wanted {event.wanted}"
            if isinstance(event.found, str) and isinstance(event.wanted, str)
            else ""
        )
        other = case.other(view)
        yield Draft(
            cause=f"{case.name(view)} drops what {other} sends as replayed ({words.plural(count, 'packet')}{compared})",
            side=side_opposite(case, view),
            confidence="likely",
            because=(
                "The sequence numbers of an ESP SA never begin anew under the same keys (RFC 4303 section 3.3.3).",
                f"{other} restarted, or a standby took over, with the old keys and a counter of its own.",
            ),
            evidence=(shown(record, f"{words.plural(count, 'packet')} dropped as replayed"),),
            remedy=(
                ios(case, view, (f"clear crypto ikev2 sa remote {view.peer or '<peer>'}",)),
                text(side_opposite(case, view), "begin with a new SA after a restart", router=other),
            ),
            change=f"new SAs: clear them; {other} must not go on with old ones after a restart",
        )
        return


RATED = 2


def _rated(drops: list[tuple[Record, EspDropped]]) -> bool:
    """Whether a log has several lines of it: IOS writes one a minute at most, however many packets it drops."""
    return len(drops) >= RATED and all(isinstance(record.stamp.line, int) for record, _ in drops)


def leftover(case: Case) -> Iterator[Draft]:
    """ESP for an SPI that is not known here: the peer holds an SA that this end has lost."""
    for view in case.views:
        over = _over(view)
        drops = [] if over is None else [one for one in _spi_drops(view, UNKNOWN_SPI) if one[0].stamp.mono > over]
        count = sum(event.count for _, event in drops if isinstance(event.count, int))
        if (count < MANY and not _rated(drops)) or not drops:
            continue
        first, last = drops[0][0], drops[-1][0]
        now = case.end - last.stamp.mono < RECENT
        if last.stamp.mono - first.stamp.mono < WAIT or not now:
            continue
        other = case.other(view)
        yield Draft(
            cause=f"{other} sends ESP on an SA that {case.name(view)} does not have ({words.plural(count, 'packet')})",
            side=side_opposite(case, view),
            confidence="likely",
            because=("One end took the SA for made, the other ended it or never took it.",),
            evidence=(shown(first, f"{_named(drops[0][1])} is not known"), shown(last, "and still not")),
            remedy=(
                ios(case, view, ("crypto ikev2 dpd 10 2 periodic",), other=True),
                ios(case, view, (f"clear crypto ikev2 sa remote {view.local or '<address>'}",), other=True),
            ),
            change=f"clear the SA at {other}, and let it check liveness",
        )
        return


def _named(event: EspDropped) -> str:
    return f"SPI {words.spi(event.spi)}" if isinstance(event.spi, str) and event.spi else "its SPI"


def _over(view: View) -> float | None:
    """When the last IKE SA of a view ended; None where one stands, or none ever was."""
    if view.standing or not view.sas or any(sa.closed is None for sa in view.sas):
        return None
    return max(sa.closed for sa in view.sas if sa.closed is not None)


def _latest_counts(view: View, child: ChildSa) -> tuple[int, int, float] | None:
    """Packets in and out of a Child SA and when they were last told."""
    if isinstance(child.packets_in, int) and isinstance(child.packets_out, int):
        when = child.counted_at if isinstance(child.counted_at, float) else child.created
        return child.packets_in, child.packets_out, when
    return None


def nothing(case: Case) -> Iterator[Draft]:
    """A Child SA that stands and carries nothing one way."""
    for view in case.views:
        for child in view.children:
            counts = _latest_counts(view, child)
            # What a capture lets conclude at its end waited for long enough.
            early = counts is not None and child.told and counts[2] - child.created < WAIT
            if counts is None or child.replaces is not None or (early and isinstance(child.outbound, str)):
                continue
            if not child.up or not view.standing:
                continue
            inward, outward, _ = counts
            if view.inferred and inward >= MANY and not outward:
                yield _passing_one_way(case, view, child, inward, inward=True)
                return
            if outward < MANY or inward:
                continue
            if view.inferred:
                yield _passing_one_way(case, view, child, outward, inward=False)
            else:
                yield _one_way(case, view, child, outward)
            return


def _one_way(case: Case, view: View, child: ChildSa, outward: int) -> Draft:
    me, other = case.name(view), case.other(view)
    there = far(case, view)
    twin = None if there is None else next((one for one in there.children if one.inbound == child.outbound), None)
    counts = None if there is None or twin is None else _latest_counts(there, twin)
    because = f"{me} sent {words.plural(outward, 'packet')} through the Child SA, and none came back."
    side: Side = "path"
    cause = f"the tunnel is up, and ESP of {other} does not reach {me}"
    more: tuple[str, ...] = (
        "ESP is IP protocol 50, or UDP 4500 behind a NAT: filters for UDP 500 do not let it pass.",
    )
    remedy = text("path", f"let ESP (IP protocol 50, UDP 4500) pass between {me} and {other} in both directions")
    confidence: Confidence = "likely"
    if counts is not None:
        confidence = "certain"
        got, sent, _ = counts
        if not got:
            cause = f"the tunnel is up, and ESP of {me} does not reach {other}"
        elif not sent:
            side, cause = (
                side_opposite(case, view),
                f"{other} takes what comes through the tunnel and sends nothing back",
            )
            more = (f"{other} received {words.plural(got, 'packet')} and sent none: its routes lead elsewhere.",)
            remedy = text(side_opposite(case, view), f"a route at {other} for the networks of {me} into the tunnel")
    return Draft(
        cause=cause,
        side=side,
        confidence=confidence,
        because=(because, *more),
        evidence=_counted(view, child),
        remedy=(remedy,),
        change=remedy.lines[0],
        instead=("mtu-hole",) if counts is None else (),
    )


def _passing_one_way(case: Case, view: View, child: ChildSa, packets: int, *, inward: bool) -> Draft:
    """What a capture on the way sees without keys: ESP to one end alone."""
    me, other = case.name(view), case.other(view)
    teller, silent = (other, me) if inward else (me, other)
    way = f"let ESP (IP protocol 50, UDP 4500) pass from {silent} to {teller}"
    return Draft(
        cause=f"it seems that the tunnel is up, and no ESP of {silent} is seen, only of {teller}",
        side="unknown",
        confidence="likely",
        because=(
            f"{words.plural(packets, 'packet')} of ESP went to {silent}, none came back past the place of the capture.",
            f"{silent} sends nothing back (its routes), or what it sends is lost before it passes here, or goes "
            "another way.",
        ),
        evidence=_counted(view, child),
        remedy=(
            text("path", way),
            text("unknown", f"a route at {silent} for the networks of {teller} into the tunnel"),
        ),
        change=f"the route at {silent} into the tunnel first, then filters: {way}",
        instead=("mtu-hole",),
    )


def _counted(view: View, child: ChildSa) -> tuple[Evidence, ...]:
    found = [one for one in view.all(ChildTraffic) if child.inbound == one[1].inbound or _same_way_out(child, one[1])]
    if not found:
        return ()
    record, event = found[-1]
    both = isinstance(event.packets_out, int) and isinstance(event.packets_in, int)
    return (shown(record, f"{event.packets_out} packets out, {event.packets_in} in" if both else "what it carried"),)


def _same_way_out(child: ChildSa, event: ChildTraffic) -> bool:
    return isinstance(event.outbound, str) and event.outbound == child.outbound


def mtu(case: Case) -> Iterator[Draft]:
    """Small packets arrive, large ones do not; only both ends' counters together tell."""
    if case.there is None:
        return
    for view, other in ((case.here, case.there), (case.there, case.here)):
        for child in view.children:
            twin = next((one for one in other.children if one.inbound == child.outbound), None)
            if twin is None or not _large_lost(child, twin):
                continue
            lost = int(child.packets_out or 0) - int(twin.packets_in or 0)
            octets = (int(child.octets_out or 0) - int(twin.octets_in or 0)) // lost
            yield Draft(
                cause=f"large packets from {case.name(view)} to {case.name(other)} are lost, small ones arrive",
                side="path",
                confidence="likely",
                because=(
                    f"{words.plural(lost, 'packet')} of {octets} octets on average did not arrive; "
                    f"{words.plural(int(twin.packets_in or 0), 'packet')} did.",
                    "A router on the way drops what is too large, and its ICMP is lost (RFC 4301 section 8).",
                ),
                evidence=(*_counted(view, child), *_counted(other, twin)),
                remedy=(
                    ios(case, view, (f"interface {TUNNEL}", " ip mtu 1400", " ip tcp adjust-mss 1360"), both=True),
                    ios(
                        case,
                        view,
                        (f"interface {TUNNEL}", " ip mtu 1400", " ip tcp adjust-mss 1360"),
                        other=True,
                        both=True,
                    ),
                ),
                change="a smaller MTU on the tunnel at both ends, or ICMP that may pass",
            )
            return


def _large_lost(child: ChildSa, twin: ChildSa) -> bool:
    told = (child.packets_out, child.octets_out, twin.packets_in, twin.octets_in)
    if not all(isinstance(one, int) for one in told):
        return False
    sent, sent_octets, got, got_octets = (int(one or 0) for one in told)
    lost = sent - got
    if lost < MANY or got < 1 or got_octets // got >= LARGE:
        return False
    return (sent_octets - got_octets) // lost >= LARGE
