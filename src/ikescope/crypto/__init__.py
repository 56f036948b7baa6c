"""Keys, ciphers, key exchange and authentication of IKEv2 and ESP (RFC 7296 sections 2.13 to 2.18, 3.14; RFC 4303)."""

from ikescope.crypto.rand import Random

__all__ = ["Random"]
