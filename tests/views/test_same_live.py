"""One rendering: what is printed while a session happens is, octet for octet, what its recording gives."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.timeline.sessions import KINDS, records

from ikescope.capture.convert import from_records
from ikescope.cli import main
from ikescope.daemon.recording import Recording
from ikescope.events import Record
from ikescope.ios.debug import LEVELS, Renderer
from ikescope.tui.watch_model import WatchModel
from ikescope.views import events_text, read, walkthrough
from ikescope.views.html_model import Model
from ikescope.views.ladder import Ladder, columns, draw, headed

TITLE = "An IKEv2 session, step by step"


def taken(kind: str) -> list[Record]:
    """What R1 tells of a session."""
    return [record for record in records(kind) if record.stamp.router == "R1"]


@pytest.fixture(scope="module", params=KINDS)
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Record], Path]:
    """R1's records as they came, and the recording that a running router writes of them."""
    directory = tmp_path_factory.mktemp("recording")
    told = taken(request.param)
    recording = Recording(directory, "R1", datetime(2026, 11, 23, tzinfo=UTC))
    for record in told:
        recording.add(record)
    recording.close()
    return told, recording.path


def shown(path: Path, view: str, capsysbinary: pytest.CaptureFixture[bytes]) -> bytes:
    """What `ikescope read` prints."""
    capsysbinary.readouterr()
    assert main(["read", str(path), "--as", view]) in (0, 1)
    return capsysbinary.readouterr().out


def text(lines: Iterable[str]) -> bytes:
    """Lines as a terminal gets them."""
    return "".join(f"{line}\n" for line in lines).encode()


def test_debug_is_the_same(session: tuple[list[Record], Path], capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """`debug crypto ikev2`, printed record by record at a console, is what the recording gives, at every level."""
    told, path = session
    live = Renderer()
    assert shown(path, "debug", capsysbinary) == text(line for record in told for line in live.lines(record))
    found = read.read(path.read_bytes(), path.name)
    for level in LEVELS:
        renderer, again = Renderer(level, stamps=True), Renderer(level, stamps=True)
        assert [renderer.lines(record) for record in told] == [again.lines(record) for record in found]


def test_events_and_explanation_are_the_same(
    session: tuple[list[Record], Path], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The events and the explanation, told as they happen, are those of the recording."""
    told, path = session
    explained = walkthrough.Explained()
    lines = [line for record in told for line in explained.lines(record)] + explained.end()
    assert shown(path, "explain", capsysbinary) == text(lines)
    start = told[0].stamp.mono
    assert shown(path, "events", capsysbinary) == text(events_text.line(record, start) for record in told)


def test_the_ladder_is_the_same(session: tuple[list[Record], Path], capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A ladder that grew record by record, looked at every time as `watch` does, is the recording's."""
    told, path = session
    ladder, watch = Ladder(), WatchModel()
    for record in told:
        ladder.add(record)
        watch.add([record])
        watch.refresh()
        assert len(watch.rows) >= len(ladder.rows)
    pair = next((row.left, row.right) for row in ladder.rows if row.right)
    lines = [
        *columns(*pair, ladder.addresses, 80),
        *(line for row in headed(ladder.rows, ladder) for line in draw(row, 80, pair=pair)),
    ]
    assert shown(path, "ladder", capsysbinary) == text(lines)
    again = WatchModel()
    again.add(read.read(path.read_bytes(), path.name))
    again.refresh()
    assert [line.text for line in watch.lines(80)] == [line.text for line in again.lines(80)]


def test_the_page_is_the_same(session: tuple[list[Record], Path], capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """The page of a model that was looked at after every record is the recording's page."""
    told, path = session
    model = Model()
    for place, record in enumerate(told):
        model.add(record)
        if place % 16 == 0:
            assert model.snapshot(most=8)["rows"] is not None
    found = walkthrough.document(told, Renderer().lines, title=TITLE)
    assert shown(path, "html", capsysbinary) == walkthrough.html(found, model).encode()


def test_the_capture_is_the_same(
    session: tuple[list[Record], Path], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The packets that were seen live are those of the recording, and no key is among them."""
    told, path = session
    assert shown(path, "pcapng", capsysbinary) == from_records(told)
