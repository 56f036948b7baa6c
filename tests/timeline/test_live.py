"""One fold, the same live and from a file; what a live view needs of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sized
from types import FrameType
from typing import Any

import pytest
from msgspec.structs import replace
from tests.timeline.sessions import KINDS, records

from ikescope.events import UNSET, Record, Stamp, decode, encode
from ikescope.events.life import (
    ChildSaClosed,
    ChildSaCreated,
    CloseReason,
    IkeSaClosed,
    IkeSaCreated,
    LivenessSent,
    StateChanged,
)
from ikescope.events.message import MessageReceived, MessageSent, RequestRefused
from ikescope.timeline import Bounds, Timeline, merged


def everything(timeline: Timeline) -> dict[str, Any]:
    """All that a timeline can be asked."""
    return {
        "ike": dict(timeline.ike),
        "children": dict(timeline.children),
        "tunnels": dict(timeline.tunnels),
        "totals": dict(timeline.totals),
        "exchanges": timeline.exchanges,
        "messages": tuple(timeline.messages),
        "families": timeline.families,
        "offsets": timeline.offsets,
        "loose": dict(timeline.loose_failures),
        "traffic": dict(timeline.traffic),
        "routers": timeline.routers,
        "last": timeline.last,
    }


def of_router(timeline: Timeline, router: str) -> dict[str, Any]:
    """What one router tells, without the numbers that the order of two routers' records gives."""
    exchanges = [replace(one, number=0) for one in timeline.exchanges if one.sa[0] == router]
    return {
        "ike": [replace(sa, family=0) for sa in timeline.of(router)],
        "children": [child for child in timeline.children.values() if child.sa[0] == router],
        "tunnels": [tunnel for tunnel in timeline.tunnels.values() if tunnel.router == router],
        "exchanges": exchanges,
        "messages": [message for message in timeline.messages if message.router == router],
        "families": [family.members for family in timeline.families if family.router == router],
        "totals": timeline.totals[router],
    }


@pytest.mark.parametrize("kind", KINDS)
def test_live_and_from_a_file_are_the_same(kind: str) -> None:
    """A session folded as it happens, looked at after each record, is the session folded out of its lines at once."""
    told = records(kind)
    live, looks = Timeline(), 0
    for record in told:
        live.add(record)
        looks += len(everything(live))
    read = Timeline().extend([decode(line) for line in [encode(record) for record in told]])
    assert looks and everything(live) == everything(read)


@pytest.mark.parametrize("kind", KINDS)
def test_recordings_of_both_routers_tell_what_was_seen_live(kind: str) -> None:
    """Two recordings brought into one order give each router's view as it was live, and as it is alone."""
    told = records(kind)
    live = Timeline().extend(told)
    own = {name: [record for record in told if record.stamp.router == name] for name in live.routers}
    joined = Timeline().extend(merged(list(own.values())))
    for name, lines in own.items():
        assert of_router(joined, name) == of_router(live, name) == of_router(Timeline().extend(lines), name)


class Mirror:
    """A view that asks only for what changed."""

    def __init__(self, timeline: Timeline) -> None:
        self.timeline, self.seen = timeline, 0
        self.held: dict[tuple[str, Any], Any] = {}

    def look(self) -> None:
        """Take over what is new."""
        changes = self.timeline.changed(self.seen)
        assert changes.complete
        self.seen = changes.generation
        timeline = self.timeline
        for gone in changes.forgotten:
            self.held.pop(gone, None)
        for sa in changes.ike:
            self.held["ike", sa] = timeline.ike[sa]
        for child in changes.children:
            self.held["children", child] = timeline.children[child]
        for number in changes.exchanges:
            self.held["exchanges", number] = timeline.exchange(number)
        for number in changes.families:
            self.held["families", number] = timeline.family(number)
        for tunnel in changes.tunnels:
            self.held["tunnels", tunnel] = timeline.tunnels[tunnel]

    @property
    def whole(self) -> dict[tuple[str, Any], Any]:
        """What the view would hold had it read everything now."""
        timeline = self.timeline
        held: dict[tuple[str, Any], Any] = {("ike", key): sa for key, sa in timeline.ike.items()}
        held |= {("children", key): child for key, child in timeline.children.items()}
        held |= {("exchanges", one.number): one for one in timeline.exchanges}
        held |= {("families", one.number): one for one in timeline.families}
        return held | {("tunnels", key): tunnel for key, tunnel in timeline.tunnels.items()}


