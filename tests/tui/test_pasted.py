"""Large sources: standard input and gzip files are not held, an interrupt shows what was read."""

import gzip
import io
from pathlib import Path

import pytest
from tests.ios.test_debug_levels import told

from ikescope.capture import text
from ikescope.capture.conversation import Reading
from ikescope.ios.debug import Renderer, transcript
from ikescope.tui import ahead, pasted, read, stream


def _text() -> bytes:
    return ("\n".join(transcript(Renderer(), told("wrong key", "R1"))) + "\n").encode()


def test_a_long_input_is_read_on_by_who_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning is given to everybody, the rest once; a short one as a whole, as often as it is asked for."""
    monkeypatch.setattr(pasted, "HELD", 10)
    monkeypatch.setattr(pasted, "_PIECE", 4)
    long = pasted.Pasted(io.BytesIO(bytes(range(50))))
    assert long.stream().read(3) == bytes(range(3))
    assert stream.is_large(long.stream())
    assert long.stream().read() == bytes(range(50))
    short = pasted.Pasted(io.BytesIO(b"abcdef"))
    assert [short.stream().read(), short.stream().read(), short.all()] == [b"abcdef"] * 3
    assert not stream.is_large(short.stream())


def test_a_gzip_file_is_as_large_as_what_it_unfolds_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The few octets of a gzip file may be too many to keep; afterwards it is read from its beginning."""
    monkeypatch.setattr(stream, "LARGE", 5000)
    folded = io.BytesIO(gzip.compress(bytes(5000)))
    assert stream.is_large(folded)
    assert folded.tell() == 0
    assert not stream.is_large(io.BytesIO(gzip.compress(bytes(4999))))
    assert not stream.is_large(io.BytesIO(b""))


@pytest.mark.parametrize(("view", "shown"), [(None, "Not up: "), ("json", '{"schema":"ikescope.finding')])
def test_an_interrupt_shows_what_was_read(view: str | None, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands before it is judged, a line says so, and the interrupt goes on."""
    monkeypatch.setattr(ahead, "can_fork", lambda: False)
    monkeypatch.setattr(text, "_PIECE", 1 << 14)
    monkeypatch.setattr(text, "_SAMPLE", 1 << 14)
    pieces = [_text() * 100]

    class Source:
        def read(self, size: int, /) -> bytes:
            if not pieces:
                raise KeyboardInterrupt
            return pieces.pop()

    lines: list[str] = []
    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        stream.show(Source(), "big.txt", Reading(note=notes.append), view, lines.append)
    assert any(line.startswith(shown) for line in lines)
    assert len(notes) == 1
    assert notes[0].startswith("big.txt: interrupted after ")


def test_who_has_seen_enough_is_no_error_of_the_file(tmp_path: Path) -> None:
    """A reader that goes away (`| head`) is not told as what is wrong with the source or the output."""
    path = tmp_path / "a.txt"
    path.touch()
    with pytest.raises(BrokenPipeError), read._opened(str(path)), read._writing(None):
        raise BrokenPipeError
