"""Traffic selectors: what a tunnel protects, and narrowing what a peer proposes to it (RFC 7296 section 2.9).

Local and remote are as this router sees them: the initiator's TSi is its local and the responder's remote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

import msgspec

from ikescope.config.model import AccessEntry, Address, RouterConfig, Tunnel
from ikescope.errors import LocalError, PeerError
from ikescope.events.base import SelectorFact, Tried
from ikescope.policy.ranges import (
    GRE,
    Part,
    Range,
    closeness,
    covers,
    maximal,
    of_fact,
    of_network,
    overlap,
    parting,
    parting_text,
    text,
    to_fact,
)
from ikescope.wire import TrafficSelector
from ikescope.wire.registry import NotifyType

__all__ = [
    "Matcher",
    "Narrowed",
    "SelectorRefusal",
    "Selectors",
    "exceeding",
    "from_wire",
    "matcher",
    "matches",
    "narrow",
    "subset",
    "substitute",
    "text",
    "to_wire",
    "tunnel_selectors",
]


class Selectors(msgspec.Struct, frozen=True):
    """The selectors of one Child SA: traffic goes from any of `local` to any of `remote`, and back."""

    local: tuple[SelectorFact, ...]
    remote: tuple[SelectorFact, ...]


class Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    """What is agreed out of a peer's proposal: `selectors`, covered by our own pair `index`.

    `narrowed`: it is less than was proposed. `additional`: another own pair would admit a part of the rest
    (ADDITIONAL_TS_POSSIBLE). `tried` holds every own pair that was looked at.
    """

    index: int
    selectors: Selectors
    narrowed: bool
    additional: bool
    why: str
    tried: tuple[Tried, ...] = ()


class SelectorRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """No part of the proposal is ours (TS_UNACCEPTABLE).

    `nearest` is the own pair that came closest (None: we have none) and `expected` that pair; `axis` the side on which
    nothing is common, with what was proposed there and what our pair has, in words; `part` is what parts the closest
    two selectors there, `closest` those two, theirs first.
    """

    nearest: int | None
    axis: Literal["local", "remote"] | None
    found: str
    wanted: str
    why: str
    expected: Selectors | None = None
    part: Part | None = None
    closest: tuple[SelectorFact, SelectorFact] | None = None
    tried: tuple[Tried, ...] = ()


class SelectorError(PeerError):
    """A selector whose range is upside down (INVALID_SYNTAX: a value is out of range)."""

    notify = NotifyType.INVALID_SYNTAX
    section = "RFC 7296 section 3.13.1"


_ANY4, _ANY6 = SelectorFact("0.0.0.0", "255.255.255.255"), SelectorFact("::", str(IPv6Address(2**128 - 1)))
_ANY: dict[str, tuple[SelectorFact, ...]] = {
    "ipsec ipv4": (_ANY4,),
    "ipsec ipv6": (_ANY6,),
    "ipsec ipv4 v6-overlay": (_ANY6,),
    "ipsec ipv6 v4-overlay": (_ANY4,),
    "ipsec dual-overlay": (_ANY4, _ANY6),
}


def tunnel_selectors(config: RouterConfig, tunnel: Tunnel, *, local: Address | None = None) -> tuple[Selectors, ...]:
    """The selector pairs of a tunnel; their positions are the `index` of engine and planes.

    GRE: from the tunnel's source to its destination, protocol 47. `ipsec` modes: everything of what it carries (one
    Child SA for both families of a dual overlay), or one pair for each permit line of the policy's access-list.
    `local` stands in for a source address that the file does not say. LocalError where source, destination or
    access-list is missing.
    """
    anything = _ANY.get(tunnel.mode)
    if anything is None:
        return (_gre_pair(tunnel, local or tunnel.source_address),)
    if tunnel.policy_acl is None:
        return (Selectors(anything, anything),)
    acl = config.access_lists.get(tunnel.policy_acl)
    if acl is None:
        raise LocalError(
            f"interface {tunnel.name} (line {tunnel.line}): there is no access-list {tunnel.policy_acl};"
            f" write `ip access-list extended {tunnel.policy_acl}` with a permit line for each selector"
        )
    pairs = tuple(_entry_pair(entry) for entry in acl.entries if entry.permit)
    if not pairs:
        raise LocalError(
            f"access-list {acl.name} (line {acl.line}) has no permit line; interface {tunnel.name} needs one for each"
            " selector"
        )
    return pairs


def _gre_pair(tunnel: Tunnel, source: Address | None) -> Selectors:
    for what, address in (("source", source), ("destination", tunnel.destination)):
        if address is None:
            raise LocalError(
                f"interface {tunnel.name} (line {tunnel.line}) has no address for its tunnel {what};"
                f" write `tunnel {what} A.B.C.D`"
            )
    return Selectors((_host(str(source)),), (_host(str(tunnel.destination)),))


def _host(address: str) -> SelectorFact:
    return SelectorFact(address, address, GRE)


def _entry_pair(entry: AccessEntry) -> Selectors:
    local = of_network(entry.source, entry.protocol, entry.source_ports)
    remote = of_network(entry.destination, entry.protocol, entry.destination_ports)
    return Selectors((to_fact(local),), (to_fact(remote),))


def to_wire(facts: Iterable[SelectorFact]) -> tuple[TrafficSelector, ...]:
    """Selectors in wire form, in their order."""
    return tuple(
        TrafficSelector.of_range(ip_address(one.start), ip_address(one.end), one.protocol, one.start_port, one.end_port)
        for one in facts
    )


def from_wire(selectors: Iterable[TrafficSelector]) -> tuple[SelectorFact, ...]:
    """A peer's selectors, without those of an unknown type; SelectorError where a range is upside down.

    ##= rfc7296#section-2.9
    ##% If the type of Traffic Selector proposed is unknown, the responder
    ##% ignores that Traffic Selector, so that the unknown type is not
    ##% returned in the narrowed set.
    """
    facts = []
    for one in selectors:
        if not one.readable:
            continue
        opaque = (one.start_port, one.end_port) == (65535, 0)
        if one.start > one.end or (one.start_port > one.end_port and not opaque):
            raise SelectorError(
                f"traffic selector {one.first}-{one.last} ports {one.start_port}-{one.end_port}:"
                " the range ends before it starts",
                found=f"{one.first}-{one.last} ports {one.start_port}-{one.end_port}",
            )
        facts.append(SelectorFact(str(one.first), str(one.last), one.protocol, one.start_port, one.end_port))
    return tuple(facts)


def substitute(facts: Sequence[SelectorFact], address: Address) -> tuple[SelectorFact, ...]:
    """Selectors of transport mode with another address in the place of the one that all of them have.

    Those that name more than one address are no transport mode's and stay as they are.

    ##= rfc7296#section-2.23.1
    ##% For
    ##% transport mode, it MUST use exactly one IP address in the TSi and TSr
    ##% payloads.
    """
    ends = {end for one in facts for end in (one.start, one.end)}
    if len(ends) != 1 or ip_address(next(iter(ends))).version != address.version:
        return tuple(facts)
    text = str(address)
    return tuple(msgspec.structs.replace(one, start=text, end=text) for one in facts)


class _Side(msgspec.Struct, frozen=True):
    """One side of a proposal against one side of an own pair."""

    common: tuple[Range, ...]
    first: bool
    whole: bool
    equal: bool
    spare: int
    size: int


def _side(first: Range | None, proposed: Sequence[Range], own: Sequence[Range]) -> _Side:
    """`first` is the packet's own selector; `proposed` is without those that others of it cover."""
    common = tuple(part for mine in proposed for each in own if (part := overlap(mine, each)) is not None)
    return _Side(
        common=common,
        first=first is not None and any(covers(each, first) for each in own),
        whole=all(any(covers(each, mine) for each in own) for mine in proposed),
        equal=set(proposed) == set(own),
        spare=sum(each.size for each in own),
        size=sum(each.size for each in common),
    )


