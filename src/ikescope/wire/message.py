"""A whole IKE message: header and chain of payloads, both ways, losslessly (RFC 7296 sections 3.1 and 3.2)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from ikescope.errors import LocalError
from ikescope.wire.auth import parse_auth
from ikescope.wire.cert import parse_cert, parse_certreq
from ikescope.wire.cp import parse_cp
from ikescope.wire.delete import parse_delete
from ikescope.wire.eap import parse_eap
from ikescope.wire.encrypted import EncryptedFragmentPayload, EncryptedPayload, parse_sk, parse_skf
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE, HEADER_OCTETS, VERSION_2_0, Header
from ikescope.wire.identification import parse_idi, parse_idr
from ikescope.wire.ke import parse_ke
from ikescope.wire.nonce import parse_nonce
from ikescope.wire.notify import NotifyPayload, parse_notify
from ikescope.wire.payload import CRITICAL, GENERIC_OCTETS, Payload, malformed
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType
from ikescope.wire.sa import parse_sa
from ikescope.wire.ts import parse_tsi, parse_tsr
from ikescope.wire.unknown import UnknownPayload
from ikescope.wire.vendor import parse_vendor

#: Payloads that one chain may hold.
MAX_PAYLOADS = 256

P = TypeVar("P", bound=Payload)

_GENERIC = struct.Struct("!BBH")
_MAX_LENGTH = 0xFFFF

#: How each payload's body is read; the body's offset in the datagram is for the error's text.
PARSERS: dict[int, Callable[[bytes, int], Payload]] = {
    PayloadType.SA: parse_sa,
    PayloadType.KE: parse_ke,
    PayloadType.IDI: parse_idi,
    PayloadType.IDR: parse_idr,
    PayloadType.CERT: parse_cert,
    PayloadType.CERTREQ: parse_certreq,
    PayloadType.AUTH: parse_auth,
    PayloadType.NONCE: parse_nonce,
    PayloadType.NOTIFY: parse_notify,
    PayloadType.DELETE: parse_delete,
    PayloadType.VENDOR: parse_vendor,
    PayloadType.TSI: parse_tsi,
    PayloadType.TSR: parse_tsr,
    PayloadType.CP: parse_cp,
    PayloadType.EAP: parse_eap,
}
#: The same for the two whose next payload field names the first payload inside them.
ENCRYPTED_PARSERS: dict[int, Callable[[PayloadType, bytes, int], Payload]] = {
    PayloadType.SK: parse_sk,
    PayloadType.SKF: parse_skf,
}


class Message(msgspec.Struct, frozen=True, gc=False):
    """An IKE message; `initiator` and `response` are the header's flags, `other_flags` its other six bits."""

    spi_i: bytes
    spi_r: bytes
    exchange: ExchangeType
    message_id: int
    payloads: tuple[Payload, ...]
    initiator: bool
    response: bool
    version: int = VERSION_2_0
    other_flags: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Parse a datagram without its non-ESP marker; the version is not judged here.

        Raises DecodeError.
        """
        data = bytes(data)
        header = Header.parse(data)
        if header.length != len(data):
            raise malformed("IKE header", "message length", 24, header.length, len(data))
        flags = header.flags
        return cls(
            header.spi_i,
            header.spi_r,
            header.exchange,
            header.message_id,
            parse_chain(header.next_payload, data, HEADER_OCTETS),
            bool(flags & FLAG_INITIATOR),
            bool(flags & FLAG_RESPONSE),
            header.version,
            flags & ~(FLAG_INITIATOR | FLAG_RESPONSE),
        )

    def encode(self) -> bytes:
        """Return the datagram's octets, lengths filled in.

        Raises LocalError where a field does not fit.
        """
        first, chain = encode_chain(self.payloads)
        return self.header(first, len(chain)).encode() + chain

    def header(self, first: PayloadType, octets: int) -> Header:
        """Return the header of this message before `octets` of payloads that begin with a `first`."""
        flags = self.other_flags | (FLAG_INITIATOR if self.initiator else 0) | (FLAG_RESPONSE if self.response else 0)
        length = HEADER_OCTETS + octets
        return Header(self.spi_i, self.spi_r, first, self.version, self.exchange, flags, self.message_id, length)

    def first(self, kind: PayloadType) -> Payload | None:
        """The first payload of a type, or None."""
        return first_of(self.payloads, kind)

    def all(self, kind: PayloadType) -> tuple[Payload, ...]:
        """All payloads of a type, in order."""
        return tuple(payload for payload in self.payloads if payload.kind == kind)

    def find(self, cls: type[P], kind: PayloadType | None = None) -> P | None:
        """The first payload of a class (and, for IDs and traffic selectors, of a type), or None."""
        return find(self.payloads, cls, kind)

    def notify(self, notify_type: NotifyType) -> NotifyPayload | None:
        """The first Notify of a type, or None."""
        return next((notify for notify in self.notifies() if notify.notify_type == notify_type), None)

    def notifies(self) -> tuple[NotifyPayload, ...]:
        """All Notify payloads, in order."""
        return tuple(payload for payload in self.payloads if isinstance(payload, NotifyPayload))

    @property
    def encrypted(self) -> EncryptedPayload | EncryptedFragmentPayload | None:
        """The SK or SKF payload, or None."""
        last = self.payloads[-1] if self.payloads else None
        return last if isinstance(last, EncryptedPayload | EncryptedFragmentPayload) else None

    @property
    def sk_offset(self) -> int | None:
        """Where the generic header of the SK or SKF payload begins in the datagram; None without one.

        The associated data of an AEAD reaches from the message's start to the end of that header, for SKF to the end of
        its fragment numbers (RFC 5282 section 5.1, RFC 7383 section 2.5).
        """
        if self.encrypted is None:
            return None
        return HEADER_OCTETS + len(encode_chain(self.payloads[:-1])[1]) if len(self.payloads) > 1 else HEADER_OCTETS


def first_of(payloads: Iterable[Payload], kind: PayloadType) -> Payload | None:
    """The first payload of a type, or None."""
    return next((payload for payload in payloads if payload.kind == kind), None)


def find(payloads: Iterable[Payload], cls: type[P], kind: PayloadType | None = None) -> P | None:
    """The first payload of a class (and, for IDs and traffic selectors, of a type), or None."""
    for payload in payloads:
        if isinstance(payload, cls) and (kind is None or payload.kind == kind):
            return payload
    return None


def parse_chain(first: PayloadType, data: bytes, offset: int = 0, *, inside: bool = False) -> tuple[Payload, ...]:
    """Parse a chain of payloads from `offset` to the end of `data`; `inside` is True for opened octets.

    An SK or SKF payload ends the chain. Raises DecodeError.
    """
    payloads: list[Payload] = []
    kind, end = first, len(data)
    while kind:
        name = kind.short
        if len(payloads) == MAX_PAYLOADS:
            raise malformed(name, "payloads", offset, "more", f"at most {MAX_PAYLOADS}")
        if end - offset < GENERIC_OCTETS:
            raise malformed(name, "generic header", offset, end - offset, GENERIC_OCTETS)
        following, flags, length = _GENERIC.unpack_from(data, offset)
        stop = offset + length
        if length < GENERIC_OCTETS or stop > end:
            raise malformed(name, "length", offset, length, f"{GENERIC_OCTETS} to {end - offset}")
        at = offset + GENERIC_OCTETS
        following = PayloadType.of(following)
        parser = PARSERS.get(kind)
        if parser is not None:
            payload = parser(data[at:stop], at)
        elif kind in ENCRYPTED_PARSERS:
            _check_encrypted_place(name, offset, end - stop, inside)
            payload = ENCRYPTED_PARSERS[kind](following, data[at:stop], at)
            following = PayloadType.NO_NEXT
        else:
            payload = UnknownPayload(kind, data[at:stop])
        if flags:
            critical, reserved = bool(flags & CRITICAL), flags & ~CRITICAL
            payload = msgspec.structs.replace(payload, critical=critical, header_reserved=reserved)
        payloads.append(payload)
        offset, kind = stop, following
    if offset != end:
        last = payloads[-1].kind.short if payloads else "IKE header"
        raise malformed(last, "octets after the last payload", offset, end - offset, 0)
    return tuple(payloads)


def _check_encrypted_place(name: str, offset: int, after: int, inside: bool) -> None:
    ##= rfc7296#section-3.1
    ##% An Encrypted payload MUST be the last payload
    ##% in a packet and an Encrypted payload MUST NOT contain another
    ##% Encrypted payload.
    if inside:
        raise malformed(name, "place", offset, "inside an Encrypted payload", "outside")
    if after:
        raise malformed(name, "octets after it", offset, after, 0)


def encode_chain(payloads: Iterable[Payload]) -> tuple[PayloadType, bytes]:
    """Return the type of the first payload and the chain's octets.

    Raises LocalError where a field does not fit.
    """
    chain = tuple(payloads)
    parts: list[bytes] = []
    last = len(chain) - 1
    for index, payload in enumerate(chain):
        body = _encode_body(payload)
        length = GENERIC_OCTETS + len(body)
        if length > _MAX_LENGTH:
            raise LocalError(f"{payload.kind.short} payload: length: had {length}, wanted at most {_MAX_LENGTH}")
        following = chain[index + 1].kind if index < last else _after_last(payload)
        flags = payload.header_reserved | (CRITICAL if payload.critical else 0)
        parts.append(_GENERIC.pack(following, flags, length))
        parts.append(body)
    return (chain[0].kind if chain else PayloadType.NO_NEXT), b"".join(parts)


def _after_last(payload: Payload) -> PayloadType:
    if isinstance(payload, EncryptedPayload | EncryptedFragmentPayload):
        return payload.first_payload
    return PayloadType.NO_NEXT


def _encode_body(payload: Payload) -> bytes:
    try:
        return payload.encode_body()
    except (struct.error, OverflowError, ValueError) as error:
        raise LocalError(f"{payload.kind.short} payload: a field does not fit: {error}") from error
