"""Who speaks to whom, and with what: policy, profile, key and tunnel for a peer, with what was tried (IOS's order)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeVar

import msgspec

from ikescope.config.model import (
    Address,
    Identity,
    IpsecProfile,
    Keyring,
    KeyringPeer,
    Policy,
    Profile,
    Proposal,
    RouterConfig,
    Secret,
    TransformSet,
    Tunnel,
)
from ikescope.errors import LocalError
from ikescope.events.base import LineTried, SelectorFact, Tried
from ikescope.policy.identity import (
    IdentityError,
    identity_from_wire,
    identity_matches,
    identity_text,
    identity_to_wire,
    identity_verdict,
    local_identity,
    match_text,
)
from ikescope.policy.selectors import Narrowed, Selectors, narrow, tunnel_selectors
from ikescope.wire.registry import IdType

__all__ = [
    "Connection",
    "Found",
    "IdentityError",
    "Key",
    "KeySearch",
    "PolicyMissing",
    "admits",
    "connection",
    "find_key",
    "find_policy",
    "find_profile",
    "identity_from_wire",
    "identity_matches",
    "identity_text",
    "identity_to_wire",
    "local_identity",
    "search_key",
    "tunnel_for",
    "tunnels_tried",
]

_OUR_FVRF = ("global", "any")


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """Everything to reach a tunnel's peer. `transport`: ESP transport mode is offered (GRE, every set in that mode)."""

    tunnel: Tunnel
    local: Address
    remote: Address
    profile: Profile
    policy: Policy
    proposals: tuple[Proposal, ...]
    ipsec: IpsecProfile
    sets: tuple[TransformSet, ...]
    selectors: tuple[Selectors, ...]
    transport: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The IKEv2 policy for a local address; `default_proposal` where it is the smart default."""

    policy: Policy
    proposals: tuple[Proposal, ...]
    default_proposal: bool
    tried: tuple[Tried, ...]


class Key(msgspec.Struct, frozen=True):
    """A pre-shared key; `block` is the keyring's peer block, None where the profile itself holds the key."""

    secret: Secret
    block: str | None
    keyring: str | None


class KeySearch(msgspec.Struct, frozen=True):
    """A search for a key: what was found, and each block that was looked at."""

    key: Key | None
    tried: tuple[Tried, ...]


class PolicyMissing(LocalError):
    """No IKEv2 policy speaks for a local address; `tried` says of each one why not."""

    def __init__(self, local: Address, tried: tuple[Tried, ...]) -> None:
        super().__init__(
            f"no crypto ikev2 policy speaks for local address {local}; write `match address local {local}`"
        )
        self.tried = tried


_Named = TypeVar("_Named")


def _resolve(names: Iterable[str], table: dict[str, _Named], what: str, where: str) -> tuple[_Named, ...]:
    found = []
    for name in names:
        item = table.get(name)
        if item is None:
            raise LocalError(f"{where}: there is no {what} {name}; define it or name another")
        found.append(item)
    return tuple(found)


def _only(names: Sequence[str], table: dict[str, _Named], what: str, where: str, command: str) -> _Named:
    if not names:
        raise LocalError(f"{where} names no {what}; write `{command}`")
    return _resolve(names[:1], table, what, where)[0]


