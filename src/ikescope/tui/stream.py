"""Large texts and captures: records go to a view as they come, nothing holds them all; a bar on the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO

from ikescope.capture.octets import GZIP, Readable
from ikescope.tui.pasted import Long

if TYPE_CHECKING:
    from ikescope.capture.conversation import Reading
    from ikescope.events import Record
    from ikescope.explain.findings import Finding
    from ikescope.timeline import Timeline

LARGE = 1 << 25
"""Octets of a file from which on its records are not kept."""
VIEWS = frozenset({None, "events", "json", "debug", "ladder", "verdict", "trees"})
"""Views of one source that need no more than one record at a time, or a bounded timeline."""
_SHOWN = 1 << 23
_TRAILER = 4
_IKE_SAS = 1024
"""IKE SAs that findings and verdict are of: those that spoke last."""
_BLOCK = 5000
"""Records of one part of a long ladder."""


def size_of(stream: BinaryIO | Long) -> int:
    """Octets of a file or of what is held; 0 of anything else."""
    if not stream.seekable():
        return 0
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


def is_large(stream: BinaryIO | Long) -> bool:
    """Whether a source is not to be kept as a whole; a gzip file tells at its end what it unfolds to (RFC 1952)."""
    if isinstance(stream, Long):
        return True
    size = size_of(stream)
    if size < _TRAILER:
        return False
    if stream.read(len(GZIP)) == GZIP:
        stream.seek(-_TRAILER, os.SEEK_END)
        size = max(2 * size, int.from_bytes(stream.read(_TRAILER), "little"))
    stream.seek(0)
    return size >= LARGE


@contextmanager
def progress(stream: BinaryIO | Long, name: str) -> Iterator[Readable]:
    """The stream, with a bar on standard error where that is a terminal and the source is no small one."""
    size = size_of(stream)
    if (size < _SHOWN and not isinstance(stream, Long)) or not sys.stderr.isatty():
        yield stream
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from ikescope.tui.ahead import Counted

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(name), total=size or None)
        yield Counted(stream, lambda count: bar.advance(task, count))


def show(stream: Readable, name: str, reading: Reading, view: str | None, write: Callable[[str], None]) -> bool:
    """Write a view of one source, line by line; whether an error finding stands. Without a view, the verdict.

    The verdict and the findings are those of a timeline that forgets what is long over. An interrupt ends the reading:
    what was read until then is judged before KeyboardInterrupt goes on.
    """
    from ikescope.explain.findings import encode, findings
    from ikescope.explain.summary import verdict
    from ikescope.timeline import Bounds, Timeline
    from ikescope.tui import ahead

    timeline = Timeline(Bounds(ike_sas=_IKE_SAS))
    told = _folded(ahead.records(stream, name, reading), timeline)
    interrupt: KeyboardInterrupt | None = None
    try:
        for line in _LINES[view](told) if view in _LINES else _drained(told):
            write(line)
    except KeyboardInterrupt as caught:
        # The reader stops with the generator that waits for it.
        told.close()
        interrupt = caught
    found: list[Finding] = findings(timeline)
    lines = (encode(one) for one in found) if view == "json" else iter(())
    if view in (None, "verdict"):
        lines = chain(verdict(timeline), _closing(name, timeline) if view is None else ())
    for line in lines:
        write(line)
    if interrupt is not None:
        reading.note(f"{name}: interrupted after {timeline.generation} records; what stands before it is shown")
        raise interrupt
    return any(one.severity == "error" for one in found)


def _closing(name: str, timeline: Timeline) -> list[str]:
    """What the verdict of a large source leaves out."""
    begun, kept = timeline.begun, len(timeline.ike)
    some = f"of {begun} IKE SAs the latest {kept} are judged; " if begun > kept else ""
    return ["", f"{name} is large: {some}--as ladder shows its messages."]


def _folded(records: Iterable[Record], timeline: Timeline) -> Generator[Record]:
    for record in records:
        timeline.add(record)
        yield record


def _drained(records: Iterable[Record]) -> Iterator[str]:
    for _ in records:
        pass
    return iter(())


def _events(records: Iterable[Record]) -> Iterator[str]:
    from ikescope.views import events_text

    return events_text.lines(records)


def _json(records: Iterable[Record]) -> Iterator[str]:
    from ikescope.views import jsonl

    return jsonl.lines(records)


def _trees(records: Iterable[Record]) -> Iterator[str]:
    from ikescope.views import trees

    return trees.lines(records)


def _debug(records: Iterable[Record]) -> Iterator[str]:
    from ikescope.ios.debug import Renderer

    renderer = Renderer()
    return (line for record in records for line in renderer.lines(record))


def _ladder(records: Iterable[Record]) -> Iterator[str]:
    from ikescope.views.ladder import ladder

    some = iter(records)
    while block := list(islice(some, _BLOCK)):
        yield from ladder(block)


_LINES: dict[str | None, Callable[[Iterable[Record]], Iterator[str]]] = {
    "events": _events,
    "json": _json,
    "debug": _debug,
    "ladder": _ladder,
    "trees": _trees,
}
