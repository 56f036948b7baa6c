"""A source read by a process of its own, ahead of who folds and shows its records: two processors for one large file.

The records come through a pipe in their order, some thousands at a time, so they are those that one process reads and
neither side holds more than a few parts. A reader whose other end is gone ends by itself.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import select
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from ikescope.errors import LocalError

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading
    from ikescope.capture.octets import Readable
    from ikescope.events import Record

_PART = 2000
"""Records that go through the pipe at once."""
_OBJECTS = 50_000
"""Objects after which the reader's collector looks for cycles: it makes many that live on, and hardly a cycle."""

_Part = tuple[int, list[str], str, "list[Record]"]
"""Octets read since the part before, notes, what ended it (empty: nothing), records."""


class Counted:
    """A stream that tells how much was read of it."""

    def __init__(self, stream: Readable, tell: Callable[[int], None]) -> None:
        self.stream, self.tell = stream, tell

    def read(self, size: int, /) -> bytes:
        """At most so many octets; none at the end."""
        found = self.stream.read(size)
        self.tell(len(found))
        return found


def can_fork() -> bool:
    """Whether a second process would help here, and can be had with all that this one holds."""
    return (os.cpu_count() or 1) > 1 and "fork" in multiprocessing.get_all_start_methods()


def records(stream: Readable, name: str, reading: Reading) -> Iterator[Record]:
    """As `ikescope.capture.source.records`, read by a process of its own where there is a processor for it."""
    if not can_fork():
        from ikescope.capture import source

        yield from source.records(stream, name, reading)
        return
    raw, tell = (stream.stream, stream.tell) if isinstance(stream, Counted) else (stream, None)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    reader = context.Process(target=_read, args=(here, there, raw, name, reading), daemon=True)
    reader.start()
    there.close()
    try:
        yield from _received(here, name, reading, tell)
    finally:
        # Without its other end the reader ends, whatever it waits for.
        here.close()
        reader.join()


def _received(here: Connection, name: str, reading: Reading, tell: Callable[[int], None] | None) -> Iterator[Record]:
    while True:
        try:
            part: _Part = pickle.loads(here.recv_bytes())
        except EOFError:
            raise LocalError(f"{name}: the process that read it was ended") from None
        octets, notes, error, found = part
        if tell is not None:
            tell(octets)
        for note in notes:
            reading.note(note)
        yield from found
        if error:
            raise LocalError(error)
        if not found:
            return


def _end_with(pipe: int) -> None:
    """End this process once nobody reads the pipe any more, also while it waits for more of its source."""
    waiting = select.poll()
    waiting.register(pipe, select.POLLERR)
    waiting.poll()
    os._exit(0)


def _read(here: Connection, there: Connection, stream: Readable, name: str, reading: Reading) -> None:
    """The reader's whole life; an interrupt is for who reads the pipe, and ends that."""
    from msgspec.structs import replace

    from ikescope.capture import source

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    here.close()
    threading.Thread(target=_end_with, args=(there.fileno(),), daemon=True).start()
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    notes: list[str] = []
    counts: list[int] = []
    told = source.records(Counted(stream, counts.append), name, replace(reading, note=notes.append))
    more, error = True, ""
    while more:
        found: list[Record] = []
        try:
            for record in islice(told, _PART):
                found.append(record)
        except LocalError as problem:
            error = str(problem)
        more = bool(found) and not error
        try:
            there.send_bytes(pickle.dumps((sum(counts), notes, error, found), pickle.HIGHEST_PROTOCOL))
        except BrokenPipeError:
            return
        notes.clear()
        counts.clear()
