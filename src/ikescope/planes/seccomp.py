"""A filter of system calls for a process that only serves: it reaches neither the host nor other processes by them.

Linux's seccomp (2) with a classic BPF program of our own. A call that is refused fails with EPERM; nothing is killed.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from collections.abc import Iterable

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_NUMBER, _ARCHITECTURE = 0, 4
"""Where struct seccomp_data has them."""
_X32 = 0x40000000
_NO_NEW, _SECCOMP, _MODE_FILTER = 38, 22, 2

CALLS: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "socket": 41,
            "fork": 57,
            "vfork": 58,
            "execve": 59,
            "ptrace": 101,
            "mount": 165,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "setns": 308,
            "process_vm_readv": 310,
            "process_vm_writev": 311,
            "bpf": 321,
            "execveat": 322,
            "userfaultfd": 323,
            "io_uring_setup": 425,
            "pidfd_open": 434,
            "pidfd_getfd": 438,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "mount": 40,
            "unshare": 97,
            "ptrace": 117,
            "socket": 198,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "execve": 221,
            "perf_event_open": 241,
            "setns": 268,
            "process_vm_readv": 270,
            "process_vm_writev": 271,
            "bpf": 280,
            "execveat": 281,
            "userfaultfd": 282,
            "io_uring_setup": 425,
            "pidfd_open": 434,
            "pidfd_getfd": 438,
        },
    ),
}
"""By machine: its AUDIT_ARCH number (linux/audit.h) and the numbers of the calls that are refused."""


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def program(architecture: int, refused: Iterable[int]) -> bytes:
    """The filter: another architecture (32-bit calls have other numbers) is refused whole, then these calls are."""
    numbers = sorted(refused)
    count = len(numbers)
    # A jump is the number of instructions that it passes over; the refusal is the last one.
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, count + 3, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, count + 1, 0, _X32),
        *((_EQUAL, count - at, 0, number) for at, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def confine() -> bool:
    """Refuse those calls to this thread and what it starts, for good; whether this machine has such a filter."""
    known = CALLS.get(platform.machine()) if sys.platform == "linux" else None
    if known is None:
        return False
    octets = program(known[0], known[1].values())
    filter_ = _Program(len(octets) // 8, octets)
    system = ctypes.CDLL(None)
    system.prctl(_NO_NEW, 1, 0, 0, 0)
    return bool(system.prctl(_SECCOMP, _MODE_FILTER, ctypes.byref(filter_), 0, 0) == 0)
