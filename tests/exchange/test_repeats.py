"""A request that comes again is told as such, and what a replay can make us tell is bounded (RFC 7296 section 2.1)."""

from collections.abc import Callable

import pytest
from tests.support.world import BOTH, Pair, Side, feed, headline, impair, pair, slow

from ikescope.engine.commands import Clear, Intent, Probe, Rekey
from ikescope.events.message import DropTrigger, FragmentReceived, MessageDropped, MessageReceived
from ikescope.timeline import Timeline
from ikescope.wire.registry import ExchangeType

AUTH, CREATE, INFO = ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL


def repeats(one: Pair, name: str, exchange: ExchangeType) -> list[MessageReceived]:
    """The requests of this exchange that a router received, with their repetitions."""
    return [event for event in one.events(name, MessageReceived) if event.exchange == exchange and not event.response]


REQUESTS: dict[str, tuple[ExchangeType, Callable[[Pair], Intent]]] = {
    "liveness": (INFO, lambda _: Probe()),
    "rekey": (CREATE, lambda one: Rekey(spi=one.one_child("R1").inbound)),
    "delete": (INFO, lambda _: Clear()),
}


@pytest.mark.parametrize(("exchange", "intent"), REQUESTS.values(), ids=REQUESTS)
def test_a_repeated_request_is_told(exchange: ExchangeType, intent: Callable[[Pair], Intent]) -> None:
    """I: a request; R: ..x its response, twice; I: the request again, twice: R tells of three arrivals, 0 to 2."""
    one = pair().up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R2", exchange, True), (), times=2)
    one.ask("R1", intent(one))
    one.world.run(8)
    told = repeats(one, "R2", exchange)[:3]
    assert [event.repeat for event in told] == [0, 1, 2]
    assert len({event.octets for event in told}) == 1
    if intent is not REQUESTS["delete"][1]:
        assert len({event.inner for event in told}) == 1
    one.sound()


def test_a_repeated_ike_auth_in_fragments_is_told_by_its_first() -> None:
    """I: IKE_AUTH in fragments; R: ..x its response; I: the same: R tells of the repetition and the fragment."""
    one = pair(Side(fragmentation="fragmentation mtu 300"))
    impair(one.world, lambda mail: headline(mail)[:3] == ("R2", AUTH, True), (), times=3)
    one.up()
    first, again = repeats(one, "R2", AUTH)[:2]
    assert first.repeat == 0
    assert len(first.fragments) > 1
    assert again.repeat == 1
    assert len(again.fragments) == 1
    assert {event.number for event in one.events("R2", FragmentReceived) if event.repeat} == {1}


def test_no_message_of_a_timeline_is_lost_that_came() -> None:
    """I: a request, three times; R: answers the last: every request in R's own timeline has arrived."""
    one = pair().up()
    impair(one.world, lambda mail: headline(mail)[:3] == ("R2", INFO, True), (), times=2)
    one.ask("R1", Probe())
    one.world.run(8)
    timeline = Timeline().extend(one.station("R2").records)
    (probe,) = [each for each in timeline.exchanges if each.exchange == INFO]
    assert probe.request is not None
    assert len(repeats(one, "R2", INFO)) == 3


def test_what_comes_again_while_it_is_answered_is_dropped_and_told() -> None:
    """I: CREATE_CHILD_SA twice, while R's data plane still installs: R answers once."""
    one = pair().up()
    slow(one, "R2", 3.0)
    one.ask("R1", Rekey(spi=one.one_child("R1").inbound))
    one.world.run(10)
    assert DropTrigger.BEING_ANSWERED in [event.trigger for event in one.events("R2", MessageDropped)]
    assert len(repeats(one, "R2", CREATE)) == 1
    one.agree()


@pytest.mark.parametrize("name", BOTH)
def test_a_replay_without_end_is_answered_and_told_ever_more_rarely(name: str) -> None:
    """Somebody: a captured request, 1,000 times: each is answered alike (2.1), 22 of them are told."""
    one = pair().up()
    other = BOTH[1 - BOTH.index(name)]
    one.ask(other, Probe())
    one.world.run(1)
    (request,) = [mail for mail in one.world.mail if headline(mail)[:3] == (other, INFO, False)]
    before = len(one.world.mail)
    for _ in range(1000):
        feed(one, name, request.octets)
    assert len(one.world.mail) - before == 1000
    assert [event.repeat for event in repeats(one, name, INFO)] == [*range(17), 32, 64, 128, 256, 512]
