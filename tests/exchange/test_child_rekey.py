"""A Child SA is rekeyed by one end: alone, with the wrong group, expired, deleted or lost meanwhile (RFC 7296 2.8).

See tests/support/stage.py for the notation. Every message waits until the test lets it arrive; after each case all
that is still on its way arrives, two minutes pass, and both ends must hold the same Child SA and no timer more. The
cases are those of the exchange tests of strongSwan that need neither RFC 9370 nor RFC 6311.

Where we differ from strongSwan, and the RFC leaves it open: both ESP SAs of a new Child SA are installed at once, and
what strongSwan only registers is installed and carries nothing (no star in `plane`); a Child SA that the peer deletes
is gone at once, also while our own rekey of it is in flight: what that makes then is a new Child SA.
"""

import pytest
from tests.support.stage import BASE, OLD, OTHER, Stage, either, offer_two_groups, stage, two

from ikescope.engine import children
from ikescope.engine.commands import Expired
from ikescope.events.life import CloseReason


@either
def test_regular(end: str) -> None:
    """A> rekey child, B: child, A> D esp, B: D esp: the answerer sends by the old one until it is deleted."""
    ##= rfc7296#section-2.8 type=test
    ##% To rekey a Child SA within an existing IKE SA, create a new, equivalent SA (see Section 2.17 below), and when
    ##% the new one is established, delete the old one.
    other, one = OTHER[end], stage()
    old, its = OLD[end], OLD[other]
    one.rekey(end, "child")
    assert one.sees(end) == (f"1,2 established ({old}/{its} rekeying)", f"{old} < {its}*", [])
    one.go(f"{end}> rekey child {old} as 3")
    assert one.sees(other) == (
        f"1,2 established ({its}/{old} rekeyed, 4/3 installed)",
        f"{its} 4 < {old}* 3",
        [f"child {its} rekeyed by 4"],
    )
    one.go(f"{other}: child 4")
    assert one.sees(end) == (
        f"1,2 established ({old}/{its} deleting, 3/4 installed)",
        f"{old} 3 < {its} 4*",
        [f"child {old} rekeyed by 3"],
    )
    one.go(f"{end}> D esp {old}")
    assert one.sees(other) == ("1,2 established (4/3 installed)", f"{its} 4 < 3*", [f"child {its} closed: rekeyed"])
    one.go(f"{other}: D esp {its}")
    assert one.sees(end) == ("1,2 established (3/4 installed)", f"{old} 3 < 4*", [f"child {old} closed: rekeyed"])
    assert one.held == []
    one.wait(6)
    assert (one.plane(end), one.plane(other)) == ("3 < 4*", "4 < 3*")
    one.rest()


