"""The states of an IKE SA and of a Child SA, and every transition there is, as tables (RFC 7296 sections 1 and 2.8)."""

from __future__ import annotations

from enum import StrEnum


class IkeState(StrEnum):
    """Where an IKE SA stands."""

    INIT_SENT = "IKE_SA_INIT sent"
    INIT_DONE = "IKE_SA_INIT answered"
    AUTH_SENT = "IKE_AUTH sent"
    ESTABLISHED = "established"
    REKEYING = "rekeying"
    REKEYED = "rekeyed"
    DELETING = "deleting"
    CLOSED = "closed"


class ChildState(StrEnum):
    """Where a Child SA stands."""

    CREATED = "created"
    INSTALLED = "installed"
    REKEYING = "rekeying"
    REKEYED = "rekeyed"
    DELETING = "deleting"
    CLOSED = "closed"


IKE_TRANSITIONS: dict[IkeState, frozenset[IkeState]] = {
    IkeState.INIT_SENT: frozenset({IkeState.AUTH_SENT, IkeState.CLOSED}),
    IkeState.INIT_DONE: frozenset({IkeState.ESTABLISHED, IkeState.CLOSED}),
    IkeState.AUTH_SENT: frozenset({IkeState.ESTABLISHED, IkeState.DELETING, IkeState.CLOSED}),
    IkeState.ESTABLISHED: frozenset({IkeState.REKEYING, IkeState.REKEYED, IkeState.DELETING, IkeState.CLOSED}),
    IkeState.REKEYING: frozenset({IkeState.ESTABLISHED, IkeState.REKEYED, IkeState.DELETING, IkeState.CLOSED}),
    IkeState.REKEYED: frozenset({IkeState.DELETING, IkeState.CLOSED}),
    IkeState.DELETING: frozenset({IkeState.CLOSED}),
    IkeState.CLOSED: frozenset(),
}

CHILD_TRANSITIONS: dict[ChildState, frozenset[ChildState]] = {
    ChildState.CREATED: frozenset({ChildState.INSTALLED, ChildState.DELETING, ChildState.CLOSED}),
    ChildState.INSTALLED: frozenset({ChildState.REKEYING, ChildState.REKEYED, ChildState.DELETING, ChildState.CLOSED}),
    ChildState.REKEYING: frozenset({ChildState.INSTALLED, ChildState.REKEYED, ChildState.DELETING, ChildState.CLOSED}),
    ChildState.REKEYED: frozenset({ChildState.DELETING, ChildState.CLOSED}),
    ChildState.DELETING: frozenset({ChildState.CLOSED}),
    ChildState.CLOSED: frozenset(),
}

USABLE = frozenset({IkeState.ESTABLISHED, IkeState.REKEYING})
"""States in which new exchanges may begin on an IKE SA."""

AUTHENTICATED = frozenset({IkeState.ESTABLISHED, IkeState.REKEYING, IkeState.REKEYED, IkeState.DELETING})
"""States in which requests other than IKE_AUTH are answered."""

IOS_STATUS: dict[IkeState, tuple[str, str]] = {
    IkeState.INIT_SENT: ("IN-NEG", "Initiator waiting for INIT response"),
    IkeState.INIT_DONE: ("IN-NEG", "Responder waiting for AUTH message"),
    IkeState.AUTH_SENT: ("IN-NEG", "Initiator waiting for AUTH response"),
    IkeState.ESTABLISHED: ("READY", "Negotiation done"),
    IkeState.REKEYING: ("READY", "Negotiation done"),
    IkeState.REKEYED: ("READY", "Rekeyed, waiting for DELETE"),
    IkeState.DELETING: ("DELETE", "Deleting"),
    IkeState.CLOSED: ("DELETE", "Deleted"),
}
"""How `show crypto ikev2 sa` calls a state, and its status description."""
