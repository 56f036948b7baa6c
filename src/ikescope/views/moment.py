"""The state of every SA at one moment: what stands, what replaced what, what ended and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from ikescope.events import Record
from ikescope.explain import words
from ikescope.explain.scene import Unsaid, known
from ikescope.timeline import ChildSa, IkeSa, Timeline
from ikescope.views.marks import Severity


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One SA as one router sees it: `depth` 0 an IKE SA, 1 a Child SA of it; `spi` the initiator's or the inbound."""

    router: str
    spi: str
    depth: int
    severity: Severity
    text: str


class Moment:
    """A timeline that goes to any record of a list and tells the states there; forward is cheap, back begins anew."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._records = list(records)
        self._reset()

    def _reset(self) -> None:
        self._place = 0
        self.timeline = Timeline()
        self._clocks: dict[str, float] = {}

    def grow(self, records: Iterable[Record]) -> None:
        """More records, after those before."""
        self._records += records

    def after(self, index: int) -> tuple[State, ...]:
        """The states when record `index` (from 0) and all before it have happened."""
        if index + 1 < self._place:
            self._reset()
        for record in self._records[self._place : index + 1]:
            self.timeline.add(record)
            self._clocks[record.stamp.router] = record.stamp.mono
        self._place = max(self._place, min(index + 1, len(self._records)))
        return tuple(states(self.timeline, self._clocks))


def states(timeline: Timeline, clocks: Mapping[str, float]) -> Iterator[State]:
    """Every IKE SA with its Child SAs, by router; `clocks` is the monotonic second that each router is at."""
    for router in timeline.routers:
        now = clocks.get(router, 0.0)
        for sa in timeline.of(router):
            yield _ike(sa, now)
            yield from (_child(child, now) for child in timeline.children_of(sa) if child.sa == sa.key)


def _ike(sa: IkeSa, now: float) -> State:
    spi_r = sa.spi_r if isinstance(sa.spi_r, str) else "0" * 16
    told = [f"IKE SA {sa.spi_i.upper()} / {spi_r.upper()}", _ike_state(sa, now)]
    if isinstance(sa.superseded_by, str):
        told.append(f"superseded by {words.spi(sa.superseded_by)}")
    elif sa.closed is None and isinstance(sa.rekeyed_from, str):
        told.append(f"supersedes {words.spi(sa.rekeyed_from)}")
    severity: Severity = "good" if sa.state == "READY" else "notice"
    if sa.closed is not None:
        severity = "error" if sa.failures and sa.created is None else "info"
    return State(router=sa.router, spi=sa.spi_i, depth=0, severity=severity, text=", ".join(told))


def _ike_state(sa: IkeSa, now: float) -> str:
    if sa.closed is not None:
        return f"DELETED: {sa.reason}"
    if sa.created is None:
        return sa.state
    left = sa.lifetime - (now - sa.created) if isinstance(sa.lifetime, int) else None
    return f"READY for {_span(now - sa.created)}" + (f", {_span(left)} left" if left is not None else "")


def _child(child: ChildSa, now: float) -> State:
    told = []
    if isinstance(child.tunnel, str):
        told.append(child.tunnel)
    told.append(f"in {words.spi(child.inbound)}" if child.told else "in ?")
    if isinstance(child.outbound, str):
        told.append(f"out {words.spi(child.outbound)}")
    try:
        length = child.key_length if child.key_length is None else known(child.key_length)
        told.append(words.encryption(known(child.encryption), length))
    except Unsaid:
        pass
    told.append(f"up {_span(now - child.created)}" if child.up else f"deleted: {child.reason}")
    if isinstance(child.replaced_by, str):
        told.append(f"superseded by {words.spi(child.replaced_by)}")
    severity: Severity = "info" if not child.up else "notice" if child.replaced_by is not None else "good"
    return State(router=child.sa[0], spi=child.inbound, depth=1, severity=severity, text=f"Child SA {', '.join(told)}")


def _span(seconds: float) -> str:
    """`3.2 s`, `95 s`, `12 min`, `23 h`."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
