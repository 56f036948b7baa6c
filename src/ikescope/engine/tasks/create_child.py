"""CREATE_CHILD_SA: a new Child SA, or the replacement of one (RFC 7296 sections 1.3.1, 1.3.3, 2.8, 2.25)."""

from __future__ import annotations

from collections.abc import Sequence

from ikescope.engine import children, resources
from ikescope.engine.closing import hold
from ikescope.engine.collisions import Answer, Asked, Busy, answer, ours_is_redundant
from ikescope.engine.commands import Connect, ReleaseHeld
from ikescope.engine.context import Core
from ikescope.engine.errors import ChildSaNotFound, NoProposalChosen, TemporaryFailure
from ikescope.engine.exchange import enqueue, retry_later
from ikescope.engine.negotiate import Agreed, Offer, TransportRefused, inbound_spi, make_child, response_payloads
from ikescope.engine.negotiate import answer as answer_child
from ikescope.engine.payloads import error_notify, need, notify_of
from ikescope.engine.refusal import refuse_wish
from ikescope.engine.sa import ChildSa, Crossing, IkeSa
from ikescope.engine.states import USABLE, ChildState, IkeState
from ikescope.engine.succession import claim
from ikescope.engine.task import Inbound, Reply, Task
from ikescope.engine.tasks.informational import DeleteChild, delete_ike
from ikescope.errors import LocalError
from ikescope.events.life import ChildRefused, ChildStarted, CloseReason, RekeyReceived, RekeyStarted, TaskSkipped
from ikescope.events.message import InvalidKeAnswered, MessageBuilding, MessageProcessing, ResponseRefused
from ikescope.events.negotiation import ExchangeCompleted, ExchangeFailed, KeyExchangeComputed, ProposalSent
from ikescope.policy.peers import Connection, connection
from ikescope.policy.proposals import ACCEPTED_GROUPS, facts, offer_esp
from ikescope.policy.selectors import Selectors
from ikescope.wire.ke import KePayload
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import (
    ExchangeType,
    KeyExchangeId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformType,
)
from ikescope.wire.sa import Proposal, SaPayload

NONCE_OCTETS = 32
KE = TransformType.KE


class NotAlike(NoProposalChosen):
    """A Child SA for another resource differs from the first in more than its keys."""

    section = "RFC 9611"


