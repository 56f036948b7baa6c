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
from tests.support.machine import ROOT
from tests.support.netns import HOST_B, WAN_A, WAN_B, Namespace, topology

from ikescope.daemon.client import Client

pytestmark = [pytest.mark.netns, pytest.mark.tun]

_README = (ROOT / "README.md").read_text().partition("## From empty, over SSH\n")[2].partition("\n## ")[0]
TYPED = re.findall(r"^    (HQ\(.*?\)#)(.*)$", _README, re.MULTILINE)
"""The guide's prompts in configuration mode and what is typed there."""
EMPTY = "".join(f"{line.strip()}\n" for line in re.findall(r"^    (?:hostname|username) .*$", _README, re.MULTILINE))
PASSWORD = EMPTY.split()[-1]
ENDS = {"HQ": ("203.0.113.1", "10.0.0.1", "10.2.0.0"), "BRANCH": ("198.51.100.7", "10.0.0.2", "10.1.0.0")}
"""Address, tunnel address and the other's network, as the guide has them; the other end swaps them."""
LAB = {"203.0.113.1": WAN_A, "198.51.100.7": WAN_B}


def guide(name: str, text: str) -> str:
    """A line of the guide as it is for one of the ends in the lab."""
    if name == "BRANCH":
        pairs = [
            pair
            for ours, theirs in zip(ENDS["HQ"], ENDS["BRANCH"], strict=True)
            for pair in ((ours, theirs), (theirs, ours))
        ]
        swapped = dict([*pairs, ("HQ", "BRANCH"), ("BRANCH", "HQ")])
        text = re.sub("|".join(map(re.escape, swapped)), lambda found: swapped[found[0]], text)
    return re.sub("|".join(map(re.escape, LAB)), lambda found: LAB[found[0]], text)


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


def netmiko_in(namespace: Namespace, password: str = PASSWORD) -> Any:
    """Netmiko, logged in at the router of a namespace."""
    return netmiko.ConnectHandler(
        device_type="cisco_ios",
        host="127.0.0.1",
        sock=connected(namespace, 22),
        username="admin",
        password=password,
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
            f"Encr: AES-CBC, keysize: {sa['key_length']}, PRF: SHA512",
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
    """The README's guide, typed by netmiko, brings the tunnel up with the guide's own prompts; each show read back over
    SSH says what the engine says of itself, as text and as JSON; saving it keeps the key sealed. Ctrl-C ends a ping,
    and 300 strangers cost the tunnel no packet.
    """
    assert len(TYPED) > 15
    options = ("--ssh", "127.0.0.1:22", "--workers", "0")
    with (
        topology("fe") as net,
        start(net.gw_a, guide("HQ", EMPTY), tmp_path, "HQ", *options, patience=60.0),
        start(net.gw_b, guide("BRANCH", EMPTY), tmp_path, "BRANCH", *options, patience=60.0),
        netmiko_in(net.gw_a) as one,
        netmiko_in(net.gw_b) as two,
    ):
        routers = {"HQ": one, "BRANCH": two}
        for name, router in routers.items():
            seen = router.send_config_set([guide(name, line) for _, line in TYPED], error_pattern="% (Inv|Inc|Amb)")
            assert [line for prompt, line in TYPED if guide(name, prompt + line) not in seen.splitlines()] == [], seen
        assert net.host_a.ping(HOST_B, count=3).lost == 0
        assert "!!!" in one.send_command("ping 10.0.0.2 source Tunnel0 repeat 3")
        one.write_channel("ping 10.0.0.2 source Tunnel0 repeat 2147483647\n")
        one.read_until_pattern("!")
        one.write_channel("\x03")
        assert "Success rate is" in one.read_until_pattern("HQ#")
        strangers = [connected(net.gw_a, 22) for _ in range(300)]
        with pytest.raises(netmiko.exceptions.NetmikoAuthenticationException):
            netmiko_in(net.gw_b, "no-password-of-admin")
        assert net.host_a.ping(HOST_B, count=5, interval=0.05).lost == 0
        for stranger in strangers:
            stranger.close()
        for name, router in routers.items():
            with Client(tmp_path / f"{name}.sock") as client:
                status = client.ask({"status": True})["status"]
            read_back(router, status)
            assert "[OK]" in router.save_config()
            saved = (tmp_path / f"{name}.cfg").read_text()
            assert " pre-shared-key 6 ikescope.1." in saved and "a-long-shared-key" not in saved
            assert PASSWORD not in saved


def read_back(router: Any, status: dict[str, Any]) -> None:
    """Each show of a router says what its engine says."""
    assert status["children"][0]["sent"]["packets"] >= 3
    for show, facts in said(status).items():
        text = router.send_command(show)
        assert [fact for fact in facts if not re.search(fact, text)] == [], text
    (sa,) = json.loads(router.send_command("show crypto ikev2 sa | json"))["ike_sas"]
    moving = ("active", "rekey_in", "last_heard", "local_request_id", "remote_request_id")
    both = [{name: fact for name, fact in one.items() if name not in moving} for one in (sa, status["ike"][0])]
    assert both[0] == both[1]
