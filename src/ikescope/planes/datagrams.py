"""Many datagrams in one call: UDP_SEGMENT and UDP_GRO (udp(7)), where the kernel has them."""

from __future__ import annotations

import errno
import socket
import struct

from ikescope.planes.ecn import ANCILLARY_OCTETS, Ancillary, marking, send_marked, send_when_room

SOL_UDP, _UDP_SEGMENT, _UDP_GRO = 17, 103, 104
RECEIVED_ANCILLARY = ANCILLARY_OCTETS + socket.CMSG_SPACE(4)
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_ROOM = 8 << 20
_NOT_SO = {errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT}
_SIZE = struct.Struct("@H")


def receive_runs(udp: socket.socket) -> bool:
    """Have the host join datagrams of one sender and size that wait for this socket; whether it does."""
    try:
        udp.setsockopt(SOL_UDP, _UDP_GRO, 1)
    except OSError:
        return False
    return True


def make_room(one: socket.socket) -> None:
    """Larger buffers than the host gives everybody, as far as it allows; those that are large already stay so."""
    for forced, asked in ((_SO_SNDBUFFORCE, socket.SO_SNDBUF), (_SO_RCVBUFFORCE, socket.SO_RCVBUF)):
        try:
            one.setsockopt(socket.SOL_SOCKET, forced, _ROOM)
        except OSError:
            if one.getsockopt(socket.SOL_SOCKET, asked) < _ROOM:
                one.setsockopt(socket.SOL_SOCKET, asked, _ROOM)


def size_told(ancillary: Ancillary) -> int:
    """The octets of each joined datagram but the last, 0 for one by itself."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_UDP, _UDP_GRO):
            return int(struct.unpack_from("@i", data)[0])
    return 0


def send_run(udp: socket.socket, octets: memoryview, size: int, to: tuple[str, int], ecn: int) -> None:
    """Send datagrams of `size` octets that stand one behind another, the last may be shorter, with these ECN bits.

    OSError as `sendto`; none, some or all have gone then.
    """
    if len(octets) > size:
        ancillary = [(SOL_UDP, _UDP_SEGMENT, _SIZE.pack(size)), *marking(udp, ecn)]
        try:
            udp.sendmsg([octets], ancillary, 0, to)
            return
        except BlockingIOError:
            send_when_room(udp, octets, ancillary, to)
            return
        except OSError as error:
            if error.errno not in _NOT_SO:
                raise
    for at in range(0, len(octets), size):
        send_marked(udp, octets[at : at + size], to, ecn)
