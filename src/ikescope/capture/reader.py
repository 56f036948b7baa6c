"""pcap and pcapng read: both byte orders, every stamp resolution, several sections and interfaces."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import msgspec

from ikescope.capture import pcapng
from ikescope.capture.octets import Octets, Readable
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
    """One captured packet: link type, interface (number and name), nanoseconds since 1970, octets as captured.

    `missing` counts the octets that the packet had on the wire and the capture lacks.
    """

    link: int
    interface: int
    name: str
    nanoseconds: int
    data: bytes
    comment: str = ""
    missing: int = 0


class Interface(msgspec.Struct, frozen=True):
    """What a capture was taken from: link type, name, ticks a second."""

    link: int
    name: str
    units: int


def is_capture(data: bytes) -> bool:
    """Whether the octets begin as pcap or pcapng does."""
    return data[:4] in CLASSIC or data[:4] == SECTION_MAGIC


def packets(source: bytes | Readable, note: Callable[[str], None] = lambda _: None) -> Iterator[Packet]:
    """Every packet of a capture, in its order, one at a time; `note` hears in a line of one cut short at the end.

    Raises LocalError where the octets are neither pcap nor pcapng, or stop being so.
    """
    octets = source if isinstance(source, Octets) else Octets(source)
    magic = octets.head(4)
    if magic == SECTION_MAGIC:
        return _pcapng(octets, note)
    if magic in CLASSIC:
        return _classic(octets, note, *CLASSIC[magic])
    raise LocalError(f"not a capture: begins with {magic.hex() or 'nothing'}, wanted pcap or pcapng")


def _cut(note: Callable[[str], None], number: int, had: int, wanted: int) -> None:
    note(f"cut short inside packet {number}: had {had} of its octets, wanted {wanted}")


def _classic(octets: Octets, note: Callable[[str], None], order: str, nanoseconds: int) -> Iterator[Packet]:
    header = octets.read(24)
    if len(header) < 24:
        raise LocalError(f"pcap file header: had {len(header)}, wanted 24")
    link = struct.unpack_from(order + "I", header, 20)[0] & 0xFFFF
    head_of = struct.Struct(order + "IIII")
    read, number = octets.read, 0
    while head := read(16):
        number += 1
        if len(head) < 16:
            return _cut(note, number, len(head), 16)
        seconds, ticks, kept, size = head_of.unpack(head)
        if kept > MAX_PACKET:
            raise LocalError(f"pcap packet {number}: length: had {kept}, wanted at most {MAX_PACKET}")
        data = read(kept)
        if len(data) < kept:
            return _cut(note, number, len(data), kept)
        when = seconds * 1_000_000_000 + ticks * nanoseconds
        yield Packet(link, 0, "", when, data, "", max(0, size - kept))
    return None


def _pcapng(octets: Octets, note: Callable[[str], None]) -> Iterator[Packet]:
    order, offset, number = "<", 0, 0
    interfaces: list[Interface] = []
    while True:
        for packet, length in _plain(order, octets, interfaces):
            offset, number = offset + length, number + 1
            yield packet
        head = octets.head(12)
        if not head:
            return None
        if len(head) < 12:
            return _cut(note, number + 1, len(head), 12)
        kind = struct.unpack_from(order + "I", head)[0]
        if kind == pcapng.SECTION:
            order = byte_order(head, offset)
            interfaces = []
        length = struct.unpack_from(order + "I", head, 4)[0]
        if length < 12 or length % 4 or length > 2 * MAX_PACKET:
            raise LocalError(
                f"pcapng block at offset {offset}: length: had {length}, wanted a multiple of 4 from 12 on"
            )
        block = octets.read(length)
        if len(block) < length:
            return _cut(note, number + 1, len(block), length)
        body = block[8:-4]
        try:
            if kind == pcapng.INTERFACE:
                interfaces.append(interface(order, body))
            elif kind in _PACKETS:
                number += 1
                yield _PACKETS[kind](order, body, interfaces)
        except (struct.error, IndexError):
            raise LocalError(f"pcapng block at offset {offset}: type {kind} does not hold what it must") from None
        offset += length


def _plain(order: str, octets: Octets, interfaces: list[Interface]) -> Iterator[tuple[Packet, int]]:
    """Packets one behind the other in Enhanced Packet Blocks without options, with the length of each block.

    It ends before the first block that is anything else, or not what it should be.
    """
    head_of = struct.Struct(order + "IIIIIII")
    made = [(one.link, one.name, one.units) for one in interfaces]
    while True:
        held, at = octets.view(head_of.size)
        if len(held) - at < head_of.size:
            return
        kind, length, number, high, low, kept, size = head_of.unpack_from(held, at)
        if kind != pcapng.ENHANCED or number >= len(made) or length != AROUND + kept + -kept % 4 or kept > MAX_PACKET:
            return
        held, at = octets.view(length)
        if len(held) - at < length:
            return
        link, name, units = made[number]
        start = at + head_of.size
        when = (high << 32 | low) * 1_000_000_000 // units
        octets.skip(length)
        yield (
            Packet(link, number, name, when, held[start : start + kept], "", size - kept if size > kept else 0),
            length,
        )


AROUND = 32
"""Octets of an Enhanced Packet Block around the packet's."""


def byte_order(data: bytes, offset: int) -> str:
    """The byte order, `<` or `>`, of a section whose first 12 octets these are; LocalError where it has none."""
    magic = data[8:12]
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


def interface(order: str, body: bytes) -> Interface:
    """The interface that an Interface Description Block tells of."""
    link = struct.unpack_from(order + "H", body)[0]
    options = dict(_options(order, body[8:]))
    resolution = options.get(pcapng.OPT_IF_TSRESOL, bytes((pcapng.MICROSECONDS,)))[0]
    units = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    return Interface(link, options.get(pcapng.OPT_IF_NAME, b"").decode(errors="replace"), units)


def _simple(order: str, body: bytes, interfaces: list[Interface]) -> Packet:
    size = struct.unpack_from(order + "I", body)[0]
    kept = min(size, len(body) - 4)
    return Packet(interfaces[0].link, 0, interfaces[0].name, 0, body[4 : 4 + kept], "", size - kept)


def _enhanced(order: str, body: bytes, interfaces: list[Interface]) -> Packet:
    number, high, low, kept, size = struct.unpack_from(order + "IIIII", body)
    return _ticked(order, body, interfaces[number], (number, high << 32 | low, kept, size))


def _obsolete(order: str, body: bytes, interfaces: list[Interface]) -> Packet:
    """The Packet Block, which the Enhanced one stands for since 2010."""
    number, _, high, low, kept, size = struct.unpack_from(order + "HHIIII", body)
    return _ticked(order, body, interfaces[number], (number, high << 32 | low, kept, size))


def _ticked(order: str, body: bytes, found: Interface, numbers: tuple[int, int, int, int]) -> Packet:
    number, ticks, kept, size = numbers
    if kept > len(body) - 20:
        raise IndexError
    rest = body[20 + kept + -kept % 4 :]
    comment = dict(_options(order, rest)).get(pcapng.OPT_COMMENT, b"") if rest else b""
    when = ticks * 1_000_000_000 // found.units
    told = comment.decode(errors="replace")
    return Packet(found.link, number, found.name, when, body[20 : 20 + kept], told, max(0, size - kept))


_PACKETS: dict[int, Callable[[str, bytes, list[Interface]], Packet]] = {
    pcapng.ENHANCED: _enhanced,
    pcapng.SIMPLE: _simple,
    pcapng.OBSOLETE: _obsolete,
}
