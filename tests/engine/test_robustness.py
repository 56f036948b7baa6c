"""Whatever arrives: no defect, no harm to other peers, bounded memory; the long run is `make fuzz`."""

from ipaddress import IPv4Address

import pytest
from tests.support.world import ADDRESSES, Pair, Side, feed, headline, impair, pair, sealed
from tools import fuzz

from ikescope.engine.commands import Destination, Rekey
from ikescope.engine.parameters import Parameters
from ikescope.events.life import TaskFailed
from ikescope.events.message import DropTrigger, MessageDropped, MessageSent
from ikescope.wire.header import HEADER_OCTETS
from ikescope.wire.message import Message
from ikescope.wire.notify import NotifyPayload
from ikescope.wire.registry import ExchangeType, NotifyType

INIT = ExchangeType.IKE_SA_INIT


def test_a_router_stands_a_short_fuzz() -> None:
    """No datagram, in the clear or in a valid envelope, makes a defect show or harms another peer's IKE SA."""
    assert fuzz.fuzz(fuzz.TARGETS["engine"], 5000, seed=7296, limit=1e9).finding == ""


def test_the_fuzz_notices_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect in answering a request is found, with its traceback."""

    def broken(*_: object) -> None:
        raise IndexError("a defect")

    target = fuzz.TARGETS["engine"]()
    monkeypatch.setattr("ikescope.engine.tasks.informational.respond", broken)
    monkeypatch.setattr("ikescope.engine.receive.HANDLERS", {ExchangeType.INFORMATIONAL: broken})
    assert "a defect" in fuzz.fuzz(lambda: target, 2000, seed=1, limit=1e9).finding


def drops(one: Pair, name: str) -> list[str]:
    """Why a router dropped what it dropped."""
    return [event.trigger.name for event in one.events(name, MessageDropped)]


def altered(octets: bytes, at: int, value: int) -> bytes:
    """The octets with one of them changed."""
    return octets[:at] + bytes((value,)) + octets[at + 1 :]


def test_every_early_return_says_why() -> None:
    """Each way to drop a datagram has its own trigger, and none gets an answer or changes the SA (2.21)."""
    ##= rfc7296#section-3.1 type=test
    ##% An IKE endpoint MUST NOT generate a response to a message that is marked as being a response (with one
    ##% exception; see Section 2.21.2).
    ##= rfc7296#section-2.21.4 type=test
    ##% If the message is marked as a response, the node can audit the suspicious event but MUST NOT respond.
    one = pair().up()
    request = sealed(one, "R1", [])
    (first,) = one.sent("R1", INIT)
    init = first.octets
    assert isinstance(init, bytes)
    cases = {
        DropTrigger.KEEPALIVE: b"\xff",
        DropTrigger.NOT_IKE: b"\x00" * 27,
        DropTrigger.MAJOR_VERSION: altered(request, 17, 0x30),
        DropTrigger.MALFORMED: request + b"\x00",
        DropTrigger.ZERO_SPI: bytes(8) + request[8:],
        DropTrigger.NOT_FIRST: altered(init, 23, 1),
        DropTrigger.UNKNOWN_SPI: request[:8] + b"\x01" * 8 + request[16:],
        DropTrigger.WRONG_DIRECTION: b"\x09" + request[1:],
        DropTrigger.ICV: altered(request, len(request) - 1, request[-1] ^ 1),
        DropTrigger.WRONG_EXCHANGE: sealed(one, "R1", [], exchange=ExchangeType.IKE_AUTH),
        DropTrigger.OLD_REQUEST: sealed(one, "R1", [], message_id=0),
        DropTrigger.BEYOND_WINDOW: sealed(one, "R1", [], message_id=7),
        DropTrigger.UNEXPECTED_RESPONSE: sealed(one, "R1", [], response=True, message_id=3),
    }
    sent = len(one.sent("R2"))
    for trigger, octets in cases.items():
        before = len(drops(one, "R2"))
        feed(one, "R2", octets)
        assert drops(one, "R2")[before:] == [trigger.name]
    assert len(one.sent("R2")) == sent
    one.agree()


def test_a_message_in_the_clear_is_not_believed() -> None:
    """Forger: INFORMATIONAL N(AUTHENTICATION_FAILED), not encrypted, with the right SPIs: dropped (2.21.4)."""
    ##= rfc7296#section-2.4 type=test
    ##% Since IKE is designed to operate in spite of DoS attacks from the network, an endpoint MUST NOT conclude
    ##% that the other endpoint has failed based on any routing information (e.g., ICMP messages) or IKE messages
    ##% that arrive without cryptographic protection (e.g., Notify messages complaining about unknown SPIs).
    one = pair().up()
    sa = one.one_ike("R1")
    payload = NotifyPayload(NotifyType.AUTHENTICATION_FAILED)
    for name, initiator in (("R2", True), ("R1", False)):
        forged = Message(sa.spi_i, sa.spi_r, ExchangeType.INFORMATIONAL, 2, (payload,), initiator, False)
        feed(one, name, forged.encode())
        assert drops(one, name) == ["UNPROTECTED"]
    # Each asks once whether the other lives, and nothing else follows.
    one.world.run(1)
    one.agree()


def test_no_bit_of_a_protected_message_may_change() -> None:
    """Forger: a request with one bit turned, anywhere: dropped; the true one is answered afterwards (3.14)."""
    one = pair().up()
    request = sealed(one, "R1", [])
    for bit in range(0, len(request) * 8, 5):
        feed(one, "R2", altered(request, bit // 8, request[bit // 8] ^ 1 << bit % 8))
    assert len(drops(one, "R2")) == len(range(0, len(request) * 8, 5))
    feed(one, "R2", request)
    assert len(one.sent("R2", ExchangeType.INFORMATIONAL)) == 1
    one.agree()


def flood(one: Pair, count: int) -> None:
    """So many IKE_SA_INIT requests with SPIs of their own, as from R1."""
    (first,) = one.sent("R1", INIT)[:1]
    assert isinstance(first.octets, bytes)
    for number in range(1, count + 1):
        feed(one, "R2", number.to_bytes(8, "big") + first.octets[8:])


def test_half_open_ike_sas_are_limited_and_forgotten() -> None:
    """Forger: IKE_SA_INIT again and again: ten of one address are kept, none for longer than IKE_AUTH may take."""
    one = pair(parameters=Parameters(max_half_open=10, auth_wait=30))
    impair(one.world, lambda mail: headline(mail)[:2] == ("R1", INIT), [], times=1)
    one.ping("R1")
    flood(one, 50)
    core = one.core("R2")
    assert len(core.half_open) == len(core.sas) == len(core._ids) == 10
    asked = [sent for sent in one.events("R2", MessageSent) if sent.payloads == ("NOTIFY(COOKIE)",)]
    assert len(asked) == 40
    one.world.run(31)
    assert not any(sa.path.remote_port == 500 and not sa.established for sa in core.sas.values())
    one.world.run(60)
    one.agree()


def test_a_flood_does_not_harm_a_session_that_stands() -> None:
    """Forger: IKE_SA_INIT by the hundred; the session goes on with rekeys, and nothing of the flood remains."""
    one = pair(parameters=Parameters(max_half_open=20)).up()
    flood(one, 200)
    one.ask("R1", Rekey())
    one.keep_pinging(every=0.05, seconds=1)
    one.world.run(60)
    one.agree()
    assert one.lost() == []


def test_what_a_stranger_sends_keeps_no_state() -> None:
    """Stranger: IKE_SA_INIT requests from addresses where no tunnel ends leave neither SA nor deadline nor answer."""
    one = pair()
    one.ping("R1")
    (first,) = one.sent("R1", INIT)
    assert isinstance(first.octets, bytes)
    mail = len(one.world.mail)
    for number in range(50):
        path = Destination(ADDRESSES["R2"], 500, IPv4Address(f"203.0.113.{number}"), 500)
        one.station("R2").node.receive(first.octets, path, one.world.now)
        one.world.settle(one.station("R2"))
    assert len(one.world.mail) == mail
    assert drops(one, "R2") == ["NOT_CONFIGURED"] * 50
    assert not one.core("R2").sas
    assert one.core("R2").timers.deadline() is None


@pytest.mark.parametrize("cut", [0, 1, HEADER_OCTETS - 1, HEADER_OCTETS, HEADER_OCTETS + 3, 100])
def test_a_datagram_cut_short_is_dropped(cut: int) -> None:
    """Forger: the beginning of an IKE_SA_INIT request, its length as it says or as it is: dropped, no answer."""
    one = pair()
    one.ping("R1")
    (first,) = one.sent("R1", INIT)
    assert isinstance(first.octets, bytes)
    octets = first.octets[:cut]
    feed(one, "R2", octets)
    if cut >= HEADER_OCTETS:
        feed(one, "R2", octets[:24] + cut.to_bytes(4, "big") + octets[28:])
    assert not one.core("R2").sas
    assert one.events("R2", TaskFailed) == []


def test_an_address_change_without_a_nat_is_not_followed_by_old_messages() -> None:
    """Attacker: a request seen before, from its own address: the SA's path stays, the response goes to nobody new."""
    one = pair(Side(force_encap=True)).up()
    request = sealed(one, "R1", [])
    feed(one, "R2", request, port=4500)
    path = one.one_ike("R2").path
    feed(one, "R2", request, port=4500, source=IPv4Address("203.0.113.5"))
    assert one.one_ike("R2").path == path
    one.sound()
