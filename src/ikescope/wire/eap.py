"""EAP payload (RFC 7296 section 3.16)."""

from __future__ import annotations

import struct

from ikescope.wire.payload import Payload, malformed, need
from ikescope.wire.registry import EapCode, EapType, PayloadType

_HEAD = struct.Struct("!BBH")
_TYPED = (EapCode.REQUEST, EapCode.RESPONSE)


class EapPayload(Payload, frozen=True, gc=False):
    """EAP payload: one EAP message; `data` is all after its length, in requests and responses the method type first."""

    code: EapCode
    identifier: int
    data: bytes = b""

    @property
    def kind(self) -> PayloadType:
        """EAP."""
        return PayloadType.EAP

    @property
    def method(self) -> EapType | None:
        """The method type of a request or a response, else None."""
        return EapType.of(self.data[0]) if self.code in _TYPED and self.data else None

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return _HEAD.pack(self.code, self.identifier, _HEAD.size + len(self.data)) + self.data


def parse_eap(body: bytes, at: int) -> EapPayload:
    """Parse the body of an EAP payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("EAP", body, at, _HEAD.size)
    code, identifier, length = _HEAD.unpack_from(body)
    if length != len(body):
        raise malformed("EAP", "EAP length", at + 2, length, len(body))
    return EapPayload(EapCode.of(code), identifier, body[_HEAD.size :])
