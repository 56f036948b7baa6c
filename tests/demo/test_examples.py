"""The debug texts in examples/ give the findings that they are there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from ikescope.explain.findings import findings
from ikescope.timeline import Timeline
from ikescope.views.read import join, read

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(
    ("names", "id", "confidence"),
    [
        (("R2-debug-wrong-key.txt",), "psk-mismatch", "certain"),
        (("R1-debug-pfs.txt",), "pfs-mismatch", "likely"),
        (("R2-debug-pfs.txt",), "pfs-mismatch", "certain"),
        (("R1-debug-pfs.txt", "R2-debug-pfs.txt"), "pfs-mismatch", "certain"),
    ],
)
def test_an_example_is_found(names: tuple[str, ...], id: str, confidence: str) -> None:
    """One finding above a note, with evidence by file and line."""
    records = join([read((EXAMPLES / name).read_bytes(), name) for name in names])
    (one,) = [found for found in findings(Timeline().extend(records)) if found.severity != "note"]
    assert (one.id, one.confidence) == (id, confidence)
    assert all(evidence.place.startswith(names) for evidence in one.evidence)
