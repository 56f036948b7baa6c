"""What a change of the configuration means for a router that runs, and lines without the secrets in them."""

from __future__ import annotations

import re

import msgspec

from ikescope.config.model import RouterConfig
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
        {name: (each.addresses, each.shutdown) for name, each in config.interfaces.items()},
        {name: each.entries for name, each in config.access_lists.items()},
        tuple((route.prefix, route.interface, route.next_hop, route.distance) for route in config.routes),
        {name: each.transform_sets for name, each in config.ipsec_profiles.items()},
        config.transform_sets,
        config.df_bit,
    )


def _without_lifetimes(config: RouterConfig) -> object:
    return (
        config.proposals,
        config.policies,
        config.keyrings,
        {name: msgspec.structs.replace(each, lifetime=0) for name, each in config.profiles.items()},
        config.transform_sets,
        {name: msgspec.structs.replace(each, lifetime_seconds=0) for name, each in config.ipsec_profiles.items()},
    )


def consequences(before: RouterConfig, after: RouterConfig, status: NodeStatus) -> list[str]:
    """What the operator must do so that a change acts in full; nothing where it does at once."""
    told = []
    if status.ike and _without_lifetimes(before) != _without_lifetimes(after):
        told.append(NEW_SAS)
    return told
