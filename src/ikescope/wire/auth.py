"""Authentication payload (RFC 7296 section 3.8)."""

from __future__ import annotations

from ikescope.wire.payload import Payload, need
from ikescope.wire.registry import AuthMethod, PayloadType


class AuthPayload(Payload, frozen=True, gc=False):
    """Authentication payload: the method and its authentication data."""

    method: AuthMethod
    data: bytes
    reserved: bytes = b"\0\0\0"

    @property
    def kind(self) -> PayloadType:
        """AUTH."""
        return PayloadType.AUTH

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.method.to_bytes(1, "big") + self.reserved + self.data


def parse_auth(body: bytes, at: int) -> AuthPayload:
    """Parse the body of an AUTH payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("AUTH", body, at, 4)
    return AuthPayload(AuthMethod.of(body[0]), body[4:], body[1:4])
