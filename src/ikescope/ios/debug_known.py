"""What stands in a text beside the catalogue: lines of IKEv2 that tell no event, syslog that does, what is others'.

The lines without events are those of the shared stack (transcripts 01 to 33) and of IOS as it is remembered; a family
stands as one pattern. Levels are no part of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ikescope.events import UNSET, Event, IdentityFact
from ikescope.events.life import SessionDown, SessionUp
from ikescope.events.router import EspDropped, InterfaceDown, InterfaceUp
from ikescope.ios.catalogue_fields import _type_by_form

_KNOWN = re.compile(
    "|".join(
        (
            r"Got a packet from dispatcher",
            r"Processing an item off the pak queue",
            r"(?:New|Active) ikev2 sa request \w+",
            r"(?:In|De)crement(?:ing)? (?:count for )?(?:outgoing|incoming) (?:active|negotiating)\b.*",
            r"Adding [Pp]roposal \S+ to toolkit policy(?:le)?",
            r"\(\d+\): Choosing IKE profile \S+",
            r"% ?DVTI (?:create|delete) .*|% ?DVTI \S+ (?:created|deleted) .*",
            r"\[(?:IP[Ss]ec|PKI|AAA|ACL) -> IKEv2\] .*|\[IKEv2 -> (?:IP[Ss]ec|PKI|AAA"
            r"|Crypto Engine|ACL)\] .*",
            r"IP[Ss]ec policy validate request sent for profile .*",
            r"KMI message \d+ consumed\. No action taken\.",
            r"(?:No config data to send|Sending config data) to toolkit:?",
            r"Processing config data from toolkit",
            r"(?:Error in settig|Set|Setting) rec(?:ei|ie)ved config mode data",
            r"(?:No|Have) config(?:-mode| mode)? data to send(?: .*)?",
            r"Config data rec(?:ei|ie)ved:",
            r"Error constructing config (?:reply|request)",
            r"Config-type: Config-\w+",
            r"IKEv2 received all requested SPIs from CTM to .*",
            r"Processing (?:initial message|initial contact|config data|nat detect \w+ notify|NAT discovery notify)",
            r"Process(?:ing)? (?:custom VID payloads?|config request|certificate)",
            r"DPD timer started for \d+ secs?",
            r"not a VPN-SIP session",
            r"Generate skeyid",
            r"(?:Setting|Getting) configured policies",
            r"(?:Local|Remote) address (?:not )?matched",
            r"Failed to verify the proposed policies",
            r"Computed authentication value for peer differs from what peer sent",
            r"Action: Action_Null",
            r"Accounting not required",
            r"(?:Cisco|IETF) ?Fragmentation is (?:enabled|disabled)|Fragmentation is (?:enabled|disabled)",
            r"Cisco DeleteReason Notify is enabled",
            r"Redirect check (?:is not needed, skipping it|with platform for load-balancing)",
            r"Received valid parameter(?:s|es) in process id",
            r"Check(?:ing)? (?:for|if) (?:IPSEC rekey|IKE rekey|EAP exchange|request will fit in peer window"
            r"|existing \w+ SA)",
            r"Verif(?:y|ying) (?:cert|certificate|auth)(?: of peer| failed| chain)?",
            r"Verify (?:auth|cert) failed",
            r"Verification of peer's (?:certificate|signature|authen\w+ data) (?:PASSED|FAILED)",
            r"(?:Starting|Stopping) timer(?: \(\d+ \w+\))? to .*",
            r"Get(?:ting)? (?:peer's|my|CA|the peer's) (?:certificate|cert|public key|CERT|preshared key"
            r"|trusted issuers)\b.*",
            r"(?:Sending|Sign|Signing|Signature) (?:certificate|of|with|authentication) ?.*",
            r"Sending (?:NAT keepalive|certificate|cookie|COOKIE|ACK to informational exchange|info message"
            r"|initial contact)\b.*",
            r"Received (?:NAT keepalive|DPD|cookie|COOKIE|Policies:|custom vendor id|certificate)\b.*",
            r"IKEv2 (?:authori[sz]ation|authentication|accounting|AAA|EAP) .*",
            r"(?:Using|Use) (?:authori[sz]ation|authentication|trustpoint|certificate|mangled|method|EAP) .*",
            r"(?:AAA|EAP|COOP|MOBIKE|HA|FlexVPN|GKM) (?:group|user|policy|author\w+|request|response|server"
            r"|client|exchange|method)\b.*",
            r"Construct(?:ing)? .* [Pp]ayload:? .*",
            r"Pars(?:e|ing) .* [Pp]ayload:? .*",
            r"Next payload: \w+, .*",
            r"Attrib type: [\w-]+, length: .*",
            r"(?:encrypt|decrypt) queued",
            r"Asynchronous request queued",
            r"Request has mess_id \w+; expected \w+ through \w+",
            r"Sent response with message id \w+, Requests can be accepted from range \w+ to \w+",
            r"SA is already in negotiation, hence not negotiating again",
            r"(?:Opening|Closing) (?:a|the) PKI session",
            r"Successfully (?:verified|retrieved|removed|added|processed) .*",
            r"(?:Insert|Delete|Remov\w+) (?:peer|SA|session|IPSEC|IPSec|route|routes|child)\b.*",
            r"(?:Allocat\w+|Assign\w+|Releas\w+|Install\w+) (?:addr\w*|IP|route\w*|pool|prefix)\b.*",
            r"Detected (?:unsupported failover version|NAT|that peer)\b.*",
            r"Abort exchange",
            r"Platform errors",
            r"(?:Auth|Create child|SA init) exchange failed",
        )
    )
)
_ERRORS = re.compile(
    r"(?:: ?)?(?:"
    + "|".join(
        (
            r"(?:Received|Expected) Policies:.*",
            r"Proposal \d+:.*",
            r"Address type \d+ not supported",
            r"% IKEv2 profile not found",
            r"Platform errors",
            r"A supplied parameter is incorrect",
            r"(?:Failed|Unable) to (?:find|get|locate|process|parse|send|receive|create|allocate|verify|build"
            r"|construct|decrypt"
            r"|encrypt|compute|generate|retrieve|retreive|init\w*|add|remove|install|delete|authenticate|queue"
            r"|set|start)\b.*",
            r"(?:Couldn't|Could not|Cannot|Can not) (?:find|get|locate|process|send|create|verify|decrypt)\b.*",
            r"Detected an? (?:invalid|unsupported|unknown|unexpected) .*",
            r"(?:Invalid|Unsupported|Unexpected|Unknown|Missing|Duplicate) (?:SPI|IKE|IKEv2|message|payload"
            r"|cert|certificate|exchange"
            r"|notify|length|parameter|request|response|packet|proposal|DH|KE|version|state|event|ID|identity"
            r"|auth)\b.*",
            r"Maximum number of (?:retransmissions|SAs|negotiating|negotiation) .*",
            r"(?:Auth|Initial|SA init|Create child|Informational|Rekey) exchange (?:failed|aborted).*",
            r"Negotiation (?:context|aborted|timed) .*",
            r"Packet is a retransmission|Ignoring .* message",
            r"Profile could not be found by peer certificate\.?"
            r"|%? ?Profile could not be found by peer certificate\.?",
        )
    )
    + ")"
)


def is_known(text: str) -> bool:
    """Whether a text of IKEv2 is known and tells no event by itself."""
    return _KNOWN.fullmatch(text) is not None or _ERRORS.fullmatch(text) is not None


_OTHERS = re.compile(
    r"(?:CRYPTO_PKI|CRYPTO_ENGINE|CRYPTO|PKI|ISAKMP(?:-\w+)?|IPSEC(?:-\w+)?|Crypto[ _]mapdb|IPSec|KMI|KEYENG"
    r"|BGP|OSPF\w*|EIGRP|NHRP\w*|RIP|"
    r"AAA(?:/\w+)*|RADIUS(?:/\w+)?|TPLUS|TPM|IP|IPv6|ICMP\w*|TCP|UDP|ARP|IP ARP|NTP|DHCP\w*|Tunnel\w*|GRE|IF-EvD|"
    r"FIBtunnel|FIB|CEF|MPLS|LDP|BFD|HSRP|VRRP|STP|CDP|LLDP|SSH\w*|SNMP|EEM|HA_EM|PPP|Vi\d+|Vt\d+|Gi\S+|Te\S+|Fa\S+|"
    r"Tu\d+|Se\S+|VTEMPLATE|VT\[\S+\]|IDMGR|ACL|ACLMGR|QoS|NAT|NAT\*|PBR|SYS|ITM|insert|crypto_engine|crypto engine|"
    r"map_db_\w+|SADB\w*|DMVPN\w*|PLATFORM|CSM|CERM|cert_\w+|GDOI\w*|EPM|TUN|SNPRDB|PfR|OER|DNS|HTTP\w*)"
    r"\b ?(?:\([^)]{0,80}\)|\[[^\]]{0,80}\])?(?:: ?.*|\(.*|-\d+.*| .*)"
)
_CONSOLE = re.compile(
    r"\s*\^\s*|%\s?(?:Invalid input|Incomplete command|Ambiguous command|Unknown command|Unrecognized|Error"
    r"|Warning|Bad|Access|Please|Type|Login|No)\b.*"
    r"|% ?[A-Z][a-z].*|\s*<cr>.*|\s*--More--.*|[Cc]onfiguring from terminal.*|Enter (?:configuration|TEXT).*"
    r"|Building configuration.*|\[OK\].*"
    r"|All possible debugging has been turned off|.* debugging is (?:on|off)|.*debugging has been turned (?:on|off).*"
    r"|Type escape sequence.*|Sending \d+, \d+-byte.*|[!.U]{1,100}|Success rate is .*|Packet sent with .*"
    r"|Tracing the route.*"
    r"|Technical Support: .*|Copyright \(c\).*|Compiled \w{3} .*|Cisco (?:IOS|Adaptive).*|.*uptime is .*"
    r"|User Access Verification|(?:[Uu]sername|[Pp]assword|[Ll]ogin): ?.*|Translating \".*|Trying .* Open|Open"
    r"|Log Buffer \(.*"
    r"|Syslog logging: .*|\s*(?:Console|Monitor|Buffer|Trap|Exception|Persistent|Logging)\w* logging: .*"
    r"|[#!].*|```.*|-{3,}.*|={3,}.*|\*{3,}.*|_{3,}.*"
)
_HELP = re.compile(r" {1,6}(?:[a-z0-9][\w.-]*|[A-Z]+|<[^>]+>|LINE|WORD)(?: {2,}\S.*)?")


def is_foreign(text: str) -> bool:
    """Whether a line is some other feature's log, or a console's: echo, help, complaints, banners."""
    return _OTHERS.fullmatch(text.strip()) is not None or _CONSOLE.fullmatch(text) is not None or is_help(text)


def is_help(text: str) -> bool:
    """Whether a line is one of the console's answers to `?`."""
    return _HELP.fullmatch(text) is not None


