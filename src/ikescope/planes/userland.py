"""The data plane in user space: a TUN device for each tunnel, ESP by a raw socket or in the daemon's UDP port 4500."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Protocol

from ikescope.config.model import Address, RouterConfig
from ikescope.engine.commands import Command, Destination
from ikescope.errors import LocalError
from ikescope.esp.packet import ESP
from ikescope.esp.plane import Told
from ikescope.esp.sa import Counters, Direction
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes import host as host_module
from ikescope.planes.carrier import Carrier, can_batch
from ikescope.planes.datagrams import make_room
from ikescope.planes.ecn import tell_ecn
from ikescope.planes.host import look
from ikescope.planes.layout import Change, prepare, without
from ikescope.planes.links import DeviceChange, RouteChange, RouteKey
from ikescope.planes.pathmtu import PathMtus
from ikescope.planes.privileges import Account
from ikescope.planes.steering import lock, steer_raw
from ikescope.planes.steps import (
    Blackhole,
    Close,
    Layout,
    Lead,
    Leave,
    Listen,
    Loopback,
    NoBlackhole,
    NoLoopback,
    NoRoute,
    Open,
    Reroute,
    Route,
    Shape,
    Step,
    steps,
)
from ikescope.planes.tun import Opener, open_clone, open_tun, probe
from ikescope.planes.workers import Workers

__all__ = ["UserlandPlane", "plan", "probe"]

NAT_PORT = 4500
_RECEIVE_BUFFER = 1 << 20
_IP_MTU_DISCOVER, _IP_PMTUDISC_DONT = 10, 0
_IPV6_MTU_DISCOVER = 23


class NatPort(Protocol):
    """The router's port 4500."""

    def groups(self) -> Mapping[Address, Sequence[socket.socket]]:
        """The sockets of the workers by local address, none where nothing is steered."""

    def port_4500(self, address: Address) -> socket.socket:
        """The router's own."""

    def listen(self, address: Address) -> None:
        """Have the router's ports on a local address; LocalError where they cannot be had."""

    def leave(self, address: Address) -> None:
        """Close them; nothing where there are none."""

    def stray(self, octets: bytes, path: Destination, ecn: int) -> None:
        """Take what came to a worker and is no ESP."""


def plan(
    config: RouterConfig, *, interfaces: Mapping[str, str] | None = None, ssh_connection: str | None = None
) -> list[str]:
    """Every change that running this configuration makes to the host, a line each; nothing is changed."""
    return prepare(config, look(), interfaces or {}, ssh_connection).changes.lines()


