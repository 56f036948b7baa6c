"""Many datagrams in one call, beside the socket module's own calls."""

import socket
import struct
import threading
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.planes.runs import data

from ikescope.planes import ecn
from ikescope.planes.datagrams import receive_runs, send_run, size_told
from ikescope.planes.ecn import ecn_told, marking, send_marked, tell_ecn
from ikescope.planes.mmsg import MANY, SLOT_OCTETS, Receiver, Sender, available, host_of, socket_address

pytestmark = pytest.mark.filterwarnings("error")


def _pair() -> tuple[socket.socket, socket.socket]:
    """A sender, and a receiver that is told the ECN bits."""
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    far.bind(("127.0.0.1", 0))
    far.setblocking(False)
    tell_ecn(far)
    return near, far


def test_a_run_is_sent_and_received_in_one_call() -> None:
    """Each datagram comes whole, in its own slot, with its sender and its mark; then nothing waits."""
    assert available()
    near, far = _pair()
    octets = memoryview(bytearray(data(1050)))
    name = socket_address(ip_address("127.0.0.1"), far.getsockname()[1])
    assert Sender().send(near.fileno(), octets, 100, name, marking(near, 2)) == (0, "")
    many = Receiver()
    came = list(many.receive(far.fileno()))
    assert [got for got, _, _ in came] == [100] * 10 + [50]
    found = b"".join(bytes(many.view[at * SLOT_OCTETS :][:got]) for at, (got, _, _) in enumerate(came))
    assert found == bytes(octets)
    assert {(host_of(sender), ecn_told(told)) for _, sender, told in came} == {(ip_address("127.0.0.1"), 2)}
    with pytest.raises(BlockingIOError):
        list(many.receive(far.fileno()))
    near.close()
    far.close()


def _full(directory: Path) -> tuple[socket.socket, socket.socket, str]:
    """A sender whose buffer is full, the receiver, and its address."""
    name = str(directory / "far")
    near, far = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    far.bind(name)
    near.connect(name)
    near.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            near.send(b"filling")
    return near, far, name


def test_a_full_send_buffer_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What finds no room goes when there is some; where there stays none it fails, and the next does not wait."""
    monkeypatch.setattr(ecn, "PATIENCE", 10_000)
    near, far, name = _full(tmp_path)
    reader = threading.Thread(target=lambda: [far.recv(100) for _ in range(3)])
    reader.start()
    send_marked(near, b"last", name, 0)  # type: ignore[arg-type]  # an address of this family
    reader.join()
    far.setblocking(False)
    came = list(iter(lambda: far.recv(100), b"last"))
    assert set(came) <= {b"filling"}
    with suppress(BlockingIOError):
        while True:
            near.send(b"filling")
    monkeypatch.setattr(ecn, "PATIENCE", 1)
    with pytest.raises(BlockingIOError):
        send_marked(near, b"lost", name, 0)  # type: ignore[arg-type]  # an address of this family
    monkeypatch.setattr(ecn, "PATIENCE", 10_000)
    assert not ecn.has_room(near.fileno())
    near.close()
    far.close()


def test_what_does_not_go_is_told() -> None:
    """The number of datagrams that the host refused, and its reason; the call after it is as good as new."""
    near, far = _pair()
    name = socket_address(ip_address("127.0.0.1"), far.getsockname()[1])
    sender, octets = Sender(), memoryview(bytearray(3 * 65530))
    lost, why = sender.send(near.fileno(), octets, 65530, name, [])
    assert (lost, why) == (3, "Message too long")
    assert sender.send(near.fileno(), octets[:300], 100, name, []) == (0, "")
    assert [got for got, _, _ in Receiver().receive(far.fileno())] == [100] * 3
    near.close()
    far.close()


def test_addresses_are_as_they_lie_in_memory() -> None:
    """A socket address is what the kernel takes and gives, for both IP versions."""
    four = socket_address(ip_address("192.0.2.1"), 4500)
    assert (four[2:8], len(four)) == (b"\x11\x94\xc0\x00\x02\x01", 16)
    six = ip_address("2001:db8::1")
    assert (host_of(socket_address(six)), len(socket_address(six))) == (six, 28)
    assert struct.unpack_from("=H", four)[0] == socket.AF_INET
    assert MANY == 64


def test_runs_over_udp_are_cut_and_joined_by_the_host() -> None:
    """One call sends many datagrams, the last one shorter; with UDP_GRO they may come as one with their size."""
    near, far = _pair()
    octets = memoryview(data(1050))
    send_run(near, octets, 100, far.getsockname(), 1)
    assert [len(far.recv(2000)) for _ in range(11)] == [100] * 10 + [50]
    assert receive_runs(far)
    send_run(near, octets, 100, far.getsockname(), 1)
    found = b""
    while len(found) < len(octets):
        part, told, _, _ = far.recvmsg(65536, 256)
        assert size_told(told) in (0, 100)
        assert ecn_told(told) == 1
        found += part
    assert found == bytes(octets)
    near.close()
    far.close()
