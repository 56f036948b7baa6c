"""show ip route | ip interface brief | interfaces | access-lists | version | debugging | clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_network

from ikescope import __version__
from ikescope.config.model import AccessEntry, Address, Interface, Network, RouterConfig, Tunnel, TunnelMode
from ikescope.ios.show_words import address, spoken
from ikescope.node.status import NodeStatus, TunnelStatus

_CODES = (
    "Codes: L - local, C - connected, S - static, R - RIP, M - mobile, B - BGP",
    "       D - EIGRP, EX - EIGRP external, O - OSPF, IA - OSPF inter area",
    "       i - IS-IS, * - candidate default, U - per-user static route",
    "",
)


@dataclass(frozen=True, slots=True)
class Route:
    """One route: IOS's code (C, L, S), prefix, the words that follow it, and what they say."""

    code: str
    prefix: IPv4Network | IPv6Network
    text: str
    interface: str | None = None
    next_hop: Address | None = None
    distance: int = 0


def routes_of(status: NodeStatus, config: RouterConfig, version: int = 4) -> list[Route]:
    """The routes behind `show ip route` (or IPv6's): connected, local and static ones of the interfaces that are up."""
    up = _up(status, config)
    return [one for one in (*_connected(config, up), *_static(config, up)) if one.prefix.version == version]


