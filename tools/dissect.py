"""Our message tree against Wireshark's, field by field: every field of either in its place, every value the same.

    python -m tools.dissect CAPTURE [KEYDIR]      what was compared, and each difference

KEYDIR holds Wireshark's `ikev2_decryption_table` (as `ikescope run --write-keys` writes it). tshark is the one of
`make peers`. Names may differ, by the tables here; values may not.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from tests.support.tshark import IKE_TABLE, pdml
from tools.dissect_names import (
    ALONE,
    EXPLAINED,
    GROUPS,
    GUESSED,
    IN_BRACKETS,
    LABELLED,
    LABELS,
    NAMELESS,
    NAMES,
    SEALED,
    SUBSTRUCTURES,
    Theirs,
)

from ikescope.capture import frames, reader
from ikescope.capture.keys import IKE_ENCRYPTION, IKE_INTEGRITY
from ikescope.crypto.envelope import AeadOpener, CbcOpener, Opener
from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES
from ikescope.wire.header import FLAG_INITIATOR, HEADER_OCTETS
from ikescope.wire.registry import PayloadType
from ikescope.wire.tree import Node, Sealing, inner, tree

OUTER, WITHIN, JOINED = "message", "opened", "fragments joined"


class Leaf(NamedTuple):
    """A field of ours: where it is, what it is called and says, the path to it."""

    place: str
    at: int
    size: int
    name: str
    value: str
    path: str


class Report(NamedTuple):
    """How many messages and fields were compared, and what differs, a line each."""

    messages: int
    fields: int
    differences: list[str]
    labels: Counter[tuple[str, str]]


class Keys:
    """The openers of a key table, by SPI of the initiator and the side that sent."""

    def __init__(self, table: Path | None) -> None:
        self._openers: dict[tuple[bytes, bool], tuple[Opener, Sealing]] = {}
        encryptions = {name: key for key, name in IKE_ENCRYPTION.items()}
        integrities = {name: number for number, name in IKE_INTEGRITY.items()}
        if table is None or not table.is_file():
            return
        for spi_i, _, sk_ei, sk_er, encr, sk_ai, sk_ar, integ in csv.reader(table.read_text().splitlines()):
            number, bits = encryptions[encr]
            encryption = ENCRYPTIONS[number, bits or 0]
            for initiator, sk_e, sk_a in ((True, sk_ei, sk_ai), (False, sk_er, sk_ar)):
                opener: Opener
                if encryption.aead:
                    opener, icv = AeadOpener(encryption, bytes.fromhex(sk_e)), encryption.icv_octets
                else:
                    integrity = INTEGRITIES[integrities[integ]]
                    opener, icv = CbcOpener(integrity, bytes.fromhex(sk_e), bytes.fromhex(sk_a)), integrity.icv_octets
                self._openers[bytes.fromhex(spi_i), initiator] = opener, Sealing(encryption.iv_octets, icv)

    def open(self, message: bytes) -> tuple[bytes, Sealing] | None:
        """What the Encrypted payload of a message held, without padding; None without its keys."""
        found = self._openers.get((message[:8], bool(message[19] & FLAG_INITIATOR)))
        start = _sealed_at(message)
        if found is None or start is None:
            return None
        plain = found[0].open(message, start)
        return plain[: len(plain) - 1 - plain[-1]], found[1]


def _sealed_at(message: bytes) -> int | None:
    """Where the IV of the Encrypted payload begins; None without one."""
    kind, at = message[16], HEADER_OCTETS
    heads = {PayloadType.SK: 4, PayloadType.SKF: 8}
    while kind and at + 4 <= len(message):
        if kind in heads:
            return at + heads[PayloadType.of(kind)]
        kind, at = message[at], at + int.from_bytes(message[at + 2 : at + 4], "big")
    return None


def leaves(nodes: Iterable[Node], place: str, path: str = "") -> Iterator[Leaf]:
    """The fields below nodes; those of what was encrypted are in a place of their own."""
    for node in nodes:
        where = WITHIN if node.inside and place == OUTER else place
        own = [child for child in node.children if child.inside == node.inside]
        if not own:
            yield Leaf(where, node.offset, node.length, node.name, node.value, path)
        yield from leaves(node.children, place, f"{path}/{node.name}")


class Dissector:
    """Takes the packets of one capture in order; keeps what fragments held until their last one is here."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._parts: dict[tuple[bytes, int, int], dict[int, tuple[PayloadType, bytes]]] = {}

    def nodes(self, message: bytes) -> dict[str, tuple[Node, ...]]:
        """The trees of one datagram by place: of the datagram itself, and of a message that it made whole."""
        found = self._keys.open(message)
        if found is None:
            return {OUTER: tree(message)}
        opened, sealing = found
        trees = {OUTER: tree(message, opened, None, sealing)}
        if message[16] == PayloadType.SKF:
            whole = self._joined(message, opened)
            if whole is not None:
                trees[JOINED] = inner(whole[1], whole[0])
        return trees

    def _joined(self, message: bytes, opened: bytes) -> tuple[PayloadType, bytes] | None:
        number, total = (int.from_bytes(message[at : at + 2], "big") for at in (32, 34))
        parts = self._parts.setdefault((message[:8], message[19], int.from_bytes(message[20:24], "big")), {})
        parts[number] = PayloadType.of(message[28]), opened
        if len(parts) < total:
            return None
        ordered = [parts[one] for one in range(1, total + 1)]
        return ordered[0][0], b"".join(data for _, data in ordered)


