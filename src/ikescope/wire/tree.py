"""Every field of a message as a tree of nodes, for those who look: names, words, offsets, lengths, RFC sections."""

from __future__ import annotations

from typing import NamedTuple, Self

import msgspec

from ikescope.errors import DecodeError
from ikescope.wire import forms, words
from ikescope.wire.cp import CpPayload
from ikescope.wire.delete import DeletePayload
from ikescope.wire.describe import payload_name
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE, FLAG_VERSION, HEADER_OCTETS
from ikescope.wire.identification import IdPayload
from ikescope.wire.message import ENCRYPTED_PARSERS, MAX_PAYLOADS, PARSERS
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import CRITICAL, GENERIC_OCTETS, Payload
from ikescope.wire.registry import (
    AuthMethod,
    CertEncoding,
    CpAttribute,
    CpType,
    EapCode,
    ExchangeType,
    IdType,
    KeyExchangeId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformAttribute,
    TransformType,
    TsType,
)
from ikescope.wire.sa import SHORT_FORM, Proposal, SaPayload, Transform
from ikescope.wire.ts import TrafficSelector, TsPayload
from ikescope.wire.unknown import UnknownPayload

#: Where each payload is described.
SECTIONS: dict[int, str] = {
    PayloadType.SA: "RFC 7296 section 3.3",
    PayloadType.KE: "RFC 7296 section 3.4",
    PayloadType.IDI: "RFC 7296 section 3.5",
    PayloadType.IDR: "RFC 7296 section 3.5",
    PayloadType.CERT: "RFC 7296 section 3.6",
    PayloadType.CERTREQ: "RFC 7296 section 3.7",
    PayloadType.AUTH: "RFC 7296 section 3.8",
    PayloadType.NONCE: "RFC 7296 section 3.9",
    PayloadType.NOTIFY: "RFC 7296 section 3.10",
    PayloadType.DELETE: "RFC 7296 section 3.11",
    PayloadType.VENDOR: "RFC 7296 section 3.12",
    PayloadType.TSI: "RFC 7296 section 3.13",
    PayloadType.TSR: "RFC 7296 section 3.13",
    PayloadType.SK: "RFC 7296 section 3.14",
    PayloadType.CP: "RFC 7296 section 3.15",
    PayloadType.EAP: "RFC 7296 section 3.16",
    PayloadType.SKF: "RFC 7383 section 2.5",
}


ENCRYPTED_DATA = "Encrypted Data"
_SEALED = frozenset({SECTIONS[PayloadType.SK], SECTIONS[PayloadType.SKF]})


class Node(msgspec.Struct, frozen=True):
    """One field or group: octets `offset` to `offset + length` of the datagram, or of the opened octets if `inside`."""

    name: str
    value: str
    offset: int
    length: int
    section: str = ""
    children: tuple[Node, ...] = ()
    inside: bool = False


class _Reader:
    """Walks the octets of one payload that has parsed, leaving a node for each field."""

    def __init__(self, data: bytes, at: int, end: int, section: str, inside: bool) -> None:
        self.data, self.at, self.end, self.section, self.inside = data, at, end, section, inside
        self.nodes: list[Node] = []

    def field(self, name: str, size: int, say: words.Words = words.octets) -> Self:
        """Take a field of `size` octets; an empty one leaves no node."""
        size = min(size, self.end - self.at)
        if size:
            value = say(self.data[self.at : self.at + size])
            self.nodes.append(Node(name, value, self.at, size, self.section, (), self.inside))
            self.at += size
        return self

    def rest(self, name: str, say: words.Words = words.octets) -> Self:
        """Take all that is left."""
        return self.field(name, self.end - self.at, say)

    def entries(self, name: str, value: str, row: forms.List) -> None:
        """Take all that is left as a list of fields under one node; as one field where it does not fit."""
        size, entry, say = row
        octets = self.end - self.at
        if not octets or octets % size:
            self.rest(name, lambda _: value)
            return
        part = self.part(octets)
        while part.at < part.end:
            part.field(entry, size, say)
        self.close(name, value, part)

    def form(self, name: str, value: str, form: forms.Form) -> None:
        """Take all that is left as the fields of a form under one node; a form of one field is that node."""
        if len(form) == 1:
            self.rest(name, lambda _: value)
            return
        part = self.part(self.end - self.at)
        for field, size, say in form:
            part.field(field, size or part.end - part.at, say)
        self.close(name, value, part)

    def part(self, size: int) -> _Reader:
        """A reader of the next `size` octets; `close` takes its nodes in."""
        return _Reader(self.data, self.at, min(self.at + size, self.end), self.section, self.inside)

    def close(self, name: str, value: str, part: _Reader) -> None:
        """Add what `part` read as one group."""
        length = part.end - self.at
        section = part.nodes[0].section if part.nodes else self.section
        self.nodes.append(Node(name, value, self.at, length, section, tuple(part.nodes), self.inside))
        self.at = part.end


