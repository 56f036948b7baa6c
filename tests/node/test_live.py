"""Another configuration under a router in memory: which SAs it keeps, which it ends, and who hears of it."""

from msgspec import structs
from tests.support.world import BOTH, Pair, Side, configuration, pair

from ikescope.config.model import RouterConfig
from ikescope.engine.states import ChildState
from ikescope.events.life import ChildSaClosed, DeleteReceived, IkeSaClosed
from ikescope.events.router import ConfigurationChanged, InterfaceWaiting
from ikescope.sim.world import Ping

LANS = ("10.{us}.0.0 0.0.0.255 10.{them}.0.0 0.0.0.255", "10.{us}.5.0 0.0.0.255 10.{them}.5.0 0.0.0.255")
FIRST, BOTH_LANS, TURNED = (Side(mode="acl", selectors=each) for each in (LANS[:1], LANS, LANS[::-1]))
TWO = Side(second=True)


def without(config: RouterConfig, *names: str) -> RouterConfig:
    """A router without some of its tunnels."""
    kept = {name: tunnel for name, tunnel in config.tunnels.items() if name not in names}
    return structs.replace(config, tunnels=kept)


def changed(config: RouterConfig, **fields: object) -> RouterConfig:
    """A router whose Tunnel0 is changed."""
    tunnel = structs.replace(config.tunnels["Tunnel0"], **fields)
    return structs.replace(config, tunnels={**config.tunnels, "Tunnel0": tunnel})


def pinged(one: Pair, third: int = 0) -> Ping:
    """One echo, and time for its reply."""
    ping = one.ping("R1", third=third)
    one.world.run(1.0)
    return ping


def test_an_inserted_selector_renumbers_what_stands_and_loses_nothing() -> None:
    """An access-list gets a line before the one that a Child SA is for: the SA stays, its packets pass, the new line's
    packet makes an SA of its own.
    """
    one = pair(FIRST, FIRST).up()
    before = one.one_child("R1")
    for name in BOTH:
        one.world.configure(name, configuration(name, TURNED))
    assert before.index == 1 and before.state is ChildState.INSTALLED
    assert pinged(one).received is not None and len(one.children("R1")) == 1
    assert pinged(one, third=5).received is not None
    one.agree(children=2)


def test_a_selector_that_goes_takes_its_child_sa_alone() -> None:
    """One of two permit lines is removed at one end: its Child SA is deleted at both, the other carries on."""
    one = pair(BOTH_LANS, BOTH_LANS).up()
    assert pinged(one, third=5).received is not None
    one.agree(children=2)
    one.world.configure("R1", configuration("R1", FIRST), ("no 20",))
    one.world.run(2)
    one.agree(children=1)
    (gone,) = one.events("R1", ChildSaClosed)
    assert gone.reason == "no selector of the tunnel covers it any more"
    assert [event.lines for event in one.events("R1", ConfigurationChanged)] == [("no 20",)]
    assert pinged(one).received is not None


def test_a_removed_tunnel_ends_its_sas_by_delete_and_no_other() -> None:
    """One of two tunnels to a peer goes: D(ESP) for its Child SA; the last one goes: D(IKE), and nothing is left."""
    one = pair(TWO, TWO).up().up(third=1)
    one.agree(children=2)
    config = one.station("R1").config
    one.world.configure("R1", without(config, "Tunnel1"))
    one.world.run(2)
    one.agree(children=1)
    assert [event.kind for event in one.events("R2", DeleteReceived)] == ["child"]
    assert pinged(one).received is not None
    one.world.configure("R1", without(config, "Tunnel0", "Tunnel1"))
    one.world.run(2)
    assert not one.ike("R1") and not one.ike("R2")
    assert "no tunnel leads to the peer any more" in one.events("R1", IkeSaClosed)[-1].reason


def test_a_half_typed_tunnel_waits_and_says_for_what() -> None:
    """A tunnel without protection, then with it: the line that completes it brings an ipsec tunnel up."""
    vti = Side(mode="ipsec")
    one = pair(vti, Side(mode="ipsec", responder_only=True))
    one.world.run(1)
    whole = one.station("R1").config
    one.world.configure("R1", changed(whole, ipsec_profile=None))
    one.world.run(30)
    assert not one.ike("R1")
    assert one.events("R1", InterfaceWaiting)[-1].why.startswith("it has no tunnel protection")
    one.world.configure("R1", whole)
    one.world.run(1)
    one.agree()


def test_a_changed_mode_is_another_tunnel() -> None:
    """GRE becomes IPsec at both ends: the old Child SA goes, the tunnel comes up in the new mode."""
    one = pair().up()
    for name in BOTH:
        one.world.configure(name, configuration(name, Side(mode="ipsec", responder_only=name == "R2")))
    one.world.run(15)
    one.agree()
    assert not one.one_child("R1").transport
    assert pinged(one).received is not None
