"""Packets out of text: tcpdump -x, -xx, -X, Wireshark's byte view, what IOS shows of a capture buffer.

A row is an offset and groups of hexadecimal digits, with or without the characters behind them; a packet begins where
the offset does not go on. The time is that of the line before, where it tells one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from ikescope.capture.reader import MAX_PACKET, Packet

LINK_ETHERNET, LINK_RAW = 1, 101
#: `0x0010:  4500 ...`, `0010  45 00 ...`, `F1A9E9F0: 45000064 ...`; digits in groups of one, two or four octets.
_ROW = re.compile(
    r"\s*(?:0x)?(?P<offset>[0-9A-Fa-f]{4,8})(?::|\s)\s*(?P<octets>(?:[0-9A-Fa-f]{2}){1,4}(?:\s{1,2}(?:[0-9A-Fa-f]{2}){1,4})*)"
    r"(?=\s{2,}|\s*$|\s\S+$)"
)
_TIME = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d)[ T])?(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)(?P<fraction>\.\d{1,9})?"
)
#: Octets of a row at most: what stands behind them may look like digits too.
_WIDE = 16


def packets(lines: Iterable[str]) -> Iterator[Packet]:
    """Each packet that the lines spell out, as raw IP or Ethernet by what it begins with."""
    held, start, when, told = bytearray(), 0, 0, 0
    for line in lines:
        row = _row(line)
        if row is None:
            if held:
                yield _packet(bytes(held), when)
                held.clear()
            told = _time(line, told)
            continue
        offset, octets = row
        if held and offset - start != len(held):
            yield _packet(bytes(held), when)
            held.clear()
        if not held:
            start, when = offset, told
        if len(held) < MAX_PACKET:
            held += octets
    if held:
        yield _packet(bytes(held), when)


def _row(line: str) -> tuple[int, bytes] | None:
    found = _ROW.match(line)
    if found is None:
        return None
    octets = bytes.fromhex("".join(found["octets"].split()))
    return int(found["offset"], 16), octets[:_WIDE]


def _time(line: str, before: int) -> int:
    found = _TIME.search(line)
    if found is None:
        return before
    day = datetime.fromisoformat(found["date"] or "1970-01-01").replace(tzinfo=UTC)
    seconds = int(day.timestamp()) + int(found["hour"]) * 3600 + int(found["minute"]) * 60 + int(found["second"])
    return seconds * 1_000_000_000 + int((found["fraction"] or ".0")[1:].ljust(9, "0"))


def _packet(data: bytes, when: int) -> Packet:
    """IP where it begins as IP does and its length says so, else an Ethernet frame."""
    version, size = data[0] >> 4, len(data)
    four = version == 4 and size >= 20 and int.from_bytes(data[2:4], "big") <= size
    six = version == 6 and size >= 40 and int.from_bytes(data[4:6], "big") + 40 <= size
    return Packet(LINK_RAW if four or six else LINK_ETHERNET, 0, "", when, data)
