"""Child SA negotiation, the same in IKE_AUTH and CREATE_CHILD_SA: offer, choice, selectors (RFC 7296 section 2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ikescope.crypto.key_exchange import KeyExchange, generate
from ikescope.crypto.suites import EspSuite, esp_suite
from ikescope.engine import children, resources
from ikescope.engine.commands import Connect
from ikescope.engine.context import Core
from ikescope.engine.errors import InvalidSyntax, NoProposalChosen, SinglePairRequired, TsUnacceptable
from ikescope.engine.nat import as_seen_here
from ikescope.engine.payloads import need, notify_of, optional
from ikescope.engine.refusal import checked, emit_refusal, refuse_group
from ikescope.engine.sa import ChildSa, IkeSa
from ikescope.events import UNSET, SelectorFact
from ikescope.events.negotiation import (
    KeyExchangeComputed,
    ModeRefused,
    ProposalChosen,
    ProposalSent,
    SelectorsChosen,
    SelectorsExceeded,
    SelectorsRefused,
    SelectorsSent,
)
from ikescope.policy.peers import Connection, tunnel_for, tunnels_tried
from ikescope.policy.proposals import Refusal, choose_esp, facts, offer_esp
from ikescope.policy.selectors import SelectorRefusal, Selectors, exceeding, from_wire, narrow, subset, to_wire
from ikescope.wire.ke import KePayload
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, KeyExchangeId, NotifyType, PayloadType, ProtocolId
from ikescope.wire.sa import Proposal, SaPayload
from ikescope.wire.ts import TsPayload


def spi_octets(spi: int) -> bytes:
    """An ESP SPI on the wire."""
    return spi.to_bytes(4, "big")


class Offer:
    """Our side of a Child SA under negotiation, as initiator of its exchange."""

    __slots__ = ("connection", "exchange", "index", "proposals", "resource", "selectors", "spi", "transport")

    def __init__(
        self,
        core: Core,
        connection: Connection,
        want: Connect,
        *,
        group: int | None,
        single: bool = False,
        resource: int | None = None,
    ) -> None:
        self.connection, self.index = connection, want.index
        count = connection.ipsec.per_resource_sas
        self.resource = resource if resource is not None or count is None else 0
        self.spi = resources.inbound_spi(core.spis, self.resource, count)
        self.proposals = offer_esp(connection.sets, spi_octets(self.spi), group)
        self.exchange: KeyExchange | None = None if group is None else generate(group, core.random)
        if (single or connection.ipsec.per_host) and want.packet is not None:
            ##= rfc7296#section-2.9
            ##% The
            ##% requestor is expected to respond by requesting an SA for only the
            ##% specific traffic it is trying to forward.
            self.selectors = _single_pair(connection.selectors[want.index], want.packet)
        else:
            self.selectors = _with_packet(connection.selectors[want.index], want.packet)
        self.transport = connection.transport

    def emit(self, core: Core, sa: IkeSa) -> None:
        """The events of proposal and selectors."""
        core.emit(
            ProposalSent(protocol=ProtocolId.ESP, response=False, initial=False, proposals=facts(self.proposals)), sa
        )
        pair = self.selectors
        core.emit(SelectorsSent(local=pair.local, remote=pair.remote, transport=self.transport), sa)

    def ts(self) -> list[Payload]:
        """TSi, TSr and, where there may be more Child SAs like it, N(SA_RESOURCE_INFO)."""
        about = [] if self.resource is None else [resources.information(self.resource)]
        return [*ts_payloads(self.selectors, initiator=True), *about]

    def accept(self, core: Core, sa: IkeSa, payloads: Sequence[Payload], message_id: int) -> Agreed:
        """What the response agreed; PeerError where it is not out of our offer."""
        answered = need(payloads, PayloadType.SA, SaPayload).proposals
        chosen = checked(core, sa, ProtocolId.ESP, self.proposals, answered)
        suite = esp_suite(chosen.transforms)
        core.emit(
            ProposalChosen(
                protocol=ProtocolId.ESP, by="peer", offered=facts(self.proposals), chosen=facts((chosen,))[0]
            ),
            sa,
        )
        tsi = from_wire(need(payloads, PayloadType.TSI, TsPayload).selectors)
        tsr = from_wire(need(payloads, PayloadType.TSR, TsPayload).selectors)
        transport = self.transport and notify_of(payloads, NotifyType.USE_TRANSPORT_MODE) is not None
        if transport:
            ##= rfc7296#section-2.23.1
            ##% Do address substitution before using those Traffic Selectors
            ##% for anything other than storing original content of them.
            seen = as_seen_here(sa, Selectors(tsi, tsr))
            tsi, tsr = seen.local, seen.remote
        if not (subset(tsi, self.selectors.local) and subset(tsr, self.selectors.remote)):
            raise _exceeded(core, sa, self.selectors, Selectors(tsi, tsr))
        _require_transport(core, sa, self.connection, transport)
        core.emit(
            SelectorsChosen(
                proposed_local=self.selectors.local,
                proposed_remote=self.selectors.remote,
                local=tsi,
                remote=tsr,
                tunnel=self.connection.tunnel.name,
                by="peer",
                additional=notify_of(payloads, NotifyType.ADDITIONAL_TS_POSSIBLE) is not None,
                exchange=_exchange(sa),
            ),
            sa,
            message_id,
        )
        secret = b""
        if suite.group is not None:
            ke = need(payloads, PayloadType.KE, KePayload)
            if self.exchange is None or ke.group != self.exchange.group or suite.group != ke.group:
                raise InvalidSyntax(f"KE payload's group: had {int(ke.group)}, wanted {suite.group}")
            secret = self.exchange.shared_secret(ke.data)
            core.emit(KeyExchangeComputed(part="secret", group=suite.group, octets=len(secret)), sa)
        outbound = int.from_bytes(chosen.spi, "big")
        pair, more = Selectors(tsi, tsr), notify_of(payloads, NotifyType.ADDITIONAL_TS_POSSIBLE) is not None
        number = self.resource if resources.announced(payloads) else None
        conn, index = self.connection, self.index
        return Agreed(conn, index, suite, chosen, outbound, pair, transport, secret, None, more, number)


class Agreed(msgspec.Struct, frozen=True):
    """A Child SA as both ends agreed it; `outbound` is the peer's SPI, `secret` that of its own key exchange."""

    connection: Connection
    index: int
    suite: EspSuite
    chosen: Proposal
    outbound: int
    selectors: Selectors
    transport: bool
    secret: bytes
    public: KePayload | None = None
    additional: bool = False
    """Another Child SA for a part of the rest is possible (ADDITIONAL_TS_POSSIBLE)."""
    resource: int | None = None
    """Our number of its resource, where both speak of resources."""

    def __repr__(self) -> str:
        return f"<Child SA of {self.connection.tunnel.name}, {self.suite.text}>"


