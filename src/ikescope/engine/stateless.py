"""Before the engine: senders that have proven nothing are answered, or not, without keeping anything of them.

Nothing here makes an object or an event for a datagram; what was done is counted and told about once a second
(RFC 7296 sections 2.6, 2.21.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ikescope.engine import cookies
from ikescope.events.message import UnverifiedCounted
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE, HEADER_OCTETS
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType

if TYPE_CHECKING:
    from ikescope.config.model import RouterConfig
    from ikescope.engine.context import Core

BURST, PER_SECOND = 200.0, 100.0
"""How many events and refusals datagrams of unverified senders may cause at once, and each second from then on."""
HINTS_PER_SECOND = 10
"""How many INVALID_IKE_SPI and INVALID_MAJOR_VERSION are sent a second at most (RFC 7296 section 2.21.4)."""
SUMMARY_SECONDS = 1.0
_CHALLENGE_COST = 10.0

SILENCE = b""
_INIT, _NONCE, _NOTIFY = int(ExchangeType.IKE_SA_INIT), int(PayloadType.NONCE), int(PayloadType.NOTIFY)
_COOKIE_HEAD = bytes((0, 0)) + int(NotifyType.COOKIE).to_bytes(2, "big")
_FRESH = bytes(8)
_MOST_PAYLOADS = 32


class Gate:
    """Decides on datagrams by their octets alone while the router is under pressure; below that all go on."""

    __slots__ = (
        "_allowance",
        "_config",
        "_cookies",
        "_core",
        "_hinted",
        "_hints",
        "_served",
        "_silent",
        "_since",
        "_told",
    )

    def __init__(self, core: Core) -> None:
        self._core = core
        self._config: RouterConfig | None = None
        self._served: frozenset[str] = frozenset()
        self._allowance, self._since = BURST, core.now
        self._hints, self._hinted = 0, core.now
        self._cookies = self._silent = 0
        self._told = float("-inf")

    def answer(self, octets: bytes, remote: str, port: int) -> bytes | None:
        """What to send back to an IKE datagram (without its non-ESP marker), empty for silence; None: the engine's.

        A cookie for an IKE_SA_INIT request of a peer, while there are to be cookies and it returns none of ours;
        silence, once the allowance is used up, for all that belongs to no IKE SA here.
        """
        core = self._core
        spent = self._allowance < 1.0 and not self._recovered()
        if not spent and not cookies.wanted(core):
            return None
        if len(octets) < HEADER_OCTETS:
            return self._silence() if spent else None
        if octets[18] == _INIT and octets[8:16] == _FRESH and not octets[19] & FLAG_RESPONSE:
            if octets in core.accepted:
                return None
            return self._challenge(octets, remote)
        spi = octets[8:16] if octets[19] & FLAG_INITIATOR else octets[:8]
        if not spent or spi in core.sas or spi in core.buried:
            return None
        return self._silence()

    def _challenge(self, octets: bytes, remote: str) -> bytes | None:
        found = _nonce_and_cookie(octets)
        if found is None or octets[17] >> 4 != 2 or not self.serves(remote):
            return self._silence() if self._allowance < 1.0 else None
        nonce, returned = found
        core, spi_i = self._core, octets[:8]
        if returned and cookies.verifies(core, returned, spi_i, nonce, remote):
            return None
        if self._allowance > BURST / 2:
            # While there is no flood, the engine asks for the cookie and tells it message by message.
            self._allowance -= _CHALLENGE_COST
            return None
        ##= rfc7296#section-2.6
        ##% When a responder detects a large number of half-open IKE SAs, it
        ##% SHOULD reply to IKE_SA_INIT requests with a response containing the
        ##% COOKIE notification.
        reply = cookies.reply(spi_i, cookies.cookie(core, spi_i, nonce, remote))
        if len(reply) > len(octets):
            return self._silence()
        self._cookies += 1
        self._summarise()
        return reply

    def serves(self, remote: str) -> bool:
        """Whether a tunnel of ours ends at an address: nobody else is spoken to."""
        if self._core.config is not self._config:
            self._config = self._core.config
            self._served = frozenset(
                str(tunnel.destination) for tunnel in self._config.tunnels.values() if not tunnel.shutdown
            )
        return remote in self._served

    def spend(self) -> bool:
        """Take from the allowance for one event or refusal; False, and counted, where it is used up."""
        if self._allowance < 1.0 and not self._recovered():
            self._silence()
            return False
        self._allowance -= 1.0
        return True

    def hint(self) -> bool:
        """Whether one more unprotected error may be sent this second."""
        now = self._core.now
        if now - self._hinted >= 1.0:
            self._hinted, self._hints = now, 0
        self._hints += 1
        return self._hints <= HINTS_PER_SECOND

    def _recovered(self) -> bool:
        """Let the allowance grow with time; whether there is any."""
        now = self._core.now
        self._allowance = min(BURST, self._allowance + max(0.0, now - self._since) * PER_SECOND)
        self._since = now
        return self._allowance >= 1.0

    def _silence(self) -> bytes:
        self._silent += 1
        self._summarise()
        return SILENCE

    def _summarise(self) -> None:
        """See to it that what was counted is told within a second."""
        core = self._core
        if self._cookies + self._silent == 1:
            core.timers.arm(max(core.now, self._told + SUMMARY_SECONDS), self.tell)

    def tell(self) -> None:
        """Tell what was counted since the last time."""
        core = self._core
        self._told = core.now
        cookies_sent, silent = self._cookies, self._silent
        self._cookies = self._silent = 0
        if cookies_sent or silent:
            core.emit(UnverifiedCounted(cookies=cookies_sent, silent=silent, half_open=len(core.half_open)))


def _nonce_and_cookie(octets: bytes) -> tuple[bytes, bytes] | None:
    """The nonce and the returned cookie (empty: none) of an IKE_SA_INIT request, found without decoding it."""
    kind, at, end = octets[16], HEADER_OCTETS, len(octets)
    cookie = b""
    for _ in range(_MOST_PAYLOADS):
        if at + 4 > end:
            return None
        length = octets[at + 2] << 8 | octets[at + 3]
        if length < 4 or at + length > end:
            return None
        if kind == _NONCE:
            return (octets[at + 4 : at + length], cookie) if 20 <= length <= 260 else None
        if kind == _NOTIFY and octets[at + 4 : at + 8] == _COOKIE_HEAD:
            cookie = octets[at + 8 : at + length]
        kind, at = octets[at], at + length
    return None
