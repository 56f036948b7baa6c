"""Findings in the life of SAs and on what they carry; what must not be taken for one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.explain.findings_world import from_each, ids, judged
from tests.support.world import Pair, Side, impair, pair, sender
from tests.support_records import Made

from ikescope.engine.commands import Clear
from ikescope.events import Event, IdentityFact
from ikescope.events.life import ChildTraffic, CloseReason, ConnectDecided, IkeSaClosed, PathChanged
from ikescope.events.message import DropTrigger, MessageDropped
from ikescope.events.negotiation import AuthRefused, NatChecked, ProfileNotFound
from ikescope.events.router import EspDropped
from ikescope.explain.findings import Finding, findings
from ikescope.timeline import Timeline
from ikescope.wire.registry import AuthMethod

REPLAYED = "sequence number replayed or outside the window"
PEER = IdentityFact(1, "192.0.2.1")
UNKNOWN = "no SA has this SPI"


def told(made: Made, *who: str) -> list[Finding]:
    """What is found in a session made by hand."""
    return findings(Timeline().extend(one for one in made.records if not who or one.stamp.router in who), "R1")


def traffic(received: int, sent: int, *, at: str = "R1", octets: int = 0) -> ChildTraffic:
    """Counters of the Child SA of a session made by hand: packets of 84 octets, and `octets` more that were sent."""
    spis = ("c1c1c1c1", "d1d1d1d1")
    return ChildTraffic(
        inbound=spis[at != "R1"],
        outbound=spis[at == "R1"],
        tunnel="Tunnel0",
        packets_in=received,
        octets_in=received * 84,
        packets_out=sent,
        octets_out=sent * 84 + octets,
    )


def later(made: Made, seconds: float, *events: Event, router: str = "R1") -> Made:
    """More that a router tells, some time later."""
    made.now += seconds
    for event in events:
        made.tell(router, event)
    return made


def drop(reason: str, spi: str, count: int) -> EspDropped:
    """ESP packets from R2 that R1 discards."""
    return EspDropped(
        reason=reason, spi=spi, source="192.0.2.2", destination="192.0.2.1", count=count, found="3", wanted="above 900"
    )


def test_a_tunnel_that_carries_nothing_back_is_found() -> None:
    """Twenty packets out and none in, half a minute after it came up: ESP does not pass."""
    assert ids(told(later(Made().up(), 30.0, traffic(0, 20)), "R1")) == ["up-no-traffic"]


def test_an_attempt_that_fails_alike_is_no_later_one_that_came_up() -> None:
    """A tunnel that came up anew and carries nothing back either leaves the finding an error, and counts both."""
    made = later(Made().up(), 30.0, traffic(0, 20))
    again = Made()
    again.now, again.spi_i, again.spi_r = made.now + 10.0, "e1e2e3e4e5e6e7e8", "f1f2f3f4f5f6f7f8"
    again = later(again.up(), 30.0, traffic(0, 20))
    (found,) = findings(Timeline().extend([*made.records, *again.records]), "R1")
    assert (found.id, found.severity, found.count) == ("up-no-traffic", "error", 2)


@pytest.mark.parametrize(("received", "sent", "after"), [(3, 20, 30.0), (0, 2, 30.0), (0, 20, 2.0), (20, 0, 30.0)])
def test_little_or_early_traffic_is_no_finding(received: int, sent: int, after: float) -> None:
    """Something came back, or little was sent, or it is too early, or only the peer sends: nothing is found."""
    assert told(later(Made().up(), after, traffic(received, sent)), "R1") == []


@pytest.mark.parametrize(("counts", "side"), [((0, 0), "path"), ((20, 0), "peer"), ((20, 20), "path")])
def test_both_ends_counters_tell_which_leg_is_dead(counts: tuple[int, int], side: str) -> None:
    """With both ends: nothing arrived there, nothing was sent back there, or what was sent back is lost."""
    made = later(Made().up(), 30.0, traffic(0, 20))
    other = traffic(*counts, at="R2")
    (found,) = told(later(made, 1.0, other, router="R2"))
    assert (found.id, found.side, found.confidence) == ("up-no-traffic", side, "certain")


def test_large_packets_that_vanish_are_a_hole() -> None:
    """Ten of twenty packets do not arrive, and they are the large ones: an MTU hole on the path."""
    mine, theirs = traffic(10, 20, octets=13000), traffic(10, 10, at="R2")
    made = later(later(Made().up(), 30.0, mine), 0.0, theirs, router="R2")
    (found,) = told(made)
    assert (found.id, found.side) == ("mtu-hole", "path")
    assert told(made, "R1") == []


def test_a_sender_that_counts_anew_is_found() -> None:
    """Many packets below the window, few above: the peer restarted with the old keys; a few late ones are nothing."""
    made = later(Made().up(), 30.0, traffic(4, 20), drop(REPLAYED, "c1c1c1c1", 40))
    assert ids(told(made, "R1")) == ["replay-after-restart"]
    assert told(later(Made().up(), 30.0, traffic(400, 20), drop(REPLAYED, "c1c1c1c1", 7)), "R1") == []


def test_esp_for_an_sa_that_is_gone_is_a_leak() -> None:
    """The peer goes on sending on an SA that this end has ended long ago."""
    over = IkeSaClosed(reason="not accepted", seconds=1.0, cause=CloseReason.NOT_AUTHENTICATED)
    made = later(Made().up(), 1.0, over)
    later(made, 1.0, drop(UNKNOWN, "c1c1c1c1", 4))
    assert ids(told(made, "R1")) == []
    later(made, 40.0, drop(UNKNOWN, "c1c1c1c1", 40))
    assert ids(told(made, "R1")) == ["half-open-leak"]


def test_a_negotiation_that_never_ends_is_a_leak() -> None:
    """Each wish for a tunnel is turned away since one is being negotiated, for ten minutes."""
    made = Made()
    made.init()
    pending = ConnectDecided(tunnel="Tunnel0", index=0, trigger="traffic", decision="pending")
    for _ in range(3):
        later(made, 200.0, pending)
    assert "half-open-leak" in ids(told(made, "R1"))


def test_the_limit_of_half_open_sas_is_told() -> None:
    """Peers that are turned away for the number of half-open IKE SAs."""
    made = Made().up()
    made.tell("R1", MessageDropped(trigger=DropTrigger.HALF_OPEN_LIMIT))
    assert ids(told(made, "R1")) == ["half-open-leak"]


def test_a_peer_that_clears_is_a_note() -> None:
    """A Delete of the peer is a note, and an own clear is nothing; with both, the peer's reason stands in it."""
    one = pair(Side()).up()
    one.world.run(100.0)
    one.ask("R2", Clear())
    one.world.run(10.0)
    here, there, both = from_each(one)
    assert (ids(here, notes=True), ids(there, notes=True)) == (["peer-deleted"], [])
    assert "cleared" in both[0].cause and here[0].severity == "note"


