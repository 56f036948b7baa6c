"""What is decided or refused is told, with what was compared and the nearest miss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace as changed
from ipaddress import IPv4Address

import pytest
from msgspec.structs import replace
from tests.support.world import Pair, Side, configuration, feed, impair, pair, sealed
from tests.timeline.sessions import KINDS, VTI, records

from ikescope.config.model import RouterConfig
from ikescope.engine import children
from ikescope.engine.commands import Clear, ClearChild, Connect, Expired, PeerMoved, Rekey
from ikescope.engine.parameters import Parameters
from ikescope.events import UNSET, SelectorFact
from ikescope.events.life import (
    ChildSaClosed,
    ChildTraffic,
    CloseReason,
    ConnectDecided,
    DuplicateSettled,
    IkeSaClosed,
    NothingDone,
    PathChanged,
    SessionDown,
    TaskSkipped,
)
from ikescope.events.message import (
    CookieChecked,
    DropTrigger,
    MessageDropped,
    UnprotectedSent,
    UnprotectedWithheld,
)
from ikescope.events.negotiation import (
    AuthRefused,
    ChoiceRefused,
    GroupRefused,
    KeyNotFound,
    ModeRefused,
    PolicySearched,
    ProfileNotFound,
    ProposalRefused,
    SelectorsExceeded,
    SelectorsRefused,
)
from ikescope.events.router import InterfaceWaiting
from ikescope.sim.world import World
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType
from ikescope.wire.sa import SaPayload
from ikescope.wire.ts import TsPayload

INIT, AUTH = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH


def attempt(first: Side, second: Side, seconds: float = 20.0) -> Pair:
    """R1 tries."""
    one = pair(first, second, seed="told")
    one.ping("R1")
    one.world.run(seconds)
    one.sound()
    return one


def answering(change: Callable[[Payload], Payload], exchange: ExchangeType) -> Pair:
    """R1 tries, and R2 changes the payloads of its response."""
    one = pair(VTI, changed(VTI, responder_only=True), seed="told")

    def mutate(kind: ExchangeType, response: bool, chain: Sequence[Payload]) -> list[Payload]:
        return [change(payload) for payload in chain] if kind is exchange and response else list(chain)

    one.core("R2").mutate = mutate
    one.ping("R1")
    one.world.run(20)
    return one


def built(first: RouterConfig, second: RouterConfig) -> Pair:
    """Two routers of any configuration; R1 tries."""
    world = World("told", latency=0.01)
    for config in (first, second):
        world.add(config)
    one = Pair(world)
    one.ping("R1")
    world.run(20)
    one.sound()
    return one


def test_a_refused_ike_proposal_names_the_one_that_came_closest() -> None:
    """The own proposal, the first transform type that parts the two, both values, all pairs with their lines."""
    refused = attempt(Side(ike="cbc"), Side(ike="modp")).events("R2", ProposalRefused)[0]
    assert (refused.ours, refused.nearest, refused.axis) == ("P", 1, 2)
    assert (refused.found, refused.wanted) == ("SHA512", "SHA256")
    assert len(refused.received) == len(refused.expected) == 1
    assert [(one.name, one.taken, one.line > 0) for one in refused.tried] == [("proposal 1 with P", False, True)]


def test_a_refused_esp_proposal_names_the_transform_set_that_came_closest() -> None:
    """As for IKE: the transform-set, the type, both values."""
    (refused,) = attempt(Side(esp="cbc"), Side(esp="sha256")).events("R2", ProposalRefused)
    assert (refused.ours, refused.axis, refused.protocol) == ("TS", 3, 3)
    assert refused.found != refused.wanted and refused.tried[0].line > 0


def test_refused_selectors_name_what_is_empty() -> None:
    """The side, what of it is empty (here the addresses), the two closest selectors, each pair of ours."""
    ours = Side(mode="acl", selectors=("10.{us}.7.0 0.0.0.255 10.{them}.8.0 0.0.0.255",))
    (refused,) = attempt(Side(mode="acl"), ours).events("R2", SelectorsRefused)
    assert (refused.axis, refused.part) == ("local", "addresses")
    assert isinstance(refused.found, SelectorFact) and isinstance(refused.wanted, SelectorFact)
    assert (refused.found.start, refused.wanted.start) == ("10.2.0.9", "10.2.7.0")
    assert len(refused.tried) == 1 and "addresses had" in refused.tried[0].why


def test_no_profile_tells_each_line_and_why_not() -> None:
    """Each `match identity remote` line with its number, and whether type or value part it from the identity."""
    (refused,) = attempt(Side(identity="fqdn r1.example"), Side(match="address 203.0.113.9")).events(
        "R2", ProfileNotFound
    )
    (profile,) = refused.tried
    (line,) = profile.lines
    assert profile.line and line.line > profile.line and not line.fits
    assert line.text == "match identity remote address 203.0.113.9/32"
    assert line.why == "identity type had ID_FQDN (2), wanted ID_IPV4_ADDR (1) or ID_IPV6_ADDR (5)"


def test_no_key_tells_each_block_and_why_not() -> None:
    """Each peer block of the keyring with its lines; then the refusal names profile and no key."""
    one = attempt(Side(), Side(keyring_address="203.0.113.9"))
    (missing,) = one.events("R2", KeyNotFound)
    assert (missing.which, missing.profile, missing.keyring) == ("remote", "PR", "K")
    (block,) = missing.tried
    (line,) = block.lines
    assert block.line and (line.text, line.why) == ("address 203.0.113.9/32", "had 192.0.2.1")
    (refused,) = one.events("R2", AuthRefused)
    assert refused.profile == "PR" and refused.key_length is UNSET


def test_another_key_tells_the_block_it_came_from() -> None:
    """A key that does not verify: its length and its block, never itself."""
    (refused,) = attempt(Side(), Side(key="another")).events("R2", AuthRefused)
    assert (refused.keyring_block, refused.key_length) == ("THEM", len("another"))


def test_a_refused_group_tells_both() -> None:
    """The group of the KE payload and the one that was chosen."""
    one = attempt(Side(groups=(19, 14)), Side(groups=(14,)))
    (refused,) = one.events("R2", GroupRefused)
    assert (refused.by, refused.found, refused.wanted) == ("local", 19, 14)


def test_a_wish_for_another_group_tells_what_could_be() -> None:
    """INVALID_KE_PAYLOAD for a group that we did not offer: the wish and our groups."""
    one = pair(VTI, changed(VTI, responder_only=True), seed="told")
    wish = NotifyPayload(NotifyType.INVALID_KE_PAYLOAD, (99).to_bytes(2, "big"))
    one.core("R2").mutate = lambda kind, response, chain: [wish] if kind is INIT and response else chain
    one.ping("R1")
    one.world.run(1)
    refused = one.events("R1", GroupRefused)[0]
    assert (refused.by, refused.wanted, refused.found, refused.allowed) == ("peer", 99, 31, (31,))
    assert one.events("R1", MessageDropped)[0].trigger is DropTrigger.UNTRUSTED_NOTIFY


def test_a_choice_that_was_not_offered_tells_what_parts_them() -> None:
    """R2 answers with another proposal number than it was offered."""

    def renumber(payload: Payload) -> Payload:
        if not isinstance(payload, SaPayload):
            return payload
        return replace(payload, proposals=tuple(replace(one, number=9) for one in payload.proposals))

    one = answering(renumber, AUTH)
    refused = one.events("R1", ChoiceRefused)[0]
    assert (refused.what, refused.found, refused.wanted, refused.axis) == ("proposal number", "9", "1", UNSET)
    assert CloseReason.NO_SENSE in {closed.cause for closed in one.events("R1", IkeSaClosed)}


def test_selectors_beyond_the_request_are_told() -> None:
    """R2 answers with selectors that R1 did not propose: the side and the first of them."""
    one = pair(Side(mode="acl"), Side(mode="acl"), seed="told")

    def widen(kind: ExchangeType, response: bool, chain: Sequence[Payload]) -> list[Payload]:
        def wide(payload: Payload) -> Payload:
            if not (kind is AUTH and response and isinstance(payload, TsPayload)):
                return payload
            first = IPv4Address(0).packed
            return replace(payload, selectors=tuple(replace(one, start=first) for one in payload.selectors))

        return [wide(payload) for payload in chain]

    one.core("R2").mutate = widen
    one.ping("R1")
    one.world.run(5)
    (refused,) = one.events("R1", SelectorsExceeded)
    assert refused.axis == "local"
    assert isinstance(refused.found, SelectorFact) and refused.found.start == "0.0.0.0"


def test_a_refused_mode_tells_both() -> None:
    """R2 knows tunnel mode only, R1 says `mode transport require`."""
    first, second = configuration("R1", Side()), configuration("R2", Side())
    required = {name: replace(one, transport_require=True) for name, one in first.transform_sets.items()}
    tunnel = {name: replace(one, transport=False) for name, one in second.transform_sets.items()}
    one = built(replace(first, transform_sets=required), replace(second, transform_sets=tunnel))
    refused = one.events("R1", ModeRefused)[0]
    assert (refused.tunnel, refused.found, refused.wanted) == ("Tunnel0", "tunnel", "transport")
    assert CloseReason.NOT_AGREED in {closed.cause for closed in one.events("R1", IkeSaClosed)}


def test_no_policy_is_refused_and_told() -> None:
    """No IKEv2 policy speaks for the address: NO_PROPOSAL_CHOSEN, each policy with its line, and no defect."""
    config = configuration("R2", Side())
    elsewhere = {
        name: replace(one, match_local=(IPv4Address("203.0.113.9"),), smart_default=False)
        for name, one in config.policies.items()
    }
    one = built(configuration("R1", Side()), replace(config, policies=elsewhere))
    searched = one.events("R2", PolicySearched)[0]
    assert searched.policy is None
    assert all(not each.taken and "address local had" in each.why for each in searched.tried) and searched.tried


def test_wishes_are_decided() -> None:
    """Begin, wait for what is being made, ask within what stands, pending, held off, refused: each is told."""
    one = pair(Side(second=True), seed="told")
    for number in (0, 1, 0):
        one.ask("R1", Connect(tunnel=f"Tunnel{number}", trigger="operator"))
    one.world.run(5)
    one.ask("R1", ClearChild(spi=one.children("R1")[0].inbound))
    one.world.run(2)
    one.ask("R1", Connect(tunnel="Tunnel0", trigger="operator"))
    one.ask("R1", Connect(tunnel="Tunnel9", trigger="operator"))
    decisions = [event.decision for event in one.events("R1", ConnectDecided)]
    assert decisions == ["begin", "wait", "pending", "ask", "refused"]
    silent = pair(seed="told")
    impair(silent.world, lambda mail: True, (), times=None)
    silent.ping("R1")
    silent.world.until(lambda: bool(silent.events("R1", IkeSaClosed)), 900)
    silent.ask("R1", Connect(tunnel="Tunnel0"))
    last = silent.events("R1", ConnectDecided)[-1]
    assert last.decision == "held" and isinstance(last.seconds, float) and last.seconds > 0
    assert silent.events("R1", IkeSaClosed)[0].cause is CloseReason.SILENCE


def test_what_changes_nothing_is_told() -> None:
    """Rekeys, clears and reports for SAs that are not here, and tasks that nobody wants any more."""
    one = pair(seed="told").up()
    before = len(one.events("R1", NothingDone))
    for intent in (Rekey(spi=1), Rekey(sa=99), ClearChild(spi=1)):
        one.ask("R1", intent)
    node, path = one.station("R1").node, one.one_ike("R1").path
    node.report(Expired(1, "in", True), one.world.now)
    node.report(PeerMoved(one.one_child("R1").inbound, path), one.world.now)
    one.world.settle(one.station("R1"))
    found = [event.what for event in one.events("R1", NothingDone)][before:]
    assert [what.split(" of ")[0] for what in found[:4]] == ["rekey", "rekey", "clear", "hard traffic limit"]
    assert found[4].startswith("ESP ")
    for _ in range(2):
        one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(5)
    assert [event.task for event in one.events("R1", TaskSkipped)] == ["create Child SA"]


def test_unprotected_errors_are_told_and_so_are_those_withheld() -> None:
    """A request for no IKE SA of ours: INVALID_IKE_SPI to a peer, nothing to anybody else."""
    one = pair(seed="told").up()
    octets = sealed(one, "R1", [])
    stranger = bytes([octets[0] ^ 1]) + octets[1:8] + bytes([octets[8] ^ 1]) + octets[9:]
    feed(one, "R2", stranger)
    feed(one, "R2", stranger, source=IPv4Address("203.0.113.9"))
    (told,) = one.events("R2", UnprotectedSent)
    assert (told.notify, told.exchange) == (NotifyType.INVALID_IKE_SPI, ExchangeType.INFORMATIONAL)
    assert one.events("R2", UnprotectedWithheld)[0].why == "no tunnel ends there"


def test_cookies_and_repetitions_are_told() -> None:
    """A returned cookie is checked; an IKE_SA_INIT request that comes ever again is answered ten times."""
    config = replace(configuration("R2", Side(responder_only=True)), cookie_challenge=0)
    one = built(configuration("R1", Side()), config)
    assert [event.valid for event in one.events("R2", CookieChecked)] == [True]
    two = pair(seed="told")
    mails = impair(two.world, lambda mail: True, (), times=None)
    two.ping("R1")
    two.world.run(1)
    for _ in range(13):
        feed(two, "R2", mails[0].octets)
    assert DropTrigger.REPEATED_TOO_OFTEN in {event.trigger for event in two.events("R2", MessageDropped)}
    two.world.run(60)
    assert two.events("R2", IkeSaClosed)[0].cause is CloseReason.NEVER_CAME


def test_paths_duplicates_traffic_and_waiting_are_told() -> None:
    """A peer that moved behind its NAT, two IKE SAs made at once, traffic each way, a tunnel that waits for it."""
    moved = [one.event for one in records("a NAT") if isinstance(one.event, PathChanged)]
    assert [(one.remote_before, one.remote, one.followed) for one in moved] == [
        ("192.0.2.1:20500", "192.0.2.1:24500", True)
    ]
    assert any(isinstance(one.event, DuplicateSettled) for one in records("a restart"))
    traffic = [one.event for one in records("a NAT") if isinstance(one.event, ChildTraffic)]
    assert {(bool(one.packets_in), bool(one.packets_out)) for one in traffic} >= {(True, True)}
    waits = [one.event for one in records("a whole life") if isinstance(one.event, InterfaceWaiting)]
    assert [one.why for one in waits] == ["tunnel mode gre ip: waits for traffic"] * 2


CAUSES: dict[CloseReason, Callable[[], Pair]] = {
    CloseReason.CONFIGURATION: lambda: attempt(Side(keyring_address="203.0.113.9"), Side()),
    CloseReason.NOT_AUTHENTICATED: lambda: attempt(Side(), Side(key="another")),
    CloseReason.NOT_AGREED: lambda: attempt(Side(childless="force"), Side(childless="never")),
    CloseReason.REAUTHENTICATED: lambda: _later(Side(reauthentication=120), 200),
    CloseReason.STOPPED: lambda: _stopped(),
    CloseReason.REDUNDANT: lambda: _crossed(),
    CloseReason.OUT_OF_STEP: lambda: _stuck(),
    CloseReason.PEER_RESTARTED: KINDS["a restart"],
    CloseReason.PEER_FORGOT: lambda: _forgotten(),
}


def _later(side: Side, seconds: float) -> Pair:
    one = pair(side, seed="told").up()
    one.world.run(seconds)
    return one


def _stopped() -> Pair:
    one = pair(seed="told").up()
    one.station("R1").node.stop(one.world.now, "a test")
    one.world.settle(one.station("R1"))
    one.world.run(2)
    return one


def _crossed() -> Pair:
    one = pair(seed="told").up()
    for name in ("R1", "R2"):
        one.ask(name, Rekey())
    one.world.run(80)
    return one


def _stuck() -> Pair:
    one = pair(seed="told", parameters=Parameters(retry_limit=1, retry_temporary=2.0)).up()
    busy = NotifyPayload(NotifyType.TEMPORARY_FAILURE)
    create = ExchangeType.CREATE_CHILD_SA
    one.core("R2").mutate = lambda kind, response, chain: [busy] if kind is create and response else chain
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(30)
    return one


def _forgotten() -> Pair:
    one = pair(seed="told").up()
    child = one.one_child("R1").inbound
    children.remove(one.core("R2"), one.one_ike("R2"), one.one_child("R2"), CloseReason.DEFECT)
    one.world.settle(one.station("R2"))
    one.ask("R1", Rekey(spi=child))
    one.world.run(5)
    return one


@pytest.mark.parametrize("cause", CAUSES, ids=[one.name for one in CAUSES])
def test_each_cause_ends_an_sa(cause: CloseReason) -> None:
    """What ends so says so: the event of its end carries the cause."""
    told = CAUSES[cause]().world.records
    assert cause in {one.event.cause for one in told if isinstance(one.event, IkeSaClosed | ChildSaClosed)}


def test_a_session_that_is_cleared_says_why_on_both_sides() -> None:
    """The end of a session carries the cause too."""
    one = pair(seed="told").up()
    one.ask("R1", Clear())
    one.world.run(2)
    (ours,), (theirs,) = one.events("R1", SessionDown), one.events("R2", SessionDown)
    assert (ours.cause, theirs.cause) == (CloseReason.CLEARED, CloseReason.PEER_DELETED)
