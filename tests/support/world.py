"""Pairs of routers in a world of memory: their configurations, what can be done to them, what must hold of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import TypeVar

from ikescope.config.model import RouterConfig
from ikescope.engine.commands import Destination, Installed, InstallSa, Intent, KeysReady
from ikescope.engine.context import Core
from ikescope.engine.parameters import Parameters
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import IKE_TRANSITIONS, IkeState
from ikescope.events import Event, Record
from ikescope.events.life import StateChanged, TaskFailed
from ikescope.events.message import MessageSent
from ikescope.events.router import PlaneFailed
from ikescope.ios.configuration import load
from ikescope.sim.world import Impairment, Mail, Ping, Station, World
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE, HEADER_OCTETS
from ikescope.wire.message import encode_chain
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType

E = TypeVar("E", bound=Event)
ADDRESSES = {"R1": IPv4Address("192.0.2.1"), "R2": IPv4Address("192.0.2.2")}
BOTH = ("R1", "R2")
IKE_SUITES = {
    "cbc": ("aes-cbc-256", "integrity sha512", 19),
    "gcm": ("aes-gcm-128", "prf sha256", 31),
    "modp": ("aes-cbc-256", "integrity sha256", 14),
    "chacha": ("chacha20-poly1305", "prf sha384", 20),
}
"""Name -> the words of a `crypto ikev2 proposal` and the group."""
ESP_SUITES = {
    "cbc": "esp-aes 256 esp-sha512-hmac",
    "gcm": "esp-gcm",
    "sha256": "esp-aes 256 esp-sha256-hmac",
    "chacha": "esp-chacha20-poly1305",
}


@dataclass(frozen=True)
class Side:
    """One router's configuration, as far as tests vary it."""

    ike: str = "cbc"
    esp: str = "cbc"
    groups: tuple[int, ...] = ()
    pfs: int | None = None
    mode: str = "gre"
    key: str = "a-key-of-these-tests"
    identity: str = ""
    match: str = "any"
    ike_lifetime: int = 86400
    child_lifetime: int = 3600
    force_encap: bool = False
    dpd: str = ""
    keyring_address: str = ""
    selectors: tuple[str, ...] = ("10.{us}.0.0 0.0.0.255 10.{them}.0.0 0.0.0.255",)
    second: bool = False
    responder_only: bool = False
    fragmentation: str = ""
    childless: str = ""
    reauthentication: int | None = None
    refused_child: str = ""
    per_host: bool = False
    resources: int | None = None
    version: str = ""
    ipsec: tuple[str, ...] = ()
    """More lines of the IPsec profile."""


def configuration(name: str, side: Side) -> RouterConfig:
    """The configuration of R1 or R2, through the very text that an operator would write."""
    return load("\n".join(text(name, side)), name=f"{name}.cfg", lab_timers=True)


def text(name: str, side: Side) -> list[str]:
    """The lines that an operator would write for R1 or R2."""
    us, them = ("1", "2") if name == "R1" else ("2", "1")
    encryption, integrity, group = IKE_SUITES[side.ike]
    peer = f"192.0.2.{them}"
    return [
        f"hostname {name}",
        *([f"version {side.version}"] if side.version else []),
        *([f"crypto ikev2 {side.fragmentation}"] if side.fragmentation else []),
        "crypto ikev2 proposal P",
        f" encryption {encryption}",
        f" {integrity}",
        f" group {' '.join(str(one) for one in side.groups or (group,))}",
        "crypto ikev2 policy PO",
        " proposal P",
        "crypto ikev2 keyring K",
        " peer THEM",
        f"  address {side.keyring_address or peer}",
        f"  pre-shared-key {side.key}",
        "crypto ikev2 profile PR",
        f" match identity remote {side.match}",
        *([f" identity local {side.identity}"] if side.identity else []),
        " authentication remote pre-share",
        " authentication local pre-share",
        " keyring local K",
        f" lifetime {side.ike_lifetime}",
        *([f" dpd {side.dpd}"] if side.dpd else []),
        *([" nat force-encap"] if side.force_encap else []),
        *([f" ikescope childless {side.childless}"] if side.childless else []),
        *([f" ikescope reauthentication {side.reauthentication}"] if side.reauthentication else []),
        *([f" ikescope refused-child {side.refused_child}"] if side.refused_child else []),
        f"crypto ipsec transform-set TS {ESP_SUITES[side.esp]}",
        f" mode {'transport' if side.mode == 'gre' else 'tunnel'}",
        "crypto ipsec profile IP",
        " set transform-set TS",
        " set ikev2-profile PR",
        f" set security-association lifetime seconds {side.child_lifetime}",
        *([f" set pfs group{side.pfs}"] if side.pfs else []),
        *([" responder-only"] if side.responder_only else []),
        *([" set security-association level per-host"] if side.per_host else []),
        *([f" ikescope per-resource-sas {side.resources}"] if side.resources else []),
        *(f" {line}" for line in side.ipsec),
        *_tunnel(side, 0, us, them),
        *(_tunnel(replace(side, mode="second"), 1, us, them) if side.second else []),
        "interface GigabitEthernet1",
        f" ip address 192.0.2.{us} 255.255.255.0",
    ]


