"""What sizes, times and message IDs tell of messages that stay closed; all of it is inferred.

An Encrypted payload hides what it holds, not how much: the IV, the padding and the ICV are those of the suite that
IKE_SA_INIT agreed in the clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ikescope.capture.children import Child
from ikescope.capture.flows import Flow
from ikescope.capture.story import Letter, Story
from ikescope.capture.telling import Telling
from ikescope.crypto.suites import IkeSuite
from ikescope.events import Event
from ikescope.events.base import UNKNOWN
from ikescope.events.life import (
    ChildRefused,
    ChildSaClosed,
    ChildSaCreated,
    ChildSaRekeyed,
    ChildTraffic,
    CloseReason,
    IkeSaCreated,
    IkeSaRekeyed,
    LivenessAnswered,
    LivenessReceived,
    LivenessSent,
    RekeyReceived,
    RekeyStarted,
)
from ikescope.events.message import RequestRefused, ResponseRefused, RetransmissionsExhausted
from ikescope.wire.header import HEADER_OCTETS
from ikescope.wire.registry import ExchangeType

#: The generic header of a payload, and of an Identification or AUTH payload with its type.
_GENERIC, _TYPED = 4, 8
#: IDr of one octet; SA of one proposal with two transforms; two selectors of one IPv4 range each.
_LEAST_ID, _LEAST_SA, _LEAST_TS = _TYPED + 1, 4 + 12 + 8 + 8, 2 * 24
#: The least a nonce payload takes.
_LEAST_NONCE = _GENERIC + 16
#: A Delete payload with one SPI of ESP (RFC 7296 section 3.11).
DELETE_ESP = 4 + 4 + 4
#: How often a request must have gone out unanswered before its sender is taken to have given up.
GIVEN_UP = 3
#: Octets of a public value by group (RFC 3526, RFC 5903, RFC 8031).
PUBLIC = {2: 128, 5: 192, 14: 256, 15: 384, 16: 512, 17: 768, 18: 1024, 19: 64, 20: 96, 21: 132, 31: 32, 32: 56}


def room(suite: IkeSuite, size: int) -> tuple[int, int]:
    """The fewest and the most octets that an Encrypted payload alone in a message of `size` octets can hold."""
    mac = suite.integrity.icv_octets if suite.integrity is not None else suite.encryption.icv_octets
    most = size - HEADER_OCTETS - _GENERIC - suite.encryption.iv_octets - mac - 1
    return max(0, most - suite.encryption.block + 1), max(0, most)


def may_hold(story: Story, size: int, octets: int) -> bool:
    """Whether an Encrypted payload alone in a message of `size` octets can hold so many."""
    suite = story.keyed.suite
    least, most = (0, -1) if suite is None else room(suite, size)
    return least <= octets <= most


def surely_empty(story: Story, size: int) -> bool:
    """Whether it holds nothing."""
    return story.keyed.suite is not None and room(story.keyed.suite, size)[1] == 0


def before(story: Story, letter: Letter, size: int) -> Iterator[Telling]:
    """What can be told of a closed message before it is."""
    suite = story.keyed.suite
    if suite is None or letter.response:
        return
    _, most = room(suite, size)
    if letter.exchange == ExchangeType.INFORMATIONAL and most == 0:
        why = f"{size} octets leave no room in the Encrypted payload: nothing is asked but an answer"
        event: Event = LivenessSent(silent=UNKNOWN) if letter.sent else LivenessReceived()
        yield Telling(event, story, letter.message_id, why)
    elif letter.exchange == ExchangeType.CREATE_CHILD_SA:
        yield from _asked(story, letter, size, most, suite)


def _asked(story: Story, letter: Letter, size: int, most: int, suite: IkeSuite) -> Iterator[Telling]:
    """A request with too little room for a public value asks for no IKE SA; the first SA's group is taken for all."""
    public = PUBLIC.get(suite.group)
    if public is None or most >= _LEAST_SA + _LEAST_NONCE + _TYPED + public:
        return
    why = f"{size} octets have no room for a public value of group {suite.group}, which a new IKE SA needs"
    if letter.sent:
        yield Telling(
            RekeyStarted(kind="child", spi_a=UNKNOWN, spi_b=UNKNOWN, trigger=UNKNOWN), story, letter.message_id, why
        )
    else:
        yield Telling(RekeyReceived(kind="child"), story, letter.message_id, why)


def after(story: Story, letter: Letter, size: int) -> Iterator[Telling]:
    """What can be told of a closed message once it is there."""
    suite = story.keyed.suite
    if suite is None or not letter.response or letter.exchange != ExchangeType.IKE_AUTH:
        return
    _, most = room(suite, size)
    proof = _LEAST_ID + _TYPED + suite.prf.output_octets
    if most < proof:
        why = f"{size} octets have no room for IDr and AUTH: {most} inside at most, wanted {proof}"
        yield _refusal(story, letter, why)
    elif most < proof + _LEAST_SA + _LEAST_TS and not letter.sent:
        wanted = proof + _LEAST_SA + _LEAST_TS
        why = f"{size} octets have no room for IDr, AUTH, SA, TSi and TSr: {most} inside at most, wanted {wanted}"
        refused = ChildRefused(by="peer", notify=UNKNOWN, exchange=letter.exchange)
        yield Telling(refused, story, letter.message_id, why)


def _refusal(story: Story, letter: Letter, why: str) -> Telling:
    story.refused = True
    refused: Event = ResponseRefused(exchange=letter.exchange, notify=UNKNOWN)
    if letter.sent:
        refused = RequestRefused(exchange=letter.exchange, notify=UNKNOWN, why=why)
    return Telling(refused, story, letter.message_id, why)


