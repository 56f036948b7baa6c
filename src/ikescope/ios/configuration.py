"""An IOS configuration into the router's model: a whole file at once, or line by line as typed at the console."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import msgspec

from ikescope.config.check import check
from ikescope.config.model import Ignored, RouterConfig
from ikescope.config.smart_defaults import Generation, empty
from ikescope.errors import LocalError
from ikescope.ios.commands import ExecCommand, ExecError, parse
from ikescope.ios.completion import complaint, complete, listing
from ikescope.ios.configuration_bench import GLOBAL, PROMPTS, Bench, Refused, Scope
from ikescope.ios.configuration_foreign import (
    FOREIGN_HEADS,
    OUTSIDE_INTERFACES,
    SourceLine,
    Standing,
    instead_of,
    redact,
    source_lines,
    standing_of_global,
    standing_within,
)
from ikescope.ios.configuration_interface import resolve_sources
from ikescope.ios.configuration_rows import GRAMMAR
from ikescope.ios.grammar import END_OF_LINE, Expected, Match, Mismatch, Table
from ikescope.ios.sealing import Closed, Opener


class ConfigurationError(LocalError):
    """A configuration that cannot be carried out: one line with file and line; `problems` holds all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems[0])
        self.problems = tuple(problems)


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
    reader = _Reader(name, generation, lab_timers, opener or Closed())
    lines = [line for line in source_lines(text) if line.text]
    body = [line for line in lines if not line.text.startswith("!") and not line.banner and not line.torn]
    margin = min((line.indent for line in body), default=0)
    reader.flat = all(line.indent == margin for line in body)
    for line in lines:
        reader.read(line, max(0, line.indent - margin))
    return reader.finish()


@dataclass(slots=True)
class _Reader:
    name: str
    generation: str | None
    lab_timers: bool
    opener: Opener
    flat: bool = False
    apart: bool = False  # a `!` stands between here and the last line that acted
    problems: list[tuple[int, str]] = field(default_factory=list)
    ignored: list[tuple[Ignored, str]] = field(default_factory=list)
    block: Standing | None = None
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        config = empty(self.generation or "17")  # type: ignore[arg-type]  # load() checked it
        self.bench = Bench(config, self.lab_timers, self.generation is not None, opener=self.opener)

    def read(self, line: SourceLine, indent: int) -> None:
        """Act on one line, name it, count it or note the problem."""
        bench, text = self.bench, line.text
        bench.line = line.number
        if line.banner:
            self._ignore(line, "foreign")
        elif text.startswith("!"):
            self.apart = True
            if indent == 0 and not self.flat:
                bench.path, self.block = [], None
        elif text == "end":
            bench.path, self.block = [], None
        elif text == "exit":
            bench.path = bench.path[:-1]
        elif self.flat or line.torn:
            self._try(line, [*_outward(bench.path), []])
        elif indent > 0:
            if self.block is not None:
                self._ignore(line, self.block)
            else:
                self._try(line, _outward(bench.path) or [[]])
        else:
            bench.path, self.block = [], None
            self._try(line, [[]])

    def _try(self, line: SourceLine, paths: list[list[Scope]]) -> None:
        best: tuple[Mismatch, list[Scope]] | None = None
        for path in paths:
            found = GRAMMAR[path[-1].mode if path else GLOBAL].match(line.text)
            if isinstance(found, Match):
                self._run(line, path, found)
                return
            if best is None or found.column > best[0].column:
                best = (found, path)
        assert best is not None
        self._unknown(line, paths[0], best[0])

    def _run(self, line: SourceLine, path: list[Scope], found: Match) -> None:
        assert found.row.run is not None
        self.bench.path, self.block, self.apart = list(path), None, False
        try:
            found.row.run(self.bench, found.args)
        except Refused as refusal:
            column = found.args.columns.get(refusal.argument, len(line.text))
            header = f"{path[-1].header}: " if path else ""
            self._problem(line.number, f"{header}{redact(line.text[:column].strip())}: {refusal}")
        self.bench.replies.clear()

    def _unknown(self, line: SourceLine, path: list[Scope], mismatch: Mismatch) -> None:
        first = line.text.split()[0].lower()
        if path and self.flat:
            interface = path[-1].mode in ("tunnel", "interface")
            foreign = first in (OUTSIDE_INTERFACES if interface else FOREIGN_HEADS)
            path = [] if foreign or self.apart else path
        if not path:
            self.bench.path = []
            self._unknown_global(line, mismatch)
            return
        scope = path[-1]
        standing = standing_within(scope.mode, line.text)
        if scope.mode == "access-list" and standing == "refused":
            self._broken(scope.name, line, mismatch)
        elif standing == "refused":
            self._refuse(line, f"{scope.header}: ", mismatch)
        else:
            self._ignore(line, standing, scope)

    def _unknown_global(self, line: SourceLine, mismatch: Mismatch) -> None:
        words = line.text.split()
        if words[0] == "access-list" and len(words) > 2 and mismatch.column > line.text.index(words[1]):
            self._broken(words[1], line, mismatch)
            return
        standing = standing_of_global(line.text)
        if standing == "refused":
            self._refuse(line, "", mismatch)
        else:
            self._ignore(line, standing)
        self.block = "foreign" if standing == "refused" else standing

    def _broken(self, name: str, line: SourceLine, mismatch: Mismatch) -> None:
        entry = (line.number, _refusal_text(line.text, mismatch))
        self.bench.broken.setdefault(name, []).append(entry)
        self._ignore(line, "foreign")

    def _refuse(self, line: SourceLine, header: str, mismatch: Mismatch) -> None:
        self._problem(line.number, header + _refusal_text(line.text, mismatch))

    def _problem(self, number: int, text: str) -> None:
        self.problems.append((number, f"{self.name}:{number}: {text}"))

    def _ignore(self, line: SourceLine, standing: Standing, scope: Scope | None = None) -> None:
        entry = Ignored(line=line.number, text=redact(line.text), near=standing == "near")
        self.ignored.append((entry, scope.name if scope and scope.mode == "interface" else ""))

    def finish(self) -> RouterConfig:
        """Take the steps that waited, and give the router."""
        bench = self.bench
        for number, what, step in bench.waiting:
            try:
                step(bench)
            except Refused as refusal:
                self._problem(number, f"{what}: {refusal}")
        resolve_sources(bench)
        for tunnel in bench.config.tunnels.values():
            for number, text in bench.broken.get(tunnel.policy_acl or "", ()):
                self._problem(number, f"access-list {tunnel.policy_acl}, which {tunnel.name} protects: {text}")
        if self.problems:
            raise ConfigurationError([text for _, text in sorted(self.problems)])
        ours = {tunnel.source for tunnel in bench.config.tunnels.values()}
        ignored = tuple(
            msgspec.structs.replace(entry, near=False) if interface and interface not in ours else entry
            for entry, interface in self.ignored
        )
        config = msgspec.structs.replace(bench.config, ignored=ignored, source=self.name)
        return msgspec.structs.replace(config, findings=check(config))