def _tunnel(side: Side, number: int, us: str, them: str) -> list[str]:
    selectors = side.selectors if side.mode == "acl" else ("10.{us}.1.0 0.0.0.255 10.{them}.1.0 0.0.0.255",)
    acl = side.mode in ("acl", "second")
    lines = [
        f"interface Tunnel{number}",
        f" ip address 10.0.{number}.{us} 255.255.255.252",
        " tunnel source GigabitEthernet1",
        f" tunnel destination 192.0.2.{them}",
        *([] if side.mode == "gre" else [" tunnel mode ipsec ipv4"]),
        *([f" tunnel protection ipsec policy ipv4 ACL{number}"] if acl else []),
        " tunnel protection ipsec profile IP",
    ]
    if acl:
        lines.append(f"ip access-list extended ACL{number}")
        lines += [f" permit ip {selector.format(us=us, them=them)}" for selector in selectors]
    routed = ("1",) if number else ("0", "5")
    return lines + [f"ip route 10.{them}.{third}.0 255.255.255.0 Tunnel{number}" for third in routed]


@dataclass
class Pair:
    """R1 and R2 in one world. Every `done` is checked against the rules that hold whatever happens."""

    world: World
    watched: list[Ping] = field(default_factory=list)

    def station(self, name: str) -> Station:
        """A router."""
        return self.world.stations[name]

    def core(self, name: str) -> Core:
        """A router's engine."""
        return self.station(name).node._endpoint.core

    def ask(self, name: str, intent: Intent) -> None:
        """An operator asks something of a router."""
        station = self.station(name)
        station.node.request(intent, self.world.now)
        self.world.settle(station)

    def ping(self, name: str, *, third: int = 0) -> Ping:
        """A host behind `name` pings one behind the other router; `third` is the third octet of their networks."""
        us, them = ("1", "2") if name == "R1" else ("2", "1")
        ping = self.world.ping(name, f"10.{us}.{third}.9", f"10.{them}.{third}.9")
        self.watched.append(ping)
        return ping

    def up(self, name: str = "R1", *, third: int = 0, limit: float = 30.0) -> Pair:
        """Bring the tunnel up by a ping from behind `name`; it must be answered."""
        ping = self.ping(name, third=third)
        assert self.world.until(lambda: ping.received is not None, limit), self.story()
        self.world.run(2.0)
        return self

    def keep_pinging(self, *, every: float, seconds: float, third: int = 0) -> None:
        """Pings from both sides while time passes."""
        for _ in range(round(seconds / every)):
            self.ping("R1", third=third)
            self.ping("R2", third=third)
            self.world.run(every)

    def lost(self) -> list[Ping]:
        """The pings that no reply came for."""
        return [ping for ping in self.watched if ping.received is None]

    def ike(self, name: str) -> list[IkeSa]:
        """A router's IKE SAs."""
        return list(self.core(name).sas.values())

    def one_ike(self, name: str) -> IkeSa:
        """The one IKE SA of a router, in good order."""
        (sa,) = self.ike(name)
        return sa

    def children(self, name: str) -> list[ChildSa]:
        """A router's Child SAs."""
        return [child for sa in self.ike(name) for child in sa.children.values()]

    def one_child(self, name: str) -> ChildSa:
        """The one Child SA of a router."""
        (child,) = self.children(name)
        return child

    def events(self, name: str, kind: type[E]) -> list[E]:
        """A router's events of one kind, oldest first."""
        return [record.event for record in self.station(name).records if isinstance(record.event, kind)]

    def tags(self, name: str) -> list[str]:
        """The tags of all events of a router."""
        return [tag_of(record) for record in self.station(name).records]

    def installed(self, name: str) -> Counter[str]:
        """How many ESP SAs stand in a router's data plane, by direction."""
        forwarder = self.station(name).plane._forwarder
        return Counter(sa.direction for sa in forwarder._all())

    def story(self) -> str:
        """What happened, for a failed assertion."""
        return "\n".join(f"{r.stamp.mono:9.3f} {r.stamp.router} {r.event}"[:260] for r in self.world.records[-60:])

    def sent(
        self, name: str, exchange: ExchangeType | None = None, *, response: bool | None = None
    ) -> list[MessageSent]:
        """The IKE messages that a router sent, repeats too."""
        return [
            event
            for event in self.events(name, MessageSent)
            if exchange in (None, event.exchange) and response in (None, event.response)
        ]

    def agree(self, *, ike: int = 1, children: int = 1) -> None:
        """Both ends hold the same SAs and no more: state, SPIs, ESP SAs, SPI numbers, tasks; and no defect showed."""
        self.sound()
        views = []
        for name, other in (("R1", "R2"), ("R2", "R1")):
            sas, mine = self.ike(name), self.children(name)
            assert (len(sas), len(mine)) == (ike, children), f"{name}: {summary(self)}\n{self.story()}"
            assert all(sa.state is IkeState.ESTABLISHED for sa in sas), f"{name}: {summary(self)}\n{self.story()}"
            assert all(not sa.tasks and not sa.out.in_flight for sa in sas), f"{name}: {summary(self)}"
            assert {(one.inbound, one.outbound) for one in mine} == {
                (one.outbound, one.inbound) for one in self.children(other)
            }, summary(self)
            assert self.installed(name) == Counter({"in": children, "out": children} if children else {}), self.story()
            used = getattr(self.core(name).spis, "_used")  # noqa: B009 - not part of SpiSource
            assert used == {child.inbound for child in mine}, f"{name}: {used} {summary(self)}"
            assert not self.core(name).half_open
            assert not self.core(name).waiting
            views.append({(sa.spi_i, sa.spi_r) for sa in sas})
        assert views[0] == views[1]

    def sound(self) -> None:
        """No defect of ours showed, the plane followed every command, every transition is one of the table."""
        for record in self.world.records:
            event = record.event
            if isinstance(event, TaskFailed):
                raise AssertionError(event.traceback + self.story())
            assert not isinstance(event, PlaneFailed), f"{event}\n{self.story()}"
            if isinstance(event, StateChanged):
                assert IkeState(event.after) in IKE_TRANSITIONS[IkeState(event.before)]

    def quiet(self, *, timers: int = 0) -> None:
        """Nothing is left behind on either side: no SA, SPI, ESP SA or held packet, and no deadline beyond `timers`."""
        self.sound()
        for name in ("R1", "R2"):
            core = self.core(name)
            assert not core.sas, f"{name}: {summary(self)}\n{self.story()}"
            assert not core.half_open
            assert not core.waiting
            assert not getattr(core.spis, "_used")  # noqa: B009 - not part of SpiSource
            assert not core._ids
            assert not self.installed(name), self.story()
            assert core.timers.armed() <= timers + len(core.buried)


