"""What ASA and FTD print beside the lines that they share with IOS, as tables: known, and telling no event.

Levels are no part of it: they change between releases (1 is an error in one, 2 in another). A family stands as one
pattern, so that its other members are known too.
"""

from __future__ import annotations

import re

from ikescope.events.life import CloseReason

_ASIDE = (
    r"INVALID PSH HANDLE",
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
MISSES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:Crypto [Mm]ap: )?No proxy match on (?:crypto )?map (\S+) seq (\d+)"), "no proxy match"),
    (re.compile(r"Crypto [Mm]ap:? (\S+) seq (\d+)\s+peer doesn't match map entry"), "its peer is another"),
    (
        re.compile(r"Crypto [Mm]ap:? (\S+) seq (\d+)\s+is incomplete due to missing (?:ACL|access-list)"),
        "it has no access-list",
    ),
    (
        re.compile(r"Crypto [Mm]ap:? (\S+) seq (\d+)\s+(?:is incomplete|doesn't match|does not match).*"),
        "it does not fit",
    ),
)
PROMPTED = re.compile(r"(?:un(?:debug)?\b|debug\b|show\b|sh\b|clear\b|no\b|conf|ping\b|exit\b|end\b|terminal\b|cry).*")


def is_aside(text: str) -> bool:
    """Whether a text is one of ASA's that tells no event."""
    return _ASIDE_AT_ONCE.fullmatch(text) is not None
