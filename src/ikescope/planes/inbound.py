"""From the wire to TUN devices with offloads: a run of ESP packets of one SA is opened, checked and delivered at once.

The checks are the Forwarder's, made once for all packets whose bits they depend on are equal; a packet that is anything
but ordinary goes through the Forwarder by itself, and so does a whole run whose numbers do not simply rise, or of which
one packet does not verify.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from ikescope.crypto.lanes import Lanes
from ikescope.esp import gre
from ikescope.esp.departure import NEXT_HEADERS
from ikescope.esp.ecn import INWARD, EcnError, ecn_of, inward
from ikescope.esp.forwarder import Forwarder
from ikescope.esp.packet import GRE, PacketError, read_header
from ikescope.esp.sa import InboundSa
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes import esp_runs
from ikescope.planes.coalesce import Flow, Run, same
from ikescope.planes.reception import Source
from ikescope.planes.segments import Matrix, column

RUN = 4
"""Fewer packets are faster one by one."""
_LONELY = 2
"""After so many packets that had no like behind them the others of a run go one by one, too."""
_SLACK = 64
_SIZES = 16
_LOW = 0xFFFFFFFF
_PADDING = bytes(range(1, 256))
_SAME_OUTER = {
    20: bytes.fromhex("ffff 0000 0000 ffff 00ff 0000") + b"\xff" * 8,
    40: b"\xff" * 4 + b"\0\0\xff\0" + b"\xff" * 32,
}
"""By its length: the bits of the IP header around GRE, in tunnel mode, that decide."""

Write = Callable[[str, Sequence[bytes | memoryview], int, float], bool]
"""Writes a packet, in pieces with its vnet header first, to a tunnel: (name, pieces, packets in it, now); whether it
went. One that was joined and did not go is not counted as lost.
"""


class _Opened(msgspec.Struct):
    """A run's plaintexts as rows, zero behind the payload: `payload` octets each, the last one `last`."""

    sa: InboundSa
    path: TunnelPath
    rows: Matrix
    payload: int
    last: int
    next_header: int

    def octets(self, row: int) -> int:
        return self.last if row == self.rows.shape[0] - 1 else self.payload

    def packet(self, row: int) -> bytes:
        return self.rows[row, : self.octets(row)].tobytes()


