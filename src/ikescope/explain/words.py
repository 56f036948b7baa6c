"""Numbers as the words a network engineer uses: algorithms, groups, selectors, lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address, summarize_address_range

from ikescope.events import IdentityFact, ProposalFact, SelectorFact, TransformFact, UnsetType
from ikescope.wire.registry import (
    AuthMethod,
    EncryptionId,
    EsnId,
    ExchangeType,
    IdType,
    IntegrityId,
    KeyExchangeId,
    NotifyType,
    PrfId,
    TransformType,
)

ENCRYPTION = {
    EncryptionId.ENCR_3DES: "3DES",
    EncryptionId.ENCR_AES_CBC: "AES-CBC",
    EncryptionId.ENCR_AES_CTR: "AES-CTR",
    EncryptionId.ENCR_AES_GCM_8: "AES-GCM-8",
    EncryptionId.ENCR_AES_GCM_12: "AES-GCM-12",
    EncryptionId.ENCR_AES_GCM_16: "AES-GCM",
    EncryptionId.ENCR_CHACHA20_POLY1305: "ChaCha20-Poly1305",
    EncryptionId.ENCR_NULL: "NULL",
}
PRF = {
    PrfId.PRF_HMAC_MD5: "MD5",
    PrfId.PRF_HMAC_SHA1: "SHA1",
    PrfId.PRF_HMAC_SHA2_256: "SHA256",
    PrfId.PRF_HMAC_SHA2_384: "SHA384",
    PrfId.PRF_HMAC_SHA2_512: "SHA512",
}
INTEGRITY = {
    IntegrityId.NONE: "none",
    IntegrityId.AUTH_HMAC_MD5_96: "MD5-96",
    IntegrityId.AUTH_HMAC_SHA1_96: "SHA1-96",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "SHA256",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "SHA384",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "SHA512",
}
GROUP = {
    KeyExchangeId.MODP_1024: "1024-bit MODP",
    KeyExchangeId.MODP_1536: "1536-bit MODP",
    KeyExchangeId.MODP_2048: "2048-bit MODP",
    KeyExchangeId.MODP_3072: "3072-bit MODP",
    KeyExchangeId.MODP_4096: "4096-bit MODP",
    KeyExchangeId.ECP_256: "256-bit elliptic curve",
    KeyExchangeId.ECP_384: "384-bit elliptic curve",
    KeyExchangeId.ECP_521: "521-bit elliptic curve",
    KeyExchangeId.CURVE25519: "Curve25519",
    KeyExchangeId.CURVE448: "Curve448",
}
ESN = {EsnId.NO_ESN: "32-bit sequence numbers", EsnId.ESN: "64-bit sequence numbers (ESN)"}
#: What the transforms of each type do, singular, in the order in which they are told.
KINDS = {
    TransformType.ENCR: "encryption",
    TransformType.PRF: "PRF",
    TransformType.INTEG: "integrity",
    TransformType.KE: "key exchange",
    TransformType.ESN: "ESN",
}
#: The IP protocols that an operator names.
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 47: "GRE", 50: "ESP", 58: "ICMPv6", 89: "OSPF"}
#: Protocols whose "ports" are type and code (RFC 7296 section 3.13.1).
ICMP = (1, 58)
METHODS = {
    AuthMethod.SHARED_KEY_MIC: "pre-shared key",
    AuthMethod.RSA_DIGITAL_SIGNATURE: "RSA signature",
    AuthMethod.DIGITAL_SIGNATURE: "digital signature",
}
ID_KINDS = {
    IdType.ID_IPV4_ADDR: "IPv4 address",
    IdType.ID_IPV6_ADDR: "IPv6 address",
    IdType.ID_FQDN: "FQDN",
    IdType.ID_RFC822_ADDR: "email address",
    IdType.ID_KEY_ID: "key ID",
}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def count(number: int) -> str:
    """A small number as a word."""
    return _NUMBERS[number] if number < len(_NUMBERS) else str(number)


def plural(number: int, noun: str) -> str:
    """`1 transform`, `9 transforms`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = list(words) or [""]
    return f"{', '.join(most)} and {last}" if most else last


def encryption(number: int, key_length: int | None) -> str:
    """An encryption algorithm with its key length in bits."""
    name = ENCRYPTION.get(EncryptionId.of(number), EncryptionId.of(number).label)
    return f"{name}-{key_length}" if isinstance(key_length, int) else name


def integrity(number: int | None) -> str:
    """An integrity algorithm; an AEAD's is its own."""
    return "its own ICV" if not number else INTEGRITY.get(IntegrityId.of(number), IntegrityId.of(number).label)


def prf(number: int) -> str:
    """A pseudorandom function by its hash."""
    return PRF.get(PrfId.of(number), PrfId.of(number).label)


def group(number: int) -> str:
    """`group 19 (256-bit elliptic curve)`."""
    name = GROUP.get(KeyExchangeId.of(number))
    return f"group {int(number)} ({name})" if name else f"group {int(number)}"


