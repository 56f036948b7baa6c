"""Records folded into OpenTelemetry traces: an IKE SA a trace, an exchange a span, crypto timed within it.

The trace of an IKE SA is named by its initiator's SPI alone, so that what both ends tell is one trace. A rekeyed IKE SA
is linked to the one it replaces. What is bounded by a peer is bounded here: `MOST` IKE SAs are followed at a time.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec

from ikescope import __version__
from ikescope.events import Event, Record, life, message, negotiation
from ikescope.wire.registry import ExchangeType, KeyExchangeId, NotifyType

MOST = 4096
REMEMBERED = 256
"""Ended IKE SAs that no late record begins anew."""
SETTLED = 1.0
"""Seconds after its response in which an exchange still takes what is computed from it."""
SCOPE = "ikescope"

Value = str | int | float | bool
Status = Literal["unset", "ok", "error"]
Kind = Literal["internal", "client", "server"]


class SpanEvent(msgspec.Struct, frozen=True):
    """A moment within a span: nanoseconds since 1970."""

    name: str
    at: int
    attributes: dict[str, Value] = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """An ended span. Identifiers are 32 and 16 hexadecimal digits, times nanoseconds since 1970.

    `links` are (trace, span) pairs; `kind` is client where this router asked, server where the peer did.
    """

    router: str
    trace: str
    span: str
    parent: str | None
    name: str
    kind: Kind
    start: int
    end: int
    attributes: dict[str, Value]
    events: tuple[SpanEvent, ...] = ()
    status: Status = "unset"
    why: str = ""
    links: tuple[tuple[str, str], ...] = ()


class _Open:
    """A span that is not over."""

    __slots__ = ("attributes", "events", "kind", "last", "name", "parent", "root", "span", "start", "status", "why")

    def __init__(self, root: _Root | None, name: str, start: int, span: str, kind: Kind = "internal") -> None:
        self.root, self.name, self.start, self.span, self.kind = root, name, start, span, kind
        self.parent: str | None = root.span if root is not None else None
        self.last = start
        self.attributes: dict[str, Value] = {}
        self.events: list[SpanEvent] = []
        self.status: Status = "unset"
        self.why = ""


class _Root(_Open):
    """The span of an IKE SA."""

    __slots__ = ("current", "exchanges", "links", "made", "router", "trace")

    def __init__(self, router: str, spi_i: str, start: int) -> None:
        super().__init__(None, "IKE SA", start, _name(8, router, spi_i, "sa"))
        self.router, self.trace = router, trace_of(spi_i)
        self.exchanges: dict[tuple[bool, object], _Exchange] = {}
        self.current: _Exchange | None = None
        self.links: list[tuple[str, str]] = []
        self.made = 0


class _Exchange(_Open):
    """The span of an exchange; `answered` once its response passed."""

    __slots__ = ("answered",)
    answered: bool


def _name(octets: int, *parts: object) -> str:
    return hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()[:octets].hex()


def trace_of(spi_i: str) -> str:
    """The trace of an IKE SA by its initiator's SPI (16 hexadecimal digits)."""
    return _name(16, "ikescope", spi_i.lower())


def _ns(record: Record) -> int:
    return int(record.stamp.wall * 1e9)


class Traces:
    """The fold: `add` a record and take the spans that ended with it."""

    def __init__(self) -> None:
        self._roots: dict[tuple[str, str], _Root] = {}
        self._gone: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)
        self._before: dict[str, int] = {}

    def add(self, record: Record) -> list[Span]:
        """Fold one record in; the spans that are over now."""
        stamp = record.stamp
        before = self._before.get(stamp.router, 0)
        self._before[stamp.router] = _ns(record)
        if not isinstance(stamp.spi_i, str):
            return []
        key = stamp.router, stamp.spi_i
        root = self._roots.get(key)
        if root is None:
            if len(self._roots) >= MOST or key in self._gone:
                return []
            root = self._roots[key] = _Root(stamp.router, stamp.spi_i, _ns(record))
        root.last = _ns(record)
        _label(root, record)
        ended = list(self._settled(root, root.last))
        if isinstance(record.event, message.MessageSent | message.MessageReceived):
            ended += _message(root, record, record.event)
        elif type(record.event) in CRYPTO:
            ended += _crypto(root, record, before)
        elif (fold := FOLDS.get(type(record.event))) is not None:
            fold(root, record, record.event)
        if isinstance(record.event, life.IkeSaClosed):
            ended += self._end(key, root)
        return ended

    def flush(self, wall: float) -> list[Span]:
        """The exchanges that were over `SETTLED` seconds before `wall` (seconds since 1970)."""
        return [span for root in self._roots.values() for span in self._settled(root, int(wall * 1e9))]

    def end(self) -> list[Span]:
        """Everything that is still open, as it stands, with `ikescope.open` true."""
        ended: list[Span] = []
        for key, root in tuple(self._roots.items()):
            root.attributes["ikescope.open"] = True
            ended += self._end(key, root)
        return ended

    @staticmethod
    def _settled(root: _Root, now: int) -> Iterator[Span]:
        for key, one in tuple(root.exchanges.items()):
            if one.answered and now - one.last > SETTLED * 1e9:
                yield _finish(root, key)

    def _end(self, key: tuple[str, str], root: _Root) -> list[Span]:
        spans = [_finish(root, each) for each in tuple(root.exchanges)]
        del self._roots[key]
        # What is told of an IKE SA after its end begins no other trace.
        self._gone.append(key)
        return [*spans, _closed(root, root, tuple(root.links))]


