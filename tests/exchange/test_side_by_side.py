"""Our own requests about different things go side by side, up to the window that the peer stated (RFC 7296 2.3).

See tests/support/stage.py for the notation.
"""

import itertools

import pytest
from tests.support.stage import Stage, stage
from tests.support.world import Side

from ikescope.engine.commands import Clear, Connect, Probe, Rekey

ASKED = ["a> D esp 1", "a> new child 3", "a> empty"]
ANSWERED = ["b: D esp 2", "b: child 4", "b: empty"]


def three(window: int = 5) -> Stage:
    """An end is asked for three things at once: delete a Child SA, make another, see whether the peer lives."""
    one = stage(Side(second=True))
    one.pair.one_ike("R1").out.size = window
    one.delete("a", "child")
    one.ask("a", Connect(tunnel="Tunnel1", trigger="operator"))
    one.ask("a", Probe())
    return one


ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("back", ORDERS, ids=map(str, ORDERS))
@pytest.mark.parametrize("there", ORDERS, ids=map(str, ORDERS))
def test_requests_about_different_things_go_side_by_side(there: tuple[int, ...], back: tuple[int, ...]) -> None:
    """a> D esp, a> new child, a> liveness, at once: whatever the order on the way, each is answered and taken once."""
    ##= rfc7296#section-2.3 type=test
    ##% After an IKE SA is set up, in order to maximize IKE throughput, an IKE endpoint MAY issue multiple requests
    ##% before getting a response to any of them, up to the limit set by its peer's SET_WINDOW_SIZE.
    one = three()
    assert one.sent() == ASKED
    one.go(*(ASKED[number] for number in there)).go(*(ANSWERED[number] for number in back))
    assert one.held == []
    assert sorted(one.said("a")) == ["child 1 closed: cleared by the operator", "child 3/4 up"]
    assert sorted(one.said("b")) == ["child 2 closed: the peer deleted it", "child 4/3 up"]
    assert (one.stands("a"), one.plane("a")) == ("1,2 established (3/4 installed)", "3 < 4*")
    assert (one.stands("b"), one.plane("b")) == ("1,2 established (4/3 installed)", "4 < 3*")


def test_no_more_than_the_peers_window() -> None:
    """Window 1: one at a time. Window 2: request X waits for the response to X-2, also when that to X-1 has come."""
    ##= rfc7296#section-2.3 type=test
    ##% if the responder stated its window size is N, then when the initiator needs to make a request X, it MUST wait
    ##% until it has received responses to all requests up through request X-N.
    one = three(1)
    for request, answer in zip(ASKED, ANSWERED, strict=True):
        assert one.sent()[-1:] == [request]
        assert [letter.text for letter in one.held] == [request]
        one.go(request, answer)
    two = three(2)
    assert two.sent() == ASKED[:2]
    two.go(ASKED[1], ANSWERED[1])
    assert two.sent() == [ANSWERED[1]]
    two.go(ASKED[0], ANSWERED[0])
    assert two.sent() == [ANSWERED[0], ASKED[2]]


def test_what_is_about_everything_goes_alone() -> None:
    """While a Child SA is asked for, the rekey and the Delete of the IKE SA wait, and nothing goes beside them."""
    one = stage(Side(second=True))
    one.ask("a", Connect(tunnel="Tunnel1", trigger="operator"))
    one.ask("a", Rekey())
    one.ask("a", Probe())
    assert one.sent() == ["a> new child 3"]
    one.go("a> new child", "b: child 4")
    assert one.sent() == ["b: child 4", "a> rekey ike as 3"]
    one.go("a> rekey ike", "b: ike 4")
    one.flow()
    one.ask("a", Probe())
    one.ask("a", Clear())
    one.sent()
    one.flow()
    assert one.sent() == ["b: empty", "a> D ike", "b: empty"]


@pytest.mark.parametrize("lost", range(3))
def test_one_of_several_requests_is_lost(lost: int) -> None:
    """a> three requests, one never arrives: the others are done; the one is repeated alone and done then."""
    one = three()
    one.drop(ASKED[lost])
    one.flow()
    one.sent()
    one.wait(2.1)
    assert one.sent() == [f"{ASKED[lost]} again"]
    one.flow()
    assert one.sent() == [ANSWERED[lost]]
    assert (one.stands("a"), one.stands("b")) == ("1,2 established (3/4 installed)", "1,2 established (4/3 installed)")


def test_several_requests_that_nobody_answers_end_the_ike_sa_once() -> None:
    """a> three requests into the void: the IKE SA ends with the last repetition of the first, and all with it."""
    one = three()
    for _ in range(5):
        one.wait(60)
    one.held.clear()
    assert one.stands("a") == ""
    assert one.said("a").count("ike 1,2 closed: the peer does not answer") == 1
    core = one.core("a")
    assert core.timers.armed() == len(core.buried)
    assert not getattr(core.spis, "_used")  # noqa: B009 - not part of SpiSource
