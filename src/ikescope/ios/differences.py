"""`show archive config differences`: two configurations line by line within their modes, in IOS's form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

HEADER = "!Contextual Config Diffs:"
SAME = "!No changes were found"


@dataclass(slots=True)
class _Node:
    """A line's children by their text, in order."""

    children: dict[str, _Node] = field(default_factory=dict)


def differences(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """What makes `after` of `before`: `+` a line to add, `-` one to remove, within the lines that lead there."""
    lines = list(_changes(_tree(before), _tree(after), ""))
    return [HEADER, *lines] if lines else [HEADER, SAME]


def _tree(lines: Iterable[str]) -> _Node:
    root = _Node()
    path: list[tuple[int, _Node]] = [(-1, root)]
    for line in lines:
        text = line.strip()
        if not text or text.startswith("!") or text == "end":
            continue
        depth = len(line) - len(line.lstrip())
        while path[-1][0] >= depth:
            path.pop()
        node = path[-1][1].children.setdefault(text, _Node())
        path.append((depth, node))
    return root


def _changes(before: _Node, after: _Node, margin: str) -> Iterator[str]:
    for text, node in after.children.items():
        old = before.children.get(text)
        if old is None:
            yield from _all(node, text, margin, "+")
            continue
        inner = list(_changes(old, node, f"{margin} "))
        if inner:
            yield margin + text
            yield from inner
    for text, node in before.children.items():
        if text not in after.children:
            yield from _all(node, text, margin, "-")


def _all(node: _Node, text: str, margin: str, sign: str) -> Iterator[str]:
    yield f"{margin}{sign}{text}"
    for inner, child in node.children.items():
        yield from _all(child, inner, f"{margin} ", sign)
