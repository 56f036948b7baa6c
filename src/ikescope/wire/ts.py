"""Traffic Selector payloads, TSi and TSr (RFC 7296 section 3.13)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, summarize_address_range
from typing import Self

import msgspec

from ikescope.wire.payload import Payload, malformed, need
from ikescope.wire.registry import PayloadType, TsType

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_HEAD_OCTETS = 4
_SELECTOR = struct.Struct("!BBHHH")
_OPAQUE_OCTETS = 4
#: Octets of one address of each selector type that this build reads; the others are kept whole.
ADDRESS_OCTETS: dict[int, int] = {TsType.TS_IPV4_ADDR_RANGE: 4, TsType.TS_IPV6_ADDR_RANGE: 16}


class TrafficSelector(msgspec.Struct, frozen=True, gc=False):
    """One selector (RFC 7296 section 3.13.1): IP protocol (0 any), port range, address range; ends included.

    `start` and `end` are 4 or 16 octets. Of a type this build does not read, `opaque` holds all after the length.
    """

    ts_type: TsType
    protocol: int = 0
    start_port: int = 0
    end_port: int = 65535
    start: bytes = b""
    end: bytes = b""
    opaque: bytes = b""

    @classmethod
    def of_range(
        cls, first: IPAddress, last: IPAddress, protocol: int = 0, start_port: int = 0, end_port: int = 65535
    ) -> Self:
        """Return the selector of an address range; both ends of one family."""
        ts_type = TsType.TS_IPV4_ADDR_RANGE if first.version == 4 else TsType.TS_IPV6_ADDR_RANGE
        return cls(ts_type, protocol, start_port, end_port, first.packed, last.packed)

    @classmethod
    def of_network(cls, network: IPNetwork, protocol: int = 0, start_port: int = 0, end_port: int = 65535) -> Self:
        """Return the selector of all addresses of a network."""
        return cls.of_range(network.network_address, network.broadcast_address, protocol, start_port, end_port)

    @property
    def readable(self) -> bool:
        """Whether the type is one whose addresses and ports this build reads."""
        return self.ts_type in ADDRESS_OCTETS

    @property
    def first(self) -> IPAddress:
        """The first address; ValueError where `readable` is False."""
        return ip_address(self.start)

    @property
    def last(self) -> IPAddress:
        """The last address; ValueError where `readable` is False."""
        return ip_address(self.end)

    @property
    def networks(self) -> tuple[IPNetwork, ...]:
        """The fewest networks that cover the range; none for a range upside down or a type not read."""
        if not self.readable or self.start > self.end:
            return ()
        first, last = self.first, self.last
        if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
            return tuple(summarize_address_range(first, last))
        if isinstance(first, IPv6Address) and isinstance(last, IPv6Address):
            return tuple(summarize_address_range(first, last))
        return ()

    def encode(self) -> bytes:
        """Return the selector's octets."""
        if not self.readable:
            head = bytes((self.ts_type, self.protocol)) + (_OPAQUE_OCTETS + len(self.opaque)).to_bytes(2, "big")
            return head + self.opaque
        length = _SELECTOR.size + len(self.start) + len(self.end)
        head = _SELECTOR.pack(self.ts_type, self.protocol, length, self.start_port, self.end_port)
        return head + self.start + self.end


class TsPayload(Payload, frozen=True, gc=False):
    """Traffic Selector payload of the initiator (TSI) or the responder (TSR), as `kind` says."""

    kind: PayloadType
    selectors: tuple[TrafficSelector, ...]
    reserved: bytes = b"\0\0\0"

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        selectors = b"".join([selector.encode() for selector in self.selectors])
        return len(self.selectors).to_bytes(1, "big") + self.reserved + selectors


def parse_tsi(body: bytes, at: int) -> TsPayload:
    """Parse the body of a TSi payload that begins at offset `at`.

    Raises DecodeError.
    """
    return _parse_ts(PayloadType.TSI, body, at)


def parse_tsr(body: bytes, at: int) -> TsPayload:
    """Parse the body of a TSr payload that begins at offset `at`.

    Raises DecodeError.
    """
    return _parse_ts(PayloadType.TSR, body, at)


def _parse_ts(kind: PayloadType, body: bytes, at: int) -> TsPayload:
    name = kind.short
    need(name, body, at, _HEAD_OCTETS)
    count, offset, end = body[0], _HEAD_OCTETS, len(body)
    selectors: list[TrafficSelector] = []
    if not count:
        raise malformed(name, "traffic selectors", at, 0, "at least 1")
    while offset < end:
        if len(selectors) == count:
            raise malformed(name, "traffic selectors", at + offset, "more", count)
        if end - offset < _OPAQUE_OCTETS:
            raise malformed(name, "selector length", at + offset, end - offset, f"at least {_OPAQUE_OCTETS}")
        selector, offset = _parse_selector(name, body, offset, at)
        selectors.append(selector)
    if len(selectors) != count:
        raise malformed(name, "traffic selectors", at, len(selectors), count)
    return TsPayload(kind, tuple(selectors), body[1:4])


def _parse_selector(name: str, body: bytes, offset: int, at: int) -> tuple[TrafficSelector, int]:
    ts_type, protocol = TsType.of(body[offset]), body[offset + 1]
    length = body[offset + 2] << 8 | body[offset + 3]
    room, octets = len(body) - offset, ADDRESS_OCTETS.get(ts_type)
    if octets is None:
        if not _OPAQUE_OCTETS <= length <= room:
            raise malformed(name, "selector length", at + offset, length, f"{_OPAQUE_OCTETS} to {room}")
        opaque = body[offset + _OPAQUE_OCTETS : offset + length]
        return TrafficSelector(ts_type, protocol, 0, 0, b"", b"", opaque), offset + length
    wanted = _SELECTOR.size + 2 * octets
    if length != wanted or room < wanted:
        raise malformed(name, f"{ts_type} length", at + offset, min(length, room), wanted)
    _, _, _, start_port, end_port = _SELECTOR.unpack_from(body, offset)
    middle = offset + _SELECTOR.size + octets
    start, end = body[offset + _SELECTOR.size : middle], body[middle : offset + wanted]
    return TrafficSelector(ts_type, protocol, start_port, end_port, start, end), offset + wanted