def _with_packet(pair: Selectors, packet: tuple[SelectorFact, SelectorFact] | None) -> Selectors:
    ##= rfc7296#section-2.9
    ##% the initiator SHOULD include as the first Traffic Selector in each of TSi
    ##% and TSr a very specific Traffic Selector including the addresses in
    ##% the packet triggering the request.
    if packet is None or (packet[0] in pair.local and packet[1] in pair.remote):
        return pair
    return Selectors((packet[0], *pair.local), (packet[1], *pair.remote))


def _single_pair(pair: Selectors, packet: tuple[SelectorFact, SelectorFact]) -> Selectors:
    """The packet's two addresses with what else our own pair admits between them."""
    local, remote = (SelectorFact(one.start, one.end) for one in packet)
    result = narrow((local,), (remote,), (pair,))
    return Selectors(packet[:1], packet[1:]) if isinstance(result, SelectorRefusal) else result.selectors


def ts_payloads(pair: Selectors, *, initiator: bool) -> list[Payload]:
    """TSi and TSr of a pair as this router sees it; `initiator` of the exchange."""
    tsi, tsr = (pair.local, pair.remote) if initiator else (pair.remote, pair.local)
    return [TsPayload(PayloadType.TSI, to_wire(tsi)), TsPayload(PayloadType.TSR, to_wire(tsr))]


