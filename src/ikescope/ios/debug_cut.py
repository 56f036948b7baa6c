"""What stands around the messages of a debug text: time stamps, syslog heads, quotes, prompts, marks of a web page.

`head_of` reads what stands before a message, `clean` makes one line of a terminal or a page plain, `width_of` finds the
column at which a terminal broke the lines. All of it is linear in a line's length, and a line is bounded.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from ikescope.ios.text_lines import LONGEST, MONTHS, PROMPT, STAMP, seconds_of

_SHOWN = 200
"""Characters of an unknown line that are shown."""


class Before(msgspec.Struct, frozen=True):
    """What stood before a message: its time in seconds since 1970 (or since the start), the host a server names."""

    wall: float | None
    host: str = ""


NOTHING = Before(None)

_QUOTE = re.compile(r"\s*(?:[>|]\s?)*\s*")
_PRIORITY = re.compile(r"<\d{1,3}>(?:\d )?\s*")
_SEQUENCE = re.compile(r"\d{1,12}:(?:\s+|$)")
_UPTIME = re.compile(
    r"[*.]?(?:(?:(?P<y>\d{1,3})y)?(?:(?P<w>\d{1,3})w)?(?:(?P<d>\d{1,3})d)?(?:(?P<h>\d{1,3})h)?(?<=[ywdh])"
    r"|(?P<hour>\d{1,4}):(?P<minute>\d\d):(?P<second>\d\d(?:\.\d{1,6})?)):\s?"
)
_SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "hour": 3600, "minute": 60, "second": 1}
_LEVEL = re.compile(
    r"\w{2,10}\.(?:[Dd]ebug|[Ii]nfo\w*|[Nn]otice|[Ww]arn\w*|[Ee]rr\w*|[Cc]rit\w*|[Aa]lert|[Ee]merg\w*)\s+"
)
_WORD = re.compile(r"(?P<word>[\w./:\[\]-]{1,128}?):?\s+")
_END = re.compile(r"\s*:?\s?")
_WORDS = 7
_HEAD = 400


_USUAL = re.compile(
    rf"(?:\d{{1,12}}: )?[*.]?(?P<second>(?:{'|'.join(MONTHS)}) [ \d]?\d(?: \d{{4}})? \d\d:\d\d:\d\d)"
    r"(?P<fraction>\.\d{1,6})?(?: [A-Z]{2,5})?: ?"
)
_KEPT = 4096


@lru_cache(maxsize=_KEPT)
def _second(text: str, year: int) -> float | None:
    found = STAMP.match(text)
    return None if found is None else seconds_of(found, year)


def head_of(text: str, year: int) -> Before | None:
    """What a message's head says; None where the text is no head. `year` is that of stamps that name none."""
    if not text or text.isspace():
        return NOTHING
    usual = _USUAL.fullmatch(text)
    if usual is not None and (second := _second(usual["second"], year)) is not None:
        return Before(second + float(usual["fraction"] or 0))
    if len(text) > _HEAD:
        return None
    at = _end(_QUOTE, text, 0)
    wall: float | None = None
    host, words, told = "", 0, False
    while at < len(text):
        stamp = STAMP.match(text, at)
        if stamp is not None:
            wall = _later(wall, seconds_of(stamp, year))
            told = True
            at = _end(_END, text, stamp.end())
            continue
        for pattern in (_PRIORITY, _SEQUENCE):
            if (after := _end(pattern, text, at)) > at:
                at, told = after, True
                break
        else:
            up = _UPTIME.match(text, at)
            if up is not None and up.end() > at:
                wall = wall if wall is not None else _uptime(up)
                at, told = up.end(), True
                continue
            prompt = PROMPT.match(text + "x", at)
            if prompt is not None and prompt.end() > at:
                at, told = min(prompt.end(), len(text)), True
                continue
            level, word = _LEVEL.match(text, at), _WORD.match(text, at)
            found = level or word
            if found is None or not told or words >= _WORDS or "%" in text:
                return None
            if level is None and not host and found["word"] != "-":
                host = found["word"]
            words += 1
            at = found.end()
    return Before(wall, host)


