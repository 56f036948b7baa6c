"""CREATE_CHILD_SA: the replacement of the IKE SA itself (RFC 7296 sections 1.3.2, 2.8.2, 2.18, 2.25.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ikescope.crypto.key_exchange import KeyExchange, generate
from ikescope.crypto.keys import rekeyed_ike_keys
from ikescope.crypto.suites import IkeSuite, ike_suite
from ikescope.engine.collisions import Answer, Asked, Busy, answer, ours_is_redundant
from ikescope.engine.context import Core
from ikescope.engine.errors import InvalidSyntax, NoProposalChosen, TemporaryFailure
from ikescope.engine.exchange import enqueue, pump, retry_later
from ikescope.engine.keys import adopt_keys
from ikescope.engine.lifetimes import start_clocks
from ikescope.engine.payloads import error_notify, need
from ikescope.engine.refusal import checked, emit_refusal, refuse_group, refuse_wish
from ikescope.engine.sa import Crossing, IkeSa
from ikescope.engine.states import USABLE, IkeState
from ikescope.engine.succession import claim, inherit, make_redundant, wait_for_delete
from ikescope.engine.task import Inbound, Reply, Task
from ikescope.engine.tasks.create_child import CreateChild
from ikescope.engine.tasks.informational import DeleteChild, DeleteIke
from ikescope.engine.window import RequestWindow, ResponseWindow
from ikescope.events.life import CloseReason, RekeyReceived, RekeyStarted, TaskSkipped
from ikescope.events.message import InvalidKeAnswered, MessageBuilding, MessageProcessing, ResponseRefused
from ikescope.events.negotiation import (
    ExchangeCompleted,
    ExchangeFailed,
    KeyExchangeComputed,
    ProposalChosen,
    ProposalSent,
)
from ikescope.policy.proposals import Refusal, choose_ike, facts, offer_ike
from ikescope.wire.ke import KePayload
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, KeyExchangeId, NotifyType, PayloadType, ProtocolId
from ikescope.wire.sa import Proposal, SaPayload

NONCE_OCTETS = 32


def successor(
    core: Core, old: IkeSa, *, initiator: bool, spis: tuple[bytes, bytes], suite: IkeSuite, nonces: tuple[bytes, bytes]
) -> IkeSa:
    """The IKE SA that replaces another; `initiator` of the rekey is the initiator of the new SA."""
    assert old.profile is not None
    return IkeSa(
        id=core.new_id(),
        session=old.session,
        initiator=initiator,
        path=old.path,
        spi_i=spis[0],
        spi_r=spis[1],
        created=core.now,
        state=IkeState.ESTABLISHED,
        out=RequestWindow(),
        into=ResponseWindow(core.parameters.window),
        proposals=old.proposals,
        profile=core.config.profiles.get(old.profile.name, old.profile),
        suite=suite,
        nonce_i=nonces[0],
        nonce_r=nonces[1],
        local_id=old.local_id,
        remote_id=old.remote_id,
        last_heard=core.now,
        peer=old.peer,
        nat_local=old.nat_local,
        nat_remote=old.nat_remote,
        encapsulated=old.encapsulated,
        peer_is_ikescope=old.peer_is_ikescope,
        # What was agreed in IKE_SA_INIT holds for the IKE SAs that follow (RFC 7383 section 2.3).
        fragment_mtu=old.fragment_mtu,
        authenticated=old.authenticated,
        overdue=old.overdue,
        replaces=old,
    )


def activate(core: Core, old: IkeSa, new: IkeSa, secret: bytes) -> None:
    """Derive the new SA's keys and put it into the table."""
    assert old.suite is not None and old.keys is not None and new.suite is not None
    keys = rekeyed_ike_keys(
        old.suite.prf, old.keys.sk_d, new.suite, secret, new.nonce_i, new.nonce_r, new.spi_i, new.spi_r
    )
    adopt_keys(core, new, keys, rekey=True)
    core.sas[new.local_spi] = new
    start_clocks(core, new, announce=False)


