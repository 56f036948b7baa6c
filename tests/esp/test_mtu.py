"""The largest inner packet, to the octet, and what becomes of one that is larger."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, IPerror
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from tests.esp import build
from tests.esp.build import HOST_A, HOST_B, A, B

from ikescope.config.model import TunnelMode
from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import Destination, UpdatePath
from ikescope.esp.forwarder import Forwarder, ToTunnel, ToWire
from ikescope.esp.icmp import too_big
from ikescope.esp.mtu import tunnel_mtu
from ikescope.esp.packet import TCP, UDP, ip_packet
from ikescope.esp.tunnel import TunnelPath
from ikescope.events.router import EspDropped

V6_A, V6_B = ip_address("2001:db8::a"), ip_address("2001:db8::b")
INNER6 = ip_address("2001:db8:1::1"), ip_address("2001:db8:2::1")
WAYS: list[tuple[TunnelMode, bool]] = [("ipsec ipv4", False), ("gre ip", True), ("gre ip", False)]
"""Tunnel mode and whether ESP is in transport mode."""
OWN = (ip_address("172.16.0.1"), ip_address("2001:db8:ff::1"))


def end(mode: TunnelMode, of: EspSuite, *, transport: bool, udp: bool, mtu: int, ipv6: bool = False) -> Forwarder:
    """Router A with one outbound SA over a path of that MTU; `ipv6`: it lies in IPv6."""
    path: TunnelPath = replace(build.tunnel(mode), path_mtu=mtu, addresses=OWN, ipv6=True)
    if ipv6:
        path = replace(path, source=V6_A, destination=V6_B)
    near = build.forwarder(path)
    near.execute(build.install(path, 0x1001, "out", of, transport=transport, udp=udp), 0.0)
    near.execute(build.switch(path, 0x1001), 0.0)
    list(near.outputs())
    return near


def packet(octets: int, *, df: bool = False) -> bytes:
    """An inner IPv4 packet of so many octets."""
    bare = ip_packet(HOST_A, HOST_B, UDP, bytes(octets - 20))
    return bare[:6] + b"\x40\x00" + bare[8:] if df else bare


def sent(near: Forwarder, inner: bytes, now: float = 1.0) -> list[int]:
    """The length of what leaves for an inner packet, without IP and UDP."""
    near.from_tunnel("Tunnel0", inner, now)
    return [len(one.octets) for one in near.outputs() if isinstance(one, ToWire)]


@pytest.mark.parametrize("of", build.SUITES, ids=lambda of: of.text)
@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize(("mode", "transport"), WAYS)
@pytest.mark.parametrize("ipv6", [False, True])
def test_the_largest_packet_fits_and_one_octet_more_does_not(
    of: EspSuite, udp: bool, mode: TunnelMode, transport: bool, ipv6: bool
) -> None:
    """For every path MTU: sealed, the largest packet is no longer than it, and with one octet more it is."""
    around = (40 if ipv6 else 20) + 8 * udp
    for mtu in (576, 1280, *range(1380, 1400), 1499, 1500, 9000):
        largest = tunnel_mtu(mtu, of, udp=udp, gre=mode == "gre ip", transport=transport, ipv6=ipv6)
        near = end(mode, of, transport=transport, udp=udp, mtu=mtu, ipv6=ipv6)
        (whole,) = sent(near, packet(largest))
        (more,) = sent(near, packet(largest + 1))
        assert around + whole <= mtu < around + more
        assert sent(near, packet(largest, df=True)) == [whole]
        assert sent(near, packet(largest + 1, df=True)) == []


def test_a_packet_with_df_is_answered_with_the_largest() -> None:
    """ICMP type 3 code 4 from the tunnel's own address, with the MTU and the packet's beginning; it is counted."""
    near = end("ipsec ipv4", build.GCM, transport=False, udp=True, mtu=1500)
    inner = packet(1500, df=True)
    near.from_tunnel("Tunnel0", inner, 1.0)
    dropped, told = list(near.outputs())
    assert isinstance(dropped, EspDropped) and "too large for the tunnel" in dropped.reason
    assert isinstance(told, ToTunnel) and told.name == "Tunnel0"
    answer = IP(told.packet)
    assert (answer.src, answer.dst, answer[ICMP].type, answer[ICMP].code) == ("172.16.0.1", "10.1.0.2", 3, 4)
    assert answer[ICMP].nexthopmtu == tunnel_mtu(1500, build.GCM, udp=True, gre=False, transport=False) == 1438
    assert answer[IPerror].src == "10.1.0.2" and len(told.packet) == 576
    rebuilt = IP(told.packet)
    del rebuilt.chksum, rebuilt[ICMP].chksum
    assert bytes(rebuilt) == told.packet
    counters = near.counters(0x1001, "out")
    assert counters is not None and (counters.packets, counters.dropped) == (0, 1)


def test_an_ipv6_packet_is_answered_but_one_of_1280_octets_passes() -> None:
    """ICMPv6 Packet Too Big, never below 1,280: such a packet goes, and is fragmented around ESP where need be."""
    near = end("gre ip", build.CBC_SHA256, transport=False, udp=True, mtu=1300)
    inner = ip_packet(*INNER6, TCP, bytes(1280 - 40))
    assert len(sent(near, inner)) == 1
    inner = ip_packet(*INNER6, TCP, bytes(1281 - 40))
    near.from_tunnel("Tunnel0", inner, 1.0)
    (told,) = [one for one in near.outputs() if isinstance(one, ToTunnel)]
    answer = IPv6(told.packet)
    assert (answer.src, answer.dst, answer[ICMPv6PacketTooBig].mtu) == ("2001:db8:ff::1", "2001:db8:1::1", 1280)
    assert len(told.packet) == 1280
    rebuilt = IPv6(told.packet)
    del rebuilt[ICMPv6PacketTooBig].cksum
    assert bytes(rebuilt) == told.packet


def test_a_flood_of_large_packets_is_answered_now_and_then() -> None:
    """At most fifty ICMP errors a second leave a tunnel, whatever arrives."""
    near = end("ipsec ipv4", build.GCM, transport=False, udp=False, mtu=1500)
    for number in range(1000):
        near.from_tunnel("Tunnel0", packet(1500, df=True), number / 1000)
    assert 40 <= sum(isinstance(one, ToTunnel) for one in near.outputs()) <= 50


def test_nothing_is_answered_that_must_not_be() -> None:
    """No ICMP error for an ICMP error, a later fragment, a multicast, or a sender that is none (RFC 1122 3.2.2)."""
    error = bytes(IP(src="10.1.0.2", dst="10.2.0.2", flags="DF") / ICMP(type=3, code=1) / bytes(1472))
    echo = bytes(IP(src="10.1.0.2", dst="10.2.0.2", flags="DF") / ICMP() / bytes(1472))
    later = bytes(IP(src="10.1.0.2", dst="10.2.0.2", frag=5, proto=17) / bytes(1480))
    many = bytes(IP(src="10.1.0.2", dst="224.0.0.5", proto=89) / bytes(1480))
    nobody = bytes(IP(src="0.0.0.0", dst="10.2.0.2", proto=17) / bytes(1480))
    assert [bool(too_big(one, 1400, OWN)) for one in (echo, error, later, many, nobody)] == [True, *[False] * 4]
    assert too_big(echo, 1400, ()) == b""
    assert too_big(b"\x45", 1400, OWN) == b""
    problem = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2", nh=58) / b"\x01\x00\x00\x00" / bytes(1400))
    assert too_big(problem, 1400, OWN) == b""


def test_a_move_into_udp_takes_eight_octets() -> None:
    """Where a NAT appears, the largest packet is that of the new path."""
    near = end("ipsec ipv4", build.CBC_SHA1, transport=False, udp=False, mtu=1500)
    before = tunnel_mtu(1500, build.CBC_SHA1, udp=False, gre=False, transport=False)
    after = tunnel_mtu(1500, build.CBC_SHA1, udp=True, gre=False, transport=False)
    assert after < before
    assert sent(near, packet(before, df=True))
    near.execute(UpdatePath(spi=0x1001, path=Destination(A, 4500, B, 4500), udp=True, tunnel="Tunnel0"), 1.0)
    assert sent(near, packet(before, df=True)) == []
    assert sent(near, packet(after, df=True))
