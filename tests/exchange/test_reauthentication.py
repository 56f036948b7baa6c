"""Reauthentication, make before break (RFC 7296 2.8.3): a new IKE SA and its Child SAs first, then the old one ends.

I --> IKE_SA_INIT, IKE_AUTH   from scratch, with the first Child SA; no INITIAL_CONTACT
I --> CREATE_CHILD_SA         for each further Child SA of the old IKE SA
I --> INFORMATIONAL{D(IKE)}   under the old IKE SA
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.world import BOTH, Pair, Side, configuration, headline, impair, pair

from ikescope.engine.commands import Clear, Rekey
from ikescope.engine.tasks.informational import delete_ike
from ikescope.events.life import (
    CloseReason,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    Reauthenticated,
    ReauthenticationFailed,
    ReauthenticationStarted,
    SessionDown,
)
from ikescope.events.negotiation import InitialContactReceived
from ikescope.ios.running import running_config
from ikescope.wire.registry import ExchangeType

INIT, AUTH, CREATE = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
SOON = 20
BEGUN, THEIRS = "reauthenticated", "reauthenticated; the peer deleted the old IKE SA"
LANS = ("10.{us}.0.0 0.0.0.255 10.{them}.0.0 0.0.0.255", "10.{us}.5.0 0.0.0.255 10.{them}.5.0 0.0.0.255")


def reasons(one: Pair, name: str) -> list[str]:
    """Why the IKE SAs of a router ended."""
    return [event.reason for event in one.events(name, IkeSaClosed)]


def until_closed(one: Pair, limit: float = 30.0, *, third: int = 0) -> None:
    """Hosts ping all the time until the first IKE SA has ended at both ends, and some time longer."""
    end = one.world.now + limit
    while one.world.now < end and not all(reasons(one, name) for name in BOTH):
        one.keep_pinging(every=0.25, seconds=0.25, third=third)
    one.keep_pinging(every=0.25, seconds=6, third=third)


@pytest.mark.parametrize("by", BOTH)
@pytest.mark.parametrize(
    "side",
    [Side(), Side(mode="ipsec"), Side(childless="prefer"), Side(force_encap=True)],
    ids=["GRE", "IPsec", "childless", "port 4500"],
)
def test_a_new_ike_sa_takes_over_and_no_packet_is_lost(by: str, side: Side) -> None:
    """I: IKE_SA_INIT, IKE_AUTH (childless: CREATE_CHILD_SA); traffic moves; I: D(old IKE SA)."""
    anew, waits = replace(side, reauthentication=SOON), replace(side, responder_only=True)
    one = pair(*(anew if name == by else waits for name in BOTH)).up(by)
    before = one.one_ike("R1")
    until_closed(one)
    one.agree()
    assert one.lost() == []
    other = BOTH[1 - BOTH.index(by)]
    assert {by: reasons(one, by), other: reasons(one, other)} == {by: [BEGUN], other: [THEIRS]}
    assert one.one_ike(by).initiator
    assert one.one_ike("R1").spi_i != before.spi_i
    assert [event.children for event in one.events(by, ReauthenticationStarted)] == [1]
    (done,) = one.events(by, Reauthenticated)
    assert (done.old_spi_i, done.children) == (before.spi_i.hex(), 1)
    for name in BOTH:
        assert len(one.events(name, IkeSaCreated)) == 2
        assert not one.events(name, SessionDown)
        assert not one.events(name, InitialContactReceived)[1:]


def test_every_child_sa_is_made_anew() -> None:
    """I: IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA x 2 (two selectors, two tunnels), then D(old IKE SA)."""
    side = Side(mode="acl", selectors=LANS, second=True)
    one = pair(replace(side, reauthentication=SOON), side)
    for third in (0, 5, 1):
        one.up(third=third)
    one.agree(children=3)
    while not all(reasons(one, name) for name in BOTH):
        for third in (0, 5, 1):
            one.keep_pinging(every=0.1, seconds=0.1, third=third)
    for third in (0, 5, 1):
        one.keep_pinging(every=0.1, seconds=0.5, third=third)
    one.world.run(6)
    one.agree(children=3)
    assert one.lost() == []
    (done,) = one.events("R1", Reauthenticated)
    assert done.children == 3
    assert len(one.sent("R1", CREATE)) == 4


@pytest.mark.parametrize(("delay", "begun"), [(0.0, 2), (0.005, 2), (0.012, 1), (0.03, 1)])
def test_both_ends_begin_at_once(delay: float, begun: int) -> None:
    """R1 | R2: IKE_SA_INIT, IKE_AUTH crossing; the old one goes, and the new one with the lowest nonce (2.8.1).

    Who has seen the peer begin does not begin.
    """
    one = pair().up()
    for name in BOTH:
        config = configuration(name, Side(reauthentication=12))
        one.station(name).node.configure(config, one.world.now)
        sa = one.one_ike(name)
        timer = sa.timers["reauth"]
        callback, when = timer.callback, one.world.now + 5 + (delay if name == "R2" else 0.0)
        assert callback is not None
        timer.cancel()
        sa.timers["reauth"] = one.core(name).timers.arm(when, callback)
    one.keep_pinging(every=0.1, seconds=8)
    one.agree()
    assert one.lost() == []
    assert sum(len(one.events(name, ReauthenticationStarted)) for name in BOTH) == begun
    assert not any(one.events(name, kind) for name in BOTH for kind in (ReauthenticationFailed, SessionDown))
    assert all(len(reasons(one, name)) == begun for name in BOTH)


@pytest.mark.parametrize("what", [INIT, AUTH])
def test_what_fails_leaves_the_old_ike_sa_until_its_end(what: ExchangeType) -> None:
    """I: IKE_SA_INIT or IKE_AUTH ..x for good: the old IKE SA carries on until its lifetime ends, not rekeyed."""
    one = pair(Side(ike_lifetime=400, reauthentication=SOON), Side()).up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R1", what, False), (), times=None)
    one.world.run(275)
    failed = one.events("R1", ReauthenticationFailed)[0]
    assert failed.why == "the peer does not answer"
    assert 45 <= failed.again_in <= 75
    assert failed.ends_in == pytest.approx(400 - 17 - 254, abs=4)
    one.keep_pinging(every=0.5, seconds=2)
    assert one.lost() == []
    one.world.run(400 - 275)
    assert not one.events("R1", IkeSaRekeyed)
    assert "its lifetime ended" in reasons(one, "R1")
    one.sound()


def test_another_attempt_follows_a_failed_one() -> None:
    """I: IKE_SA_INIT ..x seven times; about a minute later it goes through: nothing was lost meanwhile."""
    side = Side(ike_lifetime=4000)
    one = pair(replace(side, reauthentication=SOON), side).up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R1", INIT, False), (), times=7)
    one.world.run(275)
    assert one.events("R1", ReauthenticationFailed)
    until_closed(one, 80)
    one.agree()
    assert one.lost() == []
    assert one.events("R1", Reauthenticated)
    assert not one.one_ike("R1").overdue


def test_a_peer_that_refuses_a_child_sa_keeps_the_old_ike_sa() -> None:
    """I: IKE_SA_INIT, IKE_AUTH. R: AUTH, TS_UNACCEPTABLE: the new IKE SA goes, the old one keeps what it carries."""
    one = pair(Side(mode="acl", selectors=LANS, reauthentication=SOON), Side(mode="acl", selectors=LANS)).up()
    one.core("R2").config = configuration("R2", Side(mode="acl", selectors=LANS[1:]))  # which alone would end the old
    one.world.run(20)
    (failed,) = one.events("R1", ReauthenticationFailed)
    assert "TS_UNACCEPTABLE" in failed.why
    one.agree()
    one.keep_pinging(every=0.5, seconds=2)
    assert one.lost() == []


@pytest.mark.parametrize("what", ["ike", "child"])
@pytest.mark.parametrize("by", BOTH)
@pytest.mark.parametrize("delay", [0.0, 0.015, 0.025, 0.035, 0.045])
def test_a_rekey_crosses_the_reauthentication(what: str, by: str, delay: float) -> None:
    """R1: IKE_SA_INIT, IKE_AUTH, D(IKE) | CREATE_CHILD_SA of either end about the old one: one stands, no loss."""
    one = pair(Side(reauthentication=SOON), Side()).up()
    assert one.world.until(lambda: bool(one.events("R1", ReauthenticationStarted)), 30)
    one.world.run(delay)
    held = one.ike(by)[0]
    one.ask(by, Rekey(sa=held.id) if what == "ike" else Rekey(spi=next(iter(held.children))))
    one.keep_pinging(every=0.1, seconds=12)
    one.agree()
    assert one.lost() == []


@pytest.mark.parametrize("by", BOTH)
def test_the_old_ike_sa_ends_before_the_new_one_stands(by: str) -> None:
    """R1: IKE_SA_INIT ..delayed | D(IKE) of either end: the new IKE SA stands alone, and both forget the old one."""
    one = pair(Side(reauthentication=SOON), Side()).up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R1", AUTH, False), (1.0,))
    assert one.world.until(lambda: bool(one.events("R1", ReauthenticationStarted)), 30)
    one.world.run(0.1)
    delete_ike(one.core(by), one.ike(by)[0], CloseReason.CLEARED)
    one.world.settle(one.station(by))
    one.world.run(4)
    one.up("R1").up("R2")
    one.agree()
    assert not one.events("R1", ReauthenticationFailed)


def test_the_line_in_the_configuration() -> None:
    """`ikescope reauthentication SECONDS` is our own line of a profile, and `no` takes it back."""
    config = configuration("R1", Side(reauthentication=120))
    assert next(iter(config.profiles.values())).reauthentication == 120
    assert " ikescope reauthentication 120" in running_config(config)


def test_an_ike_sa_whose_delete_waits_is_not_authenticated_anew() -> None:
    """I: CREATE_CHILD_SA without an answer, a Delete that waits behind it, and then reauthentication falls due."""
    one = pair(Side(reauthentication=SOON), Side(responder_only=True)).up("R1")
    impair(one.world, lambda mail: headline(mail)[1] == CREATE, (), times=None)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(1)
    one.ask("R1", Clear())
    one.world.run(300)
    assert not one.events("R1", ReauthenticationStarted)
    assert not one.core("R1").sas
