"""`ikescope watch` on the control socket of a router: what happens is there at once, and a viewer let go comes back."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.daemon.routers import PYTHON
from tests.daemon.test_exec import Stub
from tests.support_records import Made
from textual.pilot import Pilot

from ikescope.daemon import control, paths
from ikescope.daemon.control import ControlServer
from ikescope.events import Record, encode
from ikescope.tui import watch_source
from ikescope.tui.watch_app import WatchApp
from ikescope.tui.watch_source import Live

Act = Callable[[WatchApp, Pilot[None], Callable[[list[Record]], None]], Awaitable[None]]


def living(directory: Path, before: list[Record], act: Act) -> None:
    """A router that has told `before`; `act` sees the viewer and makes the router tell more."""

    async def run() -> None:
        path = directory / "R1.sock"
        stub = Stub()
        for record in before:
            stub.recorder.add(record)
        server = ControlServer(paths.listen(path, "R1"), stub)
        await server.start()

        def tell(records: list[Record]) -> None:
            for record in records:
                stub.recorder.add(record)
                server.publish(record)

        app = WatchApp(Live(lambda: path), "R1")
        try:
            async with app.run_test(size=(80, 24)) as pilot:
                await act(app, pilot, tell)
        finally:
            await server.stop()

    asyncio.run(run())


async def until(pilot: Pilot[None], what: Callable[[], bool]) -> None:
    """Wait until it holds."""
    for _ in range(400):
        if what():
            return
        await pilot.pause(0.05)
    raise AssertionError("it never came")


def of_r1() -> list[Record]:
    """A whole session as R1 tells it."""
    return [record for record in Made().whole().records if record.stamp.router == "R1"]


def test_what_happens_is_on_the_screen(tmp_path: Path) -> None:
    """What happened before is there at the start, what happens follows; both are what a recording of all shows."""
    records = of_r1()

    async def act(app: WatchApp, pilot: Pilot[None], tell: Callable[[list[Record]], None]) -> None:
        await until(pilot, lambda: len(app.model.records) == 20)
        assert app.source.said == "live"
        tell(records[20:])
        await until(pilot, lambda: len(app.model.records) == len(records))
        assert app.model.selected == app.model.rows[-1]
        assert app.model.rows[-1].text == "IKE SA deleted: cleared by the operator"

    living(tmp_path, records[:20], act)


def test_a_viewer_that_is_let_go_says_so_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A router never waits for a viewer: the one that was too slow hears what it missed, each record once."""
    records = of_r1()
    monkeypatch.setattr(control, "QUEUE", 8)
    monkeypatch.setattr(watch_source, "FIRST_WAIT", 1.0)

    async def act(app: WatchApp, pilot: Pilot[None], tell: Callable[[list[Record]], None]) -> None:
        await until(pilot, lambda: app.source.said == "live")
        tell(records)
        await until(pilot, lambda: "too slow" in app.source.said)
        await until(pilot, lambda: len(app.model.records) == len(records))
        assert app.model.records == records and app.source.said == "live"

    living(tmp_path, [], act)


def test_the_command_runs_in_a_terminal(tmp_path: Path) -> None:
    """`ikescope watch FILE` takes a terminal of 80 by 24, shows the ladder, and gives the terminal back on q."""
    file = tmp_path / "session.jsonl"
    file.write_bytes(b"".join(encode(record) + b"\n" for record in Made().whole().records))
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, **PYTHON, "TERM": "xterm-256color"}
    argv = [sys.executable, "-m", "ikescope", "watch", str(file)]
    with subprocess.Popen(argv, stdin=inner, stdout=inner, stderr=inner, env=environment) as process:
        os.close(inner)
        shown = b""
        while b"cleared by the operator" not in shown:
            assert select.select([outer], [], [], 60.0)[0], shown
            shown += os.read(outer, 1 << 16)
        os.write(outer, b"q")
        with contextlib.suppress(OSError):
            while more := os.read(outer, 1 << 16):
                shown += more
        assert process.wait(60) == 0
    os.close(outer)
    assert b"INFORMATIONAL 4 ENCR{DELETE} 96 (delete)" in shown
    assert b"\x1b[?1049h" in shown and b"\x1b[?1049l" in shown, "the other screen, and back"
