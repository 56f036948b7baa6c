"""A message as ASA spells it out, payload by payload, back into facts and, where the dump holds them all, octets.

ASA omits the length of a key, the octets of AUTH, CERT and CERTREQ data, and the SPI of a proposal: what is omitted is
not known, and a message that lacks any octet has no `octets`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from ikescope.events import UNSET, ProposalFact, SelectorFact, TransformFact
from ikescope.events.base import UNKNOWN
from ikescope.ios import words
from ikescope.wire.registry import PayloadType, ProtocolId, TransformType

#: Bounds of what is kept of one message.
MAX_PAYLOADS = 128
MAX_OCTETS = 1 << 16
MAX_DETAILS = 4096
LONGEST_DETAIL = 256

HEADER = re.compile(
    r"Next payload: (?P<first>\S+), version: (?P<version>\d{1,2}\.\d{1,2})\s+Exchange type: (?P<exchange>\S+), "
    r"flags: (?P<flags>[\w -]{0,60}?)\s+Message id: (?P<message_id>(?:0x)?[0-9A-Fa-f]{1,8}), "
    r"length: (?P<length>\d{1,9})"
)
PAYLOAD = re.compile(
    r"(?P<name>\S{1,80})\s+Next payload: (?P<after>\S+), reserved: 0x(?P<reserved>[0-9A-Fa-f]{1,2}), "
    r"length: (?P<length>\d{1,6})$"
)
HEX = re.compile(r"[0-9a-fA-F]{2}(?: [0-9a-fA-F]{2}){0,31}$")
PROPOSAL = re.compile(r"Proposal: (\d{1,3}), Protocol id: ([\w -]{1,20}), SPI size: (\d{1,3}), #trans: (\d{1,3})")
TRANSFORM = re.compile(r"last transform: 0x\w, reserved: 0x\w+:? length: (\d{1,3})")
TYPE = re.compile(r"type: (\d{1,5}), reserved: 0x\w+, id: (.{1,60})$")
GROUP = re.compile(r"DH group: (\d{1,5}), Reserved")
NOTIFY = re.compile(r"Security protocol id: ([\w -]{1,20}), spi size: (\d{1,3}), type: (\S{1,60})$")
DELETE = re.compile(r"Security protocol id: ([\w -]{1,20}), spi size: (\d{1,3}), num of spi: (\d{1,5})")
ID = re.compile(r"Id type: (.{1,40}?), Reserved")
METHOD = re.compile(r"Auth method (.{1,40}?), reserved")
COUNT = re.compile(r"Num of TSs: (\d{1,3})")
TS = re.compile(r"TS type: TS_(IPV4|IPV6)_ADDR_RANGE, proto id: (\d{1,3}), length: (\d{1,3})")
PORTS = re.compile(r"start port: (\d{1,5}), end port: (\d{1,5})")
ENDS = re.compile(r"start addr: (\S{1,45}), end addr: (\S{1,45})")
_PROTOCOLS = {"IKE": ProtocolId.IKE, "AH": ProtocolId.AH, "ESP": ProtocolId.ESP}
_SHORT = {kind.short: kind for kind in PayloadType}

Dumped = list[tuple[str, str]]


@dataclass(slots=True)
class Payload:
    """One payload of a dump: its name, the length it is said to have, its lines and the octets under them."""

    name: str
    length: int
    after: str
    reserved: int
    details: list[str] = field(default_factory=list)
    octets: bytearray = field(default_factory=bytearray)

    @property
    def kind(self) -> PayloadType | None:
        """Its type; None for a name that we do not know."""
        return _SHORT.get(self.name.partition("(")[0])


@dataclass(slots=True)
class Packet:
    """A message as it is read: header, payloads in the clear, payloads inside, in the order of the text."""

    way: str
    number: int
    sa: int | None
    local: str = ""
    remote: str = ""
    exchange: int | None = None
    response: bool | None = None
    message_id: int | None = None
    spi_i: str = ""
    spi_r: str = ""
    length: int | None = None
    flags: str = ""
    first: str = ""
    clear: list[Payload] = field(default_factory=list)
    inside: list[Payload] = field(default_factory=list)
    opened: bool = False
    told: bool = False
    size: int = 0
    details: int = 0
    current: Payload | None = None

    def payload(self, found: re.Match[str]) -> None:
        """A payload begins."""
        some = self.inside if self.opened else self.clear
        self.current = None
        if len(some) < MAX_PAYLOADS:
            name = found["name"]
            self.current = Payload(name, int(found["length"]), found["after"], int(found["reserved"], 16))
            some.append(self.current)
            # What follows ENCR in the same dump was inside it.
            if name.startswith(("ENCR", "SK")) and self.way != "seal":
                self.opened = True

    def detail(self, text: str) -> None:
        """A line of the payload at hand."""
        current = self.current
        if current is None:
            return
        if HEX.match(text):
            if self.size < MAX_OCTETS:
                current.octets += bytes.fromhex(text)
                self.size += len(text) // 3 + 1
        elif self.details < MAX_DETAILS:
            self.details += 1
            current.details.append(text[:LONGEST_DETAIL])

    def names(self, inside: bool = False) -> tuple[str, ...]:
        """The payloads' names as IOS writes them at its default level."""
        return tuple(one.name for one in (self.inside if inside else self.clear))

    def all(self) -> Sequence[Payload]:
        """Those in the clear, then those inside."""
        return (*self.clear, *self.inside)

    def of(self, *names: str) -> Payload | None:
        """The first payload of these names."""
        return next((one for one in self.all() if one.name in names), None)

    def notifies(self) -> tuple[str, ...]:
        """The names of its notifies."""
        return tuple(one.name[7:-1] for one in self.all() if one.name.startswith("NOTIFY("))