class UserlandPlane:
    """The tunnels of one configuration on this host.

    Made, it has looked at the host and refused what cannot be (LocalError); `open` changes the host, `close` takes all
    of it back. In between the owner watches `filenos()` and calls `read_ready` for one that is readable. A Carrier
    carries the packets, here or in so many `workers`. `send_udp(octets, path, ecn)` sends ESP, from its SPI on, by the
    daemon's port 4500, with those two bits in its IP header; workers have sockets of that `port`, which is there when
    `open` is called, and run as `account`. `interfaces`: device by interface.
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
        port: Callable[[], NatPort] | None = None,
        workers: int = 0,
        account: Account | None = None,
        opener: Opener = open_clone,
    ) -> None:
        self._interfaces, self._ssh, self._port, self._opener = interfaces or {}, ssh_connection, port, opener
        self._wanted = prepare(config, look(), self._interfaces, ssh_connection)
        self._stands = Layout()
        self._routes: dict[RouteKey, RouteChange] = {}
        self._listening: list[Address] = []
        self._mtus = PathMtus({}, {}, set_mtu=host_module.set_mtu)
        self._carrier: Carrier | Workers
        if workers and port is not None:
            self._carrier = Workers((), workers, stray=self._stray, account=account)
        else:
            self._carrier = Carrier((), random=random, send_udp=send_udp, stray=self._stray)

    @property
    def workers(self) -> int:
        """How many processes carry packets beside this one; with any, `take` tells of each SA when it is installed."""
        return len(self._carrier) if isinstance(self._carrier, Workers) else 0

    @property
    def group(self) -> int:
        """How many sockets the router's port 4500 is to have for ESP."""
        return 0 if self._port is None else max(1, self.workers)

    @property
    def paths(self) -> Mapping[str, TunnelPath]:
        """The data path of each tunnel."""
        return self._wanted.paths

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
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a descriptor for each tunnel
        try:
            if isinstance(self._carrier, Workers):
                self._carrier.start()
            for step in steps(Layout(), self._wanted).first:
                self.apply(step, 0.0)
            for prefix in self._wanted.changes.leftovers:
                host_module.remove_blackhole(prefix)
            self._stands = self._wanted
            if isinstance(self._carrier, Workers):
                self._carrier.wait()
        except LocalError:
            self.close()
            raise

    # --- another configuration

    def change(self, config: RouterConfig) -> Change:
        """What is to be done for another configuration; LocalError where it cannot be. Nothing is done yet."""
        after = prepare(config, without(look(), self._stands), self._interfaces, self._ssh, self._stands)
        return Change(after, steps(self._stands, after, self._listening))

    def stand(self, layout: Layout) -> None:
        """All steps to this layout are taken, or will be when its addresses are needed no more."""
        self._stands = self._wanted = layout

    def apply(self, step: Step, now: float) -> None:
        """Take one step; LocalError where the host refuses it, and then nothing of it is left."""
        match step:
            case Blackhole():
                host_module.add_blackhole(step.prefix)
            case NoBlackhole():
                host_module.remove_blackhole(step.prefix)
            case Loopback() | Open():
                self._open(step, now)
            case NoLoopback() | Close():
                self._close(step, now)
            case Listen():
                self._listen(step.address)
            case Leave():
                self._leave(step.address)
            case Shape():
                self._shape(step.before, step.after)
            case Lead():
                self._carrier.carry(step.after, now)
                self._mtus.carry(step.after)
            case Route():
                host_module.add_route(step.route.prefix, step.route.device, step.route.metric)
                self._routes[step.route.key] = step.route
            case NoRoute():
                host_module.remove_route(step.route.prefix, step.route.device, step.route.metric)
                self._routes.pop(step.route.key, None)
            case Reroute():
                host_module.replace_route(step.after.prefix, step.after.device, step.after.metric)
                self._routes[step.after.key] = step.after

    def _open(self, step: Loopback | Open, now: float) -> None:
        device = step.device
        tun = open_tun(device.name, vnet=can_batch(), opener=self._opener)
        try:
            if isinstance(step, Open):
                self._carrier.carry(step.path, now)
                self._mtus.carry(step.path, device)
            self._carrier.add_tunnel(device.name, tun, read=not device.loopback)
            host_module.set_up_device(device.name, device.mtu, device.addresses, ipv6=device.ipv6)
        except LocalError:
            self._close(step, now)
            raise

    def _close(self, step: Loopback | Open | NoLoopback | Close, now: float) -> None:
        name = step.device.name
        if isinstance(step, Open | Close):
            self._mtus.abandon(name)
            self._carrier.abandon(name, now)
        self._carrier.drop_tunnel(name)
        host_module.remove_device(name)  # a worker closes its descriptor a moment later
        self._routes = {key: route for key, route in self._routes.items() if route.device != name}

    def _shape(self, before: DeviceChange, after: DeviceChange) -> None:
        name = after.name
        try:
            if before.addresses != after.addresses or before.ipv6 != after.ipv6:
                host_module.change_addresses(name, before.addresses, after.addresses, ipv6=after.ipv6)
                for route in self._routes.values():
                    if route.device == name:  # with the last address of a device the kernel takes its routes
                        host_module.replace_route(route.prefix, name, route.metric)
            self._mtus.shape(before, after)
        except LocalError:
            with suppress(LocalError):
                host_module.change_addresses(name, after.addresses, before.addresses, ipv6=before.ipv6)
            raise

    def _listen(self, address: Address) -> None:
        if self._port is not None:
            self._port().listen(address)
        try:
            if isinstance(self._carrier, Workers):
                self._staff(self._carrier, address)
            else:
                self._carry_here(self._carrier, address)
        except LocalError:
            self._leave(address)
            raise
        self._listening.append(address)

    def _leave(self, address: Address) -> None:
        self._carrier.drop_address(address)
        if address in self._listening:
            self._listening.remove(address)
        if self._port is not None:
            self._port().leave(address)

    def _carry_here(self, carrier: Carrier, address: Address) -> None:
        carrier.add_raw(address, open_raw(address))
        for one in self._port().groups().get(address, ()) if self._port is not None else ():
            carrier.add_udp(address, NAT_PORT, one, shared=True)

    def _staff(self, workers: Workers, address: Address) -> None:
        """Each worker's sockets on a local address; where the kernel does not steer, one gets all and hands on."""
        assert self._port is not None
        port = self._port()
        raw = [open_raw(address) for _ in range(len(workers))]
        try:
            for number, one in enumerate(raw):
                steer_raw(one, number, len(raw))
                lock(one)
        except OSError:
            workers.add_raw(address, raw, steered=False)
        else:
            workers.add_raw(address, raw)
        group = port.groups().get(address)
        sockets = group or [port.port_4500(address)] * len(workers)
        for one in (*raw, *sockets):
            make_room(one)  # a worker may not
        workers.add_udp(address, NAT_PORT, sockets, read=bool(group))

    def _stray(self, octets: bytes, path: Destination, ecn: int = 0) -> None:
        assert self._port is not None
        self._port().stray(octets, path, ecn)

    def close(self) -> None:
        """Take everything back: the devices first, while the blackholes still stand behind their routes."""
        self._carrier.close()
        for prefix in dict.fromkeys((*self._wanted.changes.blackholes, *self._stands.changes.blackholes)):
            with suppress(LocalError):
                host_module.remove_blackhole(prefix)

    def filenos(self) -> tuple[int, ...]:
        """The file descriptors to watch for reading."""
        return self._carrier.filenos()

    def read_ready(self, fd: int, now: float) -> None:
        """Take a batch of packets from a readable descriptor; more of them make it readable again."""
        self._carrier.read_ready(fd, now)

    def execute(self, command: Command, now: float) -> None:
        """Carry out a command about ESP SAs; others do nothing."""
        self._carrier.execute(command, now)
        self._mtus.heard(command)

    def esp_from_udp(
        self, octets: bytes, local: Address, remote: Address, remote_port: int, now: float, ecn: int = 0
    ) -> None:
        """Take ESP that came by port 4500, from its SPI on; `ecn`: the two bits of its IP header."""
        self._carrier.esp_from_udp(octets, local, remote, remote_port, now, ecn)

    def tick(self, now: float) -> None:
        """Let counters and drops be told; to be called about every second."""
        self._carrier.tick(now)
        self._mtus.tick()

    def take(self) -> list[Told]:
        """What was reported since the last call: reports for the engine, events for the stream, oldest first."""
        return [*self._carrier.take(), *self._mtus.take()]

    def counters(self, spi: int, direction: Direction) -> Counters | None:
        """The counters of an SA, None without such an SA."""
        return self._carrier.counters(spi, direction)

    def held(self, tunnel: str) -> int:
        """How many packets of a tunnel wait for an SA."""
        return self._carrier.held(tunnel)


def open_raw(address: Address) -> socket.socket:
    """The non-blocking raw socket that sends and receives ESP on a local address; LocalError says why not."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        raw = socket.socket(family, socket.SOCK_RAW, ESP)
    except PermissionError as error:
        raise LocalError("the raw socket for ESP needs CAP_NET_RAW (run as root)") from error
    except OSError as error:
        raise LocalError(f"the raw socket for ESP cannot be made: {error.strerror}") from error
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
        raw.close()
        raise LocalError(f"ESP cannot be received on {address}: {error.strerror}") from error
    return raw
