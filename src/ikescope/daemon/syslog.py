"""`--syslog`: the router's syslog lines as UDP datagrams (RFC 3164), never more than a collector should get."""

from __future__ import annotations

import socket
from contextlib import suppress

from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.ios import syslog

PORT = 514
BURST, RATE = 200.0, 50.0
"""Datagrams at once, and a second from then on; what is beyond is dropped and told when there is room."""


class SyslogSender:
    """Sends to one collector; a full socket buffer or an unreachable collector costs lines, never the router's time."""

    def __init__(self, place: str, hostname: str) -> None:
        host, port = split(place)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            raise LocalError(f"--syslog {place}: wanted ADDRESS or ADDRESS:PORT, such as 192.0.2.5:514") from None
        family, kind, protocol, _, address = found[0]
        self._address: tuple[object, ...] = address
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._hostname = hostname
        self._number = self.dropped = 0
        self._allowance, self._at = BURST, 0.0

    def add(self, record: Record) -> None:
        """Send the lines of one record, if it has any."""
        for line in syslog.lines(record, stamps=False):
            stamp = record.stamp
            if not self._allowed(stamp.mono):
                self.dropped += 1
                continue
            if self.dropped:
                count, self.dropped = self.dropped, 0
                self._send(f"%SYS-4-IKESCOPE_LOGLIMIT: {count} messages were not sent", stamp.wall)
            self._send(line, stamp.wall)

    def _allowed(self, now: float) -> bool:
        self._allowance = min(BURST, self._allowance + (now - self._at) * RATE)
        self._at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _send(self, line: str, wall: float) -> None:
        self._number += 1
        with suppress(OSError):
            octets = syslog.packet(line, hostname=self._hostname, number=self._number, wall=wall)
            self._socket.sendto(octets, self._address)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def split(place: str) -> tuple[str, int]:
    """`ADDRESS`, `ADDRESS:PORT` or `[IPV6]:PORT` apart; port 514 by default. LocalError for a port that is none."""
    if place.count(":") > 1 and not place.startswith("["):
        return place, PORT
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        return place.strip("[]"), PORT
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise LocalError(f"--syslog {place}: had port {port}, wanted 1 to 65535")
    return host.strip("[]"), int(port)
