"""What lies in a socket for ESP, as runs; the socket's answers are written here."""

import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from ikescope.planes import reception
from ikescope.planes.datagrams import SOL_UDP
from ikescope.planes.ecn import Ancillary
from ikescope.planes.mmsg import SLOT_OCTETS
from ikescope.planes.reception import Reception, Source

HERE, THERE = ip_address("192.0.2.1"), ("192.0.2.2", 4500)
UDP_GRO = 104

Run = tuple[bytes, int, int, int]


class _Udp(socket.socket):
    """A socket in which datagrams lie: octets, and how many each of those has that the host joined (0: it is one)."""

    def __init__(self, *datagrams: tuple[bytes, int]) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams = iter(datagrams)

    def recvmsg_into(self, buffers, ancbufsize=0, flags=0, /):  # type: ignore[no-untyped-def]  # as socket has it
        """The next datagram."""
        octets, size = next(self._datagrams, (None, 0))
        if octets is None:
            raise BlockingIOError
        buffers[0][: len(octets)] = octets
        told: Ancillary = [(SOL_UDP, UDP_GRO, struct.pack("@i", size))] if size else []
        return len(octets), told, 0, THERE


def _runs(one: Reception) -> list[Run]:
    """The runs that a wake-up brings: packets as they lie, octets of each, how many, the last one's."""
    runs: list[Run] = []

    def take(octets: memoryview, stride: int, size: int, count: int, last: int, source: Source, now: float) -> bool:
        runs.append((bytes(octets[: stride * count + last]), size, count, last))
        return True

    one.take_run = take
    with pytest.raises(BlockingIOError):
        one.read(0.0)
    return runs


def test_joined_datagrams_that_follow_each_other_are_one_run() -> None:
    """As long as they have one size, and up to a shorter one; an empty one is passed over."""
    parts = [bytes([number]) * 100 for number in range(20)]
    udp = _Udp(
        (b"".join(parts[:8]), 100),
        (b"", 0),
        (b"".join(parts[8:13]) + b"short one", 100),
        (b"".join(parts[13:18]), 100),
        (parts[18], 0),
        (parts[19], 0),
    )
    with udp:
        runs = _runs(Reception(udp, HERE, 4500, lambda octets, source, now: None))
    assert runs == [(b"".join(parts[:13]) + b"short one", 100, 13, 9), (b"".join(parts[13:]), 100, 7, 0)]


def test_an_empty_packet_of_a_raw_socket_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """An IP header of protocol 50 with nothing behind it comes from anybody: the others beside it are taken."""

    class Receiver:
        """Two packets, the first one empty."""

        def __init__(self) -> None:
            self.view = memoryview(bytearray(2 * SLOT_OCTETS))
            self.view[0] = self.view[SLOT_OCTETS] = 0x45
            self.view[SLOT_OCTETS + 20 :][:8] = b"12345678"

        def receive(self, fd: int) -> Iterator[tuple[int, bytes, Ancillary]]:
            """What waits."""
            name = struct.pack("=H", socket.AF_INET) + bytes(2) + bytes((192, 0, 2, 2)) + bytes(8)
            yield from ((20, name, []), (28, name, []))

    monkeypatch.setattr(reception, "Receiver", Receiver)
    came: list[bytes] = []
    with _Udp() as raw:
        Reception(raw, HERE, None, lambda octets, source, now: came.append(octets)).read(0.0)
    assert came == [b"12345678"]
