"""What one wake-up finds in a socket for ESP: datagrams that the host joined, or that follow each other, make runs."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

import msgspec

from ikescope.config.model import Address
from ikescope.planes.datagrams import RECEIVED_ANCILLARY, size_told
from ikescope.planes.ecn import ecn_told
from ikescope.planes.mmsg import SLOT_OCTETS, Receiver, available, host_of

READS = 64
"""Reads at one wake-up: other descriptors have their turn then."""
ENOUGH = 256
"""Packets at one wake-up, after which no more is read."""
RUN = 4
"""Fewer packets are faster one by one."""
_READ_OCTETS = 65536
_SENDERS = 4096
_AT_ONCE = 2 * _READ_OCTETS
"""Octets that are read before they are looked at."""
_BUFFER_OCTETS = _AT_ONCE + _READ_OCTETS


class Source(msgspec.Struct, frozen=True):
    """Where packets came from; `port`: of the UDP header around them, None for ESP right in IP. `ecn`: the two bits of
    their IP headers.
    """

    local: Address
    local_port: int
    remote: Address
    port: int | None
    ecn: int


TakeRun = Callable[[memoryview, int, int, int, int, Source, float], bool]
"""Takes packets of one size: (octets, stride, size, count, octets of a shorter last one, source, now); False: it did
nothing.
"""
TakeOne = Callable[[bytes, Source, float], None]


def _source(local: Address, local_port: int | None, sender: tuple[str, int], ecn: int) -> Source:
    """The address of a sender; an IPv6 one may carry its zone."""
    remote = ip_address(sender[0].partition("%")[0])
    return Source(local, local_port or 0, remote, None if local_port is None else sender[1], ecn)


@lru_cache(maxsize=4096)
def _raw_source(local: Address, name: bytes, ecn: int) -> Source:
    return Source(local, 0, host_of(name), None, ecn)


class Reception:
    """Reads one socket: a raw one, or (with its port) a UDP one. `take_run` may be set; `take_one` gets the others."""

    def __init__(self, one: socket.socket, local: Address, port: int | None, take_one: TakeOne) -> None:
        self._socket, self._local, self._port, self._take_one = one, local, port, take_one
        self._shows_header = port is None and local.version == 4  # an IPv6 raw socket does not show the IP header
        self.take_run: TakeRun | None = None
        self._many = Receiver() if port is None and available() else None
        self._view = self._many.view if self._many is not None else memoryview(bytearray(_BUFFER_OCTETS))
        self._sources: dict[tuple[tuple[str, int], int], Source] = {}
        self._quiet = False  # whether one datagram was all that the last wake-up found
        self._waiting: list[tuple[int, int, int, Source]] = []  # in the buffer: where, octets, those of each, whence

    def read(self, now: float) -> None:
        """Take what waits there, at most `READS` times."""
        if self._many is not None:
            self._read_many(self._many, now)
        else:
            self._read_each(now)

    def _read_many(self, many: Receiver, now: float) -> None:
        view, at = self._view, 0
        for got, name, ancillary in many.receive(self._socket.fileno()):
            start = at
            if self._shows_header:
                ecn, start = view[at + 1] & 3, at + (view[at] & 15) * 4
            else:
                ecn = ecn_told(ancillary)
            source = _raw_source(self._local, name if self._shows_header else name[:24], ecn)
            octets = at + got - start
            if octets > 0:
                self._waiting.append((start, octets, octets, source))
            at += SLOT_OCTETS
        self._take_waiting(now)

    def _read_each(self, now: float) -> None:
        view, receive = self._view, self._socket.recvmsg_into
        at = carried = reads = 0
        quiet, self._quiet = self._quiet, False
        try:
            while reads < READS and carried < ENOUGH:
                got, ancillary, _, sender = receive((view[at : at + _READ_OCTETS],), RECEIVED_ANCILLARY)
                reads += 1
                start = at
                if self._shows_header and got:
                    ecn, start = view[at + 1] & 3, at + (view[at] & 15) * 4
                else:
                    ecn = ecn_told(ancillary)
                at += got
                if at <= start:  # an empty one
                    continue
                size = size_told(ancillary) or at - start
                carried += -(-got // max(size, 1))
                self._waiting.append((start, at - start, size, self._source(sender[:2], ecn)))
                if at > _AT_ONCE or quiet:  # one that comes alone: nobody waits for the next read
                    self._take_waiting(now)
                    at, quiet = 0, False
        finally:
            self._quiet = carried == 1
            self._take_waiting(now)

    def _source(self, sender: tuple[str, int], ecn: int) -> Source:
        source = self._sources.get((sender, ecn))
        if source is None:
            if len(self._sources) >= _SENDERS:
                self._sources.clear()
            source = self._sources[sender, ecn] = _source(self._local, self._port, sender, ecn)
        return source

    def _take_waiting(self, now: float) -> None:
        """What lies in the buffer, as runs: datagrams of one sender and size, joined by the host or not."""
        waiting = self._waiting[:]
        self._waiting.clear()
        start, count = 0, len(waiting)
        while start < count:
            at, got, size, source = waiting[start]
            end = start + 1
            stride = size if got > size or end == count else max(got, waiting[end][0] - at)
            total = max(got, stride)
            while end < count and not total % stride and waiting[end][2:] == (size, source):
                behind, got = waiting[end][:2]
                if behind != at + total or (got > size and stride != size):
                    break
                total += max(got, stride)
                end += 1
            self._take(self._view[at:] if at else self._view, stride, size, total, source, now)
            start = end

    def _take(self, octets: memoryview, stride: int, size: int, total: int, source: Source, now: float) -> None:
        """Packets of `size` octets `stride` apart, `total` octets of buffer; a last one may be shorter."""
        count, last = divmod(total, stride)
        run = count >= RUN and size >= 8 and (not last or last >= 8)
        if run and self.take_run is not None and self.take_run(octets, stride, size, count, last, source, now):
            return
        for at in range(0, count * stride, stride):
            self._take_one(bytes(octets[at : at + size]), source, now)
        if last:
            self._take_one(bytes(octets[count * stride : total]), source, now)
