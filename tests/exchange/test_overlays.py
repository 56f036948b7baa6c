"""What a tunnel carries where that is not what carries it: `tunnel mode ipsec dual-overlay` and `v6-overlay`."""

import pytest

from ikescope.config.model import RouterConfig
from ikescope.ios.configuration import load
from ikescope.sim.world import World

FOUR, SIX = "10.{}.0.1", "2001:db8:{}::1"


def end(number: int, mode: str) -> RouterConfig:
    """One of two routers whose tunnel leads to a network of either family."""
    other = 3 - number
    return load(
        f"hostname R{number}\ncrypto ikev2 keyring K\n peer P\n  address 192.0.2.{other}\n  pre-shared-key k\n"
        f"crypto ikev2 profile P\n match identity remote address 192.0.2.{other}\n authentication local pre-share\n"
        " authentication remote pre-share\n keyring local K\ncrypto ipsec transform-set T esp-gcm 256\n mode tunnel\n"
        "crypto ipsec profile I\n set transform-set T\n set ikev2-profile P\n"
        f"interface Tunnel0\n ipv6 enable\n tunnel source 192.0.2.{number}\n tunnel mode {mode}\n"
        f" tunnel destination 192.0.2.{other}\n tunnel protection ipsec profile I\n"
        f"interface GigabitEthernet2\n ip address 10.{number}.0.1 255.255.255.0\n"
        f" ipv6 address 2001:DB8:{number}::1/64\n"
        f"ip route 10.{other}.0.0 255.255.255.0 Tunnel0\nipv6 route 2001:DB8:{other}::/64 Tunnel0\n"
    )


@pytest.mark.parametrize(
    ("mode", "passes"),
    [("ipsec dual-overlay", (FOUR, SIX)), ("ipsec ipv4 v6-overlay", (SIX,)), ("ipsec ipv4", (FOUR,))],
)
def test_one_child_sa_carries_what_the_mode_says(mode: str, passes: tuple[str, ...]) -> None:
    """A dual overlay's one Child SA carries both families over IPv4; the others carry the one that they name."""
    world = World(1)
    for number in (1, 2):
        world.add(end(number, mode))
    assert world.until(lambda: len(world.status("R1").children) == 1, 30)
    for form in (FOUR, SIX):
        ping = world.ping("R1", form.format(1), form.format(2))
        world.run(2)
        assert (ping.received is not None) == (form in passes), form
    assert len(world.status("R1").children) == 1
