"""The catalogue as an automaton: what a line is (its symbol), what a group of lines may become, what it was.

The lines of a group are symbols, each the set of places in the catalogue where such a line stands; groups are paths of
symbols in one tree, which grows with the texts that are read: a line costs one look into a dictionary. A group's event
is made once for each text of its lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from typing import Any

from ikescope.events import UNSET, Event
from ikescope.ios.catalogue import Facts, Is, Line, Row
from ikescope.ios.catalogue_ipsec import IPSEC
from ikescope.ios.catalogue_read import READ
from ikescope.ios.catalogue_table import ROWS, field_of
from ikescope.ios.debug_internal import is_remark
from ikescope.ios.debug_known import is_known
from ikescope.ios.text_lines import GLUED

ALL: tuple[Row, ...] = (*ROWS, *IPSEC, *READ)
IPSEC_KIND = "IPSEC("
NONE_KIND = "none"
_STAMPED = frozenset({"spi_i", "spi_r", "message_id"})
"""Fields that a line's text gives to the stamp alone."""
#: What is kept of texts that were looked at; a text has far fewer different lines.
_KEPT = 1 << 12
_EVENTS = 1 << 10
"""Events that are kept of each way to make some."""
_NODES = 1 << 16

Places = dict[int, tuple[int, ...]]


@dataclass(eq=False, slots=True)
class Symbol:
    """What a line is: where the catalogue has it (row -> lines), if it tells nothing, if it is but a field."""

    places: Places
    remark: bool = False
    wild: bool = False
    payloads: bool = False
    special: bool = False
    roots: dict[bool | None, Node | None] = field(default_factory=dict)
    """The group that such a line begins, by the role in the SA."""

    @property
    def known(self) -> bool:
        """Whether anything knows such a line."""
        return bool(self.places) or self.remark


_GLUED = Symbol({})
SPECIAL = re.compile(r"SM Trace|Next payload: |No NAT found|Host is located NAT|Verif")
"""Lines that the reader itself looks at: those of the state machine, of a packet's header, of what PKI found."""


class Node:
    """A group so far: each row that it may be, the line it stands at, and whether its principal line was there."""

    __slots__ = ("more", "next", "parent", "payloads", "plans", "symbol", "tries", "whole")

    def __init__(self, tries: tuple[tuple[int, int, bool], ...], parent: Node | None, symbol: Symbol | None) -> None:
        self.tries, self.parent, self.symbol = tries, parent, symbol
        self.next: dict[Symbol, Node | None] = {}
        self.plans: dict[int, Plan] = {}
        lines = [ALL[row].lines[at] for row, at, _ in tries]
        self.more = any(line.more for line in lines)
        self.payloads = any(line.text == " {payloads}" for line in lines)
        self.whole = tuple(dict.fromkeys(row for row, _, principal in tries if principal))

    def path(self) -> list[Symbol]:
        """The symbols that lead here."""
        found: list[Symbol] = []
        node: Node | None = self
        while node is not None and node.symbol is not None:
            found.append(node.symbol)
            node = node.parent
        return found[::-1]


@dataclass(slots=True)
class Plan:
    """How the texts of one path become the facts of one row: which line's fields stand in which of the texts."""

    row: Row
    singles: list[tuple[int, Line, re.Pattern[str]]] = field(default_factory=list)
    stamps: list[tuple[int, Line, re.Pattern[str]]] = field(default_factory=list)
    items: dict[str, list[list[tuple[int, Line, re.Pattern[str]]]]] = field(default_factory=dict)
    pick: Callable[[list[str]], Any] = field(default=lambda _: None)
    made: dict[Any, tuple[Event, Facts]] = field(default_factory=dict)

    def event(self, bodies: list[str], more: Facts | None) -> tuple[Event, Facts]:
        """The event of these texts and the facts of its stamp, which are shared and not to be changed.

        `more` are facts that other lines tell.
        """
        key: Any = self.pick(bodies)
        if more is not None:
            key = (key, *more.items())
        found = self.made.get(key)
        if found is None:
            if len(self.made) >= _EVENTS:
                self.made.clear()
            facts, stamp = self._facts(bodies)
            made = event_of(self.row, facts if more is None else facts | more)
            found = self.made[key] = made, stamp
        if not self.stamps:
            return found
        stamp = dict(found[1])
        for step, line, pattern in self.stamps:
            for name, text in _texts(bodies[step], line, pattern):
                field_of(self.row, name).read(text, {}, stamp)
        return found[0], stamp

    def _facts(self, bodies: list[str]) -> tuple[dict[str, Any], Facts]:
        row = self.row
        stamp: Facts = {name: value for name, value in row.stamp.items() if not isinstance(value, Is)}
        facts: Facts = {name: value for name, value in row.when.items() if not isinstance(value, Is | frozenset)}
        for step, line, pattern in self.singles:
            for name, text in _texts(bodies[step], line, pattern):
                field_of(row, name).read(text, facts, stamp)
        for name, blocks in self.items.items():
            items = row.items[name]
            facts[name] = tuple(
                items.read(
                    {key: text for step, line, pattern in block for key, text in _texts(bodies[step], line, pattern)}
                )
                for block in blocks
            )
        return facts, stamp


