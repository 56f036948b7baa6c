"""Commands and packets through the data path."""

import random
from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from tests.esp import build
from tests.esp.build import A, B, ping

from ikescope.crypto.esp_cipher import EspSealer
from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import (
    Acquire,
    Destination,
    EspKeys,
    Expired,
    PeerMoved,
    Refused,
    ReleaseHeld,
    RemoveSa,
    Traffic,
    UpdatePath,
)
from ikescope.esp.forwarder import ToTunnel, ToWire
from ikescope.esp.mtu import tunnel_mtu
from ikescope.esp.packet import Echo, make_echo
from ikescope.esp.sa import EspError, InboundSa, OutboundSa
from ikescope.esp.selector import SelectorPair
from ikescope.esp.tunnel import ACQUIRE_AGAIN, HELD_LIMIT, TunnelPath
from ikescope.events import SelectorFact
from ikescope.events.router import EspDropped, EspRemoved, PacketsHeld, PacketsReleased, PlaneFailed
from ikescope.policy.selectors import Selectors

ONE = Selectors((SelectorFact("10.1.0.0", "10.1.0.255"),), (SelectorFact("10.2.0.0", "10.2.0.255"),))
TWO = Selectors((SelectorFact("10.1.0.0", "10.1.0.255"),), (SelectorFact("10.3.0.0", "10.3.0.255"),))


@pytest.mark.parametrize("of", build.SUITES, ids=lambda of: of.text)
@pytest.mark.parametrize("transport", [True, False])
def test_a_ping_crosses_and_comes_back(of: EspSuite, transport: bool) -> None:
    """What one end seals the other delivers, and the counters of both SAs tell the same."""
    near, far = build.pair_up(of, transport=transport)
    for number in range(1, 4):
        far.from_wire(build.seal(near, ping(number)), B, A, 1.0)
        assert build.delivered(far) == [ping(number)]
        near.from_wire(build.seal(far, ping(number, reply=True)), A, B, 1.0)
        assert build.delivered(near) == [ping(number, reply=True)]
    assert near.counters(0x1001, "out") == far.counters(0x1001, "in")
    counters = near.counters(0x2001, "in")
    assert counters is not None
    assert (counters.packets, counters.dropped) == (3, 0)
    assert near.counters(0x2001, "out") is None


def test_nothing_leaves_before_the_switch() -> None:
    """An outbound SA that is only installed carries nothing: the packet waits and asks for an SA."""
    path = build.tunnel()
    near = build.forwarder(path)
    near.execute(build.install(path, 0x1001, "out"), 0.0)
    near.from_tunnel("Tunnel0", ping(), 0.0)
    assert not [each for each in near.outputs() if isinstance(each, ToWire | ToTunnel)]
    assert near.held("Tunnel0") == 1


def test_hold_ask_once_and_release_in_order() -> None:
    """64 packets wait, the rest are counted, one Acquire asks; at the switch all leave in order."""
    path = build.tunnel()
    near, far = build.forwarder(path), build.forwarder(build.tunnel(far=True))
    for number in range(70):
        near.from_tunnel("Tunnel0", ping(number), number / 100)
    outputs = list(near.outputs())
    (acquire,) = [each for each in outputs if isinstance(each, Acquire)]
    gre = (SelectorFact(str(A), str(A), 47), SelectorFact(str(B), str(B), 47))
    assert (acquire.tunnel, acquire.index, acquire.packet) == ("Tunnel0", 0, gre)
    assert (acquire.inner_source, acquire.inner_destination, acquire.inner_protocol) == ("10.1.0.2", "10.2.0.2", 1)
    assert [each.dropped for each in outputs if isinstance(each, PacketsHeld)] == [0, 1]
    near.execute(build.install(path, 0x1001, "out"), 1.0)
    near.execute(build.switch(path, 0x1001), 1.0)
    outputs = list(near.outputs())
    assert PacketsReleased(tunnel="Tunnel0", sent=HELD_LIMIT) in outputs
    far.execute(build.install(build.tunnel(far=True), 0x1001, "in"), 1.0)
    list(far.outputs())
    for each in outputs:
        if isinstance(each, ToWire):
            far.from_wire(each.octets, B, A, 1.0)
    assert build.delivered(far) == [ping(number) for number in range(HELD_LIMIT)]
    assert near.held("Tunnel0") == 0


