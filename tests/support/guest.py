"""The foreign peers over the kernel's own ESP, unmodified, and what a kernel holds of IPsec."""

import re
from collections.abc import Callable, Mapping

from tests.support.libreswan import Libreswan
from tests.support.machine import PEERS
from tests.support.natbox import NatBox
from tests.support.netns import NET_A, WAN_A, WAN_B, Namespace, Topology
from tests.support.process import wait_until
from tests.support.strongswan import PLUGINS, Strongswan
from tests.support.tshark import environment

MASQUERADE = """*nat
:POSTROUTING ACCEPT
-A POSTROUTING -o wan -p udp -j MASQUERADE --to-ports {first}-{last}
COMMIT
*filter
:FORWARD ACCEPT
-A FORWARD -i wan -m conntrack --ctstate NEW -j DROP
-A FORWARD -p esp -j DROP
COMMIT
"""

LASTING = ("lo", "wan", "lan", "eth0")
"""The links that a namespace of the test has of itself."""
FALLBACK = re.compile(r"(gre|gretap|erspan|ip6gre|ip6tnl|ip_vti|ip6_vti|tunl|sit)0$")
"""Devices that a kernel module puts into every namespace."""
XFRM_COUNTER = re.compile(r"^(Xfrm\w+)\s+([1-9]\d*)$", re.MULTILINE)


class KernelStrongswan(Strongswan):
    """One charon with its kernel-netlink alone: ESP is the kernel's."""

    plugins = PLUGINS.replace("kernel-libipsec ", "")


class KernelLibreswan(Libreswan):
    """One pluto over the kernel that is there."""

    def _kernel(self) -> Mapping[str, str]:
        return {}


class GuestNat(NatBox):
    """The same rules by iptables: the guest's nftables know nothing of IPv4."""

    def load(self) -> None:
        """Tell the kernel what to do with packets, in place of what it was told before."""
        rules = MASQUERADE.format(first=self.ports, last=self.ports + 999)
        restore = PEERS / "root" / "usr" / "sbin" / "iptables-legacy-restore"
        libraries = environment()
        libraries["XTABLES_LIBDIR"] = f"{libraries['LD_LIBRARY_PATH']}/xtables"
        self.namespace.run("sh", "-c", f"exec {restore} <<'END'\n{rules}END\n", env=libraries)


def patiently(condition: str, holds: Callable[[], object]) -> None:
    """`wait_until` with the patience that a machine within a machine wants."""
    wait_until(condition, holds, 60.0)


def gre_device(net: Topology) -> None:
    """The GRE device of site b, as the operator of a foreign peer makes it, with the route to site a's LAN."""
    for words in (
        f"tunnel add gre1 mode gre local {WAN_B} remote {WAN_A} ttl 64",
        "addr add 172.31.0.2/30 dev gre1",
        "link set gre1 up",
        f"route add {NET_A} dev gre1",
    ):
        net.gw_b.ip(*words.split())


def remains(namespace: Namespace) -> list[str]:
    """What is left in a namespace of ESP SAs, policies, tunnel devices and their routes; a line each.

    Libreswan leaves per-socket policies to its end, which `ip` shows without a selector of an address.
    """
    states, policies = namespace.ip("xfrm", "state"), namespace.ip("xfrm", "policy")
    links = [line.split(":")[1].strip().partition("@")[0] for line in namespace.ip("-o", "link").splitlines()]
    strange = [link for link in links if link not in LASTING and not FALLBACK.fullmatch(link)]
    routes = [line for line in namespace.ip("route").splitlines() if not re.search("proto kernel|^default", line)]
    return [*_heads(states), *_heads(policies), *strange, *routes]


def _heads(listing: str) -> list[str]:
    """The first line of each entry of `ip xfrm`; entries begin at the margin."""
    return [line for line in listing.splitlines() if line and not line[0].isspace()]


def spis(namespace: Namespace) -> list[str]:
    """The SPIs (hex) of the ESP SAs that the kernel holds there; what waits for one has none."""
    return [spi for spi in re.findall(r"proto esp spi 0x([0-9a-f]{8})", namespace.ip("xfrm", "state")) if int(spi, 16)]


def counters(namespace: Namespace) -> dict[str, int]:
    """What the kernel has counted there of IPsec's errors (/proc/net/xfrm_stat), by name, those above zero."""
    text = namespace.run("cat", "/proc/net/xfrm_stat").stdout
    return {name: int(count) for name, count in XFRM_COUNTER.findall(text)}


def faults(namespace: Namespace, *expected: str) -> dict[str, int]:
    """The same but for the packets that asked for an SA before there was one, and for the names given."""
    passed_over = ("XfrmOutNoStates", *expected)
    return {name: count for name, count in counters(namespace).items() if name not in passed_over}
