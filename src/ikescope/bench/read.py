"""`ikescope bench read`: how fast a debug text and a capture are read, and tshark on the same capture, in one run.

Both come from sessions of the simulator: the text from one, repeated with other SPIs and SA numbers, the capture from
those of a hub with many sites. Figures are of wall time; two processes read, each its own half.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from typing import Any

from ikescope.capture import frames, pcapng
from ikescope.capture.conversation import Reading
from ikescope.capture.keyfiles import KeyRing
from ikescope.capture.octets import Octets
from ikescope.capture.source import records
from ikescope.capture.text import told
from ikescope.daemon.keyfile import KeyFiles
from ikescope.engine.commands import Rekey
from ikescope.errors import LocalError
from ikescope.events import Record
from ikescope.ios.configuration import load
from ikescope.ios.debug import Renderer, transcript
from ikescope.sim.world import EPOCH, Mail, World
from ikescope.tui import ladders, trees
from ikescope.views import jsonl

MEGABYTE = 1_000_000
CORES = 2
_SIZE = 16
"""Megabytes of debug text for each process."""
_PACKETS = 6000
_ROUNDS = 3
_COMMAND = "pcap_ladder_command_packets_s"
_CONFIG = """
version 17.6
hostname {name}
crypto ikev2 proposal BENCH
 encryption {encryption}
 {integrity}
 group 19
crypto ikev2 policy BENCH
 proposal BENCH
crypto ikev2 keyring KEYS
 peer OTHER
  address {peer}
  pre-shared-key bench-key
crypto ikev2 profile default
 match identity remote address {peer} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KEYS
 dpd 10 3 periodic
crypto ipsec transform-set BENCH {transforms}
crypto ipsec profile default
 set ikev2-profile default
 set transform-set BENCH
interface GigabitEthernet1
 ip address {local} 255.0.0.0
interface Tunnel0
 ip address {tunnel} 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel destination {peer}
 tunnel protection ipsec profile default
ip route {lan} 255.255.255.0 Tunnel0
"""
_SUITES = (
    {"encryption": "aes-gcm-128", "integrity": "prf sha256", "transforms": "esp-gcm 128"},
    {"encryption": "aes-cbc-256", "integrity": "integrity sha256", "transforms": "esp-aes 256 esp-sha256-hmac"},
)
_HUB = "10.255.255.254"
#: Seconds that a session lasts, between two pings, and between the beginnings of two sessions.
_LASTS, _PINGS, _APART = 300, 20, 7


def session(seed: int = 1, seconds: int = 0) -> World:
    """A hub and a site that came up and made Child SA and IKE SA anew; then liveness and pings for so many seconds.

    Sites have addresses of their own; every second one is of AES-GCM, the others of AES-CBC.
    """
    site, suite = f"10.{seed >> 8 & 127}.{seed & 255}.1", _SUITES[seed % 2]
    world = World(seed)
    lans = {"R1": "10.2.0.0", "R2": "10.1.0.0"}
    ends = {"R1": (site, _HUB, "172.16.0.1"), "R2": (_HUB, site, "172.16.0.2")}
    for name, (local, peer, tunnel) in ends.items():
        facts = {"name": name, "local": local, "peer": peer, "tunnel": tunnel, "lan": lans[name]}
        world.add(load(_CONFIG.format(**facts, **suite)))
    first = world.stations["R1"]
    world.ping("R1", "10.1.0.10", "10.2.0.10")
    world.run(3)
    for intent in (Rekey(spi=world.status("R1").children[0].inbound), Rekey(sa=1)):
        first.node.request(intent, world.now)
        world.settle(first)
        world.run(3)
    for _ in range(0, seconds, _PINGS):
        world.ping("R1", "10.1.0.10", "10.2.0.10")
        world.run(_PINGS)
    return world


def debug_text(octets: int) -> bytes:
    """So many octets of one router's debug with time stamps, each session with SPIs and an SA number of its own."""
    told_of = session().stations["R1"].records
    text = "\n".join(transcript(Renderer(stamps=True), told_of)) + "\n"
    spis = {str(one.stamp.spi_i).upper() for one in told_of} | {str(one.stamp.spi_r).upper() for one in told_of}
    parts: list[str] = []
    size = 0
    while size < octets:
        made = text
        for spi in sorted(spi for spi in spis if len(spi) == len("0" * 16) and spi.strip("0")):
            made = made.replace(spi, f"{(int(spi, 16) + len(parts) * 7919) % 2**64:016X}")
        parts.append(made.replace("SA ID = 1)", f"SA ID = {len(parts) % 50 + 1})"))
        size += len(made)
    return "".join(parts).encode()


