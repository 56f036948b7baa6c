"""Inner packets as the rows of one matrix: super-segments cut and checksums made, for all rows at once.

Columns: what stands before the packet in ESP (`lead` octets), the packet, padding, pad length, next header. What is the
same in every run of one form stays in its matrix. Where many sums are made at once they are in the host's byte order:
the internet checksum comes out the same (RFC 1071 section 2).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from ikescope.crypto.lanes import Lanes
from ikescope.esp.packet import TCP, UDP
from ikescope.planes.vnet import CHECKSUM_AT, GSO_UDP, Vnet, folded

Matrix = NDArray[np.uint8]
Numbers = NDArray[np.uint64]

_FIN_PSH, _CWR = 0x09, 0x80
_FLAGS, _SEQUENCE, _DATA_OFFSET = 13, 4, 12
_ONES = np.uint64(0xFFFF)
_LEAST_ROWS = 64


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around each packet of a run: before it, and behind it up to the end of its plaintext."""

    prefix: bytes
    trailer: bytes


BARE = Around(b"", b"")


class Form:
    """Rows for packets of `size` octets; their prefix has a multiple of four octets, and so has a row."""

    def __init__(self, size: int, around: Around) -> None:
        self.size, self.around, self.lead = size, around, len(around.prefix)
        octets = self.lead + size + len(around.trailer)
        self.width = octets + -octets % 4
        self._matrix = self._empty(0)
        self.lanes = Lanes(memoryview(b""), self.width)  # the rows' memory
        end = self.lead + size
        self.prefix = np.frombuffer(around.prefix, np.uint8)
        self.trailer = np.frombuffer(around.trailer.ljust(self.width - end, b"\0"), np.uint8)
        behind = np.frombuffer(around.trailer[: -end % 4].rjust(end % 4 + -end % 4, b"\0").ljust(4, b"\0"), np.uint32)
        self.behind = int(behind.sum()) % 0xFFFF  # what is behind the packet in its last four octets

    def _empty(self, count: int) -> Matrix:
        matrix = np.zeros((count, self.width), np.uint8)
        matrix[:, : self.lead] = np.frombuffer(self.around.prefix, np.uint8)
        end = self.lead + self.size
        matrix[:, end : end + len(self.around.trailer)] = np.frombuffer(self.around.trailer, np.uint8)
        return matrix

    def rows(self, count: int) -> Matrix:
        """So many rows, each with its prefix and its trailer; the packets are those of the last run."""
        if len(self._matrix) < count:
            self._matrix = self._empty(max(count, _LEAST_ROWS))
            self.lanes = Lanes(self._matrix.reshape(-1).data, self.width)
        return self._matrix[:count]


class Rows(msgspec.Struct):
    """A run: packets in the rows of `matrix`, and a shorter one behind them (empty: none) by itself.

    The rows lie `start` in the lanes of a buffer, the first one in the lane `first`.
    """

    form: Form
    matrix: Matrix
    tail: bytes
    lanes: Lanes
    first: int
    start: int

    @property
    def count(self) -> int:
        """How many, without the shorter one."""
        return int(self.matrix.shape[0])

    def number(self, first: int) -> None:
        """Number the IPv4 headers that stand first in each row, from `first` on, and make their checksums."""
        _number_ipv4(self.matrix, 0, self.form.around.prefix[:20], _steps(self.count) + first)

    def packets(self) -> list[bytes]:
        """Each by itself, without what is before and behind it."""
        lead, end = self.form.lead, self.form.lead + self.form.size
        found = [row[lead:end].tobytes() for row in self.matrix]
        return [*found, self.tail] if self.tail else found


_STEPS = np.arange(2048, dtype=np.int64)


def _steps(count: int) -> NDArray[np.int64]:
    """0, 1, 2, ..."""
    return _STEPS[:count] if count <= len(_STEPS) else np.arange(count, dtype=np.int64)


