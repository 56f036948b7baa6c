"""Several requests of the peer's at once: answered in any order, repeated from what is kept; ESP that comes late."""

from collections.abc import Iterable

import pytest
from tests.support.world import BOTH, Pair, Side, feed, headline, impair, pair, seal, sealed

from ikescope.engine.commands import Connect, Rekey
from ikescope.events.life import ChildSaClosed, ChildSaCreated, LivenessReceived
from ikescope.events.message import MessageSent
from ikescope.sim.world import Mail
from ikescope.wire.delete import DeletePayload
from ikescope.wire.registry import ExchangeType, ProtocolId

CREATE, INFO = ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL


def five(one: Pair) -> dict[int, bytes]:
    """Five requests that R1 could have in flight: liveness, D esp, new Child SA, the same D esp again, liveness."""
    impair(one.world, lambda mail: headline(mail)[0] == "R1", [], times=None)
    gone = DeletePayload(ProtocolId.ESP, (one.one_child("R1").inbound.to_bytes(4, "big"),))
    one.ask("R1", Connect(tunnel="Tunnel1", trigger="operator"))
    sa = one.one_ike("R1")
    ((first, pending),) = sa.out.in_flight.items()
    assert pending.opened is not None
    create = seal(one, "R1", sa, pending.opened_first, pending.opened, exchange=CREATE, message_id=first + 2)
    return {
        0: sealed(one, "R1", [], message_id=first),
        1: sealed(one, "R1", [gone], message_id=first + 1),
        2: create,
        3: sealed(one, "R1", [gone], message_id=first + 3),
        4: sealed(one, "R1", [], message_id=first + 4),
    }


def answers(one: Pair) -> list[tuple[int, bytes, int]]:
    """What R2 answered on its IKE SA since it stood: message ID, octets, how often before."""
    found = []
    for record in one.station("R2").records:
        event = record.event
        if isinstance(event, MessageSent) and event.response and event.exchange in (CREATE, INFO):
            assert isinstance(event.octets, bytes)
            assert isinstance(record.stamp.message_id, int)
            found.append((record.stamp.message_id, event.octets, event.repeat))
    return found


ORDERS = {"as sent": (0, 1, 2, 3, 4), "backwards": (4, 3, 2, 1, 0), "mixed": (2, 4, 1, 0, 3)}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_requests_of_every_kind_are_answered_in_any_order_and_once(order: tuple[int, ...]) -> None:
    """I: five requests n to n+4 in any order; R answers each at once; each again gets the octets it got before."""
    ##= rfc7296#section-2.1 type=test
    ##% The responder MUST remember each response until it receives a request whose sequence number is larger than
    ##% or equal to the sequence number in the response plus its window size (see Section 2.3).
    ##= rfc7296#section-2.1 type=test
    ##% In that event, the responder MUST ignore the retransmitted request except insofar as it causes a
    ##% retransmission of the response.
    one = pair(Side(second=True)).up()
    requests = five(one)
    first = min(one.one_ike("R1").out.in_flight)
    for number in order:
        feed(one, "R2", requests[number])
    assert [message_id - first for message_id, _, _ in answers(one)] == list(order)
    assert [child.tunnel for child in one.children("R2")] == ["Tunnel1"]
    for number in order:
        feed(one, "R2", requests[number])
    again = answers(one)
    assert again[5:] == [(message_id, octets, 1) for message_id, octets, _ in again[:5]]
    assert len(one.events("R2", LivenessReceived)) == 2
    assert len(one.events("R2", ChildSaClosed)) == 1
    assert [event.tunnel for event in one.events("R2", ChildSaCreated)] == ["Tunnel0", "Tunnel1"]
    assert [child.tunnel for child in one.children("R2")] == ["Tunnel1"]
    one.sound()


@pytest.mark.parametrize(("late", "arrives"), [(3.0, True), (8.0, False)], ids=["3 s", "8 s"])
@pytest.mark.parametrize("name", BOTH)
def test_a_packet_that_a_rekey_overtakes_still_arrives(name: str, late: float, arrives: bool) -> None:
    """ESP by the old Child SA | CREATE_CHILD_SA{REKEY_SA}, D esp: the old inbound stays for five seconds more."""
    one = pair().up()
    held: list[Mail] = []

    def slow(mail: Mail) -> Iterable[float] | None:
        if mail.kind != "esp" or held:
            return None
        held.append(mail)
        return [late]

    one.world.impairments.append(slow)
    ping = one.ping("R1")
    one.ask(name, Rekey(spi=one.one_child(name).inbound))
    one.world.run(2.5)
    assert len(held) == 1
    assert ping.received is None
    assert {one.installed(end)["in"] for end in BOTH} == {2}
    one.world.run(10)
    assert (ping.received is not None) is arrives
    one.agree()