_REPLAYED = "sequence number replayed or outside the window"
_UNTOLD: Any = UNSET
_ESP = (
    r"(?:%s): .*?for destaddr=(?P<destination>[\w.:]+),.*?spi=0x(?P<spi>[0-9A-Fa-f]+)(?:\(\d+\))?,? ?"
    r"(?:srcaddr=(?P<source>[\w.:]+))?.*"
)


def _dropped(reason: str) -> Callable[[re.Match[str]], Event]:
    def make(found: re.Match[str]) -> Event:
        source: Any = found["source"] or UNSET
        spi = found["spi"].lower().zfill(8)
        return EspDropped(reason=reason, spi=spi, source=source, destination=found["destination"], count=1)

    return make


def _identity(text: str) -> IdentityFact:
    kind: Any = _type_by_form(text)
    return IdentityFact(kind, text)


def _status(found: re.Match[str]) -> Event:
    remote: Any = _identity(found["id"]) if found["id"] else UNSET
    unknown: Any = UNSET
    if found["state"] == "UP":
        return SessionUp(local=unknown, remote=remote, index=unknown)
    return SessionDown(reason=unknown, cause=unknown, remote=remote)


def _line(found: re.Match[str]) -> Event:
    name, unknown = found["name"], UNSET
    reason: Any = unknown
    return InterfaceUp(interface=name) if found["state"] == "up" else InterfaceDown(interface=name, reason=reason)


