"""Cisco's smart defaults, by generation of IOS: what is configured before anything is configured.

Generation 15 is IOS 15.x, 17 IOS-XE 16.8 and 17.x, 26 IOS-XE 26.x. What IOS offers there and ikescope cannot do is left
out and named in `LEFT_OUT`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ikescope.config.model import IpsecProfile, Policy, Proposal, RouterConfig, TransformChoice, TransformSet
from ikescope.wire.registry import EncryptionId, IntegrityId, KeyExchangeId, PrfId

Generation = Literal["15", "17", "26"]
NAME = "default"

_CBC = EncryptionId.ENCR_AES_CBC
_SHA2_PRF = (PrfId.PRF_HMAC_SHA2_512, PrfId.PRF_HMAC_SHA2_384)
_SHA2_INTEGRITY = (IntegrityId.AUTH_HMAC_SHA2_512_256, IntegrityId.AUTH_HMAC_SHA2_384_192)
_ECP_256, _ECP_521 = KeyExchangeId.ECP_256, KeyExchangeId.ECP_521
_MODP_1024, _MODP_1536, _MODP_2048 = KeyExchangeId.MODP_1024, KeyExchangeId.MODP_1536, KeyExchangeId.MODP_2048


def _proposal(
    key_lengths: tuple[int, ...], prf: tuple[int, ...], integrity: tuple[int, ...], groups: tuple[int, ...]
) -> Proposal:
    return Proposal(
        name=NAME,
        encryption=tuple(TransformChoice(_CBC, bits) for bits in key_lengths),
        prf=prf,
        integrity=integrity,
        groups=groups,
        smart_default=True,
    )


#: The IKEv2 proposal `default` of each generation, each list in order of preference.
PROPOSALS: dict[Generation, Proposal] = {
    "15": _proposal(
        (256, 192, 128),
        (*_SHA2_PRF, PrfId.PRF_HMAC_SHA2_256, PrfId.PRF_HMAC_SHA1, PrfId.PRF_HMAC_MD5),
        (
            *_SHA2_INTEGRITY,
            IntegrityId.AUTH_HMAC_SHA2_256_128,
            IntegrityId.AUTH_HMAC_SHA1_96,
            IntegrityId.AUTH_HMAC_MD5_96,
        ),
        (_MODP_1536, _MODP_1024),
    ),
    "17": _proposal((256,), _SHA2_PRF, _SHA2_INTEGRITY, (_ECP_256, _MODP_2048, _ECP_521, _MODP_1536)),
    "26": _proposal((256,), _SHA2_PRF, _SHA2_INTEGRITY, (_ECP_256, _MODP_2048, _ECP_521)),
}

#: What IOS offers in that generation's default proposal beyond ours.
LEFT_OUT: dict[Generation, str] = {
    "15": "",
    "17": "",
    "26": "the optional key exchanges ML-KEM-768 and ML-KEM-1024",
}

POLICY = Policy(name=NAME, proposals=(NAME,), match_fvrf="any", smart_default=True)

#: esp-aes (128) esp-sha-hmac, transport.
TRANSFORM_SET = TransformSet(
    name=NAME,
    encryption=TransformChoice(_CBC, 128),
    integrity=IntegrityId.AUTH_HMAC_SHA1_96,
    transport=True,
    smart_default=True,
)

#: 3600 seconds, 4608000 kilobytes; it protects nothing until it is given an IKEv2 profile.
IPSEC_PROFILE = IpsecProfile(name=NAME, transform_sets=(NAME,))


def generation_of(version: str) -> Generation:
    """The generation that a `version` line chooses: 15.x is 15, 26.x is 26, everything else 17."""
    major = version.split(".")[0]
    return "15" if major == "15" else "26" if major == "26" else "17"


def empty(generation: Generation = "17") -> RouterConfig:
    """A router on which nothing is configured."""
    return RouterConfig(
        generation=generation,
        proposals={NAME: PROPOSALS[generation]},
        policies={NAME: POLICY},
        transform_sets={NAME: TRANSFORM_SET},
        ipsec_profiles={NAME: IPSEC_PROFILE},
    )


def of_generation(config: RouterConfig, generation: Generation) -> RouterConfig:
    """The same router with the default proposal of another generation, unless it was edited."""
    proposals = dict(config.proposals)
    if NAME in proposals and proposals[NAME].smart_default:
        proposals[NAME] = PROPOSALS[generation]
    return msgspec.structs.replace(config, generation=generation, proposals=proposals)
