"""Which way every echo of a ping went between two sites, so that a lost one has an owner.

Site a's router stands between its LAN and the wire, site b's between the wire and its LAN: the last place where a
packet was seen says who lost it.
"""

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ikescope import Ikescope
from tests.support.netns import PATIENCE, RunningPing, Topology
from tests.support.ping import PingResult
from tests.support.process import wait_until_settled
from tests.support.tshark import ESP_TABLE, OPTIONS, capturing, environment, program, write_tables

A, B, HOSTS = "router a", "router b", "a host"
LEGS: tuple[tuple[str, str, str], ...] = (
    ("lan-a", "request", A),
    ("wire", "request", B),
    ("lan-b", "request", HOSTS),
    ("lan-b", "reply", B),
    ("wire", "reply", A),
    ("lan-a", "reply", HOSTS),
)
"""The places that an echo passes, in order: the capture, the message, and who has it in hand from there on."""
EXPRESSION = "icmp or esp or udp port 4500"
KINDS = {"8": "request", "0": "reply"}
FIELDS = ("icmp.ident", "icmp.seq", "icmp.type", "frame.time_epoch", "esp.spi")
TOLERATED = 0.05
"""Of all echoes, what a foreign router may lose: strongSwan's userland ESP is not what is tested."""

Seen = dict[tuple[int, int, str, str], tuple[float, str]]
"""(identifier, sequence number, capture, message) -> (time, ESP SPI)."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One echo without an answer: its number, who lost it, where and when it was last seen, by which ESP SPI."""

    sequence: int
    by: str
    seen: str
    at: float
    spi: str

    def __str__(self) -> str:
        return f"echo {self.sequence} lost by {self.by}: last seen at {self.at:.3f} as {self.seen} {self.spi}".rstrip()


@dataclass(slots=True)
class Ways:
    """The captures around pings, and the pings: who lost what is worked out only where something was lost."""

    captures: dict[str, Path] = field(default_factory=dict)
    pings: list[RunningPing] = field(default_factory=list)

    @property
    def results(self) -> list[PingResult]:
        """Of each ping, after the block has ended."""
        results = [ping.result for ping in self.pings if ping.result is not None]
        assert len(results) == len(self.pings), "a ping still runs"
        return results

    @property
    def received(self) -> int:
        """Replies to all of them."""
        return sum(result.received for result in self.results)

    def losses(self, keys: Sequence[Path]) -> list[Loss]:
        """Every echo that no reply came to; `keys` are the directories with the key tables of the routers."""
        if not any(result.lost for result in self.results):
            return []
        seen: Seen = {}
        for place, capture in self.captures.items():
            wait_until_settled(capture)
            for identifier, sequence, kind, at, spi in echoes(capture, keys):
                seen.setdefault((identifier, sequence, place, kind), (at, spi))
        return [_loss(seen, result.identifier, lost) for result in self.results for lost in result.lost_sequences]


def _loss(seen: Seen, identifier: int, sequence: int) -> Loss:
    for place, kind, by in reversed(LEGS):
        found = seen.get((identifier, sequence & 0xFFFF, place, kind))
        if found is not None:
            return Loss(sequence, by, f"{kind} at {place}", *found)
    return Loss(sequence, HOSTS, "nothing", 0.0, "")


def echoes(capture: Path, keys: Sequence[Path]) -> Iterator[tuple[int, int, str, float, str]]:
    """Every echo in a capture, also inside ESP: identifier, sequence number, "request" or "reply", time, ESP SPI."""
    tables = [(each / ESP_TABLE).read_text().splitlines() for each in keys if (each / ESP_TABLE).is_file()]
    with tempfile.TemporaryDirectory(prefix="tshark-") as scratch:
        write_tables(Path(scratch), esp=(line for table in tables for line in table))
        words = [word for option in OPTIONS for word in ("-o", option)]
        words += ["-T", "fields", "-E", "occurrence=l", "-Y", "icmp.seq"]
        done = subprocess.run(
            [program("tshark"), "-n", "-r", str(capture), *words, *(word for name in FIELDS for word in ("-e", name))],
            env={**environment(), "WIRESHARK_CONFIG_DIR": scratch, "HOME": scratch, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    for line in done.stdout.splitlines():
        identifier, sequence, kind, at, spi = line.split("\t")
        yield int(identifier, 0), int(sequence), KINDS.get(kind, kind), float(at), spi


@contextmanager
def pinging(
    net: Topology, *addresses: str, directory: Path, interval: float = 0.02, wait: float = PATIENCE
) -> Iterator[Ways]:
    """Ping addresses from host a for as long as the block lasts, watched on both LANs and on the wire between.

    At the end it waits at most `wait` seconds for replies that are missing.
    """
    ways = Ways()
    places = {"lan-a": (net.gw_a, "lan"), "wire": (net.gw_b, "wan"), "lan-b": (net.gw_b, "lan")}
    folder = Path(tempfile.mkdtemp(prefix="ping-", dir=directory))
    with ExitStack() as stack:
        for place, (namespace, link) in places.items():
            capture = capturing(namespace, folder / f"{place}.pcap", link=link, expression=EXPRESSION)
            ways.captures[place] = stack.enter_context(capture)
        for address in addresses:
            ping = net.host_a.pinging(address, directory=directory, interval=interval, wait=wait)
            ways.pings.append(stack.enter_context(ping))
        yield ways


def assert_none_lost(ways: Ways, *routers: Ikescope, ours: Sequence[str] = (A,)) -> list[Loss]:
    """No echo was lost in a router of ours (A, B or both), few elsewhere; those few, for the record."""
    sent = sum(result.sent for result in ways.results)
    losses = ways.losses([each.keys for each in routers])
    if any(loss.by in ours for loss in losses) or len(losses) > sent * TOLERATED:
        told = [f"{len(losses)} of {sent} echoes lost", *map(str, losses[:50])]
        raise AssertionError("\n".join([*told, *(each.account() for each in routers)]))
    return losses
