"""The line editor of the prompt: what is typed, what the terminal shows, what the session is asked."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ikescope.ios.line_editor import Asked, LineEditor

WIDTH = 20
_CONTROL = re.compile(r"\x1b\[(\d*)([ACJ])")


class Terminal:
    """A VT100 of `WIDTH` columns: a letter in the last one leaves the cursor there until the next letter."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = [[]]
        self.row = self.column = 0

    def show(self, octets: bytes) -> None:
        """Draw what it is sent."""
        text = octets.decode()
        while text:
            found = _CONTROL.match(text)
            if found is not None:
                self._control(int(found[1] or (0 if found[2] == "J" else 1)), found[2])
                text = text[found.end() :]
                continue
            self._letter(text[0])
            text = text[1:]

    def _control(self, number: int, what: str) -> None:
        if what == "A":
            self.row, self.column = self.row - number, min(self.column, WIDTH - 1)
            assert self.row >= 0
        elif what == "C":
            self.column += number
            assert self.column < WIDTH
        else:
            del self.rows[self.row + 1 :], self.rows[self.row][self.column :]

    def _letter(self, letter: str) -> None:
        if letter == "\r":
            self.column = 0
        elif letter == "\n":
            self._down()
        elif letter == "\b":
            self.column = max(min(self.column, WIDTH - 1) - 1, 0)
        elif letter != "\a":
            assert letter.isprintable(), letter
            if self.column == WIDTH:
                self._down()
                self.column = 0
            row = self.rows[self.row]
            row += " " * (self.column + 1 - len(row))
            row[self.column] = letter
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    @property
    def text(self) -> str:
        """All rows, joined where a line went on in the next one."""
        return "".join("".join(row).ljust(WIDTH) for row in self.rows).rstrip()


class Desk:
    """An operator at a session that answers as told: by the line, else one row of output."""

    def __init__(self, answers: dict[str, dict[str, Any]] | None = None, *, length: int = 24) -> None:
        self.editor = LineEditor(width=WIDTH, length=length)
        self.answers = answers or {}
        self.asked: list[Asked] = []
        self.terminal = Terminal()
        self.terminal.show(self.editor.begin("R1#"))

    def type(self, octets: bytes) -> str:
        """Type, answer what is asked; what the terminal was sent."""
        drawn = self.editor.feed(octets)
        while (asked := self.editor.asked) is not None:
            self.asked.append(asked)
            drawn += self.editor.answered(self.answers.get(asked.text, {"output": [], "prompt": "R1#"}))
        self.terminal.show(drawn)
        return drawn.decode()

    @property
    def lines(self) -> list[str]:
        """The lines that reached the session."""
        return [asked.text for asked in self.asked if asked.kind == "line"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b"\r\0"])
@pytest.mark.parametrize("line", ["terminal length 0", "terminal width 511", "term len 0", "", "x" * 3 * WIDTH])
def test_what_a_tool_sends_comes_back_once(line: str, end: bytes) -> None:
    """Each character is echoed as itself, once, whatever the width, and each kind of line end as CR LF."""
    desk = Desk()
    assert desk.type(b"\0" + line.encode() + end) == f"{line}\r\nR1#"
    assert desk.lines == [line]


def test_what_is_typed_ahead_is_echoed_after_the_prompt() -> None:
    """Lines that come while a command is at work wait, and the echo of each stands behind the prompt before it."""
    editor = LineEditor()
    editor.begin("R1#")
    assert editor.feed(b"conf t\nhostname R2\n") == b"conf t\r\n"
    assert editor.feed(b"end\n") == b""
    drawn = editor.answered({"output": ["Enter"], "prompt": "R1(config)#"})
    assert drawn == b"Enter\r\nR1(config)#hostname R2\r\n"
    assert editor.answered({"output": [], "prompt": "R2(config)#"}) == b"R2(config)#end\r\n"


