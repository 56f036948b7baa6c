"""pcap and pcapng read: both byte orders, every stamp resolution, several sections and interfaces."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from ikescope.capture import pcapng
from ikescope.errors import LocalError

#: Magic number of classic pcap as it stands in the file: byte order and nanoseconds a tick.
CLASSIC: dict[bytes, tuple[str, int]] = {
    bytes.fromhex("d4c3b2a1"): ("<", 1000),
    bytes.fromhex("a1b2c3d4"): (">", 1000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
SECTION_MAGIC = bytes.fromhex("0a0d0d0a")
#: Octets of one packet that are believed; no capture of IP holds more.
MAX_PACKET = 1 << 20


class Packet(msgspec.Struct, frozen=True):
    """One captured packet: link type, interface (number and name), nanoseconds since 1970, octets as captured."""

    link: int
    interface: int
    name: str
    nanoseconds: int
    data: bytes
    comment: str = ""


class _Interface(msgspec.Struct, frozen=True):
    link: int
    name: str
    units: int  # ticks a second


def is_capture(data: bytes) -> bool:
    """Whether the octets begin as pcap or pcapng does."""
    return data[:4] in CLASSIC or data[:4] == SECTION_MAGIC


def packets(data: bytes) -> Iterator[Packet]:
    """Every packet of a capture, in its order; one cut short at the end of the file is left out.

    Raises LocalError where the octets are neither pcap nor pcapng, or stop being so.
    """
    if data[:4] == SECTION_MAGIC:
        return _pcapng(data)
    if data[:4] in CLASSIC:
        return _classic(data, *CLASSIC[data[:4]])
    raise LocalError(f"not a capture: begins with {data[:4].hex() or 'nothing'}, wanted pcap or pcapng")


def _classic(data: bytes, order: str, nanoseconds: int) -> Iterator[Packet]:
    if len(data) < 24:
        raise LocalError(f"pcap file header: had {len(data)}, wanted 24")
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    offset = 24
    while offset + 16 <= len(data):
        seconds, ticks, kept, _ = struct.unpack_from(order + "IIII", data, offset)
        offset += 16
        if kept > MAX_PACKET:
            raise LocalError(f"pcap packet at offset {offset - 16}: length: had {kept}, wanted at most {MAX_PACKET}")
        if offset + kept > len(data):
            return
        when = seconds * 1_000_000_000 + ticks * nanoseconds
        yield Packet(link, 0, "", when, data[offset : offset + kept])
        offset += kept


def _pcapng(data: bytes) -> Iterator[Packet]:
    offset, order = 0, "<"
    interfaces: list[_Interface] = []
    while offset + 12 <= len(data):
        kind = struct.unpack_from(order + "I", data, offset)[0]
        if kind == pcapng.SECTION:
            order = _byte_order(data, offset)
            interfaces = []
        length = struct.unpack_from(order + "I", data, offset + 4)[0]
        if length < 12 or length % 4:
            raise LocalError(
                f"pcapng block at offset {offset}: length: had {length}, wanted a multiple of 4 from 12 on"
            )
        if offset + length > len(data):
            return
        body = data[offset + 8 : offset + length - 4]
        try:
            if kind == pcapng.INTERFACE:
                interfaces.append(_interface(order, body))
            elif kind == pcapng.ENHANCED:
                yield _enhanced(order, body, interfaces)
            elif kind == pcapng.SIMPLE:
                size = min(struct.unpack_from(order + "I", body)[0], len(body) - 4)
                yield Packet(interfaces[0].link, 0, interfaces[0].name, 0, body[4 : 4 + size])
        except (struct.error, IndexError):
            raise LocalError(f"pcapng block at offset {offset}: type {kind} does not hold what it must") from None
        offset += length


def _byte_order(data: bytes, offset: int) -> str:
    magic = data[offset + 8 : offset + 12]
    for order in "<>":
        if magic == struct.pack(order + "I", pcapng.BYTE_ORDER):
            return order
    raise LocalError(
        f"pcapng section at offset {offset}: byte-order magic: had {magic.hex()}, wanted 1a2b3c4d or 4d3c2b1a"
    )


def _options(order: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        code, length = struct.unpack_from(order + "HH", data, offset)
        if code == pcapng.OPT_END:
            return
        yield code, data[offset + 4 : offset + 4 + length]
        offset += 4 + length + -length % 4


def _interface(order: str, body: bytes) -> _Interface:
    link = struct.unpack_from(order + "H", body)[0]
    options = dict(_options(order, body[8:]))
    resolution = options.get(pcapng.OPT_IF_TSRESOL, bytes((pcapng.MICROSECONDS,)))[0]
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    return _Interface(link, options.get(pcapng.OPT_IF_NAME, b"").decode(errors="replace"), units)


def _enhanced(order: str, body: bytes, interfaces: list[_Interface]) -> Packet:
    number, high, low, kept, _ = struct.unpack_from(order + "IIIII", body)
    if kept > len(body) - 20:
        raise IndexError
    ticks = high << 32 | low
    padded = 20 + kept + -kept % 4
    comment = dict(_options(order, body[padded:])).get(pcapng.OPT_COMMENT, b"")
    found = interfaces[number]
    when = ticks * 1_000_000_000 // found.units
    return Packet(found.link, number, found.name, when, body[20 : 20 + kept], comment.decode(errors="replace"))
