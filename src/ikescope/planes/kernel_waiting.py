"""Packets that found no SA: what the kernel keeps of them, and what the engine is asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from ikescope.engine.commands import Acquire
from ikescope.errors import LocalError
from ikescope.esp.tunnel import ACQUIRE_SPACING
from ikescope.events import SelectorFact
from ikescope.planes.kernel_spd import KernelTunnel
from ikescope.planes.kernel_spis import HIGHEST, LOWEST
from ikescope.planes.xfrm_notices import Acquired
from ikescope.planes.xfrm_socket import Xfrm
from ikescope.policy.ranges import ANY_PORTS

_WITH_PORTS = frozenset({6, 17, 33, 132, 136})
"""Protocols whose first four octets are ports: TCP, UDP, DCCP, SCTP, UDP-Lite."""

_KEPT = 30.0
"""Seconds (net.core.xfrm_acq_expires)."""


@dataclass(slots=True)
class _Asked:
    tunnel: KernelTunnel
    notice: Acquired
    due: float


class Waiting:
    """What the kernel keeps for each packet that asked: as long as it is there, none of its kind asks again."""

    def __init__(self, xfrm: Xfrm) -> None:
        self._xfrm = xfrm
        self._asked: list[_Asked] = []

    @property
    def tunnels(self) -> tuple[str, ...]:
        """Those that wait for an SA."""
        return tuple(dict.fromkeys(each.tunnel.path.name for each in self._asked))

    def add(self, tunnel: KernelTunnel, notice: Acquired, now: float) -> None:
        """A packet asked. The kernel forgets it by itself after a while."""
        self._asked.append(_Asked(tunnel, notice, now + _KEPT))

    def forget(self, tunnel: str) -> None:
        """The tunnel has its SA: what was kept is not needed."""
        self._drop([each for each in self._asked if each.tunnel.path.name == tunnel])

    def later(self, tunnel: str, now: float) -> None:
        """No SA came: a second from now the next packet may ask again."""
        for each in self._asked:
            if each.tunnel.path.name == tunnel:
                each.due = min(each.due, now + ACQUIRE_SPACING)

    def tick(self, now: float) -> None:
        """Give up what is due."""
        self._drop([each for each in self._asked if now >= each.due])

    def clear(self) -> None:
        """Give up all of it."""
        self._drop(list(self._asked))

    def _drop(self, given_up: list[_Asked]) -> None:
        for each in given_up:
            self._asked.remove(each)
            notice, template = each.notice, each.notice.policy.template
            if template is None or notice.destination is None:
                continue
            # What has no SPI cannot be deleted, so it is given one first.
            with suppress(LocalError):
                spi = self._xfrm.allocate(
                    notice.source,
                    notice.destination,
                    template.reqid,
                    LOWEST,
                    HIGHEST,
                    mode=template.mode,
                    sequence=notice.sequence,
                    interface=notice.policy.key.interface,
                )
                self._xfrm.remove_state(notice.destination, spi)


def asked(tunnel: KernelTunnel, index: int, notice: Acquired) -> Acquire:
    """The report to the engine. Of a GRE tunnel the kernel shows the packet around the one that was sent."""
    selector = notice.selector
    ends = [str(each) if each is not None else "" for each in (selector.source, selector.destination)]
    ports = []
    for port, mask in (selector.source_port, selector.destination_port):
        ports.append((port, port) if mask and selector.protocol in _WITH_PORTS else ANY_PORTS)
    local, remote = (
        SelectorFact(start=end, end=end, protocol=selector.protocol, start_port=first, end_port=last)
        for end, (first, last) in zip(ends, ports, strict=True)
    )
    return Acquire(
        tunnel=tunnel.path.name,
        index=index,
        packet=(local, remote),
        inner_source=ends[0],
        inner_destination=ends[1],
        inner_protocol=selector.protocol,
    )
