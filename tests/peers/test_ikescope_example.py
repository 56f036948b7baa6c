"""The pair of configurations in examples/strongswan works as it stands."""

from pathlib import Path

import pytest
from tests.support.ikescope import Ikescope
from tests.support.machine import ROOT
from tests.support.netns import HOST_A, HOST_B, Topology
from tests.support.peering import Start, Wire, settled
from tests.support.process import wait_until

EXAMPLE = ROOT / "examples" / "strongswan"


@pytest.mark.parametrize("initiator", ["R1", "strongswan"])
def test_the_example_comes_up(net: Topology, charon: Start, wire: Wire, tmp_path: Path, initiator: str) -> None:
    """R1-to-strongswan.cfg and swanctl.conf, unchanged, bring a tunnel up from either side and rekey it with PFS."""
    net.gw_a.ip("addr", "add", "198.51.100.1/30", "dev", "wan")
    net.gw_b.ip("addr", "add", "198.51.100.2/30", "dev", "wan")
    peer = charon(net.gw_b)
    peer.load_file(EXAMPLE / "swanctl.conf")
    with wire(), Ikescope(net.gw_a, (EXAMPLE / "R1-to-strongswan.cfg").read_text(), tmp_path) as ours:
        if initiator == "strongswan":
            peer.initiate("lans")
        assert net.host_a.ping(HOST_B).lost == 0
        assert net.host_b.ping(HOST_A).lost == 0
        old = ours.children()
        peer.rekey(child="lans")
        wait_until("a new Child SA", lambda: ours.children() != old and settled(ours, peer))
        assert [child["dh-group"] for child in peer.children()] == ["ECP_256"]
        assert net.host_a.ping(HOST_B).lost == 0
