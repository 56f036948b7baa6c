"""Octets of IKE messages with what identifies somebody replaced: written anew payload by payload, or not at all.

What cannot be written anew (ciphertext, AUTH, certificates, EAP, payloads and attributes that are not known) becomes
zeros of the same length. Public values of key exchanges, nonces and vendor IDs stay.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

from msgspec.structs import replace

from ikescope.errors import DecodeError, LocalError
from ikescope.views.aliases import Aliases
from ikescope.wire import (
    AuthPayload,
    CertPayload,
    CertReqPayload,
    CpPayload,
    CpValue,
    DeletePayload,
    EapPayload,
    EncryptedFragmentPayload,
    EncryptedPayload,
    IdPayload,
    Message,
    NotifyPayload,
    Payload,
    SaPayload,
    TsPayload,
    UnknownPayload,
    encode_chain,
    parse_chain,
)
from ikescope.wire.registry import CpAttribute, IdType, NotifyType, PayloadType

#: Notify data that says nothing of anybody.
PLAIN_NOTIFIES = {
    NotifyType.INVALID_KE_PAYLOAD,
    NotifyType.SET_WINDOW_SIZE,
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
    NotifyType.SIGNATURE_HASH_ALGORITHMS,
    NotifyType.AUTH_LIFETIME,
}
NAT_NOTIFIES = {NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP}
#: Configuration attributes that begin with an address -> its octets.
CP_ADDRESSES: dict[int, int] = {
    **{getattr(CpAttribute, f"INTERNAL_IP4_{name}"): 4 for name in ("ADDRESS", "DNS", "NBNS", "DHCP", "SUBNET")},
    **{getattr(CpAttribute, f"INTERNAL_IP6_{name}"): 16 for name in ("ADDRESS", "DNS", "DHCP", "SUBNET", "PREFIX")},
}
CP_PLAIN = {CpAttribute.INTERNAL_IP4_NETMASK, CpAttribute.SUPPORTED_ATTRIBUTES}
ADDRESS_OCTETS = (4, 16)

Ends = tuple[tuple[str, int], tuple[str, int]]
"""Source and destination of a message: address as text and port."""


class Octets:
    """Rewrites messages by the replacements of `aliases`; `meet` first, as there."""

    def __init__(self, aliases: Aliases) -> None:
        self._aliases = aliases

    # What there is.

    def meet(self, octets: bytes) -> None:
        """A whole message."""
        try:
            message = Message.parse(octets)
        except DecodeError:
            return
        for spi in (message.spi_i, message.spi_r):
            self._aliases.meet_spi(spi.hex())
        self._meet_chain(message.payloads)

    def meet_opened(self, first: int, octets: bytes) -> None:
        """The payloads inside an Encrypted payload."""
        try:
            self._meet_chain(parse_chain(PayloadType.of(first), octets, inside=True))
        except DecodeError:
            return

    def _meet_chain(self, payloads: tuple[Payload, ...]) -> None:
        for payload in payloads:
            for address in _addresses(payload):
                self._aliases.meet_address(str(ip_address(address)))
            for spi in _spis(payload):
                self._aliases.meet_spi(spi.hex())
            if isinstance(payload, IdPayload) and len(payload.data) not in ADDRESS_OCTETS:
                self._aliases.meet_identity(payload.id_type, payload.data.decode("utf-8", errors="replace"))

    # What stands for it.

    def message(self, octets: bytes, ends: Ends) -> bytes | None:
        """A message written anew; `ends` as it was sent. None where it cannot be."""
        try:
            message = Message.parse(octets)
            new = replace(message, spi_i=self._spi(message.spi_i), spi_r=self._spi(message.spi_r))
            payloads = tuple(self._payload(payload) for payload in message.payloads)
            payloads = tuple(self._nat(payload, message, new, ends) for payload in payloads)
            return replace(new, payloads=payloads).encode()
        except (DecodeError, LocalError):
            return None

    def opened(self, first: int, octets: bytes) -> bytes | None:
        """The payloads inside an Encrypted payload written anew; None where they cannot be."""
        try:
            chain = parse_chain(PayloadType.of(first), octets, inside=True)
            return encode_chain(self._payload(payload) for payload in chain)[1]
        except (DecodeError, LocalError):
            return None

    def _spi(self, spi: bytes) -> bytes:
        return bytes.fromhex(self._aliases.spi(spi.hex()))

    def _packed(self, address: bytes) -> bytes:
        return self._aliases.address(ip_address(address)).packed

    def _payload(self, payload: Payload) -> Payload:
        rewrite = REWRITES.get(type(payload))
        return payload if rewrite is None else rewrite(self, payload)

    def _identity(self, payload: IdPayload) -> Payload:
        if payload.id_type in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR):
            known = len(payload.data) in ADDRESS_OCTETS
            return replace(payload, data=self._packed(payload.data) if known else bytes(len(payload.data)))
        if payload.id_type in (IdType.ID_FQDN, IdType.ID_RFC822_ADDR, IdType.ID_KEY_ID):
            text = payload.data.decode("utf-8", errors="replace")
            return replace(payload, data=self._aliases.identity(payload.id_type, text).encode())
        return replace(payload, data=bytes(len(payload.data)))

    def _selectors(self, payload: TsPayload) -> Payload:
        new = tuple(
            replace(one, start=self._packed(one.start), end=self._packed(one.end))
            if one.readable
            else replace(one, opaque=bytes(len(one.opaque)))
            for one in payload.selectors
        )
        return replace(payload, selectors=new)

    def _proposals(self, payload: SaPayload) -> Payload:
        new = tuple(replace(one, spi=self._spi(one.spi)) for one in payload.proposals)
        return replace(payload, proposals=new)

    def _delete(self, payload: DeletePayload) -> Payload:
        return replace(payload, spis=tuple(self._spi(spi) for spi in payload.spis))

    def _notify(self, payload: NotifyPayload) -> Payload:
        plain = payload.notify_type in PLAIN_NOTIFIES or payload.notify_type in NAT_NOTIFIES
        return replace(payload, spi=self._spi(payload.spi), data=payload.data if plain else bytes(len(payload.data)))

    def _nat(self, payload: Payload, old: Message, new: Message, ends: Ends) -> Payload:
        """A NAT detection hash of the new SPIs and address where it was one of the old; zeros behind a NAT."""
        if not isinstance(payload, NotifyPayload) or payload.notify_type not in NAT_NOTIFIES:
            return payload
        host, port = ends[payload.notify_type == NotifyType.NAT_DETECTION_DESTINATION_IP]
        address = ip_address(host).packed
        if payload.data != nat_hash(old, address, port):
            return replace(payload, data=bytes(len(payload.data)))
        return replace(payload, data=nat_hash(new, self._packed(address), port))

    def _configuration(self, payload: CpPayload) -> Payload:
        return replace(payload, attributes=tuple(self._attribute(one) for one in payload.attributes))

    def _attribute(self, one: CpValue) -> CpValue:
        octets = CP_ADDRESSES.get(one.type, 0)
        if octets and len(one.value) >= octets:
            return replace(one, value=self._packed(one.value[:octets]) + one.value[octets:])
        return one if one.type in CP_PLAIN else replace(one, value=bytes(len(one.value)))


def nat_hash(message: Message, address: bytes, port: int) -> bytes:
    """The NAT detection hash (RFC 7296 section 2.23) over a message's SPIs and an end, address packed."""
    return hashlib.sha1(message.spi_i + message.spi_r + address + port.to_bytes(2, "big")).digest()