def proposals_of(payload: Payload) -> tuple[ProposalFact, ...]:
    """The proposals that an SA payload's lines spell out; an SPI and a key's length are not among them."""
    made: list[ProposalFact] = []
    head: tuple[int, int, int] | None = None
    transforms: list[TransformFact] | None = []
    attribute = False
    for text in payload.details:
        if found := PROPOSAL.search(text):
            _keep(made, head, transforms)
            protocol = _PROTOCOLS.get(found[2], 0)
            head, transforms = (int(found[1]), int(protocol), int(found[3])), []
        if found := TRANSFORM.search(text):
            attribute = int(found[1]) > 8
        if (found := TYPE.match(text)) and transforms is not None:
            one = _transform(int(found[1]), found[2].strip(), attribute)
            transforms = None if one is None else [*transforms, one]
    _keep(made, head, transforms)
    return tuple(made)


def _keep(made: list[ProposalFact], head: tuple[int, int, int] | None, transforms: list[TransformFact] | None) -> None:
    if head is not None:
        spi = "" if head[2] == 0 else UNKNOWN
        made.append(ProposalFact(head[0], head[1], spi, UNKNOWN if transforms is None else tuple(transforms)))


def _transform(kind: int, text: str, attribute: bool) -> TransformFact | None:
    number = words.transform_number(kind, text)
    length: Any = UNSET if attribute else None
    if number is None and kind == TransformType.ENCR:
        name, _, tail = text.rpartition("-")
        number = words.transform_number(kind, name) if tail.isdigit() else None
        length = int(tail) if number is not None else length
    return None if number is None else TransformFact(kind, number, length)


def selectors_of(payload: Payload) -> tuple[SelectorFact, ...]:
    """The selectors of a TSi or TSr payload."""
    made: list[SelectorFact] = []
    protocol, ports = 0, (0, 65535)
    for text in payload.details:
        if found := TS.match(text):
            protocol, ports = int(found[2]), (0, 65535)
        elif found := PORTS.match(text):
            ports = int(found[1]), int(found[2])
        elif found := ENDS.match(text):
            made.append(SelectorFact(found[1].lower(), found[2].lower(), protocol, *ports))
    return tuple(made)


def known(fact: object) -> bool:
    """Whether the text holds a fact."""
    return fact is not UNSET


def spelled(proposals: Sequence[ProposalFact]) -> Any:
    """The proposals whose transforms are known; UNSET where there are some and none is."""
    kept = tuple(one for one in proposals if known(one.transforms))
    return kept if kept or not proposals else UNSET


def _number(payload: Payload, pattern: re.Pattern[str]) -> re.Match[str] | None:
    return next((found for text in payload.details if (found := pattern.search(text))), None)


def _plain(payload: Payload) -> bytes | None:
    return bytes(payload.octets)


def _ke(payload: Payload) -> bytes | None:
    found = _number(payload, GROUP)
    return None if found is None else struct.pack("!HH", int(found[1]), 0) + payload.octets


def _notify(payload: Payload) -> bytes | None:
    found = _number(payload, NOTIFY)
    number = words.notify_number(found[3]) if found else None
    if found is None or number is None:
        return None
    return struct.pack("!BBH", _protocol(found[1]), int(found[2]), number) + payload.octets


def _delete(payload: Payload) -> bytes | None:
    found = _number(payload, DELETE)
    if found is None:
        return None
    return struct.pack("!BBH", _protocol(found[1]), int(found[2]), int(found[3])) + payload.octets


def _protocol(text: str) -> int:
    tail = text.rpartition(" ")[2]
    return int(_PROTOCOLS.get(text, int(tail) & 255 if tail.isdigit() else 0))


