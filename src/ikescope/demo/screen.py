"""What the tour shows: printed as it happens and kept, so that the walkthrough's files hold the same."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from ikescope.demo.stage import Echoed, Said
from ikescope.explain.scene import Step
from ikescope.explain.walk import PARTS
from ikescope.timeline import Message
from ikescope.views.walkthrough import Block, Section

NARROW, WIDE = 80, 100
_STYLES = {"heading": "1;36", "note": "32", "title": "1;32", "command": "1", "bad": "1;31", "good": "32"}
_NUMBER = re.compile(r"(?<=\S) (?=(?:octets|ms|s|KB|min|h)\b)|(?<=section) (?=\d)|(?<=RFC) (?=\d)|(?<=group) (?=\d)")
_GLUE = "\u00a0"


class Screen:
    """A terminal, or whatever stands in for one. Colour only on a terminal, and not where NO_COLOR is set."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        terminal = self._out.isatty()
        self._colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        columns = shutil.get_terminal_size((NARROW, 24)).columns if terminal else NARROW
        self.width = max(40, min(columns, WIDE))
        self.sections: list[Section] = []
        self.printed: list[str] = []
        self._blocks: list[Block] = []
        self._plain: list[str] = []
        self._blank = True
        self._ours = True

    def _line(self, text: str = "", style: str = "") -> None:
        self.printed.append(text)
        self._blank = not text.strip()
        self._ours = False
        if style and self._colour and text:
            text = f"\x1b[{_STYLES[style]}m{text}\x1b[0m"
        print(text, file=self._out, flush=True)

    def gap(self) -> None:
        """A blank line unless there is one."""
        if not self._blank:
            self._line()
        self._ours = True

    def _keep(self, lines: Iterable[str]) -> None:
        self._plain.extend(lines)

    def _flush(self) -> None:
        kept = "\n".join(self._plain).strip("\n")
        if kept.strip():
            self._blocks.append(Block(debug=tuple(kept.split("\n"))))
        self._plain = []

    @property
    def part(self) -> int:
        """The part at hand, 0 before the first."""
        return self.sections[-1].part if self.sections else 0

    def heading(self, part: int, title: str = "") -> None:
        """Begin a part."""
        self._end_section()
        title = title or PARTS[part]
        self.sections.append(Section(part, title, ()))
        self.gap()
        self._line(f"-- {part}. {title} ".ljust(self.width, "-"), "heading")
        self.gap()

    def _end_section(self, messages: Sequence[Message] = ()) -> None:
        self._flush()
        if self.sections:
            last = self.sections[-1]
            self.sections[-1] = Section(last.part, last.title, tuple(self._blocks), last.messages)
        self._blocks = []

    def messages(self, messages: Sequence[Message]) -> None:
        """Messages whose trees belong to the part at hand, for the files."""
        if self.sections:
            last = self.sections[-1]
            self.sections[-1] = Section(last.part, last.title, last.blocks, (*last.messages, *messages))

    def finish(self) -> tuple[Section, ...]:
        """All parts, ended."""
        self._end_section()
        return tuple(self.sections)

    def say(self, text: str, style: str = "") -> None:
        """A paragraph of the guide, folded."""
        self.gap()
        for line in self._folded(text):
            self._line(line, style)

    def rule(self, title: str) -> None:
        """A heading that begins no part."""
        self.gap()
        self._line(f"-- {title} ".ljust(self.width, "-"), "heading")
        self.gap()

    def hang(self, text: str, indent: str) -> list[str]:
        """A line folded, its second line and those after it indented."""
        first, *rest = self._folded(text)
        return [first, *(indent + line for line in rest)]

    def answer(self, lines: Iterable[str]) -> None:
        """A verdict and what to change."""
        self.gap()
        self._flush()
        told = tuple(lines)
        self._blocks.append(Block(note=Step(self.part, "Verdict", 0, told)))
        for line in told:
            for folded in self._folded(line):
                self._line(folded, "command")

    def show(self, lines: Iterable[str], style: str = "") -> None:
        """Lines as they are, for the screen only."""
        for line in lines:
            self._line(line, style)

    def debug(self, lines: Sequence[str]) -> None:
        """A router's debug, exactly as it printed it; only its blank line right under one of ours is left out."""
        self._keep(lines)
        for line in lines[1:] if self._ours and lines and not lines[0].strip() else lines:
            self._line(line)

    def note(self, step: Step) -> None:
        """What to look at in the lines above, and why."""
        self._flush()
        self._blocks.append(Block(note=step))
        self._line(f"! {step.title}", "title")
        for line in step.lines:
            for folded in self._folded(line, "!   "):
                self._line(folded, "note")

    def typed(self, said: Said) -> None:
        """A command at a console and what it gave."""
        if said.output or "(" not in said.prompt:
            self.gap()
        self._keep([f"{said.prompt}{said.line}", *said.output])
        self._line(f"{said.prompt}{said.line}", "command")
        for line in said.output:
            self._line(line)

    def shell(self, host: str, command: str) -> None:
        """A command at a LAN host."""
        self.gap()
        self._keep([f"{host}$ {command}"])
        self._line(f"{host}$ {command}", "command")

    def replies(self, destination: str, echoed: Sequence[Echoed]) -> None:
        """What a ping prints."""
        lines = [
            f"64 bytes from {destination}: icmp_seq={number} time={one.milliseconds:.1f} ms"
            for number, one in enumerate(echoed, 1)
            if one.milliseconds is not None
        ]
        self.ended([*lines, tally(echoed)])

    def ended(self, lines: Sequence[str]) -> None:
        """Output of a LAN host."""
        self._keep(lines)
        for line in lines:
            self._line(line)

    def _folded(self, text: str, head: str = "") -> list[str]:
        glued = _NUMBER.sub(_GLUE, text)
        lines = textwrap.wrap(
            glued,
            self.width,
            initial_indent=head,
            subsequent_indent=head + ("  " if head else ""),
            break_on_hyphens=False,
            break_long_words=False,
        )
        return [line.replace(_GLUE, " ") for line in lines]


def tally(echoed: Sequence[Echoed]) -> str:
    """`5 packets transmitted, 5 received, 0% packet loss`."""
    back = sum(one.milliseconds is not None for one in echoed)
    loss = 100 * (len(echoed) - back) // max(1, len(echoed))
    return f"{len(echoed)} packet{'' if len(echoed) == 1 else 's'} transmitted, {back} received, {loss}% packet loss"
