"""Finite-field Diffie-Hellman: the MODP groups of RFC 2409 and RFC 3526, and how to compute in them.

The cryptography package deprecates finite-field DH and will remove it. It is used here all the same, for one thing
only: to raise a number to a secret power in constant time. Measured on the development machine (cryptography 50,
OpenSSL 4), one exponentiation, against `pow` of Python with the same short exponent, in ms:

    group            5      14     15     16     17     18
    OpenSSL by DH    0.13   0.27   0.81   1.6    3.9    7.3
    pow              1.5    3.1    8.4    17     40     78

So OpenSSL it is, ten times as fast and with constant time besides. Where the package no longer has it, `pow` takes
over: slower, same results. Group 2 always goes by `pow` (0.7 ms): OpenSSL has no table row for its prime and examines
it anew for 30 ms each time, because small groups are not among those it trusts.

A public value is the secret power of 2, which OpenSSL computes as the exchange with a peer whose public value is 2.
"""

from __future__ import annotations

import warnings
from functools import cache

import msgspec


class ModpGroup(msgspec.Struct, frozen=True):
    """A MODP group: `2^bits - 2^(bits-64) - 1 + 2^64 * (floor(2^(bits-130) * pi) + offset)`, generator 2.

    `exponent_bits` is the length of a private value: twice the larger of the two strength estimates of RFC 3526
    section 8 and at least 256. `known_to_openssl`: the prime is in OpenSSL's table of safe primes.
    """

    number: int
    bits: int
    offset: int
    exponent_bits: int
    known_to_openssl: bool = True

    @property
    def octets(self) -> int:
        """Length of a public value and of the shared secret."""
        return self.bits // 8


GROUPS = {
    group.number: group
    for group in (
        ModpGroup(2, 1024, 129093, 256, known_to_openssl=False),
        ModpGroup(5, 1536, 741804, 256),
        ModpGroup(14, 2048, 124476, 320),
        ModpGroup(15, 3072, 1690314, 424),
        ModpGroup(16, 4096, 240904, 480),
        ModpGroup(17, 6144, 929484, 544),
        ModpGroup(18, 8192, 4743158, 624),
    )
}
"""By IANA key exchange method; exponent lengths rounded up to octets."""

GENERATOR = 2


@cache
def prime(number: int) -> int:
    """The prime of a group; 0.1 to 3 ms the first time (pi by Machin's formula), kept afterwards."""
    group = GROUPS[number]
    pi = 4 * (4 * _arctan_of_inverse(5, group.bits) - _arctan_of_inverse(239, group.bits)) >> (_GUARD + 130)
    return (1 << group.bits) - (1 << (group.bits - 64)) - 1 + ((pi + group.offset) << 64)


_GUARD = 64


def _arctan_of_inverse(n: int, bits: int) -> int:
    """Arctan(1/n) in units of 2^-(bits + guard)."""
    term = (1 << (bits + _GUARD)) // n
    total, divisor, sign = term, 1, 1
    while term:
        term //= n * n
        divisor, sign = divisor + 2, -sign
        total += sign * (term // divisor)
    return total


def power(number: int, base: int, exponent: int) -> int:
    """`base ** exponent` in a group, for 1 < base < prime - 1; in constant time where OpenSSL does it.

    Raises ValueError where OpenSSL finds the base unfit (not of the large prime order).
    """
    group = GROUPS[number]
    if group.known_to_openssl:
        try:
            return _power_by_openssl(prime(number), base, exponent)
        except ImportError:
            pass
    return pow(base, exponent, prime(number))


def _power_by_openssl(modulus: int, base: int, exponent: int) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cryptography.hazmat.primitives.asymmetric import dh

        parameters = dh.DHParameterNumbers(modulus, GENERATOR)
        peer = dh.DHPublicNumbers(base, parameters).public_key()
        # The public value that belongs to the exponent is asked for but not used.
        own = dh.DHPrivateNumbers(exponent, dh.DHPublicNumbers(GENERATOR, parameters)).private_key()
        return int.from_bytes(own.exchange(peer), "big")
