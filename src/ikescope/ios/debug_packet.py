"""A packet as `debug crypto ikev2 packet` spells it out: its header, and each payload with its fields.

The layout is that of ASA's dumps, which IOS shares (transcripts 01 to 18). With `hexdump` the octets of what is not
spelled out stand under it, sixteen a line. A source without octets gives the names alone, as the default level does.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

from ikescope.errors import DecodeError
from ikescope.events import Stamp
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.ios import words
from ikescope.wire.describe import notify_name, payload_name
from ikescope.wire.message import PARSERS
from ikescope.wire.registry import PayloadType, ProtocolId, TransformType

_HEADER = struct.Struct("!8s8sBBBBII")
_GENERIC = struct.Struct("!BBH")
_INITIATOR, _RESPONSE = 0x08, 0x20
_PROTOCOLS = {ProtocolId.IKE: "IKE", ProtocolId.AH: "AH", ProtocolId.ESP: "ESP"}
_TS_TYPES = {7: "TS_IPV4_ADDR_RANGE", 8: "TS_IPV6_ADDR_RANGE"}
_ROW = 16

Packet = MessageSent | MessageReceived


def packet_head(event: Packet, stamp: Stamp) -> str | None:
    """`Next payload: SA, version: 2.0 Exchange type: ... length: 574 `; None where the source holds no octets."""
    octets = event.octets
    if not isinstance(octets, bytes) or len(octets) < _HEADER.size:
        return None
    _, _, first, version, exchange, flags, message_id, length = _HEADER.unpack_from(octets)
    role = "INITIATOR" if flags & _INITIATOR else "RESPONDER"
    role += " MSG-RESPONSE" if flags & _RESPONSE else ""
    return (
        f"Next payload: {_name(first)}, version: {version >> 4}.{version & 15} Exchange type: "
        f"{words.exchange(exchange)}, flags: {role} Message id: {message_id}, length: {length} "
    )


def dump(event: Packet, names: str, hexdump: bool) -> Iterator[str]:
    """The lines under `Payload contents:`; `names` is what the default level prints there."""
    octets = event.octets
    if not isinstance(octets, bytes) or len(octets) < _HEADER.size:
        yield names
        return
    first, plain = octets[16], octets[_HEADER.size :]
    sealed = first in (PayloadType.SK, PayloadType.SKF)
    if sealed and isinstance(event, MessageReceived):
        yield f"Decrypted packet:Data: {len(octets)} bytes"
    else:
        yield from _chain(first, plain, hexdump)
    if sealed and isinstance(event.opened, bytes) and isinstance(event.opened_first, int):
        yield from _chain(event.opened_first, event.opened, hexdump)
    if isinstance(event, MessageReceived) and not sealed:
        yield f"Decrypted packet:Data: {len(octets)} bytes"


def _name(kind: int) -> str:
    return PayloadType.of(kind).short if kind else "NONE"


def _chain(first: int, octets: bytes, hexdump: bool) -> Iterator[str]:
    kind, offset = first, 0
    while kind and offset + _GENERIC.size <= len(octets):
        after, reserved, length = _GENERIC.unpack_from(octets, offset)
        body = octets[offset + _GENERIC.size : offset + length]
        yield from _payload(kind, after, reserved, length, body, hexdump)
        if length < _GENERIC.size or kind in (PayloadType.SK, PayloadType.SKF):
            return
        kind, offset = after, offset + length


def _payload(kind: int, after: int, reserved: int, length: int, body: bytes, hexdump: bool) -> Iterator[str]:
    parsed: Any = None
    parse = PARSERS.get(kind)
    if parse is not None:
        try:
            parsed = parse(body, 0)
        except DecodeError:
            parsed = None
    name = payload_name(parsed) if parsed is not None else _name(kind)
    yield f" {name}  Next payload: {_name(after)}, reserved: 0x{reserved:x}, length: {length}"
    if kind in (PayloadType.SK, PayloadType.SKF):
        yield f"Encrypted data: {len(body)} bytes"
        return
    spell = _SPELL.get(kind) if parsed is not None else None
    rest = body if spell is None else b""
    if spell is not None:
        lines, rest = spell(parsed)
        yield from lines
    if hexdump and rest:
        yield ""
        yield from (f"     {rest[at : at + _ROW].hex(' ')}" for at in range(0, len(rest), _ROW))


_Spelled = tuple[list[str], bytes]


def _sa(payload: Any) -> _Spelled:
    lines = []
    for number, proposal in enumerate(payload.proposals, 1):
        last = number == len(payload.proposals)
        size = 8 + len(proposal.spi) + sum(len(one.encode(False)) for one in proposal.transforms)
        lines.append(f"  last proposal: 0x{0 if last else 2:x}, reserved: 0x0, length: {size}")
        head = f"  Proposal: {proposal.number}, Protocol id: {_protocol(proposal.protocol)}, "
        head += f"SPI size: {len(proposal.spi)}, #trans: {len(proposal.transforms)}"
        for position, one in enumerate(proposal.transforms, 1):
            more = 0 if position == len(proposal.transforms) else 3
            lines.append(f"{head}    last transform: 0x{more:x}, reserved: 0x0: length: {len(one.encode(False))}")
            lines.append(
                f"    type: {int(one.type)}, reserved: 0x0, id: {words.transform(TransformType.of(one.type), one.id)}"
            )
            head = ""
        if head:
            lines.append(head)
    return lines, b""


def _protocol(number: int) -> str:
    return _PROTOCOLS.get(ProtocolId.of(number), f"Unknown - {int(number)}")


def _ke(payload: Any) -> _Spelled:
    return [f"    DH group: {int(payload.group)}, Reserved: 0x0"], payload.data


def _plain(payload: Any) -> _Spelled:
    return [], payload.data


def _notify(payload: Any) -> _Spelled:
    head = f"    Security protocol id: {_protocol(payload.protocol)}, spi size: {len(payload.spi)}"
    return [f"{head}, type: {notify_name(payload.notify_type)}"], payload.spi + payload.data


def _id(payload: Any) -> _Spelled:
    return [f"    Id type: {words.id_type(int(payload.id_type))}, Reserved: 0x0 0x0"], payload.data


def _auth(payload: Any) -> _Spelled:
    method = words.method(int(payload.method))
    return [f"    Auth method {method}, reserved: 0x0, reserved 0x0", f"Auth data: {len(payload.data)} bytes"], b""


def _delete(payload: Any) -> _Spelled:
    size = len(payload.spis[0]) if payload.spis else 0
    head = f"    Security protocol id: {_protocol(payload.protocol)}, spi size: {size}, num of spi: {len(payload.spis)}"
    return [head], b"".join(payload.spis)


def _ts(payload: Any) -> _Spelled:
    lines = [f"    Num of TSs: {len(payload.selectors)}, reserved 0x0, reserved 0x0"]
    for one in payload.selectors:
        kind = _TS_TYPES.get(int(one.ts_type), f"Unknown - {int(one.ts_type)}")
        lines.append(f"    TS type: {kind}, proto id: {one.protocol}, length: {len(one.encode())}")
        if one.readable:
            lines.append(f"    start port: {one.start_port}, end port: {one.end_port}")
            ends = words.address(str(one.first)), words.address(str(one.last))
            lines.append(f"    start addr: {ends[0]}, end addr: {ends[1]}")
    return lines, b""


_SPELL: dict[int, Callable[[Any], _Spelled]] = {
    PayloadType.SA: _sa,
    PayloadType.KE: _ke,
    PayloadType.NONCE: _plain,
    PayloadType.VENDOR: _plain,
    PayloadType.NOTIFY: _notify,
    PayloadType.IDI: _id,
    PayloadType.IDR: _id,
    PayloadType.AUTH: _auth,
    PayloadType.DELETE: _delete,
    PayloadType.TSI: _ts,
    PayloadType.TSR: _ts,
}


HEAD = re.compile(
    r"Next payload: \w+, version: \d\.\d Exchange type: \w+, flags: [\w -]+? Message id: \d+, length: (?P<length>\d+)"
)
"""The header of a packet that is spelled out."""
DETAIL = re.compile(
    r"(?:last proposal:|Proposal: \d|last transform:|type: \d|DH group:|Security protocol id:|Id type:|Auth method "
    r"|Auth data:|Encrypted data:|(?:REAL )?Decrypted packet:|Num of TSs|TS type|start port|start addr)"
    r"|[0-9a-f]{2}(?: [0-9a-f]{2}){0,15}$"
)
"""What stands under a payload of such a packet."""


def payload_at(text: str) -> str | None:
    """The name of the payload that a line of a packet begins; None for any other line."""
    name, mark, _ = text.partition("  Next payload:")
    return name.strip() if mark else None
