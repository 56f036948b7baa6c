"""The tables of the engine: states, transitions, collisions; every row and every pair (RFC 7296 sections 2.8, 2.25)."""

import itertools

import pytest
from tests.support.world import Side, pair

from ikescope.engine import states
from ikescope.engine.collisions import Answer, Asked, Busy, answer, ours_is_redundant
from ikescope.engine.commands import Clear, ClearChild, Rekey
from ikescope.engine.states import CHILD_TRANSITIONS, IKE_TRANSITIONS, IOS_STATUS, ChildState, IkeState
from ikescope.events.life import StateChanged

PAIRS = list(itertools.product(Asked, Busy))
IKE_PAIRS = list(itertools.product(IkeState, IkeState))


@pytest.mark.parametrize(("asked", "busy"), PAIRS, ids=[f"{asked} while {busy}" for asked, busy in PAIRS])
def test_every_pair_has_an_answer(asked: Asked, busy: Busy) -> None:
    """Whatever the peer asks while we are busy with whatever, there is one answer (RFC 7296 section 2.25)."""
    assert answer(asked, busy) in Answer


RFC = {
    (Asked.REKEY_CHILD, Busy.CLOSING_CHILD): Answer.TEMPORARY_FAILURE,
    (Asked.REKEY_CHILD, Busy.REKEYING_CHILD): Answer.AS_USUAL,
    (Asked.REKEY_CHILD, Busy.NO_SUCH_CHILD): Answer.CHILD_SA_NOT_FOUND,
    (Asked.CLOSE_CHILD, Busy.CLOSING_CHILD): Answer.WITHOUT_DELETE,
    (Asked.CLOSE_CHILD, Busy.REKEYING_CHILD): Answer.AS_USUAL,
    (Asked.CLOSE_CHILD, Busy.NO_SUCH_CHILD): Answer.WITHOUT_DELETE,
    (Asked.REKEY_IKE, Busy.CHILD_EXCHANGE): Answer.TEMPORARY_FAILURE,
    (Asked.REKEY_IKE, Busy.REKEYING_IKE): Answer.AS_USUAL,
    (Asked.REKEY_IKE, Busy.CLOSING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.CLOSE_IKE, Busy.REKEYING_IKE): Answer.FORGET_OWN,
    (Asked.CLOSE_IKE, Busy.CLOSING_IKE): Answer.FORGET_OWN,
    (Asked.CREATE_CHILD, Busy.REKEYING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.REKEY_CHILD, Busy.REKEYING_IKE): Answer.TEMPORARY_FAILURE,
    (Asked.CLOSE_CHILD, Busy.REKEYING_IKE): Answer.AS_USUAL,
}
"""RFC 7296 section 2.25.1 and 2.25.2, sentence by sentence."""


@pytest.mark.parametrize(("row", "wanted"), RFC.items(), ids=[f"{asked} while {busy}" for asked, busy in RFC])
def test_the_table_is_the_rfcs(row: tuple[Asked, Busy], wanted: Answer) -> None:
    """Each sentence of RFC 7296 section 2.25 is one row."""
    assert answer(*row) is wanted


def test_the_lowest_of_four_nonces_decides() -> None:
    """Octets compare unsigned from the first on, a prefix is lower, and both ends come to the same SA (2.8.1)."""
    ##= rfc7296#section-2.8.1 type=test
    ##% If redundant SAs are created through such a collision, the SA created with the lowest of the four nonces
    ##% used in the two exchanges SHOULD be closed by the endpoint that created it.
    nonces = (b"\x00\xff", b"\x01", b"\x7f" * 3, b"\xff")
    for order in itertools.permutations(nonces):
        ours, theirs = (order[0], order[1]), (order[2], order[3])
        assert ours_is_redundant(ours, theirs) == (nonces[0] in ours)
        assert ours_is_redundant(ours, theirs) != ours_is_redundant(theirs, ours)
    assert ours_is_redundant((b"\x10" * 16, b"\xff"), (b"\x10" * 17, b"\xff"))


def test_every_state_has_its_row() -> None:
    """Each state has transitions and a word of IOS; only from CLOSED does nothing lead away, and to it everything."""
    assert set(IKE_TRANSITIONS) == set(IOS_STATUS) == set(IkeState)
    assert set(CHILD_TRANSITIONS) == set(ChildState)
    assert [state for state, after in IKE_TRANSITIONS.items() if not after] == [IkeState.CLOSED]
    assert [state for state, after in CHILD_TRANSITIONS.items() if not after] == [ChildState.CLOSED]
    assert all(IkeState.CLOSED in after for state, after in IKE_TRANSITIONS.items() if state is not IkeState.CLOSED)
    assert states.USABLE < states.AUTHENTICATED < set(IkeState)


def test_every_ike_state_can_be_reached() -> None:
    """No state of the table is dead: each but the two first ones is the aim of a transition."""
    aims = set().union(*IKE_TRANSITIONS.values())
    assert set(IkeState) - aims == {IkeState.INIT_SENT, IkeState.INIT_DONE}
    assert set(ChildState) - set().union(*CHILD_TRANSITIONS.values()) == {ChildState.CREATED}


@pytest.mark.parametrize(("before", "after"), IKE_PAIRS, ids=[f"{a} to {b}" for a, b in IKE_PAIRS])
def test_no_transition_is_taken_that_the_table_lacks(before: IkeState, after: IkeState) -> None:
    """A step outside the table is a defect of ours and is never taken silently."""
    one = pair()
    one.ping("R1")
    core, sa = one.core("R1"), one.one_ike("R1")
    sa.state = before
    if after is before or after in IKE_TRANSITIONS[before]:
        core.to_state(sa, after, "test")
        assert sa.state is after
    else:
        with pytest.raises(AssertionError, match="no transition"):
            core.to_state(sa, after, "test")
        assert sa.state is before


def test_a_long_life_takes_only_transitions_of_the_table() -> None:
    """Through rekeys, crossings, deletes and failures every step is one of the table, and every event names it."""
    taken: set[tuple[str, str]] = set()
    for second in (Side(), Side(key="another-key-altogether"), Side(esp="gcm"), Side(ike="gcm")):
        one = pair(Side(), second)
        one.ping("R1")
        one.world.run(4)
        for first, other in ((Rekey(), Rekey()), (Rekey(), ClearChild()), (Clear(), Rekey())):
            one.ask("R1", first)
            one.ask("R2", other)
            one.world.run(20)
        one.sound()
        for name in ("R1", "R2"):
            taken |= {(event.before, event.after) for event in one.events(name, StateChanged)}
    table = {(before.value, after.value) for before, row in IKE_TRANSITIONS.items() for after in row}
    assert taken <= table
    assert len(taken) >= 11
