"""Deadlines in one heap; the owner keeps a single timer for the earliest of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable

ROOM = 256
"""So many deadlines are kept, or twice those that stand, before the cancelled ones are looked for."""


class Timer:
    """One armed deadline; cancelling it is free."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call back."""
        self.callback = None


class Timers:
    """All deadlines of one endpoint, in monotonic seconds."""

    __slots__ = ("_count", "_heap", "_room")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count, self._room = 0, ROOM

    def arm(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back at `when`, after everything armed earlier for the same moment."""
        timer = Timer(when, callback)
        self._count += 1
        if len(self._heap) >= self._room:
            self._forget_cancelled()
        heapq.heappush(self._heap, (when, self._count, timer))
        return timer

    def _forget_cancelled(self) -> None:
        """A deadline that is armed anew by every datagram must not pile up what it cancelled."""
        self._heap = [entry for entry in self._heap if entry[2].callback is not None]
        heapq.heapify(self._heap)
        self._room = max(ROOM, 2 * len(self._heap))

    def deadline(self) -> float | None:
        """The earliest deadline, None if nothing is armed."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: float) -> Callable[[], None] | None:
        """The next callback that is due, None if none is."""
        deadline = self.deadline()
        if deadline is None or deadline > now:
            return None
        timer = heapq.heappop(self._heap)[2]
        callback, timer.callback = timer.callback, None
        return callback

    def armed(self) -> int:
        """How many deadlines stand."""
        return sum(1 for entry in self._heap if entry[2].callback is not None)
