"""Who sends ESP that no SA is for: the kernel only counts it. While it does, raw sockets show those packets' headers.

Every ESP packet is offered to such a socket; a filter passes the first octets of those whose SPI is not ours. Without
anything to see for a while the sockets are closed, and cost nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address

from ikescope.config.model import Address
from ikescope.planes.steering import Instruction, attach_filter
from ikescope.planes.xfrm_wire import ESP

QUIET = 5.0
"""Seconds without such a packet after which nobody looks any more."""
MOST = 512
"""SPIs of ours that a filter has room for; with more of them nobody looks."""
BATCH = 256
_HEADERS = 60 + 8
"""An IPv4 header with all its options, and what of ESP is looked at."""
_LDX_IHL, _LD_LEN, _SUB_X, _LD_IND, _LD_ABS, _JGE, _JEQ, _RET = 0xB1, 0x80, 0x1C, 0x40, 0x20, 0x35, 0x15, 0x06


@dataclass(frozen=True, slots=True)
class Stranger:
    """A packet for no SA of ours."""

    spi: int
    source: Address
    destination: Address


def program(spis: Iterable[int], version: int) -> tuple[Instruction, ...]:
    """The headers of ESP packets whose SPI is none of these; an IPv4 raw socket's filter sees the IP header too."""
    before: tuple[Instruction, ...] = ((_LDX_IHL, 0, 0, 0), (_LD_LEN, 0, 0, 0), (_SUB_X, 0, 0, 0))
    own = [step for spi in spis for step in ((_JEQ, 0, 1, spi), (_RET, 0, 0, 0))]
    return (
        *(before if version == 4 else ((_LD_LEN, 0, 0, 0),)),
        (_JGE, 1, 0, 8),
        (_RET, 0, 0, 0),
        (_LD_IND if version == 4 else _LD_ABS, 0, 0, 0),
        *own,
        (_RET, 0, 0, _HEADERS),
    )


class Strangers:
    """Looks at our addresses while there is something to see."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        self._addresses = tuple(addresses)
        self._sockets: dict[Address, socket.socket] = {}
        self._spis: frozenset[int] | None = None
        self._until = 0.0

    def listen(self, addresses: Iterable[Address]) -> None:
        """These are our addresses from now on."""
        self._addresses = tuple(addresses)
        for address in [address for address in self._sockets if address not in self._addresses]:
            self._sockets.pop(address).close()

    def look(self, spis: Iterable[int], counted: int, now: float) -> list[Stranger]:
        """What was seen since the last look. `spis` are those of our inbound SAs, `counted` how many packets the kernel
        has counted since: with the first of them this begins to look.
        """
        own = frozenset(spis)
        if counted:
            self._until = now + QUIET
        if now >= self._until or len(own) > MOST:
            self.close()
            return []
        found = [one for address, raw in self._sockets.items() for one in _read(raw, address) if one.spi not in own]
        with suppress(OSError):
            self._watch(own)
        return found

    def _watch(self, own: frozenset[int]) -> None:
        for address in self._addresses:
            if address in self._sockets:
                continue
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            raw = socket.socket(family, socket.SOCK_RAW, ESP)
            self._sockets[address] = raw
            raw.setblocking(False)
            attach_filter(raw, program(own, address.version))
            raw.bind((str(address), 0))
        if own != self._spis:
            for address, raw in self._sockets.items():
                attach_filter(raw, program(own, address.version))
            self._spis = own

    def close(self) -> None:
        """Look no more."""
        for raw in self._sockets.values():
            raw.close()
        self._sockets.clear()
        self._spis = None


def _read(raw: socket.socket, address: Address) -> Iterator[Stranger]:
    for _ in range(BATCH):
        try:
            octets, sender = raw.recvfrom(_HEADERS)
        except OSError:
            return
        at = (octets[0] & 15) * 4 if address.version == 4 and octets else 0
        if len(octets) >= at + 4:
            spi = int.from_bytes(octets[at : at + 4], "big")
            yield Stranger(spi, ip_address(sender[0].partition("%")[0]), address)
