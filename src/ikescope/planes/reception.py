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
_BUFFER_OCTETS = 4 * _READ_OCTETS


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
        self._waiting: list[tuple[int, int, Source]] = []  # datagrams in the buffer: where, their octets, whence

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
            self._waiting.append((start, at + got - start, source))
            at += SLOT_OCTETS
        self._take_waiting(now)

    def _read_each(self, now: float) -> None:
        view, waiting, receive = self._view, self._waiting, self._socket.recvmsg_into
        at = carried = taken = 0
        quiet, self._quiet = self._quiet, False
        try:
            for _ in range(READS):
                got, ancillary, _, sender = receive((view[at : at + _READ_OCTETS],), RECEIVED_ANCILLARY)
                if not got:
                    continue
                start = at
                if self._shows_header:
                    ecn, start = view[at + 1] & 3, at + (view[at] & 15) * 4
                else:
                    ecn = ecn_told(ancillary)
                source = self._source(sender[:2], ecn)
                size = size_told(ancillary) or got
                if size < got:
                    self._take_waiting(now)
                    self._take(view[at:] if at else view, size, size, got, source, now)
                    at, carried = 0, carried + got // size
                    if carried >= ENOUGH:
                        return
                    continue
                waiting.append((start, at + got - start, source))
                taken += 1
                if quiet:  # it is likely the only one: nobody waits for the next read
                    self._take_waiting(now)
                    quiet = False
                    continue
                at += got
                if at > _BUFFER_OCTETS - _READ_OCTETS:
                    self._take_waiting(now)
                    at = 0
        finally:
            self._quiet = taken == 1 and not carried
            self._take_waiting(now)

    def _source(self, sender: tuple[str, int], ecn: int) -> Source:
        source = self._sources.get((sender, ecn))
        if source is None:
            if len(self._sources) >= _SENDERS:
                self._sources.clear()
            source = self._sources[sender, ecn] = _source(self._local, self._port, sender, ecn)
        return source

    def _take_waiting(self, now: float) -> None:
        waiting = self._waiting[:]
        self._waiting.clear()
        start, count = 0, len(waiting)
        while start < count:
            at, got, source = waiting[start]
            end = start + 1
            stride = got if end == count else max(got, waiting[end][0] - at)
            while end < count and waiting[end][1:] == (got, source) and waiting[end][0] == at + stride * (end - start):
                end += 1
            self._take(self._view[at:] if at else self._view, stride, got, stride * (end - start), source, now)
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
