"""The ladder: routers as columns, a line a datagram, what changed between them; good at 80 columns.

One model for every ladder: `Ladder` folds records into rows, `draw` makes lines of text of a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import msgspec

from ikescope.events import UNSET, Record
from ikescope.events.message import MessageDropped
from ikescope.events.negotiation import ExchangeFailed
from ikescope.events.router import EspSeen
from ikescope.explain import words
from ikescope.timeline import Message, Rung, Timeline, rungs
from ikescope.timeline.exchanges import purpose_of
from ikescope.timeline.fold import ZERO_SPI
from ikescope.timeline.join import clock_shifts
from ikescope.views.marks import SOFT, Kind, Mark, Severity, mark_of
from ikescope.wire.registry import ExchangeType, NotifyType

#: Notifies that a reader wants by name although they report no error.
NAMED = frozenset({"REKEY_SA", "COOKIE"})
_NOTIFY = re.compile(r"NOTIFY\((\w+)\)")
NO_SPIS = "IKE SA of unknown SPIs"
_TIME = 9
#: How wide the column of a capture point is.
_POINT = 5
#: Exchanges whose name says what they are for.
_FIRST = (ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH)
#: The sign before what is no message, by severity: a failure is seen without colour.
SIGNS: dict[Severity, str] = {"info": "-", "good": "*", "notice": "-", "error": "!"}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a ladder.

    `kind`: `sa` heads the messages of an IKE SA, `message` is a datagram (`rung` and `message` hold it), `ike` and
    `child` are changes of state, `failure` and `note` the rest. `left` and `right` are the columns of its pair of
    routers (`right` is empty where the record names no peer), `at` the one of them that sends or tells. `seconds`
    count from the first datagram; `wall` is Unix time, 0 where the source has none. `router` and `seq` name the
    record, `index` is its place among those folded in. `exchange` is the name of the exchange that it happens in.
    """

    kind: Kind
    severity: Severity
    seconds: float
    wall: float
    left: str
    right: str
    at: str
    text: str
    router: str
    seq: int
    index: int
    spi_i: str = ""
    exchange: str = ""
    rung: Rung | None = None

    @property
    def message(self) -> Message | None:
        """The datagram of a message row."""
        return self.rung.message if self.rung is not None else None

    @property
    def rightwards(self) -> bool:
        """Whether it is told by the left column, as a message that goes from left to right is."""
        return self.at == self.left


class Ladder:
    """The one fold from records to rows, live and from a file. `timeline` is what it folds into beside."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.addresses: dict[str, str] = {}
        self._told: list[tuple[int, Record, Mark]] = []
        self._places: dict[int, int] = {}
        self._count = 0
        self._rows: tuple[Row, ...] | None = None
        self._answers: dict[str, str] | None = None

    def add(self, record: Record) -> None:
        """Fold one record in."""
        timeline = self.timeline
        before = len(timeline.messages)
        timeline.add(record)
        self._answers = None
        if len(timeline.messages) > before:
            self._places[id(timeline.messages[-1])] = self._count
            self._rows = None
        mark = mark_of(record)
        if mark is not None and not self._told_already(record):
            self._told.append((self._count, record, mark))
            self._rows = None
        self._count += 1

    def _told_already(self, record: Record) -> bool:
        """Whether why an exchange failed stands right before: the refusal that ended it says more."""
        if not isinstance(record.event, ExchangeFailed) or not self._told:
            return False
        place, before, mark = self._told[-1]
        messages, stamps = self.timeline.messages, (before.stamp, record.stamp)
        if mark.kind != "failure" or len({(stamp.router, stamp.spi_i) for stamp in stamps}) > 1:
            return False
        latest = messages[-1] if messages else None
        # Between the two there is at most the response that says no.
        return latest is None or self._places[id(latest)] < place or (latest.sent and latest.response)

    def extend(self, records: Iterable[Record]) -> Ladder:
        """Fold many records in; the ladder itself."""
        for record in records:
            self.add(record)
        return self

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every row in the order of the records, without `sa` rows; see `headed`. Kept until a record changes it."""
        if self._rows is None:
            self._rows = tuple(self._joined())
        return self._rows

    def heading(self, spi_i: str) -> str:
        """`IKE SA` and its pair of SPIs, the responder's as the side that began knows it."""
        if not spi_i:
            return NO_SPIS
        if self._answers is None:
            sas = sorted(self.timeline.ike.values(), key=lambda sa: sa.initiator is True)
            self._answers = {sa.spi_i: sa.spi_r for sa in sas if isinstance(sa.spi_r, str)}
        return f"IKE SA {spi_i.upper()} / {self._answers.get(spi_i, ZERO_SPI).upper()}"

    def _joined(self) -> list[Row]:
        found = rungs(self.timeline)
        self.addresses = _addresses(found)
        names = {address: name for name, address in self.addresses.items()}
        walls = [*(rung.message.wall for rung in found), *(record.stamp.wall for _, record, _ in self._told[:1])]
        start = next((wall for wall in walls if wall), 0.0)
        shifts = clock_shifts(self.timeline)
        if found:
            start -= next((shifts.get(rung.message.router, 0.0) for rung in found if rung.message.wall), 0.0)
        rows = [_message_row(rung, self._places[id(rung.first)], start, shifts) for rung in found]
        own = {record.stamp.router for _, record, _ in self._told if record.stamp.point is UNSET}
        # What a capture tells of a router that tells of itself stands there already.
        told = [one for one in self._told if not _stands(one[1], own, names)]
        rows += [_mark_row(one, start, names, shifts) for one in told]
        return _paired(sorted(rows, key=lambda row: row.index))


