"""What ASA and FTD print beside the lines that they share with IOS, as tables: known, and telling no event.

Levels are no part of it: they change between releases (1 is an error in one, 2 in another). A family stands as one
pattern, so that its other members are known too.
"""

from __future__ import annotations

import re

from ikescope.events.life import CloseReason

_ASIDE = (
    r"INVALID PSH HANDLE",
    r"Failed to set P1 auth to build policy",
    r"Could not build ikev2 policy.*",
    r"asa connect start L2L failed.*",
    r"(?:HTTP URL but never sent ?)?HTTP_LOOKUP_SUPPORTED Notification|HTTP URL but never sent",
    r"(?:my_auth_method|supported_peers_auth_method|P1 ID|p1_id) = .*",
    r"(?:my|peer) auth method set to: .*",
    r"Translating IKE_ID_\w+ to = .*",
    r"(?:tp_name|tg_name|tunn grp type|mib_index|connection auth hdl|idle timeout|session timeout|class attr|group lock"
    r"|tunnel protocol|group policy|connection attribues|vpn filter|filter ID|client \w+|username|domain|hostname)"
    r" set.*",
    r"attempting to find tunnel group for (?:IP|ID|cert).*",
    r"mapped to tunnel group .* using (?:peer IP|.*)",
    r"connection initiated with tunnel group .*",
    r"(?:New ikev2 sa request|Negotiating SA request|Active ike sa request|Active SA request) \w+",
    r"(?:Incrementing|Decrement|Decrementing|Increment) (?:count for )?(?:outgoing|incoming) .*",
    r"PSH cleanup",
    r"NO IKEv2 ID",
    r"Build config mode reply: .*",
    r"Process custom VID payloads?",
    r".* VID received from peer",
    r"(?:Encrypt|Decrypt|Verify|Sign|Auth) (?:success|failure|fail\w*) status returned via ipc .*",
    r"Site to Site connection detected",
    r"Remote Access connection detected",
    r"Completed authentication for connection",
    r"AAA conn attribute retrieval .*",
    r"IPv[46] filter ID .*",
    r"Successfully retrieved conn attrs",
    r"Session registration after conn attr retrieval .*",
    r"DPD Max Time will be: .*",
    r"Base MTU get: .*",
    r"Selector received from peer is accepted",
    r"Failed to remove peer correlation entry from .*",
    r"Failed to retrieve trusted issuers hashes or none available",
    r"Adding trusted issuer hash to send\. .*",
    r"retrieving SAN for peer ID check",
    r"Peer ID check started, .*",
    r"IKEv2 received all requested SPIs from CTM .*",
    r"CONNECTION STATUS: .*",
    r"IKEv2 session (?:de)?registered (?:from|with) session manager.*",
    r"(?:Sent|Received) PFKEY .*",
    r"Received PFKEY .*",
    r"(?:Opening|Closing) (?:a|the) PKI session",
    r"Process(?:ing)? (?:delete|add|update) IPSec API.*",
    r"ipsec (?:delete|add|update|rekey).*",
    r"Successfully removed child SAs?",
    r"Detected unsupported failover version",
    r"(?:decrypt|encrypt) queued",
    r"Asynchronous request queued",
    r"Sending Delete Reason Notify with error code : .*",
    r"Selected IKEv2 encryption algorithm .* is not strong enough .*",
    r"Request has mess_id \w+; expected \w+ through \w+",
    r"Sent response with message id \w+, Requests can be accepted from range \w+ to \w+",
    r"Deleting negotiation context for (?:my|peer) message ID: .*",
    r"Construct (?:[\w-]+ ){0,4}Payload: .*",
    r"(?:Cisco )?(?:DeleteReason Notify|Fragmentation) is (?:enabled|disabled|not enabled)",
    r"IETF Fragmentation is (?:disabled|not enabled)",
    r"Action: Action_\w+",
    r"Accounting not required",
    r"Failed to verify the proposed policies",
    r"Setting configured policies",
    r"Getting configured policies",
    r"Generate skeyid",
    r"Process(?:ing)? NAT discovery notify",
    r"Processing nat detect (?:src|dst) notify",
    r"(?:Remote|Local) address (?:not )?matched",
    r"Redirect check (?:is not needed|with platform).*",
    r"Received valid parameteres in process id",
    r"Computed authentication value for peer differs from what peer sent",
    r"Starting timer \(8 sec\) to delete negotiation context",
    r"Processing an item off the pak queue",
    r"Got a packet from dispatcher",
    r"Verify auth failed",
    r"Computing DH (?:public|secret) key",
    r"NAT-T is (?:disabled|not enabled|enabled).*",
    r"IKEv2 .* debugging is (?:on|off)",
    r"Warning: .*debug.*",
)
_ASIDE_AT_ONCE = re.compile("|".join(f"(?:{one})" for one in _ASIDE))

