"""One line being typed after a prompt, and what a terminal must be sent so that it shows it: text in, text out."""

from __future__ import annotations

import unicodedata

_WIDE = frozenset("WF")


def columns(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in _WIDE else 1


class TypedLine:
    """A prompt, a text, a cursor in it; each change gives what draws it. A `hidden` text is never drawn.

    What is typed at the end of the line is drawn as itself and nothing else, however long the line: the terminal
    goes to its next row by itself, and where the cursor then is matters to what is drawn later alone. Within one row
    only backspaces move it, so any terminal will do. `width` 0: the terminal has no right edge.
    """

    def __init__(self, prompt: str = "", width: int = 80) -> None:
        self.prompt, self.width = prompt, width
        self.text, self.cursor = "", 0
        self.hidden = False
        self._at = columns(prompt)
        self._at_edge = False

    def begin(self, prompt: str, text: str = "", cursor: int | None = None, *, hidden: bool = False) -> str:
        """Draw a prompt and a text at the start of a row; the cursor goes to its end where nothing else is said."""
        self.prompt, self.text, self.hidden = prompt, text, hidden
        return self.draw(len(text) if cursor is None else cursor)

    def draw(self, cursor: int | None = None) -> str:
        """Draw it all at the start of a row."""
        to = self.cursor if cursor is None else cursor
        self._at, self._at_edge = 0, False
        self.cursor = len(self.text)
        return self._put(self.prompt) + self._put(self._seen(self.text)) + self.move(to)

    def replace(self, start: int, end: int, new: str, cursor: int | None = None) -> str:
        """Put `new` in place of the text from `start` to `end`; the cursor goes behind it or to `cursor`."""
        old, tail = self.text, self.text[end:]
        drawn = self.move(start)
        self.text = old[:start] + new + tail
        drawn += self._put(self._seen(new + tail))
        spare = columns(self._seen(old[start:])) - columns(self._seen(new + tail))
        drawn += self._put(" " * spare)
        self.cursor = start + len(new) if cursor is None else cursor
        return drawn + self._go(self._place(self.cursor))

    def move(self, cursor: int) -> str:
        """Move the cursor; forward by drawing what it passes."""
        here, self.cursor = self.cursor, cursor
        if cursor > here:
            return self._put(self._seen(self.text[here:cursor]))
        return self._go(self._place(cursor)) if cursor < here else ""

    def leave(self) -> str:
        """Go to the row below the line."""
        behind = self._row(self._place(len(self.text))) - self._row(self._at)
        return "\r\n" * (1 + max(0, behind))

    def wipe(self) -> str:
        """Take the line off the terminal; the cursor is where it began, `draw` brings it back."""
        rows = self._row(self._at) - self._at_edge
        return (f"\x1b[{rows}A" if rows else "") + "\r\x1b[J"

    def _seen(self, text: str) -> str:
        return "" if self.hidden else text

    def _place(self, cursor: int) -> int:
        return columns(self.prompt) + columns(self._seen(self.text[:cursor]))

    def _row(self, place: int) -> int:
        return place // self.width if self.width else 0

    def _put(self, text: str) -> str:
        """Draw a text where the cursor is."""
        if text:
            self._at += columns(text)
            self._at_edge = bool(self.width) and self._at % self.width == 0
        return text

    def _go(self, place: int) -> str:
        """Go back to a place, in columns from where the prompt began."""
        if place == self._at:
            return ""
        # At its right edge a terminal is still in the row it filled: a blank takes it to the next one.
        settled = " \b" if self._at_edge else ""
        up = self._row(self._at) - self._row(place)
        back, self._at, self._at_edge = self._at - place, place, False
        if not up:
            return settled + "\b" * back
        column = place % self.width
        return f"{settled}\x1b[{up}A\r" + (f"\x1b[{column}C" if column else "")
