"""Several viewpoints of one session: each message once, clocks set against each other, the leg of what was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
import pytest
from tests.support.world import BOTH, Pair, Side, pair

from ikescope.capture import to_records
from ikescope.capture.conversation import Reading
from ikescope.capture.frames import ike_packet
from ikescope.capture.pcapng import interface, packet, section
from ikescope.engine.commands import Probe, Rekey
from ikescope.events import UNSET, Record
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.explain.summary import verdict
from ikescope.ios.debug import Renderer, transcript
from ikescope.ios.debug_read import read as debug_read
from ikescope.sim.world import EPOCH, Mail
from ikescope.timeline import Rung, Timeline, merged, rungs
from ikescope.views.ladder import ladder

POINT = "cap.pcapng"
Keep = Callable[[Mail, int], bool]


def session(**impairments: Iterable[str]) -> Pair:
    """R1 and R2 up, and a liveness question."""
    both = pair(Side(mode="acl")).up()
    both.world.run(1)
    return both


def captured(
    both: Pair, keep: Keep = lambda mail, number: True, delay: float = 0.005, clock: float = 0.0
) -> list[Record]:
    """What a capture point half-way saw of the messages that `keep` lets pass it; `clock` is its clock's error."""
    blocks = [section(), interface("wire")]
    for number, mail in enumerate(one for one in both.world.mail if one.kind == "ike"):
        path = mail.path
        octets = ike_packet(str(path.local), path.local_port, str(path.remote), path.remote_port, mail.octets)
        if keep(mail, number):
            blocks.append(packet(0, int((EPOCH + mail.at + delay + clock) * 1e9), octets))
    return list(to_records(b"".join(blocks), Reading(name=POINT, point=POINT)))


def without(records: Iterable[Record], number: int, kind: type = MessageReceived) -> list[Record]:
    """Records without the telling of the message with this ID that is of this kind."""
    return [one for one in records if not (isinstance(one.event, kind) and one.stamp.message_id == number)]


def shifted(records: Iterable[Record], seconds: float) -> list[Record]:
    """Records of a router whose clock is so far ahead."""
    return [
        Record(msgspec.structs.replace(one.stamp, wall=one.stamp.wall + seconds if seconds else 0.0), one.event)
        for one in records
    ]


def joined(*sources: Iterable[Record]) -> list[Rung]:
    """The rungs of sources."""
    return rungs(Timeline().extend(merged(sources)))


@pytest.mark.parametrize("clock", [0.0, 37.5, -3600.0])
def test_a_message_that_three_viewpoints_tell_of_is_one(clock: float) -> None:
    """Both routers and a capture between them, whatever its clock says: each message once, seen by all three."""
    both = session()
    found = joined(*(both.station(name).records for name in BOTH), captured(both, clock=clock))
    assert [rung.message.message_id for rung in found] == [0, 0, 1, 1]
    assert all(set(rung.seen) == {"R1", "R2", POINT} and rung.arrived and not rung.lost for rung in found)


@pytest.mark.parametrize(
    ("seen", "leg"),
    [(True, (POINT, "R2")), (False, ("R1", POINT))],
)
def test_a_lost_request_is_lost_on_its_leg(seen: bool, leg: tuple[str, str]) -> None:
    """What the capture saw and R2 did not was lost behind it, what it did not see before it."""
    both = session()
    cap = captured(both, lambda mail, number: seen or number != 2)
    found = joined(both.station("R1").records, without(both.station("R2").records, 1), cap)
    lost = next(rung for rung in found if rung.lost)
    assert (lost.message.message_id, lost.message.response, lost.leg) == (1, False, leg)


def test_a_lost_response_is_lost_on_its_leg() -> None:
    """A response that passed the capture and never came to R1 was lost between them, R2 telling too or not."""
    both = session()
    mine = without(both.station("R1").records, 1)
    for sources in ([mine, captured(both)], [mine, both.station("R2").records, captured(both)]):
        lost = [rung for rung in joined(*sources) if rung.lost]
        assert [(rung.message.response, rung.leg and rung.leg[0]) for rung in lost] == [(True, POINT)]


NEAR = ("near-r1.pcap", "near-r2.pcap")


def two_points(both: Pair, *gone: set[int]) -> list[list[Record]]:
    """Captures 2 ms from R1 and from R2, without the messages of these numbers."""
    found = []
    for point, here, missed in zip(NEAR, ("192.0.2.1", "192.0.2.2"), gone, strict=True):
        blocks = [section(), interface(point)]
        for number, mail in enumerate(one for one in both.world.mail if one.kind == "ike"):
            path = mail.path
            octets = ike_packet(str(path.local), path.local_port, str(path.remote), path.remote_port, mail.octets)
            late = 0.002 if str(path.local) == here else 0.008
            if number not in missed:
                blocks.append(packet(0, int((EPOCH + mail.at + late) * 1e9), octets))
        found.append(list(to_records(b"".join(blocks), Reading(name=point, point=point))))
    return found


