"""Port 4500 with sockets for workers: who gets what, and that nobody else joins."""

import contextlib
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest
from tests.support.process import wait_until

from ikescope.daemon import sockets
from ikescope.daemon.sockets import KEEPALIVE, NAT_PORT, NON_ESP_MARKER, Sockets
from ikescope.engine.commands import Destination
from ikescope.errors import LocalError

HERE, THERE = ip_address("127.45.0.1"), "127.45.0.2"
ESP = [spi.to_bytes(4, "big") + bytes(8) for spi in (0x1000, 0x1001)]


@dataclass(slots=True)
class Heard:
    """What a router's sockets passed on."""

    ike: list[bytes] = field(default_factory=list)
    esp: list[tuple[bytes, int]] = field(default_factory=list)
    keepalives: int = 0

    def keep(self, octets: bytes, path: Destination) -> None:
        """A keepalive."""
        self.keepalives += 1


@contextlib.contextmanager
def router(heard: Heard, group: int) -> Iterator[Sockets]:
    """The sockets of a router; what begins with `?` is answered at once, what begins with `!` not at all."""

    def answer(octets: bytes, remote: str, port: int) -> bytes | None:
        return {b"?": b"again, with a cookie", b"!": b""}.get(octets[:1])

    made = Sockets(
        [HERE],
        ike=lambda octets, path: heard.ike.append(octets),
        esp=lambda octets, path, ecn: heard.esp.append((octets, ecn)),
        keepalive=heard.keep,
        answer=answer,
        group=group,
    )
    try:
        yield made
    finally:
        made.close()


def read(made: Sockets) -> bool:
    """Read the router's own sockets; False."""
    for fd in made.filenos():
        made.read_ready(fd)
    return False


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """A peer behind some port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((THERE, 0))
        yield one


def test_esp_comes_to_the_workers_sockets_and_ike_to_the_router(peer: socket.socket) -> None:
    """The router's own socket gets IKE and keepalives, each worker's the SPIs that are its."""
    heard = Heard()
    with router(heard, 2) as made:
        for octets in (NON_ESP_MARKER + b"a message", KEEPALIVE, *ESP):
            peer.sendto(octets, (str(HERE), NAT_PORT))
        ours = made.port_4500(HERE)
        wait_until("all of it was read", lambda: read(made) or heard.keepalives)
        assert (heard.ike, heard.esp) == ([b"a message"], [])
        group = made.groups()[HERE]
        assert [one.recv(100) for one in group] == ESP
        assert {one.getsockname() for one in (ours, *group)} == {(str(HERE), NAT_PORT)}


def test_what_came_to_a_worker_is_taken_as_if_it_had_come_to_the_router(peer: socket.socket) -> None:
    """IKE goes to the engine, or is answered without it from the router's socket; a keepalive and ESP are such."""
    heard = Heard()
    path = Destination(HERE, NAT_PORT, ip_address(THERE), peer.getsockname()[1])
    with router(heard, 1) as made:
        for octets in (NON_ESP_MARKER + b"a message", NON_ESP_MARKER + b"? who", NON_ESP_MARKER + b"!", KEEPALIVE):
            made.stray(octets, path, 0)
        made.stray(ESP[0], path, 3)
        assert (heard.ike, heard.esp, heard.keepalives) == ([b"a message"], [(ESP[0], 3)], 1)
        assert select.select([peer], [], [], 10)[0]
        assert peer.recvfrom(100) == (NON_ESP_MARKER + b"again, with a cookie", (str(HERE), NAT_PORT))


def test_nobody_joins_the_group_of_another_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second router hears that port 4500 is in use although groups are shared; when the first is gone it has it."""
    monkeypatch.setattr(sockets, "LEAVING_SECONDS", 0.0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(router(Heard(), 1))
        monkeypatch.setattr(sockets, "IKE_PORT", 21500)
        with pytest.raises(LocalError, match=r"UDP port 4500 on 127\.45\.0\.1 is in use"):
            stack.enter_context(router(Heard(), 1))
    with router(Heard(), 1) as made:
        assert made.groups()[HERE]


def test_a_host_that_steers_nothing_has_no_group(peer: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the program cannot be attached the router's socket gets all, ESP too."""

    def refused(udp: socket.socket, workers: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("ikescope.planes.steering.steer_port", refused)
    heard = Heard()
    with router(heard, 2) as made:
        assert made.groups() == {HERE: []}
        peer.sendto(ESP[1], (str(HERE), NAT_PORT))
        wait_until("it was read", lambda: read(made) or heard.esp)
        assert heard.esp == [(ESP[1], 0)]
