"""The check of a configuration: each finding with its severity, line and remedy."""

import pytest

from ikescope.config.check import check
from ikescope.ios.configuration import load

GOOD = """hostname R1
crypto ikev2 keyring KR
 peer R2
  address 192.0.2.2
  pre-shared-key k
crypto ikev2 profile P
 match identity remote address 192.0.2.2 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KR
crypto ipsec transform-set TS esp-gcm 256
crypto ipsec profile IP
 set transform-set TS
 set ikev2-profile P
interface Tunnel0
 ip address 10.0.0.1 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel mode ipsec ipv4
 tunnel destination 192.0.2.2
 tunnel protection ipsec policy ipv4 ACL
 tunnel protection ipsec profile IP
interface GigabitEthernet1
 ip address 192.0.2.1 255.255.255.0
ip access-list extended ACL
 permit ip any any
ip route 10.2.0.0 255.255.255.0 Tunnel0
"""

REMINDER = (
    "crypto ikev2 profile P: IKEv2 profile MUST have:\n"
    "   1. A local and a remote authentication method.\n"
    "   2. A match identity or a match certificate or match any statement."
)
PROPOSAL = "crypto ikev2 proposal X\n encryption aes-cbc-256\n integrity sha256\n group 19\n"
POLICY = "crypto ikev2 policy Y\n proposal X\n"

CASES = [
    (" authentication local pre-share\n", "", "error", 6, REMINDER),
    (" authentication remote pre-share\n", "", "error", 6, REMINDER),
    (" match identity remote address 192.0.2.2 255.255.255.255\n", "", "error", 6, REMINDER),
    (
        "keyring local KR",
        "keyring local XX",
        "error",
        6,
        "crypto ikev2 profile P: keyring XX is not configured (there: KR)",
    ),
    (
        "  pre-shared-key k\n",
        "",
        "error",
        3,
        "crypto ikev2 keyring KR: peer R2 has no local and no remote pre-shared key",
    ),
    (
        "pre-shared-key k",
        "pre-shared-key local k",
        "error",
        3,
        "crypto ikev2 keyring KR: peer R2 has no remote pre-shared key",
    ),
    (
        "  address 192.0.2.2\n",
        "",
        "error",
        3,
        "crypto ikev2 keyring KR: peer R2 has neither address nor identity and is never found",
    ),
    (
        "  address 192.0.2.2\n",
        "  address 192.0.2.3\n",
        "error",
        15,
        "interface Tunnel0: keyring KR has no peer for the destination 192.0.2.2",
    ),
    (
        "set transform-set TS",
        "set transform-set T2",
        "error",
        12,
        "crypto ipsec profile IP: transform-set T2 is not configured (there: default, TS)",
    ),
    (
        "set ikev2-profile P",
        "set ikev2-profile Q",
        "error",
        12,
        "crypto ipsec profile IP: IKEv2 profile Q is not configured (there: P)",
    ),
    (" set ikev2-profile P\n", "", "error", 12, "crypto ipsec profile IP protects a tunnel and has no IKEv2 profile"),
    (
        "ipsec profile IP\ninterface",
        "ipsec profile ZZ\ninterface",
        "error",
        15,
        "interface Tunnel0: IPsec profile ZZ is not configured (there: default, IP)",
    ),
    (
        " tunnel protection ipsec profile IP\n",
        "",
        "warning",
        15,
        "interface Tunnel0 has no tunnel protection: what it carries goes out in clear",
    ),
    (" tunnel destination 192.0.2.2\n", "", "error", 15, "interface Tunnel0 has no tunnel destination"),
    (" tunnel source GigabitEthernet1\n", "", "error", 15, "interface Tunnel0 has no tunnel source"),
    (
        "source GigabitEthernet1",
        "source GigabitEthernet9",
        "error",
        15,
        "interface Tunnel0: tunnel source interface GigabitEthernet9 is not configured (there: GigabitEthernet1)",
    ),
    (
        " ip address 192.0.2.1 255.255.255.0\n",
        " ip address 192.0.2.1 255.255.255.0\n shutdown\n",
        "warning",
        15,
        "interface Tunnel0: its source GigabitEthernet1 is shut down",
    ),
    (
        "policy ipv4 ACL",
        "policy ipv4 NONE",
        "error",
        15,
        "interface Tunnel0: access-list NONE is not configured (there: ACL)",
    ),
    (
        "permit ip",
        "deny ip",
        "error",
        15,
        "interface Tunnel0: access-list ACL permits nothing, so nothing is protected",
    ),
    (
        " tunnel mode ipsec ipv4\n",
        "",
        "error",
        15,
        "interface Tunnel0: tunnel protection ipsec policy needs tunnel mode ipsec ipv4, had gre ip",
    ),
    (
        "255.255.255.0 Tunnel0",
        "255.255.255.0 Tunnel8",
        "error",
        26,
        "ip route 10.2.0.0/24: interface Tunnel8 is not configured (there: GigabitEthernet1, Tunnel0)",
    ),
    (
        "hostname R1\n",
        "hostname R1\n" + PROPOSAL,
        "warning",
        2,
        "crypto ikev2 proposal X is in no policy and will not be offered",
    ),
    (
        "hostname R1\n",
        "hostname R1\ncrypto ikev2 policy Y\n",
        "error",
        2,
        "crypto ikev2 policy Y: IKEv2 policy MUST have atleast one complete proposal attached",
    ),
    (
        "hostname R1\n",
        "hostname R1\n" + POLICY,
        "error",
        2,
        "crypto ikev2 policy Y: proposal X is not configured (there: default)",
    ),
    (
        "hostname R1\n",
        "hostname R1\n" + POLICY + PROPOSAL.replace("256\n", "256 aes-gcm-256\n", 1),
        "error",
        4,
        "crypto ikev2 proposal X: AES-CBC and AES-GCM stand in one proposal",
    ),
    (
        "hostname R1\n",
        "hostname R1\n" + POLICY + PROPOSAL.replace("cbc", "gcm"),
        "error",
        4,
        "crypto ikev2 proposal X: integrity is not used with AES-GCM",
    ),
    (
        "esp-gcm 256",
        "esp-null esp-sha-hmac",
        "warning",
        11,
        "crypto ipsec transform-set TS: esp-null does not encrypt",
    ),
    (
        " keyring local KR\n",
        "",
        "error",
        6,
        "crypto ikev2 profile P: authentication local pre-share, but there is neither a key nor a keyring",
    ),
]


