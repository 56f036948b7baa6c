"""Which devices and routes a configuration makes of a host, decided before anything is changed.

Only Tunnel and Loopback interfaces become devices (all of them TUN: they vanish with the process); a physical interface
is only looked at. Behind each prefix that a tunnel leads to stands a blackhole, so that its traffic leaves in clear
neither while the tunnel is away nor when the process was killed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from ikescope.config.model import Address, InterfaceAddress, Network, Route, RouterConfig, Tunnel
from ikescope.config.vrfs import crossing, remedy
from ikescope.errors import LocalError
from ikescope.esp.paths import carried, inner_mtu, uses_ipv6
from ikescope.planes.host import BLACKHOLE_METRIC, PROTOCOL, Host, address_towards

_LOOPBACK_MTU = 1500
_KERNEL = 2  # RTPROT_KERNEL: the connected routes


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """A TUN device to make; a `loopback` is never read from. One that `follows` has the MTU that fits its SA."""

    name: str
    mtu: int
    addresses: tuple[InterfaceAddress, ...]
    ipv6: bool
    loopback: bool
    follows: bool = False
    vrf: str | None = None

    def lines(self) -> list[str]:
        """The change in the words of iproute2."""
        found = [f"ip tuntap add dev {self.name} mode tun    # ends with the process"]
        if self.vrf is not None:
            found.append(f"ip link set dev {self.name} master {self.vrf}")
        if not self.ipv6:
            found.append(f"echo 1 > /proc/sys/net/ipv6/conf/{self.name}/disable_ipv6")
        found += [f"ip address add {address} dev {self.name}" for address in self.addresses]
        return [*found, f"ip link set dev {self.name} mtu {self.mtu} multicast off up"]


RouteKey = tuple[Network, int, str | None]
"""Prefix, metric and VRF."""


@dataclass(frozen=True, slots=True)
class RouteChange:
    """A route through a tunnel; its metric is the administrative distance."""

    prefix: Network
    device: str
    metric: int
    vrf: str | None = None

    @property
    def key(self) -> RouteKey:
        """What the host has one of."""
        return self.prefix, self.metric, self.vrf

    def lines(self) -> list[str]:
        """The change in the words of iproute2."""
        vrf = f"vrf {self.vrf} " if self.vrf is not None else ""
        return [f"ip route add {vrf}{self.prefix} dev {self.device} metric {self.metric} proto {PROTOCOL}"]


@dataclass(frozen=True, slots=True)
class Changes:
    """All that is made, in this order: blackholes, devices, routes; `leftovers`: blackholes of a killed router."""

    blackholes: tuple[Network, ...]
    devices: tuple[DeviceChange, ...]
    routes: tuple[RouteChange, ...]
    leftovers: tuple[Network, ...]
    vrfs: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Every change in the words of iproute2."""
        tail = f"metric {BLACKHOLE_METRIC} proto {PROTOCOL}"
        found = [f"ip route replace blackhole {prefix} {tail}" for prefix in self.blackholes]
        for device in self.devices:
            found += device.lines()
        for route in self.routes:
            found += route.lines()
        return found + [f"ip route del blackhole {prefix} {tail}    # left behind" for prefix in self.leftovers]


def tunnel_source(config: RouterConfig, tunnel: Tunnel, host: Host, interfaces: Mapping[str, str]) -> Address:
    """The address that a tunnel's ESP and IKE leave from. LocalError where neither file nor host says it.

    `interfaces` names the device of an interface of the file (`--interface NAME=DEV`); its address then counts.
    """
    assert tunnel.destination is not None
    where = f"interface {tunnel.name} (line {tunnel.line})"
    if tunnel.source is None:
        raise LocalError(f"{where} has no `tunnel source`; write an interface or an address")
    device = interfaces.get(tunnel.source)
    if device is not None:
        return _device_address(device, tunnel.source, tunnel.destination.version, host)
    address = tunnel.source_address
    if address is not None:
        loopbacks = [config.interfaces[name] for name in _loopbacks(config)]
        own = {each.ip for one in loopbacks if one.vrf is None for each in one.addresses}
        if address not in own and host.owner(address) is None:
            raise LocalError(
                f"{where}: tunnel source {tunnel.source} has address {address}, which no device of this host holds; "
                f"give it to one, or say which device it is: --interface {tunnel.source}=DEVICE"
            )
        return address
    found = address_towards(tunnel.destination)
    if found is None:
        raise LocalError(
            f"{where}: tunnel source {tunnel.source} has no address in the file and no route leads to "
            f"{tunnel.destination}; say which device it is: --interface {tunnel.source}=DEVICE"
        )
    return found


