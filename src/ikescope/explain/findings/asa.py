"""A remedy in the words of ASA and FTD: what IOS's lines say, as such a box has it.

A `crypto ikev2 proposal` is a policy there, a transform-set an ipsec-proposal, a keyring and a profile the peer's
tunnel-group, an ipsec profile the entry of a crypto map. What has no counterpart stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address

MAP = "<the crypto map> <its sequence>"
"""What stands for an entry of a crypto map that no log names."""
PRIORITY = "<the priority of the policy>"
TRUSTPOINT = "<trustpoint>"
LIST = "MIRROR"
_OWN = "FROM-PEER"

Block = tuple[str, tuple[str, ...]]
"""A line at the margin and the lines below it, without their blanks."""


def in_asa_words(lines: Sequence[str], peer: str, entry: str = "") -> tuple[str, ...]:
    """The lines of IOS as ASA's; `peer` is whose tunnel-group it is, `entry` the crypto map and its sequence."""
    group, mapped = peer or "<peer>", entry or MAP
    found: list[str] = []
    for head, below in _blocks(lines):
        row = next(((tell, match) for pattern, tell in _ROWS if (match := pattern.fullmatch(head))), None)
        if row is None:
            found += (head, *(f" {line}" for line in below))
        else:
            found += row[0](row[1], below, group, mapped)
    return tuple(dict.fromkeys(found))


def _blocks(lines: Sequence[str]) -> list[Block]:
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(" ") and found:
            found[-1][1].append(line.strip())
        else:
            found.append((line.strip(), []))
    return [(head, tuple(below)) for head, below in found]


_CIPHERS = {"des": "des", "3des": "3des", "aes-cbc-128": "aes", "aes-gcm-128": "aes-gcm", "chacha20-poly1305": ""}


def _cipher(word: str) -> str:
    return _CIPHERS.get(word, word.replace("aes-cbc-", "aes-"))


def _hash(word: str) -> str:
    return "sha" if word == "sha1" else word


_Row = Callable[[re.Match[str], tuple[str, ...], str, str], Iterator[str]]


def _policy(_: re.Match[str], below: tuple[str, ...], __: str, ___: str) -> Iterator[str]:
    """Each kind on a line of its own; the PRF is said, for ASA does not take it from the integrity."""
    told = {name: rest.split() for name, _, rest in (line.partition(" ") for line in below)}
    ciphers = [word for one in told.get("encryption", ()) if (word := _cipher(one))]
    yield f"crypto ikev2 policy {PRIORITY}"
    if ciphers:
        yield f" encryption {' '.join(ciphers)}"
    hashes = [_hash(one) for one in told.get("integrity", ())]
    if hashes or (ciphers and all("gcm" in one for one in ciphers)):
        yield f" integrity {' '.join(hashes) or 'null'}"
    prfs = [_hash(one) for one in told.get("prf", told.get("integrity", ()))]
    if prfs:
        yield f" prf {' '.join(prfs)}"
    if "group" in told:
        yield f" group {' '.join(told['group'])}"


def _named(_: re.Match[str], __: tuple[str, ...], ___: str, ____: str) -> Iterator[str]:
    """What names a proposal: a policy is its own name."""
    return iter(())


_ESP = re.compile(
    r"esp-(?P<cipher>3des|des|null|aes|gcm|gmac)(?: (?P<bits>\d+|<[^>]+>))?(?: esp-(?P<hash>\w+)-hmac)?.*"
)


def _transforms(found: re.Match[str], _: tuple[str, ...], __: str, mapped: str) -> Iterator[str]:
    esp = _ESP.match(found["suite"])
    if esp is None:
        return
    bits = "" if esp["bits"] in (None, "128") else f"-{esp['bits']}"
    cipher = {"aes": "aes", "gcm": "aes-gcm", "gmac": "aes-gmac"}.get(esp["cipher"], esp["cipher"])
    word = esp["hash"] or "null"
    integrity = "sha-1" if word == "sha" else f"sha-{word[3:]}" if word.startswith("sha") else word
    yield f"crypto ipsec ikev2 ipsec-proposal {_OWN}"
    yield f" protocol esp encryption {cipher}{bits if cipher.startswith('aes') else ''}"
    yield f" protocol esp integrity {integrity}"
    yield f"crypto map {mapped} set ikev2 ipsec-proposal {_OWN}"


def _keyring(_: re.Match[str], below: tuple[str, ...], group: str, __: str) -> Iterator[str]:
    address = next((line.split()[1] for line in below if line.startswith("address ")), "")
    key = next((line.partition(" ")[2] for line in below if line.startswith("pre-shared-key ")), "")
    if address:
        yield f"tunnel-group {address} type ipsec-l2l"
    yield f"tunnel-group {address or group} ipsec-attributes"
    yield f" ikev2 remote-authentication pre-shared-key {key}"
    yield f" ikev2 local-authentication pre-shared-key {key}"


