"""A whole router without I/O: tunnels that come up by themselves, line protocol, the data behind the shows."""

from dataclasses import replace

from msgspec import structs
from tests.support.world import ADDRESSES, BOTH, Pair, Side, configuration, pair

from ikescope.engine.commands import Clear, Rekey
from ikescope.engine.parameters import Parameters
from ikescope.events.life import ChildSaClosed, DeleteSent, IkeSaClosed
from ikescope.events.router import InterfaceDown, InterfaceUp, RouterStarted, RouterStopped, TrafficMatched
from ikescope.node.driver import Driver, NullPlane
from ikescope.node.router import BRING_UP_AGAIN, Node
from ikescope.sim.world import SeededRandom
from ikescope.wire.registry import ExchangeType

VTI = Side(mode="ipsec", ike="gcm", esp="gcm")


def configure(one: Pair, name: str, side: Side, *, shutdown: bool = False) -> None:
    """The operator of a router changes its configuration."""
    station, config = one.station(name), configuration(name, side)
    if shutdown:
        tunnels = {key: structs.replace(tunnel, shutdown=True) for key, tunnel in config.tunnels.items()}
        config = structs.replace(config, tunnels=tunnels)
    station.node.configure(config, one.world.now)
    one.world.settle(station)


def test_a_router_says_first_that_it_started() -> None:
    """The first record names the tunnels and the data plane."""
    first = pair(Side(second=True)).station("R1").records[0].event
    assert isinstance(first, RouterStarted)
    assert first.tunnels == ("Tunnel0", "Tunnel1")


def test_a_gre_tunnel_waits_for_traffic() -> None:
    """A GRE tunnel, or one with an access-list, sends nothing until a packet comes."""
    one = pair(Side(second=True))
    one.world.run(600)
    assert one.world.mail == []
    one.ping("R1")
    (matched,) = one.events("R1", TrafficMatched)
    assert (matched.tunnel, matched.packet_source, matched.packet_destination) == ("Tunnel0", "10.1.0.9", "10.2.0.9")


def test_an_ipsec_tunnel_comes_up_by_itself() -> None:
    """`tunnel mode ipsec ipv4` without an access-list begins as soon as the router does."""
    one = pair(VTI, replace(VTI, responder_only=True))
    one.world.run(1)
    one.agree()
    assert not one.sent("R2", ExchangeType.IKE_SA_INIT, response=False)
    assert [event.interface for event in one.events("R1", InterfaceUp)] == ["Tunnel0"]


def test_an_ipsec_tunnel_tries_again_until_the_peer_is_there() -> None:
    """A peer that is away is asked again after each failure, and when it comes the tunnel does."""
    one = pair(VTI, parameters=Parameters(sends=3))
    one.world.remove("R2")
    one.world.run(200)
    assert len(one.events("R1", IkeSaClosed)) >= 2
    assert len(one.ike("R1")) <= 1
    one.world.add(configuration("R2", replace(VTI, responder_only=True)))
    one.world.run(60)
    one.agree()


def test_an_ipsec_tunnel_comes_back_after_a_delete() -> None:
    """When its Child SA goes the line protocol goes down, and some seconds later the tunnel is raised again."""
    one = pair(VTI, replace(VTI, responder_only=True))
    one.world.run(1)
    one.ask("R2", Clear())
    one.world.run(1)
    assert [event.interface for event in one.events("R1", InterfaceDown)] == ["Tunnel0"]
    assert not one.world.status("R1").tunnels[0].up
    one.world.run(BRING_UP_AGAIN + 1)
    one.agree()
    assert one.world.status("R1").tunnels[0].up


def test_a_rekey_does_not_touch_the_line_protocol() -> None:
    """Neither an IKE SA's nor a Child SA's rekey takes the tunnel down."""
    one = pair().up()
    one.ask("R1", Rekey())
    one.world.run(1)
    one.ask("R2", Rekey(spi=one.one_child("R2").inbound))
    one.world.run(10)
    for name in BOTH:
        assert len(one.events(name, InterfaceUp)) == 1
        assert one.events(name, InterfaceDown) == []


