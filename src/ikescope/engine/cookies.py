"""The cookies of a busy responder: an initiator shows that it hears us where it says it is (RFC 7296 section 2.6)."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ikescope.wire.header import FLAG_RESPONSE, HEADER_OCTETS
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType

if TYPE_CHECKING:
    from ikescope.engine.context import Core

DEFAULT_LIMIT = 20
"""Half-open IKE SAs from which on cookies are asked for. IOS asks for none unless it is told to; we do."""
SECRET_OCTETS = 32
SECRET_SECONDS = 60.0
_REPLY_HEAD = bytes((*bytes(8), PayloadType.NOTIFY, 0x20, ExchangeType.IKE_SA_INIT, FLAG_RESPONSE, *bytes(4)))
_NOTIFY_HEAD = bytes((0, 0)) + int(NotifyType.COOKIE).to_bytes(2, "big")


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
    """Whether cookies are to be asked for now: so many half-open IKE SAs stand already (`cookie-challenge`)."""
    limit = core.config.cookie_challenge
    return len(core.half_open) >= (DEFAULT_LIMIT if limit is None else limit)


def cookie(core: Core, spi_i: bytes, nonce: bytes, remote: str) -> bytes:
    """The cookie for an IKE_SA_INIT request from an address: the secret's version, a hash over nonce, address, SPI."""
    secret = _secret(core)
    return _cookie(secret.version, secret.present, spi_i, nonce, remote)


def verifies(core: Core, data: bytes, spi_i: bytes, nonce: bytes, remote: str) -> bool:
    """Whether a returned cookie is ours for this request; the secret may have changed once since."""
    secret = _secret(core)
    present = _cookie(secret.version, secret.present, spi_i, nonce, remote)
    if hmac.compare_digest(data, present):
        return True
    return hmac.compare_digest(data, _cookie(secret.version - 1, secret.before, spi_i, nonce, remote))


def reply(spi_i: bytes, data: bytes) -> bytes:
    """The IKE_SA_INIT response that holds nothing but N(COOKIE)."""
    body = bytes((0, 0)) + (8 + len(data)).to_bytes(2, "big") + _NOTIFY_HEAD + data
    return spi_i + _REPLY_HEAD + (HEADER_OCTETS + len(body)).to_bytes(4, "big") + body


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


def _cookie(version: int, secret: bytes, spi_i: bytes, nonce: bytes, remote: str) -> bytes:
    ##= rfc7296#section-2.6
    ##% Cookie = <VersionIDofSecret> | Hash(Ni | IPi | SPIi | <secret>)
    digest = hmac.digest(secret, nonce + remote.encode() + spi_i, "sha256")
    return (version % 256).to_bytes(1, "big") + digest
