"""Lines of IOS that do not act here, each with its reason and what is possible instead: one table.

`refused`: the router would do something else than the line says, so the file does not load. `near`: the line is about
crypto or a tunnel, and leaving it out changes nothing about who gets through or how it is protected: it is named.
Whatever stands in no row is decided by `configuration_foreign`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Standing = Literal["near", "foreign", "refused"]


@dataclass(frozen=True, slots=True)
class Unacted:
    """Lines of some modes that begin with `head`: what becomes of them, why, and what to write instead."""

    modes: tuple[str, ...]
    head: str
    standing: Standing
    reason: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class RefusedWord:
    """A value of a line that acts with others: `head` begins the line, `words` are what is refused."""

    head: str
    words: tuple[str, ...]
    reason: str
    instead: str


GLOBAL = ("global",)
PROFILE = ("profile",)
IPSEC_PROFILE = ("ipsec-profile",)
TUNNEL = ("tunnel",)
INTERFACES = ("tunnel", "interface")

_IKEV1 = "IKEv1 is not spoken: what this line configures never comes up"
_CERTIFICATES = "no certificates: peers prove themselves with pre-shared keys"
_SHARED = "authentication local pre-share | authentication remote pre-share"
_VRF = "no front-door VRF: the outer packets go by the host's own routing table"
_NAMESPACE = "the global routing table outside (`vrf forwarding` inside), or a router of its own in a network namespace"
_PER_PEER = "interface TunnelN with `tunnel protection ipsec profile NAME`, one for each peer"
_NO_CONFIG_MODE = "nothing is taken from or given to a peer by configuration payloads"
_GRE_PLAIN = "GRE has its four octets of header and nothing more"


def _near(modes: tuple[str, ...], head: str, reason: str, instead: str = "") -> Unacted:
    return Unacted(modes, head, "near", reason, instead)


def _refused(modes: tuple[str, ...], head: str, reason: str, instead: str) -> Unacted:
    return Unacted(modes, head, "refused", reason, instead)


#: The longest head that a line begins with is its row.
UNACTED = (
    _refused(
        GLOBAL,
        "crypto map",
        "no crypto maps: what is protected is what is routed into a tunnel",
        "interface TunnelN with `tunnel protection ipsec profile NAME`; `tunnel protection ipsec policy ipv4 ACL` for "
        "the selectors of its access-list",
    ),
    _refused(
        INTERFACES,
        "crypto map",
        "no crypto maps: what is protected is what is routed into a tunnel",
        "interface TunnelN with `tunnel protection ipsec profile NAME`",
    ),
    _refused(GLOBAL, "crypto dynamic-map", "no crypto maps: a tunnel has one peer", _PER_PEER),
    _refused(GLOBAL, "crypto ikev2 client flexvpn", "no choice among several hubs", _PER_PEER),
    _refused(GLOBAL, "crypto ikev2 cluster", "no load balancing among hubs", "one hub, without the cluster"),
    _refused(GLOBAL, "crypto identity", "a distinguished name belongs to certificates", "match identity remote"),
    _refused(
        GLOBAL,
        "interface virtual-template",
        "tunnels are not cloned from a template when a peer comes",
        "interface TunnelN, one for each peer",
    ),
    _near(GLOBAL, "crypto logging", "these lines are always written: show logging"),
    _near(GLOBAL, "crypto gdoi", "GET VPN (GDOI) is another protocol"),
    _near(GLOBAL, "crypto isakmp", _IKEV1),
    _near(GLOBAL, "crypto keyring", _IKEV1),
    _near(GLOBAL, "crypto call admission", "`crypto ikev2 limit` says how many at once"),
    _near(GLOBAL, "crypto mib", "there is no SNMP agent"),
    _near(GLOBAL, "crypto ipsec fragmentation", "a packet is cut before ESP where the tunnel's MTU asks for it"),
    _near(GLOBAL, "crypto ipsec nat-transparency", "ESP goes in UDP where a NAT is found, RFC 7296 section 2.23"),
    _near(GLOBAL, "crypto ipsec optional", "a protected tunnel never sends in clear"),
    _near(
        GLOBAL,
        "crypto ipsec ike sa-strength-enforcement",
        "not enforced; `ikescope check` says where IKE is weaker than ESP",
    ),
    _near(GLOBAL, "crypto ipsec security-association dummy", "no dummy packets are sent"),
    _near(GLOBAL, "crypto ipsec security-association ecn", "ECN is carried in and out as RFC 6040 says"),
    _near(GLOBAL, "crypto ipsec security-association multi-sn", "one sequence of numbers for each Child SA"),
    _near(GLOBAL, "crypto ikev2 authorization policy", "it acts where a profile names it, and that line is refused"),
    _near(GLOBAL, "crypto ikev2 certificate-cache", _CERTIFICATES),
    _near(GLOBAL, "crypto ikev2 http-url", _CERTIFICATES),
    _near(GLOBAL, "crypto ikev2 disconnect-revoked-peers", _CERTIFICATES),
    _near(GLOBAL, "crypto ikev2 cts", "packets carry no security group tag"),
    _near(GLOBAL, "crypto ikev2 diagnose", "the flight recorder is always on: show crypto ikev2 diagnose error"),
    _near(GLOBAL, "crypto ikev2 limit queue", "the queue of IKE_SA_INIT is bounded by its own limits"),
    _near(GLOBAL, "crypto ikev2 name-mangler", "it acts where a profile names it, and that line is refused"),
    _near(GLOBAL, "crypto ikev2 reconnect", "IOS's reconnect is for AnyConnect clients"),
    _near(GLOBAL, "crypto ikev2 redirect", "a peer that wants to redirect is told no, RFC 5685"),
    _near(GLOBAL, "ip route", "not through a tunnel: the host's own"),
    _near(GLOBAL, "ipv6 route", "not through a tunnel: the host's own"),
    *(
        _near(modes, head, "routes are not handed to other VRFs: no MPLS, no BGP")
        for modes in (("vrf",), ("vrf-family",))
        for head in ("route-target", "import", "export", "vnet", "mdt", "bgp", "maximum routes", "snmp context")
    ),
    # proposal, policy
    _near(("proposal",), "description", "not kept"),
    _refused(("policy",), "match fvrf", _VRF, "match fvrf any"),
    # keyring
    _refused(("peer",), "ppk", "no post-quantum pre-shared keys (RFC 8784)", "pre-shared-key of at least 32 octets"),
    # profile
    _refused(PROFILE, "match fvrf", _VRF, "match fvrf any"),
    _refused(
        PROFILE, "match certificate", _CERTIFICATES, "match identity remote address | fqdn | email | key-id | any"
    ),
    _refused(PROFILE, "match vrf", _VRF, "match fvrf any"),
    _refused(PROFILE, "virtual-template", "tunnels are not cloned from a template when a peer comes", _PER_PEER),
    _refused(
        PROFILE, "dynamic", "a profile is written down, not fetched from AAA", "match identity remote, keyring local"
    ),
    _refused(PROFILE, "pki trustpoint", _CERTIFICATES, _SHARED),
    _refused(PROFILE, "keyring aaa", "keys are in the configuration, not at a AAA server", "keyring local NAME"),
    _refused(PROFILE, "keyring ppk", "no post-quantum pre-shared keys (RFC 8784)", "keyring local NAME"),
    _refused(PROFILE, "ppk", "no post-quantum pre-shared keys (RFC 8784)", "keyring local NAME"),
    _refused(PROFILE, "identity local dn", _CERTIFICATES, "identity local address | fqdn | email | key-id"),
    _refused(PROFILE, "aaa authorization", _NO_CONFIG_MODE, "routes by `ip route` through the tunnel"),
    _refused(PROFILE, "aaa authentication", "EAP is not spoken", _SHARED),
    _near(PROFILE, "aaa accounting", "every event is in the recording: run --record DIR"),
    _near(PROFILE, "anyconnect profile", "IKEv2 clients of people are no peers here"),
    _near(PROFILE, "config-exchange set", _NO_CONFIG_MODE),
    _near(PROFILE, "lifetime certificate", _CERTIFICATES),
    _near(PROFILE, "reconnect", "IOS's reconnect is for AnyConnect clients"),
    _near(PROFILE, "redirect gateway", "a peer that wants to redirect is told no, RFC 5685"),
    # ipsec profile
    _refused(IPSEC_PROFILE, "set isakmp-profile", _IKEV1, "set ikev2-profile NAME"),
    _refused(
        IPSEC_PROFILE, "set identity", "the IKEv2 profile says which identities may come", "match identity remote"
    ),
    _refused(
        IPSEC_PROFILE,
        "set mixed-mode",
        "the tunnel's mode says which family it carries, over either",
        "tunnel mode ipsec ipv4 v6-overlay | ipsec ipv6 v4-overlay | ipsec dual-overlay",
    ),
    _refused(IPSEC_PROFILE, "reverse-route", "no routes are made of selectors", "ip route PREFIX MASK TunnelN"),
    _near(IPSEC_PROFILE, "set reverse-route", "no routes are made of selectors"),
    _near(IPSEC_PROFILE, "description", "not kept"),
    _near(IPSEC_PROFILE, "set security-association dfbit", "`crypto ipsec df-bit` says it for all tunnels"),
    _near(IPSEC_PROFILE, "set security-association ecn", "ECN is carried in and out as RFC 6040 says"),
    _near(IPSEC_PROFILE, "set security-association dummy", "no dummy packets are sent"),
    _near(IPSEC_PROFILE, "set security-policy limit", "the lines of the access-list are the limit"),
    # interfaces
    _refused(
        TUNNEL,
        "tunnel mode gre multipoint",
        "a tunnel has one peer (no NHRP, no DMVPN)",
        "tunnel mode gre ip | tunnel mode ipsec ipv4, one interface for each peer",
    ),
    _refused(
        TUNNEL, "tunnel mode", "neither GRE nor an IPsec VTI", "tunnel mode gre ip | gre ipv6 | ipsec ipv4 | ipsec ipv6"
    ),
    _refused(
        TUNNEL,
        "tunnel protection ipsec policy ipv6",
        "no IPv6 access-lists",
        "tunnel mode ipsec ipv6 without a policy: one Child SA for all of IPv6",
    ),
    _refused(TUNNEL, "tunnel key", _GRE_PLAIN, "no tunnel key, at both ends"),
    _refused(TUNNEL, "tunnel checksum", _GRE_PLAIN, "no tunnel checksum: ESP verifies every octet"),
    _refused(
        TUNNEL, "tunnel sequence-datagrams", _GRE_PLAIN, "no tunnel sequence-datagrams: ESP has its replay window"
    ),
    _refused(TUNNEL, "tunnel vrf", _VRF, _NAMESPACE),
    _refused(TUNNEL, "ip address negotiated", _NO_CONFIG_MODE, "ip address A.B.C.D MASK | ip unnumbered INTERFACE"),
    _refused(TUNNEL, "ip address dhcp", "no DHCP through a tunnel", "ip address A.B.C.D MASK"),
    _refused(TUNNEL, "ip address pool", _NO_CONFIG_MODE, "ip address A.B.C.D MASK"),
    _refused(TUNNEL, "tunnel destination dynamic", "a tunnel's peer has an address", "tunnel destination A.B.C.D"),
    _near(INTERFACES, "ipv6 address autoconfig", "the host's own"),
    _near(INTERFACES, "ipv6 address dhcp", "the host's own"),
    _near(("interface",), "ip address negotiated", "the host's own"),
    _near(("interface",), "ip address pool", "the host's own"),
    _near(TUNNEL, "tunnel path-mtu-discovery", "always on: the tunnel's MTU follows the path's"),
    _near(TUNNEL, "tunnel ttl", "the host's default of 64"),
    _near(TUNNEL, "tunnel tos", "copied from the packet inside"),
    _near(TUNNEL, "tunnel bandwidth", "told to routing protocols only"),
    _near(TUNNEL, "tunnel flow", "no flow export"),
    _near(TUNNEL, "tunnel entropy", "no GRE key"),
    _near(TUNNEL, "tunnel route-via", "the host's routes lead to the peer"),
    _near(TUNNEL, "keepalive", "no GRE keepalives are sent; `dpd` tells whether the peer is there"),
    _near(TUNNEL, "bandwidth", "told to routing protocols only"),
    _near(TUNNEL, "ip nhrp", "no NHRP: a tunnel has one peer"),
    _near(INTERFACES, "ip tcp adjust-mss", "the tunnel's MTU is told by ICMP; clamp at the host where that is lost"),
    _near(INTERFACES, "ip access-group", "no filter here: the host's firewall"),
    _near(INTERFACES, "ip nat", "no address translation here: the host's"),
    _near(INTERFACES, "crypto ipsec df-bit", "`crypto ipsec df-bit` says it for all tunnels"),
    _near(INTERFACES, "crypto ipsec fragmentation", "a packet is cut before ESP where the tunnel's MTU asks for it"),
    # access-lists and logins
    _near(("vty",), "access-class", "no filter here: `run --ssh HOST:PORT` says where it listens"),
    _near(("access-list",), "remark", "not kept"),
)

_SWEET32 = "3DES has blocks of 64 bits (Sweet32; RFC 8247: MAY, RFC 8221: SHOULD NOT)"
_DES = "DES has keys of 56 bits (RFC 8247, RFC 8221: MUST NOT)"
_MLKEM = "key exchange by ML-KEM is not there yet"
_AES = "aes-cbc-256 with integrity, or aes-gcm-256 with prf"
_ESP = "esp-gcm 256, or esp-aes 256 esp-sha256-hmac"
_WEAK_GROUPS = "768 bits (RFC 8247: MUST NOT)"
_SUBGROUPS = "their small subgroups are of unknown origin (RFC 8247: 22 MUST NOT, 23 and 24 SHOULD NOT)"
_GROUPS = "19, 20, 21, or 14 and above"
_TRANSFORM_SET = "crypto ipsec transform-set"

WORDS = (
    RefusedWord("encryption", ("des",), _DES, _AES),
    RefusedWord("encryption", ("3des",), _SWEET32, _AES),
    RefusedWord("group", ("1",), _WEAK_GROUPS, _GROUPS),
    RefusedWord("group", ("22", "23", "24"), _SUBGROUPS, _GROUPS),
    RefusedWord("pqc", ("mlkem512", "mlkem768", "mlkem1024"), _MLKEM, "no pqc, at both ends"),
    RefusedWord("set pfs", ("group1",), _WEAK_GROUPS, "group19 group20 group21, or group14 and above"),
    RefusedWord(
        "set pfs", ("group22", "group23", "group24"), _SUBGROUPS, "group19 group20 group21, or group14 and above"
    ),
    RefusedWord("set pfs", ("pqc",), _MLKEM, "set pfs group19"),
    RefusedWord(_TRANSFORM_SET, ("esp-des",), _DES, _ESP),
    RefusedWord(_TRANSFORM_SET, ("esp-3des",), _SWEET32, _ESP),
    RefusedWord(_TRANSFORM_SET, ("esp-seal",), "SEAL is Cisco's own cipher", _ESP),
    RefusedWord(_TRANSFORM_SET, ("esp-gmac",), "GMAC does not encrypt", _ESP),
    RefusedWord(_TRANSFORM_SET, ("esp-md5-hmac",), "HMAC-MD5 (RFC 8221: MUST NOT)", "esp-sha256-hmac"),
    RefusedWord(
        _TRANSFORM_SET,
        ("ah-md5-hmac", "ah-sha-hmac", "ah-sha256-hmac", "ah-sha384-hmac", "ah-sha512-hmac"),
        "AH is not spoken: ESP protects the same octets inside",
        _ESP,
    ),
    RefusedWord(_TRANSFORM_SET, ("comp-lzs",), "packets are not compressed (IPComp)", "the same without comp-lzs"),
    RefusedWord("authentication", ("rsa-sig", "ecdsa-sig", "mldsa-sig"), _CERTIFICATES, "pre-share"),
    RefusedWord("authentication", ("eap", "anyconnect-eap"), "EAP is not spoken", "pre-share"),
    RefusedWord("authentication", ("dynamic",), "the method is written down, not fetched from AAA", "pre-share"),
)


_INDEX: dict[tuple[str, str], list[Unacted]] = {}
for _row in UNACTED:
    for _mode in _row.modes:
        _INDEX.setdefault((_mode, _row.head.split()[0]), []).append(_row)


def row_of(mode: str, text: str) -> Unacted | None:
    """The row of a line, its words in lower case and without `no`; None where it has none."""
    rows = [row for row in _INDEX.get((mode, text.partition(" ")[0]), ()) if _begins(text, row.head)]
    return max(rows, key=lambda row: len(row.head), default=None)


def _begins(text: str, head: str) -> bool:
    # an interface's number follows its type without a blank
    return (
        text == head or text.startswith(f"{head} ") or (head == "interface virtual-template" and text.startswith(head))
    )


def refused_word(text: str, word: str) -> RefusedWord | None:
    """Why a value of a line that begins with `text` is refused; None where there is no row for it."""
    return next((row for row in WORDS if _begins(text, row.head) and word.lower() in row.words), None)
