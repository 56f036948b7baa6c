"""IKE messages in several datagrams, both ways (RFC 7383): how large, how parted, put together, how much is held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ikescope.config.model import Fragmentation
from ikescope.engine.commands import Destination
from ikescope.engine.timers import Timer
from ikescope.events.message import DropTrigger
from ikescope.wire.encrypted import EncryptedFragmentPayload

UDP_OCTETS, MARKER_OCTETS, NAT_PORT = 8, 4, 4500
IP_OCTETS = {4: 20, 6: 40}
SAFE_MTU = {4: 576, 6: 1280}
"""What every path carries without IP fragmentation, more or less; IOS's defaults too (RFC 7383 section 2.5.1)."""

MAX_FRAGMENTS = 128
"""Fragments of one message, sent or taken."""
HELD_OCTETS, HELD_UNPROVEN = 65_535, 16_384
"""Octets of unfinished messages that one IKE SA holds each way: once its peer is authenticated, and before."""
HELD_SECONDS = 30.0
"""How long an unfinished message is kept after its first fragment; a peer that goes on sends all of them anew."""
LOWERED_AFTER = 2
"""After so many sendings without an answer the size is lowered."""


def message_octets(mtu: int, path: Destination) -> int:
    """The largest IKE message that a packet of `mtu` octets holds on a path: less IP, UDP and non-ESP marker."""
    marker = MARKER_OCTETS if path.local_port == NAT_PORT else 0
    return mtu - IP_OCTETS[path.remote.version] - UDP_OCTETS - marker


def mtu_of(configured: Fragmentation, path: Destination) -> int:
    """The packet size that the configuration names, or IOS's default for the address family."""
    return configured.mtu or SAFE_MTU[path.remote.version]


def parts(inner: bytes, room: int) -> Iterator[tuple[int, int, bytes]]:
    """Number, total and octets of each fragment of at most `room` octets; more room where it would be too many."""
    assert inner
    room = max(room, -(-len(inner) // MAX_FRAGMENTS), 1)
    total = -(-len(inner) // room)
    for number in range(1, total + 1):
        yield number, total, inner[(number - 1) * room : number * room]


class Opened(NamedTuple):
    """What a protected message held: type of its first payload, plaintext; the sizes of its fragments, if any."""

    first: int
    inner: bytes
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A message put together. `datagram` is that of fragment 1, by which a repetition is known."""

    opened: Opened
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """A fragment is kept; `held` of its message's are here now."""

    held: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A fragment is not kept: why, and what was compared."""

    trigger: DropTrigger
    found: str
    wanted: str


@dataclass(slots=True)
class Assembly:
    """The fragments of one message that came so far, by number: plaintext, and size of the datagram."""

    exchange: int
    total: int
    timer: Timer | None = None
    first_payload: int = 0
    datagram: bytes = b""
    pieces: dict[int, bytes] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)

    @property
    def octets(self) -> int:
        """What it holds, the datagram of fragment 1 too."""
        return sum(map(len, self.pieces.values())) + len(self.datagram)


@dataclass(slots=True)
class Reassembly:
    """The unfinished messages of one IKE SA, by direction (responses True) and message ID."""

    messages: dict[tuple[bool, int], Assembly] = field(default_factory=dict)

    def judge(self, key: tuple[bool, int], exchange: int, fragment: EncryptedFragmentPayload) -> Rejected | None:
        """What can be said of a fragment before its ICV is verified."""
        if fragment.total > MAX_FRAGMENTS:
            return Rejected(DropTrigger.FRAGMENT_LIMIT, f"{fragment.total} fragments", f"at most {MAX_FRAGMENTS}")
        # The first fragment alone says what the message begins with (RFC 7383 section 2.5).
        if fragment.number > 1 and fragment.first_payload:
            return Rejected(
                DropTrigger.FRAGMENT_CONTRADICTS,
                f"next payload {int(fragment.first_payload)} in fragment {fragment.number}",
                "0",
            )
        assembly = self.messages.get(key)
        if assembly is None:
            return None
        if exchange != assembly.exchange:
            return Rejected(DropTrigger.FRAGMENT_CONTRADICTS, f"exchange type {exchange}", f"{assembly.exchange}")
        if fragment.total < assembly.total:
            # The peer lowers its size when nothing is answered, and never raises it: this one is late.
            found, wanted = f"fragment of {fragment.total}", f"of {assembly.total}"
            return Rejected(DropTrigger.FRAGMENT_CONTRADICTS, found, wanted)
        return None

    def take(
        self,
        key: tuple[bool, int],
        exchange: int,
        fragment: EncryptedFragmentPayload,
        datagram: bytes,
        opened: bytes,
        limit: int,
    ) -> Whole | Held | Rejected:
        """Keep a fragment that `judge` had nothing against and whose ICV verified.

        `limit` bounds the octets held of all unfinished messages of this direction.
        """
        assembly = self.messages.get(key)
        if assembly is not None and fragment.total > assembly.total:
            self.forget(key)
            assembly = None
        if assembly is not None and fragment.number in assembly.pieces:
            return _again(assembly, fragment.number, opened)
        held = sum(one.octets for (response, _), one in self.messages.items() if response is key[0])
        new = len(opened) + (len(datagram) if fragment.number == 1 else 0)
        if held + new > limit:
            return Rejected(DropTrigger.FRAGMENT_LIMIT, f"{held + new} octets held", f"at most {limit}")
        if assembly is None:
            assembly = self.messages[key] = Assembly(exchange, fragment.total)
        assembly.pieces[fragment.number], assembly.sizes[fragment.number] = opened, len(datagram)
        if fragment.number == 1:
            assembly.first_payload, assembly.datagram = int(fragment.first_payload), datagram
        if len(assembly.pieces) < assembly.total:
            return Held(len(assembly.pieces))
        self.forget(key)
        order = range(1, assembly.total + 1)
        inner = b"".join(assembly.pieces[number] for number in order)
        sizes = tuple(assembly.sizes[number] for number in order)
        return Whole(Opened(assembly.first_payload, inner, sizes), assembly.datagram)

    def forget(self, key: tuple[bool, int]) -> Assembly | None:
        """Let go of an unfinished message; it as it was, None if there is none."""
        assembly = self.messages.pop(key, None)
        if assembly is not None and assembly.timer is not None:
            assembly.timer.cancel()
            assembly.timer = None
        return assembly

    def clear(self) -> None:
        """Let go of all."""
        for key in tuple(self.messages):
            self.forget(key)


def _again(assembly: Assembly, number: int, opened: bytes) -> Rejected:
    if assembly.pieces[number] == opened:
        return Rejected(DropTrigger.FRAGMENT_REPEATED, f"fragment {number} of {assembly.total} again", "one not held")
    found = f"other content in fragment {number} of {assembly.total}"
    return Rejected(DropTrigger.FRAGMENT_CONTRADICTS, found, "the content held")
