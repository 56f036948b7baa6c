"""Secrets sealed for a file: AES-SIV (RFC 5297), which gives equal secrets equal octets and needs no nonce."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

KEY_OCTETS = 64
"""AES-256 twice: for the tag and for the text."""
TAG_OCTETS = 16


def seal(key: bytes, text: bytes, purpose: bytes) -> bytes:
    """The tag and the hidden text; `purpose` is bound to it. Deterministic (RFC 5297 section 1.3.2)."""
    return AESSIV(key).encrypt(text, [purpose])


def unseal(key: bytes, sealed: bytes, purpose: bytes) -> bytes | None:
    """The text again; None where the key or the purpose is another or an octet was changed."""
    if len(sealed) <= TAG_OCTETS:
        return None
    try:
        return AESSIV(key).decrypt(sealed, [purpose])
    except InvalidTag:
        return None


def name_of(key: bytes) -> str:
    """Eight hexadecimal digits that name a key and tell nothing of it."""
    return hmac.digest(key, b"ikescope name of a key", hashlib.sha256)[:4].hex()


def salt_for(key: bytes, text: bytes) -> bytes:
    """32 octets that only who has the key can foretell, the same each time for a text."""
    return hmac.digest(key, b"ikescope salt\0" + text, hashlib.sha256)
