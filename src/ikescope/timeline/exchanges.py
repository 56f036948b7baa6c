"""Requests and responses joined into exchanges, with their retransmissions and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from ikescope.events import UNSET, Event, Record, UnsetType
from ikescope.events.life import ChildRefused, ChildStarted, DeleteSent, LivenessSent, RekeyReceived, RekeyStarted
from ikescope.events.message import (
    CookieAnswered,
    InvalidKeAnswered,
    MessageReceived,
    MessageSealing,
    MessageSent,
    RequestRefused,
    ResponseRefused,
    RetransmissionsExhausted,
)
from ikescope.events.negotiation import AuthRefused
from ikescope.timeline.model import Exchange, Message, SaKey
from ikescope.wire.registry import ExchangeType, NotifyType

REKEY_IKE, REKEY_CHILD, NEW_CHILD = "IKE SA rekey", "Child SA rekey", "new Child SA"
LIVENESS, DELETE, OTHER = "liveness", "delete", "informational"
PURPOSES = {ExchangeType.IKE_SA_INIT: "key exchange", ExchangeType.IKE_AUTH: "authentication, first Child SA"}
REKEYS = {"ike": REKEY_IKE, "child": REKEY_CHILD, "new": NEW_CHILD}

#: An exchange within an IKE SA: who asked (True: this router) and the message ID.
_Key = tuple[SaKey, bool, int | None]


class ExchangeLog:
    """The exchanges of all IKE SAs, in the order in which they began."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._all: list[Exchange] = []
        self._current: dict[_Key, int] = {}
        self._intent: dict[SaKey, str] = {}
        self._sealing: dict[SaKey, MessageSealing] = {}

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._all)

    def add(self, sa: SaKey, record: Record) -> None:
        """Take a record of this IKE SA."""
        event = record.event
        if isinstance(event, (MessageSent, MessageReceived)):
            self._message(sa, self._opened(sa, message_of(record, event)))
        elif isinstance(event, MessageSealing):
            self._sealing[sa] = event
        elif isinstance(event, tuple(INTENTS)):
            self._intend(sa, record, event)
        elif isinstance(event, tuple(RESULTS)):
            self._finish(sa, record, event)

    def _message(self, sa: SaKey, message: Message) -> None:
        self.messages.append(message)
        ours = message.sent != message.response
        number = message.message_id if isinstance(message.message_id, int) else None
        key = (sa, ours, number)
        index = self._current.get(key)
        if index is None or self._is_new_round(self._all[index], message):
            index = self._current[key] = len(self._all)
            intent = self._intent.pop(sa, "") if ours else ""
            purpose = purpose_of(message) or intent
            self._all.append(
                Exchange(
                    number=index + 1,
                    sa=sa,
                    exchange=message.exchange,
                    message_id=message.message_id,
                    ours=ours,
                    purpose=purpose,
                )
            )
        self._all[index] = _with(self._all[index], message)

    def _opened(self, sa: SaKey, message: Message) -> Message:
        """A message of ours with what went into it, where only the building of it was told (a debug text)."""
        sealed = self._sealing.get(sa) if message.sent else None
        if sealed is None or message.inner is not UNSET or sealed.exchange not in (message.exchange, UNSET):
            return message
        if not message.repeat:
            del self._sealing[sa]
        return replace(message, inner=sealed.payloads)

    @staticmethod
    def _is_new_round(exchange: Exchange, message: Message) -> bool:
        """Whether a request opens another round under the same message ID.

        A COOKIE or INVALID_KE_PAYLOAD answer is followed by the request once more, message ID 0 again.
        """
        if message.response or message.repeat:
            return False
        return exchange.response is not None or (exchange.message_id is UNSET and exchange.request is not None)

    def _intend(self, sa: SaKey, record: Record, event: Any) -> None:
        purpose = INTENTS[type(event)](event)
        if not isinstance(event, RekeyReceived):
            self._intent[sa] = purpose
            return
        index = self._find(sa, False, record)
        if index is not None and not self._all[index].purpose:
            self._all[index] = replace(self._all[index], purpose=purpose)

    def _finish(self, sa: SaKey, record: Record, event: Any) -> None:
        ours, result = RESULTS[type(event)](event)
        index = self._find(sa, ours, record)
        if index is not None:
            self._all[index] = replace(self._all[index], result=result)

    def _find(self, sa: SaKey, ours: bool | None, record: Record) -> int | None:
        number = record.stamp.message_id
        if isinstance(number, int) and ours is not None and (sa, ours, number) in self._current:
            return self._current[sa, ours, number]
        for index in reversed(range(len(self._all))):
            if self._all[index].sa == sa and ours in (None, self._all[index].ours):
                return index
        return None


def message_of(record: Record, event: MessageSent | MessageReceived) -> Message:
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
        local=event.local,
        remote=event.remote,
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
    )


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
    RekeyStarted: lambda event: REKEYS[event.kind],
    RekeyReceived: lambda event: REKEYS[event.kind],
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