def connection(config: RouterConfig, tunnel_name: str, *, local: Address | None = None) -> Connection:
    """What a tunnel needs to reach its peer; LocalError, one line, for the first thing that is missing.

    `local` is the address of the tunnel's source where the file does not say it.
    """
    tunnel = _only([tunnel_name], config.tunnels, "interface", "the configuration", "interface Tunnel0")
    where = f"interface {tunnel.name} (line {tunnel.line})"
    ipsec = _only(
        [tunnel.ipsec_profile] if tunnel.ipsec_profile else [],
        config.ipsec_profiles,
        "IPsec profile",
        where,
        "tunnel protection ipsec profile NAME",
    )
    where_ipsec = f"crypto ipsec profile {ipsec.name} (line {ipsec.line})"
    profile = _only(
        [ipsec.ikev2_profile] if ipsec.ikev2_profile else [],
        config.profiles,
        "IKEv2 profile",
        where_ipsec,
        "set ikev2-profile NAME",
    )
    source, remote = local or tunnel.source_address, tunnel.destination
    if remote is None or source is None:
        what, form = ("source", "INTERFACE") if source is None else ("destination", "A.B.C.D")
        raise LocalError(f"{where} has no address for its tunnel {what}; write `tunnel {what} {form}`")
    _usable(profile)
    found = find_policy(config, source)
    sets = _resolve(ipsec.transform_sets, config.transform_sets, "transform-set", where_ipsec)
    if not sets:
        raise LocalError(f"{where_ipsec} has no transform-set; write `set transform-set NAME`")
    return Connection(
        tunnel=tunnel,
        local=source,
        remote=remote,
        profile=profile,
        policy=found.policy,
        proposals=found.proposals,
        ipsec=ipsec,
        sets=sets,
        selectors=tunnel_selectors(config, tunnel, local=source),
        transport=tunnel.mode.startswith("gre") and all(one.transport for one in sets),
    )


def _usable(profile: Profile) -> None:
    fault = _incomplete(profile)
    if fault:
        raise LocalError(f"crypto ikev2 profile {profile.name} (line {profile.line}) {fault}")


def _incomplete(profile: Profile) -> str:
    """Why a profile speaks to nobody; empty if it does."""
    faults = (
        (profile.shutdown, "is shut down; write `no shutdown`"),
        (profile.auth_local is None, "has no local authentication; write `authentication local pre-share`"),
        (not profile.auth_remote, "has no remote authentication; write `authentication remote pre-share`"),
        (not profile.match_remote, "matches no identity; write `match identity remote address A.B.C.D`"),
    )
    return next((text for fault, text in faults if fault), "")


def find_policy(config: RouterConfig, local: Address) -> Found:
    """The IKEv2 policy for a local address: one that names it, then one that names none, then the smart default.

    PolicyMissing where none is left, LocalError where the one found names a proposal that does not exist.
    """
    tried: list[Tried] = []
    best: Policy | None = None
    for policy in sorted(config.policies.values(), key=_policy_order):
        why = _policy_miss(policy, local)
        taken = not why and best is None
        if taken:
            best = policy
        why = why or (_policy_why(policy, local) if taken else "another came first")
        tried.append(Tried(policy.name, taken, why, policy.line))
    if best is None:
        raise PolicyMissing(local, tuple(tried))
    where = f"crypto ikev2 policy {best.name} (line {best.line})"
    proposals = _resolve(best.proposals, config.proposals, "IKEv2 proposal", where)
    return Found(policy=best, proposals=proposals, default_proposal=best.smart_default, tried=tuple(tried))


def _policy_order(policy: Policy) -> tuple[bool, bool]:
    return policy.smart_default, not policy.match_local


def _policy_why(policy: Policy, local: Address) -> str:
    if policy.smart_default:
        return "the smart default, as no configured policy matches"
    return f"matches address local {local}" if policy.match_local else "matches any local address"


def _policy_miss(policy: Policy, local: Address) -> str:
    if policy.match_fvrf not in _OUR_FVRF:
        return f"fvrf had global, wanted {policy.match_fvrf}"
    if policy.match_local and local not in policy.match_local:
        return f"address local had {local}, wanted {', '.join(map(str, policy.match_local))}"
    return "" if policy.proposals else "has no proposal"


def find_profile(
    config: RouterConfig, identity: Identity, local: Address, remote: Address
) -> tuple[Profile | None, tuple[Tried, ...]]:
    """The first profile in the order of the file that admits a peer's identity, and all that were tried.

    `remote` is where the peer sends from: a near miss says where only an address and not the identity would have fit.
    """
    tried: list[Tried] = []
    best: Profile | None = None
    for profile in config.profiles.values():
        look = admits(profile, identity, local, remote)
        if look.taken and best is not None:
            why = f"matches as well, but {best.name} stands before it"
            look = msgspec.structs.replace(look, taken=False, why=why)
        elif look.taken:
            best = profile
        tried.append(look)
    return best, tuple(tried)


