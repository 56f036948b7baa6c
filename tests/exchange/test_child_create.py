"""A Child SA is asked for: one that stands already, one more while the IKE SA is rekeyed (RFC 7296 1.3.1, 2.25).

See tests/support/stage.py for the notation. The cases are those of the exchange tests of strongSwan that need neither
RFC 9370 nor RFC 6023.
"""

from tests.support.stage import ENDS, stage
from tests.support.world import Side

from ikescope.engine.commands import Connect


def test_duplicate() -> None:
    """A Child SA for the same selectors stands: nothing is sent, nothing is left to do, at either end."""
    one = stage()
    for end in ENDS:
        one.ask(end, Connect(tunnel="Tunnel0", trigger="operator"))
        assert one.jobs(end) == 0
        assert one.said(end) == []
    assert one.sent() == []
    one.rest()


def test_collision_ike_rekey() -> None:
    """a> new child | b> rekey ike: TEMPORARY_FAILURE both ways, one retry each; the tunnel stays wanted, both come."""
    one = stage(Side(second=True))
    one.ask("a", Connect(tunnel="Tunnel1", trigger="operator"))
    one.rekey("b", "ike")
    assert one.sent() == ["a> new child 3", "b> rekey ike as 3"]
    one.go("a> new child", "b> rekey ike", "b: TEMPORARY_FAILURE", "a: TEMPORARY_FAILURE")
    assert one.held == []
    assert one.sees("a") == ("1,2 established (1/2 installed)", "1 < 2*", ["retry create Child SA"])
    assert one.sees("b") == ("1,2 established (2/1 installed)", "2 < 1*", ["retry rekey IKE SA"])
    assert [one.jobs(end) for end in ENDS] == [1, 1]
    # While the retry is waited for, the tunnel is not asked for twice.
    one.sent()
    one.ask("a", Connect(tunnel="Tunnel1", trigger="operator"))
    assert one.sent() == []
    one.rest(children=2)
    for end in ENDS:
        said = one.said(end)
        assert sum(text.endswith(" up") for text in said) == 1
        assert sum(text.startswith("ike 1,2 rekeyed") for text in said) == 1
