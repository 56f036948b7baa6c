"""Discarded packets as events: the first of a kind at once, then at most one event a second with the count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from ikescope.esp.packet import Header, number_to_address
from ikescope.esp.selector import SelectorPair
from ikescope.events import UNSET
from ikescope.events.router import EspDropped
from ikescope.policy.ranges import text, to_fact

SPACING = 1.0


@dataclass(slots=True)
class _Kind:
    event: EspDropped
    told: float
    waiting: int


def compared(event: EspDropped, facts: Mapping[str, object]) -> EspDropped:
    """The event with what was compared: sequence numbers, or an inner packet and the selectors of its SA."""
    found, wanted = facts.get("found"), facts.get("wanted")
    if isinstance(found, int) and isinstance(wanted, int):
        return replace(event, found=f"{found}", wanted=f"one not seen, above {wanted} or in the window below it")
    if isinstance(found, Header) and isinstance(wanted, SelectorPair):
        ends = [number_to_address(found.version, number) for number in (found.source, found.destination)]
        sides = [", ".join(text(to_fact(one)) for one in side) for side in (wanted.remote, wanted.local)]
        packet = f"{ends[0]} -> {ends[1]} protocol {found.protocol}"
        return replace(event, found=packet, wanted=f"{sides[0]} -> {sides[1]}")
    return event


class Drops:
    """Counts discarded packets by reason and SA; as many kinds as there are reasons and SAs, whatever a peer sends."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, int], _Kind] = {}
        self.by_reason: dict[str, int] = {}

    def add(self, reason: str, spi: int, known: bool, source: str, destination: str, now: float) -> EspDropped | None:
        """One more; the event if one is due now. `spi` 0: the packet had none; unknown SPIs count together.

        What a reason says behind `had` is in the event, not in the name that it is counted by: a peer may vary it.
        """
        reason, _, detail = reason.partition(": had ")
        self.by_reason[reason] = self.by_reason.get(reason, 0) + 1
        text = f"{spi:08x}" if spi else ""
        event = EspDropped(reason=reason, spi=text, source=source, destination=destination, count=1)
        kind = self._kinds.setdefault((reason, spi if known else 0), _Kind(event, now - SPACING, 0))
        kind.event = event
        kind.waiting += 1
        if not self._due(kind, now):
            return None
        told = self._tell(kind)
        if not detail:
            return told
        found, _, wanted = detail.partition(", wanted ")
        return replace(told, found=found, wanted=wanted or UNSET)

    def due(self, now: float) -> Iterator[EspDropped]:
        """The events whose second has passed; kinds that were quiet for one are forgotten."""
        for key, kind in list(self._kinds.items()):
            if now - kind.told < SPACING:
                continue
            if kind.waiting:
                kind.told = now
                yield self._tell(kind)
            else:
                del self._kinds[key]

    def _due(self, kind: _Kind, now: float) -> bool:
        if now - kind.told < SPACING:
            return False
        kind.told = now
        return True

    @staticmethod
    def _tell(kind: _Kind) -> EspDropped:
        count, kind.waiting = kind.waiting, 0
        old = kind.event
        return EspDropped(reason=old.reason, spi=old.spi, source=old.source, destination=old.destination, count=count)
