"""What a configuration may negotiate and RFC 8247 advises against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ikescope.config.model import Finding, Proposal, RouterConfig, TransformSet, Tunnel
from ikescope.wire.registry import EncryptionId, IntegrityId, KeyExchangeId, PrfId

#: By transform: IOS's word, what the RFC says of it, and whether that is more than a word of what comes.
_GROUPS = {
    int(KeyExchangeId.MODP_1024): ("group 2", "SHOULD NOT"),
    int(KeyExchangeId.MODP_1536): ("group 5", "SHOULD NOT"),
}
_PRFS = {int(PrfId.PRF_HMAC_MD5): ("prf md5", "MUST NOT"), int(PrfId.PRF_HMAC_SHA1): ("prf sha1", "MUST-")}
_INTEGRITY = {
    int(IntegrityId.AUTH_HMAC_MD5_96): ("integrity md5", "MUST NOT"),
    int(IntegrityId.AUTH_HMAC_SHA1_96): ("integrity sha1", "MUST-"),
}
_REMEDY = {
    "group": "group 19 20 21 14",
    "prf": "prf sha512 sha384 sha256",
    "integrity": "integrity sha512 sha384 sha256",
}
_STRENGTH = {int(EncryptionId.ENCR_CHACHA20_POLY1305): 256, int(EncryptionId.ENCR_NULL): 0}


def weak(config: RouterConfig) -> Iterator[Finding]:
    """A finding for each algorithm that was configured and is weak, and for a tunnel whose IKE is weaker than its ESP.

    SHOULD NOT and MUST NOT are warnings, MUST- (still asked for, not for long) is a note.
    """
    for proposal in config.proposals.values():
        if not proposal.smart_default:
            yield from _proposal(proposal)
    for item in config.ipsec_profiles.values():
        if item.pfs_group in _GROUPS:
            word, rule = _GROUPS[item.pfs_group]
            who = f"crypto ipsec profile {item.name}: set pfs {word.replace(' ', '')}"
            yield _told(item.line, who, rule, "set pfs group19")
    for tunnel in config.tunnels.values():
        yield from _weaker_than_esp(config, tunnel)


def _proposal(proposal: Proposal) -> Iterator[Finding]:
    for values, known in ((proposal.groups, _GROUPS), (proposal.prf, _PRFS), (proposal.integrity, _INTEGRITY)):
        for value in values:
            if value not in known or (known is _PRFS and proposal.integrity):
                continue  # a PRF that follows from the integrity is told with it
            word, rule = known[value]
            remedy = _REMEDY[word.split()[0]]
            yield _told(proposal.line, f"crypto ikev2 proposal {proposal.name}: {word}", rule, remedy)


def _told(line: int, who: str, rule: str, remedy: str) -> Finding:
    if rule == "MUST-":
        return Finding(severity="note", line=line, text=f"{who} is on its way out (RFC 8247: {rule})", remedy=remedy)
    return Finding(severity="warning", line=line, text=f"{who} is weak (RFC 8247: {rule})", remedy=remedy)


def _weaker_than_esp(config: RouterConfig, tunnel: Tunnel) -> Iterator[Finding]:
    item = config.ipsec_profiles.get(tunnel.ipsec_profile or "")
    if item is None:
        return
    sets = [config.transform_sets[name] for name in item.transform_sets if name in config.transform_sets]
    ike, esp = _bits(_proposals_of(config, tunnel)), _bits(sets)
    if ike and esp > ike:
        text = (
            f"interface {tunnel.name}: IKE encrypts with at most {ike} bits and ESP with {esp}: what protects its keys"
        )
        yield Finding(severity="note", line=tunnel.line, text=f"{text} is weaker", remedy=f"encryption aes-cbc-{esp}")


def _proposals_of(config: RouterConfig, tunnel: Tunnel) -> list[Proposal]:
    speaking = [
        policy
        for policy in config.policies.values()
        if not policy.smart_default and (not policy.match_local or tunnel.source_address in policy.match_local)
    ]
    chosen = speaking or [policy for policy in config.policies.values() if policy.smart_default]
    return [config.proposals[name] for policy in chosen for name in policy.proposals if name in config.proposals]


def _bits(items: Iterable[Proposal | TransformSet]) -> int:
    """The longest key that encrypts, in bits; 0 for none."""
    choices = [
        choice for item in items for choice in (item.encryption if isinstance(item, Proposal) else (item.encryption,))
    ]
    return max((choice.key_length or _STRENGTH.get(choice.id, 0) for choice in choices), default=0)
