"""The document of the findings, and what the table promises."""

from __future__ import annotations

from tools import diagnosis_doc

from ikescope.explain.findings import EXPLAINS, RULES


def test_the_document_is_not_stale() -> None:
    """docs/diagnosis.md up to the counts is what the tables say; the counts are of some whole run."""
    text = diagnosis_doc.PATH.read_text()
    head, mark, counts = text.partition(diagnosis_doc.COUNTS)
    assert head == diagnosis_doc.head(), "stale: run `python -m tools.diagnosis_doc`"
    assert mark and "| all |" in counts


def test_every_finding_is_told_and_is_there_once() -> None:
    """One row a finding, told in the document; what explains and is explained is a finding."""
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(diagnosis_doc.TOLD)
    assert set(EXPLAINS) | {one for several in EXPLAINS.values() for one in several} <= set(ids)


def test_nothing_explains_itself() -> None:
    """No two findings explain each other away: a cycle would leave nothing."""
    for one, several in EXPLAINS.items():
        assert one not in several
        assert not any(one in EXPLAINS.get(other, ()) for other in several)
