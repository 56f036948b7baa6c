"""Viewpoints joined: one line for a datagram, whoever tells of it, and the leg that it was lost on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ikescope.events import UNSET
from ikescope.timeline.fold import Timeline
from ikescope.timeline.merge import merged
from ikescope.timeline.model import Message

__all__ = ["Rung", "clock_shifts", "merged", "rungs"]

#: What makes two tellings of a datagram the same: IKE SA, exchange, message ID, direction.
_Key = tuple[object, ...]


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One datagram on its way. `source` and `destination` are router names, or the address of a side without records.

    `message` is the telling that knows most, `first` the one that came first. `seen` are the routers and capture points
    that tell of it, `points` those capture points, `passed` all that stand between its ends; `lost`: it did not reach
    its destination, and `leg` names the two places between which it was lost, as far as the sources tell.
    """

    message: Message
    first: Message
    source: str
    destination: str
    seen: tuple[str, ...]
    arrived: bool = False
    lost: bool = False
    points: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    leg: tuple[str, str] | None = None


def rungs(timeline: Timeline) -> list[Rung]:
    """Every datagram once, in the order of the records.

    A side that a capture knows by its address only goes by the name that another source gives to that address.
    """
    names = _names(timeline.messages)
    began = _began(timeline, names)
    found: list[Rung] = []
    alike: dict[_Key, list[int]] = {}
    for message in timeline.messages:
        me, other = _name(names, message), names.get(_host(message.remote), _host(message.remote))
        same = alike.setdefault(_key(timeline, message, me, began), [])
        index = next((one for one in reversed(same) if _fits(found[one], message, me)), None)
        at = (message.point,) if isinstance(message.point, str) else ()
        if index is None:
            ends = (me, other) if message.sent else (other, me)
            same.append(len(found))
            found.append(
                Rung(
                    message=message,
                    first=message,
                    source=ends[0],
                    destination=ends[1],
                    seen=at or (message.router,),
                    arrived=not message.sent and not at,
                    points=at,
                )
            )
        else:
            found[index] = _told_again(found[index], message, me, at)
    return _Legs(timeline, names).judged(found)


def _told_again(before: Rung, message: Message, me: str, at: tuple[str, ...]) -> Rung:
    seen = at or (message.router,)
    return msgspec.structs.replace(
        before,
        message=_blend(before.message, message),
        destination=before.destination if message.sent or at else me,
        seen=(*before.seen, *seen),
        points=(*before.points, *at),
        arrived=before.arrived or (not message.sent and not at),
    )


def _names(messages: Sequence[Message]) -> dict[str, str]:
    """The name of the router at each address; a capture's own only where no router tells of itself."""
    names: dict[str, str] = {}
    for message in messages:
        host = _host(message.local)
        if host and message.point is UNSET and names.get(host, host) == host:
            names[host] = message.router
    for message in messages:
        host = _host(message.local)
        if host:
            names.setdefault(host, host if message.point is not UNSET else message.router)
    return names


def _name(names: dict[str, str], message: Message) -> str:
    """The side that tells of a message: by its address, or by its own name where the source lacks that."""
    return names.get(_host(message.local), message.router)


def _fits(rung: Rung, message: Message, me: str) -> bool:
    """Whether a telling is of this very datagram: the same sending told by another source, or its arrival."""
    teller = message.point if isinstance(message.point, str) else message.router
    if teller in rung.seen:
        return False
    if message.exchange == _INIT and _differ(message.payloads, rung.message.payloads):
        # Another round under the same message ID: with a cookie, or another group.
        return False
    if message.sent:
        return rung.source == me and rung.message.repeat == message.repeat
    return rung.source != me and (message.point is UNSET or rung.message.repeat == message.repeat)


_INIT = 34


def _differ(one: object, other: object) -> bool:
    return isinstance(one, tuple) and isinstance(other, tuple) and one != other


def _blend(one: Message, other: Message) -> Message:
    """The telling that has a clock, or else says what was inside, with what the other knows besides."""
    same_end = one.sent == other.sent or one.point is not UNSET or other.point is not UNSET
    if (other.wall and not one.wall) or (
        same_end and _inside(other) and not _inside(one) and bool(other.wall or not one.wall)
    ):
        one, other = other, one
    gained: dict[str, object] = {}
    if not _inside(one) and _inside(other):
        gained["inner"] = other.inner
    if one.size is UNSET and other.size is not UNSET:
        gained["size"] = other.size
    return msgspec.structs.replace(one, **gained) if gained else one


def _inside(message: Message) -> bool:
    return isinstance(message.inner, tuple)


