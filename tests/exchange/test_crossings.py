"""Both ends do something to the same SA at the same time: one SA survives, the RFC's (RFC 7296 sections 2.8, 2.25).

R1 initiated the first IKE SA. "Lowest" is the nonce whose first octet is 00 among FF: Ni is of who begins, Nr of who
answers. The SA made with it is redundant; who made that closes it, who made the other closes the old one.
"""

from collections.abc import Callable

import pytest
from tests.support.world import Pair, Side, headline, impair, pair, tag_of

from ikescope.engine import children
from ikescope.engine.commands import Clear, ClearChild, Expired, Rekey
from ikescope.engine.parameters import Parameters
from ikescope.events.life import (
    ChildSaClosed,
    ChildSaRekeyed,
    CloseReason,
    DeleteSent,
    IkeSaClosed,
    IkeSaCreated,
    IkeSaRekeyed,
    RetryScheduled,
    SessionDown,
    SessionUp,
)
from ikescope.events.message import RequestRefused
from ikescope.sim.world import Mail
from ikescope.wire.registry import ExchangeType, NotifyType

CREATE, INFO = ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL
BOTH = ("R1", "R2")
NONCE_OCTETS = 32

LOWEST = {
    "Ni of R1": (("R1", 0), "R2"),
    "Nr of R2, answering R1": (("R2", 1), "R2"),
    "Ni of R2": (("R2", 0), "R1"),
    "Nr of R1, answering R2": (("R1", 1), "R1"),
}
"""Whose nonce is the lowest (0: its first, in its request; 1: its second, in its answer) -> who made the survivor."""


def force_nonces(one: Pair, lowest: tuple[str, int]) -> None:
    """From now on every nonce begins with FF, but that of `lowest` with 00."""
    seen = dict.fromkeys(BOTH, 0)

    def force(name: str, plain: Callable[[int], bytes]) -> Callable[[int], bytes]:
        def random(octets: int) -> bytes:
            drawn = plain(octets)
            if octets != NONCE_OCTETS:
                return drawn
            number, seen[name] = seen[name], seen[name] + 1
            return (b"\x00" if lowest == (name, number) else b"\xff") + drawn[1:]

        return random

    for name in BOTH:
        one.core(name).random = force(name, one.core(name).random)


def rekey(one: Pair, name: str, what: str) -> None:
    """A router rekeys its IKE SA or its Child SA."""
    child = None if what == "ike" else one.one_child(name).inbound
    one.ask(name, Rekey(spi=child))


def refusals(one: Pair, name: str) -> list[int]:
    """The error notifies that a router answered with."""
    return [event.notify for event in one.events(name, RequestRefused)]


def settled(one: Pair, *, seconds: float = 20.0) -> Pair:
    """All has come to its end: one SA of each kind, the tunnel carries, nothing leaks, no old SA was waited for."""
    one.keep_pinging(every=0.25, seconds=2)
    one.world.run(seconds)
    one.agree()
    one.up("R1")
    one.up("R2")
    assert one.lost() == []
    for name in BOTH:
        assert one.core(name).timers.armed() <= 5 + len(one.core(name).buried)
        assert not one.one_ike(name).child_crossings
        assert one.one_ike(name).crossing is None
        closed = [event.reason for event in one.events(name, ChildSaClosed)]
        closed += [event.reason for event in one.events(name, IkeSaClosed)]
        assert "rekeyed; the peer never deleted it" not in closed
        assert len(one.events(name, SessionUp)) == 1
        assert one.events(name, SessionDown) == []
    return one


@pytest.mark.parametrize(("lowest", "winner"), LOWEST.values(), ids=LOWEST)
def test_ike_rekeys_cross(lowest: tuple[str, int], winner: str) -> None:
    """R1: CREATE_CHILD_SA{IKE} | R2: CREATE_CHILD_SA{IKE}; each answers; the lowest nonce's SA goes (2.8.1, 2.8.2)."""
    ##= rfc7296#section-2.8.2 type=test
    ##% The new IKE SA containing the lowest nonce SHOULD be deleted by the node that created it, and the other
    ##% surviving new IKE SA MUST inherit all the Child SAs.
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to rekey an IKE SA that it is currently rekeying, it SHOULD reply as usual,
    ##% and SHOULD prepare to close redundant SAs and move inherited Child SAs later based on the nonces (see
    ##% Section 2.8.2).
    one = pair().up()
    child = one.one_child("R1").inbound
    force_nonces(one, lowest)
    for name in BOTH:
        rekey(one, name, "ike")
    settled(one)
    assert one.one_child("R1").inbound == child
    for name in BOTH:
        assert one.one_ike(name).initiator == (name == winner)
        (event,) = one.events(name, IkeSaRekeyed)
        assert event.initiator == (name == winner)
        assert event.children == 1
        reasons = [closed.reason for closed in one.events(name, IkeSaClosed)]
        assert len(reasons) == 2
        assert [sent.kind for sent in one.events(name, DeleteSent)] == ["ike"]
        assert ("redundant: two rekeys crossed" in reasons) == (name != winner)