@pytest.mark.parametrize("bounds", [None, Bounds(closed_sas=1, closed_children=1, exchanges=2)], ids=["all", "bounded"])
@pytest.mark.parametrize("every", [1, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_what_changed_is_enough_to_follow(kind: str, every: int, bounds: Bounds | None) -> None:
    """A view that redraws only what `changed` names holds what one holds that reads all of it, forgotten things too."""
    timeline = Timeline(bounds)
    mirror = Mirror(timeline)
    for place, record in enumerate(records(kind)):
        timeline.add(record)
        if place % every == 0:
            mirror.look()
            assert mirror.held == mirror.whole
    mirror.look()
    assert mirror.held == mirror.whole
    assert timeline.changed(timeline.generation).ike == ()


def weeks(sas: int) -> Iterable[Record]:
    """One router that sees an IKE SA after the other, each with a Child SA, some exchanges and a refusal."""
    seq = 0
    for sa in range(sas):
        spi, inbound = f"{sa + 1:016x}", f"{sa + 0x10000:08x}"
        stamp = Stamp(seq=0, mono=0.0, wall=0.0, router="R1", spi_i=spi, spi_r=spi[::-1], sa=1, initiator=True)
        message: dict[str, Any] = {
            "local": "192.0.2.1:500",
            "remote": "192.0.2.2:500",
            "payloads": ("ENCR",),
            "size": 100,
        }
        events: list[tuple[int | None, Any]] = []
        for number in range(4):
            events += [
                (None, LivenessSent(silent=1.0)),
                (number, MessageSent(exchange=37, response=False, **message)),
                (number, MessageReceived(exchange=37, response=True, **message)),
            ]
        events[3:3] = [
            (None, StateChanged(before="IKE_AUTH sent", after="established", trigger="authenticated")),
            (None, IkeSaCreated(lifetime=86400, suite="", initiator=True)),
            (None, child(inbound)),
            (1, RequestRefused(exchange=36, notify=14, why="")),
        ]
        gone = ChildSaClosed(
            inbound=inbound, outbound=inbound, tunnel="Tunnel0", reason="", cause=CloseReason.WITH_IKE_SA
        )
        events += [(None, gone), (None, IkeSaClosed(reason="", seconds=1.0, cause=CloseReason.CLEARED))]
        for number_or_none, event in events:
            seq += 1
            known = UNSET if number_or_none is None else number_or_none
            yield Record(replace(stamp, seq=seq, mono=float(seq), wall=1e9 + seq, message_id=known), event)


def child(inbound: str) -> ChildSaCreated:
    """A Child SA of which only the SPIs matter."""
    return ChildSaCreated(
        inbound=inbound,
        outbound=inbound,
        tunnel="Tunnel0",
        transport=False,
        encryption=20,
        key_length=128,
        integrity=None,
        esn=False,
        group=None,
        local=(),
        remote=(),
        lifetime=3600,
        kilobytes=None,
        udp=False,
        exchange=35,
        initiator=True,
    )


def test_a_bounded_timeline_runs_for_weeks() -> None:
    """With bounds it keeps so many of what is over and no more, however much there was, and counts all of it."""
    bounds = Bounds(closed_sas=20, closed_children=2, exchanges=3)
    timeline = Timeline(bounds).extend(weeks(2000))
    assert len(timeline.ike) == len(timeline.children) == len(timeline.families) == bounds.closed_sas
    assert len(timeline.exchanges) == bounds.closed_sas * bounds.exchanges
    assert len(timeline.messages) < 1000
    assert timeline.messages_told == 2000 * 8
    assert timeline.totals["R1"].handshakes == 2000
    assert timeline.totals["R1"].closed == {"cleared by the operator": 2000}
    held: list[Sized] = [timeline._by_number, timeline._by_outbound, timeline._closed, timeline._exchanges._sas]
    assert all(len(one) <= bounds.closed_sas for one in held)
    assert timeline.tunnels["R1", "Tunnel0"].children == 0


def test_an_ike_sa_that_stands_for_weeks_keeps_its_latest_exchanges() -> None:
    """The bounds hold within one IKE SA too: its latest exchanges, and the latest Child SAs that ended."""
    records_of_one = [one for one in weeks(1) if not isinstance(one.event, IkeSaClosed | ChildSaClosed)]
    timeline = Timeline(Bounds(exchanges=8, closed_children=3)).extend(records_of_one)
    (sa,) = timeline.ike.values()
    stamp = records_of_one[-1].stamp
    for number in range(10, 500):
        spi = f"{number:08x}"
        gone = ChildSaClosed(inbound=spi, outbound=spi, tunnel="Tunnel0", reason="", cause=CloseReason.REKEYED)
        sent = records_of_one[5].event if isinstance(records_of_one[5].event, MessageSent) else records_of_one[1].event
        for event in (child(spi), gone, sent):
            timeline.add(Record(replace(stamp, message_id=number), event))
    (sa,) = timeline.ike.values()
    assert [one.message_id for one in timeline.exchanges_of(sa)] == list(range(492, 500))
    assert len(timeline.children) == len(sa.children) == 4
    assert len(timeline.messages) < 400


def test_a_record_costs_the_same_however_many_came_before() -> None:
    """Lines of Python executed for the 1,000th IKE SA's records are those for the 600th's; hash order moves a few."""
    timeline, steps = Timeline(), 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return trace

    taken = []
    for place, record in enumerate(weeks(1001)):
        sa = place // 18
        if sa not in (600, 1000):
            timeline.add(record)
            continue
        steps = 0
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            timeline.add(record)
        finally:
            sys.settrace(before)
        taken.append(steps)
    assert len(taken) == 36
    assert sum(taken[18:]) <= 1.1 * sum(taken[:18])


def at_offset(told: Iterable[Record], seconds: float, *, since: float = 0.0) -> list[Record]:
    """The records, R2's wall clock `seconds` ahead, from a monotonic time on."""
    return [
        Record(replace(record.stamp, wall=record.stamp.wall + seconds), record.event)
        if record.stamp.router == "R2" and record.stamp.mono >= since
        else record
        for record in told
    ]


@pytest.mark.parametrize("seconds", [0.0, 7.25, -3600.0])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "silence"])
def test_the_clocks_of_two_viewpoints_are_set_against_each_other(kind: str, seconds: float) -> None:
    """Messages that both ends saw bound the offset of their clocks from both sides, and it lies between."""
    timeline = Timeline().extend(at_offset(records(kind), seconds))
    found = timeline.offset("R1", "R2")
    assert found is not None and found.consistent
    assert abs(found.seconds - seconds) <= found.uncertainty + 1e-6
    back = timeline.offset("R2", "R1")
    assert back is not None and back.seconds == -found.seconds
    if kind != "retransmissions":
        assert found.uncertainty == pytest.approx(0.01, abs=1e-6)
    assert timeline.offsets == (found,)


