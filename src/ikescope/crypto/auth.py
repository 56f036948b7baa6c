"""What AUTH signs and how a pre-shared key signs it (RFC 7296 section 2.15)."""

from __future__ import annotations

import hmac

from ikescope.crypto.prf import prf
from ikescope.crypto.suites import Prf

_KEY_PAD = b"Key Pad for IKEv2"


def signed_octets(prf_of: Prf, message: bytes, peer_nonce: bytes, sk_p: bytes, id_body: bytes) -> bytes:
    """The octets that one side signs.

    `message` is that side's own IKE_SA_INIT message as sent, from the first octet of the IKE header on; `peer_nonce`
    the other side's nonce without payload header; `sk_p` and `id_body` its own SK_p and Identification payload after
    the 4-octet generic header (RestOfIDPayload).
    """
    ##= rfc7296#section-2.15
    ##% InitiatorSignedOctets = RealMessage1 | NonceRData | MACedIDForI
    return message + peer_nonce + prf(prf_of, sk_p, id_body)


def psk_auth(prf_of: Prf, psk: bytes, octets: bytes) -> bytes:
    """The AUTH value of the shared key method (2), as long as the PRF's output."""
    ##= rfc7296#section-2.15
    ##% AUTH = prf( prf(Shared Secret, "Key Pad for IKEv2"),
    ##%                  <InitiatorSignedOctets>)
    return prf(prf_of, prf(prf_of, psk, _KEY_PAD), octets)


def verify(received: bytes, computed: bytes) -> bool:
    """Whether two AUTH values are equal, in constant time."""
    return hmac.compare_digest(received, computed)
