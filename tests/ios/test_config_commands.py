"""The exec grammar: every command, its abbreviations, its help and its errors; and the grammar itself."""

from ipaddress import IPv4Address
from typing import Any

import pytest

from ikescope.ios.commands import EXEC_ROWS, NAMES, ExecCommand, ExecError, OutputFilter, parse, tab
from ikescope.ios.configuration_rows import GRAMMAR, ROWS
from ikescope.ios.grammar import Match, Mismatch, Row, Table, leading_keywords, lex
from ikescope.ios.grammar_help import WORDS

COMMANDS: list[tuple[str, str, dict[str, Any]]] = [
    ("show crypto ikev2 sa", "show crypto ikev2 sa", {}),
    ("sh cry ike sa det", "show crypto ikev2 sa", {"detailed": "detailed"}),
    ("SHOW CRYPTO IPSEC SA", "show crypto ipsec sa", {}),
    ("show crypto ipsec sa peer 192.0.2.2", "show crypto ipsec sa", {"peer": IPv4Address("192.0.2.2")}),
    ("show crypto ipsec sa int tu0", "show crypto ipsec sa", {"interface": "Tunnel0"}),
    ("sh cry sess det", "show crypto session", {"detail": "detail"}),
    ("sh run", "show running-config", {}),
    ("sh ip ro", "show ip route", {}),
    ("sh ver", "show version", {}),
    ("sh deb", "show debugging", {}),
    ("sh int", "show interfaces", {}),
    ("sh log", "show logging", {}),
    ("clear crypto ikev2 sa", "clear crypto ikev2 sa", {}),
    (
        "clear crypto ikev2 sa remote 192.0.2.2 fast",
        "clear crypto ikev2 sa",
        {"remote": IPv4Address("192.0.2.2"), "fast": "fast"},
    ),
    ("cl cry sa", "clear crypto sa", {}),
    ("debug crypto ikev2", "debug crypto ikev2", {}),
    ("deb cry ike err", "debug crypto ikev2", {"level": "error"}),
    ("debug crypto ikev2 packet hexdump", "debug crypto ikev2", {"level": "packet", "hexdump": "hexdump"}),
    ("undebug crypto ikev2 internal", "undebug crypto ikev2", {"level": "internal"}),
    ("no debug crypto ikev2", "undebug crypto ikev2", {}),
    ("u all", "undebug all", {}),
    ("no debug all", "undebug all", {}),
    ("conf t", "configure terminal", {}),
    ("end", "end", {}),
    ("exit", "exit", {}),
    ("ping 10.2.0.1", "ping", {"destination": IPv4Address("10.2.0.1")}),
    (
        "ping 10.2.0.1 timeout 2 source gi2 size 100 repeat 3",
        "ping",
        {"destination": IPv4Address("10.2.0.1"), "source": "GigabitEthernet2", "repeat": 3, "timeout": 2, "size": 100},
    ),
    (
        "ping 10.2.0.1 source 10.1.0.1",
        "ping",
        {"destination": IPv4Address("10.2.0.1"), "source_address": IPv4Address("10.1.0.1")},
    ),
    ("test crypto ikev2 rekey ike", "test crypto ikev2 rekey", {"what": "ike"}),
    ("test crypto ikev2 rekey child", "test crypto ikev2 rekey", {"what": "child"}),
    ("test crypto ikev2 liveness", "test crypto ikev2 liveness", {}),
]


@pytest.mark.parametrize(("line", "name", "arguments"), COMMANDS, ids=[line for line, _, _ in COMMANDS])
def test_exec_commands(line: str, name: str, arguments: dict[str, Any]) -> None:
    """An exec line, in full or abbreviated, is its command with its values; after `do` in configuration mode too."""
    assert name in NAMES
    assert parse(line) == ExecCommand(name, arguments)
    assert parse(f"do {line}", "config") == ExecCommand(name, arguments)


EXEC_ERRORS = [
    ("show crypto foo", "exec", ("               ^", "% Invalid input detected at '^' marker.", "")),
    ("show crypto", "exec", ("% Incomplete command.", "")),
    ("show crypto ik sa x", "exec", (" " * 21 + "^", "% Invalid input detected at '^' marker.", "")),
    ("show crypto i", "exec", ('% Ambiguous command:  "show crypto i"',)),
    ("show version", "config", ("   ^", "% Invalid input detected at '^' marker.", "")),
    ("show run | sect", "exec", ("              ^", "% Invalid input detected at '^' marker.", "")),
    ("clear crypto ikev2 sa remote x", "exec", (" " * 32 + "^", "% Invalid input detected at '^' marker.", "")),
]


@pytest.mark.parametrize(("line", "mode", "wanted"), EXEC_ERRORS, ids=[line for line, _, _ in EXEC_ERRORS])
def test_exec_errors(line: str, mode: Any, wanted: tuple[str, ...]) -> None:
    """What is no command is answered in IOS's words, the caret under the place after the prompt."""
    found = parse(line, mode, prompt="R1#")
    assert isinstance(found, ExecError)
    assert found.lines == wanted
    assert str(found) == "\n".join(wanted)


