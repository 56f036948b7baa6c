"""Requests and responses joined into exchanges, with their retransmissions and what became of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from ikescope.events import UNSET, Event, Record, UnsetType
from ikescope.events.life import ChildRefused, ChildStarted, DeleteSent, LivenessSent, RekeyReceived, RekeyStarted
from ikescope.events.message import (
    CookieAnswered,
    DatagramEvent,
    InvalidKeAnswered,
    MessageReceived,
    MessageSealing,
    MessageSent,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
)
from ikescope.events.negotiation import AuthRefused
from ikescope.timeline.changes import Journal
from ikescope.timeline.model import Exchange, Message, SaKey
from ikescope.wire.registry import ExchangeType, NotifyType

REKEY_IKE, REKEY_CHILD, NEW_CHILD = "IKE SA rekey", "Child SA rekey", "new Child SA"
LIVENESS, DELETE, OTHER = "liveness", "delete", "informational"
PURPOSES = {ExchangeType.IKE_SA_INIT: "key exchange", ExchangeType.IKE_AUTH: "authentication, first Child SA"}
REKEYS = {"ike": REKEY_IKE, "child": REKEY_CHILD, "new": NEW_CHILD}

#: An exchange within an IKE SA: who asked (True: this router) and the message ID.
_Key = tuple[bool, int | None]

#: Messages that are held whatever became of their exchanges.
_FEW = 256


class _OfSa:
    """What an IKE SA's exchanges are found by."""

    __slots__ = ("current", "intent", "latest", "numbers", "sealing", "taken")

    def __init__(self) -> None:
        self.numbers: deque[int] = deque()
        self.current: dict[_Key, int] = {}
        self.latest: dict[bool | None, int] = {}
        self.intent = ""
        self.sealing: MessageSealing | None = None
        self.taken: Message | None = None


