"""The tour played for a test: in memory within this process, or by a program of its own."""

from __future__ import annotations

import argparse
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ikescope.demo.plan import texts
from ikescope.demo.screen import Screen
from ikescope.demo.tour import run

HEADING = re.compile(r"^-- (\d)\. (.*?) ?-*$", re.MULTILINE)


@dataclass(frozen=True)
class Tour:
    """What a tour left: exit status, what it printed, its directory."""

    status: int
    text: str
    directory: Path

    @property
    def parts(self) -> list[int]:
        """The parts, as they came."""
        return [int(number) for number, _ in HEADING.findall(self.text)]

    def part(self, number: int) -> str:
        """What stands under one part."""
        found = re.search(rf"^-- {number}\. .*?(?=^-- |\Z)", self.text, re.MULTILINE | re.DOTALL)
        assert found is not None, f"there is no part {number}"
        return found[0]

    @property
    def notes(self) -> str:
        """The guide's sentences, unfolded."""
        return flat("\n".join(line for line in self.text.splitlines() if line.startswith("!")))

    def file(self, name: str) -> bytes:
        """One of its files."""
        return (self.directory / name).read_bytes()


def flat(text: str) -> str:
    """Folded lines as one, so that a sentence is found wherever it was folded."""
    return re.sub(r"\n!?\s*", " ", re.sub(r"^!\s*", "", text))


def options(**given: object) -> argparse.Namespace:
    """What the command line hands over."""
    return argparse.Namespace(**{"write_keys": False, "keep": False, "break_": None, "output": "", **given})


def in_memory(directory: Path, pair: Mapping[str, str] | None = None, **given: object) -> Tour:
    """Play it in memory; the caller has made the namespaces unavailable."""
    out = io.StringIO()
    status = run(Screen(out), directory, pair or texts(), options(**given))
    return Tour(status, out.getvalue(), directory)


__all__ = ["Tour", "flat", "in_memory", "options", "texts"]
