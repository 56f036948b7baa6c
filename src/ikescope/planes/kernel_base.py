"""What the kernel plane makes of a host, and takes back: blackholes, devices, policies, and only then the devices go up
and routes lead into them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from os import close as close_tun
from typing import Protocol

from ikescope.config.model import Address, RouterConfig
from ikescope.errors import LocalError
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes import host as host_module
from ikescope.planes import kernel_host
from ikescope.planes.host import Host
from ikescope.planes.kernel_spd import NUMBERS, first_of, numbered
from ikescope.planes.kernel_spis import KernelSpis
from ikescope.planes.kernel_table import Table
from ikescope.planes.kernel_vrf import KernelVrfs
from ikescope.planes.kernel_waiting import Waiting
from ikescope.planes.layout import Change, prepare, without
from ikescope.planes.links import Changes, DeviceChange, RouteChange, RouteKey
from ikescope.planes.pathmtu import PathMtus
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
    NoVrf,
    Open,
    Reroute,
    Route,
    Shape,
    Step,
    Vrf,
    steps,
)
from ikescope.planes.tun import Opener, open_clone, open_tun
from ikescope.planes.xfrm_socket import Listener, Xfrm
from ikescope.planes.xfrm_wire import Group

_GROUPS = (Group.ACQUIRE, Group.EXPIRE, Group.MAPPING)


class Port(Protocol):
    """The router's UDP ports."""

    def listen(self, address: Address) -> None:
        """Have them on a local address; LocalError where they cannot be had."""

    def leave(self, address: Address) -> None:
        """Close them; nothing where there are none."""


