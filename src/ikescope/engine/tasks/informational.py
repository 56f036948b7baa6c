"""INFORMATIONAL: delete, liveness, errors (RFC 7296 sections 1.4, 2.4, 2.21, 2.25)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ikescope.engine import children
from ikescope.engine.closing import close_ike
from ikescope.engine.collisions import Answer, Asked, Busy, answer
from ikescope.engine.context import Core
from ikescope.engine.exchange import enqueue, pump
from ikescope.engine.payloads import error_notify
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.engine.states import ChildState, IkeState
from ikescope.engine.succession import claim, inherit
from ikescope.engine.task import Inbound, Reply, Task
from ikescope.events.life import (
    AckProcessed,
    CloseReason,
    DeleteQueued,
    DeleteReceived,
    DeleteSent,
    LivenessAnswered,
    LivenessReceived,
    LivenessSent,
    SaChecked,
    TaskSkipped,
)
from ikescope.events.message import MessageSealing, ResponseRefused, WindowChecked
from ikescope.wire.delete import DeletePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType, ProtocolId

REDUNDANT = "redundant: two rekeys crossed; the peer deleted it"
_TWIN = (CloseReason.REDUNDANT, REDUNDANT)
_REPLACED = (CloseReason.REKEYED, "rekeyed")
SETTLED_SECONDS = 30.0
"""How old a Child SA is before a peer that does not know it is believed: packets and exchanges may cross."""


def delete_ike(core: Core, sa: IkeSa, cause: CloseReason, reason: str = "", *, child_spi: int | None = None) -> None:
    """Ask the peer to drop an IKE SA; it ends here when the peer answers, or does not.

    The reason in words is the cause's by default. `child_spi`: a Child SA of the same attempt goes first, as IOS does.
    """
    reason = reason or str(cause)
    if sa.state in (IkeState.DELETING, IkeState.CLOSED):
        return
    if sa.state not in (IkeState.ESTABLISHED, IkeState.REKEYING, IkeState.REKEYED):
        close_ike(core, sa, cause, reason)
        return
    core.emit(DeleteQueued(reason=reason, cause=cause), sa)
    sa.tasks.clear()
    last = DeleteIke(cause, reason)
    if child_spi is not None:
        enqueue(core, sa, DeleteChild(child_spi, cause, reason, unborn=True))
        last.prepare(core, sa)
    enqueue(core, sa, last)


class DeleteIke(Task):
    """Delete the IKE SA."""

    exchange = ExchangeType.INFORMATIONAL
    name = "delete IKE SA"

    def __init__(self, cause: CloseReason, reason: str = "") -> None:
        self.cause, self.reason = cause, reason or cause.value

    def prepare(self, core: Core, sa: IkeSa) -> None:
        """Say what is about to be sent while the peer's window is full, as IOS does."""
        self.told = True
        core.emit(DeleteSent(kind="ike", spis=()), sa)
        core.emit(MessageSealing(exchange=self.exchange, response=False, payloads=("DELETE",)), sa)
        core.emit(WindowChecked(in_flight=len(sa.out.in_flight), window=sa.out.size, fits=False), sa)
        core.emit(SaChecked(children=0, active=0), sa)

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload]:
        """D(IKE)."""
        for timer in sa.timers.values():
            timer.cancel()
        core.to_state(sa, IkeState.DELETING, self.reason)
        if not self.told:
            core.emit(DeleteSent(kind="ike", spis=()), sa)
        return [DeletePayload(ProtocolId.IKE)]

    def sent(self, core: Core, sa: IkeSa) -> None:
        """Nothing of this IKE SA goes on."""
        if not self.told:
            core.emit(SaChecked(children=len(sa.children), active=0), sa)

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """The peer agrees; whatever it says, the SA is gone."""
        core.emit(AckProcessed(), sa)
        close_ike(core, sa, self.cause, self.reason)

    def failed(self, core: Core, sa: IkeSa, why: str) -> None:
        """An answer that makes no sense is an answer."""
        close_ike(core, sa, self.cause, self.reason)


