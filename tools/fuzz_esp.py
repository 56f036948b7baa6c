"""ESP packets for the fuzzing: mutated, replayed, misdirected, and sealed by a peer that means harm.

Each inner packet bears a mark of its own. What arrives unchanged is delivered, once; the mark of anything else never
shows behind the far end. After every hostile packet the next honest one passes. `Esp` gives packet by packet to a
Forwarder, `EspRuns` gives runs to what opens them at once, as the planes do.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from typing import cast

from tools.fuzz_inputs import MUTATIONS, Source

from ikescope.config.model import TunnelMode
from ikescope.crypto.suites import INTEGRITIES, EspSuite, encryption
from ikescope.engine.commands import Destination, EspKeys, InstallSa, SwitchOutbound
from ikescope.esp.forwarder import Forwarder, ToTunnel
from ikescope.esp.packet import GRE, TCP, UDP, ip_packet
from ikescope.esp.sa import OutboundSa
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import SelectorFact
from ikescope.planes import reception
from ikescope.policy.selectors import Selectors

NEAR, FAR = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
MARK_OCTETS = 16
KINDS = 256
"""How many kinds of drops a data path may remember at once."""
REASONS = 32
"""How many reasons there are."""
TICK = 500


@dataclass(frozen=True)
class Kind:
    """A tunnel: suite by its numbers, extended sequence numbers, tunnel mode, ESP in transport mode."""

    transform: int
    bits: int
    integrity: int | None
    esn: bool
    mode: TunnelMode
    transport: bool

    @property
    def suite(self) -> EspSuite:
        """The suite."""
        row = encryption(self.transform, self.bits)
        assert row is not None
        return EspSuite(row, None if self.integrity is None else INTEGRITIES[self.integrity], self.esn, None)


TUNNELS = (
    Kind(20, 128, None, False, "ipsec ipv4", False),
    Kind(20, 256, None, True, "gre ip", True),
    Kind(28, 0, None, False, "gre ip", False),
    Kind(12, 128, 2, False, "ipsec ipv4", False),
    Kind(12, 256, 12, True, "gre ip", True),
    Kind(12, 256, 14, False, "gre ip", False),
)


class Way:
    """One tunnel with an SA from the near to the far end, and the marks of what was sent."""

    def __init__(self, number: int, kind: Kind) -> None:
        self.name, self.kind, self.spi = f"Tunnel{number}", kind, 0x1000 + number
        self.sources, self.targets = ip_network(f"10.{number}.0.0/24"), ip_network(f"10.{100 + number}.0.0/24")
        inside = Selectors(_fact(self.sources), _fact(self.targets))
        outer = Selectors(*((SelectorFact(str(one), str(one), GRE),) for one in (NEAR, FAR)))
        self.pair = inside if kind.mode == "ipsec ipv4" else outer
        self.near = Forwarder([self.path(NEAR, FAR)], random.Random(number).randbytes)
        self.near.execute(self.install("out"), 0.0)
        self.near.execute(SwitchOutbound(self.spi, FAR, self.name), 0.0)
        list(self.near.outputs())
        self.sent = 0

    def path(self, here: IPv4Address, there: IPv4Address) -> TunnelPath:
        """The tunnel as one end sees it."""
        pair = self.pair if here == NEAR else Selectors(self.pair.remote, self.pair.local)
        return TunnelPath(name=self.name, mode=self.kind.mode, source=here, destination=there, selectors=(pair,))

    def install(self, direction: str) -> InstallSa:
        """The command that installs its SA at one end."""
        here, there = (NEAR, FAR) if direction == "out" else (FAR, NEAR)
        suite, pair = self.kind.suite, self.path(here, there).selectors[0]
        fill = random.Random(self.spi).randbytes
        integrity = fill(suite.integrity.key_octets) if suite.integrity else b""
        keys = EspKeys(random.Random(self.spi + 1).randbytes(suite.encryption.keymat_octets), integrity)
        return InstallSa(
            spi=self.spi,
            direction="out" if direction == "out" else "in",
            suite=suite,
            keys=keys,
            path=Destination(here, 4500, there, 4500),
            udp=True,
            transport=self.kind.transport,
            tunnel=self.name,
            local=pair.local,
            remote=pair.remote,
            reqid=1,
            replay_window=64,
            lifetime_kilobytes=None,
        )

    @property
    def sa(self) -> OutboundSa:
        """The near end's SA."""
        return self.near._outbound[self.name, self.spi]

    def inner(self, source: Source, size: int) -> tuple[bytes, bytes]:
        """An inner packet of this tunnel with `size` octets behind its mark; and the mark."""
        self.sent += 1
        mark = b"mark" + self.spi.to_bytes(4, "big") + self.sent.to_bytes(8, "big")
        ends = self.sources[1 + source.randrange(200)], self.targets[1 + source.randrange(200)]
        protocol = source.choice((UDP, TCP, 1, 89))
        payload = source.randbytes(20) + mark + bytes(size)
        return ip_packet(ends[0], ends[1], protocol, payload), mark

    def lead(self, inner: bytes) -> tuple[bytes, int]:
        """The ESP payload and next header of an inner packet."""
        if self.kind.mode == "ipsec ipv4":
            return inner, 4
        packet = b"\0\0\x08\0" + inner
        return (packet, GRE) if self.kind.transport else (ip_packet(NEAR, FAR, GRE, packet), 4)

    def seal(self, inner: bytes) -> bytes:
        """The ESP packet of an inner packet."""
        return self.sa.seal(*self.lead(inner), 0.0)

    def sealed(self, plaintext: bytes) -> bytes:
        """A plaintext with whatever trailer it has, sealed all the same."""
        sa = self.sa
        sa.sequence += 1
        short = -len(plaintext) % self.kind.suite.encryption.esp_alignment
        return sa._sealer.seal(self.spi, sa.sequence & 0xFFFFFFFF, sa.sequence >> 32, plaintext + bytes(short))


