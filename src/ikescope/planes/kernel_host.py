"""What the kernel plane makes of a host beside states and policies: GRE and XFRM devices, and a slot that is its own.

A slot is a number that one running router of a network namespace holds: an abstract Unix socket of that number is bound
as long as it runs, however it ends. All that it leaves in the kernel bears the number; what bears one that nobody holds
was left behind.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any

from ikescope.config.model import Address, DfBit, RouterConfig
from ikescope.errors import LocalError
from ikescope.esp.paths import carried
from ikescope.planes import host as host_module
from ikescope.planes.host import Host
from ikescope.planes.kernel_spd import SLOTS, KernelTunnel, first_of, ours
from ikescope.planes.kernel_spis import HIGHEST, LOWEST
from ikescope.planes.xfrm_policy import PolicySeen
from ikescope.planes.xfrm_socket import Xfrm, XfrmRefused
from ikescope.planes.xfrm_state import Algorithm, State, StateSeen
from ikescope.planes.xfrm_wire import Limits, Mode

_ALIAS = "ikescope "
_PASSING = "ikescope-"
"""How a device is called until its alias says whose it is."""
_TTL = 255
_IGNORE_ENCAP_LIMIT = 1  # IP6_TNL_F_IGN_ENCAP_LIMIT: GRE follows the IPv6 header at once, as policies expect
_ADDRESSES = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
"""Of documentation (RFC 5737, RFC 3849): no SA of anybody's has them."""


# --- slots


def _bind(slot: int) -> socket.socket | None:
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        held.bind(f"\0ikescope-kernel-{slot}")
    except OSError as error:
        held.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise LocalError(f"cannot hold a number in the kernel: {error.strerror}") from error
    return held


def take_slot() -> tuple[int, socket.socket]:
    """The lowest number that no running router of this namespace holds; ours until the socket is closed."""
    for slot in range(SLOTS):
        held = _bind(slot)
        if held is not None:
            return slot, held
    raise LocalError(f"{SLOTS} routers run over this kernel already")


class Alive:
    """Which slots are held by a running router."""

    def __init__(self, known: Mapping[int, bool] | None = None) -> None:
        """`known` are slots that are not to be looked at."""
        self._known = dict(known or {})

    def __call__(self, slot: int) -> bool:
        """Whether one holds it."""
        if slot not in self._known:
            held = _bind(slot)
            self._known[slot] = held is None
            if held is not None:
                held.close()
        return self._known[slot]


