"""RFC 7296 section 3: what stands on the wire, whoever reads it."""

from __future__ import annotations

import itertools

import pytest
from msgspec import structs
from tests.rfc.exchanges import AUTH, CREATE, INFO, INIT, all_sent, asked, drops, every, first, header, lively, message
from tests.rfc.exchanges import payloads as inside
from tests.support.world import ADDRESSES, BOTH, Side, feed, headline, pair, sealed

from ikescope.engine.commands import Rekey
from ikescope.engine.tasks import ike_auth
from ikescope.errors import DecodeError
from ikescope.events.life import LivenessReceived
from ikescope.wire import message as framing
from ikescope.wire.auth import AuthPayload
from ikescope.wire.cp import CpPayload
from ikescope.wire.delete import DeletePayload
from ikescope.wire.header import FLAG_VERSION
from ikescope.wire.identification import IdPayload
from ikescope.wire.ke import KePayload
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import IdType, NotifyType, PayloadType, ProtocolId, TransformType
from ikescope.wire.sa import SaPayload
from ikescope.wire.ts import TsPayload
from ikescope.wire.vendor import VendorIdPayload

X_BITS = 0xC7
SUITES = [("cbc", "cbc"), ("gcm", "gcm")]


def test_the_header_of_every_message() -> None:
    """Version 2.0, no flag but I and R, those as the roles are; a zero responder SPI in the first request only."""
    ##= rfc7296#section-3.1 type=test
    ##% Implementations based on this version of IKE MUST set the major version to 2.
    ##= rfc7296#section-3.1 type=test
    ##% Implementations based on this version of IKE MUST set the minor version to 0.
    ##= rfc7296#section-3.1 type=test
    ##% This bit MUST be cleared in all request messages and MUST be set in all responses.
    ##= rfc7296#section-3.1 type=test
    ##% This bit MUST be set in messages sent by the original initiator of the IKE SA and MUST be cleared in messages
    ##% sent by the original responder.
    ##= rfc7296#section-3.1 type=test
    ##% This value MUST be zero in the first message of an IKE initial exchange
    one = lively()
    initiators = {header(one.sent("R1", INIT)[0]).spi_i: "R1"}
    for name, event in all_sent(one):
        if event.exchange == CREATE and not event.response:
            (proposal,) = first(inside(event), SaPayload).proposals
            initiators |= {proposal.spi: name} if proposal.protocol == ProtocolId.IKE else {}
    assert len(initiators) == 3
    for name, event in all_sent(one):
        head = header(event)
        assert head.version == 0x20
        assert head.response == event.response
        assert head.initiator == (initiators[head.spi_i] == name)
        assert not head.flags & (X_BITS | FLAG_VERSION)
        assert any(head.spi_i)
        assert any(head.spi_r) != (event.exchange == INIT and not event.response)


def test_reserved_header_bits_and_the_minor_version_are_ignored() -> None:
    """A request with minor version 15, V and all X bits set is answered with version 2.0 and those bits clear."""
    ##= rfc7296#section-3.1 type=test
    ##% 'X' bits MUST be cleared when sending and MUST be ignored on receipt.
    ##= rfc7296#section-3.1 type=test
    ##% Implementations of IKEv2 MUST clear this bit when sending and MUST ignore it in incoming messages.
    ##= rfc7296#section-3.1 type=test
    ##% They MUST ignore the minor version number of received messages.
    ##= rfc7296#section-2.5 type=test
    ##% The minor version number indicates new capabilities, and MUST be ignored by a node with a smaller minor version
    ##% number
    ##= rfc7296#section-2.5 type=test
    ##% If it receives a message with a major version that it supports, it MUST respond with that version number.
    one = pair()
    one.world.impairments.append(lambda mail: [] if headline(mail)[0] == "R1" else None)
    one.ping("R1")
    (request,) = one.sent("R1", INIT)
    twisted = structs.replace(message(request), version=0x2F, other_flags=X_BITS | FLAG_VERSION)
    feed(one, "R2", twisted.encode())
    (answer,) = one.sent("R2", INIT)
    assert header(answer).version == 0x20
    assert header(answer).flags == 0x20
    one = pair().up()
    sa = one.one_ike("R1")
    assert sa.envelope is not None
    flags = 0x08 | X_BITS | FLAG_VERSION
    octets = sa.envelope.seal(sa.spi_i, sa.spi_r, INFO, flags, sa.out.next_id, 0, b"", one.core("R1").random)
    feed(one, "R2", octets)
    assert len(one.events("R2", LivenessReceived)) == 1
    assert header(one.sent("R2", INFO)[0]).flags == 0x20


