"""The console on a terminal: raw while it lasts, as before when it ends, keys to the router and lines back."""

import json
import os
import pty
import socket
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ikescope.errors import LocalError
from ikescope.tui.console import Console, _raw

PATH = Path("R1.sock")


class Router:
    """The other end of a control socket, in a thread: it says what it was told to say after each request."""

    def __init__(self, connected: socket.socket, answers: list[list[dict[str, Any]]]) -> None:
        self.asked: list[dict[str, Any]] = []
        self._connected, self._answers = connected, answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._connected, self._connected.makefile("rb") as lines:
            for answer in self._answers:
                self.asked.append(json.loads(lines.readline()))
                self._connected.sendall(b"".join(json.dumps(each).encode() + b"\n" for each in answer))

    def end(self) -> None:
        """Wait until it has said all."""
        self._thread.join(10.0)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: who types, what is typed at."""
    with ExitStack() as stack:
        ends = pty.openpty()
        for end in ends:
            stack.callback(os.close, end)
        yield ends


def talk(terminal: tuple[int, int], typed: bytes, *answers: list[dict[str, Any]]) -> tuple[Router, str]:
    """Type at a console whose router answers so; what was asked, and what stands on the terminal."""
    outside, inside = terminal
    ours, theirs = socket.socketpair()
    router = Router(theirs, list(answers))
    before = termios.tcgetattr(inside)
    try:
        with ours, _raw(inside):
            assert termios.tcgetattr(inside) != before
            os.write(outside, typed)
            assert Console(ours, PATH, inside, inside).talk() == 0
    finally:
        router.end()
        assert termios.tcgetattr(inside) == before
    return router, os.read(outside, 65536).decode()


def test_keys_go_to_the_router_and_its_lines_come_back(terminal: tuple[int, int]) -> None:
    """Typed lines are asked one by one, debug and partial output stand where they belong, `exit` ends it."""
    router, shown = talk(
        terminal,
        b"sh?\rping\rexit\r",
        [{"subscribed": "console", "prompt": "R1#"}],
        [{"debug": ["%UP"]}, {"output": ["show"], "prompt": "R1#"}],
        [{"output": ["% Incomplete command.", ""], "prompt": "R1#"}],
        [{"partial": "!!"}, {"output": ["done"], "prompt": "R1#"}],
        [{"output": [], "prompt": "R1#", "ended": True}],
    )
    assert [asked.get("command") for asked in router.asked] == [None, "sh?", "sh", "ping", "exit"]
    assert shown == (
        "R1#sh?\r\n%UP\r\nshow\r\n\r\nR1#sh\r\n% Incomplete command.\r\n\r\nR1#ping\r\n!!\r\ndone\r\nR1#exit\r\n"
    )


def test_control_d_leaves(terminal: tuple[int, int]) -> None:
    """Ctrl-D in an empty line leaves the console; the router is asked nothing more."""
    router, shown = talk(terminal, b"\x04", [{"prompt": "R1#"}])
    assert (len(router.asked), shown) == (1, "R1#\r\n")


def test_a_router_that_goes_gives_the_terminal_back(terminal: tuple[int, int]) -> None:
    """When the router ends, the console says so, and the terminal is as it was."""
    with pytest.raises(LocalError, match=r"the router at R1\.sock is gone"):
        talk(terminal, b"show clock\r", [{"prompt": "R1#"}])
