"""From a TUN device with offloads to the wire: what one wake-up finds there leaves in runs.

A run is the segments of one super-segment, or packets of one flow and size that waited one behind another. What makes
no run, and what has to be held, dropped or counted against a limit, goes packet by packet through the Forwarder.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from ikescope.crypto.lanes import Lanes
from ikescope.esp.departure import Departure, numbered
from ikescope.esp.ecn import class_of
from ikescope.esp.forwarder import Forwarder
from ikescope.esp.packet import TCP, UDP, Header, PacketError, read_header
from ikescope.esp.sa import OutboundSa
from ikescope.planes import esp_runs, segments, vnet
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
_SLOT = 2048
_SLOTS_OCTETS = READS * _SLOT
_AT = 64
"""Where a packet stands in its slot: before it there is room for what stands before it in ESP."""
_BEFORE = _AT - vnet.OCTETS
_BEHIND = 32
"""Octets of a slot that are kept free for the trailer behind the packet."""
_SLACK = 64
_FORMS = 64

SendRun = Callable[[OutboundSa, memoryview, int, int, float], None]
"""Sends packets of an SA, one behind another: (sa, octets, octets of each but the last, DSCP and ECN, now)."""

_HEADER = b"\xff" * vnet.OCTETS
_SAME = {
    4: np.frombuffer(_HEADER + bytes.fromhex("ffffffff0000ffff00ff0000") + b"\xff" * 12, np.uint8),
    6: np.frombuffer(_HEADER + bytes.fromhex("fff00000ffffff00") + b"\xff" * 36, np.uint8),
}
"""By IP version: the bits of vnet header and packet, ports included, that are equal in a run."""


class Desk:
    """Where packets lie while they are carried: one for all devices that are read in turn, for nothing stays on it."""

    def __init__(self) -> None:
        self.read = memoryview(bytearray(_SLOTS_OCTETS + _READ_OCTETS))
        self.sealed = memoryview(bytearray(OCTETS_LIMIT + _SLACK))
        self.forms: dict[tuple[int, tuple[bytes, bytes]], Form] = {}
        self._slots: dict[int, Slots] = {}
        self._out: dict[int, Lanes] = {}

    def slots(self, octets: int) -> Slots:
        """The buffer in slots of so many octets."""
        found = self._slots.get(octets)
        if found is None:
            found = self._slots[octets] = Slots(self.read, octets)
        return found

    def out(self, octets: int) -> Lanes:
        """The buffer of sealed packets in lanes of so many octets."""
        found = self._out.get(octets)
        if found is None:
            if len(self._out) >= _FORMS:
                self._out.clear()
            found = self._out[octets] = Lanes(self.sealed, octets)
        return found


class Slots:
    """A buffer in slots for packets: `pieces` to read into, one for each, which take a super-segment too."""

    def __init__(self, buffer: memoryview, octets: int) -> None:
        self.octets, self.lanes = octets, Lanes(buffer, octets)
        self.room = octets - _BEFORE - _BEHIND
        starts = range(_BEFORE, _BEFORE + _SLOTS_OCTETS, octets)
        self.pieces = [(buffer[at : at + _READ_OCTETS],) for at in starts]


class Outbound:
    """Reads one queue of a tunnel's device."""

    def __init__(
        self, forwarder: Forwarder, tunnel: str, fd: int, send: SendRun, drain: Callable[[float], None], desk: Desk
    ) -> None:
        esp_runs.ready()
        self._forwarder, self._tunnel, self._fd = forwarder, tunnel, fd
        self._send, self._drain = send, drain
        self._desk, self._view, self._sealed = desk, desk.read, desk.sealed
        self._slots = desk.slots(_SLOT)
        self._leaves: tuple[OutboundSa, int, int, bool] | None = None  # SA, octets, DSCP and ECN, DF of what is sealed
        self._quiet = False  # whether one packet was all that the last wake-up found
        self._ready = 0  # octets that are sealed and not yet sent

    def read(self, now: float) -> None:
        """Carry what waits there, at most `READS` packets and super-segments."""
        readv, fd = os.readv, self._fd
        reads = carried = 0
        quiet, self._quiet = self._quiet, False
        try:
            if quiet:  # it is likely the only one: nobody waits for the next read
                self._carry(self._slots, [readv(fd, self._slots.pieces[0])], now)
                self._flush(now)
                reads = 1
            while reads < READS and carried < ENOUGH:
                slots, got = self._slots, list[int]()
                room = slots.room
                try:
                    for pieces in slots.pieces:
                        octets = readv(fd, pieces)
                        got.append(octets)
                        if octets > room:  # it lies in the slots behind its own, too
                            break
                finally:
                    carried += self._carry(slots, got, now)
                    reads += len(got)
        finally:
            self._quiet = reads == 1
            self._flush(now)
            self._leaves = None

    def _carry(self, slots: Slots, got: list[int], now: float) -> int:
        """Carry what was read into the first slots, so many octets each; how many packets there were."""
        view, start, count, more = self._view, 0, len(got), 0
        while start < count:
            octets, at, end = got[start], start * slots.octets + _BEFORE, start + 1
            if view[at + 1]:
                more += self._carry_super(view[at : at + octets], now) - 1
            elif octets > slots.room:
                self._carry_one(at, octets, now)
                self._slots = self._desk.slots(min(slots.octets * 2, _SLOTS_OCTETS))
            else:
                while end < count and got[end] == octets:
                    end += 1
                start = self._carry_alike(slots, start, end, octets, now) if end - start >= RUN else start
                for each in range(start, end):
                    self._carry_next(each * slots.octets + _BEFORE, octets, now)
            start = end
        return count + more

    # --- single packets

    def _carry_next(self, at: int, got: int, now: float) -> None:
        """What makes no run: a packet, or a super-segment as long as the packets beside it."""
        if self._view[at + 1]:
            self._carry_super(self._view[at : at + got], now)
        else:
            self._carry_one(at, got, now)

    def _carry_one(self, at: int, got: int, now: float) -> None:
        packet = bytes(self._view[at + vnet.OCTETS : at + got])
        if self._view[at] & vnet.NEEDS_CHECKSUM:
            packet = bytes(vnet.finished(bytearray(packet), vnet.read(self._view, at)))
        self._carry_plain(packet, now)

    def _carry_plain(self, packet: bytes, now: float) -> None:
        self._flush(now)
        self._forwarder.from_tunnel(self._tunnel, packet, now)
        self._drain(now)

    def _carry_alike(self, slots: Slots, start: int, end: int, got: int, now: float) -> int:
        """Packets of one length, in the slots from `start` on: those of one flow that follow each other are a run.

        The slot of the first that was not carried.
        """
        stride = slots.octets
        shape = vnet.read(self._view, start * stride + _BEFORE)
        while end - start >= RUN:
            at = start * stride + _BEFORE
            header = _flow(self._view[at + vnet.OCTETS : at + got], shape)
            if header is None:
                break
            same = _SAME[header.version]
            heads: segments.Matrix = np.ndarray((end - start, len(same)), np.uint8, self._view, at, (stride, 1))
            other = ((heads ^ heads[0]) & same).any(axis=1)
            run = int(other.argmax()) or end - start
            if run < RUN or not self._carry_run(header, slots, start, run, got - vnet.OCTETS, shape, now):
                break
            start += run
            shape = vnet.read(self._view, start * stride + _BEFORE)
        return start

    def _carry_run(
        self, header: Header, slots: Slots, first: int, count: int, size: int, shape: Vnet, now: float
    ) -> bool:
        leaving = self._forwarder.departure(self._tunnel, header, count, size)
        if leaving is None:
            return False
        at = first * slots.octets + _AT
        form = self._form(leaving, header.version, size, class_of(bytes(self._view[at : at + 2])))
        self._leave(leaving, segments.in_place(slots.lanes, first, count, _AT, shape, form), now)
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
        form = self._desk.forms.get((size, around))
        if form is None:
            if len(self._desk.forms) >= _FORMS:
                self._desk.forms.clear()
            form = self._desk.forms[size, around] = Form(size, Around(*around))
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
        width, count, done = form.width, rows.count, 0
        octets = width + sa.overhead
        self._begin(sa, octets, class_of(first_octets), leaving.df(first_octets), now)
        at_once, out = max(1, min(RUN_LIMIT, OCTETS_LIMIT // octets)), self._desk.out(octets)
        while done < count:
            at = self._ready // octets
            if at == at_once:
                self._flush(now)
                at = 0
            run, row = min(at_once - at, count - done), rows.first + done
            sa.seal_run(rows.lanes, rows.start, width, row, run, form.lead + form.size, out, at, now)
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
        width, octets = len(tail), len(tail) - tail[-2] - 2
        out = Lanes(sealed, width + sa.overhead)
        sa.seal_run(Lanes(memoryview(tail), width), 0, width, 0, 1, octets, out, 0, now)
        return out.stride


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
