"""Findings of a debug text that was cut, mixed, glued, wrapped or shuffled on its way: those of the text itself."""

from __future__ import annotations

import io
import os
import re
from functools import cache
from random import Random

import pytest
from tests.support.disturb import DISTURBANCES, mixed
from tests.support.faults import FAULTS, HEALTHY, Fault
from tests.support.matrix import stage
from tests.support.world import ADDRESSES, BOTH

from ikescope.explain.findings import findings
from ikescope.ios import syslog
from ikescope.ios.debug import Renderer, transcript
from ikescope.sim.quick import quick_key_exchange
from ikescope.timeline import Timeline
from ikescope.views import read

SEEDS = int(os.environ.get("IKESCOPE_DISTURBED_SEEDS", "1"))
"""How often each text is disturbed; more by hand."""
STAGED: dict[str, Fault] = {**FAULTS, **HEALTHY}
Found = list[tuple[str, str, str]]


@cache
def texts(name: str) -> dict[str, tuple[str, ...]]:
    """What each router prints of a fault at the default level, line by line."""
    with quick_key_exchange():
        staged = stage(STAGED[name])
    told: dict[str, tuple[str, ...]] = {}
    for who in BOTH:
        records = [one for one in staged.records if one.stamp.router == who]
        printed = transcript(Renderer(stamps=True), records)
        told[who] = tuple(line for one in printed for line in one.split("\n"))
        if not any(told[who]):
            del told[who]
    return told


def found_in(lines: list[str] | tuple[str, ...]) -> Found:
    """Id, side and severity of each finding of a text."""
    records = read.read(io.BytesIO("\n".join(lines).encode()), "r1.txt")
    return sorted((one.id, one.side, one.severity) for one in findings(Timeline().extend(records)))


@pytest.mark.parametrize("name", STAGED)
def test_the_findings_of_a_disturbed_text_are_those_of_the_text(name: str) -> None:
    """Whatever a terminal, a page, a mail or a syslog server does to a text, what is wrong is found as before."""
    wrong = []
    for who, lines in texts(name).items():
        wanted = found_in(lines)
        for kind, disturb in DISTURBANCES.items():
            for seed in range(SEEDS):
                found = found_in(disturb(lines, Random(f"{name} {who} {kind} {seed}")))
                if found != wanted:
                    wrong.append(f"{who} {kind} {seed}: had {found}, wanted {wanted}")
    assert not wrong, "\n".join(wrong)


NUMBERS = {"SESSION ID = 1,SA ID = 1": "SESSION ID = 77,SA ID = 9", "(SA ID = 1)": "(SA ID = 9)"}
_SPI = re.compile(r"\b[0-9A-F]{8}(?:[0-9A-F]{8})?\b")


def elsewhere(who: str) -> list[str]:
    """What a router prints of a healthy session with a third one: its numbers, SPIs and address are others."""
    told = "\n".join(texts("up")[who]).replace(str(ADDRESSES["R2" if who == "R1" else "R1"]), "198.51.100.77")
    for before, after in NUMBERS.items():
        told = told.replace(before, after)
    return _SPI.sub(lambda found: found[0][::-1], told).split("\n")


@pytest.mark.parametrize("name", FAULTS)
def test_another_session_between_the_lines_changes_nothing(name: str) -> None:
    """A healthy SA with another peer, its messages among those of the fault: the findings are those of the fault."""
    wrong = []
    for who, lines in texts(name).items():
        wanted = found_in(lines)
        for seed in range(SEEDS):
            found = found_in(mixed(lines, elsewhere(who), Random(f"{name} {who} {seed}")))
            if found != wanted:
                wrong.append(f"{who} {seed}: had {found}, wanted {wanted}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("name", "id"), [("one end forgets", "half-open-leak"), ("counted anew", "replay-after-restart")]
)
def test_syslog_beside_a_debug_says_what_esp_is_dropped(name: str, id: str) -> None:
    """What no debug line holds a router's own syslog does: the same finding as from the records."""
    with quick_key_exchange():
        staged = stage(STAGED[name])
    renderer, told = Renderer(stamps=True), list[str]()
    for record in staged.records:
        if record.stamp.router == "R2":
            told += transcript(renderer, [record])
            told += syslog.lines(record)
    assert [one for one, _, severity in found_in(told) if severity == "error"] == [id]
