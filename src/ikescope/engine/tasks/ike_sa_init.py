"""IKE_SA_INIT: algorithms, key exchange, nonces, NAT detection (RFC 7296 sections 1.2, 2.6, 2.7, 2.14, 2.23)."""

from __future__ import annotations

from collections.abc import Sequence

from ikescope.crypto.key_exchange import generate
from ikescope.crypto.keys import ike_keys
from ikescope.crypto.suites import ike_suite
from ikescope.engine.closing import close_ike
from ikescope.engine.commands import Connect, Destination, Send
from ikescope.engine.context import Core
from ikescope.engine.errors import InvalidKePayload, NoProposalChosen
from ikescope.engine.exchange import Built, emit_sent, pump, send_request
from ikescope.engine.fragments import message_octets, mtu_of
from ikescope.engine.keys import adopt_keys
from ikescope.engine.lookups import emit_policy, policy_of
from ikescope.engine.payloads import VENDOR_ID, error_notify, is_ikescope, nat_hash, need, notify_of
from ikescope.engine.refusal import checked, emit_refusal, refuse_group, refuse_wish
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.engine.task import Inbound, Task
from ikescope.engine.tasks.ike_auth import IkeAuth, wait_for_auth
from ikescope.engine.window import Answered, RequestWindow, ResponseWindow
from ikescope.errors import PeerError
from ikescope.events.life import CloseReason, SaInserted
from ikescope.events.message import (
    CookieAnswered,
    FragmentationAgreed,
    InvalidKeAnswered,
    MessageBuilding,
    MessageProcessing,
    ResponseRefused,
)
from ikescope.events.negotiation import (
    ExchangeCompleted,
    ExchangeFailed,
    KeyExchangeComputed,
    KeyringSearched,
    NatChecked,
    ProposalChosen,
    ProposalSent,
)
from ikescope.policy.peers import Connection, Found, find_policy, search_key, tunnel_for
from ikescope.policy.proposals import Choice, Refusal, choose_ike, facts, offer_ike
from ikescope.wire.ke import KePayload
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, KeyExchangeId, NotifyType, PayloadType, ProtocolId
from ikescope.wire.sa import Proposal, SaPayload
from ikescope.wire.vendor import VendorIdPayload

NONCE_OCTETS = 32
ZERO_SPI = bytes(8)
IKE_PORT, NAT_PORT = 500, 4500


def begin(core: Core, connection: Connection, want: Connect, path: Destination | None = None) -> IkeSa:
    """Make an IKE SA with a peer, for the tunnel that wants it; over `path` where the peer is known to be there."""
    search = search_key(core.config, connection.profile, connection.remote, None, "local")
    core.emit(
        KeyringSearched(
            profile=connection.profile.name,
            keyring=connection.profile.keyring or "",
            block=None if search.key is None else search.key.block,
            peer=str(connection.remote),
            tried=search.tried,
        )
    )
    emit_policy(core, connection.local, find_policy(core.config, connection.local))
    sa = IkeSa(
        id=core.new_id(),
        session=core.new_session(),
        initiator=True,
        path=path or Destination(connection.local, IKE_PORT, connection.remote, IKE_PORT),
        spi_i=core.new_spi(),
        spi_r=ZERO_SPI,
        created=core.now,
        state=IkeState.INIT_SENT,
        out=RequestWindow(),
        into=ResponseWindow(1),
        proposals=connection.proposals,
        profile=connection.profile,
        last_heard=core.now,
        peer=connection.remote,
    )
    core.sas[sa.spi_i] = sa
    sa.wants.append(want)
    sa.tasks.append(IkeSaInit(connection, want))
    pump(core, sa)
    core.emit(SaInserted(), sa)
    return sa


