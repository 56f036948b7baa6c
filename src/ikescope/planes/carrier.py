"""Packets between TUN devices and the wire through a Forwarder, by descriptors that were handed in.

A Carrier changes nothing of the host and runs no loop: its owner watches `filenos()` and says when one is readable.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ikescope.config.model import Address
from ikescope.engine.commands import Command, Destination, RemoveSa
from ikescope.esp.forwarder import ToTunnel, ToWire
from ikescope.esp.plane import Plane
from ikescope.esp.sa import OutboundSa
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes import vnet
from ikescope.planes.datagrams import make_room, receive_runs, send_run
from ikescope.planes.ecn import marking, send_marked
from ikescope.planes.mmsg import Sender, available, socket_address
from ikescope.planes.reception import Reception, Source
from ikescope.planes.tun import has_vnet, offload
from ikescope.planes.turns import pass_on

if TYPE_CHECKING:
    from ikescope.planes.inbound import Inbound
    from ikescope.planes.outbound import Desk

BATCH = 64
"""Packets taken from a descriptor at one wake-up: the others have their turn then."""
ROUNDS = 32
"""How often each socket is looked at, at most, before an inbound SA ends."""
_PACKET_OCTETS = 65535
_MARKER, _KEEPALIVE_OCTETS = bytes(4), 1
_IP_MTU_DISCOVER, _PMTUDISC_DONT, _PMTUDISC_WANT = 10, 0, 1

SendUdp = Callable[[bytes, Destination, int], None]
OnStray = Callable[[bytes, Destination], None]


def can_batch() -> bool:
    """Whether numpy is there, by which packets are carried in runs; without it a device is to have no vnet header."""
    return find_spec("numpy") is not None


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
        self._vnet: set[int] = set()  # the devices with a vnet header before each packet
        self._readers: dict[int, Callable[[float], None]] = {}
        self._last: tuple[Destination, socket.socket | None, str] | None = None
        self._df: dict[socket.socket, bool] = {}  # of those that ESP alone uses: whether what they send has DF
        self._owned: list[socket.socket] = []
        self._desk: Desk | None = None
        self._many = Sender() if available() else None
        self._inbound = self._batches()

    def _batches(self) -> Inbound | None:
        """What opens runs, None where numpy is not installed: everything goes packet by packet then."""
        if not can_batch():
            return None
        from ikescope.planes.inbound import Inbound

        return Inbound(self._forwarder, self._write, self._drain)

    def add_tunnel(self, name: str, fd: int, *, read: bool = True) -> None:
        """Take the non-blocking descriptor of a TUN device (or of one of its queues), which `close` closes.

        Without `read` packets are only written to it. Of one with vnet headers, offloads are asked for.
        """
        self._devices[name] = fd
        if has_vnet(fd):
            self._vnet.add(fd)
            udp = offload(fd)
            if self._inbound is not None:
                self._inbound.udp_offload &= udp
        if not read:
            return
        self._tunnels[fd] = name
        if fd in self._vnet:
            from ikescope.planes.outbound import Desk, Outbound

            self._desk = self._desk or Desk()
            self._readers[fd] = Outbound(self._forwarder, name, fd, self._send_run, self._drain, self._desk).read
        else:
            self._readers[fd] = lambda now: self._read_tunnel(name, fd, now)

    def drop_tunnel(self, name: str) -> None:
        """Close a tunnel's device; what it still had is lost."""
        fd = self._devices.pop(name, None)
        if fd is None:
            return
        self._vnet.discard(fd)
        self._tunnels.pop(fd, None)
        self._readers.pop(fd, None)
        os.close(fd)

    def drop_address(self, local: Address) -> None:
        """Neither receive nor send on a local address any more; sockets that are shared stay open."""
        self._last = None
        gone = [each for each in (self._raw.pop(local, None),) if each is not None]
        gone += [self._udp.pop(key) for key in [key for key in self._udp if key[0] == local]]
        for one in gone:
            self._df.pop(one, None)
            self._readers.pop(one.fileno(), None)
            if one in self._owned:
                self._owned.remove(one)
                one.close()

    def add_raw(self, local: Address, raw: socket.socket, *, read: bool = True) -> None:
        """Take the non-blocking raw socket for ESP of a local address; `close` closes it."""
        self._raw[local] = raw
        self._owned.append(raw)
        make_room(raw)
        if local.version == 4:
            self._df[raw] = False
        if read:
            self._readers[raw.fileno()] = self._reader(raw, local, None)

    def add_udp(
        self, local: Address, port: int, udp: socket.socket, *, read: bool = True, shared: bool = False
    ) -> None:
        """Take the non-blocking UDP socket that is bound to a local address and port.

        Without `read` it only sends; one that is `shared` stays open at `close`.
        """
        self._udp[local, port] = udp
        self._last = None
        if not shared:
            self._owned.append(udp)
        make_room(udp)
        if read and local.version == 4:
            self._df[udp] = False
        if read:
            if self._inbound is not None:
                receive_runs(udp)
            self._readers[udp.fileno()] = self._reader(udp, local, port)

    def _reader(self, one: socket.socket, local: Address, port: int | None) -> Callable[[float], None]:
        reception = Reception(one, local, port, self._single)
        reception.take_run = None if self._inbound is None else self._inbound.take
        return reception.read

    def close(self) -> None:
        """Close the descriptors: the devices are gone with them."""
        for each in self._owned:
            each.close()
        for fd in {*self._devices.values(), *self._tunnels}:
            os.close(fd)
        self._df.clear()
        self._last = None
        for held in (self._owned, self._devices, self._vnet, self._tunnels, self._raw, self._udp, self._readers):
            held.clear()

    def execute(self, command: Command, now: float) -> None:
        """Carry out a command about ESP SAs; others do nothing.

        The Delete that ends an SA came by another socket than its last packets, which lie in ours if they came before.
        """
        if isinstance(command, RemoveSa) and command.direction == "in":
            self._catch_up(now)
        super().execute(command, now)

    def _catch_up(self, now: float) -> None:
        """Take what has come by the sockets until now, within bounds."""
        poll = select.poll()
        for fd in self._readers.keys() - self._tunnels.keys():
            poll.register(fd, select.POLLIN)
        for _ in range(ROUNDS):
            ready = poll.poll(0)
            if not ready:
                return
            for fd, _ in ready:
                self.read_ready(fd, now)

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

    def _single(self, octets: bytes, source: Source, now: float) -> None:
        """One datagram from a socket that is watched."""
        local, remote, port, ecn = source.local, source.remote, source.port, source.ecn
        if port is None:
            self.esp_from_ip(octets, local, remote, now, ecn)
        elif len(octets) > _KEEPALIVE_OCTETS and not octets.startswith(_MARKER):
            self.esp_from_udp(octets, local, remote, port, now, ecn)
        elif self._stray is not None:
            self._stray(octets, Destination(local, source.local_port, remote, port))

    def _send_run(self, sa: OutboundSa, octets: memoryview, size: int, ecn: int, now: float) -> None:
        path = sa.path
        udp, to = self._socket_for(path) if sa.udp else (None, "")
        raw = None if sa.udp else self._raw.get(path.local)
        if raw is not None and self._many is not None:
            self._dont_fragment(raw, sa.df)
            count, why = self._many.send(raw.fileno(), octets, size, socket_address(path.remote), marking(raw, ecn))
            for _ in range(count):
                self._forwarder.drop(f"ESP to {path.remote}: {why}", now)
            return
        if udp is None:
            for at in range(0, len(octets), size):
                lost = self._to_wire(ToWire(bytes(octets[at : at + size]), path, sa.udp, ecn, sa.df))
                if lost:
                    self._forwarder.drop(lost, now)
            return
        try:
            self._dont_fragment(udp, sa.df)
            send_run(udp, octets, size, (to, path.remote_port), ecn)
        except OSError as error:
            for _ in range(0, len(octets), size):
                self._forwarder.drop(f"ESP to {path.remote}: {error.strerror}", now)

    def _socket_for(self, path: Destination) -> tuple[socket.socket | None, str]:
        """The UDP socket for a path, and the address of its far end as text; the last one is kept."""
        last = self._last
        if last is None or last[0] is not path:
            udp = self._udp.get((path.local, path.local_port))
            last = self._last = path, udp, str(path.remote)
        return last[1], last[2]

    def _write(self, name: str, pieces: Sequence[bytes | memoryview], packets: int, now: float) -> bool:
        """Write packets that were joined, or one by itself."""
        fd = self._devices.get(name)
        if packets > 1 and fd not in self._vnet:
            return False
        if fd is None:
            self._forwarder.drop(f"{name} is closed", now)
            return False
        try:
            os.writev(fd, (vnet.NOTHING, *pieces) if packets == 1 and fd in self._vnet else pieces)
        except OSError as error:
            if packets == 1:
                self._forwarder.drop(f"{name}: {error.strerror}", now)
            return False
        if packets > 1:
            pass_on()
        return True

    def _dont_fragment(self, one: socket.socket, df: bool) -> None:
        """What a socket of ours sends from now on has DF, as long as it fits what the host knows of the path."""
        if self._df.get(one, df) is not df:
            self._df[one] = df
            one.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_WANT if df else _PMTUDISC_DONT)

    def _to_wire(self, output: ToWire) -> str:
        path = output.path
        try:
            if not output.udp:
                raw = self._raw.get(path.local)
                if raw is None:
                    return f"no ESP socket on {path.local}"
                self._dont_fragment(raw, output.df)
                send_marked(raw, output.octets, (str(path.remote), 0), output.ecn)
                return ""
            udp, to = self._socket_for(path)
            if udp is not None:
                self._dont_fragment(udp, output.df)
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
            if fd in self._vnet:
                os.writev(fd, (vnet.NOTHING, output.packet))
            else:
                os.write(fd, output.packet)
        except OSError as error:
            return f"{output.name}: {error.strerror}"
        return ""
