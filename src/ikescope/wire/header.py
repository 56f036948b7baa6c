"""The IKE header (RFC 7296 section 3.1)."""

from __future__ import annotations

import struct

import msgspec

from ikescope.errors import LocalError
from ikescope.wire.payload import malformed
from ikescope.wire.registry import ExchangeType, PayloadType

HEADER_OCTETS = 28
SPI_OCTETS = 8
NO_SPI = b"\0" * SPI_OCTETS
#: IKEv2: major version 2, minor 0.
VERSION_2_0 = 0x20

FLAG_INITIATOR = 0x08
FLAG_VERSION = 0x10
FLAG_RESPONSE = 0x20

_HEADER = struct.Struct("!8s8sBBBBII")


class Header(msgspec.Struct, frozen=True, gc=False):
    """The 28 octets before the payloads; SPIs are 8 octets each, `length` counts the header too."""

    spi_i: bytes
    spi_r: bytes
    next_payload: PayloadType
    version: int
    exchange: ExchangeType
    flags: int
    message_id: int
    length: int

    @classmethod
    def parse(cls, data: bytes, offset: int = 0) -> Header:
        """Parse the header at `offset`; nothing but its size is judged.

        Raises DecodeError.
        """
        if len(data) - offset < HEADER_OCTETS:
            had = max(len(data) - offset, 0)
            raise malformed("IKE header", "length", offset, had, HEADER_OCTETS)
        spi_i, spi_r, first, version, exchange, flags, message_id, length = _HEADER.unpack_from(data, offset)
        return cls(spi_i, spi_r, PayloadType.of(first), version, ExchangeType.of(exchange), flags, message_id, length)

    def encode(self) -> bytes:
        """Return the 28 octets.

        Raises LocalError where a field does not fit.
        """
        if len(self.spi_i) != SPI_OCTETS or len(self.spi_r) != SPI_OCTETS:
            had = f"{len(self.spi_i)} and {len(self.spi_r)}"
            raise LocalError(f"IKE header: SPI octets: had {had}, wanted {SPI_OCTETS}")
        tail = (self.next_payload, self.version, self.exchange, self.flags, self.message_id, self.length)
        try:
            return _HEADER.pack(self.spi_i, self.spi_r, *tail)
        except struct.error as error:
            raise LocalError(f"IKE header: a field does not fit: {error}") from error

    @property
    def initiator(self) -> bool:
        """Whether the original initiator of the IKE SA sent it."""
        return bool(self.flags & FLAG_INITIATOR)

    @property
    def response(self) -> bool:
        """Whether it is a response."""
        return bool(self.flags & FLAG_RESPONSE)

    @property
    def major_version(self) -> int:
        """The upper four bits of the version octet."""
        return self.version >> 4

    @property
    def minor_version(self) -> int:
        """The lower four bits of the version octet."""
        return self.version & 0x0F