def _closed(root: _Root, one: _Open, links: tuple[tuple[str, str], ...] = ()) -> Span:
    return Span(
        router=root.router,
        trace=root.trace,
        span=one.span,
        parent=one.parent,
        name=one.name,
        kind=one.kind,
        start=one.start,
        end=max(one.start, one.last),
        attributes=dict(one.attributes),
        events=tuple(one.events),
        status=one.status,
        why=one.why,
        links=links,
    )


def _finish(root: _Root, key: tuple[bool, object]) -> Span:
    one = root.exchanges.pop(key)
    if root.current is one:
        root.current = None
    if not one.answered and one.status == "unset":
        one.status, one.why = "error", "no response"
    elif one.status == "unset":
        one.status = "ok"
    return _closed(root, one)


def _label(root: _Root, record: Record) -> None:
    """What a stamp says of its IKE SA."""
    stamp = record.stamp
    facts = {
        "ike.spi_i": stamp.spi_i,
        "ike.spi_r": stamp.spi_r,
        "ike.initiator": stamp.initiator,
        "network.local.address": stamp.local,
        "network.peer.address": stamp.peer,
    }
    root.attributes.update({name: value for name, value in facts.items() if isinstance(value, str | bool)})


def _message(root: _Root, record: Record, event: message.MessageSent | message.MessageReceived) -> list[Span]:
    """A request begins a span, a repeat is an event in it, a response ends it."""
    sent = isinstance(event, message.MessageSent)
    number, at = record.stamp.message_id, _ns(record)
    key = (sent != event.response, number if isinstance(number, int) else None)
    ended: list[Span] = []
    one = root.exchanges.get(key)
    if one is not None and one.answered and not event.response and not event.repeat:
        # Asked anew under the same message ID, after a COOKIE or INVALID_KE_PAYLOAD.
        ended.append(_finish(root, key))
        one = None
    if one is None:
        one = root.exchanges[key] = _begin(root, event, at, ours=key[0], number=number)
    one.last, root.current = at, one
    word = "sent" if sent else "received"
    facts: dict[str, Value] = {"ike.octets": event.size} if isinstance(event.size, int) else {}
    name = f"{'response' if event.response else 'request'} {word}"
    one.events.append(SpanEvent(f"{name} again" if event.repeat else name, at, facts))
    if event.repeat:
        one.attributes["ike.retransmissions"] = int(one.attributes.get("ike.retransmissions", 0)) + 1
    one.answered = one.answered or event.response
    return ended


def _begin(root: _Root, event: message.DatagramEvent, at: int, *, ours: bool, number: object) -> _Exchange:
    root.made += 1
    label = ExchangeType.of(event.exchange).label if isinstance(event.exchange, int) else "exchange"
    span = _name(8, root.router, root.trace, root.made)
    one = _Exchange(root, label, at, span, "client" if ours else "server")
    one.answered = False
    one.attributes["ike.exchange"] = label
    if isinstance(number, int):
        one.attributes["ike.message_id"] = number
    return one


def _crypto(root: _Root, record: Record, before: int) -> list[Span]:
    """What was computed, from the record before it to its own, within the exchange at hand."""
    one, at = root.current, _ns(record)
    if one is None:
        # The first request is computed before it is sent: it belongs to the IKE SA.
        parent = root.span
    else:
        parent, one.last = one.span, at
    root.made += 1
    name, facts = CRYPTO[type(record.event)](record.event)
    return [
        Span(
            router=root.router,
            trace=root.trace,
            span=_name(8, root.router, root.trace, root.made),
            parent=parent,
            name=name,
            kind="internal",
            start=min(max(before, root.start), at),
            end=at,
            attributes=facts,
        )
    ]


def _key_exchange(event: negotiation.KeyExchangeComputed) -> tuple[str, dict[str, Value]]:
    group = KeyExchangeId.of(event.group).label if isinstance(event.group, int) else "unknown"
    part = f", {event.part}" if isinstance(event.part, str) else ""
    return f"key exchange{part}", {"ike.group": group}


