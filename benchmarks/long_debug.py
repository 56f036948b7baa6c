"""A debug text of any length, read to its end: time, and memory of each process over time.

    .venv/bin/python -m benchmarks.long_debug [--megabytes 2000] [--view verdict] [--keep FILE] [--as json]
    .venv/bin/python -m benchmarks.long_debug --megabytes 2000 --write FILE        # the text alone

The text is that of a hub: its sites come up, rekey both kinds of SA, are probed and go, some without a word; others
have another key, or nobody answers. A handful of sessions are interleaved at a time, each with SPIs, an address and a
number of its own, so that SAs end and have to be forgotten. `ikescope read` runs on a terminal of its own, for its bar;
memory is the resident set of each of its processes, and of all together with shared pages once, every half second.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ikescope.engine.commands import Clear, Rekey
from ikescope.events import Record
from ikescope.ios.configuration import load
from ikescope.ios.debug import Renderer, transcript
from ikescope.sim.world import World

_CONFIG = """
hostname {name}
crypto ikev2 keyring KEYS
 peer OTHER
  address {peer}
  pre-shared-key {key}
crypto ikev2 profile default
 match identity remote address {peer} 255.255.255.255
 authentication local pre-share
 authentication remote pre-share
 keyring local KEYS
 dpd 10 3 periodic
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
_HUB, _SITE = "192.0.2.1", "192.0.2.2"
_ENDS = {"R1": (_HUB, _SITE, "172.16.0.1", "10.2.0.0"), "R2": (_SITE, _HUB, "172.16.0.2", "10.1.0.0")}
_STAMP = re.compile(r"^\*\w{3} [ \d]\d \d\d:\d\d:\d\d\.\d{3}: ", re.MULTILINE)
_VARIED = re.compile(rf"\b(?:[0-9A-F]{{16}}|(?<=0x)[0-9A-F]{{8}})\b|(SESSION|SA) ID = (\d+)|{re.escape(_SITE)}\b")
_NUMBERS, _SITES, _TOGETHER = 2000, 5000, 6
_START = 30 * 86400


def _world(**keys: str) -> World:
    """A hub R1 and a site R2; with one key named, the site is not there."""
    world = World(len(keys))
    for name, (local, peer, tunnel, lan) in _ENDS.items():
        if name in keys:
            facts = {"name": name, "local": local, "peer": peer, "tunnel": tunnel, "lan": lan, "key": keys[name]}
            world.add(load(_CONFIG.format(**facts)))
    world.ping("R1", "10.1.0.10", "10.2.0.10")
    world.run(3)
    return world


def _life() -> list[Record]:
    world = _world(R1="one", R2="one")
    world.run(60)
    world.ask("R1", Rekey(spi=world.status("R1").children[0].inbound))
    world.run(3)
    world.ask("R1", Rekey(sa=1))
    world.run(60)
    world.ask("R1", Clear())
    world.run(3)
    return list(world.stations["R1"].records)


def _unanswered() -> list[Record]:
    world = _world(R1="one")
    world.run(90)
    return list(world.stations["R1"].records)


def _refused() -> list[Record]:
    return list(_world(R1="one", R2="another").stations["R1"].records)


def _blocks(records: list[Record]) -> str:
    """The text of a session: NUL for each time stamp."""
    return _STAMP.sub("\0", "\n".join(transcript(Renderer(stamps=True), records)) + "\n")


def _sessions(rng: random.Random) -> Iterator[list[str]]:
    """One session after the other, cut before its time stamps."""
    life = _blocks(_life())
    kinds = [*[life] * 6, life[: life.rfind("DELETE")].rpartition("\0")[0], _blocks(_unanswered()), _blocks(_refused())]
    count = 0
    while True:
        count += 1
        yield _varied(kinds[count % len(kinds)], count, rng.getrandbits(63)).split("\0")[1:]


def _varied(text: str, count: int, other: int) -> str:
    site = f"10.{count % _SITES // 250}.{count % 250}.1"
    shift = 2 * (count % _NUMBERS)

    def one(found: re.Match[str]) -> str:
        if found[1]:
            number = count % 60000 + 1 if found[1] == "SESSION" else int(found[2]) + shift
            return f"{found[1]} ID = {number}"
        if found[0] == _SITE:
            return site
        size = len(found[0])
        spi = int(found[0], 16)
        return f"{(spi ^ other) % 16**size:0{size}X}" if spi else found[0]

    return _VARIED.sub(one, text)


