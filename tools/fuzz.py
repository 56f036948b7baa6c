"""Random and mutated datagrams at whatever reads what a peer sends: `make fuzz`, or tools/fuzz.py --count 10000.

A decoder may refuse with PeerError and nothing else, and what it accepts it must write back octet for octet. A router
may refuse, answer or close the IKE SA that a datagram belongs to; no defect of its own may show, no other peer's SA may
suffer, and what it keeps is bounded. The first datagram that breaks this is printed as hex, with the seed that leads to
it, and the exit status is 1.
"""

import argparse
import itertools
import random
import struct
import sys
import time
from collections.abc import Callable, Sequence

from ikescope.engine.commands import Clear, ClearChild, Destination, Intent, Probe, Rekey
from ikescope.engine.context import Core
from ikescope.engine.parameters import Parameters
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.errors import PeerError
from ikescope.events.base import UnsetType
from ikescope.events.life import TaskFailed
from ikescope.events.message import MessageSent
from ikescope.events.router import PlaneFailed
from ikescope.ios.configuration import load
from ikescope.sim.world import World
from ikescope.wire.delete import DeletePayload
from ikescope.wire.message import Message, encode_chain, parse_chain
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import NotifyType, PayloadType, ProtocolId

Source = random.Random
Target = Callable[[bytes], None]

MAX_COUNT = 10_000_000
HEADER = struct.Struct("!8s8sBBBBII")
PAYLOADS = range(33, 54)
"""SA (33) to SKF (53): every payload type of RFC 7296 section 3.2 and RFC 7383."""
EXCHANGES = (34, 35, 36, 37, 43, 44)
INTERESTING = (0, 1, 2, 4, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)


def octets(source: Source) -> bytes:
    """Octets of no shape, of a length that fields often have."""
    return source.randbytes(source.choice((0, 1, 2, 4, 8, 16, 20, 32, 64, 200)))


def proposals(source: Source) -> bytes:
    """An SA payload's body: proposals of transforms, some with a key length (RFC 7296 section 3.3)."""
    chain = b""
    numbers = range(1, source.randrange(2, 5))
    for number in numbers:
        transforms = b""
        count = source.randrange(1, 6)
        for index in range(count):
            attribute = struct.pack("!HH", 0x800E, source.choice((128, 256))) if source.random() < 0.3 else b""
            fields = (0 if index == count - 1 else 3, 0, 8 + len(attribute), source.randrange(1, 14), 0)
            transforms += struct.pack("!BBHBBH", *fields, source.randrange(40)) + attribute
        protocol, spi = source.choice(((1, b""), (1, source.randbytes(8)), (3, source.randbytes(4))))
        head = (0 if number == numbers[-1] else 2, 0, 8 + len(spi) + len(transforms))
        chain += struct.pack("!BBHBBBB", *head, number, protocol, len(spi), count) + spi + transforms
    return chain


def selectors(source: Source) -> bytes:
    """A TS payload's body: IPv4 and IPv6 selectors (RFC 7296 section 3.13)."""
    count = source.randrange(1, 4)
    chain = b""
    for _ in range(count):
        kind, width = source.choice(((7, 4), (8, 16)))
        chain += struct.pack("!BBHHH", kind, source.choice((0, 6, 17, 47)), 8 + 2 * width, 0, 0xFFFF)
        chain += bytes(width) + b"\xff" * width
    return struct.pack("!B3x", count) + chain


def notification(source: Source) -> bytes:
    """A notification of the IKE SA's or with an SPI (RFC 7296 section 3.10)."""
    kind = source.choice((*NOTIFIES, 16388, 16430))
    protocol, spi = source.choice(((0, b""), (3, source.randbytes(4))))
    return struct.pack("!BBH", protocol, len(spi), kind) + spi + octets(source)


def delete(source: Source) -> bytes:
    """A DELETE payload's body: of the IKE SA, or of Child SAs (RFC 7296 section 3.11)."""
    count = source.randrange(4)
    if source.random() < 0.5:
        return struct.pack("!BBH", 1, 0, 0)
    return struct.pack("!BBH", 3, 4, count) + source.randbytes(4 * count)


def configuration(source: Source) -> bytes:
    """A CP payload's body: attributes (RFC 7296 section 3.15)."""
    values = (source.randbytes(source.choice((0, 4, 8, 17))) for _ in range(source.randrange(4)))
    chain = b"".join(struct.pack("!HH", source.randrange(1, 26), len(value)) + value for value in values)
    return struct.pack("!B3x", source.randrange(1, 5)) + chain


