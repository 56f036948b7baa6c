"""Branch coverage of the packages that decide about a peer's octets, and what of them no test reaches: `make coverage`.

Reads what `coverage json` wrote: `python -m tools.branches build/coverage.json`. Exit status 1 below the limit.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

PACKAGES = ("wire", "crypto", "policy", "engine")
WANTED = 95.0
"""Per cent of the branches."""


def rows(report: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Package, branches taken, branches there are."""
    for package in PACKAGES:
        summaries = [file["summary"] for name, file in report["files"].items() if f"/ikescope/{package}/" in f"/{name}"]
        yield package, sum(one["covered_branches"] for one in summaries), sum(one["num_branches"] for one in summaries)


def missing(report: dict[str, Any]) -> Iterator[str]:
    """The branches that were never taken, a line each file; a negative aim is the way out of the function."""
    for name, file in sorted(report["files"].items()):
        if file["missing_branches"] and any(f"/ikescope/{package}/" in f"/{name}" for package in PACKAGES):
            ways = (f"{start} to {end if end > 0 else 'exit'}" for start, end in file["missing_branches"])
            yield f"  {name}: {', '.join(ways)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a package is below the limit."""
    parser = argparse.ArgumentParser(prog="python -m tools.branches", description=__doc__)
    parser.add_argument("report", type=Path)
    report = json.loads(parser.parse_args(arguments).report.read_text(encoding="utf-8"))
    low = False
    for package, taken, there in rows(report):
        share = 100.0 * taken / there if there else 100.0
        low = low or share < WANTED
        print(f"{package:8} {taken} of {there} branches, {share:.1f} %{'' if share >= WANTED else ': too few'}")
    print("branches not taken:", *missing(report), sep="\n")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
