"""Inner packets as the rows of one matrix: super-segments cut, checksums made, trailers set, for all rows at once.

Columns: what stands before the packet in ESP (`lead` octets), the packet, padding, pad length, next header. All
packets have `size` octets but the last, which may be shorter. Sums are in the host's byte order: the internet checksum
comes out the same (RFC 1071 section 2).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ikescope.esp.packet import TCP, UDP
from ikescope.planes.vnet import CHECKSUM_AT, GSO_UDP, Vnet

Matrix = NDArray[np.uint8]
Numbers = NDArray[np.uint64]

_FIN_PSH, _CWR = 0x09, 0x80
_FLAGS, _SEQUENCE, _DATA_OFFSET = 13, 4, 12
_ALIGNMENT = 4
_ONES = np.uint64(0xFFFF)
_PADDING = bytes(range(1, 256))


@dataclass(slots=True)
class Rows:
    """The packets of a run; `matrix` is contiguous."""

    matrix: Matrix
    lead: int
    size: int
    last: int

    @property
    def count(self) -> int:
        """How many."""
        return int(self.matrix.shape[0])

    @property
    def width(self) -> int:
        """Octets from row to row."""
        return int(self.matrix.shape[1])

    @property
    def full(self) -> int:
        """How many have `size` octets."""
        return self.count if self.last == self.size else self.count - 1

    @property
    def flat(self) -> memoryview:
        """The rows one behind another."""
        return self.matrix.reshape(-1).data

    def packets(self) -> list[bytes]:
        """Each by itself, without what is before and behind it."""
        flat, lead, width = self.flat, self.lead, self.width
        found = [bytes(flat[at + lead : at + lead + self.size]) for at in range(0, self.full * width, width)]
        if self.full < self.count:
            at = self.full * width + lead
            found.append(bytes(flat[at : at + self.last]))
        return found

    def put_before(self, prefix: bytes, last_prefix: bytes) -> None:
        """Set what stands before each packet, and before the last."""
        if self.lead:
            self.matrix[:, : self.lead] = np.frombuffer(prefix, np.uint8)
            self.matrix[-1, : self.lead] = np.frombuffer(last_prefix, np.uint8)

    def number(self, first: int) -> None:
        """Number the IPv4 headers that stand first in each row, from `first` on, and make their checksums."""
        _number_ipv4(self.matrix, 0, 20, np.arange(first, first + self.count))

    def put_behind(self, next_header: int, last_width: int) -> None:
        """Set padding and trailer of each row; that of a shorter last one ends at `last_width`."""
        end = self.lead + self.size
        if self.full:
            self.matrix[: self.full, end:] = np.frombuffer(_trailer(self.width - end, next_header), np.uint8)
        if self.full < self.count:
            end = self.lead + self.last
            self.matrix[-1, end:last_width] = np.frombuffer(_trailer(last_width - end, next_header), np.uint8)


def _trailer(octets: int, next_header: int) -> bytes:
    pad = octets - 2
    return _PADDING[:pad] + bytes((pad, next_header))


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


def native_sum(octets: bytes) -> int:
    """The same of octets of an even number."""
    return int.from_bytes(octets, sys.byteorder) % 0xFFFF


def pseudo_sum(header: bytes, protocol: int, octets: int) -> int:
    """The same of the pseudo-header of an IP packet whose upper protocol has `octets` octets."""
    addresses = header[12:20] if header[0] >> 4 == 4 else header[8:40]
    return native_sum(addresses + octets.to_bytes(4, "big") + protocol.to_bytes(4, "big"))


def _number_ipv4(matrix: Matrix, at: int, octets: int, numbers: NDArray[np.int64]) -> None:
    column(matrix, at + 4, ">u2")[:] = numbers & 0xFFFF
    checksum = column(matrix, at + 10, "=u2")
    checksum[:] = 0
    checksum[:] = checksums(row_sums(matrix[:, at : at + octets]))


def _set_checksums(rows: Rows, start: int, field: int, pseudo: int, last_pseudo: int) -> None:
    """Make the checksums whose sums begin at `start` of each packet; what is behind a packet is zero now."""
    sums = row_sums(rows.matrix[:, rows.lead + start :])
    sums[:-1] += np.uint64(pseudo)
    sums[-1] += np.uint64(last_pseudo)
    made = checksums(sums)
    if field == CHECKSUM_AT[UDP]:
        made[made == 0] = 0xFFFF  # RFC 768: zero says that there is no checksum
    column(rows.matrix, rows.lead + start + field, "=u2")[:] = made


def segment_octets(packet: memoryview, vnet: Vnet) -> int:
    """The length of the first segment of a super-segment."""
    return min(_head(packet, vnet) + vnet.size, len(packet))


def _head(packet: memoryview, vnet: Vnet) -> int:
    """The octets before the payload."""
    return vnet.start + (8 if vnet.kind == GSO_UDP else (packet[vnet.start + _DATA_OFFSET] >> 4) * 4)


def cut(packet: memoryview, vnet: Vnet, lead: int, width: int) -> Rows:
    """A super-segment as its segments. `width` is that of the rows, at least `lead` and the longest packet: a multiple
    of four, as are `lead` and where the TCP or UDP header starts.
    """
    start, total, head = vnet.start, len(packet), _head(packet, vnet)
    protocol = UDP if vnet.kind == GSO_UDP else TCP
    full, rest = divmod(total - head, vnet.size)
    count = full + bool(rest)
    size, last = head + vnet.size, head + (rest or vnet.size)
    if not full:
        size = last
    matrix = np.empty((count, width), np.uint8)
    raw = np.frombuffer(packet, np.uint8)
    matrix[:, lead : lead + head] = raw[:head]
    if full:
        payload = raw[head : head + full * vnet.size]
        matrix[:full, lead + head : lead + size] = payload.reshape(full, vnet.size)
    if rest:
        matrix[-1, lead + head : lead + last] = raw[total - rest :]
        matrix[-1, lead + last :] = 0
    matrix[:, lead + size :] = 0
    rows = Rows(matrix, lead, size, last)
    _set_lengths(rows, packet, start, protocol)
    if protocol == TCP:
        _set_tcp(rows, start, vnet.size)
    header = bytes(packet[:start])
    field = lead + start + CHECKSUM_AT[protocol]
    column(matrix, field, "=u2")[:] = 0
    sums = [pseudo_sum(header, protocol, each - start) for each in (size, last)]
    _set_checksums(rows, start, CHECKSUM_AT[protocol], *sums)
    return rows


def _set_lengths(rows: Rows, packet: memoryview, start: int, protocol: int) -> None:
    """The length fields of each segment, and the identifications and checksums of IPv4."""
    matrix, lead = rows.matrix, rows.lead
    four = packet[0] >> 4 == 4
    length = column(matrix, lead + (2 if four else 4), ">u2")
    without = 0 if four else 40
    length[:] = rows.size - without
    length[-1] = rows.last - without
    if protocol == UDP:
        length = column(matrix, lead + start + 4, ">u2")
        length[:] = rows.size - start
        length[-1] = rows.last - start
    if four:
        first = packet[4] << 8 | packet[5]
        _number_ipv4(matrix, lead, start, np.arange(first, first + rows.count))


def _set_tcp(rows: Rows, start: int, step: int) -> None:
    """Sequence numbers; FIN and PSH stay on the last segment only, CWR on the first."""
    at = rows.lead + start
    sequence = column(rows.matrix, at + _SEQUENCE, ">u4")
    first = int(sequence[0])
    sequence[:] = (first + np.arange(rows.count) * step) & 0xFFFFFFFF
    rows.matrix[:-1, at + _FLAGS] &= 0xFF & ~_FIN_PSH
    rows.matrix[1:, at + _FLAGS] &= 0xFF & ~_CWR


def gather(packets: Matrix, vnet: Vnet, lead: int, width: int) -> Rows:
    """Whole packets of one size (the rows of `packets`, which need not be contiguous), with their checksums made where
    `vnet` says that these are partial. `width` and `lead` as above.
    """
    count, size = packets.shape
    matrix = np.empty((count, width), np.uint8)
    matrix[:, lead : lead + size] = packets
    matrix[:, lead + size :] = 0
    rows = Rows(matrix, lead, size, size)
    if vnet.checksum:
        _set_checksums(rows, vnet.start, vnet.field, 0, 0)
    return rows


def plain_width(size: int) -> int:
    """The width of rows for packets by themselves, with nothing around them."""
    return size + -size % _ALIGNMENT
