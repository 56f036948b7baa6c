"""RFC 7296 sections 2.11 to 2.24, and 4 and 5: addresses, keys by hand, errors, NAT; what an implementation must do."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec import structs
from tests.rfc.exchanges import (
    AUTH,
    CREATE,
    INFO,
    INIT,
    asked,
    first,
    header,
    lively,
    message,
    payloads,
)
from tests.support.world import ADDRESSES, BOTH, Side, configuration, feed, headline, impair, pair, sealed

from ikescope.crypto.suites import PRFS
from ikescope.engine.commands import Destination, Rekey
from ikescope.events.life import IkeSaCreated, SessionDown
from ikescope.events.negotiation import AuthVerified, NatChecked
from ikescope.ios.configuration import load
from ikescope.wire.cp import CpPayload, CpValue
from ikescope.wire.delete import DeletePayload
from ikescope.wire.ke import KePayload
from ikescope.wire.message import Message
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import CpAttribute, CpType, ExchangeType, NotifyType, PayloadType, ProtocolId, TransformType
from ikescope.wire.sa import SaPayload, transform
from ikescope.wire.ts import TsPayload
from ikescope.wire.unknown import UnknownPayload

CRITICAL = UnknownPayload(PayloadType.of(200), b"unknown", critical=True)
FORCED = Side(force_encap=True)


def with_payloads(*more: Payload, exchange: ExchangeType = AUTH) -> object:
    """A router whose requests of an exchange hold some payloads more; of a kind that is there, they take its place."""
    kinds = {payload.kind for payload in more if not isinstance(payload, NotifyPayload)}

    def mutate(kind: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        if kind != exchange or response:
            return chain
        return [*(payload for payload in chain if payload.kind not in kinds), *more]

    return mutate


def test_requests_are_answered_to_where_they_came_from() -> None:
    """IKE_SA_INIT from any port to 500 or 4500: the response goes from the address and port asked to the one asking."""
    ##= rfc7296#section-2.11 type=test
    ##% An implementation MUST accept incoming requests even if the source port is not 500 or 4500, and MUST respond to
    ##% the address and port from which the request was received.
    ##= rfc7296#section-2.11 type=test
    ##% It MUST specify the address and port at which the request was received as the source address and port in the
    ##% response.
    ##= rfc7296#section-2.23 type=test
    ##% they MUST be accepted coming from any port and responses MUST be sent to the port from whence they came.
    for here, there in ((500, 500), (500, 1024), (500, 65535), (4500, 4500), (4500, 61000)):
        one = pair()
        impair(one.world, lambda mail: True, [], times=None)
        one.ping("R1")
        path = Destination(ADDRESSES["R2"], here, ADDRESSES["R1"], there)
        station = one.station("R2")
        octets = message(one.sent("R1", INIT)[0]).encode()
        station.node.receive(octets, path, one.world.now)
        one.world.settle(station)
        assert one.world.mail[-1].path == path


LONG = "an-ASCII-string-of-" + "0123456789" * 5


def test_a_pre_shared_key_is_its_octets() -> None:
    """64 and more ASCII octets are the key, without a terminator; in hexadecimal any octets are; both ends agree."""
    ##= rfc7296#section-2.15 type=test
    ##% The management interface by which the shared secret is provided MUST accept ASCII strings of at least 64 octets
    ##% and MUST NOT add a null terminator before using them as shared secrets.
    ##= rfc7296#section-2.15 type=test
    ##% It MUST also accept a hex encoding of the shared secret.
    assert len(LONG) >= 64
    config = configuration("R1", Side(key=LONG))
    (block,) = config.keyrings["K"].peers
    assert block.local_key is not None
    assert block.local_key.octets == LONG.encode()
    one = pair(Side(key=LONG), Side(key=f"hex {LONG.encode().hex()}")).up()
    one.agree()


def test_a_keyring_takes_octets_that_no_keyboard_has() -> None:
    """`pre-shared-key hex 00ff0a`: three octets, the zero among them."""
    ##= rfc7296#section-2.15 type=test
    ##% It MUST also accept a hex encoding of the shared secret.
    text = "crypto ikev2 keyring K\n peer P\n  address 192.0.2.2\n  pre-shared-key hex 00ff0a"
    (block,) = load(text, name="R1.cfg").keyrings["K"].peers
    assert block.local_key is not None
    assert block.local_key.octets == b"\x00\xff\x0a"


@pytest.mark.parametrize("payload", [CRITICAL, UnknownPayload(PayloadType.SA, b"\x00\x00")])
def test_a_malformed_ike_auth_request_gets_its_error_alone(payload: Payload) -> None:
    """R: one Notify, neither IDr nor AUTH, to an IKE_AUTH request that is malformed or holds a critical stranger."""
    ##= rfc7296#section-2.21.2 type=test
    ##% MUST be rejected in their entirety, and MUST only lead to an UNSUPPORTED_CRITICAL_PAYLOAD or INVALID_SYNTAX
    ##% Notification sent as a response.
    one = pair()
    one.core("R1").mutate = with_payloads(payload)  # type: ignore[assignment]
    one.ping("R1")
    one.world.run(1)
    (refusal,) = payloads(one.sent("R2", AUTH)[0])
    assert isinstance(refusal, NotifyPayload)
    wanted = NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD if payload is CRITICAL else NotifyType.INVALID_SYNTAX
    assert refusal.notify_type == wanted
    assert one.ike("R1") == one.ike("R2") == []


@pytest.mark.parametrize(
    "kind", [NotifyType.NO_PROPOSAL_CHOSEN, NotifyType.FAILED_CP_REQUIRED, NotifyType.TS_UNACCEPTABLE]
)
def test_a_refused_child_sa_does_not_fail_authentication(kind: NotifyType) -> None:
    """R: IDr AUTH and an error of the first Child SA: I verifies AUTH, and the IKE SA is established at both ends."""
    ##= rfc7296#section-2.21.2 type=test
    ##% while sending error notifications for the piggybacked exchanges (FAILED_CP_REQUIRED, NO_PROPOSAL_CHOSEN, and so
    ##% on), and the initiator MUST NOT fail the authentication because of this.
    one = pair()

    def mutate(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        if exchange == AUTH and response:
            return [each for each in chain if each.kind in (PayloadType.IDR, PayloadType.AUTH)] + [NotifyPayload(kind)]
        return chain

    one.core("R2").mutate = mutate
    one.ping("R1")
    one.world.run(0.2)
    assert len(one.events("R1", AuthVerified)) == 1
    assert len(one.events("R1", IkeSaCreated)) == 1
    notifies = [each for event in one.sent("R1", INFO) for each in payloads(event) if isinstance(each, NotifyPayload)]
    assert NotifyType.AUTHENTICATION_FAILED not in [each.notify_type for each in notifies]


def test_an_error_in_a_response_is_told_to_nobody() -> None:
    """R: a CREATE_CHILD_SA response without sense: I tells its operator and sends no notify about it."""
    ##= rfc7296#section-2.21.3 type=test
    ##% Because sending such error messages as an INFORMATIONAL exchange might lead to further errors that could cause
    ##% loops, such errors SHOULD NOT be sent.
    for chain in ([], [CRITICAL], [NotifyPayload(NotifyType.REKEY_SA)]):
        one = pair().up()
        one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
        (number,) = one.one_ike("R1").out.in_flight
        impair(one.world, lambda mail: True, [], times=None)
        feed(one, "R1", sealed(one, "R2", chain, exchange=CREATE, response=True, message_id=number))
        one.world.run(1)
        sent = [each for event in one.sent("R1", INFO) for each in payloads(event)]
        assert all(isinstance(each, DeletePayload) for each in sent)


def test_every_faulty_request_of_a_known_peer_is_answered() -> None:
    """R, after authentication: an error notify in the response to each request that it cannot carry out."""
    ##= rfc7296#section-2.21.3 type=test
    ##% After the IKE SA is authenticated, all requests having errors MUST result in a response notifying the other end
    ##% of the error.
    ##= rfc7296#section-3.10.1 type=test
    ##% To avoid leaking information to someone probing a node, this status MUST be sent in response to any error not
    ##% covered by one of the other status types.
    cases: list[tuple[ExchangeType, list[Payload], NotifyType]] = [
        (CREATE, [], NotifyType.INVALID_SYNTAX),
        (CREATE, [CRITICAL], NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD),
        (INFO, [CRITICAL], NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD),
        (CREATE, [UnknownPayload(PayloadType.SA, b"\x01")], NotifyType.INVALID_SYNTAX),
        (INFO, [UnknownPayload(PayloadType.DELETE, b"\x03")], NotifyType.INVALID_SYNTAX),
    ]
    for exchange, chain, kind in cases:
        one = pair().up()
        (refusal,) = payloads(asked(one, chain, exchange=exchange))
        assert isinstance(refusal, NotifyPayload)
        assert refusal.notify_type == kind


def test_a_told_problem_changes_no_sa() -> None:
    """N(INVALID_SPI) or N(INVALID_MESSAGE_ID) within the IKE SA: answered, noted, and everything stands."""
    ##= rfc7296#section-2.21.4 type=test
    ##% The recipient MUST NOT change the state of any SAs as a result, but may wish to audit the event to aid in
    ##% diagnosing malfunctions.
    one = pair().up()
    spi = one.one_child("R2").inbound.to_bytes(4, "big")
    for notify in (
        NotifyPayload(NotifyType.INVALID_SPI, spi, ProtocolId.ESP, spi),
        NotifyPayload(NotifyType.INVALID_MESSAGE_ID, b"\x00\x00\x00\x09"),
    ):
        number = one.one_ike("R1").out.take()
        feed(one, "R2", sealed(one, "R1", [notify], message_id=number))
        assert payloads(one.sent("R2", INFO)[-1]) == ()
    assert one.events("R2", SessionDown) == []
    one.up()
    one.agree()


def test_both_ends_say_where_they_believe_to_be() -> None:
    """Each IKE_SA_INIT message holds NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP of 20 octets."""
    ##= rfc7296#section-2.23 type=test
    ##% Both the IKE initiator and responder MUST include in their IKE_SA_INIT packets Notify payloads of type
    ##% NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP.
    for name in BOTH:
        notifies = {
            each.notify_type: each.data
            for each in message(lively().sent(name, INIT)[0]).payloads
            if isinstance(each, NotifyPayload)
        }
        assert {NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP} <= set(notifies)
        assert {len(data) for data in notifies.values()} == {20}


def test_with_a_nat_everything_goes_over_port_4500() -> None:
    """A NAT, here a claimed one: IKE_AUTH and all after it from 4500 to 4500, ESP in UDP there and never at 500."""
    ##= rfc7296#section-2.23 type=test
    ##% MUST send all subsequent traffic from port 4500
    ##= rfc7296#section-2.23 type=test
    ##% UDP encapsulation MUST NOT be done on port 500.
    ##= rfc7296#section-2.23 type=test
    ##% However, if a NAT is detected, both devices MUST use UDP encapsulation for ESP.
    ##= rfc7296#section-2.23 type=test
    ##% The IKE initiator MUST check the NAT_DETECTION_SOURCE_IP or NAT_DETECTION_DESTINATION_IP payloads if present,
    ##% and if they do not match the addresses in the outer packet, MUST tunnel all future IKE and ESP packets
    ##% associated with this IKE SA over UDP port 4500.
    one = pair(FORCED).up()
    one.ask("R2", Rekey())
    one.world.run(3)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(8)
    one.up("R2")
    ports = {
        (mail.kind, mail.kind == "ike" and headline(mail)[1] == INIT, mail.path.local_port, mail.path.remote_port)
        for mail in one.world.mail
    }
    assert ports == {("ike", True, 500, 500), ("ike", False, 4500, 4500), ("esp-udp", False, 4500, 4500)}
    assert one.events("R2", NatChecked)[0].remote_behind


@pytest.mark.parametrize("side", [Side(), FORCED])
def test_esp_is_taken_in_udp_and_without_it(side: Side) -> None:
    """A verified ESP packet is delivered whether it comes in UDP or right in IP, whatever the SA itself uses."""
    ##= rfc7296#section-2.23 type=test
    ##% all devices MUST be able to receive and process both UDP-encapsulated ESP and non-UDP-encapsulated ESP packets
    ##% at any time.
    ##= rfc7296#section-2.23 type=test
    ##% Implementations MUST process received UDP-encapsulated ESP packets even when no NAT was detected.
    for udp in (True, False):
        one = pair(side).up()
        one.world.impairments.append(lambda mail: [] if mail.kind != "ike" else None)
        one.ping("R1")
        packet, plane = one.world.mail[-1].octets, one.station("R2").plane
        before = one.station("R2").counters(one.one_child("R2").inbound, "in").packets
        if udp:
            plane.esp_from_udp(packet, ADDRESSES["R2"], ADDRESSES["R1"], 4500, one.world.now)
        else:
            plane.esp_from_ip(packet, ADDRESSES["R2"], ADDRESSES["R1"], one.world.now)
        assert one.station("R2").counters(one.one_child("R2").inbound, "in").packets == before + 1


def test_transport_mode_has_one_address_at_each_end() -> None:
    """GRE in transport mode: TSi is the initiator's address alone, TSr the responder's, those of the IKE SA."""
    ##= rfc7296#section-2.23.1 type=test
    ##% For transport mode, it MUST use exactly one IP address in the TSi and TSr payloads.
    ##= rfc7296#section-2.23.1 type=test
    ##% The TSi entries MUST have exactly one IP address, and that MUST match the source address of the IKE SA.
    ##= rfc7296#section-2.23.1 type=test
    ##% The TSr entries MUST have exactly one IP address, and that MUST match the destination address of the IKE SA.
    ##= rfc7296#section-2.23 type=test
    ##% In the case of transport mode NAT traversal, the Traffic Selectors MUST contain exactly one IP address
    ##= rfc7296#section-2.23.1 type=test
    ##% The first Traffic Selector of TSi and TSr SHOULD have very specific Traffic Selectors including protocol and
    ##% port numbers
    ##= rfc7296#section-2.23.1 type=test
    ##% The first TSi and TSr Traffic Selectors SHOULD have very specific Traffic Selectors including protocol and port
    ##% numbers
    one = pair(FORCED).up()
    assert one.one_child("R1").transport
    path = one.one_ike("R1").path
    for event in (one.sent("R1", AUTH)[0], one.sent("R2", AUTH)[0]):
        for kind, address in ((PayloadType.TSI, path.local), (PayloadType.TSR, path.remote)):
            (found,) = [each for each in payloads(event) if isinstance(each, TsPayload) and each.kind == kind]
            assert {end for each in found.selectors for end in (each.first, each.last)} == {address}
            assert found.selectors[0].protocol == 47


def test_without_pfs_a_key_exchange_may_be_left_out() -> None:
    """I: CREATE_CHILD_SA that offers NONE first, and KE; R, which chooses NONE, answers without a KE payload."""
    ##= rfc7296#section-3.3.6 type=test
    ##% If one of the proposals offered is for the Diffie-Hellman group of NONE, and the responder selects that
    ##% Diffie-Hellman group, then it MUST ignore the initiator's KE payload and omit the KE payload from the response.
    one = pair(Side(pfs=19)).up()
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    chain = payloads(one.sent("R1", CREATE)[0])
    (offer,) = first(chain, SaPayload).proposals
    kept = tuple(each for each in offer.transforms if each.type != TransformType.KE)
    both = structs.replace(offer, transforms=(*kept, transform(4, 0), transform(4, 19)))
    assert any(isinstance(each, KePayload) for each in chain)
    one = pair().up()
    body = [SaPayload((both,)) if isinstance(each, SaPayload) else each for each in chain[1:]]
    answer = payloads(asked(one, body, exchange=CREATE))
    (chosen,) = first(answer, SaPayload).proposals
    assert [each.id for each in chosen.of(TransformType.KE)] == [0]
    assert not any(isinstance(each, KePayload) for each in answer)


STRANGE = (CpValue(CpAttribute.of(5), b"\x00\x00\x0e\x10"), CpValue(CpAttribute.of(16385), b"strange"))


def test_configuration_attributes_that_we_do_not_know_are_ignored() -> None:
    """CFG_REQUEST with types 5 and 16385: neither is in the reply, the version that was asked for is."""
    ##= rfc7296#section-1.7 type=test
    ##% Implementations that conform to this document MUST ignore proposals that have configuration attribute type 5
    ##= rfc7296#section-3.15.1 type=test
    ##% Unrecognized or unsupported attributes MUST be ignored in both requests and responses.
    ##= rfc7296#section-3.15.1 type=test
    ##% o Reserved (1 bit) - This bit MUST be set to zero and MUST be ignored on receipt.
    one = pair()
    version = CpValue(CpAttribute.APPLICATION_VERSION, reserved_bit=True)
    request = CpPayload(CpType.CFG_REQUEST, (*STRANGE, version), reserved=b"\xff" * 3)
    one.core("R1").mutate = with_payloads(request)  # type: ignore[assignment]
    one.up()
    reply = first(payloads(one.sent("R2", AUTH)[0]), CpPayload)
    assert [each.type for each in reply.attributes] == [CpAttribute.APPLICATION_VERSION]
    one.agree()
    one = pair()
    one.core("R2").mutate = lambda exchange, response, chain: [
        structs.replace(each, attributes=(*each.attributes, *STRANGE)) if isinstance(each, CpPayload) else each
        for each in chain
    ]
    one.up()
    one.agree()


def test_a_configuration_that_is_set_on_us_is_not_taken() -> None:
    """CFG_SET: none of its attributes is accepted, and the response holds no CFG_ACK; the SA comes up."""
    ##= rfc7296#section-3.15.1 type=test
    ##% If no attributes were accepted, the responder MUST return either an empty CFG_ACK payload or a response message
    ##% without a CFG_ACK payload.
    one = pair()
    one.core("R1").mutate = with_payloads(
        CpPayload(CpType.CFG_SET, (*STRANGE, CpValue(CpAttribute.APPLICATION_VERSION)))
    )  # type: ignore[assignment]
    one.up()
    one.agree()
    assert not any(isinstance(each, CpPayload) for each in payloads(one.sent("R2", AUTH)[0]))


def test_two_sas_in_four_messages() -> None:
    """IKE_SA_INIT and IKE_AUTH, a request and a response each, and both the IKE SA and an ESP SA pair stand."""
    ##= rfc7296#section-4 type=test
    ##% Every implementation MUST be capable of doing four-message IKE_SA_INIT and IKE_AUTH exchanges establishing two
    ##% SAs
    one = pair().up()
    one.agree()
    assert [header(event).exchange for name in BOTH for event in one.sent(name)] == [INIT, AUTH, INIT, AUTH]


def test_every_prf_has_at_least_128_bits() -> None:
    """No pseudorandom function of ours gives or takes fewer than 16 octets."""
    ##= rfc7296#section-5 type=test
    ##% a PRF whose output is less than 128 bits (e.g., 3DES-CBC) MUST NOT be used with this protocol.
    assert PRFS
    assert min(prf.output_octets for prf in PRFS.values()) >= 16


def test_a_higher_major_version_is_told_ours() -> None:
    """I: a message of version 3.0; R: N(INVALID_MAJOR_VERSION) in a message of version 2.0, and no IKE SA."""
    ##= rfc7296#section-2.5 type=test
    ##% If an endpoint receives a message with a higher major version number, it MUST drop the message and SHOULD send
    ##% an unauthenticated Notify message of type INVALID_MAJOR_VERSION containing the highest (closest) version number
    ##% it supports.
    ##= rfc7296#section-3.1 type=test
    ##% MUST reject or ignore messages containing a version number greater than 2 with an INVALID_MAJOR_VERSION
    ##% notification message
    one = pair()
    impair(one.world, lambda mail: True, [], times=None)
    one.ping("R1")
    feed(one, "R2", structs.replace(message(one.sent("R1", INIT)[0]), version=0x30).encode())
    answer = Message.parse(one.world.mail[-1].octets)
    assert (answer.version, answer.response, answer.message_id) == (0x20, True, 0)
    assert [getattr(each, "notify_type", 0) for each in answer.payloads] == [NotifyType.INVALID_MAJOR_VERSION]
    assert one.ike("R2") == []


def test_an_unknown_ike_sa_is_told_in_the_clear() -> None:
    """I: a sealed request for an IKE SA that R lost; R: N(INVALID_IKE_SPI), SPIs and message ID as they came."""
    ##= rfc7296#section-2.21.4 type=test
    ##% If a response is sent, the response MUST be sent to the IP address and port from where it came with the same
    ##% IKE SPIs and the Message ID copied.
    ##= rfc7296#section-2.21.4 type=test
    ##% The response MUST NOT be cryptographically protected and MUST contain an INVALID_IKE_SPI Notify payload.
    one = pair().up()
    request = sealed(one, "R1", [], message_id=9)
    one.world.remove("R2")
    one.world.add(configuration("R2", Side()), name="R2")
    path = Destination(ADDRESSES["R2"], 500, ADDRESSES["R1"], 4711)
    station = one.station("R2")
    station.node.receive(request, path, one.world.now)
    one.world.settle(station)
    mail = one.world.mail[-1]
    answer = Message.parse(mail.octets)
    assert mail.path == path
    assert (answer.spi_i, answer.spi_r, answer.message_id) == (request[:8], request[8:16], 9)
    assert (answer.response, answer.exchange) == (True, INFO)
    assert [getattr(each, "notify_type", 0) for each in answer.payloads] == [NotifyType.INVALID_IKE_SPI]


def test_a_peer_that_makes_no_further_sa_gets_a_new_ike_sa() -> None:
    """R answers each CREATE_CHILD_SA with N(NO_ADDITIONAL_SAS): I deletes the IKE SA and begins anew; pings go on."""
    ##= rfc7296#section-4 type=test
    ##% If the responder rejects the CREATE_CHILD_SA request with a NO_ADDITIONAL_SAS notification, the implementation
    ##% MUST be capable of instead deleting the old SA and creating a new one.
    one = pair(Side(child_lifetime=120), Side()).up()

    def mutate(exchange: ExchangeType, response: bool, chain: Sequence[Payload]) -> Sequence[Payload]:
        return [NotifyPayload(NotifyType.NO_ADDITIONAL_SAS)] if exchange == CREATE and response else chain

    one.core("R2").mutate = mutate
    for _ in range(400):
        one.ping("R1")
        one.world.run(1)
    assert len(one.sent("R1", INIT)) >= 3
    assert len(one.lost()) < 40
    assert [ping.received is not None for ping in one.watched[-3:]] == [True] * 3
    one.sound()