def answer(core: Core, sa: IkeSa, payloads: Sequence[Payload], *, old: ChildSa | None = None) -> Agreed:
    """Our answer to a peer's Child SA request; what rekeys `old` is for the same tunnel.

    Raises NoProposalChosen, TsUnacceptable, InvalidKePayload, InvalidSyntax, TsMaxQueue.
    """
    remote = from_wire(need(payloads, PayloadType.TSI, TsPayload).selectors)
    local = from_wire(need(payloads, PayloadType.TSR, TsPayload).selectors)
    asked = notify_of(payloads, NotifyType.USE_TRANSPORT_MODE) is not None
    only = None if old is None else old.tunnel
    connection, index, pair, additional = _matched(core, sa, Selectors(local, remote), only, transport=asked)
    if connection.ipsec.per_host and not _one_pair(pair):
        index, pair, additional = _of_packet(connection, Selectors(local, remote))
    resource = resources.answered(sa, connection, index, pair, payloads, old)
    offered = need(payloads, PayloadType.SA, SaPayload).proposals
    ke = optional(payloads, PayloadType.KE, KePayload)
    group = None if sa.established is None else connection.ipsec.pfs_group
    choice = choose_esp(offered, connection.sets, group, sa.established is not None)
    if isinstance(choice, Refusal):
        emit_refusal(core, sa, ProtocolId.ESP, offered, offer_esp(connection.sets, b"", group), choice)
        raise NoProposalChosen(choice.why)
    suite = esp_suite(choice.proposal.transforms)
    secret, public = _answer_ke(core, sa, suite, ke)
    core.emit(
        ProposalChosen(
            protocol=ProtocolId.ESP,
            by="local",
            offered=facts(offered),
            chosen=facts((choice.proposal,))[0],
            why=choice.why,
        ),
        sa,
    )
    core.emit(
        SelectorsChosen(
            proposed_local=local,
            proposed_remote=remote,
            local=pair.local,
            remote=pair.remote,
            tunnel=connection.tunnel.name,
            by="local",
            additional=additional,
            exchange=_exchange(sa),
        ),
        sa,
    )
    transport, chosen = connection.transport and asked, choice.proposal
    _require_transport(core, sa, connection, transport)
    outbound = int.from_bytes(chosen.spi, "big")
    return Agreed(connection, index, suite, chosen, outbound, pair, transport, secret, public, additional, resource)


def _one_pair(pair: Selectors) -> bool:
    """Whether selectors speak of one address at each end."""
    return all(len({end for one in side for end in (one.start, one.end)}) == 1 for side in (pair.local, pair.remote))


def _of_packet(connection: Connection, proposed: Selectors) -> tuple[int, Selectors, bool]:
    """What is agreed where one pair of addresses is wanted: all between those of the packet, which is first."""
    ##= rfc7296#section-2.9
    ##% The SINGLE_PAIR_REQUIRED error indicates that a CREATE_CHILD_SA
    ##% request is unacceptable because its sender is only willing to accept
    ##% Traffic Selectors specifying a single pair of addresses.
    packet = Selectors(proposed.local[:1], proposed.remote[:1])
    if _one_pair(packet):
        between = _single_pair(proposed, (packet.local[0], packet.remote[0]))
        result = narrow(between.local, between.remote, connection.selectors)
        if not isinstance(result, SelectorRefusal):
            return result.index, result.selectors, True
    raise SinglePairRequired("traffic selectors: had ranges of addresses, wanted one pair (level per-host)")


