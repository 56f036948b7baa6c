"""What the console answers to `?`, to Tab and to a line that it does not understand, in IOS's words."""

from __future__ import annotations

from collections.abc import Sequence

from ikescope.ios.grammar import END_OF_LINE, Expected, Mismatch, Table


def complaint(mismatch: Mismatch, line: str, prompt: str = "") -> list[str]:
    """IOS's error for a line typed after `prompt`: the caret stands under the first character not understood."""
    if mismatch.kind == "incomplete":
        return ["% Incomplete command.", ""]
    if mismatch.kind == "ambiguous":
        return [f'% Ambiguous command:  "{line.strip()}"']
    return [" " * (len(prompt) + mismatch.column) + "^", "% Invalid input detected at '^' marker.", ""]


def candidates(tables: Sequence[Table], line: str, also: Sequence[Expected] = ()) -> list[Expected] | Mismatch:
    """What may stand at the end of `line`: the words that continue its last one, or come next after a blank.

    The first table that knows any answers, as a router's mode does before the global one; `also` are words of every
    mode, with which a line begins, that no table holds.
    """
    complete, partial = _split(line)
    begins = () if complete.strip() else also
    found = {word.text: word for word in begins if word.text.lower().startswith(partial.lower())}
    known = len(found)
    worst: Mismatch | None = None
    for table in tables:
        words = table.after(complete)
        if isinstance(words, Mismatch):
            worst = words if worst is None or words.column > worst.column else worst
            continue
        for word in words:
            if not partial or (word.keyword and word.text.lower().startswith(partial.lower())):
                found.setdefault(word.text, word)
        if len(found) > known:
            break
    if not found:
        return worst or Mismatch("invalid", len(complete), complete.strip(), partial, ())
    return sorted(found.values(), key=lambda word: (word.text == END_OF_LINE, not word.keyword, word.text))


def _split(line: str) -> tuple[str, str]:
    if not line or line[-1].isspace():
        return line, ""
    partial = line.split()[-1]
    return line[: len(line) - len(partial)], partial


def complete(tables: Sequence[Table], line: str, also: Sequence[Expected] = ()) -> str:
    """What Tab makes of a line: its last word completed where only one keyword continues it."""
    start, partial = _split(line)
    found = candidates(tables, line, also)
    if not partial or isinstance(found, Mismatch):
        return line
    words = [word.text for word in found if word.keyword and word.text != END_OF_LINE]
    return f"{start}{words[0]} " if len(words) == 1 else line


def listing(tables: Sequence[Table], line: str, prompt: str = "", also: Sequence[Expected] = ()) -> list[str]:
    """The lines that `?` prints after `line`: words in a row where it continues one, a list with help otherwise.

    `also` are words of every mode that no table holds.
    """
    _, partial = _split(line)
    found = candidates(tables, line, also)
    if isinstance(found, Mismatch):
        if partial and found.column >= len(line) - len(partial):
            return ["% Unrecognized command"]
        return complaint(found, line, prompt)
    if partial:
        return ["  ".join(word.text for word in found)]
    width = max(len(word.text) for word in found)
    return [f"  {word.text:<{width}}  {word.help}".rstrip() for word in found]
