"""The ladder of a large capture by two processes is that of one."""

import multiprocessing
from pathlib import Path

import pytest

from ikescope.bench.read import capture
from ikescope.capture import source
from ikescope.capture.conversation import Reading
from ikescope.capture.keyfiles import KeyRing
from ikescope.cli import main
from ikescope.tui import ahead, halves, ladders
from ikescope.views.ladder import ladder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, KeyRing]:
    """A capture of some sites and its keys."""
    path, keys, _ = capture(tmp_path_factory.mktemp("ladders"), 300)
    return path, KeyRing().add((keys / "ikev2_decryption_table").read_text(), "table")


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, whatever the machine and however small the capture."""
    monkeypatch.setattr(ahead, "can_fork", lambda: True)
    monkeypatch.setattr(halves, "LARGE", 1)


@pytest.mark.parametrize(("keys", "processes"), [(True, 2), (True, 1), (False, 2)])
def test_two_draw_what_one_does(made: tuple[Path, KeyRing], *, keys: bool, processes: int) -> None:
    """Blocks, their order and their times are the same, with keys and without."""
    path, ring = made
    notes: tuple[list[str], list[str]] = ([], [])
    reading = Reading(ring=ring if keys else KeyRing(), note=notes[0].append)
    found = ladders.lines(path, str(path), reading, processes=processes)
    one = Reading(ring=reading.ring, note=notes[1].append)
    with path.open("rb") as stream:
        whole = "\n".join(ladder(source.read(stream, str(path), one))) + "\n"
    assert found == (whole.encode(), False)
    assert notes[0] == notes[1]
    assert not multiprocessing.active_children()


def test_damage_is_left_to_one_process(made: tuple[Path, KeyRing], tmp_path: Path) -> None:
    """How a capture ended stands once, where one process has it; the command shows it."""
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(made[0].read_bytes()[:-5])
    assert ladders.lines(cut, str(cut), Reading(ring=made[1])) is None
    out = tmp_path / "out"
    main(["read", str(cut), "--as", "ladder", "--output", str(out)])
    assert "the recording ended" in out.read_text()


def test_what_is_no_capture_is_left_to_others(tmp_path: Path) -> None:
    """A text is no capture, however large."""
    text = tmp_path / "text"
    text.write_text("no capture\n" * 1000)
    assert ladders.lines(text, str(text), Reading()) is None


def test_a_finding_is_told_by_the_exit_status(tmp_path: Path) -> None:
    """Keys that do not fit each other: the ladder's command says no, by two processes as by one."""
    from tests.support_records import Made

    from ikescope.capture import from_records

    refused = tmp_path / "refused.pcapng"
    refused.write_bytes(from_records(Made().no_proposal().records))
    assert main(["read", str(refused), "--as", "ladder", "--output", str(tmp_path / "out")]) == 1
    assert "NO_PROPOSAL_CHOSEN" in (tmp_path / "out").read_text()