class _Noisy:
    """The generic payload header with its reserved and critical bits set."""

    def __init__(self, critical: bool) -> None:
        self.flags = 0xFF if critical else 0x7F
        self.unpack_from = framing._GENERIC.unpack_from

    def pack(self, following: int, flags: int, length: int) -> bytes:
        """As the original, the bits on top."""
        return bytes((following, flags | self.flags)) + length.to_bytes(2, "big")


RESERVED = (KePayload, IdPayload, AuthPayload, TsPayload, CpPayload)
_encode_body = framing._encode_body


def _noisy(payload: Payload) -> bytes:
    """The body of a payload with all its reserved octets set; those of an identity are signed and set elsewhere."""
    if isinstance(payload, KePayload | AuthPayload | TsPayload | CpPayload):
        payload = structs.replace(payload, reserved=b"\xff" * len(payload.reserved))
    if isinstance(payload, SaPayload):
        proposals = []
        for each in payload.proposals:
            transforms = tuple(structs.replace(one, reserved=b"\xff\xff") for one in each.transforms)
            proposals.append(structs.replace(each, reserved=0xFF, transforms=transforms))
        payload = structs.replace(payload, proposals=tuple(proposals))
    return _encode_body(payload)


@pytest.mark.parametrize("critical", [False, True])
def test_reserved_fields_are_ignored_in_every_exchange(monkeypatch: pytest.MonkeyPatch, critical: bool) -> None:
    """With all reserved octets (and the critical bit of known payloads) set by both ends, everything works the same."""
    ##= rfc7296#section-2.5 type=test
    ##% all fields marked RESERVED MUST be set to zero by an implementation running version 2.0, and their content MUST
    ##% be ignored by an implementation running version 2.0
    ##= rfc7296#section-3.2 type=test
    ##% MUST be ignored by the recipient if the recipient understands the payload type code.
    ##= rfc7296#section-3.2 type=test
    ##% o RESERVED (7 bits) - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.3.1 type=test
    ##% o RESERVED (1 octet) - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.3.2 type=test
    ##% o RESERVED - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.5 type=test
    ##% o RESERVED - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.8 type=test
    ##% o RESERVED - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.13 type=test
    ##% o RESERVED - This field MUST be sent as zero and MUST be ignored on receipt.
    ##= rfc7296#section-3.15 type=test
    ##% o RESERVED (3 octets) - MUST be sent as zero; MUST be ignored on receipt.
    identity = ike_auth._id_payload
    monkeypatch.setattr(ike_auth, "_id_payload", lambda *some: structs.replace(identity(*some), reserved=b"\xff" * 3))
    monkeypatch.setattr(framing, "_encode_body", _noisy)
    monkeypatch.setattr(framing, "_GENERIC", _Noisy(critical))
    one = pair(Side(second=True, pfs=19)).up()
    one.up(third=1)
    for name in BOTH:
        one.ask(name, Rekey(spi=one.children(name)[0].inbound))
        one.world.run(8)
        one.ask(name, Rekey())
        one.world.run(8)
    one.agree(children=2)
    assert one.lost() == []
    ids = every(one, IdPayload)
    assert {each.reserved for each in ids} == {b"\xff" * 3}


