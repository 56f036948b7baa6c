"""ESP with an SPI that is not here: its sender is told where an IKE SA stands, and makes a new Child SA."""

from tests.support.world import Pair, pair

from ikescope.engine.children import REMEMBERED
from ikescope.engine.commands import ClearChild, RemoveSa
from ikescope.events.life import ChildSaClosed, CloseReason
from ikescope.events.router import EspDropped
from ikescope.wire.registry import ExchangeType

INFO = ExchangeType.INFORMATIONAL


def lose_inbound(one: Pair, name: str) -> int:
    """A router's data plane loses its inbound ESP SA, and nobody there is told."""
    child = one.one_child(name)
    station = one.station(name)
    peer = one.one_ike(name).path.remote
    station.plane.execute(RemoveSa(child.inbound, "in", peer, child.tunnel), one.world.now)
    station.plane.take()
    return child.inbound


def test_the_sender_of_an_unknown_spi_makes_a_new_child_sa() -> None:
    """I: ESP(lost SPI); R: INFORMATIONAL N(INVALID_SPI); I: empty answer, D(ESP); the next packet makes another."""
    ##= rfc7296#section-1.5 type=test
    ##% In the first case, if the receiving node has an active IKE SA to the
    ##% IP address from whence the packet came, it MAY send an INVALID_SPI
    ##% notification of the wayward packet over that IKE SA in an
    ##% INFORMATIONAL exchange.
    one = pair().up()
    one.world.run(60)
    spi = lose_inbound(one, "R2")
    one.ping("R1")
    one.world.run(3)
    (closed,) = one.events("R1", ChildSaClosed)
    assert closed.cause is CloseReason.PEER_FORGOT
    assert closed.reason == f"the peer does not have SPI {spi:08x} (INVALID_SPI)"
    ping = one.ping("R1")
    assert one.world.until(lambda: ping.received is not None, 5)
    one.world.run(10)
    assert len(one.children("R1")) == 1


def test_it_is_told_once_in_ten_seconds() -> None:
    """R1 sends a packet a second; R2 tells it once, whatever else comes."""
    one = pair().up()
    lose_inbound(one, "R2")
    before = len(one.sent("R2", INFO, response=False))
    for _ in range(9):
        one.ping("R1")
        one.world.run(1.0)
    assert len(one.sent("R2", INFO, response=False)) == before + 1
    assert len(one.children("R1")) == 1, "a Child SA as young as this one is left alone"
    assert one.events("R2", EspDropped)


def test_without_an_ike_sa_nobody_is_told() -> None:
    """An ESP packet of a stranger, or of a peer whose IKE SA is gone, is counted and not answered."""
    one = pair().up()
    for name in ("R1", "R2"):
        one.core(name).sas.clear()
    mails = len(one.world.mail)
    plane = one.station("R2").plane
    path = one.station("R1").plane._forwarder._tunnels["Tunnel0"].path
    for spi in range(0x100, 0x200):
        plane.esp_from_ip(spi.to_bytes(4, "big") + bytes(60), path.destination, path.source, one.world.now)
    one.world.settle(one.station("R2"))
    one.world.run(5)
    assert len(one.world.mail) == mails
    assert plane._forwarder.drops == {"no SA has this SPI": 256}


def test_packets_on_their_way_are_nobody_s_fault() -> None:
    """An SPI that was given up a moment ago is not told: R1 may not have heard of it yet."""
    one = pair().up()
    core, station = one.core("R2"), one.station("R2")
    path = station.plane._forwarder._tunnels["Tunnel0"].path
    for spi, told in ((0xABCDEF, 0), (0xFEDCBA, 1)):
        core.spis_gone[0xABCDEF] = one.world.now
        before = len(one.sent("R2", INFO, response=False))
        station.plane.esp_from_ip(spi.to_bytes(4, "big") + bytes(60), path.source, path.destination, one.world.now)
        one.world.settle(station)
        one.world.run(2)
        assert len(one.sent("R2", INFO, response=False)) - before == told


def test_what_is_remembered_is_bounded() -> None:
    """However many Child SAs an IKE SA has had, the SPIs that are known to be gone stay few."""
    one = pair().up()
    one.core("R2").spis_gone.update(dict.fromkeys(range(1000), 0.0))
    one.ask("R2", ClearChild())
    one.world.run(10)
    assert len(one.core("R2").spis_gone) == REMEMBERED