def admits(profile: Profile, identity: Identity, local: Address, remote: Address | None = None) -> Tried:
    """Whether one profile speaks to a peer of this identity at this local address, and why (not)."""
    name, at = profile.name, profile.line
    fault = _incomplete(profile)
    if fault:
        return Tried(name, False, fault, at)
    if profile.match_fvrf not in _OUR_FVRF:
        return Tried(name, False, f"fvrf had global, wanted {profile.match_fvrf}", at)
    if profile.match_local and local not in profile.match_local:
        wanted = ", ".join(map(str, profile.match_local))
        return Tried(name, False, f"address local had {local}, wanted {wanted}", at)
    lines: list[LineTried] = []
    for one in profile.match_remote:
        fits = identity_matches(one, identity)
        why = identity_verdict(one, identity, fits)
        lines.append(LineTried(one.line, f"match identity remote {match_text(one)}", fits, why))
        if fits:
            why = f"match identity remote {match_text(one)} admits {identity_text(identity)}"
            return Tried(name, True, why, at, tuple(lines))
    wanted = ", ".join(map(match_text, profile.match_remote))
    why = f"identity remote had {identity_text(identity)}, wanted {wanted}"
    by_address = remote is not None and any(
        one.network is not None and remote in one.network for one in profile.match_remote
    )
    if by_address:
        why += f"; its address {remote} would match, but it sends another identity"
    return Tried(name, False, why, at, tuple(lines))


Which = Literal["local", "remote"]


def find_key(
    config: RouterConfig, profile: Profile, remote: Address, identity: Identity | None, which: Which
) -> Key | None:
    """The key that authenticates us (`local`) or the peer (`remote`), None if there is none; see `search_key`."""
    return search_key(config, profile, remote, identity, which).key


def search_key(
    config: RouterConfig, profile: Profile, remote: Address, identity: Identity | None, which: Which
) -> KeySearch:
    """As `find_key`, with each block that was looked at.

    The profile's own key comes first; then in its keyring a block by the peer's identity (None: not known yet), by the
    longest prefix that holds its address (0.0.0.0/0 last), by hostname. A block without the key in question is passed.
    """
    own = profile.local_key if which == "local" else profile.remote_key
    if own is not None:
        held = Tried(f"profile {profile.name}", True, f"holds its own {which} key", profile.line)
        return KeySearch(Key(own, None, None), (held,))
    keyring = config.keyrings.get(profile.keyring) if profile.keyring else None
    if keyring is None:
        why = f"there is no keyring {profile.keyring}" if profile.keyring else "has neither a key nor a keyring"
        return KeySearch(None, (Tried(f"profile {profile.name}", False, why, profile.line),))
    ranked = sorted(_looks(keyring, remote, identity, which), key=lambda look: look.rank)
    best = next((look for look in ranked if look.secret is not None), None)
    tried = tuple(
        Tried(
            look.block.name,
            look is best,
            look.why if look is best or not look.secret else f"{look.why}, but not as closely",
            look.block.line,
            look.lines,
        )
        for look in ranked
    )
    key = None if best is None or best.secret is None else Key(best.secret, best.block.name, keyring.name)
    return KeySearch(key, tried)


class _Look(msgspec.Struct, frozen=True):
    """One peer block: its rank (lower is closer), its key if it matches, why (not), and each line of it."""

    rank: tuple[int, int]
    block: KeyringPeer
    secret: Secret | None
    why: str
    lines: tuple[LineTried, ...] = ()


def _looks(keyring: Keyring, remote: Address, identity: Identity | None, which: Which) -> Iterator[_Look]:
    for block in keyring.peers:
        secret = block.local_key if which == "local" else block.remote_key
        rank, why = _block_rank(block, remote, identity)
        if rank is None:
            yield _Look((9, 0), block, None, why, _block_lines(block, remote, identity))
        elif secret is None:
            missing = LineTried(block.line, f"pre-shared-key {which}", False, "there is none")
            yield _Look((8, 0), block, None, f"{why}, but has no {which} key", (missing,))
        else:
            yield _Look(rank, block, secret, why)


