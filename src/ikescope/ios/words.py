"""IOS's words for the protocol's numbers, both ways; where IOS has no word we know of, one in its manner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ikescope.config.model import Identity, TransformSet
from ikescope.events import IdentityFact
from ikescope.wire.describe import IOS_NOTIFY_NAMES
from ikescope.wire.registry.config import CpAttribute
from ikescope.wire.registry.identity import AuthMethod, IdType
from ikescope.wire.registry.message import ExchangeType
from ikescope.wire.registry.notify import NotifyType
from ikescope.wire.registry.transform import (
    TRANSFORM_IDS,
    EncryptionId,
    EsnId,
    IntegrityId,
    KeyExchangeId,
    PrfId,
    TransformType,
)

Source = Literal["seen", "inferred", "unsourced"]


@dataclass(frozen=True, slots=True)
class Word:
    """One number of a registry and IOS's word for it, with where the word comes from."""

    number: int
    text: str
    source: Source


def _words(source: Source, entries: dict[int, str]) -> tuple[Word, ...]:
    return tuple(Word(int(number), text, source) for number, text in entries.items())


ENCRYPTION = (
    *_words("seen", {EncryptionId.ENCR_AES_CBC: "AES-CBC", EncryptionId.ENCR_AES_GCM_16: "AES-GCM"}),
    *_words("inferred", {EncryptionId.ENCR_3DES: "3DES", EncryptionId.ENCR_DES: "DES", EncryptionId.ENCR_NULL: "NULL"}),
    *_words("unsourced", {EncryptionId.ENCR_CHACHA20_POLY1305: "CHACHA20-POLY1305"}),
)
PRF = _words(
    "seen",
    {
        PrfId.PRF_HMAC_MD5: "MD5",
        PrfId.PRF_HMAC_SHA1: "SHA1",
        PrfId.PRF_HMAC_SHA2_256: "SHA256",
        PrfId.PRF_HMAC_SHA2_384: "SHA384",
        PrfId.PRF_HMAC_SHA2_512: "SHA512",
    },
)
INTEGRITY = (
    *_words(
        "seen",
        {
            IntegrityId.AUTH_HMAC_MD5_96: "MD596",
            IntegrityId.AUTH_HMAC_SHA1_96: "SHA96",
            IntegrityId.AUTH_HMAC_SHA2_256_128: "SHA256",
            IntegrityId.AUTH_HMAC_SHA2_384_192: "SHA384",
            IntegrityId.AUTH_HMAC_SHA2_512_256: "SHA512",
        },
    ),
    *_words("seen", {IntegrityId.NONE: "None"}),
)
GROUP = (
    *_words(
        "seen",
        {
            KeyExchangeId.MODP_1024: "DH_GROUP_1024_MODP/Group 2",
            KeyExchangeId.MODP_1536: "DH_GROUP_1536_MODP/Group 5",
            KeyExchangeId.MODP_2048: "DH_GROUP_2048_MODP/Group 14",
            KeyExchangeId.MODP_4096: "DH_GROUP_4096_MODP/Group 16",
            KeyExchangeId.ECP_256: "DH_GROUP_256_ECP/Group 19",
            KeyExchangeId.ECP_384: "DH_GROUP_384_ECP/Group 20",
            KeyExchangeId.ECP_521: "DH_GROUP_521_ECP/Group 21",
        },
    ),
    *_words(
        "inferred",
        {
            KeyExchangeId.MODP_768: "DH_GROUP_768_MODP/Group 1",
            KeyExchangeId.MODP_3072: "DH_GROUP_3072_MODP/Group 15",
            KeyExchangeId.MODP_2048_256: "DH_GROUP_2048_256_MODP/Group 24",
        },
    ),
    *_words(
        "unsourced",
        {
            KeyExchangeId.CURVE25519: "DH_GROUP_25519_ECP/Group 31",
            KeyExchangeId.CURVE448: "DH_GROUP_448_ECP/Group 32",
        },
    ),
)
ESN = (*_words("seen", {EsnId.NO_ESN: "Don't use ESN"}), *_words("inferred", {EsnId.ESN: "Use ESN"}))
ID_TYPE = (
    *_words("seen", {IdType.ID_IPV4_ADDR: "IPv4 address", IdType.ID_IPV6_ADDR: "IPv6 address"}),
    *_words(
        "unsourced",
        {
            IdType.ID_FQDN: "FQDN",
            IdType.ID_RFC822_ADDR: "RFC822 address",
            IdType.ID_DER_ASN1_DN: "DER ASN1 DN",
            IdType.ID_KEY_ID: "key ID",
        },
    ),
)
METHOD = (
    *_words("seen", {AuthMethod.SHARED_KEY_MIC: "PSK", AuthMethod.RSA_DIGITAL_SIGNATURE: "RSA"}),
    *_words("unsourced", {AuthMethod.DIGITAL_SIGNATURE: "Digital Signature", AuthMethod.ECDSA_SHA256_P256: "ECDSA"}),
)
#: Notify types whose name on an IOS screen is not the registry's.
NOTIFY = _words("seen", {int(kind): text for kind, text in IOS_NOTIFY_NAMES.items()})

