"""Findings on the way between the ends, from each viewpoint, and what must not be taken for one."""

from __future__ import annotations

import pytest
from tests.explain.findings_world import AUTH, INIT, from_each, ids, judged, lost, to_port
from tests.support.world import Pair, Side, impair, pair, sender


@pytest.mark.parametrize(
    ("sender", "exchange", "response", "wanted"),
    [
        ("R1", INIT, False, ("no-response", None, "no-response")),
        ("R2", INIT, True, ("no-response", "response-lost", "response-lost")),
        ("R1", AUTH, False, ("no-response", "no-response", "no-response")),
        ("R2", AUTH, True, ("no-response", "response-lost", "response-lost")),
    ],
)
def test_what_is_lost_is_told_as_far_as_it_is_seen(
    sender: str, exchange: int, response: bool, wanted: tuple[str | None, ...]
) -> None:
    """Alone, nobody tells a lost request from a lost answer; the other end's records do."""
    found = from_each(lost(sender, exchange, response))
    assert [ids(one) for one in found] == [[id] if id else [] for id in wanted]
    assert all(finding.side == "path" for one in found for finding in one if finding.severity == "error")


def test_port_4500_is_told_from_either_end() -> None:
    """IKE that floated and found no answer blames UDP 4500, seen from both ends and with both."""
    found = from_each(to_port(4500))
    assert [ids(one) for one in found] == [["port-4500-blocked"]] * 3
    assert [one[0].confidence for one in found] == ["likely", "likely", "certain"]


def silent(by: str) -> Pair:
    """A tunnel that was up and hears nothing more of one end."""
    one = pair(Side(dpd="10 2 periodic")).up()
    impair(one.world, lambda mail: sender(mail) == by, (), times=None)
    one.world.run(120.0)
    return one


def test_a_peer_that_falls_silent_is_dead() -> None:
    """Liveness checks without an answer end the IKE SA: the finding names the peer, not a key or a filter."""
    one = silent("R2")
    (found,) = judged(one.world.records, ("R1",))
    assert (found.id, found.side, found.severity) == ("peer-dead", "peer", "error")


def test_an_attempt_that_came_up_later_leaves_a_note() -> None:
    """A failed attempt is a note once another one of the same two came up."""
    one = pair(Side())
    hit = impair(one.world, lambda mail: sender(mail) == "R1", (), times=8)
    one.world.ping("R1", "10.1.0.9", "10.2.0.9")
    one.world.run(300.0)
    assert hit
    one.up()
    assert ids(judged(one.world.records)) == []


def test_retransmissions_that_help_are_no_finding() -> None:
    """Two losses of each message, and the tunnel comes up: nothing is found."""
    one = pair(Side())
    impair(one.world, lambda mail: mail.kind == "ike", (), times=2)
    one.up(limit=60.0)
    assert [ids(found, notes=True) for found in from_each(one)] == [[], [], []]
