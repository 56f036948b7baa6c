"""The words of a swanctl.conf: proposals, times, identities, traffic selectors, secrets (strongSwan 5.9)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv6Address,
    NetmaskValueError,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Literal

import msgspec

from ikescope.config.model import Address, Identity, IdentityMatch, Network, Secret, TransformChoice
from ikescope.wire.registry import EncryptionId, IdType, IntegrityId, KeyExchangeId, PrfId

Protocol = Literal["ike", "esp"]


class WordError(ValueError):
    """A word that is none of swanctl's, or that ikescope cannot follow: what was found and what is wanted."""


_CBC, _GCM = EncryptionId.ENCR_AES_CBC, EncryptionId.ENCR_AES_GCM_16
ENCRYPTIONS: dict[str, TransformChoice] = {
    "aes": TransformChoice(_CBC, 128),
    **{f"aes{bits}": TransformChoice(_CBC, bits) for bits in (128, 192, 256)},
    **{f"aes{bits}gcm{icv}": TransformChoice(_GCM, bits) for bits in (128, 192, 256) for icv in ("", "16", "128")},
    "chacha20poly1305": TransformChoice(EncryptionId.ENCR_CHACHA20_POLY1305),
    "null": TransformChoice(EncryptionId.ENCR_NULL),
}
INTEGRITIES: dict[str, int] = {
    "sha": IntegrityId.AUTH_HMAC_SHA1_96,
    "sha1": IntegrityId.AUTH_HMAC_SHA1_96,
    **{f"{prefix}256": IntegrityId.AUTH_HMAC_SHA2_256_128 for prefix in ("sha", "sha2_")},
    **{f"{prefix}384": IntegrityId.AUTH_HMAC_SHA2_384_192 for prefix in ("sha", "sha2_")},
    **{f"{prefix}512": IntegrityId.AUTH_HMAC_SHA2_512_256 for prefix in ("sha", "sha2_")},
}
PRFS: dict[str, int] = {
    "prfsha1": PrfId.PRF_HMAC_SHA1,
    "prfsha256": PrfId.PRF_HMAC_SHA2_256,
    "prfsha384": PrfId.PRF_HMAC_SHA2_384,
    "prfsha512": PrfId.PRF_HMAC_SHA2_512,
}
GROUPS: dict[str, int] = {
    **{f"ecp{bits}": getattr(KeyExchangeId, f"ECP_{bits}") for bits in (256, 384, 521)},
    **dict.fromkeys(("x25519", "curve25519"), KeyExchangeId.CURVE25519),
    **dict.fromkeys(("x448", "curve448"), KeyExchangeId.CURVE448),
    **{f"modp{bits}": getattr(KeyExchangeId, f"MODP_{bits}") for bits in (3072, 4096, 6144, 8192, 2048, 1536, 1024)},
}
_PRF_OF: dict[int, int] = {
    IntegrityId.AUTH_HMAC_SHA1_96: PrfId.PRF_HMAC_SHA1,
    IntegrityId.AUTH_HMAC_SHA2_256_128: PrfId.PRF_HMAC_SHA2_256,
    IntegrityId.AUTH_HMAC_SHA2_384_192: PrfId.PRF_HMAC_SHA2_384,
    IntegrityId.AUTH_HMAC_SHA2_512_256: PrfId.PRF_HMAC_SHA2_512,
}
_FOREIGN = re.compile(
    r"3des|des|aes(128|192|256)?(ctr|ccm\d*|gcm(8|12|64|96)|gmac)|camellia.*|blowfish.*|cast128|serpent.*|twofish.*"
    r"|md5.*|sha1_160|sha256_96|sha2_256_96|aesxcbc|aescmac|prfmd5|prfaesxcbc|prfaescmac|modp768|modp\d+s\d+|modpnull"
    r"|ecp(192|224)(bp)?|ecp\d+bp|mlkem\d+|ke\d_.*|ntru.*|newhope.*"
)
"""Algorithms of strongSwan that ikescope has not."""
_AEAD = frozenset({EncryptionId.ENCR_AES_GCM_16, EncryptionId.ENCR_CHACHA20_POLY1305})

