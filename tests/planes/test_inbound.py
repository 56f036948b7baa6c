"""From the wire to a TUN device with offloads: whatever comes in a run arrives as it would packet by packet."""

from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from tests.esp import build
from tests.planes.runs import Far, both, six, tcp, udp

from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import PeerMoved
from ikescope.esp.forwarder import Forwarder
from ikescope.esp.sa import OutboundSa
from ikescope.events import SelectorFact
from ikescope.events.router import EspDropped
from ikescope.policy.selectors import Selectors

MODES = ((True, True), (True, False), (False, False))  # GRE in transport mode, in tunnel mode, IP in tunnel mode
SUITES = (*build.SUITES, build.suite(28, 0, esn=True), build.suite(11, 0, 12))


def stream(count: int, size: int = 500, **fields: int) -> list[bytes]:
    """Segments that continue each other."""
    return [
        bytes(tcp(size, sequence=1 + index * size, number=7 + index, **fields))  # type: ignore[arg-type]
        for index in range(count)
    ]


def sealed(near: Forwarder, packets: Sequence[bytes]) -> list[bytes]:
    """The ESP packets of inner packets."""
    return [build.seal(near, packet) for packet in packets]


def compare(far: Far, plain: Far) -> None:
    """The same packets, counters, drops and kinds of reports."""
    assert far.delivered() == [octets for octets, _ in plain.written]
    assert far.forwarder.drops == plain.forwarder.drops
    assert far.forwarder.counters(0x1001, "in") == plain.forwarder.counters(0x1001, "in")
    dropped = [[each for each in one.told if isinstance(each, EspDropped)] for one in (far, plain)]
    assert dropped[0] == dropped[1]


@pytest.mark.parametrize("of", SUITES, ids=lambda of: f"{of.encryption.name}{'-esn' * of.esn}")
@pytest.mark.parametrize(("gre", "transport"), MODES)
def test_a_stream_is_one_write(of: EspSuite, gre: bool, transport: bool) -> None:
    """Segments that continue each other, the last one shorter, are joined to what scapy cuts into the same segments."""
    near, far = both(of, gre=gre, transport=transport)
    _, plain = both(of, gre=gre, transport=transport)
    packets = stream(20)
    packets.append(bytes(tcp(99, sequence=10001, number=27, flags="PA")))
    octets = sealed(near.forwarder, packets)
    assert far.take(octets)
    assert [count for _, count in far.written] == [21]
    plain.one_by_one(octets)
    compare(far, plain)
    assert not far.take(octets)  # all of it is replayed
    near.close()


@st.composite
def _packets(draw: st.DrawFn) -> list[bytes]:
    """Packets of one size, as a run has them: mostly a stream, with whatever breaks one here and there."""
    size, found, sequence, number = draw(st.integers(1, 200)), [], 1, draw(st.integers(65530, 65535))
    four, stream = draw(st.booleans()), draw(st.booleans())
    for _ in range(draw(st.integers(4, 24))):
        odd = draw(st.sampled_from(("",) * 8 + ("flags", "sequence", "number", "port", "tos", "checksum", "header")))
        flags = draw(st.sampled_from(("PA", "FA", "SA", "R", "CEA"))) if odd == "flags" else "A"
        sequence += 5 if odd == "sequence" else 0
        number += 3 if odd == "number" else 0
        port, tos = 81 if odd == "port" else 80, draw(st.integers(0, 3)) if odd == "tos" else 0
        made = (
            tcp(size, sequence=sequence, flags=flags, number=number & 0xFFFF, port=port, tos=tos)
            if stream
            else udp(size, number=number & 0xFFFF, port=port, tos=tos)
        )
        packet = made if four else six(made)
        if odd == "checksum":
            packet[TCP if stream else UDP].chksum = 0
        octets = bytearray(bytes(packet))
        if odd == "header" and four:
            octets[10] ^= 1
        found.append(bytes(octets))
        sequence, number = sequence + size, number + 1
    return found


@settings(max_examples=50, deadline=None)
@given(packets=_packets(), gre=st.booleans(), ecn=st.integers(0, 3), loss=st.sets(st.integers(0, 24), max_size=2))
def test_any_run_arrives_as_its_packets(packets: list[bytes], gre: bool, ecn: int, loss: set[int]) -> None:
    """Whatever stands in a run, joined and cut again it is what arrives packet by packet, and counts the same."""
    gre = gre or packets[0][0] >> 4 == 6
    ends = [build.pair_up(udp=True, ipv6=True, mode="gre ip" if gre else "ipsec ipv4", transport=gre) for _ in "ab"]
    far, plain = Far(ends[0][1]), Far(ends[1][1])
    octets = [each for index, each in enumerate(sealed(ends[0][0], packets)) if index not in loss]
    for size, same in groupby(octets, len):
        run = list(same)
        if len(run) < 2 or size < 40 or not far.take(run, ecn=ecn):
            far.one_by_one(run, ecn=ecn)
    plain.one_by_one(octets, ecn=ecn)
    compare(far, plain)


