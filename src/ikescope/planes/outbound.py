"""From a TUN device with offloads to the wire: what one wake-up finds there leaves in runs.

A run is the segments of one super-segment, or packets of one flow and size that waited one behind another. What makes
no run, and what has to be held, dropped or counted against a limit, goes packet by packet through the Forwarder.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from ikescope.esp.departure import Departure, numbered
from ikescope.esp.ecn import class_of
from ikescope.esp.forwarder import Forwarder
from ikescope.esp.packet import TCP, UDP, Header, PacketError, read_header
from ikescope.esp.sa import OutboundSa
from ikescope.planes import segments, vnet
from ikescope.planes.segments import BARE, Around, Form, Rows
from ikescope.planes.vnet import CHECKSUM_AT, Vnet

READS = 128
"""Reads at one wake-up: other descriptors have their turn then."""
ENOUGH = 256
"""Packets at one wake-up, after which no more is read."""
RUN = 4
"""Fewer packets are faster one by one."""
RUN_LIMIT = 64
"""Packets that leave in one call: UDP_MAX_SEGMENTS of older kernels."""
OCTETS_LIMIT = 65487
"""Octets that leave in one call: what an IPv6 or IPv4 packet holds of UDP payload."""

_READ_OCTETS = 65536 + vnet.OCTETS
_BUFFER_OCTETS = 4 * _READ_OCTETS
_SLACK = 64
_FORMS = 64

SendRun = Callable[[OutboundSa, memoryview, int, int, float], None]
"""Sends packets of an SA, one behind another: (sa, octets, octets of each but the last, DSCP and ECN, now)."""

_SAME = {
    4: np.frombuffer(bytes.fromhex("ffffffff0000ffff00ff0000") + b"\xff" * 12, np.uint8),
    6: np.frombuffer(bytes.fromhex("fff00000ffffff00") + b"\xff" * 36, np.uint8),
}
"""By IP version: the bits of a header, ports included, that are equal in a run."""


class Desk:
    """Where packets lie while they are carried: one for all devices that are read in turn, for nothing stays on it."""

    def __init__(self) -> None:
        self.read = bytearray(_BUFFER_OCTETS)
        self.sealed = memoryview(bytearray(OCTETS_LIMIT + _SLACK))
        self.forms: dict[tuple[int, tuple[bytes, bytes]], Form] = {}


class Outbound:
    """Reads one queue of a tunnel's device."""

    def __init__(
        self, forwarder: Forwarder, tunnel: str, fd: int, send: SendRun, drain: Callable[[float], None], desk: Desk
    ) -> None:
        self._forwarder, self._tunnel, self._fd = forwarder, tunnel, fd
        self._send, self._drain = send, drain
        self._buffer, self._sealed, self._forms = desk.read, desk.sealed, desk.forms
        self._view = memoryview(self._buffer)
        self._leaves: tuple[OutboundSa, int, int, bool] | None = None  # SA, octets, DSCP and ECN, DF of what is sealed
        self._ready = 0  # octets that are sealed and not yet sent
        self._waiting: list[
            tuple[int, int]
        ] = []  # single packets in the buffer: where, and their octets with the header

    def read(self, now: float) -> None:
        """Carry what waits there, at most `READS` packets and super-segments."""
        view, buffer, waiting, fd = self._view, self._buffer, self._waiting, self._fd
        at = carried = 0
        try:
            for _ in range(READS):
                got = os.readv(fd, (view[at : at + _READ_OCTETS],))
                if buffer[at + 1]:
                    self._carry_waiting(now)
                    carried += self._carry_super(view[at : at + got], now)
                    at = 0
                    if carried >= ENOUGH:
                        return
                    continue
                waiting.append((at, got))
                at += got
                if at > _BUFFER_OCTETS - _READ_OCTETS:
                    self._carry_waiting(now)
                    at = 0
        finally:
            self._carry_waiting(now)
            self._flush(now)
            self._leaves = None

    # --- single packets

    def _carry_waiting(self, now: float) -> None:
        waiting = self._waiting[:]
        self._waiting.clear()
        start, count = 0, len(waiting)
        while start < count:
            at, got = waiting[start]
            head = self._buffer[at : at + vnet.OCTETS]
            end = start + 1
            while end < count and waiting[end][1] == got and self._begins(waiting[end][0], head):
                end += 1
            if end - start >= RUN:
                self._carry_alike(at, got, end - start, now)
            else:
                for at, got in waiting[start:end]:
                    self._carry_one(at, got, now)
            start = end

    def _begins(self, at: int, head: bytearray) -> bool:
        return self._buffer[at : at + vnet.OCTETS] == head

    def _carry_one(self, at: int, got: int, now: float) -> None:
        packet = self._buffer[at + vnet.OCTETS : at + got]
        if self._buffer[at] & vnet.NEEDS_CHECKSUM:
            vnet.finished(packet, vnet.read(self._buffer, at))
        self._carry_plain(bytes(packet), now)

    def _carry_plain(self, packet: bytes, now: float) -> None:
        self._flush(now)
        self._forwarder.from_tunnel(self._tunnel, packet, now)
        self._drain(now)

    def _carry_alike(self, at: int, got: int, count: int, now: float) -> None:
        """Packets of one length, `got` octets apart: those of one flow that follow each other are a run."""
        shape = vnet.read(self._buffer, at)
        raw = np.frombuffer(self._buffer, np.uint8, got * count, at).reshape(count, got)[:, vnet.OCTETS :]
        done = 0
        while count - done >= RUN:
            header = _flow(self._view[at + done * got + vnet.OCTETS : at + (done + 1) * got], shape)
            if header is None:
                break
            same = _SAME[header.version]
            other = ((raw[done:, : len(same)] ^ raw[done, : len(same)]) & same).any(axis=1)
            run = int(other.argmax()) if other.any() else count - done
            if run < RUN or not self._carry_run(header, raw[done : done + run], shape, now):
                break
            done += run
        for each in range(at + done * got, at + count * got, got):
            self._carry_one(each, got, now)

    def _carry_run(self, header: Header, packets: segments.Matrix, shape: Vnet, now: float) -> bool:
        count, size = packets.shape
        leaving = self._forwarder.departure(self._tunnel, header, count, size)
        if leaving is None:
            return False
        form = self._form(leaving, header.version, size, class_of(packets[0, :2].tobytes()))
        self._leave(leaving, segments.gather(packets, shape, form), now)
        return True

    # --- super-segments

    def _carry_super(self, octets: memoryview, now: float) -> int:
        """Cut a super-segment and send its segments; how many there were."""
        shape, packet = vnet.read(octets), octets[vnet.OCTETS :]
        try:
            header = read_header(packet)
            if not shape.size:
                raise PacketError("a super-segment without the size of its segments")
        except PacketError:
            self._carry_plain(bytes(packet), now)  # which says what is wrong with it
            return 1
        packet = packet[: header.total]
        count, size = -(-len(packet) // shape.size), segments.segment_octets(packet, shape)
        leaving = self._forwarder.departure(self._tunnel, header, count, size)
        if leaving is None:
            each = segments.cut(packet, shape, Form(size, BARE), BARE).packets()
            for one in each:
                self._carry_plain(one, now)
            return len(each)
        octet = class_of(bytes(packet[:2]))
        last = segments.tail_octets(packet, shape)
        tail = leaving.around(header.version, last, octet) if last else (b"", b"")
        rows = segments.cut(packet, shape, self._form(leaving, header.version, size, octet), Around(*tail))
        self._leave(leaving, rows, now)
        return count

    # --- both

    def _form(self, leaving: Departure, version: int, size: int, octet: int) -> Form:
        """The form of packets of that length: the last ones are kept, for a flow goes on."""
        around = leaving.around(version, size, octet)
        form = self._forms.get((size, around))
        if form is None:
            if len(self._forms) >= _FORMS:
                self._forms.clear()
            form = self._forms[size, around] = Form(size, Around(*around))
        return form

    def _leave(self, leaving: Departure, rows: Rows, now: float) -> None:
        """Seal the rows behind what is sealed already, and send as many at once as go; the others wait for more."""
        sa, form = leaving.sa, rows.form
        if leaving.numbered:
            first = self._forwarder.identify(rows.count + bool(rows.tail))
            rows.number(first)
            if rows.tail:
                rows.tail = numbered(rows.tail, first + rows.count)
        first_octets = rows.matrix[0, form.lead : form.lead + 8].tobytes()
        width, plain, count, done = form.width, rows.flat, rows.count, 0
        octets = width + sa.overhead
        self._begin(sa, octets, class_of(first_octets), leaving.df(first_octets), now)
        at_once = max(1, min(RUN_LIMIT, OCTETS_LIMIT // octets))
        while done < count:
            if self._ready == at_once * octets:
                self._flush(now)
            run = min(at_once - self._ready // octets, count - done)
            sealed = self._sealed[self._ready :]
            sa.seal_run(plain[done * width :], width, run, form.lead + form.size, sealed, now)
            done, self._ready = done + run, self._ready + run * octets
        if rows.tail:
            if self._ready == at_once * octets:
                self._flush(now)
            self._ready += self._seal_tail(sa, rows.tail, self._sealed[self._ready :], now)
            self._flush(now)
        self._forwarder.departed(sa, now)
        self._drain(now)

    def _begin(self, sa: OutboundSa, octets: int, octet: int, df: bool, now: float) -> None:
        """What is sealed from now on leaves so; what is ready to leave otherwise leaves now."""
        leaves = (sa, octets, octet, df)
        if leaves != self._leaves:
            self._flush(now)
            self._leaves = leaves

    def _flush(self, now: float) -> None:
        """Send what is sealed."""
        if self._ready and self._leaves is not None:
            sa, octets, octet, df = self._leaves
            sa.df, ready, self._ready = df, self._ready, 0
            self._send(sa, self._sealed[:ready], octets, octet, now)

    @staticmethod
    def _seal_tail(sa: OutboundSa, tail: bytes, sealed: memoryview, now: float) -> int:
        return sa.seal_run(memoryview(tail), len(tail), 1, len(tail) - tail[-2] - 2, sealed, now)


def _flow(packet: memoryview, shape: Vnet) -> Header | None:
    """The header of a packet that may stand for a run: whole, without options, TCP or UDP, to its last octet."""
    try:
        header = read_header(packet)
    except PacketError:
        return None
    plain = header.octets == (20 if header.version == 4 else 40) and not header.fragment
    if not plain or header.total != len(packet) or header.protocol not in (TCP, UDP):
        return None
    if shape.checksum and (shape.start, shape.field) != (header.octets, CHECKSUM_AT[header.protocol]):
        return None
    return header
