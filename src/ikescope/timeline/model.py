"""What a timeline holds: messages, exchanges, IKE SAs, Child SAs, seen from one router each. All frozen values.

Times are the monotonic seconds of the records. A fact that no record told is UNSET.
"""

from __future__ import annotations

import msgspec

from ikescope.events import UNSET, DumpedFact, IdentityFact, ProposalFact, Record, SelectorFact, UnsetType

#: (router, initiator's SPI as 16 hexadecimal digits): an IKE SA as one router sees it.
SaKey = tuple[str, str]
#: (router, inbound SPI as 8 hexadecimal digits): a Child SA as one router sees it.
ChildKey = tuple[str, str]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message at one router: sent or received, first time (`repeat` 0) or again.

    `payloads` stand in the clear, `inner` inside the Encrypted payload; `size` in octets of the IKE message, the sum of
    its `fragments` where it went in several datagrams; `local` and `remote` are empty where the source lacks them;
    `file` and `line` are Stamp's `source` and `line`.
    """

    seq: int
    mono: float
    wall: float
    router: str
    sent: bool
    exchange: int
    response: bool
    local: str
    remote: str
    payloads: tuple[str, ...] | UnsetType
    inner: tuple[str, ...] | UnsetType
    size: int | UnsetType
    repeat: int
    spi_i: str | UnsetType = UNSET
    spi_r: str | UnsetType = UNSET
    message_id: int | UnsetType = UNSET
    octets: bytes | UnsetType = UNSET
    opened: bytes | UnsetType = UNSET
    opened_first: int | UnsetType = UNSET
    fragments: tuple[int, ...] = ()
    dumped: tuple[DumpedFact, ...] | UnsetType = UNSET
    file: str | UnsetType = UNSET
    line: int | UnsetType = UNSET
    point: str | UnsetType = UNSET
    """Where a capture was taken that tells of it; absent where the router itself does."""

    @property
    def source(self) -> str:
        """Where it came from, as address:port."""
        return self.local if self.sent else self.remote

    @property
    def destination(self) -> str:
        """Where it went, as address:port."""
        return self.remote if self.sent else self.local


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request with its response. `ours`: this router asked. `purpose` says what it was for, in a few words.

    `result` is empty while it runs, then "done", the name of the error notify, or "no answer".
    `messages` and `octets` count every datagram, retransmissions too; `milliseconds` from the first request to the
    response, None without one.
    """

    number: int
    sa: SaKey
    exchange: int
    message_id: int | UnsetType
    ours: bool
    purpose: str = ""
    request: Message | None = None
    response: Message | None = None
    retransmissions: int = 0
    messages: int = 0
    octets: int = 0
    result: str = ""

    @property
    def milliseconds(self) -> float | None:
        """From the first sending of the request to the response, at this router."""
        if self.request is None or self.response is None or not (self.request.wall or self.response.wall):
            return None
        return (self.response.mono - self.request.mono) * 1000


class ChildSa(msgspec.Struct, frozen=True, kw_only=True):
    """One Child SA: SPIs as 8 hexadecimal digits; `inbound` is this router's own choice, `outbound` the peer's.

    Where the source does not tell the inbound SPI (a debug text), `inbound` is `?` and a number. `rekey_at` is when
    this router begins to replace it, `expires_at` when its lifetime is over. The counters are those last told, at
    `counted_at`; `dropped` counts packets that its ESP SAs discarded.
    """

    sa: SaKey
    inbound: str
    outbound: str | UnsetType
    tunnel: str | UnsetType
    transport: bool | UnsetType
    encryption: int | UnsetType
    key_length: int | UnsetType | None
    integrity: int | UnsetType | None
    group: int | UnsetType | None
    udp: bool | UnsetType
    local: tuple[SelectorFact, ...] | UnsetType
    remote: tuple[SelectorFact, ...] | UnsetType
    lifetime: int | UnsetType
    kilobytes: int | UnsetType | None
    exchange: int | UnsetType
    created: float
    replaces: str | None = None
    replaced_by: str | None = None
    closed: float | None = None
    reason: str = ""
    cause: str = ""
    state: str = ""
    rekey_at: float | UnsetType = UNSET
    expires_at: float | UnsetType = UNSET
    packets_in: int | UnsetType = UNSET
    octets_in: int | UnsetType = UNSET
    packets_out: int | UnsetType = UNSET
    octets_out: int | UnsetType = UNSET
    counted_at: float | UnsetType = UNSET
    dropped: int = 0

    @property
    def key(self) -> ChildKey:
        """Its key in the timeline."""
        return (self.sa[0], self.inbound)

    @property
    def told(self) -> bool:
        """Whether the source tells its inbound SPI."""
        return not self.inbound.startswith("?")

    @property
    def up(self) -> bool:
        """Whether it still stands."""
        return self.closed is None


