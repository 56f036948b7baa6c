"""The router's side of its workers: who has which tunnel and SA, what becomes of the SAs of one that ends.

A tunnel is read by one worker, which has its outbound SAs; an inbound SA is where the kernel steers its SPI. Nothing
here waits for a worker, but `counters` and `held` for at most 50 ms.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ikescope.config.model import Address
from ikescope.engine import commands
from ikescope.engine.commands import Command, Destination
from ikescope.errors import LocalError
from ikescope.esp.plane import Told
from ikescope.esp.sa import Counters, Direction
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import Event
from ikescope.events.router import EspRemoved, PlaneFailed
from ikescope.planes import frames, privileges
from ikescope.planes.crew import Crew
from ikescope.planes.frames import Frame
from ikescope.planes.steering import ESP_OCTETS, worker_of

LOOK_SECONDS = 0.05
"""The longest that a show waits for the workers' counters."""
LOOK_FRESH = 0.01
START_SECONDS = 30.0
"""The longest that the router's own start waits for them."""

OnStray = Callable[[bytes, Destination, int], None]


@dataclass(slots=True)
class _Sa:
    tunnel: str
    worker: int
    reqid: int


class Workers:
    """As many workers as there are to be, with a Carrier's methods. `stray(octets, path, ecn)` gets what came to a
    worker by port 4500 and is no ESP. Raw sockets and devices are its own from `add_*` on.
    """

    def __init__(
        self, tunnels: Sequence[TunnelPath], count: int, *, stray: OnStray, account: privileges.Account | None = None
    ) -> None:
        self._stray, self._count = stray, count
        self._ways = {each.name: frames.Way(frames.Tunnel.of(each)) for each in tunnels}
        self._crew = Crew(
            count,
            lambda number: (*self._ways.values(), frames.Setup(number, count)),
            self,
            account or privileges.account("ikescope"),
        )
        self._owner = {path.name: at % count for at, path in enumerate(tunnels)}
        self._sas: dict[tuple[Direction, int], list[_Sa]] = {}
        self._pending: dict[tuple[Direction, int], list[int]] = {}  # workers that have yet to say what became of it
        self._counters: dict[tuple[int, Direction], Counters] = {}
        self._held: dict[str, int] = {}
        self._told: list[Told] = []
        self._strays: list[frames.Packet] = []
        self._looked_at = 0.0
        self._devices: dict[str, int] = {}
        self._sockets: dict[Address, list[socket.socket]] = {}

    def __len__(self) -> int:
        return self._count

    def start(self) -> None:
        """Start all of them; LocalError where no process can be started."""
        self._crew.start()

    def wait(self) -> None:
        """Wait until all of them carry packets; LocalError where one does not."""
        ready = self._crew.ready(START_SECONDS)
        why = next((told.why for told in self._told if isinstance(told, PlaneFailed)), "" if ready else "no word of it")
        if why:
            raise LocalError(f"a worker of the data plane does not start: {why}")

    def add_tunnel(self, name: str, fd: int, *, read: bool = True) -> None:
        """Take the descriptor of a TUN device: its owner reads it, the others write. Without `read` it is only kept."""
        self._devices[name] = fd
        for number in range(self._count) if read else ():
            self._crew.gift(number, frames.Device(name, number == self._owner[name]), fd)

    def drop_tunnel(self, name: str) -> None:
        """Give the descriptor of a device up; the workers have theirs until they hear of it."""
        fd = self._devices.pop(name, None)
        self._crew.take_back(frames.Device, name)
        if fd is not None:
            os.close(fd)

    def carry(self, path: TunnelPath, now: float) -> None:
        """Carry a tunnel from now on, or go on with it as it is now; its owner is who has the fewest."""
        known = self._ways.get(path.name)
        if known is not None and known.tunnel.path().leads_elsewhere(path):
            self._lose(path.name)
        self._ways[path.name] = way = frames.Way(frames.Tunnel.of(path))
        if path.name not in self._owner:
            load = [*self._owner.values()]
            self._owner[path.name] = min(range(self._count), key=load.count)
        self._crew.say_all(way)

    def abandon(self, tunnel: str, now: float) -> None:
        """Carry a tunnel no longer: its SAs are gone, and what waits for one."""
        self._lose(tunnel)
        self._ways.pop(tunnel, None)
        self._owner.pop(tunnel, None)
        self._held.pop(tunnel, None)
        self._crew.take_back(frames.Device, tunnel)
        self._crew.say_all(frames.NoWay(tunnel))

    def _lose(self, tunnel: str) -> None:
        """The SAs of a tunnel go with it; what became of those just asked for is not to be known any more."""
        for (direction, spi), found in [*self._sas.items()]:
            for sa in [sa for sa in found if sa.tunnel == tunnel]:
                if sa.worker in self._pending.get((direction, spi), ()):
                    refusal = commands.Refused(spi, direction, "the tunnel is there no more")
                    self._settled(sa.worker, refusal)
                    self._told.append(refusal)
                else:
                    self._forget(direction, spi, sa)

    def drop_address(self, local: Address) -> None:
        """Neither receive nor send on a local address any more."""
        for kind in (frames.Raw, frames.Udp):
            self._crew.take_back(kind, str(local))
        self._crew.say_all(frames.Deaf(str(local)))
        for one in self._sockets.pop(local, ()):
            one.close()

    def add_raw(self, local: Address, sockets: Sequence[socket.socket], *, steered: bool = True) -> None:
        """Take the raw ESP sockets of a local address, one a worker; not `steered`, the first reads for all."""
        self._sockets[local] = [*sockets]
        for number, one in enumerate(sockets):
            self._crew.gift(number, frames.Raw(str(local), steered or not number), one.fileno())

    def add_udp(self, local: Address, port: int, sockets: Sequence[socket.socket], *, read: bool = True) -> None:
        """Take the sockets of a local address and port, one a worker; they stay somebody else's to close.

        Without `read` they only send: what arrives comes by `esp_from_udp`.
        """
        for number, one in enumerate(sockets):
            self._crew.gift(number, frames.Udp(str(local), port, read), one.fileno())

    def close(self) -> None:
        """End all of them and close what they were given."""
        self._crew.close()
        for one in (one for sockets in self._sockets.values() for one in sockets):
            one.close()
        for fd in self._devices.values():
            os.close(fd)
        self._sockets.clear()
        self._devices.clear()

    def filenos(self) -> tuple[int, ...]:
        """One descriptor, readable when a worker says something."""
        return (self._crew.fileno(),)

    def read_ready(self, fd: int, now: float) -> None:
        """Hear what the workers say."""
        self._crew.rest()
        self._crew.listen(0.0)
        strays, self._strays = self._strays, []
        for packet in strays:
            self._stray(packet.octets, packet.path.destination(), packet.ecn)

    def tick(self, now: float) -> None:
        """Look after the workers; to be called about every second."""
        self._crew.tick(now)

    def take(self) -> list[Told]:
        """What was reported since the last call, oldest first."""
        told, self._told = self._told, []
        return told

    def counters(self, spi: int, direction: Direction) -> Counters | None:
        """The counters of an SA as they were at most 10 ms ago, or when its worker last said them."""
        if (direction, spi) not in self._sas:
            return None
        self._look()
        return self._counters.get((spi, direction), Counters())

    def held(self, tunnel: str) -> int:
        """How many packets of a tunnel wait for an SA."""
        self._look()
        return self._held.get(tunnel, 0)

    def _look(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_FRESH:
            return
        self._crew.look(LOOK_SECONDS)
        self._looked_at = time.monotonic()
        if self._told or self._strays:
            self._crew.wake()  # the router hears of it when it next looks at its descriptors

    def esp_from_udp(
        self, octets: bytes, local: Address, remote: Address, remote_port: int, now: float, ecn: int = 0
    ) -> None:
        """Hand ESP that came to the router to its worker; lost where that has no room for it."""
        path = frames.Path(str(local), 4500, str(remote), remote_port)
        self._hand_on(frames.Packet(octets, path, True, ecn))

    def execute(self, command: Command, now: float) -> None:
        """Have a command about ESP SAs carried out; what becomes of an InstallSa is told later."""
        match command:
            case commands.InstallSa():
                self._install(command)
            case commands.SwitchOutbound():
                if self._placed("out", command.spi, command.tunnel) is None:
                    what = f"switch {command.tunnel} to outbound SPI {command.spi:08x}"
                    self._told.append(PlaneFailed(what=what, why="that SA is not installed"))
                else:
                    self._command(self._owner[command.tunnel], command)
            case commands.RemoveSa():
                sa = self._placed(command.direction, command.spi, command.tunnel)
                if sa is not None:
                    self._forget(command.direction, command.spi, sa)
                    self._command(sa.worker, command)
            case commands.ReleaseHeld():
                if command.tunnel in self._owner:
                    self._command(self._owner[command.tunnel], command)
            case commands.UpdatePath():
                self._update_path(command)

    def _install(self, command: commands.InstallSa) -> None:
        spi, direction = command.spi, command.direction
        owner = self._owner.get(command.tunnel)
        number = owner if direction == "out" else worker_of(spi, self._count)
        why = ""
        if owner is None or number is None:
            why = f"no tunnel {command.tunnel} here"
        elif not self._crew.runs(number):
            why = "the worker that would carry it does not run"
        elif self._placed(direction, spi, command.tunnel if direction == "out" else None) is not None:
            why = f"SPI {spi:08x} is installed already"
        if why or number is None:
            self._told.append(commands.Refused(spi, direction, why))
            return
        self._sas.setdefault((direction, spi), []).append(_Sa(command.tunnel, number, command.reqid))
        self._pending.setdefault((direction, spi), []).append(number)
        self._command(number, command)

    def _update_path(self, command: commands.UpdatePath) -> None:
        """All SAs of the Child SA move, each named by its own SPI: no worker knows what is at another."""
        ours = [(spi, sa) for (_, spi), found in self._sas.items() for sa in found if sa.tunnel == command.tunnel]
        reqids = {sa.reqid for spi, sa in ours if spi == command.spi}
        for spi, sa in ours:
            if sa.reqid in reqids:
                self._command(sa.worker, msgspec.structs.replace(command, spi=spi))

    def _placed(self, direction: Direction, spi: int, tunnel: str | None) -> _Sa | None:
        found = self._sas.get((direction, spi), ())
        return next((sa for sa in found if tunnel is None or sa.tunnel == tunnel), None)

    def _forget(self, direction: Direction, spi: int, sa: _Sa) -> None:
        left = self._sas[direction, spi]
        left.remove(sa)
        if not left:
            del self._sas[direction, spi]
            self._counters.pop((spi, direction), None)

    def _command(self, number: int, command: Command) -> None:
        frame = frames.pack(command)
        assert frame is not None
        self._crew.say(number, frame)

    def _hand_on(self, packet: frames.Packet) -> None:
        spi = int.from_bytes(packet.octets[:4], "big")
        number = worker_of(spi, self._count) if len(packet.octets) >= ESP_OCTETS else 0
        self._crew.try_say(number, packet)

    # --- what the crew tells

    def failed(self, what: str, why: str) -> None:
        """As crew.Hearer."""
        self._told.append(PlaneFailed(what=what, why=why))

    def heard(self, number: int, frame: Frame) -> None:
        """As crew.Hearer; what a worker may not say is passed over."""
        match frame:
            case frames.Counted():
                if self._its(number, frame.direction, frame.spi):
                    counters = Counters(frame.packets, frame.octets, frame.dropped)
                    self._counters[frame.spi, frame.direction] = counters
            case frames.Held():
                if frame.tunnel in self._owner:
                    self._held[frame.tunnel] = frame.packets
            case frames.Packet():
                if not frame.udp or (len(frame.octets) >= ESP_OCTETS and any(frame.octets[:4])):
                    self._hand_on(frame)
                else:
                    self._strays.append(frame)
            case frames.Installed() | frames.Moved() | frames.Said():
                told = frames.unpack_told(frame)
                if told is not None and self._believed(number, told):
                    self._told.append(told)

    def _its(self, number: int, direction: Direction, spi: int) -> bool:
        return any(sa.worker == number for sa in self._sas.get((direction, spi), ()))

    def _believed(self, number: int, told: Told) -> bool:
        """Whether a worker may say so: about SAs and tunnels of its own."""
        match told:
            case Event():
                return True
            case commands.Acquire():
                return self._owner.get(told.tunnel) == number
            case commands.PeerMoved():
                return self._its(number, "in", told.spi)
            case commands.Installed() | commands.Refused():
                return self._settled(number, told)
        return self._its(number, told.direction, told.spi)

    def _settled(self, number: int, told: commands.Installed | commands.Refused) -> bool:
        """Whether this is what became of an SA: told once of each, also of one that was removed since."""
        key = told.direction, told.spi
        if number not in self._pending.get(key, ()):
            return False
        self._pending[key].remove(number)
        if not self._pending[key]:
            del self._pending[key]
        if isinstance(told, commands.Refused):
            for sa in [sa for sa in self._sas.get(key, ()) if sa.worker == number][-1:]:
                self._forget(*key, sa)
        return True

    def ended(self, number: int, how: str) -> None:
        """Its SAs are gone: sequence numbers that it used must not be used again, so the engine makes new ones."""
        why = f"worker {number} of the data plane ended ({how})"
        lost = [(*key, sa) for key, found in self._sas.items() for sa in found if sa.worker == number]
        unborn = [key for key, found in self._pending.items() if number in found]
        for direction, spi in unborn:
            refusal = commands.Refused(spi, direction, why)
            self._settled(number, refusal)
            self._told.append(refusal)
        refused = {(sa.tunnel, sa.reqid) for direction, spi, sa in lost if (direction, spi) in unborn}
        for direction, spi, sa in lost:
            if (direction, spi) in unborn:
                continue
            counted = self._counters.get((spi, direction), Counters())
            facts = {"packets": counted.packets, "octets": counted.octets}
            self._forget(direction, spi, sa)
            self._told.append(EspRemoved(spi=f"{spi:08x}", direction=direction, **facts))
            if (sa.tunnel, sa.reqid) not in refused:  # once for both directions
                refused.add((sa.tunnel, sa.reqid))
                self._told.append(commands.Refused(spi, direction, why))
        for name, owner in self._owner.items():
            if owner == number:
                self._held.pop(name, None)
        left = f"the {len(lost)} ESP SAs that it had are given up" if lost else "it had no ESP SA"
        self.failed(f"worker {number} of the data plane", f"it ended: {how}; {left}")
