"""Captures without keys: what sizes, times and message IDs tell, and that all of it is labelled inferred."""

from __future__ import annotations

import pytest
from tests.capture.session import wire
from tests.support.world import Pair, Side, pair

from ikescope.capture import to_records
from ikescope.capture.infer import room
from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, PRFS, IkeSuite
from ikescope.engine.commands import Probe, Rekey
from ikescope.events import UNSET, Event, Record
from ikescope.events.life import ChildRefused, ChildSaCreated, IkeSaCreated, LivenessSent, RekeyStarted
from ikescope.events.message import MessageSent, ResponseRefused, RetransmissionsExhausted, Retransmitting
from ikescope.views.ladder import ladder


def told(both: Pair, kind: type[Event]) -> list[Record]:
    """What a capture without keys tells of a kind."""
    return [one for one in to_records(wire(both.world)) if isinstance(one.event, kind)]


def inferred(records: list[Record]) -> list[str]:
    """What each was concluded from."""
    return [one.stamp.inferred for one in records if isinstance(one.stamp.inferred, str)]


@pytest.mark.parametrize("suite", ["cbc", "gcm"])
def test_a_refused_auth_is_told_by_its_size(suite: str) -> None:
    """An answer to IKE_AUTH without room for IDr and AUTH is a refusal; which one, nobody outside can tell."""
    both = pair(Side(ike=suite, mode="acl"), Side(ike=suite, mode="acl", key="another"))
    both.ping("R1")
    both.world.run(3)
    (refused,) = told(both, ResponseRefused)
    assert refused.event.notify is UNSET  # type: ignore[attr-defined]
    assert "no room for IDr and AUTH" in inferred([refused])[0]
    assert any("(inferred)" in line for line in ladder(to_records(wire(both.world))))


def test_a_tunnel_that_is_up_is_told_by_esp_both_ways() -> None:
    """ESP to new SPIs both ways after IKE_AUTH: the IKE SA and a Child SA stand, with the SPIs that were seen."""
    both = pair(Side(mode="acl")).up()
    both.world.run(1)
    (sa,), (child,) = told(both, IkeSaCreated), told(both, ChildSaCreated)
    assert len(inferred([sa, child])) == 2
    mine = both.one_child("R1")
    assert (child.event.inbound, child.event.outbound) == (f"{mine.inbound:08x}", f"{mine.outbound:08x}")  # type: ignore[attr-defined]


def test_liveness_is_told_by_an_empty_payload() -> None:
    """With an AEAD the size says that nothing is inside; with padding it might be a Delete, so nothing is said."""
    both = pair(Side(ike="gcm", mode="acl")).up()
    both.ask("R1", Probe(sa=both.one_ike("R1").id))
    both.world.run(1)
    assert len(inferred(told(both, LivenessSent))) == 1
    padded = pair(Side(ike="cbc", mode="acl")).up()
    padded.ask("R1", Probe(sa=padded.one_ike("R1").id))
    padded.world.run(1)
    assert told(padded, LivenessSent) == []


def test_a_rekey_too_small_for_a_public_value_is_a_child_sas() -> None:
    """An IKE SA rekey needs a KE payload: a request without room for one is about a Child SA, a larger one is open."""
    both = pair(Side(ike="modp", mode="acl")).up()
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(1)
    (started,) = told(both, RekeyStarted)
    assert "no room for a public value of group 14" in inferred([started])[0]
    both.ask("R1", Rekey(sa=both.one_ike("R1").id))
    both.world.run(1)
    assert len(told(both, RekeyStarted)) == 1


def test_silence_is_told_by_retransmissions() -> None:
    """A request that goes out again and again until the capture ends was never answered: its sender gave up."""
    both = pair(Side(mode="acl")).up()
    both.world.remove("R2")
    both.ask("R1", Probe(sa=both.one_ike("R1").id))
    both.world.run(600)
    again = told(both, Retransmitting)
    (over,) = told(both, RetransmissionsExhausted)
    sent = [one for one in told(both, MessageSent) if one.stamp.message_id == over.stamp.message_id]
    assert len(again) == len(sent) - 1 == over.event.sends - 1 >= 2  # type: ignore[attr-defined]
    assert "never answered" in inferred([over])[0]


@pytest.mark.parametrize(
    ("cipher", "mac", "size", "inside"), [((12, 256), 14, 96, (0, 15)), ((20, 128), None, 57, (0, 0))]
)
def test_the_room_inside_follows_from_the_suite(
    cipher: tuple[int, int], mac: int | None, size: int, inside: tuple[int, int]
) -> None:
    """IV, padding and ICV are known: what remains is what can be inside."""
    integrity = INTEGRITIES[mac] if mac is not None else None
    suite = IkeSuite(ENCRYPTIONS[cipher], integrity, PRFS[7], 19)
    assert room(suite, size) == inside


def test_a_refused_child_is_told_by_a_middling_size() -> None:
    """Room for IDr and AUTH and none for SA and selectors: the Child SA was refused, the IKE SA not."""
    both = pair(Side(mode="acl", ike="gcm"), Side(mode="acl", ike="gcm", esp="gcm"))
    both.ping("R1")
    both.world.run(3)
    assert told(both, ResponseRefused) == []
    assert all(one.stamp.inferred for one in told(both, ChildRefused))
