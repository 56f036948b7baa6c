"""Wireshark opens what any suite of ours makes, where it has a name for it, and whole sessions across rekeys."""

from __future__ import annotations

import hashlib
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.capture.session import tables, wire
from tests.support.tshark import assert_clean, decode, unopened, write_tables
from tests.support.world import Side, pair

from ikescope.capture import EspKeys, IkeKeys, esp_line, frames, ike_line, keys, pcapng
from ikescope.crypto import suites
from ikescope.crypto.envelope import Envelope
from ikescope.crypto.esp_cipher import EspSealer
from ikescope.crypto.keys import IkeKeys as SkKeys
from ikescope.engine.commands import Rekey
from ikescope.esp.packet import Echo, make_echo
from ikescope.wire import Message, NotifyPayload, encode_chain
from ikescope.wire.registry import EncryptionId, ExchangeType, NotifyType

ENDS = "192.0.2.1", "192.0.2.2"
NAMELESS = {EncryptionId.ENCR_CHACHA20_POLY1305}
"""What tshark 4.0 has no name for, neither in IKE nor in ESP."""
SUITES = [
    (cipher, mac)
    for cipher in suites.ENCRYPTIONS.values()
    for mac in ((None,) if cipher.aead else suites.INTEGRITIES.values())
]


def octets(count: int, seed: str) -> bytes:
    """Octets that look random."""
    return hashlib.shake_256(seed.encode()).digest(count)


def ike_message(number: int, suite: suites.IkeSuite) -> tuple[bytes, str]:
    """A sealed request and its row of the key table."""
    mac = suite.integrity.key_octets if suite.integrity is not None else 0
    lengths = (32, mac, mac, suite.encryption.keymat_octets, suite.encryption.keymat_octets, 32, 32)
    secret = SkKeys(*(octets(length, f"{number}/{place}") for place, length in enumerate(lengths)))
    spi_i, spi_r = number.to_bytes(8, "big"), (number + 256).to_bytes(8, "big")
    first, chain = encode_chain((NotifyPayload(NotifyType.INITIAL_CONTACT),))
    envelope = Envelope(suite, secret, True)
    exchange = ExchangeType.INFORMATIONAL
    sealed = envelope.seal(spi_i, spi_r, exchange, 8, 2, first, chain, lambda count: octets(count, "iv"))
    row = IkeKeys(
        spi_i=spi_i.hex(),
        spi_r=spi_r.hex(),
        encryption=suite.encryption.id,
        key_length=suite.encryption.key_bits or None,
        sk_ei=secret.sk_ei,
        sk_er=secret.sk_er,
        integrity=suite.integrity.id if suite.integrity is not None else 0,
        sk_ai=secret.sk_ai,
        sk_ar=secret.sk_ar,
    )
    assert Message.parse(sealed).encrypted is not None
    return frames.ike_packet(ENDS[0], 500, ENDS[1], 500, sealed), ike_line(row)


def esp_packet(number: int, suite: suites.EspSuite) -> tuple[bytes, str]:
    """A tunnel mode ESP packet with an echo request in it, and its row of the key table."""
    echo = Echo(ip_address("10.0.0.1"), ip_address("10.0.0.2"), False, 1, 1, bytes(30))
    inner = make_echo(echo)
    pad = -(len(inner) + 2) % suite.encryption.esp_alignment
    key = octets(suite.encryption.keymat_octets, f"k{number}")
    mac = octets(suite.integrity.key_octets, f"m{number}") if suite.integrity is not None else b""
    sealed = EspSealer(suite, key, mac).seal(4096 + number, 1, 0, inner + bytes(range(1, pad + 1)) + bytes((pad, 4)))
    row = EspKeys(
        source=ENDS[0],
        destination=ENDS[1],
        spi=f"{4096 + number:08x}",
        encryption=suite.encryption.id,
        key=key,
        integrity=suite.integrity.id if suite.integrity is not None else 0,
        integrity_key=mac,
    )
    return frames.ip_packet(ip_address(ENDS[0]), ip_address(ENDS[1]), frames.ESP, sealed), esp_line(row)


@pytest.mark.peers
def test_wireshark_opens_every_suite_that_it_names(tmp_path: Path) -> None:
    """Each encryption with each integrity of ours, in IKE and in ESP: opened, the ICV correct."""
    named = [(cipher, mac) for cipher, mac in SUITES if cipher.id not in NAMELESS]
    prf = next(iter(suites.PRFS.values()))
    made = [
        ike_message(number, suites.IkeSuite(cipher, mac, prf, 19))
        for number, (cipher, mac) in enumerate(named, start=1)
        if cipher.id != EncryptionId.ENCR_NULL
    ]
    ike = [line for _, line in made]
    carried = [
        esp_packet(number, suites.EspSuite(cipher, mac, False, None)) for number, (cipher, mac) in enumerate(named)
    ]
    blocks = [pcapng.section(), pcapng.interface("all")]
    blocks += [pcapng.packet(0, number, packet) for number, (packet, _) in enumerate([*made, *carried])]
    path = tmp_path / "suites.pcapng"
    path.write_bytes(b"".join(blocks))
    packets = decode(path, tables=write_tables(tmp_path / "tables", ike=ike, esp=[line for _, line in carried]))
    assert len(packets) == len(made) + len(carried) == 18 + 23
    assert_clean(packets)
    assert unopened(packets) == []
    assert all(packet.values("isakmp.notify.msgtype") == ["16384"] for packet in packets[: len(made)])
    assert all("icmp" in packet.protocols for packet in packets[len(made) :])


@pytest.mark.peers
@pytest.mark.parametrize("encapsulated", [False, True])
def test_wireshark_opens_a_session_across_its_rekeys(tmp_path: Path, encapsulated: bool) -> None:
    """Handshake, traffic, a Child SA rekey, an IKE SA rekey, traffic: nothing stays shut."""
    both = pair(Side(esp="sha256", mode="acl", force_encap=encapsulated, pfs=19)).up()
    both.ask("R1", Rekey(spi=both.one_child("R1").inbound))
    both.world.run(1)
    both.ask("R2", Rekey(sa=both.one_ike("R2").id))
    both.world.run(1)
    both.keep_pinging(every=0.5, seconds=1.0)
    path = tmp_path / "wire.pcapng"
    path.write_bytes(wire(both.world))
    packets = decode(path, tables=tables(both.world, tmp_path / "tables"))
    assert len(packets) == len(both.world.mail)
    assert_clean(packets)
    assert unopened(packets) == []
    spis = {packet.value("esp.spi") for packet in packets} - {""}
    assert len(spis) == 4


def test_every_suite_has_a_name_or_is_known_to_have_none() -> None:
    """An algorithm that joins the tables gets Wireshark's name for it, or stands among those without one."""
    for cipher, mac in SUITES:
        bits = cipher.key_bits or None
        assert ((cipher.id, bits) in keys.IKE_ENCRYPTION) == (cipher.id not in NAMELESS), cipher.name
        assert (cipher.id in keys.ESP_ENCRYPTION) == (cipher.id not in NAMELESS), cipher.name
        assert mac is None or (mac.id in keys.IKE_INTEGRITY and mac.id in keys.ESP_INTEGRITY)