def _exchange(sa: IkeSa) -> ExchangeType:
    """The exchange in which a Child SA is agreed: the first one comes with the IKE SA."""
    return ExchangeType.IKE_AUTH if sa.established is None else ExchangeType.CREATE_CHILD_SA


class TransportRefused(NoProposalChosen):
    """One end wants tunnel mode where the other's configuration says `mode transport require`."""

    section = "RFC 7296 section 1.3.1"


def _require_transport(core: Core, sa: IkeSa, connection: Connection, transport: bool) -> None:
    """Raise TransportRefused where the transform-sets take transport mode only."""
    if connection.transport and not transport and any(one.transport_require for one in connection.sets):
        core.emit(ModeRefused(tunnel=connection.tunnel.name, found="tunnel", wanted="transport"), sa)
        raise TransportRefused("mode: had tunnel, wanted transport (`mode transport require`)")


def _answer_ke(core: Core, sa: IkeSa, suite: EspSuite, ke: KePayload | None) -> tuple[bytes, KePayload | None]:
    if suite.group is None:
        return b"", None
    if ke is None or ke.group != suite.group:
        raise refuse_group(core, sa, ProtocolId.ESP, ke, suite.group)
    exchange = generate(suite.group, core.random)
    core.emit(KeyExchangeComputed(part="public", group=suite.group, octets=len(exchange.public)), sa)
    secret = exchange.shared_secret(ke.data)
    core.emit(KeyExchangeComputed(part="secret", group=suite.group, octets=len(secret)), sa)
    return secret, KePayload(KeyExchangeId.of(suite.group), exchange.public)


_Match = tuple[Connection, int, Selectors, bool]


def _matched(core: Core, sa: IkeSa, proposed: Selectors, only: str | None, *, transport: bool) -> _Match:
    """The tunnel that covers the proposed selectors best, its selector's index, and the narrowed pair.

    ##= rfc7296#section-2.23.1
    ##% If no SPD entry was found, or (if found) the SPD entry does not
    ##% allow transport mode, undo the Traffic Selector substitutions.
    """
    seen = as_seen_here(sa, proposed) if transport else proposed
    if seen != proposed:
        found = _best(core, sa, seen.local, seen.remote, only)[0]
        if found is not None and found[0].transport:
            return found
    found, candidates = _best(core, sa, proposed.local, proposed.remote, only)
    if found is None:
        raise _unmatched(core, sa, seen.local, seen.remote, candidates)
    return found


def _best(
    core: Core, sa: IkeSa, local: tuple[SelectorFact, ...], remote: tuple[SelectorFact, ...], only: str | None
) -> tuple[_Match | None, list[Connection]]:
    """The best match, and all tunnels to this peer that were looked at.

    What takes the proposal whole is better than what narrows it, and then what was configured for just that: beside a
    tunnel for any traffic, one for this traffic alone.
    """
    candidates: list[Connection] = []
    best: tuple[tuple[bool, bool], _Match] | None = None
    for connection in tunnel_for(core.config, sa.path.local, sa.peer or sa.path.remote):
        if only is not None and connection.tunnel.name != only:
            continue
        candidates.append(connection)
        result = narrow(local, remote, connection.selectors)
        if isinstance(result, SelectorRefusal):
            continue
        rank = (result.narrowed, connection.selectors[result.index] != result.selectors)
        if best is None or rank < best[0]:
            best = rank, (connection, result.index, result.selectors, result.additional)
    return (None if best is None else best[1]), candidates


