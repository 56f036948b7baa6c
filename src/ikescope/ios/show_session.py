"""show crypto session [detail]."""

from __future__ import annotations

from collections.abc import Sequence

from ikescope.config.model import Address, RouterConfig
from ikescope.ios import words
from ikescope.ios.show_words import Index, address, endpoint, flow, kilobytes_left, uptime
from ikescope.node.status import ChildSaStatus, IkeSaStatus, NodeStatus, TunnelStatus

_LEGEND = (
    "Code: C - IKE Configuration mode, D - Dead Peer Detection     ",
    "K - Keepalives, N - NAT-traversal, T - cTCP encapsulation     ",
    "X - IKE Extended Authentication, F - IKE Fragmentation",
    "R - IKE Auto Reconnect, U - IKE Dynamic Route Update",
    "S - SIP VPN",
    "",
)


def session(
    status: NodeStatus,
    config: RouterConfig,
    detail: bool = False,
    *,
    interface: str | None = None,
    remote: Address | None = None,
    local: Address | None = None,
) -> list[str]:
    """`show crypto session [remote ADDRESS | local ADDRESS | interface NAME] [detail]`: one block a tunnel."""
    out = ["Crypto session current status", "", *(_LEGEND if detail else ())]
    index = Index(status)
    for tunnel in chosen(status, interface, remote, local):
        out += _tunnel(index, tunnel, index.ike_of(tunnel), detail)
    return out


def chosen(
    status: NodeStatus, interface: str | None, remote: Address | None, local: Address | None
) -> list[TunnelStatus]:
    """The tunnels of an interface, a peer or an address of ours; None: any."""
    return [
        one
        for one in status.tunnels
        if interface in (None, one.name) and remote in (None, one.destination) and local in (None, one.source)
    ]


def _tunnel(index: Index, tunnel: TunnelStatus, ike: Sequence[IkeSaStatus], detail: bool) -> list[str]:
    first = ike[0] if ike else None
    pairs = index.flows(tunnel)
    profile = (first.profile if first is not None else None) or tunnel.profile
    port = first.remote_port if first is not None else 500
    out = [f"Interface: {tunnel.name}"]
    if profile:
        out.append(f"Profile: {profile}")
    if detail and first is not None and first.state == "READY":
        out.append(f"Uptime: {uptime(first.active)}")
    out.append(f"Session status: {state(ike, [child for _, some in pairs for child in some]):<14}")
    peer = f"Peer: {address(tunnel.destination)} port {port} "
    out.append(peer + ("fvrf: (none) ivrf: (none)" if detail else ""))
    if detail:
        name = words.identity(first.remote_id) if first is not None and first.remote_id is not None else "(none)"
        out += [f"      Phase1_id: {name}", "      Desc: (none)"]
    for one in ike:
        out += _ike(one, detail)
    for (local, remote), children in pairs:
        out.append(f"  IPSEC FLOW: {flow(local, remote)} ")
        out.append(f"        Active SAs: {2 * len(children)}, origin: crypto map")
        if detail:
            out += _traffic(children)
    return [*out, ""]


def state(ike: Sequence[IkeSaStatus], children: Sequence[ChildSaStatus]) -> str:
    """UP-ACTIVE with IKE and IPsec SAs, UP-IDLE with an IKE SA alone, UP-NO-IKE, DOWN-NEGOTIATING, DOWN."""
    ready = any(one.state == "READY" for one in ike)
    if children:
        return "UP-ACTIVE" if ready else "UP-NO-IKE"
    if ready:
        return "UP-IDLE"
    return "DOWN-NEGOTIATING" if ike else "DOWN"


def _ike(one: IkeSaStatus, detail: bool) -> list[str]:
    local, remote = endpoint(one.local, one.local_port), endpoint(one.remote, one.remote_port)
    word = "Active" if one.state == "READY" else "Inactive"
    out = [f"  Session ID: {one.session}  ", f"  IKEv2 SA: local {local} remote {remote} {word} "]
    if detail:
        capabilities = (one.dpd is not None, "D"), (one.encapsulated, "N"), (one.fragment_octets is not None, "F")
        marks = "".join(mark for there, mark in capabilities if there)
        left = max(0, int(one.lifetime - one.active))
        clock = f"{left // 3600:02d}:{left // 60 % 60:02d}:{left % 60:02d}"
        out.append(f"          Capabilities:{marks or '(none)'} connid:{one.id} lifetime:{clock}")
    return out


def _traffic(children: Sequence[ChildSaStatus]) -> list[str]:
    out = []
    for word, mark, inbound in (("Inbound: ", "dec'ed", True), ("Outbound:", "enc'ed", False)):
        counters = [child.received if inbound else child.sent for child in children]
        packets = sum(one.packets for one in counters)
        dropped = sum(one.dropped for one in counters)
        life = "0/0"
        if children:
            left = kilobytes_left(children[0], counters[0].octets)
            life = f"{'KB Vol Rekey Disabled' if left is None else left}/{int(children[0].remaining)}"
        out.append(f"        {word} #pkts {mark} {packets} drop {dropped} life (KB/Sec) {life}")
    return out