def theirs(message: Element) -> Iterator[Theirs]:
    """The fields of Wireshark's `isakmp` in one packet, those with octets of their own in what place."""
    start = int(message.get("pos", "0"))

    def walk(element: Element, place: str, base: int) -> Iterator[Theirs]:
        for field in element:
            name = field.get("name", "")
            if field.tag not in ("field", "proto") or field.get("hide") == "yes":
                continue
            at, size = int(field.get("pos", "0")) - base, int(field.get("size", "0"))
            line = field.get("showname", "") or field.get("show", "")
            yield Theirs(place, at, size, name, field.get("show", ""), line, field.get("value", ""))
            inside = name == "isakmp.enc.decrypted"
            yield from walk(field, WITHIN if inside else place, 0 if inside else base)
            if name == "isakmp.fragments":
                place, base = JOINED, 0

    yield from walk(message, OUTER, start)


def index(nodes: Iterable[Node], place: str) -> Iterator[tuple[tuple[str, int, int], Node]]:
    """Every node, groups too, by where it stands."""
    for node in nodes:
        where = WITHIN if node.inside and place == OUTER else place
        yield (where, node.offset, node.length), node
        yield from index(node.children, place)


class Comparison:
    """One datagram: our trees against Wireshark's fields."""

    def __init__(self, trees: dict[str, tuple[Node, ...]], frame: int) -> None:
        self._frame = frame
        self._nodes: dict[tuple[str, int, int], list[Node]] = {}
        self._leaves = [leaf for place, nodes in trees.items() for leaf in leaves(nodes, place)]
        for place, nodes in trees.items():
            for key, node in index(nodes, place):
                self._nodes.setdefault(key, []).append(node)
        self._sealed = any(leaf.name == SEALED for leaf in self._leaves)
        self._seen: set[tuple[str, int, int, str]] = set()
        self.fields = 0
        self.differences: list[str] = []
        self.labels: Counter[tuple[str, str]] = Counter()

    def run(self, message: Element) -> None:
        """Compare all fields, then look for those that only we show."""
        for field in theirs(message):
            if field.name.startswith("_ws."):
                if "malformed" in field.name:
                    self._differ(field, "Wireshark calls it malformed")
            elif field.name == "isakmp.typepayload":
                self._payload(field)
            elif field.size and field.name not in GROUPS and not self._explained(field):
                self._field(field)
        for leaf in self._leaves:
            if (leaf.place, leaf.at, leaf.size, leaf.name) not in self._seen and leaf.name not in ALONE:
                where = f"{leaf.place} [{leaf.at}-{leaf.at + leaf.size - 1}]"
                line = f"frame {self._frame}: {where} {leaf.path}/{leaf.name}: {leaf.value}: Wireshark has none"
                self.differences.append(line)

    def _explained(self, field: Theirs) -> bool:
        return field.name.startswith(tuple(EXPLAINED)) or (self._sealed and field.name in GUESSED)

    def _differ(self, field: Theirs, why: str) -> None:
        where = f"{field.place} [{field.at}-{field.at + field.size - 1}]"
        self.differences.append(f"frame {self._frame}: {where} {field.name} {field.line!r}: {why}")

    def _field(self, field: Theirs) -> None:
        self.fields += 1
        row = NAMES.get(field.name)
        if row is None:
            self._differ(field, "a field that has no name here")
            return
        names, same = row
        nodes = [node for node in self._nodes.get((field.place, field.at, field.size), []) if node.name in names]
        if not nodes:
            self._differ(field, f"we have no {' or '.join(names)} there")
        for node in nodes:
            self._see(field.place, node)
            if not same(node.value, field):
                self._differ(field, f"ours {node.name}: {node.value}")
            label, mine = LABELLED.search(field.line), IN_BRACKETS.search(node.value)
            if label is not None and mine is not None:
                self._label(field, node.value[: mine.end()], label["label"])

    def _label(self, field: Theirs, ours: str, label: str) -> None:
        """Two names of one number: the same, or of the table, or Wireshark has none."""
        if ours.partition(" (")[0] == label or label.lower().startswith(NAMELESS):
            return
        self.labels[ours, label] += 1
        if (ours, label) not in LABELS:
            self._differ(field, f"ours {ours}, and the table of names does not hold the pair")

    def _see(self, place: str, node: Node) -> None:
        """A field that Wireshark shows too, with all that we tell apart within it."""
        self._seen.add((place, node.offset, node.length, node.name))
        for child in node.children:
            self._see(place, child)

    def _payload(self, field: Theirs) -> None:
        """A payload or substructure: the same type from the same octet to the same octet."""
        self.fields += 1
        number = int(field.show)
        begins = SUBSTRUCTURES.get(number, PayloadType.of(number).short)
        # Wireshark counts the payloads of a joined message from where its last fragment stands in the packet.
        places = {field.at} if field.place != JOINED else {at for _, at, size in self._nodes if size == field.size}
        nodes = [node for at in places for node in self._nodes.get((field.place, at, field.size), [])]
        if not any(node.name.startswith(begins) and node.children for node in nodes):
            self._differ(field, f"we have no {begins or 'transform'} there")
        notify = field.line.partition(" - ")[2] if number == PayloadType.NOTIFY else ""
        if notify and all(node.value.partition(" (")[0] != notify for node in nodes):
            for node in nodes:
                self._label(field, node.value, notify)