def _unmatched(
    core: Core,
    sa: IkeSa,
    local: tuple[SelectorFact, ...],
    remote: tuple[SelectorFact, ...],
    candidates: Sequence[Connection],
) -> TsUnacceptable:
    """Tell what was proposed and which selector of all these tunnels came nearest."""
    pairs = [(connection, pair) for connection in candidates for pair in connection.selectors]
    refusal = narrow(local, remote, tuple(pair for _, pair in pairs))
    assert isinstance(refusal, SelectorRefusal)
    expected = refusal.expected
    core.emit(
        SelectorsRefused(
            proposed_local=local,
            proposed_remote=remote,
            expected_local=() if expected is None else expected.local,
            expected_remote=() if expected is None else expected.remote,
            tunnel=UNSET if refusal.nearest is None else pairs[refusal.nearest][0].tunnel.name,
            axis=UNSET if refusal.axis is None else refusal.axis,
            part=UNSET if refusal.part is None else refusal.part,
            found=UNSET if refusal.closest is None else refusal.closest[0],
            wanted=UNSET if refusal.closest is None else refusal.closest[1],
            tried=refusal.tried or tunnels_tried(core.config, sa.path.local, sa.peer or sa.path.remote),
        ),
        sa,
    )
    return TsUnacceptable(refusal.why)


def _exceeded(core: Core, sa: IkeSa, ours: Selectors, theirs: Selectors) -> InvalidSyntax:
    """Tell which selector of a response we did not propose."""
    local = not subset(theirs.local, ours.local)
    found = exceeding(theirs.local, ours.local) if local else exceeding(theirs.remote, ours.remote)
    core.emit(
        SelectorsExceeded(
            proposed_local=ours.local,
            proposed_remote=ours.remote,
            local=theirs.local,
            remote=theirs.remote,
            axis="local" if local else "remote",
            found=UNSET if found is None else found,
        ),
        sa,
    )
    return InvalidSyntax("the traffic selectors of the response go beyond those of the request")


def inbound_spi(core: Core, agreed: Agreed, old: ChildSa | None = None) -> int:
    """The SPI of our answer; `old` is what is rekeyed."""
    resource = agreed.resource if old is None else old.resource
    return resources.inbound_spi(core.spis, resource, agreed.connection.ipsec.per_resource_sas)


def response_payloads(agreed: Agreed, spi: int, nonce: bytes | None = None) -> list[Payload]:
    """SA, [Nr], [KEr], TSi, TSr and [N(USE_TRANSPORT_MODE)] of the response."""
    chosen = msgspec.structs.replace(agreed.chosen, spi=spi_octets(spi))
    payloads: list[Payload] = [SaPayload((chosen,))]
    if nonce is not None:
        payloads.append(NoncePayload(nonce))
    if agreed.public is not None:
        payloads.append(agreed.public)
    payloads += ts_payloads(agreed.selectors, initiator=False)
    if agreed.transport:
        payloads.append(NotifyPayload(NotifyType.USE_TRANSPORT_MODE))
    if agreed.additional:
        payloads.append(NotifyPayload(NotifyType.ADDITIONAL_TS_POSSIBLE))
    if agreed.resource is not None:
        payloads.append(resources.information(agreed.resource))
    return payloads


def make_child(
    core: Core,
    sa: IkeSa,
    agreed: Agreed,
    inbound: int,
    *,
    initiator: bool,
    nonces: tuple[bytes, bytes],
    replaces: int | None = None,
    resource: int | None = None,
) -> ChildSa:
    """The Child SA of what was agreed; `resource` is what it is for if that was not agreed just now."""
    old = None if replaces is None else sa.children.get(replaces)
    child = children.new_child(
        core,
        sa,
        agreed.connection,
        agreed.index,
        inbound=inbound,
        outbound=agreed.outbound,
        suite=agreed.suite,
        selectors=agreed.selectors,
        transport=agreed.transport,
        initiator=initiator,
        nonces=nonces,
        replaces=replaces,
    )
    # Who answers was not asked for more; what is rekeyed says nothing new of it.
    child.more = old.more if old is not None else agreed.additional or agreed.connection.ipsec.per_host or not initiator
    # Whatever a rekey says of it, what was for a resource stays so.
    child.resource = old.resource if old is not None else agreed.resource if resource is None else resource
    return child
