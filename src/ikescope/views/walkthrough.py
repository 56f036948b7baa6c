"""The walkthrough: debug lines with the notes between them, under the parts of the tour, as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ikescope.events import Record
from ikescope.explain import words
from ikescope.explain.findings import findings, tell
from ikescope.explain.payloads import Span
from ikescope.explain.scene import Step
from ikescope.explain.summary import HEADINGS, rows, verdict
from ikescope.explain.walk import PARTS, Walk
from ikescope.timeline import Message, Timeline
from ikescope.views import tree
from ikescope.views.html import page
from ikescope.views.html_model import Model
from ikescope.views.ladder import ladder
from ikescope.views.ladder import payloads as payload_line

FAILURE = 8
#: The lines that a router's debug prints for one record.
Rendering = Callable[[Record], list[str]]


class Block(msgspec.Struct, frozen=True):
    """Debug lines, or a note on what stands above it; one of the two."""

    debug: tuple[str, ...] = ()
    note: Step | None = None


class Section(msgspec.Struct, frozen=True):
    """One part of the tour."""

    part: int
    title: str
    blocks: tuple[Block, ...]
    messages: tuple[Message, ...] = ()


class Document(msgspec.Struct, frozen=True):
    """A whole walkthrough, ready to be laid out."""

    title: str
    verdict: tuple[str, ...]
    sections: tuple[Section, ...]
    ladder: tuple[str, ...]
    table: tuple[tuple[str, ...], ...]
    records: tuple[Record, ...] = ()


class _Draft:
    """Sections in the making; debug lines gather until a note or another part comes."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._part = 0
        self._blocks: list[Block] = []
        self._debug: list[str] = []
        self._messages: list[Message] = []

    def part(self, number: int) -> None:
        """Begin another part, unless it is the one at hand."""
        if number == self._part:
            return
        self.close()
        self._part = number

    def debug(self, lines: Sequence[str]) -> None:
        """Debug lines as printed."""
        self._debug.extend(lines)

    def note(self, step: Step) -> None:
        """A note on what was just printed."""
        self._flush()
        self._blocks.append(Block(note=step))

    def message(self, messages: Sequence[Message]) -> None:
        """Messages whose trees belong to this part."""
        self._messages.extend(messages)

    def _flush(self) -> None:
        while self._debug and not self._debug[0].strip():
            del self._debug[0]
        while self._debug and not self._debug[-1].strip():
            del self._debug[-1]
        if self._debug:
            self._blocks.append(Block(debug=tuple(self._debug)))
        self._debug = []

    def close(self) -> None:
        """End the part at hand."""
        self._flush()
        if self._blocks:
            title = PARTS.get(self._part, "Before the first packet")
            self.sections.append(Section(self._part, title, tuple(self._blocks), tuple(self._messages)))
        self._blocks, self._messages = [], []


def _place(spans: Sequence[Span]) -> str:
    """`[28-75] ` or, of what was encrypted, `[ENCR 0-11] `: the octets of the message that a sentence speaks of."""
    told = (f"{'ENCR ' if one.inside else ''}{one.offset}-{one.offset + one.length - 1}" for one in spans)
    return "".join(f"[{one}] " for one in told)


class Explained:
    """The explanation as text, record by record: the heading of a part where it changes, titles, sentences."""

    def __init__(self, router: str | None = None) -> None:
        self.walk = Walk(router)
        self._part = 0

    def lines(self, record: Record) -> list[str]:
        """What there is to say after this record, without line feeds; mostly nothing."""
        out: list[str] = []
        for step in self.walk.add(record):
            if step.part != self._part:
                self._part = step.part
                out.append(f"{step.part}. {PARTS[step.part]}")
            links = step.links or ((),) * len(step.lines)
            told = (f"    {_place(spans)}{line}" for line, spans in zip(step.lines, links, strict=True))
            out += [f"  {step.title}", *told]
        return out

    def end(self) -> list[str]:
        """What is wrong with the session so far and what to change, where something is; to be said last."""
        found = findings(self.walk.timeline, self.walk.router)
        told = [msgspec.structs.replace(one, evidence=()) for one in found if one.severity != "note"]
        lines = [f"  {line}" for one in told for line in tell(one)]
        return ["What to look at", *lines] if lines else []


