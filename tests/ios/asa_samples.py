"""ASA debug text in the layout of real transcripts (01 to 18 of `docs/ios-debug.md`), restated with other values."""

from __future__ import annotations

from collections.abc import Iterable

LOCAL, REMOTE = "192.0.2.1", "198.51.100.2"
SPI_I, SPI_R = "A1B2C3D4E5F60718", "18293A4B5C6D7E8F"
ZERO = "0" * 16

IKE_PLAIN = ("1 AES-CBC 12", "2 SHA256", "3 SHA256", "4 DH_GROUP_2048_MODP/Group 14")
ESP_PLAIN = ("1 AES-CBC 12", "3 SHA256", "5 Don't use ESN")
NAMED = "Parse Notify Payload: {0} NOTIFY({0})"


def trace(sa: int, role: str, state: str, event: str, *, message_id: int = 0, spi_r: str = SPI_R) -> str:
    """One step of the state machine."""
    return (
        f"IKEv2-PROTO-5: ({sa}): SM Trace-> SA: I_SPI={SPI_I} R_SPI={spi_r} ({role}) MsgID = {message_id:08x} "
        f"CurState: {state} Event: {event}"
    )


def proto(sa: int | None, *texts: str) -> list[str]:
    """Lines of the protocol's debug."""
    return [f"IKEv2-PROTO-2: {'' if sa is None else f'({sa}): '}{text}" for text in texts]


def plat(*texts: str, sa: int | None = None) -> list[str]:
    """Lines of the platform's debug."""
    return [f"IKEv2-PLAT-2: {'' if sa is None else f'({sa}): '}{text}" for text in texts]


def hexdump(octets: bytes) -> list[str]:
    """Sixteen octets a line, under an empty one."""
    return ["", *(f"     {octets[at : at + 16].hex(' ')}" for at in range(0, len(octets), 16))]


def proposal(protocol: str, transforms: Iterable[str]) -> list[str]:
    """An SA payload's one proposal: `type name` with `12` behind it where an attribute makes it longer."""
    rows = list(transforms)
    lines = ["  last proposal: 0x0, reserved: 0x0, length: 44"]
    size = 0 if protocol == "IKE" else 4
    lines.append(f"  Proposal: 1, Protocol id: {protocol}, SPI size: {size}, #trans: {len(rows)}")
    for at, row in enumerate(rows):
        kind, _, name = row.partition(" ")
        longer = name.endswith(" 12")
        more = 0 if at == len(rows) - 1 else 3
        head = f"    last transform: 0x{more}, reserved: 0x0: length: {12 if longer else 8}"
        if at:
            lines.append(head)
        else:
            lines[-1] += head
        lines.append(f"    type: {kind}, reserved: 0x0, id: {name.removesuffix(' 12')}")
    return lines


def payload(name: str, after: str, length: int, *details: str, octets: bytes = b"") -> list[str]:
    """A payload as it is spelled out."""
    return [
        f" {name}  Next payload: {after}, reserved: 0x0, length: {length}",
        *details,
        *(hexdump(octets) if octets else ()),
    ]


def notify(name: str, after: str = "NONE", octets: bytes = b"") -> list[str]:
    """A NOTIFY payload."""
    detail = f"    Security protocol id: IKE, spi size: 0, type: {name}"
    return payload(f"NOTIFY({name})", after, 8 + len(octets), detail, octets=octets)


def selectors(kind: str, after: str, *ends: tuple[str, str]) -> list[str]:
    """A TSi or TSr payload."""
    lines = [f"    Num of TSs: {len(ends)}, reserved 0x0, reserved 0x0"]
    for start, end in ends:
        lines += [
            "    TS type: TS_IPV4_ADDR_RANGE, proto id: 0, length: 16",
            "    start port: 0, end port: 65535",
            f"    start addr: {start}, end addr: {end}",
        ]
    return payload(kind, after, 8 + 16 * len(ends), *lines)


