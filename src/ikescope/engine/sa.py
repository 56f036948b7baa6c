"""What the engine holds about an IKE SA and its Child SAs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ikescope.config.model import Address, Dpd, Identity, Profile, Proposal
from ikescope.crypto.envelope import Envelope
from ikescope.crypto.key_exchange import KeyExchange
from ikescope.crypto.keys import IkeKeys
from ikescope.crypto.suites import EspSuite, IkeSuite
from ikescope.engine.commands import Connect, Destination
from ikescope.engine.fragments import Reassembly
from ikescope.engine.states import ChildState, IkeState
from ikescope.engine.task import Task
from ikescope.engine.timers import Timer
from ikescope.engine.window import RequestWindow, ResponseWindow
from ikescope.events import SelectorFact


@dataclass(slots=True, eq=False)
class ChildSa:
    """One Child SA: two ESP SAs. `inbound` is the SPI that we chose, `outbound` the peer's, both as numbers."""

    id: int
    tunnel: str
    index: int
    inbound: int
    outbound: int
    suite: EspSuite
    transport: bool
    udp: bool
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    initiator: bool
    created: float
    lifetime: int
    kilobytes: int | None
    replay_window: int
    nonces: tuple[bytes, bytes]
    soft_factor: float
    state: ChildState = ChildState.CREATED
    outbound_active: bool = False
    outbound_installed: bool = False
    more: bool = True
    """Another Child SA may carry what this one, narrowed, does not (ADDITIONAL_TS_POSSIBLE, or the peer asked)."""
    resource: int | None = None
    """Our number of the resource that it is for, 0 for what all may use; None where none were agreed (RFC 9611)."""
    replaces: int | None = None
    replaced_by: int | None = None
    soft: Timer | None = None
    hard: Timer | None = None
    idle: Timer | None = None
    idle_time: int | None = None
    """Seconds without a packet either way after which it is deleted."""
    idle_since: float = 0.0
    """From when it counts where it carried nothing itself: its birth, or what the one before it carried last."""
    last_in: float = 0.0
    last_out: float = 0.0
    received: tuple[int, int] = (0, 0)
    """Packets and octets that came in, as the plane last told."""
    sent: tuple[int, int] = (0, 0)
    traffic_due: float = 0.0
    """From when on its traffic may be told again."""


@dataclass(slots=True)
class Crossing:
    """The peer's rekey of the same SA, answered while ours was in flight: its nonces and what it made."""

    nonces: tuple[bytes, bytes]
    successor: IkeSa | ChildSa


@dataclass(slots=True, eq=False)
class IkeSa:
    """One IKE SA. `spi_i` and `spi_r` are 8 octets; `id` and `session` the numbers that IOS prints."""

    id: int
    session: int
    initiator: bool
    path: Destination
    spi_i: bytes
    spi_r: bytes
    created: float
    state: IkeState
    out: RequestWindow
    into: ResponseWindow
    proposals: tuple[Proposal, ...] = ()
    profile: Profile | None = None
    suite: IkeSuite | None = None
    keys: IkeKeys | None = None
    envelope: Envelope | None = None
    exchange: KeyExchange | None = None
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    request: bytes = b""
    response: bytes = b""
    local_id: Identity | None = None
    remote_id: Identity | None = None
    established: float | None = None
    lifetime: int = 0
    soft_factor: float = 0.0
    last_heard: float = 0.0
    nat_local: bool = False
    nat_remote: bool = False
    encapsulated: bool = False
    peer_is_ikescope: bool = False
    told_invalid_spi: float = -3600.0
    dpd: Dpd | None = None
    children: dict[int, ChildSa] = field(default_factory=dict)
    tasks: deque[Task] = field(default_factory=deque)
    later: list[Task] = field(default_factory=list)
    """What the peer could not do when it was asked, and what will be asked again."""
    wants: list[Connect] = field(default_factory=list)
    timers: dict[str, Timer] = field(default_factory=dict)
    replaces: IkeSa | None = None
    replaced_by: IkeSa | None = None
    authenticated: float = 0.0
    """When its peers, or those of the IKE SA that it was rekeyed from, proved themselves."""
    reauthenticates: IkeSa | None = None
    """The IKE SA that ends once this one, begun from scratch, has all its Child SAs (RFC 7296 section 2.8.3)."""
    overdue: bool = False
    """A reauthentication failed: nothing prolongs this IKE SA beyond its lifetime."""
    crossing: Crossing | None = None
    child_crossings: dict[int, Crossing] = field(default_factory=dict)
    hint: str = ""
    refusals: int = 0
    early_deletes: set[int] = field(default_factory=set)
    first_seen: tuple[Address, int, bytes] | None = None
    proven: bool = False
    """Its IKE_SA_INIT request returned a cookie of ours: the peer's address is no forgery."""
    peer: Address | None = None
    """Where the configuration says that the peer is; `path` follows it when a NAT moves it."""
    hinted: float = float("-inf")
    """When an unprotected error notify last made us ask whether the peer lives."""
    passed_by: Destination | None = None
    """The last path that a verified message came by and that was not followed."""
    fragment_mtu: int | None = None
    """The packet size above which our messages go in fragments; None: the two did not agree on RFC 7383."""
    reassembly: Reassembly = field(default_factory=Reassembly)
    childless: bool = False
    """The peer said that it takes IKE_AUTH without a Child SA, or we did (RFC 6023)."""

    @property
    def ends(self) -> tuple[str, str]:
        """`address:port` of both ends, local first."""
        shown = self.shown
        _, _, local, peer, _, _ = shown if shown is not None and shown[0] is self.path else self.show()
        return local, peer

    shown: tuple[Destination, bytes, str, str, str, str] | None = None
    """What `show` made last."""

    def show(self) -> tuple[Destination, bytes, str, str, str, str]:
        """Path and responder's SPI, and what stamps say of them: both ends as `address:port`, both SPIs; made once for
        a path and an SPI, for every event says them.
        """
        path = self.path
        local, peer = f"{path.local}:{path.local_port}", f"{path.remote}:{path.remote_port}"
        shown = self.shown = path, self.spi_r, local, peer, self.spi_i.hex(), self.spi_r.hex()
        return shown

    @property
    def local_spi(self) -> bytes:
        """The SPI that we chose."""
        return self.spi_i if self.initiator else self.spi_r

    @property
    def remote_spi(self) -> bytes:
        """The SPI that the peer chose; zeros while unknown."""
        return self.spi_r if self.initiator else self.spi_i

    def child_by_outbound(self, spi: int) -> ChildSa | None:
        """The Child SA whose outbound SPI, the one that the peer names in Delete and REKEY_SA, is `spi`."""
        return next((child for child in self.children.values() if child.outbound == spi), None)