def test_asked_again_after_release_or_some_seconds() -> None:
    """While an SA is pending nothing is asked again, until ten seconds are over, or one after a ReleaseHeld."""
    near = build.forwarder(build.tunnel())

    def asked(now: float) -> int:
        near.from_tunnel("Tunnel0", ping(), now)
        return sum(isinstance(each, Acquire) for each in near.outputs())

    assert [asked(0.0), asked(1.0), asked(ACQUIRE_AGAIN + 0.1)] == [1, 0, 1]
    near.execute(ReleaseHeld("Tunnel0", "no answer"), 10.2)
    assert PacketsHeld(tunnel="Tunnel0", held=0, dropped=3, why="no answer") in list(near.outputs())
    assert [asked(10.3), asked(11.2)] == [0, 1]


def test_a_packet_that_still_waits_is_asked_for_by_tick() -> None:
    """A single packet held while nothing may be asked is not forgotten: the tick asks for it later."""
    near = build.forwarder(build.tunnel())
    near.from_tunnel("Tunnel0", ping(), 0.0)
    near.execute(ReleaseHeld("Tunnel0", "no answer"), 0.1)
    near.from_tunnel("Tunnel0", ping(), 0.2)
    list(near.outputs())
    for now, wanted in ((0.9, 0), (1.1, 1), (2.1, 0), (11.2, 1)):
        near.tick(now)
        assert sum(isinstance(each, Acquire) for each in near.outputs()) == wanted


def test_each_selector_has_its_own_sa() -> None:
    """A packet for the second selector asks for an SA of its own although the first one's is up, and takes its own."""
    path = build.tunnel("ipsec ipv4", ONE, TWO)
    near = build.forwarder(path)
    near.execute(build.install(path, 0x1001, "out", transport=False), 0.0)
    near.execute(build.switch(path, 0x1001), 0.0)
    list(near.outputs())
    assert build.seal(near, ping())[:4] == (0x1001).to_bytes(4, "big")
    second = bytes(IP(src="10.1.0.2", dst="10.3.0.2") / UDP(sport=1000, dport=53))
    near.from_tunnel("Tunnel0", second, 0.0)
    (acquire,) = [each for each in near.outputs() if isinstance(each, Acquire)]
    assert acquire.index == 1
    assert acquire.packet[1] == SelectorFact("10.3.0.2", "10.3.0.2", 17, 53, 53)
    near.execute(build.install(path, 0x1002, "out", transport=False, selectors=TWO), 0.0)
    near.execute(build.switch(path, 0x1002), 0.0)
    (released,) = build.wire(near)
    assert released.octets[:4] == (0x1002).to_bytes(4, "big")
    assert build.seal(near, ping())[:4] == (0x1001).to_bytes(4, "big")


def test_no_selector_no_way() -> None:
    """A packet that no selector covers is dropped, not held and not sent."""
    near = build.forwarder(build.tunnel("ipsec ipv4", ONE))
    near.from_tunnel("Tunnel0", bytes(IP(src="10.9.0.1", dst="10.2.0.2") / b"x"), 0.0)
    assert [type(each) for each in near.outputs()] == [EspDropped]
    assert near.held("Tunnel0") == 0


def test_ipv6_starts_nothing_unless_configured() -> None:
    """An IPv6 packet of the host's own making neither leaves nor asks for an SA."""
    near = build.forwarder(build.tunnel())
    near.from_tunnel("Tunnel0", bytes(IPv6(src="fe80::1", dst="ff02::2")), 0.0)
    assert [type(each) for each in near.outputs()] == [EspDropped]