class IkeSa(msgspec.Struct, frozen=True, kw_only=True):
    """One IKE SA at one router, from its first record to its end.

    `state` is IN-NEG, READY or DELETED, the IOS words, `phase` the engine's; `children` the inbound SPIs that it holds
    or held. `failures` are the records that say why something was refused or given up, in order, the first and the
    latest of many. `rekey_at` is when this router begins to replace it, `expires_at` when its lifetime is over.
    """

    router: str
    spi_i: str
    spi_r: str | UnsetType = UNSET
    family: int
    number: int | UnsetType = UNSET
    session: int | UnsetType = UNSET
    local: str | UnsetType = UNSET
    peer: str | UnsetType = UNSET
    initiator: bool | UnsetType = UNSET
    state: str = "IN-NEG"
    offered: tuple[ProposalFact, ...] | UnsetType = UNSET
    chosen: ProposalFact | UnsetType = UNSET
    local_id: IdentityFact | UnsetType = UNSET
    remote_id: IdentityFact | UnsetType = UNSET
    lifetime: int | UnsetType = UNSET
    behind_nat: str = ""
    rekeyed_from: str | None = None
    superseded_by: str | None = None
    begun: float = 0.0
    created: float | None = None
    closed: float | None = None
    reason: str = ""
    cause: str = ""
    phase: str = ""
    rekey_at: float | UnsetType = UNSET
    expires_at: float | UnsetType = UNSET
    retransmissions: int = 0
    children: tuple[str, ...] = ()
    failures: tuple[Record, ...] = ()

    @property
    def key(self) -> SaKey:
        """Its key in the timeline."""
        return (self.router, self.spi_i)


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """An IKE SA and those that replaced it (RFC 7296 section 2.18): initiator's SPIs, oldest first."""

    number: int
    router: str
    members: tuple[str, ...]


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """One tunnel interface at one router: whether it is up, since when, what it last decided and how it last ended."""

    router: str
    name: str
    up: bool = False
    since: float | None = None
    children: int = 0
    wish: str = ""
    last_cause: str = ""
    last_reason: str = ""


class Offset(msgspec.Struct, frozen=True, kw_only=True):
    """How far the wall clock of router `other` is ahead of that of `router`, in seconds, give or take `uncertainty`.

    Out of `messages` that both saw. `consistent` is False where no one offset fits them all: a clock was set, or runs
    at another speed.
    """

    router: str
    other: str
    seconds: float
    uncertainty: float
    messages: int
    consistent: bool = True


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is new since a generation: keys of what was made or changed, and of what was forgotten, latest first.

    `complete` is False where that generation is too long ago to tell what was forgotten since: read everything anew.
    """

    generation: int
    complete: bool = True
    ike: tuple[SaKey, ...] = ()
    children: tuple[ChildKey, ...] = ()
    exchanges: tuple[int, ...] = ()
    families: tuple[int, ...] = ()
    tunnels: tuple[tuple[str, str], ...] = ()
    forgotten: tuple[tuple[str, object], ...] = ()


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much a timeline keeps of what is over: IKE SAs that ended (with Child SAs, exchanges and messages), Child
    SAs that ended under one IKE SA, exchanges of one IKE SA (with their messages).

    An IKE SA whose number another one has is over, its end told or not. `ike_sas` are those of all states (None: as
    many as there are): beyond them the one that was silent longest is forgotten. `loose` are the numbers of IKE SAs
    that nothing else is known of, whose records are kept.
    """

    closed_sas: int = 256
    closed_children: int = 16
    exchanges: int = 128
    ike_sas: int | None = None
    loose: int = 256
