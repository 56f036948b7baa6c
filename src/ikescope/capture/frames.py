"""IP and UDP around a datagram: framing for captures that we write, unframing of those that we read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

UDP, ESP = 17, 50
IKE_PORT, NAT_PORT = 500, 4500
NON_ESP_MARKER = bytes(4)
ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
#: Extension headers that may stand before the upper layer (RFC 8200 section 4.1), fragments apart.
SKIPPED_HEADERS = (0, 43, 60)
FRAGMENT_HEADER = 44


class Datagram(msgspec.Struct, frozen=True):
    """What one packet carries for IPsec: an IKE message (`ike`, non-ESP marker taken off) or an ESP packet.

    Addresses as text; ports None for ESP that is not inside UDP.
    """

    source: str
    destination: str
    source_port: int | None
    destination_port: int | None
    ike: bool
    data: bytes


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of octets."""
    padded = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_packet(source: str, source_port: int, destination: str, destination_port: int, data: bytes) -> bytes:
    """A whole IPv4 or IPv6 packet with a UDP datagram of `data`, checksums filled in; addresses as text."""
    here, there = ip_address(source), ip_address(destination)
    length = 8 + len(data)
    pseudo = here.packed + there.packed + struct.pack("!IHBB", length, 0, 0, UDP)
    head = struct.pack("!HHHH", source_port, destination_port, length, 0)
    value = checksum(pseudo + head + data) or 0xFFFF
    return ip_packet(here, there, UDP, head[:6] + struct.pack("!H", value) + data)


def ip_packet(
    source: IPv4Address | IPv6Address, destination: IPv4Address | IPv6Address, protocol: int, data: bytes
) -> bytes:
    """An IP packet, TTL 64; both addresses of one family."""
    if source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(data), protocol, 64) + source.packed + destination.packed + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0, 64, protocol, 0) + source.packed + destination.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data


def ike_packet(source: str, source_port: int, destination: str, destination_port: int, message: bytes) -> bytes:
    """An IKE message as a packet; where a port is 4500 the non-ESP marker stands before it."""
    ##= rfc7296#section-3.1
    ##% When sent on UDP port 4500, IKE messages have
    ##% prepended four octets of zeros.
    marker = NON_ESP_MARKER if NAT_PORT in (source_port, destination_port) else b""
    return udp_packet(source, source_port, destination, destination_port, marker + message)


def ethernet_frame(packet: bytes, source: bytes = bytes(6), destination: bytes = bytes(6)) -> bytes:
    """An Ethernet frame around an IP packet; the addresses are 6 octets each."""
    kind = ETHERTYPE_IPV6 if packet[:1] and packet[0] >> 4 == 6 else ETHERTYPE_IPV4
    return destination + source + struct.pack("!H", kind) + packet


def _ethernet(data: bytes) -> bytes | None:
    offset = 12
    while (kind := int.from_bytes(data[offset : offset + 2], "big")) in VLAN_TAGS:
        offset += 4
    return data[offset + 2 :] if kind in (ETHERTYPE_IPV4, ETHERTYPE_IPV6) else None


def _cooked(kind_at: int, header: int) -> Callable[[bytes], bytes | None]:
    def strip(data: bytes) -> bytes | None:
        kind = int.from_bytes(data[kind_at : kind_at + 2], "big")
        return data[header:] if kind in (ETHERTYPE_IPV4, ETHERTYPE_IPV6) else None

    return strip


def _bare(data: bytes) -> bytes | None:
    return data


#: How each link type (the LINKTYPE_ registry of tcpdump.org) is taken off an IP packet.
LINKS: dict[int, Callable[[bytes], bytes | None]] = {
    0: lambda data: data[4:],  # BSD loopback
    1: _ethernet,
    12: _bare,
    14: _bare,
    101: _bare,
    108: lambda data: data[4:],  # OpenBSD loopback
    113: _cooked(14, 16),  # Linux cooked
    228: _bare,
    229: _bare,
    276: _cooked(0, 20),  # Linux cooked, version 2
}


def unframe(link: int, data: bytes) -> Datagram | None:
    """The IKE message or ESP packet that a captured packet carries; None where it is anything else or cut short.

    IP fragments are None too: IKE keeps its messages below the path MTU or fragments them itself (RFC 7383).
    """
    strip = LINKS.get(link)
    packet = strip(data) if strip is not None else None
    if not packet:
        return None
    found = _ipv6(packet) if packet[0] >> 4 == 6 else _ipv4(packet) if packet[0] >> 4 == 4 else None
    if found is None:
        return None
    source, destination, protocol, payload = found
    if protocol == ESP:
        return Datagram(source, destination, None, None, False, payload) if len(payload) >= 8 else None
    return _udp(source, destination, payload) if protocol == UDP else None


def _ipv4(packet: bytes) -> tuple[str, str, int, bytes] | None:
    if len(packet) < 20:
        return None
    header, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
    if header < 20 or total < header or total > len(packet) or fragment:
        return None
    addresses = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
    return *addresses, packet[9], packet[header:total]


def _ipv6(packet: bytes) -> tuple[str, str, int, bytes] | None:
    if len(packet) < 40:
        return None
    end = 40 + int.from_bytes(packet[4:6], "big")
    following, offset = packet[6], 40
    while following in SKIPPED_HEADERS and offset + 8 <= len(packet):
        following, offset = packet[offset], offset + 8 + packet[offset + 1] * 8
    if following == FRAGMENT_HEADER or end > len(packet) or offset > end:
        return None
    addresses = str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40]))
    return *addresses, following, packet[offset:end]


def _udp(source: str, destination: str, payload: bytes) -> Datagram | None:
    if len(payload) < 8:
        return None
    here, there, length, _ = struct.unpack_from("!HHHH", payload)
    data = payload[8:length]
    if length > len(payload):
        return None
    if NAT_PORT in (here, there):
        if data[:4] == NON_ESP_MARKER:
            return Datagram(source, destination, here, there, True, data[4:])
        return Datagram(source, destination, here, there, False, data) if len(data) >= 8 else None
    if IKE_PORT in (here, there):
        return Datagram(source, destination, here, there, True, data)
    return None
