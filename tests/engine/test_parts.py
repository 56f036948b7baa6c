"""The engine's small parts: deadlines, windows, SPIs, numbers."""

import random
from functools import partial

import pytest
from tests.support.world import pair

from ikescope.engine.context import RandomSpis
from ikescope.engine.timers import Timers
from ikescope.engine.window import RequestWindow, ResponseWindow
from ikescope.sim.world import SeededRandom


def test_deadlines_come_in_order_and_cancelled_ones_not_at_all() -> None:
    """Whatever is armed and cancelled, `pop` gives what is due, earliest first, equal ones as they were armed."""
    source, timers = random.Random(1), Timers()
    seen: list[tuple[float, int]] = []
    armed = []
    for number in range(500):
        when = float(source.randrange(50))
        armed.append((when, number, timers.arm(when, partial(seen.append, (when, number)))))
    cancelled = source.sample(armed, 200)
    for _, _, timer in cancelled:
        timer.cancel()
    wanted = sorted((when, number) for when, number, timer in armed if timer.callback is not None)
    assert timers.armed() == 300
    for now in range(60):
        deadline = timers.deadline()
        assert deadline is None or deadline >= now
        while (callback := timers.pop(float(now))) is not None:
            callback()
    assert seen == wanted
    assert timers.deadline() is None


def test_what_is_armed_anew_again_and_again_does_not_pile_up() -> None:
    """A deadline that every datagram arms anew leaves no trace of those that it cancelled; the others stand."""
    timers = Timers()
    standing = [timers.arm(float(number), lambda: None) for number in range(300)]
    for number in range(20_000):
        timers.arm(1000.0 + number, lambda: None).cancel()
        assert len(timers._heap) <= 2 * 300 + 256
    assert timers.armed() == len(standing)
    assert [timers.pop(1e9) is None for _ in range(301)] == [False] * 300 + [True]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_response_window_admits_each_id_once(size: int) -> None:
    """Whatever the order, an ID within the window is admitted once, none beyond, and what is kept stays bounded."""
    ##= rfc7296#section-2.1 type=test
    ##% The responder MUST remember each response until it receives a request whose sequence number is larger than
    ##% or equal to the sequence number in the response plus its window size (see Section 2.3).
    source, window = random.Random(size), ResponseWindow(size)
    taken: set[int] = set()
    for _ in range(2000):
        number = source.randrange(max(0, window.lowest - 3), window.lowest + size + 3)
        admitted = window.admits(number)
        assert admitted == (window.lowest <= number < window.lowest + size and number not in taken)
        if admitted:
            window.begin(number, b"")
            taken.add(number)
        assert len(window.kept) <= 2 * size
        assert all(one in taken for one in range(window.lowest))
    assert window.lowest > 100


def test_a_request_that_was_not_answered_may_come_again() -> None:
    """`forget` opens the window for a message ID anew (a defect of ours answered nothing)."""
    window = ResponseWindow(3)
    window.begin(0, b"a")
    window.forget(0)
    assert window.admits(0)
    assert window.lowest == 0


def test_message_ids_count_up() -> None:
    """Each request of ours has the next message ID, and room is what the peer's window leaves."""
    window = RequestWindow(size=2)
    assert [window.take() for _ in range(3)] == [0, 1, 2]
    assert window.has_room()


def test_inbound_spis_are_never_reserved_ones_nor_taken_twice() -> None:
    """SPIs 0 to 255 are reserved (RFC 4303 section 2.1); a released one may come again."""
    draws = iter([0, 1, 255, 256, 256, 70000, 256])
    spis = RandomSpis(lambda octets: next(draws).to_bytes(octets, "big"))
    assert (spis.allocate(), spis.allocate()) == (256, 70000)
    spis.release(256)
    assert spis.allocate() == 256


def test_ike_spis_are_never_zero_nor_in_use() -> None:
    """An IKE SPI of ours is 8 octets, not all zero, and new among ours (RFC 7296 section 3.1)."""
    ##= rfc7296#section-2.6 type=test
    ##% Each endpoint chooses one of the two SPIs and MUST choose them so as to be unique identifiers of an IKE
    ##% SA.
    ##= rfc7296#section-3.1 type=test
    ##% This value MUST NOT be zero.
    one = pair()
    one.ping("R1")
    core, (sa,) = one.core("R1"), one.ike("R1")
    draws = iter([bytes(8), sa.spi_i, b"\x01" * 8])
    core.random = lambda octets: next(draws)
    assert core.new_spi() == b"\x01" * 8


def test_sa_ids_are_the_lowest_free_ones() -> None:
    """IOS numbers SAs from 1 on and uses a number again when it is free."""
    core = pair().core("R1")
    assert [core.new_id() for _ in range(3)] == [1, 2, 3]
    core.free_id(2)
    assert [core.new_id() for _ in range(2)] == [2, 4]


def test_random_numbers_of_an_interval_stay_in_it() -> None:
    """`between` never leaves its interval and reaches most of it."""
    core = pair().core("R1")
    core.random = SeededRandom("between")
    drawn = [core.between(0.8, 0.85) for _ in range(500)]
    assert 0.8 <= min(drawn) < 0.805
    assert 0.845 < max(drawn) <= 0.85