def typed(source: Source) -> bytes:
    """A type, three reserved octets, octets: AUTH, and IDi and IDr with an FQDN."""
    return struct.pack("!B3x", 2) + octets(source) + b"r1.example"


def exchange_value(source: Source) -> bytes:
    """A KE payload's body (RFC 7296 section 3.4)."""
    return struct.pack("!HH", source.choice((2, 14, 19, 21, 31)), 0) + source.randbytes(
        source.choice((32, 64, 132, 256))
    )


NOTIFIES = (1, 4, 5, 7, 9, 11, 14, 17, 24, 34, 35, 38, 39, 43, 44, 16384, 16385, 16390, 16391, 16393, 16394, 40960)
BODIES: dict[int, Callable[[Source], bytes]] = {
    33: proposals,
    34: exchange_value,
    35: typed,
    36: typed,
    39: typed,
    40: lambda source: source.randbytes(source.choice((16, 32, 64))),
    41: notification,
    42: delete,
    44: selectors,
    45: selectors,
    47: configuration,
    48: lambda source: struct.pack("!BBHB", 1, 7, 9, 1) + source.randbytes(4),
    53: lambda source: struct.pack("!HH", 1, 2) + source.randbytes(64),
}
"""Payload type -> a body that fits it; the mutations then make it not fit."""


def message(source: Source) -> bytes:
    """A message whose header and payload chain fit together; the bodies fit the types that BODIES knows."""
    kinds = [source.choice(PAYLOADS) for _ in range(source.randrange(0, 8))]
    chain = b""
    for kind, following in itertools.pairwise([*kinds, 0]):
        content = BODIES.get(kind, octets)(source)
        chain += struct.pack("!BBH", following, source.choice((0, 0, 0, 0x80, 0x7F)), len(content) + 4) + content
    first = kinds[0] if kinds else 0
    exchange, flags = source.choice(EXCHANGES), source.choice((0x00, 0x08, 0x20, 0x28))
    spi_r = source.choice((bytes(8), source.randbytes(8)))
    fields = (source.randbytes(8), spi_r, first, 0x20, exchange, flags, source.randrange(4), HEADER.size + len(chain))
    return HEADER.pack(*fields) + chain


def flip(data: bytearray, source: Source) -> None:
    """One bit changes."""
    data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def overwrite(data: bytearray, source: Source) -> None:
    """One octet becomes a value that lengths and types stumble over."""
    data[source.randrange(len(data))] = source.choice(INTERESTING)


def cut(data: bytearray, source: Source) -> None:
    """The end is missing."""
    del data[source.randrange(1, len(data) + 1) :]


def grow(data: bytearray, source: Source) -> None:
    """Octets stand in the middle that nobody counted."""
    at = source.randrange(len(data) + 1)
    data[at:at] = source.randbytes(source.randrange(1, 9))


def repeat(data: bytearray, source: Source) -> None:
    """A piece stands there twice."""
    at = source.randrange(len(data))
    data[at:at] = data[at : at + source.randrange(1, 33)]


def relength(data: bytearray, source: Source) -> None:
    """The header's length is made right again, so that what is wrong lies deeper."""
    if len(data) >= HEADER.size:
        struct.pack_into("!I", data, 24, len(data))


MUTATIONS = (flip, flip, overwrite, overwrite, cut, grow, repeat)


def datagram(source: Source, seeds: Sequence[bytes] = ()) -> bytes:
    """The next datagram: plain octets now and then, else a message or a seed, as it is or mutated."""
    if source.random() < 0.05:
        return source.randbytes(source.randrange(0, 300))
    data = bytearray(source.choice(seeds) if seeds and source.random() < 0.5 else message(source))
    for _ in range(source.choice((0, 1, 1, 2, 4))):
        source.choice(MUTATIONS)(data, source)
        if not data:
            return b""
    if source.random() < 0.7:
        relength(data, source)
    return bytes(data)


def decoder(data: bytes) -> None:
    """The decoder accepts or refuses with PeerError; what it accepts it writes back as it was."""
    try:
        parsed = Message.parse(data)
    except PeerError:
        return
    again = parsed.encode()
    if again != data:
        raise AssertionError(f"written back differently: {again.hex()}")


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


