"""Which requirement of RFC 7296 is proven by which test: `python -m tools.rfc_coverage [--check] [--section N]`.

The text is read from `tools/rfc/rfc7296.txt`, unmodified. A requirement is a sentence with MUST, MUST NOT, SHOULD,
SHOULD NOT or REQUIRED. Source and tests cite it: `##= rfc7296#section-2.8` and, in the next lines, `##% its words`.
With `type=test` after the section (or in a line `##= type=test`), inside a test, the citation says that this test
proves it. A citation meets a sentence when its words lie within the sentence or contain it. What no test proves stands,
with a reason of a closed list, in `tools/rfc/rfc7296-exceptions.toml`. Without arguments `docs/compliance.md` is
written.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = ROOT / "tools" / "rfc" / "rfc7296.txt"
EXCEPTIONS = ROOT / "tools" / "rfc" / "rfc7296-exceptions.toml"
TARGET = ROOT / "docs" / "compliance.md"
PLACES = ("src", "tests")

REASONS = {
    "deferred": {
        "certificates": "authentication by certificates and signatures is not built yet",
        "EAP": "the Extensible Authentication Protocol is not built yet",
        "address-assignment": "addresses given out by configuration payloads are not built yet",
    },
    "exception": {
        "definition": "defines words, or repeats a rule that is stated and counted elsewhere",
        "history": "tells what changed since RFC 4306 or RFC 5996",
        "not-a-requirement-on-us": "binds authors of other documents or implementations of other versions",
        "operator-guidance": "binds who deploys or configures, not the protocol engine",
        "AH": "Authentication Header: not offered, not accepted",
        "IPComp": "IP compression is optional; not offered, not accepted",
        "extension": "an optional feature that ikescope does not have",
        "not-reachable": "what it speaks of cannot happen in ikescope; the entry says why",
        "not-proven": "the code does it, no test can tell it apart; the entry says why",
        "gap": "ikescope does not do this; the entry says what it does instead",
    },
}
"""Kind -> reason -> what it means. A sentence that is not proven by a test has one of these."""
NO_REQUIREMENT = ("definition", "history", "not-a-requirement-on-us")
"""Reasons whose sentences ask nothing of an implementation: not counted in the share of what is tested."""

HEADER = re.compile(r"RFC 7296 +IKEv2bis +October 2014$")
FOOTER = re.compile(r"Kaufman, et al\. .*\[Page \d+\]$")
HEADING = re.compile(r"(?:(\d+(?:\.\d+)*)\.|Appendix ([A-Z])\.|([A-Z]\.\d+)\.)  (\S.*)")
KEYWORD = re.compile(r"\b(?:MUST|SHOULD|REQUIRED)\b")
END = re.compile(r"[.?!][)\"']*$")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|et al|vs)\.$")
CITATION = re.compile(r"\s*##= (?:(rfc\d+)#section-(\S+?)|)\s*(?:type=(test|exception|implementation))?\s*$")
QUOTED = re.compile(r"\s*##% (.*)")


@dataclass(slots=True)
class Sentence:
    """One requirement: where it stands in its section's squeezed text, and what speaks for it."""

    section: str
    words: str
    begin: int
    end: int
    tests: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    kind: str = ""
    reason: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Citation:
    """A quotation in a source or test file. `owner`: the test's name where a test holds it."""

    place: str
    document: str
    section: str
    test: bool
    owner: str
    words: str


def squeezed(words: str) -> str:
    """Words without the line breaks and hyphenation blanks of their layout, for comparing."""
    return re.sub(r"(?<=\w)-\s+", "-", re.sub(r"\s+", " ", words)).strip()


