"""What a fragment is refused for, what is held and how much, what holds for any fragments (RFC 7383 section 2.6)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fragments import dropped, fragmented, held, piece, vendor
from tests.support.world import BOTH, Pair, Side, feed, headline, impair, pair

from ikescope.config.model import Fragmentation
from ikescope.engine.commands import Clear, Destination, Probe
from ikescope.engine.fragments import (
    HELD_OCTETS,
    HELD_SECONDS,
    HELD_UNPROVEN,
    MAX_FRAGMENTS,
    Held,
    Opened,
    Reassembly,
    Rejected,
    Whole,
    message_octets,
    mtu_of,
    parts,
)
from ikescope.engine.sa import IkeSa
from ikescope.engine.states import IkeState
from ikescope.events.message import (
    DropTrigger,
    FragmentsForgotten,
    MessageDropped,
    MessageReceived,
    RequestRefused,
)
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType

AUTH, CREATE, INFO = ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA, ExchangeType.INFORMATIONAL
SMALL = Side(fragmentation="fragmentation mtu 200")


# What a fragment is refused for.


def refused(one: Pair, name: str, octets: bytes) -> MessageDropped:
    """Why a router discards a datagram; it must, and hold no more than before."""
    count, before = len(dropped(one, name)), held(one, name)
    feed(one, name, octets)
    found = dropped(one, name)
    assert len(found) == count + 1, one.story()
    assert held(one, name) == before
    one.sound()
    return found[-1]


@pytest.fixture
def one() -> Pair:
    """A session in small fragments."""
    return pair(SMALL).up()


def test_a_fragment_that_was_not_agreed_is_dropped() -> None:
    """A fragment where the two did not agree on any: dropped, whoever sent it."""
    found = refused(plain := pair(Side()).up(), "R2", piece(plain, "R1", 1, 2))
    assert (found.trigger, found.found, found.wanted) == (
        DropTrigger.FRAGMENT_UNASKED,
        "fragment 1 of 2",
        "whole messages",
    )


def test_a_fragment_that_does_not_verify_is_not_held(one: Pair) -> None:
    """No octet of a fragment may change: it is dropped for its ICV, and nothing is kept of it."""
    whole = piece(one, "R1", 1, 2)
    for place in range(28 + 8, len(whole)):
        octets = bytearray(whole)
        octets[place] ^= 1
        assert refused(one, "R2", bytes(octets)).trigger is DropTrigger.ICV
    assert one.one_ike("R2").reassembly.messages == {}


def test_too_many_fragments_are_refused_unseen(one: Pair) -> None:
    """A message of more than 128 fragments is not begun."""
    found = refused(one, "R2", piece(one, "R1", 1, MAX_FRAGMENTS + 1))
    assert (found.trigger, found.found, found.wanted) == (
        DropTrigger.FRAGMENT_LIMIT,
        "129 fragments",
        "at most 128",
    )
    feed(one, "R2", piece(one, "R1", 1, MAX_FRAGMENTS))
    assert list(held(one, "R2").values()) == [1]


def test_fragments_must_not_contradict_each_other(one: Pair) -> None:
    """Fewer fragments than before, another exchange, other content, a first payload in a later one: each is told."""
    feed(one, "R2", piece(one, "R1", 2, 4))
    cases = [
        (piece(one, "R1", 1, 3), "fragment of 3", "of 4"),
        (piece(one, "R1", 1, 4, exchange=CREATE), "exchange type CREATE_CHILD_SA (36)", "INFORMATIONAL (37)"),
        (piece(one, "R1", 2, 4, b"others"), "other content in fragment 2 of 4", "the content held"),
        (piece(one, "R1", 3, 4, first=43), "next payload 43 in fragment 3", "0"),
    ]
    for octets, told, wanted in cases:
        found = refused(one, "R2", octets)
        assert (found.trigger, found.found, found.wanted) == (DropTrigger.FRAGMENT_CONTRADICTS, told, wanted)
    again = refused(one, "R2", piece(one, "R1", 2, 4))
    assert (again.trigger, again.found) == (DropTrigger.FRAGMENT_REPEATED, "fragment 2 of 4 again")


@pytest.mark.parametrize(("number", "total"), [(0, 1), (0, 0), (3, 2)])
def test_numbers_that_cannot_be_are_malformed(one: Pair, number: int, total: int) -> None:
    """Fragment 0, none at all, or one above the total is no fragment."""
    assert refused(one, "R2", piece(one, "R1", number, total)).trigger is DropTrigger.MALFORMED


def test_only_messages_that_are_waited_for_are_held(one: Pair) -> None:
    """A request below or beyond the window, a response to nothing: no fragment of them is kept."""
    sa = one.one_ike("R2")
    low, high = sa.into.lowest, sa.into.lowest + sa.into.size
    found = refused(one, "R2", piece(one, "R1", 1, 2, message_id=high))
    assert (found.trigger, found.found, found.wanted) == (
        DropTrigger.BEYOND_WINDOW,
        f"{high}",
        f"{low} to {high - 1}",
    )
    sa.into.kept.clear()
    assert refused(one, "R2", piece(one, "R1", 1, 2, message_id=0)).trigger is DropTrigger.OLD_REQUEST
    late = refused(one, "R2", piece(one, "R1", 1, 2, message_id=0, response=True))
    assert late.trigger is DropTrigger.UNEXPECTED_RESPONSE


def test_an_answered_request_is_repeated_by_its_first_fragment_alone(one: Pair) -> None:
    """I: fragment 2 of an answered request: nothing. I: fragment 1: the response again, in all its fragments."""
    parts_sent = [mail for mail in one.world.mail if fragmented(mail) and headline(mail)[:2] == ("R1", AUTH)]
    before = len(one.sent("R2", AUTH))
    for mail in parts_sent[1:]:
        assert refused(one, "R2", mail.octets).trigger is DropTrigger.FRAGMENT_REPEATED
    assert len(one.sent("R2", AUTH)) == before
    feed(one, "R2", parts_sent[0].octets)
    assert len(one.sent("R2", AUTH)) == before + 1
    assert len(one.sent("R2", AUTH)[-1].fragments) == 4


def test_what_is_held_is_bounded_in_octets(one: Pair) -> None:
    """An authenticated peer makes us hold no more than one message's worth each way, over all of its window."""
    sa = one.one_ike("R2")
    big = bytes(8000)
    for number in range(2, 10):
        feed(one, "R2", piece(one, "R1", number, 20, big))
    mid = one.one_ike("R1").out.next_id + 1
    found = refused(one, "R2", piece(one, "R1", 2, 20, big, message_id=mid))
    assert (found.trigger, found.found, found.wanted) == (
        DropTrigger.FRAGMENT_LIMIT,
        "72000 octets held",
        f"at most {HELD_OCTETS}",
    )
    assert octets_held(sa) <= HELD_OCTETS


