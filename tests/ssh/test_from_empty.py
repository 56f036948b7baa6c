"""Two routers that were started with a name and a user each, and configured by netmiko over SSH alone."""

from __future__ import annotations

import ctypes
import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

import netmiko
import pytest
from tests.daemon.routers import start
from tests.support.netns import HOST_B, WAN_A, WAN_B, Namespace, topology

from ikescope.daemon.client import Client

pytestmark = [pytest.mark.netns, pytest.mark.tun]

PASSWORD = "first-day"
EMPTY = f"hostname {{name}}\nusername admin privilege 15 secret {PASSWORD}\n"
GUIDE = """\
crypto ikev2 proposal PROP
 encryption aes-gcm-256
 prf sha384
 group 20
crypto ikev2 policy POL
 proposal PROP
crypto ikev2 keyring KR
 peer OTHER
  address {far}
  pre-shared-key a-long-shared-key
crypto ikev2 profile PROF
 match identity remote address {far} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KR
 dpd 10 2 periodic
crypto ipsec transform-set TS esp-gcm 256
 mode transport
crypto ipsec profile IPSEC
 set transform-set TS
 set pfs group20
 set ikev2-profile PROF
interface Tunnel0
 ip address {inner} 255.255.255.252
 tunnel source {near}
 tunnel destination {far}
 tunnel protection ipsec profile IPSEC
ip route {network} 255.255.255.0 Tunnel0
"""
_NET = 0x40000000


def connected(namespace: Namespace, port: int) -> socket.socket:
    """A connection made within a namespace, by a thread that goes there and ends."""
    made: list[socket.socket] = []

    def connect() -> None:
        with Path(f"/run/netns/{namespace.name}").open() as place:
            assert ctypes.CDLL(None, use_errno=True).setns(place.fileno(), _NET) == 0
        made.append(socket.create_connection(("127.0.0.1", port), 60))

    thread = threading.Thread(target=connect)
    thread.start()
    thread.join()
    return made[0]


def netmiko_in(namespace: Namespace) -> Any:
    """Netmiko, logged in at the router of a namespace."""
    return netmiko.ConnectHandler(
        device_type="cisco_ios",
        host="127.0.0.1",
        sock=connected(namespace, 22),
        username="admin",
        password=PASSWORD,
    )


def said(status: dict[str, Any]) -> dict[str, list[str]]:
    """What the shows must say, by their commands, of an engine that says this of itself."""
    (sa,), (child,), (tunnel,) = status["ike"], status["children"], status["tunnels"]
    ends = [f"{sa['local']}/{sa['local_port']}", f"{sa['remote']}/{sa['remote_port']}"]
    spis = [f"0x{child[way]:X}({child[way]})" for way in ("inbound", "outbound")]
    sent, received = child["sent"]["packets"], child["received"]["packets"]
    local, remote = (child[end][0] for end in ("local", "remote"))
    return {
        **said_of_tunnel(status, tunnel),
        "show crypto ikev2 sa": [
            f"{sa['id']} +{ends[0]} +{ends[1]} +none/none +{sa['state']}",
            f"DH Grp:{sa['group']},",
        ],
        "show crypto ikev2 sa detailed": [
            f"Local spi: {sa['spi_local'].upper()} +Remote spi: {sa['spi_remote'].upper()}",
            f"Life/Active Time: {sa['lifetime']}/",
            f"Local id: {sa['local_id']['value']}",
            f"Remote id: {sa['remote_id']['value']}",
            f"keysize: {sa['key_length']}, PRF: SHA384",
            f"DPD configured for {sa['dpd']['interval']} seconds, retry {sa['dpd']['retry']}",
            f"Initiator of SA : {'Yes' if sa['initiator'] else 'No'}",
        ],
        "show crypto ipsec sa": [
            f"interface: {child['tunnel']}",
            rf"local +ident \(addr/mask/prot/port\): \({local['start']}/255.255.255.255/{local['protocol']}/0\)",
            rf"remote +ident \(addr/mask/prot/port\): \({remote['start']}/255.255.255.255/{remote['protocol']}/0\)",
            f"#pkts encaps: {sent}, ",
            f"#pkts decaps: {received}, ",
            f"local crypto endpt.: {child['local_address']}, remote crypto endpt.: {child['remote_address']}",
            rf"inbound esp sas:\s+spi: {re.escape(spis[0])}",
            rf"outbound esp sas:\s+spi: {re.escape(spis[1])}",
            f"replay window size: {child['replay_window']}",
        ],
        "show crypto session detail": [
            f"Interface: {child['tunnel']}",
            f"Profile: {sa['profile']}",
            f"Peer: {sa['remote']} port {sa['remote_port']} ",
            f"IKEv2 SA: local {ends[0]} remote {ends[1]} Active",
            f"IPSEC FLOW: permit {local['protocol']} host {local['start']} host {remote['start']}",
            f"#pkts enc'ed {sent} drop {child['sent']['dropped']}",
            f"#pkts dec'ed {received} drop {child['received']['dropped']}",
        ],
    }


