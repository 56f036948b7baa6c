"""A remedy made exact with the configuration of the router that it speaks of: names that no log tells."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from ikescope.config.model import RouterConfig
from ikescope.explain.findings.draft import (
    BLOCK,
    IPSEC_PROFILE,
    KEYRING,
    POLICY,
    PROFILE,
    PROPOSAL,
    TRANSFORM_SET,
    TUNNEL,
)
from ikescope.explain.findings.model import Remedy


def fill(remedy: Remedy, config: RouterConfig, *, tunnel: str = "") -> Remedy:
    """The same remedy with the names of this configuration where the log held none; of several the first tunnel's.

    Only IOS lines change; a name that the configuration does not hold either stays as it is.
    """
    if remedy.syntax != "ios":
        return remedy
    names = dict(_names(config, tunnel))
    return replace(remedy, lines=tuple(_filled(line, names) for line in remedy.lines))


def _filled(line: str, names: dict[str, str]) -> str:
    for placeholder, name in names.items():
        line = line.replace(placeholder, name)
    return line


def _names(config: RouterConfig, tunnel: str) -> Iterator[tuple[str, str]]:
    found = config.tunnels.get(tunnel) or next(iter(config.tunnels.values()), None)
    policy = next((one for one in config.policies.values() if not one.smart_default), None)
    yield POLICY, policy.name if policy is not None else "FROM-PEER"
    used = policy or next(iter(config.policies.values()), None)
    if used is not None and used.proposals:
        yield PROPOSAL, used.proposals[0]
    if found is None:
        return
    yield TUNNEL, found.name
    ipsec = config.ipsec_profiles.get(found.ipsec_profile or "")
    if ipsec is None:
        return
    yield IPSEC_PROFILE, ipsec.name
    if ipsec.transform_sets:
        yield TRANSFORM_SET, ipsec.transform_sets[0]
    profile = config.profiles.get(ipsec.ikev2_profile or "")
    if profile is None:
        return
    yield PROFILE, profile.name
    keyring = config.keyrings.get(profile.keyring or "")
    if keyring is not None:
        yield KEYRING, keyring.name
        if keyring.peers:
            yield BLOCK, keyring.peers[0].name
