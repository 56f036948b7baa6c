"""Writes docs/ios-debug.md from the IOS catalogue: `python -m tools.ios_debug_doc`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ikescope.ios.catalogue import PREFIXES, Line, Row
from ikescope.ios.catalogue_deviations import DEVIATIONS, UNMEASURED
from ikescope.ios.catalogue_table import ROWS
from ikescope.ios.words import TABLES

TARGET = Path(__file__).resolve().parents[1] / "docs" / "ios-debug.md"

TRANSCRIPTS = {
    "01": "ASA 9.x, initiator, pre-shared key, success",
    "02": "ASA 9.x, responder, pre-shared key, success",
    "03": "ASA 9.x, initiator behind a NAT",
    "04": "ASA 9.x, responder, its peer behind a NAT",
    "05": "ASA 9.x, initiator, no response to IKE_SA_INIT",
    "07": "ASA 9.x, initiator, then deleted by its administrator",
    "08": "ASA 9.x, responder, wrong pre-shared key",
    "09": "ASA 9.x, responder, another authentication method",
    "11": "ASA 9.x, responder, no common IKE proposal",
    "17": "ASA 9.x, responder, no common ESP proposal",
    "18": "ASA 9.x, responder, no matching traffic selector",
    "24": "IOS-XE 16.7.1, initiator, Child SA refused: the reference",
    "25": "IOS-XE, responder",
    "30": "IOS-XE 17.x, `show monitor event-trace crypto ikev2 event all`",
    "33": "IOS-XE 26.02, `debug crypto ikev2 error`, single lines",
}

HEAD = """# The text of `debug crypto ikev2`

Made by `python -m tools.ios_debug_doc` from `src/ikescope/ios/catalogue_*.py`; a test compares.

One event of ikescope stands for an ordered group of lines; the reader knows the event by the group's principal line
(marked `>`) and absorbs the others. Levels: `debug crypto ikev2` prints every line, `debug crypto ikev2 error` those
that begin with `IKEv2-ERROR`. Blank lines around packets and blanks at line ends are IOS's.

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
    parts = [HEAD, _transcripts(), _deviations()]
    share = ", ".join(f"{counts[source]} {source}" for source in ("seen", "inferred", "unsourced"))
    parts.append(f"## Events and their lines\n\n{sum(counts.values())} rows: {share}.\n")
    parts += [_row(row) for row in ROWS if row.lines]
    parts.append("## Events without a line\n\n| event | why |\n|---|---|\n" + "".join(map(_silent, silent)))
    parts.append(_words())
    return "\n".join(parts)


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
