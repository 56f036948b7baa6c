"""A message of which ASA spells out less than its octets, as a tree of what the text does hold.

Each payload with the length that it is said to have, its fields as the dump has them, and what the dump leaves out,
marked `omitted`. Where anything stands in the datagram is not known, and not told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address

from ikescope.events import UNSET, DumpedFact
from ikescope.ios import asa_dump as dump
from ikescope.ios import words as ios_words
from ikescope.ios.asa_dump import MAX_OCTETS, Packet, Payload
from ikescope.wire import words
from ikescope.wire.registry import ExchangeType, IdType, KeyExchangeId, NotifyType, PayloadType, TransformType
from ikescope.wire.tree import SECTIONS

_SAID = re.compile(r"(?:Auth|Cert|CertReq) data: \d{1,6} bytes|Encrypted data: \d{1,6} bytes")
_ENCODING = re.compile(r"Cert encoding (.{1,60})$")
_LAST = re.compile(r"last proposal: 0x\w, reserved: 0x\w+,? length: \d{1,5}")
_HEADER, _PROPOSAL, _TRANSFORM = (f"RFC 7296 section {at}" for at in ("3.1", "3.3.1", "3.3.2"))
_SELECTOR = "RFC 7296 section 3.13.1"

Found = re.Match[str]
Told = Iterator[DumpedFact]


def dumped_of(packet: Packet) -> tuple[DumpedFact, ...]:
    """The nodes of a message: header, payloads in the clear, those inside as children of the Encrypted payload.

    Empty where the text says nothing but that there was a message.
    """
    if packet.length is None and not packet.clear and not packet.inside:
        return ()
    inside = tuple(_payload(one, packet) for one in packet.inside)
    clear = [_payload(one, packet) for one in packet.clear]
    at = next((at for at, one in enumerate(packet.clear) if one.kind in (PayloadType.SK, PayloadType.SKF)), None)
    if inside and at is not None:
        held = clear[at]
        clear[at] = DumpedFact(held.name, held.value, held.length, held.section, (*held.children, *inside))
    elif inside or (packet.first == "ENCR" and not clear):
        parts = inside or (_omitted("Encrypted Data", "what it held"),)
        clear.append(DumpedFact("ENCR", "", UNSET, SECTIONS[PayloadType.SK], parts))
    return (_header(packet), *clear)


def _header(packet: Packet) -> DumpedFact:
    exchange = None if packet.exchange is None else ExchangeType.of(packet.exchange)
    told = (
        ("IKE SA Initiator's SPI", packet.spi_i),
        ("IKE SA Responder's SPI", packet.spi_r),
        ("Next Payload", packet.first),
        ("Exchange Type", "" if exchange is None else str(exchange)),
        ("Flags", packet.flags),
        ("Message ID", "" if packet.message_id is None else str(packet.message_id)),
        ("Length", "" if packet.length is None else str(packet.length)),
    )
    parts = tuple(DumpedFact(name, value, UNSET, _HEADER) for name, value in told if value)
    way = {True: " response", False: " request", None: ""}[packet.response]
    number = "" if packet.message_id is None else f", message ID {packet.message_id}"
    value = "" if exchange is None else f"{exchange.label}{way}{number}"
    return DumpedFact("IKE header", value, UNSET, _HEADER, parts)


def _payload(payload: Payload, packet: Packet) -> DumpedFact:
    kind = payload.kind
    section = "" if kind is None else SECTIONS.get(kind, "")
    parts = [_field("Next Payload", payload.after, section)]
    left: list[str] = []
    fields = _NESTED.get(kind) if kind is not None else None
    if fields is not None:
        parts += fields(payload, left)
    else:
        parts += _flat(payload, kind, left)
    parts += (_field("Text", line) for line in left)
    if packet.size >= MAX_OCTETS:
        parts.append(DumpedFact("Octets", "cut at what is kept of a message", omitted=True))
    return DumpedFact(payload.name, _summary(parts), payload.length, section, tuple(parts))


def _field(name: str, value: str, section: str = "") -> DumpedFact:
    return DumpedFact(name, value, UNSET, section)


def _omitted(name: str, what: str, section: str = "") -> DumpedFact:
    return DumpedFact(name, f"{what}, not in the text", UNSET, section, (), UNSET, True)


#: Fields whose values make a payload's line.
_TELLING = frozenset(
    ("Key Exchange Method", "Notify Message Type", "ID Type", "Identification Data", "Auth Method", "Cert Encoding")
)
_GROUPS = {"Proposal": "proposal", "Traffic Selector": "selector"}


def _summary(parts: Iterable[DumpedFact]) -> str:
    kept = list(parts)
    said = ", ".join(one.value for one in kept if one.name in _TELLING and not one.omitted)
    for name, noun in _GROUPS.items():
        several = sum(one.name.startswith(name) and bool(one.children) for one in kept)
        said = said or (words.counted(several, noun) if several else "")
    return said


#: The fixed head of a body in octets, the name of its rest, and what its lines say.
Field = tuple[re.Pattern[str], Callable[[Found], Iterable[tuple[str, str]]]]


def _group(found: Found) -> Iterable[tuple[str, str]]:
    return (("Key Exchange Method", str(KeyExchangeId.of(int(found[1])))),)


def _notify(found: Found) -> Iterable[tuple[str, str]]:
    number = ios_words.notify_number(found[3])
    kind = found[3] if number is None else str(NotifyType.of(number))
    return ("Protocol ID", found[1]), ("SPI Size", found[2]), ("Notify Message Type", kind)


def _delete(found: Found) -> Iterable[tuple[str, str]]:
    return ("Protocol ID", found[1]), ("SPI Size", found[2]), ("Num of SPIs", found[3])


def _id(found: Found) -> Iterable[tuple[str, str]]:
    return (("ID Type", found[1]),)


def _method(found: Found) -> Iterable[tuple[str, str]]:
    return (("Auth Method", found[1]),)


def _encoding(found: Found) -> Iterable[tuple[str, str]]:
    return (("Cert Encoding", found[1].strip()),)


_ID_ROW = (4, "Identification Data", (dump.ID, _id))
_ROWS: dict[int, tuple[int, str, Field | None]] = {
    PayloadType.KE: (4, "Key Exchange Data", (dump.GROUP, _group)),
    PayloadType.IDI: _ID_ROW,
    PayloadType.IDR: _ID_ROW,
    PayloadType.CERT: (1, "Certificate Data", (_ENCODING, _encoding)),
    PayloadType.CERTREQ: (1, "Certification Authority", (_ENCODING, _encoding)),
    PayloadType.AUTH: (4, "Authentication Data", (dump.METHOD, _method)),
    PayloadType.NONCE: (0, "Nonce Data", None),
    PayloadType.NOTIFY: (4, "Notification Data", (dump.NOTIFY, _notify)),
    PayloadType.DELETE: (4, "SPIs", (dump.DELETE, _delete)),
    PayloadType.VENDOR: (0, "Vendor ID", None),
}


def _flat(payload: Payload, kind: PayloadType | None, left: list[str]) -> Told:
    """A payload of a fixed head and a rest of octets."""
    head, rest, row = _ROWS.get(kind if kind is not None else 0, (0, "Octets", None))
    section = "" if kind is None else SECTIONS.get(kind, "")
    spi = 0
    for line in payload.details:
        found = row[0].search(line) if row is not None else None
        if found is not None and row is not None:
            told = dict(row[1](found))
            yield from (_field(name, value, section) for name, value in told.items())
            spi = int(told["SPI Size"]) if kind == PayloadType.NOTIFY else 0
        elif not _SAID.match(line):
            left.append(line)
    octets = bytes(payload.octets)
    if spi and octets:
        yield _octets("SPI", octets[:spi], octets[:spi].hex(), section)
        octets = octets[spi:]
    if octets:
        yield _octets(rest, octets, _value(kind, payload, octets), section)
    missing = payload.length - 4 - head - len(payload.octets)
    if missing > 0:
        yield _omitted(rest, words.counted(missing, "octet"), section)


def _octets(name: str, octets: bytes, value: str, section: str) -> DumpedFact:
    return DumpedFact(name, value, len(octets), section, (), octets)


def _value(kind: PayloadType | None, payload: Payload, octets: bytes) -> str:
    """Octets in words, where they have a form."""
    if kind in (PayloadType.IDI, PayloadType.IDR):
        found = next((found for line in payload.details if (found := dump.ID.search(line))), None)
        number = None if found is None else dump.ID_TYPES.get(found[1], ios_words.id_type_number(found[1]))
        return (
            words.ID_WORDS.get(IdType.of(number), words.octets)(octets) if number is not None else words.octets(octets)
        )
    return words.text_or_octets(octets) if kind == PayloadType.VENDOR else words.octets(octets)


def _sa(payload: Payload, left: list[str]) -> Told:
    """Proposals with their transforms; an SPI and an attribute are not among what is spelled out."""
    head: Found | None = None
    made: list[DumpedFact] = []
    length: int | None = None
    for line in payload.details:
        proposal, transform = dump.PROPOSAL.search(line), dump.TRANSFORM.search(line)
        kind = dump.TYPE.match(line)
        if proposal is not None:
            if head is not None:
                yield _proposal(head, made)
            head, made, length = proposal, [], None
        if transform is not None:
            length = int(transform[1])
        if kind is not None:
            made.append(_transform(kind, length))
            length = None
        if proposal is transform is kind is None and not _LAST.match(line):
            left.append(line)
    if head is not None:
        yield _proposal(head, made)
    else:
        yield from made


def _proposal(head: Found, transforms: list[DumpedFact]) -> DumpedFact:
    size, count = int(head[3]), int(head[4])
    named = (("Proposal Num", head[1]), ("Protocol ID", head[2]), ("SPI Size", head[3]), ("Num Transforms", head[4]))
    parts = [_field(name, value, _PROPOSAL) for name, value in named]
    if size:
        parts.append(_omitted("SPI", words.counted(size, "octet"), _PROPOSAL))
    parts += transforms
    if count > len(transforms):
        parts.append(_omitted("Transforms", words.counted(count - len(transforms), "transform"), _PROPOSAL))
    value = f"{head[2]}, {words.counted(count, 'transform')}"
    return DumpedFact(f"Proposal {head[1]}", value, UNSET, _PROPOSAL, tuple(parts))


def _transform(found: Found, length: int | None) -> DumpedFact:
    kind = TransformType.of(int(found[1]))
    name = found[2].strip()
    number = ios_words.transform_number(kind, name)
    parts = [_field("Transform Type", str(kind), _TRANSFORM), _field("Transform ID", name, _TRANSFORM)]
    if number is not None:
        parts[1] = _field("Transform ID", f"{name} ({number})", _TRANSFORM)
    if length is not None and length > _PLAIN:
        parts.append(_omitted("Attributes", words.counted(length - _PLAIN, "octet"), "RFC 7296 section 3.3.5"))
    said = UNSET if length is None else length
    return DumpedFact(kind.label, name, said, _TRANSFORM, tuple(parts))


_PLAIN = 8
"""Octets of a transform without attributes."""


def _ts(payload: Payload, left: list[str]) -> Told:
    """Traffic selectors."""
    section = SECTIONS[PayloadType.TSI]
    wanted, made = 0, 0
    head: Found | None = None
    ports: Found | None = None
    for line in payload.details:
        if found := dump.COUNT.match(line):
            wanted = int(found[1])
            yield _field("Number of TSs", found[1], section)
        elif found := dump.TS.match(line):
            head, ports = found, None
        elif found := dump.PORTS.match(line):
            ports = found
        elif found := dump.ENDS.match(line):
            made += 1
            yield _selector(head, ports, found)
            head = ports = None
        else:
            left.append(line)
    if wanted > made:
        yield _omitted("Traffic Selectors", words.counted(wanted - made, "selector"), section)


def _selector(head: Found | None, ports: Found | None, ends: Found) -> DumpedFact:
    told: list[tuple[str, str]] = []
    if head is not None:
        told += (("TS Type", f"TS_{head[1]}_ADDR_RANGE"), ("IP Protocol ID", head[2]))
    if ports is not None:
        told += (("Start Port", ports[1]), ("End Port", ports[2]))
    told += (("Starting Address", _address(ends[1])), ("Ending Address", _address(ends[2])))
    protocol = "" if head is None else f"protocol {int(head[2]) or 'any'}, "
    between = "" if ports is None else f"ports {ports[1]} - {ports[2]}, "
    value = f"{protocol}{between}{_address(ends[1])} - {_address(ends[2])}"
    parts = tuple(_field(name, one, _SELECTOR) for name, one in told)
    return DumpedFact("Traffic Selector", value, UNSET if head is None else int(head[3]), _SELECTOR, parts)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text


_NESTED: dict[int, Callable[[Payload, list[str]], Told]] = {
    PayloadType.SA: _sa,
    PayloadType.TSI: _ts,
    PayloadType.TSR: _ts,
}
