"""The anti-replay window (RFC 4303 section 3.4.3), with extended sequence numbers (RFC 4303 appendix A)."""

from __future__ import annotations

_LOW = 0xFFFFFFFF
_LEAST = 64


class ReplayWindow:
    """Which sequence numbers of an inbound SA were seen.

    `size` is in packets; 0 checks nothing (the high half of an extended number is then still inferred, by a window of
    64). Numbers are 64 bits with `esn`, else 32.
    """

    __slots__ = ("_seen", "checks", "esn", "size", "top")

    def __init__(self, size: int, *, esn: bool) -> None:
        self.checks = size > 0
        self.size = max(size, 1) if size > 0 else _LEAST
        self.esn = esn
        self.top = 0
        self._seen = 0  # bit n: top - n was seen

    def infer(self, low: int) -> int | None:
        """The whole number of a packet whose header shows `low`, before its ICV is verified; None: too old, replayed
        or impossible (0, or beyond 64 bits).
        """
        sequence = self._whole(low) if self.esn else low
        ##= rfc4303#section-3.3.3
        ##% Thus, the first packet sent using a given SA will
        ##% contain a sequence number of 1.
        if sequence <= 0 or sequence >> 64:
            return None
        behind = self.top - sequence
        if not self.checks or behind < 0:
            return sequence
        if behind >= self.size or self._seen >> behind & 1:
            return None
        return sequence

    def _whole(self, low: int) -> int:
        """The number nearest to the window whose low half is `low` (RFC 4303 appendix A2.1)."""
        high, top_low = self.top >> 32, self.top & _LOW
        bottom = top_low - self.size + 1
        if bottom >= 0:  # case A: the window lies within one subspace
            return (high if low >= bottom else high + 1) << 32 | low
        return (high - 1 if low >= bottom & _LOW else high) << 32 | low

    def accept(self, sequence: int) -> bool:
        """Mark a number whose packet was verified; whether it is the newest so far."""
        ahead = sequence - self.top
        if ahead > 0:
            shifted = self._seen << ahead if ahead < self.size else 0
            self._seen = (shifted | 1) & ((1 << self.size) - 1)
            self.top = sequence
            return True
        if -ahead < self.size:
            self._seen |= 1 << -ahead
        return False

    def accept_run(self, first: int, last: int) -> None:
        """Mark all numbers from `first` to `last`, which are newer than any so far and whose packets were verified."""
        ahead = last - self.top
        shifted = self._seen << ahead if ahead < self.size else 0
        self._seen = (shifted | ((1 << min(last - first + 1, self.size)) - 1)) & ((1 << self.size) - 1)
        self.top = last
