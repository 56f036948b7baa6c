"""The traffic class through a tunnel: DSCP and ECN are copied out, ECN is carried in (RFC 4301, RFC 6040)."""

from __future__ import annotations

from ikescope.errors import PeerError
from ikescope.esp.packet import checksum

NOT_ECT, ECT1, ECT0, CE = 0, 1, 2, 3
"""The two bits of an IP header: no ECN, capable of it (two codes), congestion experienced."""


class EcnError(PeerError):
    """A mark that the inner packet's ends would not understand; the packet is dropped, as the congestion asked."""

    section = "RFC 6040 section 4.2"


INWARD: dict[tuple[int, int], int | None] = {
    (NOT_ECT, CE): None,
    (ECT0, ECT1): ECT1,
    (ECT0, CE): CE,
    (ECT1, CE): CE,
}
"""(inner, outer) -> what the inner packet has from now on, None to drop it; every other pair leaves it as it is."""


def ecn_of(packet: bytes) -> int:
    """The two bits of an IPv4 or IPv6 packet."""
    return packet[1] & 3 if packet[0] >> 4 == 4 else packet[1] >> 4 & 3


def class_of(packet: bytes) -> int:
    """DSCP and ECN of an IPv4 or IPv6 packet, eight bits: what the header around it gets as well.

    RFC 4301 section 5.1.2: DSCP is copied from the inner header, as IOS does it; the one that arrives has its own.
    """
    return packet[1] if packet[0] >> 4 == 4 else (packet[0] & 15) << 4 | packet[1] >> 4


def classed(packet: bytes, octet: int) -> bytes:
    """The packet with this DSCP and ECN; an IPv4 header's checksum is made anew."""
    if packet[0] >> 4 == 6:
        return bytes((packet[0] & 0xF0 | octet >> 4, octet << 4 & 0xF0 | packet[1] & 15)) + packet[2:]
    octets = (packet[0] & 15) * 4
    head = packet[:1] + bytes([octet]) + packet[2:10] + b"\0\0" + packet[12:octets]
    return head[:10] + checksum(head).to_bytes(2, "big") + packet[12:]


def marked(packet: bytes, ecn: int) -> bytes:
    """The packet with these two bits; an IPv4 header's checksum is made anew."""
    return packet if ecn == ecn_of(packet) else classed(packet, class_of(packet) & 0xFC | ecn)


def inward(packet: bytes, outer: int) -> bytes:
    """The inner packet with what its outer header's two bits say; EcnError where it is to be dropped.

    ##= rfc7296#section-2.24
    ##% Specifically, tunnel encapsulators and decapsulators for all
    ##% tunnel mode SAs created by IKEv2 MUST support the ECN full-functionality option
    """
    inner = ecn_of(packet)
    new = INWARD.get((inner, outer), inner)
    if new is None:
        raise EcnError("congestion on the way (ECN CE), and the inner packet is not capable of ECN")
    return marked(packet, new)
