"""TUN devices (Linux). One lives as long as its file descriptor: nothing stays behind, however the process ends."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from ikescope.errors import LocalError

DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI, _IFF_TUN_EXCL = 0x0001, 0x1000, 0x8000
_NAME_OCTETS = 15

_REASONS = {
    errno.ENOENT: f"there is no {DEVICE} here (`modprobe tun`)",
    errno.ENODEV: f"{DEVICE} has no driver here (`modprobe tun`)",
    errno.ENXIO: f"{DEVICE} has no driver here (`modprobe tun`)",
    errno.EACCES: f"{DEVICE} is not open to this user (run as root)",
    errno.EPERM: "making a TUN device needs CAP_NET_ADMIN (run as root, or in namespaces of your own)",
}


def open_tun(name: str) -> int:
    """Make the TUN device of that name; its non-blocking file descriptor. LocalError says in one line why not.

    A packet is one read or write, without any header before it.
    """
    if not 0 < len(name.encode()) <= _NAME_OCTETS:
        raise LocalError(f"{name}: a device name has 1 to {_NAME_OCTETS} octets; choose a lower interface number")
    request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_TUN_EXCL)
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise LocalError(f"{name}: {_why(error)}") from error
    try:
        fcntl.ioctl(fd, _TUNSETIFF, request)
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EBUSY:
            raise LocalError(f"{name}: a device of this name exists already (does another router run here?)") from error
        raise LocalError(f"{name}: {_why(error)}") from error
    return fd


def probe() -> str | None:
    """None where a TUN device can be made, else the reason in one line. The device it tries with is gone afterwards."""
    try:
        os.close(open_tun("ikescope%d"))
    except LocalError as error:
        return str(error).partition(": ")[2]
    return None


def _why(error: OSError) -> str:
    return _REASONS.get(error.errno or 0, f"{DEVICE}: {error.strerror}")
