"""Captures written again: comments, and with keys what is inside ESP."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import GRE
from tests.capture.session import tables, wire
from tests.support.world import Side, pair

from ikescope.capture import annotated, packets, pcapng
from ikescope.capture.frames import udp_packet
from ikescope.capture.inner import EspTable
from ikescope.cli import main
from ikescope.engine.commands import Rekey
from ikescope.errors import LocalError


@pytest.mark.parametrize(("mode", "suite"), [("gre", "cbc"), ("gre", "gcm"), ("acl", "sha256"), ("acl", "gcm")])
@pytest.mark.parametrize("encapsulated", [False, True])
def test_what_esp_holds_comes_out_with_its_keys(tmp_path: Path, mode: str, suite: str, encapsulated: bool) -> None:
    """Every ESP packet, before and after a rekey, gives the packet that a host behind the router sent or got."""
    both = pair(Side(esp=suite, mode=mode, force_encap=encapsulated)).up()
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(1)
    both.ping("R2")
    both.world.run(1)
    table = (tables(both.world, tmp_path) / "esp_sa").read_text()
    esp = sum(mail.kind != "ike" for mail in both.world.mail)
    found = list(packets(annotated(wire(both.world), esp_table=table)))
    inner = [one for one in found if one.name == "inner"]
    assert len(inner) == esp >= 4
    assert len(found) == len(both.world.mail) + esp
    for one in inner:
        outer = IP(one.data)
        echo = outer[GRE][IP] if mode == "gre" else outer
        assert {echo.src, echo.dst} == {"10.1.0.9", "10.2.0.9"} and ICMP in echo
        assert ("transport" if mode == "gre" else "tunnel") in one.comment


def test_every_packet_says_what_it_is() -> None:
    """IKE messages name exchange, message ID and payloads (those inside where a recording knows them), ESP its SPI."""
    both = pair().up()
    said = [one.comment for one in packets(wire(both.world))]
    assert said[0].startswith("IKE_SA_INIT request 0: SA KE N ")
    assert any("IKE_AUTH request 1: ENCR {IDi AUTH" in one for one in said)
    assert any(one.startswith("ESP to SPI 0x") and one.endswith(", packet 1") for one in said)
    assert all(one and "\n" not in one for one in said)


def test_without_keys_nothing_is_opened() -> None:
    """A capture without a table comes back with comments alone; a packet of nobody's has none."""
    stranger = pcapng.section() + pcapng.interface("x")
    stranger += pcapng.packet(0, 1, udp_packet("192.0.2.1", 53, "192.0.2.2", 53, b"no ike"))
    (alone,) = packets(annotated(stranger))
    assert alone.comment == ""
    world = pair().up().world
    assert {one.name for one in packets(annotated(wire(world)))} == {"wire"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"IPv4","192.0.2.1"', "row 1: had 2 cells, wanted 8"),
        ('"IPv4","a","b","0x1","NULL","0x","HMAC-SHA-1-96 [RFC2404]","0x"', "no address, SPI or key"),
        ('"IPv4","a","b","0x1","DES-CBC [RFC2405]","0x0102030405060708","NULL","0x"', "is no suite of ikescope"),
    ],
)
def test_a_table_that_is_none_is_one_line(text: str, said: str) -> None:
    """What is wrong with a key table is said without the key in it."""
    with pytest.raises(LocalError, match=said) as caught:
        EspTable(text)
    assert "0102030405060708" not in str(caught.value)


def test_the_command_line_writes_captures_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`read --as pcapng` keeps a capture's ESP packets, `--inner` opens them, `--anonymise` leaves no address;
    what does not go together is one line.
    """
    world = pair(Side(mode="acl")).up().world
    capture, output = tmp_path / "wire.pcapng", tmp_path / "out.pcapng"
    capture.write_bytes(wire(world))
    table = str(tables(world, tmp_path / "keys") / "esp_sa")
    read = ["read", str(capture), "--as", "pcapng", "--output", str(output)]
    assert main(read) == 0
    assert len(list(packets(output.read_bytes()))) == len(world.mail)
    assert main([*read, "--inner", table]) == 0
    assert {one.name for one in packets(output.read_bytes())} == {"wire", "inner"}
    assert main([*read, "--anonymise"]) == 0
    found = list(packets(output.read_bytes()))
    assert len(found) == sum(mail.kind == "ike" for mail in world.mail)
    assert not any(bytes((192, 0, 2)) in one.data for one in found)
    capsys.readouterr()
    for wrong in ([*read, "--inner", table, "--anonymise"], [*read[:2], "--inner", table], [*read, "--inner", "none"]):
        assert main(wrong) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
