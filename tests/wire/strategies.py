"""Random payloads and messages for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from ikescope.wire import (
    Attribute,
    AuthPayload,
    CertPayload,
    CertReqPayload,
    CpPayload,
    CpValue,
    DeletePayload,
    EapPayload,
    EncryptedFragmentPayload,
    EncryptedPayload,
    IdPayload,
    KePayload,
    Message,
    NoncePayload,
    NotifyPayload,
    Payload,
    Proposal,
    SaPayload,
    TrafficSelector,
    Transform,
    TsPayload,
    UnknownPayload,
    VendorIdPayload,
)
from ikescope.wire.message import ENCRYPTED_PARSERS, PARSERS
from ikescope.wire.registry import (
    TRANSFORM_IDS,
    AuthMethod,
    CertEncoding,
    CpAttribute,
    CpType,
    EapCode,
    ExchangeType,
    IdType,
    KeyExchangeId,
    NotifyType,
    OtherTransformId,
    PayloadType,
    ProtocolId,
    TransformAttribute,
    TransformType,
    TsType,
)

octet = st.integers(0, 255)
word = st.integers(0, 65535)
data = st.binary(max_size=40)
UNKNOWN_TYPES = [n for n in range(1, 256) if n not in PARSERS and n not in ENCRYPTED_PARSERS]

attributes = st.one_of(
    st.builds(Attribute, st.integers(0, 32767).map(TransformAttribute.of), st.binary(min_size=2, max_size=2)),
    st.builds(Attribute, st.integers(0, 32767).map(TransformAttribute.of), data, st.just(False)),
)


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    """A transform of any type, known or not."""
    kind = draw(st.integers(0, 16))
    number = TRANSFORM_IDS.get(kind, OtherTransformId).of(draw(word))
    found = tuple(draw(st.lists(attributes, max_size=2)))
    return Transform(TransformType.of(kind), number, found, draw(st.binary(min_size=2, max_size=2)))


proposals = st.builds(
    Proposal,
    octet,
    octet.map(ProtocolId.of),
    st.binary(max_size=8),
    st.lists(transforms(), max_size=4).map(tuple),
    octet,
)


@st.composite
def selectors(draw: st.DrawFn) -> TrafficSelector:
    """A selector of either address family or of a type nobody reads."""
    size = draw(st.sampled_from((0, 4, 16)))
    if not size:
        ts_type = TsType.of(draw(st.integers(9, 255)))
        return TrafficSelector(ts_type, draw(octet), 0, 0, opaque=draw(data))
    ts_type = TsType.TS_IPV4_ADDR_RANGE if size == 4 else TsType.TS_IPV6_ADDR_RANGE
    ends = st.binary(min_size=size, max_size=size)
    return TrafficSelector(ts_type, draw(octet), draw(word), draw(word), draw(ends), draw(ends))


three = st.binary(min_size=3, max_size=3)
critical = {"critical": st.booleans(), "header_reserved": st.integers(0, 127)}
spi4 = st.binary(min_size=4, max_size=4)

PAYLOADS: dict[PayloadType, st.SearchStrategy[Payload]] = {
    PayloadType.SA: st.builds(SaPayload, st.lists(proposals, min_size=1, max_size=3).map(tuple), **critical),
    PayloadType.KE: st.builds(
        KePayload, word.map(KeyExchangeId.of), data, st.binary(min_size=2, max_size=2), **critical
    ),
    PayloadType.IDI: st.builds(IdPayload, octet.map(IdType.of), data, three, st.just(PayloadType.IDI), **critical),
    PayloadType.IDR: st.builds(IdPayload, octet.map(IdType.of), data, three, st.just(PayloadType.IDR), **critical),
    PayloadType.CERT: st.builds(CertPayload, octet.map(CertEncoding.of), data, **critical),
    PayloadType.CERTREQ: st.builds(CertReqPayload, octet.map(CertEncoding.of), data, **critical),
    PayloadType.AUTH: st.builds(AuthPayload, octet.map(AuthMethod.of), data, three, **critical),
    PayloadType.NONCE: st.builds(NoncePayload, st.binary(min_size=16, max_size=64), **critical),
    PayloadType.NOTIFY: st.builds(
        NotifyPayload, word.map(NotifyType.of), data, octet.map(ProtocolId.of), st.binary(max_size=8), **critical
    ),
    PayloadType.DELETE: st.one_of(
        st.builds(DeletePayload, octet.map(ProtocolId.of), st.just(()), octet, **critical),
        st.builds(
            DeletePayload,
            st.sampled_from((ProtocolId.AH, ProtocolId.ESP)),
            st.lists(spi4, min_size=1, max_size=5).map(tuple),
            **critical,
        ),
    ),
    PayloadType.VENDOR: st.builds(VendorIdPayload, data, **critical),
    PayloadType.TSI: st.builds(
        TsPayload, st.just(PayloadType.TSI), st.lists(selectors(), min_size=1, max_size=3).map(tuple), three, **critical
    ),
    PayloadType.TSR: st.builds(
        TsPayload, st.just(PayloadType.TSR), st.lists(selectors(), min_size=1, max_size=3).map(tuple), three, **critical
    ),
    PayloadType.CP: st.builds(
        CpPayload,
        octet.map(CpType.of),
        st.lists(st.builds(CpValue, st.integers(0, 32767).map(CpAttribute.of), data, st.booleans()), max_size=4).map(
            tuple
        ),
        three,
        **critical,
    ),
    PayloadType.EAP: st.builds(EapPayload, octet.map(EapCode.of), octet, data, **critical),
}
ENCRYPTED: dict[PayloadType, st.SearchStrategy[Payload]] = {
    PayloadType.SK: st.builds(EncryptedPayload, octet.map(PayloadType.of), data, **critical),
    PayloadType.SKF: st.builds(
        EncryptedFragmentPayload,
        octet.map(PayloadType.of),
        st.integers(1, 9),
        st.integers(9, 65535),
        data,
        **critical,
    ),
}
unknown = st.builds(UnknownPayload, st.sampled_from(UNKNOWN_TYPES).map(PayloadType.of), data, **critical)
payloads = st.one_of(*PAYLOADS.values(), unknown)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message, an Encrypted payload at its end or not."""
    chain = draw(st.lists(payloads, max_size=5)) + draw(st.lists(st.one_of(*ENCRYPTED.values()), max_size=1))
    spi = st.binary(min_size=8, max_size=8)
    return Message(
        draw(spi),
        draw(spi),
        ExchangeType.of(draw(octet)),
        draw(st.integers(0, 2**32 - 1)),
        tuple(chain),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(octet),
        draw(octet) & 0xD7,
    )
