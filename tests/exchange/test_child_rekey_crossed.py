"""Both ends do something to the same Child SA at the same time, and a message is late or lost (2.8.1, 2.25.1).

See tests/support/stage.py for the notation, tests/exchange/test_child_rekey.py for what holds after each case and for
where we differ from strongSwan, whose exchange tests these cases are.
"""

import pytest
from tests.support.stage import (
    ENDS,
    NAMES,
    OLD,
    OTHER,
    Stage,
    b_wins,
    either,
    four,
    offer_two_groups,
    stage,
    three,
    two,
)

from ikescope.events.life import SessionDown

REDUNDANT = "closed: redundant: two rekeys crossed"


def down(one: Stage) -> int:
    """How many sessions ended: none, unless an IKE SA did."""
    return sum(isinstance(event, SessionDown) for end in ENDS for event in one.records(end))


def crossed(nonces: tuple[int, ...]) -> Stage:
    """Both ends rekey the Child SA at the same time; both requests wait."""
    one = stage()
    one.rekey("a", "child", nonce=nonces[0] * 255)
    one.rekey("b", "child", nonce=nonces[2] * 255)
    assert one.sent() == ["a> rekey child 1 as 3", "b> rekey child 2 as 4"]
    return one


def resolved(one: Stage, nonces: tuple[int, ...], spis: tuple[int, int, int, int] = (3, 5, 4, 6)) -> None:
    """Both requests were answered: the responses arrive, the nonces decide, what has to go is deleted.

    `spis`: a's and b's of a's exchange, then b's and a's of b's.
    """
    one.sent()
    for end in ENDS:
        one.said(end)
    ours_a, ours_b, theirs_b, theirs_a = spis
    one.go(f"b: child {ours_b}", f"a: child {theirs_a}")
    win = {"a": theirs_a, "b": theirs_b} if b_wins(nonces) else {"a": ours_a, "b": ours_b}
    lose = {"a": ours_a, "b": ours_b} if b_wins(nonces) else {"a": theirs_a, "b": theirs_b}
    winner, loser = ("b", "a") if b_wins(nonces) else ("a", "b")
    plane = {end: one.plane(end) for end in ENDS}
    # The loser sends by the old one until the winner deletes that; nobody ever sends by the redundant one.
    assert f"{OLD[winner]}*" in plane[loser]
    assert f"{win[loser]}*" in plane[winner]
    assert one.sent() == [
        f"a> D esp {lose['a'] if winner == 'b' else OLD['a']}",
        f"b> D esp {lose['b'] if winner == 'a' else OLD['b']}",
    ]
    one.flow()
    assert one.sent() == [
        f"b: D esp {lose['b'] if winner == 'b' else OLD['b']}",
        f"a: D esp {lose['a'] if winner == 'a' else OLD['a']}",
    ]
    for end in ENDS:
        assert one.stands(end) == f"1,2 established ({win[end]}/{win[OTHER[end]]} installed)"
        assert one.plane(end).endswith(f"< {win[OTHER[end]]}*")
        suffix = "" if end == loser else "; the peer deleted it"
        assert sorted(one.said(end)) == sorted(
            [
                f"child {OLD[end]} rekeyed by {win[end]}",
                f"child {OLD[end]} closed: rekeyed",
                f"child {lose[end]} {REDUNDANT}{suffix}",
            ]
        )
        assert one.jobs(end) == 0
    one.rest()
    assert down(one) == 0


@four
def test_collision(nonces: tuple[int, ...]) -> None:
    """a> rekey child | b> rekey child, both answered: the lowest nonce's goes by its maker, the old by the other's.

    ##= rfc7296#section-2.8.1 type=test
    ##% the SA
    ##% created with the lowest of the four nonces used in the two exchanges
    ##% SHOULD be closed by the endpoint that created it.
    """
    one = crossed(nonces)
    one.go("a> rekey", nonce=nonces[1] * 255).go("b> rekey", nonce=nonces[3] * 255)
    assert one.stands("a") == "1,2 established (1/2 rekeying, 6/4 installed)"
    assert one.stands("b") == "1,2 established (2/1 rekeying, 5/3 installed)"
    assert (one.plane("a"), one.plane("b")) == ("1 6 < 2* 4", "2 5 < 1* 3")
    resolved(one, nonces)


