"""Sources told by their content, views by their name."""

from __future__ import annotations

import gzip
from typing import get_args

import pytest
from tests.support_records import Made

from ikescope.capture import from_records
from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.events.router import RecordingEnded
from ikescope.views import jsonl
from ikescope.views.read import VIEWS, View, join, read, render


def recording(records: list[Record]) -> bytes:
    """A recording's octets."""
    return ("\n".join(jsonl.lines(records)) + "\n").encode()


def debug(made: Made) -> bytes:
    """R1's debug text of a session."""
    return "\n".join(render(made.records, "debug", router="R1")).encode()


def test_a_recording_comes_back() -> None:
    """JSON lines, plain and gzipped, give the records they were made of."""
    records = Made().whole().records
    assert read(recording(records), "r.jsonl") == records
    assert read(gzip.compress(recording(records)), "r.jsonl.gz") == records


def test_a_recording_cut_in_its_last_line_is_read_to_there() -> None:
    """A process that was killed leaves half a line; what is before it counts, and that it was cut is told."""
    records = Made().up().records
    *found, last = read(recording(records)[:-20], "r.jsonl")
    assert found == records[:-1]
    assert isinstance(last.event, RecordingEnded) and "cut short" in last.event.why


def test_a_damaged_line_is_named() -> None:
    """A line in the middle that is no record stops the reading with its number."""
    data = recording(Made().up().records).replace(b"message.sent", b"message.lost", 1)
    with pytest.raises(LocalError, match=r"^r line \d+: unknown event 'message.lost'"):
        read(data, "r")


def test_a_capture_is_read() -> None:
    """A capture gives records with its messages."""
    assert "IKE_AUTH" in "\n".join(render(read(from_records(Made().up().records), "c.pcapng"), "ladder"))


def test_our_own_debug_text_is_read_back_to_the_same_verdict() -> None:
    """R1's debug text, read back, says of the tunnel what the records say: up, or refused and by what."""
    up = list(render(read(debug(Made().up()), "d"), "verdict"))
    assert up[0].endswith("is up: IKE SA 1 with 192.0.2.2 READY, 1 Child SA.")
    refused = list(render(read(debug(Made().wrong_key()), "d"), "verdict"))
    assert "AUTHENTICATION_FAILED" in refused[0] and refused[0].startswith("Not up: 192.0.2.2")


@pytest.mark.parametrize("session", ["whole", "wrong_key", "no_proposal", "unmatched_selectors", "silence"])
@pytest.mark.parametrize("view", get_args(View))
def test_debug_text_gives_every_view(session: str, view: View) -> None:
    """What a debug text does not hold is left out of every view; none stumbles over it or prints UNSET."""
    text = "\n".join(render(read(debug(getattr(Made(), session)()), "d"), view))
    assert text and "UNSET" not in text


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x7fELF\x02\x01", "a program"),
        (b"PK\x03\x04", "a ZIP archive"),
        (bytes(range(256)), "binary octets"),
        (gzip.compress(b"{}" * 500, mtime=0)[:-9], "gzip file cut short"),
        (b"\x1f\x8b\x08" + bytes(20), "damaged gzip"),
        (b"interface Tunnel0\n ip address 10.0.0.1 255.255.255.0\n", "text without a line of"),
        (b'{"a": 1}\n', "line 1: not a line of an ikescope recording"),
    ],
)
def test_what_cannot_be_read_is_one_line(data: bytes, found: str) -> None:
    """The error names the file, what was found, and is one line."""
    with pytest.raises(LocalError) as caught:
        read(data, "file.bin")
    text = str(caught.value)
    assert text.startswith("file.bin") and found in text and "\n" not in text


def test_every_view_renders_every_session() -> None:
    """Each view gives lines without line feeds."""
    assert set(VIEWS) == set(get_args(View))
    for session in ("whole", "wrong_key", "silence"):
        for view in VIEWS:
            lines = list(render(getattr(Made(), session)().records, view))
            assert lines and not any("\n" in line for line in lines)


def test_sources_join_to_one_ladder() -> None:
    """The recordings of two routers, joined, tell of each datagram once."""
    records = Made().whole().records
    sources = [[one for one in records if one.stamp.router == name] for name in ("R1", "R2")]
    assert list(render(join(sources), "ladder")) == list(render(records, "ladder"))


def test_a_view_of_no_records_is_not_an_error() -> None:
    """The verdict over nothing says so; the others are empty or a bare page."""
    assert list(render([], "verdict")) == ["Nothing to judge: there is not one record."]
    assert list(render([], "ladder")) == []
