"""The header before each packet of a TUN device that was opened with IFF_VNET_HDR (linux/virtio_net.h).

It says which checksum is still to be made and how a super-segment, up to 64 KB of one TCP or UDP flow, is to be cut.
"""

from __future__ import annotations

import struct

import msgspec

from ikescope.esp.packet import TCP, UDP

OCTETS = 10
NEEDS_CHECKSUM = 1
GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP = 0, 1, 4, 5
_GSO_ECN = 0x80  # a TCP super-segment whose first segment has CWR

_HEADER = struct.Struct("=BBHHHH")  # in the host's byte order
NOTHING = bytes(OCTETS)
"""The header of a whole packet with its checksum."""

CHECKSUM_AT = {TCP: 16, UDP: 6}
"""Where the checksum lies in the header of a protocol."""


class Vnet(msgspec.Struct, frozen=True, gc=False):
    """What the header says. `kind` is GSO_*, `start` the offset of the TCP or UDP header in the packet, `field` that of
    the checksum in it, `size` the octets of payload in each segment but the last.
    """

    checksum: bool
    kind: int
    size: int
    start: int
    field: int


def read(octets: bytes | bytearray | memoryview, offset: int = 0) -> Vnet:
    """The header at `offset`."""
    flags, kind, _, size, start, field = _HEADER.unpack_from(octets, offset)
    return Vnet(bool(flags & NEEDS_CHECKSUM), kind & ~_GSO_ECN, size, start, field)


def pack(kind: int, header_octets: int, size: int, start: int, field: int) -> bytes:
    """The header of a super-segment to write, or (GSO_NONE) of a packet whose checksum is to be made."""
    return _HEADER.pack(NEEDS_CHECKSUM, kind, header_octets, size, start, field)


def folded(octets: bytes | bytearray | memoryview, start: int = 0) -> int:
    """The ones' complement sum of octets, 16 bits (RFC 1071); `start` is added. Zero only where all of it is zero.

    A number modulo 65535 is the sum of its 16-bit digits modulo 65535: one division instead of a loop.
    """
    number = int.from_bytes(octets, "big")
    if len(octets) & 1:
        number <<= 8
    number += start
    return number % 0xFFFF or (0xFFFF if number else 0)


def finished(packet: bytearray, vnet: Vnet) -> bytearray:
    """The packet with its TCP or UDP checksum made, over what the field holds: the pseudo-header's sum."""
    at = vnet.start + vnet.field
    if vnet.start < 20 or at + 2 > len(packet):
        return packet
    value = ~folded(memoryview(packet)[vnet.start :]) & 0xFFFF
    if not value and vnet.field == CHECKSUM_AT[UDP]:
        value = 0xFFFF  # RFC 768: zero says that there is no checksum
    packet[at : at + 2] = value.to_bytes(2, "big")
    return packet
