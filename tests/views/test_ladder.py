"""The ladder: a line a datagram, both viewpoints in one, within 80 columns."""

from __future__ import annotations

import pytest
from tests.support.world import Side, pair
from tests.support_facts import restamped
from tests.support_records import Made

from ikescope.capture import from_records, to_records
from ikescope.events import UNSET, IdentityFact
from ikescope.events.base import REGISTRY
from ikescope.events.life import IkeSaRekeyed
from ikescope.events.negotiation import AuthRefused, ExchangeFailed
from ikescope.timeline import Timeline, merged, rungs
from ikescope.views.ladder import Ladder, draw, ladder
from ikescope.views.marks import MARKS
from ikescope.views.tree import message_lines


def drawn(made: Made) -> list[str]:
    """The ladder of a session."""
    return list(ladder(made.records))


@pytest.mark.parametrize("session", ["whole", "wrong_key", "no_proposal", "unmatched_selectors", "silence"])
def test_no_line_is_wider_than_a_terminal(session: str) -> None:
    """Every line of every session fits 80 columns."""
    assert all(len(line) <= 80 for line in drawn(getattr(Made(), session)()))


def test_a_datagram_that_both_routers_tell_of_is_one_line() -> None:
    """Sent at one router and received at the other is one rung; requests are dashed, responses dotted."""
    lines = drawn(Made().up())
    assert lines[0].split() == ["R1", "R2"] and lines[1].split() == ["192.0.2.1", "192.0.2.2"]
    assert [line for line in lines if "IKE_SA_INIT" in line] == [
        "   0.000 |-- IKE_SA_INIT 0 SA KE N VID NOTIFYx2 292 -------------------------->|",
        "   0.008 |<. IKE_SA_INIT 0 SA KE N VID NOTIFYx2 252 ...........................|",
    ]
    assert sum("IKE_AUTH" in line for line in lines) == 2


def test_what_was_encrypted_is_named_where_it_is_known() -> None:
    """Payloads inside the Encrypted payload stand in braces; without keys ENCR stands alone."""
    lines = drawn(Made().up())
    assert "ENCR{VID IDi AUTH SA TSi TSr NOTIFYx2}" in "\n".join(lines)


def test_error_notifies_keep_their_names() -> None:
    """A refusal is readable in the ladder."""
    assert any("ENCR{NOTIFY(AUTHENTICATION_FAILED)}" in line for line in drawn(Made().wrong_key()))


def test_retransmissions_are_lines_of_their_own() -> None:
    """Each repeat says which it is."""
    lines = [line for line in drawn(Made().silence()) if "|-- IKE_SA_INIT" in line]
    assert len(lines) == 3 and "again 2" in lines[2]


def test_a_lost_datagram_ends_in_a_cross() -> None:
    """Where the receiver keeps records and tells nothing of it, the arrow does not arrive."""
    made = Made()
    made.init()
    made.silence_after()
    assert [rung.lost for rung in rungs(Timeline().extend(made.records))] == [False, False, True]
    assert drawn(made)[-1].endswith("x|") and " lost " in drawn(made)[-1]


def test_what_changed_stands_between_the_messages() -> None:
    """SAs made, replaced and ended are told at the side of the router that tells them, after what caused them."""
    lines = drawn(Made().whole())
    made = "|* Child SA installed: in 0xC1C1C1C1, out 0xD1D1D1D1, AES-CBC-128     |"
    assert lines[lines.index(f"   0.063 {made}") - 1] == (
        "   0.059 |* IKE SA READY: lifetime 86400 s (24 h)                              |"
    )
    assert "   0.042 |                              IKE SA READY: lifetime 86400 s (24 h) *|" in lines
    assert any("|- Child SA superseded: traffic of 0xC1C1C1C1 goes to 0xC2C2C2C2 " in line for line in lines)
    assert any("IKE SA READY: supersedes 0xA1A2A3A4A5A6A7A8, takes 1 Child SA" in line for line in lines)
    assert any("- Child SA deleted: in 0xC1C1C1C1, out 0xD1D1D1D1, rekeyed " in line for line in lines)
    assert lines[-1].endswith(" IKE SA deleted: cleared by the operator -|")


@pytest.mark.parametrize(
    ("session", "told", "at"),
    [
        ("wrong_key", "AUTH does not verify: of 192.0.2.1, had pre-shared key", "R2"),
        ("no_proposal", "no proposal is acceptable: IKE, key exchange: had 19, 14, 21, 5, wanted 20", "R2"),
        ("unmatched_selectors", "Child SA refused: TS_UNACCEPTABLE (38), by this router", "R2"),
        ("silence", "no answer, given up: IKE_SA_INIT, sent 3 times in 6 s", "R1"),
    ],
)
def test_a_failure_stands_where_it_happened(session: str, told: str, at: str) -> None:
    """A failure is a row of severity error in the column of the router that found it, with what was compared."""
    rows = Ladder().extend(getattr(Made(), session)().records).rows
    (row,) = [row for row in rows if row.text == told]
    assert (row.kind, row.severity, row.at) == ("failure", "error", at)
    assert all(line[10] == "!" if at == "R1" else line[-2] in "! " for line in draw(row))