def capture(directory: Path, packets: int) -> tuple[Path, Path, int]:
    """A capture before a hub, the directory of its keys, how many IKE messages: so many, of sessions that overlap.

    Between them stand the ESP packets of pings.
    """
    keys = KeyFiles(directory)
    found: list[tuple[float, bytes]] = []
    seed = count = 0
    while count < packets:
        seed += 1
        world = session(seed, _LASTS)
        for mail in world.mail:
            count += mail.kind == "ike"
            found.append((seed * _APART + mail.at, _packet(mail)))
        for item in world.stations["R1"].keys:
            keys.add(item)
    keys.close()
    found.sort()
    path = directory / "bench.pcapng"
    blocks = (pcapng.packet(0, int((EPOCH + at) * 1e9), packet) for at, packet in found)
    path.write_bytes(b"".join((pcapng.section(), pcapng.interface("wire"), *blocks)))
    return path, directory, count


def _packet(mail: Mail) -> bytes:
    """The IP packet that a datagram of the simulator would be."""
    path = mail.path
    ends = str(path.local), path.local_port, str(path.remote), path.remote_port
    if mail.kind == "ike":
        return frames.ike_packet(*ends, mail.octets)
    if mail.kind == "esp-udp":
        return frames.udp_packet(*ends, mail.octets)
    return frames.ip_packet(ip_address(ends[0]), ip_address(ends[2]), frames.ESP, mail.octets)


def read_text(data: bytes) -> int:
    """Read a debug text into records; how many."""
    return sum(isinstance(one, Record) for one in told(Octets(io.BytesIO(data)), None))


def _read_file(name: str) -> int:
    return read_text(Path(name).read_bytes())


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return max(time.perf_counter() - start, 1e-9)


def debug_speed(size: int) -> dict[str, object]:
    """Megabytes a second of debug text, by one process and by two, each with its own half."""
    data = debug_text(size * MEGABYTE)
    read_text(data[:MEGABYTE])
    alone = _timed(lambda: read_text(data))
    with tempfile.NamedTemporaryFile() as file, ProcessPoolExecutor(CORES) as pool:
        file.write(data)
        file.flush()
        list(pool.map(read_text, [data[:MEGABYTE]] * CORES))
        both = _timed(lambda: list(pool.map(_read_file, [file.name] * CORES)))
    return {
        "debug_mb_s": round(len(data) * CORES / MEGABYTE / both, 1),
        "debug_mb_s_one_process": round(len(data) / MEGABYTE / alone, 1),
        "debug_processes": CORES,
    }


