"""Lines and descriptors both ways over a connected pair of sockets: how the router and the process of SSH talk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable

OCTETS = 64 << 10
"""The longest line."""
WAITING = 4 << 20
"""Octets that wait for the other end; beyond that it is let go."""
_AT_ONCE = 8


class Channel:
    """One end. `heard` gets each line with the descriptor that came with it (None: none), `gone` is called once.

    A descriptor goes with the line that is written together with it; who hears it owns it.
    """

    def __init__(
        self, connected: socket.socket, heard: Callable[[bytes, int | None], None], gone: Callable[[], None]
    ) -> None:
        self._socket, self._heard, self._gone = connected, heard, gone
        self._loop = asyncio.get_running_loop()
        self._in = bytearray()
        self._fds: deque[int] = deque()
        self._out: deque[tuple[bytes, int | None]] = deque()
        self._size, self._writing = 0, False
        self.closed = False
        connected.setblocking(False)
        self._loop.add_reader(connected.fileno(), self._read)

    def say(self, line: bytes, fd: int | None = None) -> None:
        """Write a line, and with it a descriptor, which is closed here once it is on its way."""
        if self.closed:
            if fd is not None:
                os.close(fd)
            return
        mark = b"+" if fd is not None else b"-"
        self._out.append((mark + line + b"\n", fd))
        self._size += len(line)
        if self._size > WAITING:
            self.close()
        elif not self._writing:
            self._write()

    def close(self) -> None:
        """Hang up; what was not written is lost."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        for fd in (*self._fds, *(fd for _, fd in self._out if fd is not None)):
            with contextlib.suppress(OSError):
                os.close(fd)
        self._gone()

    def _write(self) -> None:
        while self._out and not self.closed:
            octets, fd = self._out[0]
            try:
                sent = socket.send_fds(self._socket, [octets], [] if fd is None else [fd])
            except BlockingIOError:
                self._wait_to_write(True)
                return
            except OSError:
                self.close()
                return
            if fd is not None:
                os.close(fd)
            self._size -= sent
            if sent < len(octets):
                self._out[0] = (octets[sent:], None)
            else:
                self._out.popleft()
        self._wait_to_write(False)

    def _wait_to_write(self, wait: bool) -> None:
        if wait and not self._writing:
            self._loop.add_writer(self._socket.fileno(), self._write)
        elif self._writing and not wait and not self.closed:
            self._loop.remove_writer(self._socket.fileno())
        self._writing = wait

    def _read(self) -> None:
        try:
            octets, fds, _, _ = socket.recv_fds(self._socket, OCTETS, _AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            octets, fds = b"", []
        self._fds.extend(fds)
        self._in += octets
        if not octets or len(self._in) > 2 * OCTETS:
            self.close()
            return
        while not self.closed and (end := self._in.find(b"\n")) >= 0:
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._heard(line[1:], self._fds.popleft() if line[:1] == b"+" and self._fds else None)
