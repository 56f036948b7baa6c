"""A buffer in stretches of equal length, and pieces of them that are made once and kept."""

from __future__ import annotations

_CUTS = 16


class Lanes:
    """Lanes of `stride` octets one behind another in a buffer, which is used again and again."""

    __slots__ = ("_cuts", "buffer", "stride")

    def __init__(self, buffer: memoryview, stride: int) -> None:
        self.buffer, self.stride = buffer, stride
        self._cuts: dict[tuple[int, int], list[memoryview]] = {}

    def cut(self, start: int, octets: int, first: int, count: int) -> list[memoryview]:
        """So many octets from `start` on of each of `count` lanes from `first` on, also beyond the end of a lane."""
        cut = self._cuts.get((start, octets))
        if cut is None:
            if len(self._cuts) >= _CUTS:
                self._cuts.clear()
            cut = self._cuts[start, octets] = []
        end = first + count
        if len(cut) < end:
            buffer, stride = self.buffer, self.stride
            cut += [buffer[at : at + octets] for at in range(len(cut) * stride + start, end * stride + start, stride)]
        return cut[first:end]
