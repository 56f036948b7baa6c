"""The exec mode at work: an operator with a mode and a debug level of their own gives commands to a router."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from ikescope.config.model import RouterConfig
from ikescope.engine.commands import Intent
from ikescope.errors import LocalError
from ikescope.events import Event, Record
from ikescope.events.router import CommandEntered, ConfigurationLeft
from ikescope.ios import commands, exec_debug, show_json
from ikescope.ios.archive import Archive
from ikescope.ios.commands import PRIVILEGED, AsJson, ExecCommand, ExecError, OutputFilter
from ikescope.ios.configuration import Editor
from ikescope.ios.configuration_typed import WITHOUT_EFFECT
from ikescope.ios.debug import Level, Renderer
from ikescope.ios.debug_condition import Condition
from ikescope.ios.exec_acts import ACTS
from ikescope.ios.exec_changes import consequences, without_secrets
from ikescope.ios.exec_debug import DEBUGS
from ikescope.ios.exec_modes import MODES
from ikescope.ios.exec_ping import Echo, PingOrder, ping
from ikescope.ios.exec_question import Question
from ikescope.ios.exec_shows import SHOWS, Show
from ikescope.ios.exec_store import STORES
from ikescope.ios.sealing import Sealer
from ikescope.node.status import NodeStatus

HISTORY = 20
"""Lines that `show history` prints, as many as IOS keeps."""
T = TypeVar("T")
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
        """Run another configuration from now on; `lines` are those typed, secrets replaced.

        LocalError where it cannot act: then nothing changed.
        """

    @property
    def archive(self) -> Archive:
        """What it keeps over a restart."""

    def reload(self, text: str, name: str) -> list[str]:
        """Go on with another configuration; what is left to do. ConfigurationError, LocalError: nothing changed."""

    def records(self) -> Iterable[Record]:
        """What the flight recorder holds, oldest first."""

    def note(self, event: Event) -> None:
        """Put an event into the router's stream."""

    def enable_guarded(self) -> bool:
        """Whether there is an enable secret."""

    def verify_enable(self, password: str, answer: Callable[[bool], None]) -> None:
        """Tell `answer`, now or later, whether this is the enable secret."""

    def ping(self, order: PingOrder, each: Callable[[Echo], None], ended: Callable[[str], None]) -> Callable[[], None]:
        """Send echo requests, see `exec_ping.Pinger`."""


class Reply(msgspec.Struct, frozen=True):
    """What a line gave: output, the prompt that follows, whether it was refused, whether the session ended with it.

    `secret`: the next line is a password. `waiting`: this is not all, the rest comes by `Session.later`. `width` and
    `length`: what the terminal is from now on, where the line said so.
    """

    output: tuple[str, ...]
    prompt: str
    refused: bool = False
    ended: bool = False
    secret: bool = False
    waiting: bool = False
    width: int | None = None
    length: int | None = None


class _Wait:
    """A command that takes its time, and what ends it early."""

    def __init__(self) -> None:
        self.cancel: Callable[[], None] | None = None


