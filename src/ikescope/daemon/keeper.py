"""What a router that gave its user up still wants of the file system is done by a process of who started it.

It is forked before the router opens a socket, holds no capability but CAP_DAC_OVERRIDE and waits at one end of a socket
pair. What it may be asked for is enumerated and holds no path: the next part of the recording, the startup
configuration to read, a new one to write, and to put that one in its place, and /dev/net/tun. When the router is gone,
however it ended, it removes the control socket.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from ikescope.daemon.startup import StartupFile
from ikescope.planes import privileges, tun

PATIENCE = 10.0
"""Seconds that the router waits for an answer: as long as a slow disk may take to write a configuration down."""
_REQUEST = struct.Struct("=iI")
"""What is wanted, and a number that the answer repeats."""
_ANSWER = struct.Struct("=iI")
"""An errno, 0 where it was done, and the request's number."""
_READ, _BEGIN, _FINISH, _TUN = -1, -2, -3, -4
"""What is wanted of the startup configuration, or /dev/net/tun; a positive number is a part of the recording."""
_OWN_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Keeper:
    """The router's end. `open_part` makes a part of the recording by its number (recording.Recording.open_part),
    `startup` is the file of the startup configuration.
    """

    def __init__(
        self, control: Path, open_part: Callable[[int], int] | None, startup: StartupFile | None = None
    ) -> None:
        self._asked = 0
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(PATIENCE)
        known = control.lstat().st_ino
        self.pid = os.fork()
        if self.pid == 0:
            self._ours.close()
            try:
                _keep(theirs, open_part, startup)
                _remove(control, known)
            finally:
                os._exit(0)
        theirs.close()

    def open_part(self, part: int) -> int:
        """The descriptor of a new part of the recording; OSError where it cannot be had."""
        return self._ask(part)

    def read(self) -> int:
        """The descriptor of the startup configuration as it is; OSError where it cannot be had."""
        return self._ask(_READ)

    def begin(self) -> int:
        """The descriptor of what is to become the startup configuration; OSError where it cannot be had."""
        return self._ask(_BEGIN)

    def finish(self) -> None:
        """Make what was written the startup configuration; OSError where that cannot be: it is as it was."""
        os.close(self._ask(_FINISH))

    def open_tun(self) -> int:
        """A descriptor of /dev/net/tun, which is no device yet: making one of it needs CAP_NET_ADMIN as ever. OSError
        where it cannot be had.
        """
        return self._ask(_TUN)

    def _ask(self, what: int) -> int:
        self._asked += 1
        self._ours.send(_REQUEST.pack(what, self._asked))
        while True:
            answer, descriptors, _, _ = socket.recv_fds(self._ours, _ANSWER.size, 1)
            if len(answer) != _ANSWER.size:
                raise OSError(0, "the keeper of files has ended")
            number, asked = _ANSWER.unpack(answer)
            if asked == self._asked:
                break
            for late in descriptors:  # of a request that was not waited for any longer
                os.close(late)
        if not descriptors:
            raise OSError(number, os.strerror(number))
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]

    def close(self) -> None:
        """Let it remove the control socket and end."""
        self._ours.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _keep(router: socket.socket, open_part: Callable[[int], int] | None, startup: StartupFile | None) -> None:
    for number in _OWN_SIGNALS:  # a Ctrl-C is for the router; we end after it
        signal.signal(number, signal.SIG_IGN)
    _close_all_but(router.fileno())
    mine = privileges.Account("", os.getuid(), os.getgid())
    privileges.become(mine, (privileges.CAP_DAC_OVERRIDE,))
    while request := router.recv(_REQUEST.size):
        what, asked = _REQUEST.unpack(request)
        try:
            fd = _done(what, open_part, startup)
        except OSError as error:
            router.send(_ANSWER.pack(error.errno or errno.EIO, asked))
            continue
        socket.send_fds(router, [_ANSWER.pack(0, asked)], [fd])
        os.close(fd)


def _done(what: int, open_part: Callable[[int], int] | None, startup: StartupFile | None) -> int:
    """Do what is wanted: a descriptor for the router, of /dev/null where there is nothing to hand over."""
    if what == _TUN:
        return tun.open_clone()
    if what > 0 and open_part is not None:
        return open_part(what)
    if startup is None or what not in (_READ, _BEGIN, _FINISH):
        raise PermissionError(errno.EPERM, "not wanted at the start")
    if what == _FINISH:
        startup.finish()
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    return startup.read() if what == _READ else startup.begin()


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
