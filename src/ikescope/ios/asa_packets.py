"""Messages of an ASA's text as events: what their dumps hold, and what they say of offers, selectors and refusals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ikescope.events import UNSET, Event, ProposalFact, life, message, negotiation
from ikescope.ios.asa_dump import Packet, chain_of, error_of, method_of, octets_of, proposals_of, selectors_of, spelled
from ikescope.ios.asa_state import Sa, changed, event_of
from ikescope.ios.asa_told import AUTH, INIT, Tell
from ikescope.ios.asa_tree import dumped_of
from ikescope.ios.catalogue_fields import transforms_of
from ikescope.wire.registry import AuthMethod, NotifyType

IKE, ESP = 1, 3
_LONGEST = 4096
_PACKETS = (message.MessageSent, message.MessageReceived)


def is_packet(event: Event) -> bool:
    """Whether an event is of a message that was sent or received."""
    return isinstance(event, _PACKETS)


def whole(event: Event, packet: Packet) -> Event:
    """A message's event with what its dump holds; octets only where it holds every one of them."""
    facts: dict[str, Any] = {"local": packet.local, "remote": packet.remote}
    if packet.length is not None:
        facts["size"] = packet.length
    if packet.clear:
        facts["payloads"] = packet.names()
    elif packet.first == "ENCR" or packet.inside:
        facts["payloads"] = ("ENCR",)
    if packet.inside:
        facts["inner"] = packet.names(inside=True)
        opened = chain_of(packet.inside)
        if opened is not None:
            facts["opened_first"], facts["opened"] = opened
    octets = octets_of(packet)
    if octets is not None:
        facts["octets"] = octets
    elif "opened" not in facts and (dumped := dumped_of(packet)):
        facts["dumped"] = dumped
    return changed(event, **facts)


def answers(sa: Sa, exchange: int | None, sent: bool, first: bool) -> Any:
    """Whether a packet of which the platform alone speaks is a response; UNSET where that is not to be said."""
    if exchange == INIT:
        return not first
    if exchange == AUTH and sa.initiator is not None:
        return sa.initiator is not sent
    return UNSET


def enrich(event: Event, sa: Sa) -> Event | None:
    """An event of a line that ASA shares with IOS, with what is known of its SA; None where it is told otherwise."""
    if isinstance(event, negotiation.PeerIdentified):
        sa.identity = event.identity
    enricher: Callable[[Any, Sa], Event | None] | None = _ENRICH.get(type(event))
    return enricher(event, sa) if enricher is not None else event


def _building(event: Any, sa: Sa) -> Event:
    response = sa.initiator is False if sa.initiator is not None and event.exchange in (INIT, AUTH) else event.response
    return changed(event, response=response)


def _sealing(event: Any, sa: Sa) -> Event:
    names = () if event.payloads is UNSET else event.payloads
    if event.exchange is UNSET and ("AUTH" in names or sa.exchange == INIT):
        return changed(event, exchange=AUTH, response=sa.initiator is False if sa.initiator is not None else UNSET)
    made: Event = event
    return made


#: The methods of `supported_peers_auth_method`, bit by bit: 2 stands beside PSK in every transcript, 9 beside a
#: refused key (09).
_ADMITTED = {1: AuthMethod.RSA_DIGITAL_SIGNATURE, 2: AuthMethod.SHARED_KEY_MIC, 8: AuthMethod.ECDSA_SHA256_P256}


def _proposal_sent(event: Any, sa: Sa) -> Event:
    """One that this reader did not know for an offer."""
    del sa
    found = event.proposals
    return changed(event, proposals=UNSET if found is UNSET else spelled(found))


def _nat_checked(event: Any, sa: Sa) -> Event:
    """A line that says what was found says that the peer sent its hashes."""
    del sa
    told = event.supported is UNSET and isinstance(event.local_behind, bool)
    return changed(event, supported=True) if told else changed(event)


def _auth_refused(event: Any, sa: Sa) -> Event:
    """Another method than the one configured: of keys and certificates, which are all that ASA has, the other."""
    facts: dict[str, Any] = {}
    if event.identity is UNSET and sa.identity is not None:
        facts["identity"] = sa.identity
    if sa.mismatch and isinstance(event.method, int):
        mask, sa.mismatch = sa.admitted or 0, False
        found = [number for bit, number in _ADMITTED.items() if mask & bit and number != event.method]
        keys = event.method == AuthMethod.SHARED_KEY_MIC
        other = AuthMethod.RSA_DIGITAL_SIGNATURE if keys else AuthMethod.SHARED_KEY_MIC
        facts["wanted"] = int(found[0] if found else other)
    return changed(event, **facts) if facts else changed(event)