def test_a_question_mark_asks_at_once() -> None:
    """`?` asks for help without Enter and gives the line back; behind Ctrl-V it is a character."""
    desk = Desk({"show ": {"output": ["  version"]}})
    assert desk.type(b"show ?") == "show ?\r\n  version\r\n\r\nR1#show "
    assert desk.asked == [Asked("help", "show ")]
    assert desk.asked[0].request() == {"command": "show ?"}
    desk.type(b"\x15description why\x16?\r")
    assert desk.lines == ["description why?"]
    assert desk.asked[-1].request() == {"command": "description why?", "typed": True}


def test_tab_completes() -> None:
    """Tab gives the prompt again with the line as complete as it can be."""
    desk = Desk({"sh": {"complete": "show "}})
    assert desk.type(b"sh\t") == "sh\r\nR1#show "
    desk.type(b"clock\n")
    assert desk.lines == ["show clock"]


def test_a_password_is_neither_echoed_nor_kept() -> None:
    """What is typed at a secret prompt is not drawn, `?` and Tab are characters of it, and no key brings it back."""
    desk = Desk({"enable": {"output": [], "prompt": "Password: ", "secret": True}})
    assert desk.type(b"enable\r") == "enable\r\nPassword: "
    assert desk.type(b"s3c?\x7f?x\t\x10\r").replace("\a", "") == "\r\nR1#"
    assert desk.lines == ["enable", "s3c?x"]
    assert "s3c" not in repr(desk.asked)
    assert desk.type(b"\x10") == "enable"
    desk.type(b"\r")
    assert desk.type(b"\x03") == "\r\nR1#"
    assert desk.asked[-1].request() == {"interrupt": True}


def test_history_goes_back_and_forth() -> None:
    """Ctrl-P and the arrows recall lines, newest first, a repeated one once; what was being typed comes back last."""
    desk = Desk()
    for line in (b"one\r", b"two\r", b"two\r", b"ha\x1b[A\x1b[A\x1b[B\x0e"):
        desk.type(line)
    assert desk.terminal.text.endswith("R1#ha")
    desk.type(b"\x10\x10 more\n")
    assert desk.lines[-1] == "one more"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"abc\x01X\x05Y", "XabcY"),
        (b"abc\x02\x02X\x06Y", "aXbYc"),
        (b"one two\x17three", "one three"),
        (b"one two\x02\x0b\x19\x19", "one twoo"),
        (b"abc\x15new", "new"),
        (b"abc\x01\x04\x1b[3~", "c"),
        (b"abc\x08\x7fx", "ax"),
        (b"ab\x14", "ba"),
        (b"one two\x1bbX\x1bfY", "one XtwoY"),
        (b"abc\x1b[HX\x1bOFY\x12", "XabcY"),
        ("\u00fc\u65e5\x7f!".encode(), "\u00fc!"),
    ],
)
def test_keys_edit_the_line(keys: bytes, line: str) -> None:
    """The keys that IOS knows do what they do there."""
    desk = Desk()
    desk.type(keys + b"\r")
    assert desk.lines == [line]


def test_control_z_and_control_c_leave_the_configuration_mode() -> None:
    """Ctrl-Z carries out what is typed and ends; Ctrl-C forgets it and ends; in exec both only begin a new line."""
    configuring: dict[str, Any] = {"output": [], "prompt": "R1(config)#"}
    desk = Desk({"conf t": configuring, "hostname R1": configuring})
    desk.type(b"conf t\rhostname R1\x1aconf t\rno\x03\x1a\x03\x1a")
    assert desk.lines == ["conf t", "hostname R1", "end", "conf t", "end"]


