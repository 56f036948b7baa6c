"""`python -m ikescope.planes.worker FD UID GID`: the nursery of the router's workers, and what a worker does.

The nursery is started with the router, before that has keys. It loads what a worker needs, gives its user and every
capability up, and forks a worker for each socket that the router hands it: so a worker that died is there again at
once, also where the router itself may start nothing any more. A worker carries packets and nothing else; all that it
holds came over its socket (planes.frames).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address

from ikescope.config.model import Address
from ikescope.engine.commands import Destination, Refused, Traffic
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import Event
from ikescope.planes import frames, privileges, seccomp, turns
from ikescope.planes.carrier import Carrier, can_batch
from ikescope.planes.channel import Channel
from ikescope.planes.frames import Frame, Path
from ikescope.planes.steering import worker_of

TICK = 1.0
"""Seconds between two looks at what has gathered."""
MOST_UNSAID = 4 << 20
"""Octets of reports that the router has no room for; beyond that only those that it cannot do without are kept."""
PATIENCE = 1.0
"""Seconds that the nursery waits for its workers when the router is gone."""
_MESSAGES = 64
_LOADED_LATE = ("ikescope.planes.inbound", "ikescope.planes.outbound")
"""What a Carrier loads when it is made: later there may be no way to where Python lies."""


class WorkerCarrier(Carrier):
    """A Carrier that hands on what the kernel brought it although its SPI is another worker's."""

    def __init__(self, setup: frames.Setup, tunnels: Sequence[TunnelPath], channel: Channel) -> None:
        self.number, self.workers, self._channel = setup.worker, setup.workers, channel
        super().__init__(tunnels, random=os.urandom, stray=self._not_esp)

    def esp_from_udp(
        self, octets: bytes, local: Address, remote: Address, remote_port: int, now: float, ecn: int = 0
    ) -> None:
        """As Plane's, or handed on."""
        if self._mine(octets):
            super().esp_from_udp(octets, local, remote, remote_port, now, ecn)
        else:
            self._hand_on(octets, Destination(local, 4500, remote, remote_port), True, ecn)

    def esp_from_ip(self, octets: bytes, local: Address, remote: Address, now: float, ecn: int = 0) -> None:
        """As Plane's, or handed on."""
        if self._mine(octets):
            super().esp_from_ip(octets, local, remote, now, ecn)
        else:
            self._hand_on(octets, Destination(local, 0, remote, 0), False, ecn)

    def handed(self, packet: frames.Packet, now: float) -> None:
        """Take what came to another worker, or to the router."""
        path = packet.path.destination()
        if packet.udp:
            super().esp_from_udp(packet.octets, path.local, path.remote, path.remote_port, now, packet.ecn)
        else:
            super().esp_from_ip(packet.octets, path.local, path.remote, now, packet.ecn)

    def _mine(self, octets: bytes) -> bool:
        return len(octets) < 4 or worker_of(int.from_bytes(octets[:4], "big"), self.workers) == self.number

    def _not_esp(self, octets: bytes, path: Destination) -> None:
        self._hand_on(octets, path, True, 0)

    def _hand_on(self, octets: bytes, path: Destination, udp: bool, ecn: int) -> None:
        # Where the router has no room for it, it is lost as on any wire.
        self._channel.try_say(frames.Packet(bytes(octets), Path.of(path), udp, ecn))


