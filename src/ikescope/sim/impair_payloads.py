"""Faults in the payloads of a message, put in before it is sealed: each takes a chain and gives back another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ikescope.wire.auth import AuthPayload
from ikescope.wire.delete import DeletePayload
from ikescope.wire.identification import IdPayload
from ikescope.wire.ke import KePayload
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.openenum import OpenEnum
from ikescope.wire.payload import Payload
from ikescope.wire.registry import (
    TRANSFORM_IDS,
    AuthMethod,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformAttribute,
    TransformType,
)
from ikescope.wire.sa import Attribute, Proposal, SaPayload, Transform
from ikescope.wire.ts import TrafficSelector, TsPayload
from ikescope.wire.unknown import UnknownPayload

Chain = Sequence[Payload]
UNKNOWN = 200
"""A payload type that nobody has assigned."""
_CHILD = (PayloadType.SA, PayloadType.TSI, PayloadType.TSR)


def add_unknown(chain: Chain, word: str) -> Chain:
    """A payload of an unassigned type at the end; `critical` sets its critical bit (RFC 7296 section 2.5)."""
    return [*chain, UnknownPayload(PayloadType.of(UNKNOWN), b"what is this", critical=word == "critical")]


def payload_flag(chain: Chain, word: str) -> Chain:
    """A reserved bit set in each generic payload header, which a receiver must ignore."""
    return [replace(payload, header_reserved=1) for payload in chain]


def reserved_fields(chain: Chain, word: str) -> Chain:
    """Reserved octets that are not zero: of each proposal, or of the ID payloads, where they enter the AUTH octets."""
    if word == "proposal":
        return _proposals(chain, lambda one: replace(one, reserved=0x5A))
    return [replace(one, reserved=b"\x5a\x5a\x5a") if isinstance(one, IdPayload) else one for one in chain]


def corrupt_ke(chain: Chain, word: str) -> Chain:
    """The KE payload left out, without data, all zero, or there twice."""
    made: dict[str, Callable[[KePayload], list[Payload]]] = {
        "omit": lambda ke: [],
        "empty": lambda ke: [replace(ke, data=b"")],
        "zero": lambda ke: [replace(ke, data=bytes(len(ke.data)))],
        "repeat": lambda ke: [ke, ke],
    }
    return [new for one in chain for new in (made[word](one) if isinstance(one, KePayload) else [one])]


def key_length(chain: Chain, word: str) -> Chain:
    """The Key Length attribute left out, empty, zero, or there twice."""

    def change(one: Transform) -> list[Transform]:
        attributes = {
            "omit": (),
            "empty": tuple(Attribute(each.type, b"", short=False) for each in one.attributes),
            "zero": tuple(replace(each, value=b"\0\0") for each in one.attributes),
            "duplicate": one.attributes * 2,
        }[word]
        has = any(each.type == TransformAttribute.KEY_LENGTH for each in one.attributes)
        return [replace(one, attributes=attributes)] if has else [one]

    return _transforms(chain, change)


def integrity(chain: Chain, word: str) -> Chain:
    """The integrity transforms left out, or NONE in their place."""
    return _without(chain, TransformType.INTEG, word)


def group(chain: Chain, word: str) -> Chain:
    """The key exchange transforms left out, or NONE in their place."""
    return _without(chain, TransformType.KE, word)


def mangle_cookie(chain: Chain, word: str) -> Chain:
    """A cookie comes back with its first octet changed."""
    return [
        replace(one, data=bytes((one.data[0] ^ 0xFF,)) + one.data[1:])
        if isinstance(one, NotifyPayload) and one.notify_type == NotifyType.COOKIE and one.data
        else one
        for one in chain
    ]


def add_notify(chain: Chain, word: str) -> Chain:
    """A Notify without data at the end."""
    return [*chain, NotifyPayload(NotifyType.of(int(word)))]


def omit_notify(chain: Chain, word: str) -> Chain:
    """Every Notify of that type left out."""
    return [one for one in chain if not (isinstance(one, NotifyPayload) and one.notify_type == int(word))]


def omit_idr(chain: Chain, word: str) -> Chain:
    """IDr left out."""
    return [one for one in chain if one.kind != PayloadType.IDR]


def auth_method(chain: Chain, word: str) -> Chain:
    """AUTH says that it was made by another method; its value is as it was (RFC 7296 section 3.8)."""
    method = AuthMethod.of(int(word))
    return [replace(one, method=method) if isinstance(one, AuthPayload) else one for one in chain]


def zero_nonce(chain: Chain, word: str) -> Chain:
    """A nonce of zeros, the lowest of all, which its sender does not compare (RFC 7296 section 2.8.1)."""
    return [replace(one, data=bytes(len(one.data))) if isinstance(one, NoncePayload) else one for one in chain]


def omit_child(chain: Chain, word: str) -> Chain:
    """SA, TSi and TSr left out of IKE_AUTH."""
    if not any(one.kind in (PayloadType.IDI, PayloadType.IDR) for one in chain):
        return chain
    return [one for one in chain if one.kind not in _CHILD]


def rekey_ts(chain: Chain, word: str) -> Chain:
    """In a rekey of a Child SA, selectors of half or of all addresses."""
    if not _rekeys(chain):
        return chain
    return [
        replace(one, selectors=tuple(_resized(each, word) for each in one.selectors))
        if isinstance(one, TsPayload)
        else one
        for one in chain
    ]


def rekey_protocol(chain: Chain, word: str) -> Chain:
    """REKEY_SA that names AH (2) where the Child SA is ESP (3)."""
    return [
        replace(one, protocol=ProtocolId.AH)
        if isinstance(one, NotifyPayload) and one.notify_type == NotifyType.REKEY_SA
        else one
        for one in chain
    ]


def no_delete(chain: Chain, word: str) -> Chain:
    """No Delete payload is ever sent: what was deleted here still stands there."""
    return [one for one in chain if not isinstance(one, DeletePayload)]


def _rekeys(chain: Chain) -> bool:
    return any(isinstance(one, NotifyPayload) and one.notify_type == NotifyType.REKEY_SA for one in chain)


def _resized(one: TrafficSelector, word: str) -> TrafficSelector:
    if not one.readable:
        return one
    octets = len(one.start)
    if word == "superset":
        return replace(one, start=bytes(octets), end=b"\xff" * octets)
    first, last = int.from_bytes(one.start, "big"), int.from_bytes(one.end, "big")
    return replace(one, end=(first + (last - first) // 2).to_bytes(octets, "big"))


def _proposals(chain: Chain, change: Callable[[Proposal], Proposal]) -> list[Payload]:
    return [
        replace(one, proposals=tuple(change(each) for each in one.proposals)) if isinstance(one, SaPayload) else one
        for one in chain
    ]


def _transforms(chain: Chain, change: Callable[[Transform], list[Transform]]) -> list[Payload]:
    def all_of(proposal: Proposal) -> Proposal:
        return replace(proposal, transforms=tuple(new for one in proposal.transforms for new in change(one)))

    return _proposals(chain, all_of)


def _without(chain: Chain, kind: TransformType, word: str) -> list[Payload]:
    none: OpenEnum = TRANSFORM_IDS[kind].of(0)

    def change(one: Proposal) -> Proposal:
        kept = tuple(each for each in one.transforms if each.type != kind)
        return replace(one, transforms=(*kept, Transform(kind, none)) if word == "none" else kept)

    return _proposals(chain, change)