@pytest.mark.parametrize("pfs", [None, 19], ids=["", "PFS"])
@pytest.mark.parametrize(("lowest", "winner"), LOWEST.values(), ids=LOWEST)
def test_child_rekeys_cross(lowest: tuple[str, int], winner: str, pfs: int | None) -> None:
    """R1: CREATE_CHILD_SA{REKEY_SA} | R2: the same; each answers; the lowest nonce's Child SA goes (2.8.1)."""
    ##= rfc7296#section-2.8.1 type=test
    ##% If redundant SAs are created through such a collision, the SA created with the lowest of the four nonces
    ##% used in the two exchanges SHOULD be closed by the endpoint that created it.
    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to rekey a Child SA that it is currently rekeying, it SHOULD reply as usual,
    ##% and SHOULD prepare to close redundant SAs later based on the nonces (see Section 2.8.1).
    one = pair(Side(pfs=pfs)).up()
    force_nonces(one, lowest)
    for name in BOTH:
        rekey(one, name, "child")
    settled(one)
    for name in BOTH:
        assert one.one_child(name).initiator == (name == winner)
        (event,) = one.events(name, ChildSaRekeyed)
        assert event.initiator == (name == winner)
        assert len(one.events(name, DeleteSent)) == 1


ORDERS = {
    f"{what}, {lowest}, {slow} {late}s late": (what, *LOWEST[lowest], slow, late)
    for what in ("ike", "child")
    for lowest in LOWEST
    for slow in ("response of R2", "response of R1", "request of R1", "request of R2")
    for late in (0.03, 0.3, 2.5)
}


@pytest.mark.parametrize(("what", "lowest", "winner", "slow", "late"), ORDERS.values(), ids=ORDERS)
def test_rekeys_cross_and_a_message_is_late(
    what: str, lowest: tuple[str, int], winner: str, slow: str, late: float
) -> None:
    """R1: CREATE_CHILD_SA | R2: CREATE_CHILD_SA; one of the four messages comes late, or is repeated meanwhile.

    An end that hears of the old IKE SA's Delete before the answer to its own rekey never makes the redundant SA; the
    other end then drops its half after a minute.
    """
    ##= rfc7296#section-2.8.2 type=test
    ##% In this case, when the peer that did not notice the simultaneous rekey gets the request to rekey the IKE
    ##% SA that it has already successfully rekeyed, it SHOULD return TEMPORARY_FAILURE because it is an IKE SA
    ##% that it is currently trying to close (whether or not it has already sent the delete notification for the
    ##% SA).
    one = pair().up()
    kind, name = slow.split(" of ")
    impair(one.world, lambda mail: is_kind(mail, name, CREATE, response=kind == "response"), [late])
    force_nonces(one, lowest)
    for who in BOTH:
        rekey(one, who, what)
    settled(one, seconds=90)
    if kind == "response":
        assert one.one_ike("R1").initiator == (winner == "R1") or what == "child"


def is_kind(mail: Mail, name: str, exchange: int, *, response: bool) -> bool:
    """Whether a datagram is of a router, an exchange and a direction."""
    return headline(mail)[:3] == (name, exchange, response)


DELETES = {
    "IKE SA and IKE SA": (Clear(), Clear(), 0, 0),
    "Child SA and Child SA": (ClearChild(), ClearChild(), 1, 0),
    "IKE SA and Child SA": (Clear(), ClearChild(), 0, 0),
    "Child SA and IKE SA": (ClearChild(), Clear(), 0, 0),
    "IKE SA and rekey of the IKE SA": (Clear(), Rekey(), 0, 0),
    "rekey of the IKE SA and IKE SA": (Rekey(), Clear(), 0, 0),
    "Child SA and rekey of the IKE SA": (ClearChild(), Rekey(), 1, 0),
    "rekey of the IKE SA and Child SA": (Rekey(), ClearChild(), 1, 0),
}


