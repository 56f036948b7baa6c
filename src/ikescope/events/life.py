"""Events in the life of an IKE SA and its Child SAs: made, rekeyed, probed, closed."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from ikescope.events.base import UNSET, Event, IdentityFact, SelectorFact, UnsetType


class CloseReason(StrEnum):
    """Every reason for which an IKE SA or a Child SA ends; the words of the case at hand stand beside it."""

    CLEARED = "cleared by the operator"
    STOPPED = "the router stops"
    SHUT_DOWN = "the tunnel was shut down"
    LIFETIME = "its lifetime ended"
    IDLE = "no traffic for its idle time"
    REKEYED = "replaced by a rekey"
    REAUTHENTICATED = "replaced by a reauthentication"
    REDUNDANT = "one of two that were made at once"
    ORPHANED = "replaced, and the peer never deleted it"
    WITH_IKE_SA = "its IKE SA ended"
    PEER_DELETED = "the peer deleted it"
    PEER_REFUSED = "the peer refused what we asked"
    PEER_RESTARTED = "the peer began anew"
    PEER_FORGOT = "the peer no longer has it"
    SILENCE = "the peer does not answer"
    NEVER_CAME = "the peer did not go on in time"
    NOT_AUTHENTICATED = "an end is not who it should be"
    NOT_AGREED = "what the peer sent is not acceptable"
    NO_SENSE = "what the peer sent makes no sense"
    OUT_OF_STEP = "both ends are out of step"
    CONFIGURATION = "the configuration does not allow it"
    PLANE = "the data plane refused it"
    DEFECT = "a defect of ours"


class SaInserted(Event, tag="ike.inserted"):
    """An IKE SA under negotiation entered the table."""


class StateChanged(Event, tag="ike.state", level="detail"):
    """The IKE SA went from one state to another."""

    before: str
    after: str
    trigger: str


class ChildStateChanged(Event, tag="child.state", level="detail"):
    """A Child SA went from one state to another; SPIs as in ChildSaCreated."""

    inbound: str
    outbound: str
    before: str
    after: str
    trigger: str


class IkeSaCreated(Event, tag="ike.created"):
    """The IKE SA is authenticated and lives for `lifetime` seconds; suite as (type, id, key length) text.

    `rekey_in`: seconds until we begin to replace it ourselves.
    """

    lifetime: int
    suite: str
    initiator: bool
    rekey_in: float | UnsetType = UNSET


class SessionUp(Event, tag="session.up"):
    """Both ends are known to each other: remote and local identity."""

    local: IdentityFact
    remote: IdentityFact
    index: int


class SessionDown(Event, tag="session.down", level="notice"):
    """The last IKE SA of a session ended, for this reason and `cause`."""

    reason: str
    cause: CloseReason
    local: IdentityFact | UnsetType = UNSET
    remote: IdentityFact | UnsetType = UNSET


class DuplicateChecked(Event, tag="ike.duplicate_checked"):
    """Whether another IKE SA to the same identity exists; `found` counts them."""

    found: int


class DuplicateSettled(Event, tag="ike.duplicate_settled", level="notice", rfc="RFC 7296 section 2.8.1"):
    """Both ends began at once: of the two IKE SAs to one identity we delete ours, or keep both, and why.

    SPIs are the initiators'; `closed` is absent where both stay.
    """

    kept: str
    why: str
    closed: str | UnsetType = UNSET


class DpdStarted(Event, tag="dpd.started", rfc="RFC 7296 section 2.4"):
    """Liveness checks are on: after `interval` seconds without traffic from the peer, retried every `retry`."""

    interval: int
    retry: int
    on_demand: bool


class KeepaliveStarted(Event, tag="nat.keepalive", rfc="RFC 3948 section 2.3"):
    """NAT keepalives go out every `seconds` seconds."""

    seconds: int


class LifetimeChanged(Event, tag="ike.lifetime"):
    """A changed configuration acts on the running SA: lifetimes in seconds, seconds left till rekey."""

    kind: Literal["ike", "child"]
    before: int
    after: int
    rekey_in: float
    spi: str | UnsetType = UNSET


class RekeyStarted(Event, tag="rekey.started", rfc="RFC 7296 section 2.8"):
    """We begin to replace an IKE SA or a Child SA; the SPIs are the old ones (IKE: initiator's and responder's;
    Child SA: inbound and outbound).
    """

    kind: Literal["ike", "child"]
    spi_a: str
    spi_b: str
    trigger: str


class ChildStarted(Event, tag="child.started", rfc="RFC 7296 section 1.3.1"):
    """We ask for one more Child SA within an IKE SA."""

    tunnel: str
    trigger: str


class RekeyReceived(Event, tag="rekey.received", rfc="RFC 7296 section 2.8"):
    """The peer asks to replace an IKE SA or a Child SA, or for a new Child SA (`new`)."""

    kind: Literal["ike", "child", "new"]
    spi_a: str | UnsetType = UNSET
    spi_b: str | UnsetType = UNSET


class IkeSaRekeyed(Event, tag="ike.rekeyed", rfc="RFC 7296 section 2.18"):
    """A new IKE SA stands in for an old one and holds its `children` Child SAs. `initiator`: we began the
    rekey; who began it deletes the old SA. `rekey_in`: seconds until we replace the new one.
    """

    old_spi_i: str
    old_spi_r: str
    new_spi_i: str
    new_spi_r: str
    initiator: bool
    children: int
    lifetime: int
    rekey_in: float | UnsetType = UNSET


class ReauthenticationStarted(Event, tag="reauth.started", level="notice", rfc="RFC 7296 section 2.8.3"):
    """We begin to authenticate anew: a new IKE SA for the `children` Child SAs of this one, before this one ends."""

    children: int


class Reauthenticated(Event, tag="reauth.completed", level="notice", rfc="RFC 7296 section 2.8.3"):
    """The new IKE SA has its own `children` and their traffic; the old one, of these SPIs, is deleted now."""

    old_spi_i: str
    old_spi_r: str
    children: int


class ReauthenticationFailed(Event, tag="reauth.failed", level="error", rfc="RFC 7296 section 2.8.3"):
    """No new IKE SA took this one's place: it carries on until its lifetime ends in `ends_in` seconds and is not
    rekeyed; another attempt follows in `again_in` seconds.
    """

    why: str
    again_in: float
    ends_in: float


class ChildSaCreated(Event, tag="child.created", rfc="RFC 7296 section 2.17"):
    """A Child SA's keys exist and its ESP SAs go to the data plane.

    `inbound` is the SPI we chose and the peer writes into what it sends us, `outbound` the peer's; `rekeys` the inbound
    SPI of the Child SA that this one replaces. `encryption` and `integrity` are IANA numbers, `key_length` in bits.
    `rekey_in`: seconds until we begin to replace it ourselves.
    """

    inbound: str
    outbound: str
    tunnel: str
    transport: bool
    encryption: int
    key_length: int | None
    integrity: int | None
    esn: bool
    group: int | None
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    lifetime: int
    kilobytes: int | None
    udp: bool
    exchange: int
    initiator: bool
    rekeys: str | UnsetType = UNSET
    rekey_in: float | UnsetType = UNSET


class ChildSaRekeyed(Event, tag="child.rekeyed", rfc="RFC 7296 section 2.8"):
    """Traffic moved from an old Child SA to its replacement; whoever began the rekey deletes the old one."""

    old_inbound: str
    old_outbound: str
    new_inbound: str
    new_outbound: str
    initiator: bool


class ChildRefused(Event, tag="child.refused", level="error", rfc="RFC 7296 section 1.2"):
    """A Child SA was not made; the IKE SA stands. `by`: who refused."""

    by: Literal["local", "peer"]
    notify: int
    exchange: int
    tunnel: str | UnsetType = UNSET


class ChildSaClosed(Event, tag="child.closed", rfc="RFC 7296 section 1.4.1"):
    """A Child SA ended after `seconds`: `cause` is one of a closed list, `reason` says the case in words.

    Counters of its life (packets, octets that ESP protected) as far as the plane reported them; `EspRemoved` has the
    last word.
    """

    inbound: str
    outbound: str
    tunnel: str
    reason: str
    cause: CloseReason
    seconds: float | UnsetType = UNSET
    packets_in: int | UnsetType = UNSET
    octets_in: int | UnsetType = UNSET
    packets_out: int | UnsetType = UNSET
    octets_out: int | UnsetType = UNSET


class ChildTraffic(Event, tag="child.traffic", level="detail", rfc="RFC 4303 section 3.3.3"):
    """What passed a Child SA since it was made: told when traffic begins and then at most twice a minute.

    Packets, octets that ESP protected; SPIs as in ChildSaCreated.
    """

    inbound: str
    outbound: str
    tunnel: str
    packets_in: int
    octets_in: int
    packets_out: int
    octets_out: int


class DeleteQueued(Event, tag="delete.queued"):
    """An IKE SA is to be deleted, for this reason and `cause`."""

    reason: str
    cause: CloseReason


class DeleteSent(Event, tag="delete.sent", rfc="RFC 7296 section 1.4.1"):
    """We ask the peer to drop an IKE SA or Child SAs (the SPIs are our inbound ones)."""

    kind: Literal["ike", "child"]
    spis: tuple[str, ...]


class DeleteReceived(Event, tag="delete.received", rfc="RFC 7296 section 1.4.1"):
    """The peer drops an IKE SA or Child SAs (the SPIs are the peer's inbound ones; `unknown` those not held here)."""

    kind: Literal["ike", "child"]
    spis: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class AckProcessed(Event, tag="informational.ack"):
    """The response to an INFORMATIONAL request of ours was taken."""


class SaChecked(Event, tag="ike.checked", level="detail"):
    """After a delete was queued, or came from the peer (`by`): what is still there of this session."""

    children: int
    active: int
    by: Literal["local", "peer"] = "local"


class LivenessSent(Event, tag="liveness.sent", rfc="RFC 7296 section 2.4"):
    """An empty INFORMATIONAL request asks whether the peer is alive; seconds since it was last heard, and who asks:
    dpd, operator, or an error notify that no key protects (hint).
    """

    silent: float
    trigger: Literal["dpd", "operator", "hint"] | UnsetType = UNSET


class LivenessAnswered(Event, tag="liveness.answered", rfc="RFC 7296 section 2.4"):
    """The peer is alive."""

    milliseconds: float


class LivenessReceived(Event, tag="liveness.received", rfc="RFC 7296 section 1.4"):
    """The peer asked whether we are alive."""


class IkeSaClosed(Event, tag="ike.closed"):
    """An IKE SA ended, with everything under it: `cause` is one of a closed list, `reason` says the case in words."""

    reason: str
    seconds: float
    cause: CloseReason


class RetryScheduled(Event, tag="retry.scheduled", level="notice", rfc="RFC 7296 section 2.25"):
    """What the peer cannot do now is tried again in `seconds` seconds."""

    what: str
    seconds: float


class ConnectDecided(Event, tag="connect.decided", level="detail"):
    """What becomes of the wish for a Child SA: `begin` an IKE SA, ask within one that stands (`ask`), wait for one that
    is being made (`wait`), `pending` already, `held` off after a failed attempt, `refused` by configuration or a limit.
    """

    tunnel: str
    index: int
    trigger: str
    decision: Literal["begin", "ask", "wait", "pending", "held", "refused"]
    why: str = ""
    seconds: float | UnsetType = UNSET


class PathChanged(Event, tag="nat.path", level="notice", rfc="RFC 7296 section 2.23"):
    """A verified message came from another address or port: `followed` from now on, or not and why.

    All four are address:port.
    """

    local_before: str
    remote_before: str
    local: str
    remote: str
    followed: bool
    why: str = ""


class TaskSkipped(Event, tag="task.skipped", level="detail"):
    """What was to be asked of the peer is no longer wanted when its turn comes."""

    task: str
    why: str


class NothingDone(Event, tag="engine.nothing_done", level="detail"):
    """What an operator, the configuration or the data plane told changed nothing, and why."""

    what: str
    why: str


class TaskFailed(Event, tag="bug.task", level="bug"):
    """A defect of ours ended a task; its window slot is free, nothing half-done remains, nothing was answered."""

    task: str
    traceback: str
