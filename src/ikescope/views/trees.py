"""Every IKE message as a tree, a JSON object a line: what a dissector's JSON is to a capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ikescope.capture.opened import Seen
from ikescope.events import UNSET, DumpedFact, Record, UnsetType
from ikescope.events.message import FragmentReceived, FragmentSent, MessageReceived, MessageSent
from ikescope.wire.registry import PayloadType
from ikescope.wire.tree_json import TreeWriter

SCHEMA = "ikescope.message/1"


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. `file` and `line` say where it was found (of a capture the packet, from 1), `time` seconds since
    1970, `source` and `destination` are address:port, `octets` how long it is.

    `tree` is an array of nodes (`ikescope.wire.tree.Node`): name, value, offset, length, RFC section, children, and
    whether it is `inside` the opened octets. A message of `fragments` (the octets of each) comes after the last of
    them, its tree is what they held. Where a source lacks the octets, but spells out payloads
    (an ASA's debug text), the nodes are `ikescope.events.DumpedFact`: no offset, and `omitted` for what the text leaves
    out. It is empty where a source holds neither.
    """

    schema: str
    type: str
    file: str | UnsetType = UNSET
    line: int | UnsetType = UNSET
    time: float | UnsetType = UNSET
    source: str | UnsetType = UNSET
    destination: str | UnsetType = UNSET
    octets: int | UnsetType = UNSET
    fragments: tuple[int, ...] = ()
    tree: msgspec.Raw


class Trees:
    """Writes messages as lines."""

    def __init__(self) -> None:
        self._writer = TreeWriter()
        self._encode = msgspec.json.Encoder().encode

    def of_capture(self, seen: Seen, file: str) -> bytes:
        """A message of a capture, without the line feed."""
        tree = self._tree(seen.octets, seen.opened, seen.first)
        line = Line(
            schema=SCHEMA,
            type="message",
            file=file or UNSET,
            line=seen.packet,
            time=seen.wall,
            source=seen.source,
            destination=seen.destination,
            octets=sum(seen.fragments) or len(seen.octets),
            fragments=seen.fragments,
            tree=tree,
        )
        return self._encode(line)

    def of_record(self, record: Record) -> bytes | None:
        """The message that a record tells of; None where it tells of none."""
        stamp, event = record.stamp, record.event
        if not isinstance(event, MessageSent | MessageReceived | FragmentSent | FragmentReceived):
            return None
        held: bytes | None = None
        first, fragments, dumped = 0, tuple[int, ...](), tuple[DumpedFact, ...]()
        if isinstance(event, MessageSent | MessageReceived):
            held = event.opened if isinstance(event.opened, bytes) else None
            first = event.opened_first if isinstance(event.opened_first, int) else 0
            fragments = event.fragments
            dumped = event.dumped if isinstance(event.dumped, tuple) else ()
        octets = event.octets if isinstance(event.octets, bytes) else b""
        sent = isinstance(event, MessageSent | FragmentSent)
        line = Line(
            schema=SCHEMA,
            type="message",
            file=stamp.source,
            line=stamp.line,
            time=stamp.wall or UNSET,
            source=event.local if sent else event.remote,
            destination=event.remote if sent else event.local,
            octets=event.size,
            fragments=fragments,
            tree=self._encoded(dumped) if dumped else self._tree(octets, held, first),
        )
        return self._encode(line)

    def _encoded(self, dumped: tuple[DumpedFact, ...]) -> msgspec.Raw:
        return msgspec.Raw(self._encode(dumped))

    def _tree(self, octets: bytes, opened: bytes | None, first: int) -> msgspec.Raw:
        kind = PayloadType.of(first)
        if not octets:
            return msgspec.Raw(b"[]" if opened is None else self._writer.inner(opened, kind))
        return msgspec.Raw(self._writer.write(octets, opened, None if opened is None else kind))


def lines(records: Iterable[Record]) -> Iterator[str]:
    """The messages of records as JSON, without line feeds."""
    trees = Trees()
    return (line.decode() for record in records if (line := trees.of_record(record)) is not None)
