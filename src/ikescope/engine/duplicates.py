"""Two IKE SAs to one peer, because both ends began at once: one is enough."""

from __future__ import annotations

from ikescope.engine import children
from ikescope.engine.collisions import ours_is_redundant
from ikescope.engine.context import Core
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import ChildState, IkeState
from ikescope.engine.tasks.informational import delete_ike
from ikescope.events.life import CloseReason, DuplicateChecked, DuplicateSettled

SETTLE_SECONDS = 2.0
"""How long both stay, so that the peer surely has the one that will."""


def check_duplicates(core: Core, sa: IkeSa) -> None:
    """Say how many other IKE SAs to the same identity stand; where both ends began at once, one of them goes."""
    others = [other for other in core.sas.values() if _same_peer(sa, other) and other.state is IkeState.ESTABLISHED]
    core.emit(DuplicateChecked(found=len(others)), sa)
    if any(_at_once(sa, other) for other in others):
        core.timers.arm(core.now + SETTLE_SECONDS, lambda: _settle(core, sa))


def _same_peer(sa: IkeSa, other: IkeSa) -> bool:
    same = (other.path.local, other.path.remote) == (sa.path.local, sa.path.remote)
    return other is not sa and same and (other.local_id, other.remote_id) == (sa.local_id, sa.remote_id)


def _at_once(sa: IkeSa, other: IkeSa) -> bool:
    """Whether each was begun, by different ends, before the other stood."""
    if sa.initiator == other.initiator or sa.replaces is not None or other.replaces is not None:
        return False
    return max(sa.created, other.created) <= min(sa.established or 0.0, other.established or 0.0)


def _settle(core: Core, sa: IkeSa) -> None:
    """RFC 7296 has no rule for this; we take the one of section 2.8.1: who made the redundant one closes it."""
    for other in tuple(core.sas.values()):
        if not (_same_peer(sa, other) and _at_once(sa, other)):
            continue
        ours, theirs = (sa, other) if sa.initiator else (other, sa)
        standing = ours.state is IkeState.ESTABLISHED and theirs.state is IkeState.ESTABLISHED
        if standing and ours_is_redundant((ours.nonce_i, ours.nonce_r), (theirs.nonce_i, theirs.nonce_r)):
            _yield(core, ours, theirs)
            return


def _yield(core: Core, ours: IkeSa, theirs: IkeSa) -> None:
    pairs = [(child, _equal(child, theirs)) for child in ours.children.values() if child.state is ChildState.INSTALLED]
    if all(survivor is not None for _, survivor in pairs):
        for child, survivor in pairs:
            assert survivor is not None
            child.outbound_active = survivor.outbound_active = False
            children.switch(core, theirs, survivor)
        kept, gone = theirs.spi_i.hex(), ours.spi_i.hex()
        core.emit(
            DuplicateSettled(kept=kept, closed=gone, why="ours has the lowest nonce, and theirs all we need"), ours
        )
        delete_ike(core, ours, CloseReason.REDUNDANT, "redundant: both ends began at once")
    else:
        core.emit(DuplicateSettled(kept=ours.spi_i.hex(), why="ours has Child SAs that theirs lacks"), ours)


def _equal(child: ChildSa, sa: IkeSa) -> ChildSa | None:
    """What carries the same: for the same resource, or any of them where that has none."""
    same = [
        other
        for other in sa.children.values()
        if (other.tunnel, other.index) == (child.tunnel, child.index) and other.state is ChildState.INSTALLED
    ]
    return min(same, key=lambda other: (other.resource != child.resource, other.resource or 0), default=None)
