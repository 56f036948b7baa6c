"""`show monitor event-trace crypto ikev2 {event|error|exception} all`: the flight recorder in IOS's words, both ways.

A line is a time stamp, the SA, session and ends, and a text; the texts of `event` stand in one table (seen in
transcript 30), those of `error` are the error lines of the debug. The same table reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal

import msgspec

from ikescope.events import UNSET, Event, Record, Stamp, UnsetType, life, message, negotiation
from ikescope.ios import debug_cut, words
from ikescope.ios.catalogue import Facts, Field, Line, Row
from ikescope.ios.catalogue_fields import FIELDS
from ikescope.ios.debug import Renderer, stamp_text
from ikescope.ios.debug_cut import clean, is_start, shown
from ikescope.ios.debug_group import Foreign, Unknown
from ikescope.ios.debug_known import is_foreign, is_known
from ikescope.ios.debug_read import read as read_debug
from ikescope.ios.text_lines import PROMPT
from ikescope.ios.words import Source

Kind = Literal["event", "error", "exception"]
INIT, INFO = 34, 37

_HEAD = "SA ID:{sa} SESSION ID:{session} Remote: {remote} Local: {local}  "
_LINE = re.compile(
    r"SA ID:(?P<sa>\d+) SESSION ID:(?P<session>\d+) Remote: (?P<remote>\S+) Local: (?P<local>\S+)\s+(?P<text>.*?)\s*"
)
_CONTAINS = "({role}) IKEv2 {exchange} Exchange Contains: {payload}"
_CONTAINED = re.compile(r"\((?P<role>[IR])\) IKEv2 (?P<exchange>\w+) Exchange Contains: (?P<payload>\S+)")


def _role(event: Any, _: Stamp) -> str:
    """Whose part it is in the exchange: who asks is the initiator."""
    return "I" if isinstance(event, message.MessageSent) is not event.response else "R"


_ROLE = Field("[IR]", _role, lambda *_: None)
_DELETE_CHILD = "DELETE INFO message for IPsec SA [SPI: {spis}]"
_DELETE_IKE = "DELETE INFO message for IKEv2 SA [ISPI: 0x{spi_i} RSPI: 0x{spi_r}]"
_PAIR = "Session with IKE ID PAIR({remote_id} , {local_id}) is "


def _row(event: type[Event], text: str, source: Source = "seen", **when: Any) -> Row:
    where = "30" if source == "seen" else "30 for the form" if source == "inferred" else ""
    return Row(event, (Line("none", text),), source, where, when=when, fields={"role": _ROLE})


TRACE_ROWS: tuple[Row, ...] = (
    _row(message.MessageSent, "({role}) Sending IKEv2 {exchange} Exchange {direction}"),
    _row(message.MessageReceived, "({role}) Received IKEv2 {exchange} Exchange {direction}"),
    _row(negotiation.ExchangeCompleted, "Completed SA init exchange", exchange=INIT),
    _row(life.SessionUp, _PAIR + "UP"),
    _row(life.SessionDown, _PAIR + "DOWN", "inferred"),
    _row(life.DeleteSent, f"Sending {_DELETE_CHILD}", kind="child"),
    _row(life.DeleteSent, f"Sending {_DELETE_IKE}", kind="ike"),
    _row(life.DeleteReceived, f"Processing {_DELETE_CHILD}", kind="child"),
    _row(life.DeleteReceived, f"Processing {_DELETE_IKE}", kind="ike"),
    _row(life.RekeyStarted, "Beginning IKE SA rekey [ISPI: 0x{spi_i} RSPI: 0x{spi_r}]", "unsourced", kind="ike"),
    _row(life.RekeyStarted, "Beginning IPSec SA rekey [SPI: 0x{spi_a}]", "unsourced", kind="child"),
    _row(life.IkeSaRekeyed, "IKEV2 SA rekeyed; new SA [ISPI: 0x{new_spi_i} RSPI: 0x{new_spi_r}]", "unsourced"),
    _row(life.ChildSaRekeyed, "IPSec SA [SPI: 0x{old_inbound}] rekeyed; new SA [SPI: 0x{new_inbound}]", "unsourced"),
)
"""The texts of the `event` trace, one event each."""

EXCEPTIONS: tuple[type[Event], ...] = (life.TaskFailed,)


def trace(records: Iterable[Record], kind: Kind = "event") -> list[str]:
    """The lines of one trace, oldest first, with IOS's time stamps in UTC."""
    out: list[str] = []
    for record in records:
        texts = _events(record) if kind == "event" else _errors(record, exceptions=kind == "exception")
        head = stamp_text(record.stamp.wall) + head_of(record.stamp)
        out += [head + text for text in texts]
    return out


