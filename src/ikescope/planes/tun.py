"""TUN devices (Linux). One lives as long as its file descriptor: nothing stays behind, however the process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

from ikescope.errors import LocalError
from ikescope.planes import vnet as vnet_header

DEVICE = "/dev/net/tun"
_TUNSETIFF, _TUNGETIFF, _TUNSETOFFLOAD, _TUNSETVNETHDRSZ = 0x400454CA, 0x800454D2, 0x400454D0, 0x400454D8
_IFF_TUN, _IFF_MULTI_QUEUE, _IFF_NO_PI, _IFF_VNET_HDR, _IFF_TUN_EXCL = 0x0001, 0x0100, 0x1000, 0x4000, 0x8000
_F_TCP = 0x01 | 0x02 | 0x04 | 0x08  # checksum, TSO4, TSO6, TSO with ECN
_F_UDP = 0x20 | 0x40  # USO4, USO6 (Linux 6.2)
_NAME_OCTETS = 15

_REASONS = {
    errno.ENOENT: f"there is no {DEVICE} here (`modprobe tun`)",
    errno.ENODEV: f"{DEVICE} has no driver here (`modprobe tun`)",
    errno.ENXIO: f"{DEVICE} has no driver here (`modprobe tun`)",
    errno.EACCES: f"{DEVICE} is not open to this user (run as root)",
    errno.EPERM: "making a TUN device needs CAP_NET_ADMIN (run as root, or in namespaces of your own)",
}


Opener = Callable[[], int]
"""Gives a non-blocking descriptor of DEVICE; OSError says why not."""


def open_clone() -> int:
    """DEVICE opened by this process."""
    return os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def open_tun(name: str, *, vnet: bool = False, multi_queue: bool = False, opener: Opener = open_clone) -> int:
    """Make the TUN device of that name; its non-blocking file descriptor. LocalError says in one line why not.

    A packet is one read or write; with `vnet` its header of 10 octets stands before it (`planes.vnet`), and `offload`
    may ask for super-segments. With `multi_queue` the descriptor is the first queue, `add_queue` makes others.
    """
    return _attach(name, _IFF_TUN_EXCL | _IFF_VNET_HDR * vnet | _IFF_MULTI_QUEUE * multi_queue, opener)


def add_queue(name: str, *, vnet: bool = False) -> int:
    """One more queue of a device that was made with `multi_queue`, and with the same `vnet`."""
    return _attach(name, _IFF_VNET_HDR * vnet | _IFF_MULTI_QUEUE)


def _attach(name: str, flags: int, opener: Opener = open_clone) -> int:
    if not 0 < len(name.encode()) <= _NAME_OCTETS:
        raise LocalError(f"{name}: a device name has 1 to {_NAME_OCTETS} octets; choose a lower interface number")
    request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI | flags)
    try:
        fd = opener()
    except OSError as error:
        raise LocalError(f"{name}: {_why(error)}") from error
    try:
        fcntl.ioctl(fd, _TUNSETIFF, request)
        if flags & _IFF_VNET_HDR:
            fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("@i", vnet_header.OCTETS))
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EBUSY:
            raise LocalError(f"{name}: a device of this name exists already (does another router run here?)") from error
        raise LocalError(f"{name}: {_why(error)}") from error
    return fd


def has_vnet(fd: int) -> bool:
    """Whether a descriptor is a TUN device's that was opened with `vnet`."""
    request = bytearray(40)
    try:
        fcntl.ioctl(fd, _TUNGETIFF, request)
    except OSError:
        return False
    flags: int = struct.unpack_from("@H", request, 16)[0]
    return bool(flags & _IFF_VNET_HDR)


def offload(fd: int) -> bool:
    """Ask for TCP super-segments, and for UDP ones where the kernel has them; whether those may be written, too.

    The device was opened with `vnet`. A kernel that knows neither goes on with single packets.
    """
    for features, udp in ((_F_TCP | _F_UDP, True), (_F_TCP, False)):
        try:
            fcntl.ioctl(fd, _TUNSETOFFLOAD, features)
        except OSError:
            continue
        return udp
    return False


def probe() -> str | None:
    """None where a TUN device can be made, else the reason in one line. The device it tries with is gone afterwards."""
    try:
        os.close(open_tun("ikescope%d"))
    except LocalError as error:
        return str(error).partition(": ")[2]
    return None


def _why(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, f"{DEVICE}: {error.strerror}")
