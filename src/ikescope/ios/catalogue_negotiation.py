"""The catalogue's rows for policy, proposals, keys, authentication and selectors.

`where` names the transcript: a number is one of the debug transcripts listed in `docs/ios-debug.md`.
"""

from __future__ import annotations

from ikescope.events import life, negotiation
from ikescope.ios.catalogue import Is, Line, Row, error, sa
from ikescope.ios.catalogue_fields import ATTRIBUTES, proposals, suites
from ikescope.ios.words import Source

INIT, AUTH, CREATE, INFO = 34, 35, 36, 37
IKE, ESP = 1, 3


def _proposal(kind: str, size: int, stage: str) -> tuple[Line, ...]:
    return (
        Line("sa", f"{kind} Proposal: {{number}}, SPI size: {size} ({stage}), ", each="proposals"),
        Line("none", "Num. transforms: {count}", each="proposals"),
        Line("none", "   {names}", each="proposals"),
    )


_POLICY = "Searching Policy with fvrf 0, local address {local}"
_SECRET_PAIR = (
    Line("bare", "[IKEv2 -> Crypto Engine] Generate IKEv2 authentication data"),
    Line("bare", "[Crypto Engine -> IKEv2] IKEv2 authentication data generation PASSED"),
)
_VERIFY = (
    *sa(
        "Get peer's authentication method",
        "Peer's authentication method is '{method}'",
        "Get peer's preshared key for {id}",
        "Verify peer's authentication data",
        "Use preshared key for id {id}, key len {key_length}",
    ),
    *_SECRET_PAIR,
)
_AUTH_KEY = sa("Generate my authentication data", "Use preshared key for id {id}, key len {key_length}")

_FLOAT = "NAT detected float to init port {init_port}, resp port 4500"
_NAT_CASES: tuple[tuple[bool, bool, bool, tuple[str, ...], Source, str], ...] = (
    (False, False, False, ("NAT not found",), "seen", "24"),
    (False, False, True, ("NAT not found", _FLOAT), "inferred", "`nat force-encap`; 03, 24"),
    (True, False, True, ("NAT INSIDE found", _FLOAT), "seen", "03"),
    (False, True, True, ("NAT OUTSIDE found", _FLOAT), "seen", "04"),
    (True, True, True, ("NAT INSIDE found", "NAT OUTSIDE found", _FLOAT), "inferred", "03 and 04 together"),
    (True, False, False, ("NAT INSIDE found",), "inferred", "03 on a port that floated before"),
    (False, True, False, ("NAT OUTSIDE found",), "inferred", "04 on a port that floated before"),
    (True, True, False, ("NAT INSIDE found", "NAT OUTSIDE found"), "inferred", "03 and 04 together"),
)
_NAT = tuple(
    Row(
        negotiation.NatChecked,
        sa("Checking NAT discovery", *found),
        source,
        where,
        when={"local_behind": inside, "remote_behind": outside, "floated": floated},
        principal=1,
    )
    for inside, outside, floated, found, source, where in _NAT_CASES
)
_ARRIVED = tuple(
    Row(
        negotiation.AuthArrived,
        sa("Stopping timer to wait for auth message", "Checking NAT discovery", *found),
        source,
        f"02; {where}",
        when={"local_behind": inside, "remote_behind": outside, "floated": floated},
    )
    for inside, outside, floated, found, source, where in _NAT_CASES
)

_REFUSAL = (
    Line("error", "Received Policies: : Failed to find a matching policy{received}", more="received"),
    Line("error", "Expected Policies: : Failed to find a matching policy{expected}", more="expected"),
    *error(": Failed to find a matching policy"),
)
_FORMS: tuple[tuple[int, bool, Source, str], ...] = (
    (IKE, True, "seen", "33"),
    (ESP, True, "inferred", "33 for the form, 17 for the label"),
    (IKE, False, "inferred", "33 for the form, 11 for the columns"),
    (ESP, False, "inferred", "33 for the form, 17 for the columns"),
)
_REFUSED = tuple(
    Row(
        negotiation.ProposalRefused,
        _REFUSAL,
        source,
        where,
        when={"protocol": protocol},
        fields={name: suites(name, protocol, labels=labels) for name in ("received", "expected")},
        generations=("26",) if labels else ("15", "17"),
    )
    for protocol, labels, source, where in _FORMS
)

