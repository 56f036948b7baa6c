"""Our own userland ESP against the kernel's, driven by strongSwan and by Libreswan, unmodified."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.guest import KernelStrongswan, counters
from tests.support.ikescope import PSK, Ikescope, Site
from tests.support.netns import HOST_A, HOST_B, NET_A, NET_B, WAN_A, WAN_B, Topology
from tests.support.peering import IKE, SELECTORS, settled
from tests.support.process import wait_until
from tests.support.strongswan import Child, Connection

Run = Callable[..., Ikescope]
Charon = Callable[..., KernelStrongswan]

TUNNEL = Child(local_ts=(NET_B,), remote_ts=(NET_A,))
GRE = Child(local_ts=(f"{WAN_B}[gre]",), remote_ts=(f"{WAN_A}[gre]",), mode="transport")


def theirs(child: Child, **options: str) -> Connection:
    """StrongSwan's side."""
    return Connection(WAN_B, WAN_A, PSK, (child,), proposals=(IKE,), options=options)


def gre_device(net: Topology) -> None:
    """The GRE device of site b, as its operator would make it, with the route to site a's LAN."""
    for words in (
        f"tunnel add gre1 mode gre local {WAN_B} remote {WAN_A} ttl 64",
        "addr add 172.31.0.2/30 dev gre1",
        "link set gre1 up",
        f"route add {NET_A} dev gre1",
    ):
        net.gw_b.ip(*words.split())


CASES = [
    pytest.param("ipsec", "aes128gcm16", "", id="tunnel-gcm"),
    pytest.param("ipsec", "aes256-sha256", "", id="tunnel-cbc-sha256"),
    pytest.param("ipsec", "aes128-sha1", "encap", id="tunnel-cbc-sha1-udp"),
    pytest.param("gre", "aes128gcm16", "", id="gre-gcm"),
    pytest.param("gre", "aes128-sha1", "", id="gre-cbc-sha1"),
    pytest.param("gre", "aes256-sha256", "encap", id="gre-cbc-sha256-udp"),
]


@pytest.mark.parametrize(("mode", "esp", "encap"), CASES)
def test_userland_against_strongswan(
    net: Topology, charon: Charon, router: Run, tmp_path: Path, mode: str, esp: str, encap: str
) -> None:
    """Our userland ESP and the kernel's under strongSwan carry a ping both ways, and rekeys of either end lose none."""
    ours = Site(ike=IKE, esp=esp, mode=mode, selectors=SELECTORS if mode == "ipsec" else ())
    child = replace(TUNNEL if mode == "ipsec" else GRE, esp_proposals=(esp,))
    if mode == "gre":
        gre_device(net)
    peer = charon(net.gw_b)
    peer.load(theirs(child, **({"encap": "yes"} if encap else {})))
    a = router(ours, plane="userland")
    with net.host_a.pinging(HOST_B, directory=tmp_path) as ping:
        wait_until("both ends agree", lambda: settled(a, peer))
        old = a.children()
        a.command("test crypto ikev2 rekey child")
        wait_until("rekeyed by us", lambda: a.children() != old and settled(a, peer))
        old = a.children()
        peer.rekey(child="net")
        wait_until("rekeyed by strongSwan", lambda: a.children() != old and settled(a, peer))
    assert (ping.lost, ping.received > 0) == (0, True)
    assert net.host_b.ping(HOST_A, size=1200).lost == 0
    assert counters(net.gw_b) == {}
