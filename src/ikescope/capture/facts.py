"""Payloads as the facts that events carry."""

from __future__ import annotations

from collections.abc import Iterable

from ikescope.crypto.auth import psk_auth, signed_octets, verify
from ikescope.crypto.suites import Prf
from ikescope.errors import PeerError
from ikescope.events import AttributeFact, IdentityFact, ProposalFact, SelectorFact
from ikescope.policy.identity import identity_from_wire
from ikescope.policy.names import facts
from ikescope.policy.selectors import SelectorError, from_wire
from ikescope.wire import CpPayload, IdPayload, NotifyPayload, Payload, SaPayload, TsPayload, find
from ikescope.wire.registry import CpAttribute, NotifyType, PayloadType

__all__ = ["answers", "attributes", "errors", "identity", "proposals", "psk_verifies", "selectors"]


def proposals(payloads: Iterable[Payload]) -> tuple[ProposalFact, ...]:
    """The proposals of the SA payload; none without one."""
    payload = find(tuple(payloads), SaPayload)
    return facts(payload.proposals) if payload is not None else ()


def identity(payloads: Iterable[Payload], kind: PayloadType) -> IdentityFact | None:
    """IDi or IDr; None where there is none that can be read."""
    payload = find(tuple(payloads), IdPayload, kind)
    if payload is None:
        return None
    try:
        found = identity_from_wire(int(payload.id_type), payload.data)
    except PeerError:
        return IdentityFact(int(payload.id_type), f"0x{payload.data.hex()}")
    return IdentityFact(found.type, found.value)


def selectors(payloads: Iterable[Payload], kind: PayloadType) -> tuple[SelectorFact, ...]:
    """TSi or TSr; none without one that can be read."""
    payload = find(tuple(payloads), TsPayload, kind)
    try:
        return from_wire(payload.selectors) if payload is not None else ()
    except SelectorError:
        return ()


def attributes(payload: CpPayload) -> tuple[AttributeFact, ...]:
    """The attributes of a Configuration payload, the value where it is a version."""
    rows = []
    for one in payload.attributes:
        shown = one.value.decode("ascii", "replace") if one.type == CpAttribute.APPLICATION_VERSION else ""
        rows.append(AttributeFact(int(one.type), one.type.label, len(one.value), shown))
    return tuple(rows)


def answers(payloads: Iterable[Payload], *kinds: NotifyType) -> NotifyPayload | None:
    """The first Notify of one of these types; None without one."""
    return next((one for one in payloads if isinstance(one, NotifyPayload) and one.notify_type in kinds), None)


def errors(payloads: Iterable[Payload]) -> list[NotifyPayload]:
    """The Notify payloads that report an error."""
    return [one for one in payloads if isinstance(one, NotifyPayload) and one.notify_type.is_error]


def psk_verifies(
    prf: Prf, psk: bytes, auth: bytes, message: bytes, peer_nonce: bytes, sk_p: bytes, id_body: bytes
) -> bool:
    """Whether a pre-shared key gives this AUTH value; arguments as in `signed_octets`."""
    return verify(auth, psk_auth(prf, psk, signed_octets(prf, message, peer_nonce, sk_p, id_body)))
