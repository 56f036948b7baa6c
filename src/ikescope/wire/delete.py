"""Delete payload (RFC 7296 section 3.11)."""

from __future__ import annotations

import struct

from ikescope.wire.payload import Payload, malformed, need
from ikescope.wire.registry import PayloadType, ProtocolId

_HEAD = struct.Struct("!BBH")
#: The SPI size of each protocol (RFC 7296 section 3.11); others are not judged.
SPI_OCTETS: dict[int, int] = {ProtocolId.IKE: 0, ProtocolId.AH: 4, ProtocolId.ESP: 4}


class DeletePayload(Payload, frozen=True, gc=False):
    """Delete payload: the protocol and the SPIs that the sender expects in its inbound packets; none for IKE.

    `empty_spi_size` is what the SPI size octet says where there are no SPIs.
    """

    protocol: ProtocolId
    spis: tuple[bytes, ...] = ()
    empty_spi_size: int = 0

    @property
    def kind(self) -> PayloadType:
        """DELETE."""
        return PayloadType.DELETE

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        size = len(self.spis[0]) if self.spis else self.empty_spi_size
        return _HEAD.pack(self.protocol, size, len(self.spis)) + b"".join(self.spis)


def parse_delete(body: bytes, at: int) -> DeletePayload:
    """Parse the body of a Delete payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("DELETE", body, at, _HEAD.size)
    protocol, size, count = _HEAD.unpack_from(body)
    ##= rfc7296#section-3.11
    ##% It MUST be zero for IKE (SPI is in message header) or four for AH and ESP.
    wanted_size = SPI_OCTETS.get(protocol, size)
    if count and (size != wanted_size or not size):
        wanted = f"{wanted_size} for {ProtocolId.of(protocol)}" if size else f"an SPI size for {count} SPIs"
        raise malformed("DELETE", "SPI size", at + 1, size, wanted)
    if len(body) != _HEAD.size + size * count:
        raise malformed("DELETE", "octets of SPIs", at + _HEAD.size, len(body) - _HEAD.size, size * count)
    spis = tuple([body[start : start + size] for start in range(_HEAD.size, len(body), size)]) if count else ()
    return DeletePayload(ProtocolId.of(protocol), spis, 0 if count else size)
