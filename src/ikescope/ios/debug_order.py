"""Messages put in the order in which a router wrote them, where a server or a network mixed those of one second."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import heappop, heappush
from itertools import chain, islice, pairwise

from ikescope.ios.debug_cut import is_start
from ikescope.ios.text_lines import STAMP, seconds_of

_SAMPLE = 3000
_WINDOW = 1.0
"""Seconds by which a message may come too early or too late."""
_HELD = 1 << 14
_NUMBER = re.compile(r"\s*(?:<\d{1,3}>)?\s*(?:[A-Za-z]{3} [ \d]\d \d\d:\d\d:\d\d \S{1,64} )?(?P<number>\d{1,12}): ")
_HEAD = 160
_YEAR = 2000
_KEPT = 4096

Line = tuple[int, str]
Key = tuple[float, int]


def ordered(lines: Iterable[Line]) -> Iterator[Line]:
    """The same lines by stamp and number, with the numbers of their lines; as they are where their beginning is so."""
    some = iter(lines)
    sample = list(islice(some, _SAMPLE))
    numbered = _mixed(sample)
    lines = chain(sample, some)
    return lines if numbered is None else _sorted(lines, numbered=numbered)


def _mixed(sample: list[Line]) -> bool | None:
    """Whether messages of one second are out of order: by their numbers, else by their stamps; None where not."""
    keys = [key for _, text in sample if is_start(text[:_HEAD]) and (key := _key(text)) is not None]
    if len(keys) < 2:
        return None
    near = [(one, two) for one, two in pairwise(keys) if abs(one[0] - two[0]) <= _WINDOW]
    counted = sum(number >= 0 for _, number in keys) * 10 >= len(keys) * 9
    if counted and any(one[1] > two[1] for one, two in near):
        return True
    return False if any(one[0] > two[0] for one, two in near) else None


def _key(text: str) -> Key | None:
    """The seconds of a message's own stamp, the last of its head, and its number; -1 for none."""
    return _key_of(text[:_HEAD].partition("IKEv2")[0])


@lru_cache(maxsize=_KEPT)
def _key_of(head: str) -> Key | None:
    stamp = next(reversed(list(STAMP.finditer(head))), None)
    if stamp is None:
        return None
    number = _NUMBER.match(head)
    seconds = seconds_of(stamp, _YEAR)
    return None if seconds is None else (seconds, int(number["number"]) if number is not None else -1)


def _sorted(lines: Iterable[Line], *, numbered: bool) -> Iterator[Line]:
    """Messages leave when none can come before them any more; what has no stamp goes with the message before it."""
    held: list[tuple[Key, int, list[Line]]] = []
    latest, at = 0.0, (0.0, -1)
    some: list[Line] = []
    for count, line in enumerate(lines):
        key = _key(line[1]) if is_start(line[1][:_HEAD]) else None
        if key is None and some:
            some.append(line)
            continue
        if key is not None:
            if abs(key[0] - latest) > 2 * _WINDOW:
                yield from _all(held)
                latest = key[0]
            latest = max(latest, key[0])
            at = (float(key[1]), 0) if numbered and key[1] >= 0 else (key[0], 0)
        some = [line]
        heappush(held, (at, count, some))
        while held and (held[0][2] is not some) and (len(held) > _HELD or _over(held[0][2][0][1], latest)):
            yield from heappop(held)[2]
    yield from _all(held)


def _over(text: str, latest: float) -> bool:
    key = _key(text)
    return key is not None and latest - key[0] > _WINDOW


def _all(held: list[tuple[Key, int, list[Line]]]) -> Iterator[Line]:
    while held:
        yield from heappop(held)[2]
