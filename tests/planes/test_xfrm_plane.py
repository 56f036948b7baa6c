"""The kernel plane as the driver sees it, over a kernel in memory: commands in; reports, events, host changes out."""

import errno
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Interface
from typing import Any

import pytest
from msgspec import structs
from tests.planes.fakexfrm import A, B, C, FakeXfrm, install
from tests.planes.gateway import configuration, with_ipv6
from tests.support.netns import WAN_A

from ikescope.config.model import RouterConfig
from ikescope.engine.commands import (
    Acquire,
    Destination,
    Expired,
    PeerMoved,
    ReleaseHeld,
    RemoveSa,
    SwitchOutbound,
    Traffic,
    UpdatePath,
)
from ikescope.errors import LocalError
from ikescope.esp.plane import Told
from ikescope.events.router import (
    EspDropped,
    EspInstalled,
    EspRemoved,
    EspSwitched,
    PacketsHeld,
    PlaneFailed,
    TunnelMtuChanged,
)
from ikescope.planes import host, kernel, kernel_base, kernel_host
from ikescope.planes.host import Host
from ikescope.planes.kernel import KernelPlane
from ikescope.planes.kernel_host import Leftovers
from ikescope.planes.kernel_sas import GRACE
from ikescope.planes.kernel_strangers import Stranger, Strangers
from ikescope.planes.xfrm_policy import Direction, outer
from ikescope.planes.xfrm_state import STATE_OCTETS, which
from ikescope.planes.xfrm_wire import Limits, Message, Received, Selector, pack_address


class FakeListener:
    """What the kernel says is put into `said`."""

    def __init__(self, groups: object) -> None:
        self.said: list[tuple[list[Received], bool]] = []

    def fileno(self) -> int:
        """No descriptor of anything."""
        return 99

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> tuple[list[Received], bool]:
        """The next datagram."""
        return self.said.pop(0) if self.said else ([], False)


class Slot:
    """What holds a number."""

    def close(self) -> None:
        """Give it up."""


class Stand:
    """A plane, open, with its kernel; `changes` is what was done to the host, in order."""

    def __init__(self, plane: KernelPlane, xfrm: FakeXfrm, changes: list[str], stat: dict[str, int]) -> None:
        self.plane, self.xfrm, self.changes, self.stat = plane, xfrm, changes, stat
        self.now = 0.0

    def do(self, command: Any) -> list[Told]:
        """Execute a command; what is told."""
        self.plane.execute(command, self.now)
        return self.plane.take()

    def hear(self, kind: int, body: bytes, *, lost: bool = False) -> list[Told]:
        """Let the kernel say something; what is told."""
        listener = self.plane._listener
        assert isinstance(listener, FakeListener)
        listener.said.append(([Received(kind, 0, body)], lost))
        self.plane.read_ready(99, self.now)
        return self.plane.take()

    def tick(self, seconds: float = 1.0) -> list[Told]:
        """A while later the plane looks; what is told."""
        self.now += seconds
        self.plane.tick(self.now)
        return self.plane.take()

    def up(self, **changed: object) -> None:
        """One Child SA, switched to."""
        tunnel = self.plane.paths["Tunnel0"]
        for spi, way in ((0x101, "in"), (0x201, "out")):
            self.plane.execute(install(spi, way, tunnel=tunnel, **changed), self.now)
        self.plane.execute(SwitchOutbound(0x201, B, "Tunnel0"), self.now)
        self.plane.take()


Make = Callable[..., Stand]


