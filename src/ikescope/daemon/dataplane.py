"""The data plane that a router on this host gets, and the addresses that its tunnels leave from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from typing import Literal, Protocol

import msgspec

from ikescope.config.model import Address, RouterConfig, Tunnel
from ikescope.daemon.sockets import Sockets
from ikescope.engine.commands import Destination
from ikescope.engine.context import SpiSource
from ikescope.errors import LocalError
from ikescope.esp.paths import carried, tunnel_path
from ikescope.esp.tunnel import TunnelPath
from ikescope.node.driver import NullPlane, Plane
from ikescope.planes.layout import Change
from ikescope.planes.privileges import Account
from ikescope.planes.steps import Layout, Leave, Listen, Step, Steps
from ikescope.planes.tun import Opener, open_clone

KINDS = ("auto", "kernel", "userland", "none")
SendUdp = Callable[[bytes, Destination, int], None]


MOST_WORKERS = 8
"""Of a userland plane that nobody said a number for."""


class Counted(Protocol):
    """What passed an ESP SA."""

    @property
    def packets(self) -> int:
        """Packets that passed."""

    @property
    def octets(self) -> int:
        """Octets that passed."""

    @property
    def dropped(self) -> int:
        """Packets that did not."""


class HostPlane(Plane, Protocol):
    """A data plane and its descriptors, as the process around it sees it."""

    def open(self) -> None:
        """Change the host."""

    def close(self) -> None:
        """Take all of it back."""

    def filenos(self) -> tuple[int, ...]:
        """What to watch for reading."""

    def read_ready(self, fd: int, now: float) -> None:
        """Take what waits at a descriptor."""

    def esp_from_udp(
        self, octets: bytes, local: Address, remote: Address, remote_port: int, now: float, ecn: int = 0
    ) -> None:
        """Take ESP that came by port 4500."""

    def tick(self, now: float) -> None:
        """Look at the counters."""

    def counters(self, spi: int, direction: Literal["in", "out"]) -> Counted | None:
        """The counters of an ESP SA."""

    def held(self, tunnel: str) -> int:
        """How many packets wait for an SA."""

    @property
    def sources(self) -> dict[str, Address]:
        """The source address of each tunnel that it carries, also where the file does not say it."""

    def change(self, config: RouterConfig) -> Change:
        """What is to be done for another configuration; LocalError where it cannot be. Nothing is done yet."""

    def apply(self, step: Step, now: float) -> None:
        """Take one step; LocalError where the host refuses it, and then nothing of it is left."""

    def stand(self, layout: Layout) -> None:
        """All steps to this layout are taken, or will be when its addresses are needed no more."""


class NoPlane(NullPlane):
    """`--data-plane none`: negotiates, carries nothing, changes nothing on the host; but the router listens."""

    def __init__(
        self, config: RouterConfig, interfaces: Mapping[str, str], port: Callable[[], Sockets] | None = None
    ) -> None:
        self._interfaces, self._port = interfaces, port
        self._paths: dict[str, TunnelPath] = {}
        self._listening: list[Address] = []
        self.stand(self._layout(config))

    def _layout(self, config: RouterConfig) -> Layout:
        paths = {}
        for tunnel in carried(config):
            known = self._paths.get(tunnel.name)
            same = known is not None and known.destination == tunnel.destination and tunnel.source_address is None
            source = known.source if same and known is not None else _source(config, tunnel, self._interfaces)
            paths[tunnel.name] = tunnel_path(config, tunnel, source)
        return Layout(paths)

    @property
    def sources(self) -> dict[str, Address]:
        """The source address of each tunnel."""
        return {name: path.source for name, path in self._paths.items()}

    def open(self) -> None:
        """Only the router's own ports."""
        for path in self._paths.values():
            self.apply(Listen(path.source), 0.0)

    def change(self, config: RouterConfig) -> Change:
        """The ports of other addresses."""
        layout = self._layout(config)
        wanted = layout.addresses
        first = tuple(Listen(address) for address in wanted if address not in self._listening)
        later = tuple(Leave(address) for address in self._listening if address not in wanted)
        return Change(layout, Steps(first, (), later))

    def apply(self, step: Step, now: float) -> None:
        """Listen at an address, or no more."""
        match step:
            case Listen():
                if self._port is not None:
                    self._port().listen(step.address)
                if step.address not in self._listening:
                    self._listening.append(step.address)
            case Leave():
                self._listening.remove(step.address)
                if self._port is not None:
                    self._port().leave(step.address)

    def stand(self, layout: Layout) -> None:
        """Nothing else stands."""
        self._paths = dict(layout.paths)

    def close(self) -> None:
        """Nothing to take back."""

    def filenos(self) -> tuple[int, ...]:
        """None."""
        return ()

    def read_ready(self, fd: int, now: float) -> None:
        """Never called: there is no descriptor."""

    def esp_from_udp(
        self, octets: bytes, local: Address, remote: Address, remote_port: int, now: float, ecn: int = 0
    ) -> None:
        """What arrives is dropped."""

    def tick(self, now: float) -> None:
        """Nothing to look at."""

    def held(self, tunnel: str) -> int:
        """None."""
        return 0