def init_payloads(transforms: Iterable[str] = IKE_PLAIN) -> list[str]:
    """What an IKE_SA_INIT message with a 2048 bit group holds."""
    return [
        *payload("SA", "KE", 48, *proposal("IKE", transforms)),
        *payload("KE", "N", 264, "    DH group: 14, Reserved: 0x0", octets=bytes(range(256))),
        *payload("N", "VID", 68, octets=b"\x5a" * 64),
        *payload("VID", "NOTIFY", 23, octets=b"CISCO-DELETE-REASON"),
        *notify("NAT_DETECTION_SOURCE_IP", "NOTIFY", b"\x11" * 20),
        *notify("NAT_DETECTION_DESTINATION_IP", "NONE", b"\x22" * 20),
    ]


def auth_payloads(who: str, octets: bytes, ours: tuple[str, str], theirs: tuple[str, str]) -> list[str]:
    """What an IKE_AUTH message with a pre-shared key holds."""
    return [
        *payload(who, "AUTH", 12, "    Id type: IPv4 address, Reserved: 0x0 0x0", octets=octets),
        *payload("AUTH", "SA", 40, "    Auth method PSK, reserved: 0x0, reserved 0x0", "Auth data: 32 bytes"),
        *payload("SA", "TSi", 44, *proposal("ESP", ESP_PLAIN)),
        *selectors("TSi", "TSr", ours),
        *selectors("TSr", "NONE", theirs),
    ]


def _again(sa: int | None, lines: Iterable[str]) -> list[str]:
    """As ASA prints a message that belongs to an SA: the number once more at each line's begin and within it."""
    if sa is None:
        return list(lines)
    return [f"({sa}): {line}".replace("  Next payload", f"({sa}):   Next payload") for line in lines]


def message(
    way: str,
    sa: int | None,
    exchange: str,
    number: int,
    inner: Iterable[str],
    *,
    response: bool,
    initiator: bool,
    length: int = 456,
    spi_r: str = SPI_R,
    port: int = 500,
    sealed: bool = False,
) -> list[str]:
    """A message as ASA prints it: header, payloads, and the platform's line of it, glued where ASA glues."""
    sent = way == "Sending"
    first = "ENCR" if exchange != "IKE_SA_INIT" else "SA"
    text = "RESPONSE" if response else "REQUEST"
    again = "" if sa is None else f"({sa}):"
    flags = ("INITIATOR" if initiator else "RESPONDER") + (" MSG-RESPONSE" if response else "")
    ends = f"To {REMOTE}:{port}/From {LOCAL}:{port}" if sent else f"From {REMOTE}:{port}/To {LOCAL}:{port}"
    prefix = "" if sa is None else f"({sa}): "
    head = [
        f"IKEv2-PROTO-2: {prefix}{way} Packet [{ends}/VRF i0:f0] ",
        f"{prefix}Initiator SPI : {SPI_I} - Responder SPI : {spi_r} Message id: {number}",
        f"{prefix}IKEv2 {exchange} Exchange {text}IKEv2-PROTO-3: {prefix}Next payload: {first}, version: 2.0 {again} "
        f"Exchange type: {exchange}, flags: {flags} {again} Message id: {number}, length: {length}{again}  ",
        "Payload contents: ",
    ]
    one, two = (LOCAL, REMOTE) if sent else (REMOTE, LOCAL)
    spis = f"InitSPI=0x{SPI_I.lower()} RespSPI=0x{spi_r.lower()} MID={number:08x}"
    packet = f"IKEv2-PLAT-3: {'SENT' if sent else 'RECV'} PKT [{exchange}] [{one}]:{port}->[{two}]:{port} {spis}"
    if sealed and sent:
        built = [*proto(sa, "Building packet for encryption. "), f"{prefix} ", "Payload contents: ", *_again(sa, inner)]
        encrypted = payload("ENCR", "VID", length - 28, "Encrypted data: 224 bytes")
        return [*built, *head, *_again(sa, encrypted), f"{prefix} ", packet]
    if sealed:
        opened = [f"IKEv2-PROTO-1: decrypt queued{again} ", "IKEv2-PROTO-1: Asynchronous request queued"]
        opened += ["IKEv2-PROTO-1: ", f"{prefix}REAL Decrypted packet:{again} Data: 180 bytes"]
        return [packet, f"{prefix} ", *head, *opened, *inner, " "]
    body = [*head, *_again(sa, inner)]
    return [*body, packet] if sent else [packet, " ", *body, f"{prefix}Decrypted packet:{again} Data: 456 bytes"]