def common_payloads(core: Core, sa: IkeSa, nonce: bytes, *, forced: bool) -> list[Payload]:
    """What both messages carry after SA and KE: nonce, our Vendor ID, the two NAT detection notifies."""
    path = sa.path
    # `nat force-encap`: a source hash that matches nothing tells the peer that we stand behind a NAT.
    source = core.random(20) if forced else nat_hash(sa.spi_i, sa.spi_r, path.local, path.local_port)
    destination = nat_hash(sa.spi_i, sa.spi_r, path.remote, path.remote_port)
    return [
        NoncePayload(nonce),
        VendorIdPayload(VENDOR_ID),
        NotifyPayload(NotifyType.NAT_DETECTION_SOURCE_IP, source),
        NotifyPayload(NotifyType.NAT_DETECTION_DESTINATION_IP, destination),
    ]


class IkeSaInit(Task):
    """The initiator's side, with its COOKIE and INVALID_KE_PAYLOAD rounds."""

    exchange = ExchangeType.IKE_SA_INIT
    name = "IKE_SA_INIT"

    def __init__(self, connection: Connection, want: Connect) -> None:
        self.connection, self.want = connection, want
        self.offered: tuple[Proposal, ...] = ()
        self.rest: list[Payload] = []
        self.cookie: NotifyPayload | None = None
        self.rounds = 0

    def start(self, core: Core, sa: IkeSa) -> Sequence[Payload]:
        """SA, KE for the first group, Ni, VID, NAT detection."""
        sa.nonce_i = core.random(NONCE_OCTETS)
        self._key(core, sa, self.connection.proposals[0].groups[0])
        core.emit(MessageBuilding(exchange=self.exchange, response=False), sa)
        self.offered = offer_ike(self.connection.proposals)
        core.emit(
            ProposalSent(protocol=ProtocolId.IKE, response=False, initial=True, proposals=facts(self.offered)), sa
        )
        assert sa.profile is not None
        self.rest = common_payloads(core, sa, sa.nonce_i, forced=sa.profile.nat_force_encap)
        if core.config.fragmentation is not None:
            self.rest.append(NotifyPayload(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED))
        return self.payloads(sa)

    def _key(self, core: Core, sa: IkeSa, group: int) -> None:
        sa.exchange = generate(group, core.random)
        octets = len(sa.exchange.public)
        core.emit(KeyExchangeComputed(part="public", group=group, octets=octets, exchange=self.exchange), sa)

    def payloads(self, sa: IkeSa) -> list[Payload]:
        """The request of this round."""
        assert sa.exchange is not None
        ##= rfc7296#section-2.6
        ##% the initiator MUST then retry the IKE_SA_INIT
        ##% request, and include the COOKIE notification containing the received
        ##% data as the first payload, and all other payloads unchanged.
        head: list[Payload] = [] if self.cookie is None else [self.cookie]
        head += [SaPayload(self.offered), KePayload(KeyExchangeId.of(sa.exchange.group), sa.exchange.public)]
        return head + self.rest

    def finish(self, core: Core, sa: IkeSa, message: Inbound) -> None:
        """Agree, compute the keys, go on with IKE_AUTH; or begin another round."""
        if self._again(core, sa, message.payloads):
            return
        payloads = message.payloads
        core.emit(MessageProcessing(exchange=self.exchange, response=True), sa)
        answered = need(payloads, PayloadType.SA, SaPayload).proposals
        chosen = checked(core, sa, ProtocolId.IKE, self.offered, answered)
        suite = ike_suite(chosen.transforms)
        ke = need(payloads, PayloadType.KE, KePayload)
        assert sa.exchange is not None
        if ke.group != sa.exchange.group or suite.group != sa.exchange.group:
            raise InvalidKePayload(f"KE payload's group: had {int(ke.group)}, wanted {sa.exchange.group}")
        nonce_r, secret = need(payloads, PayloadType.NONCE, NoncePayload).data, sa.exchange.shared_secret(ke.data)
        sa.suite, sa.nonce_r, sa.spi_r, sa.response = suite, nonce_r, message.spi_r, message.octets
        core.emit(
            ProposalChosen(protocol=ProtocolId.IKE, by="peer", offered=facts(self.offered), chosen=facts((chosen,))[0]),
            sa,
        )
        sa.peer_is_ikescope = is_ikescope(payloads)
        check_nat(core, sa, payloads)
        group, octets = sa.exchange.group, len(secret)
        core.emit(KeyExchangeComputed(part="secret", group=group, octets=octets, exchange=self.exchange), sa)
        sa.exchange = None
        make_keys(core, sa, secret)
        take_fragmentation(core, sa, payloads)
        emit_fragmentation(core, sa)
        sa.childless = notify_of(payloads, NotifyType.CHILDLESS_IKEV2_SUPPORTED) is not None
        if sa.profile is not None and sa.profile.childless == "force" and not sa.childless:
            why = "the peer does not take IKE_AUTH without a Child SA (no CHILDLESS_IKEV2_SUPPORTED)"
            core.emit(ExchangeFailed(exchange=self.exchange, why=why), sa)
            close_ike(core, sa, CloseReason.NOT_AGREED, why)
            return
        core.emit(ExchangeCompleted(exchange=self.exchange), sa)
        core.to_state(sa, IkeState.AUTH_SENT, "IKE_SA_INIT answered")
        sa.tasks.appendleft(IkeAuth(self.connection, self.want))

    def _again(self, core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> bool:
        """Whether the response asks for another request, or is an error that nobody vouches for."""
        cookie, wrong = notify_of(payloads, NotifyType.COOKIE), notify_of(payloads, NotifyType.INVALID_KE_PAYLOAD)
        error = error_notify(payloads)
        if cookie is None and error is None:
            return False
        self.rounds += 1
        if cookie is not None and self.rounds <= 6 and 1 <= len(cookie.data) <= 64:
            core.emit(CookieAnswered(octets=len(cookie.data)), sa, 0)
            self.cookie = NotifyPayload(NotifyType.COOKIE, cookie.data)
            send_again(core, sa, self)
            return True
        if wrong is not None and self.rounds <= 6 and self._wanted(sa, wrong) is not None:
            group = self._wanted(sa, wrong)
            assert group is not None and sa.exchange is not None
            core.emit(InvalidKeAnswered(exchange=self.exchange, offered=sa.exchange.group, wanted=group), sa, 0)
            self._key(core, sa, group)
            send_again(core, sa, self)
            return True
        if wrong is not None and sa.exchange is not None:
            allowed = {one for proposal in self.connection.proposals for one in proposal.groups}
            refuse_wish(core, sa, ProtocolId.IKE, wrong.data, sa.exchange.group, allowed)
        assert error is not None or cookie is not None
        if error is not None:
            core.emit(ResponseRefused(exchange=self.exchange, notify=error.notify_type, data=error.data.hex()), sa, 0)
            sa.hint = f"the peer answered {error.notify_type}, unauthenticated"
        raise Unvouched(sa.hint or "no end of COOKIE rounds")

    def _wanted(self, sa: IkeSa, wrong: NotifyPayload) -> int | None:
        group = int.from_bytes(wrong.data, "big") if len(wrong.data) == 2 else 0
        offered = {one for proposal in self.connection.proposals for one in proposal.groups}
        assert sa.exchange is not None
        ##= rfc7296#section-1.2
        ##% In this case, the initiator MUST retry the IKE_SA_INIT
        ##% with the corrected Diffie-Hellman group.
        return group if group in offered and group != sa.exchange.group else None


class Unvouched(PeerError):
    """An error notify that no key protects: noted, and the request stays in flight (RFC 7296 section 2.21.1)."""

    section = "RFC 7296 section 2.21.1"


def send_again(core: Core, sa: IkeSa, task: IkeSaInit) -> None:
    """Begin anew with message ID 0; nonce and SPI stay."""
    send_request(core, sa, task, task.payloads(sa), 0)


def check_nat(core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> None:
    """Compare the NAT detection hashes, and move to port 4500 where there is a NAT or encapsulation is forced."""
    path, forced = sa.path, sa.profile is not None and sa.profile.nat_force_encap
    sources = [
        payload.data
        for payload in payloads
        if isinstance(payload, NotifyPayload) and payload.notify_type == NotifyType.NAT_DETECTION_SOURCE_IP
    ]
    destination = notify_of(payloads, NotifyType.NAT_DETECTION_DESTINATION_IP)
    spi_r = sa.spi_r if sa.initiator else ZERO_SPI
    supported = bool(sources) and destination is not None
    if supported:
        assert destination is not None
        sa.nat_remote = nat_hash(sa.spi_i, spi_r, path.remote, path.remote_port) not in sources
        sa.nat_local = nat_hash(sa.spi_i, spi_r, path.local, path.local_port) != destination.data
    sa.encapsulated = supported and (sa.nat_remote or sa.nat_local or forced)
    floated = sa.encapsulated and IKE_PORT in (path.local_port, path.remote_port)
    core.emit(
        NatChecked(
            supported=supported,
            local_behind=sa.nat_local,
            remote_behind=sa.nat_remote,
            forced=forced,
            floated=floated,
        ),
        sa,
    )
    if floated and sa.initiator:
        # The responder answers where it was asked, and follows to port 4500 with IKE_AUTH.
        ##= rfc7296#section-2.23
        ##% The IKE initiator MUST check the NAT_DETECTION_SOURCE_IP or
        ##% NAT_DETECTION_DESTINATION_IP payloads if present, and if they do not
        ##% match the addresses in the outer packet, MUST tunnel all future IKE
        ##% and ESP packets associated with this IKE SA over UDP port 4500.
        sa.path = Destination(path.local, NAT_PORT, path.remote, NAT_PORT)


def take_fragmentation(core: Core, sa: IkeSa, payloads: Sequence[Payload]) -> None:
    """Fragments go both ways where both ends said that they take them (RFC 7383 section 2.3)."""
    configured = core.config.fragmentation
    if configured is not None and notify_of(payloads, NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None:
        sa.fragment_mtu = mtu_of(configured, sa.path)


def emit_fragmentation(core: Core, sa: IkeSa) -> None:
    """The event of agreed fragmentation."""
    if sa.fragment_mtu is not None:
        core.emit(FragmentationAgreed(size=message_octets(sa.fragment_mtu, sa.path)), sa)


def make_keys(core: Core, sa: IkeSa, secret: bytes) -> None:
    """SKEYSEED and the seven keys; the envelope is ready afterwards."""
    assert sa.suite is not None
    keys = ike_keys(sa.suite, sa.nonce_i, sa.nonce_r, secret, sa.spi_i, sa.spi_r)
    adopt_keys(core, sa, keys, rekey=False)


def candidate(core: Core, spi_i: bytes, path: Destination) -> IkeSa:
    """What an IKE_SA_INIT request may become; it enters no table before it is accepted."""
    return IkeSa(
        id=core.new_id(),
        session=core.new_session(),
        initiator=False,
        path=path,
        spi_i=spi_i,
        spi_r=ZERO_SPI,
        created=core.now,
        state=IkeState.INIT_DONE,
        out=RequestWindow(),
        into=ResponseWindow(1),
        last_heard=core.now,
        first_seen=(path.remote, path.remote_port, spi_i),
        peer=path.remote,
    )


def respond(core: Core, sa: IkeSa, message: Inbound) -> None:
    """The responder's side: the candidate becomes an IKE SA.

    Raises PeerError with the notify to send; then nothing is kept.
    """
    payloads = message.payloads
    offered = need(payloads, PayloadType.SA, SaPayload).proposals
    ke = need(payloads, PayloadType.KE, KePayload)
    sa.nonce_i, sa.request = need(payloads, PayloadType.NONCE, NoncePayload).data, message.octets
    found = policy_of(core, sa)
    sa.proposals = found.proposals
    choice = choose_ike(offered, found.proposals)
    if isinstance(choice, Refusal):
        core.emit(MessageProcessing(exchange=ExchangeType.IKE_SA_INIT, response=False), sa)
        emit_refusal(core, sa, ProtocolId.IKE, offered, offer_ike(found.proposals), choice)
        raise NoProposalChosen(choice.why)
    try:
        _accept(core, sa, message, ke, offered, found, choice)
    except PeerError:
        core.sas.pop(sa.spi_r, None)
        raise


def _accept(
    core: Core,
    sa: IkeSa,
    message: Inbound,
    ke: KePayload,
    offered: Sequence[Proposal],
    found: Found,
    choice: Choice,
) -> None:
    suite = ike_suite(choice.proposal.transforms)
    if ke.group != suite.group:
        ##= rfc7296#section-1.2
        ##% If the
        ##% initiator guesses wrong, the responder will respond with a Notify
        ##% payload of type INVALID_KE_PAYLOAD indicating the selected group.
        raise refuse_group(core, sa, ProtocolId.IKE, ke, suite.group)
    sa.suite, sa.peer_is_ikescope = suite, is_ikescope(message.payloads)
    sa.spi_r = core.new_spi()
    core.sas[sa.spi_r] = sa
    core.emit(SaInserted(), sa)
    emit_policy(core, sa.path.local, found)
    core.emit(MessageProcessing(exchange=ExchangeType.IKE_SA_INIT, response=False), sa)
    core.emit(
        ProposalChosen(
            protocol=ProtocolId.IKE,
            by="local",
            offered=facts(offered),
            chosen=facts((choice.proposal,))[0],
            why=choice.why,
        ),
        sa,
    )
    check_nat(core, sa, message.payloads)
    exchange, init = generate(suite.group, core.random), ExchangeType.IKE_SA_INIT
    core.emit(KeyExchangeComputed(part="public", group=suite.group, octets=len(exchange.public), exchange=init), sa)
    secret = exchange.shared_secret(ke.data)
    core.emit(KeyExchangeComputed(part="secret", group=suite.group, octets=len(secret), exchange=init), sa)
    sa.nonce_r = core.random(NONCE_OCTETS)
    make_keys(core, sa, secret)
    take_fragmentation(core, sa, message.payloads)
    _answer(core, sa, message, choice.answer(), KePayload(KeyExchangeId.of(suite.group), exchange.public))


def _answer(core: Core, sa: IkeSa, message: Inbound, chosen: Proposal, ke: KePayload) -> None:
    core.emit(MessageBuilding(exchange=ExchangeType.IKE_SA_INIT, response=True), sa)
    core.emit(ProposalSent(protocol=ProtocolId.IKE, response=True, initial=True, proposals=facts((chosen,))), sa)
    payloads = [SaPayload((chosen,)), ke, *common_payloads(core, sa, sa.nonce_r, forced=False)]
    if sa.fragment_mtu is not None:
        payloads.append(NotifyPayload(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED))
    # Whose profile it is shows in IKE_AUTH only; what any tunnel to that peer takes is said (RFC 6023 section 3).
    if any(one.profile.childless != "never" for one in tunnel_for(core.config, sa.path.local, sa.path.remote)):
        payloads.append(NotifyPayload(NotifyType.CHILDLESS_IKEV2_SUPPORTED))
    built = Built(core, sa, ExchangeType.IKE_SA_INIT, True, 0, payloads)
    sa.response = built.octets
    sa.into.kept[0] = Answered(message.octets, built.octets, built.names, exchange=ExchangeType.IKE_SA_INIT)
    sa.into.lowest = 1
    assert sa.first_seen is not None
    core.half_open[sa.first_seen] = sa
    core.accepted[message.octets] = sa
    emit_sent(core, sa, ExchangeType.IKE_SA_INIT, True, 0, built, 0)
    core.commands.append(Send(built.octets, sa.path))
    emit_fragmentation(core, sa)
    core.emit(ExchangeCompleted(exchange=ExchangeType.IKE_SA_INIT), sa)
    wait_for_auth(core, sa)