def _device_address(device: str, interface: str, version: int, host: Host) -> Address:
    if device not in host.devices:
        raise LocalError(f"--interface {interface}={device}: this host has no device {device}")
    for name, address in host.addresses:
        if name == device and address.version == version and not address.is_link_local:
            return address.ip
    raise LocalError(f"--interface {interface}={device}: {device} has no IPv{version} address")


def path_mtu(source: Address, host: Host) -> int:
    """The MTU of the device that holds the source address; 1500 for one on no physical device."""
    owner = host.owner(source)
    return min(host.devices.get(owner or "", 1500) or 1500, 65535) if owner != "lo" else 1500


def plan_changes(
    config: RouterConfig,
    host: Host,
    sources: Mapping[str, Address],
    ssh_connection: str | None = None,
    *,
    settled: Collection[tuple[Network, str, Address]] = (),
) -> Changes:
    """What to make for a configuration; LocalError for a route that would cut off a peer or the operator.

    `sources` holds each carried tunnel's source address; `ssh_connection` is the variable SSH_CONNECTION. `settled`:
    prefixes that lead into a tunnel already, with its name and destination; they are not looked at again.
    """
    tunnels = {tunnel.name: tunnel for tunnel in carried(config)}
    devices = [_tunnel_device(config, tunnel, host, sources[tunnel.name]) for tunnel in tunnels.values()]
    devices += [_loopback_device(config, name) for name in _loopbacks(config)]
    _refuse_names(devices, host)
    _refuse_crossings(config)
    routes: dict[RouteKey, RouteChange] = {}
    blackholes: dict[Network, None] = {}
    known = {(prefix, name, destination) for prefix, name, destination in settled}

    def look(prefix: Network, tunnel: Tunnel, what: str, line: int) -> None:
        if (prefix, tunnel.name, tunnel.destination) not in known:
            _refuse_swallowing(prefix, tunnel, what, line, host, ssh_connection)

    for tunnel in tunnels.values():
        if tunnel.vrf is not None:  # nothing of the global table is led into it; its own ends in an unreachable
            continue
        for network in dict.fromkeys(address.network for address in tunnel.addresses):
            look(network, tunnel, f"ip address of {tunnel.name}", tunnel.line)
            if network.prefixlen < network.max_prefixlen:
                blackholes[network] = None
    for route in config.routes:
        through = _exit(route, tunnels)
        if through is None:
            continue
        if route.vrf is None:
            look(route.prefix, through, f"ip route {route.prefix}", route.line)
            blackholes[route.prefix] = None
        _add(routes, RouteChange(route.prefix, through.name, route.distance, route.vrf), route.line)
    for prefix in _unfinished(config, tunnels):
        if not any(_swallows(prefix, one, host) for one in _guarded(tunnels.values(), ssh_connection)):
            blackholes[prefix] = None
    left = _leftovers(host, blackholes)
    return Changes(tuple(blackholes), tuple(devices), tuple(routes.values()), left, _vrfs(devices))


def _add(routes: dict[RouteKey, RouteChange], change: RouteChange, line: int) -> None:
    other = routes.setdefault(change.key, change)
    if other != change:
        raise LocalError(
            f"ip route {change.prefix} (line {line}): there is one into {other.device} with the same "
            f"administrative distance {change.metric}; another distance makes one the standby of the other"
        )


def _vrfs(devices: Iterable[DeviceChange]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(device.vrf for device in devices if device.vrf is not None))


def _refuse_names(devices: Iterable[DeviceChange], host: Host) -> None:
    for device in devices:
        for name in (device.name, device.vrf):
            if name in host.devices:
                raise LocalError(f"{name}: a device of this name exists already (does another router run here?)")


def _refuse_crossings(config: RouterConfig) -> None:
    """LocalError for a route that leads into a tunnel of another VRF: what it is for would take another way."""
    for route in config.routes:
        wrong = crossing(config, route)
        if wrong is not None:
            raise LocalError(f"{wrong} (line {route.line}); possible: {remedy(config, route)}")