def test_a_good_configuration_has_no_findings() -> None:
    """What can come up is not complained of, and neither is what was linked and completed."""
    assert load(GOOD).findings == ()
    assert load(GOOD.replace("hostname R1\n", "hostname R1\n" + PROPOSAL + POLICY)).findings == ()


@pytest.mark.parametrize(("old", "new", "severity", "line", "text"), CASES, ids=[case[4][:60] for case in CASES])
def test_each_finding(old: str, new: str, severity: str, line: int, text: str) -> None:
    """One thing wrong gives its finding: severity, line, what is there, and a remedy."""
    assert old in GOOD
    config = load(GOOD.replace(old, new))
    lines = {finding.text: finding for finding in config.findings}
    assert text in lines
    assert (lines[text].severity, lines[text].line) == (severity, line)
    assert lines[text].remedy
    assert check(config) == config.findings


def test_an_incomplete_proposal_is_an_error() -> None:
    """A proposal without a group, or with neither integrity nor AEAD, is incomplete."""
    for text in (PROPOSAL.replace(" group 19\n", ""), PROPOSAL.replace(" integrity sha256\n", "")):
        found = load(GOOD + text + POLICY).findings
        assert [finding.severity for finding in found] == ["error"]
        assert "IKEv2 proposal MUST either have a set of an encryption algorithm other than aes-gcm" in found[0].text


def test_nothing_to_bring_up_is_a_warning() -> None:
    """A configuration without a tunnel is warned of."""
    assert [finding.text for finding in load("hostname R1\n").findings] == [
        "no interface Tunnel is configured: there is nothing to bring up"
    ]
