"""What the router and its workers say to each other."""

import os
import socket
from collections.abc import Iterator
from dataclasses import fields
from ipaddress import ip_address

import msgspec
import pytest

from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, EspSuite
from ikescope.engine import commands
from ikescope.engine.commands import Command, Destination, EspKeys
from ikescope.esp.plane import Told
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import SelectorFact
from ikescope.events.router import EspDropped, PacketsHeld
from ikescope.planes import frames
from ikescope.planes.channel import Channel
from ikescope.policy.selectors import Selectors

HERE, THERE = ip_address("2001:db8::1"), ip_address("2001:db8::2")
PATH = Destination(HERE, 4500, THERE, 61000)
ONE = SelectorFact(start="10.1.0.0", end="10.1.0.255", protocol=6, start_port=80, end_port=90)
OTHER = SelectorFact(start="10.2.0.0", end="10.2.0.255")

INSTALL = commands.InstallSa(
    spi=0xDEADBEEF,
    direction="in",
    suite=EspSuite(ENCRYPTIONS[12, 256], INTEGRITIES[12], True, 19),
    keys=EspKeys(b"k" * 32, b"i" * 32),
    path=PATH,
    udp=True,
    transport=True,
    tunnel="Tunnel7",
    local=(ONE, OTHER),
    remote=(OTHER,),
    reqid=9,
    replay_window=512,
    lifetime_kilobytes=4608000,
    lifetime_seconds=3600,
    replaces=0x1234,
)
COMMANDS = [
    INSTALL,
    msgspec.structs.replace(INSTALL, suite=EspSuite(ENCRYPTIONS[20, 128], None, False, None), replaces=None),
    commands.SwitchOutbound(0x1001, THERE, "Tunnel7"),
    commands.RemoveSa(0x1001, "out", ip_address("192.0.2.1"), "Tunnel7"),
    commands.ReleaseHeld("Tunnel7", "no answer"),
    commands.UpdatePath(0x1001, "Tunnel7", PATH, False),
]
TOLD = [
    commands.Installed(1000, "in"),
    commands.Refused(1000, "out", "no room"),
    commands.Acquire(
        tunnel="T", index=3, packet=(ONE, OTHER), inner_source="10.1.0.1", inner_destination="::1", inner_protocol=17
    ),
    commands.Expired(1000, "out", True),
    commands.PeerMoved(1000, PATH),
    commands.Traffic(1000, "in", 5, 600, 12.25),
    EspDropped(reason="no SA has this SPI", spi="00001000", source="a", destination="b", count=7, found="x"),
    PacketsHeld(tunnel="T", held=0, dropped=4, why="w"),
]
TUNNEL = TunnelPath(
    name="Tunnel7",
    mode="ipsec ipv6",
    source=HERE,
    destination=THERE,
    selectors=(Selectors((ONE,), (OTHER,)), Selectors((OTHER,), (ONE,))),
    mtu=1394,
    ttl=64,
    ipv6=True,
    path_mtu=1492,
    addresses=(ip_address("10.0.0.1"), HERE),
)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """The router's end and a worker's."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    router, worker = Channel(one, frames.FromWorker), Channel(other, frames.ToWorker, descriptors=True)
    yield router, worker
    router.close()
    worker.close()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: type(each).__name__)
def test_a_command_arrives_as_it_was(ends: tuple[Channel, Channel], command: Command) -> None:
    """Every command about ESP comes out of its frame with all its fields."""
    frame = frames.pack(command)
    assert frame is not None
    ends[0].say(frame)
    ((found, _),) = ends[1].receive() or []
    assert frames.unpack(found) == command  # type: ignore[arg-type]


@pytest.mark.parametrize("told", TOLD, ids=lambda each: type(each).__name__)
def test_a_report_or_event_arrives_as_it_was(ends: tuple[Channel, Channel], told: Told) -> None:
    """Every report and each event of a plane comes out of its frame with all its facts."""
    ends[1].say(frames.pack_told(told))
    ((found, _),) = ends[0].receive() or []
    assert frames.unpack_told(found) == told  # type: ignore[arg-type]


def test_a_tunnel_arrives_as_it_was() -> None:
    """No field of a tunnel's path is left behind: a worker decides by them."""
    octets = msgspec.msgpack.encode(frames.Tunnel.of(TUNNEL))
    assert msgspec.msgpack.decode(octets, type=frames.Tunnel).path() == TUNNEL
    assert frames.Tunnel.__struct_fields__ == tuple(each.name for each in fields(TunnelPath) if each.init)


def test_what_is_about_something_else_stays_here() -> None:
    """IKE messages and IKE keys have no frame: no worker ever sees them."""
    assert frames.pack(commands.Send(b"ike", PATH)) is None


def test_keys_are_not_shown() -> None:
    """A frame with keys shows its SPI alone."""
    assert repr(frames.pack(INSTALL)) == "<Install in deadbeef>"


@pytest.mark.parametrize("kind", ["ike.opened", "KeysReady", "Installed", "os.system"])
def test_a_worker_tells_of_the_plane_alone(kind: str) -> None:
    """An event of the engine, or anything that is no report, is not what a worker says."""
    with pytest.raises(ValueError, match="no report or event is called"):
        frames.unpack_told(frames.Said(kind, msgspec.Raw(b"\x80")))


def test_what_finds_no_room_waits_in_order(ends: tuple[Channel, Channel]) -> None:
    """Nothing that is said is lost or reordered while the other end reads nothing, and saying it never waits."""
    router, worker = ends
    said = [frames.Release(f"Tunnel{number}", "x" * 1000) for number in range(4000)]
    for each in said[:3000]:
        router.say(each)
    assert router.waiting > 0
    assert not router.try_say(frames.Look(1, True)), "what may be lost does not pass what waits"
    router.say_all(said[3000:])
    heard: list[object] = []
    while len(heard) < len(said):
        got = worker.receive()
        assert got is not None
        heard += [frame for frame, _ in got]
        router.flush()
    assert heard == said
    assert (router.waiting, worker.receive()) == (0, [])


def test_a_descriptor_comes_with_its_frame(ends: tuple[Channel, Channel]) -> None:
    """It is the same file, not inherited by what the receiver starts; the giver may close its own at once."""
    reading, writing = os.pipe()
    ends[0].give(frames.Device("Tunnel0", True), writing)
    os.close(writing)
    ((frame, got),) = ends[1].receive() or []
    assert frame == frames.Device("Tunnel0", True)
    assert got is not None
    assert not os.get_inheritable(got)
    os.write(got, b"through")
    assert os.read(reading, 10) == b"through"
    os.close(got)
    os.close(reading)


def test_who_hung_up_is_told_from_who_is_silent(ends: tuple[Channel, Channel]) -> None:
    """Silence is an empty list, the end is None."""
    assert ends[0].receive() == []
    ends[1].close()
    assert ends[0].receive() is None
