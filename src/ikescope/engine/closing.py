"""The end of an IKE SA, whatever brought it about."""

from __future__ import annotations

from ikescope.config.model import Identity
from ikescope.engine.children import remove
from ikescope.engine.commands import ReleaseHeld
from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.events.base import UNSET, IdentityFact
from ikescope.events.life import CloseReason, IkeSaClosed, SessionDown
from ikescope.events.message import FragmentsForgotten
from ikescope.wire.registry import ExchangeType

BURIED, BURIED_SECONDS = 256, 30.0
"""How many closed IKE SAs still repeat their responses, and for how long: four repetitions of a request."""


def _bury(core: Core, sa: IkeSa) -> None:
    """Keep the responses of a closed IKE SA for a while: the one that told the peer of its end may have been lost."""
    sa.keys = sa.envelope = None
    if not any(entry.response and entry.exchange != ExchangeType.IKE_SA_INIT for entry in sa.into.kept.values()):
        return
    core.buried[sa.local_spi] = sa
    while len(core.buried) > BURIED:
        del core.buried[next(iter(core.buried))]

    def forget() -> None:
        core.buried.pop(sa.local_spi, None)

    core.timers.arm(core.now + BURIED_SECONDS, forget)


def _same_session(sa: IkeSa, other: IkeSa) -> bool:
    """Whether another IKE SA keeps the session up: a successor, or one to the same peer from two at once."""
    same = other.remote_id == sa.remote_id and other.path.remote == sa.path.remote
    return other.session == sa.session or (other.established is not None and same)


def fact(identity: Identity | None) -> IdentityFact | None:
    """An identity as events write it."""
    return None if identity is None else IdentityFact(int(identity.type), identity.value)


def close_ike(core: Core, sa: IkeSa, cause: CloseReason, reason: str = "") -> None:
    """An IKE SA ends here and now, with all under it; nobody is told. The reason in words is the cause's by default."""
    if sa.state is IkeState.CLOSED:
        return
    reason = reason or str(cause)
    was_up = sa.established is not None
    for child in tuple(sa.children.values()):
        remove(core, sa, child, CloseReason.WITH_IKE_SA)
    for timer in sa.timers.values():
        timer.cancel()
    for pending in sa.out.in_flight.values():
        if pending.timer is not None:
            pending.timer.cancel()
    sa.timers.clear()
    _forget_fragments(core, sa)
    tasks = [*(pending.task for pending in sa.out.in_flight.values()), *sa.tasks]
    sa.tasks.clear()
    sa.later.clear()
    sa.out.in_flight.clear()
    core.to_state(sa, IkeState.CLOSED, reason)
    core.emit(IkeSaClosed(reason=reason, seconds=core.now - sa.created, cause=cause), sa)
    core.sas.pop(sa.local_spi, None)
    _bury(core, sa)
    if sa.first_seen is not None:
        core.half_open.pop(sa.first_seen, None)
        core.accepted.pop(sa.request, None)
    core.free_id(sa.id)
    for key in [key for key, waiting in core.waiting.items() if waiting.sa is sa]:
        del core.waiting[key]
    for tunnel in dict.fromkeys(want.tunnel for want in sa.wants):
        hold(core, tunnel)
        core.commands.append(ReleaseHeld(tunnel, reason))
    sa.wants.clear()
    for task in tasks:
        task.failed(core, sa, reason)
    core.on_closed(sa, reason)
    # What it replaced has ended before it; its successor still looks at this one.
    sa.replaces = None
    if was_up and not any(_same_session(sa, other) for other in core.sas.values()):
        local, remote = fact(sa.local_id) or UNSET, fact(sa.remote_id) or UNSET
        core.emit(SessionDown(reason=reason, cause=cause, local=local, remote=remote), sa)


def _forget_fragments(core: Core, sa: IkeSa) -> None:
    """What came of messages that were never whole goes with the IKE SA."""
    for (response, mid), one in sa.reassembly.messages.items():
        held, why = len(one.pieces), "its IKE SA ended"
        core.emit(
            FragmentsForgotten(exchange=one.exchange, response=response, held=held, total=one.total, why=why), sa, mid
        )
    sa.reassembly.clear()


def hold(core: Core, tunnel: str) -> None:
    """After a failed attempt a tunnel waits before traffic starts another, twice as long each time."""
    failures, _ = core.holds.get(tunnel, (0, 0.0))
    wait = min(core.parameters.failure_hold * 2**failures, core.parameters.failure_hold_max)
    core.holds[tunnel] = (failures + 1, core.now + wait)


def held(core: Core, tunnel: str) -> bool:
    """Whether a tunnel still waits after a failure."""
    return core.holds.get(tunnel, (0, 0.0))[1] > core.now
