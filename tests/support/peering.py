"""What the tests of ikescope against strongSwan share: the fixtures' types, suites, and when both ends agree."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from tests.support.ikescope import Ikescope, Site
from tests.support.netns import LAN_A, NET_A, NET_B, Topology
from tests.support.strongswan import Child, Connection, Strongswan
from tests.support.tshark import Packet

Start: TypeAlias = Callable[..., Strongswan]
Run: TypeAlias = Callable[[Site], Ikescope]
Peer: TypeAlias = Callable[..., Connection]
Wire: TypeAlias = Callable[[], AbstractContextManager[list[Packet]]]

SELECTORS = ((NET_A, NET_B),)
SUITES = [
    ("aes256-sha512-ecp256", "aes128-sha1"),
    ("aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519"),
    ("aes256-sha256-modp2048", "aes256-sha256-modp2048"),
]
"""IKE and ESP proposals that each tunnel is proven with, as strongSwan writes them."""

IKE, ESP = "aes256-sha512-ecp256", "aes128gcm16"
OURS = Site(ike=IKE, esp=ESP, selectors=SELECTORS)
"""Site a for a peer that the fixture `site("b")` configures."""

HALVES = (("10.1.0.0/25", "10.2.0.0/25"), ("10.1.0.128/25", "10.2.0.128/25"))
FAR = "10.2.0.130"
"""Both LANs in halves, a Child SA each, and a host in site b's second half, where HOST_B is in the first."""


def split(net: Topology) -> tuple[Child, Child]:
    """Give the hosts an address in each half of their LAN; strongSwan's children for them.

    kernel-libipsec routes each Child SA by its remote prefix, from an address of its own in the local one.
    """
    near = "10.1.0.130"
    net.host_a.ip("addr", "add", f"{near}/24", "dev", "eth0")
    net.host_a.ip("route", "add", HALVES[1][1], "via", LAN_A, "src", near)
    net.host_b.ip("addr", "add", f"{FAR}/24", "dev", "eth0")
    net.gw_b.ip("addr", "add", "10.2.0.129/24", "dev", "lan")
    first, second = (
        Child(name=f"half{number}", local_ts=(theirs,), remote_ts=(ours,))
        for number, (ours, theirs) in enumerate(HALVES)
    )
    return first, second


def child_spis(peer: Strongswan) -> list[tuple[str, str]]:
    """The SPIs of strongSwan's Child SAs as our side has them: inbound here, outbound here."""
    return [(child["spi-out"], child["spi-in"]) for child in peer.children()]


def ike_spis(peer: Strongswan) -> list[tuple[str, str]]:
    """The SPIs of strongSwan's established IKE SAs: initiator's, responder's."""
    return [(sa["initiator-spi"], sa["responder-spi"]) for sa in peer.established()]


def settled(ours: Ikescope, peer: Strongswan, children: int = 1) -> bool:
    """Whether one IKE SA with so many Child SAs stands, the same at both ends."""
    ike, child = ours.ike(), ours.children()
    return (
        (len(ike), len(child), len(peer.sas())) == (1, children, 1)
        and ike == ike_spis(peer)
        and sorted(child) == sorted(child_spis(peer))
    )