_SHA2 = ("sha256", "sha384", "sha512", "sha1")
_PRF_WORDS = tuple(f"prf{one}" for one in _SHA2)
_KE = ["x25519", "x448", "ecp256", "ecp384", "ecp521", "modp3072", "modp4096", "modp6144", "modp8192", "modp2048"]
_SEALED = ("aes128gcm16", "aes192gcm16", "aes256gcm16")
DEFAULTS: dict[Protocol, tuple[str, ...]] = {
    "ike": (
        "-".join(("aes128-aes192-aes256", *_SHA2, *_PRF_WORDS, *_KE)),
        "-".join((*_SEALED, "chacha20poly1305", *_PRF_WORDS, *_KE)),
    ),
    "esp": ("-".join(("aes128-aes192-aes256", *_SHA2)), "-".join(_SEALED)),
}
"""What `default` stands for in strongSwan 5.9 (Debian 12), in its order and without what ikescope has not."""


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """One proposal; `foreign` are its algorithms that ikescope has not."""

    encryption: tuple[TransformChoice, ...] = ()
    integrity: tuple[int, ...] = ()
    prf: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    esn: tuple[bool, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def aead(self) -> bool:
        """Whether every encryption is an AEAD."""
        return all(one.id in _AEAD for one in self.encryption)


def proposals(text: str, protocol: Protocol) -> tuple[Words, ...]:
    """The proposals of a list such as `aes256-sha512-ecp256, default`; WordError for a word that is none.

    One that mixes AEADs with others becomes two; one of nothing but what ikescope has not is left with no encryption.
    """
    found: list[Words] = []
    for one in (item.strip() for item in text.split(",")):
        for each in DEFAULTS[protocol] if one == "default" else (one,):
            found += _apart(_words(each, protocol))
    return tuple(found)


def _words(text: str, protocol: Protocol) -> Words:
    encryption, integrity, prf, groups, foreign = [], [], [], [], []
    esn: list[bool] = []
    for word in text.lower().split("-"):
        if word in ENCRYPTIONS:
            encryption.append(ENCRYPTIONS[word])
        elif word in INTEGRITIES:
            integrity.append(INTEGRITIES[word])
        elif word in PRFS:
            prf.append(PRFS[word])
        elif word in GROUPS:
            groups.append(GROUPS[word])
        elif word in ("esn", "noesn"):
            esn.append(word == "esn")
        elif _FOREIGN.fullmatch(word):
            foreign.append(word)
        else:
            raise WordError(f"had `{word}` in {text}, wanted algorithms of strongSwan such as aes256-sha256-ecp256")
    if protocol == "ike" and not prf:
        prf = [_PRF_OF[one] for one in integrity]
    made = Words(
        encryption=tuple(encryption),
        integrity=tuple(integrity),
        prf=tuple(prf),
        groups=tuple(groups),
        esn=tuple(esn),
        foreign=tuple(foreign),
    )
    if not foreign:
        _complete(made, text, protocol)
    return made


def _complete(one: Words, text: str, protocol: Protocol) -> None:
    """What charon itself insists on."""
    faults = (
        (not one.encryption, "an encryption algorithm such as aes256"),
        (not one.aead and not one.integrity, "an integrity algorithm such as sha256"),
        (protocol == "ike" and not one.prf, "a PRF such as prfsha256"),
        (protocol == "ike" and not one.groups, "a key exchange such as ecp256"),
    )
    for fault, wanted in faults:
        if fault:
            raise WordError(f"had {text}, wanted {wanted} in it")


def _apart(one: Words) -> list[Words]:
    sealed = tuple(each for each in one.encryption if each.id in _AEAD)
    others = tuple(each for each in one.encryption if each.id not in _AEAD)
    halves = []
    if others and one.integrity:
        halves.append(msgspec.structs.replace(one, encryption=others))
    if sealed:
        halves.append(msgspec.structs.replace(one, encryption=sealed, integrity=()))
    return halves or [msgspec.structs.replace(one, encryption=())]


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def seconds(text: str) -> int:
    """A time: `4h`, `30m`, `0`; WordError otherwise."""
    return _number(text, _UNITS, "a time such as 30s, 20m or 4h")


def octets(text: str) -> int:
    """A number of octets: `500M`; WordError otherwise."""
    return _number(text, _SIZES, "a number of octets such as 500M or 1G")


def _number(text: str, units: dict[str, int], wanted: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})\s*([a-zA-Z]?)", text.strip())
    if found is None or found[2].lower() not in units:
        raise WordError(f"had {text or 'nothing'}, wanted {wanted}")
    return int(found[1]) * units[found[2].lower()]


