"""The anti-replay window at its edges (RFC 4303 section 3.4.3 and appendix A)."""

from hypothesis import given
from hypothesis import strategies as st

from ikescope.esp.replay import ReplayWindow


def _take(window: ReplayWindow, low: int) -> int | None:
    sequence = window.infer(low)
    if sequence is not None:
        window.accept(sequence)
    return sequence


def test_edges_of_a_window_of_64() -> None:
    """The oldest number that fits is taken once; the one before it, a repeated one and 0 are not."""
    window = ReplayWindow(64, esn=False)
    assert _take(window, 0) is None
    assert _take(window, 100) == 100
    assert _take(window, 37) == 37
    assert _take(window, 36) is None
    assert _take(window, 37) is None
    assert _take(window, 100) is None
    assert _take(window, 99) == 99


def test_a_jump_beyond_the_window_forgets_the_old() -> None:
    """After a jump of more than the window nothing old is taken, and what is new within it is."""
    window = ReplayWindow(64, esn=False)
    _take(window, 1)
    assert _take(window, 1000) == 1000
    assert _take(window, 1) is None
    assert _take(window, 937) == 937
    assert _take(window, 0xFFFFFFFF) == 0xFFFFFFFF


def test_newest_is_told() -> None:
    """Only a number beyond all before it is the newest."""
    window = ReplayWindow(64, esn=False)
    assert window.accept(5)
    assert not window.accept(4)


def test_extended_number_crosses_two_to_the_32() -> None:
    """Low halves that wrap are taken as the next subspace, late ones as the one before (appendix A2.1)."""
    window = ReplayWindow(64, esn=True)
    window.accept(0xFFFFFFF0)
    assert _take(window, 0xFFFFFFFF) == 0xFFFFFFFF
    assert _take(window, 5) == (1 << 32) + 5
    assert _take(window, 0xFFFFFFFE) == 0xFFFFFFFE
    assert _take(window, 0xFFFFFFFE) is None
    assert _take(window, 0) == 1 << 32
    assert _take(window, 5) is None
    assert _take(window, 70) == (1 << 32) + 70


def test_nothing_before_the_first_subspace() -> None:
    """A low half that would lie before number 1 is refused."""
    assert ReplayWindow(64, esn=True).infer(0xFFFFFFFF) is None


def test_size_zero_checks_nothing() -> None:
    """With the window off a repeated number is taken, 0 is still not."""
    window = ReplayWindow(0, esn=False)
    assert _take(window, 9) == 9
    assert _take(window, 9) == 9
    assert _take(window, 0) is None


@given(
    st.sampled_from([64, 128, 1024]),
    st.integers(0, 1 << 34),
    st.lists(st.integers(-1100, 1100), max_size=60),
)
def test_against_a_set_of_numbers(size: int, start: int, steps: list[int]) -> None:
    """The window takes exactly what a plain set of all numbers seen would, from the low halves alone."""
    window, seen, top = ReplayWindow(size, esn=True), {start + 1}, start + 1
    window.accept(top)
    for step in steps:
        number = top + step
        if number < 1 or step <= -size:
            continue
        fresh = number not in seen
        assert (_take(window, number & 0xFFFFFFFF) == number) == fresh
        seen.add(number)
        top = max(top, number)


@given(
    before=st.lists(st.integers(1, 400), max_size=20),
    ahead=st.integers(1, 300),
    count=st.integers(1, 300),
    esn=st.booleans(),
)
def test_a_run_is_marked_as_its_numbers_are(before: list[int], ahead: int, count: int, esn: bool) -> None:
    """Marking a run of new numbers leaves the window as marking each of them does."""
    one, run = (ReplayWindow(64, esn=esn) for _ in range(2))
    for window in (one, run):
        for number in before:
            if window.infer(number) is not None:
                window.accept(number)
    first = one.top + ahead
    for number in range(first, first + count):
        one.accept(number)
    run.accept_run(first, first + count - 1)
    assert run.top == one.top
    for number in range(1, first + count + 2):
        assert run.infer(number) == one.infer(number)