def changing(what: str, changes: list[str], broken: str) -> Callable[..., None]:
    """A change of the host that is only written down, or refused."""

    def done(*arguments: Any, **_: object) -> None:
        shown = arguments[0].path.name if what == "add_device" else arguments[0]
        changes.append(f"{what} {shown}")
        if broken and changes[-1].startswith(broken):
            raise LocalError(f"cannot {changes[-1]}")

    return done


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a plane over a kernel in memory; `broken` is a change of the host that fails."""
    made: list[KernelPlane] = []

    def make(config: RouterConfig | None = None, *, broken: str = "", onto: Stand | None = None) -> Stand:
        xfrm, changes, stat = FakeXfrm(), list[str](), dict[str, int]()
        if onto is not None:
            xfrm, changes = onto.xfrm, onto.changes
            changes.clear()

        def tun(name: str, **_: object) -> int:
            changes.append(f"open_tun {name}")
            return 1 << 20

        found_host = Host({"wan": 1500}, (("wan", IPv4Interface(f"{WAN_A}/24")),), ())
        monkeypatch.setattr(kernel_host, "look", lambda: (found_host, Leftovers((), (), 0)))
        monkeypatch.setattr(kernel_host, "take_slot", lambda: (0, Slot()))
        for name in ("add_device", "remove_device", "clean", "sweep"):
            monkeypatch.setattr(kernel_host, name, changing(name, changes, broken))
        for name in ("add_blackhole", "remove_blackhole", "set_up_device", "add_route", "remove_route", "set_mtu"):
            monkeypatch.setattr(host, name, changing(name, changes, broken))
        monkeypatch.setattr(kernel_base, "open_tun", tun)
        monkeypatch.setattr(kernel_base, "close_tun", lambda fd: changes.append("close tun"))
        monkeypatch.setattr(kernel_base, "Xfrm", lambda: xfrm)
        monkeypatch.setattr(kernel_base, "Listener", FakeListener)
        lines = "".join
        monkeypatch.setattr(
            kernel_host, "stat_text", lambda: lines(f"{name}\t{number}\n" for name, number in stat.items())
        )
        monkeypatch.setattr(
            Strangers, "look", lambda *_: [Stranger(0x999, C, A)] if stat.get("XfrmInNoStates") == 5 else []
        )
        plane = KernelPlane(config or configuration("a", "ipsec ipv4"))
        made.append(plane)
        found = Stand(plane, xfrm, changes, stat)
        plane.open()
        return found

    yield make
    for plane in made:
        plane.close()


def test_nothing_goes_up_before_it_is_guarded(stand: Make) -> None:
    """Blackholes come first, devices go up after their policies, routes last; all of it goes, devices first."""
    made = stand()
    assert made.changes == [
        "clean Leftovers(devices=(), states=(), policies=0)",
        "add_blackhole 172.16.0.0/30",
        "add_blackhole 10.2.0.0/24",
        "open_tun Loopback0",
        "set_up_device Loopback0",
        "add_device Tunnel0",
        "set_up_device Tunnel0",
        "add_route 10.2.0.0/24",
    ]
    assert {key.direction for key in made.xfrm.spd} == {Direction.OUT}
    made.changes.clear()
    made.plane.close()
    assert made.changes == [
        *("close tun", "remove_device Tunnel0", "sweep 0"),
        *("remove_blackhole 172.16.0.0/30", "remove_blackhole 10.2.0.0/24"),
    ]
    assert made.xfrm.spd == {}
    made.plane.close()
    assert len(made.changes) == 5, "closed is closed"


@pytest.mark.parametrize("broken", ["add_blackhole 10.2", "add_device", "set_up_device Tunnel0", "add_route"])
def test_what_fails_halfway_is_taken_back(stand: Make, broken: str) -> None:
    """Whatever the host refuses, the reason is one line and nothing stays."""
    made = stand()
    made.plane.close()
    with pytest.raises(LocalError, match=f"cannot {broken}"):
        stand(broken=broken, onto=made)
    assert made.xfrm.spd == {}
    added = {change.removeprefix("add_") for change in made.changes if change.startswith("add_")}
    removed = {change.removeprefix("remove_") for change in made.changes if change.startswith("remove_")}
    assert {each for each in added if not each.startswith("route")} == removed


def test_tunnels_come_and_go_under_what_runs(stand: Make) -> None:
    """A changed mode makes a tunnel's device anew, with its route, and takes its SAs; those and the policies of the
    other are not touched.
    """
    one = configuration("a", "ipsec ipv4")
    other = structs.replace(one.tunnels["Tunnel0"], name="Tunnel1", addresses=(), destination=C)
    made = stand(structs.replace(one, tunnels={**one.tunnels, "Tunnel1": other}))
    made.up()
    kept = {key: policy for key, policy in made.xfrm.spd.items() if key.interface == 0x6B000001}
    change(made, structs.replace(one, tunnels={**one.tunnels, "Tunnel1": structs.replace(other, mode="gre ip")}))
    assert made.changes == ["remove_device Tunnel1", "add_device Tunnel1", "set_up_device Tunnel1"]
    assert kept.items() <= made.xfrm.spd.items() and len(made.xfrm.held) == 2
    change(made, one)
    assert made.changes == ["remove_device Tunnel1"] and made.xfrm.spd == kept
    gre = structs.replace(one, tunnels={"Tunnel0": structs.replace(one.tunnels["Tunnel0"], mode="gre ip")})
    change(made, gre)
    assert made.changes[:2] == ["remove_route 10.2.0.0/24", "remove_device Tunnel0"] and not made.xfrm.held
    assert made.changes[-1] == "add_route 10.2.0.0/24"
    assert [type(each) for each in made.plane.take()].count(EspRemoved) == 2


def change(made: Stand, config: RouterConfig) -> None:
    """Another configuration for the router; what is done to the host for it is in `changes`."""
    made.changes.clear()
    wanted = made.plane.change(config)
    for step in (*wanted.steps.first, *wanted.steps.last, *wanted.steps.later):
        made.plane.apply(step, made.now)
    made.plane.stand(wanted.layout)


def test_a_host_that_passes_policies_by_is_refused(stand: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a device's switch turns IPsec's policies off, GRE would leave in clear: one line says which switch."""
    on: set[str] = set()
    monkeypatch.setattr(kernel_host, "_switched_on", on.__contains__)
    stand(configuration("a")).plane.close()
    on.add("/proc/sys/net/ipv4/conf/wan/disable_xfrm")
    with pytest.raises(LocalError, match=r"Tunnel0: .*/wan/disable_xfrm is 1, so GRE would pass wan in clear"):
        stand(configuration("a"))
    stand(configuration("a", "ipsec ipv4"))


