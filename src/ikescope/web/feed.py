"""What the router tells, folded into the page's model, and those who listen to it: nobody of them slows the others.

The router's own queue is bounded, the model is bounded, and each listener's queue is bounded: who falls behind is told
and gets the whole page anew.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from typing import Any

import msgspec

from ikescope.events import Record, decode
from ikescope.views.html_model import Model
from ikescope.web.standing import standing

LINE_OCTETS = 8 << 20
"""The longest line that a router writes: a status of a thousand tunnels."""
KEEP = 8192
"""Records that the model is made of at least; at twice as many it is made anew of the latest."""
ROWS = 2000
"""Rows of the ladder that a page gets when it opens; the latest."""
WAITING = 64
"""Messages that wait for one listener before it is told that it is behind."""
LISTENERS = 32
QUIET = 0.1
"""Seconds that changes are gathered at least; five times what it took to gather them, where that is more."""
TRAFFIC = 2.0
"""Seconds between two looks at the counters while somebody listens; twenty times what a look took, where more."""
PATIENCE = 10.0
"""Seconds for which an answer of the router is waited for; it forgets a question when we fall behind."""
CHUNK = 256
_RECORD = b'{"schema":'


class Listener:
    """One open page: what waits to be written to it."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.wake = asyncio.Event()
        self.behind = True

    def take(self, message: bytes) -> None:
        """Something changed; a listener that does not keep up forgets all and is told so."""
        if self.behind:
            return
        if len(self.waiting) >= WAITING:
            self.waiting.clear()
            self.behind = True
        else:
            self.waiting.append(message)
        self.wake.set()


