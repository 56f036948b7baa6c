"""One SA takes another's place: what it inherits, what the old one still waits for (RFC 7296 sections 2.8, 2.18)."""

from __future__ import annotations

from ikescope.engine.closing import close_ike
from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.engine.task import Task
from ikescope.events import UNSET
from ikescope.events.life import CloseReason, IkeSaRekeyed


def inherit(core: Core, old: IkeSa, new: IkeSa) -> None:
    """The new IKE SA takes the Child SAs over, and what was still to be done; the old one only waits for its end."""
    old.replaced_by = new
    stop_clocks(old)
    core.to_state(old, IkeState.REKEYED, "replaced")
    ##= rfc7296#section-2.8
    ##% An IKE SA so
    ##% created inherits all of the original IKE SA's Child SAs
    moved = len(old.children)
    new.children.update(old.children)
    old.children.clear()
    new.child_crossings.update(old.child_crossings)
    old.child_crossings.clear()
    new.wants += old.wants
    old.wants.clear()
    new.tasks.extend(_still_wanted(old))
    new.later += old.later
    old.later.clear()
    new.reauthenticates, old.reauthenticates = old.reauthenticates, None
    core.emit(
        IkeSaRekeyed(
            old_spi_i=old.spi_i.hex(),
            old_spi_r=old.spi_r.hex(),
            new_spi_i=new.spi_i.hex(),
            new_spi_r=new.spi_r.hex(),
            initiator=new.initiator,
            children=moved,
            lifetime=new.lifetime,
            rekey_in=new.timers["soft"].when - core.now if "soft" in new.timers else UNSET,
        ),
        new,
    )


def _still_wanted(old: IkeSa) -> list[Task]:
    """The tasks that waited, without those that the replacement has made pointless."""
    tasks = [task for task in old.tasks if not task.bound]
    old.tasks.clear()
    return tasks


def stop_clocks(sa: IkeSa) -> None:
    """Forget every deadline of an IKE SA that is no longer used."""
    for timer in sa.timers.values():
        timer.cancel()
    sa.timers.clear()


def wait_for_delete(core: Core, sa: IkeSa) -> None:
    """A peer that never deletes the old IKE SA does not keep it for ever."""
    _end_after(core, sa, core.parameters.orphan, "rekeyed; the peer never deleted it")


def _end_after(core: Core, sa: IkeSa, seconds: float, why: str) -> None:
    end = core.now + seconds
    sa.timers["orphan"] = core.timers.arm(end, lambda: close_ike(core, sa, CloseReason.ORPHANED, why))


def claim(core: Core, sa: IkeSa) -> None:
    """The peer puts the IKE SA that it made in a crossing rekey to use: it knows already that this one survives."""
    old = sa.replaces
    if old is None or old.crossing is None or old.crossing.successor is not sa or old.state is not IkeState.REKEYING:
        return
    old.crossing = None
    inherit(core, old, sa)
    wait_for_delete(core, old)


def make_redundant(core: Core, sa: IkeSa) -> None:
    """Of two IKE SAs from crossing rekeys, the one that the peer made and has to delete is not used here."""
    if sa.state is IkeState.ESTABLISHED:
        stop_clocks(sa)
        core.to_state(sa, IkeState.REKEYED, "redundant: two rekeys crossed")
        _end_after(core, sa, core.parameters.redundant, "redundant: two rekeys crossed; the peer never deleted it")
