"""Physical lines and messages: several on one line parted, one that a terminal broke put together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from ikescope.ios.debug_automaton import AUTOMATON, NONE_KIND
from ikescope.ios.debug_cut import head_of, is_start, width_of
from ikescope.ios.text_lines import GLUED, STAMP

SYSLOG = re.compile(r"%(?=[A-Z][A-Z0-9_]{1,30}-\d-)")
"""Where a syslog message's mnemonic begins."""
WRAPS = 8
"""How many physical lines one message may be broken into."""
_GLUE = re.compile(rf"{GLUED.pattern}|(?<=[^\s\d*.:])(?:\d{{1,12}}: )?{STAMP.pattern}")
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
    width = width_of([text.rstrip("\r\n") for _, text in sample])
    everything = chain(sample, some)
    if width is None:
        yield from everything
        return
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


def _own(text: str) -> bool:
    """Whether a line without prefix is whole by itself."""
    symbol = AUTOMATON.symbol(NONE_KIND, text.strip())
    return bool(symbol.places) and not symbol.wild