def transform(fact: TransformFact) -> str:
    """One transform, in the shortest words that are exact."""
    kind = TransformType.of(fact.type)
    if kind == TransformType.ENCR:
        return encryption(fact.id, fact.key_length)
    if kind == TransformType.PRF:
        return prf(fact.id)
    if kind == TransformType.INTEG:
        return integrity(fact.id) if fact.id else "none"
    if kind == TransformType.ESN:
        return ESN.get(EsnId.of(fact.id), f"ESN {fact.id}")
    return str(int(fact.id))


def by_kind(proposals: Sequence[ProposalFact]) -> list[tuple[str, list[str], int]]:
    """The transforms of proposals by what they do: kind, names in the order of preference, how many there are."""
    found: list[tuple[str, list[str], int]] = []
    kinds = list(KINDS) + sorted({one.type for fact in proposals for one in fact.transforms or ()} - set(KINDS))
    for kind in kinds:
        names = [transform(one) for fact in proposals for one in fact.transforms or () if one.type == kind]
        if names:
            name = KINDS.get(TransformType.of(kind), TransformType.of(kind).label)
            found.append((name, list(dict.fromkeys(names)), len(names)))
    return found


def suite(fact: ProposalFact) -> str:
    """`AES-CBC-256, PRF SHA512, integrity SHA512, group 19` of a proposal with one transform of each type."""
    told = []
    for one in fact.transforms:
        kind = TransformType.of(one.type)
        prefix = {TransformType.PRF: "PRF ", TransformType.INTEG: "integrity ", TransformType.KE: "group "}.get(
            kind, ""
        )
        told.append(prefix + transform(one))
    return ", ".join(told)


def selector(fact: SelectorFact) -> str:
    """`10.1.0.0/24`, `192.0.2.1 GRE`, `10.0.0.1 TCP port 443`."""
    words = [_range(fact.start, fact.end)]
    if fact.protocol:
        words.append(PROTOCOLS.get(fact.protocol, f"protocol {fact.protocol}"))
    if fact.protocol in ICMP and fact.start_port == fact.end_port:
        words.append(f"type {fact.start_port >> 8} code {fact.start_port & 255}")
    elif (fact.start_port, fact.end_port) != (0, 65535):
        ports = str(fact.start_port) if fact.start_port == fact.end_port else f"{fact.start_port}-{fact.end_port}"
        words.append(f"port {ports}")
    return " ".join(words)


def covers(facts: Sequence[SelectorFact], address: str, protocol: int) -> bool:
    """Whether one of the selectors holds an address with an IP protocol, whatever its ports."""
    try:
        wanted = ip_address(address)
        return any(
            fact.protocol in (0, protocol)
            and ip_address(fact.start).version == wanted.version
            and int(ip_address(fact.start)) <= int(wanted) <= int(ip_address(fact.end))
            for fact in facts
        )
    except ValueError:
        return False


def _range(start: str, end: str) -> str:
    try:
        first, last = ip_address(start), ip_address(end)
        (network,) = summarize_address_range(first, last)
    except (TypeError, ValueError):
        return start if start == end else f"{start}-{end}"
    if start == end:
        return start
    return "any" if network.prefixlen == 0 else str(network)


def pair(local: Sequence[SelectorFact], remote: Sequence[SelectorFact]) -> str:
    """`192.0.2.1 -> 192.0.2.2, GRE`: what goes from our side to theirs."""
    protocols = {fact.protocol for fact in (*local, *remote)}
    if len(local) == len(remote) == 1 and len(protocols) == 1 and (protocol := protocols.pop()):
        bare = [SelectorFact(one.start, one.end, 0, one.start_port, one.end_port) for one in (local[0], remote[0])]
        name = PROTOCOLS.get(protocol, f"protocol {protocol}")
        return f"{selector(bare[0])} -> {selector(bare[1])}, {name}"
    return f"{selectors(local)} -> {selectors(remote)}"


def selectors(facts: Sequence[SelectorFact]) -> str:
    """Several selectors of one side."""
    return listed(selector(fact) for fact in facts)


def identity(fact: IdentityFact) -> str:
    """`192.0.2.1 (IPv4 address)`."""
    # Of a name a text does not always say which type it has.
    if not isinstance(fact.type, int):
        return fact.value
    kind = IdType.of(fact.type)
    return f"{fact.value} ({ID_KINDS.get(kind, kind.label)})"


def method(number: int) -> str:
    """An authentication method."""
    return METHODS.get(AuthMethod.of(number), AuthMethod.of(number).label)


def exchange(number: int | UnsetType) -> str:
    """An exchange's name; `message` where the source does not tell it."""
    return "message" if isinstance(number, UnsetType) else ExchangeType.of(number).label


def notify(number: int) -> str:
    """A notify's name and number."""
    return str(NotifyType.of(number))


def spi(text: str) -> str:
    """An SPI as it is printed: 0x and upper case digits."""
    return f"0x{text.upper()}"


def duration(seconds: float) -> str:
    """`86400 s (24 h)`, `3600 s (1 h)`, `90 s`."""
    whole = int(seconds)
    for unit, name in ((3600, "h"), (60, "min")):
        if whole >= unit and whole % unit == 0:
            return f"{whole} s ({whole // unit} {name})"
    return f"{seconds:g} s"


def host(address: str) -> str:
    """The address of `address:port`."""
    return address.rpartition(":")[0].strip("[]") or address


def port(address: str) -> str:
    """The port of `address:port`."""
    return address.rpartition(":")[2]
