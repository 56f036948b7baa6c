"""Where the viewer's records come from, what it says where there are none, and what it forgets."""

from __future__ import annotations

import argparse
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.support_records import Made

from ikescope.errors import LocalError
from ikescope.events import Record, encode
from ikescope.events.message import MessageReceived
from ikescope.tui import watch
from ikescope.tui.watch_model import WatchModel
from ikescope.tui.watch_source import Live


class Router(threading.Thread):
    """A control socket that answers each connection with one list of lines, then lets it go."""

    def __init__(self, path: Path, answers: list[list[bytes]]) -> None:
        super().__init__(daemon=True)
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._answers = answers
        self.asked: list[bytes] = []

    def run(self) -> None:
        """Serve every answer once."""
        for lines in self._answers:
            held, _ = self._listening.accept()
            with held, held.makefile("rb") as asked:
                self.asked.append(asked.readline())
                held.sendall(b"".join(line + b"\n" for line in lines))


def heard(live: Live, wanted: int) -> list[Record]:
    """What comes until there are so many."""
    found: list[Record] = []
    waiting = threading.Event()
    for _ in range(600):
        found += live.take()
        if len(found) >= wanted:
            break
        waiting.wait(0.05)
    return found


def test_a_viewer_that_was_let_go_comes_back(tmp_path: Path) -> None:
    """It hears nothing twice and misses nothing; a line that it does not know ends nothing."""
    records = [record for record in Made().whole().records if record.stamp.router == "R1"]
    lines = [encode(record) for record in records]
    path = tmp_path / "R1.sock"
    first = [b'{"subscribed":"events","prompt":"R1#"}', *lines[:5], b'{"error":"too slow"}']
    router = Router(path, [first, [b'{"event":{"event":"of.the.future"}}', b"?", *lines]])
    router.start()
    live = Live(lambda: path)
    live.start()
    assert heard(live, len(records)) == records
    live.close()
    assert router.asked == [b'{"subscribe": "events", "since": 0}\n'] * 2
    assert live.said.startswith("not connected")


def test_a_router_that_began_again_is_heard_from_its_first_record(tmp_path: Path) -> None:
    """Sequence numbers that begin anew later on are another life of the router, not a repetition."""
    one = [record for record in Made().up().records if record.stamp.router == "R1"]
    later = Made(now=9000.0, spi_i="0102030405060708").up()
    two = [record for record in later.records if record.stamp.router == "R1"]
    path = tmp_path / "R1.sock"
    Router(path, [[encode(record) for record in one], [encode(record) for record in two]]).start()
    live = Live(lambda: path)
    live.start()
    assert heard(live, len(one) + len(two)) == one + two
    live.close()


def arguments(name: str | None) -> argparse.Namespace:
    """What the command line hands over."""
    return argparse.Namespace(router=name)


def test_without_a_router_it_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No router runs: where it was looked for, and how to start one."""
    monkeypatch.setattr("ikescope.daemon.paths.default_directory", lambda: tmp_path)
    with pytest.raises(LocalError, match=r"^no router runs here: [^\n]*ikescope run FILE$"):
        watch.main(arguments(None))
    with pytest.raises(LocalError, match=r"^no router R9 here: [^\n]*$"):
        watch.main(arguments("R9"))


@pytest.mark.parametrize(("term", "wanted"), [("dumb", "TERM=dumb"), ("", "TERM=")])
def test_a_dumb_terminal_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str, wanted: str
) -> None:
    """Where the cursor cannot be moved, or there is no terminal at all, it says what to use instead."""
    file = tmp_path / "session.jsonl"
    file.write_bytes(b"".join(encode(record) + b"\n" for record in Made().up().records))
    with pytest.raises(LocalError, match=r"^watch needs a terminal, and this is none; [^\n]*--as ladder"):
        watch.main(arguments(str(file)))
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
    monkeypatch.setenv("TERM", term)
    with pytest.raises(LocalError, match=rf"{wanted}; [^\n]*ikescope read --as ladder FILE"):
        watch.main(arguments(str(file)))


def test_without_the_extra_it_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing Textual is one line with the install command."""
    file = tmp_path / "session.jsonl"
    file.write_bytes(encode(Made().up().records[0]) + b"\n")
    monkeypatch.setattr(watch, "_insist_on_a_terminal", lambda: None)
    monkeypatch.setattr(watch, "find_spec", lambda name: None)
    with pytest.raises(LocalError, match=r"^watch needs Textual, which is not installed: pip install textual [^\n]*$"):
        watch.main(arguments(str(file)))


def test_a_long_watch_forgets_the_oldest_but_what_stands() -> None:
    """Above its limit the older half goes; the SAs that still stand are told all the same."""
    made = Made().up()
    for _ in range(40):
        made.liveness()
    model = WatchModel(limit=200)
    for record in made.records:
        model.add([record])
    model.refresh()
    assert model.forgotten and len(model.records) <= 200
    standing = [state.text for state in model.states()]
    assert any("READY" in text for text in standing) and any("0xC1C1C1C1" in text for text in standing)


def test_many_tunnels_are_drawn_once() -> None:
    """A row is drawn when it is new: what stood before is not drawn again."""
    model = WatchModel()
    model.add(Made().whole().records)
    model.refresh()
    drawn: list[Any] = model.lines(79)
    assert [one.text for one in model.lines(79)] == [one.text for one in drawn]
    before = dict(model._drawn)
    later = Made(now=500.0).up().records
    model.add(later)
    model.refresh()
    model.lines(79)
    fresh = {key for key in model._drawn if key not in before}
    assert 0 < len(fresh) <= sum(isinstance(one.event, MessageReceived) for one in later) * 4
