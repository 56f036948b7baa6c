"""Keying material: SKEYSEED and SK_*, those of a rekey, KEYMAT of a Child SA (RFC 7296 sections 2.14, 2.17, 2.18)."""

from __future__ import annotations

from dataclasses import dataclass

from ikescope.crypto.prf import prf, prf_plus
from ikescope.crypto.suites import EspSuite, IkeSuite, Prf


class _Secrets:
    """A group of keys; its repr shows their lengths only."""

    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        lengths = (f"{name}={len(getattr(self, name))} octets" for name in self.__slots__)
        return f"{type(self).__name__}({', '.join(lengths)})"


@dataclass(frozen=True, slots=True, repr=False)
class IkeKeys(_Secrets):
    """The keys of an IKE SA; with an AEAD, `sk_ei` and `sk_er` include the salt, `sk_ai` and `sk_ar` are empty."""

    sk_d: bytes
    sk_ai: bytes
    sk_ar: bytes
    sk_ei: bytes
    sk_er: bytes
    sk_pi: bytes
    sk_pr: bytes


@dataclass(frozen=True, slots=True, repr=False)
class ChildKeys(_Secrets):
    """The keys of a Child SA: `_i` protects what the initiator of its exchange sends; `encr_*` includes the salt."""

    encr_i: bytes
    integ_i: bytes
    encr_r: bytes
    integ_r: bytes


def _cut(material: bytes, lengths: tuple[int, ...]) -> list[bytes]:
    parts: list[bytes] = []
    offset = 0
    for length in lengths:
        parts.append(material[offset : offset + length])
        offset += length
    return parts


def _expand(suite: IkeSuite, skeyseed: bytes, seed: bytes) -> IkeKeys:
    integ = suite.integrity.key_octets if suite.integrity is not None else 0
    encr, prf_key = suite.encryption.keymat_octets, suite.prf.key_octets
    lengths = (prf_key, integ, integ, encr, encr, prf_key, prf_key)
    return IkeKeys(*_cut(prf_plus(suite.prf, skeyseed, seed, sum(lengths)), lengths))


def skeyseed(prf_of: Prf, nonce_i: bytes, nonce_r: bytes, shared: bytes) -> bytes:
    """SKEYSEED of a first IKE SA."""
    ##= rfc7296#section-2.14
    ##% SKEYSEED = prf(Ni | Nr, g^ir)
    return prf(prf_of, nonce_i + nonce_r, shared)


def rekeyed_skeyseed(old_prf: Prf, old_sk_d: bytes, shared: bytes, nonce_i: bytes, nonce_r: bytes) -> bytes:
    """SKEYSEED of the IKE SA that replaces another, by the PRF of the old one."""
    ##= rfc7296#section-2.18
    ##% SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr)
    return prf(old_prf, old_sk_d, shared + nonce_i + nonce_r)


def ike_keys(suite: IkeSuite, nonce_i: bytes, nonce_r: bytes, shared: bytes, spi_i: bytes, spi_r: bytes) -> IkeKeys:
    """The keys of an IKE SA out of IKE_SA_INIT; nonces without payload headers, SPIs of 8 octets."""
    ##= rfc7296#section-2.14
    ##% {SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr}
    ##%                 = prf+ (SKEYSEED, Ni | Nr | SPIi | SPIr)
    return _expand(suite, skeyseed(suite.prf, nonce_i, nonce_r, shared), nonce_i + nonce_r + spi_i + spi_r)


def rekeyed_ike_keys(
    old_prf: Prf,
    old_sk_d: bytes,
    suite: IkeSuite,
    shared: bytes,
    nonce_i: bytes,
    nonce_r: bytes,
    spi_i: bytes,
    spi_r: bytes,
) -> IkeKeys:
    """The keys of the new IKE SA of a rekey; nonces and SPIs are those of the CREATE_CHILD_SA exchange."""
    ##= rfc7296#section-2.18
    ##% The old and new IKE SA may have selected a different PRF.  Because
    ##% the rekeying exchange belongs to the old IKE SA, it is the old IKE
    ##% SA's PRF that is used to generate SKEYSEED.
    seed = rekeyed_skeyseed(old_prf, old_sk_d, shared, nonce_i, nonce_r)
    return _expand(suite, seed, nonce_i + nonce_r + spi_i + spi_r)


def child_keys(
    prf_of: Prf, sk_d: bytes, nonce_i: bytes, nonce_r: bytes, esp_suite: EspSuite, shared: bytes = b""
) -> ChildKeys:
    """The keys of a Child SA; `shared` is the secret of its own key exchange, empty without PFS."""
    encr = esp_suite.encryption.keymat_octets
    integ = esp_suite.integrity.key_octets if esp_suite.integrity is not None else 0
    ##= rfc7296#section-2.17
    ##% KEYMAT = prf+(SK_d, g^ir (new) | Ni | Nr)
    material = prf_plus(prf_of, sk_d, shared + nonce_i + nonce_r, 2 * (encr + integ))
    ##= rfc7296#section-2.17
    ##% the encryption key (if any) MUST be
    ##% taken from the first bits and the integrity key (if any) MUST be
    ##% taken from the remaining bits.
    return ChildKeys(*_cut(material, (encr, integ, encr, integ)))