@pytest.mark.parametrize(("first", "second", "ike", "children"), DELETES.values(), ids=DELETES)
def test_a_delete_crosses(
    first: Clear | ClearChild | Rekey, second: Clear | ClearChild | Rekey, ike: int, children: int
) -> None:
    """R1: D or CREATE_CHILD_SA | R2: D or CREATE_CHILD_SA: what was deleted is gone at both ends, once (2.25)."""
    ##= rfc7296#section-2.3 type=test
    ##% An IKE endpoint MUST be prepared to accept and process a request while it has a request outstanding in
    ##% order to avoid a deadlock in this situation.
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to close an IKE SA that it is currently rekeying, it SHOULD reply as usual,
    ##% and forget about its own rekeying request.
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to close an IKE SA that it is currently trying to close, it SHOULD reply as
    ##% usual, and forget about its own close request.
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to delete a Child SA when it is currently rekeying the IKE SA, it SHOULD
    ##% reply as usual, with a Delete payload.
    one = pair().up()
    one.ask("R1", first)
    one.ask("R2", second)
    one.world.run(20)
    if ike:
        one.agree(children=children)
    else:
        one.quiet()
        for name in BOTH:
            assert len(one.events(name, SessionDown)) == 1
    for name in BOTH:
        assert len(one.events(name, ChildSaClosed)) == 1


def test_deletes_of_one_child_sa_cross_and_are_answered_empty() -> None:
    """R1: D(ESP) | R2: D(ESP); both answers are without a Delete payload (RFC 7296 section 1.4.1)."""
    ##= rfc7296#section-1.4.1 type=test
    ##% If a node receives a delete request for SAs for which it has already issued a delete request, it MUST
    ##% delete the outgoing SAs while processing the request and the incoming SAs while processing the response.
    ##= rfc7296#section-1.4.1 type=test
    ##% In that case, the responses MUST NOT include Delete payloads for the deleted SAs, since that would result
    ##% in duplicate deletion and could in theory delete the wrong SA.
    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to close a Child SA that it is currently trying to close, it SHOULD reply
    ##% without a Delete payload (see Section 1.4.1).
    one = pair().up()
    for name in BOTH:
        one.ask(name, ClearChild())
    one.world.run(5)
    one.agree(children=0)
    for name in BOTH:
        assert [event.inner for event in one.sent(name, INFO, response=True)] == [()]


@pytest.mark.parametrize("name", BOTH)
def test_a_delete_crosses_the_rekey_of_the_same_child_sa(name: str) -> None:
    """A: D(ESP) | B: CREATE_CHILD_SA{REKEY_SA}; A: N(TEMPORARY_FAILURE), B: D(ESP) back: it is gone, no retry."""
    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to rekey a Child SA that it is currently trying to close, it SHOULD reply
    ##% with TEMPORARY_FAILURE.
    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to close a Child SA that it is currently rekeying, it SHOULD reply as usual,
    ##% with a Delete payload.
    one = pair().up()
    other = "R2" if name == "R1" else "R1"
    one.ask(name, ClearChild())
    rekey(one, other, "child")
    one.world.run(20)
    one.agree(children=0)
    assert refusals(one, name) == [NotifyType.TEMPORARY_FAILURE]
    assert one.events(other, RetryScheduled) == []


@pytest.mark.parametrize("name", BOTH)
def test_an_ike_rekey_crosses_a_child_rekey(name: str) -> None:
    """A: CREATE_CHILD_SA{IKE} | B: CREATE_CHILD_SA{REKEY_SA}: TEMPORARY_FAILURE both ways, one retry each (2.25)."""
    ##= rfc7296#section-2.25 type=test
    ##% A TEMPORARY_FAILURE notification SHOULD be sent when a peer receives a request that cannot be completed
    ##% due to a temporary condition such as a rekeying operation.
    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to rekey the IKE SA, and it is currently creating, rekeying, or closing a
    ##% Child SA of that IKE SA, it SHOULD reply with TEMPORARY_FAILURE.
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to create or rekey a Child SA when it is currently rekeying the IKE SA, it
    ##% SHOULD reply with TEMPORARY_FAILURE.
    one = pair().up()
    other = "R2" if name == "R1" else "R1"
    old = one.one_child("R1").inbound
    rekey(one, name, "ike")
    rekey(one, other, "child")
    settled(one)
    for who in BOTH:
        assert refusals(one, who) == [NotifyType.TEMPORARY_FAILURE]
        assert len(one.events(who, RetryScheduled)) == 1
        assert len(one.events(who, IkeSaRekeyed)) == len(one.events(who, ChildSaRekeyed)) == 1
    assert one.one_child("R1").inbound != old


