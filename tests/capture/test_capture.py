"""Captures: what is written is read back, by us and by others; what is read makes records."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.utils import PcapNgReader
from tests.support_records import Made

from ikescope.capture import from_records, is_capture, packets, pcapng, to_records
from ikescope.capture.frames import ethernet_frame, ike_packet, udp_packet, unframe
from ikescope.errors import LocalError
from ikescope.events.message import MessageDropped, MessageReceived, MessageSent
from ikescope.explain.summary import verdict
from ikescope.timeline import Timeline

MESSAGE = bytes.fromhex("a1a2a3a4a5a6a7a80000000000000000212022080000000000000020") + bytes(4)
PACKET = ike_packet("192.0.2.1", 500, "192.0.2.2", 500, MESSAGE)


def classic(order: str, magic: int, link: int, data: bytes, fraction: int) -> bytes:
    """A pcap file of one packet at second 7, in either byte order."""
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + struct.pack(order + "IIII", 7, fraction, len(data), len(data)) + data


def cooked(data: bytes) -> bytes:
    """A Linux cooked header before an IPv4 packet."""
    return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), 0x0800) + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "fraction"), [(0xA1B2C3D4, 500_000), (0xA1B23C4D, 500_000_000)])
@pytest.mark.parametrize(
    ("link", "data"),
    [
        (1, ethernet_frame(PACKET)),
        (1, bytes(12) + bytes.fromhex("8100000a0800") + PACKET),
        (101, PACKET),
        (113, cooked(PACKET)),
        (276, struct.pack("!HHIHBB8s", 0x0800, 0, 1, 1, 0, 6, bytes(8)) + PACKET),
    ],
)
def test_classic_pcap_is_read_in_every_form(order: str, magic: int, fraction: int, link: int, data: bytes) -> None:
    """Both byte orders, micro and nanoseconds, Ethernet (tagged too), raw and cooked give the same message and time."""
    (packet,) = packets(classic(order, magic, link, data, fraction))
    assert packet.nanoseconds == 7_500_000_000
    datagram = unframe(packet.link, packet.data)
    assert datagram is not None and datagram.ike and datagram.data == MESSAGE
    assert (datagram.source, datagram.source_port, datagram.destination) == ("192.0.2.1", 500, "192.0.2.2")


def test_pcapng_comes_back_as_written() -> None:
    """Interfaces, stamps in their resolutions and comments survive."""
    data = (
        pcapng.section()
        + pcapng.interface("R1")
        + pcapng.interface("R2", pcapng.LINK_ETHERNET, resolution=pcapng.MICROSECONDS, description="beside")
        + pcapng.packet(0, 1_700_000_000_123_456_789, PACKET, comment="IKE_SA_INIT, größer")
        + pcapng.packet(1, 1_700_000_000_000_007, ethernet_frame(PACKET))
    )
    assert is_capture(data)
    first, second = packets(data)
    assert (first.name, first.nanoseconds, first.comment) == ("R1", 1_700_000_000_123_456_789, "IKE_SA_INIT, größer")
    assert (second.name, second.link, second.nanoseconds) == ("R2", 1, 1_700_000_000_000_007_000)
    assert first.data == PACKET


def test_a_big_endian_section_is_read() -> None:
    """The byte order of a section is its own; stamps without a resolution are microseconds."""

    def block(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body) + 12) + body + struct.pack(">I", len(body) + 12)

    padded = PACKET + bytes(-len(PACKET) % 4)
    body = struct.pack(">IIIII", 0, 0, 5, len(PACKET), len(PACKET)) + padded
    head = block(0x0A0D0D0A, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1))
    (packet,) = packets(head + block(1, struct.pack(">HHI", 101, 0, 0)) + block(6, body))
    assert (packet.data, packet.nanoseconds) == (PACKET, 5000)


def test_scapy_reads_what_is_written(tmp_path: Path) -> None:
    """An independent reader finds addresses, ports and checksums as they must be."""
    path = tmp_path / "up.pcapng"
    path.write_bytes(from_records(Made().up().records))
    found = list(PcapNgReader(str(path)))
    assert len(found) == 8
    packet = IP(bytes(found[0]))
    assert (packet.src, packet.dst, packet[UDP].sport) == ("192.0.2.1", "192.0.2.2", 500)
    ip_sum, udp_sum = packet.chksum, packet[UDP].chksum
    del packet.chksum, packet[UDP].chksum
    again = IP(bytes(packet))
    assert (again.chksum, again[UDP].chksum) == (ip_sum, udp_sum)


def test_port_4500_carries_the_marker_and_esp() -> None:
    """On port 4500 four zero octets mean IKE, anything else of eight octets or more ESP, one octet a keepalive."""
    ike = unframe(101, ike_packet("192.0.2.1", 4500, "192.0.2.2", 4500, MESSAGE))
    assert ike is not None and ike.ike and ike.data == MESSAGE
    esp = unframe(101, udp_packet("192.0.2.1", 4500, "192.0.2.2", 4500, bytes.fromhex("c1c1c1c100000001") + bytes(8)))
    assert esp is not None and not esp.ike and esp.data.startswith(bytes.fromhex("c1c1c1c1"))
    assert unframe(101, udp_packet("192.0.2.1", 4500, "192.0.2.2", 4500, b"\xff")) is None


def test_ipv6_is_framed_and_unframed() -> None:
    """An IKE message over IPv6 comes back with its addresses."""
    datagram = unframe(1, ethernet_frame(ike_packet("2001:db8::1", 500, "2001:db8::2", 500, MESSAGE)))
    assert datagram is not None and (datagram.source, datagram.data) == ("2001:db8::1", MESSAGE)


def test_a_capture_becomes_the_same_exchanges() -> None:
    """Our own messages, written as a capture and read back, are the same messages with the clear facts."""
    made = Made().up().records
    mine = [one for one in made if one.stamp.router == "R1"]
    records = list(to_records(from_records(mine)))
    told = [one for one in records if isinstance(one.event, MessageSent | MessageReceived)]
    meant = [one for one in mine if isinstance(one.event, MessageSent | MessageReceived)]
    assert [type(one.event) for one in told] == [type(one.event) for one in meant]
    assert [getattr(one.event, "octets", None) for one in told] == [getattr(one.event, "octets", 0) for one in meant]
    timeline = Timeline().extend(records)
    (sa,) = timeline.of("192.0.2.1")
    assert (sa.spi_i, sa.spi_r, sa.initiator) == ("a1a2a3a4a5a6a7a8", "b1b2b3b4b5b6b7b8", True)
    assert not isinstance(sa.chosen, type(None)) and [one.exchange for one in timeline.exchanges] == [34, 35]


def test_a_refusal_in_the_clear_is_found_in_a_capture() -> None:
    """NO_PROPOSAL_CHOSEN in an IKE_SA_INIT response gives the verdict without any key."""
    mine = [one for one in Made().no_proposal().records if one.stamp.router == "R1"]
    lines = verdict(Timeline().extend(to_records(from_records(mine))))
    assert (
        lines[0].startswith("Not up: 192.0.2.2 found nothing acceptable in ") and "NO_PROPOSAL_CHOSEN (14)" in lines[0]
    )


def test_a_retransmission_is_found_in_a_capture() -> None:
    """The same octets again in the same direction are a repeat."""
    mine = Made().silence().records
    (exchange,) = Timeline().extend(to_records(from_records(mine))).exchanges
    assert (exchange.messages, exchange.retransmissions) == (3, 2)


def test_what_is_no_ike_message_is_a_dropped_one() -> None:
    """Octets on port 500 that do not parse are told with the reason."""
    data = pcapng.section() + pcapng.interface("x")
    data += pcapng.packet(0, 0, udp_packet("192.0.2.1", 500, "192.0.2.2", 500, b"hello"))
    (record,) = to_records(data)
    assert isinstance(record.event, MessageDropped) and "had 5, wanted 28" in str(record.event.found)


@pytest.mark.parametrize("data", [b"", b"abcd", b"\xd4\xc3\xb2\xa1", pcapng.section()[:8] + bytes(20)])
def test_what_is_no_capture_is_refused_in_one_line(data: bytes) -> None:
    """Neither pcap nor pcapng, or a broken head: LocalError, one line."""
    with pytest.raises(LocalError) as caught:
        list(packets(data))
    assert "\n" not in str(caught.value)


def test_a_capture_cut_short_gives_what_is_whole() -> None:
    """A last packet without its end is left out, the ones before it are read."""
    data = from_records(Made().up().records)
    assert len(list(packets(data[:-5]))) == len(list(packets(data))) - 1


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=120), st.integers(0, 400), st.binary(min_size=1, max_size=6))
def test_no_octets_break_the_reader(frame: bytes, at: int, noise: bytes) -> None:
    """Whatever a frame or a damaged file holds, the answer is packets, nothing, or LocalError."""
    for link in (0, 1, 101, 113, 276, 999):
        unframe(link, frame)
    made = Made()
    made.begin()
    data = bytearray(from_records(made.records))
    data[at : at + len(noise)] = noise
    try:
        list(to_records(bytes(data)))
    except LocalError as error:
        assert "\n" not in str(error)


def test_a_capture_without_keys_is_not_judged_beyond_what_it_shows() -> None:
    """An encrypted IKE_AUTH answer leaves the verdict open, a CREATE_CHILD_SA behind it says that it went well."""
    made = Made()
    made.up()
    mine = [one for one in made.records if one.stamp.router == "R1"]
    assert verdict(Timeline().extend(to_records(from_records(mine))))[0].startswith("Cannot tell: IKE_AUTH with")
    made.new_child()
    mine = [one for one in made.records if one.stamp.router == "R1"]
    assert verdict(Timeline().extend(to_records(from_records(mine))))[0].startswith("Was up, it seems: IKE_AUTH")
