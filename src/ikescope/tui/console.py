"""`ikescope console`: the prompt of a running router."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from ikescope.daemon.client import Client, find
from ikescope.errors import LocalError
from ikescope.ios.line_editor import Asked, LineEditor

PATIENCE = 3
"""How often Ctrl-C is pressed at a command that does not end before the console leaves without it."""


def main(args: argparse.Namespace) -> int:
    """Run `-c` commands and exit (1 if one was refused), or talk until `exit` or Ctrl-D."""
    path = find(args.router)
    if args.command:
        with Client(path) as client:
            return _run(client, args.command)
    if not sys.stdin.isatty():
        with Client(path, _print_debug) as client:
            client.ask({"subscribe": "console"})
            return _run(client, (line.rstrip("\n") for line in sys.stdin))
    with _connected(path) as router, _raw(sys.stdin.fileno()):
        return Console(router, path, sys.stdin.fileno(), sys.stdout.fileno()).talk()


def _run(client: Client, commands: Any) -> int:
    refused = False
    for command in commands:
        reply = client.command(command)
        _print(reply["output"])
        refused |= bool(reply.get("refused"))
        if reply.get("ended"):
            break
    return 1 if refused else 0


def _print(lines: list[str]) -> None:
    if lines:
        print("\n".join(lines), flush=True)


def _print_debug(said: dict[str, Any]) -> None:
    _print(said.get("debug", []))


@contextlib.contextmanager
def _connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as router:
        try:
            router.connect(str(path))
        except OSError as error:
            raise LocalError(f"control socket {path}: {error.strerror}") from error
        yield router


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """The terminal gives each key at once and draws nothing by itself; it is as before when this ends."""
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    signals = {number: signal.signal(number, _leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setraw(terminal, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        for number, handler in signals.items():
            signal.signal(number, handler)


def _leave(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


class Console:
    """Carries keys to the line editor, its questions to the router, and what both say to the terminal."""

    def __init__(self, router: socket.socket, path: Path, keys: int, screen: int) -> None:
        self._router, self._path, self._keys, self._screen = router, path, keys, screen
        self._editor = LineEditor()
        self._asked: Asked | None = None
        self._begun = self._left = False
        self._aborts = 0
        self._octets = self._early = b""

    def talk(self) -> int:
        """Go on until the operator or the router leaves."""
        self._resize()
        before = signal.signal(signal.SIGWINCH, lambda *_: self._resize())
        try:
            self._send({"subscribe": "console"})
            while not self._left and not self._editor.ended:
                router = self._router.fileno()
                ready, _, _ = select.select([router] if self._editor.full else [router, self._keys], [], [])
                if self._keys in ready:
                    self._typed(os.read(self._keys, 65536))
                if router in ready:
                    self._heard(self._router.recv(65536))
        finally:
            signal.signal(signal.SIGWINCH, before)
        return 0

    def _resize(self) -> None:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(self._keys)
            self._editor.resize(size.columns, size.lines)

    def _typed(self, octets: bytes) -> None:
        if not octets:
            self._left = True
        elif self._begun:
            self._draw(self._editor.feed(octets))
            self._ask()
        else:
            self._early += octets

    def _heard(self, octets: bytes) -> None:
        if not octets:
            raise LocalError(f"the router at {self._path} is gone")
        *lines, self._octets = (self._octets + octets).split(b"\n")
        for line in lines:
            self._draw(self._take(json.loads(line)))
            self._ask()

    def _take(self, said: dict[str, Any]) -> bytes:
        if "debug" in said:
            return self._editor.notice(said["debug"])
        if "partial" in said:
            return self._editor.stream(said["partial"])
        if not self._begun and "prompt" in said:
            self._begun = True
            return self._editor.begin(said["prompt"]) + self._editor.feed(self._early)
        if self._asked is None:
            return self._editor.notice([f"% {said.get('error', said)}"])
        self._asked, self._aborts = None, 0
        return self._editor.answered(said)

    def _ask(self) -> None:
        """Send what the editor waits for, once."""
        if self._editor.aborted:
            self._aborts += 1
            if self._aborts >= PATIENCE:
                raise LocalError(f"the router at {self._path} does not answer")
            self._send({"abort": True})
        asked = self._editor.asked
        if asked is None or asked is self._asked:
            return
        if asked.kind == "hangup":
            self._left = True
            return
        self._asked = asked
        self._send(asked.request())

    def _send(self, request: dict[str, Any]) -> None:
        try:
            self._router.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise LocalError(f"the router at {self._path} is gone") from error

    def _draw(self, octets: bytes) -> None:
        while octets:
            octets = octets[os.write(self._screen, octets) :]