def tag_of(record: Record) -> str:
    """An event's tag."""
    return record.event.tag


def summary(pair: Pair) -> str:
    """The SAs of both sides in a few words."""
    lines = []
    for name in ("R1", "R2"):
        for sa in pair.ike(name):
            children = ", ".join(f"{one.inbound:08x}/{one.outbound:08x} {one.state}" for one in sa.children.values())
            tasks = [type(task).__name__ for task in sa.tasks]
            flights = [type(pending.task).__name__ for pending in sa.out.in_flight.values()]
            lines.append(f"{name} {sa.spi_i.hex()} {sa.spi_r.hex()} {sa.state} [{children}] {tasks} {flights}")
    return "\n".join(lines)


def pair(
    first: Side | None = None,
    second: Side | None = None,
    *,
    seed: int | str = 1,
    parameters: Parameters | None = None,
    latency: float = 0.01,
) -> Pair:
    """Both routers started; `second` is as `first` unless given."""
    first = first or Side()
    world = World(seed, latency=latency)
    for name, side in (("R1", first), ("R2", second or first)):
        world.add(configuration(name, side), parameters=parameters)
    return Pair(world)


def ike_keys(station: Station) -> list[KeysReady]:
    """The IKE keys that a router made."""
    return [item for item in station.keys if isinstance(item, KeysReady)]


