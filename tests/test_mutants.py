"""The mutation check itself: its mutants still apply, and it tells what survives."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tools import mutants

TEXT = {path: path.read_text(encoding="utf-8") for path in sorted((mutants.ROOT / mutants.SOURCE).rglob("*.py"))}


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_every_mutant_still_applies(mutant: mutants.Mutant) -> None:
    """What a mutant replaces stands once in the package, and the tests that have to notice are there."""
    assert sum(text.count(mutant.old) for text in TEXT.values()) == 1
    assert mutant.old != mutant.new
    assert all((mutants.ROOT / one).exists() for one in mutant.tests)


def test_a_survivor_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A mutant that no test notices makes the exit status 1, and the copy is whole again for the next one."""
    seen: list[str] = []

    def copy(into: Path) -> None:
        (into / mutants.SOURCE).mkdir(parents=True)
        (into / mutants.SOURCE / "rule.py").write_text("limit = 1\n", encoding="utf-8")

    def run(root: Path, tests: Sequence[str]) -> tuple[bool, str]:
        seen.append((root / mutants.SOURCE / "rule.py").read_text(encoding="utf-8"))
        return "limit = 2" not in seen[-1], "test_limit"

    monkeypatch.setattr(mutants, "copy", copy)
    monkeypatch.setattr(mutants, "run", run)
    rows = [mutants.Mutant(name, "", "limit = 1", f"limit = {name}", ("tests",)) for name in ("3", "2")]
    monkeypatch.setattr(mutants, "MUTANTS", rows)
    assert mutants.main([]) == 1
    assert seen == ["limit = 1\n", "limit = 3\n", "limit = 2\n"]
    lines = capsys.readouterr().out.splitlines()
    assert "SURVIVED" in lines[1]
    assert "noticed" in lines[2]
    assert lines[3] == "2 mutants, 1 survived"
    assert mutants.main(["--only", "2"]) == 0