#: Configuration attributes as `Attrib type:` names them; those of Cisco's own have no number that we know.
ATTRIBUTE = _words("seen", {CpAttribute.APPLICATION_VERSION: "app-version"})

TABLES: dict[str, tuple[Word, ...]] = {
    "encryption": ENCRYPTION,
    "PRF": PRF,
    "integrity": INTEGRITY,
    "key exchange": GROUP,
    "ESN": ESN,
    "ID type": ID_TYPE,
    "authentication method": METHOD,
    "notify": NOTIFY,
    "configuration attribute": ATTRIBUTE,
}

_BY_TYPE: dict[int, tuple[Word, ...]] = {
    TransformType.ENCR: ENCRYPTION,
    TransformType.PRF: PRF,
    TransformType.INTEG: INTEGRITY,
    TransformType.KE: GROUP,
    TransformType.ESN: ESN,
}
_TEXT = {kind: {word.number: word.text for word in words} for kind, words in _BY_TYPE.items()}
_NUMBER = {kind: {word.text: word.number for word in words} for kind, words in _BY_TYPE.items()}
_ID_TEXT = {word.number: word.text for word in ID_TYPE}
_ID_NUMBER = {word.text: word.number for word in ID_TYPE}
_METHOD_TEXT = {word.number: word.text for word in METHOD}
_METHOD_NUMBER = {word.text: word.number for word in METHOD}
_NOTIFY_TEXT = {NotifyType.of(word.number).label: word.text for word in NOTIFY}
_NOTIFY_LABEL = {text: label for label, text in _NOTIFY_TEXT.items()}
_ATTRIBUTE_TEXT = {word.number: word.text for word in ATTRIBUTE}
_EXCHANGE_NUMBER = {kind.label: int(kind) for kind in ExchangeType}
#: Encryption that authenticates by itself: no integrity transform goes with it (RFC 5282).
AEAD = frozenset(
    {EncryptionId.ENCR_AES_GCM_8, EncryptionId.ENCR_AES_GCM_12, EncryptionId.ENCR_AES_GCM_16}
    | {EncryptionId.ENCR_CHACHA20_POLY1305}
)


def transform(kind: int, number: int) -> str:
    """The word for one transform without its key length: AES-CBC, SHA96, DH_GROUP_256_ECP/Group 19, Don't use ESN."""
    found = _TEXT.get(kind, {}).get(number)
    if found is not None:
        return found
    if kind == TransformType.KE:
        return f"DH_GROUP_{number}/Group {number}"
    registry = TRANSFORM_IDS.get(kind)
    return registry.of(number).label if registry is not None else f"TRANSFORM_{kind}_{number}"


def transform_number(kind: int, text: str) -> int | None:
    """The IANA number of a word of one transform type; None where it is none."""
    found = _NUMBER.get(kind, {}).get(text)
    if found is not None:
        return found
    if kind == TransformType.KE and "/Group " in text:
        tail = text.rpartition(" ")[2]
        return int(tail) if tail.isdigit() else None
    registry = TRANSFORM_IDS.get(kind)
    if registry is not None and kind == TransformType.ENCR and text in registry.__members__:
        return int(registry[text])
    return None


def encryption(number: int | None, key_length: int | None) -> str:
    """Encryption with its key length as a suite prints it: AES-CBC-256, 3DES; `None` where there is none yet."""
    if number is None:
        return "None"
    text = transform(TransformType.ENCR, number)
    return f"{text}-{key_length}" if key_length else text