def test_a_failed_exchange_is_told_once() -> None:
    """Where the refusal that ended an exchange stands right before, that it failed is no line of its own."""
    made = Made()
    made.init()
    made.tell("R2", AuthRefused(method=2, identity=IdentityFact(1, "192.0.2.1")))
    made.tell("R2", ExchangeFailed(exchange=35, why="AUTH does not verify"))
    assert [row.text.partition(":")[0] for row in Ladder().extend(made.records).rows if row.kind == "failure"] == [
        "AUTH does not verify",
    ]
    made.liveness()
    made.tell("R2", ExchangeFailed(exchange=37, why="another thing"))
    last = [row for row in Ladder().extend(made.records).rows if row.kind == "failure"][-1]
    assert last.text == "exchange failed: INFORMATIONAL, another thing"


def test_rows_are_the_same_live_and_from_a_file() -> None:
    """Records one by one with a look after each end in the rows of all at once."""
    records = Made().whole().records
    live = Ladder()
    for record in records:
        live.add(record)
        assert len(live.rows) <= live.rows[-1].index + 1 if live.rows else True
    assert live.rows == Ladder().extend(records).rows
    assert [row.index for row in live.rows] == sorted(row.index for row in live.rows)


def test_every_mark_is_told_without_the_facts_that_a_source_lacks() -> None:
    """An event of which nothing is known is its words alone; no mark fails and none invents."""
    for kind, mark in MARKS.items():
        bare = kind(**dict.fromkeys(kind.__struct_fields__, UNSET))
        assert mark.text(bare) == mark.head


def test_every_event_of_a_failure_is_on_the_ladder() -> None:
    """What is declared an error or a defect of ours has a line, as an error."""
    failures = {kind for kind in REGISTRY.values() if kind.level in ("error", "bug")}
    assert failures <= set(MARKS)
    assert {MARKS[kind].severity for kind in failures} == {"error"}


@pytest.mark.parametrize("session", ["whole", "wrong_key", "unmatched_selectors", "silence"])
def test_a_ladder_without_what_marks_need_says_less(session: str) -> None:
    """Whatever single fact of its lines a source lacks, the ladder is drawn with as many lines between the messages."""
    records = getattr(Made(), session)().records
    whole = len(Ladder().extend(records).rows)
    needed = {type(record.event) for record in records} & set(MARKS) - {IkeSaRekeyed}
    for kind in needed:
        for name in kind.__struct_fields__:
            bare = [restamped(one, **{name: UNSET}) if type(one.event) is kind else one for one in records]
            assert abs(len(Ladder().extend(bare).rows) - whole) <= 1


def test_a_new_ike_sa_is_announced() -> None:
    """The SPIs stand above the messages they are in, old and new."""
    lines = [line for line in drawn(Made().whole()) if "IKE SA " in line and "/" in line]
    assert len(lines) == 2 and "E1E2E3E4E5E6E7E8 / F1F2F3F4F5F6F7F8" in lines[1]


def test_two_sources_with_other_clocks_come_into_one_order() -> None:
    """Recordings of two routers are merged so that nothing is received before it is sent."""
    records = Made().whole().records
    one = [record for record in records if record.stamp.router == "R1"]
    two = [restamped(record, wall=record.stamp.wall - 7.5) for record in records if record.stamp.router == "R2"]
    together = merged([one, two])
    found = rungs(Timeline().extend(together))
    assert len(found) == len(rungs(Timeline().extend(records)))
    assert all(len(rung.seen) == 2 and rung.message.sent for rung in found)


def test_a_message_without_size_is_drawn() -> None:
    """A source without octets (a debug text) gives a ladder without sizes."""
    records = Made().up().records
    stripped = [
        record if not hasattr(record.event, "size") else restamped(record, size=UNSET, octets=UNSET)
        for record in records
    ]
    assert "292" not in "\n".join(ladder(stripped))


def test_a_capture_beside_a_recording_adds_no_line() -> None:
    """What the recording of R1 and a capture at its side both hold is one line, under R1's name."""
    records = [record for record in Made().whole().records if record.stamp.router == "R1"]
    captured = list(to_records(from_records(records)))
    together = [row.text for row in Ladder().extend(merged([records, captured])).rows]
    assert together == [row.text for row in Ladder().extend(records).rows]


def test_a_message_in_fragments_is_one_rung() -> None:
    """The rung of a fragmented message says how many datagrams it took, and its tree what they held together."""
    one = pair(Side(fragmentation="fragmentation mtu 200")).up()
    timeline = Timeline().extend(one.world.records)
    lines = [line for line in ladder(one.world.records) if "IKE_AUTH" in line]
    assert [line.split()[3:7] for line in lines] == [["1", "492", "in", "3"], ["1", "592", "in", "4"]]
    message = next(message for message in timeline.messages if message.fragments)
    shown = message_lines(message)
    assert shown[0] == "Encrypted Fragments: 164 + 164 + 164 octets  [RFC 7383 section 2.5]"
    assert [line.split(":")[0].strip() for line in shown if line[2] != " " and line[:2] == "  "][:3] == [
        "IDi",
        "AUTH",
        "CFG",
    ]


def test_a_capture_of_fragments_is_read_back() -> None:
    """Each fragment is a packet of the capture; read again they are one message, whole when its last one came."""
    one = pair(Side(fragmentation="fragmentation mtu 200")).up()
    records = one.station("R1").records
    told = [m.fragments for m in Timeline().extend(records).messages]
    back = Timeline().extend(to_records(from_records(records)))
    assert [message.fragments for message in back.messages] == told
    assert [exchange.messages for exchange in back.exchanges] == [2, 7]