def test_the_plan_says_every_change() -> None:
    """Devices, policies, addresses and routes are there in the words of iproute2, and what is left behind first."""
    left = Leftovers(("Tunnel0",), ((A, 0x1234),), 2)
    assert left.lines() == [
        "ip link del dev Tunnel0    # left behind",
        "ip xfrm policy deleteall    # 2 of a killed router, no other",
        "ip xfrm state delete dst 10.99.0.1 proto esp spi 0x00001234    # left behind",
    ]


def test_the_lines_of_each_mode(stand: Make) -> None:
    """Each tunnel mode names its device and the policies that stand from the beginning."""
    lines = stand().plane.lines()
    assert "ip link add Tunnel0 type xfrm if_id 0x6b000001" in lines
    assert (
        "ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out priority 4095 if_id 0x6b000001 "
        "tmpl src 10.99.0.1 dst 10.99.0.2 proto esp reqid 1795162113 mode tunnel"
    ) in lines
    assert "ip route add 10.2.0.0/24 dev Tunnel0 metric 1 proto 250" in lines
    assert any(line.startswith("ip link set dev Tunnel0 mtu ") for line in lines)
    assert not [line for line in lines if "tuntap" in line and "Tunnel0" in line]
    lines = stand(configuration("a")).plane.lines()
    assert "ip link add Tunnel0 type gre local 10.99.0.1 remote 10.99.0.2 ttl 255 nopmtudisc ignore-df" in lines
    assert [line.split(" priority")[0] for line in lines if "policy add" in line] == [
        "ip xfrm policy add src 10.99.0.1/32 dst 10.99.0.2/32 proto 47 dir out",
        "ip xfrm policy add src 10.99.0.2/32 dst 10.99.0.1/32 proto 47 dir in",
    ]
    assert any("2001:db8:ff::1/64" in line for line in stand(with_ipv6(configuration("a"), "a")).plane.lines())


