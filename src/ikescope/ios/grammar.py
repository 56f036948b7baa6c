"""The command grammar: rows of syntax, compiled to one net a mode, that parse a line, complete it and explain it.

Syntax of a row: `word` is a keyword (any unique beginning of it will do), `<name:spec>` a value (`grammar_values`),
`<name:=a|b>` one of some keywords by name, a trailing `+` any number of them, `[x|y]` optional, `{x|y}` one of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ikescope.ios.grammar_values import Value, is_split_interface, value_of

END_OF_LINE = "<cr>"


class Args(dict[str, Any]):
    """What a line holds by the names of its row's syntax; `columns`: where each value began."""

    def __init__(self, values: Iterable[tuple[str, Any]] = (), *, no: bool = False) -> None:
        super().__init__(values)
        self.no = no
        self.columns: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Row:
    """One command: its syntax in a mode, what it does (`run`), and what running-config prints of an item (`show`).

    `undo` is the syntax after `no`: "" the keywords it begins with and anything; None: there is no such form;
    "=" the same as `syntax`. `name` is what an exec command is called, `opens` the mode that the command goes into;
    `default` what `show running-config all` prints where `show` gives nothing.
    """

    mode: str
    syntax: str
    run: Callable[[Any, Args], None] | None = None
    show: Callable[[Any], Iterable[str]] | None = None
    undo: str | None = ""
    name: str = ""
    opens: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a line and the column it begins in, from 0."""

    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Edge:
    """A step of the net: a keyword or a value, bound to a name or not; `many` collects a tuple."""

    target: int
    keyword: str | None
    value: Value | None
    bind: str | None
    many: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """A word that may stand at a place, and its help."""

    text: str
    keyword: bool
    help: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """A line understood: the row and the values."""

    row: Row
    args: Args


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A line not understood: where, what stood before (`before`) and there (`token`), what may stand there.

    `detail` is `had ..., wanted ...` where a value was out of its range; `secret`: `token` must not be shown.
    """

    kind: Literal["invalid", "incomplete", "ambiguous"]
    column: int
    before: str
    token: str
    expected: tuple[Expected, ...]
    detail: str = ""
    secret: bool = False


@dataclass(frozen=True, slots=True)
class _Thread:
    state: int
    bound: tuple[tuple[Edge, Any, int], ...] = ()


@dataclass(slots=True)
class _Net:
    edges: list[list[Edge]] = field(default_factory=list)
    jumps: list[list[int]] = field(default_factory=list)
    accepts: dict[int, tuple[Row, bool]] = field(default_factory=dict)

    def state(self) -> int:
        self.edges.append([])
        self.jumps.append([])
        return len(self.edges) - 1


_SYNTAX = re.compile(r"<[^>]+>\+?|[\[\]{}|]|[^\s\[\]{}|<>]+")


def lex(line: str) -> list[Token]:
    """The words of a line; an interface in two words (`Tunnel 0`) is one."""
    words = [Token(found.group(), found.start()) for found in re.finditer(r"\S+", line)]
    tokens: list[Token] = []
    for word in words:
        if tokens and is_split_interface(tokens[-1].text, word.text):
            tokens[-1] = Token(tokens[-1].text + word.text, tokens[-1].column)
        else:
            tokens.append(word)
    return tokens


def leading_keywords(syntax: str) -> str:
    """The keywords that a syntax begins with."""
    words = []
    for piece in _SYNTAX.findall(syntax):
        if piece[0] in "<[]{}|":
            break
        words.append(piece)
    return " ".join(words)


