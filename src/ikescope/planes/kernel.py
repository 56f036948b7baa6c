"""The data plane in the kernel: XFRM states and policies, a GRE or an XFRM device for each tunnel.

The kernel carries the packets; this tells it what the engine decides and hears what the kernel says. A packet that
finds no SA is dropped by the kernel and asks for one; how many were dropped so is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from ikescope.config.model import Address, RouterConfig
from ikescope.engine.commands import (
    Command,
    Destination,
    Expired,
    InstallSa,
    PeerMoved,
    ReleaseHeld,
    RemoveSa,
    SwitchOutbound,
    Traffic,
    UpdatePath,
)
from ikescope.errors import LocalError
from ikescope.esp.drops import Drops
from ikescope.esp.plane import Told
from ikescope.esp.sa import Counters
from ikescope.events.router import EspDropped, EspInstalled, EspRemoved, EspSwitched, PacketsHeld, PlaneFailed
from ikescope.planes import kernel_host, kernel_words
from ikescope.planes.kernel_base import KernelBase, Port
from ikescope.planes.kernel_sas import GRACE
from ikescope.planes.kernel_spd import Sa
from ikescope.planes.kernel_strangers import Strangers
from ikescope.planes.kernel_table import Key, Table
from ikescope.planes.kernel_waiting import Waiting, asked
from ikescope.planes.tun import Opener, open_clone
from ikescope.planes.xfrm_notices import Acquired, Expiring, Mapped, decode
from ikescope.planes.xfrm_state import StateSeen
from ikescope.planes.xfrm_wire import XfrmError

BATCH = 64
DUMP_FROM = 32
"""So many SAs, and one listing of all states is cheaper than a look at each."""
NEGOTIATING = "the kernel keeps no packet while its SA is negotiated"
_OF_STATE = (
    ("forged", "XfrmInStateProtoError"),
    ("outside_window", "XfrmInStateSeqError"),
    ("replayed", "XfrmInStateSeqError"),
)
"""What a state counts itself, and the counter of the kernel that counts it too."""


def plan(
    config: RouterConfig, *, interfaces: Mapping[str, str] | None = None, ssh_connection: str | None = None
) -> list[str]:
    """Every change that running this configuration makes to the host, a line each; nothing is changed."""
    return KernelPlane(config, interfaces=interfaces, ssh_connection=ssh_connection).lines()


class KernelPlane(KernelBase):
    """The tunnels of one configuration on this host.

    While it is open the owner watches `filenos()`, calls `read_ready` for one that is readable, and `tick` about every
    second. ESP in UDP is the kernel's where the owner's port 4500 leaves it to it.
    """

    name = "kernel"

    def __init__(
        self,
        config: RouterConfig,
        *,
        interfaces: Mapping[str, str] | None = None,
        ssh_connection: str | None = None,
        port: Callable[[], Port] | None = None,
        opener: Opener = open_clone,
    ) -> None:
        super().__init__(config, interfaces=interfaces, ssh_connection=ssh_connection, port=port, opener=opener)
        self._seen: dict[Key, StateSeen] = {}
        self._last: dict[Key, float] = {}
        self._until: dict[Key, float] = {}
        self._moved: dict[int, Destination] = {}
        self._stat: dict[str, int] = {}
        self._drops = Drops()
        self._strangers = Strangers(())
        self._told: list[Told] = []

    def open(self) -> None:
        """As the base does; what the kernel counted before is not ours."""
        super().open()
        self._stat = kernel_words.read(kernel_host.stat_text())

    def close(self) -> None:
        """As the base does."""
        self._strangers.close()
        super().close()

    def _hear(self, addresses: list[Address]) -> None:
        super()._hear(addresses)
        self._strangers.listen(addresses)

    def _abandon(self, tunnel: str, now: float) -> None:
        table, _ = self._parts()
        for key in [key for key in table.sas if key[1] == tunnel]:
            self._remove(table, key, now)

    # --- what the engine asks for

    def execute(self, command: Command, now: float) -> None:
        """Carry out a command about ESP; others do nothing. LocalError where the kernel refuses an SA."""
        table, waiting = self._parts()
        match command:
            case InstallSa():
                self._install(table, command, now)
            case SwitchOutbound():
                self._try(f"switch {command.tunnel} to {command.spi:08x}", lambda: self._switch(command))
            case RemoveSa():
                key: Key = (command.direction, command.tunnel, command.spi)
                self._try(f"take {command.spi:08x} out", lambda: self._remove(table, key, now))
            case ReleaseHeld():
                self._tell_lost(command.reason)
                waiting.later(command.tunnel, now)
            case UpdatePath():
                self._try(f"follow the peer of {command.tunnel}", lambda: table.repath(command))
        self._mtus.heard(command)

    def _parts(self) -> tuple[Table, Waiting]:
        assert self._table is not None and self._waiting is not None, "the plane is not open"
        return self._table, self._waiting

    def _try(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except LocalError as error:
            self._told.append(PlaneFailed(what=what, why=str(error)))

    def _install(self, table: Table, command: InstallSa, now: float) -> None:
        table.install(command)
        key: Key = (command.direction, command.tunnel, command.spi)
        if command.direction == "in" and self.spis is not None:
            self.spis.release(command.spi)  # at our other addresses
        if command.lifetime_seconds is not None:
            self._until[key] = now + command.lifetime_seconds + GRACE
        self._told.append(EspInstalled(spi=f"{command.spi:08x}", direction=command.direction, tunnel=command.tunnel))

    def _switch(self, command: SwitchOutbound) -> None:
        table, waiting = self._parts()
        sa = table.switch(command.tunnel, command.spi)
        if sa is None:
            what = f"switch {command.tunnel} to outbound SPI {command.spi:08x}"
            self._told.append(PlaneFailed(what=what, why="that SA is not installed"))
            return
        self._told.append(EspSwitched(spi=f"{command.spi:08x}", tunnel=command.tunnel))
        self._tell_lost(NEGOTIATING)
        waiting.forget(command.tunnel)

    def _remove(self, table: Table, key: Key, now: float) -> None:
        found = table.remove(key)
        if found is None:
            return
        sa, seen = found
        if seen is not None:
            self._count(key, sa, seen, now)
        last = self._seen.pop(key, None)
        self._last.pop(key, None)
        self._until.pop(key, None)
        self._moved.pop(sa.command.spi, None)
        packets, octets = (0, 0) if last is None else (last.current.packets, last.current.octets)
        self._told.append(EspRemoved(spi=f"{sa.command.spi:08x}", direction=key[0], packets=packets, octets=octets))

    # --- what the kernel says

    def filenos(self) -> tuple[int, ...]:
        """The file descriptors to watch for reading."""
        return () if self._listener is None else (self._listener.fileno(),)

    def read_ready(self, fd: int, now: float) -> None:
        """Take what the kernel says; more of it makes the descriptor readable again."""
        assert self._listener is not None
        for _ in range(BATCH):
            received, lost = self._listener.take()
            if lost:
                self._told.append(
                    PlaneFailed(what="hear all that the kernel says", why="it came faster than it was read")
                )
            if not received:
                return
            for each in received:
                try:
                    notice = decode(each)
                except XfrmError as error:
                    self._told.append(PlaneFailed(what="read what the kernel says", why=str(error)))
                    continue
                match notice:
                    case Acquired():
                        self._acquired(notice, now)
                    case Expiring():
                        self._expiring(notice, now)
                    case Mapped():
                        self._mapped(notice)

    def _acquired(self, notice: Acquired, now: float) -> None:
        table, waiting = self._parts()
        tunnel = table.owner(notice.policy.key)
        template = notice.policy.template
        if tunnel is None or template is None:
            return
        waiting.add(tunnel, notice, now)
        index = tunnel.index_of(template.reqid)
        if index is None:  # the SA of a switched policy is gone: its removal is on its way
            waiting.later(tunnel.path.name, now)
            return
        self._tell_lost(NEGOTIATING)
        self._told.append(asked(tunnel, index, notice))

    def _expiring(self, notice: Expiring, now: float) -> None:
        table, _ = self._parts()
        state = notice.state
        for key, sa in table.sas.items():
            if (sa.remote, sa.command.spi) == (state.destination, state.spi):
                self._told.append(Expired(spi=state.spi, direction=key[0], hard=notice.hard))
                if notice.hard:
                    self._count(key, sa, state, now)
                    self._until[key] = 0.0
                return

    def _mapped(self, notice: Mapped) -> None:
        table, _ = self._parts()
        sa = table.find(notice.spi, "in")
        if sa is None or sa.path.local != notice.destination:
            return
        path = Destination(sa.path.local, sa.path.local_port, notice.source, notice.port)
        if path not in (sa.path, self._moved.get(notice.spi)):
            self._moved[notice.spi] = path
            self._told.append(PeerMoved(spi=notice.spi, path=path))

    def esp_from_udp(
        self, octets: bytes, local: Address, remote: Address, remote_port: int, now: float, ecn: int = 0
    ) -> None:
        """ESP that the kernel left at port 4500: there is no place for it here."""
        spi = int.from_bytes(octets[:4], "big")
        event = self._drops.add("the kernel did not take ESP in UDP", spi, False, str(remote), str(local), now)
        if event is not None:
            self._told.append(event)

    # --- counters

    def tick(self, now: float) -> None:
        """Look at the counters of SAs and kernel, and tell what is new; about every second."""
        table, waiting = self._parts()
        tied: dict[str, int] = {}
        for key, seen in table.look(DUMP_FROM).items():
            sa = table.sas[key]
            if seen is None:
                self._gone(key, sa)
                continue
            self._tie(key, sa, seen, tied)
            self._count(key, sa, seen, now)
            self._keep(table, key, sa, seen, now)
        self._tell_stat(table, tied, now)
        self._told.extend(self._drops.due(now))
        waiting.tick(now)
        self._mtus.tick()

    def _count(self, key: Key, sa: Sa, seen: StateSeen, now: float) -> None:
        """Tell the traffic of an SA where it has grown."""
        before = self._seen.get(key)
        self._seen[key] = seen
        packets = seen.current.packets
        if packets != (0 if before is None else before.current.packets):
            self._last[key] = now
            spi, octets = sa.command.spi, seen.current.octets
            self._told.append(Traffic(spi=spi, direction=key[0], packets=packets, octets=octets, last=now))

    def _tie(self, key: Key, sa: Sa, seen: StateSeen, tied: dict[str, int]) -> None:
        """Tell what an SA has dropped."""
        before = self._seen.get(key)
        found: dict[str, int] = {}
        for name, counter in _OF_STATE:
            rose = getattr(seen, name) - (0 if before is None else getattr(before, name))
            if rose > 0:
                tied[counter] = tied.get(counter, 0) + rose
                found[counter] = found.get(counter, 0) + rose
        for counter, rose in found.items():
            self._told.append(
                EspDropped(
                    reason=kernel_words.WORDS[counter],
                    spi=f"{sa.command.spi:08x}",
                    source=str(sa.path.remote),
                    destination=str(sa.path.local),
                    count=rose,
                )
            )

    def _gone(self, key: Key, sa: Sa) -> None:
        """Somebody else took an SA out, or its lifetime in the kernel ended: said once."""
        if self._until.get(key) == 0.0:
            return
        self._until[key] = 0.0
        self._told.append(PlaneFailed(what=f"keep ESP SA {sa.command.spi:08x}", why="the kernel has it no more"))
        self._told.append(Expired(spi=sa.command.spi, direction=key[0], hard=True))

    def _keep(self, table: Table, key: Key, sa: Sa, seen: StateSeen, now: float) -> None:
        """The net under the engine's lifetimes is lifted while the engine runs."""
        until = self._until.get(key, 0.0)
        if until and until - now < GRACE / 2:
            self._until[key] = until + GRACE
            self._try(f"prolong {sa.command.spi:08x}", lambda: table.prolong(sa, seen, GRACE))

    def _tell_stat(self, table: Table, tied: dict[str, int], now: float) -> None:
        """Tell what the kernel has counted of nobody's SA; of ESP without an SA, who sent it where that can be seen."""
        self._tell_lost(NEGOTIATING)
        before, after = self._stat, kernel_words.read(kernel_host.stat_text())
        unknown = kernel_words.UNKNOWN
        counted = after.get(unknown, 0) - before.get(unknown, 0)
        spis = [sa.command.spi for key, sa in table.sas.items() if key[0] == "in"]
        seen = self._strangers.look(spis, counted, now)
        for one in seen:
            ends = str(one.source), str(one.destination)
            event = self._drops.add(kernel_words.WORDS[unknown], one.spi, False, *ends, now)
            self._told += [event] if event is not None else []
        tied[unknown] = min(len(seen), counted)
        for reason, count in kernel_words.risen(before, after, tied):
            self._told.append(EspDropped(reason=reason, spi="", source="", destination="", count=count))
        name = kernel_words.NO_STATES
        self._stat = {**after, name: before.get(name, 0)}

    def _tell_lost(self, why: str) -> None:
        """Tell how many packets the kernel has dropped for want of an SA since that was last told."""
        _, waiting = self._parts()
        name = kernel_words.NO_STATES
        lost = kernel_words.read(kernel_host.stat_text()).get(name, 0)
        rose, self._stat[name] = lost - self._stat.get(name, 0), lost
        if rose > 0 and waiting.tunnels:
            self._told.append(PacketsHeld(tunnel=", ".join(waiting.tunnels), held=0, dropped=rose, why=why))

    # --- what the owner asks

    def take(self) -> list[Told]:
        """What was reported since the last call: reports for the engine, events for the stream, oldest first."""
        told, self._told = self._told, []
        return [*told, *self._mtus.take()]

    def counters(self, spi: int, direction: Literal["in", "out"]) -> Counters | None:
        """The counters of an SA, None without such an SA."""
        table, _ = self._parts()
        for key, sa in table.sas.items():
            if (key[0], sa.command.spi) == (direction, spi):
                seen = table.see(sa) or self._seen.get(key)
                return Counters() if seen is None else Counters(seen.current.packets, seen.current.octets, seen.dropped)
        return None

    def held(self, tunnel: str) -> int:
        """None: the kernel keeps no packet."""
        return 0
