"""Where our debug differs from the real IOS-XE initiator that it is measured against, line by line, and why."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deviation:
    """Regular expressions over whole lines: what IOS prints, what we print instead (none: nothing), and why."""

    ios: tuple[str, ...]
    ours: tuple[str, ...]
    why: str


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
