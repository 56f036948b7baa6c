"""Findings over records that lack facts, as texts and captures do: they stand, and claim nothing that is gone."""

from __future__ import annotations

from random import Random

import pytest
from tests.explain.test_stripped import sound, thinned
from tests.support.faults import FAULTS
from tests.support.matrix import VIEWPOINTS, stage

from ikescope.explain.findings import encode, findings
from ikescope.explain.summary import verdict
from ikescope.sim.quick import quick_key_exchange
from ikescope.timeline import Timeline


@pytest.mark.parametrize("name", FAULTS)
def test_findings_stand_without_facts(name: str) -> None:
    """Whatever facts of a fault are gone, judging it raises nothing and no line prints a fact that is not there."""
    with quick_key_exchange():
        told = stage(FAULTS[name]).records
    for share in (0.1, 0.3, 0.6):
        records = thinned(told, Random(f"{name} {share}"), share)
        for who in VIEWPOINTS:
            timeline = Timeline().extend(one for one in records if one.stamp.router in who)
            for line in (*verdict(timeline), *(encode(one) for one in findings(timeline))):
                sound(name, line)
