"""Texts of routers as sources: lines out of octets piece by piece, and whose words they are: IOS's, ASA's, a trace.

Nothing holds a text as a whole, and no line is longer than what a reader looks at.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

from msgspec.structs import replace

from ikescope.capture.octets import Octets
from ikescope.events import Record
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.ios import asa, event_trace
from ikescope.ios.debug_read import Foreign, Reader, Unknown
from ikescope.ios.page_marks import unmarked
from ikescope.ios.text_lines import LONGEST

_PIECE = 1 << 20
_SAMPLE = 1 << 18
_UNDER_WAY = 64
_WAIT = 1000
"""Records that wait for one that tells whose text it is."""
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(slots=True)
class Counts:
    """What came of a text: records, lines that nobody knows, lines of others."""

    records: int = 0
    unknown: int = 0
    foreign: int = 0


def encoding_of(head: bytes) -> tuple[str, int]:
    """How a text is encoded, by its first octets, and how many of them say so; UTF-8 where nothing does."""
    told = next(((name, len(mark)) for mark, name in _MARKS if head.startswith(mark)), None)
    if told is not None:
        return told
    # Every second octet of plain words is nothing, in UTF-16 without its mark.
    for at, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if (
            len(head) >= 4
            and not any(head[at:4:2])
            and all(32 <= one < 127 or one in b"\t\r\n" for one in head[1 - at : 4 : 2])
        ):
            return name, 0
    return "utf-8", 0


def lines_of(octets: Octets) -> Iterator[str]:
    """The lines of a text without their ends; of one longer than a reader looks at, what it looks at."""
    return chain.from_iterable(_pieces(octets))


def _pieces(octets: Octets) -> Iterator[list[str]]:
    """Some of the lines, and some more."""
    name, size = encoding_of(octets.head(4))
    octets.read(size)
    decoder = codecs.getincrementaldecoder(name)(errors="replace")
    rest, cut = "", False
    bare: bool | None = None
    while piece := octets.read(_PIECE):
        text = decoder.decode(piece)
        if bare is None:
            # Some ends of lines are a carriage return alone.
            bare = "\n" not in text and "\r" in text
        if bare:
            text = text.replace("\r", "\n")
        some = text.split("\n")
        whole = not cut and "\r" not in text and not rest.endswith("\r")
        some[0] = some[0] if cut else rest + some[0]
        rest = some.pop()
        if whole and max(map(len, some), default=0) <= LONGEST:
            yield some
        else:
            yield [line[:LONGEST].removesuffix("\r") for line in some[cut:]]
        cut = cut and not some
        # The rest of a line that was given already is not wanted.
        if len(rest) > LONGEST or cut:
            if not cut:
                yield [rest[:LONGEST]]
            rest, cut = "", True
    rest += decoder.decode(b"", True)
    if rest and not cut:
        yield [rest[:LONGEST].removesuffix("\r")]


def told(octets: Octets, source: str | None) -> Iterator[Record | Unknown]:
    """Records and unknown lines of a text, by whose words it is."""
    name, _ = encoding_of(octets.head(4))
    start = octets.head(_SAMPLE).decode(name, errors="replace")
    sample = start.split("\n" if "\n" in start else "\r")
    lines, sample = unmarked(lines_of(octets), sample), list(unmarked(sample, sample))
    if asa.is_asa(sample):
        return _named(_sourced(asa.read(lines), source))
    if sum(map(event_trace.is_trace, sample)) > sum("IKEv2:(" in line or "IKEv2-" in line for line in sample):
        return _named(event_trace.read(lines, source=source))
    reader = Reader("", 1970, source)
    return _named(reader.run(lines), reader.name)


def _sourced(found: Iterable[Record | Unknown], source: str | None) -> Iterator[Record | Unknown]:
    for one in found:
        if isinstance(one, Record) and source is not None and not isinstance(one.stamp.source, str):
            yield Record(replace(one.stamp, source=source), one.event)
        else:
            yield one


def _named(found: Iterable[Record | Unknown], name: Callable[[str], None] | None = None) -> Iterator[Record | Unknown]:
    """The records, each with the router's address as its name where no syslog head names it; `name` tells a reader."""
    held: list[Record | Unknown] = []
    some = iter(found)
    side = ""
    for one in some:
        held.append(one)
        if isinstance(one, Record):
            side = one.stamp.router or _local(one)
        if side or len(held) > _WAIT:
            break
    if side and name is not None:
        name(side)
    yield from _with_router(held, side)
    if name is not None:
        # Records that were made before the reader heard the name are still on their way.
        yield from _with_router(islice(some, _UNDER_WAY), side)
        yield from some
    else:
        yield from _with_router(some, side)


def _with_router(some: Iterable[Record | Unknown], side: str) -> Iterator[Record | Unknown]:
    for one in some:
        if isinstance(one, Record) and side and not one.stamp.router:
            yield Record(replace(one.stamp, router=side), one.event)
        else:
            yield one


def _local(record: Record) -> str:
    """The address of the router whose debug this is, where a record tells it."""
    event = record.event
    local = event.local if isinstance(event, MessageSent | MessageReceived) else record.stamp.local
    return local.rpartition(":")[0] if isinstance(local, str) else ""


def counted(found: Iterable[Record | Unknown], counts: Counts) -> Iterator[Record]:
    """The records alone; what else there was is counted."""
    for one in found:
        if isinstance(one, Foreign):
            counts.foreign += 1
        elif isinstance(one, Unknown):
            counts.unknown += 1
        else:
            counts.records += 1
            yield one
