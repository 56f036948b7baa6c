"""What the tour itself sends and hears: echo requests from a LAN host, and the packets between the routers."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from ipaddress import ip_address

from ikescope.capture import pcapng
from ikescope.demo import namespaces
from ikescope.demo.stage import Echoed, Frame
from ikescope.esp.packet import Echo, make_echo, read_echo

_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_BUFFER = 4 << 20
_DATA = bytes(range(56))


class Capture:
    """Every frame of one device from now on, with the kernel's time stamps, until `close`."""

    def __init__(self, network: int, device: str) -> None:
        with namespaces.inside(network):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.bind((device, _ALL))
        self._socket.settimeout(0.1)
        self.frames: list[Frame] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="capture", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ended.is_set():
            try:
                octets, ancillary, _, _ = self._socket.recvmsg(65535, 64)
            except TimeoutError:
                continue
            except OSError:
                return
            stamp = next((data for level, kind, data in ancillary if kind == _SO_TIMESTAMPNS), b"")
            seconds, rest = struct.unpack("qq", stamp) if len(stamp) == 16 else divmod(time.time_ns(), 10**9)
            self.frames.append(Frame(seconds * 10**9 + rest, pcapng.LINK_ETHERNET, octets))

    def close(self) -> None:
        """No more of it."""
        self._ended.set()
        self._thread.join(1.0)
        self._socket.close()


class Pinger:
    """Echo requests from one address of a LAN host, in a thread of its own, `count` of them or until `end`."""

    def __init__(
        self, network: int, source: str, destination: str, *, interval: float, count: int = 0, patience: float = 2.0
    ) -> None:
        with namespaces.inside(network):
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        self._socket.bind((source, 0))
        self._source, self._destination = ip_address(source), ip_address(destination)
        self._interval, self._count, self._patience = interval, count, patience
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self._sent: dict[int, float] = {}
        self._back: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ping", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set() and not (self._count and len(self._sent) >= self._count):
            self._send(len(self._sent) + 1)
            due += self._interval
            self._hear(due, until_all=False)
        self._hear(time.monotonic() + self._patience, until_all=True)

    def _send(self, sequence: int) -> None:
        echo = Echo(self._source, self._destination, False, self._identifier, sequence, _DATA)
        self._sent[sequence] = time.monotonic()
        try:
            self._socket.sendto(make_echo(echo)[20:], (str(self._destination), 0))
        except OSError:
            return  # no way there now: it counts as lost

    def _hear(self, end: float, *, until_all: bool) -> None:
        while (left := end - time.monotonic()) > 0 and not (until_all and len(self._back) == len(self._sent)):
            self._socket.settimeout(left)
            try:
                packet = self._socket.recv(65535)
            except OSError:
                continue
            echo = read_echo(packet)
            if echo is not None and echo.reply and echo.identifier == self._identifier:
                self._back.setdefault(echo.sequence, time.monotonic())

    @property
    def done(self) -> bool:
        """Whether all were sent and answered or given up."""
        return not self._thread.is_alive()

    def end(self) -> list[Echoed]:
        """Send no more, wait for the last replies, say how it went."""
        self._ended.set()
        self._thread.join()
        self._socket.close()
        return self.result()

    def result(self) -> list[Echoed]:
        """Each request so far."""
        return [
            Echoed(number, (self._back[number] - sent) * 1000 if number in self._back else None)
            for number, sent in self._sent.items()
        ]
