"""A NAT between the routers: port 4500, keepalives, and the path that follows the NAT's mapping (RFC 7296 2.23)."""

from ipaddress import IPv4Address

from msgspec import structs
from tests.support.world import ADDRESSES, Pair, Side, configuration, feed, sealed

from ikescope.engine.commands import Destination, Rekey
from ikescope.events.life import KeepaliveStarted
from ikescope.events.message import DropTrigger, MessageDropped
from ikescope.events.negotiation import NatChecked
from ikescope.sim.world import World

VTI = Side(mode="ipsec", ike="gcm", esp="gcm")
PRIVATE, PUBLIC = IPv4Address("172.16.0.1"), ADDRESSES["R1"]


class Nat:
    """R1 stands at PRIVATE, the world sees PUBLIC with ports that begin at `base`."""

    def __init__(self, world: World) -> None:
        self.base = 20_000
        world.translations.append(self.translate)

    def translate(self, kind: str, path: Destination) -> Destination | None:
        """Another path for a datagram; what comes in on a mapping that no longer stands is lost."""
        if path.local == PRIVATE:
            return Destination(PUBLIC, self.base + path.local_port, path.remote, path.remote_port)
        if path.remote == PUBLIC and path.remote_port - self.base in (500, 4500):
            return Destination(path.local, path.local_port, PRIVATE, path.remote_port - self.base)
        return None


def behind_nat() -> tuple[Pair, Nat]:
    """R1 behind the NAT, R2 outside waiting for it; the tunnel is up."""
    world = World("nat", latency=0.01)
    nat = Nat(world)
    world.add(configuration("R2", outside()))
    config = configuration("R1", VTI)
    tunnels = {name: structs.replace(tunnel, source_address=PRIVATE) for name, tunnel in config.tunnels.items()}
    world.add(structs.replace(config, tunnels=tunnels))
    world.run(2)
    return Pair(world).up(), nat


def outside() -> Side:
    """The side outside begins nothing."""
    return Side(mode="ipsec", ike="gcm", esp="gcm", responder_only=True)


def test_a_nat_is_seen_by_both_ends_and_moves_to_port_4500() -> None:
    """I: IKE_SA_INIT 500; R: NAT_DETECTION_* differ; I: IKE_AUTH from 4500; ESP in UDP."""
    ##= rfc7296#section-2.23 type=test
    ##% The recipient of either the NAT_DETECTION_SOURCE_IP or NAT_DETECTION_DESTINATION_IP notification MAY
    ##% compare the supplied value to a SHA-1 hash of the SPIs, source or recipient IP address, and port
    ##% (respectively), and if they don't match, it SHOULD enable NAT traversal.
    ##= rfc7296#section-2.23 type=test
    ##% However, if a NAT is detected, both devices MUST use UDP encapsulation for ESP.
    one, nat = behind_nat()
    one.agree()
    (ours,), (theirs,) = one.events("R1", NatChecked), one.events("R2", NatChecked)
    assert ours.local_behind
    assert theirs.remote_behind
    assert ours.floated
    assert theirs.floated
    assert one.one_ike("R1").path == Destination(PRIVATE, 4500, ADDRESSES["R2"], 4500)
    assert one.one_ike("R2").path == Destination(ADDRESSES["R2"], 4500, PUBLIC, nat.base + 4500)
    assert {mail.kind for mail in one.world.mail} == {"ike", "esp-udp"}


def test_who_stands_behind_a_nat_keeps_its_mapping() -> None:
    """I: one octet FF every 20 s, also after a rekey of the IKE SA; R takes no notice (RFC 3948 section 2.3)."""
    ##= rfc7296#section-2.23 type=test
    ##% that system SHOULD start sending keepalive packets as defined in [UDPENCAPS]
    one, _ = behind_nat()
    assert [event.seconds for event in one.events("R1", KeepaliveStarted)] == [20]
    one.ask("R1", Rekey())
    one.world.run(10)
    before = len(one.world.mail)
    one.world.run(100)
    beats = [mail for mail in one.world.mail[before:] if mail.octets == b"\xff"]
    assert len(beats) == len(one.world.mail) - before == 5
    assert {event.trigger for event in one.events("R2", MessageDropped)} == {DropTrigger.KEEPALIVE}
    one.agree()


def test_the_path_follows_a_new_mapping_by_ike() -> None:
    """I: INFORMATIONAL from another port of the NAT; R answers there, and its ESP goes there too."""
    ##= rfc7296#section-2.23 type=test
    ##% SHOULD send all packets (including retransmission packets) to the IP address and port in the validated
    ##% packet
    one, nat = behind_nat()
    nat.base = 30_000
    one.ask("R1", Rekey())
    one.world.run(8)
    one.agree()
    assert one.one_ike("R2").path.remote_port == 34_500
    one.up("R2")
    assert one.lost() == []


def test_the_path_follows_a_new_mapping_by_esp() -> None:
    """I: ESP from another port of the NAT; verified, so R sends there from now on."""
    ##= rfc7296#section-2.23 type=test
    ##% SHOULD store this as the new address and port combination for the SA
    one, nat = behind_nat()
    nat.base = 30_000
    lost = one.world.ping("R2", "10.2.0.9", "10.1.0.9")
    one.world.run(1)
    assert lost.received is None
    one.up("R1")
    one.up("R2")
    assert one.one_ike("R2").path.remote_port == 34_500
    one.agree()


def test_who_stands_behind_a_nat_does_not_follow() -> None:
    """R: a true request from an unknown port: I, behind the NAT, answers it and keeps to its path (2.23)."""
    ##= rfc7296#section-2.23 type=test
    ##% A host behind a NAT SHOULD NOT do this type of dynamic address update
    one, _ = behind_nat()
    path = one.one_ike("R1").path
    feed(one, "R1", sealed(one, "R2", []), port=7777)
    assert one.one_ike("R1").path == path
    one.sound()


def test_a_replayed_request_does_not_move_the_path() -> None:
    """Attacker: an old request from its own port: R repeats its response, and the path stays (2.23)."""
    one, nat = behind_nat()
    request = sealed(one, "R1", [])
    one.one_ike("R1").out.take()
    path = Destination(ADDRESSES["R2"], 4500, PUBLIC, nat.base + 4500)
    station = one.station("R2")
    for port in (nat.base + 4500, 666):
        station.node.receive(request, structs.replace(path, remote_port=port), one.world.now)
        one.world.settle(station)
    assert one.one_ike("R2").path == path
    one.agree()
