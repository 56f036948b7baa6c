"""Packets out of whatever they were captured in: links, IP fragments, hexdumps, files that were cut."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Raw
from tests.capture.session import wire
from tests.support.world import Side, pair

from ikescope.capture import from_records, hexdump, packets, source
from ikescope.capture.conversation import Reading
from ikescope.capture.frames import Unframer, ethernet_frame, ike_packet, unframe
from ikescope.capture.octets import Octets
from ikescope.cli import main
from ikescope.errors import LocalError
from ikescope.events.router import RecordingEnded

cut_four: Callable[..., list[IP]] = fragment
cut_six: Callable[..., list[IPv6]] = fragment6
MESSAGE = bytes.fromhex("a1a2a3a4a5a6a7a800000000000000002120220800000000") + struct.pack("!I", 1228) + bytes(1200)
FOUR = ike_packet("192.0.2.1", 500, "192.0.2.2", 500, MESSAGE)
SIX = ike_packet("2001:db8::1", 500, "2001:db8::2", 500, MESSAGE)


@pytest.mark.parametrize(
    ("link", "head"),
    [
        (0, "02000000"),
        (1, "00" * 12 + "88a80064" + "8100000a" + "0800"),
        (1, "00" * 12 + "8864" + "110000010002" + "0021"),
        (9, "ff030021"),
        (9, "21"),
        (51, "110000010002" + "0021"),
        (104, "0f000800"),
        (108, "00000002"),
        (113, "0000000100060000000000000000" + "8100" + "000a0800"),
        (228, ""),
    ],
)
def test_a_link_is_taken_off(link: int, head: str) -> None:
    """QinQ, PPPoE, PPP, HDLC, loopback, a VLAN in a cooked capture: the IP packet behind them is found."""
    found = unframe(link, bytes.fromhex(head) + FOUR)
    assert found is not None and found.data == MESSAGE


def test_ip_fragments_are_put_together_in_any_order() -> None:
    """IPv4 and IPv6 fragments, the last one first, give the datagram once; a repeated one changes nothing."""
    four = [bytes(one) for one in cut_four(IP(FOUR), fragsize=400)]
    head = IPv6(src="2001:db8::1", dst="2001:db8::2") / IPv6ExtHdrFragment() / UDP(sport=500, dport=500) / Raw(MESSAGE)
    six = [bytes(one) for one in cut_six(head, 600)]
    assert len(four) > 2 and len(six) > 2
    for parts in (four, six):
        unframer = Unframer()
        found = [unframer.unframe(101, one) for one in [*reversed(parts[1:]), parts[1], parts[0]]]
        assert next(one for one in found if one is not None).data == MESSAGE
        assert found[-1] is not None and unframer.waiting == 0


def test_fragments_are_bounded_and_must_not_overlap() -> None:
    """Packets that never become whole make room; an overlap ends its packet (RFC 5722)."""
    unframer = Unframer(limit=8)
    for number in range(40):
        packet = IP(FOUR)
        packet.id = number
        assert unframer.unframe(101, bytes(cut_four(packet, fragsize=400)[0])) is None
    assert unframer.waiting <= 8 and unframer.lost >= 32
    first, second, *_ = (bytes(one) for one in cut_four(IP(FOUR), fragsize=400))
    bent = bytearray(second)
    bent[7] -= 1
    again = Unframer()
    assert again.unframe(101, first) is None and again.unframe(101, bytes(bent)) is None
    assert (again.waiting, again.lost) == (0, 1)


def dump(data: bytes, form: str) -> str:
    """Octets as a tool writes them."""
    rows = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        text = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        pairs = " ".join(row[place : place + 2].hex() for place in range(0, len(row), 2))
        fours = " ".join(row[place : place + 4].hex().upper() for place in range(0, len(row), 4))
        rows.append(
            {
                "tcpdump -x": f"\t0x{at:04x}:  {pairs}",
                "tcpdump -X": f"\t0x{at:04x}:  {pairs:<39}  {text}",
                "wireshark": f"{at:04x}  {row.hex(' '):<47}   {text}",
                "ios": f"  {at:04X}:  {fours:<35}   {text}",
            }[form]
        )
    return "\n".join(rows)


@pytest.mark.parametrize("form", ["tcpdump -x", "tcpdump -X", "wireshark", "ios"])
@pytest.mark.parametrize("framed", [False, True])
def test_hexdumps_are_packets(form: str, framed: bool) -> None:
    """Each packet that a text spells out comes back octet for octet, with the time before it."""
    octets = ethernet_frame(FOUR) if framed else FOUR
    text = f"12:00:01.500000 IP 192.0.2.1.500 > 192.0.2.2.500: isakmp\n{dump(octets, form)}\n\n"
    found = list(hexdump.packets((text + text).splitlines()))
    assert [one.data for one in found] == [octets, octets]
    assert found[0].nanoseconds == (12 * 3600 + 1) * 10**9 + 500_000_000
    assert found[0].link == (1 if framed else 101)


def test_a_hexdump_is_read_as_a_capture() -> None:
    """The text of a session's packets gives the session's messages."""
    both = pair(Side(mode="acl")).up()
    text = "\n\n".join(dump(one.data, "tcpdump -X") for one in packets(wire(both.world)))
    records = source.read(text.encode(), "dump.txt")
    assert sum(one.event.tag in ("message.sent", "message.received") for one in records) == 4


def capture() -> bytes:
    """A session of two routers in a pcapng."""
    return from_records(pair(Side(mode="acl")).up().station("R1").records)


@pytest.mark.parametrize("folded", [False, True])
def test_what_stands_before_the_damage_is_shown(
    tmp_path: Path, folded: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A capture cut inside a packet, or its gzip file: all before it, one line on stderr, the same in the output."""
    data = capture()
    path = tmp_path / "cut.pcapng"
    path.write_bytes(gzip.compress(data)[:-40] if folded else data[:-40])
    status = main(["read", str(path), "--as", "ladder"])
    told = capsys.readouterr()
    assert status in (0, 1)
    assert "IKE_SA_INIT 0" in told.out and "cut short" in told.out
    assert len(told.err.splitlines()) == 1 and "cut short" in told.err


def test_nothing_before_the_damage_is_an_error() -> None:
    """Where the damage comes before the first message, there is nothing to show: one line, exit status 2."""
    with pytest.raises(LocalError, match="cut short inside packet 1"):
        source.read(capture()[:200], "cut.pcapng")


def test_a_capture_is_read_packet_by_packet() -> None:
    """No more of a file is read than what is told of it, plain or gzipped."""
    data = capture()

    class Counted(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(1024 if size is None or size < 0 else min(size, 1024))
            self.taken += len(found)
            return found

    stream = Counted(data)
    first = next(source.records(stream, "big.pcapng"))
    assert first.stamp.line == 1 and stream.taken < len(data)
    assert Octets(gzip.compress(data)).all() == data
    assert Octets(gzip.compress(data[:100]) + gzip.compress(data[100:])).all() == data


def test_packets_that_were_not_captured_whole_are_counted() -> None:
    """A snap length cuts packets: they are left out, and one line says how many."""
    notes: list[str] = []
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 101)
    short = struct.pack("<IIII", 7, 0, 96, len(FOUR)) + FOUR[:96]
    whole = struct.pack("<IIII", 7, 0, len(FOUR), len(FOUR)) + FOUR
    records = source.read(head + short + whole, "s.pcap", Reading(note=notes.append))
    assert len(records) == 1
    assert notes == ["s.pcap: 1 packets were not captured whole (snap length); they are left out"]
    assert not any(isinstance(one.event, RecordingEnded) for one in records)
