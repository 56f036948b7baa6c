"""The catalogue's rows for the life of IKE SAs and Child SAs: made, rekeyed, probed, deleted.

No transcript of a CREATE_CHILD_SA exchange was to be had: its rows are inferred from the stack's manner, or unsourced.
"""

from __future__ import annotations

from ikescope.events import life, message, negotiation, router
from ikescope.events.base import Event
from ikescope.ios.catalogue import Line, Row, error, sa

AUTH = 35

SILENT: dict[type[Event], str] = {
    life.StateChanged: "the state machine is traced at level internal",
    life.ChildStateChanged: "the data plane's side of it belongs to debug crypto ipsec",
    life.ChildTraffic: "shown by show crypto ipsec sa",
    life.DuplicateSettled: "the Delete that follows has its own lines",
    life.ConnectDecided: "what it leads to has its own lines",
    life.PathChanged: "IOS follows a NAT without a line",
    life.TaskSkipped: "nothing is sent",
    life.NothingDone: "nothing is done",
    negotiation.KeyNotFound: "told by the failed authentication",
    negotiation.ChoiceRefused: "told by the failed exchange",
    negotiation.GroupRefused: "told by the notify",
    negotiation.ModeRefused: "told by the refused Child SA",
    negotiation.SelectorsExceeded: "told by the failed exchange",
    message.CookieChecked: "told by the COOKIE that follows",
    message.UnprotectedSent: "counts what is answered without a line for each",
    message.UnprotectedWithheld: "nothing is sent",
    life.SessionDown: "told by syslog, not by the debug",
    life.LifetimeChanged: "IOS lets a new lifetime act on the next SA",
    life.ChildSaClosed: "the data plane's side of it belongs to debug crypto ipsec",
    life.LivenessAnswered: "told by the acknowledgement's line",
    life.RetryScheduled: "an SA's own timer",
    message.UnverifiedCounted: "counts what is answered without a line for each",
    router.TrafficMatched: "belongs to debug crypto ipsec",
    router.PacketsHeld: "the data plane's",
    router.PacketsReleased: "the data plane's",
    router.EspDropped: "told by syslog",
    router.EspInstalled: "belongs to debug crypto ipsec",
    router.EspRemoved: "belongs to debug crypto ipsec",
    router.EspSwitched: "belongs to debug crypto ipsec",
    router.PlaneFailed: "told by syslog",
    router.InterfaceUp: "told by syslog",
    router.InterfaceDown: "told by syslog",
    router.InterfaceWaiting: "nothing happens yet",
    router.RecordingStarted: "not the protocol's",
    router.RecordingEnded: "not the protocol's",
    router.ClientLetGo: "not the protocol's",
    router.RouterStarted: "told by syslog",
    router.RouterStopped: "told by syslog",
    router.CommandEntered: "not the protocol's",
    router.ConfigurationChanged: "told by syslog",
}
"""Events that `debug crypto ikev2` has no line for, and why."""

_DELETE_IKE = "DELETE INFO message for IKEv2 SA [ISPI: 0x{spi_i} RSPI: 0x{spi_r}]"
_DELETE_CHILD = "DELETE INFO message for IPsec SA [SPI: {spis}]"

