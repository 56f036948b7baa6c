"""The IKE SA is rekeyed: alone, from both ends at once, late, lost, while it is deleted (RFC 7296 2.8.2, 2.25.2).

See tests/support/stage.py for the notation. Every message waits until the test lets it arrive; after each case all that
is still on its way arrives, two minutes pass, and both ends must hold the same IKE SA, the Child SA and no timer more.
The cases are those of the exchange tests of strongSwan that need neither RFC 9370 nor RFC 6311.
"""

import msgspec
from tests.support.stage import ENDS, NAMES, OTHER, Stage, b_wins, either, four, stage, three
from tests.support.world import Side

CHILD = {"a": "1/2 installed", "b": "2/1 installed"}
PLANE = {"a": "1 < 2*", "b": "2 < 1*"}
DELETED = "closed: rekeyed; the peer deleted the old IKE SA"
REDUNDANT = "closed: redundant: two rekeys crossed"
DOWN = {"a": ["child 1 closed: its IKE SA ended"], "b": ["child 2 closed: its IKE SA ended"]}


def untouched(one: Stage) -> bool:
    """Whether both data planes hold what they held, in use as before: the rekey of an IKE SA touches no ESP SA."""
    return all(one.plane(end) == PLANE[end] for end in ENDS)


def crossed(nonces: tuple[int, ...]) -> Stage:
    """Both ends rekey the IKE SA at the same time; both requests wait."""
    one = stage()
    one.rekey("a", "ike", nonce=nonces[0] * 255)
    one.rekey("b", "ike", nonce=nonces[2] * 255)
    assert one.sent() == ["a> rekey ike as 3", "b> rekey ike as 4"]
    return one


@either
def test_regular(end: str) -> None:
    """A> rekey ike, B: ike, A> D ike, B: empty: who asks deletes the old one; the Child SA moves, no end goes down."""
    ##= rfc7296#section-2.8 type=test
    ##% To rekey an IKE SA, establish a new equivalent IKE SA (see Section 2.18 below) with the peer to whom the
    ##% old IKE SA is shared using a CREATE_CHILD_SA within the existing IKE SA.
    ##= rfc7296#section-2.8 type=test
    ##% An IKE SA so created inherits all of the original IKE SA's Child SAs, and the new IKE SA is used for all
    ##% control messages needed to maintain those Child SAs.
    other, one = OTHER[end], stage()
    one.rekey(end, "ike")
    assert one.stands(end) == f"1,2 rekeying ({CHILD[end]})"
    one.go(f"{end}> rekey ike as 3")
    assert one.stands(other) == f"1,2 rekeyed; 3,4 established ({CHILD[other]})"
    one.go(f"{other}: ike 4")
    assert one.stands(end) == f"1,2 deleting; 3,4 established ({CHILD[end]})"
    one.go(f"{end}> D ike")
    assert one.sees(other) == (
        f"3,4 established ({CHILD[other]})",
        PLANE[other],
        ["ike 1,2 rekeyed by 3,4", f"ike 1,2 {DELETED}"],
    )
    one.go(f"{other}: empty")
    assert one.sees(end) == (
        f"3,4 established ({CHILD[end]})",
        PLANE[end],
        ["ike 1,2 rekeyed by 3,4", "ike 1,2 closed: rekeyed"],
    )
    assert one.sent() == [f"{end}> rekey ike as 3", f"{other}: ike 4", f"{end}> D ike", f"{other}: empty"]
    one.rest()


def want_other_group(one: Stage, end: str) -> None:
    """An end takes group 14 only from now on; the IKE SA was made with 19."""
    sa = one.pair.one_ike(NAMES[end])
    sa.proposals = tuple(msgspec.structs.replace(proposal, groups=(14,)) for proposal in sa.proposals)