class Inbound:
    """Opens runs. `udp_offload` says whether the devices take UDP super-segments."""

    def __init__(self, forwarder: Forwarder, write: Write, drain: Callable[[float], None]) -> None:
        esp_runs.ready()
        self._forwarder, self._write, self._drain = forwarder, write, drain
        self.udp_offload = True
        self._plain = bytearray(1 << 17)
        self._rows: dict[int, Lanes] = {}  # of the plaintexts, by their octets
        self._last_octets: memoryview | None = None
        self._packets: dict[int, Lanes] = {}  # of those, by their stride

    def take(
        self, octets: memoryview, stride: int, size: int, count: int, last: int, source: Source, now: float
    ) -> bool:
        """Take `count` ESP packets of `size` octets, `stride` apart, and one of `last` octets behind them (0: none).

        False: nothing was done, they are to go one by one.
        """
        total = count + bool(last)
        numbers = _numbers(octets, stride, total)
        found = None if numbers is None else self._forwarder.arrival(numbers[0] >> 32, total, total * size)
        if numbers is None or found is None:
            return False
        sa, path = found
        high = sa.fresh(numbers[0] & _LOW, numbers[-1] & _LOW)
        if high is None:
            return False
        rows = self._open(sa, octets, stride, size, count, last, high)
        if rows is None:
            return False
        _accept(sa, numbers, high << 32)
        opened = self._unpad(sa, path, rows, size - last if last else 0)
        if opened is None:
            for row in range(total):
                self._alone(
                    sa,
                    rows[row, : rows.shape[1] - (size - last if last and row == count else 0)].tobytes(),
                    source,
                    now,
                )
            return True
        self._deliver(opened, source, now)
        return True

    def _open(
        self, sa: InboundSa, octets: memoryview, stride: int, size: int, count: int, last: int, high: int
    ) -> Matrix | None:
        """The plaintexts with their trailers as rows, None unless all verify."""
        opener, total = sa.opener, count + bool(last)
        row = opener.row(size)
        if row <= opener.lead or (last and opener.row(last) <= opener.lead):
            return None
        if len(self._plain) < total * row + _SLACK:
            self._plain = bytearray(total * row + _SLACK)
            self._rows.clear()
        packets, plain = self._lanes(octets, stride), self._rows.get(row)
        if plain is None:
            if len(self._rows) >= _SIZES:
                self._rows.clear()
            plain = self._rows[row] = Lanes(memoryview(self._plain), row)
        if not opener.open_run(packets, size, 0, count, high, plain):
            return None
        if last and not opener.open_run(packets, last, count, 1, high, plain):
            return None
        matrix = np.frombuffer(self._plain, np.uint8, total * row).reshape(total, row)
        return matrix[:, opener.lead :]

    def _lanes(self, octets: memoryview, stride: int) -> Lanes:
        """The packets' lanes, those of a buffer that is used again as they are."""
        if octets is not self._last_octets:
            self._last_octets = octets
            self._packets.clear()
        lanes = self._packets.get(stride)
        if lanes is None:
            if len(self._packets) >= _SIZES:
                self._packets.clear()
            lanes = self._packets[stride] = Lanes(octets, stride)
        return lanes

    @staticmethod
    def _unpad(sa: InboundSa, path: TunnelPath, rows: Matrix, shorter: int) -> _Opened | None:
        """The payloads, where all trailers are right and say the same; `shorter`: by how much the last one is."""
        width = rows.shape[1]
        pad, next_header = rows[0, -2:].tolist()
        trailer = np.frombuffer(_PADDING[:pad] + bytes((pad, next_header)), np.uint8)
        payload = last = width - pad - 2
        alike = rows[:-1] if shorter else rows
        if payload < 1 or (alike[:, payload:] != trailer).any():
            return None
        if shorter:
            end = width - shorter
            pad = int(rows[-1, end - 2])
            last = end - pad - 2
            if last < 1 or rows[-1, last:end].tobytes() != _PADDING[:pad] + bytes((pad, next_header)):
                return None
            rows[-1, last:] = 0
        rows[:, payload:] = 0
        return _Opened(sa, path, rows, payload, last, next_header)

    # --- delivery

    def _deliver(self, opened: _Opened, source: Source, now: float) -> None:
        total, start, lonely = opened.rows.shape[0], 0, 0
        fast = octets = 0
        while start < total:
            flow = self._flow(opened, start, source.ecn) if lonely < _LONELY else None
            run = None if flow is None else self._run(opened, start, flow)
            if run is None:
                lonely += 1
                self._alone(opened.sa, opened.packet(start) + bytes((0, opened.next_header)), source, now)
                start += 1
                continue
            count = run[0].matrix.shape[0]
            fast, start = fast + count, start + count
            octets += opened.payload * (count - 1) + opened.octets(start - 1)
            self._pass_on(opened.path.name, *run, now)
        if fast:
            opened.sa.count(octets, now, fast)
            self._forwarder.arrived(opened.sa, source.remote, source.port, now)
            self._drain(now)

    def _alone(self, sa: InboundSa, plaintext: bytes, source: Source, now: float) -> None:
        self._forwarder.opened(sa, plaintext, source.local, source.remote, source.port, now, source.ecn)
        self._drain(now)

    def _flow(self, opened: _Opened, row: int, ecn: int) -> Flow | None:
        """The flow of a packet, checked as the Forwarder checks it; None for one that it is to look at itself."""
        packet = opened.packet(row)
        try:
            at = _inner_at(opened, packet)
            if at is None:
                return None
            if at > gre.HEADER_OCTETS:
                ecn = ecn_of(inward(packet[: at - gre.HEADER_OCTETS], ecn))
            inner = packet[at:]
            header = read_header(inner)
        except (PacketError, EcnError):
            return None
        known = header.total == len(inner) and (ecn_of(inner), ecn) not in INWARD
        if not known or (header.version == 6 and not opened.path.ipv6):
            return None
        return Flow.of(header, inner, at)

    @staticmethod
    def _alike(opened: _Opened, start: int, flow: Flow) -> int:
        """The row behind the last one that is of the same flow."""
        before = b""
        if flow.at:
            before = _SAME_OUTER.get(flow.at - gre.HEADER_OCTETS, b"") + b"\xff" * gre.HEADER_OCTETS
        rows = opened.rows[start:]
        bits = same(flow, before)
        other: NDArray[np.bool_] = np.any((rows[:, : len(bits)] ^ rows[0, : len(bits)]) & bits, axis=1)
        for at in (0, flow.at) if flow.at > gre.HEADER_OCTETS else (flow.at,):
            four = int(rows[0, at]) >> 4 == 4
            length = column(rows, at + 2 if four else at + 4, ">u2")
            without = at if four else at + 40
            other[:-1] |= length[:-1] != opened.payload - without
            other[-1] |= length[-1] != opened.last - without
        other[-1] |= opened.last < len(bits)
        return start + (int(other.argmax()) if other.any() else rows.shape[0])

    def _run(self, opened: _Opened, start: int, flow: Flow) -> tuple[Run, Iterable[tuple[int, int]]] | None:
        """The packets from `start` on that are of the same flow, and in which pieces to write them; None for one."""
        rows = opened.rows[start:]
        run = Run(flow, rows, opened.payload - flow.at, opened.last - flow.at)
        if flow.at <= gre.HEADER_OCTETS and len(rows) > 1 and run.stream(self.udp_offload):
            return run, run.blocks(0, len(rows))
        end = self._alike(opened, start, flow)
        if end - start < 2:
            return None
        run = Run(flow, opened.rows[start:end], opened.payload - flow.at, opened.octets(end - 1) - flow.at)
        return run, run.pieces(self.udp_offload)

    def _pass_on(self, name: str, run: Run, pieces: Iterable[tuple[int, int]], now: float) -> None:
        for first, behind in pieces:
            if behind - first > 1 and self._write(name, run.joined(first, behind), behind - first, now):
                continue
            for row in range(first, behind):
                self._write(name, [run.one(row)], 1, now)


