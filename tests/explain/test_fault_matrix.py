"""Every fault of the matrix: found from each end alone and from both, on the right side; its remedy mends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support import faults
from tests.support.faults import FAULTS, HEALTHY, UNSTAGED
from tests.support.matrix import GENERATIONS, SOURCES, VIEWPOINTS, every, judge, score, stage, unhealed
from tests.support.world import BOTH
from tools import soak

from ikescope.explain.findings import RULES
from ikescope.sim.quick import quick_key_exchange


@pytest.fixture(autouse=True)
def quick() -> Iterator[None]:
    """Key exchanges without arithmetic."""
    with quick_key_exchange():
        yield


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_from_every_viewpoint(name: str) -> None:
    """Either role, each IOS generation, R1 alone, R2 alone, both, by records and by debug: the finding and its side."""
    wrong = [
        f"{staged.faulty} faulty, IOS {staged.generation}, {source} of {' and '.join(who)}: {what}"
        for staged in every({name: FAULTS[name]})
        for who in VIEWPOINTS
        for source in SOURCES
        for what in judge(staged, who, source)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.heals])
def test_the_remedy_brings_the_tunnel_up(name: str) -> None:
    """Each remedy in IOS lines, typed on the side that the finding names, mends the tunnel; each end judges."""
    fault = FAULTS[name]
    for faulty, generation in zip(fault.at, GENERATIONS, strict=False):
        staged = stage(fault, faulty, generation)
        for who in (BOTH, BOTH[::-1]):
            (found,) = [one for one in staged.found(who) if one.severity != "note"]
            assert not unhealed(staged, who[0], found)


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_wrong_with_a_healthy_session(name: str) -> None:
    """Rekeys, crossings, losses, a guess too many, a clear: nothing above a note from any viewpoint."""
    for staged in every({name: HEALTHY[name]}):
        for who in VIEWPOINTS:
            for source in SOURCES:
                assert not judge(staged, who, source)


def test_every_finding_is_staged_or_says_why_not() -> None:
    """Each id of the table of rules has a fault here, or a reason for having none."""
    staged = {fault.id for fault in FAULTS.values()}
    assert {rule.id for rule in RULES} <= staged | UNSTAGED.keys()
    assert not staged & UNSTAGED.keys()


def test_precision_and_recall_are_counted() -> None:
    """A fault counts as due and said from each viewpoint that can know it; a healthy session as nothing."""
    found = score(every({"key": FAULTS["key"], "up": HEALTHY["up"]}, ["17"]))
    assert found.keys() == {"psk-mismatch"}
    one = found["psk-mismatch"]
    assert one.due == one.said == {"records": 6, "debug": 6}
    assert not one.false["records"] + one.false["debug"]


def test_the_whole_matrix_is_run_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`tools/soak.py --matrix` prints a line for each id, and ends with 0 where nothing was missed or said falsely."""
    monkeypatch.setattr(faults, "FAULTS", {"key": FAULTS["key"]})
    monkeypatch.setattr(faults, "HEALTHY", {})
    assert soak.main(["--matrix"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said == "psk-mismatch records 18 of 18, debug 18 of 18, 0 false"
    monkeypatch.setattr(faults, "FAULTS", {"key": replace(FAULTS["key"], id="ts-mismatch")})
    assert soak.main(["--matrix"]) == 1