def test_rekey_overlap_loses_nothing() -> None:
    """During a rekey both inbound SAs open; the new outbound one carries from its switch on."""
    ##= rfc7296#section-2.8.1 type=test
    ##% When there are two SAs eligible to receive packets, a node MUST accept incoming packets through either SA.
    near, far = build.pair_up()
    path, back = build.tunnel(), build.tunnel(far=True)
    late = build.seal(near, ping(1))
    far.execute(build.install(back, 0x1101, "in"), 1.0)
    near.execute(build.install(path, 0x1101, "out"), 1.0)
    list(near.outputs())
    assert build.seal(near, ping(2))[:4] == (0x1001).to_bytes(4, "big")
    near.execute(build.switch(path, 0x1101), 1.0)
    list(near.outputs())
    new = build.seal(near, ping(3))
    assert new[:4] == (0x1101).to_bytes(4, "big")
    for esp in (new, late):
        far.from_wire(esp, B, A, 1.0)
    assert build.delivered(far) == [ping(3), ping(1)]
    far.execute(RemoveSa(0x1001, "in", A, "Tunnel0"), 2.0)
    (removed,) = [each for each in far.outputs() if isinstance(each, EspRemoved)]
    assert (removed.spi, removed.packets) == ("00001001", 1)
    near.execute(RemoveSa(0x1001, "out", B, "Tunnel0"), 2.0)
    list(near.outputs())
    assert build.seal(near, ping(4))[:4] == (0x1101).to_bytes(4, "big")


def test_a_packet_that_overtook_its_sa_is_delivered_once_the_sa_is_there() -> None:
    """A responder sends as soon as its response left; half a second later such a packet is nobody's."""
    for waits, arrives in ((0.4, [ping(1)]), (0.6, [])):
        near, far = build.pair_up()
        path, back = build.tunnel(), build.tunnel(far=True)
        near.execute(build.install(path, 0x1101, "out"), 1.0)
        near.execute(build.switch(path, 0x1101), 1.0)
        list(near.outputs())
        early = build.seal(near, ping(1))
        far.from_wire(early, B, A, 1.0)
        assert build.delivered(far) == []
        far.execute(build.install(back, 0x1101, "in"), 1.0 + waits)
        assert build.delivered(far) == arrives
        far.execute(RemoveSa(0x1101, "in", A, "Tunnel0"), 2.0)
        far.execute(build.install(back, 0x1101, "in"), 2.0)
        assert build.delivered(far) == [], "delivered once"


def test_removed_outbound_leaves_nothing_in_clear() -> None:
    """Once the last outbound SA is gone, traffic waits and asks again at once."""
    near, _ = build.pair_up()
    build.seal(near, ping())
    near.execute(RemoveSa(0x1001, "out", B, "Tunnel0"), 1.0)
    near.from_tunnel("Tunnel0", ping(), 1.0)
    outputs = list(near.outputs())
    assert not [each for each in outputs if isinstance(each, ToWire)]
    assert [each for each in outputs if isinstance(each, Acquire)]


def test_inner_packet_outside_the_selectors_is_discarded() -> None:
    """A verified packet whose addresses are not the SA's selectors is not delivered (RFC 4301 section 5.2)."""
    narrow = build.tunnel("ipsec ipv4", ONE, far=True)
    far = build.forwarder(narrow)
    far.execute(build.install(narrow, 0x1001, "in", transport=False), 0.0)
    wide = build.tunnel("ipsec ipv4")
    near = build.forwarder(wide)
    near.execute(build.install(wide, 0x1001, "out", transport=False), 0.0)
    near.execute(build.switch(wide, 0x1001), 0.0)
    list(near.outputs())
    list(far.outputs())
    far.from_wire(build.seal(near, bytes(IP(src="10.9.0.9", dst="10.2.0.2") / b"x")), B, A, 0.0)
    (dropped,) = far.outputs()
    assert isinstance(dropped, EspDropped)
    assert str(dropped.found).startswith("10.9.0.9 -> 10.2.0.2 protocol ") and " -> " in str(dropped.wanted)
    packet = build.seal(near, ping())
    far.from_wire(packet, B, A, 0.0)
    assert build.delivered(far) == [ping()]
    far.from_wire(packet, B, A, 5.0)
    (replayed,) = far.outputs()
    assert isinstance(replayed, EspDropped) and replayed.found == "2" and "above 2" in str(replayed.wanted)
    far.from_wire(build.seal(near, ping()), B, A, 6.0)
    assert build.delivered(far) == [ping()]