def _side(record: Record, names: dict[str, str]) -> str:
    """The column at whose side a record stands: its router's, or of a capture that of the router it looks from."""
    stamp = record.stamp
    if stamp.point is not UNSET and isinstance(stamp.local, str):
        return names.get(words.host(stamp.local), words.host(stamp.local))
    return names.get(stamp.router, stamp.router)


def _stands(record: Record, own: set[str], names: dict[str, str]) -> bool:
    """Whether what a capture tells stands there already: its router tells of itself."""
    return record.stamp.point is not UNSET and type(record.event) is not EspSeen and _side(record, names) in own


def _message_row(rung: Rung, index: int, start: float, shifts: dict[str, float]) -> Row:
    message = rung.message
    return Row(
        kind="message",
        severity=_severity(rung),
        seconds=message.wall - shifts.get(message.router, 0.0) - start,
        wall=message.wall,
        left=rung.source,
        right=rung.destination,
        at=rung.source,
        text=" ".join(part for part in (_name(message), payloads(message), _tail(rung)) if part),
        router=message.router,
        seq=message.seq,
        index=index,
        spi_i=message.spi_i.lower() if isinstance(message.spi_i, str) else "",
        exchange=_exchange(message),
        rung=rung,
    )


def _mark_row(told: tuple[int, Record, Mark], start: float, names: dict[str, str], shifts: dict[str, float]) -> Row:
    index, record, mark = told
    stamp, event = record.stamp, record.event
    peer = stamp.peer
    if isinstance(event, MessageDropped) and not isinstance(peer, str):
        peer = event.remote
    there = words.host(peer) if isinstance(peer, str) else ""
    return Row(
        kind=mark.kind,
        severity=mark.severity,
        seconds=stamp.wall - shifts.get(stamp.router, 0.0) - start,
        wall=stamp.wall,
        left=_side(record, names),
        right=names.get(there, there),
        at=_side(record, names),
        text=mark.text(event) + ("" if stamp.inferred is UNSET else " (inferred)"),
        router=stamp.router,
        seq=stamp.seq,
        index=index,
        spi_i=stamp.spi_i.lower() if isinstance(stamp.spi_i, str) else "",
    )


def _paired(rows: Sequence[Row]) -> list[Row]:
    """Each row with the columns of its pair in the order of the pair's first row, and the exchange it happens in."""
    columns: dict[frozenset[str], tuple[str, str]] = {}
    exchange: dict[tuple[str, str], str] = {}
    placed: list[Row] = []
    for row in rows:
        pair = frozenset((row.left, row.right))
        left, right = columns.setdefault(pair, (row.left, row.right)) if row.right else (row.left, row.right)
        if row.kind == "message":
            for name in (row.left, row.right):
                exchange[name, row.spi_i] = row.exchange
        where = row.exchange or exchange.get((row.at, row.spi_i), "")
        if (left, right, where) != (row.left, row.right, row.exchange):
            row = msgspec.structs.replace(row, left=left, right=right, exchange=where)
        placed.append(row)
    return placed


def _severity(rung: Rung) -> Severity:
    if rung.lost:
        return "error"
    message = rung.message
    names = [name for group in (message.payloads, message.inner) if isinstance(group, tuple) for name in group]
    kinds = [NotifyType.__members__.get(found[1]) for name in names if (found := _NOTIFY.fullmatch(name))]
    errors = [kind for kind in kinds if kind is not None and kind.is_error]
    if any(kind not in SOFT for kind in errors):
        return "error"
    return "notice" if errors or message.repeat else "info"


def headed(rows: Iterable[Row], ladder: Ladder) -> Iterator[Row]:
    """Rows of a ladder with an `sa` row before the first message of each run of messages of one IKE SA and pair."""
    now: tuple[str, str, str] | None = None
    for row in rows:
        mine = (row.left, row.right, row.spi_i)
        if row.kind == "message" and mine != now:
            now = mine
            text = ladder.heading(row.spi_i)
            yield msgspec.structs.replace(row, kind="sa", severity="info", text=text, rung=None)
        yield row