class Router:
    """R2 with two peers: R1's datagrams are fuzzed, R3's IKE SA must stand whatever happens."""

    def __init__(self) -> None:
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

    def __call__(self, data: bytes) -> None:
        """Let one datagram, or what is made of it, arrive at R1 or R2; AssertionError for a defect."""
        source = random.Random(data)
        self.rounds += 1
        if self.rounds > ROUNDS or not self._core("R1").sas:
            self._anew(source)
        self.world.records.clear()
        for station in self.world.stations.values():
            station.records.clear()
            station.keys.clear()
        name = source.choice(("R1", "R2", "R2"))
        made = self._make(data, source, name)
        peer = source.choice(("R1", "R1", "R1", "R3")) if name == "R2" else "R2"
        self._arrive(name, peer, made, source.choice((500, 500, 4500)))
        if source.random() < 0.1:
            self.world.run(source.choice((0.02, 3.0)))
        self._check()

    def _make(self, data: bytes, source: Source, name: str) -> bytes:
        kind = source.random()
        if kind < 0.05:
            return data
        if kind < 0.2:
            return self._addressed(data, source, name)
        if kind < 0.4:
            return self._addressed(datagram(source, self.seeds), source, name)
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

    def _sealed(self, data: bytes, source: Source, name: str) -> bytes:
        """A payload chain that makes little sense, in an envelope that does: what only the peer itself can send."""
        other = "R2" if name == "R1" else "R1"
        sas = [sa for sa in self._core(other).sas.values() if sa.envelope is not None]
        mine = [sa for sa in sas if sa.remote_spi in self._core(name).sas]
        if not mine:
            self.rounds += ROUNDS // 4
            return data
        sa = source.choice(mine)
        first, chain = self._chain(data, source)
        response = source.random() < 0.4
        exchange, number = source.choice((35, 35, 36, 36, 37, 37, 34, 43)), self._next(name, sa)
        if response:
            exchange, number = self._in_flight(name, sa, source)
        assert sa.envelope is not None
        flags = (0x08 if sa.initiator else 0) | (0x20 if response else 0)
        return sa.envelope.seal(sa.spi_i, sa.spi_r, exchange, flags, number, first, chain, source.randbytes)

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

    def _arrive(self, name: str, peer: str, octets: bytes, port: int) -> None:
        ends = {
            one: next(iter(self.world.stations[one].config.tunnels.values())).source_address for one in (name, peer)
        }
        here, there = ends[name], ends[peer]
        assert here is not None and there is not None
        station = self.world.stations[name]
        station.node.receive(octets, Destination(here, port, there, port), self.world.now)
        self.world.settle(station)

    def _check(self) -> None:
        for record in self.world.records:
            if isinstance(record.event, TaskFailed):
                raise AssertionError(record.event.traceback)
            assert not isinstance(record.event, PlaneFailed), record.event
        core = self._core("R2")
        (third,) = self._core("R3").sas.values()
        assert third.state is IkeState.ESTABLISHED
        assert len(third.children) == 1
        other = core.sas.get(third.remote_spi)
        assert other is not None and other.state is IkeState.ESTABLISHED and len(other.children) == 1
        for one in self.world.stations:
            held = self._core(one)
            assert len(held.half_open) <= HALF_OPEN, len(held.half_open)
            assert len(held.sas) <= HALF_OPEN + 60, len(held.sas)
            assert not held.commands


def router() -> Target:
    """A new world for the router to live in."""
    return Router()


TARGETS: dict[str, Callable[[], Target]] = {"decoder": lambda: decoder, "engine": router}
"""Name -> what makes the target of a run."""


def fuzz(target: Target, count: int, seed: int) -> str:
    """Give `count` datagrams to `target`; empty when all went well, else what the first failure was."""
    source = random.Random(seed)
    for number in range(count):
        data = datagram(source)
        try:
            target(data)
        except Exception as error:  # noqa: BLE001 - any exception at all is the finding
            return f"datagram {number} of seed {seed}: {type(error).__name__}: {error}\n{data.hex()}"
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz as the command line says; 0 when nothing was found, 1 when something was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help=f"datagrams a target, at most {MAX_COUNT}")
    parser.add_argument("--seed", type=int, default=None, help="repeat the run of this seed")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="default: all")
    options = parser.parse_args(arguments)
    count = min(options.count, MAX_COUNT)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    for name in options.target or TARGETS:
        began = time.monotonic()
        if finding := fuzz(TARGETS[name](), count, seed):
            print(f"{name}: {finding}")
            return 1
        print(f"{name}: {count} datagrams of seed {seed}, nothing found, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
