"""The cookies of a busy responder: an initiator shows that it hears us where it says it is (RFC 7296 section 2.6)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ikescope.engine.commands import Destination

if TYPE_CHECKING:
    from ikescope.engine.context import Core

SECRET_OCTETS = 32
SECRET_SECONDS = 60.0


@dataclass(slots=True)
class Secret:
    """The secret that cookies are made with: the present one, the one before it, and since when. Prints nothing."""

    version: int
    present: bytes
    before: bytes
    since: float

    def __repr__(self) -> str:
        return f"<cookie secret {self.version}>"


def wanted(core: Core) -> bool:
    """Whether `crypto ikev2 cookie-challenge` asks for cookies now: so many half-open IKE SAs stand already."""
    limit = core.config.cookie_challenge
    return limit is not None and len(core.half_open) >= limit


def cookie(core: Core, spi_i: bytes, nonce: bytes, path: Destination) -> bytes:
    """The cookie for an IKE_SA_INIT request: version of the secret, and the hash over nonce, address and SPI."""
    secret = _secret(core)
    return _cookie(secret.version, secret.present, spi_i, nonce, path)


def verifies(core: Core, data: bytes, spi_i: bytes, nonce: bytes, path: Destination) -> bool:
    """Whether a returned cookie is ours for this request; the secret may have changed once since."""
    secret = _secret(core)
    known = (
        _cookie(secret.version, secret.present, spi_i, nonce, path),
        _cookie(secret.version - 1, secret.before, spi_i, nonce, path),
    )
    return any(hmac.compare_digest(data, each) for each in known)


def _secret(core: Core) -> Secret:
    """The secret, drawn at the first need and anew each minute."""
    secret = core.cookie_secret
    if secret is None:
        secret = core.cookie_secret = Secret(1, core.random(SECRET_OCTETS), core.random(SECRET_OCTETS), core.now)
    elif core.now - secret.since >= SECRET_SECONDS:
        # A cookie is returned within a round trip: after two periods none of the old ones is awaited any more.
        secret.version, secret.since = secret.version + 1, core.now
        secret.before, secret.present = secret.present, core.random(SECRET_OCTETS)
    return secret


def _cookie(version: int, secret: bytes, spi_i: bytes, nonce: bytes, path: Destination) -> bytes:
    ##= rfc7296#section-2.6
    ##% Cookie = <VersionIDofSecret> | Hash(Ni | IPi | SPIi | <secret>)
    digest = hmac.digest(secret, nonce + path.remote.packed + spi_i, "sha256")
    return (version % 256).to_bytes(1, "big") + digest