def octets_held(sa: IkeSa) -> int:
    """What an IKE SA holds of unfinished messages."""
    return sum(found.octets for found in sa.reassembly.messages.values())


def test_a_peer_that_has_proven_nothing_holds_less() -> None:
    """I: IKE_SA_INIT and then fragments of an IKE_AUTH without end: a quarter of what an authenticated peer may."""
    one = pair(SMALL)
    impair(one.world, lambda mail: headline(mail)[1] == AUTH, (), times=None)
    one.ping("R1")
    one.world.run(0.1)
    assert one.one_ike("R2").state is IkeState.INIT_DONE
    for number in range(2, MAX_FRAGMENTS):
        feed(one, "R2", piece(one, "R1", number, MAX_FRAGMENTS, bytes(1000), exchange=AUTH, message_id=1))
    assert HELD_UNPROVEN - 1000 < octets_held(one.one_ike("R2")) <= HELD_UNPROVEN
    one.world.run(40)
    assert not one.ike("R2")
    one.sound()


def test_what_never_becomes_whole_is_forgotten(one: Pair) -> None:
    """I: 2 of 3 fragments and no more: after 30 s they are gone, with no deadline left behind."""
    timers = one.core("R2").timers.armed()
    for number in (1, 3):
        feed(one, "R2", piece(one, "R1", number, 3))
    assert one.core("R2").timers.armed() == timers + 1
    one.world.run(HELD_SECONDS + 1)
    assert held(one, "R2") == {}
    (forgotten,) = one.events("R2", FragmentsForgotten)
    assert (forgotten.held, forgotten.total, forgotten.why) == (2, 3, "not whole after 30 s")
    assert one.core("R2").timers.armed() == timers


