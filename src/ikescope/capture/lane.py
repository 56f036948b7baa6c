"""One conversation of a capture for its ladder alone: what draws no line of it is not told, and hardly looked at.

A message that opens, is well formed and comes for the first time goes the short way; any other, and the first ones of
an IKE SA, go the way of `Side`, which knows the same IKE SAs. So the lines are those of all records.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from ikescope.capture import brief, frames
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
from ikescope.wire import Message, NotifyPayload, parse_chain
from ikescope.wire.describe import payload_name, payload_names
from ikescope.wire.header import FLAG_RESPONSE, HEADER_OCTETS, VERSION_2_0
from ikescope.wire.message import MAX_PAYLOADS, PARSERS
from ikescope.wire.payload import GENERIC_OCTETS, Payload
from ikescope.wire.registry import ExchangeType, NotifyType, PayloadType

_CREATE, _INFORMATIONAL = int(ExchangeType.CREATE_CHILD_SA), int(ExchangeType.INFORMATIONAL)
_SEALED_V2 = bytes((PayloadType.SK, VERSION_2_0))
_INIT = int(ExchangeType.IKE_SA_INIT)
_APART = 60.0
"""Seconds between requests for new SAs of both ends, from which on they do not cross."""
_SHORT = 512
"""Octets of a message up to which it is remembered itself, to know its repetition by."""
_SEALED = ("ENCR",)
_NOTHING: tuple[tuple[Payload, ...], tuple[str, ...]] = ((), ())
_GENERIC = struct.Struct("!BBH").unpack_from
_SMALL, _KNOWN = 64, 8192
"""Octets of a payload that is kept, and how many."""


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

    def message(self, number: int, wall: float, way: Way, spi_i: str, key: tuple[object, ...], message_id: int) -> bool:
        """Draw a message of an IKE SA of which some are drawn; False where none like it was, but for its message ID.

        `key`: exchange, whether a response, names of the payloads, of those inside, octets, repeats, fragments.
        """


class Chains:
    """Chains of payloads parsed, a body that was seen before by looking it up; and what the key files hold."""

    def __init__(self, reading: Reading) -> None:
        ring = reading.ring
        self.esp_keys = bool(ring.esp or ring.dh or any(one.sk_d for one in ring.ike))
        self._known: dict[tuple[int, bytes], tuple[Payload, str]] = {}

    def parse(self, first: int, data: bytes) -> tuple[tuple[Payload, ...], tuple[str, ...]]:
        """The payloads of opened octets and their names; DecodeError where they are no chain."""
        kind, offset, end = first, 0, len(data)
        payloads: list[Payload] = []
        names: list[str] = []
        known = self._known
        while kind and end - offset >= GENERIC_OCTETS:
            following, flags, length = _GENERIC(data, offset)
            stop = offset + length
            if flags or length < GENERIC_OCTETS or stop > end:
                break
            key = kind, data[offset + GENERIC_OCTETS : stop]
            found = known.get(key)
            if found is None:
                parser = PARSERS.get(kind)
                if parser is None:
                    break
                payload = parser(key[1], offset + GENERIC_OCTETS)
                found = payload, payload_name(payload)
                if length <= _SMALL and len(known) < _KNOWN:
                    known[key] = found
            payloads.append(found[0])
            names.append(found[1])
            kind, offset = following, stop
        if kind or offset != end or len(payloads) > MAX_PAYLOADS:
            whole = parse_chain(PayloadType.of(first), data, inside=True)
            return whole, payload_names(whole)
        return tuple(payloads), tuple(names)


class Lane(Side):
    """One conversation that is drawn, from the side that spoke first.

    `in_doubt` is whether anything in it is such that an error finding could stand there: a failure, an error notify, a
    datagram that came again or stays closed or is never answered, rekeys that cross, a Child SA that one end uses.
    """

    story_type = brief.BriefStory

    def __init__(self, address: str, reading: Reading, opener: Opener, paper: Paper, chains: Chains) -> None:
        super().__init__(address, reading, opener)
        self._paper, self._wanted = paper, paper.wanted
        self._chain, self._tries = chains.parse, ESP_TRIES if chains.esp_keys else 1
        self._short = not reading.psks
        self.in_doubt = False
        self._pairs: dict[str, str] = {}
        self._asked_at: dict[bool, float] = {}
        self._ways: dict[tuple[bool, bytes], Way] = {}
        self._carrying: dict[tuple[bool, bytes], Flow] = {}

    def ike(self, data: bytes, ends: tuple[str, str], ports: bytes, wall: float, line: int) -> None:
        """Draw an IKE message; `ends` source and destination, `ports` the four octets that the UDP header has."""
        story = self.stories.get(data[:8])
        if story is None or not self._plain(story, data, ends, ports, wall, line):
            here, there = int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")
            self.take(frames.Datagram(*ends, here, there, True, data), wall, line)

    def take(self, datagram: frames.Datagram, wall: float, line: int) -> None:
        """Draw any datagram the long way."""
        tell = self.datagram if datagram.ike else self.esp
        self._put(tell(datagram, wall, line))

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
            here, there = (
                (int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")) if ports else (None, None)
            )
            self.take(frames.Datagram(*ends, here, there, False, data), wall, line)
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

    def _plain(self, story: Story, data: bytes, ends: tuple[str, str], ports: bytes, wall: float, line: int) -> bool:
        """Draw a message that is as it should be; False, and nothing done, where it is another."""
        keyed, sent = story.keyed, ends[0] == self.address
        seen = sent, data
        if (
            data[16:18] != _SEALED_V2
            or keyed.keys is None
            or keyed.spi_i not in self._said
            or data[8:16] != keyed.spi_r
            or len(data) > _SHORT
            or seen in self._seen
            or not self._short
        ):
            return False
        try:
            plain = keyed.open_at(data, HEADER_OCTETS)
            payloads, inner = self._chain(data[28], plain) if plain or data[28] else _NOTHING
        except (EnvelopeError, DecodeError):
            return False
        self._seen[seen] = 0
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        way = self._ways.get((sent, ports)) or self._way(sent, ends, ports)
        self._wall, self._line, self._ends = wall, line, way.sides
        response, message_id = bool(data[19] & FLAG_RESPONSE), int.from_bytes(data[20:24], "big")
        letter = Letter(sent, data[18], response, message_id, payloads, True, way.ends, wall)
        if not response:
            story.asked[sent, message_id] = letter
        self._draw(story, letter, inner, way, line, len(data))
        self._counted(story, letter)
        if response:
            self._answered(story, letter)
        elif letter.exchange == _CREATE:
            # Two ends that replace something at once.
            self.in_doubt |= wall - self._asked_at.get(not sent, -_APART) < _APART
            self._asked_at[sent] = wall
        return True

    def _draw(self, story: Story, letter: Letter, inner: tuple[str, ...], way: Way, line: int, size: int) -> None:
        key = letter.exchange, letter.response, _SEALED, inner, size, 0, ()
        if self._paper.message(line, letter.wall, way, story.spi_i, key, letter.message_id):
            return
        kind = MessageSent if letter.sent else MessageReceived
        event = kind(
            exchange=letter.exchange,
            response=letter.response,
            local=way.sides[0],
            remote=way.sides[1],
            payloads=_SEALED,
            inner=inner,
            size=size,
        )
        self._paper.add(line, self._stamped(event, story, letter.message_id))

    def _answered(self, story: Story, letter: Letter) -> None:
        """What came of a request that is answered now."""
        request = story.request_of(letter)
        if letter.exchange == _INFORMATIONAL:
            if request is None or not request.payloads:
                return
        elif letter.exchange == _CREATE:
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
        for payload in letter.payloads:
            if isinstance(payload, NotifyPayload) and payload.notify_type.is_error:
                self.in_doubt |= letter.exchange != _INIT or payload.notify_type != NotifyType.INVALID_KE_PAYLOAD

    def _traffic(self, flow: Flow) -> Iterator[Record]:
        """What a Child SA carried is no line of a ladder."""
        return iter(())
