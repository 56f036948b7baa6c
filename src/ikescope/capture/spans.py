"""The packets of a capture that is at hand as a whole, as places in it: nothing is copied, what is odd is refused."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ikescope.capture import pcapng
from ikescope.capture.reader import AROUND, CLASSIC, MAX_PACKET, SECTION_MAGIC, byte_order, interface
from ikescope.errors import LocalError

_NANO = 1_000_000_000

Span = tuple[int, float, int, int]
"""Link type of a packet, seconds since 1970, where its octets begin and where they end."""


class OddError(LocalError):
    """A capture is damaged, or not as most are: it is left to who reads it packet by packet."""


def spans(octets: bytes) -> Iterator[Span]:
    """Every packet in its order; OddError where one was not captured whole or anything else is not as it should be."""
    magic = octets[:4]
    if magic in CLASSIC:
        return _classic(octets, *CLASSIC[magic])
    if magic == SECTION_MAGIC:
        return _pcapng(octets)
    raise OddError("no capture")


def _classic(octets: bytes, order: str, nanoseconds: int) -> Iterator[Span]:
    end, at = len(octets), 24
    if end < at:
        raise OddError("cut short")
    link = struct.unpack_from(order + "I", octets, 20)[0] & 0xFFFF
    head = struct.Struct(order + "IIII")
    unpack = head.unpack_from
    while at + 16 <= end:
        seconds, ticks, kept, size = unpack(octets, at)
        start = at + 16
        at = start + kept
        if kept < size or kept > MAX_PACKET or at > end:
            raise OddError(f"packet at octet {start}")
        yield link, (seconds * _NANO + ticks * nanoseconds) / 1e9, start, at
    if at != end:
        raise OddError("cut short")


def _pcapng(octets: bytes) -> Iterator[Span]:
    end, at, order = len(octets), 0, "<"
    unpack = struct.Struct("<IIIIIII").unpack_from
    interfaces: list[tuple[int, int]] = []
    while at + AROUND <= end:
        kind, length, number, high, low, kept, size = unpack(octets, at)
        if kind == pcapng.ENHANCED and number < len(interfaces):
            start = at + 28
            if size > kept or kept > MAX_PACKET or length < AROUND + kept or length % 4 or at + length > end:
                raise OddError(f"block at octet {at}")
            link, units = interfaces[number]
            ticks = high << 32 | low
            yield link, (ticks if units == _NANO else ticks * _NANO // units) / 1e9, start, start + kept
        elif kind in (pcapng.ENHANCED, pcapng.SIMPLE, pcapng.OBSOLETE):
            raise OddError(f"block at octet {at}")
        else:
            if kind == pcapng.SECTION:
                order, interfaces = byte_order(octets[at : at + 12], at), []
                unpack = struct.Struct(order + "IIIIIII").unpack_from
                length = unpack(octets, at)[1]
            if length < 12 or length % 4 or at + length > end:
                raise OddError(f"block at octet {at}")
            if kind == pcapng.INTERFACE:
                found = interface(order, octets[at + 8 : at + length - 4])
                interfaces.append((found.link, found.units))
        at += length
    if at != end:
        raise OddError("cut short, or a short block at its end")
