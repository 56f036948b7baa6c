"""The helpers of single payloads: transforms, selectors, identities, EAP."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from ikescope.wire import Attribute, EapPayload, IdPayload, Proposal, TrafficSelector, Transform, transform
from ikescope.wire.registry import (
    EapCode,
    EapType,
    EncryptionId,
    IdType,
    KeyExchangeId,
    OtherTransformId,
    PayloadType,
    PrfId,
    ProtocolId,
    TransformAttribute,
    TransformType,
    TsType,
)


def test_transform_knows_the_registry_of_its_type() -> None:
    """The ID of a transform is of the registry that its type names, ADDKE the key exchange methods."""
    ##= rfc9370#section-2.2.1 type=test
    assert transform(TransformType.ENCR, 12, 256).id is EncryptionId.ENCR_AES_CBC
    assert transform(TransformType.PRF, 5).id is PrfId.PRF_HMAC_SHA2_256
    assert transform(TransformType.ADDKE3, 36).id is KeyExchangeId.ML_KEM_768
    assert transform(200, 5).id == OtherTransformId.of(5)
    assert str(transform(200, 5).type) == "TRANSFORM_TYPE_200 (200)"


def test_key_length() -> None:
    """The key length is read from the short form in bits, and None without one."""
    assert transform(TransformType.ENCR, 12, 256).key_length == 256
    assert transform(TransformType.PRF, 5).key_length is None
    long_form = Attribute(TransformAttribute.KEY_LENGTH, b"\1\0", short=False)
    assert Transform(TransformType.ENCR, EncryptionId.ENCR_AES_CBC, (long_form,)).key_length is None


def test_a_transform_with_an_unknown_attribute_is_not_understood() -> None:
    """Only no attribute or one Key Length in the short form is understood."""
    key_length = transform(TransformType.ENCR, 12, 256).attributes
    other = Attribute(TransformAttribute.of(99), b"\0\1")
    for attributes, understood in (((), True), (key_length, True), ((other,), False), (key_length * 2, False)):
        assert Transform(TransformType.ENCR, EncryptionId.ENCR_AES_CBC, attributes).understood is understood


def test_transforms_of_one_type() -> None:
    """A proposal gives its transforms of one type in their order."""
    groups = transform(TransformType.KE, 19), transform(TransformType.KE, 14)
    proposal = Proposal(1, ProtocolId.IKE, b"", (transform(TransformType.PRF, 5), *groups))
    assert proposal.of(TransformType.KE) == groups


def test_selectors_from_networks_and_back() -> None:
    """A selector made of a network or a range gives the addresses and networks back."""
    four = TrafficSelector.of_network(ip_network("192.0.2.0/24"), 6, 80, 80)
    assert (four.ts_type, four.start, four.end) == (TsType.TS_IPV4_ADDR_RANGE, b"\xc0\0\2\0", b"\xc0\0\2\xff")
    assert (four.protocol, four.start_port, four.end_port) == (6, 80, 80)
    assert four.networks == (ip_network("192.0.2.0/24"),)
    six = TrafficSelector.of_network(ip_network("2001:db8::/32"))
    assert six.ts_type is TsType.TS_IPV6_ADDR_RANGE
    assert six.networks == (ip_network("2001:db8::/32"),)
    odd = TrafficSelector.of_range(ip_address("192.0.2.1"), ip_address("192.0.2.2"))
    assert (odd.first, odd.last) == (ip_address("192.0.2.1"), ip_address("192.0.2.2"))
    assert odd.networks == (ip_network("192.0.2.1/32"), ip_network("192.0.2.2/32"))


def test_selectors_without_networks() -> None:
    """A range upside down covers nothing, and a type nobody reads has no addresses."""
    assert TrafficSelector.of_range(ip_address("192.0.2.2"), ip_address("192.0.2.1")).networks == ()
    opaque = TrafficSelector(TsType.of(99), opaque=b"label")
    assert not opaque.readable
    assert opaque.networks == ()


def test_identity_body_is_what_auth_covers() -> None:
    """The body of an ID is type, reserved octets as received, and data."""
    ##= rfc7296#section-2.15 type=test
    ##% RestOfInitIDPayload = IDType | RESERVED | InitIDData
    identity = IdPayload(IdType.ID_IPV4_ADDR, b"\x0a\0\0\1", b"\1\2\3", PayloadType.IDR)
    assert identity.body.hex() == "010102030a000001"


def test_eap_method() -> None:
    """Requests and responses have a method type, success and failure none."""
    assert EapPayload(EapCode.REQUEST, 1, b"\x1a").method is EapType.MSCHAPV2
    assert EapPayload(EapCode.SUCCESS, 1).method is None
