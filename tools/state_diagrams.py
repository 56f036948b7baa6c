"""Writes docs/states.md, docs/ike-states.svg and docs/child-states.svg: `python -m tools.state_diagrams`.

All of it follows from the tables in src/ikescope/engine/states.py and collisions.py; no other tool draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from html import escape
from pathlib import Path

from ikescope.engine.collisions import TABLE, Answer, Asked, Busy
from ikescope.engine.states import CHILD_CAUSES, IKE_CAUSES, IOS_STATUS, ChildState, IkeState

DOCS = Path(__file__).resolve().parents[1] / "docs"

Causes = Mapping[tuple[IkeState, IkeState], str] | Mapping[tuple[ChildState, ChildState], str]

BOX, TALL, STEP, LEFT, SPREAD, LINE = 150, 30, 76, 90, 30, 20
"""Pixels: a state's width and height, from one state to the next, room for the steps back, an arc's reach, a line."""

HEAD = """# The states of an SA

Made by `python -m tools.state_diagrams` from `src/ikescope/engine/states.py` and `collisions.py`; a test compares. The
engine asserts every step against the same tables: one that is not here is a defect and is never taken.
"""


def numbered(causes: Causes) -> list[tuple[int, StrEnum, StrEnum, str]]:
    """The transitions in the table's order, numbered from 1."""
    return [(number, *pair, cause) for number, (pair, cause) in enumerate(causes.items(), 1)]


def mermaid(causes: Causes, states: Sequence[StrEnum], firsts: Sequence[tuple[StrEnum, str]]) -> str:
    """A stateDiagram-v2, as the forges render it. `firsts`: the states that an SA is born in, and what makes it."""
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{state.value}" as {state.name}' for state in states]
    lines += [f"    [*] --> {state.name} : {_plain(cause)}" for state, cause in firsts]
    lines += [f"    {a.name} --> {b.name} : {_plain(cause)}" for _, a, b, cause in numbered(causes)]
    lines.append("    CLOSED --> [*]")
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def _plain(cause: str) -> str:
    """A label without what Mermaid reads as its own: a colon and a semicolon."""
    return cause.replace(":", ",").replace(";", ",")


def svg(causes: Causes, states: Sequence[StrEnum], title: str) -> str:
    """The states from top to bottom, steps onward to the right, steps back to the left, each with its number."""
    place = {state: 20 + index * STEP for index, state in enumerate(states)}
    rows = numbered(causes)
    longest = max(abs(states.index(b) - states.index(a)) for _, a, b, _ in rows)
    legend = LEFT + BOX + longest * SPREAD + 60
    width = legend + 620
    height = max(20 + len(states) * STEP, 40 + len(rows) * LINE)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L10 5L0 10z"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    leaving: dict[StrEnum, int] = dict.fromkeys(states, 0)
    for number, before, after, _ in rows:
        out += _edge(number, place[before], place[after], leaving[before])
        leaving[before] += 1
    out += [_state(state, top) for state, top in place.items()]
    out += [
        f'<text x="{legend}" y="{32 + row * LINE}">{number}  {escape(f"{a.value} → {b.value}: {cause}")}</text>'
        for row, (number, a, b, cause) in enumerate(rows)
    ]
    return "\n".join([*out, "</svg>", ""])


def _state(state: StrEnum, top: int) -> str:
    return (
        f'<rect x="{LEFT}" y="{top}" width="{BOX}" height="{TALL}" rx="6" fill="#eef3fa" stroke="#34527a"/>'
        f'<text x="{LEFT + BOX // 2}" y="{top + 19}" text-anchor="middle">{escape(state.value)}</text>'
    )


def _edge(number: int, start: int, end: int, earlier: int) -> list[str]:
    """One arrow with its number; `earlier`: how many leave the same state before it."""
    distance = (end - start) // STEP
    if distance == 1:
        x, top, bottom = LEFT + BOX // 2, start + TALL, end
        path = f"M{x} {top}L{x} {bottom}"
        label = (x + 12, (top + bottom) // 2 + 4)
    else:
        side = LEFT + BOX if distance > 0 else LEFT
        reach = (distance if distance > 0 else distance - 1) * SPREAD
        top, bottom = start + 8 + 4 * earlier, end + 10 + 2 * max(0, 8 - distance)
        x = side + reach * 4 // 3
        path = f"M{side} {top}C{x} {top} {x} {bottom} {side} {bottom}"
        label = (side + reach + (4 if reach > 0 else -16), (top + bottom) // 2 + 4)
    return [
        f'<path d="{path}" fill="none" stroke="#555" marker-end="url(#tip)"/>',
        f'<text x="{label[0]}" y="{label[1]}" fill="#a02020">{number}</text>',
    ]


def steps(causes: Causes) -> str:
    """The transitions as a table."""
    rows = "".join(f"| {number} | {a.value} | {b.value} | {cause} |\n" for number, a, b, cause in numbered(causes))
    return f"| | from | to | what causes it |\n|---|---|---|---|\n{rows}"


def collisions() -> str:
    """RFC 7296 section 2.25 as a grid: what the peer asks, and what it gets by what we are doing."""
    asked = list(Asked)
    out = ["| we are \\ the peer wants to | " + " | ".join(asked) + " |", "|---" * (len(asked) + 1) + "|"]
    for busy in Busy:
        cells = (TABLE.get((one, busy), Answer.AS_USUAL) for one in asked)
        marked = ("" if cell is Answer.AS_USUAL else cell.value for cell in cells)
        out.append(f"| {busy} | " + " | ".join(marked) + " |")
    return "\n".join(out) + "\n"


IKE_BORN = ((IkeState.INIT_SENT, "we begin"), (IkeState.INIT_DONE, "the peer begins, our response goes out"))
IKE_BORN_BY_REKEY = (IkeState.ESTABLISHED, "a rekey made it")
CHILD_BORN = ((ChildState.CREATED, "negotiated, keys exist"),)


def document() -> str:
    """The whole of docs/states.md."""
    words = "".join(f"| {state.value} | {status} | {text} |\n" for state, (status, text) in IOS_STATUS.items())
    return "\n".join(
        [
            HEAD,
            "## IKE SA\n\n![the states of an IKE SA](ike-states.svg)\n",
            mermaid(IKE_CAUSES, list(IkeState), (*IKE_BORN, IKE_BORN_BY_REKEY)),
            steps(IKE_CAUSES),
            "How `show crypto ikev2 sa` calls them:\n\n| state | status | description |\n|---|---|---|\n" + words,
            "## Child SA\n\n![the states of a Child SA](child-states.svg)\n",
            mermaid(CHILD_CAUSES, list(ChildState), CHILD_BORN),
            steps(CHILD_CAUSES),
            "## Crossings: what the peer's request gets while we are busy\n",
            "RFC 7296 section 2.25. An empty cell: answered as usual. Two rekeys of one SA that cross are both",
            "answered; the SA made with the lowest of the four nonces is deleted by who began it (section 2.8.1).\n",
            collisions(),
        ]
    )


def files() -> dict[str, str]:
    """Name under docs/ -> what it has to hold."""
    return {
        "states.md": document(),
        "ike-states.svg": svg(IKE_CAUSES, list(IkeState), "The states of an IKE SA"),
        "child-states.svg": svg(CHILD_CAUSES, list(ChildState), "The states of a Child SA"),
    }


def main() -> None:
    """Write the documents."""
    DOCS.mkdir(exist_ok=True)
    for name, text in files().items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
