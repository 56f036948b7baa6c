"""Against the kernel's own ESP, driven by strongSwan and by Libreswan, unmodified: tunnel and transport mode."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.guest import KernelLibreswan, KernelStrongswan, faults, gre_device, patiently
from tests.support.ikescope import PSK, Ikescope, Site
from tests.support.legs import pinging
from tests.support.libreswan import Connection as LibreswanConnection
from tests.support.netns import HOST_A, HOST_B, NET_A, NET_B, WAN_A, WAN_B, Topology
from tests.support.peering import IKE, SELECTORS, settled
from tests.support.strongswan import Child, Connection

Run = Callable[..., Ikescope]
Charon = Callable[..., KernelStrongswan]
Pluto = Callable[..., KernelLibreswan]

INTERFACE = pytest.mark.xfrm_interface
SITES = {
    "ipsec": Site(ike=IKE, selectors=SELECTORS),
    "gre": Site(ike=IKE, mode="gre", transport=True),
}
CHILDREN = {
    "ipsec": Child(local_ts=(NET_B,), remote_ts=(NET_A,)),
    "gre": Child(local_ts=(f"{WAN_B}[gre]",), remote_ts=(f"{WAN_A}[gre]",), mode="transport"),
}
STRONGSWANS = [
    pytest.param("userland", "ipsec", "aes128gcm16-esn", "no", id="userland-tunnel-gcm-esn"),
    pytest.param("userland", "ipsec", "aes128-sha1", "yes", id="userland-tunnel-cbc-sha1-udp"),
    pytest.param("userland", "gre", "aes256-sha256-esn", "no", id="userland-gre-cbc-sha256-esn"),
    pytest.param("userland", "gre", "aes128gcm16", "yes", id="userland-gre-gcm-udp"),
    pytest.param("kernel", "gre", "aes256-sha256-esn", "no", id="kernel-gre-cbc-sha256-esn"),
    pytest.param("kernel", "gre", "aes128gcm16", "yes", id="kernel-gre-gcm-udp"),
    pytest.param("kernel", "ipsec", "aes128gcm16-esn", "no", id="kernel-tunnel-gcm-esn", marks=INTERFACE),
    pytest.param("kernel", "ipsec", "aes128-sha1", "yes", id="kernel-tunnel-cbc-sha1-udp", marks=INTERFACE),
]


def comes_up(net: Topology, ours: Ikescope, plane: str, agreed: Callable[[], bool]) -> None:
    """The first packets bring the tunnel up, and pass where they are held until then: the kernel holds none."""
    first = net.host_a.ping(HOST_B)
    assert plane == "kernel" or first.lost == 0, ours.account()
    patiently("both ends agree", agreed)


def rekeyed(ours: Ikescope, rekey: Callable[[], object], agreed: Callable[[], bool]) -> None:
    """A rekey of the Child SA, to its end at both ends."""
    old = ours.children()
    rekey()
    patiently("rekeyed", lambda: ours.children() != old and agreed())


@pytest.mark.parametrize(("plane", "mode", "esp", "encap"), STRONGSWANS)
def test_strongswan(
    net: Topology, charon: Charon, router: Run, tmp_path: Path, plane: str, mode: str, esp: str, encap: str
) -> None:
    """Packets pass both ways, rekeys of either end lose none of a running ping, and the kernel finds no fault."""
    if mode == "gre":
        gre_device(net)
    child = replace(CHILDREN[mode], esp_proposals=(esp,))
    peer = charon(net.gw_b)
    peer.load(Connection(WAN_B, WAN_A, PSK, (child,), proposals=(IKE,), options={"encap": encap}))
    ours = router(replace(SITES[mode], esp=esp), plane=plane)

    def agreed() -> bool:
        return settled(ours, peer)

    comes_up(net, ours, plane, agreed)
    with net.host_a.pinging(HOST_B, directory=tmp_path) as ping:
        rekeyed(ours, lambda: ours.command("test crypto ikev2 rekey child"), agreed)
        rekeyed(ours, lambda: peer.rekey(child="net"), agreed)
    assert (ping.lost, ping.received > 0) == (0, True)
    assert net.host_b.ping(HOST_A, size=1200).lost == 0
    assert [each["mode"] for each in peer.children()] == ["TRANSPORT" if mode == "gre" else "TUNNEL"]
    assert faults(net.gw_b) == {}


THEIRS = LibreswanConnection(WAN_B, WAN_A, PSK, NET_B, NET_A, options=("pfs=no",))
PLUTOS = {
    "ipsec": THEIRS,
    "gre": replace(
        THEIRS,
        local_net="",
        remote_net="",
        options=("type=transport", "leftprotoport=gre", "rightprotoport=gre", "pfs=no"),
    ),
}
LIBRESWANS = [
    pytest.param("userland", "ipsec", "aes128gcm16", "aes_gcm128", id="userland-tunnel-gcm"),
    pytest.param("userland", "gre", "aes256-sha256", "aes256-sha2_256", id="userland-gre-cbc-sha256"),
    pytest.param("kernel", "ipsec", "aes256-sha256", "aes256-sha2_256", id="kernel-tunnel-cbc-sha256", marks=INTERFACE),
    pytest.param("kernel", "gre", "aes128gcm16", "aes_gcm128", id="kernel-gre-gcm"),
]


@pytest.mark.parametrize(("plane", "mode", "esp", "theirs"), LIBRESWANS)
def test_libreswan(
    net: Topology, pluto: Pluto, router: Run, tmp_path: Path, plane: str, mode: str, esp: str, theirs: str
) -> None:
    """Packets pass both ways, and a rekey loses none of a running ping but what Libreswan sends too early."""
    if mode == "gre":
        gre_device(net)
    else:
        net.gw_b.ip("route", "add", NET_A, "via", WAN_A)
    peer = pluto(replace(PLUTOS[mode], esp=theirs))
    ours = router(replace(SITES[mode], esp=esp), plane=plane)

    def agreed() -> bool:
        standing = ours.children()
        return len(standing) == 1 and standing == peer.children()

    net.host_a.ping(HOST_B)  # Libreswan runs scripts before it answers, and more than we hold may wait by then
    patiently("both ends agree", agreed)
    with pinging(net, HOST_B, directory=tmp_path, interval=0.05) as ways:
        rekeyed(ours, lambda: ours.command("test crypto ikev2 rekey child"), agreed)
    # Libreswan sends by the new SA before its answer has told us of it: what arrives meanwhile finds no SA.
    losses = ways.losses([ours.keys])
    assert len(losses) <= 1, losses
    assert all(loss.seen == "reply at wire" for loss in losses), losses
    assert net.host_b.ping(HOST_A, size=1200).lost == 0