class CreateChild(Task):
    """Ask for a Child SA; `old` is the inbound SPI of the one it replaces."""

    exchange = ExchangeType.CREATE_CHILD_SA
    name = "create Child SA"

    def __init__(
        self,
        want: Connect,
        *,
        old: int | None = None,
        trigger: str = "traffic",
        group: int | None = None,
        single: bool = False,
        further: resources.Further | None = None,
    ) -> None:
        self.want, self.old, self.trigger, self.group, self.single = want, old, trigger, group, single
        self.further = further
        self.resource = None if further is None else further.resource
        self.lane = f"create {want.tunnel} {want.index}" if old is None else None
        self.offer: Offer | None = None
        self.nonce = b""

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload] | None:
        """[N(REKEY_SA)] SA Ni [KEi] TSi TSr [N(USE_TRANSPORT_MODE)]."""
        old = None if self.old is None else sa.children.get(self.old)
        if not self._wanted(core, sa, old):
            what = "its Child SA is being replaced or gone" if self.old is not None else "its Child SA stands"
            core.emit(TaskSkipped(task=self.name, why=what if sa.state in USABLE else f"the IKE SA is {sa.state}"), sa)
            return None
        try:
            conn = connection(core.config, self.want.tunnel)
        except LocalError as error:
            core.emit(ExchangeFailed(exchange=self.exchange, why=str(error)), sa)
            return None
        if old is not None:
            core.child_to_state(sa, old, ChildState.REKEYING, self.trigger)
            spi_a, spi_b = children.spi_text(old.inbound), children.spi_text(old.outbound)
            core.emit(RekeyStarted(kind="child", spi_a=spi_a, spi_b=spi_b, trigger=self.trigger), sa)
        else:
            core.emit(ChildStarted(tunnel=self.want.tunnel, trigger=self.trigger), sa)
        self.nonce = core.random(NONCE_OCTETS)
        if not any(isinstance(pending.task, CreateChild) for pending in sa.out.in_flight.values()):
            sa.early_deletes.clear()
        group = self.group or _group(conn, old)
        core.emit(MessageBuilding(exchange=self.exchange, response=False), sa)
        if old is not None:
            self.resource = old.resource
        self.offer = Offer(core, conn, self.want, group=group, single=self.single, resource=self.resource)
        if old is not None:
            # A rekey proposes what stands, without a packet's own selector (RFC 7296 section 2.9.2).
            self.offer.selectors = Selectors(old.local, old.remote)
            self.offer.transport = old.transport
            self.offer.resource = old.resource
        elif self.further is not None:
            self.offer.selectors, self.offer.transport = self.further.selectors, self.further.transport
        if self.offer.exchange is not None and group is not None:
            public = self.offer.exchange.public
            core.emit(KeyExchangeComputed(part="public", group=group, octets=len(public)), sa)
        self.offer.emit(core, sa)
        return self._payloads(old)

    def _wanted(self, core: Core, sa: IkeSa, old: ChildSa | None) -> bool:
        if sa.state not in USABLE:
            return False
        if self.old is not None:
            return old is not None and old.state is ChildState.INSTALLED
        if self.further is not None:
            standing = resources.taken(sa, self.want.tunnel, self.want.index, self.further.selectors)
            return bool(standing) and self.further.resource not in standing
        # What is authenticated anew gets Child SAs of its own beside those of the IKE SA that ends.
        under = None if sa.reauthenticates is None else sa
        return children.find(core, self.want.tunnel, self.want.index, self.want.packet, under=under) is None

    def _payloads(self, old: ChildSa | None) -> list[Payload]:
        assert self.offer is not None
        payloads: list[Payload] = []
        if old is not None:
            spi = old.inbound.to_bytes(4, "big")
            payloads.append(NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, spi))
        payloads += [SaPayload(self.offer.proposals), NoncePayload(self.nonce)]
        if self.offer.exchange is not None:
            payloads.append(KePayload(KeyExchangeId.of(self.offer.exchange.group), self.offer.exchange.public))
        payloads += self.offer.ts()
        if self.offer.transport:
            payloads.append(NotifyPayload(NotifyType.USE_TRANSPORT_MODE))
        return payloads

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """Install what was agreed and, in a rekey, delete what it replaces."""
        core.emit(MessageProcessing(exchange=self.exchange, response=True), sa)
        error = error_notify(message.payloads)
        if error is not None:
            self._refused(core, sa, error, message.message_id)
            return
        assert self.offer is not None
        nonces = (self.nonce, need(message.payloads, PayloadType.NONCE, NoncePayload).data)
        early = sa.early_deletes
        try:
            agreed = self.offer.accept(core, sa, message.payloads, message.message_id)
            self._compare(sa, agreed)
        except (TransportRefused, NotAlike) as refused:
            ##= rfc7296#section-1.3.1
            ##% If this is unacceptable to the initiator, the initiator MUST delete the SA.
            enqueue(core, sa, DeleteChild(self.offer.spi, CloseReason.NOT_AGREED, str(refused), unborn=True))
            self.failed(core, sa, str(refused))
            return
        old = None if self.old is None else sa.children.get(self.old)
        if agreed.outbound in early:
            early.discard(agreed.outbound)
            self._deleted_early(core, sa, old)
            return
        # One that the peer deleted meanwhile is replaced all the same if the peer's own rekey of it crossed ours.
        replaces = self.old if old is not None or self.old in sa.child_crossings else None
        spi, number = self.offer.spi, self.resource
        child = make_child(core, sa, agreed, spi, initiator=True, nonces=nonces, replaces=replaces, resource=number)
        self.offer = None
        awaits = children.install(core, sa, child, agreed.secret)
        core.await_plane(
            sa, awaits, lambda: self._stands(core, sa, child), lambda why: self._fell(core, sa, child, why)
        )

    def _compare(self, sa: IkeSa, agreed: Agreed) -> None:
        """Raise NotAlike where another Child SA was agreed than the one beside which this is to stand."""
        further = self.further
        if further is None:
            return
        if not further.fits(agreed.suite, agreed.selectors, transport=agreed.transport):
            raise NotAlike("it is not like the Child SA beside which it was asked for")
        # One that the peer asked for meanwhile may have our number.
        self.resource = resources.lowest_free(
            resources.taken(sa, agreed.connection.tunnel.name, agreed.index, further.selectors)
        )

    def _deleted_early(self, core: Core, sa: IkeSa, old: ChildSa | None) -> None:
        """The peer made the Child SA and deleted it again, and its Delete overtook the response."""
        core.emit(ExchangeFailed(exchange=self.exchange, why="the peer deleted the Child SA before it stood here"), sa)
        self._undo(core, sa)
        self._yield(core, sa)
        if old is not None and old.state is ChildState.INSTALLED:
            why = "rekeyed; the peer deleted what replaced it"
            enqueue(core, sa, DeleteChild(old.inbound, CloseReason.PEER_DELETED, why))
        elif self.first:
            core.commands.append(ReleaseHeld(self.want.tunnel, "the peer deleted the Child SA"))

    def _stands(self, core: Core, sa: IkeSa, child: ChildSa) -> None:
        sa = children.holder(core, child) or sa
        sa.refusals = 0
        children.announce(core, sa, child, self.exchange)
        core.emit(ExchangeCompleted(exchange=self.exchange), sa)
        if not children.covers(child, self.want.packet):
            children.no_more(core, child.tunnel, child.index)
        if self.old is None:
            children.switch(core, sa, child)
            fill(core, sa, child)
        else:
            self._replace(core, sa, sa.children.get(self.old), child)

    def _fell(self, core: Core, sa: IkeSa, child: ChildSa, why: str) -> None:
        """The plane takes no SA: the peer is told, and what was there before goes on."""
        sa = children.holder(core, child) or sa
        enqueue(core, sa, DeleteChild(child.inbound, CloseReason.PLANE, f"the data plane refused it: {why}"))
        self.failed(core, sa, f"the data plane refused it: {why}")
        if self.old is not None and self.old in sa.children:
            self._later(core, sa)

    def _replace(self, core: Core, sa: IkeSa, old: ChildSa | None, child: ChildSa) -> None:
        crossing = sa.child_crossings.pop(self.old or 0, None)
        other = None if crossing is None else crossing.successor
        if crossing is not None and ours_is_redundant(child.nonces, crossing.nonces):
            ##= rfc7296#section-2.8.1
            ##% The
            ##% node that initiated the surviving rekeyed SA should delete the
            ##% replaced SA after the new one is established.
            if old is not None and isinstance(other, ChildSa):
                children.succeed(core, sa, old, other)
            enqueue(core, sa, DeleteChild(child.inbound, CloseReason.REDUNDANT, "redundant: two rekeys crossed"))
            return
        children.switch(core, sa, child)
        if isinstance(other, ChildSa) and other.state is ChildState.INSTALLED:
            children.make_redundant(core, sa, other, child)
        if old is not None and old.state is not ChildState.CLOSED:
            children.succeed(core, sa, old, child)
            over = DeleteChild(old.inbound, CloseReason.REKEYED, "rekeyed", linger=core.parameters.overlap)
            enqueue(core, sa, over)

    def _refused(self, core: Core, sa: IkeSa, error: NotifyPayload, message_id: int) -> None:
        kind = error.notify_type
        core.emit(ResponseRefused(exchange=self.exchange, notify=kind, data=error.data.hex()), sa, message_id)
        old = None if self.old is None else sa.children.get(self.old)
        group = None if self.group is not None else self._wanted_group(error)
        offered = 0 if self.offer is None or self.offer.exchange is None else self.offer.exchange.group
        crossed = self.old is not None and self.old in sa.child_crossings
        if kind == NotifyType.INVALID_KE_PAYLOAD and group is None and self.offer is not None:
            proposed = offered_groups(self.offer.proposals) or ACCEPTED_GROUPS
            refuse_wish(core, sa, ProtocolId.ESP, error.data, offered, proposed)
        self._undo(core, sa)
        if crossed:
            self._yield(core, sa)
            if kind != NotifyType.CHILD_SA_NOT_FOUND:
                return
        if group is not None:
            core.emit(InvalidKeAnswered(exchange=self.exchange, offered=offered, wanted=group), sa, message_id)
            enqueue(core, sa, self._again(group), first=True)
        elif kind == NotifyType.SINGLE_PAIR_REQUIRED and self.want.packet is not None and not self.single:
            enqueue(core, sa, CreateChild(self.want, trigger=kind.name, single=True), first=True)
        elif kind == NotifyType.CHILD_SA_NOT_FOUND and old is not None:
            ##= rfc7296#section-2.25
            ##% A peer that receives a CHILD_SA_NOT_FOUND notification
            ##% SHOULD silently delete the Child SA (if it still exists) and send a
            ##% request to create a new Child SA from scratch
            children.remove(core, sa, old, CloseReason.PEER_FORGOT, "the peer no longer has it (CHILD_SA_NOT_FOUND)")
            if not crossed:
                enqueue(core, sa, CreateChild(self.want, trigger="lost Child SA", further=_like(sa, old)))
        elif kind == NotifyType.TEMPORARY_FAILURE:
            if self.old is None or old is not None:
                self._later(core, sa)
        elif kind != NotifyType.CHILD_SA_NOT_FOUND or self.old is None:
            tunnel = self.want.tunnel
            core.emit(ChildRefused(by="peer", notify=kind, exchange=self.exchange, tunnel=tunnel), sa)
            if self.first:
                hold(core, tunnel)
                core.commands.append(ReleaseHeld(tunnel, f"the peer answered {kind}"))
            if kind == NotifyType.NO_ADDITIONAL_SAS and not sa.children:
                ##= rfc7296#section-4
                ##% If the responder rejects the CREATE_CHILD_SA request with a
                ##% NO_ADDITIONAL_SAS notification, the implementation MUST be capable of
                ##% instead deleting the old SA and creating a new one.
                why = f"the peer answered {kind}, and no Child SA is left"
                delete_ike(core, sa, CloseReason.PEER_REFUSED, why)

    def _again(self, group: int | None) -> CreateChild:
        return CreateChild(
            self.want, old=self.old, trigger=self.trigger, group=group, single=self.single, further=self.further
        )

    @property
    def first(self) -> bool:
        """Whether nothing carries its traffic meanwhile: it replaces no Child SA, and none like it stands."""
        return self.old is None and self.further is None

    def _wanted_group(self, error: NotifyPayload) -> int | None:
        """The group that the peer wants instead, if it is another of those that we proposed.

        Where we have no wish of our own, we go along with any that we would take as responder.
        """
        if error.notify_type != NotifyType.INVALID_KE_PAYLOAD or self.offer is None:
            return None
        group = int.from_bytes(error.data, "big")
        if self.offer.exchange is None:
            return group if group in ACCEPTED_GROUPS else None
        return group if group in offered_groups(self.offer.proposals) and group != self.offer.exchange.group else None

    def _yield(self, core: Core, sa: IkeSa) -> None:
        """Our rekey came to nothing and the peer's was answered meanwhile: the peer's is the one that counts."""
        crossing = sa.child_crossings.pop(self.old or 0, None)
        old = sa.children.get(self.old or 0)
        peers = None if crossing is None else crossing.successor
        if isinstance(peers, ChildSa) and peers.state is not ChildState.CLOSED:
            if old is not None:
                children.succeed(core, sa, old, peers)
            else:
                children.switch(core, sa, peers)

    def _later(self, core: Core, sa: IkeSa) -> None:
        again = self._again(self.group)

        def retry() -> None:
            holder = next((one for one in core.sas.values() if again in one.later), None)
            if holder is not None:
                holder.later.remove(again)
                enqueue(core, holder, again)

        sa.later.append(again)
        old = sa.children.get(self.old or 0)
        retry_later(core, sa, self.name, retry, None if old is None else old.hard)

    def _undo(self, core: Core, sa: IkeSa) -> None:
        if self.offer is not None:
            core.spis.release(self.offer.spi)
            self.offer = None
        old = None if self.old is None else sa.children.get(self.old)
        if old is not None and old.state is ChildState.REKEYING:
            core.child_to_state(sa, old, ChildState.INSTALLED, "the rekey came to nothing")

    def failed(self, core: Core, sa: IkeSa, why: str) -> None:
        """The old Child SA stays what it was."""
        core.emit(ExchangeFailed(exchange=self.exchange, why=why), sa)
        self._undo(core, sa)
        if self.old is not None:
            self._yield(core, sa)
        elif self.first and sa.state is not IkeState.CLOSED:
            hold(core, self.want.tunnel)
            core.commands.append(ReleaseHeld(self.want.tunnel, why))


