"""Packets between TUN devices and the wire through a Forwarder, by descriptors that were handed in.

A Carrier changes nothing of the host and runs no loop: its owner watches `filenos()` and says when one is readable.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_address

from ikescope.config.model import Address
from ikescope.engine.commands import Destination
from ikescope.esp.forwarder import ToTunnel, ToWire
from ikescope.esp.plane import Plane
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes.ecn import ANCILLARY_OCTETS, ecn_told, send_marked

BATCH = 64
"""Packets taken from a descriptor at one wake-up: the others have their turn then."""
_PACKET_OCTETS = 65535
_MARKER, _KEEPALIVE_OCTETS = bytes(4), 1

SendUdp = Callable[[bytes, Destination, int], None]
OnStray = Callable[[bytes, Destination], None]


@lru_cache(maxsize=256)
def _address(text: str) -> Address:
    """The address of a sender; an IPv6 one may carry its zone."""
    return ip_address(text.partition("%")[0])


class Carrier(Plane):
    """One step of the data path: takes what a descriptor has, hands on what comes of it.

    The descriptors are the carrier's from `add_*` on; `close` closes those it owns. `send_udp(octets, path, ecn)` sends
    ESP in UDP where no socket for the path's local address and port was added. `stray(octets, path)` gets what a
    watched UDP socket receives and is no ESP (IKE with its marker, keepalives).
    """

    name = "carrier"

    def __init__(
        self,
        tunnels: Sequence[TunnelPath],
        *,
        random: Callable[[int], bytes],
        send_udp: SendUdp | None = None,
        stray: OnStray | None = None,
    ) -> None:
        super().__init__(tunnels, random)
        self._send_udp = send_udp
        self._stray = stray
        self._devices: dict[str, int] = {}  # where a tunnel's packets are written
        self._tunnels: dict[int, str] = {}  # by file descriptor, those that are read
        self._raw: dict[Address, socket.socket] = {}
        self._udp: dict[tuple[Address, int], socket.socket] = {}
        self._readers: dict[int, Callable[[float], None]] = {}
        self._owned: list[socket.socket] = []

    def add_tunnel(self, name: str, fd: int, *, read: bool = True) -> None:
        """Take the non-blocking descriptor of a TUN device (or of one of its queues), which `close` closes.

        Without `read` packets are only written to it.
        """
        self._devices[name] = fd
        if read:
            self._tunnels[fd] = name

            def reader(now: float) -> None:
                self._read_tunnel(name, fd, now)

            self._readers[fd] = reader

    def add_raw(self, local: Address, raw: socket.socket, *, read: bool = True) -> None:
        """Take the non-blocking raw socket for ESP of a local address; `close` closes it."""
        self._raw[local] = raw
        self._owned.append(raw)
        if read:

            def reader(now: float) -> None:
                self._read_raw(local, raw, now)

            self._readers[raw.fileno()] = reader

    def add_udp(
        self, local: Address, port: int, udp: socket.socket, *, read: bool = True, shared: bool = False
    ) -> None:
        """Take the non-blocking UDP socket that is bound to a local address and port.

        Without `read` it only sends; one that is `shared` stays open at `close`.
        """
        self._udp[local, port] = udp
        if not shared:
            self._owned.append(udp)
        if read:

            def reader(now: float) -> None:
                self._read_udp(local, port, udp, now)

            self._readers[udp.fileno()] = reader

    def close(self) -> None:
        """Close the descriptors: the devices are gone with them."""
        for each in self._owned:
            each.close()
        for fd in {*self._devices.values(), *self._tunnels}:
            os.close(fd)
        for held in (self._owned, self._devices, self._tunnels, self._raw, self._udp, self._readers):
            held.clear()

    def filenos(self) -> tuple[int, ...]:
        """The file descriptors to watch for reading."""
        return tuple(self._readers)

    def read_ready(self, fd: int, now: float) -> None:
        """Take at most 64 packets from a readable descriptor; more of them make it readable again."""
        reader = self._readers.get(fd)
        if reader is None:
            return
        try:
            reader(now)
        except BlockingIOError:
            return
        except OSError as error:
            self._forwarder.drop(f"cannot read from {self._tunnels.get(fd, 'the ESP socket')}: {error.strerror}", now)
            self._drain(now)

    def _read_tunnel(self, name: str, fd: int, now: float) -> None:
        for _ in range(BATCH):
            self.packet_from_tunnel(name, os.read(fd, _PACKET_OCTETS), now)

    def _read_raw(self, local: Address, raw: socket.socket, now: float) -> None:
        for _ in range(BATCH):
            octets, ancillary, _, sender = raw.recvmsg(_PACKET_OCTETS, ANCILLARY_OCTETS)
            ecn = ecn_told(ancillary)
            if local.version == 4:  # an IPv4 raw socket shows the IP header, an IPv6 one does not
                octets, ecn = octets[(octets[0] & 15) * 4 :], octets[1] & 3
            self.esp_from_ip(octets, local, _address(sender[0]), now, ecn)

    def _read_udp(self, local: Address, port: int, udp: socket.socket, now: float) -> None:
        for _ in range(BATCH):
            octets, ancillary, _, sender = udp.recvmsg(_PACKET_OCTETS, ANCILLARY_OCTETS)
            remote = _address(sender[0])
            if len(octets) > _KEEPALIVE_OCTETS and not octets.startswith(_MARKER):
                self.esp_from_udp(octets, local, remote, sender[1], now, ecn_told(ancillary))
            elif self._stray is not None:
                self._stray(octets, Destination(local, port, remote, sender[1]))

    def _to_wire(self, output: ToWire) -> str:
        path = output.path
        to = str(path.remote)
        try:
            if not output.udp:
                raw = self._raw.get(path.local)
                if raw is None:
                    return f"no ESP socket on {path.local}"
                send_marked(raw, output.octets, (to, 0), output.ecn)
                return ""
            udp = self._udp.get((path.local, path.local_port))
            if udp is not None:
                send_marked(udp, output.octets, (to, path.remote_port), output.ecn)
            elif self._send_udp is not None:
                self._send_udp(output.octets, path, output.ecn)
            else:
                return f"no socket on {path.local}:{path.local_port}"
        except OSError as error:
            return f"ESP to {path.remote}: {error.strerror}"
        return ""

    def _to_tunnel(self, output: ToTunnel) -> str:
        fd = self._devices.get(output.name)
        if fd is None:
            return f"{output.name} is closed"
        try:
            os.write(fd, output.packet)
        except OSError as error:
            return f"{output.name}: {error.strerror}"
        return ""