def test_what_does_not_rise_or_verify_goes_one_by_one() -> None:
    """A run with a replayed, reordered or forged packet, or with another SPI, is not touched as a whole."""
    near, far = both()
    octets = sealed(near.forwarder, stream(12))
    assert not far.take([octets[1], octets[0], *octets[2:]])
    assert not far.take([*octets[:5], octets[4], *octets[5:]])
    assert not far.take([*octets[:5], octets[5][:-1] + bytes([octets[5][-1] ^ 1]), *octets[6:]])
    assert not far.take([*octets[:5], bytes(3) + octets[5][3:], *octets[6:]])
    assert (far.written, far.told, far.forwarder.drops) == ([], [], {})
    assert far.take(octets)
    assert far.delivered() == stream(12)
    near.close()


def test_a_run_with_gaps_is_taken() -> None:
    """Numbers that rise with gaps are new, whatever is missing; what was missing may come later, once."""
    near, far = both()
    octets = sealed(near.forwarder, stream(12))
    assert far.take([*octets[:3], *octets[4:8], *octets[9:]])
    assert len(far.delivered()) == 10
    far.one_by_one([octets[3], octets[8], octets[3]])
    assert sorted(far.delivered()) == sorted(stream(12))
    assert far.forwarder.drops == {"sequence number replayed or outside the window": 1}
    near.close()


def test_every_packet_of_a_run_meets_the_selectors() -> None:
    """One packet whose addresses or ports the SA does not admit is dropped and counted, the others arrive.

    RFC 4301 section 5.2.
    """
    narrow = Selectors(
        (SelectorFact(start="10.1.0.0", end="10.1.0.255", protocol=6),),
        (SelectorFact(start="10.2.0.0", end="10.2.0.255", protocol=6, start_port=80, end_port=80),),
    )
    wide, path = build.tunnel("ipsec ipv4"), build.tunnel("ipsec ipv4", narrow, far=True)
    near = build.forwarder(wide)
    near.execute(build.install(wide, 0x1001, "out", udp=True, transport=False), 0.0)
    near.execute(build.switch(wide, 0x1001), 0.0)
    ends = []
    for _ in range(2):
        end = build.forwarder(path)
        end.execute(build.install(path, 0x1001, "in", udp=True, transport=False), 0.0)
        ends.append(Far(end))
        list(end.outputs())
    packets = stream(12)
    packets[5] = bytes(tcp(500, sequence=2501, number=12, port=81))
    octets = sealed(near, packets)
    assert ends[0].take(octets)
    ends[1].one_by_one(octets)
    compare(*ends)
    assert ends[0].forwarder.drops == {"inner packet does not match the SA's selectors": 1}


def test_wrong_padding_dummies_and_padded_traffic_in_a_run() -> None:
    """In a run a dummy packet vanishes, padding that is not 1, 2, 3 is dropped, TFC padding is cut off."""
    near, far = both(transport=False, gre=False)
    _, plain = both(transport=False, gre=False)
    sa = near.forwarder._outbound["Tunnel0", 0x1001]
    assert isinstance(sa, OutboundSa)
    inner = stream(8, 96)
    bodies = [each + b"\1\2\2\4" for each in inner]
    bodies[2] = bytes(138) + b"\0\x3b"
    bodies[3] = inner[3] + b"\7\7\2\4"
    bodies[4] = inner[4] + b"\0\0\0\4"  # two octets of padding for the traffic's length, none for ESP
    octets = []
    for body in bodies:
        sa.sequence += 1
        octets.append(sa._sealer.seal(sa.spi, sa.sequence, 0, body))
    assert len(set(map(len, octets))) == 1
    assert far.take(octets)
    plain.one_by_one(octets)
    compare(far, plain)
    assert far.forwarder.drops == {"ESP padding is not 1, 2, 3 ...": 1}
    assert len(far.delivered()) == 6
    near.close()


def test_a_run_from_elsewhere_is_told_once() -> None:
    """A verified run that came by another path than the SA's reports the peer's move (RFC 7296 section 2.23)."""
    near, far = both()
    far.forwarder.execute(build.install(build.tunnel(far=True), 0x3001, "in"), 0.0)
    list(far.forwarder.outputs())
    moved = build.pair_up()[0]  # without UDP: the path has port 500
    octets = sealed(moved, stream(6))
    assert far.take(octets)
    assert not [each for each in far.told if isinstance(each, PeerMoved)]
    other = Far(build.pair_up()[1])
    assert other.take(octets)
    assert [each.path.remote_port for each in other.told if isinstance(each, PeerMoved)] == [4500]
    near.close()
