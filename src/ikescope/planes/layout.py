"""What a configuration makes of this host, looked at as it would be without what a running router has made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ikescope.config.model import Address, Network, RouterConfig, Tunnel
from ikescope.config.vrfs import held_in_vrfs
from ikescope.errors import LocalError
from ikescope.esp.paths import carried, tunnel_path
from ikescope.planes.host import Host
from ikescope.planes.links import path_mtu, plan_changes, tunnel_source
from ikescope.planes.steps import Layout, Steps


@dataclass(frozen=True, slots=True)
class Change:
    """The layout that another configuration wants, and the steps to it."""

    layout: Layout
    steps: Steps


def prepare(
    config: RouterConfig,
    host: Host,
    interfaces: Mapping[str, str],
    ssh_connection: str | None = None,
    stands: Layout | None = None,
    *,
    vrfs: bool = False,
) -> Layout:
    """The layout of a configuration; LocalError where it cannot be.

    `host` is without what stands of ours. Of a tunnel of `stands` whose ends are the same, source and path MTU stay as
    they are: what became of the host since is no matter of a change of something else. `vrfs`: the plane has VRFs.
    """
    if not vrfs:
        refuse_vrfs(config)
    before = stands or Layout()
    own = _loopback_addresses(before)
    has = {each.ip for one in config.interfaces.values() if one.loopback and not one.shutdown for each in one.addresses}
    ways: dict[str, tuple[Address, int]] = {}
    for tunnel in carried(config):
        known = before.paths.get(tunnel.name)
        if known is not None and _stays(tunnel, known.source, known.destination, lost=own - has):
            ways[tunnel.name] = known.source, known.path_mtu
        else:
            source = tunnel_source(config, tunnel, host, interfaces)
            ways[tunnel.name] = source, path_mtu(source, host)
    _refuse_taken(config, host)
    sources = {name: source for name, (source, _) in ways.items()}
    changes = plan_changes(config, host, sources, ssh_connection, settled=_settled(before))
    paths = {tunnel.name: tunnel_path(config, tunnel, *ways[tunnel.name]) for tunnel in carried(config)}
    return Layout(paths, changes)


def _stays(tunnel: Tunnel, source: Address, destination: Address, lost: set[Address]) -> bool:
    """Whether a tunnel's ends are those that it has; one whose file says no address keeps the one it found."""
    same = tunnel.source_address in (None, source) and tunnel.destination == destination
    return same and source not in lost


def _loopback_addresses(layout: Layout) -> set[Address]:
    return {each.ip for device in layout.changes.devices if device.loopback for each in device.addresses}


def _settled(layout: Layout) -> list[tuple[Network, str, Address]]:
    found = [
        (each.network, name, path.destination)
        for name, path in layout.paths.items()
        for each in layout.devices[name].addresses
        if layout.devices[name].vrf is None
    ]
    routes = (each for each in layout.changes.routes if each.vrf is None)
    return found + [(each.prefix, each.device, layout.paths[each.device].destination) for each in routes]


def refuse_vrfs(config: RouterConfig) -> None:
    """LocalError where an interface is in a VRF: only the kernel forwards by more than one routing table."""
    for each in held_in_vrfs(config):
        raise LocalError(
            f"interface {each.name} (line {each.line}): vrf forwarding {each.vrf} needs the data plane in the kernel "
            "(--data-plane kernel): the userland one has one routing table; possible: no vrf forwarding"
        )


def _refuse_taken(config: RouterConfig, host: Host) -> None:
    """LocalError for an address of ours that another interface of the file, or a device of the host, has."""
    ours = {tunnel.name: (tunnel.line, tunnel.vrf, tunnel.addresses) for tunnel in carried(config)}
    ours |= {
        each.name: (each.line, each.vrf, each.addresses)
        for each in config.interfaces.values()
        if each.loopback and not each.shutdown
    }
    taken: dict[tuple[str | None, Address], str] = {}
    for name, (line, vrf, addresses) in ours.items():
        for each in addresses:
            holder = taken.setdefault((vrf, each.ip), name)
            if holder == name and vrf is None:
                holder = host.owner(each.ip) or name
            # An `ip unnumbered` interface shares its address, as /32.
            shared = each.network.prefixlen == each.network.max_prefixlen
            if holder != name and not shared:
                raise LocalError(f"interface {name} (line {line}): {each.ip} is in use on {holder}")


def without(host: Host, layout: Layout) -> Host:
    """The host without the devices of a layout, their addresses and routes."""
    own = {*layout.devices, *layout.changes.vrfs}
    return Host(
        {name: mtu for name, mtu in host.devices.items() if name not in own},
        tuple(each for each in host.addresses if each[0] not in own),
        tuple(each for each in host.routes if each.device not in own),
    )