def test_reserved_fields_are_sent_as_zero() -> None:
    """No reserved bit or octet of any payload of ours is set, nor its critical bit."""
    ##= rfc7296#section-3.2 type=test
    ##% MUST be set to zero if the sender wants the recipient to skip this payload
    ##= rfc7296#section-3.2 type=test
    ##% MUST be set to zero for payload types defined in this document.
    ##= rfc7296#section-3.2 type=test
    ##% o RESERVED (7 bits) - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.3.1 type=test
    ##% o RESERVED (1 octet) - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.3.2 type=test
    ##% o RESERVED - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.5 type=test
    ##% o RESERVED - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.8 type=test
    ##% o RESERVED - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-3.13 type=test
    ##% o RESERVED - This field MUST be sent as zero and MUST be ignored on receipt.
    ##= rfc7296#section-3.15 type=test
    ##% o RESERVED (3 octets) - MUST be sent as zero; MUST be ignored on receipt.
    ##= rfc7296#section-2.5 type=test
    ##% Payloads sent in IKE response messages MUST NOT have the critical flag set.
    ##= rfc7296#section-3.12 type=test
    ##% the critical bit MUST be set to 0
    one = lively()
    seen = set()
    for _, event in all_sent(one):
        for payload in (*message(event).payloads, *inside(event)):
            seen.add(type(payload))
            assert not payload.critical
            assert not payload.header_reserved
            if isinstance(payload, RESERVED):
                assert not any(payload.reserved)
    assert {SaPayload, NoncePayload, NotifyPayload, DeletePayload, VendorIdPayload, *RESERVED} <= seen
    for sa in every(one, SaPayload):
        for proposal in sa.proposals:
            assert not proposal.reserved
            assert not any(each for transform in proposal.transforms for each in transform.reserved)
    for config in every(one, CpPayload):
        ##= rfc7296#section-3.15.1 type=test
        ##% o Reserved (1 bit) - This bit MUST be set to zero and MUST be ignored on receipt.
        assert not any(attribute.reserved_bit for attribute in config.attributes)


@pytest.mark.parametrize("suites", SUITES)
def test_key_lengths_stand_where_they_belong(suites: tuple[str, str]) -> None:
    """AES always has one Key Length, in bits and two octets; transforms of a fixed length never have one."""
    ##= rfc7296#section-3.3 type=test
    ##% A transform MUST NOT have multiple attributes of the same type.
    ##= rfc7296#section-3.3.5 type=test
    ##% The Key Length attribute specifies the key length in bits (MUST use network byte order)
    ##= rfc7296#section-3.3.5 type=test
    ##% o The Key Length attribute MUST NOT be used with transforms that use a fixed-length key.
    ##= rfc7296#section-2.13 type=test
    ##% For algorithms that accept a variable-length key, a fixed key size MUST be specified as part of the
    ##% cryptographic transform negotiated
    transforms = [
        each for sa in every(lively(*suites), SaPayload) for proposal in sa.proposals for each in proposal.transforms
    ]
    assert transforms
    for transform in transforms:
        assert len(transform.attributes) <= 1
        if transform.type == TransformType.ENCR and transform.id in (12, 20):
            (attribute,) = transform.attributes
            assert attribute.encode() in (b"\x80\x0e\x00\x80", b"\x80\x0e\x01\x00")
        else:
            assert transform.attributes == ()


def test_several_key_lengths_are_several_transforms() -> None:
    """AES-CBC with 256 and 128 bits is offered as two transforms of one Key Length each."""
    ##= rfc7296#section-3.3 type=test
    ##% an implementation MUST include multiple transforms with the same Transform Type each with a single Attribute.
    one = pair(Side(ike="cbc"))
    config = one.core("R1").config
    proposals = {
        name: structs.replace(
            proposal,
            encryption=(*proposal.encryption, structs.replace(proposal.encryption[0], key_length=128)),
        )
        for name, proposal in config.proposals.items()
    }
    one.core("R1").config = structs.replace(config, proposals=proposals)
    one.up()
    sa = first(message(one.sent("R1", INIT)[0]).payloads, SaPayload)
    found = [each.key_length for each in sa.proposals[0].of(TransformType.ENCR)]
    assert found == [256, 128]


