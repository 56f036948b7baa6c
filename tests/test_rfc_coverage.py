"""Every requirement of RFC 7296 is proven by a test or has its reason; every quotation of it is exact."""

from __future__ import annotations

from pathlib import Path

import pytest
from tools import rfc_coverage
from tools.rfc_coverage import Coverage, Sentence, measure, percent, share

TEXT = """
1.  Introduction

   A router MUST answer.  It may
   rest, e.g., at night.  It SHOULD NOT sleep in a re-
   sponse, and the half-
   open one MUST be for-

Kaufman, et al.              Standards Track                    [Page 1]
\f
RFC 7296                        IKEv2bis                    October 2014

   gotten.  (This is no rule.)

   o  RESERVED - MUST be zero;
      REQUIRED of all.

2.  Other

   A router MUST answer.
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project without a file."""
    for place in rfc_coverage.PLACES:
        (tmp_path / place).mkdir()
    return tmp_path


def measured(tree: Path, source: str, exceptions: str = "", place: str = "tests/test_it.py") -> Coverage:
    """The coverage of the short text by one file."""
    (tree / place).write_text(source.replace("@", "##"))
    return measure(tree, TEXT, exceptions)


def test_the_whole_text_is_accounted_for() -> None:
    """No quotation is wrong, no sentence without test or reason, and docs/compliance.md is as it would be made."""
    coverage = measure()
    assert coverage.faults == []
    made = rfc_coverage.document(coverage)
    assert rfc_coverage.TARGET.read_text() == made, "stale: run python -m tools.rfc_coverage"


def test_four_fifths_of_what_is_asked_are_proven() -> None:
    """Of what sections 1, 2 and 3 ask of a peer with pre-shared keys, 80 % and more are proven by tests."""
    sentences = measure().sentences
    for number in ("1", "2", "3"):
        proven, asked = share(one for one in sentences if rfc_coverage.chapter(one) == number)
        assert proven >= 0.8 * asked, f"section {number}: {proven} of {asked}"


def test_only_what_is_not_built_is_deferred() -> None:
    """Deferred are certificates, EAP and address assignment, and nothing of what a pre-shared-key peer needs."""
    deferred = {one.reason for one in measure().sentences if one.kind == "deferred"}
    assert deferred == {"certificates", "EAP", "address-assignment"}


def test_pages_paragraphs_and_sentences() -> None:
    """Page breaks vanish, lines and hyphens join, abbreviations end no sentence, a list item is one."""
    found = [(one.section, one.words) for one in rfc_coverage.requirements(TEXT)]
    assert found == [
        ("1", "A router MUST answer."),
        ("1", "It SHOULD NOT sleep in a re-sponse, and the half-open one MUST be for-gotten."),
        ("1", "o RESERVED - MUST be zero; REQUIRED of all."),
        ("2", "A router MUST answer."),
    ]


PROOF = '''
def test_a() -> None:
    """It does."""
    @= rfc7296#section-1 type=test
    @% It SHOULD NOT sleep
    @% in a re-
    @% sponse
    assert True
'''


def test_a_citation_in_a_test_proves_its_sentence(tree: Path) -> None:
    """Words within a sentence, or all of it, in the section that is named; one that is cut off stays out."""
    coverage = measured(tree, PROOF)
    assert [one.tests for one in coverage.sentences] == [[], ["tests/test_it.py::test_a"], [], []]
    around = PROOF.replace(
        "It SHOULD NOT sleep", "A router MUST answer.  It may rest, e.g., at night. It SHOULD NOT sleep"
    )
    assert [bool(one.tests) for one in measured(tree, around).sentences] == [True, False, False, False]
    assert percent(coverage.sentences) == "1 of 4 (25 %)"


