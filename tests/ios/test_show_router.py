"""The shows of interfaces, routes and the router itself."""

from tests.ios.show_samples import CONFIG, STATUS, TUNNEL, but, columns

from ikescope import __version__
from ikescope.ios import exec_debug, show_operators, show_router
from ikescope.node.status import Operator


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
        "  MTU 1400 bytes, BW 100 Kbit/sec, DLY 50000 usec, ",
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


def test_show_users_has_a_row_for_each_line_and_marks_who_asks() -> None:
    """IOS's columns: the console first, then the vty lines, with idle times and addresses."""
    console = Operator(user="console 1", line="con 0", level=15, idle=3725.0)
    admin = Operator(user="admin", line="vty 2", address="192.0.2.9", level=15)
    assert show_operators.users(but(STATUS, operators=(admin, console)), admin.who)[:3] == [
        "    Line       User       Host(s)              Idle       Location",
        "   0 con 0                idle                 01:02:05 ",
        "*  3 vty 2     admin      idle                 00:00:00 192.0.2.9",
    ]


def test_show_ip_ssh_says_whether_it_listens() -> None:
    """Where SSH listens, and what the configuration says of it."""
    said = show_operators.ip_ssh(but(STATUS, ssh_port=22), CONFIG)
    assert (said[0], said[2]) == (
        "SSH Enabled (port 22) - version 2.0",
        "Authentication timeout: 120 secs; Authentication retries: 3",
    )
    assert show_operators.ip_ssh(STATUS, CONFIG)[0] == "SSH Disabled - version 2.0"


def test_show_inventory_is_one_honest_entry() -> None:
    """The program is what there is; it has no serial number."""
    name, part, _ = show_operators.inventory()
    assert "not Cisco hardware" in name
    assert part == f"PID: IKESCOPE          , VID: {__version__} , SN: "


def test_show_ip_interface_and_descriptions() -> None:
    """Each interface with its state, address and the MTU that we set; without an address it has no IP."""
    assert show_router.ip_interface(STATUS, CONFIG, "Tunnel0") == [
        "Tunnel0 is up, line protocol is up",
        "  Internet address is 172.16.0.1/30",
        "  MTU is 1400 bytes",
    ]
    assert show_router.ip_interface(STATUS, CONFIG, "Loopback0") == [
        "Loopback0 is administratively down, line protocol is down",
        "  Internet protocol processing disabled",
    ]
    assert show_router.ip_interface(STATUS, CONFIG, "Tunnel0", version=6) == []
    assert show_router.descriptions(STATUS, CONFIG)[2].split() == ["Loopback0", "admin", "down", "down"]
