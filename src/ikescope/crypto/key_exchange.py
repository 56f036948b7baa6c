"""Diffie-Hellman over the MODP, ECP and Montgomery groups, with the checks each of them asks for.

A key exchange is a function of the randomness it was handed, so a world with seeded randomness repeats it octet by
octet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ikescope.crypto import modp
from ikescope.crypto.rand import Random
from ikescope.errors import LocalError, PeerError


class KeyExchangeError(PeerError):
    """The peer's public value is not one of the group (INVALID_SYNTAX)."""

    notify = 7
    section = "RFC 6989 section 2"


class KeyExchange(ABC):
    """One side of one key exchange.

    `group` is the IANA key exchange method; `public` is the Key Exchange Data of the KE payload, as long as the group
    says.
    """

    __slots__ = ("group", "public")
    unfit: ClassVar[str]
    """What is wrong with a public value of the right length that `_agree` refuses."""

    def __init__(self, group: int, public: bytes) -> None:
        self.group = group
        self.public = public

    def __repr__(self) -> str:
        return f"{type(self).__name__}(group={self.group}, public={len(self.public)} octets)"

    def shared_secret(self, peer_public: bytes) -> bytes:
        """The secret g^ir with its leading zeros, of the group's length; KeyExchangeError for an unfit public value."""
        if len(peer_public) != len(self.public):
            raise KeyExchangeError(
                f"KE data of group {self.group}: had {len(peer_public)}, wanted {len(self.public)}",
                group=self.group,
                had=len(peer_public),
                wanted=len(self.public),
            )
        try:
            return self._agree(peer_public)
        except ValueError as error:
            raise KeyExchangeError(f"KE data of group {self.group}: {self.unfit}", group=self.group) from error

    @abstractmethod
    def _agree(self, peer_public: bytes) -> bytes:
        """The secret; ValueError for an unfit public value of the right length."""


class ModpKeyExchange(KeyExchange):
    """Groups 2, 5 and 14 to 18."""

    __slots__ = ("_private",)
    unfit = "the public value y is not 1 < y < p-1"

    def __init__(self, group: int, private: bytes) -> None:
        self._private = int.from_bytes(private, "big")
        public = modp.power(group, modp.GENERATOR, self._private)
        super().__init__(group, public.to_bytes(modp.GROUPS[group].octets, "big"))

    def _agree(self, peer_public: bytes) -> bytes:
        peer = int.from_bytes(peer_public, "big")
        # RFC 6989 section 2.1: 1 < r < p-1 is the whole check for a group with a safe prime.
        if not 1 < peer < modp.prime(self.group) - 1:
            raise ValueError(self.unfit)
        secret = modp.power(self.group, peer, self._private)
        return secret.to_bytes(modp.GROUPS[self.group].octets, "big")


class EcpGroup(msgspec.Struct, frozen=True):
    """A curve of RFC 5903: `octets` of one coordinate, `order` of the generator."""

    curve: type[ec.EllipticCurve]
    octets: int
    order: int


_ECP = {
    19: EcpGroup(ec.SECP256R1, 32, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    20: EcpGroup(
        ec.SECP384R1,
        48,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    21: EcpGroup(
        ec.SECP521R1,
        66,
        (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    ),
}


class EcpKeyExchange(KeyExchange):
    """Groups 19, 20, 21: on the wire x | y without the leading 04; the secret is x alone (RFC 5903 section 7)."""

    __slots__ = ("_curve", "_private")
    unfit = "the point is not on the curve"

    def __init__(self, group: int, private: bytes) -> None:
        self._curve = _ECP[group].curve()
        self._private = ec.derive_private_key(int.from_bytes(private, "big"), self._curve)
        point = self._private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        super().__init__(group, point[1:])

    def _agree(self, peer_public: bytes) -> bytes:
        # from_encoded_point refuses coordinates beyond the prime and points off the curve (RFC 6989 section 2.3).
        peer = ec.EllipticCurvePublicKey.from_encoded_point(self._curve, b"\x04" + peer_public)
        return self._private.exchange(ec.ECDH(), peer)


class X25519KeyExchange(KeyExchange):
    """Group 31 (RFC 8031)."""

    __slots__ = ("_private",)
    unfit = "a point of low order, the secret would be zero"

    def __init__(self, group: int, private: bytes) -> None:
        self._private = X25519PrivateKey.from_private_bytes(private)
        super().__init__(group, self._private.public_key().public_bytes_raw())

    def _agree(self, peer_public: bytes) -> bytes:
        # exchange refuses the all-zero secret of a low-order point.
        return self._private.exchange(X25519PublicKey.from_public_bytes(peer_public))


class X448KeyExchange(KeyExchange):
    """Group 32 (RFC 8031)."""

    __slots__ = ("_private",)
    unfit = "a point of low order, the secret would be zero"

    def __init__(self, group: int, private: bytes) -> None:
        self._private = X448PrivateKey.from_private_bytes(private)
        super().__init__(group, self._private.public_key().public_bytes_raw())

    def _agree(self, peer_public: bytes) -> bytes:
        return self._private.exchange(X448PublicKey.from_public_bytes(peer_public))


def _modp_private(group: int, random: Random) -> bytes:
    octets = random(modp.GROUPS[group].exponent_bits // 8)
    return bytes((octets[0] | 0x80,)) + octets[1:]


def _ecp_private(group: int, random: Random) -> bytes:
    curve = _ECP[group]
    # Eight octets more than the order has make the remainder's bias negligible (FIPS 186-5 appendix A.2.1).
    number = 1 + int.from_bytes(random(curve.octets + 8), "big") % (curve.order - 1)
    return number.to_bytes(curve.octets, "big")


class _Method(msgspec.Struct, frozen=True):
    """How a group makes a private value and a side of the exchange out of it."""

    private: Callable[[int, Random], bytes]
    side: Callable[[int, bytes], KeyExchange]


_METHODS: dict[int, _Method] = {
    **{number: _Method(_modp_private, ModpKeyExchange) for number in modp.GROUPS},
    **{number: _Method(_ecp_private, EcpKeyExchange) for number in _ECP},
    31: _Method(lambda _group, random: random(32), X25519KeyExchange),
    32: _Method(lambda _group, random: random(56), X448KeyExchange),
}


def _method(group: int) -> _Method:
    try:
        return _METHODS[group]
    except KeyError:
        raise LocalError(f"key exchange method {group} is not supported; supported: {sorted(_METHODS)}") from None


def generate(group: int, random: Random) -> KeyExchange:
    """A fresh side of a key exchange; LocalError for a group that is not supported."""
    return from_private(group, _method(group).private(int(group), random))


def from_private(group: int, private: bytes) -> KeyExchange:
    """The side of a key exchange with this private value: a big-endian number; for 31, 32 the octets of RFC 7748."""
    return _method(group).side(int(group), private)