def column(matrix: Matrix, at: int, kind: str) -> NDArray[np.generic]:
    """A field of every row as one array that can be read and set; `kind` as numpy names it, such as ">u2"."""
    found: NDArray[np.generic] = matrix[:, at : at + int(kind[-1])].view(kind)[:, 0]
    return found


def checksums(sums: Numbers) -> Numbers:
    """The internet checksums that belong to sums (a sum is never zero: something of a header is not)."""
    made: Numbers = (_ONES - sums % _ONES) % _ONES
    return made


def checked(sums: Numbers) -> NDArray[np.bool_]:
    """Which sums, with the checksum in them, are right."""
    right: NDArray[np.bool_] = sums % _ONES == 0
    return right


def row_sums(matrix: Matrix) -> Numbers:
    """The ones' complement sum of each row (in the host's byte order), whose length is a multiple of four."""
    sums: Numbers = np.add.reduce(matrix.view(np.uint32), axis=1, dtype=np.uint64)
    return sums


def pseudo_header(header: bytes | bytearray, protocol: int, octets: int) -> bytes:
    """The pseudo-header of an IP packet whose upper protocol has `octets` octets."""
    addresses = header[12:20] if header[0] >> 4 == 4 else header[8:40]
    return bytes(addresses) + octets.to_bytes(4, "big") + protocol.to_bytes(4, "big")


def pseudo_sum(header: bytes | bytearray, protocol: int, octets: int) -> int:
    """Its sum in the host's byte order."""
    return int.from_bytes(pseudo_header(header, protocol, octets), sys.byteorder) % 0xFFFF


def _number_ipv4(matrix: Matrix, at: int, header: bytes, numbers: NDArray[np.int64]) -> None:
    """Set the identifications, and the checksums of a header that is otherwise the same in each row."""
    bare = header[:4] + bytes(2) + header[6:10] + bytes(2) + header[12:]
    numbers = numbers & 0xFFFF
    column(matrix, at + 4, ">u2")[:] = numbers
    column(matrix, at + 10, ">u2")[:] = checksums((numbers + folded(bare)).astype(np.uint64))


def _set_checksums(form: Form, matrix: Matrix, start: int, field: int, pseudo: int) -> None:
    """Make the checksums whose sums begin at `start` of each packet, over what the field holds and `pseudo`."""
    end = form.lead + form.size
    sums = row_sums(matrix[:, form.lead + start : end + -end % 4])
    made = checksums(sums + np.uint64(pseudo + 0xFFFF - form.behind))
    if field == CHECKSUM_AT[UDP]:
        made[made == 0] = 0xFFFF  # RFC 768: zero says that there is no checksum
    column(matrix, form.lead + start + field, "=u2")[:] = made


def segment_octets(packet: memoryview, vnet: Vnet) -> int:
    """The length of the first segment of a super-segment."""
    return min(_head(packet, vnet) + vnet.size, len(packet))


def tail_octets(packet: memoryview, vnet: Vnet) -> int:
    """The length of the last segment where it is shorter than the others, else 0."""
    head = _head(packet, vnet)
    full, rest = divmod(len(packet) - head, vnet.size)
    return head + rest if full and rest else 0


def _head(packet: memoryview, vnet: Vnet) -> int:
    """The octets before the payload."""
    return vnet.start + (8 if vnet.kind == GSO_UDP else (packet[vnet.start + _DATA_OFFSET] >> 4) * 4)


