"""The line editor of the IOS prompt, for a terminal and for SSH: octets in, octets out, and what is asked of a session.

    drawn = editor.begin("R1#")
    drawn = editor.feed(octets)
    while (asked := editor.asked) is not None:
        drawn += editor.answered(ask(asked.request()))

`asked` is what it waits for: a line is finished, or `?` or Tab was pressed. `Asked.request()` is the control socket's
request for it, `answered` takes the control socket's answer. What is typed meanwhile is held and echoed when its turn
comes; Ctrl-C and Ctrl-Shift-6 are not: `aborted` tells the driver once, which sends `{"abort": true}`, unanswered.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from ikescope.ios.line_keys import BELL, KEYS, LINE, SEQUENCES, Typing
from ikescope.ios.line_pager import Pager

HELD = 1 << 20
"""Octets that wait while a command is carried out; more are lost with a bell, so a driver looks at `full`."""
ESCAPE = 16
"""Octets of the longest escape sequence that is waited for."""
NOTICES = 2000
"""Lines told unasked that wait for the end of a page; the oldest go first."""

_PLAIN = re.compile(rb"[ ->@-~]+")
"""Octets that are typed as they are: printable ASCII but `?`."""
_ABORT = b"\x03\x1e"
_NUL, _NEWLINE, _RETURN, _QUESTION_MARK, _DELETE = 0x00, 0x0A, 0x0D, 0x3F, 0x7F


@dataclass(frozen=True, slots=True)
class Asked:
    """What the editor waits for: a `line` (a password where `secret`), `help` for `?`, `complete` for Tab, that a
    dialogue is given up (`interrupt`), or that Ctrl-D was pressed in an empty line (`hangup`: hang up, or go on by
    `answered({})`).
    """

    kind: Literal["line", "help", "complete", "interrupt", "hangup"]
    text: str = field(default="", repr=False)
    secret: bool = False

    def request(self) -> dict[str, Any]:
        """The control socket's request for it."""
        if self.kind == "line":
            return {"command": self.text, "typed": True}
        if self.kind == "complete":
            return {"complete": self.text}
        return {"command": self.text + "?"} if self.kind == "help" else {"interrupt": True}