def group(number: int | None) -> str:
    """A key exchange method: DH_GROUP_256_ECP/Group 19."""
    return "None" if number is None else transform(TransformType.KE, number)


def id_type(number: int) -> str:
    """The type of an identity as the debug names it: IPv4 address."""
    return _ID_TEXT.get(number) or IdType.of(number).label


def id_type_number(text: str) -> int | None:
    """The ID type of such a word."""
    found = _ID_NUMBER.get(text)
    if found is None and text in IdType.__members__:
        return int(IdType[text])
    return found


def identity(fact: IdentityFact | Identity) -> str:
    """The value of an identity as IOS prints it: an IPv6 address in capitals."""
    return fact.value.upper() if fact.type == IdType.ID_IPV6_ADDR else fact.value


def method(number: int | None) -> str:
    """An authentication method: PSK."""
    if number is None:
        return "Unknown - 0"
    return _METHOD_TEXT.get(number) or AuthMethod.of(number).label


def method_number(text: str) -> int | None:
    """The number of such a word."""
    return _METHOD_NUMBER.get(text)


def attribute(number: int, name: str) -> str:
    """A configuration attribute as the debug names it: app-version; else its own name in the same manner."""
    return _ATTRIBUTE_TEXT.get(number) or name.lower().replace("_", "-")


def attribute_number(text: str) -> int | None:
    """The number of such a word."""
    found = next((word.number for word in ATTRIBUTE if word.text == text), None)
    label = text.upper().replace("-", "_")
    return int(CpAttribute[label]) if found is None and label in CpAttribute.__members__ else found


def notify(number: int) -> str:
    """A notify type: the registry's name except where IOS has its own."""
    label = NotifyType.of(number).label
    return _NOTIFY_TEXT.get(label, label)


def notify_number(text: str) -> int | None:
    """The number of a notify name of either spelling."""
    label = _NOTIFY_LABEL.get(text, text)
    if label in NotifyType.__members__:
        return int(NotifyType[label])
    tail = text.removeprefix("NOTIFY_")
    return int(tail) if tail.isdigit() else None


def exchange(number: int) -> str:
    """IKE_SA_INIT and so on."""
    return ExchangeType.of(number).label


def exchange_number(text: str) -> int | None:
    """The number of such a name."""
    found = _EXCHANGE_NUMBER.get(text)
    tail = text.removeprefix("EXCHANGE_")
    return found if found is not None else int(tail) if tail.isdigit() else None


def address(text: str) -> str:
    """`address:port` or an address as IOS prints it: IPv6 in capitals and without brackets."""
    return text.replace("[", "").replace("]", "").upper()


_SET_ENCRYPTION = {
    EncryptionId.ENCR_AES_CBC: "esp-{}aes",
    EncryptionId.ENCR_AES_GCM_16: "esp-gcm {}",
    EncryptionId.ENCR_NULL: "esp-null",
    EncryptionId.ENCR_3DES: "esp-3des",
    EncryptionId.ENCR_DES: "esp-des",
    EncryptionId.ENCR_CHACHA20_POLY1305: "esp-chacha20-poly1305",
}
_SET_INTEGRITY = {
    IntegrityId.AUTH_HMAC_MD5_96: "esp-md5-hmac",
    IntegrityId.AUTH_HMAC_SHA1_96: "esp-sha-hmac",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "esp-sha256-hmac",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "esp-sha384-hmac",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "esp-sha512-hmac",
}


def transform_set(number: int, key_length: int | None, integrity: int | None) -> str:
    """An ESP suite as `show crypto ipsec sa` names it: esp-256-aes esp-sha-hmac."""
    form = _SET_ENCRYPTION.get(EncryptionId.of(number))
    if form is None:
        words = [f"esp-{transform(TransformType.ENCR, number).lower()}"]
    elif number == EncryptionId.ENCR_AES_CBC:
        words = [form.format(f"{key_length}-" if key_length and key_length != 128 else "")]
    else:
        words = [form.format(key_length or "").strip()]
    if integrity is not None:
        words.append(_SET_INTEGRITY.get(IntegrityId.of(integrity)) or f"esp-{integrity}-hmac")
    return " ".join(words)


def configured_set(item: TransformSet) -> str:
    """The suite of a configured transform set."""
    return transform_set(item.encryption.id, item.encryption.key_length, item.integrity)