def _outward(path: list[Scope]) -> list[list[Scope]]:
    return [path[:depth] for depth in range(len(path), 0, -1)]


def _refusal_text(text: str, mismatch: Mismatch) -> str:
    instead = instead_of(text)
    if instead:
        return f"{redact(text)} is not offered by ikescope; possible: {instead}"
    token = "<removed>" if mismatch.secret else mismatch.token
    said = f"{mismatch.before} {token}".strip()
    if mismatch.detail:
        return f"{said}: {mismatch.detail}"
    words = [word.text for word in mismatch.expected if word.text not in (END_OF_LINE, "no")]
    possible = f"possible: {' '.join(words)}" if words else "possible: nothing more on this line"
    if mismatch.kind == "incomplete":
        return f"{said} is incomplete; {possible}"
    if mismatch.kind == "ambiguous":
        words = [word for word in words if word.lower().startswith(mismatch.token.lower())]
        return f"{said} is ambiguous; possible: {' '.join(words)}"
    return f"{said} is not offered by ikescope; {possible}"


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

    @property
    def config(self) -> RouterConfig:
        """The router as configured so far, with the findings of a check."""
        return self._bench.config

    @property
    def prompt_suffix(self) -> str:
        """What follows the hostname in the prompt."""
        return PROMPTS[self._bench.mode] if self._configuring else "#"

    def feed(self, line: str) -> Reply:
        """Carry out one line; errors are IOS's own texts."""
        text = line.rstrip("\r\n")
        words = text.split()
        if not words or words[0].startswith("!"):
            return self._reply()
        if text.rstrip().endswith("?"):
            return self._reply(listing(self._tables(), text.rstrip()[:-1], self._prompt, ALWAYS))
        if words == ["end"]:
            self._bench.path, self._configuring = [], False
            return self._reply()
        if words in (["exit"], ["exi"], ["ex"]):
            self._configuring = bool(self._bench.path)
            self._bench.path = self._bench.path[:-1]
            return self._reply()
        if words[0] == "do":
            return self._do(text)
        return self._command(text)

    def complete(self, line: str) -> str:
        """What Tab makes of a line."""
        return complete(self._tables(), line)

    @property
    def _prompt(self) -> str:
        return self.config.hostname + self.prompt_suffix

    def _tables(self) -> list[Table]:
        return [GRAMMAR[mode] for mode in (*(scope.mode for scope in reversed(self._bench.path)), GLOBAL)]

    def _reply(self, lines: Sequence[str] = (), execute: ExecCommand | None = None) -> Reply:
        return Reply(tuple(lines), self.prompt_suffix, execute, self._configuring)

    def _do(self, text: str) -> Reply:
        found = parse(text, "config", prompt=self._prompt)
        if isinstance(found, ExecError):
            return self._reply(found.lines)
        return self._reply(execute=found)

    def _command(self, text: str) -> Reply:
        best: Mismatch | None = None
        for path in [*_outward(self._bench.path), []]:
            found = GRAMMAR[path[-1].mode if path else GLOBAL].match(text)
            if isinstance(found, Match):
                return self._run(path, found)
            if best is None or found.column > best.column:
                best = found
        assert best is not None
        plain = text.strip()
        mode = self._bench.mode
        standing = standing_of_global(plain) if mode == GLOBAL else standing_within(mode, plain)
        if standing == "near" and best.kind == "invalid":
            return self._reply([f"% {redact(' '.join(plain.split()))}: accepted, without effect on ikescope"])
        return self._reply(complaint(best, text, self._prompt))

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
