"""What a packet costs with 1, 100 and 10,000 SAs: sealed by one data path, opened by another, both in memory.

    .venv/bin/python -m benchmarks.many_sas [--packets 20000] [--octets 1372] [--as json]

As many tunnels as SAs, each packet through another one than the packet before it. CPU time of this process in
microseconds for a packet that was sealed and opened, and in milliseconds for a tick, which comes once a second.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

from ikescope.crypto.suites import EspSuite, encryption
from ikescope.engine.commands import Destination, EspKeys, InstallSa, SwitchOutbound
from ikescope.esp.forwarder import Forwarder, ToTunnel, ToWire
from ikescope.esp.packet import UDP, ip_packet
from ikescope.esp.tunnel import TunnelPath
from ikescope.events import SelectorFact
from ikescope.policy.selectors import Selectors

COUNTS = (1, 100, 10_000)
NEAR = int(IPv4Address("10.128.0.1"))
FAR = int(IPv4Address("10.192.0.1"))
HUB = IPv4Address("192.0.2.1")
_ROW = encryption(20, 128)
assert _ROW is not None
SUITE = EspSuite(_ROW, None, False, None)
ANY = (SelectorFact(start="0.0.0.0", end="255.255.255.255"),)


def end(count: int, here: int, there: int, direction: str) -> Forwarder:
    """One router with `count` tunnels, an SA of that direction in each."""
    paths = [
        TunnelPath(
            name=f"Tunnel{number}",
            mode="ipsec ipv4",
            source=HUB if direction == "out" else IPv4Address(FAR + number),
            destination=IPv4Address(FAR + number) if direction == "out" else HUB,
            selectors=(Selectors(ANY, ANY),),
        )
        for number in range(count)
    ]
    made = Forwarder(paths, os.urandom)
    for number, path in enumerate(paths):
        key = number.to_bytes(4, "big") * (SUITE.encryption.keymat_octets // 4)
        made.execute(
            InstallSa(
                spi=0x1000 + number,
                direction="out" if direction == "out" else "in",
                suite=SUITE,
                keys=EspKeys(key, b""),
                path=Destination(path.source, 4500, path.destination, 4500),
                udp=True,
                transport=False,
                tunnel=path.name,
                local=ANY,
                remote=ANY,
                reqid=number,
                replay_window=64,
                lifetime_kilobytes=None,
            ),
            0.0,
        )
        if direction == "out":
            made.execute(SwitchOutbound(0x1000 + number, path.destination, path.name), 0.0)
    list(made.outputs())
    return made


def measure(count: int, packets: int, octets: int) -> tuple[float, float, float]:
    """Microseconds to seal a packet, and to open one; milliseconds of a tick of both ends."""
    near, far = end(count, NEAR, FAR, "out"), end(count, FAR, NEAR, "in")
    packet = ip_packet(IPv4Address(NEAR), IPv4Address(FAR), UDP, bytes(octets + 8))
    gc.collect()
    gc.freeze()
    began = time.process_time()
    sent = list(sealed(near, packet, count, packets))
    middle = time.process_time()
    arrived = 0
    for one in sent:
        far.from_wire(one.octets, one.path.remote, one.path.local, 1.0, udp=True, remote_port=4500)
        arrived += sum(isinstance(output, ToTunnel) for output in far.outputs())
    ended = time.process_time()
    for forwarder in (near, far):
        forwarder.tick(2.0)
        list(forwarder.outputs())
    ticked = time.process_time()
    gc.unfreeze()
    assert arrived == packets, f"had {arrived}, wanted {packets}"
    return (middle - began) / packets * 1e6, (ended - middle) / packets * 1e6, (ticked - ended) * 1e3


def sealed(near: Forwarder, packet: bytes, count: int, packets: int) -> Iterator[ToWire]:
    """The ESP packets of an inner packet through every tunnel in turn."""
    for number in range(packets):
        near.from_tunnel(f"Tunnel{number % count}", packet, 1.0)
        yield from (output for output in near.outputs() if isinstance(output, ToWire))


def main() -> int:
    """Print a line a count."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--packets", type=int, default=20_000)
    options.add_argument("--octets", type=int, default=1372, help="of a UDP datagram in the tunnel (1372)")
    options.add_argument("--as", dest="as_", choices=("text", "json"), default="text")
    args = options.parse_args()
    for count in COUNTS:
        seal, opened, tick = measure(count, args.packets, args.octets)
        if args.as_ == "json":
            row = {"sas": count, "seal_us": round(seal, 2), "open_us": round(opened, 2), "tick_ms": round(tick, 2)}
            print(json.dumps({"schema": "ikescope.benchmark/1", "type": "many_sas", "octets": args.octets, **row}))
        else:
            print(f"{count:6} SAs: seal {seal:7.2f} us, open {opened:7.2f} us a packet; a tick {tick:7.2f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
