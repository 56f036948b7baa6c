"""Record = stamp + event, its JSON line, and the bounded recorder that is always on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec
from msgspec import UNSET, UnsetType

from ikescope.errors import LocalError
from ikescope.events import life, message, negotiation, router
from ikescope.events.base import REGISTRY, Event

MODULES = (message, negotiation, life, router)
SCHEMA = "ikescope.record/1"


class Stamp(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where and when: sequence in its stream, monotonic and wall seconds, router, and the SA it belongs to.

    `local` and `peer` are `address:port`; `spi_i` and `spi_r` 16 hexadecimal digits; `session` and `sa` the
    numbers that IOS prints; `initiator` whether this router began the IKE SA. `source` and `line` say where a reader
    found it: the file's name, and the line, or the packet of a capture, from 1. `point` is the capture point where a
    message was seen on its way, absent where the router itself tells; `inferred` says what an event was concluded from
    that nobody read. `software` names whose words a text is in where it is not IOS: asa.
    """

    seq: int
    mono: float
    wall: float
    router: str
    local: str | UnsetType = UNSET
    peer: str | UnsetType = UNSET
    spi_i: str | UnsetType = UNSET
    spi_r: str | UnsetType = UNSET
    session: int | UnsetType = UNSET
    sa: int | UnsetType = UNSET
    message_id: int | UnsetType = UNSET
    initiator: bool | UnsetType = UNSET
    source: str | UnsetType = UNSET
    line: int | UnsetType = UNSET
    point: str | UnsetType = UNSET
    inferred: str | UnsetType = UNSET
    software: str | UnsetType = UNSET


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event with its stamp."""

    stamp: Stamp
    event: Event


class _Line(msgspec.Struct, frozen=True):
    schema: str
    type: str
    stamp: Stamp
    event: msgspec.Raw


_encoder = msgspec.json.Encoder()
_line_decoder = msgspec.json.Decoder(_Line)
_decoders: dict[str, msgspec.json.Decoder[Event]] = {}


class _Tag(msgspec.Struct):
    event: str


def encode(record: Record) -> bytes:
    """One record as a JSON object in one line, without the line feed (octet strings as base64)."""
    return _encoder.encode(
        {"schema": SCHEMA, "type": "record", "stamp": record.stamp, "event": record.event},
    )


def decode(line: bytes | str) -> Record:
    """The record of one JSON line; LocalError where it is not one of ours."""
    try:
        outer = _line_decoder.decode(line)
        tag = msgspec.json.decode(outer.event, type=_Tag).event
        decoder = _decoders.get(tag)
        if decoder is None:
            if tag not in REGISTRY:
                raise LocalError(f"unknown event {tag!r}; this recording was made by a newer ikescope")
            decoder = _decoders[tag] = msgspec.json.Decoder(REGISTRY[tag])
        return Record(outer.stamp, decoder.decode(outer.event))
    except msgspec.MsgspecError as error:
        raise LocalError(f"not a line of an ikescope recording: {error}") from None


class Recorder:
    """The flight recorder: keeps the latest records, bounded by number and by octets of the datagrams they hold."""

    def __init__(self, records: int = 8192, octets: int = 8 << 20) -> None:
        self._records: deque[Record] = deque(maxlen=records)
        self._append = self._records.append
        self._limit_octets = octets
        self._octets = 0

    def add(self, record: Record) -> None:
        """Keep a record; the oldest ones make room."""
        self._append(record)
        # Most events hold no octets, and the router waits for each.
        if type(record.event) in _HEAVY:
            self._octets += _weight(record)
            if self._octets > self._limit_octets:
                self._make_room()

    def _make_room(self) -> None:
        """Count anew what is held, for what was forgotten by number still counts, and forget what is too much."""
        self._octets = sum(_weight(record) for record in self._records)
        while self._octets > self._limit_octets:
            self._octets -= _weight(self._records.popleft())

    def __iter__(self) -> Iterator[Record]:
        return iter(tuple(self._records))

    def __len__(self) -> int:
        return len(self._records)


_HEAVY = frozenset(kind for kind in REGISTRY.values() if "octets" in kind.__struct_fields__)


def _weight(record: Record) -> int:
    octets = getattr(record.event, "octets", None)
    return len(octets) if isinstance(octets, bytes) else 0
