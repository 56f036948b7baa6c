"""Finding and making the payloads that several exchanges share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from ikescope.config.model import Address
from ikescope.engine.errors import InvalidSyntax
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import NotifyType, PayloadType
from ikescope.wire.vendor import VendorIdPayload

P = TypeVar("P", bound=Payload)

VENDOR_ID = b"ikescope"
"""The only Vendor ID we send: our own name, for what ikescopes say to each other alone."""


def need(payloads: Sequence[Payload], kind: PayloadType, form: type[P]) -> P:
    """The first payload of a type; InvalidSyntax without one."""
    found = optional(payloads, kind, form)
    if found is None:
        raise InvalidSyntax(f"{kind.short} payload: had none, wanted one")
    return found


def optional(payloads: Sequence[Payload], kind: PayloadType, form: type[P]) -> P | None:
    """The first payload of a type, or None."""
    for payload in payloads:
        if payload.kind == kind and isinstance(payload, form):
            return payload
    return None


def notify_of(payloads: Sequence[Payload], kind: NotifyType) -> NotifyPayload | None:
    """The first Notify payload of a type, or None."""
    for payload in payloads:
        if isinstance(payload, NotifyPayload) and payload.notify_type == kind:
            return payload
    return None


def error_notify(payloads: Sequence[Payload]) -> NotifyPayload | None:
    """The first error notify of a message, or None."""
    for payload in payloads:
        if isinstance(payload, NotifyPayload) and payload.notify_type.is_error:
            return payload
    return None


def nat_hash(spi_i: bytes, spi_r: bytes, address: Address, port: int) -> bytes:
    """The data of a NAT detection notify: SHA-1 over SPIs, address and port (RFC 7296 section 2.23)."""
    return hashlib.sha1(spi_i + spi_r + address.packed + port.to_bytes(2, "big"), usedforsecurity=False).digest()


def is_ikescope(payloads: Sequence[Payload]) -> bool:
    """Whether the peer says that it is an ikescope."""
    return any(isinstance(payload, VendorIdPayload) and payload.data == VENDOR_ID for payload in payloads)
