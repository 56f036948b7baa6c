"""NAT between the ends: where a peer now is, and selectors as each end sees them (RFC 7296 sections 2.23, 2.23.1)."""

from __future__ import annotations

from ikescope.engine.commands import Destination, UpdatePath
from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import AUTHENTICATED
from ikescope.events.life import PathChanged
from ikescope.policy.selectors import Selectors, substitute


def follow(core: Core, sa: IkeSa, path: Destination) -> None:
    """A new, verified message came by another path: answer there from now on, its Child SAs too.

    Only who is not behind a NAT does so. Until IKE_AUTH is over, both ends follow the initiator to port 4500.
    """
    ##= rfc7296#section-2.23
    ##% A host behind a NAT SHOULD NOT
    ##% do this type of dynamic address update if a validated packet has
    ##% different port and/or address values
    if path == sa.path:
        return
    if sa.nat_local and sa.state in AUTHENTICATED:
        if path != sa.passed_by:
            sa.passed_by = path
            _tell(core, sa, path, "this end stands behind a NAT itself")
        return
    _tell(core, sa, path, "")
    before, sa.path = sa.path, path
    successor = sa.replaced_by
    if successor is not None and successor.path == before:
        follow(core, successor, path)
    for child in sa.children.values():
        core.commands.append(UpdatePath(child.outbound, child.tunnel, path, child.udp))


def _tell(core: Core, sa: IkeSa, path: Destination, why: str) -> None:
    local, remote = sa.ends
    core.emit(
        PathChanged(
            local_before=local,
            remote_before=remote,
            local=f"{path.local}:{path.local_port}",
            remote=f"{path.remote}:{path.remote_port}",
            followed=not why,
            why=why,
        ),
        sa,
    )


def as_seen_here(sa: IkeSa, pair: Selectors) -> Selectors:
    """The peer's selectors for transport mode with the addresses that this end sees, where a NAT stands between.

    ##= rfc7296#section-2.23.1
    ##% If the client is behind a NAT, substitute the IP address in the
    ##% TSi entries with the remote address of the IKE SA.
    """
    remote = sa.peer or sa.path.remote
    return Selectors(
        substitute(pair.local, sa.path.local) if sa.nat_local else pair.local,
        substitute(pair.remote, remote) if sa.nat_remote else pair.remote,
    )
