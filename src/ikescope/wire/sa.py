"""Security Association payload: proposals of transforms (RFC 7296 section 3.3)."""

from __future__ import annotations

import struct

import msgspec

from ikescope.wire.openenum import OpenEnum
from ikescope.wire.payload import Payload, malformed
from ikescope.wire.registry import (
    TRANSFORM_IDS,
    OtherTransformId,
    PayloadType,
    ProtocolId,
    TransformAttribute,
    TransformType,
)

#: Bounds of what is read out of one SA payload; none of them is met by an honest peer.
MAX_PROPOSALS = 64
MAX_TRANSFORMS = 512
MAX_ATTRIBUTES = 16

MORE_PROPOSALS = 2
MORE_TRANSFORMS = 3
SHORT_FORM = 0x8000

_PROPOSAL = struct.Struct("!BBHBBBB")
_TRANSFORM = struct.Struct("!BBHBBH")
_ATTRIBUTE = struct.Struct("!HH")


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """A transform attribute (RFC 7296 section 3.3.5).

    `value` is two octets in the short form (TV), any number in the long one (TLV).
    """

    type: TransformAttribute
    value: bytes
    short: bool = True

    def encode(self) -> bytes:
        """Return the attribute's octets."""
        if self.short:
            return _ATTRIBUTE.pack(self.type | SHORT_FORM, int.from_bytes(self.value, "big"))
        return _ATTRIBUTE.pack(self.type, len(self.value)) + self.value


class Transform(msgspec.Struct, frozen=True, gc=False):
    """A transform (RFC 7296 section 3.3.2); `reserved` holds its two reserved octets."""

    type: TransformType
    id: OpenEnum
    attributes: tuple[Attribute, ...] = ()
    reserved: bytes = b"\0\0"

    @property
    def key_length(self) -> int | None:
        """Bits of the Key Length attribute; None where there is none (RFC 7296 section 3.3.5)."""
        for attribute in self.attributes:
            if attribute.type == TransformAttribute.KEY_LENGTH and attribute.short:
                return int.from_bytes(attribute.value, "big")
        return None

    @property
    def understood(self) -> bool:
        """Whether all attributes are understood: none, or one Key Length in the short form.

        A transform that is not understood must not be chosen (RFC 7296 section 3.3.6).
        """
        if not self.attributes:
            return True
        first = self.attributes[0]
        return len(self.attributes) == 1 and first.short and first.type == TransformAttribute.KEY_LENGTH

    def encode(self, last: bool) -> bytes:
        """Return the transform substructure's octets; `last` as in its first octet."""
        attributes = b"".join([attribute.encode() for attribute in self.attributes])
        length = _TRANSFORM.size + len(attributes)
        more = 0 if last else MORE_TRANSFORMS
        return _TRANSFORM.pack(more, self.reserved[0], length, self.type, self.reserved[1], self.id) + attributes


class Proposal(msgspec.Struct, frozen=True, gc=False):
    """A proposal (RFC 7296 section 3.3.1): number from 1, SPI of 0, 4 or 8 octets."""

    number: int
    protocol: ProtocolId
    spi: bytes
    transforms: tuple[Transform, ...]
    reserved: int = 0

    def of(self, kind: TransformType) -> tuple[Transform, ...]:
        """The transforms of one type, in the order of preference."""
        return tuple(transform for transform in self.transforms if transform.type == kind)

    def encode(self, last: bool) -> bytes:
        """Return the proposal substructure's octets; `last` as in its first octet."""
        final = len(self.transforms) - 1
        inner = b"".join([transform.encode(index == final) for index, transform in enumerate(self.transforms)])
        length = _PROPOSAL.size + len(self.spi) + len(inner)
        count = len(self.transforms)
        more = 0 if last else MORE_PROPOSALS
        head = _PROPOSAL.pack(more, self.reserved, length, self.number, self.protocol, len(self.spi), count)
        return head + self.spi + inner


class SaPayload(Payload, frozen=True, gc=False):
    """Security Association payload (RFC 7296 section 3.3)."""

    proposals: tuple[Proposal, ...]

    @property
    def kind(self) -> PayloadType:
        """SA."""
        return PayloadType.SA

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        final = len(self.proposals) - 1
        return b"".join([proposal.encode(index == final) for index, proposal in enumerate(self.proposals)])


def key_length_attribute(bits: int) -> Attribute:
    """Return the Key Length attribute of `bits` (RFC 7296 section 3.3.5)."""
    return Attribute(TransformAttribute.KEY_LENGTH, bits.to_bytes(2, "big"))


