"""ESP of a capture, counted by SPI, opened where the keys are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from ikescope.capture import frames
from ikescope.capture.keyfiles import EspSecrets
from ikescope.crypto.esp_cipher import EspCipherError, EspOpener
from ikescope.crypto.suites import ENCRYPTIONS, INTEGRITIES, EspSuite
from ikescope.events.router import EspSeen

#: How many SPIs are counted at most; the oldest make room.
FLOWS = 4096
NOTHING = 59


class Flow(msgspec.Struct):
    """What went to one SPI: times, packets, octets of the ESP packets, how many opened and how many did not."""

    spi: str
    source: str
    destination: str
    udp: bool
    first: float
    last: float = 0.0
    packets: int = 0
    octets: int = 0
    opened: int = 0
    shut: int = 0
    inner: int = 0
    told: int = 0
    told_at: float = 0.0
    opener: EspOpener | None = None

    def __repr__(self) -> str:
        return f"<ESP to 0x{self.spi}, {self.packets} packets>"

    def add(self, data: bytes, wall: float) -> None:
        """Count a packet."""
        self.last = wall
        self.packets += 1
        self.octets += len(data)
        if self.opener is None:
            return
        try:
            plain = self.opener.open(data)
        except EspCipherError:
            self.shut += 1
            return
        self.opened += 1
        if len(plain) >= 2 and plain[-1] != NOTHING:
            self.inner += max(0, len(plain) - 2 - plain[-2])

    def event(self) -> EspSeen:
        """What is known of it so far."""
        self.told = self.packets
        opened = {"opened": self.opened, "failed": self.shut} if self.opener is not None else {}
        return EspSeen(
            spi=self.spi,
            source=self.source,
            destination=self.destination,
            packets=self.packets,
            octets=self.octets,
            seconds=self.last - self.first,
            udp=self.udp,
            **opened,
        )


class Flows:
    """The flows of one conversation, by destination and SPI."""

    def __init__(self) -> None:
        self._flows: dict[tuple[str, str], Flow] = {}

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows.values())

    def add(self, datagram: frames.Datagram, wall: float) -> Flow:
        """Count an ESP packet; its flow."""
        spi = datagram.data[:4].hex()
        flow = self._flows.get((datagram.destination, spi))
        if flow is None:
            flow = self._flows[datagram.destination, spi] = Flow(
                spi, datagram.source, datagram.destination, datagram.source_port is not None, wall
            )
            while len(self._flows) > FLOWS:
                del self._flows[next(iter(self._flows))]
        return flow

    def get(self, destination: str, spi: str) -> Flow | None:
        """What went to an SPI of that end."""
        return self._flows.get((destination, spi))


class EspTable:
    """The keys of ESP SAs out of files, by SPI; `nameless` those that name none."""

    def __init__(self, secrets: Iterable[EspSecrets]) -> None:
        self.named: dict[str, list[EspSecrets]] = {}
        self.nameless: list[EspSecrets] = []
        for one in secrets:
            if one.spi:
                self.named.setdefault(one.spi, []).append(one)
            else:
                self.nameless.append(one)


class EspKeyring:
    """The keys of ESP SAs: derived from those of their IKE SA, or found in files; by destination and SPI."""

    def __init__(self, files: EspTable) -> None:
        self._derived: dict[tuple[str, str], EspOpener] = {}
        self._files = files

    def derived(self, destination: str, spi: str, suite: EspSuite, key: bytes, integrity_key: bytes) -> None:
        """Note the keys of an ESP SA."""
        self._derived[destination, spi] = EspOpener(suite, key, integrity_key)
        while len(self._derived) > FLOWS:
            del self._derived[next(iter(self._derived))]

    def find(self, flow: Flow, packet: bytes) -> EspOpener | None:
        """What opens a packet of a flow, None where nothing does; keys that name this SPI are believed."""
        found = self._derived.get((flow.destination, flow.spi))
        if found is not None:
            return found
        named = [one for one in self._files.named.get(flow.spi, ()) if one.destination in ("", flow.destination)]
        trials = [(one, suite) for one in (*named, *self._files.nameless) for suite in _suites(one)]
        for one, suite in trials:
            opener = EspOpener(suite, *_cut(one, suite))
            try:
                opener.open(packet)
            except EspCipherError:
                continue
            return opener
        return EspOpener(trials[0][1], *_cut(*trials[0])) if named and trials else None


def _suites(given: EspSecrets) -> Iterator[EspSuite]:
    """The suites that keys of these lengths, and the names beside them, may be of."""
    for encryption in ENCRYPTIONS.values():
        if given.encryption not in (None, encryption.id):
            continue
        for mac in (None,) if encryption.aead else INTEGRITIES.values():
            if given.integrity not in (None, 0 if mac is None else int(mac.id)):
                continue
            apart = (encryption.keymat_octets, 0 if mac is None else mac.key_octets)
            if (len(given.key), len(given.integrity_key)) in (apart, (sum(apart), 0)):
                yield EspSuite(encryption, mac, False, None)
                yield EspSuite(encryption, mac, True, None)


def _cut(given: EspSecrets, suite: EspSuite) -> tuple[bytes, bytes]:
    """Encryption and integrity key, which some daemons log as one."""
    size = suite.encryption.keymat_octets
    return given.key[:size], given.key[size:] or given.integrity_key