def head_of(stamp: Stamp) -> str:
    """SA, session and ends, as each line of a trace begins."""
    return _HEAD.format(sa=stamp.sa or 0, session=stamp.session or 0, remote=_end(stamp.peer), local=_end(stamp.local))


def _end(text: str | UnsetType) -> str:
    if text is UNSET:
        return "0.0.0.0/0"
    host, _, port = text.rpartition(":")
    return f"{words.address(host).strip('[]')}/{port}"


def _events(record: Record) -> Iterator[str]:
    event, stamp = record.event, record.stamp
    row = next((one for one in _by_event().get(type(event), ()) if one.holds(event, stamp)), None)
    if row is None:
        return
    values = {name: _field(row, name).render(event, stamp) for name in row.lines[0].fields}
    if None in values.values():
        return
    yield row.lines[0].text.format_map(values)
    if isinstance(event, message.MessageSent | message.MessageReceived) and event.exchange == INFO:
        for name in event.inner if event.inner is not UNSET else ():
            payload = name.partition("(")[0]
            yield _CONTAINS.format(role=_role(event, stamp), exchange=words.exchange(INFO), payload=payload)


_ERRORS = Renderer("error")


def _errors(record: Record, *, exceptions: bool) -> Iterator[str]:
    if isinstance(record.event, EXCEPTIONS) is exceptions:
        text = " ".join(line.partition("IKEv2-ERROR:")[2].strip() or line for line in _ERRORS.lines(record))
        text = re.sub(r"\(SESSION ID = \d+,SA ID = \d+\):", "", text)
        if text:
            yield text


def _field(row: Row, name: str) -> Field:
    return row.fields.get(name) or FIELDS[name]


@cache
def _by_event() -> dict[type[Event], tuple[Row, ...]]:
    table: dict[type[Event], list[Row]] = {}
    for row in TRACE_ROWS:
        table.setdefault(row.event, []).append(row)
    return {event: tuple(some) for event, some in table.items()}


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], Row], ...]:
    made = []
    for row in TRACE_ROWS:
        out = ""
        for part in re.split(r"(\{\w+\})", row.lines[0].text):
            name = part[1:-1]
            out += f"(?P<{name}>{_field(row, name).pattern})" if part.startswith("{") else re.escape(part)
        made.append((re.compile(out), row))
    return tuple(made)


_AT = re.compile(r"SA ID:\d+ SESSION ID:\d+ Remote: ")


def is_trace(text: str) -> bool:
    """Whether a line is one of an event-trace."""
    return _AT.search(text[:400]) is not None