def fill(core: Core, sa: IkeSa, child: ChildSa) -> None:
    """A Child SA stands: where there are to be more like it, and it is ours to begin, ask for the next (RFC 9611)."""
    if child.resource is None:
        return
    try:
        wanted = connection(core.config, child.tunnel).ipsec.per_resource_sas
    except LocalError:
        return
    further = resources.next_after(sa, child, wanted)
    if further is not None:
        want = Connect(tunnel=child.tunnel, index=child.index, trigger=resources.TRIGGER)
        enqueue(core, sa, CreateChild(want, trigger=resources.TRIGGER, further=further))


def _like(sa: IkeSa, gone: ChildSa) -> resources.Further | None:
    """The Child SA for a resource that has none any more, beside others; None where it was the only one."""
    pair = Selectors(gone.local, gone.remote)
    if gone.resource is None or not resources.taken(sa, gone.tunnel, gone.index, pair):
        return None
    return resources.Further(gone.resource, pair, gone.transport, gone.suite)


def offered_groups(proposals: Sequence[Proposal]) -> frozenset[int]:
    """The key exchange groups of proposals."""
    return frozenset(int(one.id) for proposal in proposals for one in proposal.transforms if one.type == KE)


def _group(conn: Connection, old: ChildSa | None) -> int | None:
    """The group to begin with: what was agreed for the Child SA to rekey, if the configuration still allows it."""
    wanted = conn.ipsec.pfs_group
    agreed = None if old is None else old.suite.group
    allowed = agreed is not None and (wanted is None or agreed in offered_groups(offer_esp(conn.sets, b"", wanted)))
    return agreed if allowed else wanted