class _Fit(msgspec.Struct, frozen=True):
    """How well one own pair fits a proposal."""

    index: int
    local: _Side
    remote: _Side

    @property
    def acceptable(self) -> bool:
        return bool(self.local.common and self.remote.common)

    @property
    def whole(self) -> bool:
        return self.local.whole and self.remote.whole

    @property
    def rank(self) -> tuple[bool, bool, bool, int, int]:
        """Greater is better: the first selectors admitted, equal, nothing narrowed, the tightest of ours, the most."""
        first = self.local.first and self.remote.first
        equal = self.local.equal and self.remote.equal
        tight = -self.local.spare * self.remote.spare if self.whole else 0
        return first, equal, self.whole, tight, self.local.size * self.remote.size


def narrow(
    proposed_local: Sequence[SelectorFact], proposed_remote: Sequence[SelectorFact], own: Sequence[Selectors]
) -> Narrowed | SelectorRefusal:
    """What we accept of a peer's proposal, by one of our own pairs: the intersection with it.

    The pair is one that admits the first selectors (the packet's own) whole, if there is one; among those the equal
    one, then the tightest that holds all, then the one with most in common; the earliest in a draw.

    ##= rfc7296#section-2.9
    ##% If the responder's policy allows it to accept the first selector
    ##% of TSi and TSr, then the responder MUST narrow the Traffic
    ##% Selectors to a subset that includes the initiator's first choices.
    """
    local, remote = [of_fact(one) for one in proposed_local], [of_fact(one) for one in proposed_remote]
    ranges = [([of_fact(one) for one in pair.local], [of_fact(one) for one in pair.remote]) for pair in own]
    first_local, first_remote = next(iter(local), None), next(iter(remote), None)
    wide_local, wide_remote = maximal(local), maximal(remote)
    fits = [
        _Fit(at, _side(first_local, wide_local, mine), _side(first_remote, wide_remote, theirs))
        for at, (mine, theirs) in enumerate(ranges)
    ]
    acceptable = [fit for fit in fits if fit.acceptable]
    if not acceptable:
        return _refusal(local, remote, own, ranges, fits)
    best = max(acceptable, key=lambda fit: fit.rank)
    agreed = Selectors(_facts(maximal(best.local.common)), _facts(maximal(best.remote.common)))
    why = _why(best, own[best.index])
    tried = tuple(
        Tried(_pair_text(own[fit.index]), fit is best, why if fit is best else _loss(fit, best, local, remote, ranges))
        for fit in fits
    )
    return Narrowed(
        index=best.index,
        selectors=agreed,
        narrowed=not best.whole,
        additional=not best.whole and len(acceptable) > 1,
        why=why,
        tried=tried,
    )


