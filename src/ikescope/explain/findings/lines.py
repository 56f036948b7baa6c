"""The lines of a remedy: transforms, identities and selectors in the words of IOS and of swanctl."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address, summarize_address_range
from itertools import chain

from ikescope.events import IdentityFact, ProposalFact, SelectorFact, TransformFact
from ikescope.wire.registry import AuthMethod, EncryptionId, IdType, IntegrityId, TransformType

BITS = "<key length>"
"""What stands for a key length that a log does not tell."""
KEY = "<the key that both ends share>"
ENCR, PRF, INTEG, KE = TransformType.ENCR, TransformType.PRF, TransformType.INTEG, TransformType.KE
AEADS = frozenset({18, 19, 20, int(EncryptionId.ENCR_CHACHA20_POLY1305)})

_ENCRYPTION = {2: "des", 3: "3des", 12: "aes-cbc-{}", 20: "aes-gcm-{}", 28: "chacha20-poly1305"}
_PRF = {1: "md5", 2: "sha1", 5: "sha256", 6: "sha384", 7: "sha512"}
_INTEGRITY = {1: "md5", 2: "sha1", 12: "sha256", 13: "sha384", 14: "sha512"}
#: Which PRF IOS takes where a proposal names an integrity and no PRF.
_PRF_OF = {1: 1, 2: 2, 12: 5, 13: 6, 14: 7}
_ESP_ENCRYPTION = {2: "esp-des", 3: "esp-3des", 11: "esp-null", 12: "esp-aes{}", 20: "esp-gcm{}", 21: "esp-gmac{}"}
_ESP_ENCRYPTION |= {28: "esp-chacha20-poly1305"}
_ESP_INTEGRITY = {
    IntegrityId.AUTH_HMAC_MD5_96: "esp-md5-hmac",
    IntegrityId.AUTH_HMAC_SHA1_96: "esp-sha-hmac",
    IntegrityId.AUTH_HMAC_SHA2_256_128: "esp-sha256-hmac",
    IntegrityId.AUTH_HMAC_SHA2_384_192: "esp-sha384-hmac",
    IntegrityId.AUTH_HMAC_SHA2_512_256: "esp-sha512-hmac",
}
_SWAN = {
    (1, 3): "3des",
    (1, 12): "aes{}",
    (1, 18): "aes{}gcm8",
    (1, 19): "aes{}gcm12",
    (1, 20): "aes{}gcm16",
    (1, 28): "chacha20poly1305",
    **{(2, id): f"prf{word}" for id, word in _PRF.items()},
    **{(3, id): word for id, word in _INTEGRITY.items()},
    **{(4, id): f"modp{bits}" for id, bits in {1: 768, 2: 1024, 5: 1536, 14: 2048, 15: 3072, 16: 4096}.items()},
    (4, 19): "ecp256",
    (4, 20): "ecp384",
    (4, 21): "ecp521",
    (4, 31): "x25519",
    (4, 32): "x448",
    (5, 1): "esn",
}
METHODS = {int(AuthMethod.SHARED_KEY_MIC): "pre-share", 1: "rsa-sig", 14: "rsa-sig", 9: "ecdsa-sig", 10: "ecdsa-sig"}
SWAN_METHODS = {"pre-share": "psk", "rsa-sig": "pubkey", "ecdsa-sig": "pubkey"}


def of_type(fact: ProposalFact, kind: int) -> tuple[TransformFact, ...]:
    """The transforms of one type, NONE left out."""
    return tuple(one for one in fact.transforms if one.type == kind and (one.id or kind == TransformType.ESN))


def is_aead(fact: ProposalFact) -> bool:
    """Whether all its encryption brings its own integrity."""
    found = of_type(fact, ENCR)
    return bool(found) and all(one.id in AEADS for one in found)


def axes(received: ProposalFact, ours: ProposalFact) -> tuple[int, ...]:
    """The transform types in which two proposals have nothing in common."""
    kinds = dict.fromkeys(one.type for one in (*received.transforms, *ours.transforms))
    return tuple(kind for kind in kinds if not _meet(received, ours, kind))


def _meet(one: ProposalFact, other: ProposalFact, kind: int) -> bool:
    first, second = of_type(one, kind), of_type(other, kind)
    if kind == TransformType.ESN and not (first and second):
        return True
    return (not first and not second) or bool(_values(first) & _values(second))


def _values(transforms: Iterable[TransformFact]) -> set[tuple[int, int | None]]:
    return {(one.id, one.key_length) for one in transforms}


def nearest(
    received: Sequence[ProposalFact], expected: Sequence[ProposalFact]
) -> tuple[ProposalFact, ProposalFact, tuple[int, ...]] | None:
    """The pair of a received and an own proposal that the fewest transform types part, and these; None without any."""
    pairs = [(one, other, axes(one, other)) for one in received for other in expected]
    return min(pairs, key=lambda one: len(one[2]), default=None)


def _ike_word(kind: int, one: TransformFact) -> str | None:
    if kind == ENCR:
        form = _ENCRYPTION.get(one.id)
        known = one.key_length is None or isinstance(one.key_length, int)
        return None if form is None else form.format((one.key_length or 128) if known else BITS)
    if kind == KE:
        return str(int(one.id))
    return (_PRF if kind == PRF else _INTEGRITY).get(one.id)


def _words(kind: int, transforms: Iterable[TransformFact]) -> str:
    return " ".join(dict.fromkeys(word for one in transforms if (word := _ike_word(kind, one))))


_COMMANDS = ((ENCR, "encryption"), (INTEG, "integrity"), (PRF, "prf"), (KE, "group"))


def _own_prf(prfs: Iterable[TransformFact], integrities: Iterable[TransformFact]) -> bool:
    """Whether a `prf` line is needed: IOS takes the PRFs of the integrity line without one."""
    return [one.id for one in prfs] != [_PRF_OF.get(one.id) for one in integrities]


def ios_proposal(name: str, wanted: ProposalFact, policy: str = "") -> tuple[str, ...]:
    """`crypto ikev2 proposal` with exactly these transforms, and the policy that names it where `policy` is given."""
    lines = [f"crypto ikev2 proposal {name}"]
    for kind, command in _COMMANDS:
        if kind == PRF and not _own_prf(of_type(wanted, PRF), of_type(wanted, INTEG)):
            continue
        if words := _words(kind, of_type(wanted, kind)):
            lines.append(f" {command} {words}")
    return (*lines, *((f"crypto ikev2 policy {policy}", f" proposal {name}") if policy else ()))


def ios_widened(name: str, ours: ProposalFact, theirs: ProposalFact, kinds: Sequence[int]) -> tuple[str, ...]:
    """The lines of an own proposal that part it from the peer's, with what the peer has at their end."""
    lines = [f"crypto ikev2 proposal {name}"]
    integrities = (*of_type(ours, INTEG), *of_type(theirs, INTEG))
    prfs = (*of_type(ours, PRF), *of_type(theirs, PRF))
    for kind, command in _COMMANDS:
        wanted = kind in kinds or (kind == PRF and INTEG in kinds)
        if not wanted or (kind == PRF and INTEG in kinds and not _own_prf(prfs, integrities)):
            continue
        lines.append(f" {command} {_words(kind, (*of_type(ours, kind), *of_type(theirs, kind)))}")
    return tuple(lines)


