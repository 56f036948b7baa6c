"""Remedies where the router is an ASA: in the words of ASA, by whichever finding."""

from __future__ import annotations

import io

import pytest

from ikescope.explain.findings import findings
from ikescope.explain.findings.asa import PRIORITY, in_asa_words
from ikescope.explain.findings.model import Finding
from ikescope.timeline import Timeline
from ikescope.views import read

WORDS = {
    "an IKE proposal": (
        ("crypto ikev2 proposal P", " encryption aes-cbc-256 aes-cbc-128", " integrity sha1", " group 14"),
        ("crypto ikev2 policy " + PRIORITY, " encryption aes-256 aes", " integrity sha", " prf sha", " group 14"),
    ),
    "an AEAD": (
        ("crypto ikev2 proposal P", " encryption aes-gcm-256", " prf sha384", " group 19"),
        ("crypto ikev2 policy " + PRIORITY, " encryption aes-gcm-256", " integrity null", " prf sha384", " group 19"),
    ),
    "a transform-set": (
        ("crypto ipsec transform-set T esp-aes 256 esp-sha256-hmac", " mode tunnel"),
        (
            "crypto ipsec ikev2 ipsec-proposal FROM-PEER",
            " protocol esp encryption aes-256",
            " protocol esp integrity sha-256",
            "crypto map OUTSIDE 10 set ikev2 ipsec-proposal FROM-PEER",
        ),
    ),
    "a key": (
        ("crypto ikev2 keyring K", " peer P", "  address 192.0.2.2", "  pre-shared-key K"),
        (
            "tunnel-group 192.0.2.2 type ipsec-l2l",
            "tunnel-group 192.0.2.2 ipsec-attributes",
            " ikev2 remote-authentication pre-shared-key K",
            " ikev2 local-authentication pre-shared-key K",
        ),
    ),
    "an access-list": (
        ("ip access-list extended M", " permit ip 10.1.0.0 0.0.0.255 host 10.2.0.1", "interface Tunnel<number>"),
        (
            "access-list M extended permit ip 10.1.0.0 255.255.255.0 host 10.2.0.1",
            "crypto map OUTSIDE 10 match address MIRROR",
        ),
    ),
    "PFS": (("crypto ipsec profile P", " no set pfs"), ("no crypto map OUTSIDE 10 set pfs",)),
    "a method": (
        ("crypto ikev2 profile P", " authentication remote rsa-sig"),
        ("tunnel-group 192.0.2.2 ipsec-attributes", " ikev2 remote-authentication certificate"),
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_each_block_has_its_words(name: str) -> None:
    """What IOS says in a block of lines an ASA says in its own."""
    lines, wanted = WORDS[name]
    assert in_asa_words(lines, "192.0.2.2", "OUTSIDE 10") == wanted


ENTRY = (
    "IKEv2-PROTO-2: (27): Processing IKE_AUTH message\n"
    "IKEv2-PLAT-2: {miss}\n"
    "IKEv2-PROTO-1: (27): Failed to find a matching policy\n"
    "IKEv2-PROTO-1: (27): Received Policies:\n"
    "ESP: Proposal 1:  AES-CBC-256 SHA256 Don't use ESN\n"
    "\n"
    "IKEv2-PROTO-1: (27): Failed to find a matching policy\n"
    "IKEv2-PROTO-1: (27): Expected Policies:\n"
    "IKEv2-PROTO-5: (27): Failed to verify the proposed policies\n"
)
PACKET = (
    "IKEv2-PLAT-3: RECV PKT [IKE_AUTH] [192.0.2.2]:500->[192.0.2.1]:500 InitSPI=0x0c6ef96ec28eea32 "
    "RespSPI=0x1c6ef96ec28eea32 MID=00000001\n"
)


def found_in(text: str) -> list[Finding]:
    """The findings of a text."""
    timeline = Timeline()
    for record in read.read(io.BytesIO(text.encode()), "asa.txt"):
        timeline.add(record)
    return findings(timeline)


@pytest.mark.parametrize(
    ("miss", "line"),
    [
        ("Crypto map OUTSIDE seq 10 is incomplete due to missing ACL", "match address <the access-list>"),
        ("(27): Crypto map OUTSIDE seq 10  peer doesn't match map entry", "set peer "),
    ],
)
def test_an_entry_of_a_crypto_map_that_does_not_speak_for_the_peer(miss: str, line: str) -> None:
    """No selectors were compared: the entry lacks its access-list, or is another peer's, and the remedy says which."""
    (found,) = found_in(PACKET + ENTRY.format(miss=miss))
    assert (found.id, found.side) == ("ts-mismatch", "local")
    (remedy,) = found.remedy
    assert remedy.syntax == "asa"
    assert remedy.lines[0].startswith(f"crypto map OUTSIDE 10 {line}")


def test_ike_weaker_than_esp() -> None:
    """The line in which an ASA says so holds both key lengths, which its dump does not."""
    text = (
        "IKEv2-PROTO-5: (11): SM Trace-> SA: I_SPI=F6897AC44B745449 R_SPI=F535761F2FFD293A (I) MsgID = 00000001 "
        "CurState: I_PROC_AUTH Event: EV_PROC_SA_TS\n"
        "IKEv2-PROTO-2: (11): Processing IKE_AUTH message\n"
        "IKEv2-PROTO-2: Selected IKEv2 encryption algorithm (AES-CBC-128) is not strong enough to secure proposed "
        "IPsec encryption algorithm (AES-CBC-256).\n"
        "IKEv2-PROTO-2: (11): IKEV2 SA created; inserting SA into database. SA lifetime timer (86400 sec) started\n"
        "IKEv2-PROTO-2: (11): Load IPSEC key material\n"
    )
    events = [record.event for record in read.read(io.BytesIO(text.encode()), "asa.txt")]
    lengths = [one.key_length for event in events for one in getattr(getattr(event, "chosen", None), "transforms", ())]
    assert lengths == [128]


def test_a_certificate_without_the_identity() -> None:
    """The check of the peer's identity in its certificate is a setting of the tunnel-group."""
    text = (
        "IKEv2-PROTO-3: (172): Getting configured policies\n"
        "IKEv2-PLAT-3: attempting to find tunnel group for ID: 192.0.2.2\n"
        "IKEv2-PLAT-3: mapped to tunnel group 192.0.2.2 using phase 1 ID\n"
        "IKEv2-PLAT-2: Peer ID check: failed to retreive IP from SAN\n"
        "IKEv2-PLAT-1: Peer ID check failed\n"
        "IKEv2-PROTO-1: (172): Failed to locate an item in the database\n"
        "IKEv2-PROTO-5: (172): SM Trace-> SA: I_SPI=833D2323FCB46093\n"
        "R_SPI=F0B4D318DDDDB783 (I) MsgID = 00000001 CurState: I_PROC_AUTH\n"
        "Event: EV_AUTH_FAIL\n"
    )
    (found,) = found_in(text)
    assert (found.id, found.side) == ("identity-mismatch", "local")
    assert found.remedy[0].lines[-1] == " peer-id-validate nocheck"
