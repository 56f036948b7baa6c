"""The MTU of tunnel devices follows the SA that carries their packets, and what the host learns of the way to the peer.

With DF on its packets the host hears of a smaller MTU by ICMP and keeps it for its route, some minutes, then tries the
larger one again; what it holds is asked for here. The device's MTU then has the kernel tell the senders inside
(RFC 4301 section 8.2). A tunnel with an `ip mtu` keeps that.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ikescope.config.model import Address
from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import Command, InstallSa, RemoveSa, SwitchOutbound, UpdatePath
from ikescope.errors import LocalError
from ikescope.esp.mtu import tunnel_mtu
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import Event
from ikescope.events.router import PlaneFailed, TunnelMtuChanged
from ikescope.planes.links import DeviceChange

AT_ONCE = 64
"""Tunnels whose ways are looked at in one tick."""
LEAST = 576
"""What every IPv4 path takes in fragments, and no tunnel goes below, whatever an ICMP message says."""
_IP_MTU, _IPV6_MTU = 14, 24
_PORT = 4500


def route_mtu(local: Address, remote: Address) -> int | None:
    """What the host holds for the MTU of its way from `local` to `remote`; None without a way. Nothing is sent."""
    family = socket.AF_INET if remote.version == 4 else socket.AF_INET6
    level, option = (socket.IPPROTO_IP, _IP_MTU) if remote.version == 4 else (socket.IPPROTO_IPV6, _IPV6_MTU)
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(local), 0))
            probe.connect((str(remote), _PORT))
            return probe.getsockopt(level, option)
        except OSError:
            return None


@dataclass(slots=True)
class _Way:
    """A tunnel's outbound SA, as far as its size goes, and the device's MTU."""

    path: TunnelPath
    device: int
    found: int
    sas: dict[int, tuple[EspSuite, bool]]
    udp: bool = True
    remote: Address | None = None
    carrier: int | None = None
    follows: bool = True
    told: tuple[int, int] = (1500, 1500)
    """The MTU of the way and of the link as they were last told; before that, what everybody takes them for."""


class PathMtus:
    """`mtus` are those of the devices of `paths` that may change; `set_mtu(device, octets)` changes one."""

    def __init__(
        self,
        paths: Mapping[str, TunnelPath],
        mtus: Mapping[str, int],
        *,
        set_mtu: Callable[[str, int], None],
        ask: Callable[[Address, Address], int | None] = route_mtu,
    ) -> None:
        self._ways = {name: _Way(paths[name], mtu, paths[name].path_mtu, {}) for name, mtu in mtus.items()}
        self._set_mtu, self._ask = set_mtu, ask
        self._turn: list[str] = []
        self._told: list[Event] = []

    def carry(self, path: TunnelPath, device: DeviceChange | None = None) -> None:
        """Another tunnel, with its device, or another way of one."""
        way = self._ways.get(path.name)
        if device is not None:
            self._ways[path.name] = _Way(path, device.mtu, path.path_mtu, {}, follows=device.follows)
        elif way is not None:
            if path.leads_elsewhere(way.path):
                way.sas.clear()
                way.carrier = way.remote = None
            way.path, way.found = path, path.path_mtu

    def shape(self, before: DeviceChange, after: DeviceChange) -> None:
        """A device has another MTU, or follows its SA from now on, or does so no more; LocalError: it has not."""
        way = self._ways.get(after.name)
        if way is None:
            return
        way.follows = after.follows
        if after.follows and way.carrier in way.sas:
            self._fit(after.name, way)
        elif way.device != after.mtu:
            self._set_mtu(after.name, after.mtu)
            way.device = after.mtu

    def abandon(self, name: str) -> None:
        """A tunnel is there no more."""
        self._ways.pop(name, None)

    def heard(self, command: Command) -> None:
        """A command that the data plane carries out: the SA that carries a tunnel's packets decides their size."""
        match command:
            case InstallSa() if command.direction == "out" and command.tunnel in self._ways:
                way = self._ways[command.tunnel]
                way.sas[command.spi] = (command.suite, command.transport)
                if way.carrier is None:
                    way.udp, way.remote = command.udp, command.path.remote
            case SwitchOutbound() if command.tunnel in self._ways:
                way = self._ways[command.tunnel]
                way.carrier, way.remote = command.spi, command.remote
                self._fit(command.tunnel, way)
            case UpdatePath() if command.tunnel in self._ways:
                way = self._ways[command.tunnel]
                way.udp, way.remote = command.udp, command.path.remote
                self._fit(command.tunnel, way)
            case RemoveSa() if command.direction == "out" and command.tunnel in self._ways:
                way = self._ways[command.tunnel]
                way.sas.pop(command.spi, None)
                if way.carrier == command.spi:
                    way.carrier = None

    def tick(self) -> None:
        """Look at the ways of some tunnels; about once a second."""
        self._turn = self._turn or list(self._ways)
        turn, self._turn = self._turn[:AT_ONCE], self._turn[AT_ONCE:]
        for name in turn:
            way = self._ways.get(name)
            if way is None:
                continue
            if way.carrier is None:
                continue
            found = self._ask(way.path.source, way.remote or way.path.destination)
            if found is not None:
                way.found = min(max(found, LEAST), way.path.path_mtu)
                self._fit(name, way)

    def take(self) -> Iterable[Event]:
        """What has changed since the last call."""
        told, self._told = self._told, []
        return told

    def _fit(self, name: str, way: _Way) -> None:
        if way.carrier not in way.sas:
            return
        suite, transport = way.sas[way.carrier]
        remote = way.remote or way.path.destination
        fitting = tunnel_mtu(
            way.found, suite, udp=way.udp, gre=way.path.gre, transport=transport, ipv6=remote.version == 6
        )
        wanted = fitting if way.follows else way.device
        if wanted == way.device:
            if way.told != (way.found, way.path.path_mtu):
                self._tell(name, way, way.device)
            return
        before, way.device = way.device, wanted
        try:
            self._set_mtu(name, wanted)
        except LocalError as error:
            self._told.append(PlaneFailed(what=f"MTU {wanted} for {name}", why=str(error)))
        else:
            self._tell(name, way, before)

    def _tell(self, name: str, way: _Way, before: int) -> None:
        link = way.path.path_mtu
        way.told = way.found, link
        event = TunnelMtuChanged(tunnel=name, before=before, after=way.device, path=way.found, link=link)
        self._told.append(event)