def test_a_whole_message_ends_the_wait_for_its_fragments(one: Pair) -> None:
    """I: one fragment of a request, then the same request whole: answered once, the fragment forgotten."""
    feed(one, "R2", piece(one, "R1", 1, 2))
    one.ask("R1", Probe())
    one.world.run(1)
    assert held(one, "R2") == {}
    assert [event.why for event in one.events("R2", FragmentsForgotten)] == ["it came in one datagram"]
    one.agree()


def test_an_ike_sa_that_ends_holds_nothing(one: Pair) -> None:
    """I: one fragment, then the operator of R clears: no fragment and no deadline stays."""
    sa = one.one_ike("R2")
    feed(one, "R2", piece(one, "R1", 1, 2))
    one.ask("R2", Clear())
    one.world.run(2)
    assert sa.reassembly.messages == {}
    one.quiet(timers=2)


def test_a_message_is_judged_when_it_is_whole(one: Pair) -> None:
    """I: fragments whose content is no chain of payloads: INVALID_SYNTAX, as for a message in one datagram."""
    feed(one, "R2", piece(one, "R1", 1, 2, b"\0\0\xff\xff"))
    feed(one, "R2", piece(one, "R1", 2, 2, b"garbage"))
    assert [event.notify for event in one.events("R2", RequestRefused)] == [NotifyType.INVALID_SYNTAX]
    one.world.run(1)
    one.sound()


def test_a_message_may_be_one_fragment_and_an_empty_one(one: Pair) -> None:
    """I: fragment 1 of 1 with nothing in it is a liveness check, answered as such."""
    feed(one, "R2", piece(one, "R1", 1, 1, b"", first=0))
    assert one.events("R2", MessageReceived)[-1].fragments != ()
    assert one.events("R2", MessageReceived)[-1].inner == ()
    assert one.sent("R2", INFO, response=True)


@pytest.mark.parametrize("response", [False, True], ids=["request", "response"])
def test_an_ike_sa_init_is_never_in_fragments(response: bool) -> None:
    """A fragment that claims to be of IKE_SA_INIT has no key to verify with: refused or dropped, nothing held."""
    one = pair(SMALL).up()
    real = bytearray(piece(one, "R1", 1, 2))
    real[8:16], real[18], real[20:24] = bytes(8), ExchangeType.IKE_SA_INIT, bytes(4)
    real[19] = FLAG_RESPONSE if response else FLAG_INITIATOR
    real[0:8] = one.one_ike("R2").spi_i if response else b"\x01" * 8
    feed(one, "R2", bytes(real))
    assert len(one.ike("R2")) == 1
    assert held(one, "R2") == {}
    refusals = [event.notify for event in one.events("R2", RequestRefused)]
    assert refusals == ([] if response else [NotifyType.INVALID_SYNTAX])
    assert len(dropped(one, "R2")) == int(response)
    one.world.run(2)
    one.agree()


@pytest.mark.parametrize(
    ("local", "remote", "port", "configured", "octets"),
    [
        ("192.0.2.1", "192.0.2.2", 500, None, 576 - 28),
        ("192.0.2.1", "192.0.2.2", 4500, None, 576 - 28 - 4),
        ("192.0.2.1", "192.0.2.2", 500, 1400, 1372),
        ("2001:db8::1", "2001:db8::2", 500, None, 1280 - 48),
        ("2001:db8::1", "2001:db8::2", 4500, 1500, 1500 - 48 - 4),
    ],
)
def test_the_size_is_that_of_the_packet(
    local: str, remote: str, port: int, configured: int | None, octets: int
) -> None:
    """`mtu` counts the whole packet: IP and UDP headers and the non-ESP marker go off; IOS's defaults by family."""
    path = Destination(ip_address(local), port, ip_address(remote), port)
    assert message_octets(mtu_of(Fragmentation(configured), path), path) == octets


# Properties.


