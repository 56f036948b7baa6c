"""The text of a swanctl.conf: sections, settings, templates and includes, read with their lines, and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ikescope.errors import LocalError

Include = Callable[[str], Sequence[tuple[str, str]]]
"""What an `include` names: name and text of each file; LocalError where they may not be read."""

DEEPEST = 8
"""So deep may files include one another and templates name templates."""
NESTED = 32
"""So deep may sections lie in one another."""
_TOKEN = re.compile(
    r'[ \t\r]+|#[^\n]*|(?P<mark>[{}=:,\n])|"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^ \t\r\n#{}=",]+)', re.S
)
_VALUE = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^"#}\n]+)', re.S)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\n": ""}
_HEAD = re.compile(r"^[ \t]*(connections|secrets|pools|authorities)\b[^={\n]*\n?[ \t]*\{", re.MULTILINE)


class SwanctlError(LocalError):
    """A swanctl.conf that cannot be read: file, line, what was found and what was wanted."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The value of `name = value`, without its quotes, and where it stands."""

    value: str
    source: str = ""
    line: int = 0


@dataclass(slots=True)
class Section:
    """`name [: TEMPLATE, ...] { ... }`, in the order of the file."""

    name: str = ""
    source: str = ""
    line: int = 0
    templates: tuple[str, ...] = ()
    settings: dict[str, Setting] = field(default_factory=dict)
    sections: dict[str, Section] = field(default_factory=dict)


def is_swanctl(text: str) -> bool:
    """Whether a text is a swanctl.conf, by one of the sections that it begins with."""
    return _HEAD.search(text) is not None


def parse(text: str, name: str, include: Include | None = None) -> Section:
    """The sections of a text, templates followed; SwanctlError where it is no such text.

    `include` gives what an include names; without it an include is refused.
    """
    root = Section(source=name)
    _Parser(text, name, include, 0).into(root)
    return _inherited(root, root, 0)


@dataclass(slots=True)
class _Parser:
    text: str
    name: str
    include: Include | None
    depth: int
    at: int = 0
    line: int = 1
    within: int = 0

    def fail(self, found: str, wanted: str) -> SwanctlError:
        """The error for the line that is being read."""
        return SwanctlError(f"{self.name}:{self.line}: had {found}, wanted {wanted}")

    def into(self, section: Section, *, inside: bool = False) -> None:
        """Read settings and sections up to the end of the text or, inside of one, its closing brace."""
        opened = self.line
        while (word := self._next()) is not None:
            if word == "}" and inside:
                return
            if word == "\n":
                continue
            if word in ("{", "}", "=", ":", ","):
                raise self.fail(f"`{word}`", "the name of a setting or section")
            if word == "include" and self._peek() != "=":
                self._include(section)
                continue
            self._item(section, word)
        if inside:
            raise SwanctlError(f"{self.name}:{opened}: section {section.name} had no `}}`, wanted one before the end")

    def _item(self, section: Section, word: str) -> None:
        line, mark = self.line, self._after_lines()
        if mark == "=":
            section.settings[word] = Setting(self._value(), self.name, line)
            return
        templates: list[str] = []
        if word.endswith(":") and mark != ":":
            word, mark = word[:-1], ":" + mark
        if mark.startswith(":"):
            templates, mark = self._templates(mark[1:])
        if mark != "{":
            raise self.fail(f"`{mark.strip() or 'the end of the line'}` after {word}", "`=` or `{`")
        if self.within >= NESTED:
            raise self.fail(f"section {word} in {NESTED} others", "fewer")
        inner = section.sections.setdefault(word, Section(word, self.name, line))
        inner.templates = (*inner.templates, *templates)
        self.within += 1
        self.into(inner, inside=True)
        self.within -= 1

    def _templates(self, first: str) -> tuple[list[str], str]:
        found = [first] if first else []
        while (mark := self._after_lines()) not in ("{", "}", "=", ""):
            if mark != ",":
                found.append(mark)
        return found, mark

    def _after_lines(self) -> str:
        while (word := self._next()) == "\n":
            pass
        return word or ""

    def _peek(self) -> str | None:
        at, line = self.at, self.line
        word = self._next()
        self.at, self.line = at, line
        return word

    def _next(self) -> str | None:
        while self.at < len(self.text):
            found = _TOKEN.match(self.text, self.at)
            if found is None:
                raise self.fail(f"`{self.text[self.at]}` without its end", "a name, or a string between quotes")
            self.at = found.end()
            if found["quoted"] is not None:
                self.line += found["quoted"].count("\n")
                return _unquoted(found["quoted"])
            token = found["mark"] or found["word"]
            if token is not None:
                self.line += token == "\n"
                return token
        return None

    def _value(self) -> str:
        """The rest of the line: words as they stand, strings without their quotes."""
        parts: list[str] = []
        while (found := _VALUE.match(self.text, self.at)) is not None:
            self.at = found.end()
            if found["quoted"] is not None:
                self.line += found["quoted"].count("\n")
                parts.append(_unquoted(found["quoted"]))
            elif found["plain"].strip():
                parts.append(" ".join(found["plain"].split()))
        if self.at < len(self.text) and self.text[self.at] == '"':
            raise self.fail("a string without its end", 'a `"` at the end')
        return " ".join(parts)

    def _include(self, section: Section) -> None:
        pattern = self._value()
        if self.include is None:
            raise self.fail(f"include {pattern}", "one whole file: put what it names in its place")
        if self.depth >= DEEPEST:
            raise self.fail(f"include {pattern}", f"at most {DEEPEST} files within one another")
        for name, text in self.include(pattern):
            _Parser(text, name, self.include, self.depth + 1).into(section)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.S)


