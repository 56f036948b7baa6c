"""Turns at the processor, shared with who sends and who takes what is carried.

On a host whose processors are all busy, who was just given packets often waits for the one who gave them: its socket is
full long before its turn comes. So a worker takes short turns (Linux 6.12; older hosts have one length for all), and
passes its turn on after each run that it delivered. Neither gives it more or less of the processor than others have.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

_CALLS = {"x86_64": 314, "aarch64": 274}  # sched_setattr
_ATTRIBUTES = struct.Struct("=IIQiIQQQII")  # struct sched_attr: size, policy, flags, nice, priority, runtime ...
_TURN = 100_000
"""Nanoseconds, the shortest that there is."""


def short_turns() -> bool:
    """Ask for them, for this process and those that it forks; whether the host knows how."""
    number = _CALLS.get(platform.machine()) if sys.platform == "linux" else None
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, _TURN, 0, 0, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)


def pass_on() -> None:
    """Let those run who wait for this processor."""
    os.sched_yield()