@pytest.mark.parametrize("suites", SUITES)
def test_an_answer_is_one_proposal_as_it_was_offered(suites: tuple[str, str]) -> None:
    """Number, protocol and attributes of what is chosen are those of the proposal that was sent."""
    ##= rfc7296#section-3.3.1 type=test
    ##% When a proposal is accepted, the proposal number in the SA payload MUST match the number on the proposal sent
    ##% that was accepted.
    ##= rfc7296#section-2.7 type=test
    ##% If a proposal is accepted, the SA response MUST contain the same protocol.
    ##= rfc7296#section-3.3.6 type=test
    ##% Any attributes of a selected transform MUST be returned unmodified.
    one = lively(*suites)
    pairs = 0
    for name, event in all_sent(one):
        offers = [payload for payload in inside(event) if isinstance(payload, SaPayload)]
        if event.response or not offers:
            continue
        head = header(event)
        answers = [
            answer
            for answer in one.sent("R2" if name == "R1" else "R1", response=True)
            if (header(answer).message_id, header(answer).spi_i) == (head.message_id, head.spi_i)
        ]
        (chosen,) = first(inside(answers[0]), SaPayload).proposals
        offered = {proposal.number: proposal for proposal in offers[0].proposals}[chosen.number]
        assert chosen.protocol == offered.protocol
        assert set(chosen.transforms) <= set(offered.transforms)
        pairs += 1
    assert pairs >= 6


def test_a_ke_payload_is_of_a_group_that_is_proposed_first() -> None:
    """KE's group is the first group of the first proposal; without a group in the SA payload there is no KE."""
    ##= rfc7296#section-3.4 type=test
    ##% This Diffie-Hellman Group Num MUST match a Diffie-Hellman group specified in a proposal in the SA payload that
    ##% is sent in the same message, and SHOULD match the Diffie-Hellman group in the first group in the first proposal
    ##= rfc7296#section-3.4 type=test
    ##% If none of the proposals in that SA payload specifies a Diffie-Hellman group, the KE payload MUST NOT be
    ##% present.
    ##= rfc7296#section-1.3 type=test
    ##% If a CREATE_CHILD_SA exchange includes a KEi payload, at least one of the SA offers MUST include the
    ##% Diffie-Hellman group of the KEi.
    ##= rfc7296#section-3.3.6 type=test
    ##% it SHOULD pick the one the responder is most likely to accept and include a KE corresponding to that group.
    seen = []
    plain = pair(Side(second=True)).up()
    plain.up(third=1)
    for _, event in (*all_sent(lively()), *all_sent(plain)):
        chain = inside(event)
        if not any(isinstance(payload, SaPayload) for payload in chain):
            continue
        groups = [each.id for each in first(chain, SaPayload).proposals[0].of(TransformType.KE)]
        keys = [payload.group for payload in chain if isinstance(payload, KePayload)]
        assert keys == groups[:1]
        seen.append((event.exchange, bool(keys)))
    assert {(INIT, True), (AUTH, False), (CREATE, True), (CREATE, False)} <= set(seen)


def test_nonces_are_long_random_and_new() -> None:
    """32 octets, no two alike in a session with six nonce pairs; 15 and 257 octets are refused."""
    ##= rfc7296#section-3.9 type=test
    ##% The size of the Nonce Data MUST be between 16 and 256 octets, inclusive.
    ##= rfc7296#section-3.9 type=test
    ##% Nonce values MUST NOT be reused.
    ##= rfc7296#section-2.10 type=test
    ##% Nonces used in IKEv2 MUST be randomly chosen, MUST be at least 128 bits in size, and MUST be at least half the
    ##% key size of the negotiated pseudorandom function (PRF).
    one = lively()
    nonces = [payload.data for payload in every(one, NoncePayload)]
    assert len(nonces) == 12
    assert len(set(nonces)) == len(nonces)
    assert {len(nonce) for nonce in nonces} == {32}
    for octets in (15, 257):
        with pytest.raises(DecodeError, match=f"had {octets}, wanted 16 to 256"):
            framing.parse_chain(PayloadType.NONCE, bytes((0, 0)) + (octets + 4).to_bytes(2, "big") + bytes(octets))