def _later(before: float | None, told: float | None) -> float | None:
    return told if told is not None else before


def _uptime(found: re.Match[str]) -> float:
    return sum(float(found[name]) * seconds for name, seconds in _SECONDS.items() if found[name])


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found is not None else at


def _unnamed(pattern: re.Pattern[str]) -> str:
    return re.sub(r"\(\?P<\w+>", "(?:", pattern.pattern)


_FRONT = re.compile(
    rf"\s*(?:[>|]\s?)*\s*(?:<\d{{1,3}}>(?:\d )?|\d{{1,12}}:\s+)?\s*(?:{_unnamed(STAMP)}|{_unnamed(_UPTIME)})"
    r"|\s*(?:[>|]\s?)*\s*(?:<\d{1,3}>|%[A-Z][A-Z0-9_]+-\d-|IKEv2(?:-[A-Z]+)?:|IPSEC\(|CRYPTO_PKI|ISAKMP[:-])"
)


def is_start(text: str) -> bool:
    """Whether a physical line begins a message: a stamp, a priority, a prefix stands there."""
    return _FRONT.match(text) is not None


_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)?|[@-Z\\^_()][0-9A-Za-z]?)")
_BACK = re.compile(r"(?:\s*-+\s?More\s?-+\s*)?\x08[\x08 ]*")
_SPACES = re.compile("[\t\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\x0b\x0c]")
_TAGS = re.compile(
    r"</?(?:p|div|span|pre|code|tt|td|tr|th|table|tbody|li|ul|ol|font|b|i|em|strong|blockquote|a|h\d)\b[^<>]{0,400}>",
    re.I,
)
_BREAKS = re.compile(r"<br\s*/?>|</p>|</div>|</li>|</tr>", re.I)
_HIDDEN = re.compile("[\u200b-\u200d\u2060\ufeff\u00ad]")
_TWICE = 2
"""How often pages escape what is escaped already."""
_ENTITY = re.compile(r"&(?:#\d{1,6}|#x[0-9a-fA-F]{1,5}|[a-z]{2,6});")


def clean(text: str) -> list[str]:
    """A line as plain text, in pieces where a page broke it: no escapes, backspaces, tags; entities written out."""
    text = text[:LONGEST]
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\x08" in text:
        text = _BACK.sub("", text)
    text = _HIDDEN.sub("", _SPACES.sub(" ", text))
    for _ in range(_TWICE):
        if "&" not in text or not _ENTITY.search(text):
            break
        text = _SPACES.sub(" ", html.unescape(text))
    pieces = [text]
    if "<" in text and _BREAKS.search(text):
        pieces = [piece for piece in _BREAKS.split(text) if piece.strip()] or [""]
    return [_TAGS.sub("", piece) if "<" in piece else piece for piece in pieces]


def shown(text: str) -> str:
    """A line to be shown: what a terminal would act upon as escapes, and no more than 200 characters."""
    cut = text[:_SHOWN]
    plain = cut if cut.isascii() and cut.isprintable() else "".join(_plain(one) for one in cut)
    return plain + ("..." if len(text) > _SHOWN else "")


def _plain(letter: str) -> str:
    if letter == "\t" or letter.isprintable():
        return letter
    return letter.encode("unicode_escape").decode("ascii")


_NARROWEST, _WIDEST, _OFTEN = 40, 400, 3


def width_of(lines: Sequence[str]) -> int | None:
    """The column at which a terminal broke long lines, None where it did not: such a line goes on in the next."""
    longest = max(map(len, lines), default=0)
    if not _NARROWEST <= longest <= _WIDEST:
        return None
    full = [at for at, line in enumerate(lines[:-1]) if len(line) == longest]
    broken = [at for at in full if lines[at + 1] and not is_start(lines[at + 1]) and not lines[at + 1].isspace()]
    return longest if len(broken) >= _OFTEN and len(broken) * 10 >= len(full) * 9 else None
