"""Sessions of the test world that the timeline's tests fold: one of each kind that there is something to say about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

from msgspec import structs
from tests.support.world import ADDRESSES, BOTH, Pair, Side, configuration, impair, pair

from ikescope.engine.commands import Clear, Connect, Destination, Probe, Rekey
from ikescope.events import Record
from ikescope.sim.world import World

VTI = Side(mode="ipsec", ike="gcm", esp="gcm")
PRIVATE = IPv4Address("172.16.0.1")


def life() -> Pair:
    """Up, both kinds of rekey, a probe, both ends' last words."""
    one = pair(seed="timeline life").up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(5)
    one.ask("R2", Rekey())
    one.world.run(5)
    one.ask("R1", Probe())
    one.world.run(1)
    one.ask("R1", Clear())
    one.world.run(40)
    return one


def crossings() -> Pair:
    """Both ends rekey the same SAs at once."""
    one = pair(seed="timeline crossing").up()
    for name in BOTH:
        one.ask(name, Rekey(spi=one.one_child(name).inbound))
    one.world.run(20)
    for name in BOTH:
        one.ask(name, Rekey())
    one.world.run(80)
    return one


def refused() -> Pair:
    """The keys differ."""
    one = pair(Side(), Side(key="another-key"), seed="timeline refused")
    one.ping("R1")
    one.world.run(20)
    return one


def no_selectors() -> Pair:
    """The selectors do not meet."""
    ours, theirs = Side(mode="acl"), Side(mode="acl", selectors=("10.{us}.7.0 0.0.0.255 10.{them}.8.0 0.0.0.255",))
    one = pair(ours, theirs, seed="timeline selectors")
    one.ping("R1")
    one.world.run(20)
    return one


def silence() -> Pair:
    """Nothing reaches the peer."""
    one = pair(seed="timeline silence")
    impair(one.world, lambda mail: True, (), times=None)
    one.ping("R1")
    one.world.run(600)
    return one


def retransmissions() -> Pair:
    """The first of every message is lost."""
    one = pair(seed="timeline lost")
    seen: set[bytes] = set()

    def first(octets: bytes) -> bool:
        new = octets not in seen
        seen.add(octets)
        return new

    impair(one.world, lambda mail: mail.kind == "ike" and first(mail.octets), (), times=None)
    one.ask("R1", Connect(tunnel="Tunnel0"))
    one.world.run(60)
    return one


def fragments() -> Pair:
    """IKE_AUTH goes in fragments."""
    return pair(Side(fragmentation="fragmentation mtu 256"), seed="timeline fragments").up()


def restart() -> Pair:
    """R1 forgets everything and begins anew."""
    one = pair(VTI, seed="timeline restart").up()
    one.ask("R1", Clear(fast=True))
    one.world.run(60)
    return one


def nat() -> Pair:
    """R1 stands behind a NAT."""
    world = World("timeline nat", latency=0.01)
    post = world._post

    def translate(kind: str, octets: bytes, path: Destination) -> None:
        if path.local == PRIVATE:
            post(kind, octets, Destination(ADDRESSES["R1"], 20_000 + path.local_port, path.remote, path.remote_port))
        elif path.remote == ADDRESSES["R1"] and path.remote_port - 20_000 in (500, 4500):
            post(kind, octets, Destination(path.local, path.local_port, PRIVATE, path.remote_port - 20_000))

    world._post = translate  # type: ignore[method-assign]
    world.add(configuration("R2", replace(VTI, responder_only=True)))
    config = configuration("R1", VTI)
    tunnels = {name: structs.replace(tunnel, source_address=PRIVATE) for name, tunnel in config.tunnels.items()}
    world.add(structs.replace(config, tunnels=tunnels))
    world.run(2)
    return Pair(world).up()


KINDS: dict[str, Callable[[], Pair]] = {
    "a whole life": life,
    "crossing rekeys": crossings,
    "another key": refused,
    "selectors that do not meet": no_selectors,
    "silence": silence,
    "retransmissions": retransmissions,
    "fragments": fragments,
    "a restart": restart,
    "a NAT": nat,
}
_made: dict[str, tuple[Record, ...]] = {}


def records(kind: str) -> tuple[Record, ...]:
    """The records of a session, both routers in the order of what happened; made once."""
    if kind not in _made:
        _made[kind] = tuple(KINDS[kind]().world.records)
    return _made[kind]
