"""Two ikescopes, ESP in the kernel at one end or at both: both tunnel modes, the suites, UDP around it, rekeys."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.guest import faults, patiently
from tests.support.ikescope import Ikescope, Site, mirrored
from tests.support.netns import HOST_A, HOST_B, NET_A, NET_B, Topology, over_ipv6
from tests.support.peering import IKE

Run = Callable[..., Ikescope]

GRE = Site(ike=IKE, mode="gre", transport=True)
IPSEC = Site(ike=IKE, selectors=((NET_A, NET_B),))
ENCAP = ("nat force-encap",)
INTERFACE = pytest.mark.xfrm_interface

CASES = [
    pytest.param("kernel", "kernel", replace(GRE, esp="aes128gcm16"), id="kernel-kernel-gre-gcm"),
    pytest.param(
        *("kernel", "kernel", replace(GRE, esp="aes256-sha256-esn", profile=ENCAP)),
        id="kernel-kernel-gre-cbc-sha256-esn-udp",
    ),
    pytest.param("kernel", "userland", replace(GRE, esp="aes128-sha1"), id="kernel-userland-gre-cbc-sha1"),
    pytest.param(
        *("userland", "kernel", replace(GRE, esp="aes128gcm16-esn", profile=ENCAP)),
        id="userland-kernel-gre-gcm-esn-udp",
    ),
    pytest.param(
        "kernel", "kernel", replace(IPSEC, esp="aes128gcm16-esn"), id="kernel-kernel-ipsec-gcm-esn", marks=INTERFACE
    ),
    pytest.param(
        *("kernel", "userland", replace(IPSEC, esp="aes256-sha256", profile=ENCAP)),
        id="kernel-userland-ipsec-cbc-sha256-udp",
        marks=INTERFACE,
    ),
    pytest.param("kernel", "kernel", replace(GRE, esp="aes128gcm16", ipv6=True), id="kernel-kernel-gre-over-ipv6"),
    pytest.param(
        *("kernel", "userland", replace(IPSEC, esp="aes128gcm16", ipv6=True, profile=ENCAP)),
        id="kernel-userland-ipsec-over-ipv6-udp",
        marks=INTERFACE,
    ),
]


def agreed(a: Ikescope, b: Ikescope) -> bool:
    """Whether both ends hold the same one IKE SA and one Child SA."""
    ours, theirs = a.children(), b.children()
    return len(ours) == 1 and [pair[::-1] for pair in ours] == theirs and a.ike() == b.ike() != []


@pytest.mark.parametrize(("plane_a", "plane_b", "site"), CASES)
def test_traffic_and_rekeys(net: Topology, router: Run, tmp_path: Path, plane_a: str, plane_b: str, site: Site) -> None:
    """Traffic brings the tunnel up, passes both ways, and no rekey of either end loses any of a running ping."""
    over_ipv6(net)
    a, b = router(site, plane=plane_a), router(mirrored(site), plane=plane_b)
    first = net.host_a.ping(HOST_B)
    assert plane_a == "kernel" or first.lost == 0
    patiently("both ends agree", lambda: agreed(a, b))
    with net.host_a.pinging(HOST_B, directory=tmp_path, interval=0.02) as ping:
        for end, what in ((a, "child"), (b, "ike"), (b, "child")):
            look = end.children if what == "child" else end.ike
            old = look()
            end.command(f"test crypto ikev2 rekey {what}")
            patiently(f"{what} rekeyed by {end.name}", lambda: look() != old and agreed(a, b))  # noqa: B023
    assert (ping.lost, ping.received > 0) == (0, True)
    assert net.host_b.ping(HOST_A, size=1200).lost == 0
    assert net.host_a.ping(HOST_B, size=4000).lost == 0
    for gateway, plane in ((net.gw_a, plane_a), (net.gw_b, plane_b)):
        # The kernel sees ESP arrive of which it knows nothing, since it is our userland's.
        assert faults(gateway, *(["XfrmInNoStates"] if plane == "userland" else [])) == {}
