"""Message trees as JSON, many messages after one another: what repeats in them is put into words once.

A payload whose octets were seen at this place before is taken as it was then; of those that differ in one opaque field
only (a nonce, a public value, a hash, an SPI) the rest is. What comes out is the JSON of `tree`, octet for octet.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from ikescope.wire import forms, words
from ikescope.wire.header import HEADER_OCTETS
from ikescope.wire.message import ENCRYPTED_PARSERS, MAX_PAYLOADS
from ikescope.wire.payload import GENERIC_OCTETS
from ikescope.wire.registry import PayloadType
from ikescope.wire.tree import Node, header_node, inner, payload_node, tree

#: How many payloads are remembered, and how long one may be to be remembered as a whole.
REMEMBERED = 4096
LONGEST = 1024

_encode = msgspec.json.Encoder().encode
_SK, _SKF = int(PayloadType.SK), int(PayloadType.SKF)
#: Octets before the opaque rest of a payload, by its type.
_HEADS: dict[int, int] = {PayloadType.KE: 8, PayloadType.NONCE: 4, PayloadType.AUTH: 8}
_NOTIFY, _SA, _DELETE = int(PayloadType.NOTIFY), int(PayloadType.SA), int(PayloadType.DELETE)
#: Notifies whose data is not opaque.
_SPELLED = frozenset((*words.NOTIFY_WORDS, *forms.NOTIFY_FORMS, *forms.NOTIFY_GATEWAYS, *forms.NOTIFY_LISTS))
_SPIS_IN = frozenset((_NOTIFY, _SA, _DELETE))
_LEAST = 4
"""Octets from which on an opaque field is told from all that stands around it."""
_STAND_IN = bytes((0xD7, 0x3E, 0xA9, 0x51, 0xC6, 0x0B, 0xF2, 0x84))
_PLACE = "\x00"
_GAP = _encode(Node(_PLACE, "", 0, 0))
#: The header of no message: numbers that are found again in its JSON.
_SPIS, _ID, _LENGTH = (b"\xd7" * 8, b"\x3e" * 8), 0xF0F1F2F3, 0xF4F5F6F7


class TreeWriter:
    """Writes the trees of messages as JSON; bounded in what it remembers."""

    def __init__(self) -> None:
        self._headers: dict[bytes, list[bytes]] = {}
        self._seen: dict[tuple[object, ...], bytes | list[bytes]] = {}

    def write(self, data: bytes, opened: bytes | None = None, first_opened: PayloadType | None = None) -> bytes:
        """The JSON of `tree` of the same arguments: an array of nodes."""
        if len(data) < HEADER_OCTETS or data[17] >> 4 != 2:
            return _encode(tree(data, opened, first_opened))
        parts = [self._header(data)]
        at, kind, end, count = HEADER_OCTETS, data[16], len(data), 0
        while kind:
            size = int.from_bytes(data[at + 2 : at + 4], "big")
            if size < GENERIC_OCTETS or at + size > end or count == MAX_PAYLOADS:
                return _encode(tree(data, opened, first_opened))
            count += 1
            if kind in ENCRYPTED_PARSERS:
                if kind == _SKF or at + size != end or size < GENERIC_OCTETS + _LEAST:
                    return _encode(tree(data, opened, first_opened))
                parts.append(self._sealed(data, at, size, opened, first_opened))
                return b"[" + b",".join(parts) + b"]"
            parts.append(self._payload(data, at, size, kind, False))
            kind = data[at]
            at += size
        if at != end:
            return _encode(tree(data, opened, first_opened))
        return b"[" + b",".join(parts) + b"]"

    def inner(self, opened: bytes, first: PayloadType) -> bytes:
        """The JSON of `inner` of the same arguments."""
        chain = self._chain(opened, int(first))
        return _encode(inner(opened, first)) if chain is None else b"[" + chain + b"]"

    def _chain(self, data: bytes, kind: int) -> bytes | None:
        """The nodes of opened octets, without the brackets around them; None where something is wrong with them."""
        parts: list[bytes] = []
        at, end = 0, len(data)
        while kind:
            size = int.from_bytes(data[at + 2 : at + 4], "big")
            sealed = kind in ENCRYPTED_PARSERS
            if size < GENERIC_OCTETS or at + size > end or sealed or len(parts) == MAX_PAYLOADS:
                return None
            parts.append(self._payload(data, at, size, kind, True))
            kind = data[at]
            at += size
        return b",".join(parts) if at == end else None

    def _remember(self, key: tuple[object, ...], what: bytes | list[bytes]) -> None:
        if len(self._seen) >= REMEMBERED:
            self._seen.clear()
        self._seen[key] = what

    def _header(self, data: bytes) -> bytes:
        form = self._headers.get(data[16:20])
        if form is None:
            numbers = _ID.to_bytes(4, "big") + _LENGTH.to_bytes(4, "big")
            text = _encode(header_node(b"".join(_SPIS) + data[16:20] + numbers))
            for one in (*(spi.hex() for spi in _SPIS), str(_ID), str(_LENGTH)):
                text = text.replace(one.encode(), _PLACE.encode())
            form = self._headers[data[16:20]] = text.split(_PLACE.encode())
        number = str(int.from_bytes(data[20:24], "big"))
        length = str(int.from_bytes(data[24:28], "big"))
        return _joined(form, (number, data[:8].hex(), data[8:16].hex(), number, length))

    def _payload(self, data: bytes, at: int, size: int, kind: int, inside: bool) -> bytes:
        octets = data[at : at + size]
        start, stop = _opaque(octets, kind)
        if stop - start < _LEAST or (kind in _SPIS_IN and stop - start > words.MAX_SHOWN_OCTETS):
            key: tuple[object, ...] = (kind, at, inside, octets)
            known = self._seen.get(key)
            if known is None:
                known = _encode(payload_node(data, at, at + size, PayloadType.of(kind), inside))
                if size <= LONGEST:
                    self._remember(key, known)
            assert isinstance(known, bytes)
            return known
        key = (kind, at, inside, size, start, octets[:start], octets[stop:])
        form = self._seen.get(key)
        if form is None:
            if _STAND_IN[:_LEAST].hex() in (octets[:start] + bytes(1) + octets[stop:]).hex():
                # What is looked for stands elsewhere too.
                return _encode(payload_node(data, at, at + size, PayloadType.of(kind), inside))
            form = _form(data, at, octets, kind, inside, start, stop)
            self._remember(key, form)
        text = words.octets(octets[start:stop]).encode()
        return text.join(form)  # type: ignore[arg-type]

    def _sealed(self, data: bytes, at: int, size: int, opened: bytes | None, first: PayloadType | None) -> bytes:
        """An Encrypted payload, with what it held as its children."""
        key = (_SK, at, size, data[at : at + GENERIC_OCTETS])
        form = self._seen.get(key)
        if form is None:
            form = self._sealed_form(data, at, size)
            self._remember(key, form)
        before, between, after = form
        held = b""
        if opened is not None:
            chain = self._chain(opened, data[at] if first is None else int(first))
            if chain is None:
                kind = PayloadType.of(data[at]) if first is None else first
                chain = _encode(inner(opened, kind))[1:-1]
            held = b"," + chain if chain else b""
        text = words.octets(data[at + GENERIC_OCTETS : at + size]).encode()
        return b"".join((before, text, between, held, after))  # type: ignore[arg-type]

    @staticmethod
    def _sealed_form(data: bytes, at: int, size: int) -> list[bytes]:
        body = _like(size - GENERIC_OCTETS)
        made = data[: at + GENERIC_OCTETS] + body
        node = payload_node(made, at, at + size, PayloadType.SK, False)
        text = _encode(replace(node, children=(*node.children, Node(_PLACE, "", 0, 0))))
        rest, after = text.split(b"," + _GAP)
        before, between = rest.split(words.octets(body).encode())
        return [before, between, after]


def _like(size: int) -> bytes:
    """So many octets that stand in for opaque ones."""
    return (_STAND_IN * (size // len(_STAND_IN) + 1))[:size]


def _form(data: bytes, at: int, octets: bytes, kind: int, inside: bool, start: int, stop: int) -> list[bytes]:
    """The JSON of a payload around its opaque field."""
    body = _like(stop - start)
    made = bytes(at) + octets[:start] + body + octets[stop:]
    text = _encode(payload_node(made, at, at + len(octets), PayloadType.of(kind), inside))
    return text.split(words.octets(body).encode())


def _opaque(octets: bytes, kind: int) -> tuple[int, int]:
    """Where the opaque field of a payload begins and ends; nowhere where it has none that is known."""
    head = _HEADS.get(kind)
    if head is not None:
        return head, len(octets)
    if kind == _NOTIFY and len(octets) > 8:
        spi = octets[5]
        if spi:
            return (8, 8 + spi) if len(octets) == 8 + spi else (0, 0)
        return (0, 0) if (octets[6] << 8 | octets[7]) in _SPELLED else (8, len(octets))
    if kind == _SA and len(octets) > 12 and octets[4] == 0:
        # One proposal: its SPI.
        stop = 12 + octets[10]
        return (12, stop) if stop < len(octets) else (0, 0)
    if kind == _DELETE and len(octets) > 8 and octets[6:8] == b"\x00\x01" and len(octets) == 8 + octets[5]:
        return 8, len(octets)
    return 0, 0


def _joined(form: list[bytes], values: tuple[str, ...]) -> bytes:
    parts = [form[0]]
    for value, part in zip(values, form[1:], strict=True):
        parts += (value.encode(), part)
    return b"".join(parts)
