"""A check of a router's configuration: what is missing, unknown, or cannot come up, each with its line and remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ikescope.config.model import Finding, IpsecProfile, Keyring, Profile, Proposal, RouterConfig, Tunnel
from ikescope.config.smart_defaults import LEFT_OUT, NAME
from ikescope.config.vrfs import vrfs
from ikescope.config.ways import recursive
from ikescope.config.weak import weak
from ikescope.wire.registry import AuthMethod, EncryptionId

PROFILE_REMINDER = (
    "IKEv2 profile MUST have:\n"
    "   1. A local and a remote authentication method.\n"
    "   2. A match identity or a match certificate or match any statement."
)
POLICY_REMINDER = "IKEv2 policy MUST have atleast one complete proposal attached"
PROPOSAL_REMINDER = (
    "IKEv2 proposal MUST either have a set of an encryption algorithm other than aes-gcm, an integrity algorithm and a "
    "DH group configured or \n encryption algorithm aes-gcm, a prf algorithm and a DH group configured"
)
#: The shortest lifetime that IOS admits, in seconds.
SHORTEST_LIFETIME = 120
AEAD = frozenset({EncryptionId.ENCR_AES_GCM_16, EncryptionId.ENCR_CHACHA20_POLY1305})

_Severity = Literal["error", "warning", "note"]


def check(config: RouterConfig) -> tuple[Finding, ...]:
    """All findings, in order of their lines; an error means that something configured cannot work."""
    crypto = (_proposals, _policies, _keyrings, _profiles, _transform_sets, _ipsec_profiles)
    parts = (*crypto, _tunnels, _routes, vrfs, _users, weak, recursive)
    found = [finding for part in parts for finding in part(config)]
    return tuple(sorted(found, key=lambda finding: finding.line))


def _users(config: RouterConfig) -> Iterator[Finding]:
    for user in config.users.values():
        if user.secret is None and not user.keys:
            text = f"username {user.name} has no secret and no public key: nobody logs in with it"
            yield _finding("note", user.line, text, f"username {user.name} secret PASSWORD")


def profile_is_complete(profile: Profile) -> bool:
    """Whether IOS's reminder is satisfied."""
    return bool(profile.match_remote and profile.auth_local is not None and profile.auth_remote)


def proposal_is_complete(proposal: Proposal) -> bool:
    """Whether encryption, PRF, group and, unless all encryption is AEAD, integrity are there."""
    sealed = all(choice.id in AEAD for choice in proposal.encryption)
    return bool(proposal.encryption and proposal.prf and proposal.groups and (sealed or proposal.integrity))


def _finding(severity: _Severity, line: int, text: str, remedy: str = "") -> Finding:
    return Finding(severity=severity, line=line, text=text, remedy=remedy)


def _unknown(line: int, who: str, what: str, name: str, known: object, make: str) -> Finding:
    names = ", ".join(known) if isinstance(known, dict) and known else "none"
    return _finding("error", line, f"{who}: {what} {name} is not configured (there: {names})", f"{make} {name}")


def _proposals(config: RouterConfig) -> Iterator[Finding]:
    linked = {name for policy in config.policies.values() for name in policy.proposals}
    for proposal in config.proposals.values():
        who = f"crypto ikev2 proposal {proposal.name}"
        if proposal.smart_default:
            if left_out := LEFT_OUT[config.generation]:
                text = f"{who}: IOS of generation {config.generation} also offers {left_out}; not yet here"
                yield _finding("note", 0, text)
            continue
        if not proposal_is_complete(proposal):
            yield _finding("error", proposal.line, f"{who}: {PROPOSAL_REMINDER}", "encryption, integrity or prf, group")
        kinds = {choice.id in AEAD for choice in proposal.encryption}
        if len(kinds) == 2:
            text = f"{who}: AES-CBC and AES-GCM stand in one proposal"
            yield _finding("error", proposal.line, text, "one proposal for each, both named in one policy")
        elif kinds == {True} and proposal.integrity:
            text = f"{who}: integrity is not used with AES-GCM"
            yield _finding("error", proposal.line, text, "no integrity")
        if proposal.name not in linked and proposal.name != NAME:
            text = f"{who} is in no policy and will not be offered"
            yield _finding("warning", proposal.line, text, f"crypto ikev2 policy NAME, proposal {proposal.name}")


