"""Identification payloads, IDi and IDr (RFC 7296 section 3.5)."""

from __future__ import annotations

from ikescope.wire.payload import Payload, need
from ikescope.wire.registry import IdType, PayloadType


class IdPayload(Payload, frozen=True, gc=False):
    """Identification payload of the initiator (IDI) or the responder (IDR), as `kind` says."""

    id_type: IdType
    data: bytes
    reserved: bytes = b"\0\0\0"
    kind: PayloadType = PayloadType.IDI

    @property
    def body(self) -> bytes:
        """ID type, the three reserved octets and the data: what enters the AUTH octets (RFC 7296 section 2.15)."""
        return self.id_type.to_bytes(1, "big") + self.reserved + self.data

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.body


def parse_idi(body: bytes, at: int) -> IdPayload:
    """Parse the body of an IDi payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("IDi", body, at, 4)
    return IdPayload(IdType.of(body[0]), body[4:], body[1:4], PayloadType.IDI)


def parse_idr(body: bytes, at: int) -> IdPayload:
    """Parse the body of an IDr payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("IDr", body, at, 4)
    return IdPayload(IdType.of(body[0]), body[4:], body[1:4], PayloadType.IDR)
