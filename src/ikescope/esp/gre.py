"""GRE as a tunnel interface speaks it (RFC 2784, RFC 2890)."""

from __future__ import annotations

from ikescope.errors import PeerError
from ikescope.esp.packet import checksum

HEADER_OCTETS = 4
_CHECKSUM, _KEY, _SEQUENCE = 0x8000, 0x2000, 0x1000
_REFUSED = 0x4C07  # bits 1, 4 and 5, and the version
_OPTIONS = (_CHECKSUM, _KEY, _SEQUENCE)  # four octets each, in this order
_TYPES = {4: b"\x00\x00\x08\x00", 6: b"\x00\x00\x86\xdd"}
_VERSIONS = {0x0800: 4, 0x86DD: 6}


class GreError(PeerError):
    """A GRE packet that this end does not take; it is dropped."""

    section = "RFC 2784 section 2"


def encapsulate(packet: bytes) -> bytes:
    """The four-octet header and the IP packet, which is one (its version chooses the protocol type)."""
    return _TYPES[packet[0] >> 4] + packet


def header(version: int) -> bytes:
    """The header before an IP packet of that version."""
    return _TYPES[version]


def decapsulate(octets: bytes) -> bytes:
    """The IP packet in a GRE packet; GreError for another protocol, version or a wrong checksum.

    A key and a sequence number are read over: this end configured none, and the SA has already proved the sender.
    """
    if len(octets) < HEADER_OCTETS:
        raise GreError(f"GRE header: had {len(octets)}, wanted {HEADER_OCTETS}")
    flags = int.from_bytes(octets[:2], "big")
    ##= rfc2784#section-2.3
    ##% A receiver MUST discard a packet where any of bits 1-5 are non-zero,
    ##% unless that receiver implements RFC 1701.
    if flags & _REFUSED:
        raise GreError(f"GRE flags and version: had 0x{flags:04X}, wanted none of 0x{_REFUSED:04X}")
    offset = HEADER_OCTETS + 4 * sum(1 for option in _OPTIONS if flags & option)
    if len(octets) < offset:
        raise GreError(f"GRE header: had {len(octets)}, wanted {offset}")
    if flags & _CHECKSUM and checksum(octets):
        raise GreError("GRE checksum does not verify")
    protocol = int.from_bytes(octets[2:4], "big")
    version = _VERSIONS.get(protocol)
    if version is None:
        raise GreError(f"GRE protocol type: had 0x{protocol:04X}, wanted 0x0800 or 0x86DD")
    if len(octets) == offset or octets[offset] >> 4 != version:
        raise GreError(f"GRE payload is no IPv{version} packet")
    return octets[offset:]
