"""A capture written again for people: a comment on each packet and, for whoever holds the keys, what ESP carries."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from ipaddress import ip_address

import msgspec

from ikescope.capture import frames, keys, pcapng, reader
from ikescope.crypto import suites
from ikescope.crypto.esp_cipher import EspCipherError, EspOpener
from ikescope.errors import DecodeError, LocalError
from ikescope.wire import Message
from ikescope.wire.describe import payload_names

#: Next headers of tunnel mode: the payload is a whole packet (RFC 4303 section 2.6).
WHOLE = {4, 41}
NOTHING = 59
NAMES = {1: "ICMP", 4: "IPv4", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 58: "ICMPv6", 59: "nothing (dummy)"}
_CELLS = 8
NOTHING_TOLD: Mapping[bytes, str] = {}


class _Row(msgspec.Struct, frozen=True):
    """One ESP SA of a key table; prints no key."""

    opener: EspOpener

    def __repr__(self) -> str:
        return "<keys of an ESP SA>"


class EspTable:
    """The ESP SAs of an `esp_sa` table, by destination and SPI; LocalError names the line that is none."""

    def __init__(self, text: str) -> None:
        self._rows: dict[tuple[str, int], _Row] = {}
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        for number, cells in enumerate(csv.reader(lines), start=1):
            self._add(cells, number)

    def __len__(self) -> int:
        return len(self._rows)

    def _add(self, cells: list[str], number: int) -> None:
        if len(cells) != _CELLS:
            raise LocalError(f"esp_sa row {number}: had {len(cells)} cells, wanted {_CELLS}")
        _, _, destination, spi, encryption, key, integrity, integrity_key = cells
        try:
            octets, mac = _octets(key), _octets(integrity_key)
            suite = _suite(encryption, len(octets), integrity)
            self._rows[str(ip_address(destination)), int(spi, 16)] = _Row(EspOpener(suite, octets, mac))
        except ValueError:
            raise LocalError(f"esp_sa row {number}: no address, SPI or key in hexadecimal") from None

    def open(self, datagram: frames.Datagram) -> tuple[int, bytes] | None:
        """Next header and payload of an ESP packet; None where no row opens it."""
        row = self._rows.get((datagram.destination, int.from_bytes(datagram.data[:4], "big")))
        if row is None:
            return None
        try:
            plaintext = row.opener.open(datagram.data)
        except EspCipherError:
            return None
        pad, following = plaintext[-2], plaintext[-1]
        return following, plaintext[: max(0, len(plaintext) - 2 - pad)]


def _octets(cell: str) -> bytes:
    return bytes.fromhex(cell.removeprefix("0x"))


def _suite(encryption: str, key_octets: int, integrity: str) -> suites.EspSuite:
    """The suite that Wireshark's names and the length of the key say."""
    number = next((one for one, name in keys.ESP_ENCRYPTION.items() if name == encryption), None)
    mac = next((one for one, name in keys.ESP_INTEGRITY.items() if name == integrity), None)
    for row in suites.ENCRYPTIONS.values():
        if row.id == number and row.keymat_octets == key_octets and mac is not None:
            return suites.EspSuite(row, suites.INTEGRITIES.get(mac), False, None)
    raise LocalError(f"esp_sa: {encryption} with a key of {key_octets} octets and {integrity} is no suite of ikescope")


def comment(link: int, packet: bytes, told: Mapping[bytes, str] = NOTHING_TOLD) -> str:
    """What a captured packet is, in a line; empty where it is no IKE message and no ESP packet.

    `told` says it of IKE messages by their octets, from a recording (`convert.comments`), which knows what is inside.
    """
    datagram = frames.unframe(link, packet)
    if datagram is None:
        return ""
    if not datagram.ike:
        return _of_esp(datagram)
    return told.get(datagram.data) or _of_ike(datagram.data)


def _of_ike(data: bytes) -> str:
    try:
        message = Message.parse(data)
    except DecodeError as error:
        return f"not an IKEv2 message: {error}"
    kind = "response" if message.response else "request"
    names = " ".join(payload_names(message.payloads)) or "no payload"
    return f"{message.exchange.label} {kind} {message.message_id}: {names}"


def _of_esp(datagram: frames.Datagram) -> str:
    spi, number = datagram.data[:4].hex(), int.from_bytes(datagram.data[4:8], "big")
    udp = " in UDP" if datagram.source_port is not None else ""
    return f"ESP{udp} to SPI 0x{spi}, packet {number}"


def opened(datagram: frames.Datagram, table: EspTable) -> tuple[bytes, str] | None:
    """The packet inside an ESP packet, as an IP packet, and what it is in a line; None where it does not open.

    Transport mode carries no header of its own: the packet has the outer addresses (RFC 4303 section 3.1.1).
    """
    found = None if datagram.ike else table.open(datagram)
    if found is None or found[0] == NOTHING:
        return None
    following, payload = found
    said = f"inside ESP to SPI 0x{datagram.data[:4].hex()}: {NAMES.get(following, f'protocol {following}')}"
    if following in WHOLE:
        return payload, f"{said}, tunnel mode"
    ends = ip_address(datagram.source), ip_address(datagram.destination)
    return frames.ip_packet(*ends, following, payload), f"{said}, transport mode"


def annotated(data: bytes, *, esp_table: str = "") -> bytes:
    """A pcap or pcapng capture as pcapng: each IKE and ESP packet with its comment, nothing resolved to a name.

    With lines of `esp_sa`, what the ESP packets hold follows each of them on an interface called `inner`.
    Raises LocalError where the octets are no capture or the table is none.
    """
    return b"".join(_blocks(data, EspTable(esp_table)))


def _blocks(data: bytes, table: EspTable) -> Iterator[bytes]:
    yield pcapng.section()
    numbers: dict[tuple[int, str, int], int] = {}
    inner: int | None = None
    for packet in reader.packets(data):
        key = packet.interface, packet.name, packet.link
        if key not in numbers:
            numbers[key] = len(numbers) + (inner is not None)
            yield pcapng.interface(packet.name or f"interface {packet.interface}", packet.link)
        said = packet.comment or comment(packet.link, packet.data)
        yield pcapng.packet(numbers[key], packet.nanoseconds, packet.data, comment=said)
        datagram = frames.unframe(packet.link, packet.data) if len(table) else None
        found = None if datagram is None else opened(datagram, table)
        if found is not None:
            if inner is None:
                inner = len(numbers)
                yield pcapng.interface("inner", description="what the ESP packets hold, opened with esp_sa")
            yield pcapng.packet(inner, packet.nanoseconds, found[0], comment=found[1])
