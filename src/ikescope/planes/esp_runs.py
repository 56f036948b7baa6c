"""Runs of ESP packets: many of one size, in buffers that are used again, at the cost of one call of the cipher each.

What stands around the ciphertexts of a run is made for all of them at once, and the pieces of the buffers that the
cipher is given are kept: no line of Python is executed for a packet.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ikescope.crypto.esp_cipher import work_on
from ikescope.crypto.lanes import Lanes

Octets = bytes | bytearray | memoryview
Into = Callable[[Octets, Octets, Octets, memoryview], object]
"""Seals or opens one packet: (nonce, data, associated data, where to)."""

Numbers = NDArray[np.uint64]

_OCTETS = 12  # of a nonce, and of the associated data with ESN
_FIRST = 64
_LOW = np.uint64(0xFFFFFFFF)
_SPI = np.uint64(32)


class Desk:
    """Where nonces and associated data of the run at hand lie. Not to be shared among threads."""

    def __init__(self) -> None:
        self._make(_FIRST)

    def _make(self, count: int) -> None:
        self._count = count
        nonces, data = bytearray(count * _OCTETS), bytearray(count * _OCTETS)
        self._salts = np.ndarray((count,), np.uint32, nonces, 0, (_OCTETS,))
        self._ivs = np.ndarray((count,), ">u8", nonces, 4, (_OCTETS,))
        self._data = np.frombuffer(data, ">u4").reshape(count, 3)
        self._nonces = Lanes(memoryview(nonces), _OCTETS).cut(0, _OCTETS, 0, count)
        self._associated = Lanes(memoryview(data), _OCTETS).cut(0, _OCTETS, 0, count)
        self._steps = np.arange(count, dtype=np.uint64)

    def seal(
        self,
        encrypt: Into,
        salt: bytes,
        esn: bool,
        spi: int,
        first: int,
        plain: Lanes,
        start: int,
        size: int,
        row: int,
        count: int,
        out: Lanes,
        at: int,
    ) -> None:
        """Seal `count` plaintexts of `size` octets, `start` in each lane of `plain` from `row` on, into those of `out`
        from `at` on; the IV is the sequence number.
        """
        if count > self._count:
            self._make(count)
        sequence: Numbers = self._steps[:count] + np.uint64(first)
        stride = out.stride
        heads: NDArray[np.uint64] = np.ndarray((count, 2), ">u8", out.buffer, at * stride, (stride, 8))
        heads[:, 0] = (sequence & _LOW) | np.uint64(spi << 32)
        heads[:, 1] = sequence
        self._salts[:count] = np.frombuffer(salt, np.uint32)
        self._ivs[:count] = sequence
        if esn:
            self._data[:count, 0] = spi
            self._data[:count, 1] = sequence >> _SPI
            self._data[:count, 2] = sequence & _LOW
        data = self._associated[:count] if esn else out.cut(0, 8, at, count)
        plains, sealed = plain.cut(start, size, row, count), out.cut(16, size + 16, at, count)
        deque(map(encrypt, self._nonces[:count], plains, data, sealed), maxlen=0)

    def open(
        self,
        decrypt: Into,
        salt: bytes,
        esn_high: int | None,
        packets: Lanes,
        size: int,
        row: int,
        count: int,
        plain: Lanes,
    ) -> None:
        """Open `count` packets of `size` octets, in the lanes of `packets` from `row` on, into the same lanes of
        `plain`. Raises what `decrypt` raises for one that does not verify.
        """
        if count > self._count:
            self._make(count)
        stride = packets.stride
        heads: NDArray[np.uint32] = np.ndarray((count, 4), ">u4", packets.buffer, row * stride, (stride, 4))
        self._salts[:count] = np.frombuffer(salt, np.uint32)
        self._ivs[:count] = np.ndarray((count,), ">u8", packets.buffer, row * stride + 8, (stride,))
        if esn_high is not None:
            self._data[:count, ::2] = heads[:, :2]
            self._data[:count, 1] = esn_high
        data = packets.cut(0, 8, row, count) if esn_high is None else self._associated[:count]
        sealed, plains = packets.cut(16, size - 16, row, count), plain.cut(0, size - 32, row, count)
        deque(map(decrypt, self._nonces[:count], sealed, data, plains), maxlen=0)


@cache
def ready() -> None:
    """From now on this process seals and opens runs here."""
    work_on(Desk())