def test_dummy_packet_is_dropped_silently() -> None:
    """Next header 59 is no packet and no error; TFC padding behind a packet is cut off (RFC 4303 sections 2.6, 2.7)."""
    _, far = build.pair_up(mode="ipsec ipv4", transport=False)
    sealer = EspSealer(build.GCM, build.keys(build.GCM, 0x1001 % 200).encryption)
    far.from_wire(sealer.seal(0x1001, 1, 0, b"anything!!" + bytes((0, 59))), B, A, 0.0)
    assert [type(each) for each in far.outputs()] == [Traffic]
    padded = ping() + bytes(100)
    pad = -(len(padded) + 2) % 4
    trailer = bytes(range(1, pad + 1)) + bytes((pad, 4))
    far.from_wire(sealer.seal(0x1001, 2, 0, padded + trailer), B, A, 0.0)
    assert build.delivered(far) == [ping()]
    far.from_wire(sealer.seal(0x1001, 3, 0, ping() + b"\x01\x07" + bytes((2, 4))), B, A, 0.0)
    assert build.delivered(far) == []
    assert far.drops == {"ESP padding is not 1, 2, 3 ...": 1}


def test_soft_and_hard_limit() -> None:
    """At 90 % of the kilobytes the SA reports itself once for a rekey; at the limit it carries nothing more."""
    near, _ = build.pair_up(kilobytes=10)
    told = []
    for number in range(20):
        near.from_tunnel("Tunnel0", ping(number, size=996), 0.0)  # 1028 octets with GRE
        told += [each for each in near.outputs() if isinstance(each, Expired | ToWire)]
    expired = [each for each in told if isinstance(each, Expired)]
    assert expired == [Expired(0x1001, "out", False), Expired(0x1001, "out", True)]
    assert told.index(expired[0]) == 9
    assert sum(isinstance(each, ToWire) for each in told) == 10


def test_peer_moved_is_reported_once() -> None:
    """A verified packet from another port is reported once for each path; a forged one never; UpdatePath follows."""
    near, far = build.pair_up(udp=True)
    new = Destination(B, 4500, ip_address("203.0.113.9"), 61000)
    first = build.seal(near, ping(1))
    far.from_wire(first[:-1] + b"!", B, new.remote, 0.0, udp=True, remote_port=new.remote_port)
    assert not [each for each in far.outputs() if isinstance(each, PeerMoved)]
    for esp in (first, build.seal(near, ping(2))):
        far.from_wire(esp, B, new.remote, 0.0, udp=True, remote_port=new.remote_port)
    assert [each for each in far.outputs() if isinstance(each, PeerMoved)] == [PeerMoved(0x1001, new)]
    far.execute(UpdatePath(0x2001, "Tunnel0", new, True), 0.0)
    far.from_wire(build.seal(near, ping(3)), B, new.remote, 0.0, udp=True, remote_port=new.remote_port)
    assert not [each for each in far.outputs() if isinstance(each, PeerMoved)]
    far.from_tunnel("Tunnel0", ping(reply=True), 0.0)
    (sent,) = build.wire(far)
    assert (sent.path, sent.udp) == (new, True)


def test_udp_is_taken_by_an_sa_without_it() -> None:
    """UDP-encapsulated ESP is processed although no NAT was found (RFC 7296 section 2.23)."""
    near, far = build.pair_up()
    far.from_wire(build.seal(near, ping()), B, A, 0.0, udp=True, remote_port=500)
    assert build.delivered(far) == [ping()]


