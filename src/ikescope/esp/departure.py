"""How a run of packets leaves: its SA, and what stands before each inner packet in ESP."""

from __future__ import annotations

import msgspec

from ikescope.esp import gre
from ikescope.esp.ecn import classed
from ikescope.esp.packet import GRE, IPIP, IPV6, checksum, ip_packet
from ikescope.esp.sa import PADDING, OutboundSa
from ikescope.esp.tunnel import TunnelPath

NEXT_HEADERS = {4: IPIP, 6: IPV6}
"""The protocol number of IP in ESP, by version."""
LEAD_LIMIT = 44
"""Octets at most that stand before an inner packet in ESP."""
_IP_OCTETS = {4: 20, 6: 40}


class Departure(msgspec.Struct, frozen=True):
    """The SA that carries the packets, and their tunnel."""

    sa: OutboundSa
    path: TunnelPath

    @property
    def numbered(self) -> bool:
        """Whether an IPv4 header stands first, which has an identification and a checksum."""
        return self.path.gre and not self.sa.transport and self.path.source.version == 4

    @property
    def lead(self) -> int:
        """Octets before the inner packet."""
        if not self.path.gre:
            return 0
        return gre.HEADER_OCTETS + (0 if self.sa.transport else _IP_OCTETS[self.path.source.version])

    def df(self, packet: bytes) -> bool:
        """Whether the header around ESP has DF, by the inner packet's first eight octets (`crypto ipsec df-bit`).

        RFC 4301 section 8.1: it is set, cleared or copied. What IPsec sees of a GRE tunnel is the header that GRE made,
        without DF.
        """
        if self.path.df != "copy":
            return self.path.df == "set"
        return not self.path.gre and packet[0] >> 4 == 4 and bool(packet[6] & 0x40)

    def next_header(self, version: int) -> int:
        """The next header of the ESP trailer, for inner packets of that IP version."""
        if not self.path.gre:
            return NEXT_HEADERS[version]
        return GRE if self.sa.transport else NEXT_HEADERS[self.path.source.version]

    def prefix(self, version: int, octets: int, ecn: int, identification: int = 0) -> bytes:
        """What stands before an inner packet of that version and length, with that DSCP and ECN."""
        path = self.path
        if not path.gre:
            return b""
        header = gre.header(version)
        if self.sa.transport:
            return header
        bare = header + bytes(octets)
        packet = ip_packet(path.source, path.destination, GRE, bare, identification=identification, ttl=path.ttl)
        return classed(packet, ecn)[: self.lead]

    def around(self, version: int, octets: int, octet: int) -> tuple[bytes, bytes]:
        """What stands before and behind an inner packet of that version and length, with that DSCP and ECN, in its
        plaintext; an IPv4 header there is not yet `numbered`.
        """
        payload = self.lead + octets
        pad = self.sa.width(payload) - payload - 2
        return self.prefix(version, octets, octet), PADDING[pad] + bytes((pad, self.next_header(version)))


def numbered(plaintext: bytes, identification: int) -> bytes:
    """A plaintext that begins with an IPv4 header of 20 octets, with that identification."""
    bare = plaintext[:4] + (identification & 0xFFFF).to_bytes(2, "big") + plaintext[6:10] + bytes(2) + plaintext[12:20]
    return bare[:10] + checksum(bare).to_bytes(2, "big") + plaintext[12:]