def _facts(ranges: Iterable[Range]) -> tuple[SelectorFact, ...]:
    return tuple(to_fact(one) for one in ranges)


def _texts(facts: Iterable[SelectorFact]) -> str:
    return ", ".join(map(text, facts)) or "none"


def _pair_text(pair: Selectors) -> str:
    return f"{_texts(pair.local)} -> {_texts(pair.remote)}"


def _why(best: _Fit, pair: Selectors) -> str:
    name = f"our selector {best.index} ({_pair_text(pair)})"
    if best.local.equal and best.remote.equal:
        return f"{name} equals the proposal."
    if best.whole:
        return f"{name} holds the whole proposal."
    if best.local.first and best.remote.first:
        return f"{name} holds the first selectors of the proposal; the rest is narrowed to it."
    return f"{name} holds a part of the proposal, which is narrowed to it."


_Sides = tuple[list[Range], list[Range]]


def _loss(fit: _Fit, best: _Fit, local: Sequence[Range], remote: Sequence[Range], ranges: Sequence[_Sides]) -> str:
    if not fit.acceptable:
        return _miss(fit, local, remote, ranges[fit.index])[1]
    for better, loss in zip(
        zip(best.rank, fit.rank, strict=True),
        ("it does not hold the first selectors", "another equals the proposal", "it does not hold all", *("",) * 2),
        strict=True,
    ):
        if better[0] != better[1]:
            return loss or "another is nearer in size"
    return "an earlier one fits as well"