def esp_keys(station: Station) -> list[InstallSa]:
    """The ESP SAs that a router installed."""
    return [item for item in station.keys if isinstance(item, InstallSa)]


def sender(mail: Mail) -> str:
    """Who sent a datagram."""
    return "R1" if mail.path.local == ADDRESSES["R1"] else "R2"


def headline(mail: Mail) -> tuple[str, int, bool, int]:
    """Sender, exchange type, whether it is a response, message ID of an IKE datagram."""
    octets = mail.octets
    if len(octets) < HEADER_OCTETS:
        return sender(mail), 0, False, 0
    return sender(mail), octets[18], bool(octets[19] & 0x20), int.from_bytes(octets[20:24], "big")


def impair(
    world: World, wanted: Callable[[Mail], bool], delays: Iterable[float], *, times: int | None = 1
) -> list[Mail]:
    """Give the first `times` IKE datagrams that are `wanted` these delays instead; returns those, as they pass."""
    hit: list[Mail] = []
    chosen = tuple(delays)

    def opinion(mail: Mail) -> Iterable[float] | None:
        if mail.kind != "ike" or (times is not None and len(hit) >= times) or not wanted(mail):
            return None
        hit.append(mail)
        return chosen

    impairment: Impairment = opinion
    world.impairments.append(impairment)
    return hit


def feed(pair: Pair, name: str, octets: bytes, *, port: int = 500, source: IPv4Address | None = None) -> None:
    """A datagram arrives at a router, from the other one's address unless said otherwise."""
    other = "R2" if name == "R1" else "R1"
    path = Destination(ADDRESSES[name], port, source or ADDRESSES[other], port)
    station = pair.station(name)
    station.node.receive(octets, path, pair.world.now)
    pair.world.settle(station)


def sealed(
    pair: Pair,
    by: str,
    payloads: Sequence[Payload],
    *,
    exchange: ExchangeType = ExchangeType.INFORMATIONAL,
    response: bool = False,
    message_id: int | None = None,
) -> bytes:
    """A message that a router could have sent on its one IKE SA, sealed with its keys; its own state stays as it is.

    `message_id`: by default that of its next request.
    """
    sa = pair.one_ike(by)
    assert sa.envelope is not None
    first, chain = encode_chain(payloads)
    return seal(pair, by, sa, first, chain, exchange=exchange, response=response, message_id=message_id)


def seal(
    pair: Pair,
    by: str,
    sa: IkeSa,
    first: int,
    chain: bytes,
    *,
    exchange: int = ExchangeType.INFORMATIONAL,
    response: bool = False,
    message_id: int | None = None,
) -> bytes:
    """A message around any octets."""
    assert sa.envelope is not None
    flags = (FLAG_INITIATOR if sa.initiator else 0) | (FLAG_RESPONSE if response else 0)
    number = sa.out.next_id if message_id is None else message_id
    random = pair.core(by).random
    return sa.envelope.seal(sa.spi_i, sa.spi_r, exchange, flags, number, first, chain, random)


def slow(one: Pair, name: str, seconds: float) -> None:
    """From now on a router's plane reports each SA installed only after so many seconds."""
    station, world = one.station(name), one.world

    def install(command: InstallSa, now: float) -> None:
        station.plane.execute(command, now)
        station.driver.told(now)
        world.at(now + seconds, lambda: report(command))

    def report(command: InstallSa) -> None:
        station.node.report(Installed(command.spi, command.direction), world.now)
        world.settle(station)

    station.driver._install = install  # type: ignore[method-assign]
