"""The event of a refused offer, with its nearest miss, the same for IKE and ESP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ikescope.engine.context import Core
from ikescope.engine.errors import InvalidKePayload
from ikescope.engine.sa import IkeSa
from ikescope.errors import PeerError
from ikescope.events import UNSET
from ikescope.events.message import RequestRefused
from ikescope.events.negotiation import ChoiceRefused, GroupRefused, ProposalRefused
from ikescope.policy.proposals import ChosenMismatch, Refusal, check_chosen, facts
from ikescope.wire.ke import KePayload
from ikescope.wire.registry import ExchangeType, NotifyType, ProtocolId
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
            ours=refusal.ours or UNSET,
            tried=refusal.tried,
        ),
        sa,
    )


def emit_request_refused(core: Core, sa: IkeSa, exchange: ExchangeType, refusal: PeerError) -> None:
    """Say with which notify a request of the peer's is answered, and why."""
    notify = NotifyType.of(refusal.notify or NotifyType.NO_PROPOSAL_CHOSEN)
    core.emit(RequestRefused(exchange=exchange, notify=notify, why=str(refusal), section=refusal.section), sa)


def checked(
    core: Core, sa: IkeSa, protocol: ProtocolId, offered: Sequence[Proposal], answer: Sequence[Proposal]
) -> Proposal:
    """The responder's choice out of our offer; where it is none, ChosenMismatch, and the event says what parts them."""
    try:
        return check_chosen(offered, answer)
    except ChosenMismatch as error:
        axis, compared = error.facts["axis"], error.facts
        core.emit(
            ChoiceRefused(
                protocol=protocol,
                offered=facts(offered),
                chosen=facts(answer),
                what=str(compared["what"]),
                found=str(compared["found"]),
                wanted=str(compared["wanted"]),
                axis=axis if isinstance(axis, int) else UNSET,
            ),
            sa,
        )
        raise


def refuse_group(core: Core, sa: IkeSa, protocol: ProtocolId, ke: KePayload | None, wanted: int) -> InvalidKePayload:
    """The refusal of a KE payload whose group is not the chosen one, and its event (RFC 7296 section 1.3)."""
    found = UNSET if ke is None else int(ke.group)
    core.emit(GroupRefused(protocol=protocol, by="local", found=found, wanted=wanted, allowed=(wanted,)), sa)
    had = "none" if ke is None else int(ke.group)
    return InvalidKePayload(f"KE payload's group: had {had}, wanted {wanted}", data=wanted.to_bytes(2, "big"))


def refuse_wish(
    core: Core, sa: IkeSa, protocol: ProtocolId, wanted: bytes, offered: int, allowed: Iterable[int]
) -> None:
    """Tell that the peer's INVALID_KE_PAYLOAD names no group that we can go along with."""
    core.emit(
        GroupRefused(
            protocol=protocol,
            by="peer",
            found=offered or UNSET,
            wanted=int.from_bytes(wanted[:2], "big"),
            allowed=tuple(sorted(allowed)),
        ),
        sa,
    )