class DeleteChild(Task):
    """Delete one Child SA by our inbound SPI. `unborn`: the peer may have it though we never did."""

    exchange = ExchangeType.INFORMATIONAL
    name = "delete Child SA"

    def __init__(
        self, spi: int, cause: CloseReason, reason: str = "", *, linger: float = 0.0, unborn: bool = False
    ) -> None:
        self.spi, self.cause, self.reason = spi, cause, reason or cause.value
        self.linger, self.unborn = linger, unborn
        self.lane = None if unborn else f"delete {spi}"

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload] | None:
        """D(ESP, our inbound SPI)."""
        child = sa.children.get(self.spi)
        if child is None and not self.unborn:
            core.emit(TaskSkipped(task=self.name, why=f"{children.spi_text(self.spi)} is gone already"), sa)
            return None
        if child is not None:
            core.child_to_state(sa, child, ChildState.DELETING, self.reason)
        core.emit(DeleteSent(kind="child", spis=(children.spi_text(self.spi),)), sa)
        return [DeletePayload(ProtocolId.ESP, (self.spi.to_bytes(4, "big"),))]

    def sent(self, core: Core, sa: IkeSa) -> None:
        """What is left of the IKE SA's Child SAs."""
        if self.unborn:
            core.emit(SaChecked(children=len(sa.children), active=1), sa)

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """The peer dropped its half: both are gone."""
        core.emit(AckProcessed(), sa)
        child = sa.children.get(self.spi)
        if child is not None:
            children.remove(core, sa, child, self.cause, self.reason, linger=self.linger)
        core.emit(SaChecked(children=len(sa.children), active=1), sa)

    def failed(self, core: Core, sa: IkeSa, why: str) -> None:
        """An answer that makes no sense does not bring the Child SA back."""
        child = sa.children.get(self.spi)
        if child is not None and child.state is ChildState.DELETING:
            children.remove(core, sa, child, self.cause, self.reason)


class AuthFailure(Task):
    """Tell a peer that believes in the SA that it did not authenticate itself to us (RFC 7296 section 2.21.2)."""

    exchange = ExchangeType.INFORMATIONAL
    name = "report AUTHENTICATION_FAILED"
    bound = True

    def __init__(self, cause: CloseReason, why: str) -> None:
        self.cause, self.why = cause, why

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload]:
        """N(AUTHENTICATION_FAILED)."""
        core.to_state(sa, IkeState.DELETING, self.why)
        return [NotifyPayload(NotifyType.AUTHENTICATION_FAILED)]

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """Said and heard."""
        core.emit(AckProcessed(), sa)
        close_ike(core, sa, self.cause, self.why)

    def failed(self, core: Core, sa: IkeSa, why: str) -> None:
        """It is over whether the peer heard it or not."""
        close_ike(core, sa, self.cause, self.why)


class Liveness(Task):
    """An empty request that only asks for an answer."""

    exchange = ExchangeType.INFORMATIONAL
    name = "liveness check"
    bound = True
    lane = "liveness"

    def __init__(self, trigger: Literal["dpd", "operator", "hint"]) -> None:
        self.asked, self.trigger = 0.0, trigger

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload]:
        """Nothing at all, encrypted."""
        self.asked = core.now
        self.spacing = None if sa.dpd is None else sa.dpd.retry
        core.emit(LivenessSent(silent=core.now - sa.last_heard, trigger=self.trigger), sa)
        return []

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """It is."""
        core.emit(AckProcessed(), sa)
        error = error_notify(message.payloads)
        if error is not None:
            core.emit(ResponseRefused(exchange=self.exchange, notify=error.notify_type), sa, message.message_id)
            return
        core.emit(LivenessAnswered(milliseconds=(core.now - self.asked) * 1000), sa)


def respond(core: Core, sa: IkeSa, message: Inbound) -> Reply:
    """Answer a peer's INFORMATIONAL request."""
    failure = error_notify(message.payloads)
    if failure is not None and failure.notify_type == NotifyType.AUTHENTICATION_FAILED:
        why = "the peer says that we did not authenticate ourselves (AUTHENTICATION_FAILED)"
        core.emit(ResponseRefused(exchange=ExchangeType.IKE_AUTH, notify=failure.notify_type), sa, message.message_id)
        return Reply([], lambda: close_ike(core, sa, CloseReason.PEER_REFUSED, why))
    deletes = [payload for payload in message.payloads if isinstance(payload, DeletePayload)]
    if any(delete.protocol == ProtocolId.IKE for delete in deletes):
        return _ike_deleted(core, sa)
    if not message.payloads:
        core.emit(LivenessReceived(), sa)
    gone: list[int] = []
    for delete in deletes:
        if delete.protocol == ProtocolId.ESP:
            claim(core, sa)
            gone += _children_deleted(core, sa, delete)
    if not gone and failure is not None and failure.notify_type == NotifyType.INVALID_SPI:
        return Reply([], lambda: _unknown_to_peer(core, sa, failure))
    if not gone:
        return Reply([])
    return Reply([DeletePayload(ProtocolId.ESP, tuple(spi.to_bytes(4, "big") for spi in gone))])


def _unknown_to_peer(core: Core, sa: IkeSa, notify: NotifyPayload) -> None:
    """The peer has not got the ESP SA that we send by (RFC 7296 section 1.5): without it the next packet makes another.

    The message came under the IKE SA, so that it is no forgery.
    """
    child = sa.child_by_outbound(int.from_bytes(notify.data[:4], "big"))
    if child is None or child.state is not ChildState.INSTALLED or core.now - child.created < SETTLED_SECONDS:
        return
    why = f"the peer does not have SPI {children.spi_text(child.outbound)} (INVALID_SPI)"
    enqueue(core, sa, DeleteChild(child.inbound, CloseReason.PEER_FORGOT, why))


