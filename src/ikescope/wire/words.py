"""Values of single fields in words, for message viewers."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address

from ikescope.wire.identification import IdPayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.openenum import OpenEnum
from ikescope.wire.registry import HashAlgorithm, IdType, NotifyType
from ikescope.wire.sa import Transform
from ikescope.wire.ts import TrafficSelector

Words = Callable[[bytes], str]

#: Octets of an opaque value that are spelled out before it is cut.
MAX_SHOWN_OCTETS = 32


def octets(data: bytes) -> str:
    """Hex, cut after 32 octets, with the size of what was cut."""
    if len(data) <= MAX_SHOWN_OCTETS:
        return data.hex() or "empty"
    return f"{data[:MAX_SHOWN_OCTETS].hex()}... ({len(data)} octets)"


def counted(count: int, noun: str) -> str:
    """A count with its noun: 1 proposal, 2 proposals."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def number(data: bytes) -> str:
    """A big-endian number."""
    return str(int.from_bytes(data, "big"))


def named(enum: type[OpenEnum]) -> Words:
    """A number of a registry as NAME (number)."""
    return lambda data: str(enum.of(int.from_bytes(data, "big")))


def text_or_octets(data: bytes) -> str:
    """ASCII text where it is printable, else hex."""
    if data and data.isascii() and data.decode("ascii").isprintable():
        return data.decode("ascii")
    return octets(data)


def address_or_octets(data: bytes) -> str:
    """An IPv4 or IPv6 address where the size is one's, else hex."""
    return str(ip_address(data)) if len(data) in (4, 16) else octets(data)


#: How the data of an ID is put into words (RFC 7296 section 3.5).
ID_WORDS: dict[int, Words] = {
    IdType.ID_IPV4_ADDR: address_or_octets,
    IdType.ID_IPV6_ADDR: address_or_octets,
    IdType.ID_FQDN: text_or_octets,
    IdType.ID_RFC822_ADDR: text_or_octets,
    IdType.ID_KEY_ID: text_or_octets,
}


def identity_words(payload: IdPayload) -> str:
    """The identity alone: an address, a name, or hex."""
    return ID_WORDS.get(payload.id_type, octets)(payload.data)


def _hashes(data: bytes) -> str:
    return " ".join(HashAlgorithm.of(int.from_bytes(data[at : at + 2], "big")).label for at in range(0, len(data), 2))


#: How the data of a notify is put into words where it has a form of its own.
NOTIFY_WORDS: dict[int, Words] = {
    NotifyType.SET_WINDOW_SIZE: number,
    NotifyType.AUTH_LIFETIME: number,
    NotifyType.INVALID_KE_PAYLOAD: lambda data: f"group {number(data)}",
    NotifyType.SIGNATURE_HASH_ALGORITHMS: _hashes,
    NotifyType.ADDITIONAL_IP4_ADDRESS: address_or_octets,
    NotifyType.ADDITIONAL_IP6_ADDRESS: address_or_octets,
}


def notify_words(payload: NotifyPayload) -> str:
    """The notification data in words."""
    return NOTIFY_WORDS.get(payload.notify_type, octets)(payload.data)


def transform_words(transform: Transform) -> str:
    """A transform in one line: ENCR_AES_CBC (12), 256 bits."""
    bits = transform.key_length
    return f"{transform.id}, {bits} bits" if bits is not None else str(transform.id)


def selector_words(selector: TrafficSelector) -> str:
    """A selector in one line: protocol, ports, addresses."""
    if not selector.readable:
        return f"{selector.ts_type}: {octets(selector.opaque)}"
    addresses = f"{selector.first} - {selector.last}"
    return f"protocol {selector.protocol or 'any'}, ports {selector.start_port} - {selector.end_port}, {addresses}"
