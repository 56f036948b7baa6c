"""The peers themselves: two strongSwans bring up, rekey and delete a tunnel, and tshark reads all of it.

What is proven here is the ground that the tests of ikescope against strongSwan stand on.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import charonkeys
from tests.support.netns import HOST_A, HOST_B, WAN_B, Topology
from tests.support.process import wait_until
from tests.support.strongswan import Connection, Strongswan
from tests.support.tshark import assert_clean, capturing, decode, environment, program, unopened, write_tables
from tests.support.vici import ViciError

Start = Callable[..., Strongswan]
Site = Callable[..., Connection]

SUITES = [
    ("aes256-sha512-ecp256", "aes128-sha1"),
    ("aes128gcm16-prfsha256-x25519", "aes128gcm16-x25519"),
    ("aes256-sha256-modp2048", "aes256-sha256-modp2048"),
]


def bring_up(
    net: Topology, charon: Start, site: Site, *, log_keys: bool = False, **options: str
) -> tuple[Strongswan, Strongswan]:
    """Two charons with an established tunnel, a the initiator."""
    a, b = charon(net.gw_a, log_keys=log_keys), charon(net.gw_b)
    a.load(site("a", **options))
    b.load(site("b", **options))
    a.initiate()
    return a, b


def spis(charon: Strongswan) -> tuple[str, str]:
    """The SPIs of its one established IKE SA."""
    (sa,) = charon.established()
    return sa["initiator-spi"], sa["responder-spi"]


@pytest.mark.parametrize(("ike", "esp"), SUITES)
def test_ping_passes_both_ways(net: Topology, charon: Start, site: Site, ike: str, esp: str) -> None:
    """Each suite that ikescope is proven with brings up a tunnel that carries traffic both ways."""
    assert net.host_a.ping(HOST_B, count=1, wait=0.2).lost == 1
    bring_up(net, charon, site, ike=ike, esp=esp)
    assert net.host_a.ping(HOST_B).lost == 0
    assert net.host_b.ping(HOST_A, size=1000).lost == 0


def test_rekeys_under_traffic(net: Topology, charon: Start, site: Site, tmp_path: Path) -> None:
    """A Child SA rekey from one side and an IKE SA rekey from the other change every SPI; traffic goes on."""
    a, b = bring_up(net, charon, site)
    old_ike, old_child = spis(a), a.children()[0]["spi-in"]
    with net.host_a.pinging(HOST_B, directory=tmp_path) as ping:
        a.rekey(child="net")
        wait_until("one new Child SA", lambda: [c["spi-in"] != old_child for c in a.children()] == [True])
        b.rekey(ike="peer")
        wait_until("a new IKE SA", lambda: [s["initiator-spi"] != old_ike[0] for s in a.established()] == [True])
    assert ping.received > ping.lost
    assert spis(a) == spis(b)


def test_delete_reaches_the_peer(net: Topology, charon: Start, site: Site) -> None:
    """A Child SA and then the IKE SA deleted on one side are gone on the other."""
    a, b = bring_up(net, charon, site)
    b.terminate(child="net")
    wait_until("no Child SA at a", lambda: not a.children())
    assert a.established()
    a.terminate(ike="peer")
    wait_until("no IKE SA at b", lambda: not b.sas())


def test_wrong_key_is_refused(net: Topology, charon: Start, site: Site) -> None:
    """With unequal keys nothing stands and the initiator learns AUTHENTICATION_FAILED."""
    a, b = charon(net.gw_a), charon(net.gw_b)
    a.load(site("a", psk="one key"))
    b.load(site("b", psk="another key"))
    with pytest.raises(ViciError):
        a.initiate()
    a.wait_for_log("received AUTHENTICATION_FAILED")
    assert a.sas() == b.sas() == []


def test_a_killed_peer_says_nothing(net: Topology, charon: Start, site: Site) -> None:
    """A charon that is killed sends no Delete: its peer still holds the SA."""
    a, b = bring_up(net, charon, site)
    a.kill()
    assert b.established()


@pytest.mark.parametrize(("ike", "esp"), SUITES)
def test_tshark_opens_the_capture(net: Topology, charon: Start, site: Site, tmp_path: Path, ike: str, esp: str) -> None:
    """A capture of set-up, rekeys and delete decodes without a malformed mark and opens with every ICV correct."""
    with capturing(net.gw_b, tmp_path / "wire.pcap") as capture:
        a, _ = bring_up(net, charon, site, ike=ike, esp=esp, log_keys=True)
        made = [spis(a)]
        assert net.host_a.ping(HOST_B).lost == 0
        a.rekey(child="net")
        a.wait_for_log(r"outbound CHILD_SA net\{2\} established")
        a.rekey(ike="peer")
        wait_until("a new IKE SA", lambda: [s["initiator-spi"] != made[0][0] for s in a.established()] == [True])
        made.append(spis(a))
        assert net.host_a.ping(HOST_B).lost == 0
        a.terminate(ike="peer")
        log = a.log()
    tables = charonkeys.tables(log, made, tmp_path / "keys")
    packets = decode(capture, tables=tables)
    assert_clean(packets)
    assert unopened(packets) == []
    assert {packet.value("isakmp.exchangetype") for packet in packets} >= {"34", "35", "36", "37"}
    assert sum("icmp" in packet.protocols and "esp" in packet.protocols for packet in packets) == 12


def test_wrong_tables_are_noticed(net: Topology, charon: Start, site: Site, tmp_path: Path) -> None:
    """The judge of captures is no rubber stamp: without keys, or with a wrong one, it names the packets."""
    with capturing(net.gw_a, tmp_path / "wire.pcap") as capture:
        a, _ = bring_up(net, charon, site, log_keys=True)
        made = [spis(a)]
        assert net.host_a.ping(HOST_B, count=1).lost == 0
        log = a.log()
    assert len(unopened(decode(capture))) == 4
    tables = charonkeys.tables(log, made, tmp_path / "keys")
    lines = (tables / "ikev2_decryption_table").read_text().splitlines()
    first, *rest = lines[0].split(",")
    rest[-3] = "00" * 64
    esp = (tables / "esp_sa").read_text().splitlines()
    wrong = write_tables(tmp_path / "wrong", ike=[",".join([first, *rest])], esp=esp)
    complaints = unopened(decode(capture, tables=wrong))
    assert complaints
    assert all("[incorrect" in complaint for complaint in complaints)


def test_the_unpacked_ping_agrees(net: Topology) -> None:
    """Our own ping and Debian's tell the same of the same path: every request answered."""
    assert net.gw_a.ping(WAN_B, count=2).received == 2
    done = net.gw_a.run(program("ping"), "-n", "-c", "2", "-i", "0.2", WAN_B, env=environment())
    assert " 0% packet loss" in done.stdout
