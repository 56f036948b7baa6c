"""What is answered before anything is made of a datagram: the daemon's side of it, on a loopback socket."""

import socket
from ipaddress import IPv4Address

import pytest

from ikescope.daemon.sockets import BATCH, STATELESS_BATCH, Sockets
from ikescope.engine.commands import Destination

LOOPBACK = IPv4Address("127.0.0.8")


class Heard:
    """Sockets whose `answer` is a table of octets; what is not in it goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[bytes, bytes]) -> None:
        monkeypatch.setattr("ikescope.daemon.sockets.IKE_PORT", 21500)
        monkeypatch.setattr("ikescope.daemon.sockets.NAT_PORT", 25500)
        self.passed: list[bytes] = []
        self.asked: list[tuple[bytes, str, int]] = []
        self.answers = answers
        self.sockets = Sockets([LOOPBACK], ike=self.take, esp=self.take, keepalive=self.take, answer=self.answer)

    def take(self, octets: bytes, path: Destination, ecn: int = 0) -> None:
        """What goes on to the engine."""
        self.passed.append(octets)

    def answer(self, octets: bytes, remote: str, port: int) -> bytes | None:
        """The answer to octets, None where there is none."""
        self.asked.append((octets, remote, port))
        return self.answers.get(octets)

    def read(self) -> None:
        """Read every socket once."""
        for fd in self.sockets.filenos():
            self.sockets.read_ready(fd)


def test_an_answer_goes_back_framed_as_its_port_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `answer` returns goes back to the sender, behind four zero octets on port 4500; empty is silence."""
    heard = Heard(monkeypatch, {b"request": b"cookie", b"junk": b"", b"\xff": b""})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(5)
        for octets, port in ((b"request", 21500), (b"junk", 21500), (b"other", 21500)):
            peer.sendto(octets, (str(LOOPBACK), port))
        for octets in (b"\0\0\0\0request", b"\xff", b"\1\2\3\4esp"):
            peer.sendto(octets, (str(LOOPBACK), 25500))
        heard.read()
        assert sorted(peer.recv(100) for _ in range(2)) == [b"\0\0\0\0cookie", b"cookie"]
        assert {asked[1:] for asked in heard.asked} == {peer.getsockname()}
    assert heard.passed == [b"other", b"\1\2\3\4esp"]
    assert b"\1\2\3\4esp" not in [asked[0] for asked in heard.asked]
    heard.sockets.close()


def test_a_batch_without_the_engine_is_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Datagrams that the engine never sees are drained in one go; of the others the rest waits its turn."""
    heard = Heard(monkeypatch, {b"junk": b""})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for octets in [b"junk"] * (2 * BATCH) + [b"true"] * (2 * BATCH):
            peer.sendto(octets, (str(LOOPBACK), 21500))
        heard.read()
        assert len(heard.asked) == 3 * BATCH < STATELESS_BATCH
        assert heard.passed == [b"true"] * BATCH
        heard.read()
        assert heard.passed == [b"true"] * 2 * BATCH
    heard.sockets.close()