def _block_lines(block: KeyringPeer, remote: Address, identity: Identity | None) -> tuple[LineTried, ...]:
    """Each line of a block that does not fit, and why it does not."""
    lines = []
    if block.identity is not None:
        why = "the identity is not known yet" if identity is None else identity_verdict(block.identity, identity, False)
        lines.append((f"identity {match_text(block.identity)}", why))
    if block.address is not None:
        lines.append((f"address {block.address}", f"had {remote}"))
    if block.hostname is not None:
        why = "the identity is not known yet" if identity is None else f"had {identity_text(identity)}"
        lines.append((f"hostname {block.hostname}", why))
    return tuple(LineTried(block.line, text, False, why) for text, why in lines)


def _block_rank(block: KeyringPeer, remote: Address, identity: Identity | None) -> tuple[tuple[int, int] | None, str]:
    if block.identity is not None and identity is not None and identity_matches(block.identity, identity):
        return (0, 0), f"identity {match_text(block.identity)} admits {identity_text(identity)}"
    if block.address is not None and remote in block.address:
        return (1, -block.address.prefixlen), f"address {block.address} holds {remote}"
    named = identity is not None and identity.type == IdType.ID_FQDN and block.hostname is not None
    if identity is not None and named and identity.value.lower() == str(block.hostname).lower():
        return (2, 0), f"hostname {block.hostname} is the peer's identity"
    wanted = [
        *([f"identity {match_text(block.identity)}"] if block.identity else []),
        *([f"address {block.address}"] if block.address else []),
        *([f"hostname {block.hostname}"] if block.hostname else []),
    ]
    had = f"{remote}" if identity is None else f"{remote}, {identity_text(identity)}"
    return None, f"had {had}, wanted {' or '.join(wanted) or 'no peer at all'}"


def tunnels_tried(config: RouterConfig, local: Address, remote: Address) -> tuple[Tried, ...]:
    """Why each tunnel is none to a peer, those that come nearest first, at most `TUNNELS_TRIED` of them."""
    looks = []
    for tunnel in config.tunnels.values():
        away, why = 0, ""
        if tunnel.destination != remote:
            away, why = 3, f"tunnel destination had {remote}, wanted {tunnel.destination or 'none'}"
        elif tunnel.source_address not in (None, local):
            away, why = 2, f"tunnel source had {local}, wanted {tunnel.source_address}"
        elif tunnel.shutdown:
            away, why = 1, "is shut down"
        else:
            try:
                connection(config, tunnel.name, local=local)
            except LocalError as error:
                away, why = 1, str(error)
        looks.append((away, Tried(tunnel.name, not away, why or "speaks to this peer", tunnel.line)))
    return tuple(one for _, one in sorted(looks, key=lambda look: look[0])[:TUNNELS_TRIED])


TUNNELS_TRIED = 8


def tunnel_for(
    config: RouterConfig,
    local: Address,
    remote: Address,
    proposed_local: Sequence[SelectorFact] = (),
    proposed_remote: Sequence[SelectorFact] = (),
    *,
    profile: str | None = None,
) -> tuple[Connection, ...]:
    """The responder's tunnels to a peer: source and destination fit, and the IKEv2 profile where one is given.

    With a proposal, those whose selectors admit it come first, the others after them for their near misses. A tunnel
    that is shut down or lacks something does not fit.
    """
    fits = []
    for tunnel in config.tunnels.values():
        if tunnel.shutdown or tunnel.destination != remote or tunnel.source_address not in (None, local):
            continue
        try:
            one = connection(config, tunnel.name, local=local)
        except LocalError:
            continue
        if profile in (None, one.profile.name):
            fits.append(one)
    if not proposed_local or not proposed_remote:
        return tuple(fits)
    results = {one.tunnel.name: narrow(proposed_local, proposed_remote, one.selectors) for one in fits}
    return tuple(sorted(fits, key=lambda one: not isinstance(results[one.tunnel.name], Narrowed)))