SYSLOG: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Event]], ...] = (
    (
        re.compile(
            r"CRYPTO-\d-IKEV2_SESSION_STATUS: Crypto tunnel v2 is (?P<state>UP|DOWN)\.?\s+Peer (?P<peer>\S+?)"
            r"(?:\s+(?:f_vrf: \S+\s+i_vrf: \S+\s+)?Id: (?P<id>\S.*?))?\s*"
        ),
        _status,
    ),
    (
        re.compile(
            r"LINEPROTO-\d-UPDOWN: Line protocol on Interface (?P<name>(?:Tunnel|Virtual-Access)\S+?),? "
            r"changed state to (?P<state>up|down)\s*"
        ),
        _line,
    ),
    (re.compile(_ESP % "CRYPTO-4-RECVD_PKT_INV_SPI"), _dropped("no SA has this SPI")),
    (re.compile(_ESP % "CRYPTO-4-(?:PKT_REPLAY_ERR|RECVD_PKT_REPLAY)"), _dropped(_REPLAYED)),
    (re.compile(_ESP % "CRYPTO-4-RECVD_PKT_MAC_ERR"), _dropped("integrity check value wrong")),
    (
        re.compile(r"(?:CRYPTO|IPSEC)-\d-(?:PKT_)?REPLAY_ERR(?:OR)?: (?P<text>.*)"),
        lambda _: EspDropped(reason=_REPLAYED, **dict.fromkeys(("spi", "source", "destination"), _UNTOLD), count=1),
    ),
)
"""Syslog of IOS that tells an event: mnemonic and text without the per cent sign."""


def syslog_event(text: str) -> tuple[Event, str] | None:
    """The event of a syslog message (mnemonic and text, without `%`), and the peer it names; None for most."""
    for pattern, make in SYSLOG:
        found = pattern.fullmatch(text)
        if found is not None:
            return make(found), found.groupdict().get("peer") or ""
    return None
