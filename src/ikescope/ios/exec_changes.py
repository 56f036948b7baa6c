"""What a change of the configuration means for a router that runs, and lines without the secrets in them."""

from __future__ import annotations

import re

import msgspec

from ikescope.config.model import RouterConfig, Tunnel
from ikescope.ios.configuration_foreign import redact
from ikescope.node.status import NodeStatus

RESTART = "% Interfaces, selectors and routes change when ikescope is started again; crypto settings act now."
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


def _shape(tunnel: Tunnel) -> Tunnel:
    """What of a tunnel is made at the host or handed to the data plane at its start."""
    return msgspec.structs.replace(tunnel, ipsec_profile=None, description="", line=0)


def _made_once(config: RouterConfig) -> object:
    used = {tunnel.policy_acl for tunnel in config.tunnels.values()}
    return (
        {name: _shape(tunnel) for name, tunnel in config.tunnels.items()},
        {name: (each.addresses, each.shutdown) for name, each in config.interfaces.items() if each.loopback},
        {name: each.entries for name, each in config.access_lists.items() if name in used},
        tuple((route.prefix, route.interface, route.next_hop, route.distance) for route in config.routes),
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
    if _made_once(before) != _made_once(after):
        told.append(RESTART)
    if status.ike and _without_lifetimes(before) != _without_lifetimes(after):
        told.append(NEW_SAS)
    return told
