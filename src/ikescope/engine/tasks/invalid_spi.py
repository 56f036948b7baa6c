"""ESP packets for an SA that is not here: INVALID_SPI to who has an IKE SA with us (RFC 7296 section 1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from ikescope.config.model import Address
from ikescope.engine.context import Core
from ikescope.engine.exchange import enqueue
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.engine.task import Inbound, Task
from ikescope.events.life import AckProcessed
from ikescope.events.router import EspDropped
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType

UNKNOWN = "no SA has this SPI"
"""The reason of such a drop."""
TELL_SECONDS = 10.0
"""How long after an INVALID_SPI the next one goes to the same peer at the earliest."""
TRANSITION_SECONDS = 30.0
"""How long after an SA's removal, and before an SA's coming, packets on their way are nobody's fault."""


class InvalidSpi(Task):
    """Tell the peer that it sends ESP with an SPI that we do not have."""

    exchange = ExchangeType.INFORMATIONAL
    name = "report INVALID_SPI"
    bound = True
    lane = "invalid SPI"

    def __init__(self, spi: int) -> None:
        self.spi = spi

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload]:
        """N(INVALID_SPI), the SPI as its data."""
        ##= rfc7296#section-1.5
        ##% The Notification Data contains the SPI of
        ##% the invalid packet.
        return [NotifyPayload(NotifyType.INVALID_SPI, self.spi.to_bytes(4, "big"))]

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """Said and heard."""
        core.emit(AckProcessed(), sa)


def dropped(core: Core, event: EspDropped) -> None:
    """The data plane discarded a packet; one with an SPI that nobody here has may be told to its sender."""
    if event.reason == UNKNOWN and event.spi and event.source:
        _tell(core, int(event.spi, 16), ip_address(event.source))


def _tell(core: Core, spi: int, source: Address) -> None:
    """Now and then, where an IKE SA stands between us. Without one nothing is sent: it could be forged, and so could
    what it would answer.
    """
    if spi in core.spis_gone and core.now - core.spis_gone[spi] < TRANSITION_SECONDS:
        return
    for sa in core.sas.values():
        if sa.path.remote != source or sa.state is not IkeState.ESTABLISHED:
            continue
        coming = any(pending.exchange == ExchangeType.CREATE_CHILD_SA for pending in sa.out.in_flight.values())
        if not coming and core.now - sa.told_invalid_spi >= TELL_SECONDS:
            sa.told_invalid_spi = core.now
            enqueue(core, sa, InvalidSpi(spi))
        return
