"""The payload rules of each exchange, every row of the table in turn."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from tests.wire.messages import STRONGSWAN_SA_INIT

from ikescope.wire import (
    AuthPayload,
    CpPayload,
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
    TsPayload,
    UnknownPayload,
    VendorIdPayload,
)
from ikescope.wire.cert import CertPayload, CertReqPayload
from ikescope.wire.registry import (
    AuthMethod,
    CertEncoding,
    CpType,
    EapCode,
    ExchangeType,
    IdType,
    KeyExchangeId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TsType,
)
from ikescope.wire.rules import FORMS, MANY, Form, InvalidSyntax, UnsupportedCriticalPayload, check, form_of

P = PayloadType
ANY4 = TrafficSelector(TsType.TS_IPV4_ADDR_RANGE, start=bytes(4), end=b"\xff" * 4)
PLAIN: dict[PayloadType, Payload] = {
    P.SA: SaPayload((Proposal(1, ProtocolId.ESP, b"abcd", ()),)),
    P.KE: KePayload(KeyExchangeId.CURVE25519, bytes(32)),
    P.IDI: IdPayload(IdType.ID_FQDN, b"a"),
    P.IDR: IdPayload(IdType.ID_FQDN, b"b", kind=P.IDR),
    P.CERT: CertPayload(CertEncoding.X509_SIGNATURE, b""),
    P.CERTREQ: CertReqPayload(CertEncoding.X509_SIGNATURE, b""),
    P.AUTH: AuthPayload(AuthMethod.SHARED_KEY_MIC, bytes(32)),
    P.NONCE: NoncePayload(bytes(32)),
    P.NOTIFY: NotifyPayload(NotifyType.INITIAL_CONTACT),
    P.DELETE: DeletePayload(ProtocolId.IKE),
    P.VENDOR: VendorIdPayload(b"v"),
    P.TSI: TsPayload(P.TSI, (ANY4,)),
    P.TSR: TsPayload(P.TSR, (ANY4,)),
    P.SK: EncryptedPayload(P.NO_NEXT, b""),
    P.SKF: EncryptedFragmentPayload(P.NO_NEXT, 1, 1, b""),
    P.CP: CpPayload(CpType.CFG_REQUEST),
    P.EAP: EapPayload(EapCode.REQUEST, 1),
}


def _payload(form: Form, kind: PayloadType) -> Payload:
    """A payload of a kind, such that the message is taken for the form."""
    if kind is P.NOTIFY and (form.notifies or form.error):
        return NotifyPayload(form.notifies[0] if form.notifies else NotifyType.NO_PROPOSAL_CHOSEN)
    if kind is P.SA and form.protocol is not None:
        return SaPayload((Proposal(1, form.protocol, bytes(8), ()),))
    return PLAIN[kind]


def _least(form: Form) -> list[Payload]:
    return [_payload(form, rule.kind) for rule in form.rules for _ in range(rule.least)]


def _first(form: Form) -> bool:
    return form.first is None or form.first


def _check(form: Form, payloads: Iterable[Payload]) -> None:
    check(payloads, form.exchange, form.response, form.inside, first=_first(form))


FORM_IDS = [f"{number}-{form.name}" for number, form in enumerate(FORMS)]


@pytest.mark.parametrize("form", FORMS, ids=FORM_IDS)
def test_the_least_and_the_most_of_every_form(form: Form) -> None:
    """The least that a form asks for is that form and passes, in any order; so does one of each that it allows."""
    ##= rfc7296#section-1.7 type=test
    ##% This document removes the allowance for rejecting messages in which the payloads were not in the "right"
    ##% order; now implementations MUST NOT reject them.
    ##= rfc7296#section-2.5 type=test
    ##% implementations MUST NOT reject as invalid a message with those
    ##% payloads in any other order.
    least = _least(form)
    if form.has or form.name != "IKE_SA_INIT response":
        found = form_of(least, form.exchange, form.response, form.inside, first=_first(form))
        assert found is not None
        assert found.name == form.name
    _check(form, least)
    _check(form, reversed(least))
    extra = [_payload(form, rule.kind) for rule in form.rules if not rule.least and rule.most]
    _check(form, [*least, *extra])


@pytest.mark.parametrize("form", FORMS, ids=FORM_IDS)
def test_too_few_and_too_many_of_every_rule(form: Form) -> None:
    """One payload fewer or more than a rule allows is refused or makes the message another form."""
    least = _least(form)
    for rule in form.rules:
        wrong: list[list[Payload]] = []
        if rule.least:
            short = list(least)
            short.remove(_payload(form, rule.kind))
            wrong.append(short)
        if rule.most < MANY:
            wrong.append(least + [_payload(form, rule.kind)] * (rule.most + 1))
        for payloads in wrong:
            found = form_of(payloads, form.exchange, form.response, form.inside, first=_first(form))
            assert found is not None
            if found is form:
                with pytest.raises(InvalidSyntax, match=f"{rule.kind.short} payloads: had .*, wanted "):
                    _check(form, payloads)


def test_every_exchange_and_direction_has_a_form_that_fits_always() -> None:
    """The last form of each exchange, direction and place asks for nothing, so that each message has a form."""
    last = {(form.exchange, form.response, form.inside): form for form in FORMS}
    for form in last.values():
        assert not (form.has or form.lacks or form.notifies or form.error or form.protocol)
        assert form.first is None


def test_a_missing_payload_is_named() -> None:
    """The refusal names form, payload, had and wanted and answers INVALID_SYNTAX."""
    payloads = [PLAIN[P.SA], PLAIN[P.NONCE]]
    with pytest.raises(InvalidSyntax) as caught:
        check(payloads, ExchangeType.IKE_SA_INIT, False, False)
    assert str(caught.value) == "IKE_SA_INIT request: KE payloads: had 0, wanted 1"
    assert caught.value.notify == 7
    assert caught.value.facts == {"payload": "KE", "had": 0, "wanted": "1", "form": "IKE_SA_INIT request"}


@pytest.mark.parametrize(
    ("exchange", "response", "kinds", "text"),
    [
        (ExchangeType.IKE_AUTH, False, (P.IDI, P.AUTH, P.TSI, P.TSR), "IKE_AUTH request: SA payloads: had 0, wanted 1"),
        (ExchangeType.IKE_AUTH, False, (P.AUTH, P.SA, P.TSI, P.TSR), "IDi payloads: had 0, wanted 1"),
        (ExchangeType.IKE_AUTH, True, (P.AUTH, P.SA, P.TSI, P.TSR), "IDr payloads: had 0, wanted 1"),
        (ExchangeType.IKE_AUTH, True, (P.IDR,), "AUTH payloads: had 0, wanted 1"),
        (ExchangeType.CREATE_CHILD_SA, False, (P.SA, P.TSI, P.TSR), "N payloads: had 0, wanted 1"),
        (ExchangeType.CREATE_CHILD_SA, True, (P.NONCE,), "SA payloads: had 0, wanted 1"),
    ],
)
def test_incomplete_protected_messages(
    exchange: ExchangeType, response: bool, kinds: tuple[PayloadType, ...], text: str
) -> None:
    """An incomplete protected message is refused for the payload that is missing."""
    with pytest.raises(InvalidSyntax) as caught:
        check([PLAIN[kind] for kind in kinds], exchange, response, True)
    assert text in str(caught.value)


def test_an_empty_informational_is_whole() -> None:
    """INFORMATIONAL may hold nothing: a liveness check and its answer."""
    ##= rfc7296#section-1.4 type=test
    for response in (False, True):
        check([], ExchangeType.INFORMATIONAL, response, True)


def test_unknown_payloads_are_skipped_unless_critical() -> None:
    """An unknown payload passes; a critical one is refused with its type; criticality of known ones is ignored."""
    ##= rfc7296#section-2.5 type=test
    ##% Similarly, payload types that are not defined are reserved for future use; implementations of a version
    ##% where they are undefined MUST skip over those payloads and ignore their contents.
    ##= rfc7296#section-2.5 type=test
    ##% If the critical flag is not set and the payload type is unsupported, that payload MUST be ignored.
    ##= rfc7296#section-3.2 type=test
    ##% MUST be ignored by the recipient if the recipient understands the payload type code.
    ##= rfc7296#section-3.2 type=test
    ##% The reasoning behind not setting the critical bit for payloads defined in this document is that all
    ##% implementations MUST understand all payload types defined in this document and therefore must ignore the
    ##% critical bit's value.
    ##= rfc7296#section-4 type=test
    ##% To assure interoperability, all implementations MUST be capable of parsing all payload types (if only to
    ##% skip over them) and to ignore payload types that it does not support unless the critical bit is set in the
    ##% payload header.
    ##= rfc7296#section-2.5 type=test
    ##% If the critical flag is set
    ##% and the payload type is unrecognized, the message MUST be rejected
    check([UnknownPayload(P.of(200), b"")], ExchangeType.INFORMATIONAL, False, True)
    check([DeletePayload(ProtocolId.IKE, critical=True)], ExchangeType.INFORMATIONAL, False, True)
    with pytest.raises(UnsupportedCriticalPayload) as caught:
        check([UnknownPayload(P.of(200), b"", critical=True)], ExchangeType.INFORMATIONAL, False, True)
    assert (caught.value.notify, caught.value.data) == (1, bytes((200,)))


def test_an_exchange_without_a_row_is_not_judged() -> None:
    """The table says nothing of exchanges that this build does not take part in."""
    check([PLAIN[P.KE]], ExchangeType.of(240), False, False)
    assert form_of([], ExchangeType.of(240), False, False) is None


@pytest.mark.parametrize("octets", STRONGSWAN_SA_INIT, ids=["request", "response"])
def test_real_messages_pass(octets: bytes) -> None:
    """What strongSwan sends is whole."""
    message = Message.parse(octets)
    check(message.payloads, message.exchange, message.response, False)
