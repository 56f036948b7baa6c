"""The engine's surface as data: what it is asked (intents), what it asks for (commands), what it is told (reports)."""

from __future__ import annotations

from typing import Literal

import msgspec

from ikescope.config.model import Address
from ikescope.crypto.keys import IkeKeys
from ikescope.crypto.suites import EspSuite, IkeSuite
from ikescope.events import Record, SelectorFact
from ikescope.events.life import CloseReason


class Destination(msgspec.Struct, frozen=True):
    """A path of datagrams: local address and port, remote address and port."""

    local: Address
    local_port: int
    remote: Address
    remote_port: int


class Send(msgspec.Struct, frozen=True):
    """One IKE message to send. On port 4500 the sender puts the non-ESP marker (four zero octets) before `octets`,
    except before a NAT keepalive (`octets` of length 1, 0xFF).
    """

    octets: bytes
    path: Destination


class EspKeys(msgspec.Struct, frozen=True):
    """Key material of one direction; prints nothing."""

    encryption: bytes
    integrity: bytes

    def __repr__(self) -> str:
        return f"<ESP keys, {len(self.encryption)}+{len(self.integrity)} octets>"


class InstallSa(msgspec.Struct, frozen=True, kw_only=True):
    """Install one ESP SA. An outbound one carries no traffic until SwitchOutbound names it.

    `spi` is 4 octets big-endian as a number. `path` is the outer path; `udp` wraps ESP in UDP on its ports (RFC 3948).
    `local` and `remote` are the selectors as this router sees them; `transport` tells the ESP mode. `index` numbers the
    Child SA in its tunnel (selector position), `reqid` is equal for both directions of one Child SA. Its lifetime in
    seconds is the engine's to keep: a plane that outlives the engine ends the SA by itself some time after. Outbound
    ones that differ in `resource` alone may all carry the traffic, flow by flow, once switched to (RFC 9611).
    """

    spi: int
    direction: Literal["in", "out"]
    suite: EspSuite
    keys: EspKeys
    path: Destination
    udp: bool
    transport: bool
    tunnel: str
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    reqid: int
    replay_window: int
    lifetime_kilobytes: int | None
    lifetime_seconds: int | None = None
    replaces: int | None = None
    resource: int | None = None


class SwitchOutbound(msgspec.Struct, frozen=True):
    """From now on the tunnel's traffic for these selectors leaves by this outbound SA; held packets go out."""

    spi: int
    remote: Address
    tunnel: str


class RemoveSa(msgspec.Struct, frozen=True):
    """Take an ESP SA out. `remote` tells outbound SPIs of different peers apart."""

    spi: int
    direction: Literal["in", "out"]
    remote: Address
    tunnel: str


class ReleaseHeld(msgspec.Struct, frozen=True):
    """The negotiation for a tunnel ended without an SA: packets held for it are dropped and counted."""

    tunnel: str
    reason: str


class UpdatePath(msgspec.Struct, frozen=True):
    """The peer is now reached by another path (port float, NAT rebinding): outbound SAs to it follow."""

    spi: int
    tunnel: str
    path: Destination
    udp: bool


class KeysReady(msgspec.Struct, frozen=True):
    """The keys of an IKE SA exist. Whoever drains the commands forgets them unless the user asked for a key file."""

    spi_i: bytes
    spi_r: bytes
    suite: IkeSuite
    keys: IkeKeys


Emit = Record
"""A record for the stream of events: the one command that is its own content, for there are many of them."""


Command = Send | InstallSa | SwitchOutbound | RemoveSa | ReleaseHeld | UpdatePath | KeysReady | Emit


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """Bring a tunnel's Child SA up for selector `index` (position in the tunnel's selectors).

    `packet` is the packet's own selector pair (local, remote), put first into TSi and TSr (RFC 7296 section 2.9).
    """

    tunnel: str
    index: int = 0
    packet: tuple[SelectorFact, SelectorFact] | None = None
    trigger: str = "traffic"


class Rekey(msgspec.Struct, frozen=True, kw_only=True):
    """Rekey an IKE SA (by its IOS SA id) or a Child SA (by its inbound SPI)."""

    sa: int | None = None
    spi: int | None = None
    trigger: str = "operator"


class Clear(msgspec.Struct, frozen=True, kw_only=True):
    """Delete IKE SAs: all, or those of a remote or local address; `fast` tells no peer. `reason`: why, in words."""

    remote: Address | None = None
    local: Address | None = None
    fast: bool = False
    cause: CloseReason = CloseReason.CLEARED
    reason: str = ""


class ClearChild(msgspec.Struct, frozen=True, kw_only=True):
    """Delete Child SAs: one by its inbound SPI, or all (None)."""

    spi: int | None = None
    cause: CloseReason = CloseReason.CLEARED


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """Ask whether the peer of an IKE SA is alive (None: all)."""

    sa: int | None = None


class ClearStatistics(msgspec.Struct, frozen=True):
    """Count anew: `ikev2` messages and notifies; ESP from `traffic` on, packets and octets by SPI and direction."""

    ikev2: bool = False
    traffic: dict[tuple[int, str], tuple[int, int]] = {}


Intent = Connect | Rekey | Clear | ClearChild | Probe | ClearStatistics


class Installed(msgspec.Struct, frozen=True):
    """The plane took this SA."""

    spi: int
    direction: Literal["in", "out"]


class Refused(msgspec.Struct, frozen=True):
    """The plane could not install this SA."""

    spi: int
    direction: Literal["in", "out"]
    why: str


class Acquire(msgspec.Struct, frozen=True, kw_only=True):
    """A packet met the tunnel's selector `index` and found no SA; `packet` holds its own selectors (local, remote) and
    the packet's inner addresses and protocol as the event wants them.
    """

    tunnel: str
    index: int
    packet: tuple[SelectorFact, SelectorFact]
    inner_source: str
    inner_destination: str
    inner_protocol: int


class Expired(msgspec.Struct, frozen=True):
    """An ESP SA reached its traffic limit: soft (rekey it) or hard (it is gone)."""

    spi: int
    direction: Literal["in", "out"]
    hard: bool


class PeerMoved(msgspec.Struct, frozen=True):
    """Verified ESP came from another address or port than the SA's path says."""

    spi: int
    path: Destination


class Traffic(msgspec.Struct, frozen=True):
    """Counters of an ESP SA since its birth, and the time of the last packet (monotonic seconds)."""

    spi: int
    direction: Literal["in", "out"]
    packets: int
    octets: int
    last: float


Report = Installed | Refused | Acquire | Expired | PeerMoved | Traffic
