"""Whether a tunnel's own packets find a way that is not the tunnel (IOS: %TUN-5-RECURDOWN)."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.config.model import Address, Finding, Interface, RouterConfig, Tunnel


def recursive(config: RouterConfig) -> Iterator[Finding]:
    """A finding for each tunnel whose destination the longest prefix of the file leads into itself.

    Static routes and the networks of interfaces count; what the host knows beyond the file is not seen here.
    """
    for tunnel in config.tunnels.values():
        if tunnel.destination is None or tunnel.shutdown:
            continue
        found = _way(config, tunnel.destination)
        if found is None or found[1] != tunnel.name:
            continue
        line, _, what = found
        text = f"interface {tunnel.name}: its destination {tunnel.destination} is routed into itself by {what}"
        six = tunnel.destination.version == 6
        way = f"ipv6 route {tunnel.destination}/128" if six else f"ip route {tunnel.destination} 255.255.255.255"
        yield Finding(severity="error", line=line or tunnel.line, text=text, remedy=f"{way} GATEWAY")


def _way(config: RouterConfig, to: Address) -> tuple[int, str, str] | None:
    """Line, interface and words of the way to an address: the longest prefix, then the lowest distance."""
    ways: list[tuple[tuple[int, int], tuple[int, str, str]]] = []
    held: dict[str, Interface | Tunnel] = {**config.interfaces, **config.tunnels}
    for name, interface in held.items():
        if interface.vrf is not None or interface.shutdown:
            continue
        for address in interface.addresses:
            if address.version == to.version and to in address.network:
                what = f"the network of interface {name}"
                ways.append(((-address.network.prefixlen, 0), (interface.line, name, what)))
    for route in config.routes:
        if route.vrf is not None or route.prefix.version != to.version or to not in route.prefix:
            continue
        through = route.interface or _owner(config, route.next_hop)
        shut = through in config.tunnels and config.tunnels[through].shutdown
        if not shut:
            word = "ip route" if route.prefix.version == 4 else "ipv6 route"
            what = f"{word} {route.prefix}"
            ways.append(((-route.prefix.prefixlen, route.distance), (route.line, through, what)))
    return min(ways, key=lambda way: way[0])[1] if ways else None


def _owner(config: RouterConfig, hop: Address | None) -> str:
    """The tunnel in whose network a next hop lies, "" for any other."""
    for name, tunnel in config.tunnels.items():
        if any(hop is not None and one.version == hop.version and hop in one.network for one in tunnel.addresses):
            return name
    return ""