def cut(packet: memoryview, vnet: Vnet, form: Form, tail: Around) -> Rows:
    """A super-segment as its segments, in a form of the first one's length; `tail` stands around a shorter last one."""
    start, head = vnet.start, _head(packet, vnet)
    protocol = UDP if vnet.kind == GSO_UDP else TCP
    size, lead = form.size, form.lead
    step = size - head
    full, rest = divmod(len(packet) - head, step) if step else (1, 0)
    matrix = form.rows(full)
    original = bytes(packet[:head])
    header = _of_length(original, start, protocol, size)
    if protocol == TCP:
        header[start + _FLAGS] &= 0xFF & ~(_FIN_PSH | _CWR)
    matrix[:, lead : lead + head] = np.frombuffer(header, np.uint8)
    payload = np.frombuffer(packet, np.uint8, full * step, head)
    matrix[:, lead + head : lead + size] = payload.reshape(full, step)
    if protocol == TCP:
        sequence = int.from_bytes(original[start + _SEQUENCE : start + _SEQUENCE + 4], "big")
        column(matrix, lead + start + _SEQUENCE, ">u4")[:] = (_steps(full) * step + sequence) & 0xFFFFFFFF
        flags = original[start + _FLAGS]
        matrix[0, lead + start + _FLAGS] |= flags & _CWR
        if not rest:
            matrix[-1, lead + start + _FLAGS] |= flags & _FIN_PSH
    if header[0] >> 4 == 4:
        first = int.from_bytes(original[4:6], "big")
        _number_ipv4(matrix, lead, bytes(header[:start]), _steps(full) + first)
    _set_checksums(form, matrix, start, CHECKSUM_AT[protocol], pseudo_sum(header, protocol, size - start))
    last = _last(original, packet[len(packet) - rest :], start, full, step) if rest else b""
    return Rows(form, matrix, tail.prefix + last + tail.trailer if rest else b"", form.lanes, 0, 0)


def _of_length(header: bytes, start: int, protocol: int, octets: int) -> bytearray:
    """The header of a segment of that length, its checksums zero."""
    made = bytearray(header)
    if made[0] >> 4 == 4:
        made[2:4] = octets.to_bytes(2, "big")
        made[10:12] = bytes(2)
    else:
        made[4:6] = (octets - 40).to_bytes(2, "big")
    if protocol == UDP:
        made[start + 4 : start + 6] = (octets - start).to_bytes(2, "big")
    at = start + CHECKSUM_AT[protocol]
    made[at : at + 2] = bytes(2)
    return made


def _last(original: bytes, payload: memoryview, start: int, before: int, step: int) -> bytes:
    """The last segment, by itself, with so many of `step` octets before it."""
    udp = len(original) - start == 8
    protocol = UDP if udp else TCP
    made = _of_length(original, start, protocol, len(original) + len(payload))
    if not udp:
        at = start + _SEQUENCE
        sequence = int.from_bytes(original[at : at + 4], "big") + before * step
        made[at : at + 4] = (sequence & 0xFFFFFFFF).to_bytes(4, "big")
        made[start + _FLAGS] &= 0xFF & ~_CWR
    if made[0] >> 4 == 4:
        made[4:6] = (int.from_bytes(original[4:6], "big") + before & 0xFFFF).to_bytes(2, "big")
        made[10:12] = (~folded(made[:start]) & 0xFFFF).to_bytes(2, "big")
    made += payload
    upper = made[start:]
    value = ~folded(pseudo_header(made, protocol, len(upper)) + upper) & 0xFFFF
    at = start + CHECKSUM_AT[protocol]
    made[at : at + 2] = (value or (0xFFFF if udp else 0)).to_bytes(2, "big")
    return bytes(made)


def in_place(slots: Lanes, first: int, count: int, at: int, vnet: Vnet, form: Form) -> Rows:
    """Whole packets of the form's size that lie `at` in so many slots, from `first` on: what stands around them is
    written around them there. Their checksums are made where `vnet` says that these are partial.
    """
    start, end = at - form.lead, form.lead + form.size
    where = first * slots.stride + start
    matrix: Matrix = np.ndarray((count, form.width), np.uint8, slots.buffer, where, (slots.stride, 1))
    if form.lead:
        matrix[:, : form.lead] = form.prefix
    matrix[:, end:] = form.trailer
    if vnet.checksum:
        _set_checksums(form, matrix, vnet.start, vnet.field, 0)
    return Rows(form, matrix, b"", slots, first, start)
