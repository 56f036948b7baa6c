"""The exec mode's commands through the same grammar: what was asked, for others to execute."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ikescope.ios.completion import complaint, complete, listing
from ikescope.ios.grammar import Match, Row, Table
from ikescope.ios.grammar_help import WORDS


@dataclass(frozen=True, slots=True)
class ExecCommand:
    """A command to execute: one of `NAMES`, and its values by the names of the row's syntax.

    `output` is what stands after `|`: which lines to print, or the data in place of them.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    output: OutputFilter | AsJson | None = None


@dataclass(frozen=True, slots=True)
class AsJson:
    """`| json` of a show: the data behind it as one JSON object (ikescope's own)."""


@dataclass(frozen=True, slots=True)
class OutputFilter:
    """`| begin`, `| include`, `| exclude` or `| section` of a show, with a regular expression."""

    kind: Literal["begin", "include", "exclude", "section"]
    pattern: re.Pattern[str]

    def lines(self, lines: Iterable[str]) -> list[str]:
        """Those of the lines that are to be printed; a section is a line that matches and what is indented under it."""
        kept: list[str] = []
        on = False
        for line in lines:
            hit = self.pattern.search(line) is not None
            if self.kind == "begin":
                on = on or hit
            elif self.kind == "section":
                on = hit if not line.startswith(" ") else on or hit
            else:
                on = hit == (self.kind == "include")
            if on:
                kept.append(line)
        return kept


@dataclass(frozen=True, slots=True)
class ExecError:
    """IOS's answer to a line that is no command, or to `?`."""

    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def _row(syntax: str, name: str) -> Row:
    return Row("exec", syntax, name=name, undo=None)


_IKEV2 = "crypto ikev2 [<level:=error|internal>]"
_PACKET = "crypto ikev2 <level:=packet> [<hexdump:=hexdump>]"
_PEER = "{ipv4 <peer:address>|ipv6 <peer:address>|subnet <peer:ipv4> <mask:mask>|<peer:address>}"
_CONDITION = f"crypto condition {{peer {_PEER}|<unmatched:=unmatched>|<reset:=reset>}}"
_OPTIONS = "[repeat <repeat:1-2147483647>] [size <size:36-18024>] [timeout <timeout:0-3600>]"
_PING = f"{_OPTIONS} [source {{<source:interface>|<source_address:address>}}] {_OPTIONS}"