def first_of_each(fact: ProposalFact) -> ProposalFact:
    """The first choice of each transform type."""
    kinds = dict.fromkeys(one.type for one in fact.transforms)
    first = tuple(next(one for one in fact.transforms if one.type == kind) for kind in kinds)
    return ProposalFact(fact.number, fact.protocol, fact.spi, first)


def ios_transform_set(name: str, wanted: ProposalFact, transport: bool | None) -> tuple[str, ...]:
    """`crypto ipsec transform-set` of the first suite of a proposal, with its mode where that is known."""
    encryption = next(iter(of_type(wanted, ENCR)), None)
    form = None if encryption is None else _ESP_ENCRYPTION.get(encryption.id)
    if encryption is None or form is None:
        return ()
    known = isinstance(encryption.key_length, int) or encryption.key_length is None
    bits = "" if encryption.key_length in (None, 128) else f" {encryption.key_length if known else BITS}"
    integrity = next(iter(of_type(wanted, INTEG)), None)
    word = "" if integrity is None else f" {_ESP_INTEGRITY.get(IntegrityId.of(integrity.id), '')}"
    esn = " esn" if any(one.id == 1 for one in of_type(wanted, TransformType.ESN)) else ""
    mode = () if transport is None else (f" mode {'transport' if transport else 'tunnel'}",)
    return (f"crypto ipsec transform-set {name} {form.format(bits)}{word}{esn}".rstrip(), *mode)


