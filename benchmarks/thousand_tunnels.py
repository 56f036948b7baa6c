"""How long a router with a thousand tunnels takes for a show, for the page's data and for `/metrics`.

    .venv/bin/python -m benchmarks.thousand_tunnels [--tunnels 1000] [--rounds 5] [--as json]

Two routers in memory, each with so many tunnels to the other's addresses, every tunnel up and rekeyed once; the key
exchange is without arithmetic, everything else is the daemon's own code. Milliseconds of CPU time of this process, the
median of the rounds and the longest; `status` is what the router itself is kept by at each look.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import msgspec

from ikescope.daemon.metrics import exposition
from ikescope.demo.memory import Desk
from ikescope.engine.commands import Connect
from ikescope.events import Record, Recorder
from ikescope.ios.configuration import load
from ikescope.ios.exec import Session
from ikescope.sim.quick import quick_key_exchange
from ikescope.sim.world import Station, World
from ikescope.views.html_model import Model
from ikescope.views.metrics import Metrics, answered
from ikescope.web.feed import ROWS
from ikescope.web.standing import standing

LIMIT = 200.0
"""Milliseconds that each may take."""

_HEAD = """\
hostname {name}
crypto ikev2 limit max-sa 9999
crypto ikev2 keyring K
 peer ANY
  address 0.0.0.0 0.0.0.0
  pre-shared-key a-key
crypto ikev2 profile PR
 match identity remote any
 authentication remote pre-share
 authentication local pre-share
 keyring local K
crypto ipsec transform-set TS esp-gcm
 mode transport
crypto ipsec profile IP
 set transform-set TS
 set ikev2-profile PR
"""
_TUNNEL = """\
interface Tunnel{number}
 ip address 172.{high}.{low}.{last} 255.255.255.252
 tunnel source {source}
 tunnel destination {destination}
 tunnel protection ipsec profile IP
"""


def configuration(name: str, tunnels: int) -> str:
    """HUB has one address, EDGE one a tunnel."""
    parts = [_HEAD.format(name=name)]
    hub = name == "HUB"
    for number in range(tunnels):
        edge = f"10.{100 + number // 250}.{number % 250}.1"
        source, destination = ("192.0.2.1", edge) if hub else (edge, "192.0.2.1")
        if not hub:
            parts.append(f"interface Loopback{number}\n ip address {edge} 255.255.255.255\n")
        places = {"high": 16 + number // 250, "low": number % 250, "last": 1 if hub else 2}
        parts.append(_TUNNEL.format(number=number, source=source, destination=destination, **places))
    if hub:
        parts.append("interface GigabitEthernet1\n ip address 192.0.2.1 255.255.255.0\n")
    return "".join(parts)


def lived(tunnels: int) -> tuple[World, Session, Metrics, Recorder]:
    """Both routers with every tunnel up; the hub's prompt, metrics and flight recorder."""
    world = World("a thousand tunnels")
    world.keep_mail = False
    metrics, recorder = Metrics(), Recorder()

    def hear(station: Station, record: Record) -> None:
        if station.name == "HUB":
            metrics.add(record)
            recorder.add(record)

    world.on_record = hear
    for name in ("HUB", "EDGE"):
        world.add(load(configuration(name, tunnels), name=name))
    for number in range(tunnels):
        world.ask("HUB", Connect(tunnel=f"Tunnel{number}", trigger="benchmark"))
        world.run(0.1)
        if sys.stderr.isatty() and number % 50 == 0:
            print(f"\r{number} tunnels up", end="", file=sys.stderr)
    desk = Desk(world, world.stations["HUB"])
    desk.records = lambda: recorder  # type: ignore[method-assign]  # a desk has no recorder of its own
    return world, Session(desk), metrics, recorder


def looks(world: World, session: Session, metrics: Metrics, recorder: Recorder) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    encoder = msgspec.json.Encoder(enc_hook=str)

    def status() -> bytes:
        return encoder.encode({"status": world.status("HUB")})

    # Page and metrics have processes of their own: what the routers hold is not for their garbage collector to walk.
    gc.collect()
    gc.freeze()
    model = Model().extend(recorder)
    told = json.loads(status())["status"]
    known = {generation["spi_i"] for family in model.families for generation in family["generations"]}

    def page() -> bytes:
        whole = model.snapshot(ROWS)
        return encoder.encode(whole | {"standing": standing(msgspec.json.decode(status())["status"], known, world.now)})

    def scrape() -> bytes:
        return exposition(metrics, answered(status()))

    assert sum(one["up"] for one in told["tunnels"]) == len(told["tunnels"]), "not every tunnel came up"
    commands = ("show crypto ikev2 sa detailed", "show crypto ipsec sa", "show crypto session detail")
    found: dict[str, Callable[[], object]] = {"status": status, "page": page, "metrics": scrape}
    for command in commands:
        for modifier in ("", " | json"):
            found[command + modifier] = partial(session.execute, command + modifier)
    return found


def milliseconds(look: Callable[[], object], rounds: int) -> list[float]:
    """CPU time of each round."""
    taken = []
    for _ in range(rounds):
        before = time.process_time()
        look()
        taken.append((time.process_time() - before) * 1000)
    return taken


def main() -> int:
    """Print a line a look; 1 where a median is above the limit."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--tunnels", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    args = options.parse_args()
    with quick_key_exchange():
        found = lived(args.tunnels)
    slow = False
    for name, look in looks(*found).items():
        taken = milliseconds(look, args.rounds)
        median, longest = statistics.median(taken), max(taken)
        slow |= median > LIMIT
        if args.as_ == "json":
            row = {"look": name, "median_ms": round(median, 1), "longest_ms": round(longest, 1)}
            print(json.dumps({"schema": "ikescope.benchmark/1", "type": "look", "tunnels": args.tunnels, **row}))
        else:
            print(f"{name:40} {median:8.1f} ms {longest:8.1f} ms at most")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
