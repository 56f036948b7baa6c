"""Certificate and Certificate Request payloads (RFC 7296 sections 3.6 and 3.7)."""

from __future__ import annotations

from ikescope.wire.payload import Payload, need
from ikescope.wire.registry import CertEncoding, PayloadType


class CertPayload(Payload, frozen=True, gc=False):
    """Certificate payload: the encoding and the certificate data."""

    encoding: CertEncoding
    data: bytes

    @property
    def kind(self) -> PayloadType:
        """CERT."""
        return PayloadType.CERT

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.encoding.to_bytes(1, "big") + self.data


class CertReqPayload(Payload, frozen=True, gc=False):
    """Certificate Request payload: the encoding and, for X.509, concatenated 20-octet hashes of trusted CAs' keys."""

    encoding: CertEncoding
    authorities: bytes

    @property
    def kind(self) -> PayloadType:
        """CERTREQ."""
        return PayloadType.CERTREQ

    def encode_body(self) -> bytes:
        """Return the octets after the generic payload header."""
        return self.encoding.to_bytes(1, "big") + self.authorities


def parse_cert(body: bytes, at: int) -> CertPayload:
    """Parse the body of a CERT payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("CERT", body, at, 1)
    return CertPayload(CertEncoding.of(body[0]), body[1:])


def parse_certreq(body: bytes, at: int) -> CertReqPayload:
    """Parse the body of a CERTREQ payload that begins at offset `at`.

    Raises DecodeError.
    """
    need("CERTREQ", body, at, 1)
    return CertReqPayload(CertEncoding.of(body[0]), body[1:])