class KernelBase:
    """Made, it has looked at the host and refused what cannot be (LocalError); `open` changes the host, `close` takes
    all of it back.
    """

    def __init__(
        self,
        config: RouterConfig,
        *,
        interfaces: Mapping[str, str] | None = None,
        ssh_connection: str | None = None,
        port: Callable[[], Port] | None = None,
        opener: Opener = open_clone,
    ) -> None:
        self._interfaces, self._ssh, self._port, self._opener = interfaces or {}, ssh_connection, port, opener
        host, self._leftovers = kernel_host.look()
        self._wanted = self._prepare(config, host)
        self._stands = Layout()
        self._routes: dict[RouteKey, RouteChange] = {}
        self._listening: list[Address] = []
        self._mtus = PathMtus({}, {}, set_mtu=host_module.set_mtu)
        self._slot = 0
        self._slot_socket: socket.socket | None = None
        self._xfrm: Xfrm | None = None
        self._listener: Listener | None = None
        self._table: Table | None = None
        self._waiting: Waiting | None = None
        self.spis: KernelSpis | None = None
        self._devices: list[str] = []
        self._loopbacks: dict[str, int] = {}
        self._vrfs = KernelVrfs()

    def _prepare(self, config: RouterConfig, host: Host, stands: Layout | None = None) -> Layout:
        layout = prepare(config, host, self._interfaces, self._ssh, stands, vrfs=True)
        for path in layout.paths.values():
            if path.gre and path.source.version == 4 and (stands is None or path.name not in stands.paths):
                kernel_host.refuse_unguarded(path.name, host.owner(path.source))
        return layout

    @property
    def paths(self) -> Mapping[str, TunnelPath]:
        """The data path of each tunnel."""
        return self._wanted.paths

    @property
    def _changes(self) -> Changes:
        return self._wanted.changes

    @property
    def sources(self) -> dict[str, Address]:
        """The source address of each tunnel, also where the file does not say it."""
        return {name: path.source for name, path in self.paths.items()}

    # --- the host

    def lines(self) -> list[str]:
        """Every change in the words of iproute2; those of the SAs come as they are negotiated."""
        tunnels, _ = numbered(self.paths.values(), 0)
        found = self._leftovers.lines()
        lines = [line for line in self._changes.lines() if line.startswith("ip route")]
        found += [line for line in lines if line.startswith("ip route replace")]
        routes = [line for line in lines if not line.startswith("ip route replace")]
        found += self._vrfs.lines(self._changes.vrfs)
        found += [kernel_host.device_words(tunnel) for tunnel in tunnels.values()]
        for tunnel in tunnels.values():
            found += kernel_host.policy_words(tunnel)
        for device in self._changes.devices:
            found += device.lines()[not device.loopback :]
        return found + routes

    def open(self) -> None:
        """Clear what a killed router left and make all that is needed, in such an order that at no moment anything
        leaves in clear. On a LocalError all of it is taken back.
        """
        try:
            self._open()
        except LocalError:
            self.close()
            raise

    def _open(self) -> None:
        self._slot, self._slot_socket = slot, _ = kernel_host.take_slot()
        kernel_host.clean(self._leftovers, slot)
        self._xfrm = xfrm = Xfrm()
        self._listener = Listener(_GROUPS)
        self._table = Table(xfrm, {}, slot, first_of(slot) + NUMBERS // 2)
        self._waiting = Waiting(xfrm)
        self.spis = KernelSpis(xfrm, (), first_of(slot))
        for step in steps(Layout(), self._wanted, rebuilds=True).first:
            self.apply(step, 0.0)
        for prefix in self._changes.leftovers:
            host_module.remove_blackhole(prefix)
        self._stands = self._wanted

    # --- another configuration

    def change(self, config: RouterConfig) -> Change:
        """What is to be done for another configuration; LocalError where it cannot be. Nothing is done yet."""
        host, _ = kernel_host.look()
        after = self._prepare(config, without(host, self._stands), self._stands)
        return Change(after, steps(self._stands, after, self._listening, rebuilds=True))

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
            case Vrf():
                self._vrfs.add(step.name, self._slot)
            case NoVrf():
                self._vrfs.remove(step.name)
            case Loopback():
                self._open_loopback(step.device)
            case NoLoopback():
                self._close_loopback(step.device.name)
            case Listen():
                self._listen(step.address)
            case Leave():
                self._leave(step.address)
            case Open():
                self._open_tunnel(step, now)
            case Close():
                self._close_tunnel(step.path.name, now)
            case Shape():
                self._shape(step.before, step.after)
            case Lead():
                self._lead(step)
            case Route():
                host_module.add_route(*self._vrfs.way(step.route))
                self._routes[step.route.key] = step.route
            case NoRoute():
                host_module.remove_route(*self._vrfs.way(step.route))
                self._routes.pop(step.route.key, None)
            case Reroute():
                host_module.replace_route(*self._vrfs.way(step.after))
                self._routes[step.after.key] = step.after

    def _open_loopback(self, device: DeviceChange) -> None:
        self._loopbacks[device.name] = open_tun(device.name, opener=self._opener)
        try:
            self._vrfs.enslave(device)
            host_module.set_up_device(device.name, device.mtu, device.addresses, ipv6=device.ipv6)
        except LocalError:
            self._close_loopback(device.name)
            raise

    def _close_loopback(self, name: str) -> None:
        if name in self._loopbacks:
            close_tun(self._loopbacks.pop(name))

    def _open_tunnel(self, step: Open, now: float) -> None:
        assert self._table is not None
        device = step.device
        tunnel = self._table.add(step.path)
        try:
            self._devices.append(device.name)
            kernel_host.add_device(tunnel, self._slot)
            # Made, a GRE device looks for a way to its other end as a packet would; down, it lets none out.
            self._table.apply(tunnel)
            self._vrfs.enslave(device)
            host_module.set_up_device(device.name, device.mtu, device.addresses, ipv6=device.ipv6)
        except LocalError:
            self._close_tunnel(device.name, now)
            raise
        self._mtus.carry(step.path, device)

    def _close_tunnel(self, name: str, now: float) -> None:
        """The device first, while policies and blackholes still stand."""
        assert self._table is not None and self._waiting is not None
        self._mtus.abandon(name)
        if name in self._devices:
            kernel_host.remove_device(name)
            self._devices.remove(name)
        self._routes = {key: route for key, route in self._routes.items() if route.device != name}
        self._waiting.forget(name)
        self._abandon(name, now)
        self._table.drop(name)

    def _abandon(self, tunnel: str, now: float) -> None:
        """Its SAs go."""

    def _lead(self, step: Lead) -> None:
        assert self._table is not None
        tunnel = self._table.lead(step.after)
        if step.after.gre and step.before.df != step.after.df:
            kernel_host.lead_device(tunnel, tunnel.remote)
        self._mtus.carry(step.after)

    def _shape(self, before: DeviceChange, after: DeviceChange) -> None:
        name = after.name
        if before.addresses != after.addresses or before.ipv6 != after.ipv6:
            host_module.change_addresses(name, before.addresses, after.addresses, ipv6=after.ipv6)
            for route in self._routes.values():
                if route.device == name:  # with the last address of a device the kernel takes its routes
                    host_module.replace_route(*self._vrfs.way(route))
        self._mtus.shape(before, after)

    def _listen(self, address: Address) -> None:
        if self._port is not None:
            self._port().listen(address)
        self._hear([*self._listening, address])

    def _leave(self, address: Address) -> None:
        self._hear([each for each in self._listening if each != address])
        if self._port is not None:
            self._port().leave(address)

    def _hear(self, addresses: list[Address]) -> None:
        assert self.spis is not None
        self._listening = addresses
        self.spis.listen(addresses)

    def close(self) -> None:
        """Take everything back: devices first, while blackholes and policies still stand."""
        for name in [*self._loopbacks]:
            self._close_loopback(name)
        for name in self._devices:
            with suppress(LocalError):
                kernel_host.remove_device(name)
        self._devices.clear()
        self._vrfs.clear()
        if self._waiting is not None:
            self._waiting.clear()
        if self._table is not None:
            self._table.clear()
        if self._listener is not None:
            self._listener.close()
        if self._slot_socket is not None:
            with suppress(LocalError):
                kernel_host.sweep(self._slot)
            self._slot_socket.close()
            for prefix in dict.fromkeys((*self._changes.blackholes, *self._stands.changes.blackholes)):
                with suppress(LocalError):
                    host_module.remove_blackhole(prefix)
        if self._xfrm is not None:
            self._xfrm.close()
        self._xfrm = self._listener = self._table = self._waiting = self._slot_socket = None