def _numbers(octets: memoryview, stride: int, count: int) -> Sequence[int] | None:
    """SPI and sequence number of each packet as one number of 64 bits, where all have one SPI and the numbers rise."""
    heads: NDArray[np.uint64] = np.ndarray((count,), ">u8", octets, 0, (stride,))
    first, last = int(heads[0]), int(heads[-1])
    if first >> 32 != last >> 32:
        return None
    ahead = heads[1:] - heads[:-1]
    if bool((ahead == 1).all()):
        return range(first, last + 1)
    rising = last - first < _LOW and bool(((ahead > 0) & (ahead < _LOW)).all())
    return heads.tolist() if rising else None


def _accept(sa: InboundSa, numbers: Sequence[int], high: int) -> None:
    if isinstance(numbers, range):
        sa.window.accept_run(high + (numbers[0] & _LOW), high + (numbers[-1] & _LOW))
        return
    for number in numbers:
        sa.window.accept(high + (number & _LOW))


def _inner_at(opened: _Opened, packet: bytes) -> int | None:
    """Where the inner packet begins in a payload; None where that is not the ordinary thing, or not allowed."""
    sa, is_gre = opened.sa, opened.path.gre
    if sa.transport:
        if opened.next_header != GRE or not is_gre or not sa.selectors.carries(GRE):
            return None
        return gre.HEADER_OCTETS if _is_bare_gre(packet, 0) else None
    header = read_header(packet)
    if NEXT_HEADERS[header.version] != opened.next_header or not sa.selectors.inbound(header):
        return None
    if not is_gre:
        return 0
    ordinary = header.protocol == GRE and not header.fragment and header.octets == (20 if header.version == 4 else 40)
    if not ordinary or header.total != len(packet) or not _is_bare_gre(packet, header.octets):
        return None
    return header.octets + gre.HEADER_OCTETS


def _is_bare_gre(packet: bytes, at: int) -> bool:
    """Whether GRE without options stands there, with the IP version that it names behind it."""
    behind = at + gre.HEADER_OCTETS
    return (
        len(packet) > behind and packet[behind] >> 4 in (4, 6) and packet[at:behind] == gre.header(packet[behind] >> 4)
    )
