"""ESP against what others wrote: packets that strongSwan 5.9.8 sent, and scapy's IPsec both ways."""

from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import GRE
from tests.esp import build

from ikescope.crypto.suites import EspSuite
from ikescope.engine.commands import EspKeys
from ikescope.esp.packet import read_echo
from ikescope.esp.tunnel import TunnelPath
from ikescope.policy.selectors import Selectors

# First ESP packets, from 10.99.0.1 to 10.99.0.2, of two sessions between strongSwan 5.9.8 (kernel-libipsec, tunnel
# mode, UDP port 4500), captured on the wire; keys as charon logged them.
STRONGSWAN = {
    "gcm": (
        build.GCM,
        "eb9d10e21a6c2311a13b2e97454103513c08bca0",
        "",
        "372cbbf100000001d0389ea5f9eed831e59c6a7f96101181ff58cc846253589b08236cf90e53bdd0e293d656be9f9ff5e527be90fa55c034"
        "53619b4501f3e6bd51f98b66a2beec2eb9da6da5f45eb806169bc668ec40f7cd69c48c76ec952a9c6829da0d9a7b8807f9aebf5b963044e7"
        "ef5e0606705e042c",
    ),
    "cbc-sha256": (
        build.CBC_SHA256,
        "4b54c706220cf76748e1bb9a6d4e6756cec50482909c4a17c0102c30cc459ea5",
        "65abee28892bed263fc6b8a931e6758d7c467a8c6a1c6893403d5452c71bbeeb",
        "4702072e00000001db9134a0380aac2ca7b6adce567da148cf6ce4ed5837ba3e2c2f50163dd4840c9173d4614d51ffb86a21cec8b3faf854"
        "dd46dec933999011226d92a5e2953f137c7b34ede2faa390b7aaf3f282758e488decf14e4b072f16361d19f96800934fe7a569bac97fc220"
        "f0275d78cf5465ba334030a71d1e6cd41fe812be0c9dbf05",
    ),
}


@pytest.mark.parametrize("name", STRONGSWAN)
def test_a_strongswan_packet_opens(name: str) -> None:
    """An ESP packet of strongSwan's opens to the ping it carried; a second time it is a replay."""
    suite, encryption, integrity, packet = STRONGSWAN[name]
    esp, here, there = bytes.fromhex(packet), ip_address("10.99.0.2"), ip_address("10.99.0.1")
    pair = Selectors(build.ANY, build.ANY)
    path = TunnelPath(name="Tunnel0", mode="ipsec ipv4", source=here, destination=there, selectors=(pair,))
    end = build.forwarder(path)
    material = EspKeys(bytes.fromhex(encryption), bytes.fromhex(integrity))
    spi = int.from_bytes(esp[:4], "big")
    end.execute(build.install(path, spi, "in", suite, transport=False, udp=True, material=material), 0.0)
    end.from_wire(esp, here, there, 0.0, udp=True, remote_port=4500)
    (inner,) = build.delivered(end)
    echo = read_echo(inner)
    assert echo is not None
    assert (str(echo.source), str(echo.destination), echo.reply) == ("10.1.0.2", "10.2.0.2", False)
    end.from_wire(esp, here, there, 0.0, udp=True, remote_port=4500)
    assert build.delivered(end) == []
    assert end.drops == {"sequence number replayed or outside the window": 1}


_SCAPY = {(20, None): ("AES-GCM", None), (12, 2): ("AES-CBC", "HMAC-SHA1-96"), (12, 12): ("AES-CBC", "SHA2-256-128")}
_SCAPY |= {(12, 14): ("AES-CBC", "SHA2-512-256"), (28, None): ("CHACHA20-POLY1305", None)}


def _oracle(of: EspSuite, spi: int, *, transport: bool, udp: bool) -> SecurityAssociation:
    crypt, auth = _SCAPY[of.encryption.id, of.integrity.id if of.integrity else None]
    material = build.keys(of, spi % 200)
    return SecurityAssociation(  # type: ignore[no-untyped-call]
        ESP,
        spi=spi,
        crypt_algo=crypt,
        crypt_key=material.encryption,
        auth_algo=auth,
        auth_key=material.integrity or None,
        tunnel_header=None if transport else IP(src=str(build.A), dst=str(build.B)),
        nat_t_header=UDP(sport=4500, dport=4500) if udp else None,
        esn_en=of.esn,
    )


_CASES = [
    ("gre ip", True, False),
    ("gre ip", True, True),
    ("gre ip", False, False),
    ("ipsec ipv4", False, False),
    ("ipsec ipv4", False, True),
]


@pytest.mark.parametrize("of", build.SUITES, ids=lambda of: of.text)
@pytest.mark.parametrize(("mode", "transport", "udp"), _CASES)
def test_scapy_opens_what_we_seal(of: EspSuite, mode: str, transport: bool, udp: bool) -> None:
    """Another implementation opens our packet to GRE in transport mode, GRE in IP, or the packet itself."""
    gre = mode == "gre ip"
    near, _ = build.pair_up(of, mode="gre ip" if gre else "ipsec ipv4", transport=transport, udp=udp)
    for length in (0, 1, 13, 56):
        esp = build.seal(near, build.ping(size=length))
        outer = IP(src=str(build.A), dst=str(build.B), proto=50) / ESP(esp)
        if udp:
            outer = IP(src=str(build.A), dst=str(build.B)) / UDP(sport=4500, dport=4500) / ESP(esp)
        sequence = {"esn": 0} if of.esn else {}
        opened = _oracle(of, 0x1001, transport=transport, udp=udp).decrypt(IP(bytes(outer)), **sequence)  # type: ignore[no-untyped-call]
        assert (GRE in opened) == gre
        inner = opened[GRE].payload if gre else opened
        assert bytes(inner) == build.ping(size=length)


@pytest.mark.parametrize("of", [of for of in build.SUITES if not of.esn], ids=lambda of: of.text)
@pytest.mark.parametrize(("mode", "transport", "udp"), _CASES)
def test_we_open_what_scapy_seals(of: EspSuite, mode: str, transport: bool, udp: bool) -> None:
    """We open another implementation's packet of each form."""
    gre = mode == "gre ip"
    _, far = build.pair_up(of, mode="gre ip" if gre else "ipsec ipv4", transport=transport, udp=udp)
    inner = IP(build.ping())
    plain = IP(src=str(build.A), dst=str(build.B), proto=47) / GRE() / inner if gre else inner
    sealed = _oracle(of, 0x1001, transport=transport, udp=udp).encrypt(plain)  # type: ignore[no-untyped-call]
    far.from_wire(bytes(sealed[ESP]), build.B, build.A, 0.0, udp=udp, remote_port=4500)
    assert build.delivered(far) == [build.ping()]
