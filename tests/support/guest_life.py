"""The life of a kernel plane, killed before its Nth change to the kernel, and who watches the wire meanwhile.

`tests.planes.gateway` has the configuration. A life is a forked process in the gateway of site a: the plane opens, two
Child SAs come and the first goes, the plane closes.
"""

import contextlib
import ctypes
import itertools
import os
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.planes.gateway import SPIS, configuration
from tests.support.netns import HOST_B, Namespace

from ikescope.config.model import TunnelMode
from ikescope.crypto.suites import EspSuite, encryption
from ikescope.engine.commands import Destination, EspKeys, InstallSa, RemoveSa, SwitchOutbound
from ikescope.planes import host
from ikescope.planes.kernel import KernelPlane
from ikescope.planes.xfrm_socket import Xfrm
from ikescope.planes.xfrm_wire import Message, Received

CLONE_NEWNET = 0x40000000
ESP, IPV4 = 50, 0x0800
ETH_P_ALL = socket.htons(3)


def enter(namespace: Namespace) -> None:
    """Move the calling thread into a network namespace."""
    fd = os.open(f"/run/netns/{namespace.name}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


def within(namespace: Namespace, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket made in a network namespace, where it stays."""
    made: list[socket.socket] = []

    def work() -> None:
        enter(namespace)
        made.append(make())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return made[0]


# --- a life


def _child_sa(plane: KernelPlane, number: int) -> Iterator[InstallSa]:
    """Both ESP SAs of a Child SA."""
    path = plane.paths["Tunnel0"]
    row = encryption(20, 128)
    assert row is not None
    for spi, direction in zip(SPIS["a"], ("out", "in"), strict=True):
        yield InstallSa(
            spi=spi + number,
            direction="out" if direction == "out" else "in",
            suite=EspSuite(row, None, False, None),
            keys=EspKeys(spi.to_bytes(4, "big") * 5, b""),
            path=Destination(path.source, 500, path.destination, 500),
            udp=False,
            transport=path.gre,
            tunnel="Tunnel0",
            local=path.selectors[0].local,
            remote=path.selectors[0].remote,
            reqid=number,
            replay_window=64,
            lifetime_kilobytes=None,
        )


def _live(mode: TunnelMode) -> None:
    plane = KernelPlane(configuration("a", mode))
    end = plane.paths["Tunnel0"].destination
    plane.open()
    for number in (1, 2):
        for each in _child_sa(plane, number):
            plane.execute(each, time.monotonic())
        plane.execute(SwitchOutbound(SPIS["a"][0] + number, end, "Tunnel0"), time.monotonic())
    for gone in (RemoveSa(SPIS["a"][0] + 1, "out", end, "Tunnel0"), RemoveSa(SPIS["a"][1] + 1, "in", end, "Tunnel0")):
        plane.execute(gone, time.monotonic())
    plane.close()


def _die_before(change: int) -> None:
    """Let the process kill itself before that change to the kernel, by either kind of netlink; looks do not count."""
    count = itertools.count(1)

    def step() -> None:
        if next(count) == change:
            os.kill(os.getpid(), signal.SIGKILL)

    ask, alter = Xfrm._ask, host._change

    def counted_ask(self: Xfrm, kind: Message, body: bytes, what: str, flags: int) -> Iterator[Received]:
        if kind not in (Message.GETSA, Message.GETPOLICY):
            step()
        return ask(self, kind, body, what, flags)

    def counted_change(what: str, work: Callable[[Any], None], allowed: tuple[int, ...] = ()) -> None:
        step()
        alter(what, work, allowed)

    Xfrm._ask = counted_ask  # type: ignore[method-assign]
    host._change = counted_change


def life(namespace: Namespace, mode: TunnelMode, *, killed_before: int = 0) -> bool:
    """Live once, in a process of its own; whether it came to its end. 0: nobody kills it.

    `killed_before` counts from the first change on, also those that take back what the life before left.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            enter(namespace)
            _die_before(killed_before)
            _live(mode)
            status = 0
        except BaseException:
            traceback.print_exc()  # nobody else hears of it
            raise
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), f"exit status {code}"
    return code == 0


# --- the wire


class Wire:
    """What arrives at the other gateway in clear: all of IPv4 but ESP, each packet as its protocol and its ends."""

    def __init__(self, namespace: Namespace) -> None:
        def make() -> socket.socket:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ETH_P_ALL)
            made.bind(("wan", 3))
            return made

        self._socket = within(namespace, make)
        self._socket.setblocking(False)
        self.esp = 0

    def close(self) -> None:
        """Watch no more."""
        self._socket.close()

    def clear(self) -> list[str]:
        """What has come since the last call; `esp` counts the rest."""
        found: list[str] = []
        while True:
            try:
                packet, (_, kind, direction, *_) = self._socket.recvfrom(2048)
            except BlockingIOError:
                return found
            if kind != IPV4 or direction == socket.PACKET_OUTGOING:
                continue
            protocol, source, destination = struct.unpack_from("!9xB2x4s4s", packet)
            if protocol == ESP:
                self.esp += 1
            else:
                found.append(f"{protocol} {socket.inet_ntoa(source)} > {socket.inet_ntoa(destination)}")


@contextmanager
def talking(namespace: Namespace, interval: float = 0.01) -> Iterator[Callable[[], None]]:
    """Send datagrams from a host of site a to one of site b for as long as the block lasts, and one at each call."""

    def send() -> None:
        # What the router cannot deliver it says, and the next call hears of it.
        with contextlib.suppress(OSError):
            sender.sendto(b"in clear", (HOST_B, 7777))

    with within(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        pid = os.fork()
        if pid == 0:
            while os.getppid() != 1:
                send()
                time.sleep(interval)
            os._exit(0)
        try:
            yield send
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