class Feed:
    """The connection to the router, the model, the listeners. `run` returns when the router is gone."""

    def __init__(self) -> None:
        self.model = Model()
        self.epoch = 0
        self.missed = 0
        self.gone = False
        self.listeners: set[Listener] = set()
        self._kept: deque[Record] = deque(maxlen=KEEP)
        self._count = 0
        self._last = -1
        self._sent: dict[int, Any] = {}
        self._families: list[dict[str, Any]] = []
        self._traffic: dict[str, list[int]] = {}
        self._standing: list[dict[str, Any]] = []
        self._whole: bytes | None = None
        self._dirty, self._watched = asyncio.Event(), asyncio.Event()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None

    # The router's side.

    async def run(self, connection: socket.socket) -> None:
        """Follow a router over its connected control socket until it hangs up."""
        reader, self._writer = await asyncio.open_connection(sock=connection, limit=LINE_OCTETS)
        tasks = [asyncio.create_task(self._gather()), asyncio.create_task(self._look())]
        try:
            self._subscribe()
            while line := await reader.readline():
                await self._hear(line)
        except (OSError, ValueError):
            return
        finally:
            for task in tasks:
                task.cancel()
            self.gone = True
            for listener in self.listeners:
                listener.wake.set()
            self._writer.close()

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._writer is not None
        self._writer.write(msgspec.json.encode(request) + b"\n")

    def _subscribe(self) -> None:
        self._ask({"subscribe": "events", "since": self._last})

    async def _hear(self, line: bytes) -> None:
        if line.startswith(_RECORD):
            record = decode(line)
            if record.stamp.seq > self._last:
                self.missed += record.stamp.seq - self._last - 1 if self._last >= 0 else 0
                self._last = record.stamp.seq
                await self.add(record)
            return
        told = msgspec.json.decode(line)
        if "behind" in told:
            self._subscribe()
        elif "status" in told or "error" in told:
            self._answers.put_nowait(told)

    async def add(self, record: Record) -> None:
        """Fold a record in; now and then the model is made anew, so that it does not grow without end."""
        self._kept.append(record)
        self._count += 1
        self._whole = None
        if self._count > 2 * KEEP:
            await self._renew()
        else:
            self.model.add(record)
        self._dirty.set()

    async def _renew(self) -> None:
        fresh = Model()
        for number, record in enumerate(self._kept, 1):
            fresh.add(record)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        self.model, self._count = fresh, len(self._kept)
        self._whole = None
        self.epoch += 1
        self._sent, self._families = {}, []
        for listener in self.listeners:
            listener.behind = True
            listener.waiting.clear()

    async def _look(self) -> None:
        """The counters of the Child SAs, while somebody watches them."""
        while True:
            await self._watched.wait()
            begun = time.monotonic()
            self._ask({"status": True})
            try:
                told = await asyncio.wait_for(self._answers.get(), PATIENCE)
            except TimeoutError:
                continue
            status = told.get("status", {})
            self._traffic = traffic(status)
            changed: dict[str, Any] = {"traffic": self._traffic}
            if self._stands(status):
                changed["standing"] = self._standing
            self._publish("changed", changed)
            await asyncio.sleep(max(TRAFFIC, 20 * (time.monotonic() - begun)))

    def _stands(self, status: dict[str, Any]) -> bool:
        """Whether other SAs than before stand without records."""
        known = {spi_i for _, spi_i in self.model.ladder.timeline.ike}
        found = standing(status, known, time.monotonic())
        if _named(found) == _named(self._standing):
            return False
        self._standing = found
        return True

    # The listeners' side.

    def open(self) -> Listener | None:
        """A new listener, which is behind until it has the whole page; None where there are too many."""
        if len(self.listeners) >= LISTENERS:
            return None
        listener = Listener()
        self.listeners.add(listener)
        self._watched.set()
        return listener

    def close(self, listener: Listener) -> None:
        """A listener left."""
        self.listeners.discard(listener)
        if not self.listeners:
            self._watched.clear()

    def whole(self, listener: Listener) -> bytes:
        """The page as it is now, as one event; from here on the listener gets what changes."""
        listener.behind = False
        listener.waiting.clear()
        self._note()
        if self._whole is None:
            told = self.model.snapshot(ROWS)
            del told["now"]
            self._whole = msgspec.json.encode(told)[:-1]
        now = {"epoch": self.epoch, "missed": self.missed, "traffic": self._traffic, "standing": self._standing}
        return event("whole", self._whole + b"," + msgspec.json.encode({**now, "now": time.monotonic()})[1:])

    async def _gather(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            begun = time.monotonic()
            if self.listeners:
                self._tell()
            await asyncio.sleep(max(QUIET, 5 * (time.monotonic() - begun)))

    def _tell(self) -> None:
        """What changed since the listeners were told last."""
        rows, families = self._note()
        if rows or families:
            told = {"rows": rows, "families": families, "verdict": self.model.verdict}
            told["touched"] = [row.index for row in self.model.ladder.rows[-12:] if row.rung is not None]
            told["addresses"] = self.model.ladder.addresses
            self._publish("changed", told)

    def _note(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The rows and families that are not as they were at the last call; those who listen are told of them."""
        changed = [row for row in self.model.ladder.rows[-ROWS:] if self._sent.get(row.index) != row]
        self._sent.update({row.index: row for row in changed})
        before = {family["number"]: family for family in self._families}
        self._families = self.model.families
        families = [family for family in self._families if before.get(family["number"]) != family]
        return [self.model.row(row) for row in changed], families

    def _publish(self, name: str, told: dict[str, Any]) -> None:
        message = event(name, msgspec.json.encode({**told, "now": time.monotonic()}))
        for listener in self.listeners:
            listener.take(message)


def _named(families: list[dict[str, Any]]) -> list[Any]:
    return [(one["generations"][0]["spi_i"], [child["inbound"] for child in one["children"]]) for one in families]


def event(name: str, data: bytes) -> bytes:
    """One server-sent event; JSON holds no line feed."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


def traffic(status: dict[str, Any]) -> dict[str, list[int]]:
    """Inbound SPI -> packets and octets in, packets and octets out, packets dropped."""
    found = {}
    for child in status.get("children", ()):
        received, sent = child["received"], child["sent"]
        counts = [received["packets"], received["octets"], sent["packets"], sent["octets"]]
        found[f"{child['inbound']:08x}"] = [*counts, received["dropped"] + sent["dropped"]]
    return found
