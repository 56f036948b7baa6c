"""Sources brought into one order, set against each other by the messages that several of them saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from ikescope.events import UNSET, Record
from ikescope.events.message import MessageReceived, MessageSent

#: A message, whoever tells of it: IKE SA, exchange, message ID, whether a response, repetition, whose exchange it is.
_Key = tuple[object, ...]
_INFINITE = float("inf")
#: Tellings of a message: where on its way (0 sender, 1 capture point, 2 receiver) and when by the common clock.
_Tellings = dict[_Key, list[tuple[int, float]]]


def merged(sources: Sequence[Iterable[Record]]) -> list[Record]:
    """The records of several sources in one order, each source's own order kept.

    Sources are set against each other by the messages that both saw: no datagram is at a capture point before it is
    sent, nor taken before it passed there. Where the wall clocks of two sources contradict that, the later source is
    moved by the middle of what its messages allow. One without a clock is put beside the messages that it tells of.
    """
    lists = _joined(_apart([list(source) for source in sources]))
    timed: list[tuple[float, bool, int, int, Record]] = []
    tellings: _Tellings = {}
    # Those with a clock give the others their place.
    for number in sorted(range(len(lists)), key=lambda one: not _has_clock(lists[one])):
        records = lists[number]
        beside = bool(tellings) and not _has_clock(records)
        times = _beside(tellings, records) if beside else _shifted(tellings, records)
        for place, (time, record) in enumerate(zip(times, records, strict=True)):
            timed.append((time, record.stamp.point is not UNSET, number, place, record))
            for key, at in _seen(record):
                tellings.setdefault(key, []).append((at, time))
    return [record for *_, record in sorted(timed, key=lambda one: one[:4])]


def _has_clock(records: list[Record]) -> bool:
    return any(record.stamp.wall for record in records)


def _shifted(tellings: _Tellings, records: list[Record]) -> list[float]:
    """The times of a source by the common clock, none before that of the record before it."""
    shift, latest = _shift(tellings, records), -_INFINITE
    times = []
    for record in records:
        latest = max(latest, record.stamp.wall + shift)
        times.append(latest)
    return times


def _beside(tellings: _Tellings, records: list[Record]) -> list[float]:
    """The times of a source without a clock: those of the messages that others tell of too."""
    times: list[float | None] = []
    latest: float | None = None
    for record in records:
        for key, at in _seen(record):
            known = [time for where, time in tellings.get(key, ()) if where <= at] or [
                time for _, time in tellings.get(key, ())
            ]
            if known:
                latest = max(known) if latest is None else max(latest, *known)
        times.append(latest)
    first = next((time for time in times if time is not None), 0.0)
    return [first if time is None else time for time in times]


def _apart(lists: list[list[Record]]) -> list[list[Record]]:
    """Captures that look from the side of a router which tells of itself go by the name of their capture point."""
    told: set[str] = set()
    for records in lists:
        for record in records:
            stamp = record.stamp
            if stamp.point is UNSET:
                told.add(stamp.router)
                if isinstance(stamp.local, str):
                    told.add(stamp.local.rpartition(":")[0].strip("[]"))
    counts: dict[str, int] = {}
    for name in {record.stamp.router for records in lists for record in records if record.stamp.point is not UNSET}:
        counts[name] = sum(any(one.stamp.router == name for one in records) for records in lists)
    return [[_renamed(record, told, counts) for record in records] for records in lists]


def _renamed(record: Record, told: set[str], counts: dict[str, int]) -> Record:
    stamp = record.stamp
    if not isinstance(stamp.point, str) or not (stamp.router in told or counts[stamp.router] > 1):
        return record
    return Record(replace(stamp, router=f"{stamp.point} {stamp.router}"), record.event)


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


def _seen(record: Record) -> list[tuple[_Key, int]]:
    event, stamp = record.event, record.stamp
    if not isinstance(event, MessageSent | MessageReceived) or not isinstance(stamp.spi_i, str):
        return []
    sent = isinstance(event, MessageSent)
    asked = (sent != event.response) == stamp.initiator if isinstance(stamp.initiator, bool) else None
    place = 1 if stamp.point is not UNSET else 0 if sent else 2
    key = (stamp.spi_i.lower(), event.exchange, stamp.message_id, event.response, event.repeat)
    return [((*key, None), place), *([((*key, asked), place)] if asked is not None else [])]


def _shift(tellings: _Tellings, records: list[Record]) -> float:
    low, high = -_INFINITE, _INFINITE
    for record in records:
        for key, at in _seen(record)[-1:]:
            for place, time in tellings.get(key, ()):
                if at > place:
                    low = max(low, time - record.stamp.wall)
                elif at < place:
                    high = min(high, time - record.stamp.wall)
    if low <= 0 <= high:
        return 0.0
    if low == -_INFINITE:
        return high
    return low if high == _INFINITE else (low + high) / 2