@either
def test_regular_ke_invalid(end: str) -> None:
    """A> rekey ike KE(19), B: INVALID_KE_PAYLOAD 14, A> rekey ike KE(14) with the SPI it had: as usual from there."""
    ##= rfc7296#section-1.3 type=test
    ##% If the responder selects a proposal using a different Diffie-Hellman group (other than NONE), the responder
    ##% MUST reject the request and indicate its preferred Diffie-Hellman group in the INVALID_KE_PAYLOAD Notify
    ##% payload.
    other, one = OTHER[end], stage(Side(groups=(19, 14)))
    want_other_group(one, other)
    one.rekey(end, "ike")
    one.go(f"{end}> rekey ike as 3")
    assert one.stands(other) == f"1,2 established ({CHILD[other]})"
    one.go(f"{other}: INVALID_KE_PAYLOAD 14")
    assert one.stands(end) == f"1,2 rekeying ({CHILD[end]})"
    assert one.jobs(end) == 0
    one.flow()
    assert one.sent() == [
        f"{end}> rekey ike as 3",
        f"{other}: INVALID_KE_PAYLOAD 14",
        f"{end}> rekey ike as 3",
        f"{other}: ike 4",
        f"{end}> D ike",
        f"{other}: empty",
    ]
    assert one.said(end) == ["ike 1,2 rekeyed by 3,4", "ike 1,2 closed: rekeyed"]
    assert one.said(other) == ["ike 1,2 rekeyed by 3,4", f"ike 1,2 {DELETED}"]
    suite = one.pair.one_ike(NAMES[end]).suite
    assert suite is not None
    assert suite.group == 14
    one.rest()


def resolved(one: Stage, nonces: tuple[int, ...], *, a: str = "3,5", b: str = "4,6") -> None:
    """Both requests were answered: the responses arrive, the nonces decide, what has to go is deleted."""
    one.sent()
    winner, loser = ("b", "a") if b_wins(nonces) else ("a", "b")
    survivor, redundant = (b, a) if winner == "b" else (a, b)
    one.go("b: ike", "a: ike")
    assert set(one.stands(winner).split("; ")) == {
        "1,2 deleting",
        f"{redundant} rekeyed",
        f"{survivor} established ({CHILD[winner]})",
    }
    assert set(one.stands(loser).split("; ")) == {
        "1,2 rekeyed",
        f"{redundant} deleting",
        f"{survivor} established ({CHILD[loser]})",
    }
    one.flow()
    assert one.sent() == ["a> D ike", "b> D ike", "b: empty", "a: empty"]
    rekeyed = f"ike 1,2 rekeyed by {survivor}"
    assert sorted(one.said(winner)) == sorted(
        [rekeyed, "ike 1,2 closed: rekeyed", f"ike {redundant} {REDUNDANT}; the peer deleted it"]
    )
    assert sorted(one.said(loser)) == sorted([rekeyed, f"ike {redundant} {REDUNDANT}", f"ike 1,2 {DELETED}"])
    for end in ENDS:
        assert one.stands(end) == f"{survivor} established ({CHILD[end]})"
        assert one.jobs(end) == 0
    assert untouched(one)
    one.rest()


@four
def test_collision(nonces: tuple[int, ...]) -> None:
    """a> rekey ike | b> rekey ike, both answered: who made the one with the lowest nonce deletes it, the other the old.

    ##= rfc7296#section-2.8.2 type=test
    ##% The new IKE SA containing the lowest nonce
    ##% SHOULD be deleted by the node that created it, and the other
    ##% surviving new IKE SA MUST inherit all the Child SAs.
    """
    one = crossed(nonces)
    one.go("a> rekey", nonce=nonces[1] * 255).go("b> rekey", nonce=nonces[3] * 255)
    assert one.stands("a") == f"1,2 rekeying ({CHILD['a']}); 4,6 established"
    assert one.stands("b") == f"1,2 rekeying ({CHILD['b']}); 3,5 established"
    resolved(one, nonces)


@four
def test_collision_ke_invalid(nonces: tuple[int, ...]) -> None:
    """a> rekey ike | b> rekey ike, both INVALID_KE_PAYLOAD, both again: only the nonces of the retries count."""
    one = stage(Side(groups=(19, 14)))
    for end in ENDS:
        want_other_group(one, end)
    # The first requests, which come to nothing, have the lowest nonces of all.
    one.rekey("a", "ike", nonce=0)
    one.rekey("b", "ike", nonce=0)
    one.go("a> rekey").go("b> rekey")
    assert one.sent()[2:] == ["b: INVALID_KE_PAYLOAD 14", "a: INVALID_KE_PAYLOAD 14"]
    for end in ENDS:
        sa = one.pair.one_ike(NAMES[end])
        sa.proposals = tuple(msgspec.structs.replace(proposal, groups=(19, 14)) for proposal in sa.proposals)
    one.go("b: INVALID", nonce=nonces[0] * 255).go("a: INVALID", nonce=nonces[2] * 255)
    assert one.sent() == ["a> rekey ike as 3", "b> rekey ike as 4"]
    one.go("a> rekey", nonce=nonces[1] * 255).go("b> rekey", nonce=nonces[3] * 255)
    resolved(one, nonces)


