"""What happens to a debug text between a router and who reads it: cut, mixed, glued, wrapped, out of order."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from random import Random

STAMP = re.compile(r"(?P<second>\*?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)\.\d{3}: ")
WIDTH = 80
_END = "*Nov 14 22:40:00.000: %SYS-5-CONFIG_I: Configured from console by console"

Lines = list[str]
Disturbance = Callable[[Sequence[str], Random], Lines]


def messages(lines: Sequence[str]) -> list[Lines]:
    """Each message: a line that begins with a time stamp, and those after it that do not."""
    found: list[Lines] = []
    for line in lines:
        if STAMP.match(line) or not found:
            found.append([line])
        else:
            found[-1].append(line)
    return found


def cut(lines: Sequence[str], random: Random) -> Lines:
    """What was in the buffer before it was full is gone up to the middle of a line; so is the end of the last line."""
    first, *rest = [one for one in messages(lines) if one[0].strip()]
    at = random.randrange(4, len(first[0]))
    last = rest[-1] if rest else first
    kept = [line for one in rest[:-1] for line in one] if rest else []
    return [first[0][at:], *kept, *last, _END[: random.randrange(30, len(_END))]]


def glued(lines: Sequence[str], random: Random) -> Lines:
    """A mail program lost some line ends between messages."""
    found: Lines = []
    for message in messages(lines):
        if found and found[-1].strip() and random.random() < 0.3:
            found[-1] += message[0]
            found += message[1:]
        else:
            found += message
    return found


def wrapped(lines: Sequence[str], _: Random) -> Lines:
    """A terminal broke each line at its width."""
    return [line[at : at + WIDTH] for line in lines for at in range(0, max(1, len(line)), WIDTH)]


def folded(lines: Sequence[str], _: Random) -> Lines:
    """A page broke long lines between words."""
    found: Lines = []
    for line in lines:
        while len(line) > WIDTH and (at := line.rfind(" ", 50, WIDTH)) > 0:
            found.append(line[:at])
            line = line[at + 1 :]
        found.append(line)
    return found


def shuffled(lines: Sequence[str], random: Random) -> Lines:
    """A syslog server took the messages of one second in any order; each has its number."""
    told = [[f"{number:06}: {one[0]}", *one[1:]] for number, one in enumerate(messages(lines), 1)]
    found: Lines = []
    for _, some in groupby(told, lambda one: one[0][8:24]):
        second = list(some)
        random.shuffle(second)
        found += [line for one in second for line in one]
    return found


def mixed(lines: Sequence[str], other: Sequence[str], random: Random) -> Lines:
    """Two routers' messages, or two SAs', one among the other."""
    one, two = messages(lines), messages(other)
    found: Lines = []
    while one or two:
        some = one if one and (not two or random.random() < len(one) / (len(one) + len(two))) else two
        found += some.pop(0)
    return found


DISTURBANCES: dict[str, Disturbance] = {
    "cut": cut,
    "glued": glued,
    "wrapped": wrapped,
    "folded": folded,
    "shuffled": shuffled,
}