def ladder(records: Iterable[Record], *, width: int = 80) -> Iterator[str]:
    """The lines of the ladder, no longer than `width` where the names allow; a block for each pair of routers.

    `--->` is a request, `...>` a response, an arrow that ends in `x` did not arrive. Times are seconds since the first
    datagram. `ENCR{...}` names what was in the Encrypted payload, as far as the records hold it. Between the messages
    stands what changed, at the side of the router that tells it: `*` what was made, `!` what failed, `-` the rest.
    """
    from ikescope.views import ladder_capture

    told = list(records)
    if ladder_capture.is_alone(told):
        yield from ladder_capture.lines(told, width)
        return
    found = Ladder().extend(told)
    for number, block in enumerate(_blocks(found.rows)):
        if number:
            yield ""
        left, right = next(((row.left, row.right) for row in block if row.right), (block[0].left, ""))
        points = tuple(dict.fromkeys(one for row in block if row.rung is not None for one in row.rung.passed))
        yield from columns(left, right, found.addresses, width)
        yield from heads(points, width)
        for row in headed(block, found):
            yield from draw(row, width, pair=(left, right), points=points)


def _blocks(rows: Sequence[Row]) -> list[list[Row]]:
    """The rows of each pair of routers; a row without a peer goes to the pair that its router speaks with next."""
    blocks: dict[frozenset[str], list[Row]] = {}
    waiting: list[Row] = []
    latest: dict[str, frozenset[str]] = {}
    for row in rows:
        if not row.right:
            waiting.append(row)
            continue
        pair = frozenset((row.left, row.right))
        mine = [one for one in waiting if one.left in pair]
        waiting = [one for one in waiting if one.left not in pair]
        blocks.setdefault(pair, []).extend((*mine, row))
        latest |= dict.fromkeys(pair, pair)
    for row in waiting:
        blocks.setdefault(latest.get(row.left, frozenset((row.left,))), []).append(row)
    return list(blocks.values())


def columns(left: str, right: str, addresses: dict[str, str], width: int = 80) -> Iterator[str]:
    """The heads of two columns: names, and the addresses of those that are no addresses."""
    inside = width - _TIME
    for names in ((left, right), (addresses.get(left, ""), addresses.get(right, ""))):
        if any(names):
            yield f"{'':{_TIME}}{names[0]}{names[1]:>{max(inside - len(names[0]), 1)}}".rstrip()


def heads(points: Sequence[str], width: int = 80) -> Iterator[str]:
    """The names of the capture points between two columns, each over its own narrow one."""
    for number, point in enumerate(points):
        place = width - 1 - _POINT * (len(points) - number)
        yield f"{f'{point} v':>{place + 1}}"


def _addresses(found: Sequence[Rung]) -> dict[str, str]:
    """The address of each column where its heading is a name."""
    told: dict[str, str] = {}
    for rung in found:
        for name, address in ((rung.source, rung.message.source), (rung.destination, rung.message.destination)):
            if isinstance(address, str) and words.host(address) != name:
                told.setdefault(name, words.host(address))
    return told


def draw(
    row: Row, width: int = 80, *, pair: tuple[str, str] | None = None, points: tuple[str, ...] = ()
) -> Iterator[str]:
    """The lines of one row between the two columns of its pair; `pair` where it stands among those of another.

    `points` are capture points with a column of their own before the right one: `+` where they saw a message.
    """
    if row.kind == "sa":
        yield headline(row.text, width)
    elif row.rung is not None:
        left_side = row.at == pair[0] if pair is not None and points else row.rightwards
        yield from arrow(row.rung, clock(row.wall, row.seconds), left_side, width, points)
    else:
        left = row.at == (pair or (row.left, row.right))[0]
        yield from remark(row.severity, row.text, clock(row.wall, row.seconds), left, width)


def clock(wall: float, seconds: float) -> str:
    """The column of times: blank where the source has none."""
    return f"{seconds:{_TIME - 1}.3f}" if wall else " " * (_TIME - 1)


def headline(text: str, width: int) -> str:
    """The line before the messages of an IKE SA."""
    return f"{'':{_TIME}}|{f' {text} ':^{width - _TIME - 2}}|"


def remark(severity: Severity, text: str, time: str, left: bool, width: int) -> Iterator[str]:
    """What is no message, at its side."""
    inside, sign = width - _TIME - 2, SIGNS[severity]
    for number, part in enumerate(_wrapped(text, inside - 4)):
        lead = sign if not number else " "
        told = f"{lead} {part}".ljust(inside) if left else f"{part} {lead}".rjust(inside)
        yield f"{time if not number else '':{_TIME - 1}} |{told}|"


