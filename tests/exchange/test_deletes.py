"""IKE SAs and Child SAs are deleted: by one end, by both, while something else is done to them (RFC 7296 1.4.1, 2.25).

See tests/support/stage.py for the notation. The cases are those of the exchange tests of strongSwan.
"""

from tests.support.stage import ENDS, OLD, OTHER, either, stage

CLEARED, PEER = "cleared by the operator", "the peer deleted it"


def ended(end: str, why: str) -> list[str]:
    """What an end says when the IKE SA and all under it ends."""
    return [f"child {OLD[end]} closed: its IKE SA ended", f"ike 1,2 closed: {why}", "session down"]


@either
def test_ike_regular(end: str) -> None:
    """A> D ike, B: empty: both ends are down, once.

    ##= rfc7296#section-1.4.1 type=test
    ##% The response to a request that deletes the IKE SA is an empty
    ##% INFORMATIONAL response.
    """
    other, one = OTHER[end], stage()
    one.delete(end, "ike")
    assert one.stands(end) == f"1,2 deleting ({OLD[end]}/{OLD[other]} installed)"
    one.go(f"{end}> D ike")
    assert one.sees(other) == ("", " < ", ended(other, PEER))
    one.go(f"{other}: empty")
    assert one.sees(end) == ("", " < ", ended(end, CLEARED))
    assert one.sent() == [f"{end}> D ike", f"{other}: empty"]
    one.rest(ike=0, children=0)


def test_ike_collision() -> None:
    """a> D ike | b> D ike: each answers the other's with an empty response, ends at once, and awaits its own no more.

    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to close an IKE SA that it is currently
    ##% trying to close, it SHOULD reply as usual, and forget about its own
    ##% close request.
    """
    one = stage()
    for end in ENDS:
        one.delete(end, "ike")
    one.go("a> D ike")
    assert one.sees("b") == ("", " < ", ended("b", PEER))
    assert one.stands("a") == "1,2 deleting (1/2 installed)"
    one.go("b> D ike")
    assert one.sees("a") == ("", " < ", ended("a", PEER))
    one.flow()
    assert one.sent() == ["a> D ike", "b> D ike", "b: empty", "a: empty"]
    assert [one.said(end) for end in ENDS] == [[], []]
    one.rest(ike=0, children=0)


@either
def test_child_regular(end: str) -> None:
    """A> D esp, B: D esp: each names its own inbound SPI; the IKE SA stays.

    ##= rfc7296#section-1.4.1 type=test
    ##% Normally, the response in the INFORMATIONAL exchange will contain
    ##% Delete payloads for the paired SAs going in the other direction.
    """
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.delete(end, "child")
    assert one.stands(end) == f"1,2 established ({old}/{its} deleting)"
    one.go(f"{end}> D esp {old}")
    assert one.sees(other) == ("1,2 established", " < ", [f"child {its} closed: {PEER}"])
    one.go(f"{other}: D esp {its}")
    assert one.sees(end) == ("1,2 established", " < ", [f"child {old} closed: {CLEARED}"])
    assert one.sent() == [f"{end}> D esp {old}", f"{other}: D esp {its}"]
    one.rest(children=0)


def test_child_collision() -> None:
    """a> D esp | b> D esp: both responses are empty; the outbound goes with the request, the inbound with the response.

    ##= rfc7296#section-1.4.1 type=test
    ##% In that case, the
    ##% responses MUST NOT include Delete payloads for the deleted SAs, since
    ##% that would result in duplicate deletion and could in theory delete
    ##% the wrong SA.
    """
    one = stage()
    for end in ENDS:
        one.delete(end, "child")
    one.go("a> D esp 1", "b> D esp 2")
    assert one.sent() == ["a> D esp 1", "b> D esp 2", "b: empty", "a: empty"]
    assert one.sees("a") == ("1,2 established (1/2 deleting)", "1 < ", [])
    assert one.sees("b") == ("1,2 established (2/1 deleting)", "2 < ", [])
    one.go("b: empty", "a: empty")
    assert one.sees("a") == ("1,2 established", " < ", [f"child 1 closed: {CLEARED}"])
    assert one.sees("b") == ("1,2 established", " < ", [f"child 2 closed: {CLEARED}"])
    one.rest(children=0)


def test_child_collision_drop() -> None:
    """a> D esp | b> D esp, lost and repeated when the Child SA is gone at a: answered empty, gone once at each end."""
    one = stage()
    for end in ENDS:
        one.delete(end, "child")
    one.drop("b> D esp 2")
    one.go("a> D esp 1", "b: empty")
    assert one.sees("a") == ("1,2 established", " < ", [f"child 1 closed: {CLEARED}"])
    assert one.sees("b") == ("1,2 established (2/1 deleting)", "2 < ", [])
    one.wait(2.1).go("b> D esp 2 again", "a: empty")
    assert one.sees("b") == ("1,2 established", " < ", [f"child 2 closed: {CLEARED}"])
    assert one.said("a") == []
    assert one.held == []
    one.rest(children=0)


@either
def test_child_collision_ike_rekey(end: str) -> None:
    """A> D esp | B> rekey ike: the Delete is answered as usual, the rekey with TEMPORARY_FAILURE: one retry of B's.

    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to delete a Child SA when it is
    ##% currently rekeying the IKE SA, it SHOULD reply as usual, with a
    ##% Delete payload.
    """
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.delete(end, "child")
    one.rekey(other, "ike")
    one.go(f"{end}> D esp {old}", f"{other}> rekey ike")
    assert one.sent()[2:] == [f"{other}: D esp {its}", f"{end}: TEMPORARY_FAILURE"]
    assert one.sees(other) == ("1,2 rekeying", " < ", [f"child {its} closed: {PEER}"])
    one.go(f"{end}: TEMPORARY_FAILURE", f"{other}: D esp {its}")
    assert one.sees(other) == ("1,2 established", " < ", ["retry rekey IKE SA"])
    assert one.sees(end) == ("1,2 established", " < ", [f"child {old} closed: {CLEARED}"])
    assert [one.jobs(other), one.jobs(end)] == [1, 0]
    one.rest(children=0)
    assert [text.split(" by")[0] for text in one.said(other) if "rekeyed by" in text] == ["ike 1,2 rekeyed"]


@either
def test_child_collision_ike_delete(end: str) -> None:
    """A> D esp | B> D ike: the Child SA's Delete is answered as usual; the IKE SA's ends all; it ends once at each."""
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.delete(end, "child")
    one.delete(other, "ike")
    one.go(f"{end}> D esp {old}")
    assert one.sees(other) == ("1,2 deleting", " < ", [f"child {its} closed: {PEER}"])
    one.go(f"{other}> D ike")
    assert one.sees(end) == ("", " < ", ended(end, PEER))
    one.flow()
    assert one.sent() == [f"{end}> D esp {old}", f"{other}> D ike", f"{other}: D esp {its}", f"{end}: empty"]
    assert one.said(other) == [f"ike 1,2 closed: {CLEARED}", "session down"]
    assert one.said(end) == []
    one.rest(ike=0, children=0)
