"""Octets that come piece by piece: a file's, and those of a gzip file unfolded on the way."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

GZIP = b"\x1f\x8b"
#: Octets that a compressed source may unfold to.
MAX_OCTETS = 1 << 40
_PIECE = 1 << 16


class Readable(Protocol):
    """What a binary file offers."""

    def read(self, size: int, /) -> bytes:
        """At most so many octets; none at the end."""


class Octets:
    """A source read piece by piece; `head` looks ahead.

    A gzip file unfolds itself; where it is damaged or cut, `note` hears of it and it ends there.
    """

    def __init__(self, source: Readable | bytes, note: Callable[[str], None] = lambda _: None) -> None:
        self._held, self._at = source if isinstance(source, bytes) else b"", 0
        self._source = None if isinstance(source, bytes) else source
        self._note = note
        self._unfold: zlib._Decompress | None = None
        self.told = 0
        self.damage = ""
        self._kept: list[bytes] | None = None
        self._room = 0
        if self.head(2) == GZIP:
            folded, self._held = self._held, b""
            self._unfold = zlib.decompressobj(wbits=31)
            self._take(folded)

    def head(self, size: int) -> bytes:
        """The next octets, which `read` gives again; fewer at the end."""
        while len(self._held) - self._at < size and self._more():
            pass
        return self._held[self._at : self._at + size]

    def view(self, size: int) -> tuple[bytes, int]:
        """Octets that are held, and where among them the next ones begin: so many at least, but at the end."""
        while len(self._held) - self._at < size and self._more():
            pass
        return self._held, self._at

    def skip(self, size: int) -> None:
        """Go on behind octets that `view` showed; they are not kept."""
        self._at += size

    def read(self, size: int) -> bytes:
        """The next octets; fewer only at the end."""
        found = self.head(size)
        self._at += len(found)
        if self._kept is not None and self._room > 0:
            self._kept.append(found[: self._room])
            self._room -= len(found)
        return found

    def keep(self, size: int) -> None:
        """Keep the octets that are read from here on, so many at most; none where it is 0."""
        self._kept, self._room = [] if size else None, size

    def kept(self) -> bytes:
        """What was kept."""
        return b"".join(self._kept or ())

    def all(self) -> bytes:
        """All that is left."""
        parts = []
        while self._at < len(self._held) or self._more():
            parts.append(self._held[self._at :])
            self._held, self._at = b"", 0
        return b"".join(parts)

    def _more(self) -> bool:
        piece = b"" if self._source is None else self._source.read(_PIECE)
        if piece:
            self._take(piece)
            return True
        self._source = None
        unfold, self._unfold = self._unfold, None
        if unfold is not None and not unfold.eof:
            self._break(f"gzip file cut short after {self.told} unfolded octets")
        return False

    def _take(self, piece: bytes) -> None:
        if self._unfold is None:
            self._held, self._at = self._held[self._at :] + piece, 0
            return
        try:
            found = b""
            while piece:
                found += self._unfold.decompress(piece)
                piece = self._unfold.unused_data
                if piece[:2] != GZIP:
                    break
                # Gzip files one after the other are one.
                self._unfold = zlib.decompressobj(wbits=31)
        except zlib.error as error:
            self._break(f"damaged gzip file after {self.told} unfolded octets: {error}")
            self._source = self._unfold = None
        self.told += len(found)
        self._held, self._at = self._held[self._at :] + found, 0
        if self.told > MAX_OCTETS:
            self._break(f"unfolds to more than {MAX_OCTETS} octets")
            self._source = self._unfold = None

    def _break(self, what: str) -> None:
        self.damage = what
        self._note(what)
