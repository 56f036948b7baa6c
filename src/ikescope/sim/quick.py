"""A key exchange for long runs in memory: real groups' numbers and lengths, no arithmetic, no secrecy whatever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from ikescope.crypto import key_exchange, modp
from ikescope.crypto.key_exchange import KeyExchange
from ikescope.crypto.rand import Random

OCTETS = {19: 64, 20: 96, 21: 132, 31: 32, 32: 56, **{number: row.octets for number, row in modp.GROUPS.items()}}
"""Key exchange method -> length of its public value."""


class QuickKeyExchange(KeyExchange):
    """A public value out of the randomness; the secret is a hash of both. Anybody who listens has it."""

    __slots__ = ()
    unfit = "all zero"

    def __init__(self, group: int, private: bytes) -> None:
        super().__init__(group, hashlib.shake_256(private).digest(OCTETS[group]))

    def _agree(self, peer_public: bytes) -> bytes:
        if not any(peer_public):
            raise ValueError(self.unfit)
        low, high = sorted((self.public, peer_public))
        return hashlib.shake_256(low + high).digest(32)


def _private(group: int, random: Random) -> bytes:
    return random(16)


@contextmanager
def quick_key_exchange() -> Iterator[None]:
    """While this holds, every key exchange of the process is a quick one. For a test world, never for a router."""
    table = key_exchange._METHODS
    kept = dict(table)
    table.update({group: key_exchange._Method(_private, QuickKeyExchange) for group in OCTETS if group in kept})
    try:
        yield
    finally:
        table.update(kept)