#: Rows of the payloads that are a fixed head and a rest: field, octets (0 for the rest), words.
LAYOUTS: dict[int, tuple[tuple[str, int, words.Words], ...]] = {
    PayloadType.KE: (
        ("Key Exchange Method", 2, words.named(KeyExchangeId)),
        ("RESERVED", 2, words.octets),
        ("Key Exchange Data", 0, words.octets),
    ),
    PayloadType.CERT: (
        ("Cert Encoding", 1, words.named(CertEncoding)),
        ("Certificate Data", 0, words.octets),
    ),
    PayloadType.CERTREQ: (
        ("Cert Encoding", 1, words.named(CertEncoding)),
        ("Certification Authority", 0, words.octets),
    ),
    PayloadType.AUTH: (
        ("Auth Method", 1, words.named(AuthMethod)),
        ("RESERVED", 3, words.octets),
        ("Authentication Data", 0, words.octets),
    ),
    PayloadType.NONCE: (("Nonce Data", 0, words.octets),),
    PayloadType.VENDOR: (("Vendor ID", 0, words.text_or_octets),),
    PayloadType.EAP: (
        ("Code", 1, words.named(EapCode)),
        ("Identifier", 1, words.number),
        ("Length", 2, words.number),
        ("Type and data", 0, words.octets),
    ),
}


class Sealing(NamedTuple):
    """How long the IV and the ICV of an Encrypted payload are, in octets: the cipher and the integrity tell it."""

    iv: int
    icv: int


def tree(
    data: bytes,
    opened: bytes | None = None,
    first_opened: PayloadType | None = None,
    sealing: Sealing | None = None,
) -> tuple[Node, ...]:
    """Return the header and each payload of a datagram as nodes; malformed ones say what is wrong. Raises nothing.

    `opened` is what the Encrypted payload held, without padding, and becomes that node's children; what a fragment of
    one held is not read, see `inner`. `first_opened` is the type of the first payload in it; by default what the
    Encrypted payload's header says. With `sealing` the Encrypted payload's own fields are told apart, and the padding
    behind `opened`.
    """
    data = bytes(data)
    if len(data) < HEADER_OCTETS:
        wrong = f"malformed: had {len(data)}, wanted at least {HEADER_OCTETS}"
        return (Node("IKE header", wrong, 0, len(data), "RFC 7296 section 3.1"),)
    header = header_node(data)
    if data[17] >> 4 != 2:
        rest = Node("Payloads", "of another major version", HEADER_OCTETS, len(data) - HEADER_OCTETS)
        return (header, rest) if rest.length else (header,)
    first = PayloadType.of(data[16])
    nodes, within = _chain(data, HEADER_OCTETS, first, inside=False, sealing=sealing)
    if opened is not None and within is not None:
        place = next(place for place in reversed(range(len(nodes))) if nodes[place].section in _SEALED)
        last = nodes[place]
        children: tuple[Node, ...]
        if last.section == SECTIONS[PayloadType.SKF]:
            told = words.counted(len(opened), "octet")
            children = (Node("Part of the payloads", told, 0, len(opened), last.section, (), True),)
        else:
            children = inner(opened, within if first_opened is None else first_opened)
        padding = _padding(last, len(opened)) if sealing is not None else ()
        nodes[place] = msgspec.structs.replace(last, children=last.children + children + padding)
    return (header, *nodes)


def _padding(sealed: Node, opened: int) -> tuple[Node, ...]:
    """What stands behind the payloads in the plaintext of an Encrypted payload; nothing where the lengths do not fit.

    Not the octets: any value may stand there (RFC 7296 section 3.14).
    """
    pad = next((node.length for node in sealed.children if node.name == ENCRYPTED_DATA), 0) - opened - 1
    if not 0 <= pad < 256:
        return ()
    padding = Node("Padding", words.counted(pad, "octet"), opened, pad, sealed.section, (), True)
    length = Node("Pad Length", str(pad), opened + pad, 1, sealed.section, (), True)
    return (padding, length) if pad else (length,)