@three
def test_collision_ke_invalid_delayed_retry(nonces: tuple[int, ...]) -> None:
    """As before, but a's retry arrives when b deletes the old one: TEMPORARY_FAILURE, which a, on b's SA, ignores."""
    one = stage(Side(groups=(19, 14)))
    for end in ENDS:
        want_other_group(one, end)
    one.rekey("a", "ike")
    one.rekey("b", "ike")
    one.go("a> rekey").go("b> rekey")
    for end in ENDS:
        sa = one.pair.one_ike(NAMES[end])
        sa.proposals = tuple(msgspec.structs.replace(proposal, groups=(19, 14)) for proposal in sa.proposals)
    one.go("b: INVALID", nonce=nonces[0] * 255).go("a: INVALID", nonce=nonces[2] * 255)
    one.sent()
    one.go("b> rekey", nonce=nonces[3] * 255).go("a: ike 5")
    assert one.stands("b") == f"1,2 deleting; 4,5 established ({CHILD['b']})"
    one.go("a> rekey")
    assert one.sent() == ["a: ike 5", "b> D ike", "b: TEMPORARY_FAILURE"]
    one.go("b> D ike", "b: TEMPORARY_FAILURE")
    adopted(one)


def adopted(one: Stage, survivor: str = "4,5") -> None:
    """The rekey of a came to nothing and a goes on with the IKE SA of b's: no retry, nothing went down."""
    assert one.sees("a") == (
        f"{survivor} established ({CHILD['a']})",
        PLANE["a"],
        [f"ike 1,2 rekeyed by {survivor}", f"ike 1,2 {DELETED}"],
    )
    assert one.jobs("a") == 0
    one.go("a: empty")
    assert one.sees("b") == (
        f"{survivor} established ({CHILD['b']})",
        PLANE["b"],
        [f"ike 1,2 rekeyed by {survivor}", "ike 1,2 closed: rekeyed"],
    )
    assert one.held == []
    one.rest()


@four
def test_collision_delayed_response(nonces: tuple[int, ...]) -> None:
    """a> rekey ike | b> rekey ike; b's response is late; b won: D for the old one first; b lost: D for its own first.

    b won: a goes on with b's and never makes its own, whose half b drops after a minute. b lost: a answers the Delete
    for an IKE SA that has not proven redundant to it yet, and makes its own when the response comes.
    """
    one = crossed(nonces)
    one.go("a> rekey", nonce=nonces[1] * 255).go("b> rekey", nonce=nonces[3] * 255).go("a: ike 6")
    one.sent()
    if b_wins(nonces):
        assert one.stands("b") == f"1,2 deleting; 3,5 rekeyed; 4,6 established ({CHILD['b']})"
        one.go("b> D ike")
        assert one.sees("a") == (
            f"4,6 established ({CHILD['a']})",
            PLANE["a"],
            ["ike 1,2 rekeyed by 4,6", f"ike 1,2 {DELETED}"],
        )
        one.go("b: ike 5", "a: empty")
        assert one.stands("a") == f"4,6 established ({CHILD['a']})"
        assert one.stands("b") == f"3,5 rekeyed; 4,6 established ({CHILD['b']})"
        assert untouched(one)
        one.rest(orphans=1)
        assert one.stands("b") == f"4,6 established ({CHILD['b']})"
        return
    assert one.stands("b") == f"1,2 rekeyed; 3,5 established ({CHILD['b']}); 4,6 deleting"
    one.go("b> D ike")
    assert one.sees("a") == (
        f"1,2 rekeying ({CHILD['a']})",
        PLANE["a"],
        [f"ike 4,6 {REDUNDANT}; the peer deleted it"],
    )
    one.go("b: ike 5")
    assert one.stands("a") == f"1,2 deleting; 3,5 established ({CHILD['a']})"
    one.flow()
    assert one.said("a") == ["ike 1,2 rekeyed by 3,5", "ike 1,2 closed: rekeyed"]
    assert one.said("b") == ["ike 1,2 rekeyed by 3,5", f"ike 4,6 {REDUNDANT}", f"ike 1,2 {DELETED}"]
    assert one.sent() == ["a: empty", "a> D ike", "b: empty"]
    assert untouched(one)
    one.rest()


