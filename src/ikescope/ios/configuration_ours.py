"""What of a configuration IOS does not have: `ikescope ...` lines, and our values in IOS's places."""

from __future__ import annotations

from dataclasses import dataclass

from ikescope.ios.grammar import Match, leading_keywords

#: By the keywords that a line begins with: the names of its values, and those that IOS lacks.
WORDS: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "encryption": (("names",), frozenset(("aes-gcm-192", "chacha20-poly1305"))),
    "group": (("names",), frozenset(("17", "18", "31", "32"))),
    "set pfs": (("group",), frozenset(("group17", "group18", "group31", "group32"))),
    "crypto ipsec transform-set": (("encryption",), frozenset(("esp-chacha20-poly1305",))),
}


@dataclass(frozen=True, slots=True)
class Ours:
    """A line that acts here and that an IOS router refuses: where, and which word of it."""

    line: int
    text: str
    word: str


def ours(found: Match) -> str:
    """The words of a line that IOS does not have, "" where IOS reads it all."""
    head = leading_keywords(found.row.syntax)
    if head.split()[:1] == ["ikescope"]:
        return head
    names, words = WORDS.get(head, ((), frozenset()))
    given: list[str] = []
    for name in names:
        value = found.args.get(name, ())
        given += [value] if isinstance(value, str) else value
    return " ".join(word for word in given if word in words)
