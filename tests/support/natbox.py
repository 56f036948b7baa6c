"""A NAT between the gateways of two sites: a namespace of its own whose nftables masquerade what comes from site a."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.machine import PEERS
from tests.support.netns import WAN_A, Namespace, Topology, ip
from tests.support.tshark import environment

INNER, BOX = "192.168.77.2", "192.168.77.1"
"""The address of site a's gateway behind the NAT, and the NAT's own there; outside it is WAN_A."""

RULES = """table ip nat
delete table ip nat
table ip nat {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" ip protocol udp masquerade to :{first}-{last}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "wan" ct state new drop
    ip protocol esp drop
  }}
}}
"""


@dataclass
class NatBox:
    """The namespace of the NAT; its ports outside come from `ports` on."""

    namespace: Namespace
    ports: int = 20_000

    def rebind(self) -> None:
        """Forget every mapping, as after a reboot; new ones have other ports."""
        self.ports += 10_000
        self.load()
        # Masquerading forgets the mappings of a link that goes down.
        self.namespace.ip("link", "set", "wan", "down")
        self.namespace.ip("link", "set", "wan", "up")

    def load(self) -> None:
        """Tell the kernel what to do with packets, in place of what it was told before."""
        rules = RULES.format(first=self.ports, last=self.ports + 999)
        nft = str(PEERS / "root" / "usr" / "sbin" / "nft")
        self.namespace.run(nft, rules, env=environment())


@contextmanager
def natted(net: Topology, kind: type[NatBox] = NatBox) -> Iterator[NatBox]:
    """Put a NAT between the gateways: that of site a is behind it, that of site b sees it at WAN_A."""
    box = kind(Namespace(f"{net.gw_a.name}-nat"))
    ip("netns", "add", box.namespace.name)
    try:
        net.gw_a.ip("link", "del", "wan")
        net.gw_a.ip("link", "add", "wan", "type", "veth", "peer", "name", "inside", "netns", box.namespace.name)
        net.gw_b.ip("link", "add", "wan", "type", "veth", "peer", "name", "wan", "netns", box.namespace.name)
        for namespace, link, address in (
            (net.gw_a, "wan", f"{INNER}/24"),
            (box.namespace, "inside", f"{BOX}/24"),
            (box.namespace, "wan", f"{WAN_A}/24"),
            (net.gw_b, "wan", "10.99.0.2/24"),
        ):
            namespace.ip("addr", "add", address, "dev", link)
            namespace.ip("link", "set", link, "up")
        net.gw_a.ip("route", "add", "default", "via", BOX)
        box.namespace.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        box.load()
        yield box
    finally:
        for pid in box.namespace.pids():
            os.kill(pid, 9)
        ip("netns", "del", box.namespace.name)
