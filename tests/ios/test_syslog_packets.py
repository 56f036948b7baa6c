"""Syslog lines as RFC 3164 packets, and no more of them than a collector should get."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ikescope.daemon.syslog import BURST, SyslogSender, split
from ikescope.errors import LocalError
from ikescope.events import Event, IdentityFact, Record, Stamp
from ikescope.events.life import SessionUp
from ikescope.events.router import InterfaceUp
from ikescope.ios import syslog

WALL = 1_700_000_000.0


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    """A UDP socket on the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(5)
        yield found


def record(event: Event, mono: float = 1.0) -> Record:
    """A record of R1's."""
    return Record(Stamp(seq=1, mono=mono, wall=WALL, router="R1", peer="192.0.2.2:500"), event)


def test_a_packet_has_priority_time_host_and_ios_line() -> None:
    """Facility local7 with the line's own severity, the time as RFC 3164 writes it, IOS's sequence number."""
    line = "%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is UP."
    octets = syslog.packet(line, hostname="R1", number=45, wall=WALL)
    assert octets == b"<189>Nov 14 22:13:20 R1 45: " + line.encode()
    assert syslog.packet("%SYS-3-X: y", hostname="R1", number=1, wall=WALL).startswith(b"<187>")


def test_a_packet_is_printable_and_bounded() -> None:
    """A hostile identity gives no second line, no escape sequence, no more than 1,024 octets."""
    octets = syslog.packet("%CRYPTO-5-X: a\nb\x1b[31mä" + "c" * 2000, hostname="R1", number=1, wall=WALL)
    assert len(octets) == 1024
    assert all(0x20 <= one < 0x7F for one in octets)
    assert b"a\\x0ab\\x1b[31m\\xe4c" in octets


def test_lines_reach_the_collector(collector: socket.socket) -> None:
    """A session that comes up is a datagram; an event without a line is none."""
    sender = SyslogSender(f"127.0.0.1:{collector.getsockname()[1]}", "R1")
    who = IdentityFact(1, "192.0.2.2")
    sender.add(record(SessionUp(local=who, remote=who, index=1)))
    sender.add(record(InterfaceUp(interface="Tunnel0")))
    assert collector.recv(2000).decode().startswith("<189>Nov 14 22:13:20 R1 1: %CRYPTO-5-IKEV2_SESSION_STATUS: ")
    assert b"R1 2: %LINEPROTO-5-UPDOWN" in collector.recv(2000)
    sender.close()


def test_a_flood_of_lines_is_cut_and_told(collector: socket.socket) -> None:
    """Beyond the allowance lines are dropped; the next that passes tells how many."""
    sender = SyslogSender(f"127.0.0.1:{collector.getsockname()[1]}", "R1")
    for _ in range(int(BURST) + 30):
        sender.add(record(InterfaceUp(interface="Tunnel0"), mono=100.0))
    sender.add(record(InterfaceUp(interface="Tunnel0"), mono=101.0))
    sender.close()
    said = [collector.recv(2000) for _ in range(int(BURST) + 2)]
    assert b"%SYS-4-IKESCOPE_LOGLIMIT: 30 messages were not sent" in said[-2]


def test_places() -> None:
    """An address alone is port 514; IPv6 with and without brackets; names and strange ports are refused in a line."""
    assert split("192.0.2.5") == ("192.0.2.5", 514)
    assert split("192.0.2.5:1514") == ("192.0.2.5", 1514)
    assert split("2001:db8::5") == ("2001:db8::5", 514)
    assert split("[2001:db8::5]:1514") == ("2001:db8::5", 1514)
    for place in ("collector.example", "192.0.2.5:0", "192.0.2.5:x"):
        with pytest.raises(LocalError, match="--syslog"):
            SyslogSender(place, "R1")
