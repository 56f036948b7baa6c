"""The host's own devices, addresses and routes: looked at, and changed only as `links` planned it (pyroute2)."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, TypeVar

from ikescope.config.model import Address, InterfaceAddress, Network
from ikescope.errors import LocalError

PROTOCOL = 250  # of the routes that are ours: rtnetlink(7) leaves numbers above RTPROT_STATIC to the user
BLACKHOLE_METRIC = 4278198272  # behind every route that a person or a routing daemon would make

MAIN_TABLE = 254
_UNICAST, _BLACKHOLE = 1, 6
_LINK_SCOPE = 253
_IFF_UP, _IFF_MULTICAST = 0x1, 0x1000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route of the main table: `device` None for a blackhole, `metric` 0 where the kernel shows none."""

    prefix: Network
    device: str | None
    metric: int
    protocol: int
    blackhole: bool


@dataclass(frozen=True, slots=True)
class Host:
    """A look at the host: MTU by device name, (device, address) pairs, main routes."""

    devices: dict[str, int]
    addresses: tuple[tuple[str, InterfaceAddress], ...]
    routes: tuple[HostRoute, ...]

    def owner(self, address: Address) -> str | None:
        """The device that holds an address."""
        return next((device for device, held in self.addresses if held.ip == address), None)


def _netlink(work: Callable[[Any], _T]) -> _T:
    """Do `work` with an IPRoute, in a thread: pyroute2 runs an event loop, and the daemon already has one."""
    try:
        from pyroute2 import IPRoute
    except ModuleNotFoundError as error:
        raise LocalError("the userland data plane needs pyroute2: pip install 'ikescope[router]'") from error

    def body() -> _T:
        with IPRoute() as route:
            return work(route)

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(body).result()


def look() -> Host:
    """The host as it is now."""
    return _netlink(_look)


def _look(route: Any) -> Host:
    names: dict[int, str] = {}
    devices: dict[str, int] = {}
    for link in route.get_links():
        name = str(link.get_attr("IFLA_IFNAME"))
        names[link["index"]] = name
        devices[name] = int(link.get_attr("IFLA_MTU") or 0)
    addresses = tuple(
        (names.get(each["index"], ""), ip_interface(f"{_own(each)}/{each['prefixlen']}")) for each in route.get_addr()
    )
    return Host(devices, addresses, tuple(_routes(route, names)))


def _own(address: Any) -> str:
    return str(address.get_attr("IFA_LOCAL") or address.get_attr("IFA_ADDRESS"))


def _routes(route: Any, names: dict[int, str]) -> list[HostRoute]:
    found = []
    for each in route.get_routes():
        table = each.get_attr("RTA_TABLE") or each["table"]
        if table != MAIN_TABLE or each["type"] not in (_UNICAST, _BLACKHOLE):
            continue
        if each["family"] not in (socket.AF_INET, socket.AF_INET6):
            continue
        anywhere = "0.0.0.0" if each["family"] == socket.AF_INET else "::"
        prefix = ip_network(f"{each.get_attr('RTA_DST') or anywhere}/{each['dst_len']}", strict=False)
        blackhole = each["type"] == _BLACKHOLE
        device = None if blackhole else names.get(each.get_attr("RTA_OIF") or 0)
        metric = int(each.get_attr("RTA_PRIORITY") or 0)
        found.append(HostRoute(prefix, device, metric, int(each["proto"]), blackhole))
    return found


def address_towards(destination: Address) -> Address | None:
    """The address that the kernel would send from to reach `destination`, None without a way; nothing is sent."""
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(destination), 500))
        except OSError:
            return None
        return ip_address(probe.getsockname()[0])


def set_up_device(name: str, mtu: int, addresses: tuple[InterfaceAddress, ...], *, ipv6: bool) -> None:
    """Address a device of ours and bring it up. Without `ipv6` the kernel sends nothing on it by itself."""
    if not ipv6:
        _switch_ipv6(name, on=False)

    def work(route: Any) -> None:
        index = route.link_lookup(ifname=name)[0]
        for address in addresses:
            route.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        route.link("set", index=index, mtu=mtu, flags=_IFF_UP, change=_IFF_UP | _IFF_MULTICAST)

    _change(f"set up {name}", work)


