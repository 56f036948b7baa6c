"""IOS debug text read back into events, by the same catalogue that renders them.

A group's principal line makes the event, its companions are absorbed; a group of which only a part is there still
gives its event. What the text does not hold is UNSET in the event. A line that no row knows comes out as `Unknown`.
Lines of level internal tell of SPIs, roles and states and part no group; a packet spelled out gives its payloads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ikescope.events import UNSET, Event, Record, Stamp, life, message
from ikescope.ios.catalogue import Facts, Is, Line, Row
from ikescope.ios.catalogue_ipsec import IPSEC
from ikescope.ios.catalogue_table import ROWS, field_of
from ikescope.ios.debug_internal import NAT_FOUND, TRACE, change_of, is_remark, nat_checked
from ikescope.ios.debug_packet import DETAIL, HEAD, payload_at

TIME = re.compile(
    r"^\s*(?:\d+: )?[*.]?(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+(?P<day>\d{1,2})"
    r"(?: (?P<year>\d{4}))? (?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:\.(?P<fraction>\d+))?(?: [A-Z]{2,5})?: ?"
)
_PREFIX = re.compile(
    r"^\s?IKEv2(?P<kind>-ERROR|-INTERNAL|-PAK)?:(?:\((?:SESSION ID = (?P<session>\d+),\s?)?SA ID = (?P<sa>\d+)\):)?"
)
_IPSEC = "IPSEC("
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_Key = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A line that the catalogue does not know: its number in the text, from 1, and the line."""

    number: int
    text: str


@dataclass(slots=True)
class _Cut:
    """One line without what stands before its message."""

    number: int
    text: str
    body: str
    prefixed: bool
    kind: str = ""
    session: int | None = None
    sa: int | None = None
    wall: float | None = None


@dataclass(slots=True)
class _Try:
    """A row that may be the group at hand: the line it stands at and the texts of its fields so far."""

    row: Row
    at: int
    lines: int = 0
    principal: bool = False
    texts: list[tuple[str, str]] = field(default_factory=list)
    items: dict[str, list[dict[str, str]]] = field(default_factory=dict)


@dataclass(slots=True)
class _Group:
    """The lines taken for one group, and every row that they still fit."""

    tries: list[_Try]
    wall: float | None
    line: int
    session: int | None = None
    sa: int | None = None
    payloads: list[str] = field(default_factory=list)
    size: int | None = None


def read(lines: Iterable[str], *, router: str = "", year: int = 1970) -> Iterator[Record | Unknown]:
    """Records and unknown lines in the order of the text; `year` is that of time stamps, which IOS does not print.

    A record's wall time is that of its group's first line, 0 where the text has no time stamps; monotonic time counts
    from the first stamp. SPIs, addresses and role are those of the latest packet of the same session and SA.
    """
    return _Reader(router, year).run(lines)