def test_an_sas_life_is_told(stand: Make) -> None:
    """Installed, switched to, traffic as it grows, and removed with its last counters: the userland plane's events."""
    made = stand()
    tunnel = made.plane.paths["Tunnel0"]
    assert made.do(install(0x101, "in", tunnel=tunnel)) == [
        EspInstalled(spi="00000101", direction="in", tunnel="Tunnel0")
    ]
    made.do(install(0x201, "out", tunnel=tunnel))
    switched, larger = made.do(SwitchOutbound(0x201, B, "Tunnel0"))
    assert switched == EspSwitched(spi="00000201", tunnel="Tunnel0")
    assert isinstance(larger, TunnelMtuChanged)
    assert made.tick() == []
    made.xfrm.count(A, 0x101, packets=2, octets=168)
    assert made.tick() == [Traffic(spi=0x101, direction="in", packets=2, octets=168, last=2.0)]
    assert made.tick() == []
    made.xfrm.count(A, 0x101, packets=3, octets=252, forged=1)
    counters = made.plane.counters(0x101, "in")
    assert counters is not None
    assert (counters.packets, counters.octets, counters.dropped) == (3, 252, 1)
    assert made.plane.counters(5, "in") is None
    assert made.do(RemoveSa(0x101, "in", B, "Tunnel0")) == [
        Traffic(spi=0x101, direction="in", packets=3, octets=252, last=3.0),
        EspRemoved(spi="00000101", direction="in", packets=3, octets=252),
    ]
    assert made.do(RemoveSa(0x101, "in", B, "Tunnel0")) == []
    assert made.do(SwitchOutbound(0x999, B, "Tunnel0")) == [
        PlaneFailed(what="switch Tunnel0 to outbound SPI 00000999", why="that SA is not installed")
    ]


def acquire(made: Stand, packet: Selector, sequence: int = 7) -> bytes:
    """What the kernel says when a packet meets the tunnel's policy."""
    key, policy = next((key, each) for key, each in made.xfrm.spd.items() if key.direction == Direction.OUT)
    assert policy.template is not None
    body = policy.encode(key)
    head = pack_address(B) + bytes(8) + pack_address(A)
    return head + packet.encode() + body[:168] + struct.pack("=IIII", 0, 0, 0, sequence) + body[168:]


PACKET = Selector(A, B, 32, 32, 6, (40000, 0xFFFF), (80, 0xFFFF), 2)


def test_a_packet_without_an_sa_asks_and_is_counted(stand: Make) -> None:
    """The report has the packet's own ends and ports; what the kernel dropped meanwhile is said, up to the switch."""
    made = stand()
    made.stat["XfrmOutNoStates"] = 1
    held, asked = made.hear(Message.ACQUIRE, acquire(made, PACKET))
    assert isinstance(held, PacketsHeld)
    assert (held.tunnel, held.dropped) == ("Tunnel0", 1)
    assert isinstance(asked, Acquire)
    assert [(one.start, one.start_port, one.end_port, one.protocol) for one in asked.packet] == [
        (str(A), 40000, 40000, 6),
        (str(B), 80, 80, 6),
    ]
    assert (asked.tunnel, asked.index, asked.inner_destination) == ("Tunnel0", 0, str(B))
    made.stat["XfrmOutNoStates"] = 4
    (held,) = made.tick()
    assert isinstance(held, PacketsHeld)
    assert held.dropped == 3
    made.stat["XfrmOutNoStates"] = 5
    made.do(install(0x201, "out", tunnel=made.plane.paths["Tunnel0"]))
    made.xfrm.log.clear()
    told = made.do(SwitchOutbound(0x201, B, "Tunnel0"))
    assert [type(each) for each in told] == [EspSwitched, PacketsHeld, TunnelMtuChanged]
    assert made.xfrm.log == ["update policy", "allocate 1000", "remove state 1000"]
    made.stat["XfrmOutNoStates"] = 9
    assert made.tick() == [], "nobody of ours waits any more"