def _name(message: Message) -> str:
    number = f" {message.message_id}" if isinstance(message.message_id, int) else ""
    return f"{_exchange(message)}{number}"


def _exchange(message: Message) -> str:
    return words.exchange(message.exchange) if isinstance(message.exchange, int) else "message"


def _tail(rung: Rung) -> str:
    message = rung.message
    size = str(message.size) if isinstance(message.size, int) else ""
    size += f" in {len(message.fragments)} fragments" if message.fragments else ""
    again = f"again {message.repeat}" if message.repeat else ""
    return " ".join(word for word in (size, again, "lost" if rung.lost else "") if word)


def arrow(rung: Rung, time: str, rightwards: bool, width: int, points: tuple[str, ...] = ()) -> Iterator[str]:
    """A message on its way: the arrow after its time, and what had no room on it."""
    message, whole = rung.message, width - _TIME - 2
    line = "." if message.response else "-"
    inside = whole - _POINT * len(points)
    head = "x" if rung.lost else ">" if rightwards else "<"
    name, tail, contents = _name(message), _tail(rung), payloads(message)
    text = " ".join(part for part in (name, contents, tail) if part)
    rest = ""
    if len(text) > inside - 5:
        text, rest = f"{name} {tail}", contents
    elif (
        (purpose := purpose_of(message))
        and message.exchange not in _FIRST
        and len(text) + len(purpose) + 3 <= inside - 5
    ):
        text += f" ({purpose})"
    drawn = (
        f"{line}{line} {text} ".ljust(inside - 1, line) + head
        if rightwards
        else (f"{head if head == 'x' else '<'}{line} {text} ".ljust(inside, line))
    )
    if points:
        drawn = _through(rung, drawn, rightwards, points)
    yield f"{time} |{drawn}|"
    for start in _wrapped(rest, inside - 6):
        yield f"{'':{_TIME}}|{f'     {start}':<{whole}}|"


def _through(rung: Rung, arrow: str, rightwards: bool, points: tuple[str, ...]) -> str:
    """An arrow carried on through the columns of capture points, to its end or to where it was lost."""
    line = "." if rung.message.response else "-"
    text = arrow[:-1] if rightwards else arrow[1:]
    leg = rung.leg or ("", "")
    # From left to right: what stands before each point's column, and behind the last.
    cells = [f"{'+' if point in rung.points else '|'}{line * (_POINT - 1)}" for point in points]
    if rightwards:
        gone = next(
            (place for place, name in enumerate((*points, rung.destination)) if rung.lost and name == leg[1]), None
        )
        if gone is None:
            return f"{text}{line}{''.join(cells)}"[:-1] + ">"
        kept = [*cells[:gone], *(f"|{' ' * (_POINT - 1)}" for _ in cells[gone:])]
        if gone:
            kept[gone - 1] = f"{kept[gone - 1][:-1]}x"
        return (f"{text}{line}" if gone else f"{text}x") + "".join(kept)
    gone = next((place for place, name in enumerate((rung.destination, *points)) if rung.lost and name == leg[1]), None)
    if gone is None:
        return f"<{text}{''.join(cells)}"
    if not gone:
        return f"x{text}{''.join(cells)}"
    kept = [*(f"|{' ' * (_POINT - 1)}" for _ in cells[: gone - 1]), f"|x{line * (_POINT - 2)}", *cells[gone:]]
    return f" {text.rstrip('.-')}".ljust(len(text) + 1) + "".join(kept)


def _wrapped(text: str, width: int) -> Iterator[str]:
    parts = text.split()
    line = " ".join(parts) if len(text) <= width else ""
    for word in () if line else parts:
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line


def payloads(message: Message) -> str:
    """The payloads of a message in one line: repeats counted, plain notifies gathered, ENCR{what was inside}."""
    clear = message.payloads if isinstance(message.payloads, tuple) else ("ENCR",)
    told = _short([name for name in clear if name != "ENCR"])
    if "ENCR" in clear:
        inner = message.inner
        if not isinstance(inner, tuple):
            told.append("ENCR")
        else:
            told.append(f"ENCR{{{' '.join(_short(inner))}}}")
    return " ".join(told)


def _short(names: Sequence[str]) -> list[str]:
    kept: list[str] = []
    gathered = 0
    for name, group in groupby(names):
        number = len(list(group))
        found = _NOTIFY.fullmatch(name)
        if found is not None and not _telling(found[1]):
            gathered += number
            continue
        kept.append(name if number == 1 else f"{name}x{number}")
    if gathered:
        kept.append("NOTIFY" if gathered == 1 else f"NOTIFYx{gathered}")
    return kept


def _telling(name: str) -> bool:
    kind = NotifyType.__members__.get(name)
    return name in NAMED or (kind is not None and kind.is_error)