def test_a_tunnel_that_is_shut_down_loses_its_child_sas() -> None:
    """`shutdown` under a tunnel deletes its Child SAs at both ends; `no shutdown` raises an ipsec tunnel at once."""
    one = pair(VTI, replace(VTI, responder_only=True))
    one.world.run(1)
    configure(one, "R1", VTI, shutdown=True)
    one.world.run(30)
    one.agree(children=0)
    assert [event.reason for event in one.events("R1", ChildSaClosed)] == ["the tunnel was shut down"]
    assert one.world.status("R1").tunnels[0].admin_down
    configure(one, "R1", VTI)
    one.world.run(1)
    one.agree()


def test_a_changed_key_counts_from_the_next_authentication_on() -> None:
    """The running SA stays; the next IKE_AUTH uses the new key, and fails while only one end has it."""
    one = pair().up()
    configure(one, "R1", Side(key="the-next-key"))
    one.ask("R1", Rekey())
    one.world.run(1)
    one.agree()
    one.ask("R1", Clear())
    one.world.run(10)
    one.ping("R1")
    one.world.run(5)
    one.quiet()
    configure(one, "R2", Side(key="the-next-key"))
    one.world.run(60)
    one.up()
    one.agree()


def test_a_router_that_stops_tells_its_peers() -> None:
    """`stop` deletes every IKE SA; the last event but those of the deletes says that the router stopped."""
    one = pair(VTI).up()
    one.world.run(5)
    station = one.station("R1")
    station.node.stop(one.world.now, "SIGTERM")
    one.world.settle(station)
    one.world.run(1)
    assert one.ike("R1") == one.ike("R2") == []
    assert [event.reason for event in one.events("R1", RouterStopped)] == ["SIGTERM"]
    assert [event.kind for event in one.events("R1", DeleteSent)][-1] == "ike"
    assert one.events("R2", IkeSaClosed)[-1].reason == "the peer deleted it"


def test_the_status_mirrors_what_stands() -> None:
    """Both ends' status agree: SPIs crosswise, lifetimes counting down, windows, counters of the plane."""
    one = pair(Side(pfs=19, dpd="30 5 periodic"), Side()).up()
    one.world.run(10)
    ours, theirs = one.world.status("R1"), one.world.status("R2")
    (sa,), (peer) = ours.ike, theirs.ike[0]
    assert (sa.spi_local, sa.spi_remote) == (peer.spi_remote, peer.spi_local)
    assert (sa.state, sa.initiator, peer.initiator) == ("READY", True, False)
    assert (sa.local, sa.remote, sa.local_port) == (ADDRESSES["R1"], ADDRESSES["R2"], 500)
    assert (sa.encryption, sa.key_length, sa.integrity, sa.prf, sa.group) == (12, 256, 14, 7, 19)
    assert sa.active + 0.02 >= peer.active > 10
    assert sa.rekey_in is not None and 0.80 * 86400 - 13 < sa.rekey_in < 0.85 * 86400
    assert (sa.local_window, sa.remote_window) == (5, 5)
    assert (sa.local_request_id, sa.remote_request_id) == (peer.remote_request_id, peer.local_request_id)
    (child,), (other) = ours.children, theirs.children[0]
    assert (child.inbound, child.outbound) == (other.outbound, other.inbound)
    assert child.remaining == 3600 - child.active
    assert (child.sent.packets, child.received.packets) == (1, 1)
    assert child.sent.octets == other.received.octets
    assert child.local == other.remote
    assert sa.children == (child.inbound,)
    assert sa.dpd is not None
    assert peer.dpd is None


def test_a_status_at_any_moment_holds_together() -> None:
    """Half-open, negotiating, being deleted: the shows always have something to print."""
    one = pair()
    one.ping("R1")
    words = set()
    for step in range(80):
        if step == 40:
            one.ask("R1", Clear())
        for name in BOTH:
            words |= {sa.description for sa in one.world.status(name).ike}
        one.world.run(0.002)
    assert words == {
        "Initiator waiting for INIT response",
        "Responder waiting for AUTH message",
        "Initiator waiting for AUTH response",
        "Negotiation done",
        "Deleting",
    }


def test_without_a_data_plane_every_sa_is_taken() -> None:
    """The null plane lets a control-plane run go through: Installed is reported, nothing is counted."""
    sent: list[bytes] = []
    node = Node(configuration("R1", VTI), random=SeededRandom("null"), now=0.0, wall=0.0)
    driver = Driver(node, NullPlane(), lambda command: sent.append(command.octets), lambda record: None)
    node.start(0.0)
    driver.drain(0.0)
    assert len(sent) == 1
    assert node.deadline() == 2.0
    assert NullPlane().counters(1, "in") is None
