"""The exec mode's commands through the same grammar: what was asked, for others to execute."""

from __future__ import annotations

import functools
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
    """`| begin`, `| include`, `| exclude`, `| section` or `| count` of a show, with a regular expression."""

    kind: Literal["begin", "include", "exclude", "section", "count"]
    pattern: re.Pattern[str]

    def lines(self, lines: Iterable[str]) -> list[str]:
        """Those of the lines that are to be printed; a section is a line that matches and what is indented under it."""
        if self.kind == "count":
            return [f"Number of lines which match regexp = {sum(bool(self.pattern.search(line)) for line in lines)}"]
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
_OPTION = (
    "[repeat <repeat:1-2147483647>|size <size:36-18024>|timeout <timeout:0-3600>|<df_bit:=df-bit>"
    "|source {<source:interface>|<source_address:address>}]"
)
_PING = " ".join([_OPTION] * 5)
_TERMINAL = "{<monitor:=monitor>|no <no_monitor:=monitor>|length <length:0-512>|width <width:0-512>}"

_RUNS, _KEPT = "{running-config|system:running-config}", "{startup-config|nvram:startup-config}"


def _file(name: str) -> str:
    return f"<{name}:=nvram:startup-config|startup-config|system:running-config|running-config>"


_ENDS = "[{remote <remote:address>|local <local:address>}]"