def respond(core: Core, sa: IkeSa, message: Inbound) -> Reply:
    """Answer a peer's request for a new Child SA, or for the replacement of one."""
    payloads = message.payloads
    claim(core, sa)
    rekey = notify_of(payloads, NotifyType.REKEY_SA)
    old = None
    if rekey is None:
        core.emit(RekeyReceived(kind="new"), sa)
        _permit(sa, Asked.CREATE_CHILD, Busy.NOTHING)
    else:
        spi = int.from_bytes(rekey.spi, "big")
        old = sa.child_by_outbound(spi)
        inbound = "" if old is None else children.spi_text(old.inbound)
        core.emit(RekeyReceived(kind="child", spi_a=inbound, spi_b=children.spi_text(spi)), sa)
        _permit(sa, Asked.REKEY_CHILD, _child_busy(sa, old), rekey.spi)
        if old is not None:
            children.claimed(core, sa, old)
    core.emit(MessageProcessing(exchange=ExchangeType.CREATE_CHILD_SA, response=False), sa)
    nonce = need(payloads, PayloadType.NONCE, NoncePayload).data
    agreed = answer_child(core, sa, payloads, old=old)
    return _agree(core, sa, agreed, nonce, old)


def _child_busy(sa: IkeSa, old: ChildSa | None) -> Busy:
    if old is None:
        # It may be the one that a response still on its way tells of.
        awaited = any(pending.exchange == ExchangeType.CREATE_CHILD_SA for pending in sa.out.in_flight.values())
        return Busy.CHILD_EXCHANGE if awaited else Busy.NO_SUCH_CHILD
    if old.state in (ChildState.DELETING, ChildState.REKEYED):
        return Busy.CLOSING_CHILD
    return Busy.REKEYING_CHILD if old.state is ChildState.REKEYING else Busy.NOTHING