def _fact(network: object) -> tuple[SelectorFact, ...]:
    whole = cast(IPv4Network, network)
    return (SelectorFact(str(whole[0]), str(whole[-1])),)


def _harm(way: Way, source: Source) -> tuple[bytes, bytes]:
    """What a peer that has the keys seals and this end must not deliver; and its mark."""
    inner, mark = way.inner(source, source.choice((0, 1, 7, 64)))
    payload, next_header = way.lead(inner)
    pad = -(len(payload) + 2) % 16
    padding = bytes(range(1, pad + 1))
    spoiled = bytearray(padding or b"\0")
    spoiled[source.randrange(len(spoiled))] ^= 0x80
    strangers = ip_packet(ip_address("198.51.100.7"), ip_address("203.0.113.9"), UDP, mark + bytes(20))
    shapes: Sequence[Callable[[], bytes]] = (
        lambda: payload + bytes(spoiled) + bytes((len(spoiled), next_header)),
        lambda: payload + bytes((255, next_header)),
        lambda: payload + padding + bytes((pad, source.choice((0, 1, 6, 17, 41, 50, 51, 58, 59, 60, 255)))),
        lambda: _foreign(way, strangers),
        lambda: _cut(payload, way, next_header),
        lambda: mark + source.randbytes(source.randrange(40)),
        lambda: b"\x45" + bytes(30) + mark + b"\x01\x01\x04",
    )
    return way.sealed(source.choice(shapes)()), mark


def _foreign(way: Way, packet: bytes) -> bytes:
    """A packet that the SA's selectors do not admit, well padded."""
    payload = packet
    if way.kind.mode != "ipsec ipv4":  # GRE carries any inner packet: here the one around GRE is a stranger's
        payload = ip_packet(ip_address("198.51.100.7"), ip_address("203.0.113.9"), GRE, b"\0\0\x08\0" + packet)
    pad = -(len(payload) + 2) % 16
    return payload + bytes(range(1, pad + 1)) + bytes((pad, 4))


def _cut(payload: bytes, way: Way, next_header: int) -> bytes:
    """A packet that is shorter than its own header says, well padded."""
    short = payload[:-1]
    pad = -(len(short) + 2) % 16
    return short + bytes(range(1, pad + 1)) + bytes((pad, next_header))


def _spoiled(way: Way, inner: bytes) -> tuple[bytes, int]:
    """What a peer that has the keys may seal in place of an inner packet, of its size: a stranger's, or no GRE."""
    if way.kind.mode == "ipsec ipv4":
        return inner[:12] + bytes((198, 51, 100, 7)) + inner[16:], 4
    payload, next_header = way.lead(inner)
    at = 0 if way.kind.transport else 20
    return payload[:at] + b"\x40" + payload[at + 1 :], next_header