def read(
    lines: Iterable[str], *, router: str = "", year: int = 1970, source: str | None = None
) -> Iterator[Record | Unknown]:
    """Records and unknown lines of an event-trace, in its order; `year` is that of time stamps without one.

    SPIs stand in DELETE lines alone: what the text does not hold is UNSET.
    """
    held: Record | None = None
    first: float | None = None
    for number, text in _whole_lines(lines):
        at = _AT.search(text[:400])
        before = debug_cut.head_of(text[: at.start()], year) if at else None
        found = _LINE.fullmatch(text[at.start() :].strip()) if at and before is not None else None
        if found is None or before is None:
            if text.strip():
                yield (Foreign if is_foreign(text) or PROMPT.match(text.strip()) else Unknown)(number, shown(text))
            continue
        contained = _CONTAINED.fullmatch(found["text"])
        if contained is not None:
            if held is not None:
                held = _with_payload(held, contained["payload"])
            continue
        if held is not None:
            yield held
        first = before.wall if first is None else first
        wall = before.wall or 0.0
        held = _record(found, number, router, wall, wall - (first or 0.0), source)
        if held is None and not is_known(found["text"]):
            yield Unknown(number, shown(text))
    if held is not None:
        yield held


def _whole_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Lines with what a page or a terminal broke off them; each by the number of its first part."""
    at, held = 0, ""
    for number, line in enumerate(lines, 1):
        for text in clean(line.rstrip("\r\n")):
            broken = (
                _AT.search(held[:400]) is not None and text.strip() and not is_start(text) and not PROMPT.match(text)
            )
            if broken and (whole := _put_together(held, text.strip())) is not None:
                held = whole
                continue
            if held:
                yield at, held
            at, held = number, text
    if held:
        yield at, held


def _put_together(before: str, after: str) -> str | None:
    """Two parts of a line as one, where that is a line; None where the first is one by itself."""
    if _knows(before):
        return None
    return next(
        (whole for whole in (f"{before.rstrip()} {after}", before + after) if _knows(whole)),
        f"{before.rstrip()} {after}",
    )


def _knows(text: str) -> bool:
    found = _LINE.fullmatch(text[_AT.search(text).start() :].strip())  # type: ignore[union-attr]
    if found is None:
        return False
    return _CONTAINED.fullmatch(found["text"]) is not None or any(
        one.fullmatch(found["text"]) for one, _ in _patterns()
    )


def _with_payload(record: Record, name: str) -> Record:
    event: Any = record.event
    if not isinstance(event, message.MessageSent | message.MessageReceived):
        return record
    inner = (*(event.inner if event.inner is not UNSET else ()), name)
    return Record(record.stamp, msgspec.structs.replace(event, inner=inner))


def _record(
    found: re.Match[str], number: int, router: str, wall: float, mono: float, source: str | None = None
) -> Record | None:
    ends = {"peer": _socket(found["remote"]), "local": _socket(found["local"])}
    stamp: Facts = {"session": int(found["session"]), "sa": int(found["sa"])} | ends
    if source is not None:
        stamp["source"] = source
    for pattern, row in _patterns():
        match = pattern.fullmatch(found["text"])
        if match is None:
            continue
        facts: Facts = dict(row.when)
        for name, text in match.groupdict().items():
            _field(row, name).read(text, facts, stamp)
        if issubclass(row.event, message.MessageSent | message.MessageReceived):
            facts |= {"remote": ends["peer"], "local": ends["local"], "repeat": 0}
            if facts["exchange"] == INIT:
                stamp["initiator"] = match["role"] == "I"
        event = row.event(**{name: facts.get(name, UNSET) for name in row.event.__struct_fields__})
        return Record(Stamp(seq=number, mono=mono, wall=wall, router=router, line=number, **stamp), event)
    return _error(found, Stamp(seq=number, mono=mono, wall=wall, router=router, line=number, **stamp))


def _error(found: re.Match[str], stamp: Stamp) -> Record | None:
    """An error's line, by the catalogue of the debug."""
    line = f"IKEv2-ERROR:(SESSION ID = {found['session']},SA ID = {found['sa']}):{found['text']}"
    made = [one for one in read_debug([line]) if isinstance(one, Record)]
    return Record(stamp, made[0].event) if made else None


def _socket(text: str) -> str:
    host, _, port = text.rpartition("/")
    return f"[{host.lower()}]:{port}" if ":" in host else f"{host}:{port}"
