"""The way in runs beside the way packet by packet; scapy, which knows neither, cuts and makes checksums."""

import socket
import struct
from collections.abc import Sequence

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from tests.esp import build

from ikescope.config.model import TunnelMode
from ikescope.crypto.suites import EspSuite
from ikescope.esp.forwarder import Forwarder, Output, ToTunnel, ToWire
from ikescope.esp.sa import OutboundSa
from ikescope.planes.inbound import Inbound
from ikescope.planes.outbound import Desk, Outbound
from ikescope.planes.reception import Source
from ikescope.planes.vnet import GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP, OCTETS

CHECKSUM_PARTIAL = 1
KINDS = {GSO_TCP4: (IP, TCP), GSO_TCP6: (IPv6, TCP), GSO_UDP: (IP, UDP)}


class Near:
    """A router whose TUN device is a socket; `sent` holds what left: octets, size of each, ECN bits."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder
        device, self.host = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (device, self.host):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        device.setblocking(False)
        self._device = device
        self.sent: list[tuple[bytes, int, int]] = []
        self.told: list[Output] = []
        self.outbound = Outbound(forwarder, "Tunnel0", device.fileno(), self._send, self._drain, Desk())

    def _send(self, sa: OutboundSa, octets: memoryview, size: int, ecn: int, now: float) -> None:
        self.sent.append((bytes(octets), size, ecn))

    def _drain(self, now: float) -> None:
        for output in self.forwarder.outputs():
            if isinstance(output, ToWire):
                self.sent.append((output.octets, len(output.octets), output.ecn))
            else:
                self.told.append(output)

    def carry(self, packets: Sequence[tuple[bytes, bytes]], now: float = 0.0) -> list[tuple[bytes, int]]:
        """What leaves, packet by packet with its ECN bits, when these (vnet header, packet) wait at the device."""
        self.sent.clear()
        for header, packet in packets:
            self.host.send(header + packet)
        while True:
            try:
                self.outbound.read(now)
            except BlockingIOError:
                break
        return [(octets[at : at + size], ecn) for octets, size, ecn in self.sent for at in range(0, len(octets), size)]

    def close(self) -> None:
        """Close the device."""
        self._device.close()
        self.host.close()


class Far:
    """A router that takes runs; `written` holds each write to the TUN device: octets and how many packets."""

    def __init__(self, forwarder: Forwarder) -> None:
        self.forwarder = forwarder
        self.inbound = Inbound(forwarder, self._write, self._drain)
        self.written: list[tuple[bytes, int]] = []
        self.told: list[Output] = []

    def _write(self, name: str, pieces: Sequence[bytes | memoryview], packets: int, now: float) -> bool:
        self.written.append((b"".join(pieces), packets))
        return True

    def one_by_one(self, packets: Sequence[bytes], *, ecn: int = 0, now: float = 0.0) -> None:
        """Hand the same in packet by packet."""
        for octets in packets:
            self.forwarder.from_wire(octets, build.B, build.A, now, udp=True, remote_port=4500, ecn=ecn)
            self._drain(now)

    def _drain(self, now: float) -> None:
        for output in self.forwarder.outputs():
            if isinstance(output, ToTunnel):
                self.written.append((output.packet, 1))
            else:
                self.told.append(output)

    def take(self, packets: Sequence[bytes], *, ecn: int = 0, now: float = 0.0) -> bool:
        """Hand a run in, as it lies in a receive buffer; whether it was taken as one."""
        size, last = len(packets[0]), len(packets[-1])
        shorter = last if last < size else 0
        octets = memoryview(bytearray(b"".join(packets)))
        count = len(packets) - bool(shorter)
        return self.inbound.take(octets, size, size, count, shorter, Source(build.B, 4500, build.A, 4500, ecn), now)

    def delivered(self) -> list[bytes]:
        """The packets that the host gets, those that were joined cut again."""
        found = []
        for octets, packets in self.written:
            if packets == 1:
                found.append(octets)
            else:
                found += cut(octets[:OCTETS], octets[OCTETS:])
        return found


def both(of: EspSuite = build.GCM, *, transport: bool = True, gre: bool = True, window: int = 64) -> tuple[Near, Far]:
    """Two routers with an SA."""
    mode: TunnelMode = "gre ip" if gre else "ipsec ipv4"
    near, far = build.pair_up(of, mode=mode, transport=transport and gre, udp=True, window=window)
    return Near(near), Far(far)


def tcp(
    octets: int,
    *,
    sequence: int = 1,
    flags: str = "A",
    number: int = 7,
    tos: int = 0,
    port: int = 80,
    fragment: str = "DF",
) -> IP:
    """A TCP packet from host A to host B."""
    ip = IP(src=str(build.HOST_A), dst=str(build.HOST_B), id=number, flags=fragment, tos=tos)
    return ip / TCP(sport=4000, dport=port, seq=sequence, ack=77, flags=flags) / data(octets)


def udp(octets: int, *, number: int = 7, tos: int = 0, port: int = 5000) -> IP:
    """A UDP packet from host A to host B."""
    ip = IP(src=str(build.HOST_A), dst=str(build.HOST_B), id=number, tos=tos)
    return ip / UDP(sport=4000, dport=port) / data(octets)


def six(packet: IP) -> IPv6:
    """The same over IPv6."""
    return IPv6(src="2001:db8:1::2", dst="2001:db8:2::2", tc=packet.tos) / packet.payload


def data(octets: int) -> bytes:
    """Octets that are not all the same."""
    return bytes(index * 7 + (index >> 8) & 0xFF for index in range(octets))


def superseg(packet: IP | IPv6, size: int) -> tuple[bytes, bytes]:
    """A packet as a TUN device hands a super-segment out: vnet header, packet with a partial checksum."""
    four = isinstance(packet, IP)
    upper = TCP if TCP in packet else UDP
    kind = GSO_UDP if upper is UDP else GSO_TCP4 if four else GSO_TCP6
    return header_for(kind, packet, size), partial(packet)


def single(packet: IP | IPv6) -> tuple[bytes, bytes]:
    """A packet whose checksum is still to be made."""
    return header_for(GSO_NONE, packet, 0), partial(packet)


def header_for(kind: int, packet: IP | IPv6, size: int) -> bytes:
    """Its vnet header."""
    upper = TCP if TCP in packet else UDP
    start = len(packet) - len(packet[upper])
    head = start + (len(packet[TCP]) - len(packet[TCP].payload) if upper is TCP else 8)
    return struct.pack("=BBHHHH", CHECKSUM_PARTIAL, kind, head, size, start, 16 if upper is TCP else 6)


def partial(packet: IP | IPv6) -> bytes:
    """The packet with only the pseudo-header's sum in the checksum of its upper protocol, as an offload leaves it."""
    upper = TCP if TCP in packet else UDP
    octets = bytearray(bytes(packet))
    start = len(octets) - len(packet[upper])
    four = isinstance(packet, IP)
    addresses = octets[12:20] if four else octets[8:40]
    words = [*struct.unpack(f">{len(addresses) // 2}H", addresses), len(octets) - start, 6 if upper is TCP else 17]
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    at = start + (16 if upper is TCP else 6)
    octets[at : at + 2] = total.to_bytes(2, "big")
    return bytes(octets)


