"""Two ends of a tunnel with hand-made keys, in memory."""

from functools import partial
from ipaddress import ip_address
from typing import Literal

from ikescope.config.model import TunnelMode
from ikescope.crypto.suites import INTEGRITIES, EspSuite, encryption
from ikescope.engine.commands import Destination, EspKeys, InstallSa, SwitchOutbound
from ikescope.esp.forwarder import Forwarder, ToTunnel, ToWire
from ikescope.esp.packet import Echo, make_echo
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import SelectorFact
from ikescope.policy.selectors import Selectors

A, B = ip_address("192.0.2.1"), ip_address("192.0.2.2")
HOST_A, HOST_B = ip_address("10.1.0.2"), ip_address("10.2.0.2")
ANY = (SelectorFact(start="0.0.0.0", end="255.255.255.255"),)
GRE_A = (SelectorFact(start=str(A), end=str(A), protocol=47),)
GRE_B = (SelectorFact(start=str(B), end=str(B), protocol=47),)


def suite(transform: int = 20, bits: int = 128, integrity: int | None = None, *, esn: bool = False) -> EspSuite:
    """An ESP suite by IANA numbers."""
    row = encryption(transform, bits)
    assert row is not None
    return EspSuite(row, None if integrity is None else INTEGRITIES[integrity], esn, None)


GCM = suite()
CBC_SHA256 = suite(12, 256, 12)
CBC_SHA1 = suite(12, 128, 2)
SUITES = (GCM, suite(20, 256, esn=True), CBC_SHA1, CBC_SHA256, suite(12, 256, 14, esn=True), suite(28, 0))


def keys(of: EspSuite, fill: int = 7) -> EspKeys:
    """Keys of the suite's lengths."""
    return EspKeys(
        bytes([fill]) * of.encryption.keymat_octets,
        bytes([fill + 1]) * (of.integrity.key_octets if of.integrity else 0),
    )


def tunnel(mode: TunnelMode = "gre ip", *selectors: Selectors, far: bool = False, ipv6: bool = False) -> TunnelPath:
    """Tunnel0 of router A, or of B where `far`."""
    default = Selectors(GRE_A, GRE_B) if mode.startswith("gre") else Selectors(ANY, ANY)
    pairs = selectors or (default,)
    if far:
        pairs = tuple(Selectors(each.remote, each.local) for each in pairs)
    here, there = (B, A) if far else (A, B)
    return TunnelPath(name="Tunnel0", mode=mode, source=here, destination=there, selectors=pairs, ipv6=ipv6)


def forwarder(path: TunnelPath) -> Forwarder:
    """A data path with one tunnel."""
    return Forwarder([path], lambda octets: bytes(octets))


def install(
    path: TunnelPath,
    spi: int,
    direction: Literal["in", "out"],
    of: EspSuite = GCM,
    *,
    transport: bool = True,
    udp: bool = False,
    selectors: Selectors | None = None,
    kilobytes: int | None = None,
    window: int = 64,
    material: EspKeys | None = None,
    reqid: int = 1,
) -> InstallSa:
    """The command that installs one SA of a tunnel; both ends derive the same keys from the SPI."""
    pair = selectors or path.selectors[0]
    port = 4500 if udp else 500
    return InstallSa(
        spi=spi,
        direction=direction,
        suite=of,
        keys=material or keys(of, spi % 200),
        path=Destination(path.source, port, path.destination, port),
        udp=udp,
        transport=transport,
        tunnel=path.name,
        local=pair.local,
        remote=pair.remote,
        reqid=reqid,
        replay_window=window,
        lifetime_kilobytes=kilobytes,
    )


def switch(path: TunnelPath, spi: int) -> SwitchOutbound:
    """The command that lets an outbound SA carry the traffic."""
    return SwitchOutbound(spi, path.destination, path.name)


def ping(sequence: int = 1, *, reply: bool = False, size: int = 56) -> bytes:
    """An echo request from host A to host B, or the reply."""
    ends = (HOST_B, HOST_A) if reply else (HOST_A, HOST_B)
    return make_echo(Echo(*ends, reply, 0x1234, sequence, bytes(index & 0xFF for index in range(size))))


def wire(of: Forwarder) -> list[ToWire]:
    """What is to be sent; everything else that came out is gone."""
    return [each for each in of.outputs() if isinstance(each, ToWire)]


def delivered(of: Forwarder) -> list[bytes]:
    """What arrived for the tunnel; everything else that came out is gone."""
    return [each.packet for each in of.outputs() if isinstance(each, ToTunnel)]


def seal(near: Forwarder, packet: bytes, now: float = 0.0) -> bytes:
    """The one ESP packet that an inner packet becomes."""
    near.from_tunnel("Tunnel0", packet, now)
    (sent,) = wire(near)
    return sent.octets


def pair_up(
    of: EspSuite = GCM,
    *,
    mode: TunnelMode = "gre ip",
    transport: bool = True,
    udp: bool = False,
    window: int = 64,
    kilobytes: int | None = None,
    ipv6: bool = False,
) -> tuple[Forwarder, Forwarder]:
    """Routers A and B with one Child SA: SPI 0x1001 from A to B, 0x2001 from B to A."""
    ends = []
    for far in (False, True):
        path = tunnel(mode, far=far, ipv6=ipv6)
        end = forwarder(path)
        outbound, inbound = (0x2001, 0x1001) if far else (0x1001, 0x2001)
        sa = partial(install, path, of=of, transport=transport, udp=udp, window=window, kilobytes=kilobytes)
        end.execute(sa(inbound, "in"), 0.0)
        end.execute(sa(outbound, "out"), 0.0)
        end.execute(switch(path, outbound), 0.0)
        list(end.outputs())
        ends.append(end)
    return ends[0], ends[1]