def test_an_address_that_changed_is_a_note() -> None:
    """A NAT box that forgot its mapping is worth a note; the float to port 4500 is not."""
    before = PathChanged(
        local_before="192.0.2.1:4500",
        remote_before="192.0.2.2:4500",
        local="192.0.2.1:4500",
        remote="192.0.2.2:20001",
        followed=True,
    )
    (found,) = told(later(Made().up(), 30.0, before), "R1")
    assert (found.id, found.severity) == ("nat-rebinding", "note")


def test_ends_that_see_another_nat_contradict_each_other() -> None:
    """One end finds its peer behind a NAT, the peer finds nobody behind one; the lines are given for each end."""
    made = Made().up()
    for name, behind in (("R1", True), ("R2", False)):
        made.tell(name, nat(behind))
    (found,) = told(made)
    assert (found.id, found.side) == ("nat-one-sided", "path")
    ends = [(one.side, one.router, one.both) for one in found.remedy if " nat force-encap" in one.lines]
    assert ends == [("local", "R1", True), ("peer", "R2", True)]
    assert told(made, "R1") == []


def nat(behind: bool) -> NatChecked:
    """What a router makes of the hashes."""
    return NatChecked(supported=True, local_behind=False, remote_behind=behind, forced=False, floated=behind)


def test_a_profile_that_was_not_found_on_a_healthy_router_is_noise() -> None:
    """IOS says `% IKEv2 profile not found` also where all is well: at most a note."""
    made = Made().up()
    made.tell("R1", ProfileNotFound(identity=PEER, tried=()))
    (found,) = told(made, "R1")
    assert (found.id, found.severity) == ("profile-not-found-noise", "note")


@pytest.mark.parametrize(
    ("method", "wanted", "id"),
    [
        (AuthMethod.RSA_DIGITAL_SIGNATURE, AuthMethod.SHARED_KEY_MIC, "auth-method-mismatch"),
        (AuthMethod.DIGITAL_SIGNATURE, AuthMethod.DIGITAL_SIGNATURE, "certificate-chain"),
        (AuthMethod.SHARED_KEY_MIC, AuthMethod.SHARED_KEY_MIC, "psk-mismatch"),
    ],
)
def test_a_refused_auth_is_told_by_its_method(method: AuthMethod, wanted: AuthMethod, id: str) -> None:
    """Another method, a signature that does not verify, a key that differs: one finding each."""
    made = Made()
    made.init()
    made.auth_request()
    made.tell("R2", AuthRefused(method=method, identity=PEER, wanted=wanted))
    found = findings(Timeline().extend(one for one in made.records if one.stamp.router == "R2"), "R2")
    assert ids(found) == [id]


def crossing(one: Pair) -> None:
    """Both ends rekey at once, and nothing is lost."""
    one.world.run(400.0)


def dead(one: Pair) -> None:
    """One end is cut off for good."""
    impair(one.world, lambda mail: sender(mail) == "R2", (), times=None)
    one.world.run(300.0)


@pytest.mark.parametrize(
    ("act", "wanted"), [(crossing, []), (dead, ["peer-dead"])], ids=["rekeys that cross", "a peer that died"]
)
def test_crossing_rekeys_are_no_finding_and_death_is(act: Callable[[Pair], None], wanted: list[str]) -> None:
    """Same lifetimes at both ends cross now and then and end well; silence does not."""
    one = pair(Side(child_lifetime=120, dpd="10 2 periodic")).up()
    act(one)
    assert ids(judged(one.world.records, ("R1",))) == wanted