# --- what a killed router left


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Devices by name, and how many states and policies, of routers that no longer run."""

    devices: tuple[str, ...]
    states: tuple[tuple[Address, int], ...]
    policies: int

    def lines(self) -> list[str]:
        """Their removal in the words of iproute2."""
        found = [f"ip link del dev {name}    # left behind" for name in self.devices]
        if self.policies:
            found.append(f"ip xfrm policy deleteall    # {self.policies} of a killed router, no other")
        found += [
            f"ip xfrm state delete dst {end} proto esp spi 0x{spi:08x}    # left behind" for end, spi in self.states
        ]
        return found


def look() -> tuple[Host, Leftovers]:
    """The host as it will be without what killed routers left, and what that is."""
    host, alive = host_module.look(), Alive()
    devices = tuple(name for name, slot in _marked() if slot is None or not alive(slot))
    with Xfrm() as xfrm:
        states = tuple((each.destination, each.spi) for each in xfrm.states() if _dead(each.reqid, alive))
        policies = sum(_left(each, alive) for each in xfrm.policies())
    kept = Host(
        {name: mtu for name, mtu in host.devices.items() if name not in devices},
        tuple(each for each in host.addresses if each[0] not in devices),
        tuple(each for each in host.routes if each.device not in devices or each.blackhole),
    )
    return kept, Leftovers(devices, states, policies)


def _dead(number: int, alive: Alive) -> bool:
    slot = ours(number)
    return slot is not None and not alive(slot)


def _left(policy: PolicySeen, alive: Alive) -> bool:
    return policy.template is not None and _dead(policy.template.reqid, alive)


def clean(leftovers: Leftovers, slot: int) -> None:
    """Remove what killed routers left: the devices, so that nothing is routed there any more, then the rest.

    `slot` is our own since a moment ago: what bears it was left too.
    """
    alive = Alive({slot: False})
    for name in leftovers.devices:
        remove_device(name)
    flush_tables(lambda number: _dead(number, alive))
    if leftovers.policies or leftovers.states:
        with Xfrm() as xfrm:
            for policy in xfrm.policies():
                if _left(policy, alive):
                    xfrm.remove_policy(policy.key)
            for state in xfrm.states():
                if _dead(state.reqid, alive):
                    _take_out(xfrm, state)


def _take_out(xfrm: Xfrm, state: StateSeen) -> None:
    """Remove a state; what waits for an SA has no SPI and cannot be named, so it is given one first."""
    with suppress(LocalError):
        spi = state.spi or xfrm.allocate(
            *(state.source, state.destination, state.reqid, LOWEST, HIGHEST),
            mode=Mode(state.mode),
            sequence=state.sequence,
            interface=state.interface,
        )
        xfrm.remove_state(state.destination, spi)


def sweep(slot: int) -> None:
    """Remove every state and policy of a slot that is ours: what an interrupted change may have left."""
    with Xfrm() as xfrm:
        for policy in xfrm.policies():
            if policy.template is not None and ours(policy.template.reqid) == slot:
                xfrm.remove_policy(policy.key)
        for state in xfrm.states():
            if ours(state.reqid) == slot:
                _take_out(xfrm, state)


def policy_words(tunnel: KernelTunnel) -> list[str]:
    """How iproute2 would put up the policies that a tunnel has from the beginning."""
    found = []
    for key, policy in tunnel.wanted().items():
        selector, template = key.selector, policy.template
        assert template is not None
        direction = {0: "in", 1: "out", 2: "fwd"}[key.direction]
        protocol = f" proto {selector.protocol}" if selector.protocol else ""
        ends = (
            f"src {selector.source}/{selector.source_prefix} dst {selector.destination}/{selector.destination_prefix}"
        )
        outer = f"src {template.source or '0.0.0.0'} dst {template.destination or '0.0.0.0'}"
        number = f" if_id 0x{key.interface:x}" if key.interface else ""
        found.append(
            f"ip xfrm policy add {ends}{protocol} dir {direction} priority {policy.priority}{number} "
            f"tmpl {outer} proto esp reqid {template.reqid} mode {template.mode.name.lower()}"
        )
    return found


# --- devices


def add_vrf(name: str, table: int, slot: int) -> None:
    """Make a VRF's device with our mark, and the end of its table: what no route of it leads anywhere goes nowhere."""

    def work(route: Any) -> None:
        passing = f"{_PASSING}{slot}"
        route.link("add", ifname=passing, kind="vrf", vrf_table=table)
        index = route.link_lookup(ifname=passing)[0]
        route.link("set", index=index, IFLA_IFALIAS=f"{_ALIAS}{slot}")
        route.link("set", index=index, ifname=name)
        route.link("set", index=index, state="up")

    try:
        _end_table(table)  # before anything is sent by it
        host_module._change(f"make the VRF {name}", work)
    except LocalError as error:
        with suppress(LocalError):
            remove_device(f"{_PASSING}{slot}")
        with suppress(LocalError):
            remove_device(name)
        flush_tables(lambda number: number == table)
        raise LocalError(_NO_VRF if str(error).endswith(_ABSENT) else str(error)) from error


def _end_table(table: int) -> None:
    more = {"table": table, "priority": host_module.BLACKHOLE_METRIC, "proto": host_module.PROTOCOL}

    def work(route: Any) -> None:
        route.route("replace", type="unreachable", dst="0.0.0.0/0", family=socket.AF_INET, **more)

    def work_six(route: Any) -> None:
        route.route("replace", type="unreachable", dst="::/0", family=socket.AF_INET6, **more)

    host_module._change("end a VRF's routing table", work)
    with suppress(LocalError):  # a kernel without IPv6
        host_module._change("end a VRF's routing table", work_six)


def enslave(name: str, vrf: str) -> None:
    """Put a device of ours, still down, into a VRF."""

    def work(route: Any) -> None:
        master, index = (route.link_lookup(ifname=each)[0] for each in (vrf, name))
        route.link("set", index=index, master=master)

    host_module._change(f"put {name} into the VRF {vrf}", work)


