"""Bad ESP at a whole router: dropped, counted by IOS's names, told now and then, never answered."""

import pytest
from tests.support.world import Pair, Side, pair

from ikescope.events.router import EspDropped, TunnelMtuChanged
from ikescope.ios.show_ipsec import ipsec_sa
from ikescope.ios.syslog import lines

HEAD = bytes.fromhex("00000800")


def counted(one: Pair) -> dict[str, int]:
    """The counters of `show crypto ipsec sa detail` at R2, those that are not zero."""
    station = one.station("R2")
    status = station.node.status(one.world.now)
    found = {}
    for line in ipsec_sa(status, station.config, detail=True):
        for part in line.split(","):
            words = part.replace(":", "").split()
            if words and words[0] in ("#pkts", "##pkts") and words[-1] != "0" and words[1:-1] not in WELL:
                found[" ".join(words[1:-1])] = int(words[-1])
    return found


WELL = [[word] for word in ("encaps", "decaps", "encrypt", "decrypt", "digest", "verify")]


def arrives(one: Pair, octets: bytes) -> list[str]:
    """An ESP packet at R2 from R1, and a second; the syslog lines that come of it."""
    station, before = one.station("R2"), len(one.station("R2").records)
    path = station.plane._forwarder._tunnels["Tunnel0"].path
    station.plane.esp_from_ip(octets, path.source, path.destination, one.world.now)
    one.world.settle(station)
    one.world.run(1.1)
    return [text for record in station.records[before:] for text in lines(record, stamps=False)]


@pytest.fixture(name="one")
def fixture() -> Pair:
    """R1 and R2 with a tunnel up."""
    return pair(Side(mode="acl")).up()


def test_each_kind_has_its_counter_and_its_word(one: Pair) -> None:
    """Truncated, changed, replayed, of no SA, outside the selectors: IOS's counter and message for each."""
    (sa,) = one.station("R1").plane._forwarder._outbound.values()
    inner = bytes.fromhex("4500001c00000000401100000a0100090a020009") + bytes(8)
    stranger = inner[:12] + bytes((198, 51, 100, 7)) + inner[16:]
    good = sa.seal(inner, 4, 0.0)
    arrives(one, good)
    told = [
        *arrives(one, good),
        *arrives(one, sa.seal(inner, 4, 0.0)[:-1] + b"\xff"),
        *arrives(one, sa.seal(inner, 4, 0.0)[:30]),
        *arrives(one, sa.seal(stranger, 4, 0.0)),
        *arrives(one, bytes.fromhex("00abcdef") + good[4:]),
    ]
    assert [line.split(":")[0] for line in told] == [
        "%CRYPTO-4-PKT_REPLAY_ERR",
        "%CRYPTO-4-RECVD_PKT_MAC_ERR",
        "%CRYPTO-4-RECVD_PKT_MAC_ERR",
        "%CRYPTO-4-IKESCOPE_ESP_DROP",
        "%CRYPTO-4-RECVD_PKT_INV_SPI",
    ]
    assert "destaddr=192.0.2.2, prot=50, spi=0x00ABCDEF(11259375), srcaddr=192.0.2.1" in told[-1]
    assert counted(one) == {
        "replay failed (rcv)": 1,
        "verify failed": 2,
        "invalid identity (recv)": 1,
        "invalid sa (rcv)": 1,
    }


def test_a_flood_is_one_event_a_second_with_its_count(one: Pair) -> None:
    """A thousand bad packets of a kind in a second are two events; the counter has them all."""
    (sa,) = one.station("R1").plane._forwarder._outbound.values()
    bad = sa.seal(bytes(64), 4, 0.0)[:-1] + b"\xff"
    station = one.station("R2")
    path = station.plane._forwarder._tunnels["Tunnel0"].path
    mails = len(one.world.mail)
    for _ in range(1000):
        station.plane.esp_from_ip(bad, path.source, path.destination, one.world.now)
    one.world.run(2)
    station.plane.tick(one.world.now)
    one.world.settle(station)
    one.world.run(3)
    assert [event.count for event in one.events("R2", EspDropped)] == [1, 999]
    assert counted(one) == {"verify failed": 1000}
    assert len(one.world.mail) == mails, "nothing is answered"


def test_a_tunnel_shows_the_mtu_that_its_device_has(one: Pair) -> None:
    """`show interfaces` has what the data plane gave the device, not what it began with."""
    station = one.station("R2")
    assert station.node.status(one.world.now).tunnels[0].mtu == 1400
    station.node.emit(TunnelMtuChanged(tunnel="Tunnel0", before=1400, after=1446, path=1500), one.world.now)
    assert station.node.status(one.world.now).tunnels[0].mtu == 1446