#: In order: syntax and name. `test ...` is ikescope's own.
EXEC_ROWS = (
    _row(f"show crypto ikev2 sa {_ENDS} [<detailed:=detailed>]", "show crypto ikev2 sa"),
    _row("show crypto ikev2 session [<detailed:=detailed>]", "show crypto ikev2 session"),
    _row("show crypto ikev2 proposal [<name:word>]", "show crypto ikev2 proposal"),
    _row("show crypto ikev2 policy [<name:word>]", "show crypto ikev2 policy"),
    _row("show crypto ikev2 profile [<name:word>]", "show crypto ikev2 profile"),
    _row("show crypto ikev2 stats", "show crypto ikev2 stats"),
    _row("show crypto ikev2 stats exchange [detailed]", "show crypto ikev2 stats exchange"),
    _row("show crypto ikev2 stats timeout", "show crypto ikev2 stats timeout"),
    _row("show crypto ikev2 performance", "show crypto ikev2 performance"),
    _row("show crypto call admission statistics", "show crypto call admission statistics"),
    _row("show crypto map [interface <interface:interface>]", "show crypto map"),
    _row("show crypto sockets", "show crypto sockets"),
    _row("show crypto engine connections active", "show crypto engine connections active"),
    _row("show tunnel protection statistics", "show tunnel protection statistics"),
    _row("show crypto ipsec sa [<detail:=detail>]", "show crypto ipsec sa"),
    _row("show crypto ipsec sa interface <interface:interface> [<detail:=detail>]", "show crypto ipsec sa"),
    _row("show crypto ipsec sa peer <peer:address> [<detail:=detail>]", "show crypto ipsec sa"),
    _row("show crypto ipsec profile", "show crypto ipsec profile"),
    _row("show crypto ipsec transform-set", "show crypto ipsec transform-set"),
    _row(f"show crypto session {_ENDS} [<detail:=detail>]", "show crypto session"),
    _row("show crypto session interface <interface:interface> [<detail:=detail>]", "show crypto session"),
    _row("show running-config [{<all:=all>|interface <interface:interface>}]", "show running-config"),
    _row("write terminal", "show running-config"),
    _row("show {startup-config|configuration}", "show startup-config"),
    _row(f"show archive config differences [{_file('first')} [{_file('second')}]]", "show archive config differences"),
    _row("show ip route", "show ip route"),
    _row("show ipv6 route", "show ipv6 route"),
    _row("show ip interface brief", "show ip interface brief"),
    _row("show ipv6 interface brief", "show ipv6 interface brief"),
    _row("show ip interface [<interface:interface>]", "show ip interface"),
    _row("show ipv6 interface [<interface:interface>]", "show ipv6 interface"),
    _row("show [ip] access-lists [<name:word>]", "show access-lists"),
    _row("show version", "show version"),
    _row("show debugging", "show debugging"),
    _row("show crypto debug-condition", "show crypto debug-condition"),
    _row("show crypto ikev2 diagnose error", "show crypto ikev2 diagnose error"),
    _row(
        "show monitor event-trace crypto ikev2 <kind:=event|error|exception> <span:=all|latest|from-boot> [detail]",
        "show monitor event-trace crypto ikev2 event all",
    ),
    _row(
        "show monitor event-trace crypto {all|from-boot|latest|merged all} [detail]",
        "show monitor event-trace crypto all",
    ),
    _row("show tech-support [ipsec]", "show tech-support"),
    _row("show interfaces [<interface:interface>]", "show interfaces"),
    _row("show interfaces description", "show interfaces description"),
    _row("show users", "show users"),
    _row("show ip ssh", "show ip ssh"),
    _row("show inventory", "show inventory"),
    _row("show lldp [neighbors [detail]]", "show lldp"),
    _row("show cdp [neighbors [detail]]", "show cdp"),
    _row("show logging", "show logging"),
    _row("show clock", "show clock"),
    _row(f"clear crypto ikev2 sa {_ENDS} [<fast:=fast>]", "clear crypto ikev2 sa"),
    _row("clear crypto ikev2 stats", "clear crypto ikev2 stats"),
    _row("clear crypto sa [peer <peer:address>]", "clear crypto sa"),
    _row("clear crypto sa counters", "clear crypto sa counters"),
    _row(f"clear crypto session {_ENDS}", "clear crypto session"),
    _row("clear logging", "clear logging"),
    *(_row(f"debug {what}", "debug crypto ikev2") for what in (_IKEV2, _PACKET)),
    *(_row(f"{{undebug|no debug}} {what}", "undebug crypto ikev2") for what in (_IKEV2, _PACKET)),
    _row("debug crypto ipsec", "debug crypto ipsec"),
    _row("{undebug|no debug} crypto ipsec", "undebug crypto ipsec"),
    _row(f"debug {_CONDITION}", "debug crypto condition"),
    _row(f"{{undebug|no debug}} {_CONDITION}", "undebug crypto condition"),
    _row("{undebug|no debug} all", "undebug all"),
    _row("configure terminal", "configure terminal"),
    _row("configure", "configure"),
    _row(f"configure replace {_KEPT} [<list:=list>] [<force:=force>]", "configure replace"),
    _row("configure replace <file:line>", "configure replace file"),
    _row("write [memory]", "write memory"),
    _row(f"copy {_RUNS} {_KEPT}", "copy running-config startup-config"),
    _row("copy <files:line>", "copy"),
    _row("{write erase|erase <file:line>|delete <file:line>}", "erase"),
    _row("reload [<when:line>]", "reload"),
    _row("end", "end"),
    _row("{exit|quit|logout}", "exit"),
    _row("enable [<level:0-15>]", "enable"),
    _row("disable [<level:0-15>]", "disable"),
    _row(f"terminal {_TERMINAL}", "terminal"),
    _row("show privilege", "show privilege"),
    _row("show history", "show history"),
    _row("show terminal", "show terminal"),
    _row(f"ping [ip|ipv6] <destination:address> {_PING}", "ping"),
    _row("test crypto ikev2 rekey {<what:=ike|child>} [remote <remote:address>]", "test crypto ikev2 rekey"),
    _row("test crypto ikev2 liveness [remote <remote:address>]", "test crypto ikev2 liveness"),
)

NAMES = tuple(dict.fromkeys(row.name for row in EXEC_ROWS))

USER, READ_ONLY, PRIVILEGED = 1, 2, 15
"""Privilege levels: what anybody may do; every show beside that (up to level 14); everything."""
_USERS = frozenset({"enable", "disable", "exit", "end", "terminal", "ping"})
_NOT_USERS = ("running-config", "startup-config", "archive", "logging", "tech-support", "monitor", "access-lists")
"""Shows that want more than level 1, by their second word: what the router was told, and what was said to others."""