class ExchangeLog:
    """The exchanges of all IKE SAs, in the order in which they began; of each at most `bound`, the latest."""

    def __init__(self, journal: Journal, bound: int | None = None) -> None:
        self.messages: list[Message] = []
        self.told = 0
        self._numbers: list[int] = []
        self._most = _FEW
        self._journal, self._bound = journal, bound
        self._all: dict[int, Exchange] = {}
        self._count = 0
        self._sas: dict[SaKey, _OfSa] = {}

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._all.values())

    def get(self, number: int) -> Exchange | None:
        """The exchange of this number, None if there is none or it is forgotten."""
        return self._all.get(number)

    def of(self, sa: SaKey) -> tuple[Exchange, ...]:
        """The exchanges of one IKE SA."""
        held = self._sas.get(sa)
        return () if held is None else tuple(self._all[number] for number in held.numbers)

    def latest(self, sa: SaKey) -> Exchange | None:
        """The exchange of one IKE SA that began last."""
        held = self._sas.get(sa)
        return None if held is None or not held.numbers else self._all[held.numbers[-1]]

    def taken(self, sa: SaKey) -> Message | None:
        """The message that came last for an IKE SA."""
        held = self._sas.get(sa)
        return None if held is None else held.taken

    def add(self, sa: SaKey, record: Record) -> Message | None:
        """Take a record of this IKE SA; the message that it tells of."""
        event = record.event
        kind = type(event)
        if kind is MessageSent or kind is MessageReceived:
            assert isinstance(event, DatagramEvent)
            return self._message(self._sa(sa), sa, message_of(record, event))
        if kind is MessageSealing:
            assert isinstance(event, MessageSealing)
            self._sa(sa).sealing = event
        elif kind in INTENTS:
            self._intend(self._sa(sa), record, event)
        elif kind in RESULTS:
            self._finish(self._sa(sa), record, event)
        return None

    def forget(self, sa: SaKey) -> None:
        """Let go of all exchanges of an IKE SA, and of their messages."""
        held = self._sas.pop(sa, None)
        for number in () if held is None else held.numbers:
            self._drop(number)
        self._compact()

    def _sa(self, sa: SaKey) -> _OfSa:
        held = self._sas.get(sa)
        if held is None:
            held = self._sas[sa] = _OfSa()
        return held

    def _put(self, number: int, exchange: Exchange) -> None:
        self._all[number] = exchange
        self._journal.note("exchanges", number)

    def _drop(self, number: int) -> None:
        del self._all[number]
        self._journal.forget("exchanges", number)

    def _compact(self) -> None:
        """Let go of the messages of forgotten exchanges, once there are twice as many as last time were kept."""
        if len(self.messages) < self._most:
            return
        kept = [place for place, number in enumerate(self._numbers) if number in self._all]
        self.messages[:] = [self.messages[place] for place in kept]
        self._numbers[:] = [self._numbers[place] for place in kept]
        self._most = max(_FEW, 2 * len(kept))

    def _message(self, held: _OfSa, sa: SaKey, message: Message) -> Message:
        message = self._opened(held, message)
        ours = message.sent != message.response
        if not message.sent:
            held.taken = message
        key = (ours, message.message_id if isinstance(message.message_id, int) else None)
        number = held.current.get(key)
        if number is None or self._is_new_round(self._all[number], message):
            number = self._begin(held, sa, key, message)
        self.messages.append(message)
        self._numbers.append(number)
        self.told += 1
        self._put(number, _with(self._all[number], message))
        return message

    def _begin(self, held: _OfSa, sa: SaKey, key: _Key, message: Message) -> int:
        self._count += 1
        number, ours = self._count, key[0]
        held.current[key] = held.latest[ours] = held.latest[None] = number
        intent = ""
        if ours:
            intent, held.intent = held.intent, ""
        self._all[number] = Exchange(
            number=number,
            sa=sa,
            exchange=message.exchange,
            message_id=message.message_id,
            ours=ours,
            purpose=purpose_of(message) or intent,
        )
        held.numbers.append(number)
        if self._bound is not None and len(held.numbers) > self._bound:
            oldest = held.numbers.popleft()
            gone = self._all[oldest]
            old_key = (gone.ours, gone.message_id if isinstance(gone.message_id, int) else None)
            if held.current.get(old_key) == oldest:
                del held.current[old_key]
            for ours_or_not in [one for one, last in held.latest.items() if last == oldest]:
                del held.latest[ours_or_not]
            self._drop(oldest)
            self._compact()
        return number

    @staticmethod
    def _opened(held: _OfSa, message: Message) -> Message:
        """A message of ours with what went into it, where only the building of it was told (a debug text)."""
        sealed = held.sealing if message.sent else None
        if sealed is None or message.inner is not UNSET or sealed.exchange not in (message.exchange, UNSET):
            return message
        if not message.repeat:
            held.sealing = None
        return replace(message, inner=sealed.payloads)

    @staticmethod
    def _is_new_round(exchange: Exchange, message: Message) -> bool:
        """Whether a request opens another round under the same message ID.

        A COOKIE or INVALID_KE_PAYLOAD answer is followed by the request once more, message ID 0 again.
        """
        if message.response or message.repeat:
            return False
        return exchange.response is not None or (exchange.message_id is UNSET and exchange.request is not None)

    def _intend(self, held: _OfSa, record: Record, event: Any) -> None:
        purpose = INTENTS[type(event)](event)
        if not isinstance(event, RekeyReceived):
            held.intent = purpose
            return
        number = self._find(held, False, record)
        if number is not None and not self._all[number].purpose:
            self._put(number, replace(self._all[number], purpose=purpose))

    def _finish(self, held: _OfSa, record: Record, event: Any) -> None:
        ours, result = RESULTS[type(event)](event)
        number = self._find(held, ours, record)
        if number is not None:
            self._put(number, replace(self._all[number], result=result))

    @staticmethod
    def _find(held: _OfSa, ours: bool | None, record: Record) -> int | None:
        """The exchange that a record speaks of: by its message ID, otherwise the latest."""
        number = record.stamp.message_id
        if isinstance(number, int) and ours is not None and (ours, number) in held.current:
            return held.current[ours, number]
        return held.latest.get(ours)