@four
def test_collision_ke_invalid(nonces: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """a> rekey child | b> rekey child, both INVALID_KE_PAYLOAD, both again: only the nonces of the retries count."""
    offer_two_groups(monkeypatch)
    one = two()
    one.rekey("a", "child", nonce=0)
    one.rekey("b", "child", nonce=0)
    one.go("a> rekey").go("b> rekey")
    one.go("b: INVALID_KE_PAYLOAD 14", nonce=nonces[0] * 255).go("a: INVALID_KE_PAYLOAD 19", nonce=nonces[2] * 255)
    assert one.sent()[-2:] == ["a> rekey child 1 as 5", "b> rekey child 2 as 6"]
    one.go("a> rekey", nonce=nonces[1] * 255).go("b> rekey", nonce=nonces[3] * 255)
    resolved(one, nonces, (5, 7, 6, 8))


@three
def test_collision_ke_invalid_delayed_retry(nonces: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """As before, but a's retry arrives when b deletes the old one: TEMPORARY_FAILURE; a goes on with b's."""
    offer_two_groups(monkeypatch)
    one = two()
    one.rekey("a", "child")
    one.rekey("b", "child")
    one.go("a> rekey").go("b> rekey")
    one.go("b: INVALID", nonce=nonces[0] * 255).go("a: INVALID", nonce=nonces[2] * 255)
    one.go("b> rekey", nonce=nonces[3] * 255).go("a: child 7", "a> rekey", "b> D esp 2", "b: TEMPORARY_FAILURE")
    adopted(one, mine=7, its=6)


def adopted(one: Stage, *, mine: int = 5, its: int = 4) -> None:
    """The rekey of a came to nothing, a goes on with the Child SA of b's: no retry, one rekey said at each end."""
    assert one.stands("a") == f"1,2 established ({mine}/{its} installed)"
    assert one.plane("a").endswith(f"< {its}*")
    assert one.said("a") == [f"child 1 rekeyed by {mine}", "child 1 closed: rekeyed"]
    assert one.jobs("a") == 0
    one.flow()
    assert one.stands("b") == f"1,2 established ({its}/{mine} installed)"
    assert one.said("b") == [f"child 2 rekeyed by {its}", "child 2 closed: rekeyed"]
    one.rest()
    assert down(one) == 0


@four
def test_collision_delayed_response(nonces: tuple[int, ...]) -> None:
    """a> rekey child | b> rekey child; b's response is later than b's Delete: the nonces still decide when it comes."""
    one = crossed(nonces)
    one.go("a> rekey", nonce=nonces[1] * 255).go("b> rekey", nonce=nonces[3] * 255).go("a: child 6")
    one.sent()
    if b_wins(nonces):
        one.go("b> D esp 2")
        assert one.sees("a") == (
            "1,2 established (6/4 installed)",
            "1 6 < 4*",
            ["child 1 rekeyed by 6", "child 1 closed: rekeyed"],
        )
        one.go("b: child 5")
        assert one.stands("a") == "1,2 established (6/4 installed, 3/5 deleting)"
        one.flow()
        assert one.sent() == ["a: D esp 1", "a> D esp 3", "b: D esp 5"]
        assert one.said("a") == [f"child 3 {REDUNDANT}"]
        assert one.stands("a") == "1,2 established (6/4 installed)"
    else:
        one.go("b> D esp 4")
        assert one.sees("a") == (
            "1,2 established (1/2 rekeying)",
            "1 < 2*",
            [f"child 6 {REDUNDANT}; the peer deleted it"],
        )
        one.go("b: child 5")
        assert one.stands("a") == "1,2 established (1/2 deleting, 3/5 installed)"
        one.flow()
        assert one.sent() == ["a: D esp 6", "a> D esp 1", "b: D esp 2"]
        assert one.said("a") == ["child 1 rekeyed by 3", "child 1 closed: rekeyed"]
        assert one.stands("a") == "1,2 established (3/5 installed)"
    one.rest()
    assert down(one) == 0


@four
def test_collision_delayed_response_delete(nonces: tuple[int, ...]) -> None:
    """As before, and b deletes the survivor too before its response arrives: in the end nothing is installed."""
    one = crossed(nonces)
    one.go("a> rekey", nonce=nonces[1] * 255).go("b> rekey", nonce=nonces[3] * 255).go("a: child 6")
    if b_wins(nonces):
        one.go("b> D esp 2", "a: D esp 1")
        one.delete("b", "child 4")
        one.go("b> D esp 4")
        assert one.sent()[-2:] == ["b> D esp 4", "a: D esp 6"]
    else:
        one.go("b> D esp 4", "a: D esp 6")
        one.delete("b", "child 5")
        one.go("b> D esp 5")
        assert one.sent()[-2:] == ["b> D esp 5", "a: empty"]
    one.go("b: child 5")
    one.flow()
    for end in ENDS:
        assert one.stands(end) == "1,2 established"
        assert one.jobs(end) == 0
    one.rest(children=0)
    assert down(one) == 0


@pytest.mark.parametrize("late", [False, True], ids=["before Delete", "after Delete"])
@three
def test_collision_delayed_request(nonces: tuple[int, ...], late: bool) -> None:
    """a> rekey child, late | b> rekey child: b deletes the old one already: TEMPORARY_FAILURE, which a does not retry.

    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to rekey a Child SA that it is currently
    ##% trying to close, it SHOULD reply with TEMPORARY_FAILURE.
    """
    one = crossed(nonces)
    one.go("b> rekey", nonce=nonces[3] * 255).go("a: child 5", "a> rekey")
    assert one.sent() == ["a: child 5", "b> D esp 2", "b: TEMPORARY_FAILURE"]
    if late:
        one.go("b> D esp 2", "b: TEMPORARY_FAILURE")
    else:
        one.go("b: TEMPORARY_FAILURE")
        assert (one.stands("a"), one.plane("a")) == ("1,2 established (1/2 rekeyed, 5/4 installed)", "1 5 < 2* 4")
        assert one.jobs("a") == 0
        one.go("b> D esp 2")
    adopted(one)


@three
def test_collision_delayed_request_more(nonces: tuple[int, ...]) -> None:
    """a> rekey child, late | b> rekey child and all that follows: CHILD_SA_NOT_FOUND, and a, on b's, does nothing.

    ##= rfc7296#section-2.25.1 type=test
    ##% If a peer receives a request to rekey a Child SA that does not exist,
    ##% it SHOULD reply with CHILD_SA_NOT_FOUND.
    """
    one = crossed(nonces)
    one.go("b> rekey", nonce=nonces[3] * 255).go("a: child 5", "b> D esp 2", "a: D esp 1", "a> rekey")
    assert one.sent()[-1] == "b: CHILD_SA_NOT_FOUND 1"
    one.go("b: CHILD_SA_NOT_FOUND 1")
    assert one.held == []
    for end, pair in (("a", "5/4"), ("b", "4/5")):
        assert one.stands(end) == f"1,2 established ({pair} installed)"
        assert one.jobs(end) == 0
    one.rest()
    assert down(one) == 0


@three
def test_collision_delayed_request_more_delete(nonces: tuple[int, ...]) -> None:
    """As before, and b has deleted the new one too: a asks for none, the Child SA ended once at each end."""
    one = crossed(nonces)
    one.go("b> rekey", nonce=nonces[3] * 255).go("a: child 5", "b> D esp 2", "a: D esp 1")
    one.delete("b", "child 4")
    one.go("b> D esp 4", "a: D esp 5", "a> rekey", "b: CHILD_SA_NOT_FOUND 1")
    assert one.held == []
    assert one.said("a")[-1] == "child 5 closed: the peer deleted it"
    assert one.said("b")[-1] == "child 4 closed: cleared by the operator"
    for end in ENDS:
        assert one.stands(end) == "1,2 established"
        assert one.jobs(end) == 0
    one.rest(children=0)
    assert down(one) == 0


def test_collision_responder_incorrect_delete() -> None:
    """Both rekeyed, a won and deletes the old one, and b, who should not, does too: answered, removed once.

    Each answers without a Delete payload, for each has issued one of its own.
    """
    one = crossed((1, 1, 0, 1))
    one.go("a> rekey", "b> rekey", "b: child 5", "a: child 6", "b> D esp 4", "a: D esp 6")
    for end in ENDS:
        one.said(end)
    one.sent()
    one.ask_delete_of_old("b", 2)
    one.go("b> D esp 2", "a> D esp 1")
    assert one.sent() == ["b> D esp 2", "a: empty", "b: empty"]
    one.flow()
    assert one.sees("a") == ("1,2 established (3/5 installed)", "1 3 6 < 5*", ["child 1 closed: rekeyed"])
    assert one.sees("b") == ("1,2 established (5/3 installed)", "5 < 3*", ["child 2 closed: deleted early"])
    one.rest()


@either
def test_collision_delete(end: str) -> None:
    """A> D esp | B> rekey child: A: TEMPORARY_FAILURE, B: D esp: it is gone, and B does not retry."""
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.delete(end, "child")
    one.rekey(other, "child")
    one.go(f"{end}> D esp {old}")
    assert one.sees(other) == ("1,2 established", " < ", [f"child {its} closed: the peer deleted it"])
    one.go(f"{other}> rekey", f"{end}: TEMPORARY_FAILURE", f"{other}: D esp {its}")
    assert one.sees(end) == ("1,2 established", " < ", [f"child {old} closed: cleared by the operator"])
    assert one.held == []
    assert one.jobs(other) == 0
    one.rest(children=0)
    assert down(one) == 0


@either
def test_collision_delete_drop_delete(end: str) -> None:
    """A> D esp, lost | B> rekey child, A: TEMPORARY_FAILURE: B retries later, once; the repeated Delete comes first."""
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.delete(end, "child")
    one.rekey(other, "child")
    one.drop(f"{end}> D esp")
    one.go(f"{other}> rekey", f"{end}: TEMPORARY_FAILURE")
    assert one.sees(other) == (
        f"1,2 established ({its}/{old} installed)",
        f"{its} < {old}*",
        ["retry create Child SA"],
    )
    assert one.jobs(other) == 1
    one.wait(2.1).go(f"{end}> D esp {old} again", f"{other}: D esp {its}")
    assert one.said(other) == [f"child {its} closed: the peer deleted it"]
    assert one.said(end) == [f"child {old} closed: cleared by the operator"]
    one.sent()
    one.wait(10)
    assert one.sent() == []
    one.rest(children=0)


@either
def test_collision_delete_drop_rekey(end: str) -> None:
    """A> D esp | B> rekey child, which arrives when the Child SA is gone: CHILD_SA_NOT_FOUND, and nothing follows."""
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.delete(end, "child")
    one.rekey(other, "child")
    one.go(f"{end}> D esp {old}", f"{other}: D esp {its}", f"{other}> rekey", f"{end}: CHILD_SA_NOT_FOUND {its}")
    assert one.held == []
    for who in ENDS:
        assert one.stands(who) == "1,2 established"
        assert one.jobs(who) == 0
    one.rest(children=0)
    assert down(one) == 0


@either
def test_collision_delete_delayed_response(end: str) -> None:
    """A> rekey child, B: child, late; B> D esp of the new one, which A does not know yet: A: empty, then A> D esp old.

    When the response comes, what it tells of is gone; A deletes what it was to replace.
    """
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.rekey(end, "child")
    one.go(f"{end}> rekey")
    one.delete(other, "child 4")
    one.go(f"{other}> D esp 4", f"{end}: empty")
    assert one.stands(end) == f"1,2 established ({old}/{its} rekeying)"
    one.go(f"{other}: child 4")
    assert one.stands(end) == f"1,2 established ({old}/{its} deleting)"
    one.flow()
    assert one.sent() == [
        f"{end}> rekey child {old} as 3",
        f"{other}: child 4",
        f"{other}> D esp 4",
        f"{end}: empty",
        f"{end}> D esp {old}",
        f"{other}: D esp {its}",
    ]
    assert one.said(end) == [f"child {old} closed: rekeyed; the peer deleted what replaced it"]
    one.rest(children=0)


@either
def test_collision_ike_rekey(end: str) -> None:
    """A> rekey child | B> rekey ike: TEMPORARY_FAILURE both ways; each is as before and retries once."""
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.rekey(end, "child")
    one.rekey(other, "ike")
    one.go(f"{end}> rekey child", f"{other}> rekey ike")
    assert one.sent()[2:] == [f"{other}: TEMPORARY_FAILURE", f"{end}: TEMPORARY_FAILURE"]
    one.go(f"{other}: TEMPORARY_FAILURE", f"{end}: TEMPORARY_FAILURE")
    assert one.sees(end) == (
        f"1,2 established ({old}/{its} installed)",
        f"{old} < {its}*",
        ["retry create Child SA"],
    )
    assert one.sees(other) == (
        f"1,2 established ({its}/{old} installed)",
        f"{its} < {old}*",
        ["retry rekey IKE SA"],
    )
    assert [one.jobs(who) for who in ENDS] == [1, 1]
    one.rest()
    rekeyed = [text.split(" rekeyed")[0] for text in one.said(end) if " rekeyed by" in text]
    assert sorted(text.split()[0] for text in rekeyed) == ["child", "ike"]


@either
def test_collision_ike_delete(end: str) -> None:
    """A> rekey child | B> D ike: B: TEMPORARY_FAILURE, A: empty; the IKE SA ends, the late answer is nobody's."""
    ##= rfc7296#section-2.25.2 type=test
    ##% If a peer receives a request to create or rekey a Child SA when it is currently rekeying the IKE SA, it
    ##% SHOULD reply with TEMPORARY_FAILURE.
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.rekey(end, "child")
    one.delete(other, "ike")
    one.go(f"{end}> rekey child", f"{other}> D ike")
    assert one.sees(end) == (
        "",
        " < ",
        [f"child {old} closed: its IKE SA ended", "ike 1,2 closed: the peer deleted it", "session down"],
    )
    one.go(f"{other}: TEMPORARY_FAILURE", f"{end}: empty")
    assert one.sees(other) == (
        "",
        " < ",
        [f"child {its} closed: its IKE SA ended", "ike 1,2 closed: cleared by the operator", "session down"],
    )
    assert [one.jobs(who) for who in ENDS] == [0, 0]
    assert one.pair.ike(NAMES[end]) == []
    one.rest(ike=0, children=0)
