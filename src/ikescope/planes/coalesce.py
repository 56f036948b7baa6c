"""Packets that continue each other, joined for one write to a TUN device with offloads.

The rules are those of the kernel's own receive offload: one flow, equal headers but for what counts on, valid checksums
of every part, equal sizes but for a shorter last one. Whoever takes the packet apart again gets the parts back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from ikescope.esp.packet import TCP, UDP, Header
from ikescope.planes import segments, vnet
from ikescope.planes.segments import Matrix, column

_IP = {
    4: bytes.fromhex("ffff 0000 0000 ffff ffff 0000") + b"\xff" * 8,  # not: length, identification, checksum
    6: bytes.fromhex("ffffffff 0000 ffff") + b"\xff" * 32,  # not: length
}
_TCP = bytes.fromhex("ffffffff 00000000 ffffffff ff f6 ffff 0000 ffff")  # not: sequence, FIN, PSH, checksum
_UDP = bytes.fromhex("ffffffff 00000000")  # not: length, checksum
_FLAGS, _FIN_PSH, _ACK, _ECE = 13, 0x09, 0x10, 0x40
_KINDS = {(TCP, 4): vnet.GSO_TCP4, (TCP, 6): vnet.GSO_TCP6, (UDP, 4): vnet.GSO_UDP, (UDP, 6): vnet.GSO_UDP}
_LONGEST = 65535
_UDP_PARTS = 64
_STEPS = np.arange(2048, dtype=np.int64)


class Flow(msgspec.Struct, frozen=True):
    """Where in the rows the packets of a flow stand: `at` their first column, then `ip` octets of IP header up to
    `head` octets of headers altogether.
    """

    version: int
    protocol: int
    at: int
    ip: int
    head: int
    fragmentable: bool

    @classmethod
    def of(cls, header: Header, packet: bytes, at: int) -> Flow | None:
        """The flow of a packet that stands `at` in its row; None where its like is not joined."""
        plain = header.octets == (20 if header.version == 4 else 40) and not header.fragment
        if not plain or header.protocol not in (TCP, UDP):
            return None
        octets = 8 if header.protocol == UDP else 20
        if len(packet) < header.octets + octets:
            return None
        if header.protocol == TCP:
            octets = (packet[header.octets + 12] >> 4) * 4
            if octets < 20 or len(packet) < header.octets + octets:
                return None
        fragmentable = header.version == 4 and not packet[6] & 0x40
        return cls(header.version, header.protocol, at, header.octets, header.octets + octets, fragmentable)


@lru_cache(maxsize=64)
def same(flow: Flow, before: bytes) -> Matrix:
    """The bits, from the first column on, that are equal in all packets of a flow; `before`: those before its `at`."""
    octets = flow.head - flow.ip
    upper = _UDP if flow.protocol == UDP else _TCP + b"\xff" * (octets - 20)
    return np.frombuffer(before + _IP[flow.version] + upper, np.uint8)


@lru_cache(maxsize=64)
def _exactly(flow: Flow) -> Matrix:
    """The bits, from the first column on, that a stream foretells: all but the checksums."""
    octets = flow.head - flow.ip
    upper = bytearray(b"\xff" * octets)
    at = vnet.CHECKSUM_AT[flow.protocol]
    upper[at : at + 2] = bytes(2)
    ip = bytearray(b"\xff" * flow.ip)
    if flow.version == 4:
        ip[10:12] = bytes(2)
    return np.frombuffer(b"\xff" * flow.at + bytes(ip) + bytes(upper), np.uint8)


class Run(msgspec.Struct, frozen=True):
    """Packets of one flow in the rows of a matrix: each `size` octets from column `flow.at` on, the last one `last`.

    What is behind them in their row, up to a multiple of four, is zero.
    """

    flow: Flow
    matrix: Matrix
    size: int
    last: int

    def stream(self, udp: bool) -> bool:
        """Whether every packet continues the one before it, the usual case: each header is as the first one foretells.

        False says nothing: `pieces` looks closer.
        """
        flow, matrix = self.flow, self.matrix
        count, step, start = matrix.shape[0], self.size - flow.head, flow.at + flow.ip
        if not flow.head < self.last <= self.size or count > len(_STEPS):
            return False
        head = matrix[:, : flow.at + flow.head]
        expected = np.empty(head.shape, np.uint8)
        expected[:] = head[0]
        if flow.version == 4:
            first = int.from_bytes(head[0, flow.at + 4 : flow.at + 6].tobytes(), "big")
            column(expected, flow.at + 4, ">u2")[:] = (_STEPS[:count] + first) & 0xFFFF
        if flow.protocol == TCP:
            flags, last = int(head[0, start + _FLAGS]), int(head[-1, start + _FLAGS])
            if flags & ~_ECE != _ACK or last & ~_FIN_PSH != flags:
                return False
            expected[-1, start + _FLAGS] = last
            first = int.from_bytes(head[0, start + 4 : start + 8].tobytes(), "big")
            column(expected, start + 4, ">u4")[:] = (_STEPS[:count] * step + first) & 0xFFFFFFFF
        elif not udp:
            return False
        self._shorten(expected[-1])
        return not bool(np.any((expected ^ head) & _exactly(flow))) and bool(self._valid().all())

    def _shorten(self, last: Matrix) -> None:
        """Give the last header the lengths of the last packet."""
        flow = self.flow
        if self.last == self.size:
            return
        at, octets = (flow.at + 2, self.last) if flow.version == 4 else (flow.at + 4, self.last - 40)
        last[at : at + 2] = divmod(octets, 256)
        if flow.protocol == UDP:
            at = flow.at + flow.ip + 4
            last[at : at + 2] = divmod(self.last - flow.ip, 256)

    def blocks(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Packets that continue each other in pieces that are one write each."""
        most = max(1, (_LONGEST - self.flow.head) // max(1, self.size - self.flow.head))
        if self.flow.protocol == UDP:
            most = min(most, _UDP_PARTS)
        for first in range(start, end, most):
            yield first, min(first + most, end)

    def pieces(self, udp: bool) -> Iterator[tuple[int, int]]:
        """First row and the one behind the last of each piece that is one write; `udp`: whether UDP is joined."""
        count = self.matrix.shape[0]
        joins = self._joins(udp) if count > 1 else None
        if joins is None:
            yield from ((row, row + 1) for row in range(count))
            return
        start = 0
        for end in (*(np.flatnonzero(~joins) + 1).tolist(), count):
            yield from self.blocks(start, end)
            start = end

    def _joins(self, udp: bool) -> NDArray[np.bool_] | None:
        """For each packet but the first whether it continues the one before; None where none can."""
        flow, matrix = self.flow, self.matrix
        step = self.size - flow.head
        if step <= 0 or self.last <= flow.head or self.last > self.size or (flow.protocol == UDP and not udp):
            return None
        valid = self._valid()
        joins = valid[1:] & valid[:-1]
        if flow.version == 4:
            number = column(matrix, flow.at + 4, ">u2").astype(np.int64)
            ahead = (number[1:] - number[:-1]) & 0xFFFF
            joins &= (ahead == 1) if flow.fragmentable else (ahead <= 1)
        if flow.protocol == UDP:
            return joins
        flags = matrix[:, flow.at + flow.ip + _FLAGS]
        if int(flags[0]) & ~(_FIN_PSH | _ECE) != _ACK:
            return None
        sequence = column(matrix, flow.at + flow.ip + 4, ">u4").astype(np.int64)
        joins &= ((sequence[1:] - sequence[:-1]) & 0xFFFFFFFF) == step
        joins &= (flags[:-1] & _FIN_PSH) == 0
        return joins

    def _valid(self) -> NDArray[np.bool_]:
        """Whose checksums are right; a UDP packet without one is not joined."""
        flow, matrix = self.flow, self.matrix
        start = flow.at + flow.ip
        octets = self.size - flow.ip
        sums = segments.row_sums(matrix[:, start : start + octets + -octets % 4])
        header = matrix[0, flow.at : start].tobytes()
        sums[:-1] += np.uint64(segments.pseudo_sum(header, flow.protocol, octets))
        sums[-1] += np.uint64(segments.pseudo_sum(header, flow.protocol, self.last - flow.ip))
        valid = segments.checked(sums)
        if flow.version == 4:
            valid &= segments.checked(segments.row_sums(matrix[:, flow.at : start]))
        if flow.protocol == UDP:
            valid &= column(matrix, start + 6, "=u2") != 0
            length = column(matrix, start + 4, ">u2")
            valid[:-1] &= length[:-1] == octets
            valid[-1] &= length[-1] == self.last - flow.ip
        return valid

    def one(self, row: int) -> memoryview:
        """One packet."""
        octets = self.last if row == self.matrix.shape[0] - 1 else self.size
        return self.matrix[row, self.flow.at : self.flow.at + octets].data

    def joined(self, first: int, end: int) -> list[bytes | memoryview]:
        """The packets of a piece as one with its vnet header before it, for `writev`."""
        flow, matrix = self.flow, self.matrix
        whole = end < matrix.shape[0] or self.last == self.size
        payload = flow.at + flow.head
        full = end if whole else end - 1
        parts: list[bytes | memoryview] = [
            np.ascontiguousarray(matrix[first:full, payload : flow.at + self.size]).reshape(-1).data
        ]
        if not whole:
            parts.append(matrix[end - 1, payload : flow.at + self.last].data)
        total = flow.head + sum(map(len, parts))
        header = bytearray(matrix[first, flow.at : payload].tobytes())
        self._rewrite(header, total, matrix[end - 1])
        kind = _KINDS[flow.protocol, flow.version]
        before = vnet.pack(kind, flow.head, self.size - flow.head, flow.ip, vnet.CHECKSUM_AT[flow.protocol])
        return [before, bytes(header), *parts]

    def _rewrite(self, header: bytearray, total: int, last: Matrix) -> None:
        """The first header as that of all: lengths, flags of the last, checksums (the upper one is still partial)."""
        flow = self.flow
        if flow.version == 4:
            header[2:4] = total.to_bytes(2, "big")
            header[10:12] = b"\0\0"
            header[10:12] = (~vnet.folded(header[:20]) & 0xFFFF).to_bytes(2, "big")
        else:
            header[4:6] = (total - 40).to_bytes(2, "big")
        upper = total - flow.ip
        addresses = header[12:20] if flow.version == 4 else header[8:40]
        partial = vnet.folded(addresses, flow.protocol + upper).to_bytes(2, "big")
        at = flow.ip + vnet.CHECKSUM_AT[flow.protocol]
        header[at : at + 2] = partial
        if flow.protocol == UDP:
            header[flow.ip + 4 : flow.ip + 6] = upper.to_bytes(2, "big")
        else:
            header[flow.ip + _FLAGS] |= int(last[flow.at + flow.ip + _FLAGS]) & _FIN_PSH