def _identified(event: Event, sa: Sa) -> Event:
    return event if sa.initiator is None else changed(event, kind="IDr" if sa.initiator else "IDi")


def _request_refused(event: Any, sa: Sa) -> Event:
    exchange = sa.exchange if event.exchange is UNSET and sa.exchange is not None else event.exchange
    return changed(event, exchange=exchange)


def _selectors_chosen(event: Any, sa: Sa) -> Event | None:
    if sa.initiator and sa.proposed is not None and sa.answered is not None:
        return _chosen(sa, "peer")
    return None if sa.initiator is False and sa.proposed is not None else event


def _chosen(sa: Sa, by: Any) -> Event:
    """Selectors as this box sees them: TSi is its own where it is the initiator."""
    (first, second), (third, fourth) = sa.proposed or ((), ()), sa.answered or ((), ())
    if not sa.initiator:
        first, second, third, fourth = second, first, fourth, third
    return event_of(
        negotiation.SelectorsChosen,
        proposed_local=first,
        proposed_remote=second,
        local=third,
        remote=fourth,
        by=by,
        exchange=sa.exchange if sa.exchange is not None else UNSET,
        tunnel=sa.map or UNSET,
    )


def _child(event: Any, sa: Sa) -> Event:
    facts: dict[str, Any] = {"exchange": sa.exchange if sa.exchange is not None else AUTH, "transport": sa.transport}
    if sa.initiator is not None:
        facts["initiator"] = sa.initiator
    if sa.inbound:
        facts["inbound"] = sa.inbound
    if sa.map:
        facts["tunnel"] = sa.map
    chosen = sa.chosen.get(ESP)
    if chosen is not None and isinstance(chosen.transforms, tuple):
        kinds = {one.type: one for one in chosen.transforms}
        if 1 in kinds:
            facts |= {"encryption": kinds[1].id, "key_length": sa.esp_bits or kinds[1].key_length}
        facts["integrity"] = kinds[3].id if 3 in kinds else None
        facts["group"] = kinds[4].id if 4 in kinds else None
        if 5 in kinds:
            facts["esn"] = kinds[5].id == 1
    if sa.answered is not None and sa.initiator is not None:
        local, remote = sa.answered if sa.initiator else sa.answered[::-1]
        facts |= {"local": local, "remote": remote}
    return changed(event, **facts)


def _processing(event: Any, sa: Sa) -> Event | None:
    # Level internal says it once more, before the notifies are looked at.
    return None if sa.initiator and event.exchange == INIT and event.response is False else event


def _closed(event: Event, sa: Sa) -> Event:
    sa.closed = True
    return event


_ENRICH: dict[type[Event], Callable[[Any, Sa], Event | None]] = {
    message.MessageBuilding: _building,
    message.MessageSealing: _sealing,
    negotiation.PeerIdentified: _identified,
    negotiation.SelectorsChosen: _selectors_chosen,
    message.MessageProcessing: _processing,
    negotiation.ProposalSent: _proposal_sent,
    negotiation.NatChecked: _nat_checked,
    negotiation.AuthRefused: _auth_refused,
    message.RequestRefused: _request_refused,
    life.ChildSaCreated: _child,
    life.IkeSaClosed: _closed,
}


_OFFER = re.compile(
    r"(?P<kind>IKE|ESP|AH) Proposal: (?P<number>\d{1,3}), SPI size: (?P<size>\d{1,2}) \((?P<stage>[^)]{1,40})\)"
)
_COUNT = re.compile(r"Num\. transforms: \d{1,4}")
_PROTOCOLS = {"IKE": IKE, "AH": 2, "ESP": ESP}
_MOST_PROPOSALS = 64