def test_notifies_name_their_sa_as_the_section_says() -> None:
    """About a Child SA: protocol ESP and its SPI; about the IKE SA: neither."""
    ##= rfc7296#section-3.10 type=test
    ##% For notifications concerning Child SAs, this field MUST contain either (2) to indicate AH or (3) to indicate
    ##% ESP.
    ##= rfc7296#section-3.10 type=test
    ##% If the SPI field is empty, this field MUST be sent as zero and MUST be ignored on receipt.
    ##= rfc7296#section-3.10 type=test
    ##% For a notification concerning the IKE SA, the SPI Size MUST be zero and the field must be empty.
    for notify in every(lively(), NotifyPayload):
        if notify.notify_type == NotifyType.REKEY_SA:
            assert (notify.protocol, len(notify.spi)) == (ProtocolId.ESP, 4)
        else:
            assert (notify.protocol, notify.spi) == (ProtocolId.NONE, b"")
    one = pair().up()
    answer = asked(one, [NotifyPayload(NotifyType.ESP_TFC_PADDING_NOT_SUPPORTED, b"", ProtocolId.of(77))])
    assert inside(answer) == ()
    one.agree()


@pytest.mark.parametrize("kind", [8191, 40961])
def test_unknown_notifies_in_a_request_are_ignored(kind: int) -> None:
    """An error or status type that nobody knows changes nothing, in a request that creates or only informs."""
    ##= rfc7296#section-3.10.1 type=test
    ##% Unrecognized error types in a request and status types in a request or response MUST be ignored
    one = pair().up()
    assert inside(asked(one, [NotifyPayload(NotifyType.of(kind), b"data")])) == ()
    one.agree()


def test_status_notifies_are_ignored_wherever_they_stand() -> None:
    """An unknown status type rides along in every request and response of a session that works the same."""
    ##= rfc7296#section-3.10.1 type=test
    ##% Notify payloads with status types MAY be added to any message and MUST be ignored if not recognized.
    ##= rfc7296#section-3.12 type=test
    ##% Unfamiliar Vendor IDs MUST be ignored.
    one = pair().up()
    extra = [NotifyPayload(NotifyType.of(40961), b"data"), VendorIdPayload(b"somebody else's")]
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    chain = inside(one.sent("R1", CREATE)[0])
    one = pair().up()
    assert first(inside(asked(one, [*chain[1:], *extra], exchange=CREATE)), SaPayload).proposals


@pytest.mark.parametrize("kind", [8191, NotifyType.NO_ADDITIONAL_SAS, NotifyType.NO_PROPOSAL_CHOSEN])
def test_an_error_notify_in_a_response_means_the_request_failed(kind: int) -> None:
    """Known or not, an error type in a response to CREATE_CHILD_SA leaves no Child SA, and the IKE SA stands."""
    ##= rfc7296#section-3.10.1 type=test
    ##% An implementation receiving a Notify payload with one of these types that it does not recognize in a response
    ##% MUST assume that the corresponding request has failed entirely.
    one = pair(Side(second=True)).up()
    one.ping("R1", third=1)
    (number,) = one.one_ike("R1").out.in_flight
    one.world.impairments.append(lambda mail: [])
    answer = sealed(one, "R2", [NotifyPayload(NotifyType.of(kind))], exchange=CREATE, response=True, message_id=number)
    feed(one, "R1", answer)
    assert len(one.children("R1")) == 1
    assert not one.one_ike("R1").out.in_flight
    assert len(one.ike("R1")) == 1


def test_deletes_are_of_one_protocol_and_size() -> None:
    """D(IKE) has no SPI, D(ESP) has SPIs of four octets; no Delete mixes them."""
    ##= rfc7296#section-3.11 type=test
    ##% It MUST be zero for IKE (SPI is in message header) or four for AH and ESP.
    ##= rfc7296#section-3.11 type=test
    ##% It is possible to send multiple SPIs in a Delete payload; however, each SPI MUST be for the same protocol.
    ##= rfc7296#section-3.11 type=test
    ##% Mixing of protocol identifiers MUST NOT be performed in the Delete payload.
    deletes = every(lively(), DeletePayload)
    assert {each.protocol for each in deletes} == {ProtocolId.IKE, ProtocolId.ESP}
    for delete in deletes:
        assert {len(spi) for spi in delete.spis} == (set() if delete.protocol == ProtocolId.IKE else {4})
        assert delete.encode_body()[1] == (0 if delete.protocol == ProtocolId.IKE else 4)


