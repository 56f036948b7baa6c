"""Records <-> captures: a recording's messages as packets, a capture's messages as records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ikescope.capture import frames, pcapng, reader
from ikescope.capture.conversation import Reading, Side
from ikescope.capture.keyed import Opener
from ikescope.events import Record
from ikescope.events.message import FragmentReceived, FragmentSent, MessageReceived, MessageSent
from ikescope.wire.registry import ExchangeType

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
        return _part(event)
    again = f", sent again ({event.repeat})" if event.repeat else ""
    if isinstance(event, FragmentSent):
        return f"{_part(event)}{again}"
    inner = f" {{{' '.join(event.inner)}}}" if isinstance(event.inner, tuple) else ""
    payloads = " ".join(event.payloads) if isinstance(event.payloads, tuple) else ""
    return f"{payloads}{inner}{again}"


def _part(event: FragmentSent | FragmentReceived) -> str:
    number = f" {event.number}" if isinstance(event.number, int) else ""
    return f"fragment{number} of {event.total}" if isinstance(event.total, int) else f"fragment{number}"


def to_records(data: bytes, reading: Reading | None = None) -> Iterator[Record]:
    """The records that a capture's messages allow, as the side sees them that spoke first; its name is its address.

    What is in the Encrypted payload stays UNSET unless the keys are among those that it is read with. Octets that are
    no IKEv2 message become MessageDropped. Raises LocalError where the octets are no capture.
    """
    return told(reader.packets(data), reading or Reading())


def told(
    packets: Iterable[reader.Packet], reading: Reading, mine: Callable[[str, str], bool] | None = None
) -> Iterator[Record]:
    """The records of packets, one after the other; see `to_records`. With `mine`, those of the conversations between
    addresses that it says yes to; it is asked for each packet, and damage is told as if all were ours.
    """
    opener = Opener(reading.ring)
    sides: dict[frozenset[str], Side] = {}
    unframer, cut = frames.Unframer(), 0
    for number, packet in enumerate(packets, start=1):
        datagram = unframer.unframe(packet.link, packet.data)
        if datagram is None:
            cut += packet.missing > 0
            continue
        if mine is not None and not mine(datagram.source, datagram.destination):
            continue
        pair = frozenset((datagram.source, datagram.destination))
        side = sides.get(pair)
        if side is None:
            side = sides[pair] = Side(datagram.source, reading, opener)
        tell = side.datagram if datagram.ike else side.esp
        yield from tell(datagram, packet.nanoseconds / 1e9, number)
    for torn in unframer.torn():
        side = sides.get(frozenset((torn.source, torn.destination)))
        if side is not None:
            yield from side.torn(torn)
    for side in sides.values():
        yield from side.end()
    if cut:
        reading.note(f"{cut} packets were not captured whole (snap length); they are left out")
    if unframer.waiting or unframer.lost:
        reading.note(f"{unframer.waiting + unframer.lost} IP packets lack fragments; they are left out")
