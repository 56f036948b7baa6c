"""The records of a running router, read from its control socket by a process beside it."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ikescope.errors import LocalError
from ikescope.events import Record, decode

_RECORD = b'{"schema":'


class Feed:
    """A subscription to every record from the flight recorder's oldest on; iterating ends when the router does.

    LocalError where nobody listens. `why` says afterwards why the router hung up, where it said so.
    """

    def __init__(self, path: Path, *, since: int = 0) -> None:
        self.why = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
            self._socket.sendall(json.dumps({"subscribe": "events", "since": since}).encode() + b"\n")
        except OSError as error:
            self._socket.close()
            raise LocalError(f"control socket {path}: {error.strerror}") from error

    def __iter__(self) -> Iterator[Record]:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                if line.startswith(_RECORD):
                    yield decode(line)
                else:
                    said: dict[str, Any] = json.loads(line)
                    self.why = str(said.get("error", self.why))

    def held(self) -> list[Record]:
        """What the flight recorder holds now; this feed is over then."""
        found: list[Record] = []
        with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                # The answer to the subscription comes after what was held when it was asked for.
                if not line.startswith(_RECORD):
                    break
                found.append(decode(line))
        self.close()
        return found

    def close(self) -> None:
        """Hang up; an iteration in another thread ends."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Asker:
    """A second connection, for one question after the other; LocalError where the router does not answer in time."""

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise LocalError(f"control socket {path}: {error.strerror}") from error
        self._lines = self._socket.makefile("rb")

    def ask(self, request: dict[str, Any]) -> bytes:
        """The answer's line."""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline()
        except OSError:
            line = b""
        if not line:
            raise LocalError(f"the router at {self._path} does not answer")
        return line

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()
