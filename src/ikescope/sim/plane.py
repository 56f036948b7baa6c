"""The data plane of a world in memory: no devices, packets go to callables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ikescope.engine.commands import Command, Destination, InstallSa
from ikescope.errors import LocalError
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
        self.audit: Callable[[Command], None] | None = None
        self.refuse: Callable[[InstallSa], str] | None = None

    def execute(self, command: Command, now: float) -> None:
        """Carry out a command; `refuse` may say why an SA is not installed, `audit` sees what is carried out."""
        if self.refuse is not None and isinstance(command, InstallSa) and (why := self.refuse(command)):
            raise LocalError(why)
        if self.audit is not None:
            self.audit(command)
        super().execute(command, now)

    def _to_wire(self, output: ToWire) -> str:
        (self._send_udp if output.udp else self._send_esp)(output.octets, output.path)
        return ""

    def _to_tunnel(self, output: ToTunnel) -> str:
        self._deliver(output.name, output.packet)
        return ""

    def waiting(self) -> bool:
        """Whether a packet waits for its SA."""
        return any(state.held for state in self._forwarder._tunnels.values())
