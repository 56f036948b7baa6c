"""Whom a remedy speaks to: IOS or strongSwan, by what its vendor IDs tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ikescope.explain.findings.case import STRONGSWAN, View


def attempt(spi: str, peer: str, octets: bytes) -> tuple[Any, list[Any]]:
    """An IKE SA with one exchange that was answered."""
    answer = SimpleNamespace(octets=octets, sent=False)
    sa = SimpleNamespace(spi_i=spi, peer=f"{peer}:500", local="192.0.2.1:500")
    return sa, [SimpleNamespace(request=None, response=answer)]


@pytest.mark.parametrize(("peer", "is_strongswan"), [("192.0.2.2", True), ("192.0.2.3", False)])
def test_a_refused_attempt_knows_strongswan_by_another(peer: str, is_strongswan: bool) -> None:
    """A refused IKE_SA_INIT has no vendor ID: another attempt with the same address tells it."""
    refused, answered = attempt("01", "192.0.2.2", b"N"), attempt("02", peer, b"V" + STRONGSWAN)
    exchanges = {"01": refused[1], "02": answered[1]}
    timeline: Any = SimpleNamespace(
        ike={("R1", "01"): refused[0], ("R1", "02"): answered[0]}, exchanges_of=lambda sa: exchanges[sa.spi_i]
    )
    assert View(timeline, "R1", (refused[0],), ()).peer_is_strongswan is is_strongswan
