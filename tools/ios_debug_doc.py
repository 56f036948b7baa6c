"""Writes docs/ios-debug.md from the IOS catalogue: `python -m tools.ios_debug_doc`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.ios.fidelity import SITUATIONS, measure

from ikescope.ios.catalogue import PREFIXES, PREFIXES_15, Line, Prefix, Row
from ikescope.ios.catalogue_deviations import ASA, DEVIATIONS, UNMEASURED
from ikescope.ios.catalogue_internal import Weave
from ikescope.ios.catalogue_ipsec import IPSEC
from ikescope.ios.catalogue_table import ROWS
from ikescope.ios.debug_internal import WEAVES
from ikescope.ios.event_trace import TRACE_ROWS
from ikescope.ios.words import TABLES

TARGET = Path(__file__).resolve().parents[1] / "docs" / "ios-debug.md"

TRANSCRIPTS = {
    "01": "ASA 9.x, initiator, pre-shared key, success",
    "02": "ASA 9.x, responder, pre-shared key, success",
    "03": "ASA 9.x, initiator behind a NAT",
    "04": "ASA 9.x, responder, its peer behind a NAT",
    "05": "ASA 9.x, initiator, no response to IKE_SA_INIT",
    "06": "ASA 9.x, responder, its answers are lost",
    "07": "ASA 9.x, initiator, then deleted by its administrator",
    "08": "ASA 9.x, responder, wrong pre-shared key",
    "09": "ASA 9.x, responder, another authentication method",
    "11": "ASA 9.x, responder, no common IKE proposal",
    "16": "ASA 9.x, initiator, no common ESP proposal",
    "17": "ASA 9.x, responder, no common ESP proposal",
    "18": "ASA 9.x, responder, no matching traffic selector",
    "24": "IOS-XE 16.7.1, initiator, Child SA refused: the reference",
    "25": "IOS-XE, responder",
    "26": "IOS, responder, certificate chain missing (level internal)",
    "30": "IOS-XE 17.x, `show monitor event-trace crypto ikev2 event all`",
    "33": "IOS-XE 26.02, `debug crypto ikev2 error`, single lines",
}

HEAD = """# The text of `debug crypto ikev2`

Made by `python -m tools.ios_debug_doc` from `src/ikescope/ios/catalogue_*.py`; a test compares.

One event of ikescope stands for an ordered group of lines; the reader knows the event by the group's principal line
(marked `>`) and absorbs the others. Blank lines around packets and blanks at line ends are IOS's.

Levels, each switched on by itself; several add up:

- `debug crypto ikev2` (default): every line of the groups below;
- `debug crypto ikev2 error`: of those, the lines that begin with `IKEv2-ERROR`;
- `debug crypto ikev2 internal`: the default lines, and between them the trace of the state machine and its remarks
  (26 shows the two together);
- `debug crypto ikev2 packet`: the default lines, and each packet spelled out; `packet hexdump` with its octets. The
  layout is that of ASA's dumps; what is inside the Encrypted payload stands in the packet, not where it is built;
- `debug crypto ipsec`: what is asked of the data plane;
- `debug crypto condition peer {ipv4 A.B.C.D | ipv6 X | subnet A.B.C.D MASK}` and `unmatched` restrict all of them.

Where the words come from:

- **seen**: they stand in a real transcript, whose number is given; what an ASA prints at its level 2 is what IOS prints
  by default, at its level 1 what IOS prints as an error (the two share one IKEv2 implementation: 44 of the 70 distinct
  lines of the reference have an identical ASA twin at that level).
- **inferred**: made from seen words.
- **unsourced**: ours, in IOS's manner. **CREATE_CHILD_SA, rekeys and liveness rest on inference: no transcript
  of them was to be had.**