def test_exec_help_and_tab() -> None:
    """`?` lists what may follow; Tab completes."""
    crypto = parse("show crypto ?")
    assert isinstance(crypto, ExecError)
    assert {"  debug-condition  What the debug is restricted to", "  session          Sessions"} <= set(crypto.lines)
    assert all(len(line) > 19 for line in crypto.lines), "each word says what it is"
    assert parse("test crypto ikev2 rekey ?") == ExecError(("  child  A Child SA", "  ike    The IKE SA"))
    assert parse("do show cr?", "config") == ExecError(("crypto",))
    assert tab("show run") == "show running-config "


LINES = ["hostname R1", "crypto ikev2 profile P", " lifetime 120", " shutdown", "interface Tunnel0", " shutdown", "end"]

FILTERS = [
    ("show run | include shut", [" shutdown", " shutdown"]),
    ("show run | exclude ^ |end", ["hostname R1", "crypto ikev2 profile P", "interface Tunnel0"]),
    ("show run | begin Tunnel", ["interface Tunnel0", " shutdown", "end"]),
    ("show run | section crypto", ["crypto ikev2 profile P", " lifetime 120", " shutdown"]),
    ("show run | i [", []),
]


@pytest.mark.parametrize(("line", "wanted"), FILTERS, ids=[line for line, _ in FILTERS])
def test_output_filters(line: str, wanted: list[str]) -> None:
    """What stands after `|` says which lines are printed; a pattern that is none is taken letter by letter."""
    found = parse(line)
    assert isinstance(found, ExecCommand)
    assert isinstance(found.output, OutputFilter)
    assert found.output.lines(LINES) == wanted


@pytest.mark.parametrize("mode", ROWS)
def test_every_row_stands_in_its_mode_and_does_something(mode: str) -> None:
    """A row of a configuration mode names that mode, has a handler, and can be undone where it sets something."""
    for row in ROWS[mode]:
        assert row.mode == mode
        assert row.run is not None
        assert (row.undo is None) == row.syntax.startswith(("version", "quit", "<data", "default"))


@pytest.mark.parametrize(
    "row", [row for rows in ROWS.values() for row in rows] + list(EXEC_ROWS), ids=lambda r: r.syntax
)
def test_no_row_hides_another(row: Row) -> None:
    """What the keywords of a row begin is understood: no other row of its table takes them away."""
    table = GRAMMAR[row.mode] if row.mode in GRAMMAR else Table(EXEC_ROWS, WORDS)
    found = table.match(leading_keywords(row.syntax))
    if isinstance(found, Match):
        assert found.row.name == row.name
    else:
        assert found.kind == "incomplete"


def test_words_of_a_line() -> None:
    """An interface in two words is one word, with the column it begins in."""
    assert [(token.text, token.column) for token in lex(" tunnel source  Loopback 0")] == [
        ("tunnel", 1),
        ("source", 8),
        ("Loopback0", 16),
    ]


GRAMMAR_ROWS = (
    Row("x", "alpha <n:1-9> [<flag:=fast|slow>]"),
    Row("x", "alpine <names:word>+", undo="="),
    Row("x", "beta {one <a:ipv4>|two <rest:line>}"),
)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("alpha 3", {"n": 3}),
        ("alpha 3 f", {"n": 3, "flag": "fast"}),
        ("alpi x y z", {"names": ("x", "y", "z")}),
        ("no alpi x", {"names": ("x",)}),
        ("no alpha whatever stands here", {}),
        ("beta one 10.0.0.1", {"a": IPv4Address("10.0.0.1")}),
        ("beta two  a  b ", {"rest": "a  b"}),
    ],
)
def test_grammar_matches(line: str, wanted: dict[str, Any]) -> None:
    """Keywords, ranges, choices, repetition, the rest of a line and the `no` forms bind their values by name."""
    found = Table(GRAMMAR_ROWS).match(line)
    assert isinstance(found, Match)
    assert dict(found.args) == wanted
    assert found.args.no == line.startswith("no ")


@pytest.mark.parametrize(
    ("line", "kind", "column", "detail"),
    [
        ("al 3", "ambiguous", 0, ""),
        ("alpha 12", "invalid", 6, "had 12, wanted 1-9"),
        ("alpha 3 x", "invalid", 8, ""),
        ("alpha", "incomplete", 5, ""),
        ("beta one 10.0.0", "invalid", 9, "had 10.0.0, wanted an IPv4 address A.B.C.D"),
        ("gamma", "invalid", 0, ""),
    ],
)
def test_grammar_mismatches(line: str, kind: str, column: int, detail: str) -> None:
    """A line that does not fit says how, where and, for a value, what was had and wanted."""
    found = Table(GRAMMAR_ROWS).match(line)
    assert isinstance(found, Mismatch)
    assert (found.kind, found.column, found.detail) == (kind, column, detail)


def test_a_syntax_that_closes_what_it_never_opened_is_refused() -> None:
    """A row whose brackets do not match is a mistake of ours, found when the table is made."""
    with pytest.raises(ValueError, match="not opened"):
        Table((Row("x", "a ] b"),))
