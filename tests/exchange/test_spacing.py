"""How long we wait for an answer: a growing time, or what `dpd INTERVAL RETRY` says."""

from tests.support.world import Side, pair

from ikescope.engine.commands import Probe
from ikescope.events.life import IkeSaClosed, LivenessSent
from ikescope.events.message import RetransmissionsExhausted, Retransmitting


def test_a_liveness_check_is_repeated_as_dpd_says() -> None:
    """With `dpd 10 2` an unanswered check goes out every 2 s, seven times, and the IKE SA ends (IOS's retry)."""
    one = pair(Side(dpd="10 2 periodic"), Side()).up()
    one.world.remove("R2")
    one.world.run(40)
    assert len(one.events("R1", LivenessSent)) == 1
    assert {event.wait for event in one.events("R1", Retransmitting)} == {2.0}
    (ended,) = one.events("R1", RetransmissionsExhausted)
    assert (ended.sends, round(ended.seconds)) == (7, 14)
    assert [event.reason for event in one.events("R1", IkeSaClosed)] == ["the peer does not answer"]


def test_without_dpd_the_wait_doubles() -> None:
    """A check that an operator asks for, without `dpd`, is repeated after 2, 4, 8 s and on (RFC 7296 section 2.4)."""
    one = pair(Side(), Side()).up()
    one.world.remove("R2")
    one.ask("R1", Probe())
    one.world.run(300)
    assert [event.wait for event in one.events("R1", Retransmitting)] == [4.0, 8.0, 16.0, 32.0, 64.0, 128.0]
