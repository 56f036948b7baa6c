"""Congestion marks through the tunnel: copied to the outer header, carried into the inner one (RFC 6040, RFC 4301)."""

import socket
from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from tests.esp import build
from tests.esp.build import A, B, ping

from ikescope.config.model import TunnelMode
from ikescope.esp.ecn import CE, ECT0, ECT1, NOT_ECT, EcnError, class_of, classed, ecn_of, inward, marked
from ikescope.esp.forwarder import ToTunnel
from ikescope.esp.packet import checksum, ip_packet, read_header
from ikescope.events.router import EspDropped
from ikescope.planes.ecn import ANCILLARY_OCTETS, ecn_told, send_marked, tell_ecn

SIX = ip_packet(ip_address("2001:db8::1"), ip_address("2001:db8::2"), 17, bytes(12))
MODES: dict[str, tuple[TunnelMode, bool]] = {
    "GRE, transport": ("gre ip", True),
    "GRE, tunnel": ("gre ip", False),
    "ipsec ipv4": ("ipsec ipv4", False),
}
FIGURE_4 = {
    (NOT_ECT, NOT_ECT): NOT_ECT,
    (NOT_ECT, ECT0): NOT_ECT,
    (NOT_ECT, ECT1): NOT_ECT,
    (NOT_ECT, CE): None,
    (ECT0, NOT_ECT): ECT0,
    (ECT0, ECT0): ECT0,
    (ECT0, ECT1): ECT1,
    (ECT0, CE): CE,
    (ECT1, NOT_ECT): ECT1,
    (ECT1, ECT0): ECT1,
    (ECT1, ECT1): ECT1,
    (ECT1, CE): CE,
    (CE, NOT_ECT): CE,
    (CE, ECT0): CE,
    (CE, ECT1): CE,
    (CE, CE): CE,
}
"""RFC 6040 figure 4: (inner, outer) -> what comes out, None: dropped."""


@pytest.mark.parametrize("packet", [ping(), SIX], ids=["IPv4", "IPv6"])
def test_a_mark_changes_two_bits_and_the_checksum(packet: bytes) -> None:
    """Whatever the bits, the header is one, its checksum right, and the rest of the packet untouched."""
    for ecn in range(4):
        new = marked(packet, ecn)
        assert ecn_of(new) == ecn
        assert read_header(new) == read_header(packet)
        assert marked(new, ecn_of(packet)) == packet
        if packet[0] >> 4 == 4:
            assert checksum(new[:20]) == 0


@pytest.mark.parametrize(("pair", "out"), FIGURE_4.items(), ids=str)
def test_the_inner_header_takes_what_the_outer_says(pair: tuple[int, int], out: int | None) -> None:
    """Figure 4 of RFC 6040, both IP versions."""
    for packet in (ping(), SIX):
        inner = marked(packet, pair[0])
        if out is None:
            with pytest.raises(EcnError, match="not capable of ECN"):
                inward(inner, pair[1])
        else:
            assert inward(inner, pair[1]) == marked(packet, out)


@pytest.mark.parametrize(("mode", "transport"), MODES.values(), ids=MODES)
def test_every_mode_carries_the_bits_out_and_in(mode: TunnelMode, transport: bool) -> None:
    """What the inner packet has leaves in the outer header too; congestion on the way comes out of the tunnel."""
    ##= rfc7296#section-2.24 type=test
    ##% Specifically, tunnel encapsulators and
    ##% decapsulators for all tunnel mode SAs created by IKEv2 MUST support
    ##% the ECN full-functionality option for tunnels specified in [ECN] and
    ##% MUST implement the tunnel encapsulation and decapsulation processing
    ##% specified in [IPSECARCH] to prevent discarding of ECN congestion
    ##% indications.
    near, far = build.pair_up(mode=mode, transport=transport)
    for (inner, outer), out in FIGURE_4.items():
        near.from_tunnel("Tunnel0", marked(ping(), inner), 1.0)
        (sent,) = build.wire(near)
        assert sent.ecn == inner
        far.from_wire(sent.octets, B, A, 1.0, ecn=outer)
        came = list(far.outputs())
        assert [one.packet for one in came if isinstance(one, ToTunnel)] == (
            [] if out is None else [marked(ping(), out)]
        )
        if out is None:
            assert any("ECN CE" in one.reason for one in came if isinstance(one, EspDropped))


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def test_the_host_carries_them_over_a_socket(family: socket.AddressFamily) -> None:
    """The bits that a datagram is sent with are told with it where it arrives."""
    here = "127.0.0.1" if family is socket.AF_INET else "::1"
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
        other.bind((here, 0))
        tell_ecn(other)
        other.settimeout(5)
        for ecn in range(4):
            send_marked(one, b"esp", (here, other.getsockname()[1]), ecn)
            octets, ancillary, _, _ = other.recvmsg(100, ANCILLARY_OCTETS)
            assert (octets, ecn_told(ancillary)) == (b"esp", ecn)


@pytest.mark.parametrize("transport", [True, False])
@pytest.mark.parametrize("octet", [0x00, 0xB8, 0x22, 0xFF - 3])
def test_dscp_goes_out_with_the_packet_and_not_in(transport: bool, octet: int) -> None:
    """RFC 4301 section 5.1.2: the outer header has the inner one's DSCP, the one that arrives keeps its own."""
    near, far = build.pair_up(transport=transport)
    near.from_tunnel("Tunnel0", classed(ping(), octet), 1.0)
    (sent,) = build.wire(near)
    assert sent.ecn == octet
    far.from_wire(sent.octets, B, A, 1.0, ecn=0)
    assert build.delivered(far) == [classed(ping(), octet)]


def test_the_traffic_class_of_both_versions() -> None:
    """Eight bits each, wherever they lie; setting them makes an IPv4 checksum anew and touches nothing else."""
    for packet in (ping(), bytes(IPv6(src="2001:db8::1", dst="2001:db8::2", tc=0x2E, fl=0xABCDE))):
        for octet in range(256):
            new = classed(packet, octet)
            assert class_of(new) == octet
            assert classed(new, class_of(packet)) == packet
    assert IPv6(classed(bytes(IPv6(fl=0xABCDE)), 0xB9)).fl == 0xABCDE
    assert IP(classed(ping(), 0xB8)).tos == 0xB8