@pytest.mark.parametrize(
    ("gone", "response", "leg", "who"),
    [
        (({4, 5}, {4, 5}), False, ("R1", NEAR[0]), ("R1",)),
        (({5}, {4, 5}), False, NEAR, ("R1",)),
        (({5}, {4, 5}), False, NEAR, ("R2",)),
        (({5}, {5}), False, (NEAR[1], "R2"), ("R2",)),
        (({5}, {5}), True, ("R2", NEAR[1]), ("R1", "R2")),
        (({5}, set()), True, (NEAR[1], NEAR[0]), ("R1",)),
        ((set(), set()), True, (NEAR[0], "R1"), ("R1",)),
    ],
)
def test_three_viewpoints_name_the_leg_of_each_direction(
    gone: tuple[set[int], set[int]], response: bool, leg: tuple[str, str], who: tuple[str, ...]
) -> None:
    """Two captures and a router: which one a direction passes first is learned from what both saw; the leg follows."""
    both = session()
    both.ask("R1", Probe())
    both.world.run(1)
    told = {name: both.station(name).records for name in who}
    if "R1" in who:
        told["R1"] = without(told["R1"], 2)
    if "R2" in who and not response:
        told["R2"] = without(without(told["R2"], 2), 2, MessageSent)
    found = [rung for rung in joined(*told.values(), *two_points(both, *gone)) if rung.lost]
    assert [(rung.message.message_id, rung.message.response, rung.leg) for rung in found] == [(2, response, leg)]


def test_one_router_and_a_capture_tell_what_never_passed() -> None:
    """R1 sent it, the capture ran and never saw it: lost between the two, though R2 tells nothing."""
    both = session()
    found = joined(both.station("R1").records, captured(both, lambda mail, number: number != 2))
    assert [rung.leg for rung in found if rung.lost] == [("R1", POINT)]


def test_a_telling_without_octets_or_clock_joins_a_capture() -> None:
    """A debug text without time stamps and octets stands beside the messages of the capture that it tells of."""
    both = session()
    bare = [
        Record(
            msgspec.structs.replace(one.stamp, wall=0.0, mono=0.0, router="192.0.2.1"),
            msgspec.structs.replace(one.event, octets=UNSET, size=UNSET)
            if isinstance(one.event, MessageSent | MessageReceived)
            else one.event,
        )
        for one in both.station("R1").records
    ]
    found = joined(bare, captured(both))
    assert [(rung.message.message_id, len(rung.seen), rung.lost) for rung in found] == [
        (n, 2, False) for n in (0, 0, 1, 1)
    ]
    assert all(rung.message.wall for rung in found)


@pytest.mark.parametrize("who", BOTH)
@pytest.mark.parametrize("beside", [False, True])
def test_a_replaced_child_sa_of_a_debug_text_counts_once(who: str, beside: bool) -> None:
    """Debug text names SPIs only when a Child SA is replaced: the old one is over with its Delete, alone or joined."""
    both = session()
    for _ in range(2):
        both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
        both.world.run(2)
    lines = transcript(Renderer(stamps=True), both.station(who).records)
    text = [one for one in debug_read(lines, year=2023) if isinstance(one, Record)]
    timeline = Timeline().extend(merged([text, captured(both)]) if beside else text)
    (sa,) = (one for one in timeline.ike.values() if one.router == text[0].stamp.router)
    standing = [child for child in timeline.children_of(sa) if child.up]
    assert [child.inbound for child in standing] == [f"{both.one_child('R1').inbound:08x}"] or who == "R2"
    assert len(standing) == 1
    assert sum(child.replaces is not None for child in timeline.children_of(sa)) == 2
    assert beside or "1 Child SA." in verdict(timeline)[0]


def test_debug_texts_and_a_capture_agree_on_who_asks_after_a_rekey() -> None:
    """Debug text does not say who began a rekeyed IKE SA: the capture, whose headers do, says it for both."""
    both = session()
    both.ask("R1", Rekey())
    both.world.run(1)
    both.ask("R1", Probe())
    both.world.run(1)
    told = [transcript(Renderer(), both.station(name).records) for name in BOTH]
    texts = [[one for one in debug_read(lines) if isinstance(one, Record)] for lines in told]
    sides = [
        [Record(msgspec.structs.replace(one.stamp, router=name), one.event) for one in text]
        for name, text in zip(("192.0.2.1", "192.0.2.2"), texts, strict=True)
    ]
    found = joined(*sides, captured(both))
    assert len(found) == 10
    assert all(len(rung.seen) == 3 and not rung.lost for rung in found)


@pytest.mark.parametrize("ahead", [90.0, -7200.0])
def test_the_clocks_of_a_router_and_a_capture_are_set_against_each_other(ahead: float) -> None:
    """A capture point lies between the ends: messages both ways bound its clock's error, and the ladder corrects it."""
    both = session()
    records = merged([both.station("R1").records, captured(both, delay=0.005, clock=ahead)])
    timeline = Timeline().extend(records)
    (offset,) = timeline.offsets
    assert offset.consistent and offset.seconds == pytest.approx(ahead if offset.router == "R1" else -ahead, abs=0.02)
    assert all(float(line.split()[0]) < 60 for line in ladder(records) if line[:9].strip().replace(".", "").isdigit())


def test_the_ladder_has_a_column_for_a_capture_point() -> None:
    """`+` where the capture saw a message, `x` where it ended: before the point, or behind it."""
    both = session()
    cap = captured(both)
    lines = list(ladder(merged([both.station("R1").records, without(both.station("R2").records, 1), cap])))
    assert any(line.endswith(f"{POINT} v") for line in lines)
    assert next(line for line in lines if "IKE_SA_INIT 0" in line).endswith("-+--->|")
    assert next(line for line in lines if "IKE_AUTH 1" in line and "lost" in line).endswith("-+---x|")
    missed = captured(both, lambda mail, number: number != 2)
    lines = list(ladder(merged([both.station("R1").records, without(both.station("R2").records, 1), missed])))
    assert next(line for line in lines if "IKE_AUTH 1" in line and "lost" in line).endswith("x|    |")
    assert all(len(line) <= 80 for line in lines)
