"""The processes of the data plane: started, given what they need, heard, ended where they hang, started again.

Nothing here waits for a worker. What they say and how one ended goes to who made the crew.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

import ikescope
from ikescope.errors import LocalError
from ikescope.planes import frames, privileges
from ikescope.planes.channel import Channel
from ikescope.planes.frames import Frame

HUNG_SECONDS = 10.0
"""A worker that answers nothing for so long is ended."""
MOST_WAITING = 16 << 20
"""Octets of commands that a worker may leave unread."""
PATIENCE = 3.0
_SETTLED = 60.0
_LONGEST_WAIT = 30.0
_MESSAGES = 256


class Hearer(Protocol):
    """Who made the crew."""

    def heard(self, number: int, frame: Frame) -> None:
        """A worker says this; ValueError or MsgspecError where no worker says such."""

    def ended(self, number: int, how: str) -> None:
        """A worker is gone, and what it had; it may be running again already."""

    def failed(self, what: str, why: str) -> None:
        """The host refuses something, or a worker says what none says."""


@dataclass(slots=True)
class _Worker:
    number: int
    channel: Channel | None = None
    gifts: list[tuple[Frame, int]] = field(default_factory=list)
    started: float = 0.0
    deaths: int = 0
    again_at: float | None = None
    looked: int = 0
    asked: tuple[int, float] | None = None
    """The last look that was asked for, and when the oldest one unanswered was."""


class Crew:
    """So many workers; `setup` of each (by its number) comes first, then what it is given."""

    def __init__(
        self, count: int, setup: Callable[[int], Iterable[Frame]], hearer: Hearer, account: privileges.Account
    ) -> None:
        self._account, self._setup, self._hearer = account, setup, hearer
        self._workers = [_Worker(number) for number in range(count)]
        self._process: subprocess.Popen[bytes] | None = None
        self._nursery: Channel | None = None
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when a worker says something."""
        return self._epoll.fileno()

    def start(self) -> None:
        """Start all of them; LocalError where no process can be started."""
        try:
            self._start_nursery()
            for worker in self._workers:
                self._begin(worker, time.monotonic())
        except OSError as error:
            raise LocalError(f"the data plane's workers cannot be started: {error.strerror}") from error

    def ready(self, seconds: float) -> bool:
        """Wait until all of them answer; whether they do within that time."""
        self.look(seconds)
        return all(worker.channel is not None and worker.asked is None for worker in self._workers)

    def _start_nursery(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        package = str(Path(ikescope.__file__).resolve().parents[1])
        path = os.pathsep.join(part for part in (package, os.environ.get("PYTHONPATH", "")) if part)
        arguments = [str(number) for number in (theirs.fileno(), self._account.uid, self._account.gid)]
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ikescope.planes.worker", *arguments],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._nursery = Channel(ours, frames.Ended)
        self._epoll.register(ours, select.EPOLLIN)

    def _begin(self, worker: _Worker, now: float) -> None:
        """Have a worker forked and give it all that it had."""
        assert self._nursery is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker.channel, worker.started, worker.again_at, worker.asked = (
            Channel(ours, frames.FromWorker),
            now,
            None,
            None,
        )
        self._epoll.register(ours, select.EPOLLIN)
        with theirs:
            self._nursery.give(frames.Fork(worker.number), theirs.fileno())
        self.say(worker.number, *self._setup(worker.number))
        for frame, descriptor in worker.gifts:
            self._give(worker, frame, descriptor)

    def close(self) -> None:
        """End all of them; what they still had to say is lost."""
        for worker in self._workers:
            if worker.channel is not None:
                worker.channel.close()
            worker.channel = None
            worker.gifts.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None
        if self._process is not None:
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if not self._epoll.closed:
            self._epoll.close()
            os.close(self._wake)

    # --- what is said to a worker

    def runs(self, number: int) -> bool:
        """Whether a worker is there to be spoken to."""
        return self._workers[number].channel is not None

    def gift(self, number: int, frame: Frame, descriptor: int) -> None:
        """Give a worker a descriptor, now and whenever it is started again; it stays open here."""
        worker = self._workers[number]
        worker.gifts.append((frame, descriptor))
        self._give(worker, frame, descriptor)

    def take_back(self, frame: type[Frame], name: str) -> None:
        """Give nobody any more what was given with frames of this kind about this tunnel or address."""
        for worker in self._workers:
            worker.gifts = [
                (said, descriptor)
                for said, descriptor in worker.gifts
                if not (isinstance(said, frame) and name in (getattr(said, "tunnel", ""), getattr(said, "local", "")))
            ]

    def say_all(self, *said: Frame) -> None:
        """Say something to each of them."""
        for worker in self._workers:
            self.say(worker.number, *said)

    def say(self, number: int, *said: Frame) -> None:
        """Say something; kept while the worker has no room for it, lost where it is gone."""
        worker = self._workers[number]
        if worker.channel is not None:
            with contextlib.suppress(OSError):  # it is gone: how, the nursery says
                worker.channel.say_all(said)
                self._watch(worker)

    def _give(self, worker: _Worker, frame: Frame, descriptor: int) -> None:
        if worker.channel is not None:
            with contextlib.suppress(OSError):
                worker.channel.give(frame, descriptor)
                self._watch(worker)

    def try_say(self, number: int, frame: Frame) -> None:
        """Say something now, or not at all."""
        channel = self._workers[number].channel
        if channel is not None:
            with contextlib.suppress(OSError):
                channel.try_say(frame)

    def _watch(self, worker: _Worker) -> None:
        assert worker.channel is not None
        out = select.EPOLLOUT if worker.channel.waiting else 0
        self._epoll.modify(worker.channel.fileno(), select.EPOLLIN | out)
        if worker.channel.waiting > MOST_WAITING:
            self.end(worker.number)

    def look(self, seconds: float) -> None:
        """Ask all of them for their counters and hear them, for at most that long."""
        now = time.monotonic()
        until = now + seconds
        wanted = [
            (worker, self._ask(worker, now, counters=True)) for worker in self._workers if worker.channel is not None
        ]
        while any(worker.asked is not None and worker.asked[0] <= number for worker, number in wanted):
            left = until - time.monotonic()
            if left <= 0 or not self.listen(left):
                return

    def _ask(self, worker: _Worker, now: float, *, counters: bool) -> int:
        worker.looked += 1
        worker.asked = worker.looked, worker.asked[1] if worker.asked is not None else now
        self.say(worker.number, frames.Look(worker.looked, counters))
        return worker.looked

    # --- what a worker says

    def wake(self) -> None:
        """Have our descriptor readable until the next `rest`."""
        os.eventfd_write(self._wake, 1)

    def rest(self) -> None:
        """Take `wake` back."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)

    def listen(self, seconds: float) -> bool:
        """Hear what is said within that time; whether anything was."""
        events = self._epoll.poll(seconds, len(self._workers) + 2)
        by_fd = {worker.channel.fileno(): worker for worker in self._workers if worker.channel is not None}
        for fd, mask in events:
            worker = by_fd.get(fd)
            if worker is not None:
                self._hear(worker, mask)
            elif self._nursery is not None and fd == self._nursery.fileno():
                self._hear_nursery()
        return bool(events)

    def _hear(self, worker: _Worker, mask: int) -> None:
        channel = worker.channel
        if channel is None:
            return
        try:
            if mask & select.EPOLLOUT:
                channel.flush()
                self._watch(worker)
            for frame in self._frames(channel):
                if isinstance(frame, frames.Looked):
                    if worker.asked is not None and frame.number >= worker.asked[0]:
                        worker.asked = None
                else:
                    self._hearer.heard(worker.number, frame)
        except (EOFError, OSError):
            self._hang_up(worker)
        except (ValueError, msgspec.MsgspecError) as error:
            self._hearer.failed(f"worker {worker.number} of the data plane", f"it said what no worker says: {error}")
            self.end(worker.number)

    @staticmethod
    def _frames(channel: Channel) -> Iterator[Frame]:
        """What waits there; EOFError where nobody will speak any more."""
        for _ in range(_MESSAGES):
            said = channel.receive()
            if said is None:
                raise EOFError
            if not said:
                return
            yield from (frame for frame, _ in said)

    def _hang_up(self, worker: _Worker) -> None:
        if worker.channel is not None:
            self._epoll.unregister(worker.channel.fileno())
            worker.channel.close()
            worker.channel = None

    # --- what becomes of one that ends

    def tick(self, now: float) -> None:
        """Look whether each still answers, and start again what is due; about once a second."""
        self.listen(0.0)
        for worker in self._workers:
            if worker.channel is None:
                if worker.again_at is not None and now >= worker.again_at:
                    self._revive(worker, now)
            elif worker.asked is not None and now - worker.asked[1] > HUNG_SECONDS:
                self.end(worker.number)
            else:
                self._ask(worker, now, counters=False)

    def end(self, number: int) -> None:
        """Have a worker killed that hangs; what follows is as when it dies by itself."""
        self._workers[number].asked = None
        if self._nursery is not None:
            with contextlib.suppress(OSError):
                self._nursery.say(frames.Kill(number))

    def _hear_nursery(self) -> None:
        assert self._nursery is not None
        try:
            for frame in self._frames(self._nursery):
                if isinstance(frame, frames.Ended) and frame.worker < len(self._workers):
                    self._ended(self._workers[frame.worker], _words(frame.status))
        except (EOFError, OSError, msgspec.MsgspecError):
            self._epoll.unregister(self._nursery.fileno())
            self._nursery.close()
            self._nursery = None
            if self._process is not None:
                self._process.wait()
            for worker in self._workers:
                self._ended(worker, "the process that makes workers ended")

    def _ended(self, worker: _Worker, how: str) -> None:
        self._hang_up(worker)
        now = time.monotonic()
        worker.deaths = worker.deaths + 1 if now - worker.started < _SETTLED else 1
        wait = 0.0 if worker.deaths == 1 else min(2.0 ** (worker.deaths - 2), _LONGEST_WAIT)
        worker.again_at = now + wait
        self._hearer.ended(worker.number, how + (f", started again in {wait:.0f} s" if wait else ", started again"))
        if not wait:
            self._revive(worker, now)

    def _revive(self, worker: _Worker, now: float) -> None:
        try:
            if self._nursery is None:
                self._start_nursery()
            self._begin(worker, now)
        except OSError as error:
            worker.again_at = now + _LONGEST_WAIT
            self._hearer.failed(f"start worker {worker.number} of the data plane", error.strerror or str(error))


def _words(status: int) -> str:
    """An exit status, or the negative number of a signal."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