class LineEditor:
    """One operator's line, history and pages. `width` and `length` are the terminal's, 0 without an edge or pages.

    Nothing that is fed or answered raises.
    """

    def __init__(self, *, width: int = 80, length: int = 24) -> None:
        self.asked: Asked | None = None
        self.ended = False
        self._typing = Typing(width)
        self._line = self._typing.line
        self._pager = Pager(width, length)
        self._told: set[str] = set()
        self._prompt, self._secret = "", False
        self._held, self._out = bytearray(), bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._escape: bytes | None = None
        self._returned = self._quoted = self._aborted = self._streaming = False
        self._resumed: tuple[str, int] | None = None
        self._then: str | None = None
        self._notices: list[str] = []

    def begin(self, prompt: str, lines: Iterable[str] = ()) -> bytes:
        """Print what the session says first, and its prompt."""
        self._prompt = prompt
        self._print(lines)
        return self._drain()

    def feed(self, octets: bytes) -> bytes:
        """Take what was typed, any octets; what the terminal is to be sent."""
        if self.ended:
            return b""
        last = max(octets.rfind(each) for each in _ABORT)
        if self.asked is not None and self.asked.kind == "line" and last >= 0:
            self._aborted, self._then = True, None
            self._held.clear()
            octets = octets[last + 1 :]
        room = HELD - len(self._held)
        self._held += octets[:room]
        if len(octets) > room:
            self._put(BELL)
        return self._go_on()

    def answered(self, said: Mapping[str, Any]) -> bytes:
        """Take the control socket's answer to what was asked, and go on with what was typed meanwhile."""
        asked, self.asked = self.asked, None
        if asked is None:
            return b""
        self._end_stream()
        if asked.kind == "complete":
            self._completed(str(said.get("complete", asked.text)))
        elif asked.kind == "help":
            self._resumed = self._line.text, self._line.cursor
            lines = _lines(said)
            self._print(lines if lines[-1:] == [""] else [*lines, ""])
        else:
            self._take(said)
        return self._go_on()

    def stream(self, text: str) -> bytes:
        """Print a piece of the output of the command that is being carried out, a newline at the end of a line."""
        self._streaming = not text.endswith("\n") if text else self._streaming
        self._put(text.replace("\n", "\r\n"))
        return self._drain()

    def notice(self, lines: Iterable[str]) -> bytes:
        """Print lines that nobody asked for above the one that is being typed."""
        if self._pager.paging:
            self._notices = [*self._notices, *lines][-NOTICES:]
        elif self.asked is not None or self.ended:
            self._end_stream()
            self._put(_text(lines))
        else:
            self._put(self._line.wipe() + _text(lines) + self._line.draw())
        return self._drain()

    def resize(self, width: int, length: int) -> None:
        """The terminal has another size, 0 where it does not say; what `terminal width|length` set stays."""
        if width > 0 and "width" not in self._told:
            self._line.width = self._pager.width = width
        if length > 0 and "length" not in self._told:
            self._pager.length = length

    @property
    def aborted(self) -> bool:
        """Whether Ctrl-C or Ctrl-Shift-6 was pressed while a command was carried out; True once each time."""
        was, self._aborted = self._aborted, False
        return was

    @property
    def full(self) -> bool:
        """Whether so much waits that a driver had better read no more."""
        return len(self._held) > HELD // 2

    # From octets to keys.

    def _go_on(self) -> bytes:
        taken = 0
        while taken < len(self._held) and self.asked is None and not self.ended:
            run = _PLAIN.match(self._held, taken)
            if run is not None and self._escape is None and not (self._quoted or self._pager.paging):
                taken = run.end()
                self._type_run(run.group().decode())
                continue
            octet = self._held[taken]
            taken += 1
            if octet == _NUL or (octet == _NEWLINE and self._returned):
                self._returned = False
                continue
            self._returned = octet == _RETURN
            if self._pager.paging:
                self._page(octet)
            else:
                self._key(octet)
        del self._held[:taken]
        return self._drain()

    def _key(self, octet: int) -> None:
        if self._escape is not None:
            self._escaped(octet)
        elif self._quoted:
            self._quoted = False
            self._type(octet)
        elif octet == _QUESTION_MARK and not self._secret:
            self._ask_help()
        elif octet >= 0x20 and octet != _DELETE:
            self._type(octet)
        else:
            self._decoder.reset()
            edit, act = KEYS.get(octet), self._ACTS.get(octet)
            if edit is not None:
                self._put(edit(self._typing))
            elif act is not None:
                act(self)

    def _escaped(self, octet: int) -> None:
        """Take one more octet of an escape sequence: ESC and a letter, or ESC [ or O, digits, and a letter."""
        sequence = (self._escape or b"") + bytes((octet,))
        more = sequence in (b"[", b"O") or (sequence[:1] in (b"[", b"O") and 0x20 <= octet < 0x40)
        if more and len(sequence) < ESCAPE:
            self._escape = sequence
            return
        self._escape = None
        edit = SEQUENCES.get(sequence)
        if edit is not None:
            self._put(edit(self._typing))
        elif octet < 0x20:
            self._key(octet)

    def _type_run(self, text: str) -> None:
        """Type letters that are no keys, all at once; what is beyond the longest line is refused."""
        self._returned = False
        self._decoder.reset()
        room = LINE - len(self._line.text)
        self._put(self._typing.insert(text[:room]) + (BELL if len(text) > room else ""))

    def _type(self, octet: int) -> None:
        for letter in self._decoder.decode(bytes((octet,))):
            if letter.isprintable():
                self._put(self._typing.insert(letter))

    def _escape_begins(self) -> None:
        self._escape = b""

    def _quote(self) -> None:
        self._quoted = True

    # What is asked of the session.

    def _ask_help(self) -> None:
        self._put("?" + self._line.leave())
        self.asked = Asked("help", self._line.text[: self._line.cursor])

    def _ask_completion(self) -> None:
        if not self._secret:
            self.asked = Asked("complete", self._line.text[: self._line.cursor])

    def _completed(self, line: str) -> None:
        """As IOS: the prompt again, with the line as complete as it can be."""
        before, behind = self._line.text[: self._line.cursor], self._line.text[self._line.cursor :]
        if len(line) + len(behind) > LINE or not line.isprintable():
            line = before
        self._put(self._line.leave() + self._line.begin(self._prompt, line + behind, len(line)))

    def _finish(self) -> None:
        self._put(self._line.leave())
        self._typing.remember()
        self.asked = Asked("line", self._line.text, self._secret)

    def _end_mode(self) -> None:
        """Ctrl-Z: carry out what is typed, then leave the configuration mode; elsewhere a new line."""
        if self._secret:
            return
        self._put("^Z" + self._line.leave())
        if not self._configuring:
            self._new_line()
        elif self._line.text.strip():
            self._typing.remember()
            self._then = "end"
            self.asked = Asked("line", self._line.text)
        else:
            self.asked = Asked("line", "end")

    def _give_up(self) -> None:
        """Ctrl-C: forget what is typed; a dialogue and the configuration mode end."""
        self._put(("" if self._secret else "^C") + self._line.leave())
        if self._secret:
            self.asked = Asked("interrupt")
        elif self._configuring:
            self.asked = Asked("line", "end")
        else:
            self._new_line()

    def _delete_or_hang_up(self) -> None:
        if self._line.text or self._secret:
            self._put(self._typing.delete())
        else:
            self._put(self._line.leave())
            self.asked = Asked("hangup")

    @property
    def _configuring(self) -> bool:
        return self._prompt.endswith(")#")

    # What the session says.

    def _take(self, said: Mapping[str, Any]) -> None:
        prompt = said.get("prompt")
        self._prompt = prompt if isinstance(prompt, str) else self._prompt
        self._secret = bool(said.get("secret"))
        for name in ("width", "length"):
            value = said.get(name)
            if isinstance(value, int) and value >= 0:
                self._told.add(name)
                setattr(self._pager, name, value)
        self._line.width = self._pager.width
        self.ended = bool(said.get("ended"))
        self._print(_lines(said))

    def _print(self, lines: Iterable[str]) -> None:
        """Print an output by pages, then go on with the line; what ends the session is printed whole."""
        if self.ended:
            self._put(_text(lines))
            return
        self._put(self._pager.begin(lines))
        if not self._pager.paging:
            self._after_output()

    def _page(self, octet: int) -> None:
        self._put(self._pager.key(octet))
        if not self._pager.paging:
            self._after_output()

    def _after_output(self) -> None:
        notices, self._notices = self._notices, []
        self._put(_text(notices))
        if self._resumed is not None:
            (text, cursor), self._resumed = self._resumed, None
            self._put(self._line.begin(self._prompt, text, cursor, hidden=self._secret))
        elif self._then is not None:
            line, self._then = self._then, None
            self.asked = Asked("line", line)
        else:
            self._new_line()

    def _new_line(self) -> None:
        self._put(self._typing.begin(self._prompt, configuring=self._configuring, hidden=self._secret))

    def _end_stream(self) -> None:
        self._put("\r\n" if self._streaming else "")
        self._streaming = False

    def _put(self, text: str) -> None:
        self._out += text.encode("utf-8", "replace")

    def _drain(self) -> bytes:
        drawn, self._out = bytes(self._out), bytearray()
        return drawn

    #: What is more than an edit of the line, by octet.
    _ACTS: ClassVar[dict[int, Callable[[LineEditor], None]]] = {
        0x03: _give_up,
        0x04: _delete_or_hang_up,
        0x09: _ask_completion,
        0x0A: _finish,
        0x0D: _finish,
        0x16: _quote,
        0x1A: _end_mode,
        0x1B: _escape_begins,
        0x1E: _give_up,
    }


def _lines(said: Mapping[str, Any]) -> list[str]:
    """The lines that an answer of the control socket prints; a refusal of the request itself is one."""
    if "error" in said:
        return [f"% {said['error']}", ""]
    return [part for line in said.get("output", ()) for part in str(line).split("\n")]


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)