class _Reader:
    def __init__(self, router: str, year: int) -> None:
        self._router, self._year = router, year
        self._seq = 0
        self._first: float | None = None
        self._group: _Group | None = None
        self._known: dict[_Key, Facts] = {}
        self._session: dict[int, int] = {}
        self._repeat: dict[_Key, int] = {}
        self._spoke: dict[_Key, Row] = {}
        self._nat: dict[_Key, set[str]] = {}
        self._told: type[Event] | None = None

    def run(self, lines: Iterable[str]) -> Iterator[Record | Unknown]:
        for number, text in enumerate(lines, 1):
            yield from self._line(_cut(number, text.rstrip("\r\n"), self._year))
        yield from self._close()

    def _line(self, cut: _Cut) -> Iterator[Record | Unknown]:
        if cut.prefixed and (trace := TRACE.fullmatch(cut.body)):
            yield from self._trace(cut, trace)
            return
        if cut.prefixed and cut.body in NAT_FOUND:
            self._nat.setdefault(self._key(cut), set()).add(NAT_FOUND[cut.body])
            return
        if (cut.kind == "-INTERNAL" and is_remark(cut.body)) or self._spelled(cut):
            return
        if self._group is not None and self._advance(self._group, cut):
            return
        if not cut.body and not cut.prefixed:
            return
        opened = _open(cut, self._known.get(self._key(cut), {}).get("initiator"))
        if opened:
            yield from self._close()
            self._group = _Group(opened, cut.wall, cut.number)
            _note(self._group, cut)
        elif not _companion(cut) and not (cut.prefixed and is_remark(cut.body)):
            yield from self._close()
            yield Unknown(cut.number, cut.text)

    def _trace(self, cut: _Cut, trace: re.Match[str]) -> Iterator[Record]:
        """A line of the state machine: whose it is, and perhaps a state of ours that changed."""
        key, initiator = self._key(cut), trace["role"] == "I"
        held: Facts = {"spi_i": trace["spi_i"].lower(), "initiator": initiator}
        if trace["spi_r"].strip("0"):
            held["spi_r"] = trace["spi_r"].lower()
        self._known[key] = self._known.get(key, {}) | held
        change: Event | None = change_of(trace["state"], trace["event"], initiator=initiator)
        found = self._nat.pop(key, None) if trace["event"] == "EV_CHK_CONFIG_MODE" and not initiator else None
        if found is not None:
            change = nat_checked(found)
        if change is not None:
            yield from self._close()
            group = _Group([], cut.wall, cut.number)
            _note(group, cut)
            yield Record(self._stamp(change, {}, group, key), change)

    def _spelled(self, cut: _Cut) -> bool:
        """Whether a line is part of a packet that is spelled out; its payloads' names are kept."""
        head = HEAD.fullmatch(cut.body) if cut.prefixed else None
        group = self._group
        if head is not None:
            if group is not None:
                group.size = int(head["length"])
            return True
        if cut.prefixed or group is None or group.size is None:
            return False
        name = payload_at(cut.body)
        if name is not None:
            group.payloads.append(name)
        return name is not None or DETAIL.match(cut.body) is not None

    def _advance(self, group: _Group, cut: _Cut) -> bool:
        strangers = cut.session is not None and group.session is not None and cut.session != group.session
        if strangers or (cut.sa is not None and group.sa is not None and cut.sa != group.sa):
            return False
        further = [after for one in group.tries if (after := _step(one, cut)) is not None]
        if not further:
            return _continue(group, cut)
        group.tries = further
        _note(group, cut)
        return True

    def _close(self) -> Iterator[Record]:
        group, self._group = self._group, None
        if group is None:
            return
        whole = [one for one in group.tries if one.principal]
        if not whole:
            return
        key = self._key(group)
        # Two rows may have the same line: then the one that did not speak just now.
        best = max(whole, key=lambda one: (one.lines - len(one.row.lines) / 100, one.row is not self._spoke.get(key)))
        self._spoke[key] = best.row
        if best.row.lines[0].prefix != "ipsec" or best.row.event is not self._told or best.row.event not in _twofold():
            self._told = best.row.event
            yield self._record(best, group)

    def _record(self, one: _Try, group: _Group) -> Record:
        facts: Facts = {}
        stamp: Facts = {name: value for name, value in one.row.stamp.items() if not isinstance(value, Is)}
        for name, value in one.row.when.items():
            if not isinstance(value, Is | frozenset):
                facts[name] = value
        for name, text in one.texts:
            field_of(one.row, name).read(text, facts, stamp)
        for name, items in one.items.items():
            facts[name] = tuple(one.row.items[name].read(texts) for texts in items)
        if group.size is not None:
            _spelled_facts(one.row, group, facts)
        key = self._key(group)
        if issubclass(one.row.event, message.MessageSent | message.MessageReceived):
            facts["repeat"] = self._repeat.get(key, 0) if one.row.event is message.MessageSent else 0
        event = one.row.event(**{name: facts.get(name, UNSET) for name in one.row.event.__struct_fields__})
        self._count(event, key)
        return Record(self._stamp(event, stamp, group, key), event)

    def _key(self, group: _Group | _Cut) -> _Key:
        """Session and SA of a group; a line of the crypto engine names the SA alone."""
        if group.sa is not None and group.session is not None:
            self._session[group.sa] = group.session
        session = self._session.get(group.sa) if group.sa is not None else None
        return session, group.sa

    def _count(self, event: Event, key: _Key) -> None:
        """The packet that follows `Retransmitting packet` is the same one again."""
        if isinstance(event, message.Retransmitting):
            self._repeat[key] = self._repeat.get(key, 0) + 1
        elif isinstance(event, message.MessageReceived | message.MessageBuilding | life.IkeSaClosed):
            self._repeat.pop(key, None)

    def _stamp(self, event: Event, stamp: Facts, group: _Group, key: _Key) -> Stamp:
        self._seq += 1
        wall = group.wall if group.wall is not None else 0.0
        if self._first is None and group.wall is not None:
            self._first = wall
        if "local" in stamp:
            self._known[key] = self._packet(event, stamp, key)
        inherited = dict(self._known.get(key, {})) if group.sa is not None else {}
        inherited |= {name: number for name, number in zip(("session", "sa"), key, strict=True) if number is not None}
        if isinstance(event, life.IkeSaClosed):
            self._known.pop(key, None)
            self._spoke.pop(key, None)
        mono = wall - self._first if self._first is not None else 0.0
        return Stamp(seq=self._seq, mono=mono, wall=wall, router=self._router, line=group.line, **(inherited | stamp))

    def _packet(self, event: Any, stamp: Facts, key: _Key) -> Facts:
        """What a packet's header says of its SA; who asks in IKE_SA_INIT is the initiator."""
        names = ("local", "peer", "spi_i", "spi_r")
        held: Facts = {name: stamp[name] for name in names if name in stamp}
        before = self._known.get(key, {})
        if event.exchange == 34:
            held["initiator"] = isinstance(event, message.MessageSent) is not event.response
            stamp["initiator"] = held["initiator"]
        elif before.get("spi_i") == held.get("spi_i") and "initiator" in before:
            held["initiator"] = before["initiator"]
        return held


