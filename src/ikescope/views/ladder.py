"""The ladder: routers as columns, a line a datagram; good at 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from ikescope.events import UnsetType
from ikescope.explain import words
from ikescope.timeline import Message, Rung, Timeline, rungs
from ikescope.timeline.exchanges import purpose_of
from ikescope.wire.registry import NotifyType

#: Notifies that a reader wants by name although they report no error.
NAMED = frozenset({"REKEY_SA", "COOKIE"})
_NOTIFY = re.compile(r"NOTIFY\((\w+)\)")
_TIME = 9


def ladder(timeline: Timeline, *, width: int = 80) -> Iterator[str]:
    """The lines of the ladder, no longer than `width` where the names allow; a block for each pair of routers.

    `--->` is a request, `...>` a response, an arrow that ends in `x` did not arrive. Times are seconds since the first
    datagram. `ENCR{...}` names what was in the Encrypted payload, as far as the records hold it.
    """
    found = rungs(timeline)
    pairs: dict[frozenset[str], list[Rung]] = {}
    for rung in found:
        pairs.setdefault(frozenset((rung.source, rung.destination)), []).append(rung)
    for number, several in enumerate(pairs.values()):
        if number:
            yield ""
        yield from _block(timeline, several, found[0].message.wall, width)


def _block(timeline: Timeline, found: Sequence[Rung], start: float, width: int) -> Iterator[str]:
    left, right = found[0].source, found[0].destination
    inside = width - _TIME - 2
    addresses = _addresses(found)
    for names in ((left, right), (addresses.get(left, ""), addresses.get(right, ""))):
        if (any(names) and names != (left, right)) or names == (left, right):
            yield f"{'':{_TIME}}{names[0]}{names[1]:>{max(inside + 2 - len(names[0]), 1)}}".rstrip()
    for spi, group in groupby(found, key=lambda rung: rung.message.spi_i):
        yield f"{'':{_TIME}}|{f' IKE SA {_spis(timeline, spi)} ':^{inside}}|"
        for rung in group:
            yield from _rung(rung, rung.message.wall - start, rung.source == left, inside)


def _addresses(found: Sequence[Rung]) -> dict[str, str]:
    """The address of each column where its heading is a name."""
    told: dict[str, str] = {}
    for rung in found:
        for name, address in ((rung.source, rung.message.source), (rung.destination, rung.message.destination)):
            if words.host(address) != name:
                told.setdefault(name, words.host(address))
    return told


def _spis(timeline: Timeline, spi_i: str | UnsetType) -> str:
    """The pair of SPIs, the responder's as the side that began knows it."""
    if not isinstance(spi_i, str):
        return "of unknown SPIs"
    sas = [sa for sa in timeline.ike.values() if sa.spi_i == spi_i.lower()]
    told = [sa.spi_r for sa in sorted(sas, key=lambda sa: sa.initiator is not True) if isinstance(sa.spi_r, str)]
    return f"{spi_i.upper()} / {(told[0] if told else '0' * 16).upper()}"


def _rung(rung: Rung, seconds: float, rightwards: bool, inside: int) -> Iterator[str]:
    message = rung.message
    line = "." if message.response else "-"
    head = "x" if rung.lost else ">" if rightwards else "<"
    number = f" {message.message_id}" if isinstance(message.message_id, int) else ""
    name = f"{words.exchange(message.exchange)}{number}"
    size = str(message.size) if isinstance(message.size, int) else ""
    size += f" in {len(message.fragments)} fragments" if message.fragments else ""
    again = f"again {message.repeat}" if message.repeat else ""
    tail = " ".join(word for word in (size, again, "lost" if rung.lost else "") if word)
    contents = payloads(message)
    text = " ".join(part for part in (name, contents, tail) if part)
    rest = ""
    if len(text) > inside - 5:
        text, rest = f"{name} {tail}", contents
    elif (purpose := purpose_of(message)) and message.exchange >= 36 and len(text) + len(purpose) + 3 <= inside - 5:
        text += f" ({purpose})"
    arrow = (
        f"{line}{line} {text} ".ljust(inside - 1, line) + head
        if rightwards
        else (f"{head if head == 'x' else '<'}{line} {text} ".ljust(inside, line))
    )
    clock = f"{seconds:{_TIME - 1}.3f}" if message.wall else " " * (_TIME - 1)
    yield f"{clock} |{arrow}|"
    for start in _wrapped(rest, inside - 6):
        yield f"{'':{_TIME}}|{f'     {start}':<{inside}}|"


def _wrapped(text: str, width: int) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield line


def payloads(message: Message) -> str:
    """The payloads of a message in one line: repeats counted, plain notifies gathered, ENCR{what was inside}."""
    clear = message.payloads if isinstance(message.payloads, tuple) else ("ENCR",)
    told = _short([name for name in clear if name != "ENCR"])
    if "ENCR" in clear:
        inner = message.inner
        if not isinstance(inner, tuple):
            told.append("ENCR")
        else:
            told.append(f"ENCR{{{' '.join(_short(inner))}}}")
    return " ".join(told)


def _short(names: Sequence[str]) -> list[str]:
    kept: list[str] = []
    gathered = 0
    for name, group in groupby(names):
        number = len(list(group))
        found = _NOTIFY.fullmatch(name)
        if found is not None and not _telling(found[1]):
            gathered += number
            continue
        kept.append(name if number == 1 else f"{name}x{number}")
    if gathered:
        kept.append("NOTIFY" if gathered == 1 else f"NOTIFYx{gathered}")
    return kept


def _telling(name: str) -> bool:
    kind = NotifyType.__members__.get(name)
    return name in NAMED or (kind is not None and kind.is_error)