def test_drops_are_counted_and_told_at_most_each_second() -> None:
    """A flood of unknown SPIs is one event at once and one with the count when the second is over."""
    _, far = build.pair_up()
    for number in range(1000):
        far.from_wire((0x5000 + number).to_bytes(4, "big") + bytes(40), B, A, 10.0)
    assert [each.count for each in far.outputs() if isinstance(each, EspDropped)] == [1]
    far.tick(11.5)
    assert [each.count for each in far.outputs() if isinstance(each, EspDropped)] == [999]
    assert far.drops == {"no SA has this SPI": 1000}


def test_traffic_is_reported_at_most_each_second_and_by_tick() -> None:
    """The engine hears of the first packet at once and of the rest within a second, with the time of the last."""
    near, _ = build.pair_up()
    for number in range(5):
        near.from_tunnel("Tunnel0", ping(number), 1.0 + number / 10)
    assert [each.packets for each in near.outputs() if isinstance(each, Traffic)] == [1]
    near.tick(2.0)
    (report,) = [each for each in near.outputs() if isinstance(each, Traffic)]
    assert (report.packets, report.last) == (5, 1.4)
    near.tick(3.0)
    assert list(near.outputs()) == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spi": 255}, "SPI: had 255, wanted 256 to 4294967295"),
        ({"material": EspKeys(b"short", b"")}, "encryption key: had 5, wanted 20"),
        ({"material": EspKeys(bytes(20), b"x")}, "integrity key: had 1, wanted 0"),
        ({"spi": 0x2001}, "SPI 00002001 is installed already"),
    ],
)
def test_what_cannot_be_installed_is_refused(change: dict[str, object], why: str) -> None:
    """An SPI in use or reserved and keys of a wrong length are Refused with what was had and wanted."""
    near, _ = build.pair_up()
    near.execute(build.install(build.tunnel(), **({"spi": 0x3001, "direction": "in"} | change)), 0.0)  # type: ignore[arg-type]
    (refused,) = list(near.outputs())
    assert isinstance(refused, Refused)
    assert refused.why == why


def test_switch_to_nothing_is_told() -> None:
    """Switching to an SA that is not there leaves traffic as it was and says so."""
    near, _ = build.pair_up()
    near.execute(build.switch(build.tunnel(), 0x7777), 0.0)
    assert [type(each) for each in near.outputs()] == [PlaneFailed]
    assert build.seal(near, ping())[:4] == (0x1001).to_bytes(4, "big")


@pytest.mark.parametrize("of", build.SUITES, ids=lambda of: of.text)
@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize(("gre", "transport"), [(True, True), (True, False), (False, False)])
def test_tunnel_mtu_is_exact(of: EspSuite, udp: bool, gre: bool, transport: bool) -> None:
    """A packet of the tunnel's MTU fits the path, one octet more does not, for every path MTU of a stretch."""
    near, _ = build.pair_up(of, mode="gre ip" if gre else "ipsec ipv4", transport=transport, udp=udp)
    for path_mtu in (*range(576, 580), 1280, 1400, 1500):
        fits = tunnel_mtu(path_mtu, of, udp=udp, gre=gre, transport=transport)
        for size, wanted in ((fits, True), (fits + 1, False)):
            outer = 20 + 8 * udp + len(build.seal(near, ping(size=size - 28)))
            assert (outer <= path_mtu) == wanted


def test_mutated_packets_deliver_nothing() -> None:
    """Of 20,000 mutated, truncated and extended packets none is delivered and none raises."""
    seed = random.Random(20240229)
    sources = []
    for of in (build.GCM, build.CBC_SHA1):
        near, far = build.pair_up(of)
        sources.append((far, [build.seal(near, ping(number, size=number * 7)) for number in range(10)]))
    for number in range(20_000):
        far, packets = sources[number % 2]
        octets = bytearray(seed.choice(packets))
        choice = seed.randrange(4)
        if choice == 0:
            del octets[seed.randrange(len(octets)) :]
        elif choice == 1:
            octets += seed.randbytes(seed.randrange(1, 9))
        else:
            octets[seed.randrange(len(octets))] ^= seed.randrange(1, 256)
        far.from_wire(bytes(octets), B, A, number / 1000)
        assert not build.delivered(far)


