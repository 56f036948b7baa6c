"""Lines that configure what ikescope is not: which are named, counted or refused; and how captured text is wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ikescope.ios.configuration_unacted import Unacted, row_of

NEAR, FOREIGN, REFUSED = Unacted((), "", "near", ""), Unacted((), "", "foreign", ""), Unacted((), "", "refused", "")

#: Certificates and keys, which every running-config holds.
FOREIGN_CRYPTO = (
    "crypto pki",
    "crypto ca",
    "crypto key",
    "crypto engine",
    "crypto provisioning",
    "crypto mta",
    "crypto vpn",
)

#: Within an interface everything is without effect but these, unless a row of `configuration_unacted` says otherwise.
REFUSED_INTERFACE: dict[str, tuple[str, ...]] = {
    "tunnel": (
        "tunnel",
        "crypto",
        "vrf forwarding",
        "ip vrf forwarding",
        "ip address",
        "ip unnumbered",
        "ip mtu",
        "ipv6 address",
        "ipv6 unnumbered",
    ),
    "interface": ("crypto", "ip address", "ipv6 address"),
}
#: `pqc ... optional` asks for nothing that a peer must have; without the word the line is refused.
PQC_OPTIONAL = Unacted((), "", "near", "key exchange by ML-KEM is not there yet: negotiated without it")
PQC = Unacted((), "", "refused", "key exchange by ML-KEM is not there yet", "pqc ... optional, at both ends")
#: Modes about who may log in: what is not known there belongs to another part of a router.
OF_LOGINS = ("vty", "pubkey-chain", "pubkey-user", "key-string")
#: Words that begin a global command of another part, for files without indentation.
_FOREIGN_HEADS = """
aaa alias archive banner boot building call-home cdp class-map clock control-plane current diagnostic
dial-peer dot11 enable errdisable event flow global-address-family key kron l2 license line lldp logging login
memory mls mpls multilink ntp object-group parameter-map platform policy-map port-channel privilege qos radius
redundancy route-map router scheduler service snmp-server spanning-tree standby subscriber tacacs tftp-server
time-range track transceiver username virtual-service vlan voice vrf vtp wireless zone zone-pair
"""
FOREIGN_HEADS = frozenset(_FOREIGN_HEADS.split())
#: Those that never stand within an interface.
OUTSIDE_INTERFACES = (
    FOREIGN_HEADS
    - frozenset(
        (
            "cdp",
            "event",
            "flow",
            "l2",
            "lldp",
            "logging",
            "mls",
            "mpls",
            "multilink",
            "ntp",
            "platform",
            "port-channel",
            "qos",
        )
    )
    - frozenset(("service", "spanning-tree", "standby", "track", "vlan", "vrf", "vtp", "zone", "enable", "snmp"))
)
_SECRET_WORD = re.compile(
    r"(?i)\b(nhrp authentication|key(?:-string)?|password|secret|community|pre-shared-key|server-key|"
    r"authentication-key|md5)(?=\s+\S).*"
)
_MORE = re.compile(r"^\s*<?-+ ?More ?-+>?")
_BANNER = re.compile(r"^banner (?:\S+ )?(\^.|\S)(.*)")


def redact(text: str) -> str:
    """A line without what follows a word that announces a secret."""
    return _SECRET_WORD.sub(lambda found: f"{found[1]} <removed>", text)


def _begins(text: str, heads: tuple[str, ...]) -> bool:
    return any(text == head or text.startswith(f"{head} ") for head in heads)


def plain(text: str) -> str:
    """The words of a line as the tables have them: lower case, without `no` or `default`."""
    return " ".join(text.lower().split()).removeprefix("no ").removeprefix("default ")


def of_global(text: str) -> Unacted:
    """What becomes of a global line that the grammar does not know."""
    words = plain(text)
    if words.startswith(("ip route ", "ipv6 route ")):
        reason = "a route through a tunnel leads to a prefix, in the one routing table"
        if " tunnel" in words:
            return Unacted((), "", "refused", reason, "ip route PREFIX MASK TunnelN [DISTANCE] [name NAME] [tag TAG]")
        if words.startswith(("ip route vrf", "ipv6 route vrf")):
            return FOREIGN
    row = row_of("global", words)
    if row is not None:
        if row.head == "interface virtual-template" and not words.endswith("type tunnel"):
            return FOREIGN
        return _taken_back(row, text)
    if words.startswith("crypto "):
        return FOREIGN if _begins(words, FOREIGN_CRYPTO) else REFUSED
    return REFUSED if words.startswith("interface tunnel") or _begins(words, ("hostname",)) else FOREIGN


def within(mode: str, name: str, text: str) -> Unacted:
    """What becomes of a line within the mode of an item called `name` that the grammar does not know."""
    words = plain(text)
    row = row_of("loopback", words) if mode == "interface" and name.startswith("Loopback") else None
    row = row or row_of(mode, words)
    if row is not None:
        return _taken_back(row, text)
    if mode == "proposal" and _begins(words, ("pqc",)):
        return PQC_OPTIONAL if words.endswith(" optional") else PQC
    if mode in OF_LOGINS:
        return FOREIGN
    if mode in ("vrf", "vrf-family"):
        return NEAR
    if mode in REFUSED_INTERFACE and not _begins(words, REFUSED_INTERFACE[mode]):
        return NEAR
    return REFUSED


def _taken_back(row: Unacted, text: str) -> Unacted:
    """The `no` form of what is refused asks for nothing."""
    asked = not text.lower().startswith(("no ", "default "))
    return row if asked or row.standing != "refused" else replace(row, standing="near")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a file: its number, indentation and text; `torn`: a pager stood in it, the indentation is not known.

    `banner`: text of a banner, whatever it looks like.
    """

    number: int
    indent: int
    text: str
    torn: bool = False
    banner: bool = False


def source_lines(text: str) -> Iterator[SourceLine]:
    """The lines of a configuration as it was captured: CR LF, a pager's remnants and banner blocks understood."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    until = 0
    for index, raw in enumerate(lines):
        clean, torn = _without_pager(raw.expandtabs())
        body = clean.strip()
        if index < until:
            yield SourceLine(index + 1, 0, body, banner=True)
            continue
        yield SourceLine(index + 1, len(clean) - len(clean.lstrip()), body, torn)
        found = _BANNER.match(body)
        if found and found[1] not in found[2]:
            until = next((i + 1 for i in range(index + 1, len(lines)) if found[1] in lines[i]), 0)


def _without_pager(raw: str) -> tuple[str, bool]:
    if "\b" in raw:
        return raw[raw.rindex("\b") + 1 :], True
    clean = _MORE.sub("", raw)
    return clean, clean != raw
