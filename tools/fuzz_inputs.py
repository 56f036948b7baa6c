"""Datagrams for the fuzzing: messages whose parts fit together, and what is done to them so that they do not."""

import itertools
import random
import struct
from collections.abc import Callable, Sequence

Source = random.Random

HEADER = struct.Struct("!8s8sBBBBII")
PAYLOADS = range(33, 54)
"""SA (33) to SKF (53): every payload type of RFC 7296 section 3.2 and RFC 7383."""
EXCHANGES = (34, 35, 36, 37, 43, 44)
INTERESTING = (0, 1, 2, 4, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)


def octets(source: Source) -> bytes:
    """Octets of no shape, of a length that fields often have."""
    return source.randbytes(source.choice((0, 1, 2, 4, 8, 16, 20, 32, 64, 200)))


def proposals(source: Source) -> bytes:
    """An SA payload's body: proposals of transforms, some with a key length (RFC 7296 section 3.3)."""
    chain = b""
    numbers = range(1, source.randrange(2, 5))
    for number in numbers:
        transforms = b""
        count = source.randrange(1, 6)
        for index in range(count):
            attribute = struct.pack("!HH", 0x800E, source.choice((128, 256))) if source.random() < 0.3 else b""
            fields = (0 if index == count - 1 else 3, 0, 8 + len(attribute), source.randrange(1, 14), 0)
            transforms += struct.pack("!BBHBBH", *fields, source.randrange(40)) + attribute
        protocol, spi = source.choice(((1, b""), (1, source.randbytes(8)), (3, source.randbytes(4))))
        head = (0 if number == numbers[-1] else 2, 0, 8 + len(spi) + len(transforms))
        chain += struct.pack("!BBHBBBB", *head, number, protocol, len(spi), count) + spi + transforms
    return chain


def selectors(source: Source) -> bytes:
    """A TS payload's body: IPv4 and IPv6 selectors (RFC 7296 section 3.13)."""
    count = source.randrange(1, 4)
    chain = b""
    for _ in range(count):
        kind, width = source.choice(((7, 4), (8, 16)))
        chain += struct.pack("!BBHHH", kind, source.choice((0, 6, 17, 47)), 8 + 2 * width, 0, 0xFFFF)
        chain += bytes(width) + b"\xff" * width
    return struct.pack("!B3x", count) + chain


def notification(source: Source) -> bytes:
    """A notification of the IKE SA's or with an SPI (RFC 7296 section 3.10)."""
    kind = source.choice((*NOTIFIES, 16388, 16430))
    protocol, spi = source.choice(((0, b""), (3, source.randbytes(4))))
    return struct.pack("!BBH", protocol, len(spi), kind) + spi + octets(source)


def delete(source: Source) -> bytes:
    """A DELETE payload's body: of the IKE SA, or of Child SAs (RFC 7296 section 3.11)."""
    count = source.randrange(4)
    if source.random() < 0.5:
        return struct.pack("!BBH", 1, 0, 0)
    return struct.pack("!BBH", 3, 4, count) + source.randbytes(4 * count)


def configuration(source: Source) -> bytes:
    """A CP payload's body: attributes (RFC 7296 section 3.15)."""
    values = (source.randbytes(source.choice((0, 4, 8, 17))) for _ in range(source.randrange(4)))
    chain = b"".join(struct.pack("!HH", source.randrange(1, 26), len(value)) + value for value in values)
    return struct.pack("!B3x", source.randrange(1, 5)) + chain


def typed(source: Source) -> bytes:
    """A type, three reserved octets, octets: AUTH, and IDi and IDr with an FQDN."""
    return struct.pack("!B3x", 2) + octets(source) + b"r1.example"


def exchange_value(source: Source) -> bytes:
    """A KE payload's body (RFC 7296 section 3.4)."""
    return struct.pack("!HH", source.choice((2, 14, 19, 21, 31)), 0) + source.randbytes(
        source.choice((32, 64, 132, 256))
    )


NOTIFIES = (1, 4, 5, 7, 9, 11, 14, 17, 24, 34, 35, 38, 39, 43, 44, 16384, 16385, 16390, 16391, 16393, 16394, 40960)
BODIES: dict[int, Callable[[Source], bytes]] = {
    33: proposals,
    34: exchange_value,
    35: typed,
    36: typed,
    39: typed,
    40: lambda source: source.randbytes(source.choice((16, 32, 64))),
    41: notification,
    42: delete,
    44: selectors,
    45: selectors,
    47: configuration,
    48: lambda source: struct.pack("!BBHB", 1, 7, 9, 1) + source.randbytes(4),
    53: lambda source: struct.pack("!HH", 1, 2) + source.randbytes(64),
}
"""Payload type -> a body that fits it; the mutations then make it not fit."""


def message(source: Source) -> bytes:
    """A message whose header and payload chain fit together; the bodies fit the types that BODIES knows."""
    kinds = [source.choice(PAYLOADS) for _ in range(source.randrange(0, 8))]
    chain = b""
    for kind, following in itertools.pairwise([*kinds, 0]):
        content = BODIES.get(kind, octets)(source)
        chain += struct.pack("!BBH", following, source.choice((0, 0, 0, 0x80, 0x7F)), len(content) + 4) + content
    first = kinds[0] if kinds else 0
    exchange, flags = source.choice(EXCHANGES), source.choice((0x00, 0x08, 0x20, 0x28))
    spi_r = source.choice((bytes(8), source.randbytes(8)))
    fields = (source.randbytes(8), spi_r, first, 0x20, exchange, flags, source.randrange(4), HEADER.size + len(chain))
    return HEADER.pack(*fields) + chain


def flip(data: bytearray, source: Source) -> None:
    """One bit changes."""
    data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def overwrite(data: bytearray, source: Source) -> None:
    """One octet becomes a value that lengths and types stumble over."""
    data[source.randrange(len(data))] = source.choice(INTERESTING)


def cut(data: bytearray, source: Source) -> None:
    """The end is missing."""
    del data[source.randrange(1, len(data) + 1) :]


def grow(data: bytearray, source: Source) -> None:
    """Octets stand in the middle that nobody counted."""
    at = source.randrange(len(data) + 1)
    data[at:at] = source.randbytes(source.randrange(1, 9))


def repeat(data: bytearray, source: Source) -> None:
    """A piece stands there twice."""
    at = source.randrange(len(data))
    data[at:at] = data[at : at + source.randrange(1, 33)]


def relength(data: bytearray, source: Source) -> None:
    """The header's length is made right again, so that what is wrong lies deeper."""
    if len(data) >= HEADER.size:
        struct.pack_into("!I", data, 24, len(data))


MUTATIONS = (flip, flip, overwrite, overwrite, cut, grow, repeat)


def datagram(source: Source, seeds: Sequence[bytes] = ()) -> bytes:
    """The next datagram: plain octets now and then, else a message or a seed, as it is or mutated."""
    if source.random() < 0.05:
        return source.randbytes(source.randrange(0, 300))
    data = bytearray(source.choice(seeds) if seeds and source.random() < 0.5 else message(source))
    for _ in range(source.choice((0, 1, 1, 2, 4))):
        source.choice(MUTATIONS)(data, source)
        if not data:
            return b""
    if source.random() < 0.7:
        relength(data, source)
    return bytes(data)
