"""Keys that a configuration does not show (removed, encrypted, absent) count as equal at both ends of a tunnel."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_network
from typing import Literal, TypeVar

import msgspec

from ikescope.config.check import check
from ikescope.config.model import Address, Finding, Keyring, KeyringPeer, Profile, RouterConfig, Secret, Tunnel
from ikescope.policy.identity import local_identity
from ikescope.policy.peers import KeySearch, search_key
from ikescope.sim.rehearsal_pairs import couples

UNKNOWN = Secret(b"a key that no file shows")
"""Stands for a key that neither end shows."""
_ENCRYPTED = re.compile(
    r"^([ \t]*(?:pre-shared-key(?:[ \t]+(?:local|remote))?"
    r"|authentication[ \t]+(?:local|remote)[ \t]+pre-share[ \t]+key)[ \t]+)(?:6[ \t]+\S+|\*+)[ \t]*$",
    re.MULTILINE,
)
_ASSUMED = "assumed"
_Keyed = TypeVar("_Keyed", KeyringPeer, Profile)
Which = Literal["local", "remote"]


def shown(text: str) -> str:
    """An IOS configuration whose encrypted keys (type 6) and starred ones are `<removed>`, line for line."""
    return _ENCRYPTED.sub(r"\1<removed>", text)


def faults(config: RouterConfig) -> list[Finding]:
    """The errors of a configuration that remain when every key it does not show is there."""
    known = set(check(config))
    stay = [one for one in config.findings if one not in known]
    return [one for one in (*stay, *check(_filled(config))) if one.severity == "error"]


def _filled(config: RouterConfig) -> RouterConfig:
    keyrings = {
        name: msgspec.structs.replace(ring, peers=tuple(_whole(peer) for peer in ring.peers))
        for name, ring in config.keyrings.items()
    }
    profiles = {
        name: _whole(profile) if profile.keyring is None else profile for name, profile in config.profiles.items()
    }
    return msgspec.structs.replace(config, keyrings=keyrings, profiles=profiles)


def _whole(one: _Keyed) -> _Keyed:
    return msgspec.structs.replace(one, local_key=one.local_key or UNKNOWN, remote_key=one.remote_key or UNKNOWN)


def assumed(configs: Sequence[RouterConfig]) -> tuple[list[RouterConfig], list[str]]:
    """The routers with the keys that a file does not show as the other end has them; a line for each key assumed."""
    added: dict[tuple[int, str, Address], dict[str, Secret]] = {}
    told: dict[str, None] = {}
    numbers = {config.hostname: number for number, config in enumerate(configs)}
    for couple in couples(configs):
        here, there = (couple.left, couple.one), (couple.right, couple.other)
        for (left, one), (right, other) in ((here, there), (there, here)):
            mine, theirs = _search(left, one, right, other, "local"), _search(right, other, left, one, "remote")
            if mine is None or theirs is None or (mine[1].key is not None and theirs[1].key is not None):
                continue
            known = mine[1].key or theirs[1].key
            secret = UNKNOWN if known is None else known.secret
            ends: tuple[tuple[RouterConfig, Tunnel, tuple[Profile, KeySearch], Which], ...] = (
                (left, one, mine, "local"),
                (right, other, theirs, "remote"),
            )
            for config, tunnel, (profile, search), which in ends:
                if search.key is not None or tunnel.destination is None:
                    continue
                added.setdefault((numbers[config.hostname], profile.name, tunnel.destination), {})[which] = secret
                like = "the same as that of the other end" if known is not None else "equal at both ends"
                told[f"{config.hostname}: no {which} key for {tunnel.destination} is shown: taken to be {like}."] = None
    found = list(configs)
    for (number, name, remote), keys in added.items():
        found[number] = _with_key(found[number], name, remote, keys)
    return found, list(told)


def _search(
    left: RouterConfig, one: Tunnel, right: RouterConfig, other: Tunnel, which: Which
) -> tuple[Profile, KeySearch] | None:
    """How a router finds its key for (`local`) or of (`remote`) the one at the other end."""
    profile, theirs = _profile(left, one), _profile(right, other)
    if profile is None or theirs is None or one.destination is None or other.source_address is None:
        return None
    who = local_identity(theirs, other.source_address)
    return profile, search_key(left, profile, one.destination, who, which)


def _profile(config: RouterConfig, tunnel: Tunnel) -> Profile | None:
    ipsec = config.ipsec_profiles.get(tunnel.ipsec_profile or "")
    return None if ipsec is None else config.profiles.get(ipsec.ikev2_profile or "")


def _with_key(config: RouterConfig, name: str, remote: Address, keys: dict[str, Secret]) -> RouterConfig:
    """A block for one peer before the others of its keyring."""
    profile = config.profiles[name]
    ring = config.keyrings.get(profile.keyring or "") or Keyring(name=profile.keyring or f"{_ASSUMED} {name}", peers=())
    block = KeyringPeer(
        name=f"{_ASSUMED} {remote}",
        address=ip_network(remote),
        local_key=keys.get("local"),
        remote_key=keys.get("remote"),
        line=ring.line,
    )
    keyrings = {**config.keyrings, ring.name: msgspec.structs.replace(ring, peers=(block, *ring.peers))}
    profiles = {**config.profiles, name: msgspec.structs.replace(profile, keyring=ring.name)}
    return msgspec.structs.replace(config, keyrings=keyrings, profiles=profiles)
