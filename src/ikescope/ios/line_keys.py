"""The keys that edit a line, as IOS has them, and the lines typed before; each gives what draws its work."""

from __future__ import annotations

from collections.abc import Callable

from ikescope.ios.line_screen import TypedLine

LINE = 4096
"""Characters of a line; more are refused with a bell."""
HISTORY = 20
"""Lines that Ctrl-P goes back, as many as IOS keeps, in each of exec and configuration."""
BELL = "\a"


class Typing:
    """A line with the editing keys: a history by mode, and what was cut out last. A hidden line has neither."""

    def __init__(self, width: int) -> None:
        self.line = TypedLine(width=width)
        self._histories: dict[bool, list[str]] = {False: [], True: []}
        self._lines = self._histories[False]
        self._place = 0
        self._kept = self._cut = ""

    def begin(self, prompt: str, *, configuring: bool, hidden: bool) -> str:
        """Draw a prompt with nothing typed after it."""
        self._lines = self._histories[configuring]
        self._place, self._kept = len(self._lines), ""
        return self.line.begin(prompt, hidden=hidden)

    def remember(self) -> None:
        """Put what is typed into the history; a line as the one before it, an empty and a hidden one are not."""
        text = self.line.text
        if text.strip() and not self.line.hidden and self._lines[-1:] != [text]:
            self._lines.append(text)
            del self._lines[:-HISTORY]

    def insert(self, text: str) -> str:
        """Type a text at the cursor."""
        if len(self.line.text) + len(text) > LINE:
            return BELL
        return self.line.replace(self.line.cursor, self.line.cursor, text)

    def to_start(self) -> str:
        """Ctrl-A."""
        return self.line.move(0)

    def to_end(self) -> str:
        """Ctrl-E."""
        return self.line.move(len(self.line.text))

    def left(self) -> str:
        """Ctrl-B."""
        return self.line.move(max(self.line.cursor - 1, 0))

    def right(self) -> str:
        """Ctrl-F."""
        return self.line.move(min(self.line.cursor + 1, len(self.line.text)))

    def word_left(self) -> str:
        """Esc B."""
        return self.line.move(self._word_start())

    def word_right(self) -> str:
        """Esc F."""
        return self.line.move(self._word_end())

    def delete(self) -> str:
        """The character under the cursor."""
        here = self.line.cursor
        return self.line.replace(here, min(here + 1, len(self.line.text)), "") if here < len(self.line.text) else ""

    def delete_before(self) -> str:
        """Backspace."""
        here = self.line.cursor
        return self.line.replace(here - 1, here, "") if here else ""

    def cut_before(self) -> str:
        """Ctrl-U."""
        return self._cut_out(0, self.line.cursor)

    def cut_behind(self) -> str:
        """Ctrl-K."""
        return self._cut_out(self.line.cursor, len(self.line.text))

    def cut_word(self) -> str:
        """Ctrl-W."""
        return self._cut_out(self._word_start(), self.line.cursor)

    def cut_next_word(self) -> str:
        """Esc D."""
        return self._cut_out(self.line.cursor, self._word_end())

    def paste(self) -> str:
        """Ctrl-Y: what was cut out last."""
        return self.insert(self._cut)

    def transpose(self) -> str:
        """Ctrl-T: exchange the character at the cursor with the one before it."""
        text, end = self.line.text, min(self.line.cursor + 1, len(self.line.text))
        return self.line.replace(end - 2, end, text[end - 1] + text[end - 2]) if end >= 2 else ""

    def older(self) -> str:
        """Ctrl-P."""
        return self._recall(-1)

    def newer(self) -> str:
        """Ctrl-N."""
        return self._recall(1)

    def redraw(self) -> str:
        """Ctrl-R, Ctrl-L: the line once more, below."""
        return self.line.leave() + self.line.draw()

    def _recall(self, step: int) -> str:
        place = self._place + step
        if self.line.hidden or not 0 <= place <= len(self._lines):
            return BELL
        if self._place == len(self._lines):
            self._kept = self.line.text
        self._place = place
        return self.line.replace(0, len(self.line.text), [*self._lines, self._kept][place])

    def _cut_out(self, start: int, end: int) -> str:
        if start < end:
            self._cut = "" if self.line.hidden else self.line.text[start:end]
        return self.line.replace(start, end, "")

    def _word_start(self) -> int:
        return self.line.text[: self.line.cursor].rstrip().rfind(" ") + 1

    def _word_end(self) -> int:
        rest = self.line.text[self.line.cursor :]
        blank = rest.find(" ", len(rest) - len(rest.lstrip()))
        return len(self.line.text) if blank < 0 else self.line.cursor + blank


#: By octet.
KEYS: dict[int, Callable[[Typing], str]] = {
    0x01: Typing.to_start,
    0x02: Typing.left,
    0x05: Typing.to_end,
    0x06: Typing.right,
    0x08: Typing.delete_before,
    0x0B: Typing.cut_behind,
    0x0C: Typing.redraw,
    0x0E: Typing.newer,
    0x10: Typing.older,
    0x12: Typing.redraw,
    0x14: Typing.transpose,
    0x15: Typing.cut_before,
    0x17: Typing.cut_word,
    0x18: Typing.cut_before,
    0x19: Typing.paste,
    0x7F: Typing.delete_before,
}

#: By what follows ESC.
SEQUENCES: dict[bytes, Callable[[Typing], str]] = {
    **{lead + b"A": Typing.older for lead in (b"[", b"O")},
    **{lead + b"B": Typing.newer for lead in (b"[", b"O")},
    **{lead + b"C": Typing.right for lead in (b"[", b"O")},
    **{lead + b"D": Typing.left for lead in (b"[", b"O")},
    **dict.fromkeys((b"[H", b"OH", b"[1~", b"[7~"), Typing.to_start),
    **dict.fromkeys((b"[F", b"OF", b"[4~", b"[8~"), Typing.to_end),
    **dict.fromkeys((b"b", b"B", b"[1;5D", b"[1;3D"), Typing.word_left),
    **dict.fromkeys((b"f", b"F", b"[1;5C", b"[1;3C"), Typing.word_right),
    b"[3~": Typing.delete,
    b"d": Typing.cut_next_word,
    b"D": Typing.cut_next_word,
    b"\x7f": Typing.cut_word,
}
