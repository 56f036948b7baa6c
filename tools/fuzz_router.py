"""A whole router beside two peers, for the fuzzing: one peer's datagrams are fuzzed, the other's IKE SA must stand."""

import random
from collections.abc import Callable

from tools.fuzz_inputs import HEADER, MUTATIONS, NOTIFIES, Source, datagram

from ikescope.crypto.envelope import Envelope
from ikescope.engine.commands import Clear, ClearChild, Destination, Intent, Probe, Rekey
from ikescope.engine.context import Core
from ikescope.engine.fragments import parts
from ikescope.engine.parameters import Parameters
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import USABLE, ChildState, IkeState
from ikescope.events.base import UnsetType
from ikescope.events.life import TaskFailed
from ikescope.events.message import MessageSent
from ikescope.events.router import PlaneFailed
from ikescope.ios.configuration import load
from ikescope.sim.world import World
from ikescope.wire.delete import DeletePayload
from ikescope.wire.message import encode_chain, parse_chain
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import NotifyType, PayloadType, ProtocolId

ROUTER = """hostname {name}
crypto ikev2 keyring K
 peer ANY
  address 0.0.0.0 0.0.0.0
  pre-shared-key fuzz
crypto ikev2 profile P
 match identity remote any
 authentication remote pre-share
 authentication local pre-share
 keyring local K
crypto ipsec profile default
 set ikev2-profile P
interface GigabitEthernet1
 ip address 192.0.2.{number} 255.255.255.0
"""
TUNNEL = """interface Tunnel{peer}
 ip address 10.0.{peer}.{number} 255.255.255.0
 tunnel source GigabitEthernet1
 tunnel destination 192.0.2.{peer}
 tunnel protection ipsec profile default
ip route 10.{peer}.0.0 255.255.0.0 Tunnel{peer}
"""
LATENCY = 0.01
STAGES = (0.005, 0.015, 0.025, 0.035, 1.0, 1.0, 1.0)
"""Seconds after the first packet: IKE_SA_INIT sent, answered, IKE_AUTH sent, answered; else the SA stands."""
ROUNDS = 60
"""How many datagrams a session gets before it begins anew."""
HALF_OPEN = 20
CARRYING = (ChildState.INSTALLED, ChildState.REKEYING)