NEGOTIATION: tuple[Row, ...] = (
    *(
        Row(
            negotiation.KeyringSearched,
            (
                Line("bare", "% Getting preshared key by address {searched}"),
                Line("bare", found, note="" if block is Is.SET else "unsourced"),
            ),
            "unsourced",
            "as IOS 15.1 is remembered",
            when={"block": block},
            principal=1,
            generations=("15",),
        )
        for block, found in ((None, "% No matching peer block found"), (Is.SET, "% Matched peer block '{block}'"))
    ),
    Row(
        negotiation.KeyringSearched,
        (
            Line("bare", "% Getting preshared key from profile keyring {keyring}"),
            Line("bare", "% No matching peer block found", note="unsourced"),
        ),
        "seen",
        "24 for the first line",
        when={"block": None},
        principal=1,
    ),
    Row(
        negotiation.KeyringSearched,
        (
            Line("bare", "% Getting preshared key from profile keyring {keyring}"),
            Line("bare", "% Matched peer block '{block}'"),
        ),
        "seen",
        "24",
        principal=1,
    ),
    Row(
        negotiation.PolicySearched,
        (Line("bare", _POLICY), Line("error-bare", ": Failed to find a matching policy")),
        "inferred",
        "11, 33",
        when={"policy": None},
        principal=1,
    ),
    Row(
        negotiation.PolicySearched,
        (
            Line("bare", _POLICY),
            Line("bare", "Using the Default Policy for Proposal"),
            Line("bare", "Found Policy '{policy}'"),
        ),
        "seen",
        "24",
        when={"default_proposal": True},
        principal=2,
    ),
    Row(
        negotiation.PolicySearched,
        (Line("bare", _POLICY), Line("bare", "Found Policy '{policy}'")),
        "inferred",
        "24 without the default policy",
        when={"default_proposal": False},
        principal=1,
    ),
    Row(
        negotiation.KeyExchangeComputed,
        (
            *sa("[IKEv2 -> Crypto Engine] Computing DH public key, DH Group {group}"),
            Line("engine", "[Crypto Engine -> IKEv2] DH key Computation PASSED"),
            *sa("Request queued for computation of DH key"),
        ),
        "seen",
        "24",
        when={"part": "public"},
    ),
    Row(
        negotiation.KeyExchangeComputed,
        (
            *sa("[IKEv2 -> Crypto Engine] Computing DH secret key, DH Group {group}"),
            Line("engine", "[Crypto Engine -> IKEv2] DH key Computation PASSED"),
            *sa("Request queued for computation of DH secret"),
        ),
        "seen",
        "24",
        when={"part": "secret"},
    ),
    Row(
        negotiation.KeysDerived,
        (
            Line("engine", "[IKEv2 -> Crypto Engine] Calculate SKEYSEED and create rekeyed IKEv2 SA"),
            Line("engine", "[Crypto Engine -> IKEv2] SKEYSEED calculation and creation of rekeyed IKEv2 SA PASSED"),
        ),
        "seen",
        "24: the same words for a first IKE SA",
    ),
    Row(
        negotiation.ProposalSent,
        _proposal("IKE", 0, "initial negotiation"),
        "seen",
        "24",
        when={"protocol": IKE, "initial": True},
        items={"proposals": proposals(IKE, initial=True)},
    ),
    Row(
        negotiation.ProposalSent,
        _proposal("IKE", 8, "rekey negotiation"),
        "unsourced",
        "",
        when={"protocol": IKE, "initial": False},
        items={"proposals": proposals(IKE)},
    ),
    Row(
        negotiation.ProposalSent,
        _proposal("ESP", 4, "IPSec negotiation"),
        "seen",
        "24",
        when={"protocol": ESP},
        items={"proposals": proposals(ESP)},
    ),
    Row(negotiation.ProposalChosen, (), "seen", "24: no line at this level"),
    *_REFUSED,
    Row(negotiation.NatChecked, (), "seen", "02: told when IKE_AUTH arrives", stamp={"initiator": False}),
    Row(
        negotiation.NatChecked,
        sa("Checking NAT discovery"),
        "inferred",
        "24 without a result: the peer sent no hashes",
        when={"supported": False},
    ),
    *_NAT,
    Row(
        negotiation.ConfigSent,
        (
            Line("bare", "Config data to send:"),
            *sa("Config-type: {config_kind} "),
            Line("sa", "Attrib type: {name}, length: {length}{value}", each="attributes", more="value"),
            *sa("Have config mode data to send"),
        ),
        "seen",
        "24",
        principal=1,
        items={"attributes": ATTRIBUTES},
    ),
    Row(
        negotiation.ConfigReceived,
        (
            Line("bare", "Config data received:"),
            *sa("Received {config_kind} "),
            Line("sa", "Attrib type: {name}, length: {length}{value}", each="attributes", more="value"),
            *sa("Have received config mode data"),
        ),
        "unsourced",
        "the attribute lines as in 24",
        principal=1,
        items={"attributes": ATTRIBUTES},
    ),
    Row(
        negotiation.AuthGenerated,
        (
            *sa("Get my authentication method", "My authentication method is '{method}'"),
            *sa("Get peer's preshared key for {peer_id}"),
            *_AUTH_KEY,
            *_SECRET_PAIR,
            *sa("Get my authentication method", "My authentication method is '{method}'"),
        ),
        "seen",
        "02; the crypto engine's pair as in 24",
        stamp={"initiator": False},
        principal=3,
    ),
    Row(
        negotiation.AuthGenerated,
        (
            *sa("Check for EAP exchange"),
            *_AUTH_KEY,
            *_SECRET_PAIR,
            *sa("Get my authentication method", "My authentication method is '{method}'", "Check for EAP exchange"),
        ),
        "seen",
        "24",
        principal=1,
    ),
    Row(
        negotiation.IdentitySent,
        sa("Constructing {id_kind} payload: '{id}' of type '{id_type}'"),
        "seen",
        "24, 02",
    ),
    Row(negotiation.AuthWaiting, sa("Starting timer ({seconds} sec) to wait for auth message"), "seen", "02"),
    Row(negotiation.ChildlessAuth, (), "unsourced", "IOS makes the first Child SA in IKE_AUTH always"),
    *_ARRIVED,
    Row(negotiation.AuthArrived, sa("Stopping timer to wait for auth message"), "inferred", "02 without a NAT's line"),
    Row(
        negotiation.PeerIdentified,
        sa("Searching policy based on peer's identity '{id}' of type '{id_type}'"),
        "seen",
        "24, 02",
    ),
    Row(negotiation.ProfileMatched, (), "seen", "24: no such line at an initiator", stamp={"initiator": True}),
    Row(negotiation.ProfileMatched, (Line("bare", "found matching IKEv2 profile '{profile}'"),), "seen", "25"),
    Row(
        negotiation.ProfileNotFound,
        error(": Failed to locate an item in the database"),
        "seen",
        "33 (C8, its tail)",
        stamp={"initiator": True},
    ),
    Row(negotiation.ProfileNotFound, (Line("error-bare", "% IKEv2 profile not found"),), "seen", "33 (its tail)"),
    Row(negotiation.PolicyVerified, sa("Verify peer's policy", "Peer's policy verified"), "seen", "24", principal=1),
    Row(
        negotiation.AuthVerified,
        (*_VERIFY, *sa("Verification of peer's authenctication data PASSED")),
        "seen",
        "02; the crypto engine's pair as in 24",
        stamp={"initiator": False},
        principal=7,
    ),
    Row(
        negotiation.AuthVerified,
        (*_VERIFY, *sa("Verification of peer's authenctication data PASSED", "Check for EAP exchange")),
        "seen",
        "24",
        principal=7,
    ),
    Row(
        negotiation.AuthRefused,
        (
            *sa("Get peer's authentication method", "Peer's authentication method is '{method}'"),
            *error(": Peer authentication method configured is mismatching with the method proposed by peer"),
            *sa("Verification of peer's authentication data FAILED"),
        ),
        "seen",
        "09; the colon as in 33",
        when={"wanted": Is.SET},
        principal=2,
    ),
    Row(
        negotiation.AuthRefused,
        (
            *_VERIFY,
            *error(": Failed to authenticate the IKE SA"),
            *sa("Verification of peer's authentication data FAILED"),
        ),
        "seen",
        "08; the colon as in 33, the crypto engine's pair as in 24",
        when={"wanted": Is.MISSING},
        principal=8,
    ),
    Row(negotiation.InitialContactReceived, sa("Processing INITIAL_CONTACT"), "seen", "02"),
    Row(negotiation.ExchangeCompleted, sa("Completed SA init exchange"), "seen", "24", when={"exchange": INIT}),
    Row(negotiation.ExchangeCompleted, (), "seen", "24: the other exchanges have no such line"),
    Row(
        negotiation.ExchangeFailed,
        (
            *sa("Failed SA init exchange"),
            *error("Initial exchange failed: Initial exchange failed"),
            *sa("Abort exchange"),
        ),
        "seen",
        "24 for the error, 05 and 11 for its companions",
        when={"exchange": INIT},
        principal=1,
    ),
    Row(
        negotiation.ExchangeFailed,
        (
            *error(": Failed to receive the AUTH msg before the timer expired"),
            *sa("Auth exchange failed"),
            *error(": Auth exchange failed"),
            *sa("Abort exchange"),
        ),
        "seen",
        "06; the colon as in 33",
        when={"exchange": AUTH, "why": "the IKE_AUTH request did not come in time"},
    ),
    Row(
        negotiation.ExchangeFailed,
        (*sa("Auth exchange failed"), *error(": Auth exchange failed"), *sa("Abort exchange")),
        "seen",
        "33 for the error, 08 for its companions",
        when={"exchange": AUTH},
        principal=1,
    ),
    Row(
        negotiation.ExchangeFailed,
        error(": Create child exchange failed"),
        "unsourced",
        "",
        when={"exchange": CREATE},
    ),
    Row(negotiation.ExchangeFailed, error(": {exchange} exchange failed"), "unsourced", ""),
    Row(
        negotiation.SelectorsChosen,
        sa("Processing INITIAL_CONTACT", "Processing IKE_AUTH message"),
        "seen",
        "01, 07: the first line whether the peer sent that notify or not",
        when={"by": "peer", "exchange": AUTH},
        stamp={"initiator": True},
        principal=1,
    ),
    Row(
        negotiation.SelectorsChosen,
        sa("Processing IKE_AUTH message"),
        "seen",
        "02: again, when its SPI is chosen",
        when={"by": "local", "exchange": AUTH},
        stamp={"initiator": False},
    ),
    Row(negotiation.SelectorsChosen, (), "unsourced", "no line in CREATE_CHILD_SA is known"),
    Row(negotiation.SelectorsSent, (), "seen", "24: no line at this level"),
    Row(
        negotiation.SelectorsRefused,
        error(": There was no IPSEC policy found for received TS"),
        "inferred",
        "the text of a syslog message of the same stack",
    ),
    Row(
        life.SaInserted,
        sa("Checking NAT discovery", "Verify SA init message", "Insert SA"),
        "seen",
        "02",
        stamp={"initiator": False},
        principal=2,
    ),
    Row(life.SaInserted, sa("Insert SA"), "seen", "24"),
)