def message_of(record: Record, event: DatagramEvent) -> Message:
    """The message that a record of a datagram tells of."""
    stamp = record.stamp
    return Message(
        seq=stamp.seq,
        mono=stamp.mono,
        wall=stamp.wall,
        router=stamp.router,
        sent=isinstance(event, MessageSent),
        exchange=event.exchange,
        response=event.response,
        local=_address(event.local, stamp.local),
        remote=_address(event.remote, stamp.peer),
        payloads=event.payloads,
        inner=event.inner,
        size=event.size,
        repeat=event.repeat,
        spi_i=stamp.spi_i,
        spi_r=stamp.spi_r,
        message_id=stamp.message_id,
        octets=event.octets,
        opened=event.opened,
        opened_first=event.opened_first,
        fragments=event.fragments if isinstance(event.fragments, tuple) else (),
        dumped=event.dumped,
        file=stamp.source,
        line=stamp.line,
        point=stamp.point,
    )


def _address(*told: str | UnsetType) -> str:
    """The first that the source holds, empty without one."""
    return next((one for one in told if isinstance(one, str)), "")


def purpose_of(message: Message) -> str:
    """What an exchange is for, as its request's payloads say; empty where they are not known.

    A CREATE_CHILD_SA request without traffic selectors rekeys the IKE SA, one with N(REKEY_SA) a Child SA
    (RFC 7296 section 1.3).
    """
    inner = message.inner
    if message.exchange == ExchangeType.IKE_AUTH and not message.response and isinstance(inner, tuple):
        return PURPOSES[ExchangeType.IKE_AUTH] if "TSi" in inner else "authentication"
    if message.exchange in PURPOSES:
        return PURPOSES[ExchangeType(message.exchange)]
    if message.response or not isinstance(inner, tuple):
        return ""
    if message.exchange == ExchangeType.CREATE_CHILD_SA:
        if any("REKEY_SA" in name for name in inner):
            return REKEY_CHILD
        return NEW_CHILD if "TSi" in inner else REKEY_IKE
    if message.exchange == ExchangeType.INFORMATIONAL:
        return DELETE if "DELETE" in inner else OTHER if inner else LIVENESS
    return ""


def _with(exchange: Exchange, message: Message) -> Exchange:
    again = bool(message.repeat) or (not message.response and exchange.request is not None)
    changes: dict[str, Any] = {
        "messages": exchange.messages + (len(message.fragments) or 1),
        "octets": exchange.octets + (message.size if isinstance(message.size, int) else 0),
        "retransmissions": exchange.retransmissions + again,
    }
    if message.response:
        if exchange.response is None:
            changes |= {"response": message, "result": exchange.result or "done"}
    elif exchange.request is None:
        changes["request"] = message
    return replace(exchange, **changes)


INTENTS: dict[type[Event], Callable[[Any], str]] = {
    RekeyStarted: lambda event: REKEYS.get(event.kind, ""),
    RekeyReceived: lambda event: REKEYS.get(event.kind, ""),
    ChildStarted: lambda event: NEW_CHILD,
    LivenessSent: lambda event: LIVENESS,
    DeleteSent: lambda event: DELETE,
}


def _label(notify: int | UnsetType) -> str:
    return NotifyType.of(notify).label if isinstance(notify, int) else "refused"


#: Whether this router asked (None: whichever), and what the exchange ended with.
RESULTS: dict[type[Event], Callable[[Any], tuple[bool | None, str]]] = {
    RequestRefused: lambda event: (False, _label(event.notify)),
    ResponseRefused: lambda event: (True, _label(event.notify)),
    ChildRefused: lambda event: (event.by == "peer", _label(event.notify)),
    AuthRefused: lambda event: (None, NotifyType.AUTHENTICATION_FAILED.label),
    RetransmissionsExhausted: lambda event: (True, "no answer"),
    InvalidKeAnswered: lambda event: (True, NotifyType.INVALID_KE_PAYLOAD.label),
    CookieAnswered: lambda event: (True, NotifyType.COOKIE.label),
}
