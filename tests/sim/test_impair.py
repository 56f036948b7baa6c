"""Impairments by hand: each row of the table strikes what it says, and the routers survive it without a defect."""

import pytest
from tests.support.world import Pair, Side, configuration

from ikescope.engine.commands import Clear, Rekey
from ikescope.errors import LocalError
from ikescope.events.message import MessageDropped, MessageSent
from ikescope.sim.impair import EXCHANGES, PROBLEMS, Impairment, catalogue, impair, parse
from ikescope.sim.world import World
from ikescope.wire.registry import ExchangeType

WORDS = {"drip": "2", "add-notify": "40960", "omit-notify": "16388", "auth-method": "1"}


def impaired(*lines: str, side: Side | None = None) -> tuple[Pair, list[Impairment]]:
    """R1 and R2 in a world with these faults."""
    world, faults = World(1, latency=0.01), [parse(line) for line in lines]
    for fault in faults:
        impair(world, fault)
    for name in ("R1", "R2"):
        world.add(configuration(name, side or Side()))
    return Pair(world), faults


def whole_line(name: str) -> str:
    """A line for a row, with its first word where it wants one."""
    row = PROBLEMS[name]
    word = WORDS.get(name, row.words[0] if row.words else "")
    return f"{name} {word}".rstrip()


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_row_works_and_nobody_breaks(name: str) -> None:
    """A session with rekeys and a clear under each impairment: no task fails, and afterwards nothing holds on."""
    one, (fault, _) = impaired(whole_line(name), "drop response CREATE_CHILD_SA 1", side=Side(pfs=19, mode="ipsec"))
    for _ in range(3):
        one.ping("R1")
        one.world.run(20)
        one.ask("R1", Rekey())
        for child in one.children("R1")[:1]:
            one.ask("R2", Rekey(spi=next((c.inbound for c in one.children("R2")), child.inbound)))
        one.world.run(20)
    one.ask("R1", Clear())
    one.world.run(600)
    one.sound()
    assert fault.hits or name == "mangle-cookie"


def test_a_dropped_response_is_sent_again() -> None:
    """R1 --> IKE_AUTH, R2 ..x: the first response is lost, the second arrives; the row strikes once."""
    one, (fault,) = impaired("drop response IKE_AUTH 1")
    one.up()
    assert fault.hits == 1
    assert len(one.sent("R2", ExchangeType.IKE_AUTH, response=True)) == 2
    one.agree()


def test_a_delayed_request_comes_late() -> None:
    """`delay request IKE_AUTH 1.5s`: nothing else waits, and the tunnel is up after it."""
    one, _ = impaired("delay request IKE_AUTH 1.5s")
    ping = one.ping("R1")
    one.world.run(1.4)
    assert one.ike("R2") and ping.received is None
    one.world.run(1)
    assert ping.received is not None


def test_a_fault_may_be_one_routers_only() -> None:
    """`from R2`: what R1 sends is not met."""
    one, (fault,) = impaired("from R2 duplicate any 2")
    one.up()
    assert fault.hits == 2
    assert len(one.sent("R1", ExchangeType.IKE_SA_INIT)) == 1
    drops = one.events("R1", MessageDropped)
    assert len(drops) == 2
    assert not one.events("R2", MessageDropped)


def test_an_unknown_critical_payload_is_refused() -> None:
    """UNSUPPORTED_CRITICAL_PAYLOAD names the type; without the critical bit it is skipped (RFC 7296 section 2.5)."""
    one, _ = impaired("from R1 add-unknown critical request IKE_SA_INIT")
    one.ping("R1")
    one.world.run(5)
    assert any("NOTIFY(UNSUPPORTED_CRITICAL_PAYLOAD)" in sent.payloads for sent in one.sent("R2"))
    one, _ = impaired("add-unknown")
    one.up()
    one.agree()


def test_the_plane_refuses_as_often_as_told() -> None:
    """`refuse outbound 1`: the first Child SA falls, the next one stands."""
    one, (fault,) = impaired("from R2 refuse outbound 1")
    one.ping("R1")
    one.world.run(30)
    assert fault.hits == 1
    one.up()
    assert one.children("R1")


def test_without_a_delete_the_other_end_stands() -> None:
    """`no-delete`: R1 is rid of its IKE SA, R2 still has its own until it looks."""
    one, (fault,) = impaired("from R1 no-delete")
    one.up()
    one.ask("R1", Clear())
    one.world.run(5)
    assert fault.hits == 1
    assert not one.ike("R1")
    assert one.ike("R2")


def test_a_changed_header_is_what_arrives() -> None:
    """`major-version` reaches the peer as version 3: it is dropped there and nothing is made."""
    one, _ = impaired("major-version request IKE_SA_INIT")
    one.ping("R1")
    one.world.run(5)
    assert {str(drop.trigger) for drop in one.events("R2", MessageDropped)}
    assert not one.ike("R2")


def test_the_event_tells_what_was_really_sent() -> None:
    """The sender's own record lists the payloads after the fault, so a ladder shows what happened."""
    one, _ = impaired("from R1 omit-notify 16388 request IKE_SA_INIT")
    one.ping("R1")
    first = one.events("R1", MessageSent)[0]
    assert "NOTIFY(NAT_DETECTION_SOURCE_IP)" not in first.payloads
    assert "NOTIFY(NAT_DETECTION_DESTINATION_IP)" in first.payloads


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "no such impairment; one of: drop, delay,"),
        ("loose response", "no such impairment; one of: drop, delay,"),
        ("drop answer", "had 'answer', wanted: drop [request|response|any] [EXCHANGE|any] [NUMBER|SECONDSs]"),
        ("ke", "had 'nothing', wanted: ke omit|empty|zero|repeat"),
        ("ke half", "had 'half', wanted: ke omit|empty|zero|repeat"),
        ("drip request", "had 'request', wanted: drip N"),
        ("drop response CREATE_CHILD_SA 1 2", "had '2', wanted"),
        ("delay xs", "had 'xs', wanted"),
    ],
)
def test_a_line_that_means_nothing_says_what_would(line: str, said: str) -> None:
    """One error, with what was found and all that is possible there."""
    with pytest.raises(LocalError) as error:
        parse(line)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_catalogue_lists_every_row_once() -> None:
    """Each row has a usage, a place and a sentence; each usage parses with its first word."""
    lines = catalogue()
    assert len(lines) == len(PROBLEMS)
    assert {row.where for row in PROBLEMS.values()} == {
        *("network", "header", "payload"),
        *("child", "kernel", "life cycle"),
    }
    for name in PROBLEMS:
        for exchange in EXCHANGES:
            fault = parse(f"from R1 {whole_line(name)} response {exchange} 3")
            assert (fault.sender, fault.response, fault.times) == ("R1", True, 3)
