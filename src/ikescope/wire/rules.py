"""Which payloads a message of each exchange holds: one table, and the check against it (RFC 7296 appendix C).

The order of payloads is not judged on receipt. Payloads that a form does not name are skipped by those who read it.

##= rfc7296#section-2.5
##% implementations MUST NOT reject as invalid a message with those
##% payloads in any other order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from ikescope.errors import PeerError
from ikescope.wire.message import ENCRYPTED_PARSERS, PARSERS
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType, ProtocolId
from ikescope.wire.sa import SaPayload

E = ExchangeType
P = PayloadType

#: "Any number" in the column `most`.
MANY = 1 << 16


class InvalidSyntax(PeerError):
    """A message holds too few or too many of a payload (RFC 7296 section 2.21.2, INVALID_SYNTAX)."""

    notify = int(NotifyType.INVALID_SYNTAX)
    section = "RFC 7296 section 2.21"


class UnsupportedCriticalPayload(PeerError):
    """A payload marked critical is of a type this build does not know; `data` is that type, one octet."""

    notify = int(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD)
    section = "RFC 7296 section 2.5"


class Rule(msgspec.Struct, frozen=True):
    """At least and at most so many payloads of a type."""

    kind: PayloadType
    least: int
    most: int


class Form(msgspec.Struct, frozen=True):
    """One shape of a message: its rules, and what tells it from the other shapes of its exchange and direction.

    `inside` says whether the rules are for what an Encrypted payload holds or for what is in the clear. `has` and
    `lacks` name payload types that must and must not be there, `notifies` notify types of which one must be, `error`
    asks for any error notify, `protocol` for the SA payload's protocol, `first` for the exchange's first message (the
    message IDs after IKE_AUTH's first are EAP's).
    """

    name: str
    exchange: ExchangeType
    response: bool
    inside: bool
    rules: tuple[Rule, ...]
    has: tuple[PayloadType, ...] = ()
    lacks: tuple[PayloadType, ...] = ()
    notifies: tuple[NotifyType, ...] = ()
    error: bool = False
    protocol: ProtocolId | None = None
    first: bool | None = None


def _one(*kinds: PayloadType) -> tuple[Rule, ...]:
    return tuple(Rule(kind, 1, 1) for kind in kinds)


def _optional(*kinds: PayloadType) -> tuple[Rule, ...]:
    return tuple(Rule(kind, 0, 1) for kind in kinds)


def _none(*kinds: PayloadType) -> tuple[Rule, ...]:
    return tuple(Rule(kind, 0, 0) for kind in kinds)


def _some(*kinds: PayloadType) -> tuple[Rule, ...]:
    return tuple(Rule(kind, 1, MANY) for kind in kinds)


_NO_SK = _none(P.SK, P.SKF)
_NO_CHILD = _none(P.SA, P.TSI, P.TSR)
_CHILD = _one(P.SA, P.TSI, P.TSR)
_SA_INIT = _one(P.SA, P.KE, P.NONCE) + _NO_SK
_NOTIFY_ONLY = _some(P.NOTIFY) + _none(P.SA, P.KE, P.NONCE)
#: In the clear beside an Encrypted payload nothing else is looked at, so nothing of ours may be there.
_OUTSIDE = _none(*(P.of(kind) for kind in PARSERS))


def _outer(exchange: ExchangeType, response: bool) -> tuple[Form, ...]:
    """The clear part of a protected exchange: one SK or SKF, or an unprotected notify (RFC 7296 section 2.21)."""
    name = f"{exchange.label} {'response' if response else 'request'}"
    sk, skf = _one(P.SK) + _none(P.SKF) + _OUTSIDE, _one(P.SKF) + _none(P.SK) + _OUTSIDE
    bare = _some(P.NOTIFY) + tuple(rule for rule in _OUTSIDE if rule.kind not in (P.NOTIFY, P.VENDOR))
    return (
        Form(f"{name}, fragment", exchange, response, False, skf, has=(P.SKF,)),
        Form(f"{name}, unprotected notify", exchange, response, False, bare, has=(P.NOTIFY,), lacks=(P.SK, P.SKF)),
        Form(name, exchange, response, False, sk),
    )


_PROTECTED = (E.IKE_AUTH, E.CREATE_CHILD_SA, E.INFORMATIONAL, E.IKE_INTERMEDIATE, E.IKE_FOLLOWUP_KE)

_CERTS = (Rule(P.CERT, 0, MANY), Rule(P.CERTREQ, 0, MANY))
_AUTH_REQUEST = _one(P.IDI) + _optional(P.IDR, P.AUTH, P.CP) + _CERTS
_AUTH_RESPONSE = _one(P.IDR, P.AUTH) + _none(P.IDI) + _optional(P.CP) + _CERTS
_NEW_CHILD = _one(P.SA, P.NONCE, P.TSI, P.TSR) + _optional(P.KE, P.CP)
_REKEY_IKE = _one(P.SA, P.NONCE, P.KE) + _none(P.TSI, P.TSR)
_INFORMATIONAL = (Rule(P.NOTIFY, 0, MANY), Rule(P.DELETE, 0, MANY), Rule(P.CP, 0, 1))

#: Every form; of those of one exchange, direction and place the first that fits is taken, the last fits always.
FORMS: tuple[Form, ...] = (
    Form("IKE_SA_INIT request", E.IKE_SA_INIT, False, False, _SA_INIT),
    Form("IKE_SA_INIT response", E.IKE_SA_INIT, True, False, _SA_INIT, has=(P.SA,)),
    Form("COOKIE response", E.IKE_SA_INIT, True, False, _NOTIFY_ONLY + _NO_SK, notifies=(NotifyType.COOKIE,)),
    Form(
        "INVALID_KE_PAYLOAD response",
        E.IKE_SA_INIT,
        True,
        False,
        _NOTIFY_ONLY + _NO_SK,
        notifies=(NotifyType.INVALID_KE_PAYLOAD,),
    ),
    Form("REDIRECT response", E.IKE_SA_INIT, True, False, _NOTIFY_ONLY + _NO_SK, notifies=(NotifyType.REDIRECT,)),
    Form("IKE_SA_INIT error response", E.IKE_SA_INIT, True, False, _NOTIFY_ONLY + _NO_SK, error=True),
    Form("IKE_SA_INIT response", E.IKE_SA_INIT, True, False, _SA_INIT),
    *(form for exchange in _PROTECTED for response in (False, True) for form in _outer(exchange, response)),
    Form("IKE_AUTH request, EAP", E.IKE_AUTH, False, True, _one(P.EAP) + _NO_CHILD, has=(P.EAP,), first=False),
    Form("IKE_AUTH request, after EAP", E.IKE_AUTH, False, True, _one(P.AUTH) + _NO_CHILD, first=False),
    Form("childless IKE_AUTH request", E.IKE_AUTH, False, True, _AUTH_REQUEST + _NO_CHILD, lacks=(P.SA, P.TSI, P.TSR)),
    Form("IKE_AUTH request", E.IKE_AUTH, False, True, _AUTH_REQUEST + _CHILD),
    Form("IKE_AUTH response, EAP", E.IKE_AUTH, True, True, _one(P.EAP) + _NO_CHILD, has=(P.EAP,), first=False),
    Form(
        "IKE_AUTH response, first of EAP",
        E.IKE_AUTH,
        True,
        True,
        _one(P.IDR, P.EAP) + _optional(P.AUTH) + _CERTS + _NO_CHILD,
        has=(P.EAP,),
    ),
    Form(
        "IKE_AUTH error response",
        E.IKE_AUTH,
        True,
        True,
        _some(P.NOTIFY) + _NO_CHILD,
        lacks=(P.AUTH, P.SA),
        error=True,
    ),
    Form(
        "IKE_AUTH response, after EAP, without Child SA",
        E.IKE_AUTH,
        True,
        True,
        _one(P.AUTH) + _NO_CHILD,
        lacks=(P.SA, P.TSI, P.TSR),
        first=False,
    ),
    Form("IKE_AUTH response, after EAP", E.IKE_AUTH, True, True, _one(P.AUTH) + _CHILD, first=False),
    Form(
        "IKE_AUTH response, Child SA refused",
        E.IKE_AUTH,
        True,
        True,
        _AUTH_RESPONSE + _some(P.NOTIFY) + _NO_CHILD,
        lacks=(P.SA, P.TSI, P.TSR),
        error=True,
    ),
    Form("childless IKE_AUTH response", E.IKE_AUTH, True, True, _AUTH_RESPONSE + _NO_CHILD, lacks=(P.SA, P.TSI, P.TSR)),
    Form("IKE_AUTH response", E.IKE_AUTH, True, True, _AUTH_RESPONSE + _CHILD),
    Form("IKE SA rekey request", E.CREATE_CHILD_SA, False, True, _REKEY_IKE, protocol=ProtocolId.IKE),
    Form(
        "Child SA rekey request",
        E.CREATE_CHILD_SA,
        False,
        True,
        _NEW_CHILD + _some(P.NOTIFY),
        notifies=(NotifyType.REKEY_SA,),
    ),
    Form("CREATE_CHILD_SA request", E.CREATE_CHILD_SA, False, True, _NEW_CHILD),
    Form("IKE SA rekey response", E.CREATE_CHILD_SA, True, True, _REKEY_IKE, protocol=ProtocolId.IKE),
    Form(
        "CREATE_CHILD_SA error response",
        E.CREATE_CHILD_SA,
        True,
        True,
        _NOTIFY_ONLY + _none(P.TSI, P.TSR),
        lacks=(P.SA,),
        error=True,
    ),
    Form("CREATE_CHILD_SA response", E.CREATE_CHILD_SA, True, True, _NEW_CHILD),
    Form("INFORMATIONAL request", E.INFORMATIONAL, False, True, _INFORMATIONAL),
    Form("INFORMATIONAL response", E.INFORMATIONAL, True, True, _INFORMATIONAL),
    Form("IKE_INTERMEDIATE request", E.IKE_INTERMEDIATE, False, True, _optional(P.KE)),
    Form("IKE_INTERMEDIATE response", E.IKE_INTERMEDIATE, True, True, _optional(P.KE)),
    Form("IKE_FOLLOWUP_KE request", E.IKE_FOLLOWUP_KE, False, True, _one(P.KE) + _some(P.NOTIFY)),
    Form("IKE_FOLLOWUP_KE error response", E.IKE_FOLLOWUP_KE, True, True, _NOTIFY_ONLY, lacks=(P.KE,), error=True),
    Form("IKE_FOLLOWUP_KE response", E.IKE_FOLLOWUP_KE, True, True, _one(P.KE)),
)

_BY_PLACE: dict[tuple[int, bool, bool], tuple[Form, ...]] = {
    place: tuple(form for form in FORMS if (form.exchange, form.response, form.inside) == place)
    for place in {(form.exchange, form.response, form.inside) for form in FORMS}
}


def form_of(
    payloads: Iterable[Payload], exchange: ExchangeType, response: bool, inside: bool, *, first: bool = True
) -> Form | None:
    """The form that a message claims to have; None for an exchange without a row in the table."""
    chain = tuple(payloads)
    kinds = {payload.kind for payload in chain}
    notifies = {payload.notify_type for payload in chain if isinstance(payload, NotifyPayload)}
    protocol = next((p.proposals[0].protocol for p in chain if isinstance(p, SaPayload) and p.proposals), None)
    for form in _BY_PLACE.get((exchange, response, inside), ()):
        if (
            kinds.issuperset(form.has)
            and kinds.isdisjoint(form.lacks)
            and not (form.notifies and notifies.isdisjoint(form.notifies))
            and not (form.error and not any(notify.is_error for notify in notifies))
            and form.protocol in (None, protocol)
            and form.first in (None, first)
        ):
            return form
    return None


def check(
    payloads: Iterable[Payload], exchange: ExchangeType, response: bool, inside: bool, *, first: bool = True
) -> None:
    """Check the payloads of one message against its form; `inside` for those that an Encrypted payload held.

    `first` is False in IKE_AUTH after its first round (EAP). An exchange without a row is judged for unknown critical
    payloads only. Raises UnsupportedCriticalPayload and InvalidSyntax.
    """
    chain = tuple(payloads)
    check_critical(chain)
    form = form_of(chain, exchange, response, inside, first=first)
    if form is None:
        return
    counts = Counter(payload.kind for payload in chain)
    for rule in form.rules:
        had = counts[rule.kind]
        if not rule.least <= had <= rule.most:
            raise InvalidSyntax(
                f"{form.name}: {rule.kind.short} payloads: had {had}, wanted {_wanted(rule)}",
                payload=rule.kind.short,
                had=had,
                wanted=_wanted(rule),
                form=form.name,
            )


def check_critical(payloads: Iterable[Payload]) -> None:
    """Refuse a critical payload of an unknown type; one of a known type is none of our business.

    Raises UnsupportedCriticalPayload.
    """
    for payload in payloads:
        ##= rfc7296#section-2.5
        ##% If the critical flag is set
        ##% and the payload type is unrecognized, the message MUST be rejected
        if payload.critical and payload.kind not in PARSERS and payload.kind not in ENCRYPTED_PARSERS:
            raise UnsupportedCriticalPayload(
                f"payload {payload.kind} is critical and not supported",
                data=payload.kind.to_bytes(1, "big"),
                payload=payload.kind.label,
            )


def _wanted(rule: Rule) -> str:
    if rule.most == MANY:
        return f"at least {rule.least}"
    return str(rule.least) if rule.least == rule.most else f"{rule.least} to {rule.most}"
