"""What the tests of ikescope against strongSwan share: the fixtures' types, suites, and when both ends agree."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from tests.support.ikescope import Ikescope, Site
from tests.support.netns import NET_A, NET_B
from tests.support.strongswan import Connection, Strongswan
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


def child_spis(peer: Strongswan) -> list[tuple[str, str]]:
    """The SPIs of strongSwan's Child SAs as our side has them: inbound here, outbound here."""
    return [(child["spi-out"], child["spi-in"]) for child in peer.children()]


def ike_spis(peer: Strongswan) -> list[tuple[str, str]]:
    """The SPIs of strongSwan's established IKE SAs: initiator's, responder's."""
    return [(sa["initiator-spi"], sa["responder-spi"]) for sa in peer.established()]


def settled(ours: Ikescope, peer: Strongswan) -> bool:
    """Whether one IKE SA with one Child SA stands, the same at both ends."""
    ike, child = ours.ike(), ours.children()
    return len(ike) == len(child) == len(peer.sas()) == 1 and ike == ike_spis(peer) and child == child_spis(peer)