@given(data=st.binary(min_size=1, max_size=3000), room=st.integers(1, 1500), seed=st.integers(0, 2**16))
@settings(max_examples=150, deadline=None)
def test_any_partition_in_any_order_comes_together(data: bytes, room: int, seed: int) -> None:
    """Whatever the size and the order, with each fragment some times over, the same octets come out once."""
    pieces = list(parts(data, room))
    assert [number for number, _, _ in pieces] == list(range(1, len(pieces) + 1))
    assert len(pieces) <= MAX_FRAGMENTS and b"".join(octets for _, _, octets in pieces) == data
    order = pieces + pieces[: seed % 5]
    random.Random(seed).shuffle(order)
    found = _reassembled(order)
    assert [one.opened.inner for one in found][:1] == [data]
    assert all(len(one.opened.sizes) == len(pieces) for one in found)
    assert found[0].opened.first == PayloadType.VENDOR


def _reassembled(order: Sequence[tuple[int, int, bytes]]) -> list[Whole]:
    reassembly, found = Reassembly(), []
    for number, total, octets in order:
        payload = EncryptedFragmentPayload(
            PayloadType.VENDOR if number == 1 else PayloadType.NO_NEXT, number, total, b""
        )
        assert reassembly.judge((False, 1), 37, payload) is None
        result = reassembly.take((False, 1), 37, payload, b"datagram", octets, HELD_OCTETS)
        if isinstance(result, Whole):
            found.append(result)
    return found


FRAGMENTS = st.tuples(
    st.booleans(),
    st.integers(0, 6),
    st.sampled_from([35, 36, 37]),
    st.sampled_from([0, 0, 0, 43]),
    st.integers(1, 140),
    st.integers(1, 140),
    st.integers(0, 9000),
)


@given(st.lists(FRAGMENTS, max_size=60))
@settings(max_examples=100, deadline=None)
def test_whatever_comes_no_more_is_held_than_is_allowed(sent: list[tuple[bool, int, int, int, int, int, int]]) -> None:
    """Fragments of any message, number, total, exchange and size: never an exception, never above the limits."""
    reassembly = Reassembly()
    for response, mid, exchange, first, number, total, octets in sent:
        payload = EncryptedFragmentPayload(PayloadType.of(first), min(number, total), total, b"")
        result = reassembly.judge((response, mid), exchange, payload) or reassembly.take(
            (response, mid), exchange, payload, bytes(octets + 80), bytes(octets), HELD_OCTETS
        )
        assert isinstance(result, Whole | Held | Rejected)
        for way in (False, True):
            kept = [found for key, found in reassembly.messages.items() if key[0] is way]
            assert sum(found.octets for found in kept) <= HELD_OCTETS
            assert all(len(found.pieces) < found.total <= MAX_FRAGMENTS for found in kept)


@given(st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_mutated_fragments_harm_nobody(chance: random.Random) -> None:
    """Real fragments, cut, changed, exchanged, sealed anew with other numbers: no defect shows, nothing stays."""
    one = pair(SMALL).up()
    sa = one.one_ike("R2")
    real = [mail.octets for mail in one.world.mail if fragmented(mail)]
    for _ in range(30):
        kind = chance.randrange(4)
        octets = chance.choice(real)
        if kind == 0:
            octets = octets[: chance.randrange(len(octets))]
        elif kind == 1:
            changed = bytearray(octets)
            changed[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
            octets = bytes(changed)
        elif kind == 2:
            number = chance.randint(1, 130)
            total = chance.randint(number, 135)
            exchange, mid = chance.choice([35, 36, 37, 99]), sa.into.lowest + chance.randint(-2, 6)
            body = vendor(chance.randint(4, 400))
            octets = piece(one, "R1", number, total, body, exchange=exchange, message_id=max(mid, 0))
        feed(one, chance.choice(BOTH), octets)
        assert octets_held(sa) <= HELD_OCTETS
    one.sound()
    one.world.run(HELD_SECONDS + 1)
    assert sa.reassembly.messages == {}


def test_what_was_opened_prints_no_plaintext_by_accident() -> None:
    """The parts of a message are data like any other: equal content is an equal value."""
    assert Opened(43, b"x", (1,)) == Opened(43, b"x", (1,))