def inner(opened: bytes, first: PayloadType) -> tuple[Node, ...]:
    """Return the payloads that an Encrypted payload, or the fragments of one, held; the first is of type `first`."""
    return tuple(_chain(bytes(opened), 0, first, inside=True)[0])


def header_node(data: bytes) -> Node:
    """The header, of at least 28 octets."""
    reader = _Reader(data, 0, HEADER_OCTETS, "RFC 7296 section 3.1", False)
    reader.field("IKE SA Initiator's SPI", 8).field("IKE SA Responder's SPI", 8)
    reader.field("Next Payload", 1, words.named(PayloadType)).field("Version", 1, lambda o: f"{o[0] >> 4}.{o[0] & 15}")
    reader.field("Exchange Type", 1, words.named(ExchangeType)).field("Flags", 1, _flags)
    reader.field("Message ID", 4, words.number).field("Length", 4, words.number)
    exchange, direction = ExchangeType.of(data[18]).label, "response" if data[19] & FLAG_RESPONSE else "request"
    value = f"{exchange} {direction}, message ID {int.from_bytes(data[20:24], 'big')}"
    return Node("IKE header", value, 0, HEADER_OCTETS, reader.section, tuple(reader.nodes))


_FLAGS = ((FLAG_INITIATOR, "INITIATOR"), (FLAG_VERSION, "VERSION"), (FLAG_RESPONSE, "RESPONSE"))


def _flags(data: bytes) -> str:
    names = [name for bit, name in _FLAGS if data[0] & bit]
    return f"{' '.join(names) or 'none'} (0x{data[0]:02x})"


def _chain(
    data: bytes, at: int, kind: PayloadType, *, inside: bool, sealing: Sealing | None = None
) -> tuple[list[Node], PayloadType | None]:
    """The nodes of a chain, and the type of the first payload inside an Encrypted one at its end."""
    nodes: list[Node] = []
    end = len(data)
    while kind and len(nodes) < MAX_PAYLOADS:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if end - at < GENERIC_OCTETS or not GENERIC_OCTETS <= length <= end - at:
            had = f"{length} of {end - at}" if end - at >= GENERIC_OCTETS else str(end - at)
            wrong = f"malformed: length: had {had}, wanted at least {GENERIC_OCTETS} and no more than there is"
            return [*nodes, Node(kind.short, wrong, at, end - at, SECTIONS.get(kind, ""), (), inside)], None
        following = PayloadType.of(data[at])
        nodes.append(payload_node(data, at, at + length, kind, inside, sealing))
        at += length
        if kind in ENCRYPTED_PARSERS:
            return _with_rest(nodes, data, at, inside), following
        kind = following
    return _with_rest(nodes, data, at, inside), None


def _with_rest(nodes: list[Node], data: bytes, at: int, inside: bool) -> list[Node]:
    if at < len(data):
        rest = words.octets(data[at:])
        nodes.append(Node("Octets after the last payload", rest, at, len(data) - at, "", (), inside))
    return nodes


def payload_node(
    data: bytes, at: int, end: int, kind: PayloadType, inside: bool, sealing: Sealing | None = None
) -> Node:
    """One payload with its generic header, from `at` to `end`; arguments as in `tree`."""
    section = SECTIONS.get(kind, "RFC 7296 section 3.2")
    reader = _Reader(data, at, end, "RFC 7296 section 3.2", inside)
    critical = bool(data[at + 1] & CRITICAL)
    reader.field("Next Payload", 1, words.named(PayloadType))
    reader.field("Critical, RESERVED", 1, lambda o: f"{'critical' if critical else 'not critical'} (0x{o[0]:02x})")
    reader.field("Payload Length", 2, words.number)
    reader.section = section
    body, start = data[at + GENERIC_OCTETS : end], at + GENERIC_OCTETS
    try:
        payload = _parse(kind, PayloadType.of(data[at]), body, start)
    except DecodeError as error:
        reader.rest("Octets")
        return Node(kind.short, f"malformed: {error}", at, end - at, section, tuple(reader.nodes), inside)
    if kind in ENCRYPTED_PARSERS:
        _read_sealed(reader, payload, sealing)
    else:
        _read(reader, payload)
    return Node(payload_name(payload), _summary(payload), at, end - at, section, tuple(reader.nodes), inside)


