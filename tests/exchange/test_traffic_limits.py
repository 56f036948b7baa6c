"""What traffic, or the lack of it, does to a Child SA: octet lifetimes, sequence numbers, idle time, the window."""

from ipaddress import ip_address

import pytest
from tests.support.world import BOTH, Pair, Side, pair

from ikescope.esp.packet import UDP, ip_packet
from ikescope.esp.sa import InboundSa, OutboundSa
from ikescope.events.life import ChildSaClosed, ChildSaRekeyed, CloseReason
from ikescope.events.router import EspDropped

IDLE = ("set security-association idle-time 60",)
DATA = ip_packet(ip_address("10.1.0.9"), ip_address("10.2.0.9"), UDP, bytes(1300))


def outbound(one: Pair, name: str) -> OutboundSa:
    """The one outbound ESP SA of a router."""
    (sa,) = one.station(name).plane._forwarder._outbound.values()
    return sa


def inbound(one: Pair, name: str) -> InboundSa:
    """The one inbound ESP SA of a router."""
    (sa,) = one.station(name).plane._forwarder._inbound.values()
    return sa


def test_a_child_sa_is_rekeyed_before_its_octets_are_used_up() -> None:
    """I: 2,400 KB; I: CREATE_CHILD_SA (rekey), D(old): at 90 % of 2,560 KB, and no packet is lost."""
    one = pair(Side(ipsec=("set security-association lifetime kilobytes 2560",))).up()
    for _ in range(2400 * 1024 // len(DATA)):
        one.world.inject("R1", DATA)
    one.keep_pinging(every=1.0, seconds=10)
    assert len(one.events("R1", ChildSaRekeyed)) == 1
    assert one.lost() == []
    one.agree()


def test_the_default_lifetime_in_octets_is_iosses() -> None:
    """4,608,000 KB unless it is configured or disabled, and the data plane holds itself to it."""
    one = pair().up()
    assert outbound(one, "R1")._hard == 4608000 * 1024
    endless = pair(Side(ipsec=("set security-association lifetime kilobytes disable",))).up()
    assert outbound(endless, "R1")._hard is None


def test_sequence_numbers_that_run_out_rekey() -> None:
    """I: packet 0.9 * 2^32; I: CREATE_CHILD_SA (rekey), D(old): numbers begin anew, and nothing is lost."""
    one = pair().up()
    outbound(one, "R1").sequence = inbound(one, "R2").window.top = int(0.9 * 2**32)
    one.keep_pinging(every=1.0, seconds=10)
    assert len(one.events("R1", ChildSaRekeyed)) == 1
    assert one.lost() == []
    assert outbound(one, "R1").sequence < 100
    one.agree()


def test_without_a_rekey_no_sequence_number_is_used_twice() -> None:
    """The last number is sent, the next packet is not: the SA carries nothing more."""
    one = pair().up()
    sa = outbound(one, "R1")
    sa.sequence, sa.soft_told = 2**32 - 2, True
    inbound(one, "R2").window.top = 2**32 - 2
    for _ in range(3):
        one.world.inject("R1", DATA)
    assert sa.sequence == 2**32 - 1
    reasons = [event.reason for event in one.events("R1", EspDropped)]
    assert reasons[:1] == ["the SA reached its limit by traffic"]


@pytest.mark.parametrize("by", BOTH)
def test_an_idle_child_sa_is_deleted(by: str) -> None:
    """(60 s without a packet) I: D(ESP): with IOS's idle-time at one end; the next packet makes another one."""
    sides = {name: Side(ipsec=IDLE if name == by else ()) for name in BOTH}
    one = pair(sides["R1"], sides["R2"]).up()
    one.world.run(50)
    assert len(one.children("R1")) == 1
    one.ping("R1")
    one.world.run(55)
    assert len(one.children("R1")) == 1
    one.world.run(20)
    assert one.children("R1") == one.children("R2") == []
    (closed,) = one.events(by, ChildSaClosed)
    assert closed.cause is CloseReason.IDLE
    assert closed.reason == "no packet passed for 60 s"
    one.up()
    assert one.lost() == []


def test_a_rekey_is_no_traffic() -> None:
    """I: CREATE_CHILD_SA (rekey) at 40 s; what replaced an idle Child SA is idle since that one was."""
    one = pair(Side(ipsec=IDLE, child_lifetime=120)).up()
    one.world.run(125)
    closed = [event.cause for event in one.events("R1", ChildSaClosed) + one.events("R2", ChildSaClosed)]
    assert CloseReason.IDLE in closed and CloseReason.LIFETIME not in closed
    assert one.children("R1") == []


def test_an_idle_tunnel_waits_for_traffic() -> None:
    """A tunnel of `tunnel mode ipsec` does not come up by itself where an idle time would only take it down again."""
    one = pair(Side(mode="any", ipsec=IDLE))
    one.world.run(90)
    assert one.children("R1") == []
    one.up()


@pytest.mark.parametrize("size", [64, 128, 256, 512, 1024])
def test_the_replay_window_is_as_wide_as_configured(size: int) -> None:
    """`set security-association replay window-size`: a packet so far behind passes once, one further is dropped."""
    one = pair(Side(ipsec=(f"set security-association replay window-size {size}",))).up()
    sender, forwarder = outbound(one, "R1"), one.station("R2").plane._forwarder
    sealed = [sender.seal(bytes.fromhex("00000800") + DATA, 47, 0.0) for _ in range(size + 2)]
    here, there = sender.path.remote, sender.path.local

    def arrives(octets: bytes) -> int:
        before = inbound(one, "R2").packets
        forwarder.from_wire(octets, here, there, one.world.now)
        return inbound(one, "R2").packets - before

    assert arrives(sealed[-1]) == 1
    assert [arrives(sealed[2]), arrives(sealed[2]), arrives(sealed[1]), arrives(sealed[0])] == [1, 0, 0, 0]
    assert forwarder.drops == {"sequence number replayed or outside the window": 3}