IOS's spelling is kept: `authenctication data PASSED` but `authentication data FAILED`, `IKEV2 SA created`, `SHA96`.
"""


def document() -> str:
    """The whole document."""
    counts = Counter(row.source for row in ROWS if row.lines)
    silent = [row for row in ROWS if not row.lines]
    parts = [HEAD, _generations(), _transcripts(), _measured(), _deviations()]
    share = ", ".join(f"{counts[source]} {source}" for source in ("seen", "inferred", "unsourced"))
    parts.append(f"## Events and their lines\n\n{sum(counts.values())} rows: {share}.\n")
    parts += [_row(row) for row in ROWS if row.lines]
    parts.append("## Events without a line\n\n| event | why |\n|---|---|\n" + "".join(map(_silent, silent)))
    parts += [_internal(), _ipsec(), _trace(), _words()]
    return "\n".join(parts)


def _generations() -> str:
    kinds: tuple[Prefix, ...] = ("sa", "engine", "bare", "error", "internal", "pak")
    rows = "".join(f"| {kind} | `{PREFIXES[kind]}` | `{PREFIXES_15[kind]}` |\n" for kind in kinds)
    return (
        "## Generations\n\nThe `version` line chooses: 15.x prints as IOS 15, 26.x as IOS 26, all else as 17.\n"
        "IOS 26 names the columns of a refused proposal (33). `-PAK` is not seen anywhere.\n\n"
        f"| line | IOS 17 and 26 | IOS 15 |\n|---|---|---|\n{rows}"
    )


def _measured() -> str:
    out = [
        "## Measured\n",
        "A session of ours in the situation of each transcript, at level internal, addresses, SPIs and lengths of keys",
        "masked, compared in order (`tests/ios/test_debug_transcripts.py`; for 24 `test_debug_fidelity.py`). `named`",
        "counts the transcript's lines that a deviation below sets aside, `of the rest` is the share of all others.\n",
        "| transcript | situation | lines | equal | share | named | of the rest | deviations |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in SITUATIONS:
        found = measure(one.number)
        aside = sum(count for _, count in found.named)
        which = ", ".join(f"A{ASA.index(deviation) + 1}" for deviation, _ in found.named)
        shares = f"{found.equal / found.lines:.1%} | {aside} | {found.share:.1%}"
        out.append(f"| {one.number} | {one.what} | {found.lines} | {found.equal} | {shares} | {which} |")
    out += [
        "| 24 | initiator, Child SA refused, first attempt | 151 | 133 | 88.1% | 18 | 100.0% | 1 to 7 below |",
        "| 26 | responder, certificate chain | | | | | | no certificates here: only read |",
        "| 30 | `show monitor event-trace`, read and printed again | 30 | 30 | 100.0% | 0 | 100.0% | none |",
        "| 33 | error lines of IOS-XE 26 | 11 | 9 | 81.8% | 2 | 100.0% | two whose cause is not known |",
        "\nThe deviations:\n",
    ]
    out += [f"- A{number}. {one.why}" for number, one in enumerate(ASA, 1)]
    return "\n".join(out) + "\n"


def _internal() -> str:
    out = [
        "## Level internal\n",
        "`STATE EVENT` is a line `SM Trace-> SA: I_SPI=... R_SPI=... (I) MsgID = 0 CurState: STATE Event: EVENT`,",
        "`~` a remark, a number so many of the event's default lines, `@` remarks made from its facts.\n",
        "| event | lines | source |",
        "|---|---|---|",
    ]
    out += [f"| {_of(one)} | {', '.join(str(step) for step in one.steps)} | {one.source} |" for one in WEAVES]
    return "\n".join(out) + "\n"


def _of(one: Weave) -> str:
    conditions = {**one.when, **one.stamp}
    told = ", ".join(f"{name} = {getattr(value, 'value', value)}" for name, value in conditions.items())
    return one.event.__name__ + (f" ({told})" if told else "")


def _ipsec() -> str:
    head = "## `debug crypto ipsec`\n\nNo transcript was to be had: the words are IOS's as they are remembered.\n"
    return "\n".join([head, *(_row(row) for row in IPSEC)])


def _trace() -> str:
    rows = "".join(f"| {row.name} | `{row.lines[0].text}` | {row.source} |\n" for row in TRACE_ROWS)
    return (
        "## `show monitor event-trace crypto ikev2 event all`\n\nEach line begins "
        "`*Apr  4 00:17:00.424: SA ID:1 SESSION ID:2 Remote: A/500 Local: B/500  `. Of INFORMATIONAL, `({role}) IKEv2\n"
        "INFORMATIONAL Exchange Contains: NAME` follows for each payload (30). `error` prints the error lines of the\n"
        "debug (inferred), `exception` defects of ours.\n\n"
        f"| event | text | source |\n|---|---|---|\n{rows}"
    )


def _transcripts() -> str:
    rows = "".join(f"| {number} | {what} |\n" for number, what in TRANSCRIPTS.items())
    return f"## The transcripts\n\n| number | what it is |\n|---|---|\n{rows}"


def _deviations() -> str:
    out = [
        "## Measured against the reference\n",
        "24's first attempt (151 lines), with addresses, SPIs, times and ids masked, beside the same events of ours:",
        "where ours does the same, every line is equal, blanks included (`tests/ios/test_debug_fidelity.py`). Other",
        "lines stand here:\n",
    ]
    out += [f"{number}. {one.why}" for number, one in enumerate(DEVIATIONS, 1)]
    out += [
        "\nTwo whole routers that negotiate the same in memory print the same: with these deviations set aside, all of",
        "the lines are equal, in order (`tests/ios/test_debug_session.py`; 133 of 133).",
    ]
    out.append("\nWhat the reference cannot show:\n")
    out += [f"- {text}" for text in UNMEASURED]
    return "\n".join(out) + "\n"


def _row(row: Row) -> str:
    lines = "\n".join(_line(line, index == row.principal) for index, line in enumerate(row.lines))
    where = f" ({row.where})" if row.where else ""
    return f"**{row.name}**: {row.source}{where}\n\n```text\n{lines}\n```\n"


def _line(line: Line, principal: bool) -> str:
    note = f"    <- {line.note}" if line.note else ""
    each = f"    <- once for each of `{line.each}`" if line.each else ""
    return f"{'> ' if principal else '  '}{PREFIXES[line.prefix]}{line.text}".rstrip() + note + each


def _silent(row: Row) -> str:
    return f"| {row.name} | {row.where} |\n"


def _words() -> str:
    out = ["## Words for numbers\n", "| kind | number | word | source |", "|---|---|---|---|"]
    for kind, table in TABLES.items():
        out += [f"| {kind} | {word.number} | {word.text} | {word.source} |" for word in table]
    out.append("\nA key exchange method without a word of its own prints as `DH_GROUP_n/Group n`.")
    return "\n".join(out) + "\n"


def main() -> None:
    """Write the document."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    main()
