"""IKE messages in fragments (RFC 7383): agreed, sent, repeated smaller, put together, and every fragment refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.fragments import dropped, fragmented, protected
from tests.support.world import BOTH, IKE_SUITES, Pair, Side, configuration, headline, impair, pair

from ikescope.engine.commands import Clear, Rekey
from ikescope.engine.fragments import (
    MAX_FRAGMENTS,
)
from ikescope.events.message import (
    DropTrigger,
    FragmentationAgreed,
    FragmentReceived,
    FragmentSent,
    FragmentsForgotten,
    FragmentSizeLowered,
)
from ikescope.ios.debug import Renderer
from ikescope.ios.running import running_config
from ikescope.ios.show_ikev2 import ikev2_sa
from ikescope.sim.world import Mail
from ikescope.wire.registry import ExchangeType

INIT, AUTH, CREATE, INFO = (ExchangeType.of(number) for number in (34, 35, 36, 37))
SMALL = Side(fragmentation="fragmentation mtu 200")
LARGE = Side(ike="modp", groups=(16,), fragmentation="fragmentation mtu 1400")
"""Its IKE rekeys are of some 700 octets."""
OTHER = {"R1": "R2", "R2": "R1"}
SUPPORTED = "NOTIFY(IKEV2_FRAGMENTATION_SUPPORTED)"


def largest(one: Pair) -> int:
    """The octets of the largest protected datagram so far."""
    return max(len(mail.octets) for mail in one.world.mail if protected(mail))


# What goes right.


@pytest.mark.parametrize("forced", [False, True], ids=["port 500", "port 4500"])
@pytest.mark.parametrize("by", BOTH)
@pytest.mark.parametrize("ike", IKE_SUITES)
def test_a_whole_life_in_small_datagrams(ike: str, by: str, forced: bool) -> None:
    """I: IKE_SA_INIT whole; IKE_AUTH, rekeys of both SAs from both ends, D in fragments where they are too large."""
    one = pair(Side(ike=ike, fragmentation="fragmentation mtu 200", force_encap=forced, pfs=19)).up(by)
    one.agree()
    for who in BOTH:
        one.ask(who, Rekey())
        one.world.run(8)
        one.ask(who, Rekey(spi=one.one_child(who).inbound))
        one.world.run(8)
        one.agree()
    limit = 200 - 28 - (4 if forced else 0)
    assert largest(one) <= limit
    assert [event.size for event in one.events(by, FragmentationAgreed)] == [limit]
    assert one.events("R1", FragmentSent)
    assert one.events("R1", FragmentReceived)
    assert not any(fragmented(mail) for mail in one.world.mail if headline(mail)[1] == INIT)
    assert dropped(one, "R1") == dropped(one, "R2") == []
    one.ask(by, Clear())
    one.world.run(2)
    one.quiet(timers=2)


def test_the_smallest_size_there_is_still_works() -> None:
    """`mtu 68` holds no fragment at all: the smallest that there are, go out."""
    one = pair(Side(fragmentation="fragmentation mtu 68")).up()
    one.agree()
    totals: list[int] = [event.total for event in one.events("R1", FragmentSent)]
    assert 10 < max(totals) <= MAX_FRAGMENTS
    one.ask("R1", Clear())
    one.world.run(2)
    one.quiet(timers=2)


@pytest.mark.parametrize("second", ["", "fragmentation"])
@pytest.mark.parametrize("first", ["", "fragmentation"])
def test_both_ends_must_want_it(first: str, second: str) -> None:
    """I: IKE_SA_INIT with the notify where it is configured; R answers it where it is configured too."""
    one = pair(Side(fragmentation=first), Side(fragmentation=second)).up()
    request, response = one.sent("R1", INIT)[0], one.sent("R2", INIT)[0]
    assert (SUPPORTED in request.payloads) is bool(first)
    assert (SUPPORTED in response.payloads) is bool(first and second)
    agreed = 576 if first and second else None
    assert [one.one_ike(name).fragment_mtu for name in BOTH] == [agreed, agreed]
    shown = ikev2_sa(one.world.status("R1"), one.station("R1").config, detailed=True)
    if agreed:
        assert "      IETF Std Fragmentation  enabled." in shown
        assert "      IETF Std Fragmentation MTU in use: 548 bytes." in shown
    else:
        assert "      Fragmentation not  configured." in shown
    lines = [line for record in one.station("R1").records for line in Renderer().lines(record)]
    assert any(line.endswith("IETF Fragmentation is enabled") for line in lines) is bool(agreed)


@pytest.mark.parametrize("line", ["fragmentation", "fragmentation mtu 68", "fragmentation mtu 1500"])
def test_the_line_is_read_and_printed(line: str) -> None:
    """`crypto ikev2 fragmentation` acts, with and without its size, and stands in running-config."""
    config = configuration("R1", Side(fragmentation=line))
    assert config.fragmentation is not None
    assert config.fragmentation.mtu == (int(line.split()[-1]) if "mtu" in line else None)
    assert f"crypto ikev2 {line}" in running_config(config)
    assert configuration("R1", Side()).fragmentation is None


@pytest.mark.parametrize("name", BOTH)
def test_what_was_agreed_holds_for_the_ike_sas_that_follow(name: str) -> None:
    """I: CREATE_CHILD_SA for the IKE SA: no notify is exchanged, the size is inherited (RFC 7383 section 2.3)."""
    one = pair(SMALL).up()
    one.ask(name, Rekey())
    one.world.run(8)
    assert [one.one_ike(who).fragment_mtu for who in BOTH] == [200, 200]


# Losses, repetitions, order.


def test_fragments_come_in_any_order() -> None:
    """I: IKE_AUTH in fragments, the last first: put together all the same."""
    one = pair(SMALL)
    one.world.impairments.append(lambda mail: (0.5 / mail.octets[33],) if fragmented(mail) else None)
    one.up()
    one.agree()
    numbers: list[int] = [event.number for event in one.events("R2", FragmentReceived)]
    assert numbers[:3] == [3, 2, 1]


def test_every_fragment_may_come_twice() -> None:
    """I: every datagram twice: an equal fragment is ignored, and harmless."""
    one = pair(SMALL)
    one.world.impairments.append(lambda mail: (0.01, 0.012) if protected(mail) else None)
    one.up()
    one.ask("R2", Rekey())
    one.world.run(8)
    one.agree()
    assert {event.trigger for event in dropped(one, "R2")} <= {
        DropTrigger.FRAGMENT_REPEATED,
        DropTrigger.UNEXPECTED_RESPONSE,
        DropTrigger.UNKNOWN_SPI,
    }


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("response", [False, True], ids=["request", "response"])
def test_a_lost_fragment_makes_the_whole_message_come_again(response: bool, number: int) -> None:
    """I: IKE_AUTH, a fragment lost x; I: all of them again, the same octets; R: as for any repeated request."""
    one = pair(SMALL)
    lost = impair(
        one.world,
        lambda mail: fragmented(mail) and headline(mail)[2] is response and mail.octets[33] == number,
        (),
    )
    one.up()
    one.agree()
    assert len(lost) == 1
    sent = [mail.octets for mail in one.world.mail if fragmented(mail) and headline(mail)[:2] == ("R1", AUTH)]
    assert len(sent) == 6 and sent[:3] == sent[3:]
    if response:
        answers = [mail.octets for mail in one.world.mail if fragmented(mail) and headline(mail)[:2] == ("R2", AUTH)]
        assert len(answers) == 8 and answers[:4] == answers[4:]
        assert [event.repeat for event in one.sent("R2", AUTH)] == [0, 1]


def narrow(one: Pair, octets: int, *, response: bool | None = None, times: int | None = None) -> list[Mail]:
    """From now on no datagram above `octets` arrives."""
    return impair(
        one.world,
        lambda mail: protected(mail) and len(mail.octets) > octets and response in (None, headline(mail)[2]),
        (),
        times=times,
    )


@pytest.mark.parametrize("by", BOTH)
def test_the_size_is_lowered_when_nothing_is_answered(by: str) -> None:
    """I: CREATE_CHILD_SA whole x; again x; I: the same message ID in fragments of 548 octets; R answers in such too."""
    one = pair(LARGE).up()
    lost = narrow(one, 560)
    one.ask(by, Rekey())
    one.world.run(20)
    one.agree()
    assert [one.one_ike(name).fragment_mtu for name in BOTH] == [576, 576]
    (lowered,) = one.events(by, FragmentSizeLowered)
    assert (lowered.before, lowered.after) == (1372, 548)
    assert one.events(OTHER[by], FragmentSizeLowered)
    requests = one.sent(by, CREATE, response=False)
    assert [len(event.fragments) for event in requests] == [0, 0, 2]
    assert {len(mail.octets) for mail in lost} == {requests[0].size}


def test_fragments_of_another_size_take_the_place_of_the_first() -> None:
    """I: in 2 fragments, the first x; twice; I: the same message ID in 3: what is held of the first is forgotten."""
    side = Side(ike="modp", groups=(16,), fragmentation="fragmentation mtu 640")
    one = pair(side).up()
    narrow(one, 560)
    one.ask("R1", Rekey())
    one.world.run(20)
    one.agree()
    assert [event.why for event in one.events("R2", FragmentsForgotten)] == ["the peer sends it in 3 fragments now"]


def test_a_response_is_lowered_when_it_is_asked_for_again() -> None:
    """I: IKE_AUTH whole; R: whole, with a long identity, x; twice; I: again; R: in fragments."""
    side = Side(fragmentation="fragmentation mtu 1400")
    one = pair(side, replace(side, identity=f"key-id {'long' * 60}"))
    narrow(one, 550)
    one.up()
    one.agree()
    assert one.events("R2", FragmentSizeLowered) and not one.events("R1", FragmentSizeLowered)
    answers = one.sent("R2", AUTH, response=True)
    assert [len(event.fragments) for event in answers] == [0, 0, 2]
    assert [event.repeat for event in answers] == [0, 1, 2]


def test_without_agreement_nothing_is_ever_parted() -> None:
    """I: CREATE_CHILD_SA whole, seven times, for the two agreed on no fragments."""
    one = pair(Side(ike="modp", groups=(16,))).up()
    narrow(one, 560)
    one.ask("R1", Rekey())
    one.world.run(300)
    assert not any(fragmented(mail) for mail in one.world.mail)
    assert not one.events("R1", FragmentSizeLowered)
    one.sound()


def test_a_closed_ike_sa_repeats_its_last_response_to_fragment_one() -> None:
    """I: IKE_AUTH in fragments; R: AUTHENTICATION_FAILED x; I: again: R, whose IKE SA is gone, repeats it, once."""
    one = pair(SMALL, replace(SMALL, key="another"))
    lost = impair(one.world, lambda mail: headline(mail)[:3] == ("R2", AUTH, True), ())
    one.ping("R1")
    assert one.world.until(lambda: not one.ike("R1") and bool(lost), 10)
    assert [event.repeat for event in one.sent("R2", AUTH, response=True)] == [0, 1]
    assert [event.trigger for event in dropped(one, "R2")] == [DropTrigger.FRAGMENT_REPEATED] * 2
    one.sound()