def _id(payload: Payload) -> bytes | None:
    found = _number(payload, ID)
    kind = None if found is None else ID_TYPES.get(found[1], words.id_type_number(found[1]))
    return None if kind is None else bytes([kind, 0, 0, 0]) + payload.octets


ID_TYPES = {"IPv4 address": 1, "FQDN": 2, "RFC822 address": 3, "email": 3, "IPv6 address": 5, "DER ASN1 DN": 9}


def _ts(payload: Payload) -> bytes | None:
    count = _number(payload, COUNT)
    found = selectors_of(payload)
    if count is None or int(count[1]) != len(found):
        return None
    body = bytes([len(found), 0, 0, 0])
    for one in found:
        ends = [_packed(text) for text in (one.start, one.end)]
        if None in ends:
            return None
        raw = b"".join(end for end in ends if end is not None)
        kind, size = (7, 16) if len(raw) == 8 else (8, 40)
        body += struct.pack("!BBHHH", kind, one.protocol, size, one.start_port, one.end_port) + raw
    return body


def _packed(text: str) -> bytes | None:
    try:
        return ip_address(text).packed
    except ValueError:
        return None


def _sa(payload: Payload) -> bytes | None:
    """Whole where no transform has an attribute and no proposal an SPI: the dump names neither."""
    made = proposals_of(payload)
    body = b""
    for position, one in enumerate(made, 1):
        if one.spi != "" or not known(one.transforms) or not all(known(each.key_length) for each in one.transforms):
            return None
        inner = b""
        for at, each in enumerate(one.transforms, 1):
            inner += struct.pack("!BBHBBH", 0 if at == len(one.transforms) else 3, 0, 8, each.type, 0, each.id)
        more = 0 if position == len(made) else 2
        body += struct.pack("!BBHBBBB", more, 0, 8 + len(inner), one.number, one.protocol, 0, len(one.transforms))
        body += inner
    return body


_BODIES: dict[int, Callable[[Payload], bytes | None]] = {
    PayloadType.SA: _sa,
    PayloadType.KE: _ke,
    PayloadType.NONCE: _plain,
    PayloadType.VENDOR: _plain,
    PayloadType.NOTIFY: _notify,
    PayloadType.DELETE: _delete,
    PayloadType.IDI: _id,
    PayloadType.IDR: _id,
    PayloadType.TSI: _ts,
    PayloadType.TSR: _ts,
}


def _built(build: Callable[[Payload], bytes | None], payload: Payload) -> bytes | None:
    """A body's octets; None for a number that has no room in its field."""
    try:
        return build(payload)
    except (struct.error, ValueError):
        return None


def chain_of(payloads: Sequence[Payload]) -> tuple[int, bytes] | None:
    """The first payload's type and the octets of all; None where the dump lacks any of them, or they do not fit."""
    if not payloads:
        return None
    made = b""
    for position, one in enumerate(payloads):
        kind = one.kind
        build = _BODIES.get(kind) if kind is not None else None
        body = _built(build, one) if build is not None else None
        if body is None or len(body) + 4 != one.length or one.length > 0xFFFF:
            return None
        following = _SHORT.get(one.after.partition("(")[0]) if one.after != "NONE" else 0
        last = position == len(payloads) - 1
        if following is None or (following == 0) is not last:
            return None
        made += struct.pack("!BBH", int(following), one.reserved, one.length) + body
    first = payloads[0].kind
    return (int(first), made) if first is not None else None


def octets_of(packet: Packet) -> bytes | None:
    """The message's octets, where the dump holds each of them and they are as many as its header says."""
    number = packet.message_id
    if (
        packet.inside
        or packet.exchange is None
        or packet.exchange > 0xFF
        or number is None
        or number >> 32
        or len(packet.spi_i) != 16
    ):
        return None
    found = chain_of(packet.clear)
    if found is None or packet.length != 28 + len(found[1]):
        return None
    flags = (0x08 if "INITIATOR" in packet.flags else 0) | (0x20 if "RESPONSE" in packet.flags else 0)
    head = struct.pack("!BBBBII", found[0], 0x20, packet.exchange, flags, number, packet.length)
    return bytes.fromhex(packet.spi_i + packet.spi_r) + head + found[1]


def error_of(packet: Packet) -> int | None:
    """The first error notify of a message (RFC 7296 section 3.10.1: types below 16384)."""
    numbers = (words.notify_number(name) for name in packet.notifies())
    return next((number for number in numbers if number is not None and 0 < number < 16384), None)


def method_of(payload: Payload) -> int | None:
    """The method of an AUTH payload."""
    found = _number(payload, METHOD)
    return words.method_number(found[1]) if found else None
