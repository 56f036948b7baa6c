"""sendmmsg(2) and recvmmsg(2), which Python's socket module does not have: many datagrams in one call.

For sockets on which the host joins and cuts nothing, such as raw ones. `available` says whether the C library has them.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ikescope.config.model import Address
from ikescope.planes.ecn import TRIES, Ancillary, has_room

MANY = 64
SLOT_OCTETS = 65536
_NAME_OCTETS = 32
_CONTROL_OCTETS = 64
_DONTWAIT = 0x40
_IOVEC = struct.Struct("@PN")
_CONTROL = struct.Struct("@Nii4s")  # struct cmsghdr and an int behind it


class _Head(ctypes.Structure):
    """What struct msghdr has."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_octets", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("piece_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_octets", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Message(ctypes.Structure):
    """What struct mmsghdr has: a msghdr, padded as it is by itself, and what went or came."""

    _anonymous_ = ("head",)
    _fields_ = [("head", _Head), ("octets", ctypes.c_uint)]


_LIBRARY = ctypes.CDLL(None, use_errno=True)


def available() -> bool:
    """Whether both calls are there."""
    return hasattr(_LIBRARY, "sendmmsg") and hasattr(_LIBRARY, "recvmmsg")


def _address(octets: bytearray | memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(octets))


def socket_address(address: Address, port: int = 0) -> bytes:
    """A sockaddr_in or sockaddr_in6, as it lies in memory."""
    if address.version == 4:
        return struct.pack("=H", socket.AF_INET) + port.to_bytes(2, "big") + address.packed + bytes(8)
    return struct.pack("=H", socket.AF_INET6) + port.to_bytes(2, "big") + bytes(4) + address.packed + bytes(4)


class Sender:
    """Sends runs to one address at a time."""

    def __init__(self) -> None:
        self._messages = (_Message * MANY)()
        self._iovecs = bytearray(_IOVEC.size * MANY)
        self._name = bytearray(_NAME_OCTETS)
        self._control = bytearray(socket.CMSG_SPACE(4))
        for number, message in enumerate(self._messages):
            message.name = _address(self._name)
            message.pieces = _address(self._iovecs) + number * _IOVEC.size
            message.piece_count = 1

    def send(self, fd: int, octets: memoryview, size: int, name: bytes, marking: Ancillary) -> tuple[int, str]:
        """Send at most `MANY` datagrams of `size` octets, one behind another in a buffer that can be written to (the
        last may be shorter), to a `socket_address`. `marking`: at most one ancillary message, an int.

        How many did not go, and why: the one that the host refused and those behind it.
        """
        count, at = -(-len(octets) // size), _address(octets)
        for number in range(count):
            left = min(size, len(octets) - number * size)
            _IOVEC.pack_into(self._iovecs, number * _IOVEC.size, at + number * size, left)
        self._name[: len(name)] = name
        for level, kind, data in marking:
            _CONTROL.pack_into(self._control, 0, socket.CMSG_LEN(4), level, kind, data)
        for message in self._messages[:count]:
            message.name_octets = len(name)
            message.control = _address(self._control) if marking else None
            message.control_octets = len(self._control) if marking else 0
        sent = waited = 0
        while sent < count:
            rest = ctypes.byref(self._messages, sent * ctypes.sizeof(_Message))
            done = _LIBRARY.sendmmsg(fd, rest, count - sent, _DONTWAIT)
            if done < 0:
                number = ctypes.get_errno()
                waited += 1
                if number != errno.EAGAIN or waited > TRIES or not has_room(fd):
                    return count - sent, os.strerror(number)
                continue
            sent += done
        return 0, ""


class Receiver:
    """Receives many datagrams, each into a slot of its own in `view`, `SLOT_OCTETS` apart."""

    def __init__(self) -> None:
        buffer = bytearray(SLOT_OCTETS * MANY)
        self.view = memoryview(buffer)
        self._messages = (_Message * MANY)()
        self._iovecs = bytearray(_IOVEC.size * MANY)
        self._names = bytearray(_NAME_OCTETS * MANY)
        self._controls = bytearray(_CONTROL_OCTETS * MANY)
        at = _address(buffer)
        for number, message in enumerate(self._messages):
            _IOVEC.pack_into(self._iovecs, number * _IOVEC.size, at + number * SLOT_OCTETS, SLOT_OCTETS)
            message.pieces = _address(self._iovecs) + number * _IOVEC.size
            message.piece_count = 1
            message.name = _address(self._names) + number * _NAME_OCTETS
            message.control = _address(self._controls) + number * _CONTROL_OCTETS

    def receive(self, fd: int) -> Iterator[tuple[int, bytes, Ancillary]]:
        """What waits: octets, sender (a `socket_address`), and what the host tells beside it.

        BlockingIOError where nothing waits, OSError as `recvmsg`.
        """
        for message in self._messages:
            message.name_octets, message.control_octets = _NAME_OCTETS, _CONTROL_OCTETS
        done = _LIBRARY.recvmmsg(fd, self._messages, MANY, _DONTWAIT, None)
        if done < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        for number, message in enumerate(self._messages[:done]):
            name, control = number * _NAME_OCTETS, number * _CONTROL_OCTETS
            yield (
                message.octets,
                bytes(self._names[name : name + message.name_octets]),
                _told(self._controls, control, message.control_octets),
            )


def _told(controls: bytearray, at: int, octets: int) -> Ancillary:
    """The first ancillary message, where it is an int."""
    if octets < _CONTROL.size:
        return []
    _, level, kind, data = _CONTROL.unpack_from(controls, at)
    return [(level, kind, data)]


def host_of(name: bytes) -> Address:
    """The address in a `socket_address`."""
    (family,) = struct.unpack_from("=H", name)
    return IPv4Address(name[4:8]) if family == socket.AF_INET else IPv6Address(name[8:24])
