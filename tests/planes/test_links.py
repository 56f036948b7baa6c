"""Which changes a configuration makes of a host, decided without touching one."""

from ipaddress import ip_address, ip_interface, ip_network

import msgspec
import pytest
from tests.planes.gateway import configuration

from ikescope.config.model import Route, RouterConfig
from ikescope.errors import LocalError
from ikescope.planes.host import BLACKHOLE_METRIC, PROTOCOL, Host, HostRoute
from ikescope.planes.links import Changes, plan_changes, tunnel_source

WAN = HostRoute(ip_network("10.99.0.0/24"), "eth0", 0, 2, blackhole=False)
DEFAULT = HostRoute(ip_network("0.0.0.0/0"), "eth0", 100, 3, blackhole=False)
HOST = Host(
    {"lo": 65536, "eth0": 1500},
    (("lo", ip_interface("127.0.0.1/8")), ("eth0", ip_interface("10.99.0.1/24"))),
    (WAN, DEFAULT),
)


def _plan(config: RouterConfig, host: Host = HOST, ssh: str | None = None) -> Changes:
    sources = {name: tunnel_source(config, tunnel, host, {}) for name, tunnel in config.tunnels.items()}
    return plan_changes(config, host, sources, ssh)


def _routed(*prefixes: str) -> RouterConfig:
    routes = tuple(Route(prefix=ip_network(each), interface="Tunnel0", line=9) for each in prefixes)
    return msgspec.structs.replace(configuration("a"), routes=routes)


def test_every_change_is_a_line() -> None:
    """The plan names devices, addresses, routes of our protocol and the blackholes behind them, and no other device."""
    lines = _plan(configuration("a")).lines()
    tail = f"metric {BLACKHOLE_METRIC} proto {PROTOCOL}"
    assert lines == [
        f"ip route replace blackhole 172.16.0.0/30 {tail}",
        f"ip route replace blackhole 10.2.0.0/24 {tail}",
        "ip tuntap add dev Tunnel0 mode tun    # ends with the process",
        "echo 1 > /proc/sys/net/ipv6/conf/Tunnel0/disable_ipv6",
        "ip address add 172.16.0.1/30 dev Tunnel0",
        "ip link set dev Tunnel0 mtu 1414 multicast off up",
        "ip tuntap add dev Loopback0 mode tun    # ends with the process",
        "echo 1 > /proc/sys/net/ipv6/conf/Loopback0/disable_ipv6",
        "ip address add 1.1.1.1/32 dev Loopback0",
        "ip link set dev Loopback0 mtu 1500 multicast off up",
        f"ip route add 10.2.0.0/24 dev Tunnel0 metric 1 proto {PROTOCOL}",
    ]
    assert not [line for line in lines if "eth0" in line or "GigabitEthernet" in line]


def test_next_hop_on_the_tunnel_leads_into_it() -> None:
    """A static route to a next hop on the tunnel's network is one through the tunnel; another is not ours."""
    routes = (
        Route(prefix=ip_network("10.2.0.0/24"), next_hop=ip_address("172.16.0.2"), distance=5),
        Route(prefix=ip_network("10.3.0.0/24"), next_hop=ip_address("10.99.0.254")),
    )
    changes = _plan(msgspec.structs.replace(configuration("a"), routes=routes))
    assert [(str(each.prefix), each.device, each.metric) for each in changes.routes] == [("10.2.0.0/24", "Tunnel0", 5)]


@pytest.mark.parametrize("prefix", ["10.99.0.0/24", "10.99.0.2/32"])
def test_a_route_that_swallows_the_peer_is_refused(prefix: str) -> None:
    """A route at least as specific as the host's own way to the tunnel destination is refused, with its line."""
    with pytest.raises(LocalError, match=r"line 9.*tunnel's own destination 10\.99\.0\.2 into Tunnel0"):
        _plan(_routed(prefix))


