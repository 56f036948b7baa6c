"""Exec commands about the session itself: privilege levels, the terminal, what was typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ikescope.events import Event
from ikescope.events.router import PrivilegeAsked
from ikescope.ios.exec_question import Question

Arguments = dict[str, Any]
T = TypeVar("T")

TRIES = 3
"""Passwords that `enable` takes before it gives up, as IOS."""
ENABLED = 15


class Guard(Protocol):
    """Who knows the enable secret."""

    def enable_guarded(self) -> bool:
        """Whether there is an enable secret."""

    def note(self, event: Event) -> None:
        """Put an event into the router's stream."""

    def verify_enable(self, password: str, answer: Callable[[bool], None]) -> None:
        """Tell `answer`, now or later, whether this is the enable secret."""


class Typist(Protocol):
    """An operator and their terminal."""

    @property
    def level(self) -> int:
        """Their privilege level."""

    @property
    def who(self) -> str:
        """What they are called."""

    @property
    def remote(self) -> bool:
        """Whether they came over the network."""

    @property
    def monitor(self) -> bool:
        """Whether they are told what happens."""

    @property
    def width(self) -> int:
        """Columns of the terminal."""

    @property
    def length(self) -> int:
        """Lines of the terminal."""

    @property
    def history(self) -> Sequence[str]:
        """The lines typed, oldest first, secrets replaced."""


class Moded(Typist, Protocol):
    """What these commands need of a session."""

    level: int
    monitor: bool
    silent: bool
    who: str

    @property
    def router(self) -> Guard:
        """The router."""

    def ask(self, question: Question) -> list[str]:
        """Let the next line answer a question."""

    def resize(self, width: int | None, length: int | None) -> list[str]:
        """The terminal has another width or length from now on."""

    def wait_for(
        self, start: Callable[[Callable[[T], None]], Callable[[], None] | None], then: Callable[[T], list[str]]
    ) -> list[str]:
        """Begin what takes its time; `then` makes of its result what is printed."""


def _enable(session: Moded, arguments: Arguments) -> list[str]:
    level: int = arguments.get("level", ENABLED)
    if level > session.level and session.router.enable_guarded():
        return _ask(session, level, TRIES)
    if level > session.level and session.remote:
        return ["% No password set", ""]
    session.level = level
    return []


def _ask(session: Moded, level: int, tries: int) -> list[str]:
    def judged(right: bool) -> list[str]:
        if not right and tries > 1:
            return _ask(session, level, tries - 1)
        session.router.note(PrivilegeAsked(who=session.who, privilege=level, granted=right))
        session.level = level if right else session.level
        return [] if right else ["% Bad secrets", ""]

    def answer(password: str) -> list[str]:
        return session.wait_for(lambda say: session.router.verify_enable(password, say), judged)

    return session.ask(Question("Password: ", answer, secret=True))


def _disable(session: Moded, arguments: Arguments) -> list[str]:
    session.level = min(session.level, arguments.get("level", 1))
    return []


def _terminal(session: Moded, arguments: Arguments) -> list[str]:
    if "monitor" in arguments:
        if session.monitor and not session.remote:
            return ["% Console already monitors"]
        session.monitor, session.silent = True, False
    if "no_monitor" in arguments:
        session.monitor, session.silent = False, True
    return session.resize(arguments.get("width"), arguments.get("length"))


def show_privilege(session: Typist, _: Arguments) -> list[str]:
    """`show privilege`."""
    return [f"Current privilege level is {session.level}"]


def show_history(session: Typist, _: Arguments) -> list[str]:
    """`show history`."""
    return [f"  {line}" for line in session.history]


def show_terminal(session: Typist, _: Arguments) -> list[str]:
    """`show terminal`."""
    kind = "vty" if session.remote else "con"
    return [
        f'Line 0, Location: "", Type: "{kind}"',
        f"Length: {session.length} lines, Width: {session.width} columns",
        f"Monitoring of messages: {'on' if session.monitor else 'off'}",
        "Editing is enabled.",
        "History is enabled, history size is 20.",
    ]


#: By the name of the command in `commands.EXEC_ROWS`.
MODES: dict[str, Callable[[Moded, Arguments], list[str]]] = {
    "enable": _enable,
    "disable": _disable,
    "terminal": _terminal,
}
