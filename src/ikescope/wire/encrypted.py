"""Encrypted payload SK (RFC 7296 section 3.14) and Encrypted Fragment payload SKF (RFC 7383 section 2.5)."""

from __future__ import annotations

import struct

from ikescope.wire.payload import Payload, malformed, need
from ikescope.wire.registry import PayloadType

_FRAGMENT = struct.Struct("!HH")


class EncryptedPayload(Payload, frozen=True, gc=False):
    """Encrypted and Authenticated payload: `body` is IV, ciphertext and ICV; `first_payload` the first one inside."""

    first_payload: PayloadType
    body: bytes

    @property
    def kind(self) -> PayloadType:
        """SK."""
        return PayloadType.SK

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.body


class EncryptedFragmentPayload(Payload, frozen=True, gc=False):
    """Fragment `number` (from 1) of `total`; `first_payload` is that of the whole message in the first, else 0."""

    first_payload: PayloadType
    number: int
    total: int
    body: bytes

    @property
    def kind(self) -> PayloadType:
        """SKF."""
        return PayloadType.SKF

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return _FRAGMENT.pack(self.number, self.total) + self.body


def parse_sk(first_payload: PayloadType, body: bytes, at: int) -> EncryptedPayload:
    """Parse the body of an SK payload, whose next payload field was `first_payload`; every body is one."""
    return EncryptedPayload(first_payload, body)


def parse_skf(first_payload: PayloadType, body: bytes, at: int) -> EncryptedFragmentPayload:
    """Parse the body of an SKF payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("SKF", body, at, _FRAGMENT.size)
    number, total = _FRAGMENT.unpack_from(body)
    if not 1 <= number <= total:
        raise malformed("SKF", "fragment number", at, f"{number} of {total}", "1 to the total")
    return EncryptedFragmentPayload(first_payload, number, total, body[_FRAGMENT.size :])