class Table:
    """All rows of one mode, compiled."""

    def __init__(self, rows: Sequence[Row], words: dict[str, str] | None = None) -> None:
        self.rows = tuple(rows)
        self._help = words or {}
        self._net = _Net()
        self._start = self._net.state()
        self._closures: dict[int, tuple[int, ...]] = {}
        for row in self.rows:
            self._add(row, row.syntax, no=False)
            if row.undo is not None:
                undo = {"": f"{leading_keywords(row.syntax)} [<_:line>]", "=": row.syntax}.get(row.undo, row.undo)
                self._add(row, f"no {undo}", no=True)

    def match(self, line: str) -> Match | Mismatch:
        """Parse one line, without the mode's prompt."""
        threads = [_Thread(self._start)]
        taken: list[_Thread] = []
        tokens = lex(line)
        for token in tokens:
            found = self._step(threads, token, line)
            if isinstance(found, Mismatch):
                if taken:
                    threads = []
                    break
                return found
            threads, gobbled = found
            taken.extend(gobbled)
            if not threads:
                break
        for thread in threads:
            for state in self._closure(thread.state):
                if state in self._net.accepts:
                    return self._finish(thread, *self._net.accepts[state])
        for thread in taken:
            for state in self._closure(thread.state):
                if state in self._net.accepts:
                    return self._finish(thread, *self._net.accepts[state])
        return Mismatch("incomplete", len(line), line.strip(), "", self._expected(threads))

    def after(self, line: str) -> tuple[Expected, ...] | Mismatch:
        """What may follow a beginning of a line (its words complete), END_OF_LINE included."""
        threads = [_Thread(self._start)]
        for token in lex(line):
            found = self._step(threads, token, line)
            if isinstance(found, Mismatch):
                return found
            threads, gobbled = found
            if gobbled and not threads:
                return (Expected(END_OF_LINE, True),)
        return self._expected(threads)

    def _add(self, row: Row, syntax: str, *, no: bool) -> None:
        pieces = _SYNTAX.findall(syntax)
        end, position = self._sequence(pieces, 0, self._start)
        if position != len(pieces):
            raise ValueError(f"syntax {syntax!r}: {pieces[position]!r} is not opened")
        final = self._net.state()
        self._net.jumps[end].append(final)
        self._net.accepts[final] = (row, no)

    def _sequence(self, pieces: list[str], position: int, state: int) -> tuple[int, int]:
        while position < len(pieces) and pieces[position] not in ("|", "]", "}"):
            piece = pieces[position]
            if piece in ("[", "{"):
                state, position = self._choice(pieces, position, state)
                continue
            state = self._leaf(piece, state)
            position += 1
        return state, position

    def _choice(self, pieces: list[str], position: int, state: int) -> tuple[int, int]:
        optional, end = pieces[position] == "[", self._net.state()
        while pieces[position] not in ("]", "}"):
            branch = self._net.state()
            self._net.jumps[state].append(branch)
            out, position = self._sequence(pieces, position + 1, branch)
            self._net.jumps[out].append(end)
        if optional:
            self._net.jumps[state].append(end)
        return end, position + 1

    def _leaf(self, piece: str, state: int) -> int:
        target = self._net.state()
        many = piece.endswith(">+")
        if piece[0] != "<":
            self._net.edges[state].append(Edge(target, piece, None, None, False))
            return target
        name, spec = piece.rstrip("+")[1:-1].split(":", 1)
        if spec[0] == "=":
            self._net.edges[state].extend(Edge(target, word, None, name, many) for word in spec[1:].split("|"))
        else:
            self._net.edges[state].append(Edge(target, None, value_of(spec), name, many))
        if many:
            self._net.jumps[target].append(state)
        return target

    def _closure(self, state: int) -> tuple[int, ...]:
        if state not in self._closures:
            order: list[int] = []
            todo = [state]
            while todo:
                here = todo.pop()
                if here not in order:
                    order.append(here)
                    todo.extend(reversed(self._net.jumps[here]))
            self._closures[state] = tuple(order)
        return self._closures[state]

    def _edges(self, threads: Sequence[_Thread]) -> list[tuple[_Thread, Edge]]:
        return [
            (thread, edge) for thread in threads for s in self._closure(thread.state) for edge in self._net.edges[s]
        ]

    def _expected(self, threads: Sequence[_Thread]) -> tuple[Expected, ...]:
        found: dict[str, Expected] = {}
        for _, edge in self._edges(threads):
            if edge.keyword is not None:
                found.setdefault(edge.keyword, Expected(edge.keyword, True, self._help.get(edge.keyword, "")))
            elif edge.value is not None:
                found.setdefault(edge.value.label, Expected(edge.value.label, False, edge.value.help))
        if any(state in self._net.accepts for thread in threads for state in self._closure(thread.state)):
            found[END_OF_LINE] = Expected(END_OF_LINE, True)
        return tuple(found.values())

    def _step(
        self, threads: Sequence[_Thread], token: Token, line: str
    ) -> tuple[list[_Thread], list[_Thread]] | Mismatch:
        edges = self._edges(threads)
        low = token.text.lower()
        chosen = [(t, e, e.keyword) for t, e in edges if e.keyword is not None and e.keyword.lower() == low]
        if chosen:
            return [_advance(t, e, word, token) for t, e, word in chosen], []
        begun = [
            (t, e, e.keyword)
            for t, e in edges
            if e.keyword is not None and e.keyword.lower().startswith(low) and not low[0].isdigit()
        ]
        kept: list[_Thread] = []
        gobbled: list[_Thread] = []
        reasons: list[str] = []
        for thread, edge in edges:
            if edge.value is None:
                continue
            text = line[token.column :].rstrip() if edge.value.rest else token.text
            try:
                moved = _advance(thread, edge, edge.value.parse(text), token)
            except ValueError as error:
                reasons.append(str(error))
                continue
            (gobbled if edge.value.rest else kept).append(moved)
        if len({word for _, _, word in begun}) == 1:
            kept = [*(_advance(t, e, word, token) for t, e, word in begun), *kept]
        if kept or gobbled:
            return kept, gobbled
        expected = self._expected(threads)
        before = " ".join(line[: token.column].split())
        secret = any(edge.value is not None and edge.value.secret for _, edge in edges)
        if begun:
            return Mismatch("ambiguous", token.column, before, token.text, expected, secret=secret)
        values_only = not any(edge.keyword for _, edge in edges)
        detail = reasons[0] if reasons and (values_only or low[0].isdigit()) else ""
        return Mismatch("invalid", token.column, before, token.text, expected, detail, secret)

    def _finish(self, thread: _Thread, row: Row, no: bool) -> Match:
        args = Args(no=no)
        for edge, value, column in thread.bound:
            name = edge.bind or ""
            args[name] = (*args.get(name, ()), value) if edge.many else value
            args.columns.setdefault(name, column)
        args.pop("_", None)
        return Match(row, args)


def _advance(thread: _Thread, edge: Edge, value: Any, token: Token) -> _Thread:
    if edge.bind is None:
        return _Thread(edge.target, thread.bound)
    return _Thread(edge.target, (*thread.bound, (edge, value, token.column)))
