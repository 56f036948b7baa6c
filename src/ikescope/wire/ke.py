"""Key Exchange payload (RFC 7296 section 3.4)."""

from __future__ import annotations

from ikescope.wire.payload import Payload, need
from ikescope.wire.registry import KeyExchangeId, PayloadType


class KePayload(Payload, frozen=True, gc=False):
    """Key Exchange payload: the method's number and its public value or ciphertext."""

    group: KeyExchangeId
    data: bytes
    reserved: bytes = b"\0\0"

    @property
    def kind(self) -> PayloadType:
        """KE."""
        return PayloadType.KE

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.group.to_bytes(2, "big") + self.reserved + self.data


def parse_ke(body: bytes, at: int) -> KePayload:
    """Parse the body of a KE payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("KE", body, at, 4)
    return KePayload(KeyExchangeId.of(body[0] << 8 | body[1]), body[4:], body[2:4])
