"""An IOS configuration into the router's model: a whole file at once, or line by line as typed at the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from ikescope.config.check import check
from ikescope.config.model import RouterConfig
from ikescope.config.smart_defaults import Generation
from ikescope.errors import LocalError
from ikescope.ios.commands import ExecCommand, ExecError, parse, tab
from ikescope.ios.completion import complaint, complete, listing
from ikescope.ios.configuration_bench import GLOBAL, PROMPTS, Bench, Refused, Scope
from ikescope.ios.configuration_foreign import of_global, plain, redact, within
from ikescope.ios.configuration_interface import resolve_sources
from ikescope.ios.configuration_reader import ConfigurationError, outward, survey
from ikescope.ios.configuration_rows import GRAMMAR
from ikescope.ios.configuration_typed import (
    WITHOUT_EFFECT,
    Elsewhere,
    is_foreign,
    is_of_lines,
    opened,
    stands_outside,
    taken,
)
from ikescope.ios.configuration_unacted import RefusedWord, Unacted, refused_word
from ikescope.ios.grammar import Expected, Match, Mismatch, Table
from ikescope.ios.sealing import Closed, Opener

__all__ = ["ConfigurationError", "Editor", "Reply", "load"]


def load(
    text: str,
    *,
    name: str = "<config>",
    generation: str | None = None,
    lab_timers: bool = False,
    opener: Opener | None = None,
) -> RouterConfig:
    """Read an IOS configuration, a whole `show running-config` too; `findings` and `ignored` are filled.

    `generation` (15, 17 or 26) overrides what the `version` line chooses; `lab_timers` admits lifetimes of 10 to 119 s.
    `opener` reads sealed keys (`pre-shared-key 6 TOKEN`); without it they are refused.
    Raises ConfigurationError where a line about crypto, a tunnel or its interface cannot act.
    """
    if generation is not None and generation not in get_args(Generation):
        raise LocalError(f"IOS generation: had {generation}, wanted {', '.join(get_args(Generation))}")
    found = survey(text, name, generation, lab_timers, opener or Closed())
    if found.config is None:
        raise ConfigurationError(found.problems)
    return found.config


@dataclass(frozen=True, slots=True)
class Reply:
    """What the console prints after a line, and the prompt that follows the hostname.

    `execute`: the exec command of a `do` line, for whoever executes; `configuring`: still in configuration mode.
    """

    text_lines: tuple[str, ...]
    prompt_suffix: str
    execute: ExecCommand | None = None
    configuring: bool = True


#: The commands of every configuration mode.
ALWAYS = (
    Expected("do", True, "Run an exec command"),
    Expected("end", True, "Exit from configure mode"),
    Expected("exit", True, "Exit from the current mode"),
)


class Editor:
    """`configure terminal`: each line gives a new configuration; one that is refused changes nothing."""

    def __init__(self, config: RouterConfig, lab_timers: bool = False, opener: Opener | None = None) -> None:
        self._bench = Bench(config, lab_timers, generation_forced=True, opener=opener or Closed())
        self._configuring = True
        self._elsewhere: Elsewhere | None = None

    @property
    def config(self) -> RouterConfig:
        """The router as configured so far, with the findings of a check."""
        return self._bench.config

    def take_back(self, config: RouterConfig) -> None:
        """Go on with the configuration before the last line, which could not act."""
        self._bench.config = config
        self._bench.path = [scope for scope in self._bench.path if self._bench.holds(scope)]

    def follow(self, config: RouterConfig) -> bool:
        """Go on with what another operator made of it; False: what one was configuring is gone, one is outside it."""
        held = self._bench.path
        self.take_back(config)
        return self._bench.path == held

    @property
    def prompt_suffix(self) -> str:
        """What follows the hostname in the prompt."""
        if self._elsewhere is not None:
            return self._elsewhere.prompt or PROMPTS[GLOBAL]
        return PROMPTS[self._bench.mode] if self._configuring else "#"

    def feed(self, line: str, *, typed: bool = False) -> Reply:
        """Carry out one line; errors are IOS's own texts. `typed`: a `?` at its end is a character as any other."""
        text = line.rstrip("\r\n")
        words = text.split()
        if self._elsewhere is not None and self._elsewhere.until:
            self._elsewhere = None if self._elsewhere.until in text else self._elsewhere
            return self._reply()
        if not words or words[0].startswith("!"):
            return self._reply()
        if words[0] == "do" and text.lstrip()[2:3].isspace():
            return self._do(text, typed)
        if text.rstrip().endswith("?") and not typed:
            return self._reply(listing(self._tables(), text.rstrip()[:-1], self._prompt, ALWAYS))
        if words == ["end"]:
            self._bench.path, self._configuring, self._elsewhere = [], False, None
            return self._reply()
        if words in (["exit"], ["exi"], ["ex"]):
            if self._elsewhere is not None:
                self._elsewhere = None
                return self._reply()
            self._configuring = bool(self._bench.path)
            self._bench.path = self._bench.path[:-1]
            return self._reply()
        return self._command(text)

    def complete(self, line: str) -> str:
        """What Tab makes of a line."""
        body = line.lstrip()
        if body[:2] == "do" and body[2:3].isspace():
            start = len(line) - len(body) + 3
            return line[:start] + tab(line[start:])
        return complete(self._tables(), line, ALWAYS)

    @property
    def _prompt(self) -> str:
        return self.config.hostname + self.prompt_suffix

    def _tables(self) -> list[Table]:
        return [GRAMMAR[mode] for mode in (*(scope.mode for scope in reversed(self._bench.path)), GLOBAL)]

    def _reply(self, lines: Sequence[str] = (), execute: ExecCommand | None = None) -> Reply:
        return Reply(tuple(lines), self.prompt_suffix, execute, self._configuring)

    def _do(self, text: str, typed: bool) -> Reply:
        found = parse(text, "config", prompt=self._prompt, typed=typed)
        if isinstance(found, ExecError):
            return self._reply(found.lines)
        return self._reply(execute=found)

    def _command(self, text: str) -> Reply:
        best: Mismatch | None = None
        for path in [*outward(self._bench.path), []]:
            found = GRAMMAR[path[-1].mode if path else GLOBAL].match(text)
            if isinstance(found, Match):
                self._elsewhere = None
                return self._run(path, found)
            if best is None or found.column > best.column:
                best = found
        assert best is not None
        if self._goes_elsewhere(text):
            self._bench.path, self._elsewhere = [], opened(text)
            return self._reply(taken(text))
        if self._elsewhere is not None:
            return self._reply()
        if is_of_lines(self._bench.mode, text):
            return self._reply(taken(text))
        row = self._unacted(text.strip())
        if row.standing == "near" and best.kind == "invalid":
            why = f": {row.reason}" if row.reason else ""
            return self._reply([f"% {redact(' '.join(text.split()))}: {WITHOUT_EFFECT}{why}"])
        said: Unacted | RefusedWord | None = row if row.instead else refused_word(plain(text), best.token)
        told = [] if said is None else [f"% {said.reason}; possible: {said.instead}", ""]
        return self._reply([*complaint(best, text, self._prompt), *told])

    def _goes_elsewhere(self, text: str) -> bool:
        """Whether a line is another part's, and the mode one is in ends with it."""
        return is_foreign(text) and (
            opened(text) is not None or (self._elsewhere is None and stands_outside(self._bench.mode, plain(text)))
        )

    def _unacted(self, text: str) -> Unacted:
        """What the tables say of a line that is no command of the mode one is in."""
        anywhere = of_global(text)
        if not self._bench.path:
            return anywhere
        scope = self._bench.path[-1]
        here = within(scope.mode, scope.name, text)
        return anywhere if anywhere.reason and not here.reason else here

    def _run(self, path: list[Scope], found: Match) -> Reply:
        bench = self._bench
        before, held = bench.config, bench.path
        prompt = self._prompt
        bench.path, bench.line = list(path), 0
        bench.replies.clear()
        assert found.row.run is not None
        try:
            found.row.run(bench, found.args)
            inside = bench.path
            for _, _, step in bench.waiting:
                step(bench)
            bench.path = inside
            resolve_sources(bench)
        except Refused as refusal:
            bench.config, bench.path = before, held
            marker = [" " * (len(prompt) + found.args.columns[refusal.argument]) + "^"] if refusal.argument else []
            said = str(refusal)
            said = said if said.startswith(("%", "ERROR")) else f"% {said}"
            return self._reply([*marker, *said.splitlines(), ""])
        finally:
            bench.waiting.clear()
        bench.set(findings=check(bench.config))
        return self._reply(bench.replies)