@pytest.mark.parametrize("name", BOTH)
def test_an_ike_rekey_crosses_a_new_child_sa(name: str) -> None:
    """A: CREATE_CHILD_SA{IKE} | B: CREATE_CHILD_SA{new}: TEMPORARY_FAILURE both ways; both come true later."""
    one = pair(Side(second=True)).up()
    other = "R2" if name == "R1" else "R1"
    rekey(one, name, "ike")
    one.ping(other, third=1)
    one.world.run(30)
    one.agree(children=2)
    assert one.lost() == []
    for who in BOTH:
        assert refusals(one, who) == [NotifyType.TEMPORARY_FAILURE]
        assert len(one.events(who, IkeSaRekeyed)) == 1


MODES = {"gre": Side(), "ipsec": Side(mode="ipsec"), "forced NAT": Side(force_encap=True), "two": Side(second=True)}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("side", MODES.values(), ids=MODES)
def test_both_ends_begin_at_once(side: Side, seed: int) -> None:
    """R1: IKE_SA_INIT | R2: IKE_SA_INIT; both come up; by the lowest of the four nonces one is deleted by its maker."""
    one = pair(side, seed=seed)
    one.ping("R1")
    one.ping("R2")
    one.keep_pinging(every=0.5, seconds=10)
    one.world.run(3)
    one.agree()
    assert one.lost() == []
    for name in BOTH:
        assert len(one.events(name, IkeSaCreated)) == 2
        assert one.events(name, SessionDown) == []
    deleted = [name for name in BOTH if one.events(name, DeleteSent)]
    assert len(deleted) == 1
    assert one.one_ike(deleted[0]).initiator is False


@pytest.mark.parametrize("late", [0.5, 1.9, 2.5, 5.0, 29.0])
@pytest.mark.parametrize("name", BOTH)
def test_both_ends_begin_at_once_and_one_is_slow(name: str, late: float) -> None:
    """R1: IKE_SA_INIT | R2: IKE_SA_INIT, one of whose messages comes late: one IKE SA carries in the end."""
    one = pair(parameters=Parameters(auth_wait=30))
    impair(one.world, lambda mail: headline(mail)[:3] == (name, ExchangeType.IKE_AUTH, False), [late])
    one.ping("R1")
    one.ping("R2")
    one.world.run(60)
    one.agree()
    assert one.lost() == []


def test_the_survivor_holds_both_tunnels() -> None:
    """R1: IKE_SA_INIT for Tunnel0 | R2: IKE_SA_INIT for Tunnel1: no Child SA is equal to another, both IKE SAs stay."""
    one = pair(Side(second=True))
    one.ping("R1")
    one.ping("R2", third=1)
    one.world.run(10)
    one.sound()
    for name in BOTH:
        assert sorted(child.tunnel for child in one.children(name)) == ["Tunnel0", "Tunnel1"]
    one.ping("R1", third=1)
    one.ping("R2")
    one.world.run(1)
    assert one.lost() == []
    assert tag_of(one.station("R1").records[0]) == "router.started"


@pytest.mark.parametrize("name", BOTH)
def test_a_new_child_sa_is_deleted_before_its_response_came(name: str) -> None:
    """A: CREATE_CHILD_SA; B: its response, late; B: D(ESP) of the new one, answered empty: it never stands at A."""
    one = pair(Side(second=True)).up()
    other = "R2" if name == "R1" else "R1"
    impair(one.world, lambda mail: is_kind(mail, other, CREATE, response=True), [1.0])
    one.world.ping(name, "10.1.1.9" if name == "R1" else "10.2.1.9", "10.2.1.9" if name == "R1" else "10.1.1.9")
    one.world.run(0.1)
    (new,) = [child for child in one.children(other) if child.tunnel == "Tunnel1"]
    one.ask(other, ClearChild(spi=new.inbound))
    one.world.run(10)
    one.agree()
    one.up(name, third=1)


@pytest.mark.parametrize("name", BOTH)
def test_a_replacement_is_deleted_before_its_response_came(name: str) -> None:
    """A: CREATE_CHILD_SA{REKEY_SA}; B: its response, late; B: D(ESP) of the new one: A deletes the old one too."""
    one = pair().up()
    other = "R2" if name == "R1" else "R1"
    impair(one.world, lambda mail: is_kind(mail, other, CREATE, response=True), [1.0])
    rekey(one, name, "child")
    one.world.run(0.1)
    (new,) = [child for child in one.children(other) if child.replaces is not None]
    one.ask(other, ClearChild(spi=new.inbound))
    one.world.run(10)
    one.agree(children=0)
    one.up(name)


