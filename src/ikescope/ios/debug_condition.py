"""`debug crypto condition`: which records a debug speaks of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from ikescope.config.model import Network
from ikescope.events import UNSET, Record


@dataclass(frozen=True, slots=True)
class Condition:
    """The peers whose records pass, all where there are none; `unmatched` lets pass what names no peer."""

    peers: tuple[Network, ...] = ()
    unmatched: bool = False

    def admits(self, record: Record) -> bool:
        """Whether a debug under this condition speaks of a record."""
        if not self.peers:
            return True
        peer = _peer(record)
        if peer is None:
            return self.unmatched
        return any(peer.version == one.version and peer in one for one in self.peers)

    def changed(self, arguments: dict[str, Any], *, on: bool) -> Condition:
        """The condition after one `debug crypto condition` line, or its `no`."""
        if "unmatched" in arguments:
            return replace(self, unmatched=on)
        if "reset" in arguments:
            return Condition()
        one = ip_network(
            f"{arguments['peer']}/{arguments['mask']}" if "mask" in arguments else str(arguments["peer"]), False
        )
        rest = tuple(peer for peer in self.peers if peer != one)
        return replace(self, peers=(*rest, one) if on else rest)

    def lines(self) -> list[str]:
        """`show crypto debug-condition`."""
        state = "ON" if self.peers else "OFF"
        flag = "ON" if self.unmatched else "OFF"
        hosts = [str(one.network_address) for one in self.peers if one.prefixlen == one.max_prefixlen]
        nets = [f"{one.network_address} {one.netmask}" for one in self.peers if one.prefixlen != one.max_prefixlen]
        out = [f"Crypto conditional debug currently is turned {state}", f"IKE debug context unmatched flag: {flag}"]
        out += ["", "IKE peer IP address filters:", " ".join(hosts)] if hosts else []
        out += ["", "IKE peer subnet filters:", *nets] if nets else []
        return [*out, ""]


def _peer(record: Record) -> IPv4Address | IPv6Address | None:
    stamped, named = record.stamp.peer, getattr(record.event, "peer", UNSET)
    text = stamped.rpartition(":")[0].strip("[]") if stamped is not UNSET else named
    if not isinstance(text, str):
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None