def paragraphs(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """The text without page breaks: section number, its title, the lines of one paragraph; no front matter."""
    section, title, blank, broken = "", "", False, False
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.strip("\f").rstrip()
        if FOOTER.match(line):
            broken = True
            continue
        if HEADER.match(line) or not line:
            blank = blank or not line
            continue
        heading = HEADING.match(line)
        if blank and lines and not (broken and _goes_on(lines, line)):
            yield section, title, lines
            lines = []
        if heading and section != "end":
            section, title = next(one for one in heading.groups() if one), heading[4]
        elif re.match(r"\d+\.  References|Acknowledgements|Authors' Addresses", line):
            section, title = "end", ""
        elif section:
            lines.append(line)
        blank = broken = False
    if lines:
        yield section, title, lines


def _goes_on(lines: list[str], line: str) -> bool:
    """Whether a paragraph goes on over a page break: it has not ended, and its last line is indented as the next."""
    last = lines[-1]
    return not re.search(r"[.:;?!][)\"\]]*$", last) and len(last) - len(last.lstrip()) == len(line) - len(line.lstrip())


def unwrapped(lines: Iterable[str]) -> str:
    """The lines of a paragraph as one; two blanks stay after each sentence, as the RFC sets it."""
    text = ""
    for line in lines:
        part = line.strip()
        if not text:
            text = part
        elif END.search(text) and not ABBREVIATION.search(text):
            text += "  " + part
        else:
            text += ("" if re.search(r"\w-$", text) else " ") + part
    return text


def sections(text: str) -> dict[str, tuple[str, str, list[str]]]:
    """Section -> its title, its squeezed text, its sentences in order."""
    found: dict[str, tuple[str, list[str]]] = {}
    for section, title, lines in paragraphs(text):
        parts = re.split(r"(?<=[.?!])[)\"']*  +", unwrapped(lines))
        closing = [*re.findall(r"(?<=[.?!])([)\"']*)  +", unwrapped(lines)), ""]
        _, sentences = found.setdefault(section, (title, []))
        sentences += [squeezed(part + close) for part, close in zip(parts, closing, strict=True)]
    return {
        section: (title, " ".join(sentences), sentences)
        for section, (title, sentences) in found.items()
        if section != "end"
    }


def requirements(text: str) -> list[Sentence]:
    """Every sentence with a word of RFC 2119 that requires, in the order of the text."""
    found = []
    for section, (_, _, sentences) in sections(text).items():
        begin = 0
        for words in sentences:
            if KEYWORD.search(words):
                found.append(Sentence(section, words, begin, begin + len(words)))
            begin += len(words) + 1
    return found


def citations(path: Path, root: Path = ROOT) -> Iterator[Citation]:
    """The citations of one Python file."""
    source = path.read_text()
    if "##= " not in source and "##% " not in source:
        return
    name = path.relative_to(root).as_posix()
    owners = sorted(_tests(ast.parse(source)))
    document = section = ""
    test, words, first = False, [], 0
    for number, line in enumerate([*source.splitlines(), ""], 1):
        if quoted := QUOTED.match(line):
            words.append(quoted[1].strip())
            continue
        if words:
            owner = next((owner for begin, end, owner in owners if begin <= first <= end), "")
            yield Citation(f"{name}:{first}", document, section, test, owner and f"{name}::{owner}", " ".join(words))
            document, section, test, words = "", "", False, []
        if begun := CITATION.match(line):
            if begun[1]:
                document, section, first = begun[1], begun[2], number
            test = test or begun[3] == "test"
    if document:
        yield Citation(f"{name}:{first}", document, section, test, "", "")


def _tests(tree: ast.Module) -> Iterator[tuple[int, int, str]]:
    """First and last line of each test, decorators too, and its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            begin = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            yield begin, node.end_lineno or begin, node.name


@dataclass(frozen=True, slots=True)
class Coverage:
    """What the text asks, what speaks for each sentence, and what is wrong with the whole."""

    text: dict[str, tuple[str, str, list[str]]]
    sentences: list[Sentence]
    faults: list[str]


def measure(root: Path = ROOT, text: str | None = None, exceptions: str | None = None) -> Coverage:
    """Read everything and bring it together."""
    text = TEXT.read_text() if text is None else text
    coverage = Coverage(sections(text), requirements(text), [])
    for place in PLACES:
        for path in sorted((root / place).rglob("*.py")):
            for citation in citations(path, root):
                _cite(coverage, citation)
    entries = tomllib.loads(EXCEPTIONS.read_text() if exceptions is None else exceptions)
    for kind in REASONS:
        for entry in entries.get(kind, []):
            _except(coverage, kind, entry)
    for sentence in coverage.sentences:
        if sentence.tests:
            sentence.kind = "test"
        elif not sentence.kind:
            coverage.faults.append(f"section {sentence.section}: no test and no reason: {sentence.words}")
    return coverage


def _cite(coverage: Coverage, citation: Citation) -> None:
    """Check one citation and give it to the sentences that it meets."""
    if citation.document != "rfc7296":
        if not citation.document:
            coverage.faults.append(f"{citation.place}: a quotation without a section before it")
        return
    words = squeezed(citation.words)
    if citation.section not in coverage.text:
        coverage.faults.append(f"{citation.place}: RFC 7296 has no section {citation.section}")
        return
    if len(words.split()) < 3:
        coverage.faults.append(f"{citation.place}: too few words to know a sentence by: {words!r}")
        return
    if citation.test and not citation.owner:
        coverage.faults.append(f"{citation.place}: type=test outside a test")
        return
    _, text, _ = coverage.text[citation.section]
    spans = [(found.start(), found.end()) for found in re.finditer(re.escape(words), text)]
    if not spans:
        coverage.faults.append(f"{citation.place}: not in section {citation.section} of RFC 7296: {words}")
    for sentence in coverage.sentences:
        if sentence.section == citation.section and any(
            (sentence.begin <= begin and end <= sentence.end) or (begin <= sentence.begin and sentence.end <= end)
            for begin, end in spans
        ):
            held, name = (
                (sentence.tests, citation.owner)
                if citation.test
                else (sentence.sources, citation.place.partition(":")[0])
            )
            if name not in held:
                held.append(name)


def _except(coverage: Coverage, kind: str, entry: dict[str, str]) -> None:
    """Give one entry of the exceptions to the sentences that it names: those with its words, or a whole section."""
    section, words, reason = entry["section"], squeezed(entry.get("words", "")), entry["reason"]
    place = f"{EXCEPTIONS.name}: section {section}: {words or 'all'}"
    if reason not in REASONS[kind]:
        coverage.faults.append(f"{place}: {reason} is no reason for {kind}")
    if reason in ("gap", "not-reachable", "not-proven") and not entry.get("why"):
        coverage.faults.append(f"{place}: {reason} wants its why")
    met = [one for one in coverage.sentences if one.section == section and words in one.words]
    if not met or all(one.kind for one in met):
        coverage.faults.append(f"{place}: meets no sentence that needs it")
    for sentence in met:
        if sentence.tests and words:
            coverage.faults.append(f"{place}: but {sentence.tests[0]} proves it")
        if not sentence.kind:
            sentence.kind, sentence.reason, sentence.why = kind, reason, entry.get("why", "")


def share(sentences: Iterable[Sentence]) -> tuple[int, int]:
    """How many are proven by a test, and how many ask something of what is built: not deferred, not mere words."""
    asked = [one for one in sentences if one.kind != "deferred" and one.reason not in NO_REQUIREMENT]
    return sum(one.kind == "test" for one in asked), len(asked)


def percent(sentences: Iterable[Sentence]) -> str:
    """The share as `12 of 15 (80 %)`."""
    proven, asked = share(sentences)
    return f"{proven} of {asked} ({100 * proven // asked} %)" if asked else "0 of 0"


def chapter(sentence: Sentence) -> str:
    """The top section of a sentence."""
    return sentence.section.partition(".")[0]


def summary(coverage: Coverage) -> str:
    """The counts in one line."""
    kinds = Counter(one.kind or "unclassified" for one in coverage.sentences)
    chapters = "; ".join(
        f"section {number}: {percent(one for one in coverage.sentences if chapter(one) == number)}"
        for number in ("1", "2", "3")
    )
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in ("test", "exception", "deferred", "unclassified"))
    return f"RFC 7296: {len(coverage.sentences)} sentences: {counts}; tested of what is asked: {chapters}"


HEAD = """# RFC 7296, sentence by sentence

Made by `python -m tools.rfc_coverage`; a test compares. Every sentence of RFC 7296 with MUST, MUST NOT, SHOULD,
SHOULD NOT or REQUIRED stands here in the order of the text. It is **test** (the named tests hold its words and fail
when it is broken), **exception** or **deferred**, with a reason of this closed list:
"""


def document(coverage: Coverage) -> str:
    """The whole of docs/compliance.md."""
    lines = [HEAD]
    for kind, reasons in REASONS.items():
        used = Counter(one.reason for one in coverage.sentences if one.kind == kind)
        lines += [f"- {kind}, {reason} ({used[reason]}): {what}" for reason, what in reasons.items()]
    lines += ["", "*Asked* leaves out what is deferred and what asks nothing of an implementation", ""]
    lines[-2] += f" ({', '.join(NO_REQUIREMENT)})."
    lines += ["| section | sentences | test | exception | deferred | tested of asked |", "|---|---|---|---|---|---|"]
    groups = [
        (number, [one for one in coverage.sentences if chapter(one) == number])
        for number in dict.fromkeys(map(chapter, coverage.sentences))
    ]
    for number, group in [*groups, ("all", coverage.sentences)]:
        kinds = Counter(one.kind for one in group)
        counts = " | ".join(str(kinds[kind]) for kind in ("test", "exception", "deferred"))
        lines.append(f"| {number} | {len(group)} | {counts} | {percent(group)} |")
    section = ""
    for one in coverage.sentences:
        if one.section != section:
            section = one.section
            lines += ["", f"## {section} {coverage.text[section][0]}", ""]
        lines += _entry(one)
    return "\n".join(lines) + "\n"


def _entry(sentence: Sentence) -> list[str]:
    """A sentence, its state and what speaks for it."""
    words = re.sub(r"([*_`|<])", r"\\\1", sentence.words)
    lines = textwrap.wrap(f"- {words}", 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    if sentence.kind == "test":
        return [*lines, *(f"  - **test** `{name}`" for name in sorted(sentence.tests))]
    why = f": {sentence.why}" if sentence.why else ""
    state = f"- **{sentence.kind or 'unclassified'}** {sentence.reason}{why}"
    return lines + textwrap.wrap(state, 118, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def told(coverage: Coverage, section: str) -> Iterator[str]:
    """A section's sentences with state, tests and the sources that cite them."""
    for one in coverage.sentences:
        if one.section == section or one.section.startswith(section + "."):
            yield f"[{one.section}] {one.words}"
            yield from (f"    test {name}" for name in one.tests)
            yield from (f"    source {name}" for name in one.sources)
            if one.kind != "test":
                yield f"    {one.kind or 'unclassified'} {one.reason} {one.why}".rstrip()


def main(arguments: list[str] | None = None) -> int:
    """Write the document, or check it, or tell a section. 0: all well; 1: faults, one a line."""
    parser = argparse.ArgumentParser(description="Which requirement of RFC 7296 is proven by which test.")
    parser.add_argument("--check", action="store_true", help="write nothing; print the counts in one line")
    parser.add_argument("--section", metavar="N", help="tell each sentence of a section, and what cites it")
    options = parser.parse_args(arguments)
    coverage = measure()
    if options.section:
        print("\n".join(told(coverage, options.section)))
        return 0
    page = document(coverage)
    if not options.check:
        TARGET.write_text(page)
    elif not TARGET.exists() or TARGET.read_text() != page:
        coverage.faults.append("docs/compliance.md is stale: run python -m tools.rfc_coverage")
    for fault in coverage.faults:
        print(fault, file=sys.stderr)
    print(summary(coverage))
    return 1 if coverage.faults else 0


if __name__ == "__main__":
    sys.exit(main())
