"""Notify payload (RFC 7296 section 3.10)."""

from __future__ import annotations

import struct

from ikescope.wire.payload import Payload, malformed, need
from ikescope.wire.registry import NotifyType, PayloadType, ProtocolId

_HEAD = struct.Struct("!BBH")


class NotifyPayload(Payload, frozen=True, gc=False):
    """Notify payload: the type, its data, and the SA it is about where there is one (REKEY_SA, CHILD_SA_NOT_FOUND)."""

    notify_type: NotifyType
    data: bytes = b""
    protocol: ProtocolId = ProtocolId.NONE
    spi: bytes = b""

    @property
    def kind(self) -> PayloadType:
        """NOTIFY."""
        return PayloadType.NOTIFY

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return _HEAD.pack(self.protocol, len(self.spi), self.notify_type) + self.spi + self.data


def parse_notify(body: bytes, at: int) -> NotifyPayload:
    """Parse the body of a Notify payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("NOTIFY", body, at, _HEAD.size)
    protocol, spi_size, notify_type = _HEAD.unpack_from(body)
    start = _HEAD.size + spi_size
    if start > len(body):
        raise malformed("NOTIFY", "SPI size", at + 1, spi_size, f"at most {len(body) - _HEAD.size}")
    return NotifyPayload(NotifyType.of(notify_type), body[start:], ProtocolId.of(protocol), body[_HEAD.size : start])
