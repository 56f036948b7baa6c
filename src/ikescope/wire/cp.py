"""Configuration payload (RFC 7296 section 3.15)."""

from __future__ import annotations

import struct

import msgspec

from ikescope.wire.payload import Payload, malformed, need
from ikescope.wire.registry import CpAttribute, CpType, PayloadType

MAX_CP_ATTRIBUTES = 1024

_HEAD_OCTETS = 4
_ATTRIBUTE = struct.Struct("!HH")
_RESERVED_BIT = 0x8000


class CpValue(msgspec.Struct, frozen=True, gc=False):
    """One configuration attribute; `reserved_bit` is the one before its 15-bit type."""

    type: CpAttribute
    value: bytes = b""
    reserved_bit: bool = False

    def encode(self) -> bytes:
        """Return the attribute's octets."""
        return _ATTRIBUTE.pack(self.type | (_RESERVED_BIT if self.reserved_bit else 0), len(self.value)) + self.value


class CpPayload(Payload, frozen=True, gc=False):
    """Configuration payload: a request, reply, set or acknowledgement of attributes."""

    cp_type: CpType
    attributes: tuple[CpValue, ...] = ()
    reserved: bytes = b"\0\0\0"

    @property
    def kind(self) -> PayloadType:
        """CP."""
        return PayloadType.CP

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        attributes = b"".join([attribute.encode() for attribute in self.attributes])
        return self.cp_type.to_bytes(1, "big") + self.reserved + attributes


def parse_cp(body: bytes, at: int) -> CpPayload:
    """Parse the body of a CP payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("CFG", body, at, _HEAD_OCTETS)
    offset, end = _HEAD_OCTETS, len(body)
    found: list[CpValue] = []
    while offset < end:
        if len(found) == MAX_CP_ATTRIBUTES:
            raise malformed("CFG", "attributes", at + offset, "more", f"at most {MAX_CP_ATTRIBUTES}")
        if end - offset < _ATTRIBUTE.size:
            raise malformed("CFG", "attribute length", at + offset, end - offset, f"at least {_ATTRIBUTE.size}")
        kind, length = _ATTRIBUTE.unpack_from(body, offset)
        start = offset + _ATTRIBUTE.size
        if length > end - start:
            raise malformed("CFG", "attribute length", at + offset, length, f"at most {end - start}")
        value = body[start : start + length]
        found.append(CpValue(CpAttribute.of(kind & 0x7FFF), value, bool(kind & _RESERVED_BIT)))
        offset = start + length
    return CpPayload(CpType.of(body[0]), tuple(found), body[1:4])