#: In order: syntax and name. `test ...` is ikescope's own.
EXEC_ROWS = (
    _row("show crypto ikev2 sa [remote <remote:address>] [<detailed:=detailed>]", "show crypto ikev2 sa"),
    _row("show crypto ikev2 proposal [<name:word>]", "show crypto ikev2 proposal"),
    _row("show crypto ikev2 policy [<name:word>]", "show crypto ikev2 policy"),
    _row("show crypto ikev2 profile [<name:word>]", "show crypto ikev2 profile"),
    _row("show crypto ikev2 stats", "show crypto ikev2 stats"),
    _row("show crypto ipsec sa [<detail:=detail>]", "show crypto ipsec sa"),
    _row("show crypto ipsec sa interface <interface:interface>", "show crypto ipsec sa"),
    _row("show crypto ipsec sa peer <peer:address>", "show crypto ipsec sa"),
    _row("show crypto ipsec profile", "show crypto ipsec profile"),
    _row("show crypto ipsec transform-set", "show crypto ipsec transform-set"),
    _row("show crypto session [<detail:=detail>]", "show crypto session"),
    _row("show running-config", "show running-config"),
    _row("show ip route", "show ip route"),
    _row("show ip interface brief", "show ip interface brief"),
    _row("show access-lists [<name:word>]", "show access-lists"),
    _row("show version", "show version"),
    _row("show debugging", "show debugging"),
    _row("show crypto debug-condition", "show crypto debug-condition"),
    _row("show crypto ikev2 diagnose error", "show crypto ikev2 diagnose error"),
    _row(
        "show monitor event-trace crypto ikev2 <kind:=event|error|exception> <span:=all|latest|from-boot>",
        "show monitor event-trace crypto ikev2 event all",
    ),
    _row("show interfaces [<interface:interface>]", "show interfaces"),
    _row("show logging", "show logging"),
    _row("show clock", "show clock"),
    _row("clear crypto ikev2 sa [remote <remote:address>] [<fast:=fast>]", "clear crypto ikev2 sa"),
    _row("clear crypto sa [peer <peer:address>]", "clear crypto sa"),
    _row("clear crypto session [remote <remote:address>]", "clear crypto session"),
    _row("clear logging", "clear logging"),
    *(_row(f"debug {what}", "debug crypto ikev2") for what in (_IKEV2, _PACKET)),
    *(_row(f"{{undebug|no debug}} {what}", "undebug crypto ikev2") for what in (_IKEV2, _PACKET)),
    _row("debug crypto ipsec", "debug crypto ipsec"),
    _row("{undebug|no debug} crypto ipsec", "undebug crypto ipsec"),
    _row(f"debug {_CONDITION}", "debug crypto condition"),
    _row(f"{{undebug|no debug}} {_CONDITION}", "undebug crypto condition"),
    _row("{undebug|no debug} all", "undebug all"),
    _row("configure terminal", "configure terminal"),
    _row("end", "end"),
    _row("{exit|quit|logout}", "exit"),
    _row("{enable|disable}", "enable"),
    _row("terminal {monitor|no monitor|length <length:0-512>|width <width:0-512>}", "terminal"),
    _row(f"ping [ip] <destination:address> {_PING}", "ping"),
    _row("test crypto ikev2 rekey {<what:=ike|child>} [remote <remote:address>]", "test crypto ikev2 rekey"),
    _row("test crypto ikev2 liveness [remote <remote:address>]", "test crypto ikev2 liveness"),
)

NAMES = tuple(dict.fromkeys(row.name for row in EXEC_ROWS))
TABLE = Table(EXEC_ROWS, WORDS)


def parse(line: str, mode: Literal["exec", "config"] = "exec", *, prompt: str = "") -> ExecCommand | ExecError:
    """Understand one exec line; in `config` mode it begins with `do`. `prompt` is what stands before it, for the caret.

    A line that ends in `?` gives the help as an ExecError. `?` within a value is not possible, as on a router.
    """
    text = line.rstrip()
    skipped = 0
    if mode == "config":
        body = text.lstrip()
        if not body.startswith("do") or (len(body) > 2 and not body[2].isspace()):
            return ExecError((" " * len(prompt) + "^", "% Invalid input detected at '^' marker.", ""))
        skipped = len(text) - len(body) + 2
    if text.endswith("?"):
        return ExecError(tuple(listing([TABLE], text[skipped:-1].lstrip(), prompt + " " * skipped)))
    body, bar, tail = text[skipped:].partition("|")
    output = _output(tail) if bar else None
    if bar and output is None:
        return ExecError(
            (" " * (len(prompt) + text.index("|") + 2) + "^", "% Invalid input detected at '^' marker.", "")
        )
    found = TABLE.match(body)
    if isinstance(found, Match):
        return ExecCommand(found.row.name, dict(found.args), output)
    return ExecError(tuple(complaint(found, text, prompt + " " * skipped)))


_KINDS: tuple[Literal["begin", "include", "exclude", "section"], ...] = ("begin", "include", "exclude", "section")


def _output(text: str) -> OutputFilter | AsJson | None:
    """What follows `|`, None where it is no filter."""
    word, _, pattern = text.strip().partition(" ")
    if word.lower() == "json" and not pattern:
        return AsJson()
    kinds = [kind for kind in _KINDS if word and kind.startswith(word.lower())]
    if len(kinds) != 1 or not pattern.strip():
        return None
    try:
        return OutputFilter(kinds[0], re.compile(pattern.strip()))
    except re.error:
        return OutputFilter(kinds[0], re.compile(re.escape(pattern.strip())))


def tab(line: str) -> str:
    """What Tab makes of an exec line."""
    return complete([TABLE], line)
