"""Namespaces of our own (Linux): made without root where the kernel lets users make them, gone with the process."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec

import msgspec

from ikescope.demo.stage import Unavailable

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG = 1
_FINE = "fine"
_FORWARD = "/proc/sys/net/ipv4/ip_forward"


def _call(name: str, *arguments: int) -> None:
    """A call into the C library; OSError as it says. Python has `os.unshare` from 3.12 on only."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def enter() -> None:
    """Leave the host's network; without root by way of a user namespace, in which we are root. Unavailable: why not.

    The process must have one thread only.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", _NEWNET if user == 0 else _NEWNET | _NEWUSER)
    except OSError as error:
        raise Unavailable(_WHY.get(error.errno or 0, f"the kernel refuses namespaces ({error.strerror})")) from error
    if user == 0:
        return
    try:
        for name, text in (("setgroups", "deny"), ("gid_map", f"0 {group} 1"), ("uid_map", f"0 {user} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    except OSError as error:
        raise Unavailable(f"the kernel refuses user namespaces ({error.strerror})") from error


_WHY = {
    errno.EPERM: "this user may not make namespaces",
    errno.ENOSPC: "no more namespaces are allowed here (sysctl user.max_user_namespaces)",
    errno.EINVAL: "this kernel has no user namespaces",
    errno.ENOSYS: "this kernel has no namespaces",
}


def new_network() -> int:
    """Make one more network namespace and go into it; it lives as long as this file descriptor or a process in it."""
    _call("unshare", _NEWNET)
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def inside(network: int) -> Iterator[None]:
    """Do something in a network namespace: sockets made there stay there, processes started there too."""
    back = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", network, _NEWNET)
        try:
            yield
        finally:
            _call("setns", back, _NEWNET)
    finally:
        os.close(back)


def forward() -> None:
    """Let the namespace that we are in route IPv4, and keep its kernel from speaking IPv6 by itself."""
    with suppress(FileNotFoundError), open("/proc/sys/net/ipv6/conf/all/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    with open(_FORWARD, "w", encoding="ascii") as file:
        file.write("1")


def end_with_parent() -> None:
    """In a child before it becomes another program: it is to end when we are killed."""
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Obstacle(msgspec.Struct, frozen=True):
    """What keeps the routers from real packets here, in a few words, and the particulars."""

    what: str
    why: str


def obstacle() -> Obstacle | None:
    """Why the routers cannot run on real packets here; None when they can. Tried in a child process."""
    if not hasattr(os, "fork") or not os.path.exists("/proc/self/ns/net"):
        return Obstacle("Network namespaces exist on Linux only", sys.platform)
    if find_spec("pyroute2") is None:
        return Obstacle("The package pyroute2 is missing", "pip install 'ikescope[router]'")
    sys.stdout.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _report(writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    what, _, why = said.partition("\n")
    return None if what == _FINE else Obstacle(what or "No network namespaces", why or "the attempt died")


def _report(writing: int) -> None:
    """Try it all, say what failed, end the child without a trace of the parent's business."""
    try:
        os.write(writing, _account().encode())
    finally:
        os._exit(0)


def _account() -> str:
    try:
        why = _try()
    except Unavailable as error:
        return f"No network namespaces for this user\n{error}"
    except OSError as error:
        return f"No network namespaces for this user\n{error.filename or 'the kernel'}: {error.strerror}"
    return _FINE if why is None else f"No TUN device for this user\n{why}"


def _try() -> str | None:
    from ikescope.planes.tun import probe

    enter()
    new_network()
    forward()
    return probe()
