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

    `seen` are the routers that tell of it; `lost`: its receiver keeps records and never told of it.
    """

    message: Message
    source: str
    destination: str
    seen: tuple[str, ...]
    arrived: bool = False
    lost: bool = False


def rungs(timeline: Timeline) -> list[Rung]:
    """Every datagram once, in the order of the records.

    A side that a capture knows by its address only goes by the name that another source gives to that address.
    """
    names: dict[str, str] = {}
    for message in timeline.messages:
        host = _host(message.local)
        if not host:
            continue
        if names.get(host, host) == host:
            names[host] = message.router
    listening = {_name(names, message) for message in timeline.messages if not message.sent}
    found: list[Rung] = []
    alike: dict[_Key, list[int]] = {}
    for message in timeline.messages:
        me, other = _name(names, message), names.get(_host(message.remote), _host(message.remote))
        same = alike.setdefault(_key(timeline, message), [])
        index = next((one for one in reversed(same) if _fits(found[one], message, me)), None)
        if index is None:
            ends = (me, other) if message.sent else (other, me)
            same.append(len(found))
            seen = (message.router,)
            found.append(
                Rung(message=message, source=ends[0], destination=ends[1], seen=seen, arrived=not message.sent)
            )
        else:
            before = found[index]
            found[index] = msgspec.structs.replace(
                before,
                message=message if _knows_more(message, before.message) else before.message,
                destination=before.destination if message.sent else me,
                seen=(*before.seen, message.router),
                arrived=before.arrived or not message.sent,
            )
    return [_judged(rung, listening) for rung in found]


def _name(names: dict[str, str], message: Message) -> str:
    """The side that tells of a message: by its address, or by its own name where the source lacks that."""
    return names.get(_host(message.local), message.router)


def _fits(rung: Rung, message: Message, me: str) -> bool:
    """Whether a telling is of this very datagram: the same sending told by another source, or its arrival."""
    if message.router in rung.seen:
        return False
    if message.sent:
        return rung.source == me and rung.message.repeat == message.repeat
    return rung.source != me


def _knows_more(one: Message, other: Message) -> bool:
    return one.sent == other.sent and isinstance(one.inner, tuple) and not isinstance(other.inner, tuple)


def _judged(rung: Rung, listening: set[str]) -> Rung:
    lost = not rung.arrived and rung.destination in listening
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
    lists = _joined([list(source) for source in sources])
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


def _joined(lists: list[list[Record]]) -> list[list[Record]]:
    """The parts of one recording as one source, in the order of their time, whatever the order of their names."""
    parts: dict[str, list[list[Record]]] = {}
    others: list[list[Record]] = []
    for records in lists:
        routers = {record.stamp.router for record in records}
        if len(routers) == 1:
            parts.setdefault(routers.pop(), []).append(records)
        else:
            others.append(records)
    found: list[list[Record]] = []
    for own in parts.values():
        whole: list[Record] = []
        for records in sorted(own, key=lambda one: (one[0].stamp.wall, one[0].stamp.seq)):
            if whole and records[0].stamp.wall < whole[-1].stamp.wall:
                # They tell of the same time: two sources, such as a recording and a debug text.
                found.append(whole)
                whole = []
            whole = [*whole, *records]
        found.append(whole)
    return found + others


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
