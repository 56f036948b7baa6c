"""How many IKE SAs there may be: half-open ones, from one address, those we begin, all of them (IOS's limits)."""

from __future__ import annotations

from ikescope.config.model import Address
from ikescope.engine.context import Core
from ikescope.engine.states import IkeState
from ikescope.events.message import DropTrigger

UNPROVEN_PER_PEER = 10
"""Half-open IKE SAs from one address from which on it has to return a cookie."""
PROVEN_PER_PEER = 20
"""Half-open IKE SAs that one address which returned its cookie may have; the address cannot be forged."""

_NEGOTIATING = frozenset({IkeState.INIT_SENT, IkeState.AUTH_SENT})


def crowded(core: Core, remote: Address) -> bool:
    """Whether one address has so many half-open IKE SAs without a cookie that it has to return one."""
    return _from(core, remote, proven=False) >= UNPROVEN_PER_PEER


def incoming(core: Core, remote: Address, *, proven: bool) -> tuple[DropTrigger, int, int] | None:
    """Why no further IKE SA may begin from an address: what is full, how many there are, how many may be."""
    config, half_open = core.config, len(core.half_open)
    most = min(core.parameters.max_half_open, config.max_negotiating_in)
    if half_open >= most:
        return DropTrigger.HALF_OPEN_LIMIT, half_open, most
    if proven and (count := _from(core, remote, proven=True)) >= PROVEN_PER_PEER:
        return DropTrigger.HALF_OPEN_LIMIT, count, PROVEN_PER_PEER
    if config.max_sa is not None and len(core.sas) >= config.max_sa:
        return DropTrigger.SA_LIMIT, len(core.sas), config.max_sa
    return None


def outgoing(core: Core) -> str:
    """Why we may not begin a further IKE SA; empty if we may."""
    config = core.config
    begun = sum(sa.initiator and sa.state in _NEGOTIATING for sa in core.sas.values())
    if begun >= config.max_negotiating_out:
        return f"max-in-negotation-sa outgoing: {begun} IKE SAs are being negotiated, {config.max_negotiating_out} may"
    if config.max_sa is not None and len(core.sas) >= config.max_sa:
        return f"max-sa: {len(core.sas)} IKE SAs stand, {config.max_sa} may"
    return ""


def _from(core: Core, remote: Address, *, proven: bool) -> int:
    return sum(sa.path.remote == remote and sa.proven is proven for sa in core.half_open.values())
