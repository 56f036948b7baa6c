"""What the router and its workers say to each other, as msgpack in messages of a SOCK_SEQPACKET socket pair.

Each message is an array of frames (planes.channel); a descriptor travels beside its frame. Keys are in `Install` alone.
Only what decodes by its type is believed: a worker's word is checked like a peer's.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Literal

import msgspec

from ikescope.config.model import DfBit, TunnelMode
from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, EspSuite
from ikescope.engine import commands
from ikescope.engine.commands import Command, Destination, EspKeys
from ikescope.esp.plane import Told
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import SelectorFact, router
from ikescope.events.base import REGISTRY, Event
from ikescope.policy.selectors import Selectors

Direction = Literal["in", "out"]


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing said; its tag is the name of its class."""


class Path(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A Destination with its addresses as text."""

    local: str
    local_port: int
    remote: str
    remote_port: int

    @classmethod
    def of(cls, path: Destination) -> Path:
        """As it travels."""
        return cls(str(path.local), path.local_port, str(path.remote), path.remote_port)

    def destination(self) -> Destination:
        """As it is used; ValueError for what is no address."""
        return Destination(ip_address(self.local), self.local_port, ip_address(self.remote), self.remote_port)


class Tunnel(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A TunnelPath with its addresses as text."""

    name: str
    mode: TunnelMode
    source: str
    destination: str
    selectors: tuple[Selectors, ...]
    mtu: int
    ttl: int
    ipv6: bool
    path_mtu: int
    addresses: tuple[str, ...]
    df: DfBit

    @classmethod
    def of(cls, path: TunnelPath) -> Tunnel:
        """As it travels."""
        return cls(
            name=path.name,
            mode=path.mode,
            source=str(path.source),
            destination=str(path.destination),
            selectors=path.selectors,
            mtu=path.mtu,
            ttl=path.ttl,
            ipv6=path.ipv6,
            path_mtu=path.path_mtu,
            addresses=tuple(map(str, path.addresses)),
            df=path.df,
        )

    def path(self) -> TunnelPath:
        """As it is used."""
        return TunnelPath(
            name=self.name,
            mode=self.mode,
            source=ip_address(self.source),
            destination=ip_address(self.destination),
            selectors=self.selectors,
            mtu=self.mtu,
            ttl=self.ttl,
            ipv6=self.ipv6,
            path_mtu=self.path_mtu,
            addresses=tuple(map(ip_address, self.addresses)),
            df=self.df,
        )


# --- the router to the process that workers are forked from, and back


class Fork(Frame, frozen=True, tag=True):
    """Make a worker of the socket that comes with this."""

    worker: int


class Kill(Frame, frozen=True, tag=True):
    """End a worker that no longer listens."""

    worker: int


class Ended(Frame, frozen=True, tag=True):
    """A worker is gone: its exit status, or the negative number of the signal that ended it."""

    worker: int
    status: int


# --- the router to a worker


class Way(Frame, frozen=True, tag=True):
    """A tunnel that there is; all of them come first. After `Setup`: a new one, or one that changed."""

    tunnel: Tunnel


class NoWay(Frame, frozen=True, tag=True):
    """A tunnel is there no more, nor its device."""

    tunnel: str


class Deaf(Frame, frozen=True, tag=True):
    """What was given for a local address is not to be used any more."""

    local: str


class Setup(Frame, frozen=True, tag=True):
    """Which worker of how many it is: after this it has a data path, and gets its descriptors."""

    worker: int
    workers: int


class Device(Frame, frozen=True, tag=True):
    """The TUN device of a tunnel comes with this; exactly one worker reads it."""

    tunnel: str
    read: bool


class Raw(Frame, frozen=True, tag=True):
    """A raw ESP socket of a local address comes with this."""

    local: str
    read: bool


class Udp(Frame, frozen=True, tag=True):
    """The socket of a local address and port comes with this."""

    local: str
    port: int
    read: bool


class Install(Frame, frozen=True, tag=True):
    """InstallSa."""

    spi: int
    direction: Direction
    encryption: tuple[int, int]
    integrity: int | None
    esn: bool
    group: int | None
    keys: tuple[bytes, bytes]
    path: Path
    udp: bool
    transport: bool
    tunnel: str
    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]
    reqid: int
    replay_window: int
    lifetime_kilobytes: int | None
    lifetime_seconds: int | None
    replaces: int | None
    resource: int | None

    def __repr__(self) -> str:
        return f"<Install {self.direction} {self.spi:08x}>"


class Switch(Frame, frozen=True, tag=True):
    """SwitchOutbound."""

    spi: int
    remote: str
    tunnel: str


class Remove(Frame, frozen=True, tag=True):
    """RemoveSa."""

    spi: int
    direction: Direction
    remote: str
    tunnel: str


class Release(Frame, frozen=True, tag=True):
    """ReleaseHeld."""

    tunnel: str
    reason: str


class Move(Frame, frozen=True, tag=True):
    """UpdatePath."""

    spi: int
    tunnel: str
    path: Path
    udp: bool


class Look(Frame, frozen=True, tag=True):
    """Say that you are there and, with `counters`, what changed of them since they were last asked for; answered after
    what was said before.
    """

    number: int
    counters: bool


class Packet(Frame, frozen=True, tag=True):
    """A datagram handed on: to a worker, ESP that came to another; to the router, what came and is not this worker's.

    From the SPI, marker or keepalive on; `udp`: it came in UDP.
    """

    octets: bytes
    path: Path
    udp: bool
    ecn: int


