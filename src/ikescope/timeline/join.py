"""Viewpoints joined: one line for a datagram that one router sent and another took; sources brought into one order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ikescope.events import Record
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.timeline.fold import Timeline
from ikescope.timeline.model import Message

#: What makes two tellings of a datagram the same: IKE SA, exchange, message ID, direction.
_Key = tuple[object, ...]


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One datagram on its way. `source` and `destination` are router names, or the address of a side without records.

    `lost`: its receiver keeps records and never told of it.
    """

    message: Message
    source: str
    destination: str
    seen: tuple[str, ...]
    lost: bool = False


def rungs(timeline: Timeline) -> list[Rung]:
    """Every datagram once, in the order of the records."""
    names = {_host(message.local): message.router for message in timeline.messages}
    listening = {message.router for message in timeline.messages if not message.sent}
    found: list[Rung] = []
    waiting: dict[_Key, list[int]] = {}
    for message in timeline.messages:
        key = _key(timeline, message)
        if message.sent:
            waiting.setdefault(key, []).append(len(found))
        else:
            index = next((one for one in reversed(waiting.get(key, [])) if found[one].source != message.router), None)
            if index is not None:
                waiting[key].remove(index)
                before = found[index]
                found[index] = msgspec.structs.replace(
                    before, destination=message.router, seen=(*before.seen, message.router)
                )
                continue
        other = names.get(_host(message.remote), _host(message.remote))
        ends = (message.router, other) if message.sent else (other, message.router)
        found.append(Rung(message=message, source=ends[0], destination=ends[1], seen=(message.router,)))
    return [_judged(rung, listening) for rung in found]


def _judged(rung: Rung, listening: set[str]) -> Rung:
    lost = rung.message.sent and rung.destination in listening and rung.destination not in rung.seen
    return msgspec.structs.replace(rung, lost=lost) if lost else rung


def _key(timeline: Timeline, message: Message) -> _Key:
    spi_i = message.spi_i.lower() if isinstance(message.spi_i, str) else ""
    sa = timeline.ike.get((message.router, spi_i))
    initiator = sa.initiator if sa is not None else None
    asked_by_initiator = (message.sent != message.response) == initiator if isinstance(initiator, bool) else None
    return spi_i, message.exchange, message.message_id, message.response, asked_by_initiator


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") or address


def merged(sources: Sequence[Iterable[Record]]) -> list[Record]:
    """The records of several sources in one order, each source's own order kept.

    Sources are set against each other by the messages that both saw: a datagram is not taken before it is sent. Where
    the wall clocks of two sources contradict that, the later source is moved by the middle of what its messages allow.
    """
    lists = [list(source) for source in sources]
    timed: list[tuple[float, int, int, Record]] = []
    reference: dict[_Key, tuple[bool, float]] = {}
    for number, records in enumerate(lists):
        shift = _shift(reference, records)
        latest = float("-inf")
        for place, record in enumerate(records):
            latest = max(latest, record.stamp.wall + shift)
            timed.append((latest, number, place, record))
            for key, sent in _seen(record):
                reference.setdefault(key, (sent, latest))
    return [record for *_, record in sorted(timed, key=lambda one: one[:3])]


def _seen(record: Record) -> list[tuple[_Key, bool]]:
    event, stamp = record.event, record.stamp
    if not isinstance(event, MessageSent | MessageReceived) or not isinstance(stamp.spi_i, str):
        return []
    key = (stamp.spi_i.lower(), event.exchange, stamp.message_id, event.response, event.repeat)
    return [(key, isinstance(event, MessageSent))]


def _shift(reference: dict[_Key, tuple[bool, float]], records: list[Record]) -> float:
    low, high = float("-inf"), float("inf")
    for record in records:
        for key, sent in _seen(record):
            other = reference.get(key)
            if other is None or other[0] == sent:
                continue
            if sent:
                high = min(high, other[1] - record.stamp.wall)
            else:
                low = max(low, other[1] - record.stamp.wall)
    if low <= 0 <= high:
        return 0.0
    if low == float("-inf"):
        return high
    return low if high == float("inf") else (low + high) / 2
