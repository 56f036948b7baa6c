"""A capture for its ladder alone: packets taken to the lane of their conversation, most of them without a copy.

Of conversations that are another's share no more is looked at than the addresses.
"""

from __future__ import annotations

import struct
from typing import Protocol

from ikescope.capture import frames
from ikescope.capture.conversation import Reading
from ikescope.capture.lane import Lane, Paper, Shared
from ikescope.capture.spans import spans

_IPV4 = struct.Struct("!2xHxxHxB").unpack_from
_PORTS = struct.Struct("!4sH").unpack_from
_PLAIN_IPV4, _FRAGMENT = 0x45, 0x3FFF
_UDP, _ESP = frames.UDP, frames.ESP
_IP_HEADER, _UDP_DATA, _LEAST_ESP = 20, 28, 8
#: Link types with plain IPv4 right away: octets before it, and where the EtherType is among them, if there is one.
_PLAIN: dict[int, tuple[int, int]] = {
    **dict.fromkeys((12, 14, 101, 228), (0, -1)),
    **dict.fromkeys((0, 108), (4, -1)),
    1: (14, 12),
    113: (16, 14),
    276: (20, 0),
}
#: Of any other: nothing begins with both, this EtherType and that first octet.
_STRANGE = (0, 0)
_ETHERTYPE = frames.ETHERTYPE_IPV4.to_bytes(2, "big")

_NAT, _IKE, _OTHER = range(3)
_REMEMBERED = 4096
"""How many pairs of ports are remembered."""

_Way = tuple[int, "Lane | None", tuple[str, str]]
"""Whose a conversation is, its lane where it is ours, source and destination."""


class Shares(Protocol):
    """Which conversations are whose: `counts` the packets of each share, `own` is ours."""

    counts: list[int]
    own: int

    def begins(self) -> int:
        """Whose a conversation is that begins now."""


class Lanes:
    """The conversations of one capture that are ours, drawn on `paper`."""

    def __init__(self, reading: Reading, paper: Paper, shares: Shares) -> None:
        self._reading, self._shares = reading, shares
        self._shared = Shared(reading, paper)
        self._unframer = frames.Unframer()
        self._whose: dict[frozenset[str], int] = {}
        self._lanes: dict[frozenset[str], Lane] = {}

    def draw(self, octets: bytes) -> None:
        """Draw a whole capture. OddError where it is left to others: what is drawn by then is to be thrown away."""
        ways: dict[bytes, _Way] = {}
        kinds, counts, number = _Kinds(), self._shares.counts, 0
        for link, wall, start, end in spans(octets):
            number += 1
            before, kind = _PLAIN.get(link, _STRANGE)
            at = start + before
            plain = kind < 0 or octets[start + kind : start + kind + 2] == _ETHERTYPE
            if not plain or end - at <= _UDP_DATA or octets[at] != _PLAIN_IPV4:
                self._any(link, octets[start:end], wall, number)
                continue
            pair = octets[at + 12 : at + 20]
            way = ways.get(pair)
            if way is not None and way[1] is None and octets[at + 6] & 0x3F == 0 == octets[at + 7]:
                # Another's, and no fragment: no more is looked at.
                counts[way[0]] += 1
                continue
            total, place, protocol = _IPV4(octets, at)
            if protocol != _UDP and protocol != _ESP:
                continue
            if way is None or place & _FRAGMENT or not _UDP_DATA <= total <= end - at:
                found = self._any(link, octets[start:end], wall, number)
                if found is not None:
                    ways[pair] = found
                continue
            whose, lane, ends = way
            counts[whose] += 1
            if lane is None:
                continue
            end = at + total
            if protocol == _ESP:
                lane.carry(octets[at + _IP_HEADER : end], ends, b"", wall, number)
                continue
            ports, length = _PORTS(octets, at + _IP_HEADER)
            if at + _IP_HEADER + length > end:
                continue
            data, kind = octets[at + _UDP_DATA : at + _IP_HEADER + length], kinds[ports]
            if kind == _IKE:
                lane.ike(data, ends, ports, wall, number)
            elif kind == _NAT and data[:4] == frames.NON_ESP_MARKER:
                lane.ike(data[4:], ends, ports, wall, number)
            elif kind == _NAT and len(data) >= _LEAST_ESP:
                lane.carry(data, ends, ports, wall, number)
        self._finish()

    def in_doubt(self) -> set[frozenset[str]]:
        """The ends of conversations that a finding may stand in; see `Lane`."""
        return {pair for pair, lane in self._lanes.items() if lane.in_doubt}

    def _any(self, link: int, data: bytes, wall: float, number: int) -> _Way | None:
        """Draw what a packet of any kind carries; its conversation, where there is one."""
        datagram = self._unframer.unframe(link, data)
        return self._take(datagram, wall, number) if datagram is not None else None

    def _take(self, datagram: frames.Datagram, wall: float, number: int) -> _Way:
        """Draw a datagram that is ours; of whom its conversation is."""
        pair = frozenset((datagram.source, datagram.destination))
        whose = self._whose.get(pair)
        if whose is None:
            whose = self._whose[pair] = self._shares.begins()
            if whose == self._shares.own:
                self._lanes[pair] = Lane(datagram.source, self._shared)
        self._shares.counts[whose] += 1
        lane, ends = self._lanes.get(pair), (datagram.source, datagram.destination)
        if lane is not None:
            here, there = datagram.source_port, datagram.destination_port
            ports = b"" if here is None or there is None else struct.pack("!HH", here, there)
            tell = lane.ike if datagram.ike else lane.carry
            tell(datagram.data, ends, ports, wall, number)
        return whose, lane, ends

    def _finish(self) -> None:
        for torn in self._unframer.torn():
            lane = self._lanes.get(frozenset((torn.source, torn.destination)))
            if lane is not None:
                lane.tear(torn)
        for lane in self._lanes.values():
            lane.finish()
        lost = self._unframer.waiting + self._unframer.lost
        if lost:
            self._reading.note(f"{lost} IP packets lack fragments; they are left out")


class _Kinds(dict[bytes, int]):
    """What is expected on a pair of ports."""

    def __missing__(self, ports: bytes) -> int:
        pair = int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")
        kind = _NAT if frames.NAT_PORT in pair else _IKE if frames.IKE_PORT in pair else _OTHER
        if len(self) < _REMEMBERED:
            self[ports] = kind
        return kind
