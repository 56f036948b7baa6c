"""What a tunnel tells the sender of a packet that is too large for it (RFC 792, RFC 1191, RFC 4443)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ikescope.config.model import Address
from ikescope.esp.packet import ICMP, ICMPV6, PacketError, checksum, ip_packet, number_to_address, read_header

IPV6_LEAST = 1280
"""Every IPv6 path takes packets of so many octets (RFC 8200 section 5)."""
_QUOTED = {4: 576 - 28, 6: IPV6_LEAST - 48}  # RFC 1812 section 4.3.2.3, RFC 4443 section 2.4
_UNREACHABLE, _FRAGMENTATION_NEEDED, _PACKET_TOO_BIG = 3, 4, 2
_HEAD = struct.Struct(">BBHI")
_QUERIES = frozenset({0, 8, 13, 14, 15, 16, 17, 18})  # ICMP types that are no errors (RFC 1122 section 3.2.2)


def must_fit(packet: bytes) -> bool:
    """Whether nobody on the way may fragment a packet: DF is set, or it is IPv6 and above what every path takes."""
    if packet[0] >> 4 == 4:
        return bool(packet[6] & 0x40)
    return len(packet) > IPV6_LEAST


def too_big(packet: bytes, mtu: int, own: Sequence[Address]) -> bytes:
    """The ICMP error for a packet that does not fit `mtu` octets, from an address in `own`; empty where none is due.

    RFC 4301 section 8.2: who sent it learns how large it may be; RFC 4459 section 3.2: an IPv6 packet of 1,280 octets
    must pass whatever the tunnel's MTU is.
    """
    try:
        header = read_header(packet)
    except PacketError:
        return b""
    version = header.version
    sender = number_to_address(version, header.source)
    source = next((address for address in own if address.version == version), None)
    if source is None or sender.is_multicast or sender.is_unspecified or sender.is_loopback or _an_error(packet):
        return b""
    if version == 4 and (number_to_address(4, header.destination).is_multicast or sender == _BROADCAST):
        return b""
    quoted = packet[: _QUOTED[version]]
    if version == 4:
        bare = _HEAD.pack(_UNREACHABLE, _FRAGMENTATION_NEEDED, 0, mtu) + quoted
        message = bare[:2] + checksum(bare).to_bytes(2, "big") + bare[4:]
        return ip_packet(source, sender, ICMP, message)
    bare = _HEAD.pack(_PACKET_TOO_BIG, 0, 0, max(mtu, IPV6_LEAST)) + quoted
    pseudo = source.packed + sender.packed + struct.pack(">II", len(bare), ICMPV6)
    message = bare[:2] + checksum(pseudo + bare).to_bytes(2, "big") + bare[4:]
    return ip_packet(source, sender, ICMPV6, message)


_BROADCAST = number_to_address(4, 0xFFFFFFFF)


def _an_error(packet: bytes) -> bool:
    """Whether it is an ICMP error itself, or a part behind the first of a packet: neither is answered with another."""
    header = read_header(packet)
    if header.version == 4 and int.from_bytes(packet[6:8], "big") & 0x1FFF:
        return True
    kind = packet[header.octets] if header.octets < header.total else 0
    if header.protocol == ICMP:
        return kind not in _QUERIES
    return header.protocol == ICMPV6 and kind < 128
