"""The other end of a control socket: finds a router, asks it, hears it."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from ikescope.daemon import paths
from ikescope.errors import LocalError


def find(router: str | None) -> Path:
    """The control socket of a router by its hostname or the socket's path; without a name, of the only one that runs.

    LocalError says what runs instead.
    """
    running = paths.running()
    if router is None:
        if len(running) == 1:
            return next(iter(running.values()))
        if not running:
            raise LocalError(
                f"no router runs here: no socket in {paths.default_directory()}; start one: ikescope run FILE"
            )
        raise LocalError(f"which router? running: {', '.join(running)}")
    if router in running:
        return running[router]
    path = Path(router) if "/" in router or router.endswith(paths.SUFFIX) else paths.socket_path(router)
    if path.is_socket() and paths.listener(path) is not None:
        return path
    why = f"nobody answers at {path}" if path.is_socket() else f"no socket at {path}"
    raise LocalError(f"no router {router} here: {why}; running: {', '.join(running) or 'none'}")


class Client:
    """A connection to a running router. `heard` is called, in a thread of its own, with what comes unasked."""

    def __init__(
        self, path: Path, heard: Callable[[dict[str, Any]], None] | None = None, timeout: float = 30.0
    ) -> None:
        self.path, self._timeout = path, timeout
        self._heard = heard
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise LocalError(f"control socket {path}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._listen, name="control socket", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            with self._socket.makefile("rb") as lines:
                for line in lines:
                    self._sort(json.loads(line))
        except (OSError, ValueError):
            pass
        finally:
            self._answers.put(None)

    def _sort(self, said: dict[str, Any]) -> None:
        if "debug" in said or "event" in said:
            if self._heard is not None:
                self._heard(said)
        else:
            self._answers.put(said)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer; LocalError when the router is gone or refuses.

        What a command says while it is at work stands before the rest of its output.
        """
        said = ""
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while (answer := self._answers.get(timeout=self._timeout)) is not None and "partial" in answer:
                said += str(answer["partial"])
        except OSError:
            answer = None
        except queue.Empty:
            raise LocalError(f"the router at {self.path} did not answer within {self._timeout:g} s") from None
        if answer is None:
            raise LocalError(f"the router at {self.path} is gone")
        if "error" in answer:
            raise LocalError(str(answer["error"]))
        if said:
            answer["output"] = [*said.removesuffix("\n").split("\n"), *answer.get("output", ())]
        return answer

    def command(self, line: str) -> dict[str, Any]:
        """Carry out one line of the console: `output`, `prompt`, and `refused` or `ended` where they hold."""
        return self.ask({"command": line})

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(1.0)
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