def cut(header: bytes, octets: bytes) -> list[bytes]:
    """A super-segment in its segments, by scapy."""
    _, kind, _, size, _, _ = struct.unpack("=BBHHHH", header)
    if kind == GSO_NONE:
        return [whole(octets)]
    first, upper = KINDS[kind]
    if octets[0] >> 4 == 6:
        first = IPv6
    packet = first(octets)
    payload = bytes(packet[upper].payload)
    found = []
    for index, at in enumerate(range(0, len(payload), size)):
        piece = packet.copy()
        piece[upper].remove_payload()
        piece = piece / payload[at : at + size]
        if first is IP:
            piece[IP].id = packet[IP].id + index & 0xFFFF
            del piece[IP].len, piece[IP].chksum
        else:
            del piece[IPv6].plen
        if upper is TCP:
            piece[TCP].seq = packet[TCP].seq + at & 0xFFFFFFFF
            if at + size < len(payload):
                piece[TCP].flags = int(packet[TCP].flags) & ~0x09
            if at:
                piece[TCP].flags = int(piece[TCP].flags) & ~0x80
        else:
            del piece[UDP].len
        del piece[upper].chksum
        found.append(bytes(piece))
    return found


def whole(octets: bytes) -> bytes:
    """A packet with its checksum, by scapy."""
    packet = IP(octets) if octets[0] >> 4 == 4 else IPv6(octets)
    upper = TCP if TCP in packet else UDP
    del packet[upper].chksum
    return bytes(packet)
