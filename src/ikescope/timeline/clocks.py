"""How far the clocks of two viewpoints are apart, out of the messages that both saw."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ikescope.events import UNSET
from ikescope.timeline.model import Message, Offset
from ikescope.wire.registry import ExchangeType

WINDOW = 64
"""How many messages each way count: the latest, so that clocks which drift apart are followed."""
WAITING = 4096
"""How many messages wait for their other end at most."""

_Key = tuple[object, ...]


def place_of(message: Message) -> int:
    """Where on its way a message was seen: 0 at its sender, 1 at a capture point, 2 at its receiver."""
    if message.point is not UNSET:
        return 1
    return 0 if message.sent else 2


@dataclass(slots=True)
class _Pair:
    """Bounds of `clock of the second - clock of the first`, from messages of the first and of the second."""

    below: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    above: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))


class Clocks:
    """Takes each message as it is told; the wall times of its first sending and of its first arrival bound the offset.

    A message sent at t1 by one clock and taken at t2 by the other bounds the other's lead by t2 - t1 from above, for no
    message arrives before it is sent; one the other way bounds it from below. Between the tightest two it lies. A
    capture point lies on the way: it sees a message after its sender and before its receiver.
    """

    def __init__(self) -> None:
        self._waiting: dict[_Key, list[tuple[str, int, float]]] = {}
        self._pairs: dict[tuple[str, str], _Pair] = {}

    def add(self, message: Message, by_initiator: bool) -> None:
        """Take a message of an exchange that the initiator of its IKE SA began, or not.

        Repetitions, and what has no wall time, SPI or message ID, tell nothing.
        """
        if message.repeat or not message.wall or not isinstance(message.spi_i, str):
            return
        asked = message.payloads if message.exchange == ExchangeType.IKE_SA_INIT else ()
        key = (message.spi_i, message.exchange, message.message_id, message.response, by_initiator, asked)
        place = place_of(message)
        told = self._waiting.setdefault(key, [])
        if any(router == message.router for router, _, _ in told):
            return
        for router, at, wall in told:
            if at != place:
                ends = (message.router, router) if place < at else (router, message.router)
                self._bound(*ends, *((message.wall, wall) if place < at else (wall, message.wall)))
        told.append((message.router, place, message.wall))
        if len(self._waiting) > WAITING:
            del self._waiting[next(iter(self._waiting))]

    def _bound(self, sender: str, taker: str, sent: float, taken: float) -> None:
        if sender < taker:
            self._pairs.setdefault((sender, taker), _Pair()).above.append(taken - sent)
        else:
            self._pairs.setdefault((taker, sender), _Pair()).below.append(sent - taken)

    def between(self, router: str, other: str) -> Offset | None:
        """How far `other` is ahead of `router`; None until messages went both ways."""
        first, second = sorted((router, other))
        pair = self._pairs.get((first, second))
        if pair is None or not pair.below or not pair.above:
            return None
        low, high = max(pair.below), min(pair.above)
        middle = (low + high) / 2
        return Offset(
            router=router,
            other=other,
            seconds=middle if router == first else -middle,
            uncertainty=abs(high - low) / 2,
            messages=len(pair.below) + len(pair.above),
            consistent=low <= high,
        )

    def __iter__(self) -> Iterator[Offset]:
        for first, second in self._pairs:
            found = self.between(first, second)
            if found is not None:
                yield found