# --- a worker to the router


class Installed(Frame, frozen=True, tag=True):
    """commands.Installed."""

    spi: int
    direction: Direction


class Moved(Frame, frozen=True, tag=True):
    """commands.PeerMoved."""

    spi: int
    path: Path


class Said(Frame, frozen=True, tag=True):
    """A report (by the name of its class) or an event (by its tag)."""

    kind: str
    body: msgspec.Raw


class Counted(Frame, frozen=True, tag=True):
    """Counters of one SA: packets, octets, dropped."""

    spi: int
    direction: Direction
    packets: int
    octets: int
    dropped: int


class Held(Frame, frozen=True, tag=True):
    """How many packets of a tunnel wait for an SA."""

    tunnel: str
    packets: int


class Looked(Frame, frozen=True, tag=True):
    """All that `Look` asked for was said."""

    number: int


ToNursery = Fork | Kill
ToWorker = Way | NoWay | Deaf | Setup | Device | Raw | Udp | Install | Switch | Remove | Release | Move | Look | Packet
FromWorker = Installed | Moved | Said | Counted | Held | Looked | Packet

_REPORTS: dict[str, type] = {
    each.__name__: each for each in (commands.Refused, commands.Acquire, commands.Expired, commands.Traffic)
}
_EVENTS = {tag: kind for tag, kind in REGISTRY.items() if kind.__module__ == router.__name__}
encode = msgspec.msgpack.Encoder().encode


def pack(command: Command) -> ToWorker | None:
    """A command as it travels; None for one that is not about ESP."""
    match command:
        case commands.InstallSa():
            return _install(command)
        case commands.SwitchOutbound():
            return Switch(command.spi, str(command.remote), command.tunnel)
        case commands.RemoveSa():
            return Remove(command.spi, command.direction, str(command.remote), command.tunnel)
        case commands.ReleaseHeld():
            return Release(command.tunnel, command.reason)
        case commands.UpdatePath():
            return Move(command.spi, command.tunnel, Path.of(command.path), command.udp)
    return None


def _install(command: commands.InstallSa) -> Install:
    suite, keys = command.suite, command.keys
    return Install(
        spi=command.spi,
        direction=command.direction,
        encryption=(int(suite.encryption.id), suite.encryption.key_bits),
        integrity=None if suite.integrity is None else int(suite.integrity.id),
        esn=suite.esn,
        group=suite.group,
        keys=(keys.encryption, keys.integrity),
        path=Path.of(command.path),
        udp=command.udp,
        transport=command.transport,
        tunnel=command.tunnel,
        local=command.local,
        remote=command.remote,
        reqid=command.reqid,
        replay_window=command.replay_window,
        lifetime_kilobytes=command.lifetime_kilobytes,
        lifetime_seconds=command.lifetime_seconds,
        replaces=command.replaces,
        resource=command.resource,
    )


def unpack(frame: ToWorker) -> Command | None:
    """The command that a frame is; None for one that is none."""
    match frame:
        case Install():
            return _installed(frame)
        case Switch():
            return commands.SwitchOutbound(frame.spi, ip_address(frame.remote), frame.tunnel)
        case Remove():
            return commands.RemoveSa(frame.spi, frame.direction, ip_address(frame.remote), frame.tunnel)
        case Release():
            return commands.ReleaseHeld(frame.tunnel, frame.reason)
        case Move():
            return commands.UpdatePath(frame.spi, frame.tunnel, frame.path.destination(), frame.udp)
    return None


def _installed(frame: Install) -> commands.InstallSa:
    integrity = None if frame.integrity is None else INTEGRITIES[frame.integrity]
    return commands.InstallSa(
        spi=frame.spi,
        direction=frame.direction,
        suite=EspSuite(ENCRYPTIONS[frame.encryption], integrity, frame.esn, frame.group),
        keys=EspKeys(*frame.keys),
        path=frame.path.destination(),
        udp=frame.udp,
        transport=frame.transport,
        tunnel=frame.tunnel,
        local=frame.local,
        remote=frame.remote,
        reqid=frame.reqid,
        replay_window=frame.replay_window,
        lifetime_kilobytes=frame.lifetime_kilobytes,
        lifetime_seconds=frame.lifetime_seconds,
        replaces=frame.replaces,
        resource=frame.resource,
    )


def pack_told(told: Told) -> FromWorker:
    """A report or an event as it travels."""
    match told:
        case commands.Installed():
            return Installed(told.spi, told.direction)
        case commands.PeerMoved():
            return Moved(told.spi, Path.of(told.path))
        case Event():
            return Said(told.tag, msgspec.Raw(encode(told)))
    return Said(type(told).__name__, msgspec.Raw(encode(told)))


def unpack_told(frame: FromWorker) -> Told | None:
    """The report or event that a frame is, None for one that is none; ValueError, MsgspecError: no such."""
    match frame:
        case Installed():
            return commands.Installed(frame.spi, frame.direction)
        case Moved():
            return commands.PeerMoved(frame.spi, frame.path.destination())
        case Said():
            kind = _REPORTS.get(frame.kind) or _EVENTS.get(frame.kind)
            if kind is None:
                raise ValueError(f"no report or event is called {frame.kind!r}")
            told: Told = msgspec.msgpack.decode(frame.body, type=kind)
            return told
    return None
