"""Processes beside the router: each speaks to its control socket alone and holds no key and no capability."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ikescope
from ikescope.errors import LocalError

PATIENCE = 2.0
"""Seconds that a process beside the router has to end before it is killed."""


def needs(extra: str, module: str) -> None:
    """LocalError with the command that installs an extra, where `module` of it is not there."""
    if importlib.util.find_spec(module) is None:
        raise LocalError(f"this needs the extra [{extra}]: pip install 'ikescope[{extra}]'")


def listen(option: str, place: str) -> socket.socket:
    """A listening TCP socket for `HOST:PORT` (an empty host: 127.0.0.1); LocalError where it cannot be had."""
    host, colon, port = place.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise LocalError(f"{option} {place}: wanted HOST:PORT, such as 127.0.0.1:9600")
    host = host.strip("[]") or "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, int(port)))
        found.listen(16)
    except OSError as error:
        found.close()
        raise LocalError(f"{option} {place}: {error.strerror}") from error
    return found


class Beside:
    """The processes of one router."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, module: str, arguments: Sequence[str], sockets: Sequence[socket.socket] = ()) -> None:
        """Run `python -m module arguments...`; it inherits `sockets` by their descriptors, which are closed here."""
        package = str(Path(ikescope.__file__).resolve().parents[1])
        path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=[each.fileno() for each in sockets],
            start_new_session=True,
        )
        self._running.append(process)
        for each in sockets:
            each.close()

    def close(self) -> None:
        """Wait for each: without a router it ends by itself; one that does not is ended."""
        for process in self._running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                # Another user's by now: it ends when we do.
                with contextlib.suppress(PermissionError):
                    process.kill()
                    process.wait()
        self._running.clear()


def say(what: str, text: str) -> None:
    """One line on standard error."""
    with contextlib.suppress(OSError):
        print(f"ikescope {what}: {text}", file=sys.stderr, flush=True)
