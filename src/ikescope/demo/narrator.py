"""From records to the screen: R1's debug, the notes between its lines, the heading of each part at its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ikescope.demo.screen import Screen
from ikescope.events import Record
from ikescope.events.life import ChildSaCreated
from ikescope.events.message import MessageReceived
from ikescope.events.negotiation import ExchangeCompleted, KeyringSearched
from ikescope.explain.scene import Step
from ikescope.explain.walk import Walk
from ikescope.ios.debug import Renderer
from ikescope.wire.registry import ExchangeType

SIDE = "R1"
FAILURE = 8


def opens(record: Record) -> int:
    """The part of the tour that begins with a record of R1, 0 for none."""
    event = record.event
    if isinstance(event, KeyringSearched):
        return 2
    if isinstance(event, MessageReceived) and event.exchange == ExchangeType.IKE_SA_INIT and event.response:
        return 3
    if isinstance(event, ChildSaCreated) and event.exchange == ExchangeType.IKE_AUTH:
        return 5
    return 0


def closes(record: Record) -> int:
    """The part that begins after a record of R1, 0 for none."""
    event = record.event
    return 4 if isinstance(event, ExchangeCompleted) and event.exchange == ExchangeType.IKE_SA_INIT else 0


class Narrator:
    """Tells records as they come. Parts 2 to 5 begin by themselves, each after the one before; the others are begun."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.walk = Walk(SIDE, payloads=False)
        self._renderer = Renderer()
        self._noted = False
        self._said: set[tuple[str, str]] = set()

    def tell(self, records: Iterable[Record]) -> None:
        """Print what R1's debug says of these records, and the notes."""
        for record in records:
            before = len(self.walk.timeline.messages)
            steps = self.walk.add(record)
            if record.stamp.router != SIDE:
                continue
            self._turn(opens(record))
            lines = self._renderer.lines(record)
            self.debug(lines)
            self.screen.messages([one for one in self.walk.timeline.messages[before:] if one.router == SIDE])
            for step in steps:
                self.note(step)
            self._turn(closes(record))

    def _turn(self, part: int) -> None:
        if part and part == self.screen.part + 1:
            self.screen.heading(part)

    def debug(self, lines: Sequence[str]) -> None:
        """Debug lines as they are; a blank line parts them from a note above."""
        if not lines:
            return
        if self._noted and lines[0].strip():
            self.screen.gap()
        self.screen.debug(lines)
        self._noted = False

    def note(self, step: Step) -> None:
        """A note; a sentence that stood under the same title before is not said again."""
        lines = tuple(line for line in step.lines if (step.title, line) not in self._said)
        self._said.update((step.title, line) for line in lines)
        if lines:
            self.screen.gap()
            self.screen.note(Step(step.part, step.title, step.after, lines))
            self._noted = True

    def note_own(self, title: str, *lines: str) -> None:
        """A note of the tour's own, on what was typed or pinged."""
        self.note(Step(self.screen.part, title, 0, lines))


class Told:
    """A session that failed, told afterwards: the debug and the notes of each router, one after the other.

    Of what was before `since` (wall time) nothing is printed.
    """

    def __init__(self, records: Sequence[Record], since: float = 0.0) -> None:
        self.walk = Walk(SIDE, payloads=False)
        self.by_router: dict[str, list[tuple[list[str], list[Step], Record]]] = {}
        self.before: dict[str, int] = {}
        renderer = Renderer()
        for record in sorted(records, key=lambda one: one.stamp.wall):
            steps, lines, router = self.walk.add(record), renderer.lines(record), record.stamp.router
            if record.stamp.wall < since:
                self.before[router] = self.before.get(router, 0) + len(lines)
            else:
                self.by_router.setdefault(router, []).append((lines, steps, record))

    def tell(self, narrator: Narrator, router: str, *, whole: bool) -> None:
        """Print one router's side; without `whole` only from the end of IKE_SA_INIT on. Notes: those about the failure.

        Where the failure is in IKE_SA_INIT itself, all is printed in any case.
        """
        told = self.by_router.get(router, [])
        start = 0
        if self.before.get(router):
            note = f"! The first {self.before[router]} lines are those of a tunnel that comes up. After that:"
            narrator.screen.say(note, "note")
            narrator.screen.gap()
        if not whole:
            start = next((index + 1 for index, (_, _, record) in enumerate(told) if closes(record)), 0)
            left_out = sum(len(lines) for lines, _, _ in told[:start])
            if left_out:
                note = f"The first {left_out} lines are those of IKE_SA_INIT, as in a tunnel that works. After that:"
                narrator.screen.say(f"! {note}", "note")
                narrator.screen.gap()
        for lines, steps, record in told[start:]:
            narrator.debug(lines)
            for step in steps:
                if step.part == FAILURE and record.stamp.router == router:
                    narrator.note(step)
