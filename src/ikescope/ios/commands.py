"""The exec mode's commands through the same grammar: what was asked, for others to execute."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ikescope.ios.completion import complaint, complete, listing
from ikescope.ios.grammar import Match, Row, Table
from ikescope.ios.grammar_help import WORDS


@dataclass(frozen=True, slots=True)
class ExecCommand:
    """A command to execute: one of `NAMES`, and its values by the names of the row's syntax."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExecError:
    """IOS's answer to a line that is no command, or to `?`."""

    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


def _row(syntax: str, name: str) -> Row:
    return Row("exec", syntax, name=name, undo=None)


_DEBUG = "[<level:=error|internal|packet> [<hexdump:=hexdump>]]"
_PING = "[repeat <repeat:1-2147483647>] [size <size:36-18024>] [timeout <timeout:0-3600>] [source <source:interface>]"

#: In order: syntax and name. `test ...` is ikescope's own.
EXEC_ROWS = (
    _row("show crypto ikev2 sa [<detailed:=detailed>]", "show crypto ikev2 sa"),
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
    _row("show interfaces [<interface:interface>]", "show interfaces"),
    _row("show logging", "show logging"),
    _row("show clock", "show clock"),
    _row("clear crypto ikev2 sa [remote <remote:address>] [<fast:=fast>]", "clear crypto ikev2 sa"),
    _row("clear crypto sa [peer <peer:address>]", "clear crypto sa"),
    _row("clear crypto session [remote <remote:address>]", "clear crypto session"),
    _row("clear logging", "clear logging"),
    _row(f"debug crypto ikev2 {_DEBUG}", "debug crypto ikev2"),
    _row(f"undebug crypto ikev2 {_DEBUG}", "undebug crypto ikev2"),
    _row(f"no debug crypto ikev2 {_DEBUG}", "undebug crypto ikev2"),
    _row("{undebug|no debug} all", "undebug all"),
    _row("configure terminal", "configure terminal"),
    _row("end", "end"),
    _row("{exit|quit|logout}", "exit"),
    _row("{enable|disable}", "enable"),
    _row("terminal {monitor|no monitor|length <length:0-512>|width <width:0-512>}", "terminal"),
    _row(f"ping [ip] <destination:address> {_PING}", "ping"),
    _row("ping [ip] <destination:address> source <source_address:address>", "ping"),
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
        return ExecError(tuple(listing([TABLE], text[skipped:-1], prompt + " " * skipped)))
    found = TABLE.match(text[skipped:])
    if isinstance(found, Match):
        return ExecCommand(found.row.name, dict(found.args))
    return ExecError(tuple(complaint(found, text, prompt + " " * skipped)))


def tab(line: str) -> str:
    """What Tab makes of an exec line."""
    return complete([TABLE], line)
