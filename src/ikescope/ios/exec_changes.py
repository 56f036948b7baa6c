"""What a change of the configuration means for a router that runs, and lines without the secrets in them."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ikescope.config.model import Address, KeyringPeer, RouterConfig
from ikescope.ios.configuration_foreign import redact
from ikescope.node.status import NodeStatus

NEW_SAS = "% Lifetimes act now, the rest on new SAs: `clear crypto ikev2 sa` brings it to those that stand."

_KEY_LINE = re.compile(r"^(\s*(?:do\s+|no\s+)*pre\S*)\s+.*$", re.IGNORECASE)
_AUTHENTICATION_KEY = re.compile(r"^(\s*(?:no\s+)?aut\S*\s+\S+\s+\S+)\s+.*$", re.IGNORECASE)
_LOGIN = re.compile(
    r"^(\s*(?:no\s+)?(?:en\S*|u\S*\s+\S+(?:\s+p[^a]\S*\s+\d+)?)(?:\s+a\S*\s+\S+)?\s+(?:se|pa)\S*)\s+.*$", re.I
)


def without_secrets(line: str) -> str:
    """A line as it may be shown: what follows a keyword that announces a key, abbreviated too, is gone."""
    line = _LOGIN.sub(r"\1 <removed>", _KEY_LINE.sub(r"\1 <removed>", line))
    return redact(_AUTHENTICATION_KEY.sub(r"\1 <removed>", line))


def made_at_host(config: RouterConfig) -> object:
    """What of a configuration decides about devices, addresses, routes and selectors: the same, and none changes."""
    return (
        {name: msgspec.structs.replace(each, description="", line=0) for name, each in config.tunnels.items()},
        {name: (each.addresses, each.shutdown, each.vrf) for name, each in config.interfaces.items()},
        {name: each.entries for name, each in config.access_lists.items()},
        tuple((route.prefix, route.interface, route.next_hop, route.distance, route.vrf) for route in config.routes),
        {name: each.transform_sets for name, each in config.ipsec_profiles.items()},
        config.transform_sets,
        config.df_bit,
    )


def _agreed(config: RouterConfig, status: NodeStatus) -> object:
    """What the SAs that stand were negotiated with, as far as a configuration says it; lifetimes are no part of it."""
    remotes = [sa.remote for sa in status.ike]
    profiles = [config.profiles[name] for name in {sa.profile for sa in status.ike if sa.profile in config.profiles}]
    rings = [config.keyrings[each.keyring] for each in profiles if each.keyring in config.keyrings]
    tunnels = [config.tunnels[name] for name in {sa.tunnel for sa in status.children if sa.tunnel in config.tunnels}]
    protection = [config.ipsec_profiles.get(each.ipsec_profile or "") for each in tunnels]
    sets = {name for each in protection if each is not None for name in each.transform_sets}
    return (
        {each.name: _bare(each, "lifetime") for each in profiles},
        {each.name: [_bare(peer) for peer in each.peers if _concerns(peer, remotes)] for each in rings},
        {name: _bare(each) for name, each in config.policies.items()},
        {
            n: _bare(p)
            for n, p in config.proposals.items()
            if any(n in each.proposals for each in config.policies.values())
        },
        {
            each.name: _bare(each, "lifetime_seconds", "lifetime_kilobytes", "own")
            for each in protection
            if each is not None
        },
        {name: _bare(each) for name, each in config.transform_sets.items() if name in sets},
    )


def _bare(item: Any, *without: str) -> Any:
    """An item without its places in the file and what else is not compared, as names and values."""
    if isinstance(item, tuple):
        return tuple(_bare(each) for each in item)
    if not isinstance(item, msgspec.Struct):
        return item
    names = [name for name in item.__struct_fields__ if name not in ("line", "description", *without)]
    return [(name, _bare(getattr(item, name))) for name in names]


def _concerns(peer: KeyringPeer, remotes: list[Address]) -> bool:
    """Whether a key may be that of a peer we have an SA with."""
    network = peer.address
    if network is None:
        return peer.identity is not None or peer.hostname is not None
    return any(each.version == network.version and each in network for each in remotes)


def consequences(before: RouterConfig, after: RouterConfig, status: NodeStatus) -> list[str]:
    """What the operator must do so that a change acts in full; nothing where it does at once, or where no SA that
    stands was negotiated with what changed.
    """
    return [NEW_SAS] if status.ike and _agreed(before, status) != _agreed(after, status) else []
