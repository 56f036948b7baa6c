"""The little of IPv4 and IPv6 that a data path needs: read a header, build one, ICMP echo.

Addresses are numbers here (32 or 128 bits) beside the IP version: a packet is matched without making objects of them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import msgspec

from ikescope.config.model import Address
from ikescope.errors import PeerError

ICMP, IPIP, TCP, UDP, IPV6, GRE, ESP, ICMPV6, NO_NEXT_HEADER = 1, 4, 6, 17, 41, 47, 50, 58, 59

_IPV4 = struct.Struct(">BBHHHBBHII")
_IPV6 = struct.Struct(">IHBB16s16s")
_ECHO = struct.Struct(">BBHHH")
_PORTS = struct.Struct(">HH")
_WITH_PORTS = frozenset({TCP, UDP, 33, 132, 136})  # TCP, UDP, DCCP, SCTP, UDP-Lite
_WITH_TYPES = frozenset({ICMP, ICMPV6})
_EXTENSIONS = frozenset({0, 43, 60})  # hop-by-hop, routing, destination options: the next header, then the length
_FRAGMENT = 44
_ECHO_TYPES = {4: (ICMP, 8, 0), 6: (ICMPV6, 128, 129)}  # protocol, request, reply


Octets = bytes | bytearray | memoryview


class PacketError(PeerError):
    """Octets are no IP packet; it is dropped."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """What selectors look at. Ports are None where the packet shows none (a later fragment, a protocol without ports);
    for ICMP both are type * 256 + code (RFC 4301 section 4.4.1.1). `octets` is the length up to the upper protocol,
    `total` that of the whole packet.
    """

    version: int
    source: int
    destination: int
    protocol: int
    source_port: int | None
    destination_port: int | None
    octets: int
    total: int
    fragment: bool


def number_to_address(version: int, number: int) -> Address:
    """The address of that IP version."""
    return IPv4Address(number) if version == 4 else IPv6Address(number)


def read_header(packet: Octets) -> Header:
    """Read the header of an IPv4 or IPv6 packet; PacketError for anything that is none.

    Octets behind the packet's own length (TFC padding, RFC 4303 section 2.7) are allowed; `total` leaves them out.
    """
    if not packet:
        raise PacketError("IP header: had 0, wanted 20")
    version = packet[0] >> 4
    if version == 4:
        return _read_ipv4(packet)
    if version == 6:
        return _read_ipv6(packet)
    raise PacketError(f"IP version: had {version}, wanted 4 or 6")


def _read_ipv4(packet: Octets) -> Header:
    if len(packet) < 20:
        raise PacketError(f"IPv4 header: had {len(packet)}, wanted 20")
    first, _, total, _, flags, _, protocol, _, source, destination = _IPV4.unpack_from(packet)
    octets = (first & 15) * 4
    if octets < 20 or not octets <= total <= len(packet):
        raise PacketError(f"IPv4 lengths: had header {octets}, total {total}, packet {len(packet)}")
    later = bool(flags & 0x1FFF)
    ports = (None, None) if later else _ports(packet, octets, total, protocol)
    return Header(4, source, destination, protocol, *ports, octets, total, bool(flags & 0x3FFF))


def _read_ipv6(packet: Octets) -> Header:
    if len(packet) < 40:
        raise PacketError(f"IPv6 header: had {len(packet)}, wanted 40")
    _, payload, protocol, _, source, destination = _IPV6.unpack_from(packet)
    total = 40 + payload
    if total > len(packet):
        raise PacketError(f"IPv6 packet: had {len(packet)}, wanted {total}")
    octets, fragment, later = 40, False, False
    while not later and (protocol in _EXTENSIONS or protocol == _FRAGMENT):
        if octets + 8 > total:
            raise PacketError(f"IPv6 extension header: had {total - octets}, wanted 8")
        size = 8 if protocol == _FRAGMENT else (packet[octets + 1] + 1) * 8
        if protocol == _FRAGMENT:
            fragment = True
            later = bool(packet[octets + 2] or packet[octets + 3] & 0xF8)
        protocol = packet[octets]
        octets += size
    if octets > total:
        raise PacketError(f"IPv6 extension headers: had {total - 40}, wanted {octets - 40}")
    ports = (None, None) if later else _ports(packet, octets, total, protocol)
    numbers = int.from_bytes(source, "big"), int.from_bytes(destination, "big")
    return Header(6, *numbers, protocol, *ports, octets, total, fragment)


def _ports(packet: Octets, offset: int, total: int, protocol: int) -> tuple[int | None, int | None]:
    if protocol in _WITH_PORTS and offset + 4 <= total:
        source, destination = _PORTS.unpack_from(packet, offset)
        return source, destination
    if protocol in _WITH_TYPES and offset + 2 <= total:
        code = int.from_bytes(packet[offset : offset + 2], "big")
        return code, code
    return None, None


def checksum(octets: bytes) -> int:
    """The internet checksum (RFC 1071), 16 bits.

    A number modulo 65535 is the sum of its 16-bit digits modulo 65535: one division instead of a loop.
    """
    number = int.from_bytes(octets, "big") << (8 if len(octets) % 2 else 0)
    return ~(number % 0xFFFF or (0xFFFF if number else 0)) & 0xFFFF


def ip_packet(
    source: Address, destination: Address, protocol: int, payload: bytes, *, identification: int = 0, ttl: int = 64
) -> bytes:
    """A packet of the addresses' IP version around `payload`; DF is not set."""
    if source.version == 6:
        first = 6 << 28
        return _IPV6.pack(first, len(payload), protocol, ttl, source.packed, destination.packed) + payload
    fields = (0x45, 0, 20 + len(payload), identification & 0xFFFF, 0, ttl, protocol)
    bare = _IPV4.pack(*fields, 0, int(source), int(destination))
    return _IPV4.pack(*fields, checksum(bare), int(source), int(destination)) + payload


@dataclass(frozen=True, slots=True)
class Echo:
    """An ICMP or ICMPv6 echo request or reply."""

    source: Address
    destination: Address
    reply: bool
    identifier: int
    sequence: int
    data: bytes


def make_echo(echo: Echo) -> bytes:
    """The IP packet of an echo message."""
    protocol, request, reply = _ECHO_TYPES[echo.source.version]
    fields = (reply if echo.reply else request, 0)
    bare = _ECHO.pack(*fields, 0, echo.identifier, echo.sequence) + echo.data
    pseudo = b""
    if protocol == ICMPV6:  # RFC 8200 section 8.1
        pseudo = echo.source.packed + echo.destination.packed + struct.pack(">II", len(bare), protocol)
    icmp = _ECHO.pack(*fields, checksum(pseudo + bare), echo.identifier, echo.sequence) + echo.data
    return ip_packet(echo.source, echo.destination, protocol, icmp)


def read_echo(packet: bytes) -> Echo | None:
    """The echo message in an IP packet, None for any other packet; the ICMP checksum is not verified."""
    try:
        header = read_header(packet)
    except PacketError:
        return None
    protocol, request, reply = _ECHO_TYPES[header.version]
    if header.protocol != protocol or header.fragment or header.total < header.octets + _ECHO.size:
        return None
    kind, _, _, identifier, sequence = _ECHO.unpack_from(packet, header.octets)
    if kind not in (request, reply):
        return None
    source = number_to_address(header.version, header.source)
    destination = number_to_address(header.version, header.destination)
    data = packet[header.octets + _ECHO.size : header.total]
    return Echo(source, destination, kind == reply, identifier, sequence, data)
