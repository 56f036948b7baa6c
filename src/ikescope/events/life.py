"""Events in the life of an IKE SA and its Child SAs: made, rekeyed, probed, closed."""

from __future__ import annotations

from typing import Literal

from ikescope.events.base import UNSET, Event, IdentityFact, SelectorFact, UnsetType


class SaInserted(Event, tag="ike.inserted"):
    """An IKE SA under negotiation entered the table."""


class StateChanged(Event, tag="ike.state", level="detail"):
    """The IKE SA went from one state to another."""

    before: str
    after: str
    trigger: str


class IkeSaCreated(Event, tag="ike.created"):
    """The IKE SA is authenticated and lives for `lifetime` seconds; suite as (type, id, key length) text."""

    lifetime: int
    suite: str
    initiator: bool


class SessionUp(Event, tag="session.up"):
    """Both ends are known to each other: remote and local identity."""

    local: IdentityFact
    remote: IdentityFact
    index: int


class SessionDown(Event, tag="session.down", level="notice"):
    """The last IKE SA of a session ended."""

    reason: str
    local: IdentityFact | UnsetType = UNSET
    remote: IdentityFact | UnsetType = UNSET


class DuplicateChecked(Event, tag="ike.duplicate_checked"):
    """Whether another IKE SA to the same identity exists; `found` counts them."""

    found: int


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
    rekey; who began it deletes the old SA.
    """

    old_spi_i: str
    old_spi_r: str
    new_spi_i: str
    new_spi_r: str
    initiator: bool
    children: int
    lifetime: int


class ChildSaCreated(Event, tag="child.created", rfc="RFC 7296 section 2.17"):
    """A Child SA's keys exist and its ESP SAs go to the data plane.

    `inbound` is the SPI we chose and the peer writes into what it sends us, `outbound` the peer's; `rekeys` the inbound
    SPI of the Child SA that this one replaces. `encryption` and `integrity` are IANA numbers, `key_length` in bits.
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
    """A Child SA ended; counters of its life, as far as the plane reported them."""

    inbound: str
    outbound: str
    tunnel: str
    reason: str


class DeleteQueued(Event, tag="delete.queued"):
    """An IKE SA is to be deleted, for this reason."""

    reason: str


class DeleteSent(Event, tag="delete.sent", rfc="RFC 7296 section 1.4.1"):
    """We ask the peer to drop an IKE SA or Child SAs (the SPIs are our inbound ones)."""

    kind: Literal["ike", "child"]
    spis: tuple[str, ...]


class DeleteReceived(Event, tag="delete.received", rfc="RFC 7296 section 1.4.1"):
    """The peer drops an IKE SA or Child SAs (the SPIs are the peer's inbound ones)."""

    kind: Literal["ike", "child"]
    spis: tuple[str, ...]


class AckProcessed(Event, tag="informational.ack"):
    """The response to an INFORMATIONAL request of ours was taken."""


class SaChecked(Event, tag="ike.checked", level="detail"):
    """After a delete was queued: what is still there of this session."""

    children: int
    active: int


class LivenessSent(Event, tag="liveness.sent", rfc="RFC 7296 section 2.4"):
    """An empty INFORMATIONAL request asks whether the peer is alive; seconds since it was last heard."""

    silent: float


class LivenessAnswered(Event, tag="liveness.answered", rfc="RFC 7296 section 2.4"):
    """The peer is alive."""

    milliseconds: float


class LivenessReceived(Event, tag="liveness.received", rfc="RFC 7296 section 1.4"):
    """The peer asked whether we are alive."""


class IkeSaClosed(Event, tag="ike.closed"):
    """An IKE SA ended, with everything under it; `reason` is always set."""

    reason: str
    seconds: float


class RetryScheduled(Event, tag="retry.scheduled", level="notice", rfc="RFC 7296 section 2.25"):
    """What the peer cannot do now is tried again in `seconds` seconds."""

    what: str
    seconds: float


class TaskFailed(Event, tag="bug.task", level="bug"):
    """A defect of ours ended a task; its window slot is free, nothing half-done remains, nothing was answered."""

    task: str
    traceback: str
