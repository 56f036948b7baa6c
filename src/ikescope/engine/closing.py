"""The end of an IKE SA, whatever brought it about."""

from __future__ import annotations

from ikescope.config.model import Identity
from ikescope.engine.children import remove
from ikescope.engine.commands import ReleaseHeld
from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.events.base import UNSET, IdentityFact
from ikescope.events.life import IkeSaClosed, SessionDown


def fact(identity: Identity | None) -> IdentityFact | None:
    """An identity as events write it."""
    return None if identity is None else IdentityFact(int(identity.type), identity.value)


def close_ike(core: Core, sa: IkeSa, reason: str) -> None:
    """An IKE SA ends here and now, with all under it; nobody is told. The reason is always said."""
    if sa.state is IkeState.CLOSED:
        return
    was_up = sa.established is not None
    for child in tuple(sa.children.values()):
        remove(core, sa, child, "its IKE SA ended")
    for timer in sa.timers.values():
        timer.cancel()
    for pending in sa.out.in_flight.values():
        if pending.timer is not None:
            pending.timer.cancel()
    sa.timers.clear()
    tasks, sa.tasks = tuple(sa.tasks), type(sa.tasks)()
    sa.out.in_flight.clear()
    core.to_state(sa, IkeState.CLOSED, reason)
    core.emit(IkeSaClosed(reason=reason, seconds=core.now - sa.created), sa)
    core.sas.pop(sa.local_spi, None)
    if sa.first_seen is not None:
        core.half_open.pop(sa.first_seen, None)
    core.free_id(sa.id)
    for key in [key for key, waiting in core.waiting.items() if waiting.sa is sa]:
        del core.waiting[key]
    for want in sa.wants:
        hold(core, want.tunnel)
        core.commands.append(ReleaseHeld(want.tunnel, reason))
    sa.wants.clear()
    for task in tasks:
        task.failed(core, sa, reason)
    alone = not any(other.session == sa.session for other in core.sas.values())
    if was_up and alone:
        core.emit(SessionDown(reason=reason, local=fact(sa.local_id) or UNSET, remote=fact(sa.remote_id) or UNSET), sa)


def hold(core: Core, tunnel: str) -> None:
    """After a failed attempt a tunnel waits before traffic starts another, twice as long each time."""
    failures, _ = core.holds.get(tunnel, (0, 0.0))
    wait = min(core.parameters.failure_hold * 2**failures, core.parameters.failure_hold_max)
    core.holds[tunnel] = (failures + 1, core.now + wait)


def held(core: Core, tunnel: str) -> bool:
    """Whether a tunnel still waits after a failure."""
    return core.holds.get(tunnel, (0, 0.0))[1] > core.now


def move_children(core: Core, old: IkeSa, new: IkeSa) -> int:
    """The Child SAs, and what was still to be done, go to the IKE SA that replaces another; returns how many."""
    ##= rfc7296#section-2.8
    ##% An IKE SA so
    ##% created inherits all of the original IKE SA's Child SAs
    moved = len(old.children)
    new.children.update(old.children)
    old.children.clear()
    new.tasks.extend(old.tasks)
    old.tasks.clear()
    new.wants += old.wants
    old.wants.clear()
    return moved
