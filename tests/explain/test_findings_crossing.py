"""Rekeys that crossed: which of their ends is a finding, and which is what an operator did."""

from __future__ import annotations

import pytest
from tests.explain.findings_world import ids
from tests.support_records import Made

from ikescope.events import Event
from ikescope.events.life import ChildSaClosed, CloseReason, RekeyReceived, RekeyStarted
from ikescope.explain.findings import Finding, findings
from ikescope.timeline import Timeline

OLD = ("c1c1c1c1", "d1d1d1d1")
MINE, THEIRS = ("c2c2c2c2", "d2d2d2d2"), ("c3c3c3c3", "d3d3d3d3")
CREATE = 36


def crossed() -> Made:
    """R1 begins a rekey and takes one of R2's; both are made, the old one is gone."""
    made = Made().up()
    made.now += 60.0
    made.tell("R1", RekeyStarted(kind="child", spi_a=OLD[0], spi_b=OLD[1], trigger="lifetime"))
    made.tell("R1", RekeyReceived(kind="child", spi_a=OLD[0], spi_b=OLD[1]))
    for spis in (MINE, THEIRS):
        made.child("R1", *spis, CREATE, rekeys=OLD[0])
    end(made, OLD, CloseReason.REKEYED)
    return made


def end(made: Made, spis: tuple[str, str], cause: CloseReason) -> None:
    """One Child SA of R1 ends."""
    closed: Event = ChildSaClosed(inbound=spis[0], outbound=spis[1], tunnel="Tunnel0", reason=str(cause), cause=cause)
    made.tell("R1", closed)


def told(made: Made) -> list[Finding]:
    """What R1's records give."""
    return findings(Timeline().extend(one for one in made.records if one.stamp.router == "R1"), "R1")


def test_two_that_stay_are_a_finding_once_they_have_settled() -> None:
    """Both replacements stand two minutes later: a warning, with a lifetime that differs as the remedy."""
    made = crossed()
    assert ids(told(made)) == []
    made.now += 130.0
    made.liveness()
    (found,) = told(made)
    assert (found.id, found.severity, found.side) == ("rekey-collision", "warning", "unknown")
    assert " set security-association lifetime seconds 3240" in found.remedy[0].lines


def test_none_that_stays_is_a_finding() -> None:
    """Each end deletes the one that it takes for redundant, not the same one: no Child SA is left, an error."""
    made = crossed()
    end(made, MINE, CloseReason.REDUNDANT)
    end(made, THEIRS, CloseReason.PEER_DELETED)
    assert [(one.id, one.severity) for one in told(made)] == [("rekey-collision", "error")]


@pytest.mark.parametrize("cause", [CloseReason.PEER_DELETED, CloseReason.CLEARED, CloseReason.LIFETIME])
def test_what_somebody_wanted_to_end_is_none(cause: CloseReason) -> None:
    """The peer deletes both at once, or an operator or a lifetime ends them: the crossing is not why."""
    made = crossed()
    for spis in (MINE, THEIRS):
        end(made, spis, cause)
    assert ids(told(made)) == []


def test_one_that_stays_is_none() -> None:
    """The redundant one ends, the other stands: as it should be."""
    made = crossed()
    end(made, THEIRS, CloseReason.REDUNDANT)
    made.now += 130.0
    made.liveness()
    assert ids(told(made)) == []
