"""Chains of payloads, many alike: a body that was seen before is not parsed again."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ikescope.wire import NotifyPayload, SaPayload, parse_chain
from ikescope.wire.describe import payload_name, payload_names
from ikescope.wire.message import MAX_PAYLOADS, PARSERS
from ikescope.wire.payload import GENERIC_OCTETS, Payload
from ikescope.wire.registry import NotifyType, PayloadType
from ikescope.wire.sa import Proposal

_GENERIC = struct.Struct("!BBH").unpack_from
_SA, _NOTIFY = int(PayloadType.SA), int(PayloadType.NOTIFY)
_UNIQUE = frozenset({PayloadType.KE, PayloadType.NONCE, PayloadType.AUTH})
_SMALL, _KNOWN = 256, 8192
"""Octets of a payload that is kept, and how many."""
_PROPOSAL = 8
"""Octets of a proposal before its SPI."""


class Chain(NamedTuple):
    """Payloads, their names, and how bad what a Notify among them tells is; see `badness`."""

    payloads: tuple[Payload, ...]
    names: tuple[str, ...]
    bad: int


class Chains:
    """What parses chains of opened octets, and remembers."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, bytes], tuple[Payload, str, int]] = {}
        self._proposals: dict[bytes, Proposal] = {}

    def parse(self, first: int, data: bytes) -> Chain:
        """The payloads of opened octets, as `parse_chain` has them; DecodeError where they are no chain."""
        kind, offset, end = first, 0, len(data)
        payloads: list[Payload] = []
        names: list[str] = []
        bad, known = 0, self._known
        while kind and end - offset >= GENERIC_OCTETS:
            following, flags, length = _GENERIC(data, offset)
            stop = offset + length
            if flags or length < GENERIC_OCTETS or stop > end:
                break
            body = data[offset + GENERIC_OCTETS : stop]
            found = known.get((kind, body))
            if found is None:
                if kind not in PARSERS:
                    break
                found = self._parsed(kind, body, offset + GENERIC_OCTETS)
            payloads.append(found[0])
            names.append(found[1])
            bad |= found[2]
            kind, offset = following, stop
        if kind or offset != end or len(payloads) > MAX_PAYLOADS:
            whole = parse_chain(PayloadType.of(first), data, inside=True)
            return Chain(whole, payload_names(whole), badness(whole))
        return Chain(tuple(payloads), tuple(names), bad)

    def _parsed(self, kind: int, body: bytes, at: int) -> tuple[Payload, str, int]:
        if kind == _SA and body[:1] == b"\0" and len(body) > _PROPOSAL and body[6]:
            return self._sa(body, at), "SA", 0
        payload = PARSERS[kind](body, at)
        found = payload, payload_name(payload), badness((payload,)) if kind == _NOTIFY else 0
        if kind not in _UNIQUE and len(body) <= _SMALL and len(self._known) < _KNOWN:
            self._known[kind, body] = found
        return found

    def _sa(self, body: bytes, at: int) -> Payload:
        """One proposal with an SPI, which is all that is new in most."""
        end = _PROPOSAL + body[6]
        rest = body[:_PROPOSAL] + body[end:]
        like = self._proposals.get(rest)
        if like is not None:
            return SaPayload(
                (Proposal(like.number, like.protocol, body[_PROPOSAL:end], like.transforms, like.reserved),)
            )
        payload = PARSERS[_SA](body, at)
        if isinstance(payload, SaPayload) and len(body) <= _SMALL and len(self._proposals) < _KNOWN:
            self._proposals[rest] = payload.proposals[0]
        return payload


def badness(payloads: tuple[Payload, ...]) -> int:
    """0 where no Notify tells of an error, 1 where another group is wanted, from 2 on for any other error."""
    found = 0
    for one in payloads:
        if isinstance(one, NotifyPayload) and one.notify_type.is_error:
            found |= 1 if one.notify_type == NotifyType.INVALID_KE_PAYLOAD else 2
    return found