@three
def test_collision_dropped_request(nonces: tuple[int, ...]) -> None:
    """a> rekey ike, lost | b> rekey ike: b sees no crossing and deletes the old one; a, who does, goes on with b's."""
    one = crossed(nonces)
    one.drop("a> rekey")
    one.go("b> rekey", nonce=nonces[3] * 255)
    assert one.stands("a") == f"1,2 rekeying ({CHILD['a']}); 4,5 established"
    one.go("a: ike 5", "b> D ike")
    adopted(one)


@three
def test_collision_delayed_request(nonces: tuple[int, ...]) -> None:
    """a> rekey ike, late | b> rekey ike: b deletes the old one already: TEMPORARY_FAILURE, after its Delete.

    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to rekey an IKE SA that it is currently
    ##% trying to close, it SHOULD reply with TEMPORARY_FAILURE.
    """
    one = crossed(nonces)
    one.go("b> rekey", nonce=nonces[3] * 255).go("a: ike 5", "a> rekey", "b> D ike", "b: TEMPORARY_FAILURE")
    assert one.sent() == ["a: ike 5", "b> D ike", "b: TEMPORARY_FAILURE", "a: empty"]
    adopted(one)


@three
def test_collision_delayed_request_and_delete(nonces: tuple[int, ...]) -> None:
    """As before, but b's Delete is later than its TEMPORARY_FAILURE: a answered b's rekey, so it does not retry."""
    one = crossed(nonces)
    one.go("b> rekey", nonce=nonces[3] * 255).go("a: ike 5", "a> rekey", "b: TEMPORARY_FAILURE")
    assert one.stands("a") == f"1,2 rekeyed; 4,5 established ({CHILD['a']})"
    assert one.jobs("a") == 0
    one.go("b> D ike")
    adopted(one)


@either
def test_collision_delete(end: str) -> None:
    """A> D ike | B> rekey ike: A: TEMPORARY_FAILURE, B: empty and forgets its rekey; both ends are down.

    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to close an IKE SA that it is currently rekeying, it SHOULD reply as usual,
    ##% and forget about its own rekeying request.
    """
    other, one = OTHER[end], stage()
    one.delete(end, "ike")
    one.rekey(other, "ike")
    one.go(f"{other}> rekey", f"{end}> D ike")
    assert one.sees(other) == ("", " < ", [*DOWN[other], "ike 1,2 closed: the peer deleted it", "session down"])
    one.go(f"{end}: TEMPORARY_FAILURE")
    assert one.stands(end) == f"1,2 deleting ({CHILD[end]})"
    one.go(f"{other}: empty")
    assert one.sees(end) == ("", " < ", [*DOWN[end], "ike 1,2 closed: cleared by the operator", "session down"])
    assert one.sent() == [
        f"{end}> D ike",
        f"{other}> rekey ike as 3",
        f"{end}: TEMPORARY_FAILURE",
        f"{other}: empty",
    ]
    assert [one.jobs(who) for who in ENDS] == [0, 0]
    one.rest(ike=0, children=0)


@either
def test_collision_delete_drop_delete(end: str) -> None:
    """A> D ike, lost | B> rekey ike, A: TEMPORARY_FAILURE: B retries later, once; the repeated Delete ends it before.

    ##= rfc7296#section-2.25 type=test
    ##% When a peer receives a TEMPORARY_FAILURE
    ##% notification, it MUST NOT immediately retry the operation; it MUST
    ##% wait so that the sender may complete whatever operation caused the
    ##% temporary condition.
    """
    other, one = OTHER[end], stage()
    one.delete(end, "ike")
    one.rekey(other, "ike")
    one.drop(f"{end}> D ike")
    one.go(f"{other}> rekey", f"{end}: TEMPORARY_FAILURE")
    assert one.sees(other) == (f"1,2 established ({CHILD[other]})", PLANE[other], ["retry rekey IKE SA"])
    assert one.jobs(other) == 1
    one.wait(2.1).go(f"{end}> D ike again", f"{other}: empty")
    assert one.sees(other) == ("", " < ", [*DOWN[other], "ike 1,2 closed: the peer deleted it", "session down"])
    assert one.sees(end) == ("", " < ", [*DOWN[end], "ike 1,2 closed: cleared by the operator", "session down"])
    one.sent()
    one.wait(10)
    assert one.sent() == []
    one.rest(ike=0, children=0)