def flush_tables(which: Callable[[int], bool]) -> None:
    """Remove our routes of some routing tables; the kernel keeps those without a device when a VRF goes."""

    def found(route: Any) -> list[dict[str, Any]]:
        return [
            {
                "dst": f"{each.get_attr('RTA_DST') or _ANYWHERE[each['family']]}/{each['dst_len']}",
                "family": each["family"],
                "table": each.get_attr("RTA_TABLE"),
                "priority": each.get_attr("RTA_PRIORITY"),
                "type": each["type"],
            }
            for each in route.get_routes()
            if each["proto"] == host_module.PROTOCOL and which(each.get_attr("RTA_TABLE") or 0)
        ]

    for one in host_module._netlink(found):
        with suppress(LocalError):  # gone meanwhile
            host_module._change("clear a VRF's routing table", partial(_unroute, **one))


def _unroute(route: Any, **what: Any) -> None:
    route.route("del", **what)


_ANYWHERE = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


def _marked() -> list[tuple[str, int | None]]:
    """Devices that bear our mark, and the slot that it names; None for one that was never finished."""

    def work(route: Any) -> list[tuple[str, int | None]]:
        found: list[tuple[str, int | None]] = []
        for link in route.get_links():
            name, alias = str(link.get_attr("IFLA_IFNAME")), str(link.get_attr("IFLA_IFALIAS") or "")
            number = alias.removeprefix(_ALIAS)
            if alias.startswith(_ALIAS) and number.isdigit():
                found.append((name, int(number)))
            elif name.startswith(_PASSING):
                number = name.removeprefix(_PASSING)
                found.append((name, int(number) if number.isdigit() else None))
        return found

    return host_module._netlink(work)


def device_words(tunnel: KernelTunnel) -> str:
    """How iproute2 would make the tunnel's device."""
    path = tunnel.path
    if not path.gre:
        return f"ip link add {path.name} type xfrm if_id 0x{tunnel.interface:x}"
    kind, more = ("gre", _DF[path.df]) if path.source.version == 4 else ("ip6gre", " encaplimit none")
    return f"ip link add {path.name} type {kind} local {path.source} remote {path.destination} ttl {_TTL}{more}"


_DF = {"set": " pmtudisc", "copy": " nopmtudisc ignore-df", "clear": " nopmtudisc ignore-df"}


def add_device(tunnel: KernelTunnel, slot: int) -> None:
    """Make the tunnel's device, down, with our mark; LocalError where the kernel has no such kind."""
    path = tunnel.path
    kind, options = _kind(path.gre, path.source, path.destination, tunnel.interface, path.df)

    def work(route: Any) -> None:
        passing = f"{_PASSING}{slot}"
        route.link("add", ifname=passing, kind=kind, **options)
        index = route.link_lookup(ifname=passing)[0]
        route.link("set", index=index, IFLA_IFALIAS=f"{_ALIAS}{slot}")
        route.link("set", index=index, ifname=path.name)

    try:
        host_module._change(f"make {path.name}", work)
    except LocalError:
        with suppress(LocalError):
            remove_device(f"{_PASSING}{slot}")
        raise


def _kind(
    gre: bool, source: Address, remote: Address, interface: int, df: DfBit = "copy"
) -> tuple[str, dict[str, object]]:
    """Kind and options of a device as pyroute2 takes them."""
    if not gre:
        return "xfrm", {"xfrm_if_id": interface}
    ends = {"local": str(source), "remote": str(remote), "ttl": _TTL}
    if source.version == 4:
        # What IPsec sees is the header that GRE makes, without DF where the configuration does not set it.
        ends |= {"pmtudisc": int(df == "set"), "ignore_df": int(df != "set")}
        return "gre", {f"gre_{name}": value for name, value in ends.items()}
    return "ip6gre", {f"ip6gre_{name}": value for name, value in (*ends.items(), ("flags", _IGNORE_ENCAP_LIMIT))}