def _permit(sa: IkeSa, asked: Asked, busy: Busy, spi: bytes = b"") -> None:
    """Raise what RFC 7296 section 2.25 answers while we are busy."""
    if sa.state is IkeState.REKEYING:
        busy = Busy.REKEYING_IKE
    elif sa.state in (IkeState.DELETING, IkeState.REKEYED):
        busy = Busy.CLOSING_IKE
    verdict = answer(asked, busy)
    if verdict is Answer.TEMPORARY_FAILURE:
        raise TemporaryFailure(f"the peer wants to {asked} while we are {busy}")
    if verdict is Answer.CHILD_SA_NOT_FOUND:
        raise ChildSaNotFound(f"the peer wants to {asked}: {busy}", spi=spi)


def _agree(core: Core, sa: IkeSa, agreed: Agreed, nonce_i: bytes, old: ChildSa | None) -> Reply:
    spi, nonce_r = inbound_spi(core, agreed, old), core.random(NONCE_OCTETS)
    replaces = None if old is None else old.inbound
    child = make_child(core, sa, agreed, spi, initiator=False, nonces=(nonce_i, nonce_r), replaces=replaces)
    core.emit(MessageBuilding(exchange=ExchangeType.CREATE_CHILD_SA, response=True), sa)
    core.emit(
        ProposalSent(protocol=ProtocolId.ESP, response=True, initial=False, proposals=facts((agreed.chosen,))), sa
    )

    def after() -> None:
        children.announce(core, sa, child, ExchangeType.CREATE_CHILD_SA)
        core.emit(ExchangeCompleted(exchange=ExchangeType.CREATE_CHILD_SA), sa)
        if old is None or old.state is ChildState.CLOSED:
            children.switch(core, sa, child)
        elif old.state is ChildState.REKEYING:
            sa.child_crossings[old.inbound] = Crossing(child.nonces, child)
        else:
            children.succeed(core, sa, old, child)

    def refused(why: str) -> Reply:
        children.remove(core, sa, child, CloseReason.PLANE, why)
        core.emit(
            ChildRefused(
                by="local",
                notify=NotifyType.NO_PROPOSAL_CHOSEN,
                exchange=ExchangeType.CREATE_CHILD_SA,
                tunnel=child.tunnel,
            ),
            sa,
        )
        return Reply([NotifyPayload(NotifyType.NO_PROPOSAL_CHOSEN)])

    awaits = children.install(core, sa, child, agreed.secret)
    return Reply(response_payloads(agreed, spi, nonce_r), after, awaits, refused)
