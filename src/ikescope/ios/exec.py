"""The exec mode at work: an operator with a mode and a debug level of their own gives commands to a router."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.engine.commands import Intent
from ikescope.events import Event, Record
from ikescope.events.router import CommandEntered
from ikescope.ios import commands, exec_debug, show_json
from ikescope.ios.commands import AsJson, ExecCommand, ExecError
from ikescope.ios.configuration import Editor
from ikescope.ios.debug import Level, Renderer
from ikescope.ios.debug_condition import Condition
from ikescope.ios.exec_acts import ACTS
from ikescope.ios.exec_changes import consequences, without_secrets
from ikescope.ios.exec_debug import DEBUGS
from ikescope.ios.exec_shows import SHOWS, Show
from ikescope.node.status import NodeStatus

_ANNOUNCEMENT = "Enter configuration commands, one per line.  End with CNTL/Z."


class Router(Protocol):
    """What the exec mode needs of a running router."""

    @property
    def config(self) -> RouterConfig:
        """The configuration that it runs."""

    def status(self) -> NodeStatus:
        """The data behind the shows, as it is now."""

    def request(self, intent: Intent) -> None:
        """Ask the engine for something; it begins at once."""

    def configure(self, config: RouterConfig, lines: tuple[str, ...]) -> None:
        """Run another configuration from now on; `lines` are those typed, secrets replaced."""

    def records(self) -> Iterable[Record]:
        """What the flight recorder holds, oldest first."""

    def note(self, event: Event) -> None:
        """Put an event into the router's stream."""


class Reply(msgspec.Struct, frozen=True):
    """What a line gave: output, the prompt that follows, whether it was refused, whether the session ended with it.

    `secret`: the next line is a password.
    """

    output: tuple[str, ...]
    prompt: str
    refused: bool = False
    ended: bool = False
    secret: bool = False


class Question(msgspec.Struct, frozen=True):
    """What a command asks back before it acts: the next line, an empty one too, goes to `answer` and nowhere else.

    `secret`: the answer is a password, which is neither echoed nor noted.
    """

    prompt: str
    answer: Callable[[str], list[str]]
    secret: bool = False


class Session:
    """One operator at the prompt of one router; `who` names them in the stream of events."""

    def __init__(self, router: Router, *, who: str = "console", lab_timers: bool = False) -> None:
        self.router, self.who = router, who
        self.debug: set[Level] = set()
        self.condition = Condition()
        self.logged_after = 0
        self._lab_timers = lab_timers
        self._editor: Editor | None = None
        self._base: RouterConfig | None = None
        self._told: set[str] = set()
        self._question: Question | None = None
        self._ended = False

    @property
    def prompt(self) -> str:
        """`R1#`, the prompt of the configuration mode that the operator is in, or what a command asks back."""
        if self._question is not None:
            return self._question.prompt
        if self._editor is None:
            return f"{self.router.config.hostname}#"
        return f"{self._editor.config.hostname}{self._editor.prompt_suffix}"

    @property
    def renderer(self) -> Renderer | None:
        """What prints the debug lines that this operator wants to see as they happen; None with debugging off."""
        return exec_debug.renderer(self)

    def execute(self, line: str) -> Reply:
        """Carry out one line in the mode the session is in; nothing that is typed raises."""
        text = "".join(letter for letter in line if letter.isprintable() or letter == "\t").expandtabs()
        if self._question is not None:
            return self._answer(self._question, text)
        if not text.strip() or text.lstrip().startswith("!"):
            return self._reply(())
        if not text.rstrip().endswith("?"):
            self.router.note(CommandEntered(command=without_secrets(text.strip()), who=self.who))
        if self._editor is not None:
            return self._configure(self._editor, text)
        found = commands.parse(text, prompt=self.prompt)
        if isinstance(found, ExecError):
            return self._reply(found.lines, refused=not text.rstrip().endswith("?"))
        return self._carry_out(found)

    def _reply(self, output: Sequence[str], *, refused: bool = False) -> Reply:
        secret = self._question is not None and self._question.secret
        return Reply(tuple(output), self.prompt, refused, self._ended, secret)

    def ask(self, question: Question) -> list[str]:
        """Let the next line answer a question of the command that is carried out; what it prints now is nothing."""
        self._question = question
        return []

    def give_up(self) -> Reply:
        """The operator left a question unanswered (Ctrl-C): the command that asked did nothing."""
        self._question = None
        return self._reply(())

    def _answer(self, question: Question, text: str) -> Reply:
        self._question = None
        output = question.answer(text)
        return self._reply(output, refused=any(line.startswith("%") for line in output))

    def _carry_out(self, command: ExecCommand) -> Reply:
        show = SHOWS.get(command.name)
        if show is not None:
            return self._reply(self._show(command, show))
        act = ACTS.get(command.name)
        if act is not None:
            output = act(self.router, command.arguments)
            return self._reply(output, refused=any(line.startswith("%") for line in output))
        mode = _MODES.get(command.name)
        if mode is not None:
            output = mode(self, command.arguments)
            return self._reply(output, refused=any(line.startswith("%") for line in output))
        return self._reply([f"% {command.name} is not offered by ikescope", ""], refused=True)

    def _show(self, command: ExecCommand, show: Show) -> list[str]:
        """The lines of a show: those that `|` lets through, or its data."""
        if isinstance(command.output, AsJson):
            return [show_json.document(command.name, self, command.arguments)]
        lines = show(self, command.arguments)
        return lines if command.output is None else command.output.lines(lines)

    def _configure(self, editor: Editor, text: str) -> Reply:
        if self.router.config is not self._base:
            self._editor = None
            told = (
                "% Another session changed the configuration: this line was not taken. Type `configure terminal` again."
            )
            return self._reply([told, ""], refused=True)
        before = editor.config
        reply = editor.feed(text)
        output = list(reply.text_lines)
        refused = bool(output) and not text.rstrip().endswith("?") and any("%" in line for line in output)
        if _acts(before) != _acts(editor.config):
            output += self._take_over(before, editor.config, text)
        if not reply.configuring:
            self._editor = None
        if reply.execute is not None:
            done = self._carry_out(reply.execute)
            return self._reply([*output, *done.output], refused=done.refused)
        return self._reply(output, refused=refused)

    def _take_over(self, before: RouterConfig, after: RouterConfig, text: str) -> list[str]:
        told = [line for line in consequences(before, after, self.router.status()) if line not in self._told]
        self._told.update(told)
        self.router.configure(after, (without_secrets(text.strip()),))
        self._base = self.router.config
        return told

    def begin_configuring(self) -> list[str]:
        """Go into the configuration mode."""
        self._editor = Editor(self.router.config, self._lab_timers)
        self._base = self.router.config
        self._told.clear()
        return [_ANNOUNCEMENT]

    def end(self) -> list[str]:
        """Leave the console."""
        self._ended = True
        return []


def _acts(config: RouterConfig) -> RouterConfig:
    """A configuration without what says nothing of how the router acts."""
    return msgspec.structs.replace(config, findings=(), ignored=(), source="")


def _clear_logging(session: Session, _: dict[str, Any]) -> list[str]:
    for record in session.router.records():
        session.logged_after = max(session.logged_after, record.stamp.seq)
    return []


#: The commands about the session itself.
_MODES: dict[str, Callable[[Session, dict[str, Any]], list[str]]] = {
    "configure terminal": lambda session, _: session.begin_configuring(),
    "exit": lambda session, _: session.end(),
    "end": lambda session, _: [],
    "enable": lambda session, _: [],
    "terminal": lambda session, _: [],
    "clear logging": _clear_logging,
    **DEBUGS,
}