def test_a_clock_that_was_set_is_no_offset() -> None:
    """Where no one offset fits all messages it says so; without messages both ways there is none."""
    told = records("a whole life")
    middle = told[len(told) // 2].stamp.mono
    found = Timeline().extend(at_offset(told, 50.0, since=middle)).offset("R1", "R2")
    assert found is not None and not found.consistent
    assert Timeline().extend(records("silence")).offset("R1", "R2") is None


def test_lifetimes_and_traffic_are_told() -> None:
    """An SA says when it is replaced and when it is over, a Child SA what passed it, a tunnel whether it is up."""
    told = records("a NAT")
    timeline = Timeline().extend(told)
    for sa in timeline.ike.values():
        assert isinstance(sa.created, float) and isinstance(sa.rekey_at, float) and isinstance(sa.expires_at, float)
        assert sa.created < sa.rekey_at < sa.expires_at == sa.created + 86400
    for one in timeline.children.values():
        assert isinstance(one.rekey_at, float) and isinstance(one.expires_at, float)
        assert one.created < one.rekey_at < one.expires_at == one.created + 3600
        assert isinstance(one.packets_in, int) and isinstance(one.octets_in, int)
        assert one.packets_in >= 1 and one.octets_in > 0
        assert one.state == "installed"
    assert all(tunnel.up and tunnel.children == 1 for tunnel in timeline.tunnels.values())


def test_every_end_has_a_cause() -> None:
    """What ended says by which of the closed list of reasons, IKE SAs and Child SAs alike."""
    known = {one.value for one in CloseReason}
    seen = set()
    for kind in KINDS:
        timeline = Timeline().extend(records(kind))
        causes = {sa.cause for sa in timeline.ike.values() if sa.closed is not None}
        causes |= {one.cause for one in timeline.children.values() if not one.up}
        assert causes <= known, kind
        seen |= causes
    assert len(seen) >= 7


def test_ike_sas_that_never_end_are_bounded_too() -> None:
    """Whose number another IKE SA has is over; of those with numbers of their own the ones silent longest go."""
    endless = [one for one in weeks(300) if not isinstance(one.event, IkeSaClosed)]
    timeline = Timeline(Bounds(closed_sas=20)).extend(endless)
    assert len(timeline.ike) == 21
    timeline = Timeline(Bounds(ike_sas=50, loose=5))
    first = endless[0]
    for number, one in enumerate(endless):
        timeline.add(Record(replace(one.stamp, sa=number // 10), one.event))
        timeline.add(Record(replace(first.stamp, seq=one.stamp.seq, sa=1000), first.event))
        timeline.add(Record(replace(one.stamp, spi_i=UNSET, sa=5000 + number), LivenessSent(silent=1.0)))
    assert len(timeline.ike) == len(timeline.families) == 50
    assert timeline.ike["R1", str(first.stamp.spi_i)].number == 1000
    assert len(timeline.loose_marks("R1")) == 5