def _addresses(payload: Payload) -> Iterator[bytes]:
    if isinstance(payload, TsPayload):
        for one in payload.selectors:
            if one.readable:
                yield from (one.start, one.end)
    elif isinstance(payload, IdPayload) and payload.id_type in (IdType.ID_IPV4_ADDR, IdType.ID_IPV6_ADDR):
        if len(payload.data) in ADDRESS_OCTETS:
            yield payload.data
    elif isinstance(payload, CpPayload):
        for each in payload.attributes:
            octets = CP_ADDRESSES.get(each.type, 0)
            if octets and len(each.value) >= octets:
                yield each.value[:octets]


def _spis(payload: Payload) -> Iterator[bytes]:
    if isinstance(payload, SaPayload):
        yield from (one.spi for one in payload.proposals if one.spi)
    elif isinstance(payload, DeletePayload):
        yield from payload.spis
    elif isinstance(payload, NotifyPayload) and payload.spi:
        yield payload.spi


def _zeros(field: str) -> Callable[[Octets, Any], Payload]:
    def rewrite(_: Octets, payload: Any) -> Payload:
        blank: Payload = replace(payload, **{field: bytes(len(getattr(payload, field)))})
        return blank

    return rewrite


#: How each payload is written anew; those that are not here stay (KE, nonce, vendor ID).
REWRITES: dict[type[Payload], Callable[[Octets, Any], Payload]] = {
    IdPayload: Octets._identity,
    TsPayload: Octets._selectors,
    SaPayload: Octets._proposals,
    DeletePayload: Octets._delete,
    NotifyPayload: Octets._notify,
    CpPayload: Octets._configuration,
    AuthPayload: _zeros("data"),
    CertPayload: _zeros("data"),
    CertReqPayload: _zeros("authorities"),
    EapPayload: _zeros("data"),
    EncryptedPayload: _zeros("body"),
    EncryptedFragmentPayload: _zeros("body"),
    UnknownPayload: _zeros("body"),
}
