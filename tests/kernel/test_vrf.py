"""A tunnel in a Linux VRF: what is inside has a routing table of its own, and nothing of it is left."""

import sys
from collections.abc import Callable
from dataclasses import replace

from tests.support.guest import patiently, remains
from tests.support.ikescope import Ikescope, Site, mirrored
from tests.support.netns import Topology
from tests.support.peering import IKE

Run = Callable[..., Ikescope]

SITE = Site(ike=IKE, mode="gre", esp="aes128gcm16", transport=True)
FAR = "172.31.0.2"
DUMMY = "link add Global0 type dummy", "addr add 172.31.0.1/30 dev Global0", "link set Global0 up"
LOOPBACK = ("interface Loopback5", " vrf forwarding RED", " ip address 5.5.5.5 255.255.255.255")

PING = """
import socket, struct, sys
device, address = sys.argv[1:]
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    raw.settimeout(2.0)
    echo = struct.pack(">BBHHH", 8, 0, 0, 7, 1)
    raw.sendto(echo[:2] + struct.pack(">H", 0xFFFF - sum(struct.unpack(">4H", echo))) + echo[4:], (address, 0))
    while True:
        packet, (source, _) = raw.recvfrom(2048)
        if source == address and packet[20] == 0:
            break
"""
"""One echo request by a device; it fails where no reply comes."""


class InRed(Site):
    """The site with its tunnel and its route in a VRF."""

    @property
    def text(self) -> str:
        """The IOS configuration."""
        plain = super().text.replace("ip route 10", "ip route vrf RED 10")
        inside = plain.replace("interface Tunnel0\n", "interface Tunnel0\n vrf forwarding RED\n")
        family = " rd 1:1\n address-family ipv4\n exit-address-family\n"
        return inside.replace("crypto ikev2 keyring", f"vrf definition RED\n{family}crypto ikev2 keyring", 1)


def test_a_tunnel_in_a_vrf(net: Topology, router: Run) -> None:
    """Pings inside the VRF cross, those in the global table to the same address do not; changed live, killed and
    started again it is as before, and in the end nothing is left.
    """
    site = InRed(**{name: getattr(SITE, name) for name in SITE.__slots__})
    for words in DUMMY:
        net.gw_a.ip(*words.split())
    a, b = router(replace(site, more=LOOPBACK)), router(mirrored(SITE))

    def crosses(where: str) -> bool:
        return net.gw_a.run(sys.executable, "-c", PING, where, FAR, check=False).returncode == 0

    patiently("it crosses in the VRF", lambda: crosses("RED"))
    assert not crosses("Global0")
    net.gw_a.ip("link", "del", "Global0")
    assert "10.2.0.0/24 dev Tunnel0" in net.gw_a.ip("route", "show", "vrf", "RED")
    assert "unreachable default" in net.gw_a.ip("route", "show", "vrf", "RED")
    assert "10.2.0.0/24" not in net.gw_a.ip("route", "show")
    assert "5.5.5.5" in net.gw_a.ip("address", "show", "vrf", "RED")
    a.command("configure terminal", "interface Loopback5", "no vrf forwarding RED", "ip address 5.5.5.6/32")
    assert "5.5.5" not in net.gw_a.ip("address", "show", "vrf", "RED")
    assert "5.5.5.6" in net.gw_a.ip("address", "show", "Loopback5")
    a.kill()
    a = router(site)
    patiently("it crosses again", lambda: crosses("RED"))
    a.stop()
    b.stop()
    assert remains(net.gw_a) == []
    assert "unreachable" not in net.gw_a.ip("route", "show", "table", "all")
    assert "unreachable default metric 4278" not in net.gw_a.ip("-6", "route", "show", "table", "all")
