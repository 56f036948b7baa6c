"""The IANA registries of IKEv2 as open enums: an unknown number survives and prints."""

from __future__ import annotations

from ikescope.wire.openenum import OpenEnum
from ikescope.wire.registry.config import CpAttribute, CpType, TsType
from ikescope.wire.registry.identity import AuthMethod, CertEncoding, EapCode, EapType, HashAlgorithm, IdType
from ikescope.wire.registry.message import ExchangeType, PayloadType, ProtocolId
from ikescope.wire.registry.notify import FIRST_PRIVATE_STATUS_TYPE, FIRST_STATUS_TYPE, NotifyType
from ikescope.wire.registry.transform import (
    TRANSFORM_IDS,
    EncryptionId,
    EsnId,
    IntegrityId,
    KeyExchangeId,
    OtherTransformId,
    PrfId,
    TransformAttribute,
    TransformType,
)

__all__ = [
    "FIRST_PRIVATE_STATUS_TYPE",
    "FIRST_STATUS_TYPE",
    "TRANSFORM_IDS",
    "AuthMethod",
    "CertEncoding",
    "CpAttribute",
    "CpType",
    "EapCode",
    "EapType",
    "EncryptionId",
    "EsnId",
    "ExchangeType",
    "HashAlgorithm",
    "IdType",
    "IntegrityId",
    "KeyExchangeId",
    "NotifyType",
    "OpenEnum",
    "OtherTransformId",
    "PayloadType",
    "PrfId",
    "ProtocolId",
    "TransformAttribute",
    "TransformType",
    "TsType",
]