def _texts(body: str, line: Line, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """The fields of a line's text, in the template's order; a field that goes on has the lines after it too."""
    first, mark, rest = body.partition("\n")
    found = pattern.fullmatch(first.strip())
    if found is None:
        return
    for name in line.fields:
        text = found[name]
        if text is not None:
            yield name, f"{text}\n{rest}" if mark and name == line.more else text


def event_of(row: Row, facts: Facts) -> Event:
    """The event of a row with the facts that are there; the others are UNSET."""
    names = row.event.__struct_fields__
    return row.event(**{name: facts.get(name, UNSET) for name in names})


class Automaton:
    """What lines are and what groups may become, learnt as they come; one for all readers."""

    def __init__(self) -> None:
        self._symbols: dict[str, dict[str, Symbol]] = {}
        self._sets: dict[tuple[object, ...], Symbol] = {}
        self._nodes = 0

    def symbols(self, kind: str) -> dict[str, Symbol]:
        """Texts of one kind (that of the prefix, or none) that were looked at already."""
        return self._symbols.setdefault(kind, {})

    def symbol(self, kind: str, body: str) -> Symbol:
        """What a message's text is; `kind` is `` for IKEv2's default, `-ERROR` and so on, `IPSEC(`, or `none`."""
        seen = self.symbols(kind)
        found = seen.get(body)
        if found is None:
            if len(seen) >= _KEPT:
                seen.clear()
            found = seen[body] = self._shared(kind, body.strip())
        return found

    def _shared(self, kind: str, body: str) -> Symbol:
        special = kind != NONE_KIND and SPECIAL.match(body) is not None
        if kind != NONE_KIND and "IKEv2" in body and GLUED.search(body) is not None:
            return _GLUED
        places, remark, wild = _classify(kind, body)
        key = (tuple(sorted(places.items())), remark, wild, special)
        found = self._sets.get(key)
        if found is None:
            lists = any(ALL[row].lines[at].text == " {payloads}" for row, some in places.items() for at in some)
            found = self._sets[key] = Symbol(places, remark, wild, lists, special)
        return found

    def begin(self, symbol: Symbol, initiator: bool | None) -> Node | None:
        """The group that a line begins: with its principal line, or with a companion before it.

        Where the role in the SA is known, no row of the other one.
        """
        if initiator not in symbol.roots:
            tries = []
            for row, places in symbol.places.items():
                one = ALL[row]
                if initiator is not None and one.stamp.get("initiator") is (not initiator):
                    continue
                tries += [(row, at, at == one.principal) for at in places if at <= one.principal]
            symbol.roots[initiator] = Node(tuple(tries), Node((), None, None), symbol) if tries else None
            self._nodes += 1
        return symbol.roots[initiator]

    def further(self, node: Node, symbol: Symbol) -> Node | None:
        """The group with one line more; None where the line is no part of it."""
        if symbol in node.next:
            return node.next[symbol]
        if self._nodes >= _NODES:
            # A text made to grow the tree: it begins anew.
            for one in self._sets.values():
                one.roots.clear()
            self._nodes = 0
        tries = []
        for row, at, principal in node.tries:
            after = _step(ALL[row], at, symbol.places.get(row, ()))
            if after is not None:
                tries.append((row, after, principal or after == ALL[row].principal))
        found = Node(tuple(tries), node, symbol) if tries else None
        self._nodes += 1
        node.next[symbol] = found
        return found

    def plan(self, node: Node, row: int) -> Plan:
        """How the texts of a group that ended become the facts of a row that it is."""
        found = node.plans.get(row)
        if found is None:
            found = node.plans[row] = _plan(row, node.path())
        return found


AUTOMATON = Automaton()


def _step(row: Row, at: int, places: tuple[int, ...]) -> int | None:
    """The line of a row that comes next; a companion may be missing, the principal line not."""
    if not places:
        return None
    if row.lines[at].each:
        again = at
        while again > 0 and row.lines[again - 1].each == row.lines[at].each:
            again -= 1
        if again in places:
            return again
    for index in range(at + 1, len(row.lines)):
        if index in places:
            return index
        if index == row.principal:
            return None
    return None


def _plan(number: int, path: list[Symbol]) -> Plan:
    row, at = ALL[number], -1
    plan = Plan(row)
    for step, symbol in enumerate(path):
        places = symbol.places[number]
        after = next(iter(places)) if at < 0 else _step(row, at, places)
        assert after is not None
        line = row.lines[after]
        entry = step, line, pattern_of(number, after)
        if line.each:
            blocks = plan.items.setdefault(line.each, [])
            if after == 0 or row.lines[after - 1].each != line.each or not blocks:
                blocks.append([])
            blocks[-1].append(entry)
        elif line.fields:
            (plan.stamps if _STAMPED.issuperset(line.fields) else plan.singles).append(entry)
        at = after
    steps = [step for step, _, _ in plan.singles]
    steps += [step for blocks in plan.items.values() for block in blocks for step, _, _ in block]
    if steps:
        plan.pick = itemgetter(*sorted(steps))
    return plan


def pattern_of(row: int, index: int) -> re.Pattern[str]:
    """The regular expression of one line of a row, without the blanks around it."""
    return _compiled()[row][index]


@cache
def _compiled() -> tuple[tuple[re.Pattern[str], ...], ...]:
    return tuple(tuple(_compile(row, line) for line in row.lines) for row in ALL)


#: Narrower than the catalogue's, whose lines a prompt or a banner would fit as well.
_PAYLOADS = r"(?:[A-Z][\w-]*+(?:\([^()\s]{0,60}+\)?)?+(?: ++|$))*+"
_NAMES = r"(?![\w.-]+[#>]|Payload|Initiator|Num\.)[A-Z0-9]\S*(?: .*)?"


def _compile(row: Row, line: Line) -> re.Pattern[str]:
    out = ""
    text = line.text.strip()
    if line.prefix.startswith("error") and text.startswith(": ") and not text.startswith(": {why}"):
        out, text = "(?:: ?)?", text[2:]
    for part in re.split(r"(\{\w+\})", text):
        if not part.startswith("{"):
            out += re.escape(part)
            continue
        name = part[1:-1]
        form = row.items[line.each].patterns[name] if line.each else field_of(row, name).pattern
        if line.prefix == "none" and name in ("payloads", "names"):
            form = _PAYLOADS if name == "payloads" else _NAMES
        out += f"(?P<{name}>{form})"
    return re.compile(out)


_Templates = list[tuple[re.Pattern[str], int, int, str]]


@dataclass(slots=True)
class _Index:
    """The lines of one kind: those without fields by their text, the others by their first words."""

    whole: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    headed: dict[str, _Templates] = field(default_factory=dict)
    wild: _Templates = field(default_factory=list)

    def find(self, body: str) -> tuple[Places, bool]:
        places: dict[int, list[int]] = {}
        for row, index in self.whole.get(body, ()):
            places.setdefault(row, []).append(index)
        first, _, _ = body.partition(" ")
        tame = bool(places)
        for pattern, row, index, head in self.headed.get(first, ()):
            if body.startswith(head) and pattern.fullmatch(body) is not None:
                places.setdefault(row, []).append(index)
                tame = True
        for pattern, row, index, _ in self.wild:
            if pattern.fullmatch(body) is not None:
                places.setdefault(row, []).append(index)
        return {row: tuple(sorted(some)) for row, some in places.items()}, not tame


_DEFAULT = frozenset({"sa", "engine", "bare"})
_ERROR = frozenset({"error", "error-bare"})
#: Which lines of the catalogue a prefix admits; IOS 15 has no word for an error's.
_ADMITS: dict[str, frozenset[str]] = {
    "": _DEFAULT | _ERROR,
    "-ERROR": _ERROR,
    "-INTERNAL": _DEFAULT,
    "-PAK": _DEFAULT,
    IPSEC_KIND: frozenset({"ipsec"}),
    NONE_KIND: frozenset({"none"}),
}


@cache
def _index(kind: str) -> _Index:
    made = _Index()
    for number, row in enumerate(ALL):
        for at, line in enumerate(row.lines):
            if line.prefix in _ADMITS[kind]:
                _enter(made, kind, number, at, line)
    return made


def _enter(made: _Index, kind: str, number: int, at: int, line: Line) -> None:
    text = line.text.strip()
    bare = text[2:] if kind == "-ERROR" and text.startswith(": ") else text
    if not line.fields:
        for one in {text, bare, *_twins(kind, text)}:
            made.whole.setdefault(one, []).append((number, at))
        return
    for one in {text, bare}:
        head = one.partition("{")[0]
        first = head.partition(" ")[0]
        entry = pattern_of(number, at), number, at, head
        if first and " " in head and first != ":":
            made.headed.setdefault(first, []).append(entry)
        elif head.startswith(": ") and head[2:].strip():
            made.headed.setdefault(":", []).append(entry)
        elif entry not in made.wild and (one == text or not bare.startswith("{why}")):
            made.wild.append(entry)


def _twins(kind: str, text: str) -> Iterable[str]:
    """`A: A`, as IOS writes where its two texts are the same, for `: A` and the other way round."""
    if kind != "-ERROR" or not text:
        return ()
    plain = text.removeprefix(": ")
    half, mark, other = plain.partition(": ")
    plain = half if mark and half == other else plain
    return plain, f": {plain}", f"{plain}: {plain}"


def _classify(kind: str, body: str) -> tuple[Places, bool, bool]:
    if kind == "-INTERNAL" and is_remark(body):
        return {}, True, False
    if not body and kind in ("", "-INTERNAL", "-PAK"):
        return {}, False, False
    places, wild = _index(kind).find(body)
    remark = kind not in (NONE_KIND, IPSEC_KIND) and (is_remark(body) or is_known(body))
    return places, remark, wild and bool(places)
