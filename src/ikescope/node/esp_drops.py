"""ESP packets that the data plane discarded, by SA and reason: a fold of the events that tell of them."""

from __future__ import annotations

from collections.abc import Iterable

from ikescope.events.router import EspDropped

UNKNOWN = "no SA has this SPI"
MOST = 1024
"""SAs, and senders of packets to no SA, that are counted at a time."""


class EspDrops:
    """Counts by SPI; packets to an SPI that nobody has by their sender."""

    def __init__(self) -> None:
        self._found: dict[int | str, dict[str, int]] = {}

    def add(self, event: EspDropped) -> None:
        """So many more packets."""
        key = event.source if event.reason == UNKNOWN else int(event.spi or "0", 16)
        if not key:
            return
        if key not in self._found and len(self._found) >= MOST:
            del self._found[next(iter(self._found))]
        reasons = self._found.setdefault(key, {})
        reasons[event.reason] = reasons.get(event.reason, 0) + event.count

    def of(self, spis: Iterable[int], sender: str) -> tuple[tuple[str, int], ...]:
        """Reasons and counts of the SAs of these SPIs, and of what that sender sent to no SA."""
        total: dict[str, int] = {}
        keys: list[int | str] = [*spis, sender]
        for key in keys:
            for reason, count in self._found.get(key, {}).items():
                total[reason] = total.get(reason, 0) + count
        return tuple(sorted(total.items()))