def test_after_a_failure_the_next_packet_may_ask_in_a_second(stand: Make) -> None:
    """What keeps the kernel from asking goes a second after the negotiation ended without an SA."""
    made = stand()
    made.hear(Message.ACQUIRE, acquire(made, replace(PACKET, protocol=1)))
    assert made.do(ReleaseHeld("Tunnel0", "no answer")) == []
    made.xfrm.log.clear()
    made.tick(0.5)
    assert made.xfrm.log == []
    made.tick(0.6)
    assert made.xfrm.log == ["allocate 1000", "remove state 1000"]


def test_somebody_elses_packet_is_not_asked_for(stand: Make) -> None:
    """An acquire for a policy that is not ours is passed over."""
    made = stand()
    body = acquire(made, PACKET)
    other = stand(configuration("a"))
    assert other.hear(Message.ACQUIRE, body) == []


def expire(made: Stand, destination: Any, spi: int, *, hard: bool) -> bytes:
    """What the kernel says when a state reaches a limit."""
    return made.xfrm.held[destination, spi].head[:STATE_OCTETS] + bytes((hard, *bytes(7)))


def test_limits_are_reported(stand: Make) -> None:
    """A soft and a hard limit become reports of that SA; one of somebody else's does not."""
    made = stand()
    made.up()
    body = expire(made, B, 0x201, hard=True)
    assert made.hear(Message.EXPIRE, expire(made, A, 0x101, hard=False)) == [Expired(0x101, "in", hard=False)]
    del made.xfrm.held[B, 0x201]
    assert made.hear(Message.EXPIRE, body) == [Expired(0x201, "out", hard=True)]
    assert made.tick() == [], "it is known that it is gone"
    made.do(RemoveSa(0x201, "out", B, "Tunnel0"))
    assert made.hear(Message.EXPIRE, body) == []


def test_an_sa_that_somebody_took_out_is_said_once(stand: Make) -> None:
    """Within a second of `ip xfrm state flush` each of our SAs is reported gone, with a line; then no more."""
    made = stand()
    made.up()
    made.xfrm.held.clear()
    told = made.tick()
    assert [each for each in told if isinstance(each, Expired)] == [
        Expired(0x101, "in", hard=True),
        Expired(0x201, "out", hard=True),
    ]
    assert PlaneFailed(what="keep ESP SA 00000101", why="the kernel has it no more") in told
    assert made.tick() == []


def mapping(spi: int, port: int) -> bytes:
    """What the kernel says when ESP in UDP came from another port."""
    return which(A, spi) + bytes(4) + pack_address(B) + pack_address(C) + struct.pack(">HH", 4500, port)


def test_a_peer_that_moved_is_reported_once(stand: Make) -> None:
    """However many packets come from the new place, one report; after the path is followed a further move is new."""
    made = stand()
    wire = Destination(A, 4500, B, 4500)
    made.up(udp=True, path=wire)
    there = Destination(A, 4500, C, 4600)
    assert made.hear(Message.MAPPING, mapping(0x101, 4600)) == [PeerMoved(0x101, there)]
    assert made.hear(Message.MAPPING, mapping(0x101, 4600)) == []
    assert made.do(UpdatePath(0x201, "Tunnel0", there, True)) == []
    assert made.xfrm.held[A, 0x101].udp == (4600, 4500)
    assert made.hear(Message.MAPPING, mapping(0x999, 4600)) == []
    made.xfrm.broken = {"remove state": errno.EPERM}
    (failed,) = made.do(UpdatePath(0x201, "Tunnel0", wire, True))
    assert isinstance(failed, PlaneFailed)