@pytest.mark.parametrize("name", BOTH)
def test_a_new_child_sa_is_rekeyed_before_its_response_came(name: str) -> None:
    """A: CREATE_CHILD_SA; B: its response, late; B: CREATE_CHILD_SA{REKEY_SA new}: TEMPORARY_FAILURE, then as usual."""
    one = pair().up()
    other = "R2" if name == "R1" else "R1"
    impair(one.world, lambda mail: is_kind(mail, other, CREATE, response=True), [1.0])
    rekey(one, name, "child")
    one.world.run(0.1)
    (new,) = [child for child in one.children(other) if child.replaces is not None]
    one.ask(other, Rekey(spi=new.inbound))
    one.world.run(20)
    assert refusals(one, name) == [NotifyType.TEMPORARY_FAILURE]
    one.agree()
    assert one.one_child(other).initiator
    one.up(name)


def test_the_winner_of_crossing_ike_rekeys_uses_its_ike_sa_at_once() -> None:
    """R1, R2: CREATE_CHILD_SA{IKE}; R2's answer and D(IKE) are late; R2: D(ESP) on its new IKE SA: R1 takes it."""
    one = pair().up()
    impair(one.world, lambda mail: is_kind(mail, "R2", CREATE, response=True), [1.0])
    impair(one.world, lambda mail: is_kind(mail, "R2", INFO, response=False), [1.5])
    force_nonces(one, ("R1", 0))
    for name in BOTH:
        rekey(one, name, "ike")
    one.world.run(0.025)
    one.ask("R2", ClearChild())
    one.world.run(0.1)
    assert one.children("R1") == []
    one.world.run(90)
    one.agree(children=0)
    one.up("R1")


@pytest.mark.parametrize("name", BOTH)
def test_a_lost_child_sa_is_made_anew(name: str) -> None:
    """A: CREATE_CHILD_SA{REKEY_SA}; B, which lost it: N(CHILD_SA_NOT_FOUND); A drops it and asks for a new one."""
    one = pair().up()
    other = "R2" if name == "R1" else "R1"
    core, sa, child = one.core(other), one.one_ike(other), one.one_child(other)
    children.remove(core, sa, child, CloseReason.DEFECT, "lost by a test")
    one.world.settle(one.station(other))
    rekey(one, name, "child")
    one.world.run(8)
    one.agree()
    assert refusals(one, other) == [NotifyType.CHILD_SA_NOT_FOUND]
    one.up(name)


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_an_esp_sa_that_reached_its_traffic_limit(hard: bool) -> None:
    """Plane: soft limit: CREATE_CHILD_SA{REKEY_SA}; hard limit: D(ESP), and traffic gets a new Child SA."""
    one = pair().up()
    child, station = one.one_child("R1"), one.station("R1")
    station.node.report(Expired(child.outbound, "out", hard), one.world.now)
    one.world.settle(station)
    one.world.run(8)
    one.agree(children=0 if hard else 1)
    one.up("R1")
    assert one.one_child("R1").inbound != child.inbound


def test_a_rekey_that_comes_too_late_gives_way() -> None:
    """R1, R2: CREATE_CHILD_SA{IKE}, R1's late: N(TEMPORARY_FAILURE), before R2's D(IKE): R1 goes on with R2's SA."""
    one = pair().up()
    impair(one.world, lambda mail: is_kind(mail, "R1", CREATE, response=False), [0.035])
    impair(one.world, lambda mail: is_kind(mail, "R2", INFO, response=False), [1.0])
    for name in BOTH:
        rekey(one, name, "ike")
    settled(one)
    assert refusals(one, "R2") == [NotifyType.TEMPORARY_FAILURE]
    assert one.events("R1", RetryScheduled) == []
    for name in BOTH:
        assert [event.initiator for event in one.events(name, IkeSaRekeyed)] == [name == "R2"]


def test_a_child_rekey_that_comes_too_late_gives_way() -> None:
    """R1, R2: CREATE_CHILD_SA{REKEY_SA}, R1's late: N(TEMPORARY_FAILURE), before R2's D(ESP): R1 takes R2's."""
    one = pair().up()
    impair(one.world, lambda mail: is_kind(mail, "R1", CREATE, response=False), [0.035])
    impair(one.world, lambda mail: is_kind(mail, "R2", INFO, response=False), [1.0])
    for name in BOTH:
        rekey(one, name, "child")
    settled(one)
    assert refusals(one, "R2") == [NotifyType.TEMPORARY_FAILURE]
    assert one.events("R1", RetryScheduled) == []
    for name in BOTH:
        assert [event.initiator for event in one.events(name, ChildSaRekeyed)] == [name == "R2"]