def text(octets: int, seed: int = 1) -> Iterator[str]:
    """At least so many octets of a debug text, piece by piece."""
    rng = random.Random(seed)
    some = _sessions(rng)
    at: list[Iterator[str]] = [iter(next(some)) for _ in range(_TOGETHER)]
    clock, size = float(_START), 0
    while size < octets:
        place = rng.randrange(_TOGETHER)
        piece: list[str] = []
        for _ in range(rng.randint(1, 12)):
            block = next(at[place], None)
            if block is None:
                at[place] = iter(next(some))
                break
            clock += rng.choice((0, 0, 0, 0.001, 0.004, 0.02))
            piece += _stamped(clock), block
        made = "".join(piece)
        size += len(made)
        yield made


def _stamped(clock: float) -> str:
    at = time.gmtime(clock)
    return (
        f"*{time.strftime('%b', at)} {at.tm_mday:2d} {time.strftime('%H:%M:%S', at)}.{int(clock * 1000) % 1000:03d}: "
    )


def write(path: Path, octets: int) -> None:
    """A file of such a text."""
    with path.open("w") as out:
        out.writelines(text(octets))


def _memory(process: int) -> tuple[int, int]:
    """Resident kilobytes of a process, and its share of those that others have too; 0 where it is gone."""
    try:
        told = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0, 0
    numbers = dict(re.findall(r"^(Rss|Pss):\s+(\d+)", told, re.MULTILINE))
    return int(numbers.get("Rss", 0)), int(numbers.get("Pss", 0))


def _children(process: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def measure(path: Path, view: str, every: float = 0.5) -> dict[str, Any]:
    """Read the file with its bar on a terminal nobody looks at; what it took and what it printed last."""
    bar, terminal = pty.openpty()
    os.set_blocking(bar, False)
    command = [sys.executable, "-m", "ikescope", "read", str(path)] + (["--as", view] if view != "default" else [])
    samples: list[tuple[float, list[int], int]] = []
    drawn = 0
    with tempfile.TemporaryFile() as out:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=out, stderr=terminal)
        os.close(terminal)
        while process.poll() is None:
            try:
                drawn += len(os.read(bar, 1 << 16))
            except OSError:
                drawn += 0
            held = [_memory(one) for one in (process.pid, *_children(process.pid))]
            samples.append((time.monotonic() - start, [one for one, _ in held], sum(one for _, one in held)))
            time.sleep(every)  # between two looks at their memory, not in what is measured
        wall = time.monotonic() - start
        size = out.seek(0, os.SEEK_END)
        out.seek(max(0, size - 2000))
        last = out.read().decode(errors="replace").splitlines()[-8:]
    os.close(bar)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    steps = [samples[len(samples) * step // 10] for step in range(1, 10)] if samples else []
    return {
        "view": view,
        "status": process.returncode,
        "wall_s": round(wall, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "mb_s": round(path.stat().st_size / 1e6 / wall, 1),
        "bar": drawn > 0,
        "printed_mb": round(size / 1e6, 1),
        "rss_mb": [[round(one / 1e3) for one in each] for _, each, _ in steps],
        "pss_mb": [round(whole / 1e3) for _, _, whole in steps],
        "peak_pss_mb": round(max((whole for _, _, whole in samples), default=0) / 1e3),
        "last": last,
    }


def main() -> None:
    """Write the text, or read it in each view and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--view", nargs="+", default=["default"])
    parser.add_argument("--write", type=Path)
    parser.add_argument("--keep", type=Path, help="the text; made where it is not there, and left")
    parser.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    args = parser.parse_args()
    if args.write is not None:
        write(args.write, args.megabytes * 1_000_000)
        return
    with tempfile.TemporaryDirectory(prefix="ikescope-bench-") as place:
        path = args.keep or Path(place) / "debug.txt"
        if not path.exists():
            write(path, args.megabytes * 1_000_000)
        for view in args.view:
            found = measure(path, view)
            if args.as_ == "json":
                print(json.dumps(found))
                continue
            print("\n".join(f"{name}: {value}" for name, value in found.items() if name != "last"))
            print("\n".join(found["last"]), end="\n\n")


if __name__ == "__main__":
    main()
