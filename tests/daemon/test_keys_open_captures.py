"""The key files of a running router against Wireshark."""

from pathlib import Path

import pytest
from tests.daemon.routers import R1, R2, start
from tests.support.netns import HOST_B, topology
from tests.support.process import wait_until
from tests.support.tshark import assert_clean, capturing, decode, unopened

from ikescope.daemon.client import Client

GCM = """
crypto ikev2 proposal P
 encryption aes-gcm-128
 prf sha256
 group 31
crypto ikev2 policy P
 proposal P
crypto ipsec transform-set T esp-gcm
 mode tunnel
crypto ipsec profile default
 set transform-set T
 set ikev2-profile default
"""


@pytest.mark.peers
@pytest.mark.netns
@pytest.mark.tun
@pytest.mark.parametrize("suite", ["", GCM], ids=["smart-defaults", "gcm"])
def test_wireshark_opens_all_that_passed_with_our_keys(tmp_path: Path, suite: str) -> None:
    """Handshake, ESP, both rekeys, liveness and delete: each packet is well-formed and opens with a correct ICV."""
    with (
        topology("dw") as net,
        start(net.gw_b, R2 + suite, tmp_path, "R2"),
        start(net.gw_a, R1 + suite, tmp_path, "R1", "--write-keys", str(tmp_path / "keys")),
        capturing(net.gw_a, tmp_path / "wan.pcap", expression="udp port 500 or udp port 4500 or esp") as capture,
        Client(tmp_path / "R1.sock") as client,
    ):
        lost = net.host_a.ping(HOST_B, count=3).lost
        for command in ("test crypto ikev2 rekey child", "test crypto ikev2 rekey ike"):
            before = {sa["spi_local"] for sa in client.ask({"status": True})["status"]["ike"]}
            client.command(command)
            lost += net.host_a.ping(HOST_B, count=2).lost
        wait_until(
            "the rekeyed IKE SA stands alone",
            lambda: before.isdisjoint(sa["spi_local"] for sa in client.ask({"status": True})["status"]["ike"]),
        )
        client.command("test crypto ikev2 liveness")
        client.command("clear crypto ikev2 sa")
        wait_until("the IKE SA is gone", lambda: not client.ask({"status": True})["status"]["ike"])
    packets = decode(capture, tables=tmp_path / "keys")
    assert lost == 0
    assert_clean(packets)
    assert unopened(packets) == []
    kinds = {packet.value("isakmp.exchangetype") for packet in packets}
    assert {"34", "35", "36", "37"} <= kinds
    assert any("esp" in packet.protocols for packet in packets)
