"""Physical lines of a pasted or logged debug cut into messages: time stamps, syslog heads, prompts, what is glued.

IOS and ASA write the same ways, so both readers cut here. Everything is linear in the length of a line, and a line
is read no further than `LONGEST`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

#: Characters of a line that are looked at; no message of a debug comes near it.
LONGEST = 1 << 16
#: Where a line's head must end: time stamps, host and syslog tag together.
_HEAD = 320
#: How a line begins that has no head.
_BARE = ("IKEv2-P", "(", "     ")

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE = r"(?: [A-Z]{2,5}|Z|[+-]\d\d:?\d\d)?"
STAMP = re.compile(
    rf"(?:[*.]?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?(?P<month>{'|'.join(MONTHS)})\s{{1,2}}(?P<day>\d{{1,2}})"
    rf"(?: (?P<year>\d{{4}}))? {_CLOCK}{_ZONE}"
    rf"|(?P<isoyear>\d{{4}})-(?P<isomonth>\d\d)-(?P<isoday>\d\d)[T ]{_CLOCK.replace('?P<', '?P<iso')}{_ZONE})"
    r"(?=[\s:,\]]|$)"
)
"""A time stamp of any kind: `*May  2 16:05:33.248`, `Nov 30 2024 11:16:54.881 UTC`, `2021-03-04T10:11:12.5Z`."""
_LEAD = re.compile(r"\s*(?:<\d{1,3}>)?\s*(?:\d{1,12}:\s+)?")
"""What may stand before it: a syslog priority, a sequence number."""
_AFTER = re.compile(r"\s*:?\s?")
TAG = re.compile(r"%(?P<tag>[A-Z][A-Z0-9_]{1,30}-\d-[A-Z0-9_]{3,40})(?::|(?<=\d{6})(?= )) ?")
"""The mnemonic of a syslog message."""
PROMPT = re.compile(r"(?P<host>[A-Za-z][\w.-]{0,62}(?:/[\w./-]{1,40})?)(?:\([\w ./-]{1,40}\))?[#>] ?(?=\S|$)")
"""The prompt of a console, before what was typed or what the debug wrote over it."""
GLUED = re.compile(r"IKEv2-(?:PROTO|PLAT)-\d{1,3}: ?|IKEv2(?:-ERROR|-INTERNAL|-PAK)?:(?=[(%:])")
"""How a message begins that may stand glued to the one before it."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before a message: its time in seconds since 1970, its syslog mnemonic without `%`; then its text."""

    wall: float | None
    tag: str
    text: str


def behead(line: str, year: int) -> Head:
    """A line without time stamps, host and syslog mnemonic; of two stamps the later one counts, the device's own.

    `year` is that of stamps which name none.
    """
    line = line.rstrip("\r\n\0")[:LONGEST]
    if line.startswith(_BARE):
        return Head(None, "", line)
    at, wall = 0, None
    for _ in range(3):
        lead = _LEAD.match(line, at)
        found = STAMP.match(line, lead.end() if lead else at)
        if found is None:
            break
        told = seconds_of(found, year)
        wall = told if told is not None else wall
        after = _AFTER.match(line, found.end())
        at = after.end() if after else found.end()
    tag = TAG.search(line, at, at + _HEAD)
    if tag is None:
        return Head(wall, "", line[at:] if at else line)
    if not _is_head(line[at : tag.start()]):
        return Head(wall, "", line[at:] if at else line)
    if wall is None and (found := STAMP.search(line, 0, tag.start())):
        wall = seconds_of(found, year)
    return Head(wall, tag["tag"], line[tag.end() :])


def _is_head(text: str) -> bool:
    """Whether what stands before a mnemonic is a host, a priority or a process, and no message."""
    return not GLUED.search(text) and len(text.split()) <= 12


def seconds_of(found: re.Match[str], year: int) -> float | None:
    """Seconds since 1970 of a time stamp; None for a day or hour that there is not. Zones are taken as they stand."""
    iso = "iso" if found["isoyear"] else ""
    month = int(found["isomonth"]) if iso else MONTHS.index(found["month"]) + 1
    day, hour, minute, second = (int(found[f"{iso}{part}"]) for part in ("day", "hour", "minute", "second"))
    try:
        at = datetime(int(found["isoyear"] or found["year"] or year), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return at.timestamp() + float(f"0.{found[f'{iso}fraction'] or 0}")


class Calendar:
    """The years of stamps that name none: where they fall back by most of one, a new year began."""

    __slots__ = ("_latest", "_years")

    def __init__(self) -> None:
        self._latest = 0.0
        self._years = 0.0

    def of(self, wall: float) -> float:
        """The seconds of a stamp, with the years that passed since the first."""
        found = wall + self._years
        if found < self._latest - _FALL:
            self._years += _YEAR
            found += _YEAR
        self._latest = found
        return found


_YEAR = 365 * 86400.0
_FALL = 300 * 86400.0
"""Seconds by which stamps fall back at a new year, and at nothing else; a leap day is not made up for."""


def unglue(text: str) -> Iterator[str]:
    """The messages of one line: each begins with its own prefix, the first perhaps with none."""
    start = 0
    if text.find("IKEv2", 1) < 0:
        yield text
        return
    for found in GLUED.finditer(text):
        if found.start() > start:
            yield text[start : found.start()]
        start = found.start()
    yield text[start:]