#: Errors of the stack that IOS prints with a colon before them.
METHOD_MISMATCH = "Peer authentication method configured is mismatching with the method proposed by peer"
ERRORS = frozenset(
    {
        METHOD_MISMATCH,
        "Failed to authenticate the IKE SA",
        "The peer's KE payload contained the wrong DH group",
    }
)

#: The end of a session as its manager gives it, and what of ours it is.
KILLED: dict[str, CloseReason] = {
    "Administrator Reset": CloseReason.CLEARED,
    "Administrator Reboot": CloseReason.STOPPED,
    "Administrator Shutdown": CloseReason.STOPPED,
    "User Requested": CloseReason.PEER_DELETED,
    "Peer Terminate": CloseReason.PEER_DELETED,
    "Peer Reconnected": CloseReason.PEER_RESTARTED,
    "Peer Address Changed": CloseReason.PEER_RESTARTED,
    "Lost Service": CloseReason.SILENCE,
    "Peer lost": CloseReason.SILENCE,
    "Lost Carrier": CloseReason.SILENCE,
    "DPD failure": CloseReason.SILENCE,
    "Idle Timeout": CloseReason.CONFIGURATION,
    "Max time exceeded": CloseReason.LIFETIME,
    "Maximum session time exceeded": CloseReason.LIFETIME,
    "Internal Error": CloseReason.NOT_AGREED,
    "Phase-2 Mismatch": CloseReason.NOT_AGREED,
    "IPsec SA expired": CloseReason.LIFETIME,
}

#: Why an entry of a crypto map did not speak for what the peer asked.
NO_LIST, OTHER_PEER = "it has no access-list", "its peer is another"
MISSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:Crypto [Mm]ap: )?No proxy match on (?:crypto )?map (\S+) seq (\d+)"), "no proxy match"),
    (re.compile(r"Crypto [Mm]ap:? (\S+) seq (\d+)\s+peer doesn't match map entry"), OTHER_PEER),
    (re.compile(r"Crypto [Mm]ap:? (\S+) seq (\d+)\s+is incomplete due to missing (?:ACL|access-list)"), NO_LIST),
    (re.compile(r"Crypto [Mm]ap:? (\S+) seq (\d+)\s+is incomplete due to missing peer.*"), OTHER_PEER),
    (
        re.compile(r"Crypto [Mm]ap:? (\S+) seq (\d+)\s+(?:is incomplete|doesn't match|does not match).*"),
        "it does not fit",
    ),
)
#: What stands in such a text and is no part of it: remarks, rules, other debugs (`debug crypto ipsec`, IKEv1, PKI).
_FOREIGN = re.compile(
    r"[#!](?: .*)?|```.*|[-=*_~#]{3,}.*"
    r"|(?:IPSEC(?: DEBUG| INFO| ERROR)?(?:\([^)]{0,40}\))?|IPSec|CRYPTO_PKI|CERT_API|PKI\[\d+\]|CRYPTO|AAA|RADIUS"
    r"|SVC|ISAKMP|np_\w+|vpnfol\w*|CTM|SSL\w*|DAP_\w+|EAP|SNMP|ICMP|Tunnel Manager|IKE Receiver)\b.*"
    r"|\[IKEv1[^\]]{0,20}\].*|(?:Group|IP) = \S+, .*"
    r"| {2,}(?:SCB|SPI|User|Peer|Session ID|VPIF num|Tunnel type|Protocol|Lifetime|Direction|Flags|VPIF|Rule ID"
    r"|VCID|Src addr|Src mask|Dst addr|Dst mask|Src ports|Dst ports|Use protocol|Use SPI|Upper|Lower|Op|MTU"
    r"|SA|Channel|Outbound|Inbound|encrypt|decrypt)\b ?:.*"
    r"|Type escape sequence.*|Sending \d+, \d+-byte.*|[!.?]{1,100}|Success rate is .*|.* debugging is (?:on|off).*"
    r"|There are no .* SAs.*|\^|ERROR: .*|INFO: .*"
)
PROMPTED = re.compile(r"(?:un(?:debug)?\b|debug\b|show\b|sh\b|clear\b|no\b|conf|ping\b|exit\b|end\b|terminal\b|cry).*")


_KERNEL = re.compile(
    r"(?:(?:Receiv|Send|Process|Post|Queu)\w* |Sent |Got )?(?:an? )?(?:PF_?KEY\w*|pf_?key\w*|IPSEC)\b(?! SA).*"
)
"""What IKE and the data plane say to each other, whoever prints it."""


def is_foreign(text: str, *, prefixed: bool = False) -> bool:
    """Whether a line is somebody else's: a remark, another debug, a console's answer.

    With the debug's prefix only what the data plane is told and answers.
    """
    return _KERNEL.fullmatch(text) is not None or (not prefixed and _FOREIGN.fullmatch(text) is not None)


def is_aside(text: str) -> bool:
    """Whether a text is one of ASA's that tells no event."""
    return _ASIDE_AT_ONCE.fullmatch(text) is not None
