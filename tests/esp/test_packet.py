"""Reading and making IP, GRE and ICMP."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import GRE
from tests.esp.build import A, B, ping

from ikescope.esp import gre
from ikescope.esp.packet import Echo, PacketError, ip_packet, make_echo, read_echo, read_header
from ikescope.esp.selector import SelectorPair
from ikescope.events import SelectorFact
from ikescope.policy.selectors import Selectors


def test_ipv4_ports() -> None:
    """The header of a TCP packet shows addresses, protocol and both ports, behind IP options too."""
    packet = bytes(IP(src="10.0.0.1", dst="10.0.0.2", options=b"\x01\x01\x01\x00") / TCP(sport=1234, dport=80))
    header = read_header(packet + b"tfc")
    assert (header.version, header.protocol, header.source_port, header.destination_port) == (4, 6, 1234, 80)
    assert header.source == int(ip_address("10.0.0.1"))
    assert (header.octets, header.total, header.fragment) == (24, len(packet), False)


def test_later_fragment_has_no_ports() -> None:
    """A fragment that is not the first shows no ports."""
    header = read_header(bytes(IP(src="10.0.0.1", dst="10.0.0.2", frag=3, proto=17) / b"12345678"))
    assert header.fragment
    assert header.source_port is None


def test_ipv6_extension_headers() -> None:
    """The upper protocol of an IPv6 packet is found behind its extension headers."""
    packet = (
        IPv6(src="2001:db8::1", dst="2001:db8::2")
        / IPv6ExtHdrDestOpt()
        / IPv6ExtHdrFragment(m=1)
        / UDP(sport=5, dport=6)
    )
    header = read_header(bytes(packet))
    assert (header.version, header.protocol, header.source_port, header.fragment) == (6, 17, 5, True)


def test_icmp_type_and_code_stand_for_ports() -> None:
    """Type and code of ICMP are its ports (RFC 4301 section 4.4.1.1)."""
    assert read_header(ping()).source_port == 8 << 8


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    """Octets that are no IP packet raise PacketError and nothing else."""
    for packet in (octets, b"\x45" + octets, b"\x60" + octets):
        try:
            header = read_header(packet)
        except PacketError:
            continue
        assert header.octets <= header.total <= len(packet)


def test_echo_as_scapy_reads_it() -> None:
    """An echo request has the checksums and fields that another implementation computes."""
    packet = make_echo(Echo(ip_address("10.1.0.2"), ip_address("10.2.0.2"), False, 7, 9, b"abc"))
    theirs = bytes(IP(src="10.1.0.2", dst="10.2.0.2", id=0) / ICMP(type=8, id=7, seq=9) / b"abc")
    assert packet == theirs
    six = make_echo(Echo(ip_address("2001:db8::1"), ip_address("2001:db8::2"), False, 7, 9, b"abc"))
    assert six == bytes(IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest(id=7, seq=9, data=b"abc"))
    echo = read_echo(six)
    assert echo is not None
    assert (echo.identifier, echo.sequence, echo.data, echo.reply) == (7, 9, b"abc", False)


def test_ip_packet_of_gre_as_scapy_reads_it() -> None:
    """The IP header before GRE is the one that another implementation builds."""
    ours = ip_packet(A, B, 47, gre.encapsulate(ping()), identification=5, ttl=255)
    assert ours == bytes(IP(src=str(A), dst=str(B), id=5, ttl=255, proto=47) / GRE() / IP(ping()))


@pytest.mark.parametrize("header", [GRE(), GRE(chksum_present=1), GRE(key_present=1, key=5), GRE(seqnum_present=1)])
def test_gre_options_are_read_over(header: GRE) -> None:
    """A checksum that verifies, a key and a sequence number do not hinder a GRE packet."""
    assert gre.decapsulate(bytes(header / IP(ping()))) == ping()


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x00\x00\x08",
        b"\x40\x00\x08\x00" + ping(),  # RFC 1701 routing
        b"\x00\x01\x08\x00" + ping(),  # version 1
        b"\x00\x00\x88\x47" + ping(),  # MPLS
        b"\x00\x00\x86\xdd" + ping(),  # says IPv6
        b"\x80\x00\x08\x00\x00\x00\x00\x00" + ping(),  # wrong checksum
        b"\x20\x00\x08\x00\x00",  # no room for the key
        b"\x00\x00\x08\x00",
    ],
)
def test_gre_that_is_refused(octets: bytes) -> None:
    """Another version, protocol, a wrong checksum or a short header is GreError."""
    with pytest.raises(gre.GreError):
        gre.decapsulate(octets)


def test_selector_of_ports_needs_to_see_them() -> None:
    """A packet without visible ports lies only in a selector that covers every port."""
    web = SelectorFact(start="10.0.0.0", end="10.0.0.255", protocol=6, start_port=80, end_port=80)
    anything = SelectorFact(start="10.0.0.0", end="10.0.0.255")
    first = read_header(bytes(IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=80, dport=80)))
    later = read_header(bytes(IP(src="10.0.0.1", dst="10.0.0.2", frag=3, proto=6) / b"12345678"))
    assert SelectorPair.of(Selectors((web,), (web,))).outbound(first)
    assert not SelectorPair.of(Selectors((web,), (web,))).outbound(later)
    assert SelectorPair.of(Selectors((anything,), (anything,))).outbound(later)
