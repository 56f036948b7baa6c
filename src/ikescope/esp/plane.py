"""What every data plane around a Forwarder does the same, with devices or in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from ikescope.config.model import Address
from ikescope.engine.commands import Acquire, Command, Expired, PeerMoved, Refused, Report, Traffic
from ikescope.esp.forwarder import Forwarder, ToTunnel, ToWire
from ikescope.esp.sa import Counters, Direction
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import Event

Told = Report | Event


class Plane(ABC):
    """Carries commands and packets to a Forwarder and what comes out of it to the wire, the tunnels and `take`."""

    name: str

    def __init__(self, tunnels: Sequence[TunnelPath], random: Callable[[int], bytes]) -> None:
        self._forwarder = Forwarder(tunnels, random)
        self._told: list[Told] = []

    @abstractmethod
    def _to_wire(self, output: ToWire) -> str:
        """Send an ESP packet; why it could not be, empty if it went."""

    @abstractmethod
    def _to_tunnel(self, output: ToTunnel) -> str:
        """Hand an inner packet to the tunnel's routing; why it could not be, empty if it went."""

    def execute(self, command: Command, now: float) -> None:
        """Carry out a command about ESP SAs; others do nothing."""
        self._forwarder.execute(command, now)
        self._drain(now)

    def esp_from_udp(
        self, octets: bytes, local: Address, remote: Address, remote_port: int, now: float, ecn: int = 0
    ) -> None:
        """Take ESP that came in UDP, from the SPI on; the owner of port 4500 tells it from IKE by its first octets.

        `ecn`: the two bits of its IP header (RFC 6040).
        """
        self._forwarder.from_wire(octets, local, remote, now, udp=True, remote_port=remote_port, ecn=ecn)
        self._drain(now)

    def esp_from_ip(self, octets: bytes, local: Address, remote: Address, now: float, ecn: int = 0) -> None:
        """Take ESP that came right in IP, from the SPI on; `ecn` as above."""
        self._forwarder.from_wire(octets, local, remote, now, ecn=ecn)
        self._drain(now)

    def packet_from_tunnel(self, tunnel: str, packet: bytes, now: float) -> None:
        """Take an inner packet that routing put on a tunnel."""
        self._forwarder.from_tunnel(tunnel, packet, now)
        self._drain(now)

    def tick(self, now: float) -> None:
        """Let counters and drops be told; to be called about every second."""
        self._forwarder.tick(now)
        self._drain(now)

    def take(self) -> list[Told]:
        """What was reported since the last call: reports for the engine, events for the stream, oldest first."""
        told, self._told = self._told, []
        return told

    def counters(self, spi: int, direction: Direction) -> Counters | None:
        """The counters of an SA, None without such an SA."""
        return self._forwarder.counters(spi, direction)

    def all_counters(self) -> Iterator[tuple[int, Direction, Counters]]:
        """SPI, direction and counters of every SA."""
        return self._forwarder.all_counters()

    def carry(self, path: TunnelPath, now: float) -> None:
        """Carry a tunnel from now on, or go on with it as it is now (`Forwarder.carry`)."""
        self._forwarder.carry(path, now)
        self._drain(now)

    def abandon(self, tunnel: str, now: float) -> None:
        """Carry a tunnel no longer: its SAs are gone, and what waits for one."""
        self._forwarder.abandon(tunnel, now)
        self._drain(now)

    def held(self, tunnel: str) -> int:
        """How many packets of a tunnel wait for an SA."""
        return self._forwarder.held(tunnel)

    def _drain(self, now: float) -> None:
        for output in self._forwarder.outputs():
            lost = ""
            match output:
                case ToWire():
                    lost = self._to_wire(output)
                case ToTunnel():
                    lost = self._to_tunnel(output)
                case Acquire() | Expired() | PeerMoved() | Refused() | Traffic() | Event():
                    self._told.append(output)
            if lost:
                self._forwarder.drop(lost, now)
