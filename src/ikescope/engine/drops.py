"""A datagram is discarded, and the stream says why."""

from __future__ import annotations

from ikescope.engine.commands import Destination
from ikescope.engine.context import Core
from ikescope.engine.exchange import text
from ikescope.engine.sa import IkeSa
from ikescope.events import UNSET
from ikescope.events.message import DropTrigger, MessageDropped


def drop(
    core: Core,
    trigger: DropTrigger,
    path: Destination,
    octets: bytes,
    *,
    sa: IkeSa | None = None,
    found: str | None = None,
    wanted: str | None = None,
) -> None:
    """Discard a datagram and say why; in a flood of such datagrams they are only counted."""
    if not core.gate.spend():
        return
    core.emit(
        MessageDropped(
            trigger=trigger,
            local=text(path.local, path.local_port),
            remote=text(path.remote, path.remote_port),
            size=len(octets),
            found=UNSET if found is None else found,
            wanted=UNSET if wanted is None else wanted,
            octets=octets if core.parameters.record_octets and len(octets) <= 4096 else UNSET,
        ),
        sa,
    )