#: Selectors of the two ends' networks, as the initiator sends them.
NET_I, NET_R = ("10.1.0.0", "10.1.0.255"), ("10.2.0.0", "10.2.0.255")
WHO_I, WHO_R = bytes((192, 0, 2, 1)), bytes((198, 51, 100, 2))
_SUITE = "   AES-CBC({sa}):    SHA256({sa}):    SHA256({sa}):    DH_GROUP_2048_MODP/Group 14"


def offer(sa: int) -> list[str]:
    """`IKE Proposal` and what is glued behind its transforms."""
    glued = "".join(f"IKEv2-PROTO-5: Construct Notify Payload: {name}" for name in ("NAT_DETECTION_SOURCE_IP", "HTTP"))
    head = f"IKEv2-PROTO-2: ({sa}): IKE Proposal: 1, SPI size: 0 (initial negotiation), "
    return [head, "Num. transforms: 4", f"({sa}): {_SUITE.format(sa=sa)}{glued}({sa}):  "]


def init_sent(sa: int = 7, transforms: Iterable[str] = IKE_PLAIN) -> list[str]:
    """An initiator until its IKE_SA_INIT request is out."""
    return [
        *plat("Received PFKEY Acquire SA for SPI 0x0, error FALSE", "INVALID PSH HANDLE"),
        *plat(f"mapped to tunnel group {REMOTE} using peer IP", "my_auth_method = 2"),
        *plat("Received PFKEY SPI callback for SPI 0x1A2B3C4D, error FALSE"),
        trace(sa, "I", "IDLE", "EV_INIT_SA", spi_r=ZERO),
        *proto(sa, "[IKEv2 -> Crypto Engine] Computing DH public key, DH Group 14"),
        *proto(sa, "Request queued for computation of DH key", "Generating IKE_SA_INIT message"),
        *offer(sa),
        *message(
            "Sending", sa, "IKE_SA_INIT", 0, init_payloads(transforms), response=False, initiator=True, spi_r=ZERO
        ),
        *proto(sa, "Insert SA"),
    ]


def init_answered(sa: int = 7) -> list[str]:
    """An initiator from the response to its IKE_AUTH request."""
    return [
        *message("Received", sa, "IKE_SA_INIT", 0, init_payloads(), response=True, initiator=False),
        *proto(sa, "Processing IKE_SA_INIT message", "Verify SA init message", "Processing IKE_SA_INIT message"),
        *proto(sa, "Checking NAT discovery", "NAT not found"),
        *proto(sa, "[IKEv2 -> Crypto Engine] Computing DH secret key, DH Group 14"),
        *proto(sa, "Request queued for computation of DH secret", "Completed SA init exchange"),
        *proto(sa, "Check for EAP exchange", "Generate my authentication data"),
        *proto(sa, f"Use preshared key for id {LOCAL}, key len 9", "Get my authentication method"),
        *proto(sa, "My authentication method is 'PSK'", "Check for EAP exchange", "Generating IKE_AUTH message"),
        *proto(sa, f"Constructing IDi payload: '{LOCAL}' of type 'IPv4 address'"),
        *message(
            "Sending",
            sa,
            "IKE_AUTH",
            1,
            auth_payloads("IDi", WHO_I, NET_I, NET_R),
            response=False,
            initiator=True,
            sealed=True,
        ),
    ]


def auth_accepted(sa: int = 7) -> list[str]:
    """An initiator whose IKE_AUTH is answered well, until its Child SA is in the data plane."""
    return [
        *message(
            "Received",
            sa,
            "IKE_AUTH",
            1,
            auth_payloads("IDr", WHO_R, NET_I, NET_R),
            response=True,
            initiator=False,
            sealed=True,
        ),
        *verified(sa, REMOTE),
        *proto(sa, "Check for EAP exchange"),
        *proto(sa, "Processing INITIAL_CONTACT", "Processing IKE_AUTH message"),
        *established(sa),
        *proto(sa, "Load IPSEC key material"),
        *plat("PROXY MATCH on crypto map OUTSIDE seq 10", "DPD Max Time will be: 10"),
        *proto(sa, "Checking for duplicate IKEv2 SA", "No duplicate IKEv2 SA found"),
        *plat("Received PFKEY add SA for SPI 0x5E6F7081, error FALSE"),
        *plat("Received PFKEY update SA for SPI 0x1A2B3C4D, error FALSE"),
    ]


