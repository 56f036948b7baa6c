"""The IKE messages of a capture, opened where the keys are known, and nothing told of them: what message trees need."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from ikescope.capture import frames, reader
from ikescope.capture.conversation import REMEMBERED, STORIES, Reading
from ikescope.capture.keyed import KeyedSa, Opener
from ikescope.crypto.envelope import EnvelopeError
from ikescope.errors import DecodeError
from ikescope.wire import Message, SaPayload, find, parse_chain
from ikescope.wire.header import FLAG_RESPONSE, HEADER_OCTETS, NO_SPI
from ikescope.wire.payload import GENERIC_OCTETS, Payload
from ikescope.wire.registry import ExchangeType, PayloadType

Key = TypeVar("Key")
Value = TypeVar("Value")
_SK, _SKF = int(PayloadType.SK), int(PayloadType.SKF)
_INIT, _CREATE = int(ExchangeType.IKE_SA_INIT), int(ExchangeType.CREATE_CHILD_SA)


class Seen(NamedTuple):
    """One IKE message: number of its packet, seconds since 1970, ends as address:port, octets, what was inside.

    `opened` is None where it has no Encrypted payload or that stays closed, `first` the type of the first payload in
    it. A message of fragments comes after the last of them, without octets, with the sizes of all.
    """

    packet: int
    wall: float
    source: str
    destination: str
    octets: bytes
    opened: bytes | None = None
    first: int = 0
    fragments: tuple[int, ...] = ()


def messages(packets: Iterable[reader.Packet], reading: Reading) -> Iterator[Seen]:
    """Every IKE message of a capture in its order."""
    pairs: dict[frozenset[str], _Pair] = {}
    opener = Opener(reading.ring)
    unframer = frames.Unframer()
    for number, packet in enumerate(packets, start=1):
        datagram = unframer.unframe(packet.link, packet.data)
        if datagram is None or not datagram.ike:
            continue
        key = frozenset((datagram.source, datagram.destination))
        pair = pairs.get(key)
        if pair is None:
            pair = pairs[key] = _Pair(reading, opener)
        yield from pair.take(datagram, packet.nanoseconds / 1e9, number)


class _Pair:
    """The IKE SAs between two addresses."""

    def __init__(self, reading: Reading, opener: Opener) -> None:
        self._reading, self._opener = reading, opener
        self._sas: OrderedDict[bytes, KeyedSa] = OrderedDict()
        self._begun: OrderedDict[tuple[bytes, bool], bytes] = OrderedDict()
        self._asked: OrderedDict[tuple[bytes, str, bytes], tuple[Payload, ...]] = OrderedDict()
        self._parts: OrderedDict[tuple[object, ...], dict[int, tuple[int, bytes | None, int]]] = OrderedDict()
        self._said: set[bytes] = set()

    def take(self, datagram: frames.Datagram, wall: float, packet: int) -> Iterator[Seen]:
        """A message, and the whole one where it is the last fragment."""
        data = datagram.data
        source = f"{datagram.source}:{datagram.source_port}"
        destination = f"{datagram.destination}:{datagram.destination_port}"
        place = _sealed_at(data)
        if place is None:
            if len(data) >= HEADER_OCTETS and data[18] == _INIT:
                # Looked into when the keys are asked for.
                _keep(self._begun, (data[:8], bool(data[19] & FLAG_RESPONSE)), data, STORIES)
            yield Seen(packet, wall, source, destination, data)
            return
        keyed = self._sa(data)
        opened, first = self._open(keyed, data, place, packet), data[place]
        if _kind(data, place) == _SKF:
            yield Seen(packet, wall, source, destination, data)
            whole = self._part(data, place, source, opened)
            if whole is None:
                return
            sizes, opened, first = whole
            data, kept = b"", data
        else:
            sizes, kept = (), data
        yield Seen(packet, wall, source, destination, data, opened, first if opened is not None else 0, sizes)
        if opened is not None and kept[18] == _CREATE:
            asker = destination if kept[19] & FLAG_RESPONSE else source
            self._succeed(keyed, kept, asker, opened, first)

    def _sa(self, data: bytes) -> KeyedSa:
        keyed = self._sas.get(data[:8])
        if keyed is None:
            keyed = KeyedSa(data[:8], data[8:16])
            _keep(self._sas, data[:8], keyed, STORIES)
        if data[8:16] != NO_SPI:
            keyed.spi_r = data[8:16]
        return keyed

    def _open(self, keyed: KeyedSa, data: bytes, place: int, packet: int) -> bytes | None:
        fragment = _kind(data, place) == _SKF
        try:
            if keyed.keys is None and not self._unlock(keyed, data, packet):
                return None
            return keyed.open_at(data, place, fragment=fragment)
        except (EnvelopeError, DecodeError) as error:
            self._reading.note(f"{_about(data, packet)} does not open: {error}")
            return None

    def _unlock(self, keyed: KeyedSa, data: bytes, packet: int) -> bool:
        if not len(self._reading.ring):
            return False
        for response in (False, True):
            begun = self._begun.pop((keyed.spi_i, response), None)
            if begun is not None:
                keyed.begin(Message.parse(begun), begun)
        complaint = self._opener.unlock(keyed, data, Message.parse(data))
        if complaint and keyed.spi_i not in self._said:
            self._said.add(keyed.spi_i)
            self._reading.note(f"{_about(data, packet)} stays closed: {complaint}")
        return keyed.keys is not None

    def _part(
        self, data: bytes, place: int, source: str, opened: bytes | None
    ) -> tuple[tuple[int, ...], bytes | None, int] | None:
        """A fragment; once all are there their sizes, what they held, and the type of the first payload."""
        number, total = (int.from_bytes(data[at : at + 2], "big") for at in (place + 4, place + 6))
        key = source, data[:16], data[18:24], total
        held = self._parts.get(key)
        if held is None or len(held) == total:
            held = {}
            _keep(self._parts, key, held, REMEMBERED)
        held[number] = len(data), opened, data[place]
        if set(held) != set(range(1, total + 1)):
            return None
        numbers = sorted(held)
        parts = [held[one][1] for one in numbers]
        whole = None if None in parts else b"".join(part for part in parts if part is not None)
        return tuple(held[one][0] for one in numbers), whole, held[1][2]

    def _succeed(self, keyed: KeyedSa, data: bytes, asker: str, opened: bytes, first: int) -> None:
        """The IKE SA that a rekey makes, with what its keys are derived from."""
        try:
            payloads = parse_chain(PayloadType.of(first), opened, inside=True)
        except DecodeError:
            return
        key = data[:8], asker, data[20:24]
        if not data[19] & FLAG_RESPONSE:
            if all(one.kind != PayloadType.TSI for one in payloads):
                _keep(self._asked, key, payloads, REMEMBERED)
            return
        request = self._asked.pop(key, ())
        offer, chosen = find(request, SaPayload), find(payloads, SaPayload)
        if offer is None or chosen is None or not chosen.proposals:
            return
        theirs = next((one.spi for one in offer.proposals if one.number == chosen.proposals[0].number), b"")
        spis = theirs, chosen.proposals[0].spi
        if any(len(spi) != len(NO_SPI) for spi in spis) or theirs in self._sas:
            return
        successor = KeyedSa(*spis, parent=keyed)
        successor.ask(request)
        successor.agree(payloads)
        _keep(self._sas, theirs, successor, STORIES)


def _keep(held: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    held[key] = value
    while len(held) > most:
        held.popitem(last=False)


def _kind(data: bytes, place: int) -> int:
    """Whether the payload at `place` is a fragment or a whole Encrypted payload."""
    return data[16] if place == HEADER_OCTETS else _SK


def _sealed_at(data: bytes) -> int | None:
    """Where the Encrypted payload of a message begins; None where it has none, or is none of IKEv2."""
    if len(data) < HEADER_OCTETS + GENERIC_OCTETS or data[17] >> 4 != 2:
        return None
    if data[16] in (_SK, _SKF):
        return HEADER_OCTETS
    if data[18] == _INIT:
        return None
    try:
        return Message.parse(data).sk_offset
    except DecodeError:
        return None


def _about(data: bytes, packet: int) -> str:
    kind = "response" if data[19] & FLAG_RESPONSE else "request"
    sa = f"IKE SA {data[:8].hex().upper()}/{data[8:16].hex().upper()}"
    return f"packet {packet}: {ExchangeType.of(data[18]).label} {kind} {int.from_bytes(data[20:24], 'big')} of {sa}"