def _inherited(section: Section, root: Section, depth: int) -> Section:
    """A section with what its templates say and it does not."""
    if depth > DEEPEST:
        raise SwanctlError(f"{section.source}:{section.line}: section {section.name} is its own template")
    settings, sections = dict(section.settings), dict(section.sections)
    for path in section.templates:
        base: Section | None = root
        for name in path.split("."):
            base = None if base is None else base.sections.get(name)
        if base is None:
            raise SwanctlError(
                f"{section.source}:{section.line}: section {section.name} had template {path}, not there"
            )
        base = _inherited(base, root, depth + 1)
        settings = {**base.settings, **settings}
        for name, inner in base.sections.items():
            sections[name] = _joined(sections[name], inner) if name in sections else inner
    made = {name: _inherited(inner, root, depth + 1) for name, inner in sections.items()}
    return Section(section.name, section.source, section.line, (), settings, made)


def _joined(over: Section, under: Section) -> Section:
    sections = dict(under.sections)
    for name, inner in over.sections.items():
        sections[name] = _joined(inner, sections[name]) if name in sections else inner
    settings = {**under.settings, **over.settings}
    return Section(over.name, over.source, over.line, over.templates, settings, sections)


def write(section: Section) -> str:
    """The text of a section's content, as `parse` reads it."""
    return "".join(f"{line}\n" for line in _lines(section, ""))


def _lines(section: Section, margin: str) -> Iterator[str]:
    for name, setting in section.settings.items():
        yield f"{margin}{name} = {_quoted(setting.value)}"
    for name, inner in section.sections.items():
        yield f"{margin}{name} {{"
        yield from _lines(inner, margin + "    ")
        yield f"{margin}}}"


def _quoted(value: str) -> str:
    plain = value and value == " ".join(value.split()) and not set('#{}"\\\n') & set(value)
    if plain:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def values(text: str) -> list[str]:
    """The items of a list: `a, b` is two."""
    return [item for item in (part.strip() for part in text.split(",")) if item]


def settings_of(sections: Iterable[Section]) -> Iterator[tuple[str, Setting]]:
    """The settings of several sections."""
    for section in sections:
        yield from section.settings.items()
