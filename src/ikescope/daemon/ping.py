"""Echo requests of the router's own, one after the other on the event loop: ICMP and ICMPv6 (RFC 792, RFC 4443)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Literal

from ikescope.esp.packet import checksum
from ikescope.ios.exec_ping import Echo, PingOrder

PACE = 0.005
"""Seconds between an outcome and the next request: a ping never has the router for itself."""

_FAMILY = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}
_TYPES = {4: (8, 0), 6: (128, 129)}
"""Echo request and echo reply."""
_HEADERS = {4: 28, 6: 48}
"""Octets of the IP header and of the echo header."""
_RECVERR = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}
_MTU_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}
_DF_NEVER, _DF_ALWAYS = 0, 2
"""Linux's options and values (linux/in.h, linux/in6.h), which Python's socket has no names for."""
_MARKS: dict[int | None, Literal["U", "M"]] = {
    errno.EHOSTUNREACH: "U",
    errno.ENETUNREACH: "U",
    errno.ECONNREFUSED: "U",
    errno.EACCES: "U",
    errno.EMSGSIZE: "M",
}


class Pinging:
    """One `ping` at work: `each` hears every outcome, `ended` the end, with the reason where nothing could be sent."""

    def __init__(self, order: PingOrder, each: Callable[[Echo], None], ended: Callable[[str], None]) -> None:
        self._order, self._each, self._ended = order, each, ended
        self._version = order.destination.version
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._sequence, self._sent_at, self._open = 0, 0.0, True
        self._identifier = int.from_bytes(os.urandom(2))
        self._payload = b"\xab\xcd" * ((order.octets - _HEADERS[self._version] + 1) // 2)
        self._payload = self._payload[: order.octets - _HEADERS[self._version]]
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Open the socket and send the first."""
        try:
            self._socket = self._opened()
        except OSError as error:
            self._end(_reason(error))
            return
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._send()

    def stop(self) -> None:
        """End it now."""
        self._end("")

    def _opened(self) -> socket.socket:
        """A ping socket where the host lets this user have one (net.ipv4.ping_group_range), else a raw one."""
        family, protocol = _FAMILY[self._version]
        self._raw = False
        try:
            opened = socket.socket(family, socket.SOCK_DGRAM, protocol)
        except PermissionError:
            opened = socket.socket(family, socket.SOCK_RAW, protocol)
            self._raw = True
        try:
            opened.setblocking(False)
            opened.setsockopt(*_RECVERR[self._version], 1)
            opened.setsockopt(*_MTU_DISCOVER[self._version], _DF_ALWAYS if self._order.df else _DF_NEVER)
            if self._order.source is not None:
                opened.bind((str(self._order.source), 0))
            opened.connect((str(self._order.destination), 0))
        except OSError:
            opened.close()
            raise
        return opened

    def _send(self) -> None:
        assert self._socket is not None
        if self._sequence >= self._order.count:
            self._end("")
            return
        self._sequence += 1
        self._sent_at = time.monotonic()
        self._timer = self._loop.call_later(max(self._order.timeout, PACE), self._outcome, Echo("."))
        try:
            self._socket.send(self._request())
        except OSError as error:
            if error.errno in _MARKS:
                self._outcome(Echo(_MARKS[error.errno]))

    def _request(self) -> bytes:
        kind = _TYPES[self._version][0]
        fields = self._identifier, self._sequence & 0xFFFF
        plain = struct.pack("!BBHHH", kind, 0, 0, *fields) + self._payload
        return struct.pack("!BBHHH", kind, 0, checksum(plain), *fields) + self._payload

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            octets = self._socket.recv(65536)
        except BlockingIOError:
            octets = b""
        except OSError as error:
            self._drain_errors()
            if error.errno in _MARKS:
                self._outcome(Echo(_MARKS[error.errno]))
            return
        if self._is_reply(octets):
            self._outcome(Echo("!", (time.monotonic() - self._sent_at) * 1000))

    def _drain_errors(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(OSError):
            while True:
                self._socket.recvmsg(512, 512, socket.MSG_ERRQUEUE)

    def _is_reply(self, octets: bytes) -> bool:
        """Whether this answers the request that is waited for."""
        if self._raw and self._version == 4 and octets:
            octets = octets[4 * (octets[0] & 0x0F) :]
        if len(octets) < 8:
            return False
        kind, _, _, identifier, sequence = struct.unpack_from("!BBHHH", octets)
        ours = not self._raw or identifier == self._identifier
        return ours and kind == _TYPES[self._version][1] and sequence == self._sequence & 0xFFFF and self._waits

    @property
    def _waits(self) -> bool:
        return self._timer is not None

    def _outcome(self, echo: Echo) -> None:
        if not self._open or self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        self._each(echo)
        if self._open:
            self._loop.call_later(PACE, self._next)

    def _next(self) -> None:
        if self._open:
            self._send()

    def _end(self, why: str) -> None:
        if not self._open:
            return
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
        self._ended(why)


def _reason(error: OSError) -> str:
    """IOS's words where it has some."""
    if error.errno in (errno.EADDRNOTAVAIL, errno.EINVAL):
        return "% Invalid source address- IP address not on any of our up interfaces"
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "% Unrecognized host or address, or no route to it"
    return f"% This router may not ping: {error.strerror}"


def pinged(order: PingOrder, each: Callable[[Echo], None], ended: Callable[[str], None]) -> Callable[[], None]:
    """Send echo requests as ordered; what ends it early."""
    pinging = Pinging(order, each, ended)
    pinging.start()
    return pinging.stop