class _Legs:
    """Where what did not arrive was lost."""

    def __init__(self, timeline: Timeline, names: dict[str, str]) -> None:
        messages = timeline.messages
        own = [message for message in messages if message.point is UNSET]
        self._own = {_name(names, message) for message in own}
        self._listening = {_name(names, message) for message in own if not message.sent}
        self._shifts = clock_shifts(timeline)
        self._ranks: dict[tuple[str, str], dict[str, list[int]]] = {}
        self._answered: set[tuple[object, ...]] = set()
        self._spans: dict[tuple[str, frozenset[str]], tuple[float, float]] = {}
        for message in messages:
            if isinstance(message.point, str):
                pair = frozenset((_name(names, message), names.get(_host(message.remote), _host(message.remote))))
                when = self._when(message)
                first, last = self._spans.get((message.point, pair), (when, when))
                self._spans[message.point, pair] = (min(first, when), max(last, when))

    def _when(self, message: Message) -> float:
        return message.wall - self._shifts.get(message.router, 0.0)

    def judged(self, found: list[Rung]) -> list[Rung]:
        """All rungs, those that were lost with their leg."""
        if not self._spans:
            return [self._plain(rung) for rung in found]
        self._learn(found)
        return [self._between(rung) for rung in found]

    def _learn(self, found: list[Rung]) -> None:
        """In which order a message of each direction passes the capture points, and which requests were answered."""
        for rung in found:
            message = rung.message
            if message.response:
                self._answered.add((rung.destination, message.spi_i, message.message_id))
            for place, point in enumerate(rung.points):
                ways = ((rung.source, rung.destination, place), (rung.destination, rung.source, -place))
                for source, destination, rank in ways if len(rung.points) > 1 else ():
                    ranks = self._ranks.setdefault((source, destination), {}).setdefault(point, [0, 0])
                    ranks[0] += rank
                    ranks[1] += 1

    def _ordered(self, rung: Rung, points: Iterable[str]) -> list[str]:
        """Capture points in the order in which a message passes them."""
        ranks = self._ranks.get((rung.source, rung.destination), {})

        def rank(point: str) -> float:
            total, count = ranks.get(point, (0, 1))
            return total / count

        return sorted(points, key=rank)

    def _plain(self, rung: Rung) -> Rung:
        lost = not rung.arrived and rung.destination in self._listening
        leg = (rung.source, rung.destination)
        return msgspec.structs.replace(rung, lost=lost, leg=leg) if lost else rung

    def _between(self, rung: Rung) -> Rung:
        pair = frozenset((rung.source, rung.destination))
        passed = tuple(point for point, ends in self._spans if ends == pair)
        if len(passed) < 2 and not self._own & pair:
            # A capture alone: there is nothing to set it against.
            return rung
        watching = self._ordered(rung, (point for point in passed if self._watched(point, pair, rung)))
        seen = [point for point in watching if point in rung.points]
        missed = watching[watching.index(seen[-1]) + 1 :] if seen else watching
        told = rung.destination in self._listening
        message = rung.message
        # A request with an answer arrived, whatever a capture on its way missed.
        taken = not message.response and (rung.source, message.spi_i, message.message_id) in self._answered
        lost = not rung.arrived and (told or bool(missed and not (rung.points and taken)))
        if not lost:
            return msgspec.structs.replace(rung, passed=passed)
        near = seen[-1] if seen else rung.points[-1] if rung.points else rung.source
        far = missed[0] if missed else rung.destination
        return msgspec.structs.replace(rung, lost=True, leg=(near, far), passed=passed)

    def _watched(self, point: str, pair: frozenset[str], rung: Rung) -> bool:
        """Whether a capture ran when a message passed: one without a time is taken to be within."""
        first, last = self._spans[point, pair]
        return not rung.message.wall or first - _SLACK <= self._when(rung.message) <= last + _SLACK


#: Seconds around the first and last message of a capture in which it is taken to have run.
_SLACK = 60.0


def clock_shifts(timeline: Timeline) -> dict[str, float]:
    """How far each router's clock is ahead of the first one's, in seconds; without those that nothing bounds."""
    shifts: dict[str, float] = {}
    for name in timeline.routers:
        known = list(shifts)
        found = next((one for other in known if (one := timeline.offset(other, name)) is not None), None)
        if not shifts:
            shifts[name] = 0.0
        elif found is not None and abs(found.seconds) > found.uncertainty:
            shifts[name] = found.seconds + shifts[found.router]
    return shifts


def _began(timeline: Timeline, names: dict[str, str]) -> dict[str, str]:
    """Who began each IKE SA, by its initiator's SPI: what one viewpoint knows serves those that do not."""
    began: dict[str, str] = {}
    for message in timeline.messages:
        sa = timeline.ike.get((message.router, _spi(message)))
        if sa is not None and isinstance(sa.initiator, bool):
            other = names.get(_host(message.remote), _host(message.remote))
            began.setdefault(sa.spi_i, _name(names, message) if sa.initiator else other)
    return began


def _key(timeline: Timeline, message: Message, me: str, began: dict[str, str]) -> _Key:
    spi_i = _spi(message)
    sa = timeline.ike.get((message.router, spi_i))
    initiator: object = None if sa is None else sa.initiator
    if not isinstance(initiator, bool):
        initiator = began[spi_i] == me if spi_i in began else None
    asked_by_initiator = (message.sent != message.response) == initiator if isinstance(initiator, bool) else None
    return spi_i, message.exchange, message.message_id, message.response, asked_by_initiator


def _spi(message: Message) -> str:
    return message.spi_i.lower() if isinstance(message.spi_i, str) else ""


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") or address
