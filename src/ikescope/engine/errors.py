"""One class for each error notify that we answer with; raising it is choosing the answer (RFC 7296 section 3.10.1)."""

from __future__ import annotations

from ikescope.errors import PeerError
from ikescope.events.life import CloseReason
from ikescope.wire.registry import NotifyType


class NoProposalChosen(PeerError):
    """None of the proposals is acceptable."""

    notify = NotifyType.NO_PROPOSAL_CHOSEN
    section = "RFC 7296 section 2.7"


class InvalidKePayload(PeerError):
    """The KE payload's group is not the chosen one; `data` names the one wanted in 2 octets."""

    notify = NotifyType.INVALID_KE_PAYLOAD
    section = "RFC 7296 section 1.3"


class AuthenticationFailed(PeerError):
    """The peer is not who it says, or nobody we speak to."""

    notify = NotifyType.AUTHENTICATION_FAILED
    section = "RFC 7296 section 2.21.2"


class TsUnacceptable(PeerError):
    """No configured tunnel covers the proposed traffic selectors."""

    notify = NotifyType.TS_UNACCEPTABLE
    section = "RFC 7296 section 2.9"


class SinglePairRequired(PeerError):
    """Our policy wants a Child SA for each pair of addresses, and the request does not say for which it is."""

    notify = NotifyType.SINGLE_PAIR_REQUIRED
    section = "RFC 7296 section 2.9"


class TemporaryFailure(PeerError):
    """Not now: something else is being done to the same SA."""

    notify = NotifyType.TEMPORARY_FAILURE
    section = "RFC 7296 section 2.25"


class ChildSaNotFound(PeerError):
    """The Child SA to rekey is not here; `data` is empty, the notify carries its SPI."""

    notify = NotifyType.CHILD_SA_NOT_FOUND
    section = "RFC 7296 section 2.25"


class InvalidSyntax(PeerError):
    """A message that is authentic and makes no sense; fatal for the IKE SA."""

    notify = NotifyType.INVALID_SYNTAX
    section = "RFC 7296 section 2.21.3"


class NoAdditionalSas(PeerError):
    """No further Child SA is accepted."""

    notify = NotifyType.NO_ADDITIONAL_SAS
    section = "RFC 7296 section 1.3"


class TsMaxQueue(PeerError):
    """As many Child SAs as we have resources stand for these selectors; others may still be had."""

    notify = NotifyType.TS_MAX_QUEUE
    section = "RFC 9611"


FATAL = frozenset(
    {NotifyType.AUTHENTICATION_FAILED, NotifyType.INVALID_SYNTAX, NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD}
)
"""The notifies that end an IKE SA without a Delete payload (RFC 7296 section 2.21.2)."""

_CAUSES: dict[int, CloseReason] = {
    NotifyType.AUTHENTICATION_FAILED: CloseReason.NOT_AUTHENTICATED,
    NotifyType.INVALID_SYNTAX: CloseReason.NO_SENSE,
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD: CloseReason.NO_SENSE,
}


def cause_of(error: PeerError) -> CloseReason:
    """Why an SA ends that an error ends."""
    return _CAUSES.get(error.notify or 0, CloseReason.NOT_AGREED)
