"""Words and numbers that the shows share: addresses, selectors, times."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, summarize_address_range

from ikescope.config.model import Address, RouterConfig
from ikescope.events import SelectorFact
from ikescope.node.status import ChildSaStatus, IkeSaStatus, NodeStatus, TunnelStatus

Selectors = tuple[SelectorFact, ...]
Flow = tuple[Selectors, Selectors]


def address(value: Address | None, none: str = "(none)") -> str:
    """An address as IOS prints it: IPv6 in capitals."""
    return none if value is None else str(value).upper()


def endpoint(value: Address, port: int) -> str:
    """192.0.2.1/500."""
    return f"{address(value)}/{port}"


def networks(selector: SelectorFact) -> tuple[IPv4Network | IPv6Network, ...]:
    """The prefixes that an address range consists of."""
    first, last = ip_address(selector.start), ip_address(selector.end)
    if isinstance(first, IPv4Address):
        return tuple(summarize_address_range(first, IPv4Address(str(last))))
    return tuple(summarize_address_range(first, last))


def ident(selector: SelectorFact) -> str:
    """(10.1.0.0/255.255.0.0/0/0): address, mask, protocol, port, of the first prefix of a range."""
    first = networks(selector)[0]
    mask = str(first.netmask) if isinstance(first, IPv4Network) else str(first.prefixlen)
    port = selector.start_port if selector.start_port == selector.end_port else 0
    return f"({address(first.network_address)}/{mask}/{selector.protocol}/{port})"


def flow(local: Selectors, remote: Selectors) -> str:
    """The text of an IPSEC FLOW: permit 47 host 192.0.2.1 host 192.0.2.2."""
    if not local or not remote:
        return "permit ip (none)"
    protocol = "ip" if local[0].protocol == 0 else str(local[0].protocol)
    return f"permit {protocol} {_side(local[0])} {_side(remote[0])}"


def _side(selector: SelectorFact) -> str:
    first = networks(selector)[0]
    port = f" port {selector.start_port}" if selector.start_port == selector.end_port else ""
    if selector.start == selector.end:
        return f"host {address(first.network_address)}{port}"
    if isinstance(first, IPv4Network):
        return f"{first.network_address}/{first.netmask}{port}"
    return f"{address(first.network_address)}/{first.prefixlen}{port}"


def clock(seconds: float) -> str:
    """A time as HH:MM:SS."""
    whole = max(0, int(seconds))
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def uptime(seconds: float) -> str:
    """A time as a session's uptime: HH:MM:SS under a day, then 3d18h, then 2w3d."""
    days, rest = divmod(max(0, int(seconds)), 86400)
    if days == 0:
        return clock(rest)
    return f"{days}d{rest // 3600:02d}h" if days < 7 else f"{days // 7}w{days % 7}d"


def spoken(seconds: float) -> str:
    """A time as `show version` says it: 1 day, 2 hours, 3 minutes."""
    minutes = max(0, int(seconds)) // 60
    parts = ((minutes // 1440, "day"), (minutes // 60 % 24, "hour"), (minutes % 60, "minute"))
    said = [f"{count} {unit}{'' if count == 1 else 's'}" for count, unit in parts if count]
    return ", ".join(said) or "0 minutes"


def kilobytes_left(child: ChildSaStatus, octets: int) -> int | None:
    """What is left of a lifetime by traffic; None where there is none."""
    return None if child.kilobytes is None else max(0, child.kilobytes - octets // 1024)


class Index:
    """The SAs of a status by what shows look them up by, made once for a show: a router may have a thousand tunnels."""

    def __init__(self, status: NodeStatus) -> None:
        self._children: dict[str, list[ChildSaStatus]] = {}
        for child in status.children:
            self._children.setdefault(child.tunnel, []).append(child)
        self._ike = {one.id: (place, one) for place, one in enumerate(status.ike)}
        self._remotes: dict[Address, list[IkeSaStatus]] = {}
        for one in status.ike:
            self._remotes.setdefault(one.remote, []).append(one)

    def children_of(self, tunnel: TunnelStatus) -> list[ChildSaStatus]:
        """The Child SAs of a tunnel."""
        return self._children.get(tunnel.name, [])

    def flows(self, tunnel: TunnelStatus) -> list[tuple[Flow, list[ChildSaStatus]]]:
        """The selector pairs of a tunnel, configured ones first, each with its Child SAs, newest first."""
        found: dict[Flow, list[ChildSaStatus]] = {pair: [] for pair in tunnel.selectors}
        for child in self.children_of(tunnel):
            found.setdefault(_home(child, tunnel.selectors), []).append(child)
        return [(pair, sorted(some, key=lambda child: -child.id)) for pair, some in found.items()]

    def ike_of(self, tunnel: TunnelStatus) -> list[IkeSaStatus]:
        """The IKE SAs that a tunnel lives by: those of its Child SAs, else those with its peer."""
        ids = {child.ike for child in self.children_of(tunnel)} & self._ike.keys()
        own = [one for _, one in sorted((self._ike[number] for number in ids), key=lambda found: found[0])]
        return own or (self._remotes.get(tunnel.destination, []) if tunnel.destination is not None else [])


def _home(child: ChildSaStatus, pairs: Sequence[Flow]) -> Flow:
    """The configured pair that a Child SA belongs to: its own, or the only one there is when it was narrowed."""
    own = (child.local, child.remote)
    return pairs[0] if own not in pairs and len(pairs) == 1 else own


def source_interface(config: RouterConfig, tunnel: str) -> str:
    """The interface that a tunnel's packets leave by, as far as the configuration says."""
    item = config.tunnels.get(tunnel)
    if item is None or item.source is None:
        return "(none)"
    if item.source in config.interfaces:
        return item.source
    owner = next(
        (one.name for one in config.interfaces.values() if any(str(at.ip) == item.source for at in one.addresses)),
        None,
    )
    return owner or "(none)"