def test_a_citation_on_lines_of_its_own(tree: Path) -> None:
    """`##= type=test` may stand in a line after the section; without it the citation is the implementation's."""
    split = PROOF.replace(" type=test", "\n    @= type=test")
    assert measured(tree, split).sentences[1].tests == ["tests/test_it.py::test_a"]
    plain = measured(tree, PROOF.replace(" type=test", "")).sentences[1]
    assert (plain.tests, plain.sources) == ([], ["tests/test_it.py"])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("SHOULD NOT sleep", "SHOULD sleep"), "not in section 1"),
        (("section-1", "section-2"), "not in section 2"),
        (("section-1", "section-9.9"), "no section 9.9"),
        (("It SHOULD NOT sleep", ""), "too few words"),
        (("def test_a", "def helper"), "type=test outside a test"),
        (("    @= rfc7296#section-1 type=test\n", ""), "without a section before it"),
    ],
)
def test_a_wrong_citation_is_a_fault(tree: Path, change: tuple[str, str], fault: str) -> None:
    """Other words, another section, too few words, no test around it, no section: each is told with its place."""
    source = PROOF.replace(*change)
    if fault == "too few words":
        source = source.replace("    @% in a re-\n    @% sponse\n", "    @% sleep\n")
    faults = [one for one in measured(tree, source).faults if "no test and no reason" not in one]
    assert len(faults) == 1
    assert fault in faults[0]
    assert faults[0].startswith("tests/test_it.py:")


def test_a_sentence_that_loses_its_test_is_a_fault(tree: Path) -> None:
    """Without its test a sentence is named; a reason of the closed list, or its section's, accounts for it."""
    whole = """
        exception = [
          { section = "1", words = "A router MUST", reason = "AH" },
          { section = "1", words = "RESERVED", reason = "IPComp" },
          { section = "2", reason = "history" },
        ]"""
    assert measured(tree, PROOF, whole).faults == []
    (fault,) = measured(tree, "", whole).faults
    assert fault.startswith("section 1: no test and no reason: It SHOULD NOT sleep in a re-sponse, and")
    assert share(measured(tree, PROOF, whole).sentences) == (1, 3)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ('section = "1", words = "SHOULD NOT sleep", reason = "AH"', "but tests/test_it.py::test_a proves it"),
        ('section = "1", words = "no such words", reason = "AH"', "meets no sentence"),
        ('section = "1", words = "RESERVED", reason = "laziness"', "laziness is no reason for exception"),
        ('section = "1", words = "RESERVED", reason = "gap"', "gap wants its why"),
    ],
)
def test_an_exception_that_is_not_needed_or_not_reasoned_is_a_fault(tree: Path, entry: str, fault: str) -> None:
    """For a sentence that has a test, for none at all, with a reason outside the list, or without its why."""
    faults = measured(tree, PROOF, f"exception = [{{ {entry} }}]").faults
    assert any(fault in one for one in faults), faults


def test_the_document_names_tests_and_reasons(tree: Path) -> None:
    """Each sentence under its section's title, its tests or its reason below it, and the counts on top."""
    exceptions = 'exception = [{ section = "2", words = "MUST", reason = "gap", why = "it sleeps" }]'
    page = rfc_coverage.document(measured(tree, PROOF, exceptions))
    assert "## 2 Other\n\n- A router MUST answer.\n  - **exception** gap: it sleeps\n" in page
    assert "  - **test** `tests/test_it.py::test_a`\n" in page
    assert "| 1 | 3 | 1 | 0 | 0 | 1 of 3 (33 %) |" in page


def test_the_check_is_one_line_and_its_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` prints the counts in one line, exits 0 where all is well, and writes nothing."""
    before = rfc_coverage.TARGET.read_bytes()
    assert rfc_coverage.main(["--check"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("RFC 7296: 328 sentences: ")
    assert (out.count("\n"), err) == (1, "")
    assert rfc_coverage.TARGET.read_bytes() == before


def test_a_section_is_told_with_what_cites_it(capsys: pytest.CaptureFixture[str]) -> None:
    """`--section 2.8.1` tells each sentence of it with its tests and the sources that cite it."""
    assert rfc_coverage.main(["--section", "2.8.1"]) == 0
    out = capsys.readouterr().out
    assert "[2.8.1] If redundant SAs are created" in out
    assert "    test tests/exchange/test_crossings.py::test_child_rekeys_cross" in out
    assert "    source src/ikescope/engine/collisions.py" in out


def test_the_share_leaves_out_what_asks_nothing() -> None:
    """Deferred sentences, history and definitions are not counted; gaps are."""
    made = [
        Sentence("1", "", 0, 0, kind="test"),
        Sentence("1", "", 0, 0, kind="deferred", reason="EAP"),
        Sentence("1", "", 0, 0, kind="exception", reason="history"),
        Sentence("1", "", 0, 0, kind="exception", reason="gap"),
    ]
    assert share(made) == (1, 2)
    assert percent([]) == "0 of 0"
