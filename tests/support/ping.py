"""ICMP echo by a raw socket: `python -m tests.support.ping ADDRESS` prints one JSON object; SIGTERM ends it early.

Written here so that a test depends on no installed ping and learns which requests were lost, not only how many.
"""

import argparse
import dataclasses
import json
import os
import signal
import socket
import struct
import sys
import time

ECHO_REQUEST, ECHO_REPLY = 8, 0
HEADER = struct.Struct("!BBHHH")


@dataclasses.dataclass(frozen=True, slots=True)
class PingResult:
    """What was sent and what came back: `sent` requests, the `lost` sequence numbers from 1 on, local send errors.

    `identifier` is that of the echoes, by which a capture tells this ping from others.
    """

    sent: int
    lost_sequences: tuple[int, ...]
    send_errors: int
    identifier: int = 0

    @property
    def lost(self) -> int:
        """Requests that no reply came to."""
        return len(self.lost_sequences)

    @property
    def received(self) -> int:
        """Requests that a reply came to."""
        return self.sent - self.lost

    @classmethod
    def from_json(cls, text: str) -> "PingResult":
        """Read the last line that the command prints."""
        data = json.loads(text.strip().splitlines()[-1])
        return cls(data["sent"], tuple(data["lost_sequences"]), data["send_errors"], data["identifier"])


def checksum(octets: bytes) -> int:
    """The internet checksum (RFC 1071) of `octets`, 16 bits."""
    padded = octets + b"\0" * (len(octets) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int, size: int) -> bytes:
    """An ICMP echo request with `size` octets of data."""
    data = bytes(index & 0xFF for index in range(size))
    bare = HEADER.pack(ECHO_REQUEST, 0, 0, identifier, sequence & 0xFFFF) + data
    return HEADER.pack(ECHO_REQUEST, 0, checksum(bare), identifier, sequence & 0xFFFF) + data


def reply_sequence(packet: bytes, identifier: int) -> int | None:
    """The sequence number of an IPv4 packet that is an echo reply to us; None for any other."""
    icmp = packet[(packet[0] & 0x0F) * 4 :]
    if len(icmp) < HEADER.size:
        return None
    kind, _, _, found, sequence = HEADER.unpack_from(icmp)
    return int(sequence) if (kind, found) == (ECHO_REPLY, identifier) else None


class Pinger:
    """Sends requests at an interval and collects the replies between them."""

    def __init__(self, address: str, interval: float, size: int) -> None:
        self.interval, self.size = interval, size
        self.identifier = os.getpid() & 0xFFFF
        self.sent = self.send_errors = 0
        self.answered: set[int] = set()
        self.ended = False
        self._address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)

    def end(self, *_signal: object) -> None:
        """Send nothing more."""
        self.ended = True

    def run(self, count: int, wait: float) -> PingResult:
        """Send `count` requests (0: until `end`), then wait at most `wait` seconds for the last replies."""
        while not self.ended and (count == 0 or self.sent < count):
            self.sent += 1
            try:
                self._socket.sendto(echo_request(self.identifier, self.sent, self.size), (self._address, 0))
            except OSError:
                self.send_errors += 1
            self._collect(time.monotonic() + self.interval, early=self.sent == count)
        self._collect(time.monotonic() + wait, early=True)
        lost = tuple(number for number in range(1, self.sent + 1) if number & 0xFFFF not in self.answered)
        return PingResult(self.sent, lost, self.send_errors, self.identifier)

    def _collect(self, until: float, *, early: bool) -> None:
        """Take replies until the time given, or, where `early` says so, until none is missing."""
        while not (early and len(self.answered) == self.sent):
            left = until - time.monotonic()
            if left <= 0:
                return
            self._socket.settimeout(left)
            try:
                sequence = reply_sequence(self._socket.recv(65535), self.identifier)
            except TimeoutError:
                return
            if sequence is not None:
                self.answered.add(sequence)


def main() -> None:
    """Ping as the command line says and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--count", type=int, default=3, help="requests; 0: until SIGTERM")
    parser.add_argument("--interval", type=float, default=0.1, help="seconds")
    parser.add_argument("--size", type=int, default=56, help="octets of data")
    parser.add_argument("--wait", type=float, default=2.0, help="seconds for the last replies")
    options = parser.parse_args()
    pinger = Pinger(options.address, options.interval, options.size)
    signal.signal(signal.SIGTERM, pinger.end)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    result = pinger.run(options.count, options.wait)
    sys.stdout.write(json.dumps(dataclasses.asdict(result)) + "\n")


if __name__ == "__main__":
    main()
