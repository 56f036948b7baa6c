"""Output a page at a time: ` --More-- `, and space, Enter or any other key for a page, a line or no more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ikescope.ios.line_screen import columns

MORE = " --More-- "
_ERASED = "\b" * 9 + " " * 8 + "\b" * 9
_PAGE, _LINE = b" ", b"\r\n"


class Pager:
    """What is still to be shown. `width` and `length` are the terminal's, 0 without an edge or without pages."""

    def __init__(self, width: int, length: int) -> None:
        self.width, self.length = width, length
        self._lines: deque[str] = deque()

    @property
    def paging(self) -> bool:
        """Whether a key is waited for."""
        return bool(self._lines)

    def begin(self, lines: Iterable[str]) -> str:
        """The first page of an output, its lines without their ends."""
        self._lines = deque(lines)
        return self._rows(self.length - 1 if self.length else None)

    def key(self, octet: int) -> str:
        """What a key brings: the next page for space, the next line for Enter, the end for any other."""
        if octet not in _PAGE + _LINE:
            self._lines.clear()
            return _ERASED
        return _ERASED + self._rows(1 if octet in _LINE else max(1, self.length - 1))

    def _rows(self, room: int | None) -> str:
        drawn: list[str] = []
        first = True
        while self._lines:
            rows = 1 if not self.width else max(1, -(-columns(self._lines[0]) // self.width))
            if room is not None and rows > room and not (first and room > 0):
                return "".join(drawn) + MORE
            if room is not None:
                room -= rows
                if room < 0:
                    room = 0
            first = False
            drawn.append(self._lines.popleft() + "\r\n")
        return "".join(drawn)