class Router:
    """R2 with two peers: R1's datagrams are fuzzed, R3's IKE SA must stand whatever happens."""

    def __init__(self, timed: Callable[[Callable[[], object]], float]) -> None:
        self.timed = timed
        self.world = World("fuzz", latency=LATENCY)
        self.world.keep_mail = False
        for number, peers in ((1, (2,)), (2, (1, 3)), (3, (2,))):
            text = ROUTER.format(name=f"R{number}", number=number)
            text += "".join(TUNNEL.format(peer=peer, number=number) for peer in peers)
            self.world.add(load(text), parameters=Parameters(max_half_open=HALF_OPEN, failure_hold=0.0))
        self.seeds: list[bytes] = []
        self.chains: list[tuple[int, bytes]] = []
        self.rounds = 0
        self._reach("R3", 1.0)
        self._reach("R1", 1.0)
        for intent in (Rekey(), Rekey(spi=self._child("R1")), Probe(), ClearChild(), Clear()):
            self._ask("R1", intent)
            self.world.run(1.0)
        self._learn()

    def _learn(self) -> None:
        """Keep the true datagrams and their opened payload chains to mutate."""
        for record in self.world.records:
            event = record.event
            if isinstance(event, MessageSent) and not isinstance(event.octets, UnsetType):
                self.seeds.append(event.octets)
                if not isinstance(event.opened, UnsetType) and not isinstance(event.opened_first, UnsetType):
                    self.chains.append((event.opened_first, event.opened))

    def _core(self, name: str) -> Core:
        return self.world.stations[name].node._endpoint.core

    def _child(self, name: str) -> int:
        return next((spi for sa in self._core(name).sas.values() for spi in sa.children), 0)

    def _ask(self, name: str, intent: Intent) -> None:
        station = self.world.stations[name]
        station.node.request(intent, self.world.now)
        self.world.settle(station)

    def _reach(self, name: str, seconds: float) -> None:
        self.world.ping(name, f"10.{name[1]}.0.9", "10.2.0.9")
        self.world.run(seconds)

    def _anew(self, source: Source) -> None:
        """R1 has crashed and comes back; its new session gets as far as a stage."""
        self.rounds = 0
        station = self.world.stations["R1"]
        self._ask("R2", Clear(remote=station.config.tunnels["Tunnel2"].source_address, fast=True))
        self.world.remove("R1")
        self.world.run(40)
        self.world.add(station.config, parameters=Parameters(max_half_open=HALF_OPEN, failure_hold=0.0))
        self._reach("R1", source.choice(STAGES))

    def __call__(self, data: bytes) -> float:
        """Let one datagram, or what is made of it, arrive at R1 or R2: the seconds that it took one of them.

        AssertionError for a defect.
        """
        source = random.Random(data)
        self.rounds += 1
        if self.rounds > ROUNDS or not self._core("R1").sas:
            self._anew(source)
        self.world.records.clear()
        for station in self.world.stations.values():
            station.records.clear()
            station.keys.clear()
        name = source.choice(("R1", "R2", "R2"))
        peer = source.choice(("R1", "R1", "R1", "R3")) if name == "R2" else "R2"
        port = source.choice((500, 500, 4500))
        seconds = max([self._arrive(name, peer, one, port) for one in self._make(data, source, name)])
        if source.random() < 0.1:
            self.world.run(source.choice((0.02, 3.0)))
        self._check()
        return seconds

    def _make(self, data: bytes, source: Source, name: str) -> list[bytes]:
        kind = source.random()
        if kind < 0.05:
            return [data]
        if kind < 0.2:
            return [self._addressed(data, source, name)]
        if kind < 0.4:
            return [self._addressed(datagram(source, self.seeds), source, name)]
        return self._sealed(data, source, name)

    def _addressed(self, data: bytes, source: Source, name: str) -> bytes:
        """The datagram with the SPIs of an IKE SA that stands here, or those of a new one where it would begin one."""
        sas = list(self._core(name).sas.values())
        if len(data) > HEADER.size and data[18:20] == b"\x22\x08" and source.random() < 0.8:
            return source.randbytes(8) + data[8:]
        if not sas or len(data) < HEADER.size:
            return data
        sa = source.choice(sas)
        return sa.spi_i + sa.spi_r + data[16:]

    def _sealed(self, data: bytes, source: Source, name: str) -> list[bytes]:
        """A payload chain that makes little sense, in an envelope that does: what only the peer itself can send."""
        other = "R2" if name == "R1" else "R1"
        sas = [sa for sa in self._core(other).sas.values() if sa.envelope is not None]
        mine = [sa for sa in sas if sa.remote_spi in self._core(name).sas]
        if not mine:
            self.rounds += ROUNDS // 4
            return [data]
        sa = source.choice(mine)
        first, chain = self._chain(data, source)
        response = source.random() < 0.4
        exchange, number = source.choice((35, 35, 36, 36, 37, 37, 34, 43)), self._next(name, sa)
        if response:
            exchange, number = self._in_flight(name, sa, source)
        assert sa.envelope is not None
        flags = (0x08 if sa.initiator else 0) | (0x20 if response else 0)
        head = sa.spi_i, sa.spi_r, exchange, flags, number
        if source.random() < 0.15:
            return self._fragments(sa.envelope, head, first, chain, source)
        return [sa.envelope.seal(*head, first, chain, source.randbytes)]

    def _fragments(
        self, envelope: Envelope, head: tuple[bytes, bytes, int, int, int], first: int, chain: bytes, source: Source
    ) -> list[bytes]:
        """The same message in fragments, now and then out of order, one missing or with a number that does not fit."""
        pieces = list(parts(chain or b"\0", source.choice((1, 16, 64, 200))))[:16]
        if source.random() < 0.3:
            source.shuffle(pieces)
        if source.random() < 0.2:
            pieces.pop()
        sealed = []
        for number, total, piece in pieces or [(1, 1, chain)]:
            if source.random() < 0.05:
                total = source.choice((1, total + 1, 200))
            kind = first if number == 1 or source.random() < 0.05 else 0
            sealed.append(
                envelope.seal_fragment(*head, kind, piece, source.randbytes, number=min(number, total), total=total)
            )
        return sealed

    def _chain(self, data: bytes, source: Source) -> tuple[int, bytes]:
        if source.random() < 0.3 and len(data) >= HEADER.size:
            return data[16], data[HEADER.size :]
        first, plain = source.choice(self.chains)
        if source.random() < 0.6:
            return self._remixed(first, plain, source)
        chain = bytearray(plain)
        for _ in range(source.choice((0, 1, 1, 2))):
            if chain:
                source.choice(MUTATIONS)(chain, source)
        return first, bytes(chain)

    def _remixed(self, first: int, plain: bytes, source: Source) -> tuple[int, bytes]:
        """Well-formed payloads in the wrong company: some missing, some twice, some of another message."""
        payloads = list(parse_chain(PayloadType.of(first), plain, inside=True))
        for _ in range(source.choice((0, 1, 1, 2, 3))):
            other, octets = source.choice(self.chains)
            strangers = list(parse_chain(PayloadType.of(other), octets, inside=True))
            strangers += [
                NotifyPayload(NotifyType.of(source.choice(NOTIFIES)), source.randbytes(2)),
                self._about(source),
            ]
            match source.choice(("drop", "repeat", "add", "add", "shuffle", "swap")):
                case "drop" if payloads:
                    payloads.remove(source.choice(payloads))
                case "repeat" if payloads:
                    payloads.append(source.choice(payloads))
                case "swap" if payloads:
                    kind = source.choice(payloads).kind
                    same = [one for one in strangers if one.kind == kind]
                    payloads = [source.choice(same) if one.kind == kind and same else one for one in payloads]
                case "shuffle":
                    source.shuffle(payloads)
                case _:
                    payloads.insert(source.randrange(len(payloads) + 1), source.choice(strangers))
        kind, chain = encode_chain(payloads)
        return kind, chain

    def _about(self, source: Source) -> Payload:
        """A Delete or REKEY_SA that names a Child SA that stands, an end of it, or none."""
        children = [one for name in self.world.stations for sa in self._core(name).sas.values() for one in sa.children]
        spi = source.choice([*children, 0, 1 << 31]).to_bytes(4, "big")
        if source.random() < 0.5:
            return NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, spi)
        return DeletePayload(ProtocolId.ESP, (spi,) * source.choice((1, 2)))

    def _next(self, name: str, sa: IkeSa) -> int:
        return self._core(name).sas[sa.remote_spi].into.lowest

    def _in_flight(self, name: str, sa: IkeSa, source: Source) -> tuple[int, int]:
        """Exchange and message ID of a request of the receiver's that waits for its response."""
        mine = self._core(name).sas[sa.remote_spi]
        if not mine.out.in_flight and mine.state is IkeState.ESTABLISHED:
            child = next(iter(mine.children), 0)
            intents = (Rekey(sa=mine.id), Rekey(spi=child), Probe(sa=mine.id), ClearChild(spi=child))
            self._ask(name, source.choice(intents))
        for pending in mine.out.in_flight.values():
            return int(pending.exchange), pending.message_id
        return 37, 0

    def _arrive(self, name: str, peer: str, octets: bytes, port: int) -> float:
        ends = {
            one: next(iter(self.world.stations[one].config.tunnels.values())).source_address for one in (name, peer)
        }
        here, there = ends[name], ends[peer]
        assert here is not None and there is not None
        station = self.world.stations[name]
        path = Destination(here, port, there, port)
        seconds = self.timed(lambda: station.node.receive(octets, path, self.world.now))
        self.world.settle(station)
        return seconds

    def _check(self) -> None:
        for record in self.world.records:
            if isinstance(record.event, TaskFailed):
                raise AssertionError(record.event.traceback)
            assert not isinstance(record.event, PlaneFailed), record.event
        self._check_third()
        for one in self.world.stations:
            held = self._core(one)
            assert len(held.half_open) <= HALF_OPEN, len(held.half_open)
            assert len(held.sas) <= HALF_OPEN + 60, len(held.sas)
            assert not held.commands
            assert len(held.timers._heap) <= 4096, len(held.timers._heap)

    def _check_third(self) -> None:
        """R3 and R2 have an IKE SA in use and a Child SA that carries traffic; while R3 rekeys, one of each besides."""
        here, there = self._core("R3"), self._core("R2")
        usable = [sa for sa in here.sas.values() if sa.state in USABLE]
        live = [one for sa in usable for one in sa.children.values() if one.state in CARRYING]
        assert 1 <= len(usable) <= 2 and 1 <= len(live) <= 2, (usable, live)
        other = [there.sas[sa.remote_spi] for sa in usable if sa.remote_spi in there.sas]
        assert any(sa.state in USABLE for sa in other), other
        assert any(child.state in CARRYING for sa in other for child in sa.children.values()), other
