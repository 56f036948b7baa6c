"""Nonce payload (RFC 7296 section 3.9)."""

from __future__ import annotations

from ikescope.wire.payload import Payload, malformed
from ikescope.wire.registry import PayloadType

MIN_NONCE_OCTETS = 16
MAX_NONCE_OCTETS = 256


class NoncePayload(Payload, frozen=True, gc=False):
    """Nonce payload: 16 to 256 random octets."""

    data: bytes

    @property
    def kind(self) -> PayloadType:
        """NONCE."""
        return PayloadType.NONCE

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.data


def parse_nonce(body: bytes, at: int) -> NoncePayload:
    """Parse the body of a Nonce payload that begins at offset `at`.

    Raises DecodeError.
    """
    ##= rfc7296#section-3.9
    ##% The size of the Nonce Data MUST be between 16 and 256 octets,
    ##% inclusive.
    if not MIN_NONCE_OCTETS <= len(body) <= MAX_NONCE_OCTETS:
        wanted = f"{MIN_NONCE_OCTETS} to {MAX_NONCE_OCTETS}"
        raise malformed("N", "nonce octets", at, len(body), wanted)
    return NoncePayload(body)
