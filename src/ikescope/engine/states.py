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


IKE_CAUSES: dict[tuple[IkeState, IkeState], str] = {
    (IkeState.INIT_SENT, IkeState.AUTH_SENT): "response to IKE_SA_INIT agreed; IKE_AUTH goes out",
    (IkeState.INIT_SENT, IkeState.CLOSED): "no response, or refused",
    (IkeState.INIT_DONE, IkeState.ESTABLISHED): "IKE_AUTH request verified; response goes out",
    (IkeState.INIT_DONE, IkeState.CLOSED): "IKE_AUTH never came, or failed",
    (IkeState.AUTH_SENT, IkeState.ESTABLISHED): "IKE_AUTH response verified",
    (IkeState.AUTH_SENT, IkeState.DELETING): "the peer did not authenticate itself: AUTHENTICATION_FAILED goes out",
    (IkeState.AUTH_SENT, IkeState.CLOSED): "no response, or refused",
    (IkeState.ESTABLISHED, IkeState.REKEYING): "lifetime or operator: our rekey goes out",
    (IkeState.ESTABLISHED, IkeState.REKEYED): "the peer's rekey answered, or of two crossing rekeys the peer's lost",
    (IkeState.ESTABLISHED, IkeState.DELETING): "our Delete goes out",
    (IkeState.ESTABLISHED, IkeState.CLOSED): "the peer's Delete, no response, or a fatal error",
    (IkeState.REKEYING, IkeState.ESTABLISHED): "our rekey refused or failed",
    (IkeState.REKEYING, IkeState.REKEYED): "the new IKE SA stands",
    (IkeState.REKEYING, IkeState.DELETING): "our Delete goes out",
    (IkeState.REKEYING, IkeState.CLOSED): "the peer's Delete, no response, or a fatal error",
    (IkeState.REKEYED, IkeState.DELETING): "our Delete goes out: we began the rekey",
    (IkeState.REKEYED, IkeState.CLOSED): "the peer's Delete, or it never came",
    (IkeState.DELETING, IkeState.CLOSED): "response, or none",
}
"""What takes an IKE SA from one state to another; every other step is a defect."""

CHILD_CAUSES: dict[tuple[ChildState, ChildState], str] = {
    (ChildState.CREATED, ChildState.INSTALLED): "the data plane reports both ESP SAs",
    (ChildState.CREATED, ChildState.DELETING): "the data plane refused one; our Delete goes out",
    (ChildState.CREATED, ChildState.CLOSED): "the data plane refused one, or the IKE SA ended",
    (ChildState.INSTALLED, ChildState.REKEYING): "lifetime, traffic limit or operator: our rekey goes out",
    (ChildState.INSTALLED, ChildState.REKEYED): "the peer's rekey answered, or of two crossing rekeys the peer's lost",
    (ChildState.INSTALLED, ChildState.DELETING): "our Delete goes out",
    (ChildState.INSTALLED, ChildState.CLOSED): "the peer's Delete, or the IKE SA ended",
    (ChildState.REKEYING, ChildState.INSTALLED): "our rekey refused or failed",
    (ChildState.REKEYING, ChildState.REKEYED): "the new Child SA stands",
    (ChildState.REKEYING, ChildState.DELETING): "our Delete goes out",
    (ChildState.REKEYING, ChildState.CLOSED): "the peer's Delete, CHILD_SA_NOT_FOUND, or the IKE SA ended",
    (ChildState.REKEYED, ChildState.DELETING): "our Delete goes out: we began the rekey",
    (ChildState.REKEYED, ChildState.CLOSED): "the peer's Delete, or it never came",
    (ChildState.DELETING, ChildState.CLOSED): "response, or none",
}
"""What takes a Child SA from one state to another; every other step is a defect."""

IKE_TRANSITIONS: dict[IkeState, frozenset[IkeState]] = {
    state: frozenset(after for before, after in IKE_CAUSES if before is state) for state in IkeState
}
CHILD_TRANSITIONS: dict[ChildState, frozenset[ChildState]] = {
    state: frozenset(after for before, after in CHILD_CAUSES if before is state) for state in ChildState
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
