"""Vendor ID payload (RFC 7296 section 3.12)."""

from __future__ import annotations

from ikescope.wire.payload import Payload
from ikescope.wire.registry import PayloadType


class VendorIdPayload(Payload, frozen=True, gc=False):
    """Vendor ID payload: whatever a vendor chose."""

    data: bytes

    @property
    def kind(self) -> PayloadType:
        """VENDOR."""
        return PayloadType.VENDOR

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.data


def parse_vendor(body: bytes, at: int) -> VendorIdPayload:
    """Parse the body of a Vendor ID payload; every body is one."""
    return VendorIdPayload(body)
