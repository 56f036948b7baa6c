"""Standard input, asked for as often as a file would be; what is long is read on only by who reads it to its end."""

from __future__ import annotations

import io
import os
import sys
from functools import cache
from typing import BinaryIO

from ikescope.capture.octets import Readable

HELD = 1 << 25
"""Octets of its beginning that are held, for those who look what it is."""
_PIECE = 1 << 16


class Long(io.RawIOBase):
    """A beginning that is held, and what comes after it."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        super().__init__()
        self._head, self._rest = io.BytesIO(head), rest

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """At most so many octets; none at the end."""
        if size is None or size < 0:
            return b"".join(iter(lambda: self.read(_PIECE), b""))
        return self._head.read(size) or self._rest.read(size)


class Pasted:
    """What comes in: its beginning is read once and given to everybody."""

    def __init__(self, source: Readable) -> None:
        self._source, self._held, self._ended = source, bytearray(), False

    def stream(self) -> BinaryIO | Long:
        """The whole of it; no more than the beginning is held until it is read."""
        self._fill(HELD)
        return io.BytesIO(self._held) if self._ended else Long(bytes(self._held), self._source)

    def all(self) -> bytes:
        """All of it, held."""
        self._fill(None)
        return bytes(self._held)

    def _fill(self, size: int | None) -> None:
        while not self._ended and (size is None or len(self._held) < size):
            piece = self._source.read(_PIECE)
            self._held += piece
            self._ended = not piece


@cache
def pasted(name: str | None = None) -> Pasted:
    """Standard input, or a pipe by its name.

    Standard input by a descriptor of its own: a process that is forked closes the other.
    """
    if name is not None:
        return Pasted(open(name, "rb", buffering=0))
    try:
        return Pasted(open(os.dup(sys.stdin.fileno()), "rb", buffering=0))
    except (OSError, AttributeError):
        return Pasted(sys.stdin.buffer)
