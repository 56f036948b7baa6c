"""The ESP SAs and policies of one router in the kernel, kept as `kernel_spd` says they have to be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import msgspec

from ikescope.config.model import Address
from ikescope.engine.commands import Destination, EspKeys, InstallSa, UpdatePath
from ikescope.errors import LocalError
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes import kernel_host, kernel_sas
from ikescope.planes.kernel_spd import NUMBERS, KernelTunnel, Sa, first_of, selectors_of
from ikescope.planes.xfrm_policy import Action, Policy, PolicyKey
from ikescope.planes.xfrm_socket import Xfrm
from ikescope.planes.xfrm_state import StateSeen, moved
from ikescope.planes.xfrm_wire import Limits

Direction = Literal["in", "out"]
Key = tuple[Direction, str, int]
"""Direction, tunnel, SPI."""
_NO_KEYS = EspKeys(b"", b"")
_SKIPPED = 1024
"""Sequence numbers left out when an outbound SA moves: packets that another processor was sending meanwhile."""


class Table:
    """What stands in the kernel for a router. Each call leaves it whole or raises LocalError and takes back."""

    def __init__(self, xfrm: Xfrm, tunnels: Mapping[str, KernelTunnel], slot: int, first: int) -> None:
        """`first`: the first number of the slot for outbound SAs."""
        self._xfrm, self._tunnels = xfrm, dict(tunnels)
        self._taken = {number for tunnel in tunnels.values() for number in tunnel.numbers}
        self._lowest, self._first, self._end = first_of(slot) + 1, first, first_of(slot) + NUMBERS
        self._next = first
        self._policies: dict[str, dict[PolicyKey, Policy]] = {name: {} for name in tunnels}
        self._owners: dict[PolicyKey, KernelTunnel] = {}
        self.sas: dict[Key, Sa] = {}

    def find(self, spi: int, direction: Direction) -> Sa | None:
        """The SA of that SPI."""
        return next((sa for (way, _, number), sa in self.sas.items() if (way, number) == (direction, spi)), None)

    def owner(self, key: PolicyKey) -> KernelTunnel | None:
        """The tunnel whose policy that is."""
        return self._owners.get(key)

    # --- tunnels

    def add(self, path: TunnelPath) -> KernelTunnel:
        """A further tunnel, with numbers of its own; `apply` puts up its policies. LocalError: none are left."""
        tunnel = KernelTunnel(path, self._room(max(1, len(path.selectors))))
        self._tunnels[path.name], self._policies[path.name] = tunnel, {}
        self._taken.update(tunnel.numbers)
        return tunnel

    def lead(self, path: TunnelPath) -> KernelTunnel:
        """Go on with a tunnel as it is now: what no selector of it covers any more carries nothing."""
        tunnel = self._tunnels[path.name]
        start = self._room(max(1, len(path.selectors)))
        fresh = range(start, start + max(1, len(path.selectors)))
        self._taken.difference_update(tunnel.numbers)
        tunnel.follow(path, fresh)
        self._taken.update(tunnel.numbers)
        self._reindex(tunnel)
        self.apply(tunnel)
        return tunnel

    def _reindex(self, tunnel: KernelTunnel) -> None:
        for key, sa in [*self.sas.items()]:
            if sa.command.tunnel != tunnel.path.name:
                continue
            self.sas[key] = after = replace(sa, index=tunnel.entry_of(sa.command))
            uncovered = sa.index is not None and after.index is None
            for held in (tunnel.carriers, tunnel.inbound):
                if sa in held:
                    held[held.index(sa)] = after
                    if uncovered:
                        held.remove(after)

    def drop(self, name: str) -> None:
        """A tunnel is there no more; its SAs were removed before."""
        tunnel = self._tunnels.pop(name)
        self._taken.difference_update(tunnel.numbers)
        for key in self._policies.pop(name):
            with suppress(LocalError):
                self._xfrm.remove_policy(key)
            self._owners.pop(key, None)

    def _room(self, count: int) -> int:
        """The first of so many numbers in a row that nobody has."""
        used = self._taken | {sa.reqid for sa in self.sas.values()}
        start = self._lowest
        while start + count <= self._end:
            blocking = [number for number in range(start, start + count) if number in used]
            if not blocking:
                return start
            start = blocking[-1] + 1
        raise LocalError("no numbers are left in the kernel for another tunnel")

    # --- policies

    def guard(self) -> None:
        """Put up the policies that hold back what no SA protects, and ask for one."""
        for tunnel in self._tunnels.values():
            self.apply(tunnel)

    def apply(self, tunnel: KernelTunnel) -> None:
        """Make the tunnel's policies those that it needs now: what is new first, what goes last."""
        wanted, have = tunnel.wanted(), self._policies[tunnel.path.name]
        for key, policy in wanted.items():
            if key not in have:
                self._xfrm.add_policy(key, policy)
                have[key] = policy
                self._owners[key] = tunnel
        for key, policy in wanted.items():
            if have[key] != policy:
                self._xfrm.update_policy(key, policy)
                have[key] = policy
        for key in [key for key in have if key not in wanted]:
            self._xfrm.remove_policy(key)
            del have[key], self._owners[key]

    # --- SAs

    def install(self, command: InstallSa) -> None:
        """Install one ESP SA; an outbound one carries nothing yet."""
        key: Key = (command.direction, command.tunnel, command.spi)
        tunnel = self._tunnels.get(command.tunnel)
        known = key in self.sas if command.direction == "out" else self.find(command.spi, "in") is not None
        why = kernel_sas.refusal(command, tunnel, known)
        if why or tunnel is None:
            raise LocalError(why)
        index = tunnel.entry_of(command)
        reqid = tunnel.reqid(index) if command.direction == "in" else self._number()
        sa = Sa(command, command.path, command.udp, reqid, index, selectors_of(command))
        kernel_sas.put(self._xfrm, kernel_sas.state(sa, tunnel))
        # From here on the keys are the kernel's alone.
        self.sas[key] = sa = replace(sa, command=msgspec.structs.replace(command, keys=_NO_KEYS))
        if command.direction == "in":
            tunnel.inbound.insert(0, sa)
            try:
                self.apply(tunnel)
            except LocalError:
                self.remove(key)
                raise

    def _number(self) -> int:
        """A reqid that no outbound SA of ours has."""
        used = {sa.reqid for sa in self.sas.values()} | self._taken
        while self._next in used or self._next >= self._end:
            self._next = self._next + 1 if self._next + 1 < self._end else self._first
        self._next += 1
        return self._next - 1

    def switch(self, tunnel: str, spi: int) -> Sa | None:
        """From now on the tunnel's packets leave by this SA, where they match it; None where it is not there."""
        sa = self.sas.get(("out", tunnel, spi))
        if sa is None:
            return None
        own = self._tunnels[tunnel]
        own.carriers = [sa, *(other for other in own.carriers if other is not sa)]
        self.apply(own)
        return sa

    def remove(self, key: Key) -> tuple[Sa, StateSeen | None] | None:
        """Take an SA out; what it was, and its last counters where the kernel still had it."""
        sa = self.sas.pop(key, None)
        if sa is None:
            return None
        tunnel = self._tunnels[sa.command.tunnel]
        tunnel.carriers = [other for other in tunnel.carriers if other is not sa]
        tunnel.inbound = [other for other in tunnel.inbound if other is not sa]
        self.apply(tunnel)
        seen = self._xfrm.state(sa.remote, sa.command.spi)
        self._xfrm.remove_state(sa.remote, sa.command.spi)
        return sa, seen

    # --- another path

    def repath(self, command: UpdatePath) -> None:
        """Let the SAs of a Child SA follow its peer; keys, numbers and windows stay."""
        first = self.sas.get(("out", command.tunnel, command.spi))
        if first is None:
            return
        tunnel = self._tunnels[command.tunnel]
        both = [
            (key, sa)
            for key, sa in self.sas.items()
            if (sa.command.tunnel, sa.command.reqid) == (command.tunnel, first.command.reqid)
        ]
        for key, sa in both:
            if (sa.path, sa.udp) != (command.path, command.udp):
                self._move(key, sa, tunnel, command.path, command.udp)
        before, tunnel.remote = tunnel.remote, command.path.remote
        self.apply(tunnel)
        if tunnel.path.gre and tunnel.remote != before:
            kernel_host.lead_device(tunnel, tunnel.remote)

    def _move(self, key: Key, sa: Sa, tunnel: KernelTunnel, path: Destination, udp: bool) -> None:
        after = replace(sa, path=path, udp=udp)
        ports = kernel_sas.udp_ports(sa.command, path, udp)
        ends = (path.local, path.remote) if key[0] == "out" else (path.remote, path.local)
        near = (sa.path.local, sa.path.remote) == (path.local, path.remote) and sa.udp == udp
        seen = self._xfrm.state(sa.remote, sa.command.spi)
        if seen is not None and near:
            self._xfrm.update_state(moved(seen, *ends, ports))
        elif seen is not None:
            self._add_again(sa, tunnel, ends, ports)
        self.sas[key] = after
        tunnel.carriers = [after if other is sa else other for other in tunnel.carriers]
        tunnel.inbound = [after if other is sa else other for other in tunnel.inbound]

    def _add_again(
        self, sa: Sa, tunnel: KernelTunnel, ends: tuple[Address, Address], ports: tuple[int, int] | None
    ) -> None:
        """Take a state out and add it for another path; where it sends, nothing is sent in between."""
        if sa in tunnel.carriers:
            self._block(tunnel, sa)
        seen = self._xfrm.state(sa.remote, sa.command.spi)
        if seen is None:
            return
        skipped = _SKIPPED if sa.command.direction == "out" else 0
        self._xfrm.remove_state(sa.remote, sa.command.spi)
        self._xfrm.add_state(moved(seen, *ends, ports, skipped=skipped))

    def _block(self, tunnel: KernelTunnel, sa: Sa) -> None:
        have = self._policies[tunnel.path.name]
        for key, policy in have.items():
            if policy.template is not None and policy.template.reqid == sa.reqid:
                have[key] = blocked = replace(policy, action=Action.BLOCK)
                self._xfrm.update_policy(key, blocked)

    def prolong(self, sa: Sa, seen: StateSeen, seconds: int) -> None:
        """Let a state live that many seconds more: whoever keeps its lifetime still runs."""
        limits: Limits = replace(seen.limits, hard_added=seen.limits.hard_added + seconds)
        self._xfrm.update_state(moved(seen, seen.source, seen.destination, seen.udp, limits))

    # --- all of it

    def look(self, many: int) -> dict[Key, StateSeen | None]:
        """Each SA as the kernel has it now; from `many` on by one listing."""
        if len(self.sas) < many:
            return {key: self._xfrm.state(sa.remote, sa.command.spi) for key, sa in self.sas.items()}
        listed = {(each.destination, each.spi): each for each in self._xfrm.states()}
        return {key: listed.get((sa.remote, sa.command.spi)) for key, sa in self.sas.items()}

    def see(self, sa: Sa) -> StateSeen | None:
        """An SA as the kernel has it now."""
        return self._xfrm.state(sa.remote, sa.command.spi)

    def clear(self) -> None:
        """Take every policy and every SA out, whatever fails."""
        for have in self._policies.values():
            for key in have:
                with suppress(LocalError):
                    self._xfrm.remove_policy(key)
            have.clear()
        self._owners.clear()
        for sa in self.sas.values():
            with suppress(LocalError):
                self._xfrm.remove_state(sa.remote, sa.command.spi)
        self.sas.clear()
