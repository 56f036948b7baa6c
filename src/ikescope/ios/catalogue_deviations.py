"""Where our debug differs from the real IOS-XE initiator that it is measured against, line by line, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deviation:
    """Regular expressions over whole lines: what IOS prints, what we print instead (none: nothing), and why.

    `only` names the transcripts that it is about, where it is not about all.
    """

    ios: tuple[str, ...]
    ours: tuple[str, ...]
    why: str
    only: tuple[str, ...] = ()


DEVIATIONS: tuple[Deviation, ...] = (
    Deviation(
        (r"Num\. transforms: 15", r"   AES-CBC   AES-CBC   AES-CBC   SHA512 .*DH_GROUP_1024_MODP/Group 2 ?"),
        (r"Num\. transforms: 9", r"   AES-CBC   SHA512   SHA384   SHA512   SHA384   DH_GROUP_256_ECP/Group 19 .*"),
        "The smart default proposal of the current generation has nine transforms; that router's had fifteen.",
    ),
    Deviation(
        (r".*DH (?:public|secret) key, DH Group 5",),
        (r".*DH (?:public|secret) key, DH Group 19",),
        "For the same reason the first group is 19, there 5.",
    ),
    Deviation(
        (r" SA KE N VID VID VID VID NOTIFY\(NAT_DETECTION_SOURCE_IP\) NOTIFY\(NAT_DETECTION_DESTINATION_IP\) ?",),
        (r" SA KE N VID NOTIFY\(NAT_DETECTION_SOURCE_IP\) NOTIFY\(NAT_DETECTION_DESTINATION_IP\) ?",),
        "We send one vendor ID, our own; IOS sends four of Cisco's, which say what only IOS does.",
    ),
    Deviation(
        (
            r".*Attrib type: app-version, length: 257, data: Cisco IOS Software.*",
            r"Technical Support: .*",
            r"Copyright \(c\) .*",
            r"Compiled .*",
            r".*Attrib type: (?:split-dns|banner|config-url|backup-gateway|def-domain), length: 0",
        ),
        (r".*Attrib type: app-version, length: 0",),
        "Our CFG_REQUEST asks for the peer's version and names none; IOS names its own and asks for more.",
    ),
    Deviation(
        (r" VID IDi AUTH CFG SA .*", r" VID IDr AUTH NOTIFY\(NO_PROPOSAL_CHOSEN\) ?"),
        (r" IDi AUTH CFG SA .*", r" IDr AUTH CFG NOTIFY\(NO_PROPOSAL_CHOSEN\) ?"),
        "IKE_AUTH begins without the vendor ID by which IOS routers know each other; the response answers CFG.",
    ),
    Deviation(
        (),
        (
            r"IKEv2:Config data received:",
            r".*:Received Config-reply ?",
            r".*Attrib type: app-version, length: \d+, data: ikescope .*",
            r".*:Have received config mode data",
        ),
        "That router's peer answered no CFG payload; what IOS prints of one is not known.",
    ),
    Deviation(
        (r".*Queuing IKE SA delete request reason: unknown",),
        (r".*Queuing IKE SA delete request reason: .+",),
        "IOS does not know why it deletes the IKE SA, we say it.",
    ),
)

#: What the reference transcript cannot show, and other transcripts do.
UNMEASURED: tuple[str, ...] = (
    "A responder's `Get peer's preshared key for ...` before `Generate my authentication data` (02) is not printed: "
    "the event that tells of our AUTH value does not hold the peer's identity.",
    "A responder's second `Checking NAT discovery` when IKE_AUTH arrives (02) is not printed: the hashes are in "
    "IKE_SA_INIT, where we check them.",
    "A responder's `Starting timer (8 sec) to delete negotiation context` (02) is printed, with IOS's eight seconds.",
    "`IETF Fragmentation is enabled` is printed where `crypto ikev2 fragmentation` is configured and the peer agrees; "
    "01 and 02 print `Fragmentation is enabled` of the older kind, which is Cisco's own and not ours.",
    "Everything of CREATE_CHILD_SA and liveness: no transcript was to be had. Rows marked inferred or unsourced.",
)

_MADE_ON_ONE_LINE = r"(?:p SA KE N|p VID ID[ir]|p ID[ir]) .*"

#: The same of the transcripts of ASAs, restated (`tests/ios/data`): what is not in both, and why.
ASA: tuple[Deviation, ...] = (
    Deviation(
        (),
        (
            r"\. % .*",
            r"\. Searching Policy with fvrf .*",
            r"\. Using the Default Policy for Proposal",
            r"\. Found Policy .*",
            r"\. \[Crypto Engine -> IKEv2\] .*",
            r"\. \[IKEv2 -> Crypto Engine\] (?:Calculate|Generate) .*",
            r"\. IKEv2 (?:initiator|responder) - no config data .*",
            r"\. IKEv2 MIB tunnel started, .*",
            r"\. found matching IKEv2 profile .*",
        ),
        "IOS alone prints them (24, 25): keyring, policy, crypto engine, MIB.",
    ),
    Deviation(
        (r"! decrypt queued", r"! : Asynchronous request queued", r"\."),
        (),
        "ASA's crypto is asynchronous and says so at its error level; IOS-XE (24) prints none of it.",
    ),
    Deviation(
        (r"~ Construct Vendor Specific Payload: .*", _MADE_ON_ONE_LINE),
        (r"~ Construct Vendor Specific Payload: .*", _MADE_ON_ONE_LINE),
        "We send one vendor ID, our own, and none in IKE_AUTH; ASA sends Cisco's, and a CERTREQ for its trustpoint.",
    ),
    Deviation(
        (r"\. (?:Cisco )?Fragmentation is enabled",),
        (r"\. IETF Fragmentation is enabled", r"~ Construct Notify Payload: IKEV2_FRAGMENTATION_SUPPORTED"),
        "Cisco's own fragmentation is not ours; where ASA has that alone, ours is the IETF's.",
    ),
    Deviation(
        (
            r"~ Cisco DeleteReason Notify is enabled",
            r"~ Construct Notify Payload: DELETE_REASON",
            r"~ Sending Delete Reason Notify .*",
            r"p DELETE NOTIFY\(DELETE_REASON\)",
        ),
        (r"p DELETE",),
        "DELETE_REASON has no number that we know: we send none.",
    ),
    Deviation(
        (),
        (r"~ Construct Notify Payload: SET_WINDOW_SIZE",),
        "IOS and we say our window in IKE_AUTH (24), ASA does not.",
    ),
    Deviation(
        (r"\. Check for EAP exchange",), (), "ASA looks for EAP once more after it sent IKE_AUTH; IOS-XE (24) does not."
    ),
    Deviation((r"! : Detected unsupported failover version",), (), "An ASA's failover pair."),
    Deviation(
        (r"> READY EV_DEL_NEG_TMO", r"~ Deleting negotiation context for peer message ID: 0x1"),
        (),
        "Eight seconds later; no event of ours.",
    ),
    Deviation(
        (r"~ Process delete IPSec API", r"~ ipsec delete", r"\. Selected IKEv2 encryption algorithm .*"),
        (),
        "Of ASA's data plane, and its warning of a cipher weaker than the Child SA's; no event of ours.",
    ),
    Deviation(
        (r"\. Queuing IKE SA delete request reason: unknown",),
        (r"\. Queuing IKE SA delete request reason: .*",),
        "IOS does not know why it deletes an IKE SA, and ASA says nothing when its operator clears it; we say why.",
    ),
    Deviation(
        (
            r"[.>~] (?:IDLE EV_CHK|R_INIT EV_(?:VERIFY|INSERT|GET)|Redirect check).*",
            r"\. (?:Checking NAT discovery|Verify SA init message|Insert SA|Deleting SA)",
        ),
        (),
        "We take no IKE SA into our table, and none out, for a request whose proposal is refused.",
        ("11",),
    ),
    Deviation(
        (
            r"> READY EV_(?:DEL_SA|FREE_NEG)",
            r"> AUTH_DONE EV_RECD_REGISTER_SESSION_RESP",
            r"> I_PROC_AUTH EV_CHK_IKE_ONLY",
            r"\. Processing INITIAL_CONTACT",
        ),
        (r"> READY EV_I_OK",),
        "Of a refused Child SA: IOS-XE (24) has no INITIAL_CONTACT line; the state machine's steps we do not part.",
        ("16", "17", "18"),
    ),
    Deviation(
        (
            r"> DELETE EV_DELETE",
            r"~ Action: Action_Null",
            r"\. Sending DELETE INFO message for IKEv2 SA .*",
            r": Initiator SPI .*",
        ),
        (
            r"\. (?:Sending|Processing) DELETE INFO message for .*",
            r"[>] (?:INFO_I_\w+|INFO_R|READY) EV_\w+",
            r"> DELETE EV_DELETE",
            r"~ (?:Action: Action_Null|Successfully removed child SAs|Request has mess_id 3.*)",
            r"\. (?:Building packet for encryption\.|Checking if request .*|Processing ACK .*|Process delete .*)",
            r"\. (?:Check for existing IPSEC SA|Delete all IKE SAs|(?:Sending|Received) Packet .*)",
            r": (?:Payload contents:|Initiator SPI .*|IKEv2 INFORMATIONAL .*)",
            r"p ENCR",
        ),
        "IOS-XE (24) and we delete the Child SA first, in an exchange of its own; ASA the IKE SA alone.",
        ("16", "17", "18"),
    ),
    Deviation(
        (r"p DELETE",), (), "ASA answers a Delete of the IKE SA with a DELETE; RFC 7296 section 1.4.1 with nothing."
    ),
    Deviation(
        (r"~ Sent response with message id .*",),
        (),
        "Told with the message ID that our event of the check does not hold.",
    ),
    Deviation(
        (
            r"> R_VERIFY_AUTH EV_(?:NO_EVENT|OK_RECD_IPSEC_RESP)",
            r"\. Processing IKE_AUTH message",
            r": ESP: Proposal 0: .*",
        ),
        (r": ESP: Proposal 1: .*",),
        "ASA takes an SPI before it compares, and calls its own ESP proposal number 0.",
        ("17",),
    ),
    Deviation(
        (
            r"! (?:Received|Expected) Policies: .*",
            r"! : Failed to find a matching policy",
            r": ESP: Proposal 1: .*",
            r"~ Failed to verify the proposed policies",
            r"> R_VERIFY_AUTH EV_NO_PROP_CHOSEN",
            r"\. Sending no proposal chosen notify",
            r"~ Construct Notify Payload: NO_PROPOSAL_CHOSEN",
            r"p VID IDr AUTH NOTIFY\(NO_PROPOSAL_CHOSEN\)",
        ),
        (
            r"! : There was no IPSEC policy found for received TS",
            r"\. Sending TS unacceptable notify",
            r"~ Construct Notify Payload: TS_UNACCEPTABLE",
        ),
        "ASA calls a selector problem NO_PROPOSAL_CHOSEN; we answer TS_UNACCEPTABLE, as RFC 7296 section 2.9 has it.",
        ("18",),
    ),
)
"""Deviations from ASA's transcripts, by the sign and text of their restated lines."""