def wanted_level(name: str) -> int:
    """The privilege level that a command wants, by its name."""
    words = name.split()
    if words[0] == "show":
        return READ_ONLY if words[1] in _NOT_USERS else USER
    return USER if name in _USERS else PRIVILEGED


@functools.cache
def _table(level: int) -> Table:
    """The commands that a level has; one that it has not is none to it, as on a router."""
    return Table([row for row in EXEC_ROWS if wanted_level(row.name) <= level], WORDS)


def table(level: int) -> Table:
    """The grammar of a privilege level, 0 to 15."""
    return _table(PRIVILEGED if level >= PRIVILEGED else min(max(level, USER), READ_ONLY))


def parse(
    line: str,
    mode: Literal["exec", "config"] = "exec",
    *,
    prompt: str = "",
    level: int = PRIVILEGED,
    typed: bool = False,
) -> ExecCommand | ExecError:
    """Understand one exec line; in `config` mode it begins with `do`. `prompt` is what stands before it, for the caret.

    A line that ends in `?` gives the help as an ExecError; where it is `typed` out, `?` is a character as any other.
    """
    text = line.rstrip()
    skipped = 0
    if mode == "config":
        body = text.lstrip()
        if not body.startswith("do") or (len(body) > 2 and not body[2].isspace()):
            return ExecError(_invalid(prompt, 0))
        skipped = len(text) - len(body) + 2
    grammar = table(level)
    if text.endswith("?") and not typed:
        return _help(grammar, text[:-1], skipped, prompt)
    body, bar, tail = text[skipped:].partition("|")
    output = _output(tail) if bar else None
    if bar and output is None:
        if not tail.strip():
            return ExecError(("% Incomplete command.", ""))
        return ExecError(_invalid(prompt, text.index("|") + 1 + len(tail) - len(tail.lstrip())))
    found = grammar.match(body)
    if isinstance(found, Match):
        return ExecCommand(found.row.name, dict(found.args), output)
    return ExecError(tuple(complaint(found, text, prompt + " " * skipped)))


def _invalid(prompt: str, column: int) -> tuple[str, ...]:
    return (" " * (len(prompt) + column) + "^", "% Invalid input detected at '^' marker.", "")


def _help(grammar: Table, text: str, skipped: int, prompt: str) -> ExecError:
    """The answer to `?` after a text: words of the grammar, or of what may follow `|`."""
    body, bar, tail = text[skipped:].partition("|")
    if bar:
        word = tail.lstrip()
        kinds = {kind: said for kind, said in _PIPES.items() if kind.startswith(word.lower())}
        if " " in word:
            return ExecError(("  LINE  Regular Expression",))
        if word:
            return ExecError(("  ".join(kinds),) if kinds else ("% Unrecognized command",))
        return ExecError(tuple(f"  {kind:<7}  {said}" for kind, said in kinds.items()))
    head = ("Exec commands:",) if not body.strip() else ()
    lines = listing([grammar], body.lstrip(), prompt + " " * skipped)
    piped = body.lstrip().startswith("sh") and lines[-1:] == ["  <cr>"]
    return ExecError((*head, *lines[: -1 if piped else None], *(("  |  Output modifiers", "  <cr>") if piped else ())))


#: What may follow `|`, and its help.
_PIPES: dict[str, str] = {
    "begin": "Begin with the line that matches",
    "count": "Count number of lines which match regexp",
    "exclude": "Exclude lines that match",
    "include": "Include lines that match",
    "json": "The data behind it as one JSON object (ikescope's own)",
    "section": "Filter a section of output",
}
_KINDS: tuple[Literal["begin", "include", "exclude", "section", "count"], ...] = (
    "begin",
    "include",
    "exclude",
    "section",
    "count",
)


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


def tab(line: str, level: int = PRIVILEGED) -> str:
    """What Tab makes of an exec line."""
    return complete([table(level)], line)
