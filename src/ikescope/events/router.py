"""Events of the router around the engine: traffic, data plane, interfaces, configuration, console."""

from __future__ import annotations

from ikescope.events.base import UNSET, Event, SelectorFact, UnsetType


class RouterStarted(Event, tag="router.started"):
    """A router began with its configuration."""

    version: str
    tunnels: tuple[str, ...]
    plane: str


class RouterStopped(Event, tag="router.stopped"):
    """A router ended."""

    reason: str


class TrafficMatched(Event, tag="traffic.matched", rfc="RFC 4301 section 4.4.1"):
    """A packet met a protecting selector that has no Child SA yet: this starts the negotiation.

    `packet_*` are the packet's own, `local` and `remote` the selectors. `inner`: the packet is wrapped in GRE
    first, and the selectors speak of the GRE packet around it.
    """

    tunnel: str
    packet_source: str
    packet_destination: str
    packet_protocol: int
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    inner: bool


class InterfaceUp(Event, tag="interface.up"):
    """A tunnel interface that negotiates when it comes up, or whose line protocol came up."""

    interface: str


class InterfaceDown(Event, tag="interface.down", level="notice"):
    """A tunnel interface went down."""

    interface: str
    reason: str


class InterfaceWaiting(Event, tag="interface.waiting", level="detail"):
    """A tunnel interface does not negotiate by itself, and why: it waits for traffic or for its peer."""

    interface: str
    why: str


class PacketsHeld(Event, tag="traffic.held", level="detail"):
    """Packets wait for their SA (`dropped` of them found no place among the 64, or waited in vain: `why`)."""

    tunnel: str
    held: int
    dropped: int
    why: str = ""


class PacketsReleased(Event, tag="traffic.released", level="detail"):
    """Packets that waited for the SA went out."""

    tunnel: str
    sent: int


class EspDropped(Event, tag="esp.dropped", level="error", rfc="RFC 4303 section 3.4"):
    """ESP packets were discarded: reason, the SPI, how many since the last such event; where one is told at once, what
    was compared (sequence number and the highest seen, inner packet and selectors).
    """

    reason: str
    spi: str
    source: str
    destination: str
    count: int
    found: str | UnsetType = UNSET
    wanted: str | UnsetType = UNSET


class EspSeen(Event, tag="esp.seen", level="detail", rfc="RFC 4303 section 2"):
    """ESP packets to an SPI that a capture holds, from the first of them on: how many, octets, over how many seconds.

    `opened` verified with the keys at hand, `failed` did not; both are absent without keys.
    """

    spi: str
    source: str
    destination: str
    packets: int
    octets: int
    seconds: float
    udp: bool
    opened: int | UnsetType = UNSET
    failed: int | UnsetType = UNSET


class EspInstalled(Event, tag="esp.installed", level="detail"):
    """The data plane took an ESP SA: direction `in` or `out`."""

    spi: str
    direction: str
    tunnel: str


class EspRemoved(Event, tag="esp.removed", level="detail"):
    """The data plane gave an ESP SA up, with the counters of its life."""

    spi: str
    direction: str
    packets: int
    octets: int


class EspSwitched(Event, tag="esp.switched", level="detail"):
    """Outgoing traffic of a tunnel now uses this SPI."""

    spi: str
    tunnel: str


class TunnelMtuChanged(Event, tag="tunnel.mtu", level="detail", rfc="RFC 4301 section 8.2"):
    """A tunnel takes inner packets of another size: its SA, or what the host learned of the path's MTU, is another.

    `path` is the MTU of the way to the peer, `link` that of the interface which it begins with. Where the tunnel's own
    is configured, `after` is `before` and the path alone has changed.
    """

    tunnel: str
    before: int
    after: int
    path: int
    link: int | UnsetType = UNSET


class PlaneFailed(Event, tag="plane.failed", level="error"):
    """The data plane or the host refused what was asked."""

    what: str
    why: str


class RecordingStarted(Event, tag="recording.started", level="detail"):
    """Every record goes to this file from now on; a file name, no directory."""

    file: str


class RecordingEnded(Event, tag="recording.ended", level="error"):
    """The recording ended before the router did, or lines of it are missing."""

    why: str


class ClientLetGo(Event, tag="console.let_go", level="notice"):
    """A client of the control socket read too slowly: `waiting` lines; the router went on without it."""

    who: str
    waiting: int


class CommandEntered(Event, tag="console.command"):
    """An operator typed a command (secrets replaced)."""

    command: str
    who: str | UnsetType = UNSET


class ConfigurationChanged(Event, tag="configuration.changed"):
    """Configuration lines took effect (secrets replaced)."""

    lines: tuple[str, ...]


class ConfigurationLeft(Event, tag="configuration.left"):
    """An operator left the configuration mode; what they changed stands in the lines before."""

    who: str


class PrivilegeAsked(Event, tag="privilege.asked"):
    """An operator gave a password for a privilege level: whether it was the right one, at last."""

    who: str
    privilege: int
    granted: bool


class LoginSucceeded(Event, tag="login.succeeded"):
    """A user came in by SSH: how they proved themselves, the privilege level that gives."""

    who: str
    address: str
    port: int
    method: str
    privilege: int


class LoginFailed(Event, tag="login.failed", level="notice"):
    """A login by SSH was refused; `count` with those since the last such event that were not told one by one."""

    who: str
    address: str
    port: int
    method: str
    why: str
    count: int = 1


class LoginEnded(Event, tag="login.ended"):
    """A user who came in by SSH is gone; `line`: the last vty line they had."""

    who: str
    address: str
    line: int
    why: str