def _parse(kind: PayloadType, following: PayloadType, body: bytes, at: int) -> Payload:
    if kind in PARSERS:
        return PARSERS[kind](body, at)
    if kind in ENCRYPTED_PARSERS:
        return ENCRYPTED_PARSERS[kind](following, body, at)
    return UnknownPayload(kind, body)


def _read_sealed(reader: _Reader, payload: Payload, sealing: Sealing | None) -> None:
    if isinstance(payload, EncryptedFragmentPayload):
        reader.field("Fragment Number", 2, words.number).field("Total Fragments", 2, words.number)
    reader.section = SECTIONS[PayloadType.SK]
    if sealing is None or reader.end - reader.at <= sum(sealing):
        reader.rest("IV, ciphertext and ICV")
        return
    reader.field("Initialization Vector", sealing.iv)
    reader.field(ENCRYPTED_DATA, reader.end - reader.at - sealing.icv).rest("Integrity Checksum Data")


def _read(reader: _Reader, payload: Payload) -> None:
    if isinstance(payload, SaPayload):
        for proposal in payload.proposals:
            _read_proposal(reader, proposal)
    elif isinstance(payload, NotifyPayload):
        reader.field("Protocol ID", 1, words.named(ProtocolId)).field("SPI Size", 1, words.number)
        reader.field("Notify Message Type", 2, words.named(NotifyType)).field("SPI", len(payload.spi))
        _read_data(reader, payload)
    elif isinstance(payload, IdPayload):
        reader.field("ID Type", 1, words.named(IdType)).field("RESERVED", 3)
        reader.rest("Identification Data", lambda _: words.identity_words(payload))
    elif isinstance(payload, TsPayload):
        reader.field("Number of TSs", 1, words.number).field("RESERVED", 3)
        for selector in payload.selectors:
            _read_selector(reader, selector)
    elif isinstance(payload, DeletePayload):
        reader.field("Protocol ID", 1, words.named(ProtocolId)).field("SPI Size", 1, words.number)
        reader.field("Num of SPIs", 2, words.number)
        for spi in payload.spis:
            reader.field("SPI", len(spi))
    elif isinstance(payload, CpPayload):
        reader.field("CFG Type", 1, words.named(CpType)).field("RESERVED", 3)
        _read_attributes(reader, payload)
    else:
        for name, size, say in LAYOUTS.get(payload.kind, (("Octets", 0, words.octets),)):
            reader.field(name, size or reader.end - reader.at, say)


def _read_data(reader: _Reader, payload: NotifyPayload) -> None:
    kind, data, told = payload.notify_type, payload.data, words.notify_words(payload)
    form = forms.NOTIFY_FORMS.get(kind)
    if kind in forms.NOTIFY_GATEWAYS:
        form = forms.gateway(forms.NOTIFY_GATEWAYS[kind], data)
    if kind in forms.NOTIFY_LISTS:
        reader.entries("Notification Data", told, forms.NOTIFY_LISTS[kind])
    elif form is not None and forms.fits(form, data):
        reader.form("Notification Data", told, form)
    else:
        reader.rest("Notification Data", lambda _: told)


def _read_proposal(reader: _Reader, proposal: Proposal) -> None:
    length = int.from_bytes(reader.data[reader.at + 2 : reader.at + 4], "big")
    part = reader.part(length)
    part.section = "RFC 7296 section 3.3.1"
    part.field("Last Substruc", 1, words.number).field("RESERVED", 1).field("Proposal Length", 2, words.number)
    part.field("Proposal Num", 1, words.number).field("Protocol ID", 1, words.named(ProtocolId))
    part.field("SPI Size", 1, words.number).field("Num Transforms", 1, words.number).field("SPI", len(proposal.spi))
    for transform in proposal.transforms:
        _read_transform(part, transform)
    spi = f", SPI {proposal.spi.hex()}" if proposal.spi else ""
    value = f"{proposal.protocol}, {words.counted(len(proposal.transforms), 'transform')}{spi}"
    reader.close(f"Proposal {proposal.number}", value, part)