def _spelled_facts(row: Row, group: _Group, facts: Facts) -> None:
    """What a packet spelled out says: its length, and its payloads as the default level would name them."""
    facts["size"] = group.size
    names, inside = group.payloads, tuple[str, ...]()
    if issubclass(row.event, message.MessageSent) and "ENCR" in names:
        at = names.index("ENCR") + 1
        names, inside = names[:at], tuple(names[at:])
    field_of(row, "payloads").read(" ".join(names), facts, {})
    if inside:
        facts["inner"] = inside


def _note(group: _Group, cut: _Cut) -> None:
    group.session = cut.session if group.session is None else group.session
    group.sa = cut.sa if group.sa is None else group.sa


def _cut(number: int, text: str, year: int) -> _Cut:
    wall: float | None = None
    body = text
    found = TIME.match(text)
    if found:
        body = text[found.end() :]
        wall = wall_of(found, year)
    head = _PREFIX.match(body)
    if head is None:
        ipsec = body.startswith(_IPSEC)
        return _Cut(number, text, body.strip(), ipsec, _IPSEC if ipsec else "", wall=wall)
    session, sa = (int(head[name]) if head[name] else None for name in ("session", "sa"))
    return _Cut(number, text, body[head.end() :].strip(), True, head["kind"] or "", session, sa, wall)