def number(text: str) -> int:
    """A number without a unit; WordError otherwise."""
    return _number(text, {"": 1}, "a number such as 32")


def flag(text: str) -> bool:
    """`yes` and `no`, as strongSwan writes them."""
    lower = text.strip().lower()
    if lower in ("yes", "true", "enabled", "1"):
        return True
    if lower in ("no", "false", "disabled", "0"):
        return False
    raise WordError(f"had {text or 'nothing'}, wanted yes or no")


def identity(text: str) -> Identity | None:
    """An identity as strongSwan reads it; None for %any, WordError for a distinguished name and what is like it."""
    text = text.strip()
    prefix, colon, rest = text.partition(":")
    typed = {"ipv4": "address", "ipv6": "address", "fqdn": "fqdn", "email": "email", "rfc822": "email", "keyid": "key"}
    if colon and prefix.lower() in typed:
        return _typed(typed[prefix.lower()], rest)
    if text in ("", "%any", "%any6", "*", "0.0.0.0", "::"):
        return None
    if "=" in text:
        raise WordError(f"had {text}, wanted an address, a name or a key ID: ikescope claims no distinguished name")
    if text.startswith("@#"):
        return Identity(int(IdType.ID_KEY_ID), "0x" + text[2:].lower())
    if text.startswith("@@"):
        return _typed("email", text[2:])
    if text.startswith("@"):
        return _typed("fqdn", text[1:])
    if "@" in text:
        return _typed("email", text)
    try:
        return _of_address(ip_address(text))
    except ValueError:
        return _typed("key" if ":" in text else "fqdn", text)


def _typed(kind: str, value: str) -> Identity:
    if kind == "address":
        try:
            return _of_address(ip_address(value))
        except ValueError as error:
            raise WordError(f"had {value}, wanted an address") from error
    types = {"fqdn": IdType.ID_FQDN, "email": IdType.ID_RFC822_ADDR, "key": IdType.ID_KEY_ID}
    return Identity(int(types[kind]), value)


def _of_address(address: Address) -> Identity:
    return Identity(int(IdType.ID_IPV4_ADDR if address.version == 4 else IdType.ID_IPV6_ADDR), str(address))


_KINDS: dict[int, Literal["fqdn", "email", "key-id"]] = {
    IdType.ID_FQDN: "fqdn",
    IdType.ID_RFC822_ADDR: "email",
    IdType.ID_KEY_ID: "key-id",
}


def match(one: Identity | None, line: int) -> IdentityMatch:
    """The `match identity remote` that admits an identity, any for None; `*.example.org` admits a domain."""
    if one is None:
        return IdentityMatch(kind="any", line=line)
    kind = _KINDS.get(one.type)
    if kind is None:
        return IdentityMatch(kind="address", network=ip_network(one.value), line=line)
    domain = kind != "key-id" and one.value.startswith("*")
    return IdentityMatch(kind=kind, value=one.value.lstrip("*.@") if domain else one.value, domain=domain, line=line)


_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "ospf": 89, "sctp": 132}
ANY_PORT = (0, 65535)


class Part(msgspec.Struct, frozen=True):
    """One traffic selector; `network` None is `dynamic`."""

    network: Network | None
    protocol: int = 0
    ports: tuple[int, int] = ANY_PORT


def selectors(text: str) -> tuple[Part, ...]:
    """The selectors of a list such as `10.1.0.0/16, dynamic[gre]`; WordError for what is none."""
    return tuple(_selector(item) for item in re.findall(r"[^,\[\]]+(?:\[[^\]]*\])?", text) if item.strip())


