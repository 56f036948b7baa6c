"""From what a router has made of its host to what another configuration makes of it: steps, in order, each with its
inverse.

The order: what may be refused comes before the engine hears of the change, and is taken back if a later step is
refused; what only takes away comes after it, when the Deletes have left. At no moment does a packet that routing puts
on a tunnel leave in clear: blackholes come first and go last, devices before the routes into them. Nothing here touches
a host, and no step names a tunnel that does not change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ikescope.config.model import Address, InterfaceAddress, Network
from ikescope.errors import LocalError
from ikescope.esp.tunnel import TunnelPath
from ikescope.planes.links import Changes, DeviceChange, RouteChange


@dataclass(frozen=True, slots=True)
class Layout:
    """What a configuration makes of a host: the tunnels' data paths by name, and all that is made around them."""

    paths: Mapping[str, TunnelPath] = field(default_factory=dict)
    changes: Changes = field(default_factory=lambda: Changes((), (), (), ()))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that the router receives on, each once."""
        return tuple(dict.fromkeys(path.source for path in self.paths.values()))

    @property
    def devices(self) -> dict[str, DeviceChange]:
        """The devices by name."""
        return {device.name: device for device in self.changes.devices}


@dataclass(frozen=True, slots=True)
class Blackhole:
    """A blackhole behind the routes to a prefix."""

    prefix: Network


@dataclass(frozen=True, slots=True)
class NoBlackhole:
    """It goes."""

    prefix: Network


@dataclass(frozen=True, slots=True)
class Vrf:
    """A VRF's device and its routing table."""

    name: str


@dataclass(frozen=True, slots=True)
class NoVrf:
    """They go."""

    name: str


@dataclass(frozen=True, slots=True)
class Loopback:
    """A Loopback's device, with its addresses."""

    device: DeviceChange


@dataclass(frozen=True, slots=True)
class NoLoopback:
    """It goes."""

    device: DeviceChange


@dataclass(frozen=True, slots=True)
class Listen:
    """IKE and ESP are received on a local address."""

    address: Address


@dataclass(frozen=True, slots=True)
class Leave:
    """No longer."""

    address: Address


@dataclass(frozen=True, slots=True)
class Open:
    """A tunnel and its device, with its addresses, up."""

    device: DeviceChange
    path: TunnelPath


@dataclass(frozen=True, slots=True)
class Close:
    """Its SAs and its device go."""

    device: DeviceChange
    path: TunnelPath


@dataclass(frozen=True, slots=True)
class Shape:
    """Addresses, MTU, IPv6 of a device that stays."""

    before: DeviceChange
    after: DeviceChange


@dataclass(frozen=True, slots=True)
class Lead:
    """Another way for the packets of a tunnel whose device stays."""

    before: TunnelPath
    after: TunnelPath


@dataclass(frozen=True, slots=True)
class Route:
    """A route into a device of ours."""

    route: RouteChange


@dataclass(frozen=True, slots=True)
class NoRoute:
    """It goes."""

    route: RouteChange


@dataclass(frozen=True, slots=True)
class Reroute:
    """A route that leads into another device from now on, in one stroke."""

    before: RouteChange
    after: RouteChange


Step = (
    Blackhole
    | NoBlackhole
    | Vrf
    | NoVrf
    | Loopback
    | NoLoopback
    | Listen
    | Leave
    | Open
    | Close
    | Shape
    | Lead
    | Route
    | NoRoute
    | Reroute
)


def undone(step: Step) -> Step:
    """What takes a step back."""
    match step:
        case Blackhole():
            return NoBlackhole(step.prefix)
        case NoBlackhole():
            return Blackhole(step.prefix)
        case Vrf():
            return NoVrf(step.name)
        case NoVrf():
            return Vrf(step.name)
        case Loopback():
            return NoLoopback(step.device)
        case NoLoopback():
            return Loopback(step.device)
        case Listen():
            return Leave(step.address)
        case Leave():
            return Listen(step.address)
        case Open():
            return Close(step.device, step.path)
        case Close():
            return Open(step.device, step.path)
        case Shape():
            return Shape(step.after, step.before)
        case Lead():
            return Lead(step.after, step.before)
        case Route():
            return NoRoute(step.route)
        case NoRoute():
            return Route(step.route)
        case Reroute():
            return Reroute(step.after, step.before)


@dataclass(frozen=True, slots=True)
class Steps:
    """`first`: before the engine hears of the change; `last`: after it; `later`: when no IKE SA needs the address any
    more.
    """

    first: tuple[Step, ...]
    last: tuple[Step, ...]
    later: tuple[Step, ...]

    def __bool__(self) -> bool:
        return bool(self.first or self.last or self.later)


