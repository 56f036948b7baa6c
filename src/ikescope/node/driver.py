"""Node and data plane brought together: the one place that carries commands out, live and in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ikescope.engine.commands import Command, Emit, Installed, InstallSa, KeysReady, Refused, Send
from ikescope.errors import LocalError
from ikescope.esp.plane import Told
from ikescope.events import Event, Record
from ikescope.node.router import Node
from ikescope.node.status import Counters


class Plane(Protocol):
    """What a data plane offers the driver."""

    name: str

    def execute(self, command: Command, now: float) -> None:
        """Carry a command about ESP out; LocalError where the host refuses."""

    def take(self) -> list[Told]:
        """What happened since: reports and events, oldest first."""

    def tick(self, now: float) -> None:
        """Tell gathered counters and drops; about once a second."""


class NullPlane:
    """No data plane: every SA is taken, none carries anything. For measuring and for control-plane tests."""

    name = "none"

    def execute(self, command: Command, now: float) -> None:
        """Do nothing."""

    def take(self) -> list[Told]:
        """Nothing ever happens."""
        return []

    def tick(self, now: float) -> None:
        """Nothing is gathered."""

    def counters(self, spi: int, direction: str) -> Counters | None:
        """Nothing is counted."""
        return None


class Driver:
    """Drains a node: SAs to the plane, datagrams to `send`, records to `sink`, keys and SAs to `keys` if given.

    `installs_later`: the plane tells itself when it has installed an SA; another has done so when `execute` returns.
    """

    def __init__(
        self,
        node: Node,
        plane: Plane,
        send: Callable[[Send], None],
        sink: Callable[[Record], None],
        keys: Callable[[KeysReady | InstallSa], None] | None = None,
        *,
        installs_later: bool = False,
    ) -> None:
        self.node, self.plane = node, plane
        self._installs_later = installs_later
        self._send, self._sink, self._keys = send, sink, keys

    def drain(self, now: float) -> None:
        """Carry out all that is to be done, and all that follows from it."""
        self.told(now)
        queue, sink, count = self.node.queue, self._sink, self.node.statistics.add
        while queue:
            command = queue.popleft()
            if type(command) is Emit:
                # By far the most of them.
                count(command)
                sink(command)
                continue
            match command:
                case Send():
                    self._send(command)
                case KeysReady():
                    if self._keys is not None:
                        self._keys(command)
                case InstallSa():
                    self._install(command, now)
                case _:
                    self.plane.execute(command, now)
                    self.told(now)

    def told(self, now: float) -> None:
        """Pass on what the plane has to say."""
        for told in self.plane.take():
            if isinstance(told, Event):
                self.node.emit(told, now)
            else:
                self.node.report(told, now)

    def _install(self, command: InstallSa, now: float) -> None:
        refusal: Refused | None = None
        try:
            self.plane.execute(command, now)
        except LocalError as error:
            refusal = Refused(command.spi, command.direction, str(error))
        for told in self.plane.take():
            if isinstance(told, Refused) and (told.spi, told.direction) == (command.spi, command.direction):
                refusal = told
            elif isinstance(told, Event):
                self.node.emit(told, now)
            else:
                self.node.report(told, now)
        if refusal is None and self._keys is not None:
            self._keys(command)
        if refusal is not None or not self._installs_later:
            self._installed(refusal or Installed(command.spi, command.direction), now)

    def _installed(self, report: Installed | Refused, now: float) -> None:
        """Tell the node what became of an SA; a test world may do so later."""
        self.node.report(report, now)
