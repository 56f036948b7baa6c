"""Fragments of a session in the test world: those on the wire, those held, and ones made to order."""

from __future__ import annotations

from tests.support.world import Pair, headline

from ikescope.events.message import MessageDropped
from ikescope.sim.world import Mail
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE
from ikescope.wire.registry import ExchangeType, PayloadType

INFO = ExchangeType.INFORMATIONAL
INIT = ExchangeType.IKE_SA_INIT


def protected(mail: Mail) -> bool:
    """An IKE datagram after IKE_SA_INIT."""
    return mail.kind == "ike" and headline(mail)[1] not in (0, INIT)


def fragmented(mail: Mail) -> bool:
    """A datagram with an Encrypted Fragment payload."""
    return protected(mail) and mail.octets[16] == PayloadType.SKF


def dropped(one: Pair, name: str) -> list[MessageDropped]:
    """What a router discarded."""
    return one.events(name, MessageDropped)


def piece(
    one: Pair,
    by: str,
    number: int,
    total: int,
    inner: bytes = b"\0" * 8,
    *,
    first: int | None = None,
    exchange: int = INFO,
    response: bool = False,
    message_id: int | None = None,
) -> bytes:
    """A fragment that a router could have sent on its one IKE SA; by default of its next request."""
    sa = one.one_ike(by)
    assert sa.envelope is not None
    flags = (FLAG_INITIATOR if sa.initiator else 0) | (FLAG_RESPONSE if response else 0)
    return sa.envelope.seal_fragment(
        sa.spi_i,
        sa.spi_r,
        exchange,
        flags,
        sa.out.next_id if message_id is None else message_id,
        (int(PayloadType.VENDOR) if number == 1 else 0) if first is None else first,
        inner,
        one.core(by).random,
        number=number,
        total=total,
    )


def held(one: Pair, name: str) -> dict[tuple[bool, int], int]:
    """How many fragments a router holds of which message."""
    return {key: len(found.pieces) for key, found in one.one_ike(name).reassembly.messages.items()}


def vendor(octets: int) -> bytes:
    """A chain of one Vendor ID payload of so many octets in all."""
    return bytes((0, 0)) + octets.to_bytes(2, "big") + bytes(octets - 4)
