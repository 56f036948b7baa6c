"""Inbound SPIs out of the kernel (ALLOCSPI): it knows every SA of the host, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from ikescope.config.model import Address
from ikescope.errors import LocalError
from ikescope.planes.xfrm_socket import Xfrm

LOWEST, HIGHEST = 256, 0xFFFFFFFF
_ATTEMPTS = 16


class KernelSpis:
    """An `engine.context.SpiSource`. A SPI is kept at each of the router's addresses until its SA is installed there.

    `installed` says whether an inbound SA has that SPI: it is then the plane's to take out.
    """

    def __init__(self, xfrm: Xfrm, addresses: Sequence[Address], reqid: int, installed: Callable[[int], bool]) -> None:
        self._xfrm, self._addresses, self._reqid, self._installed = xfrm, tuple(addresses), reqid, installed

    def allocate(self) -> int:
        """A SPI that no inbound SA at any of our addresses has (RFC 4303 section 2.1: 256 or greater)."""
        for _ in range(_ATTEMPTS):
            spi = self._xfrm.allocate(None, self._addresses[0], self._reqid, LOWEST, HIGHEST)
            try:
                for address in self._addresses[1:]:
                    self._xfrm.allocate(None, address, self._reqid, spi, spi)
            except LocalError:
                self.release(spi)
                continue
            return spi
        raise LocalError(f"cannot allocate a SPI: {_ATTEMPTS} were in use at one of our addresses")

    def release(self, spi: int, kept: Address | None = None) -> None:
        """The SPI is free again, but for an SA that is installed; `kept`: not at this address."""
        if kept is None and self._installed(spi):
            return
        for address in self._addresses:
            if address != kept:
                with suppress(LocalError):
                    self._xfrm.remove_state(address, spi)