def _read_transform(reader: _Reader, transform: Transform) -> None:
    length = int.from_bytes(reader.data[reader.at + 2 : reader.at + 4], "big")
    part = reader.part(length)
    part.section = "RFC 7296 section 3.3.2"
    part.field("Last Substruc", 1, words.number).field("RESERVED", 1).field("Transform Length", 2, words.number)
    part.field("Transform Type", 1, words.named(TransformType)).field("RESERVED", 1)
    part.field("Transform ID", 2, lambda _: str(transform.id))
    part.section = "RFC 7296 section 3.3.5"
    for attribute in transform.attributes:
        name = TransformAttribute.of(attribute.type).label
        whole = 4 if attribute.short else 4 + len(attribute.value)
        inner_part = part.part(whole)
        inner_part.field("Attribute Type", 2, _attribute_type)
        if attribute.short:
            inner_part.field("Attribute Value", 2, words.number)
        else:
            inner_part.field("Attribute Length", 2, words.number).rest("Attribute Value")
        value = attribute.value
        part.close(name, words.number(value) if attribute.short else words.octets(value), inner_part)
    reader.close(transform.type.label, words.transform_words(transform), part)


def _attribute_type(data: bytes) -> str:
    number = int.from_bytes(data, "big")
    form = "type and value" if number & SHORT_FORM else "type, length and value"
    return f"{TransformAttribute.of(number & 0x7FFF)}, {form}"


def _read_selector(reader: _Reader, selector: TrafficSelector) -> None:
    length = int.from_bytes(reader.data[reader.at + 2 : reader.at + 4], "big")
    part = reader.part(length)
    part.section = "RFC 7296 section 3.13.1"
    part.field("TS Type", 1, words.named(TsType)).field("IP Protocol ID", 1, words.number)
    part.field("Selector Length", 2, words.number)
    if selector.readable:
        part.field("Start Port", 2, words.number).field("End Port", 2, words.number)
        part.field("Starting Address", len(selector.start), words.address_or_octets)
        part.field("Ending Address", len(selector.end), words.address_or_octets)
    part.rest("Octets")
    reader.close("Traffic Selector", words.selector_words(selector), part)


def _read_attributes(reader: _Reader, payload: CpPayload) -> None:
    reader.section = "RFC 7296 section 3.15.1"
    for attribute in payload.attributes:
        part = reader.part(4 + len(attribute.value))
        part.field("Attribute Type", 2, lambda o: str(CpAttribute.of(int.from_bytes(o, "big") & 0x7FFF)))
        part.field("Length", 2, words.number)
        form, several = forms.ATTRIBUTE_FORMS.get(attribute.type), forms.ATTRIBUTE_LISTS.get(attribute.type)
        told = words.text_or_octets(attribute.value)
        if several is not None:
            part.entries("Value", told, several)
        elif form is not None and forms.fits(form, attribute.value):
            told = _formed(form, attribute.value)
            part.form("Value", told, form)
        else:
            part.rest("Value", lambda _, told=told: told)  # type: ignore[misc]
        reader.close(attribute.type.label, told, part)


def _formed(form: forms.Form, data: bytes) -> str:
    """The fields of a form in one line: `10.1.0.0/255.255.255.0`."""
    told, at = [], 0
    for _, size, say in form:
        told.append(say(data[at : at + size] if size else data[at:]))
        at += size
    return "/".join(told)


def _summary(payload: Payload) -> str:
    """The payload in one line."""
    if isinstance(payload, SaPayload):
        return words.counted(len(payload.proposals), "proposal")
    if isinstance(payload, TsPayload):
        return words.counted(len(payload.selectors), "selector")
    if isinstance(payload, IdPayload):
        return f"{payload.id_type}: {words.identity_words(payload)}"
    if isinstance(payload, NotifyPayload):
        return str(payload.notify_type)
    if isinstance(payload, DeletePayload):
        spis = " ".join(spi.hex() for spi in payload.spis)
        return f"{payload.protocol}: {spis or 'the SA that carries it'}"
    if isinstance(payload, CpPayload):
        return f"{payload.cp_type}, {words.counted(len(payload.attributes), 'attribute')}"
    if isinstance(payload, EncryptedFragmentPayload):
        return f"fragment {payload.number} of {payload.total}"
    return f"{len(payload.encode_body())} octets"
