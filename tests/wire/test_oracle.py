"""Scapy's IKEv2 layer as an oracle that shares no code and no author with ours."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.contrib import ikev2
from tests.wire.messages import STRONGSWAN_SA_INIT

from ikescope.wire import (
    AuthPayload,
    DeletePayload,
    IdPayload,
    KePayload,
    Message,
    NoncePayload,
    NotifyPayload,
    Proposal,
    SaPayload,
    TrafficSelector,
    TsPayload,
    VendorIdPayload,
    transform,
)
from ikescope.wire.registry import (
    AuthMethod,
    ExchangeType,
    IdType,
    KeyExchangeId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformType,
    TsType,
)

T = TransformType


def _fields(packet: Any) -> list[tuple[str, dict[str, Any]]]:
    """Scapy's layers as (name, fields)."""
    found = []
    while packet and packet.name != "NoPayload":
        found.append((type(packet).__name__, packet.fields))
        packet = packet.payload
    return found


@pytest.mark.parametrize("octets", STRONGSWAN_SA_INIT, ids=["request", "response"])
def test_scapy_reads_a_real_message_as_we_do(octets: bytes) -> None:
    """Scapy and we see the same header, payload types and values in a real message."""
    message, layers = Message.parse(octets), _fields(ikev2.IKEv2(octets))
    head = layers[0][1]
    assert (head["init_SPI"], head["resp_SPI"], head["exch_type"], head["id"]) == (
        message.spi_i,
        message.spi_r,
        message.exchange,
        message.message_id,
    )
    kinds = [layers[0][1]["next_payload"], *(fields["next_payload"] for _, fields in layers[1:-1])]
    assert kinds == [payload.kind for payload in message.payloads]
    ke, nonce = message.find(KePayload), message.find(NoncePayload)
    assert ke is not None
    assert nonce is not None
    by_name = dict(reversed(layers))
    assert (by_name["IKEv2_KE"]["group"], by_name["IKEv2_KE"]["ke"]) == (ke.group, ke.data)
    assert by_name["IKEv2_Nonce"]["nonce"] == nonce.data
    notifies = [(fields["type"], fields["notify"]) for name, fields in layers if name == "IKEv2_Notify"]
    assert notifies == [(notify.notify_type, notify.data) for notify in message.notifies()]


def test_scapy_reads_what_we_write() -> None:
    """A message of ours is to scapy what we meant: proposals, identities, selectors, deletes."""
    esp = Proposal(1, ProtocolId.ESP, b"\1\2\3\4", (transform(T.ENCR, 20, 128), transform(T.ESN, 0)))
    selector = TrafficSelector(TsType.TS_IPV4_ADDR_RANGE, 47, 0, 65535, b"\x0a\0\0\1", b"\x0a\0\0\2")
    chain = (
        VendorIdPayload(b"ikescope"),
        IdPayload(IdType.ID_FQDN, b"r1"),
        AuthPayload(AuthMethod.SHARED_KEY_MIC, bytes(32)),
        SaPayload((esp,)),
        TsPayload(PayloadType.TSI, (selector,)),
        TsPayload(PayloadType.TSR, (selector, selector)),
        NotifyPayload(NotifyType.REKEY_SA, b"", ProtocolId.ESP, b"abcd"),
        DeletePayload(ProtocolId.ESP, (b"efgh", b"ijkl")),
    )
    octets = Message(b"i" * 8, b"r" * 8, ExchangeType.IKE_AUTH, 1, chain, True, False).encode()
    packet = ikev2.IKEv2(octets)
    assert bytes(packet) == octets
    layers = dict(_fields(packet))
    assert layers["IKEv2_VendorID"]["vendorID"] == b"ikescope"
    assert (layers["IKEv2_IDi"]["IDtype"], layers["IKEv2_IDi"]["ID"]) == (2, b"r1")
    assert layers["IKEv2_AUTH"]["auth_type"] == 2
    proposal = layers["IKEv2_SA"]["prop"]
    assert (proposal.proto, proposal.SPI, proposal.trans_nb) == (3, b"\1\2\3\4", 2)
    first = proposal.trans
    assert (first.transform_type, first.transform_id, first.key_length) == (1, 20, 128)
    assert [s.starting_address_v4 for s in layers["IKEv2_TSr"]["traffic_selector"]] == ["10.0.0.1", "10.0.0.1"]
    notify = layers["IKEv2_Notify"]
    assert (notify["proto"], notify["type"], notify["SPI"]) == (3, 16393, b"abcd")
    delete = layers["IKEv2_Delete"]
    assert (delete["proto"], delete["SPInum"], delete["SPI"]) == (3, 2, [b"efgh", b"ijkl"])


def test_we_read_what_scapy_writes() -> None:
    """A message that scapy builds parses to its values, and encodes to its octets."""
    trans = ikev2.IKEv2_Transform(
        transform_type="Encryption", transform_id=12, length=12, key_length=256, next_payload=0
    )
    packet = (
        ikev2.IKEv2(init_SPI=b"i" * 8, resp_SPI=b"r" * 8, flags="Initiator", exch_type="IKE_SA_INIT")
        / ikev2.IKEv2_SA(prop=ikev2.IKEv2_Proposal(trans_nb=1, trans=trans))
        / ikev2.IKEv2_KE(group=19, ke=bytes(64))
        / ikev2.IKEv2_Nonce(nonce=bytes(range(32)))
        / ikev2.IKEv2_Notify(type="COOKIE", notify=b"biscuit")
    )
    octets = bytes(packet)
    message = Message.parse(octets)
    assert message.encode() == octets
    assert message.payloads[0] == SaPayload((Proposal(1, ProtocolId.IKE, b"", (transform(T.ENCR, 12, 256),)),))
    assert message.payloads[1] == KePayload(KeyExchangeId.ECP_256, bytes(64))
    cookie = message.notify(NotifyType.COOKIE)
    assert cookie is not None
    assert cookie.data == b"biscuit"