def ip_route(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show ip route`: connected, local and static IPv4 routes of the interfaces that are up."""
    routes = routes_of(status, config)
    default = next((one for one in routes if one.prefix.prefixlen == 0), None)
    gateway = "Gateway of last resort is not set"
    if default is not None:
        via = default.text.partition(" via ")[2] or "0.0.0.0"
        gateway = f"Gateway of last resort is {via} to network 0.0.0.0"
    out = [*_CODES, gateway, ""]
    if default is not None:
        out.append(f"{default.code + '*':<6}{default.prefix} {default.text}")
    majors: dict[IPv4Network | IPv6Network, list[Route]] = {}
    for one in sorted(routes, key=lambda route: (route.prefix, route.code)):
        if one.prefix.prefixlen:
            majors.setdefault(_major(one.prefix), []).append(one)
    for major, some in majors.items():
        prefixes = {one.prefix for one in some}
        masks = {one.prefix.prefixlen for one in some}
        if prefixes != {major}:
            shape = "is variably subnetted" if len(masks) > 1 else "is subnetted"
            named = major if len(masks) > 1 else f"{major.network_address}/{min(masks)}"
            out.append(f"      {named} {shape}, {len(prefixes)} subnets" + (f", {len(masks)} masks" * (len(masks) > 1)))
        out += [f"{one.code:<6}   {one.prefix} {one.text}" for one in some]
    return out


_CODES_V6 = (
    "Codes: C - Connected, L - Local, S - Static, U - Per-user Static route",
    "       B - BGP, R - RIP, D - EIGRP, EX - EIGRP external",
    "       O - OSPF Intra, OI - OSPF Inter, OE1 - OSPF ext 1, OE2 - OSPF ext 2",
)


def ipv6_route(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show ipv6 route`: connected, local and static IPv6 routes of the interfaces that are up."""
    routes = sorted(routes_of(status, config, 6), key=lambda route: (route.prefix, route.code))
    out = [f"IPv6 Routing Table - default - {len(routes)} entries", *_CODES_V6]
    for one in routes:
        out.append(f"{one.code:<4}{str(one.prefix).upper()} [{one.distance}/0]")
        via = address(one.next_hop) if one.next_hop is not None else f"{one.interface}, directly connected"
        via += f", {one.interface}" if one.next_hop is not None and one.interface else ""
        out.append(f"     via {'receive, ' + str(one.interface) if one.code == 'L' else via}")
    return out


def _up(status: NodeStatus, config: RouterConfig) -> set[str]:
    named = {one.name for one in config.interfaces.values() if not one.shutdown}
    return named | {one.name for one in status.tunnels if one.up}


def _addresses(config: RouterConfig) -> Iterable[tuple[str, IPv4Interface | IPv6Interface]]:
    for holder in (config.interfaces, config.tunnels):
        for item in holder.values():
            yield from ((item.name, one) for one in item.addresses if item.vrf is None)


def _connected(config: RouterConfig, up: set[str]) -> Iterable[Route]:
    for name, one in _addresses(config):
        if name in up:
            text = f"is directly connected, {name}"
            yield Route("C", one.network, text, name)
            if one.network.prefixlen < one.max_prefixlen:
                yield Route("L", ip_network(f"{one.ip}/{one.max_prefixlen}"), text, name)


def _static(config: RouterConfig, up: set[str]) -> Iterable[Route]:
    for item in config.routes:
        if item.vrf is None and (item.interface is None or item.interface in up):
            if item.next_hop is None:
                text = f"is directly connected, {item.interface}"
            else:
                through = f", {item.interface}" if item.interface else ""
                text = f"[{item.distance}/0] via {item.next_hop}{through}"
            yield Route("S", item.prefix, text, item.interface, item.next_hop, item.distance)


def _major(prefix: Network) -> IPv4Network | IPv6Network:
    """The classful network, under which IOS lists its subnets."""
    first = prefix.network_address.packed[0]
    length = 8 if first < 128 else 16 if first < 192 else 24
    return prefix if prefix.prefixlen < length else prefix.supernet(new_prefix=length)


def ip_interface_brief(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show ip interface brief`."""
    out = ["Interface              IP-Address      OK? Method Status                Protocol"]
    tunnels = {one.name: one for one in status.tunnels}
    for item in config.interfaces.values():
        state = ("administratively down", "down") if item.shutdown else ("up", "up")
        out.append(_brief(item.name, item.addresses, "DHCP" if item.dhcp else "NVRAM", state))
    for tunnel in config.tunnels.values():
        now = tunnels.get(tunnel.name)
        down = tunnel.shutdown or (now is not None and now.admin_down)
        line = now is not None and now.up
        state = ("administratively down", "down") if down else ("up", "up" if line else "down")
        out.append(_brief(tunnel.name, tunnel.addresses, "NVRAM", state))
    return out


def ipv6_interface_brief(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show ipv6 interface brief`."""
    tunnels = {one.name: one for one in status.tunnels}
    out: list[str] = []
    for holder in (config.interfaces, config.tunnels):
        for item in holder.values():
            tunnel = tunnels.get(item.name)
            line = "up" if (tunnel.up if tunnel is not None else not item.shutdown) else "down"
            state = f"[administratively down/{line}]" if item.shutdown else f"[up/{line}]"
            own = [f"    {address(one.ip)}" for one in item.addresses if one.version == 6]
            out += [f"{item.name:<23}{state}", *(own or ["    unassigned"])]
    return out


def _states(status: NodeStatus, config: RouterConfig) -> Iterable[tuple[Interface | Tunnel, bool, bool, int | None]]:
    """Each interface: whether it is shut down, whether its line is up, and its MTU where we set it."""
    now = {one.name: one for one in status.tunnels}
    for item in config.interfaces.values():
        yield item, item.shutdown, not item.shutdown, None
    for tunnel in config.tunnels.values():
        at = now.get(tunnel.name)
        yield (
            tunnel,
            tunnel.shutdown or (at is not None and at.admin_down),
            at is not None and at.up,
            at.mtu if at else None,
        )


def ip_interface(status: NodeStatus, config: RouterConfig, name: str | None = None, *, version: int = 4) -> list[str]:
    """`show ip interface [NAME]`, and IPv6's, which leaves out who has no address of it."""
    out: list[str] = []
    for item, shut, line, mtu in _states(status, config):
        own = [one for one in item.addresses if one.version == version]
        if name not in (None, item.name) or (version == 6 and not own):
            continue
        state = "administratively down" if shut else "up"
        out.append(f"{item.name} is {state}, line protocol is {'up' if line else 'down'}")
        if version == 4:
            out += [f"  Internet address is {one.with_prefixlen}" for one in own]
            out += [] if own else ["  Internet protocol processing disabled"]
        else:
            out += ["  IPv6 is enabled", "  Global unicast address(es):"]
            out += [f"    {address(one.ip)}, subnet is {str(one.network).upper()} " for one in own]
        out += [f"  MTU is {mtu} bytes"] if mtu is not None and own else []
    return out


def descriptions(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show interfaces description`."""
    return [
        "Interface                      Status         Protocol Description",
        *(
            f"{item.name:<31}{'admin down' if shut else 'up':<15}{'up' if line else 'down':<9}{item.description}"
            for item, shut, line, _ in _states(status, config)
        ),
    ]


def _brief(name: str, addresses: Iterable[IPv4Interface | IPv6Interface], method: str, state: tuple[str, str]) -> str:
    own = next((str(one.ip) for one in addresses if one.version == 4), None)
    method = method if own is not None or method == "DHCP" else "unset"
    return f"{name:<23}{own or 'unassigned':<16}YES {method:<7}{state[0]:<22}{state[1]:<8}"


_TRANSPORT: dict[TunnelMode, str] = {
    "gre ip": "GRE/IP",
    "gre ipv6": "GRE/IPv6",
    "ipsec ipv4": "IPSEC/IP",
    "ipsec ipv6": "IPSEC/IPV6",
    "ipsec ipv4 v6-overlay": "IPSEC/IP",
    "ipsec ipv6 v4-overlay": "IPSEC/IPV6",
    "ipsec dual-overlay": "IPSEC/IP",
}


_TUNNEL_METRICS = "BW 100 Kbit/sec, DLY 50000 usec, "
_LOOPBACK_METRICS = "BW 8000000 Kbit/sec, DLY 5000 usec, "
"""What IOS says of these interfaces where nobody configured it; nothing is measured or routed by it."""


def interfaces(status: NodeStatus, config: RouterConfig, name: str | None = None) -> list[str]:
    """`show interfaces [NAME]`."""
    out: list[str] = []
    for item in config.interfaces.values():
        if name in (None, item.name):
            state = "administratively down, line protocol is down " if item.shutdown else "up, line protocol is up "
            out.append(f"{item.name} is {state}")
            out += _common("Loopback" if item.loopback else "a device of the host", item.description, item.addresses)
    for tunnel in status.tunnels:
        if name in (None, tunnel.name):
            out += _tunnel(tunnel, config)
    return out


def _common(hardware: str, description: str, addresses: Iterable[IPv4Interface | IPv6Interface]) -> list[str]:
    out = [f"  Hardware is {hardware}"]
    if description:
        out.append(f"  Description: {description}")
    out += [f"  Internet address is {one.with_prefixlen}" for one in addresses if one.version == 4]
    return out + ([f"  MTU 1514 bytes, {_LOOPBACK_METRICS}"] if hardware == "Loopback" else [])


def _tunnel(tunnel: TunnelStatus, config: RouterConfig) -> list[str]:
    item = config.tunnels.get(tunnel.name)
    source = item.source if item is not None and item.source else None
    own = address(tunnel.source)
    where = f"{own} ({source})" if source and source.upper() != own else own
    protocol = "up" if tunnel.up else "down"
    out = [
        f"{tunnel.name} is {'administratively down' if tunnel.admin_down else 'up'}, line protocol is {protocol} ",
        *_common("Tunnel", item.description if item is not None else "", tunnel.addresses),
        f"  MTU {tunnel.mtu} bytes, {_TUNNEL_METRICS}",
        f"  Tunnel source {where}, destination {address(tunnel.destination)}",
        f"  Tunnel protocol/transport {_TRANSPORT[tunnel.mode]}",
    ]
    if tunnel.ipsec_profile:
        out.append(f'  Tunnel protection via IPSec (profile "{tunnel.ipsec_profile}")')
    return out


def access_lists(config: RouterConfig, name: str | None = None) -> list[str]:
    """`show access-lists [NAME]`."""
    out: list[str] = []
    for item in config.access_lists.values():
        if name in (None, item.name):
            out.append(f"Extended IP access list {item.name}")
            out += [
                f"    {entry.sequence or 10 * position} {_entry(entry)}"
                for position, entry in enumerate(item.entries, 1)
            ]
    return out


_PROTOCOLS = {0: "ip", 1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp"}


def _entry(entry: AccessEntry) -> str:
    protocol = _PROTOCOLS.get(entry.protocol, str(entry.protocol))
    source = _end(entry.source, entry.source_ports)
    return (
        f"{'permit' if entry.permit else 'deny'} {protocol} {source} {_end(entry.destination, entry.destination_ports)}"
    )


def _end(prefix: Network, ports: tuple[int, int]) -> str:
    first, last = ports
    tail = "" if ports == (0, 65535) else f" eq {first}" if first == last else f" range {first} {last}"
    if prefix.prefixlen == 0:
        return f"any{tail}"
    if prefix.prefixlen == prefix.max_prefixlen:
        return f"host {prefix.network_address}{tail}"
    return f"{prefix.network_address} {prefix.hostmask}{tail}"


def version(status: NodeStatus, config: RouterConfig) -> list[str]:
    """`show version`: what this router is, which is no Cisco software.

    Under `ikescope compatibility cisco-parsers` the lines that parsers look for stand below it, filled with ours.
    """
    return [
        f"ikescope, Version {__version__}",
        "An IKEv2/IPsec router in Python that takes IOS configuration; not Cisco software",
        "",
        f"{status.hostname} uptime is {spoken(status.uptime)}",
        f"Data plane is {status.plane}",
        f"Smart defaults are those of IOS-XE {config.generation}",
        f"{len(config.tunnels)} Tunnel interface(s)",
        *(_PARSERS if config.cisco_parsers else ()),
    ]


_PARSERS = (
    "",
    f"For parsers, in the shape of Cisco IOS Software, Version {__version__} (ikescope, not Cisco software)",
    f"ikescope Software (IKESCOPE-PYTHON), Version {__version__}, RELEASE SOFTWARE (ikescope)",
    f'System image file is "python:ikescope-{__version__}"',
    "cisco IKESCOPE (Python) processor with no memory of its own.",
    "Processor board ID IKESCOPE",
    "Configuration register is 0x2102",
)


def clock(wall: float) -> list[str]:
    """`show clock`, in UTC, of a wall time in seconds since 1970."""
    at = datetime.fromtimestamp(wall, UTC)
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    day = f"{days[at.weekday()]} {months[at.month - 1]} {at.day} {at.year}"
    return [f"*{at:%H:%M:%S}.{at.microsecond // 1000:03d} UTC {day}"]