def _selector(text: str) -> Part:
    found = re.fullmatch(r"\s*([^\[\s]+)\s*(?:\[\s*([^/\]]*?)\s*(?:/\s*([^\]]*?)\s*)?\])?\s*", text)
    if found is None:
        raise WordError(f"had {text.strip()}, wanted a selector such as 10.1.0.0/16 or dynamic[gre]")
    protocol = _protocol(found[2] or "")
    ports = _ports(found[3] or "")
    if found[1].lower() == "dynamic":
        return Part(None, protocol, ports)
    networks = _networks(found[1])
    if not networks:
        raise WordError(f"had {found[1]}, wanted a network such as 10.1.0.0/16")
    if len(networks) > 1:
        several = ", ".join(str(one) for one in networks[:4]) + (", ..." if len(networks) > 4 else "")
        raise WordError(
            f"had {found[1]}, wanted a range that is one network, as ikescope has no other: it is {several}"
        )
    return Part(networks[0], protocol, ports)


def _networks(text: str) -> tuple[Network, ...]:
    """The networks of `10.1.0.0/16` or of a range `10.1.0.0-10.1.0.255`; none where it is neither."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    try:
        if not dash:
            return (ip_network(text.strip(), strict=False),)
        return tuple(summarize_address_range(ip_address(first), ip_address(last)))
    except (ValueError, TypeError, AddressValueError, NetmaskValueError):
        return ()


def _protocol(text: str) -> int:
    if text.lower() in ("", "%any", "any"):
        return 0
    number = _PROTOCOLS.get(text.lower(), int(text) if text.isdigit() else -1)
    if not 0 <= number <= 255:
        raise WordError(f"had protocol {text}, wanted one of {', '.join(_PROTOCOLS)} or a number")
    return number


def _ports(text: str) -> tuple[int, int]:
    if text.lower() in ("", "%any", "any"):
        return ANY_PORT
    first, _, last = text.partition("-")
    if not first.isdigit() or (last and not last.isdigit()) or int(last or first) > ANY_PORT[1]:
        raise WordError(f"had port {text}, wanted a number or two such as 80 or 1000-2000")
    return int(first), int(last or first)


def address(text: str) -> IPv4Address | IPv6Address | None:
    """The first of the addresses of `local_addrs` or `remote_addrs` that names one host; None where none does."""
    for item in text.split(","):
        try:
            return ip_address(item.strip())
        except ValueError:
            continue
    return None


def within(text: str) -> tuple[Network, ...] | None:
    """Where the host of `local_addrs` or `remote_addrs` lies: addresses, networks, ranges.

    None for everywhere: `%any`, or a name, which nobody looks up here.
    """
    found: list[Network] = []
    for item in text.split(","):
        networks = _networks(item)
        if not networks:
            return None
        found += networks
    return tuple(found)


def names(text: str) -> tuple[str, ...]:
    """What of `local_addrs` or `remote_addrs` is a host name."""
    items = (item.strip() for item in text.split(","))
    return tuple(one for one in items if one and not one.startswith("%") and not _networks(one))


def one_of(*wanted: str) -> Callable[[str], str]:
    """A reader of one of some words; WordError for any other."""

    def read(text: str) -> str:
        if text not in wanted:
            raise WordError(f"had {text}, wanted one of {', '.join(wanted)}")
        return text

    return read


def secret(text: str) -> Secret:
    """A shared secret: text, `0x` hexadecimal, `0s` base64; WordError, which does not show it, for damaged ones."""
    try:
        if text[:2] in ("0x", "0X"):
            return Secret(bytes.fromhex(text[2:]))
        if text[:2] in ("0s", "0S"):
            return Secret(base64.b64decode(text[2:], validate=True))
    except (ValueError, binascii.Error):
        form = "hexadecimal digits after 0x" if text[1:2] in "xX" else "base64 after 0s"
        raise WordError(f"had a secret that is not what it says, wanted {form}") from None
    return Secret(text.encode())


def host(end: Address) -> Network:
    """The network of one address."""
    return ip_network(end)
