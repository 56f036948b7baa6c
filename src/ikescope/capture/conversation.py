"""Two ends of a capture and what passes between them, looked at from the side that spoke first."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ikescope.capture import frames, infer
from ikescope.capture.children import Child
from ikescope.capture.flows import EspKeyring, Flow, Flows
from ikescope.capture.keyed import ChildHalf, KeyedSa, Opener, chosen_esp
from ikescope.capture.keyfiles import KeyRing
from ikescope.capture.proof import Proven, Prover
from ikescope.capture.story import Letter, Story, is_ike_rekey, unlocked
from ikescope.capture.telling import Telling
from ikescope.capture.unkeyed import Unkeyed
from ikescope.crypto.envelope import EnvelopeError
from ikescope.errors import DecodeError
from ikescope.events import UNSET, Event, Record, Stamp
from ikescope.events.base import UNKNOWN
from ikescope.events.life import ChildTraffic
from ikescope.events.message import (
    DropTrigger,
    FragmentReceived,
    FragmentSent,
    FragmentsForgotten,
    MessageDropped,
    MessageReceived,
    MessageSent,
    Retransmitting,
)
from ikescope.wire import KePayload, Message, NoncePayload, SaPayload, find, parse_chain
from ikescope.wire.describe import payload_names
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.header import FLAG_RESPONSE, HEADER_OCTETS, NO_SPI
from ikescope.wire.payload import Payload
from ikescope.wire.registry import ExchangeType, PayloadType

#: How many messages of an IKE SA are remembered to know a repetition by, and how many IKE SAs at all.
REMEMBERED = 256
STORIES = 4096
#: How many packets of an ESP SA are tried with the keys at hand, and how often its traffic is told, in seconds.
ESP_TRIES = 4
TRAFFIC_EVERY = 30.0
INIT = ExchangeType.IKE_SA_INIT


class Reading(msgspec.Struct, frozen=True):
    """What a capture is read with: keys, pre-shared keys with the identity each is for, its name, who hears of damage.

    `point` names the place where the capture was taken.
    """

    ring: KeyRing = msgspec.field(default_factory=KeyRing)
    psks: tuple[tuple[str, bytes], ...] = ()
    name: str = ""
    point: str = "capture"
    note: Callable[[str], None] = lambda _: None

    def __repr__(self) -> str:
        return f"<reading of {self.name or 'a capture'}, {self.ring}, {len(self.psks)} pre-shared keys>"


class Opened(msgspec.Struct, frozen=True):
    """What an Encrypted payload held: octets without padding, the type of the first payload in them, the payloads."""

    octets: bytes
    first: int
    payloads: tuple[Payload, ...]


class _Fragments(msgspec.Struct):
    """The fragments of one message: sizes, and what they held, by number."""

    sizes: dict[int, int] = {}
    parts: dict[int, tuple[bytes, int]] = {}
    repeat: int = -1


class Side:
    """One side of a conversation in a capture."""

    story_type = Story

    def __init__(self, address: str, reading: Reading, opener: Opener | None = None) -> None:
        self.address = address
        self.stories: OrderedDict[bytes, Story] = OrderedDict()
        # Conversations of one capture share it: it may hold the keys of thousands of SAs.
        self._reading, self._opener = reading, opener or Opener(reading.ring)
        self._seq = 0
        self._seen: OrderedDict[tuple[bool, bytes], int] = OrderedDict()
        self._fragments: OrderedDict[tuple[object, ...], _Fragments] = OrderedDict()
        self._said: set[bytes] = set()
        self._wall, self._line = 0.0, 0
        self._ends = ("", "")
        self._open_requests: dict[tuple[bytes, bool, int], tuple[Letter, int]] = {}
        self._flows, self._esp_keys = Flows(), EspKeyring(self._opener.esp)
        self._unkeyed = Unkeyed(address, lambda: self.stories.values(), self._flows)
        self._prover = Prover(reading.psks)

    def datagram(self, datagram: frames.Datagram, wall: float, line: int) -> Iterator[Record]:
        """What an IKE datagram tells."""
        sent = datagram.source == self.address
        ends = [f"{datagram.source}:{datagram.source_port}", f"{datagram.destination}:{datagram.destination_port}"]
        self._ends = (ends[0], ends[1]) if sent else (ends[1], ends[0])
        self._wall, self._line = wall, line
        try:
            message = Message.parse(datagram.data)
        except DecodeError as error:
            yield self._record(self._malformed(datagram, error))
            return
        story = self._story(message, sent)
        repeat = self._repeat(sent, datagram.data)
        encrypted = message.encrypted
        if message.exchange == INIT and encrypted is None and not repeat:
            story.keyed.begin(message, datagram.data)
        opened = self._open(story, message, datagram.data) if encrypted is not None else None
        if encrypted is not None and self._first_open(story):
            yield from self._records(unlocked(story, rekey=story.keyed.parent is not None))
        facts = self._facts(message)
        if isinstance(encrypted, EncryptedFragmentPayload):
            held = self._fragment(message, datagram.data, sent, opened)
            yield self._record(self._fragment_event(message, datagram.data, sent, repeat, held), story, message)
            if set(held.sizes) != set(range(1, encrypted.total + 1)):
                return
            opened, facts, repeat = self._whole(message, held)
        else:
            facts |= {"octets": datagram.data, "size": len(datagram.data)}
        yield from self._message(story, message, datagram, sent, repeat, opened, facts)

    def esp(self, datagram: frames.Datagram, wall: float, line: int) -> Iterator[Record]:
        """What an ESP packet tells: what passed a Child SA, when traffic begins and then at most twice a minute."""
        flow = self._flows.add(datagram, wall)
        if flow.opener is None and flow.packets < ESP_TRIES and len(self._reading.ring):
            flow.opener = self._esp_keys.find(flow, datagram.data)
        flow.add(datagram.data, wall)
        if flow.packets > 1 and wall - flow.told_at < TRAFFIC_EVERY:
            return
        flow.told_at, self._wall, self._line = wall, wall, line
        if flow.packets == 1:
            yield from self._records(self._unkeyed.esp(flow, wall))
            yield from self._carried(flow)
        yield from self._traffic(flow)

    def end(self) -> Iterator[Record]:
        """What is left to tell when the capture is over."""
        for flow in self._flows:
            self._wall = max(self._wall, flow.last)
            if flow.packets > 1:
                yield from self._traffic(flow)
            yield self._record(flow.event())
        yield from self._records(self._unkeyed.end(self._wall))
        for proven in self._prover.end():
            self._reading.note(proven.note)
        for story in self.stories.values():
            if self._unkeyed.deaf(story):
                what = f"IKE SA {story.spi_i.upper()}/{story.spi_r.upper()}"
                self._reading.note(f"{what}: no response to one end is in the capture, which holds one direction only")
        for (spi_i, _, _), (letter, sends) in self._open_requests.items():
            found = self.stories.get(spi_i)
            if found is not None and not self._unkeyed.moved_on(found, letter):
                yield from self._records(infer.given_up(found, letter, sends, self._wall - letter.wall))

    def torn(self, torn: frames.Torn) -> Iterator[Record]:
        """A message of which the first IP fragment alone is there."""
        head = torn.data[:HEADER_OCTETS]
        story = self.stories.get(head[:8]) if len(head) == HEADER_OCTETS else None
        if story is None:
            return
        exchange, flags = head[18], head[19]
        why = f"IP fragments are missing: {len(torn.data)} of its {torn.octets} octets came"
        event = FragmentsForgotten(
            exchange=exchange, response=bool(flags & FLAG_RESPONSE), held=torn.pieces, total=UNKNOWN, why=why
        )
        yield self._stamped(event, story, int.from_bytes(head[20:24], "big"))

    def _carried(self, flow: Flow) -> Iterator[Record]:
        """ESP of a Child SA whose keys are at hand, or not: what its IKE SA made of AUTH."""
        for story, child in self._children():
            pair = {child.inbound, child.outbound}
            if flow.spi in pair and pair <= {one.spi for one in self._flows}:
                yield from self._proven(self._prover.carried(story), story)

    def _traffic(self, flow: Flow) -> Iterator[Record]:
        own = flow.destination == self.address
        found = next(
            (one for one in self._children() if flow.spi == (one[1].inbound if own else one[1].outbound)), None
        )
        if found is None:
            return
        story, child = found
        here, there = self.address, flow.source if own else flow.destination
        counts = [self._flows.get(*ends) for ends in ((here, child.inbound), (there, child.outbound))]
        packets = [one.packets if one is not None else 0 for one in counts]
        octets = [0 if one is None else one.inner if one.opener is not None else UNKNOWN for one in counts]
        traffic = ChildTraffic(
            inbound=child.inbound,
            outbound=child.outbound,
            tunnel=UNKNOWN,
            packets_in=packets[0],
            octets_in=octets[0],
            packets_out=packets[1],
            octets_out=octets[1],
        )
        yield self._stamped(traffic, story, UNSET)

    def _children(self) -> Iterator[tuple[Story, Child]]:
        return ((story, child) for story in self.stories.values() for child in story.children.values())

    # --- one message

    def _message(
        self,
        story: Story,
        message: Message,
        datagram: frames.Datagram,
        sent: bool,
        repeat: int,
        opened: Opened | None,
        facts: dict[str, Any],
    ) -> Iterator[Record]:
        sealed = message.encrypted is not None
        letter = Letter(
            sent,
            int(message.exchange),
            message.response,
            message.message_id,
            opened.payloads if opened is not None else message.payloads if not sealed else (),
            opened is not None,
            (
                (datagram.source, datagram.source_port or 0),
                (datagram.destination, datagram.destination_port or 0),
            ),
            self._wall,
        )
        known = not repeat and (opened is not None or not sealed)
        if opened is not None:
            told = payload_names(opened.payloads)
            facts |= {"inner": told, "opened": opened.octets, "opened_first": opened.first}
        elif not sealed:
            facts |= {"inner": ()}
        closed = sealed and opened is None and not repeat and "fragments" not in facts
        if known:
            yield from self._records(story.before(letter))
        elif closed:
            yield from self._records(self._unkeyed.before(story, letter, len(datagram.data)))
        if repeat and sent and not message.response:
            again = Retransmitting(exchange=int(message.exchange), attempt=repeat, limit=UNKNOWN, wait=UNKNOWN)
            yield self._record(again, story, message)
        kind = MessageSent if sent else MessageReceived
        yield self._record(kind(payloads=payload_names(message.payloads), repeat=repeat, **facts), story, message)
        self._counted(story, letter)
        if closed:
            yield from self._records(self._unkeyed.after(story, letter, len(datagram.data)))
        if known:
            if letter.exchange == ExchangeType.CREATE_CHILD_SA and letter.response:
                self._succeed(story, letter)
            yield from self._proven(self._prover.hear(story, letter), story)
            yield from self._records(story.after(letter))
            self._key_child(story, letter)

    def _counted(self, story: Story, letter: Letter) -> None:
        """How often a request went out, until it is answered; when IKE_AUTH was."""
        key = story.keyed.spi_i, letter.ours, letter.message_id
        self._unkeyed.counted(story, letter)
        if letter.response:
            self._open_requests.pop(key, None)
            if letter.exchange == ExchangeType.IKE_AUTH:
                story.answered = letter.wall
            return
        first, sends = self._open_requests.get(key, (letter, 0))
        self._open_requests[key] = (first, sends + 1)
        while len(self._open_requests) > REMEMBERED:
            del self._open_requests[next(iter(self._open_requests))]

    def _facts(self, message: Message) -> dict[str, Any]:
        local, remote = self._ends
        return {
            "exchange": int(message.exchange),
            "response": message.response,
            "local": local,
            "remote": remote,
        }

    def _malformed(self, datagram: frames.Datagram, error: DecodeError) -> Event:
        local, remote = self._ends
        size = len(datagram.data)
        return MessageDropped(trigger=DropTrigger.MALFORMED, local=local, remote=remote, size=size, found=str(error))

    def _repeat(self, sent: bool, octets: bytes) -> int:
        """How often a datagram came before."""
        key = sent, hashlib.blake2b(octets, digest_size=16).digest()
        again = self._seen.pop(key, -1) + 1
        self._seen[key] = again
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return again

    # --- fragments

    def _fragment(self, message: Message, octets: bytes, sent: bool, opened: Opened | None) -> _Fragments:
        fragment = message.encrypted
        assert isinstance(fragment, EncryptedFragmentPayload)
        key = sent, message.spi_i, message.spi_r, message.response, message.message_id, fragment.total
        held = self._fragments.setdefault(key, _Fragments(sizes={}, parts={}))
        if len(held.sizes) == fragment.total:
            # All were there: this one begins a repetition.
            held.sizes, held.parts = {}, {}
        held.sizes[fragment.number] = len(octets)
        if opened is not None:
            held.parts[fragment.number] = (opened.octets, opened.first)
        while len(self._fragments) > REMEMBERED:
            self._fragments.popitem(last=False)
        return held

    def _fragment_event(self, message: Message, octets: bytes, sent: bool, repeat: int, held: _Fragments) -> Event:
        fragment = message.encrypted
        assert isinstance(fragment, EncryptedFragmentPayload)
        facts = self._facts(message) | {"number": fragment.number, "total": fragment.total, "size": len(octets)}
        if sent:
            return FragmentSent(**facts, octets=octets, repeat=repeat)
        return FragmentReceived(**facts, octets=octets, held=len(held.sizes), repeat=repeat)

    def _whole(self, message: Message, held: _Fragments) -> tuple[Opened | None, dict[str, Any], int]:
        numbers = sorted(held.sizes)
        sizes = tuple(held.sizes[number] for number in numbers)
        facts = self._facts(message) | {"fragments": sizes, "size": sum(sizes)}
        held.repeat += 1
        if set(held.parts) != set(numbers):
            return None, facts, held.repeat
        first = held.parts[1][1]
        return _opened(b"".join(held.parts[number][0] for number in numbers), first), facts, held.repeat

    # --- IKE SAs

    def _story(self, message: Message, sent: bool) -> Story:
        """The IKE SA of a message, made where it is new."""
        story = self.stories.get(message.spi_i)
        if story is None:
            keyed = KeyedSa(message.spi_i, message.spi_r)
            story = self.story_type(keyed, message.initiator == sent, self._wall)
            self.stories[message.spi_i] = story
            while len(self.stories) > STORIES:
                self.stories.popitem(last=False)
        keyed = story.keyed
        if message.spi_r != NO_SPI and (message.encrypted is not None or find(message.payloads, SaPayload) is not None):
            keyed.spi_r = message.spi_r
        return story

    def _first_open(self, story: Story) -> bool:
        """Whether the keys of an IKE SA were found right now."""
        if story.keyed.keys is None or story.keyed.spi_i in self._said:
            return False
        self._said.add(story.keyed.spi_i)
        return True

    def _open(self, story: Story, message: Message, octets: bytes) -> Opened | None:
        keyed = story.keyed
        if keyed.keys is None and len(self._reading.ring):
            complaint = self._opener.unlock(keyed, octets, message)
            if complaint and keyed.spi_i not in self._said:
                self._said.add(keyed.spi_i)
                self._reading.note(f"{self._about(message)} stays closed: {complaint}")
        if keyed.keys is None:
            return None
        encrypted = message.encrypted
        assert encrypted is not None
        try:
            fragment = isinstance(encrypted, EncryptedFragmentPayload)
            place = HEADER_OCTETS if len(message.payloads) == 1 else message.sk_offset
            assert place is not None
            plain = keyed.open_at(octets, place, fragment=fragment)
            if fragment:
                return Opened(plain, int(encrypted.first_payload), ())
            return _opened(plain, int(encrypted.first_payload))
        except (EnvelopeError, DecodeError) as error:
            self._reading.note(f"{self._about(message)} does not open: {error}")
            return None

    def _about(self, message: Message) -> str:
        kind = "response" if message.response else "request"
        sa = f"IKE SA {message.spi_i.hex().upper()}/{message.spi_r.hex().upper()}"
        return f"packet {self._line}: {message.exchange.label} {kind} {message.message_id} of {sa}"

    def _succeed(self, story: Story, letter: Letter) -> None:
        """The IKE SA that a rekey makes, with what its keys are derived from."""
        request = story.request_of(letter)
        if request is None or not request.sealed or not is_ike_rekey(request):
            return
        offer, chosen = find(request.payloads, SaPayload), find(letter.payloads, SaPayload)
        if offer is None or chosen is None or not chosen.proposals:
            return
        theirs = next((one.spi for one in offer.proposals if one.number == chosen.proposals[0].number), b"")
        spis = theirs, chosen.proposals[0].spi
        if any(len(spi) != len(NO_SPI) for spi in spis):
            return
        keyed = KeyedSa(*spis, parent=story.keyed)
        keyed.ask(request.payloads)
        keyed.agree(letter.payloads)
        known = self.stories.get(spis[0])
        story.successor = known or self.story_type(keyed, letter.ours, self._wall)
        self.stories[spis[0]] = story.successor

    def _proven(self, found: Iterator[Proven], story: Story) -> Iterator[Record]:
        """What the pre-shared keys at hand say of an AUTH value, at the end that has to verify it."""
        for one in found:
            if one.note:
                self._reading.note(f"packet {self._line}: {one.note}")
            for event in one.events:
                record = self._stamped(event, story, one.message_id)
                # The responder verifies what the initiator sent, and the other way round.
                yield record if one.by_responder == story.initiator else self._across(record)

    def _across(self, record: Record) -> Record:
        """What the other end would tell."""
        stamp, here = record.stamp, self._ends
        router = here[1].rpartition(":")[0]
        initiator = not stamp.initiator if isinstance(stamp.initiator, bool) else UNSET
        other = msgspec.structs.replace(stamp, router=router, local=here[1], peer=here[0], initiator=initiator)
        return Record(other, record.event)

    def _key_child(self, story: Story, letter: Letter) -> None:
        """The keys of a Child SA that was made right now, where SK_d is known."""
        if not letter.response or letter.exchange == ExchangeType.INFORMATIONAL:
            return
        request, chosen = story.request_of(letter), find(letter.payloads, SaPayload)
        offer = find(request.payloads, SaPayload) if request is not None else None
        if request is None or offer is None or chosen is None or not chosen.proposals:
            return
        proposal = chosen.proposals[0]
        suite = chosen_esp(proposal)
        spi = next((one.spi for one in offer.proposals if one.number == proposal.number), b"")
        halves = _half(request, spi), _half(letter, proposal.spi)
        keys = self._opener.child(story.keyed, suite, *halves) if suite is not None else None
        if keys is None or suite is None:
            return
        (asks, _), (answers, _) = request.ends
        # Who asked encrypts with the first keys and sends to the SPI that the answer chose (RFC 7296 section 2.17).
        self._esp_keys.derived(answers, halves[1].spi, suite, keys.encr_i, keys.integ_i)
        self._esp_keys.derived(asks, halves[0].spi, suite, keys.encr_r, keys.integ_r)

    # --- records

    def _records(self, tellings: Iterator[Telling]) -> Iterator[Record]:
        for event, story, message_id, inferred in tellings:
            yield self._stamped(event, story, message_id, inferred)

    def _record(self, event: Event, story: Story | None = None, message: Message | None = None) -> Record:
        return self._stamped(event, story, message.message_id if message is not None else UNSET)

    def _stamped(self, event: Event, story: Story | None, message_id: Any, inferred: str = "") -> Record:
        self._seq += 1
        local, peer = self._ends
        stamp = Stamp(
            seq=self._seq,
            mono=self._wall,
            wall=self._wall,
            router=self.address,
            local=local,
            peer=peer,
            spi_i=story.spi_i if story is not None else UNSET,
            spi_r=story.spi_r if story is not None else UNSET,
            message_id=message_id,
            initiator=story.initiator if story is not None else UNSET,
            source=self._reading.name or UNSET,
            line=self._line or UNSET,
            point=self._reading.point or UNSET,
            inferred=inferred or UNSET,
        )
        return Record(stamp, event)


def _half(letter: Letter, spi: bytes) -> ChildHalf:
    nonce = find(letter.payloads, NoncePayload)
    return ChildHalf(spi.hex(), nonce.data if nonce is not None else b"", find(letter.payloads, KePayload))


def _opened(plain: bytes, first: int) -> Opened:
    """What the opened octets hold; DecodeError where that is no chain of payloads."""
    return Opened(plain, first, parse_chain(PayloadType.of(first), plain, inside=True))
