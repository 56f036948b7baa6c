"""A capture read by two processes, each with the conversations of half its packets, put together in one order.

Conversations know nothing of each other, so what the two tell is what one would. Both see every packet and count alike:
one that begins goes to who has less. The process that asks is one of the two.
"""

from __future__ import annotations

import gc
import heapq
import multiprocessing
import os
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
    noted: set[str] = set()

    def once(what: str) -> None:
        # Of damage to the file itself both hear.
        if what not in noted:
            noted.add(what)
            note(what)

    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    reader = context.Process(target=_read, args=(here, there, work), daemon=True)
    reader.start()
    there.close()
    errors: list[str] = []
    try:
        for _, told in heapq.merge(_own(work, once, errors), _received(here, once, errors), key=_packet):
            yield told
        if errors:
            raise LocalError(errors[0])
    finally:
        here.close()
        reader.join()


def alone(work: Work, note: Callable[[str], None]) -> Iterator[bytes]:
    """As `together`, by this process."""
    errors: list[str] = []
    for _, told in _own(work, note, errors, processes=1):
        yield told
    if errors:
        raise LocalError(errors[0])


def _own(work: Work, note: Callable[[str], None], errors: list[str], processes: int = PROCESSES) -> Iterator[Told]:
    """The half of this process."""
    collected = gc.isenabled()
    # What is made lives on until all is told: the collector would look at it in vain.
    gc.disable()
    try:
        yield from work(Share(0, processes), note)
    except LocalError as problem:
        errors.append(str(problem))
    finally:
        if collected:
            gc.enable()


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


def _read(here: Connection, there: Connection, work: Work) -> None:
    """The other's whole life; an interrupt is for who takes what it tells, and ends that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    here.close()
    gc.disable()
    notes: list[str] = []
    told = work(Share(1), notes.append)
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
            more = False
        notes.clear()
    # All is told: to take a hundred thousand objects apart one by one would only keep the other waiting.
    os._exit(0)
