"""A capture read by two processes, each with the conversations of half its packets, put together in one order.

Conversations know nothing of each other, so what the two tell is what one would. Both see every packet and count alike:
one that begins goes to who has less. Neither is more than a few parts ahead of who takes what they tell.
"""

from __future__ import annotations

import gc
import heapq
import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator
from itertools import islice
from multiprocessing.connection import Connection

from ikescope.errors import LocalError

PROCESSES = 2
LARGE = 1 << 20
"""Octets of a capture from which on it is worth two processes."""
_PART = 200
_OBJECTS = 50_000

Told = tuple[int, bytes]
"""The number of a packet and what is told of it."""
_Part = tuple[list[str], str, list[Told]]
"""Notes, what ended it (empty: nothing), what is told: nothing at the end."""


class Share:
    """Which conversations are whose; every process counts every packet, in `counts` of whose it is. `own` is ours."""

    def __init__(self, own: int, processes: int = PROCESSES) -> None:
        self.own = own
        self.counts = [0] * processes

    def begins(self) -> int:
        """Whose a conversation is that begins now: of who has less."""
        return self.counts.index(min(self.counts))


Work = Callable[[Share, Callable[[str], None]], Iterator[Told]]
"""Tells of the conversations that are its own, in the order of their packets; and who hears of damage."""


def together(work: Work, note: Callable[[str], None]) -> Iterator[bytes]:
    """What both halves tell, in the order of the packets. LocalError where one of them ends so, once all before it is
    told.
    """
    context = multiprocessing.get_context("fork")
    pipes: list[Connection] = []
    readers = []
    noted: set[str] = set()

    def once(what: str) -> None:
        # Of damage to the file itself both hear.
        if what not in noted:
            noted.add(what)
            note(what)

    for number in range(PROCESSES):
        here, there = context.Pipe(duplex=False)
        reader = context.Process(target=_read, args=([*pipes, here], there, work, number), daemon=True)
        reader.start()
        there.close()
        pipes.append(here)
        readers.append(reader)
    errors: list[str] = []
    try:
        for _, told in heapq.merge(*(_received(pipe, once, errors) for pipe in pipes), key=_packet):
            yield told
        if errors:
            raise LocalError(errors[0])
    finally:
        for pipe in pipes:
            pipe.close()
        for reader in readers:
            reader.join()


def _packet(told: Told) -> int:
    return told[0]


def _received(pipe: Connection, note: Callable[[str], None], errors: list[str]) -> Iterator[Told]:
    while True:
        try:
            part: _Part = pickle.loads(pipe.recv_bytes())
        except EOFError:
            raise LocalError("a process that read was ended") from None
        notes, error, found = part
        for what in notes:
            note(what)
        yield from found
        if error:
            errors.append(error)
        if error or not found:
            return


def _read(others: list[Connection], there: Connection, work: Work, number: int) -> None:
    """A reader's whole life; an interrupt is for who takes what it tells, and ends that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for one in others:
        one.close()
    gc.freeze()
    gc.set_threshold(_OBJECTS)
    notes: list[str] = []
    told = work(Share(number), notes.append)
    more, error = True, ""
    while more:
        found: list[Told] = []
        try:
            for line in islice(told, _PART):
                found.append(line)
        except LocalError as problem:
            error = str(problem)
        more = bool(found) and not error
        try:
            there.send_bytes(pickle.dumps((notes, error, found), pickle.HIGHEST_PROTOCOL))
        except BrokenPipeError:
            return
        notes.clear()