def change_addresses(
    name: str, before: tuple[InterfaceAddress, ...], after: tuple[InterfaceAddress, ...], *, ipv6: bool
) -> None:
    """Give a device of ours other addresses; the new ones are there before the others go."""
    if ipv6 and not any(each.version == 6 for each in before):
        _switch_ipv6(name, on=True)

    def work(route: Any) -> None:
        index = route.link_lookup(ifname=name)[0]
        for address in (*(each for each in after if each not in before), None, *after):
            if address is None:
                for old in (each for each in before if each not in after):
                    route.addr("del", index=index, address=str(old.ip), prefixlen=old.network.prefixlen)
                continue
            # What stays is added again: where the first address of a network goes, the kernel takes its others along.
            route.addr("replace", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)

    _change(f"change the addresses of {name}", work)
    if not ipv6:
        _switch_ipv6(name, on=False)


def remove_device(name: str) -> None:
    """Remove a device of ours; nothing where there is none."""

    def work(route: Any) -> None:
        found = route.link_lookup(ifname=name)
        if found:
            route.link("del", index=found[0])

    _change(f"remove {name}", work, (errno.ENODEV,))


def set_mtu(name: str, mtu: int) -> None:
    """Give a device of ours another MTU."""

    def work(route: Any) -> None:
        found = route.link_lookup(ifname=name)
        if not found:
            raise LocalError(f"cannot set the MTU of {name}: somebody removed it")
        route.link("set", index=found[0], mtu=mtu)

    _change(f"set the MTU of {name}", work)


def _switch_ipv6(name: str, *, on: bool) -> None:
    """Turn IPv6 on or off on a device of ours; a kernel without IPv6 has it off already."""
    try:
        with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w", encoding="ascii") as switch:
            switch.write(f"{int(not on)}\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise LocalError(f"{name}: IPv6 cannot be turned {'on' if on else 'off'}: {error.strerror}") from error


def add_route(prefix: Network, device: str, metric: int, table: int = MAIN_TABLE) -> None:
    """Add a route of ours through a device of ours."""
    _change(f"add the route to {prefix} by {device}", _route_work("add", prefix, device, metric, table))


def replace_route(prefix: Network, device: str, metric: int, table: int = MAIN_TABLE) -> None:
    """Lead a route of ours through this device of ours, in one stroke; or add it, where it is gone."""
    _change(f"lead the route to {prefix} by {device}", _route_work("replace", prefix, device, metric, table))


def remove_route(prefix: Network, device: str, metric: int, table: int = MAIN_TABLE) -> None:
    """Remove a route of ours; nothing where it, or its device, is gone."""
    gone = (errno.ESRCH, errno.ENOENT, errno.ENODEV)
    _change(f"remove the route to {prefix} by {device}", _route_work("del", prefix, device, metric, table), gone)


def _route_work(action: str, prefix: Network, device: str, metric: int, table: int) -> Callable[[Any], None]:
    def work(route: Any) -> None:
        found = route.link_lookup(ifname=device)
        if not found:
            raise OSError(errno.ENODEV, f"there is no {device}")
        scope = {"scope": _LINK_SCOPE} if prefix.version == 4 else {}
        more = {**scope, **_family(prefix)}
        route.route(action, dst=str(prefix), oif=found[0], priority=metric, proto=PROTOCOL, table=table, **more)

    return work


def add_blackhole(prefix: Network) -> None:
    """Add, or keep, a blackhole of ours behind every other route to `prefix`."""

    def work(route: Any) -> None:
        route.route("replace", type="blackhole", **_blackhole(prefix))

    _change(f"add the blackhole behind {prefix}", work)


def remove_blackhole(prefix: Network) -> None:
    """Remove a blackhole of ours; nothing where there is none."""

    def work(route: Any) -> None:
        route.route("del", type="blackhole", **_blackhole(prefix))

    _change(f"remove the blackhole behind {prefix}", work, (errno.ESRCH, errno.ENOENT))


def _blackhole(prefix: Network) -> dict[str, object]:
    return {"dst": str(prefix), "priority": BLACKHOLE_METRIC, "proto": PROTOCOL, **_family(prefix)}


def _family(prefix: Network) -> dict[str, object]:
    return {"family": socket.AF_INET if prefix.version == 4 else socket.AF_INET6}


def _change(what: str, work: Callable[[Any], None], allowed: tuple[int, ...] = ()) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        _netlink(work)
    except (NetlinkError, OSError) as error:
        number = getattr(error, "code", None) or getattr(error, "errno", None) or 0
        if number in allowed:
            return
        why = _WHY.get(number, errno.errorcode.get(number, str(error)))
        raise LocalError(f"cannot {what}: {why}") from error


_WHY = {
    errno.EPERM: "it needs CAP_NET_ADMIN (run as root)",
    errno.EEXIST: "there is one already",
    errno.ENETUNREACH: "the network is unreachable",
    errno.EINVAL: "the kernel does not take it",
    errno.EOPNOTSUPP: "the kernel does not have it",
}
