"""What a peer's request gets while we are busy with the same thing: RFC 7296 section 2.25, as one table."""

from __future__ import annotations

from enum import StrEnum


class Asked(StrEnum):
    """What the peer asks for."""

    REKEY_CHILD = "rekey a Child SA"
    CLOSE_CHILD = "close a Child SA"
    CREATE_CHILD = "create a Child SA"
    REKEY_IKE = "rekey the IKE SA"
    CLOSE_IKE = "close the IKE SA"


class Busy(StrEnum):
    """What we are doing to the same SA."""

    NOTHING = "nothing"
    REKEYING_CHILD = "rekeying that Child SA"
    CLOSING_CHILD = "closing that Child SA"
    NO_SUCH_CHILD = "no such Child SA here"
    CHILD_EXCHANGE = "creating, rekeying or closing a Child SA"
    REKEYING_IKE = "rekeying the IKE SA"
    CLOSING_IKE = "closing the IKE SA"


class Answer(StrEnum):
    """What the request gets."""

    AS_USUAL = "as usual"
    TEMPORARY_FAILURE = "TEMPORARY_FAILURE"
    CHILD_SA_NOT_FOUND = "CHILD_SA_NOT_FOUND"
    WITHOUT_DELETE = "a response without a Delete payload"
    FORGET_OWN = "as usual, and our own exchange is forgotten"


TABLE: dict[tuple[Asked, Busy], Answer] = {
    (Asked.REKEY_CHILD, Busy.CLOSING_CHILD): Answer.TEMPORARY_FAILURE,
    (Asked.REKEY_CHILD, Busy.CHILD_EXCHANGE): Answer.TEMPORARY_FAILURE,
    (Asked.REKEY_CHILD, Busy.REKEYING_CHILD): Answer.AS_USUAL,
    (Asked.REKEY_CHILD, Busy.NO_SUCH_CHILD): Answer.CHILD_SA_NOT_FOUND,
    (Asked.REKEY_CHILD, Busy.REKEYING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.REKEY_CHILD, Busy.CLOSING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.CREATE_CHILD, Busy.REKEYING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.CREATE_CHILD, Busy.CLOSING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.CLOSE_CHILD, Busy.CLOSING_CHILD): Answer.WITHOUT_DELETE,
    (Asked.CLOSE_CHILD, Busy.REKEYING_CHILD): Answer.AS_USUAL,
    (Asked.CLOSE_CHILD, Busy.NO_SUCH_CHILD): Answer.WITHOUT_DELETE,
    (Asked.CLOSE_CHILD, Busy.REKEYING_IKE): Answer.AS_USUAL,
    (Asked.REKEY_IKE, Busy.CHILD_EXCHANGE): Answer.TEMPORARY_FAILURE,
    (Asked.REKEY_IKE, Busy.REKEYING_IKE): Answer.AS_USUAL,
    (Asked.REKEY_IKE, Busy.CLOSING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.CLOSE_IKE, Busy.REKEYING_IKE): Answer.FORGET_OWN,
    (Asked.CLOSE_IKE, Busy.CLOSING_IKE): Answer.FORGET_OWN,
}
"""Every other pair is answered as usual.

To rekey a Child SA that is not here while we make one is no row of the RFC's: it may be the one whose response is still
on its way to us, which CHILD_SA_NOT_FOUND would have the peer delete.
"""


def answer(asked: Asked, busy: Busy) -> Answer:
    """What RFC 7296 section 2.25 says the request gets."""
    return TABLE.get((asked, busy), Answer.AS_USUAL)


def ours_is_redundant(ours: tuple[bytes, bytes], peers: tuple[bytes, bytes]) -> bool:
    """Of two crossing rekeys, whether ours made the SA that has to go: the one with the lowest of the four nonces.

    Each pair is (initiator's nonce, responder's nonce) of one exchange; octets compare as unsigned, a prefix is lower.
    """
    ##= rfc7296#section-2.8.1
    ##% If redundant SAs are created through such a collision, the SA
    ##% created with the lowest of the four nonces used in the two exchanges
    ##% SHOULD be closed by the endpoint that created it.
    return min(ours) < min(peers)
