"""One end of a SOCK_SEQPACKET socket pair that frames travel on: it never waits, and keeps what finds no room."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from ikescope.planes.frames import Frame, encode

MESSAGE_OCTETS = 60_000
"""A message with several frames stays below that; a frame of its own may be larger."""
_LARGEST = 1 << 18
_BUFFER = 1 << 20
_SO_SNDBUFFORCE = 32
_DESCRIPTORS = 16


class Channel:
    """One end of the socket pair: never waits; what the other end has no room for is kept, `waiting` octets of it.

    `wanted`: what may be received. Descriptors are received only where `descriptors` says so.
    """

    def __init__(self, end: socket.socket, wanted: Any, *, descriptors: bool = False) -> None:
        self._end = end
        self._decoder: msgspec.msgpack.Decoder[list[Frame]] = msgspec.msgpack.Decoder(list.__class_getitem__(wanted))
        self._descriptors = _DESCRIPTORS if descriptors else 0
        self._queue: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self.waiting = 0
        end.setblocking(False)
        try:
            end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _BUFFER)
        except OSError:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)

    def fileno(self) -> int:
        """To watch."""
        return self._end.fileno()

    def say(self, *frames: Frame) -> None:
        """Say frames after what waits; OSError where nobody listens any more."""
        self.say_all(frames)

    def say_all(self, frames: Iterable[Frame]) -> None:
        """Say frames, as few messages as they fit in."""
        bodies: list[msgspec.Raw] = []
        octets = 0
        for frame in frames:
            body = msgspec.Raw(encode(frame))
            if bodies and octets + len(body) > MESSAGE_OCTETS:
                self._put(bodies, ())
                bodies, octets = [], 0
            bodies.append(body)
            octets += len(body)
        if bodies:
            self._put(bodies, ())
        self.flush()

    def give(self, frame: Frame, descriptor: int) -> None:
        """Say a frame that a descriptor belongs to, which may be closed at once."""
        self._put([msgspec.Raw(encode(frame))], (os.dup(descriptor),))
        self.flush()

    def try_say(self, frame: Frame) -> bool:
        """Say a frame now or not at all; whether it was said."""
        if self._queue:
            return False
        try:
            self._end.send(encode([frame]))
        except BlockingIOError:
            return False
        return True

    def _put(self, bodies: Sequence[msgspec.Raw], descriptors: tuple[int, ...]) -> None:
        message = encode(bodies)
        self._queue.append((message, descriptors))
        self.waiting += len(message)

    def flush(self) -> bool:
        """Send what waits; whether all of it went."""
        while self._queue:
            message, descriptors = self._queue[0]
            try:
                if descriptors:
                    socket.send_fds(self._end, [message], descriptors)
                else:
                    self._end.send(message)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:  # that many descriptors are on their way
                    raise
                return False
            self._queue.popleft()
            self.waiting -= len(message)
            for each in descriptors:
                os.close(each)
        return True

    def receive(self) -> list[tuple[Frame, int | None]] | None:
        """The frames of one message, each with its descriptor; [] where nothing is there, None where nobody will speak
        any more. MsgspecError for what is no message.
        """
        descriptors: list[int] = []
        try:
            if self._descriptors:
                message, descriptors, _, _ = socket.recv_fds(self._end, _LARGEST, self._descriptors)
            else:
                message = self._end.recv(_LARGEST)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        if not message:
            return None
        for each in descriptors:
            os.set_inheritable(each, False)
        frames = self._decoder.decode(message)
        return [(frame, descriptors[at] if at < len(descriptors) else None) for at, frame in enumerate(frames)]

    def close(self) -> None:
        """Hang up; what waits is lost."""
        for _, descriptors in self._queue:
            for each in descriptors:
                with contextlib.suppress(OSError):
                    os.close(each)
        self._queue.clear()
        self._end.close()