def verified(sa: int, who: str) -> list[str]:
    """The peer's identity and AUTH are looked at and stand."""
    return [*looked_at(sa, who), *proto(sa, "Verification of peer's authenctication data PASSED")]


def looked_at(sa: int, who: str) -> list[str]:
    """The peer's identity and AUTH are looked at."""
    return [
        *proto(sa, f"Searching policy based on peer's identity '{who}' of type 'IPv4 address'"),
        *plat("Site to Site connection detected", sa=sa),
        *plat(f"mapped to tunnel group {who} using phase 1 ID"),
        *proto(sa, "Verify peer's policy", "Peer's policy verified", "Get peer's authentication method"),
        *proto(sa, "Peer's authentication method is 'PSK'", f"Get peer's preshared key for {who}"),
        *proto(sa, "Verify peer's authentication data", f"Use preshared key for id {who}, key len 9"),
    ]


def established(sa: int) -> list[str]:
    """The IKE SA stands."""
    return [
        *proto(sa, "IKEV2 SA created; inserting SA into database. SA lifetime timer (86400 sec) started"),
        "IKEv2-PLAT-2: ",
        f"CONNECTION STATUS: UP... peer: {REMOTE}:500, phase1_id: {REMOTE}",
        *proto(sa, f"Session with IKE ID PAIR ({REMOTE}, {LOCAL}) is UP"),
        *proto(sa, "Initializing DPD, configured for 10 seconds"),
    ]


def init_received(sa: int = 9) -> list[str]:
    """A responder from the request, which has no number yet, to where it looks at the proposals."""
    return [
        *message("Received", None, "IKE_SA_INIT", 0, init_payloads(), response=False, initiator=True, spi_r=ZERO),
        trace(sa, "R", "IDLE", "EV_RECV_INIT"),
        *proto(sa, "Checking NAT discovery", "Verify SA init message", "Insert SA", "Processing IKE_SA_INIT message"),
    ]


def init_replied(sa: int = 9) -> list[str]:
    """A responder that answers IKE_SA_INIT."""
    return [
        *init_received(sa),
        *proto(sa, "No NAT found"),
        trace(sa, "R", "R_INIT", "EV_CHK_CONFIG_MODE"),
        *proto(sa, "[IKEv2 -> Crypto Engine] Computing DH public key, DH Group 14", "Generating IKE_SA_INIT message"),
        *offer(sa),
        *message("Sending", sa, "IKE_SA_INIT", 0, init_payloads(), response=True, initiator=False),
        *proto(sa, "Completed SA init exchange", "Starting timer (30 sec) to wait for auth message"),
    ]


def auth_received(sa: int = 9) -> list[str]:
    """A responder that reads an IKE_AUTH request."""
    return [
        *message(
            "Received",
            sa,
            "IKE_AUTH",
            1,
            auth_payloads("IDi", WHO_R, NET_R, NET_I),
            response=False,
            initiator=True,
            sealed=True,
        ),
        *proto(sa, "Stopping timer to wait for auth message", "Checking NAT discovery", "NAT not found"),
    ]


def policies(sa: int, label: str, received: str, expected: str) -> list[str]:
    """The block of a refused proposal; `expected` may be empty."""
    lines = proto(sa, "Failed to find a matching policy", "Received Policies: ")
    lines += [f"{label}Proposal 1:  {received}", "", *proto(sa, "Failed to find a matching policy")]
    lines += proto(sa, "Expected Policies: ")
    lines += [f"{label}Proposal 1:  {expected}", ""] if expected else []
    return [*lines, *proto(sa, "Failed to find a matching policy"), f"IKEv2-PROTO-1: ({sa}): "]


