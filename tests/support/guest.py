"""The foreign peers over the kernel's own ESP, unmodified, and what a kernel holds of IPsec."""

import re
from collections.abc import Mapping

from tests.support.libreswan import Libreswan
from tests.support.netns import Namespace
from tests.support.strongswan import PLUGINS, Strongswan

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


def remains(namespace: Namespace) -> list[str]:
    """What is left in a namespace of ESP SAs, policies, tunnel devices and their routes; a line each.

    Libreswan leaves per-socket policies to its end, which `ip` shows without a selector of an address.
    """
    states, policies = namespace.ip("xfrm", "state"), namespace.ip("xfrm", "policy")
    links = [line.split(":")[1].strip().partition("@")[0] for line in namespace.ip("-o", "link").splitlines()]
    strange = [link for link in links if link not in LASTING and not FALLBACK.fullmatch(link)]
    routes = [line for line in namespace.ip("route").splitlines() if "proto kernel" not in line]
    return [*_heads(states), *_heads(policies), *strange, *routes]


def _heads(listing: str) -> list[str]:
    """The first line of each entry of `ip xfrm`; entries begin at the margin."""
    return [line for line in listing.splitlines() if line and not line[0].isspace()]


def counters(namespace: Namespace) -> dict[str, int]:
    """The errors that the kernel has counted there (/proc/net/xfrm_stat), those above zero."""
    return {
        name: int(count) for name, count in XFRM_COUNTER.findall(namespace.run("cat", "/proc/net/xfrm_stat").stdout)
    }
