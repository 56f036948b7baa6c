"""Inbound SPIs out of the kernel (ALLOCSPI): it knows every SA of the host, whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from ikescope.config.model import Address
from ikescope.errors import LocalError
from ikescope.planes.xfrm_socket import Xfrm

LOWEST, HIGHEST = 256, 0xFFFFFFFF
_ATTEMPTS = 16


class KernelSpis:
    """An `engine.context.SpiSource`. A SPI is kept at each of the router's addresses, under a reqid of its own, until
    its SA is installed; half a minute later the kernel gives up one that is not.
    """

    def __init__(self, xfrm: Xfrm, addresses: Sequence[Address], reqid: int) -> None:
        self._xfrm, self._addresses, self._reqid = xfrm, tuple(addresses), reqid

    def listen(self, addresses: Sequence[Address]) -> None:
        """These are the router's addresses from now on."""
        self._addresses = tuple(addresses)

    def allocate(self) -> int:
        """A SPI that no inbound SA at any of our addresses has (RFC 4303 section 2.1: 256 or greater)."""
        for _ in range(_ATTEMPTS if self._addresses else 0):
            spi = self._xfrm.allocate(None, self._addresses[0], self._reqid, LOWEST, HIGHEST)
            try:
                for address in self._addresses[1:]:
                    self._xfrm.allocate(None, address, self._reqid, spi, spi)
            except LocalError:
                self.release(spi)
                continue
            return spi
        raise LocalError(f"cannot allocate a SPI: {_ATTEMPTS} were in use at one of our addresses")

    def release(self, spi: int) -> None:
        """Keep the SPI no longer; an SA that has it, ours or anybody's, stays."""
        for address in self._addresses:
            with suppress(LocalError):
                kept = self._xfrm.state(address, spi)
                if kept is not None and kept.reqid == self._reqid:
                    self._xfrm.remove_state(address, spi)
