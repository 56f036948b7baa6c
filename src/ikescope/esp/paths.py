"""From a router's configuration to the tunnels of its data path."""

from __future__ import annotations

from ikescope.config.model import AccessList, Address, Interface, RouterConfig, TransformSet, Tunnel
from ikescope.crypto.suites import INTEGRITIES, EspSuite, encryption
from ikescope.esp.mtu import tunnel_mtu
from ikescope.esp.tunnel import TunnelPath
from ikescope.policy.selectors import tunnel_selectors

DEFAULT_MTU = 1400
CARRY_IPV6 = ("ipsec ipv6", "ipsec ipv4 v6-overlay", "ipsec dual-overlay")


def carried(config: RouterConfig) -> tuple[Tunnel, ...]:
    """The tunnels that a data path carries: those that lack nothing. No other moves a packet."""
    return tuple(tunnel for tunnel in config.tunnels.values() if not lacks(config, tunnel))


def lacks(config: RouterConfig, tunnel: Tunnel) -> str:
    """What a tunnel waits for before anything of it is brought up, in words; empty if it is complete."""
    source = config.interfaces.get(tunnel.source or "")
    acl = config.access_lists.get(tunnel.policy_acl or "")
    faults = (
        (tunnel.shutdown, "it is shut down"),
        (tunnel.source is None and tunnel.source_address is None, "it has no tunnel source"),
        (source is not None and source.loopback and _is_down(source), f"its source {tunnel.source} has no address"),
        (tunnel.destination is None, "it has no tunnel destination"),
        (tunnel.ipsec_profile is None, "it has no tunnel protection"),
        (
            tunnel.mode.startswith("ipsec") and tunnel.policy_acl is not None and not _permits(acl),
            f"its access-list {tunnel.policy_acl} has no permit line",
        ),
    )
    return next((text for fault, text in faults if fault), "")


def _is_down(interface: Interface) -> bool:
    return interface.shutdown or not interface.addresses


def _permits(acl: AccessList | None) -> bool:
    return acl is not None and any(entry.permit for entry in acl.entries)


def uses_ipv6(tunnel: Tunnel) -> bool:
    """Whether IPv6 is on: it has an IPv6 address, `ipv6 enable`, or carries nothing else."""
    return tunnel.ipv6_enable or tunnel.mode in CARRY_IPV6 or any(address.version == 6 for address in tunnel.addresses)


def inner_mtu(config: RouterConfig, tunnel: Tunnel, path_mtu: int = 1500) -> int:
    """The tunnel's configured MTU, or what fits `path_mtu` with each transform set it may agree on, even in UDP."""
    if tunnel.mtu is not None:
        return tunnel.mtu
    profile = config.ipsec_profiles.get(tunnel.ipsec_profile or "")
    names = profile.transform_sets if profile is not None else ()
    sets = [config.transform_sets[name] for name in names if name in config.transform_sets]
    ipv6 = tunnel.destination is not None and tunnel.destination.version == 6
    gre = tunnel.mode.startswith("gre")
    rooms = [
        tunnel_mtu(path_mtu, suite, udp=True, gre=gre, transport=each.transport_require, ipv6=ipv6)
        for each in sets
        if (suite := _suite(each)) is not None
    ]
    return min(rooms, default=DEFAULT_MTU)


def _suite(each: TransformSet) -> EspSuite | None:
    row = encryption(each.encryption.id, each.encryption.key_length)
    integrity = None if each.integrity is None else INTEGRITIES.get(each.integrity)
    return None if row is None else EspSuite(row, integrity, each.esn, None)


def tunnel_path(config: RouterConfig, tunnel: Tunnel, source: Address, path_mtu: int = 1500) -> TunnelPath:
    """The data path of a tunnel that `carried` lists, from its source address; `path_mtu`: of the way to the peer."""
    assert tunnel.destination is not None
    return TunnelPath(
        name=tunnel.name,
        mode=tunnel.mode,
        source=source,
        destination=tunnel.destination,
        selectors=tunnel_selectors(config, tunnel, local=source),
        mtu=inner_mtu(config, tunnel, path_mtu),
        ipv6=uses_ipv6(tunnel),
        path_mtu=path_mtu,
        df=config.df_bit,
        addresses=tuple(address.ip for address in tunnel.addresses),
    )
