"""What a router that gave its user up still wants of the file system is done by a process of who started it.

It is forked before the router opens a socket, holds no capability but CAP_DAC_OVERRIDE and waits at one end of a socket
pair. It takes one request, for the next part of the recording, and no path; when the router is gone, however it
ended, it removes the control socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from ikescope.planes import privileges

PATIENCE = 2.0
"""Seconds that the router waits for an answer."""
_PART = struct.Struct("=i")
_OWN_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Keeper:
    """The router's end. `open_part` makes a part of the recording by its number (recording.Recording.open_part)."""

    def __init__(self, control: Path, open_part: Callable[[int], int] | None) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(PATIENCE)
        known = control.lstat().st_ino
        self.pid = os.fork()
        if self.pid == 0:
            self._ours.close()
            try:
                _keep(theirs, open_part)
                _remove(control, known)
            finally:
                os._exit(0)
        theirs.close()

    def open_part(self, part: int) -> int:
        """The descriptor of a new part of the recording; OSError where it cannot be had."""
        self._ours.send(_PART.pack(part))
        answer, descriptors, _, _ = socket.recv_fds(self._ours, _PART.size, 1)
        if descriptors:
            os.set_inheritable(descriptors[0], False)
            return descriptors[0]
        number = _PART.unpack(answer)[0] if len(answer) == _PART.size else 0
        raise OSError(number, os.strerror(number) if number else "the keeper of files has ended")

    def close(self) -> None:
        """Let it remove the control socket and end."""
        self._ours.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _keep(router: socket.socket, open_part: Callable[[int], int] | None) -> None:
    for number in _OWN_SIGNALS:  # a Ctrl-C is for the router; we end after it
        signal.signal(number, signal.SIG_IGN)
    _close_all_but(router.fileno())
    mine = privileges.Account("", os.getuid(), os.getgid())
    privileges.become(mine, (privileges.CAP_DAC_OVERRIDE,))
    while request := router.recv(_PART.size):
        try:
            if open_part is None:
                raise PermissionError(1, "no recording")
            fd = open_part(_PART.unpack(request)[0])
        except OSError as error:
            router.send(_PART.pack(error.errno or 0))
            continue
        socket.send_fds(router, [_PART.pack(0)], [fd])
        os.close(fd)


def _close_all_but(fd: int) -> None:
    """What the router had open already is not ours, standard input and outputs too."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    os.closerange(3, fd)
    os.closerange(fd + 1, 65536)


def _remove(control: Path, known: int) -> None:
    """Remove the control socket, unless another router has put its own there since."""
    with contextlib.suppress(OSError):
        if control.lstat().st_ino == known:
            control.unlink()