def _policies(config: RouterConfig) -> Iterator[Finding]:
    for policy in config.policies.values():
        who = f"crypto ikev2 policy {policy.name}"
        if not policy.proposals:
            yield _finding("error", policy.line, f"{who}: {POLICY_REMINDER}", "proposal NAME")
        for name in policy.proposals:
            if name not in config.proposals:
                yield _unknown(policy.line, who, "proposal", name, config.proposals, "crypto ikev2 proposal")


def _keyrings(config: RouterConfig) -> Iterator[Finding]:
    for ring in config.keyrings.values():
        who = f"crypto ikev2 keyring {ring.name}"
        if not ring.peers:
            yield _finding("warning", ring.line, f"{who} has no peer", "peer NAME, address A.B.C.D, pre-shared-key KEY")
        for peer in ring.peers:
            missing = [word for word in ("local", "remote") if getattr(peer, f"{word}_key") is None]
            if missing:
                text = f"{who}: peer {peer.name} has no {' and no '.join(missing)} pre-shared key"
                yield _finding("error", peer.line, text, "pre-shared-key KEY")
            if peer.address is None and peer.identity is None and peer.hostname is None:
                text = f"{who}: peer {peer.name} has neither address nor identity and is never found"
                yield _finding("error", peer.line, text, "address A.B.C.D")


def _profiles(config: RouterConfig) -> Iterator[Finding]:
    for profile in config.profiles.values():
        who = f"crypto ikev2 profile {profile.name}"
        if not profile_is_complete(profile):
            remedy = "match identity remote ..., authentication local pre-share, authentication remote pre-share"
            yield _finding("error", profile.line, f"{who}: {PROFILE_REMINDER}", remedy)
        if profile.lifetime < SHORTEST_LIFETIME:
            yield _short(profile.line, who, profile.lifetime)
        if profile.keyring is not None and profile.keyring not in config.keyrings:
            yield _unknown(profile.line, who, "keyring", profile.keyring, config.keyrings, "crypto ikev2 keyring")
        elif profile.keyring is None:
            yield from _keyless(profile, who)


def _keyless(profile: Profile, who: str) -> Iterator[Finding]:
    methods = (("local", (profile.auth_local,)), ("remote", profile.auth_remote))
    for side, given in methods:
        if AuthMethod.SHARED_KEY_MIC in given and getattr(profile, f"{side}_key") is None:
            text = f"{who}: authentication {side} pre-share, but there is neither a key nor a keyring"
            yield _finding("error", profile.line, text, "keyring local NAME")


def _short(line: int, who: str, seconds: int) -> Finding:
    text = f"{who}: lifetime had {seconds} s, IOS wanted {SHORTEST_LIFETIME} s or more (lab timers)"
    return _finding("warning", line, text, f"lifetime {SHORTEST_LIFETIME} outside a lab")


def _transform_sets(config: RouterConfig) -> Iterator[Finding]:
    for item in config.transform_sets.values():
        if item.encryption.id == EncryptionId.ENCR_NULL:
            text = f"crypto ipsec transform-set {item.name}: esp-null does not encrypt"
            yield _finding("warning", item.line, text, "esp-aes 256 esp-sha256-hmac or esp-gcm 256")


def _ipsec_profiles(config: RouterConfig) -> Iterator[Finding]:
    used = {tunnel.ipsec_profile for tunnel in config.tunnels.values()}
    for item in config.ipsec_profiles.values():
        who = f"crypto ipsec profile {item.name}"
        if item.ikev2_profile is None:
            if item.name in used:
                text = f"{who} protects a tunnel and has no IKEv2 profile"
                yield _finding("error", item.line, text, "set ikev2-profile NAME")
        elif item.ikev2_profile not in config.profiles:
            name = item.ikev2_profile
            yield _unknown(item.line, who, "IKEv2 profile", name, config.profiles, "crypto ikev2 profile")
        for name in item.transform_sets:
            if name not in config.transform_sets:
                make = "crypto ipsec transform-set"
                yield _unknown(item.line, who, "transform-set", name, config.transform_sets, make)
        if item.lifetime_seconds < SHORTEST_LIFETIME:
            yield _short(item.line, who, item.lifetime_seconds)


def _tunnels(config: RouterConfig) -> Iterator[Finding]:
    if not config.tunnels:
        text = "no interface Tunnel is configured: there is nothing to bring up"
        yield _finding("warning", 0, text, "interface Tunnel0")
    for tunnel in config.tunnels.values():
        yield from _tunnel_ends(config, tunnel)
        profile = config.ipsec_profiles.get(tunnel.ipsec_profile or "")
        if tunnel.ipsec_profile is None:
            text = f"interface {tunnel.name} has no tunnel protection: what it carries goes out in clear"
            yield _finding("warning", tunnel.line, text, "tunnel protection ipsec profile NAME")
        elif profile is None:
            who, make = f"interface {tunnel.name}", "crypto ipsec profile"
            yield _unknown(tunnel.line, who, "IPsec profile", tunnel.ipsec_profile, config.ipsec_profiles, make)
        else:
            yield from _tunnel_key(config, tunnel, profile)
            yield from _tunnel_identity(config, tunnel, profile)
        if tunnel.policy_acl is not None:
            yield from _tunnel_policy(config, tunnel)