def document(
    records: Iterable[Record],
    rendering: Rendering,
    *,
    router: str | None = None,
    failure: Iterable[Record] = (),
    title: str = "A FlexVPN tunnel, step by step",
) -> Document:
    """Lay a session out by parts, from one router's side (by default the first that tells of an SA).

    `rendering` gives a record's debug lines. `failure` are the records of a second session that fails: it stands whole
    under part 8, with the notes of that part only.
    """
    told = list(records)
    draft = _Draft()
    timeline = _act(draft, told, rendering, router, None)
    failed = list(failure)
    if failed:
        draft.part(FAILURE)
        _act(draft, failed, rendering, router, FAILURE)
    draft.close()
    return Document(
        title,
        tuple(verdict(timeline, router)),
        tuple(draft.sections),
        tuple(ladder(told)),
        tuple(rows(timeline, router)),
        (*told, *failed),
    )


def _act(
    draft: _Draft, records: Sequence[Record], rendering: Rendering, router: str | None, only: int | None
) -> Timeline:
    walk = Walk(router)
    reached = 0
    for record in records:
        before = len(walk.timeline.messages)
        steps = [step for step in walk.add(record) if only in (None, step.part)]
        if only is None and steps and (steps[0].part > reached or steps[0].part == 6):
            reached = max(reached, steps[0].part)
            draft.part(steps[0].part)
        if walk.router in (None, record.stamp.router):
            draft.debug(rendering(record))
            draft.message(walk.timeline.messages[before:])
        for step in steps:
            draft.note(step)
    return walk.timeline


def markdown(found: Document) -> str:
    """The document as `walkthrough.md`."""
    lines = [f"# {found.title}", "", *(f"{line}  " for line in found.verdict), ""]
    for section in found.sections:
        lines += [f"## {section.part}. {section.title}" if section.part else f"## {section.title}", ""]
        for block in section.blocks:
            if block.note is not None:
                lines += [f"> **{block.note.title}**  ", *(f"> {_escape(line)}  " for line in block.note.lines), ""]
            else:
                lines += ["```", *block.debug, "```", ""]
        for message in section.messages:
            lines += _tree(message)
    lines += ["## The ladder", "", "```", *found.ladder, "```", ""]
    lines += ["## What it took", "", f"| {' | '.join(HEADINGS)} |", f"|{'---|' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(row)} |" for row in found.table]
    return "\n".join(lines) + "\n"


def _escape(line: str) -> str:
    return line.replace("\\", "\\\\").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def _tree(message: Message) -> list[str]:
    lines = tree.message_lines(message)
    if not lines:
        return []
    return ["<details><summary>" + summary(message) + "</summary>", "", "```", *lines, "```", "", "</details>", ""]


def summary(message: Message) -> str:
    """One line that names a message: direction, exchange, payloads, size."""
    way = "sent" if message.sent else "received"
    kind = "response" if message.response else "request"
    number = f" {message.message_id}" if isinstance(message.message_id, int) else ""
    again = f", again {message.repeat}" if message.repeat else ""
    name = f"{words.exchange(message.exchange)} {kind}{number}, {way}{again}"
    size = f", {message.size} octets" if isinstance(message.size, int) else ""
    size += f" in {len(message.fragments)} fragments" if message.fragments else ""
    return f"{name}: {payload_line(message)}{size}"


def html(found: Document, model: Model | None = None) -> str:
    """The document as a self-contained `walkthrough.html`: ladder and SAs to look into, then the tour; no request.

    `model` is what the records were folded into already, where a live view has done that.
    """
    model = model or Model().extend(found.records)
    data = model.snapshot() | {"verdict": found.verdict, "details": model.details()}
    sections = [_section(one) for one in found.sections]
    return page(found.title, found.verdict, sections, data, found.ladder, HEADINGS, found.table)


def _section(section: Section) -> tuple[str, list[tuple[str, str, tuple[str, ...]]]]:
    """Heading and (kind, title, lines) of each block, in the order in which they stand."""
    blocks: list[tuple[str, str, tuple[str, ...]]] = []
    for block in section.blocks:
        if block.note is not None:
            blocks.append(("note", block.note.title, block.note.lines))
        else:
            blocks.append(("debug", "", block.debug))
    return (f"{section.part}. {section.title}" if section.part else section.title), blocks
