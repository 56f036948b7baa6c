"""From a TUN device with offloads to the wire: cut, sealed and sent in runs, and the same as packet by packet."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from tests.esp import build
from tests.planes import runs
from tests.planes.runs import Near, both, cut, single, six, superseg, tcp, udp, whole

from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import Acquire, Expired, Traffic
from ikescope.esp.forwarder import ToWire
from ikescope.events.router import EspDropped, PacketsHeld

MODES = ((True, True), (True, False), (False, False))  # GRE in transport mode, in tunnel mode, IP in tunnel mode
SUITES = (*build.SUITES, build.suite(28, 0, esn=True), build.suite(11, 0, 12))


@pytest.mark.parametrize("of", SUITES, ids=lambda of: f"{of.encryption.name}{'-esn' * of.esn}")
@pytest.mark.parametrize(("gre", "transport"), MODES)
def test_a_super_segment_arrives_as_its_segments(of: EspSuite, gre: bool, transport: bool) -> None:
    """Each segment is what scapy cuts, in as few calls as go, under every suite and mode."""
    near, far = both(of, gre=gre, transport=transport)
    header, packet = superseg(tcp(64000, flags="FPA", sequence=0xFFFFF000), 1300)
    sent = near.carry([(header, packet)])
    far.one_by_one([octets for octets, _ in sent])
    assert [octets for octets, _ in far.written] == cut(header, packet)
    assert len(near.sent) == 2
    near.close()


@st.composite
def _super_segments(draw: st.DrawFn) -> tuple[bytes, bytes]:
    size, octets = draw(st.integers(1, 1300)), draw(st.integers(2, 9000))
    four = draw(st.booleans())
    tos = draw(st.integers(0, 255))
    packet: IP | IPv6
    if draw(st.booleans()):
        flags = draw(st.sampled_from(("A", "PA", "FA", "FPA", "CPA", "EA", "CE")))
        sequence, number = draw(st.integers(0, 0xFFFFFFFF)), draw(st.integers(0, 0xFFFF))
        packet = tcp(octets, sequence=sequence, flags=flags, number=number, tos=tos)
    else:
        packet = udp(octets, number=draw(st.integers(0, 0xFFFF)), tos=tos)
    return superseg(packet if four else six(packet), size)


@settings(max_examples=40, deadline=None)
@given(segment=_super_segments())
def test_any_super_segment_is_cut_as_scapy_does(segment: tuple[bytes, bytes]) -> None:
    """Lengths, numbers, flags and checksums of TCP and UDP over IPv4 and IPv6, of any size, are those of scapy."""
    near = Near(build.pair_up(udp=True, ipv6=True)[0])
    _, far = build.pair_up(udp=True, ipv6=True)
    other = runs.Far(far)
    other.one_by_one([octets for octets, _ in near.carry([segment])])
    assert [octets for octets, _ in other.written] == cut(*segment)
    near.close()


def test_packets_of_a_flow_that_wait_leave_as_a_run() -> None:
    """Equal packets in a row are one call, others their own; nothing is reordered, every checksum is made."""
    near, far = both()
    waiting = [single(udp(100, number=number)) for number in range(20)]
    waiting += [single(udp(100, port=6000)), single(udp(300)), single(udp(300))]
    waiting += [single(udp(100, number=number, port=7000)) for number in range(5)]
    waiting.append((bytes(10), build.ping()))
    sent = near.carry(waiting)
    assert [-(-len(octets) // size) for octets, size, _ in near.sent] == [20, 1, 1, 1, 5, 1]
    far.one_by_one([octets for octets, _ in sent])
    expected = [*(whole(packet) for _, packet in waiting[:-1]), build.ping()]
    assert [octets for octets, _ in far.written] == expected
    near.close()


def test_super_segments_that_wait_fill_the_calls() -> None:
    """The segments of one flow leave in full calls across super-segments, and at once when no more wait."""
    near, far = both()
    segments = [superseg(tcp(15000, number=index * 15, sequence=1 + index * 15000), 1000) for index in range(8)]
    sent = near.carry(segments)
    assert [-(-len(octets) // size) for octets, size, _ in near.sent] == [60, 60]
    far.one_by_one([octets for octets, _ in sent])
    assert [octets for octets, _ in far.written] == [each for one in segments for each in cut(*one)]
    near.close()


def test_dscp_and_ecn_of_a_run_are_copied_out() -> None:
    """What leaves has the traffic class of the packets in it (RFC 4301 section 5.1.2.1)."""
    near, _ = both(transport=False)
    sent = near.carry([superseg(tcp(4000, tos=0xB9), 1000), *([single(udp(80, tos=2))] * 5)])
    assert [octet for _, octet in sent] == [0xB9] * 4 + [2] * 5
    near.close()


def test_without_an_sa_the_segments_wait() -> None:
    """A super-segment that meets no SA is held in segments, asks for the SA once, and goes when it is there."""
    path = build.tunnel()
    near = Near(build.forwarder(path))
    header, packet = superseg(tcp(5000), 1000)
    assert near.carry([(header, packet)]) == []
    assert [type(each) for each in near.told] == [PacketsHeld, Acquire]
    assert near.forwarder.held("Tunnel0") == 5
    near.forwarder.execute(build.install(path, 0x1001, "out", udp=True), 0.0)
    near.forwarder.execute(build.switch(path, 0x1001), 0.0)
    near._drain(0.0)
    far = runs.Far(build.pair_up(udp=True)[1])
    far.one_by_one([octets for octets, _, _ in near.sent])
    assert [octets for octets, _ in far.written] == cut(header, packet)
    near.close()


def test_a_limit_by_traffic_holds_within_a_run() -> None:
    """The SA ends at the packet that reaches its limit, wherever that is in a run; the rest is dropped and counted."""
    near = Near(build.pair_up(udp=True, kilobytes=16)[0])
    plain = build.pair_up(udp=True, kilobytes=16)[0]
    header, packet = superseg(tcp(20000), 1000)
    sent = near.carry([(header, packet)])
    for each in cut(header, packet):
        plain.from_tunnel("Tunnel0", each, 0.0)
    told = list(plain.outputs())
    assert [octets for octets, _ in sent] == [each.octets for each in told if isinstance(each, ToWire)]
    assert near.told == [each for each in told if not isinstance(each, ToWire)]
    assert [type(each) for each in near.told] == [Traffic, Expired, Expired, EspDropped]
    assert near.forwarder.drops == plain.drops == {"the SA reached its limit by traffic": 4}
    near.close()


def test_what_may_not_leave_does_not() -> None:
    """A super-segment is dropped as its segments would be: IPv6 where it is off, and what is no IP packet."""
    near, _ = both()
    assert near.carry([superseg(six(tcp(4000)), 1000)]) == []
    assert near.forwarder.drops == {"IPv6 is off on this tunnel": 4}
    header, _ = superseg(tcp(4000), 1000)
    assert near.carry([(header, bytes(4000))]) == []
    assert near.forwarder.drops["no IP packet from the tunnel device"] == 1
    near.close()


def test_segments_too_large_for_the_sa_are_answered() -> None:
    """Segments that the path does not take whole go the plain way: dropped, counted, the sender is told."""
    near, _ = both()
    assert near.carry([superseg(tcp(5840), 1460)]) == []
    counters = near.forwarder.counters(0x1001, "out")
    assert counters is not None
    assert counters.dropped == 4
    near.close()
