"""A kernel plane that is killed: nothing leaves in clear at any step, and the next start takes back what it left."""

import itertools

import pytest
from tests.support.guest import remains
from tests.support.guest_life import Wire, life, talking
from tests.support.netns import NET_B, WAN_B, Topology
from tests.support.process import wait_until

from ikescope.config.model import TunnelMode

MODES = [
    pytest.param("gre ip", id="gre"),
    pytest.param("ipsec ipv4", id="ipsec", marks=pytest.mark.xfrm_interface),
]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_leaves_in_clear_wherever_it_is_killed(net: Topology, mode: TunnelMode) -> None:
    """Killed before each of its changes to the kernel in turn, while a host talks on, and once more when it is dead."""
    wire = Wire(net.gw_b)
    try:
        with talking(net.host_a) as send:
            net.gw_a.ip("route", "add", NET_B, "via", WAN_B)
            wait_until("the watcher sees what leaves in clear", wire.clear)
            net.gw_a.ip("route", "del", NET_B, "via", WAN_B)
            wire.clear()
            for change in itertools.count(1):
                ended = life(net.gw_a, mode, killed_before=change)
                send()
                assert wire.clear() == [], f"killed before change {change}"
                if ended:
                    break
        assert change > 20
        assert wire.esp > 0
    finally:
        wire.close()
    assert remains(net.gw_a) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_start_takes_back_what_a_killed_one_left(net: Topology, mode: TunnelMode) -> None:
    """A life that was killed in the middle leaves SAs, policies and a device; after another life there are none."""
    assert not life(net.gw_a, mode, killed_before=18)
    assert len(remains(net.gw_a)) > 3
    assert life(net.gw_a, mode)
    assert remains(net.gw_a) == []
