"""Another configuration under SAs that run: which of them it keeps, and which it ends (RFC 7296 section 1.4.1)."""

from __future__ import annotations

from ikescope.config.model import Address, RouterConfig, Tunnel
from ikescope.engine.context import Core
from ikescope.engine.exchange import enqueue
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import ChildState, IkeState
from ikescope.engine.tasks.create_child import CreateChild
from ikescope.engine.tasks.informational import DeleteChild, delete_ike
from ikescope.errors import LocalError
from ikescope.events.life import CloseReason
from ikescope.policy.selectors import Selectors, subset, tunnel_selectors

_ENDED = (IkeState.DELETING, IkeState.CLOSED)
_CHANGED = "the tunnel was changed"
_UNCOVERED = "no selector of the tunnel covers it any more"
LOOK_AGAIN = 2.0
"""Seconds after which what was being negotiated is looked at."""


def follow(core: Core, before: RouterConfig, after: RouterConfig) -> None:
    """Delete Child SAs whose tunnel is gone, shut down, leads elsewhere, or has no selectors for them any more; and IKE
    SAs to where no tunnel leads any more. Those of other tunnels are not touched.
    """
    led = {ends for tunnel in before.tunnels.values() if (ends := _ends(tunnel)) is not None}
    leads = {ends for tunnel in after.tunnels.values() if (ends := _ends(tunnel)) is not None}
    for sa in tuple(core.sas.values()):
        to_peer = (sa.path.local, sa.peer)
        if to_peer in led and to_peer not in leads and sa.state not in _ENDED:
            sa.wants.clear()
            delete_ike(core, sa, CloseReason.SHUT_DOWN, "no tunnel leads to the peer any more")
    for sa in core.sas.values():
        if sa.state in _ENDED:
            continue
        for child in sa.children.values():
            if child.state in (ChildState.INSTALLED, ChildState.REKEYING):
                _follow_child(core, sa, child, before, after)
    _look_again(core)


def _look_again(core: Core) -> None:
    """What was being negotiated when the selectors changed is looked at when it stands."""
    if any(sa.established is None or sa.out.in_flight or sa.tasks for sa in core.sas.values()):
        core.timers.arm(core.now + LOOK_AGAIN, lambda: _narrowed_late(core))


def _narrowed_late(core: Core) -> None:
    for sa in core.sas.values():
        for child in sa.children.values() if sa.state not in _ENDED else ():
            tunnel = core.config.tunnels.get(child.tunnel)
            if child.state is not ChildState.INSTALLED or tunnel is None or tunnel.policy_acl is None:
                continue
            if not any(_covers(pair, child) for pair in _pairs(core.config, child.tunnel)):
                _delete(core, sa, child, _UNCOVERED)
    _look_again(core)


def _follow_child(core: Core, sa: IkeSa, child: ChildSa, before: RouterConfig, after: RouterConfig) -> None:
    was, tunnel = before.tunnels.get(child.tunnel), after.tunnels.get(child.tunnel)
    if tunnel is None or tunnel.shutdown or tunnel.ipsec_profile is None:
        _delete(core, sa, child, "")
    elif was is not None and (_ends(was), was.mode) != (_ends(tunnel), tunnel.mode):
        _delete(core, sa, child, _CHANGED)
    elif _pairs(before, child.tunnel) != (pairs := _pairs(after, child.tunnel)):
        index = _index(child, _pairs(before, child.tunnel), pairs)
        if index is None:
            _delete(core, sa, child, _UNCOVERED)
        else:
            child.index = index


def _delete(core: Core, sa: IkeSa, child: ChildSa, why: str) -> None:
    queued = [*(pending.task for pending in sa.out.in_flight.values()), *sa.tasks, *sa.later]
    if any(isinstance(task, DeleteChild) and task.spi == child.inbound for task in queued):
        return
    for rekey in [task for task in sa.tasks if isinstance(task, CreateChild) and task.old == child.inbound]:
        sa.tasks.remove(rekey)
    enqueue(core, sa, DeleteChild(child.inbound, CloseReason.SHUT_DOWN, why))


def _ends(tunnel: Tunnel) -> tuple[Address, Address] | None:
    """Where IKE for a tunnel runs; None for one that is not complete."""
    if tunnel.source_address is None or tunnel.destination is None or tunnel.ipsec_profile is None:
        return None
    return tunnel.source_address, tunnel.destination


def _pairs(config: RouterConfig, name: str) -> tuple[Selectors, ...]:
    tunnel = config.tunnels.get(name)
    try:
        return () if tunnel is None else tunnel_selectors(config, tunnel)
    except LocalError:
        return ()


def _index(child: ChildSa, before: tuple[Selectors, ...], after: tuple[Selectors, ...]) -> int | None:
    """The place that a Child SA's pair has now, or of the first that covers what was agreed; None for none."""
    own = before[child.index] if child.index < len(before) else None
    if own in after:
        return after.index(own)
    return next((at for at, pair in enumerate(after) if _covers(pair, child)), None)


def _covers(pair: Selectors, child: ChildSa) -> bool:
    return subset(child.local, pair.local) and subset(child.remote, pair.remote)
