"""`ikescope console`: the prompt of a running router."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

from ikescope.daemon.client import Client, find
from ikescope.errors import LocalError

_END_OF_LINE = "\r\x1b[K"


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
    return Console().talk(path)


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


class Console:
    """The interactive prompt: debug lines come above what is being typed; history and Tab where readline is there."""

    def __init__(self) -> None:
        self._prompt = ""
        self._typing = False
        self._readline: Any = None
        with contextlib.suppress(ImportError):
            import readline

            self._readline = readline

    def talk(self, path: Any) -> int:
        """Carry lines to and fro until the operator or the router leaves."""
        with Client(path, self._heard) as client:
            self._prompt = client.ask({"subscribe": "console"})["prompt"]
            self._set_up_readline(client)
            while True:
                try:
                    line = self._input()
                except EOFError:
                    print()
                    return 0
                except KeyboardInterrupt:
                    print("^C")
                    line = "end" if "(" in self._prompt else ""
                reply = client.command(line)
                _print(reply["output"])
                self._prompt = reply["prompt"]
                if reply.get("ended"):
                    return 0

    def _input(self) -> str:
        self._typing = True
        try:
            return input(self._prompt)
        finally:
            self._typing = False

    def _heard(self, said: dict[str, Any]) -> None:
        lines = said.get("debug", [])
        if not self._typing:
            _print(lines)
            return
        typed = self._readline.get_line_buffer() if self._readline is not None else ""
        sys.stdout.write(_END_OF_LINE + "\n".join([*lines, self._prompt + typed]))
        sys.stdout.flush()

    def _set_up_readline(self, client: Client) -> None:
        if self._readline is None:
            return
        found: list[str] = []

        def complete(_: str, state: int) -> str | None:
            if state == 0:
                found[:] = _completion(client, self._readline.get_line_buffer(), self._readline.get_begidx())
            return found[state] if state < len(found) else None

        self._readline.set_completer_delims(" ")
        self._readline.set_completer(complete)
        self._readline.parse_and_bind("tab: complete")


def _completion(client: Client, line: str, begin: int) -> list[str]:
    """What Tab puts in place of the word that begins at `begin`."""
    try:
        whole = str(client.ask({"complete": line})["complete"])
    except LocalError:
        return []
    return [whole[begin:]] if whole != line else []
