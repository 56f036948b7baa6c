"""Facts and payloads that hand-made records are put together from."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec

from ikescope.events import Event, ProposalFact, Record, SelectorFact, Stamp, TransformFact, negotiation
from ikescope.wire import Proposal, SaPayload, TrafficSelector, TsPayload, transform
from ikescope.wire.registry import PayloadType, ProtocolId

Transforms = tuple[tuple[int, int, int | None], ...]
GRE = (SelectorFact("192.0.2.1", "192.0.2.1", 47),), (SelectorFact("192.0.2.2", "192.0.2.2", 47),)


def proposal(protocol: int, transforms: Transforms, spi: str = "") -> ProposalFact:
    """A proposal fact of (type, id, key length) triples."""
    return ProposalFact(1, protocol, spi, tuple(TransformFact(*one) for one in transforms))


def sa_payload(fact: ProposalFact) -> SaPayload:
    """The SA payload of one proposal."""
    made = tuple(transform(one.type, one.id, one.key_length) for one in fact.transforms)
    return SaPayload((Proposal(1, ProtocolId.of(fact.protocol), bytes.fromhex(fact.spi), made),))


def ts_payload(kind: PayloadType, selectors: tuple[SelectorFact, ...]) -> TsPayload:
    """The TSi or TSr payload of selectors."""
    made = tuple(
        TrafficSelector.of_range(ip_address(one.start), ip_address(one.end), one.protocol, one.start_port, one.end_port)
        for one in selectors
    )
    return TsPayload(kind, made)


def message_completed(exchange: int) -> Event:
    """The end of an exchange on one side."""
    return negotiation.ExchangeCompleted(exchange=exchange)


def restamped(record: Record, **changes: Any) -> Record:
    """The record with facts of its stamp or its event replaced, whichever has them."""
    stamp = {name: value for name, value in changes.items() if name in Stamp.__struct_fields__}
    event = {name: value for name, value in changes.items() if name not in stamp}
    return Record(
        msgspec.structs.replace(record.stamp, **stamp),
        msgspec.structs.replace(record.event, **event) if event else record.event,
    )
