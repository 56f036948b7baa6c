"""The pseudorandom function and its expansion (RFC 7296 section 2.13)."""

from __future__ import annotations

import hmac

from ikescope.crypto.mac import Hmac
from ikescope.crypto.suites import Prf


def prf(algorithm: Prf, key: bytes, data: bytes) -> bytes:
    """One output of the PRF, `algorithm.output_octets` long."""
    return hmac.digest(key, data, algorithm.hash)


def prf_plus(algorithm: Prf, key: bytes, seed: bytes, octets: int) -> bytes:
    """T1 | T2 | ... cut to `octets`; at most 255 outputs of the PRF."""
    assert octets <= 255 * algorithm.output_octets
    keyed = Hmac(algorithm.hash, key)
    ##= rfc7296#section-2.13
    ##% T1 = prf (K, S | 0x01)
    ##% T2 = prf (K, T1 | S | 0x02)
    block = b""
    blocks: list[bytes] = []
    for number in range(1, -(-octets // algorithm.output_octets) + 1):
        block = keyed.digest(block + seed + bytes((number,)))
        blocks.append(block)
    return b"".join(blocks)[:octets]
