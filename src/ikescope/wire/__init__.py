"""Octets <-> messages: IKEv2 as RFC 7296 section 3 lays it out. Imports nothing but the errors."""

from __future__ import annotations

from ikescope.wire.auth import AuthPayload
from ikescope.wire.cert import CertPayload, CertReqPayload
from ikescope.wire.cp import CpPayload, CpValue
from ikescope.wire.delete import DeletePayload
from ikescope.wire.eap import EapPayload
from ikescope.wire.encrypted import EncryptedFragmentPayload, EncryptedPayload
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE, FLAG_VERSION, HEADER_OCTETS, NO_SPI, Header
from ikescope.wire.identification import IdPayload
from ikescope.wire.ke import KePayload
from ikescope.wire.message import Message, encode_chain, find, first_of, parse_chain
from ikescope.wire.nonce import NoncePayload
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.payload import Payload
from ikescope.wire.sa import Attribute, Proposal, SaPayload, Transform, key_length_attribute, transform
from ikescope.wire.ts import TrafficSelector, TsPayload
from ikescope.wire.unknown import UnknownPayload
from ikescope.wire.vendor import VendorIdPayload

__all__ = [
    "FLAG_INITIATOR",
    "FLAG_RESPONSE",
    "FLAG_VERSION",
    "HEADER_OCTETS",
    "NO_SPI",
    "Attribute",
    "AuthPayload",
    "CertPayload",
    "CertReqPayload",
    "CpPayload",
    "CpValue",
    "DeletePayload",
    "EapPayload",
    "EncryptedFragmentPayload",
    "EncryptedPayload",
    "Header",
    "IdPayload",
    "KePayload",
    "Message",
    "NoncePayload",
    "NotifyPayload",
    "Payload",
    "Proposal",
    "SaPayload",
    "TrafficSelector",
    "Transform",
    "TsPayload",
    "UnknownPayload",
    "VendorIdPayload",
    "encode_chain",
    "find",
    "first_of",
    "key_length_attribute",
    "parse_chain",
    "transform",
]
