"""pcapng written as octets: sections, interfaces, packets with comments (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct

LINK_ETHERNET = 1
LINK_RAW = 101

SECTION, INTERFACE, OBSOLETE, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
BYTE_ORDER = 0x1A2B3C4D
OPT_END, OPT_COMMENT, OPT_IF_NAME, OPT_IF_DESCRIPTION, OPT_IF_TSRESOL = 0, 1, 2, 3, 9
OPT_USER_APPLICATION = 4

NANOSECONDS, MICROSECONDS = 9, 6


def section(application: str = "ikescope") -> bytes:
    """The Section Header Block that begins a file; length unknown, little endian."""
    options = _option(OPT_USER_APPLICATION, application.encode()) + _option(OPT_END, b"")
    return _block(SECTION, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1) + options)


def interface(name: str, link: int = LINK_RAW, *, resolution: int = NANOSECONDS, description: str = "") -> bytes:
    """An Interface Description Block; interfaces are numbered from 0 in the order of their blocks.

    `resolution` is the power of ten of a stamp's unit: NANOSECONDS or MICROSECONDS.
    """
    options = _option(OPT_IF_NAME, name.encode())
    if description:
        options += _option(OPT_IF_DESCRIPTION, description.encode())
    options += _option(OPT_IF_TSRESOL, bytes((resolution,))) + _option(OPT_END, b"")
    return _block(INTERFACE, struct.pack("<HHI", link, 0, 0) + options)


def packet(number: int, ticks: int, data: bytes, *, comment: str = "") -> bytes:
    """An Enhanced Packet Block on interface `number`; `ticks` since 1970 in the interface's resolution."""
    high, low = divmod(ticks & 0xFFFFFFFFFFFFFFFF, 1 << 32)
    options = _option(OPT_COMMENT, comment.encode()) + _option(OPT_END, b"") if comment else b""
    head = struct.pack("<IIIII", number, high, low, len(data), len(data))
    return _block(ENHANCED, head + _padded(data) + options)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)