@either
def test_regular_ke_invalid(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A> rekey child KE(19), B: INVALID_KE_PAYLOAD 14, A> rekey child KE(14); the next rekey begins with group 14."""
    ##= rfc7296#section-1.3 type=test
    ##% In the case of such a rejection, the CREATE_CHILD_SA exchange fails, and the initiator will probably retry
    ##% the exchange with a Diffie-Hellman proposal and KEi in the group that the responder gave in the
    ##% INVALID_KE_PAYLOAD Notify payload.
    offer_two_groups(monkeypatch)
    other, one = OTHER[end], two(end)
    old, its = OLD[end], OLD[other]
    one.rekey(end, "child")
    one.go(f"{end}> rekey child {old} as 3")
    assert one.stands(other) == f"1,2 established ({its}/{old} installed)"
    one.go(f"{other}: INVALID_KE_PAYLOAD 14")
    assert one.stands(end) == f"1,2 established ({old}/{its} rekeying)"
    one.flow()
    assert one.sent() == [
        f"{end}> rekey child {old} as 3",
        f"{other}: INVALID_KE_PAYLOAD 14",
        f"{end}> rekey child {old} as 4",
        f"{other}: child 5",
        f"{end}> D esp {old}",
        f"{other}: D esp {its}",
    ]
    assert one.said(end) == [f"child {old} rekeyed by 4", f"child {old} closed: rekeyed"]
    assert one.said(other) == [f"child {its} rekeyed by 5", f"child {its} closed: rekeyed"]
    assert one.current(end).suite.group == 14
    one.rekey(end, "child")
    one.flow()
    assert one.sent() == [f"{end}> rekey child 4 as 6", f"{other}: child 7", f"{end}> D esp 4", f"{other}: D esp 5"]
    one.rest()


def rekeyed_not_deleted() -> Stage:
    """The rekey of a was answered, and the old Child SA still stands there."""
    one = stage()
    one.rekey("a", "child")
    one.go("a> rekey")
    assert one.said("b") == ["child 2 rekeyed by 4"]
    one.sent()
    return one


def test_responder_ignore_soft_expire() -> None:
    """a> rekey child, b: child; the old one's soft lifetime ends at b, by time and by traffic: b sends nothing."""
    one = rekeyed_not_deleted()
    one.core("b").on_child_due(one.child("b", 2), False)
    station = one.pair.station("R2")
    station.node.report(Expired(BASE + 1, "out", False), one.pair.world.now)
    one.pair.world.settle(station)
    assert one.sees("b") == ("1,2 established (2/1 rekeyed, 4/3 installed)", "2 4 < 1* 3", [])
    assert one.sent() == []
    one.flow()
    assert one.sent() == ["a> D esp 1", "b: D esp 2"]
    one.rest()


def test_responder_handle_hard_expire() -> None:
    """a> rekey child, b: child; the old one's hard lifetime ends at b: no Delete, the new one carries at once.

    The Delete that comes later names a Child SA that is gone: answered empty.
    """
    one = rekeyed_not_deleted()
    one.core("b").on_child_due(one.child("b", 2), True)
    one.pair.world.settle(one.pair.station("R2"))
    assert one.sees("b") == ("1,2 established (4/3 installed)", "4 < 3*", ["child 2 closed: its lifetime ended"])
    assert one.sent() == []
    one.flow()
    assert one.sent() == ["a> D esp 1", "b: empty"]
    assert one.said("a") == ["child 1 rekeyed by 3", "child 1 closed: rekeyed"]
    assert one.said("b") == []
    one.rest()


def test_responder_delete() -> None:
    """a> rekey child, b: child, b> D esp of the new one before a's of the old one: each goes once."""
    one = rekeyed_not_deleted()
    one.go("b: child 4")
    one.delete("b", "child 4")
    assert one.plane("b") == "2 4 < 1* 3"
    one.go("b> D esp 4")
    assert one.sees("a") == (
        "1,2 established (1/2 deleting)",
        "1 < 2*",
        ["child 1 rekeyed by 3", "child 3 closed: the peer deleted it"],
    )
    one.go("a: D esp 3")
    assert one.stands("b") == "1,2 established (2/1 rekeyed)"
    one.flow()
    assert one.sent() == ["a> D esp 1", "b> D esp 4", "a: D esp 3", "b: D esp 2"]
    assert one.said("a") == ["child 1 closed: rekeyed"]
    assert one.said("b") == ["child 4 closed: cleared by the operator", "child 2 closed: rekeyed"]
    one.rest(children=0)


def test_responder_lost_sa() -> None:
    """a> rekey child, b, which lost it: CHILD_SA_NOT_FOUND; a drops it and asks for a new one.

    ##= rfc7296#section-2.25 type=test
    ##% A peer that receives a
    ##% CHILD_SA_NOT_FOUND notification SHOULD silently delete the Child SA
    ##% (if it still exists) and send a request to create a new Child SA from
    ##% scratch (if the Child SA does not yet exist).
    """
    one = stage()
    core, sa = one.core("b"), one.pair.one_ike("R2")
    children.remove(core, sa, one.child("b", 2), CloseReason.DEFECT, "lost by a test")
    one.pair.world.settle(one.pair.station("R2"))
    one.rekey("a", "child")
    one.go("a> rekey", "b: CHILD_SA_NOT_FOUND 1")
    assert one.sees("a") == (
        "1,2 established",
        " < ",
        ["child 1 closed: the peer no longer has it (CHILD_SA_NOT_FOUND)"],
    )
    one.flow()
    assert one.sent() == ["a> rekey child 1 as 3", "b: CHILD_SA_NOT_FOUND 1", "a> new child 4", "b: child 5"]
    assert one.sees("a") == ("1,2 established (4/5 installed)", "4 < 5*", ["child 4/5 up"])
    assert one.sees("b") == (
        "1,2 established (5/4 installed)",
        "5 < 4*",
        ["child 2 closed: lost by a test", "child 5/4 up"],
    )
    one.rest()


def test_responder_incorrect_delete() -> None:
    """a> rekey child, b: child, late; b> D esp of the old one, which was a's to delete: answered, then a takes the new.

    Strange but harmless: b's Delete is answered as usual; the response then makes a Child SA that replaces nothing.
    """
    one = rekeyed_not_deleted()
    one.ask_delete_of_old("b", 2)
    one.go("b> D esp 2")
    assert one.sees("a") == ("1,2 established", " < ", ["child 1 closed: the peer deleted it"])
    one.go("b: child 4", "a: D esp 1")
    assert one.sent() == ["b> D esp 2", "a: D esp 1"]
    assert one.sees("a") == ("1,2 established (3/4 installed)", "3 < 4*", ["child 3/4 up"])
    assert one.sees("b") == ("1,2 established (4/3 installed)", "4 < 3*", ["child 2 closed: deleted early"])
    one.rest()


def test_delete_timeout() -> None:
    """a> D esp of the rekeyed one is never answered: the IKE SA ends after the last repetition, the Child SA once."""
    one = rekeyed_not_deleted()
    one.go("b: child 4")
    for _ in range(6):
        one.wait(130)
        while one.held:
            one.drop(one.held[0].text)
    assert one.sees("a") == (
        "",
        " < ",
        [
            "child 1 rekeyed by 3",
            "child 1 closed: rekeyed",
            "child 3 closed: its IKE SA ended",
            "ike 1,2 closed: the peer does not answer",
            "session down",
        ],
    )
    assert one.sent()[:2] == ["a> D esp 1", "a> D esp 1 again"]
    assert one.jobs("a") == 0
