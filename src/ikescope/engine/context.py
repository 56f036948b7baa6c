"""What all parts of the engine share: configuration, clock, randomness, SAs, timers, and the way out for events."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from ikescope.config.model import Address, RouterConfig
from ikescope.engine.commands import Command, Emit
from ikescope.engine.cookies import Secret
from ikescope.engine.parameters import Parameters
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.stateless import Gate
from ikescope.engine.states import CHILD_TRANSITIONS, IKE_TRANSITIONS, ChildState, IkeState
from ikescope.engine.timers import Timers
from ikescope.events import UNSET, Event, Stamp
from ikescope.events.life import ChildStateChanged, CloseReason, StateChanged
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType

Random = Callable[[int], bytes]
Mutate = Callable[[ExchangeType, bool, Sequence[Payload]], Sequence[Payload]]
"""A fault that a test world puts into messages before they are sealed: exchange, whether a response, payloads."""


class SpiSource(Protocol):
    """Where inbound ESP SPIs come from: the kernel, a counter, or randomness."""

    def allocate(self) -> int:
        """A SPI that no inbound SA of this host has, 256 or greater."""

    def release(self, spi: int) -> None:
        """The SPI is free again."""


class RandomSpis:
    """Inbound SPIs drawn at random, each in use once."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._used: set[int] = set()

    def allocate(self) -> int:
        """A SPI from 256 up that is not in use here (RFC 4303 section 2.1)."""
        while True:
            spi = int.from_bytes(self._random(4), "big")
            if spi > 255 and spi not in self._used:
                self._used.add(spi)
                return spi

    def release(self, spi: int) -> None:
        """The SPI may be drawn again."""
        self._used.discard(spi)


def _unset(*_: object) -> None:
    raise AssertionError("the endpoint did not set this")


class Waiting:
    """What goes on when the plane has installed all SAs of `keys`, or has refused one."""

    __slots__ = ("done", "keys", "refused", "sa")

    def __init__(
        self, sa: IkeSa, keys: set[tuple[int, str]], done: Callable[[], None], refused: Callable[[str], None]
    ) -> None:
        self.sa, self.keys, self.done, self.refused = sa, set(keys), done, refused


class Core:
    """The engine's state. `now` is the time of the input being worked on, in monotonic seconds.

    `clock`, where there is one, stamps each event with the moment it is told, so that what was computed in between can
    be seen; nothing is decided by it.
    """

    def __init__(
        self,
        config: RouterConfig,
        *,
        random: Random,
        spis: SpiSource | None = None,
        now: float,
        wall: float,
        parameters: Parameters,
    ) -> None:
        self.config = config
        self.random = random
        self.spis: SpiSource = spis or RandomSpis(random)
        self.now = now
        self.parameters = parameters
        self.timers = Timers()
        self.commands: deque[Command] = deque()
        self.sas: dict[bytes, IkeSa] = {}
        self.buried: dict[bytes, IkeSa] = {}
        self.half_open: dict[tuple[Address, int, bytes], IkeSa] = {}
        self.accepted: dict[bytes, IkeSa] = {}
        self.cookie_secret: Secret | None = None
        self.waiting: dict[tuple[int, str], Waiting] = {}
        self.spis_gone: dict[int, float] = {}
        self.holds: dict[str, tuple[int, float]] = {}
        self.near_tests: deque[tuple[float, Address]] = deque()
        self.on_child_due: Callable[[ChildSa, bool], None] = _unset
        self.on_child_idle: Callable[[ChildSa], None] = _unset
        self.on_ike_due: Callable[[IkeSa, str], None] = _unset
        self.on_unreachable: Callable[[IkeSa, CloseReason, str], None] = _unset
        self.on_closed: Callable[[IkeSa, str], None] = _unset
        self.on_stuck: Callable[[IkeSa, CloseReason, str], None] = _unset
        self.mutate: Mutate | None = None
        self.clock: Callable[[], float] | None = None
        self._wall_offset = wall - now
        self._sequence = 0
        self._sessions = 0
        self._children = 0
        self._ids: set[int] = set()
        self._free_ids: list[int] = []
        self.gate = Gate(self)

    def emit(self, event: Event, sa: IkeSa | None = None, message_id: int | None = None) -> None:
        """Put an event into the stream, stamped with the SA that it belongs to."""
        self._sequence = number = self._sequence + 1
        now = self.now if self.clock is None else max(self.now, self.clock())
        wall, router = now + self._wall_offset, self.config.hostname
        if sa is None:
            self.commands.append(Emit(Stamp(seq=number, mono=now, wall=wall, router=router), event))
            return
        shown = sa.shown
        if shown is None or shown[0] is not sa.path or shown[1] is not sa.spi_r:
            shown = sa.show()
        _, _, local, peer, spi_i, spi_r = shown
        told = UNSET if message_id is None else message_id
        # In the order of the fields: it is done for every event.
        stamp = Stamp(number, now, wall, router, local, peer, spi_i, spi_r, sa.session, sa.id, told, sa.initiator)
        self.commands.append(Emit(stamp, event))

    def await_plane(
        self, sa: IkeSa, keys: set[tuple[int, str]], done: Callable[[], None], refused: Callable[[str], None]
    ) -> None:
        """Go on when the plane has reported on these SAs (SPI and direction)."""
        waiting = Waiting(sa, keys, done, refused)
        for key in keys:
            self.waiting[key] = waiting

    def waits(self, sa: IkeSa) -> bool:
        """Whether something on this IKE SA waits for the plane."""
        return any(waiting.sa is sa for waiting in self.waiting.values())

    def new_spi(self) -> bytes:
        """An IKE SPI of ours: 8 octets, not zero, not in use."""
        while True:
            spi = self.random(8)
            if spi not in self.sas and any(spi):
                return spi

    def new_id(self) -> int:
        """The lowest free SA id."""
        number = heapq.heappop(self._free_ids) if self._free_ids else len(self._ids) + 1
        self._ids.add(number)
        return number

    def free_id(self, number: int) -> None:
        """An SA id is free again."""
        if number in self._ids:
            self._ids.remove(number)
            heapq.heappush(self._free_ids, number)

    def new_session(self) -> int:
        """The next session number."""
        self._sessions += 1
        return self._sessions

    def new_child_id(self) -> int:
        """The next Child SA number."""
        self._children += 1
        return self._children

    def between(self, low: float, high: float) -> float:
        """A random number of an interval."""
        return low + (high - low) * int.from_bytes(self.random(4), "big") / 2**32

    def to_state(self, sa: IkeSa, state: IkeState, trigger: str) -> None:
        """Move an IKE SA to another state of its table."""
        if sa.state is state:
            return
        assert state in IKE_TRANSITIONS[sa.state], f"no transition from {sa.state} to {state}"
        before, sa.state = sa.state, state
        self.emit(StateChanged(before=before.value, after=state.value, trigger=trigger), sa)

    def child_to_state(self, sa: IkeSa, child: ChildSa, state: ChildState, trigger: str) -> None:
        """Move a Child SA to another state of its table."""
        if child.state is state:
            return
        assert state in CHILD_TRANSITIONS[child.state], f"no transition from {child.state} to {state}"
        before, child.state = child.state, state
        self.emit(
            ChildStateChanged(
                inbound=f"{child.inbound:08x}",
                outbound=f"{child.outbound:08x}",
                before=before.value,
                after=state.value,
                trigger=trigger,
            ),
            sa,
        )
