"""`ikescope bench read`: how fast a debug text and a capture are read, and tshark on the same capture, in one run.

The text and the capture come from sessions of the simulator, repeated with other SPIs and SA numbers. Figures are of
wall time; the debug text is read by as many processes as there are cores to take (two), each with its own half.
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
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
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
from ikescope.sim.world import EPOCH, World

MEGABYTE = 1_000_000
CORES = 2
_SIZE = 8
"""Megabytes of debug text for each process."""
_PACKETS = 6000
_CONFIG = """
version 17.6
hostname {name}
crypto ikev2 keyring KEYS
 peer OTHER
  address {peer}
  pre-shared-key bench-key
crypto ikev2 profile default
 match identity remote address {peer} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KEYS
crypto ipsec profile default
 set ikev2-profile default
interface GigabitEthernet1
 ip address {local} 255.255.255.0
interface Tunnel0
 ip address {tunnel} 255.255.255.252
 tunnel source GigabitEthernet1
 tunnel destination {peer}
 tunnel protection ipsec profile default
ip route {lan} 255.255.255.0 Tunnel0
"""
_FIRST = {"name": "R1", "local": "192.0.2.1", "peer": "192.0.2.2", "tunnel": "172.16.0.1", "lan": "10.2.0.0"}
_SECOND = {"name": "R2", "local": "192.0.2.2", "peer": "192.0.2.1", "tunnel": "172.16.0.2", "lan": "10.1.0.0"}


def session(seed: int = 1) -> World:
    """Two routers that came up and made their IKE SA anew."""
    world = World(seed)
    first = world.add(load(_CONFIG.format(**_FIRST)))
    world.add(load(_CONFIG.format(**_SECOND)))
    world.ping("R1", "10.1.0.10", "10.2.0.10")
    world.run(3)
    for intent in (Rekey(spi=world.status("R1").children[0].inbound), Rekey(sa=1)):
        first.node.request(intent, world.now)
        world.settle(first)
        world.run(3)
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
    """A capture of the IKE messages of many sessions, the directory of their keys, how many messages."""
    blocks = [pcapng.section(), pcapng.interface("wire")]
    keys = KeyFiles(directory)
    count = 0
    seed = 0
    while count < packets:
        seed += 1
        world = session(seed)
        for mail in world.mail:
            if mail.kind != "ike":
                continue
            ends = str(mail.path.local), mail.path.local_port, str(mail.path.remote), mail.path.remote_port
            packet = frames.ike_packet(*ends, mail.octets)
            blocks.append(pcapng.packet(0, int((EPOCH + seed * 60 + mail.at) * 1e9), packet))
            count += 1
        for item in world.stations["R1"].keys:
            keys.add(item)
    keys.close()
    path = directory / "bench.pcapng"
    path.write_bytes(b"".join(blocks))
    return path, directory, count


def read_text(data: bytes) -> int:
    """Read a debug text into records; how many."""
    return sum(isinstance(one, Record) for one in told(Octets(io.BytesIO(data)), None))


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return max(time.perf_counter() - start, 1e-9)


def debug_speed(size: int) -> dict[str, object]:
    """Megabytes a second of debug text, by one process and by two, each with its own half."""
    data = debug_text(size * MEGABYTE)
    read_text(data[:MEGABYTE])
    alone = _timed(lambda: read_text(data))
    with ProcessPoolExecutor(CORES) as pool:
        list(pool.map(read_text, [data[:MEGABYTE]] * CORES))
        both = _timed(lambda: list(pool.map(read_text, [data] * CORES)))
    return {
        "debug_mb_s": round(len(data) * CORES / MEGABYTE / both, 1),
        "debug_mb_s_one_process": round(len(data) / MEGABYTE / alone, 1),
        "debug_processes": CORES,
    }


def capture_speed(directory: Path, packets: int, peers: Path | None) -> dict[str, object]:
    """Messages a second of a capture with keys: as JSON, as a ladder, and a tshark's, as JSON and as one line each."""
    from ikescope.views.jsonl import lines as json_lines
    from ikescope.views.ladder import ladder

    path, keys, count = capture(directory, packets)
    ring = KeyRing().add((keys / "ikev2_decryption_table").read_text(), "ikev2_decryption_table")

    def read() -> Iterator[Record]:
        return records(io.BytesIO(path.read_bytes()), "bench.pcapng", Reading(ring=ring))

    trees = _timed(lambda: sum(len(line) for line in json_lines(read())))
    rungs = _timed(lambda: sum(len(line) for line in ladder(list(read()))))
    found: dict[str, object] = {
        "packets": count,
        "pcap_packets_s": round(count / trees),
        "pcap_ladder_packets_s": round(count / rungs),
    }
    if peers is not None:
        theirs = _tshark(peers, path, keys, ["-T", "json"])
        short = _tshark(peers, path, keys, [])
        found |= {
            "peer_packets_s": round(count / theirs),
            "peer_one_line_packets_s": round(count / short),
            "ratio": round(theirs / trees, 2),
            "ratio_one_line": round(short / rungs, 2),
        }
    return found


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
