"""A key that is nearly right: who checks AUTH learns by which slip, some time later, and the peer learns nothing."""

from collections import deque
from ipaddress import IPv4Address

import pytest
from tests.support.world import Pair, Side, pair

from ikescope.config.model import Address, Secret
from ikescope.engine.near_keys import AFTER, MOST_TESTS, PERIOD, may_test
from ikescope.events import UNSET, encode
from ikescope.events.message import MessageSent
from ikescope.events.negotiation import AuthNearMiss, AuthRefused

KEY = "a-key-of-these-tests"


def attempt(first: Side, second: Side, *, seconds: float = 5) -> Pair:
    """One ping from behind R1 starts what cannot succeed."""
    one = pair(first, second)
    one.ping("R1")
    one.world.run(seconds)
    return one


@pytest.mark.parametrize(
    ("theirs", "kind", "by"),
    [(f'"{KEY}"', "quotes", "peer"), (KEY.upper(), "case", UNSET), (f"hex {KEY.encode().hex()}0a", "line_end", "peer")],
)
def test_a_responder_names_the_slip_after_its_answer(theirs: str, kind: str, by: object) -> None:
    """I: IKE_AUTH; R: N(AUTHENTICATION_FAILED): R2 has sent its answer long before it says how the keys differ."""
    one = attempt(Side(key=theirs), Side())
    (miss,) = (record for record in one.world.stations["R2"].records if isinstance(record.event, AuthNearMiss))
    assert isinstance(miss.event, AuthNearMiss)
    assert (miss.event.kind, miss.event.by, miss.event.keyring_block) == (kind, by, "THEM")
    sent = [record.stamp.mono for record in one.world.stations["R2"].records if isinstance(record.event, MessageSent)]
    assert miss.stamp.mono == max(sent) + AFTER
    assert one.events("R1", AuthNearMiss) == []
    assert KEY.encode() not in encode(miss)


def test_nothing_else_of_an_answer_changes() -> None:
    """With a near miss and without one the responder sends the same messages at the same times."""
    one, other = (attempt(Side(key=key), Side()) for key in (f'"{KEY}"', "nothing-like-it"))
    told = [
        [(r.stamp.mono, r.event.size) for r in each.world.stations["R2"].records if isinstance(r.event, MessageSent)]
        for each in (one, other)
    ]
    assert told[0] == told[1] != []
    assert other.events("R2", AuthNearMiss) == []
    assert len(other.events("R2", AuthRefused)) == 1


def test_an_initiator_names_the_slip_too() -> None:
    """R's key for itself is nearly what I has for it: I refuses AUTH of the response, and says how they differ."""
    one = pair(Side(), Side())
    config = one.world.stations["R2"].node.config
    ring = config.keyrings["K"]
    block = type(ring.peers[0])(
        name="THEM",
        address=ring.peers[0].address,
        local_key=Secret(f"{KEY} ".encode()),
        remote_key=ring.peers[0].remote_key,
    )
    config.keyrings["K"] = type(ring)(name="K", peers=(block,))
    one.ping("R1")
    one.world.run(5)
    (miss,) = one.events("R1", AuthNearMiss)
    assert (miss.kind, miss.by) == ("trailing_blank", "peer")
    assert one.events("R2", AuthNearMiss) == []


def test_an_address_has_one_test_a_minute() -> None:
    """A peer that tries again and again makes us work once; after a minute once more."""
    one = attempt(Side(key=f'"{KEY}"'), Side(), seconds=PERIOD - 5)
    for _ in range(4):
        one.ping("R1")
        one.world.run(10)
    assert len(one.events("R2", AuthRefused)) > len(one.events("R2", AuthNearMiss)) == 2


def test_all_addresses_together_have_few_tests() -> None:
    """However many addresses send wrong AUTH values, so many are tried in a minute, and no more are remembered."""
    tests: deque[tuple[float, Address]] = deque()
    tried = [may_test(tests, IPv4Address(number), 7.0) for number in range(1000)]
    assert tried == [True] * MOST_TESTS + [False] * (1000 - MOST_TESTS)
    assert len(tests) == MOST_TESTS
    assert may_test(tests, IPv4Address(0), 7.0 + PERIOD)
    assert len(tests) == 1
