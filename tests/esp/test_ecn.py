"""Congestion marks through the tunnel: copied to the outer header, carried into the inner one (RFC 6040, RFC 4301)."""

import socket
from ipaddress import ip_address

import pytest
from tests.esp import build
from tests.esp.build import A, B, ping

from ikescope.config.model import TunnelMode
from ikescope.esp.ecn import CE, ECT0, ECT1, NOT_ECT, EcnError, ecn_of, inward, marked
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