def child_refused(sa: int = 9) -> list[str]:
    """A responder that answers IKE_AUTH with NO_PROPOSAL_CHOSEN for the Child SA."""
    inner = [
        *payload("IDr", "AUTH", 12, "    Id type: IPv4 address, Reserved: 0x0 0x0", octets=WHO_I),
        *payload("AUTH", "NOTIFY", 40, "    Auth method PSK, reserved: 0x0, reserved 0x0", "Auth data: 32 bytes"),
        *notify("NO_PROPOSAL_CHOSEN"),
    ]
    return [
        *proto(sa, "Sending no proposal chosen notify", "Generating IKE_AUTH message"),
        *message("Sending", sa, "IKE_AUTH", 1, inner, response=True, initiator=False, sealed=True),
    ]


def failed(sa: int, *texts: str) -> list[str]:
    """How a failed SA ends; the same error up to three times."""
    return [*proto(sa, *texts), *plat("Negotiating SA request deleted"), *proto(sa, "Abort exchange", "Deleting SA")]


#: The beginning of a session as releases before 9.2 print it (unsourced; the manner of Cisco's own examples).
OLD = f"""\
IKEv2-PLAT-3: (16) tg_name set to: {REMOTE}
IKEv2-PROTO-5: (16): SM Trace-> SA: I_SPI={SPI_I} R_SPI={ZERO} (I) MsgID = 00000000 CurState: IDLE Event: EV_INIT_SA
IKEv2-PROTO-3: (16): Computing DH public key
IKEv2-PROTO-3: (16): Sending initial message
IKEv2-PROTO-3:   IKE Proposal: 1, SPI size: 0 (initial negotiation),
Num. transforms: 4
   3DES   SHA1   SHA96   DH_GROUP_1024_MODP/Group 2
IKEv2-PROTO-3: Tx [L {LOCAL}:500/R {REMOTE}:500/VRF i0:f0] m_id: 0x0
IKEv2-PROTO-3: HDR[i:{SPI_I} - r: {ZERO}]
IKEv2-PROTO-4: IKEV2 HDR ispi: {SPI_I} - rspi: {ZERO}
IKEv2-PROTO-4: Next payload: SA, version: 2.0
IKEv2-PROTO-4: Exchange type: IKE_SA_INIT, flags: INITIATOR
IKEv2-PROTO-4: Message id: 0x0, length: 92
 SA  Next payload: N, reserved: 0x0, length: 44
IKEv2-PROTO-4:   last proposal: 0x0, reserved: 0x0, length: 40
  Proposal: 1, Protocol id: IKE, SPI size: 0, #trans: 4
IKEv2-PROTO-4:     last transform: 0x3, reserved: 0x0: length: 8
    type: 1, reserved: 0x0, id: 3DES
IKEv2-PROTO-4:     last transform: 0x3, reserved: 0x0: length: 8
    type: 2, reserved: 0x0, id: SHA1
IKEv2-PROTO-4:     last transform: 0x3, reserved: 0x0: length: 8
    type: 3, reserved: 0x0, id: SHA96
IKEv2-PROTO-4:     last transform: 0x0, reserved: 0x0: length: 8
    type: 4, reserved: 0x0, id: DH_GROUP_1024_MODP/Group 2
 N  Next payload: NONE, reserved: 0x0, length: 20

     84 8b 80 c2 52 c2 4f c7 f9 9d f5 98 80 6e f7 45
IKEv2-PROTO-3: (16): Insert SA
IKEv2-PROTO-3: Rx [L {LOCAL}:500/R {REMOTE}:500/VRF i0:f0] m_id: 0x0
IKEv2-PROTO-3: HDR[i:{SPI_I} - r: {SPI_R}]
IKEv2-PROTO-4: IKEV2 HDR ispi: {SPI_I} - rspi: {SPI_R}
IKEv2-PROTO-4: Next payload: NOTIFY, version: 2.0
IKEv2-PROTO-4: Exchange type: IKE_SA_INIT, flags: RESPONDER MSG-RESPONSE
IKEv2-PROTO-4: Message id: 0x0, length: 36
 NOTIFY(NO_PROPOSAL_CHOSEN)  Next payload: NONE, reserved: 0x0, length: 8
    Security protocol id: IKE, spi size: 0, type: NO_PROPOSAL_CHOSEN
IKEv2-PROTO-2: (16): Processing initial message
IKEv2-PROTO-5: (16): No NAT found
IKEv2-PROTO-3: (16): Check NAT discovery
IKEv2-PROTO-3: (16): Complete SA init exchange
"""
