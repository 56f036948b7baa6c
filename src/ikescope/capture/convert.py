"""Records <-> captures: a recording's messages as packets, a capture's messages as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ikescope.capture import frames, pcapng, reader
from ikescope.errors import DecodeError
from ikescope.events import UNSET, Event, ProposalFact, Record, Stamp, TransformFact
from ikescope.events.message import (
    CookieAnswered,
    DropTrigger,
    FragmentReceived,
    FragmentSent,
    InvalidKeAnswered,
    MessageDropped,
    MessageReceived,
    MessageSent,
    ResponseRefused,
)
from ikescope.events.negotiation import KeyExchangeComputed, ProposalChosen, ProposalSent
from ikescope.wire import KePayload, Message, SaPayload
from ikescope.wire.describe import payload_names
from ikescope.wire.encrypted import EncryptedFragmentPayload
from ikescope.wire.registry import ExchangeType, NotifyType

INIT = ExchangeType.IKE_SA_INIT
DATAGRAMS = (MessageSent, MessageReceived, FragmentSent, FragmentReceived)


def from_records(records: Iterable[Record], *, ethernet: bool = False) -> bytes:
    """A pcapng file of the messages whose octets the records hold: an interface a router, nanosecond stamps.

    Each packet's comment names exchange, message ID and payloads, those inside the Encrypted payload too.
    """
    blocks = [pcapng.section()]
    numbers: dict[str, int] = {}
    for record in records:
        event = record.event
        if not isinstance(event, DATAGRAMS) or not isinstance(event.octets, bytes):
            continue
        if not isinstance(event.local, str) or not isinstance(event.remote, str):
            # A packet without addresses is none.
            continue
        router = record.stamp.router
        if router not in numbers:
            numbers[router] = len(numbers)
            link = pcapng.LINK_ETHERNET if ethernet else pcapng.LINK_RAW
            blocks.append(pcapng.interface(router, link, description=f"UDP of {router} as recorded"))
        ends = [_end(event.local), _end(event.remote)]
        (source, source_port), (there, port) = ends if isinstance(event, MessageSent | FragmentSent) else reversed(ends)
        packet = frames.ike_packet(source, source_port, there, port, event.octets)
        packet = frames.ethernet_frame(packet) if ethernet else packet
        blocks.append(
            pcapng.packet(numbers[router], int(record.stamp.wall * 1e9), packet, comment=_comment(record, event))
        )
    return b"".join(blocks)


def comments(records: Iterable[Record]) -> dict[bytes, str]:
    """What each IKE message whose octets the records hold is, in a line, by its octets."""
    found: dict[bytes, str] = {}
    for record in records:
        if isinstance(record.event, DATAGRAMS) and isinstance(record.event.octets, bytes):
            found.setdefault(record.event.octets, _comment(record, record.event))
    return found


def _end(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _comment(record: Record, event: MessageSent | MessageReceived | FragmentSent | FragmentReceived) -> str:
    number = f" {record.stamp.message_id}" if isinstance(record.stamp.message_id, int) else ""
    kind = {True: " response", False: " request"}.get(event.response, "")
    name = ExchangeType.of(event.exchange).label if isinstance(event.exchange, int) else "message"
    return f"{name}{kind}{number}: {_contents(event)}"


def _contents(event: MessageSent | MessageReceived | FragmentSent | FragmentReceived) -> str:
    if isinstance(event, FragmentReceived):
        return f"fragment {event.number} of {event.total}"
    again = f", sent again ({event.repeat})" if event.repeat else ""
    if isinstance(event, FragmentSent):
        return f"fragment {event.number} of {event.total}{again}"
    inner = f" {{{' '.join(event.inner)}}}" if isinstance(event.inner, tuple) else ""
    payloads = " ".join(event.payloads) if isinstance(event.payloads, tuple) else ""
    return f"{payloads}{inner}{again}"


def to_records(data: bytes) -> Iterator[Record]:
    """The records that a capture's IKE messages allow, as the side sees them that spoke first; its name is its address.

    What is in the Encrypted payload stays UNSET. Octets that are no IKEv2 message become MessageDropped.
    Raises LocalError where the octets are no capture.
    """
    sides: dict[frozenset[str], _Side] = {}
    for packet in reader.packets(data):
        datagram = frames.unframe(packet.link, packet.data)
        if datagram is None or not datagram.ike:
            continue
        pair = frozenset((datagram.source, datagram.destination))
        side = sides.setdefault(pair, _Side(datagram.source))
        yield from side.records(datagram, packet.nanoseconds / 1e9)


#: A fragmented message: whether its side sent it, SPI, whether it is a response, message ID, number of fragments.
_Fragmented = tuple[bool, bytes, bool, int, int]


class _Side:
    """One side of a conversation in a capture."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._seq = 0
        self._seen: dict[tuple[bool, bytes], int] = {}
        self._fragments: dict[_Fragmented, dict[int, int]] = {}
        self._whole: dict[_Fragmented, int] = {}
        self._offers: dict[bytes, tuple[tuple[ProposalFact, ...], int]] = {}

    def records(self, datagram: frames.Datagram, wall: float) -> Iterator[Record]:
        """What one datagram tells."""
        sent = datagram.source == self.address
        ends = [f"{datagram.source}:{datagram.source_port}", f"{datagram.destination}:{datagram.destination_port}"]
        local, remote = ends if sent else reversed(ends)
        facts: dict[str, Any] = {"local": local, "peer": remote}
        try:
            message = Message.parse(datagram.data)
        except DecodeError as error:
            size = len(datagram.data)
            dropped = MessageDropped(
                trigger=DropTrigger.MALFORMED, local=local, remote=remote, size=size, found=str(error)
            )
            yield self._record(wall, facts, dropped)
            return
        facts |= {
            "spi_i": message.spi_i.hex(),
            "spi_r": message.spi_r.hex(),
            "message_id": message.message_id,
            "initiator": message.initiator == sent,
        }
        before, after = self._facts_of(message) if not message.encrypted else ([], [])
        for event in before if sent else []:
            yield self._record(wall, facts, event)
        for event in self._datagrams(message, datagram.data, sent, local, remote):
            yield self._record(wall, facts, event)
        for event in after if not sent else []:
            yield self._record(wall, facts, event)

    def _record(self, wall: float, facts: dict[str, Any], event: Event) -> Record:
        self._seq += 1
        return Record(Stamp(seq=self._seq, mono=wall, wall=wall, router=self.address, **facts), event)

    def _datagrams(self, message: Message, octets: bytes, sent: bool, local: str, remote: str) -> Iterator[Event]:
        """A whole message, or a fragment and, where it is the last that was missing, its message."""
        fragment = message.encrypted
        if not isinstance(fragment, EncryptedFragmentPayload):
            yield self._datagram(message, octets, sent, local, remote)
            return
        facts: dict[str, Any] = {
            "exchange": message.exchange,
            "response": message.response,
            "local": local,
            "remote": remote,
        }
        key = sent, message.spi_i, message.response, message.message_id, fragment.total
        sizes = self._fragments.setdefault(key, {})
        sizes[fragment.number] = len(octets)
        told = facts | {"number": fragment.number, "total": fragment.total, "size": len(octets), "octets": octets}
        yield FragmentSent(**told) if sent else FragmentReceived(**told, held=len(sizes))
        if len(sizes) == fragment.total:
            del self._fragments[key]
            repeat = self._whole[key] = self._whole.get(key, -1) + 1
            parts = tuple(sizes[number] for number in sorted(sizes))
            kind = MessageSent if sent else MessageReceived
            yield kind(**facts, payloads=("ENCR",), size=sum(parts), fragments=parts, repeat=repeat)

    def _datagram(self, message: Message, octets: bytes, sent: bool, local: str, remote: str) -> Event:
        kind = MessageSent if sent else MessageReceived
        repeat = self._seen.get((sent, octets), -1) + 1
        self._seen[sent, octets] = repeat
        return kind(
            exchange=message.exchange,
            response=message.response,
            local=local,
            remote=remote,
            payloads=payload_names(message.payloads),
            size=len(octets),
            inner=UNSET if message.encrypted else (),
            octets=octets,
            repeat=repeat,
        )

    def _facts_of(self, message: Message) -> tuple[list[Event], list[Event]]:
        """Events of a message in the clear: before it if this side sent it, after it if it received it."""
        offer, key = message.find(SaPayload), message.find(KePayload)
        proposals = proposal_facts(offer) if offer is not None else ()
        if not message.response:
            self._offers[message.spi_i] = proposals, int(key.group) if key is not None else 0
            before: list[Event] = []
            if key is not None:
                before.append(KeyExchangeComputed(part="public", group=key.group, octets=len(key.data)))
            if proposals:
                before.append(ProposalSent(protocol=1, response=False, initial=True, proposals=proposals))
            return before, []
        offered, group = self._offers.get(message.spi_i, ((), 0))
        if proposals and offered:
            return [], [ProposalChosen(protocol=1, by="peer", offered=offered, chosen=proposals[0])]
        return [], [
            _answer(message, notify.notify_type, notify.data, group)
            for notify in message.notifies()
            if (notify.notify_type.is_error or notify.notify_type == NotifyType.COOKIE)
        ]


def _answer(message: Message, notify: NotifyType, data: bytes, group: int) -> Event:
    if notify == NotifyType.INVALID_KE_PAYLOAD and len(data) == 2:
        return InvalidKeAnswered(exchange=message.exchange, offered=group, wanted=int.from_bytes(data, "big"))
    if notify == NotifyType.COOKIE:
        return CookieAnswered(octets=len(data))
    return ResponseRefused(exchange=message.exchange, notify=notify)


def proposal_facts(payload: SaPayload) -> tuple[ProposalFact, ...]:
    """The proposals of an SA payload as facts."""
    return tuple(
        ProposalFact(
            one.number,
            one.protocol,
            one.spi.hex(),
            tuple(TransformFact(each.type, each.id, each.key_length) for each in one.transforms),
        )
        for one in payload.proposals
    )
