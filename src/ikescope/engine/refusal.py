"""The event of a refused offer, with its nearest miss, the same for IKE and ESP."""

from __future__ import annotations

from collections.abc import Sequence

from ikescope.engine.context import Core
from ikescope.engine.sa import IkeSa
from ikescope.events import UNSET
from ikescope.events.negotiation import ProposalRefused
from ikescope.policy.proposals import Refusal, facts
from ikescope.wire.registry import ProtocolId
from ikescope.wire.sa import Proposal


def emit_refusal(
    core: Core,
    sa: IkeSa,
    protocol: ProtocolId,
    offered: Sequence[Proposal],
    expected: Sequence[Proposal],
    refusal: Refusal,
) -> None:
    """Say what was offered, what was expected, and what parts the two where they come closest."""
    core.emit(
        ProposalRefused(
            protocol=protocol,
            received=facts(offered),
            expected=facts(expected),
            nearest=UNSET if refusal.nearest is None else refusal.nearest,
            axis=UNSET if refusal.axis is None else refusal.axis,
            found=refusal.found,
            wanted=refusal.wanted,
        ),
        sa,
    )