def _tunnel_ends(config: RouterConfig, tunnel: Tunnel) -> Iterator[Finding]:
    who = f"interface {tunnel.name}"
    if tunnel.destination is None:
        yield _finding("error", tunnel.line, f"{who} has no tunnel destination", "tunnel destination A.B.C.D")
    if tunnel.source is None:
        yield _finding("error", tunnel.line, f"{who} has no tunnel source", "tunnel source INTERFACE")
    elif tunnel.source_address is None and tunnel.source not in config.interfaces:
        yield _unknown(tunnel.line, who, "tunnel source interface", tunnel.source, config.interfaces, "interface")
    elif tunnel.source in config.interfaces and config.interfaces[tunnel.source].shutdown:
        text = f"{who}: its source {tunnel.source} is shut down"
        yield _finding("warning", tunnel.line, text, f"interface {tunnel.source}, no shutdown")


def _tunnel_key(config: RouterConfig, tunnel: Tunnel, item: IpsecProfile) -> Iterator[Finding]:
    """The way of the initiator: the peer's address must find a keyring peer."""
    profile = config.profiles.get(item.ikev2_profile or "")
    ring = config.keyrings.get(profile.keyring or "") if profile is not None else None
    if profile is None or ring is None or tunnel.destination is None or profile.local_key or not ring.peers:
        return
    if not _covers(ring, tunnel):
        text = f"interface {tunnel.name}: keyring {ring.name} has no peer for the destination {tunnel.destination}"
        yield _finding("error", tunnel.line, text, f"peer NAME, address {tunnel.destination} in keyring {ring.name}")


def _tunnel_identity(config: RouterConfig, tunnel: Tunnel, item: IpsecProfile) -> Iterator[Finding]:
    """A peer is by default who its address is: a profile that admits addresses alone must admit that one."""
    profile = config.profiles.get(item.ikev2_profile or "")
    if profile is None or tunnel.destination is None or not profile.match_remote:
        return
    if any(match.kind != "address" or match.network is None for match in profile.match_remote):
        return
    networks = [match.network for match in profile.match_remote if match.network is not None]
    if not any(tunnel.destination.version == one.version and tunnel.destination in one for one in networks):
        text = (
            f"interface {tunnel.name}: profile {profile.name} admits {', '.join(map(str, networks))}, and the "
            f"destination is {tunnel.destination}: a peer that is called by its address cannot match"
        )
        yield _finding("warning", tunnel.line, text, f"match identity remote address {tunnel.destination}")


def _covers(ring: Keyring, tunnel: Tunnel) -> bool:
    by_address = [peer for peer in ring.peers if peer.address is not None]
    if len(by_address) < len(ring.peers):
        return True  # an identity or a hostname may match; the peer will say
    return any(peer.address is not None and tunnel.destination in peer.address for peer in by_address)


def _tunnel_policy(config: RouterConfig, tunnel: Tunnel) -> Iterator[Finding]:
    who, name = f"interface {tunnel.name}", tunnel.policy_acl or ""
    if not tunnel.mode.startswith("ipsec"):
        text = f"{who}: tunnel protection ipsec policy needs tunnel mode ipsec ipv4, had {tunnel.mode}"
        yield _finding("error", tunnel.line, text, "tunnel mode ipsec ipv4")
    if name not in config.access_lists:
        yield _unknown(tunnel.line, who, "access-list", name, config.access_lists, "ip access-list extended")
    elif not any(entry.permit for entry in config.access_lists[name].entries):
        text = f"{who}: access-list {name} permits nothing, so nothing is protected"
        yield _finding("error", tunnel.line, text, "permit ip SOURCE WILDCARD DESTINATION WILDCARD")


def _routes(config: RouterConfig) -> Iterator[Finding]:
    known = {**config.interfaces, **config.tunnels}
    for route in config.routes:
        if route.interface is not None and route.interface not in known and not route.interface.startswith("Null"):
            who = f"ip route {route.prefix}"
            yield _unknown(route.line, who, "interface", route.interface, known, "interface")