def test_drops_are_told_of_their_sa(stand: Make) -> None:
    """What an SA counts is told with its SPI; the kernel's other counters without one, and nothing twice."""
    made = stand()
    made.up()
    made.xfrm.count(A, 0x101, packets=1, forged=2, replayed=1)
    made.stat.update(XfrmInStateProtoError=2, XfrmInStateSeqError=1, XfrmInNoStates=3)
    told = [each for each in made.tick() if isinstance(each, EspDropped)]
    assert [(each.reason, each.spi, each.count) for each in told] == [
        ("integrity check failed", "00000101", 2),
        ("sequence number replayed or outside the window", "00000101", 1),
        ("no SA has this SPI", "", 3),
    ]
    assert not [each for each in made.tick() if isinstance(each, EspDropped)]
    made.stat.update(XfrmInNoStates=5)
    told = [each for each in made.tick() if isinstance(each, EspDropped)]
    assert [(each.spi, each.source, each.count) for each in told] == [("00000999", str(C), 1), ("", "", 1)]
    made.plane.esp_from_udp(bytes(8), A, B, 4500, made.now)
    assert [type(each) for each in made.plane.take()] == [EspDropped]


def test_the_net_under_lifetimes_is_lifted_while_the_router_runs(stand: Make) -> None:
    """An SA that the engine keeps past its time in the kernel gets more of it, and keeps its other limits."""
    made = stand()
    made.up(lifetime_seconds=100, lifetime_kilobytes=4)
    assert made.xfrm.held[A, 0x101].limits.hard_added == 100 + GRACE
    made.tick(100 + GRACE / 2 - 1)
    assert made.xfrm.held[A, 0x101].limits.hard_added == 100 + GRACE
    made.tick(2)
    assert made.xfrm.held[A, 0x101].limits == Limits(3686, 4096, hard_added=100 + 2 * GRACE)
    assert made.xfrm.held[B, 0x201].limits.hard_added == 100 + 2 * GRACE


def test_the_devices_mtu_is_that_of_the_sa(stand: Make) -> None:
    """A device is made for what fits with UDP around it; where the SA has none, it gets the room."""
    made = stand()
    made.changes.clear()
    made.up()
    assert made.changes == ["set_mtu Tunnel0"]


def test_many_sas_are_looked_at_by_one_listing(stand: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """From some number of SAs on the counters come out of one list."""
    made = stand()
    made.up()
    made.xfrm.count(A, 0x101, packets=1)
    monkeypatch.setattr(kernel, "DUMP_FROM", 1)
    monkeypatch.setattr(FakeXfrm, "state", lambda *_: None)
    assert [type(each) for each in made.tick()] == [Traffic]


def test_what_the_kernel_says_badly_or_too_fast_is_said(stand: Make) -> None:
    """A message of another shape and messages that were lost are events; the plane goes on."""
    made = stand()
    (failed,) = made.hear(Message.ACQUIRE, b"short")
    assert isinstance(failed, PlaneFailed)
    assert failed.why == "acquire: had 5, wanted 280"
    assert [type(each) for each in made.hear(Message.NEWSA, b"", lost=True)] == [PlaneFailed]


def test_a_gre_tunnels_acquire_speaks_of_the_packet_around(stand: Make) -> None:
    """For GRE the kernel shows the GRE packet: protocol 47 between the ends, any port."""
    made = stand(configuration("a"))
    packet = replace(outer(A, B, 47), source_port=(0, 0xFFFF), destination_port=(0, 0xFFFF))
    told = made.hear(Message.ACQUIRE, acquire(made, packet))
    (asked,) = [each for each in told if isinstance(each, Acquire)]
    assert [(one.start, one.protocol, one.start_port, one.end_port) for one in asked.packet] == [
        (str(A), 47, 0, 65535),
        (str(B), 47, 0, 65535),
    ]
    assert asked.inner_protocol == 47
