"""What was replaced stays until its initiator deletes it, however long the response takes to come through."""

import pytest
from tests.support.world import BOTH, Pair, Side, headline, impair, pair

from ikescope.engine.commands import Rekey
from ikescope.engine.parameters import Parameters
from ikescope.engine.states import ChildState
from ikescope.events.life import ChildSaClosed, CloseReason, IkeSaClosed
from ikescope.events.message import RetransmissionsExhausted
from ikescope.wire.registry import ExchangeType

CREATE, INFO = ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL


def rekey(one: Pair, by: str, what: str) -> None:
    """A router rekeys its Child SA or its IKE SA."""
    one.ask(by, Rekey(spi=one.one_child(by).inbound if what == "child" else None))


@pytest.mark.parametrize("lost", [3, 5, 6])
@pytest.mark.parametrize("what", ["ike", "child"])
@pytest.mark.parametrize("by", BOTH)
def test_a_response_that_is_long_in_coming_costs_no_packet(by: str, what: str, lost: int) -> None:
    """I: CREATE_CHILD_SA; R: ..x the response 3, 5, 6 times (126 s); then it comes, and I: D(old)."""
    other = BOTH[1 - BOTH.index(by)]
    one = pair().up()
    impair(one.world, lambda mail: headline(mail)[:3] == (other, CREATE, True), (), times=lost)
    rekey(one, by, what)
    one.keep_pinging(every=2.0, seconds=140)
    one.agree()
    assert one.lost() == []


@pytest.mark.parametrize("what", ["ike", "child"])
def test_a_delete_that_is_long_in_coming_too(what: str) -> None:
    """I: CREATE_CHILD_SA; R: ..x six times; I: D(old) ..x six times: 252 s, and no packet is lost."""
    one = pair().up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R2", CREATE, True), (), times=6)
    impair(one.world, lambda mail: headline(mail)[:3] == ("R1", INFO, False), (), times=6)
    rekey(one, "R1", what)
    one.keep_pinging(every=2.0, seconds=265)
    one.agree()
    assert one.lost() == []


@pytest.mark.parametrize("what", ["ike", "child"])
def test_a_response_that_never_comes_costs_traffic_seconds(what: str) -> None:
    """I: CREATE_CHILD_SA; R: ..x seven times; I: begins anew after 254 s, and until then all is carried."""
    one = pair().up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R2", CREATE, True), (), times=7)
    rekey(one, "R1", what)
    one.keep_pinging(every=2.0, seconds=252)
    assert one.lost() == []
    one.world.run(4)
    assert one.events("R1", RetransmissionsExhausted)
    one.up("R1").up("R2")
    one.agree()


@pytest.mark.parametrize("what", ["ike", "child"])
def test_a_peer_that_never_deletes_the_old_one_does_not_keep_it_for_ever(what: str) -> None:
    """I: CREATE_CHILD_SA, R answers; I: no Delete: R drops the old one after twice 254 s, and says so."""
    one = pair(Side(child_lifetime=86400)).up()
    rekey(one, "R1", what)
    assert one.world.until(lambda: len(one.children("R2")) + len(one.ike("R2")) == 3, 5)
    impair(one.world, lambda mail: headline(mail)[1] == INFO, (), times=None)
    patience = Parameters().orphan
    assert patience == pytest.approx(2 * 254 + 5)
    for name in BOTH:
        # Whoever asks in vain would close everything: here it is as if it had never asked.
        for sa in one.ike(name):
            sa.out.in_flight.clear()
    one.world.run(patience + 1)
    ike, child = one.events("R2", IkeSaClosed), one.events("R2", ChildSaClosed)
    assert [event.cause for event in ike] + [event.cause for event in child] == [CloseReason.ORPHANED]
    assert len(ike) == (what == "ike")


def test_a_lifetime_that_ends_during_the_rekey_is_told() -> None:
    """I: CREATE_CHILD_SA; R: ..x three times; I: the old one ends: D(old) follows, R sends by the new one."""
    one = pair(Side(child_lifetime=45), Side()).up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R2", CREATE, True), (), times=3)
    one.world.run(70)
    causes = [event.cause for event in one.events("R1", ChildSaClosed)]
    assert causes == [CloseReason.LIFETIME]
    assert len(one.events("R2", ChildSaClosed)) == 1
    one.keep_pinging(every=0.5, seconds=4)
    assert one.lost() == []
    one.agree()


def test_the_peers_use_of_the_new_one_moves_our_traffic() -> None:
    """I: CREATE_CHILD_SA, D(old) ..x for two minutes; I: sends by the new one: R answers by the new one too."""
    one = pair().up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R1", INFO, False), (), times=6)
    rekey(one, "R1", "child")
    one.keep_pinging(every=1.0, seconds=5)
    (new,) = [child for child in one.children("R2") if child.state is ChildState.INSTALLED]
    assert new.outbound_active
    assert len(one.children("R2")) == 2
    assert one.lost() == []


def test_what_was_replaced_is_forgotten() -> None:
    """However often an IKE SA is rekeyed, of those before it only the last is still held in memory, keys and all."""
    one = pair().up()
    for _ in range(6):
        rekey(one, "R1", "ike")
        one.world.run(10)
    one.agree()
    before, chain = one.one_ike("R1").replaces, 0
    while before is not None:
        before, chain = before.replaces, chain + 1
    assert chain == 1