def test_a_long_output_comes_by_pages() -> None:
    """` --More-- ` waits: space a page, Enter a line, q the end; `terminal length 0` turns it off."""
    more, erased = " --More-- ", "\b" * 9 + " " * 8 + "\b" * 9
    output = [f"row {number}" for number in range(8)]
    answers: dict[str, dict[str, Any]] = {
        "show": {"output": output, "prompt": "R1#"},
        "off": {"output": [], "prompt": "R1#", "length": 0},
    }
    desk = Desk(answers, length=4)
    assert desk.type(b"show\r").endswith("row 0\r\nrow 1\r\nrow 2\r\n" + more)
    assert desk.type(b"\r") == f"{erased}row 3\r\n{more}"
    assert desk.type(b" ") == f"{erased}row 4\r\nrow 5\r\nrow 6\r\n{more}"
    assert desk.editor.notice(["news"]) == b"", "unasked lines wait"
    assert desk.type(b"q") == f"{erased}news\r\nR1#"
    desk.type(b"off\r")
    desk.editor.resize(WIDTH, 4)
    assert more not in desk.type(b"show\r")


@pytest.mark.parametrize("length", [3, WIDTH - 8, WIDTH, 2 * WIDTH - 8])
def test_what_nobody_asked_for_stands_above_the_line(length: int) -> None:
    """A line told unasked is drawn where the typed one stood, which goes on below it, however many rows it has."""
    desk = Desk()
    desk.type(b"show " + b"x" * length)
    desk.terminal.show(desk.editor.notice(["%UP"]))
    assert desk.terminal.text == "%UP".ljust(WIDTH) + "R1#show " + "x" * length


def test_control_c_ends_a_command_at_work() -> None:
    """Ctrl-C and Ctrl-Shift-6 reach the driver at once, and what was typed ahead is forgotten."""
    editor = LineEditor()
    editor.begin("R1#")
    editor.feed(b"ping\rshow")
    assert not editor.aborted
    assert editor.stream("!!") == b"!!"
    editor.feed(b" clock\r\x1e")
    assert (editor.aborted, editor.aborted) == (True, False)
    assert editor.answered({"output": ["done"], "prompt": "R1#"}) == b"\r\ndone\r\nR1#"


KEYS = st.sampled_from([bytes((number,)) for number in (1, 2, 4, 5, 6, 8, 11, 14, 16, 18, 20, 21, 23, 25, 127)])
TYPED = st.lists(st.one_of(KEYS, st.sampled_from([b"\x1bb", b"\x1bf", b"a", b"bc ", b"d" * 17, b"\n"])), max_size=30)


@settings(max_examples=150, deadline=None)
@given(TYPED)
def test_the_terminal_shows_the_line(typed: list[bytes]) -> None:
    """After any editing, over any number of rows, the screen shows prompt and line, and what Enter sends is that."""
    desk = Desk()
    for octets in typed:
        if octets == b"\x04" and desk.terminal.text.endswith("R1#"):
            continue
        desk.type(octets)
    desk.type(b"\x05\x02\x06")
    shown = desk.terminal.text.rpartition("R1#")[2]
    desk.type(b"\r")
    assert desk.lines[-1].rstrip() == shown


ANSWERS = st.sampled_from(
    [
        {},
        {"error": "no"},
        {"output": ["x" * 50] * 30, "prompt": "R1(config)#"},
        {"output": ["ok"], "prompt": "Password: ", "secret": True},
        {"complete": "show \x00"},
        {"output": [], "prompt": "R1#", "width": 0, "length": 0},
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 3), ANSWERS), max_size=12))
def test_no_octets_raise(steps: list[tuple[bytes, int, dict[str, Any]]]) -> None:
    """Whatever is typed, answered and told in whatever order, something is drawn or not, and nothing raises."""
    editor = LineEditor(width=WIDTH, length=5)
    editor.begin("R1>", ["welcome"])
    for octets, what, answer in steps:
        editor.feed(octets)
        assert isinstance((editor.notice(["n"]), editor.answered(answer), editor.stream("!"), b"")[what], bytes)
        editor.resize(what * 7, what)
        if editor.asked is not None:
            assert editor.asked.request()