def wall_of(found: re.Match[str], year: int) -> float | None:
    """Seconds since 1970 of a time stamp; None for a day that its year does not have."""
    hour, minute, second = (int(found[part]) for part in ("hour", "minute", "second"))
    month = _MONTHS.index(found["month"]) + 1
    try:
        at = datetime(int(found["year"] or year), month, int(found["day"]), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return at.timestamp() + float(f"0.{found['fraction'] or 0}")


def _open(cut: _Cut, initiator: bool | None) -> list[_Try]:
    """Every row that this line can begin: with its principal line, or with a companion before it.

    Where the role in the SA is known, no row of the other one.
    """
    made = []
    for row, index in _candidates(cut):
        if initiator is not None and row.stamp.get("initiator") is (not initiator):
            continue
        if index <= row.principal:
            begun = _enter(_Try(row, -1), index, cut)
            if begun is not None:
                made.append(begun)
    return made


def _companion(cut: _Cut) -> bool:
    """Whether a line belongs after some row's principal line: a part of a group whose head is not in the text."""
    return any(
        row.lines[index].prefix != "none" and _enter(_Try(row, -1), index, cut) for row, index in _candidates(cut)
    )


def _step(one: _Try, cut: _Cut) -> _Try | None:
    """The row one line further; a companion may be missing, the principal line not."""
    start = one.at + 1
    line = one.row.lines[one.at]
    if line.each:
        again = one.at
        while again > 0 and one.row.lines[again - 1].each == line.each:
            again -= 1
        repeated = _enter(one, again, cut)
        if repeated is not None:
            return repeated
    for index in range(start, len(one.row.lines)):
        further = _enter(one, index, cut)
        if further is not None:
            return further
        if index == one.row.principal:
            return None
    return None


def _enter(one: _Try, index: int, cut: _Cut) -> _Try | None:
    line = one.row.lines[index]
    if not _kind_fits(line, cut):
        return None
    found = _pattern(one.row, index).fullmatch(cut.body)
    if found is None:
        return None
    after = _Try(one.row, index, one.lines + 1, one.principal or index == one.row.principal, list(one.texts))
    after.items = {name: [dict(texts) for texts in items] for name, items in one.items.items()}
    values = {name: text for name, text in found.groupdict().items() if text is not None}
    if not line.each:
        after.texts += [(name, values[name]) for name in line.fields if name in values]
        return after
    block = after.items.setdefault(line.each, [])
    if index == 0 or one.row.lines[index - 1].each != line.each or not block:
        block.append({})
    block[-1].update(values)
    return after


def _continue(group: _Group, cut: _Cut) -> bool:
    """A line without prefix that goes on with a field of the line before it."""
    if cut.prefixed or cut.wall is not None or not cut.body:
        return False
    taken = False
    for one in group.tries:
        line = one.row.lines[one.at]
        if not line.more:
            continue
        taken = True
        if line.each:
            texts = one.items[line.each][-1]
            texts[line.more] = f"{texts.get(line.more, '')}\n{cut.body}"
        else:
            name, text = one.texts[-1]
            one.texts[-1] = (name, f"{text}\n{cut.body}")
    return taken


def _kind_fits(line: Line, cut: _Cut) -> bool:
    if line.prefix == "none":
        return not cut.prefixed
    # An empty line is an error's only where the prefix says so: a terminal that wraps leaves empty lines too.
    return cut.prefixed and cut.kind in _KINDS.get(line.prefix, ("",)) and bool(cut.body or cut.kind)


#: IOS 15 has no word for an error's prefix.
_KINDS: dict[str, tuple[str, ...]] = {"error": ("-ERROR", ""), "error-bare": ("-ERROR", ""), "ipsec": (_IPSEC,)}


def _pattern(row: Row, index: int) -> re.Pattern[str]:
    return _compiled()[id(row)][index]


@cache
def _compiled() -> dict[int, tuple[re.Pattern[str], ...]]:
    return {id(row): tuple(_compile(row, line) for line in row.lines) for row in (*ROWS, *IPSEC)}


def _compile(row: Row, line: Line) -> re.Pattern[str]:
    """The template as a regular expression, without the blanks around it."""
    out = ""
    for part in re.split(r"(\{\w+\})", line.text.strip()):
        if not part.startswith("{"):
            out += re.escape(part)
            continue
        name = part[1:-1]
        form = row.items[line.each].patterns[name] if line.each else field_of(row, name).pattern
        out += f"(?P<{name}>{form})"
    return re.compile(out)


@cache
def _twofold() -> frozenset[type[Event]]:
    """Events that have lines of both debugs, `crypto ikev2` and `crypto ipsec`, where both are on."""
    return frozenset(row.event for row in IPSEC) & frozenset(row.event for row in ROWS if row.lines)


@cache
def _index() -> tuple[dict[str, list[tuple[Row, int]]], list[tuple[str, Row, int]]]:
    """Where each prefixed line stands: by its whole text, and those with fields by what stands before the first."""
    whole: dict[str, list[tuple[Row, int]]] = {}
    headed: list[tuple[str, Row, int]] = []
    for row in (*ROWS, *IPSEC):
        for index, line in enumerate(row.lines):
            if line.prefix == "none":
                continue
            head, mark, _ = line.text.strip().partition("{")
            if mark:
                headed.append((head, row, index))
            else:
                whole.setdefault(head, []).append((row, index))
    return whole, headed


def _candidates(cut: _Cut) -> list[tuple[Row, int]]:
    if not cut.prefixed:
        return []
    whole, headed = _index()
    return [
        *whole.get(cut.body, ()),
        *((row, index) for head, row, index in headed if cut.body.startswith(head)),
    ]
