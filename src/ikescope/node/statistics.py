"""What a router has counted since it began or `clear crypto ikev2 stats`: messages, notifies, refusals, times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ikescope.events import Event, Record
from ikescope.events.life import ChildSaCreated, ChildSaRekeyed, IkeSaRekeyed, SessionUp
from ikescope.events.message import (
    CookieChecked,
    DatagramEvent,
    MessageDropped,
    MessageReceived,
    MessageSent,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
    Retransmitting,
    UnverifiedCounted,
)
from ikescope.events.negotiation import ExchangeFailed
from ikescope.wire.registry import ExchangeType

PENDING = 4096
"""Requests that wait for their response, at most: what is older is forgotten."""
NEW_CHILD, CHILD_REKEY, IKE_REKEY = "CREATE_CHILD_SA_IPSEC", "CREATE_CHILD_SA_IPSEC_REKEY", "CREATE_CHILD_SA_IKE_REKEY"
DPD = "DPD"
_CREATES = frozenset({NEW_CHILD, CHILD_REKEY, IKE_REKEY})


class Traffic(msgspec.Struct, frozen=True, gc=False):
    """How often a message or notify was sent and received, in requests and in responses; repetitions are left out."""

    name: str
    sent_requests: int = 0
    sent_responses: int = 0
    received_requests: int = 0
    received_responses: int = 0

    @property
    def any(self) -> bool:
        """Whether it was counted at all."""
        return any((self.sent_requests, self.sent_responses, self.received_requests, self.received_responses))


class Sample(msgspec.Struct, frozen=True, gc=False):
    """Times of one kind, in microseconds."""

    name: str
    count: int
    mean: float
    least: float
    most: float


class Counts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """All that was counted, and how many seconds ago that began."""

    since: float = 0.0
    exchanges: tuple[Traffic, ...] = ()
    notifies: tuple[Traffic, ...] = ()
    samples: tuple[Sample, ...] = ()
    counters: dict[str, int] = {}

    def of(self, counter: str) -> int:
        """A counter by its name, 0 where nothing was counted."""
        return self.counters.get(counter, 0)

    def exchange(self, name: str) -> Traffic:
        """What was counted of an exchange, or of a kind of it."""
        return next((one for one in self.exchanges if one.name == name), Traffic(name))


class Statistics:
    """Counts the records of one router."""

    def __init__(self, now: float) -> None:
        self.clear(now)

    def clear(self, now: float) -> None:
        """Begin anew."""
        self._begun = now
        self._messages: dict[str, list[int]] = {}
        self._notifies: dict[str, list[int]] = {}
        self._samples: dict[str, list[float]] = {}
        self._counters: dict[str, int] = {}
        self._pending: dict[tuple[object, bool, object], tuple[str, float]] = {}

    def add(self, record: Record) -> None:
        """Something happened."""
        take = _TAKE.get(type(record.event))
        if take is not None:
            take(self, record, record.event)

    def taken(self, now: float) -> Counts:
        """The counts as they are."""
        return Counts(
            since=now - self._begun,
            exchanges=tuple(Traffic(name, *some) for name, some in self._messages.items()),
            notifies=tuple(Traffic(name, *some) for name, some in self._notifies.items()),
            samples=tuple(
                Sample(name, int(count), total / count, least, most)
                for name, (count, total, least, most) in self._samples.items()
            ),
            counters=dict(self._counters),
        )

    def _count(self, name: str, by: int = 1) -> None:
        self._counters[name] = self._counters.get(name, 0) + by

    def _datagram(self, record: Record, event: DatagramEvent) -> None:
        sent = type(event) is MessageSent
        if event.repeat:
            self._count("retransmissions sent" if sent else "retransmissions received")
            return
        column = (0 if sent else 2) + event.response
        inner = event.inner if isinstance(event.inner, tuple) else event.payloads
        for name in (_name(event.exchange), *self._kinds(record, event, inner, sent)):
            self._messages.setdefault(name, [0, 0, 0, 0])[column] += 1
        for payload in inner:
            if payload.startswith("NOTIFY("):
                self._notifies.setdefault(payload[7:-1], [0, 0, 0, 0])[column] += 1

    def _kinds(self, record: Record, event: DatagramEvent, inner: tuple[str, ...], sent: bool) -> tuple[str, ...]:
        """What a message is besides its exchange; a response is what its request was. How long it took is noted."""
        # Who asked and under which number: the pair by which a response finds its request (RFC 7296 section 2.2).
        key = (record.stamp.sa, sent is not event.response, record.stamp.message_id)
        if not event.response:
            kind = _kind(event.exchange, inner)
            if len(self._pending) >= PENDING:
                del self._pending[next(iter(self._pending))]
            self._pending[key] = kind, record.stamp.mono
        else:
            asked = self._pending.pop(key, None)
            if asked is None:
                return ()
            kind, begun = asked
            what = kind if kind in _CREATES else _name(event.exchange)
            self._sample(f"{'R' if sent else 'I'} {what}", (record.stamp.mono - begun) * 1e6)
        return (kind,) if kind else ()

    def _sample(self, name: str, took: float) -> None:
        found = self._samples.get(name)
        if found is None:
            self._samples[name] = [1, took, took, took]
        else:
            found[0], found[1] = found[0] + 1, found[1] + took
            found[2], found[3] = min(found[2], took), max(found[3], took)

    def _unverified(self, _: Record, event: UnverifiedCounted) -> None:
        self._count("cookies sent", event.cookies)
        self._count("requests dropped", event.silent)

    def _cookie(self, _: Record, event: CookieChecked) -> None:
        self._count("cookies accepted" if event.valid else "cookies rejected")

    def _refused(self, _: Record, event: RequestRefused) -> None:
        self._count(f"refused {_name(event.exchange)}")

    def _refusal(self, _: Record, event: ResponseRefused) -> None:
        self._count(f"refused by the peer {_name(event.exchange)}")


def _name(exchange: int) -> str:
    return ExchangeType.of(exchange).label


def _kind(exchange: int, inner: tuple[str, ...]) -> str:
    if exchange == ExchangeType.INFORMATIONAL:
        return "" if inner else DPD
    if exchange != ExchangeType.CREATE_CHILD_SA:
        return ""
    if "NOTIFY(REKEY_SA)" in inner:
        return CHILD_REKEY
    return NEW_CHILD if "TSi" in inner else IKE_REKEY


def _counter(name: str) -> Callable[[Statistics, Record, Any], None]:
    return lambda statistics, record, event: statistics._count(name)


_TAKE: dict[type[Event], Callable[[Statistics, Record, Any], None]] = {
    MessageSent: Statistics._datagram,
    MessageReceived: Statistics._datagram,
    MessageDropped: _counter("packets dropped"),
    Retransmitting: _counter("timeouts"),
    RetransmissionsExhausted: _counter("peers that never answered"),
    RequestRefused: Statistics._refused,
    ResponseRefused: Statistics._refusal,
    ExchangeFailed: _counter("exchanges failed"),
    UnverifiedCounted: Statistics._unverified,
    CookieChecked: Statistics._cookie,
    SessionUp: _counter("sessions up"),
    IkeSaRekeyed: _counter("IKE SAs rekeyed"),
    ChildSaCreated: _counter("Child SAs created"),
    ChildSaRekeyed: _counter("Child SAs rekeyed"),
}
