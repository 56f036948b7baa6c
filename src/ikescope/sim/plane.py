"""The data plane of a world in memory: no devices, packets go to callables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ikescope.engine.commands import Destination
from ikescope.esp.forwarder import ToTunnel, ToWire
from ikescope.esp.plane import Plane
from ikescope.esp.tunnel import TunnelPath


class MemoryPlane(Plane):
    """A Forwarder whose ESP goes to `send_udp(octets, path)` or `send_esp(octets, path)`, from the SPI on, and whose
    arriving inner packets go to `deliver(tunnel, packet)`.

    The world hands in what arrives by `esp_from_udp`, `esp_from_ip` and `packet_from_tunnel`.
    """

    name = "memory"

    def __init__(
        self,
        tunnels: Sequence[TunnelPath],
        random: Callable[[int], bytes],
        *,
        send_udp: Callable[[bytes, Destination], None],
        send_esp: Callable[[bytes, Destination], None],
        deliver: Callable[[str, bytes], None],
    ) -> None:
        super().__init__(tunnels, random)
        self._send_udp = send_udp
        self._send_esp = send_esp
        self._deliver = deliver

    def _to_wire(self, output: ToWire) -> str:
        (self._send_udp if output.udp else self._send_esp)(output.octets, output.path)
        return ""

    def _to_tunnel(self, output: ToTunnel) -> str:
        self._deliver(output.name, output.packet)
        return ""
