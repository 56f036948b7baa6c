"""IKE_AUTH: identities, proof of the key, the first Child SA (RFC 7296 sections 1.2, 2.15, 2.21.2)."""

from __future__ import annotations

from collections.abc import Sequence

from ikescope import __version__
from ikescope.config.model import Identity, Profile
from ikescope.crypto.auth import psk_auth, signed_octets, verify
from ikescope.engine import children, lifetimes
from ikescope.engine.closing import close_ike, fact, hold
from ikescope.engine.commands import Connect, ReleaseHeld
from ikescope.engine.context import Core
from ikescope.engine.duplicates import check_duplicates
from ikescope.engine.errors import AuthenticationFailed, InvalidSyntax, NoProposalChosen, cause_of
from ikescope.engine.exchange import enqueue
from ikescope.engine.lookups import emit_policy, key_of, policy_of
from ikescope.engine.near_keys import try_near_keys
from ikescope.engine.negotiate import Agreed, Offer, answer, inbound_spi, make_child, response_payloads
from ikescope.engine.payloads import error_notify, need, notify_of, optional
from ikescope.engine.refusal import emit_request_refused
from ikescope.engine.sa import IkeSa
from ikescope.engine.task import Inbound, Reply, Task
from ikescope.engine.tasks.create_child import CreateChild, fill
from ikescope.engine.tasks.informational import AuthFailure, DeleteChild, delete_ike
from ikescope.errors import PeerError
from ikescope.events import UNSET, AttributeFact, IdentityFact, Tried
from ikescope.events.life import ChildRefused, CloseReason
from ikescope.events.message import MessageBuilding, MessageProcessing, ResponseRefused
from ikescope.events.negotiation import (
    AuthArrived,
    AuthGenerated,
    AuthRefused,
    AuthVerified,
    AuthWaiting,
    ChildlessAuth,
    ConfigReceived,
    ConfigSent,
    ExchangeFailed,
    IdentitySent,
    InitialContactReceived,
    PeerIdentified,
    PolicyVerified,
    ProfileMatched,
    ProfileNotFound,
    ProposalSent,
)
from ikescope.policy.peers import (
    Connection,
    admits,
    find_profile,
    identity_from_wire,
    identity_to_wire,
    local_identity,
)
from ikescope.policy.proposals import facts
from ikescope.wire.auth import AuthPayload
from ikescope.wire.cp import CpPayload, CpValue
from ikescope.wire.identification import IdPayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import (
    AuthMethod,
    CpAttribute,
    CpType,
    ExchangeType,
    IdType,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ikescope.wire.sa import SaPayload

SHARED_KEY = AuthMethod.SHARED_KEY_MIC


def wait_for_auth(core: Core, sa: IkeSa) -> None:
    """The responder gives the initiator some seconds for IKE_AUTH."""
    core.emit(AuthWaiting(seconds=core.parameters.auth_wait), sa)
    arm_auth(core, sa)


def arm_auth(core: Core, sa: IkeSa) -> None:
    """Close the half-open IKE SA when the time is up, counted from now."""
    timer = sa.timers.pop("auth", None)
    if timer is not None:
        timer.cancel()
    sa.timers["auth"] = core.timers.arm(core.now + core.parameters.auth_wait, lambda: _no_auth(core, sa))


def _no_auth(core: Core, sa: IkeSa) -> None:
    why = "the IKE_AUTH request did not come in time"
    core.emit(ExchangeFailed(exchange=ExchangeType.IKE_AUTH, why=why), sa)
    close_ike(core, sa, CloseReason.NEVER_CAME, why)


def _identity(sa: IkeSa) -> Identity:
    assert sa.profile is not None
    return local_identity(sa.profile, sa.path.local)


def _id_payload(kind: PayloadType, identity: Identity) -> IdPayload:
    id_type, data = identity_to_wire(identity)
    return IdPayload(IdType.of(id_type), data, kind=kind)


def own_auth(core: Core, sa: IkeSa, id_payload: IdPayload) -> AuthPayload:
    """Our AUTH payload, and the event of its making; AuthenticationFailed where no key stands for this peer."""
    assert sa.profile is not None and sa.suite is not None and sa.keys is not None and sa.local_id is not None
    key = key_of(core, sa, "local")
    if key is None:
        raise AuthenticationFailed(f"no pre-shared key for {sa.path.remote} in profile {sa.profile.name}")
    told = AuthGenerated(
        method=SHARED_KEY,
        identity=fact(sa.local_id) or IdentityFact(0, ""),
        key_length=len(key.secret),
        keyring_block=UNSET if key.block is None else key.block,
        peer=UNSET if sa.initiator else fact(sa.remote_id) or UNSET,
    )
    core.emit(told, sa)
    message, nonce, sk_p = (
        (sa.request, sa.nonce_r, sa.keys.sk_pi) if sa.initiator else (sa.response, sa.nonce_i, sa.keys.sk_pr)
    )
    octets = signed_octets(sa.suite.prf, message, nonce, sk_p, id_payload.body)
    return AuthPayload(SHARED_KEY, psk_auth(sa.suite.prf, key.secret.octets, octets))


def check_auth(core: Core, sa: IkeSa, payloads: Sequence[Payload], id_payload: IdPayload) -> None:
    """Verify the peer's AUTH; AuthenticationFailed if it does not."""
    assert sa.profile is not None and sa.suite is not None and sa.keys is not None and sa.remote_id is not None
    auth = need(payloads, PayloadType.AUTH, AuthPayload)
    who = fact(sa.remote_id) or IdentityFact(0, "")
    if auth.method != SHARED_KEY:
        profile = sa.profile.name
        core.emit(AuthRefused(method=auth.method, identity=who, wanted=SHARED_KEY, profile=profile), sa)
        raise AuthenticationFailed(f"authentication method: had {auth.method}, wanted {SHARED_KEY}")
    key = key_of(core, sa, "remote")
    if key is None:
        core.emit(AuthRefused(method=auth.method, identity=who, profile=sa.profile.name), sa)
        raise AuthenticationFailed(f"no pre-shared key for {sa.remote_id.value} in profile {sa.profile.name}")
    message, nonce, sk_p = (
        (sa.response, sa.nonce_i, sa.keys.sk_pr) if sa.initiator else (sa.request, sa.nonce_r, sa.keys.sk_pi)
    )
    octets = signed_octets(sa.suite.prf, message, nonce, sk_p, id_payload.body)
    if not verify(auth.data, psk_auth(sa.suite.prf, key.secret.octets, octets)):
        block, length, name = UNSET if key.block is None else key.block, len(key.secret), sa.profile.name
        told = AuthRefused(method=auth.method, identity=who, key_length=length, profile=name, keyring_block=block)
        core.emit(told, sa)
        try_near_keys(core, sa, key, octets, auth.data)
        raise AuthenticationFailed("the peer's AUTH value does not verify: the pre-shared keys differ")
    core.emit(AuthVerified(method=auth.method, identity=who, key_length=len(key.secret)), sa)


def _identify(core: Core, sa: IkeSa, id_payload: IdPayload, kind: str) -> None:
    """Note who the peer says it is, and search policy and profile by it."""
    sa.remote_id = identity_from_wire(id_payload.id_type, id_payload.data)
    who = fact(sa.remote_id) or IdentityFact(0, "")
    core.emit(PeerIdentified(kind="IDi" if kind == "IDi" else "IDr", identity=who), sa)
    emit_policy(core, sa.path.local, policy_of(core, sa))
    profile = _profile(core, sa, sa.remote_id, who)
    sa.profile = profile
    core.emit(PolicyVerified(), sa)


def _profile(core: Core, sa: IkeSa, identity: Identity, who: IdentityFact) -> Profile:
    if sa.initiator:
        assert sa.profile is not None
        verdict = admits(sa.profile, identity, sa.path.local, sa.path.remote)
        profile = sa.profile if verdict.taken else None
        tried: tuple[Tried, ...] = (verdict,)
    else:
        profile, tried = find_profile(core.config, identity, sa.path.local, sa.path.remote)
    if profile is None:
        core.emit(ProfileNotFound(identity=who, tried=tried), sa)
        raise AuthenticationFailed(f"no IKEv2 profile matches the peer's identity {identity.value}")
    core.emit(ProfileMatched(profile=profile.name, tried=tried), sa)
    return profile


def session_notifies(core: Core, transport: bool, *, initial: bool, child: bool = True) -> list[Payload]:
    """What IOS puts last, in its order; without a `child`, what is about the IKE SA."""
    kinds = [NotifyType.INITIAL_CONTACT] if initial else []
    if transport:
        kinds.append(NotifyType.USE_TRANSPORT_MODE)
    notifies: list[Payload] = [NotifyPayload(kind) for kind in kinds]
    window = core.parameters.window.to_bytes(4, "big")
    notifies.append(NotifyPayload(NotifyType.SET_WINDOW_SIZE, window))
    if not child:
        return notifies
    notifies.append(NotifyPayload(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED))
    notifies.append(NotifyPayload(NotifyType.NON_FIRST_FRAGMENTS_ALSO))
    return notifies


def _take_window(core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> None:
    notify = notify_of(payloads, NotifyType.SET_WINDOW_SIZE)
    if notify is not None and len(notify.data) == 4:
        sa.out.size = max(sa.out.size, min(int.from_bytes(notify.data, "big"), 200))
    sa.into.size = core.parameters.window


def _cp_facts(payload: CpPayload) -> tuple[AttributeFact, ...]:
    rows = []
    for attribute in payload.attributes:
        shown = attribute.value.decode("ascii", "replace") if attribute.type == CpAttribute.APPLICATION_VERSION else ""
        rows.append(AttributeFact(int(attribute.type), attribute.type.label, len(attribute.value), shown))
    return tuple(rows)


class IkeAuth(Task):
    """The initiator's side."""

    exchange = ExchangeType.IKE_AUTH
    name = "IKE_AUTH"

    def __init__(self, connection: Connection, want: Connect) -> None:
        self.connection, self.want = connection, want
        self.offer: Offer | None = None

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload] | None:
        """IDi AUTH [CP] SA TSi TSr and the notifies, in IOS's order."""
        assert sa.profile is not None
        config: list[Payload] = []
        if sa.profile.config_exchange_request:
            request = CpPayload(CpType.CFG_REQUEST, (CpValue(CpAttribute.APPLICATION_VERSION),))
            core.emit(ConfigSent(kind=CpType.CFG_REQUEST, attributes=_cp_facts(request)), sa)
            config.append(request)
        sa.local_id = _identity(sa)
        identity = _id_payload(PayloadType.IDI, sa.local_id)
        try:
            auth = own_auth(core, sa, identity)
        except AuthenticationFailed as error:
            core.emit(ExchangeFailed(exchange=self.exchange, why=str(error)), sa)
            close_ike(core, sa, CloseReason.CONFIGURATION, str(error))
            return None
        core.emit(MessageBuilding(exchange=self.exchange, response=False), sa)
        core.emit(IdentitySent(kind="IDi", identity=fact(sa.local_id) or IdentityFact(0, "")), sa)
        initial = not any(other is not sa and other.path.remote == sa.path.remote for other in core.sas.values())
        if sa.childless and sa.profile.childless in ("prefer", "force"):
            core.emit(ChildlessAuth(by="local"), sa)
            return [identity, auth, *config, *session_notifies(core, False, initial=initial, child=False)]
        self.offer = Offer(core, self.connection, self.want, group=None)
        self.offer.emit(core, sa)
        body: list[Payload] = [identity, auth, *config, SaPayload(self.offer.proposals), *self.offer.ts()]
        return body + session_notifies(core, self.offer.transport, initial=initial)

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """Verify who answers, then take the Child SA."""
        payloads = message.payloads
        core.emit(MessageProcessing(exchange=self.exchange, response=True), sa, message.message_id)
        error = error_notify(payloads)
        if optional(payloads, PayloadType.AUTH, AuthPayload) is None:
            notify = "no AUTH payload" if error is None else str(error.notify_type)
            if error is not None:
                core.emit(ResponseRefused(exchange=self.exchange, notify=error.notify_type), sa, message.message_id)
            core.emit(ExchangeFailed(exchange=self.exchange, why=f"the peer answered {notify}"), sa)
            self.failed(core, sa, notify)
            close_ike(core, sa, CloseReason.PEER_REFUSED, f"the peer answered {notify} to IKE_AUTH")
            return
        if self.offer is not None and self._without_child(payloads):
            self._say_refused(core, sa, error)
        try:
            identity = need(payloads, PayloadType.IDR, IdPayload)
            _identify(core, sa, identity, "IDr")
            check_auth(core, sa, payloads, identity)
        except PeerError as failure:
            core.emit(ExchangeFailed(exchange=self.exchange, why=str(failure)), sa)
            # The peer believes that the SA stands, so it is told.
            self.failed(core, sa, str(failure))
            sa.tasks.clear()
            sa.tasks.append(AuthFailure(cause_of(failure), str(failure)))
            return
        self._established(core, sa, message, error)

    def _without_child(self, payloads: Sequence[Payload]) -> bool:
        return error_notify(payloads) is not None or optional(payloads, PayloadType.SA, Payload) is None

    def _say_refused(self, core: Core, sa: IkeSa, error: NotifyPayload | None) -> None:
        notify = NotifyType.NO_PROPOSAL_CHOSEN if error is None else error.notify_type
        tunnel = self.connection.tunnel.name
        core.emit(ChildRefused(by="peer", notify=notify, exchange=self.exchange, tunnel=tunnel), sa)

    def _established(self, core: Core, sa: IkeSa, message: Inbound, error: NotifyPayload | None) -> None:
        payloads = message.payloads
        _take_window(core, sa, payloads)
        reply = optional(payloads, PayloadType.CP, CpPayload)
        if reply is not None:
            core.emit(ConfigReceived(kind=reply.cp_type, attributes=_cp_facts(reply)), sa)
        if self.offer is None:
            lifetimes.establish(core, sa)
            check_duplicates(core, sa)
            begin_wanted(core, sa)
            return
        sa.wants.remove(self.want)
        if self._without_child(payloads):
            lifetimes.establish(core, sa)
            check_duplicates(core, sa)
            notify = NotifyType.NO_PROPOSAL_CHOSEN if error is None else error.notify_type
            if notify == NotifyType.SINGLE_PAIR_REQUIRED and self.want.packet is not None:
                self.failed(core, sa, str(notify))
                enqueue(core, sa, CreateChild(self.want, trigger=notify.name, single=True))
                begin_wanted(core, sa)
                return
            why = f"the peer refused the first Child SA: {notify}"
            self._drop(core, sa, CloseReason.PEER_REFUSED, why, made=False)
            return
        try:
            agreed = self.offer.accept(core, sa, payloads, message.message_id)
        except PeerError as failure:
            lifetimes.establish(core, sa)
            core.emit(ExchangeFailed(exchange=self.exchange, why=str(failure)), sa)
            self._drop(core, sa, cause_of(failure), str(failure), made=True)
            return
        lifetimes.establish(core, sa)
        child = make_child(core, sa, agreed, self.offer.spi, initiator=True, nonces=(sa.nonce_i, sa.nonce_r))

        def done() -> None:
            children.announce(core, sa, child, self.exchange)
            children.switch(core, sa, child)
            check_duplicates(core, sa)
            begin_wanted(core, sa)
            fill(core, sa, child)

        def refused(why: str) -> None:
            self._give_up_tunnel(core, why)
            enqueue(core, sa, DeleteChild(child.inbound, CloseReason.PLANE, f"the data plane refused it: {why}"))
            begin_wanted(core, sa)

        core.await_plane(sa, children.install(core, sa, child, agreed.secret), done, refused)

    def _drop(self, core: Core, sa: IkeSa, cause: CloseReason, why: str, *, made: bool) -> None:
        """No first Child SA; `made`: the peer believes in one. IOS deletes the IKE SA too, and so do we."""
        assert self.offer is not None and sa.profile is not None
        spi = self.offer.spi
        self.failed(core, sa, why)
        self._give_up_tunnel(core, why)
        if sa.profile.refused_child == "delete":
            delete_ike(core, sa, cause, why, child_spi=spi)
            return
        ##= rfc7296#section-1.2
        ##% If creating the Child SA during the IKE_AUTH exchange fails for some
        ##% reason, the IKE SA is still created as usual.
        if made:
            enqueue(core, sa, DeleteChild(spi, cause, why, unborn=True))
        begin_wanted(core, sa)

    def _give_up_tunnel(self, core: Core, why: str) -> None:
        hold(core, self.connection.tunnel.name)
        core.commands.append(ReleaseHeld(self.connection.tunnel.name, why))

    def failed(self, core: Core, sa: IkeSa, why: str) -> None:
        """The SPI is free again; the packets held for the tunnel are given up with the IKE SA."""
        if self.offer is not None:
            core.spis.release(self.offer.spi)
            self.offer = None


def begin_wanted(core: Core, sa: IkeSa) -> None:
    """What other tunnels asked for while the IKE SA was being made is asked now."""
    wants, sa.wants = tuple(sa.wants), []
    for want in wants:
        enqueue(core, sa, CreateChild(want, trigger=want.trigger))


def respond(core: Core, sa: IkeSa, message: Inbound) -> Reply:
    """The responder's side: who is it, does the key fit, then the Child SA."""
    payloads = message.payloads
    timer = sa.timers.pop("auth", None)
    if timer is not None:
        timer.cancel()
    core.emit(AuthArrived(local_behind=sa.nat_local, remote_behind=sa.nat_remote, floated=sa.encapsulated), sa)
    identity = need(payloads, PayloadType.IDI, IdPayload)
    _identify(core, sa, identity, "IDi")
    check_auth(core, sa, payloads, identity)
    if notify_of(payloads, NotifyType.INITIAL_CONTACT) is not None:
        core.emit(InitialContactReceived(closed=_drop_older(core, sa)), sa)
    core.emit(MessageProcessing(exchange=ExchangeType.IKE_AUTH, response=False), sa)
    sa.local_id = _identity(sa)
    childless = _childless(core, sa, payloads)
    agreed, refusal = (None, None) if childless else _child(core, sa, payloads)
    own = _id_payload(PayloadType.IDR, sa.local_id)
    config = _config(core, sa, payloads)
    auth = own_auth(core, sa, own)
    core.emit(MessageBuilding(exchange=ExchangeType.IKE_AUTH, response=True), sa)
    core.emit(IdentitySent(kind="IDr", identity=fact(sa.local_id) or IdentityFact(0, "")), sa)
    _take_window(core, sa, payloads)
    head: list[Payload] = [own, auth, *config]
    if childless:
        return _alone(core, sa, head)
    if agreed is None:
        assert refusal is not None
        return _without_child(core, sa, head, refusal)
    return _with_child(core, sa, head, agreed)


def _childless(core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> bool:
    """Whether the peer asks for the IKE SA alone; InvalidSyntax where the profile wants it otherwise (RFC 6023)."""
    assert sa.profile is not None
    mode, left_out = sa.profile.childless, optional(payloads, PayloadType.SA, SaPayload) is None
    if left_out and mode == "never":
        raise InvalidSyntax("IKE_AUTH without a Child SA, which the profile never takes (ikescope childless)")
    if mode == "force" and not left_out:
        raise InvalidSyntax("IKE_AUTH with a Child SA, which the profile never takes (ikescope childless force)")
    if left_out:
        core.emit(ChildlessAuth(by="peer"), sa)
    return left_out


def _alone(core: Core, sa: IkeSa, head: list[Payload]) -> Reply:
    """The IKE SA stands and has no Child SA yet; either end makes them when they are wanted."""

    def after() -> None:
        lifetimes.establish(core, sa)
        check_duplicates(core, sa)
        begin_wanted(core, sa)

    return Reply([*head, *session_notifies(core, False, initial=False, child=False)], after)


def _child(core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> tuple[Agreed | None, PeerError | None]:
    try:
        return answer(core, sa, payloads), None
    except InvalidSyntax:
        raise
    except PeerError as refusal:
        emit_request_refused(core, sa, ExchangeType.IKE_AUTH, refusal)
        return None, refusal


def _config(core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> list[Payload]:
    request = optional(payloads, PayloadType.CP, CpPayload)
    if request is None:
        return []
    core.emit(ConfigReceived(kind=request.cp_type, attributes=_cp_facts(request)), sa)
    if request.cp_type != CpType.CFG_REQUEST or not any(
        attribute.type == CpAttribute.APPLICATION_VERSION for attribute in request.attributes
    ):
        return []
    version = f"ikescope {__version__}".encode("ascii")
    reply = CpPayload(CpType.CFG_REPLY, (CpValue(CpAttribute.APPLICATION_VERSION, version),))
    core.emit(ConfigSent(kind=CpType.CFG_REPLY, attributes=_cp_facts(reply)), sa)
    return [reply]


def _with_child(core: Core, sa: IkeSa, head: list[Payload], agreed: Agreed) -> Reply:
    spi = inbound_spi(core, agreed)
    child = make_child(core, sa, agreed, spi, initiator=False, nonces=(sa.nonce_i, sa.nonce_r))
    body = response_payloads(agreed, spi)
    core.emit(
        ProposalSent(protocol=ProtocolId.ESP, response=True, initial=False, proposals=facts((agreed.chosen,))), sa
    )
    notifies = session_notifies(core, False, initial=False)

    def after() -> None:
        lifetimes.establish(core, sa)
        children.announce(core, sa, child, ExchangeType.IKE_AUTH)
        children.switch(core, sa, child)
        check_duplicates(core, sa)
        begin_wanted(core, sa)

    def refused(why: str) -> Reply:
        children.remove(core, sa, child, CloseReason.PLANE, why)
        emit_request_refused(core, sa, ExchangeType.IKE_AUTH, NoProposalChosen(why))
        return _without_child(core, sa, head, NoProposalChosen(why))

    awaits = children.install(core, sa, child, agreed.secret)
    return Reply([*head, *body, *notifies], after, awaits, refused)


def _without_child(core: Core, sa: IkeSa, head: list[Payload], refusal: PeerError) -> Reply:
    """The IKE SA stands, the Child SA does not: identity, AUTH and the error (RFC 7296 section 2.21.2)."""
    notify = NotifyType.of(refusal.notify or NotifyType.NO_PROPOSAL_CHOSEN)

    def after() -> None:
        lifetimes.establish(core, sa)
        core.emit(ChildRefused(by="local", notify=notify, exchange=ExchangeType.IKE_AUTH), sa)
        check_duplicates(core, sa)
        begin_wanted(core, sa)

    return Reply([*head, NotifyPayload(notify)], after)


def _drop_older(core: Core, sa: IkeSa) -> int:
    older = [
        other
        for other in core.sas.values()
        if other is not sa and other.remote_id == sa.remote_id and other.local_id == _identity(sa)
    ]
    ##= rfc7296#section-2.4
    ##% recipient MAY use this information to delete any other IKE SAs it has
    ##% to the same authenticated identity without waiting for a timeout.
    for other in older:
        close_ike(core, other, CloseReason.PEER_RESTARTED, "the peer began anew (INITIAL_CONTACT)")
    return len(older)
