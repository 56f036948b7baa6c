"""The memory plane, and the way from a configuration to the tunnels of a data path."""

from ipaddress import ip_address

import msgspec
from tests.esp import build
from tests.esp.build import A, B, ping
from tests.planes.gateway import configuration

from ikescope.engine.commands import Acquire, Destination, Traffic
from ikescope.esp.paths import inner_mtu, tunnel_path
from ikescope.events.router import EspDropped, EspInstalled, EspSwitched, PacketsHeld
from ikescope.sim.plane import MemoryPlane


class _World:
    """One router's plane; what it sends and delivers is kept."""

    def __init__(self, *, far: bool = False) -> None:
        self.sent: list[tuple[bytes, Destination, bool]] = []
        self.delivered: list[tuple[str, bytes]] = []
        self.path = build.tunnel(far=far)
        self.plane = MemoryPlane(
            [self.path],
            bytes,
            send_udp=lambda octets, path: self.sent.append((octets, path, True)),
            send_esp=lambda octets, path: self.sent.append((octets, path, False)),
            deliver=lambda name, packet: self.delivered.append((name, packet)),
        )


def test_two_memory_planes() -> None:
    """A packet held on one router is delivered on the other once both have their SA; each tells what happened."""
    near, far = _World(), _World(far=True)
    near.plane.packet_from_tunnel("Tunnel0", ping(), 0.0)
    assert [type(each) for each in near.plane.take()] == [PacketsHeld, Acquire]
    assert (near.plane.held("Tunnel0"), near.sent) == (1, [])
    near.plane.execute(build.install(near.path, 0x1001, "out", udp=True), 0.1)
    near.plane.execute(build.switch(near.path, 0x1001), 0.1)
    far.plane.execute(build.install(far.path, 0x1001, "in", udp=True), 0.1)
    ((octets, path, udp),) = near.sent
    assert (path, udp) == (Destination(A, 4500, B, 4500), True)
    far.plane.esp_from_udp(octets, B, A, 4500, 0.2)
    assert far.delivered == [("Tunnel0", ping())]
    told = far.plane.take()
    assert told[0] == EspInstalled(spi="00001001", direction="in", tunnel="Tunnel0")
    assert isinstance(told[1], Traffic)
    assert EspSwitched(spi="00001001", tunnel="Tunnel0") in near.plane.take()
    far.plane.esp_from_ip(octets, B, A, 0.3)
    assert [type(each) for each in far.plane.take()] == [EspDropped]
    counters = far.plane.counters(0x1001, "in")
    assert counters is not None
    assert (counters.packets, counters.dropped) == (1, 1)


def test_tunnel_path_of_a_configuration() -> None:
    """Mode, addresses, the GRE selector and the MTU come from the configuration; IPv6 is off unless configured."""
    config = configuration("a")
    path = tunnel_path(config, config.tunnels["Tunnel0"], ip_address("10.99.0.1"))
    assert (path.gre, path.ipv6, path.mtu, len(path.selectors)) == (True, False, 1414, 1)
    (local,) = path.selectors[0].local
    assert (local.start, local.protocol) == ("10.99.0.1", 47)


def test_configured_mtu_counts() -> None:
    """`ip mtu` of the tunnel is taken as it is; without a known transform set the MTU is 1400."""
    config = configuration("a")
    tunnel = config.tunnels["Tunnel0"]
    assert inner_mtu(config, msgspec.structs.replace(tunnel, mtu=1300)) == 1300
    assert inner_mtu(msgspec.structs.replace(config, ipsec_profiles={}), tunnel) == 1400
