"""The carrier on descriptors of a test: socket pairs stand for TUN devices, loopback for the wire."""

import os
import socket
from ipaddress import ip_address

from tests.esp import build
from tests.esp.build import ping

from ikescope.engine.commands import Destination, RemoveSa, UpdatePath
from ikescope.planes.carrier import Carrier

HERE = ip_address("127.0.0.1")


class End:
    """A router's carrier; `host` is the far side of its TUN device."""

    def __init__(self, *, far: bool = False) -> None:
        self.path = build.tunnel(far=far)
        self.stray: list[tuple[bytes, Destination]] = []
        self.carrier = Carrier([self.path], random=bytes, stray=lambda octets, path: self.stray.append((octets, path)))
        device, self.host = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        device.setblocking(False)
        self.device = device.detach()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((str(HERE), 0))
        self.udp.setblocking(False)
        self.port = self.udp.getsockname()[1]
        self.carrier.add_tunnel("Tunnel0", self.device)
        self.carrier.add_udp(HERE, self.port, self.udp)

    def join(self, other: "End") -> None:
        """Install both SAs, in UDP from port to port."""
        path = Destination(HERE, self.port, HERE, other.port)
        spis = (0x2001, 0x1001) if self.path.source == build.B else (0x1001, 0x2001)
        self.carrier.execute(build.install(self.path, spis[0], "out", udp=True), 0.0)
        self.carrier.execute(build.install(self.path, spis[1], "in", udp=True), 0.0)
        self.carrier.execute(UpdatePath(spi=spis[1], tunnel="Tunnel0", path=path, udp=True), 0.0)
        self.carrier.execute(build.switch(self.path, spis[0]), 0.0)
        self.carrier.take()

    def close(self) -> None:
        """Close everything."""
        self.carrier.close()
        self.host.close()


def test_packets_cross_and_strays_are_handed_on() -> None:
    """A packet from one device arrives at the other by UDP; IKE and keepalives on that port go to their owner."""
    near, far = End(), End(far=True)
    near.join(far)
    far.join(near)
    near.host.send(ping())
    assert set(near.carrier.filenos()) == {near.device, near.udp.fileno()}
    near.carrier.read_ready(near.device, 1.0)
    near.udp.sendto(bytes(4) + b"IKE", (str(HERE), far.port))
    near.udp.sendto(b"\xff", (str(HERE), far.port))
    far.carrier.read_ready(far.udp.fileno(), 1.0)
    assert far.host.recv(2000) == ping()
    assert [octets for octets, _ in far.stray] == [bytes(4) + b"IKE", b"\xff"]
    assert far.stray[0][1] == Destination(HERE, far.port, HERE, near.port)
    counters = far.carrier.counters(0x1001, "in")
    assert counters is not None
    assert counters.packets == 1
    for end in (near, far):
        end.close()


def test_what_came_before_the_end_of_its_sa_is_delivered() -> None:
    """ESP that lies in the socket when its SA is removed came before the Delete that did it, by a socket of its own."""
    near, far = End(), End(far=True)
    near.join(far)
    far.join(near)
    near.host.send(ping())
    near.carrier.read_ready(near.device, 1.0)
    far.carrier.execute(RemoveSa(spi=0x1001, direction="in", remote=HERE, tunnel="Tunnel0"), 1.0)
    assert far.host.recv(2000) == ping()
    for end in (near, far):
        end.close()


def test_closed_carrier_reads_nothing() -> None:
    """After `close` there is nothing to watch, its descriptors are gone, and one named late is passed over."""
    end = End()
    end.close()
    assert end.carrier.filenos() == ()
    end.carrier.read_ready(end.device, 0.0)
    try:
        os.fstat(end.device)
    except OSError:
        return
    raise AssertionError("the device is still open")


def test_a_run_that_the_host_refuses_is_counted() -> None:
    """Each packet of a run that did not leave is a loss with the host's reason, in UDP and without it."""
    end = End()
    path = Destination(HERE, end.port, ip_address("255.255.255.255"), 9)  # which needs SO_BROADCAST
    end.carrier.execute(build.install(end.path, 0x1001, "out", udp=True), 0.0)
    end.carrier.execute(UpdatePath(spi=0x1001, tunnel="Tunnel0", path=path, udp=True), 0.0)
    sa = end.carrier._forwarder._outbound["Tunnel0", 0x1001]
    packets = memoryview(bytearray(250))
    end.carrier._send_run(sa, packets, 100, 0, 0.0)
    assert end.carrier._forwarder.drops == {"ESP to 255.255.255.255: Permission denied": 3}
    end.carrier.add_raw(HERE, socket.socket(socket.AF_INET, socket.SOCK_DGRAM), read=False)  # as good as a raw one here
    sa.udp = False
    end.carrier._send_run(sa, packets, 100, 0, 0.0)
    assert sum(end.carrier._forwarder.drops.values()) == 6
    end.close()
