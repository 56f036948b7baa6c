"""What the kernel plane makes of a host, and takes back: blackholes, devices, policies, and only then the devices go up
and routes lead into them.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from os import close as close_tun

from ikescope.config.model import Address, RouterConfig
from ikescope.errors import LocalError
from ikescope.esp.paths import carried, tunnel_path
from ikescope.planes import host as host_module
from ikescope.planes import kernel_host
from ikescope.planes.kernel_spd import KernelTunnel, first_of, numbered
from ikescope.planes.kernel_spis import KernelSpis
from ikescope.planes.kernel_table import Table
from ikescope.planes.kernel_waiting import Waiting
from ikescope.planes.links import path_mtu, plan_changes, tunnel_source
from ikescope.planes.pathmtu import PathMtus
from ikescope.planes.tun import open_tun
from ikescope.planes.xfrm_socket import Listener, Xfrm
from ikescope.planes.xfrm_wire import Group

_GROUPS = (Group.ACQUIRE, Group.EXPIRE, Group.MAPPING)


class KernelBase:
    """Made, it has looked at the host and refused what cannot be (LocalError); `open` changes the host, `close` takes
    all of it back.
    """

    def __init__(
        self, config: RouterConfig, *, interfaces: Mapping[str, str] | None = None, ssh_connection: str | None = None
    ) -> None:
        host, self._leftovers = kernel_host.look()
        tunnels = carried(config)
        sources = {tunnel.name: tunnel_source(config, tunnel, host, interfaces or {}) for tunnel in tunnels}
        self._changes = plan_changes(config, host, sources, ssh_connection)
        mtus = {name: path_mtu(address, host) for name, address in sources.items()}
        self.paths = {each.name: tunnel_path(config, each, sources[each.name], mtus[each.name]) for each in tunnels}
        for path in self.paths.values():
            if path.gre and path.source.version == 4:
                kernel_host.refuse_unguarded(path.name, host.owner(path.source))
        free = {each.name for each in tunnels if each.mtu is None}
        made = {device.name: device.mtu for device in self._changes.devices if device.name in free}
        self._mtus = PathMtus(self.paths, made, set_mtu=host_module.set_mtu)
        self._tunnels: dict[str, KernelTunnel] = {}
        self._slot = 0
        self._slot_socket: socket.socket | None = None
        self._xfrm: Xfrm | None = None
        self._listener: Listener | None = None
        self._table: Table | None = None
        self._waiting: Waiting | None = None
        self.spis: KernelSpis | None = None
        self._devices: list[str] = []
        self._loopbacks: list[int] = []

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
        for prefix in self._changes.blackholes:
            host_module.add_blackhole(prefix)
        self._tunnels, first = numbered(self.paths.values(), slot)
        self._xfrm = xfrm = Xfrm()
        self._listener = Listener(_GROUPS)
        self._table = table = Table(xfrm, self._tunnels, slot, first)
        self._waiting = Waiting(xfrm)
        addresses = tuple(dict.fromkeys(self.sources.values()))
        self.spis = KernelSpis(xfrm, addresses, first_of(slot))
        for name, tunnel in self._tunnels.items():
            self._devices.append(name)
            kernel_host.add_device(tunnel, slot)
        # Made, a GRE device looks for a way to its other end as a packet would; down, it lets none out.
        table.guard()
        for device in self._changes.devices:
            if device.loopback:
                self._loopbacks.append(open_tun(device.name))
            host_module.set_up_device(device.name, device.mtu, device.addresses, ipv6=device.ipv6)
        for route in self._changes.routes:
            host_module.add_route(route.prefix, route.device, route.metric)
        for prefix in self._changes.leftovers:
            host_module.remove_blackhole(prefix)

    def close(self) -> None:
        """Take everything back: devices first, while blackholes and policies still stand."""
        for fd in self._loopbacks:
            close_tun(fd)
        self._loopbacks.clear()
        for name in self._devices:
            with suppress(LocalError):
                kernel_host.remove_device(name)
        self._devices.clear()
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
            for prefix in self._changes.blackholes:
                with suppress(LocalError):
                    host_module.remove_blackhole(prefix)
        if self._xfrm is not None:
            self._xfrm.close()
        self._xfrm = self._listener = self._table = self._waiting = self._slot_socket = None