def steps(before: Layout, after: Layout, listening: Collection[Address] = (), *, rebuilds: bool = False) -> Steps:
    """All that is to be done, nothing where both are the same.

    `listening`: the addresses that are received on now. `rebuilds`: a tunnel that leads elsewhere gets a new device
    (the kernel's devices bear mode and ends), and its routes again.
    """
    made = _Made(before, after, rebuilds)
    first = [
        *(Blackhole(prefix) for prefix in after.changes.blackholes if prefix not in before.changes.blackholes),
        *(Vrf(name) for name in after.changes.vrfs if name not in before.changes.vrfs),
        *made.loopbacks(),
        *(Listen(address) for address in after.addresses if address not in listening),
        *made.changed(),
        *made.opened(),
        *made.routed(),
        *made.rebuilt(),
    ]
    last = [
        *made.unrouted(),
        *(Close(before.devices[name], before.paths[name]) for name in before.paths if name not in after.paths),
        *(NoBlackhole(prefix) for prefix in before.changes.blackholes if prefix not in after.changes.blackholes),
    ]
    later: list[Step] = [Leave(address) for address in listening if address not in after.addresses]
    left = [NoVrf(name) for name in before.changes.vrfs if name not in after.changes.vrfs]
    return Steps(tuple(first), tuple(last), (*later, *made.loopbacks_left(), *left))


class _Made:
    """The parts of a difference."""

    def __init__(self, before: Layout, after: Layout, rebuilds: bool) -> None:
        self._before, self._after = before, after
        self._had, self._has = before.devices, after.devices
        kept = [name for name in after.paths if name in before.paths]
        elsewhere = [name for name in kept if rebuilds and self._leads_elsewhere(name)]
        self._rebuilt = dict.fromkeys(elsewhere)
        self._kept = [name for name in kept if name not in self._rebuilt]
        self._routes = {route.key: route for route in before.changes.routes}

    def _leads_elsewhere(self, name: str) -> bool:
        moved = self._had[name].vrf != self._has[name].vrf
        return moved or self._before.paths[name].leads_elsewhere(self._after.paths[name])

    def loopbacks(self) -> Iterator[Step]:
        """Loopbacks that are new; further addresses of the others."""
        for name, device in self._has.items():
            had = self._had.get(name)
            if device.loopback and had is None:
                yield Loopback(device)
            elif device.loopback and had is not None and had.vrf != device.vrf:
                yield from (NoLoopback(had), Loopback(device))
            elif device.loopback and had is not None and not set(device.addresses) <= set(had.addresses):
                yield Shape(had, _both(had, device))

    def loopbacks_left(self) -> Iterator[Step]:
        """Loopbacks, and addresses of Loopbacks, that are there no more."""
        for name, had in self._had.items():
            device = self._has.get(name)
            if had.loopback and device is None:
                yield NoLoopback(had)
            elif device is None or not had.loopback or had.vrf != device.vrf:
                continue
            elif not set(had.addresses) <= set(device.addresses):
                yield Shape(_both(had, device), device)

    def changed(self) -> Iterator[Step]:
        """Tunnels that stay: their devices and their ways."""
        for name in self._kept:
            if self._had[name] != self._has[name]:
                yield Shape(self._had[name], self._has[name])
            if self._before.paths[name] != self._after.paths[name]:
                yield Lead(self._before.paths[name], self._after.paths[name])

    def opened(self) -> Iterator[Step]:
        """Tunnels that are new."""
        for name, path in self._after.paths.items():
            if name not in self._before.paths:
                yield Open(self._has[name], path)

    def routed(self) -> Iterator[Step]:
        """Routes that are new, or lead into another device, but for those into one that is made anew."""
        for route in self._after.changes.routes:
            known = self._routes.get(route.key)
            if route.device in self._rebuilt or known == route:
                continue
            yield Route(route) if known is None else Reroute(known, route)

    def rebuilt(self) -> Iterator[Step]:
        """Devices that are made anew, with their routes."""
        has = {route.key: route for route in self._after.changes.routes}
        for name in self._rebuilt:
            for route in self._before.changes.routes:
                if route.device == name and has.get(route.key, route).device in self._rebuilt:
                    yield NoRoute(route)
            yield Close(self._had[name], self._before.paths[name])
            yield Open(self._has[name], self._after.paths[name])
        for route in self._after.changes.routes:
            if route.device in self._rebuilt:
                known = self._routes.get(route.key)
                stands = known is not None and known.device not in self._rebuilt
                yield Reroute(known, route) if stands and known is not None else Route(route)

    def unrouted(self) -> Iterator[Step]:
        """Routes that are there no more."""
        has = {route.key for route in self._after.changes.routes}
        for route in self._before.changes.routes:
            if route.key not in has and route.device not in self._rebuilt:
                yield NoRoute(route)


def _both(one: DeviceChange, other: DeviceChange) -> DeviceChange:
    """A device with the addresses of both."""
    addresses: tuple[InterfaceAddress, ...] = tuple(dict.fromkeys((*one.addresses, *other.addresses)))
    return replace(other, addresses=addresses, ipv6=one.ipv6 or other.ipv6)


def gives_up(step: Step) -> set[Address]:
    """The local addresses that are gone after a step."""
    match step:
        case Leave():
            return {step.address}
        case NoLoopback():
            return {each.ip for each in step.device.addresses} if step.device.vrf is None else set()
        case Shape():
            return {each.ip for each in step.before.addresses} - {each.ip for each in step.after.addresses}
    return set()


def carry_out(wanted: Iterable[Step], do: Callable[[Step], None]) -> None:
    """Take the steps; on a LocalError all that were taken are taken back, the last first, and it is raised."""
    done: list[Step] = []
    try:
        for step in wanted:
            do(step)
            done.append(step)
    except LocalError:
        for step in reversed(done):
            with suppress(LocalError):
                do(undone(step))
        raise