def compared(capture: Path, tables: Path | None) -> Report:
    """Every IKE message of a capture."""
    frames_of = dict(enumerate(reader.packets(capture.read_bytes()), 1))
    dissector = Dissector(Keys(tables / IKE_TABLE if tables is not None else None))
    messages = fields = 0
    differences: list[str] = []
    labels: Counter[tuple[str, str]] = Counter()
    for packet in pdml(capture, tables=tables, display_filter="isakmp"):
        number = next(
            int(field.get("show", "0")) for field in packet.iter("field") if field.get("name") == "frame.number"
        )
        frame = frames_of[number]
        datagram = frames.unframe(frame.link, frame.data)
        element = next(proto for proto in packet.iter("proto") if proto.get("name") == "isakmp")
        assert datagram is not None, f"frame {number}: no UDP datagram"
        comparison = Comparison(dissector.nodes(datagram.data), number)
        comparison.run(element)
        messages, fields = messages + 1, fields + comparison.fields
        differences += comparison.differences
        labels += comparison.labels
    return Report(messages, fields, differences, labels)


def main() -> int:
    """Compare and print; 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("capture", type=Path)
    parser.add_argument("keys", type=Path, nargs="?", help="a directory with ikev2_decryption_table")
    parser.add_argument("--names", action="store_true", help="also the names that differ, ours and Wireshark's")
    args = parser.parse_args()
    report = compared(args.capture, args.keys)
    if args.names:
        for (ours, other), count in sorted(report.labels.items()):
            print(f"{count:5} {ours} = {other}")
    print("\n".join(report.differences), end="\n" if report.differences else "")
    told = f"{report.messages} messages, {report.fields} fields compared, {len(report.differences)} differences"
    print(f"{args.capture.name}: {told}")
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