def passed(story: Story, inbound: str, outbound: str, udp: bool, wall: float) -> Iterator[Telling]:
    """ESP both ways to SPIs that nobody used before IKE_AUTH was answered: the IKE SA and a Child SA stand."""
    story.children[inbound] = Child(inbound, outbound, wall)
    why = "ESP goes both ways since IKE_AUTH was answered"
    yield _created(story, why)
    yield _child(story, why, inbound=inbound, outbound=outbound, udp=udp, initiator=story.initiator)


def _created(story: Story, why: str) -> Telling:
    story.created = True
    suite = story.keyed.suite
    told = suite.text if suite is not None else UNKNOWN
    return Telling(IkeSaCreated(lifetime=UNKNOWN, suite=told, initiator=story.initiator), story, UNKNOWN, why)


def _child(story: Story, why: str, **told: Any) -> Telling:
    facts: dict[str, Any] = dict.fromkeys(ChildSaCreated.required, UNKNOWN)
    return Telling(ChildSaCreated(**(facts | told)), story, UNKNOWN, why)


def one_way(story: Story, flow: Flow, inward: bool) -> Iterator[Telling]:
    """ESP since IKE_AUTH was answered, to one end alone: a Child SA was made, and the way back carries nothing."""
    why = f"ESP goes one way alone since IKE_AUTH was answered, {flow.packets} packets to {flow.destination}"
    spi = {"inbound": flow.spi} if inward else {"outbound": flow.spi}
    yield _created(story, why)
    yield _child(story, why, udp=flow.udp, initiator=story.initiator, **spi)
    facts: dict[str, Any] = dict.fromkeys(ChildTraffic.required, UNKNOWN)
    packets = flow.packets
    counted = {"packets_in": packets if inward else 0, "packets_out": 0 if inward else packets}
    yield Telling(ChildTraffic(**(facts | spi | counted)), story, UNKNOWN, why)


def made(story: Story, child: Child, old: Child | None, *, udp: bool, ours: bool) -> Iterator[Telling]:
    """ESP both ways to SPIs that nobody used before CREATE_CHILD_SA was answered; `old` is the only one before it."""
    story.children[child.inbound] = child
    why = "ESP goes both ways to new SPIs since CREATE_CHILD_SA was answered"
    spis = {"inbound": child.inbound, "outbound": child.outbound}
    replaces = old.inbound if old is not None else UNKNOWN
    exchange = int(ExchangeType.CREATE_CHILD_SA)
    yield _child(story, why, udp=udp, initiator=ours, rekeys=replaces, exchange=exchange, **spis)
    if old is not None:
        old.replaced = True
        before = {"old_inbound": old.inbound, "old_outbound": old.outbound}
        after = {"new_inbound": child.inbound, "new_outbound": child.outbound}
        yield Telling(ChildSaRekeyed(**before, **after, initiator=ours), story, UNKNOWN, why)


def ended(story: Story, old: Child, letter: Letter | None, wall: float = 0.0) -> Iterator[Telling]:
    """The Child SA that a rekey replaced is deleted: by the size of an INFORMATIONAL, whose answer is `letter`."""
    story.children.pop(old.inbound, None)
    when = letter.wall if letter is not None else wall
    closed = ChildSaClosed(
        inbound=old.inbound,
        outbound=old.outbound,
        tunnel=UNKNOWN,
        reason="rekeyed",
        cause=CloseReason.REKEYED,
        seconds=when - old.created,
    )
    why = "an INFORMATIONAL with room for the Delete of one Child SA followed on its rekey"
    yield Telling(closed, story, letter.message_id if letter is not None else UNKNOWN, why)


def succeeded(old: Story, new: Story, *, ours: bool) -> Iterator[Telling]:
    """New SPIs without an IKE_SA_INIT, after CREATE_CHILD_SA was answered: the IKE SA was replaced."""
    old.successor, new.created = new, True
    new.children, old.children = old.children, {}
    if new.keyed.suite is None:
        # The suite of the old one is taken for the new one's: mostly it is offered again.
        new.keyed.suite = old.keyed.suite
    rekeyed = IkeSaRekeyed(
        old_spi_i=old.spi_i,
        old_spi_r=old.spi_r,
        new_spi_i=new.spi_i,
        new_spi_r=new.spi_r,
        initiator=ours,
        children=len(new.children),
        lifetime=UNKNOWN,
    )
    yield Telling(rekeyed, new, UNKNOWN, "its SPIs are new without IKE_SA_INIT, after CREATE_CHILD_SA was answered")


def alive(story: Story, request: Letter, answer: Letter) -> Iterator[Telling]:
    """An INFORMATIONAL that padding leaves open, empty or a Delete: nothing ended after it."""
    why = "it has room for nothing or for a Delete, and nothing ended after it"
    event: Event = LivenessReceived()
    if request.ours:
        event = LivenessAnswered(milliseconds=(answer.wall - request.wall) * 1000)
    yield Telling(event, story, request.message_id, why)


def given_up(story: Story, letter: Letter, sends: int, seconds: float) -> Iterator[Telling]:
    """A request that went out again and again, and no answer came as long as the capture ran."""
    if sends >= GIVEN_UP and letter.sent:
        event = RetransmissionsExhausted(exchange=letter.exchange, sends=sends, seconds=seconds)
        yield Telling(event, story, letter.message_id, f"sent {sends} times, never answered while the capture ran")
