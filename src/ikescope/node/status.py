"""The data behind each show command, as plain values; layouts are made elsewhere."""

from __future__ import annotations

import msgspec

from ikescope.config.model import Address, Dpd, Identity, InterfaceAddress, TunnelMode
from ikescope.events import SelectorFact
from ikescope.node.statistics import Counts


class IkeSaStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One IKE SA. SPIs are 16 hexadecimal digits, times seconds; `state` an IOS word (READY, IN-NEG, DELETE)."""

    id: int
    session: int
    state: str
    description: str
    local: Address
    local_port: int
    remote: Address
    remote_port: int
    initiator: bool
    encryption: int | None
    key_length: int | None
    prf: int | None
    integrity: int | None
    group: int | None
    auth_local: int | None
    auth_remote: int | None
    lifetime: int
    active: float
    rekey_in: float | None
    spi_local: str
    spi_remote: str
    local_id: Identity | None
    remote_id: Identity | None
    profile: str | None
    local_request_id: int
    remote_request_id: int
    local_window: int
    remote_window: int
    dpd: Dpd | None
    nat_local: bool
    nat_remote: bool
    encapsulated: bool
    last_heard: float
    children: tuple[int, ...]
    fragment_octets: int | None = None
    """The largest IKE message that is sent whole; None where fragmentation was not agreed."""


class Counters(msgspec.Struct, frozen=True, gc=False):
    """Packets and octets of an ESP SA, and what it dropped."""

    packets: int = 0
    octets: int = 0
    dropped: int = 0


class ChildSaStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One Child SA: its two ESP SAs, selectors as this router sees them, times in seconds."""

    id: int
    ike: int
    tunnel: str
    index: int
    state: str
    inbound: int
    outbound: int
    encryption: int
    key_length: int | None
    integrity: int | None
    esn: bool
    group: int | None
    transport: bool
    udp: bool
    local_address: Address
    local_port: int
    remote_address: Address
    remote_port: int
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    lifetime: int
    active: float
    remaining: float
    kilobytes: int | None
    replay_window: int
    received: Counters = Counters()
    sent: Counters = Counters()
    cleared_in: tuple[int, int] = (0, 0)
    """Packets and octets received before `clear crypto sa counters`: shows count from there."""
    cleared_out: tuple[int, int] = (0, 0)
    drops: tuple[tuple[str, int], ...] = ()
    """Discarded packets of its ESP SAs, and ESP from its peer to no SA, by reason."""


class TunnelStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tunnel interface; `up` its line protocol.

    `mtu` is its own, `path_mtu` that of the way to the peer as the data plane knows it, `link_mtu` that of the
    interface which the way begins with; 1500 until it is known better.
    """

    name: str
    up: bool
    admin_down: bool
    addresses: tuple[InterfaceAddress, ...]
    source: Address | None
    destination: Address | None
    mode: TunnelMode
    ipsec_profile: str | None
    profile: str | None
    mtu: int
    path_mtu: int = 1500
    link_mtu: int = 1500
    selectors: tuple[tuple[tuple[SelectorFact, ...], tuple[SelectorFact, ...]], ...]
    held: int = 0


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at a prompt of the router; `line`: `con 0`, or `vty 3` over SSH; `idle`: seconds since the last line."""

    user: str
    line: str
    address: str = ""
    level: int
    idle: float = 0.0

    @property
    def who(self) -> str:
        """What they are called in events."""
        return f"{self.user} on {self.line.replace(' ', '')} ({self.address})" if self.address else self.user


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole router at one moment."""

    hostname: str
    uptime: float
    wall: float
    plane: str
    ike: tuple[IkeSaStatus, ...]
    children: tuple[ChildSaStatus, ...]
    tunnels: tuple[TunnelStatus, ...]
    counts: Counts = Counts()
    operators: tuple[Operator, ...] = ()
    ssh_port: int | None = None
