"""Sources told apart by their content: our recording, debug text, captures; each becomes records."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from ikescope.capture import hexdump, text
from ikescope.capture.conversation import Reading
from ikescope.capture.convert import told
from ikescope.capture.octets import Octets, Readable
from ikescope.capture.reader import is_capture, packets
from ikescope.capture.text import Counts, counted, encoding_of
from ikescope.errors import LocalError
from ikescope.events import Record, decode
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.events.router import RecordingEnded

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


def read(data: bytes | Readable, name: str, reading: Reading | None = None) -> list[Record]:
    """The records of one source, recognised by its content; `name` is what errors call it.

    `reading` holds keys for a capture, and hears in a line of damage behind which nothing was read. Raises LocalError,
    one line, where nothing in it can be read.
    """
    return list(records(data, name, reading))


def records(data: bytes | Readable, name: str, reading: Reading | None = None) -> Iterator[Record]:
    """As `read`, one record after the other: a capture is never in memory as a whole."""
    own = reading or Reading()
    damage: list[str] = []

    def note(what: str) -> None:
        damage.append(what)
        own.note(f"{name}: {what}")

    octets = Octets(data, note)
    try:
        if is_capture(octets.head(4)):
            yield from _capture(octets, name, msgspec.structs.replace(own, name=name, point=name, note=note), damage)
            return
        found = _other(octets, name, own)
        last = None
        for last in found:
            yield last
    except LocalError as error:
        raise LocalError(f"{name}: {octets.damage}") if octets.damage else error from None
    if octets.damage and last is not None:
        yield _ended(last, f"{name}: {octets.damage}")


_HEAD_OCTETS = 1 << 16


def _other(octets: Octets, name: str, reading: Reading) -> Iterator[Record]:
    """What is no capture."""
    head = octets.head(_HEAD_OCTETS)
    if not head.strip():
        head = octets.all()
        if not head.strip():
            raise LocalError(f"{name}: empty; {WANTED}")
        octets = Octets(head)
    for magic, what in FOREIGN:
        if head.startswith(magic):
            raise LocalError(f"{name}: {what}; {WANTED}")
    if encoding_of(head)[0] == "utf-8" and b"\0" in head.rstrip(b"\0")[:4096] and not _is_text(head):
        raise LocalError(f"{name}: binary octets that begin with {head[:4].hex()}; {WANTED}")
    if head.lstrip()[:1] == b"{":
        yield from _recording(octets.all(), name)
        return
    yield from _debug(octets, name, reading)


def _is_text(head: bytes) -> bool:
    """Whether octets with NULs among them are a debug all the same."""
    return any(mark in head for mark in (b"IKEv2", b"SESSION ID:"))


def _capture(octets: Octets, name: str, reading: Reading, damage: list[str]) -> Iterator[Record]:
    """A capture up to its end, or to where it stops being one."""
    last: Record | None = None
    cut = ""

    def ends(what: str) -> None:
        nonlocal cut
        cut = f"{what}; what stands before it is shown"

    try:
        for record in told(packets(octets, ends), reading):
            last = record
            yield record
    except LocalError as error:
        if last is None:
            raise LocalError(f"{name}: {error}") from None
        cut = f"{error}; what stands before it is shown"
    if last is None:
        raise LocalError(f"{name}: {cut or octets.damage or 'a capture without an IKE message'}; {WANTED}")
    if cut and not octets.damage:
        reading.note(cut)
    if cut or octets.damage:
        yield _ended(last, f"{name}: {octets.damage or cut}")


def _ended(last: Record, why: str) -> Record:
    """That more was there than could be read."""
    return Record(last.stamp, RecordingEnded(why=why))


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


def _debug(octets: Octets, name: str, reading: Reading) -> Iterator[Record]:
    """A text; one that no reader knows a line of may be packets as hexadecimal digits."""
    octets.keep(_HEXDUMP)
    counts = Counts()
    for record in counted(text.told(octets, name), counts):
        if counts.records == 1:
            octets.keep(0)
        yield record
    if counts.records:
        if counts.unknown:
            reading.note(f"{name}: {counts.unknown} lines not understood (--strict lists them)")
        return
    lines = octets.kept().decode("utf-8", errors="replace").splitlines()
    spelled = msgspec.structs.replace(reading, name=name, point=name)
    found = [Record(replace(one.stamp, source=name), one.event) for one in told(hexdump.packets(lines), spelled)]
    side = next((host for one in found if (host := _local(one))), "")
    if side and not any(one.stamp.router for one in found):
        found = [Record(replace(one.stamp, router=side), one.event) for one in found]
    what = f"text without a line of `debug crypto ikev2` ({len(lines)} lines)"
    if any(_OURS.search(line) for line in lines):
        what = f"`debug crypto ikev2` text without a line that tells what happened ({len(lines)} lines)"
    yield from _needed(found, name, what)


_OURS = re.compile(r"IKEv2(?:-[A-Z]{3,8}(?:-\d{1,3})?)?:")
_HEXDUMP = 1 << 26
"""Octets of packets as hexadecimal digits that are read."""


def _local(record: Record) -> str:
    """The address of the router whose debug this is, where a record tells it."""
    event = record.event
    local = event.local if isinstance(event, MessageSent | MessageReceived) else record.stamp.local
    return local.rpartition(":")[0] if isinstance(local, str) else ""