def test_a_default_route_into_the_tunnel() -> None:
    """A default route is taken while a more specific route leads to the peer, and refused where none does."""
    assert _plan(_routed("0.0.0.0/0")).routes[0].prefix == ip_network("0.0.0.0/0")
    alone = Host(HOST.devices, HOST.addresses, (DEFAULT,))
    with pytest.raises(LocalError, match=r"more specific route to 10\.99\.0\.2"):
        _plan(_routed("0.0.0.0/0"), alone)


def test_a_route_that_swallows_the_ssh_session_is_refused() -> None:
    """The way back to the operator's SSH client is not led into a tunnel; another client's address does not matter."""
    with pytest.raises(LocalError, match=r"your SSH session from 198\.51\.100\.7"):
        _plan(_routed("198.51.100.0/24"), ssh="198.51.100.7 50000 10.99.0.1 22")
    assert _plan(_routed("198.51.100.0/24"), ssh="203.0.113.7 50000 10.99.0.1 22").routes


def test_tunnel_without_protection_is_not_made() -> None:
    """A tunnel without tunnel protection, or shut down, becomes no device and no route."""
    config = configuration("a")
    for change in ({"ipsec_profile": None}, {"shutdown": True}):
        tunnel = msgspec.structs.replace(config.tunnels["Tunnel0"], **change)
        changes = _plan(msgspec.structs.replace(config, tunnels={"Tunnel0": tunnel}))
        assert [each.name for each in changes.devices] == ["Loopback0"]
        assert changes.routes == changes.blackholes == ()


def test_leftovers_are_removed_and_a_running_router_is_not() -> None:
    """A blackhole of ours whose route is gone is left from a killed router; one with its route is a live one's."""

    def ours(prefix: str, device: str | None) -> HostRoute:
        return HostRoute(ip_network(prefix), device, 1, PROTOCOL, blackhole=device is None)

    routes = (
        ours("10.7.0.0/24", None),
        ours("10.8.0.0/24", None),
        ours("10.8.0.0/24", "Tunnel8"),
        ours("10.2.0.0/24", None),
    )
    changes = _plan(configuration("a"), Host(HOST.devices, HOST.addresses, (*HOST.routes, *routes)))
    assert changes.leftovers == (ip_network("10.7.0.0/24"),)


def test_device_name_in_use_is_refused() -> None:
    """A device that exists under a tunnel's name is never touched."""
    with pytest.raises(LocalError, match="Tunnel0: a device of this name exists already"):
        _plan(configuration("a"), Host(HOST.devices | {"Tunnel0": 1400}, HOST.addresses, HOST.routes))


def test_source_is_found_by_address_or_by_mapping() -> None:
    """The tunnel source is the file's address where the host holds it, else the device that --interface names."""
    config = configuration("a")
    tunnel = config.tunnels["Tunnel0"]
    assert tunnel_source(config, tunnel, HOST, {}) == ip_address("10.99.0.1")
    other = Host({"ens3": 1500}, (("ens3", ip_interface("10.99.0.9/24")),), (WAN,))
    assert tunnel_source(config, tunnel, other, {"GigabitEthernet1": "ens3"}) == ip_address("10.99.0.9")
    with pytest.raises(
        LocalError, match=r"10\.99\.0\.1, which no device of this host holds.*--interface GigabitEthernet1="
    ):
        tunnel_source(config, tunnel, other, {})
    with pytest.raises(LocalError, match="this host has no device ens9"):
        tunnel_source(config, tunnel, other, {"GigabitEthernet1": "ens9"})


def test_source_on_a_loopback_of_our_own() -> None:
    """A tunnel source on a Loopback that the configuration makes need not be on the host yet."""
    config = configuration("a")
    tunnel = msgspec.structs.replace(
        config.tunnels["Tunnel0"], source="Loopback0", source_address=ip_address("1.1.1.1")
    )
    assert tunnel_source(config, tunnel, HOST, {}) == ip_address("1.1.1.1")
