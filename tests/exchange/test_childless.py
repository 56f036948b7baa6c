"""IKE_AUTH without a Child SA (RFC 6023): force, prefer, allow, never, both roles, and what each side refuses."""

from __future__ import annotations

import pytest
from tests.support.world import BOTH, Pair, Side, configuration, headline, impair, pair

from ikescope.engine.commands import Clear
from ikescope.events.life import ChildSaCreated, ChildStarted, IkeSaClosed, IkeSaCreated, SessionUp
from ikescope.events.message import MessageReceived, RequestRefused, ResponseRefused
from ikescope.events.negotiation import ChildlessAuth, ExchangeFailed
from ikescope.ios.running import running_config
from ikescope.timeline import Timeline
from ikescope.wire.registry import ExchangeType, NotifyType

INIT, AUTH, CREATE = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
ANNOUNCED = "NOTIFY(CHILDLESS_IKEV2_SUPPORTED)"


def names(one: Pair, name: str, exchange: ExchangeType, *, response: bool = False) -> tuple[str, ...]:
    """The payloads of the first such message that a router sent."""
    event = one.sent(name, exchange, response=response)[0]
    return event.inner if isinstance(event.inner, tuple) else event.payloads


def sides(first: str, second: str, *, pfs: int | None = None) -> Pair:
    """R1 and R2 with their `ikescope childless`."""
    return pair(Side(childless=first, pfs=pfs), Side(childless=second, pfs=pfs))


@pytest.mark.parametrize("by", BOTH)
@pytest.mark.parametrize("pfs", [None, 19], ids=["without PFS", "with PFS"])
@pytest.mark.parametrize(("asks", "takes"), [("force", "force"), ("force", "allow"), ("prefer", "allow")])
def test_the_first_child_sa_follows_in_an_exchange_of_its_own(asks: str, takes: str, pfs: int | None, by: str) -> None:
    """I: IKE_SA_INIT (R announces), IKE_AUTH without SA and TS; CREATE_CHILD_SA, with KE where PFS is configured."""
    one = sides(asks, takes, pfs=pfs) if by == "R1" else sides(takes, asks, pfs=pfs)
    other = "R2" if by == "R1" else "R1"
    one.up(by)
    one.agree()
    assert ANNOUNCED in names(one, other, INIT, response=True)
    assert ANNOUNCED not in names(one, by, INIT)
    for name, response in ((by, False), (other, True)):
        inner = names(one, name, AUTH, response=response)
        assert {"SA", "TSi", "TSr"}.isdisjoint(inner)
        assert "AUTH" in inner
    assert ("KE" in names(one, by, CREATE)) is (pfs is not None)
    assert one.one_child(by).suite.group == pfs
    assert [event.by for event in one.events(by, ChildlessAuth)] == ["local"]
    assert [event.by for event in one.events(other, ChildlessAuth)] == ["peer"]
    for name in BOTH:
        tags = one.tags(name)
        assert tags.index(IkeSaCreated.tag) < tags.index(ChildSaCreated.tag)
        assert one.events(name, ChildSaCreated)[0].exchange == CREATE
    timeline = Timeline().extend(one.station(by).records)
    assert [each.purpose for each in timeline.exchanges] == ["key exchange", "authentication", "new Child SA"]
    one.ask(by, Clear())
    one.world.run(2)
    one.quiet(timers=2)


@pytest.mark.parametrize(("asks", "takes"), [("prefer", "never"), ("allow", "allow"), ("never", "allow")])
def test_where_one_end_does_not_want_it_ike_auth_makes_the_child_sa(asks: str, takes: str) -> None:
    """I: IKE_SA_INIT, IKE_AUTH with SA and TS: `allow` never begins it, and `prefer` only where the peer takes it."""
    one = sides(asks, takes).up()
    one.agree()
    assert "SA" in names(one, "R1", AUTH)
    assert not one.events("R1", ChildlessAuth)
    assert (ANNOUNCED in names(one, "R2", INIT, response=True)) is (takes == "allow")
    assert one.sent("R1", CREATE) == []


@pytest.mark.parametrize("first", BOTH)
def test_an_ike_sa_alone_waits_for_children_on_request(first: str) -> None:
    """I: IKE_SA_INIT, IKE_AUTH without SA and TS; the first CREATE_CHILD_SA is lost with its tunnel's patience: the IKE
    SA stands alone, until traffic of either end makes the Child SA.
    """
    one = sides("force", "allow")
    lost = impair(one.world, lambda mail: headline(mail)[1] == CREATE, (), times=1)
    refused = one.ping("R1")
    one.world.until(lambda: bool(lost), 5)
    assert [len(one.ike(name)) for name in BOTH] == [1, 1]
    assert not any(one.children(name) for name in BOTH)
    assert all(one.events(name, SessionUp) for name in BOTH)
    if first == "R2":
        ping = one.ping("R2")
        assert one.world.until(lambda: ping.received is not None, 5), one.story()
        assert one.events("R2", ChildStarted)
    assert one.world.until(lambda: refused.received is not None, 10), one.story()


def test_force_gives_up_where_the_peer_does_not_announce_it() -> None:
    """I: IKE_SA_INIT; the response lacks CHILDLESS_IKEV2_SUPPORTED: no IKE_AUTH is sent and nothing is left."""
    one = sides("force", "never")
    one.ping("R1")
    one.world.run(1.5)
    assert one.sent("R1", AUTH) == []
    assert one.ike("R1") == []
    (closed,) = one.events("R1", IkeSaClosed)
    assert "CHILDLESS_IKEV2_SUPPORTED" in closed.reason
    assert one.events("R1", ExchangeFailed)[0].exchange == INIT
    one.sound()


def test_force_refuses_a_child_sa_in_ike_auth() -> None:
    """I: IKE_SA_INIT, IKE_AUTH with SA and TS. R: INVALID_SYNTAX, and neither keeps the IKE SA."""
    one = sides("allow", "force")
    one.ping("R1")
    one.world.run(1.5)
    (refused,) = one.events("R2", RequestRefused)
    assert refused.notify == NotifyType.INVALID_SYNTAX
    assert "childless force" in refused.why
    assert one.events("R1", ResponseRefused)[0].notify == NotifyType.INVALID_SYNTAX
    assert one.ike("R1") == one.ike("R2") == []
    assert not one.events("R1", SessionUp)
    one.sound()


def test_never_refuses_what_it_did_not_announce() -> None:
    """I: IKE_AUTH without SA and TS though R did not announce it. R: INVALID_SYNTAX, no IKE SA (RFC 6023 section 3)."""
    one = sides("force", "allow")
    world = one.world
    change = configuration("R2", Side())

    def forbid() -> None:
        one.station("R2").node.configure(change, world.now)
        world.settle(one.station("R2"))

    one.ping("R1")
    world.until(lambda: bool(one.sent("R2", INIT)), 1)
    forbid()
    world.run(1.5)
    assert [event.notify for event in one.events("R2", RequestRefused)] == [NotifyType.INVALID_SYNTAX]
    assert one.ike("R2") == []
    assert any(event.exchange == AUTH for event in one.events("R2", MessageReceived))
    one.sound()


@pytest.mark.parametrize("mode", ["never", "allow", "prefer", "force"])
def test_the_line_is_read_and_printed(mode: str) -> None:
    """`ikescope childless` stands in the profile and in running-config, where it is not the default."""
    config = configuration("R1", Side(childless=mode))
    assert config.profiles["PR"].childless == mode
    assert (f" ikescope childless {mode}" in running_config(config)) is (mode != "never")
