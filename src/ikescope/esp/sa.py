"""One ESP SA in each direction: its cipher context, numbers, counters and limits (RFC 4303)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from ikescope.crypto.esp_cipher import EspCipherError, EspOpener, EspSealer
from ikescope.crypto.lanes import Lanes
from ikescope.engine.commands import Destination, InstallSa
from ikescope.errors import PeerError
from ikescope.esp.packet import NO_NEXT_HEADER
from ikescope.esp.replay import ReplayWindow
from ikescope.esp.selector import SelectorPair

Direction = Literal["in", "out"]

_SOFT = 0.9  # of a limit: time to rekey
_LOW = 0xFFFFFFFF
PADDING = [bytes(range(1, length + 1)) for length in range(256)]
"""By its length (RFC 4303 section 2.4)."""


class EspError(PeerError):
    """An ESP packet is discarded; the message is the reason that the events and counters show."""

    section = "RFC 4303 section 3.4"


@dataclass(frozen=True, slots=True)
class Counters:
    """Packets and octets (of what ESP protects, without its trailer) that passed, and packets dropped."""

    packets: int = 0
    octets: int = 0
    dropped: int = 0


def wrong_keys(command: InstallSa) -> str:
    """Why the keys of a command do not fit its suite; empty where they do."""
    wanted = command.suite.encryption.keymat_octets
    if len(command.keys.encryption) != wanted:
        return f"encryption key: had {len(command.keys.encryption)}, wanted {wanted}"
    wanted = command.suite.integrity.key_octets if command.suite.integrity else 0
    if len(command.keys.integrity) != wanted:
        return f"integrity key: had {len(command.keys.integrity)}, wanted {wanted}"
    return ""


class _Sa:
    """What both directions share. `index` is the selector position in the tunnel, None where it is no part of one."""

    __slots__ = (
        "_hard",
        "_soft",
        "dropped",
        "index",
        "last",
        "octets",
        "packets",
        "path",
        "reported",
        "reported_at",
        "reqid",
        "resource",
        "selectors",
        "soft_told",
        "spi",
        "suite",
        "transport",
        "tunnel",
        "udp",
    )
    direction: Direction

    def __init__(self, command: InstallSa, selectors: SelectorPair, index: int | None) -> None:
        self.spi = command.spi
        self.suite = command.suite
        self.path: Destination = command.path
        self.udp = command.udp
        self.transport = command.transport
        self.tunnel = command.tunnel
        self.reqid = command.reqid
        self.resource = command.resource
        self.selectors = selectors
        self.index = index
        self.packets = self.octets = self.dropped = 0
        self.last = 0.0
        self.reported = 0  # packets in the last Traffic report
        self.reported_at: float | None = None
        self.soft_told = False
        limit = None if command.lifetime_kilobytes is None else command.lifetime_kilobytes * 1024
        self._hard = limit
        self._soft = None if limit is None else int(limit * _SOFT)

    @property
    def counters(self) -> Counters:
        """The counters now."""
        return Counters(self.packets, self.octets, self.dropped)

    def count(self, octets: int, now: float, packets: int = 1) -> None:
        """One more packet passed, or a run of them with so many octets together."""
        self.packets += packets
        self.octets += octets
        self.last = now

    def room(self, packets: int, octets: int) -> bool:
        """Whether a run may pass without any limit being reached in it."""
        return self._hard is None or self.octets + octets < self._hard

    @property
    def soft_due(self) -> bool:
        """Whether the SA is old enough by traffic to be rekeyed; true once."""
        if self.soft_told or not self._soft_reached():
            return False
        self.soft_told = True
        return True

    def _soft_reached(self) -> bool:
        return self._soft is not None and self.octets >= self._soft

    @property
    def exhausted(self) -> bool:
        """Whether nothing more may pass."""
        return self._hard is not None and self.octets >= self._hard


class OutboundSa(_Sa):
    """An SA that seals. `sequence` is the number of the last packet."""

    __slots__ = ("_alignment", "_last_sequence", "_sealer", "df", "largest", "sequence")
    direction: Direction = "out"

    def __init__(self, command: InstallSa, selectors: SelectorPair, index: int | None) -> None:
        super().__init__(command, selectors, index)
        self._sealer = EspSealer(command.suite, command.keys.encryption, command.keys.integrity)
        self._alignment = command.suite.encryption.esp_alignment
        self._last_sequence = (1 << 64) - 1 if command.suite.esn else _LOW
        self.sequence = 0
        self.df = False  # around the run that is sealed next
        self.largest = 65535  # octets of an inner packet that the path takes whole

    def _soft_reached(self) -> bool:
        return super()._soft_reached() or self.sequence >= self._last_sequence * _SOFT

    @property
    def exhausted(self) -> bool:
        """Whether the traffic limit or the last sequence number is reached."""
        ##= rfc4303#section-2.2
        ##% the transmitted sequence number must never be allowed to cycle.
        return self.sequence >= self._last_sequence or super().exhausted

    def room(self, packets: int, octets: int) -> bool:
        """As above, and no sequence number beyond the last."""
        return self.sequence + packets < self._last_sequence and super().room(packets, octets)

    @property
    def overhead(self) -> int:
        """Octets of a packet around its padded plaintext: header, IV, ICV."""
        return self._sealer.overhead

    def width(self, octets: int) -> int:
        """Octets of the plaintext of such a payload, with its trailer."""
        return octets + 2 + -(octets + 2) % self._alignment

    def seal_run(
        self, plain: Lanes, start: int, size: int, row: int, count: int, octets: int, out: Lanes, at: int, now: float
    ) -> None:
        """Seal `count` payloads of `octets` octets, whose plaintexts with their trailers (`size`, which is
        `width(octets)`) stand `start` in the lanes of `plain` from `row` on, into those of `out` from `at` on.

        The lanes of `out` are as long as a packet; it is 16 octets longer than all. `room` was asked for.
        """
        assert self.sequence + count < self._last_sequence
        first = self.sequence + 1
        self.sequence += count
        self.count(octets * count, now, count)
        self._sealer.seal_run(self.spi, first, plain, start, size, row, count, out, at)

    def seal(self, payload: bytes, next_header: int, now: float) -> bytes:
        """The ESP packet, from the SPI on; not to be asked of an exhausted SA."""
        assert self.sequence < self._last_sequence
        self.sequence += 1
        self.count(len(payload), now)
        pad = -(len(payload) + 2) % self._alignment
        plaintext = payload + PADDING[pad] + bytes((pad, next_header))
        return self._sealer.seal(self.spi, self.sequence & _LOW, self.sequence >> 32, plaintext)


class Opened(msgspec.Struct, frozen=True):
    """A verified packet: payload (TFC padding still on it), next header, whether its number is the newest."""

    payload: bytes
    next_header: int
    newest: bool


class InboundSa(_Sa):
    """An SA that opens."""

    __slots__ = ("_opener", "moved_to", "window")
    direction: Direction = "in"

    def __init__(self, command: InstallSa, selectors: SelectorPair, index: int | None) -> None:
        super().__init__(command, selectors, index)
        self._opener = EspOpener(command.suite, command.keys.encryption, command.keys.integrity)
        self.window = ReplayWindow(command.replay_window, esn=command.suite.esn)
        self.moved_to: Destination | None = None

    def open(self, packet: bytes) -> Opened:
        """Verify and open an ESP packet (at least 8 octets, from the SPI on); EspError says why not."""
        sequence = self.window.infer(int.from_bytes(packet[4:8], "big"))
        if sequence is None:
            found = int.from_bytes(packet[4:8], "big")
            raise EspError("sequence number replayed or outside the window", found=found, wanted=self.window.top)
        try:
            plaintext = self._opener.open(packet, sequence >> 32)
        except EspCipherError as error:
            raise EspError("integrity check failed") from error
        return self.unpad(plaintext, self.window.accept(sequence))

    @staticmethod
    def unpad(plaintext: bytes, newest: bool) -> Opened:
        """A verified plaintext without its trailer; EspError for a wrong one."""
        if len(plaintext) < 2:
            raise EspError("ESP trailer is missing")
        pad, next_header = plaintext[-2], plaintext[-1]
        ##= rfc4303#section-2.6
        ##% a receiver MUST be prepared to discard such packets,
        ##% without indicating an error.
        if next_header == NO_NEXT_HEADER:
            return Opened(b"", next_header, newest)
        end = len(plaintext) - 2 - pad
        ##= rfc4303#section-2.4
        ##% When this
        ##% padding scheme is employed, the receiver SHOULD inspect the Padding
        ##% field.
        if end < 0 or plaintext[end:-2] != PADDING[pad]:
            raise EspError("ESP padding is not 1, 2, 3 ...")
        return Opened(plaintext[:end], next_header, newest)

    @property
    def opener(self) -> EspOpener:
        """Opens runs."""
        return self._opener

    def fresh(self, first: int, last: int) -> int | None:
        """The high half of the numbers whose low halves rise from `first` to `last`; None unless all are newer than any
        that was seen, and have it in common.
        """
        lowest, highest = self.window.infer(first), self.window.infer(last)
        if lowest is None or highest is None or not self.window.top < lowest <= highest:
            return None
        return lowest >> 32 if lowest >> 32 == highest >> 32 else None
