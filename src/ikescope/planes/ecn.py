"""DSCP and ECN of the IP header around what a socket sends, ECN of what it receives (RFC 4301, RFC 6040)."""

from __future__ import annotations

import socket
import struct
import sys

Ancillary = list[tuple[int, int, bytes]]
"""What the host tells beside a datagram: level, type, octets."""

ANCILLARY_OCTETS = socket.CMSG_SPACE(4)
_IP_TOS, _IP_RECVTOS = 1, 13
_IPV6_RECVTCLASS, _IPV6_TCLASS = 66, 67
_TELL = {socket.AF_INET: (socket.IPPROTO_IP, _IP_RECVTOS), socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_RECVTCLASS)}
_TOLD = {(socket.IPPROTO_IP, _IP_TOS), (socket.IPPROTO_IPV6, _IPV6_TCLASS)}
_MARK = {socket.AF_INET: (socket.IPPROTO_IP, _IP_TOS), socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_TCLASS)}


def tell_ecn(one: socket.socket) -> None:
    """Have the host tell the bits with each datagram that `recvmsg` takes."""
    one.setsockopt(*_TELL[socket.AddressFamily(one.family)], 1)


def ecn_told(ancillary: Ancillary) -> int:
    """The bits, 0 where the host did not tell them."""
    for level, kind, data in ancillary:
        if (level, kind) in _TOLD:  # one octet over IPv4, an int of the host's byte order over IPv6
            return int.from_bytes(data, sys.byteorder) & 3
    return 0


def marking(one: socket.socket, ecn: int) -> Ancillary:
    """What to tell the host beside a datagram, so that it leaves with these bits."""
    return [(*_MARK[socket.AddressFamily(one.family)], struct.pack("@i", ecn))] if ecn else []


def send_marked(one: socket.socket, octets: bytes | memoryview, to: tuple[str, int], ecn: int) -> None:
    """Send with this DSCP and ECN in the IP header; OSError as `sendto`."""
    if ecn:
        one.sendmsg([octets], marking(one, ecn), 0, to)
    else:
        one.sendto(octets, to)