def _ike_deleted(core: Core, sa: IkeSa) -> Reply:
    crossing, sa.crossing = sa.crossing, None
    successor = None if crossing is None else crossing.successor
    cause, why = CloseReason.PEER_DELETED, "the peer deleted it"
    if _is_redundant(sa):
        cause, why = CloseReason.REDUNDANT, REDUNDANT
    elif sa.state is IkeState.REKEYED:
        cause, why = CloseReason.REKEYED, "rekeyed; the peer deleted the old IKE SA"
    elif _authenticated_anew(core, sa):
        cause, why = CloseReason.REAUTHENTICATED, "reauthenticated; the peer deleted the old IKE SA"
    elif sa.state is IkeState.REKEYING and isinstance(successor, IkeSa) and successor.state is not IkeState.CLOSED:
        # The peer's rekey won, or ours never came: our own, still in flight, ends with the old SA.
        cause, why = CloseReason.REKEYED, "rekeyed; the peer deleted the old IKE SA"
        inherit(core, sa, successor)
        pump(core, successor)
    ##= rfc7296#section-1.4.1
    ##% The response to a request
    ##% that deletes the IKE SA is an empty INFORMATIONAL response.
    return Reply([], lambda: _gone(core, sa, cause, why))


def _authenticated_anew(core: Core, sa: IkeSa) -> bool:
    """Whether the peer has made another IKE SA since, with the same identities."""
    who, born = (sa.local_id, sa.remote_id), sa.established or 0.0
    return any(
        not other.initiator and other.established is not None and other.authenticated > born
        for other in core.sas.values()
        if other is not sa and (other.local_id, other.remote_id) == who
    )


def _is_redundant(sa: IkeSa) -> bool:
    """Whether the peer made this IKE SA in a rekey that crossed ours, and it did not survive, or cannot now."""
    crossing = None if sa.replaces is None else sa.replaces.crossing
    return (sa.state is IkeState.REKEYED and sa.replaced_by is None) or (
        crossing is not None and crossing.successor is sa
    )


def _gone(core: Core, sa: IkeSa, cause: CloseReason, why: str) -> None:
    core.emit(DeleteReceived(kind="ike", spis=()), sa)
    core.emit(SaChecked(children=len(sa.children), active=0, by="peer"), sa)
    close_ike(core, sa, cause, why)


def _children_deleted(core: Core, sa: IkeSa, delete: DeletePayload) -> list[int]:
    """Take out the peer's Child SAs; our own SPIs to name in the answer."""
    spis = [int.from_bytes(spi, "big") for spi in delete.spis]
    unknown = tuple(children.spi_text(spi) for spi in spis if sa.child_by_outbound(spi) is None)
    core.emit(DeleteReceived(kind="child", spis=tuple(children.spi_text(spi) for spi in spis), unknown=unknown), sa)
    named: list[int] = []
    for spi in spis:
        child = sa.child_by_outbound(spi)
        if child is None:
            if any(pending.exchange == ExchangeType.CREATE_CHILD_SA for pending in sa.out.in_flight.values()):
                # It may be the Child SA that a response still on its way tells of.
                sa.early_deletes.add(spi)
            continue
        ##= rfc7296#section-1.4.1
        ##% If a node receives a
        ##% delete request for SAs for which it has already issued a delete
        ##% request, it MUST delete the outgoing SAs while processing the request
        ##% and the incoming SAs while processing the response.
        busy = Busy.CLOSING_CHILD if child.state is ChildState.DELETING else Busy.NOTHING
        if answer(Asked.CLOSE_CHILD, busy) is Answer.WITHOUT_DELETE:
            children.remove_outbound(core, sa, child)
        else:
            named.append(child.inbound)
            _end_child(core, sa, child)
    return named


def _end_child(core: Core, sa: IkeSa, child: ChildSa) -> None:
    successor = _successor(sa, child)
    if successor is not None:
        if child.replaced_by is None:
            children.succeed(core, sa, child, successor)
        children.switch(core, sa, successor)
        twins = child.replaces is not None and child.replaces == successor.replaces
        cause, why = _TWIN if twins else _REPLACED
        children.remove(core, sa, child, cause, why, linger=core.parameters.overlap)
    elif child.state is ChildState.REKEYED:
        children.remove(core, sa, child, *_REPLACED)
    else:
        rivals = [crossing.successor for spi, crossing in sa.child_crossings.items() if spi in sa.children]
        cause, why = _TWIN if child in rivals else (CloseReason.PEER_DELETED, "")
        children.remove(core, sa, child, cause, why)


def _successor(sa: IkeSa, child: ChildSa) -> ChildSa | None:
    if child.replaced_by is not None:
        return sa.children.get(child.replaced_by)
    crossing = sa.child_crossings.get(child.inbound)
    successor = None if crossing is None else crossing.successor
    return successor if isinstance(successor, ChildSa) and successor.state is not ChildState.CLOSED else None
