"""A payload of a type this build does not read (RFC 7296 section 2.5)."""

from __future__ import annotations

from ikescope.wire.payload import Payload
from ikescope.wire.registry import PayloadType


class UnknownPayload(Payload, frozen=True, gc=False):
    """A payload kept whole: its type and the octets after the generic payload header."""

    type: PayloadType
    body: bytes

    @property
    def kind(self) -> PayloadType:
        """The type it came with."""
        return self.type

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.body
