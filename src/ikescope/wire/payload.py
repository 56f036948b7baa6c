"""What every payload has in common, and how a decoding failure is put into words."""

from __future__ import annotations

import msgspec

from ikescope.errors import DecodeError
from ikescope.wire.registry import PayloadType

#: Octets of the generic payload header (RFC 7296 section 3.2).
GENERIC_OCTETS = 4
#: The critical bit in the second octet of the generic payload header; the other seven are reserved.
CRITICAL = 0x80


class Payload(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all payloads: an immutable value without its generic header's lengths (RFC 7296 section 3.2).

    `critical` is the critical bit; `header_reserved` the seven reserved bits beside it, kept so that what was parsed
    encodes to the same octets.
    """

    critical: bool = False
    header_reserved: int = 0

    @property
    def kind(self) -> PayloadType:
        """The payload type."""
        raise AssertionError(f"{type(self).__name__} has no payload type")

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        raise AssertionError(f"{type(self).__name__} has no encoding")


def malformed(payload: str, field: str, offset: int, had: object, wanted: object) -> DecodeError:
    """Return the error for octets at `offset` of the datagram that do not form `payload`."""
    noun = payload if payload.endswith("header") else f"{payload} payload"
    return DecodeError(
        f"{noun} at offset {offset}: {field}: had {had}, wanted {wanted}",
        payload=payload,
        field=field,
        offset=offset,
        had=had,
        wanted=wanted,
    )


def need(payload: str, body: bytes, at: int, octets: int) -> None:
    """Refuse a body shorter than `octets`; `at` is its offset in the datagram.

    Raises DecodeError.
    """
    if len(body) < octets:
        raise malformed(payload, "length", at, len(body) + GENERIC_OCTETS, f"at least {octets + GENERIC_OCTETS}")
