"""One conversation of a capture for its ladder alone: what draws no line of it is not told, and hardly looked at.

A message that opens, is well formed and comes for the first time goes the short way; any other, and the first ones of
an IKE SA, go the way of `Side`, which knows the same IKE SAs. So the lines are those of all records.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ikescope.capture import brief, frames
from ikescope.capture.chains import Chain, Chains, badness
from ikescope.capture.conversation import ESP_TRIES, REMEMBERED, TRAFFIC_EVERY, Opened, Reading, Side
from ikescope.capture.flows import FLOWS, Flow
from ikescope.capture.keyed import Opener
from ikescope.capture.story import Letter, Story
from ikescope.capture.telling import Telling
from ikescope.crypto.envelope import EnvelopeError
from ikescope.errors import DecodeError
from ikescope.events import Event, Record
from ikescope.events.life import ChildSaCreated
from ikescope.events.message import MessageReceived, MessageSent
from ikescope.wire import Message
from ikescope.wire.header import FLAG_INITIATOR, FLAG_RESPONSE, HEADER_OCTETS, VERSION_2_0
from ikescope.wire.payload import GENERIC_OCTETS
from ikescope.wire.registry import ExchangeType, PayloadType

_INIT = int(ExchangeType.IKE_SA_INIT)
_INIT_OCTET, _SEALED_V2 = bytes((_INIT,)), bytes((PayloadType.SK, VERSION_2_0))
_SK, _AUTH = int(PayloadType.SK), int(ExchangeType.IKE_AUTH)
_CREATE, _INFORMATIONAL = int(ExchangeType.CREATE_CHILD_SA), int(ExchangeType.INFORMATIONAL)
_HEADER = struct.Struct("!8s8sBBBBII").unpack_from
_HEAD = struct.Struct("!BBBBIIBxH").unpack_from
_BODY, _LEAST, _SHORT = HEADER_OCTETS + GENERIC_OCTETS, HEADER_OCTETS + GENERIC_OCTETS + 1, 1024
"""Where the body of an Encrypted payload begins that stands alone; the least octets of a message with one, and the
most up to which a message is remembered itself, to know its repetition by.
"""
_APART = 60.0
"""Seconds between requests for new SAs of both ends, from which on they do not cross."""
_SEALED = ("ENCR",)
_NOTHING = Chain((), (), 0)

Key = tuple[int, bool, tuple[str, ...], tuple[str, ...], int, int, tuple[int, ...]]
"""What a message is drawn by: exchange, whether a response, names of the payloads, of those inside, octets, repeats,
fragments.
"""


class Way:
    """From where to where: addresses with their ports; as text; the same with the side that is looked from first.

    `place` is the paper's.
    """

    __slots__ = ("ends", "place", "sides", "texts")

    def __init__(self, ends: tuple[tuple[str, int], tuple[str, int]], *, sent: bool) -> None:
        self.ends = ends
        self.texts = f"{ends[0][0]}:{ends[0][1]}", f"{ends[1][0]}:{ends[1][1]}"
        self.sides = self.texts if sent else (self.texts[1], self.texts[0])
        self.place: Any = None


class Paper(Protocol):
    """What a ladder is drawn on; `wanted` are the events that it shows beside messages."""

    wanted: frozenset[type[Event]]

    def add(self, number: int, record: Record) -> bool:
        """Draw what a record of that packet shows; whether it is a failure."""

    def message(self, number: int, wall: float, way: Way, story: Story, key: Key, message_id: int) -> bool:
        """Draw a message of an IKE SA of which some are drawn; False where none like it was, but for its message ID."""


class Shared:
    """What the conversations of a capture have in common."""

    def __init__(self, reading: Reading, paper: Paper) -> None:
        ring = reading.ring
        self.reading, self.paper, self.opener, self.chains = reading, paper, Opener(ring), Chains()
        self.esp_keys = bool(ring.esp or ring.dh or any(one.sk_d for one in ring.ike))


class Lane(Side):
    """One conversation that is drawn, from the side that spoke first.

    `in_doubt` is whether anything in it is such that an error finding could stand there: a failure, an error notify, a
    datagram that came again or stays closed or is never answered, rekeys that cross, a Child SA that one end uses.
    """

    story_type = brief.BriefStory

    def __init__(self, address: str, shared: Shared) -> None:
        super().__init__(address, shared.reading, shared.opener)
        self._paper, self._wanted = shared.paper, shared.paper.wanted
        self._chain, self._tries = shared.chains.parse, ESP_TRIES if shared.esp_keys else 1
        self._ready: dict[bytes, Story] = {}
        self.in_doubt = False
        self._pairs: dict[str, str] = {}
        self._asked_at: dict[bool, float] = {}
        self._ways: dict[tuple[bool, bytes], Way] = {}
        self._carrying: dict[tuple[bool, bytes], Flow] = {}

    def ike(self, data: bytes, ends: tuple[str, str], ports: bytes, wall: float, line: int) -> None:
        """Draw an IKE message; `ends` source and destination, `ports` the four octets that the UDP header has."""
        if data[18:19] == _INIT_OCTET:
            if self._clear(data, ends, ports, wall, line):
                return
            story = None
        else:
            story = self._ready.get(data[:16]) or self._readied(data)
        if story is None or not self._plain(story, data, ends, ports, wall, line):
            # What comes now may change what is known of any.
            self._ready.clear()
            self._put(self.datagram(_datagram(data, ends, ports, ike=True), wall, line))

    def _readied(self, data: bytes) -> Story | None:
        """The IKE SA of a message, where keys are known that name it; AUTH is proven the long way."""
        story = self.stories.get(data[:8])
        if story is None or data[8:16] != story.keyed.spi_r or self._reading.psks:
            return None
        if story.keyed.keys is None and not (
            data[16:18] == _SEALED_V2 and len(data) >= _LEAST and self._opener.named(story.keyed, data)
        ):
            return None
        # That they are known is told with the first message that they open, and is no line.
        self._said.add(story.keyed.spi_i)
        self._ready[data[:16]] = story
        return story

    def _put(self, records: Iterable[Record]) -> None:
        for record in records:
            self.in_doubt |= self._paper.add(self._line, record)

    def tear(self, torn: frames.Torn) -> None:
        """Draw what is there of a message whose other IP fragments are not."""
        self.in_doubt = True
        self._put(self.torn(torn))

    def finish(self) -> None:
        """Draw what is left when the capture is over; `in_doubt` is then told."""
        self._put(self.end())
        begun = [story for story in self.stories.values() if story.keyed.request]
        self.in_doubt |= (
            bool(self._open_requests)
            or len(begun) > 1
            or not all(story.created for story in begun)
            or any(self._one_way(flow) for flow in self._flows)
        )

    def _one_way(self, flow: Flow) -> bool:
        """Whether a Child SA carried packets to one end alone."""
        other = self._pairs.get(flow.spi)
        return other is not None and flow.packets > 1 and self._flows.get(flow.source, other) is None

    def carry(self, data: bytes, ends: tuple[str, str], ports: bytes, wall: float, line: int) -> None:
        """Count an ESP packet, `ports` empty where it is not inside UDP; draw what the first ones tell."""
        key = ends[1] == self.address, data[:4]
        flow = self._carrying.get(key)
        if flow is None:
            self._first(_datagram(data, ends, ports, ike=False), wall, line)
            flow = self._flows.get(ends[1], data[:4].hex())
            if flow is not None and flow.packets >= self._tries and len(self._carrying) < FLOWS // 2:
                self._carrying[key] = flow
            return
        if flow.opener is not None:
            flow.add(data, wall)
        else:
            flow.last = wall
            flow.packets += 1
            flow.octets += len(data)
        if wall - flow.told_at >= TRAFFIC_EVERY:
            flow.told_at = self._wall = wall
            self._line = line

    def _first(self, datagram: frames.Datagram, wall: float, line: int) -> None:
        """One of the first ESP packets to an SPI; of closed IKE SAs and of AUTH it may tell something."""
        if self._tries > 1 or self._reading.psks or any(one.keyed.keys is None for one in self.stories.values()):
            self._put(self.esp(datagram, wall, line))
            return
        flow = self._flows.add(datagram, wall)
        flow.add(datagram.data, wall)
        if flow.packets == 1 or wall - flow.told_at >= TRAFFIC_EVERY:
            flow.told_at = self._wall = wall
            self._line = line

    def _plain(self, story: Story, data: bytes, ends: tuple[str, str], ports: bytes, wall: float, line: int) -> bool:
        """Draw a message that is as it should be; False, and nothing done, where it is another."""
        sent, size = ends[0] == self.address, len(data)
        seen = sent, data
        if not _LEAST <= size <= _SHORT or seen in self._seen:
            return False
        kind, version, exchange, flags, message_id, length, first, inside = _HEAD(data, 16)
        if kind != _SK or version != VERSION_2_0 or length != size or inside != size - HEADER_OCTETS:
            return False
        try:
            plain = story.keyed.open_body(data, _BODY, flags)
            chain = self._chain(first, plain) if plain or first else _NOTHING
        except (EnvelopeError, DecodeError):
            return False
        self._seen[seen] = 0
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        way = self._ways.get((sent, ports)) or self._way(sent, ends, ports)
        self._wall, self._line, self._ends = wall, line, way.sides
        response = flags & FLAG_RESPONSE != 0
        key = exchange, response, _SEALED, chain.names, size, 0, ()
        if not self._paper.message(line, wall, way, story, key, message_id):
            self._draw(story, key, message_id, sent)
        if response and chain is _NOTHING and exchange == _INFORMATIONAL:
            request = story.asked.get((not sent, message_id))
            if request is None or not request.payloads:
                self._unkeyed.of(story).answers.add(not sent)
                self._open_requests.pop((story.keyed.spi_i, not sent, message_id), None)
                return True
        letter = Letter(sent, exchange, response, message_id, chain.payloads, True, way.ends, wall)
        self._account(story, letter, chain)
        return True

    def _clear(self, data: bytes, ends: tuple[str, str], ports: bytes, wall: float, line: int) -> bool:
        """As `_plain`, an IKE_SA_INIT message."""
        sent, size = ends[0] == self.address, len(data)
        seen = sent, data
        if not _LEAST <= size <= _SHORT or seen in self._seen or self._reading.psks:
            return False
        spi_i, spi_r, first, version, _, flags, message_id, length = _HEADER(data)
        if version != VERSION_2_0 or length != size:
            return False
        try:
            chain = self._chain(first, data[HEADER_OCTETS:])
        except DecodeError:
            return False
        self._seen[seen] = 0
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        way = self._ways.get((sent, ports)) or self._way(sent, ends, ports)
        self._wall, self._line, self._ends = wall, line, way.sides
        asks, response = flags & FLAG_INITIATOR != 0, flags & FLAG_RESPONSE != 0
        message = Message(spi_i, spi_r, ExchangeType.IKE_SA_INIT, message_id, chain.payloads, asks, response)
        story = self._story(message, sent)
        story.keyed.begin(message, data)
        # It may have changed whose SPIs are whose.
        self._ready.clear()
        key = _INIT, response, chain.names, (), size, 0, ()
        if not self._paper.message(line, wall, way, story, key, message_id):
            self._draw(story, key, message_id, sent)
        letter = Letter(sent, _INIT, response, message_id, chain.payloads, False, way.ends, wall)
        self._account(story, letter, chain)
        return True

    def _draw(self, story: Story, key: Key, message_id: int, sent: bool) -> None:
        exchange, response, payloads, inner, size, _, _ = key
        local, remote = self._ends
        kind = MessageSent if sent else MessageReceived
        event = kind(
            exchange=exchange,
            response=response,
            local=local,
            remote=remote,
            payloads=payloads,
            inner=inner,
            size=size,
        )
        self._paper.add(self._line, self._stamped(event, story, message_id))

    def _account(self, story: Story, letter: Letter, chain: Chain) -> None:
        """As `_counted`, and what came of a request that is answered now."""
        sent, exchange, response, message_id, _, _, _, wall = letter
        ours, followed = sent != response, self._unkeyed.of(story)
        # IKE_SA_INIT is tried again with the group that is wanted.
        self.in_doubt |= chain.bad > (exchange == _INIT)
        key = story.keyed.spi_i, ours, message_id
        if not response:
            story.asked[ours, message_id] = letter
            if message_id > followed.last.get(ours, 0):
                followed.last[ours] = message_id
            first, sends = self._open_requests.get(key, (letter, 0))
            self._open_requests[key] = (first, sends + 1)
            if len(self._open_requests) > REMEMBERED:
                del self._open_requests[next(iter(self._open_requests))]
            if exchange == _INIT:
                self._answered(story, letter)
            elif exchange == _CREATE:
                # Two ends that replace something at once.
                self.in_doubt |= wall - self._asked_at.get(not sent, -_APART) < _APART
                self._asked_at[sent] = wall
            return
        followed.answers.add(ours)
        self._open_requests.pop(key, None)
        request = story.asked.get((ours, message_id))
        if exchange == _AUTH:
            story.answered = wall
        elif exchange == _INFORMATIONAL and (request is None or not request.payloads):
            return
        self._answered(story, letter)

    def _answered(self, story: Story, letter: Letter) -> None:
        if letter.exchange == _CREATE:
            self._succeed(story, letter)
        self._put(self._records(story.after(letter)))
        if story.keyed.keys is not None and story.keyed.keys.sk_d:
            self._key_child(story, letter)

    def _way(self, sent: bool, ends: tuple[str, str], ports: bytes) -> Way:
        here, there = int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")
        way = Way(((ends[0], here), (ends[1], there)), sent=sent)
        self._ways[sent, ports] = way
        return way

    def _repeat(self, sent: bool, octets: bytes) -> int:
        """How often a datagram came before."""
        if len(octets) > _SHORT:
            again = super()._repeat(sent, octets)
            self.in_doubt |= again > 0
            return again
        again = self._seen.pop((sent, octets), -1) + 1
        self.in_doubt |= again > 0
        self._seen[sent, octets] = again
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return again

    def _records(self, tellings: Iterator[Telling]) -> Iterator[Record]:
        """Those that are drawn."""
        for event, story, message_id, inferred in tellings:
            if type(event) in self._wanted:
                if isinstance(event, ChildSaCreated):
                    self._pairs |= {event.inbound: event.outbound, event.outbound: event.inbound}
                yield self._stamped(event, story, message_id, inferred)

    def _open(self, story: Story, message: Message, octets: bytes) -> Opened | None:
        found = super()._open(story, message, octets)
        self.in_doubt |= found is None
        return found

    def _counted(self, story: Story, letter: Letter) -> None:
        super()._counted(story, letter)
        self.in_doubt |= badness(letter.payloads) > (letter.exchange == _INIT)

    def _traffic(self, flow: Flow) -> Iterator[Record]:
        """What a Child SA carried is no line of a ladder."""
        return iter(())


def _datagram(data: bytes, ends: tuple[str, str], ports: bytes, *, ike: bool) -> frames.Datagram:
    here, there = (int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")) if ports else (None, None)
    return frames.Datagram(*ends, here, there, ike, data)