class Worker:
    """The loop of one worker, until the router hangs up."""

    def __init__(self, end: socket.socket) -> None:
        self._channel = Channel(end, frames.ToWorker, descriptors=True)
        self._carrier: WorkerCarrier | None = None
        self._epoll = select.epoll()
        self._epoll.register(self._channel.fileno(), select.EPOLLIN)
        self._told: dict[tuple[int, str], frames.Counted] = {}
        self._held: dict[str, int] = {}
        self._tunnels: dict[str, TunnelPath] = {}

    def run(self) -> None:
        """Carry packets; returns when the router is gone."""
        control = self._channel.fileno()
        next_tick = time.monotonic() + TICK
        while True:
            for fd, _ in self._epoll.poll(max(0.0, next_tick - time.monotonic())):
                if fd != control:
                    assert self._carrier is not None
                    self._carrier.read_ready(fd, time.monotonic())
                elif not self._listen():
                    return
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + TICK
                if self._carrier is not None:
                    self._carrier.tick(now)
            self._report()

    def _listen(self) -> bool:
        """Do what the router says; whether it is still there."""
        for _ in range(_MESSAGES):
            said = self._channel.receive()
            if said is None:
                return False
            if not said:
                break
            for frame, descriptor in said:
                self._do(frame, descriptor)
        return True

    def _do(self, frame: Frame, descriptor: int | None) -> None:
        now = time.monotonic()
        if isinstance(frame, frames.Way | frames.NoWay):
            self._lead(frame, now)
            return
        if isinstance(frame, frames.Setup):
            self._carrier = WorkerCarrier(frame, [*self._tunnels.values()], self._channel)
            return
        carrier = self._carrier
        assert carrier is not None
        match frame:
            case frames.Device() | frames.Raw() | frames.Udp():
                assert descriptor is not None
                self._take(carrier, frame, descriptor)
            case frames.Deaf():
                carrier.drop_address(ip_address(frame.local))
            case frames.Packet():
                carrier.handed(frame, now)
            case frames.Look():
                self._report()
                self._say([*(self._changed(carrier) if frame.counters else ()), frames.Looked(frame.number)])
            case frames.Install() | frames.Switch() | frames.Remove() | frames.Release() | frames.Move():
                command = frames.unpack(frame)
                assert command is not None
                carrier.execute(command, now)
                if isinstance(frame, frames.Install):
                    self._installed(carrier, frame)

    def _lead(self, frame: frames.Way | frames.NoWay, now: float) -> None:
        """Another tunnel, another way of one, or one less."""
        if isinstance(frame, frames.Way):
            path = frame.tunnel.path()
            self._tunnels[path.name] = path
            if self._carrier is not None:
                self._carrier.carry(path, now)
            return
        self._tunnels.pop(frame.tunnel, None)
        self._held.pop(frame.tunnel, None)
        if self._carrier is not None:
            self._carrier.drop_tunnel(frame.tunnel)
            self._carrier.abandon(frame.tunnel, now)

    def _take(self, carrier: Carrier, frame: frames.Device | frames.Raw | frames.Udp, descriptor: int) -> None:
        known = set(carrier.filenos())
        match frame:
            case frames.Device():
                carrier.add_tunnel(frame.tunnel, descriptor, read=frame.read)
            case frames.Raw():
                carrier.add_raw(ip_address(frame.local), socket.socket(fileno=descriptor), read=frame.read)
            case frames.Udp():
                udp = socket.socket(fileno=descriptor)
                carrier.add_udp(ip_address(frame.local), frame.port, udp, read=frame.read)
        for fd in set(carrier.filenos()) - known:
            self._epoll.register(fd, select.EPOLLIN)

    def _installed(self, carrier: Carrier, frame: frames.Install) -> None:
        """Say that it is there, after what else came of it; a refusal has been said."""
        told = carrier.take()
        refused = any(isinstance(each, Refused) for each in told)
        said = [frames.pack_told(each) for each in told]
        self._say([*said, *([] if refused else [frames.Installed(frame.spi, frame.direction)])])

    def _changed(self, carrier: Carrier) -> list[Frame]:
        """Counters and numbers of held packets that are not as they were told last."""
        said: list[Frame] = []
        there = set()
        for spi, direction, found in carrier.all_counters():
            there.add((spi, direction))
            counted = frames.Counted(spi, direction, found.packets, found.octets, found.dropped)
            if self._told.get((spi, direction)) != counted:
                self._told[spi, direction] = counted
                said.append(counted)
        for gone in self._told.keys() - there:
            del self._told[gone]
        for name in self._tunnels:
            held = carrier.held(name)
            if held != self._held.get(name, 0):
                self._held[name] = held
                said.append(frames.Held(name, held))
        return said

    def _report(self) -> None:
        if self._carrier is None:
            return
        told = self._carrier.take()
        if told and self._channel.waiting > MOST_UNSAID:
            told = [each for each in told if not isinstance(each, Event | Traffic)]
        if told or self._channel.waiting:
            self._say([frames.pack_told(each) for each in told])

    def _say(self, said: list[Frame] | list[frames.FromWorker]) -> None:
        waited = bool(self._channel.waiting)
        self._channel.say_all(said)
        if waited != bool(self._channel.waiting):
            out = select.EPOLLOUT if self._channel.waiting else 0
            self._epoll.modify(self._channel.fileno(), select.EPOLLIN | out)


def work(number: int, end: socket.socket) -> None:
    """Be a worker until the router hangs up or what started us ends."""
    privileges.end_with_parent()
    privileges.call_it(f"ikescope-{number}")
    turns.short_turns()
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    seccomp.confine()
    with contextlib.suppress(BrokenPipeError, ConnectionError):
        Worker(end).run()


class Nursery:
    """Forks workers and says how each ended."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._channel = Channel(end, frames.ToNursery, descriptors=True)
        self._poll = select.poll()
        self._poll.register(end, select.POLLIN)
        self._workers: dict[int, tuple[int, int]] = {}  # by pidfd: number and pid

    def run(self) -> None:
        """Until the router is gone; then the workers have a second to end."""
        while self._once(None):
            pass
        until = time.monotonic() + PATIENCE
        while self._workers and time.monotonic() < until:
            self._once(until - time.monotonic())
        for _, pid in self._workers.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _once(self, seconds: float | None) -> bool:
        """Wait for what happens; whether the router is still there."""
        for fd, _ in self._poll.poll(None if seconds is None else seconds * 1000):
            if fd in self._workers:
                self._bury(fd)
            elif not self._listen():
                self._poll.unregister(self._end)
                return False
        return True

    def _listen(self) -> bool:
        said = self._channel.receive()
        for frame, descriptor in said or ():
            match frame:
                case frames.Fork():
                    assert descriptor is not None
                    self._fork(frame.worker, descriptor)
                case frames.Kill():
                    for number, pid in self._workers.values():
                        if number == frame.worker:
                            os.kill(pid, signal.SIGKILL)
        return said is not None

    def _fork(self, number: int, descriptor: int) -> None:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self._end.close()
                for pidfd in self._workers:
                    os.close(pidfd)
                work(number, socket.socket(fileno=descriptor))
                status = 0
            finally:
                if status:
                    sys.excepthook(*sys.exc_info())
                os._exit(status)
        os.close(descriptor)
        pidfd = os.pidfd_open(pid)
        self._workers[pidfd] = number, pid
        self._poll.register(pidfd, select.POLLIN)

    def _bury(self, pidfd: int) -> None:
        number, pid = self._workers.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):
            self._channel.say(frames.Ended(number, status))


def main() -> None:
    """Load, give up, and wait for what to fork."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a worker has a descriptor for each tunnel
    descriptor, uid, gid = map(int, sys.argv[1:])
    end = socket.socket(fileno=descriptor)
    end.set_inheritable(False)
    if can_batch():
        for name in _LOADED_LATE:
            importlib.import_module(name)
    privileges.become(privileges.Account("", uid, gid))
    privileges.end_with_parent()
    gc.collect()
    gc.freeze()
    Nursery(end).run()


if __name__ == "__main__":
    main()
