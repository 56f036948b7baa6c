"""Physical lines and messages: several on one line parted, one that a terminal broke put together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise

from ikescope.ios.debug_automaton import AUTOMATON, NONE_KIND
from ikescope.ios.debug_cut import head_of, is_start, width_of
from ikescope.ios.text_lines import GLUED, STAMP

SYSLOG = re.compile(r"%(?=[A-Z][A-Z0-9_]{1,30}-\d-)")
"""Where a syslog message's mnemonic begins."""
WRAPS = 8
"""How many physical lines one message may be broken into."""
_UNNAMED = re.sub(r"\(\?P<\w+>", "(?:", STAMP.pattern)
_GLUE = re.compile(rf"{GLUED.pattern}|(?<=[^\s\d*.:])\d{{1,12}}: (?=[*.A-Z\d]){_UNNAMED}|(?<=[^\s*.:]){_UNNAMED}")
_SAMPLE = 3000
_STAMPED = re.compile(
    r"[*.]?(?:%[A-Z][A-Z0-9_]{1,30}-\d-[A-Z0-9_]{2,40}: |[A-Za-z][\w /.*-]{1,30}(?:\([^)]{0,80}\))?: ?)"
)


def is_stamped(text: str) -> bool:
    """Whether a line begins with a stamp and another feature's name, or is a syslog message."""
    mark = SYSLOG.search(text[:400])
    if mark is not None:
        return True
    stamp = STAMP.search(text[:120])
    return stamp is not None and _STAMPED.match(text[stamp.end() :].lstrip(" :")) is not None


def parts_of(text: str) -> list[str]:
    """The messages of a line that several were written on, each with the head that stands before it."""
    at = [0]
    for found in _GLUE.finditer(text):
        start = found.start()
        if start > at[-1] and not _heads(text[at[-1] : start]):
            at.append(start)
    return [part for begin, end in zip(at, [*at[1:], len(text)], strict=True) if (part := text[begin:end]).strip()]


def _heads(text: str) -> bool:
    return head_of(text, 1970) is not None


def joined(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines that a terminal broke at its width put together again; a text that none broke as it is."""
    some = iter(lines)
    sample = list(islice(some, _SAMPLE))
    texts = [text.rstrip("\r\n") for _, text in sample]
    width = width_of(texts)
    if width is not None and _folded(texts, width):
        width = None
    everything = chain(sample, some)
    return everything if width is None else _joined(everything, width)


def _joined(everything: Iterable[tuple[int, str]], width: int) -> Iterator[tuple[int, str]]:
    number, held, parts = 0, "", 0
    for at, text in everything:
        text = text.rstrip("\r\n")
        if parts and len(held) == width * parts and parts < WRAPS and text and not is_start(text) and not _own(text):
            held, parts = held + text, parts + 1
            continue
        if parts:
            yield number, held
        number, held, parts = at, text, 1
    if parts:
        yield number, held


def _folded(texts: Sequence[str], width: int) -> bool:
    """Whether a page broke such lines between words, and no terminal at a column: by the words within other lines."""
    within = {word for text in texts for word in text.split()[1:-1]}
    votes = 0
    for one, two in pairwise(texts):
        if len(one) == width and two and not is_start(two):
            first = two.split()[:1]
            both = "".join((*one.split()[-1:], *first))
            # A page eats the blank at which it breaks a line, a terminal does not.
            votes += (first != [] and first[0] in within and both not in within) if one[-1] != " " else -1
            votes -= both in within
    return votes > 0


def _own(text: str) -> bool:
    """Whether a line without prefix is whole by itself."""
    symbol = AUTOMATON.symbol(NONE_KIND, text.strip())
    return bool(symbol.places) and not symbol.wild