class RekeyIke(Task):
    """The initiator's side."""

    exchange = ExchangeType.CREATE_CHILD_SA
    name = "rekey IKE SA"
    bound = True

    def __init__(self, trigger: str, group: int | None = None, spi: bytes = b"") -> None:
        self.trigger, self.group, self.spi = trigger, group, spi
        self.nonce = b""
        self.offered: tuple[Proposal, ...] = ()
        self.key: KeyExchange | None = None

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload] | None:
        """SA Ni KEi, with a new SPI in the proposal."""
        if sa.state is not IkeState.ESTABLISHED:
            core.emit(TaskSkipped(task=self.name, why=f"the IKE SA is {sa.state}"), sa)
            return None
        assert sa.suite is not None
        core.to_state(sa, IkeState.REKEYING, self.trigger)
        core.emit(RekeyStarted(kind="ike", spi_a=sa.spi_i.hex(), spi_b=sa.spi_r.hex(), trigger=self.trigger), sa)
        self.spi, self.nonce = self.spi or core.new_spi(), core.random(NONCE_OCTETS)
        group = self.group or sa.suite.group
        self.key = generate(group, core.random)
        core.emit(KeyExchangeComputed(part="public", group=group, octets=len(self.key.public)), sa)
        core.emit(MessageBuilding(exchange=self.exchange, response=False), sa)
        self.offered = offer_ike(sa.proposals, self.spi, group)
        core.emit(
            ProposalSent(protocol=ProtocolId.IKE, response=False, initial=False, proposals=facts(self.offered)), sa
        )
        return [SaPayload(self.offered), NoncePayload(self.nonce), KePayload(KeyExchangeId.of(group), self.key.public)]

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """The new IKE SA stands; the old one is deleted by us."""
        core.emit(MessageProcessing(exchange=self.exchange, response=True), sa)
        error = error_notify(message.payloads)
        if error is not None:
            self._refused(core, sa, error, message.message_id)
            return
        new, secret = self._agree(core, sa, message.payloads)
        activate(core, sa, new, secret)
        core.emit(ExchangeCompleted(exchange=self.exchange), sa)
        if sa.state is not IkeState.REKEYING:
            # The peer's own rekey has won already; who made the redundant SA closes it.
            enqueue(core, new, DeleteIke(CloseReason.REDUNDANT, "redundant: two rekeys crossed"))
            return
        crossing, other = sa.crossing, _rival(sa)
        redundant = crossing is not None and ours_is_redundant((new.nonce_i, new.nonce_r), crossing.nonces)
        if redundant and other is not None:
            inherit(core, sa, other)
            enqueue(core, new, DeleteIke(CloseReason.REDUNDANT, "redundant: two rekeys crossed"))
            wait_for_delete(core, sa)
            pump(core, other)
            return
        if other is not None:
            make_redundant(core, other)
        inherit(core, sa, new)
        enqueue(core, sa, DeleteIke(CloseReason.REKEYED, "rekeyed"))
        pump(core, new)

    def _agree(self, core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> tuple[IkeSa, bytes]:
        answered = need(payloads, PayloadType.SA, SaPayload).proposals
        chosen = checked(core, sa, ProtocolId.IKE, self.offered, answered)
        suite = ike_suite(chosen.transforms)
        ke = need(payloads, PayloadType.KE, KePayload)
        assert self.key is not None
        if suite.group != self.key.group or ke.group != self.key.group or len(chosen.spi) != 8:
            raise InvalidSyntax(f"KE payload's group: had {int(ke.group)}, wanted {self.key.group}")
        core.emit(
            ProposalChosen(protocol=ProtocolId.IKE, by="peer", offered=facts(self.offered), chosen=facts((chosen,))[0]),
            sa,
        )
        secret = self.key.shared_secret(ke.data)
        core.emit(KeyExchangeComputed(part="secret", group=self.key.group, octets=len(secret)), sa)
        nonce_r = need(payloads, PayloadType.NONCE, NoncePayload).data
        spis, nonces = (self.spi, chosen.spi), (self.nonce, nonce_r)
        return successor(core, sa, initiator=True, spis=spis, suite=suite, nonces=nonces), secret

    def _refused(self, core: Core, sa: IkeSa, error: NotifyPayload, message_id: int) -> None:
        kind = error.notify_type
        core.emit(ResponseRefused(exchange=self.exchange, notify=kind, data=error.data.hex()), sa, message_id)
        if sa.state is not IkeState.REKEYING:
            return
        core.to_state(sa, IkeState.ESTABLISHED, f"the peer answered {kind}")
        assert self.key is not None
        if kind == NotifyType.INVALID_KE_PAYLOAD and len(error.data) == 2 and self.group is None:
            group = int.from_bytes(error.data, "big")
            offered = {one for proposal in sa.proposals for one in proposal.groups}
            if group in offered:
                core.emit(
                    InvalidKeAnswered(exchange=self.exchange, offered=self.key.group, wanted=group), sa, message_id
                )
                enqueue(core, sa, RekeyIke(self.trigger, group, self.spi), first=True)
                return
            refuse_wish(core, sa, ProtocolId.IKE, error.data, self.key.group, offered)
        if not self._yield(core, sa):
            retry_later(core, sa, self.name, _retry(core, sa, self.trigger), sa.timers.get("hard"))

    def _yield(self, core: Core, sa: IkeSa) -> bool:
        """Where our rekey came to nothing and the peer's was answered meanwhile, the peer's is the one that counts."""
        other = _rival(sa)
        if other is None:
            return False
        inherit(core, sa, other)
        wait_for_delete(core, sa)
        pump(core, other)
        return True

    def failed(self, core: Core, sa: IkeSa, why: str) -> None:
        """The old SA stays what it was."""
        core.emit(ExchangeFailed(exchange=self.exchange, why=why), sa)
        if sa.state is IkeState.REKEYING:
            core.to_state(sa, IkeState.ESTABLISHED, why)
            self._yield(core, sa)


def _rival(sa: IkeSa) -> IkeSa | None:
    """The IKE SA that the peer's crossing rekey made, or what has replaced it since; None where it has ended."""
    crossing, sa.crossing = sa.crossing, None
    rival = None if crossing is None else crossing.successor
    if not isinstance(rival, IkeSa):
        return None
    while rival.replaced_by is not None and rival.state in (IkeState.REKEYED, IkeState.CLOSED):
        rival = rival.replaced_by
    return None if rival.state is IkeState.CLOSED else rival


def _retry(core: Core, sa: IkeSa, trigger: str) -> Callable[[], None]:
    def again() -> None:
        if sa.state in USABLE:
            enqueue(core, sa, RekeyIke(trigger))

    return again


def busy_with(core: Core, sa: IkeSa) -> Busy:
    """What we are doing, as RFC 7296 section 2.25.2 looks at it."""
    if sa.state in (IkeState.DELETING, IkeState.REKEYED):
        return Busy.CLOSING_IKE
    exchanging = any(isinstance(pending.task, CreateChild | DeleteChild) for pending in sa.out.in_flight.values())
    if exchanging or core.waits(sa):
        return Busy.CHILD_EXCHANGE
    return Busy.REKEYING_IKE if sa.state is IkeState.REKEYING else Busy.NOTHING


def respond(core: Core, sa: IkeSa, message: Inbound) -> Reply:
    """The responder's side."""
    core.emit(RekeyReceived(kind="ike", spi_a=sa.spi_i.hex(), spi_b=sa.spi_r.hex()), sa)
    claim(core, sa)
    busy = busy_with(core, sa)
    if answer(Asked.REKEY_IKE, busy) is Answer.TEMPORARY_FAILURE:
        raise TemporaryFailure(f"the peer wants to {Asked.REKEY_IKE} while we are {busy}")
    core.emit(MessageProcessing(exchange=ExchangeType.CREATE_CHILD_SA, response=False), sa)
    payloads = message.payloads
    offered = need(payloads, PayloadType.SA, SaPayload).proposals
    ke = need(payloads, PayloadType.KE, KePayload)
    choice = choose_ike(offered, sa.proposals, spi_octets=8)
    if isinstance(choice, Refusal):
        emit_refusal(core, sa, ProtocolId.IKE, offered, offer_ike(sa.proposals), choice)
        raise NoProposalChosen(choice.why)
    suite = ike_suite(choice.proposal.transforms)
    if ke.group != suite.group:
        raise refuse_group(core, sa, ProtocolId.IKE, ke, suite.group)
    chosen = facts((choice.proposal,))[0]
    core.emit(
        ProposalChosen(protocol=ProtocolId.IKE, by="local", offered=facts(offered), chosen=chosen, why=choice.why), sa
    )
    key = generate(suite.group, core.random)
    core.emit(KeyExchangeComputed(part="public", group=suite.group, octets=len(key.public)), sa)
    secret = key.shared_secret(ke.data)
    core.emit(KeyExchangeComputed(part="secret", group=suite.group, octets=len(secret)), sa)
    nonces = (need(payloads, PayloadType.NONCE, NoncePayload).data, core.random(NONCE_OCTETS))
    spi = core.new_spi()
    new = successor(core, sa, initiator=False, spis=(choice.proposal.spi, spi), suite=suite, nonces=nonces)
    answered = choice.answer(spi)
    core.emit(MessageBuilding(exchange=ExchangeType.CREATE_CHILD_SA, response=True), sa)
    core.emit(ProposalSent(protocol=ProtocolId.IKE, response=True, initial=False, proposals=facts((answered,))), sa)
    activate(core, sa, new, secret)
    crossed = sa.state is IkeState.REKEYING
    body = [SaPayload((answered,)), NoncePayload(nonces[1]), KePayload(KeyExchangeId.of(suite.group), key.public)]
    return Reply(body, lambda: _answered(core, sa, new, nonces, crossed))


def _answered(core: Core, sa: IkeSa, new: IkeSa, nonces: tuple[bytes, bytes], crossed: bool) -> None:
    core.emit(ExchangeCompleted(exchange=ExchangeType.CREATE_CHILD_SA), sa)
    if crossed:
        sa.crossing = Crossing(nonces, new)
        return
    inherit(core, sa, new)
    wait_for_delete(core, sa)
    pump(core, new)