def bounded(far: Forwarder) -> None:
    """What a data path remembers of drops is bounded, whatever comes."""
    kinds, reasons = len(far._drops._kinds), len(far.drops)
    assert kinds <= KINDS and reasons <= REASONS, (kinds, reasons)


class Esp:
    """The far end of six tunnels, packet by packet."""

    def __init__(self, timed: Callable[[Callable[[], object]], float]) -> None:
        self.timed = timed
        self.ways = [Way(number, kind) for number, kind in enumerate(TUNNELS)]
        self.far = Forwarder([way.path(FAR, NEAR) for way in self.ways], random.Random(9).randbytes)
        for way in self.ways:
            self.far.execute(way.install("in"), 0.0)
        list(self.far.outputs())
        self.old: list[tuple[bytes, bytes]] = []
        self.count = 0

    def __call__(self, data: bytes) -> float:
        """One hostile packet, then an honest one: the seconds that the first took. AssertionError for a defect."""
        source = random.Random(data)
        self.count += 1
        way = source.choice(self.ways)
        inner, mark = way.inner(source, source.choice((0, 1, 30, 200, 1300)))
        honest = way.seal(inner)
        hostile, its = self._hostile(data, honest, mark, way, source)
        got: list[bytes] = []
        seconds = self.timed(lambda: got.extend(self._arrive(hostile, source)))
        assert not any(its in packet for packet in got), f"delivered: {hostile.hex()}"
        assert not got or hostile == honest, f"delivered what nobody sent: {got[0].hex()}"
        got = self._arrive(honest, source)
        assert [packet[20:] for packet in got] == [inner[20:]], f"an honest packet did not pass after {hostile.hex()}"
        self.old = [(honest, mark), *self.old[:40]]
        if self.count % TICK == 0:
            self.far.tick(float(self.count))
            list(self.far.outputs())
        bounded(self.far)
        return seconds

    def _arrive(self, octets: bytes, source: Source) -> list[bytes]:
        udp, remote = source.random() < 0.5, source.choice((NEAR, IPv4Address("198.51.100.1")))
        self.far.from_wire(
            octets, FAR, remote, self.count / 100, udp=udp, remote_port=4500 if udp else 0, ecn=source.choice((0, 1, 2))
        )
        return [one.packet for one in self.far.outputs() if isinstance(one, ToTunnel)]

    def _hostile(self, data: bytes, honest: bytes, mark: bytes, way: Way, source: Source) -> tuple[bytes, bytes]:
        chance = source.random()
        if chance < 0.2:
            return _harm(way, source)
        if chance < 0.3 and self.old:
            return source.choice(self.old)
        if chance < 0.35:
            return source.choice((way.spi, source.randrange(1 << 32))).to_bytes(4, "big") + data, mark
        if chance < 0.4:
            other = source.choice([one for one in self.ways if one is not way])
            return other.spi.to_bytes(4, "big") + honest[4:], mark
        return mutated(honest, source), mark


def mutated(packet: bytes, source: Source, *, same_size: bool = False) -> bytes:
    """A packet that differs from the one given."""
    changed = bytearray(packet)
    while bytes(changed) == packet:
        chance = source.random()
        if same_size or chance < 0.4:
            changed[source.randrange(len(changed))] ^= 1 << source.randrange(8)
        elif chance < 0.55:
            del changed[source.randrange(len(changed)) :]
        elif chance < 0.65:
            changed += source.randbytes(source.randrange(1, 40))
        elif changed:
            source.choice(MUTATIONS)(changed, source)
        if len(changed) < len(packet) and same_size:
            changed = bytearray(packet)
    return bytes(changed)


