"""What people paste: error lines alone, syslog, a platform's debug, pages that broke lines. Own words of each form."""

from __future__ import annotations

import io

import pytest

from ikescope.explain.findings import findings
from ikescope.timeline import Timeline
from ikescope.views import read

ERROR = "*Nov 11 19:30:34.811: IKEv2-ERROR:(SESSION ID = 5,SA ID = 1):"
ABORTED = (
    "Apr  7 13:08:35 fw1 %ASA-4-750003: Local:192.0.2.1:500 Remote:192.0.2.2:500 Username:Unknown "
    "IKEv2 Negotiation aborted due to ERROR: "
)
LOOKED = "IKEv2-PLAT-2: attempting to find tunnel group for IP: 192.0.2.2\n"


def found_in(text: str) -> list[tuple[str, str]]:
    """Id and side of each finding of a text."""
    timeline = Timeline()
    for record in read.read(io.BytesIO(text.encode()), "r1.txt"):
        timeline.add(record)
    return [(one.id, one.side) for one in findings(timeline)]


TEXTS = {
    "no answer to IKE_SA_INIT": (
        f"{ERROR}: Maximum number of retransmissions reached\n{ERROR}: Initial exchange failed",
        [("no-response", "path")],
    ),
    "no answer to IKE_AUTH": (
        f"{ERROR}: Maximum number of retransmissions reached\n{ERROR}: Auth exchange failed",
        [("no-response", "path")],
    ),
    "IKE_AUTH refused": (
        f"{ERROR}: Received authentication failure notify\n{ERROR}: Auth exchange failed",
        [("psk-mismatch", "unknown")],
    ),
    "selectors refused": (f"{ERROR}: Received TS unacceptable notify", [("ts-mismatch", "peer")]),
    "proposal refused": (f"{ERROR}: Received no proposal chosen notify", [("ike-proposal-mismatch", "peer")]),
    "profile not found, in two lines": (
        f"*Nov 11 19:30:34.810: IKEv2-ERROR:% IKEv2 profile not found\n{ERROR}: Failed to\n"
        "locate an item in the database",
        [("identity-mismatch", "local")],
    ),
    "a syslog of an ASA: no AUTH": (
        f"{ABORTED}Failed to receive the AUTH msg before the timer expired",
        [("no-response", "path")],
    ),
    "a syslog of an ASA: keys": (f"{ABORTED}Failed to authenticate the IKE SA", [("psk-mismatch", "unknown")]),
    "a syslog of an ASA: IKE": (f"{ABORTED}Failed to find a matching policy", [("ike-proposal-mismatch", "unknown")]),
    "a syslog of an ASA: refused": (
        f"{ABORTED}Received no proposal chosen notify",
        [("ike-proposal-mismatch", "peer")],
    ),
    "a syslog of an FTD, no colon": (
        ABORTED.replace("ASA-4-750003:", "FTD-4-750003") + "There was no IPSEC policy found for received TS",
        [("ts-mismatch", "local")],
    ),
    "a syslog of an ASA: methods": (
        f"{ABORTED}Peer authentication method configured is mismatching with the method proposed by peer",
        [("auth-method-mismatch", "local")],
    ),
    "a syslog of an ASA: silence": (f"{ABORTED}Maximum number of retransmissions reached", [("no-response", "path")]),
    "a syslog of an ASA: the peer is gone": (
        ABORTED.partition("%")[0]
        + "%ASA-4-750007: Local:192.0.2.1:500 Remote:192.0.2.2:500 Username:x IKEv2 SA DOWN. Reason: peer lost",
        [("peer-dead", "peer")],
    ),
    "two peers, each its own": (
        f"{ABORTED}Failed to authenticate the IKE SA\n"
        + ABORTED.replace("192.0.2.2", "192.0.2.3")
        + "There was no IPSEC policy found for received TS",
        [("ts-mismatch", "local"), ("psk-mismatch", "unknown")],
    ),
    "a tunnel-group without a key": (
        f"{LOOKED}IKEv2-PLAT-2: mapped to tunnel group 192.0.2.2 using peer IP\n"
        "IKEv2-PLAT-1: Failed to set P1 auth to build policy\n"
        "IKEv2-PLAT-1: unable to set self auth method. Probable misconfiguration\n"
        "IKEv2-PLAT-1: Could not build ikev2 policy\nIKEv2-PLAT-1: asa connect start L2L failed",
        [("psk-mismatch", "local")],
    ),
    "no tunnel-group": (
        f"{LOOKED}IKEv2-PLAT-1: Can't find tunnel group for peer 192.0.2.2\n"
        "IKEv2-PLAT-1: unable to set self auth method. Probable misconfiguration",
        [("identity-mismatch", "local")],
    ),
    "a certificate by URL, and another try": (
        "IKEv2-PROTO-1: (139): Auth exchange failed\n"
        "IKEv2-PROTO-1: (140): Unsupported cert encoding found or Peer requested\n"
        "HTTP URL but never sent\nHTTP_LOOKUP_SUPPORTED Notification",
        [("http-url-cert", "peer")],
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_few_lines_say_what_is_wrong(name: str) -> None:
    """A handful of lines, of which nobody knows what came before, has its one finding and no other."""
    text, wanted = TEXTS[name]
    assert sorted(found_in(text)) == sorted(wanted)


def test_an_identity_that_the_log_told_before_is_named() -> None:
    """IOS says `profile not found` without an SA: it is of the attempt just before, whose identity was told."""
    head = "Nov 30 22:49:14.464: IKEv2:(SESSION ID = 172,SA ID = 1):"
    text = (
        f"{head}SM Trace-> SA: \nI_SPI=E9E4B7FD0A336C97 R_SPI=F2CF438C0CCA281C (R) MsgID = 1 CurState:\n"
        f"R_WAIT_AUTH Event: EV_GET_POLICY_BY_PEERID\n{head}Searching policy\n"
        "based on peer's identity 'hostname=fw.example' of type 'DER ASN1 DN'\n"
        "Nov 30 22:49:14.468: IKEv2:% IKEv2 profile not found"
    )
    timeline = Timeline()
    for record in read.read(io.BytesIO(text.encode()), "r1.txt"):
        timeline.add(record)
    (found,) = findings(timeline)
    assert found.id == "identity-mismatch"
    assert "hostname=fw.example" in found.cause


def test_a_remark_after_a_list_is_no_part_of_it() -> None:
    """What a page or its reader wrote below the lists changes nothing of what they hold."""
    lists = [
        f"{ERROR}{which} Policies: : Failed to find a matching policyProposal 1:  AES-CBC-{bits} SHA512 SHA512 "
        "DH_GROUP_384_ECP/Group 20"
        for which, bits in (("Received", 128), ("Expected", 256))
    ]
    assert found_in("\n".join([*lists, "# the same at the other end", "and nothing more"])) == [
        ("ike-proposal-mismatch", "local")
    ]
