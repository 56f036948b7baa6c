"""Where the tour plays: two routers and a LAN host behind each, on real packets or in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from ikescope.capture.frames import unframe
from ikescope.errors import LocalError
from ikescope.events import Record

ROUTERS = ("R1", "R2")


class Unavailable(LocalError):
    """The host does not lend what a stage needs; the message says what is missing."""


class Frame(msgspec.Struct, frozen=True):
    """One packet between the routers: nanoseconds since 1970, link type as in pcapng, octets."""

    nanoseconds: int
    link: int
    octets: bytes

    @property
    def ike(self) -> bool:
        """Whether it carries an IKE message."""
        found = unframe(self.link, self.octets)
        return found is not None and found.ike


class Echoed(msgspec.Struct, frozen=True):
    """One echo request of a LAN host: its sequence number and after how many milliseconds the reply came, if at all."""

    sequence: int
    milliseconds: float | None


class Said(msgspec.Struct, frozen=True):
    """One line typed at a router's console: the prompt that it stood behind, and what came of it."""

    prompt: str
    line: str
    output: tuple[str, ...]
    refused: bool


class Stage(Protocol):
    """The two routers, to whom the same things are done on each stage. LocalError where the host fails it."""

    records: list[Record]
    """All that both routers told so far, each router's in order."""
    first_lines: tuple[str, ...]
    """Where this plays and, unless it is the best place, why."""

    def start(self, configurations: Mapping[str, str]) -> None:
        """Start R1 and R2, by the IOS text of each; what ran before has ended."""

    def end_routers(self) -> None:
        """End both routers as an operator does."""

    def ping(self, source: str, destination: str, count: int, patience: float) -> list[Echoed]:
        """Echo requests from the host behind R1, one after the other; each reply is waited for `patience` seconds."""

    def ping_on(self, source: str, destination: str) -> None:
        """Begin to ping in the background, five times a second."""

    def ping_off(self) -> list[Echoed]:
        """End that, after waiting for the last reply."""

    def type(self, router: str, line: str) -> Said:
        """Type a line at a router's console."""

    def until(self, done: Callable[[], bool], limit: float) -> bool:
        """Let time pass until something holds; whether it did within `limit` seconds."""

    def rest(self, seconds: float) -> None:
        """Let time pass."""

    def frames(self) -> Sequence[Frame]:
        """The packets between the routers so far."""

    def close(self) -> None:
        """End whatever this stage started."""
