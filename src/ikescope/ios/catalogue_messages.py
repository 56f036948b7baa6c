"""The catalogue's rows for messages: built, sealed, sent, received, repeated, refused, dropped.

`where` names the transcript: a number is one of the debug transcripts listed in `docs/ios-debug.md`.
"""

from __future__ import annotations

from ikescope.events import message
from ikescope.events.message import DropTrigger
from ikescope.ios.catalogue import Line, Row, error, sa
from ikescope.ios.catalogue_fields import RECEIVED_PAYLOADS, SENT_PAYLOADS

INIT, AUTH, CREATE, INFO = 34, 35, 36, 37

_HEADER = (
    Line("none", "Initiator SPI : {spi_i} - Responder SPI : {spi_r} Message id: {message_id}"),
    Line("none", "IKEv2 {exchange} Exchange {direction} "),
    Line("none", "Payload contents: "),
)

MESSAGES: tuple[Row, ...] = (
    Row(
        message.MessageBuilding,
        (
            Line("bare", "IKEv2 initiator - no config data to send in IKE_SA_INIT exch"),
            *sa("Generating IKE_SA_INIT message"),
        ),
        "seen",
        "24",
        when={"exchange": INIT, "response": False},
        principal=1,
    ),
    Row(
        message.MessageBuilding,
        (
            Line("bare", "IKEv2 responder - no config data to send in IKE_SA_INIT exch", note="unsourced"),
            *sa("Generating IKE_SA_INIT message"),
        ),
        "seen",
        "02 for the second line",
        when={"exchange": INIT, "response": True},
        principal=1,
    ),
    Row(message.MessageBuilding, sa("Generating IKE_AUTH message"), "seen", "24, 02", when={"exchange": AUTH}),
    Row(
        message.MessageBuilding,
        sa("Generating CREATE_CHILD_SA message"),
        "inferred",
        "from IKE_AUTH's line",
        when={"exchange": CREATE},
    ),
    Row(message.MessageBuilding, (), "seen", "24: INFORMATIONAL has no such line", when={"exchange": INFO}),
    Row(
        message.MessageSealing,
        (
            *sa("Building packet for encryption.  "),
            Line("none", "Payload contents: "),
            Line("none", " {payloads}"),
        ),
        "seen",
        "24",
    ),
    Row(message.WindowChecked, sa("Checking if request will fit in peer window"), "seen", "24, 07"),
    Row(
        message.MessageSent,
        (
            Line("none", ""),
            *sa("Sending Packet [To {remote_end}/From {local_end}/VRF i0:f0] "),
            *_HEADER,
            Line("none", " {payloads}"),
            Line("none", ""),
        ),
        "seen",
        "24",
        principal=1,
        fields={"payloads": SENT_PAYLOADS},
    ),
    Row(
        message.MessageReceived,
        (
            Line("none", ""),
            *sa("Received Packet [From {remote_end}/To {local_end}/VRF i0:f0] "),
            *_HEADER,
            Line("none", " {payloads}"),
            Line("none", ""),
        ),
        "seen",
        "24, 02",
        principal=1,
        fields={"payloads": RECEIVED_PAYLOADS},
    ),
    Row(message.FragmentSent, (), "unsourced", "the message it belongs to is told whole"),
    Row(message.FragmentReceived, (), "unsourced", "the message it belongs to is told whole"),
    Row(message.FragmentsForgotten, sa("Dropping {held} of {total} fragments, {why}"), "unsourced", ""),
    Row(
        message.FragmentationAgreed,
        sa("IETF Fragmentation is enabled"),
        "seen",
        "01, 02 without the word IETF, which their Cisco fragmentation is told from",
    ),
    Row(
        message.FragmentSizeLowered,
        sa("IETF fragment size now {size_after} bytes, was {size_before}"),
        "unsourced",
        "",
    ),
    Row(
        message.MessageProcessing,
        sa("Processing IKE_SA_INIT message", "Verify SA init message", "Processing IKE_SA_INIT message"),
        "seen",
        "24",
        when={"exchange": INIT, "response": True},
        principal=1,
    ),
    Row(
        message.MessageProcessing,
        sa("Processing IKE_SA_INIT message"),
        "seen",
        "02",
        when={"exchange": INIT, "response": False},
    ),
    Row(
        message.MessageProcessing,
        sa("Process auth response notify"),
        "seen",
        "24",
        when={"exchange": AUTH, "response": True},
    ),
    Row(
        message.MessageProcessing,
        sa("Processing IKE_AUTH message"),
        "seen",
        "02, 17",
        when={"exchange": AUTH, "response": False},
    ),
    Row(
        message.MessageProcessing,
        sa("Processing CREATE_CHILD_SA message"),
        "inferred",
        "from IKE_SA_INIT's line",
        when={"exchange": CREATE},
    ),
    Row(message.MessageProcessing, (), "seen", "24: INFORMATIONAL has no such line", when={"exchange": INFO}),
    Row(message.Retransmitting, sa("Retransmitting packet"), "seen", "24"),
    Row(
        message.RetransmissionsExhausted,
        (
            *error(": Maximum number of retransmissions reached"),
            *sa("Failed SA init exchange"),
            *error("Initial exchange failed: Initial exchange failed"),
            *sa("Abort exchange"),
        ),
        "seen",
        "05; 24 for the third line",
        when={"exchange": INIT},
    ),
    Row(
        message.RetransmissionsExhausted,
        (
            *error(": Maximum number of retransmissions reached"),
            *sa("Auth exchange failed"),
            *error(": Auth exchange failed"),
            *sa("Abort exchange"),
        ),
        "inferred",
        "05 and 08 together",
        when={"exchange": AUTH},
    ),
    Row(
        message.RetransmissionsExhausted,
        error(": Maximum number of retransmissions reached"),
        "inferred",
        "05 has the text at ASA's error level; the colon as in 33",
    ),
    Row(message.RequestRefused, sa("Sending no proposal chosen notify"), "seen", "11, 17", when={"notify": 14}),
    Row(
        message.RequestRefused,
        error(": The peer's KE payload contained the wrong DH group"),
        "seen",
        "33 (C4, its tail)",
        when={"notify": 17},
    ),
    Row(message.RequestRefused, sa("Sending authentication failure notify"), "seen", "08", when={"notify": 24}),
    Row(
        message.RequestRefused,
        sa("Sending TS unacceptable notify"),
        "inferred",
        "from NO_PROPOSAL_CHOSEN's line",
        when={"notify": 38},
    ),
    Row(
        message.RequestRefused,
        (*error(": {why}"), *sa("Sending {notify} notify in {exchange} response")),
        "unsourced",
        "",
        principal=1,
    ),
    Row(
        message.ResponseRefused,
        error(": Received no proposal chosen notify"),
        "seen",
        "33 (C1 to C3, its tail)",
        when={"notify": 14, "exchange": INIT},
    ),
    Row(
        message.ResponseRefused,
        error(": Failed to authenticate the IKE SA"),
        "seen",
        "33 (C7, its tail)",
        when={"notify": 24, "exchange": AUTH},
    ),
    Row(
        message.ResponseRefused,
        (),
        "seen",
        "24: the refused Child SA is told by its own event",
        when={"exchange": frozenset({AUTH, CREATE}), "notify": frozenset({14, 34, 35, 37, 38})},
    ),
    Row(
        message.ResponseRefused,
        error(": Received {notify} notify in {exchange} response"),
        "unsourced",
        "",
    ),
    Row(
        message.InvalidKeAnswered,
        sa("Processing invalid ke notification, we sent group {offered_group}, peer prefers group {wanted_group}"),
        "unsourced",
        "",
    ),
    Row(message.CookieAnswered, sa("Received cookie notify, {octets} bytes"), "unsourced", ""),
    Row(message.MessageDropped, (), "inferred", "a NAT keepalive is no message", when={"trigger": "NAT keepalive"}),
    Row(
        message.MessageDropped,
        (),
        "unsourced",
        "harmless: a peer repeats all fragments of its message",
        when={"trigger": DropTrigger.FRAGMENT_REPEATED.value},
    ),
    Row(
        message.MessageDropped,
        (Line("error-bare", "Couldn't find matching SA: Detected an invalid IKE SPI"),),
        "inferred",
        "the second half as in `show crypto ikev2 diagnose error`",
        when={"trigger": "no such IKE SA"},
    ),
    Row(
        message.MessageDropped,
        error(": Packet dropped, {trigger}"),
        "unsourced",
        "",
    ),
)
