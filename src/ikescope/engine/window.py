"""Message IDs: requests of ours in flight, the peer's requests and the responses kept (RFC 7296 2.2, 2.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ikescope.engine.task import Task
    from ikescope.engine.timers import Timer


@dataclass(slots=True)
class Pending:
    """A request of ours that waits for its response."""

    message_id: int
    task: Task
    exchange: int
    octets: bytes
    names: tuple[str, ...]
    inner: tuple[str, ...] | None
    opened: bytes | None
    opened_first: int
    first_sent: float
    sends: int = 1
    limit: int = 7
    timer: Timer | None = None
    fragments: tuple[bytes, ...] = ()

    @property
    def datagrams(self) -> tuple[bytes, ...]:
        """What goes out: the message, or its fragments (`octets` is the first of them then)."""
        return self.fragments or (self.octets,)


@dataclass(slots=True)
class RequestWindow:
    """Our requests: the next message ID, the peer's window, what is in flight."""

    next_id: int = 0
    size: int = 1
    in_flight: dict[int, Pending] = field(default_factory=dict)

    def has_room(self) -> bool:
        """Whether the peer's window admits one more request: X waits for the responses up to X minus the window."""
        return self.next_id - min(self.in_flight, default=self.next_id) < self.size

    def take(self) -> int:
        """The message ID of a new request."""
        message_id, self.next_id = self.next_id, self.next_id + 1
        return message_id


@dataclass(slots=True)
class Answered:
    """A request of the peer's and our response to it; `response` is None while it is being made.

    A request that came in `parts` fragments is known by the first of them.
    """

    request: bytes
    response: bytes | None
    names: tuple[str, ...] = ()
    inner: tuple[str, ...] | None = None
    opened: bytes | None = None
    opened_first: int = 0
    exchange: int = 0
    repeats: int = 0
    parts: int = 1
    fragments: tuple[bytes, ...] = ()

    @property
    def datagrams(self) -> tuple[bytes, ...]:
        """The response as it goes out: the message, or its fragments (`response` is the first of them then)."""
        assert self.response is not None
        return self.fragments or (self.response,)


@dataclass(slots=True)
class ResponseWindow:
    """The peer's requests: the lowest message ID not seen yet, our window, and the responses kept."""

    size: int
    lowest: int = 0
    kept: dict[int, Answered] = field(default_factory=dict)

    def admits(self, message_id: int) -> bool:
        """Whether a new request may carry this message ID."""
        return self.lowest <= message_id < self.lowest + self.size and message_id not in self.kept

    def begin(self, message_id: int, request: bytes) -> Answered:
        """Note a request; the window moves past those answered without a gap, and forgets what nobody can ask again."""
        entry = self.kept[message_id] = Answered(request, None)
        while self.lowest in self.kept:
            self.lowest += 1
        for old in [key for key in self.kept if key < self.lowest - self.size]:
            del self.kept[old]
        return entry

    def forget(self, message_id: int) -> None:
        """A request that could not be answered is as if never seen; a repeat is processed anew."""
        self.kept.pop(message_id, None)
        self.lowest = min(self.lowest, message_id)
