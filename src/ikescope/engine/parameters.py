"""The engine's own numbers, each with its reason."""

from __future__ import annotations

import msgspec


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds unless said otherwise.

    Retransmission: IOS sends a request seven times, doubling the wait from two seconds. After an unauthenticated error
    notify in IKE_SA_INIT we go on for `hinted_sends` sends in all: long enough to outlive a forged one
    (RFC 7296 section 2.21.1).
    """

    first_wait: float = 2.0
    sends: int = 7
    hinted_sends: int = 3
    auth_wait: float = 30.0
    keepalive: int = 20
    overlap: float = 5.0
    redundant: float = 60.0
    """How long one of two SAs from crossing rekeys, which carries nothing, waits for the Delete of who made it."""
    retry_temporary: float = 4.0
    retry_soonest: float = 1.0
    retry_limit: int = 30
    retry_reauthentication: float = 60.0
    failure_hold: float = 2.0
    failure_hold_max: float = 60.0
    window: int = 5
    record_octets: bool = True
    initiator_soft: tuple[float, float] = (0.80, 0.85)
    responder_soft: tuple[float, float] = (0.90, 0.94)
    max_half_open: int = 400

    @property
    def retransmission(self) -> float:
        """Seconds until a request without an answer is given up."""
        return self.first_wait * float(2**self.sends - 1)

    @property
    def orphan(self) -> float:
        """Seconds that a replaced SA waits for the Delete of the peer that replaced it.

        Our response may come through at its request's last repetition, and the Delete that follows it take as long.
        """
        return 2 * self.retransmission + self.overlap
