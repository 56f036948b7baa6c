"""GRE in transport mode through NATs, and paths that move while an exchange is on its way (RFC 7296 2.23, 2.23.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

import pytest
from msgspec import structs
from tests.support.world import ADDRESSES, Pair, Side, configuration, headline, impair

from ikescope.engine.commands import Clear, Destination, Probe, Rekey
from ikescope.engine.sa import IkeSa
from ikescope.events import SelectorFact
from ikescope.events.life import ChildSaCreated, KeepaliveStarted
from ikescope.events.message import DropTrigger, MessageDropped
from ikescope.events.negotiation import NatChecked, SelectorsChosen
from ikescope.policy.selectors import substitute
from ikescope.sim.nat import Nat
from ikescope.sim.world import World
from ikescope.wire.registry import ExchangeType

R1, R2 = ADDRESSES["R1"], ADDRESSES["R2"]
INSIDE = {"R1": IPv4Address("10.99.1.1"), "R2": IPv4Address("10.99.2.2")}
GRE = 47


@dataclass
class Scene:
    """A pair of routers, some of them behind NATs that hold their public addresses."""

    pair: Pair
    nats: dict[str, Nat] = field(default_factory=dict)

    def sa(self, name: str) -> IkeSa:
        """The one IKE SA of a router."""
        return self.pair.one_ike(name)


def scene(*behind: str, side: Side | None = None, seed: str = "nat") -> Scene:
    """R1 and R2 with GRE between their public addresses, those of `behind` with a private one of their own."""
    world = World(seed, latency=0.01)
    made = Scene(Pair(world))
    for name in ("R2", "R1"):
        config = configuration(name, side or Side(ike="gcm", esp="gcm"))
        if name in behind:
            public, private = ADDRESSES[name], INSIDE[name]
            made.nats[name] = Nat(world, private, public, static=(500, 4500) if name == "R2" else ())
            tunnels = {key: structs.replace(one, source_address=private) for key, one in config.tunnels.items()}
            config = structs.replace(config, tunnels=tunnels)
        world.add(config)
    return made


SCENES: dict[str, tuple[str, ...]] = {"client": ("R1",), "server": ("R2",), "both": ("R1", "R2")}


def host(address: object) -> tuple[SelectorFact, ...]:
    """The GRE selector of one address."""
    return (SelectorFact(str(address), str(address), GRE),)


@pytest.mark.parametrize("who", SCENES)
def test_gre_in_transport_mode_passes_nats(who: str) -> None:
    """I: TSi=IP1 TSr=IPN2; R: TSi=IPN1 TSr=IP2; both install what they see themselves (2.23.1)."""
    ##= rfc7296#section-2.23.1 type=test
    ##% Use the resulting Traffic Selectors when
    ##% creating SAD entries, and when sending Traffic Selectors back to
    ##% the client.
    behind = SCENES[who]
    one = scene(*behind)
    one.pair.up("R1")
    one.pair.up("R2")
    for name, other in (("R1", R2), ("R2", R1)):
        (created,) = one.pair.events(name, ChildSaCreated)
        local = INSIDE[name] if name in behind else ADDRESSES[name]
        assert (created.local, created.remote) == (host(local), host(other))
        assert created.transport
        assert created.udp
        (checked,) = one.pair.events(name, NatChecked)
        assert checked.local_behind == (name in behind)
        assert checked.remote_behind == (bool(set(behind) - {name}))
        assert bool(one.pair.events(name, KeepaliveStarted)) == (name in behind)
    one.pair.agree()
    assert one.pair.lost() == []


@pytest.mark.parametrize("who", SCENES)
@pytest.mark.parametrize("by", ["R1", "R2"])
def test_either_end_rekeys_through_nats(who: str, by: str) -> None:
    """Either: CREATE_CHILD_SA with the selectors as that end sees them, then the IKE SA; traffic goes on (2.23.1)."""
    one = scene(*SCENES[who], side=Side(ike="gcm", esp="gcm", pfs=19))
    one.pair.up("R1")
    one.pair.ask(by, Rekey(spi=one.pair.one_child(by).inbound))
    one.pair.keep_pinging(every=0.2, seconds=3)
    one.pair.ask(by, Rekey())
    one.pair.keep_pinging(every=0.2, seconds=3)
    other = "R2" if by == "R1" else "R1"
    one.pair.ask(other, Rekey(spi=one.pair.one_child(other).inbound))
    one.pair.world.run(15)
    one.pair.up("R1")
    one.pair.up("R2")
    one.pair.agree()
    assert len(one.pair.events("R1", ChildSaCreated)) == 3
    assert one.pair.lost() == []
    assert all(child.transport for child in one.pair.children("R1"))


def test_the_selectors_agreed_are_told_as_seen_here() -> None:
    """What a router tells of the selectors is what its own packets have."""
    one = scene("R1")
    one.pair.up()
    (chosen,) = one.pair.events("R1", SelectorsChosen)
    assert chosen.local == host(INSIDE["R1"])
    (chosen,) = one.pair.events("R2", SelectorsChosen)
    assert chosen.remote == host(R1)
    assert chosen.proposed_remote == host(INSIDE["R1"])


def first(exchange: ExchangeType, who: str, response: bool) -> Callable[[object], bool]:
    """A matcher of one message for `impair`."""
    return lambda mail: headline(mail)[:3] == (who, exchange, response)  # type: ignore[arg-type]


def test_retransmissions_in_flight_float_with_the_port() -> None:
    """I: IKE_SA_INIT (500) twice; R answers both; I: IKE_AUTH (4500), lost, again (4500): the late answer harms not."""
    one = scene("R1")
    impair(one.pair.world, lambda mail: headline(mail)[1:3] == (34, True), [5.0])
    impair(one.pair.world, lambda mail: headline(mail)[1:3] == (35, False), [])
    one.pair.up(limit=60)
    one.pair.world.run(20)
    sent = [mail.path.local_port for mail in one.pair.world.mail if headline(mail)[1:3] == (35, False)]
    assert sent == [one.nats["R1"].port(4500)] * 2
    assert {event.trigger for event in one.pair.events("R1", MessageDropped)} <= {DropTrigger.UNEXPECTED_RESPONSE}
    one.pair.agree()


@pytest.mark.parametrize("exchange", [34, 35])
def test_a_nat_that_reboots_during_the_handshake(exchange: int) -> None:
    """I: request, its mapping is gone before the response: I: again, from a new port; R answers there."""
    one = scene("R1")
    nat = one.nats["R1"]

    def reboot(mail: object) -> bool:
        if headline(mail)[1:3] == (exchange, True):  # type: ignore[arg-type]
            nat.rebind()
            return True
        return False

    impair(one.pair.world, reboot, [])
    one.pair.up(limit=60)
    one.pair.agree()
    assert one.sa("R2").path == Destination(R2, 4500, R1, nat.port(4500))


@pytest.mark.parametrize("action", [Rekey(), Probe()])
def test_a_nat_that_reboots_during_an_exchange(action: Rekey | Probe) -> None:
    """I: CREATE_CHILD_SA or INFORMATIONAL; the answer meets no mapping; I: again, from a new port; R follows (2.23)."""
    ##= rfc7296#section-2.23 type=test
    ##% SHOULD send all
    ##% packets (including retransmission packets) to the IP address and
    ##% port in the validated packet
    one = scene("R1")
    one.pair.up()
    nat = one.nats["R1"]

    def reboot(mail: object) -> bool:
        if headline(mail)[2]:  # type: ignore[arg-type]
            nat.rebind()
            return True
        return False

    hit = impair(one.pair.world, reboot, [])
    one.pair.ask("R1", action)
    one.pair.world.run(20)
    assert hit
    one.pair.up("R1")
    one.pair.up("R2")
    assert one.sa("R2").path.remote_port == nat.port(4500)
    one.pair.agree()


def test_a_request_of_the_outer_end_follows_its_peer() -> None:
    """R: a request to a mapping that is gone, again and again; the keepalive of I makes a new one; I: a request; R
    sends its own there from then on (2.23).
    """
    one = scene("R1")
    one.pair.up()
    one.nats["R1"].rebind()
    one.pair.ask("R2", Probe())
    one.pair.world.run(3)
    assert one.sa("R2").out.in_flight
    one.pair.ask("R1", Probe())
    one.pair.world.run(15)
    assert not one.sa("R2").out.in_flight
    one.pair.agree()


def test_a_nat_that_gets_another_address() -> None:
    """I: from another public address: R follows it, rekeys with it, and its tunnel stays the one configured (2.23)."""
    one = scene("R1")
    one.pair.up()
    moved = IPv4Address("198.51.100.77")
    one.nats["R1"].rebind(public=moved)
    one.pair.up("R1")
    assert one.sa("R2").path.remote == moved
    one.pair.up("R2")
    for by in ("R1", "R2"):
        one.pair.ask(by, Rekey(spi=one.pair.one_child(by).inbound))
        one.pair.world.run(15)
        one.pair.ask(by, Rekey())
        one.pair.world.run(15)
        one.pair.up("R2")
    one.pair.agree()
    assert one.sa("R2").peer == R1
    one.pair.ask("R1", Clear())
    one.pair.world.run(5)
    one.pair.quiet(timers=4)


def test_who_is_behind_a_nat_itself_follows_nobody() -> None:
    """Both behind NATs: I from another port: R answers the request there and keeps to its path (2.23)."""
    ##= rfc7296#section-2.23 type=test
    ##% A host behind a NAT SHOULD NOT
    ##% do this type of dynamic address update
    one = scene("R1", "R2")
    one.pair.up()
    path = one.sa("R2").path
    one.nats["R1"].rebind()
    one.pair.ask("R1", Probe())
    one.pair.world.run(5)
    assert one.sa("R2").path == path
    one.pair.sound()


def test_a_server_behind_a_nat_rekeys_both() -> None:
    """R behind a NAT with static ports: its own keepalives keep the mapping, either end begins exchanges."""
    one = scene("R2")
    one.pair.up("R1")
    one.pair.world.run(100)
    for by in ("R2", "R1"):
        one.pair.ask(by, Rekey())
        one.pair.world.run(10)
    one.pair.up("R2")
    one.pair.agree()


def test_without_a_transport_entry_the_selectors_are_as_they_came() -> None:
    """I: TSi=IP1 TSr=IP2 USE_TRANSPORT_MODE; R has a tunnel mode entry for IP1: the same selectors, tunnel mode."""
    ##= rfc7296#section-2.23.1 type=test
    ##% If no SPD entry was found, or (if found) the SPD entry does not
    ##% allow transport mode, undo the Traffic Selector substitutions.
    one = scene("R1")
    one.pair.world.remove("R2")
    entry = "192.0.2.0 0.0.0.255 10.99.1.0 0.0.0.255"
    one.pair.world.add(configuration("R2", Side(ike="gcm", esp="gcm", mode="acl", selectors=(entry,))))
    one.pair.ping("R1")
    one.pair.world.run(5)
    for name, local, remote in (("R1", INSIDE["R1"], R2), ("R2", R2, INSIDE["R1"])):
        (created,) = one.pair.events(name, ChildSaCreated)
        assert (created.local, created.remote, created.transport) == (host(local), host(remote), False)


def test_only_selectors_of_one_address_are_substituted() -> None:
    """Transport mode has exactly one address on each side; other selectors stay as they are, ports and protocol too."""
    ##= rfc7296#section-2.23.1 type=test
    ##% For
    ##% transport mode, it MUST use exactly one IP address in the TSi and TSr
    ##% payloads.
    one = SelectorFact("10.0.0.1", "10.0.0.1", 17, 53, 53)
    assert substitute((one, structs.replace(one, protocol=6)), R1) == (
        SelectorFact("192.0.2.1", "192.0.2.1", 17, 53, 53),
        SelectorFact("192.0.2.1", "192.0.2.1", 6, 53, 53),
    )
    wide = structs.replace(one, end="10.0.0.2")
    assert substitute((wide,), R1) == (wide,)
    assert substitute((one, structs.replace(one, start="10.0.0.2", end="10.0.0.2")), R1)[0] == one
    assert substitute((one,), IPv6Address("2001:db8::1")) == (one,)
    assert substitute((), R1) == ()
