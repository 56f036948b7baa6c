"""Which socket the kernel gives a datagram to, on real sockets."""

import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.support.netns import WAN_A, WAN_B, Topology, topology

from ikescope.planes.steering import in_group, lock, steer_port, worker_of

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}
CASES = [
    (bytes(4) + bytes(28), 0, "the non-ESP marker"),
    (b"\xff", 0, "a keepalive"),
    (b"", 0, "an empty datagram"),
    (b"\x12\x34\x56\x78\0\0\0", 0, "seven octets"),
    *((struct.pack(">II", spi, 1) + bytes(20), 1 + spi % 3, f"SPI {spi:08x}") for spi in (256, 257, 258, 0xFFFFFFFF)),
]


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def group(request: pytest.FixtureRequest) -> Iterator[list[socket.socket]]:
    """A router's socket and three workers', on one port of the loopback."""
    with ExitStack() as stack:
        found: list[socket.socket] = []
        for _ in range(4):
            one = stack.enter_context(socket.socket(request.param, socket.SOCK_DGRAM))
            in_group(one)
            one.bind((LOOPBACK[request.param], found[0].getsockname()[1] if found else 0))
            if not found:
                steer_port(one, 3)
            one.setblocking(False)
            found.append(one)
        yield found


def _waiting(sockets: list[socket.socket]) -> list[tuple[int, bytes]]:
    """What has arrived: position and octets."""
    found = []
    for number, one in enumerate(sockets):
        try:
            while True:
                found.append((number, one.recv(100)))
        except BlockingIOError:
            continue
    return found


@pytest.mark.parametrize(("octets", "wanted", "_what"), CASES, ids=[each[2] for each in CASES])
def test_the_group_tells_ike_from_esp_by_its_spi(
    group: list[socket.socket], octets: bytes, wanted: int, _what: str
) -> None:
    """IKE, keepalives and what is short come to the router, ESP to the worker that its SPI names."""
    with socket.socket(group[0].family, socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(octets, group[0].getsockname())
    assert _waiting(group) == [(wanted, octets)] * 3


def test_before_a_worker_is_bound_the_router_gets_its_packets() -> None:
    """A group of one takes everything, whatever its program says: the router hands it on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET) as _:
        in_group(one)
        one.bind(("127.0.0.1", 0))
        steer_port(one, 2)
        one.setblocking(False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(CASES[-1][0], one.getsockname())
        assert _waiting([one]) == [(0, CASES[-1][0])]


def test_who_holds_a_locked_socket_steers_no_more(group: list[socket.socket]) -> None:
    """A worker cannot have the router's messages sent to itself."""
    lock(group[1])
    with pytest.raises(PermissionError):
        steer_port(group[1], 1)


RAW = """
import socket, sys
from ikescope.planes.steering import steer_raw
family, address, far = (socket.AF_INET, {a!r}, {b!r}) if sys.argv[1] == "4" else (socket.AF_INET6, "::1", "::1")
workers = [socket.socket(family, socket.SOCK_RAW, 50) for _ in range(2)]
for number, one in enumerate(workers):
    one.bind((address, 0))
    steer_raw(one, number, 2)
    one.setblocking(False)
sender = socket.socket(family, socket.SOCK_RAW, 50)
if sys.argv[2:]:
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, 1, 1, 0]))
for spi in (0x1000, 0x1001, 0x2001, 0xFFFFFFFE):
    sender.sendto(spi.to_bytes(4, "big") + bytes(12), (address, 0))
sender.sendto(b"xy", (address, 0))
for one in workers:
    found = []
    try:
        while True:
            octets = one.recv(100)
            found.append(octets[(octets[0] & 15) * 4 if family == socket.AF_INET else 0 :][:4].hex())
    except BlockingIOError:
        print(*found)
"""


@pytest.fixture(scope="module")
def net() -> Iterator[Topology]:
    """A host of our own to have raw sockets on."""
    with topology("st") as made:
        yield made


@pytest.mark.netns
@pytest.mark.parametrize("version", [("4",), ("4", "options"), ("6",)], ids=["IPv4", "IPv4 with options", "IPv6"])
def test_a_raw_socket_has_its_own_spis(net: Topology, version: tuple[str, ...]) -> None:
    """Each worker's raw socket takes the SPIs that are its own, the first also what is too short to have one."""
    net.gw_a.ip("link", "set", "lo", "up")
    script = RAW.format(a=WAN_A, b=WAN_B)
    said = net.gw_a.run(sys.executable, "-c", script, *version, env={"PYTHONPATH": "src"}).stdout
    assert said.splitlines() == ["00001000 fffffffe 7879", "00001001 00002001"]


def test_the_worker_of_an_spi_is_its_rest() -> None:
    """What the kernel computes and what the router computes is the same."""
    assert [worker_of(spi, 3) for spi in (256, 257, 258, 0xFFFFFFFF)] == [1, 2, 0, 0]
