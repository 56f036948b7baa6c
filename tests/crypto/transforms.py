"""Chosen proposals for tests, in the shape of wire's transforms."""

from __future__ import annotations

from typing import NamedTuple


class T(NamedTuple):
    """A transform: type, ID, Key Length attribute."""

    type: int
    id: int
    key_length: int | None = None


CBC_256_SHA512_GROUP_19 = (T(1, 12, 256), T(2, 7), T(3, 14), T(4, 19))
GCM_128_SHA256_GROUP_31 = (T(1, 20, 128), T(2, 5), T(4, 31))
CHACHA_SHA256_GROUP_31 = (T(1, 28), T(2, 5), T(4, 31))
IKE = (CBC_256_SHA512_GROUP_19, GCM_128_SHA256_GROUP_31, CHACHA_SHA256_GROUP_31)

ESP = (
    (T(1, 12, 128), T(3, 2), T(5, 0)),
    (T(1, 12, 256), T(3, 14), T(5, 1)),
    (T(1, 20, 128), T(5, 0)),
    (T(1, 20, 256), T(5, 1)),
    (T(1, 28), T(5, 0)),
    (T(1, 28), T(5, 1)),
    (T(1, 11), T(3, 12), T(5, 0)),
    (T(1, 11), T(3, 12), T(5, 1)),
)