def transform(type: int, id: int, key_length: int | None = None) -> Transform:
    """Return a transform, its ID in the registry of its type, with a Key Length of so many bits."""
    attributes = () if key_length is None else (key_length_attribute(key_length),)
    return Transform(TransformType.of(type), TRANSFORM_IDS.get(type, OtherTransformId).of(id), attributes)


def parse_sa(body: bytes, at: int) -> SaPayload:
    """Parse the body of an SA payload that begins at offset `at`.

    Raises DecodeError.
    """
    proposals: list[Proposal] = []
    offset, end, total, more = 0, len(body), 0, MORE_PROPOSALS
    while more:
        if len(proposals) == MAX_PROPOSALS:
            raise malformed("SA", "proposals", at + offset, "more", f"at most {MAX_PROPOSALS}")
        if end - offset < _PROPOSAL.size:
            raise malformed("SA", "proposal length", at + offset, end - offset, f"at least {_PROPOSAL.size}")
        more, reserved, length, number, protocol, spi_size, count = _PROPOSAL.unpack_from(body, offset)
        stop = offset + length
        first = offset + _PROPOSAL.size + spi_size
        if first > stop or stop > end:
            least = _PROPOSAL.size + spi_size
            raise malformed("SA", "proposal length", at + offset, length, f"{least} to {end - offset}")
        if more != (MORE_PROPOSALS if stop < end else 0):
            wanted = "2 (more)" if stop < end else "0 (last)"
            raise malformed("SA", "last proposal", at + offset, more, wanted)
        total += count
        if total > MAX_TRANSFORMS:
            raise malformed("SA", "transforms", at + offset, total, f"at most {MAX_TRANSFORMS}")
        transforms = _parse_transforms(body, first, stop, count, at)
        spi = body[offset + _PROPOSAL.size : first]
        proposals.append(Proposal(number, ProtocolId.of(protocol), spi, transforms, reserved))
        offset = stop
    return SaPayload(tuple(proposals))


def _parse_transforms(body: bytes, offset: int, end: int, count: int, at: int) -> tuple[Transform, ...]:
    found: list[Transform] = []
    while offset < end:
        if end - offset < _TRANSFORM.size:
            raise malformed("SA", "transform length", at + offset, end - offset, f"at least {_TRANSFORM.size}")
        more, reserved1, length, kind, reserved2, number = _TRANSFORM.unpack_from(body, offset)
        stop = offset + length
        if length < _TRANSFORM.size or stop > end:
            raise malformed("SA", "transform length", at + offset, length, f"{_TRANSFORM.size} to {end - offset}")
        if more != (MORE_TRANSFORMS if stop < end else 0):
            raise malformed("SA", "last transform", at + offset, more, "3 (more)" if stop < end else "0 (last)")
        if len(found) == count:
            raise malformed("SA", "transforms", at + offset, "more", count)
        attributes = () if length == _TRANSFORM.size else _parse_attributes(body, offset + _TRANSFORM.size, stop, at)
        identifier = TRANSFORM_IDS.get(kind, OtherTransformId).of(number)
        if reserved1 or reserved2:
            reserved = bytes((reserved1, reserved2))
            found.append(Transform(TransformType.of(kind), identifier, attributes, reserved))
        else:
            found.append(Transform(TransformType.of(kind), identifier, attributes))
        offset = stop
    if len(found) != count:
        raise malformed("SA", "transforms", at + offset, len(found), count)
    return tuple(found)


def _parse_attributes(body: bytes, offset: int, end: int, at: int) -> tuple[Attribute, ...]:
    found: list[Attribute] = []
    while offset < end:
        if len(found) == MAX_ATTRIBUTES:
            raise malformed("SA", "attributes", at + offset, "more", f"at most {MAX_ATTRIBUTES}")
        if end - offset < _ATTRIBUTE.size:
            raise malformed("SA", "attribute length", at + offset, end - offset, f"at least {_ATTRIBUTE.size}")
        kind, length = _ATTRIBUTE.unpack_from(body, offset)
        start = offset + _ATTRIBUTE.size
        if kind & SHORT_FORM:
            found.append(Attribute(TransformAttribute.of(kind & 0x7FFF), body[offset + 2 : start]))
            offset = start
            continue
        if length > end - start:
            raise malformed("SA", "attribute length", at + offset, length, f"at most {end - start}")
        found.append(Attribute(TransformAttribute.of(kind), body[start : start + length], short=False))
        offset = start + length
    return tuple(found)
