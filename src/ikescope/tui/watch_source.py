"""Where a viewer's records come from: a recording, or a running router that is asked again whenever it let go."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from ikescope.errors import LocalError
from ikescope.events import Record, decode

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0
"""Seconds until a router that is gone is asked again, doubled each time."""
LIMIT = 20_000
"""Records of a running router that are held; above it the older half goes, but for what made the SAs that stand."""
ENOUGH = 2000
"""Records taken in at once: the keys answer in between."""


class Live:
    """The events of a running router, heard in a thread of its own.

    `said` is the state of the connection in a few words. A router that lets this viewer go, or ends, is asked again;
    what was heard before is not heard twice.
    """

    limit: int | None = LIMIT

    def __init__(self, find: Callable[[], Path]) -> None:
        self._find = find
        self._heard: queue.SimpleQueue[Record] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._last = (-1, float("-inf"))
        self._socket: socket.socket | None = None
        self.said = "connecting"
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def take(self) -> list[Record]:
        """What was heard since the last time, `ENOUGH` at most."""
        found: list[Record] = []
        while len(found) < ENOUGH:
            try:
                found.append(self._heard.get_nowait())
            except queue.Empty:
                break
        return found

    def close(self) -> None:
        """Hang up."""
        self._stop.set()
        held = self._socket
        if held is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        wait = FIRST_WAIT
        while not self._stop.is_set():
            try:
                why = self._listen()
                wait = FIRST_WAIT
            except (OSError, LocalError) as error:
                why = str(error).partition(";")[0]
                wait = min(wait * 2, LONGEST_WAIT)
            self.said = f"not connected: {why}; trying again"
            self._stop.wait(wait)

    def _listen(self) -> str:
        """Hear the router until it ends; why it did."""
        why = "the router is gone"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
            held.connect(str(self._find()))
            self._socket = held
            held.sendall(b'{"subscribe": "events", "since": 0}\n')
            with held.makefile("rb") as lines:
                for line in lines:
                    why = self._sort(line) or why
        return why

    def _sort(self, line: bytes) -> str:
        """Keep a record; the words of a farewell, or nothing."""
        try:
            record = decode(line)
        except LocalError:
            return self._other(line)
        stamp = record.stamp
        if (stamp.seq, stamp.wall) > self._last or stamp.wall > self._last[1]:
            self._last = (stamp.seq, stamp.wall)
            self._heard.put(record)
        return ""

    def _other(self, line: bytes) -> str:
        try:
            said = json.loads(line)
        except ValueError:
            return ""
        if "subscribed" in said:
            self.said = "live"
        return str(said.get("error", ""))


class Recorded:
    """The records of a file, all at once: none is left out."""

    limit: int | None = None

    def __init__(self, records: list[Record]) -> None:
        self._records, self.said = records, "recording"

    def start(self) -> None:
        """Nothing to begin."""

    def take(self) -> list[Record]:
        """All of them, once."""
        found, self._records = self._records, []
        return found

    def close(self) -> None:
        """Nothing to end."""


Source = Live | Recorded
