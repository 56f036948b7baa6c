"""The data plane in user space: a TUN device for each tunnel, ESP by a raw socket or in the daemon's UDP port 4500."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from types import TracebackType

from ikescope.config.model import Address, RouterConfig
from ikescope.engine.commands import Destination
from ikescope.errors import LocalError
from ikescope.esp.forwarder import ToTunnel, ToWire
from ikescope.esp.packet import ESP
from ikescope.esp.paths import carried, tunnel_path
from ikescope.esp.plane import Plane
from ikescope.planes import host as host_module
from ikescope.planes.ecn import ANCILLARY_OCTETS, ecn_told, send_marked, tell_ecn
from ikescope.planes.host import look
from ikescope.planes.links import Changes, path_mtu, plan_changes, tunnel_source
from ikescope.planes.tun import open_tun, probe

__all__ = ["UserlandPlane", "plan", "probe"]

BATCH = 64
_PACKET_OCTETS = 65535
_RECEIVE_BUFFER = 1 << 20
_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT = 10, 0
_IPV6_MTU_DISCOVER = 23


def plan(
    config: RouterConfig, *, interfaces: Mapping[str, str] | None = None, ssh_connection: str | None = None
) -> list[str]:
    """Every change that running this configuration makes to the host, a line each; nothing is changed."""
    _, changes = _prepare(config, interfaces or {}, ssh_connection)
    return changes.lines()


def _prepare(
    config: RouterConfig, interfaces: Mapping[str, str], ssh_connection: str | None
) -> tuple[dict[str, tuple[Address, int]], Changes]:
    """Source address and path MTU of each carried tunnel, and the changes."""
    host = look()
    sources = {tunnel.name: tunnel_source(config, tunnel, host, interfaces) for tunnel in carried(config)}
    ways = {name: (address, path_mtu(address, host)) for name, address in sources.items()}
    return ways, plan_changes(config, host, sources, ssh_connection)


@lru_cache(maxsize=256)
def _address(text: str) -> Address:
    """The address of a sender; an IPv6 one may carry its zone."""
    return ip_address(text.partition("%")[0])


class UserlandPlane(Plane):
    """The tunnels of one configuration on this host.

    Made, it has looked at the host and refused what cannot be (LocalError); `open` changes the host, `close` takes all
    of it back. In between the owner watches `filenos()` and calls `read_ready` for one that is readable.
    `send_udp(octets, path, ecn)` sends ESP, from its SPI on, by the daemon's port 4500, with those two bits in its IP
    header. `interfaces`: device by interface.
    """

    name = "userland"

    def __init__(
        self,
        config: RouterConfig,
        *,
        random: Callable[[int], bytes],
        send_udp: Callable[[bytes, Destination, int], None],
        interfaces: Mapping[str, str] | None = None,
        ssh_connection: str | None = None,
    ) -> None:
        ways, self._changes = _prepare(config, interfaces or {}, ssh_connection)
        self.paths = {tunnel.name: tunnel_path(config, tunnel, *ways[tunnel.name]) for tunnel in carried(config)}
        super().__init__(tuple(self.paths.values()), random)
        self._send_udp = send_udp
        self._devices: dict[str, int] = {}  # every TUN of ours
        self._tunnels: dict[int, str] = {}  # by file descriptor, those that are read
        self._sockets: dict[Address, socket.socket] = {}
        self._local: dict[int, Address] = {}  # of a raw socket, by file descriptor

    @property
    def sources(self) -> dict[str, Address]:
        """The source address of each tunnel, also where the file does not say it."""
        return {name: path.source for name, path in self.paths.items()}

    def __enter__(self) -> UserlandPlane:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Make blackholes, devices, routes and sockets; on a LocalError all of it is taken back."""
        try:
            for prefix in self._changes.blackholes:
                host_module.add_blackhole(prefix)
            for device in self._changes.devices:
                fd = open_tun(device.name)
                self._devices[device.name] = fd
                if not device.loopback:
                    self._tunnels[fd] = device.name
                host_module.set_up_device(device.name, device.mtu, device.addresses, ipv6=device.ipv6)
            for route in self._changes.routes:
                host_module.add_route(route.prefix, route.device, route.metric)
            for prefix in self._changes.leftovers:
                host_module.remove_blackhole(prefix)
            for address in dict.fromkeys(path.source for path in self.paths.values()):
                self._open_socket(address)
        except LocalError:
            self.close()
            raise

    def _open_socket(self, address: Address) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            raw = socket.socket(family, socket.SOCK_RAW, ESP)
        except PermissionError as error:
            raise LocalError("the raw socket for ESP needs CAP_NET_RAW (run as root)") from error
        except OSError as error:
            raise LocalError(f"the raw socket for ESP cannot be made: {error.strerror}") from error
        self._sockets[address] = raw
        self._local[raw.fileno()] = address
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        tell_ecn(raw)
        # The tunnel's MTU keeps packets within the path; one that is still too large is fragmented, not lost.
        if address.version == 4:
            raw.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        else:
            raw.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        try:
            raw.bind((str(address), 0))
        except OSError as error:
            raise LocalError(f"ESP cannot be received on {address}: {error.strerror}") from error

    def close(self) -> None:
        """Take everything back: the devices first, while the blackholes still stand behind their routes."""
        for raw in self._sockets.values():
            raw.close()
        self._sockets.clear()
        self._local.clear()
        for fd in self._devices.values():
            os.close(fd)
        self._devices.clear()
        self._tunnels.clear()
        for prefix in self._changes.blackholes:
            with suppress(LocalError):
                host_module.remove_blackhole(prefix)

    def filenos(self) -> tuple[int, ...]:
        """The file descriptors to watch for reading."""
        return (*self._tunnels, *self._local)

    def read_ready(self, fd: int, now: float) -> None:
        """Take at most 64 packets from a readable descriptor; more of them make it readable again."""
        tunnel = self._tunnels.get(fd)
        try:
            if tunnel is not None:
                for _ in range(BATCH):
                    self.packet_from_tunnel(tunnel, os.read(fd, _PACKET_OCTETS), now)
            elif fd in self._local:
                self._read_socket(self._local[fd], now)
        except BlockingIOError:
            return
        except OSError as error:
            self._forwarder.drop(f"cannot read from {tunnel or 'the ESP socket'}: {error.strerror}", now)
            self._drain(now)

    def _read_socket(self, local: Address, now: float) -> None:
        raw = self._sockets[local]
        for _ in range(BATCH):
            octets, ancillary, _, sender = raw.recvmsg(_PACKET_OCTETS, ANCILLARY_OCTETS)
            ecn = ecn_told(ancillary)
            if local.version == 4:  # an IPv4 raw socket shows the IP header, an IPv6 one does not
                octets, ecn = octets[(octets[0] & 15) * 4 :], octets[1] & 3
            self.esp_from_ip(octets, local, _address(sender[0]), now, ecn)

    def _to_wire(self, output: ToWire) -> str:
        path = output.path
        raw = self._sockets.get(path.local)
        try:
            if output.udp:
                self._send_udp(output.octets, path, output.ecn)
            elif raw is None:
                return f"no ESP socket on {path.local}"
            else:
                send_marked(raw, output.octets, (str(path.remote), 0), output.ecn)
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
