"""What each payload of a message says: its values in words, with the octets that the sentence speaks of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from ikescope.errors import DecodeError
from ikescope.events import IdentityFact, ProposalFact, SelectorFact, TransformFact
from ikescope.explain import notifies, words
from ikescope.timeline import Message
from ikescope.wire.auth import AuthPayload
from ikescope.wire.cert import CertPayload, CertReqPayload
from ikescope.wire.cp import CpPayload
from ikescope.wire.delete import DeletePayload
from ikescope.wire.describe import payload_name
from ikescope.wire.eap import EapPayload
from ikescope.wire.encrypted import EncryptedFragmentPayload, EncryptedPayload
from ikescope.wire.header import HEADER_OCTETS
from ikescope.wire.identification import IdPayload
from ikescope.wire.ke import KePayload
from ikescope.wire.message import ENCRYPTED_PARSERS, MAX_PAYLOADS, PARSERS
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import CRITICAL, GENERIC_OCTETS, Payload
from ikescope.wire.registry import NotifyType, PayloadType, ProtocolId
from ikescope.wire.sa import SaPayload
from ikescope.wire.ts import TsPayload
from ikescope.wire.unknown import UnknownPayload
from ikescope.wire.vendor import VendorIdPayload
from ikescope.wire.words import identity_words, notify_words, octets, text_or_octets


class Span(msgspec.Struct, frozen=True):
    """Octets that a sentence speaks of: `offset` to `offset + length` of the message that record `seq` tells of, or,
    `inside`, of what its Encrypted payload held.
    """

    seq: int
    offset: int
    length: int
    inside: bool = False


class Said(NamedTuple):
    """A sentence on a payload, and where that stands."""

    text: str
    spans: tuple[Span, ...] = ()


class Placed(NamedTuple):
    """A payload with its octets; None where they are malformed."""

    kind: PayloadType
    payload: Payload | None
    offset: int
    length: int
    inside: bool
    critical: bool


def placed(message: Message) -> list[Placed]:
    """Every payload of a message, those of the Encrypted payload after it; as far as the source holds octets."""
    found: list[Placed] = []
    if isinstance(message.octets, bytes) and len(message.octets) >= HEADER_OCTETS and message.octets[17] >> 4 == 2:
        found += _chain(message.octets, HEADER_OCTETS, PayloadType.of(message.octets[16]), inside=False)
    if isinstance(message.opened, bytes) and isinstance(message.opened_first, int):
        found += _chain(message.opened, 0, PayloadType.of(message.opened_first), inside=True)
    return found


def _chain(data: bytes, at: int, kind: PayloadType, *, inside: bool) -> Iterator[Placed]:
    for _ in range(MAX_PAYLOADS):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if not kind or not GENERIC_OCTETS <= length <= len(data) - at:
            return
        following, critical = PayloadType.of(data[at]), bool(data[at + 1] & CRITICAL)
        body = data[at + GENERIC_OCTETS : at + length]
        payload: Payload | None
        try:
            if kind in ENCRYPTED_PARSERS:
                payload = ENCRYPTED_PARSERS[kind](following, body, at)
            else:
                payload = PARSERS[kind](body, at) if kind in PARSERS else UnknownPayload(kind, body)
        except DecodeError:
            payload = None
        yield Placed(kind, payload, at, length, inside, critical)
        if kind in ENCRYPTED_PARSERS:
            return
        at, kind = at + length, following


def nonce(message: Message) -> bytes | None:
    """The nonce in a message; None where the source does not hold it."""
    return next((one.payload.data for one in placed(message) if isinstance(one.payload, NoncePayload)), None)


def said(message: Message) -> list[Said]:
    """A sentence for each payload; of a source without octets what the names of the payloads tell."""
    every = placed(message)
    found = [one for one in every if not isinstance(one.payload, EncryptedPayload)]
    told = [Said(_words(one, message), (Span(message.seq, *one[2:5]),)) for one in found]
    known = {one.inside for one in found}
    if isinstance(message.payloads, tuple) and False not in known and not message.fragments:
        told[:0] = _named([name for name in message.payloads if name != "ENCR"], message)
    if True not in known and isinstance(message.inner, tuple):
        told += _named(message.inner, message)
    elif True not in known and len(every) > len(found) and not isinstance(message.opened, bytes):
        told.append(_closed(every[-1], message))
    return told


def _closed(one: Placed, message: Message) -> Said:
    text = f"ENCR: {words.plural(one.length, 'octet')} that this source holds no key for: what is in it stays unknown."
    return Said(text, (Span(message.seq, *one[2:5]),))


def _words(one: Placed, message: Message) -> str:
    payload = one.payload
    if payload is None:
        return f"{one.kind.short}: malformed, {words.plural(one.length, 'octet')}."
    text = WORDS[type(payload)](payload, message) if type(payload) in WORDS else f"{one.length} octets"
    must = ", and critical: who does not know it must refuse the message" if one.critical else ""
    return f"{payload_name(payload)}: {text}{must}."


def _named(names: tuple[str, ...] | list[str], message: Message) -> list[Said]:
    """Payloads of which only the names are known: what they are for, and what a notify means."""
    counts = Counter(names)
    plain = [
        f"{name}{f' ({count} times)' if count > 1 else ''} {use}"
        for name, count in counts.items()
        if (use := _use(name, message))
    ]
    told = [Said(f"{'; '.join(plain)}.")] if plain else []
    for name in counts:
        kind = NOTIFY_NAMES.get(name)
        if kind is not None:
            told.append(Said(f"{name}: {notifies.means(kind)}."))
    return told


def _use(name: str, message: Message) -> str:
    return {True: USES_ANSWERED, False: {}}[message.response is True].get(name, "") or USES.get(name, "")


USES = {
    "SA": "is the offer",
    "KE": "the sender's public value",
    "N": "its nonce",
    "IDi": "the initiator's identity",
    "IDr": "the responder's identity",
    "AUTH": "proves who sends it",
    "CERT": "its certificate",
    "CERTREQ": "the authorities that it trusts",
    "TSi": "the traffic selectors of the initiator's side",
    "TSr": "those of the responder's side",
    "CFG": "configuration asked for",
    "VID": "names what the sender is or can do",
    "EAP": "carries an EAP message",
    "DELETE": "ends SAs",
}
USES_ANSWERED = {"SA": "is the choice out of the offer", "CFG": "configuration given"}
NOTIFY_NAMES = {
    f"NOTIFY({name})": kind
    for kind in NotifyType
    for name in {kind.name, payload_name(NotifyPayload(kind)).removeprefix("NOTIFY(").removesuffix(")")}
}


def proposals(payload: SaPayload) -> tuple[ProposalFact, ...]:
    """The proposals as events hold them."""
    return tuple(
        ProposalFact(
            one.number,
            int(one.protocol),
            one.spi.hex(),
            tuple(TransformFact(int(each.type), int(each.id), each.key_length) for each in one.transforms),
        )
        for one in payload.proposals
    )


def _sa(payload: SaPayload, message: Message) -> str:
    facts = proposals(payload)
    told = []
    for fact in facts:
        kinds = "; ".join(f"{kind} {', '.join(names)}" for kind, names, _ in words.by_kind([fact]))
        spi = f", SPI {words.spi(fact.spi)}" if fact.spi else ""
        number = f"proposal {fact.number}, " if len(facts) > 1 or message.response else ""
        told.append(f"{number}{ProtocolId.of(fact.protocol).label}{spi}: {kinds}")
    verb = "takes" if message.response else "offers"
    return f"{verb} {'. Or '.join(told)}"


def _ke(payload: KePayload, _: Message) -> str:
    return f"public value of {words.group(payload.group)}, {len(payload.data)} octets"


def _nonce(payload: NoncePayload, _: Message) -> str:
    return f"nonce of {len(payload.data)} random octets that begin {payload.data[:4].hex()}"


def _short(data: bytes) -> str:
    return f"{words.plural(len(data), 'octet')} that begin {data[:4].hex()}" if len(data) > 4 else data.hex()


def _identity(payload: IdPayload, _: Message) -> str:
    who = "initiator" if payload.kind == PayloadType.IDI else "responder"
    return f"the {who} says it is {words.identity(IdentityFact(int(payload.id_type), identity_words(payload)))}"


def _auth(payload: AuthPayload, _: Message) -> str:
    return f"the proof, by {words.method(payload.method)}, {len(payload.data)} octets"


def _certificate(payload: CertPayload, _: Message) -> str:
    return f"certificate as {payload.encoding}, {len(payload.data)} octets"


def _authorities(payload: CertReqPayload, _: Message) -> str:
    return f"authorities that the sender trusts, as {payload.encoding}, {len(payload.authorities)} octets"


def _selectors(payload: TsPayload, _: Message) -> str:
    side = "from the initiator's side" if payload.kind == PayloadType.TSI else "to the responder's side"
    told = [
        words.selector(
            SelectorFact(str(one.first), str(one.last), int(one.protocol), int(one.start_port), int(one.end_port))
        )
        if one.readable
        else f"{one.ts_type}, {octets(one.opaque)}"
        for one in payload.selectors
    ]
    return f"{side}, {words.listed(told) or 'none'}"


def _notify(payload: NotifyPayload, _: Message) -> str:
    kind = payload.notify_type
    about = f", {payload.protocol.label} SPI {words.spi(payload.spi.hex())}" if payload.spi else ""
    opaque = kind in (NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP, NotifyType.COOKIE)
    value = f", {_short(payload.data) if opaque else notify_words(payload)}" if payload.data else ""
    number = "" if kind in notifies.NOTIFIES else f" ({int(kind)})"
    return f"{notifies.means(kind)}{number}{about}{value}"


def _delete(payload: DeletePayload, _: Message) -> str:
    if payload.protocol == ProtocolId.IKE:
        return "ends the IKE SA whose keys protect this message"
    spis = words.listed(words.spi(spi.hex()) for spi in payload.spis)
    return f"ends {payload.protocol.label} {spis or 'of no SPI'}, as the sender receives it"


def _configuration(payload: CpPayload, _: Message) -> str:
    told = [f"{one.type.label}{' ' + text_or_octets(one.value) if one.value else ''}" for one in payload.attributes]
    return f"{payload.cp_type.label}, {words.listed(told) or 'no attribute'}"


def _eap(payload: EapPayload, _: Message) -> str:
    return f"{payload.code}, identifier {payload.identifier}, {len(payload.data)} octets"


def _vendor(payload: VendorIdPayload, _: Message) -> str:
    return f"vendor ID {text_or_octets(payload.data)}; who does not know it skips it"


def _fragment(payload: EncryptedFragmentPayload, _: Message) -> str:
    return f"fragment {payload.number} of {payload.total}, encrypted and sealed on its own"


def _unknown(payload: UnknownPayload, _: Message) -> str:
    return f"a payload of type {int(payload.type)} that we do not know, {len(payload.body)} octets"


WORDS: dict[type[Payload], Callable[[Any, Message], str]] = {
    SaPayload: _sa,
    KePayload: _ke,
    NoncePayload: _nonce,
    IdPayload: _identity,
    AuthPayload: _auth,
    CertPayload: _certificate,
    CertReqPayload: _authorities,
    TsPayload: _selectors,
    NotifyPayload: _notify,
    DeletePayload: _delete,
    CpPayload: _configuration,
    EapPayload: _eap,
    VendorIdPayload: _vendor,
    EncryptedFragmentPayload: _fragment,
    UnknownPayload: _unknown,
}