def _miss(
    fit: _Fit, local: Sequence[Range], remote: Sequence[Range], own: _Sides
) -> tuple[Literal["local", "remote"], str]:
    """The side on which nothing is common, and the closest look at it."""
    side: Literal["local", "remote"] = "remote" if fit.local.common else "local"
    proposed, mine = (remote, own[1]) if side == "remote" else (local, own[0])
    return side, f"{side}: {parting_text(proposed, mine)}"


def _refusal(
    local: Sequence[Range],
    remote: Sequence[Range],
    own: Sequence[Selectors],
    ranges: Sequence[_Sides],
    fits: Sequence[_Fit],
) -> SelectorRefusal:
    if not fits:
        found = f"{_texts(_facts(local))} -> {_texts(_facts(remote))}"
        why = "no tunnel with selectors is configured for this peer."
        return SelectorRefusal(nearest=None, axis=None, found=found, wanted="none", why=why)
    nearest = max(fits, key=lambda fit: _closeness(fit, local, remote, ranges[fit.index]))
    axis, miss = _miss(nearest, local, remote, ranges[nearest.index])
    pair = own[nearest.index]
    proposed, expected = (local, pair.local) if axis == "local" else (remote, pair.remote)
    closest = parting(proposed, ranges[nearest.index][axis == "remote"])
    return SelectorRefusal(
        nearest=nearest.index,
        axis=axis,
        found=_texts(_facts(proposed)),
        wanted=_texts(expected),
        why=f"The nearest of ours is selector {nearest.index} ({_pair_text(pair)}): {miss}.",
        expected=pair,
        part=None if closest is None else closest[0],
        closest=None if closest is None else (to_fact(closest[1]), to_fact(closest[2])),
        tried=tuple(
            Tried(_pair_text(own[fit.index]), False, _miss(fit, local, remote, ranges[fit.index])[1]) for fit in fits
        ),
    )


def _closeness(fit: _Fit, local: Sequence[Range], remote: Sequence[Range], own: _Sides) -> tuple[int, int]:
    sides = bool(fit.local.common) + bool(fit.remote.common)
    return sides, closeness(local, own[0]) + closeness(remote, own[1])


def exceeding(inner: Iterable[SelectorFact], outer: Iterable[SelectorFact]) -> SelectorFact | None:
    """The first selector of `inner` that does not lie whole within one of `outer`; None if all do."""
    whole = maximal(map(of_fact, outer))
    return next((one for one in inner if not any(covers(each, of_fact(one)) for each in whole)), None)


def subset(inner: Iterable[SelectorFact], outer: Iterable[SelectorFact]) -> bool:
    """Whether each selector of `inner` lies whole within one of `outer`: what an initiator checks in a response.

    An empty `inner` is not a narrowed set but a refusal in disguise: False.
    """
    parts = tuple(inner)
    return bool(parts) and exceeding(parts, outer) is None


Matcher = Callable[[Address, Address, int, "int | None", "int | None"], bool]
"""(source, destination, protocol, source port, destination port) of an outbound packet -> whether it is protected."""


def matcher(selectors: Selectors) -> Matcher:
    """A prepared `matches` for one pair, for many packets."""
    local, remote = [of_fact(one) for one in selectors.local], [of_fact(one) for one in selectors.remote]

    def test(source: Address, destination: Address, protocol: int, sport: int | None, dport: int | None) -> bool:
        return any(one.holds(source, protocol, sport) for one in local) and any(
            one.holds(destination, protocol, dport) for one in remote
        )

    return test


def matches(
    selectors: Selectors,
    source: IPv4Address | IPv6Address,
    destination: IPv4Address | IPv6Address,
    protocol: int,
    sport: int | None = None,
    dport: int | None = None,
) -> bool:
    """Whether an outbound packet is covered: its source by `local`, its destination by `remote`.

    Ports are None where the packet shows none (another protocol than TCP, UDP, SCTP; a later fragment): such a packet
    is covered by any port and by OPAQUE only.
    """
    return matcher(selectors)(source, destination, protocol, sport, dport)