def said_of_tunnel(status: dict[str, Any], tunnel: dict[str, Any]) -> dict[str, list[str]]:
    """The same of the router and its tunnel."""
    address = tunnel["addresses"][0]
    return {
        f"show interfaces {tunnel['name']}": [
            f"{tunnel['name']} is up, line protocol is up",
            f"Internet address is {address}",
            f"Tunnel source {tunnel['source']}",
            f"destination {tunnel['destination']}",
            f"MTU {tunnel['mtu']} bytes",
        ],
        "show ip interface brief": [rf"{tunnel['name']} +{address.partition('/')[0]} .*up +up"],
        "show ip route": [f"L +{address.partition('/')[0]}/32 is directly connected, {tunnel['name']}"],
        "show running-config": [f"hostname {status['hostname']}", f" tunnel destination {tunnel['destination']}"],
        "show version": [f"{status['hostname']} uptime is", f"Data plane is {status['plane']}"],
    }


def test_two_routers_from_empty_by_netmiko(tmp_path: Path) -> None:
    """A configuration pushed line by line brings the tunnel up; each show read back over SSH says what the engine says
    of itself, as text and as JSON; saving it keeps the key sealed.
    """
    options = ("--ssh", "127.0.0.1:22", "--workers", "0")
    sites = {"R1": (WAN_A, WAN_B, "172.16.0.1", "10.2.0.0"), "R2": (WAN_B, WAN_A, "172.16.0.2", "10.1.0.0")}
    with (
        topology("fe") as net,
        start(net.gw_a, EMPTY.format(name="R1"), tmp_path, "R1", *options),
        start(net.gw_b, EMPTY.format(name="R2"), tmp_path, "R2", *options),
        netmiko_in(net.gw_a) as one,
        netmiko_in(net.gw_b) as two,
    ):
        routers = {"R1": one, "R2": two}
        for name, (near, far, inner, network) in sites.items():
            lines = GUIDE.format(near=near, far=far, inner=inner, network=network).splitlines()
            routers[name].send_config_set(lines, error_pattern=r"% (Invalid|Incomplete|Ambiguous)")
        assert net.host_a.ping(HOST_B, count=3).lost == 0
        for name, router in routers.items():
            with Client(tmp_path / f"{name}.sock") as client:
                status = client.ask({"status": True})["status"]
            assert status["ike"] and status["children"][0]["sent"]["packets"] >= 3
            for show, facts in said(status).items():
                text = router.send_command(show)
                assert [fact for fact in facts if not re.search(fact, text)] == [], text
            (sa,) = json.loads(router.send_command("show crypto ikev2 sa | json"))["ike_sas"]
            moving = {"active", "rekey_in", "last_heard", "local_request_id", "remote_request_id"}
            assert {k: v for k, v in sa.items() if k not in moving} == {
                k: v for k, v in status["ike"][0].items() if k not in moving
            }
            assert "[OK]" in router.save_config()
            saved = (tmp_path / f"{name}.cfg").read_text()
            assert " pre-shared-key 6 ikescope.1." in saved and "a-long-shared-key" not in saved
            assert PASSWORD not in saved