@pytest.mark.parametrize("transport", [True, False])
def test_gre_over_ipv6_carries_both_families(transport: bool) -> None:
    """A GRE tunnel between IPv6 addresses carries IPv4, and IPv6 where that is on."""
    here, there = ip_address("2001:db8::1"), ip_address("2001:db8::2")
    pair = Selectors((SelectorFact(str(here), str(here), 47),), (SelectorFact(str(there), str(there), 47),))
    back = Selectors(pair.remote, pair.local)
    near_path = TunnelPath(
        name="Tunnel0", mode="gre ipv6", source=here, destination=there, selectors=(pair,), ipv6=True
    )
    far_path = TunnelPath(name="Tunnel0", mode="gre ipv6", source=there, destination=here, selectors=(back,), ipv6=True)
    near, far = build.forwarder(near_path), build.forwarder(far_path)
    near.execute(build.install(near_path, 0x1001, "out", transport=transport), 0.0)
    near.execute(build.switch(near_path, 0x1001), 0.0)
    far.execute(build.install(far_path, 0x1001, "in", transport=transport), 0.0)
    list(near.outputs())
    list(far.outputs())
    six = make_echo(Echo(ip_address("2001:db8:1::1"), ip_address("2001:db8:2::1"), False, 1, 1, b"six"))
    for packet in (ping(), six):
        far.from_wire(build.seal(near, packet), there, here, 0.0)
        assert build.delivered(far) == [packet]


def test_sequence_numbers_end_before_they_cycle() -> None:
    """Without extended numbers the 2^32nd packet is never sent; at 90 % of them the SA asks for a rekey."""
    path = build.tunnel()
    sa = OutboundSa(build.install(path, 0x1001, "out"), SelectorPair.of(path.selectors[0]), 0)
    sa.sequence = int(0.9 * 0xFFFFFFFF) - 1
    assert not sa.soft_due
    sa.sequence += 1
    sa.seal(ping(), 4, 0.0)
    assert sa.soft_due
    assert not sa.soft_due
    sa.sequence = 0xFFFFFFFE
    assert not sa.exhausted
    sa.seal(ping(), 4, 0.0)
    assert sa.exhausted


@pytest.mark.parametrize("of", [build.SUITES[1], build.SUITES[4]], ids=lambda of: of.text)
def test_extended_numbers_cross_two_to_the_32(of: EspSuite) -> None:
    """With ESN a pair of SAs goes on beyond 2^32 packets, and one of the last before is still taken."""
    path, back = build.tunnel(), build.tunnel(far=True)
    near = OutboundSa(build.install(path, 0x1001, "out", of), SelectorPair.of(path.selectors[0]), 0)
    far = InboundSa(build.install(back, 0x1001, "in", of), SelectorPair.of(back.selectors[0]), 0)
    near.sequence = 0xFFFFFFF0
    far.window.accept(0xFFFFFFF0)
    packets = [near.seal(ping(number), 4, 0.0) for number in range(40)]
    late = packets.pop(3)
    for packet in (*packets, late):
        assert far.open(packet).next_header == 4
    with pytest.raises(EspError, match="replayed"):
        far.open(late)


def test_a_peer_cannot_make_reasons() -> None:
    """What a hostile peer puts into a packet is compared in the event, and counted under one name."""
    near, far = build.pair_up(mode="gre ip", transport=True)
    sa = near._outbound["Tunnel0", 0x1001]
    for number in range(50):
        payload = (0x4000 + number).to_bytes(2, "big") + b"\x08\x00" + ping()
        far.from_wire(sa.seal(payload, 47, 0.0), B, A, 2.0 * number)
    assert far.drops == {"GRE flags and version": 50}
    (first, *_) = [one for one in far.outputs() if isinstance(one, EspDropped)]
    assert (first.found, first.wanted) == ("0x4000", "none of 0x4C07")
