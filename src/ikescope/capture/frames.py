"""IP and UDP around a datagram: framing for captures that we write, unframing of those that we read."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

UDP, ESP = 17, 50
IKE_PORT, NAT_PORT = 500, 4500
NON_ESP_MARKER = bytes(4)
ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_PPPOE = 0x0800, 0x86DD, 0x8864
PPP_IP = (0x21, 0x57)
MAX_IP = 65535
VLAN_TAGS = (0x8100, 0x88A8, 0x9100)
#: Extension headers that may stand before the upper layer (RFC 8200 section 4.1), fragments apart.
SKIPPED_HEADERS = (0, 43, 60, 135)
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


def _of_type(kind: int, data: bytes) -> bytes | None:
    """What follows an EtherType, VLAN tags and a PPPoE session taken off."""
    while kind in VLAN_TAGS:
        kind, data = int.from_bytes(data[2:4], "big"), data[4:]
    if kind == ETHERTYPE_PPPOE:
        return _ppp(data[6:])
    return data if kind in (ETHERTYPE_IPV4, ETHERTYPE_IPV6) else None


def _ethernet(data: bytes) -> bytes | None:
    return _of_type(int.from_bytes(data[12:14], "big"), data[14:])


def _cooked(kind_at: int, header: int) -> Callable[[bytes], bytes | None]:
    def strip(data: bytes) -> bytes | None:
        return _of_type(int.from_bytes(data[kind_at : kind_at + 2], "big"), data[header:])

    return strip


def _ppp(data: bytes) -> bytes | None:
    if data[:2] == b"\xff\x03":
        data = data[2:]
    kind, size = (data[0], 1) if data[:1] and data[0] & 1 else (int.from_bytes(data[:2], "big"), 2)
    return data[size:] if kind in PPP_IP else None


def _bare(data: bytes) -> bytes | None:
    return data


#: How each link type (the LINKTYPE_ registry of tcpdump.org) is taken off an IP packet.
LINKS: dict[int, Callable[[bytes], bytes | None]] = {
    0: lambda data: data[4:],  # BSD loopback
    1: _ethernet,
    9: _ppp,
    12: _bare,
    14: _bare,
    50: _ppp,  # PPP in HDLC framing
    51: lambda data: _ppp(data[6:]),  # PPPoE
    101: _bare,
    104: _cooked(2, 4),  # Cisco HDLC
    108: lambda data: data[4:],  # OpenBSD loopback
    113: _cooked(14, 16),  # Linux cooked
    228: _bare,
    229: _bare,
    276: _cooked(0, 20),  # Linux cooked, version 2
}


class _Part(msgspec.Struct, frozen=True):
    """An IP packet or a fragment of one: addresses, protocol, octets; `key` None for a whole packet.

    `offset` in octets, `more` whether further fragments follow.
    """

    source: str
    destination: str
    protocol: int
    data: bytes
    key: tuple[object, ...] | None = None
    offset: int = 0
    more: bool = False


def unframe(link: int, data: bytes) -> Datagram | None:
    """The IKE message or ESP packet that a captured packet carries; None where it is anything else or cut short.

    IP fragments are None too; an Unframer puts them together.
    """
    part = _part(link, data)
    return _datagram(part) if part is not None and part.key is None else None


class Torn(msgspec.Struct, frozen=True):
    """The beginning of a UDP datagram with IKE whose other IP fragments never came: octets that did, and those sent.

    `data` is the IKE message as far as it goes, `pieces` how many of its fragments are there.
    """

    source: str
    destination: str
    source_port: int
    destination_port: int
    data: bytes
    octets: int
    pieces: int


_PLAIN_IPV4 = 0x45
"""The first octet of an IPv4 header without options."""
_IPV4 = struct.Struct("!2xHHHBBH4s4s")
_NAMES = 4096
"""How many addresses are remembered as text."""


class Unframer:
    """Takes packets off their links, one after the other, and puts IP fragments together.

    At most `limit` packets are in the making, the oldest make room; fragments that overlap end theirs (RFC 5722).
    """

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._names: dict[bytes, str] = {}
        self._parts: OrderedDict[tuple[object, ...], dict[int, _Part]] = OrderedDict()
        self.lost = 0

    @property
    def waiting(self) -> int:
        """How many packets are not whole."""
        return len(self._parts)

    def torn(self) -> Iterator[Torn]:
        """The IKE messages of packets that are not whole, as far as their first fragment tells."""
        for held in self._parts.values():
            found = _torn(held)
            if found is not None:
                yield found

    def unframe(self, link: int, data: bytes) -> Datagram | None:
        """As the function of that name, and the datagram of a packet whose last missing fragment this is."""
        strip = LINKS.get(link)
        packet = strip(data) if strip is not None else None
        if packet and packet[0] == _PLAIN_IPV4 and len(packet) > 28:
            total, _, place, _, protocol, _, source, destination = _IPV4.unpack_from(packet)
            if not place & 0x3FFF and 28 <= total <= len(packet) and protocol in (UDP, ESP):
                here, there = self._named(source), self._named(destination)
                return _datagram(_Part(here, there, protocol, packet[20:total]))
        part = _part(link, data)
        if part is None:
            return None
        if part.key is not None:
            part = self._joined(part, part.key)
        return _datagram(part) if part is not None else None

    def _named(self, address: bytes) -> str:
        """An IPv4 address as text, which is made once for many packets."""
        name = self._names.get(address)
        if name is None:
            if len(self._names) >= _NAMES:
                self._names.clear()
            name = self._names[address] = _dotted(address)
        return name

    def _joined(self, part: _Part, key: tuple[object, ...]) -> _Part | None:
        held = self._parts.setdefault(key, {})
        if part.offset in held and held[part.offset].data == part.data:
            return None
        held[part.offset] = part
        while len(self._parts) > self._limit:
            self._parts.popitem(last=False)
            self.lost += 1
        end, whole = 0, b""
        for one in sorted(held.values(), key=lambda one: one.offset):
            if one.offset < end or one.offset + len(one.data) > MAX_IP:
                del self._parts[key]
                self.lost += 1
                return None
            if one.offset > end:
                return None
            whole, end = whole + one.data, end + len(one.data)
            if not one.more:
                del self._parts[key]
                return _Part(part.source, part.destination, held[0].protocol, whole)
        return None


def _torn(held: dict[int, _Part]) -> Torn | None:
    first = held.get(0)
    if first is None or first.protocol != UDP or len(first.data) < 8:
        return None
    here, there, length, _ = struct.unpack_from("!HHHH", first.data)
    data = first.data[8:]
    if NAT_PORT in (here, there):
        data = data[len(NON_ESP_MARKER) :] if data.startswith(NON_ESP_MARKER) else b""
    elif IKE_PORT not in (here, there):
        data = b""
    octets = length - 8 - len(NON_ESP_MARKER) * (NAT_PORT in (here, there))
    return Torn(first.source, first.destination, here, there, data, octets, len(held)) if data else None


def _part(link: int, data: bytes) -> _Part | None:
    strip = LINKS.get(link)
    packet = strip(data) if strip is not None else None
    if not packet:
        return None
    version = packet[0] >> 4
    return _ipv6(packet) if version == 6 else _ipv4(packet) if version == 4 else None


def _datagram(part: _Part) -> Datagram | None:
    if part.protocol == ESP:
        return Datagram(part.source, part.destination, None, None, False, part.data) if len(part.data) >= 8 else None
    return _udp(part.source, part.destination, part.data) if part.protocol == UDP else None


def _dotted(address: bytes) -> str:
    one, two, three, four = address
    return f"{one}.{two}.{three}.{four}"


def _ipv4(packet: bytes) -> _Part | None:
    if len(packet) < 20:
        return None
    # A packet that the network card was to cut up has no length yet.
    header, total = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big") or len(packet)
    if header < 20 or total < header or total > len(packet):
        return None
    source, destination = _dotted(packet[12:16]), _dotted(packet[16:20])
    place = int.from_bytes(packet[6:8], "big")
    if not place & 0x3FFF:
        return _Part(source, destination, packet[9], packet[header:total])
    key = source, destination, packet[9], packet[4:6]
    return _Part(source, destination, packet[9], packet[header:total], key, (place & 0x1FFF) * 8, bool(place & 0x2000))


def _ipv6(packet: bytes) -> _Part | None:
    if len(packet) < 40:
        return None
    end = 40 + int.from_bytes(packet[4:6], "big")
    following, offset = packet[6], 40
    source, destination = str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40]))
    while following in SKIPPED_HEADERS and offset + 8 <= len(packet):
        following, offset = packet[offset], offset + 8 + packet[offset + 1] * 8
    if end > len(packet) or offset > end:
        return None
    if following != FRAGMENT_HEADER:
        return _Part(source, destination, following, packet[offset:end])
    if offset + 8 > end:
        return None
    following, place = packet[offset], int.from_bytes(packet[offset + 2 : offset + 4], "big")
    key = source, destination, packet[offset + 4 : offset + 8]
    return _Part(source, destination, following, packet[offset + 8 : end], key, place & 0xFFF8, bool(place & 1))


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
