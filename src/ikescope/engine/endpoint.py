"""The engine's door: intents, datagrams, reports and the clock go in; commands come out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator

from ikescope.config.model import RouterConfig
from ikescope.engine import children, limits, reauth, reconfigured
from ikescope.engine.closing import close_ike, held
from ikescope.engine.commands import (
    Clear,
    ClearChild,
    Command,
    Connect,
    Destination,
    Expired,
    Installed,
    Intent,
    PeerMoved,
    Probe,
    Refused,
    Rekey,
    ReleaseHeld,
    Report,
    Send,
    Traffic,
)
from ikescope.engine.context import Core, Random, SpiSource, Waiting
from ikescope.engine.decisions import decided, nothing_done, rekey_text
from ikescope.engine.drops import drop
from ikescope.engine.exchange import enqueue, guarded, pump
from ikescope.engine.lifetimes import arm_dpd, arm_lifetime, arm_reauthentication
from ikescope.engine.nat import follow
from ikescope.engine.parameters import Parameters
from ikescope.engine.receive import receive
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import USABLE, ChildState, IkeState
from ikescope.engine.tasks import invalid_spi
from ikescope.engine.tasks.create_child import CreateChild
from ikescope.engine.tasks.ike_rekey import RekeyIke
from ikescope.engine.tasks.ike_sa_init import begin
from ikescope.engine.tasks.informational import DeleteChild, Liveness, delete_ike
from ikescope.errors import LocalError, PeerError
from ikescope.events import Event, SelectorFact
from ikescope.events.life import CloseReason, LifetimeChanged, TaskFailed
from ikescope.events.message import DropTrigger
from ikescope.events.negotiation import ExchangeFailed
from ikescope.events.router import EspDropped
from ikescope.policy.peers import connection
from ikescope.wire.registry import ExchangeType


class Endpoint:
    """One IKE endpoint. Time is monotonic seconds, handed in; nothing here reads a clock, a socket or randomness."""

    def __init__(
        self,
        config: RouterConfig,
        *,
        random: Random,
        now: float,
        wall: float,
        spis: SpiSource | None = None,
        parameters: Parameters | None = None,
    ) -> None:
        self.core = Core(config, random=random, spis=spis, now=now, wall=wall, parameters=parameters or Parameters())
        self.core.on_child_due = self._child_due
        self.core.on_child_idle = self._child_idle
        self.core.on_ike_due = self._ike_due
        self.core.on_unreachable = self._unreachable
        self.core.on_closed = lambda sa, why: reauth.ended(self.core, sa, why)
        self.core.on_stuck = lambda sa, cause, why: delete_ike(self.core, sa, cause, why)

    def emit(self, event: Event, now: float) -> None:
        """Put an event of the router around us into the same stream."""
        self.core.now = now
        self.core.emit(event)
        if isinstance(event, EspDropped):
            invalid_spi.dropped(self.core, event)

    def commands(self) -> Iterator[Command]:
        """Drain what is to be done, in order."""
        queue = self.core.commands
        while queue:
            yield queue.popleft()

    def deadline(self) -> float | None:
        """When `wake` is to be called next."""
        return self.core.timers.deadline()

    def wake(self, now: float) -> None:
        """Deadlines have passed."""
        self.core.now = now
        while (callback := self.core.timers.pop(now)) is not None:
            try:
                guarded(self.core, None, "timer", callback)
            except PeerError:
                # Nobody is there to be answered.
                self.core.emit(TaskFailed(task="timer", traceback=traceback.format_exc()))

    def receive(self, datagram: bytes, path: Destination, now: float) -> None:
        """Take a datagram that came over `path` (local and remote as seen here), without its non-ESP marker.

        Never lets an exception out, whatever the peer sends.
        """
        self.core.now = now
        try:
            guarded(self.core, None, "receive", lambda: self._take(datagram, path))
        except PeerError as error:
            drop(self.core, DropTrigger.MALFORMED, path, datagram, found=str(error))

    def _take(self, datagram: bytes, path: Destination) -> None:
        reply = self.core.gate.answer(datagram, str(path.remote), path.remote_port)
        if reply is None:
            receive(self.core, datagram, path)
        elif reply:
            self.core.commands.append(Send(reply, path))

    def answer(self, octets: bytes, remote: str, port: int, now: float) -> bytes | None:
        """What a sender that has proven nothing is answered under pressure, empty: silence; None: `receive` decides.

        For the owner of the sockets, before it makes anything of a datagram: see `stateless.Gate.answer`.
        """
        self.core.now = now
        return self.core.gate.answer(octets, remote, port)

    def request(self, intent: Intent, now: float) -> None:
        """Begin what the operator, the traffic or the configuration asks for."""
        self.core.now = now
        match intent:
            case Connect():
                self._connect(intent)
            case Rekey():
                self._rekey(intent)
            case Clear():
                self._clear(intent)
            case ClearChild():
                self._clear_child(intent)
            case Probe():
                for sa in self._usable():
                    if intent.sa in (None, sa.id):
                        enqueue(self.core, sa, Liveness("operator"))

    def report(self, report: Report, now: float) -> None:
        """Hear from the data plane."""
        self.core.now = now
        match report:
            case Installed():
                self._installed(report)
            case Refused():
                self._refused(report)
            case Expired():
                self._expired(report)
            case Traffic():
                found = self._child(report.spi, report.direction)
                if found is not None:
                    children.count(self.core, *found, report)
                    if report.direction == "in":
                        children.claimed(self.core, *found)
            case PeerMoved():
                self._moved(report)
            case _:
                raise AssertionError(f"{type(report).__name__} is for the node")

    def configure(self, config: RouterConfig, now: float) -> None:
        """A changed configuration: new negotiations follow it at once, lifetimes act on what runs."""
        core, core.now = self.core, now
        known, core.config = core.config, config
        for sa in self._usable():
            if sa.profile is None:
                continue
            profile = config.profiles.get(sa.profile.name)
            if profile is None:
                nothing_done(core, f"configuration of IKE SA {sa.id}", f"profile {sa.profile.name} is gone")
                continue
            changed, sa.profile = profile.reauthentication != sa.profile.reauthentication, profile
            if changed:
                arm_reauthentication(core, sa)
            if profile.lifetime != sa.lifetime:
                before, sa.lifetime = sa.lifetime, profile.lifetime
                left = arm_lifetime(core, sa)
                core.emit(LifetimeChanged(kind="ike", before=before, after=sa.lifetime, rekey_in=left), sa)
        reconfigured.follow(core, known, config)
        for sa, child in self._children():
            tunnel = config.tunnels.get(child.tunnel)
            if tunnel is not None and not tunnel.shutdown:
                self._child_lifetime(sa, child)

    def _child_lifetime(self, sa: IkeSa, child: ChildSa) -> None:
        core = self.core
        if child.state is not ChildState.INSTALLED:
            return
        try:
            ipsec = connection(core.config, child.tunnel).ipsec
        except LocalError as error:
            nothing_done(core, f"configuration of Child SA {child.inbound:08x}", str(error))
            return
        if ipsec.idle_time != child.idle_time:
            child.idle_time = ipsec.idle_time
            children.arm_idle(core, child)
        if ipsec.lifetime_seconds == child.lifetime:
            return
        before, child.lifetime = child.lifetime, ipsec.lifetime_seconds
        children.arm_lifetime(core, child)
        left = 0.0 if child.soft is None else max(0.0, child.soft.when - core.now)
        core.emit(
            LifetimeChanged(
                kind="child", before=before, after=child.lifetime, rekey_in=left, spi=children.spi_text(child.inbound)
            ),
            sa,
        )

    def _usable(self) -> list[IkeSa]:
        return [sa for sa in self.core.sas.values() if sa.state in USABLE]

    def _children(self) -> list[tuple[IkeSa, ChildSa]]:
        return [(sa, child) for sa in self.core.sas.values() for child in sa.children.values()]

    def _child(self, spi: int, direction: str) -> tuple[IkeSa, ChildSa] | None:
        for sa, child in self._children():
            if spi == (child.inbound if direction == "in" else child.outbound):
                return sa, child
        return None

    def pending(self, tunnel: str, index: int, packet: children.Packet | None = None) -> bool:
        """Whether a Child SA for this selector (and packet) stands, or one for the selector is being negotiated."""
        return children.find(self.core, tunnel, index, packet) is not None or any(
            (want.tunnel, want.index) == (tunnel, index)
            for sa in self.core.sas.values()
            for want in (*sa.wants, *(task.want for task in _creating(sa)))
        )

    def narrowed_away(self, tunnel: str, index: int, packet: tuple[SelectorFact, SelectorFact]) -> bool:
        """Whether the peer narrowed what stands for this selector so that nothing covers the packet, nor could."""
        return children.exhausted(self.core, tunnel, index, packet)

    def release(self, tunnel: str, why: str) -> None:
        """Packets that wait for an SA of a tunnel wait in vain."""
        self.core.commands.append(ReleaseHeld(tunnel, why))

    def _connect(self, want: Connect) -> None:
        core = self.core
        if self.pending(want.tunnel, want.index, want.packet):
            decided(core, want, "pending")
            return
        if want.trigger == "traffic" and held(core, want.tunnel):
            decided(core, want, "held", "waiting after a failed attempt")
            core.commands.append(ReleaseHeld(want.tunnel, "waiting after a failed attempt"))
            return
        try:
            conn = connection(core.config, want.tunnel)
        except LocalError as error:
            decided(core, want, "refused", str(error))
            core.emit(ExchangeFailed(exchange=ExchangeType.IKE_SA_INIT, why=str(error)))
            core.commands.append(ReleaseHeld(want.tunnel, str(error)))
            return
        for sa in tuple(core.sas.values()):
            same = sa.path.local == conn.local and sa.peer == conn.remote
            if not same or sa.state in (IkeState.REKEYED, IkeState.DELETING, IkeState.CLOSED):
                continue
            decided(core, want, "ask" if sa.state in USABLE else "wait")
            if sa.state in USABLE:
                enqueue(core, sa, CreateChild(want, trigger=want.trigger))
            else:
                sa.wants.append(want)
            return
        why = limits.outgoing(core)
        decided(core, want, "refused" if why else "begin", why)
        if why:
            core.emit(ExchangeFailed(exchange=ExchangeType.IKE_SA_INIT, why=why))
            core.commands.append(ReleaseHeld(want.tunnel, why))
            return
        begin(core, conn, want)

    def _rekey(self, intent: Rekey) -> None:
        core = self.core
        if intent.spi is not None:
            found = self._child(intent.spi, "in")
            if found is not None:
                self._rekey_child(*found, intent.trigger)
            else:
                nothing_done(core, rekey_text(intent), "no Child SA has this SPI")
            return
        chosen = [sa for sa in self._usable() if intent.sa in (None, sa.id)]
        for sa in chosen:
            enqueue(core, sa, RekeyIke(intent.trigger))
        if not chosen:
            nothing_done(core, rekey_text(intent), "no such IKE SA is established")

    def _rekey_child(self, sa: IkeSa, child: ChildSa, trigger: str) -> None:
        want = Connect(tunnel=child.tunnel, index=child.index)
        enqueue(self.core, sa, CreateChild(want, old=child.inbound, trigger=trigger))

    def _clear(self, intent: Clear) -> None:
        for sa in tuple(self.core.sas.values()):
            if intent.remote in (None, sa.path.remote) and intent.local in (None, sa.path.local):
                if intent.fast:
                    close_ike(self.core, sa, intent.cause, intent.reason)
                else:
                    delete_ike(self.core, sa, intent.cause, intent.reason)

    def _clear_child(self, intent: ClearChild) -> None:
        chosen = [one for one in self._children() if intent.spi in (None, one[1].inbound)]
        chosen = [one for one in chosen if one[1].state is ChildState.INSTALLED]
        for sa, child in chosen:
            enqueue(self.core, sa, DeleteChild(child.inbound, intent.cause))
        if not chosen:
            nothing_done(self.core, "clear of Child SAs", "none of these is installed")

    def _installed(self, report: Installed) -> None:
        waiting = self.core.waiting.pop((report.spi, report.direction), None)
        if waiting is None:
            return
        waiting.keys.discard((report.spi, report.direction))
        if not waiting.keys:
            self._go_on(waiting, waiting.done)

    def _go_on(self, waiting: Waiting, action: Callable[[], None]) -> None:
        guarded(self.core, waiting.sa, "after the data plane", action)
        pump(self.core, waiting.sa)

    def _refused(self, report: Refused) -> None:
        core = self.core
        waiting = core.waiting.pop((report.spi, report.direction), None)
        if waiting is not None:
            for key in waiting.keys:
                core.waiting.pop(key, None)
            self._go_on(waiting, lambda: waiting.refused(report.why))
            return
        found = self._child(report.spi, report.direction)
        if found is not None:
            why = f"the data plane refused it: {report.why}"
            enqueue(core, found[0], DeleteChild(found[1].inbound, CloseReason.PLANE, why))

    def _expired(self, report: Expired) -> None:
        found = self._child(report.spi, report.direction)
        if found is None or found[1].state is not ChildState.INSTALLED:
            what, kind = f"{report.spi:08x}", "hard" if report.hard else "soft"
            why = "there is no such Child SA" if found is None else f"it is {found[1].state}"
            nothing_done(self.core, f"{kind} traffic limit of {what}", why)
            return
        if report.hard:
            self._child_due(found[1], True)
        else:
            self._rekey_child(*found, "traffic limit")

    def _moved(self, report: PeerMoved) -> None:
        found = self._child(report.spi, "in")
        if found is not None and found[0].nat_remote:
            follow(self.core, found[0], report.path)
        else:
            why = "there is no such Child SA" if found is None else "its peer stands behind no NAT"
            what = f"ESP {report.spi:08x} from {report.path.remote}:{report.path.remote_port}"
            nothing_done(self.core, what, why)

    def _child_due(self, child: ChildSa, hard: bool) -> None:
        sa = children.holder(self.core, child)
        if sa is None:
            return
        if not hard:
            if child.state is ChildState.INSTALLED:
                self._rekey_child(sa, child, "lifetime")
            return
        if child.state is ChildState.INSTALLED and sa.state in USABLE:
            enqueue(self.core, sa, DeleteChild(child.inbound, CloseReason.LIFETIME))
            return
        rekeying = child.state is ChildState.REKEYING and sa.state in USABLE
        children.remove(self.core, sa, child, CloseReason.LIFETIME)
        if rekeying:
            ##= rfc7296#section-2.4
            ##% If an IKE endpoint chooses to delete Child SAs, it MUST send Delete
            ##% payloads to the other end notifying it of the deletion.
            enqueue(self.core, sa, DeleteChild(child.inbound, CloseReason.LIFETIME, unborn=True))

    def _child_idle(self, child: ChildSa) -> None:
        sa = children.holder(self.core, child)
        if sa is None or child.idle_time is None:
            return
        idle = self.core.now - children.last_used(child) >= child.idle_time - 0.001
        if idle and child.state is ChildState.INSTALLED and sa.state in USABLE:
            why = f"no packet passed for {child.idle_time} s"
            enqueue(self.core, sa, DeleteChild(child.inbound, CloseReason.IDLE, why))
        else:
            children.arm_idle(self.core, child)

    def _ike_due(self, sa: IkeSa, what: str) -> None:
        core = self.core
        if what == "soft":
            if not sa.overdue and reauth.underway(core, sa) is None:
                enqueue(core, sa, RekeyIke("lifetime"))
        elif what == "reauth":
            reauth.due(core, sa)
        elif what == "hard":
            delete_ike(core, sa, CloseReason.LIFETIME)
        elif what == "dpd" and sa.dpd is not None:
            last_in = max([sa.last_heard, *(child.last_in for child in sa.children.values())])
            last_out = max([0.0, *(child.last_out for child in sa.children.values())])
            silent = core.now - last_in
            asked = sa.out.in_flight or any(isinstance(task, Liveness) for task in sa.tasks)
            if silent >= sa.dpd.interval - 0.001 and not asked and (not sa.dpd.on_demand or last_out > last_in):
                enqueue(core, sa, Liveness("dpd"))
            arm_dpd(core, sa, sa.dpd)

    def _unreachable(self, sa: IkeSa, cause: CloseReason, why: str) -> None:
        close_ike(self.core, sa, cause, why)


def _creating(sa: IkeSa) -> list[CreateChild]:
    """The tasks of an IKE SA that ask for a Child SA for what none carries, now or later."""
    tasks = [*(pending.task for pending in sa.out.in_flight.values()), *sa.tasks, *sa.later]
    return [task for task in tasks if isinstance(task, CreateChild) and task.first]
