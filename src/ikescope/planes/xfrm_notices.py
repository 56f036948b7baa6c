"""What the kernel says of XFRM unasked: a packet needs an SA, an SA reached a limit, a peer behind a NAT moved."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ikescope.config.model import Address
from ikescope.planes.xfrm_policy import POLICY_OCTETS, PolicySeen, decode_policy
from ikescope.planes.xfrm_state import STATE_OCTETS, StateSeen, decode_state
from ikescope.planes.xfrm_wire import (
    ESP,
    SELECTOR_OCTETS,
    Message,
    Received,
    Selector,
    XfrmError,
    need,
    unpack_address,
)

_ACQUIRE_REST = struct.Struct("=IIII")
_POLICY_AT = 24 + 16 + SELECTOR_OCTETS
_ACQUIRE_AT = _POLICY_AT + POLICY_OCTETS
ACQUIRE_OCTETS = _ACQUIRE_AT + _ACQUIRE_REST.size
_SA_ID = struct.Struct("=HBx")
MAPPING_OCTETS = 64
_PORTS = struct.Struct(">HH")
_U32 = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Acquired:
    """A packet found no SA. `selector`: the packet's own; `policy`: what it met; `sequence` names what waits."""

    selector: Selector
    source: Address | None
    destination: Address | None
    policy: PolicySeen
    sequence: int


@dataclass(frozen=True, slots=True)
class Expiring:
    """An SA reached a soft or hard limit; after a hard one it is gone."""

    state: StateSeen
    hard: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """An SA was taken out, by whomever."""

    destination: Address
    spi: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """Verified ESP in UDP came to an SA from another address or port than before."""

    destination: Address
    spi: int
    reqid: int
    source: Address
    port: int


Notice = Acquired | Expiring | Deleted | Mapped


def decode(received: Received) -> Notice | None:
    """What a message of the kernel says; None for one that is not about these. XfrmError for another shape."""
    body = received.body
    match received.kind:
        case Message.ACQUIRE:
            return _acquired(body)
        case Message.EXPIRE:
            need(body, STATE_OCTETS + 1, "expire")
            state = decode_state(body[:STATE_OCTETS])
            return Expiring(state, bool(body[STATE_OCTETS])) if state.protocol == ESP else None
        case Message.DELSA:
            return _deleted(body)
        case Message.MAPPING:
            return _mapped(body)
    return None


def _acquired(body: bytes) -> Acquired:
    need(body, ACQUIRE_OCTETS, "acquire")
    attributes = body[ACQUIRE_OCTETS:]
    policy = decode_policy(body[_POLICY_AT:_ACQUIRE_AT] + attributes)
    *_, sequence = _ACQUIRE_REST.unpack_from(body, _ACQUIRE_AT)
    family = policy.template.family if policy.template is not None else policy.key.selector.family
    return Acquired(
        selector=Selector.decode(body[40:_POLICY_AT]),
        source=unpack_address(body[24:40], family),
        destination=unpack_address(body[:16], family),
        policy=policy,
        sequence=sequence,
    )


def _sa(body: bytes) -> tuple[Address, int, int]:
    """Destination, SPI and protocol out of `struct xfrm_usersa_id`."""
    family, protocol = _SA_ID.unpack_from(body, 20)
    destination = unpack_address(body[:16], family)
    if destination is None:
        raise XfrmError(f"SA: address family had {family}, wanted 2 or 10")
    return destination, int.from_bytes(body[16:20], "big"), protocol


def _deleted(body: bytes) -> Deleted | None:
    need(body, 24, "deleted SA")
    destination, spi, protocol = _sa(body)
    return Deleted(destination, spi) if protocol == ESP else None


def _mapped(body: bytes) -> Mapped | None:
    need(body, MAPPING_OCTETS, "mapping")
    destination, spi, protocol = _sa(body)
    family = 2 if destination.version == 4 else 10
    source = unpack_address(body[44:60], family)
    if source is None or protocol != ESP:
        return None
    _, port = _PORTS.unpack_from(body, 60)
    return Mapped(destination, spi, int(_U32.unpack_from(body, 24)[0]), source, port)
