"""`make coverage` says the branch coverage of the packages that decide about a peer's octets."""

import json
from pathlib import Path

import pytest
from tools import branches


def _file(taken: int, there: int, missing: list[list[int]]) -> dict[str, object]:
    return {"summary": {"covered_branches": taken, "num_branches": there}, "missing_branches": missing}


@pytest.mark.parametrize(("taken", "status"), [(95, 0), (94, 1)])
def test_too_few_branches_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str], taken: int, status: int) -> None:
    """Below 95 % of a package's branches the exit status is 1; what is not taken is named."""
    files = {
        "src/ikescope/wire/a.py": _file(taken - 45, 50, []),
        "src/ikescope/wire/b/c.py": _file(45, 50, [[3, 5], [7, -1]]),
        "src/ikescope/ios/d.py": _file(0, 50, [[1, 2]]),
    }
    report = tmp_path / "coverage.json"
    report.write_text(json.dumps({"files": files}))
    assert branches.main([str(report)]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"wire     {taken} of 100 branches, {taken}.0 %")
    assert lines[-1] == "  src/ikescope/wire/b/c.py: 3 to 5, 7 to exit"