class Session:
    """One operator at the prompt of one router; `who` names them in the stream of events.

    `level`: their privilege level. `remote`: they came over the network, so `enable` wants a secret and nothing is told
    unasked before `terminal monitor`. What a command that takes its time says goes to `tell`, its reply to `later`.
    """

    def __init__(
        self,
        router: Router,
        *,
        who: str = "console",
        lab_timers: bool = False,
        level: int = 15,
        remote: bool = False,
    ) -> None:
        self.router, self.who, self.level, self.remote = router, who, level, remote
        self.monitor, self.silent, self.width, self.length = not remote, False, 80, 24
        self.history: deque[str] = deque(maxlen=HISTORY)
        self.tell: Callable[[str], None] = lambda _: None
        self.later: Callable[[Reply], None] = lambda _: None
        self._waiting: _Wait | None = None
        self._sized: tuple[int | None, int | None] = None, None
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
            return f"{self.router.config.hostname}{'#' if self.level > 1 else '>'}"
        return f"{self._editor.config.hostname}{self._editor.prompt_suffix}"

    @property
    def keys(self) -> Sealer | None:
        """What seals the keys that this operator may see; None: they see `<removed>`."""
        return self.router.archive.sealer if self.level >= PRIVILEGED else None

    @property
    def renderer(self) -> Renderer | None:
        """What prints the debug lines that this operator wants to see as they happen; None with debugging off."""
        return None if self.silent else exec_debug.renderer(self)

    def execute(self, line: str, *, typed: bool = False) -> Reply:
        """Carry out one line in the mode the session is in; nothing that is typed raises.

        A `?` at its end asks for help; where the line is `typed` out, it is a character as any other.
        """
        text = "".join(letter for letter in line if letter.isprintable() or letter == "\t").expandtabs()
        if self._waiting is not None:
            return self._reply(["% The command before is still at work", ""], refused=True)
        if self._question is not None:
            return self._answer(self._question, text)
        if not text.strip() or text.lstrip().startswith("!"):
            return self._reply(())
        asks = text.rstrip().endswith("?") and not typed
        if not asks:
            shown = without_secrets(text.strip())
            self.history.append(shown)
            self.router.note(CommandEntered(command=shown, who=self.who))
        if self._editor is not None:
            return self._configure(self._editor, text, typed=typed)
        found = commands.parse(text, prompt=self.prompt, level=self.level, typed=typed)
        if isinstance(found, ExecError):
            return self._reply(found.lines, refused=not asks)
        return self._carry_out(found)

    def complete(self, line: str) -> str:
        """What Tab makes of a line in the mode the session is in."""
        if self._question is not None:
            return line
        return commands.tab(line, self.level) if self._editor is None else self._editor.complete(line)

    def _reply(self, output: Sequence[str], *, refused: bool = False) -> Reply:
        secret = self._question is not None and self._question.secret
        waiting = self._waiting is not None
        size, self._sized = self._sized, (None, None)
        return Reply(tuple(output), self.prompt, refused, self._ended, secret, waiting, *size)

    def ask(self, question: Question) -> list[str]:
        """Let the next line answer a question of the command that is carried out; what it prints now is nothing."""
        self._question = question
        return []

    def resize(self, width: int | None, length: int | None) -> list[str]:
        """`terminal width` or `length`: who draws the terminal hears it with the reply."""
        self.width = self.width if width is None else width
        self.length = self.length if length is None else length
        self._sized = width, length
        return []

    def wait_for(
        self, start: Callable[[Callable[[T], None]], Callable[[], None] | None], then: Callable[[T], list[str]]
    ) -> list[str]:
        """Begin what takes its time. `start` is given what to call with the result and returns what ends it early;
        `then` makes of the result what is printed, and is not called where the operator gave up.
        """
        wait, results, here = _Wait(), [], True

        def done(result: T) -> None:
            if here:
                results.append(result)
            elif self._waiting is wait:
                self._waiting = None
                self.later(self._finished(then(result)))

        wait.cancel = start(done)
        here = False
        if results:
            return then(results[0])
        self._waiting = wait
        return []

    def _finished(self, output: list[str]) -> Reply:
        return self._reply(output, refused=any(line.startswith("%") for line in output))

    def interrupt(self) -> Reply | None:
        """Ctrl-C: a question stays unanswered, a command at work ends; None: what it has comes `later`."""
        wait = self._waiting
        if wait is None:
            return self.give_up()
        if wait.cancel is not None:
            wait.cancel()
            return None
        self._waiting = None
        return self._reply(())

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
            if isinstance(command.output, OutputFilter):
                output = command.output.lines(output)
            return self._reply(output, refused=any(line.startswith("%") for line in output))
        return self._reply([f"% {command.name} is not offered by ikescope", ""], refused=True)

    def _show(self, command: ExecCommand, show: Show) -> list[str]:
        """The lines of a show: those that `|` lets through, or its data."""
        if isinstance(command.output, AsJson):
            return [show_json.document(command.name, self, command.arguments)]
        lines = show(self, command.arguments)
        return lines if command.output is None else command.output.lines(lines)

    def _configure(self, editor: Editor, text: str, *, typed: bool = False) -> Reply:
        if self.router.config is not self._base:
            self._base = self.router.config
            if not editor.follow(self.router.config):
                told = "% Another session removed what is configured here: this line was not taken"
                return self._reply([told, ""], refused=True)
        before = editor.config
        reply = editor.feed(text, typed=typed)
        output = list(reply.text_lines)
        asks = text.rstrip().endswith("?") and not typed
        refused = (
            not asks and editor.config is before and any("%" in line and WITHOUT_EFFECT not in line for line in output)
        )
        if _acts(before) != _acts(editor.config):
            try:
                output += self._take_over(before, editor.config, text)
            except LocalError as error:  # the host does not have what it needs
                editor.take_back(before)
                output, refused = [f"% {error}", ""], True
        if not reply.configuring:
            self._editor = None
            self.router.note(ConfigurationLeft(who=self.who))
        if reply.execute is not None:
            done = self._carry_out(reply.execute)
            return self._reply([*output, *done.output], refused=done.refused)
        return self._reply(output, refused=refused)

    def _take_over(self, before: RouterConfig, after: RouterConfig, text: str) -> list[str]:
        told = [line for line in consequences(before, after, self.router.status()) if line not in self._told]
        self.router.configure(after, (without_secrets(text.strip()),))
        self._told.update(told)
        self._base = self.router.config
        return told

    def begin_configuring(self) -> list[str]:
        """Go into the configuration mode."""
        self._editor = Editor(self.router.config, self._lab_timers, self.router.archive.sealer)
        self._base = self.router.config
        self._told.clear()
        return [_ANNOUNCEMENT]

    def ask_where_from(self) -> list[str]:
        """`configure` alone: the terminal is meant, if what is typed next is not another source."""

        def answer(text: str) -> list[str]:
            known = "terminal".startswith(text.strip().lower())
            return self.begin_configuring() if known else ['?Must be "terminal"', ""]

        return self.ask(Question("Configuring from terminal, memory, or network [terminal]? ", answer))

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
    "configure": lambda session, _: session.ask_where_from(),
    "exit": lambda session, _: session.end(),
    "end": lambda session, _: [],
    "ping": ping,
    **MODES,
    "clear logging": _clear_logging,
    **DEBUGS,
    **STORES,
}
