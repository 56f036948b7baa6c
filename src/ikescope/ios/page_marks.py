"""What a page or a mail sets before every line of a text, and the signs that it writes for others: taken away again.

Only what the beginning of a text has in nearly every line is a mark: a mail's quote, a bullet, the lines' own numbers.
A text without
marks goes through as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

_LINES = 400
_SHARE = 0.85
"""Of how many of the lines that are not blank a mark must begin."""
_FEW = 3
_BULLET = re.compile(
    r"\s{0,8}[-*+\u2022\u00b7\u25cf\u25aa\u2013\u2014o]\s+(?=\S)|\s{0,8}[\u2022\u00b7\u25cf\u25aa]\s*(?=\S)"
)
_QUOTE = re.compile(r"\s{0,8}(?:[>|] ?){1,8}")
_EMPTY = re.compile(r"\s{0,8}[-*+\u2022\u00b7\u25cf\u25aa\u2013\u2014]\s*$")
_NUMBER = re.compile(r"\s{0,8}[\[(]?L?(?P<number>\d{1,7})(?:[.:)\]|]|\s\|)?(?:[ \t\u00a0]|$)")
_OWN = re.compile(r"\s*\d{1,12}: [*.A-Z]?[A-Z][a-z]{2} ")
"""IOS's sequence numbers, before a stamp."""
SIGNS = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        "\u2192": "->",
        "\u21d2": "->",
        "\u2026": "...",
        "\u00a0": " ",
    }
)
"""What word processors make of quotes, dashes and arrows."""
_SIGN = re.compile("[" + "".join(map(chr, SIGNS)) + "]")


def unmarked(lines: Iterable[str], sample: Sequence[str]) -> Iterator[str]:
    """The lines without the marks that those of `sample`, a text's beginning, have."""
    first = list(sample[:_LINES])
    found: Iterable[str] = lines
    if any(_SIGN.search(one) for one in sample):
        found = (one if one.isascii() else one.translate(SIGNS) for one in found)
        first = [one.translate(SIGNS) for one in first]
    mark = _mark(first)
    if mark is None:
        return iter(found)
    return (one[at.end() :] if (at := mark.match(one) or _EMPTY.match(one)) else one for one in found)


def _mark(first: Sequence[str]) -> re.Pattern[str] | None:
    some = [one for one in first if one.strip()]
    if len(some) < _FEW:
        return None
    if sum(_QUOTE.match(one) is not None for one in some) >= _SHARE * len(some):
        return _QUOTE
    if sum(_BULLET.match(one) is not None or _EMPTY.match(one) is not None for one in some) >= _SHARE * len(some):
        return _BULLET
    numbers = [int(found["number"]) for one in some if (found := _NUMBER.match(one)) is not None]
    if len(numbers) < _SHARE * len(some) or sum(_OWN.match(one) is not None for one in some) * 2 > len(some):
        return None
    steps = sum(0 < two - one <= 2 for one, two in pairwise(numbers))
    return _NUMBER if steps >= _SHARE * (len(numbers) - 1) else None
