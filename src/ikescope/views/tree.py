"""A message's fields as an indented tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ikescope.crypto.suites import SuiteError, ike_suite
from ikescope.events import UNSET, DumpedFact, ProposalFact, UnsetType
from ikescope.timeline import Message
from ikescope.wire.registry import PayloadType
from ikescope.wire.tree import Node, Sealing, inner
from ikescope.wire.tree import tree as decode

#: A value longer than this is cut: a key exchange's public value is not read by eye.
LONGEST = 96


def sealing(chosen: ProposalFact | UnsetType) -> Sealing | None:
    """How long IV and ICV are under an IKE SA's proposal; None where it is not known or not a suite of ours."""
    if isinstance(chosen, UnsetType):
        return None
    try:
        suite = ike_suite(chosen.transforms)
    except SuiteError:
        return None
    icv = suite.encryption.icv_octets if suite.integrity is None else suite.integrity.icv_octets
    return Sealing(suite.encryption.iv_octets, icv)


def nodes(message: Message, chosen: ProposalFact | UnsetType = UNSET) -> tuple[Node, ...]:
    """The tree of a message, with what was inside its Encrypted payload; empty where its octets are not known.

    Of a text that spells out less than the octets (ASA's) it is what the text holds, see `dumped`.

    With the proposal `chosen` for its IKE SA also the fields of the Encrypted payload itself: IV, padding, ICV.
    """
    opened = message.opened if isinstance(message.opened, bytes) else None
    first = PayloadType.of(message.opened_first) if isinstance(message.opened_first, int) else None
    if message.fragments:
        sizes = " + ".join(map(str, message.fragments))
        inside = () if opened is None or first is None else inner(opened, first)
        return (Node("Encrypted Fragments", f"{sizes} octets", 0, 0, "RFC 7383 section 2.5", inside),)
    if not isinstance(message.octets, bytes):
        return dumped(message.dumped) if isinstance(message.dumped, tuple) else ()
    return decode(message.octets, opened, first, sealing(chosen))


def dumped(found: Iterable[DumpedFact]) -> tuple[Node, ...]:
    """What a text spells out of a message, as nodes that stand nowhere: a length is the one that the text says."""
    return tuple(Node(one.name, _said(one), 0, 0, one.section, dumped(one.children)) for one in found)


def _said(fact: DumpedFact) -> str:
    if not isinstance(fact.length, int) or not fact.children:
        return fact.value
    return ", ".join(part for part in (fact.value, f"{fact.length} octets") if part)


def lines(found: Iterable[Node], depth: int = 0) -> Iterator[str]:
    """Two blanks a level; name, value and, on the first level, the RFC section."""
    for node in found:
        value = node.value if len(node.value) <= LONGEST else f"{node.value[:LONGEST]}..."
        section = f"  [{node.section}]" if node.section and depth == 0 else ""
        yield f"{'  ' * depth}{node.name}{': ' + value if value else ''}{section}"
        yield from lines(node.children, depth + 1)


def label(node: Node) -> str:
    """A node in one line for a tree that is opened and closed: its octets, its name, its value."""
    value = node.value if len(node.value) <= LONGEST else f"{node.value[:LONGEST]}..."
    octets = f"{_range(node)}  " if node.length else ""
    return f"{octets}{node.name}{': ' + value if value else ''}"


def place(node: Node) -> str:
    """Where a node stands: `octets 40 to 51 of the datagram, RFC 7296 section 3.3.2`."""
    if not node.length:
        return node.section
    where = "what was encrypted" if node.inside else "the message"
    number = f"octets {node.offset} to {node.offset + node.length - 1}" if node.length > 1 else f"octet {node.offset}"
    return ", ".join(part for part in (f"{number} of {where}", node.section) if part)


def opens(node: Node) -> bool:
    """Whether a tree shows a node's children at once: those of payloads and proposals, not of what is below."""
    return any(child.children for child in node.children)


def _range(node: Node) -> str:
    last = node.offset + node.length - 1
    return f"[{node.offset}]" if last == node.offset else f"[{node.offset}-{last}]"


def message_lines(message: Message) -> list[str]:
    """The tree of one message as text; empty where its octets are not known."""
    return list(lines(nodes(message)))