def choose(kind: str, config: RouterConfig) -> tuple[str, str]:
    """The data plane that `--data-plane kind` means here, and why `auto` did not take the kernel's (empty: it did, or
    was not asked). LocalError where this host does not have what is wanted.
    """
    if kind == "none":
        return kind, ""
    lacks = _kernel_lacks(kind, config)
    if lacks is None:
        return "kernel", ""
    from ikescope.planes.userland import probe

    why = probe()
    if why is not None:
        also = f", nor one in the kernel: {lacks}" if lacks else ""
        raise LocalError(f"no userland data plane here: {why}{also}; --data-plane none negotiates and carries nothing")
    return "userland", lacks


def _kernel_lacks(kind: str, config: RouterConfig) -> str | None:
    """None where the kernel is wanted and can, else why it cannot; empty where it is not wanted."""
    if kind not in ("auto", "kernel"):
        return ""
    from ikescope.planes.kernel_host import probe

    why = probe(config)
    if why is not None and kind == "kernel":
        raise LocalError(f"no kernel data plane here: {why}; --data-plane auto takes what there is")
    return why


def make(
    config: RouterConfig,
    kind: str,
    interfaces: Mapping[str, str],
    *,
    send_udp: SendUdp,
    port: Callable[[], Sockets] | None = None,
    workers: int | None = 0,
    account: Account | None = None,
    opener: Opener = open_clone,
) -> tuple[HostPlane, RouterConfig]:
    """The data plane, not yet opened, and the configuration with each tunnel's source address in it.

    `kind` is one that `choose` has chosen. A userland plane has so many `workers` (None: as many as are good here),
    which run as `account`; `port` gives the router's sockets, `opener` a descriptor of /dev/net/tun.
    """
    plane: HostPlane
    if kind == "none":
        plane = NoPlane(config, interfaces, port)
    elif kind == "kernel":
        from ikescope.planes.kernel import KernelPlane

        ssh = os.environ.get("SSH_CONNECTION")
        plane = KernelPlane(config, interfaces=interfaces, ssh_connection=ssh, port=port, opener=opener)
    else:
        from ikescope.planes.userland import UserlandPlane

        plane = UserlandPlane(
            config,
            random=os.urandom,
            send_udp=send_udp,
            interfaces=interfaces,
            ssh_connection=os.environ.get("SSH_CONNECTION"),
            port=port,
            workers=good_workers() if workers is None else workers,
            account=account,
            opener=opener,
        )
    return plane, resolved(config, plane.sources)


def good_workers() -> int:
    """One a core, but one core for all else: docs/performance.md has what that was chosen by."""
    return max(1, min(len(os.sched_getaffinity(0)) - 1, MOST_WORKERS))


def group_of(plane: HostPlane) -> int:
    """How many sockets of port 4500 a data plane wants for ESP."""
    return int(getattr(plane, "group", 0))


def workers_of(plane: HostPlane) -> int:
    """How many processes carry packets for a data plane, which then tells itself when an SA is installed."""
    return int(getattr(plane, "workers", 0))


def spis_of(plane: HostPlane) -> SpiSource | None:
    """Where inbound SPIs come from, None where the plane does not say."""
    return getattr(plane, "spis", None)


def resolved(config: RouterConfig, sources: Mapping[str, Address]) -> RouterConfig:
    """The configuration with these source addresses of tunnels, by name."""
    tunnels = {
        name: msgspec.structs.replace(tunnel, source_address=sources.get(name, tunnel.source_address))
        for name, tunnel in config.tunnels.items()
    }
    return msgspec.structs.replace(config, tunnels=tunnels)


def _source(config: RouterConfig, tunnel: Tunnel, interfaces: Mapping[str, str]) -> Address:
    """The source address without a look at the host's links where the file, or a route, says it."""
    if tunnel.source in interfaces:
        from ikescope.planes.host import look
        from ikescope.planes.links import tunnel_source

        return tunnel_source(config, tunnel, look(), interfaces)
    if tunnel.source_address is not None:
        return tunnel.source_address
    from ikescope.planes.host import address_towards

    assert tunnel.destination is not None
    found = address_towards(tunnel.destination)
    if found is None:
        raise LocalError(
            f"interface {tunnel.name} (line {tunnel.line}): no route leads to {tunnel.destination}, "
            f"so its source address is not known; say which device it is: --interface {tunnel.source}=DEVICE"
        )
    return found


def sources(config: RouterConfig) -> tuple[Address, ...]:
    """The addresses to listen on, each once."""
    found = (tunnel.source_address or IPv4Address(0) for tunnel in carried(config))
    return tuple(dict.fromkeys(found))


def plan(config: RouterConfig, kind: str, interfaces: Mapping[str, str]) -> list[str]:
    """`--dry-run`: every change to the host, a line each; nothing is changed."""
    ssh = os.environ.get("SSH_CONNECTION")
    if kind == "none":
        return []
    if _kernel_lacks(kind, config) is None:
        from ikescope.planes.kernel import plan as kernel_plan

        return kernel_plan(config, interfaces=interfaces, ssh_connection=ssh)
    from ikescope.planes.userland import plan as userland_plan

    return userland_plan(config, interfaces=interfaces, ssh_connection=ssh)