def capture_speed(directory: Path, packets: int, peers: Path | None) -> dict[str, object]:
    """IKE messages a second of a capture with keys: as trees in JSON, as a ladder, as records in JSON; tshark's two.

    Each is the median of some rounds, ours and tshark's in turns. The ladder is drawn by two processes, by one, and by
    the command as a user starts it. `processor_us`: processor time of all processes for an IKE message.
    """
    path, keys, count = capture(directory, packets)
    ring = KeyRing().add((keys / "ikev2_decryption_table").read_text(), "ikev2_decryption_table")
    reading = Reading(ring=ring)
    works: dict[str, Callable[[], float]] = {
        "pcap_packets_s": lambda: _timed(lambda: _trees(path, reading)),
        "pcap_ladder_packets_s": lambda: _timed(lambda: ladders.lines(path, path.name, reading)),
        "pcap_ladder_packets_s_one_process": lambda: _timed(
            lambda: ladders.lines(path, path.name, reading, processes=1)
        ),
        _COMMAND: lambda: _timed(lambda: _command(path, keys)),
        "pcap_records_packets_s": lambda: _timed(lambda: _records(path, reading)),
    }
    if peers is not None:
        works["peer_packets_s"] = lambda: _tshark(peers, path, keys, ["-T", "json"])
        works["peer_one_line_packets_s"] = lambda: _tshark(peers, path, keys, [])
    spent: dict[str, list[float]] = {name: [] for name in works}
    busy: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(_ROUNDS):
        for name, work in works.items():
            before = _processor()
            spent[name].append(work())
            busy[name].append(_processor() - before)
    middle = {name: median(times) for name, times in spent.items()}
    found: dict[str, object] = {"packets": count, **{name: round(count / one) for name, one in middle.items()}}
    found["processor_us"] = {name: round(median(times) / count * 1e6, 1) for name, times in busy.items()}
    if peers is not None:
        found["ratio"] = round(middle["peer_packets_s"] / middle["pcap_packets_s"], 2)
        found["ratio_one_line"] = round(middle["peer_one_line_packets_s"] / middle["pcap_ladder_packets_s"], 2)
        found["ratio_one_line_command"] = round(middle["peer_one_line_packets_s"] / middle[_COMMAND], 2)
        found["runs"] = {name: [round(count / one) for one in times] for name, times in spent.items()}
    return found


def _trees(path: Path, reading: Reading) -> int:
    """Octets of the trees of a capture."""
    with path.open("rb") as stream:
        return sum(len(line) for line in trees.lines(stream, str(path), reading) or ())


def _records(path: Path, reading: Reading) -> int:
    with path.open("rb") as stream:
        return sum(len(line) for line in jsonl.lines(records(stream, path.name, reading)))


def _command(path: Path, keys: Path) -> None:
    """`ikescope read --as ladder` as a user starts it."""
    words = ["read", str(path), "--keys", str(keys / "ikev2_decryption_table"), "--as", "ladder"]
    subprocess.run([sys.executable, "-m", "ikescope", *words], stdout=subprocess.DEVNULL, check=True)


def _processor() -> float:
    """Seconds of processor time that this process and those that it waited for have spent."""
    now = os.times()
    return now.user + now.system + now.children_user + now.children_system


def _tshark(peers: Path, path: Path, keys: Path, words: list[str]) -> float:
    """Seconds that the tshark of `make peers` takes, with the same keys."""
    usr = (peers / "root" / "usr").resolve()
    if not (usr / "bin" / "tshark").is_file():
        raise LocalError(f"bench: no tshark in {peers}: run `make peers`")
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(usr / "lib" / f"{platform.machine()}-linux-gnu"),
        "WIRESHARK_DATA_DIR": str(usr / "share" / "wireshark"),
        "WIRESHARK_CONFIG_DIR": str(keys),
    }
    whole = [str(usr / "bin" / "tshark"), "-n", "-r", str(path), *words]
    result: list[subprocess.CompletedProcess[bytes]] = []
    spent = _timed(lambda: result.append(subprocess.run(whole, env=environment, capture_output=True, check=False)))
    if result[0].returncode or not result[0].stdout:
        raise LocalError(f"bench: tshark: {result[0].stderr.decode(errors='replace').strip().splitlines()[-1:]}")
    return spent


def run(args: argparse.Namespace) -> int:
    """Measure and print; 0, or LocalError where it cannot be measured here."""
    peers = None if args.against is None else Path(args.peers)
    packets = _PACKETS if args.count is None else args.count
    result: dict[str, Any] = {"schema": "ikescope.bench/1", "type": "read"}
    with tempfile.TemporaryDirectory(prefix="ikescope-bench-") as name:
        result |= debug_speed(_SIZE)
        result |= capture_speed(Path(name), packets, peers)
    if args.as_ == "json":
        print(json.dumps(result))
        return 0
    for key, value in result.items():
        print(f"{key}: {value}", file=sys.stdout)
    return 0
