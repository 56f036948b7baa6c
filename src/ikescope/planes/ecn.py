"""DSCP and ECN of the IP header around what a socket sends, ECN of what it receives (RFC 4301, RFC 6040)."""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
import time
from contextlib import suppress

Ancillary = list[tuple[int, int, bytes]]
"""What the host tells beside a datagram: level, type, octets."""

PATIENCE = 10
"""Milliseconds that a full send buffer is waited for, `TRIES` times at most."""
TRIES = 4
AGAIN = 1.0
"""Seconds in which a buffer that stayed full is not waited for: other traffic has its turn."""
_GIVEN_UP: dict[int, float] = {}
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
    """Send with this DSCP and ECN in the IP header; OSError as `sendto`. Where there is no room, it is waited for."""
    try:
        if ecn:
            one.sendmsg([octets], marking(one, ecn), 0, to)
        else:
            one.sendto(octets, to)
    except BlockingIOError:
        send_when_room(one, octets, marking(one, ecn), to)


def send_when_room(one: socket.socket, octets: bytes | memoryview, told: Ancillary, to: tuple[str, int]) -> None:
    """Send when a buffer that was full has room again; BlockingIOError where it has none for a while.

    What comes meanwhile waits at the devices and in the sockets, and is dropped there if it is too much.
    """
    for _ in range(TRIES):
        if not has_room(one.fileno()):
            break
        with suppress(BlockingIOError):
            one.sendmsg([octets], told, 0, to)
            return
    raise BlockingIOError(errno.EAGAIN, "the send buffer stayed full")


def has_room(fd: int) -> bool:
    """Whether a send buffer has room, at once or in a while; one that had none is not waited for again at once."""
    now = time.monotonic()
    if now < _GIVEN_UP.get(fd, now):
        return False
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if poll.poll(PATIENCE):
        return True
    _GIVEN_UP[fd] = now + AGAIN
    return False
