"""What changed since: each key with the generation in which it last did, the latest last."""

from __future__ import annotations

from collections import deque
from typing import Any

from ikescope.timeline.model import Changes

KINDS = ("ike", "children", "exchanges", "families", "tunnels")
FORGOTTEN = 4096
"""How many forgotten keys are remembered for those who ask."""


class Journal:
    """Notes changes in constant time each; `since` takes as long as there are changes to tell."""

    def __init__(self) -> None:
        self.generation = 0
        self._latest: dict[tuple[str, Any], int] = {}
        self._forgotten: deque[tuple[int, str, Any]] = deque()
        self._gone_before = 0

    def note(self, kind: str, key: Any) -> None:
        """Something was made or changed in this generation."""
        self._latest.pop((kind, key), None)
        self._latest[kind, key] = self.generation

    def forget(self, kind: str, key: Any) -> None:
        """Something is no longer held."""
        self._latest.pop((kind, key), None)
        self._forgotten.append((self.generation, kind, key))
        while len(self._forgotten) > FORGOTTEN:
            self._gone_before = self._forgotten.popleft()[0]

    def since(self, generation: int) -> Changes:
        """What changed after this generation."""
        found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
        for (kind, key), latest in reversed(self._latest.items()):
            if latest <= generation:
                break
            found[kind].append(key)
        forgotten: list[tuple[str, object]] = []
        for latest, kind, key in reversed(self._forgotten):
            if latest <= generation:
                break
            forgotten.append((kind, key))
        return Changes(
            generation=self.generation,
            complete=generation >= self._gone_before,
            forgotten=tuple(forgotten),
            **{kind: tuple(keys) for kind, keys in found.items()},
        )
