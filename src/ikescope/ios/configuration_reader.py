"""An IOS configuration read line by line: what acts, what is named or counted, what is refused and in which words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from ikescope.config.check import check
from ikescope.config.model import Ignored, RouterConfig
from ikescope.config.smart_defaults import empty
from ikescope.errors import LocalError
from ikescope.ios.configuration_bench import GLOBAL, Bench, Refused, Scope
from ikescope.ios.configuration_foreign import (
    FOREIGN,
    FOREIGN_HEADS,
    OUTSIDE_INTERFACES,
    SourceLine,
    of_global,
    plain,
    redact,
    source_lines,
    within,
)
from ikescope.ios.configuration_interface import resolve_sources
from ikescope.ios.configuration_ours import Ours, ours
from ikescope.ios.configuration_rows import GRAMMAR
from ikescope.ios.configuration_unacted import Unacted, refused_word
from ikescope.ios.grammar import END_OF_LINE, Match, Mismatch
from ikescope.ios.sealing import Opener


class ConfigurationError(LocalError):
    """A configuration that cannot be carried out: one line with file and line; `problems` holds all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems[0])
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Survey:
    """What becomes of each line of a file: `acted` so many, `ours` of them unknown to IOS, `ignored` not acted on.

    `problems` are the lines of a refusal, one each; `config` is None where there are any.
    """

    acted: int
    ours: tuple[Ours, ...]
    ignored: tuple[Ignored, ...]
    problems: tuple[str, ...]
    config: RouterConfig | None


def survey(text: str, name: str, generation: str | None, lab_timers: bool, opener: Opener) -> Survey:
    """Read a whole file; `generation` is 15, 17 or 26, or None: what its `version` line says."""
    reader = _Reader(name, generation, lab_timers, opener)
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
    acted: int = 0
    ours: list[Ours] = field(default_factory=list)
    block: Unacted | None = None  # what the line that opened a section is to us
    bench: Bench = field(init=False)

    def __post_init__(self) -> None:
        config = empty(self.generation or "17")  # type: ignore[arg-type]  # load() checked it
        self.bench = Bench(config, self.lab_timers, self.generation is not None, opener=self.opener)

    def read(self, line: SourceLine, indent: int) -> None:
        """Act on one line, name it, count it or note the problem."""
        bench, text = self.bench, line.text
        bench.line = line.number
        if line.banner:
            self._ignore(line, FOREIGN)
        elif text.startswith("!"):
            self.apart = True
            if indent == 0 and not self.flat:
                bench.path, self.block = [], None
        elif text == "end":
            bench.path, self.block = [], None
        elif text == "exit":
            bench.path = bench.path[:-1]
        elif self.flat or line.torn:
            self._try(line, [*outward(bench.path), []])
        elif indent > 0:
            if self.block is not None:
                self._ignore(line, self.block)
            else:
                self._try(line, outward(bench.path) or [[]])
        else:  # a line that lost its indentation may belong to the section before it
            section, bench.path, self.block = bench.path, [], None
            self._try(line, [[], *outward(section)])

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
            self.acted += 1
            word = ours(found)
            if word and not found.args.no:
                self.ours.append(Ours(line.number, redact(line.text), word))
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
        row = within(scope.mode, scope.name, line.text)
        if scope.mode == "access-list" and row.standing == "refused":
            self._broken(scope.name, line, refusal_text(line.text, mismatch, row))
        elif row.standing == "refused":
            self._problem(line.number, f"{scope.header}: {refusal_text(line.text, mismatch, row)}")
        else:
            self._ignore(line, row, scope)

    def _unknown_global(self, line: SourceLine, mismatch: Mismatch) -> None:
        words = line.text.split()
        if words[0] == "access-list" and words[2:3] not in ([], ["remark"]) and mismatch.column > len("access-list "):
            self._broken(words[1], line, refusal_text(line.text, mismatch, FOREIGN))
            return
        row = of_global(line.text)
        if row.standing == "refused":
            self._problem(line.number, refusal_text(line.text, mismatch, row))
        else:
            self._ignore(line, row)
        self.block = FOREIGN if row.standing == "refused" else replace(row, reason="")

    def _broken(self, name: str, line: SourceLine, refusal: str) -> None:
        """Refused if a tunnel uses the access-list, and otherwise another part's."""
        self.bench.broken.setdefault(name, []).append((line.number, refusal))
        self._ignore(line, FOREIGN)

    def _problem(self, number: int, text: str) -> None:
        self.problems.append((number, f"{self.name}:{number}: {text}"))

    def _ignore(self, line: SourceLine, row: Unacted, scope: Scope | None = None) -> None:
        near = row.standing == "near"
        entry = Ignored(line=line.number, text=redact(line.text), near=near, reason=row.reason if near else "")
        self.ignored.append((entry, scope.name if scope and scope.mode == "interface" else ""))

    def finish(self) -> Survey:
        """Take the steps that waited, and say what became of each line."""
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
        refused = {number for number, _ in self.problems}
        sources = {tunnel.source for tunnel in bench.config.tunnels.values()}
        ignored = tuple(
            msgspec.structs.replace(entry, near=False) if interface and interface not in sources else entry
            for entry, interface in self.ignored
            if entry.line not in refused
        )
        config = None
        if not self.problems:
            config = msgspec.structs.replace(bench.config, ignored=ignored, source=self.name)
            config = msgspec.structs.replace(config, findings=check(config))
        problems = tuple(text for _, text in sorted(self.problems))
        return Survey(self.acted, tuple(self.ours), ignored, problems, config)


def outward(path: list[Scope]) -> list[list[Scope]]:
    """The modes one is in, the innermost first."""
    return [path[:depth] for depth in range(len(path), 0, -1)]


def refusal_text(text: str, mismatch: Mismatch, row: Unacted) -> str:
    """Why a line is refused and what is possible, in one line; `row` is what the tables say of it."""
    if row.instead:
        return f"{redact(text)} is not offered by ikescope: {row.reason}; possible: {row.instead}"
    word = refused_word(plain(text), mismatch.token)
    if word is not None:
        said = f"{mismatch.before} {mismatch.token}".strip()
        return f"{said} is not offered by ikescope: {word.reason}; possible: {word.instead}"
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
