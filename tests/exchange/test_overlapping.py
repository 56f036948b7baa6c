"""Two tunnels to one peer whose selectors overlap: each Child SA goes to the tunnel that was configured for it."""

from pathlib import Path

from ikescope.ios.configuration import load
from ikescope.sim.world import World

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def configuration(name: str) -> str:
    """The tour's router, its first tunnel for any traffic instead of GRE."""
    text = (EXAMPLES / f"{name}.cfg").read_text()
    return text.replace("interface Tunnel0\n", "interface Tunnel0\n tunnel mode ipsec ipv4\n", 1)


def test_the_tightest_tunnel_takes_the_child_sa() -> None:
    """Beside a tunnel for any traffic, the one with just the proposed selectors answers, and both carry traffic.

    R1 IKE_AUTH        SA TSi any      TSr any       ->  R2 Tunnel0
    R1 CREATE_CHILD_SA SA TSi 10.1.1/24 TSr 10.2.1/24 ->  R2 Tunnel1, though Tunnel0 would cover it
    """
    world = World(1)
    for name in ("R1", "R2"):
        world.add(load(configuration(name), name=name))
    world.run(3)
    first = world.ping("R1", "10.1.0.2", "10.2.0.2")
    second = world.ping("R1", "10.1.1.2", "10.2.1.2")
    world.run(3)
    assert first.received is not None
    assert second.received is not None
    for name in ("R1", "R2"):
        tunnels = {child.tunnel: child.local[0].start for child in world.status(name).children}
        assert set(tunnels) == {"Tunnel0", "Tunnel1"}
        assert tunnels["Tunnel0"] == "0.0.0.0"
        assert tunnels["Tunnel1"] != "0.0.0.0"
