"""Lines that configure what ikescope is not: which are named, counted or refused; and how captured text is wrapped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Standing = Literal["near", "foreign", "refused"]

#: Lines of the global mode about crypto that change nothing here: other protocols, or definitions that act only where
#: a refused line refers to them.
NEAR_GLOBAL = (
    "crypto logging",
    "crypto isakmp",
    "crypto keyring",
    "crypto map",
    "crypto dynamic-map",
    "crypto gdoi",
    "crypto call admission",
    "crypto mib",
    "crypto ipsec fragmentation",
    "crypto ipsec nat-transparency",
    "crypto ipsec optional",
    "crypto ipsec ike sa-strength-enforcement",
    "crypto ipsec security-association dummy",
    "crypto ipsec security-association ecn",
    "crypto ipsec security-association multi-sn",
    "crypto ikev2 authorization policy",
    "crypto ikev2 certificate-cache",
    "crypto ikev2 cts",
    "crypto ikev2 diagnose",
    "crypto ikev2 disconnect-revoked-peers",
    "crypto ikev2 http-url",
    "crypto ikev2 limit queue",
    "crypto ikev2 name-mangler",
    "crypto ikev2 reconnect",
    "crypto ikev2 redirect",
)
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

#: Within a mode, what is named and not acted on.
NEAR_WITHIN: dict[str, tuple[str, ...]] = {
    "profile": (
        "aaa accounting",
        "anyconnect profile",
        "config-exchange set",
        "lifetime certificate",
        "reconnect",
        "redirect gateway",
    ),
    "ipsec-profile": (
        "description",
        "set security-association dfbit",
        "set security-association ecn",
        "set security-policy limit",
        "set reverse-route",
    ),
    "access-list": ("remark",),
}
#: Within an interface everything is without effect but these; of these, NEAR_INTERFACE after all.
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
NEAR_INTERFACE = (
    "tunnel path-mtu-discovery",
    "tunnel ttl",
    "tunnel tos",
    "tunnel bandwidth",
    "tunnel flow",
    "tunnel entropy",
    "ip address negotiated",
    "ip address pool",
    "ip address dhcp",
    "ipv6 address autoconfig",
    "ipv6 address dhcp",
    "crypto ipsec df-bit",
    "crypto ipsec fragmentation",
)
#: What stands beside a refused line of which the grammar has nothing to suggest.
INSTEAD = (
    ("crypto map", "interface Tunnel with `tunnel protection ipsec profile NAME`"),
    ("tunnel mode gre multipoint", "tunnel mode gre ip | tunnel mode ipsec ipv4, one interface for each peer"),
    ("tunnel vrf", "the global routing table"),
    ("vrf forwarding", "the global routing table"),
    ("ip vrf forwarding", "the global routing table"),
    ("interface virtual-template", "interface TunnelN, one for each peer"),
    ("virtual-template", "interface TunnelN with `tunnel protection ipsec profile NAME`, one for each peer"),
    ("aaa authorization", "routes by `ip route` through the tunnel"),
    ("pki trustpoint", "authentication local pre-share | authentication remote pre-share"),
    ("match certificate", "match identity remote address | fqdn | email | key-id | any"),
)
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
    r"(?i)\b(key|key-string|password|secret|community|pre-shared-key|server-key|authentication-key|md5)(?=\s+\S).*"
)
_MORE = re.compile(r"^\s*<?-+ ?More ?-+>?")
_BANNER = re.compile(r"^banner (?:\S+ )?(\^.|\S)(.*)")


def redact(text: str) -> str:
    """A line without what follows a word that announces a secret."""
    return _SECRET_WORD.sub(lambda found: f"{found[1]} <removed>", text)


def _begins(text: str, heads: tuple[str, ...]) -> bool:
    return any(text == head or text.startswith(f"{head} ") for head in heads)


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).removeprefix("no ").removeprefix("default ")


def standing_of_global(text: str) -> Standing:
    """What a global line that the grammar does not know is to us."""
    plain = _plain(text)
    if plain.startswith("crypto "):
        if _begins(plain, NEAR_GLOBAL):
            return "near"
        return "foreign" if _begins(plain, FOREIGN_CRYPTO) else "refused"
    if plain.startswith("interface virtual-template"):
        return "refused" if plain.endswith("type tunnel") else "foreign"
    if plain.startswith(("ip route ", "ipv6 route ")) and not plain.startswith(("ip route vrf", "ipv6 route vrf")):
        return "refused" if " tunnel" in plain else "near"
    if plain.startswith("interface tunnel") or _begins(plain, ("hostname",)):
        return "refused"
    return "foreign"


def standing_within(mode: str, text: str) -> Standing:
    """What a line within a mode that the grammar does not know is to us."""
    plain = _plain(text)
    if mode in REFUSED_INTERFACE:
        refused = _begins(plain, REFUSED_INTERFACE[mode]) and not _begins(plain, NEAR_INTERFACE)
        return "refused" if refused else "near"
    return "near" if _begins(plain, NEAR_WITHIN.get(mode, ())) else "refused"


def instead_of(text: str) -> str:
    """What is possible instead of a line, "" where the grammar's own words say it."""
    plain = _plain(text)
    return next((what for head, what in INSTEAD if plain.startswith(head)), "")


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
