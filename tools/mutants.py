"""Rules of RFC 7296 broken one at a time, to see that tests turn red: `make mutants`, or `python -m tools.mutants`.

Each mutant is one replacement in a temporary copy of the tree; the working tree is never touched. First the tests run
in the copy as it is: they have to be green. A mutant that survives makes the exit status 1; 2 if the run says nothing.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path("src", "ikescope")
TREE = ("src", "tests", "tools", "docs", "examples", "pyproject.toml", "README.md", "Makefile")
SECONDS = 600
CROSSINGS, FAILURES, FLOWS = "tests/exchange/test_crossings.py", "tests/exchange/test_failures.py", "tests/exchange"
ROBUST, TABLES = "tests/engine/test_robustness.py", "tests/engine/test_tables.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One broken rule: `old`, which stands once in all of the package, becomes `new`; `tests` have to notice."""

    name: str
    rule: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        "nonces flipped",
        "RFC 7296 section 2.8.1",
        "return min(ours) < min(peers)",
        "return min(ours) > min(peers)",
        (CROSSINGS,),
    ),
    Mutant(
        "TEMPORARY_FAILURE never said",
        "RFC 7296 section 2.25",
        "    return TABLE.get((asked, busy), Answer.AS_USUAL)",
        "    found = TABLE.get((asked, busy), Answer.AS_USUAL)\n"
        "    return Answer.AS_USUAL if found is Answer.TEMPORARY_FAILURE else found",
        (CROSSINGS, FAILURES),
    ),
    Mutant(
        "TEMPORARY_FAILURE ignored: Child SA",
        "RFC 7296 section 2.25",
        "elif kind == NotifyType.TEMPORARY_FAILURE:",
        "elif kind == NotifyType.TEMPORARY_FAILURE and not kind:",
        (CROSSINGS, FAILURES),
    ),
    Mutant(
        "TEMPORARY_FAILURE ignored: IKE SA",
        "RFC 7296 section 2.25",
        "        if not self._yield(core, sa):\n",
        "        if not self._yield(core, sa) and not kind:\n",
        (CROSSINGS, FAILURES),
    ),
    Mutant(
        "retry job dropped",
        "RFC 7296 section 2.25",
        "    core.timers.arm(core.now + wait, retry)\n",
        "    del retry\n",
        (CROSSINGS, FAILURES),
    ),
    Mutant(
        "half-open limit ignored",
        "RFC 7296 section 2.6",
        "    if half_open >= most:\n",
        "    if half_open >= most and not most:\n",
        ("tests/engine",),
    ),
    Mutant(
        "INITIAL_CONTACT ignored",
        "RFC 7296 section 2.4",
        "if notify_of(payloads, NotifyType.INITIAL_CONTACT) is not None:",
        "if False:",
        (FLOWS,),
    ),
    Mutant(
        "ICV not checked",
        "RFC 7296 section 3.14",
        "if not hmac.compare_digest(self._hmac.digest(datagram[:end])[: self._icv_octets], datagram[end:]):",
        "if False:",
        ("tests/crypto/test_envelope.py", ROBUST),
    ),
    Mutant(
        "AUTH not checked",
        "RFC 7296 section 2.15",
        "    return hmac.compare_digest(received, computed)",
        "    return True",
        (FAILURES,),
    ),
    Mutant(
        "window without an end",
        "RFC 7296 section 2.3",
        "return self.lowest <= message_id < self.lowest + self.size and message_id not in self.kept",
        "return self.lowest <= message_id and message_id not in self.kept",
        (ROBUST, "tests/engine/test_parts.py"),
    ),
    Mutant(
        "responses not kept",
        "RFC 7296 section 2.1",
        "        for old in [key for key in self.kept if key < self.lowest - self.size]:",
        "        for old in [key for key in self.kept if key < self.lowest]:",
        (FLOWS,),
    ),
    Mutant(
        "cookies not checked",
        "RFC 7296 section 2.6",
        "    if hmac.compare_digest(data, present):",
        "    if present:",
        ("tests/engine",),
    ),
)


def places(old: str, root: Path = ROOT) -> list[Path]:
    """The files of the package in which a text stands, as often as it does."""
    found: list[Path] = []
    for path in sorted((root / SOURCE).rglob("*.py")):
        found += [path] * path.read_text(encoding="utf-8").count(old)
    return found


def copy(into: Path) -> None:
    """Copy what the tests need."""
    for name in TREE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, into / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif source.exists():
            shutil.copy(source, into / name)


def run(root: Path, tests: Sequence[str]) -> tuple[bool, str]:
    """Run tests in a copy of the tree until the first fails: whether all passed, and the first that did not."""
    chosen = "not peers and not new_peers"
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-m", chosen, "--no-header", "-rfE", *tests]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False, f"no end within {SECONDS} s"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    return done.returncode == 0, failed[0].split(" - ")[0].partition(" ")[2] if failed else ""


def judge(root: Path, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, bool, str, float]]:
    """For each mutant: whether the tests noticed it, by which test, in how many seconds."""
    for mutant in mutants:
        (path,) = places(mutant.old, root)
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        began = time.monotonic()
        passed, by = run(root, mutant.tests)
        path.write_text(text, encoding="utf-8")
        yield mutant, not passed, by, time.monotonic() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Break each rule; 0 when every mutant was noticed, 1 when one survived, 2 when the tests fail by themselves."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="those whose name holds this")
    options = parser.parse_args(arguments)
    mutants = [one for one in MUTANTS if options.only in one.name]
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="ikescope-mutants-") as name:
        root = Path(name)
        copy(root)
        passed, by = run(root, sorted({one for mutant in mutants for one in mutant.tests}))
        if not passed:
            print(f"red without a mutant: {by}")
            return 2
        print(f"{'mutant':36} {'rule':24} {'outcome':9} {'s':>4}  noticed by")
        for mutant, noticed, test, seconds in judge(root, mutants):
            survivors += not noticed
            outcome = "noticed" if noticed else "SURVIVED"
            print(f"{mutant.name:36} {mutant.rule:24} {outcome:9} {seconds:4.0f}  {test}", flush=True)
    print(f"{len(mutants)} mutants, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
