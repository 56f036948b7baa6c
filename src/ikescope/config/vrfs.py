"""What is in which VRF, and what of that does not fit together."""

from __future__ import annotations

from collections.abc import Iterator

from ikescope.config.model import Finding, Interface, Route, RouterConfig, Tunnel


def table_name(vrf: str | None) -> str:
    """A routing table as people call it."""
    return "the global routing table" if vrf is None else f"VRF {vrf}"


def crossing(config: RouterConfig, route: Route) -> str | None:
    """What is wrong with a route into a tunnel of another VRF than its own; None where nothing is."""
    tunnel = config.tunnels.get(route.interface or "")
    if tunnel is None or tunnel.vrf == route.vrf:
        return None
    return f"{route_words(route)} is of {table_name(route.vrf)}, and {tunnel.name} is in {table_name(tunnel.vrf)}"


def remedy(config: RouterConfig, route: Route) -> str:
    """The route as it would be in its tunnel's VRF."""
    vrf = config.tunnels[route.interface or ""].vrf
    word = "ip route" if route.prefix.version == 4 else "ipv6 route"
    return f"{word} {'' if vrf is None else f'vrf {vrf} '}..."


def route_words(route: Route) -> str:
    """A route as it is named in what is said of it."""
    word = "ip route" if route.prefix.version == 4 else "ipv6 route"
    return f"{word} {'' if route.vrf is None else f'vrf {route.vrf} '}{route.prefix}"


def held_in_vrfs(config: RouterConfig) -> list[Tunnel | Interface]:
    """The Tunnel and Loopback interfaces that are in a VRF."""
    loopbacks = (each for each in config.interfaces.values() if each.loopback)
    held: list[Tunnel | Interface] = [*config.tunnels.values(), *loopbacks]
    return [each for each in held if each.vrf is not None and not each.shutdown]


def vrfs(config: RouterConfig) -> Iterator[Finding]:
    """A finding for each route, profile and tunnel source that is in another VRF than it says or needs."""
    for route in config.routes:
        wrong = crossing(config, route)
        if wrong is not None:
            yield Finding(severity="error", line=route.line, text=wrong, remedy=remedy(config, route))
    for tunnel in config.tunnels.values():
        protection = config.ipsec_profiles.get(tunnel.ipsec_profile or "")
        profile = config.profiles.get((protection.ikev2_profile if protection else None) or "")
        if profile is not None and profile.ivrf not in (None, tunnel.vrf):
            text = f"interface {tunnel.name} is in {table_name(tunnel.vrf)}, its profile {profile.name} has ivrf "
            wanted = f"vrf forwarding {profile.ivrf}"
            yield Finding(severity="error", line=tunnel.line, text=f"{text}{profile.ivrf}", remedy=wanted)
        source = config.interfaces.get(tunnel.source or "")
        if source is not None and source.loopback and source.vrf is not None:
            text = f"interface {tunnel.name}: its source {source.name} is in VRF {source.vrf}"
            why = "a source outside of VRFs: the outer packets go by the host's own routing table"
            yield Finding(severity="error", line=tunnel.line, text=text, remedy=why)