class EspRuns:
    """The far end of the same tunnels, runs of packets at once: what cannot be opened so goes packet by packet."""

    def __init__(self, timed: Callable[[Callable[[], object]], float]) -> None:
        from ikescope.planes.inbound import Inbound

        self.timed = timed
        self.one = Esp(timed)
        self.far = self.one.far
        self.written: list[bytes] = []
        self.source = random.Random()
        self.inbound = Inbound(self.far, self._write, self._drain)
        self.count = 0
        self.whole = 0

    def _write(self, _: str, pieces: Sequence[bytes | memoryview], packets: int, __: float) -> bool:
        if packets > 1 and self.source.random() < 0.1:
            return False  # the device does not take it: one by one then
        self.written.append(b"".join(bytes(piece) for piece in pieces))
        return True

    def _drain(self, _: float) -> None:
        self.written += [one.packet for one in self.far.outputs() if isinstance(one, ToTunnel)]

    def __call__(self, data: bytes) -> float:
        """A run, some of it hostile: the seconds that it took, for each packet. AssertionError for a defect."""
        self.source = source = random.Random(data)
        self.count += 1
        way = source.choice(self.one.ways)
        size, count = source.choice((0, 30, 64, 1300)), source.randrange(4, 40)
        honest: list[bytes] = []
        forged: list[bytes] = []
        packets: list[bytes] = []
        hostile, harmful = source.choice((0.0, 0.0, 0.1)), source.choice((0.0, 0.1))
        for _ in range(count):
            inner, mark = self._like(way, source, size)
            chance = source.random()
            if chance < hostile:
                packets.append(mutated(way.seal(inner), source, same_size=True))
            elif chance < hostile + harmful:
                packets.append(way.sa.seal(*_spoiled(way, inner), 0.0))
            else:
                packets.append(way.seal(inner))
            (forged if chance < hostile + harmful else honest).append(mark)
        if source.random() < 0.1:
            source.shuffle(packets)
        if source.random() < 0.1:
            packets.append(packets[source.randrange(len(packets))])
        last = self._shorter(way, source, size, honest) if source.random() < 0.3 else b""
        seconds = self._run(packets, last, source)
        found = b"".join(self.written)
        self.written.clear()
        assert not any(mark in found for mark in forged), f"a forged packet of a run was delivered: {data.hex()}"
        missing = [mark.hex() for mark in honest if found.count(mark) != 1]
        assert not missing, f"{len(missing)} of {count} honest packets were not delivered once: {missing[0]}"
        if self.count % TICK == 0:
            self.far.tick(float(self.count))
            list(self.far.outputs())
        bounded(self.far)
        return seconds / (count + 1)

    @staticmethod
    def _like(way: Way, source: Source, size: int) -> tuple[bytes, bytes]:
        """An inner packet; most are of one flow, as in a run of TCP."""
        inner, mark = way.inner(source, size)
        if source.random() < 0.8:
            ends = way.sources[7], way.targets[7]
            ports = b"\x10\x00\x20\x00" + len(inner[20:]).to_bytes(2, "big") + b"\0\0"
            inner = ip_packet(*ends, UDP, ports + inner[28:])
        return inner, mark

    def _shorter(self, way: Way, source: Source, size: int, honest: list[bytes]) -> bytes:
        if size < 30:
            return b""
        inner, mark = self._like(way, source, source.randrange(size - 20))
        honest.append(mark)
        return way.seal(inner)

    def _run(self, packets: list[bytes], last: bytes, source: Source) -> float:
        size = len(packets[0])
        if any(len(one) != size for one in packets) or len(last) >= size:
            packets, last = [*packets, *([last] if last else [])], b""
            return sum(self._alone(one) for one in packets)
        gap = 0 if last else source.choice((0, 0, 20, 36))
        octets = memoryview(bytearray(b"".join(one + bytes(gap) for one in packets) + last))
        whence = reception.Source(FAR, 4500, NEAR, 4500, source.choice((0, 1, 2)))
        taken: list[bool] = []
        seconds = self.timed(
            lambda: taken.append(
                self.inbound.take(octets, size + gap, size, len(packets), len(last), whence, self.count / 100)
            )
        )
        self._drain(0.0)
        self.whole += taken[0]
        if not taken[0]:
            assert not self.written, "a run that was not taken was delivered"
            seconds += sum(self._alone(one) for one in (*packets, *([last] if last else [])))
        return seconds

    def _alone(self, octets: bytes) -> float:
        seconds = self.timed(
            lambda: self.far.from_wire(octets, FAR, NEAR, self.count / 100, udp=True, remote_port=4500)
        )
        self._drain(0.0)
        return seconds