def lead_device(tunnel: KernelTunnel, remote: Address) -> None:
    """Lead a GRE device of ours to where the peer is now."""
    kind, options = _kind(True, tunnel.path.source, remote, 0, tunnel.path.df)

    def work(route: Any) -> None:
        index = route.link_lookup(ifname=tunnel.path.name)[0]
        route.link("set", index=index, kind=kind, **options)

    host_module._change(f"lead {tunnel.path.name} to {remote}", work)


def remove_device(name: str) -> None:
    """Remove a device of ours; nothing where there is none."""
    host_module.remove_device(name)


def refuse_unguarded(name: str, device: str | None) -> None:
    """LocalError where the host lets packets pass a device without a look at IPsec's policies: a GRE tunnel over it
    would send, or take, in clear.
    """
    for where in dict.fromkeys(("all", device or "all")):
        for switch in ("disable_xfrm", "disable_policy"):
            path = f"/proc/sys/net/ipv4/conf/{where}/{switch}"
            if _switched_on(path):
                raise LocalError(f"{name}: {path} is 1, so GRE would pass {where} in clear; set it to 0")


def _switched_on(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() not in ("", "0")
    except OSError:
        return False


# --- what this kernel can do


def probe(config: RouterConfig) -> str | None:
    """None where the kernel can carry the configuration's tunnels, else the reason in one line. It leaves nothing.

    An ESP SA between two addresses of documentation is added and taken out again, for each IP version that ESP would
    travel in; so is a device of each kind.
    """
    kinds = sorted(
        {
            (each.mode.startswith("gre"), each.destination.version)
            for each in carried(config)
            if each.destination is not None
        }
        or {(True, 4), (False, 4)}  # none yet: what most tunnels will be
    )
    try:
        with Xfrm() as xfrm:
            for version in sorted({version for _, version in kinds}):
                _try_state(xfrm, version)
        for gre, version in kinds:
            _try_device(gre, version)
    except LocalError as error:
        return str(error)
    return None


def _try_state(xfrm: Xfrm, version: int) -> None:
    source, destination = (ip_address(text) for text in _ADDRESSES[version])
    keys = Algorithm("cbc(aes)", bytes(16)), Algorithm("hmac(sha1)", bytes(20), 96)
    # Should we be killed in between, the kernel takes it out itself after a second.
    limits = Limits(hard_added=1)
    state = State(source, destination, 0x100, Mode.TUNNEL, first_of(SLOTS - 1), *keys, limits=limits)
    try:
        xfrm.add_state(state.encode())
    except XfrmRefused as error:
        if error.number != errno.EEXIST:
            raise LocalError(_REASONS.get(error.number, str(error))) from error
    xfrm.remove_state(destination, state.spi)


_REASONS = {
    errno.EPROTONOSUPPORT: "this kernel has no ESP (CONFIG_INET_ESP, CONFIG_INET6_ESP)",
    errno.EPERM: "it needs CAP_NET_ADMIN (run as root)",
}


def _try_device(gre: bool, version: int) -> None:
    near, far = (ip_address(text) for text in _ADDRESSES[version])
    kind, options = _kind(gre, near, far, first_of(SLOTS - 1))

    def work(route: Any) -> None:
        name = f"{_PASSING}probe"
        for left in route.link_lookup(ifname=name):
            route.link("del", index=left)
        route.link("add", ifname=name, kind=kind, **options)
        route.link("del", index=route.link_lookup(ifname=name)[0])

    try:
        host_module._change(f"make a device of kind {kind}", work)
    except LocalError as error:
        raise LocalError(_LACKS[kind] if str(error).endswith(_ABSENT) else str(error)) from error


_NO_VRF = "this kernel has no VRFs (CONFIG_NET_VRF), which `vrf forwarding` needs"
_ABSENT = "the kernel does not have it"
_LACKS = {
    "xfrm": "this kernel has no XFRM interfaces (CONFIG_XFRM_INTERFACE), which `tunnel mode ipsec` needs",
    "gre": "this kernel has no GRE devices (CONFIG_NET_IPGRE)",
    "ip6gre": "this kernel has no GRE devices over IPv6 (CONFIG_IPV6_GRE)",
}


# --- counters


def stat_text() -> str:
    """The kernel's counters of IPsec in this namespace; empty where it keeps none."""
    try:
        with open("/proc/net/xfrm_stat", encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""
