"""A large source is read by a process of its own."""

import io
import multiprocessing

import pytest
from tests.ios.test_debug_levels import told

from ikescope.capture import source
from ikescope.capture.conversation import Reading
from ikescope.errors import LocalError
from ikescope.ios.debug import Renderer, transcript
from ikescope.tui import ahead


def _text(times: int) -> bytes:
    lines = transcript(Renderer(("default", "internal"), stamps=True), told("life", "R1"))
    return ("\n".join([*lines, "what nobody knows", *lines[: len(lines) // 3]]) * times).encode()


@pytest.mark.parametrize("cut", [0, 1, 77, 4001, 65536, 65537])
def test_records_are_those_of_one_process(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records, their order and the notes are the same wherever the text begins, and its octets are told."""
    monkeypatch.setattr(ahead, "can_fork", lambda: True)
    monkeypatch.setattr(ahead, "_PART", 50)
    data = _text(6)[cut:]
    notes: tuple[list[str], list[str]] = ([], [])
    octets: list[int] = []
    two = list(ahead.records(ahead.Counted(io.BytesIO(data), octets.append), "a.txt", Reading(note=notes[0].append)))
    assert two == list(source.records(io.BytesIO(data), "a.txt", Reading(note=notes[1].append)))
    assert len(two) > 100
    assert notes[0] == notes[1]
    assert sum(octets) == len(data)
    assert not multiprocessing.active_children()


def test_an_error_is_told_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the reader refuses is refused in the same words."""
    monkeypatch.setattr(ahead, "can_fork", lambda: True)
    with pytest.raises(LocalError) as one:
        list(source.records(io.BytesIO(b"%PDF-1.7\n"), "a.txt", Reading()))
    with pytest.raises(LocalError) as two:
        list(ahead.records(io.BytesIO(b"%PDF-1.7\n"), "a.txt", Reading()))
    assert str(one.value) == str(two.value)


def test_who_stops_leaves_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view that ends early ends the reader."""
    monkeypatch.setattr(ahead, "can_fork", lambda: True)
    monkeypatch.setattr(ahead, "_PART", 10)
    some = ahead.records(io.BytesIO(_text(20)), "a.txt", Reading())
    next(some)
    some.close()  # type: ignore[attr-defined]
    assert not multiprocessing.active_children()
