"""show crypto map, as tunnel protection makes it; show crypto sockets, show tunnel protection statistics."""

from __future__ import annotations

from ikescope.config.model import RouterConfig
from ikescope.ios.show_words import Index, address, flow
from ikescope.node.status import NodeStatus, TunnelStatus

_LINE = 70


def _protected(status: NodeStatus, interface: str | None) -> list[TunnelStatus]:
    return [one for one in status.tunnels if one.ipsec_profile and interface in (None, one.name)]


def crypto_map(status: NodeStatus, config: RouterConfig, interface: str | None = None) -> list[str]:
    """`show crypto map [interface NAME]`: what `tunnel protection` made of each tunnel."""
    index = Index(status)
    out: list[str] = []
    for tunnel in _protected(status, interface):
        out += _map(index, config, tunnel)
    return out or ["No crypto maps found."]


def _map(index: Index, config: RouterConfig, tunnel: TunnelStatus) -> list[str]:
    profile = config.ipsec_profiles.get(tunnel.ipsec_profile or "")
    name = f"{tunnel.name}-head-0"
    head = f'Crypto Map "{name}" 65536 ipsec-isakmp'
    out = [head, f"        Profile name: {tunnel.ipsec_profile}", ""]
    for position, (pair, children) in enumerate(index.flows(tunnel)):
        group = None if profile is None else profile.pfs_group
        out += [
            f'Crypto Map "{name}" {65537 + position} ipsec-isakmp',
            "        Map is a PROFILE INSTANCE.",
            f"        Peer = {address(tunnel.destination)}",
            "        Extended IP access list",
            f"            access-list  {flow(*pair)}",
            f"        Current peer: {address(children[0].remote_address if children else tunnel.destination)}",
            f"        Security association lifetime: {_lifetime(config, tunnel)}",
            "        Dualstack (Y/N): N",
            f"        Responder-Only (Y/N): {'Y' if profile is not None and profile.responder_only else 'N'}",
            f"        PFS (Y/N): {'N' if group is None else 'Y'}",
            *([] if group is None else [f"                DH group:  group{group}"]),
            "        Mixed-mode : Disabled",
            "        Transform sets={ ",
            *(f"                {one},  " for one in (profile.transform_sets if profile is not None else ())),
            "        }",
        ]
    return [*out, f"        Interfaces using crypto map {name}:", f"                {tunnel.name}", ""]


def _lifetime(config: RouterConfig, tunnel: TunnelStatus) -> str:
    profile = config.ipsec_profiles.get(tunnel.ipsec_profile or "")
    if profile is None:
        return "(none)"
    volume = "disabled" if profile.lifetime_kilobytes is None else f"{profile.lifetime_kilobytes} kilobytes"
    return f"{volume}/{profile.lifetime_seconds} seconds"


def sockets(status: NodeStatus) -> list[str]:
    """`show crypto sockets`: a connection a protected tunnel, open while a Child SA is there."""
    index = Index(status)
    tunnels = _protected(status, None)
    out = [f"Number of Crypto Socket connections {len(tunnels)}", ""]
    for tunnel in tunnels:
        pair = next((pair for pair, _ in index.flows(tunnel)), ((), ()))
        up = bool(index.children_of(tunnel))
        out += [
            f"   {tunnel.name} Peers (local/remote): {address(tunnel.source)}/{address(tunnel.destination)}",
            f"       Flow: {flow(*pair)}",
            f'       IPSec Profile: "{tunnel.ipsec_profile}"',
            f"       Socket State: {'Open' if up else 'Closed' if tunnel.admin_down else 'Opening'}",
            '       Client: "TUNNEL SEC" (Client State: Active)',
        ]
    listening = [f'       Profile: "{name}"' for name in dict.fromkeys(one.ipsec_profile for one in tunnels)]
    return [*out, "Crypto Sockets in Listen state:", *listening, ""]


def _title(text: str) -> str:
    return f" {text} ".center(_LINE, "-")


def _cells(*cells: tuple[str, int]) -> list[str]:
    parts = [f"{name:<15}: {number:<5}" for name, number in cells]
    return ["      " + "".join(parts[at : at + 3]) for at in range(0, len(parts), 3)]


def protection_statistics(status: NodeStatus) -> list[str]:
    """`show tunnel protection statistics`: tunnels that listen and that opened, what was dropped in the clear."""
    tunnels = _protected(status, None)
    index = Index(status)
    opened = sum(bool(index.children_of(one)) for one in tunnels)
    drops = sum(count for child in status.children for _, count in child.drops)
    return [
        _title("Message Statistics"),
        "   Sent:",
        *_cells(("Listen Start", len(tunnels)), ("Listen Stop", 0), ("Socket Open", opened), ("Socket Close", 0)),
        "   Rcvd:",
        *_cells(("General Error", 0), ("Socket Error", 0), ("Socket Ready", opened)),
        *_cells(("Socket Up", sum(one.up for one in tunnels)), ("Socket Down", 0), ("MTU Changed", 0)),
        *_cells(("Listen Ready", len(tunnels)), ("Other", 0)),
        "",
        _title("Error Statistics"),
        "   Rcvd:",
        *_cells(("Listen Start", 0), ("Listen Stop", 0), ("Socket Open", 0), ("Socket Close", 0), ("Conn Timeout", 0)),
        "",
        _title("Data Statistics(Other than IPSec protection)"),
        "   Sent:",
        *_cells(("cef pkt drops", 0), ("ps pkt drops", sum(one.held for one in tunnels))),
        "   Rcvd:",
        *_cells(("ps pkt drops", 0), ("clear pkt drops", drops)),
    ]