def test_any_port_and_opaque_ports() -> None:
    """Any port is 0 to 65535 on the wire; 65535 to 0 is OPAQUE, read and not mistaken for an empty range."""
    ##= rfc7296#section-3.13.1 type=test
    ##% For protocols for which port is undefined (including protocol 0), or if all ports are allowed, this field MUST
    ##% be zero.
    ##= rfc7296#section-3.13.1 type=test
    ##% For protocols for which port is undefined (including protocol 0), or if all ports are allowed, this field MUST
    ##% be 65535.
    ##= rfc7296#section-3.13.1 type=test
    ##% that wish to indicate "ANY" ports MUST set the start port to 0 and the end port to 65535
    selectors = list(itertools.chain.from_iterable(each.selectors for each in every(lively(), TsPayload)))
    whole = [each for each in selectors if each.protocol in (0, 47)]
    assert whole
    assert {(each.start_port, each.end_port) for each in whole} == {(0, 65535)}


@pytest.mark.parametrize("suites", SUITES)
def test_padding_fills_whole_blocks(suites: tuple[str, str]) -> None:
    """Whatever is inside, an Encrypted payload is IV, whole blocks and ICV, with no block more than needed."""
    ##= rfc7296#section-3.14 type=test
    ##% MUST have a length that makes the combination of the payloads, the Padding, and the Pad Length to be a multiple
    ##% of the encryption block size.
    ##= rfc7296#section-3.14 type=test
    ##% The sender SHOULD set the Pad Length to the minimum value that makes the combination
    one = lively(*suites)
    iv, block, icv = (16, 16, 32) if suites[0] == "cbc" else (8, 1, 16)
    sizes = set()
    for _, event in all_sent(one):
        if event.exchange != INIT:
            assert isinstance(event.opened, bytes)
            ciphertext = event.size - 28 - 4 - iv - icv
            assert ciphertext == -(-(len(event.opened) + 1) // block) * block
            sizes.add(len(event.opened) % 16)
    assert len(sizes) > 2


def test_identities_have_no_terminator_and_are_of_every_configured_type() -> None:
    """Address, FQDN, e-mail and key-id are sent as configured, octet for octet, and accepted by the other end."""
    ##= rfc7296#section-3.5 type=test
    ##% The string MUST NOT contain any terminators (e.g., NULL, CR, etc.).
    ##= rfc7296#section-3.5 type=test
    ##% The string MUST NOT contain any terminators.
    ##= rfc7296#section-3.5 type=test
    ##% implementations MUST be configurable to send at least one of ID_IPV4_ADDR, ID_FQDN, ID_RFC822_ADDR, or
    ##% ID_KEY_ID, and MUST be configurable to accept all of these four types.
    kinds = {
        "": (IdType.ID_IPV4_ADDR, ADDRESSES["R1"].packed),
        "fqdn r1.example": (IdType.ID_FQDN, b"r1.example"),
        "email r1@example.org": (IdType.ID_RFC822_ADDR, b"r1@example.org"),
        "key-id site-1": (IdType.ID_KEY_ID, b"site-1"),
    }
    for words, wanted in kinds.items():
        match = words or "address 192.0.2.1 255.255.255.255"
        one = pair(Side(identity=words), Side(match=match)).up()
        sent = first(inside(one.sent("R1", AUTH)[0]), IdPayload)
        assert (sent.id_type, sent.data) == wanted
        one.agree()


def test_a_message_of_a_higher_major_version_is_not_processed() -> None:
    """Major version 3: dropped with its reason, no IKE SA comes of it."""
    one = pair()
    one.world.impairments.append(lambda mail: [])
    one.ping("R1")
    feed(one, "R2", structs.replace(message(one.sent("R1", INIT)[0]), version=0x30).encode())
    assert drops(one, "R2") == ["MAJOR_VERSION"]
    assert one.ike("R2") == []