LIFE: tuple[Row, ...] = (
    Row(
        life.IkeSaCreated,
        sa("IKEV2 SA created; inserting SA into database. SA lifetime timer ({lifetime} sec) started"),
        "seen",
        "24, 02",
    ),
    Row(
        life.SessionUp,
        (
            *sa("Session with IKE ID PAIR ({remote_id}, {local_id}) is UP"),
            Line("bare", "IKEv2 MIB tunnel started, tunnel index {index}"),
        ),
        "seen",
        "24",
    ),
    Row(life.DpdStarted, sa("Initializing DPD, configured for {interval} seconds"), "seen", "02"),
    Row(life.KeepaliveStarted, sa("Set NAT keepalive timer {seconds}"), "seen", "03"),
    Row(life.ChildSaCreated, sa("Load IPSEC key material"), "seen", "01, 02; inferred for CREATE_CHILD_SA"),
    Row(
        life.DuplicateChecked,
        sa(
            "Checking for duplicate IKEv2 SA",
            "No duplicate IKEv2 SA found",
            "Starting timer (8 sec) to delete negotiation context",
        ),
        "seen",
        "02",
        when={"found": 0},
        stamp={"initiator": False},
        principal=1,
    ),
    Row(
        life.DuplicateChecked,
        sa("Checking for duplicate IKEv2 SA", "No duplicate IKEv2 SA found"),
        "seen",
        "24",
        when={"found": 0},
        principal=1,
    ),
    Row(
        life.DuplicateChecked,
        sa("Checking for duplicate IKEv2 SA", "Duplicate IKEv2 SA found"),
        "unsourced",
        "",
        principal=1,
    ),
    Row(life.DeleteQueued, sa("Queuing IKE SA delete request reason: {reason}"), "seen", "24"),
    Row(life.DeleteSent, sa("Sending " + _DELETE_CHILD), "seen", "24", when={"kind": "child"}),
    Row(life.DeleteSent, sa("Sending " + _DELETE_IKE), "seen", "24", when={"kind": "ike"}),
    Row(
        life.SaChecked,
        sa("Check for existing active SA", "Delete all IKE SAs"),
        "seen",
        "24, 07",
        when={"active": 0},
    ),
    Row(
        life.SaChecked,
        sa("Check for existing IPSEC SA", "Delete all IKE SAs"),
        "seen",
        "24",
        when={"children": 0},
    ),
    Row(life.SaChecked, sa("Check for existing IPSEC SA"), "inferred", "24 where Child SAs are left"),
    Row(
        life.DeleteReceived,
        sa("Process delete request from peer", "Processing " + _DELETE_CHILD),
        "seen",
        "18, 30",
        when={"kind": "child"},
        principal=1,
    ),
    Row(
        life.DeleteReceived,
        sa("Process delete request from peer", "Processing " + _DELETE_IKE),
        "seen",
        "17, 18",
        when={"kind": "ike"},
        principal=1,
    ),
    Row(life.AckProcessed, sa("Processing ACK to informational exchange"), "seen", "24"),
    Row(life.IkeSaClosed, sa("Deleting SA"), "seen", "24"),
    Row(
        life.RekeyStarted,
        sa("Check for IKE rekey", "Beginning IKE SA rekey [ISPI: 0x{spi_i} RSPI: 0x{spi_r}]"),
        "unsourced",
        "",
        when={"kind": "ike"},
        principal=1,
    ),
    Row(
        life.RekeyStarted,
        sa("Check for IPSEC rekey", "Beginning IPSec SA rekey [SPI: 0x{spi_a}]"),
        "unsourced",
        "",
        when={"kind": "child"},
        principal=1,
    ),
    Row(
        life.ChildStarted,
        sa("Check for IPSEC rekey", "Beginning new IPSec SA negotiation for {tunnel}"),
        "unsourced",
        "",
        principal=1,
    ),
    Row(
        life.RekeyReceived,
        sa("Check for IKE rekey", "Received request to rekey IKE SA [ISPI: 0x{spi_i} RSPI: 0x{spi_r}]"),
        "unsourced",
        "",
        when={"kind": "ike"},
        principal=1,
    ),
    Row(
        life.RekeyReceived,
        sa("Check for IPSEC rekey", "Received request to rekey IPSec SA [SPI: 0x{spi_a}]"),
        "unsourced",
        "",
        when={"kind": "child"},
        principal=1,
    ),
    Row(
        life.RekeyReceived,
        sa("Check for IPSEC rekey", "Received request for a new IPSec SA"),
        "unsourced",
        "",
        when={"kind": "new"},
        principal=1,
    ),
    Row(
        life.IkeSaRekeyed,
        sa(
            "Activating new SA",
            "IKEV2 SA rekeyed; new SA [ISPI: 0x{new_spi_i} RSPI: 0x{new_spi_r}]. "
            "SA lifetime timer ({lifetime} sec) started",
        ),
        "unsourced",
        "`Activating new SA` after the state machine's EV_ACTIVATE_NEW_SA",
        principal=1,
    ),
    Row(
        life.ChildSaRekeyed,
        sa("IPSec SA [SPI: 0x{old_inbound}] rekeyed; new SA [SPI: 0x{new_inbound}]"),
        "unsourced",
        "",
    ),
    Row(
        life.ChildRefused,
        error(""),
        "seen",
        "24: the line stands empty",
        when={"by": "peer", "exchange": AUTH},
    ),
    Row(
        life.ChildRefused,
        error(": Received {notify} notify, IPSec SA not created"),
        "unsourced",
        "",
        when={"by": "peer"},
    ),
    Row(life.ChildRefused, (), "seen", "17: told by the refused proposal", when={"by": "local"}),
    Row(life.LivenessSent, sa("Sending DPD/liveness query"), "unsourced", ""),
    Row(life.LivenessReceived, sa("Received DPD/liveness query"), "unsourced", ""),
    Row(life.TaskFailed, error(": Internal error in {task}"), "unsourced", "a defect of ours; IOS prints a traceback"),
    *(Row(event, (), "inferred", why) for event, why in SILENT.items()),
)
