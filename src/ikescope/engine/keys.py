"""An IKE SA gets its keys."""

from __future__ import annotations

from ikescope.crypto.envelope import Envelope
from ikescope.crypto.keys import IkeKeys
from ikescope.engine.commands import KeysReady
from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.events.negotiation import KeysDerived


def adopt_keys(core: Core, sa: IkeSa, keys: IkeKeys, *, rekey: bool) -> None:
    """Set the seven keys; the envelope is ready afterwards."""
    assert sa.suite is not None
    sa.keys = keys
    sa.envelope = Envelope(sa.suite, keys, sa.initiator)
    lengths = {f"SK_{name[3:]}": len(getattr(keys, name)) for name in IkeKeys.__slots__}
    core.emit(KeysDerived(rekey=rekey, prf=sa.suite.prf.id, lengths=lengths), sa)
    core.commands.append(KeysReady(sa.spi_i, sa.spi_r, sa.suite, keys))