#: What is timed, each with its name and facts.
CRYPTO: dict[type[Event], Callable[[Any], tuple[str, dict[str, Value]]]] = {
    negotiation.KeyExchangeComputed: _key_exchange,
    negotiation.KeysDerived: lambda event: ("SK_ keys derived", {"ike.rekey": event.rekey is True}),
    negotiation.AuthGenerated: lambda event: ("AUTH computed", {}),
    negotiation.AuthVerified: lambda event: ("AUTH verified", {}),
}


def _moment(name: str, *facts: str) -> Callable[[_Root, Record, Any], None]:
    """An event of the exchange at hand, else of the IKE SA, with these facts of the record."""

    def fold(root: _Root, record: Record, event: Any) -> None:
        told = {f"ike.{fact}": getattr(event, fact) for fact in facts}
        plain = {fact: value for fact, value in told.items() if isinstance(value, str | int | float | bool)}
        one: _Open = root.current or root
        one.events.append(SpanEvent(name, _ns(record), plain))

    return fold


def _refused(root: _Root, record: Record, event: message.RequestRefused | message.ResponseRefused) -> None:
    one: _Open = root.current or root
    notify = NotifyType.of(event.notify).label if isinstance(event.notify, int) else "refused"
    one.status, one.why = "error", notify


def _exhausted(root: _Root, record: Record, event: message.RetransmissionsExhausted) -> None:
    one: _Open = root.current or root
    one.status, one.why = "error", "no response"


def _failed(root: _Root, record: Record, event: negotiation.ExchangeFailed) -> None:
    one: _Open = root.current or root
    if one.status != "error":
        one.status, one.why = "error", event.why if isinstance(event.why, str) else "failed"


def _rekeyed(root: _Root, record: Record, event: life.IkeSaRekeyed) -> None:
    """The new IKE SA is linked to the old one, whichever of them the record is stamped with."""
    own = str(root.attributes.get("ike.spi_i", ""))
    other = event.old_spi_i if event.new_spi_i == own else event.new_spi_i
    if isinstance(other, str):
        root.links.append((trace_of(other), _name(8, root.router, other, "sa")))
    _moment("IKE SA rekeyed")(root, record, event)


def _close(root: _Root, record: Record, event: life.IkeSaClosed) -> None:
    root.attributes["ike.close_reason"] = event.reason if isinstance(event.reason, str) else "unknown"
    if isinstance(event.cause, life.CloseReason):
        root.attributes["ike.close_cause"] = event.cause.name.lower()


FOLDS: dict[type[Event], Callable[[_Root, Record, Any], None]] = {
    life.IkeSaCreated: _moment("IKE SA established", "lifetime", "suite"),
    life.ChildSaCreated: _moment("Child SA created", "tunnel", "inbound", "outbound"),
    life.ChildSaRekeyed: _moment("Child SA rekeyed", "new_inbound", "old_inbound"),
    life.ChildSaClosed: _moment("Child SA closed", "tunnel", "inbound", "reason"),
    life.IkeSaRekeyed: _rekeyed,
    life.IkeSaClosed: _close,
    message.MessageDropped: _moment("datagram dropped", "trigger"),
    message.RequestRefused: _refused,
    message.ResponseRefused: _refused,
    message.RetransmissionsExhausted: _exhausted,
    negotiation.ExchangeFailed: _failed,
}

KINDS: dict[Kind, int] = {"internal": 1, "server": 2, "client": 3}
STATUSES: dict[Status, int] = {"unset": 0, "ok": 1, "error": 2}


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _pairs(attributes: dict[str, Value]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def otlp(span: Span) -> str:
    """A span as a line of OTLP's JSON form, which a collector's file receiver takes."""
    told = {
        "traceId": span.trace,
        "spanId": span.span,
        "parentSpanId": span.parent or "",
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.end),
        "attributes": _pairs(span.attributes),
        "events": [
            {"name": one.name, "timeUnixNano": str(one.at), "attributes": _pairs(one.attributes)} for one in span.events
        ],
        "links": [{"traceId": trace, "spanId": other} for trace, other in span.links],
        "status": {"code": STATUSES[span.status], "message": span.why},
    }
    resource = {"attributes": _pairs({"service.name": SCOPE, "service.instance.id": span.router})}
    scope = {"name": SCOPE, "version": __version__}
    whole = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": [told]}]}]}
    return msgspec.json.encode(whole).decode()


def lines(records: Iterable[Record]) -> Iterator[str]:
    """The traces of records as OTLP JSON lines, a span a line, those still open at the end too."""
    traces = Traces()
    for record in records:
        yield from map(otlp, traces.add(record))
    yield from map(otlp, traces.end())
