"""The wires of the tour: R1 and R2 joined by a veth pair, a LAN host behind each, every one in a network of its own."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from ikescope.config.model import InterfaceAddress, RouterConfig
from ikescope.demo import namespaces
from ikescope.demo.plan import Plan
from ikescope.demo.stage import Unavailable

NAMES = ("R1", "R2", "H1", "H2")
WAN, LAN = "wan", "lan"
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


class Lab:
    """The four networks. Made in namespaces of our own (`namespaces.enter`); nothing of it is visible to the host."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.networks: dict[str, int] = {}

    def build(self) -> None:
        """Make networks, wires, addresses, routes. Unavailable where the kernel refuses one of them."""
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            for name in NAMES:
                self.networks[name] = namespaces.new_network()
                namespaces.forward()
            self._wire("R1", WAN, "R2", WAN)
            self._wire("H1", LAN, "R1", LAN)
            self._wire("H2", LAN, "R2", LAN)
            for name, link, addresses in self._addresses():
                self._set_up(name, link, addresses)
            for host, router in (("H1", "R1"), ("H2", "R2")):
                gateway = str(self._lan(self._plan.configs[router])[0].ip)
                self._in(host, lambda route, gateway=gateway: route.route("add", dst="default", gateway=gateway))
        except NetlinkError as error:
            raise Unavailable(f"the kernel refuses veth devices ({os.strerror(error.code or errno.EPERM)})") from error
        except OSError as error:
            raise Unavailable(f"{error.filename or 'the kernel'}: {error.strerror}") from error

    def _in(self, name: str, work: Any) -> None:
        from pyroute2 import IPRoute

        with namespaces.inside(self.networks[name]), IPRoute() as route:
            work(route)

    def _wire(self, near: str, near_link: str, far: str, far_link: str) -> None:
        peer = {"ifname": far_link, "net_ns_fd": self.networks[far]}
        self._in(near, lambda route: route.link("add", ifname=near_link, kind="veth", peer=peer))

    def _set_up(self, name: str, link: str, addresses: list[InterfaceAddress]) -> None:
        def work(route: Any) -> None:
            index = route.link_lookup(ifname=link)[0]
            for address in addresses:
                route.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
            route.link("set", index=index, state="up")
            route.link("set", index=route.link_lookup(ifname="lo")[0], state="up")

        self._in(name, work)
        with namespaces.inside(self.networks[name]):
            _with_checksums(link)

    def _addresses(self) -> list[tuple[str, str, list[InterfaceAddress]]]:
        found = []
        for router, host in (("R1", "H1"), ("R2", "H2")):
            config = self._plan.configs[router]
            lan = self._lan(config)
            found += [(router, WAN, self._wan(config)), (router, LAN, lan)]
            found.append((host, LAN, [type(each)(f"{each.network[2]}/{each.network.prefixlen}") for each in lan]))
        return found

    def _wan(self, config: RouterConfig) -> list[InterfaceAddress]:
        sources = {tunnel.source_address for tunnel in config.tunnels.values()}
        return [each for one in config.interfaces.values() for each in one.addresses if each.ip in sources]

    def _lan(self, config: RouterConfig) -> list[InterfaceAddress]:
        """The addresses of the LAN interface, those first that the ways of the tour begin at."""
        wan = self._wan(config)
        found = [
            each for one in config.interfaces.values() if not one.loopback for each in one.addresses if each not in wan
        ]
        hosts = [ip_address(end) for way in self._plan.ways for end in (way.source, way.destination)]
        return sorted(found, key=lambda each: [host in each.network for host in hosts].index(True))


def _with_checksums(link: str) -> None:
    """Let the kernel write UDP checksums on a veth; otherwise it leaves them to the hardware, and captures show it."""
    value = array.array("B", struct.pack("II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP", link.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control, suppress(OSError):
        fcntl.ioctl(control, _SIOCETHTOOL, request)
