"""What a process gives up for good: its user, capabilities, the right to gain any, core dumps (all of it on Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ikescope.errors import LocalError

CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE, CAP_NET_ADMIN, CAP_NET_RAW = 1, 10, 12, 13
"""Capability numbers (linux/capability.h)."""
NOBODY = 65534
FILES = 256
"""Descriptors that a process without any right may hold: connections to it are bounded below that."""

_DEATH_SIGNAL, _DUMPABLE, _KEEP, _NAME, _DROP_BOUND, _NO_NEW, _AMBIENT, _CLEAR_ALL = 1, 4, 8, 15, 24, 38, 47, 4
_TOLD_DEATH_SIGNAL = 2
_VERSION_3 = 0x20080522
"""The capability interface of 64 bits (linux/capability.h)."""
_UNNAMED = 61790
"""The user of a host that has none of that name: within 61184 to 65519, which no account is made in (systemd's
DynamicUser); the next free one is taken.
"""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a process becomes."""

    name: str
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.name} ({self.uid})"


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


def account(name: str) -> Account:
    """The account of that name; a number of its own where the host has none and the name is `ikescope`."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        if name != "ikescope":
            raise LocalError(f"--user {name}: this host has no such user") from None
        return Account(name, *(_free_number(),) * 2)
    return Account(name, found.pw_uid, found.pw_gid)


def _free_number() -> int:
    taken = {each.pw_uid for each in pwd.getpwall()}
    return next(number for number in range(_UNNAMED, 65520) if number not in taken)


def drop() -> None:
    """Become nobody where we were root, hold no capability and never gain one, leave no core. Everything that needs a
    right, modules to import among it, is open or loaded before.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    become(Account("nobody", NOBODY, NOBODY))


def become(who: Account, keep: Sequence[int] = ()) -> bool:
    """Be `who` from now on, with the capabilities `keep` that we have and no other; whether the user changed.

    To be called before other threads exist: a capability belongs to a thread. A user namespace without such a user
    leaves us who we are.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    system = ctypes.CDLL(None) if sys.platform == "linux" else None
    ends_with_parent = ctypes.c_int(0)
    if system is not None:
        _bound(system)
        system.prctl(_KEEP, 1, 0, 0, 0)
        system.prctl(_TOLD_DEATH_SIGNAL, ctypes.byref(ends_with_parent), 0, 0, 0)
    changed = _be(who)
    if system is not None:
        system.prctl(_DEATH_SIGNAL, ends_with_parent.value, 0, 0, 0)  # a change of user forgot it
        system.prctl(_NO_NEW, 1, 0, 0, 0)
        _hold(system, keep)
        system.prctl(_DUMPABLE, 0, 0, 0, 0)
    return changed


def _be(who: Account) -> bool:
    if os.geteuid() != 0:
        return False
    with contextlib.suppress(OSError):
        os.setgroups([])
    try:
        os.setgid(who.gid)
        os.setuid(who.uid)
    except OSError:
        return False
    return True


def shed() -> None:
    """Become nobody and end with the router: for what runs beside it, after all that needs a right is open."""
    _be(Account("nobody", NOBODY, NOBODY))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NO_NEW, 1, 0, 0, 0)
    end_with_parent()


def end_with_parent() -> None:
    """Get SIGTERM when the process that started us ends. A change of user forgets it: to be called after that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM, 0, 0, 0)


def call_it(name: str) -> None:
    """The name that `ps` shows of this process, 15 octets at most."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_NAME, name.encode(), 0, 0, 0)


def _bound(system: ctypes.CDLL) -> None:
    """No program that this process would start could have a capability."""
    try:
        last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    except (OSError, ValueError):
        last = 63
    for number in range(last + 1):
        system.prctl(_DROP_BOUND, number, 0, 0, 0)
    system.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)


def _hold(system: ctypes.CDLL, keep: Sequence[int]) -> None:
    """Hold those of `keep` that we may, effective and permitted, none inheritable."""
    header, sets = _Header(_VERSION_3, 0), (_Sets * 2)()
    system.capget(ctypes.byref(header), ctypes.byref(sets))
    permitted = sets[0].permitted | sets[1].permitted << 32
    held = permitted & sum(1 << number for number in keep)
    for half in range(2):
        word = held >> 32 * half & 0xFFFFFFFF
        sets[half].effective, sets[half].permitted, sets[half].inheritable = word, word, 0
    header = _Header(_VERSION_3, 0)
    system.capset(ctypes.byref(header), ctypes.byref(sets))