def swan_proposal(wanted: ProposalFact) -> str:
    """`aes256-sha512-prfsha512-ecp256`, as `proposals` and `esp_proposals` of swanctl.conf have it."""
    order = (ENCR, INTEG, PRF, KE, TransformType.ESN)
    found = chain.from_iterable(of_type(wanted, kind) for kind in order)
    words = ((_SWAN.get((one.type, one.id)) or "").format(_bits(one)) for one in found)
    return "-".join(dict.fromkeys(word for word in words if word))


def _bits(one: TransformFact) -> str:
    return str(one.key_length) if isinstance(one.key_length, int) and one.key_length else ""


def swan(*path: str, setting: str, value: str) -> tuple[str, ...]:
    """A setting of swanctl.conf in its sections."""
    opening = tuple(f"{'  ' * depth}{name} {{" for depth, name in enumerate(path))
    closing = tuple(f"{'  ' * depth}}}" for depth in reversed(range(len(path))))
    return (*opening, f"{'  ' * len(path)}{setting} = {value}", *closing)


_IDENTITIES = {
    int(IdType.ID_IPV4_ADDR): "address {}",
    int(IdType.ID_IPV6_ADDR): "address {}",
    int(IdType.ID_FQDN): "fqdn {}",
    int(IdType.ID_RFC822_ADDR): "email {}",
    int(IdType.ID_KEY_ID): "key-id {}",
}


def identity_words(identity: IdentityFact, *, match: bool) -> str:
    """An identity as `match identity remote` or `identity local` has it; empty where IOS has no words for it."""
    form = _IDENTITIES.get(int(identity.type), "")
    if match and identity.type == IdType.ID_IPV4_ADDR:
        return f"address {identity.value} 255.255.255.255"
    if match and identity.type == IdType.ID_IPV6_ADDR:
        return f"address {identity.value}/128"
    return form.format(identity.value)


def acl_lines(name: str, local: Sequence[SelectorFact], remote: Sequence[SelectorFact]) -> tuple[str, ...]:
    """An extended access-list that permits from each local to each remote selector, whole networks only."""
    wide = broad(local), broad(remote)
    lines = [f" permit {_protocol(mine)} {_place(mine)} {_place(other)}" for mine in wide[0] for other in wide[1]]
    return (f"ip access-list extended {name}", *dict.fromkeys(lines))


def broad(selectors: Sequence[SelectorFact]) -> tuple[SelectorFact, ...]:
    """Without the selector of the packet that began it: the first of several where another holds it."""
    rest = tuple(selectors[1:])
    return rest if rest and any(_holds(one, selectors[0]) for one in rest) else tuple(selectors)


def _holds(one: SelectorFact, other: SelectorFact) -> bool:
    try:
        first, last = ip_address(one.start), ip_address(one.end)
        start, end = ip_address(other.start), ip_address(other.end)
    except ValueError:
        return False
    return first.version == start.version and int(first) <= int(start) and int(end) <= int(last)


def _protocol(one: SelectorFact) -> str:
    return {0: "ip", 1: "icmp", 6: "tcp", 17: "udp", 47: "gre"}.get(one.protocol, str(one.protocol))


def _place(one: SelectorFact) -> str:
    if one.start == one.end:
        return f"host {one.start}"
    try:
        first, last = IPv4Address(one.start), IPv4Address(one.end)
        network = next(iter(summarize_address_range(first, last)))
    except ValueError:
        return "any" if one.start == "::" else one.start
    return "any" if network.prefixlen == 0 else f"{network.network_address} {network.hostmask}"


def longer(fact: ProposalFact, bits: int) -> ProposalFact:
    """The same proposal with encryption keys of so many bits."""
    changed = tuple(TransformFact(one.type, one.id, bits) if one.type == ENCR else one for one in fact.transforms)
    return ProposalFact(fact.number, fact.protocol, fact.spi, changed)
