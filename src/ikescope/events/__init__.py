"""Everything that happens, declared once (DESIGN: one stream of events)."""

from ikescope.events.base import (
    REGISTRY,
    UNSET,
    AttributeFact,
    DumpedFact,
    Event,
    IdentityFact,
    LineTried,
    ProposalFact,
    SelectorFact,
    TransformFact,
    Tried,
    UnsetType,
)
from ikescope.events.record import Record, Recorder, Stamp, decode, encode

__all__ = [
    "REGISTRY",
    "UNSET",
    "AttributeFact",
    "DumpedFact",
    "Event",
    "IdentityFact",
    "LineTried",
    "ProposalFact",
    "Record",
    "Recorder",
    "SelectorFact",
    "Stamp",
    "TransformFact",
    "Tried",
    "UnsetType",
    "decode",
    "encode",
]