_KEY = "<the key that both ends share>"
_METHODS = {"pre-share": f"pre-shared-key {_KEY}"}


def _profile(_: re.Match[str], below: tuple[str, ...], group: str, mapped: str) -> Iterator[str]:
    for line in below:
        if line.startswith("authentication "):
            side, method = line.split(" ", 2)[1:]
            how = _METHODS.get(method, "certificate" if side == "remote" else f"certificate {TRUSTPOINT}")
            yield from (f"tunnel-group {group} ipsec-attributes", f" ikev2 {side}-authentication {how}")
        elif line.startswith("match identity"):
            yield from (f"tunnel-group {group} type ipsec-l2l", f"tunnel-group {group} ipsec-attributes")
            yield " peer-id-validate nocheck"
        elif line.startswith("identity local"):
            kind = line.split()[2]
            yield f"crypto isakmp identity {'key-id ' + line.split()[-1] if kind == 'key-id' else _IDENTITY[kind]}"
        elif line.startswith("nat "):
            yield "crypto isakmp nat-traversal"
        elif line.startswith("pki trustpoint"):
            yield from (f"tunnel-group {group} ipsec-attributes", " ikev2 remote-authentication certificate")


_IDENTITY = {"address": "address", "fqdn": "hostname", "email": "auto", "dn": "auto"}


def _trustpoint(found: re.Match[str], below: tuple[str, ...], _: str, __: str) -> Iterator[str]:
    yield f"crypto ca {found['rest']}"
    yield from (f" {line}" for line in below)


def _list(found: re.Match[str], below: tuple[str, ...], _: str, __: str) -> Iterator[str]:
    for line in below:
        verb, protocol, *places = line.split()
        yield f"access-list {found['name']} extended {verb} {protocol} {' '.join(_masks(places))}"


def _masks(places: Sequence[str]) -> Iterator[str]:
    """`10.0.0.0 0.0.0.255` with a mask; `host A` and `any` as they are."""
    at = 0
    while at < len(places):
        word = places[at]
        wild = places[at + 1] if at + 1 < len(places) else ""
        if word == "host" or wild.count(".") != 3 or word == "any":
            yield word
            at += 1
            continue
        yield from (word, str(IPv4Address(int(IPv4Address(wild)) ^ 0xFFFFFFFF)))
        at += 2


def _entry(found: re.Match[str], below: tuple[str, ...], _: str, __: str) -> Iterator[str]:
    yield from (f"crypto map {found['entry']} {line}" for line in below)


def _ipsec_profile(_: re.Match[str], below: tuple[str, ...], __: str, mapped: str) -> Iterator[str]:
    for line in below:
        no = "no " if line.startswith("no ") else ""
        yield f"{no}crypto map {mapped} {line.removeprefix('no ')}"


def _tunnel(_: re.Match[str], below: tuple[str, ...], __: str, mapped: str) -> Iterator[str]:
    """What a tunnel interface of IOS carries is what an entry's access-list says."""
    if any(line.startswith("ip tcp adjust-mss") for line in below):
        yield "sysopt connection tcpmss 1350"
        return
    yield f"crypto map {mapped} match address {LIST}"


def _as(*lines: str) -> _Row:
    def tell(_: re.Match[str], __: tuple[str, ...], group: str, ___: str) -> Iterator[str]:
        return iter(line.format(peer=group) for line in lines)

    return tell


_ROWS: tuple[tuple[re.Pattern[str], _Row], ...] = tuple(
    (re.compile(pattern), row)
    for pattern, row in (
        (r"crypto ikev2 proposal .*", _policy),
        (r"crypto ikev2 policy .*", _named),
        (r"crypto ipsec transform-set .*? (?P<suite>esp-.*)", _transforms),
        (r"crypto ikev2 keyring .*", _keyring),
        (r"crypto ikev2 profile .*", _profile),
        (r"crypto pki (?P<rest>.*)", _trustpoint),
        (r"ip access-list extended (?P<name>\S+)", _list),
        (r"crypto map (?P<entry>.*?) ipsec-isakmp", _entry),
        (r"crypto ipsec profile .*", _ipsec_profile),
        (r"interface .*", _tunnel),
        (r"crypto ikev2 nat keepalive (?P<seconds>\d+)", _as("crypto isakmp nat-traversal 20")),
        (r"crypto ipsec nat-transparency .*", _as("crypto isakmp nat-traversal")),
        (r"clear crypto ikev2 sa remote .*", _as("clear crypto ikev2 sa {peer}")),
        (
            r"crypto ikev2 dpd .*",
            _as("tunnel-group {peer} ipsec-attributes", " isakmp keepalive threshold 10 retry 2"),
        ),
    )
)
