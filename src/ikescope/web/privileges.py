"""What the page's process gives up before it answers anybody: user, capabilities, the right to gain any, core dumps."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

from ikescope.daemon import beside

_DUMPABLE, _DROP_BOUND, _AMBIENT, _CLEAR_ALL = 4, 24, 47, 4
_VERSION_3 = 0x20080522
"""The capability interface of 64 bits (linux/capability.h)."""
FILES = 256
"""Descriptors that the process may hold: connections to it are bounded below that."""


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def drop() -> None:
    """Become nobody where we were root, hold no capability and never gain one, leave no core. Everything that needs a
    right, modules to import among it, is open or loaded before.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if sys.platform == "linux":
        _bound()
    beside.shed()
    if sys.platform == "linux":
        _without_capabilities()


def _bound() -> None:
    """No program that this process would start could have a capability."""
    system = ctypes.CDLL(None)
    try:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        last = 63
    for number in range(last + 1):
        system.prctl(_DROP_BOUND, number, 0, 0, 0)
    system.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)


def _without_capabilities() -> None:
    system = ctypes.CDLL(None)
    header, nothing = _Header(_VERSION_3, 0), (_Sets * 2)()
    system.capset(ctypes.byref(header), ctypes.byref(nothing))
    system.prctl(_DUMPABLE, 0, 0, 0, 0)
