"""The errors of ikescope: one class for what the caller got wrong, one for what the peer sent."""

from __future__ import annotations


class IkescopeError(Exception):
    """Base of every error that ikescope raises on purpose."""


class LocalError(IkescopeError):
    """The caller, the host or the configuration is at fault; the message is one line that says what to do instead.

    `exit_status` is what a command that meets this error exits with: 2 for wrong usage or unreadable input, 1 where the
    answer is no.
    """

    exit_status = 2


class PeerError(IkescopeError):
    """What a peer sent is refused; raising one chooses the answer.

    `notify` is the notify message type to answer with (None: no answer at all), `data` the notification data, `section`
    the RFC section that decides. `facts` holds what was compared, for the event that records the refusal.
    """

    notify: int | None = None
    section: str = ""

    def __init__(self, message: str, *, data: bytes = b"", **facts: object) -> None:
        super().__init__(message)
        self.data = data
        self.facts = facts


class DecodeError(PeerError):
    """Octets do not form the payload they claim to be (INVALID_SYNTAX, RFC 7296 section 2.21).

    The message says payload, offset, `had`, `wanted`.
    """

    notify = 7
    section = "RFC 7296 section 2.21"
