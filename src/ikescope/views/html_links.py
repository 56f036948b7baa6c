"""From what the walk says of a message to the octets that it speaks of: the fields that a sentence names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from ikescope.explain.payloads import Span
from ikescope.wire.tree import Node

#: Words of a sentence -> the names of the payloads or fields that they stand for.
SPOKEN: tuple[tuple[str, str], ...] = (
    (r"\btransforms?\b|\bproposals?\b|\bsuites? (?:are|is) on offer", r"SA"),
    (r"\bpublic values?\b|\bkey exchange gives\b", r"KE"),
    (r"\bnonces?\b", r"N"),
    (r"\bMessage ID\b", r"Message ID"),
    (r"\b[Ii]nitiator(?:'s)? SPI\b", r"IKE SA Initiator's SPI"),
    (r"\b[Rr]esponder(?:'s)? SPI\b", r"IKE SA Responder's SPI"),
    (r"\bselectors?\b", r"TS[ir]"),
    (r"\bproves? who\b|\bproof\b", r"AUTH"),
    (r"\bintegrity value\b", r"IV, ciphertext and ICV"),
)
#: Fields whose very value, where a sentence says it, is what it speaks of.
VALUED = ("SPI", "IKE SA Initiator's SPI", "IKE SA Responder's SPI")
_SHORTEST = 7
_PAYLOAD = re.compile(r"RFC (?:7296 section 3\.\d+|7383 section 2\.5)")
_NOTIFY = re.compile(r"NOTIFY\((\w+)\)")
#: An SA payload stands in a list of payloads, or is what a sentence begins with; "the IKE SA" is another thing.
_SA = re.compile(r"(?:^|[:{] ?|\) |CFG |AUTH )SA(?= (?:KE|N|TSi|is the)\b)")


def flat(nodes: Sequence[Node]) -> Iterator[Node]:
    """Every node, each before those under it."""
    for node in nodes:
        yield node
        yield from flat(node.children)


def links(sentence: str, nodes: Sequence[Node]) -> list[int]:
    """The places, in the order of `flat`, of the payloads and fields that a sentence speaks of; none twice."""
    spoken = [name for words, name in SPOKEN if re.search(words, sentence)]
    return [
        place
        for place, node in enumerate(nodes)
        if any(fits(node, sentence) for fits in _RULES)
        or ((_payload(node) or " " in node.name) and any(re.fullmatch(name, node.name) for name in spoken))
    ]


def exact(spans: Sequence[Span], nodes: Sequence[Node]) -> list[int]:
    """The places, in the order of `flat`, of the payloads whose octets a sentence names itself."""
    wanted = {(one.offset, one.length, one.inside) for one in spans}
    return [
        place
        for place, node in enumerate(nodes)
        if _payload(node) and (node.offset, node.length, node.inside) in wanted
    ]


def _payload(node: Node) -> bool:
    """A payload itself, not a transform of the same short name."""
    return bool(node.children) and _PAYLOAD.fullmatch(node.section) is not None


def _named(node: Node, sentence: str) -> bool:
    """A payload by its own name: KE, IDi, AUTH."""
    if not _payload(node) or " " in node.name:
        return False
    if node.name == "SA":
        return _SA.search(sentence) is not None
    return re.search(rf"(?<![\w(-]){re.escape(node.name)}(?![\w-])", sentence) is not None


def _notified(node: Node, sentence: str) -> bool:
    """A notify by its name, or by what it begins with: NAT_DETECTION stands for both."""
    found = _NOTIFY.fullmatch(node.name)
    return found is not None and any(
        found[1] == word or found[1].startswith(f"{word}_") for word in re.findall(r"[A-Z]+(?:_[A-Z]+)+", sentence)
    )


def _valued(node: Node, sentence: str) -> bool:
    """A field by the value that the sentence says."""
    return node.name in VALUED and len(node.value) >= _SHORTEST and node.value.lower() in sentence.lower()


_RULES: tuple[Callable[[Node, str], bool], ...] = (_named, _notified, _valued)
