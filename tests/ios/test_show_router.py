"""The shows of interfaces, routes and the router itself."""

from tests.ios.show_samples import CONFIG, STATUS, TUNNEL, but, columns

from ikescope import __version__
from ikescope.ios import exec_debug, show_router


def test_show_ip_route_has_connected_local_and_static_routes() -> None:
    """Routes under their classful network, as IOS lists them, and the gateway of last resort."""
    lines = show_router.ip_route(STATUS, CONFIG)
    assert lines[4:] == [
        "Gateway of last resort is 10.0.0.254 to network 0.0.0.0",
        "",
        "S*    0.0.0.0/0 [1/0] via 10.0.0.254",
        "      10.0.0.0/8 is variably subnetted, 3 subnets, 3 masks",
        "C        10.0.0.0/24 is directly connected, GigabitEthernet1",
        "L        10.0.0.1/32 is directly connected, GigabitEthernet1",
        "S        10.2.0.0/16 is directly connected, Tunnel0",
        "      172.16.0.0/16 is variably subnetted, 2 subnets, 2 masks",
        "C        172.16.0.0/30 is directly connected, Tunnel0",
        "L        172.16.0.1/32 is directly connected, Tunnel0",
    ]


def test_routes_through_a_tunnel_that_is_down_are_not_there() -> None:
    """A static or connected route lives as long as its interface's line protocol."""
    down = but(STATUS, tunnels=(but(TUNNEL, up=False),))
    assert not any("Tunnel0" in line for line in show_router.ip_route(down, CONFIG))


def test_show_ip_interface_brief_has_ios_s_columns() -> None:
    """Names, addresses and states under their headers."""
    lines = show_router.ip_interface_brief(STATUS, CONFIG)
    assert lines == [
        "Interface              IP-Address      OK? Method Status                Protocol",
        "GigabitEthernet1       10.0.0.1        YES NVRAM  up                    up      ",
        "Loopback0              unassigned      YES unset  administratively down down    ",
        "Tunnel0                172.16.0.1      YES NVRAM  up                    up      ",
    ]
    assert columns(lines[0]) == columns(lines[1]) == columns(lines[3])


def test_show_interfaces_tells_of_a_tunnel_s_protection() -> None:
    """A tunnel shows its ends, its transport and its IPsec profile."""
    assert show_router.interfaces(STATUS, CONFIG, "Tunnel0") == [
        "Tunnel0 is up, line protocol is up ",
        "  Hardware is Tunnel",
        "  Internet address is 172.16.0.1/30",
        "  MTU 1400 bytes",
        "  Tunnel source 10.0.0.1 (GigabitEthernet1), destination 10.0.0.2",
        "  Tunnel protocol/transport GRE/IP",
        '  Tunnel protection via IPSec (profile "default")',
    ]


def test_show_access_lists_is_ios_s() -> None:
    """Entries are numbered in tens and have wildcard masks."""
    assert show_router.access_lists(CONFIG) == [
        "Extended IP access list LANS",
        "    10 permit ip 10.1.0.0 0.0.255.255 host 10.2.0.9",
    ]


def test_show_version_names_ikescope_and_no_other_maker_s_software() -> None:
    """The router says what it is."""
    lines = show_router.version(STATUS, CONFIG)
    assert lines[0] == f"ikescope, Version {__version__}"
    assert "not Cisco software" in lines[1]
    assert "R1 uptime is 1 day, 2 hours, 3 minutes" in lines


def test_show_debugging_and_clock() -> None:
    """What is switched on, nothing where nothing is; the time in IOS's form."""
    assert exec_debug.debugging(["default"]) == ["IKEV2:", "  IKEv2 default debugging is on", ""]
    assert exec_debug.debugging([]) == []
    assert show_router.clock(STATUS.wall) == ["*14:05:01.123 UTC Mon Nov 23 2026"]