class Offer:
    """`IKE Proposal: 1, ...`, `Num. transforms: 4`, their names; one event for the proposals that stand together."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._found: list[ProposalFact] = []
        self._open = False
        self._sa: Sa | None = None
        self._line = 0

    def line(self, kind: str, sa: Sa | None, text: str, number: int) -> bool:
        """Whether a line is one of these."""
        if offer := _OFFER.match(text):
            if not self._found:
                self._sa, self._line = sa, number
            protocol = _PROTOCOLS[offer["kind"]]
            spi: Any = "" if offer["size"] == "0" else UNSET
            transforms: Any = UNSET
            fact = ProposalFact(int(offer["number"]), protocol, spi, transforms)
            self._found = [*self._found, fact][-_MOST_PROPOSALS:]
            self._open = True
            return True
        if kind or not self._open:
            return False
        if not _COUNT.fullmatch(text):
            last = self._found[-1]
            made = transforms_of(text[:_LONGEST], last.protocol)
            self._found[-1] = ProposalFact(last.number, last.protocol, last.spi, made)
            self._open = False
        return True

    def end(self, text: str) -> None:
        """A line that is no further proposal: the event is told."""
        if not self._found or _OFFER.match(text):
            return
        found, self._found, self._open = tuple(self._found), [], False
        sa, protocol = self._sa, found[0].protocol
        initial = protocol == IKE and found[0].spi == ""
        response: Any = UNSET
        if sa is not None and sa.initiator is not None and (initial or sa.exchange in (INIT, AUTH)):
            response = not sa.initiator
        event = event_of(
            negotiation.ProposalSent, protocol=protocol, response=response, initial=initial, proposals=spelled(found)
        )
        self._tell(event, sa, line=self._line)


class Facts:
    """The events that a message's payloads are the only text of."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    def tell(self, packet: Packet, sa: Sa) -> None:
        """What a message that has been read to its end tells."""
        if packet.way == "seal":
            # The message itself shows nothing of what is inside.
            self._sealed(packet, sa)
            return
        request = packet.response is False
        if packet.way == "received" or packet.exchange == INIT:
            self._proposals(packet, sa, request)
        if packet.way == "received":
            auth = packet.of("AUTH")
            sa.method = method_of(auth) if auth is not None else sa.method
            self._selectors(packet, sa, request)
            if not request:
                self._errors(packet, sa)

    def _sealed(self, packet: Packet, sa: Sa) -> None:
        request = bool(sa.initiator) if sa.exchange in (INIT, AUTH, None) else True
        self._proposals(packet, sa, request)
        self._selectors(packet, sa, request)
        if request and sa.proposed is not None and packet.of("TSi") is not None:
            local, remote = sa.proposed
            self._tell(event_of(negotiation.SelectorsSent, local=local, remote=remote, transport=sa.transport), sa)
        if not request and packet.of("TSi") is not None and sa.proposed is not None:
            sa.exchange = AUTH if sa.exchange is None else sa.exchange
            self._tell(_chosen(sa, "local"), sa)
        error = error_of(packet)
        if not request and error is not None and packet.of("AUTH") is not None:
            self._tell(event_of(life.ChildRefused, by="local", notify=error, exchange=AUTH), sa)

    def _proposals(self, packet: Packet, sa: Sa, request: bool) -> None:
        payload = packet.of("SA")
        made = spelled(proposals_of(payload)) if payload is not None else ()
        if not made:
            return
        protocol = made[0].protocol
        if request:
            sa.offered[protocol] = made
            return
        offered: Any = sa.offered.get(protocol, UNSET)
        sa.chosen[protocol] = made[0]
        if sa.once("chosen", protocol, sa.facts.get("message_id"), packet.way):
            by: Any = "peer" if sa.initiator else "local"
            self._tell(
                event_of(negotiation.ProposalChosen, protocol=protocol, by=by, offered=offered, chosen=made[0]), sa
            )

    def _selectors(self, packet: Packet, sa: Sa, request: bool) -> None:
        ours, theirs = packet.of("TSi"), packet.of("TSr")
        if ours is None or theirs is None:
            return
        pair = selectors_of(ours), selectors_of(theirs)
        sa.transport = "USE_TRANSPORT_MODE" in packet.notifies()
        if request:
            sa.proposed, sa.answered = pair, None
        else:
            sa.answered = pair

    def _errors(self, packet: Packet, sa: Sa) -> None:
        """The peer's refusal; one in IKE_AUTH beside an AUTH payload is the Child SA's alone (RFC 7296 section 1.2)."""
        error = error_of(packet)
        exchange: Any = packet.exchange if packet.exchange is not None else UNSET
        if "COOKIE" in packet.notifies() and packet.exchange == INIT:
            cookie = packet.of("NOTIFY(COOKIE)")
            octets: Any = len(cookie.octets) if cookie is not None and cookie.octets else UNSET
            self._tell(event_of(message.CookieAnswered, octets=octets), sa)
        if error is None or not sa.once("refused", exchange, error):
            return
        if error == NotifyType.INVALID_KE_PAYLOAD and packet.exchange == INIT:
            payload = packet.of("NOTIFY(INVALID_KE_PAYLOAD)")
            wanted: Any = int.from_bytes(payload.octets, "big") if payload is not None and payload.octets else UNSET
            self._tell(event_of(message.InvalidKeAnswered, exchange=exchange, wanted=wanted), sa)
        elif packet.exchange == AUTH and packet.of("AUTH") is not None:
            self._tell(event_of(life.ChildRefused, by="peer", notify=error, exchange=AUTH), sa)
        else:
            self._tell(event_of(message.ResponseRefused, exchange=exchange, notify=error), sa)
