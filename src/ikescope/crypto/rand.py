"""The shape of randomness: whoever needs some is handed it."""

from __future__ import annotations

from collections.abc import Callable

Random = Callable[[int], bytes]
"""Takes a number of octets and returns that many; `os.urandom` in a router, a seeded generator in a virtual world."""
