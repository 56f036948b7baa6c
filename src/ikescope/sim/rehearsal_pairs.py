"""Which tunnel of one router is the other end of which of another, by their addresses; and which has no partner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

import msgspec

from ikescope.config.model import Address, RouterConfig, Tunnel
from ikescope.errors import LocalError
from ikescope.esp.paths import carried
from ikescope.policy.selectors import Selectors, tunnel_selectors


class Path(msgspec.Struct, frozen=True):
    """Two tunnels that are each other's end, and one pair of addresses that crosses them."""

    left: str
    left_tunnel: str
    right: str
    right_tunnel: str
    source: str
    destination: str

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.left} {self.left_tunnel} <-> {self.right} {self.right_tunnel}"


class Couple(msgspec.Struct, frozen=True):
    """Two tunnels between the same two addresses, each with its router."""

    left: RouterConfig
    one: Tunnel
    right: RouterConfig
    other: Tunnel


class Alone(msgspec.Struct, frozen=True):
    """A tunnel whose other end is in none of the files."""

    router: str
    tunnel: str
    source: str
    destination: str
    why: str


def located(configs: Sequence[RouterConfig]) -> tuple[list[RouterConfig], list[str]]:
    """The routers with the tunnel sources that a file leaves open and exactly one other end says; a line for each."""
    told: list[str] = []
    found = []
    for config in configs:
        tunnels = dict(config.tunnels)
        for tunnel in carried(config):
            if tunnel.source_address is not None:
                continue
            others = {
                other.destination
                for each in configs
                if each is not config
                for other in carried(each)
                if other.source_address == tunnel.destination and other.destination is not None
            }
            if len(others) == 1:
                (source,) = others
                tunnels[tunnel.name] = msgspec.structs.replace(tunnel, source_address=source)
                told.append(
                    f"{config.hostname} {tunnel.name}: its source is taken to be {source}, as the other end says."
                )
        found.append(msgspec.structs.replace(config, tunnels=tunnels))
    return found, told


def couples(configs: Sequence[RouterConfig]) -> list[Couple]:
    """Every pair of tunnels of one kind that name each other's address.

    Of several between the same addresses those whose selectors mirror each other belong together, the rest in order.
    """
    met = list(_met(configs))
    found = [one for one in met if _alike(one.one, one.other) and _mirrored(one)]
    taken = {end for one in found for end in _ends(one)}
    for one in met:
        if _kind(one.one) == _kind(one.other) and not taken & set(_ends(one)):
            found.append(one)
            taken |= set(_ends(one))
    order = {id(one): number for number, one in enumerate(met)}
    return sorted(found, key=lambda one: order[id(one)])


def paths(configs: Sequence[RouterConfig]) -> list[Path]:
    """One path for each pair of selectors of each couple."""
    return [path for couple in couples(configs) for path in _paths(couple)]


def mismatched(configs: Sequence[RouterConfig]) -> list[str]:
    """Tunnels that name each other's address and are of two kinds, a line each.

    IKE would narrow what the one takes to what the other has, and agree; and neither would understand the packets.
    """
    met = {end for one in couples(configs) for end in _ends(one)}
    return [
        f"{one.left.hostname} {one.one.name} has `tunnel mode {one.one.mode}`, {one.right.hostname} {one.other.name}"
        f" `tunnel mode {one.other.mode}`: they may agree, and carry nothing; write the same in both."
        for one in _met(configs)
        if one.one.mode != one.other.mode and not met & set(_ends(one))
    ]


def alone(configs: Sequence[RouterConfig]) -> list[Alone]:
    """The tunnels without a partner, and what they look for."""
    met = {end for one in couples(configs) for end in _ends(one)}
    found = []
    for config in configs:
        for tunnel in carried(config):
            if (config.hostname, tunnel.name) in met:
                continue
            source, destination = str(tunnel.source_address or "an unknown address"), str(tunnel.destination)
            if tunnel.source_address is None:
                why = "the file does not say the address of its source"
            else:
                why = f"no tunnel goes from {destination} to {source}"
                back = [one for one in _all(configs) if one[1].source_address == tunnel.destination]
                if back:
                    ends = ", ".join(f"{router} {other.name} goes to {other.destination}" for router, other in back)
                    why = f"{why}; {ends}"
            found.append(Alone(config.hostname, tunnel.name, source, destination, why))
    return found


def _all(configs: Sequence[RouterConfig]) -> Iterator[tuple[str, Tunnel]]:
    return ((config.hostname, tunnel) for config in configs for tunnel in carried(config))


def _met(configs: Sequence[RouterConfig]) -> Iterator[Couple]:
    for number, left in enumerate(configs):
        for right in configs[number + 1 :]:
            for one in carried(left):
                for other in carried(right):
                    if one.source_address is None or other.source_address is None:
                        continue
                    if (one.source_address, one.destination) == (other.destination, other.source_address):
                        yield Couple(left, one, right, other)


def _ends(couple: Couple) -> tuple[tuple[str, str], tuple[str, str]]:
    return (couple.left.hostname, couple.one.name), (couple.right.hostname, couple.other.name)


def _kind(tunnel: Tunnel) -> str:
    return tunnel.mode


def _alike(one: Tunnel, other: Tunnel) -> bool:
    return one.mode == other.mode and (one.policy_acl is None) == (other.policy_acl is None)


def _selectors(config: RouterConfig, tunnel: Tunnel) -> tuple[Selectors, ...]:
    try:
        return tunnel_selectors(config, tunnel)
    except LocalError:
        return ()


def _mirrored(couple: Couple) -> bool:
    if couple.one.policy_acl is None:
        return True
    pairs, others = _selectors(couple.left, couple.one), _selectors(couple.right, couple.other)
    return bool({(pair.local, pair.remote) for pair in pairs} & {(pair.remote, pair.local) for pair in others})


def _paths(couple: Couple) -> Iterator[Path]:
    left, one, right, other = couple.left, couple.one, couple.right, couple.other
    if one.mode.startswith("gre"):
        ends = [(_own(one, "10.0.0.1", other), _own(other, "10.0.0.2", one))]
    else:
        pairs = _selectors(left, one)
        if one.policy_acl is None and other.policy_acl is not None:
            # Of two ends that agree on the narrower list only that one names addresses.
            pairs = tuple(Selectors(pair.remote, pair.local) for pair in _selectors(right, other))
        ends = [_crossing(pair, one, other) for pair in pairs]
    for source, destination in ends:
        yield Path(left.hostname, one.name, right.hostname, other.name, source, destination)


def _own(tunnel: Tunnel, otherwise: str, partner: Tunnel) -> str:
    """A tunnel's own inner address; where it has none, a neighbour of its partner's."""
    own = next((str(address.ip) for address in tunnel.addresses if address.version == 4), None)
    if own is not None:
        return own
    theirs = next((address for address in partner.addresses if address.version == 4), None)
    if theirs is None:
        return otherwise
    return next((str(host) for host in theirs.network.hosts() if host != theirs.ip), otherwise)


def _crossing(pair: Selectors, one: Tunnel, other: Tunnel) -> tuple[str, str]:
    """Addresses inside a pair of selectors: the second of each range, or the tunnels' own where all are allowed."""
    local, remote = pair.local[0], pair.remote[0]
    if local.start == "0.0.0.0" and remote.start == "0.0.0.0":
        return _own(one, "10.0.0.1", other), _own(other, "10.0.0.2", one)
    return _inside(local.start, local.end), _inside(remote.start, remote.end)


def _inside(start: str, end: str) -> str:
    first: Address = ip_address(start)
    return str(first if start == end or start == "0.0.0.0" else first + 1)
