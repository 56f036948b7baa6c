"""Sources told apart by their content: our recording, debug text, captures; each becomes records."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from msgspec.structs import replace

from ikescope.capture.convert import to_records
from ikescope.capture.reader import is_capture
from ikescope.errors import LocalError
from ikescope.events import Record, decode
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.router import RecordingEnded
from ikescope.ios import asa, event_trace
from ikescope.ios.debug_read import Unknown
from ikescope.ios.debug_read import read as read_debug

GZIP = b"\x1f\x8b"
#: Octets that a compressed source may unfold to.
MAX_OCTETS = 1 << 30
WANTED = "wanted an ikescope recording, `debug crypto ikev2` text, or a pcap or pcapng capture"

#: What a foreign file begins with, for the one line that says what was found.
FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x7fELF", "a program (ELF)"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"(\xb5/\xfd", "a zstd archive"),
)


def read(data: bytes, name: str) -> list[Record]:
    """The records of one source, recognised by its content; `name` is what errors call it.

    Raises LocalError, one line, where nothing in it can be read.
    """
    if data[:2] == GZIP:
        data = _unzip(data, name)
    if not data.strip():
        raise LocalError(f"{name}: empty; {WANTED}")
    if is_capture(data):
        return _needed(list(_named(lambda: list(to_records(data)), name)), name, "a capture without an IKE message")
    for magic, what in FOREIGN:
        if data.startswith(magic):
            raise LocalError(f"{name}: {what}; {WANTED}")
    if b"\0" in data.rstrip(b"\0")[:4096]:
        raise LocalError(f"{name}: binary octets that begin with {data[:4].hex()}; {WANTED}")
    if data.lstrip()[:1] == b"{":
        return _recording(data, name)
    return _debug(data.decode("utf-8", errors="replace"), name)


def _unzip(data: bytes, name: str) -> bytes:
    unfold = zlib.decompressobj(wbits=31)
    try:
        found = unfold.decompress(data, MAX_OCTETS)
    except zlib.error as error:
        raise LocalError(f"{name}: damaged gzip file: {error}") from None
    if unfold.unconsumed_tail:
        raise LocalError(f"{name}: unfolds to more than {MAX_OCTETS} octets")
    if not unfold.eof:
        raise LocalError(f"{name}: gzip file cut short after {len(found)} unfolded octets")
    return found


def _named(read_all: Callable[[], list[Record]], name: str) -> list[Record]:
    try:
        return read_all()
    except LocalError as error:
        raise LocalError(f"{name}: {error}") from None


def _needed(records: list[Record], name: str, found: str) -> list[Record]:
    if not records:
        raise LocalError(f"{name}: {found}; {WANTED}")
    return records


def _recording(data: bytes, name: str) -> list[Record]:
    """Whole lines. One that a power cut or a killed process left half of is left out; a record in its place says so.

    What was recorded after it (two recordings in one file) is taken.
    """
    lines = data.rstrip(b"\0").splitlines()
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip(b"\0 "):
            continue
        try:
            records.append(decode(line))
        except LocalError as error:
            again = line.rfind(_HEAD)
            cut = len(line) if again <= 0 else again
            if not records or (again <= 0 and number < len(lines)) or (again <= 0 and data.endswith(b"\n")):
                raise LocalError(f"{name} line {number}: {error}") from None
            why = f"{name} line {number} is cut short after {cut} octets; it is left out"
            records.append(Record(records[-1].stamp, RecordingEnded(why=why)))
            if again > 0:
                records += _recording(line[again:], f"{name} line {number}")
    return records


_HEAD = b'{"schema":'
"""How each line of a recording begins."""


def _local(record: Record) -> str:
    """The address of the router whose debug this is, where a record tells it."""
    event = record.event
    local = event.local if isinstance(event, MessageSent | MessageReceived) else record.stamp.local
    return local.rpartition(":")[0] if isinstance(local, str) else ""


def _debug(text: str, name: str) -> list[Record]:
    lines = text.splitlines()
    read_text = asa.read if asa.is_asa(lines) else read_debug
    records = [found for found in read_text(lines) if not isinstance(found, Unknown)]
    records = records or [found for found in event_trace.read(lines) if not isinstance(found, Unknown)]
    side = next((host for one in records if (host := _local(one))), "")
    side = "" if any(one.stamp.router for one in records) else side
    records = [Record(replace(one.stamp, router=one.stamp.router or side, source=name), one.event) for one in records]
    return _needed(records, name, f"text without a line of `debug crypto ikev2` ({len(lines)} lines)")