def _unfinished(config: RouterConfig, tunnels: Mapping[str, Tunnel]) -> Iterator[Network]:
    """Where tunnels lead that are to be protected and are not complete: their traffic leaves in clear neither."""
    waiting = {
        name: tunnel
        for name, tunnel in config.tunnels.items()
        if name not in tunnels and tunnel.ipsec_profile is not None and not tunnel.shutdown and tunnel.vrf is None
    }
    for tunnel in waiting.values():
        yield from (each.network for each in tunnel.addresses if each.network.prefixlen < each.network.max_prefixlen)
    yield from (route.prefix for route in config.routes if _exit(route, waiting) is not None)


def _guarded(tunnels: Iterable[Tunnel], ssh_connection: str | None) -> list[Address]:
    """Peers, and the operator."""
    client = _client(ssh_connection)
    found = [tunnel.destination for tunnel in tunnels if tunnel.destination is not None]
    return found if client is None else [*found, client]


def _client(ssh_connection: str | None) -> Address | None:
    words = ssh_connection.split() if ssh_connection else []
    return ip_address(words[0].partition("%")[0]) if words else None


def _loopbacks(config: RouterConfig) -> list[str]:
    return [each.name for each in config.interfaces.values() if each.loopback and not each.shutdown and each.addresses]


def _tunnel_device(config: RouterConfig, tunnel: Tunnel, host: Host, source: Address) -> DeviceChange:
    mtu = inner_mtu(config, tunnel, path_mtu(source, host))
    own, follows = (tunnel.name, mtu, tunnel.addresses, uses_ipv6(tunnel)), tunnel.mtu is None
    return DeviceChange(*own, loopback=False, follows=follows, vrf=tunnel.vrf)


def _loopback_device(config: RouterConfig, name: str) -> DeviceChange:
    held = config.interfaces[name]
    six = any(each.version == 6 for each in held.addresses)
    return DeviceChange(name, _LOOPBACK_MTU, held.addresses, six, loopback=True, vrf=held.vrf)


def _exit(route: Route, tunnels: Mapping[str, Tunnel]) -> Tunnel | None:
    """The tunnel that a static route leads into: by its name, or by a next hop on its network."""
    tunnels = {name: tunnel for name, tunnel in tunnels.items() if tunnel.vrf == route.vrf}
    if route.interface is not None:
        return tunnels.get(route.interface)
    hop = route.next_hop
    return next(
        (
            tunnel
            for tunnel in tunnels.values()
            if hop is not None and any(hop in each.network for each in tunnel.addresses if each.version == hop.version)
        ),
        None,
    )


def _refuse_swallowing(
    prefix: Network, tunnel: Tunnel, what: str, line: int, host: Host, ssh_connection: str | None
) -> None:
    assert tunnel.destination is not None
    guarded = [(tunnel.destination, f"the way to the tunnel's own destination {tunnel.destination}")]
    client = _client(ssh_connection)
    if client is not None:
        guarded.append((client, f"your SSH session from {client}"))
    for address, victim in guarded:
        if _swallows(prefix, address, host):
            raise LocalError(
                f"{what} (line {line}) would lead {victim} into {tunnel.name}; "
                f"first give the host a more specific route to {address}"
            )


def _swallows(prefix: Network, address: Address, host: Host) -> bool:
    """Whether a route to `prefix` would take `address` away from the way it has now."""
    if address.version != prefix.version or address not in prefix or host.owner(address) is not None:
        return False
    ways = (each for each in host.routes if not each.blackhole and each.protocol != PROTOCOL)
    return max((each.prefix.prefixlen for each in ways if _in(address, each.prefix)), default=-1) <= prefix.prefixlen


def _in(address: Address, prefix: Network) -> bool:
    return address.version == prefix.version and address in prefix


def _leftovers(host: Host, wanted: Mapping[Network, None]) -> tuple[Network, ...]:
    """Blackholes of ours without the route they stood behind: their router was killed. One that runs has both."""
    live = {each.prefix for each in host.routes if not each.blackhole and each.protocol in (PROTOCOL, _KERNEL)}
    return tuple(
        each.prefix
        for each in host.routes
        if each.blackhole and each.protocol == PROTOCOL and each.prefix not in live and each.prefix not in wanted
    )
