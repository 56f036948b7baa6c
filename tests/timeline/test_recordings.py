"""Recordings on the disk: parts in the order of their time, lines cut short by a power cut, bounded directories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.timeline.sessions import records

from ikescope.daemon.recording import Recording
from ikescope.errors import LocalError
from ikescope.events import Record, encode
from ikescope.events.router import RecordingEnded
from ikescope.timeline import merged
from ikescope.views.read import read

STARTED = datetime(2026, 1, 31, 12, tzinfo=UTC)


def own() -> list[Record]:
    """What R1 tells of its life."""
    return [record for record in records("a whole life") if record.stamp.router == "R1"]


def test_a_rotated_set_is_read_in_order(tmp_path: Path) -> None:
    """`R1-*.jsonl*` as a shell sorts it, `.10` before `.2` and the first part last, gives the one recording."""
    told = own()
    recording = Recording(tmp_path, "R1", STARTED, part_octets=4096, parts=100)
    for record in told:
        recording.add(record)
    recording.close()
    parts = sorted(tmp_path.glob("R1-*.jsonl*"))
    assert len(parts) > 11
    assert [path.name for path in parts[:2]] == ["R1-20260131T120000.10.jsonl", "R1-20260131T120000.11.jsonl"]
    assert merged([read(path.read_bytes(), path.name) for path in parts]) == told


def test_parts_of_two_routers_are_still_set_against_each_other() -> None:
    """Parts of R1 beside a recording of R2 give what two whole recordings give."""
    told = records("a whole life")
    first, second = own(), [record for record in told if record.stamp.router == "R2"]
    middle = len(first) // 2
    assert merged([first[middle:], second, first[:middle]]) == merged([first, second])


@pytest.mark.parametrize("kept", [1, 20, 200])
def test_a_power_cut_costs_one_line(kept: int) -> None:
    """Whole lines before the cut are read; a record in the place of the half one says what is missing."""
    told = own()[:4]
    lines = [encode(record) + b"\n" for record in told]
    cut = b"".join(lines[:3]) + lines[3][:kept]
    for data in (cut, cut + bytes(512)):
        *whole, last = read(data, "R1.jsonl")
        assert whole == told[:3]
        assert isinstance(last.event, RecordingEnded)
        assert last.event.why == f"R1.jsonl line 4 is cut short after {kept} octets; it is left out"


def test_what_follows_a_cut_line_is_read() -> None:
    """Two recordings in one file, the first cut short: all whole lines of both, and what is missing between them."""
    told = own()[:6]
    lines = [encode(record) + b"\n" for record in told]
    found = read(b"".join(lines[:2]) + lines[2][:50] + b"".join(lines[3:]), "both")
    assert [record for record in found if not isinstance(record.event, RecordingEnded)] == told[:2] + told[3:]
    (missing,) = [record.event for record in found if isinstance(record.event, RecordingEnded)]
    assert missing.why == "both line 3 is cut short after 50 octets; it is left out"


def test_a_damaged_line_in_the_middle_is_no_cut() -> None:
    """A line that is whole and no record is refused with its number: nothing is passed over in silence."""
    lines = [encode(record) + b"\n" for record in own()[:3]]
    with pytest.raises(LocalError, match="R1 line 2"):
        read(lines[0] + b'{"a": 1}\n' + lines[2], "R1")


def test_the_directory_is_bounded_over_all_starts(tmp_path: Path) -> None:
    """However often a router starts, the latest parts stay, and nobody else's files are touched."""
    others = [tmp_path / name for name in ("R10-20260131T120000.jsonl", "R1-notes.jsonl", "R2-20260131T120000.jsonl")]
    for other in others:
        other.write_text("")
    for start in range(12):
        recording = Recording(tmp_path, "R1", STARTED + timedelta(hours=start), part_octets=8192, parts=5)
        for record in own()[:30]:
            recording.add(record)
        recording.close()
    left = sorted(path.name for path in tmp_path.iterdir() if path not in others)
    assert len(left) == 5
    assert all(name >= "R1-20260131T19" for name in left)
    assert all(other.exists() for other in others)
